/*
 * main.c: makes each call that can fail, fail.
 *
 * A case is one forked child: at site S the nth call fails (once, or all from
 * there on) while a workload runs, from the very first call of the process to
 * the release.  n goes up until a run meets no fault, or to a limit: then the
 * places say "(cut)".  Then the machine is well again, everything must work, and
 * nothing may be left: neither memory nor mappings, threads, descriptors, signal
 * stacks.
 *
 *   faults [--jobs N] [--every K] [--most N] [WORKLOAD [SITE [N once|good]]]
 *
 * `--every K` tries every Kth n only, `--most N` ends at n = N: for slow builds.
 * With all four words it runs one case in the foreground, for a debugger.
 */
#include "ledger.h"
#include "workloads.h"

#include "support/tasks.h"

#include "base/fault.h"
#include "runtime/local.h"

#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define SLOWER 8
#else
#define SLOWER 1
#endif

enum {
    CASE_S = 25 * SLOWER,   /* after this a child counts as hung */
    CPU_MS = 1200 * SLOWER, /* more processor time than this is a spin: a case takes some 10 ms */
    JOBS_MOST = 8,
    CLEAN_RUNS = 4,
    FAILURES_MOST = 12, /* then it is clear enough */
    KINDS = SK_FAULT_SITES + 3
};

/* ---- what fails ---- */

typedef struct site {
    const char *name;
    uint32_t set;  /* of sk_fault_site */
    uint32_t with; /* that fail for good from the start, so that the site is come to at all */
    uint64_t most; /* calls looked at: waits have no end */
} site;

#define ONE(s) (UINT32_C(1) << (s))
#define ALL ((ONE(SK_FAULT_SITES) - 1) & ~ONE(SK_FAULT_FUTEX))
#define SETUP (ONE(SK_FAULT_FILE) | ONE(SK_FAULT_AFFINITY)) /* only creating a runtime comes to these */

static const site sites[KINDS] = {
    {"malloc", ONE(SK_FAULT_MALLOC), 0, 400},
    {"mmap", ONE(SK_FAULT_MMAP), 0, 400},
    {"munmap", ONE(SK_FAULT_MUNMAP), 0, 400},
    {"madvise", ONE(SK_FAULT_MADVISE), 0, 60},
    {"mprotect", ONE(SK_FAULT_MPROTECT), ONE(SK_FAULT_MADVISE), 60},
    {"pthread_create", ONE(SK_FAULT_THREAD), 0, 400},
    {"futex", ONE(SK_FAULT_FUTEX), 0, 40},
    {"thread keys", ONE(SK_FAULT_KEY), 0, 400},
    {"pthread_atfork", ONE(SK_FAULT_ATFORK), 0, 400},
    {"signals", ONE(SK_FAULT_SIGNAL), 0, 400},
    {"files", ONE(SK_FAULT_FILE), 0, 400},
    {"affinity", ONE(SK_FAULT_AFFINITY), 0, 400},
    {"membarrier", ONE(SK_FAULT_BARRIER), 0, 40},
    {"prctl", ONE(SK_FAULT_PRCTL), 0, 400},
    {"memory", ONE(SK_FAULT_MALLOC) | ONE(SK_FAULT_MMAP) | ONE(SK_FAULT_THREAD) | ONE(SK_FAULT_KEY), 0, 400},
    {"any", ALL & ~SETUP, 0, 160},
    {"any, files too", ALL, 0, 400},
};

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- a case ---- */

typedef struct outcome {
    uint64_t hits;
    int64_t objects;
    ledger left;     /* what was out at the end */
    int32_t unasked; /* see find_unasked */
    int32_t descriptors, threads;
} outcome;

typedef struct fault_case {
    const workload *work;
    const site *site; /* NULL: a clean run */
    uint64_t nth;
    bool good; /* for good */
} fault_case;

static int count_entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2;
}

/* Threads of ours that have been joined may still be on their way out of the kernel's list. */
static int threads_in_the_end(int wanted)
{
    int n = 0;
    for (int tries = 0; tries < 8000 && (n = count_entries("/proc/self/task")) > wanted; tries++) usleep(1000);
    return n;
}

static void arm(const fault_case *f)
{
    if (!f->site) return;
    for (int s = 0; s < SK_FAULT_SITES; s++)
        if (f->site->with >> s & 1) sk_fault_arm((sk_fault_site)s, 1, true);
    sk_fault_arm_any(f->site->set, f->nth, f->good);
    heals = f->good && f->nth % 2 == 0;
    nobody_can_sleep = f->good && (f->site->set & ONE(SK_FAULT_FUTEX));
}

/* What the fork handler is for; a failed try to install it may not be taken for a good one. */
static void expect_forks_to_be_seen(void)
{
    int status = 0;
    skua_runtime *rt = sk_runtime_of(1);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(5); /* unseen, it waits for threads that are not there */
        _exit(skua_runtime_release(rt) == -ECHILD ? 0 : 1);
    }
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    SK_EXPECT_EQ(status, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* 1 + a site where calls were made that had not asked, or the other way round; 0: none. All threads have ended. */
static int32_t find_unasked(void)
{
    int32_t found = 0;
    for (int s = 0; s < SK_FAULT_SITES; s++) {
        unsigned long made = ledger_calls((sk_fault_site)s), granted = sk_fault_granted((sk_fault_site)s);
        if (made == granted) continue;
        found = 1 + s;
        fprintf(stderr, "site %s: %lu calls, but %lu have asked and were let through\n", sites[s].name, made, granted);
    }
    return found;
}

static void run_child(const fault_case *f, outcome *o)
{
    int descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    alarm(CASE_S);
    arm(f);
    f->work->run();
    o->hits = hits_before + sk_fault_any_hits();
    sk_fault_reset();
    nobody_can_sleep = false;
    if (f->site && (f->site->set & ONE(SK_FAULT_ATFORK))) expect_forks_to_be_seen();
    work_in_health();
    o->unasked = find_unasked();
    o->threads = threads_in_the_end(threads) - threads;
    o->descriptors = count_entries("/proc/self/fd") - descriptors;
    o->left = ledger_now();
    sk_local *local = sk_local_self(); /* ours is the only record that is left, with the tasks that it keeps */
    uint64_t kept = local ? 1 + sk_slab_cache_held(&local->tasks) + sk_slab_cache_held(&local->jobs) : 0;
    for (unsigned i = 0; local && i < SK_CACHED; i++) kept += sk_slab_cache_held(&local->cached[i]);
    o->objects = (int64_t)(sk_slab_out() - kept);
#if defined(__SANITIZE_ADDRESS__)
    if (__lsan_do_recoverable_leak_check()) abort();
#endif
}

/* ---- children ---- */

typedef struct slot {
    pid_t pid;
    fault_case of;
    int said; /* a file with what the child printed */
} slot;

static slot slots[JOBS_MOST];
static outcome *outcomes; /* shared with the children, one a slot */
static int jobs = 2;

static uint64_t passed, failed, injected, rows, rows_cut;

static void describe(const fault_case *f, char *text, size_t room)
{
    if (f->site)
        snprintf(text, room, "%s, %s, call %lu, %s", f->work->name, f->site->name, (unsigned long)f->nth,
                 f->good ? "good" : "once");
    else
        snprintf(text, room, "%s, no fault", f->work->name);
}

static void show(int file)
{
    char text[2000];
    lseek(file, 0, SEEK_SET);
    ssize_t n = read(file, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) printf("    | %s\n", line);
}

static void complain(const slot *s, const char *why)
{
    char text[200];
    describe(&s->of, text, sizeof text);
    printf("FAILED %s: %s\n", text, why);
    show(s->said);
    fflush(stdout);
}

typedef struct limits {
    ledger most; /* what clean runs leave behind: type-stable memory */
} limits;

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Why a child's end is a failure; NULL: it is none. */
static const char *judge(const slot *s, const outcome *o, const limits *most, int status, const struct rusage *used)
{
    static char text[200];
    uint64_t ms = (uint64_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1000 +
                  (uint64_t)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1000;
    const site *site = s->of.site;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "hung";
    if (WIFSIGNALED(status)) {
        snprintf(text, sizeof text, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return text;
    }
    if (WEXITSTATUS(status)) return "an exit status";
    if (o->unasked) return "calls that can fail and have not asked sk_fault";
    if (o->threads > 0) return "threads are left";
    if (o->descriptors > 0 || o->left.files) return "descriptors are left";
    if (o->left.threads) return "a thread was neither joined nor detached";
    if (o->objects) {
        snprintf(text, sizeof text, "%ld tasks, records, pools or runtimes are left in their slabs", (long)o->objects);
        return text;
    }
    if (o->left.altstacks) return "a signal stack is left";
    if (!site) return NULL;
    if (o->left.blocks > most->most.blocks) {
        snprintf(text, sizeof text, "%ld blocks of the heap are left, at most %ld without faults", (long)o->left.blocks,
                 (long)most->most.blocks);
        return text;
    }
    /* A mapping that the kernel refuses to cut stays: see sk_vm_release. */
    if (!(site->set & ONE(SK_FAULT_MUNMAP)) && o->left.mapped > most->most.mapped) {
        snprintf(text, sizeof text, "%ld bytes are left mapped, at most %ld without faults", (long)o->left.mapped,
                 (long)most->most.mapped);
        return text;
    }
    /* Without the quick barrier the one that serves a wheel holds it for milliseconds, while its owner, for whom
       something is due, looks again and again. */
    bool awake = s->of.good && (site->set & (ONE(SK_FAULT_FUTEX) | ONE(SK_FAULT_BARRIER)));
    if (!awake && ms > CPU_MS) {
        snprintf(text, sizeof text, "used the processor for %lu ms", (unsigned long)ms);
        return text;
    }
    return NULL;
}

static void begin(slot *s, const fault_case *f)
{
    s->of = *f;
    memset(&outcomes[s - slots], 0, sizeof *outcomes);
    if (ftruncate(s->said, 0)) abort();
    fflush(NULL);
    s->pid = fork();
    if (s->pid < 0) abort();
    if (s->pid) return;
    lseek(s->said, 0, SEEK_SET);
    dup2(s->said, STDERR_FILENO);
    run_child(f, &outcomes[s - slots]);
    _exit(0);
}

/* Waits for any child and gives its slot. */
static slot *end(limits *most, outcome *o)
{
    int status;
    struct rusage used;
    pid_t pid = wait4(-1, &status, 0, &used);
    slot *s = slots;
    while (s->pid != pid) s++;
    s->pid = 0;
    *o = outcomes[s - slots];
    const char *why = judge(s, o, most, status, &used);
    if (why) complain(s, why);
    *(why ? &failed : &passed) += 1;
    if (!WIFEXITED(status) && s->of.site) o->hits = 1; /* it did not come to say so */
    return s;
}

/* ---- all cases of a workload ---- */

typedef struct options {
    uint64_t every, most;
    const char *work, *site;
} options;

static void clean_runs(const workload *work, limits *most)
{
    *most = (limits){0};
    fault_case f = {.work = work};
    for (int i = 0; i < CLEAN_RUNS; i++) {
        outcome o;
        begin(&slots[0], &f);
        end(most, &o);
        most->most.blocks = larger(most->most.blocks, o.left.blocks);
        most->most.mapped = larger(most->most.mapped, o.left.mapped);
    }
}

typedef struct row {
    uint64_t met; /* cases that met a fault */
    bool cut;     /* the last n that is looked at has met one: there are places beyond it that are not tried */
} row;

/* From the nth call on nothing of the kind works: for calls without end the nth and the next make nearly the same case,
   and one that takes long, since nobody sleeps. So 1, 2, 3, 5, 8, 13, 21, 34. */
static uint64_t next_place(const site *site, bool good, uint64_t nth, uint64_t every)
{
    bool endless = site->set == ONE(SK_FAULT_FUTEX) || site->set == ONE(SK_FAULT_BARRIER);
    return good && endless && every == 1 && nth >= 3 ? nth + (nth * 5 + 4) / 8 : nth + every;
}

/* n = 1, 2, ... until two runs have met no fault: with several threads the number of calls varies. */
static row run_site(const workload *work, const site *site, bool good, const options *opt, limits *most)
{
    uint64_t nth = 1, met = 0, last = opt->most < site->most ? opt->most : site->most;
    int running = 0, missed = 0;
    while (running > 0 || (missed < 2 && nth <= last && failed < FAILURES_MOST)) {
        if (missed < 2 && nth <= last && failed < FAILURES_MOST && running < jobs) {
            slot *s = slots;
            while (s->pid) s++;
            begin(s, &(fault_case){work, site, nth, good});
            nth = next_place(site, good, nth, opt->every);
            running++;
            continue;
        }
        outcome o;
        end(most, &o);
        running--;
        if (o.hits == 0) missed++;
        met += o.hits > 0;
        injected += o.hits;
    }
    row r = {met, missed < 2 && failed < FAILURES_MOST};
    rows++;
    rows_cut += r.cut;
    return r;
}

static void run_workload(const workload *work, const options *opt)
{
    limits most;
    uint64_t failed_before = failed, injected_before = injected, cases = 0;
    uint64_t begun = skua_now();
    char line[1000] = "";
    size_t used = 0;
    clean_runs(work, &most);
    for (int k = 0; k < KINDS; k++) {
        if (opt->site && strcmp(opt->site, sites[k].name) != 0) continue;
        if ((sites[k].set & SETUP) && !work->creates) continue;
        row once = run_site(work, &sites[k], false, opt, &most);
        row good = run_site(work, &sites[k], true, opt, &most);
        const char *cut = once.cut ? " (cut)" : good.cut ? " (for good: cut)" : "";
        cases += once.met + good.met;
        if (once.met + good.met && used < sizeof line)
            used += (size_t)snprintf(line + used, sizeof line - used, " %s %lu%s", sites[k].name,
                                     (unsigned long)once.met, cut);
    }
    printf("%-20s %5lu cases that met a fault, %6lu faults, %lu failed, %.1f s; places:%s\n", work->name,
           (unsigned long)cases, (unsigned long)(injected - injected_before), (unsigned long)(failed - failed_before),
           (double)(skua_now() - begun) / 1e9, line);
    fflush(stdout);
}

static int one_case(char **word)
{
    fault_case f = {.nth = strtoul(word[2], NULL, 10), .good = strcmp(word[3], "good") == 0};
    for (int i = 0; i < workload_count; i++)
        if (strcmp(workloads[i].name, word[0]) == 0) f.work = &workloads[i];
    for (int k = 0; k < KINDS; k++)
        if (strcmp(sites[k].name, word[1]) == 0) f.site = &sites[k];
    if (!f.work || !f.site) return 2;
    outcome o = {0};
    run_child(&f, &o);
    printf("%lu hits; left: blocks %ld, mapped %ld\n", (unsigned long)o.hits, (long)o.left.blocks, (long)o.left.mapped);
    return 0;
}

/* What the children write to. */
static void prepare(void)
{
    outcomes =
        (outcome *)mmap(NULL, sizeof(outcome) * JOBS_MOST, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcomes == MAP_FAILED) give_up("mmap");
    for (int i = 0; i < jobs; i++) {
        slots[i].said = memfd_create("said", 0);
        if (slots[i].said < 0) give_up("memfd_create");
    }
    /* Without these, what is left would count as -1 before and after. */
    if (count_entries("/proc/self/fd") < 0) give_up("/proc/self/fd");
    if (count_entries("/proc/self/task") < 0) give_up("/proc/self/task");
}

int main(int argc, char **argv)
{
    options opt = {1, UINT64_MAX, NULL, NULL};
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        uint64_t value = strtoul(argv[at + 1], NULL, 10);
        if (strcmp(argv[at], "--jobs") == 0 && value >= 1 && value <= JOBS_MOST) jobs = (int)value;
        if (strcmp(argv[at], "--every") == 0 && value >= 1) opt.every = value;
        if (strcmp(argv[at], "--most") == 0) opt.most = value;
    }
    mallopt(M_ARENA_MAX, 1);
    if (argc - at == 4) return one_case(argv + at);
    opt.work = at < argc ? argv[at] : NULL;
    opt.site = at + 1 < argc ? argv[at + 1] : NULL;
    prepare();
    for (int i = 0; i < workload_count; i++)
        if (!opt.work || strcmp(opt.work, workloads[i].name) == 0) run_workload(&workloads[i], &opt);
    printf("%lu faults; %lu of %lu rows of places were cut at their limit, beyond it nothing was tried\n",
           (unsigned long)injected, (unsigned long)rows_cut, (unsigned long)rows);
    printf("%lu passed, %lu failed\n", (unsigned long)passed, (unsigned long)failed);
    return failed || !passed;
}

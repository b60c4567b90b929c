/*
 * main.c: runs seeds, each in a child forked from this pristine process, and adds up.
 *
 * The child leaves a report in shared memory.  That it exits with 0 is not
 * enough: the report must say that the run came to its end.
 */
#include "sim/scenario.h"
#include "sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS_MOST = 16,
    REAL_SECONDS = 20,    /* of one run */
    BUDGET = 3000000,     /* steps of one run */
    TRACE_ROOM = 400000,  /* steps kept */
    HANDLER_BYTES = 65536 /* of stack */
};

void *__real_mmap(void *base, size_t bytes, int rights, int flags, int file, off_t offset);
int __real_munmap(void *base, size_t bytes);
int __real_sigaction(int signal, const struct sigaction *action, struct sigaction *before);
int __real_sigaltstack(const stack_t *stack, stack_t *before);
int __real_clock_gettime(clockid_t clock, struct timespec *now);

typedef struct slot {
    pid_t child;
    uint64_t seed, at;
    sim_plan plan;
    sim_report *report;
} slot;

typedef struct tally {
    uint64_t seeds, steps, switches, failed, faults, frozen, held, most_held;
} tally;

typedef struct options {
    uint64_t first, seeds, replay, at; /* at: step of the change; 0: as the seed says */
    bool sweep, one, trace, quiet, list;
    unsigned jobs;
    int failures_most;
    sim_wish wish;
} options;

static options opt = {.first = 1, .seeds = 20000, .jobs = 2, .failures_most = 10, .wish = {-1, -1, -1}};
static uint64_t points[64]; /* steps of a quiet run of each scenario */
static slot slots[JOBS_MOST];
static tally by_strategy[SIM_STRATEGIES], by_memory[SIM_MEMORIES], by_scenario[64], all;
static sim_record *trace;

/* The heap is the children's: what this process needs for itself must not move their addresses. */
static void *shared(size_t bytes)
{
    void *memory = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("sim: shared memory");
        exit(77);
    }
    return memory;
}

static double seconds(void)
{
    struct timespec now;
    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the child ---- */

static void on_death(int signal)
{
    sim_fail("killed by signal %d (%s)", signal, strsignal(signal));
}

static void catch_deaths(void)
{
    static char stack[HANDLER_BYTES];
    static const int deaths[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    __real_sigaltstack(&alternate, NULL);
    struct sigaction action = {.sa_handler = on_death, .sa_flags = SA_ONSTACK};
    for (size_t i = 0; i < sk_array_len(deaths); i++) __real_sigaction(deaths[i], &action, NULL);
    alarm(REAL_SECONDS);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

static void body(void *scenario)
{
    ((const sim_scenario *)scenario)->run();
}

static void child(const sim_plan *plan, sim_report *report)
{
    const sim_scenario *scenario = &sim_scenarios[plan->scenario];
    catch_deaths();
    sim.patience = sim_time_is_fair() ? scenario->patience : 20 * scenario->patience;
    sim.plan = *plan;
    if (!sim_time_is_fair() || plan->faults || plan->spurious) sim.patience = 10 * scenario->patience;
    sim.budget = BUDGET;
    sim.trace = trace;
    sim.trace_room = TRACE_ROOM;
    sim_run(plan, report, body, (void *)(uintptr_t)scenario);
    _exit(0);
}

static void start(slot *s, uint64_t seed, uint64_t at, const sim_plan *plan)
{
    s->seed = seed;
    s->at = at;
    s->plan = *plan;
    if (at) sim_plan_at(&s->plan, at);
    *s->report = (sim_report){.started_at = seed};
    fflush(NULL);
    s->child = fork();
    if (s->child < 0) {
        perror("sim: fork");
        exit(1);
    }
    if (s->child == 0) child(&s->plan, s->report);
}

/* What a plan is, in the words that make it again. */
static void print_plan(const sim_plan *p)
{
    printf("seed %llu: scenario %s, strategy %s over %s, memory %s", (unsigned long long)p->seed,
           sim_scenarios[p->scenario].name, sim_strategy_name(p->strategy), sim_strategy_name(p->base),
           sim_memory_name(p->memory));
    if (p->freeze_at) printf(", freeze at %llu", (unsigned long long)p->freeze_at);
    if (p->jumps) printf(", jumps");
    if (p->spurious) printf(", spurious");
    if (p->faults) printf(", faults");
    printf("\n");
}

static void print_failure(const slot *s, int status)
{
    const sim_report *r = s->report;
    printf("FAILED ");
    print_plan(&s->plan);
    if (r->message[0])
        printf("       %s\n       at %s\n", r->message, r->where);
    else
        printf("       ended with status %#x after %llu steps\n", (unsigned)status, (unsigned long long)r->steps);
    printf("       again: tools/sim --seed %llu --scenario %s --strategy %s --memory %s", (unsigned long long)s->seed,
           sim_scenarios[s->plan.scenario].name, sim_strategy_name(s->plan.strategy), sim_memory_name(s->plan.memory));
    if (s->at) printf(" --at %llu", (unsigned long long)s->at);
    printf(" --trace\n");
    fflush(stdout);
}

/* ---- adding up ---- */

static void add(tally *t, const slot *s, bool good)
{
    const sim_report *r = s->report;
    t->seeds++;
    t->steps += r->steps;
    t->switches += r->switches;
    t->failed += !good;
    t->faults += r->faults;
    t->frozen += r->frozen;
    t->held += r->held > 0;
    if (r->held > t->most_held) t->most_held = r->held;
}

/* Distinct traces: the hashes in a table that is kept half empty. */
static uint64_t *hashes, hashes_room, hashes_distinct;

static void add_hash(uint64_t hash)
{
    uint64_t at = hash * UINT64_C(0x9e3779b97f4a7c15) % hashes_room;
    while (hashes[at] && hashes[at] != hash) at = (at + 1) % hashes_room;
    hashes_distinct += hashes[at] == 0;
    hashes[at] = hash;
}

/* Waits for a child; its slot, or NULL when none runs. */
static slot *finish(bool *good)
{
    int status;
    pid_t child = waitpid(-1, &status, 0);
    for (unsigned i = 0; i < JOBS_MOST && child > 0; i++) {
        slot *s = &slots[i];
        if (s->child != child) continue;
        s->child = 0;
        *good = status == 0 && s->report->done;
        add(&all, s, *good);
        add(&by_strategy[s->plan.strategy], s, *good);
        add(&by_memory[s->plan.memory], s, *good);
        add(&by_scenario[s->plan.scenario], s, *good);
        if (hashes) add_hash(s->report->hash);
        if (!*good && all.failed <= (uint64_t)opt.failures_most) print_failure(s, status);
        return s;
    }
    return NULL;
}

static slot *free_slot(void)
{
    for (unsigned i = 0; i < opt.jobs; i++)
        if (!slots[i].child) return &slots[i];
    return NULL;
}

static void print_row(const char *name, const tally *t)
{
    if (!t->seeds) return;
    printf("%-12s %8llu %12llu %11llu %8llu %7llu %6llu %5llu %7llu\n", name, (unsigned long long)t->seeds,
           (unsigned long long)t->steps, (unsigned long long)t->switches, (unsigned long long)t->faults,
           (unsigned long long)t->frozen, (unsigned long long)t->held, (unsigned long long)t->most_held,
           (unsigned long long)t->failed);
}

static void print_totals(double took)
{
    printf("%-12s %8s %12s %11s %8s %7s %6s %5s %7s\n", "", "seeds", "points", "switches", "faults", "frozen", "held",
           "most", "failed");
    for (int i = 0; i < SIM_STRATEGIES; i++) print_row(sim_strategy_name((sim_strategy)i), &by_strategy[i]);
    for (int i = 0; i < SIM_MEMORIES; i++) print_row(sim_memory_name((sim_memory)i), &by_memory[i]);
    for (unsigned i = 0; i < sim_scenario_count; i++) print_row(sim_scenarios[i].name, &by_scenario[i]);
    print_row("all", &all);
    printf("%llu distinct traces; %.1f s, %.0f seeds a second\n", (unsigned long long)hashes_distinct, took,
           (double)all.seeds / took);
}

/* ---- the trace ---- */

static const char *const kinds[SIM_KINDS] = {"load",  "store",  "rmw",     "cas",   "fence", "relax", "yield",
                                             "clock", "wait",   "wake",    "sleep", "alloc", "free",  "map",
                                             "unmap", "advise", "protect", "start", "join",  "end",   "enter",
                                             "leave", "grace",  "barrier", "once",  "key"};

static int by_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorted, each once. */
static size_t distinct(uint64_t *list, size_t n)
{
    qsort(list, n, sizeof *list, by_address);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!kept || list[kept - 1] != list[i]) list[kept++] = list[i];
    return kept;
}

/* Asks addr2line for the file and line of each place. */
static void name_places(const uint64_t *place, char (*name)[80], size_t n)
{
    char command[256], list[] = "/tmp/sim-places-XXXXXX";
    int file = mkstemp(list);
    FILE *out = file >= 0 ? fdopen(file, "w") : NULL;
    if (!out) return;
    for (size_t i = 0; i < n; i++) fprintf(out, "%llx\n", (unsigned long long)place[i] - 1);
    fclose(out);
    snprintf(command, sizeof command, "addr2line -s -f -e /proc/%d/exe <%s | paste -d' ' - -", (int)getpid(), list);
    FILE *in = popen(command, "r");
    for (size_t i = 0; in && i < n && fgets(name[i], sizeof name[i], in); i++) name[i][strcspn(name[i], "\n")] = 0;
    if (in) pclose(in);
    unlink(list);
}

static void print_trace(const sim_report *r)
{
    uint64_t n = r->steps < TRACE_ROOM ? r->steps : TRACE_ROOM;
    uint64_t *place = (uint64_t *)shared((n + 1) * sizeof *place);
    for (uint64_t i = 0; i < n; i++) place[i] = trace[i].place;
    size_t places = distinct(place, n);
    char(*name)[80] = (char(*)[80])shared((places + 1) * sizeof *name);
    name_places(place, name, places);
    for (uint64_t i = r->steps - n; i < r->steps; i++) {
        const sim_record *t = &trace[i % TRACE_ROOM];
        const uint64_t *at = (const uint64_t *)bsearch(&t->place, place, places, sizeof *place, by_address);
        printf("%8llu %11.3f us %-12s %-7s %12llx = %-16llx %s\n", (unsigned long long)t->step, (double)t->now / 1e3,
               t->name, kinds[t->kind], (unsigned long long)t->word, (unsigned long long)t->value,
               at ? name[at - place] : "");
    }
}

/* ---- what is asked for ---- */

static void calibrate(void)
{
    for (unsigned i = 0; i < sim_scenario_count; i++) {
        sim_plan plan;
        bool good;
        sim_plan_quiet(&plan, i);
        start(&slots[0], i, 0, &plan);
        slot *s = finish(&good);
        points[i] = s ? s->report->steps : 1;
        if (opt.list) printf("%-12s %llu points\n", sim_scenarios[i].name, (unsigned long long)points[i]);
        if (opt.list && s) printf("%12s %.3f ms of virtual time\n", "", (double)s->report->virtual_ns / 1e6);
        if (!good) exit(1);
    }
    memset(&all, 0, sizeof all);
    memset(by_strategy, 0, sizeof by_strategy);
    memset(by_memory, 0, sizeof by_memory);
    memset(by_scenario, 0, sizeof by_scenario);
}

static void run_seeds(uint64_t each)
{
    double begin = seconds();
    uint64_t runs = opt.seeds * each;
    hashes_room = 2 * runs + 64;
    hashes = (uint64_t *)shared(hashes_room * sizeof *hashes);
    bool good;
    for (uint64_t i = 0; i < runs; i++) {
        sim_plan plan;
        sim_plan_make(&plan, opt.first + i / each, &opt.wish, points);
        slot *s = free_slot();
        if (!s) s = finish(&good);
        start(s, plan.seed, opt.at, &plan);
        if (opt.one && each == 1) print_plan(&plan);
        if (all.failed >= (uint64_t)opt.failures_most && !opt.one) break;
    }
    while (finish(&good)) {
    }
    print_totals(seconds() - begin);
}

/* One seed, with its change at every step of its run in turn. */
static void sweep(void)
{
    double begin = seconds();
    sim_plan plan;
    bool good = true;
    sim_plan_make(&plan, opt.first, &opt.wish, points);
    start(&slots[0], plan.seed, 0, &plan);
    slot *s = finish(&good);
    uint64_t steps = s ? s->report->steps : 0;
    print_plan(&plan);
    hashes_room = 2 * steps + 64;
    hashes = (uint64_t *)shared(hashes_room * sizeof *hashes);
    for (uint64_t at = 1; at <= steps && all.failed < (uint64_t)opt.failures_most; at++) {
        s = free_slot();
        if (!s) s = finish(&good);
        start(s, plan.seed, at, &plan);
    }
    while (finish(&good)) {
    }
    print_totals(seconds() - begin);
}

static int finish_line(uint64_t good, uint64_t bad)
{
    printf("%llu passed, %llu failed\n", (unsigned long long)good, (unsigned long long)bad);
    return bad ? 1 : 0;
}

static int usage(void)
{
    printf("usage: ./dev sim [OPTION...]\n"
           "  --seeds N        run so many seeds (20000)\n"
           "  --from S         beginning with this one (1)\n"
           "  --seed S         run this seed only\n"
           "  --trace          with --seed: print every point: step, virtual time, strand, operation, word = value, "
           "place\n"
           "  --at K           with freeze: the strand is stopped at step K; else: the first preemption or change is "
           "there\n"
           "  --sweep          one seed, with that step at each point of its run in turn\n"
           "  --replay N       run each seed N times: all must leave the same trace\n"
           "  --scenario X     this scenario, whatever the seed says\n"
           "  --strategy X     random pct1 pct2 pct3 bound2 freeze jumps spurious faults chaos\n"
           "  --memory X       sc: sequentially consistent; tso: stores are late; pso: and overtake each other\n"
           "  --tso            the same as --memory tso\n"
           "  --jobs N         so many at a time (2)\n"
           "  --failures N     stop after so many (10)\n"
           "  --list           the scenarios, and how many points each takes\n");
    return 2;
}

static int index_of(const char *word, const char *(*name)(int), int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, name(i)) == 0) return i;
    fprintf(stderr, "sim: there is no '%s'\n", word);
    exit(2);
}

static const char *scenario_name(int i)
{
    return sim_scenarios[i].name;
}

static const char *strategy_name(int i)
{
    return sim_strategy_name((sim_strategy)i);
}

static const char *memory_name(int i)
{
    return sim_memory_name((sim_memory)i);
}

/* One option with its value; how many words it took, 0: unknown. */
static int take_option(const char *word, const char *value)
{
    if (!strcmp(word, "--trace")) return opt.trace = true, 1;
    if (!strcmp(word, "--sweep")) return opt.sweep = true, 1;
    if (!strcmp(word, "--list")) return opt.list = true, 1;
    if (!strcmp(word, "--tso")) return opt.wish.memory = SIM_TSO, 1;
    if (!value) return 0;
    uint64_t number = strtoull(value, NULL, 10);
    if (!strcmp(word, "--seeds")) return opt.seeds = number, 2;
    if (!strcmp(word, "--from")) return opt.first = number, 2;
    if (!strcmp(word, "--seed")) return opt.first = number, opt.seeds = 1, opt.one = true, 2;
    if (!strcmp(word, "--replay")) return opt.replay = number, 2;
    if (!strcmp(word, "--at")) return opt.at = number, 2;
    if (!strcmp(word, "--jobs")) return opt.jobs = number && number <= JOBS_MOST ? (unsigned)number : 2, 2;
    if (!strcmp(word, "--failures")) return opt.failures_most = (int)number, 2;
    if (!strcmp(word, "--scenario"))
        return opt.wish.scenario = index_of(value, scenario_name, (int)sim_scenario_count), 2;
    if (!strcmp(word, "--strategy")) return opt.wish.strategy = index_of(value, strategy_name, SIM_STRATEGIES), 2;
    if (!strcmp(word, "--memory")) return opt.wish.memory = index_of(value, memory_name, SIM_MEMORIES), 2;
    return 0;
}

/* Each seed several times: the number of distinct traces must be that of the seeds. */
static int replay(void)
{
    uint64_t different = 0;
    uint64_t first = opt.first, seeds = opt.seeds;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        hashes_distinct = 0;
        opt.first = seed;
        opt.seeds = 1;
        double begin = seconds();
        bool good;
        hashes_room = 2 * opt.replay + 64;
        hashes = (uint64_t *)shared(hashes_room * sizeof *hashes);
        for (uint64_t i = 0; i < opt.replay; i++) {
            sim_plan plan;
            sim_plan_make(&plan, seed, &opt.wish, points);
            slot *s = free_slot();
            if (!s) s = finish(&good);
            start(s, seed, opt.at, &plan);
        }
        while (finish(&good)) {
        }
        __real_munmap(hashes, hashes_room * sizeof *hashes);
        different += hashes_distinct != 1;
        if (hashes_distinct != 1 || seeds <= 10)
            printf("%s seed %llu: %llu runs, %llu distinct traces, %.1f s\n",
                   hashes_distinct == 1 ? "ok    " : "FAILED", (unsigned long long)seed, (unsigned long long)opt.replay,
                   (unsigned long long)hashes_distinct, seconds() - begin);
    }
    return finish_line(seeds - different, different);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(), 0;
    for (int i = 1, used; i < argc; i += used) {
        used = take_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (!used) return usage();
    }
    for (unsigned i = 0; i < JOBS_MOST; i++) slots[i].report = (sim_report *)shared(sizeof(sim_report));
    sim_memory_reserve();
    calibrate();
    if (opt.list) return 0;
    if (opt.replay) return replay();
    if (opt.trace) trace = (sim_record *)shared(TRACE_ROOM * sizeof *trace);
    if (opt.sweep)
        sweep();
    else
        run_seeds(1);
    if (opt.trace) print_trace(slots[0].report);
    return finish_line(all.seeds - all.failed, all.failed);
}

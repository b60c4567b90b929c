/*
 * main.c: freeze SITES OUT EVERY OFFSET VICTIM SECONDS SEED: passes over every EVERY-th instruction listed in SITES,
 * for threads of one kind (worker, foreign, monitor).
 *
 * In a round, breakpoints stand at all instructions of which the pass has not
 * had one yet, and a burst of tasks runs.  The first thread of the wanted kind
 * that meets one is frozen there.  What was under way must end without it, then
 * a fresh batch as well; then it may go on, and all must end.  A line of OUT
 * tells of each: pass, address, the tasks by reason (see fz_why), the two times
 * in microseconds, `stuck` or `-`, and the chain of calls.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "freeze.h"
#include "runtime/worker.h"

enum {
    STUCK_NS = 2000000000,        /* the machine may be busy with other things */
    STUCK_MONITOR_NS = 250000000, /* its remedies are what else could take long */
    HUNG_S = 40,
    LATEST_PLANT_NS = 1500000,
    HIT_NS = 4000000,
    WORKERS = 4
};

typedef struct pass {
    const char *name;
    fz_role victim;
    bool fresh;       /* a new runtime for each burst, whose queues are to grow */
    unsigned percent; /* of the time */
    unsigned dry;     /* it is over after so many bursts without a hit */
} pass;

/* A pass with the same victim as the one before goes on with what that has left. */
static const pass passes[] = {
    {"worker", FZ_WORKER, false, 85, 400},     {"growth", FZ_WORKER, true, 15, 200},
    {"foreign", FZ_FOREIGN, false, 100, 200},  {"monitor", FZ_MONITOR, false, 60, 200},
    {"controller", FZ_MONITOR, true, 40, 200},
};

static FILE *out;
static size_t n_sites;
static uint8_t *wanted;
static uint32_t seed = 1;
static unsigned rounds;

static void report(const pass *p, const fz_verdict *old, uint64_t old_us, const fz_verdict *fresh, uint64_t fresh_us)
{
    fprintf(out, "%s %zx", p->name, fz_site_address(fz_now.site));
    for (int i = 0; i < FZ_WHYS; i++) fprintf(out, " %u", old->n[i] > fresh->n[i] ? old->n[i] : fresh->n[i]);
    fprintf(out, " %llu %llu %s", (unsigned long long)old_us, (unsigned long long)fresh_us,
            old->stuck || fresh->stuck ? "stuck" : "-");
    for (unsigned i = 0; i < fz_now.depth; i++) fprintf(out, " %zx", fz_now.chain[i]);
    fprintf(out, "\n");
    fflush(out);
}

static uint64_t us_between(uint64_t begin, uint64_t end)
{
    return end > begin ? (end - begin) / 1000 : 0;
}

/* First what was under way, without a word from outside that could wake anybody; then one task, which wakes one worker;
   then many. */
static void judge(const pass *p)
{
    uint64_t limit = p->victim == FZ_MONITOR ? STUCK_MONITOR_NS : STUCK_NS;
    fz_burst_hurry();
    fz_verdict old = fz_settle(true, limit, NULL), fresh = old;
    uint64_t old_us = us_between(fz_now.at_ns, old.last_ended), begin = fz_clock();
    if (!old.stuck) {
        fz_fresh_task();
        fresh = fz_settle(true, limit, &old);
        begin = fz_clock();
    }
    if (!old.stuck && !fresh.stuck) {
        fz_fresh_batch();
        fresh = fz_settle(true, limit, &old);
    }
    report(p, &old, old_us, &fresh, us_between(begin, fresh.last_ended));
    if (old.stuck || fresh.stuck) {
        fprintf(stderr, "stuck, %s, frozen at %zx\n", old.stuck ? "what was under way" : "the fresh batch",
                fz_site_address(fz_now.site));
        fz_dump(true);
    }
    wanted[fz_now.site] = 0;
    rounds++;
    fz_thaw();
}

/* A call of ours into the library has not come back: it waits for the frozen thread. */
static void on_alarm(int signal)
{
    (void)signal;
    dprintf(fileno(out), "hung %zx\n", fz_site_address(fz_now.site));
    _exit(1);
}

/* What is wrong with what has become of it, now that all have ended; NULL: nothing. */
static const char *fault_of(const fz_record *r)
{
    uint32_t flags = r->flags;
    if (r->runs > 1) return "twice";
    if (r->runs && !(flags & FZ_ACCEPTED)) return "refused";
    return !r->runs && (flags & FZ_ACCEPTED) && !(flags & FZ_LOOSE) ? "missed" : NULL;
}

/* Each that was accepted has run once; or not at all when it may be given up. What was refused has not run. */
static void check_runs(void)
{
    for (uint32_t i = 0; i < FZ_RECORDS && i < fz_records_used; i++) {
        fz_record *r = &fz_records[i];
        const char *fault = fault_of(r);
        if (!fault) continue;
        fprintf(stderr, "%s: record %u has run %u times: kind %d, flags %x, lane %d; rounds %u, seed %u\n", fault, i,
                r->runs, r->kind, r->flags, r->lane, rounds, seed);
        fprintf(out, "%s %zx\n", fault, fz_site_address(fz_now.site));
        fflush(out);
    }
}

/* All must end, each after having run once. */
static void end_burst(void)
{
    fz_burst_hurry();
    fz_verdict v = fz_settle(false, 10 * (uint64_t)STUCK_NS, NULL);
    if (v.stuck) {
        fprintf(stderr, "not all tasks end with nobody frozen (last frozen at %zx)\n", fz_site_address(fz_now.site));
        fz_dump(false);
        fprintf(out, "lost %zx\n", fz_site_address(fz_now.site));
        fclose(out);
        _exit(1);
    }
    check_runs();
}

static void pause_until(uint64_t until)
{
    uint64_t now = fz_clock();
    struct timespec t = {0, until > now ? (long)(until - now) : 1};
    nanosleep(&t, NULL);
}

/* Whether somebody stands, while there is something under way to meet a breakpoint. */
static bool wait_for_hit(const pass *p)
{
    uint64_t until = fz_clock() + HIT_NS;
    for (uint64_t now; (now = fz_clock()) < until;) {
        if (fz_trapped(now + HIT_NS / 16)) return true;
        if (p->victim != FZ_MONITOR && fz_burst_over() && until > now + HIT_NS / 8) until = now + HIT_NS / 8;
    }
    return false;
}

/* One round; whether somebody was frozen. */
static bool round_of(const pass *p)
{
    alarm(HUNG_S);
    if (p->fresh)
        fz_open(WORKERS - 1, false,
                seed % 3   ? SKUA_ADJUST_FIXED
                : seed % 2 ? SKUA_ADJUST_BACKLOG
                           : SKUA_ADJUST_BLOCKING);
    fz_monitor_is(&fz_runtime->monitor->thread.handle);
    uint64_t now = fz_clock();
    seed++;
    /* Now and then the breakpoints are there from the start, when all sleep; else somewhere in the burst. */
    bool at_once = seed % 4 == 0;
    uint64_t plant_at = now + seed * UINT64_C(2654435761) % LATEST_PLANT_NS;
    if (at_once) fz_plant(wanted, p->victim);
    fz_burst_begin(seed, p->fresh ? FZ_GROWTH : 0);
    skua_runtime_resize(fz_runtime, p->fresh ? WORKERS + 1 : WORKERS - seed % 2);
    if (!at_once) {
        pause_until(plant_at);
        fz_plant(wanted, p->victim);
    }
    if (seed % 3) skua_runtime_resize(fz_runtime, WORKERS - 1 - seed % 2);
    bool hit = wait_for_hit(p);
    fz_unplant();
    hit = hit || fz_trapped(0); /* it may just have got there */
    if (hit) judge(p);
    end_burst();
    fz_monitor_is(NULL);
    if (p->fresh) fz_close();
    return hit;
}

static void run(const pass *p, unsigned seconds)
{
    uint64_t end = fz_clock() + (uint64_t)seconds * p->percent * 10000000;
    unsigned dry = 0, before = rounds;
    if (!p->fresh) fz_open(WORKERS, true, SKUA_ADJUST_FIXED);
    while (dry < p->dry && fz_clock() < end) dry = round_of(p) ? 0 : dry + 1;
    if (!p->fresh) fz_close();
    fprintf(stderr, "pass %s: %u frozen%s\n", p->name, rounds - before, dry < p->dry ? ", time was up" : "");
}

int main(int argc, char **argv)
{
    if (argc != 8) return 2;
    int error = fz_load_sites(argv[1], &n_sites);
    if (error) {
        fprintf(stderr, error == 77 ? "text cannot be made writable here\n" : "no list of instructions\n");
        return error;
    }
    size_t every = (size_t)atoi(argv[3]), offset = (size_t)atoi(argv[4]);
    out = fopen(argv[2], "w");
    wanted = calloc(n_sites, 1);
    if (!out || !wanted || !every) return 2;
    for (size_t i = offset; i < n_sites; i += every) wanted[i] = 1;
    seed = (uint32_t)(offset * 1000) + (uint32_t)atoi(argv[7]);
    fz_i_am(FZ_CONTROL, NULL);
    signal(SIGALRM, on_alarm);
    fz_load_init();
    fz_role victim = !strcmp(argv[5], "worker") ? FZ_WORKER : !strcmp(argv[5], "foreign") ? FZ_FOREIGN : FZ_MONITOR;
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++)
        if (passes[i].victim == victim) run(&passes[i], (unsigned)atoi(argv[6]));
    fclose(out);
    return 0;
}

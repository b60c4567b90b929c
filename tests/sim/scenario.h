/*
 * scenario.h: what a scenario sees: threads of its own, the seed's choices, and
 * jobs, whose fate is counted.
 *
 * A scenario is a small program that uses skua as a user's program would.  Its
 * own variables are plain: everything runs on one OS thread and is switched only
 * at points, that is inside of the library's calls.
 */
#ifndef SK_TESTS_SIM_SCENARIO_H
#define SK_TESTS_SIM_SCENARIO_H

#include "skua/skua.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct sim_scenario {
    const char *name;
    void (*run)(void);
    uint64_t patience; /* virtual ns within which it must end when nothing is done to it */
} sim_scenario;

extern const sim_scenario sim_scenarios[];
extern const unsigned sim_scenario_count;

/* Ends the run as a failure. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define sim_expect(cond)                                                                                               \
    do {                                                                                                               \
        if (!(cond)) sim_fail("%s:%d: expected: %s", __FILE__, __LINE__, #cond);                                       \
    } while (0)
#define sim_expect_eq(got, want)                                                                                       \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) sim_fail("%s:%d: %s is %lld, expected %lld", __FILE__, __LINE__, #got, got_, want_);        \
    } while (0)

/* A choice of the seed: from..to, both included. */
uint32_t sim_choose(uint32_t from, uint32_t to);

/* Whether the machine may refuse memory and threads in this run. */
bool sim_may_refuse(void);

/* From here on a runtime or a pool may come to its end while others still use it: until then nothing may be refused
   with -ESHUTDOWN. */
void sim_allow_end(void);
bool sim_may_end(void);

/* Whether time passes as a program may count on: nobody is frozen, the clock does not jump. */
bool sim_time_is_fair(void);

/* ---- foreign threads ---- */

typedef struct sim_thread {
    int id;
} sim_thread;
sim_thread sim_thread_start(const char *name, void (*fn)(void *), void *arg);
void sim_thread_wait(sim_thread thread);

/* The calling thread, and whoever it carries, is gone for that long: a system call that takes time. */
void sim_nap(uint64_t ns);

/* The same until `ns` after the next time at which somebody else wakes by itself (the monitor, say). */
void sim_nap_beside(uint64_t ns);

/* ---- jobs ---- */

enum { SIM_JOBS = 400 };

typedef struct sim_job {
    int (*body)(struct sim_job *job);
    uint32_t n;       /* the body's */
    uint64_t ns;      /* the body's */
    void *what;       /* the body's */
    skua_task handle; /* when it was spawned with one */
    int accepted;     /* by a call that returned 0 */
    int started, returned, result;
} sim_job;

extern sim_job sim_jobs[SIM_JOBS];
extern unsigned sim_job_count;

/* The next job; not accepted yet. */
sim_job *sim_job_new(int (*body)(sim_job *job), uint32_t n, uint64_t ns);

/* The skua_fn of every job. */
int sim_job_run(void *job);

/* Notes what the call that was to start the job returned: 0, or an error that the machine or a stop explains. */
bool sim_job_accepted(sim_job *job, int error);

/* Spawns it on a runtime (NULL: the caller's). False: refused. */
bool sim_job_spawn(skua_runtime *rt, sim_job *job);
bool sim_job_go(sim_job *job);

/* Joins it and checks its result. */
void sim_job_join(sim_job *job);

/* Bodies: return n; yield n times; sleep ns; a bracketed call of ns. All return n. */
int sim_body_return(sim_job *job);
int sim_body_yield(sim_job *job);
int sim_body_sleep(sim_job *job);
int sim_body_block(sim_job *job);

/* Every accepted job has started and returned exactly once (all), or at most once (not all). */
void sim_jobs_check(bool all);

/* ---- runtimes ---- */

/* A runtime of that many workers, which the checks watch; NULL when the machine refused. */
skua_runtime *sim_runtime(uint32_t workers);
skua_runtime *sim_runtime_with(const skua_runtime_options *options);
void sim_watch(skua_runtime *rt);

/* From here on every task in a queue has been announced (no task yields): none may be beside a sleeping worker, even
   when the queue's own worker is awake and its thread gone. */
void sim_expect_announced(bool expected);

/* A snapshot; must add up. */
skua_stats sim_stats(skua_runtime *rt);

/* Releases it; before that its counters must agree with the jobs when `own` (all jobs are this runtime's). */
void sim_release(skua_runtime *rt, bool own);

/* Heap blocks that may be left at the end, besides none: a pool keeps its queue's slots with its memory. */
void sim_allow_blocks(unsigned n);

#endif

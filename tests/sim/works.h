/*
 * works.h: works: submissions to pools, whose fate is counted; and tiers, which
 * know how many of them run.
 *
 * A job (scenario.h) runs at most once.  A work may be tried again, may give up,
 * may be run by its submitter, and has a callback and a future by choice.
 */
#ifndef SK_TESTS_SIM_WORKS_H
#define SK_TESTS_SIM_WORKS_H

#include "sim/scenario.h"

enum { SIM_WORKS = 160, SIM_TIERS = 8 };

/* A pool, and what may be going on in it. */
typedef struct sim_tier {
    skua_pool *pool;
    struct sim_tier *above;
    uint32_t limit;    /* the highest that it has had; 0: none */
    uint32_t running;  /* works between their start and their return, but for those that their submitter runs */
    uint32_t accepted; /* of its own */
} sim_tier;

typedef struct sim_work {
    int (*body)(struct sim_work *work); /* NULL: a bit of everything, see sim_work_run */
    sim_tier *at;                       /* NULL: none that counts */
    uint32_t steps;                     /* of the body */
    uint64_t ns;                        /* how long its naps are */
    int result;                         /* what it is to end with */
    uint32_t good_at;                   /* the attempt from which on it gives 0; 0: none */
    bool gives_up;                      /* instead of returning `result` */
    uint32_t most;                      /* attempts that there may be */
    bool asks;                          /* has a callback */
    bool timed;                         /* an attempt may be late */
    int accepted;
    uint32_t cancelled_by; /* the marks of cancellations that found it accepted */
    uint32_t cap;          /* no attempt after so many: it was cancelled */
    uint32_t started, returned, gave_up, called;
    bool inside;     /* an attempt is under way */
    int outcome;     /* what the callback was told */
    int last;        /* what the last attempt ended with */
    void *what;      /* the scenario's */
    uint32_t number; /* the scenario's */
} sim_work;

/* Around a call that asks works to end: of those that it must find, at most the attempt that was on its way may start
   afterwards. at: the tier whose works, and those of tiers below it, are asked; NULL: all. */
uint32_t sim_cancel_begins(const sim_tier *at);
void sim_cancel_over(uint32_t mark);

extern sim_work sim_works[SIM_WORKS];
extern unsigned sim_work_count;

/* The next work, for a tier, with steps, naps and a result by chance; NULL: there is no room for more. */
sim_work *sim_work_new(sim_tier *at);

/* The skua_fn of every work; and its callback (skua_result_fn). */
int sim_work_run(void *work);
void sim_work_ended(void *work, void *given, int result);

/* What a work without a body does: yields, sleeps, blocking calls; 0, or why it is to end. For bodies. */
int sim_work_steps(sim_work *work);

/* Options by chance: deadlines, retries, callbacks. Sets what the work has to expect of them. */
void sim_work_options(sim_work *work, skua_submit_options *options, uint32_t levels);

/* Notes what a submission said. `may`: errors that it may have said, ended by 0, besides those of a machine that
   refuses, of a stop, and of a caller that is asked to end. */
bool sim_work_accepted(sim_work *work, int error, const int *may);

/* Whether a call may say so in a world like this: a machine that refuses, a pool or runtime that ends, a calling task
   that is asked to end. */
bool sim_is_excused(int error);

/* A tier over a pool with these options; the pool is NULL when the machine refused. */
void sim_tier_open(sim_tier *t, skua_pool_options *options, sim_tier *above);
void sim_tier_tune(sim_tier *t, uint32_t limit);

/* A length of a pool's queue by chance, SKUA_POOL_NO_QUEUE among them. */
uint32_t sim_queue(void);

/* A snapshot, which must add up. False: released. */
bool sim_tier_look(const sim_tier *t, skua_pool_counts *out);
void sim_counts_look(const skua_pool_counts *c);

/* Waits, with and without a time limit, until the pool is at rest. */
void sim_tier_wait(sim_tier *t);

void sim_tier_cancel(sim_tier *t);

/* Tunes, pauses, looks, cancels, stops and restarts, by chance. */
void sim_tiers_disturb(sim_tier *tier, uint32_t tiers);

/* The tier is at rest: its counters and those of its works are one. `below`: how many works its subpools have
   accepted. */
void sim_tier_check(const sim_tier *t, uint32_t below);

/* The same of counters that are not those of one pool. */
void sim_counts_check(const sim_tier *t, const skua_pool_counts *c, uint32_t below);

/* Releases it, whatever the machine refuses. */
void sim_tier_close(sim_tier *t);

/* Two threads, and a task (rt: of which runtime; NULL: none), call fn(arg), while the calling thread calls
   meanwhile(what), unless that is NULL. */
void sim_beside(skua_runtime *rt, void (*fn)(void *), void *arg, void (*meanwhile)(void *), void *what);

/* Every work has had its due: nobody is inside, no attempt too many, each callback once. */
void sim_works_check(void);

/* Stops and releases the runtime; its counters need not be those of the works. */
void sim_end_runtime(skua_runtime *rt);

#endif

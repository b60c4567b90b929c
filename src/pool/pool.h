/*
 * pool.h: the pool object, and what its parts know of each other.
 *
 *   slots.c   who may start: slots, the pump, the end of a task, subpools
 *   submit.c  the way in: the queue, and what happens when it is full
 *   submit_with.c  the same with options, defaults of the pool, futures
 *   room.c    waiting for room, and who must not
 *   storage.c  tasks in memory of the caller's
 *   create.c  options, memory, the default pool
 *   life.c    limit, wait, stop, restart, release
 *   cancel.c  all tasks of a pool are asked to end
 *   counts.c  counters
 *   times.c   how long its tasks wait and run, by choice
 *   progress.c  how far it has come
 *   fault.c   tasks that give up
 *   job.c     submissions of which more is asked than a call, from hand to hand
 *   attempt.c  their attempts and callbacks
 *   future.c  the same for those who wait for one
 *   lanes.c   tasks one after another, as a kind of subpool
 *
 * README.md has the nouns and the way through; QUEUE.md, WAITING.md, JOBS.md and
 * GROUPS.md argue why nothing is stranded.
 * I: never changes after init.
 */
#ifndef SK_POOL_POOL_H
#define SK_POOL_POOL_H

#include "os/clock.h"
#include "pool/backlog.h"
#include "pool/times.h"
#include "pool/waitq.h"
#include "runtime/sched.h"
#include "skua/pool.h"

/* See life.c. DROPPING: stopped, and nothing more is to start. What is above OPEN is closed. */
enum { SK_POOL_FREE = 0, SK_POOL_OPEN = 1, SK_POOL_STOPPED = 2, SK_POOL_DROPPING = 3 };

/* What stands in `limit`: the number of slots (SK_POOL_NO_LIMIT: any number), and above it whether the pool pauses. */
#define SK_POOL_PAUSED (UINT64_C(1) << 63)
#define SK_POOL_NO_LIMIT (SK_POOL_PAUSED - 1)

/* Somebody who is told of each end in a pool, before its slot is given back: any thread, must not park. */
typedef struct sk_pool_hook {
    void (*ended)(struct sk_pool_hook *hook, sk_worker *w, sk_task *t, sk_end end, int result);
    /* NULL, or asked by submitters that wait for room: 0, or why they should not. Who changes the answer wakes `room`.
     */
    int (*refuses)(struct sk_pool_hook *hook);
} sk_pool_hook;

#define SK_FAULT_WORDS ((sizeof(skua_fault) + 7) / 8)

/* The first fault since the last wait, see fault.c. */
typedef struct sk_pool_fault {
    sk_atomic(uint64_t) word;
    sk_atomic(uint64_t) text[SK_FAULT_WORDS]; /* a skua_fault */
} sk_pool_fault;

/* What progress.c knows of a pool. */
typedef struct sk_progress {
    sk_atomic(uint64_t) expected; /* tasks announced */
    sk_atomic(uint64_t) ended;    /* the most that was told */
    sk_atomic(uint64_t) rate;     /* tasks per second: the bits of a double */
    sk_atomic(uint32_t) taken;    /* 1: somebody has what follows, and else looks at nothing but `rate` */
    uint64_t since;               /* ns: when the last sample was taken */
    uint64_t covered;             /* ns that the rate is a mean of */
    uint64_t sampled;             /* tasks ended by then */
} sk_progress;

struct skua_pool {
    sk_task_owner owner;                         /* I: what the tasks point to */
    void *link;                                  /* of the slab's free list */
    sk_atomic(uint32_t) state;                   /* SK_POOL_* */
    skua_when_full when_full;                    /* I */
    bool plain;                                  /* I: no parent, no levels, no defaults, but a queue */
    sk_pool_hook *hook;                          /* I from before the first submission; NULL: none */
    skua_pool *parent;                           /* I; NULL: none */
    sk_atomic(uint64_t) limit;                   /* seldom changes */
    sk_times *times;                             /* I; NULL: it is not measured */
    skua_fn *fn;                                 /* I: of skua_pool_invoke */
    uint64_t wait_at_most;                       /* I: ns; 0: without limit */
    uint32_t waiters;                            /* I: how many may stand before a full queue; 0: any number */
    bool queueless;                              /* I: nothing is queued; a task that is accepted starts */
    bool has_defaults;                           /* I: `defaults` are to be looked at */
    sk_chore pump_chore;                         /* I */
    sk_task *pump;                               /* I: the object that carries the chore */
    sk_atomic(uint32_t) pumping;                 /* SK_PUMP_* */
    sk_chore room_chore;                         /* I but for its link */
    sk_atomic(uint32_t) owes;                    /* 1: it is with the monitor */
    SK_LINE_ALIGNED sk_atomic(uint64_t) running; /* slots taken, see sk_slots_of */
    sk_atomic(uint64_t) ended[SK_ENDS];          /* all but done, which is what is left */
    sk_atomic(uint32_t) inside;                  /* threads that have given slots back and are not done yet */
    SK_LINE_ALIGNED sk_waitq room;               /* submitters before a full queue */
    sk_waitq rest;                               /* those who wait for the end of all */
    sk_atomic(uint64_t) standing;                /* submitters that wait for room */
    sk_atomic(uint64_t) refused;                 /* submissions that found no room, in vain */
    sk_atomic(uint64_t) direct;                  /* accepted without the queue: all of them have left it, so to speak */
    SK_LINE_ALIGNED sk_atomic(uint32_t) submitting; /* calls of submit under way */
    sk_atomic(uint32_t) waiting;                    /* calls of wait, stop and release under way */
    sk_atomic(uint64_t) stuck; /* tasks that hold a slot here and wait for room in our queue, or in one below */
    /* --- subpools --- */
    SK_LINE_ALIGNED sk_inject
        hungry;                    /* subpools that have found no slot here, until our pump tells them to try again */
    sk_inject_link hungry_link;    /* in the parent's list */
    sk_atomic(uint32_t) is_hungry; /* 1: it is there */
    sk_atomic(bool) was_alone;     /* nobody else was there when it came: a hint, see sk_pool_is_alone_hungry */
    sk_atomic(uint32_t) granted;   /* 1: it is its turn to take a slot of the parent */
    bool fed;                      /* the pump's: the hungry had their turn last */
    sk_atomic(uint32_t) children;  /* subpools that have not been released */
    sk_atomic(uint32_t) leaving;   /* of these, being released: out of the list with them, slot or not */
    sk_atomic(uint64_t) below_submitted, below_ended[SK_ENDS]; /* by subpools, released ones included */
    SK_LINE_ALIGNED sk_backlog backlog;
    /* --- jobs, see job.c; what is 64 bits wide only grows, and `again` never passes `backed_off` --- */
    SK_LINE_ALIGNED sk_atomic(uint64_t) backed_off; /* attempts that ended to be followed by another */
    sk_atomic(uint64_t) again;                      /* of these: the next one is in the queue, or will never be */
    sk_atomic(uint64_t) retried;                    /* attempts after the first, here and below */
    sk_atomic(uint64_t) sweeps, swept;              /* of cancel and stop_now: begun, and over */
    sk_atomic(uint64_t) life;                       /* the number of this life of the memory, for rescue.c */
    sk_atomic(uint64_t) steps;                      /* see sk_pool_begin_step */
    sk_progress progress;
    sk_atomic(bool) keeping; /* a job has backed off that keeps its slot */
    /* --- faults, see fault.c; and what submissions get that do not say otherwise --- */
    SK_LINE_ALIGNED sk_pool_fault fault;
    skua_fault_policy on_fault;        /* I */
    skua_fault_handler *fault_handler; /* I; NULL: none */
    void *fault_arg;                   /* I */
    skua_submit_options defaults;      /* I: its times, retry and ended */
    /* --- for sweeps, which may come to a pool that is being made --- */
    sk_atomic(skua_pool *) above;         /* I: the parent */
    sk_atomic(struct skua_group *) group; /* I: whose pool it is; NULL: of none */
};

/* What stands in `pumping`: whether the pump is about (in a queue, or at work), and whether the monitor watches it. */
enum { SK_PUMP_OUT = 1, SK_PUMP_WATCHED = 2 };

/* Whether the pump is about. A hint. */
static inline bool sk_pool_is_pumping(skua_pool *pool)
{
    return sk_load_rlx(&pool->pumping) & SK_PUMP_OUT;
}

/* What stands in `running`: slots of the pool's own tasks in the low half, of its subpools' above. */
#define SK_SLOT_OWN UINT64_C(1)
#define SK_SLOT_BELOW (UINT64_C(1) << 32)

static inline uint64_t sk_slots_of(uint64_t word)
{
    return (word & (SK_SLOT_BELOW - 1)) + (word >> 32);
}

/* How many slots are taken, in all. A hint. */
static inline uint64_t sk_pool_running(const skua_pool *pool)
{
    return sk_slots_of(sk_load_rlx((sk_atomic(uint64_t) *)&pool->running));
}

/*
 * Around a step in which the counters do not agree, for whoever reads them (counts.c): a slot is taken for which no
 * task has left the queue yet, or whose task is counted among the ends already; a further attempt is in the queue and
 * not in `again`; a task that its submitter has run is half in the books.  In the low half of `steps` those under way,
 * above it how many are over.  It goes on from life to life, so that the last act of a step may come late.
 */
#define SK_STEP UINT64_C(1)
#define SK_STEP_OVER (UINT64_C(1) << 32)
#define SK_STEPS_UNDER_WAY (SK_STEP_OVER - 1)

static inline void sk_pool_begin_step(skua_pool *pool)
{
    /* [PL-R17] acquire-release; pairs with [PL-A25] and [PL-A44]: who sees anything of what follows sees this. */
    sk_add_ar(&pool->steps, SK_STEP);
}

static inline void sk_pool_end_steps(skua_pool *pool, uint64_t n)
{
    /* [PL-R18] release; pairs with [PL-A25] and [PL-A43]: who finds it over sees what it did. */
    sk_add_ar(&pool->steps, n * (SK_STEP_OVER - SK_STEP));
}

#define SK_SWEEPING UINT64_MAX

/* How many sweeps have asked the tasks of the pool to end, here or above; SK_SWEEPING: one is at it. */
static inline uint64_t sk_pool_swept(skua_pool *pool)
{
    uint64_t n = 0;
    for (skua_pool *p = pool; p; p = p->parent) {
        uint64_t over = sk_load_sc(&p->swept);   /* [PL-A23] sequentially consistent; pairs with [PL-C17]. */
        uint64_t begun = sk_load_sc(&p->sweeps); /* [PL-A28] sequentially consistent; pairs with [PL-C16]: job.c. */
        if (begun != over) return SK_SWEEPING;
        n += begun;
    }
    return n;
}

/* Whether it was stopped without draining, or one above it. */
static inline bool sk_pool_is_dropping(skua_pool *pool)
{
    for (skua_pool *p = pool; p; p = p->parent)
        if (sk_load_rlx(&p->state) == SK_POOL_DROPPING) return true;
    return false;
}

/* When a wait ends that begins now; timeout: ns, or SKUA_FOREVER. */
static inline uint64_t sk_deadline_of(uint64_t timeout)
{
    return timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
}

/* What `limit` says of a limit that is asked for; 0: none. */
static inline uint64_t sk_pool_limit_word(uint32_t limit)
{
    return limit ? limit : SK_POOL_NO_LIMIT;
}

static inline uint64_t sk_pool_limit(const skua_pool *pool)
{
    /* [PL-A50] sequentially consistent; pairs with [PL-F7]: who has published something, and finds the old limit here,
       is found by who changes it. */
    uint64_t limit = sk_load_sc((sk_atomic(uint64_t) *)&pool->limit);
    return sk_unlikely(limit & SK_POOL_PAUSED) ? 0 : limit;
}

/* The same though the pool may pause, which is only a matter of time. A hint. */
static inline uint64_t sk_pool_limit_unpaused(const skua_pool *pool)
{
    return sk_load_rlx((sk_atomic(uint64_t) *)&pool->limit) & ~SK_POOL_PAUSED;
}

/*
 * Around a look at the queue by somebody who is not counted otherwise and may come late, such as the second look of a
 * park whose task has gone on: the queue's slots go when the pool's memory gets its next life.  False: the pool is
 * free, its queue must not be looked at.
 */
static inline bool sk_pool_begin_look(skua_pool *pool)
{
    /* [PL-C43] sequentially consistent; pairs with [PL-C6]: either release waits for us, or we see the pool freed. */
    sk_add_sc(&pool->inside, 1u);
    return sk_load_sc(&pool->state) != SK_POOL_FREE; /* [PL-A53] sequentially consistent; see [PL-C43]. */
}

static inline void sk_pool_end_look(skua_pool *pool)
{
    sk_sub_ar(&pool->inside, 1u); /* [PL-R43] release; pairs with [PL-A1] in release: our last touch of the pool. */
}

/* Adds to the times of the pool and of all above it that are measured; w: NULL, or the caller's. Any thread. */
static inline void sk_pool_count_waiting(skua_pool *pool, const sk_worker *w, uint64_t ns)
{
    for (skua_pool *p = pool; p; p = p->parent)
        if (p->times) sk_times_add(&sk_times_of(p->times, w ? w->index : 0)->waiting, ns);
}

static inline void sk_pool_count_running(skua_pool *pool, const sk_worker *w, uint64_t ns)
{
    for (skua_pool *p = pool; p; p = p->parent)
        if (p->times) sk_times_add(&sk_times_of(p->times, w ? w->index : 0)->running, ns);
}

/* Whether nobody waits for a slot of the parent in its list, but perhaps this pool. A hint: whoever keeps a slot
   because of it looks again when the next task ends. */
static inline bool sk_pool_is_alone_hungry(skua_pool *pool)
{
    const sk_inject_link *newest = sk_load_rlx(&pool->parent->hungry.newest);
    return !newest || (newest == &pool->hungry_link && sk_load_rlx(&pool->was_alone));
}

/* ---- slots.c ---- */

/* A task that has a handle in `owner` has ended; see sk_task_owner. */
sk_task *sk_pool_task_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result);

/* The two halves of that: it is counted, which begins a step unless it is done; its slot goes to the next task, which
   is returned or started, or back. Then the step is over. */
void sk_pool_count_end(skua_pool *pool, sk_worker *w, sk_task *t, sk_end end, int result);
sk_task *sk_pool_leave(skua_pool *pool, sk_worker *w);
sk_task *sk_pool_leave_failed(skua_pool *pool, sk_worker *w); /* the same, and ends the step */

/* A job that backs off will not be tried again: it gets a slot, beyond the limit, for the way to its end. */
void sk_pool_take_back(skua_pool *pool, sk_worker *w);

void sk_pool_pump(sk_chore *chore, sk_worker *w);
void sk_pool_pay_submitters(sk_chore *chore, sk_worker *w);

/* After making a task or a slot available, and a full fence: sends the pump if there are both. */
void sk_pool_look(skua_pool *pool, sk_worker *w);

/* Up to n slots of the pool and of all above it; returns how many. When it is a pool above that has none, ours is told
   as soon as it has one. */
uint32_t sk_pool_take_slots(skua_pool *pool, sk_worker *w, uint32_t n);

/* Gives n slots back, of the pool and of all above it. Whoever gives the last may see the pool freed. */
void sk_pool_give_slots(skua_pool *pool, sk_worker *w, uint64_t n);

/* A slot for a task that starts at once, without the queue: only when nobody seems to wait for one. Then it is to be
   looked whether the pool is open; if it is, whether it may be used so. */
bool sk_pool_take_straight(skua_pool *pool, sk_worker *w);
bool sk_pool_is_straight(skua_pool *pool);

/* That slot, which is not used. state: as it was found. */
void sk_pool_give_straight(skua_pool *pool, sk_worker *w, uint32_t state);

/* Ends the oldest queued task of a level as dropped. False: nothing is queued there. */
bool sk_pool_drop(skua_pool *pool, sk_worker *w, uint32_t level);

/* In order of deadlines: has all that is queued now end as dropped, by us or by whoever has the baton. */
void sk_pool_drop_in_order(skua_pool *pool, sk_worker *w);

/* Does what the pump would: for one that stands still. The monitor. */
void sk_pool_start_some(skua_pool *pool);

/* Whether something in the queue could start. A hint. */
bool sk_pool_could_start(skua_pool *pool);

/* Sends the pump if none is about. */
void sk_pool_send_pump(skua_pool *pool, sk_worker *w);

/* A task has been pushed: whether whoever did it has to send the pump, since there is a slot and no pump about. */
static inline bool sk_pool_needs_pump(skua_pool *pool)
{
    /* [PL-A5] sequentially consistent, both; with the push [BQ-R1] before them they pair with [PL-C3] and [PL-X1] and
       the looks into the queue that follow those: the task before the look. */
    return !(sk_load_sc(&pool->pumping) & SK_PUMP_OUT) && sk_slots_of(sk_load_sc(&pool->running)) < sk_pool_limit(pool);
}

/* ---- rescue.c ---- */

/* Before a pump is sent that nobody watches. */
void sk_pool_watch(skua_pool *pool);

/* ---- submit.c ---- */

/* The next attempt of a job that backs off: into the queue, where it may have to wait for room (the caller parks). Not
   refused by a stopped pool. An error: it is the caller's still. */
int sk_pool_submit_again(skua_pool *pool, sk_task *t, uint32_t level);

/* Around a submission by other means: release and stop wait for it. 0 or -ESHUTDOWN: the pool is not open. */
int sk_pool_begin_submit(skua_pool *pool);
void sk_pool_end_submit(skua_pool *pool);

/* ---- room.c ---- */

/* Until something may have room in that level, or the deadline (ns). 0: try again. -EAGAIN: as many wait as may;
   -EDEADLK: nobody is left who could make room; -ETIMEDOUT, -ECANCELED; -ESHUTDOWN, or as the pool's hook refuses. */
int sk_pool_wait_for_room(skua_pool *pool, uint32_t level, uint64_t deadline);

/* The same for a further attempt, whatever the state of the pool. */
int sk_pool_wait_for_room_again(skua_pool *pool, uint32_t level);

/* The pool whose task the calling thread runs, or NULL. */
skua_pool *sk_pool_of_caller(void);

/* Whether the calling thread runs a task of this pool or of one below it. */
bool sk_pool_is_caller_inside(skua_pool *pool);

/* Whether it runs a task that holds the only slot of the pool, or of one above it: nothing here can start before that
   task has ended. */
bool sk_pool_is_held_by_caller(skua_pool *pool);

/* Whether it runs a task of the pool or of one below, or makes a call that is one, see SKUA_FULL_RUN: it must not wait
   for the pool. */
bool sk_pool_waits_for_itself(skua_pool *pool);

/* ---- lanes.c ---- */

/* The subpool of the lane whose tasks this owner has, or NULL. */
skua_pool *sk_lane_pool_of_owner(const sk_task_owner *owner);

/* ---- job.c ---- */

/* The pool to whose jobs the tasks of this owner belong, or NULL. */
skua_pool *sk_job_pool_of_owner(const sk_task_owner *owner);

/* Whether a task is an attempt of a job that may be followed by others. NULL: no task. */
bool sk_job_of_retries(const sk_task *t);

/* For a hook: the argument that was submitted. */
void *sk_pool_arg_of(const sk_task *t);

/* Its function, likewise; for sk_task_owner. */
skua_fn *sk_pool_fn_of(const sk_task *t);

/* ---- progress.c ---- */

/* Of a pool that begins. */
void sk_progress_init(skua_pool *pool);

/* ---- create.c ---- */

/* As sk_pool_hold, for long: release says -EBUSY. 0 or -ESHUTDOWN: it is not open. The caller holds it. */
int sk_pool_join(skua_pool *pool);
void sk_pool_quit(skua_pool *pool);

/* The memory of a pool that has been released. */
void sk_pool_forget(skua_pool *pool);

/* All pools that there are, or were: `state` tells. As sk_slab_each; there has been one. */
void sk_pool_each(void (*fn)(void *pool, void *ctx), void *ctx);

/* It is everybody's: nobody may end it. */
bool sk_pool_is_default(const skua_pool *pool);

/* ---- cancel.c ---- */

/* Asks every task of the pools that match to end; returns how many were asked. See skua_pool_cancel. A pool that is
   asked about may be in another life than the task that led to it, or between two: what is looked at has to be atomic,
   and may be anything. */
typedef bool sk_pool_match(skua_pool *pool, const void *ctx);
int64_t sk_pool_cancel_matching(sk_pool_match *matches, const void *ctx);

/* Around a look at all tasks: a job that is between two of them meanwhile, and cannot be found, sees these. */
void sk_pool_begin_sweep(skua_pool *pool);
void sk_pool_end_sweep(skua_pool *pool);

/* Whether it is `top` (ctx), or below it. */
bool sk_pool_is_this_or_below(skua_pool *pool, const void *ctx);

/* ---- life.c ---- */

/* Until sk_pool_let_go it is not freed, though perhaps stopped. 0, or -EINVAL, -ECHILD, -ESHUTDOWN: released. For a few
   instructions: release spins. */
int sk_pool_hold(skua_pool *pool);
void sk_pool_let_go(skua_pool *pool);

/* skua_pool_release for one who waits for what is queued whatever may hold it up. */
int sk_pool_release_for_good(skua_pool *pool);

/* 0, or why the pool may not be used for `state` and better. */
int sk_pool_check(skua_pool *pool);

/* The same, but a stopped pool will do. */
int sk_pool_check_exists(skua_pool *pool);

/* The pool that a task of this owner belongs to, be it a helper of one of its jobs; NULL: none. */
static inline skua_pool *sk_pool_of_owner(const sk_task_owner *owner)
{
    if (sk_owner_ended(owner) == sk_pool_task_ended) return sk_container_of(owner, skua_pool, owner);
    skua_pool *of_lane = sk_lane_pool_of_owner(owner);
    return of_lane ? of_lane : sk_job_pool_of_owner(owner);
}

#endif

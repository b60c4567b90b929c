/*
 * sched.h: the scheduler's inner interface; the whole story is at the head of sched.c.
 */
#ifndef SK_RUNTIME_SCHED_H
#define SK_RUNTIME_SCHED_H

#include <errno.h>

#include "runtime/worker.h"

/* ---- making tasks runnable (any thread; w is the caller's worker or NULL) ---- */

/*
 * Around what a thread does to a runtime whose worker it does not carry, beginning
 * while a task of it is known to live: once that task is in a queue it may end, and
 * the runtime be released, while we are still looking for somebody to wake.
 */
static inline void sk_visit(skua_runtime *rt)
{
    sk_add_rlx(&rt->visitors, 1u);
}

static inline void sk_visit_end(skua_runtime *rt)
{
    /* [SC-R4] release; pairs with [SD-A7] in skua_runtime_release: we touch it no more. */
    sk_sub_ar(&rt->visitors, 1u);
}

/* Puts a runnable task in a queue and wakes somebody for it. */
void sk_ready(sk_worker *w, sk_task *t);

/* The same, but to run next on this worker, unannounced; what stood there goes to the queue, announced late if it was
   woken, at once if it is new. Every so often it goes to the queue itself, see the head of sched.c. */
void sk_ready_next(sk_worker *w, sk_task *t);

/* Puts it in the worker's queue without waking anybody: the caller announces once for many. Owner. */
void sk_push(sk_worker *w, sk_task *t);

/* The loop itself has queued a batch that it will run at once: announced only if that takes long. Owner, in its loop.
 */
void sk_announce_later(sk_worker *w, uint64_t now);

/* ---- the loop (owner) ---- */

/* The entry of every stack: the scheduler's loop. */
void sk_loop(void *unused);

/* First thing on a stack that has been gone to: does what was left to do for whoever left.
   Returns the worker on whose thread it stands now. */
sk_worker *sk_arrive(void);

/* What stands in runnext, or NULL. */
sk_task *sk_take_next(sk_worker *w);

/* Something to run that is at hand, without searching; NULL when there is nothing. */
sk_task *sk_take_local(sk_worker *w);

/* ---- parking (park.c; task context) ---- */

enum { SK_WHY_NOMEM = 4 }; /* beside sk_why: the park did not happen */

/*
 * What a parking task waits for.  Both calls are made on another stack than
 * the task's, with a copy of this record.
 *
 *   publish   makes the waiter known; from here on whoever brings the event will
 *             call sk_unpark(t, generation).  False: the event has happened.
 *   happened  looks again, after the task has parked.
 */
struct sk_wait {
    bool (*publish)(const sk_wait *wait, sk_task *t, uint64_t generation);
    bool (*happened)(const sk_wait *wait, const sk_task *t);
    void *object;
    uint64_t word;
    const char *what;  /* for reports: what it waits for, as "chan receive"; NULL: not told */
    const void *about; /* the same: where that is; NULL: object */
};

/*
 * Parks the running task until it is woken, cancelled, expired, or `deadline`
 * (SK_NEVER: none) passes; wait == NULL: only these.  Returns an sk_why, or
 * SK_WHY_NOMEM when no stack can be had.  Unless it returns SK_WHY_WAKE, the
 * caller must take back what publish made known (it may not have been called).
 */
int sk_park(sk_worker *w, const sk_wait *wait, uint64_t deadline);

/* The same without a deadline, for one that is known already, and is woken by sk_state_grant: the calls of `wait` are
   not made. */
int sk_park_bare(sk_worker *w, const sk_wait *wait);

/* Wakes a task parked in this generation. True for the one that did. Any thread. */
bool sk_unpark(sk_task *t, uint64_t generation);

/* 0, -ECANCELED or -ETIMEDOUT for a park that ended this way while it waited for something. */
int sk_why_error(int why);

/* ---- birth and end (spawn.c, end.c) ---- */

/* A new task, counted as created; NULL with *error set. Any thread; local is the caller's, or NULL. */
sk_task *sk_task_new(sk_local *local, sk_task_owner *owner, skua_fn *fn, void *arg, bool joinable, unsigned phase,
                     int *error);

/* Deadlines of a task that its maker holds, on the monotonic clock; 0: none. To be armed next. */
void sk_task_set_deadlines(sk_task *t, uint64_t start_by, uint64_t finish_by);

/* Takes back a task that was made but never made known. */
void sk_task_withdraw(sk_task *t);

/* A task that is counted long before it has an object (pool/storage.c): as created; taken back (never made known); the
   object, or NULL: no memory; its end without one. w: the caller's worker, or NULL. Any thread. */
bool sk_birth_count(sk_worker *w, sk_task_owner *owner);
void sk_birth_take_back(sk_task_owner *owner);
sk_task *sk_task_new_counted(sk_task_owner *owner, skua_fn *fn, void *arg);
void sk_birth_end(sk_worker *w, skua_runtime *rt, sk_end end);

/* A task object that carries a chore (see task.h), and its memory back. NULL: no memory. */
sk_task *sk_chore_new(sk_task_owner *owner, sk_chore *chore);
void sk_chore_free(sk_task *t);

/* Nobody wants the task any more: frees it, or leaves that to the wheel which still holds a timer of it. */
void sk_task_release(sk_task *t);

/* Gives back the memory of a task. Any thread. */
void sk_task_free(sk_task *t);

/* Wakes whoever the join word, as it was before the end, names. Any thread. */
void sk_wake_joiner(sk_worker *w, uint64_t join_word);

/* Ends a task that this thread holds: counts, tells owner and joiner, frees. Returns a task to start next, or NULL. */
sk_task *sk_task_end(sk_worker *w, sk_task *t, sk_end end, int result);

/* As what a task ends that has run, by its result and its marks. */
static inline sk_end sk_end_of(int result, unsigned marks)
{
    if (marks & SK_EXPIRED) return SK_LATE_END;
    if (result >= 0) return SK_DONE;
    return result == -ECANCELED && (marks & SK_CANCEL) ? SK_CANCELLED : SK_FAILED;
}

/* Counts a task that ends without a start, before it ends. */
void sk_count_unstarted(sk_worker *w, skua_runtime *rt);

/* Ends a task that never started. */
sk_task *sk_task_end_unstarted(sk_worker *w, sk_task *t);

/* ---- deferred calls and giving up (giveup.c) ---- */

/* Makes the deferred calls of the running task, which may park. Returns the worker it is on afterwards. */
sk_worker *sk_run_deferred(sk_task *t);

/* Gives back the record of why a task gave up. Whoever releases it. */
void sk_forget_fault(sk_task *t);

/* ---- timers (expiry.c) ---- */

/* What a slot was armed for; travels in the low bits of its tag, above them a generation or serial. */
typedef enum sk_timer_kind {
    SK_TIMER_PARK,
    SK_TIMER_DELAY,
    SK_TIMER_START_BY,
    SK_TIMER_FINISH_BY,
    SK_TIMER_ALARM
} sk_timer_kind;

enum { SK_TIMER_KIND_BITS = 3, SK_TIMER_KIND = (1 << SK_TIMER_KIND_BITS) - 1 };

static inline uint64_t sk_timer_tag(uint64_t number, sk_timer_kind kind)
{
    return number << SK_TIMER_KIND_BITS | kind;
}

/* Fires what is due on this worker's wheel; true when something became runnable. Owner. */
bool sk_timers_run(sk_worker *w, uint64_t now);

/* The same on another worker's wheel, if its owner is not at it. w may be NULL. */
bool sk_timers_help(sk_worker *w, sk_worker *other, uint64_t now);

/* Arms a slot of a task that the caller holds, on the caller's wheel, or from outside on some wheel of the runtime. */
void sk_timers_arm(sk_worker *w, sk_task *t, sk_timer_slot *slot, uint64_t deadline, uint64_t tag);

/* Arms the deadline of a task that the caller holds. */
void sk_task_arm_deadline(sk_worker *w, sk_task *t);

/* The running task, whose finish_by has just been set and is not armed, has that for a limit, see expiry.c. */
void sk_task_limit(sk_worker *w, sk_task *t);

/* Runner: a timer stands for the limit from now on. */
void sk_task_arm_limit(sk_worker *w, sk_task *t);

/* Runner: marks the task as expired if its limit has passed. */
void sk_task_look_at_limit(sk_task *t);

/* Runner, before the task ends: a limit that has passed has left its mark, and none counts from here on. */
static inline void sk_task_end_limit(sk_task *t)
{
    if (sk_likely(sk_task_limit_of(t) == SK_LIMIT_NONE)) return;
    sk_task_look_at_limit(t);
    t->limit = SK_LIMIT_NONE;
}

/* Arms the delay of a task that the caller has made. The clock is read later, see sk_wheel_arm_in. */
void sk_task_start_in(sk_worker *w, sk_task *t, uint64_t ns, uint64_t tag);

/* A delayed task that the caller has kept from starting (sk_state_undelay) becomes one anew: a life of its own, with
   this serial, whose delay is to be armed next. */
uint64_t sk_task_delay_anew(sk_worker *w, sk_task *t);

/* Stops a slot of the task that the caller runs or holds, wherever it is armed. */
void sk_timers_cancel_slot(sk_worker *w, sk_timer_slot *slot);

/* A retiring worker gives all its timers to another one. */
void sk_timers_hand_over(sk_worker *w, sk_worker *heir);

/* After sk_timers_arm_end: makes the owner of these timers look at them. */
void sk_timers_look_at(sk_worker *w, skua_runtime *rt, sk_timers *timers);

/*
 * An alarm: a timer of layer 4 that belongs to no task.  What slot.h calls its
 * runner is whoever has its owner's lock.
 *
 *   ring   it has fired, with this number; called between tasks, by w (NULL: the
 *          monitor), outside of the wheel.  Must wait for nobody.
 *   gone   its memory, which was left to whoever had the slot in hand
 */
typedef struct sk_alarm sk_alarm;

typedef enum sk_alarm_end {
    SK_ALARM_STALE, /* stopped or set again since, as the slot says: nothing was done, the caller lets go of it */
    SK_ALARM_LATER, /* somebody has the lock: to be fired again in a moment */
    SK_ALARM_DONE,  /* the slot is settled, and perhaps armed again; the alarm may be gone */
    SK_ALARM_WOKEN  /* the same, and a task is in this worker's queue or runnext, or in the inbox; unannounced */
} sk_alarm_end;

struct sk_alarm {
    sk_timer_slot slot;                                                   /* its runner and the wheel it is armed in */
    sk_alarm_end (*ring)(sk_alarm *alarm, sk_worker *w, uint64_t number); /* I */
    void (*gone)(sk_alarm *alarm);                                        /* I */
};

/* Arms it; its runner. From outside of that runtime's workers: between sk_runtime_enter and _exit. */
void sk_alarm_set(sk_worker *w, skua_runtime *rt, sk_alarm *alarm, uint64_t deadline, uint64_t number);

/* The same, `ns` from now, by a worker of its runtime; the clock is read later, see sk_wheel_arm_in. */
void sk_alarm_set_in(sk_worker *w, sk_alarm *alarm, uint64_t ns, uint64_t number);

/* Stops it, if it is armed; its runner, any thread. If its runtime is released, it stays armed, and rings once more. */
void sk_alarm_stop(sk_worker *w, skua_runtime *rt, sk_alarm *alarm);

/* The runtime is released, and nobody is left: no slot stays in this worker's wheel. What is still armed rings. */
void sk_timers_end(sk_worker *w);

/* Marks the task of this life as expired and tells its joiner. */
void sk_task_expire(sk_worker *w, sk_task *t, uint64_t serial, unsigned unless);

#endif

/* sleeper.c: see sleeper.h. */
#include "sync/sleeper.h"

#include "os/futex.h"
#include "os/lock.h"

int sk_sleeper_init(sk_sleeper *s)
{
    sk_worker *w = sk_worker_self();
    s->task = w ? w->task : NULL;
    s->thread = s->task ? NULL : sk_local_get();
    if (sk_unlikely(!s->task && !s->thread)) return -ENOMEM;
    s->generation = s->task ? sk_generation_of(sk_load_rlx(&s->task->state.word)) + 1 : 0;
    s->word = s->task ? &s->task->claim : &s->thread->claim;
    sk_store_rlx(s->word, (uint32_t)SK_ASLEEP);
    return 0;
}

uint32_t sk_sleeper_outcome(const sk_sleeper *s)
{
    for (unsigned tries = 0;; tries++) {
        /* [SL-A2] acquire; pairs with [SL-R2]: what the claimer has moved, and that it has left the lock. */
        uint32_t word = sk_load_acq(s->word);
        if (sk_likely(!(word & SK_UNSETTLED))) return word & ~SK_GAVE_UP;
        sk_lock_give_way(tries);
    }
}

bool sk_sleeper_gives_up(sk_sleeper *s)
{
    uint32_t word = SK_ASLEEP;
    /* [SL-C2] acquire-release; pairs with [SL-C1]: exactly one of claimer and sleeper wins. */
    return sk_cas_ar(s->word, &word, SK_GAVE_UP);
}

static bool happened(const sk_wait *wait, const sk_task *t)
{
    (void)wait;
    /* [SL-A1] sequentially consistent; pairs with [SL-C1], as park.c asks of an event. Should the task have run on by
       now, and this be another wait, the wake that follows fails by its generation. */
    return sk_load_sc((sk_atomic(uint32_t) *)&t->claim) != SK_ASLEEP;
}

static int sleep_as_task(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    sk_wait wait = {NULL, happened, object, 0, what, NULL};
    sk_task *t = s->task;
    int why = SK_WHY_WAKE;
    /* Claimed already: no need to leave. */
    if (sk_load_rlx(s->word) == SK_ASLEEP) why = sk_park(sk_worker_self(), &wait, deadline);
    /* It has not parked in that generation: no late waker may take a later park for it. */
    if (sk_unlikely(sk_generation_of(sk_load_rlx(&t->state.word)) < s->generation)) sk_state_skip(&t->state);
    return sk_sleeper_outcome(s) ? 0 : sk_why_error(why);
}

static int sleep_as_thread(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    for (;;) {
        /* [SL-A3] acquire; pairs with [SL-R1]. Read before the sleeper's word: a claim after our look bumps it. */
        uint32_t seen = sk_load_acq(&s->thread->word);
        if (sk_sleeper_outcome(s)) return 0;
        if (sk_thread_sleep(&s->thread->word, seen, deadline, what, object) == -ETIMEDOUT) return -ETIMEDOUT;
    }
}

int sk_sleeper_sleep(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    return s->task ? sleep_as_task(s, deadline, what, object) : sleep_as_thread(s, deadline, what, object);
}

/* From here on waiter and sleeper may be gone. */
static void settle(const sk_waiter *waiter)
{
    /* [SL-R2] release; pairs with [SL-A2]. */
    sk_store_rel(waiter->sleeper->word, waiter->outcome);
}

static void wake_thread(sk_local *thread)
{
    /* [SL-R1] release; pairs with [SL-A3]. The record is type-stable: the thread may be gone. */
    sk_add_rel(&thread->word, 1u);
    sk_futex_wake(&thread->word, 1);
}

void sk_wake_next(const sk_waiter *waiter)
{
    sk_sleeper s = *waiter->sleeper;
    settle(waiter);
    if (!s.task)
        wake_thread(s.thread);
    else if (sk_state_wake(&s.task->state, s.generation, SK_WHY_WAKE))
        sk_ready_next(sk_worker_self(), s.task);
}

void sk_wake(const sk_waiter *waiter)
{
    sk_sleeper s = *waiter->sleeper;
    settle(waiter);
    if (!s.task)
        wake_thread(s.thread);
    else
        (void)sk_unpark(s.task, s.generation);
}

/* sleeper.c: see sleeper.h; here is what is seldom needed. */
#include "sync/sleeper.h"

#include "os/futex.h"
#include "os/lock.h"

uint32_t sk_sleeper_outcome_slow(const sk_sleeper *s)
{
    for (unsigned tries = 0;; tries++) {
        /* [SL-A4] acquire; pairs with [SL-R2], as [SL-A2]. */
        uint32_t word = sk_load_acq(s->word);
        if (sk_sleeper_is_settled(word)) return word;
        sk_lock_give_way(tries);
    }
}

/* Its time is over. True: nobody will claim it any more. False: somebody has. */
static bool gives_up(sk_sleeper *s)
{
    uint32_t word = SK_ASLEEP;
    /* Relaxed, as in sk_waiter_claim. */
    return sk_cas_rlx(s->word, &word, SK_GAVE_UP);
}

int sk_sleeper_sleep_as_thread(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    for (;;) {
        /* [SL-A3] acquire; pairs with [SL-R1]. Read before the sleeper's word: a claim after our look bumps it. */
        uint32_t seen = sk_load_acq(&s->thread->word);
        if (sk_load_rlx(s->word) != SK_ASLEEP) return 0;
        if (sk_thread_sleep(&s->thread->word, seen, deadline, what, object) == -ETIMEDOUT && gives_up(s))
            return -ETIMEDOUT;
    }
}

void sk_sleeper_wake_thread(sk_local *thread)
{
    /* [SL-R1] release; pairs with [SL-A3]. The record is type-stable: the thread may be gone. */
    sk_add_rel(&thread->word, 1u);
    sk_futex_wake(&thread->word, 1);
}

void sk_wake(const sk_waiter *waiter)
{
    sk_task *t = waiter->sleeper->task;
    sk_local *thread = waiter->sleeper->thread;
    bool woken = waiter->woken;
    sk_waiter_settle(waiter);
    if (!t)
        sk_sleeper_wake_thread(thread);
    else if (woken)
        sk_ready(sk_worker_self(), t);
}

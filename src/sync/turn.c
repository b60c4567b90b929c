/* turn.c: see turn.h. */
#include "sync/turn.h"

int sk_turn_init(sk_turn *turn, void *place)
{
    sk_waiter waiter = {NULL, NULL, &turn->sleeper, place, SK_SERVED, false, false};
    turn->waiter = waiter;
    return sk_sleeper_init(&turn->sleeper);
}

int sk_turn_sleep(sk_turn *turn, uint64_t deadline, const char *what, void *object)
{
    return sk_sleeper_sleep(&turn->sleeper, deadline, what, object);
}

bool sk_turn_leaves(sk_waiters *q, sk_turn *turn)
{
    bool stood = turn->waiter.queued;
    sk_waiters_remove(q, &turn->waiter);
    return stood;
}

uint32_t sk_turn_outcome(const sk_turn *turn)
{
    return sk_sleeper_outcome(&turn->sleeper);
}

int sk_turn_wait(sk_turn *turn, sk_lock *lock, sk_waiters *q, uint64_t deadline, const char *what, void *object)
{
    int error = sk_turn_sleep(turn, deadline, what, object);
    if (sk_likely(!error)) return 0;
    sk_lock_take(lock);
    bool leaves = sk_turn_leaves(q, turn);
    sk_lock_drop(lock);
    if (leaves) return error;
    (void)sk_turn_outcome(turn); /* until then this frame is wanted */
    return 0;
}

void sk_serve(sk_waiters *q, sk_waiter *waiter, uint32_t outcome, sk_served *served)
{
    waiter->outcome = outcome;
    (void)sk_waiter_claim(q, waiter); /* "no": it is late, but will find that it has been served */
    waiter->next = NULL;
    if (served->first)
        served->last->next = waiter;
    else
        served->first = waiter;
    served->last = waiter;
}

size_t sk_serve_all(sk_waiters *q, uint32_t outcome, sk_served *served)
{
    size_t n = 0;
    for (sk_waiter *waiter; (waiter = sk_waiters_first(q)) != NULL; n++) sk_serve(q, waiter, outcome, served);
    return n;
}

void sk_served_wake(const sk_served *served)
{
    for (sk_waiter *waiter = served->first, *next; waiter; waiter = next) {
        next = waiter->next;
        sk_wake(waiter); /* from here on its frame may be gone */
    }
}

void sk_served_wake_next(const sk_served *served)
{
    if (served->first && served->first == served->last)
        sk_wake_next(served->first);
    else
        sk_served_wake(served);
}

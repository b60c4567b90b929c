/* timers.c: the paths of timers.h that are not taken every time. C11 that also compiles as C++11, for Relacy. */
#include "timer/timers.h"

void sk_timers_init(sk_timers *t, uint64_t now)
{
    sk_claim_init(&t->claim);
    sk_wheel_init(&t->wheel, now);
    sk_inbox_init(&t->inbox);
}

/* The slot is still in somebody's hands (then whoever that is arms it for us), or our own wheel is claimed (then who
   sweeps the inbox does). */
sk_arming sk_timers_arm_slow(sk_timers *t, sk_timer_slot *s, uint64_t word, uint64_t expires, uint64_t tag)
{
    sk_arming arming = {t, sk_tick_ns(sk_tick_up(expires)), SK_ARMING_PUSH};
    sk_store_rlx(&s->tag, tag);
    if (sk_slot_state(word) != SK_SLOT_FREE) {
        arming.home = sk_load_rlx(&s->home);
        arming.how = SK_ARMING_AGAIN;
        if (sk_slot_again(s, &word, sk_tick_up(expires))) return arming;
        /* It has just been let go; what its last holder did with it is seen by this look. Not into the wheel: the
           caller may be another thread than its owner. */
        word = sk_slot_look(s);
        sk_check(sk_slot_state(word) == SK_SLOT_FREE); /* else it was armed already */
        arming.home = t;
        arming.how = SK_ARMING_PUSH;
    }
    sk_store_rlx(&s->home, t);
    /* [TM-R21] release; pairs with [TM-A5]: arm_end pushes it, and that releases too, but a thread that did not make
       the task may look at the slot before. */
    sk_store_rel(&s->word, sk_slot_late(sk_tick_up(expires)));
    return arming;
}

sk_timers *sk_timers_arm_end_slow(const sk_arming *arming, sk_timer_slot *s)
{
    sk_slot_inbox *inbox = &arming->home->inbox;
    if (arming->how == SK_ARMING_PUSH) sk_inbox_push(inbox, s);
    sk_inbox_hurry(inbox, arming->due);
    return arming->home;
}

bool sk_timers_cancel(sk_timers *mine, sk_timer_slot *s)
{
    uint64_t word = sk_slot_look(s);
    if (sk_slot_state(word) == SK_SLOT_FREE) return false;
    if (sk_load_rlx(&s->home) == mine && sk_timers_enter(mine)) {
        bool done = sk_timers_cancel_inside(mine, s);
        sk_timers_leave(mine);
        if (done) return true;
    }
    if (!sk_slot_cancel(s, &word)) return false;
    if (sk_slot_state(word) == SK_SLOT_ARMED) sk_inbox_push(&sk_load_rlx(&s->home)->inbox, s);
    return sk_slot_state(word) != SK_SLOT_FIRING;
}

/* One slot of the inbox. The runner may change its mind until our compare-and-swap. */
static void sweep_slot(sk_timers *t, sk_timer_slot *s, sk_timer_haul *haul)
{
    uint64_t word = sk_slot_taken(s);
    for (;;) {
        sk_wheel_cancel(&t->wheel, &s->node); /* no matter if it is not in there any more */
        switch (sk_slot_state(word)) {
        case SK_SLOT_CANCELLED:
            if (sk_slot_freed(s, &word)) return;
            break;
        case SK_SLOT_LATE:
            sk_store_rlx(&s->home, t);
            sk_wheel_arm(&t->wheel, &s->node, sk_tick_ns(sk_slot_tick(word)));
            haul->rearmed = true;
            if (sk_slot_armed(s, &word)) return;
            break;
        case SK_SLOT_ORPHAN:
            sk_store_rlx(&s->link, haul->orphans);
            haul->orphans = s;
            return;
        default:
            sk_panic("timer slot %p in an inbox has the word %#llx", (void *)s, (unsigned long long)word);
        }
    }
}

static void sweep(sk_timers *t, sk_timer_haul *haul)
{
    for (sk_timer_slot *s = sk_inbox_take(&t->inbox), *next; s; s = next) {
        next = sk_load_rlx(&s->link); /* before the slot is free */
        sweep_slot(t, s, haul);
    }
}

/* Keeps, of what the wheel gave, the slots that no runner has cancelled. The tag is read first: once the slot is
   FIRING the runner may write it for its next arm. It is kept in `expires`, which is ours while the slot is FIRING. */
static sk_always_inline void keep_armed(sk_timer *chain, sk_timer_haul *haul)
{
    sk_timer **tail = &haul->fired;
    for (sk_timer *node = chain, *next; node; node = next) {
        sk_timer_slot *s = sk_container_of(node, sk_timer_slot, node);
        uint64_t tag = sk_load_rlx(&s->tag);
        next = node->next;
        __builtin_prefetch(next, 1);
        if (!sk_slot_fire(s)) continue; /* CANCELLED or later; it is on its way to the inbox */
        node->expires = tag;
        *tail = node;
        tail = &node->next;
    }
    *tail = NULL;
}

/* Holder. The sweep comes first: what it arms may be due. */
static void collect(sk_timers *t, uint64_t now, sk_timer_haul *haul)
{
    haul->orphans = NULL;
    haul->rearmed = false;
    sweep(t, haul);
    keep_armed(sk_wheel_advance(&t->wheel, now), haul);
    sk_wheel_refresh(&t->wheel);
    haul->next = sk_tick_ns(t->wheel.due);
}

bool sk_timers_advance(sk_timers *t, uint64_t now, sk_timer_haul *haul)
{
    if (!sk_timers_enter(t)) return false;
    collect(t, now, haul);
    sk_timers_leave(t);
    return true;
}

void sk_timers_serve(sk_timers *t, uint64_t now, sk_timer_haul *haul)
{
    collect(t, now, haul);
    sk_claim_publish(&t->claim, haul->next);
    sk_claim_release(&t->claim);
}

static void deliver(sk_timers *t, sk_timer_slot *s, uint64_t tick)
{
    sk_inbox_push(&t->inbox, s);
    sk_inbox_hurry(&t->inbox, sk_tick_ns(tick));
}

sk_let_go sk_timers_let_go(sk_timers *t, sk_timer_slot *s)
{
    uint64_t word = sk_slot_let_go(s);
    if (sk_slot_state(word) == SK_SLOT_FREE) return SK_LET_GO_DONE;
    if (sk_slot_state(word) == SK_SLOT_ORPHAN) return SK_LET_GO_FREE_TASK;
    deliver(t, s, sk_slot_tick(word));
    return SK_LET_GO_NOTIFY;
}

bool sk_timers_retry(sk_timers *t, sk_timer_slot *s, uint64_t now)
{
    uint64_t tick = now >> SK_TICK_SHIFT; /* down: it has been due already */
    if (!sk_slot_retry(s, tick)) return false;
    deliver(t, s, tick);
    return true;
}

/* One slot of the inbox of a wheel that is given up. */
static void move_slot(sk_timer_slot *s, sk_timers *to, sk_timer_haul *haul)
{
    uint64_t word = sk_slot_taken(s);
    while (sk_slot_state(word) == SK_SLOT_CANCELLED) {
        if (sk_slot_freed(s, &word)) return;
    }
    if (sk_slot_state(word) == SK_SLOT_ORPHAN) {
        sk_store_rlx(&s->link, haul->orphans);
        haul->orphans = s;
        return;
    }
    deliver(to, s, sk_slot_tick(word));
}

bool sk_timers_move(sk_timers *from, sk_timers *to, uint64_t now, sk_timer_haul *haul)
{
    haul->fired = NULL;
    haul->orphans = NULL;
    haul->next = UINT64_MAX;
    haul->rearmed = false;
    if (!sk_timers_enter(from)) return false;
    for (sk_timer *node = sk_wheel_drain(&from->wheel, now), *next; node; node = next) {
        sk_timer_slot *s = sk_container_of(node, sk_timer_slot, node);
        uint64_t tick = sk_tick_up(node->expires);
        next = node->next;
        if (sk_slot_moved(s)) deliver(to, s, tick); /* else cancelled: in our inbox, or on its way there */
    }
    for (sk_timer_slot *s = sk_inbox_take(&from->inbox), *next; s; s = next) {
        next = sk_load_rlx(&s->link);
        move_slot(s, to, haul);
    }
    sk_timers_leave(from);
    return true;
}

void sk_timers_disband(sk_timers *t, uint64_t now, sk_timer_haul *haul)
{
    haul->orphans = NULL;
    haul->rearmed = false;
    sweep(t, haul); /* takes out of the wheel what is in the inbox too */
    keep_armed(sk_wheel_drain(&t->wheel, now), haul);
    haul->next = UINT64_MAX;
    sk_claim_publish(&t->claim, haul->next);
    sk_claim_release(&t->claim);
}

bool sk_timers_check(sk_timers *t)
{
    return sk_load_rlx(&t->claim.claimed) == 0 && sk_load_rlx(&t->claim.inside) == 0 && sk_wheel_check(&t->wheel);
}

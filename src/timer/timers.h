/*
 * timers.h: the timers of one worker: a wheel, the claim that guards it, and
 * the inbox through which others cancel.  What the runtime calls.
 *
 *   operation                 by                                progress
 *   sk_timers_arm_begin, end  the owner, for the task it parks   lock-free
 *   sk_timers_cancel          the owner, for the task it runs    lock-free
 *   sk_timers_advance         the owner                          bounded, may say no
 *   sk_timers_serve           anyone else, after sk_claim_try    bounded
 *   sk_timers_pending, next   anyone                             wait-free hints
 *   sk_timers_let_go          who has a fired slot in hand       lock-free
 *   sk_timers_move            the owner, when it retires         bounded, may say no
 *   sk_timers_disband         a claimer, when all others are gone
 *
 * Nobody is called back: what has fired and which tasks are to be freed comes
 * out in a haul, after the wheel has been left, so that waking the tasks does
 * not keep others from it.
 */
#ifndef SK_TIMER_TIMERS_H
#define SK_TIMER_TIMERS_H

#include "timer/claim.h"
#include "timer/slot.h"
#include "timer/wheel.h"

typedef struct sk_timers {
    sk_claim claim;
    sk_wheel wheel;                      /* holder only; begins on the owner's line of the claim */
    SK_LINE_ALIGNED sk_slot_inbox inbox; /* anyone pushes, the holder takes */
} sk_timers;

/* What one advance brought. */
typedef struct sk_timer_haul {
    sk_timer *fired;        /* all FIRING, in order of ticks; see sk_haul_pop_fired */
    sk_timer_slot *orphans; /* their tasks have ended and are now ours to free; see sk_haul_pop_orphan */
    uint64_t next;          /* ns; when the wheel wants the next advance: exact */
    bool rearmed;           /* timers came in late: who is not the owner must see that the owner sleeps no longer
                               than `next` */
} sk_timer_haul;

/* What sk_timers_arm_begin has done, for sk_timers_arm_end. */
typedef enum sk_arming_how {
    SK_ARMING_HELD, /* armed; we are still inside */
    SK_ARMING_PUSH, /* LATE; to be pushed to the inbox */
    SK_ARMING_AGAIN /* LATE; whoever has it in hand goes on with it */
} sk_arming_how;

typedef struct sk_arming {
    sk_timers *home;
    uint64_t due; /* ns */
    sk_arming_how how;
} sk_arming;

void sk_timers_init(sk_timers *t, uint64_t now);

/* Owner: may it touch the wheel? To be followed by sk_timers_leave. Not nested. */
static inline bool sk_timers_enter(sk_timers *t)
{
    return sk_claim_enter(&t->claim);
}

static inline void sk_timers_leave(sk_timers *t)
{
    sk_claim_publish(&t->claim, sk_tick_ns(t->wheel.due));
    sk_claim_leave(&t->claim);
}

/* When the wheel wants to be looked at: not after its first timer. A hint; UINT64_MAX: nothing is armed. */
static inline uint64_t sk_timers_next(sk_timers *t)
{
    uint64_t wheel = sk_load_rlx(&t->claim.due), late = sk_load_rlx(&t->inbox.due);
    return sk_min(wheel, late);
}

/* Owner: whether to call advance, because something is due or somebody has left something. */
static inline bool sk_timers_pending(sk_timers *t, uint64_t now)
{
    return now >= sk_timers_next(t) || sk_load_rlx(&t->inbox.head) != NULL;
}

/*
 * Owner, as the task's runner: arms a slot of its task.  `tag` comes back from
 * sk_slot_fired_tag, and says for which park this was.
 *
 * In two steps, so that the timer does not fire before the task can be woken:
 * begin, publish that the task is parked, end.  Between the two do nothing
 * else; after the publication touch the task no more, end does not either.
 * (One case remains in which it may fire before: see sk_timers_retry.)
 */
sk_arming sk_timers_arm_slow(sk_timers *t, sk_timer_slot *s, uint64_t word, uint64_t expires, uint64_t tag);

static inline sk_arming sk_timers_arm_begin(sk_timers *t, sk_timer_slot *s, uint64_t expires, uint64_t tag)
{
    uint64_t word = sk_slot_look(s);
    if (sk_unlikely(sk_slot_state(word) != SK_SLOT_FREE || !sk_timers_enter(t))) {
        return sk_timers_arm_slow(t, s, word, expires, tag);
    }
    sk_store_rlx(&s->tag, tag);
    sk_store_rlx(&s->home, t);
    sk_wheel_arm(&t->wheel, &s->node, expires);
    /* A plain store: no one else may change a FREE slot, and no one fires it while we hold the wheel. */
    sk_store_rlx(&s->word, (uint64_t)SK_SLOT_ARMED);
    sk_arming arming = {t, expires, SK_ARMING_HELD};
    return arming;
}

/*
 * Owner, for a task that it holds and that does not park: arms a slot for `ns`
 * from the next advance on (sk_wheel_arm_in).  False: arm it the usual way.
 * The first is for who has entered already.
 */
static inline bool sk_timers_arm_in_inside(sk_timers *t, sk_timer_slot *s, uint64_t ns, uint64_t tag)
{
    if (sk_unlikely(sk_slot_state(sk_slot_look(s)) != SK_SLOT_FREE)) return false;
    sk_store_rlx(&s->tag, tag);
    sk_store_rlx(&s->home, t);
    sk_wheel_arm_in(&t->wheel, &s->node, ns);
    /* [TM-R20] release; pairs with [TM-A5]: a thread that did not make the task may look at the slot, and finds all
       that its maker wrote. No compare-and-swap, as in sk_timers_arm_begin. */
    sk_store_rel(&s->word, (uint64_t)SK_SLOT_ARMED);
    return true;
}

static inline bool sk_timers_arm_in(sk_timers *t, sk_timer_slot *s, uint64_t ns, uint64_t tag)
{
    if (sk_unlikely(sk_slot_state(sk_slot_look(s)) != SK_SLOT_FREE || !sk_timers_enter(t))) return false;
    bool armed = sk_timers_arm_in_inside(t, s, ns, tag);
    sk_timers_leave(t);
    return armed;
}

sk_timers *sk_timers_arm_end_slow(const sk_arming *arming, sk_timer_slot *s);

/* Returns NULL, or the timers whose owner must look at them before `expires`: after a full fence, wake it if it sleeps.
   That may be the caller: then it is enough not to sleep before sk_timers_advance has said yes. */
static inline sk_timers *sk_timers_arm_end(const sk_arming *arming, sk_timer_slot *s)
{
    if (sk_unlikely(arming->how != SK_ARMING_HELD)) return sk_timers_arm_end_slow(arming, s);
    sk_timers_leave(arming->home);
    return NULL;
}

/* Owner inside: stops a timer in this wheel. False: it is not there. The slot is looked at inside: until then a claimer
   may have taken it. Then it is ARMED in our wheel, nobody else can hold that wheel, and the only one who could cancel
   from afar is its runner: ourselves. */
static inline bool sk_timers_cancel_inside(sk_timers *mine, sk_timer_slot *s)
{
    bool ours = sk_slot_state(sk_slot_look(s)) == SK_SLOT_ARMED && sk_load_rlx(&s->home) == mine;
    if (sk_likely(ours)) {
        sk_wheel_cancel(&mine->wheel, &s->node);
        sk_store_rlx(&s->word, (uint64_t)SK_SLOT_FREE);
    }
    return ours;
}

/*
 * Owner, as the runner of the slot's task: stops its timer, on whichever
 * wheel that stands.  True: it will not fire.  False: it has fired, or was not
 * armed.  Whoever wakes a task otherwise than by its timer must call it
 * before the task arms the slot again or ends.
 */
bool sk_timers_cancel(sk_timers *mine, sk_timer_slot *s);

/* Owner: sweeps the inbox and takes what has expired. False: a claimer has the wheel; the owner must come again. */
bool sk_timers_advance(sk_timers *t, uint64_t now, sk_timer_haul *haul);

/* The same for anyone else, who has claimed t->claim by sk_claim_try; gives the claim back. Meant for when
   sk_timers_next has passed. A `now` read after that try: one that is older would make the timers fire early that the
   owner has armed for a duration in between. */
void sk_timers_serve(sk_timers *t, uint64_t now, sk_timer_haul *haul);

/* The next of what has fired, or NULL. The slot is in the caller's hands until sk_slot_settle or sk_timers_let_go. */
static inline sk_timer_slot *sk_haul_pop_fired(sk_timer_haul *haul)
{
    sk_timer *node = haul->fired;
    if (!node) return NULL;
    haul->fired = node->next;
    __builtin_prefetch(haul->fired, 1);
    return sk_container_of(node, sk_timer_slot, node);
}

/* The next slot whose task the caller must free, or NULL. */
static inline sk_timer_slot *sk_haul_pop_orphan(sk_timer_haul *haul)
{
    sk_timer_slot *s = haul->orphans;
    if (s) haul->orphans = sk_load_rlx(&s->link);
    return s;
}

typedef enum sk_let_go {
    SK_LET_GO_DONE,
    SK_LET_GO_FREE_TASK, /* the task has ended: the caller frees it */
    SK_LET_GO_NOTIFY     /* it is to be armed again: see that the owner of `t` looks, as after sk_timers_arm_end */
} sk_let_go;

/* Who took the slot from a haul of `t`, and found that its task had been woken by another: it lets go. */
sk_let_go sk_timers_let_go(sk_timers *t, sk_timer_slot *s);

/* When the park with this tag is yet to come, which happens only to a slot that was armed again while in other hands
   (SK_ARMING_AGAIN). True: it will fire once more, at the next advance; see that the owner of `t` looks. False: the
   task was woken meanwhile; let go. */
bool sk_timers_retry(sk_timers *t, sk_timer_slot *s, uint64_t now);

/* Owner that retires: all timers go to the inbox of `to`, whose owner must then be notified. False: a claimer is in.
   Remote cancels under way may still come to the inbox of `from`; README.md says who takes those. */
bool sk_timers_move(sk_timers *from, sk_timers *to, uint64_t now, sk_timer_haul *haul);

/* Claimer: the wheel ends; gives the claim back. Nobody arms or pushes any more: whatever is still armed, due or not,
   is in the haul, as if it had fired. */
void sk_timers_disband(sk_timers *t, uint64_t now, sk_timer_haul *haul);

/* At rest: nothing claimed, nobody inside, the wheel sound. For tests. */
bool sk_timers_check(sk_timers *t);

#endif

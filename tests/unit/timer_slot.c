/* Slots, claim and inbox, one interleaving after another, by one thread that plays all parts. */
#include "support/child.h"
#include "support/test.h"

#include "timer/timers.h"

#include <signal.h>
#include <string.h>

#define TICK SK_TICK_NS
static sk_timers a, b;
static sk_timer_slot slot;
static sk_timer_haul haul;

static void set_up(void)
{
    sk_timers_init(&a, 0);
    sk_timers_init(&b, 0);
    sk_slot_init(&slot);
}

static unsigned state(void)
{
    return sk_slot_state(sk_slot_look(&slot));
}

static sk_arming_how arm(sk_timers *t, uint64_t expires, uint64_t tag)
{
    sk_arming arming = sk_timers_arm_begin(t, &slot, expires, tag);
    SK_EXPECT((sk_timers_arm_end(&arming, &slot) == NULL) == (arming.how == SK_ARMING_HELD));
    return arming.how;
}

/* Advances t; how many have fired: 0 or 1, and then it is our slot with this tag. */
static int advance(sk_timers *t, uint64_t now, uint64_t tag)
{
    SK_EXPECT(sk_timers_advance(t, now, &haul));
    sk_timer_slot *s = sk_haul_pop_fired(&haul);
    if (!s) return 0;
    SK_EXPECT(s == &slot && sk_slot_fired_tag(s) == tag && sk_haul_pop_fired(&haul) == NULL);
    SK_EXPECT_EQ(state(), SK_SLOT_FIRING);
    return 1;
}

static void at_rest(void)
{
    SK_EXPECT(sk_timers_check(&a) && sk_timers_check(&b));
    SK_EXPECT(sk_wheel_count(&a.wheel) == 0 && sk_wheel_count(&b.wheel) == 0);
    SK_EXPECT(!sk_timers_pending(&a, UINT64_MAX - 1) && !sk_timers_pending(&b, UINT64_MAX - 1));
}

SK_TEST(claim, excludes)
{
    set_up();
    SK_EXPECT(sk_timers_enter(&a) && !sk_claim_try(&a.claim));
    sk_timers_leave(&a);
    SK_EXPECT(sk_claim_try(&a.claim) && !sk_claim_try(&a.claim) && !sk_timers_enter(&a));
    sk_claim_release(&a.claim);
    SK_EXPECT(sk_timers_enter(&a));
    sk_timers_leave(&a);
    at_rest();
}

/* As anyone but the owner does. */
static bool serve(sk_timers *t, uint64_t now)
{
    if (!sk_claim_try(&t->claim)) return false;
    sk_timers_serve(t, now, &haul);
    return true;
}

SK_TEST(slot, fires_for_its_owner_and_for_a_claimer)
{
    set_up();
    for (int by = 0; by < 2; by++) {
        uint64_t start = 100 * TICK * (uint64_t)by;
        SK_EXPECT_EQ(arm(&a, start + 5 * TICK, 77), SK_ARMING_HELD);
        SK_EXPECT(sk_timers_next(&a) == start + 5 * TICK && !sk_timers_pending(&a, start + 5 * TICK - 1));
        SK_EXPECT(advance(&a, start + 5 * TICK - 1, 77) == 0 && haul.next == start + 5 * TICK);
        if (by == 0) SK_EXPECT(advance(&a, start + 5 * TICK, 77) == 1);
        if (by == 1) SK_EXPECT(serve(&a, start + 5 * TICK) && sk_haul_pop_fired(&haul) == &slot);
        sk_slot_settle(&slot);
        SK_EXPECT(sk_slot_abandon(&slot));
        at_rest();
    }
}

SK_TEST(slot, cancel_by_the_owner)
{
    set_up();
    SK_EXPECT(!sk_timers_cancel(&a, &slot));
    arm(&a, 5 * TICK, 1);
    SK_EXPECT(sk_timers_cancel(&a, &slot) && !sk_timers_cancel(&a, &slot));
    SK_EXPECT_EQ(state(), SK_SLOT_FREE);
    SK_EXPECT(advance(&a, 9 * TICK, 1) == 0);
    at_rest();
}

/* The sweep frees the slot; the wheel does not fire it, whether the sweep or its time comes first. */
SK_TEST(slot, cancel_from_afar)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    SK_EXPECT(sk_timers_cancel(&b, &slot) && !sk_timers_cancel(&b, &slot));
    SK_EXPECT(state() == SK_SLOT_CANCELLED && sk_wheel_count(&a.wheel) == 1 && sk_timers_pending(&a, 0));
    SK_EXPECT(advance(&a, 0, 1) == 0 && state() == SK_SLOT_FREE && haul.next == UINT64_MAX);
    at_rest();
}

/* What the owner sleeps by: a swept timer must not wake it. */
SK_TEST(slot, next_is_exact_after_a_sweep)
{
    sk_timer_slot later;
    set_up();
    sk_slot_init(&later);
    arm(&a, 5 * TICK, 1);
    sk_arming arming = sk_timers_arm_begin(&a, &later, 300 * TICK, 2);
    sk_timers_arm_end(&arming, &later);
    sk_timers_cancel(&b, &slot);
    SK_EXPECT(advance(&a, 0, 1) == 0 && haul.next == 300 * TICK && sk_timers_next(&a) == 300 * TICK);
    SK_EXPECT(sk_timers_cancel(&a, &later));
    at_rest();
}

SK_TEST(slot, the_end_of_a_cancelled_task_is_the_sweepers)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    sk_timers_cancel(&b, &slot);
    SK_EXPECT(!sk_slot_abandon(&slot));
    SK_EXPECT(advance(&a, 9 * TICK, 1) == 0 && sk_haul_pop_orphan(&haul) == &slot && !sk_haul_pop_orphan(&haul));
    at_rest();
    set_up();
    arm(&a, 5 * TICK, 1);
    sk_timers_cancel(&b, &slot);
    advance(&a, 1, 1);
    SK_EXPECT(sk_slot_abandon(&slot) && sk_haul_pop_orphan(&haul) == NULL);
}

/* A task that sleeps again elsewhere before the sweep: the new time and the new tag, on the old wheel. */
SK_TEST(slot, armed_again_before_the_sweep)
{
    static const uint64_t again[] = {3, 5, 40, 2000};
    for (size_t i = 0; i < sk_array_len(again); i++) {
        set_up();
        arm(&a, 5 * TICK, 1);
        sk_timers_cancel(&b, &slot);
        SK_EXPECT_EQ(arm(&b, again[i] * TICK, 2), SK_ARMING_AGAIN);
        SK_EXPECT(sk_timers_next(&a) <= again[i] * TICK); /* or nobody would come in time */
        SK_EXPECT(advance(&a, 2 * TICK, 2) == 0 && haul.rearmed);
        SK_EXPECT(advance(&a, again[i] * TICK - 1, 2) == 0 && !haul.rearmed);
        SK_EXPECT(advance(&a, again[i] * TICK, 2) == 1);
        sk_slot_settle(&slot);
        at_rest();
    }
}

/* A frozen claimer keeps the owner from its wheel: arm and cancel go on, and whoever comes next takes them in. */
SK_TEST(slot, a_frozen_claimer_does_not_stop_the_owner)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        set_up();
        SK_EXPECT(sk_claim_try(&a.claim));
        SK_EXPECT_EQ(arm(&a, 5 * TICK, 1), SK_ARMING_PUSH);
        SK_EXPECT(state() == SK_SLOT_LATE && sk_timers_next(&a) == 5 * TICK);
        SK_EXPECT(!sk_timers_advance(&a, 9 * TICK, &haul) && !serve(&a, 9 * TICK));
        if (cancelled) SK_EXPECT(sk_timers_cancel(&a, &slot) && state() == SK_SLOT_CANCELLED);
        sk_claim_release(&a.claim);
        SK_EXPECT(serve(&a, 4 * TICK) && haul.fired == NULL && haul.rearmed == !cancelled);
        SK_EXPECT(advance(&a, 5 * TICK, 1) == !cancelled);
        if (!cancelled) sk_slot_settle(&slot);
        at_rest();
    }
}

SK_TEST(slot, cancel_while_the_owner_is_shut_out)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    SK_EXPECT(sk_claim_try(&a.claim) && sk_timers_cancel(&a, &slot) && state() == SK_SLOT_CANCELLED);
    sk_claim_release(&a.claim);
    SK_EXPECT(advance(&a, 5 * TICK, 1) == 0 && state() == SK_SLOT_FREE);
    at_rest();
}

/* Fired, but somebody else has woken the task: each way in which the task may go on before the firer lets go. */
SK_TEST(slot, a_firer_that_lost_lets_go)
{
    for (int way = 0; way < 4; way++) {
        set_up();
        arm(&a, 5 * TICK, 1);
        SK_EXPECT(advance(&a, 5 * TICK, 1) == 1);
        if (way > 0) SK_EXPECT(!sk_timers_cancel(&b, &slot) && state() == SK_SLOT_CANCELLED);
        if (way == 2) SK_EXPECT(!sk_slot_abandon(&slot));
        if (way == 3) SK_EXPECT_EQ(arm(&b, 9 * TICK, 2), SK_ARMING_AGAIN);
        SK_EXPECT(sk_slot_fired_tag(&slot) == 1); /* the tag of what has fired, not of the arm that came since */
        sk_let_go how = sk_timers_let_go(&a, &slot);
        SK_EXPECT_EQ(how, way < 2 ? SK_LET_GO_DONE : way == 2 ? SK_LET_GO_FREE_TASK : SK_LET_GO_NOTIFY);
        if (way < 2) SK_EXPECT_EQ(state(), SK_SLOT_FREE);
        SK_EXPECT(sk_timers_next(&a) == (way == 3 ? 9 * TICK : UINT64_MAX));
        SK_EXPECT(advance(&a, 8 * TICK, 2) == 0 && advance(&a, 9 * TICK, 2) == (way == 3));
        if (way == 3) sk_slot_settle(&slot);
        at_rest();
    }
}

SK_TEST(slot, a_firer_that_came_before_the_park_comes_again)
{
    for (int woken = 0; woken < 2; woken++) {
        set_up();
        arm(&a, 5 * TICK, 1);
        sk_timers_cancel(&b, &slot);
        arm(&b, 6 * TICK, 2);
        SK_EXPECT(advance(&a, 6 * TICK, 2) == 1);
        if (woken) SK_EXPECT(!sk_timers_cancel(&b, &slot));
        SK_EXPECT(sk_timers_retry(&a, &slot, 6 * TICK + 5) == !woken);
        if (woken) SK_EXPECT_EQ(sk_timers_let_go(&a, &slot), SK_LET_GO_DONE);
        SK_EXPECT((sk_timers_next(&a) <= 6 * TICK + 5) == !woken);
        SK_EXPECT(sk_timers_pending(&a, 6 * TICK + 6) == !woken);
        SK_EXPECT(advance(&a, 6 * TICK + 6, 2) == !woken);
        if (!woken) sk_slot_settle(&slot);
        at_rest();
    }
}

/* A worker retires: what it had fires elsewhere, and a cancel finds it there. */
SK_TEST(slot, moves_to_another_wheel)
{
    for (int way = 0; way < 4; way++) {
        set_up();
        if (way == 3) SK_EXPECT(sk_claim_try(&a.claim)); /* it sits in the inbox when it is moved */
        arm(&a, 5 * TICK, 1);
        if (way == 3) sk_claim_release(&a.claim);
        if (way == 1) sk_timers_cancel(&b, &slot);
        SK_EXPECT(sk_timers_move(&a, &b, 0, &haul) && sk_wheel_count(&a.wheel) == 0);
        SK_EXPECT_EQ(state(), way == 1 ? SK_SLOT_FREE : SK_SLOT_LATE);
        SK_EXPECT(sk_timers_next(&b) == (way != 1 ? 5 * TICK : UINT64_MAX));
        SK_EXPECT(advance(&b, 1, 1) == 0);
        if (way == 2) SK_EXPECT(sk_timers_cancel(&b, &slot) && state() == SK_SLOT_FREE);
        SK_EXPECT(advance(&b, 5 * TICK, 1) == (way == 0 || way == 3));
        if (way == 0 || way == 3) sk_slot_settle(&slot);
        at_rest();
    }
}

/* A cancel whose push comes only after its worker has gone: the slot is found in the old inbox. */
SK_TEST(slot, a_straggler_after_a_move)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    uint64_t word = sk_slot_look(&slot);
    SK_EXPECT(sk_slot_cancel(&slot, &word));
    SK_EXPECT(sk_timers_move(&a, &b, 0, &haul) && state() == SK_SLOT_CANCELLED);
    sk_inbox_push(&a.inbox, &slot);
    SK_EXPECT(sk_timers_move(&a, &b, 0, &haul) && state() == SK_SLOT_FREE);
    at_rest();
}

/* What the runner saw of its slot is over: the holder has let go of it meanwhile. */
SK_TEST(slot, an_old_look_is_looked_at_again)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    uint64_t armed = sk_slot_look(&slot);
    SK_EXPECT(sk_timers_cancel(&b, &slot));
    uint64_t cancelled = sk_slot_look(&slot);
    SK_EXPECT(advance(&a, 0, 1) == 0 && state() == SK_SLOT_FREE);
    /* Through the inbox all the same: who arms it may be another thread than the wheel's owner. */
    sk_arming arming = sk_timers_arm_slow(&a, &slot, cancelled, 7 * TICK, 2);
    SK_EXPECT(arming.how == SK_ARMING_PUSH && sk_timers_arm_end(&arming, &slot) == &a);
    SK_EXPECT(advance(&a, 7 * TICK - 1, 2) == 0 && advance(&a, 7 * TICK, 2) == 1);
    uint64_t word = armed; /* it is FIRING by now */
    SK_EXPECT(sk_slot_cancel(&slot, &word) && sk_slot_state(word) == SK_SLOT_FIRING);
    SK_EXPECT_EQ(sk_timers_let_go(&a, &slot), SK_LET_GO_DONE);
    word = armed; /* it is FREE by now */
    SK_EXPECT(!sk_slot_cancel(&slot, &word) && sk_slot_state(word) == SK_SLOT_FREE);
    at_rest();
}

/* The task of that straggler has ended, too: whoever moves the timers gets its memory to free. */
SK_TEST(slot, an_orphan_in_the_inbox_of_a_wheel_that_is_moved)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    SK_EXPECT(sk_timers_cancel(&b, &slot) && !sk_slot_abandon(&slot) && state() == SK_SLOT_ORPHAN);
    SK_EXPECT(sk_timers_move(&a, &b, 0, &haul));
    SK_EXPECT(haul.fired == NULL && sk_haul_pop_orphan(&haul) == &slot && !sk_haul_pop_orphan(&haul));
    at_rest();
}

/* While a claimer is in, nothing is moved, and the monitor goes on serving that wheel. */
SK_TEST(slot, a_claimed_wheel_is_not_moved)
{
    set_up();
    arm(&a, 5 * TICK, 1);
    SK_EXPECT(sk_claim_try(&a.claim));
    SK_EXPECT(!sk_timers_move(&a, &b, 0, &haul));
    SK_EXPECT(haul.fired == NULL && haul.orphans == NULL && !haul.rearmed);
    SK_EXPECT(sk_wheel_count(&a.wheel) == 1 && state() == SK_SLOT_ARMED);
    sk_claim_release(&a.claim);
    SK_EXPECT(serve(&a, 5 * TICK) && sk_haul_pop_fired(&haul) == &slot);
    sk_slot_settle(&slot);
    at_rest();
}

/* A sleep for a duration finds its slot in other hands, or its wheel claimed: the caller must go the long way. */
SK_TEST(slot, the_short_way_to_sleep_is_not_always_open)
{
    set_up();
    SK_EXPECT(sk_claim_try(&a.claim));
    SK_EXPECT(!sk_timers_arm_in(&a, &slot, 5 * TICK, 1) && state() == SK_SLOT_FREE);
    sk_claim_release(&a.claim);
    SK_EXPECT(sk_timers_arm_in(&a, &slot, 5 * TICK, 1) && state() == SK_SLOT_ARMED);
    SK_EXPECT(!sk_timers_arm_in(&a, &slot, 5 * TICK, 2));
    SK_EXPECT(advance(&a, 0, 1) == 0 && advance(&a, 5 * TICK, 1) == 1);
    sk_slot_settle(&slot);
    at_rest();
}

SK_TEST(slot, check_sees_who_is_not_at_rest)
{
    set_up();
    SK_EXPECT(sk_timers_check(&a));
    SK_EXPECT(sk_timers_enter(&a) && !sk_timers_check(&a));
    sk_timers_leave(&a);
    SK_EXPECT(sk_claim_try(&a.claim) && !sk_timers_check(&a));
    sk_claim_release(&a.claim);
    a.wheel.count = 1;
    SK_EXPECT(!sk_timers_check(&a));
    a.wheel.count = 0;
    at_rest();
}

static void sweep_a_free_slot(void *unused)
{
    (void)unused;
    set_up();
    sk_inbox_push(&a.inbox, &slot);
    sk_timers_advance(&a, 0, &haul);
}

/* What is in an inbox is on its way: a slot that is nobody's there means that one may be lost elsewhere. */
SK_TEST(slot, a_free_slot_in_an_inbox_panics)
{
    char said[4096];
    SK_EXPECT(sk_died_of(sk_child(sweep_a_free_slot, NULL, said, sizeof said), SIGABRT));
    SK_EXPECT(strstr(said, "skua: panic: timer slot 0x") && strstr(said, "in an inbox has the word 0\n"));
}

/* Another thread than the owner arms it: it saw the slot cancelled, which has just been let go. It stays out of the
   wheel. */
SK_TEST(slot, armed_from_outside_when_it_has_just_been_let_go)
{
    set_up();
    SK_EXPECT_EQ(arm(&a, 100 * TICK, 1), SK_ARMING_HELD);
    SK_EXPECT(sk_timers_cancel(NULL, &slot));
    uint64_t seen = sk_slot_look(&slot);
    SK_EXPECT_EQ(state(), SK_SLOT_CANCELLED);
    SK_EXPECT_EQ(advance(&a, TICK, 0), 0);
    SK_EXPECT_EQ(state(), SK_SLOT_FREE);
    sk_arming arming = sk_timers_arm_slow(&b, &slot, seen, 3 * TICK, 2);
    SK_EXPECT_EQ(arming.how, SK_ARMING_PUSH);
    SK_EXPECT_EQ(state(), SK_SLOT_LATE);
    SK_EXPECT(sk_timers_arm_end(&arming, &slot) == &b);
    SK_EXPECT_EQ(advance(&b, 5 * TICK, 2) + advance(&b, 9 * TICK, 2), 1);
    sk_slot_settle(&slot);
    at_rest();
}

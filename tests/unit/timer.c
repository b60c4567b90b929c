/* The wheel: exact, since time is passed in. */
#include "support/test.h"

#include "base/rng.h"
#include "timer/wheel.h"

#include <string.h>

#define TICK SK_TICK_NS
static sk_wheel wheel;

static size_t length(const sk_timer *chain)
{
    size_t n = 0;
    for (; chain; chain = chain->next) n++;
    return n;
}

/* Where a timer that is due at `tick` must not fire, and where it must: both sides of the edge. */
static void fires_exactly_at(sk_timer *t, uint64_t tick)
{
    SK_EXPECT(sk_wheel_advance(&wheel, sk_tick_ns(tick) - 1) == NULL);
    SK_EXPECT(sk_wheel_count(&wheel) == 1);
    SK_EXPECT(sk_wheel_advance(&wheel, sk_tick_ns(tick)) == t);
    SK_EXPECT(t->next == NULL && t->pprev == NULL);
    SK_EXPECT(sk_wheel_count(&wheel) == 0 && sk_wheel_next(&wheel) == UINT64_MAX);
}

/* Follows sk_wheel_next from where the wheel stands, as a sleeping worker does. */
static void fires_by_following_next(sk_timer *t, uint64_t tick)
{
    for (int steps = 0; steps <= SK_WHEEL_FAR_LEVELS; steps++) {
        uint64_t next = sk_wheel_next(&wheel);
        SK_EXPECT(next <= sk_tick_ns(tick));
        SK_EXPECT(sk_wheel_is_due(&wheel, next) && !sk_wheel_is_due(&wheel, next - 1));
        sk_timer *fired = sk_wheel_advance(&wheel, next);
        SK_EXPECT(sk_wheel_check(&wheel));
        SK_EXPECT((fired == t) == (next == sk_tick_ns(tick)));
        if (fired) return;
        SK_EXPECT(sk_wheel_next(&wheel) > next);
    }
    SK_EXPECT(!"reached in one step a level");
}

SK_TEST(wheel, empty)
{
    sk_wheel_init(&wheel, 12345);
    SK_EXPECT(sk_wheel_next(&wheel) == UINT64_MAX && !sk_wheel_is_due(&wheel, UINT64_MAX));
    SK_EXPECT(sk_wheel_advance(&wheel, UINT64_MAX) == NULL);
    SK_EXPECT(sk_wheel_drain(&wheel, 0) == NULL && sk_wheel_check(&wheel));
}

SK_TEST(wheel, rounds_up)
{
    SK_EXPECT(sk_tick_up(0) == 0 && sk_tick_up(1) == 1 && sk_tick_up(TICK) == 1 && sk_tick_up(TICK + 1) == 2);
    SK_EXPECT(sk_tick_up(UINT64_MAX) == UINT64_C(1) << 50 && sk_tick_ns(sk_tick_up(UINT64_MAX)) == UINT64_MAX);
    static const uint64_t offset[] = {1, 2, TICK / 2, TICK - 1, TICK, TICK + 1, 610 * TICK - 1, 610 * TICK + 1};
    for (size_t i = 0; i < sk_array_len(offset); i++) {
        for (uint64_t now = 1000 * TICK; now < 1001 * TICK; now += 1023) {
            sk_timer t = {0};
            sk_wheel_init(&wheel, now);
            sk_wheel_arm(&wheel, &t, now + offset[i]);
            SK_EXPECT(sk_wheel_advance(&wheel, now + offset[i] - 1) == NULL);
            uint64_t next = sk_wheel_next(&wheel);
            SK_EXPECT(next >= now + offset[i] && next < now + offset[i] + TICK);
            fires_exactly_at(&t, sk_tick_up(now + offset[i]));
        }
    }
}

SK_TEST(wheel, late_timers_fire_at_the_next_advance)
{
    sk_timer a = {0}, b = {0}, c = {0};
    sk_wheel_init(&wheel, 5000 * TICK + 7);
    sk_wheel_arm(&wheel, &a, 5000 * TICK);
    sk_wheel_arm(&wheel, &b, 0);
    sk_wheel_arm(&wheel, &c, 4999 * TICK);
    SK_EXPECT(sk_wheel_is_due(&wheel, 5000 * TICK + 7) && sk_wheel_next(&wheel) <= 5000 * TICK + 7);
    SK_EXPECT(sk_wheel_check(&wheel));
    SK_EXPECT(sk_wheel_advance(&wheel, 3) == &a); /* also when the clock is read before that of the arm */
    SK_EXPECT(a.next == &b && b.next == &c && c.next == NULL);
}

/* The edges of every level, from positions at, before and after the edges of every level. */
SK_TEST(wheel, boundaries_of_every_level)
{
    for (unsigned from = 0; from < 50; from++) {
        for (unsigned span = 0; span < 50; span++) {
            for (int k = 0; k < 9; k++) {
                uint64_t start = (UINT64_C(1) << from) + (uint64_t)(k % 3) - 1;
                uint64_t tick = start + (UINT64_C(1) << span) + (uint64_t)(k / 3) - 1;
                if (tick <= start || tick >= UINT64_C(1) << 50) continue;
                sk_timer t = {0};
                sk_wheel_init(&wheel, start * TICK);
                sk_wheel_arm(&wheel, &t, tick * TICK);
                SK_EXPECT(sk_wheel_check(&wheel));
                fires_exactly_at(&t, tick);
                sk_wheel_init(&wheel, start * TICK);
                sk_wheel_arm(&wheel, &t, tick * TICK);
                fires_by_following_next(&t, tick);
            }
        }
    }
}

SK_TEST(wheel, the_end_of_time)
{
    sk_timer never = {0}, last = {0}, half = {0};
    sk_wheel_init(&wheel, 1);
    sk_wheel_arm(&wheel, &never, UINT64_MAX);
    sk_wheel_arm(&wheel, &last, (UINT64_MAX >> SK_TICK_SHIFT) << SK_TICK_SHIFT);
    sk_wheel_arm(&wheel, &half, UINT64_C(1) << 63);
    SK_EXPECT(sk_wheel_check(&wheel));
    SK_EXPECT(sk_wheel_advance(&wheel, (UINT64_C(1) << 63) - 1) == NULL);
    SK_EXPECT(sk_wheel_advance(&wheel, UINT64_C(1) << 63) == &half && half.next == NULL);
    SK_EXPECT(sk_wheel_advance(&wheel, last.expires - 1) == NULL);
    SK_EXPECT(sk_wheel_advance(&wheel, UINT64_MAX) == &last && last.next == NULL);
    SK_EXPECT(sk_wheel_next(&wheel) == UINT64_MAX && !sk_wheel_is_due(&wheel, UINT64_MAX));
    SK_EXPECT(sk_wheel_cancel(&wheel, &never) && sk_wheel_count(&wheel) == 0);
}

SK_TEST(wheel, a_later_timer_hides_no_earlier_one)
{
    static const uint64_t span[] = {1, 63, 64, 600, 1023, 1024, 1025, 2048, 65535, 65536, 70000, 1 << 22, 1 << 30};
    for (size_t i = 0; i < sk_array_len(span); i++) {
        for (size_t j = 0; j < i; j++) {
            for (int order = 0; order < 2; order++) {
                sk_timer early = {0}, late = {0};
                uint64_t start = 1024 * 64 - 3;
                sk_wheel_init(&wheel, start * TICK);
                if (order) sk_wheel_arm(&wheel, &late, (start + span[i]) * TICK);
                sk_wheel_arm(&wheel, &early, (start + span[j]) * TICK);
                if (!order) sk_wheel_arm(&wheel, &late, (start + span[i]) * TICK);
                SK_EXPECT(sk_wheel_advance(&wheel, (start + span[j]) * TICK - 1) == NULL);
                SK_EXPECT(sk_wheel_advance(&wheel, (start + span[j]) * TICK) == &early && early.next == NULL);
                fires_exactly_at(&late, start + span[i]);
            }
        }
    }
}

SK_TEST(wheel, first_in_first_out_within_a_tick)
{
    sk_timer t[40] = {0};
    static const uint64_t ahead[] = {600, 5000, 1 << 20}; /* never cascaded, once, twice */
    for (size_t round = 0; round < sk_array_len(ahead); round++) {
        sk_wheel_init(&wheel, 77 * TICK);
        for (int i = 0; i < 40; i++) sk_wheel_arm(&wheel, &t[i], (77 + ahead[round]) * TICK - (uint64_t)i);
        sk_timer *chain = sk_wheel_advance(&wheel, (77 + ahead[round]) * TICK);
        for (int i = 0; i < 40; i++, chain = chain->next) SK_EXPECT(chain == &t[i]);
        SK_EXPECT(chain == NULL);
    }
}

SK_TEST(wheel, cancel)
{
    sk_timer t[5] = {0};
    for (int skip = 0; skip < 5; skip++) {
        sk_wheel_init(&wheel, 0);
        SK_EXPECT(!sk_wheel_cancel(&wheel, &t[0]));
        for (int i = 0; i < 5; i++) sk_wheel_arm(&wheel, &t[i], 9 * TICK);
        SK_EXPECT(sk_wheel_cancel(&wheel, &t[skip]) && !sk_wheel_cancel(&wheel, &t[skip]));
        SK_EXPECT(sk_wheel_check(&wheel) && sk_wheel_count(&wheel) == 4);
        SK_EXPECT_EQ(length(sk_wheel_advance(&wheel, 9 * TICK)), 4);
        SK_EXPECT(t[skip].pprev == NULL && !sk_wheel_cancel(&wheel, &t[(skip + 1) % 5]));
    }
}

/* The near level goes with the time, whether the advance found something or not: 1000 ticks ahead needs no cascade. */
SK_TEST(wheel, the_near_window_rolls)
{
    sk_timer a = {0}, b = {0};
    sk_wheel_init(&wheel, 0);
    SK_EXPECT(sk_wheel_advance(&wheel, 700 * TICK) == NULL);
    sk_wheel_arm(&wheel, &a, 1700 * TICK);
    SK_EXPECT(sk_wheel_next(&wheel) == 1700 * TICK);
    SK_EXPECT(sk_wheel_advance(&wheel, 2500 * TICK) == &a);
    sk_wheel_arm(&wheel, &b, 3500 * TICK);
    SK_EXPECT(sk_wheel_next(&wheel) == 3500 * TICK);
}

/* sk_wheel_next stays exact when the earliest timer goes; the compare of is_due may err, but only once. */
SK_TEST(wheel, next_after_cancel)
{
    static const uint64_t tick[] = {3, 700, 1200, 1 << 17, 1 << 25};
    sk_timer t[5] = {0};
    sk_wheel_init(&wheel, 0);
    for (int i = 0; i < 5; i++) sk_wheel_arm(&wheel, &t[i], tick[i] * TICK);
    SK_EXPECT(sk_wheel_next(&wheel) == 3 * TICK);
    sk_wheel_cancel(&wheel, &t[0]);
    SK_EXPECT(sk_wheel_next(&wheel) == 700 * TICK);
    SK_EXPECT(sk_wheel_advance(&wheel, 3 * TICK) == NULL && !sk_wheel_is_due(&wheel, 700 * TICK - 1));
    sk_wheel_cancel(&wheel, &t[1]);
    SK_EXPECT(sk_wheel_next(&wheel) == 1024 * TICK); /* the cascade for the one at 1200 */
    sk_wheel_cancel(&wheel, &t[2]);
    SK_EXPECT(sk_wheel_next(&wheel) == (1 << 17) * TICK);
    sk_wheel_cancel(&wheel, &t[3]);
    sk_wheel_cancel(&wheel, &t[4]);
    SK_EXPECT(sk_wheel_next(&wheel) == UINT64_MAX && !sk_wheel_is_due(&wheel, UINT64_MAX));
}

/* Work by ticks instead of by occupied slots would need 2^36 steps for each of these gaps: a timeout. */
SK_TEST(wheel, idle_gaps_cost_nothing)
{
    sk_timer t = {0};
    uint64_t now = 0;
    sk_wheel_init(&wheel, now);
    for (int i = 0; i < 1000; i++, now += UINT64_C(1) << 50) {
        sk_wheel_arm(&wheel, &t, now + (UINT64_C(1) << 50) - 1);
        SK_EXPECT(sk_wheel_advance(&wheel, now + (UINT64_C(1) << 50)) == &t);
    }
}

SK_TEST(wheel, drain)
{
    static sk_timer t[51];
    sk_wheel_init(&wheel, 1000);
    for (int i = 0; i < 51; i++) sk_wheel_arm(&wheel, &t[i], UINT64_C(1) << i);
    SK_EXPECT_EQ(length(sk_wheel_drain(&wheel, 0)), 51);
    SK_EXPECT(sk_wheel_count(&wheel) == 0 && sk_wheel_check(&wheel) && sk_wheel_next(&wheel) == UINT64_MAX);
    for (int i = 0; i < 51; i++) SK_EXPECT(t[i].pprev == NULL);
}

SK_TEST(wheel, check_sees_damage)
{
    sk_timer t = {0};
    sk_wheel_init(&wheel, 0);
    sk_wheel_arm(&wheel, &t, 5 * TICK);
    SK_EXPECT(sk_wheel_check(&wheel));
    t.expires = 6 * TICK;
    SK_EXPECT(!sk_wheel_check(&wheel));
    t.expires = 5 * TICK;
    wheel.words[0] = 0;
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.words[0] = 1 << 5;
    wheel.due = 6;
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.due = 5;
    SK_EXPECT(sk_wheel_check(&wheel));
    wheel.tick = 2000;
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.tick = 0;
    wheel.busy = 2; /* another word than the one that has a bit */
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.busy = 1;
    wheel.count = 2;
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.count = 1;
    t.pprev = &t.next; /* linked where nothing points to it */
    SK_EXPECT(!sk_wheel_check(&wheel));
    t.pprev = &wheel.heads[5];
    SK_EXPECT(sk_wheel_check(&wheel));
    t.expires = (5 + SK_WHEEL_NEAR_SLOTS) * TICK; /* the right slot, a turn too far */
    SK_EXPECT(!sk_wheel_check(&wheel));
}

/* The same for a far level: a wrong slot, too near, too far. */
SK_TEST(wheel, check_sees_damage_far_away)
{
    enum { NEAR = SK_WHEEL_NEAR_SLOTS };
    sk_timer t = {0};
    sk_wheel_init(&wheel, 0);
    sk_wheel_arm(&wheel, &t, 3 * NEAR * TICK);
    SK_EXPECT(sk_wheel_check(&wheel));
    t.expires = 4 * NEAR * TICK;
    SK_EXPECT(!sk_wheel_check(&wheel));
    t.expires = (3 + SK_WHEEL_FAR_SLOTS) * NEAR * TICK;
    SK_EXPECT(!sk_wheel_check(&wheel));
    t.expires = 3 * NEAR * TICK;
    SK_EXPECT(sk_wheel_check(&wheel));
    wheel.tick = 3 * NEAR; /* the slot has been entered, and the timer was not cascaded */
    SK_EXPECT(!sk_wheel_check(&wheel));
}

/* Armed for a duration: not in a slot yet, and everything that is said of the wheel meanwhile says "at once". */
SK_TEST(wheel, fresh_timers_are_wanted_at_once)
{
    sk_timer t = {0}, u = {0};
    sk_wheel_init(&wheel, 100 * TICK);
    sk_wheel_arm_in(&wheel, &t, 5 * TICK);
    sk_wheel_arm_in(&wheel, &u, UINT64_MAX); /* to the end of time, not round into the past */
    SK_EXPECT(sk_wheel_check(&wheel) && sk_wheel_count(&wheel) == 2);
    SK_EXPECT_EQ(sk_wheel_next(&wheel), 0);
    sk_wheel_refresh(&wheel);
    SK_EXPECT_EQ(sk_wheel_next(&wheel), 0);
    wheel.due = 7;
    SK_EXPECT(!sk_wheel_check(&wheel));
    wheel.due = 0;
    t.pprev = &wheel.fresh;
    SK_EXPECT(!sk_wheel_check(&wheel));
    t.pprev = &u.next;
    SK_EXPECT(sk_wheel_check(&wheel));
    SK_EXPECT(sk_wheel_advance(&wheel, 200 * TICK) == NULL);
    SK_EXPECT(sk_wheel_check(&wheel));
    SK_EXPECT_EQ(t.expires, 205 * TICK);
    SK_EXPECT_EQ(u.expires, UINT64_MAX);
    SK_EXPECT(sk_wheel_advance(&wheel, 205 * TICK) == &t);
    SK_EXPECT(sk_wheel_count(&wheel) == 1 && sk_wheel_cancel(&wheel, &u) && sk_wheel_check(&wheel));
}

/* ---- against a sorted list ---- */

typedef struct entry {
    sk_timer timer;
    struct entry *next, *prev;
    uint64_t tick; /* when it fires: its own, or the current one of the arm if that was later */
} entry;

enum { ENTRIES = 400 };
static entry entries[ENTRIES];
static entry list = {.next = &list, .prev = &list};
static uint64_t listed;

static void list_insert(entry *e)
{
    entry *at = list.prev;
    while (at != &list && at->tick > e->tick) at = at->prev;
    e->prev = at;
    e->next = at->next;
    at->next->prev = e;
    at->next = e;
    listed++;
}

static void list_remove(entry *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    listed--;
}

/* A span whose logarithm is even: as many ticks as hours and years. */
static uint64_t random_span(sk_rng *rng, unsigned bits)
{
    return sk_rng_next(rng) >> (63 - sk_rng_below(rng, bits));
}

static void random_advance(uint64_t now)
{
    sk_timer *chain = sk_wheel_advance(&wheel, now);
    uint64_t tick = now >> SK_TICK_SHIFT, last = 0;
    for (; chain; chain = chain->next) {
        entry *e = sk_container_of(chain, entry, timer);
        SK_EXPECT(chain->pprev == NULL && chain->expires <= now);
        SK_EXPECT(e->tick <= tick && e->tick >= last); /* no early one, and in order */
        last = e->tick;
        list_remove(e);
    }
    SK_EXPECT(list.next == &list || list.next->tick > tick); /* the set is complete */
    SK_EXPECT(sk_wheel_count(&wheel) == listed);
    uint64_t next = sk_wheel_next(&wheel), first = list.next == &list ? UINT64_MAX : sk_tick_ns(list.next->tick);
    SK_EXPECT(next <= first && (next > now || next == UINT64_MAX));
    if (list.next != &list && list.next->tick - tick < 64 && (tick & 1023) < 900) SK_EXPECT(next == first);
}

static void random_operation(sk_rng *rng, uint64_t *now)
{
    uint32_t what = sk_rng_below(rng, 100);
    entry *e = &entries[sk_rng_below(rng, ENTRIES)];
    if (what < 80) {
        bool armed = e->timer.pprev != NULL;
        SK_EXPECT(sk_wheel_cancel(&wheel, &e->timer) == armed);
        if (armed) {
            list_remove(e);
            return;
        }
        uint64_t span = random_span(rng, what < 60 ? 28 : 52);
        uint64_t expires = what < 4 ? *now - (span < *now ? span : *now) : *now + span;
        e->tick = sk_max(sk_tick_up(expires), *now >> SK_TICK_SHIFT);
        sk_wheel_arm(&wheel, &e->timer, expires);
        list_insert(e);
        return;
    }
    *now += random_span(rng, what < 98 ? 22 : 44);
    random_advance(*now);
}

SK_TEST(wheel, against_a_sorted_list)
{
    sk_rng rng;
    sk_rng_seed(&rng, 2);
    uint64_t now = random_span(&rng, 60);
    sk_wheel_init(&wheel, now);
    for (long i = 0, n = sk_test_scaled(1000000); i < n; i++) {
        random_operation(&rng, &now);
        if (i % 1024 == 0) SK_EXPECT(sk_wheel_check(&wheel));
    }
    random_advance(UINT64_MAX);
    SK_EXPECT(sk_wheel_check(&wheel) && listed == 0);
}

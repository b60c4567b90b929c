/* The policies against tables: each row is a sample, in order, with one state through the whole table. */
#include "support/test.h"

#include "adjust/adjust.h"
#include "base/base.h"

#include <errno.h>

#define MS UINT64_C(1000000)

typedef struct row {
    uint64_t now_ms, backlog, idle_ms;
    uint32_t workers, blocked, cores, least, most;
    uint32_t target;
} row;

static void run_table(sk_adjust_policy policy, const row *rows, size_t count)
{
    sk_adjust_state state = {0};
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        sk_adjust_sample s = {.workers = r->workers,
                              .running = r->workers > r->blocked ? r->workers - r->blocked : 0,
                              .blocked = r->blocked,
                              .cores = r->cores,
                              .least = r->least,
                              .most = r->most,
                              .backlog = r->backlog,
                              .idle_for_ns = r->idle_ms * MS,
                              .now_ns = r->now_ms * MS};
        uint32_t target = sk_adjust_decide(&policy, &state, &s);
        if (target != r->target) fprintf(stderr, "row %zu: ", i);
        SK_EXPECT_EQ(target, r->target);
    }
}

SK_TEST(adjust, fixed)
{
    static const row rows[] = {
        /* now backlog idle  workers blocked cores least most  target */
        {0, 0, 0, 0, 0, 2, 1, 64, 5}, {10, 1000, 0, 5, 5, 2, 1, 64, 5}, {20, 0, 99999, 5, 0, 2, 1, 64, 5},
        {30, 0, 0, 5, 0, 2, 1, 4, 4}, {40, 0, 0, 5, 0, 2, 8, 16, 8},    {50, 0, 0, 5, 0, 2, 5, 5, 5},
    };
    run_table(sk_adjust_default(SK_ADJUST_FIXED, 5), rows, sk_array_len(rows));
}

/* Above 75% and not at it; for every number of workers at which the share is no whole number as well. */
SK_TEST(adjust, backlog_grows_above_three_quarters)
{
    static const row rows[] = {
        {0, 3, 0, 4, 0, 2, 1, 64, 4},
        {10, 4, 0, 4, 0, 2, 1, 64, 8},
        {20, 0, 0, 1, 0, 2, 1, 64, 1},
        {30, 1, 0, 1, 0, 2, 1, 64, 2},
        {40, 1, 0, 2, 0, 2, 1, 64, 2},
        {50, 2, 0, 2, 0, 2, 1, 64, 4},
        {60, 2, 0, 3, 0, 2, 1, 64, 3},
        {70, 3, 0, 3, 0, 2, 1, 64, 6},
        {80, 6, 0, 8, 0, 2, 1, 64, 8},
        {90, 7, 0, 8, 0, 2, 1, 64, 16},
        {91, 7, 500, 8, 0, 2, 1, 64, 16}, /* queued and idle: the queue decides */
        {92, 1000000, 0, 40, 0, 2, 1, 64, 64},
        {93, 1000000, 0, 64, 0, 2, 1, 64, 64},
        {94, UINT64_MAX, 0, UINT32_MAX, 0, 2, 1, UINT32_MAX, UINT32_MAX},
        {95, 0, 0, 0, 0, 2, 3, 64, 3},
        {96, 5, 0, 0, 0, 2, 3, 64, 3},
    };
    run_table(sk_adjust_default(SK_ADJUST_BACKLOG, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, backlog_halves_when_idle)
{
    static const row rows[] = {
        {1000, 0, 0, 64, 0, 2, 3, 64, 64},                                        /* nobody idle */
        {1010, 0, 99, 64, 0, 2, 3, 64, 64},                                       /* not long enough */
        {1011, 1, 100, 64, 0, 2, 3, 64, 64},                                      /* something is queued */
        {1012, 0, 100, 64, 0, 2, 3, 64, 32}, {1022, 0, 110, 32, 0, 2, 3, 64, 32}, /* the halving was just now */
        {1111, 0, 199, 32, 0, 2, 3, 64, 32}, {1112, 0, 200, 32, 0, 2, 3, 64, 16}, {1212, 0, 300, 16, 0, 2, 3, 64, 8},
        {1312, 0, 400, 8, 0, 2, 3, 64, 4},   {1412, 0, 500, 4, 0, 2, 3, 64, 3}, /* not below the least */
        {1512, 0, 600, 3, 0, 2, 3, 64, 3},   {1513, 3, 0, 3, 0, 2, 3, 64, 6},   /* growth waits for nothing */
    };
    run_table(sk_adjust_default(SK_ADJUST_BACKLOG, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, blocking_keeps_the_cores_busy)
{
    static const row rows[] = {
        {0, 0, 0, 0, 0, 4, 1, 64, 4},  {10, 0, 0, 4, 1, 4, 1, 64, 5},    {20, 9, 0, 5, 5, 4, 1, 64, 9},
        {30, 0, 0, 9, 5, 4, 1, 64, 9}, {40, 0, 0, 9, 100, 4, 1, 64, 64}, {50, 0, 0, 9, UINT32_MAX, 4, 1, 64, 64},
        {60, 0, 0, 2, 0, 4, 1, 2, 2},  {70, 0, 0, 4, 0, 4, 6, 64, 6},
    };
    run_table(sk_adjust_default(SK_ADJUST_BLOCKING, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, blocking_shrinks_after_a_calm)
{
    static const row rows[] = {
        {1000, 0, 0, 2, 8, 2, 1, 64, 10},  {1010, 0, 0, 10, 3, 2, 1, 64, 10}, /* fewer would do: the calm begins */
        {1050, 0, 0, 10, 6, 2, 1, 64, 10},                                    /* its peak: 8 */
        {1109, 0, 0, 10, 0, 2, 1, 64, 10}, {1110, 0, 0, 10, 0, 2, 1, 64, 8},
        {1120, 0, 0, 8, 0, 2, 1, 64, 8}, /* the next calm begins */
        {1200, 0, 0, 8, 6, 2, 1, 64, 8}, /* and is broken */
        {1230, 0, 0, 8, 0, 2, 1, 64, 8}, /* begins anew */
        {1329, 0, 0, 8, 0, 2, 1, 64, 8},   {1330, 0, 0, 8, 0, 2, 1, 64, 2},
        {1340, 0, 0, 2, 0, 2, 1, 64, 2},
    };
    run_table(sk_adjust_default(SK_ADJUST_BLOCKING, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, validate)
{
    static const struct {
        uint32_t least, most, limit;
        int result;
    } rows[] = {{1, 1, 1, 0},       {1, 64, 1024, 0},   {5, 5, 5, 0},       {0, 4, 8, -EINVAL},
                {5, 4, 8, -EINVAL}, {1, 9, 8, -EINVAL}, {0, 0, 8, -EINVAL}, {UINT32_MAX, UINT32_MAX, UINT32_MAX, 0}};
    sk_adjust_policy p = sk_adjust_default(SK_ADJUST_BLOCKING, 0);
    for (size_t i = 0; i < sk_array_len(rows); i++)
        SK_EXPECT_EQ(sk_adjust_validate(&p, rows[i].least, rows[i].most, rows[i].limit), rows[i].result);
    p = sk_adjust_default(SK_ADJUST_FIXED, 0);
    SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), -EINVAL);
    p.count = 1;
    SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), 0);
    static const sk_adjust_kind others[] = {SK_ADJUST_EAGER, SK_ADJUST_BALANCED, SK_ADJUST_LAZY};
    for (int i = 0; i < 3; i++) {
        p = sk_adjust_default(others[i], 0);
        SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), 0);
        p.backlog_percent = 0;
        SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), others[i] == SK_ADJUST_LAZY ? -EINVAL : 0);
    }
    p = sk_adjust_default(SK_ADJUST_BACKLOG, 0);
    SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), 0);
    p.backlog_percent = 0;
    SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), -EINVAL);
    p.kind = (sk_adjust_kind)17;
    SK_EXPECT_EQ(sk_adjust_validate(&p, 1, 4, 8), -EINVAL);
}

/* One more for each that waits; none while a worker is idle. */
SK_TEST(adjust, eager_grows_by_what_waits)
{
    static const row rows[] = {
        {0, 0, 0, 1, 0, 2, 1, 64, 1},
        {10, 1, 0, 1, 0, 2, 1, 64, 2},
        {20, 7, 0, 2, 0, 2, 1, 64, 9},
        {30, 7, 0, 9, 9, 2, 1, 64, 16},
        {40, 100, 0, 16, 0, 2, 1, 64, 64},
        {50, UINT64_MAX, 0, 64, 0, 2, 1, 64, 64},
        {60, UINT64_MAX, 0, UINT32_MAX, 0, 2, 1, UINT32_MAX, UINT32_MAX},
        {1000, 0, 100, 64, 0, 2, 3, 64, 32},
        {1100, 0, 200, 32, 0, 2, 3, 64, 16},
        {1110, 1, 0, 16, 0, 2, 3, 64, 17},
    };
    run_table(sk_adjust_default(SK_ADJUST_EAGER, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, balanced_grows_by_half_of_what_waits)
{
    static const row rows[] = {
        {0, 0, 0, 1, 0, 2, 1, 64, 1},        {10, 1, 0, 1, 0, 2, 1, 64, 2},
        {20, 7, 0, 2, 0, 2, 1, 64, 6},       {30, 8, 0, 6, 3, 2, 1, 64, 10},
        {40, 1000, 0, 10, 0, 2, 1, 64, 42},  {50, UINT64_MAX, 0, 42, 0, 2, 1, 64, 64},
        {1000, 0, 100, 64, 0, 2, 3, 64, 32}, {1099, 0, 199, 32, 0, 2, 3, 64, 32},
        {1100, 0, 200, 32, 0, 2, 3, 64, 16},
    };
    run_table(sk_adjust_default(SK_ADJUST_BALANCED, 0), rows, sk_array_len(rows));
}

SK_TEST(adjust, lazy_grows_when_many_wait)
{
    static const row rows[] = {
        {0, 0, 0, 1, 0, 2, 1, 8, 1},   {10, 4, 0, 1, 0, 2, 1, 8, 1},          {20, 5, 0, 1, 0, 2, 1, 8, 2},
        {30, 8, 0, 2, 0, 2, 1, 8, 2},  {40, 9, 0, 2, 2, 2, 1, 8, 3},          {50, 1000, 0, 3, 0, 2, 1, 8, 4},
        {60, 99, 0, 8, 0, 2, 1, 8, 8}, {70, UINT64_MAX, 0, 7, 0, 2, 1, 8, 8}, {1000, 0, 100, 8, 0, 2, 3, 8, 4},
    };
    run_table(sk_adjust_default(SK_ADJUST_LAZY, 0), rows, sk_array_len(rows));
}

static uint32_t decide_once(sk_adjust_kind kind, sk_adjust_sample s)
{
    sk_adjust_policy policy = sk_adjust_default(kind, 0);
    sk_adjust_state state = {0};
    return sk_adjust_decide(&policy, &state, &s);
}

/* Somebody who is idle will take it; and work that stands is deep enough for the lazy. */
SK_TEST(adjust, idle_workers_and_work_that_stands)
{
    sk_adjust_sample s = {.workers = 4, .running = 3, .cores = 2, .least = 1, .most = 8, .backlog = 3};
    SK_EXPECT_EQ(decide_once(SK_ADJUST_EAGER, s), 4);
    SK_EXPECT_EQ(decide_once(SK_ADJUST_BALANCED, s), 4);
    SK_EXPECT_EQ(decide_once(SK_ADJUST_LAZY, s), 4);
    s.blocked = 1;
    SK_EXPECT_EQ(decide_once(SK_ADJUST_EAGER, s), 7);
    SK_EXPECT_EQ(decide_once(SK_ADJUST_BALANCED, s), 6);
    SK_EXPECT_EQ(decide_once(SK_ADJUST_LAZY, s), 4);
    s.stands = true;
    SK_EXPECT_EQ(decide_once(SK_ADJUST_LAZY, s), 5);
}

/* An idle timeout of its own, and none. */
SK_TEST(adjust, idle_timeouts)
{
    static const row soon[] = {{1000, 0, 4, 8, 0, 2, 1, 8, 8},
                               {1001, 0, 5, 8, 0, 2, 1, 8, 4},
                               {1005, 0, 9, 4, 0, 2, 1, 8, 4},
                               {1006, 0, 10, 4, 0, 2, 1, 8, 2}};
    static const row never[] = {{1000, 0, 100, 8, 0, 2, 1, 8, 8}, {900000000, 0, 900000000, 8, 0, 2, 1, 8, 8}};
    sk_adjust_policy policy = sk_adjust_default(SK_ADJUST_LAZY, 0);
    policy.idle_ns = 5 * MS;
    run_table(policy, soon, sk_array_len(soon));
    policy.idle_ns = UINT64_MAX;
    run_table(policy, never, sk_array_len(never));
}

/* A policy that this version does not know: as it is, but within the limits. */
SK_TEST(adjust, an_unknown_policy_changes_nothing)
{
    static const row rows[] = {
        {.now_ms = 0, .backlog = 50, .workers = 3, .cores = 4, .least = 1, .most = 8, .target = 3},
        {.now_ms = 10, .backlog = 50, .workers = 9, .cores = 4, .least = 1, .most = 8, .target = 8},
        {.now_ms = 20, .idle_ms = 90000, .workers = 1, .cores = 4, .least = 2, .most = 8, .target = 2},
    };
    run_table((sk_adjust_policy){.kind = (enum sk_adjust_kind)99}, rows, sk_array_len(rows));
}

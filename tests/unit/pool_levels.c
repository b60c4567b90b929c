/* unit/pool_levels.c: the queue of a pool by levels: what a batch takes out, and in which order. */
#include "support/test.h"

#include "pool/backlog.h"

enum { HIGH = 10, LOW = 10, BATCH = 16 };

/* Items are numbers from 1; those of level 1 come after 100. */
static void *item(uint32_t level, uint32_t i)
{
    return (void *)(uintptr_t)(level * 100 + i + 1);
}

static void push(sk_backlog *b, uint32_t level, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(sk_backlog_push(b, level, item(level, i)), 0);
}

/* Takes `n` in one batch, and compares: of level 1 those from *low on wherever `is_low` says so, else those of level 0
   from *high on. */
static void take(sk_backlog *b, uint32_t n, uint32_t is_low, uint32_t *high, uint32_t *low)
{
    void *out[BATCH] = {NULL};
    SK_EXPECT_EQ(sk_backlog_pop_many(b, out, n), n);
    for (uint32_t i = 0; i < n; i++)
        SK_EXPECT_EQ((uintptr_t)out[i], (uintptr_t)(is_low >> i & 1 ? item(1, (*low)++) : item(0, (*high)++)));
}

SK_TEST(pool_levels, a_batch_takes_the_higher_level_first_then_goes_on_below)
{
    sk_backlog b;
    uint32_t high = 0, low = 0;
    SK_EXPECT_EQ(sk_backlog_init(&b, 64, 2, UINT64_C(3600000000000), NULL), 0);
    push(&b, 1, LOW);
    push(&b, 0, HIGH);
    take(&b, 4, 0, &high, &low);
    take(&b, 10, 0x3c0, &high, &low); /* the last six of level 0, then four of level 1 */
    take(&b, 6, 0x3f, &high, &low);
    void *none;
    SK_EXPECT_EQ(sk_backlog_pop_many(&b, &none, 1), 0);
    SK_EXPECT(!sk_backlog_pop(&b));
    SK_EXPECT(sk_backlog_is_empty(&b));
    sk_backlog_fini(&b);
}

/* With an ageing of 0 a level is aged as soon as it has been passed over once. */
SK_TEST(pool_levels, a_batch_takes_one_task_of_an_aged_level)
{
    sk_backlog b;
    uint32_t high = 0, low = 0;
    SK_EXPECT_EQ(sk_backlog_init(&b, 64, 2, 0, NULL), 0);
    push(&b, 0, HIGH);
    push(&b, 1, LOW);
    take(&b, 3, 0, &high, &low);
    take(&b, 4, 1, &high, &low); /* one that has aged; then it has been passed over once, for all the others */
    take(&b, 3, 1, &high, &low);
    take(&b, 9, 0x1f9, &high, &low); /* one that has aged, the last high ones, and then none is above */
    SK_EXPECT_EQ(high, HIGH);
    SK_EXPECT(!sk_backlog_is_empty(&b));
    take(&b, 1, 1, &high, &low);
    SK_EXPECT_EQ(low, LOW);
    SK_EXPECT(sk_backlog_is_empty(&b));
    sk_backlog_fini(&b);
}

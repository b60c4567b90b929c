/* contexts.h: what the tests of contexts share. */
#ifndef SK_CONTEXTS_H
#define SK_CONTEXTS_H

#include "support/tasks.h"

#include "sync/context.h"

/* Every test ends with this: nothing is left, of contexts and of those who stood in them. */
static inline void sk_nothing_left(void)
{
    SK_EVENTUALLY(sk_contexts_out() == 0 && sk_stays_out() == 0);
}

/* Of a test with deadlines, or tasks there. */
static inline void sk_release_default(void)
{
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

static inline skua_context *sk_context_below(skua_context *parent)
{
    skua_context *c = NULL;
    SK_EXPECT_EQ(skua_context_create(&c, parent), 0);
    SK_EXPECT(c != NULL);
    return c;
}

static inline void sk_release_context(skua_context *c)
{
    SK_EXPECT_EQ(skua_context_release(c), 0);
}

static inline void sk_join_with(skua_task task, int want)
{
    int result = 1;
    SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, want);
}

static inline skua_task sk_spawn_in(skua_runtime *rt, skua_context *c, skua_fn *fn, void *arg)
{
    skua_task task;
    SK_EXPECT_EQ(skua_context_spawn(&task, c, &(skua_task_options){.runtime = rt}, fn, arg), 0);
    return task;
}

#endif

/* unit/shield.c: waits that must not fail: a task that is late or cancelled parks in them all the same. */
#include "support/tasks.h"

#include "skua/group.h"

typedef struct releasing {
    sk_gate entered, go;
    skua_group *group;
} releasing;

static int ignore_all(void *arg)
{
    releasing *r = arg;
    sk_gate_add(&r->entered);
    return sk_gate_hold(&r->go, 1) ? 0 : -ETIME;
}

static int release_while_one_runs(void *arg)
{
    releasing *r = arg;
    SK_EXPECT_EQ(skua_group_create(&r->group, NULL), 0);
    SK_EXPECT_EQ(skua_group_go(r->group, ignore_all, r), 0);
    SK_EXPECT_EQ(skua_group_release(r->group), 0);
    return skua_cancelled();
}

/* False: it was late before its child had begun. */
static bool released_late(uint64_t within)
{
    skua_runtime *rt = sk_runtime_of(2);
    releasing r = {.group = NULL};
    skua_task_options o = {.runtime = rt, .finish_within = within};
    skua_task t;
    int result = 0;
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, release_while_one_runs, &r), 0);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT_EQ(sk_stats_of(rt).handoffs, 0);
    bool begun = sk_gate_now(&r.entered) == 1;
    sk_gate_add(&r.go);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return begun;
}

/* It parks, whatever is asked of it, and its joiner is told at once. */
SK_TEST(group, released_by_one_who_is_late)
{
    uint64_t within = SKUA_MS(30);
    while (!released_late(within)) within *= 4;
}

SK_TEST(group, released_by_one_who_is_cancelled_again_and_again)
{
    skua_runtime *rt = sk_runtime_of(2);
    releasing r = {.group = NULL};
    skua_task t = sk_spawn_on(rt, release_while_one_runs, &r);
    int result = 0;
    SK_EXPECT(sk_gate_await(&r.entered, 1));
    SK_EXPECT_EQ(skua_cancel(t), 0);
    for (int i = 0; i < 5; i++) {
        skua_sleep(SKUA_MS(1));
        SK_EXPECT_EQ(skua_cancel(t), -EALREADY);
    }
    sk_gate_add(&r.go);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* unit/group.c: groups and loops: bad input, nesting, cancellation from everywhere, and giving up. */
#include "support/pools.h"

#include "base/base.h"

#include <string.h>

#define GROUP(...) group_of((skua_group_options){__VA_ARGS__})

static skua_group *group_of(skua_group_options o)
{
    skua_group *group = NULL;
    SK_EXPECT_EQ(skua_group_create(&group, &o), 0);
    return group;
}

static skua_pool_counts counts_of(skua_group *group)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_group_stats(group, &c), 0);
    return c;
}

static int await_gate(void *arg)
{
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !sk_gate_now(arg);) {
        int error = skua_sleep(SKUA_US(200));
        if (error) return error;
        if (skua_now() > give_up) return -ETIME;
    }
    return 0;
}

static int fail(void *arg)
{
    return -(int)(intptr_t)arg;
}

/* ---- bad input ---- */

SK_TEST(group, bad_options)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    skua_group *g, *parent = GROUP(.runtime = rt);
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = other}), 0);
    static const struct {
        skua_group_options o;
        int error;
    } bad[] = {
        {{.limit = UINT32_MAX}, -ERANGE},
        {{.limit = 1, .queue = SKUA_POOL_QUEUE_MAX + 1}, -EOVERFLOW},
        {{.limit = 1, .queue = SKUA_POOL_NO_QUEUE - 1}, -EOVERFLOW},
        {{.errors = SKUA_GROUP_ERRORS_MAX + 1}, -EOVERFLOW},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skua_group_options o = bad[i].o;
        o.runtime = rt;
        SK_EXPECT_EQ(skua_group_create(&g, &o), bad[i].error);
        SK_EXPECT(g == NULL);
    }
    SK_EXPECT_EQ(skua_group_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_create(&g, &(skua_group_options){.runtime = rt, .pool = pool}), -ENOTSUP);
    SK_EXPECT_EQ(skua_group_create(&g, &(skua_group_options){.runtime = other, .parent = parent}), -ENOTSUP);
    SK_EXPECT_EQ(skua_group_create(&g, &(skua_group_options){.pool = pool, .parent = parent}), -ENOTSUP);
    SK_EXPECT_EQ(skua_group_release(parent), 0);
    SK_EXPECT_EQ(skua_group_create(&g, &(skua_group_options){.parent = parent}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

static void expect_from_all(skua_group *g, int error)
{
    skua_group_error e;
    skua_pool_counts c;
    int cause = 1;
    SK_EXPECT_EQ(skua_group_go(g, sk_give_0, NULL), error);
    SK_EXPECT_EQ(skua_group_try_go(g, sk_give_0, NULL), error);
    SK_EXPECT_EQ(skua_group_go_with(g, NULL, sk_give_0, NULL), error);
    SK_EXPECT_EQ(skua_group_go_future(g, &(skua_future){0}, NULL, sk_give_0, NULL), error);
    SK_EXPECT_EQ(skua_group_wait(g, &cause), error);
    SK_EXPECT_EQ(cause, 0);
    SK_EXPECT_EQ(skua_group_wait_for(g, 0, NULL), error);
    SK_EXPECT_EQ(skua_group_cause(g), error);
    SK_EXPECT_EQ(skua_group_errors(g, &e, 1), error);
    SK_EXPECT_EQ(skua_group_cancel(g, 0), error);
    SK_EXPECT_EQ(skua_group_stats(g, &c), error);
    SK_EXPECT_EQ(skua_group_release(g), error);
}

SK_TEST(group, null_and_released)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_group *g = GROUP(.runtime = rt);
    SK_EXPECT_EQ(skua_group_go(g, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_try_go(g, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_go_with(g, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_cancel(g, 1), -EINVAL);
    SK_EXPECT_EQ(skua_group_errors(g, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_group_errors(g, NULL, 0), 0);
    SK_EXPECT_EQ(skua_group_stats(g, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    expect_from_all(g, -ESHUTDOWN);
    expect_from_all(NULL, -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the limit ---- */

SK_TEST(group, go_waits_at_the_limit_and_try_go_does_not)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt, .limit = 42);
    for (int round = 0; round < 10; round++) {
        sk_gate gate = 0;
        for (int i = 0; i < 42; i++) SK_EXPECT_EQ(skua_group_try_go(g, await_gate, &gate), 0);
        SK_EXPECT_EQ(skua_group_try_go(g, await_gate, &gate), -EAGAIN);
        SK_EXPECT_EQ(skua_group_wait_for(g, SKUA_MS(1), NULL), -ETIMEDOUT);
        sk_gate_add(&gate);
        for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_group_go(g, await_gate, &gate), 0);
        SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
    }
    SK_EXPECT_EQ(counts_of(g).done, 1420);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct go_self {
    skua_group *g;
    sk_gate gate;
    int found;
} go_self;

static int go_again(void *arg)
{
    go_self *s = arg;
    s->found = skua_group_go(s->g, sk_give_0, NULL);
    return 0;
}

SK_TEST(group, a_task_that_would_wait_for_its_own_place_is_told)
{
    skua_runtime *rt = sk_runtime_of(1);
    go_self s = {.g = GROUP(.runtime = rt, .limit = 1), .found = 1};
    SK_EXPECT_EQ(skua_group_go(s.g, go_again, &s), 0);
    SK_EXPECT_EQ(skua_group_wait(s.g, NULL), 0);
    SK_EXPECT_EQ(s.found, -EDEADLK);
    SK_EXPECT_EQ(skua_group_release(s.g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_and_release_self(void *arg)
{
    go_self *s = arg;
    int cause = 1;
    SK_EXPECT_EQ(skua_group_wait(s->g, &cause), -EDEADLK);
    SK_EXPECT_EQ(cause, 0);
    SK_EXPECT_EQ(skua_group_wait_for(s->g, 0, NULL), -EDEADLK);
    SK_EXPECT_EQ(skua_group_release(s->g), -EDEADLK);
    return 7;
}

static int do_nested(void *arg)
{
    go_self *s = arg;
    skua_group *below = GROUP(.parent = s->g, .limit = 1);
    SK_EXPECT_EQ(skua_group_go(below, wait_and_release_self, s), 0); /* from below: it would wait for us */
    SK_EXPECT_EQ(skua_group_wait(below, NULL), 0);
    return skua_group_release(below);
}

SK_TEST(group, waiting_from_inside)
{
    skua_runtime *rt = sk_runtime_of(2);
    go_self s = {.g = GROUP(.runtime = rt)};
    SK_EXPECT_EQ(skua_group_go(s.g, wait_and_release_self, &s), 0);
    SK_EXPECT_EQ(skua_group_go(s.g, do_nested, &s), 0);
    SK_EXPECT_EQ(skua_group_wait(s.g, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(s.g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- cancelling ---- */

typedef struct goer {
    skua_group *g;
    sk_gate before;
    int found;
} goer;

static int go_one(void *arg)
{
    goer *w = arg;
    sk_gate_add(&w->before);
    w->found = skua_group_go(w->g, sk_give_0, NULL);
    return 0;
}

static void *go_as_thread(void *arg)
{
    go_one(arg);
    return NULL;
}

/* Goes on when it is told to end. */
static int stay(void *arg)
{
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !sk_gate_now(arg); skua_yield())
        if (skua_now() > give_up) return -ETIME;
    return 0;
}

SK_TEST(group, cancelling_refuses_those_who_wait_at_the_limit)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 50; round++) {
        skua_group *g = GROUP(.runtime = rt, .limit = 1);
        goer task = {.g = g}, thread = {.g = g};
        sk_gate gate = 0;
        pthread_t id;
        SK_EXPECT_EQ(skua_group_go(g, round % 4 == 1 ? stay : await_gate, &gate), 0);
        SK_EVENTUALLY(round % 4 != 1 || counts_of(g).running == 1);
        SK_EXPECT_EQ(pthread_create(&id, NULL, go_as_thread, &thread), 0);
        skua_task t = sk_spawn_on(rt, go_one, &task);
        if (round % 2) SK_EVENTUALLY(counts_of(g).waiting == 2);
        SK_EXPECT_EQ(skua_group_cancel(g, -EPIPE), 0);
        SK_EXPECT_EQ(skua_group_cancel(g, -EIO), -EALREADY);
        pthread_join(id, NULL);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        sk_gate_add(&gate);
        uint32_t accepted = (task.found == 0) + (thread.found == 0);
        SK_EXPECT(task.found == 0 || task.found == -ECANCELED);
        SK_EXPECT(thread.found == 0 || thread.found == -ECANCELED);
        if (round % 2) SK_EXPECT_EQ(accepted, 0); /* else it may have gone beside the cancel, when room was made */
        SK_EXPECT_EQ(skua_group_go(g, sk_give_0, NULL), -ECANCELED);
        SK_EXPECT_EQ(skua_group_try_go(g, sk_give_0, NULL), -ECANCELED);
        int cause = 0;
        SK_EXPECT_EQ(skua_group_wait(g, &cause), -EPIPE);
        SK_EXPECT_EQ(cause, -EPIPE);
        SK_EXPECT_EQ(counts_of(g).submitted, 1 + accepted);
        SK_EXPECT_EQ(skua_group_go(g, sk_give_0, NULL), 0); /* the next round */
        SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
        SK_EXPECT_EQ(skua_group_release(g), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int cancel_group(void *arg)
{
    SK_EXPECT_EQ(skua_group_cancel(arg, 0), 0);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED); /* it is one of them */
    return 0;
}

SK_TEST(group, a_task_can_cancel_its_own_group)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt, .errors = 3);
    sk_gate never = 0;
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_group_go(g, await_gate, &never), 0);
    SK_EXPECT_EQ(skua_group_go(g, cancel_group, g), 0);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), -ECANCELED);
    SK_EXPECT_EQ(skua_group_errors(g, NULL, 0), 0);
    SK_EXPECT_EQ(counts_of(g).cancelled, 5);
    SK_EXPECT_EQ(counts_of(g).done, 1);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int cancel_quietly(void *arg)
{
    return skua_group_cancel(arg, 0);
}

/* Tasks that come in while the group is cancelled are found by the sweep, or find the cancellation: none is left to
   wait for ever. */
SK_TEST(group, cancelling_races_with_going)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt);
    long rounds = sk_test_scaled(2000);
    for (long round = 0; round < rounds; round++) {
        sk_gate never = 0;
        skua_task t = sk_spawn_on(rt, cancel_quietly, g);
        int error = 0;
        for (int i = 0; i < 20 && !error; i++) error = skua_group_go(g, await_gate, &never);
        SK_EXPECT(error == 0 || error == -ECANCELED);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_group_wait_for(g, SKUA_MS(SK_PATIENCE_MS), NULL), -ECANCELED);
    }
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(group, cancelling_reaches_the_groups_below)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *top = GROUP(.runtime = rt), *middle = GROUP(.parent = top), *low = GROUP(.parent = middle),
               *beside = GROUP(.runtime = rt);
    sk_gate gate = 0;
    SK_EXPECT_EQ(skua_group_go(low, await_gate, &gate), 0);
    SK_EXPECT_EQ(skua_group_go(middle, await_gate, &gate), 0);
    SK_EXPECT_EQ(skua_group_go(beside, await_gate, &gate), 0);
    SK_EXPECT_EQ(skua_group_release(top), -EBUSY);
    SK_EXPECT_EQ(skua_group_cancel(middle, 0), 0);
    SK_EXPECT_EQ(skua_group_wait(low, NULL), -ECANCELED);
    SK_EXPECT_EQ(skua_group_wait(top, NULL), 0);
    SK_EXPECT_EQ(skua_group_go(top, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_group_go(low, sk_give_0, NULL), -ECANCELED); /* until the round of `middle` is over */
    SK_EXPECT_EQ(skua_group_wait(middle, NULL), -ECANCELED);
    SK_EXPECT_EQ(skua_group_go(low, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_group_wait(low, NULL), 0);
    SK_EVENTUALLY(counts_of(beside).running == 1);
    sk_gate_add(&gate);
    SK_EXPECT_EQ(skua_group_wait(beside, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(low), 0);
    SK_EXPECT_EQ(skua_group_release(middle), 0);
    SK_EXPECT_EQ(skua_group_release(top), 0);
    SK_EXPECT_EQ(skua_group_release(beside), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- ends of all kinds ---- */

static int give_up(void *arg)
{
    skua_panic_task("%s", (char *)arg);
}

SK_TEST(group, a_fault_is_an_error)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt, .fail_fast = 1);
    sk_gate never = 0;
    SK_EXPECT_EQ(skua_group_go(g, await_gate, &never), 0);
    SK_EXPECT_EQ(skua_group_go(g, give_up, "no more"), 0);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), -EFAULT);
    SK_EXPECT_EQ(counts_of(g).failed, 1);
    SK_EXPECT_EQ(counts_of(g).cancelled, 1);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(group, a_late_task_is_an_error)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_group *g = GROUP(.runtime = rt);
    sk_gate never = 0;
    SK_EXPECT_EQ(skua_group_go_with(g, &(skua_submit_options){.finish_within = SKUA_MS(2)}, await_gate, &never), 0);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(counts_of(g).expired, 1);
    SK_EXPECT_EQ(skua_group_go_with(g, &(skua_submit_options){.level = 1}, sk_give_0, NULL), -EDOM);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct stubborn {
    sk_atomic(uint32_t) tries;
    uint32_t needs;
} stubborn;

static int try_again(void *arg)
{
    stubborn *s = arg;
    return sk_add_rlx(&s->tries, 1u) + 1 < s->needs ? -EIO : 0;
}

SK_TEST(group, a_task_that_is_retried_ends_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int fail_fast = 0; fail_fast < 2; fail_fast++) {
        skua_group *g = GROUP(.runtime = rt, .errors = 4, .fail_fast = fail_fast);
        skua_submit_options o = {.retry = {.times = 3}};
        stubborn wins = {.needs = 4}, loses = {.needs = 5};
        skua_group_error e[4];
        SK_EXPECT_EQ(skua_group_go_with(g, &o, try_again, &wins), 0);
        SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
        SK_EXPECT_EQ(wins.tries, 4);
        SK_EXPECT_EQ(skua_group_go_with(g, &o, try_again, &loses), 0);
        SK_EXPECT_EQ(skua_group_wait(g, NULL), -EIO);
        SK_EXPECT_EQ(loses.tries, 4);
        SK_EXPECT_EQ(skua_group_errors(g, e, 4), 1);
        SK_EXPECT(e[0].arg == &loses);
        o.retry.backoff = SKUA_S(3600); /* the cancellation comes between two attempts */
        o.retry.times = 1;
        stubborn waits = {.needs = 10};
        SK_EXPECT_EQ(skua_group_go_with(g, &o, try_again, &waits), 0);
        SK_EVENTUALLY(sk_load_rlx(&waits.tries) == 1);
        SK_EXPECT_EQ(skua_group_cancel(g, -EPIPE), 0);
        SK_EXPECT_EQ(skua_group_wait_for(g, SKUA_MS(SK_PATIENCE_MS), NULL), -EPIPE);
        SK_EXPECT_EQ(waits.tries, 1);
        SK_EXPECT_EQ(skua_group_release(g), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(group, more_errors_than_are_kept)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt, .errors = 3);
    skua_group_error e[5];
    for (int round = 0; round < 70; round++) { /* more than round numbers */
        for (int i = 1; i <= 5; i++) {
            SK_EXPECT_EQ(skua_group_go(g, fail, (void *)(intptr_t)(round + i)), 0);
            SK_EVENTUALLY(skua_group_errors(g, NULL, 0) == i);
        }
        SK_EXPECT_EQ(skua_group_wait(g, NULL), -round - 1);
        SK_EXPECT_EQ(skua_group_errors(g, e, 2), 5);
        memset(e, 0, sizeof e);
        SK_EXPECT_EQ(skua_group_errors(g, e, 5), 5);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(e[i].error, -round - 1 - i); /* in the order in which they ended */
        SK_EXPECT_EQ(e[3].error, 0);
    }
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- waiting and releasing ---- */

typedef struct waiter {
    skua_group *g;
    sk_gate waits;
    int found;
} waiter;

static int wait_for_group(void *arg)
{
    waiter *w = arg;
    sk_gate_add(&w->waits);
    w->found = skua_group_wait(w->g, NULL);
    return 0;
}

static void *wait_as_thread(void *arg)
{
    wait_for_group(arg);
    return NULL;
}

SK_TEST(group, all_who_wait_get_the_error)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt);
    for (int round = 0; round < 50; round++) {
        sk_gate gate = 0;
        waiter w[4];
        pthread_t thread[2];
        skua_task task[2];
        SK_EXPECT_EQ(skua_group_go(g, await_gate, &gate), 0);
        SK_EXPECT_EQ(skua_group_go(g, fail, (void *)(intptr_t)EIO), 0);
        for (int i = 0; i < 4; i++) w[i] = (waiter){.g = g, .found = 1};
        for (int i = 0; i < 2; i++) {
            SK_EXPECT_EQ(pthread_create(&thread[i], NULL, wait_as_thread, &w[i]), 0);
            task[i] = sk_spawn_on(rt, wait_for_group, &w[2 + i]);
        }
        for (int i = 0; i < 4; i++) SK_EXPECT(sk_gate_await(&w[i].waits, 1));
        sk_gate_add(&gate);
        for (int i = 0; i < 2; i++) {
            pthread_join(thread[i], NULL);
            SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
        }
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(w[i].found, -EIO);
    }
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct releaser {
    skua_group *g;
    sk_gate begun;
    sk_gate entered, left; /* by the group's task */
} releaser;

/* Does not end at once when it is told to. */
static int leave_slowly(void *arg)
{
    releaser *r = arg;
    sk_gate_add(&r->entered);
    while (!skua_cancelled()) skua_sleep(SKUA_US(200));
    uint64_t until = skua_now() + SKUA_MS(5);
    while (skua_now() < until) skua_yield();
    sk_gate_add(&r->left);
    return -ECANCELED;
}

static int release_group(void *arg)
{
    releaser *r = arg;
    sk_gate_add(&r->begun);
    int error = skua_group_release(r->g);
    SK_EXPECT_EQ(sk_gate_now(&r->left), 1); /* it cannot outlive its tasks */
    return error;
}

SK_TEST(group, release_waits_even_when_its_caller_is_cancelled)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (int round = 0; round < 10; round++) {
            releaser r = {.g = GROUP(.runtime = rt)};
            int result = 1;
            SK_EXPECT_EQ(skua_group_go(r.g, leave_slowly, &r), 0);
            SK_EXPECT(sk_gate_await(&r.entered, 1));
            skua_task t = sk_spawn_on(rt, release_group, &r);
            SK_EXPECT(sk_gate_await(&r.begun, 1));
            SK_EXPECT_EQ(skua_cancel(t), 0);
            SK_EXPECT_EQ(skua_join(t, &result), 0);
            SK_EXPECT_EQ(result, 0);
            expect_from_all(r.g, -ESHUTDOWN);
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

SK_TEST(group, a_stopping_runtime_ends_its_tasks)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_group *g = GROUP(.runtime = rt, .limit = 1, .queue = 10);
    sk_gate never = 0;
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_group_go(g, await_gate, &never), 0);
    int error = skua_runtime_stop(rt, SKUA_MS(1)); /* they end when it cancels them */
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    error = skua_group_wait(g, NULL);
    SK_EXPECT(error == -ECANCELED || error == -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_go(g, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- loops ---- */

typedef struct numbers {
    sk_atomic(uint32_t) called, inside, most;
    sk_gate gate;
    uint32_t seen[1000];
    size_t bad;
    uint64_t nap;
} numbers;

static int count_item(void *ctx, size_t i)
{
    numbers *n = ctx;
    uint32_t now = sk_add_ar(&n->inside, 1u) + 1, most = sk_load_rlx(&n->most);
    while (now > most && !sk_cas_rlx(&n->most, &most, now)) {
    }
    sk_add_rlx(&n->called, 1u);
    n->seen[i % 1000]++;
    int error = n->nap ? skua_sleep(n->nap) : 0;
    sk_sub_ar(&n->inside, 1u);
    return error ? error : i == n->bad ? -EIO : (int)(i % 7);
}

SK_TEST(loops, every_item_once_and_its_result)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const uint32_t limits[] = {0, 1, 2, 7, 5000};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++)
        for (size_t count = 0; count <= 1000; count = count * 3 + 1) {
            numbers n = {.bad = 40};
            int results[1000];
            skua_loop_options o = {.runtime = rt, .limit = limits[k], .results = results};
            SK_EXPECT_EQ(skua_for_each(&o, count, count_item, &n), count > 40 ? -EIO : 0);
            SK_EXPECT_EQ(n.called, count);
            if (limits[k]) SK_EXPECT(n.most <= limits[k]);
            for (size_t i = 0; i < count; i++) {
                SK_EXPECT_EQ(n.seen[i], 1);
                SK_EXPECT_EQ(results[i], i == 40 ? -EIO : (int)(i % 7));
            }
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_in_item(void *ctx, size_t i)
{
    (void)i;
    numbers *n = ctx;
    sk_gate_add(&n->gate);
    return await_gate(&n->inside); /* which nobody opens */
}

static int fail_or_wait(void *ctx, size_t i)
{
    return i == 0 ? -EIO : wait_in_item(ctx, i);
}

SK_TEST(loops, fail_fast_stops)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 20; round++) {
        numbers n = {0};
        int results[1000];
        skua_loop_options o = {.runtime = rt, .limit = 4, .results = results, .fail_fast = 1};
        SK_EXPECT_EQ(skua_for_each(&o, 1000, fail_or_wait, &n), -EIO);
        SK_EXPECT_EQ(results[0], -EIO);
        for (int i = 1; i < 1000; i++) SK_EXPECT_EQ(results[i], -ECANCELED); /* stopped, or never begun */
        SK_EXPECT(sk_gate_now(&n.gate) <= 3);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fault_at_thirds(void *ctx, size_t i)
{
    numbers *n = ctx;
    sk_add_rlx(&n->called, 1u);
    if (i % 3 == 0) skua_panic_task("item %zu", i);
    return 0;
}

SK_TEST(loops, items_that_give_up_stop_no_others)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const uint32_t limits[] = {1, 2, 30};
    enum { N = 1000 };
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        numbers n = {0};
        int results[N];
        skua_loop_options o = {.runtime = rt, .limit = limits[k], .results = results};
        SK_EXPECT_EQ(skua_for_each(&o, N, fault_at_thirds, &n), -EFAULT);
        SK_EXPECT_EQ(n.called, N);
        for (int i = 0; i < N; i++) SK_EXPECT_EQ(results[i], i % 3 ? 0 : -EFAULT);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct in_loop {
    skua_pool *pool;
    skua_group *parent;
    numbers n;
    int found;
} in_loop;

static int loop_for_long(void *arg)
{
    in_loop *l = arg;
    l->found = skua_for_each(&(skua_loop_options){.limit = 5, .parent = l->parent}, 50, wait_in_item, &l->n);
    SK_EXPECT(sk_gate_now(&l->n.gate) <= 5); /* none begins once it is cancelled */
    return 0;
}

SK_TEST(loops, a_cancelled_caller_ends_the_loop)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) {
        in_loop l = {.found = 1};
        skua_task t = sk_spawn_on(rt, loop_for_long, &l);
        if (i % 4) SK_EXPECT(sk_gate_await(&l.n.gate, 1));
        SK_EXPECT_EQ(skua_cancel(t), 0);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT(l.found == -ECANCELED || i % 4 == 0);
    }
    in_loop l = {.parent = GROUP(.runtime = rt), .found = 1}; /* and so does a cancelled group above it */
    SK_EXPECT_EQ(skua_group_go(l.parent, loop_for_long, &l), 0);
    SK_EXPECT(sk_gate_await(&l.n.gate, 1));
    SK_EXPECT_EQ(skua_group_cancel(l.parent, -EPIPE), 0);
    SK_EXPECT_EQ(skua_group_wait(l.parent, NULL), -EPIPE);
    SK_EXPECT_EQ(l.found, -ECANCELED);
    SK_EXPECT_EQ(skua_group_release(l.parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int loop_in_own_pool(void *arg)
{
    in_loop *l = arg;
    l->found = skua_for_each(&(skua_loop_options){.pool = l->pool}, 10, count_item, &l->n);
    return skua_for_each(NULL, 10, count_item, &l->n); /* without the pool it may */
}

SK_TEST(loops, in_a_pool)
{
    skua_runtime *rt = sk_runtime_of(2);
    in_loop l = {.found = 1, .n = {.bad = 1000, .nap = SKUA_US(50)}};
    SK_EXPECT_EQ(skua_pool_create(&l.pool, &(skua_pool_options){.runtime = rt, .limit = 2}), 0);
    SK_EXPECT_EQ(skua_pool_submit(l.pool, loop_in_own_pool, &l), 0);
    SK_EXPECT_EQ(skua_pool_wait(l.pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(l.found, -EDEADLK);
    SK_EXPECT_EQ(l.n.called, 10);
    sk_store_rlx(&l.n.most, 0u);
    SK_EXPECT_EQ(skua_for_each(&(skua_loop_options){.pool = l.pool, .limit = 20}, 300, count_item, &l.n), 0);
    SK_EXPECT(l.n.most <= 2);
    SK_EXPECT_EQ(l.n.called, 310);
    SK_EXPECT_EQ(skua_pool_stop(l.pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_for_each(&(skua_loop_options){.pool = l.pool}, 3, count_item, &l.n), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(l.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int copy_item(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

SK_TEST(loops, bad_input)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_loop_options o = {.runtime = rt}, wide = {.runtime = rt, .limit = UINT32_MAX};
    char a[64], *b = a + 64;
    numbers n = {0};
    SK_EXPECT_EQ(skua_for_each(&o, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_for_each(&wide, 1, count_item, &n), -ERANGE);
    SK_EXPECT_EQ(skua_for_each(&o, SIZE_MAX, count_item, &n), -EOVERFLOW);
    SK_EXPECT_EQ(skua_for_each(&o, 0, count_item, &n), 0);
    SK_EXPECT_EQ(skua_map(&o, NULL, 0, NULL, 0, 0, copy_item, NULL), 0);
    SK_EXPECT_EQ(skua_map(&o, a, 1, a, 1, 10, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, NULL, 1, a, 1, 10, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, a, 1, NULL, 1, 10, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, a, 0, a, 1, 10, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, a, 1, a + 1, 1, 10, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, a, 4, a, 2, 10, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, a, 1, b - 32, 1, 32, copy_item, NULL), 0);
    SK_EXPECT_EQ(skua_map(&o, a, 8, b, 8, SIZE_MAX / 4, copy_item, NULL), -EOVERFLOW);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- with a future, and without a queue ---- */

SK_TEST(group, futures_of_its_tasks)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *g = GROUP(.runtime = rt, .fail_fast = 1, .errors = 4);
    int seven = 7, failure = -EIO, result = 0, cause = 0;
    sk_gate never = 0;
    skua_future f, stays;
    skua_group_error e[4];
    SK_EXPECT_EQ(skua_group_go_future(g, &f, NULL, sk_gives, &seven), 0);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
    SK_EXPECT_EQ(skua_future_try(f, &result), 0); /* the group has been waited for, so it is done */
    SK_EXPECT_EQ(result, 7);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    /* Its error is the group's, after the last attempt, and fails fast: who stays is asked to end. */
    SK_EXPECT_EQ(skua_group_go_future(g, &stays, NULL, await_gate, &never), 0);
    SK_EXPECT_EQ(skua_group_go_future(g, &f, &(skua_submit_options){.retry = {.times = 2}}, sk_gives, &failure), 0);
    SK_EXPECT_EQ(skua_group_wait(g, &cause), -EIO);
    SK_EXPECT_EQ(skua_future_try(f, &result), 0);
    SK_EXPECT_EQ(result, -EIO);
    SK_EXPECT_EQ(skua_future_try(stays, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(skua_group_errors(g, e, 4), 1);
    SK_EXPECT(e[0].error == -EIO && e[0].arg == &failure);
    SK_EXPECT_EQ(skua_future_release(stays), 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    /* Cancelled by its future: by somebody else than the group. */
    SK_EXPECT_EQ(skua_group_go_future(g, &stays, NULL, await_gate, &never), 0);
    SK_EXPECT_EQ(skua_future_cancel(stays), 0);
    SK_EXPECT_EQ(skua_group_wait(g, NULL), -ECANCELED);
    SK_EXPECT_EQ(skua_future_release(stays), 0);
    /* Refused: no future. */
    SK_EXPECT_EQ(skua_group_go_future(g, NULL, NULL, sk_gives, &seven), -EINVAL);
    SK_EXPECT_EQ(skua_group_go_future(g, &f, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_group_cancel(g, 0), 0);
    f = stays;
    SK_EXPECT_EQ(skua_group_go_future(g, &f, NULL, sk_gives, &seven), -ECANCELED);
    SK_EXPECT(f.ref == NULL);
    SK_EXPECT_EQ(skua_group_release(g), 0);
    SK_EXPECT_EQ(skua_group_go_future(g, &f, NULL, sk_gives, &seven), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* 0 is none where there is a limit; SKUA_POOL_NO_QUEUE is none also where only the pool above has one. */
SK_TEST(group, without_a_queue)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 1}), 0);
    const skua_group_options kinds[] = {{.runtime = rt, .limit = 1},
                                        {.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE},
                                        {.pool = pool, .queue = SKUA_POOL_NO_QUEUE}};
    for (size_t i = 0; i < 3; i++) {
        sk_gate open = 0;
        skua_group *g = group_of(kinds[i]);
        skua_pool_counts c;
        skua_future f;
        SK_EXPECT_EQ(skua_group_try_go(g, await_gate, &open), 0);
        SK_EXPECT_EQ(skua_group_try_go(g, sk_give_0, NULL), -EAGAIN);
        const skua_submit_options hasty = {.no_wait = true};
        SK_EXPECT_EQ(skua_group_go_with(g, &hasty, sk_give_0, NULL), -EAGAIN);
        SK_EXPECT_EQ(skua_group_go_future(g, &f, &hasty, sk_give_0, NULL), -EAGAIN);
        SK_EXPECT_EQ(skua_group_stats(g, &c), 0);
        SK_EXPECT(c.queue == 0 && c.queued == 0 && c.refused == 3);
        sk_gate_add(&open);
        SK_EXPECT_EQ(skua_group_go(g, sk_give_0, NULL), 0); /* waits */
        SK_EXPECT_EQ(skua_group_wait(g, NULL), 0);
        SK_EXPECT_EQ(skua_group_release(g), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

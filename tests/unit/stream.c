/* unit/stream.c: streams: bad input, a slow head, cancelling, faults, and being called from inside. */
#include "support/tasks.h"

#include "base/base.h"

static skua_stream *stream_of(skua_stream_options o)
{
    skua_stream *s = NULL;
    SK_EXPECT_EQ(skua_stream_create(&s, &o), 0);
    return s;
}

#define STREAM(...) stream_of((skua_stream_options){__VA_ARGS__})

/* What its items' tasks and callbacks do, and what they saw. */
typedef struct play {
    skua_stream *stream;
    sk_gate gate, entered;
    sk_atomic(uint32_t) ended, cancelled, failed;
    int found;
} play;

static int wait_for_gate(void *arg)
{
    play *p = arg;
    sk_gate_add(&p->entered);
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !sk_gate_now(&p->gate);) {
        int error = skua_sleep(SKUA_US(200));
        if (error) return error;
        if (skua_now() > give_up) return -ETIME;
    }
    return 0;
}

static int at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int count(void *arg, int result)
{
    play *p = arg;
    sk_add_rlx(&p->ended, 1u);
    if (result == -ECANCELED)
        sk_add_rlx(&p->cancelled, 1u);
    else if (result < 0)
        sk_add_rlx(&p->failed, 1u);
    return 0;
}

/* ---- bad input ---- */

static void expect_from_all(skua_stream *s, int error)
{
    skua_pool_counts c;
    int cause = 1;
    SK_EXPECT_EQ(skua_stream_go(s, at_once, NULL, NULL), error);
    SK_EXPECT_EQ(skua_stream_try_go(s, at_once, NULL, NULL), error);
    SK_EXPECT_EQ(skua_stream_wait(s, &cause), error);
    SK_EXPECT_EQ(cause, 0);
    SK_EXPECT_EQ(skua_stream_wait_for(s, 0, NULL), error);
    SK_EXPECT_EQ(skua_stream_cancel(s, 0), error);
    SK_EXPECT_EQ(skua_stream_cause(s), error);
    SK_EXPECT_EQ(skua_stream_stats(s, &c), error);
    SK_EXPECT_EQ(skua_stream_release(s), error);
}

SK_TEST(stream, bad_input)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_stream *s;
    SK_EXPECT_EQ(skua_stream_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stream_create(&s, &(skua_stream_options){.runtime = rt, .window = SKUA_STREAM_WINDOW_MAX + 1}),
                 -EOVERFLOW);
    SK_EXPECT_EQ(skua_stream_create(&s, &(skua_stream_options){.runtime = rt, .limit = UINT32_MAX}), -ERANGE);
    SK_EXPECT(s == NULL);
    s = STREAM(.runtime = rt);
    SK_EXPECT_EQ(skua_stream_go(s, NULL, count, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stream_try_go(s, NULL, count, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stream_cancel(s, 1), -EINVAL);
    SK_EXPECT_EQ(skua_stream_stats(s, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stream_wait(s, NULL), 0); /* nothing was submitted */
    SK_EXPECT_EQ(skua_stream_go(s, at_once, NULL, NULL), 0);
    SK_EXPECT_EQ(skua_stream_release(s), 0);
    expect_from_all(s, -ESHUTDOWN);
    expect_from_all(NULL, -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the window ---- */

typedef struct submitter {
    play *p;
    sk_gate submitted;
    uint32_t n;
} submitter;

static int submit_many(void *arg)
{
    submitter *s = arg;
    for (uint32_t i = 0; i < s->n; i++) {
        SK_EXPECT_EQ(skua_stream_go(s->p->stream, at_once, count, s->p), 0);
        sk_gate_add(&s->submitted);
    }
    return 0;
}

static void *submit_as_thread(void *arg)
{
    submit_many(arg);
    return NULL;
}

SK_TEST(stream, a_slow_head_holds_up_the_submitters)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 20; round++) {
        play p = {.stream = STREAM(.runtime = rt, .window = 10)};
        submitter task = {.p = &p, .n = 100}, thread = {.p = &p, .n = 100};
        pthread_t id;
        SK_EXPECT_EQ(skua_stream_go(p.stream, wait_for_gate, count, &p), 0);
        skua_task t = sk_spawn_on(rt, submit_many, &task);
        SK_EXPECT_EQ(pthread_create(&id, NULL, submit_as_thread, &thread), 0);
        SK_EVENTUALLY(sk_gate_now(&task.submitted) + sk_gate_now(&thread.submitted) == 9);
        SK_EXPECT_EQ(skua_stream_try_go(p.stream, at_once, count, &p), -EAGAIN);
        SK_EXPECT_EQ(skua_stream_wait_for(p.stream, SKUA_MS(1), NULL), -ETIMEDOUT);
        SK_EXPECT_EQ(sk_load_rlx(&p.ended), 0);
        SK_EXPECT_EQ(sk_gate_now(&task.submitted) + sk_gate_now(&thread.submitted), 9);
        sk_gate_add(&p.gate);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        pthread_join(id, NULL);
        SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), 0);
        SK_EXPECT_EQ(sk_load_rlx(&p.ended), 201);
        SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_one(void *arg)
{
    play *p = arg;
    sk_gate_add(&p->entered);
    p->found = skua_stream_go(p->stream, at_once, count, p);
    return 0;
}

static int go_and_wait_often(void *arg)
{
    play *p = arg;
    long rounds = sk_test_scaled(20000);
    for (long i = 0; i < rounds; i++) {
        for (long k = 0; k <= i % 3; k++) SK_EXPECT_EQ(skua_stream_go(p->stream, at_once, count, p), 0);
        SK_EXPECT_EQ(skua_stream_wait_for(p->stream, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    }
    return 0;
}

/* Ends that race with a conductor that is about to leave. */
SK_TEST(stream, no_item_is_left)
{
    skua_runtime *rt = sk_runtime_of(2);
    play p = {.stream = STREAM(.runtime = rt)};
    SK_EXPECT_EQ(sk_run_on(rt, go_and_wait_often, &p), 0);
    SK_EXPECT_EQ(go_and_wait_often(&p), 0);
    SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(stream, a_waiting_submitter_can_be_cancelled)
{
    skua_runtime *rt = sk_runtime_of(2);
    play p = {.stream = STREAM(.runtime = rt, .window = 1)};
    SK_EXPECT_EQ(skua_stream_go(p.stream, wait_for_gate, count, &p), 0);
    SK_EXPECT(sk_gate_await(&p.entered, 1));
    skua_task t = sk_spawn_on(rt, submit_one, &p);
    SK_EXPECT(sk_gate_await(&p.entered, 2));
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(p.found, -ECANCELED);
    sk_gate_add(&p.gate);
    SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- from inside ---- */

static int submit_from_task(void *arg)
{
    play *p = arg;
    int error = 0;
    sk_gate_add(&p->entered);
    while (!(error = skua_stream_go(p->stream, at_once, count, p))) {
    }
    p->found = error;
    SK_EXPECT_EQ(skua_stream_wait(p->stream, NULL), -EDEADLK);
    SK_EXPECT_EQ(skua_stream_release(p->stream), -EDEADLK);
    return 0;
}

static int submit_from_callback(void *arg, int result)
{
    SK_EXPECT_EQ(result, 0);
    return submit_from_task(arg);
}

SK_TEST(stream, its_own_tasks_and_callbacks_are_told)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int from_callback = 0; from_callback < 2; from_callback++) {
        play p = {.stream = STREAM(.runtime = rt, .window = 5)};
        SK_EXPECT_EQ(skua_stream_go(p.stream, from_callback ? at_once : submit_from_task,
                                    from_callback ? submit_from_callback : count, &p),
                     0);
        SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), 0);
        SK_EXPECT_EQ(p.found, -EDEADLK);
        SK_EXPECT_EQ(sk_load_rlx(&p.ended), from_callback ? 4 : 5);
        SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- errors ---- */

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int fail_in_callback(void *arg, int result)
{
    (void)arg;
    return result < 0 ? 0 : -EPIPE;
}

SK_TEST(stream, errors_of_tasks_and_callbacks)
{
    skua_runtime *rt = sk_runtime_of(2);
    play p = {.stream = STREAM(.runtime = rt)};
    for (int round = 0; round < 100; round++) {
        SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), 0);
        if (round % 3 == 1) SK_EXPECT_EQ(skua_stream_go(p.stream, fail, count, &p), 0);
        if (round % 3 == 2) SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, fail_in_callback, &p), 0);
        int cause = 1, want = round % 3 == 0 ? 0 : round % 3 == 1 ? -EIO : -EPIPE;
        SK_EXPECT_EQ(skua_stream_wait(p.stream, &cause), want);
        SK_EXPECT_EQ(cause, want);
        SK_EXPECT_EQ(skua_stream_cause(p.stream), want);
    }
    SK_EXPECT_EQ(sk_load_rlx(&p.ended), 133);
    SK_EXPECT_EQ(sk_load_rlx(&p.failed), 33);
    SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(stream, cancelled_items_get_their_callbacks)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int fail_fast = 0; fail_fast < 2; fail_fast++)
        for (int round = 0; round < 20; round++) {
            play p = {.stream = STREAM(.runtime = rt, .limit = 3, .window = 20, .fail_fast = fail_fast)};
            uint32_t n = 10;
            for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_stream_go(p.stream, wait_for_gate, count, &p), 0);
            SK_EXPECT(sk_gate_await(&p.entered, 3));
            if (fail_fast) {
                SK_EXPECT_EQ(skua_stream_cancel(p.stream, -EPIPE), 0);
                SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), -ECANCELED);
                SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), -EPIPE);
                SK_EXPECT_EQ(sk_load_rlx(&p.cancelled), n);
            } else {
                sk_gate_add(&p.gate);
                SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), 0);
                SK_EXPECT_EQ(sk_load_rlx(&p.cancelled), 0);
            }
            SK_EXPECT_EQ(sk_load_rlx(&p.ended), n);
            SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), 0); /* the next round */
            SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), 0);
            SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_up(void *arg)
{
    (void)arg;
    skua_panic_task("a task");
}

static int give_up_in_callback(void *arg, int result)
{
    sk_add_rlx(&((play *)arg)->ended, 1u);
    skua_panic_task("a callback after %d", result);
}

SK_TEST(stream, faults_hold_up_nobody)
{
    skua_runtime *rt = sk_runtime_of(2);
    play p = {.stream = STREAM(.runtime = rt, .limit = 4)};
    enum { N = 1000 };
    for (int i = 0; i < N; i++)
        SK_EXPECT_EQ(skua_stream_go(p.stream, i % 3 ? at_once : give_up, i % 2 ? give_up_in_callback : count, &p), 0);
    SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), -EFAULT);
    SK_EXPECT_EQ(sk_load_rlx(&p.ended), N);
    SK_EXPECT_EQ(sk_load_rlx(&p.failed), (N + 5) / 6);
    SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- handles that are not ours ---- */

/* The memory of a released group serves the next one that is made, here the stream's own. */
SK_TEST(stream, a_stale_handle_of_a_group_does_not_reach_the_callbacks)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *stale = NULL;
    play p = {0};
    sk_gate ran = 0;
    skua_future future;
    skua_submit_options retried = {.retry = {.times = 1}};
    SK_EXPECT_EQ(skua_group_create(&stale, &(skua_group_options){.runtime = rt}), 0);
    SK_EXPECT_EQ(skua_group_release(stale), 0);
    SK_EXPECT_EQ(skua_group_go(stale, sk_open, &ran), -ESHUTDOWN);
    p.stream = STREAM(.runtime = rt);
    SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), 0);
    SK_EXPECT_EQ(skua_group_go(stale, sk_open, &ran), 0); /* else this is not the memory that was meant */
    SK_EXPECT_EQ(skua_group_go(stale, at_once, NULL), 0);
    SK_EXPECT_EQ(skua_group_go_with(stale, &retried, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_group_go_future(stale, &future, NULL, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_future_release(future), 0);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), 0);
    SK_EXPECT_EQ(skua_stream_wait(p.stream, NULL), 0);
    SK_EXPECT_EQ(sk_load_rlx(&p.ended), 101);
    SK_EXPECT_EQ(sk_gate_now(&ran), 3);
    SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the end ---- */

static int release_it(void *arg)
{
    return skua_stream_release(arg);
}

SK_TEST(stream, release_waits_even_when_its_caller_is_cancelled)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (int round = 0; round < 20; round++) {
            play p = {.stream = STREAM(.runtime = rt, .window = 5)};
            int result = 1;
            for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_stream_go(p.stream, wait_for_gate, count, &p), 0);
            skua_task t = sk_spawn_on(rt, release_it, p.stream);
            if (round % 2) SK_EVENTUALLY(skua_stream_cause(p.stream) == -ESHUTDOWN);
            SK_EXPECT_EQ(skua_cancel(t), 0);
            if (round % 2 == 0) sk_gate_add(&p.gate); /* it may have been cancelled before it began */
            SK_EXPECT_EQ(skua_join(t, &result), 0);
            if (result == -ECANCELED)
                SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
            else
                SK_EXPECT_EQ(result, 0);
            SK_EXPECT_EQ(sk_load_rlx(&p.ended), 5);
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

SK_TEST(stream, a_stopping_runtime_leaves_no_item)
{
    for (int round = 0; round < 20; round++) {
        skua_runtime *rt = sk_runtime_of(1 + (uint32_t)round % 2);
        play p = {.stream = STREAM(.runtime = rt, .limit = 2, .window = 20)};
        for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_stream_go(p.stream, wait_for_gate, count, &p), 0);
        int stopped = skua_runtime_stop(rt, SKUA_US(100 * (uint64_t)round)); /* they end when it cancels them */
        SK_EXPECT(stopped == 0 || stopped == -ETIMEDOUT);
        SK_EXPECT(skua_stream_wait(p.stream, NULL) < 0);
        SK_EXPECT_EQ(sk_load_rlx(&p.ended), 10);
        SK_EXPECT_EQ(skua_stream_go(p.stream, at_once, count, &p), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_stream_release(p.stream), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/*
 * unit/chan.c: channels: bad input, lifetimes, and ranging.  Who waits in them is in
 * chan_waits.c, what they have in common with Go's in conformance/go_channels.c.
 */
#include "support/channels.h"

#include "base/fault.h"
#include "mem/sanitized.h"

#include <stdint.h>

/* ---- bad input ---- */

static int no_element(void *element, void *arg)
{
    (void)element;
    (void)arg;
    return 0;
}

SK_TEST(chan, null_is_refused)
{
    int x = 0;
    SK_EXPECT_EQ(skua_chan_create(NULL, 4, 1), -EINVAL);
    SK_EXPECT_EQ(skua_chan_create_signal(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_chan_retain(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_release(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_send(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_send_for(NULL, &x, 1), -EINVAL);
    SK_EXPECT_EQ(skua_chan_try_send(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_recv(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_recv_for(NULL, &x, 1), -EINVAL);
    SK_EXPECT_EQ(skua_chan_try_recv(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_close(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_each(NULL, no_element, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_send(skua_chan_sender(NULL), &x), -EINVAL);
    SK_EXPECT_EQ(skua_recv(skua_chan_receiver(NULL), &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_len(NULL), 0);
    SK_EXPECT_EQ(skua_chan_cap(NULL), 0);
    SK_EXPECT_EQ(skua_chan_is_closed(NULL), 0);
}

SK_TEST(chan, a_null_element_is_refused_where_it_has_a_size)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        skua_chan *c = sk_ints(capacity);
        SK_EXPECT_EQ(skua_chan_send(c, NULL), -EINVAL);
        SK_EXPECT_EQ(skua_chan_send_for(c, NULL, 1), -EINVAL);
        SK_EXPECT_EQ(skua_chan_try_send(c, NULL), -EINVAL);
        SK_EXPECT_EQ(skua_chan_each(c, NULL, NULL), -EINVAL);
        SK_EXPECT_EQ(skua_chan_len(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
}

/* To receive into nothing throws the element away: from the buffer, from a waiting sender, and while waiting. */
SK_TEST(chan, received_into_nothing)
{
    skua_chan *c = sk_ints(1);
    sk_put_int(c, 1);
    SK_EXPECT_EQ(skua_chan_recv(c, NULL), 0);
    sk_party receiver = {.c = c};
    sk_put_int(c, 2);
    sk_party sender = {.c = c, .value = 3};
    sk_party_waits_to_send(&sender, NULL);
    SK_EXPECT_EQ(skua_chan_try_recv(c, NULL), 0);
    SK_EXPECT_EQ(sk_party_end(&sender), 0);
    SK_EXPECT_EQ(sk_get_int(c), 3);
    sk_party_waits_to_receive(&receiver, NULL);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(sk_party_end(&receiver), -EPIPE);
    SK_EXPECT_EQ(skua_chan_recv(c, NULL), -EPIPE);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

static int receive_into_nothing(void *arg)
{
    return skua_chan_recv((skua_chan *)arg, NULL);
}

SK_TEST(chan, a_waiter_receives_into_nothing)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(0);
    for (int i = 0; i < 2; i++) {
        int result = -1;
        skua_task t = sk_spawn_on(rt, receive_into_nothing, c);
        SK_EVENTUALLY(sk_receivers_in(c) == 1);
        if (i == 0)
            sk_put_int(c, 5);
        else
            SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_join(t, &result), 0);
        SK_EXPECT_EQ(result, i ? -EPIPE : 0);
    }
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(chan, sizes_that_are_refused)
{
    skua_chan *c = NULL;
    SK_EXPECT_EQ(skua_chan_create(&c, 0, 0), -EINVAL);
    SK_EXPECT_EQ(skua_chan_create(&c, 0, SIZE_MAX), -EINVAL);
    SK_EXPECT_EQ(skua_chan_create(&c, 1, SIZE_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create(&c, SIZE_MAX, SIZE_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create(&c, SIZE_MAX, 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create(&c, (size_t)PTRDIFF_MAX + 1, 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create(&c, (size_t)PTRDIFF_MAX / 2 + 1, 2), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create(&c, 1, UINT32_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create_signal(&c, UINT32_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(skua_chan_create_signal(&c, SIZE_MAX), -EOVERFLOW);
    SK_EXPECT(c == NULL);
    /* Elements that can never be passed on: the channel is as good as any, closing it for example. */
    SK_EXPECT_EQ(skua_chan_create(&c, SIZE_MAX, 0), 0);
    SK_EXPECT_EQ(skua_chan_try_recv(c, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_create_signal(&c, UINT32_MAX - 1), 0);
    SK_EXPECT_EQ(skua_chan_cap(c), UINT32_MAX - 1);
    SK_EXPECT_EQ(skua_chan_send(c, NULL), 0);
    SK_EXPECT_EQ(skua_chan_len(c), 1);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

#if !SK_SANITIZED /* 4 GiB, of which three pages are touched */
/* Places in the largest of buffers are counted modulo its capacity, not 2^32. */
SK_TEST(chan, the_largest_capacity)
{
    enum { AROUND = 8 };
    skua_chan *c = NULL;
    int error = skua_chan_create(&c, 1, UINT32_MAX - 1);
    if (error == -ENOMEM) return; /* the machine grants no such memory */
    SK_EXPECT_EQ(error, 0);
    SK_EXPECT_EQ(skua_chan_cap(c), UINT32_MAX - 1);
    c->head = UINT32_MAX - 4; /* as after so many receives: the third from the end */
    for (char i = 0; i < AROUND; i++) SK_EXPECT_EQ(skua_chan_send(c, &i), 0);
    SK_EXPECT_EQ(c->buffer[0], 3);
    for (char i = 0, x; i < AROUND; i++) {
        SK_EXPECT_EQ(skua_chan_recv(c, &x), 0);
        SK_EXPECT_EQ(x, i);
    }
    SK_EXPECT_EQ(c->head, 5);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}
#endif

#ifdef SK_DEBUG
SK_TEST(chan, a_freed_channel_is_noticed)
{
    int x = 0;
    skua_chan *c = sk_ints(1);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_send(c, &x), -EBADF);
    SK_EXPECT_EQ(skua_chan_send_for(c, &x, 1), -EBADF);
    SK_EXPECT_EQ(skua_chan_try_send(c, &x), -EBADF);
    SK_EXPECT_EQ(skua_chan_recv(c, &x), -EBADF);
    SK_EXPECT_EQ(skua_chan_recv_for(c, &x, 1), -EBADF);
    SK_EXPECT_EQ(skua_chan_try_recv(c, &x), -EBADF);
    SK_EXPECT_EQ(skua_chan_close(c), -EBADF);
    SK_EXPECT_EQ(skua_chan_each(c, no_element, NULL), -EBADF);
    SK_EXPECT_EQ(skua_chan_retain(c), -EBADF);
    SK_EXPECT_EQ(skua_chan_release(c), -EBADF);
}
#endif

#ifdef SK_FAULTS
/* For an element that does not lie in the channel itself memory is needed; the next try has it. */
SK_TEST(chan, no_memory)
{
    skua_chan *c = NULL;
    SK_EXPECT_EQ(skua_chan_release(sk_chan_of(1, 0)), 0); /* what all channels share is there */
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(skua_chan_create(&c, 1000, 2), -ENOMEM);
    SK_EXPECT_EQ(skua_chan_create(&c, 8, SK_CHAN_INSIDE / 8 + 1), -ENOMEM);
    SK_EXPECT(c == NULL);
    SK_EXPECT_EQ(skua_chan_release(sk_chan_of(1000, 0)), 0);
    SK_EXPECT_EQ(skua_chan_release(sk_chan_of(8, SK_CHAN_INSIDE / 8)), 0);
    sk_fault_reset();
    c = sk_chan_of(1000, 2);
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(skua_chan_each(c, no_element, NULL), -ENOMEM);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}
#endif

/* ---- lifetime ---- */

SK_TEST(chan, each_user_releases_it)
{
    skua_chan *c = sk_ints(3);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_chan_retain(c), 0);
    sk_put_int(c, 7); /* stays in it to the end */
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_len(c), 1);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* The last user does not free it under somebody who waits; another one may go. */
SK_TEST(chan, a_channel_with_waiters_is_not_freed)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int sends = 0; sends < 2; sends++) {
        skua_chan *c = sk_ints(0);
        sk_party p[2] = {{.c = c, .value = 1}, {.c = c, .value = 2}};
        for (int i = 0; i < 2; i++)
            sends ? sk_party_waits_to_send(&p[i], i ? rt : NULL) : sk_party_waits_to_receive(&p[i], i ? rt : NULL);
        SK_EXPECT_EQ(skua_chan_retain(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), -EBUSY);
        sends ? (void)sk_get_int(c) : sk_put_int(c, 1);
        SK_EXPECT_EQ(skua_chan_release(c), -EBUSY);
        sends ? (void)sk_get_int(c) : sk_put_int(c, 1);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_party_end(&p[i]), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int retain_and_release(void *arg)
{
    skua_chan *c = (skua_chan *)arg;
    for (int i = 0; i < 200; i++) {
        SK_EXPECT_EQ(skua_chan_retain(c), 0);
        if (i % 8 == 0) skua_sleep(0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    return skua_chan_release(c);
}

SK_TEST(chan, many_users_at_once)
{
    enum { USERS = 6 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_chan *c = sk_chan_of(100, 10);
    skua_task t[USERS];
    pthread_t thread[2];
    for (int i = 0; i < USERS + 2; i++) SK_EXPECT_EQ(skua_chan_retain(c), 0);
    for (int i = 0; i < USERS; i++) t[i] = sk_spawn_on(rt, retain_and_release, c);
    for (int i = 0; i < 2; i++) thread[i] = sk_thread_of(retain_and_release, c);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < USERS; i++) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Whoever has got what a call brings may release the channel, though that call, or the close, has not returned yet. */
static int close_it(void *arg)
{
    return skua_chan_close((skua_chan *)arg);
}

static int send_once(void *arg)
{
    int x = 42;
    return skua_chan_send((skua_chan *)arg, &x);
}

static void finish_and_release(skua_runtime *rt, skua_fn *fn, size_t capacity)
{
    skua_chan *c = sk_ints(capacity);
    int x = -1, result = -1;
    skua_task t = sk_spawn_on(rt, fn, c);
    if (fn == close_it)
        SK_EXPECT_EQ(skua_chan_recv(c, &x), -EPIPE);
    else
        SK_EXPECT_EQ(skua_chan_recv(c, &x), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    skua_chan *next = sk_chan_of(64, 3); /* the same memory, as a rule */
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(x, fn == close_it ? 0 : 42);
    SK_EXPECT_EQ(skua_chan_len(next), 0);
    SK_EXPECT_EQ(skua_chan_is_closed(next), 0);
    SK_EXPECT_EQ(skua_chan_release(next), 0);
}

SK_TEST(chan, released_by_who_was_served)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(2000); i > 0; i--) {
        finish_and_release(rt, send_once, 0);
        finish_and_release(rt, close_it, i % 2);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Receivers that a close has woken touch nothing but their own element, whatever the channel's memory is by then. */
SK_TEST(chan, released_by_who_has_closed_it)
{
    enum { BIG = 4096 };
    skua_runtime *rt = sk_runtime_of(1);
    for (long i = sk_test_scaled(200); i > 0; i--) {
        skua_chan *c = sk_ints(0);
        sk_party p = {.c = c, .value = 9};
        sk_holder h = {0};
        sk_party_waits_to_receive(&p, rt);
        skua_task hog = sk_hold_worker(rt, &h); /* it cannot go on yet */
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
        c = sk_chan_of(BIG, 0);
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(sk_party_end(&p), -EPIPE);
        SK_EXPECT_EQ(p.value, 0);
        SK_EXPECT_EQ(sk_gate_now(&p.ended), 1); /* what lies behind the element */
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- each ---- */

typedef struct sum {
    long total;
    int elements;
    int stop_at; /* with -EINTR */
} sum;

static int add_up(void *element, void *arg)
{
    sum *s = (sum *)arg;
    s->total += *(int *)element;
    return ++s->elements == s->stop_at ? -EINTR : 0;
}

static int each_of(void *arg)
{
    sum s = {0};
    SK_EXPECT_EQ(skua_chan_each((skua_chan *)arg, add_up, &s), 0);
    return (int)s.total;
}

static int each_when_cancelled(void *arg)
{
    sum s = {0};
    SK_EXPECT_EQ(skua_chan_each((skua_chan *)arg, add_up, &s), -ECANCELED);
    SK_EXPECT_EQ(s.total, 3);
    return 0;
}

SK_TEST(chan, each_stops_early_or_with_an_error)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(4);
    for (int i = 0; i < 4; i++) sk_put_int(c, i);
    sum s = {.stop_at = 2};
    SK_EXPECT_EQ(skua_chan_each(c, add_up, &s), -EINTR);
    SK_EXPECT_EQ(s.total, 1);
    SK_EXPECT_EQ(skua_chan_len(c), 2); /* what was not received is still there */
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(sk_run_on(rt, each_of, c), 5);
    SK_EXPECT_EQ(sk_run_on(rt, each_of, c), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    c = sk_ints(1);
    sk_put_int(c, 3);
    skua_task t = sk_spawn_on(rt, each_when_cancelled, c);
    SK_EVENTUALLY(sk_receivers_in(c) == 1);
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

enum { LARGE = 10000 };

static int check_large(void *element, void *arg)
{
    const unsigned char *bytes = (const unsigned char *)element;
    for (int i = 0; i < LARGE; i++) SK_EXPECT_EQ(bytes[i], *(int *)arg + 1);
    ++*(int *)arg;
    return 0;
}

/* Elements that do not fit on a task's stack beside others. */
SK_TEST(chan, each_of_large_elements)
{
    static unsigned char bytes[LARGE];
    int seen = 0;
    skua_chan *c = sk_chan_of(LARGE, 3);
    for (int i = 1; i <= 3; i++) {
        memset(bytes, i, LARGE);
        SK_EXPECT_EQ(skua_chan_send(c, bytes), 0);
    }
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(skua_chan_each(c, check_large, &seen), 0);
    SK_EXPECT_EQ(seen, 3);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

static int give_up_in_each(void *element, void *arg)
{
    (void)element;
    (void)arg;
    skua_panic_task("no more of these");
}

static int each_gives_up(void *arg)
{
    return skua_chan_each((skua_chan *)arg, give_up_in_each, NULL);
}

/* What the loop itself holds is given back: AddressSanitizer would see it. */
SK_TEST(chan, a_task_gives_up_in_each)
{
    static unsigned char bytes[LARGE];
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_chan_of(LARGE, 1);
    SK_EXPECT_EQ(skua_chan_send(c, bytes), 0);
    SK_EXPECT_EQ(sk_run_on(rt, each_gives_up, c), -EFAULT);
    SK_EXPECT_EQ(skua_chan_len(c), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/*
 * conformance/go_channels.c: what the Go specification (Channel types, Send
 * statements, Receive operator, Close, Length and capacity, For statements with
 * range clause) and the Go memory model say of channels, sentence by sentence.
 * Where skua is different on purpose (a panic there is an error here; a nil channel)
 * the test says so.
 */
#include "support/channels.h"

/* ---- channel types ---- */

/* "If the capacity is zero or absent, communication succeeds only when both a sender and receiver are ready." */
SK_TEST(go_channels, unbuffered_needs_both_sides)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_chan *c = sk_ints(0);
    int x = 1;
    SK_EXPECT_EQ(skua_chan_try_send(c, &x), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_try_recv(c, &x), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        sk_party p = {.c = c, .value = 2};
        sk_party_waits_to_send(&p, i ? rt : NULL);
        SK_EXPECT_EQ(skua_chan_try_send(c, &x), -EAGAIN);
        SK_EXPECT_EQ(sk_gate_now(&p.ended), 0);
        SK_EXPECT_EQ(skua_chan_try_recv(c, &x), 0);
        SK_EXPECT_EQ(x, 2);
        SK_EXPECT_EQ(sk_party_end(&p), 0);
        sk_party_waits_to_receive(&p, i ? rt : NULL);
        SK_EXPECT_EQ(skua_chan_try_recv(c, &x), -EAGAIN);
        x = 3;
        SK_EXPECT_EQ(skua_chan_try_send(c, &x), 0);
        SK_EXPECT_EQ(sk_party_end(&p), 0);
        SK_EXPECT_EQ(p.value, 3);
    }
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* "Otherwise, communication succeeds without blocking if the buffer is not full (sends) or not empty (receives)." */
SK_TEST(go_channels, buffered_blocks_only_when_full_or_empty)
{
    enum { ROOM = 7 };
    skua_chan *c = sk_ints(ROOM);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < ROOM; i++) SK_EXPECT_EQ(skua_chan_send_for(c, &i, 0), 0);
        int x = 99;
        SK_EXPECT_EQ(skua_chan_try_send(c, &x), -EAGAIN);
        for (int i = 0; i < ROOM; i++) {
            SK_EXPECT_EQ(skua_chan_recv_for(c, &x, 0), 0);
            SK_EXPECT_EQ(x, i);
        }
        SK_EXPECT_EQ(skua_chan_try_recv(c, &x), -EAGAIN);
        /* and begin somewhere else in the ring */
        sk_put_int(c, round);
        SK_EXPECT_EQ(sk_get_int(c), round);
    }
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* A full channel: who waits to send goes on when there is room, and its element is behind those in the buffer. */
SK_TEST(go_channels, a_full_buffer_makes_senders_wait)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(2);
    sk_put_int(c, 0);
    sk_put_int(c, 1);
    sk_party p[3];
    for (int i = 0; i < 3; i++) {
        p[i] = (sk_party){.c = c, .value = 2 + i};
        sk_party_waits_to_send(&p[i], i % 2 ? NULL : rt);
    }
    SK_EXPECT_EQ(skua_chan_len(c), 2);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(sk_get_int(c), i);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(sk_party_end(&p[i]), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* "A nil channel is never ready for communication."  There a plain send or receive waits for ever, and close panics;
   here all of them say -EINVAL: a program that has lost its channel is to hear of it.  In select it is as in Go. */
SK_TEST(go_channels, a_nil_channel)
{
    int x = 0;
    SK_EXPECT_EQ(skua_chan_send(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_recv(NULL, &x), -EINVAL);
    SK_EXPECT_EQ(skua_chan_close(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_len(NULL), 0);
    SK_EXPECT_EQ(skua_chan_cap(NULL), 0);
}

enum { MANY = 4, EACH = 400 };

typedef struct crowd {
    skua_chan *c;
    sk_atomic(uint64_t) sum;
} crowd;

static int send_each(void *arg)
{
    crowd *all = (crowd *)arg;
    for (int i = 1; i <= EACH; i++) {
        SK_EXPECT(skua_chan_len(all->c) <= skua_chan_cap(all->c));
        sk_put_int(all->c, i);
    }
    return 0;
}

static int receive_until_closed(void *arg)
{
    crowd *all = (crowd *)arg;
    int x;
    while (skua_chan_recv(all->c, &x) == 0) sk_add_rlx(&all->sum, (uint64_t)x);
    return 0;
}

/* "A single channel may be used in send statements, receive operations, and calls to len and cap by any number of
   goroutines without further synchronization." */
SK_TEST(go_channels, any_number_of_users)
{
    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (size_t capacity = 0; capacity < 3; capacity++) {
            crowd all = {.c = sk_ints(capacity)};
            skua_task sends[MANY], receives[MANY];
            for (int i = 0; i < MANY; i++) {
                receives[i] = sk_spawn_on(rt, receive_until_closed, &all);
                sends[i] = sk_spawn_on(rt, send_each, &all);
            }
            pthread_t s = sk_thread_of(send_each, &all), r = sk_thread_of(receive_until_closed, &all);
            for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(skua_join_for(sends[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            pthread_join(s, NULL);
            SK_EXPECT_EQ(skua_chan_close(all.c), 0);
            for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(skua_join_for(receives[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            pthread_join(r, NULL);
            SK_EXPECT_EQ(sk_load_acq(&all.sum), (MANY + 1) * EACH * (EACH + 1) / 2);
            SK_EXPECT_EQ(skua_chan_release(all.c), 0);
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

static int send_in_order(void *arg)
{
    for (int i = 0; i < 1000; i++) sk_put_int((skua_chan *)arg, i);
    return 0;
}

/* "Channels act as first-in-first-out queues: the values are received in the order sent." */
SK_TEST(go_channels, first_in_first_out)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const size_t capacities[] = {0, 1, 3, 128};
    for (size_t k = 0; k < sk_array_len(capacities); k++) {
        skua_chan *c = sk_ints(capacities[k]);
        skua_task t = sk_spawn_on(rt, send_in_order, c);
        for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(sk_get_int(c), i);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Go's queues of waiting goroutines are first come, first served, too. */
SK_TEST(go_channels, waiters_are_served_in_order)
{
    enum { WAITERS = 9 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int sends = 0; sends < 2; sends++) {
        skua_chan *c = sk_ints(0);
        sk_party p[WAITERS];
        for (int i = 0; i < WAITERS; i++) {
            p[i] = (sk_party){.c = c, .value = sends ? i : -1};
            sends ? sk_party_waits_to_send(&p[i], i % 3 ? rt : NULL)
                  : sk_party_waits_to_receive(&p[i], i % 3 ? rt : NULL);
        }
        for (int i = 0; i < WAITERS; i++) {
            if (sends)
                SK_EXPECT_EQ(sk_get_int(c), i);
            else
                sk_put_int(c, i);
        }
        for (int i = 0; i < WAITERS; i++) {
            SK_EXPECT_EQ(sk_party_end(&p[i]), 0);
            SK_EXPECT_EQ(p[i].value, i);
        }
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* chan struct{}: elements without a size are counted all the same. */
SK_TEST(go_channels, elements_without_a_size)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_signals(3);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_chan_send(c, NULL), 0);
    SK_EXPECT_EQ(skua_chan_try_send(c, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_len(c), 3);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_chan_recv(c, NULL), 0);
    int untouched = 7;
    SK_EXPECT_EQ(skua_chan_recv(c, &untouched), -EPIPE);
    SK_EXPECT_EQ(untouched, 7);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    c = sk_signals(0);
    sk_party p = {.c = c, .value = 7};
    sk_party_waits_to_receive(&p, rt);
    SK_EXPECT_EQ(skua_chan_send(c, NULL), 0);
    SK_EXPECT_EQ(sk_party_end(&p), 0);
    SK_EXPECT_EQ(p.value, 7);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

enum { HUGE_SIZE = 1 << 20 };

typedef struct parcel {
    skua_chan *c;
    unsigned char *bytes;
} parcel;

static int send_huge(void *arg)
{
    parcel *p = (parcel *)arg;
    for (int i = 1; i <= 3; i++) {
        memset(p->bytes, i, HUGE_SIZE);
        SK_EXPECT_EQ(skua_chan_send(p->c, p->bytes), 0);
    }
    return skua_chan_close(p->c);
}

/* Elements of a megabyte: copied whole, through a buffer, and from task to thread. */
SK_TEST(go_channels, huge_elements)
{
    skua_runtime *rt = sk_runtime_of(1);
    unsigned char *got = (unsigned char *)malloc(HUGE_SIZE), *want = (unsigned char *)malloc(HUGE_SIZE);
    for (size_t capacity = 0; capacity < 2; capacity++) {
        parcel p = {sk_chan_of(HUGE_SIZE, capacity), (unsigned char *)malloc(HUGE_SIZE)};
        SK_EXPECT(got && want && p.bytes);
        skua_task t = sk_spawn_on(rt, send_huge, &p);
        for (int i = 1; i <= 4; i++) {
            memset(want, i % 4, HUGE_SIZE);
            SK_EXPECT_EQ(skua_chan_recv(p.c, got), i < 4 ? 0 : -EPIPE);
            SK_EXPECT(memcmp(got, want, HUGE_SIZE) == 0);
        }
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        free(p.bytes);
        SK_EXPECT_EQ(skua_chan_release(p.c), 0);
    }
    free(got);
    free(want);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Each size is copied as it is, and nothing beside it is touched. */
SK_TEST(go_channels, elements_of_every_size)
{
    unsigned char from[80], to[81];
    for (size_t size = 1; size < sizeof from; size++) {
        for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(size * 7 + i);
        skua_chan *c = sk_chan_of(size, 3);
        for (int round = 0; round < 5; round++) {
            SK_EXPECT_EQ(skua_chan_send(c, from), 0);
            from[0]++;
            SK_EXPECT_EQ(skua_chan_send(c, from), 0);
            from[0]--;
            for (int k = 0; k < 2; k++) {
                memset(to, 0xee, sizeof to);
                SK_EXPECT_EQ(skua_chan_recv(c, to), 0);
                SK_EXPECT_EQ(to[0], (unsigned char)(from[0] + k));
                SK_EXPECT(memcmp(to + 1, from + 1, size - 1) == 0);
                SK_EXPECT_EQ(to[size], 0xee);
            }
        }
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
}

static int send_one_way(void *arg)
{
    skua_sender out = *(skua_sender *)arg;
    for (int i = 1; i <= 3; i++) SK_EXPECT_EQ(skua_send(out, &i), 0);
    return skua_chan_close(out.chan);
}

/* "The optional <- operator specifies the channel direction": one-way views. */
SK_TEST(go_channels, one_way_channels)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(0);
    skua_sender out = skua_chan_sender(c);
    skua_receiver in = skua_chan_receiver(c);
    skua_task t = sk_spawn_on(rt, send_one_way, &out);
    int x = 0;
    for (int i = 1; i <= 3; i++) {
        SK_EXPECT_EQ(skua_recv(in, &x), 0);
        SK_EXPECT_EQ(x, i);
    }
    SK_EXPECT_EQ(skua_recv(in, &x), -EPIPE);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_send(out, &x), -EPIPE);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- closing ---- */

/* "A receive operation on a closed channel can always proceed immediately, yielding the zero value after any previously
   sent values have been received"; with ok, here the result, false. */
SK_TEST(go_channels, receive_from_a_closed_channel)
{
    for (size_t capacity = 0; capacity < 4; capacity++) {
        skua_chan *c = sk_ints(capacity);
        for (size_t i = 0; i < capacity; i++) sk_put_int(c, (int)i + 1);
        SK_EXPECT_EQ(skua_chan_is_closed(c), 0);
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_chan_is_closed(c), 1);
        SK_EXPECT_EQ(skua_chan_len(c), capacity);
        for (size_t i = 0; i < capacity; i++) SK_EXPECT_EQ(sk_get_int(c), i + 1);
        for (int i = 0; i < 6; i++) {
            int x = 77, result = i % 3 == 0   ? skua_chan_recv(c, &x)
                                 : i % 3 == 1 ? skua_chan_try_recv(c, &x)
                                              : skua_chan_recv_for(c, &x, 0);
            SK_EXPECT_EQ(result, -EPIPE);
            SK_EXPECT_EQ(x, 0);
        }
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
}

/* "A send on a closed channel proceeds by causing a run-time panic": an error here; also with room in the buffer. */
SK_TEST(go_channels, send_on_a_closed_channel)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        skua_chan *c = sk_ints(capacity);
        int x = 5;
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_chan_send(c, &x), -EPIPE);
        SK_EXPECT_EQ(skua_chan_try_send(c, &x), -EPIPE);
        SK_EXPECT_EQ(skua_chan_send_for(c, &x, 0), -EPIPE);
        SK_EXPECT_EQ(skua_chan_len(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
}

/* "Sending to or closing a closed channel causes a run-time panic. Closing the nil channel also": errors here. */
SK_TEST(go_channels, close_of_a_closed_channel)
{
    skua_chan *c = sk_ints(1);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(skua_chan_close(c), -EALREADY);
    SK_EXPECT_EQ(skua_chan_close(c), -EALREADY);
    SK_EXPECT_EQ(skua_chan_close(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* Senders that wait when it is closed panic in Go: -EPIPE here.  What is in the buffer can still be received, what they
   would have sent cannot. */
SK_TEST(go_channels, close_fails_waiting_senders)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (size_t capacity = 0; capacity < 3; capacity++) {
        skua_chan *c = sk_ints(capacity);
        for (size_t i = 0; i < capacity; i++) sk_put_int(c, (int)i);
        sk_party p[2] = {{.c = c, .value = 8}, {.c = c, .value = 9}};
        for (int i = 0; i < 2; i++) sk_party_waits_to_send(&p[i], i ? rt : NULL);
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        for (size_t i = 0; i < capacity; i++) SK_EXPECT_EQ(sk_get_int(c), i);
        SK_EXPECT_EQ(skua_chan_recv(c, NULL), -EPIPE);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_party_end(&p[i]), -EPIPE);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Receivers that wait when it is closed get the zero value. */
SK_TEST(go_channels, close_wakes_waiting_receivers)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(2);
    sk_party p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = (sk_party){.c = c, .value = 8};
        sk_party_waits_to_receive(&p[i], i % 2 ? rt : NULL);
    }
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    for (int i = 0; i < 4; i++) {
        SK_EXPECT_EQ(sk_party_end(&p[i]), -EPIPE);
        SK_EXPECT_EQ(p[i].value, 0);
    }
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int try_to_receive(void *arg)
{
    int x, result = skua_chan_try_recv((skua_chan *)arg, &x);
    SK_EXPECT(result == 0 || result == -EPIPE);
    return 0;
}

/* There is an element until it is closed: a receive that does not wait never finds neither. */
SK_TEST(go_channels, a_receive_races_with_the_close)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(3000); i > 0; i--) {
        skua_chan *c = sk_ints(1);
        sk_put_int(c, 1);
        skua_task t = sk_spawn_on(rt, try_to_receive, c);
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        int error = skua_chan_recv(c, NULL);
        SK_EXPECT(error == 0 || error == -EPIPE);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct closing {
    skua_chan *c;
    sk_gate ready;
    sk_atomic(uint64_t) sent, received, closed;
} closing;

static int sends_until_closed(void *arg)
{
    closing *all = (closing *)arg;
    int x = 1, error;
    sk_gate_add(&all->ready);
    while ((error = skua_chan_send(all->c, &x)) == 0) sk_add_rlx(&all->sent, UINT64_C(1));
    SK_EXPECT_EQ(error, -EPIPE);
    return 0;
}

static int receives_until_closed(void *arg)
{
    closing *all = (closing *)arg;
    int x, error;
    sk_gate_add(&all->ready);
    while ((error = skua_chan_recv(all->c, &x)) == 0) sk_add_rlx(&all->received, (uint64_t)x);
    SK_EXPECT_EQ(error, -EPIPE);
    SK_EXPECT_EQ(x, 0);
    return 0;
}

static int closes(void *arg)
{
    closing *all = (closing *)arg;
    int error = skua_chan_close(all->c);
    SK_EXPECT(error == 0 || error == -EALREADY);
    if (error == 0) sk_add_rlx(&all->closed, UINT64_C(1));
    return 0;
}

/* "close records that no more values will be sent": what was sent before is received, and not one more; one of those
   who close has done it. */
SK_TEST(go_channels, close_races_with_everybody)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(150); i > 0; i--) {
        closing all = {.c = sk_ints((size_t)(i % 4))};
        skua_fn *const roles[] = {
            sends_until_closed, receives_until_closed, sends_until_closed, receives_until_closed, closes, closes};
        skua_task t[sk_array_len(roles)];
        for (size_t k = 0; k < sk_array_len(roles); k++) {
            if (roles[k] == closes && i % 2) SK_EXPECT(sk_gate_await(&all.ready, 4));
            t[k] = sk_spawn_on(rt, roles[k], &all);
        }
        for (size_t k = 0; k < sk_array_len(roles); k++)
            SK_EXPECT_EQ(skua_join_for(t[k], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(sk_load_acq(&all.sent), sk_load_acq(&all.received));
        SK_EXPECT_EQ(sk_load_acq(&all.closed), 1);
        SK_EXPECT_EQ(skua_chan_release(all.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- length and capacity ---- */

/* "0 <= len(s) <= cap(s)": len counts what is queued in the buffer, not what senders who wait would send. */
SK_TEST(go_channels, length_and_capacity)
{
    skua_chan *c = sk_ints(3), *none = sk_ints(0);
    SK_EXPECT_EQ(skua_chan_cap(c), 3);
    SK_EXPECT_EQ(skua_chan_cap(none), 0);
    for (size_t i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_chan_len(c), i);
        sk_put_int(c, 0);
    }
    sk_party p[2] = {{.c = c}, {.c = none}};
    for (int i = 0; i < 2; i++) sk_party_waits_to_send(&p[i], NULL);
    SK_EXPECT_EQ(skua_chan_len(c), 3);
    SK_EXPECT_EQ(skua_chan_len(none), 0);
    (void)sk_get_int(c);
    (void)sk_get_int(none);
    SK_EXPECT_EQ(skua_chan_len(c), 3);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_party_end(&p[i]), 0);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(skua_chan_cap(c), 3);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_release(none), 0);
}

/* ---- range ---- */

typedef struct seen {
    int next, stop_at;
} seen;

static int see(void *element, void *arg)
{
    seen *s = (seen *)arg;
    SK_EXPECT_EQ(*(int *)element, s->next);
    return s->next++ == s->stop_at ? 1 : 0;
}

/* "The iteration values produced are the successive values sent on the channel until the channel is closed." */
SK_TEST(go_channels, range_until_closed)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (size_t capacity = 0; capacity < 3; capacity++) {
        skua_chan *c = sk_ints(capacity);
        seen s = {0, -1};
        skua_task t = sk_spawn_on(rt, send_in_order, c);
        while (s.next < 500) SK_EXPECT_EQ(sk_get_int(c), s.next++);
        s.stop_at = 700; /* break */
        SK_EXPECT_EQ(skua_chan_each(c, see, &s), 1);
        SK_EXPECT_EQ(s.next, 701);
        s.stop_at = 999;
        SK_EXPECT_EQ(skua_chan_each(c, see, &s), 1);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_chan_each(c, see, &s), 0);
        SK_EXPECT_EQ(s.next, 1000);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the memory model: plain variables, so that ThreadSanitizer sees an edge that is missing ---- */

typedef struct shared {
    skua_chan *c;
    int plain;
} shared;

static int writes_and_sends(void *arg)
{
    shared *s = (shared *)arg;
    s->plain = 1;
    sk_put_int(s->c, 0);
    return 0;
}

/* "A send on a channel is synchronized before the completion of the corresponding receive from that channel." */
SK_TEST(go_channels, a_send_comes_before_its_receive)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(600); i > 0; i--) {
        shared s = {sk_ints((size_t)(i % 2)), 0};
        skua_task t = sk_spawn_on(rt, writes_and_sends, &s);
        (void)sk_get_int(s.c);
        SK_EXPECT_EQ(s.plain, 1);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(s.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int writes_and_closes(void *arg)
{
    shared *s = (shared *)arg;
    s->plain = 1;
    return skua_chan_close(s->c);
}

/* "The closing of a channel is synchronized before a receive that returns because the channel is closed." */
SK_TEST(go_channels, a_close_comes_before_a_receive_that_sees_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(600); i > 0; i--) {
        shared s = {sk_ints((size_t)(i % 2)), 0};
        int result;
        skua_task t = sk_spawn_on(rt, writes_and_closes, &s);
        do {
            result = i % 4 < 2 ? skua_chan_recv(s.c, NULL) : skua_chan_try_recv(s.c, NULL);
        } while (result == -EAGAIN);
        SK_EXPECT_EQ(result, -EPIPE);
        SK_EXPECT_EQ(s.plain, 1);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(s.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int writes_and_receives(void *arg)
{
    shared *s = (shared *)arg;
    s->plain = 1;
    (void)sk_get_int(s->c);
    return 0;
}

/* "A receive from an unbuffered channel is synchronized before the completion of the corresponding send." */
SK_TEST(go_channels, an_unbuffered_receive_comes_before_the_end_of_its_send)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(600); i > 0; i--) {
        shared s = {sk_ints(0), 0};
        skua_task t = sk_spawn_on(rt, writes_and_receives, &s);
        sk_put_int(s.c, 0);
        SK_EXPECT_EQ(s.plain, 1);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(s.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct limited {
    skua_chan *tokens; /* capacity: so many may be inside */
    sk_gate inside;
    long plain; /* with capacity 1: guarded by it */
} limited;

static int inside_by_tokens(void *arg)
{
    limited *l = (limited *)arg;
    size_t limit = skua_chan_cap(l->tokens);
    for (int i = 0; i < 100; i++) {
        SK_EXPECT_EQ(skua_chan_send(l->tokens, NULL), 0);
        SK_EXPECT(sk_add_ar(&l->inside, 1u) < limit);
        if (limit == 1) l->plain++;
        if (i % 10 == 0) skua_yield();
        sk_sub_ar(&l->inside, 1u);
        SK_EXPECT_EQ(skua_chan_recv(l->tokens, NULL), 0);
    }
    return 0;
}

/* "The kth receive on a channel with capacity C is synchronized before the completion of the k+Cth send": a channel is
   a counting semaphore, and with capacity 1 a lock. */
SK_TEST(go_channels, a_buffered_channel_is_a_semaphore)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (size_t capacity = 1; capacity <= 3; capacity++) {
        limited l = {.tokens = sk_signals(capacity)};
        skua_task t[5];
        for (int i = 0; i < 5; i++) t[i] = sk_spawn_on(rt, inside_by_tokens, &l);
        for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        if (capacity == 1) SK_EXPECT_EQ(l.plain, 500);
        SK_EXPECT_EQ(skua_chan_release(l.tokens), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

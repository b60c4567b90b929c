/*
 * unit/select.c: select: bad input, memory, many cases, who gives up, and what it
 * leaves behind. What it has in common with Go's is in conformance/go_select.c.
 */
#include "support/channels.h"

#include "base/fault.h"
#include "skua/select.h"

/* ---- bad input ---- */

SK_TEST(select, bad_input)
{
    int x = 0;
    skua_chan *c = sk_ints(1);
    skua_case send_null = SKUA_CASE_SEND(c, NULL), no_direction = {c, (skua_direction)2, &x, 0};
    skua_case below = {c, (skua_direction)-1, &x, 0}, fine = SKUA_CASE_SEND(c, &x);
    skua_case cases[][2] = {{fine, send_null}, {no_direction, fine}, {fine, below}};
    for (size_t i = 0; i < sk_array_len(cases); i++) {
        SK_EXPECT_EQ(skua_select(cases[i], 2), -EINVAL);
        SK_EXPECT_EQ(skua_select_for(cases[i], 2, SKUA_S(1)), -EINVAL);
        SK_EXPECT_EQ(skua_select_try(cases[i], 2), -EINVAL);
    }
    SK_EXPECT_EQ(skua_select(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_select_for(NULL, 1, 1), -EINVAL);
    SK_EXPECT_EQ(skua_select_try(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_select(&fine, ((size_t)1 << 28) + 1), -EINVAL);
    SK_EXPECT_EQ(skua_select_try(&fine, SIZE_MAX), -EINVAL);
    SK_EXPECT_EQ(skua_chan_len(c), 0); /* nothing was done before the error was found */
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* Without a size there is nothing to point to. */
SK_TEST(select, a_signal_needs_no_element)
{
    skua_chan *c = sk_signals(1);
    skua_case cases[] = {SKUA_CASE_SEND(c, NULL), SKUA_CASE_RECV(c, NULL)};
    for (int i = 0; i < 4; i++) {
        SK_EXPECT_EQ(skua_select(cases, 2), i % 2);
        SK_EXPECT_EQ(cases[i % 2].result, 0);
    }
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* What stands beside a NULL channel is not looked at. */
SK_TEST(select, a_case_without_a_channel_is_not_looked_at)
{
    skua_case odd = {NULL, (skua_direction)77, NULL, 5};
    SK_EXPECT_EQ(skua_select_try(&odd, 1), -EAGAIN);
    SK_EXPECT_EQ(skua_select_for(&odd, 1, 1), -ETIMEDOUT);
    SK_EXPECT_EQ(odd.result, 5);
}

#ifdef SK_DEBUG
SK_TEST(select, a_freed_channel_is_noticed)
{
    skua_chan *c = sk_ints(1), *live = sk_ints(1);
    int x = 0;
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    skua_case cases[] = {SKUA_CASE_SEND(live, &x), SKUA_CASE_RECV(c, &x)};
    SK_EXPECT_EQ(skua_select(cases, 2), -EBADF);
    SK_EXPECT_EQ(skua_select_try(cases, 2), -EBADF);
    SK_EXPECT_EQ(skua_chan_len(live), 0);
    SK_EXPECT_EQ(skua_chan_release(live), 0);
}
#endif

/* ---- many cases ---- */

enum { MANY = 1000 };

typedef struct many {
    size_t n;
    skua_chan *c[MANY];
    int got[MANY];
    int chosen, result;
    uint64_t timeout;
    sk_gate ended;
} many;

static void make_many(many *m, size_t n)
{
    memset((void *)m, 0, sizeof *m);
    m->n = n;
    m->timeout = SKUA_FOREVER;
    for (size_t i = 0; i < n; i++) m->c[i] = sk_ints(0);
}

static void release_many(many *m)
{
    for (size_t i = 0; i < m->n; i++) {
        SK_EXPECT_EQ(sk_receivers_in(m->c[i]) + sk_senders_in(m->c[i]), 0);
        SK_EXPECT_EQ(skua_chan_release(m->c[i]), 0);
    }
}

static int receive_of_many(void *arg)
{
    many *m = (many *)arg;
    skua_case *cases = (skua_case *)malloc(MANY * sizeof *cases);
    SK_EXPECT(cases != NULL);
    for (size_t i = 0; i < m->n; i++) cases[i] = (skua_case)SKUA_CASE_RECV(m->c[i], &m->got[i]);
    m->chosen = skua_select_for(cases, m->n, m->timeout);
    m->result = m->chosen >= 0 ? cases[m->chosen].result : m->chosen;
    free(cases);
    sk_gate_add(&m->ended);
    return m->chosen;
}

static skua_task wait_in_many(skua_runtime *rt, many *m)
{
    skua_task t = sk_spawn_on(rt, receive_of_many, m);
    for (size_t i = 0; i < m->n; i++) SK_EVENTUALLY(sk_receivers_in(m->c[i]) == 1);
    return t;
}

SK_TEST(select, many_cases)
{
    static const size_t numbers[] = {1, 2, 15, 16, 17, 100, MANY};
    static many m;
    skua_runtime *rt = sk_runtime_of(2);
    for (size_t k = 0; k < sk_array_len(numbers); k++) {
        size_t n = numbers[k], which[] = {0, n / 2, n - 1};
        make_many(&m, n);
        for (size_t i = 0; i < 3; i++) {
            skua_task t = wait_in_many(rt, &m);
            sk_put_int(m.c[which[i]], (int)i + 5);
            SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            SK_EXPECT_EQ(m.chosen, which[i]);
            SK_EXPECT_EQ(m.result, 0);
            SK_EXPECT_EQ(m.got[which[i]], i + 5);
        }
        m.got[n / 2] = 3;
        skua_task t = wait_in_many(rt, &m);
        SK_EXPECT_EQ(skua_chan_close(m.c[n / 2]), 0);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(m.chosen, n / 2);
        SK_EXPECT_EQ(m.result, -EPIPE);
        SK_EXPECT_EQ(m.got[n / 2], 0);
        SK_EXPECT_EQ(receive_of_many(&m), n / 2); /* and when it is closed already, without waiting */
        release_many(&m);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* All of a thousand are ready: each may be chosen. */
SK_TEST(select, each_of_many_is_chosen)
{
    static many m;
    static bool chosen[MANY];
    int different = 0;
    make_many(&m, MANY);
    for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(skua_chan_close(m.c[i]), 0);
    for (int i = 0; i < 300; i++) {
        int k = receive_of_many(&m);
        different += !chosen[k];
        chosen[k] = true;
    }
    SK_EXPECT(different > 200); /* 259 on average, with a deviation of 6 */
    release_many(&m);
}

/* One channel in all the cases. */
SK_TEST(select, the_same_channel_in_all_cases)
{
    static many m;
    skua_runtime *rt = sk_runtime_of(1);
    for (size_t n = 2; n <= 40; n += 38) {
        make_many(&m, n);
        skua_chan *own[40];
        memcpy(own, m.c, sizeof own);
        for (size_t i = 1; i < n; i++) m.c[i] = m.c[0];
        skua_task t = sk_spawn_on(rt, receive_of_many, &m);
        SK_EVENTUALLY(sk_receivers_in(m.c[0]) == n);
        sk_put_int(m.c[0], 4);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(m.got[m.chosen], 4);
        memcpy(m.c, own, sizeof own);
        release_many(&m);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_FAULTS
/* Up to 16 cases a select needs no memory, whether it waits or not; above, only to wait. */
SK_TEST(select, sixteen_cases_need_no_memory)
{
    static many m;
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    make_many(&m, SKUA_SELECT_CASES);
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    skua_task t = wait_in_many(rt, &m);
    sk_put_int(m.c[7], 1);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(m.chosen, 7);
    m.timeout = 0;
    SK_EXPECT_EQ(receive_of_many(&m), -ETIMEDOUT);
    m.timeout = SKUA_US(1);
    SK_EXPECT_EQ(receive_of_many(&m), -ETIMEDOUT);
    SK_EXPECT_EQ(sk_fault_count(SK_FAULT_MALLOC), 0);
    sk_fault_reset();
    release_many(&m);

    make_many(&m, SKUA_SELECT_CASES + 1);
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(receive_of_many(&m), -ENOMEM);
    m.timeout = SKUA_MS(1);
    SK_EXPECT_EQ(receive_of_many(&m), -ENOMEM);
    SK_EXPECT_EQ(skua_chan_close(m.c[16]), 0);
    SK_EXPECT_EQ(receive_of_many(&m), 16);
    sk_fault_reset();
    release_many(&m);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif

/* ---- who gives up ---- */

typedef struct pair {
    skua_chan *in, *out;
    int x, chosen, result;
    uint64_t timeout;
    sk_gate ended;
} pair;

static int receive_or_send(void *arg)
{
    pair *p = (pair *)arg;
    skua_case cases[] = {SKUA_CASE_RECV(p->in, &p->x), SKUA_CASE_SEND(p->out, &p->x)};
    p->chosen = skua_select_for(cases, 2, p->timeout);
    p->result = p->chosen >= 0 ? cases[p->chosen].result : 0;
    sk_gate_add(&p->ended);
    return 0;
}

static pair pair_of(uint64_t timeout)
{
    return (pair){sk_ints(0), sk_ints(0), 9, 77, 77, timeout, 0};
}

static bool waits(pair *p)
{
    return sk_receivers_in(p->in) == 1 && sk_senders_in(p->out) == 1;
}

static void release_pair(pair *p)
{
    SK_EXPECT_EQ(sk_receivers_in(p->in) + sk_senders_in(p->out), 0);
    SK_EXPECT_EQ(skua_chan_release(p->in), 0);
    SK_EXPECT_EQ(skua_chan_release(p->out), 0);
}

/* Nothing was sent or received, and nobody stands in a queue any more. */
static void gave_up(pair *p, int error)
{
    SK_EXPECT_EQ(p->chosen, error);
    SK_EXPECT_EQ(p->x, 9);
    SK_EXPECT_EQ(skua_chan_try_recv(p->out, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_try_send(p->in, &p->x), -EAGAIN);
    release_pair(p);
}

SK_TEST(select, who_is_cancelled_has_done_nothing)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        pair p = pair_of(i % 2 ? SKUA_S(1000) : SKUA_FOREVER);
        skua_task t = sk_spawn_on(rt, receive_or_send, &p);
        SK_EVENTUALLY(waits(&p));
        SK_EXPECT_EQ(skua_cancel(t), 0);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        gave_up(&p, -ECANCELED);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(select, who_is_late_has_done_nothing)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 2; i++) {
        pair p = pair_of(SKUA_MS(3));
        uint64_t before = skua_now();
        (void)(i ? sk_run_on(rt, receive_or_send, &p) : receive_or_send(&p));
        SK_EXPECT(skua_now() - before >= SKUA_MS(3));
        gave_up(&p, -ETIMEDOUT);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(select, a_deadline_of_the_task)
{
    skua_runtime *rt = sk_runtime_of(1);
    pair p = pair_of(SKUA_FOREVER);
    /* On a busy machine the deadline may pass before the task has even begun: then it has a longer one. */
    for (uint64_t within = SKUA_MS(10); sk_gate_now(&p.ended) == 0; within *= 2) {
        SK_EXPECT(within < SKUA_S(30));
        skua_task t;
        skua_task_options o = {.runtime = rt, .finish_within = within};
        SK_EXPECT_EQ(skua_spawn_with(&t, &o, receive_or_send, &p), 0);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        sk_runtime_rests(rt);
    }
    gave_up(&p, -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int select_when_cancelled(void *arg)
{
    pair *p = (pair *)arg;
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    (void)receive_or_send(p);
    SK_EXPECT_EQ(p->chosen, -ECANCELED);
    SK_EXPECT_EQ(skua_chan_close(p->in), 0);
    (void)receive_or_send(p);
    SK_EXPECT_EQ(p->chosen, 0);
    SK_EXPECT_EQ(p->result, -EPIPE);
    return 0;
}

SK_TEST(select, a_cancelled_task_does_what_needs_no_waiting)
{
    skua_runtime *rt = sk_runtime_of(1);
    pair p = pair_of(SKUA_FOREVER);
    skua_task t = sk_spawn_on(rt, select_when_cancelled, &p);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&p.ended), 2);
    release_pair(&p);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Claimed by one channel, and then everything else happens before it can go on: the first is what counts. */
SK_TEST(select, served_once)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 30; i++) {
        pair p = pair_of(i % 3 ? SKUA_FOREVER : SKUA_MS(1));
        sk_holder h = {0};
        int seven = 7, got = -1;
        skua_task t = sk_spawn_on(rt, receive_or_send, &p);
        if (i % 3)
            SK_EVENTUALLY(waits(&p));
        else
            SK_EVENTUALLY(waits(&p) || sk_gate_now(&p.ended));
        skua_task hog = sk_hold_worker(rt, &h);
        bool first = i % 2 ? skua_chan_try_send(p.in, &seven) == 0 : skua_chan_try_recv(p.out, &got) == 0;
        bool second = i % 2 ? skua_chan_try_recv(p.out, &got) == 0 : skua_chan_try_send(p.in, &seven) == 0;
        if (i % 4 < 2) (void)skua_cancel(t);
        SK_EXPECT(!second);
        SK_EXPECT(first || i % 3 == 0);
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(p.chosen, first ? 1 - i % 2 : -ETIMEDOUT);
        SK_EXPECT_EQ(p.x, first && i % 2 ? 7 : 9);
        SK_EXPECT_EQ(got, first && i % 2 == 0 ? 9 : -1);
        release_pair(&p);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sends_one(void *arg)
{
    sk_party *p = (sk_party *)arg;
    p->result = skua_chan_try_send(p->c, &p->value);
    return 0;
}

/* Two that send at the same time, on two channels of one select: one of them gets through. */
SK_TEST(select, one_of_two_that_race)
{
    static many m;
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = sk_test_scaled(400); i > 0; i--) {
        make_many(&m, 2);
        skua_task t = wait_in_many(rt, &m);
        sk_party a = {.c = m.c[0], .value = 1}, b = {.c = m.c[1], .value = 2};
        sk_party_go(&a, rt, sends_one);
        (void)sends_one(&b);
        (void)sk_party_end(&a);
        SK_EXPECT_EQ((a.result == 0) + (b.result == 0), 1);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(m.chosen, b.result == 0);
        SK_EXPECT_EQ(m.got[m.chosen], m.chosen + 1);
        release_many(&m);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int try_two(void *arg)
{
    many *m = (many *)arg;
    skua_case cases[] = {SKUA_CASE_RECV(m->c[0], &m->got[0]), SKUA_CASE_RECV(m->c[1], &m->got[1])};
    sk_gate_add(&m->ended);
    m->chosen = skua_select_try(cases, 2);
    return 0;
}

/* One of two seemed ready and is not, but by then the other one is: "none is" would have been true at no moment. */
SK_TEST(select, none_is_said_of_one_moment)
{
    static many m;
    make_many(&m, 0);
    int x = 3;
    sk_waiter *who;
    m.c[0] = sk_ints(1);
    m.c[1] = sk_ints(1);
    sk_put_int(m.c[0], 2);
    sk_lock_take(&m.c[0]->lock);
    pthread_t thread = sk_thread_of(try_two, &m);
    SK_EXPECT(sk_gate_await(&m.ended, 1));
    skua_sleep(SKUA_MS(20)); /* it wants the lock by now, as a rule */
    SK_EXPECT_EQ(skua_chan_try_send(m.c[1], &x), 0);
    SK_EXPECT_EQ(sk_chan_recv_now(m.c[0], &x, &who), 0);
    sk_lock_drop(&m.c[0]->lock);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(m.chosen, 1);
    SK_EXPECT_EQ(m.got[1], 3);
    m.n = 2;
    release_many(&m);
}

/* A select that waits keeps its channels; one that another select has served does as well. */
SK_TEST(select, a_channel_with_a_select_in_it_is_not_freed)
{
    skua_runtime *rt = sk_runtime_of(1);
    pair p = pair_of(SKUA_FOREVER);
    skua_task t = sk_spawn_on(rt, receive_or_send, &p);
    SK_EVENTUALLY(waits(&p));
    SK_EXPECT_EQ(skua_chan_release(p.in), -EBUSY);
    SK_EXPECT_EQ(skua_chan_release(p.out), -EBUSY);
    int x = 6;
    skua_case cases[] = {SKUA_CASE_SEND(p.in, &x), SKUA_CASE_SEND(NULL, &x)};
    SK_EXPECT_EQ(skua_select(cases, 2), 0);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(p.x, 6);
    release_pair(&p);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct ending {
    skua_chan *done, *quit;
} ending;

static int tell_done(void *arg)
{
    ending e = *(ending *)arg;
    int x = 42;
    skua_case cases[] = {SKUA_CASE_SEND(e.done, &x), SKUA_CASE_RECV(e.quit, NULL)};
    return skua_select(cases, 2);
}

/* Whoever has received may release that channel at once, though the select that has sent has still to leave others. */
SK_TEST(select, released_by_who_was_served)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *quit = sk_ints(0);
    for (long i = sk_test_scaled(300); i > 0; i--) {
        ending e = {sk_ints(0), quit};
        sk_holder h = {0};
        skua_task t = sk_spawn_on(rt, tell_done, &e);
        SK_EVENTUALLY(sk_senders_in(e.done) == 1);
        skua_task hog = sk_hold_worker(rt, &h);
        SK_EXPECT_EQ(sk_get_int(e.done), 42);
        SK_EXPECT_EQ(skua_chan_release(e.done), 0);
        /* The memory is another's, who holds its lock just now: it must be left alone. */
        skua_chan *next = sk_ints(1);
        sk_lock_take(&next->lock);
        sk_let_worker_go(&h, hog);
        int error = skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL);
        sk_lock_drop(&next->lock);
        SK_EXPECT_EQ(error, 0);
        SK_EXPECT_EQ(skua_chan_release(next), 0);
    }
    SK_EXPECT_EQ(skua_chan_release(quit), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- closing, stopping ---- */

/* More selects than a close wakes with one hold of the lock; each has cases in that channel and in another. */
SK_TEST(select, close_wakes_all)
{
    enum { SELECTS = 70 };
    static pair p[SELECTS];
    skua_runtime *rt = sk_runtime_of(2);
    for (int which = 0; which < 2; which++) {
        skua_task t[SELECTS];
        p[0] = pair_of(SKUA_FOREVER);
        for (int i = 0; i < SELECTS; i++) {
            p[i] = p[0];
            t[i] = sk_spawn_on(rt, receive_or_send, &p[i]);
        }
        SK_EVENTUALLY(sk_receivers_in(p[0].in) == SELECTS && sk_senders_in(p[0].out) == SELECTS);
        SK_EXPECT_EQ(skua_chan_close(which ? p[0].out : p[0].in), 0);
        for (int i = 0; i < SELECTS; i++) {
            SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            SK_EXPECT_EQ(p[i].chosen, which);
            SK_EXPECT_EQ(p[i].result, -EPIPE);
            SK_EXPECT_EQ(p[i].x, which ? 9 : 0);
        }
        release_pair(&p[0]);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(select, a_stopping_runtime_wakes_its_waiters)
{
    skua_runtime *rt = sk_runtime_of(2);
    pair p[6];
    skua_task t[6];
    for (int i = 0; i < 6; i++) {
        p[i] = pair_of(SKUA_FOREVER);
        t[i] = sk_spawn_on(rt, receive_or_send, &p[i]);
        SK_EVENTUALLY(waits(&p[i]));
    }
    int error = skua_runtime_stop(rt, SKUA_MS(1));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    for (int i = 0; i < 6; i++) {
        SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        gave_up(&p[i], -ECANCELED);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

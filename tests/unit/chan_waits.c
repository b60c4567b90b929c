/*
 * unit/chan_waits.c: who waits in a channel: giving up, being served from elsewhere,
 * being closed upon, and what becomes of it when the runtime changes or stops.
 */
#include "support/channels.h"

#include "base/fault.h"
#include "runtime/sched.h"
#include "skua/select.h"

/* ---- who gives up ---- */

/* The call of one of two waiters ends for another reason; the other one is served, and nothing is lost. */
static void end_one_of_two(skua_runtime *rt, bool sends, int which, int how)
{
    skua_chan *c = sk_ints(0);
    sk_party p[2] = {{.c = c, .value = 0}, {.c = c, .value = 1}};
    if (how == -ETIMEDOUT) p[which].timeout = SKUA_MS(20);
    for (int i = 0; i < 2; i++) {
        sk_party_go(&p[i], rt, sends ? sk_party_sends : sk_party_receives);
        if (how == -ECANCELED) SK_EVENTUALLY((sends ? sk_senders_in(c) : sk_receivers_in(c)) == (size_t)i + 1);
    }
    if (how == -ECANCELED) SK_EXPECT_EQ(skua_cancel(p[which].task), 0);
    SK_EXPECT_EQ(sk_party_end(&p[which]), how);
    SK_EVENTUALLY((sends ? sk_senders_in(c) : sk_receivers_in(c)) == 1);
    if (sends)
        SK_EXPECT_EQ(sk_get_int(c), 1 - which);
    else
        sk_put_int(c, 8);
    SK_EXPECT_EQ(sk_party_end(&p[1 - which]), 0);
    SK_EXPECT_EQ(p[which].value, which); /* nothing was received */
    if (!sends) SK_EXPECT_EQ(p[1 - which].value, 8);
    SK_EXPECT_EQ(skua_chan_try_recv(c, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

SK_TEST(chan_waits, who_is_cancelled_has_done_nothing)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 4; i++) end_one_of_two(rt, i / 2, i % 2, -ECANCELED);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(chan_waits, who_is_late_has_done_nothing)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 4; i++) end_one_of_two(rt, i / 2, i % 2, -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Never early; 0 does not wait; what can be done at once is done whatever the timeout. */
static int timeouts(void *arg)
{
    int x = 0;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        skua_chan *c = sk_ints(capacity);
        (void)arg;
        if (capacity) SK_EXPECT_EQ(skua_chan_send_for(c, &x, 0), 0);
        for (int i = 0; i < 2; i++) {
            uint64_t before = skua_now(), wait = i ? SKUA_MS(3) : 0;
            SK_EXPECT_EQ(skua_chan_send_for(c, &x, wait), -ETIMEDOUT);
            SK_EXPECT(skua_now() - before >= wait);
        }
        if (capacity) SK_EXPECT_EQ(skua_chan_recv_for(c, &x, 0), 0);
        for (int i = 0; i < 2; i++) {
            uint64_t before = skua_now(), wait = i ? SKUA_MS(3) : 0;
            SK_EXPECT_EQ(skua_chan_recv_for(c, &x, wait), -ETIMEDOUT);
            SK_EXPECT(skua_now() - before >= wait);
        }
        SK_EXPECT_EQ(sk_senders_in(c) + sk_receivers_in(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    return 1;
}

SK_TEST(chan_waits, timeouts)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(timeouts(NULL), 1);
    SK_EXPECT_EQ(sk_run_on(rt, timeouts, NULL), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A cancelled task waits no more, but what needs no waiting it may do. */
static int when_cancelled(void *arg)
{
    int x = 1;
    skua_chan *none = sk_ints(0), *some = sk_ints(1);
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    SK_EXPECT_EQ(skua_chan_send(none, &x), -ECANCELED);
    SK_EXPECT_EQ(skua_chan_recv(none, &x), -ECANCELED);
    SK_EXPECT_EQ(skua_chan_recv_for(none, &x, SKUA_S(1000)), -ECANCELED);
    SK_EXPECT_EQ(skua_chan_recv_for(none, &x, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_chan_try_recv(none, &x), -EAGAIN);
    SK_EXPECT_EQ(sk_receivers_in(none) + sk_senders_in(none), 0);
    SK_EXPECT_EQ(skua_chan_send(some, &x), 0);
    SK_EXPECT_EQ(skua_chan_send(some, &x), -ECANCELED);
    SK_EXPECT_EQ(skua_chan_send_for(some, &x, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_chan_recv(some, &x), 0);
    SK_EXPECT_EQ(skua_chan_close(none), 0);
    SK_EXPECT_EQ(skua_chan_recv(none, &x), -EPIPE);
    SK_EXPECT_EQ(skua_chan_release(none), 0);
    SK_EXPECT_EQ(skua_chan_release(some), 0);
    sk_gate_add((sk_gate *)arg);
    return 0;
}

SK_TEST(chan_waits, a_cancelled_task_does_what_needs_no_waiting)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate done = 0;
    skua_task t = sk_spawn_on(rt, when_cancelled, &done);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&done), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The task's own deadline ends the wait, also one with a longer timeout. */
SK_TEST(chan_waits, a_deadline_of_the_task)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 4; i++) {
        skua_chan *c = sk_ints(0);
        sk_party p = {.c = c, .value = 3, .timeout = i % 2 ? SKUA_S(1000) : 0};
        /* On a busy machine the deadline may pass before the task has even begun: then it has a longer one. */
        for (uint64_t within = SKUA_MS(10); sk_gate_now(&p.ended) == 0; within *= 2) {
            SK_EXPECT(within < SKUA_S(30));
            skua_task_options o = {.runtime = rt, .finish_within = within};
            SK_EXPECT_EQ(skua_spawn_with(&p.task, &o, i / 2 ? sk_party_sends : sk_party_receives, &p), 0);
            SK_EXPECT_EQ(skua_join_for(p.task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            sk_runtime_rests(rt);
        }
        SK_EXPECT_EQ(p.result, -ETIMEDOUT);
        SK_EXPECT_EQ(sk_receivers_in(c) + sk_senders_in(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Claimed, and cancelled before it could run: the element is its own, and the call has succeeded. */
SK_TEST(chan_waits, served_and_cancelled)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        skua_chan *c = sk_ints(0);
        sk_party p = {.c = c, .value = 6};
        sk_holder h = {0};
        i % 2 ? sk_party_waits_to_send(&p, rt) : sk_party_waits_to_receive(&p, rt);
        skua_task hog = sk_hold_worker(rt, &h);
        i % 2 ? (void)sk_get_int(c) : sk_put_int(c, 7);
        SK_EXPECT_EQ(skua_cancel(p.task), 0);
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(sk_party_end(&p), 0);
        SK_EXPECT_EQ(p.value, i % 2 ? 6 : 7);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Cancelled first, then served: the element goes to the next. */
SK_TEST(chan_waits, cancelled_and_not_served)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        skua_chan *c = sk_ints(0);
        sk_party p = {.c = c, .value = 6}, next = {.c = c, .value = 6};
        sk_holder h = {0};
        i % 2 ? sk_party_waits_to_send(&p, rt) : sk_party_waits_to_receive(&p, rt);
        i % 2 ? sk_party_waits_to_send(&next, NULL) : sk_party_waits_to_receive(&next, NULL);
        skua_task hog = sk_hold_worker(rt, &h);
        SK_EXPECT_EQ(skua_cancel(p.task), 0);
        /* It has not given up yet, and may be served as long as it has not. */
        i % 2 ? (void)sk_get_int(c) : sk_put_int(c, 7);
        sk_let_worker_go(&h, hog);
        int error = sk_party_end(&p);
        SK_EXPECT(error == 0 || error == -ECANCELED);
        SK_EXPECT_EQ(p.value, error == 0 && i % 2 == 0 ? 7 : 6);
        if (error == 0) i % 2 ? (void)sk_get_int(c) : sk_put_int(c, 7);
        SK_EXPECT_EQ(sk_party_end(&next), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct late {
    skua_chan *c;
    sk_gate waiting, served, sent;
} late;

enum { LATE = 12 };

/* Whoever is late serves another one, if there is still one to be served: that one's time is over as well. */
static int receives_late(void *arg)
{
    late *l = (late *)arg;
    int x = -1, mine = 5;
    sk_gate_add(&l->waiting);
    int error = skua_chan_recv_for(l->c, &x, SKUA_US(300));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    SK_EXPECT_EQ(x, error ? -1 : 5);
    if (error == 0)
        sk_gate_add(&l->served);
    else if (skua_chan_try_send(l->c, &mine) == 0)
        sk_gate_add(&l->sent);
    return 0;
}

/* Keeps the only worker until all are late. */
static int compute(void *arg)
{
    for (uint64_t since = skua_now(); skua_now() - since < SKUA_US(500);) {
    }
    return arg ? 0 : 1;
}

/* ---- a waker that comes late ---- */

typedef struct twice {
    skua_chan *c;
    sk_atomic(sk_task *) task;
} twice;

/* As a join whose task has just ended: the generation is known to others, and the park is refused. */
static bool refuse_park(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    (void)wait;
    sk_store_rlx(&t->join_generation, generation);
    return false;
}

static int wait_twice(void *arg)
{
    twice *l = (twice *)arg;
    sk_worker *w = sk_worker_self();
    sk_wait wait = {refuse_park, NULL, NULL, 0, "join", NULL};
    int value = -1;
    SK_EXPECT_EQ(sk_park(w, &wait, SK_NEVER), SK_WHY_WAKE);
    sk_store_rel(&l->task, sk_worker_self()->task);
    SK_EXPECT_EQ(skua_chan_recv(l->c, &value), 0);
    return value;
}

/* Whoever is slow to wake it from the first wait does not end the second. */
SK_TEST(chan_waits, a_refused_park_is_over_for_all)
{
    skua_runtime *rt = sk_runtime_of(1);
    twice l = {.c = sk_ints(0)};
    skua_task task;
    skua_task_options o = {.runtime = rt};
    int value = 42, result = 0;
    SK_EXPECT_EQ(skua_spawn_with(&task, &o, wait_twice, &l), 0);
    SK_EVENTUALLY(sk_load_acq(&l.task) != NULL);
    sk_task *t = sk_load_acq(&l.task);
    SK_EVENTUALLY(sk_phase_of(sk_load_acq(&t->state.word)) == SK_PARKED);
    sk_wake_joiner(NULL, sk_join_word(0, t, SK_JOIN_TASK));
    SK_EXPECT_EQ(sk_phase_of(sk_load_acq(&t->state.word)), SK_PARKED);
    SK_EXPECT_EQ(skua_chan_send(l.c, &value), 0);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 42);
    SK_EXPECT_EQ(skua_chan_release(l.c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A receiver whose time is over is served or late, and never both. */
SK_TEST(chan_waits, late_and_served)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (long i = sk_test_scaled(60); i > 0; i--) {
        late l = {.c = sk_ints(0)};
        skua_task t[LATE];
        for (int k = 0; k < LATE; k++) t[k] = sk_spawn_on(rt, receives_late, &l);
        SK_EXPECT(sk_gate_await(&l.waiting, LATE));
        SK_EXPECT_EQ(sk_run_on(rt, compute, &l), 0);
        for (int k = 0; k < LATE; k++) SK_EXPECT_EQ(skua_join_for(t[k], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(sk_gate_now(&l.served), sk_gate_now(&l.sent));
        SK_EXPECT_EQ(sk_receivers_in(l.c), 0);
        SK_EXPECT_EQ(skua_chan_release(l.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_FAULTS
/* There is no memory to wait with: nothing is sent or received, and what needs no waiting is done. */
static int without_memory(void *arg)
{
    skua_chan *c = (skua_chan *)arg;
    int x = 4;
    skua_case cases[] = {SKUA_CASE_RECV(c, &x)};
    SK_EXPECT_EQ(skua_chan_recv(c, &x), -ENOMEM);
    SK_EXPECT_EQ(skua_chan_recv_for(c, &x, SKUA_S(1000)), -ENOMEM);
    SK_EXPECT_EQ(skua_select(cases, 1), -ENOMEM);
    SK_EXPECT_EQ(skua_chan_send(c, &x), 0);
    SK_EXPECT_EQ(skua_chan_send(c, &x), -ENOMEM);
    SK_EXPECT_EQ(x, 4);
    SK_EXPECT_EQ(sk_receivers_in(c) + sk_senders_in(c), 0);
    SK_EXPECT_EQ(skua_chan_recv(c, &x), 0);
    sk_fault_reset();
    return 0;
}

typedef struct house {
    skua_chan *c, *held; /* the one they all wait in; one for the last of them */
    sk_gate refused, waiting;
} house;

/* Waits, or finds that there is no stack any more for others to go on on: then it is the one to try everything. */
static int waits_in_a_full_house(void *arg)
{
    house *h = (house *)arg;
    int x = 0, error;
    sk_gate_add(&h->waiting);
    error = skua_chan_recv(h->c, &x);
    if (error == -ENOMEM && sk_add_ar(&h->refused, 1u) == 0) (void)without_memory(h->held);
    SK_EXPECT(error == -ENOMEM || error == -EPIPE);
    return 0;
}

SK_TEST(chan_waits, no_memory_to_wait_with)
{
    enum { TASKS = 400 };
    static skua_task t[TASKS];
    sk_holder holder = {0};
    skua_runtime *rt; /* with stacks of which an arena does not have many */
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 1, .stack_size = 8 << 20}), 0);
    house h = {.c = sk_ints(0), .held = sk_ints(1)};
    skua_task hog = sk_hold_worker(rt, &holder);
    for (int i = 0; i < TASKS; i++) t[i] = sk_spawn_on(rt, waits_in_a_full_house, &h);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    sk_let_worker_go(&holder, hog);
    SK_EXPECT(sk_gate_await(&h.waiting, TASKS));
    SK_EXPECT(sk_gate_now(&h.refused) > 0);
    SK_EXPECT_EQ(skua_chan_close(h.c), 0);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    sk_fault_arm(SK_FAULT_KEY, 1, true); /* a record of a thread that is new */
    pthread_join(sk_thread_of(without_memory, h.held), NULL);
    SK_EXPECT_EQ(skua_chan_release(h.c), 0);
    SK_EXPECT_EQ(skua_chan_release(h.held), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif

/* ---- where they wait ---- */

static int ping(void *arg)
{
    skua_chan **c = (skua_chan **)arg;
    for (int i = 0; i < 300; i++) {
        sk_put_int(c[0], i);
        SK_EXPECT_EQ(sk_get_int(c[1]), i);
    }
    return 0;
}

static int pong(void *arg)
{
    skua_chan **c = (skua_chan **)arg;
    for (int i = 0; i < 300; i++) sk_put_int(c[1], sk_get_int(c[0]));
    return 0;
}

/* Two tasks, of one runtime or of two; a task and a thread; two threads. */
SK_TEST(chan_waits, tasks_and_threads_and_two_runtimes)
{
    skua_runtime *one = sk_runtime_of(1), *two = sk_runtime_of(2);
    skua_runtime *places[][2] = {{one, one}, {one, two}, {two, two}, {one, NULL}, {NULL, two}, {NULL, NULL}};
    for (size_t i = 0; i < sk_array_len(places); i++) {
        skua_chan *c[2] = {sk_ints(0), sk_ints(i % 2)};
        sk_party a = {.c = c[0]}, b = {.c = c[0]};
        a.is_task = places[i][0] != NULL;
        b.is_task = places[i][1] != NULL;
        a.is_task ? (void)(a.task = sk_spawn_on(places[i][0], ping, c)) : (void)(a.thread = sk_thread_of(ping, c));
        b.is_task ? (void)(b.task = sk_spawn_on(places[i][1], pong, c)) : (void)(b.thread = sk_thread_of(pong, c));
        (void)sk_party_end(&a);
        (void)sk_party_end(&b);
        SK_EXPECT_EQ(skua_chan_release(c[0]), 0);
        SK_EXPECT_EQ(skua_chan_release(c[1]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(one), 0);
    SK_EXPECT_EQ(skua_runtime_release(two), 0);
}

static int send_42(void *arg)
{
    int x = 42;
    return skua_chan_send((skua_chan *)arg, &x);
}

static int receive_in_a_blocking_call(void *arg)
{
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    int got = sk_get_int((skua_chan *)arg);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return got;
}

/* Between skua_blocking_begin and _end the thread counts as foreign: it blocks, and the other tasks go on. */
SK_TEST(chan_waits, in_a_blocking_call)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(0);
    int result = -1;
    skua_task t = sk_spawn_on(rt, receive_in_a_blocking_call, c);
    SK_EVENTUALLY(sk_receivers_in(c) == 1);
    SK_EXPECT_EQ(sk_run_on(rt, send_42, c), 0);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, 42);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who serves a waiter and then keeps its worker does not keep the other from going on. */
static int serve_and_stay(void *arg)
{
    sk_party *p = (sk_party *)arg;
    sk_put_int(p->c, 1);
    return sk_gate_hold(&p->ended, 1) ? 0 : -ETIME;
}

SK_TEST(chan_waits, who_is_woken_does_not_depend_on_who_woke_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) {
        sk_party p = {.c = sk_ints(0)};
        sk_party_waits_to_receive(&p, rt);
        SK_EXPECT_EQ(sk_run_on(rt, serve_and_stay, &p), 0);
        SK_EXPECT_EQ(sk_party_end(&p), 0);
        SK_EXPECT_EQ(skua_chan_release(p.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- many at once ---- */

/* More than a close wakes with one hold of the lock, tasks and threads: all get the same answer. */
static void close_wakes_all(skua_runtime *rt, bool sends, int n)
{
    skua_chan *c = sk_ints(0);
    sk_party *p = (sk_party *)calloc((size_t)n, sizeof *p);
    SK_EXPECT(p != NULL);
    for (int i = 0; i < n; i++) {
        p[i].c = c;
        p[i].value = i + 1;
        sk_party_go(&p[i], i % 16 ? rt : NULL, sends ? sk_party_sends : sk_party_receives);
    }
    SK_EVENTUALLY((sends ? sk_senders_in(c) : sk_receivers_in(c)) == (size_t)n);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(sk_senders_in(c) + sk_receivers_in(c), 0);
    for (int i = 0; i < n; i++) {
        SK_EXPECT_EQ(sk_party_end(&p[i]), -EPIPE);
        SK_EXPECT_EQ(p[i].value, sends ? i + 1 : 0);
    }
    free(p);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

SK_TEST(chan_waits, close_wakes_all)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const int numbers[] = {1, 31, 32, 63, 64, 65, 130};
    for (size_t i = 0; i < sk_array_len(numbers); i++) {
        close_wakes_all(rt, false, numbers[i]);
        close_wakes_all(rt, true, numbers[i]);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct thief {
    skua_chan *c;
    int stolen; /* elements received after the close */
} thief;

static int steal_after_close(void *arg)
{
    thief *t = (thief *)arg;
    int x, result;
    while (!skua_chan_is_closed(t->c)) {
    }
    do {
        result = skua_chan_try_recv(t->c, &x);
        if (result == 0) t->stolen++;
    } while (result == 0);
    SK_EXPECT_EQ(result, -EPIPE);
    return 0;
}

/* A wait has been cancelled, and its task comes to leave the queue when the channel has been closed and released: it
   keeps the memory until then. */
SK_TEST(chan_waits, who_comes_too_late_to_be_closed_upon_has_the_channel_still)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        skua_chan *c = sk_ints(0), *next[4];
        sk_party p = {.c = c, .value = 9};
        sk_holder h = {0};
        sk_party_waits_to_receive(&p, rt);
        skua_task hog = sk_hold_worker(rt, &h); /* it cannot go on yet */
        SK_EXPECT_EQ(skua_cancel(p.task), 0);
        SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
        for (int k = 0; k < 4; k++) SK_EXPECT((next[k] = sk_ints(0)) != c);
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(sk_party_end(&p), -ECANCELED);
        SK_EXPECT_EQ(p.value, 9);
        for (int k = 0; k < 4; k++) SK_EXPECT_EQ(skua_chan_release(next[k]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Nor does it stand for a user who could see to those who wait. */
SK_TEST(chan_waits, not_released_under_who_waits_beside_one_who_leaves)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(0);
    sk_party p[3];
    sk_holder h = {0};
    int value = 5;
    for (int i = 0; i < 3; i++) {
        p[i] = (sk_party){.c = c};
        sk_party_go(&p[i], rt, sk_party_receives);
        SK_EVENTUALLY(sk_receivers_in(c) == (size_t)i + 1);
    }
    skua_task hog = sk_hold_worker(rt, &h);
    SK_EXPECT_EQ(skua_cancel(p[0].task), 0);
    SK_EXPECT_EQ(skua_chan_try_send(c, &value), 0); /* passes over the first */
    SK_EXPECT_EQ(skua_chan_release(c), -EBUSY);
    sk_let_worker_go(&h, hog);
    SK_EXPECT_EQ(sk_party_end(&p[0]), -ECANCELED);
    SK_EXPECT_EQ(sk_party_end(&p[1]), 0);
    SK_EXPECT_EQ(skua_chan_release(c), -EBUSY);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    SK_EXPECT_EQ(sk_party_end(&p[2]), -EPIPE);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Senders that wait when the channel is closed have failed, all of them: there is nothing to receive from them, though
   they are woken one batch after another. */
SK_TEST(chan_waits, close_fails_all_senders_at_once)
{
    enum { SENDERS = 200 };
    skua_runtime *rt = sk_runtime_of(1);
    static sk_party p[SENDERS];
    for (long round = sk_test_scaled(20); round > 0; round--) {
        thief t = {sk_ints(0), 0};
        for (int i = 0; i < SENDERS; i++) {
            p[i] = (sk_party){.c = t.c};
            sk_party_go(&p[i], rt, sk_party_sends);
        }
        SK_EVENTUALLY(sk_senders_in(t.c) == SENDERS);
        pthread_t thread = sk_thread_of(steal_after_close, &t);
        SK_EXPECT_EQ(skua_chan_close(t.c), 0);
        pthread_join(thread, NULL);
        for (int i = 0; i < SENDERS; i++) (void)sk_party_end(&p[i]);
        SK_EXPECT_EQ(t.stolen, 0);
        SK_EXPECT_EQ(skua_chan_release(t.c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a runtime that changes, and one that stops ---- */

static int send_many(void *arg)
{
    for (int i = 0; i < 2000; i++) sk_put_int((skua_chan *)arg, i);
    return 0;
}

static int sum_many(void *arg)
{
    int sum = 0;
    for (int i = 0; i < 2000; i++) sum += sk_get_int((skua_chan *)arg);
    return sum;
}

SK_TEST(chan_waits, traffic_while_the_runtime_is_resized)
{
    skua_runtime *rt = sk_runtime_of(4);
    skua_chan *c[2] = {sk_ints(0), sk_ints(3)};
    skua_task send[2], sum[2];
    for (int i = 0; i < 2; i++) {
        send[i] = sk_spawn_on(rt, send_many, c[i]);
        sum[i] = sk_spawn_on(rt, sum_many, c[i]);
    }
    for (uint32_t i = 0; i < 40; i++) {
        SK_EXPECT_EQ(skua_runtime_resize(rt, i % 4 + 1), 0);
        skua_sleep(SKUA_US(100));
    }
    for (int i = 0; i < 2; i++) {
        int result = -1;
        SK_EXPECT_EQ(skua_join_for(sum[i], SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, 2000 * 1999 / 2);
        SK_EXPECT_EQ(skua_join_for(send[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(c[i]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A stop wakes those who wait; a thread is none of its tasks, and waits on. */
SK_TEST(chan_waits, a_stopping_runtime_wakes_its_waiters)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_chan *c = sk_ints(0), *full = sk_ints(0);
    sk_party receivers[5], senders[5], thread = {.c = c};
    for (int i = 0; i < 5; i++) {
        receivers[i] = (sk_party){.c = c};
        senders[i] = (sk_party){.c = full};
        sk_party_waits_to_receive(&receivers[i], rt);
        sk_party_waits_to_send(&senders[i], rt);
    }
    sk_party_waits_to_receive(&thread, NULL);
    int error = skua_runtime_stop(rt, SKUA_MS(1));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        SK_EXPECT_EQ(sk_party_end(&receivers[i]), -ECANCELED);
        SK_EXPECT_EQ(sk_party_end(&senders[i]), -ECANCELED);
    }
    SK_EXPECT_EQ(sk_receivers_in(c), 1);
    SK_EXPECT_EQ(sk_senders_in(full), 0);
    sk_put_int(c, 4);
    SK_EXPECT_EQ(sk_party_end(&thread), 0);
    SK_EXPECT_EQ(thread.value, 4);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_release(full), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

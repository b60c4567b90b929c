/*
 * conformance/go_select.c: what the Go specification (Select statements) says,
 * sentence by sentence, and races in which Go's own implementation has once been
 * wrong: nobody may be told "none is ready" while one is.
 */
#include "support/channels.h"

#include "skua/select.h"

static int select_recv2(skua_chan *a, skua_chan *b, int *x)
{
    skua_case cases[] = {SKUA_CASE_RECV(a, x), SKUA_CASE_RECV(b, x)};
    return skua_select(cases, 2);
}

/* ---- which is chosen ---- */

/* "If one or more of the communications can proceed, a single one that can proceed is chosen": it alone is executed. */
SK_TEST(go_select, exactly_one_is_executed)
{
    for (int i = 0; i < 200; i++) {
        skua_chan *from = sk_ints(1), *also = sk_ints(1), *to = sk_ints(1), *full = sk_ints(1);
        int x = -1, y = -1, z = 3;
        sk_put_int(from, 1);
        sk_put_int(also, 2);
        sk_put_int(full, 9);
        skua_case cases[] = {SKUA_CASE_RECV(from, &x), SKUA_CASE_SEND(full, &z), SKUA_CASE_RECV(also, &y),
                             SKUA_CASE_SEND(to, &z)};
        for (int k = 0; k < 4; k++) cases[k].result = 77;
        int chosen = i % 2 ? skua_select(cases, 4) : skua_select_try(cases, 4);
        SK_EXPECT(chosen == 0 || chosen == 2 || chosen == 3);
        for (int k = 0; k < 4; k++) SK_EXPECT_EQ(cases[k].result, k == chosen ? 0 : 77);
        SK_EXPECT_EQ(x, chosen == 0 ? 1 : -1);
        SK_EXPECT_EQ(y, chosen == 2 ? 2 : -1);
        SK_EXPECT_EQ(skua_chan_len(from), chosen != 0);
        SK_EXPECT_EQ(skua_chan_len(also), chosen != 2);
        SK_EXPECT_EQ(skua_chan_len(to), chosen == 3);
        SK_EXPECT_EQ(skua_chan_len(full), 1);
        SK_EXPECT_EQ(z, 3);
        SK_EXPECT_EQ(skua_chan_release(from), 0);
        SK_EXPECT_EQ(skua_chan_release(also), 0);
        SK_EXPECT_EQ(skua_chan_release(to), 0);
        SK_EXPECT_EQ(skua_chan_release(full), 0);
    }
}

/* Is the count of one of n outcomes what it may be in so many rounds? Six standard deviations: once in 10^9 tests. */
static bool is_fair(long count, long rounds, long n)
{
    double mean = (double)rounds / (double)n, off = (double)count - mean;
    double variance = mean * (1 - 1 / (double)n);
    return off * off <= 36 * variance + 1;
}

/* One round over cases of all kinds that are ready: the channels are afterwards as before. */
static int draw(skua_chan *closed, skua_chan *from, skua_chan *to)
{
    int x = 0;
    skua_case cases[] = {SKUA_CASE_RECV(closed, &x), SKUA_CASE_RECV(NULL, &x), SKUA_CASE_SEND(to, &x),
                         SKUA_CASE_RECV(from, &x),   SKUA_CASE_RECV(to, &x),   SKUA_CASE_RECV(closed, NULL)};
    int chosen = skua_select(cases, 6);
    if (chosen == 2) (void)sk_get_int(to);
    if (chosen == 3) sk_put_int(from, x);
    return chosen;
}

static int draw_many(void *arg)
{
    long rounds = *(long *)arg, counts[6] = {0};
    skua_chan *closed = sk_ints(0), *from = sk_ints(1), *to = sk_ints(1);
    SK_EXPECT_EQ(skua_chan_close(closed), 0);
    sk_put_int(from, 4);
    for (long i = 0; i < rounds; i++) counts[draw(closed, from, to)]++;
    SK_EXPECT_EQ(counts[1] + counts[4], 0);
    for (int k = 0; k < 6; k++) {
        if (k == 1 || k == 4) continue;
        if (!is_fair(counts[k], rounds, 4)) fprintf(stderr, "case %d: %ld of %ld\n", k, counts[k], rounds);
        SK_EXPECT(is_fair(counts[k], rounds, 4));
    }
    SK_EXPECT_EQ(skua_chan_release(closed), 0);
    SK_EXPECT_EQ(skua_chan_release(from), 0);
    SK_EXPECT_EQ(skua_chan_release(to), 0);
    return 0;
}

/* "...chosen via a uniform pseudo-random selection."  10^6 rounds, from a task and from a thread. */
SK_TEST(go_select, uniform)
{
    long rounds = sk_test_scaled(500000);
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, draw_many, &rounds), 0);
    SK_EXPECT_EQ(draw_many(&rounds), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* No two draws hang together either: after each outcome, the next ones are as frequent as ever. */
SK_TEST(go_select, independent)
{
    enum { N = 3 };
    long rounds = sk_test_scaled(200000), after[N][N] = {{0}}, counts[N] = {0};
    skua_chan *closed = sk_signals(0);
    SK_EXPECT_EQ(skua_chan_close(closed), 0);
    skua_case cases[N] = {SKUA_CASE_RECV(closed, NULL), SKUA_CASE_RECV(closed, NULL), SKUA_CASE_SEND(closed, NULL)};
    int last = skua_select(cases, N);
    for (long i = 0; i < rounds; i++) {
        int chosen = skua_select(cases, N);
        counts[last]++;
        after[last][chosen]++;
        last = chosen;
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) SK_EXPECT(is_fair(after[i][k], counts[i], N));
    SK_EXPECT_EQ(skua_chan_release(closed), 0);
}

enum { BITS = 4000 };

static int send_bits(void *arg)
{
    skua_chan *c = (skua_chan *)arg;
    int zero = 0, one = 1;
    skua_case cases[] = {SKUA_CASE_SEND(c, &zero), SKUA_CASE_SEND(c, &one)};
    for (int i = 0; i < BITS; i++) {
        int chosen = skua_select(cases, 2);
        SK_EXPECT(chosen == 0 || chosen == 1);
    }
    return skua_chan_close(c);
}

/* The specification's example: "send random sequence of bits to c": for { select { case c <- 0: case c <- 1: } }.  With
   a buffer both are ready, as a rule; without, the one that stands first in the queue is taken when it had to wait. */
SK_TEST(go_select, a_random_sequence_of_bits)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int buffered = 0; buffered < 2; buffered++) {
        skua_chan *c = sk_ints(buffered ? BITS : 0);
        skua_task t = sk_spawn_on(rt, send_bits, c);
        if (buffered) SK_EXPECT_EQ(skua_join(t, NULL), 0);
        long ones = 0, n = 0;
        for (int x; skua_chan_recv(c, &x) == 0; n++) ones += x;
        SK_EXPECT_EQ(n, BITS);
        if (buffered) SK_EXPECT(is_fair(ones, BITS, 2));
        if (!buffered) SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- default, blocking, nil ---- */

/* "Otherwise, if there is a default case, that case is chosen." */
SK_TEST(go_select, default_when_none_can_proceed)
{
    skua_chan *empty = sk_ints(1), *full = sk_ints(1), *none = sk_ints(0);
    int x = 5;
    sk_put_int(full, 1);
    skua_case cases[] = {SKUA_CASE_RECV(empty, &x), SKUA_CASE_SEND(full, &x), SKUA_CASE_RECV(none, &x),
                         SKUA_CASE_SEND(none, &x), SKUA_CASE_RECV(NULL, &x)};
    SK_EXPECT_EQ(skua_select_try(cases, 5), -EAGAIN);
    SK_EXPECT_EQ(skua_select_for(cases, 5, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(x, 5);
    SK_EXPECT_EQ(skua_chan_len(empty) + skua_chan_len(none), 0);
    (void)sk_get_int(full);
    SK_EXPECT_EQ(skua_select_try(cases, 5), 1);
    SK_EXPECT_EQ(sk_get_int(full), 5);
    SK_EXPECT_EQ(skua_chan_release(empty), 0);
    SK_EXPECT_EQ(skua_chan_release(full), 0);
    SK_EXPECT_EQ(skua_chan_release(none), 0);
}

typedef struct selecting {
    skua_chan *a, *b, *to;
    int x, chosen, result;
    bool is_task;
    sk_gate ended;
} selecting;

static int select_three(void *arg)
{
    selecting *s = (selecting *)arg;
    skua_case cases[] = {SKUA_CASE_RECV(s->a, &s->x), SKUA_CASE_RECV(s->b, &s->x), SKUA_CASE_SEND(s->to, &s->x)};
    s->chosen = skua_select(cases, 3);
    s->result = s->chosen >= 0 ? cases[s->chosen].result : s->chosen;
    sk_gate_add(&s->ended);
    return 0;
}

/* "If there is no default case, the select statement blocks until at least one of the communications can proceed":
   whichever it is, by a partner, a buffer, or a close. */
SK_TEST(go_select, blocks_until_one_can_proceed)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int how = 0; how < 12; how++) {
        selecting s = {sk_ints(0), sk_ints(how / 2 % 2), sk_ints(0), 1000, -1, -1, how % 2, 0};
        sk_party p = {.c = s.a};
        int got = -1;
        s.is_task ? (void)(p.task = sk_spawn_on(rt, select_three, &s))
                  : (void)(p.thread = sk_thread_of(select_three, &s));
        p.is_task = s.is_task;
        SK_EVENTUALLY(sk_receivers_in(s.a) == 1 && sk_receivers_in(s.b) == 1 && sk_senders_in(s.to) == 1);
        SK_EXPECT_EQ(sk_gate_now(&s.ended), 0);
        int value = how + 1;
        switch (how / 2) {
        case 0:
            SK_EXPECT_EQ(skua_chan_try_send(s.a, &value), 0);
            break;
        case 1:
            SK_EXPECT_EQ(skua_chan_try_send(s.b, &value), 0);
            break;
        case 2:
            SK_EXPECT_EQ(skua_chan_try_recv(s.to, &got), 0);
            break;
        case 3:
            SK_EXPECT_EQ(skua_chan_close(s.a), 0);
            break;
        case 4:
            SK_EXPECT_EQ(skua_chan_close(s.b), 0);
            break;
        default:
            SK_EXPECT_EQ(skua_chan_close(s.to), 0);
            break;
        }
        (void)sk_party_end(&p);
        SK_EXPECT_EQ(s.chosen, how / 2 % 3);
        SK_EXPECT_EQ(s.result, how < 6 ? 0 : -EPIPE);
        SK_EXPECT_EQ(s.x, how < 4 ? value : how < 6 || how >= 10 ? 1000 : 0);
        SK_EXPECT_EQ(got, how / 2 == 2 ? 1000 : -1);
        SK_EXPECT_EQ(sk_receivers_in(s.a) + sk_receivers_in(s.b) + sk_senders_in(s.to), 0);
        SK_EXPECT_EQ(skua_chan_release(s.a), 0);
        SK_EXPECT_EQ(skua_chan_release(s.b), 0);
        SK_EXPECT_EQ(skua_chan_release(s.to), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int select_nothing(void *arg)
{
    size_t n = *(size_t *)arg;
    int x = 0;
    skua_case cases[] = {SKUA_CASE_RECV(NULL, &x), SKUA_CASE_SEND(NULL, &x), SKUA_CASE_SEND(NULL, NULL)};
    return skua_select(n ? cases : NULL, n);
}

/* "A select with only nil channels and no default case blocks forever", and so does select {}; until it is cancelled.
 */
SK_TEST(go_select, with_nil_channels_only_and_empty)
{
    skua_runtime *rt = sk_runtime_of(1);
    int x = 0;
    for (size_t n = 0; n <= 3; n += 3) {
        skua_task t = sk_spawn_on(rt, select_nothing, &n);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(5), NULL), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_cancel(t), 0);
        int result = 0;
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -ECANCELED);
    }
    skua_case nil[] = {SKUA_CASE_RECV(NULL, &x)};
    SK_EXPECT_EQ(skua_select_try(nil, 1), -EAGAIN);
    SK_EXPECT_EQ(skua_select_for(nil, 1, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_select_try(NULL, 0), -EAGAIN);
    SK_EXPECT_EQ(skua_select_for(NULL, 0, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A case is switched off by a nil channel: the usual way to merge two channels until both are closed. */
SK_TEST(go_select, a_case_is_switched_off)
{
    skua_chan *a = sk_ints(3), *b = sk_ints(3);
    for (int i = 0; i < 3; i++) {
        sk_put_int(a, i);
        sk_put_int(b, i + 3);
    }
    SK_EXPECT_EQ(skua_chan_close(a), 0);
    SK_EXPECT_EQ(skua_chan_close(b), 0);
    int sum = 0, x;
    skua_case cases[] = {SKUA_CASE_RECV(a, &x), SKUA_CASE_RECV(b, &x)};
    while (cases[0].chan || cases[1].chan) {
        int chosen = skua_select(cases, 2);
        if (cases[chosen].result == -EPIPE)
            cases[chosen].chan = NULL;
        else
            sum += x;
    }
    SK_EXPECT_EQ(sum, 15);
    SK_EXPECT_EQ(skua_chan_release(a), 0);
    SK_EXPECT_EQ(skua_chan_release(b), 0);
}

/* ---- closed channels ---- */

/* A receive from a closed channel proceeds with the zero value; a send to it panics in Go: its case is chosen, and its
   result says so. */
SK_TEST(go_select, on_closed_channels)
{
    skua_chan *c = sk_ints(1);
    int x = 8, y = 9;
    sk_put_int(c, 4);
    SK_EXPECT_EQ(skua_chan_close(c), 0);
    skua_case recv[] = {SKUA_CASE_RECV(c, &x)}, send[] = {SKUA_CASE_RECV(NULL, NULL), SKUA_CASE_SEND(c, &y)};
    SK_EXPECT_EQ(skua_select(recv, 1), 0);
    SK_EXPECT_EQ(recv[0].result, 0);
    SK_EXPECT_EQ(x, 4);
    SK_EXPECT_EQ(skua_select(recv, 1), 0);
    SK_EXPECT_EQ(recv[0].result, -EPIPE);
    SK_EXPECT_EQ(x, 0);
    SK_EXPECT_EQ(skua_select_try(send, 2), 1);
    SK_EXPECT_EQ(send[1].result, -EPIPE);
    SK_EXPECT_EQ(skua_select_for(send, 2, SKUA_S(1)), 1);
    SK_EXPECT_EQ(y, 9);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* ---- the same channel more than once ---- */

typedef struct self {
    skua_chan *c;
    int me, rounds;
    skua_chan *end;
} self;

static int send_or_receive(void *arg)
{
    self *s = (self *)arg;
    for (int i = 0; i < s->rounds; i++) {
        int mine = s->me, got = -1;
        skua_case cases[] = {SKUA_CASE_SEND(s->c, &mine), SKUA_CASE_RECV(s->c, &got), SKUA_CASE_RECV(s->end, NULL)};
        skua_case turned[] = {cases[1], cases[0], cases[2]};
        int chosen = i % 2 ? skua_select(cases, 3) : skua_select(turned, 3);
        if (chosen == 2) return 0;
        if ((chosen == 1) == (i % 2 == 1) && skua_chan_cap(s->c) == 0) SK_EXPECT_EQ(got, 1 - s->me);
    }
    return skua_chan_close(s->end);
}

/* Two that both send to and receive from one channel in one select: nobody receives what he sent himself, unless it lay
   in the buffer, and neither gets stuck. */
SK_TEST(go_select, a_send_and_a_receive_on_one_channel)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (size_t capacity = 0; capacity <= 10; capacity += 5) {
            self s[2];
            skua_task t[2];
            skua_chan *c = sk_ints(capacity), *end[2] = {sk_signals(0), sk_signals(0)};
            for (int i = 0; i < 2; i++) s[i] = (self){c, i, 500, end[i]};
            for (int i = 0; i < 2; i++) t[i] = sk_spawn_on(rt, send_or_receive, &s[i]);
            /* The first to have done its rounds leaves the other one without a partner. */
            skua_case done[] = {SKUA_CASE_RECV(end[0], NULL), SKUA_CASE_RECV(end[1], NULL)};
            int first = skua_select_for(done, 2, SKUA_MS(SK_PATIENCE_MS));
            SK_EXPECT(first == 0 || first == 1);
            int error = skua_chan_close(end[1 - first]);
            SK_EXPECT(error == 0 || error == -EALREADY);
            for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_chan_release(end[i]), 0);
            SK_EXPECT_EQ(skua_chan_release(c), 0);
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

typedef struct choice {
    skua_chan *c[5];
    size_t n;
    int got[5], chosen;
} choice;

static int choose_one(void *arg)
{
    choice *o = (choice *)arg;
    skua_case cases[5];
    for (size_t i = 0; i < o->n; i++) cases[i] = (skua_case)SKUA_CASE_RECV(o->c[i], &o->got[i]);
    o->chosen = skua_select(cases, o->n);
    return 0;
}

/* The same channel in several cases: one of them gets it; and one that leaves the queue of a channel leaves the others
   there alone. */
SK_TEST(go_select, duplicate_channels)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c = sk_ints(0), *d = sk_ints(0), *e = sk_ints(0);
    choice first = {{c, c, d, c, e}, 5, {0}, -1};
    sk_party second = {.c = c};
    skua_task t = sk_spawn_on(rt, choose_one, &first);
    SK_EVENTUALLY(sk_receivers_in(c) == 3 && sk_receivers_in(d) == 1 && sk_receivers_in(e) == 1);
    sk_party_waits_to_receive(&second, rt);
    sk_put_int(e, 9);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(first.chosen, 4);
    SK_EXPECT_EQ(first.got[4], 9);
    SK_EXPECT_EQ(sk_receivers_in(c), 1);
    sk_put_int(c, 8);
    SK_EXPECT_EQ(sk_party_end(&second), 0);
    SK_EXPECT_EQ(second.value, 8);
    t = sk_spawn_on(rt, choose_one, &first);
    SK_EVENTUALLY(sk_receivers_in(c) == 3 && sk_receivers_in(e) == 1);
    sk_put_int(c, 7);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT(first.chosen == 0 || first.chosen == 1 || first.chosen == 3);
    SK_EXPECT_EQ(first.got[first.chosen], 7);
    for (int i = 0; i < 4; i++)
        if (i != first.chosen) SK_EXPECT_EQ(first.got[i], 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_chan_release(d), 0);
    SK_EXPECT_EQ(skua_chan_release(e), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- one is always ready ---- */

typedef struct either {
    skua_chan *a, *b;
} either;

static int take_one_of_two(void *arg)
{
    either *e = (either *)arg;
    int x;
    skua_case cases[] = {SKUA_CASE_RECV(e->a, &x), SKUA_CASE_RECV(e->b, &x)};
    SK_EXPECT(skua_select_try(cases, 2) >= 0);
    return 0;
}

/* There is an element in a, and before that is taken there is one in b, or b is closed. So a default is never chosen.
 */
static void always_one(skua_runtime *rt, bool close)
{
    for (long i = sk_test_scaled(3000); i > 0; i--) {
        either e = {sk_ints(1), sk_ints(close ? 0 : 1)}, turned = {e.b, e.a};
        sk_put_int(e.a, 1);
        skua_task t = sk_spawn_on(rt, take_one_of_two, i % 2 ? &e : &turned);
        if (close)
            SK_EXPECT_EQ(skua_chan_close(e.b), 0);
        else
            sk_put_int(e.b, 1);
        int error = skua_chan_try_recv(e.a, NULL);
        SK_EXPECT(error == 0 || error == -EAGAIN);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_chan_release(e.a), 0);
        SK_EXPECT_EQ(skua_chan_release(e.b), 0);
    }
}

SK_TEST(go_select, a_default_races_with_an_element_elsewhere)
{
    skua_runtime *rt = sk_runtime_of(2);
    always_one(rt, false);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(go_select, a_default_races_with_a_close)
{
    skua_runtime *rt = sk_runtime_of(2);
    always_one(rt, true);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- many that meet ---- */

typedef struct meeting {
    skua_chan *c[4];
    int rounds;
    int order; /* of its cases */
    bool sends;
} meeting;

static int meet(void *arg)
{
    meeting *m = (meeting *)arg;
    for (int i = 0; i < m->rounds; i++) {
        skua_case cases[4];
        int x = i;
        for (int k = 0; k < 4; k++) {
            skua_chan *c = m->c[(m->order >> 2 * k) & 3];
            cases[k] = (skua_case){c, m->sends ? SKUA_SEND : SKUA_RECV, &x, 1};
        }
        int chosen = skua_select(cases, 4);
        SK_EXPECT(chosen >= 0 && chosen < 4);
        SK_EXPECT_EQ(cases[chosen].result, 0);
    }
    return 0;
}

/* Senders and receivers that all select over the same channels, each in another order: all of them come through. */
SK_TEST(go_select, many_selects_meet)
{
    static const int orders[] = {0xe4, 0x1b, 0x93, 0x4e, 0x39, 0xb1};
    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (size_t capacity = 0; capacity < 2; capacity++) {
            meeting m[12] = {0};
            skua_task t[12];
            for (int k = 0; k < 4; k++) m[0].c[k] = sk_ints(capacity);
            for (int i = 0; i < 12; i++) {
                m[i] = m[0];
                m[i].rounds = 150;
                m[i].order = orders[i / 2];
                m[i].sends = i % 2;
                t[i] = sk_spawn_on(rt, meet, &m[i]);
            }
            for (int i = 0; i < 12; i++) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            for (int k = 0; k < 4; k++) {
                SK_EXPECT_EQ(skua_chan_len(m[0].c[k]), 0);
                SK_EXPECT_EQ(skua_chan_release(m[0].c[k]), 0);
            }
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

typedef struct stream {
    skua_chan *c, *quit;
} stream;

static int keep_sending(void *arg)
{
    stream *s = (stream *)arg;
    int x = 1;
    skua_case cases[] = {SKUA_CASE_SEND(s->c, &x), SKUA_CASE_RECV(s->quit, NULL)};
    while (skua_select(cases, 2) == 0) {
    }
    return 0;
}

static int hear_both(void *arg)
{
    stream *s = (stream *)arg;
    int x;
    for (int heard[2] = {0, 0}; heard[0] < 100 || heard[1] < 100;) heard[select_recv2(s[0].c, s[1].c, &x)]++;
    return skua_chan_close(s[0].quit);
}

/* Two that send all the time, into one select: neither is left out, whatever the buffers and the workers. */
SK_TEST(go_select, nobody_starves)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (size_t capacity = 0; capacity < 3; capacity++) {
            stream s[2] = {{sk_ints(capacity), sk_signals(0)}, {sk_ints(capacity), NULL}};
            s[1].quit = s[0].quit;
            skua_task t[3] = {sk_spawn_on(rt, keep_sending, &s[0]), sk_spawn_on(rt, keep_sending, &s[1]),
                              sk_spawn_on(rt, hear_both, s)};
            for (int i = 2; i >= 0; i--) SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            SK_EXPECT_EQ(skua_chan_release(s[0].c), 0);
            SK_EXPECT_EQ(skua_chan_release(s[1].c), 0);
            SK_EXPECT_EQ(skua_chan_release(s[0].quit), 0);
        }
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

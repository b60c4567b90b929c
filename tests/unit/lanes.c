/* unit/lanes.c: lanes: order, turns, and what their tasks may do. */
#include "support/pools.h"

#include <string.h>

static skua_lanes *lanes_with(const skua_lanes_options *o)
{
    skua_lanes *lanes = NULL;
    SK_EXPECT_EQ(skua_lanes_create(&lanes, o), 0);
    SK_EXPECT(lanes != NULL);
    return lanes;
}

#define LANES(...) lanes_with(&(skua_lanes_options){__VA_ARGS__})

/* A snapshot, which must add up. */
static skua_pool_counts counts_of(skua_lanes *lanes)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_lanes_stats(lanes, &c), 0);
    SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    return c;
}

static void await(skua_lanes *lanes)
{
    SK_EXPECT_EQ(skua_lanes_wait(lanes, SKUA_MS(SK_PATIENCE_MS)), 0);
}

/* Keys of n lanes, all different. */
static void find_keys(skua_lanes *lanes, uint64_t *keys, int n)
{
    uint64_t key = 0;
    for (int i = 0; i < n; key++) {
        bool used = false;
        for (int k = 0; k < i; k++) used |= skua_lanes_of_key(lanes, keys[k]) == skua_lanes_of_key(lanes, key);
        if (!used) keys[i++] = key;
    }
}

/* ---- order ---- */

enum { WRITERS = 3 };

/* A lane that several submit to. */
typedef struct book {
    sk_atomic(uint32_t) inside;
    int next[WRITERS]; /* plain: the lane is its lock */
    int total;
} book;

typedef struct line {
    book *book;
    int writer, number, nap;
} line;

static int write_line(void *arg)
{
    line *l = arg;
    SK_EXPECT_EQ(sk_add_ar(&l->book->inside, 1u), 0);
    SK_EXPECT_EQ(l->book->next[l->writer], l->number);
    if (l->nap) skua_sleep(SKUA_US(10));
    l->book->next[l->writer]++;
    l->book->total++;
    SK_EXPECT_EQ(sk_sub_ar(&l->book->inside, 1u), 1);
    return 0;
}

typedef struct writer {
    skua_lanes *lanes;
    book *books;
    line *lines;
    int id, keys, n;
} writer;

static int write_lines(void *arg)
{
    writer *w = arg;
    for (int i = 0; i < w->n; i++) {
        int key = i % w->keys;
        w->lines[i] = (line){&w->books[key], w->id, i / w->keys, i % 37 == 0};
        SK_EXPECT_EQ(skua_lanes_submit(w->lanes, (uint64_t)key, write_line, &w->lines[i]), 0);
    }
    return 0;
}

static void *write_as_thread(void *arg)
{
    write_lines(arg);
    return NULL;
}

/* Two threads and a task write into as many lanes as said, through a pool with such a limit. */
static void write_books(uint32_t workers, uint32_t limit, int keys, bool with_pool)
{
    enum { MOST_KEYS = 20 };
    skua_runtime *rt = sk_runtime_of(workers);
    skua_pool *pool = with_pool ? SK_POOL(.runtime = rt, .limit = limit, .queue = 4) : NULL;
    skua_lanes *lanes = LANES(.pool = pool, .runtime = rt);
    int n = (int)sk_test_scaled(3000) / keys * keys + keys;
    book *books = calloc(MOST_KEYS, sizeof *books);
    line *lines = calloc((size_t)(WRITERS * n), sizeof *lines);
    writer w[WRITERS];
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) w[i] = (writer){lanes, books, &lines[i * n], i, keys, n};
    for (int i = 1; i < WRITERS; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, write_as_thread, &w[i]), 0);
    SK_EXPECT_EQ(sk_run_on(rt, write_lines, &w[0]), 0);
    for (int i = 1; i < WRITERS; i++) pthread_join(threads[i], NULL);
    await(lanes);
    for (int k = 0; k < keys; k++) SK_EXPECT_EQ(books[k].total, WRITERS * n / keys);
    skua_pool_counts c = counts_of(lanes);
    SK_EXPECT_EQ(c.done, (uint64_t)(WRITERS * n));
    SK_EXPECT_EQ(c.queued + c.running, 0);
    if (pool) SK_EXPECT_EQ(sk_counts_of(pool).done, (uint64_t)(WRITERS * n));
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    if (pool) SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    free(books);
    free(lines);
}

SK_TEST(lanes, order_and_one_at_a_time_in_one_lane)
{
    write_books(1, 0, 1, false);
    write_books(3, 1, 1, true);
    write_books(3, 5, 1, true);
}

SK_TEST(lanes, order_and_one_at_a_time_in_many_lanes)
{
    write_books(3, 0, 20, false);
    write_books(3, 0, 20, true);
    write_books(3, 1, 20, true);
    write_books(3, 2, 20, true);
    write_books(2, 7, 20, true);
}

/* ---- turns ---- */

/* Who ran, in order. */
typedef struct diary {
    sk_gate n;
    char who[400];
} diary;

typedef struct note {
    diary *diary;
    char name;
} note;

static int take_note(void *arg)
{
    note *n = arg;
    n->diary->who[sk_add_ar(&n->diary->n, 1u)] = n->name;
    return 0;
}

/* The pool has one place, and one that stays in it while all get in line. */
static bool lanes_take_turns(skua_runtime *rt)
{
    enum { EACH = 50 };
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_lanes *lanes = LANES(.pool = pool);
    uint64_t keys[3];
    diary d = {0};
    note notes[3] = {{&d, 'a'}, {&d, 'b'}, {&d, 'c'}};
    sk_stay stay = {0};
    find_keys(lanes, keys, 3);
    sk_occupy(pool, &stay, 1);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < EACH; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, keys[k], take_note, &notes[k]), 0);
    SK_EVENTUALLY(sk_pool_stands_at(pool, 1, 3 * EACH));
    sk_gate_add(&stay.leave);
    await(lanes);
    bool in_turn = true;
    for (int i = 0; i < 3 * EACH; i += 3) /* each once in three */
        in_turn &= memchr(&d.who[i], 'a', 3) && memchr(&d.who[i], 'b', 3) && memchr(&d.who[i], 'c', 3);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return in_turn;
}

/* One who loses his processor with the turn of the others in his hand lets one lane go on meanwhile: seldom, with one
   worker. */
SK_TEST(lanes, lanes_of_a_full_pool_take_turns)
{
    skua_runtime *rt = sk_runtime_of(1);
    int in_turn = 0, tries = 0;
    while (in_turn < 3 && tries++ < 30) in_turn += lanes_take_turns(rt);
    SK_EXPECT_EQ(in_turn, 3);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A lane with much to do, beside tasks of the pool itself and of another family. One worker: with two, one of them may
   stand still with the turn of the others in its hand, and the lane goes on meanwhile. So it may, seldom, when the
   monitor has put that elsewhere, since the only one stood still. */
static bool leaves_turns(skua_runtime *rt)
{
    enum { MANY = 200, FEW = 20 };
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_lanes *lanes = LANES(.pool = pool);
    skua_lane *lane = NULL;
    diary d = {0};
    note busy = {&d, 'x'}, plain = {&d, 'p'}, other = {&d, 'o'};
    sk_stay stay = {0};
    SK_EXPECT_EQ(skua_lane_create(&lane, pool), 0);
    sk_occupy(pool, &stay, 1);
    for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, 7, take_note, &busy), 0);
    for (int i = 0; i < FEW; i++) SK_EXPECT_EQ(skua_pool_submit(pool, take_note, &plain), 0);
    for (int i = 0; i < FEW; i++) SK_EXPECT_EQ(skua_lane_submit(lane, take_note, &other), 0);
    SK_EVENTUALLY(sk_pool_stands_at(pool, 1, MANY + 2 * FEW));
    sk_gate_add(&stay.leave);
    sk_pool_await(pool);
    int left = 0;
    for (int i = 0; i < MANY + 2 * FEW; i++)
        left += d.who[i] == 'x' && memchr(&d.who[i], 'p', sizeof d.who - (size_t)i);
    bool fair = left <= 2 * FEW; /* at most two of the lane for each of the pool's */
    left = 0;
    for (int i = 0; i < MANY + 2 * FEW; i++)
        left += d.who[i] == 'x' && memchr(&d.who[i], 'o', sizeof d.who - (size_t)i);
    fair = fair && left <= 3 * FEW;
    SK_EXPECT_EQ(skua_lane_release(lane), 0);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return fair;
}

SK_TEST(lanes, a_busy_lane_leaves_turns_to_others_of_the_pool)
{
    skua_runtime *rt = sk_runtime_of(1);
    bool fair = false;
    for (int tries = 0; tries < 20 && !fair; tries++) fair = leaves_turns(rt);
    SK_EXPECT(fair);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Its queue is full, and whoever submits is refused: not so a lane, which has its own place in line. */
SK_TEST(lanes, a_full_queue_of_the_pool_does_not_matter)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_REFUSE);
    skua_lanes *lanes = LANES(.pool = pool);
    sk_stay stay = {0};
    sk_gate ran = 0;
    sk_occupy(pool, &stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), -EAGAIN);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, (uint64_t)i, sk_open, &ran), 0);
    SK_EXPECT_EQ(counts_of(lanes).queued, 100);
    sk_gate_add(&stay.leave);
    await(lanes);
    SK_EXPECT(sk_gate_await(&ran, 101));
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(lanes, a_limit_of_their_own)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_lanes *lanes = LANES(.runtime = rt, .limit = 3, .lanes = 64);
    sk_crowd crowd = {.nap = SKUA_US(30)};
    uint64_t keys[20];
    find_keys(lanes, keys, 20);
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, keys[i % 20], sk_join_crowd, &crowd), 0);
    SK_EXPECT_EQ(counts_of(lanes).limit, 3);
    await(lanes);
    SK_EXPECT_EQ(sk_gate_now(&crowd.ran), 1000);
    SK_EXPECT(crowd.most <= 3);
    SK_EXPECT_EQ(counts_of(lanes).free, 3);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(lanes, a_bound_on_what_is_accepted)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    skua_lanes *lanes = LANES(.pool = pool, .queued_most = 10);
    for (uint64_t round = 0; round < 3; round++) {
        SK_EXPECT_EQ(skua_lanes_pause(lanes), 0);
        for (uint64_t i = 0; i < 10; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, i, sk_give_0, NULL), 0);
        for (uint64_t i = 0; i < 10; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, i, sk_give_0, NULL), -EAGAIN);
        SK_EXPECT_EQ(counts_of(lanes).refused, 10 * (round + 1));
        SK_EXPECT_EQ(counts_of(lanes).queued, 10);
        SK_EXPECT_EQ(skua_lanes_resume(lanes), 0);
        await(lanes);
        SK_EXPECT_EQ(counts_of(lanes).submitted, 10 * (round + 1));
    }
    sk_stay stay = {0}; /* what runs counts, too */
    for (uint64_t i = 0; i < 10; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_give_0, NULL), -EAGAIN);
    sk_gate_add(&stay.leave);
    await(lanes);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 40);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- what a task of a lane may do ---- */

typedef struct failure {
    int n;
    sk_gate ran;
} failure;

static int fails_by_turns(void *arg)
{
    failure *f = arg;
    int n = f->n++; /* plain: one at a time */
    sk_gate_add(&f->ran);
    if (n % 3 == 1) skua_panic_task("the %d-th", n);
    if (n % 3 == 2) skua_sleep(SKUA_US(20));
    return n % 3 == 2 ? -EIO : 0;
}

SK_TEST(lanes, a_lane_goes_on_after_a_failure)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    for (int k = 0; k < 2; k++) {
        skua_lane *lane = NULL;
        failure f = {0};
        SK_EXPECT_EQ(skua_lane_create(&lane, k ? pool : NULL), 0);
        for (int i = 0; i < 300; i++) SK_EXPECT_EQ(skua_lane_submit(lane, fails_by_turns, &f), 0);
        SK_EXPECT_EQ(skua_lane_wait(lane, SKUA_MS(SK_PATIENCE_MS)), 0);
        skua_pool_counts c;
        SK_EXPECT_EQ(skua_lane_stats(lane, &c), 0);
        SK_EXPECT_EQ(f.n, 300);
        SK_EXPECT_EQ(c.done, 100);
        SK_EXPECT_EQ(c.failed, 200);
        SK_EXPECT_EQ(skua_lane_release(lane), 0);
    }
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 200);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

typedef struct inside {
    skua_lanes *lanes;
    skua_pool *pool;
    sk_gate ran;
    int wait, wait_for_pool, release, stop, after;
} inside;

static int look_around(void *arg)
{
    inside *in = arg;
    for (int i = 0; i < 50; i++) SK_EXPECT_EQ(skua_lanes_submit(in->lanes, 5, sk_open, &in->ran), 0);
    SK_EXPECT_EQ(sk_gate_now(&in->ran), 0); /* they come after us */
    in->wait = skua_lanes_wait(in->lanes, SKUA_FOREVER);
    in->wait_for_pool = skua_pool_wait(in->pool, SKUA_FOREVER);
    in->release = skua_lanes_release(in->lanes);
    in->stop = skua_lanes_stop(in->lanes, SKUA_FOREVER);
    in->after = skua_lanes_submit(in->lanes, 5, sk_open, &in->ran);
    return 0;
}

SK_TEST(lanes, a_task_of_a_lane_submits_to_it_and_does_not_wait_for_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1);
    inside in = {.lanes = LANES(.pool = pool), .pool = pool};
    SK_EXPECT_EQ(skua_lanes_submit(in.lanes, 5, look_around, &in), 0);
    await(in.lanes);
    SK_EXPECT_EQ(in.wait, -EDEADLK);
    SK_EXPECT_EQ(in.wait_for_pool, -EDEADLK);
    SK_EXPECT_EQ(in.release, -EDEADLK);
    SK_EXPECT_EQ(in.stop, -EDEADLK); /* but it refuses from now on */
    SK_EXPECT_EQ(in.after, -ESHUTDOWN);
    SK_EXPECT_EQ(sk_gate_now(&in.ran), 50);
    SK_EXPECT_EQ(skua_lanes_restart(in.lanes), 0);
    SK_EXPECT_EQ(skua_lanes_submit(in.lanes, 5, sk_open, &in.ran), 0);
    SK_EXPECT_EQ(skua_lanes_release(in.lanes), 0);
    SK_EXPECT_EQ(sk_gate_now(&in.ran), 51);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- cancelling ---- */

/* What runs is asked, what is queued behind it never starts; whoever asks, the lanes or the pool. */
SK_TEST(lanes, cancelling_reaches_what_waits_in_a_lane)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int of_pool = 0; of_pool < 2; of_pool++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
        skua_lanes *lanes = LANES(.pool = pool);
        sk_stay stay = {0};
        sk_gate ran = 0;
        SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_stays, &stay), 0);
        SK_EXPECT(sk_gate_await(&stay.slept, 1));
        for (int i = 0; i < 20; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_open, &ran), 0);
        SK_EXPECT_EQ(of_pool ? skua_pool_cancel(pool) : skua_lanes_cancel(lanes), 21);
        await(lanes);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(counts_of(lanes).cancelled, 21);
        SK_EXPECT_EQ(sk_counts_of(pool).cancelled, 21);
        SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_open, &ran), 0); /* it stays open */
        SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the end ---- */

SK_TEST(lanes, stop_drains_and_stop_now_drops)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int of_pool = 0; of_pool < 2; of_pool++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 3);
        skua_lanes *lanes = LANES(.pool = pool);
        sk_stay stay[2] = {{.left = 0}};
        sk_gate ran = 0;
        for (int now = 0; now < 2; now++) {
            SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_stays, &stay[now]), 0);
            SK_EXPECT(sk_gate_await(&stay[now].entered, 1));
            for (int i = 0; i < 30; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_open, &ran), 0);
            SK_EXPECT_EQ(now       ? of_pool ? skua_pool_stop_now(pool, 0) : skua_lanes_stop_now(lanes, 0)
                               : of_pool ? skua_pool_stop(pool, 0)
                                   : skua_lanes_stop(lanes, 0),
                         -ETIMEDOUT);
            SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_open, &ran), -ESHUTDOWN);
            sk_gate_add(&stay[now].leave);
            SK_EXPECT_EQ(of_pool ? skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS))
                                 : skua_lanes_stop(lanes, SKUA_MS(SK_PATIENCE_MS)),
                         0);
            SK_EXPECT_EQ(sk_gate_now(&ran), 30);
            SK_EXPECT_EQ(of_pool ? skua_pool_restart(pool) : skua_lanes_restart(lanes), 0);
        }
        skua_pool_counts c = counts_of(lanes);
        SK_EXPECT_EQ(c.done, 32);
        SK_EXPECT_EQ(c.dropped, 30);
        SK_EXPECT_EQ(sk_counts_of(pool).dropped, 30);
        SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), -EBUSY);
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 31);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What is queued in lanes, none of it started, ends as dropped at once: a thousand behind one head, too. */
SK_TEST(lanes, stop_now_drops_what_waits_for_a_place)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_lanes *lanes = LANES(.pool = pool);
    sk_stay stay = {0};
    sk_occupy(pool, &stay, 1);
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, (uint64_t)i % 3, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_lanes_stop_now(lanes, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(counts_of(lanes).dropped, 1000);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 0));
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A runtime that stops cancels what runs and drops what is queued, in lanes too. */
SK_TEST(lanes, the_end_of_the_runtime)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    skua_lanes *lanes = LANES(.pool = pool);
    sk_stay stay = {0};
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    for (int i = 0; i < 50; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, (uint64_t)i % 2 * 3, sk_give_0, NULL), 0);
    SK_EVENTUALLY(counts_of(lanes).done == 25);
    for (int tries = 0; tries < 3 && skua_runtime_stop(rt, 0);)
        tries += skua_runtime_stop(rt, SKUA_MS(SK_PATIENCE_MS)) != 0;
    skua_pool_counts c = counts_of(lanes);
    SK_EXPECT_EQ(c.done + c.dropped + c.cancelled, 51);
    SK_EXPECT_EQ(c.done, 25);
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 3, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- what nobody should do ---- */

enum { CALLS = 11 };

static void call_all(skua_lanes *lanes, int answers[CALLS])
{
    skua_pool_counts c;
    int i = 0;
    answers[i++] = skua_lanes_submit(lanes, 1, sk_give_0, NULL);
    answers[i++] = skua_lanes_wait(lanes, 0);
    answers[i++] = (int)skua_lanes_cancel(lanes);
    answers[i++] = skua_lanes_pause(lanes);
    answers[i++] = skua_lanes_resume(lanes);
    answers[i++] = skua_lanes_stats(lanes, &c);
    answers[i++] = skua_lanes_of_key(lanes, 1) < 0 ? skua_lanes_of_key(lanes, 1) : 0;
    answers[i++] = skua_lanes_stop(lanes, 0);
    answers[i++] = skua_lanes_stop_now(lanes, 0);
    answers[i++] = skua_lanes_restart(lanes);
    answers[i++] = skua_lanes_release(lanes);
}

SK_TEST(lanes, every_call_without_lanes_or_too_late)
{
    int answers[CALLS];
    skua_runtime *rt = sk_runtime_of(1);
    call_all(NULL, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], -EINVAL);
    skua_lanes *lanes = LANES(.runtime = rt);
    SK_EXPECT_EQ(skua_lanes_stop(lanes, SKUA_FOREVER), 0);
    call_all(lanes, answers); /* releases them */
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], i < 1 ? -ESHUTDOWN : 0);
    call_all(lanes, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(lanes, options_out_of_range)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt), *gone = SK_POOL(.runtime = rt);
    skua_lanes *lanes = (skua_lanes *)rt;
    SK_EXPECT_EQ(skua_pool_release(gone), 0);
    SK_EXPECT_EQ(skua_lanes_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_lane_create(NULL, pool), -EINVAL);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.lanes = SKUA_LANES_MAX + 1}), -ERANGE);
    SK_EXPECT(lanes == NULL);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.queued_most = SKUA_POOL_QUEUE_MAX + 1}), -EOVERFLOW);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool, .limit = UINT32_MAX}), -ERANGE);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool, .runtime = other}), -ENOTSUP);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = gone}), -ESHUTDOWN);
    SK_EXPECT(lanes == NULL);
    lanes = LANES(.pool = pool, .lanes = 5);
    for (uint64_t key = 0; key < 1000; key++) SK_EXPECT(skua_lanes_of_key(lanes, key) < 8);
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_lanes_stats(lanes, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    lanes = LANES(.pool = pool, .lanes = SKUA_LANES_MAX);
    for (uint64_t key = 0; key < 1000; key++) SK_EXPECT_EQ(skua_lanes_submit(lanes, key, sk_give_0, NULL), 0);
    await(lanes);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

/* Neighbours go to lanes of their own about as often as chance would have it: of 1024 keys in 1024 lanes 647 are hit.
 */
SK_TEST(lanes, keys_are_spread_well)
{
    static bool hit[3][1024];
    skua_lanes *lanes = LANES(.lanes = 1024);
    for (uint64_t i = 0; i < 1024; i++) {
        hit[0][skua_lanes_of_key(lanes, i)] = true;
        hit[1][skua_lanes_of_key(lanes, i << 12)] = true;
        hit[2][skua_lanes_of_key(lanes, i << 54)] = true;
    }
    for (int k = 0; k < 3; k++) {
        int n = 0;
        for (int i = 0; i < 1024; i++) n += hit[k][i];
        SK_EXPECT(n > 600 && n < 700);
    }
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* ---- all at once ---- */

typedef struct storm {
    skua_lanes *lanes;
    sk_gate ran, accepted;
} storm;

static void *submit_until_stopped(void *arg)
{
    storm *s = arg;
    uint64_t key = 0;
    for (int error = 0; error != -ESHUTDOWN; key++) {
        error = skua_lanes_submit(s->lanes, key % 5, sk_open, &s->ran);
        if (!error) sk_gate_add(&s->accepted);
    }
    return NULL;
}

SK_TEST(lanes, what_was_accepted_beside_a_stop_has_ended_when_it_returns)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long round = sk_test_scaled(30); round > 0; round--) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 16);
        storm st = {.lanes = LANES(.pool = pool, .queued_most = 5000)};
        bool now = round % 2;
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, submit_until_stopped, &st), 0);
        SK_EXPECT(sk_gate_await(&st.ran, 50));
        SK_EXPECT_EQ((now ? skua_lanes_stop_now : skua_lanes_stop)(st.lanes, SKUA_MS(SK_PATIENCE_MS)), 0);
        uint32_t ran = sk_gate_now(&st.ran);
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
        skua_pool_counts c = counts_of(st.lanes);
        SK_EXPECT_EQ(sk_gate_now(&st.ran), ran);
        SK_EXPECT_EQ(c.done, ran);
        SK_EXPECT_EQ(c.submitted, sk_gate_now(&st.accepted));
        SK_EXPECT_EQ(c.submitted, c.done + c.dropped);
        SK_EXPECT_EQ(skua_lanes_release(st.lanes), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

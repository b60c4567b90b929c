/* unit/sched.c: who is ready to run runs soon and where it belongs: regressions of the scheduler's first review. */
#include "support/tasks.h"

/* ---- nobody is left behind a long computation ---- */

static int hold_until_yielder_is_back(void *arg)
{
    sk_holder *h = arg;
    sk_gate_add(&h->entered);
    return sk_gate_hold(&h->release, 1) ? 0 : -ETIME;
}

static int yield_beside_a_computation(void *arg)
{
    sk_holder *h = arg;
    skua_task t;
    int result = 1;
    SK_EXPECT_EQ(skua_spawn(&t, hold_until_yielder_is_back, h), 0);
    while (!sk_gate_now(&h->entered)) SK_EXPECT_EQ(skua_yield(), 0); /* comes back only on the other worker */
    sk_gate_add(&h->release);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    return result;
}

SK_TEST(sched, who_yields_to_a_long_computation_goes_on_elsewhere)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) {
        sk_holder h = {0};
        SK_EXPECT_EQ(sk_run_on(rt, yield_beside_a_computation, &h), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int spawn_and_compute(void *arg)
{
    skua_task t;
    SK_EXPECT_EQ(skua_spawn(&t, sk_open, arg), 0); /* to run next, when we park; but we do not */
    bool ran = sk_gate_hold(arg, 1);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    return ran ? 0 : -ETIME;
}

SK_TEST(sched, a_child_does_not_wait_for_a_parent_that_computes)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 50; i++) {
        sk_gate gate = 0;
        SK_EXPECT_EQ(sk_run_on(rt, spawn_and_compute, &gate), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- stacks ---- */

static int use_48_kib(void *unused)
{
    (void)unused;
    volatile char room[48 << 10];
    for (size_t i = sizeof room; i > 0; i -= 512) room[i - 1] = 1;
    return room[511];
}

static int nap(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_US(100));
}

SK_TEST(sched, a_plain_task_has_a_plain_stack)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        skua_task small;
        skua_task_options o = {.runtime = rt, .stack_size = 16 << 10};
        SK_EXPECT_EQ(skua_spawn_with(&small, &o, i % 2 ? nap : sk_give_0, NULL), 0);
        skua_task plain = sk_spawn_on(rt, use_48_kib, NULL); /* right after it on the same worker */
        SK_EXPECT_EQ(skua_join(small, NULL), 0);
        SK_EXPECT_EQ(sk_run_on(rt, use_48_kib, NULL), 1);
        SK_EXPECT_EQ(skua_join(plain, NULL), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- timers ---- */

SK_TEST(sched, a_deadline_before_the_end_of_the_delay_loses_no_task)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { TASKS = 200 };
    for (int i = 0; i < TASKS; i++) {
        skua_task_options o = {.runtime = rt, .delay = SKUA_MS(2), .start_within = 1 + (uint64_t)i % 3};
        if (i % 2) o = (skua_task_options){.runtime = rt, .delay = 1, .finish_within = 1};
        SK_EXPECT_EQ(skua_spawn_with(NULL, &o, sk_give_0, NULL), 0);
    }
    SK_EVENTUALLY(sk_ended(&(skua_stats[]){sk_stats_of(rt)}[0]) == TASKS);
    SK_EXPECT_EQ(sk_stats_of(rt).queued, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int after_beside_sleepers(void *arg)
{
    for (int i = 0; i < 500; i++) {
        SK_EXPECT_EQ(skua_after(SKUA_US(50), sk_open, arg), 0);
        SK_EXPECT_EQ(skua_sleep(SKUA_US(20)), 0); /* parks, perhaps onto a timer that has fallen due */
    }
    return 0;
}

SK_TEST(sched, who_parks_may_go_on_to_a_timer)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        sk_gate gate = 0;
        skua_task t[4];
        for (int i = 0; i < 4; i++) t[i] = sk_spawn_on(rt, after_beside_sleepers, &gate);
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_join(t[i], NULL), 0);
        SK_EXPECT(sk_gate_await(&gate, 2000));
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* ---- retiring ---- */

static int yield_on(void *arg)
{
    while (!sk_gate_now(arg)) SK_EXPECT_EQ(skua_yield(), 0);
    return 0;
}

SK_TEST(sched, a_worker_retires_while_its_tasks_yield_to_each_other)
{
    skua_runtime *rt = sk_runtime_of(4);
    enum { TASKS = 8 };
    sk_gate stop = 0;
    skua_task t[TASKS];
    for (int i = 0; i < TASKS; i++) t[i] = sk_spawn_on(rt, yield_on, &stop);
    skua_sleep(SKUA_MS(2));
    SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
    SK_EVENTUALLY(sk_stats_of(rt).workers == 1);
    sk_gate_add(&stop);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(t[i], NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a body that ends between begin and end ---- */

static int return_blocked(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    return 12;
}

SK_TEST(sched, a_task_may_end_in_a_blocking_call)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 50; i++) SK_EXPECT_EQ(sk_run_on(rt, return_blocked, NULL), 12);
    SK_EXPECT_EQ(sk_stats_of(rt).done, 50);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a long queue: the newest first, but not for ever ---- */

enum { OLD_TASKS = 400, YOUNG_MOST = 4000 };

typedef struct generations {
    sk_gate old, stop;
    int young, young_before_the_first;
    skua_chan *there, *back;
} generations;

static int be_old(void *arg)
{
    generations *g = arg;
    if (sk_gate_now(&g->old) == 0) g->young_before_the_first = g->young;
    sk_gate_add(&g->old);
    return 0;
}

static int be_young(void *arg)
{
    generations *g = arg;
    if (sk_gate_now(&g->old) < OLD_TASKS && g->young++ < YOUNG_MOST) SK_EXPECT_EQ(skua_go(be_young, g), 0);
    return 0;
}

static int serve(void *arg)
{
    generations *g = arg;
    for (int n; skua_chan_recv(g->there, &n) == 0;) SK_EXPECT_EQ(skua_chan_send(g->back, &n), 0);
    return 0;
}

static int return_serve(void *arg)
{
    generations *g = arg;
    for (int n = 0; sk_gate_now(&g->old) < OLD_TASKS && g->young < YOUNG_MOST; n++) {
        SK_EXPECT_EQ(skua_chan_send(g->there, &n), 0);
        SK_EXPECT_EQ(skua_chan_recv(g->back, &n), 0);
    }
    return skua_chan_close(g->there);
}

/* Two that keep runnext full, many who wait, and one whose successor is always the newest. */
static int start_generations(void *arg)
{
    generations *g = arg;
    SK_EXPECT_EQ(skua_go(return_serve, g), 0);
    SK_EXPECT_EQ(skua_go(serve, g), 0);
    for (int i = 0; i < 10 + g->young; i++) SK_EXPECT_EQ(skua_yield(), 0);
    g->young = 0;
    for (int i = 0; i < OLD_TASKS; i++) SK_EXPECT_EQ(skua_go(be_old, g), 0);
    return skua_go(be_young, g);
}

static int young_before_the_first(int phase)
{
    skua_runtime *rt = sk_runtime_of(1);
    generations g = {.young = phase};
    SK_EXPECT_EQ(skua_chan_create(&g.there, sizeof(int), 0), 0);
    SK_EXPECT_EQ(skua_chan_create(&g.back, sizeof(int), 0), 0);
    SK_EXPECT_EQ(sk_run_on(rt, start_generations, &g), 0);
    SK_EXPECT(sk_gate_await(&g.old, OLD_TASKS));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_chan_release(g.there), 0);
    SK_EXPECT_EQ(skua_chan_release(g.back), 0);
    return g.young_before_the_first;
}

/* When the machine stops the worker the monitor puts its tasks into the inbox, and the order is another one. */
SK_TEST(sched, old_tasks_do_not_starve_behind_young_ones)
{
    for (int phase = 0; phase < 4; phase++)
        for (int tries = 1; young_before_the_first(phase) > 20; tries++) SK_EXPECT(tries < 20);
}

/* Each of them makes the queue longer: then the oldest wait for a time, not for the end. */
enum { GROWING_OLD = 300, GROWING_ENOUGH = 20, GROWING_MOST = 300000 };

static int be_two(void *arg)
{
    generations *g = arg;
    for (int i = 0; i < 2; i++)
        if (sk_gate_now(&g->old) < GROWING_ENOUGH && g->young++ < GROWING_MOST) SK_EXPECT_EQ(skua_go(be_two, g), 0);
    return 0;
}

static int start_growing(void *arg)
{
    for (int i = 0; i < GROWING_OLD; i++) SK_EXPECT_EQ(skua_go(be_old, arg), 0);
    return skua_go(be_two, arg);
}

SK_TEST(sched, old_tasks_do_not_starve_behind_more_and_more_young_ones)
{
    skua_runtime *rt = sk_runtime_of(1);
    generations g = {0};
    SK_EXPECT_EQ(sk_run_on(rt, start_growing, &g), 0);
    SK_EXPECT(sk_gate_await(&g.old, GROWING_OLD));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(g.young < GROWING_MOST);
}

/* ---- a tree: in depth ---- */

/* Of 100,000 leaves; 1,111 are three levels above them or higher. OPEN_NS is OLD_NS of sched.c: how often the oldest
   is taken nevertheless. */
enum { TREE_LEVELS = 5, TREE_CHILDREN = 10, OPEN_MOST = 500, OPEN_NS = 100000 };

typedef struct tree {
    int level;
    skua_chan *up;
    int *open, *open_most; /* inner ones that wait for their children; of one worker's tasks */
} tree;

static int grow_tree(void *arg)
{
    tree self = *(const tree *)arg, child = self;
    int sum = 1;
    if (self.level > 0) {
        child.level--;
        SK_EXPECT_EQ(skua_chan_create(&child.up, sizeof(int), 0), 0);
        if (++*self.open > *self.open_most) *self.open_most = *self.open;
        for (int i = 0; i < TREE_CHILDREN; i++) SK_EXPECT_EQ(skua_go(grow_tree, &child), 0);
        sum = 0;
        for (int i = 0, one; i < TREE_CHILDREN; i++, sum += one) SK_EXPECT_EQ(skua_chan_recv(child.up, &one), 0);
        --*self.open;
        SK_EXPECT_EQ(skua_chan_release(child.up), 0);
    }
    return self.up ? skua_chan_send(self.up, &sum) : sum;
}

SK_TEST(sched, a_tree_is_walked_in_depth)
{
    skua_runtime *rt = sk_runtime_of(1);
    int open = 0, open_most = 0;
    tree root = {.level = TREE_LEVELS, .open = &open, .open_most = &open_most};
    uint64_t start = skua_now();
    SK_EXPECT_EQ(sk_run_on(rt, grow_tree, &root), 100000);
    SK_EXPECT(open_most <= OPEN_MOST + (int)((skua_now() - start) / OPEN_NS));
    SK_EXPECT_EQ(open, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* unit/runtime.c: options, several runtimes, resizing, adjusters, statistics. */
#include "support/tasks.h"

#include "base/base.h"
#include "os/topology.h"
#include "runtime/worker.h"

#include <string.h>

/* ---- options ---- */

SK_TEST(runtime, options_out_of_range)
{
    static const skua_runtime_options bad[] = {
        {.workers_max = SKUA_WORKERS_MAX + 1},
        {.workers_max = UINT32_MAX},
        {.workers_min = 3, .workers_max = 2},
        {.workers_min = SKUA_WORKERS_MAX + 1},
        {.workers_min = UINT32_MAX, .adjust = SKUA_ADJUST_BACKLOG},
        {.workers_min = 3, .workers_max = 2, .adjust = SKUA_ADJUST_BLOCKING},
        {.stack_size = (8 << 20) + 1},
        {.stack_size = SIZE_MAX},
        {.adjust = (skua_adjust)(SKUA_ADJUST_LAZY + 1)},
        {.adjust = (skua_adjust)-1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skua_runtime *rt = (skua_runtime *)&rt;
        SK_EXPECT_EQ(skua_runtime_create(&rt, &bad[i]), -EINVAL);
        SK_EXPECT(rt == NULL);
    }
    SK_EXPECT_EQ(skua_runtime_create(NULL, NULL), -EINVAL);
}

SK_TEST(runtime, options_in_range)
{
    static const skua_runtime_options good[] = {
        {.workers_min = 1, .workers_max = 1},
        {.workers_min = 1, .workers_max = 3, .adjust = SKUA_ADJUST_BACKLOG, .adjust_interval = 1},
        {.workers_min = 2, .workers_max = 2, .adjust = SKUA_ADJUST_BLOCKING, .adjust_interval = SKUA_FOREVER},
        {.stack_size = 16 << 10, .workers_max = 2},
        {.stack_size = 8 << 20, .workers_max = 2},
        {.workers_max = 65},
        {.workers_max = 3, .adjust = SKUA_ADJUST_EAGER, .idle_timeout = 1},
        {.workers_max = 3, .adjust = SKUA_ADJUST_BALANCED, .idle_timeout = SKUA_FOREVER},
        {.workers_max = 3, .adjust = SKUA_ADJUST_LAZY, .idle_timeout = SKUA_FOREVER - 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        skua_runtime *rt = NULL;
        SK_EXPECT_EQ(skua_runtime_create(&rt, &good[i]), 0);
        SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

SK_TEST(runtime, defaults)
{
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, NULL), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, sk_topology_processors());
    skua_runtime *usual = skua_runtime_default();
    SK_EXPECT(usual != NULL && usual != rt);
    SK_EXPECT(skua_runtime_default() == usual);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(usual), 0);
    usual = skua_runtime_default(); /* made anew */
    SK_EXPECT_EQ(sk_run_on(usual, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(usual), 0);
}

/* While others block there may be many more workers than processors, unless told otherwise. */
SK_TEST(runtime, blocking_has_room_by_default)
{
    skua_runtime *rt = NULL;
    unsigned processors = sk_topology_processors();
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.adjust = SKUA_ADJUST_BLOCKING}), 0);
    SK_EXPECT_EQ(rt->workers_max, sk_min(sk_max(16 * processors, 64u), (unsigned)SKUA_WORKERS_MAX));
    SK_EXPECT(rt->workers_min == 1 && sk_stats_of(rt).workers == sk_min(processors, rt->workers_max));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* As many numbers as there is room for, and how many there are. */
SK_TEST(runtime, stats_of_some_workers)
{
    skua_runtime *rt = sk_runtime_of(3);
    skua_stats s;
    skua_worker_stats each[3];
    for (size_t room = 0; room <= 3; room++) {
        for (size_t i = 0; i < 3; i++) each[i].tasks_run = UINT64_MAX;
        SK_EXPECT_EQ(skua_runtime_stats(rt, &s, each, room), 3);
        for (size_t i = 0; i < 3; i++) SK_EXPECT_EQ(each[i].tasks_run == UINT64_MAX, i >= room);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the first users of the default runtime come at once ---- */

typedef struct racer {
    sk_gate *start;
    skua_runtime *found;
} racer;

static void *find_default(void *arg)
{
    racer *r = arg;
    sk_gate_add(r->start);
    while (sk_gate_now(r->start) < 2) sk_cpu_relax();
    r->found = skua_runtime_default();
    return NULL;
}

SK_TEST(runtime, all_find_the_same_default)
{
    for (int i = 0; i < 30; i++) {
        sk_gate start = 0;
        racer r[2] = {{.start = &start}, {.start = &start}};
        pthread_t thread[2];
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(pthread_create(&thread[k], NULL, find_default, &r[k]), 0);
        for (int k = 0; k < 2; k++) pthread_join(thread[k], NULL);
        SK_EXPECT(r[0].found != NULL && r[0].found == r[1].found);
        SK_EXPECT_EQ(sk_run_on(r[0].found, sk_give_0, NULL), 0);
        SK_EXPECT_EQ(skua_runtime_release(r[0].found), 0);
    }
}

SK_TEST(runtime, null_is_an_error_everywhere)
{
    skua_stats s;
    SK_EXPECT_EQ(skua_runtime_stop(NULL, 0), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_resize(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_stats(NULL, &s, NULL, 0), -EINVAL);
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_runtime_stats(rt, NULL, NULL, 0), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- two at a time ---- */

typedef struct pair {
    skua_runtime *here, *there;
} pair;

static int ping(void *arg)
{
    pair *p = arg;
    SK_EXPECT(skua_runtime_current() == p->there);
    return skua_sleep(SKUA_US(50)) + 21;
}

static int ask_the_other(void *arg)
{
    pair *p = arg;
    for (int i = 0; i < 200; i++) {
        skua_task t;
        int result = 0;
        SK_EXPECT(skua_runtime_current() == p->here);
        SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = p->there}, ping, p), 0);
        SK_EXPECT_EQ(skua_join(t, &result), 0);
        SK_EXPECT_EQ(result, 21);
        sk_gate gate = 0;
        SK_EXPECT_EQ(skua_go(sk_open, &gate), 0); /* stays here */
        SK_EXPECT(sk_gate_await(&gate, 1));
    }
    return 1;
}

static int release_the_other(void *arg)
{
    return skua_runtime_release(((pair *)arg)->there);
}

SK_TEST(runtime, tasks_of_two_runtimes_join_each_other)
{
    pair a = {sk_runtime_of(1), sk_runtime_of(2)}, b = {a.there, a.here};
    skua_task one = sk_spawn_on(a.here, ask_the_other, &a), two = sk_spawn_on(b.here, ask_the_other, &b);
    int result = 0;
    SK_EXPECT_EQ(skua_join(one, &result), 0);
    SK_EXPECT_EQ(result, 1);
    SK_EXPECT_EQ(skua_join(two, &result), 0);
    SK_EXPECT_EQ(result, 1);
    SK_EXPECT_EQ(sk_stats_of(a.here).created, 401);
    SK_EXPECT_EQ(sk_stats_of(a.there).created, 401);
    SK_EXPECT_EQ(sk_run_on(a.here, release_the_other, &a), 0); /* from a task */
    SK_EXPECT_EQ(skua_runtime_release(a.here), 0);
}

/* ---- size ---- */

static int work_a_little(void *arg)
{
    for (int i = 0; i < 4; i++) skua_sleep(SKUA_US(100));
    sk_gate_add(arg);
    return 0;
}

/* Timers of another runtime: armed, stopped and cancelled by a task of this one, counted where they belong. */
static int handle_foreign_timers(void *arg)
{
    skua_runtime *other = arg;
    skua_task_options o = {.runtime = other, .delay = SKUA_S(1000)};
    skua_task t[3];
    int result = 1;
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_spawn_with(&t[i], &o, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_timer_stop((skua_timer){t[0]}), 0);
    SK_EXPECT(skua_join(t[0], &result) == 0 && result == -ECANCELED);
    SK_EXPECT_EQ(skua_cancel(t[1]), 0);
    SK_EXPECT_EQ(skua_cancel(t[1]), -EALREADY);
    SK_EXPECT(skua_join(t[1], &result) == 0 && result == -ECANCELED);
    SK_EXPECT_EQ(skua_cancel(t[2]), 0);
    SK_EXPECT_EQ(skua_detach(t[2]), 0);
    o.delay = SKUA_MS(2);
    o.finish_within = SKUA_S(1000);
    SK_EXPECT_EQ(skua_spawn_with(&t[0], &o, sk_give_0, NULL), 0);
    SK_EXPECT(skua_join(t[0], &result) == 0 && result == 0);
    return 0;
}

SK_TEST(runtime, a_task_handles_timers_of_another_runtime)
{
    skua_runtime *one = sk_runtime_of(1), *other = sk_runtime_of(1);
    for (uint64_t i = 1; i <= 20; i++) {
        SK_EXPECT_EQ(sk_run_on(one, handle_foreign_timers, other), 0);
        skua_stats s;
        SK_EVENTUALLY((s = sk_stats_of(other), s.cancelled == 3 * i)); /* nobody waits for the third */
        SK_EXPECT(s.created == 4 * i && s.done == i);
    }
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(one), 0);
}

SK_TEST(runtime, resize_while_tasks_run)
{
    static const uint32_t sizes[] = {8, 1, 3, 70, 2, 1};
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate ran = 0;
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int k = 0; k < 2000; k++, n++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, work_a_little, &ran)), 0);
        SK_EXPECT_EQ(skua_runtime_resize(rt, sizes[i]), 0);
        SK_EVENTUALLY(sk_stats_of(rt).workers == sizes[i]);
    }
    SK_EXPECT(sk_gate_await(&ran, n));
    SK_EVENTUALLY(sk_stats_of(rt).done == n);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.created, n);
    SK_EXPECT_EQ(s.grown, 7 + 2 + 67);
    SK_EVENTUALLY(sk_stats_of(rt).shrunk == 7 + 68 + 1); /* a worker may be gone before it is counted as gone */
    SK_EXPECT_EQ(skua_runtime_resize(rt, 0), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_resize(rt, SKUA_WORKERS_MAX + 1), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(runtime, only_a_fixed_runtime_is_resized)
{
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.adjust = SKUA_ADJUST_BACKLOG}), 0);
    SK_EXPECT_EQ(skua_runtime_resize(rt, 1), -EPERM);
    SK_EXPECT_EQ(skua_runtime_resize(rt, 0), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(runtime, backlog_doubles_and_halves)
{
    skua_runtime *rt = NULL;
    skua_runtime_options o = {
        .workers_min = 1, .workers_max = 6, .adjust = SKUA_ADJUST_BACKLOG, .adjust_interval = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 1);
    sk_holder holder = {0};
    for (int i = 0; i < 30; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_hold, &holder)), 0);
    /* More, if some were to retire while we were slow to spawn, and have got one of these all the same. */
    SK_EVENTUALLY(sk_stats_of(rt).workers >= 6);
    SK_EXPECT(sk_gate_await(&holder.entered, 6)); /* each carries one out */
    skua_sleep(SKUA_MS(5));
    SK_EXPECT(sk_stats_of(rt).workers >= 6);
    sk_gate_add(&holder.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == 30);
    SK_EVENTUALLY(sk_stats_of(rt).workers == 1);
    SK_EVENTUALLY(sk_stats_of(rt).grown ==
                  sk_stats_of(rt).shrunk); /* a worker may be gone before it is counted as gone */
    SK_EXPECT(sk_stats_of(rt).grown >= 5);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Each comes when all who are there compute: what waits in the inbox is a backlog, too. */
SK_TEST(runtime, backlog_in_the_inbox_counts)
{
    skua_runtime *rt = NULL;
    skua_runtime_options o = {
        .workers_min = 1, .workers_max = 6, .adjust = SKUA_ADJUST_BACKLOG, .adjust_interval = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    sk_holder holder = {0};
    for (uint32_t i = 1; i <= 6; i++) {
        SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_hold, &holder)), 0);
        SK_EXPECT(sk_gate_await(&holder.entered, i));
    }
    sk_gate_add(&holder.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == 6);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct stuck {
    sk_gate entered, release;
} stuck;

static int block_there(void *arg)
{
    stuck *s = arg;
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    sk_gate_add(&s->entered);
    bool opened = sk_gate_block(&s->release, 1);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return opened ? 0 : -ETIME;
}

SK_TEST(runtime, blocking_keeps_as_many_running_as_processors)
{
    skua_runtime *rt = NULL;
    uint32_t cores = sk_topology_processors();
    skua_runtime_options o = {
        .workers_min = cores, .workers_max = cores + 8, .adjust = SKUA_ADJUST_BLOCKING, .adjust_interval = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, cores);
    stuck s = {0};
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, block_there, &s)), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 4));
    /* All four tasks are served, whether their workers were handed on or others were made for them. */
    SK_EVENTUALLY(sk_stats_of(rt).workers - sk_stats_of(rt).blocked >= cores);
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    sk_gate_add(&s.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == 14);
    SK_EVENTUALLY(sk_stats_of(rt).workers == cores && sk_stats_of(rt).blocked == 0);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- statistics ---- */

static int sleep_long(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(runtime, stats_count_each_state)
{
    skua_runtime *rt = sk_runtime_of(1);
    enum { PARKED = 5, DELAYED = 3, QUEUED = 7 };
    skua_task_options delayed = {.runtime = rt, .delay = SKUA_S(3600)};
    for (int i = 0; i < PARKED; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sleep_long, NULL)), 0);
    for (int i = 0; i < DELAYED; i++) SK_EXPECT_EQ(skua_spawn_with(NULL, &delayed, sk_give_0, NULL), 0);
    SK_EVENTUALLY(sk_stats_of(rt).parked == PARKED);
    sk_holder holder = {0};
    skua_task held = sk_hold_worker(rt, &holder);
    for (int i = 0; i < QUEUED; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_give_0, NULL)), 0);
    skua_worker_stats each[2];
    skua_stats s;
    memset((void *)each, 0xee, sizeof each);
    SK_EXPECT_EQ(skua_runtime_stats(rt, &s, each, 2), 1);
    SK_EXPECT_EQ(s.created, PARKED + DELAYED + QUEUED + 1);
    SK_EXPECT_EQ(s.parked, PARKED);
    SK_EXPECT_EQ(s.queued, DELAYED + QUEUED);
    SK_EXPECT_EQ(s.running, 1);
    SK_EXPECT_EQ(sk_ended(&s), 0);
    SK_EXPECT_EQ(s.workers, 1);
    SK_EXPECT_EQ(s.idle, 0);
    SK_EXPECT(s.threads >= 2);
    SK_EXPECT(memcmp(&each[0], &s.total, sizeof s.total) == 0); /* the only worker is all of them */
    SK_EXPECT_EQ(each[0].tasks_run, PARKED + 1);
    SK_EXPECT_EQ(each[0].parks, PARKED);
    SK_EXPECT_EQ(((unsigned char *)&each[1])[0], 0xee);
    SK_EXPECT(s.stacks >= PARKED && s.stack_bytes >= s.stacks * (16 << 10));
    sk_let_worker_go(&holder, held);
    SK_EVENTUALLY(sk_stats_of(rt).done == QUEUED + 1 && sk_stats_of(rt).idle == 1);
    int stopped = skua_runtime_stop(rt, SKUA_MS(1)); /* 0: those whom it cancelled had ended before it looked again */
    SK_EXPECT(stopped == 0 || stopped == -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct sampler {
    skua_runtime *rt;
    sk_gate stop, begun;
    long samples;
} sampler;

static void *sample(void *arg)
{
    sampler *m = arg;
    skua_stats before = {0};
    while (!sk_gate_now(&m->stop)) {
        skua_stats s = sk_stats_of(m->rt); /* adds up, or ends the test */
        SK_EXPECT(s.created >= before.created);
        SK_EXPECT(sk_ended(&s) >= sk_ended(&before));
        SK_EXPECT(s.queued <= s.created && s.running <= s.created && s.parked <= s.created);
        SK_EXPECT(s.total.steals_won <= s.total.steals_tried);
        before = s;
        if (m->samples++ == 0) sk_gate_add(&m->begun);
    }
    return NULL;
}

static int mixed_load(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    if (i % 3 == 0) skua_yield();
    if (i % 5 == 0) skua_sleep(SKUA_US(50));
    if (i % 7 == 0) skua_cancel(skua_self());
    return i % 11 == 0 ? -EIO : i % 7 == 0 ? -ECANCELED : 0;
}

SK_TEST(runtime, stats_add_up_under_load)
{
    sampler m = {.rt = sk_runtime_of(3)};
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, sample, &m), 0);
    SK_EXPECT(sk_gate_await(&m.begun, 1));
    uintptr_t n = (uintptr_t)sk_test_scaled(100000), failed = 0, cancelled = 0;
    for (uintptr_t i = 0; i < n; i++) {
        skua_task_options o = {.runtime = m.rt};
        SK_EXPECT_EQ(skua_spawn_with(NULL, &o, mixed_load, (void *)i), 0);
        failed += i % 11 == 0;
        cancelled += i % 7 == 0 && i % 11 != 0;
    }
    SK_EXPECT_EQ(skua_runtime_stop(m.rt, SKUA_S(100)), 0);
    sk_gate_add(&m.stop);
    pthread_join(thread, NULL);
    SK_EXPECT(m.samples > 0);
    skua_stats s = sk_stats_of(m.rt);
    SK_EXPECT_EQ(s.created, n);
    SK_EXPECT_EQ(s.failed, failed);
    SK_EXPECT_EQ(s.cancelled, cancelled);
    SK_EXPECT_EQ(s.done, n - failed - cancelled);
    SK_EXPECT_EQ(skua_runtime_release(m.rt), 0);
}

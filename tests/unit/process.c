/* unit/process.c: what the whole process sees of the runtime: a fork, a stack overflow, and silence when idle. */
#include "support/child.h"
#include "support/tasks.h"

#include "runtime/sched.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- fork without exec ---- */

static skua_runtime *rt;
static skua_pool *pool;
static skua_group *group;
static skua_stream *stream;
static skua_shards *shards;
static skua_lanes *lanes;
static skua_lane *lane;
static skua_chan *chan;
static skua_ticker *ticker;
static skua_context *context;
static skua_task task;

/* Every call refuses before it would come to this. */
static int never_called(void *element, void *arg)
{
    (void)element;
    return arg ? 0 : -1;
}

static void no_progress(void *ctx, const skua_progress *p)
{
    (void)ctx;
    (void)p;
}

/* The number of the first call that does not say -ECHILD; 0: all do. No expectations in a forked child. */
static int first_call_that_answers(void)
{
    skua_task t;
    skua_timer timer;
    skua_runtime *other;
    skua_pool *another;
    skua_group *another_group = NULL;
    skua_stream *another_stream = NULL;
    skua_shards *other_shards = NULL;
    skua_lanes *other_lanes = NULL;
    skua_lane *other_lane = NULL;
    skua_chan *other_chan = NULL;
    skua_ticker *other_ticker = NULL;
    skua_context *other_context = NULL;
    skua_local_key local_key = {0, 0};
    int element = 0;
    skua_case send = SKUA_CASE_SEND(chan, &element);
    skua_stats stats;
    skua_pool_counts counts;
    skua_histogram histogram;
    skua_progress progress;
    skua_reporter reporter = {NULL, 0, {NULL, 0}};
    skua_mutex mutex = SKUA_MUTEX_INIT;
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    skua_cond cond = SKUA_COND_INIT;
    skua_semaphore semaphore = SKUA_SEMAPHORE_INIT(1, 1);
    skua_waitgroup waitgroup = SKUA_WAITGROUP_INIT;
    skua_latch latch = SKUA_LATCH_INIT(1);
    skua_barrier barrier = SKUA_BARRIER_INIT(1);
    skua_once once = SKUA_ONCE_INIT;
    uint32_t word = 0;
    skua_spinlock spinlock;
    skua_mcs mcs;
    skua_locker locker, ready = {free, free, NULL};
    skua_deferred deferred;
    skua_future future = {NULL, 0};
    skua_task_storage storage;
    skua_fault fault;
    int answers[] = {
        skua_go(sk_give_0, NULL),
        skua_spawn(&t, sk_give_0, NULL),
        skua_spawn_with(&t, NULL, sk_give_0, NULL),
        skua_spawn_with(&t, &(skua_task_options){.runtime = rt}, sk_give_0, NULL),
        skua_spawn_batch(NULL, 3, sk_give_0, NULL),
        skua_join(task, NULL),
        skua_join_for(task, 0, NULL),
        skua_detach(task),
        skua_cancel(task),
        skua_yield(),
        skua_sleep(SKUA_US(1)),
        skua_sleep(0),
        skua_after(1, sk_give_0, NULL),
        skua_timer_start(&timer, 1, sk_give_0, NULL),
        skua_timer_stop((skua_timer){task}),
        skua_timer_reset(&(skua_timer){task}, 1),
        skua_blocking_begin(),
        skua_blocking_end(),
        skua_block(sk_give_0, NULL),
        skua_runtime_create(&other, NULL),
        skua_runtime_resize(rt, 2),
        skua_runtime_stop(rt, 0),
        skua_runtime_release(rt),
        skua_runtime_stats(rt, &stats, NULL, 0),
        skua_pool_create(&another, NULL),
        skua_pool_create(&another, &(skua_pool_options){.runtime = rt}),
        skua_pool_submit(pool, sk_give_0, NULL),
        skua_pool_try_submit(pool, sk_give_0, NULL),
        skua_pool_wait(pool, 0),
        skua_pool_stats(pool, &counts),
        skua_pool_times(pool, &histogram, NULL),
        skua_pool_times(pool, NULL, NULL),
        skua_pool_snapshot(pool, &counts, &histogram, &histogram),
        skua_progress_of(pool, &progress),
        skua_pool_expect(pool, 1),
        skua_progress_start(&reporter, pool, 1, no_progress, NULL, NULL),
        skua_progress_stop(&reporter),
        skua_pool_fault(pool, &fault),
        skua_pool_release(pool),
        skua_group_create(&another_group, NULL),
        skua_group_go(group, sk_give_0, NULL),
        skua_group_try_go(group, sk_give_0, NULL),
        skua_group_go_with(group, NULL, sk_give_0, NULL),
        skua_group_go_future(group, &future, NULL, sk_give_0, NULL),
        skua_group_wait(group, NULL),
        skua_group_wait_for(group, 0, NULL),
        skua_group_cause(group),
        skua_group_fault(group, &fault),
        skua_group_errors(group, NULL, 0),
        skua_group_cancel(group, 0),
        skua_group_stats(group, &counts),
        skua_group_release(group),
        skua_for_each(NULL, 0, NULL, NULL),
        skua_map(NULL, NULL, 0, NULL, 0, 0, NULL, NULL),
        skua_stream_create(&another_stream, NULL),
        skua_stream_go(stream, sk_give_0, NULL, NULL),
        skua_stream_try_go(stream, sk_give_0, NULL, NULL),
        skua_stream_wait(stream, NULL),
        skua_stream_wait_for(stream, 0, NULL),
        skua_stream_cause(stream),
        skua_stream_cancel(stream, 0),
        skua_stream_stats(stream, &counts),
        skua_stream_release(stream),
        skua_shards_create(&other_shards, NULL),
        skua_shards_count(shards),
        skua_shards_pool(shards, 0) || skua_shards_next(shards) ? 0 : -ECHILD,
        skua_shards_submit(shards, sk_give_0, NULL),
        skua_shards_try_submit(shards, sk_give_0, NULL),
        skua_shards_submit_with(shards, NULL, NULL, sk_give_0, NULL),
        skua_shards_submit_batch(shards, 2, sk_give_0, NULL),
        skua_shards_invoke(shards, NULL),
        skua_shards_tune(shards, 1),
        skua_shards_pause(shards),
        skua_shards_resume(shards),
        skua_shards_wait(shards, 0),
        (int)skua_shards_cancel(shards),
        skua_shards_stop(shards, 0),
        skua_shards_stop_now(shards, 0),
        skua_shards_restart(shards),
        skua_shards_stats(shards, &counts),
        skua_shards_release(shards),
        skua_lanes_create(&other_lanes, NULL),
        skua_lanes_submit(lanes, 0, sk_give_0, NULL),
        skua_lanes_of_key(lanes, 0),
        skua_lanes_wait(lanes, 0),
        (int)skua_lanes_cancel(lanes),
        skua_lanes_pause(lanes),
        skua_lanes_resume(lanes),
        skua_lanes_stop(lanes, 0),
        skua_lanes_stop_now(lanes, 0),
        skua_lanes_restart(lanes),
        skua_lanes_stats(lanes, &counts),
        skua_lanes_release(lanes),
        skua_lane_create(&other_lane, NULL),
        skua_lane_submit(lane, sk_give_0, NULL),
        skua_lane_wait(lane, 0),
        (int)skua_lane_cancel(lane),
        skua_lane_stop(lane, 0),
        skua_lane_stats(lane, &counts),
        skua_lane_release(lane),
        skua_context_create(&other_context, NULL),
        skua_context_create_for(&other_context, context, 1),
        skua_context_create_until(&other_context, NULL, 1),
        skua_context_create_value(&other_context, NULL, &t, NULL, NULL),
        skua_context_retain(context),
        skua_context_release(context),
        skua_context_cancel(context, 0),
        skua_context_error(context),
        skua_context_cause(context),
        skua_context_deadline(context) == SKUA_FOREVER ? -ECHILD : 0,
        skua_context_value(context, &t) ? 0 : -ECHILD,
        skua_context_done(context) ? 0 : -ECHILD,
        skua_context_enter(context),
        skua_context_leave(context),
        skua_context_run(context, sk_give_0, NULL),
        skua_context_current() ? 0 : -ECHILD,
        skua_context_go(context, sk_give_0, NULL),
        skua_context_spawn(&t, context, NULL, sk_give_0, NULL),
        skua_local_create(&local_key, NULL),
        skua_local_set(local_key, NULL),
        skua_local_get(local_key) ? 0 : -ECHILD,
        skua_local_delete(local_key),
        skua_nopark_begin_at("?", 0),
        skua_nopark_end(),
        skua_on_lock_cycle(NULL, NULL),
        skua_ticker_create(&other_ticker, 1, 0),
        skua_ticker_call(&other_ticker, 1, 0, sk_give_0, NULL),
        skua_ticker_stop(ticker),
        skua_ticker_reset(ticker, 1, 0),
        skua_ticker_chan(ticker) ? skua_ticker_release(ticker) : 0,
        skua_signals_open(&other_chan, (int[]){SIGTERM}, 1),
        skua_signals_close(chan),
        skua_runtime_on_deadlock(rt, NULL, NULL),
        skua_chan_create(&other_chan, 4, 1),
        skua_chan_create_signal(&other_chan, 1),
        skua_chan_send(chan, &element),
        skua_chan_send_for(chan, &element, 0),
        skua_chan_try_send(chan, &element),
        skua_chan_recv(chan, &element),
        skua_chan_recv_for(chan, &element, 0),
        skua_chan_try_recv(chan, &element),
        skua_chan_each(chan, never_called, NULL),
        skua_chan_close(chan),
        skua_chan_retain(chan),
        skua_chan_release(chan),
        skua_chan_len(chan) == 1 && skua_chan_cap(chan) == 1 && !skua_chan_is_closed(chan) ? -ECHILD : 0,
        skua_select(&send, 1),
        skua_select(NULL, 0),
        skua_select_for(&send, 1, 0),
        skua_select_try(&send, 1),
        skua_mutex_lock(&mutex),
        skua_mutex_lock_for(&mutex, 0),
        skua_mutex_trylock(&mutex),
        skua_mutex_unlock(&mutex),
        skua_rwlock_read_lock(&rwlock),
        skua_rwlock_read_lock_for(&rwlock, 0),
        skua_rwlock_read_trylock(&rwlock),
        skua_rwlock_read_unlock(&rwlock),
        skua_rwlock_write_lock(&rwlock),
        skua_rwlock_write_lock_for(&rwlock, 0),
        skua_rwlock_write_trylock(&rwlock),
        skua_rwlock_write_unlock(&rwlock),
        skua_cond_wait(&cond, &mutex),
        skua_cond_wait_for(&cond, &mutex, 0),
        skua_cond_signal(&cond),
        skua_cond_broadcast(&cond),
        skua_semaphore_init(&semaphore, 1, 1),
        skua_semaphore_acquire(&semaphore, 1),
        skua_semaphore_acquire_for(&semaphore, 1, 0),
        skua_semaphore_try_acquire(&semaphore, 1),
        skua_semaphore_release(&semaphore, 1),
        skua_semaphore_available(&semaphore) == 1 ? -ECHILD : 0,
        skua_waitgroup_add(&waitgroup, 1),
        skua_waitgroup_done(&waitgroup),
        skua_waitgroup_wait(&waitgroup),
        skua_waitgroup_wait_for(&waitgroup, 0),
        skua_latch_init(&latch, 1),
        skua_latch_count_down(&latch, 1),
        skua_latch_wait(&latch),
        skua_latch_wait_for(&latch, 0),
        skua_barrier_init(&barrier, 1),
        skua_barrier_wait(&barrier),
        skua_barrier_wait_for(&barrier, 0),
        skua_barrier_reset(&barrier),
        skua_barrier_is_broken(&barrier) ? 0 : -ECHILD,
        skua_once_do(&once, sk_give_0, NULL),
        skua_once_do_for(&once, sk_give_0, NULL, 0),
        skua_once_is_done(&once) ? 0 : -ECHILD,
        skua_park_on(&word, 0, 0),
        skua_unpark_on(&word, 1),
        skua_locker_mutex(&locker, &mutex),
        skua_locker_fas(&locker, &spinlock),
        skua_locker_ticket(&locker, &spinlock),
        skua_locker_mcs(&locker, &mcs),
        skua_locker_lock(&ready),
        skua_locker_unlock(&ready),
        skua_task_init(&storage, sk_give_0, NULL),
        skua_pool_submit_stored(pool, &storage),
        skua_stored_wait(&storage, 0, NULL),
        skua_stored_is_idle(&storage),
        skua_pool_submit_future(pool, &future, NULL, sk_give_0, NULL),
        skua_future_wait(future, 0, NULL),
        skua_future_try(future, NULL),
        skua_future_then(future, NULL, NULL, NULL),
        skua_future_cancel(future),
        skua_future_fault(future, &fault),
        skua_future_release(future),
        skua_defer(&deferred, sk_give_0, NULL),
        skua_defer_run(&deferred),
        skua_defer_pop(1),
        skua_undefer(&deferred),
        skua_fault_of(task, &fault),
        skua_join_fault(task, 0, NULL, &fault),
        skua_on_fault(NULL),
        skua_runtime_default() ? 0 : -ECHILD,
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i] != -ECHILD) return i < 254 ? (int)i + 1 : 255; /* it becomes an exit status */
    return 0;
}

static int fork_and_ask(void *unused)
{
    (void)unused;
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    SK_EXPECT(child >= 0);
    if (child == 0) _exit(first_call_that_answers());
    SK_EXPECT_EQ(waitpid(child, &status, 0), child);
    SK_EXPECT(WIFEXITED(status));
    SK_EXPECT_EQ(WEXITSTATUS(status), 0);
    return 0;
}

SK_TEST(process, a_forked_child_gets_an_error_from_every_call)
{
    sk_gate gate = 0;
    SK_EXPECT(skua_runtime_default() != NULL);
    rt = sk_runtime_of(2);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 2}), 0);
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.pool = pool}), 0);
    SK_EXPECT_EQ(skua_stream_create(&stream, &(skua_stream_options){.pool = pool}), 0);
    SK_EXPECT_EQ(skua_shards_create(&shards, &(skua_shards_options){.n = 2, .pool = {.parent = pool}}), 0);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool}), 0);
    SK_EXPECT_EQ(skua_lane_create(&lane, pool), 0);
    SK_EXPECT_EQ(skua_chan_create(&chan, sizeof(int), 1), 0);
    SK_EXPECT_EQ(skua_ticker_create(&ticker, SKUA_FOREVER, 0), 0);
    SK_EXPECT_EQ(skua_context_create(&context, NULL), 0);
    SK_EXPECT_EQ(skua_chan_send(chan, &(int){7}), 0);
    task = sk_spawn_on(rt, sk_open, &gate);
    SK_EXPECT_EQ(fork_and_ask(NULL), 0);                /* from a thread of the program's own */
    SK_EXPECT_EQ(sk_run_on(rt, fork_and_ask, NULL), 0); /* from a task */
    SK_EXPECT_EQ(skua_join(task, NULL), 0);             /* the parent goes on */
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &gate), 0);
    SK_EXPECT_EQ(skua_context_release(context), 0);
    SK_EXPECT_EQ(skua_chan_release(chan), 0);
    SK_EXPECT_EQ(skua_ticker_release(ticker), 0);
    SK_EXPECT_EQ(skua_lane_release(lane), 0);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_shards_release(shards), 0);
    SK_EXPECT_EQ(skua_stream_release(stream), 0);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(sk_gate_now(&gate), 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* Who forks before the first use has a runtime of its own in the child. */
SK_TEST(process, a_fork_before_the_first_use_does_no_harm)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    SK_EXPECT(child >= 0);
    if (child == 0) {
        skua_task t;
        int result = 0;
        _exit(skua_spawn(&t, sk_give_0, NULL) || skua_join(t, &result) || result ? 1 : 42);
    }
    SK_EXPECT_EQ(waitpid(child, &status, 0), child);
    SK_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

/* ---- a stack that is too small ---- */

static long __attribute__((noinline)) run_away(long n)
{
    volatile char frame[512];
    frame[0] = (char)n;
    return n < 0 ? 0 : run_away(n + 1) + frame[0];
}

static int hungry(void *arg)
{
    if (arg) skua_sleep(SKUA_US(100)); /* on a stack of its own by now, with a loop below it */
    return (int)run_away(0);
}

typedef struct meal {
    size_t stack_size;
    void *parks;
} meal;

/* Runs hungry in a child that starts skua itself; returns its wait status, its stderr in `said`. */
static int overflow_in_child(meal m, char *said, size_t room)
{
    int ends[2], status = 0;
    SK_EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    SK_EXPECT(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        skua_task t;
        if (skua_spawn_with(&t, &(skua_task_options){.stack_size = m.stack_size}, hungry, m.parks)) _exit(98);
        skua_join(t, NULL);
        _exit(99);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; used < room - 1 && (n = read(ends[0], said + used, room - 1 - used)) > 0;) used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

SK_TEST(process, a_stack_overflow_names_the_function_and_the_stack_class)
{
    char said[4096], function[64];
    snprintf(function, sizeof function, "%#lx", (unsigned long)(uintptr_t)hungry);
    static const struct {
        meal m;
        const char *size;
    } meals[] = {
        {{0, NULL}, "64 KiB"}, {{0, &rt}, "64 KiB"}, {{16 << 10, NULL}, "16 KiB"}, {{1 << 20, &rt}, "1024 KiB"}};
    for (size_t i = 0; i < sizeof meals / sizeof *meals; i++) {
        int status = overflow_in_child(meals[i].m, said, sizeof said);
        SK_EXPECT(WIFSIGNALED(status) || WEXITSTATUS(status) == 1); /* a sanitizer ends it its own way */
        const char *line = strstr(said, "skua: stack overflow in task");
        if (!line || !strstr(line, function) || !strstr(line, meals[i].size))
            fprintf(stderr, "case %zu: %s\n", i, said);
        SK_EXPECT(line && strstr(line, function) && strstr(line, meals[i].size));
    }
}

#if !SK_SANITIZED /* they end the process in their own way, or know atoi */

/* In a blocking call the thread stands on the task's stack, and has no worker to ask. */
static int hungry_in_a_blocking_call(void *unused)
{
    (void)unused;
    return skua_blocking_begin() ? -1 : (int)run_away(0);
}

typedef struct last_words {
    skua_fn *fn;
    void *arg;
} last_words;

static void run_as_task(void *arg)
{
    last_words *l = arg;
    skua_task t;
    if (skua_spawn(&t, l->fn, l->arg)) _exit(98);
    skua_join(t, NULL);
}

static void expect_words(skua_fn *fn, void *arg, const char *words)
{
    char said[4096];
    last_words l = {fn, arg};
    int status = sk_child(run_as_task, &l, said, sizeof said);
    if (!strstr(said, words)) fprintf(stderr, "said: %s\n", said);
    SK_EXPECT(sk_died_of(status, SIGSEGV) && strstr(said, words));
}

/* The child has no runtime before; it must have a guard page to touch, so it makes a stack first. */
static int touch_a_guard(void *unused)
{
    (void)unused;
    skua_task t;
    sk_worker *w = sk_worker_self();
    char *guard = sk_stack_base(&w->fiber->stack);
    int (*parse)(const char *) = atoi;
    skua_fn *fn;
    memcpy(&fn, &parse, sizeof fn); /* a function of a library, which has a name at run time */
    return skua_spawn(&t, fn, guard + 100) || skua_join(t, NULL);
}

SK_TEST(process, a_stack_overflow_is_named_as_far_as_possible)
{
    expect_words(hungry_in_a_blocking_call, NULL, "skua: stack overflow in task (none) on a 64 KiB stack\n");
    expect_words(touch_a_guard, NULL, " atoi on a 64 KiB stack\n");
}

#endif

/* ---- idle ---- */

/* Reads /proc/self/task/ID/FILE. False: the thread has ended. */
static bool read_of_thread(const char *id, const char *file, char *text, size_t room)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", id, file);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    text[fread(text, 1, room - 1, f)] = '\0';
    fclose(f);
    return true;
}

/* Voluntary context switches of skua's threads; a sanitizer has one of its own. */
static unsigned long switches_of_ours(void)
{
    char text[8192];
    unsigned long sum = 0, n;
    DIR *folder = opendir("/proc/self/task");
    SK_EXPECT(folder != NULL);
    for (struct dirent *e; (e = readdir(folder));) {
        if (!isdigit((unsigned char)e->d_name[0]) || !read_of_thread(e->d_name, "comm", text, sizeof text)) continue;
        if (strncmp(text, "skua-", 5) != 0 || !read_of_thread(e->d_name, "status", text, sizeof text)) continue;
        const char *line = strstr(text, "\nvoluntary_ctxt_switches:");
        if (line && sscanf(line, "\nvoluntary_ctxt_switches: %lu", &n) == 1) sum += n;
    }
    closedir(folder);
    return sum;
}

static int nap(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_MS(1));
}

/* After a burst memory is given back for some seconds, each with its wake-up; then nothing may move. */
static bool falls_silent(void)
{
    for (int tries = 0; tries < 15; tries++) {
        unsigned long before = switches_of_ours();
        skua_sleep(SKUA_MS(1500));
        if (before > 0 && switches_of_ours() == before) return true; /* 0: on a busy machine they have yet to begin */
    }
    return false;
}

SK_TEST(process, an_idle_runtime_sleeps)
{
    static const skua_adjust policies[] = {SKUA_ADJUST_FIXED, SKUA_ADJUST_BACKLOG, SKUA_ADJUST_BLOCKING};
    skua_runtime *each[3];
    for (int i = 0; i < 3; i++) {
        skua_runtime_options o = {.workers_max = 4, .adjust = policies[i]};
        SK_EXPECT_EQ(skua_runtime_create(&each[i], &o), 0);
        for (int k = 0; k < 1000; k++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(each[i], nap, NULL)), 0);
    }
    SK_EXPECT(falls_silent());
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(sk_run_on(each[i], nap, NULL), 0); /* and wakes up again */
        SK_EXPECT_EQ(sk_stats_of(each[i]).done, 1001);
        SK_EXPECT_EQ(skua_runtime_release(each[i]), 0);
    }
}

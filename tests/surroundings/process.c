/* process.c: forks, other programs, the end of the process, unloading, closed streams, a huge environment. */
#include "surroundings.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- fork without exec: every call of the public headers ---- */

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

/* Whether the call that ends the process does so, with its last words: -ECHILD, or 0. */
static int dies_of(void (*call)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        call();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? -ECHILD : 0;
}

/* For ask_every_call, as the next one. */
static void give_up(void)
{
    skua_panic_task_at("here", 1, "there is no task in a child");
}

/* For ask_every_call. */
static void abort_of_fault(void)
{
    skua_fault fault = {.file = "here", .line = 1, .message = "so it is"};
    skua_fault_abort(&fault, NULL);
}

/* For ask_every_call. */
static void rethrow(void)
{
    skua_fault fault = {.file = "here", .line = 1, .message = "and again"};
    skua_fault_rethrow(&fault);
}

/* For ask_every_call. A histogram needs nothing but its memory. */
static bool ask_of_durations(void)
{
    skua_histogram one = {0}, both = {0};
    skua_histogram_add(&one, 8);
    skua_histogram_merge(&both, &one);
    skua_histogram_merge(&both, &one);
    return skua_histogram_quantile(&both, 0.5) == 8 && skua_histogram_mean(&both) == 8 && skua_histogram_bound(8) == 8;
}

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

/* The number of the first call that does not answer as documented; 0: all do. */
static int ask_every_call(void)
{
    skua_task t = {0}, two[2];
    skua_timer timer;
    skua_runtime *other = (skua_runtime *)&t;
    skua_pool *another = (skua_pool *)&t;
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
    static skua_histogram histogram;
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
    int result;
    skua_task_options on_rt = {.runtime = rt}, later = {.runtime = rt, .delay = SKUA_MS(1)};
    int answers[] = {
        skua_go(sk_give_0, NULL),
        skua_spawn(&t, sk_give_0, NULL),
        skua_spawn_with(&t, NULL, sk_give_0, NULL),
        skua_spawn_with(&t, &on_rt, sk_give_0, NULL),
        skua_spawn_with(NULL, &later, sk_give_0, NULL),
        skua_spawn_batch(NULL, 3, sk_give_0, NULL),
        skua_spawn_batch(two, 2, sk_give_0, NULL),
        skua_join(task, &result),
        skua_join_for(task, 0, NULL),
        skua_join_for(task, SKUA_S(1000), NULL),
        skua_detach(task),
        skua_cancel(task),
        skua_yield(),
        skua_sleep(SKUA_S(1000)),
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
        skua_runtime_stop(rt, SKUA_FOREVER),
        skua_runtime_release(rt),
        skua_runtime_stats(rt, &stats, NULL, 0),
        skua_pool_create(&another, NULL),
        skua_pool_create(&another, &(skua_pool_options){.runtime = rt}),
        skua_pool_submit(pool, sk_give_0, NULL),
        skua_pool_try_submit(pool, sk_give_0, NULL),
        skua_pool_submit_batch(pool, 2, sk_give_0, NULL),
        skua_pool_submit_with(pool, NULL, NULL, sk_give_0, NULL),
        skua_pool_invoke(pool, NULL),
        skua_pool_run(pool, sk_give_0, NULL, &result),
        skua_pool_wait(pool, SKUA_FOREVER),
        skua_pool_stats(pool, &counts),
        skua_pool_times(pool, &histogram, &histogram),
        skua_pool_snapshot(pool, &counts, &histogram, &histogram),
        skua_progress_of(pool, &progress),
        skua_pool_expect(pool, 1),
        skua_progress_start(&reporter, pool, 1, no_progress, NULL, NULL),
        skua_progress_stop(&reporter),
        skua_pool_fault(pool, &fault),
        skua_pool_tune(pool, 3),
        skua_pool_pause(pool),
        skua_pool_resume(pool),
        (int)skua_pool_cancel(pool),
        skua_pool_stop(pool, SKUA_FOREVER),
        skua_pool_stop_now(pool, SKUA_FOREVER),
        skua_pool_restart(pool),
        skua_pool_release(pool),
        skua_pool_default() ? 0 : -ECHILD,
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
        (skua_deadlock_print(NULL, NULL), -ECHILD),
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
        dies_of(give_up),
        dies_of(abort_of_fault),
        dies_of(rethrow),
        skua_runtime_default() ? 0 : -ECHILD,
        /* And those that cannot fail: they return, and mean what they say. */
        skua_cancelled() == 0 ? -ECHILD : 0,
        skua_now() > 0 ? -ECHILD : 0,
        strlen(skua_strerror(-ECHILD)) > 5 ? -ECHILD : 0,
        ask_of_durations() ? -ECHILD : 0,
        (skua_self().ref == NULL) == (skua_runtime_current() == NULL) ? -ECHILD : 0,
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i] != -ECHILD) return i < 254 ? (int)i + 1 : 255; /* it becomes an exit status */
    return 0;
}

static int fork_and_ask(void *grandchild)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        int status = ask_every_call();
        if (status == 0 && grandchild) status = fork_and_ask(NULL);
        _exit(status);
    }
    return status_of_child(child);
}

static int fork_in_a_blocking_call(void *unused)
{
    (void)unused;
    return skua_block(fork_and_ask, NULL);
}

static int forked(void)
{
    SK_EXPECT(skua_runtime_default() != NULL);
    load *l = load_begin(2);
    rt = load_runtime(l);
    sk_gate gate = 0;
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
    for (int i = 0; i < 60; i++) {
        task = sk_spawn_on(rt, sk_open, &gate);
        SK_EXPECT_EQ(fork_and_ask(&gate), 0);
        SK_EXPECT_EQ(sk_run_on(rt, fork_and_ask, NULL), 0);
        SK_EXPECT_EQ(sk_run_on(rt, fork_in_a_blocking_call, NULL), 0);
        SK_EXPECT_EQ(skua_join(task, NULL), 0); /* the parent goes on */
    }
    SK_EXPECT_EQ(sk_gate_now(&gate), 60);
    SK_EXPECT_EQ(skua_context_release(context), 0);
    SK_EXPECT_EQ(skua_chan_release(chan), 0);
    SK_EXPECT_EQ(skua_ticker_release(ticker), 0);
    SK_EXPECT_EQ(skua_lane_release(lane), 0);
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_shards_release(shards), 0);
    SK_EXPECT_EQ(skua_stream_release(stream), 0);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    load_end(l);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
    return 0;
}

/* ---- other programs ---- */

/* The other program: which descriptors and which blocked signals has it inherited? */
static int other_program(void)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < 32; number++)
        if (sigismember(&mask, number)) return 3;
    return count_entries("/proc/self/fd") == atoi(case_word) ? 42 : 4;
}

static char descriptors[16]; /* how many there were before skua was used */

static int exec_other(void *unused)
{
    (void)unused;
    return status_of_child(again("process: the other program", descriptors));
}

/* A task runs on a thread of ours, whose signals are blocked: posix_spawn can give the program others. */
static int spawn_other(void *unused)
{
    (void)unused;
    pid_t child;
    sigset_t none;
    posix_spawnattr_t attr;
    char *words[] = {"surroundings", "--case", "process: the other program", descriptors, NULL};
    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    SK_EXPECT_EQ(posix_spawn(&child, "/proc/self/exe", NULL, &attr, words, environ), 0);
    posix_spawnattr_destroy(&attr);
    return status_of_child(child);
}

static int spawn_in_a_blocking_call(void *unused)
{
    return skua_block(spawn_other, unused);
}

static int others(void)
{
    snprintf(descriptors, sizeof descriptors, "%d", count_entries("/proc/self/fd"));
    load *l = load_begin(2);
    skua_task_options o = {.runtime = load_runtime(l), .stack_size = 256 << 10};
    for (int i = 0; i < 60; i++) {
        int result;
        SK_EXPECT_EQ(exec_other(NULL), 42);
        SK_EXPECT_EQ(spawn_other(NULL), 42);
        SK_EXPECT_EQ(skua_spawn_with(&task, &o, i % 2 ? spawn_other : spawn_in_a_blocking_call, NULL), 0);
        SK_EXPECT_EQ(skua_join(task, &result), 0);
        SK_EXPECT_EQ(result, 42);
    }
    load_end(l);
    return 0;
}

/* ---- the end of the process ---- */

static sk_gate at_exit_ran;

static int say_42(void *unused)
{
    (void)unused;
    return 42;
}

/* While main or a task exits the workers still run, and skua can be used. Says by the exit status how that went. */
static void at_exit(void)
{
    int result = 0;
    skua_task t;
    sk_gate_add(&at_exit_ran);
    if (skua_spawn_with(&t, &(skua_task_options){.runtime = rt}, say_42, NULL) || skua_join(t, &result) || result != 42)
        _exit(5);
}

static int exits(void *how)
{
    if (*(const char *)how == 'E') _exit(42);
    exit(42);
}

static char exit_how;

static int exiting_program(void)
{
    char how = case_word[0], where = case_word[1];
    atexit(at_exit);
    load *l = load_begin(3);
    rt = load_runtime(l);
    SK_EXPECT(skua_runtime_default() != NULL);
    usleep((useconds_t)(1 + case_word[2] - '0') * 300);
    if (where == 'm' && how == 'r') return 42;
    if (where == 'm') exits(&how);
    exit_how = how;
    SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, exits, &exit_how), 0);
    if (where == 'p') pthread_exit(NULL); /* main is gone, the rest of the process is not */
    for (;;) pause();
}

static int exit_200_times(void)
{
    static const char *const ways[] = {"em", "Em", "rm", "et", "Et", "ep", "Ep"};
    for (int i = 0; i < 210; i++) {
        char word[8];
        snprintf(word, sizeof word, "%s%d", ways[i % 7], i / 7 % 10);
        int status = status_of_child(again("process: the program that exits", word));
        if (status != 42) fprintf(stderr, "exit %s: status %d\n", word, status);
        SK_EXPECT_EQ(status, 42);
    }
    return 0;
}

/* ---- the shared library: loaded, used, unloaded ---- */

typedef struct library {
    void *handle;
    int (*create)(skua_runtime **, const skua_runtime_options *);
    int (*release)(skua_runtime *);
    int (*spawn_with)(skua_task *, const skua_task_options *, skua_fn *, void *);
    int (*join)(skua_task, int *);
} library;

static library lib;

static void open_library(void)
{
    const char *path = getenv("SKUA_LIBRARY");
    lib.handle = dlopen(path ? path : "libskua.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib.handle) fprintf(stderr, "%s\n", dlerror());
    SK_EXPECT(lib.handle != NULL);
    *(void **)&lib.create = dlsym(lib.handle, "skua_runtime_create");
    *(void **)&lib.release = dlsym(lib.handle, "skua_runtime_release");
    *(void **)&lib.spawn_with = dlsym(lib.handle, "skua_spawn_with");
    *(void **)&lib.join = dlsym(lib.handle, "skua_join");
    SK_EXPECT(lib.create && lib.release && lib.spawn_with && lib.join);
}

static int use_library(skua_runtime *on)
{
    int result = 0;
    skua_task t;
    SK_EXPECT_EQ(lib.spawn_with(&t, &(skua_task_options){.runtime = on}, say_42, NULL), 0);
    SK_EXPECT_EQ(lib.join(t, &result), 0);
    return result;
}

/* A thread that has used skua ends after the library was closed: the destructor of its record is the library's. */
static void *user_of_the_library(void *on)
{
    SK_EXPECT_EQ(use_library((skua_runtime *)on), 42);
    SK_EXPECT_EQ(dlclose(lib.handle), 0);
    SK_EXPECT_EQ(use_library((skua_runtime *)on), 42);
    return NULL;
}

static int unload(void)
{
    skua_runtime *on;
    pthread_t thread;
    open_library();
    SK_EXPECT_EQ(lib.create(&on, &(skua_runtime_options){.workers_max = 2}), 0);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, user_of_the_library, on), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    usleep(20000); /* the workers and the monitor go about their business */
    SK_EXPECT_EQ(use_library(on), 42);
    SK_EXPECT_EQ(lib.release(on), 0);
    pid_t child = fork(); /* the fork handler is the library's */
    if (child == 0) _exit(lib.create(&on, NULL) == -ECHILD ? 42 : 6);
    SK_EXPECT_EQ(status_of_child(child), 42);
    for (int i = 0; i < 20; i++) { /* and again, as a plugin host would do */
        open_library();
        SK_EXPECT_EQ(lib.create(&on, &(skua_runtime_options){.workers_max = 2}), 0);
        SK_EXPECT_EQ(use_library(on), 42);
        SK_EXPECT_EQ(lib.release(on), 0);
        SK_EXPECT_EQ(dlclose(lib.handle), 0);
    }
    return 0;
}

/* ---- stopped and continued ---- */

static int stopped_program(void)
{
    load *l = load_begin(3);
    for (int i = 0; i < 400; i++) {
        uint64_t begin = skua_now();
        SK_EXPECT_EQ(skua_sleep(SKUA_MS(1)), 0);
        SK_EXPECT(skua_now() - begin >= SKUA_MS(1));
    }
    load_end(l);
    return 42;
}

/* How often it was stopped before it ended. */
static int stop_until_it_ends(void)
{
    int status = 0, stops = 0;
    pid_t pid = again("process: the program that is stopped", NULL);
    for (; waitpid(pid, &status, WNOHANG) == 0; stops++) {
        kill(pid, SIGSTOP);
        usleep(2000);
        kill(pid, SIGCONT);
        usleep(5000);
    }
    SK_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    return stops;
}

static int stop_and_continue(void)
{
    int stops = 0;
    /* Once, unless the machine stops us as well. */
    for (int tries = 0; stops <= 20; tries++, stops += stop_until_it_ends()) SK_EXPECT(tries < 200);
    return 0;
}

/* ---- streams and environment ---- */

static int closed_streams(void)
{
    int files = count_entries("/proc/self/fd");
    for (int file = 0; file < 3; file++) close(file);
    load *l = load_begin(2);
    SK_EXPECT(skua_runtime_default() != NULL);
    while (load_done(l) < 2000) usleep(500);
    load_end(l);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
    return count_entries("/proc/self/fd") == files - 3 ? 0 : 9; /* skua has opened nothing in their place */
}

/* Status: the number of workers of the default runtime. */
static int program_in_an_environment(void)
{
    skua_stats s;
    SK_EXPECT(skua_runtime_stats(skua_runtime_default(), &s, NULL, 0) >= 0);
    int result;
    SK_EXPECT_EQ(skua_spawn(&task, say_42, NULL), 0);
    SK_EXPECT(skua_join(task, &result) == 0 && result == 42);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
    return (int)s.workers;
}

static int workers_with(const char *setting)
{
    if (setting)
        SK_EXPECT_EQ(setenv("SKUA_WORKERS", setting, 1), 0);
    else
        unsetenv("SKUA_WORKERS");
    return status_of_child(again("process: the program in an environment", NULL));
}

static int environment(void)
{
    int all = workers_with(NULL);
    SK_EXPECT(all >= 1);
    char name[32], value[200];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 5000; i++) { /* a megabyte */
        snprintf(name, sizeof name, "SKUA_%d", i);
        SK_EXPECT_EQ(setenv(name, value, 1), 0);
    }
    SK_EXPECT_EQ(workers_with(NULL), all);
    SK_EXPECT_EQ(workers_with("1"), 1);
    SK_EXPECT_EQ(workers_with("4000000000"), all); /* a limit, not a wish */
    static const char *const nonsense[] = {"", "0", "-1", "2x", " ", "18446744073709551617", "0x1", "one"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) SK_EXPECT_EQ(workers_with(nonsense[i]), all);
    char *large = (char *)malloc(100001);
    SK_EXPECT(large != NULL);
    memset(large, '9', 100000);
    large[100000] = '\0';
    SK_EXPECT_EQ(workers_with(large), all);
    free(large);
    return 0;
}

const surrounding of_process[] = {
    {"fork: every call in the child says -ECHILD, under load", forked},
    {"fork and exec, posix_spawn, under load", others},
    {"exit, _exit, return from main, from main and from tasks, 200 times", exit_200_times},
    {"stopped and continued by signals", stop_and_continue},
    {"dlclose does no harm: the library stays", unload},
    {"stdin, stdout and stderr closed", closed_streams},
    {"a huge environment, and nonsense in SKUA_WORKERS", environment},
    {NULL, NULL},
};

/* Not cases, but what the cases start: see `again`. */
const surrounding of_programs[] = {
    {"process: the other program", other_program},
    {"process: the program that exits", exiting_program},
    {"process: the program that is stopped", stopped_program},
    {"process: the program in an environment", program_in_an_environment},
    {NULL, NULL},
};

/* unit/deadlock.c: the report when all tasks wait for good, and the silence while anything can still happen. */
#include "support/child.h"
#include "support/tasks.h"

#include "os/threads.h"
#include "runtime/monitor.h"
#include "runtime/worker.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static void run(void *body)
{
    ((void (*)(void))body)();
}

/* A test in a child that has one thread only, as a test runner's process may not: then there is no telling. */
#define ALONE(name)                                                                                                    \
    static void name(void);                                                                                            \
    SK_TEST(deadlock, name)                                                                                            \
    {                                                                                                                  \
        static char said[1024];                                                                                        \
        int status = sk_child(run, (void *)name, said, sizeof said);                                                   \
        fputs(said, stderr);                                                                                           \
        SK_EXPECT(sk_ended_with(status, 99));                                                                          \
    }                                                                                                                  \
    static void name(void)

/* ---- what is told ---- */

typedef struct told {
    sk_gate times;
    size_t tasks, threads, listed;
    skua_deadlock_waiter waiter[SKUA_DEADLOCK_LISTED];
    skua_task cancel[2]; /* to be cancelled by the handler */
} told;

static void take_note(const skua_deadlock_report *report, void *arg)
{
    told *to = arg;
    to->tasks = report->tasks;
    to->threads = report->threads;
    to->listed = report->listed;
    memcpy(to->waiter, report->waiter, report->listed * sizeof *report->waiter);
    sk_gate_add(&to->times);
    for (int i = 0; i < 2; i++)
        if (to->cancel[i].ref) SK_EXPECT_EQ(skua_cancel(to->cancel[i]), 0);
}

static const skua_deadlock_waiter *find(const told *of, const void *ref)
{
    for (size_t i = 0; i < of->listed; i++)
        if (of->waiter[i].task.ref == ref) return &of->waiter[i];
    fprintf(stderr, "%p is not in the report\n", ref);
    abort();
}

/* ---- who waits ---- */

typedef struct two {
    skua_chan *from, *to;
} two;

static int receive_then_send(void *arg)
{
    two *c = arg;
    int value;
    int error = skua_chan_recv(c->from, &value);
    if (error) return error;
    return skua_chan_send(c->to, &value);
}

typedef struct deadlock {
    skua_runtime *rt;
    told told;
    two one, other;
    skua_task a, b;
} deadlock;

/* Sanitizers have threads of their own: all that are there now, but those of two runtimes and the caller. */
static void overlook_strangers(skua_runtime *rt, skua_runtime *other)
{
    uint32_t known = 1 + sk_load_rlx(&rt->thread_count) + 1;
    if (other) known += sk_load_rlx(&other->thread_count) + 1;
    sk_store_rlx(&sk_deadlock_strangers, sk_threads_of_process() - known);
}

static void begin(deadlock *d, uint32_t workers)
{
    memset(d, 0, sizeof *d);
    d->rt = sk_runtime_of(workers);
    overlook_strangers(d->rt, NULL);
    SK_EXPECT_EQ(skua_chan_create(&d->one.from, sizeof(int), 0), 0);
    SK_EXPECT_EQ(skua_chan_create(&d->one.to, sizeof(int), 0), 0);
    d->other = (two){d->one.to, d->one.from};
    SK_EXPECT_EQ(skua_runtime_on_deadlock(d->rt, take_note, &d->told), 0);
    const skua_task_options here = {.runtime = d->rt};
    SK_EXPECT_EQ(skua_spawn_with(&d->a, &here, receive_then_send, &d->one), 0);
    SK_EXPECT_EQ(skua_spawn_with(&d->b, &here, receive_then_send, &d->other), 0);
}

static void join_and_end(deadlock *d, int a, int b)
{
    int result;
    SK_EXPECT_EQ(skua_join(d->a, &result), 0);
    SK_EXPECT_EQ(result, a);
    SK_EXPECT_EQ(skua_join(d->b, &result), 0);
    SK_EXPECT_EQ(result, b);
    SK_EXPECT_EQ(skua_runtime_release(d->rt), 0);
    SK_EXPECT_EQ(skua_chan_release(d->one.from), 0);
    SK_EXPECT_EQ(skua_chan_release(d->one.to), 0);
}

ALONE(two_tasks_that_wait_for_each_other)
{
    deadlock d;
    begin(&d, 2);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 1);
    SK_EXPECT_EQ(d.told.tasks, 2);
    SK_EXPECT_EQ(d.told.threads, 1);
    SK_EXPECT_EQ(d.told.listed, 3);
    const skua_deadlock_waiter *a = find(&d.told, d.a.ref), *b = find(&d.told, d.b.ref), *main = find(&d.told, NULL);
    SK_EXPECT(strcmp(a->waits, "chan receive") == 0 && a->object == d.one.from && a->fn == receive_then_send);
    SK_EXPECT(strcmp(b->waits, "chan receive") == 0 && b->object == d.other.from && b->task.serial == d.b.serial);
    SK_EXPECT(strcmp(main->waits, "join") == 0 && main->object == d.a.ref && main->fn == NULL);
}

static int lock_it(void *arg)
{
    return skua_mutex_lock(arg);
}

static int join_it(void *arg)
{
    skua_task *task = arg;
    return skua_join(*task, NULL);
}

/* One deadlock after the other, each told once; other things that are waited for; the thread in a mutex. */
ALONE(each_is_told_once)
{
    static told to;
    static skua_mutex held = SKUA_MUTEX_INIT;
    skua_runtime *rt = sk_runtime_of(1);
    const skua_task_options here = {.runtime = rt};
    overlook_strangers(rt, NULL);
    SK_EXPECT_EQ(skua_runtime_on_deadlock(rt, take_note, &to), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&held), 0);
    for (uint32_t i = 1; i <= 2; i++) {
        skua_task a, b;
        SK_EXPECT_EQ(skua_spawn_with(&a, &here, lock_it, &held), 0);
        SK_EXPECT_EQ(skua_spawn_with(&b, &here, join_it, &a), 0);
        to.cancel[0] = a;
        SK_EXPECT_EQ(skua_join(b, NULL), 0);
        SK_EXPECT_EQ(sk_gate_now(&to.times), i);
        SK_EXPECT_EQ(to.tasks, 2);
        SK_EXPECT(strcmp(find(&to, a.ref)->waits, "mutex") == 0 && find(&to, a.ref)->object == &held);
        SK_EXPECT(strcmp(find(&to, b.ref)->waits, "join") == 0 && find(&to, b.ref)->object == a.ref);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int receive_one(void *arg)
{
    int value;
    return skua_chan_recv(arg, &value);
}

/* The tasks of a pool, whose function may be one of the library's. */
ALONE(a_pools_task_is_told_by_its_function)
{
    static told to;
    static skua_task_storage stored;
    skua_chan *c;
    skua_pool *pool;
    skua_future future;
    skua_runtime *rt = sk_runtime_of(1);
    overlook_strangers(rt, NULL);
    SK_EXPECT_EQ(skua_runtime_on_deadlock(rt, take_note, &to), 0);
    SK_EXPECT_EQ(skua_chan_create(&c, sizeof(int), 0), 0);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), 0);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, NULL, receive_one, c), 0);
    SK_EXPECT_EQ(skua_task_init(&stored, receive_one, c), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &stored), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, receive_one, c), 0);
    static sk_gate never;
    sk_thread_sleeps(&never, 0, "nothing", NULL);
    SK_EXPECT(sk_gate_block(&to.times, 1));
    sk_thread_sleeps_end();
    SK_EXPECT_EQ(to.tasks, 3);
    for (size_t i = 0; i < 3; i++) SK_EXPECT(to.waiter[i].task.ref && to.waiter[i].fn == receive_one);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_chan_send(c, &i), 0);
    SK_EXPECT_EQ(skua_future_release(future), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_chan_release(c), 0);
}

/* The thread waits for the end of the runtime, which is more than one sleep. */
ALONE(a_runtime_that_cannot_end)
{
    deadlock d;
    begin(&d, 1);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    SK_EXPECT_EQ(skua_detach(d.a), 0);
    SK_EXPECT_EQ(skua_detach(d.b), 0);
    SK_EXPECT_EQ(skua_runtime_release(d.rt), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 1);
    SK_EXPECT(strcmp(find(&d.told, NULL)->waits, "the end of a runtime") == 0);
    SK_EXPECT_EQ(skua_chan_release(d.one.from), 0);
    SK_EXPECT_EQ(skua_chan_release(d.one.to), 0);
}

/* The runtime has long been asleep when the last thread goes to sleep; and another one that is idle does not disturb.
 */
ALONE(the_last_to_come_to_rest_tells)
{
    deadlock d;
    skua_runtime *other = sk_runtime_of(1);
    begin(&d, 2);
    overlook_strangers(d.rt, other);
    SK_EVENTUALLY(sk_load_acq(&d.rt->deadlock.watches) == 1);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 1);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

/* Somebody who has been woken, and does not know it yet, is not asleep. */
ALONE(who_has_been_woken_is_awake)
{
    deadlock d;
    static sk_gate word;
    begin(&d, 2);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    sk_store_rel(&word, 1u);
    sk_thread_sleeps(&word, 0, "nothing", NULL);
    usleep(40000);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    sk_store_rel(&word, 0u); /* now it sleeps on */
    sk_monitor_ring(d.rt);
    SK_EXPECT(sk_gate_block(&d.told.times, 1));
    sk_thread_sleeps_end();
    SK_EXPECT(strcmp(find(&d.told, NULL)->waits, "nothing") == 0);
    join_and_end(&d, -ECANCELED, -ECANCELED);
}

static void cancel_both(deadlock *d)
{
    SK_EXPECT_EQ(skua_cancel(d->a), 0);
    SK_EXPECT_EQ(skua_cancel(d->b), 0);
    join_and_end(d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d->told.times), 0);
}

/* Until the monitor has found somebody up who does not wait here, twice. */
static void until_it_watches(const deadlock *d)
{
    SK_EVENTUALLY(sk_load_rlx((sk_atomic(uint32_t) *)&d->rt->deadlock.watches) == 1);
}

static void *end_later(void *arg)
{
    until_it_watches(arg);
    usleep(20000); /* the main thread waits by now */
    until_it_watches(arg);
    return NULL;
}

/* The kernel tells nobody of the end of a thread. True: it was noticed before the monitor came round to give back
   memory, 1 s after its begin. */
static bool noticed_in_time(void)
{
    deadlock d;
    pthread_t thread;
    uint64_t from = skua_now();
    begin(&d, 2);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, end_later, &d), 0);
    join_and_end(&d, -ECANCELED, -ECANCELED);
    bool in_time = skua_now() - from < SKUA_MS(900);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 1);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    return in_time;
}

ALONE(the_end_of_a_thread_that_we_do_not_know)
{
    int tries = 1;
    while (!noticed_in_time()) SK_EXPECT(tries++ < 25); /* the machine may be slow, now and then */
}

static void *be_known_and_end(void *arg)
{
    (void)arg;
    SK_EXPECT(sk_local_get() != NULL);
    return NULL;
}

/* One that has been here rings at its end, unless the monitor is up just then. */
ALONE(the_end_of_a_thread_that_we_know)
{
    deadlock d;
    pthread_t thread;
    uint32_t before;
    int tries = 1;
    begin(&d, 2);
    do {
        until_it_watches(&d);
        before = sk_load_rlx(&d.rt->monitor_word);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, be_known_and_end, NULL), 0);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    } while (sk_load_rlx(&d.rt->monitor_word) == before && tries++ < 100);
    SK_EXPECT(tries <= 100);
    cancel_both(&d);
}

/* Threads that come and go ring it once in 10 ms at most, whatever they do. */
ALONE(it_is_not_rung_by_each_sleep)
{
    enum { SLEEPS = 1000 };
    deadlock d;
    static sk_gate word;
    begin(&d, 1);
    until_it_watches(&d);
    uint64_t from = skua_now();
    uint32_t before = sk_load_rlx(&d.rt->monitor_word), rings = 0;
    for (int i = 0; i < SLEEPS || (rings == 0 && skua_now() - from < SKUA_MS(SK_PATIENCE_MS)); i++) {
        sk_thread_sleeps(&word, 0, "nothing", NULL);
        sk_thread_sleeps_end();
        if (i % 10 == 0) usleep(100);
        rings = sk_load_rlx(&d.rt->monitor_word) - before; /* none while it is up, and has lost its processor */
    }
    SK_EXPECT(rings >= 1 && rings <= 1 + (skua_now() - from) / SKUA_MS(10));
    cancel_both(&d);
}

static void say_so(const skua_deadlock_report *report, void *arg)
{
    (void)arg;
    fprintf(stderr, "told\n");
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 60000}, NULL); /* the end */
    sk_monitor_ring(report->runtime);
}

static void wait_for_good_and_look_again(void *arg)
{
    (void)arg;
    deadlock d;
    begin(&d, 1);
    if (skua_runtime_on_deadlock(d.rt, say_so, NULL)) abort();
    skua_join(d.a, NULL);
}

SK_TEST(deadlock, nothing_new_is_not_told_again)
{
    static char said[256];
    SK_EXPECT(sk_died_of(sk_child(wait_for_good_and_look_again, NULL, said, sizeof said), SIGALRM));
    SK_EXPECT(strcmp(said, "told\n") == 0);
}

/* ---- silence ---- */

static int sleep_and_send(void *arg)
{
    two *c = arg;
    int value = 1;
    skua_sleep(SKUA_MS(40));
    return skua_chan_send(c->to, &value);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int block_and_send(void *arg)
{
    two *c = arg;
    int value = 1;
    SK_EXPECT_EQ(skua_go(nothing, NULL), 0); /* for this the worker gets another thread */
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    usleep(40000);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return skua_chan_send(c->to, &value);
}

/* fn sends to both after a while; until then they and the main thread wait. */
static void silent_beside(uint32_t workers, skua_fn *fn)
{
    deadlock d;
    skua_task task;
    begin(&d, workers);
    two first = {NULL, d.one.from};
    const skua_task_options here = {.runtime = d.rt};
    SK_EXPECT_EQ(skua_spawn_with(&task, &here, fn, &first), 0);
    int value, result;
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(skua_join(d.a, &result), 0); /* it has sent to b, which sends to nobody */
    SK_EXPECT_EQ(skua_chan_recv(d.one.from, &value), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(skua_join(d.b, &result), 0);
    SK_EXPECT_EQ(skua_runtime_release(d.rt), 0);
    SK_EXPECT_EQ(skua_chan_release(d.one.from), 0);
    SK_EXPECT_EQ(skua_chan_release(d.one.to), 0);
}

ALONE(none_while_a_task_sleeps)
{
    silent_beside(2, sleep_and_send);
}

ALONE(none_in_a_blocking_call)
{
    silent_beside(1, block_and_send);
}

ALONE(none_while_a_thread_waits_with_a_limit)
{
    deadlock d;
    begin(&d, 2);
    SK_EXPECT_EQ(skua_join_for(d.a, SKUA_MS(40), NULL), -ETIMEDOUT);
    cancel_both(&d);
}

ALONE(none_while_a_thread_is_busy)
{
    deadlock d;
    begin(&d, 2);
    for (uint64_t until = skua_now() + SKUA_MS(20); skua_now() < until;) {
    }
    usleep(20000);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    cancel_both(&d);
}

static void *nap_and_cancel(void *arg)
{
    deadlock *d = arg;
    usleep(40000);
    SK_EXPECT_EQ(skua_cancel(d->a), 0);
    SK_EXPECT_EQ(skua_cancel(d->b), 0);
    return NULL;
}

ALONE(none_beside_a_thread_that_we_do_not_know)
{
    deadlock d;
    pthread_t thread;
    begin(&d, 2);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, nap_and_cancel, &d), 0);
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
}

static int cancel_later(void *arg)
{
    deadlock *d = arg;
    SK_EXPECT_EQ(skua_cancel(d->a), 0);
    return skua_cancel(d->b);
}

ALONE(none_while_a_timer_is_armed)
{
    deadlock d;
    begin(&d, 2);
    SK_EXPECT_EQ(skua_after(SKUA_MS(40), cancel_later, &d), 0); /* of the default runtime */
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
}

ALONE(none_while_a_ticker_ticks)
{
    deadlock d;
    skua_ticker *t;
    uint64_t when;
    begin(&d, 2);
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_MS(40), 0), 0);
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    cancel_both(&d);
}

static int give_ticker(void *arg)
{
    return skua_ticker_create(arg, SKUA_S(1000), 0);
}

static int take_ticker(void *arg)
{
    return skua_ticker_stop(*(skua_ticker **)arg);
}

/* Stopped, they stand in no wheel: one by the worker that has set it, one from outside. */
ALONE(stopped_tickers_hide_nothing)
{
    deadlock d;
    skua_ticker *t[2];
    begin(&d, 2);
    d.told.cancel[0] = d.a;
    d.told.cancel[1] = d.b;
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_run_on(d.rt, give_ticker, &t[i]), 0);
    usleep(20000); /* the workers sleep */
    SK_EXPECT_EQ(sk_run_on(d.rt, take_ticker, &t[0]), 0);
    usleep(20000);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(skua_ticker_stop(t[1]), 0);
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 1);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_ticker_release(t[i]), 0);
}

ALONE(none_while_signals_may_come)
{
    deadlock d;
    skua_chan *signals;
    int number;
    begin(&d, 2);
    SK_EXPECT_EQ(skua_signals_open(&signals, (int[]){SIGALRM}, 1), 0);
    SK_EXPECT_EQ(setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 40000}, NULL), 0);
    SK_EXPECT_EQ(skua_chan_recv(signals, &number), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(skua_signals_close(signals), 0);
    cancel_both(&d);
}

/* Another runtime computes. */
static int compute_and_cancel(void *arg)
{
    for (uint64_t until = skua_now() + SKUA_MS(40); skua_now() < until;) {
    }
    return cancel_later(arg);
}

ALONE(none_while_another_runtime_runs)
{
    deadlock d;
    skua_runtime *other = sk_runtime_of(1);
    skua_task task;
    begin(&d, 2);
    overlook_strangers(d.rt, other);
    SK_EXPECT_EQ(skua_spawn_with(&task, &(skua_task_options){.runtime = other}, compute_and_cancel, &d), 0);
    join_and_end(&d, -ECANCELED, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&d.told.times), 0);
    SK_EXPECT_EQ(skua_join(task, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

/* ---- by default it is printed ---- */

/* In a child whose stderr we read, and which would never end. */
static void wait_for_good(int to)
{
    skua_chan *c;
    skua_task task = {NULL, 0};
    enum { TASKS = SKUA_DEADLOCK_LISTED + 3 };
    alarm(SK_PATIENCE_MS / 1000);
    dup2(to, STDERR_FILENO);
    skua_runtime *rt = sk_runtime_of(2);
    overlook_strangers(rt, NULL);
    if (skua_chan_create(&c, sizeof(int), 0)) abort();
    two both = {c, c};
    for (int i = 0; i < TASKS; i++)
        if (skua_spawn_with(&task, &(skua_task_options){.runtime = rt}, receive_then_send, &both)) abort();
    skua_join(task, NULL);
    _exit(1);
}

static size_t lines_with(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++) n++;
    return n;
}

SK_TEST(deadlock, is_printed_by_default)
{
    static char said[16384];
    int ends[2];
    SK_EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) wait_for_good(ends[1]);
    close(ends[1]);
    for (size_t length = 0; !strstr(said, " more\n");) {
        ssize_t n = read(ends[0], said + length, sizeof said - 1 - length);
        SK_EXPECT(n > 0);
        length += (size_t)n;
    }
    SK_EXPECT_EQ(kill(child, SIGKILL), 0);
    SK_EXPECT_EQ(waitpid(child, NULL, 0), child);
    SK_EXPECT_EQ(lines_with(said, "skua: deadlock: 53 tasks wait, and nothing can wake them\n"), 1);
    SK_EXPECT_EQ(lines_with(said, ") waits for chan receive 0x"), SKUA_DEADLOCK_LISTED);
    SK_EXPECT_EQ(lines_with(said, "skua:   and 4 more\n"), 1);
}

/* What the other lines look like. */
static void print_one(void *arg)
{
    skua_deadlock_waiter some[2] = {{{arg, 1}, lock_it, "lock_it", "mutex", NULL}, {.waits = "join", .object = arg}};
    skua_deadlock_report report = {NULL, 1, 1, 2, some};
    skua_deadlock_print(&report, NULL);
}

SK_TEST(deadlock, prints_names_and_threads)
{
    static char text[1024];
    SK_EXPECT(sk_ended_with(sk_child(print_one, text, text, sizeof text), 99));
    SK_EXPECT(strstr(text, "skua: deadlock: 1 task waits, and nothing can wake it\n"));
    SK_EXPECT(strstr(text, " lock_it (0x") && strstr(text, ") waits for mutex\n"));
    SK_EXPECT(strstr(text, "skua:   a thread waits for join 0x"));
    SK_EXPECT(!strstr(text, "more"));
}

SK_TEST(deadlock, bad_input)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_runtime_on_deadlock(NULL, NULL, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_on_deadlock(rt, take_note, NULL), -ESHUTDOWN);
    skua_deadlock_print(NULL, NULL);
}

/* unit/fault_choice.c: what comes of a task that gives up, by the choice of its pool or group; who can learn why; and
   tasks that their submitters run. */
#include "support/child.h"
#include "support/pools.h"

#include <signal.h>
#include <string.h>

static int gives_up(void *what)
{
    skua_panic_task("%s", (const char *)what);
}

static void expect_kept(skua_pool *pool, const char *message)
{
    skua_fault f = {.line = -1};
    SK_EXPECT_EQ(skua_pool_fault(pool, &f), message ? 0 : -ENODATA);
    if (!message) return;
    SK_EXPECT(strcmp(f.message, message) == 0);
    SK_EXPECT(strstr(f.file, "fault_choice.c") && f.line > 8 && f.line < 15);
}

static int waited(skua_pool *pool)
{
    return skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS));
}

/* One after the other, so that it is known which is the first. */
static void give_up_in(skua_pool *pool, const char *what)
{
    uint64_t failed = sk_counts_of(pool).failed;
    SK_EXPECT_EQ(skua_pool_submit(pool, gives_up, (void *)(uintptr_t)what), 0);
    SK_EVENTUALLY(sk_counts_of(pool).failed == failed + 1 && sk_pool_stands_at(pool, 0, 0));
}

/* ---- who waits is told ---- */

SK_TEST(fault_choice, a_wait_reports_the_first_fault_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT);
    SK_EXPECT_EQ(waited(pool), 0);
    expect_kept(pool, NULL);
    give_up_in(pool, "one");
    give_up_in(pool, "two");
    expect_kept(pool, "one");
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(waited(pool), 0);
    expect_kept(pool, "one"); /* until there is another */
    give_up_in(pool, "three");
    expect_kept(pool, "three");
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(waited(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault_choice, by_default_it_is_only_the_tasks_result)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt);
    give_up_in(pool, "one");
    SK_EXPECT_EQ(waited(pool), 0);
    expect_kept(pool, "one");
    give_up_in(pool, "two");
    expect_kept(pool, "two");
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A wait that ends without a result takes nothing away. */
SK_TEST(fault_choice, a_wait_that_is_late_leaves_the_fault)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, gives_up, "meanwhile"), 0);
    SK_EVENTUALLY(sk_counts_of(pool).failed == 1);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(1)), -ETIMEDOUT);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault_choice, a_pool_above_keeps_it_too)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT), *child = SK_POOL(.parent = parent);
    give_up_in(child, "below");
    give_up_in(parent, "above");
    expect_kept(child, "below");
    expect_kept(parent, "below");
    SK_EXPECT_EQ(waited(child), 0);
    SK_EXPECT_EQ(waited(parent), -EFAULT);
    SK_EXPECT_EQ(skua_pool_release(child), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

SK_TEST(fault_choice, of_a_group_it_goes_before_other_errors)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int waits = 0; waits < 2; waits++) {
        skua_group *group;
        skua_fault f;
        int cause = 0;
        skua_group_options o = {.runtime = rt, .limit = 1, .on_fault = waits ? SKUA_FAULT_WAIT : SKUA_FAULT_RESULT};
        SK_EXPECT_EQ(skua_group_create(&group, &o), 0);
        for (int round = 0; round < 3; round++) {
            SK_EXPECT_EQ(skua_group_go(group, fails, NULL), 0);
            if (round != 1) SK_EXPECT_EQ(skua_group_go(group, gives_up, round ? "again" : "first"), 0);
            SK_EXPECT_EQ(skua_group_wait(group, &cause), waits && round != 1 ? -EFAULT : -EIO);
            SK_EXPECT_EQ(cause, -EIO);
            SK_EXPECT_EQ(skua_group_fault(group, &f), 0);
            SK_EXPECT(strcmp(f.message, round == 2 ? "again" : "first") == 0);
        }
        SK_EXPECT_EQ(skua_group_release(group), 0);
        SK_EXPECT_EQ(skua_group_fault(group, &f), -ESHUTDOWN);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct storm {
    skua_pool *pool;
    sk_gate given, over, torn, seen;
} storm;

/* A message whose letters are all alike, of a line that goes with them. */
static int gives_up_wholly(void *number)
{
    char text[SKUA_FAULT_MESSAGE_MAX + 1];
    int n = (int)(uintptr_t)number;
    memset(text, 'a' + n % 26, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    skua_panic_task_at("storm", 1000 + n % 26, "%s", text);
}

static void look_whole(storm *s)
{
    skua_fault f;
    if (skua_pool_fault(s->pool, &f)) return;
    sk_gate_add(&s->seen);
    const char all[2] = {(char)('a' + f.line - 1000), '\0'};
    if (strspn(f.message, all) != SKUA_FAULT_MESSAGE_MAX || strcmp(f.file, "storm") != 0) sk_gate_add(&s->torn);
}

static void *watches(void *arg)
{
    storm *s = arg;
    while (!sk_gate_now(&s->over)) look_whole(s);
    return NULL;
}

static void *waits(void *arg)
{
    storm *s = arg;
    while (!sk_gate_now(&s->over)) {
        int error = skua_pool_wait(s->pool, SKUA_MS(SK_PATIENCE_MS));
        SK_EXPECT(error == 0 || error == -EFAULT);
        if (error) sk_gate_add(&s->given);
    }
    return NULL;
}

/* Faults, waits that take them and readers beside each other: who reads gets the whole of one, and a wait that follows
   gets none that another one got. */
SK_TEST(fault_choice, readers_get_the_whole_of_one)
{
    skua_runtime *rt = sk_runtime_of(2);
    storm s = {.pool = SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT)};
    pthread_t threads[3];
    uint32_t n = 0, least = (uint32_t)sk_test_scaled(4000);
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, i ? waits : watches, &s), 0);
    for (; n < least || (!sk_gate_now(&s.seen) && skua_now() < give_up); n++) {
        SK_EXPECT_EQ(skua_pool_submit(s.pool, gives_up_wholly, (void *)(uintptr_t)n), 0);
        if (n % 16 == 0) skua_sleep(SKUA_US(20));
    }
    sk_gate_add(&s.over);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    uint32_t last = waited(s.pool) == -EFAULT;
    SK_EXPECT(sk_gate_now(&s.given) + last >= 1 && sk_gate_now(&s.given) + last <= n);
    SK_EXPECT_EQ(waited(s.pool), 0);
    SK_EXPECT(sk_gate_now(&s.seen) > 0);
    SK_EXPECT_EQ(sk_gate_now(&s.torn), 0);
    SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the handler ---- */

typedef struct witness {
    sk_gate calls, released;
    skua_fault seen;
    bool parks, panics;
} witness;

static void look_at(const skua_fault *fault, void *arg)
{
    witness *w = arg;
    w->seen = *fault;
    sk_gate_add(&w->calls);
    if (w->parks) SK_EXPECT(sk_gate_await(&w->released, 1));
    if (w->panics) skua_panic_task("in the handler");
}

SK_TEST(fault_choice, the_nearest_handler_is_told_and_no_other)
{
    skua_runtime *rt = sk_runtime_of(2);
    witness process = {0}, above = {0}, own = {.panics = true};
    const skua_fault_choice choice = {look_at, &process};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    skua_pool *parent = SK_POOL(.runtime = rt, .fault_handler = look_at, .fault_arg = &above),
              *silent = SK_POOL(.parent = parent), *waits = SK_POOL(.parent = parent, .on_fault = SKUA_FAULT_WAIT),
              *told = SK_POOL(.parent = parent, .fault_handler = look_at, .fault_arg = &own),
              *other = SK_POOL(.runtime = rt);
    give_up_in(silent, "silent");
    SK_EXPECT_EQ(sk_gate_now(&above.calls), 1);
    give_up_in(waits, "waits");
    SK_EXPECT_EQ(sk_gate_now(&above.calls), 1);
    SK_EXPECT_EQ(waited(waits), -EFAULT);
    give_up_in(told, "told");
    SK_EXPECT(sk_gate_now(&own.calls) == 1 && strcmp(own.seen.message, "told") == 0);
    expect_kept(told, "told");
    give_up_in(parent, "above");
    SK_EXPECT(sk_gate_now(&above.calls) == 2 && strcmp(above.seen.message, "above") == 0);
    SK_EXPECT_EQ(sk_gate_now(&process.calls), 0);
    give_up_in(other, "other");
    SK_EXPECT(sk_gate_now(&process.calls) == 1 && strcmp(process.seen.message, "other") == 0);
    skua_pool *all[] = {silent, waits, told, parent, other};
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_release(all[i]), 0);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault_choice, a_handler_may_park_and_the_wait_waits_for_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    witness w = {.parks = true};
    skua_pool *pool =
        SK_POOL(.runtime = rt, .limit = 1, .on_fault = SKUA_FAULT_WAIT, .fault_handler = look_at, .fault_arg = &w);
    SK_EXPECT_EQ(skua_pool_submit(pool, gives_up, "slowly"), 0);
    SK_EXPECT(sk_gate_await(&w.calls, 1));
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(5)), -ETIMEDOUT);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 0));
    sk_gate_add(&w.released);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- retries, callbacks ---- */

typedef struct tries {
    sk_gate begun, called;
    uint32_t succeeds;
} tries;

static int gives_up_at_first(void *arg)
{
    tries *t = arg;
    if (sk_add_ar(&t->begun, 1u) + 1 < t->succeeds) skua_panic_task("attempt");
    return 0;
}

SK_TEST(fault_choice, a_retried_task_counts_by_its_last_attempt)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 2; kind++) {
        witness w = {0};
        skua_pool *pool =
            SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT, .fault_handler = look_at, .fault_arg = &w);
        skua_submit_options o = {.retry = {.times = 2, .backoff = kind ? SKUA_US(50) : 0}};
        tries well = {.succeeds = 3}, never = {.succeeds = 100};
        skua_future f;
        skua_fault fault;
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, gives_up_at_first, &well), 0);
        SK_EXPECT_EQ(waited(pool), 0);
        expect_kept(pool, NULL);
        SK_EXPECT_EQ(sk_gate_now(&w.calls), 2);
        SK_EXPECT_EQ(skua_future_fault(f, &fault), -ENODATA);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, gives_up_at_first, &never), 0);
        SK_EXPECT_EQ(waited(pool), -EFAULT);
        SK_EXPECT_EQ(sk_gate_now(&w.calls), 5);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void call_and_give_up(void *gate, void *given, int result)
{
    (void)given;
    (void)result;
    sk_gate_add((sk_gate *)gate);
    skua_panic_task("in the callback");
}

static bool ask_and_give_up(int error, void *gate)
{
    (void)error;
    sk_gate_add((sk_gate *)gate);
    skua_panic_task("in the predicate");
}

/* Of tasks that returned, gave up, and were cancelled before their start; each callback is called once. */
SK_TEST(fault_choice, a_callback_that_gives_up_is_a_fault_of_its_pool)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate calls = 0, asked = 0;
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .on_fault = SKUA_FAULT_WAIT);
    skua_submit_options o = {.ended = {call_and_give_up, &calls, NULL}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    skua_fault f;
    SK_EXPECT(skua_pool_fault(pool, &f) == 0 && strcmp(f.message, "in the callback") == 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, gives_up, "in the task"), 0);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&calls), 2);
    o.start_within = 1;
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_give_0, NULL), 0);
    skua_sleep(SKUA_MS(5));
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&calls), 3);
    o = (skua_submit_options){.retry = {.times = 5, .again = ask_and_give_up, .again_ctx = &asked}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, fails, NULL), 0);
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- who can learn why ---- */

SK_TEST(fault_choice, joiners_and_futures_learn_why)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt);
    for (int gives = 0; gives < 2; gives++)
        for (int late = 0; late < 2; late++) {
            skua_fault f = {.line = -1};
            skua_task task;
            int result = 1;
            skua_fn *fn = gives ? gives_up : sk_give_0;
            SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, fn, "joined"), 0);
            if (late) sk_pool_await(pool);
            SK_EXPECT_EQ(skua_join_fault(task, SKUA_MS(SK_PATIENCE_MS), &result, &f), 0);
            SK_EXPECT_EQ(result, gives ? -EFAULT : 0);
            SK_EXPECT(gives ? strcmp(f.message, "joined") == 0 : !f.file && !f.message[0] && !f.line);
            SK_EXPECT_EQ(skua_join_fault(task, 0, &result, &f), -ESRCH);
        }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault_choice, of_a_future)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    skua_future f, g;
    skua_fault fault;
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, gives_up, "why"), 0);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &g, NULL, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_future_fault(f, &fault), -EAGAIN);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_release(pool), 0); /* the future keeps it */
    for (int i = 0; i < 2; i++) SK_EXPECT(skua_future_fault(f, &fault) == 0 && strcmp(fault.message, "why") == 0);
    SK_EXPECT_EQ(skua_future_fault(g, &fault), -ENODATA);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    SK_EXPECT_EQ(skua_future_release(g), 0);
    SK_EXPECT_EQ(skua_future_fault(f, &fault), -ESRCH);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int waits_and_rethrows(void *pool)
{
    skua_fault f;
    SK_EXPECT_EQ(waited(pool), -EFAULT);
    SK_EXPECT_EQ(skua_pool_fault(pool, &f), 0);
    skua_fault_rethrow(&f);
}

SK_TEST(fault_choice, who_waits_can_share_the_fate)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .on_fault = SKUA_FAULT_WAIT);
    skua_fault f, original;
    int result = 0;
    SK_EXPECT_EQ(skua_pool_submit(pool, gives_up, "a shared fate"), 0);
    skua_task task = sk_spawn_on(rt, waits_and_rethrows, pool);
    SK_EXPECT_EQ(skua_join_fault(task, SKUA_MS(SK_PATIENCE_MS), &result, &f), 0);
    SK_EXPECT_EQ(result, -EFAULT);
    SK_EXPECT_EQ(skua_pool_fault(pool, &original), 0);
    SK_EXPECT(strcmp(f.message, "a shared fate") == 0 && f.file == original.file && f.line == original.line);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault_choice, bad_arguments)
{
    skua_pool *pool;
    skua_fault f;
    int result;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.on_fault = (skua_fault_policy)3}), -EINVAL);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.on_fault = (skua_fault_policy)-1}), -EINVAL);
    skua_group *group = NULL;
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.on_fault = (skua_fault_policy)3}), -EINVAL);
    pool = SK_POOL(0);
    SK_EXPECT_EQ(skua_pool_fault(pool, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_fault(NULL, &f), -EINVAL);
    SK_EXPECT_EQ(skua_pool_fault(pool, &f), -ENODATA);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_fault(pool, &f), -ENODATA);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_fault(pool, &f), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_fault(NULL, &f), -EINVAL);
    SK_EXPECT_EQ(skua_join_fault((skua_task){0}, 0, &result, &f), -ESRCH);
    SK_EXPECT_EQ(skua_join_fault((skua_task){0}, 0, &result, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_future_fault((skua_future){0}, &f), -ESRCH);
}

/* ---- the end of the process ---- */

static void fail_now(const skua_fault *fault, void *arg)
{
    (void)fault, (void)arg;
    skua_panic_task("the handler, too");
}

/* 0: a task; 1: with a handler that gives up; 2: run by a thread; 3: both */
static void abort_somehow(void *kind)
{
    int how = *(int *)kind;
    skua_pool *pool;
    static sk_stay s;
    skua_pool_options o = {.limit = 1, .queue = 1, .on_fault = SKUA_FAULT_ABORT};
    if (how & 1) o.fault_handler = fail_now;
    if (how & 2) o.when_full = SKUA_FULL_RUN;
    if (skua_pool_create(&pool, &o)) _exit(98);
    if (how & 2) sk_occupy(pool, &s, 1);
    if (how & 2 && skua_pool_submit(pool, sk_stays, &s)) _exit(97);
    (void)skua_pool_submit(pool, gives_up, "to the end");
    skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS));
}

static void rethrow_here(void *fault)
{
    skua_fault_rethrow(*(const skua_fault **)fault);
}

static void expect_abort(void (*fn)(void *), void *arg, const char *words)
{
    char said[4096];
    int status = sk_child(fn, arg, said, sizeof said);
    if (!sk_died_of(status, SIGABRT) || !strstr(said, words)) fprintf(stderr, "status %d, said: %s\n", status, said);
    SK_EXPECT(sk_died_of(status, SIGABRT) && strstr(said, words));
}

SK_TEST(fault_choice, an_abort_is_not_to_be_kept_from_it)
{
    for (int how = 0; how < 4; how++) expect_abort(abort_somehow, &how, "skua: a task gave up: to the end (");
    skua_fault f = {.file = "there.c", .line = 7, .message = "not here"};
    skua_fault *given = &f;
    expect_abort(rethrow_here, &given, "not here (there.c:7)");
    given = NULL;
    expect_abort(rethrow_here, &given, "a fault that is not there");
}

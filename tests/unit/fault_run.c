/* unit/fault_run.c: tasks that give up while their submitter runs them (SKUA_FULL_RUN): they end alone. */
#include "support/pools.h"

#include <string.h>

/* A pool whose place and queue are taken, so that submitters run their tasks themselves. */
typedef struct full {
    skua_runtime *rt;
    skua_pool *pool;
    sk_stay stay;
} full;

static void fill(full *f, skua_pool_options o)
{
    memset(f, 0, sizeof *f);
    f->rt = sk_runtime_of(2);
    o.runtime = f->rt;
    o.limit = o.queue = 1;
    o.when_full = SKUA_FULL_RUN;
    f->pool = sk_pool_with(&o);
    sk_occupy(f->pool, &f->stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(f->pool, sk_stays, &f->stay), 0);
}

/* The books, and the end: nobody is left in submit. */
static void empty(full *f, uint64_t done, uint64_t failed, int wait)
{
    skua_pool_counts c = sk_counts_of(f->pool);
    SK_EXPECT_EQ(c.failed, failed);
    SK_EXPECT_EQ(c.submitted, done + failed + 2);
    sk_gate_add(&f->stay.leave);
    SK_EXPECT_EQ(skua_pool_wait(f->pool, SKUA_MS(SK_PATIENCE_MS)), wait);
    SK_EXPECT_EQ(sk_counts_of(f->pool).done, done + 2);
    SK_EXPECT_EQ(skua_pool_stop(f->pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_pool_release(f->pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(f->rt), 0);
}

typedef struct diary {
    char text[32];
    sk_gate n;
} diary;

static void write_letter(diary *d, char letter)
{
    uint32_t n = sk_add_ar(&d->n, 1u);
    SK_EXPECT(n < sizeof d->text - 1);
    d->text[n] = letter;
}

typedef struct note {
    skua_deferred deferred;
    diary *in;
    char letter;
    bool parks, panics;
} note;

static int write_note(void *arg)
{
    note *n = arg;
    if (n->parks) SK_EXPECT_EQ(skua_sleep(SKUA_US(50)), 0);
    write_letter(n->in, n->letter);
    if (n->panics) skua_panic_task("note %c", n->letter);
    return 0;
}

static int gives_up(void *unused)
{
    (void)unused;
    skua_panic_task("run by the submitter");
}

/* Defers, as only tasks can, and gives up. */
static int defers_and_gives_up(void *arg)
{
    diary *d = arg;
    note n = {.in = d, .letter = 'n', .parks = true, .panics = true}, m = {.in = d, .letter = 'm'};
    SK_EXPECT_EQ(skua_defer(&m.deferred, write_note, &m), 0);
    SK_EXPECT_EQ(skua_defer(&n.deferred, write_note, &n), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_US(50)), 0);
    skua_panic_task("after two notes");
}

/* ---- threads ---- */

SK_TEST(fault_run, a_thread_goes_on)
{
    full f;
    skua_fault fault;
    fill(&f, (skua_pool_options){.on_fault = SKUA_FAULT_WAIT});
    SK_EXPECT_EQ(skua_pool_submit(f.pool, gives_up, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit(f.pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_fault(f.pool, &fault), 0);
    SK_EXPECT(strcmp(fault.message, "run by the submitter") == 0 && !fault.task.ref);
    empty(&f, 1, 1, -EFAULT);
}

typedef struct nest {
    skua_pool *pool;
    diary d;
    int depth;
} nest;

static int nests(void *arg)
{
    nest *n = arg;
    write_letter(&n->d, (char)('0' + n->depth));
    if (++n->depth < 4) SK_EXPECT_EQ(skua_pool_submit(n->pool, nests, n), 0);
    write_letter(&n->d, '.');
    if (--n->depth % 2) skua_panic_task("depth %d", n->depth);
    return 0;
}

static int nests_in_task(void *arg)
{
    return skua_pool_submit(((nest *)arg)->pool, nests, arg);
}

/* One in another; those within are over before. */
SK_TEST(fault_run, one_within_another)
{
    for (int in_task = 0; in_task < 2; in_task++) {
        full f;
        fill(&f, (skua_pool_options){0});
        nest n = {.pool = f.pool};
        SK_EXPECT_EQ(in_task ? sk_run_on(f.rt, nests_in_task, &n) : nests_in_task(&n), 0);
        SK_EXPECT(strcmp(n.d.text, "0123....") == 0);
        SK_EXPECT_EQ(n.depth, 0);
        empty(&f, 2, 2, 0);
    }
}

SK_TEST(fault_run, ten_thousand_exhaust_nothing)
{
    full f;
    fill(&f, (skua_pool_options){0});
    for (int i = 0; i < 10000; i++) SK_EXPECT_EQ(skua_pool_submit(f.pool, gives_up, NULL), 0);
    empty(&f, 0, 10000, 0);
}

/* ---- tasks ---- */

typedef struct submitter {
    skua_pool *pool;
    skua_fn *fn;
    diary d;
    bool in_bracket, then_gives_up;
    sk_gate went_on;
} submitter;

static int submits(void *arg)
{
    submitter *s = arg;
    note own = {.in = &s->d, .letter = 'o'};
    SKUA_SCOPED skua_deferred last;
    SK_EXPECT_EQ(skua_defer(&last, write_note, &own), 0);
    if (s->in_bracket) SK_EXPECT_EQ(skua_blocking_begin(), 0);
    SK_EXPECT_EQ(skua_pool_submit(s->pool, s->fn, &s->d), 0);
    if (s->in_bracket) SK_EXPECT_EQ(skua_blocking_end(), 0);
    SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
    write_letter(&s->d, '.');
    skua_fault f;
    SK_EXPECT_EQ(skua_fault_of(skua_self(), &f), -ENODATA); /* it is not its fault */
    SK_EXPECT_EQ(skua_sleep(SKUA_US(50)), 0);
    sk_gate_add(&s->went_on);
    if (s->then_gives_up) skua_panic_task("now the submitter");
    return 7;
}

SK_TEST(fault_run, a_task_goes_on_with_its_own_deferred_calls)
{
    for (int kind = 0; kind < 4; kind++) {
        full f;
        fill(&f, (skua_pool_options){0});
        submitter s = {.pool = f.pool, .fn = defers_and_gives_up, .in_bracket = kind & 1, .then_gives_up = kind & 2};
        skua_fault fault;
        int result;
        skua_task t = sk_spawn_on(f.rt, submits, &s);
        SK_EXPECT_EQ(skua_join_fault(t, SKUA_MS(SK_PATIENCE_MS), &result, &fault), 0);
        SK_EXPECT_EQ(result, kind & 2 ? -EFAULT : 7);
        SK_EXPECT(!(kind & 2) || strcmp(fault.message, "now the submitter") == 0);
        SK_EXPECT(strcmp(s.d.text, "nm.o") == 0);
        SK_EXPECT(skua_pool_fault(f.pool, &fault) == 0 && strcmp(fault.message, "after two notes") == 0);
        empty(&f, 0, 1, 0);
    }
}

/* Calls that are left to the end of the task are made at its end, not at the submitter's; and those who did not defer
   them cannot take the submitter's. */
static int leaves_a_note(void *arg)
{
    static note n;
    n = (note){.in = arg, .letter = 'l'};
    SK_EXPECT_EQ(skua_defer_pop(1), -ENOENT);
    SK_EXPECT_EQ(skua_defer(&n.deferred, write_note, &n), 0);
    return 0;
}

static int leaves_a_bad_note(void *arg)
{
    static note n;
    n = (note){.in = arg, .letter = 'b', .panics = true};
    return skua_defer(&n.deferred, write_note, &n);
}

static int leaves_a_bracket_open(void *arg)
{
    write_letter(arg, 'q');
    return skua_blocking_begin();
}

SK_TEST(fault_run, deferred_calls_are_made_at_the_end_of_the_call)
{
    static skua_fn *const fns[] = {leaves_a_note, leaves_a_bad_note, leaves_a_bracket_open};
    static const char *const texts[] = {"l.o", "b.o", "q.o"};
    for (int i = 0; i < 3; i++) {
        full f;
        fill(&f, (skua_pool_options){0});
        submitter s = {.pool = f.pool, .fn = fns[i]};
        SK_EXPECT_EQ(sk_run_on(f.rt, submits, &s), 7);
        SK_EXPECT(strcmp(s.d.text, texts[i]) == 0);
        empty(&f, i != 1, i == 1, 0);
    }
}

/* A submitter that gives up itself, and submits in a deferred call: both faults are told, and each is kept apart. */
static int submits_a_lost_one(void *arg)
{
    submitter *s = arg;
    skua_fault f;
    SK_EXPECT_EQ(skua_pool_submit(s->pool, s->fn, &s->d), 0);
    SK_EXPECT(skua_fault_of(skua_self(), &f) == 0 && strcmp(f.message, "the submitter first") == 0);
    sk_gate_add(&s->went_on);
    return 0;
}

static int gives_up_and_submits(void *arg)
{
    skua_deferred d;
    SK_EXPECT_EQ(skua_defer(&d, submits_a_lost_one, arg), 0);
    skua_panic_task("the submitter first");
}

SK_TEST(fault_run, a_submitter_that_gives_up_keeps_its_own_fault)
{
    full f;
    fill(&f, (skua_pool_options){0});
    submitter s = {.pool = f.pool, .fn = defers_and_gives_up};
    skua_fault fault;
    int result;
    skua_task t = sk_spawn_on(f.rt, gives_up_and_submits, &s);
    SK_EXPECT_EQ(skua_join_fault(t, SKUA_MS(SK_PATIENCE_MS), &result, &fault), 0);
    SK_EXPECT(result == -EFAULT && strcmp(fault.message, "the submitter first") == 0);
    SK_EXPECT(skua_pool_fault(f.pool, &fault) == 0 && strcmp(fault.message, "after two notes") == 0);
    SK_EXPECT_EQ(sk_gate_now(&s.went_on), 1);
    SK_EXPECT(strcmp(s.d.text, "nm") == 0);
    empty(&f, 0, 1, 0);
}

typedef struct flock {
    skua_pool *pool;
    sk_gate calls, notes, went_on;
} flock;

static int counts_note(void *arg)
{
    sk_gate_add((sk_gate *)arg);
    return skua_yield();
}

/* Parks here and there, so that it goes on on another thread, and gives up every second time. */
static int wanders(void *arg)
{
    flock *f = arg;
    skua_deferred d;
    uint32_t n = sk_add_ar(&f->calls, 1u);
    SK_EXPECT_EQ(skua_defer(&d, counts_note, &f->notes), 0);
    SK_EXPECT_EQ(n % 4 < 2 ? skua_yield() : skua_sleep(SKUA_US(n % 30)), 0);
    if (n % 2) skua_panic_task("on the way");
    return skua_defer_pop(1);
}

static int submits_wanderers(void *arg)
{
    flock *f = arg;
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(f->pool, wanders, f), 0);
    sk_gate_add(&f->went_on);
    return 0;
}

SK_TEST(fault_run, many_that_wander)
{
    full f;
    fill(&f, (skua_pool_options){0});
    flock all = {.pool = f.pool};
    uint32_t n = (uint32_t)sk_test_scaled(2000);
    skua_pool *from = SK_POOL(.runtime = f.rt, .limit = 20);
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(from, submits_wanderers, &all), 0);
    sk_pool_await(from);
    SK_EXPECT_EQ(sk_gate_now(&all.went_on), n);
    SK_EXPECT_EQ(sk_gate_now(&all.calls), 4 * n);
    SK_EXPECT_EQ(sk_gate_now(&all.notes), 4 * n);
    SK_EXPECT_EQ(sk_counts_of(from).done, n);
    SK_EXPECT_EQ(skua_pool_release(from), 0);
    empty(&f, 2 * n, 2 * n, 0);
}

/* ---- handlers and jobs ---- */

typedef struct witness {
    sk_gate calls;
    char message[64];
    bool panics;
} witness;

static void look_at(const skua_fault *fault, void *arg)
{
    witness *w = arg;
    snprintf(w->message, sizeof w->message, "%.60s", fault->message);
    sk_gate_add(&w->calls);
    if (w->panics) skua_panic_task("in the handler");
}

static int submits_only(void *arg)
{
    submitter *s = arg;
    return skua_pool_submit(s->pool, s->fn, &s->d);
}

SK_TEST(fault_run, the_pools_handler_is_told_not_the_submitters)
{
    for (int kind = 0; kind < 4; kind++) {
        full f;
        witness own = {.panics = kind & 1}, others = {.panics = false};
        fill(&f, (skua_pool_options){.fault_handler = look_at, .fault_arg = &own});
        skua_pool *from = SK_POOL(.runtime = f.rt, .fault_handler = look_at, .fault_arg = &others);
        submitter s = {.pool = f.pool, .fn = gives_up};
        int result = 1;
        if (kind & 2)
            SK_EXPECT_EQ(skua_pool_run(from, submits_only, &s, &result), 0);
        else
            result = submits_only(&s);
        SK_EXPECT_EQ(result, 0);
        SK_EXPECT_EQ(sk_gate_now(&own.calls), 1);
        SK_EXPECT_EQ(sk_gate_now(&others.calls), 0);
        SK_EXPECT(strcmp(own.message, "run by the submitter") == 0);
        SK_EXPECT_EQ(skua_pool_release(from), 0);
        empty(&f, 0, 1, 0);
    }
}

typedef struct tries {
    sk_gate begun, called;
    uint32_t succeeds;
    int result;
    bool callback_panics;
} tries;

static int tries_hard(void *arg)
{
    tries *t = arg;
    uint32_t n = sk_add_ar(&t->begun, 1u) + 1;
    if (n < t->succeeds) skua_panic_task("attempt %u", n);
    return (int)n;
}

static void tell(void *ctx, void *given, int result)
{
    (void)given;
    tries *t = ctx;
    t->result = result;
    sk_gate_add(&t->called);
    if (t->callback_panics) skua_panic_task("in the callback");
}

SK_TEST(fault_run, retries_callbacks_and_futures)
{
    for (int kind = 0; kind < 4; kind++) {
        bool well = kind & 1;
        full f;
        fill(&f, (skua_pool_options){.on_fault = SKUA_FAULT_WAIT});
        tries t = {.succeeds = well ? 3 : 100, .callback_panics = kind & 2};
        skua_submit_options o = {.retry = {.times = 2, .backoff = SKUA_US(10)}, .ended = {tell, &t, NULL}};
        skua_future future;
        skua_fault fault;
        int result = 0;
        SK_EXPECT_EQ(skua_pool_submit_future(f.pool, &future, &o, tries_hard, &t), 0);
        SK_EXPECT_EQ(skua_future_try(future, &result), 0);
        SK_EXPECT_EQ(result, well ? 3 : -EFAULT);
        SK_EXPECT_EQ(sk_gate_now(&t.begun), 3);
        SK_EXPECT(sk_gate_now(&t.called) == 1 && t.result == result);
        SK_EXPECT_EQ(skua_future_fault(future, &fault), well ? -ENODATA : 0);
        SK_EXPECT(well || strcmp(fault.message, "attempt 3") == 0);
        SK_EXPECT_EQ(skua_future_release(future), 0);
        SK_EXPECT_EQ(skua_pool_fault(f.pool, &fault), kind == 1 ? -ENODATA : 0);
        SK_EXPECT(kind == 1 || strcmp(fault.message, kind & 2 ? "in the callback" : "attempt 3") == 0);
        empty(&f, well, !well, kind == 1 ? 0 : -EFAULT);
    }
}

/* ---- what must not be waited for ---- */

static int waits_for_its_pool(void *arg)
{
    skua_pool *pool = arg;
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(pool), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    return 0;
}

static int submits_what_waits(void *pool)
{
    return skua_pool_submit(pool, waits_for_its_pool, pool);
}

SK_TEST(fault_run, what_the_submitter_runs_cannot_wait_for_its_pool)
{
    full f;
    fill(&f, (skua_pool_options){0});
    SK_EXPECT_EQ(submits_what_waits(f.pool), 0);
    SK_EXPECT_EQ(sk_run_on(f.rt, submits_what_waits, f.pool), 0);
    empty(&f, 2, 0, 0);
}

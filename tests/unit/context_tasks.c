/* unit/context_tasks.c: tasks that stand in contexts: their parks, their ends, and races of all that. */
#include "support/contexts.h"

#include "base/fault.h"
#include "os/clock.h"
#include "runtime/sched.h"

/* ---- parks ---- */

/* Something to park in, for ever: another one each time. */
typedef struct place {
    skua_context *c;
    int kind;
    skua_chan *chan;
    skua_mutex mutex;
    skua_task task;
    skua_pool *pool;
    skua_group *group;
    skua_future future;
    sk_gate at, go;
} place;

enum {
    SLEEP,
    RECV,
    RECV_FOR,
    SEND,
    SELECT,
    SELECT_OF_NONE,
    MUTEX,
    JOIN,
    POOL_WAIT,
    GROUP_WAIT,
    FUTURE_WAIT,
    SUBMIT,
    KINDS
};

static int park_in(place *p)
{
    skua_case one = SKUA_CASE_RECV(p->chan, NULL);
    switch (p->kind) {
    case SLEEP:
        return skua_sleep(SKUA_S(3600));
    case RECV:
        return skua_chan_recv(p->chan, NULL);
    case RECV_FOR:
        return skua_chan_recv_for(p->chan, NULL, SKUA_S(3600));
    case SEND:
        return skua_chan_send(p->chan, NULL);
    case SELECT:
        return skua_select(&one, 1);
    case SELECT_OF_NONE:
        return skua_select(NULL, 0);
    case MUTEX:
        return skua_mutex_lock(&p->mutex);
    case JOIN:
        return skua_join(p->task, NULL);
    case POOL_WAIT:
        return skua_pool_wait(p->pool, SKUA_FOREVER);
    case GROUP_WAIT:
        return skua_group_wait(p->group, NULL);
    case FUTURE_WAIT:
        return skua_future_wait(p->future, SKUA_FOREVER, NULL);
    default:
        while (skua_pool_try_submit(p->pool, sk_give_0, NULL) == 0) { /* until the queue is full */
        }
        return skua_pool_submit(p->pool, sk_give_0, NULL); /* which waits for room */
    }
}

static int wait_for_go(void *arg)
{
    place *p = arg;
    return sk_gate_await(&p->go, 1) ? 0 : -ETIME;
}

static void open_place(skua_runtime *rt, place *p)
{
    SK_EXPECT_EQ(skua_chan_create_signal(&p->chan, 0), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&p->mutex), 0);
    p->task = sk_spawn_on(rt, wait_for_go, p);
    SK_EXPECT_EQ(skua_pool_create(&p->pool, &(skua_pool_options){.runtime = rt, .limit = 1, .queue = 1}), 0);
    SK_EXPECT_EQ(skua_pool_submit_future(p->pool, &p->future, NULL, wait_for_go, p), 0);
    SK_EXPECT_EQ(skua_group_create(&p->group, &(skua_group_options){.pool = p->pool}), 0);
    SK_EXPECT_EQ(skua_group_go(p->group, wait_for_go, p), 0);
}

static void close_place(place *p)
{
    sk_gate_add(&p->go);
    SK_EXPECT_EQ(skua_mutex_unlock(&p->mutex), 0);
    sk_join_with(p->task, 0);
    SK_EXPECT_EQ(skua_future_wait(p->future, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(skua_future_release(p->future), 0);
    SK_EXPECT_EQ(skua_group_wait(p->group, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(p->group), 0);
    SK_EXPECT_EQ(skua_pool_release(p->pool), 0);
    SK_EXPECT_EQ(skua_chan_release(p->chan), 0);
}

static int cancel_it(void *arg)
{
    return skua_context_cancel(arg, 0);
}

/* With one worker the canceller runs when the task has parked; with two it may be earlier, or in between. */
static int park_everywhere(void *arg)
{
    place *p = arg;
    for (p->kind = 0; p->kind < KINDS; p->kind++) {
        skua_context *c = sk_context_below(p->c);
        skua_task canceller;
        SK_EXPECT_EQ(skua_context_enter(c), 0);
        SK_EXPECT_EQ(skua_spawn(&canceller, cancel_it, c), 0);
        int found = park_in(p);
        if (found != -ECANCELED) fprintf(stderr, "kind %d\n", p->kind);
        SK_EXPECT_EQ(found, -ECANCELED);
        SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
        SK_EXPECT_EQ(park_in(p), -ECANCELED); /* at once */
        SK_EXPECT_EQ(skua_context_leave(c), 0);
        SK_EXPECT_EQ(skua_cancelled(), 0);
        sk_join_with(canceller, 0);
        SK_EXPECT_EQ(skua_sleep(1000), 0); /* nothing sticks */
        sk_release_context(c);
    }
    return 0;
}

static void parks(uint32_t workers)
{
    skua_runtime *rt = sk_runtime_of(workers);
    skua_context *c = sk_context_below(NULL);
    place p = {.c = c};
    open_place(rt, &p);
    SK_EXPECT_EQ(sk_run_on(rt, park_everywhere, &p), 0);
    close_place(&p);
    sk_release_context(c);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(context, every_park_ends_with_it)
{
    parks(1);
}

SK_TEST(context, every_park_ends_with_it_on_two_workers)
{
    parks(2);
}

/* The same at its two hardest moments: when the task has left its stack and is not PARKED yet, and right after that. */
static bool cancel_before(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    (void)t, (void)generation;
    SK_EXPECT_EQ(skua_context_cancel(wait->object, 0), 0);
    return true;
}

static bool cancel_after(const sk_wait *wait, const sk_task *t)
{
    (void)t;
    SK_EXPECT_EQ(skua_context_cancel(wait->object, 0), 0);
    return false;
}

static int park_and_be_cancelled(void *after)
{
    skua_context *c = sk_context_below(NULL);
    sk_wait wait = {.object = c};
    if (after)
        wait.happened = cancel_after;
    else
        wait.publish = cancel_before;
    SK_EXPECT_EQ(skua_context_enter(c), 0);
    SK_EXPECT_EQ(sk_park(sk_worker_self(), &wait, SK_NEVER), SK_WHY_CANCEL);
    SK_EXPECT_EQ(skua_context_leave(c), 0);
    sk_release_context(c);
    return 0;
}

SK_TEST(context, it_ends_in_the_middle_of_a_park)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, park_and_be_cancelled, NULL), 0);
    SK_EXPECT_EQ(sk_run_on(rt, park_and_be_cancelled, rt), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_inside(void *arg)
{
    sk_gate_add(arg);
    int error = skua_sleep(SKUA_S(3600));
    return error ? error : -ETIME;
}

SK_TEST(context, a_deadline_ends_parks)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate at = 0;
    skua_context *c;
    SK_EXPECT_EQ(skua_context_create_for(&c, NULL, SKUA_MS(2)), 0);
    skua_task a = sk_spawn_in(rt, c, sleep_inside, &at), b = sk_spawn_in(rt, c, sleep_inside, &at);
    sk_join_with(a, -ETIMEDOUT);
    sk_join_with(b, -ETIMEDOUT);
    sk_join_with(sk_spawn_in(rt, c, sleep_inside, &at), -ETIMEDOUT); /* it runs, and cannot sleep */
    SK_EXPECT_EQ(sk_gate_now(&at), 3);
    sk_release_context(c);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    sk_release_default();
}

/* More than one batch, in several contexts of the tree. */
SK_TEST(context, many_tasks_are_woken)
{
    enum { TASKS = 100 };
    static skua_task task[TASKS];
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate at = 0;
    skua_context *root = sk_context_below(NULL), *below = sk_context_below(root);
    for (int i = 0; i < TASKS; i++) task[i] = sk_spawn_in(rt, i % 3 ? below : root, sleep_inside, &at);
    SK_EXPECT(sk_gate_await(&at, TASKS / 2)); /* some are parked, some are not */
    SK_EXPECT_EQ(skua_context_cancel(root, 0), 0);
    sk_release_context(root);
    sk_release_context(below);
    for (int i = 0; i < TASKS; i++) sk_join_with(task[i], -ECANCELED);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- standing in several ---- */

static int nested(void *arg)
{
    (void)arg;
    skua_context *outer = sk_context_below(NULL), *inner = sk_context_below(outer), *other = sk_context_below(NULL);
    SK_EXPECT(skua_context_current() == NULL);
    SK_EXPECT_EQ(skua_context_enter(outer), 0);
    SK_EXPECT_EQ(skua_context_leave(inner), -EPERM);
    SK_EXPECT_EQ(skua_context_enter(inner), 0);
    SK_EXPECT_EQ(skua_context_leave(outer), -EPERM); /* not the innermost */
    SK_EXPECT(skua_context_current() == inner);
    SK_EXPECT_EQ(skua_context_cancel(inner, 0), 0);
    SK_EXPECT_EQ(skua_sleep(1), -ECANCELED);
    SK_EXPECT_EQ(skua_context_leave(inner), 0);
    SK_EXPECT(skua_context_current() == outer);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    /* One that is not below: the outer one does not count meanwhile. */
    SK_EXPECT_EQ(skua_context_enter(other), 0);
    SK_EXPECT_EQ(skua_context_enter(other), 0); /* twice */
    SK_EXPECT_EQ(skua_context_cancel(outer, 0), 0);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    SK_EXPECT_EQ(skua_context_leave(other), 0);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    SK_EXPECT_EQ(skua_context_leave(other), 0);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    SK_EXPECT_EQ(skua_sleep(1), -ECANCELED);
    SK_EXPECT_EQ(skua_context_leave(outer), 0);
    SK_EXPECT_EQ(skua_context_leave(outer), -EPERM);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    sk_release_context(outer);
    sk_release_context(inner);
    sk_release_context(other);
    return 0;
}

SK_TEST(context, nested_contexts)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, nested, NULL), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A park in a context that does not count for it is not disturbed by the outer one. */
static int sleep_in_another(void *arg)
{
    place *p = arg;
    skua_context *other = sk_context_below(NULL);
    SK_EXPECT_EQ(skua_context_enter(other), 0);
    sk_gate_add(&p->at);
    int error = skua_sleep(SKUA_MS(2));
    SK_EXPECT_EQ(skua_context_leave(other), 0);
    sk_release_context(other);
    SK_EXPECT_EQ(error, 0);
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(context, an_outer_context_ends_no_park_in_another_one)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 10; i++) {
        place p = {.c = sk_context_below(NULL)};
        skua_task task = sk_spawn_in(rt, p.c, sleep_in_another, &p);
        SK_EXPECT(sk_gate_await(&p.at, 1));
        SK_EXPECT_EQ(skua_context_cancel(p.c, 0), 0);
        sk_join_with(task, -ECANCELED);
        sk_release_context(p.c);
    }
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int enter_and_return(void *arg)
{
    skua_context **c = arg;
    SK_EXPECT(skua_context_current() == c[0]);
    SK_EXPECT_EQ(skua_context_enter(c[1]), 0);
    if (c[2]) SK_EXPECT_EQ(skua_context_enter(c[2]), 0);
    return skua_sleep(1);
}

static int run_inside_of_one(void *arg)
{
    skua_context **c = arg;
    SK_EXPECT_EQ(skua_context_run(c[0], NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_run(c[0], enter_and_return, c), 0);
    SK_EXPECT(skua_context_current() == NULL);
    SK_EXPECT_EQ(skua_context_cancel(c[1], 0), 0);
    c[2] = NULL;
    SK_EXPECT_EQ(skua_context_run(c[0], enter_and_return, c), -ECANCELED);
    SK_EXPECT(skua_context_current() == NULL);
    return skua_sleep(1);
}

/* Whatever the function has entered is left when it returns. */
SK_TEST(context, a_function_runs_inside)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_context *c[3] = {sk_context_below(NULL), sk_context_below(NULL), sk_context_below(NULL)};
    skua_context *kept[3] = {c[0], c[1], c[2]};
    SK_EXPECT_EQ(skua_context_run(c[0], sk_give_0, NULL), -EPERM);
    SK_EXPECT_EQ(sk_run_on(rt, run_inside_of_one, c), 0);
    for (int i = 0; i < 3; i++) sk_release_context(kept[i]);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- ends of tasks ---- */

typedef struct ending {
    skua_context *c;
    skua_deferred before, after;
    int found_before, found_after;
    bool gives_up;
} ending;

static int look_before(void *arg)
{
    ending *e = arg;
    e->found_before = skua_sleep(1);
    return 0;
}

static int look_after(void *arg)
{
    ending *e = arg;
    e->found_after = skua_sleep(1);
    return 0;
}

/* It never leaves what it has entered. */
static int end_inside(void *arg)
{
    ending *e = arg;
    SK_EXPECT_EQ(skua_defer(&e->before, look_before, e), 0);
    SK_EXPECT_EQ(skua_context_enter(e->c), 0);
    SK_EXPECT_EQ(skua_context_enter(e->c), 0);
    SK_EXPECT_EQ(skua_defer(&e->after, look_after, e), 0);
    if (e->gives_up) skua_panic_task("for a test");
    return 0;
}

SK_TEST(context, the_end_of_a_task_leaves_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 4; i++) {
        ending e = {.c = sk_context_below(NULL), .gives_up = i % 2};
        SK_EXPECT_EQ(skua_context_cancel(e.c, 0), 0);
        SK_EXPECT_EQ(sk_run_on(rt, end_inside, &e), e.gives_up ? -EFAULT : 0);
        SK_EXPECT_EQ(e.found_after, -ECANCELED); /* deferred inside */
        SK_EXPECT_EQ(e.found_before, 0);         /* deferred outside */
        sk_release_context(e.c);
        sk_nothing_left();
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What the call of a pool that its submitter makes has entered, the submitter does not stand in afterwards. */
static int submit_to_be_run(void *arg)
{
    skua_pool *pool;
    ending e = {.c = sk_context_below(NULL), .gives_up = arg != NULL};
    SK_EXPECT_EQ(skua_context_cancel(e.c, 0), 0);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.limit = 1,
                                                              .queue = SKUA_POOL_NO_QUEUE,
                                                              .runtime = skua_runtime_current(),
                                                              .when_full = SKUA_FULL_RUN}),
                 0);
    place p = {.go = 0};
    SK_EXPECT_EQ(skua_pool_submit(pool, wait_for_go, &p), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, end_inside, &e), 0);
    SK_EXPECT(skua_context_current() == NULL);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    SK_EXPECT_EQ(e.found_after, -ECANCELED);
    sk_gate_add(&p.go);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    sk_release_context(e.c);
    return 0;
}

SK_TEST(context, a_call_that_the_submitter_makes_leaves_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, submit_to_be_run, NULL), 0);
    SK_EXPECT_EQ(sk_run_on(rt, submit_to_be_run, rt), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A stay whose deferred call is popped by mistake: nothing hangs, nothing leaks. */
static int pop_the_stay(void *arg)
{
    ending e = {.c = sk_context_below(NULL)};
    SK_EXPECT_EQ(skua_context_enter(e.c), 0);
    SK_EXPECT_EQ(skua_defer_pop(1), 0); /* as a leave */
    SK_EXPECT_EQ(skua_context_leave(e.c), -EPERM);
    SK_EXPECT_EQ(skua_context_enter(e.c), 0);
    SK_EXPECT_EQ(skua_defer_pop(0), 0);
    if (arg) SK_EXPECT_EQ(skua_context_leave(e.c), 0);
    sk_release_context(e.c);
    return 0;
}

SK_TEST(context, a_stay_that_is_popped)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, pop_the_stay, NULL), 0);
    SK_EXPECT_EQ(sk_run_on(rt, pop_the_stay, rt), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- tasks that begin inside ---- */

static int tell_context(void *arg)
{
    *(skua_context **)arg = skua_context_current();
    return 7;
}

SK_TEST(context, tasks_begin_inside)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_context *c = sk_context_below(NULL), *seen = NULL;
    skua_task task;
    sk_gate at = 0, opened = 0;
    sk_join_with(sk_spawn_in(rt, c, tell_context, &seen), 7);
    SK_EXPECT(seen == c);
    skua_task_options o = {
        .runtime = rt, .stack_size = 256 << 10, .delay = SKUA_US(100), .finish_within = SKUA_S(3600)};
    SK_EXPECT_EQ(skua_context_spawn(&task, c, &o, tell_context, &seen), 0);
    sk_join_with(task, 7);
    o = (skua_task_options){.runtime = rt, .finish_within = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_context_spawn(&task, c, &o, sleep_inside, &at), 0);
    sk_join_with(task, -ETIMEDOUT);
    SK_EXPECT_EQ(skua_context_go(c, sk_open, &opened), 0); /* on the default runtime */
    SK_EXPECT(sk_gate_await(&opened, 1));
    sk_release_context(c);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    sk_release_default();
}

SK_TEST(context, tasks_that_never_start_leave_nothing)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_context *c = sk_context_below(NULL);
    skua_task task[3];
    sk_gate at = 0;
    sk_holder h = {0};
    skua_task_options delayed = {.runtime = rt, .delay = SKUA_S(3600)};
    skua_task_options soon = {.runtime = rt, .start_within = 1};
    skua_task hog = sk_hold_worker(rt, &h);
    task[0] = sk_spawn_in(rt, c, sk_open, &at);
    SK_EXPECT_EQ(skua_context_spawn(&task[1], c, &delayed, sk_open, &at), 0);
    SK_EXPECT_EQ(skua_context_spawn(&task[2], c, &soon, sk_open, &at), 0);
    SK_EXPECT_EQ(skua_context_spawn(NULL, c, &delayed, sk_open, &at), 0); /* dropped at the end */
    SK_EXPECT_EQ(skua_cancel(task[0]), 0);
    SK_EXPECT_EQ(skua_cancel(task[1]), 0);
    sk_let_worker_go(&h, hog);
    sk_join_with(task[0], -ECANCELED);
    sk_join_with(task[1], -ECANCELED);
    sk_join_with(task[2], -ETIMEDOUT);
    sk_release_context(c);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_gate_now(&at), 0);
    sk_nothing_left();
}

/* ---- no memory ---- */

#ifdef SK_FAULTS

/* Each slab is made at the first use in the process, which is where memory is refused. */
static int go_without_memory(void *unused)
{
    (void)unused;
    skua_context *c = NULL;
    sk_extra *extra;
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT_EQ(skua_context_create(&c, NULL), -ENOMEM);
    SK_EXPECT(c == NULL);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_context_create(&c, NULL), 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT_EQ(skua_context_enter(c), -ENOMEM);
    sk_fault_reset();
    SK_EXPECT_EQ(sk_extra_get(&extra), 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT_EQ(skua_context_enter(c), -ENOMEM);
    SK_EXPECT_EQ(skua_context_run(c, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_context_go(c, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT(skua_context_done(c) == NULL);
    SK_EXPECT(skua_context_current() == NULL);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_context_enter(c), 0);
    SK_EXPECT(skua_context_done(c) != NULL);
    SK_EXPECT_EQ(skua_context_go(c, sk_give_0, NULL), 0);
    sk_release_context(c);
    return 0;
}

SK_TEST(context, without_memory_nothing_is_lost)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, go_without_memory, NULL), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#endif

/* ---- races ---- */

typedef struct race {
    skua_context *root;
    skua_chan *chan;
    sk_atomic(uint32_t) seed;
} race;

static uint32_t next_number(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x >> 3;
}

static int cancel_and_release(void *arg)
{
    (void)skua_context_cancel(arg, 0);
    return skua_context_release(arg);
}

static int nap_inside(void *arg)
{
    return skua_chan_recv_for(((race *)arg)->chan, NULL, SKUA_US(50));
}

static skua_context *some_context(race *r, uint32_t *x, skua_context *above)
{
    skua_context *c;
    if (next_number(x) % 4)
        SK_EXPECT_EQ(skua_context_create(&c, above), 0);
    else
        SK_EXPECT_EQ(skua_context_create_for(&c, above, next_number(x) % 100000), 0);
    if (next_number(x) % 2) (void)skua_context_done(c);
    if (next_number(x) % 4 == 0) SK_EXPECT_EQ(skua_context_go(c, nap_inside, r), 0);
    return c;
}

static void have_it_cancelled(uint32_t *x, skua_context *c)
{
    if (next_number(x) % 2) return;
    SK_EXPECT_EQ(skua_context_retain(c), 0);
    SK_EXPECT_EQ(skua_go(cancel_and_release, c), 0);
}

/* Some turns of: make one below, have it cancelled, enter, park, leave or not, release. */
static int race_inside(void *arg)
{
    race *r = arg;
    uint32_t x = sk_add_rlx(&r->seed, 0x9e3779b9u) | 1;
    for (int i = 0; i < 16; i++) {
        skua_context *c = some_context(r, &x, next_number(&x) % 4 ? skua_context_current() : r->root);
        have_it_cancelled(&x, c);
        SK_EXPECT_EQ(skua_context_enter(c), 0);
        uint64_t ns = next_number(&x) % 50000;
        int error = next_number(&x) % 2 ? skua_sleep(ns) : skua_chan_recv_for(r->chan, NULL, ns);
        SK_EXPECT(!error || error == -ETIMEDOUT || error == -ECANCELED);
        if (next_number(&x) % 2) SK_EXPECT_EQ(skua_context_leave(c), 0); /* else at its end */
        sk_release_context(c);
    }
    return 0;
}

SK_TEST(context, enter_leave_cancel_and_spawn_at_once)
{
    enum { TASKS = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    race r = {.seed = 1};
    skua_task task[TASKS];
    SK_EXPECT_EQ(skua_chan_create_signal(&r.chan, 0), 0);
    for (long round = 0; round < sk_test_scaled(40); round++) {
        r.root = sk_context_below(NULL);
        for (int i = 0; i < TASKS; i++) task[i] = sk_spawn_in(rt, r.root, race_inside, &r);
        if (round % 2) skua_sleep(SKUA_US(300));
        SK_EXPECT_EQ(skua_context_cancel(r.root, 0), 0);
        for (int i = 0; i < TASKS; i++) sk_join_with(task[i], 0);
        sk_release_context(r.root);
    }
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_chan_release(r.chan), 0);
    sk_release_default();
}

/* A park for ever, ended beside its beginning, again and again: one that is missed hangs. */
static int sleep_in_it(void *arg)
{
    skua_context *c = arg;
    SK_EXPECT_EQ(skua_context_enter(c), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    SK_EXPECT_EQ(skua_context_leave(c), 0);
    return 0;
}

SK_TEST(context, a_cancel_beside_a_park_is_not_missed)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long i = 0; i < sk_test_scaled(2000); i++) {
        skua_context *root = sk_context_below(NULL), *c = sk_context_below(root);
        skua_task task = sk_spawn_on(rt, sleep_in_it, c);
        for (volatile int spin = 0; spin < (int)(i % 64) * 50; spin++) {
        }
        SK_EXPECT_EQ(skua_context_cancel(i % 2 ? root : c, 0), 0);
        sk_join_with(task, 0);
        sk_release_context(root);
        sk_release_context(c);
    }
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Children that come and go while their parent is ended: each has ended when that is over, or is gone. */
static void *make_children(void *arg)
{
    skua_context *root = arg, *last = NULL;
    for (int i = 0; i < 20; i++) {
        skua_context *c = sk_context_below(root);
        if (last) sk_release_context(last);
        last = c;
    }
    return last;
}

SK_TEST(context, children_come_and_go_while_it_ends)
{
    for (long i = 0; i < sk_test_scaled(150); i++) {
        skua_context *root = sk_context_below(NULL);
        void *last[2];
        pthread_t thread[2];
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(pthread_create(&thread[k], NULL, make_children, root), 0);
        SK_EXPECT_EQ(skua_context_cancel(root, 0), 0);
        for (int k = 0; k < 2; k++) {
            SK_EXPECT_EQ(pthread_join(thread[k], &last[k]), 0);
            SK_EXPECT_EQ(skua_context_error(last[k]), -ECANCELED);
            sk_release_context(last[k]);
        }
        sk_release_context(root);
    }
    sk_nothing_left();
}

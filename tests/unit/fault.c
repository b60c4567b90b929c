/* unit/fault.c: deferred calls, and giving up a task from any depth, as include/skua/fault.h promises. */
#include "support/child.h"
#include "support/tasks.h"

#include "base/fault.h"
#include "mem/stack.h"
#include "runtime/sched.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* A little diary, for the order of things. Written by one task at a time. */
typedef struct diary {
    char text[128];
    size_t n;
} diary;

typedef struct note {
    skua_deferred deferred;
    diary *in;
    char letter;
    bool parks, panics;
} note;

static void write_letter(diary *in, char letter)
{
    SK_EXPECT(in->n < sizeof in->text - 1);
    in->text[in->n++] = letter;
}

static int write_note(void *arg)
{
    note *n = arg;
    if (n->parks) SK_EXPECT_EQ(skua_sleep(SKUA_US(50)), 0);
    write_letter(n->in, n->letter);
    if (n->panics) skua_panic_task("note %c", n->letter);
    return -EIO; /* of no interest to anybody */
}

static void defer_note(note *n, diary *in, char letter)
{
    *n = (note){.in = in, .letter = letter};
    SK_EXPECT_EQ(skua_defer(&n->deferred, write_note, n), 0);
}

/* Gives up in the depth. */
static int sk_noinline dig(int depth)
{
    volatile char frame[64];
    frame[0] = (char)depth;
    if (depth == 0) skua_panic_task("%s at %d", "lost", depth);
    return depth > 1000 ? 0 : dig(depth - 1) + frame[0];
}

static int lost(void *depth)
{
    return dig((int)(intptr_t)depth);
}

static skua_runtime *rt;

/* Runs fn as a task and waits for it, without its runtime's help, so that the handle is still there. */
static skua_task ended_task(skua_fn *fn, void *arg)
{
    skua_fault fault;
    skua_task t = sk_spawn_on(rt, fn, arg);
    SK_EVENTUALLY(skua_fault_of(t, &fault) != -EAGAIN);
    return t;
}

static int join_result(skua_task t)
{
    int result = -1;
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    return result;
}

/* ---- deferred calls ---- */

typedef struct three {
    note n[3];
    diary d;
} three;

static int defer_three(void *arg)
{
    three *t = arg;
    for (int i = 0; i < 3; i++) defer_note(&t->n[i], &t->d, (char)('a' + i));
    t->n[1].parks = true;
    write_letter(&t->d, '1');
    return 7;
}

SK_TEST(fault, deferred_calls_are_made_backwards_after_a_return)
{
    rt = sk_runtime_of(2);
    three t = {0};
    SK_EXPECT_EQ(sk_run_on(rt, defer_three, &t), 7);
    SK_EXPECT(strcmp(t.d.text, "1cba") == 0);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT(s.done == 1 && s.created == 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int in_scopes(void *arg)
{
    diary *d = arg;
    note outer = {.in = d, .letter = 'o'}, inner = {.in = d, .letter = 'i'}, undone = {.in = d, .letter = 'u'};
    SKUA_SCOPED skua_deferred last, never;
    (void)never; /* not deferred: nothing to be done */
    SK_EXPECT_EQ(skua_defer(&last, write_note, &outer), 0);
    for (int i = 0; i < 2; i++) {
        SKUA_SCOPED skua_deferred first;
        SK_EXPECT_EQ(skua_defer(&first, write_note, &inner), 0);
        write_letter(d, '.');
    }
    SKUA_SCOPED skua_deferred taken_back;
    SK_EXPECT_EQ(skua_defer(&taken_back, write_note, &undone), 0);
    SK_EXPECT_EQ(skua_undefer(&taken_back), 0);
    return 3;
}

SK_TEST(fault, a_scope_makes_its_call_when_it_is_left)
{
    rt = sk_runtime_of(1);
    diary d = {0};
    SK_EXPECT_EQ(sk_run_on(rt, in_scopes, &d), 3);
    SK_EXPECT(strcmp(d.text, ".i.io") == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int take_back(void *arg)
{
    diary *d = arg;
    note n[5];
    skua_deferred stranger;
    SK_EXPECT_EQ(skua_defer_pop(1), -ENOENT);
    for (int i = 0; i < 5; i++) defer_note(&n[i], d, (char)('a' + i));
    SK_EXPECT_EQ(skua_defer(&n[4].deferred, write_note, NULL), -EALREADY);
    SK_EXPECT_EQ(skua_defer(&n[0].deferred, write_note, NULL), -EALREADY);
    SK_EXPECT_EQ(skua_undefer(&stranger), -ENOENT);
    SK_EXPECT_EQ(skua_defer_run(&stranger), -ENOENT);
    SK_EXPECT_EQ(skua_undefer(&n[2].deferred), 0);
    SK_EXPECT_EQ(skua_undefer(&n[2].deferred), -ENOENT);
    SK_EXPECT_EQ(skua_defer_pop(0), 0); /* e */
    SK_EXPECT_EQ(skua_defer_run(&n[1].deferred), 0);
    SK_EXPECT_EQ(skua_defer_run(&n[1].deferred), -ENOENT);
    SK_EXPECT_EQ(skua_defer_pop(1), 0); /* d */
    SK_EXPECT_EQ(skua_defer_pop(1), 0); /* a */
    SK_EXPECT_EQ(skua_defer_pop(0), -ENOENT);
    defer_note(&n[0], d, 'x'); /* its memory is free again */
    return skua_defer_pop(1);
}

SK_TEST(fault, deferred_calls_can_be_taken_back)
{
    rt = sk_runtime_of(1);
    diary d = {0};
    SK_EXPECT_EQ(sk_run_on(rt, take_back, &d), 0);
    SK_EXPECT(strcmp(d.text, "bdax") == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault, bad_arguments_and_no_task)
{
    skua_deferred d;
    skua_fault f;
    skua_fault_choice no_handler = {NULL, NULL};
    SK_EXPECT_EQ(skua_defer(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_defer(&d, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_defer(&d, sk_give_0, NULL), -EPERM);
    SK_EXPECT_EQ(skua_defer_pop(1), -EPERM);
    SK_EXPECT_EQ(skua_defer_run(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_defer_run(&d), -EPERM);
    SK_EXPECT_EQ(skua_undefer(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_undefer(&d), -EPERM);
    SK_EXPECT_EQ(skua_on_fault(&no_handler), -EINVAL);
    SK_EXPECT_EQ(skua_fault_of((skua_task){0}, &f), -ESRCH);
    SK_EXPECT_EQ(skua_fault_of((skua_task){0}, NULL), -EINVAL);
    SK_EXPECT(strstr(skua_strerror(-EFAULT), "gave up"));
}

/* ---- giving up ---- */

SK_TEST(fault, from_any_depth_with_message_and_place)
{
    rt = sk_runtime_of(2);
    for (intptr_t depth = 0; depth <= 100; depth += 20) {
        skua_fault f = {.line = -1};
        skua_task t = ended_task(lost, (void *)depth);
        SK_EXPECT_EQ(skua_fault_of(t, &f), 0);
        SK_EXPECT(strcmp(f.message, "lost at 0") == 0 && strstr(f.file, "fault.c") && f.line > 40 && f.line < 60);
        SK_EXPECT(f.task.ref == t.ref && f.task.serial == t.serial);
        SK_EXPECT_EQ(join_result(t), -EFAULT);
        SK_EXPECT_EQ(skua_fault_of(t, &f), -ESRCH);
        t = ended_task(sk_give_0, NULL); /* which has the same memory */
        SK_EXPECT_EQ(skua_fault_of(t, &f), -ENODATA);
        SK_EXPECT_EQ(join_result(t), 0);
    }
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT(s.failed == 6 && s.done == 6 && s.running == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sk_noinline deeper(three *t, diary *d, int depth)
{
    SKUA_SCOPED skua_deferred mine;
    note n = {.in = d, .letter = (char)('0' + depth), .parks = depth == 2};
    SK_EXPECT_EQ(skua_defer(&mine, write_note, &n), 0);
    return depth == 4 ? dig(20) : deeper(t, d, depth + 1);
}

static int give_up_among_scopes(void *arg)
{
    three *t = arg;
    defer_note(&t->n[0], &t->d, 'a');
    return deeper(t, &t->d, 1);
}

SK_TEST(fault, deferred_calls_of_all_frames_are_made)
{
    rt = sk_runtime_of(2);
    three t = {0};
    SK_EXPECT_EQ(sk_run_on(rt, give_up_among_scopes, &t), -EFAULT);
    SK_EXPECT(strcmp(t.d.text, "4321a") == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A deferred call that defers in its own frame, and gives up. */
static int defer_and_give_up(void *arg)
{
    diary *d = arg;
    note n;
    defer_note(&n, d, 'n');
    n.panics = true;
    skua_panic_task("the second");
}

static int give_up_in_deferred_calls(void *arg)
{
    three *t = arg;
    skua_deferred own;
    skua_fault f;
    for (int i = 0; i < 3; i++) defer_note(&t->n[i], &t->d, (char)('a' + i));
    t->n[0].parks = t->n[1].panics = t->n[2].panics = true;
    SK_EXPECT_EQ(skua_defer(&own, defer_and_give_up, &t->d), 0);
    SK_EXPECT_EQ(skua_fault_of(skua_self(), &f), -ENODATA);
    skua_panic_task("the first");
}

SK_TEST(fault, one_in_a_deferred_call_leaves_the_rest_to_be_made)
{
    rt = sk_runtime_of(2);
    three t = {0};
    skua_fault f;
    skua_task task = ended_task(give_up_in_deferred_calls, &t);
    SK_EXPECT(strcmp(t.d.text, "ncba") == 0);
    SK_EXPECT(skua_fault_of(task, &f) == 0 && strcmp(f.message, "the first") == 0);
    SK_EXPECT_EQ(join_result(task), -EFAULT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int return_with_bad_calls(void *arg)
{
    three *t = arg;
    for (int i = 0; i < 3; i++) defer_note(&t->n[i], &t->d, (char)('a' + i));
    t->n[0].panics = t->n[1].panics = true;
    return 0;
}

SK_TEST(fault, in_a_deferred_call_after_a_return)
{
    rt = sk_runtime_of(2);
    three t = {0};
    skua_fault f;
    skua_task task = ended_task(return_with_bad_calls, &t);
    SK_EXPECT(strcmp(t.d.text, "cba") == 0);
    SK_EXPECT(skua_fault_of(task, &f) == 0 && strcmp(f.message, "note b") == 0);
    SK_EXPECT_EQ(join_result(task), -EFAULT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

enum { MANY_NOTES = 50 };

static int give_up_many_times(void *arg)
{
    diary *d = arg;
    note n[MANY_NOTES];
    for (int i = 0; i < MANY_NOTES; i++) {
        defer_note(&n[i], d, 'x');
        n[i].panics = true;
    }
    skua_panic_task("first");
}

SK_TEST(fault, in_each_of_many_deferred_calls)
{
    rt = sk_runtime_of(1);
    diary d = {0};
    SK_EXPECT_EQ(sk_run_on(rt, give_up_many_times, &d), -EFAULT);
    SK_EXPECT_EQ(d.n, MANY_NOTES);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_up_at_length(void *arg)
{
    (void)arg;
    char words[1000];
    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = '\0';
    skua_panic_task("%s", words);
}

SK_TEST(fault, a_long_message_is_cut)
{
    rt = sk_runtime_of(1);
    skua_fault f;
    skua_task t = ended_task(give_up_at_length, NULL);
    SK_EXPECT_EQ(skua_fault_of(t, &f), 0);
    SK_EXPECT_EQ(strlen(f.message), SKUA_FAULT_MESSAGE_MAX);
    SK_EXPECT_EQ(strspn(f.message, "w"), SKUA_FAULT_MESSAGE_MAX);
    SK_EXPECT_EQ(skua_detach(t), 0);
    SK_EXPECT_EQ(skua_fault_of(t, &f), -ESRCH);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- wherever a task may be ---- */

static int park_and_give_up(void *arg)
{
    (void)arg;
    SK_EXPECT_EQ(skua_sleep(SKUA_US(100)), 0);
    SK_EXPECT_EQ(skua_yield(), 0);
    return dig(30);
}

static int give_up_in_a_bracket(void *taken)
{
    sk_gate *gate = taken;
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    if (gate) SK_EXPECT(sk_gate_block(gate, 1)); /* by then another thread has the worker */
    return dig(3);
}

static int sk_noinline give_up_in_block(void *arg)
{
    return skua_block(lost, arg);
}

SK_TEST(fault, on_a_stack_that_was_parked_and_in_blocking_calls)
{
    rt = sk_runtime_of(1);
    for (int i = 0; i < 50; i++) {
        sk_gate gate = 0;
        SK_EXPECT_EQ(sk_run_on(rt, park_and_give_up, NULL), -EFAULT);
        SK_EXPECT_EQ(sk_run_on(rt, give_up_in_a_bracket, NULL), -EFAULT);
        SK_EXPECT_EQ(sk_run_on(rt, give_up_in_block, NULL), -EFAULT);
        skua_task blocked = sk_spawn_on(rt, give_up_in_a_bracket, &gate);
        SK_EXPECT_EQ(sk_run_on(rt, sk_open, &gate), 0);
        SK_EXPECT_EQ(join_result(blocked), -EFAULT);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).failed, 200);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int note_stack(void *arg)
{
    char here = 0;
    bool in_guard;
    const sk_stack *stack = sk_stack_find(&here, &in_guard);
    *(unsigned *)arg = stack ? stack->cls : 99;
    return here;
}

static int mind_stack(void *arg)
{
    volatile char here[8];
    here[0] = 0;
    if (arg) SK_EXPECT_EQ(skua_sleep(SKUA_US(100)), 0);
    return dig(here[0] + 5);
}

/* With a stack of its own; and who comes after it has what it was promised. */
SK_TEST(fault, on_a_stack_of_its_own)
{
    rt = sk_runtime_of(1);
    static const size_t sizes[] = {16 << 10, 256 << 10, 1 << 20};
    for (int i = 0; i < 60; i++) {
        skua_task t;
        unsigned cls = 99;
        skua_task_options o = {.runtime = rt, .stack_size = sizes[i % 3]};
        SK_EXPECT_EQ(skua_spawn_with(&t, &o, mind_stack, i % 2 ? &rt : NULL), 0);
        skua_task after = sk_spawn_on(rt, note_stack, &cls);
        SK_EXPECT_EQ(join_result(t), -EFAULT);
        SK_EXPECT_EQ(join_result(after), 0);
        if (!SK_SANITIZED) SK_EXPECT_EQ(cls, SK_STACK_CLASS_DEFAULT); /* a sanitizer may keep locals elsewhere */
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- marks ---- */

static int give_up_when_told(void *arg)
{
    int expected = (int)(intptr_t)arg;
    SK_EXPECT_EQ(skua_sleep(SKUA_FOREVER), expected);
    skua_panic_task("told to end");
}

SK_TEST(fault, of_a_cancelled_task_is_a_failure_and_of_a_late_one_late)
{
    rt = sk_runtime_of(2);
    skua_fault f;
    skua_task t = sk_spawn_on(rt, give_up_when_told, (void *)(intptr_t)-ECANCELED);
    SK_EVENTUALLY(sk_stats_of(rt).parked == 1);
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EVENTUALLY(skua_fault_of(t, &f) == 0);
    SK_EXPECT(strcmp(f.message, "told to end") == 0);
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    skua_task_options o = {.runtime = rt, .finish_within = SKUA_MS(2)};
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, give_up_when_told, (void *)(intptr_t)-ETIMEDOUT), 0);
    SK_EXPECT_EQ(join_result(t), -ETIMEDOUT);
    o.finish_within = SKUA_S(1000);
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, lost, NULL), 0); /* long before its deadline */
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    SK_EVENTUALLY(sk_stats_of(rt).expired == 1);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT(s.failed == 2 && s.cancelled == 0 && s.running == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- joiners, pools ---- */

static int join_a_lost_one(void *arg)
{
    skua_task t;
    int result = 0;
    SK_EXPECT_EQ(skua_spawn(&t, arg ? park_and_give_up : lost, NULL), 0);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    return result;
}

SK_TEST(fault, joiners_are_woken)
{
    rt = sk_runtime_of(2);
    for (int i = 0; i < 200; i++) SK_EXPECT_EQ(sk_run_on(rt, join_a_lost_one, i % 2 ? &rt : NULL), -EFAULT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static sk_gate begun, lost_ones;

static int gives_up(void *unused)
{
    (void)unused;
    sk_gate_add(&begun);
    sk_gate_add(&lost_ones);
    return dig(3);
}

static int every_third_gives_up(void *i)
{
    if ((intptr_t)i % 3 == 0) return gives_up(NULL);
    sk_gate_add(&begun);
    return 0;
}

SK_TEST(fault, a_pool_has_its_slot_back)
{
    enum { N = 3000 };
    rt = sk_runtime_of(2);
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 2, .queue = 64}), 0);
    for (intptr_t i = 0; i < N; i++)
        SK_EXPECT_EQ(skua_pool_submit(pool, i % 2 ? every_third_gives_up : gives_up, (void *)i), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_gate_now(&begun), N);
    SK_EXPECT_EQ(sk_gate_now(&lost_ones), N / 2 + N / 6);
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    SK_EXPECT(c.running == 0 && c.queued == 0 && c.failed == N / 2 + N / 6 && c.done == N / 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- ten thousand ---- */

static long resident_pages(void)
{
    long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    SK_EXPECT(f != NULL && fscanf(f, "%ld %ld", &size, &resident) == 2);
    fclose(f);
    return resident;
}

static int give_up_somehow(void *arg)
{
    intptr_t i = (intptr_t)arg;
    if (i % 5 == 0) SK_EXPECT_EQ(skua_yield(), 0);
    if (i % 50 == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(1)), 0);
    return dig((int)(i % 40));
}

static void give_up_often(int n)
{
    enum { BATCH = 100 };
    skua_task t[BATCH];
    for (intptr_t i = 0; i < n; i += BATCH) {
        for (int k = 0; k < BATCH; k++) t[k] = sk_spawn_on(rt, give_up_somehow, (void *)(i + k));
        for (int k = 0; k < BATCH; k++) SK_EXPECT_EQ(join_result(t[k]), -EFAULT);
    }
}

SK_TEST(fault, ten_thousand_exhaust_nothing)
{
    rt = sk_runtime_of(2);
    give_up_often(3000);
    skua_stats before = sk_stats_of(rt);
    long pages = resident_pages();
    give_up_often(10000);
    skua_stats after = sk_stats_of(rt);
    SK_EXPECT_EQ(after.failed, 13000);
    /* A batch can need a hundred at a time, and one thread less or more may have cached some. */
    SK_EXPECT(after.stacks <= before.stacks + 150);
    if (!SK_SANITIZED) SK_EXPECT(resident_pages() < pages + 2000);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the handler ---- */

typedef struct witness {
    sk_gate calls, released;
    skua_fault seen;
    bool alive, parks, panics;
    skua_pool *pool;
} witness;

static void look_at(const skua_fault *fault, void *arg)
{
    witness *w = arg;
    skua_fault f;
    w->seen = *fault;
    /* The end is not counted yet, and it is the task that calls. */
    skua_stats s = sk_stats_of(rt);
    w->alive = s.failed == 0 && s.running >= 1 && skua_self().ref == fault->task.ref &&
               skua_fault_of(skua_self(), &f) == 0 && strcmp(f.message, fault->message) == 0 &&
               (!w->pool || skua_pool_wait(w->pool, 0) == -EDEADLK);
    sk_gate_add(&w->calls);
    if (w->parks) SK_EXPECT(sk_gate_await(&w->released, 1));
    if (w->panics) skua_panic_task("in the handler");
}

SK_TEST(fault, the_handler_is_called_once_before_the_end)
{
    rt = sk_runtime_of(2);
    witness w = {.parks = true};
    const skua_fault_choice choice = {look_at, &w};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    skua_task t = sk_spawn_on(rt, lost, NULL);
    SK_EXPECT(sk_gate_await(&w.calls, 1));
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(5), NULL), -ETIMEDOUT); /* the joiner waits for the handler */
    SK_EXPECT_EQ(sk_stats_of(rt).failed, 0);
    sk_gate_add(&w.released);
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    SK_EXPECT(w.alive && w.seen.task.serial == t.serial && strcmp(w.seen.message, "lost at 0") == 0);
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(sk_run_on(rt, lost, NULL), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault, a_handler_may_give_up_and_sees_the_first_fault_only)
{
    rt = sk_runtime_of(2);
    witness w = {.panics = true};
    three notes = {0};
    skua_fault f;
    const skua_fault_choice choice = {look_at, &w};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    skua_task t = ended_task(give_up_in_deferred_calls, &notes);
    SK_EXPECT(skua_fault_of(t, &f) == 0 && strcmp(f.message, "the first") == 0);
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    SK_EXPECT(w.alive && strcmp(notes.d.text, "ncba") == 0);
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(fault, the_handler_comes_before_the_pool_sees_the_end)
{
    rt = sk_runtime_of(2);
    witness w = {.parks = true};
    const skua_fault_choice choice = {look_at, &w};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    SK_EXPECT_EQ(skua_pool_create(&w.pool, &(skua_pool_options){.runtime = rt, .limit = 1}), 0);
    SK_EXPECT_EQ(skua_pool_submit(w.pool, lost, NULL), 0);
    SK_EXPECT(sk_gate_await(&w.calls, 1));
    SK_EXPECT_EQ(skua_pool_wait(w.pool, SKUA_MS(5)), -ETIMEDOUT);
    sk_gate_add(&w.released);
    SK_EXPECT_EQ(skua_pool_wait(w.pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT(w.alive);
    SK_EXPECT_EQ(skua_pool_release(w.pool), 0);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What a pool may do: it is told first, and may keep it to itself. */

static sk_gate told;
static bool kept_to_itself;
static char what_it_said[SKUA_FAULT_MESSAGE_MAX + 1];

static bool hear(sk_task_owner *owner, const skua_fault *fault)
{
    SK_EXPECT(owner->runtime == rt && sk_gate_now(&told) % 2 == 0);
    strcpy(what_it_said, fault->message);
    sk_gate_add(&told);
    return kept_to_itself;
}

static sk_task *end_owned(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w, (void)t, (void)result;
    SK_EXPECT(owner->runtime == rt && end == SK_FAILED && sk_gate_now(&told) % 2 == 1);
    sk_gate_add(&told);
    return NULL;
}

static int run_one_owned(void *owner)
{
    int error = 0;
    sk_worker *w = sk_worker_self();
    sk_task *t = sk_task_new(w->local, owner, lost, NULL, false, SK_ACTIVE, &error);
    SK_EXPECT(t != NULL);
    sk_ready(w, t);
    return 0;
}

SK_TEST(fault, the_owner_is_told_first)
{
    rt = sk_runtime_of(2);
    witness w = {0};
    const skua_fault_choice choice = {look_at, &w};
    sk_task_owner owner = {.runtime = rt, .ended = end_owned, .faulted = hear};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    SK_EXPECT_EQ(sk_run_on(rt, run_one_owned, &owner), 0);
    SK_EXPECT(sk_gate_await(&told, 2));
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    kept_to_itself = true;
    SK_EXPECT_EQ(sk_run_on(rt, run_one_owned, &owner), 0);
    SK_EXPECT(sk_gate_await(&told, 4));
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT(strcmp(what_it_said, "lost at 0") == 0);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- what ends the process ---- */

static void run_in_child(void *fn)
{
    skua_task t;
    if (skua_spawn(&t, *(skua_fn **)fn, NULL)) _exit(98);
    skua_join(t, NULL);
}

static void expect_abort(void (*fn)(void *), void *arg, const char *words)
{
    char said[4096];
    int status = sk_child(fn, arg, said, sizeof said);
    if (!sk_died_of(status, SIGABRT) || !strstr(said, words)) fprintf(stderr, "status %d, said: %s\n", status, said);
    SK_EXPECT(sk_died_of(status, SIGABRT) && strstr(said, words));
}

static void give_up_with_abort(void *fn)
{
    static const skua_fault_choice dies = {skua_fault_abort, NULL};
    if (skua_on_fault(&dies)) _exit(97);
    run_in_child(fn);
}

static void give_up_here(void *unused)
{
    (void)unused;
    skua_panic_task("nobody %s", "home");
}

static void *give_up_in_thread(void *unused)
{
    give_up_here(unused);
    return NULL;
}

static void give_up_on_a_foreign_thread(void *unused)
{
    pthread_t thread;
    if (skua_go(sk_give_0, NULL)) _exit(98); /* which knows skua, as its mother does */
    if (pthread_create(&thread, NULL, give_up_in_thread, unused)) _exit(98);
    pthread_join(thread, NULL);
}

static void block_here(void *unused)
{
    skua_block(lost, unused);
}

/* The process has forked while the task ran: in the child there is no runtime that could end it. */
static int give_up_in_a_fork(void *unused)
{
    (void)unused;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) skua_panic_task("a copy");
    if (waitpid(pid, &status, 0) != pid || !sk_died_of(status, SIGABRT)) _exit(96);
    abort();
}

SK_TEST(fault, aborts_by_choice_and_outside_of_a_task)
{
    skua_fn *fn = lost;
    expect_abort(give_up_with_abort, &fn, "skua: a task gave up: lost at 0 (");
    expect_abort(give_up_here, NULL, "skua: panic outside of a task: nobody home (");
    expect_abort(give_up_on_a_foreign_thread, NULL, "skua: panic outside of a task: nobody home (");
    expect_abort(block_here, NULL, "skua: panic outside of a task: lost at 0 (");
    fn = give_up_in_a_fork;
    expect_abort(run_in_child, &fn, "skua: panic outside of a task: a copy (");
}

#if !SK_SANITIZED /* they keep frames elsewhere, or find it in their own way */
static int leave_a_deferred_call(void *unused)
{
    skua_deferred d;
    (void)unused;
    return skua_defer(&d, sk_give_0, NULL);
}

SK_TEST(fault, a_deferred_call_in_a_frame_that_was_left_is_found_out)
{
    skua_fn *fn = leave_a_deferred_call;
    expect_abort(run_in_child, &fn, "a deferred call lies in a frame that was left");
}
#endif

#ifdef SK_FAULTS
static int give_up_when_released(void *arg)
{
    return sk_gate_await(&((witness *)arg)->released, 1) ? dig(3) : -ETIME;
}

SK_TEST(fault, without_memory_the_fault_is_told_all_the_same)
{
    rt = sk_runtime_of(1);
    witness w = {0};
    skua_fault f;
    const skua_fault_choice choice = {look_at, &w};
    SK_EXPECT_EQ(skua_on_fault(&choice), 0);
    skua_task t = sk_spawn_on(rt, give_up_when_released, &w);
    SK_EVENTUALLY(sk_stats_of(rt).parked == 1);
    sk_fault_arm(SK_FAULT_MMAP, 1, true); /* no fault of this process has been written down yet */
    sk_gate_add(&w.released);
    SK_EVENTUALLY(skua_fault_of(t, &f) != -EAGAIN);
    sk_fault_reset();
    SK_EXPECT(sk_gate_now(&w.calls) == 1 && strcmp(w.seen.message, "lost at 0") == 0);
    SK_EXPECT_EQ(skua_fault_of(t, &f), 0);
    SK_EXPECT(f.task.serial == t.serial && strstr(f.message, "no memory"));
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    t = ended_task(lost, NULL); /* and then it is kept again */
    SK_EXPECT(skua_fault_of(t, &f) == 0 && strcmp(f.message, "lost at 0") == 0);
    SK_EXPECT_EQ(join_result(t), -EFAULT);
    SK_EXPECT_EQ(skua_on_fault(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif

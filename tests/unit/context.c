/* unit/context.c: the tree of contexts: how they end, deadlines, values, and what they leave behind. */
#include "support/contexts.h"

/* ---- the tree ---- */

SK_TEST(context, bad_input_is_refused)
{
    skua_context *c;
    skua_task task;
    SK_EXPECT_EQ(skua_context_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_create_for(NULL, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_context_create_value(&c, NULL, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_retain(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_release(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_cancel(NULL, 0), -EINVAL);
    SK_EXPECT_EQ(skua_context_error(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_cause(NULL), -EINVAL);
    SK_EXPECT(skua_context_deadline(NULL) == SKUA_FOREVER);
    SK_EXPECT(skua_context_value(NULL, &c) == NULL);
    SK_EXPECT(skua_context_done(NULL) == NULL);
    SK_EXPECT(skua_context_current() == NULL);
    SK_EXPECT_EQ(skua_context_enter(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_leave(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_go(NULL, sk_give_0, NULL), -EINVAL);
    c = sk_context_below(NULL);
    SK_EXPECT_EQ(skua_context_go(c, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_spawn(&task, c, &(skua_task_options){.stack_size = 1 << 30}, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_context_enter(c), -EPERM); /* a foreign thread */
    SK_EXPECT_EQ(skua_context_leave(c), -EPERM);
    SK_EXPECT(skua_context_value(c, NULL) == NULL);
    sk_release_context(c);
#ifdef SK_DEBUG
    SK_EXPECT_EQ(skua_context_cancel(c, 0), -EBADF);
    SK_EXPECT_EQ(skua_context_release(c), -EBADF);
#endif
    sk_nothing_left();
    sk_release_default();
}

SK_TEST(context, a_cancel_ends_all_below_and_nothing_else)
{
    skua_context *root = sk_context_below(NULL), *a = sk_context_below(root), *b = sk_context_below(root);
    skua_context *below_a = sk_context_below(a);
    SK_EXPECT_EQ(skua_context_error(a), 0);
    SK_EXPECT_EQ(skua_context_cause(a), 0);
    SK_EXPECT_EQ(skua_context_cancel(a, -EIO), 0);
    SK_EXPECT_EQ(skua_context_error(a), -ECANCELED);
    SK_EXPECT_EQ(skua_context_error(below_a), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(a), -EIO);
    SK_EXPECT_EQ(skua_context_cause(below_a), -EIO);
    SK_EXPECT_EQ(skua_context_error(b), 0);
    SK_EXPECT_EQ(skua_context_error(root), 0);
    /* The first cause stands. */
    SK_EXPECT_EQ(skua_context_cancel(a, -ENOSPC), -EALREADY);
    SK_EXPECT_EQ(skua_context_cancel(below_a, -ENOSPC), -EALREADY);
    SK_EXPECT_EQ(skua_context_cancel(root, 0), 0);
    SK_EXPECT_EQ(skua_context_cause(root), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(b), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(a), -EIO);
    /* Born ended. */
    skua_context *late = sk_context_below(below_a);
    SK_EXPECT_EQ(skua_context_error(late), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(late), -EIO);
    sk_release_context(root);
    sk_release_context(a);
    sk_release_context(late);
    sk_release_context(below_a);
    sk_release_context(b);
    sk_nothing_left();
}

/* Those above live as long as one below. */
SK_TEST(context, a_child_keeps_its_parents)
{
    skua_context *root = sk_context_below(NULL), *middle = sk_context_below(root), *leaf = sk_context_below(middle);
    sk_release_context(root);
    sk_release_context(middle);
    SK_EXPECT_EQ(sk_contexts_out(), 3);
    SK_EXPECT_EQ(skua_context_retain(leaf), 0);
    sk_release_context(leaf);
    SK_EXPECT_EQ(skua_context_cancel(middle, 0), 0);
    SK_EXPECT_EQ(skua_context_error(leaf), -ECANCELED);
    sk_release_context(leaf);
    sk_nothing_left();
}

SK_TEST(context, a_deep_tree)
{
    enum { DEEP = 1000 };
    skua_context *at[DEEP];
    for (int i = 0; i < DEEP; i++) at[i] = sk_context_below(i ? at[i - 1] : NULL);
    SK_EXPECT_EQ(skua_context_cancel(at[1], -EIO), 0);
    SK_EXPECT_EQ(skua_context_error(at[0]), 0);
    for (int i = 1; i < DEEP; i++) SK_EXPECT_EQ(skua_context_cause(at[i]), -EIO);
    for (int i = 0; i < DEEP; i++) sk_release_context(at[i]); /* the last one frees them all */
    sk_nothing_left();
}

SK_TEST(context, a_wide_tree)
{
    enum { WIDE = 10000 };
    static skua_context *child[WIDE];
    skua_context *root = sk_context_below(NULL);
    long wide = sk_test_scaled(WIDE) < 100 ? 100 : sk_test_scaled(WIDE);
    for (int i = 0; i < wide; i++) child[i] = sk_context_below(root);
    for (int i = 0; i < wide; i += 3) sk_release_context(child[i]);
    SK_EXPECT_EQ(skua_context_cancel(root, 0), 0);
    for (int i = 0; i < wide; i++) {
        if (i % 3 == 0) continue;
        SK_EXPECT_EQ(skua_context_error(child[i]), -ECANCELED);
        sk_release_context(child[i]);
    }
    sk_release_context(root);
    sk_nothing_left();
}

/* ---- deadlines ---- */

SK_TEST(context, a_deadline_ends_it_and_all_below)
{
    skua_context *c, *below, *later, *past;
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_context_create_for(&c, NULL, SKUA_MS(3)), 0);
    below = sk_context_below(c);
    SK_EXPECT_EQ(skua_context_create_for(&later, c, SKUA_S(3600)), 0);
    SK_EXPECT(skua_context_deadline(c) >= before + SKUA_MS(3));
    SK_EXPECT(skua_context_deadline(c) <= skua_now() + SKUA_MS(3));
    SK_EXPECT(skua_context_deadline(below) == skua_context_deadline(c));
    SK_EXPECT(skua_context_deadline(later) == skua_context_deadline(c));
    SK_EVENTUALLY(skua_context_error(later) && skua_context_error(below));
    SK_EXPECT(skua_now() >= before + SKUA_MS(3));
    SK_EXPECT_EQ(skua_context_error(c), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_context_error(below), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_context_cause(later), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_context_cancel(c, -EIO), -EALREADY);
    SK_EXPECT_EQ(skua_context_create_until(&past, NULL, 1), 0);
    SK_EXPECT_EQ(skua_context_error(past), -ETIMEDOUT);
    sk_release_context(past);
    SK_EXPECT_EQ(skua_context_create_for(&past, NULL, 0), 0);
    SK_EXPECT_EQ(skua_context_error(past), -ETIMEDOUT);
    sk_release_context(past);
    sk_release_context(c);
    sk_release_context(below);
    sk_release_context(later);
    sk_nothing_left();
    sk_release_default();
}

/* Below one that has ended, its own deadline does not count, not even one that has passed. */
static void expect_born_ended(skua_context *c)
{
    SK_EXPECT_EQ(skua_context_error(c), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(c), -EIO);
    sk_release_context(c);
}

SK_TEST(context, below_an_end_a_deadline_does_not_count)
{
    static const uint64_t soon[] = {0, 1, SKUA_S(3600)};
    skua_context *root = sk_context_below(NULL), *c = NULL, *live = sk_context_below(NULL);
    SK_EXPECT_EQ(skua_context_cancel(root, -EIO), 0);
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_context_create_for(&c, root, soon[i]), 0);
        expect_born_ended(c);
        SK_EXPECT_EQ(skua_context_create_until(&c, root, 1 + soon[i]), 0);
        expect_born_ended(c);
    }
    SK_EXPECT_EQ(skua_context_create_for(&c, live, 0), 0);
    SK_EXPECT_EQ(skua_context_cause(c), -ETIMEDOUT);
    sk_release_context(c);
    sk_release_context(live);
    sk_release_context(root);
    sk_nothing_left();
    sk_release_default();
}

/* No timer is left, and no context, whichever comes first. */
SK_TEST(context, a_deadline_that_is_not_reached)
{
    skua_context *c, *child;
    SK_EXPECT_EQ(skua_context_create_for(&c, NULL, SKUA_FOREVER), 0);
    SK_EXPECT(skua_context_deadline(c) == SKUA_FOREVER);
    SK_EXPECT_EQ(skua_context_create_for(&child, c, SKUA_S(3600)), 0);
    sk_release_context(child);
    SK_EXPECT_EQ(skua_context_create_until(&child, c, skua_now() + SKUA_S(3600)), 0);
    SK_EXPECT_EQ(skua_context_cancel(c, -EIO), 0);
    SK_EXPECT_EQ(skua_context_error(child), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(child), -EIO);
    sk_release_context(c);
    sk_release_context(child);
    for (int i = 0; i < 20 + sk_test_scaled(280); i++) { /* released while it fires */
        SK_EXPECT_EQ(skua_context_create_for(&c, NULL, (uint64_t)(i % 50) * 1000), 0);
        if (i % 3 == 0) (void)skua_context_cancel(c, 0);
        if (i % 7 == 0) skua_sleep(SKUA_US(100));
        sk_release_context(c);
    }
    sk_nothing_left();
    SK_EVENTUALLY(sk_stats_of(skua_runtime_default()).queued == 0); /* one that has fired may have yet to look */
    sk_release_default();
}

static int release_it(void *arg)
{
    return skua_context_release(arg);
}

/* The worker finds the release and, behind it, the timer's task: nobody is there to be told. */
SK_TEST(context, its_last_user_goes_before_a_timer_that_has_fired)
{
    skua_runtime *rt = skua_runtime_default();
    SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
    for (int i = 0; i < 5; i++) {
        skua_context *c;
        sk_holder h = {0};
        skua_task hog = sk_hold_worker(rt, &h);
        SK_EXPECT_EQ(skua_context_create_for(&c, NULL, SKUA_MS(1)), 0);
        skua_task task = sk_spawn_on(rt, release_it, c);
        skua_sleep(SKUA_MS(4)); /* the monitor has the worker look for what is due before it goes on */
        sk_let_worker_go(&h, hog);
        sk_join_with(task, 0);
        sk_nothing_left();
    }
    sk_release_default();
}

/* Who is to end by a deadline that nobody measures any more has ended. */
SK_TEST(context, the_default_runtime_is_released_before_the_deadline)
{
    skua_context *c;
    SK_EXPECT_EQ(skua_context_create_for(&c, NULL, SKUA_S(3600)), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
    SK_EXPECT_EQ(skua_context_error(c), -ECANCELED);
    SK_EXPECT_EQ(skua_context_cause(c), -ESHUTDOWN);
    sk_release_context(c);
    sk_nothing_left();
}

/* ---- values ---- */

static int destroyed;

static void destroy(void *value)
{
    destroyed += *(int *)value;
}

SK_TEST(context, values_are_looked_up_upwards)
{
    static char first_key, second_key;
    int one = 1, ten = 10, hundred = 100;
    skua_context *a, *b, *c;
    SK_EXPECT_EQ(skua_context_create_value(&a, NULL, &first_key, &one, destroy), 0);
    SK_EXPECT_EQ(skua_context_create_value(&b, a, &second_key, &ten, destroy), 0);
    skua_context *between = sk_context_below(b);
    SK_EXPECT_EQ(skua_context_create_value(&c, between, &first_key, &hundred, NULL), 0);
    SK_EXPECT(skua_context_value(a, &first_key) == &one);
    SK_EXPECT(skua_context_value(a, &second_key) == NULL);
    SK_EXPECT(skua_context_value(b, &first_key) == &one);
    SK_EXPECT(skua_context_value(between, &second_key) == &ten);
    SK_EXPECT(skua_context_value(c, &first_key) == &hundred);
    SK_EXPECT(skua_context_value(c, &second_key) == &ten);
    SK_EXPECT_EQ(skua_context_cancel(a, 0), 0); /* values stay */
    SK_EXPECT(skua_context_value(c, &second_key) == &ten);
    sk_release_context(a);
    sk_release_context(b);
    sk_release_context(between);
    SK_EXPECT_EQ(destroyed, 0);
    sk_release_context(c);
    SK_EXPECT_EQ(destroyed, 11);
    sk_nothing_left();
}

/* ---- done ---- */

static void *wait_until_done(void *arg)
{
    skua_context *c = arg;
    skua_case cases[] = {SKUA_CASE_RECV(NULL, NULL), SKUA_CASE_RECV(skua_context_done(c), NULL)};
    SK_EXPECT_EQ(skua_select_for(cases, 2, SKUA_MS(SK_PATIENCE_MS)), 1);
    SK_EXPECT_EQ(cases[1].result, -EPIPE);
    SK_EXPECT_EQ(skua_context_error(c), -ECANCELED);
    return NULL;
}

SK_TEST(context, foreign_threads_wait_for_done)
{
    enum { THREADS = 3 };
    pthread_t thread[THREADS];
    for (int round = 0; round < 20; round++) {
        skua_context *root = sk_context_below(NULL), *c = sk_context_below(root);
        for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, wait_until_done, c), 0);
        if (round % 2) skua_sleep(SKUA_US(200));
        SK_EXPECT_EQ(skua_context_cancel(root, 0), 0);
        for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_join(thread[i], NULL), 0);
        SK_EXPECT(skua_context_done(c) == skua_context_done(c));
        SK_EXPECT_EQ(skua_chan_recv(skua_context_done(root), NULL), -EPIPE); /* made after the end */
        sk_release_context(root);
        sk_release_context(c);
    }
    sk_nothing_left();
}

/*
 * futures.c: a result that is on its way.
 *
 * In Go a future is a channel with one place: who computes puts the result there and need not wait for whoever wants
 * it.  That works here in the same way.  skua_future is the same thing ready made, for tasks of pools: it may be waited
 * for many times, has the result and the fault, and can be cancelled.
 */
#include <stdio.h>

#include <skua/skua.h>

typedef struct inverse {
    double of, is;
    skua_chan *result;
} inverse;

/* Stands for something that takes its time. */
static int invert(inverse *i)
{
    int error = skua_sleep(SKUA_MS(2));
    i->is = 1 / i->of;
    return error;
}

static int invert_and_send(void *arg)
{
    inverse *i = arg;
    int error = invert(i);
    if (error < 0)
        skua_chan_close(i->result); /* no result: who waits gets -EPIPE */
    else
        error = skua_chan_send(i->result, &i->is);
    return error;
}

/* Both are computed at the same time; the product is of two values that are received where they are needed. */
static int by_channel(void)
{
    inverse a = {.of = 4}, b = {.of = 8};
    skua_group *group;
    double x = 0, y = 0;
    int error = skua_group_create(&group, NULL);
    if (error < 0) return error;
    error = skua_chan_create(&a.result, sizeof(double), 1);
    if (error == 0) error = skua_chan_create(&b.result, sizeof(double), 1);
    if (error == 0) error = skua_group_go(group, invert_and_send, &a);
    if (error == 0) error = skua_group_go(group, invert_and_send, &b);
    if (error == 0) error = skua_chan_recv(a.result, &x);
    if (error == 0) error = skua_chan_recv(b.result, &y);
    if (error == 0) printf("by channel: %g\n", x * y);
    skua_group_release(group); /* a and b go when the tasks have */
    skua_chan_release(a.result);
    skua_chan_release(b.result);
    return error;
}

static int invert_task(void *arg)
{
    return invert(arg);
}

static int by_future(void)
{
    inverse a = {.of = 4}, b = {.of = 8};
    skua_future fa = {NULL, 0}, fb = {NULL, 0};
    skua_pool *pool;
    int result_a = 0, result_b = 0;
    int error = skua_pool_create(&pool, NULL);
    if (error < 0) return error;
    error = skua_pool_submit_future(pool, &fa, NULL, invert_task, &a);
    if (error == 0) error = skua_pool_submit_future(pool, &fb, NULL, invert_task, &b);
    /* What is returned is how the wait went; how the task went is in the result. */
    if (error == 0) error = skua_future_wait(fa, SKUA_FOREVER, &result_a);
    if (error == 0) error = skua_future_wait(fb, SKUA_FOREVER, &result_b);
    if (error == 0) error = result_a < 0 ? result_a : result_b;
    if (error == 0) printf("by future: %g\n", a.is * b.is);
    skua_future_release(fa); /* the null future: -ESRCH */
    skua_future_release(fb);
    skua_pool_release(pool); /* waits for both tasks, whatever came before */
    return error;
}

int main(void)
{
    int error = by_channel();
    if (error == 0) error = by_future();
    if (error < 0) fprintf(stderr, "futures: %s\n", skua_strerror(error));
    return error < 0;
}

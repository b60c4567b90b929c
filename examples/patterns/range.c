/*
 * range.c: closing, and receiving until it is closed.
 *
 * `for v := range c` is a loop of receives that ends with -EPIPE, or skua_chan_each, which does the same for a
 * function. A closed channel still gives what is in it.  What is a panic in Go is an error value here.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { N = 4 };

static int produce(void *arg)
{
    skua_chan *c = arg;
    int error = 0;
    for (int i = 1; i <= N && error == 0; i++) error = skua_chan_send(c, &i);
    skua_chan_close(c);
    return error;
}

static int add(void *element, void *sum)
{
    *(int *)sum += *(int *)element;
    return 0;
}

/* break: something else than 0 ends the loop, and is what skua_chan_each returns. */
static int until_two(void *element, void *arg)
{
    (void)arg;
    return *(int *)element == 2 ? 22 : 0;
}

/* Starts a producer, and has `range` receive what it sends. */
static int range_over(const char *name, int (*range)(skua_chan *c))
{
    skua_chan *c;
    skua_task task;
    int error = skua_chan_create(&c, sizeof(int), 0);
    if (error < 0) return error;
    error = skua_spawn(&task, produce, c);
    if (error == 0) {
        printf("%s:", name);
        error = range(c);
        if (error < 0) skua_cancel(task);
        skua_join(task, NULL);
        printf("\n");
    }
    skua_chan_release(c);
    return error;
}

static int by_loop(skua_chan *c)
{
    int v, error;
    while ((error = skua_chan_recv(c, &v)) == 0) printf(" %d", v);
    return error == -EPIPE ? 0 : error;
}

static int by_call(skua_chan *c)
{
    int sum = 0;
    int error = skua_chan_each(c, add, &sum);
    printf(" the sum is %d", sum);
    return error;
}

static int by_call_with_break(skua_chan *c)
{
    int v, stopped = skua_chan_each(c, until_two, NULL);
    if (stopped < 0) return stopped;
    printf(" stopped with %d, left over:", stopped);
    while (skua_chan_recv(c, &v) == 0) printf(" %d", v); /* the producer is still there, and waits */
    return 0;
}

static int after_close(void)
{
    skua_chan *c;
    int v = 5;
    int error = skua_chan_create(&c, sizeof v, 1);
    if (error == 0) error = skua_chan_send(c, &v);
    if (error < 0) return error;
    skua_chan_close(c);
    printf("closed, with %zu in it\n", skua_chan_len(c));
    printf("send: %s\n", skua_chan_send(c, &v) == -EPIPE ? "refused" : "?");
    printf("close again: %s\n", skua_chan_close(c) == -EALREADY ? "it is closed already" : "?");
    printf("receive: %s\n", skua_chan_recv(c, &v) == 0 && v == 5 ? "what was in it" : "?");
    printf("receive: %s\n", skua_chan_recv(c, &v) == -EPIPE && v == 0 ? "closed, and a zero" : "?");
    return skua_chan_release(c);
}

int main(void)
{
    int error = range_over("loop", by_loop);
    if (error == 0) error = range_over("each", by_call);
    if (error == 0) error = range_over("break", by_call_with_break);
    if (error == 0) error = after_close();
    if (error < 0) fprintf(stderr, "range: %s\n", skua_strerror(error));
    return error < 0;
}

/*
 * one_way.c: a chain of three stages, each of which sees one direction of its channels.
 *
 * Go's chan<- int and <-chan int are skua_sender and skua_receiver here: a stage that has one can only send, or only
 * receive; the compiler sees to it.  They are views: no memory, nothing to release.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { NUMBERS = 5 };

typedef struct stage {
    skua_receiver in;
    skua_sender out;
} stage;

/* The sender closes: he knows when there is nothing more to send. */
static int count(void *arg)
{
    const stage *s = arg;
    int error = 0;
    for (int i = 1; i <= NUMBERS && error == 0; i++) error = skua_send(s->out, &i);
    skua_chan_close(s->out.chan);
    return error;
}

static int square(void *arg)
{
    const stage *s = arg;
    int x, error;
    while ((error = skua_recv(s->in, &x)) == 0) {
        x *= x;
        if ((error = skua_send(s->out, &x)) < 0) break;
    }
    skua_chan_close(s->out.chan);
    return error == -EPIPE ? 0 : error;
}

/* skua_send(s->in, &x) would not compile: expected 'skua_sender' but argument is of type 'skua_receiver'. */
static int show(void *arg)
{
    const stage *s = arg;
    int x, error;
    while ((error = skua_recv(s->in, &x)) == 0) printf("%d\n", x);
    return error == -EPIPE ? 0 : error;
}

int main(void)
{
    skua_chan *naturals, *squares;
    skua_group *group;
    if (skua_chan_create(&naturals, sizeof(int), 0) < 0 || skua_chan_create(&squares, sizeof(int), 0) < 0) return 1;
    if (skua_group_create(&group, &(skua_group_options){.fail_fast = 1}) < 0) return 1;
    stage counting = {.out = skua_chan_sender(naturals)};
    stage squaring = {.in = skua_chan_receiver(naturals), .out = skua_chan_sender(squares)};
    stage showing = {.in = skua_chan_receiver(squares)};

    int error = skua_group_go(group, count, &counting);
    if (error == 0) error = skua_group_go(group, square, &squaring);
    if (error == 0) error = skua_group_go(group, show, &showing);
    if (error < 0) skua_group_cancel(group, error);
    error = skua_group_wait(group, NULL);
    skua_group_release(group);
    skua_chan_release(naturals);
    skua_chan_release(squares);
    if (error < 0) fprintf(stderr, "one_way: %s\n", skua_strerror(error));
    return error < 0;
}

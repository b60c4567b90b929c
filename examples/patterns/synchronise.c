/*
 * synchronise.c: waiting by channel: for one task to be done, and many tasks for one start.
 *
 * The channels carry no data, only the moment.  What was written before a send is visible after the receive that gets
 * its element, and what was written before a close is visible to all who receive "closed".
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { RUNNERS = 4 };

/* ---- done: one task tells another ---- */

typedef struct errand {
    int sum;
    skua_chan *done;
} errand;

static int add_up(void *arg)
{
    errand *e = arg;
    for (int i = 1; i <= 100; i++) e->sum += i;
    return skua_chan_send(e->done, NULL);
}

static int wait_for_one(void)
{
    errand e = {0, NULL};
    skua_task task;
    int error = skua_chan_create_signal(&e.done, 0);
    if (error < 0) return error;
    error = skua_spawn(&task, add_up, &e);
    if (error == 0) {
        error = skua_chan_recv(e.done, NULL); /* e.sum may be read from here on ... */
        if (error == 0) printf("done: the sum is %d\n", e.sum);
        if (error < 0) skua_cancel(task);
        skua_join(task, NULL); /* ... but e may go only when the task has: it is still about to return from its send */
    }
    skua_chan_release(e.done);
    return error;
}

/* ---- start: one tells all, by closing ---- */

typedef struct race {
    skua_chan *ready, *start;
    int prize; /* written after all are ready, before the start */
    int seen[RUNNERS];
} race;

typedef struct runner {
    race *race;
    int number;
} runner;

static int run(void *arg)
{
    const runner *me = arg;
    int error = skua_chan_send(me->race->ready, NULL);
    if (error < 0) {
        skua_chan_close(me->race->ready); /* nobody is to wait for one who is not ready */
        return error;
    }
    error = skua_chan_recv(me->race->start, NULL); /* nobody ever sends: waits until it is closed */
    if (error != -EPIPE) return error;
    me->race->seen[me->number] = me->race->prize;
    return 0;
}

static int start_all(skua_group *group, race *r)
{
    runner runners[RUNNERS];
    int error = 0;
    for (int i = 0; i < RUNNERS && error == 0; i++) {
        runners[i] = (runner){r, i};
        error = skua_group_go(group, run, &runners[i]);
    }
    for (int i = 0; i < RUNNERS && error == 0; i++) error = skua_chan_recv(r->ready, NULL);
    r->prize = 7;
    skua_chan_close(r->start); /* wakes them all; one element would have woken one */
    if (error < 0) skua_group_cancel(group, error);
    return skua_group_wait(group, NULL);
}

static int wait_for_the_start(void)
{
    race r = {.prize = 0};
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.fail_fast = 1});
    if (error < 0) return error;
    error = skua_chan_create_signal(&r.ready, 0);
    if (error == 0) error = skua_chan_create_signal(&r.start, 0);
    if (error == 0) error = start_all(group, &r);
    if (error == 0) printf("start: they ran for %d %d %d %d\n", r.seen[0], r.seen[1], r.seen[2], r.seen[3]);
    skua_group_release(group);
    skua_chan_release(r.ready); /* of what was not made: -EINVAL, and nothing else */
    skua_chan_release(r.start);
    return error;
}

int main(void)
{
    int error = wait_for_one();
    if (error == 0) error = wait_for_the_start();
    if (error < 0) fprintf(stderr, "synchronise: %s\n", skua_strerror(error));
    return error < 0;
}

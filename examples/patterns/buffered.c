/*
 * buffered.c: a channel with room: as a queue, and as a semaphore.
 *
 * Sends wait only while it is full, receives only while it is empty.  What is in it comes out in the order in which it
 * went in.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include <skua/skua.h>

enum { ROOM = 3, TASKS = 12, AT_A_TIME = 2 };

/* Nobody receives: the first sends find room, the one after them does not. */
static int fill(skua_chan *queue)
{
    for (int i = 0; i < ROOM; i++) {
        int error = skua_chan_send(queue, &i);
        if (error < 0) return error;
        printf("sent %d, %zu of %zu places taken\n", i, skua_chan_len(queue), skua_chan_cap(queue));
    }
    int more = ROOM;
    printf("try to send: %s\n", skua_chan_try_send(queue, &more) == -EAGAIN ? "it is full" : "?");
    printf("send within 1 ms: %s\n", skua_chan_send_for(queue, &more, SKUA_MS(1)) == -ETIMEDOUT ? "too late" : "?");
    return 0;
}

static int drain(skua_chan *queue)
{
    int got, error;
    while ((error = skua_chan_try_recv(queue, &got)) == 0) printf("received %d\n", got);
    return error == -EAGAIN ? 0 : error;
}

/* ---- as a semaphore: each place in the channel is a permit (skua/semaphore.h has more) ---- */

static skua_chan *permits;
static atomic_int inside, most, done;

static int with_permit(void *arg)
{
    (void)arg;
    int error = skua_chan_send(permits, NULL); /* a signal channel: only the number of its elements counts */
    if (error < 0) return error;
    int now = atomic_fetch_add(&inside, 1) + 1, before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now)) {
    }
    error = skua_sleep(SKUA_MS(1));
    atomic_fetch_sub(&inside, 1);
    atomic_fetch_add(&done, 1);
    skua_chan_try_recv(permits, NULL); /* there is one, our own: no need to wait */
    return error;
}

static int run_some_at_a_time(void)
{
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.fail_fast = 1});
    if (error < 0) return error;
    for (int i = 0; i < TASKS && error == 0; i++) error = skua_group_go(group, with_permit, NULL);
    if (error < 0) skua_group_cancel(group, error);
    error = skua_group_wait(group, NULL);
    skua_group_release(group);
    printf("%d tasks, %s at a time\n", atomic_load(&done), atomic_load(&most) <= AT_A_TIME ? "no more than 2" : "?");
    return error;
}

int main(void)
{
    skua_chan *queue;
    if (skua_chan_create(&queue, sizeof(int), ROOM) < 0 || skua_chan_create_signal(&permits, AT_A_TIME) < 0) return 1;
    int error = fill(queue);
    if (error == 0) error = drain(queue);
    if (error == 0) error = run_some_at_a_time();
    skua_chan_release(queue);
    skua_chan_release(permits);
    if (error < 0) fprintf(stderr, "buffered: %s\n", skua_strerror(error));
    return error < 0;
}

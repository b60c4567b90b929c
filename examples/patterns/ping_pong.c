/*
 * ping_pong.c: two tasks hand a ball to and fro.
 *
 * An unbuffered channel is a place to meet: a send returns when the receiver has the ball, which goes straight into his
 * memory.  Who has the ball may write; the other one is parked, and holds no thread.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { HITS = 6 };

typedef struct player {
    const char *name;
    skua_chan *from, *to;
} player;

static int play(void *arg)
{
    const player *me = arg;
    int hits, error;
    while ((error = skua_chan_recv(me->from, &hits)) == 0) {
        printf("%s %d\n", me->name, ++hits);
        if (hits == HITS) break;
        if ((error = skua_chan_send(me->to, &hits)) < 0) break;
    }
    skua_chan_close(me->to); /* there is no more ball: the other one gets -EPIPE, and goes as well */
    skua_chan_close(me->from);
    return error == -EPIPE ? 0 : error; /* closed is how it ends; anything else is an error */
}

int main(void)
{
    int ball = 0;
    skua_chan *left, *right;
    skua_group *group;
    if (skua_chan_create(&left, sizeof ball, 0) < 0 || skua_chan_create(&right, sizeof ball, 0) < 0) return 1;
    if (skua_group_create(&group, &(skua_group_options){.fail_fast = 1}) < 0) return 1;

    int error = skua_group_go(group, play, &(player){"ping", left, right});
    if (error == 0) error = skua_group_go(group, play, &(player){"pong", right, left});
    if (error == 0) error = skua_chan_send(left, &ball); /* main is no task: where a task parks, its thread blocks */
    if (error < 0) skua_group_cancel(group, error);      /* wakes who waits for a ball that will not come */

    error = skua_group_wait(group, NULL); /* the first error of all, or 0 */
    printf("game over: %s\n", skua_strerror(error));
    skua_group_release(group);
    skua_chan_release(left);
    skua_chan_release(right);
    return error < 0;
}

/*
 * deadlock.c: two tasks that wait for each other: seen, reported, and resolved.
 *
 * When all tasks of a runtime are parked, and no timer, no blocking call and no thread of the program could wake one,
 * nothing will ever happen again.  Go ends the process then ("all goroutines are asleep").  Here the runtime tells who
 * waits for what: on stderr, or to a function of the program's, as here, which may cancel one of them: it gets
 * -ECANCELED where it waits, and what happens next is up to the program.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

typedef struct pair {
    skua_chan *to_left, *to_right;
} pair;

static int swap(skua_chan *from, skua_chan *to, int receives_first)
{
    int mine = 1, theirs;
    int error = receives_first ? skua_chan_recv(from, &theirs) : skua_chan_send(to, &mine);
    if (error == 0) error = receives_first ? skua_chan_send(to, &mine) : skua_chan_recv(from, &theirs);
    skua_chan_close(to); /* whatever happened: the other one is not to wait for us */
    return error;
}

static int left(void *arg)
{
    const pair *p = arg;
    return swap(p->to_left, p->to_right, 1);
}

/* Each receives before it sends: both wait for ever. */
static int wrong_right(void *arg)
{
    const pair *p = arg;
    return swap(p->to_right, p->to_left, 1);
}

static int right(void *arg)
{
    const pair *p = arg;
    return swap(p->to_right, p->to_left, 0);
}

/* In the order of this program, not in that of the report. */
static void tell(const skua_deadlock_report *report, const char *name, skua_fn *fn)
{
    for (size_t i = 0; i < report->listed; i++)
        if (report->waiter[i].fn == fn) printf("  %s waits for: %s\n", name, report->waiter[i].waits);
}

/* Called by a thread of the runtime's, once for each deadlock; it must not wait. */
static void resolve(const skua_deadlock_report *report, void *unused)
{
    (void)unused;
    printf("deadlock: %zu tasks wait, and nothing can wake them\n", report->tasks);
    tell(report, "left", left);
    tell(report, "right", wrong_right);
    for (size_t i = 0; i < report->listed; i++)
        if (report->waiter[i].fn == left) skua_cancel(report->waiter[i].task);
}

static const char *in_words(int result)
{
    return result == 0 ? "done" : result == -ECANCELED ? "cancelled" : result == -EPIPE ? "the other has gone" : "?";
}

static int swap_between(skua_fn *one, skua_fn *other)
{
    pair p = {NULL, NULL};
    skua_task tasks[2] = {{NULL, 0}, {NULL, 0}};
    int results[2] = {0, 0};
    int error = skua_chan_create(&p.to_left, sizeof(int), 0);
    if (error == 0) error = skua_chan_create(&p.to_right, sizeof(int), 0);
    if (error == 0) error = skua_spawn(&tasks[0], one, &p);
    if (error == 0) error = skua_spawn(&tasks[1], other, &p);
    if (error < 0) skua_cancel(tasks[0]); /* of one that was not started: -ESRCH, and nothing else */
    skua_join(tasks[0], &results[0]);
    skua_join(tasks[1], &results[1]);
    skua_chan_release(p.to_left);
    skua_chan_release(p.to_right);
    if (error == 0) printf("left: %s; right: %s\n", in_words(results[0]), in_words(results[1]));
    return error;
}

int main(void)
{
    int error = skua_runtime_on_deadlock(NULL, resolve, NULL);
    if (error == 0) error = swap_between(left, wrong_right);
    if (error == 0) error = swap_between(left, right);
    if (error < 0) fprintf(stderr, "deadlock: %s\n", skua_strerror(error));
    return error < 0;
}

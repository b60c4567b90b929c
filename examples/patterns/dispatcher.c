/*
 * dispatcher.c: a channel of channels: workers say that they are free, and get their jobs by mail.
 *
 * Each worker has a channel of its own.  When it is free it puts that channel into `free`; the dispatcher takes a job
 * out of the queue, then a channel out of `free`, and sends the job there.  So the dispatcher chooses: it could look at
 * a worker before it sends, which with one channel for all it cannot.
 *
 * The stop is graceful and needs no channel for it: the queue is closed, what is in it is still given out, and then the
 * dispatcher waits for every worker to be free, and closes the channel that it gets.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { WORKERS = 3, QUEUE = 4, JOBS = 20 };

typedef struct job {
    int number;
    long *answer;
} job;

typedef struct dispatcher {
    skua_chan *queue;              /* of job */
    skua_chan *free;               /* of skua_chan *, each of job; room for all workers, so registering never waits */
    skua_chan *mailboxes[WORKERS]; /* those of the workers */
    int workers;                   /* that were started */
} dispatcher;

typedef struct worker {
    dispatcher *d;
    skua_chan *mail;
    int done;
} worker;

static int work(void *arg)
{
    worker *w = arg;
    for (;;) {
        job j;
        int error = skua_chan_send(w->d->free, &w->mail);
        if (error == 0) error = skua_chan_recv(w->mail, &j);
        if (error == -EPIPE) return 0;
        if (error < 0) {
            skua_chan_close(w->d->queue); /* nobody is to wait for a dispatcher that may never start */
            return error;
        }
        *j.answer = (long)j.number * j.number;
        w->done++;
    }
}

static int dispatch_all(dispatcher *d)
{
    skua_chan *mail;
    job j;
    int error;
    while ((error = skua_chan_recv(d->queue, &j)) == 0) {
        error = skua_chan_recv(d->free, &mail);
        if (error == 0) error = skua_chan_send(mail, &j); /* its worker waits there, or is about to */
        if (error < 0) return error;
    }
    if (error != -EPIPE) return error;
    for (int i = 0; i < d->workers; i++) {
        error = skua_chan_recv(d->free, &mail);
        if (error < 0) return error;
        skua_chan_close(mail); /* this one has done all its jobs */
    }
    return 0;
}

static int dispatch(void *arg)
{
    dispatcher *d = arg;
    int error = dispatch_all(d);
    skua_chan_close(d->queue); /* after an error: nobody is to wait for a dispatcher that has gone */
    return error;
}

/* Fills the queue, which has its callers wait while it is full, and closes it. */
static int submit_jobs(skua_chan *queue, long *answers)
{
    int error = 0;
    for (int i = 0; i < JOBS && error == 0; i++) error = skua_chan_send(queue, &(job){i, &answers[i]});
    skua_chan_close(queue);
    return error;
}

static int run(dispatcher *d, skua_group *group)
{
    worker workers[WORKERS];
    long answers[JOBS], sum = 0;
    int error = 0, done = 0;
    for (int i = 0; i < WORKERS && error == 0; i++) {
        workers[i] = (worker){d, d->mailboxes[i], 0};
        error = skua_group_go(group, work, &workers[i]);
        if (error == 0) d->workers++;
    }
    if (error == 0) error = skua_group_go(group, dispatch, d);
    if (error == 0) error = submit_jobs(d->queue, answers);
    if (error < 0) skua_group_cancel(group, error);
    error = skua_group_wait(group, NULL);
    if (error < 0) return error;
    for (int i = 0; i < JOBS; i++) sum += answers[i];
    for (int i = 0; i < WORKERS; i++) done += workers[i].done;
    printf("%d jobs for %d workers: all done: %s, the sum is %ld\n", JOBS, WORKERS, done == JOBS ? "yes" : "no", sum);
    return 0;
}

int main(void)
{
    dispatcher d = {.workers = 0};
    skua_group *group;
    if (skua_group_create(&group, &(skua_group_options){.fail_fast = 1}) < 0) return 1;
    int error = skua_chan_create(&d.queue, sizeof(job), QUEUE);
    if (error == 0) error = skua_chan_create(&d.free, sizeof(skua_chan *), WORKERS);
    for (int i = 0; i < WORKERS && error == 0; i++) error = skua_chan_create(&d.mailboxes[i], sizeof(job), 0);
    if (error == 0) error = run(&d, group);
    skua_group_release(group);
    skua_chan_release(d.queue);
    skua_chan_release(d.free);
    for (int i = 0; i < WORKERS; i++) skua_chan_release(d.mailboxes[i]);
    if (error < 0) fprintf(stderr, "dispatcher: %s\n", skua_strerror(error));
    return error < 0;
}

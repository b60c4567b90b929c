/*
 * multiplex.c: several generators, one channel: whoever has something to say is heard.
 *
 * Two ways: a task for each generator that forwards what it says, or one task with a select over all.  Both keep the
 * order of each speaker; between speakers there is none.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { SPEAKERS = 3, WORDS = 4 };

typedef struct remark {
    int speaker, number;
} remark;

typedef struct speaker {
    int who;
    skua_chan *out;
} speaker;

static int speak(void *arg)
{
    const speaker *s = arg;
    int error = 0;
    for (int i = 1; i <= WORDS && error == 0; i++) error = skua_chan_send(s->out, &(remark){s->who, i});
    skua_chan_close(s->out);
    return error;
}

/* All of them to *out. A select with as many cases as there are generators; one that has closed is switched off. */
typedef struct mixer {
    skua_chan *in[SPEAKERS], *out;
} mixer;

static int mix_by_select(void *arg)
{
    const mixer *m = arg;
    remark said[SPEAKERS];
    skua_case cases[SPEAKERS];
    int open = SPEAKERS, error = 0;
    for (int i = 0; i < SPEAKERS; i++) cases[i] = (skua_case)SKUA_CASE_RECV(m->in[i], &said[i]);
    while (open > 0 && error == 0) {
        int i = skua_select(cases, SPEAKERS);
        if (i < 0) {
            error = i;
        } else if (cases[i].result == 0) {
            error = skua_chan_send(m->out, &said[i]);
        } else {
            cases[i].chan = NULL;
            open--;
        }
    }
    skua_chan_close(m->out);
    return error;
}

/* The same with a task for each: whoever is the last to end closes *out. */
typedef struct line {
    skua_chan *in, *out;
} line;

static int forward(void *arg)
{
    const line *l = arg;
    remark r;
    int error;
    while ((error = skua_chan_recv(l->in, &r)) == 0 && (error = skua_chan_send(l->out, &r)) == 0) {
    }
    return error == -EPIPE ? 0 : error;
}

static int mix_by_tasks(void *arg)
{
    const mixer *m = arg;
    line lines[SPEAKERS];
    skua_group *group = NULL;
    int error = skua_group_create(&group, &(skua_group_options){.fail_fast = 1});
    for (int i = 0; i < SPEAKERS && error == 0; i++) {
        lines[i] = (line){m->in[i], m->out};
        error = skua_group_go(group, forward, &lines[i]);
    }
    if (error == 0) error = skua_group_wait(group, NULL);
    skua_group_release(group); /* waits for those that were started, in any case */
    skua_chan_close(m->out);
    return error;
}

/* What comes out of the mixer: counts, and whether everybody's remarks are in order. */
static int listen_to(skua_chan *c)
{
    int heard[SPEAKERS] = {0}, error;
    remark r;
    while ((error = skua_chan_recv(c, &r)) == 0)
        if (r.number != ++heard[r.speaker]) printf("speaker %d: %d out of order\n", r.speaker, r.number);
    for (int i = 0; i < SPEAKERS; i++) printf(" %d from %d", heard[i], i);
    return error == -EPIPE ? 0 : error;
}

static int converse(const char *name, skua_fn *mix)
{
    mixer m = {{NULL}, NULL};
    speaker speakers[SPEAKERS];
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.fail_fast = 1});
    if (error < 0) return error;
    error = skua_chan_create(&m.out, sizeof(remark), 0);
    for (int i = 0; i < SPEAKERS && error == 0; i++) error = skua_chan_create(&m.in[i], sizeof(remark), 0);
    for (int i = 0; i < SPEAKERS && error == 0; i++) {
        speakers[i] = (speaker){i, m.in[i]};
        error = skua_group_go(group, speak, &speakers[i]);
    }
    if (error == 0) error = skua_group_go(group, mix, &m);
    printf("%s:", name);
    if (error == 0) error = listen_to(m.out);
    if (error < 0) skua_group_cancel(group, error);
    error = skua_group_wait(group, NULL);
    printf("\n");
    skua_group_release(group);
    for (int i = 0; i < SPEAKERS; i++) skua_chan_release(m.in[i]);
    skua_chan_release(m.out);
    return error;
}

int main(void)
{
    int error = converse("select", mix_by_select);
    if (error == 0) error = converse("tasks", mix_by_tasks);
    if (error < 0) fprintf(stderr, "multiplex: %s\n", skua_strerror(error));
    return error < 0;
}

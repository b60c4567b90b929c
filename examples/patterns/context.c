/*
 * context.c: the first answer wins, the others are called off, and all have a deadline.
 *
 * The same question goes to several servers at a time.  All that is done for it stands in one context: when there is an
 * answer the context is cancelled, and whoever still works for it gives up where it waits, however deep in calls.  The
 * functions below `answer` take no context: the task stands in it.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { SERVERS = 3 };

typedef struct question {
    skua_context *context;
    skua_chan *answers; /* of int; with room for all, so that a server that is too late needs not wait */
    skua_waitgroup asked;
    int gave_up[SERVERS];
} question;

typedef struct server {
    question *question;
    int number;
    uint64_t takes;
} server;

static const char user; /* a key: its address is what counts */

/* Somewhere deep down: looks something up, and knows for whom. */
static int look_up(const server *s, int *found)
{
    const char *name = skua_context_value(skua_context_current(), &user);
    *found = name ? s->number : -1;
    return skua_sleep(s->takes);
}

static int answer(void *arg)
{
    const server *s = arg;
    question *q = s->question;
    int found;
    int error = look_up(s, &found);
    q->gave_up[s->number] = error;
    if (error == 0) error = skua_chan_send(q->answers, &found);
    skua_waitgroup_done(&q->asked);
    return error;
}

/* main is no task and stands in no context: it waits for the end of one in a select. */
static int first_answer(question *q, int *found)
{
    skua_case cases[] = {SKUA_CASE_RECV(q->answers, found), SKUA_CASE_RECV(skua_context_done(q->context), NULL)};
    int chosen = skua_select(cases, 2);
    return chosen == 1 ? skua_context_error(q->context) : chosen;
}

/* Returns 0 and the answer; -ETIMEDOUT. When it returns nobody works for it any more. */
static int ask(question *q, const uint64_t *takes, int *found)
{
    server servers[SERVERS];
    int error = 0;
    for (int i = 0; i < SERVERS && error == 0; i++) {
        servers[i] = (server){q, i, takes[i]};
        skua_waitgroup_add(&q->asked, 1);
        error = skua_context_go(q->context, answer, &servers[i]);
        if (error < 0) skua_waitgroup_done(&q->asked);
    }
    if (error == 0) error = first_answer(q, found);
    skua_context_cancel(q->context, 0);
    skua_waitgroup_wait(&q->asked);
    return error;
}

static int ask_for(const char *name, uint64_t timeout, const uint64_t *takes)
{
    question q = {.asked = SKUA_WAITGROUP_INIT};
    skua_context *request;
    int found, gave_up = 0;
    int error = skua_context_create_value(&request, NULL, &user, (void *)name, NULL);
    if (error < 0) return error;
    error = skua_context_create_for(&q.context, request, timeout);
    if (error == 0) error = skua_chan_create(&q.answers, sizeof(int), SERVERS);
    if (error == 0) error = ask(&q, takes, &found);
    for (int i = 0; i < SERVERS; i++) gave_up += q.gave_up[i] < 0;
    if (error == 0)
        printf("%s: server %d was first, %d were called off\n", name, found, gave_up);
    else if (error == -ETIMEDOUT)
        printf("%s: nobody answered in time, %d gave up\n", name, gave_up);
    skua_chan_release(q.answers);
    skua_context_release(q.context);
    skua_context_release(request);
    return error == -ETIMEDOUT ? 0 : error;
}

int main(void)
{
    static const uint64_t one_is_fast[] = {SKUA_S(3600), SKUA_MS(1), SKUA_S(3600)};
    static const uint64_t all_are_slow[] = {SKUA_S(3600), SKUA_S(3600), SKUA_S(3600)};
    int error = ask_for("anna", SKUA_S(60), one_is_fast);
    if (error == 0) error = ask_for("otto", SKUA_MS(10), all_are_slow);
    if (error < 0) fprintf(stderr, "context: %s\n", skua_strerror(error));
    return error < 0;
}

/*
 * select.c: waiting for several channels at once, with a default, with a timeout, and with a case that is switched off.
 *
 * A case is a struct; which was chosen is its index.  One of those that are ready is chosen at random, so no case
 * starves another.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

/* select { case m := <-mail: ... default: ... } */
static void look(skua_chan *mail)
{
    int letter;
    skua_case cases[] = {SKUA_CASE_RECV(mail, &letter)};
    int chosen = skua_select_try(cases, 1);
    if (chosen == 0)
        printf("look: letter %d\n", letter);
    else if (chosen == -EAGAIN)
        printf("look: nothing there\n");
    else
        printf("look: %s\n", skua_strerror(chosen));
}

/* select { case m := <-mail: ... case <-time.After(d): ... }, without a timer to make and forget */
static void wait_a_little(skua_chan *mail)
{
    int letter;
    skua_case cases[] = {SKUA_CASE_RECV(mail, &letter)};
    int chosen = skua_select_for(cases, 1, SKUA_MS(5));
    printf("wait: %s\n", chosen == -ETIMEDOUT ? "not in time" : chosen < 0 ? skua_strerror(chosen) : "a letter");
}

/*
 * Receives and passes on, both in one select: a queue without a bound between two channels, as it is written in Go with
 * a nil channel.  While there is nothing to pass on the case that sends is switched off by NULL.
 */
typedef struct relay {
    skua_chan *in, *out;
} relay;

static int pass_on(const relay *r)
{
    int kept[16], first = 0, last = 0, came; /* enough for this program */
    enum { IN, OUT };
    skua_case cases[] = {SKUA_CASE_RECV(r->in, &came), SKUA_CASE_SEND(NULL, NULL)};
    while (cases[IN].chan || first < last) {
        cases[OUT].chan = first < last ? r->out : NULL;
        cases[OUT].element = &kept[first];
        int chosen = skua_select(cases, 2);
        if (chosen < 0) return chosen;
        if (chosen == OUT)
            first++;
        else if (cases[IN].result == 0)
            kept[last++] = came;
        else
            cases[IN].chan = NULL; /* closed; from now on never ready */
    }
    return 0;
}

/* In whichever way it ends: nobody waits for it any more. */
static int relay_task(void *arg)
{
    const relay *r = arg;
    int error = pass_on(r);
    skua_chan_close(r->in);
    skua_chan_close(r->out);
    return error;
}

static int use_relay(skua_chan *in, skua_chan *out)
{
    skua_task task;
    int letter, error = skua_spawn(&task, relay_task, &(relay){in, out});
    if (error < 0) return error;
    for (int i = 0; i < 10 && error == 0; i++) error = skua_chan_send(in, &i); /* never waits long: it is kept */
    skua_chan_close(in);
    while (skua_chan_recv(out, &letter) == 0) printf("passed on: %d\n", letter);
    int result = 0, joined = skua_join(task, &result);
    return error < 0 ? error : joined < 0 ? joined : result;
}

int main(void)
{
    skua_chan *mail, *out;
    int letter = 1;
    if (skua_chan_create(&mail, sizeof letter, 1) < 0 || skua_chan_create(&out, sizeof letter, 0) < 0) return 1;
    look(mail);
    wait_a_little(mail);
    skua_chan_send(mail, &letter);
    look(mail);
    int error = use_relay(mail, out);
    skua_chan_release(mail);
    skua_chan_release(out);
    if (error < 0) fprintf(stderr, "select: %s\n", skua_strerror(error));
    return error < 0;
}

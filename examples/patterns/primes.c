/*
 * primes.c: a chain of filters, one task for each prime, that leaves nothing but primes.
 *
 * The first number that comes out of a filter is a prime; a new filter is put behind it, which lets pass what that
 * prime does not divide.  To end the chain its last channel is closed: the filter before it learns that by its send,
 * closes the channel it receives from, and so on up to the source.  In Go these goroutines would be left behind.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { PRIMES = 25 };

typedef struct filter {
    int prime;
    skua_chan *in, *out;
} filter;

static int count(void *arg)
{
    skua_chan *out = arg;
    int n = 2, error;
    while ((error = skua_chan_send(out, &n)) == 0) n++;
    skua_chan_close(out);
    return error == -EPIPE ? 0 : error;
}

static int let_pass(void *arg)
{
    const filter *f = arg;
    int n, error;
    while ((error = skua_chan_recv(f->in, &n)) == 0)
        if (n % f->prime != 0 && (error = skua_chan_send(f->out, &n)) < 0) break;
    skua_chan_close(f->in);  /* the one before us ends, too */
    skua_chan_close(f->out); /* and the one behind us, when it was an error; else this is closed already */
    return error == -EPIPE ? 0 : error;
}

/* filters[i] receives from chain[i] and sends to chain[i + 1]. */
static int sieve(skua_group *group, skua_chan **chain, filter *filters)
{
    int error = skua_chan_create(&chain[0], sizeof(int), 0);
    if (error == 0) error = skua_group_go(group, count, chain[0]);
    for (int i = 0; i < PRIMES && error == 0; i++) {
        int prime;
        error = skua_chan_recv(chain[i], &prime);
        if (error == 0) printf("%d\n", prime);
        if (error == 0) error = skua_chan_create(&chain[i + 1], sizeof(int), 0);
        if (error < 0) break;
        filters[i] = (filter){prime, chain[i], chain[i + 1]};
        error = skua_group_go(group, let_pass, &filters[i]);
    }
    return error;
}

int main(void)
{
    skua_chan *chain[PRIMES + 1] = {NULL};
    filter filters[PRIMES];
    skua_group *group;
    if (skua_group_create(&group, NULL) < 0) return 1;
    int error = sieve(group, chain, filters);
    if (error < 0) skua_group_cancel(group, error);
    skua_chan_close(chain[PRIMES]);
    error = skua_group_wait(group, NULL); /* all are gone */
    skua_group_release(group);
    for (int i = 0; i <= PRIMES; i++) skua_chan_release(chain[i]);
    if (error < 0) fprintf(stderr, "primes: %s\n", skua_strerror(error));
    return error < 0;
}

/* sieve: the first n primes, by a chain of filters, one task for each prime, with channels without a buffer between. */
#include "in_task.h"
#include "measure.h"

#include <stdlib.h>

typedef struct filter {
    skua_chan *in, *out;
    uint64_t prime;
} filter;

/* Until nobody wants them any more. */
static int numbers(void *arg)
{
    int error = 0;
    for (uint64_t i = 2; error == 0; i++) error = skua_chan_send(arg, &i);
    return 0;
}

static int without_multiples(void *arg)
{
    const filter *f = arg;
    uint64_t number;
    int error = 0;
    while (error == 0 && skua_chan_recv(f->in, &number) == 0)
        if (number % f->prime != 0) error = skua_chan_send(f->out, &number);
    skua_chan_close(f->in);
    return 0;
}

/* Lengthens the chain by one filter for each prime that comes out of it. */
static int lengthen(filter *filters, uint64_t n, uint64_t *prime)
{
    skua_chan *end;
    int error = skua_chan_create(&end, sizeof(uint64_t), 0);
    if (error == 0) error = skua_go(numbers, end);
    for (uint64_t i = 0; i < n && error == 0; i++) {
        error = skua_chan_recv(end, prime);
        filters[i] = (filter){.in = end, .prime = *prime};
        if (error == 0) error = skua_chan_create(&filters[i].out, sizeof(uint64_t), 0);
        if (error == 0) error = skua_go(without_multiples, &filters[i]);
        end = filters[i].out;
    }
    return error;
}

/* The n-th prime by trial division. */
static uint64_t nth_prime(uint64_t n)
{
    uint64_t candidate = 1;
    while (n > 0) {
        uint64_t divisor = 2;
        for (candidate++; divisor * divisor <= candidate && candidate % divisor != 0;) divisor++;
        if (divisor * divisor > candidate) n--;
    }
    return candidate;
}

/* The chain is left as it stands, filled and parked; the process ends soon. */
static int find(void *arg)
{
    bench_run *run = arg;
    uint64_t prime = 0;
    filter *filters = calloc(run->n, sizeof *filters);
    if (!filters) return -ENOMEM;
    measure_start(run);
    int error = lengthen(filters, run->n, &prime);
    measure_stop(run);
    snprintf(run->note, sizeof run->note, "last=%" PRIu64, prime);
    return error < 0 ? error : prime == nth_prime(run->n) ? 0 : -EIO;
}

int bench_sieve(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "capacity=0");
    return in_task(find, run);
}

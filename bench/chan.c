/* chan-pingpong, chan-buffered, chan-mpmc: numbers through channels, from task to task. */
#include "in_task.h"
#include "measure.h"

#include <stdatomic.h>

/* ---- chan-pingpong: there and back through two channels without a buffer ---- */

typedef struct table {
    skua_chan *there, *back;
} table;

static int pong(void *arg)
{
    const table *t = arg;
    int error = 0;
    for (uint64_t ball; error == 0 && skua_chan_recv(t->there, &ball) == 0;) error = skua_chan_send(t->back, &ball);
    return error;
}

static int ping(const table *t, uint64_t n, uint64_t *sum)
{
    int error = 0;
    for (uint64_t i = 0, ball; i < n && error == 0; i++) {
        error = skua_chan_send(t->there, &i);
        if (error == 0) error = skua_chan_recv(t->back, &ball);
        if (error == 0) *sum += ball;
    }
    return error;
}

static int play(void *arg)
{
    bench_run *run = arg;
    table t;
    skua_task other;
    uint64_t sum = 0;
    int error = skua_chan_create(&t.there, sizeof(uint64_t), 0);
    if (error == 0) error = skua_chan_create(&t.back, sizeof(uint64_t), 0);
    if (error == 0) error = skua_spawn(&other, pong, &t);
    if (error < 0) return error;
    measure_start(run);
    error = ping(&t, run->n, &sum);
    measure_stop(run);
    skua_chan_close(t.there);
    int joined = join_all(&other, 1);
    skua_chan_release(t.there);
    skua_chan_release(t.back);
    return error < 0 ? error : joined < 0 ? joined : expect_sum(sum, run->n);
}

int bench_chan_pingpong(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "capacity=0");
    return in_task(play, run);
}

/* ---- chan-buffered, chan-mpmc: many to many, through one channel of 128 ---- */

#define CAPACITY 128
#define EACH_MOST 4

typedef struct belt {
    skua_chan *chan;
    uint64_t n;            /* numbers that each producer sends */
    int each;              /* how many producers there are, and how many consumers */
    _Atomic uint64_t next; /* the producers' numbers */
    _Atomic uint64_t sum;  /* of what the consumers have got */
} belt;

static int produce(void *arg)
{
    belt *b = arg;
    uint64_t first = atomic_fetch_add(&b->next, b->n);
    int error = 0;
    for (uint64_t i = first; i < first + b->n && error == 0; i++) error = skua_chan_send(b->chan, &i);
    return error;
}

static int consume(void *arg)
{
    belt *b = arg;
    uint64_t sum = 0, number;
    while (skua_chan_recv(b->chan, &number) == 0) sum += number;
    atomic_fetch_add(&b->sum, sum);
    return 0;
}

static int produce_and_consume(belt *b)
{
    skua_task producers[EACH_MOST], consumers[EACH_MOST];
    int error = start_all(consumers, b->each, consume, b);
    if (error == 0) error = start_all(producers, b->each, produce, b);
    if (error < 0) return error;
    error = join_all(producers, b->each);
    skua_chan_close(b->chan);
    int joined = join_all(consumers, b->each);
    return error < 0 ? error : joined;
}

static int convey(bench_run *run, int each)
{
    belt b = {.n = run->n / (uint64_t)each, .each = each};
    run->n = b.n * (uint64_t)each;
    int error = skua_chan_create(&b.chan, sizeof(uint64_t), CAPACITY);
    if (error < 0) return error;
    measure_start(run);
    error = produce_and_consume(&b);
    measure_stop(run);
    skua_chan_release(b.chan);
    return error < 0 ? error : expect_sum(b.sum, run->n);
}

static int one_to_one(void *arg)
{
    return convey(arg, 1);
}

static int four_to_four(void *arg)
{
    return convey(arg, 4);
}

int bench_chan_buffered(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "capacity=%d producers=1 consumers=1", CAPACITY);
    return in_task(one_to_one, run);
}

int bench_chan_mpmc(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "capacity=%d producers=4 consumers=4", CAPACITY);
    return in_task(four_to_four, run);
}

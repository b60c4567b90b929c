/* select: a task receives from whichever of two channels has something; a producer behind each. */
#include "in_task.h"
#include "measure.h"

typedef struct source {
    skua_chan *chan;
    uint64_t from, to;
} source;

static int produce(void *arg)
{
    const source *s = arg;
    int error = 0;
    for (uint64_t i = s->from; i < s->to && error == 0; i++) error = skua_chan_send(s->chan, &i);
    skua_chan_close(s->chan);
    return error;
}

/* Until both are closed: who has been closed is a NULL channel from then on, which is never ready. */
static int receive_both(const source *sources, uint64_t *sum)
{
    uint64_t number;
    skua_case cases[] = {SKUA_CASE_RECV(sources[0].chan, &number), SKUA_CASE_RECV(sources[1].chan, &number)};
    for (int open = 2; open > 0;) {
        int chosen = skua_select(cases, 2);
        if (chosen < 0) return chosen;
        if (cases[chosen].result == 0) {
            *sum += number;
        } else {
            cases[chosen].chan = NULL;
            open--;
        }
    }
    return 0;
}

static int multiplex(void *arg)
{
    bench_run *run = arg;
    uint64_t half = run->n / 2, sum = 0;
    run->n = half * 2;
    source sources[2] = {{NULL, 0, half}, {NULL, half, 2 * half}};
    skua_task producers[2];
    int error = skua_chan_create(&sources[0].chan, sizeof(uint64_t), 0);
    if (error == 0) error = skua_chan_create(&sources[1].chan, sizeof(uint64_t), 0);
    measure_start(run);
    if (error == 0) error = skua_spawn(&producers[0], produce, &sources[0]);
    if (error == 0) error = skua_spawn(&producers[1], produce, &sources[1]);
    if (error == 0) error = receive_both(sources, &sum);
    if (error == 0) error = join_all(producers, 2);
    measure_stop(run);
    if (error < 0) return error;
    skua_chan_release(sources[0].chan);
    skua_chan_release(sources[1].chan);
    return expect_sum(sum, run->n);
}

int bench_select(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "channels=2 capacity=0");
    return in_task(multiplex, run);
}

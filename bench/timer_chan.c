/* timer-chan: a timer of a minute into a channel, armed and stopped: the fate of nearly every time-out of a select. */
#include "in_task.h"
#include "measure.h"

#define AFTER SKUA_S(60)

/* A new one each time, as time.NewTimer makes it. */
static int make_and_stop(void *arg)
{
    bench_run *run = arg;
    int error = 0;
    measure_start(run);
    for (uint64_t i = 0; i < run->n && error == 0; i++) {
        skua_ticker *ticker;
        error = skua_ticker_create(&ticker, AFTER, 0);
        if (error == 0) error = skua_ticker_stop(ticker);
        if (error == 0) error = skua_ticker_release(ticker);
    }
    measure_stop(run);
    return error;
}

/* One for all. */
static int reset_and_stop(void *arg)
{
    bench_run *run = arg;
    skua_ticker *ticker;
    int error = skua_ticker_create(&ticker, SKUA_FOREVER, 0);
    if (error < 0) return error;
    measure_start(run);
    for (uint64_t i = 0; i < run->n && error >= 0; i++) {
        error = skua_ticker_reset(ticker, AFTER, 0);
        if (error >= 0) error = skua_ticker_stop(ticker);
    }
    measure_stop(run);
    skua_ticker_release(ticker);
    return error < 0 ? error : 0;
}

int bench_timer_chan(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "after_s=60");
    return in_task(make_and_stop, run);
}

int bench_timer_chan_reset(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "after_s=60 timers=1");
    return in_task(reset_and_stop, run);
}

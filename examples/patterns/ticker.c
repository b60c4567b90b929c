/*
 * ticker.c: timers and tickers: one tick or many, into a channel or to a function.
 *
 * One object is both: with a period of 0 it ticks once, as Go's time.Timer, else again and again, as time.Ticker. Ticks
 * come on a channel, so they can stand in a select beside anything else.  For a plain pause there is skua_sleep, for a
 * wait with a limit the _for calls: neither needs a timer.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

static int wait_for_timer(void)
{
    skua_ticker *timer;
    uint64_t start = skua_now(), when;
    int error = skua_ticker_create(&timer, SKUA_MS(3), 0);
    if (error < 0) return error;
    error = skua_chan_recv(skua_ticker_chan(timer), &when);
    if (error == 0) printf("timer: %s\n", when - start >= SKUA_MS(3) ? "fired, not before its time" : "too early");
    skua_ticker_release(timer);
    return error;
}

/* What Go says since 1.23 holds: after a stop nothing comes any more, nor lies in the channel. */
static int stop_and_reset(void)
{
    skua_ticker *timer;
    int error = skua_ticker_create(&timer, SKUA_S(3600), 0);
    if (error < 0) return error;
    printf("stop: %s\n", skua_ticker_stop(timer) == 0 ? "it was running" : "?");
    printf("stop again: %s\n", skua_ticker_stop(timer) == -ESRCH ? "it was not" : "?");
    error = skua_ticker_reset(timer, SKUA_MS(1), 0); /* 1: it was not running */
    if (error >= 0) error = skua_chan_recv(skua_ticker_chan(timer), NULL);
    if (error == 0) printf("reset: fired\n");
    skua_ticker_release(timer);
    return error;
}

/* Who does not come in time misses ticks: one waits for him, the others are dropped. */
static int miss_ticks(void)
{
    skua_ticker *ticker;
    int error = skua_ticker_create(&ticker, SKUA_MS(1), SKUA_MS(1));
    if (error < 0) return error;
    error = skua_sleep(SKUA_MS(10));
    printf("slow receiver: %s\n", skua_chan_len(skua_ticker_chan(ticker)) <= 1 ? "no ticks pile up" : "?");
    skua_ticker_release(ticker);
    return error;
}

/* ---- a ticker beside something else: a count-down that can be aborted ---- */

static int count_down(skua_chan *abort_it, uint64_t period)
{
    skua_ticker *ticker;
    int error = skua_ticker_create(&ticker, period, period);
    if (error < 0) return error;
    enum { TICK, ABORT };
    skua_case cases[] = {SKUA_CASE_RECV(skua_ticker_chan(ticker), NULL), SKUA_CASE_RECV(abort_it, NULL)};
    int chosen = TICK;
    for (int n = 3; n > 0 && chosen == TICK; n--) {
        printf("%d\n", n);
        chosen = skua_select(cases, 2);
    }
    if (chosen >= 0) printf(chosen == TICK ? "lift-off\n" : "aborted\n");
    skua_ticker_release(ticker); /* nobody else has its channel, so it cannot be busy */
    return chosen < 0 ? chosen : 0;
}

static int press_the_button(void *abort_it)
{
    return skua_chan_close(abort_it);
}

static int launch_twice(void)
{
    skua_chan *abort_it;
    skua_ticker *button; /* the other kind: calls a function, in a task of its own */
    int error = skua_chan_create_signal(&abort_it, 0);
    if (error < 0) return error;
    error = count_down(abort_it, SKUA_MS(2));
    if (error == 0) error = skua_ticker_call(&button, SKUA_MS(1), 0, press_the_button, abort_it);
    if (error == 0) {
        error = count_down(abort_it, SKUA_S(3600));
        skua_ticker_release(button);
    }
    skua_chan_release(abort_it);
    return error;
}

int main(void)
{
    int error = wait_for_timer();
    if (error == 0) error = stop_and_reset();
    if (error == 0) error = miss_ticks();
    if (error == 0) error = launch_twice();
    if (error < 0) fprintf(stderr, "ticker: %s\n", skua_strerror(error));
    return error < 0;
}

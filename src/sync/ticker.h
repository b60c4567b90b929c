/* ticker.h: the schedule of tickers; for ticker.c and its test. */
#ifndef SK_SYNC_TICKER_H
#define SK_SYNC_TICKER_H

#include <stdint.h>

#include "os/clock.h"

/* The first time after `now` that is whole periods, one at least, after `due`. ns; period > 0. */
static inline uint64_t sk_ticker_due_after(uint64_t due, uint64_t period, uint64_t now)
{
    if (now > due) due += (now - due) / period * period;
    return sk_deadline_after(due, period);
}

#endif

/*
 * time.h: durations.
 *
 * Every duration in skua is a uint64_t of nanoseconds, measured on
 * CLOCK_MONOTONIC from the moment of the call.
 */
#ifndef SKUA_TIME_H
#define SKUA_TIME_H

#include <stdint.h>

#include "skua/api.h"

SKUA_BEGIN

#define SKUA_NS(n) ((uint64_t)(n))
#define SKUA_US(n) ((uint64_t)(n)*1000u)
#define SKUA_MS(n) ((uint64_t)(n)*1000000u)
#define SKUA_S(n) ((uint64_t)(n)*1000000000u)

/* No timeout. */
#define SKUA_FOREVER UINT64_MAX

/* The monotonic clock now, in nanoseconds. Any thread; never parks. */
SKUA_API uint64_t skua_now(void);

SKUA_END

#endif

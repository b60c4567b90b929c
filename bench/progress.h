/* progress.h: a progress bar on stderr, drawn by a thread of its own from a count that the bench keeps. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Starts drawing when `show`; `done` is called ten times a second from another thread. */
void progress_start(bool show, const char *what, uint64_t total, uint64_t (*done)(void));

/* Draws the full bar and ends its thread. */
void progress_stop(void);

#endif

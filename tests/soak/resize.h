/*
 * resize.h: a thread that grows and shrinks the workers of a runtime for as long as it is let.
 */
#ifndef SOAK_RESIZE_H
#define SOAK_RESIZE_H

#include <pthread.h>
#include <skua/skua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WORKERS_MOST = 64 };

typedef struct resizer {
    skua_runtime *rt;
    _Atomic bool stop;
    _Atomic uint64_t cycles;  /* from 1 worker up and down to 1 again, both seen to have happened */
    _Atomic uint64_t most;    /* the largest number of workers seen */
    _Atomic uint64_t longest; /* ns; the longest that it took to get to a number */
    _Atomic int error;        /* of skua_runtime_resize; 0 */
    pthread_t thread;
} resizer;

/* 0 or a negative errno. `cycles` and `most` go on from where they are. */
int resizer_start(resizer *r, skua_runtime *rt);

/* Stops it; the runtime has one worker afterwards. */
void resizer_stop(resizer *r);

#endif

/* resize.c: see resize.h. */
#include "resize.h"

#include <time.h>

enum { LOOK_NS = 30000, PATIENCE_S = 60 };

static uint32_t workers_of(resizer *r)
{
    skua_stats s = {0};
    if (skua_runtime_stats(r->rt, &s, NULL, 0) < 0) return 0;
    if (s.workers > atomic_load_explicit(&r->most, memory_order_relaxed))
        atomic_store_explicit(&r->most, s.workers, memory_order_relaxed);
    return s.workers;
}

/* Asks for n workers and waits until there are so many. False: told to stop, an error, or it never happened. */
static bool go_to(resizer *r, uint32_t n)
{
    uint64_t begin = skua_now();
    int error = skua_runtime_resize(r->rt, n);
    if (error) atomic_store(&r->error, error);
    for (uint64_t give_up = begin + SKUA_S(PATIENCE_S); !error && workers_of(r) != n;) {
        if (atomic_load_explicit(&r->stop, memory_order_relaxed)) return false;
        if (skua_now() > give_up) {
            atomic_store(&r->error, -1);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    uint64_t took = skua_now() - begin;
    if (took > atomic_load(&r->longest)) atomic_store(&r->longest, took);
    return !error;
}

/* Mostly a few more, now and then all there may be. */
static uint32_t size_of(uint64_t cycle)
{
    if (cycle % 256 == 255) return WORKERS_MOST;
    if (cycle % 16 == 15) return 2 + (uint32_t)(cycle / 16 % 14);
    return 2 + (uint32_t)(cycle % 3);
}

static void *resize_often(void *arg)
{
    resizer *r = arg;
    while (!atomic_load_explicit(&r->stop, memory_order_relaxed) && atomic_load(&r->error) == 0)
        if (go_to(r, size_of(atomic_load_explicit(&r->cycles, memory_order_relaxed))) && go_to(r, 1))
            atomic_fetch_add_explicit(&r->cycles, 1, memory_order_relaxed);
    return NULL;
}

int resizer_start(resizer *r, skua_runtime *rt)
{
    r->rt = rt;
    atomic_store(&r->stop, false);
    return -pthread_create(&r->thread, NULL, resize_often, r);
}

void resizer_stop(resizer *r)
{
    atomic_store(&r->stop, true);
    pthread_join(r->thread, NULL);
    atomic_store(&r->stop, false);
    go_to(r, 1);
}

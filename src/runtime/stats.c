/*
 * stats.c: one snapshot of all counters that adds up.
 *
 * Every counter only grows, and a task counts in the order created, started,
 * parked, resumed, ended.  The snapshot reads in the reverse order, each with
 * acquire where a release counted it: whatever it finds ended it finds started,
 * and so on; the differences are never negative, and with one exception are
 * numbers that were true at some moment of the reading.  The exception: between
 * the reading of `resumed` and `parked` a task may park and go on several times,
 * so that `parked` is cut to the number of tasks that are started and not ended.
 */
#include <errno.h>

#include "runtime/idle.h"
#include "runtime/shutdown.h"

typedef struct sums {
    uint64_t ended[SK_ENDS], all_ended, unstarted, resumed, parked, started, created, refused;
} sums;

static sk_worker *worker_at(skua_runtime *rt, uint32_t i)
{
    return sk_load_rlx(&rt->workers[i]);
}

/* The number of workers is read anew for each counter: what has ended on one may have been created on a newer one. */
static uint64_t sum(skua_runtime *rt, size_t counter)
{
    uint64_t total = 0;
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_counters *count = &worker_at(rt, i)->count;
        /* [ST-A1] acquire; pairs with [PK-R1], [PK-R2] and [EN-R1]: see the head of this file. */
        total += sk_load_acq((sk_atomic(uint64_t) *)(void *)((char *)count + counter));
    }
    return total;
}

static sums take_sums(skua_runtime *rt)
{
    sums s = {0};
    for (int end = 0; end < SK_ENDS; end++) {
        /* [ST-A3] acquire; pairs with [EN-R3]. */
        s.ended[end] = sum(rt, offsetof(sk_counters, ended) + (size_t)end * sizeof(uint64_t)) +
                       sk_load_acq(&rt->foreign_ended[end]);
        s.all_ended += s.ended[end];
    }
    /* [ST-A4] acquire; pairs with [EN-R2] and [EN-R6]: what was refused is found created. */
    s.refused = sk_load_acq(&rt->foreign_refused);
    /* [ST-A5] acquire; pairs with [EN-R3], as [ST-A3]. */
    s.unstarted = sum(rt, offsetof(sk_counters, unstarted)) + sk_load_acq(&rt->foreign_unstarted);
    s.resumed = sum(rt, offsetof(sk_counters, resumed));
    s.parked = sum(rt, offsetof(sk_counters, parked));
    s.started = sum(rt, offsetof(sk_counters, started));
    s.created = sum(rt, offsetof(sk_counters, created)) + sk_load_rlx(&rt->foreign_created) - s.refused;
    return s;
}

/* From sums to states. All that has ended was created; it was either started or not. */
static void give_tasks(skua_stats *out, const sums *s)
{
    uint64_t ended_started = s->all_ended - sk_min(s->unstarted, s->all_ended);
    uint64_t alive_started = s->started - sk_min(ended_started, s->started);
    uint64_t alive = s->created - s->all_ended;
    alive_started = sk_min(alive_started, alive);
    out->created = s->created;
    out->parked = sk_min(s->parked - s->resumed, alive_started);
    out->running = alive_started - out->parked;
    out->queued = alive - alive_started;
    out->done = s->ended[SK_DONE];
    out->failed = s->ended[SK_FAILED];
    out->cancelled = s->ended[SK_CANCELLED];
    out->expired = s->ended[SK_LATE_END];
    out->dropped = s->ended[SK_DROPPED];
}

static void give_worker(skua_worker_stats *out, sk_worker *w)
{
    sk_counters *c = &w->count;
    /* [ST-A6] acquire; pairs with [SC-R5]: whoever counts a success counts the attempt. */
    uint64_t won = sk_load_acq(&c->steals_won);
    *out = (skua_worker_stats){
        .tasks_run = sk_load_rlx(&c->dispatches),
        .steals_tried = sk_load_rlx(&c->steals_tried),
        .steals_won = won,
        .tasks_stolen = sk_load_rlx(&c->tasks_stolen),
        .parks = sk_load_rlx(&c->parked),
        .sleeps = sk_load_rlx(&c->sleeps),
        .wakeups = sk_load_rlx(&c->wakeups),
        .timers_armed = sk_load_rlx(&c->timers_armed),
        .timers_fired = sk_load_rlx(&c->timers_fired),
        .timers_cancelled = sk_load_rlx(&c->timers_cancelled),
        .queued = sk_taskq_size(&w->queue),
    };
}

static void add_worker(skua_worker_stats *total, const skua_worker_stats *one)
{
    uint64_t *to = (uint64_t *)(void *)total;
    const uint64_t *from = (const uint64_t *)(const void *)one;
    _Static_assert(sizeof *total % sizeof *to == 0, "all members are uint64_t");
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++) to[i] += from[i];
}

static void give_workers(skua_runtime *rt, skua_stats *out, skua_worker_stats *each, size_t room)
{
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_worker *w = worker_at(rt, i);
        skua_worker_stats one;
        give_worker(&one, w);
        add_worker(&out->total, &one);
        unsigned carry = (unsigned)(sk_load_rlx(&w->carry) & SK_CARRY);
        if (carry == SK_VACANT) continue;
        if (each && out->workers < room) each[out->workers] = one;
        out->workers++;
        out->idle += sk_is_idle(rt, w);
        out->blocked += carry == SK_LENT;
    }
}

static void give_stacks(skua_stats *out)
{
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        out->stacks += numbers.created;
        out->stack_bytes += numbers.created * sk_stack_bytes(cls);
    }
}

int skua_runtime_stats(skua_runtime *rt, skua_stats *out, skua_worker_stats *each, size_t room)
{
    int error = sk_runtime_check(rt);
    if (error) return error;
    if (!out) return -EINVAL;
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    *out = (skua_stats){0};
    sums s = take_sums(rt);
    give_tasks(out, &s);
    give_workers(rt, out, each, room);
    give_stacks(out);
    out->threads = sk_load_rlx(&rt->thread_count) + 1;
    out->grown = sk_load_rlx(&rt->grown);
    out->shrunk = sk_load_rlx(&rt->shrunk);
    out->handoffs = sk_load_rlx(&rt->handoffs);
    sk_runtime_exit(rt);
    return (int)out->workers;
}

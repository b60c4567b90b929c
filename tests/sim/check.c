/*
 * check.c: what must hold when all strands wait, and when all have ended.
 *
 * The checks read the library's structures by its own functions, with
 * `sim.looking` set so that these are no points.
 */
#include "sim/sim.h"

#include "base/fault.h"
#include "mem/arena.h"
#include "mem/slab.h"
#include "runtime/idle.h"
#include "runtime/sched.h"
#include "sim/scenario.h"

#include <string.h>

enum {
    RUNTIMES = 4,
    SLABS = 24,
    LATE_ASLEEP_NS = 80000, /* a sleeping worker's next timer: its tick, and the span in which expiries are gathered */
    LATE_WATCHED_NS = 3500000, /* two looks of the monitor, and what they take */
    LATE_FROZEN_NS = 8000000   /* with somebody frozen it may take some more looks */
};

static skua_runtime *watched[RUNTIMES];
static unsigned watched_count;
static sk_slab *slabs[SLABS];
static unsigned slab_count;
static unsigned blocks_allowed;
static bool expect_announced;

void sim_watch(skua_runtime *rt)
{
    if (watched_count == RUNTIMES) sim_fail("more than %d runtimes: raise RUNTIMES", RUNTIMES);
    watched[watched_count++] = rt;
    sim_strategy_settled();
}

void sim_expect_announced(bool expected)
{
    expect_announced = expected;
}

void sim_allow_blocks(unsigned n)
{
    blocks_allowed += n;
}

int __real_sk_slab_init(sk_slab *slab, size_t object_size, size_t link);

int __wrap_sk_slab_init(sk_slab *slab, size_t object_size, size_t link)
{
    int error = __real_sk_slab_init(slab, object_size, link);
    if (error) return error;
    for (unsigned i = 0; i < slab_count; i++)
        if (slabs[i] == slab) return 0; /* again, after a sk_slab_fini */
    if (slab_count == SLABS) sim_fail("more than %d slabs: raise SLABS", SLABS);
    slabs[slab_count++] = slab;
    return 0;
}

/* ---- all wait ---- */

typedef struct census {
    unsigned idle, lent, awake; /* workers: asleep; with a thread in a blocking call; neither, as far as they say */
    bool announced;             /* something is in the queue of an awake worker, and was announced */
    bool queued;                /* something is in a queue where others could take it, or should not have left it */
} census;

/* A runnext whose owner is frozen while it takes or sets it is in the owner's hands. */
static bool has_queued(sk_worker *w)
{
    bool held = sim.frozen && sk_load_rlx(&w->next_claim.inside);
    return sk_taskq_size(&w->queue) > 0 || (sk_load_rlx(&w->runnext) && !held);
}

static void count_worker(census *c, skua_runtime *rt, sk_worker *w, uint64_t then)
{
    unsigned carry = (unsigned)(sk_load_rlx(&w->carry) & SK_CARRY);
    uint64_t due = sk_timers_next(&w->timers), late = LATE_WATCHED_NS;
    bool fair = !sim.frozen;
    c->queued |= has_queued(w);
    if (carry == SK_VACANT) {
        if (fair && has_queued(w)) sim_fail("worker %u has retired with tasks in its queue", w->index);
    } else if (carry == SK_LENT) {
        c->lent++;
    } else if (sk_is_idle(rt, w)) {
        c->idle++;
        late = LATE_ASLEEP_NS;
        if (fair && has_queued(w)) sim_fail("worker %u sleeps beside its own tasks", w->index);
    } else {
        c->awake++;
        c->announced |= sk_taskq_size(&w->queue) > 0 && !sk_load_rlx(&w->quiet_since);
        return; /* its thread is stopped by something else: it or the monitor will see to its timers */
    }
    /* 0 stands for a timer whose clock is read at the next advance; it becomes known then, see sk_timers_arm_in. */
    if (due == 0 && late != LATE_ASLEEP_NS) return;
    if (fair && sim_time_is_fair() && !sim.plan.faults && !sim.plan.spurious && due != SIM_NEVER && due + late < then)
        sim_fail("a timer of worker %u is late by %llu us while all wait", w->index,
                 (unsigned long long)(then - due) / 1000);
}

static bool monitor_is_frozen(void)
{
    return sim.frozen && strncmp(sim.frozen->name, "monitor", 7) == 0;
}

/* The task that is next in each queue of a runtime, and for how much waiting it has been. */
enum { PLACES = 1 + 2 * 16 };
typedef struct place {
    uint64_t front; /* 0: empty */
    uint64_t waited;
} place;

static uint64_t name_of(const sk_task *t)
{
    return t ? (uint64_t)(uintptr_t)t ^ sk_load_rlx((sk_atomic(uint64_t) *)&t->state.serial) << 48 : 0;
}

static uint64_t front_of(skua_runtime *rt, unsigned at)
{
    if (at == 0) {
        sk_inject_link *link = sk_load_rlx(&rt->inbox.newest);
        while (link && link->next) link = link->next;
        return link ? name_of(sk_task_of_link(link)) : 0;
    }
    sk_worker *w = (at - 1) / 2 < sk_workers_made(rt) ? sk_load_rlx(&rt->workers[(at - 1) / 2]) : NULL;
    if (!w) return 0;
    bool held = sim.frozen && sk_load_rlx(&w->next_claim.inside);
    if (at % 2) return held ? 0 : name_of(sk_load_rlx(&w->runnext));
    return sk_taskq_size(&w->queue) ? sk_load_rlx(&w->queue.top) + 1 : 0;
}

/* The longest that a task has been waiting at the front of a queue. */
static uint64_t longest_wait(skua_runtime *rt, place *places, uint64_t ns)
{
    uint64_t longest = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        uint64_t front = front_of(rt, i);
        places[i].waited = front && front == places[i].front ? places[i].waited + ns : front ? ns : 0;
        places[i].front = front;
        longest = sk_max(longest, places[i].waited);
    }
    return longest;
}

/* Work is queued, and nobody will look at it at once. That may be so for a while: when a worker's thread is in a
   blocking call, or frozen, until the monitor has looked twice. */
static void check_queued(skua_runtime *rt, place *places, const census *c, uint64_t ns)
{
    bool helpless = c->idle == 0 && c->lent == 0;
    /* While all sleep, a submitter frozen between putting its task in and saying so is known to nobody. */
    bool unknown = sk_load_rlx(&rt->monitor_deep) && sim.frozen && !sim.frozen->ours;
    if (!c->queued || helpless || unknown || monitor_is_frozen() || sim.plan.faults || sim.plan.jumps) {
        memset(places, 0, PLACES * sizeof *places);
        return;
    }
    if (!sim.frozen && !c->lent && !c->awake) sim_fail("work is queued while all workers sleep");
    if (expect_announced && !sim.frozen && c->announced && c->idle)
        sim_fail("work was announced, and %u workers sleep beside it", c->idle);
    uint64_t waited = longest_wait(rt, places, ns);
    if (waited > (uint64_t)(sim.frozen ? LATE_FROZEN_NS : LATE_WATCHED_NS))
        sim_fail("work has been queued for %llu us of waiting, with %u workers asleep, %u in blocking calls",
                 (unsigned long long)waited / 1000, c->idle, c->lent);
}

static void check_runtime(skua_runtime *rt, place *places, uint64_t ns)
{
    if (sk_load_rlx(&rt->magic) != SK_RUNTIME_LIVE || sk_load_rlx(&rt->stopping) >= SK_STOP_THREADS) return;
    census c = {.queued = !sk_inject_is_empty(&rt->inbox)};
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++)
        count_worker(&c, rt, sk_load_rlx(&rt->workers[i]), sim.now + ns);
    uint32_t tokens = sk_load_rlx(&rt->searching);
    if (!sim.frozen && !c.awake && tokens) sim_fail("%u tokens are out while all workers sleep", tokens);
    if (!sim.frozen && (c.awake || c.lent) && sk_load_rlx(&rt->monitor_deep))
        sim_fail("the monitor sleeps deeply beside %u workers that do not sleep", c.awake + c.lent);
    check_queued(rt, places, &c, ns);
}

void sim_check_rest(uint64_t ns)
{
    static place places[RUNTIMES][PLACES];
    sim.looking = true;
    for (unsigned i = 0; i < watched_count; i++) check_runtime(watched[i], places[i], ns);
    sim.looking = false;
}

/* ---- somebody was frozen ---- */

typedef struct held {
    uint64_t count;
    const sk_task *elsewhere[2 * SIM_JOBS]; /* tasks in queues, and tasks that run */
    unsigned n;
} held;

static void add(held *h, const sk_task *t)
{
    if (!t) return;
    if (h->n == sk_array_len(h->elsewhere)) sim_fail("more than %u tasks in queues and under way", h->n);
    h->elsewhere[h->n++] = t;
}

static void add_worker(held *h, sk_worker *w)
{
    uint64_t top = sk_load_rlx(&w->queue.top), bottom = sk_load_rlx(&w->queue.bottom);
    const sk_taskq_buffer *buffer = sk_load_rlx(&w->queue.buffer);
    for (uint64_t i = top; (int64_t)(bottom - i) > 0; i++) add(h, (sk_task *)sk_load_rlx(sk_taskq_slot(buffer, i)));
    add(h, sk_load_rlx(&w->runnext));
    add(h, w->task);
    add(h, w->pending);
}

static void look_at_task(void *object, void *ctx)
{
    const sk_task *t = (const sk_task *)object;
    held *h = (held *)ctx;
    if (sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->state.word)) != SK_ACTIVE || !t->fn) return;
    if (sk_task_owner_of(t)->ended) return; /* a pool's: perhaps in the pool's own queue */
    for (unsigned i = 0; i < h->n; i++)
        if (h->elsewhere[i] == t) return;
    h->count++;
}

/* Tasks that could run, and neither run nor stand in any queue: the frozen strand has them in its hands. */
void sim_check_frozen(void)
{
    held h = {0};
    if (!sk_tasks.table) return;
    sim.looking = true;
    for (unsigned i = 0; i < watched_count; i++) {
        skua_runtime *rt = watched[i];
        if (sk_load_rlx(&rt->magic) != SK_RUNTIME_LIVE) continue;
        for (sk_inject_link *link = sk_load_rlx(&rt->inbox.newest); link; link = link->next)
            add(&h, sk_task_of_link(link));
        for (uint32_t k = 0, n = sk_workers_made(rt); k < n; k++) add_worker(&h, sk_load_rlx(&rt->workers[k]));
    }
    for (uint64_t left = sim.alive; left; left &= left - 1) {
        const sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        const sk_local *local = s == sim.me ? sk_local_self() : s->local;
        if (local) add(&h, local->blocked_task), add(&h, local->stranded);
    }
    sk_slab_each(&sk_tasks, look_at_task, &h);
    sim.report->held = h.count;
    sim.looking = false;
}

/* ---- all has ended ---- */

static uint64_t arena_bytes(void)
{
    uint64_t bytes = 0;
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        if (numbers.outside)
            sim_fail("%llu stacks of class %u were never put back", (unsigned long long)numbers.outside, cls);
        if (!sk_stack_check(cls)) sim_fail("the stacks of class %u are not whole", cls);
        bytes += numbers.reserved_bytes;
    }
    return bytes;
}

static uint64_t slab_bytes(void)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < slab_count; i++) {
        sk_slab_numbers numbers;
        if (!slabs[i]->table) continue; /* sk_slab_fini */
        sk_slab_stats(slabs[i], &numbers);
        if (numbers.carved != numbers.depot)
            sim_fail("%lld objects of %u bytes were never given back", (long long)(numbers.carved - numbers.depot),
                     slabs[i]->object_size);
        if (!sk_slab_check(slabs[i])) sim_fail("the slab of objects of %u bytes is not whole", slabs[i]->object_size);
        bytes += numbers.chunk_bytes + SK_SLAB_CHUNKS * sizeof(void *);
    }
    return bytes;
}

void sim_check_end(void)
{
    sk_fault_reset();
    for (int i = 1; i < SIM_STRANDS; i++)
        if (sim.strand[i].state != SIM_UNUSED) sim_fail("%s was never joined", sim.strand[i].name);
    uint64_t bytes = arena_bytes() + slab_bytes();
    if (sim_mapped_bytes() != bytes)
        sim_fail("%lld bytes are mapped besides slabs and stacks", (long long)(sim_mapped_bytes() - bytes));
    if (sim_heap_blocks() > blocks_allowed)
        sim_fail("%llu blocks of the heap were never freed", (unsigned long long)sim_heap_blocks());
}

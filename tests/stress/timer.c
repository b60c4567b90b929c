/*
 * Two workers with a wheel each, two claimers that serve both, and tasks that
 * park with a timer, are woken by others, wander, arm again and end.  Each arm
 * must end exactly once, as fired or as cancelled, no firing may be early or
 * meant for another park, and each task's memory is freed exactly once (its
 * body is from malloc, so the sanitizers see it if not).
 */
#include "support/test.h"

#include "base/rng.h"
#include "os/membarrier.h"
#include "timer/timers.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { WORKERS = 2, CLAIMERS = 2, TASKS = 48, BODY_MAGIC = 0x5c0a };
enum { PARKED, TAKEN, READY_TIMEOUT, RUNNING, PHASE_BITS = 3 };

/* What dies with the task. */
typedef struct body {
    sk_timer_slot slot;
    unsigned magic;
    unsigned index;
} body;

/* What outlives it, so that a late waker may look: phase and generation in one word. */
typedef struct task {
    SK_LINE_ALIGNED sk_atomic(uint64_t) state;
    sk_atomic(uint64_t) expires;
    body *body; /* who has taken the task */
} task;

typedef struct tally {
    long armed, fired, lost, cancelled, too_late, pushed, again, made, freed, served, early;
} tally;

typedef struct actor {
    SK_LINE_ALIGNED sk_timers timers; /* workers only */
    tally n;
    sk_rng rng;
    pthread_t thread;
} actor;

static actor actors[WORKERS + CLAIMERS];
static task tasks[TASKS];
static sk_atomic(uint64_t) ticking;
static sk_atomic(int) stop;

static uint64_t time_now(void)
{
    return sk_add_rlx(&ticking, SK_TICK_NS / 16);
}

static uint64_t state_of(uint64_t generation, unsigned phase)
{
    return generation << PHASE_BITS | phase;
}

static void make_body(actor *me, task *t)
{
    body *b = malloc(sizeof *b);
    SK_EXPECT(b != NULL);
    sk_slot_init(&b->slot);
    b->magic = BODY_MAGIC;
    b->index = (unsigned)(t - tasks);
    t->body = b;
    me->n.made++;
}

static void free_body(actor *me, sk_timer_slot *slot)
{
    body *b = sk_container_of(slot, body, slot);
    SK_EXPECT_EQ(b->magic, BODY_MAGIC);
    memset(b, 0xee, sizeof *b); /* a write that races with any last access */
    free(b);
    me->n.freed++;
}

/* One that has fired: either it wins the park it was armed for, or somebody else has woken that one already. */
static void fired(actor *me, sk_timers *from, sk_timer_slot *slot, uint64_t now)
{
    body *b = sk_container_of(slot, body, slot);
    SK_EXPECT_EQ(b->magic, BODY_MAGIC);
    task *t = &tasks[b->index];
    uint64_t generation = sk_slot_fired_tag(slot), parked = state_of(generation, PARKED);
    if (sk_cas_ar(&t->state, &parked, state_of(generation, TAKEN))) {
        SK_EXPECT(time_now() >= sk_load_rlx(&t->expires)); /* `now` may be older than the wheel's own time */
        sk_slot_settle(slot);
        sk_store_rel(&t->state, state_of(generation, READY_TIMEOUT));
        me->n.fired++;
        return;
    }
    if (parked >> PHASE_BITS < generation && sk_timers_retry(from, slot, now)) {
        me->n.early++;
        return;
    }
    if (sk_rng_below(&me->rng, 4) == 0) sched_yield();             /* the task goes on meanwhile */
    SK_EXPECT(sk_load_acq(&t->state) >> PHASE_BITS >= generation); /* else this park would never time out */
    me->n.lost++;
    if (sk_timers_let_go(from, slot) == SK_LET_GO_FREE_TASK) free_body(me, slot);
}

static void empty_haul(actor *me, sk_timers *from, sk_timer_haul *haul, uint64_t now)
{
    sk_timer_slot *s;
    while ((s = sk_haul_pop_fired(haul))) fired(me, from, s, now);
    while ((s = sk_haul_pop_orphan(haul))) free_body(me, s);
}

static void advance(actor *me)
{
    sk_timer_haul haul;
    uint64_t now = time_now();
    if (sk_timers_pending(&me->timers, now) && sk_timers_advance(&me->timers, now, &haul))
        empty_haul(me, &me->timers, &haul, now);
}

static void stop_timer(actor *me, task *t)
{
    bool cancelled = sk_timers_cancel(&me->timers, &t->body->slot);
    me->n.cancelled += cancelled;
    me->n.too_late += !cancelled;
}

static void end_body(actor *me, task *t)
{
    if (sk_slot_abandon(&t->body->slot)) free_body(me, &t->body->slot);
    t->body = NULL;
}

/* RUNNING and ours: perhaps a new life, then the next park. */
static void run_and_park(actor *me, task *t, uint64_t generation)
{
    if (sk_rng_below(&me->rng, 4) == 0) {
        end_body(me, t);
        make_body(me, t);
    }
    sk_timer_slot *slot = &t->body->slot;
    uint64_t expires = time_now() + sk_rng_below(&me->rng, 1u << (10 + sk_rng_below(&me->rng, 18)));
    sk_store_rlx(&t->expires, expires);
    sk_arming arming = sk_timers_arm_begin(&me->timers, slot, expires, generation + 1);
    me->n.armed++;
    me->n.pushed += arming.how == SK_ARMING_PUSH;
    me->n.again += arming.how == SK_ARMING_AGAIN;
    if (sk_rng_below(&me->rng, 512) == 0) sched_yield(); /* a parker that loses its processor at the worst moment */
    sk_store_rel(&t->state, state_of(generation + 1, PARKED));
    if (sk_rng_below(&me->rng, 512) == 0) sched_yield();
    sk_timers_arm_end(&arming, slot);
}

static void try_task(actor *me, task *t)
{
    uint64_t state = sk_load_acq(&t->state), generation = state >> PHASE_BITS;
    unsigned phase = state & ((1 << PHASE_BITS) - 1);
    if (phase != PARKED && phase != READY_TIMEOUT) return;
    if (!sk_cas_ar(&t->state, &state, state_of(generation, RUNNING))) return;
    if (phase == PARKED) stop_timer(me, t);
    run_and_park(me, t, generation);
}

static void *worker(void *arg)
{
    actor *me = arg;
    for (long i = sk_test_scaled(1000000); i > 0; i--) {
        advance(me);
        try_task(me, &tasks[sk_rng_below(&me->rng, TASKS)]);
    }
    sk_add_rlx(&stop, 1);
    return NULL;
}

/* A claimer that is frozen while it holds: the owner must get along. */
static void freeze(sk_timers *t)
{
    if (!sk_claim_try(&t->claim)) return;
    sched_yield();
    sk_claim_release(&t->claim);
}

static void *claimer(void *arg)
{
    actor *me = arg;
    while (sk_load_rlx(&stop) < WORKERS) {
        sk_timers *t = &actors[sk_rng_below(&me->rng, WORKERS)].timers;
        sk_timer_haul haul;
        if (sk_claim_try(&t->claim)) {
            uint64_t now = time_now(); /* not before: see sk_timers_serve */
            sk_timers_serve(t, now, &haul);
            me->n.served++;
            empty_haul(me, t, &haul, now);
        }
        if (sk_rng_below(&me->rng, 8) == 0) freeze(t);
        for (uint32_t pause = sk_rng_below(&me->rng, 200); pause > 0; pause--) sk_cpu_relax();
    }
    return NULL;
}

static tally sum(void)
{
    tally all = {0};
    for (int i = 0; i < WORKERS + CLAIMERS; i++) {
        const tally *n = &actors[i].n;
        all.armed += n->armed, all.fired += n->fired, all.lost += n->lost, all.cancelled += n->cancelled;
        all.too_late += n->too_late, all.pushed += n->pushed, all.again += n->again, all.made += n->made;
        all.freed += n->freed, all.served += n->served, all.early += n->early;
    }
    return all;
}

/* All is quiet: every task that is still parked must be stoppable or have its timer in a wheel or an inbox. */
static void end_all(actor *me)
{
    for (int i = 0; i < TASKS; i++) {
        if ((sk_load_acq(&tasks[i].state) & ((1 << PHASE_BITS) - 1)) == PARKED) stop_timer(me, &tasks[i]);
        end_body(me, &tasks[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        sk_timer_haul haul;
        SK_EXPECT(sk_timers_advance(&actors[i].timers, UINT64_MAX, &haul));
        empty_haul(me, &actors[i].timers, &haul, UINT64_MAX);
        SK_EXPECT(sk_timers_check(&actors[i].timers) && sk_wheel_count(&actors[i].timers.wheel) == 0);
        SK_EXPECT(!sk_timers_pending(&actors[i].timers, UINT64_MAX - 1));
    }
}

static void set_up(void)
{
    for (int i = 0; i < WORKERS + CLAIMERS; i++) {
        sk_timers_init(&actors[i].timers, 0);
        sk_rng_seed(&actors[i].rng, (uint64_t)i * 77 + 1);
    }
    for (int i = 0; i < TASKS; i++) {
        make_body(&actors[0], &tasks[i]);
        sk_store_rlx(&tasks[i].state, state_of(0, READY_TIMEOUT));
    }
}

SK_TEST(timer_stress, each_arm_ends_exactly_once)
{
    sk_membarrier_init();
    set_up();
    for (int i = 0; i < WORKERS + CLAIMERS; i++)
        SK_EXPECT_EQ(pthread_create(&actors[i].thread, NULL, i < WORKERS ? worker : claimer, &actors[i]), 0);
    for (int i = 0; i < WORKERS + CLAIMERS; i++) pthread_join(actors[i].thread, NULL);
    end_all(&actors[0]);
    tally n = sum();
    printf("armed %ld (pushed %ld, again %ld, early %ld): fired %ld, cancelled %ld, lost %ld; tasks %ld; served %ld\n",
           n.armed, n.pushed, n.again, n.early, n.fired, n.cancelled, n.lost, n.made, n.served);
    SK_EXPECT_EQ(n.lost, n.too_late);
    SK_EXPECT_EQ(n.fired + n.lost + n.cancelled, n.armed);
    SK_EXPECT_EQ(n.freed, n.made);
}

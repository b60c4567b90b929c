/*
 * strategy.c: who runs on, and what goes wrong, as the seed decides.
 *
 * RANDOM switches at each point with one probability for the whole run.  PCT
 * (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010) gives each strand
 * a random priority, always runs the highest, and at d - 1 random places puts
 * the running one below all: a bug of depth d is met with a probability that
 * does not fall with the length of the run exponentially.  BOUND2 runs a strand
 * until it waits, but for two preemptions anywhere.
 */
#include "sim/sim.h"

#include "base/fault.h"
#include "os/clock.h"
#include "sim/scenario.h"

#include <errno.h>
#include <string.h>

enum {
    STREAK_MOST = 3000, /* points after which a strand that only spins must give way */
    SPURIOUS_SHIFT = 7, /* a waiter is woken for nothing at one of so many points */
    REARM_EVERY = 64,   /* points */
    FAULT_WITHIN = 24,  /* the next of so many calls of a site fails */
    FOREVER_ONE_IN = 4, /* so seldom all later ones fail, too */
    PRIORITIES = 1 << 20
};

static const char *const names[] = {"random", "pct1",  "pct2",     "pct3",   "bound2",
                                    "freeze", "jumps", "spurious", "faults", "chaos"};
static const char *const memories[] = {"sc", "tso", "pso"};

const char *sim_strategy_name(sim_strategy strategy)
{
    return names[strategy];
}

const char *sim_memory_name(sim_memory memory)
{
    return memories[memory];
}

/* ---- the plan ---- */

/* Somewhere in the run, or shortly behind its expected end. */
static uint64_t somewhere(sk_rng *r, uint64_t points)
{
    return 1 + sk_rng_next(r) % (points + points / 4 + 1);
}

static sim_strategy choose_base(sk_rng *r)
{
    static const sim_strategy base[] = {SIM_RANDOM, SIM_RANDOM, SIM_PCT1, SIM_PCT2, SIM_PCT3, SIM_BOUND2};
    return base[sk_rng_below(r, sk_array_len(base))];
}

static void choose_evils(sim_plan *plan, sk_rng *r)
{
    bool chaos = plan->strategy == SIM_CHAOS;
    bool freeze = plan->strategy == SIM_FREEZE || (chaos && sk_rng_below(r, 2));
    if (freeze) plan->freeze_at = somewhere(r, plan->points_expected);
    plan->jumps = plan->strategy == SIM_JUMPS || (chaos && sk_rng_below(r, 2));
    plan->spurious = plan->strategy == SIM_SPURIOUS || (chaos && sk_rng_below(r, 2));
    plan->faults = plan->strategy == SIM_FAULTS || (chaos && sk_rng_below(r, 3) == 0);
    plan->faults_early = plan->faults && sk_rng_below(r, 2);
    for (int i = 0; i < SIM_CHANGES; i++) plan->jump_at[i] = somewhere(r, plan->points_expected);
}

void sim_plan_make(sim_plan *plan, uint64_t seed, const sim_wish *wish, const uint64_t *points)
{
    /* Half of the seeds decide about schedules alone; the others are shared by what can go wrong. */
    static const sim_strategy strategies[] = {SIM_FREEZE, SIM_FAULTS,   SIM_CHAOS,  SIM_RANDOM, SIM_BOUND2, SIM_RANDOM,
                                              SIM_RANDOM, SIM_PCT1,     SIM_PCT2,   SIM_PCT3,   SIM_BOUND2, SIM_FREEZE,
                                              SIM_JUMPS,  SIM_SPURIOUS, SIM_FAULTS, SIM_CHAOS,  SIM_BOUND2};
    static const sim_memory memory[] = {SIM_SC, SIM_SC, SIM_SC, SIM_SC, SIM_TSO, SIM_TSO, SIM_TSO, SIM_PSO};
    sk_rng r;
    sk_rng_seed(&r, seed * UINT64_C(0xd1342543de82ef95) + 77);
    sk_rng_next(&r);
    *plan = (sim_plan){.seed = seed, .slow = -1};
    plan->scenario = sk_rng_below(&r, sim_scenario_count);
    plan->strategy = strategies[sk_rng_below(&r, sk_array_len(strategies))];
    plan->memory = memory[sk_rng_below(&r, sk_array_len(memory))];
    if (wish->scenario >= 0) plan->scenario = (unsigned)wish->scenario;
    if (wish->strategy >= 0) plan->strategy = (sim_strategy)wish->strategy;
    if (wish->memory >= 0) plan->memory = (sim_memory)wish->memory;
    plan->points_expected = points[plan->scenario];
    plan->base = plan->strategy <= SIM_BOUND2 ? plan->strategy : choose_base(&r);
    plan->switch_shift = 1 + sk_rng_below(&r, 8);
    if (sk_rng_below(&r, 3) == 0) plan->slow = (int)sk_rng_below(&r, 6);
    plan->drain_shift = 1 + sk_rng_below(&r, 6);
    plan->changes = plan->base == SIM_PCT2 ? 1 : plan->base == SIM_PCT3 || plan->base == SIM_BOUND2 ? 2 : 0;
    for (int i = 0; i < SIM_CHANGES; i++) plan->change_at[i] = somewhere(&r, plan->points_expected);
    choose_evils(plan, &r);
}

void sim_plan_at(sim_plan *plan, uint64_t step)
{
    if (plan->strategy == SIM_FREEZE)
        plan->freeze_at = step;
    else
        plan->change_at[0] = step;
}

void sim_plan_quiet(sim_plan *plan, unsigned scenario)
{
    *plan = (sim_plan){.seed = scenario, .scenario = scenario, .strategy = SIM_RANDOM, .base = SIM_RANDOM, .slow = -1};
    plan->switch_shift = 5;
}

bool sim_may_refuse(void)
{
    return sim.plan.faults;
}

bool sim_time_is_fair(void)
{
    return !sim.plan.freeze_at && !sim.plan.jumps;
}

/* ---- who runs ---- */

/* The nth of the strands that can run, counted from 0. */
static sim_strand *nth_ready(uint64_t set, unsigned n)
{
    for (; n > 0; n--) set &= set - 1;
    return &sim.strand[__builtin_ctzll(set)];
}

static sim_strand *any_of(uint64_t set)
{
    sim_strand *s = nth_ready(set, sim_below((uint32_t)__builtin_popcountll(set)));
    if (s->id == sim.plan.slow && sim_below(16)) s = nth_ready(set, sim_below((uint32_t)__builtin_popcountll(set)));
    return s;
}

static uint64_t others(void)
{
    return sim.ready & ~(UINT64_C(1) << sim.me->id);
}

static sim_strand *highest(void)
{
    sim_strand *best = NULL;
    for (uint64_t left = sim.ready; left; left &= left - 1) {
        sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        if (!best || s->priority > best->priority) best = s;
    }
    return best;
}

/* The next one round the table. */
static sim_strand *next_in_turn(uint64_t set)
{
    uint64_t behind = sim.me ? set & ~((UINT64_C(2) << sim.me->id) - 1) : set;
    return &sim.strand[__builtin_ctzll(behind ? behind : set)];
}

static bool at_change(void)
{
    bool now = false;
    for (unsigned i = 0; i < sim.plan.changes; i++) now |= sim.report->steps == sim.plan.change_at[i];
    return now;
}

/* It spins, or goes on and on: others must be let in, or it would wait for them for ever. */
static bool gives_way(sim_kind kind)
{
    if (kind != SIM_RELAX && kind != SIM_YIELD && sim.me->streak <= STREAK_MOST) return false;
    sim.me->streak = 0;
    return true;
}

static sim_strand *random_at_point(sim_kind kind)
{
    unsigned shift = gives_way(kind) ? 1 : sim.plan.switch_shift;
    return sim_once_in(shift) ? any_of(sim.ready) : sim.me;
}

static sim_strand *pct_at_point(sim_kind kind)
{
    if (gives_way(kind) || at_change()) sim.me->priority = --sim.lowest;
    return highest();
}

static sim_strand *bounded_at_point(sim_kind kind)
{
    if (!others()) return sim.me;
    if (at_change()) return any_of(others());
    return gives_way(kind) ? next_in_turn(others()) : sim.me;
}

sim_strand *sim_strategy_at_point(sim_kind kind)
{
    switch (sim.plan.base) {
    case SIM_RANDOM:
        return random_at_point(kind);
    case SIM_BOUND2:
        return bounded_at_point(kind);
    default:
        return pct_at_point(kind);
    }
}

sim_strand *sim_strategy_next(void)
{
    switch (sim.plan.base) {
    case SIM_RANDOM:
        return any_of(sim.ready);
    case SIM_BOUND2:
        return sim_below(4) ? next_in_turn(sim.ready) : any_of(sim.ready);
    default:
        return highest();
    }
}

void sim_strategy_born(sim_strand *s)
{
    s->priority = 1 + sim_below(PRIORITIES);
}

/* ---- what goes wrong ---- */

static const sk_fault_site sites[] = {SK_FAULT_MMAP,   SK_FAULT_MADVISE, SK_FAULT_MPROTECT,
                                      SK_FAULT_MALLOC, SK_FAULT_THREAD,  SK_FAULT_KEY};
static uint64_t armed[sizeof sites / sizeof *sites]; /* the call that fails; 0: none */

static void arm(unsigned i)
{
    armed[i] = 1 + sim_below(FAULT_WITHIN);
    sk_fault_arm(sites[i], armed[i], sim_below(FOREVER_ONE_IN) == 0);
}

static void arm_some(void)
{
    for (unsigned i = 0; i < sk_array_len(sites); i++)
        if (sim_below(2)) arm(i);
}

void sim_strategy_begin(void)
{
    if (sim.plan.faults_early) arm_some();
}

void sim_strategy_settled(void)
{
    if (sim.plan.faults && !sim.plan.faults_early) arm_some();
}

/* A fault that has struck: another one, or for a while none. */
static void arm_again(void)
{
    for (unsigned i = 0; i < sk_array_len(sites); i++) {
        if (!armed[i] || sk_fault_count(sites[i]) < armed[i]) continue;
        sim.report->faults++;
        if (sim_below(4)) arm(i);
    }
}

static void jump(void)
{
    static const uint64_t least = SKUA_US(1);
    uint64_t ns = (least << sim_below(23)) + sim_below(1000);
    sim.now += ns;
    sim.jumped += ns;
}

/* Some waiter returns, as after a signal or a wake that was meant for somebody else. */
static void wake_for_nothing(void)
{
    uint64_t waiting = 0;
    for (uint64_t left = sim.alive & ~sim.ready; left; left &= left - 1)
        if (sim.strand[__builtin_ctzll(left)].state == SIM_IN_FUTEX) waiting |= left & -left;
    if (waiting) sim_make_ready(any_of(waiting), sim_below(2) ? 0 : -EINTR);
}

void sim_strategy_mischief(void)
{
    if (sim.plan.jumps)
        for (int i = 0; i < SIM_CHANGES; i++)
            if (sim.report->steps == sim.plan.jump_at[i]) jump();
    if (sim.plan.spurious && sim_once_in(SPURIOUS_SHIFT)) wake_for_nothing();
    if (sim.plan.faults && sim.report->steps % REARM_EVERY == 0) arm_again();
}

bool sim_strategy_spurious(int *result)
{
    if (!sim.plan.spurious || sim_below(4)) return false;
    *result = sim_below(2) ? 0 : -EINTR;
    return true;
}

/*
 * engine.c: strands, points, the clock, and the hooks of base/sim.h.
 *
 * A point is where a strand may be left for another.  It comes before the
 * operation, which is then done whole: so what one strand does between two
 * points is one step to all others.
 */
#include "sim/sim.h"

#include "base/sim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BEGIN_NS = 1000000000, /* the virtual clock at the start: later than any span the library looks back */
    POINT_LEAST_NS = 5,    /* a point takes this long, */
    POINT_MORE_NS = 46,    /* and up to so much less one more */
    FREEZE_NS = 30000000   /* so long a strand stays frozen when others keep going */
};

sim_world sim;

/* ---- the end of a run ---- */

static void leave_process(int status)
{
    sim.report->steps = sim.report->steps ? sim.report->steps : 1;
    sim.report->virtual_ns = sim.now - sim.begun;
    _exit(status);
}

void sim_fail(const char *format, ...)
{
    sim_report *r = sim.report;
    va_list args;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    snprintf(r->where, sizeof r->where, "step %llu, %s, %.3f ms of virtual time", (unsigned long long)r->steps,
             sim.me ? sim.me->name : "nobody", (double)(sim.now - sim.begun) / 1e6);
    leave_process(1);
    __builtin_unreachable();
}

/* ---- trace ---- */

static void mix(uint64_t x)
{
    uint64_t h = (sim.report->hash ^ x) * UINT64_C(0x9fb21c651e98df25);
    sim.report->hash = h ^ h >> 29;
}

void sim_note(uint64_t value)
{
    if (sim.looking || !sim.me) return;
    mix(value);
    if (sim.trace && sim.report->steps >= sim.trace_step)
        sim.trace[(sim.report->steps - 1) % sim.trace_room].value = value;
}

static void record(sim_kind kind, const volatile void *word, const void *place)
{
    sim_report *r = sim.report;
    r->steps++;
    mix((uint64_t)(uintptr_t)word << 12 | (uint64_t)kind << 6 | (uint64_t)sim.me->id);
    if (!sim.trace || r->steps < sim.trace_step) return;
    sim_record *to = &sim.trace[(r->steps - 1) % sim.trace_room];
    *to = (sim_record){r->steps, sim.now - sim.begun, (uintptr_t)place, (uintptr_t)word,
                       0,        (uint8_t)sim.me->id, (uint8_t)kind,    ""};
    memcpy(to->name, sim.me->name, SIM_NAME);
}

/* ---- strands ---- */

static uint64_t bit_of(const sim_strand *s)
{
    return UINT64_C(1) << s->id;
}

void sim_make_ready(sim_strand *s, int result)
{
    s->state = SIM_READY;
    s->until = SIM_NEVER;
    s->word = NULL;
    s->result = result;
    if (!s->frozen) sim.ready |= bit_of(s);
}

/* The library reads its thread-local variable through one function and writes it through another: so it can be
   exchanged with the strand. */
static void switch_to(sim_strand *to)
{
    sim_strand *from = sim.me;
    if (to == from) return;
    from->local = sk_local_self();
    sim.me = to;
    sk_local_bind(to->local);
    sim.report->switches++;
    sk_context_switch(&from->context, &to->context);
}

static void strand_end(void)
{
    sim_strand *me = sim.me;
    sim_drain(me);
    if (me->depth) sim_fail("%s ends in a read section", me->name);
    me->state = SIM_ENDED;
    sim.ready &= ~bit_of(me);
    sim.alive &= ~bit_of(me);
    if (me->joiner >= 0) sim_make_ready(&sim.strand[me->joiner], 0);
    if (!sim.alive) {
        sim.over = true;
        sim.me = NULL;
        sk_context_switch(&me->context, &sim.root);
    }
    me->until = SIM_NEVER;
    sim_block();
    sim_fail("%s goes on after its end", me->name);
}

static void strand_begin(void *strand)
{
    sim_strand *me = (sim_strand *)strand;
    me->fn(me->arg);
    sim_point(SIM_END, NULL, __builtin_return_address(0));
    sim_keys_end(me);
    strand_end();
}

sim_strand *sim_strand_new(const char *name, void (*fn)(void *), void *arg, bool ours)
{
    if (!sim.unused) return NULL;
    int id = __builtin_ctzll(sim.unused);
    sim_strand *s = &sim.strand[id];
    sim.unused &= ~(UINT64_C(1) << id);
    memset((void *)s, 0, sizeof *s);
    s->id = id;
    s->fn = fn;
    s->arg = arg;
    s->ours = ours;
    s->joiner = -1;
    s->until = SIM_NEVER;
    snprintf(s->name, sizeof s->name, "%s.%d", name, id);
    sk_context_make(&s->context, sim_stack_top(id), strand_begin, s);
    sim.alive |= bit_of(s);
    sim_make_ready(s, 0);
    sim_strategy_born(s);
    return s;
}

/* ---- the clock ---- */

static void find_next_due(void)
{
    sim.next_due = SIM_NEVER;
    for (uint64_t left = sim.alive & ~sim.ready; left; left &= left - 1) {
        sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        if (s->state != SIM_READY && s->until < sim.next_due) sim.next_due = s->until;
    }
}

/* Those whose time has come can run. */
static void wake_due(void)
{
    for (uint64_t left = sim.alive & ~sim.ready; left; left &= left - 1) {
        sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        if (s->state != SIM_READY && s->until <= sim.now) sim_make_ready(s, -ETIMEDOUT);
    }
    find_next_due();
}

/* ---- freezing ---- */

static void freeze(sim_strand *s)
{
    sim_drain(s); /* a processor's buffer does not outlast the thread's stop */
    s->frozen = true;
    sim.frozen = s;
    sim.ready &= ~bit_of(s);
    sim.thaw_at = sim.now + FREEZE_NS;
    sim.report->frozen = 1;
    snprintf(sim.report->frozen_in, sizeof sim.report->frozen_in, "%s", s->name);
}

static void thaw(void)
{
    sim_strand *s = sim.frozen;
    sim_check_frozen();
    s->frozen = false;
    sim.frozen = NULL;
    sim.thaw_at = SIM_NEVER;
    if (s->state == SIM_READY) sim.ready |= bit_of(s);
}

/* ---- who goes on ---- */

static void describe_waits(char *to, size_t size)
{
    static const char *const state[] = {"unused", "ready", "futex", "asleep", "joining", "grace", "ended"};
    size_t used = 0;
    *to = 0;
    for (uint64_t left = sim.alive; left && used < size; left &= left - 1) {
        const sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        int n = snprintf(to + used, size - used, " %s:%s", s->name, state[s->state]);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* The running strand cannot go on: the clock jumps until somebody can. */
static sim_strand *find_next(void)
{
    while (!sim.ready) {
        find_next_due();
        uint64_t next = sim.next_due;
        if (sim.frozen && next >= sim.thaw_at) {
            if (sim.now < sim.thaw_at && sim.thaw_at != SIM_NEVER && next != SIM_NEVER) sim.now = sim.thaw_at;
            thaw();
            continue;
        }
        if (next == SIM_NEVER) {
            char waits[300];
            describe_waits(waits, sizeof waits);
            sim_fail("all wait for ever:%s", waits);
        }
        if (next > sim.now) {
            sim_check_rest(next - sim.now);
            sim.now = next;
        }
        wake_due();
    }
    return sim_strategy_next();
}

int sim_block(void)
{
    sim_strand *me = sim.me;
    sim_drain(me);
    if (me->state != SIM_ENDED && me->depth) sim_fail("%s waits inside of a read section", me->name);
    sim.ready &= ~bit_of(me);
    if (me->until < sim.next_due) sim.next_due = me->until;
    me->streak = 0;
    switch_to(find_next());
    return me->result;
}

static void check_limits(void)
{
    if (sim.report->steps > sim.budget) sim_fail("more than %llu steps", (unsigned long long)sim.budget);
    if (sim.now - sim.begun - sim.jumped > sim.patience)
        sim_fail("not done after %llu ms of virtual time", (unsigned long long)sim.patience / 1000000);
}

void sim_point(sim_kind kind, const volatile void *word, const void *place)
{
    sim_strand *me = sim.me;
    if (!me || sim.looking) return;
    record(kind, word, place);
    sim.now += POINT_LEAST_NS + sim_below(POINT_MORE_NS);
    me->streak++;
    if (sim.report->steps % 256 == 0) check_limits();
    sim_strategy_mischief();
    if (sim.now >= sim.next_due) wake_due();
    if (sim.plan.memory != SIM_SC) sim_drain_some();
    if (sim.frozen && sim.now >= sim.thaw_at) thaw();
    if (sim.report->steps == sim.plan.freeze_at) {
        freeze(me);
        switch_to(find_next());
        return;
    }
    switch_to(sim_strategy_at_point(kind));
}

/* ---- the hooks of base/sim.h ---- */

static uint64_t fetch(const volatile void *word, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)word;
    case 2:
        return *(const volatile uint16_t *)word;
    case 4:
        return *(const volatile uint32_t *)word;
    default:
        return *(const volatile uint64_t *)word;
    }
}

static uint64_t narrow(const void *value, unsigned size)
{
    uint64_t wide = 0;
    memcpy(&wide, value, size);
    return wide;
}

static void put(volatile void *word, uint64_t value, unsigned size)
{
    sim_check_word(word);
    switch (size) {
    case 1:
        *(volatile uint8_t *)word = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)word = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)word = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)word = value;
    }
}

/* What the running strand sees: its own newest store that is still under way, else memory. */
static uint64_t see(const volatile void *word, unsigned size)
{
    if (sim.me)
        for (unsigned i = sim.me->stores; i-- > 0;)
            if (sim.me->store[i].word == word) return sim.me->store[i].value;
    return fetch(word, size);
}

void sk_sim_load(const volatile void *word, void *out, unsigned size, int order)
{
    (void)order;
    sim_point(SIM_LOAD, word, __builtin_return_address(0));
    sim_check_word(word);
    uint64_t value = see(word, size);
    memcpy(out, &value, size);
    sim_note(value);
}

/* The stack of the running strand: its variables are gone when the function returns, so their stores may not wait. */
static bool on_my_stack(const volatile void *word)
{
    const char here = 0;
    uintptr_t apart = (uintptr_t)word - (uintptr_t)&here + 32768;
    return apart < 98304;
}

void sk_sim_store(volatile void *word, const void *value, unsigned size, int order)
{
    uint64_t wide = narrow(value, size);
    sim_point(SIM_STORE, word, __builtin_return_address(0));
    sim_note(wide);
    sim_strand *me = sim.me;
    if (!me || sim.looking || sim.plan.memory == SIM_SC || on_my_stack(word)) {
        put(word, wide, size);
        return;
    }
    if (order == memory_order_seq_cst) {
        sim_drain(me);
        put(word, wide, size);
        return;
    }
    if (me->stores == SIM_BUFFER) sim_drain(me);
    me->store[me->stores++] = (sim_store){word, wide, (uint8_t)size, order == memory_order_release};
}

void sk_sim_rmw(volatile void *word, int operation, const void *operand, void *before, unsigned size, int order)
{
    (void)order;
    sim_point(SIM_RMW, word, __builtin_return_address(0));
    sim_check_word(word);
    if (sim.me) sim_drain(sim.me);
    uint64_t old = fetch(word, size), by = narrow(operand, size), now = by;
    if (operation == SK_SIM_ADD) now = old + by;
    if (operation == SK_SIM_SUB) now = old - by;
    if (operation == SK_SIM_OR) now = old | by;
    if (operation == SK_SIM_AND) now = old & by;
    put(word, now, size);
    memcpy(before, &old, size);
    sim_note(old);
}

bool sk_sim_cas(volatile void *word, void *expected, const void *wanted, unsigned size, int order)
{
    (void)order;
    sim_point(SIM_CAS, word, __builtin_return_address(0));
    sim_check_word(word);
    if (sim.me) sim_drain(sim.me);
    uint64_t old = fetch(word, size);
    bool same = old == narrow(expected, size);
    if (same)
        put(word, narrow(wanted, size), size);
    else
        memcpy(expected, &old, size);
    sim_note(old);
    return same;
}

void sk_sim_fence(int order)
{
    sim_point(SIM_FENCE, NULL, __builtin_return_address(0));
    /* A release fence orders what comes before it against what comes after: only the weakest mode can tell. */
    if (sim.me && (order == memory_order_seq_cst || order == memory_order_release)) sim_drain(sim.me);
}

/* A compiler barrier: the heavy side (os.c) is what makes it a fence. */
void sk_sim_fence_light(void)
{
    sim_point(SIM_FENCE, NULL, __builtin_return_address(0));
}

void sk_sim_relax(void)
{
    sim_point(SIM_RELAX, NULL, __builtin_return_address(0));
}

/* ---- a run ---- */

bool sim_run(const sim_plan *plan, sim_report *report, void (*body)(void *), void *arg)
{
    sim.plan = *plan;
    sim.report = report;
    sim.unused = ~UINT64_C(0);
    sim.now = sim.begun = BEGIN_NS;
    sim.thaw_at = sim.next_due = SIM_NEVER;
    sk_rng_seed(&sim.rng, plan->seed * UINT64_C(0x9e3779b97f4a7c15) + 1);
    for (int i = 0; i < 4; i++) sk_rng_next(&sim.rng);
    sim_strategy_begin();
    sim.me = sim_strand_new("main", body, arg, false);
    sk_context_switch(&sim.root, &sim.me->context);
    sim_check_end();
    report->virtual_ns = sim.now - sim.begun;
    report->done = true;
    return true;
}

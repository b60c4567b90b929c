/*
 * sim.h: the parts of the simulator, among themselves.  Scenarios include
 * scenario.h only.  README.md has the nouns.
 *
 * One OS thread runs everything, so nothing here is atomic.  Every function may
 * be called on any stack, unless it says otherwise.
 */
#ifndef SK_TESTS_SIM_H
#define SK_TESTS_SIM_H

#include "base/rng.h"
#include "fiber/context.h"
#include "runtime/local.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SIM_STRANDS = 64,
    SIM_KEYS = 4,
    SIM_BUFFER = 24, /* stores that a strand may have under way */
    SIM_NAME = 16,
    SIM_CHANGES = 3 /* places where a strategy changes its mind */
};
#define SIM_NEVER UINT64_MAX

/* What a strand is about to do at a point. */
typedef enum sim_kind {
    SIM_LOAD,
    SIM_STORE,
    SIM_RMW,
    SIM_CAS,
    SIM_FENCE,
    SIM_RELAX,
    SIM_YIELD,
    SIM_CLOCK,
    SIM_WAIT,
    SIM_WAKE,
    SIM_SLEEP,
    SIM_ALLOC,
    SIM_FREE,
    SIM_MAP,
    SIM_UNMAP,
    SIM_ADVISE,
    SIM_PROTECT,
    SIM_START,
    SIM_JOIN,
    SIM_END,
    SIM_ENTER,
    SIM_LEAVE,
    SIM_GRACE,
    SIM_BARRIER,
    SIM_ONCE,
    SIM_KEY,
    SIM_KINDS
} sim_kind;

typedef enum sim_strategy {
    SIM_RANDOM, /* switches with some probability at each point */
    SIM_PCT1,   /* priorities, and 0 to 2 places where the running strand loses its own */
    SIM_PCT2,
    SIM_PCT3,
    SIM_BOUND2,   /* runs each strand until it waits, but for two preemptions */
    SIM_FREEZE,   /* a strand is stopped for long */
    SIM_JUMPS,    /* the clock jumps forward */
    SIM_SPURIOUS, /* futex waits end for no reason */
    SIM_FAULTS,   /* allocations, mappings and threads are refused */
    SIM_CHAOS,    /* several of the above at once */
    SIM_STRATEGIES
} sim_strategy;

typedef enum sim_memory { SIM_SC, SIM_TSO, SIM_PSO, SIM_MEMORIES } sim_memory;

/* All that a seed decides before the first step. */
typedef struct sim_plan {
    uint64_t seed;
    unsigned scenario;
    sim_strategy strategy;
    sim_strategy base; /* who decides about switches: RANDOM, PCT*, BOUND2 */
    sim_memory memory;
    unsigned switch_shift; /* RANDOM: switches with probability 1 / 2^shift */
    int slow;              /* RANDOM: a strand that is seldom switched to; -1: none */
    unsigned drain_shift;  /* a store leaves its buffer at a point with probability 1 / 2^shift */
    unsigned changes;
    uint64_t change_at[SIM_CHANGES]; /* steps */
    uint64_t freeze_at;              /* step; 0: never */
    bool jumps, spurious, faults;
    uint64_t jump_at[SIM_CHANGES]; /* steps */
    bool faults_early;             /* also while the runtime is made */
    uint64_t points_expected;      /* what a quiet run of the scenario takes */
} sim_plan;

typedef enum sim_state {
    SIM_UNUSED,
    SIM_READY,
    SIM_IN_FUTEX,
    SIM_ASLEEP,
    SIM_JOINING,
    SIM_IN_GRACE,
    SIM_ENDED
} sim_state;

typedef struct sim_store {
    volatile void *word;
    uint64_t value;
    uint8_t size;
    bool release; /* may not overtake those before it */
} sim_store;

typedef struct sim_strand {
    sk_context context;
    sk_local *local; /* what the library's thread-local variable says while the strand does not run */
    sim_state state;
    int id;
    char name[SIM_NAME];
    void (*fn)(void *);
    void *arg;
    bool ours;      /* the library started it */
    bool frozen;    /* stopped at a point */
    uint64_t until; /* virtual ns: when a wait ends by itself */
    const void *word;
    int result;     /* of a futex wait */
    int joiner;     /* strand that waits for our end, or -1 */
    bool reader;    /* registered with liburcu */
    unsigned depth; /* read sections open */
    uint64_t grace; /* strands whose sections we wait for */
    void *keys[SIM_KEYS];
    uint64_t streak; /* points since it last waited or gave way */
    int64_t priority;
    unsigned stores;
    sim_store store[SIM_BUFFER];
} sim_strand;

/* A point in the trace, as the parent process prints it. */
typedef struct sim_record {
    uint64_t step, now, place, word, value;
    uint8_t strand, kind;
    char name[SIM_NAME];
} sim_record;

/* What a run leaves for its parent, in shared memory. */
typedef struct sim_report {
    uint64_t steps, switches, hash, virtual_ns, started_at;
    uint64_t faults, held, frozen; /* faults injected; tasks held by a frozen strand; whether one was frozen */
    bool done;
    char message[400];
    char where[200];
    char frozen_in[SIM_NAME];
} sim_report;

typedef struct sim_world {
    sim_plan plan;
    sim_report *report;
    sk_rng rng;
    sim_strand *me; /* running */
    sim_strand strand[SIM_STRANDS];
    uint64_t ready;  /* strands that can run */
    uint64_t alive;  /* strands that have not ended */
    uint64_t unused; /* strands that were never made, or are forgotten */
    uint64_t now;    /* virtual ns */
    uint64_t begun;  /* virtual ns */
    uint64_t jumped; /* virtual ns that the jumps strategy has added */
    uint64_t patience;
    uint64_t next_due; /* no wait ends before it */
    uint64_t thaw_at;  /* virtual ns; SIM_NEVER: nobody is frozen */
    sim_strand *frozen;
    bool looking; /* inside a check: nothing is a point */
    bool over;
    uint64_t budget;  /* steps */
    unsigned changed; /* changes done */
    int64_t lowest;   /* PCT: the lowest priority given */
    sk_context root;
    sim_record *trace; /* NULL: none is kept */
    uint64_t trace_room;
    uint64_t trace_step; /* keep from here on */
} sim_world;

extern sim_world sim;

/* ---- engine.c ---- */

/* Runs the plan to its end. True: nothing was wrong; else the report says what. On the process's own stack. */
bool sim_run(const sim_plan *plan, sim_report *report, void (*body)(void *), void *arg);

/* The running strand is about to do this: counts, hashes, and lets the strategy decide who goes on. */
void sim_point(sim_kind kind, const volatile void *word, const void *place);

/* Adds what the operation found to the trace. */
void sim_note(uint64_t value);

/* The running strand waits; returns its result when it runs again. state, until and word are set by the caller. */
int sim_block(void);
void sim_make_ready(sim_strand *s, int result);

sim_strand *sim_strand_new(const char *name, void (*fn)(void *), void *arg, bool ours);

/* The run has failed: reports and leaves the process. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* 0 to n - 1, by the seed. */
static inline uint32_t sim_below(uint32_t n)
{
    return sk_rng_below(&sim.rng, n);
}

/* True once in 2^shift times. */
static inline bool sim_once_in(unsigned shift)
{
    return (sk_rng_next(&sim.rng) & ((UINT64_C(1) << shift) - 1)) == 0;
}

/* ---- strategy.c ---- */

/* What the command line decides instead of the seed; -1: nothing. */
typedef struct sim_wish {
    int scenario, strategy, memory;
} sim_wish;

/* points[i]: how many steps a quiet run of scenario i takes. */
void sim_plan_make(sim_plan *plan, uint64_t seed, const sim_wish *wish, const uint64_t *points);

/* The freezing, or the first change or preemption, comes at this step. */
void sim_plan_at(sim_plan *plan, uint64_t step);
void sim_plan_quiet(sim_plan *plan, unsigned scenario);
void sim_strategy_begin(void);

/* The first runtime is there: from here on the machine may refuse. */
void sim_strategy_settled(void);
void sim_strategy_born(sim_strand *s);

/* Who runs on from this point; may be the running strand. */
sim_strand *sim_strategy_at_point(sim_kind kind);

/* Who runs next, now that the running strand cannot; somebody is ready. */
sim_strand *sim_strategy_next(void);

/* What befalls the run at this point by itself: jumps, spurious wake-ups, faults. */
void sim_strategy_mischief(void);

/* Whether this futex wait returns at once for no reason; *result says how. */
bool sim_strategy_spurious(int *result);

const char *sim_strategy_name(sim_strategy strategy);
const char *sim_memory_name(sim_memory memory);

/* ---- memory.c: the heap, mappings, and stores on their way to memory ---- */

void sim_memory_reserve(void); /* before the first run, in the parent */

/* Top of the stack of strand `id`, clean. */
void *sim_stack_top(int id);

/* All stores of the strand reach memory. */
void sim_drain(sim_strand *s);
void sim_drain_all(void);

/* One store of some strand reaches memory, now and then. */
void sim_drain_some(void);

/* Memory that was given back may not be touched. */
void sim_check_word(const volatile void *word);

/* Blocks and bytes that the library has not given back. */
uint64_t sim_heap_blocks(void);
uint64_t sim_mapped_bytes(void);

/* ---- os.c ---- */

/* Runs the destructors of the strand's keys. On its own stack. */
void sim_keys_end(sim_strand *s);

/* ---- check.c ---- */

/* All strands wait, and the clock is to jump by `ns`. */
void sim_check_rest(uint64_t ns);

/* A strand has been frozen for long: notes what it holds. */
void sim_check_frozen(void);

/* Everything has ended. */
void sim_check_end(void);

/* Every slab of the library, as it is made. */
void sim_check_slab(sk_slab *slab);

#endif

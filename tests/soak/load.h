/*
 * load.h: the kinds of load, each a driver that makes tasks and checks what becomes of them.
 *
 * A driver is a function of a `load`.  It runs as a task of the runtime, or on a
 * thread of the program's own; what it writes into its load is its own until it
 * has ended.  It uses up every index of its range, one a task.
 */
#ifndef SOAK_LOAD_H
#define SOAK_LOAD_H

#include <skua/skua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LOADS = 32,       /* at a time */
    MAY_NOT_RUN = 512 /* tasks of a load that a cancel or a deadline may keep from starting */
};

typedef struct load {
    /* given */
    skua_runtime *rt;
    uint64_t first, n; /* its indices */
    /* found by the driver: how many tasks it has made, and how they ended */
    uint64_t made, done, cancelled, expired;
    uint64_t wrong;        /* results and errors that should not be */
    const char *wrong_why; /* the first of them */
    int wrong_value;
    /* shared with its tasks */
    _Alignas(64) _Atomic uint64_t passed; /* of `go`: about how many have run, to keep the queue short */
    _Atomic uint64_t late_sleeps;         /* ns, the worst that a sleep was late; for the report only */
    _Atomic uint64_t early_sleeps;        /* sleeps that ended too soon: must stay 0 */
    _Atomic bool started[MAY_NOT_RUN];    /* the last indices of its range, for those kinds that cancel */
    uint64_t may_not_run;                 /* how many of these there are */
} load;

/* The loads of the round; a task's argument names one and holds its index. */
extern load loads[LOADS];

typedef struct load_kind {
    const char *name;
    skua_fn *drive;    /* drive(load) */
    uint64_t unit;     /* n is a multiple of it */
    bool from_threads; /* may be driven by a thread (then of the default runtime) */
} load_kind;

enum {
    KIND_GO,
    KIND_BATCH,
    KIND_TREE,
    KIND_SLEEP,
    KIND_TIMER,
    KIND_START_BY,
    KIND_FINISH_BY,
    KIND_CANCEL,
    KIND_BLOCK,
    KIND_YIELD,
    KIND_POOL,
    KINDS
};
extern const load_kind load_kinds[KINDS];

/*
 * What is kept by design is brought to its full size, else a round that happens to need more than all before it would
 * look like a leak: the queues of so many workers, which there are (kept as long as the runtime lives), and the memory
 * of tasks and stacks (for good).  Whether something is lost inside of these is not left to the size of the process: it
 * is counted at the end.  False: it could not be done.  The tasks made for it may still run.
 */
bool load_fill_queues(skua_runtime *rt, unsigned workers);
bool load_fill_memory(skua_runtime *rt);

/* Once all tasks have ended: accounts for those that never started. */
void load_close(load *l);

/* Whether every index has been used, and everything was right; says on stderr what was not. */
bool load_right(const load *l, const char *name);

#endif

/*
 * freeze.h: stops one thread of the library at one instruction, and looks
 * whether the others go on.
 *
 *   traps.c    breakpoints in our own text, and the thread that waits in one
 *   load.c     tasks of every kind, each with a record of what became of it
 *   verdict.c  which tasks do not end while the thread stands, and why
 *   main.c     passes over the instructions
 */
#ifndef FREEZE_H
#define FREEZE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skua/skua.h"

/* ---- traps.c ---- */

/* Whose thread may be stopped; what a thread is. */
typedef enum fz_role { FZ_WORKER, FZ_MONITOR, FZ_FOREIGN, FZ_CONTROL } fz_role;

enum { FZ_CHAIN = 24 };

/* The thread that stands, and where. Valid from fz_trapped until fz_thaw. */
typedef struct fz_frozen {
    size_t site; /* index */
    pthread_t thread;
    uint64_t at_ns;
    unsigned depth;            /* of the chain */
    uintptr_t chain[FZ_CHAIN]; /* the instruction, then the return addresses above it */
    void *self;                /* what the thread has set with fz_i_am, or NULL */
    void *last_ended;          /* likewise, with fz_note_ended */
} fz_frozen;

extern fz_frozen fz_now;

/* Reads the addresses of the instructions, one a line, and whether it switches stacks (0, 1). 0, or what the program
 * ends with: 1 without a whole list, 77 when the text cannot be written to. */
int fz_load_sites(const char *path, size_t *count);
uintptr_t fz_site_address(size_t site);

/* Says what the calling thread is; the library's own threads are told apart by `monitor`. */
void fz_i_am(fz_role role, void *self);
void fz_monitor_is(const pthread_t *monitor);
void fz_note_ended(void *record);

/* Plants a breakpoint at each site for which wanted[site] is set. The first thread of this role that meets one stands
   there; all others are taken out at that moment. Controller. */
void fz_plant(const uint8_t *wanted, fz_role victim);
void fz_unplant(void);

/* Whether a thread stands; waits for it until the deadline (ns). */
bool fz_trapped(uint64_t deadline);
void fz_thaw(void);

/* What /proc says of a thread of ours: its state (R: it wants a processor), and how often it has gone to sleep. */
typedef struct fz_proc {
    char state;
    uint64_t sleeps;
} fz_proc;

fz_proc fz_look_at_thread(long tid);
long fz_tid_of(const char *name); /* of the last made with this name; 0: none */

/* ---- load.c ---- */

enum { FZ_RECORDS = 4096, FZ_FOREIGN_THREADS = 2 };
enum {
    FZ_OFFERED = 1,
    FZ_ACCEPTED = 2,
    FZ_STARTED = 4,
    FZ_ENDED = 8,
    FZ_TRIED = 16,  /* its first attempt has failed */
    FZ_SURE = 32,   /* nothing but its run ends it, also while no task of the library stands for it */
    FZ_STORED = 64, /* likewise; it has no task before it starts */
    FZ_LOOSE = 128  /* may be given up before it starts: cancelled, dropped, late. All others run, once */
};

/* What became of a task. A foreign thread has one as well, and so has the pool: these are waited for, no more. */
typedef struct fz_record {
    _Atomic(uint32_t) flags;
    _Atomic(uint32_t) runs;
    _Atomic(struct fz_record *) waits_on; /* NULL: for nobody */
    _Atomic(uint64_t) ended_ns;
    int kind;
    int lane; /* 1 and up: its tasks run one after another; 0: none */
    uint32_t seed;
} fz_record;

extern fz_record fz_records[FZ_RECORDS];
extern _Atomic(uint32_t) fz_records_used;
extern fz_record fz_foreign[FZ_FOREIGN_THREADS], fz_pool_record;
extern skua_runtime *fz_runtime;
extern uint64_t fz_runtimes; /* how many there have been */
extern skua_pool *fz_pool;
enum { FZ_POOLS = 12 };
extern skua_pool *fz_pools[FZ_POOLS + 1]; /* all there are, then NULL */

enum { FZ_GROWTH = 1 /* queues that are to grow */ };

void fz_load_init(void);
int fz_body(void *record);
int fz_fail_first(void *record); /* the same at the second attempt */

/* A runtime of so many workers, the default one or not, with a pool; and its end. Controller. */
void fz_open(uint32_t workers, bool as_default, skua_adjust adjust);
void fz_close(void);

/* Lets the foreign threads loose; FZ_OFFERED in the flags of their records stands until they are done. */
void fz_burst_begin(uint32_t seed, unsigned how);
void fz_burst_hurry(void); /* nothing new is begun */
bool fz_burst_over(void);

/* Whether the thread of that record sleeps in the kernel; else it may have been woken, and have had no processor. */
bool fz_foreign_sleeps(const fz_record *foreign);

/* One new task, and a fixed batch of several kinds, from the controller. */
void fz_fresh_task(void);
void fz_fresh_batch(void);

uint64_t fz_clock(void);

/* ---- verdict.c ---- */

/* Why tasks have not ended, and how many for each reason. */
typedef enum fz_why {
    FZ_OWN,     /* the frozen thread runs it, or it needs such a one */
    FZ_LEAVING, /* the frozen thread is parking it */
    FZ_HAND,    /* runnable, in no queue: in the frozen thread's hands */
    FZ_WHEEL,   /* its timer is in a wheel that is claimed */
    FZ_POOL,    /* in a pool's queue */
    FZ_TOLD,    /* what it waited for has ended, and it has not been told */
    FZ_BUSY,    /* another thread is at it, or its timer is to come */
    FZ_QUEUED,  /* in a queue where others could take it */
    FZ_PARKED,  /* parked, and nobody is going to wake it */
    FZ_OWED,    /* sleeps beside some room in a pool: the monitor, which stands, owes it a wake */
    FZ_WHYS
} fz_why;

typedef struct fz_verdict {
    uint32_t n[FZ_WHYS];
    uint32_t overdue;    /* of the FZ_BUSY ones: wait for a timer that should have fired long ago */
    bool stuck;          /* not explained by the frozen thread when time was up */
    uint64_t last_ended; /* ns; the last task that ended before the verdict */
} fz_verdict;

/* Waits until all tasks have ended but those that the frozen thread holds up; or `limit` ns. frozen: false at the end
   of a round, when all must end. known: what is held up already, or NULL; when there is no more, that is the verdict.
 */
fz_verdict fz_settle(bool frozen, uint64_t limit, const fz_verdict *known);

/* Everything we know, to stderr. */
void fz_dump(bool frozen);

#endif

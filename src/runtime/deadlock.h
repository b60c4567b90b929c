/*
 * deadlock.h: noticing that nothing will ever happen again.  deadlock.c says how.
 *
 * Here is what others do for that: a thread of the program that sleeps without a
 * time limit says so in its record, lock-free, and the monitors look when they go
 * to their deep sleep.
 */
#ifndef SK_RUNTIME_DEADLOCK_H
#define SK_RUNTIME_DEADLOCK_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/futex.h"
#include "os/lock.h"
#include "skua/deadlock.h"

/* A sleep without a time limit, in the record of a thread (local.h), which is type-stable. W: the thread. */
typedef struct sk_asleep {
    sk_atomic(uint64_t) times; /* one more at its begin and at its end: odd while it lasts. Never goes back */
    sk_atomic(void *) word;    /* the futex, in type-stable memory */
    sk_atomic(uint32_t) seen;  /* what it must still hold: whoever wakes the thread changes it first */
    sk_atomic(const char *) what;
    sk_atomic(const void *) about;
} sk_asleep;

/* Of a runtime. */
typedef struct sk_deadlock {
    sk_lock lock;                   /* guards the next two, which are read once in a deadlock */
    skua_deadlock_handler *handler; /* NULL: print the first */
    void *arg;
    sk_atomic(uint32_t) watches; /* monitor sets: ring it when you come to rest; who does takes it off */
    sk_atomic(uint32_t) paying;  /* monitor writes: it has chores in hand, or tells */
    uint64_t told;               /* monitor: 1 + the dispatches at the last deadlock it has told of */
    uint64_t rang;               /* monitor: 1 + the dispatches when it last rang the others */
    uint64_t stamp;              /* monitor: of its last look */
    uint64_t pause;              /* monitor: ns from that look to the next */
    uint64_t end_since;          /* monitor: ns: when this stamp was first seen with all at rest; 0: not yet */
    bool printed;                /* monitor */
} sk_deadlock;

#ifdef SK_MODEL

static inline int sk_thread_sleep(sk_atomic(uint32_t) * word, uint32_t seen, uint64_t deadline, const char *what,
                                  const void *about)
{
    (void)what, (void)about;
    return sk_futex_wait(word, seen, deadline);
}

#else

/* sk_futex_wait for a thread of the program, which says that it sleeps if there is no time limit. The word is in
   type-stable memory. */
int sk_thread_sleep(sk_atomic(uint32_t) * word, uint32_t seen, uint64_t deadline, const char *what, const void *about);

#endif

/* The same in two parts, for waits that are more than one sleep: until the word changes nothing the thread does wakes
   anybody. Begin may be called again; `end` is always called. */
void sk_thread_sleeps(sk_atomic(uint32_t) * word, uint32_t seen, const char *what, const void *about);
void sk_thread_sleeps_end(void);

/* A thread of the program, with this record, is about to end: rings, as it were going to sleep. */
void sk_thread_ends(sk_asleep *its);

/* For tests: threads of the process that are to be overlooked, as those of a sanitizer. */
extern sk_atomic(uint32_t) sk_deadlock_strangers;

/* The monitor, before its deep sleep, which no timer of its runtime's is to end: looks whether this is the end of all.
   Returns when it is to look again (ns of the clock), should nothing have happened; SK_NEVER: it need not. */
uint64_t sk_deadlock_look(skua_runtime *rt);

/* The monitor is up again. */
void sk_deadlock_up(skua_runtime *rt);

#endif

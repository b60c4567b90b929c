/*
 * group.h: the group object; for stream.c, which builds on it.
 *
 * All that a round knows stands in one word, `verdict`, so that a round begins by
 * one compare-and-swap and no error can fall between two rounds:
 *
 *    63        32   31     30        29..24   23..0
 *   +------------+------+---------+---------+-------+
 *   |   error    |waited|cancelled|  round  | count |
 *   +------------+------+---------+---------+-------+
 *
 *   error      the first one, or the cause of cancellation; 0: none
 *   waited     a wait has come back: whatever happens next begins a round
 *   cancelled  nothing starts any more
 *   round      tells slots of this round from older ones
 *   count      tasks that ended with an error; sticks at its end
 *
 * GROUPS.md says why no waiter is stranded.  I: never changes after init.
 */
#ifndef SK_POOL_GROUP_H
#define SK_POOL_GROUP_H

#include "pool/pool.h"
#include "skua/group.h"

enum { SK_GROUP_FREE = 0, SK_GROUP_OPEN = 1, SK_GROUP_CLOSING = 2 };

#define SK_VERDICT_WAITED (UINT64_C(1) << 31)
#define SK_VERDICT_CANCELLED (UINT64_C(1) << 30)
#define SK_VERDICT_ROUND (UINT64_C(0x3f) << 24)
#define SK_VERDICT_COUNT UINT64_C(0xffffff)

/* An error that is kept. */
typedef struct sk_group_slot {
    sk_atomic(uint64_t) word; /* error and round, as in the verdict; 0: none yet */
    sk_atomic(void *) arg;
} sk_group_slot;

struct skua_group {
    void *link;                                      /* of the slab's free list */
    sk_atomic(uint32_t) state;                       /* SK_GROUP_* */
    sk_atomic(uint32_t) children;                    /* groups below that have not been released */
    sk_atomic(uint32_t) inside;                      /* calls under way that release waits for */
    bool fail_fast;                                  /* I */
    uint32_t kept;                                   /* I: number of slots */
    sk_group_slot *slots;                            /* I: of the first errors of a round; NULL: none are kept */
    skua_pool *pool;                                 /* I: its own */
    sk_atomic(skua_group *) parent;                  /* I; NULL: none; atomic for sweeps, as skua_pool's `above` */
    sk_pool_hook hook;                               /* I: in that pool */
    void (*ended)(void *ctx, void *arg, int result); /* I: NULL, or told of each end of a task, before its slot is given
                                                        back; must not park */
    void *ended_ctx;                                 /* I */
    SK_LINE_ALIGNED sk_atomic(uint64_t) verdict;     /* seldom changes */
};

/* Around a call that release waits for. 0 or -EINVAL, -ECHILD, -ESHUTDOWN. */
int sk_group_enter(skua_group *group);
void sk_group_exit(skua_group *group);

/* Before a submission: 0, or why nothing may be submitted now. Begins a round if the last one is over. */
int sk_group_check(skua_group *group);

/* Whether the calling thread runs a task of this group or of one below it. */
bool sk_group_is_caller_inside(const skua_group *group);

/* A call on behalf of the group has ended with this error: as if a task had. */
void sk_group_report(skua_group *group, int error, void *arg);

/* Ends the round of a group that has been waited for; returns its error. */
int sk_group_end_round(skua_group *group);

#endif

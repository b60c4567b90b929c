/*
 * adjust.h: how many workers there should be.  Pure: a sample in, a target out;
 * no clock, no threads.  The monitor samples, asks, and carries out the answer.
 */
#ifndef SK_ADJUST_ADJUST_H
#define SK_ADJUST_ADJUST_H

#include <stdbool.h>
#include <stdint.h>

typedef enum sk_adjust_kind {
    SK_ADJUST_FIXED,    /* always `count` */
    SK_ADJUST_BACKLOG,  /* double when the backlog passes a share of the workers, halve when idle */
    SK_ADJUST_BLOCKING, /* as many running workers as cores, while others are blocked */
    SK_ADJUST_EAGER,    /* one more for each task queued; halved when idle, as the next two */
    SK_ADJUST_BALANCED, /* one more for every two */
    SK_ADJUST_LAZY      /* one more while the backlog passes a multiple of the workers, or stands */
} sk_adjust_kind;

typedef struct sk_adjust_policy {
    sk_adjust_kind kind;
    uint32_t count;           /* FIXED: how many */
    uint32_t backlog_percent; /* BACKLOG, LAZY: tasks queued, in percent of the workers, above which they grow */
    uint64_t idle_ns;         /* how long a worker must have been idle before a halving, and between two; UINT64_MAX:
                                 never */
    uint64_t calm_ns;         /* BLOCKING: how long fewer must have been enough before the target falls */
} sk_adjust_policy;

/* The policies as users know them; `count` is for FIXED. */
sk_adjust_policy sk_adjust_default(sk_adjust_kind kind, uint32_t count);

/* The load at one moment. Its numbers are read one after another while all is in motion: they need not add up. */
typedef struct sk_adjust_sample {
    uint32_t workers; /* there are now; 0 before the start */
    uint32_t running; /* of these, executing a task and not blocked */
    uint32_t blocked; /* of these, in blocking calls */
    uint32_t fresh;   /* of all, made and have run nothing yet: each will take something */
    uint32_t cores;   /* processors that we may use */
    uint32_t least, most;
    bool stands;          /* work waits, no worker is idle, and none has come round since the last sample */
    uint64_t backlog;     /* runnable tasks in queues */
    uint64_t idle_for_ns; /* how long at least one worker has been without work; 0: none is */
    uint64_t now_ns;      /* monotonic */
} sk_adjust_sample;

/* What a policy remembers from one decision to the next. All zero at the start. */
typedef struct sk_adjust_state {
    uint64_t since_ns; /* the last halving; BLOCKING: since when fewer would do */
    uint32_t peak;     /* BLOCKING: the most that was wanted since */
    bool waiting;      /* whether since_ns means anything */
} sk_adjust_state;

/*
 * 0, or -EINVAL: least is 0, or above most, or most above limit; an unknown
 * kind; a FIXED count of 0; a share of 0 percent.
 */
int sk_adjust_validate(const sk_adjust_policy *policy, uint32_t least, uint32_t most, uint32_t limit);

/* The number of workers there should be, always within least and most. The caller has validated both. */
uint32_t sk_adjust_decide(const sk_adjust_policy *policy, sk_adjust_state *state, const sk_adjust_sample *s);

#endif

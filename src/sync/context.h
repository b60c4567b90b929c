/*
 * context.h: the context behind skua/context.h; the argument is at the head of context.c.
 *
 *   operation                 caller              progress
 *   sk_context_end            a user of it        waits for holders of short locks
 *   sk_context_attach/detach  a task, for itself  the same
 *   sk_context_put            a user of it        the same; calls destructors of values
 */
#ifndef SK_SYNC_CONTEXT_H
#define SK_SYNC_CONTEXT_H

#include "os/lock.h"
#include "runtime/extra.h"
#include "skua/context.h"

/* One stay of one task in one context, which it keeps. */
typedef struct sk_stay sk_stay;
struct sk_stay {
    sk_stay *next, *prev;   /* lock of the context */
    bool attached;          /* lock of the context: whoever ends that will look at the task */
    sk_task *task;          /* I */
    skua_context *context;  /* I */
    sk_stay *outer;         /* runner: where the task stood before; NULL: in none */
    skua_deferred deferred; /* runner: leaves it at the end */
    bool runs;              /* runner: of skua_context_run, which leaves it */
    bool lent;              /* I: the memory is not our own, but its task's owner's */
};

/* L: under the lock.  P: under the parent's.  I: never changes. */
struct skua_context {
    sk_scope scope;       /* first; `ended` L, anyone peeks: late ones too, when the memory serves another */
    sk_task_owner timing; /* I: of the task that is the timer; written when it changes only, see pool/job.c */
    /* --- all zero in a new one, but for what its maker sets --- */
    sk_lock lock;
    sk_atomic(uint32_t) users;    /* anyone */
    sk_atomic(uint32_t) holds;    /* anyone: of the memory: all users together, and the timer */
    int cause;                    /* L */
    skua_context *parent;         /* I, kept */
    skua_context *children;       /* L: the first; not kept */
    skua_context *next, *prev;    /* P */
    bool linked;                  /* P */
    sk_stay *stays;               /* L: those attached */
    skua_chan *done;              /* L: never changes once it is there */
    skua_context *following;      /* of whoever ends it */
    uint64_t deadline;            /* I; SKUA_FOREVER: none */
    skua_timer timer;             /* I */
    const void *key;              /* I; NULL: it carries no value */
    void *value;                  /* I */
    void (*destroy)(void *value); /* I */
    uint64_t magic;               /* I; SK_CONTEXT_LIVE */
};

#define SK_CONTEXT_LIVE UINT64_C(0x636f6e7465787421)
#define SK_CONTEXT_FREED UINT64_C(0x636f6e7465782e2e)

/* 0; -EINVAL, -ECHILD, -EBADF. */
int sk_context_check(const skua_context *c);

/* How a context ends. */
typedef struct sk_ending {
    sk_why why; /* of the parks in it: SK_WHY_CANCEL or SK_WHY_EXPIRED */
    int cause;
} sk_ending;

/* Ends it and all below it. False: it has ended before. */
bool sk_context_end(skua_context *c, sk_ending ending);

/* One more user; one less. */
void sk_context_keep(skua_context *c);
void sk_context_put(skua_context *c);

/* The runner of the stay's task: from here on, whoever ends the context looks at the task; and no longer. */
void sk_context_attach(sk_stay *stay);
void sk_context_detach(sk_stay *stay);

/* At rest: contexts that are in use; and stays of tasks, and tasks begun inside, that have not ended. */
uint64_t sk_contexts_out(void);
uint64_t sk_stays_out(void);

#endif

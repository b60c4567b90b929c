/*
 * fault.c: tasks that give up: who is told, and what of it is kept for whoever
 * waits for the pool.
 *
 * Told is the handler of the nearest pool, from that of the task upwards, that
 * has made a choice.  Kept is the first fault of each pool, of its own tasks and
 * those below, in a word and a copy:
 *
 *   NONE --> WRITING --> KEPT --> GIVEN --> WRITING ...
 *            a task      a task   a wait
 *
 * The number above the phase grows with each WRITING, so a reader that finds it
 * unchanged after it has copied has the whole of one fault (a sequence lock whose
 * writers do not wait: who finds a fault that is kept, or being written, leaves).
 * Of the tasks that a wait has waited for, none is writing any more: each gives its
 * slot back later.
 */
#include "pool/fault.h"

#include <errno.h>
#include <string.h>

#include "os/fork.h"
#include "runtime/giveup.h"

enum { NONE = 0, WRITING = 1, KEPT = 2, GIVEN = 3, PHASE = 3, NUMBER = 4 };

/* ---- what is kept ---- */

static void note(sk_pool_fault *kept, const skua_fault *fault)
{
    uint64_t text[SK_FAULT_WORDS] = {0}, word = sk_load_rlx(&kept->word), mine;
    do {
        if ((word & PHASE) == WRITING || (word & PHASE) == KEPT) return;
        mine = (word & ~(uint64_t)PHASE) + NUMBER + WRITING;
        /* [PF-C1] acquire; pairs with [PF-R1] and [PF-C2]: one writes, after those before. */
    } while (!sk_cas_acq(&kept->word, &word, mine));
    memcpy(text, fault, sizeof *fault);
    sk_fence_rel(); /* [PF-F1] release; pairs with [PF-F2]: who sees a part of this text sees the number of it. */
    for (size_t i = 0; i < SK_FAULT_WORDS; i++) sk_store_rlx(&kept->text[i], text[i]);
    /* [PF-R1] release; pairs with [PF-A1] and [PF-C2]: the text before the word. */
    sk_store_rel(&kept->word, mine - WRITING + KEPT);
}

void sk_pool_keep_fault(skua_pool *pool, const skua_fault *fault)
{
    for (skua_pool *p = pool; p; p = p->parent) note(&p->fault, fault);
}

int sk_pool_give_fault(skua_pool *pool)
{
    uint64_t word = sk_load_rlx(&pool->fault.word);
    while ((word & PHASE) == KEPT)
        /* [PF-C2] acquire-release; pairs with [PF-R1] and itself: one of several waits gives it. */
        if (sk_cas_ar(&pool->fault.word, &word, word - KEPT + GIVEN))
            return pool->on_fault == SKUA_FAULT_WAIT ? -EFAULT : 0;
    return 0;
}

/* False: it has been overwritten meanwhile. */
static bool copy(const sk_pool_fault *kept, uint64_t word, skua_fault *out)
{
    uint64_t text[SK_FAULT_WORDS];
    for (size_t i = 0; i < SK_FAULT_WORDS; i++) text[i] = sk_load_rlx((sk_atomic(uint64_t) *)&kept->text[i]);
    sk_fence_acq(); /* [PF-F2] acquire; pairs with [PF-F1]. */
    uint64_t now = sk_load_rlx((sk_atomic(uint64_t) *)&kept->word);
    memcpy(out, text, sizeof *out);
    return now / NUMBER == word / NUMBER;
}

static int get(const skua_pool *pool, skua_fault *out)
{
    for (;;) {
        /* [PF-A1] acquire; pairs with [PF-R1]. */
        uint64_t word = sk_load_acq((sk_atomic(uint64_t) *)&pool->fault.word);
        if ((word & PHASE) == NONE || (word & PHASE) == WRITING) return -ENODATA;
        if (copy(&pool->fault, word, out)) return 0;
    }
}

/* ---- who is told ---- */

static int die(void *fault)
{
    skua_fault_abort((const skua_fault *)fault, NULL);
    return 0;
}

typedef struct telling {
    const skua_pool *pool;
    const skua_fault *fault;
} telling;

static int call_handler(void *arg)
{
    const telling *t = (const telling *)arg;
    if (t->pool->fault_handler) t->pool->fault_handler(t->fault, t->pool->fault_arg);
    return 0;
}

/* A handler that gives up does not keep the process from its end. */
static void tell_and_die(telling *t)
{
    skua_deferred last;
    sk_catch c;
    if (skua_defer(&last, die, (void *)(uintptr_t)t->fault) == 0)
        (void)call_handler(t);
    else
        (void)sk_call_caught(&c, NULL, call_handler, t); /* on a foreign thread */
    skua_fault_abort(t->fault, NULL);
}

/* Told by the task itself; its fault becomes the pool's now, unless others are still to see what comes of it: the
   submitter who runs it, or the job, which may try again. */
bool sk_pool_tell_fault(skua_pool *pool, const skua_fault *fault, bool is_final)
{
    if (is_final) sk_pool_keep_fault(pool, fault);
    for (const skua_pool *p = pool; p; p = p->parent) {
        if (p->on_fault == SKUA_FAULT_RESULT && !p->fault_handler) continue;
        telling t = {p, fault};
        if (p->on_fault == SKUA_FAULT_ABORT) tell_and_die(&t);
        (void)call_handler(&t);
        return true;
    }
    return false;
}

/* Of the owner's task: the running one, or one that its submitter runs. */
bool sk_pool_faulted(sk_task_owner *owner, const skua_fault *fault)
{
    const sk_task *t = (const sk_task *)fault->task.ref;
    bool is_final = !sk_catch_first() && !sk_job_of_retries(t);
    return sk_pool_tell_fault(sk_container_of(owner, skua_pool, owner), fault, is_final);
}

/* ---- the call ---- */

int skua_pool_fault(skua_pool *pool, skua_fault *out)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!pool || !out) return -EINVAL;
    /* [PF-A2] acquire; pairs with [PL-R3]. What follows is type-stable. */
    return sk_load_acq(&pool->state) != SK_POOL_FREE ? get(pool, out) : -ESHUTDOWN;
}

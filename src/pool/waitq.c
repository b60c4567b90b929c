/* waitq.c: see waitq.h. */
#include "pool/waitq.h"

#include <errno.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/futex.h"
#include "runtime/sched.h"

enum { WAITING = 0, WOKEN = 1, ABANDONED = 2 };

struct sk_waitq_node {
    sk_atomic(sk_waitq_node *) next; /* I once pushed; then a waker's, while its task may look at it in vain */
    sk_task *task;                   /* I once pushed; NULL before */
    uint64_t generation;             /* I once pushed: the park to end */
    sk_waitq *q;                     /* I */
    /* I in a life, atomic because the second look of a park that is over may read those of the next life. */
    sk_atomic(sk_waitq_ready *) ready;
    sk_atomic(void *) ctx;
    sk_atomic(uint32_t) word;
};

static sk_lazy_slab nodes = SK_LAZY_SLAB(sk_waitq_node, next);

void sk_waitq_init(sk_waitq *q)
{
    sk_store_rlx(&q->sequence, 0u);
    sk_store_rlx(&q->threads, 0u);
    sk_store_rlx(&q->tasks, (sk_waitq_node *)NULL);
}

/* ---- waking ---- */

static void wake_task(sk_waitq_node *node)
{
    sk_task *task = node->task;
    uint64_t generation = node->generation;
    uint32_t word = WAITING;
    /* [WQ-C1] sequentially consistent; pairs with [WQ-A1]: woken before the look at the task's state, as park.c asks
       of an event. From here on the node is the task's. */
    if (sk_cas_sc(&node->word, &word, (uint32_t)WOKEN))
        sk_unpark(task, generation);
    else
        sk_lazy_slab_free(&nodes, node);
}

/* Turns the list over: who came first is woken first. */
static sk_waitq_node *oldest_first(sk_waitq_node *newest)
{
    sk_waitq_node *done = NULL;
    for (sk_waitq_node *node = newest, *next; node; node = next) {
        next = sk_load_rlx(&node->next);
        sk_store_rlx(&node->next, done);
        done = node;
    }
    return done;
}

void sk_waitq_wake_slow(sk_waitq *q)
{
    if (sk_load_rlx(&q->threads)) {
        /* [WQ-R1] release; pairs with [WQ-A2]: the thread sees what it was woken for. */
        sk_add_rel(&q->sequence, 1u);
        sk_futex_wake(&q->sequence, INT32_MAX);
    }
    /* [WQ-A3] acquire; pairs with [WQ-R2] in publish: the nodes' contents. */
    sk_waitq_node *node = oldest_first(sk_xchg_acq(&q->tasks, (sk_waitq_node *)NULL));
    while (node) {
        sk_waitq_node *next = sk_load_rlx(&node->next);
        wake_task(node);
        node = next;
    }
}

/* ---- a thread waits ---- */

static int wait_as_thread(sk_waitq *q, sk_waitq_ready *ready, void *ctx, uint64_t deadline)
{
    int error = 0;
    sk_add_rlx(&q->threads, 1u);
    for (;;) {
        /* [WQ-A2] acquire; pairs with [WQ-R1]. Read before the look: who makes it true after the look bumps it. */
        uint32_t seen = sk_load_acq(&q->sequence);
        sk_fence_sc(); /* [WQ-F2] full fence; pairs with [WQ-F1]. */
        if (ready(ctx)) break;
        if (sk_thread_sleep(&q->sequence, seen, deadline, "pool", ctx) == -ETIMEDOUT) {
            error = ready(ctx) ? 0 : -ETIMEDOUT;
            break;
        }
    }
    sk_sub_rlx(&q->threads, 1u);
    return error;
}

/* ---- a task waits ---- */

static bool publish(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    sk_waitq_node *node = (sk_waitq_node *)wait->object;
    node->task = t;
    node->generation = generation;
    sk_waitq_node *top = sk_load_rlx(&node->q->tasks);
    do sk_store_rlx(&node->next, top);
    /* [WQ-R2] release; pairs with [WQ-A3]. */
    while (!sk_cas_rel(&node->q->tasks, &top, node));
    return true;
}

/* The second look. Node and ctx are type-stable memory: should the task have run on meanwhile, the look says something
   about others, and the wake that follows fails by its generation. */
static bool happened(const sk_wait *wait, const sk_task *t)
{
    (void)t;
    sk_waitq_node *node = (sk_waitq_node *)wait->object;
    /* [WQ-A1] sequentially consistent; pairs with [WQ-C1]. */
    if (sk_load_sc(&node->word) == WOKEN) return true;
    sk_fence_sc(); /* [WQ-F3] full fence; pairs with [WQ-F1]: announced before the look. */
    return sk_load_rlx(&node->ready)(sk_load_rlx(&node->ctx));
}

/* Back on its stack, the task takes its announcement back, if no waker has it. */
static void withdraw(sk_waitq *q, sk_waitq_node *node)
{
    sk_waitq_node *top = node;
    /* [WQ-C3] acquire-release; pairs with [WQ-R2]. Never announced; or still on top, and what lies below has not
       changed, since things leave only from the top or all at once: so that polling leaves nothing behind. */
    bool ours = !node->task || sk_cas_ar(&q->tasks, &top, sk_load_rlx(&node->next));
    uint32_t word = WAITING;
    /* [WQ-C2] acquire-release; pairs with [WQ-C1]: exactly one of waker and waiter wins. */
    if (ours || !sk_cas_ar(&node->word, &word, (uint32_t)ABANDONED)) sk_lazy_slab_free(&nodes, node);
}

static int wait_once(sk_worker *w, sk_waitq *q, sk_waitq_ready *ready, void *ctx, uint64_t deadline)
{
    sk_waitq_node *node = (sk_waitq_node *)sk_lazy_slab_alloc(&nodes);
    if (!node) return SK_WHY_NOMEM;
    node->task = NULL;
    node->q = q;
    sk_store_rlx(&node->ready, ready);
    sk_store_rlx(&node->ctx, ctx);
    sk_store_rlx(&node->word, (uint32_t)WAITING);
    sk_wait wait = {publish, happened, node, 0, "pool", ctx};
    int why = sk_park(w, &wait, deadline);
    withdraw(q, node);
    return why;
}

static int wait_as_task(sk_worker *w, sk_waitq *q, sk_waitq_ready *ready, void *ctx, uint64_t deadline)
{
    while (!ready(ctx)) {
        int why = wait_once(w, q, ready, ctx, deadline);
        if (why != SK_WHY_WAKE) return ready(ctx) ? 0 : sk_why_error(why);
        w = sk_worker_self();
    }
    return 0;
}

int sk_waitq_wait(sk_waitq *q, sk_waitq_ready *ready, void *ctx, uint64_t deadline)
{
    sk_worker *w = sk_worker_self();
    return w && w->task ? wait_as_task(w, q, ready, ctx, deadline) : wait_as_thread(q, ready, ctx, deadline);
}

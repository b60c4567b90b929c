/*
 * stream.c: streams: a group, and a ring of the items in flight.
 *
 * Nouns
 *   ticket     the place of an item in the order of submission
 *   ring       a cell for each item in flight; that of a ticket is free again
 *              when `head` has passed it
 *   head       the ticket whose callback is next; `tail` the next ticket
 *   conductor  who calls the callbacks: `driving` is 1 while there is one
 *
 * Who ends a task marks its cell as done, and then, when the cell at the head is
 * done and nobody conducts, sends the conductor: a task of the runtime's, since
 * callbacks may park and an end may not.  The conductor goes from cell to cell; at
 * one that is not done it clears `driving` and looks once more.  Both publish,
 * fence and look: GROUPS.md says why no item is left.
 *
 * The conductor ends early when a callback gives up, or when a stopping runtime
 * drops it; who is told of its end (`conductor_ended`) sends the next one.  When
 * none can be had (no memory, a stopping runtime) the stream is `stalled`, and
 * those who wait for it conduct themselves.
 */
#include "pool/group.h"
#include "skua/stream.h"

#include <errno.h>
#include <sched.h>

#include "base/heap.h"
#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "runtime/shield.h"

enum { WINDOW_DEFAULT = 1024, WINDOW_LEAST = 256 };

/* One item. Its submitter writes it, then whoever ends its task, then the conductor reads it. */
typedef struct cell {
    sk_atomic(uint64_t) done; /* ticket + 1 once its task has ended */
    uint64_t ticket;
    skua_fn *fn;
    skua_stream_fn *then;
    void *arg;
    int result;
} cell;

struct skua_stream {
    void *link;                               /* of the slab's free list */
    sk_atomic(uint32_t) state;                /* SK_GROUP_* */
    sk_atomic(uint32_t) inside;               /* calls and conductors under way, which release waits for */
    skua_group *group;                        /* I: of the tasks */
    sk_task_owner owner;                      /* I: of conductors */
    uint32_t window, mask;                    /* I */
    cell *cells;                              /* I: mask + 1 of them */
    SK_LINE_ALIGNED sk_atomic(uint64_t) tail; /* submitters */
    SK_LINE_ALIGNED sk_atomic(uint64_t) head; /* conductor writes, anyone reads */
    sk_atomic(uint32_t) driving;
    sk_atomic(uint32_t) stalled; /* 1: something is to be done and no conductor could be sent */
    sk_atomic(void *) conductor; /* under way: its task, or its thread; NULL: none */
    bool calling;                /* conductor: in a callback */
    sk_waitq room;               /* submitters before a full window */
    sk_waitq rest;               /* those who wait for the end of all */
};

static sk_lazy_slab streams = SK_LAZY_SLAB(skua_stream, link);

static int check(skua_stream *s)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!s)) return -EINVAL;
    /* [SM-A1] acquire; pairs with [SM-R1]: who finds it open finds it whole. */
    return sk_likely(sk_load_acq(&s->state) == SK_GROUP_OPEN) ? 0 : -ESHUTDOWN;
}

static void leave(skua_stream *s)
{
    /* [SM-R2] release; pairs with [SM-A2]: our last touch of the stream. */
    sk_sub_ar(&s->inside, 1u);
}

static int enter(skua_stream *s)
{
    int error = check(s);
    if (error) return error;
    /* [SM-C1] sequentially consistent; pairs with [SM-C2]: either release waits for us, or we see that it has begun. */
    sk_add_sc(&s->inside, 1u);
    /* [SM-A3] sequentially consistent; see [SM-C1]. */
    if (sk_likely(sk_load_sc(&s->state) == SK_GROUP_OPEN)) return 0;
    leave(s);
    return -ESHUTDOWN;
}

static cell *cell_of(skua_stream *s, uint64_t ticket)
{
    return &s->cells[ticket & s->mask];
}

/* Who calls: a task, in a blocking call too, or what a thread of the program's own is known by. */
static void *caller(void)
{
    sk_local *local = sk_local_get();
    sk_task *t = !local ? NULL : local->worker ? local->worker->task : local->blocked_task;
    return t ? (void *)t : local;
}

/* ---- conducting ---- */

static bool head_is_done(skua_stream *s)
{
    uint64_t head = sk_load_rlx(&s->head);
    /* [SM-A4] acquire; pairs with [SM-R3]: who calls the callback sees what the task wrote. */
    return sk_load_acq(&cell_of(s, head)->done) == head + 1;
}

static bool win_the_baton(skua_stream *s)
{
    uint32_t nobody = 0;
    /* [SM-C3] sequentially consistent; pairs with [SM-X1]: one conductor at a time, who sees what the last one did. */
    return head_is_done(s) && sk_cas_sc(&s->driving, &nobody, 1u);
}

static bool is_half_empty(skua_stream *s)
{
    return sk_load_rlx(&s->tail) - sk_load_rlx(&s->head) <= s->window / 2;
}

/* The callback at the head has come back. */
static void advance(skua_stream *s)
{
    s->calling = false;
    /* [SM-R4] release; pairs with [SM-A5]: the cell is free for the ticket that comes next round the ring. */
    sk_store_rel(&s->head, sk_load_rlx(&s->head) + 1);
    if (is_half_empty(s)) sk_waitq_wake(&s->room);
}

static void call_back(skua_stream *s)
{
    cell *c = cell_of(s, sk_load_rlx(&s->head));
    s->calling = true;
    int error = c->then ? c->then(c->arg, c->result) : 0;
    if (error < 0) sk_group_report(s->group, error, c->arg);
    advance(s);
}

/* Gives the baton back; false: there is more to do, and we have it again. */
static bool put_baton_down(skua_stream *s)
{
    sk_store_rlx(&s->conductor, (void *)NULL);
    /* [SM-X1] sequentially consistent; pairs with [SM-C3]. */
    sk_xchg_sc(&s->driving, 0u);
    sk_fence_sc(); /* [SM-F1] full fence; pairs with [SM-F2]: that before the look at the head's cell. */
    return !win_the_baton(s);
}

static void tell_waiters(skua_stream *s)
{
    sk_waitq_wake(&s->room);
    sk_waitq_wake(&s->rest);
}

/* With the baton: calls all callbacks whose turn it is. */
static void conduct(skua_stream *s)
{
    do {
        sk_store_rlx(&s->conductor, caller());
        while (head_is_done(s)) call_back(s);
    } while (!put_baton_down(s));
    tell_waiters(s);
}

static int conduct_as_task(void *arg)
{
    conduct((skua_stream *)arg);
    return 0;
}

/* With the baton: sends a conductor. Counted inside. */
static void send_conductor(skua_stream *s)
{
    int error = 0;
    sk_add_rlx(&s->inside, 1u); /* the conductor's */
    sk_task *t = sk_task_new(sk_local_self(), &s->owner, conduct_as_task, s, false, SK_ACTIVE, &error);
    if (t) {
        sk_ready(sk_worker_self(), t);
        return;
    }
    /* [SM-R5] release; pairs with [SM-A6]. Before the baton is put down. */
    sk_store_rel(&s->stalled, 1u);
    sk_store_rlx(&s->conductor, (void *)NULL);
    sk_xchg_sc(&s->driving, 0u); /* [SM-X2] sequentially consistent; as [SM-X1]. */
    tell_waiters(s);
    leave(s);
}

/* A callback has given up, or the conductor was dropped before it began: with the baton still. */
static void go_on_after(skua_stream *s)
{
    sk_store_rlx(&s->conductor, (void *)NULL); /* its memory may serve another task before the next one comes */
    if (s->calling) {
        sk_group_report(s->group, -EFAULT, cell_of(s, sk_load_rlx(&s->head))->arg);
        advance(s);
    }
    if (head_is_done(s) || !put_baton_down(s))
        send_conductor(s);
    else
        tell_waiters(s);
}

static sk_task *conductor_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w;
    (void)t;
    (void)result;
    skua_stream *s = sk_container_of(owner, skua_stream, owner);
    if (end != SK_DONE) go_on_after(s);
    leave(s);
    return NULL;
}

/* Deferred: the callback has given up the task that called us, and with it that call. */
static int go_on_deferred(void *arg)
{
    skua_stream *s = (skua_stream *)arg;
    go_on_after(s);
    leave(s);
    return 0;
}

/* No conductor could be sent: a caller of ours, who is counted inside, does it. */
static void conduct_here(skua_stream *s)
{
    uint32_t nobody = 0;
    skua_deferred on_fault;
    /* [SM-C4] sequentially consistent; as [SM-C3]. */
    if (!sk_cas_sc(&s->driving, &nobody, 1u)) return;
    sk_store_rlx(&s->stalled, 0u);
    int deferred = skua_defer(&on_fault, go_on_deferred, s);
    conduct(s);
    if (!deferred) (void)skua_undefer(&on_fault);
}

static bool is_stalled(skua_stream *s)
{
    /* [SM-A6] acquire; pairs with [SM-R5]. */
    return sk_load_acq(&s->stalled) && sk_load_rlx(&s->driving) == 0;
}

/* ---- ends ---- */

/* What the cell says is true now, or the item has come to nothing. Counted inside, or in the group. */
static void complete(skua_stream *s, cell *c)
{
    /* [SM-R3] release; pairs with [SM-A4]. */
    sk_store_rel(&c->done, c->ticket + 1);
    sk_fence_sc(); /* [SM-F2] full fence; pairs with [SM-F1]: the mark before the look at head and baton. */
    if (win_the_baton(s)) send_conductor(s);
}

/* Whether arg is a cell of ours: by the stale handle of a group whose memory now serves ours others may come in. */
static bool is_cell(const skua_stream *s, const void *arg)
{
    return (uintptr_t)arg - (uintptr_t)s->cells <= s->mask * sizeof(cell);
}

/* Told by the group. */
static void task_ended(void *ctx, void *arg, int result)
{
    skua_stream *s = (skua_stream *)ctx;
    cell *c = (cell *)arg;
    if (sk_unlikely(!is_cell(s, arg))) return;
    c->result = result;
    complete(s, c);
}

static int run_item(void *arg)
{
    cell *c = (cell *)arg;
    return c->fn(c->arg);
}

/* ---- create ---- */

static int make_group(skua_stream *s, const skua_stream_options *o)
{
    skua_group_options options = {.runtime = o->runtime,
                                  .pool = o->pool,
                                  .parent = o->parent,
                                  .limit = o->limit,
                                  .queue = s->window,
                                  .fail_fast = o->fail_fast};
    int error = skua_group_create(&s->group, &options);
    if (error) return error;
    s->group->ended = task_ended;
    s->group->ended_ctx = s;
    sk_owner_init(&s->owner, sk_owner_runtime(&s->group->pool->owner), conductor_ended);
    return 0;
}

static uint32_t window_of(const skua_stream_options *o)
{
    if (o->window) return o->window;
    if (!o->limit) return WINDOW_DEFAULT;
    return o->limit >= SKUA_STREAM_WINDOW_MAX / 2 ? SKUA_STREAM_WINDOW_MAX
                                                  : sk_max(2 * o->limit, (uint32_t)WINDOW_LEAST);
}

static int init(skua_stream *s, const skua_stream_options *o)
{
    uint32_t cells = 1;
    s->window = window_of(o);
    while (cells < s->window) cells *= 2;
    s->mask = cells - 1;
    s->calling = false;
    sk_store_rlx(&s->tail, UINT64_C(0));
    sk_store_rlx(&s->head, UINT64_C(0));
    sk_store_rlx(&s->driving, 0u);
    sk_store_rlx(&s->stalled, 0u);
    sk_store_rlx(&s->conductor, (void *)NULL);
    sk_waitq_init(&s->room);
    sk_waitq_init(&s->rest);
    s->cells = (cell *)sk_heap_zalloc(cells, sizeof(cell));
    int error = s->cells ? make_group(s, o) : -ENOMEM;
    if (error) sk_heap_free(s->cells);
    return error;
}

int skua_stream_create(skua_stream **out, const skua_stream_options *options)
{
    static const skua_stream_options none = {0};
    const skua_stream_options *o = options ? options : &none;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    if (o->window > SKUA_STREAM_WINDOW_MAX) return -EOVERFLOW;
    skua_stream *s = (skua_stream *)sk_lazy_slab_alloc(&streams);
    if (!s) return -ENOMEM;
    int error = init(s, o);
    if (error) {
        sk_lazy_slab_free(&streams, s);
        return error;
    }
    /* [SM-R1] release; pairs with [SM-A1]. */
    sk_store_rel(&s->state, (uint32_t)SK_GROUP_OPEN);
    *out = s;
    return 0;
}

/* ---- submitting ---- */

/* Whether the calling thread runs a task or a callback of the stream. */
static bool is_caller_inside(skua_stream *s)
{
    void *self = caller();
    return self && (self == sk_load_rlx(&s->conductor) || sk_group_is_caller_inside(s->group));
}

static bool is_full(skua_stream *s)
{
    uint64_t tail = sk_load_rlx(&s->tail);
    /* [SM-A5] acquire; pairs with [SM-R4]. */
    uint64_t head = sk_load_acq(&s->head);
    return (int64_t)(tail - head) >= (int64_t)s->window; /* the head may be younger than the tail */
}

/* A ticket; -EAGAIN: the window is full. */
static int take_ticket(skua_stream *s, uint64_t *ticket)
{
    *ticket = sk_load_rlx(&s->tail);
    do {
        /* [SM-A7] acquire; pairs with [SM-R4]. */
        uint64_t head = sk_load_acq(&s->head);
        if ((int64_t)(*ticket - head) >= (int64_t)s->window) return -EAGAIN;
    } while (!sk_cas_rlx(&s->tail, ticket, *ticket + 1));
    return 0;
}

/* Type-stable, as what it looks at: it may be asked after the wait. */
static bool may_try(void *ctx)
{
    skua_stream *s = (skua_stream *)ctx;
    return !is_full(s) || sk_load_rlx(&s->state) != SK_GROUP_OPEN || is_stalled(s);
}

static int wait_for_ticket(skua_stream *s, uint64_t *ticket)
{
    int error;
    while ((error = take_ticket(s, ticket))) {
        if (is_caller_inside(s)) return -EDEADLK;
        error = sk_waitq_wait(&s->room, may_try, s, SK_NEVER);
        if (!error && sk_load_rlx(&s->state) != SK_GROUP_OPEN) error = -ESHUTDOWN;
        if (error) return error;
        if (is_stalled(s)) conduct_here(s);
    }
    return 0;
}

static int submit(skua_stream *s, uint64_t ticket, skua_fn *fn, skua_stream_fn *then, void *arg)
{
    cell *c = cell_of(s, ticket);
    c->ticket = ticket;
    c->fn = fn;
    c->then = then;
    c->arg = arg;
    int error = skua_group_go(s->group, run_item, c);
    if (!error) return 0;
    c->then = NULL;
    complete(s, c);
    return error;
}

static int go(skua_stream *s, skua_fn *fn, skua_stream_fn *then, void *arg, bool wait)
{
    uint64_t ticket;
    int error = enter(s);
    if (error) return error;
    if (!fn) error = -EINVAL;
    if (!error) error = sk_group_check(s->group);
    if (!error) error = wait ? wait_for_ticket(s, &ticket) : take_ticket(s, &ticket);
    if (!error) error = submit(s, ticket, fn, then, arg);
    leave(s);
    return error;
}

int skua_stream_go(skua_stream *stream, skua_fn *fn, skua_stream_fn *then, void *arg)
{
    return go(stream, fn, then, arg, true);
}

int skua_stream_try_go(skua_stream *stream, skua_fn *fn, skua_stream_fn *then, void *arg)
{
    return go(stream, fn, then, arg, false);
}

/* ---- waiting ---- */

static bool is_at_rest(skua_stream *s)
{
    uint64_t tail = sk_load_rlx(&s->tail);
    /* [SM-A8] acquire; pairs with [SM-R4]: who waits sees what the callbacks wrote. */
    return sk_load_acq(&s->head) >= tail;
}

/* As may_try. */
static bool has_settled(void *ctx)
{
    skua_stream *s = (skua_stream *)ctx;
    return is_at_rest(s) || is_stalled(s);
}

/* Until the callbacks of all items have come back. */
static int settle(skua_stream *s, uint64_t deadline)
{
    do {
        if (is_stalled(s)) conduct_here(s);
        int error = sk_waitq_wait(&s->rest, has_settled, s, deadline);
        if (error) return error;
    } while (!is_at_rest(s));
    return 0;
}

static int wait_inside(skua_stream *s, uint64_t timeout, int *cause)
{
    if (is_caller_inside(s)) return -EDEADLK;
    uint64_t now = sk_clock_ns(), deadline = timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(now, timeout);
    int error = settle(s, deadline);
    if (error) return error;
    now = sk_clock_ns();
    return skua_group_wait_for(s->group, deadline == SK_NEVER ? SKUA_FOREVER : deadline - sk_min(now, deadline), cause);
}

int skua_stream_wait_for(skua_stream *stream, uint64_t timeout, int *cause)
{
    if (cause) *cause = 0;
    int error = enter(stream);
    if (error) return error;
    error = wait_inside(stream, timeout, cause);
    leave(stream);
    return error;
}

int skua_stream_wait(skua_stream *stream, int *cause)
{
    return skua_stream_wait_for(stream, SKUA_FOREVER, cause);
}

/* ---- errors and counters: the group's ---- */

int skua_stream_cancel(skua_stream *stream, int cause)
{
    int error = enter(stream);
    if (error) return error;
    error = skua_group_cancel(stream->group, cause);
    leave(stream);
    return error;
}

int skua_stream_cause(skua_stream *stream)
{
    int error = enter(stream);
    if (error) return error;
    error = skua_group_cause(stream->group);
    leave(stream);
    return error;
}

int skua_stream_stats(skua_stream *stream, skua_pool_counts *out)
{
    int error = enter(stream);
    if (error) return error;
    error = skua_group_stats(stream->group, out);
    leave(stream);
    return error;
}

/* ---- the end ---- */

/* Whatever happens to the calling task, as release_pool in group.c. */
static void settle_for_good(skua_stream *s)
{
    if (!settle(s, SK_NEVER)) return;
    (void)skua_group_cancel(s->group, 0);
    sk_shield shield;
    sk_shield_raise(&shield);
    int error = settle(s, SK_NEVER);
    sk_shield_lower(&shield);
    if (!error) return;
    int bracketed = skua_blocking_begin(); /* no memory to park with */
    (void)settle(s, SK_NEVER);
    if (!bracketed) skua_blocking_end();
}

int skua_stream_release(skua_stream *stream)
{
    skua_stream *s = stream;
    int error = check(s);
    if (error) return error;
    if (is_caller_inside(s)) return -EDEADLK;
    uint32_t open = SK_GROUP_OPEN;
    /* [SM-C2] sequentially consistent; pairs with [SM-C1], and with itself: one of several releases. */
    if (!sk_cas_sc(&s->state, &open, (uint32_t)SK_GROUP_CLOSING)) return -ESHUTDOWN;
    sk_add_rlx(&s->inside, 1u); /* as conduct_here asks for */
    sk_waitq_wake(&s->room);
    for (;;) {
        settle_for_good(s);
        /* [SM-A2] sequentially consistent; pairs with [SM-C1], and as an acquire with [SM-R2]. Who is inside may still
           submit; nobody else will. */
        if (sk_load_sc(&s->inside) == 1 && is_at_rest(s)) break;
        if (skua_yield()) sched_yield();
    }
    (void)skua_group_release(s->group); /* the last who ended a task has left */
    sk_heap_free(s->cells);
    sk_store_rlx(&s->state, (uint32_t)SK_GROUP_FREE);
    leave(s);
    sk_lazy_slab_free(&streams, s);
    return 0;
}

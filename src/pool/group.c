/*
 * group.c: groups: a pool of their own, and a word in which a round's outcome stands.
 *
 *   go       looks at the word (and those above): begins a round if the last one
 *            has been waited for, refuses if it is cancelled; submits; looks again
 *   end      the pool's hook: with an error, into the word (count, error, and with
 *            fail_fast cancelled) by one compare-and-swap, before the slot is given
 *            back; whoever sets `cancelled` sweeps
 *   sweep    wakes those who wait for room, who are refused, and asks every task
 *            of the group, and of groups below, to end
 *   wait     the pool's; then `waited` into the word
 *
 * Nobody else knows the pool, so it is at rest exactly when the group is.
 */
#include "pool/group.h"

#include <errno.h>
#include <sched.h>

#include "base/heap.h"
#include "mem/lazy_slab.h"
#include "os/fork.h"
#include "pool/fault.h"
#include "runtime/shield.h"

static sk_lazy_slab groups = SK_LAZY_SLAB(skua_group, link);

static int check(skua_group *group)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!group)) return -EINVAL;
    /* [GR-A1] acquire; pairs with [GR-R1]: who finds it open finds it whole. */
    return sk_likely(sk_load_acq(&group->state) == SK_GROUP_OPEN) ? 0 : -ESHUTDOWN;
}

int sk_group_enter(skua_group *group)
{
    int error = check(group);
    if (error) return error;
    /* [GR-C1] sequentially consistent; pairs with [GR-C2]: either release waits for us, or we see that it has begun. */
    sk_add_sc(&group->inside, 1u);
    /* [GR-A2] sequentially consistent; see [GR-C1]. */
    if (sk_likely(sk_load_sc(&group->state) == SK_GROUP_OPEN)) return 0;
    sk_group_exit(group);
    return -ESHUTDOWN;
}

void sk_group_exit(skua_group *group)
{
    /* [GR-R2] release; pairs with [GR-A3] in release: our last touch of the group. */
    sk_sub_ar(&group->inside, 1u);
}

/* ---- the verdict ---- */

static int error_of(uint64_t verdict)
{
    return (int)(int32_t)(uint32_t)(verdict >> 32);
}

static uint64_t with_error(uint64_t verdict, int error)
{
    return (verdict & UINT32_MAX) | (uint64_t)(uint32_t)error << 32;
}

/* What goes on: a round that has been waited for is over. */
static uint64_t current(uint64_t verdict)
{
    if (sk_likely(!(verdict & SK_VERDICT_WAITED))) return verdict;
    return (verdict + (UINT64_C(1) << 24)) & SK_VERDICT_ROUND;
}

static bool is_cancelled_by(uint64_t verdict)
{
    return (verdict & (SK_VERDICT_CANCELLED | SK_VERDICT_WAITED)) == SK_VERDICT_CANCELLED;
}

/* The verdict after a task has ended with this error. */
static uint64_t with_failure(const skua_group *group, uint64_t verdict, int error)
{
    uint64_t next = current(verdict);
    if ((next & SK_VERDICT_COUNT) != SK_VERDICT_COUNT) next++;
    if (!error_of(next)) next = with_error(next, error);
    return group->fail_fast ? next | SK_VERDICT_CANCELLED : next;
}

/* ---- cancelling ---- */

static skua_group *parent_of(skua_group *group)
{
    return sk_load_rlx(&group->parent);
}

/* Whether tasks of the pool are tasks of the group, or of one below it. See sk_pool_match. */
static bool belongs_to(skua_pool *pool, const void *group)
{
    for (; pool; pool = sk_load_rlx(&pool->above))
        for (skua_group *g = sk_load_rlx(&pool->group); g; g = parent_of(g))
            if (g == group) return true;
    return false;
}

bool sk_group_is_caller_inside(const skua_group *group)
{
    return belongs_to(sk_pool_of_caller(), group);
}

/* The group is cancelled, or was when a task came in: who waits to submit is refused, and all tasks are asked to end.
 */
static void sweep(skua_group *group)
{
    /* [GR-C7] sequentially consistent; pairs with [PL-A28], as [PL-C16]: jobs between two attempts look. */
    sk_add_sc(&group->pool->sweeps, UINT64_C(1));
    /* [GR-F1] heavy fence; pairs with [GR-F2] and [JB-F1]: the mark before the look at the tasks. Without it we could
       miss a task whose submitter misses the mark. */
    sk_fence_heavy();
    sk_waitq_wake(&group->pool->room);
    sk_pool_cancel_matching(belongs_to, group);
    /* [GR-C8] sequentially consistent; pairs with [PL-A23], as [PL-C17]. */
    sk_add_sc(&group->pool->swept, UINT64_C(1));
}

/* ---- ends ---- */

static void keep(skua_group *group, uint64_t verdict, int error, void *arg)
{
    uint64_t index = (verdict & SK_VERDICT_COUNT) - 1;
    if (index >= group->kept) return;
    sk_group_slot *slot = &group->slots[index];
    sk_store_rlx(&slot->arg, arg);
    /* [GR-R3] release; pairs with [GR-A5]: the argument before the error. */
    sk_store_rel(&slot->word, with_error(verdict & SK_VERDICT_ROUND, error));
}

/* `follows`: it would follow from a cancellation of the group, and then is no error. */
static void fail(skua_group *group, int error, void *arg, bool follows)
{
    uint64_t verdict = sk_load_rlx(&group->verdict), next;
    do {
        if (follows && is_cancelled_by(verdict)) return;
        next = with_failure(group, verdict, error);
        /* [GR-C3] acquire-release; pairs with [GR-C5], [GR-A8] and itself: who sees the group cancelled by an error
           sees what the task wrote. */
    } while (!sk_cas_ar(&group->verdict, &verdict, next));
    keep(group, next, error, arg);
    if (is_cancelled_by(next) && !is_cancelled_by(verdict)) sweep(group);
}

void sk_group_report(skua_group *group, int error, void *arg)
{
    fail(group, error, arg, false);
}

/* The pool's hook. */
static void task_ended(sk_pool_hook *hook, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w;
    skua_group *group = sk_container_of(hook, skua_group, hook);
    if (sk_unlikely(end != SK_DONE)) fail(group, result, sk_pool_arg_of(t), end == SK_CANCELLED);
    if (group->ended) group->ended(group->ended_ctx, sk_pool_arg_of(t), result);
}

/* What submitters are told who wait for room. */
static int refuses(sk_pool_hook *hook)
{
    for (skua_group *g = sk_container_of(hook, skua_group, hook); g; g = parent_of(g))
        if (is_cancelled_by(sk_load_rlx(&g->verdict))) return -ECANCELED;
    return 0;
}

/* ---- create ---- */

static int check_family(const skua_group_options *o, skua_runtime **rt)
{
    *rt = o->runtime;
    if (!o->parent) return 0;
    int error = check(o->parent);
    if (error) return error;
    skua_runtime *its = sk_owner_runtime(&o->parent->pool->owner);
    if (*rt && *rt != its) return -ENOTSUP;
    if (o->pool && (error = sk_pool_check(o->pool))) return error;
    if (o->pool && sk_owner_runtime(&o->pool->owner) != its) return -ENOTSUP;
    *rt = its;
    return 0;
}

/* Registers with the parent, which may be released at this very moment. */
static int join_parent(skua_group *parent)
{
    if (!parent) return 0;
    /* [GR-C4] sequentially consistent; pairs with [GR-C2]: either release counts us, or we see that it has begun. */
    sk_add_sc(&parent->children, 1u);
    if (sk_load_sc(&parent->state) == SK_GROUP_OPEN) return 0; /* [GR-A6] sequentially consistent; see [GR-C4]. */
    sk_sub_rlx(&parent->children, 1u);
    return -ESHUTDOWN;
}

static void leave_parent(skua_group *parent)
{
    /* [GR-R4] release; pairs with [GR-A7]: our last touch of the parent. */
    if (parent) sk_sub_ar(&parent->children, 1u);
}

static int make_pool(skua_group *group, const skua_group_options *o, skua_runtime *rt)
{
    uint32_t queue = !o->queue && o->limit ? SKUA_POOL_NO_QUEUE : o->queue;
    skua_pool_options options = {.runtime = rt,
                                 .limit = o->limit,
                                 .queue = queue,
                                 .parent = o->pool,
                                 .on_fault = o->on_fault,
                                 .fault_handler = o->fault_handler,
                                 .fault_arg = o->fault_arg};
    int error = skua_pool_create(&group->pool, &options);
    if (error) return error;
    group->pool->hook = &group->hook;
    sk_store_rlx(&group->pool->group, group);
    return 0;
}

static int init(skua_group *group, const skua_group_options *o, skua_runtime *rt)
{
    group->fail_fast = o->fail_fast != 0;
    group->kept = o->errors;
    sk_store_rlx(&group->parent, o->parent);
    group->hook = (sk_pool_hook){.ended = task_ended, .refuses = refuses};
    group->ended = NULL;
    group->slots = NULL;
    sk_store_rlx(&group->children, 0u);
    sk_store_rlx(&group->verdict, UINT64_C(0));
    if (o->errors && !(group->slots = (sk_group_slot *)sk_heap_zalloc(o->errors, sizeof(sk_group_slot))))
        return -ENOMEM;
    int error = make_pool(group, o, rt);
    if (error) sk_heap_free(group->slots);
    return error;
}

int skua_group_create(skua_group **out, const skua_group_options *options)
{
    static const skua_group_options none = {0};
    const skua_group_options *o = options ? options : &none;
    skua_runtime *rt;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    bool overflows = o->queue > SKUA_POOL_QUEUE_MAX && o->queue != SKUA_POOL_NO_QUEUE;
    if (o->errors > SKUA_GROUP_ERRORS_MAX || overflows) return -EOVERFLOW;
    int error = check_family(o, &rt);
    if (!error) error = join_parent(o->parent);
    if (error) return error;
    skua_group *group = (skua_group *)sk_lazy_slab_alloc(&groups);
    error = group ? init(group, o, rt) : -ENOMEM;
    if (error) {
        if (group) sk_lazy_slab_free(&groups, group);
        leave_parent(o->parent);
        return error;
    }
    /* [GR-R1] release; pairs with [GR-A1]. */
    sk_store_rel(&group->state, (uint32_t)SK_GROUP_OPEN);
    *out = group;
    return 0;
}

/* ---- submitting ---- */

static void begin_round(skua_group *group, uint64_t verdict)
{
    /* Who fails finds that another has begun it. */
    (void)sk_cas_rlx(&group->verdict, &verdict, current(verdict));
}

int sk_group_check(skua_group *group)
{
    int error = check(group);
    if (sk_unlikely(error)) return error;
    uint64_t verdict = sk_load_rlx(&group->verdict);
    if (sk_unlikely(verdict & SK_VERDICT_WAITED))
        begin_round(group, verdict);
    else if (sk_unlikely(verdict & SK_VERDICT_CANCELLED))
        return -ECANCELED;
    if (sk_unlikely(parent_of(group) != NULL) && refuses(&group->hook)) return -ECANCELED;
    for (skua_pool *p = group->pool->parent; sk_unlikely(p != NULL); p = p->parent)
        if ((error = sk_pool_check(p))) return error;
    return 0;
}

/* A task came in: had the group been cancelled before a sweep could find it? */
static void look_after(skua_group *group)
{
    sk_fence_light(); /* [GR-F2] light fence; pairs with [GR-F1]: the task before the look at the mark. */
    for (skua_group *g = group; g; g = parent_of(g))
        if (sk_unlikely(is_cancelled_by(sk_load_rlx(&g->verdict)))) {
            sweep(g);
            return;
        }
}

int skua_group_go(skua_group *group, skua_fn *fn, void *arg)
{
    int error = sk_group_check(group);
    if (!error) error = skua_pool_submit(group->pool, fn, arg);
    if (!error) look_after(group);
    return error;
}

int skua_group_try_go(skua_group *group, skua_fn *fn, void *arg)
{
    int error = sk_group_check(group);
    if (!error) error = skua_pool_try_submit(group->pool, fn, arg);
    if (!error) look_after(group);
    return error;
}

int skua_group_go_with(skua_group *group, const skua_submit_options *options, skua_fn *fn, void *arg)
{
    int error = sk_group_check(group);
    if (!error) error = skua_pool_submit_with(group->pool, NULL, options, fn, arg);
    if (!error) look_after(group);
    return error;
}

int skua_group_go_future(skua_group *group, skua_future *out, const skua_submit_options *options, skua_fn *fn,
                         void *arg)
{
    if (out) *out = (skua_future){NULL, 0};
    int error = sk_group_check(group);
    if (!error) error = skua_pool_submit_future(group->pool, out, options, fn, arg);
    if (!error) look_after(group);
    return error;
}

/* ---- waiting ---- */

int sk_group_end_round(skua_group *group)
{
    uint64_t verdict = sk_load_rlx(&group->verdict);
    /* [GR-C5] acquire; pairs with [GR-C3]: who learns of an error sees what came before it. */
    while (!sk_cas_acq(&group->verdict, &verdict, verdict | SK_VERDICT_WAITED)) {
    }
    return error_of(verdict);
}

int skua_group_wait_for(skua_group *group, uint64_t timeout, int *cause)
{
    int own = 0;
    if (cause) *cause = 0;
    int error = sk_group_enter(group);
    if (error) return error;
    error = sk_group_is_caller_inside(group) ? -EDEADLK : skua_pool_wait(group->pool, timeout);
    if (!error || error == -EFAULT) own = sk_group_end_round(group);
    sk_group_exit(group);
    if (cause) *cause = own;
    return error ? error : own;
}

int skua_group_wait(skua_group *group, int *cause)
{
    return skua_group_wait_for(group, SKUA_FOREVER, cause);
}

/* ---- errors ---- */

int skua_group_cause(skua_group *group)
{
    int error = sk_group_enter(group);
    if (error) return error;
    /* [GR-A8] acquire; pairs with [GR-C3], as [GR-C5]. */
    error = error_of(sk_load_acq(&group->verdict));
    sk_group_exit(group);
    return error;
}

int skua_group_fault(skua_group *group, skua_fault *out)
{
    int error = sk_group_enter(group);
    if (error) return error;
    error = skua_pool_fault(group->pool, out);
    sk_group_exit(group);
    return error;
}

int skua_group_errors(skua_group *group, skua_group_error *out, size_t room)
{
    if (!out && room) return -EINVAL;
    int error = sk_group_enter(group);
    if (error) return error;
    /* [GR-A9] acquire; pairs with [GR-C3], as [GR-C5]. */
    uint64_t verdict = sk_load_acq(&group->verdict), count = verdict & SK_VERDICT_COUNT;
    for (uint64_t i = 0; i < sk_min(sk_min(count, (uint64_t)group->kept), (uint64_t)room); i++) {
        /* [GR-A5] acquire; pairs with [GR-R3]. */
        uint64_t word = sk_load_acq(&group->slots[i].word);
        bool there = word && !((word ^ verdict) & SK_VERDICT_ROUND);
        out[i].error = there ? error_of(word) : 0;
        out[i].arg = there ? sk_load_rlx(&group->slots[i].arg) : NULL;
    }
    sk_group_exit(group);
    return (int)count;
}

static int cancel(skua_group *group, int cause)
{
    uint64_t verdict = sk_load_rlx(&group->verdict), next;
    do {
        if (is_cancelled_by(verdict)) return -EALREADY;
        next = current(verdict) | SK_VERDICT_CANCELLED;
        if (!error_of(next)) next = with_error(next, cause);
        /* [GR-C6] acquire-release; as [GR-C3]. */
    } while (!sk_cas_ar(&group->verdict, &verdict, next));
    sweep(group);
    return 0;
}

int skua_group_cancel(skua_group *group, int cause)
{
    int error = sk_group_enter(group);
    if (error) return error;
    error = cause > 0 ? -EINVAL : cancel(group, cause ? cause : -ECANCELED);
    sk_group_exit(group);
    return error;
}

/* ---- counters and the end ---- */

int skua_group_stats(skua_group *group, skua_pool_counts *out)
{
    int error = sk_group_enter(group);
    if (error) return error;
    error = skua_pool_stats(group->pool, out);
    sk_group_exit(group);
    return error;
}

/* Whatever happens to the calling task: it waits. */
static void release_pool(skua_group *group)
{
    if (!sk_pool_release_for_good(group->pool)) return;
    (void)cancel(group, -ECANCELED);
    sk_shield shield;
    sk_shield_raise(&shield);
    while (sk_pool_release_for_good(group->pool)) {
        int bracketed = skua_blocking_begin(); /* no memory to park with: a thread can wait */
        int error = sk_pool_release_for_good(group->pool);
        if (!bracketed) skua_blocking_end();
        if (!error) break;
    }
    sk_shield_lower(&shield);
}

int skua_group_release(skua_group *group)
{
    int error = check(group);
    if (error) return error;
    if (sk_group_is_caller_inside(group)) return -EDEADLK;
    uint32_t open = SK_GROUP_OPEN;
    /* [GR-C2] sequentially consistent; pairs with [GR-C1] and [GR-C4]; and with itself: one of several releases. */
    if (!sk_cas_sc(&group->state, &open, (uint32_t)SK_GROUP_CLOSING)) return -ESHUTDOWN;
    /* [GR-A7] sequentially consistent; pairs with [GR-C4], and as an acquire with [GR-R4]. */
    if (sk_load_sc(&group->children)) {
        sk_store_rel(&group->state, (uint32_t)SK_GROUP_OPEN); /* [GR-R5] release; as [GR-R1]. */
        return -EBUSY;
    }
    release_pool(group);
    while (sk_load_sc(&group->inside)) /* [GR-A3] sequentially consistent; pairs with [GR-C1], and with [GR-R2]. */
        if (skua_yield()) sched_yield();
    sk_heap_free(group->slots);
    skua_group *parent = parent_of(group);
    sk_store_rlx(&group->state, (uint32_t)SK_GROUP_FREE);
    sk_lazy_slab_free(&groups, group);
    leave_parent(parent);
    return 0;
}

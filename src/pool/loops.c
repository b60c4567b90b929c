/*
 * loops.c: for_each and map.
 *
 * A loop is a group of runners, as many as items may be under way at a time.
 * Each takes items by one fetch-add: some at a time while many are left, one by
 * one at the end, so that no slow item keeps others waiting for long.
 *
 * A runner whose item gives up ends, and with it its frames.  What it has left to
 * do is written in its record, which is not in these frames: its deferred call
 * submits the same record again.
 *
 * The records lie in memory of the call that made the loop, and it does not come
 * back before the group has been released, which waits whatever happens.
 */
#include "pool/group.h"

#include <errno.h>

#include "base/heap.h"
#include "os/fork.h"

enum { SHARES = 16, BATCH_MAX = 64 };

typedef struct loop {
    size_t n;               /* I */
    skua_each_fn *fn;       /* I */
    void *ctx;              /* I */
    int *results;           /* I: of each item; NULL: not wanted */
    bool fail_fast;         /* I */
    uint32_t runners;       /* I: how many there may be */
    skua_group *group;      /* I */
    sk_atomic(size_t) next; /* the first item that nobody has taken */
    sk_atomic(int) first;   /* the first error */
} loop;

typedef struct runner {
    loop *loop;     /* I */
    size_t at, end; /* the items that it has taken and not done */
} runner;

/* ---- the runners ---- */

/* More items; false: there are none. */
static bool take(runner *r)
{
    loop *l = r->loop;
    size_t next = sk_load_rlx(&l->next);
    if (next >= l->n) return false;
    size_t share = (l->n - next) / l->runners / SHARES, some = sk_min(share, (size_t)BATCH_MAX);
    if (some == 0) some = 1;
    r->at = sk_add_rlx(&l->next, some); /* beyond n by so much for each runner: far from wrapping round */
    r->end = sk_min(r->at + some, l->n);
    return r->at < l->n;
}

static void note(runner *r, int result)
{
    int none = 0;
    loop *l = r->loop;
    if (l->results) l->results[r->at] = result;
    if (result < 0) (void)sk_cas_rlx(&l->first, &none, result);
    r->at++;
}

static int do_items(runner *r)
{
    loop *l = r->loop;
    while (r->at < r->end || take(r)) {
        int error = skua_cancelled();
        if (error) return error;
        int result = l->fn(l->ctx, r->at);
        note(r, result);
        if (result < 0 && l->fail_fast) return result;
    }
    return 0;
}

static int run(void *arg);

/* Deferred: the item has given up. Others go on with what is left. */
static int hand_over(void *arg)
{
    runner *r = (runner *)arg;
    note(r, -EFAULT);
    if (r->loop->fail_fast || (r->at == r->end && sk_load_rlx(&r->loop->next) >= r->loop->n)) return 0;
    return skua_group_go(r->loop->group, run, r) ? run(r) : 0;
}

static int run(void *arg)
{
    skua_deferred on_fault;
    int error = skua_defer(&on_fault, hand_over, arg);
    if (error) return error;
    error = do_items((runner *)arg);
    (void)skua_undefer(&on_fault);
    return error;
}

/* ---- the loop ---- */

/* 0 when at least one runs: it does all by itself if it must. */
static int start(loop *l, runner *runners)
{
    int error = 0;
    for (uint32_t i = 0; i < l->runners && sk_load_rlx(&l->next) < l->n; i++) {
        runners[i] = (runner){l, 0, 0};
        error = skua_group_go(l->group, run, &runners[i]);
        if (error) return i ? 0 : error;
    }
    return 0;
}

static int run_loop(loop *l, runner *runners)
{
    int cause = 0, error = start(l, runners);
    if (!error) error = skua_group_wait(l->group, &cause);
    if (error && !cause) (void)skua_group_cancel(l->group, error);
    (void)skua_group_release(l->group);
    if (error && !cause) return error;
    int first = sk_load_rlx(&l->first);
    return first ? first : cause;
}

static int loop_over(const skua_loop_options *o, loop *l)
{
    if (o->pool && (sk_pool_is_caller_inside(o->pool) || sk_pool_is_held_by_caller(o->pool))) return -EDEADLK;
    skua_group_options options = {
        .runtime = o->runtime, .pool = o->pool, .parent = o->parent, .fail_fast = o->fail_fast};
    int error = skua_group_create(&l->group, &options);
    if (error) return error;
    uint32_t limit = o->limit ? o->limit : sk_owner_runtime(&l->group->pool->owner)->workers_max;
    l->runners = (uint32_t)sk_min((size_t)limit, l->n);
    runner *runners = (runner *)sk_heap_alloc(l->runners * sizeof *runners);
    if (!runners) {
        (void)skua_group_release(l->group);
        return -ENOMEM;
    }
    error = run_loop(l, runners);
    sk_heap_free(runners);
    return error;
}

int skua_for_each(const skua_loop_options *options, size_t n, skua_each_fn *fn, void *ctx)
{
    static const skua_loop_options none = {0};
    const skua_loop_options *o = options ? options : &none;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!fn) return -EINVAL;
    if (o->limit > SKUA_POOL_LIMIT_MAX) return -ERANGE;
    if (n > SIZE_MAX / 2) return -EOVERFLOW;
    if (n == 0) return 0;
    for (size_t i = 0; o->results && i < n; i++) o->results[i] = -ECANCELED;
    loop l = {.n = n, .fn = fn, .ctx = ctx, .results = o->results, .fail_fast = o->fail_fast != 0};
    return loop_over(o, &l);
}

/* ---- map ---- */

typedef struct mapping {
    skua_map_fn *fn;
    void *ctx;
    const char *in;
    char *out;
    size_t in_size, out_size;
} mapping;

static int map_one(void *ctx, size_t i)
{
    const mapping *m = (const mapping *)ctx;
    return m->fn(m->ctx, m->in + i * m->in_size, m->out + i * m->out_size);
}

/* 0, or why this cannot be mapped. */
static int check_mapping(const mapping *m, size_t n)
{
    if (!m->fn || (n && (!m->in || !m->out || !m->in_size || !m->out_size))) return -EINVAL;
    if (n == 0) return 0;
    if (n > SIZE_MAX / 2 / m->in_size || n > SIZE_MAX / 2 / m->out_size) return -EOVERFLOW;
    if (m->in == m->out && m->in_size == m->out_size) return 0;
    uintptr_t in = (uintptr_t)m->in, out = (uintptr_t)m->out;
    return in < out + n * m->out_size && out < in + n * m->in_size ? -EINVAL : 0;
}

int skua_map(const skua_loop_options *options, const void *in, size_t in_size, void *out, size_t out_size, size_t n,
             skua_map_fn *fn, void *ctx)
{
    mapping m = {fn, ctx, (const char *)in, (char *)out, in_size, out_size};
    if (sk_unlikely(sk_forked())) return -ECHILD;
    int error = check_mapping(&m, n);
    return error ? error : skua_for_each(options, n, map_one, &m);
}

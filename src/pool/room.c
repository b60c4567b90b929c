/*
 * room.c: waiting for room in a pool, and who must not.
 *
 * A submitter waits on an eventcount (pool/waitq.h): announce, fence, look again,
 * sleep.  Whoever takes tasks out wakes all such when the queue is half empty; in
 * a pool without a queue, whoever gives a slot back.  A task that waits in its own
 * pool, or below it, keeps its slot meanwhile: the last one who could still make
 * room is told instead (`stuck`; WAITING.md, "Submitters that wait").
 */
#include "pool/pool.h"

#include <errno.h>

#include "os/clock.h"
#include "runtime/giveup.h"

enum { STUCK_LOOK_MS = 100 };

/* ---- who calls ---- */

skua_pool *sk_pool_of_caller(void)
{
    sk_local *local = sk_local_self();
    if (!local) return NULL;
    sk_task *t = local->worker ? local->worker->task : local->blocked_task;
    return t ? sk_pool_of_owner(sk_task_owner_of(t)) : NULL;
}

bool sk_pool_is_caller_inside(skua_pool *pool)
{
    return sk_pool_is_this_or_below(sk_pool_of_caller(), pool);
}

/* The lowest pool, from this one upwards, of which the caller's task holds a slot; NULL: it holds none of them. */
static skua_pool *pool_of_slot(skua_pool *pool)
{
    while (pool && !sk_pool_is_caller_inside(pool)) pool = pool->parent;
    return pool;
}

bool sk_pool_is_held_by_caller(skua_pool *pool)
{
    for (skua_pool *p = pool_of_slot(pool); p; p = p->parent)
        if (sk_pool_limit_unpaused(p) == 1) return true;
    return false;
}

bool sk_pool_waits_for_itself(skua_pool *pool)
{
    for (const sk_catch *c = sk_catch_first(); c; c = sk_catch_around(c))
        if (c->owner && sk_pool_is_this_or_below(sk_pool_of_owner(c->owner), pool)) return true;
    return sk_pool_is_caller_inside(pool);
}

/* ---- waiting for room ---- */

/* What a waiting submitter looks at stands in one pointer, which is safe to follow at any time: pools are type-stable,
   and their addresses leave room for the level. */
static void *place_of(skua_pool *pool, uint32_t level)
{
    return (char *)pool + level;
}

static skua_pool *pool_of_place(void *place)
{
    return (skua_pool *)((char *)place - (uintptr_t)place % SK_CACHE_LINE);
}

/*
 * Of a pool without a queue.  A slot of its own is not enough in a subpool: when
 * there is none above, it is in the list of the hungry there, and whoever takes
 * it out wakes us.  Not in the list: nobody has tried since, so we have to.
 */
static bool has_slot(skua_pool *pool)
{
    if (sk_pool_running(pool) >= sk_pool_limit(pool)) return false;
    return !pool->parent || !sk_load_rlx(&pool->is_hungry);
}

static bool is_open(skua_pool *pool)
{
    for (skua_pool *p = pool; p; p = p->parent)
        if (sk_load_rlx(&p->state) != SK_POOL_OPEN) return false;
    return true;
}

/* 0, or what the pool's hook says to submitters that wait. */
static int is_refused(skua_pool *pool)
{
    return pool->hook && pool->hook->refuses ? pool->hook->refuses(pool->hook) : 0;
}

/* In the queue; anything, in one that is gone. */
static bool has_place(skua_pool *pool, uint32_t level)
{
    bool there =
        !sk_pool_begin_look(pool) || level >= pool->backlog.levels || !sk_backlog_is_full(&pool->backlog, level);
    sk_pool_end_look(pool);
    return there;
}

/* Whatever the state of the pool: for a further attempt. */
static bool has_room_again(void *place)
{
    uint32_t level = (uint32_t)((uintptr_t)place % SK_CACHE_LINE);
    skua_pool *pool = pool_of_place(place);
    return pool->queueless ? has_slot(pool) : has_place(pool, level);
}

static bool has_room(void *place)
{
    skua_pool *pool = pool_of_place(place);
    return !is_open(pool) || is_refused(pool) || has_room_again(place);
}

/* There is no slot with which something could leave the queue, here or in a pool above, and all that hold them there
   wait for room in its queue or in one below. */
static bool is_stuck(skua_pool *pool)
{
    for (skua_pool *p = pool; p; p = p->parent) {
        /* [PL-C9] sequentially consistent, both; pairs with the count in wait_inside: of those that come last
           together, at least one counts all. */
        uint64_t stuck = sk_load_sc(&p->stuck), running = sk_slots_of(sk_load_sc(&p->running));
        if (stuck && stuck >= running && running >= sk_pool_limit_unpaused(p)) return true;
    }
    return false;
}

/* They may come to be so while we wait, when a limit falls. */
static bool has_room_or_is_stuck(void *place)
{
    return has_room(place) || is_stuck(pool_of_place(place));
}

/* A limit that falls in a pool above wakes those who wait there, not us: so in a family we look ten times a second. */
static int wait_or_be_stuck(skua_pool *pool, void *place, uint64_t deadline)
{
    for (bool alone = !pool->parent;;) {
        if (is_stuck(pool)) return -EDEADLK;
        uint64_t until = alone ? SK_NEVER : sk_clock_ns() + SKUA_MS(STUCK_LOOK_MS);
        if (until >= deadline) return sk_waitq_wait(&pool->room, has_room_or_is_stuck, place, deadline);
        int error = sk_waitq_wait(&pool->room, has_room_or_is_stuck, place, until);
        if (error != -ETIMEDOUT || sk_clock_ns() < until) return error; /* before: a deadline of the task's own */
    }
}

/* A task that holds a slot of the pool, or of one above it, holds it while it waits; when all that hold slots there
   wait, no one would make room: the last of them is told. */
static int wait_inside(skua_pool *pool, skua_pool *held, void *place, uint64_t deadline)
{
    for (skua_pool *p = held; p; p = p->parent)
        sk_add_sc(&p->stuck, UINT64_C(1)); /* [PL-C18] sequentially consistent; pairs with [PL-C9]. */
    int error = wait_or_be_stuck(pool, place, deadline);
    for (skua_pool *p = held; p; p = p->parent) sk_sub_rlx(&p->stuck, UINT64_C(1));
    return error;
}

int sk_pool_wait_for_room(skua_pool *pool, uint32_t level, uint64_t deadline)
{
    int error = -EAGAIN;
    uint64_t before = sk_add_rlx(&pool->standing, UINT64_C(1));
    if (!pool->waiters || before < pool->waiters) {
        void *place = place_of(pool, level);
        skua_pool *held = pool_of_slot(pool);
        error = held ? wait_inside(pool, held, place, deadline) : sk_waitq_wait(&pool->room, has_room, place, deadline);
    }
    sk_sub_rlx(&pool->standing, UINT64_C(1));
    if (error) return error;
    return is_open(pool) ? is_refused(pool) : -ESHUTDOWN;
}

int sk_pool_wait_for_room_again(skua_pool *pool, uint32_t level)
{
    return sk_waitq_wait(&pool->room, has_room_again, place_of(pool, level), SK_NEVER);
}

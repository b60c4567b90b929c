/*
 * slots.c: who may start.
 *
 * Nouns
 *   slot      the right to run one task; there are `limit` of them, `running` are taken
 *   pump      a little task of the pool's own that takes slots, fills them from
 *             the queue, and puts the tasks into its worker's queue, where thieves
 *             find them; at most one is about (`pumping`), and the monitor watches it (rescue.c)
 *   hungry    a subpool that has found no slot in its parent
 *
 * Whoever ends a task while others wait gives its slot straight to the next one,
 * which runs right after it on the same worker; no counter moves and the limit
 * never runs dry.
 *
 * Why no task stays in the queue while a slot is free.  Two sides publish and
 * then look, with a full fence between (each step below is a read-modify-write):
 *   - submit: task into the queue; then looks for `pumping` and a free slot
 *   - end:    slot given back;     then looks into the queue
 * so one sees the other; whoever sees both sends the pump.  The pump clears
 * `pumping` before it looks: a submitter that saw it set had put its task into
 * the queue before, so the pump finds it.  And the pump looks again after it
 * has given back the slots it could not fill, as everyone who gives slots back.
 *
 * Subpools.  A task of a subpool holds a slot there and in every pool above.
 * Slots are taken and given back from the bottom up, so that a pool is at rest
 * only when its subpools are; but looking who could use one goes from the top
 * down (we are `inside` the lower pool meanwhile, which so keeps those above).
 *
 * Turns.  While others wait for slots of a pool, a subpool's pump takes none
 * there by itself: it goes into the list behind them, and takes when it is its
 * turn (`granted`).  The list and the pool's own queue have their turns one after
 * the other.  So none starves.
 *
 * Hunger.  A subpool's
 * pump that finds no slot above puts its pool into the `hungry` list there, and
 * tries once more; whoever gives a slot back there looks into the list as he looks
 * into the queue, and sends that pool's pump, which sends those of the hungry.
 * So the list is one more queue, with the same two sides.
 *
 * Order by deadline.  In such a pool tasks leave the queue only in the hands of
 * whoever holds `pumping`, the baton: the pump, or who ends a task and finds it
 * free, or who drops all.  Whoever puts it down looks, as the pump does.
 */
#include "pool/job.h"
#include "pool/storage.h"

#include "runtime/monitor.h"

enum { PUMP_BATCH = 64 };

/* ---- slots ---- */

static bool has_hungry(skua_pool *pool)
{
    return !sk_inject_is_empty(&pool->hungry);
}

bool sk_pool_could_start(skua_pool *pool)
{
    if (sk_pool_running(pool) >= sk_pool_limit(pool)) return false;
    return !sk_backlog_is_empty(&pool->backlog) || has_hungry(pool);
}

void sk_pool_send_pump(skua_pool *pool, sk_worker *w)
{
    uint32_t word;
    do {
        if (!(sk_load_rlx(&pool->pumping) & SK_PUMP_WATCHED)) sk_pool_watch(pool);
        /* [PL-A70] sequentially consistent; as [PL-C1], when it finds the pump about. */
        word = sk_load_sc(&pool->pumping);
        if (word & SK_PUMP_OUT) return;
        /* [PL-C1] sequentially consistent; pairs with [PL-X1]: at most one pump, and it looks after we have pushed. */
    } while (!sk_cas_sc(&pool->pumping, &word, word | SK_PUMP_OUT));
    sk_ready(w, pool->pump);
}

void sk_pool_look(skua_pool *pool, sk_worker *w)
{
    if (sk_pool_is_pumping(pool)) return;
    if (sk_unlikely(sk_backlog_is_doomed(&pool->backlog)) || sk_pool_could_start(pool)) sk_pool_send_pump(pool, w);
}

/* Up to n slots of this pool alone, for its own tasks or those below (unit: SK_SLOT_*); returns how many. */
static uint32_t take_own(skua_pool *pool, uint32_t n, uint64_t unit)
{
    uint64_t word = sk_load_rlx(&pool->running), limit = sk_pool_limit(pool);
    for (uint64_t running; (running = sk_slots_of(word)) < limit;) {
        uint32_t some = (uint32_t)sk_min((uint64_t)n, limit - running);
        /* [PL-C2] sequentially consistent; pairs with [PL-C3]. */
        if (sk_cas_sc(&pool->running, &word, word + some * unit)) return some;
    }
    return 0;
}

/* Gives n slots of this pool back, and of those from `above` on (NULL: of this one alone). The last may let a release
   go on and free the pool: what follows touches only what is type-stable, or holds `inside`. */
static void give_own(skua_pool *pool, sk_worker *w, uint64_t n, uint64_t unit, skua_pool *above)
{
    sk_add_rlx(&pool->inside, 1u);
    /* [PL-C3] sequentially consistent; pairs with [PL-C2] and with [PL-A5] in submit: the slot before the look into
       the queue. */
    uint64_t before = sk_sub_sc(&pool->running, n * unit);
    sk_fence_sc(); /* [PL-F2] full fence; pairs with [PL-A5], and with [PL-F5] of a subpool. */
    if (sk_unlikely(above != NULL)) give_own(above, w, n, SK_SLOT_BELOW, above->parent);
    uint64_t limit = sk_pool_limit(pool);
    if (sk_slots_of(before) >= limit) sk_pool_look(pool, w);
    if (before == n * unit) sk_waitq_wake(&pool->rest);
    /* More than the limit: it has fallen, and perhaps all that are left wait for room. */
    if (sk_unlikely(pool->queueless || sk_slots_of(before) > limit)) sk_waitq_wake(&pool->room);
    /* [PL-R1] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
}

void sk_pool_give_slots(skua_pool *pool, sk_worker *w, uint64_t n)
{
    give_own(pool, w, n, SK_SLOT_OWN, pool->parent);
}

/*
 * The limit was another one before our slot was given back: it may have been the
 * last of a lower limit, and somebody who found all of these taken may rely on us
 * to look.  (Had we seen the old limit still, whoever changes it would find the
 * slot free, and look.)  The slot is gone, so the pool may be, too.
 */
static sk_noinline void look_late(skua_pool *pool, sk_worker *w)
{
    /* [PL-C40] sequentially consistent; pairs with [PL-C6]: either release waits for us, or we see the pool freed. */
    sk_add_sc(&pool->inside, 1u);
    sk_fence_sc(); /* [PL-F20] full fence; pairs with [PL-A5]: the slot before the look into the queue. */
    /* [PL-A51] sequentially consistent; see [PL-C40]. */
    if (sk_load_sc(&pool->state) != SK_POOL_FREE) sk_pool_look(pool, w);
    /* [PL-R40] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
}

/* The common case of giving one back: the limit was not reached, so that nobody can wait for the slot, and there is
   nothing to look for but, after the last, those who wait for the end: they stand in what is type-stable. */
static inline bool give_one_of_many(skua_pool *pool, sk_worker *w)
{
    uint64_t word = sk_load_rlx(&pool->running), limit = sk_pool_limit(pool);
    for (uint64_t running; sk_likely((running = sk_slots_of(word)) < limit);) {
        /* [PL-C7] sequentially consistent. As a release it pairs with [PL-A4]: who sees no slot taken sees what this
           task wrote; and the slot before another look at the limit, see look_late. */
        if (!sk_cas_sc(&pool->running, &word, word - SK_SLOT_OWN)) continue;
        if (sk_unlikely(sk_pool_limit(pool) != limit)) look_late(pool, w);
        if (sk_unlikely(running == 1)) sk_waitq_wake_behind(&pool->rest);
        return true;
    }
    return false;
}

/* Up to n slots of the pool and of all above it; returns how many, and in *without the pool whose parent has none. */
static uint32_t take_slots(skua_pool *pool, sk_worker *w, uint32_t n, uint64_t unit, skua_pool **without)
{
    uint32_t own = take_own(pool, n, unit);
    if (sk_likely(!pool->parent) || own == 0) return own;
    uint32_t above = take_slots(pool->parent, w, own, SK_SLOT_BELOW, without);
    if (above == 0 && !*without) *without = pool;
    if (above < own) give_own(pool, w, own - above, unit, NULL);
    return above;
}

/* No slot in the parent of `last`: into the lists on the way there, through which its pump will send ours. */
static void be_hungry(skua_pool *pool, skua_pool *last)
{
    for (skua_pool *p = pool;; p = p->parent) {
        uint32_t no = 0;
        /* [PL-C11] acquire; pairs with [PL-X3]: nobody reads the link any more. */
        if (sk_cas_acq(&p->is_hungry, &no, 1u))
            sk_store_rlx(&p->was_alone, sk_inject_push(&p->parent->hungry, &p->hungry_link));
        if (p == last) break;
    }
    sk_fence_sc(); /* [PL-F5] full fence; pairs with [PL-F2]: in the list before another look for a slot. */
}

static bool is_above(const skua_pool *pool, const skua_pool *other)
{
    do other = other->parent;
    while (other && other != pool);
    return other != NULL;
}

/*
 * Who is in a list relies on a pool there that has no slot: whoever gives one
 * back looks.  So who is in one whose pool has slots after all (it has got one at
 * the second try, or lacks one elsewhere) has to be taken out: its pump is sent.
 */
static sk_noinline uint32_t take_slots_hungry(skua_pool *pool, sk_worker *w, uint32_t n, skua_pool *without)
{
    uint32_t slots;
    skua_pool *last;
    do {
        be_hungry(pool, last = without);
        without = NULL;
        slots = take_slots(pool, w, n, SK_SLOT_OWN, &without);
    } while (!slots && without && is_above(without, last)); /* the next one above has none now */
    for (skua_pool *p = slots || !without ? pool : without->parent; p != last->parent; p = p->parent)
        sk_pool_look(p->parent, w);
    return slots;
}

uint32_t sk_pool_take_slots(skua_pool *pool, sk_worker *w, uint32_t n)
{
    skua_pool *without = NULL;
    uint32_t slots = take_slots(pool, w, n, SK_SLOT_OWN, &without);
    return sk_likely(slots || !without) ? slots : take_slots_hungry(pool, w, n, without);
}

/* ---- straight to the worker ---- */

/* Nothing that needs the pump, or more than a slot of its own. */
static bool is_straight(skua_pool *pool)
{
    return !pool->parent && !pool->times && !pool->backlog.ordered && !has_hungry(pool);
}

/* Nothing holds the pool yet, so only what is type-stable may be looked at: the cursors of the queue, not its slots. */
bool sk_pool_take_straight(skua_pool *pool, sk_worker *w)
{
    if (!is_straight(pool) || sk_bounded_size(&pool->backlog.first) != 0) return false;
    sk_store_rlx(&w->straight, (void *)pool); /* published by [PL-C2] */
    if (take_own(pool, 1, SK_SLOT_OWN) == 1) return true;
    sk_store_rlx(&w->straight, NULL);
    return false;
}

bool sk_pool_is_straight(skua_pool *pool)
{
    return is_straight(pool) && sk_backlog_is_empty(&pool->backlog);
}

void sk_pool_give_straight(skua_pool *pool, sk_worker *w, uint32_t state)
{
    sk_pool_begin_step(pool);
    sk_pool_end_steps(pool, 1);       /* who has seen the slot, and then not us, sees that: the slot was nobody's */
    sk_store_rel(&w->straight, NULL); /* [PL-R66] release; pairs with [PL-A45], see there. */
    if (state != SK_POOL_FREE) {      /* it is not freed while it has this slot, the only one that was taken */
        give_own(pool, w, 1, SK_SLOT_OWN, NULL);
        return;
    }
    sk_sub_sc(&pool->running, SK_SLOT_OWN); /* [PL-R60] sequentially consistent; pairs with [PL-A60] in release. */
    look_late(pool, w);                     /* in another life already: somebody may have missed the slot */
    sk_waitq_wake(&pool->rest);
}

/* ---- the pump ---- */

/* The monitor's part: submitters that were left asleep beside some room. */
void sk_pool_pay_submitters(sk_chore *chore, sk_worker *w)
{
    (void)w;
    skua_pool *pool = sk_container_of(chore, skua_pool, room_chore);
    /* [PL-X2] sequentially consistent; pairs with [PL-C8]: cleared before the wake, so that who finds it set is paid;
       and with [PL-A8] in release, as our last touch but for the wake, which is type-stable. */
    sk_xchg_sc(&pool->owes, 0u);
    sk_waitq_wake(&pool->room);
}

/*
 * After taking tasks out.  `dry`: the queue was found empty.  Half empty is enough:
 * a submitter that is woken for each place sleeps again at once.  In between the
 * monitor is asked to wake them soon, in case nothing more is taken for long.
 */
static void wake_submitters(skua_pool *pool, bool dry)
{
    if (!sk_waitq_any(&pool->room)) return;
    if (dry || sk_backlog_is_half_empty(&pool->backlog)) {
        sk_waitq_wake(&pool->room);
        return;
    }
    uint32_t none = 0;
    /* [PL-C8] sequentially consistent; pairs with [PL-X2]. */
    if (!sk_load_rlx(&pool->owes) && sk_cas_sc(&pool->owes, &none, 1u))
        sk_monitor_owe(sk_owner_runtime(&pool->owner), &pool->room_chore);
}

/* Tells the subpools that wait for a slot here to try again; who gets none comes back into the list. False: none waits,
   or there is no slot. */
static bool feed_hungry(skua_pool *pool, sk_worker *w)
{
    if (sk_likely(!has_hungry(pool))) return false;
    if (sk_pool_running(pool) >= sk_pool_limit(pool) && !sk_load_rlx(&pool->leaving)) return false;
    for (sk_inject_link *link = sk_inject_take(&pool->hungry), *next; link; link = next) {
        skua_pool *child = sk_container_of(link, skua_pool, hungry_link);
        next = link->next;
        sk_add_rlx(&child->inside, 1u);
        /* [PL-X3] sequentially consistent; pairs with [PL-X1]: out of the list before the look for its pump, which
           clears `pumping` before it looks whether it is in the list; and with [PL-A13] in release. */
        sk_xchg_sc(&child->is_hungry, 0u);
        sk_store_rlx(&child->granted, 1u);
        sk_fence_sc(); /* [PL-F6] full fence; pairs with [PL-F4], as [PL-X3]. */
        sk_pool_look(child, w);
        if (child->queueless) sk_waitq_wake(&child->room);
        /* [PL-R7] release; pairs with [PL-A1] in release: our last touch of the subpool. */
        sk_sub_ar(&child->inside, 1u);
    }
    return true;
}

/* Whether it has to get in line somewhere above, because others wait there and it is not its turn; then it is in line.
 */
static bool gets_in_line(skua_pool *pool, sk_worker *w)
{
    for (skua_pool *p = pool; p->parent; p = p->parent) {
        if (sk_load_rlx(&p->granted)) {
            sk_store_rlx(&p->granted, 0u);
            continue;
        }
        if (!has_hungry(p->parent) && sk_backlog_is_empty(&p->parent->backlog)) continue;
        be_hungry(pool, p);
        sk_pool_look(p->parent, w); /* as everyone who has made something available there */
        return true;
    }
    return false;
}

/* Nothing to fill, or nothing to fill it with: the pump goes, then looks again. slots: if any, in a step. */
static void end_pump(skua_pool *pool, sk_worker *w, uint32_t slots)
{
    sk_add_rlx(&pool->inside, 1u);
    /* [PL-X1] sequentially consistent: cleared before the look into the queue; pairs with [PL-C1] and [PL-A5]: who saw
       it set has pushed before. */
    sk_and_sc(&pool->pumping, (uint32_t)~SK_PUMP_OUT);
    sk_fence_sc(); /* [PL-F4] full fence between that and the looks; pairs with [PL-A5] and [PL-F2]. */
    if (slots) {
        sk_pool_give_slots(pool, w, slots);
        sk_pool_end_steps(pool, 1);
    }
    /* A subpool that waits for a slot above is in the list there, and is not to look for one in a circle. */
    if (!sk_load_rlx(&pool->is_hungry) || sk_backlog_is_doomed(&pool->backlog)) sk_pool_look(pool, w);
    sk_waitq_wake(&pool->rest);
    /* [PL-R2] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
}

/* What has left the queue with a slot: its task. NULL: it has ended without one, and the slot is to be given back,
   which ends a step. */
static sk_task *task_of(skua_pool *pool, sk_worker *w, void *item)
{
    return sk_is_stored(item) ? sk_stored_start(pool, w, sk_stored_of(item)) : (sk_task *)item;
}

static uint32_t push_all(skua_pool *pool, sk_worker *w, uint32_t n)
{
    uint32_t pushed = 0;
    for (uint32_t i = 0; i < n; i++) {
        sk_task *t = task_of(pool, w, w->batch[i]);
        if (sk_likely(t != NULL)) sk_push(w, t);
        pushed += t != NULL;
    }
    return pushed;
}

static bool drop_doomed(skua_pool *pool, sk_worker *w, uint32_t max);

/* Slots for what is in the queue: if there are any, a step has begun. */
static uint32_t take_to_fill(skua_pool *pool, sk_worker *w)
{
    sk_pool_begin_step(pool);
    uint32_t slots = sk_pool_take_slots(pool, w, PUMP_BATCH);
    if (!slots) sk_pool_end_steps(pool, 1);
    return slots;
}

/* They are filled, but for these, with n items of which `unstarted` have no task: ends all steps. */
static void give_rest(skua_pool *pool, sk_worker *w, uint32_t rest, uint32_t unstarted)
{
    if (rest) sk_pool_give_slots(pool, w, rest);
    sk_pool_end_steps(pool, UINT64_C(1) + unstarted);
}

void sk_pool_pump(sk_chore *chore, sk_worker *w)
{
    skua_pool *pool = sk_container_of(chore, skua_pool, pump_chore);
    if (sk_unlikely(pool->backlog.ordered != NULL) && drop_doomed(pool, w, PUMP_BATCH)) {
        sk_push(w, pool->pump);
        sk_announce_later(w, sk_clock_ns());
        return;
    }
    if (!pool->fed && feed_hungry(pool, w)) { /* they come first this time, we the next */
        pool->fed = true;
        sk_push(w, pool->pump);
        sk_announce_later(w, sk_clock_ns());
        return;
    }
    bool dry = sk_backlog_is_empty(&pool->backlog); /* a pool at rest stays so: no slot is taken for nothing */
    bool stands_back = !dry && sk_unlikely(pool->parent != NULL) && gets_in_line(pool, w);
    uint32_t slots = dry || stands_back ? 0 : take_to_fill(pool, w);
    if (dry || slots) pool->fed = false; /* else its turn is still to come */
    uint32_t n = slots ? sk_backlog_pop_many(&pool->backlog, w->batch, slots) : 0;
    if (n == 0) {
        if (dry || slots) wake_submitters(pool, true);
        end_pump(pool, w, slots);
        return;
    }
    uint32_t pushed = push_all(pool, w, n);
    wake_submitters(pool, n < slots);
    /* The tasks above may all have been stolen and ended; but while `pumping` is set release waits. */
    give_rest(pool, w, slots - pushed, n - pushed);
    sk_push(w, pool->pump); /* again after them, or sooner with a thief */
    sk_announce_later(w, sk_clock_ns());
}

void sk_pool_start_some(skua_pool *pool)
{
    uint32_t slots = sk_backlog_is_empty(&pool->backlog) ? 0 : take_to_fill(pool, NULL);
    uint32_t taken = 0, started = 0;
    for (void *item; taken < slots && (item = sk_backlog_pop(&pool->backlog)); taken++) {
        sk_task *t = task_of(pool, NULL, item);
        if (t) sk_ready(NULL, t);
        started += t != NULL;
    }
    if (slots) wake_submitters(pool, taken < slots);
    feed_hungry(pool, NULL);
    if (slots) give_rest(pool, NULL, slots - started, taken - started);
}

/* ---- the end of a task ---- */

/* The tasks that come after the next one were written by another processor: fetch them while this one runs. */
static void prefetch_ahead(skua_pool *pool)
{
    const char *t = (const char *)sk_bounded_peek(&pool->backlog.first, 2);
    if (!t) return;
    __builtin_prefetch(t, 1);
    __builtin_prefetch(t + offsetof(sk_task, sleep), 1);
}

/* The next out of the queue, for a slot that the caller has. NULL: none; in order of deadlines also when it is for
   somebody else to take it out, who looks for the slot. */
static sk_noinline void *pop_in_order(skua_pool *pool, sk_worker *w)
{
    uint32_t idle = 0;
    /* [PL-C20] sequentially consistent; as [PL-C1], which this stands for. */
    if (sk_pool_is_pumping(pool) || !sk_cas_sc(&pool->pumping, &idle, (uint32_t)SK_PUMP_OUT)) return NULL;
    void *item = sk_backlog_pop(&pool->backlog);
    wake_submitters(pool, !item);
    end_pump(pool, w, 0);
    return item;
}

static void *pop_next(skua_pool *pool, sk_worker *w)
{
    if (sk_unlikely(pool->backlog.ordered != NULL)) return pop_in_order(pool, w);
    void *item = sk_backlog_pop(&pool->backlog);
    prefetch_ahead(pool);
    wake_submitters(pool, !item);
    return item;
}

/* The pool is full, not more than that, and nobody else waits for the slot, or for those above that come with it. */
static bool may_hand_on(skua_pool *pool)
{
    if (sk_pool_running(pool) != sk_pool_limit(pool) || has_hungry(pool)) return false;
    for (skua_pool *p = pool->parent; sk_unlikely(p != NULL); p = p->parent)
        if (has_hungry(p) || sk_pool_running(p) > sk_pool_limit(p) || !sk_backlog_is_empty(&p->backlog)) return false;
    return true;
}

static void count_end(skua_pool *pool, sk_end end)
{
    if (end != SK_DONE) {
        sk_pool_begin_step(pool);
        /* [PL-R21] release; pairs with [PL-A20]: who counts the end counts the way out of the queue. */
        sk_add_rel(&pool->ended[end], UINT64_C(1));
    }
    for (skua_pool *p = pool->parent; sk_unlikely(p != NULL); p = p->parent)
        /* [PL-R6] release; pairs with [PL-A14]: who counts the end counts the submission. */
        sk_add_rel(&p->below_ended[end], UINT64_C(1));
}

static sk_noinline sk_task *leave_slowly(skua_pool *pool, sk_worker *w)
{
    uint64_t unstarted = 0;
    if (may_hand_on(pool)) {
        void *item = pop_next(pool, w);
        sk_task *next = item ? task_of(pool, w, item) : NULL;
        unstarted = item && !next;
        if (next && w) return next;
        if (next) {
            sk_ready(w, next);
            return NULL;
        }
    }
    if (sk_unlikely(pool->parent || pool->queueless) || !give_one_of_many(pool, w))
        give_own(pool, w, 1, SK_SLOT_OWN, pool->parent);
    if (sk_unlikely(unstarted)) sk_pool_end_steps(pool, 1);
    return NULL;
}

static sk_always_inline sk_task *leave_now(skua_pool *pool, sk_worker *w)
{
    if (sk_likely(!pool->parent && !pool->queueless && give_one_of_many(pool, w))) return NULL;
    return leave_slowly(pool, w);
}

sk_task *sk_pool_leave(skua_pool *pool, sk_worker *w)
{
    return leave_now(pool, w);
}

void sk_pool_count_end(skua_pool *pool, sk_worker *w, sk_task *t, sk_end end, int result)
{
    if (sk_unlikely(pool->hook)) pool->hook->ended(pool->hook, w, t, end, result);
    count_end(pool, end);
}

sk_noinline sk_task *sk_pool_leave_failed(skua_pool *pool, sk_worker *w)
{
    sk_task *next = leave_now(pool, w);
    sk_pool_end_steps(pool, 1); /* perhaps of a pool that is free by now */
    return next;
}

/* A task of the pool has ended: its slot goes to the next one, or back. */
sk_task *sk_pool_task_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    if (sk_unlikely(t->fn == sk_job_body)) return sk_job_attempt_ended(w, t, end, result);
    skua_pool *pool = sk_container_of(owner, skua_pool, owner);
    if (sk_unlikely(t->fn == sk_stored_body))
        sk_stored_ended(pool, w, t, end, result);
    else
        sk_pool_count_end(pool, w, t, end, result);
    return sk_likely(end == SK_DONE) ? leave_now(pool, w) : sk_pool_leave_failed(pool, w);
}

/* ---- dropping ---- */

/* Beyond the limit: for a task that ends at once. */
static void force_slot(skua_pool *pool)
{
    sk_add_sc(&pool->running, SK_SLOT_OWN); /* [PL-C12] sequentially consistent; as [PL-C2]. */
    for (skua_pool *p = pool->parent; p; p = p->parent)
        sk_add_sc(&p->running, SK_SLOT_BELOW); /* [PL-C15] sequentially consistent; as [PL-C2]. */
}

void sk_pool_take_back(skua_pool *pool, sk_worker *w)
{
    (void)w;
    sk_pool_begin_step(pool);
    force_slot(pool);
    sk_add_rlx(&pool->direct, UINT64_C(1)); /* it leaves the queue as one that never was in it */
    /* [PL-R12] release; pairs with [PL-A22]: the slot before this. */
    sk_add_rel(&pool->again, UINT64_C(1));
    sk_pool_end_steps(pool, 1);
}

/* One that has left the queue, in a slot. */
static void end_dropped(skua_pool *pool, sk_worker *w, void *item)
{
    sk_task *next;
    if (sk_is_stored(item)) {
        sk_stored_end_unstarted(pool, w, sk_stored_of(item), SK_DROPPED, -ESHUTDOWN);
        next = sk_pool_leave_failed(pool, w);
    } else {
        sk_task *t = (sk_task *)item;
        sk_count_unstarted(w, sk_task_runtime(t));
        next = sk_task_end(w, t, SK_DROPPED, -ESHUTDOWN);
    }
    if (next) sk_ready(w, next);
}

bool sk_pool_drop(skua_pool *pool, sk_worker *w, uint32_t level)
{
    sk_pool_begin_step(pool);
    force_slot(pool);
    void *item = sk_bounded_pop(sk_backlog_level(&pool->backlog, level));
    if (item)
        end_dropped(pool, w, item);
    else
        sk_pool_give_slots(pool, w, 1);
    sk_pool_end_steps(pool, 1);
    return item != NULL;
}

/* In order of deadlines, the holder of the baton: up to max of those that are to be dropped. True: there were some. */
static bool drop_doomed(skua_pool *pool, sk_worker *w, uint32_t max)
{
    uint64_t n = sk_backlog_sort_out(&pool->backlog);
    for (uint64_t i = 0; i < n && i < max; i++) {
        sk_pool_begin_step(pool);
        force_slot(pool); /* before it has left the queue */
        end_dropped(pool, w, sk_backlog_pop_doomed(&pool->backlog));
        sk_pool_end_steps(pool, 1);
    }
    if (n) wake_submitters(pool, false);
    return n != 0;
}

void sk_pool_drop_in_order(skua_pool *pool, sk_worker *w)
{
    uint32_t idle = 0;
    sk_backlog_doom(&pool->backlog);
    sk_fence_sc(); /* [PL-F9] full fence; pairs with [PL-F4]: whoever has the baton finds it when he puts it down. */
    /* [PL-C21] sequentially consistent; as [PL-C1]. */
    if (!sk_cas_sc(&pool->pumping, &idle, (uint32_t)SK_PUMP_OUT)) return;
    while (drop_doomed(pool, w, PUMP_BATCH)) {
    }
    end_pump(pool, w, 0);
}

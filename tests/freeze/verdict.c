/*
 * verdict.c: which tasks do not end while a thread stands, and why.
 *
 * A task that has been accepted and has not ended is followed to what it waits
 * for: to a task that the frozen thread runs (then it needs that one), or to a
 * task that waits for nobody.  Where that one is says whether the runtime has
 * lost it: looked up in the queues, the slots of its timers, and the workers.
 * Looking is racy while others run; so a verdict counts only when it stays the
 * same while all other workers sleep, or for long.
 */
#include "freeze.h"

#include <stdio.h>
#include <time.h>

#include "pool/job.h"
#include "pool/storage.h"
#include "runtime/idle.h"
#include "runtime/sched.h"

enum {
    POLL_NS = 50000,
    LOOK_NS = 1000000,          /* what a look counts for at most: this process, too, may have had no processor */
    STABLE_NS = 4000000,        /* unchanged for so long while all others sleep: the monitor's remedies take 2 ms */
    STABLE_BUSY_NS = 400000000, /* and when some other worker is awake */
    OVERDUE_NS = 100000000,     /* far beyond the same */
    STABLE_LOOKS = 10,
    STABLE_NAPS = 3, /* of the monitor meanwhile, which may have had no processor either */
    CHAIN_MAX = 64
};

static sk_task *task_of[FZ_RECORDS];   /* of the live ones */
static sk_task *helper_of[FZ_RECORDS]; /* that of its job, while it has the next attempt's task in its hands */
static bool queued[FZ_RECORDS];
static bool chore_queued; /* a pool's pump is in a queue */
static fz_why why_of[FZ_RECORDS];

static bool is_task_record(const fz_record *r)
{
    return r >= fz_records && r < fz_records + FZ_RECORDS;
}

static size_t number_of(const fz_record *r)
{
    return (size_t)(r - fz_records);
}

/* An attempt of a job, or a helper of one. Its argument is the job, whose memory stays what it is; unless we look just
   when the task is made for something else. */
static bool is_of_job(const sk_task *t)
{
    bool may_be = t->fn == sk_job_body || sk_job_pool_of_owner(sk_task_owner_of(t));
    return may_be && t->arg && !is_task_record(t->arg);
}

static fz_record *arg_of_job(const sk_task *t)
{
    const sk_job *job = t->arg;
    return job->fn == fz_body || job->fn == fz_fail_first ? job->arg : NULL;
}

static bool is_helper(const sk_task *t)
{
    return t->fn != sk_job_body && is_of_job(t);
}

static fz_record *record_of(const sk_task *t)
{
    fz_record *r = !t                        ? NULL
                   : t->fn == fz_body        ? t->arg
                   : t->fn == sk_stored_body ? ((const sk_stored *)t->arg)->arg
                   : is_of_job(t)            ? arg_of_job(t)
                                             : NULL;
    return r && is_task_record(r) ? r : NULL;
}

static uint32_t records_used(void)
{
    uint32_t used = atomic_load(&fz_records_used);
    return used < FZ_RECORDS ? used : FZ_RECORDS;
}

/* ---- looking around ---- */

/* The pages that task objects lie on. They stay what they are; so whatever a racy look at a list finds there may be
   looked into. */
enum { PAGE_SHIFT = 12, PAGES = 1 << 14 };
static uintptr_t page[PAGES];

static uintptr_t *place_of(const void *object)
{
    uintptr_t number = (uintptr_t)object >> PAGE_SHIFT;
    size_t i = number * UINT64_C(0x9e3779b97f4a7c15) >> 50;
    while (page[i] && page[i] != number) i = (i + 1) % PAGES;
    return &page[i];
}

static bool is_task_memory(const void *object)
{
    return *place_of(object) != 0;
}

static void note_live(void *object, void *unused)
{
    sk_task *t = object;
    (void)unused;
    *place_of(object) = (uintptr_t)object >> PAGE_SHIFT;
    unsigned phase = sk_phase_of(atomic_load_explicit(&t->state.word, memory_order_acquire));
    if (phase == SK_FREE || phase == SK_ENDED) return;
    fz_record *r = record_of(t);
    if (r) *(is_helper(t) ? &helper_of[number_of(r)] : &task_of[number_of(r)]) = t;
}

static void note_queued(const sk_task *t)
{
    if (is_task_memory(t) && !t->fn) chore_queued = true;
    fz_record *r = is_task_memory(t) ? record_of(t) : NULL;
    if (r) queued[number_of(r)] = true;
}

static void look_at_queues(void)
{
    for (uint32_t i = 0; i < records_used(); i++) queued[i] = false;
    chore_queued = false;
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) {
        sk_worker *w = sk_load_rlx(&fz_runtime->workers[i]);
        const sk_taskq_buffer *buffer = sk_load_rlx(&w->queue.buffer);
        uint64_t top = sk_load_rlx(&w->queue.top), bottom = sk_load_rlx(&w->queue.bottom);
        for (; (int64_t)(bottom - top) > 0 && bottom - top <= buffer->mask + 1; top++)
            note_queued(sk_load_rlx(sk_taskq_slot(buffer, top)));
        /* While somebody has claimed it, it is in his hands. */
        if (!sk_load_rlx(&w->next_claim.inside) && !sk_load_rlx(&w->next_claim.claimed))
            note_queued(sk_load_rlx(&w->runnext));
    }
    sk_inject_link *link = sk_load_rlx(&fz_runtime->inbox.newest);
    for (int i = 0; i < FZ_RECORDS && is_task_memory(link); i++, link = link->next) note_queued(sk_task_of_link(link));
}

/* The worker that the frozen thread carries or has lent, or NULL. */
static sk_worker *frozen_worker(void)
{
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) {
        sk_worker *w = sk_load_rlx(&fz_runtime->workers[i]);
        sk_local *local = w->local;
        if (local && pthread_equal(local->thread.handle, fz_now.thread)) return w;
    }
    return NULL;
}

/* A thread that is not the frozen one has it on its processor. */
static bool runs_elsewhere(const sk_task *t)
{
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) {
        sk_worker *w = sk_load_rlx(&fz_runtime->workers[i]);
        sk_local *local = w->local;
        if (w->task == t && local && !pthread_equal(local->thread.handle, fz_now.thread)) return true;
    }
    for (sk_local *local = fz_runtime->threads; local; local = local->next)
        if (local->blocked_task == t && !pthread_equal(local->thread.handle, fz_now.thread)) return true;
    return false;
}

/* A job has two tasks for a while: a helper, and the attempt that it has made, until that is on its way. */
static void choose_tasks(void)
{
    for (uint32_t i = 0; i < records_used(); i++) {
        sk_task *t = task_of[i];
        if (helper_of[i] && (!t || (!queued[i] && !runs_elsewhere(t)))) task_of[i] = helper_of[i];
    }
}

static bool monitor_stands(void)
{
    return pthread_equal(fz_now.thread, fz_runtime->monitor->thread.handle);
}

/* By somebody; or nobody carries its worker, and the monitor, which serves it then, is what stands. */
static bool is_claimed(sk_timers *timers)
{
    sk_worker *w = timers ? sk_container_of(timers, sk_worker, timers) : NULL;
    bool vacant = w && (sk_load_rlx(&w->carry) & SK_CARRY) == SK_VACANT;
    if (vacant && monitor_stands()) return true;
    return timers && (sk_load_rlx(&timers->claim.claimed) || sk_load_rlx(&timers->claim.inside));
}

/* A slot that is to be armed late lies in an inbox, which need not be that of its home; or is on its way there; or its
   owner has not been told yet, which whoever has pushed it is about to do. */
static fz_why why_late(sk_timer_slot *slot)
{
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) {
        sk_timers *timers = &((sk_worker *)sk_load_rlx(&fz_runtime->workers[i]))->timers;
        const sk_timer_slot *s = sk_load_rlx(&timers->inbox.head);
        for (int n = 0; n < FZ_RECORDS && is_task_memory(s); n++, s = sk_load_rlx(&s->link)) {
            if (s != slot) continue;
            if (is_claimed(timers)) return FZ_WHEEL;
            return sk_load_rlx(&timers->inbox.due) > sk_tick_ns(sk_slot_tick(sk_slot_look(slot))) ? FZ_HAND : FZ_BUSY;
        }
    }
    return FZ_HAND;
}

static fz_why why_slot(sk_timer_slot *slot)
{
    switch (sk_slot_state(sk_slot_look(slot))) {
    case SK_SLOT_ARMED:
        return is_claimed(sk_load_rlx(&slot->home)) ? FZ_WHEEL : FZ_BUSY;
    case SK_SLOT_LATE:
        return why_late(slot);
    case SK_SLOT_FIRING:
        return FZ_HAND;
    default:
        return FZ_PARKED;
    }
}

/* Parked or delayed: whichever of its timers is held up counts; else it is enough that one is to come. */
static fz_why why_waiting(sk_task *t, const sk_worker *frozen)
{
    fz_why sleep = why_slot(&t->sleep), deadline = t->timed ? why_slot(&t->deadline) : FZ_PARKED;
    if (sleep == FZ_HAND || sleep == FZ_WHEEL) return sleep;
    if (deadline == FZ_HAND || deadline == FZ_WHEEL) return deadline;
    if (sleep == FZ_BUSY || deadline == FZ_BUSY) return FZ_BUSY;
    return frozen && frozen->leaver == t ? FZ_LEAVING : FZ_PARKED;
}

/* It lies in a wheel that only the monitor looks after: the frozen worker's, or one that nobody carries. */
static bool is_left_to_monitor(sk_timer_slot *slot, const sk_worker *frozen)
{
    sk_timers *timers = sk_load_rlx(&slot->home);
    sk_worker *w = timers ? sk_container_of(timers, sk_worker, timers) : NULL;
    return w && (w == frozen || (sk_load_rlx(&w->carry) & SK_CARRY) == SK_VACANT);
}

/* In a wheel, or on its way into one, and should have fired long ago. Of an armed one the node knows when. */
static bool is_overdue(sk_timer_slot *slot, const sk_worker *frozen)
{
    uint64_t word = sk_slot_look(slot), state = sk_slot_state(word);
    if (state != SK_SLOT_ARMED && state != SK_SLOT_LATE) return false;
    uint64_t due = state == SK_SLOT_LATE ? sk_tick_ns(sk_slot_tick(word)) : slot->node.expires;
    return due < fz_clock() - OVERDUE_NS && is_left_to_monitor(slot, frozen);
}

static bool waits_for_wheel(sk_task *t, const sk_worker *frozen)
{
    unsigned phase = t ? sk_phase_of(sk_load_rlx(&t->state.word)) : SK_ACTIVE;
    return (phase == SK_PARKED || phase == SK_DELAYED) &&
           (is_overdue(&t->sleep, frozen) || (t->timed && is_overdue(&t->deadline, frozen)));
}

static bool pool_has_queue(void)
{
    skua_pool_counts counts;
    bool any = false;
    for (skua_pool **p = fz_pools; *p && !any; p++) any = skua_pool_stats(*p, &counts) == 0 && counts.queued > 0;
    return any;
}

/* Perhaps: its pool has a queue. */
static bool is_in_backlog(const sk_task *t)
{
    skua_pool *pool = sk_pool_of_owner(sk_task_owner_of(t));
    return pool && !sk_backlog_is_empty(&pool->backlog);
}

/* What waits for a pool: its pump may be on its way. Or somebody has passed the debt on to the monitor. */
static fz_why why_pool(bool standing)
{
    bool owed = false;
    for (skua_pool **p = fz_pools; *p; p++) owed |= sk_load_rlx(&(*p)->owes) != 0;
    return chore_queued ? FZ_QUEUED : standing && owed && monitor_stands() ? FZ_OWED : FZ_POOL;
}

static fz_why why_alone(fz_record *r, const sk_worker *frozen, bool standing)
{
    if (r == &fz_pool_record) return why_pool(standing);
    if (!is_task_record(r)) return FZ_BUSY; /* a foreign thread that is on its way */
    sk_task *t = task_of[number_of(r)];
    uint32_t flags = atomic_load(&r->flags);
    if (!t && (flags & FZ_STORED) && pool_has_queue()) return why_pool(standing);
    if (!t) /* ended while we looked; or it is a job, whose next task is being made */
        return standing && (flags & (FZ_SURE | FZ_STORED)) ? FZ_HAND : FZ_BUSY;
    unsigned phase = sk_phase_of(sk_load_rlx(&t->state.word));
    if (phase == SK_PARKED && is_of_job(t) && t->fn != sk_job_body)
        return why_pool(standing); /* a further attempt waits for room */
    if (phase == SK_DELAYED && is_of_job(t) && why_slot(&t->sleep) == FZ_PARKED) return FZ_HAND; /* in its maker's */
    if (phase == SK_DELAYED || phase == SK_PARKED) return why_waiting(t, frozen);
    if (queued[number_of(r)]) return FZ_QUEUED;
    if (!standing || runs_elsewhere(t)) return FZ_BUSY;
    if (!(flags & FZ_STARTED) && (r->lane || is_in_backlog(t))) return why_pool(standing);
    return FZ_HAND;
}

/* The frozen thread runs it, is about to, or leaves its stack right now. */
static bool is_own(const fz_record *r, const sk_worker *frozen)
{
    const sk_task *t = is_task_record(r) ? task_of[number_of(r)] : NULL;
    if (!t || queued[number_of(r)] || sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->state.word)) != SK_ACTIVE)
        return false;
    for (const sk_local *local = fz_runtime->threads; local; local = local->next)
        if (local->blocked_task == t && pthread_equal(local->thread.handle, fz_now.thread)) return true;
    return frozen && (frozen->task == t || frozen->leaver == t || frozen->pending == t);
}

/* Parked, or a foreign thread: then it is in no hand and no queue. */
static bool still_waits(const fz_record *r)
{
    if (!is_task_record(r)) return true;
    const sk_task *t = task_of[number_of(r)];
    return t && sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->state.word)) == SK_PARKED;
}

/* It has been woken, or does not wait yet: then where it is itself is what counts. */
static bool is_up(const fz_record *r)
{
    const sk_task *t = is_task_record(r) ? task_of[number_of(r)] : NULL;
    return t && sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->state.word)) == SK_ACTIVE;
}

/* The second look of a park, by the frozen thread, is to come; else somebody is telling it. */
static fz_why why_not_told(const fz_record *r, const sk_worker *frozen)
{
    return frozen && is_task_record(r) && frozen->leaver == task_of[number_of(r)] ? FZ_LEAVING : FZ_TOLD;
}

/* Of the tasks of a lane that have not ended, one is ahead of the others: it has started, or is in a queue. */
static fz_record *ahead_in_lane(const fz_record *r, const sk_worker *frozen)
{
    if (!r->lane || (atomic_load(&r->flags) & FZ_STARTED) || queued[number_of(r)]) return NULL;
    for (uint32_t i = 0; i < records_used(); i++) {
        fz_record *other = &fz_records[i];
        uint32_t flags = atomic_load(&other->flags);
        if (other->lane != r->lane || other == r || !task_of[i] || !(flags & FZ_ACCEPTED) || (flags & FZ_ENDED))
            continue;
        if ((flags & FZ_STARTED) || queued[i] || is_own(other, frozen)) return other;
    }
    return NULL;
}

/* It has ended. Unlike one that no task stands for now. */
static bool is_gone(const fz_record *r)
{
    if (!is_task_record(r) || task_of[number_of(r)]) return false;
    uint32_t flags = atomic_load(&((fz_record *)(uintptr_t)r)->flags);
    return (flags & FZ_ENDED) || !(flags & FZ_ACCEPTED) || !(flags & (FZ_SURE | FZ_STORED));
}

/* Follows what it waits for. *root: the task at the end of that. */
static fz_why why_not_ended(fz_record *r, const sk_worker *frozen, bool standing, fz_record **root)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        *root = r;
        if (standing && (r == fz_now.self || r == fz_now.last_ended || is_own(r, frozen))) return FZ_OWN;
        fz_record *next = NULL;
        if (standing && is_task_record(r) && (next = ahead_in_lane(r, frozen))) {
            r = next;
            continue;
        }
        next = atomic_load(&r->waits_on);
        if (!next || (standing && is_up(r))) break;
        if (is_gone(next) && next != fz_now.last_ended)
            return standing && still_waits(r) ? why_not_told(r, frozen) : why_alone(r, frozen, standing);
        r = next;
    }
    return why_alone(r, frozen, standing);
}

/* ---- the verdict ---- */

/* Between two attempts, which gives its slot back, but by choice. */
static bool has_no_slot(const sk_task *t)
{
    return is_helper(t) && !((const sk_job *)t->arg)->retry.keep_place;
}

/* The task holds a slot of the pool, or of one below it, and has not ended for a reason that is judged by itself. */
static bool holds_up(uint32_t record, const skua_pool *pool)
{
    const sk_task *t = task_of[record];
    fz_why why = why_of[record];
    bool explained = why == FZ_OWN || why == FZ_LEAVING || why == FZ_HAND || why == FZ_WHEEL || why == FZ_OWED;
    if (!t || !explained || has_no_slot(t)) return false;
    const skua_pool *of = sk_pool_of_owner(sk_task_owner_of(t));
    while (of && of != pool) of = of->parent;
    return of != NULL;
}

/* It is full, and somebody has a slot who is held up; or so it is with one above. */
static bool is_kept_full(skua_pool *pool)
{
    for (; pool; pool = pool->parent) {
        if (sk_pool_running(pool) < sk_pool_limit(pool)) continue;
        for (uint32_t i = 0; i < records_used(); i++)
            if (holds_up(i, pool)) return true;
    }
    return false;
}

/* Something waits in it, or before it. */
static bool is_waited_for(skua_pool *pool)
{
    return !sk_backlog_is_empty(&pool->backlog) || sk_load_rlx(&pool->room.threads) || sk_load_rlx(&pool->room.tasks);
}

/* Every pool that is waited for; those too that only their groups or lanes know, by their tasks. */
static bool pools_are_kept_full(void)
{
    bool full = true;
    for (skua_pool **p = fz_pools; *p && full; p++) full = !is_waited_for(*p) || is_kept_full(*p);
    for (uint32_t i = 0; i < records_used() && full; i++) {
        skua_pool *p = task_of[i] ? sk_pool_of_owner(sk_task_owner_of(task_of[i])) : NULL;
        full = !p || !is_waited_for(p) || is_kept_full(p);
    }
    return full;
}

/* Started, though the submission of its batch has not come back: it is to end. */
static bool is_live(uint32_t flags)
{
    return (flags & (FZ_ACCEPTED | FZ_STARTED)) && !(flags & FZ_ENDED);
}

/* The state of all: by reason, each root once. Returns how many wait, which tells one state from the next. */
static uint32_t look_around(bool standing, fz_verdict *v)
{
    static bool counted[FZ_RECORDS], seen[FZ_RECORDS]; /* seen: before the tasks were looked at */
    uint32_t used = records_used(), waiting = 0;
    for (int i = 0; i < FZ_WHYS; i++) v->n[i] = 0;
    v->overdue = 0;
    bool any = !fz_burst_over();
    for (uint32_t i = 0; i < used; i++) {
        uint32_t flags = atomic_load(&fz_records[i].flags);
        seen[i] = is_live(flags);
        any |= seen[i];
        task_of[i] = helper_of[i] = NULL;
        counted[i] = false;
        why_of[i] = FZ_WHYS;
    }
    if (!any) return records_used() != used;
    sk_slab_each(&sk_tasks, note_live, NULL);
    look_at_queues();
    choose_tasks();
    sk_worker *frozen = standing ? frozen_worker() : NULL;
    /* Before the records, so that of a thread that is found done all have been accepted: what a submission that is
       still under way is to begin shows in its submitter only. Tasks come before what they begin by themselves. */
    uint32_t foreign[FZ_FOREIGN_THREADS];
    for (uint32_t i = 0; i < FZ_FOREIGN_THREADS; i++) foreign[i] = atomic_load(&fz_foreign[i].flags);
    for (uint32_t i = 0; i < used + FZ_FOREIGN_THREADS; i++) {
        fz_record *r = i < used ? &fz_records[i] : &fz_foreign[i - used], *root;
        uint32_t flags = i < used ? atomic_load(&r->flags) : foreign[i - used];
        bool waits = i < used ? is_live(flags) && (task_of[i] || !seen[i] || (flags & (FZ_SURE | FZ_STORED)))
                              : flags && !(standing && r == fz_now.self);
        if (!waits) continue;
        waiting++;
        fz_why why = why_not_ended(r, frozen, standing, &root);
        if (i < used) why_of[i] = why;
        if (i >= used && standing && why != FZ_OWN && !fz_foreign_sleeps(r))
            why = FZ_BUSY; /* woken, no processor yet */
        if (is_task_record(root) && counted[number_of(root)]) continue;
        if (is_task_record(root)) counted[number_of(root)] = true;
        v->n[why]++;
        if (why == FZ_BUSY && is_task_record(root)) v->overdue += waits_for_wheel(task_of[number_of(root)], frozen);
    }
    if (records_used() != used) { /* some are new, and whoever has made them may have ended since */
        waiting++;
        v->n[FZ_BUSY]++;
    }
    if (standing && v->n[FZ_POOL] && pools_are_kept_full()) { /* they need those who have the slots */
        v->n[FZ_OWN] += v->n[FZ_POOL];
        v->n[FZ_POOL] = 0;
    }
    return waiting;
}

static bool others_sleep(void)
{
    const sk_worker *frozen = frozen_worker();
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) {
        sk_worker *w = sk_load_rlx(&fz_runtime->workers[i]);
        if (w != frozen && !sk_is_idle(fz_runtime, w) && (sk_load_rlx(&w->carry) & SK_CARRY) != SK_VACANT) return false;
    }
    return true;
}

/* How often the monitor has gone to sleep; it comes round between two of these. */
static uint64_t naps_of_monitor(void)
{
    static long tid;
    static uint64_t of_runtime;
    if (!tid || of_runtime != fz_runtimes) tid = fz_tid_of("skua-monitor");
    of_runtime = fz_runtimes;
    return fz_look_at_thread(tid).sleeps;
}

/* Nothing has changed; what the monitor could do about it, it has had the time for. */
static bool monitor_had_its_turn(uint64_t *naps)
{
    if (monitor_stands() || sk_load_rlx(&fz_runtime->monitor_deep)) return true;
    if (*naps == 0) *naps = naps_of_monitor();
    return naps_of_monitor() >= *naps + STABLE_NAPS;
}

static uint64_t last_ended(void)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < records_used(); i++) {
        uint64_t ended = atomic_load(&fz_records[i].ended_ns);
        if ((atomic_load(&fz_records[i].flags) & FZ_ENDED) && ended > last) last = ended;
    }
    return last;
}

static bool same(const fz_verdict *a, const fz_verdict *b)
{
    bool same = true;
    for (int i = 0; i < FZ_WHYS; i++) same &= a->n[i] == b->n[i];
    return same;
}

/* The frozen thief is in its section, and the monitor has not slept since `naps`: it waits for the grace period. */
static bool monitor_waits_for_thief(uint64_t naps)
{
    const sk_worker *frozen = frozen_worker();
    return frozen && sk_load_rlx((sk_atomic(bool) *)&frozen->robbing) && naps && naps_of_monitor() <= naps + 1;
}

/* It is the remedy for a wheel of the frozen worker's, too, when all others sleep. */
static void owe(fz_verdict *v)
{
    v->n[FZ_OWED] += v->n[FZ_QUEUED] + v->n[FZ_PARKED] + v->n[FZ_POOL] + v->overdue;
    v->n[FZ_BUSY] -= v->overdue;
    v->n[FZ_QUEUED] = v->n[FZ_PARKED] = v->n[FZ_POOL] = 0;
    v->stuck = false;
}

fz_verdict fz_settle(bool standing, uint64_t limit, const fz_verdict *known)
{
    static const struct timespec poll = {0, POLL_NS};
    fz_verdict v, before = {.n = {0}};
    uint64_t seen = fz_clock(), now = 0, since = 0, asleep_since = 0; /* of the time that we looked at */
    uint64_t naps = 0, naps_then = 0;
    bool was_asleep = false;
    uint32_t waiting_before = UINT32_MAX;
    for (unsigned equal = 0;; nanosleep(&poll, NULL), equal++) {
        v = (fz_verdict){.n = {0}};
        uint32_t waiting = look_around(standing, &v);
        bool asleep = others_sleep();
        uint64_t clock = fz_clock();
        now += clock - seen < LOOK_NS ? clock - seen : LOOK_NS;
        seen = clock;
        uint32_t held = v.n[FZ_HAND] + v.n[FZ_WHEEL] + v.n[FZ_POOL] + v.n[FZ_TOLD] + v.n[FZ_LEAVING] + v.n[FZ_OWED];
        uint32_t open = v.n[FZ_BUSY] + v.n[FZ_QUEUED] + v.n[FZ_PARKED];
        if (!waiting || (standing && !held && !open)) break;
        if (waiting != waiting_before || !same(&v, &before)) {
            since = now;
            equal = 0;
        }
        if (!asleep) asleep_since = now;
        if (since == now || asleep != was_asleep) naps = 0;
        was_asleep = asleep;
        waiting_before = waiting;
        before = v;
        uint64_t quiet = now - (since > asleep_since ? since : asleep_since);
        if (standing && !open && known && same(&v, known) && equal && asleep) break;
        bool stable = equal >= STABLE_LOOKS && (quiet > STABLE_NS || now - since > STABLE_BUSY_NS);
        if (standing && !open && stable && monitor_had_its_turn(&naps)) break;
        v.stuck = now > (open > v.n[FZ_BUSY] ? limit : 8 * limit); /* a thread that is at it may want a processor */
        if (standing && naps_then == 0 && now > limit / 2) naps_then = naps_of_monitor();
        if (v.stuck) break;
    }
    if (v.stuck && standing && monitor_waits_for_thief(naps_then)) owe(&v);
    v.last_ended = last_ended();
    return v;
}

/* ---- what is said of a failure ---- */

static void dump_worker(const sk_worker *w)
{
    sk_local *local = w->local;
    fprintf(stderr,
            "  worker %u: carry %llu, idle %d, queue %llu, runnext %p, task %p, quiet %d, retire %d, wheel %u/%u%s\n",
            w->index, (unsigned long long)(sk_load_rlx((sk_atomic(uint64_t) *)&w->carry) & SK_CARRY),
            sk_is_idle(fz_runtime, w), (unsigned long long)sk_taskq_size(&w->queue), (void *)sk_load_rlx(&w->runnext),
            (void *)w->task, sk_load_rlx(&w->quiet_since) != 0, sk_load_rlx(&w->retire),
            sk_load_rlx(&w->timers.claim.inside), sk_load_rlx(&w->timers.claim.claimed),
            local && pthread_equal(local->thread.handle, fz_now.thread) ? ", FROZEN" : "");
}

static void dump_pool(skua_pool *pool)
{
    skua_pool_counts c;
    if (skua_pool_stats(pool, &c)) return;
    fprintf(
        stderr,
        "  pool %p: running %llu of %llu, queued %llu, waiting %llu, pumping %u, hungry %u, owes %u, inside %u, backed "
        "off %llu, again %llu\n",
        (void *)pool, (unsigned long long)sk_pool_running(pool), (unsigned long long)sk_pool_limit(pool),
        (unsigned long long)c.queued, (unsigned long long)c.waiting, sk_load_rlx(&pool->pumping),
        sk_load_rlx(&pool->is_hungry), sk_load_rlx(&pool->owes), sk_load_rlx(&pool->inside),
        (unsigned long long)sk_load_rlx(&pool->backed_off), (unsigned long long)sk_load_rlx(&pool->again));
}

static void dump_unknown(void *object, void *unused)
{
    sk_task *t = object;
    (void)unused;
    unsigned phase = sk_phase_of(sk_load_rlx(&t->state.word));
    if (phase == SK_FREE || phase == SK_ENDED || record_of(t) || !t->fn) return;
    skua_pool *pool = sk_pool_of_owner(sk_task_owner_of(t));
    fprintf(stderr, "  task %p without a record: pool %p, phase %u, sleep %llx\n", (void *)t, (void *)pool, phase,
            (unsigned long long)sk_load_rlx(&t->sleep.word));
}

void fz_dump(bool standing)
{
    static const char *const reason[] = {"own",  "leaving", "hand",   "wheel",  "pool",
                                         "told", "busy",    "queued", "parked", "owed"};
    if (!fz_runtime) return;
    fprintf(stderr, "  inbox %p, searching %u, idle %llx, monitor deep %u napping %u\n",
            (void *)sk_load_rlx(&fz_runtime->inbox.newest), sk_load_rlx(&fz_runtime->searching),
            (unsigned long long)sk_load_rlx(&fz_runtime->idle[0]), sk_load_rlx(&fz_runtime->monitor_deep),
            sk_load_rlx(&fz_runtime->monitor_napping));
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) dump_worker(sk_load_rlx(&fz_runtime->workers[i]));
    for (size_t i = 0; i < FZ_POOLS && fz_pools[i]; i++) dump_pool(fz_pools[i]);
    fz_verdict v;
    look_around(standing, &v);
    sk_worker *frozen = standing ? frozen_worker() : NULL;
    for (uint32_t i = 0, said = 0; i < records_used() && said < 20; i++) {
        fz_record *r = &fz_records[i], *root;
        uint32_t flags = atomic_load(&r->flags);
        if (!is_live(flags)) continue;
        if (!task_of[i]) {
            if (flags & (FZ_SURE | FZ_STORED))
                fprintf(stderr, "  record %u kind %d flags %x: no task\n", i, r->kind, flags);
            continue;
        }
        said++;
        fz_why why = why_not_ended(r, frozen, standing, &root);
        fprintf(stderr, "  task %u kind %d flags %x %s: root %td state %llx sleep %llx deadline %llx\n", i, r->kind,
                flags, reason[why], root - fz_records, (unsigned long long)sk_load_rlx(&task_of[i]->state.word),
                (unsigned long long)sk_load_rlx(&task_of[i]->sleep.word),
                (unsigned long long)sk_load_rlx(&task_of[i]->deadline.word));
    }
    sk_slab_each(&sk_tasks, dump_unknown, NULL);
}

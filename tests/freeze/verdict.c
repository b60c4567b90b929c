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

#include "runtime/idle.h"
#include "runtime/sched.h"

enum {
    POLL_NS = 50000,
    LOOK_NS = 1000000,          /* what a look counts for at most: this process, too, may have had no processor */
    STABLE_NS = 4000000,        /* unchanged for so long while all others sleep: the monitor's remedies take 2 ms */
    STABLE_BUSY_NS = 400000000, /* and when some other worker is awake */
    STABLE_TOLD_NS = 100000000, /* and when some foreign thread may only not have had a processor yet */
    STABLE_LOOKS = 10,
    CHAIN_MAX = 64
};

static sk_task *task_of[FZ_RECORDS]; /* of the live ones */
static bool queued[FZ_RECORDS];

static bool is_task_record(const fz_record *r)
{
    return r >= fz_records && r < fz_records + FZ_RECORDS;
}

static size_t number_of(const fz_record *r)
{
    return (size_t)(r - fz_records);
}

static fz_record *record_of(const sk_task *t)
{
    fz_record *r = t && t->fn == fz_body ? t->arg : NULL;
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
    if (r) task_of[number_of(r)] = t;
}

static void note_queued(const sk_task *t)
{
    fz_record *r = is_task_memory(t) ? record_of(t) : NULL;
    if (r) queued[number_of(r)] = true;
}

static void look_at_queues(void)
{
    for (uint32_t i = 0; i < records_used(); i++) queued[i] = false;
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

/* By somebody; or nobody carries its worker, and the monitor, which serves it then, is what stands. */
static bool is_claimed(sk_timers *timers)
{
    sk_worker *w = timers ? sk_container_of(timers, sk_worker, timers) : NULL;
    bool vacant = w && (sk_load_rlx(&w->carry) & SK_CARRY) == SK_VACANT;
    if (vacant && pthread_equal(fz_now.thread, fz_runtime->monitor->thread.handle)) return true;
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

static bool pool_has_queue(void)
{
    skua_pool_counts counts;
    return skua_pool_stats(fz_pool, &counts) == 0 && counts.queued > 0;
}

static fz_why why_alone(fz_record *r, const sk_worker *frozen, bool standing)
{
    if (r == &fz_pool_record) return FZ_POOL;
    if (!is_task_record(r)) return FZ_BUSY; /* a foreign thread that is on its way */
    sk_task *t = task_of[number_of(r)];
    if (!t) return FZ_BUSY; /* ended while we looked */
    unsigned phase = sk_phase_of(sk_load_rlx(&t->state.word));
    if (phase == SK_DELAYED || phase == SK_PARKED) return why_waiting(t, frozen);
    if (queued[number_of(r)]) return FZ_QUEUED;
    if (!standing || runs_elsewhere(t)) return FZ_BUSY;
    if (sk_task_owner_of(t)->ended && !(atomic_load(&r->flags) & FZ_STARTED) && pool_has_queue()) return FZ_POOL;
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

/* The second look of a park, by the frozen thread, is to come; else somebody is telling it. */
static fz_why why_not_told(const fz_record *r, const sk_worker *frozen)
{
    return frozen && is_task_record(r) && frozen->leaver == task_of[number_of(r)] ? FZ_LEAVING : FZ_TOLD;
}

/* Follows what it waits for. *root: the task at the end of that. */
static fz_why why_not_ended(fz_record *r, const sk_worker *frozen, bool standing, fz_record **root)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        *root = r;
        if (standing && (r == fz_now.self || r == fz_now.last_ended || is_own(r, frozen))) return FZ_OWN;
        fz_record *next = atomic_load(&r->waits_on);
        if (!next) break;
        if (is_task_record(next) && !task_of[number_of(next)] && next != fz_now.last_ended) /* that has ended */
            return standing && still_waits(r) ? why_not_told(r, frozen) : why_alone(r, frozen, standing);
        r = next;
    }
    return why_alone(r, frozen, standing);
}

/* ---- the verdict ---- */

/* The state of all: by reason, each root once. Returns how many wait, which tells one state from the next. */
static uint32_t look_around(bool standing, fz_verdict *v)
{
    static bool counted[FZ_RECORDS];
    uint32_t used = records_used(), waiting = 0;
    for (int i = 0; i < FZ_WHYS; i++) v->n[i] = 0;
    bool any = !fz_burst_over();
    for (uint32_t i = 0; i < used; i++) {
        uint32_t flags = atomic_load(&fz_records[i].flags);
        any |= (flags & FZ_ACCEPTED) && !(flags & FZ_ENDED);
        task_of[i] = NULL;
        counted[i] = false;
    }
    if (!any) return 0;
    sk_slab_each(&sk_tasks, note_live, NULL);
    look_at_queues();
    sk_worker *frozen = standing ? frozen_worker() : NULL;
    for (uint32_t i = 0; i < used + FZ_FOREIGN_THREADS; i++) {
        fz_record *r = i < used ? &fz_records[i] : &fz_foreign[i - used], *root;
        uint32_t flags = atomic_load(&r->flags);
        bool waits = i < used ? (flags & FZ_ACCEPTED) && !(flags & FZ_ENDED) && task_of[i]
                              : flags && !(standing && r == fz_now.self);
        if (!waits) continue;
        waiting++;
        fz_why why = why_not_ended(r, frozen, standing, &root);
        if (is_task_record(root) && counted[number_of(root)]) continue;
        if (is_task_record(root)) counted[number_of(root)] = true;
        v->n[why]++;
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

fz_verdict fz_settle(bool standing, uint64_t limit, const fz_verdict *known)
{
    static const struct timespec poll = {0, POLL_NS};
    fz_verdict v, before = {.n = {0}};
    uint64_t seen = fz_clock(), now = 0, since = 0, asleep_since = 0; /* of the time that we looked at */
    uint32_t waiting_before = UINT32_MAX;
    for (unsigned equal = 0;; nanosleep(&poll, NULL), equal++) {
        v = (fz_verdict){.n = {0}};
        uint32_t waiting = look_around(standing, &v);
        bool asleep = others_sleep();
        uint64_t clock = fz_clock();
        now += clock - seen < LOOK_NS ? clock - seen : LOOK_NS;
        seen = clock;
        uint32_t held = v.n[FZ_HAND] + v.n[FZ_WHEEL] + v.n[FZ_POOL] + v.n[FZ_TOLD] + v.n[FZ_LEAVING];
        uint32_t open = v.n[FZ_BUSY] + v.n[FZ_QUEUED] + v.n[FZ_PARKED];
        if (!waiting || (standing && !held && !open)) break;
        if (waiting != waiting_before || !same(&v, &before)) {
            since = now;
            equal = 0;
        }
        if (!asleep) asleep_since = now;
        waiting_before = waiting;
        before = v;
        uint64_t quiet = now - (since > asleep_since ? since : asleep_since);
        if (standing && !open && known && same(&v, known) && equal && asleep) break;
        uint64_t enough = v.n[FZ_TOLD] ? STABLE_TOLD_NS : STABLE_NS;
        if (standing && !open && equal >= STABLE_LOOKS && (quiet > enough || now - since > STABLE_BUSY_NS)) break;
        v.stuck = now > limit;
        if (v.stuck) break;
    }
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

void fz_dump(bool standing)
{
    static const char *const reason[] = {"own", "leaving", "hand", "wheel", "pool", "told", "busy", "queued", "parked"};
    if (!fz_runtime) return;
    fprintf(stderr, "  inbox %p, searching %u, idle %llx, monitor deep %u napping %u\n",
            (void *)sk_load_rlx(&fz_runtime->inbox.newest), sk_load_rlx(&fz_runtime->searching),
            (unsigned long long)sk_load_rlx(&fz_runtime->idle[0]), sk_load_rlx(&fz_runtime->monitor_deep),
            sk_load_rlx(&fz_runtime->monitor_napping));
    for (uint32_t i = 0; i < sk_workers_made(fz_runtime); i++) dump_worker(sk_load_rlx(&fz_runtime->workers[i]));
    fz_verdict v;
    look_around(standing, &v);
    sk_worker *frozen = standing ? frozen_worker() : NULL;
    for (uint32_t i = 0, said = 0; i < records_used() && said < 20; i++) {
        fz_record *r = &fz_records[i], *root;
        uint32_t flags = atomic_load(&r->flags);
        if (!(flags & FZ_ACCEPTED) || (flags & FZ_ENDED) || !task_of[i]) continue;
        said++;
        fz_why why = why_not_ended(r, frozen, standing, &root);
        fprintf(stderr, "  task %u kind %d flags %x %s: root %td state %llx sleep %llx deadline %llx\n", i, r->kind,
                flags, reason[why], root - fz_records, (unsigned long long)sk_load_rlx(&task_of[i]->state.word),
                (unsigned long long)sk_load_rlx(&task_of[i]->sleep.word),
                (unsigned long long)sk_load_rlx(&task_of[i]->deadline.word));
    }
}

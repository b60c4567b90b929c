/*
 * select.c: see skua/select.h; the protocol is in README.md.
 *
 * First each case is looked at without a lock, in random order, and the first that
 * seems ready is tried under the lock of its channel alone: a case that is carried
 * out was ready, whatever the others were.  That none is ready can only be said of
 * one moment: so, after that, all locks are taken, in the order of their addresses,
 * and with them held the cases are looked at again, and the waiters put into the
 * queues.  One sleeper stands behind all of them; who claims it takes his case.
 */
#include "skua/select.h"

#include <errno.h>

#include "base/heap.h"
#include "base/rng.h"
#include "os/clock.h"
#include "os/fork.h"
#include "sync/chan.h"

enum { CASES_MAX = 1 << 28 }; /* their outcomes fit a word */

/* One select under way. */
typedef struct selection {
    skua_case *cases;
    size_t n;
    sk_waiter *waiters; /* one a case */
    uint32_t *order;    /* cases with a channel, by its address */
    size_t open;        /* how many these are */
    uint64_t draw;      /* random */
    sk_sleeper sleeper;
} selection;

static bool is_null(const skua_case *c)
{
    return !c->chan;
}

static bool may_proceed(const skua_case *c)
{
    return c->direction == SKUA_SEND ? sk_chan_may_send(c->chan) : sk_chan_may_recv(c->chan);
}

static int do_case(const skua_case *c, sk_waiter **who)
{
    return c->direction == SKUA_SEND ? sk_chan_send_now(c->chan, c->element, who)
                                     : sk_chan_recv_now(c->chan, c->element, who);
}

static sk_waiters *queue_of(const skua_case *c)
{
    return c->direction == SKUA_SEND ? &c->chan->senders : &c->chan->receivers;
}

static int check_cases(const skua_case *cases, size_t n)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if ((n && !cases) || n > CASES_MAX) return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        const skua_case *c = &cases[i];
        if (is_null(c)) continue;
        int error = sk_chan_check(c->chan);
        if (error) return error;
        if (c->direction != SKUA_RECV && c->direction != SKUA_SEND) return -EINVAL;
        if (c->direction == SKUA_SEND && !c->element && c->chan->size) return -EINVAL;
    }
    return 0;
}

/* ---- random order ---- */

/* Any thread: the record of the one that calls need not exist. */
static uint64_t random_draw(void)
{
    static sk_atomic(uint64_t) foreign;
    sk_worker *w = sk_worker_self();
    if (sk_likely(w != NULL)) return sk_rng_next(&w->rng);
    uint64_t draw = sk_add_rlx(&foreign, UINT64_C(0x9e3779b97f4a7c15));
    return (draw ^ draw >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* A number below n, each with the same probability but for n / 2^32. */
static uint32_t below(uint64_t *draw, uint32_t n)
{
    uint32_t got = (uint32_t)((*draw >> 32) * n >> 32);
    *draw = *draw * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return got;
}

/* ---- without waiting ---- */

/* The case, if it is ready under the lock of its channel. */
static bool try_case(skua_case *c)
{
    sk_waiter *who;
    sk_lock_take(&c->chan->lock);
    int done = do_case(c, &who);
    sk_lock_drop(&c->chan->lock);
    if (who) sk_wake_next(who);
    c->result = done;
    return done != SK_WOULD_WAIT;
}

/* Of those that seem ready, one at random. Returns its index; -EAGAIN: none is. */
static int try_some(skua_case *cases, size_t n, uint64_t *draw)
{
    for (;;) {
        size_t ready = 0, chosen = 0;
        for (size_t i = 0; i < n; i++)
            if (!is_null(&cases[i]) && may_proceed(&cases[i]) && below(draw, (uint32_t)++ready) == 0) chosen = i;
        if (!ready) return -EAGAIN;
        if (try_case(&cases[chosen])) return (int)chosen;
        if (ready == 1) return -EAGAIN;
    }
}

/* ---- all locks ---- */

static bool comes_before(const selection *s, uint32_t a, uint32_t b)
{
    return (uintptr_t)s->cases[a].chan < (uintptr_t)s->cases[b].chan;
}

static void sift_down(const selection *s, uint32_t *heap, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(s, heap[child], heap[child + 1])) child++;
        if (!comes_before(s, heap[at], heap[child])) return;
        uint32_t other = heap[at];
        heap[at] = heap[child];
        heap[child] = other;
    }
}

/* Heapsort: no memory, and no more than n log n steps for the many cases that somebody may have. */
static void put_in_order(selection *s)
{
    s->open = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!is_null(&s->cases[i])) s->order[s->open++] = (uint32_t)i;
    for (size_t i = s->open / 2; i-- > 0;) sift_down(s, s->order, i, s->open);
    for (size_t end = s->open; end-- > 1;) {
        uint32_t last = s->order[end];
        s->order[end] = s->order[0];
        s->order[0] = last;
        sift_down(s, s->order, 0, end);
    }
}

/* The channel of the i-th in order, unless the one before was the same. */
static skua_chan *channel_at(const selection *s, size_t i)
{
    skua_chan *c = s->cases[s->order[i]].chan;
    return i && s->cases[s->order[i - 1]].chan == c ? NULL : c;
}

static void lock_all(const selection *s)
{
    for (size_t i = 0; i < s->open; i++) {
        skua_chan *c = channel_at(s, i);
        if (c) sk_lock_take(&c->lock);
    }
}

static void unlock_all(const selection *s)
{
    for (size_t i = s->open; i-- > 0;) {
        skua_chan *c = channel_at(s, i);
        if (c) sk_lock_drop(&c->lock);
    }
}

/* With all locks: carries out one of those that are ready. -EAGAIN: none is. */
static int choose(selection *s, sk_waiter **who)
{
    size_t ready = 0, chosen = 0;
    *who = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (!is_null(&s->cases[i]) && may_proceed(&s->cases[i]) && below(&s->draw, (uint32_t)++ready) == 0) chosen = i;
    if (!ready) return -EAGAIN;
    int done = do_case(&s->cases[chosen], who);
    if (done != SK_WOULD_WAIT) {
        s->cases[chosen].result = done;
        return (int)chosen;
    }
    /* It seemed ready for the sake of somebody who has given up; he is out of the queue now. */
    return choose(s, who);
}

static void queue_up(selection *s)
{
    for (size_t k = 0; k < s->open; k++) {
        size_t i = s->order[k];
        s->waiters[i] =
            (sk_waiter){.sleeper = &s->sleeper, .place = s->cases[i].element, .outcome = sk_case_outcome(i)};
        sk_waiters_add(queue_of(&s->cases[i]), &s->waiters[i]);
    }
}

/* Takes out of the queues what still stands there. The sleeper cannot be claimed any more. The one that was claimed
   (negative: none) does not stand there, and its channel may have been released by whoever has claimed it. */
static void leave_queues(const selection *s, int chosen)
{
    for (size_t k = 0; k < s->open; k++) {
        size_t i = s->order[k];
        skua_chan *c = s->cases[i].chan;
        if ((int)i == chosen) continue;
        sk_chan_leave(c, queue_of(&s->cases[i]), &s->waiters[i]);
    }
}

/* The case that the sleeper was claimed for. */
static int claimed_case(const selection *s)
{
    uint32_t outcome = sk_sleeper_outcome(&s->sleeper);
    size_t i = (outcome - sk_case_outcome(0)) / 2;
    skua_case *c = &s->cases[i];
    c->result = outcome == sk_case_outcome(i) ? 0 : -EPIPE;
    return (int)i;
}

/* deadline 0: does not wait. */
static int select_with(selection *s, uint64_t deadline)
{
    sk_waiter *who;
    int error = deadline ? sk_sleeper_init(&s->sleeper) : 0;
    if (error) return error;
    put_in_order(s);
    lock_all(s);
    int chosen = choose(s, &who);
    if (chosen < 0 && deadline) queue_up(s);
    unlock_all(s);
    if (who) sk_wake_next(who);
    if (chosen >= 0 || !deadline) return chosen;
    error = sk_sleeper_sleep(&s->sleeper, deadline, "select", s->open ? s->cases[s->order[0]].chan : NULL);
    if (!error) chosen = claimed_case(s);
    leave_queues(s, chosen);
    return error ? error : chosen;
}

/* ---- the public calls ---- */

static sk_noinline int select_many(selection *s, uint64_t deadline)
{
    s->waiters = (sk_waiter *)sk_heap_zalloc(s->n, sizeof *s->waiters + sizeof *s->order);
    if (!s->waiters) return -ENOMEM;
    s->order = (uint32_t *)(void *)(s->waiters + s->n);
    int chosen = select_with(s, deadline);
    sk_heap_free(s->waiters);
    return chosen;
}

static sk_noinline int select_few(selection *s, uint64_t deadline)
{
    sk_waiter waiters[SKUA_SELECT_CASES];
    uint32_t order[SKUA_SELECT_CASES];
    s->waiters = waiters;
    s->order = order;
    return select_with(s, deadline);
}

static int select_within(skua_case *cases, size_t n, uint64_t timeout)
{
    int error = check_cases(cases, n);
    if (sk_unlikely(error)) return error;
    selection s = {.cases = cases, .n = n, .draw = random_draw()};
    int chosen = try_some(cases, n, &s.draw);
    if (sk_likely(chosen >= 0)) return chosen;
    uint64_t deadline = timeout ? sk_chan_deadline(timeout) : 0;
    return n <= SKUA_SELECT_CASES ? select_few(&s, deadline) : select_many(&s, deadline);
}

int skua_select(skua_case *cases, size_t n)
{
    return select_within(cases, n, SKUA_FOREVER);
}

int skua_select_for(skua_case *cases, size_t n, uint64_t timeout)
{
    int chosen = select_within(cases, n, timeout);
    return chosen == -EAGAIN ? -ETIMEDOUT : chosen;
}

int skua_select_try(skua_case *cases, size_t n)
{
    return select_within(cases, n, 0);
}

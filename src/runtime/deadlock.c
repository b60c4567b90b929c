/*
 * deadlock.c: noticing that nothing will ever happen again; skua/deadlock.h.
 *
 * Whoever could wake a parked task is a thread of the process, or a timer.  So
 * there is a deadlock when
 *
 *   1. every runtime is quiet: its workers sleep, nothing is queued, no timer is
 *      armed, no task is in a blocking call, its monitor is in its deep sleep, or
 *      looks for this before it; and
 *   2. every other thread of the process sleeps in this library, without a time
 *      limit, and has not been woken: the futex that it sleeps on, which a waker
 *      changes first, is as it was.  At least one does; and that there is no other
 *      thread, the kernel says (os/threads.h); and
 *   3. all that was so 10 ms ago or more, at the look before this one, and nothing
 *      has run since: no worker has dispatched a task, no thread has gone to sleep
 *      or got up (the stamp).
 *
 * A look takes one thing after the other.  3 makes a state of that: had a thread
 * been up between the two looks, it would have to have been asleep at both, in the
 * same sleep: it was not up.  Who is on his way down, or has been woken and has
 * not noticed, is seen as such, by 1 or 2.
 *
 * A monitor looks when it goes to its deep sleep, if its runtime has parked tasks.
 * What it does next:
 *
 *   the stamp is new         looks again after 10 ms, whatever happens meanwhile:
 *                            so threads that are up and about wake it that often
 *   it is not, all at rest   tells
 *   it is not, somebody up   watches: the last to come to rest rings it
 *
 *   watcher   watches [DD-F1], then looks at all
 *   others    say that they sleep, or have become quiet, [DD-F2], then look for
 *             watchers; who rings one takes its watch off: once is enough
 *
 * so one of the two sees the other.  A monitor rings others once for what its
 * workers have run: two monitors do not keep each other up.
 *
 * The end of a thread rings nobody: its destructors do, if it has a record, but
 * then it is still there.  Nor do a sleep with a limit and a monitor's chore.  So
 * who watches looks again of its own accord, too: after 100 ms, 1 s, and every 10 s
 * then.  Not, if there are no sleeping threads at all: then one must come to rest
 * before this is the end, and rings.
 *
 * All of it is lock-free, so that a stopped thread holds up nobody: a thread says
 * that it sleeps in its own record, and records and runtimes are type-stable.
 */
#include "runtime/deadlock.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/threads.h"
#include "runtime/idle.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

#define AGAIN_NS UINT64_C(10000000)
#define AGAIN_AT_MOST_NS UINT64_C(10000000000)

sk_atomic(uint32_t) sk_deadlock_strangers;

/* How many runtimes watch. */
static sk_atomic(uint32_t) watchers;

/* ---- threads of the program ---- */

/* True: it did. */
static bool watch_no_more(skua_runtime *rt)
{
    if (!sk_load_rlx(&rt->deadlock.watches) || !sk_xchg_rlx(&rt->deadlock.watches, 0u)) return false;
    sk_sub_rlx(&watchers, 1u);
    return true;
}

static void ring_watcher(skua_runtime *rt, void *except)
{
    if (rt != except && watch_no_more(rt)) sk_monitor_ring(rt);
}

static void ring_watchers(skua_runtime *except)
{
    /* [DD-F2] full fence; pairs with [DD-F1]: see the head of this file. */
    sk_fence_sc();
    if (sk_unlikely(sk_load_rlx(&watchers))) sk_runtime_each(ring_watcher, except);
}

static void put_down(sk_asleep *a, sk_atomic(uint32_t) * word, uint32_t seen, const char *what, const void *about)
{
    sk_store_rlx(&a->word, (void *)word);
    sk_store_rlx(&a->seen, seen);
    sk_store_rlx(&a->what, what);
    sk_store_rlx(&a->about, about);
    /* [DD-R1] release; pairs with [DD-A1]: whoever sees that we sleep sees on what. */
    sk_store_rel(&a->times, sk_load_rlx(&a->times) | 1);
}

static void get_up(sk_asleep *a)
{
    uint64_t times = sk_load_rlx(&a->times);
    /* [DD-R2] release; pairs with [DD-A1]: the next sleep is another number. */
    if (times & 1) sk_store_rel(&a->times, times + 1);
}

static bool is_down(const sk_asleep *a, const void *word, uint32_t seen)
{
    return (sk_load_rlx((sk_atomic(uint64_t) *)&a->times) & 1) && sk_load_rlx((sk_atomic(void *) *)&a->word) == word &&
           sk_load_rlx((sk_atomic(uint32_t) *)&a->seen) == seen;
}

void sk_thread_sleeps(sk_atomic(uint32_t) * word, uint32_t seen, const char *what, const void *about)
{
    sk_local *local = sk_local_get();
    if (!local || local->worker || is_down(&local->asleep, word, seen)) return;
    get_up(&local->asleep);
    put_down(&local->asleep, word, seen, what, about);
    ring_watchers(NULL);
}

void sk_thread_sleeps_end(void)
{
    sk_local *local = sk_local_self();
    if (local) get_up(&local->asleep);
}

/* As if it had slept once more: the stamp is new, so monitors look again in a moment, when it is gone. */
void sk_thread_ends(sk_asleep *its)
{
    sk_store_rlx(&its->times, (sk_load_rlx(&its->times) | 1) + 1);
    ring_watchers(NULL);
}

int sk_thread_sleep(sk_atomic(uint32_t) * word, uint32_t seen, uint64_t deadline, const char *what, const void *about)
{
    if (deadline != SK_NEVER) return sk_futex_wait(word, seen, deadline);
    sk_thread_sleeps(word, seen, what, about);
    int error = sk_futex_wait(word, seen, deadline);
    sk_thread_sleeps_end();
    return error;
}

/* ---- a look ---- */

typedef struct look {
    uint64_t stamp;       /* of counters that only grow, one after the other */
    unsigned ours;        /* threads of all runtimes */
    unsigned threads;     /* others that sleep */
    bool quiet, all_down; /* 1 and 2 above, as far as we have looked */
    bool at_rest;         /* 1 and 2 */
} look;

static void add_to_stamp(look *l, uint64_t count)
{
    l->stamp = (l->stamp + count) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t dispatches(skua_runtime *rt)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++)
        sum += sk_load_rlx(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->count.dispatches);
    return sum;
}

static bool nothing_left(skua_runtime *rt)
{
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        if (sk_load_rlx(&w->runnext) || sk_timers_next(&w->timers) != SK_NEVER) return false;
    }
    /* What a monitor has taken out to do, it says before it takes it; should we miss that, a later look does not. */
    return !sk_anything_queued(rt) && sk_inject_is_empty(&rt->owing) && !sk_load_rlx(&rt->deadlock.paying);
}

static size_t parked_tasks(skua_runtime *rt, bool *running)
{
    skua_stats stats;
    *running = skua_runtime_stats(rt, &stats, NULL, 0) < 0 || stats.running;
    return *running ? 0 : stats.parked;
}

static bool is_quiet(skua_runtime *rt)
{
    bool running = true;
    /* A monitor that is up may hold a timer that has fired, which is in no wheel and no queue then. */
    if (!sk_load_rlx(&rt->monitor_deep) || !sk_all_idle(rt) || !nothing_left(rt)) return false;
    (void)parked_tasks(rt, &running);
    return !running;
}

static void look_at_runtime(skua_runtime *rt, void *ctx)
{
    look *l = (look *)ctx;
    if (!l->quiet || sk_load_rlx(&rt->magic) != SK_RUNTIME_LIVE || !sk_runtime_enter(rt)) return;
    l->quiet = is_quiet(rt);
    l->ours += sk_load_rlx(&rt->thread_count) + 1;
    add_to_stamp(l, dispatches(rt));
    sk_runtime_exit(rt);
}

static void look_at_thread(sk_local *local, void *ctx)
{
    look *l = (look *)ctx;
    sk_asleep *a = &local->asleep;
    /* [DD-A1] acquire; pairs with [DD-R1] and [DD-R2]. */
    uint64_t times = sk_load_acq(&a->times);
    add_to_stamp(l, times);
    if (!(times & 1)) return;
    l->threads++;
    if (sk_load_rlx((sk_atomic(uint32_t) *)sk_load_rlx(&a->word)) != sk_load_rlx(&a->seen)) l->all_down = false;
}

static void take_look(look *l)
{
    *l = (look){.quiet = true, .all_down = true};
    sk_runtime_each(look_at_runtime, l);
    if (!l->quiet) return;
    sk_local_each(look_at_thread, l);
    l->at_rest = l->all_down && l->threads &&
                 sk_threads_of_process() == l->ours + l->threads + sk_load_rlx(&sk_deadlock_strangers);
}

/* ---- telling ---- */

typedef struct list {
    skua_deadlock_report report;
    skua_deadlock_waiter waiter[SKUA_DEADLOCK_LISTED];
} list;

static skua_deadlock_waiter *room_for_one(list *l)
{
    return l->report.listed < SKUA_DEADLOCK_LISTED ? &l->waiter[l->report.listed++] : NULL;
}

/* NULL: it has no name that the dynamic linker knows. */
static const char *name_of(skua_fn *fn)
{
    Dl_info symbol;
    const void *at = (const void *)(uintptr_t)fn;
    return dladdr(at, &symbol) && symbol.dli_saddr == at ? symbol.dli_sname : NULL;
}

static void list_task(void *object, void *ctx)
{
    list *l = (list *)ctx;
    sk_task *t = (sk_task *)object;
    /* [DD-A2] acquire; pairs with [TS-R2]: a parked task is seen with what it waits for. That lies on its stack, which
       it does not leave: nothing runs. */
    if (sk_phase_of(sk_load_acq(&t->state.word)) != SK_PARKED || sk_task_runtime(t) != l->report.runtime) return;
    l->report.tasks++;
    skua_deadlock_waiter *who = room_for_one(l);
    if (!who) return;
    const sk_wait *wait = sk_load_rlx(&t->waits);
    bool told = wait && wait->what;
    const sk_task_owner *owner = sk_task_owner_of(t);
    skua_fn *fn = owner->fn_of ? owner->fn_of(t) : t->fn;
    *who = (skua_deadlock_waiter){{t, sk_load_rlx(&t->state.serial)},
                                  fn,
                                  name_of(fn),
                                  told ? wait->what : "something",
                                  told ? (wait->about ? wait->about : wait->object) : NULL};
}

static void list_thread(sk_local *local, void *ctx)
{
    list *l = (list *)ctx;
    /* [DD-A3] acquire; pairs with [DD-R1]. */
    if (!(sk_load_acq(&local->asleep.times) & 1)) return;
    l->report.threads++;
    skua_deadlock_waiter *who = room_for_one(l);
    if (who)
        *who = (skua_deadlock_waiter){.waits = sk_load_rlx(&local->asleep.what),
                                      .object = sk_load_rlx(&local->asleep.about)};
}

/* False: it is none after all. */
static bool tell(skua_runtime *rt, size_t parked)
{
    list l = {.report = {.runtime = rt}};
    l.report.waiter = l.waiter;
    sk_slab_each(&sk_tasks, list_task, &l);
    sk_local_each(list_thread, &l);
    if (l.report.tasks != parked) return false; /* somebody is up */
    rt->deadlock.told = dispatches(rt) + 1;
    sk_lock_take(&rt->deadlock.lock);
    skua_deadlock_handler *handler = rt->deadlock.handler;
    void *arg = rt->deadlock.arg;
    sk_lock_drop(&rt->deadlock.lock);
    sk_store_rlx(&rt->deadlock.paying, 1u); /* for the others: the handler may wake somebody */
    if (handler) {
        handler(&l.report, arg);
    } else if (!rt->deadlock.printed) {
        rt->deadlock.printed = true;
        skua_deadlock_print(&l.report, NULL);
    }
    sk_store_rlx(&rt->deadlock.paying, 0u);
    return true;
}

static void print_waiter(const skua_deadlock_waiter *who)
{
    char line[256], name[96];
    int n;
    if (who->task.ref) {
        snprintf(name, sizeof name, "%s%s", who->name ? " " : "", who->name ? who->name : "");
        n = snprintf(line, sizeof line, "skua:   task %p%s (%p) waits for %s", who->task.ref, name,
                     (void *)(uintptr_t)who->fn, who->waits);
    } else {
        n = snprintf(line, sizeof line, "skua:   a thread waits for %s", who->waits);
    }
    if (who->object && n < (int)sizeof line) snprintf(line + n, sizeof line - (size_t)n, " %p", who->object);
    n = (int)strlen(line); /* the zero gives way to the end of the line */
    line[n] = '\n';
    ssize_t written = write(STDERR_FILENO, line, (size_t)n + 1);
    (void)written;
}

void skua_deadlock_print(const skua_deadlock_report *report, void *unused)
{
    (void)unused;
    if (!report) return;
    char line[128];
    int n = snprintf(line, sizeof line, "skua: deadlock: %zu task%s, and nothing can wake %s\n", report->tasks,
                     report->tasks == 1 ? " waits" : "s wait", report->tasks == 1 ? "it" : "them");
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    for (size_t i = 0; i < report->listed; i++) print_waiter(&report->waiter[i]);
    size_t more = report->tasks + report->threads - report->listed;
    n = snprintf(line, sizeof line, "skua:   and %zu more\n", more);
    if (more) written = write(STDERR_FILENO, line, (size_t)n);
    (void)written;
}

/* ---- the monitor ---- */

static void watch(skua_runtime *rt)
{
    if (!sk_load_rlx(&rt->deadlock.watches)) {
        sk_add_rlx(&watchers, 1u);
        sk_store_rlx(&rt->deadlock.watches, 1u);
    }
    /* [DD-F1] full fence; pairs with [DD-F2]: see the head of this file. */
    sk_fence_sc();
}

void sk_deadlock_up(skua_runtime *rt)
{
    (void)watch_no_more(rt);
}

/* Those that have been waiting for this runtime to come to rest. */
static void ring_others(skua_runtime *rt, uint64_t run)
{
    if (rt->deadlock.rang == run + 1) return;
    rt->deadlock.rang = run + 1;
    ring_watchers(rt);
}

static bool is_new(const skua_runtime *rt, const look *l)
{
    return l->quiet && l->stamp != rt->deadlock.stamp;
}

static uint64_t begin_anew(skua_runtime *rt, const look *l, uint64_t now)
{
    (void)watch_no_more(rt);
    rt->deadlock.stamp = l->stamp;
    rt->deadlock.end_since = l->at_rest ? now : 0;
    rt->deadlock.pause = AGAIN_NS;
    return now + AGAIN_NS;
}

/* Somebody is up. */
static uint64_t go_on_watching(skua_runtime *rt, const look *l, uint64_t now)
{
    rt->deadlock.end_since = 0;
    if (l->quiet && !l->threads) return SK_NEVER;
    rt->deadlock.pause = sk_min(sk_max(10 * rt->deadlock.pause, AGAIN_NS), AGAIN_AT_MOST_NS);
    return now + rt->deadlock.pause;
}

/* All are at rest, as they were since the stamp was new, or have been since a thread has ended. */
static uint64_t perhaps_tell(skua_runtime *rt, const look *l, uint64_t now, size_t parked)
{
    if (!rt->deadlock.end_since) rt->deadlock.end_since = now;
    if (now < rt->deadlock.end_since + AGAIN_NS) return rt->deadlock.end_since + AGAIN_NS;
    return tell(rt, parked) ? SK_NEVER : go_on_watching(rt, l, now);
}

uint64_t sk_deadlock_look(skua_runtime *rt)
{
    bool running;
    look l;
    uint64_t run = dispatches(rt);
    size_t parked = parked_tasks(rt, &running);
    ring_others(rt, run);
    if (!parked || rt->deadlock.told == run + 1) return SK_NEVER;
    take_look(&l);
    if (!l.at_rest && !is_new(rt, &l)) {
        watch(rt);
        take_look(&l);
    }
    uint64_t now = sk_clock_ns();
    if (is_new(rt, &l)) return begin_anew(rt, &l, now);
    return l.at_rest ? perhaps_tell(rt, &l, now, parked) : go_on_watching(rt, &l, now);
}

int skua_runtime_on_deadlock(skua_runtime *rt, skua_deadlock_handler *handler, void *arg)
{
    if (sk_forked()) return -ECHILD;
    if (!rt) rt = skua_runtime_current();
    if (!rt) rt = skua_runtime_default();
    if (!rt) return -ENOMEM;
    int error = sk_runtime_check(rt);
    if (error) return error;
    sk_lock_take(&rt->deadlock.lock);
    rt->deadlock.handler = handler;
    rt->deadlock.arg = arg;
    sk_lock_drop(&rt->deadlock.lock);
    return 0;
}

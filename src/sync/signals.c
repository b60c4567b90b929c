/*
 * signals.c: signals in channels; skua/signals.h.
 *
 * One thread for all channels waits for the signals of all (os/signal.h) and
 * sends each to the channels that want it.  It is started by the first open, and
 * ended by the last close.
 *
 *   gate   a mutex: one open or close at a time.  Held while files are made and
 *          a thread is started or joined
 *   lock   guards the list of subscriptions, which the thread walks: it sends
 *          without waiting, so the lock is held for a moment
 *
 * A thread's mask is its own: a signal that comes between an open's sigmask and the
 * signalfd is pending meanwhile, and is read from it.  At close the order is the
 * other way round, and what is still pending then takes its old action.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/heap.h"
#include "os/fork.h"
#include "os/lock.h"
#include "os/signal.h"
#include "os/thread.h"
#include "runtime/local.h"
#include "skua/mutex.h"
#include "skua/signals.h"

typedef struct subscription subscription;
struct subscription {
    subscription *next;    /* lock, gate */
    skua_chan *chan;       /* I */
    sk_signal_set set;     /* I: what it wants */
    sk_signal_set blocked; /* gate: of these, what an open has blocked */
    pthread_t opener;      /* I: in that thread */
};

static skua_mutex gate = SKUA_MUTEX_INIT;
static sk_lock lock;
static subscription *all;     /* lock, gate */
static sk_signal_files files; /* gate; the thread reads */
static sk_thread receiver;    /* gate */

/* ---- the thread ---- */

static void spread(int number)
{
    sk_lock_take(&lock);
    for (const subscription *s = all; s; s = s->next)
        if (s->set & sk_signal_bit(number)) (void)skua_chan_try_send(s->chan, &number); /* full: dropped */
    sk_lock_drop(&lock);
}

static void receive(void *unused)
{
    (void)unused;
    int number;
    while ((number = sk_signal_wait(&files))) spread(number);
}

/* ---- with the gate ---- */

static sk_signal_set all_wanted(void)
{
    sk_signal_set set = 0;
    for (const subscription *s = all; s; s = s->next) set |= s->set;
    return set;
}

static int start(const subscription *first)
{
    int error = sk_signal_open(&files, first->set);
    if (error) return error;
    error = sk_thread_start(&receiver, 0, "skua-signals", receive, NULL);
    if (error) sk_signal_close(&files);
    return error;
}

static int add(subscription *s)
{
    int error = all ? 0 : start(s);
    if (error) return error;
    sk_lock_take(&lock);
    s->next = all;
    all = s;
    sk_lock_drop(&lock);
    sk_signal_change(&files, all_wanted());
    return 0;
}

static subscription *take_out(const skua_chan *chan)
{
    subscription **place = &all;
    while (*place && (*place)->chan != chan) place = &(*place)->next;
    subscription *s = *place;
    if (!s) return NULL;
    sk_lock_take(&lock);
    *place = s->next;
    sk_lock_drop(&lock);
    return s;
}

/* One has been taken out: fewer signals, or none and no thread. */
static void shrink(void)
{
    if (all) {
        sk_signal_change(&files, all_wanted());
        return;
    }
    sk_signal_ring(&files);
    (void)sk_thread_join(&receiver);
    sk_signal_close(&files);
}

/* What was blocked for it is let through again, in the thread that has opened it: but for what another channel wants,
   which, if it was opened there too, has blocked it from now on. */
static void unblock(const subscription *gone)
{
    if (!pthread_equal(gone->opener, pthread_self())) return;
    for (subscription *s = all; s; s = s->next)
        if (pthread_equal(s->opener, gone->opener)) s->blocked |= gone->blocked & s->set;
    sk_signal_unblock(gone->blocked & ~all_wanted());
}

/* ---- the public calls ---- */

/* 0: one of them is not fit. */
static sk_signal_set set_of(const int *signals, size_t n)
{
    sk_signal_set set = 0;
    for (size_t i = 0; i < n; i++) {
        if (!sk_signal_is_fit(signals[i])) return 0;
        set |= sk_signal_bit(signals[i]);
    }
    return set;
}

static int new_subscription(subscription **out, sk_signal_set set)
{
    subscription *s = (subscription *)sk_heap_alloc(sizeof *s);
    if (!s) return -ENOMEM;
    memset(s, 0, sizeof *s);
    s->set = set;
    int error = skua_chan_create(&s->chan, sizeof(int), SKUA_SIGNALS_ROOM);
    if (error)
        sk_heap_free(s);
    else
        *out = s;
    return error;
}

static int open_it(subscription *s)
{
    int error = skua_mutex_lock(&gate);
    if (error) return error;
    s->opener = pthread_self();
    s->blocked = sk_signal_block(s->set);
    error = add(s);
    if (error) sk_signal_unblock(s->blocked);
    (void)skua_mutex_unlock(&gate);
    return error;
}

int skua_signals_open(skua_chan **out, const int *signals, size_t n)
{
    subscription *s;
    if (sk_forked()) return -ECHILD;
    sk_signal_set set = out && signals ? set_of(signals, n) : 0;
    if (!set) return -EINVAL;
    int error = sk_process_init();
    if (!error) error = new_subscription(&s, set);
    if (error) return error;
    error = open_it(s);
    if (!error) {
        *out = s->chan;
        return 0;
    }
    (void)skua_chan_release(s->chan);
    sk_heap_free(s);
    return error;
}

int skua_signals_close(skua_chan *chan)
{
    if (!chan) return -EINVAL;
    if (sk_forked()) return -ECHILD;
    int error = skua_mutex_lock(&gate);
    if (error) return error;
    subscription *s = take_out(chan);
    if (s) {
        shrink();
        unblock(s);
    }
    (void)skua_mutex_unlock(&gate);
    if (!s) return -EINVAL;
    (void)skua_chan_close(chan);
    (void)skua_chan_release(chan);
    sk_heap_free(s);
    return 0;
}

/*
 * cycle.c: see cycle.h.
 *
 * Two tables say who holds which lock, and who waits for which.  A place is one
 * word, by a hash of the key: the value's address, and in the bits that an address
 * leaves free a tag of the key, which together with the place tells it from others.
 * A place that two keys want has the later one; the earlier one is forgotten: a cycle
 * may be missed, none is made up.
 *
 * They are written and read relaxed, so that they order nothing in a build that is to
 * show what the locks themselves do not order.  Who waits writes that down, and then
 * goes round, with a full fence between: of those who close a cycle at the same
 * time, the one whose fence is the last sees all the others.  What it sees may be
 * half a moment old; so a cycle counts only when it is found twice, the same: those
 * who have really come to a standstill stand still.
 */
#include "sync/cycle.h"

#include <errno.h>

#include "base/atomic.h"
#include "os/fork.h"

#ifdef SK_CYCLES

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/giveup.h"

/* ---- who holds, who waits ---- */

enum { PLACES = 1 << 12, TAG_BITS = 16, ADDRESS_BITS = 48 };
typedef sk_atomic(uint64_t) table[PLACES];
static table holder_of; /* a lock's */
static table wanted_by; /* a task's or a thread's: the lock */

static uint64_t hash(const void *key)
{
    return (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
}

static sk_atomic(uint64_t) * place_of(table in, const void *key)
{
    return &in[hash(key) >> (64 - 12)];
}

static uint64_t tag_of(const void *key)
{
    return hash(key) << 12 >> ADDRESS_BITS << ADDRESS_BITS;
}

static void put(table in, const void *key, const void *value)
{
    sk_store_rlx(place_of(in, key), tag_of(key) | (uint64_t)(uintptr_t)value);
}

static const void *get(table in, const void *key)
{
    uint64_t word = sk_load_rlx(place_of(in, key));
    bool its = word >> ADDRESS_BITS << ADDRESS_BITS == tag_of(key);
    return its ? (const void *)(uintptr_t)(word & ((UINT64_C(1) << ADDRESS_BITS) - 1)) : NULL;
}

static void take_out(table in, const void *key)
{
    if (get(in, key)) sk_store_rlx(place_of(in, key), UINT64_C(0));
}

/* A thread without a record must not get one here: that takes memory. */
static const void *self(void)
{
    sk_task *t;
    return sk_own_task(&t) ? (const void *)(uintptr_t)pthread_self() : t;
}

/* ---- going round ---- */

/* From who, who waits for this lock: the links of the cycle, or 0: it does not come round to them. */
static size_t go_round(const void *who, const void *lock, skua_cycle_link *link)
{
    const void *at = who;
    for (size_t n = 0; n < SKUA_CYCLE_MAX && at && lock; n++) {
        link[n].who = at;
        link[n].wants = lock;
        at = get(holder_of, lock);
        if (at == who) return n + 1;
        lock = at ? get(wanted_by, at) : NULL;
    }
    return 0;
}

/* The same cycle, whoever closes it, again and again with short timeouts: one report. */
static bool is_new(const skua_cycle_link *link, size_t n)
{
    static sk_atomic(uint64_t) reported[256];
    uint64_t sum = 0, none = 0;
    for (size_t i = 0; i < n; i++) sum += hash(link[i].wants) ^ (hash(link[i].who) >> 7);
    sk_atomic(uint64_t) *place = &reported[sum >> 56];
    if (sk_load_rlx(place) == sum) return false;
    return sk_cas_rlx(place, &none, sum) || sk_xchg_rlx(place, sum) != sum;
}

/* ---- telling ---- */

static skua_cycle_handler *chosen;
static void *chosen_arg;

static void print(const skua_cycle_link *link, size_t n, void *unused)
{
    (void)unused;
    char text[128 * (SKUA_CYCLE_MAX + 1)];
    int used = snprintf(text, sizeof text, "skua: %zu who hold locks wait for each other:\n", n);
    for (size_t i = 0; i < n; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "skua:   %p waits for lock %p, held by %p\n",
                         link[i].who, link[i].wants, link[(i + 1) % n].who);
    ssize_t written = write(STDERR_FILENO, text, (size_t)used);
    (void)written;
}

int skua_on_lock_cycle(skua_cycle_handler *handler, void *arg)
{
    if (sk_forked()) return -ECHILD;
    chosen = handler;
    chosen_arg = arg;
    return 0;
}

/* ---- the calls of the locks ---- */

void sk_cycle_holds(const void *lock)
{
    put(holder_of, lock, self());
}

void sk_cycle_drops(const void *lock)
{
    take_out(holder_of, lock);
}

void sk_cycle_waits(const void *lock)
{
    const void *who = self();
    skua_cycle_link link[SKUA_CYCLE_MAX], again[SKUA_CYCLE_MAX];
    put(wanted_by, who, lock);
    sk_fence_sc(); /* [CY-F1] full fence; pairs with itself: what we hold and want is known before we look at others. */
    size_t n = go_round(who, lock, link);
    if (!n || go_round(who, lock, again) != n || memcmp(link, again, n * sizeof *link) != 0) return;
    if (is_new(link, n)) (chosen ? chosen : print)(link, n, chosen_arg);
}

void sk_cycle_waits_no_more(void)
{
    take_out(wanted_by, self());
}

#else

int skua_on_lock_cycle(skua_cycle_handler *handler, void *arg)
{
    (void)handler, (void)arg;
    return sk_forked() ? -ECHILD : -ENOSYS;
}

#endif

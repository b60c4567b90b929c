/* chan.c: see chan.h and skua/chan.h; the protocol is in README.md. */
#include "sync/chan.h"

#include <errno.h>

#include "base/heap.h"
#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "skua/fault.h"

/* ---- elements ---- */

static char *place_at(const skua_chan *c, uint32_t index)
{
    return c->buffer + (size_t)index * c->size;
}

static void copy(const skua_chan *c, void *to, const void *from)
{
    if (!to || !c->size) return;
    if (sk_likely(c->size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, c->size);
}

/* There is room. */
static void put(skua_chan *c, const void *element)
{
    uint32_t count = sk_load_rlx(&c->count), at = c->head + count;
    /* As an unsigned number it may have gone over 2^32: then it is less than head. */
    if (at >= c->capacity || at < c->head) at -= c->capacity;
    copy(c, place_at(c, at), element);
    sk_store_rlx(&c->count, count + 1);
}

/* There is one. */
static void take(skua_chan *c, void *element)
{
    copy(c, element, place_at(c, c->head));
    c->head = c->head + 1 == c->capacity ? 0 : c->head + 1;
    sk_store_rlx(&c->count, sk_load_rlx(&c->count) - 1);
}

/* ---- under the lock ---- */

/* Whoever was taken out of a queue too late to be claimed comes once more, to leave it, and finds the channel: it has a
   use of it until then. */
static void keep_for(skua_chan *c, uint32_t late)
{
    sk_store_rlx(&c->leaving, sk_load_rlx(&c->leaving) + late);
    sk_add_rlx(&c->users, late);
}

static sk_always_inline sk_waiter *claim_first(skua_chan *c, sk_waiters *q)
{
    uint32_t late = 0;
    sk_waiter *waiter = sk_waiters_claim(q, &late);
    if (sk_unlikely(late)) keep_for(c, late);
    return waiter;
}

static sk_always_inline int send_now(skua_chan *c, const void *element, sk_waiter **who)
{
    *who = NULL;
    if (sk_unlikely(sk_load_rlx(&c->closed))) return -EPIPE;
    if (sk_waiters_first(&c->receivers) && (*who = claim_first(c, &c->receivers))) {
        copy(c, (*who)->place, element);
        return 0;
    }
    if (sk_load_rlx(&c->count) == c->capacity) return SK_WOULD_WAIT;
    put(c, element);
    return 0;
}

/* The first who waits to send takes part in a receive: when there was an element, it was full, and his is the
   youngest; else there is no buffer. */
static sk_always_inline bool recv_from_waiting(skua_chan *c, void *element, bool empty, sk_waiter **who)
{
    *who = claim_first(c, &c->senders);
    if (!*who) return false;
    if (empty)
        copy(c, element, (*who)->place);
    else
        put(c, (*who)->place);
    return true;
}

static sk_always_inline int recv_now(skua_chan *c, void *element, sk_waiter **who)
{
    bool empty = sk_load_rlx(&c->count) == 0, closed = sk_load_rlx(&c->closed) != 0;
    *who = NULL;
    if (!empty) take(c, element);
    /* Those who still wait to send when it is closed are the closer's. */
    if (sk_waiters_first(&c->senders) && !closed && recv_from_waiting(c, element, empty, who)) return 0;
    if (!empty) return 0;
    if (!closed) return SK_WOULD_WAIT;
    if (element) memset(element, 0, c->size);
    return -EPIPE;
}

int sk_chan_send_now(skua_chan *c, const void *element, sk_waiter **who)
{
    return send_now(c, element, who);
}

int sk_chan_recv_now(skua_chan *c, void *element, sk_waiter **who)
{
    return recv_now(c, element, who);
}

/* ---- waiting ---- */

/* All of these are made twice, to send and to receive: `sends` is known where they are called. */

static sk_always_inline int do_now(skua_chan *c, void *element, bool sends, sk_waiter **who)
{
    return sends ? send_now(c, element, who) : recv_now(c, element, who);
}

static sk_always_inline sk_waiters *queue_of(skua_chan *c, bool sends)
{
    return sends ? &c->senders : &c->receivers;
}

static sk_always_inline int wait_for(skua_chan *c, void *element, bool sends, uint64_t deadline)
{
    sk_sleeper sleeper;
    sk_waiter waiter = {NULL, NULL, &sleeper, element, sk_case_outcome(0), false, false}, *who;
    int error = sk_sleeper_init(&sleeper);
    if (sk_unlikely(error)) return error;
    sk_lock_take(&c->lock);
    int done = do_now(c, element, sends, &who);
    if (done == SK_WOULD_WAIT) sk_waiters_add(queue_of(c, sends), &waiter);
    sk_lock_drop(&c->lock);
    if (who) sk_wake_next(who);
    if (done != SK_WOULD_WAIT) return done;
    error = sk_sleeper_sleep(&sleeper, deadline, sends ? "chan send" : "chan receive", c);
    if (sk_unlikely(error)) {
        sk_chan_leave(c, queue_of(c, sends), &waiter);
        return error;
    }
    /* The channel is not touched any more: who has sent, received or closed may have released it. */
    return sk_sleeper_outcome(&sleeper) == sk_case_outcome(0) ? 0 : -EPIPE;
}

static sk_noinline int wait_to_send(skua_chan *c, void *element, uint64_t deadline)
{
    return wait_for(c, element, true, deadline);
}

static sk_noinline int wait_to_recv(skua_chan *c, void *element, uint64_t deadline)
{
    return wait_for(c, element, false, deadline);
}

int sk_chan_check(const skua_chan *c)
{
    if (sk_unlikely(!c)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
#ifdef SK_DEBUG
    if (c->magic != SK_CHAN_LIVE) return -EBADF;
#endif
    return 0;
}

/* 0, -EPIPE, SK_WOULD_WAIT, or an error. */
static sk_always_inline int attempt(skua_chan *c, void *element, bool sends)
{
    int error = sk_chan_check(c);
    if (sk_unlikely(error)) return error;
    if (sends && sk_unlikely(!element) && c->size) return -EINVAL;
    if (!(sends ? sk_chan_may_send(c) : sk_chan_may_recv(c))) return SK_WOULD_WAIT;
    sk_waiter *who;
    sk_lock_take(&c->lock);
    int done = do_now(c, element, sends, &who);
    sk_lock_drop(&c->lock);
    if (who) sk_wake_next(who);
    return done;
}

static void *to_send(const void *element)
{
    return (void *)(uintptr_t)element; /* it is not written to */
}

int skua_chan_send(skua_chan *c, const void *element)
{
    int done = attempt(c, to_send(element), true);
    return done == SK_WOULD_WAIT ? wait_to_send(c, to_send(element), SK_NEVER) : done;
}

int skua_chan_send_for(skua_chan *c, const void *element, uint64_t timeout)
{
    int done = attempt(c, to_send(element), true);
    if (done != SK_WOULD_WAIT) return done;
    return timeout ? wait_to_send(c, to_send(element), sk_chan_deadline(timeout)) : -ETIMEDOUT;
}

int skua_chan_try_send(skua_chan *c, const void *element)
{
    int done = attempt(c, to_send(element), true);
    return done == SK_WOULD_WAIT ? -EAGAIN : done;
}

int skua_chan_recv(skua_chan *c, void *element)
{
    int done = attempt(c, element, false);
    return done == SK_WOULD_WAIT ? wait_to_recv(c, element, SK_NEVER) : done;
}

int skua_chan_recv_for(skua_chan *c, void *element, uint64_t timeout)
{
    int done = attempt(c, element, false);
    if (done != SK_WOULD_WAIT) return done;
    return timeout ? wait_to_recv(c, element, sk_chan_deadline(timeout)) : -ETIMEDOUT;
}

int skua_chan_try_recv(skua_chan *c, void *element)
{
    int done = attempt(c, element, false);
    return done == SK_WOULD_WAIT ? -EAGAIN : done;
}

/* ---- making and freeing ---- */

static sk_lazy_slab chans = SK_LAZY_SLAB(skua_chan, senders);

static void free_chan(skua_chan *c)
{
    if (c->gone) {
        c->gone(c);
        return;
    }
    if (c->buffer != c->inside) sk_heap_free(c->buffer);
    sk_cached_free(&chans, SK_CACHED_CHANS, c);
}

void sk_chan_init(skua_chan *c, size_t size, uint32_t capacity, void (*gone)(skua_chan *c))
{
    memset((void *)c, 0, sizeof *c);
    c->size = size;
    c->capacity = capacity;
    c->buffer = c->inside;
    c->gone = gone;
    c->magic = SK_CHAN_LIVE;
    sk_store_rlx(&c->users, 1u);
}

static int create(skua_chan **out, size_t size, size_t capacity)
{
    if (!out) return -EINVAL;
    if (sk_forked()) return -ECHILD;
    if (capacity >= UINT32_MAX || (size && capacity > (size_t)PTRDIFF_MAX / size)) return -EOVERFLOW;
    skua_chan *c = (skua_chan *)sk_cached_alloc(&chans, SK_CACHED_CHANS);
    if (!c) return -ENOMEM;
    sk_chan_init(c, size, (uint32_t)capacity, NULL);
    if (size * capacity > sizeof c->inside) c->buffer = (char *)sk_heap_alloc(size * capacity);
    if (!c->buffer) {
        c->buffer = c->inside;
        free_chan(c);
        return -ENOMEM;
    }
    *out = c;
    return 0;
}

int skua_chan_create(skua_chan **out, size_t element_size, size_t capacity)
{
    return element_size ? create(out, element_size, capacity) : -EINVAL;
}

int skua_chan_create_signal(skua_chan **out, size_t capacity)
{
    return create(out, 0, capacity);
}

int skua_chan_retain(skua_chan *c)
{
    int error = sk_chan_check(c);
    if (!error) sk_add_rlx(&c->users, 1u);
    return error;
}

/* Whether one of so many users is the last but for those who leave, and somebody waits. */
static bool leaves_waiters(skua_chan *c, uint32_t users)
{
    sk_lock_take(&c->lock);
    bool waits = sk_waiters_first(&c->receivers) || sk_waiters_first(&c->senders);
    bool last = users == 1 + sk_load_rlx(&c->leaving);
    sk_lock_drop(&c->lock);
    return waits && last;
}

static void nobody_has(skua_chan *c)
{
    c->magic = SK_CHAN_FREED;
    free_chan(c);
}

void sk_chan_leave(skua_chan *c, sk_waiters *q, sk_waiter *waiter)
{
    uint32_t users = 0;
    sk_lock_take(&c->lock);
    if (sk_unlikely(!waiter->queued)) {
        sk_store_rlx(&c->leaving, sk_load_rlx(&c->leaving) - 1);
        /* [CH-R2] acquire-release; pairs with [CH-R1]. */
        users = sk_sub_ar(&c->users, 1u);
    }
    sk_waiters_remove(q, waiter);
    sk_lock_drop(&c->lock);
    if (users == 1) nobody_has(c);
}

int skua_chan_release(skua_chan *c)
{
    int error = sk_chan_check(c);
    if (error) return error;
    uint32_t users = sk_load_rlx(&c->users);
    do {
        if ((users == 1 || sk_load_rlx(&c->leaving)) && leaves_waiters(c, users)) return -EBUSY;
        /* [CH-R1] acquire-release; pairs with itself and [CH-R2]: who frees it comes after all that the others did with
         * it. */
    } while (!sk_cas_ar(&c->users, &users, users - 1));
    if (users == 1) nobody_has(c);
    return 0;
}

/* ---- closing ---- */

enum { AT_ONCE = 64 }; /* claimed with one hold of the lock */

/* Under the lock: claims some of those who wait, and puts them on the chain. Nobody comes any more. */
static sk_waiter *claim_some(skua_chan *c, sk_waiters *q, sk_waiter *chain)
{
    sk_waiter *waiter;
    for (int n = 0; n < AT_ONCE && (waiter = sk_waiters_first(q)) != NULL; n++) {
        waiter->outcome |= 1;
        if (!sk_waiter_claim(q, waiter)) {
            keep_for(c, 1);
            continue;
        }
        if (q == &c->receivers && waiter->place) memset(waiter->place, 0, c->size);
        waiter->next = chain;
        chain = waiter;
    }
    return chain;
}

static void wake_chain(sk_waiter *chain)
{
    for (sk_waiter *waiter; (waiter = chain) != NULL;) {
        chain = waiter->next;
        sk_wake(waiter);
    }
}

int skua_chan_close(skua_chan *c)
{
    int error = skua_chan_retain(c); /* whoever sees that it is closed may release it */
    if (error) return error;
    sk_lock_take(&c->lock);
    bool closed = sk_load_rlx(&c->closed) != 0, waits = true;
    sk_store_rlx(&c->closed, 1u);
    while (waits) {
        sk_waiter *chain = claim_some(c, &c->senders, claim_some(c, &c->receivers, NULL));
        waits = sk_waiters_first(&c->senders) || sk_waiters_first(&c->receivers);
        sk_lock_drop(&c->lock);
        wake_chain(chain);
        if (waits) sk_lock_take(&c->lock);
    }
    (void)skua_chan_release(c);
    return closed ? -EALREADY : 0;
}

/* ---- looking ---- */

size_t skua_chan_len(const skua_chan *c)
{
    return c ? sk_load_rlx((sk_atomic(uint32_t) *)&c->count) : 0;
}

size_t skua_chan_cap(const skua_chan *c)
{
    return c ? c->capacity : 0;
}

int skua_chan_is_closed(const skua_chan *c)
{
    return c && sk_load_rlx((sk_atomic(uint32_t) *)&c->closed);
}

/* ---- ranging ---- */

enum { EACH_INSIDE = 256 }; /* bytes of an element that lies on the stack */

static int each(skua_chan *c, int (*fn)(void *element, void *arg), void *element, void *arg)
{
    for (;;) {
        int error = skua_chan_recv(c, element);
        if (error) return error == -EPIPE ? 0 : error;
        int stop = fn(element, arg);
        if (stop) return stop;
    }
}

static int free_element(void *element)
{
    sk_heap_free(element);
    return 0;
}

int skua_chan_each(skua_chan *c, int (*fn)(void *element, void *arg), void *arg)
{
    int error = sk_chan_check(c);
    if (error || !fn) return error ? error : -EINVAL;
    SK_ALIGNED(16) char inside[EACH_INSIDE];
    if (c->size <= sizeof inside) return each(c, fn, inside, arg);
    void *element = sk_heap_alloc(c->size);
    if (!element) return -ENOMEM;
    skua_deferred in_any_case; /* fn may give up */
    bool deferred = skua_defer(&in_any_case, free_element, element) == 0;
    int result = each(c, fn, element, arg);
    if (deferred) (void)skua_undefer(&in_any_case);
    sk_heap_free(element);
    return result;
}

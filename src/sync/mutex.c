/* mutex.c: see mutex.h; the protocol is in README.md. */
#include "sync/mutex.h"

#include <errno.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/sched.h"
#include "runtime/shield.h"
#include "sync/cycle.h"

enum { WAITING = 0, WOKEN = 1, HANDED = 2, ABANDONED = 3 }; /* a node's word */

/* The mutex's word: the newest node on the stack, and these. */
#define LOCKED UINT64_C(1)
#define COMING UINT64_C(2)
#define MARKS (LOCKED | COMING)

/* Who has waited this long is handed the mutex; not so for tests that need a slow machine to be no different. */
#ifndef SK_MUTEX_FAIR_NS
#define A_MILLISECOND UINT64_C(1000000)
#ifdef SK_FAULTS
uint64_t sk_mutex_fair_ns = A_MILLISECOND;
#define SK_MUTEX_FAIR_NS sk_mutex_fair_ns
#else
#define SK_MUTEX_FAIR_NS A_MILLISECOND
#endif
#endif

#ifdef SK_MODEL
enum { SPINS = 0, SKIPS = 0 };
#else
enum {
    SPINS = 30, /* a microsecond or less: what a park and a wake-up cost */
    SKIPS = 7
};
#endif

struct sk_mutex_node {
    SK_MUTEX_FIELD(sk_mutex_node *) next;  /* holder: of its queue; and link of the slab's free list */
    SK_MUTEX_FIELD(sk_mutex_node *) below; /* I once pushed: of the stack */
    sk_mutex *mutex;                       /* I */
    SK_MUTEX_FIELD(sk_task *) task;        /* I once pushed; NULL: a thread */
    SK_MUTEX_FIELD(uint64_t) generation;   /* I once pushed: the park to end */
    SK_MUTEX_FIELD(uint64_t) since;        /* I: when the wait began */
    SK_MUTEX_FIELD(uint64_t) looked;       /* holder: when it last looked at the clock for it */
    sk_atomic(uint32_t) word;
    bool pushed;                  /* waiter */
    SK_MUTEX_FIELD(uint8_t) skip; /* holder, I while not in the queue: how many unlocks need no look at the clock */
    SK_MUTEX_FIELD(bool) front; /* I once pushed: it has been woken before; before that: it is the one who is coming */
};

#ifndef SK_MODEL
_Static_assert(sizeof(sk_mutex) == sizeof(skua_mutex), "what the public header promises");
_Static_assert(sizeof(sk_mutex_node) <= SK_CACHE_LINE, "a line each");
#endif

/* ---- nodes ---- */

static sk_lazy_slab nodes = SK_LAZY_SLAB(sk_mutex_node, next);

static sk_mutex_node *new_node(sk_mutex *m, uint64_t now)
{
    sk_mutex_node *node = (sk_mutex_node *)sk_lazy_slab_alloc(&nodes);
    if (!node) return NULL;
    node->mutex = m;
    node->since = node->looked = now;
    node->skip = 0;
    node->front = false;
    return node;
}

static void free_node(sk_mutex_node *node)
{
    sk_lazy_slab_free(&nodes, node);
}

static sk_mutex_node *stack_of(uint64_t word)
{
    return (sk_mutex_node *)(uintptr_t)(word & ~MARKS);
}

static uint64_t word_of(sk_mutex_node *newest, uint64_t marks)
{
    return (uint64_t)(uintptr_t)newest | marks;
}

/* ---- locking ---- */

bool sk_mutex_try(sk_mutex *m)
{
    uint64_t w = sk_load_rlx(&m->word);
    while (!(w & LOCKED)) {
        /* [MX-A1] acquire; pairs with [MX-R1]: we see what the holder before us did, in its own data and in the
           queue. */
        if (!sk_cas_acq(&m->word, &w, w | LOCKED)) continue;
        sk_cycle_holds(m);
        return true;
    }
    return false;
}

/* A waiter that stands in no queue: takes the mutex if it is free. If not, and `leave`, it is coming no more. */
static bool take(sk_mutex_node *node, bool leave)
{
    sk_mutex *m = node->mutex;
    uint64_t mine = node->front ? COMING : 0, w = sk_load_rlx(&m->word);
    for (;;) {
        bool is_free = !(w & LOCKED);
        if (!is_free && !(leave && mine)) return false;
        /* [MX-A3] acquire; pairs with [MX-R1], as [MX-A1]. When it only leaves, nothing is ordered: the holder of this
           moment finds the mark gone when it clears its own. */
        if (sk_cas_acq(&m->word, &w, (w & ~mine) | LOCKED)) return is_free;
    }
}

/* Puts the node on the stack; false: the mutex is not locked. */
static bool push(sk_mutex_node *node)
{
    sk_mutex *m = node->mutex;
    uint64_t mine = node->front ? COMING : 0, w = sk_load_rlx(&m->word);
    while (w & LOCKED) {
        node->below = stack_of(w);
        /* [MX-R2] release; pairs with [MX-A2]: the node's contents. */
        if (sk_cas_rel(&m->word, &w, word_of(node, w & MARKS & ~mine))) return true;
    }
    return false;
}

/* ---- waiting ---- */

static bool publish(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    sk_mutex_node *node = (sk_mutex_node *)wait->object;
    node->task = t;
    node->generation = generation;
    node->pushed = true; /* before it is: nobody but the task looks at it, and that does not run before this returns */
    if (push(node)) return true;
    node->pushed = false;
    return false;
}

/* The second look. Should the task have run on meanwhile, and the node serve another wait, the wake that follows fails
   by its generation. */
static bool happened(const sk_wait *wait, const sk_task *t)
{
    (void)t;
    /* [MX-A4] sequentially consistent; pairs with [MX-C1]: see park.c. */
    uint32_t word = sk_load_sc(&((sk_mutex_node *)wait->object)->word);
    return word == WOKEN || word == HANDED;
}

/* 0: woken, or the mutex was found free; or why the wait has ended. */
static int sleep_as_task(sk_worker *w, sk_mutex_node *node, uint64_t deadline)
{
    sk_wait wait = {publish, happened, node, 0, "mutex", node->mutex};
    return sk_why_error(sk_park(w, &wait, deadline));
}

static int sleep_as_thread(sk_mutex_node *node, uint64_t deadline)
{
    node->task = NULL;
    node->generation = 0;
    node->pushed = push(node);
    if (!node->pushed) return 0;
    /* [MX-A5] acquire; pairs with [MX-C1]: a mutex that was handed over comes with what its holder did. */
    while (sk_load_acq(&node->word) == WAITING)
        if (sk_thread_sleep(&node->word, WAITING, deadline, "mutex", node->mutex) == -ETIMEDOUT) return -ETIMEDOUT;
    return 0;
}

/* Takes the node off the stack, if it is on top: so that polling leaves nothing behind. */
static bool withdraw(sk_mutex_node *node)
{
    uint64_t w = sk_load_rlx(&node->mutex->word);
    while (stack_of(w) == node)
        /* [MX-C4] release; pairs with [MX-A2]. What lies below has not changed, since nodes leave only from the top or
           all at once. */
        if (sk_cas_rel(&node->mutex->word, &w, word_of(node->below, w & MARKS))) return true;
    return false;
}

typedef enum outcome { GOT_IT, GO_ON, GIVE_UP, LEFT } outcome; /* LEFT: gives up, and the node is somebody else's */

/* The waiter is up again and its node was pushed. */
static outcome after_sleep(sk_mutex_node *node, int error)
{
    uint32_t word = WAITING;
    if (error && withdraw(node)) {
        node->front = false; /* whoever was coming is coming no more since it pushed its node */
        return GIVE_UP;
    }
    /* [MX-C2] acquire-release; pairs with [MX-C1]: exactly one of holder and waiter wins. As a release: who frees the
       node does so after us. */
    if (error && sk_cas_ar(&node->word, &word, (uint32_t)ABANDONED)) return LEFT;
    /* [MX-A6] acquire; pairs with [MX-C1], as [MX-A5], for a task that was resumed for another reason. */
    if (sk_load_acq(&node->word) == HANDED) return GOT_IT;
    node->front = true;
    node->skip = 0; /* should it lose: the holdings may have become long */
    return error ? GIVE_UP : GO_ON;
}

static outcome wait_once(sk_worker *w, sk_mutex_node *node, uint64_t deadline, int *error)
{
    node->pushed = false;
    sk_store_rlx(&node->word, (uint32_t)WAITING);
    *error = w ? sleep_as_task(w, node, deadline) : sleep_as_thread(node, deadline);
    outcome o = node->pushed ? after_sleep(node, *error) : *error ? GIVE_UP : GO_ON;
    return (o == GO_ON || o == GIVE_UP) && take(node, o == GIVE_UP) ? GOT_IT : o;
}

static sk_worker *task_worker(void)
{
    sk_worker *w = sk_worker_self();
    return w && w->task ? w : NULL;
}

static sk_noinline int lock_slow(sk_mutex *m, uint64_t deadline)
{
    for (int i = 0; i < SPINS; i++) {
        if (sk_mutex_try(m)) return 0;
        sk_cpu_relax();
    }
    uint64_t now = sk_clock_ns();
    if (now >= deadline) return sk_mutex_try(m) ? 0 : -ETIMEDOUT;
    sk_mutex_node *node = new_node(m, now);
    if (!node) return sk_mutex_try(m) ? 0 : -ENOMEM;
    int error;
    outcome o;
    sk_cycle_waits(m);
    do o = wait_once(task_worker(), node, deadline, &error);
    while (o == GO_ON);
    sk_cycle_waits_no_more();
    if (o != LEFT) free_node(node);
    if (o != GOT_IT) return error;
    sk_cycle_holds(m);
    return 0;
}

int sk_mutex_lock(sk_mutex *m, uint64_t deadline)
{
    return sk_likely(sk_mutex_try(m)) ? 0 : lock_slow(m, deadline);
}

void sk_mutex_force(sk_mutex *m)
{
    if (sk_likely(sk_mutex_lock(m, SK_NEVER) == 0)) return;
    sk_shield shield;
    sk_shield_raise(&shield);
    while (sk_mutex_lock(m, SK_NEVER) != 0) (void)skua_sleep(SK_MUTEX_FAIR_NS); /* no memory for a node */
    sk_shield_lower(&shield);
}

/* ---- unlocking ---- */

/* Whom to wake: copies, since the node belongs to its waiter once it has been claimed. */
typedef struct waked {
    sk_mutex_node *node;
    sk_task *task;
    uint64_t generation;
} waked;

static void wake(const waked *who)
{
    if (who->task)
        sk_unpark(who->task, who->generation);
    else if (who->node)
        sk_futex_wake(&who->node->word, 1);
}

/* Holder: moves the stack to the end of the queue, and one that was woken before to its head. */
static void take_stack(sk_mutex *m)
{
    uint64_t w = sk_load_rlx(&m->word);
    /* [MX-A2] acquire; pairs with [MX-R2] and [MX-C4]. */
    while (!sk_cas_acq(&m->word, &w, w & MARKS)) {
    }
    sk_mutex_node *oldest = NULL, *newest = NULL, *front = NULL, *below;
    for (sk_mutex_node *node = stack_of(w); node; node = below) {
        below = node->below;
        if (node->front) {
            front = node;
            continue;
        }
        node->next = oldest;
        oldest = node;
        if (!newest) newest = node;
    }
    if (oldest) {
        if (m->first)
            m->last->next = oldest;
        else
            m->first = oldest;
        m->last = newest;
    }
    if (front) {
        front->next = m->first;
        m->first = front;
        if (!front->next) m->last = front;
    }
}

/* Has the first waited for too long? A look at the clock costs as much as an unlock: while SKIPS of them pass within a
   small part of the time that makes overdue, it is spared so many times. One look an unlock at most (*now: 0 before
   it): or who comes later could be overdue when the first was not. */
static bool overdue(sk_mutex_node *node, uint64_t *now)
{
    if (node->skip > 0) {
        node->skip--;
        return false;
    }
    if (!*now) *now = sk_clock_ns();
    node->skip = *now - node->looked < SK_MUTEX_FAIR_NS / 16 ? SKIPS : 0;
    node->looked = *now;
    return *now >= node->since + SK_MUTEX_FAIR_NS;
}

/* Holder: claims the first of the queue; without `hand` nobody is coming. True: the mutex is its, if `hand`, and may
   not be touched any more; else it is the one who is coming. False: it had given up. */
static bool claim_first(sk_mutex *m, bool hand, waked *who)
{
    sk_mutex_node *node = m->first;
    uint32_t word = WAITING;
    waked it = {node, node->task, node->generation};
    m->first = node->next;
    if (!hand) sk_add_rlx(&m->word, COMING);
    /* [MX-C1] sequentially consistent; pairs with [MX-A4], as park.c asks of an event, and as a release with [MX-A5],
       [MX-A6] and [MX-C2]. From here on the node is the waiter's, or ours if it has given up. */
    if (sk_cas_sc(&node->word, &word, (uint32_t)(hand ? HANDED : WOKEN))) {
        *who = it;
        return true;
    }
    free_node(node);
    if (!hand) sk_sub_rlx(&m->word, COMING);
    return false;
}

static sk_noinline int unlock_slow(sk_mutex *m)
{
    waked coming = {NULL, NULL, 0}, next = coming;
    uint64_t now = 0;
    for (;;) {
        uint64_t w = sk_load_rlx(&m->word);
        bool hand = false;
        if (!(w & LOCKED)) return -EPERM;
        if (stack_of(w)) {
            take_stack(m);
        } else if (m->first && ((hand = overdue(m->first, &now)) || !(w & COMING))) {
            bool claimed = claim_first(m, hand, hand ? &next : &coming);
            if (claimed && hand) break;
        } else {
            /* [MX-R3] release; pairs with [MX-A1] and [MX-A3], as [MX-R1]. */
            if (sk_cas_rel(&m->word, &w, w & ~LOCKED)) break;
        }
    }
    wake(&next);
    wake(&coming);
    return 0;
}

int sk_mutex_unlock(sk_mutex *m)
{
    uint64_t w = LOCKED;
    sk_cycle_drops(m);
    /* [MX-R1] release; pairs with [MX-A1] and [MX-A3]: the next holder sees what we did. Not touched after this. */
    if (sk_likely(!m->first) && sk_likely(sk_cas_rel(&m->word, &w, UINT64_C(0)))) return 0;
    return unlock_slow(m);
}

/* ---- for tests ---- */

bool sk_mutex_is_at_rest(const sk_mutex *m)
{
    return sk_load_rlx((sk_atomic(uint64_t) *)&m->word) == 0 && !m->first;
}

#ifndef SK_MODEL
uint64_t sk_mutex_nodes_out(void)
{
    sk_slab_numbers numbers;
    sk_slab *slab = sk_lazy_slab_get(&nodes);
    if (!slab) return 0;
    sk_slab_stats(slab, &numbers);
    return numbers.carved - numbers.depot;
}
#endif

/* ---- the public calls ---- */

int skua_mutex_lock(skua_mutex *mutex)
{
    if (sk_unlikely(!mutex)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    return sk_mutex_lock((sk_mutex *)(void *)mutex, SK_NEVER);
}

int skua_mutex_lock_for(skua_mutex *mutex, uint64_t timeout)
{
    if (sk_unlikely(!mutex)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_mutex *m = (sk_mutex *)(void *)mutex;
    if (sk_likely(sk_mutex_try(m))) return 0;
    if (timeout == 0) return -ETIMEDOUT;
    return lock_slow(m, sk_deadline_after(sk_clock_ns(), timeout));
}

int skua_mutex_trylock(skua_mutex *mutex)
{
    if (sk_unlikely(!mutex)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    return sk_mutex_try((sk_mutex *)(void *)mutex) ? 0 : -EBUSY;
}

int skua_mutex_unlock(skua_mutex *mutex)
{
    if (sk_unlikely(!mutex)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    return sk_mutex_unlock((sk_mutex *)(void *)mutex);
}

/* join.c: waiting for the end of a task; the word and its moves are in task_join.h. */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/giveup.h"
#include "runtime/idle.h"
#include "runtime/sched.h"

/* ---- the ender's side ---- */

void sk_wake_joiner(sk_worker *w, uint64_t join_word)
{
    void *who = sk_join_who(join_word);
    if (sk_join_kind(join_word) == SK_JOIN_THREAD) {
        sk_local *local = (sk_local *)who;
        /* [JN-R1] release; pairs with [JN-A1] in sk_local_wait's caller: the thread looks at the join word after it. */
        sk_add_rel(&local->word, 1u);
        sk_futex_wake(&local->word, 1);
        return;
    }
    sk_task *joiner = (sk_task *)who;
    /* Relaxed: written before the joiner moved the join word, which the caller has read with acquire. */
    uint64_t generation = sk_load_rlx(&joiner->join_generation);
    if (sk_state_wake(&joiner->state, generation, SK_WHY_WAKE)) sk_ready_next(w, joiner);
}

/* ---- the joiner's side ---- */

static bool publish_join(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    sk_store_rlx(&t->join_generation, generation);
    t->written = true;
    if (sk_join_move((sk_join *)wait->object, wait->word, t, SK_JOIN_TASK)) return true;
    t->written = false;
    return false;
}

/* The word when `who` waits in it, which is `open` else. */
static uint64_t written_by(uint64_t open, const void *who, unsigned kind)
{
    return (open & ~(uint64_t)SK_JOIN_KIND) | (uint64_t)(uintptr_t)who | kind;
}

static bool no_longer_awaited(const sk_wait *wait, const sk_task *t)
{
    return sk_join_look((sk_join *)wait->object) != written_by(wait->word, t, SK_JOIN_TASK);
}

/* Parks until the word moves. 0: look at it again; *taken: whoever moved it has taken us out of it. */
static int wait_as_task(sk_worker *w, sk_task *child, uint64_t open, uint64_t deadline, bool *taken)
{
    sk_wait wait = {publish_join, no_longer_awaited, &child->join, open, "join", child};
    sk_task *self = w->task;
    uint64_t written = written_by(open, self, SK_JOIN_TASK);
    self->written = false;
    int why = sk_park(w, &wait, deadline);
    /* Given up, or woken for nothing (see task_join.h): take ourselves out, unless somebody was faster. */
    *taken = self->written &&
             (sk_join_look(&child->join) != written || !sk_join_move(&child->join, written, NULL, SK_JOIN_OPEN));
    return *taken || why == SK_WHY_WAKE ? 0 : sk_why_error(why);
}

/* The same for a foreign thread. */
static int wait_as_thread(sk_local *local, sk_task *child, uint64_t open, uint64_t deadline, bool *taken)
{
    uint64_t written = written_by(open, local, SK_JOIN_THREAD);
    if (!sk_join_move(&child->join, open, local, SK_JOIN_THREAD)) return 0;
    for (;;) {
        /* [JN-A1] acquire; pairs with [JN-R1]. Read before the join word: an end after our look bumps it. */
        uint32_t seen = sk_load_acq(&local->word);
        *taken = sk_join_look(&child->join) != written;
        if (*taken) return 0;
        if (sk_thread_sleep(&local->word, seen, deadline, "join", child) != -ETIMEDOUT) continue;
        *taken = !sk_join_move(&child->join, written, NULL, SK_JOIN_OPEN);
        return *taken ? 0 : -ETIMEDOUT;
    }
}

static int wait_for_end(sk_worker *w, sk_task *child, uint64_t open, uint64_t deadline, bool *taken)
{
    *taken = false;
    if (w && w->task) return wait_as_task(w, child, open, deadline, taken);
    sk_local *local = sk_local_get();
    return local ? wait_as_thread(local, child, open, deadline, taken) : -ENOMEM;
}

static void give_result(int *result, int value)
{
    if (result) *result = value;
}

static bool same_life(const sk_task *t, skua_task handle, uint64_t word)
{
    return sk_load_rlx((sk_atomic(uint64_t) *)&t->state.serial) == handle.serial &&
           word >> SK_JOIN_TAG_SHIFT == (handle.serial & 0xffff);
}

enum { LOOK_AGAIN = 1 };

/* The end has been seen by one who had not waited: exactly one of several takes the result and the memory. */
static int take_result(sk_task *t, uint64_t word, int *result, skua_fault *fault)
{
    int value = t->result;
    if (!sk_join_move(&t->join, word, NULL, SK_JOIN_DETACHED)) return LOOK_AGAIN;
    give_result(result, value);
    if (sk_unlikely(fault)) sk_copy_fault(t, fault);
    sk_task_release(t);
    return 0;
}

/* We have been taken out of the word: by the end, which gave us the task, or by its deadline, which left it alone. */
static int taken_out(sk_task *t, skua_task handle, int *result, skua_fault *fault)
{
    uint64_t word = sk_join_look(&t->join);
    bool given = same_life(t, handle, word) && sk_join_kind(word) == SK_JOIN_GIVEN;
    give_result(result, given ? t->result : -ETIMEDOUT);
    if (given && sk_unlikely(fault)) sk_copy_fault(t, fault);
    if (given) sk_task_release(t);
    return 0;
}

static int join_step(sk_worker *w, sk_task *t, skua_task handle, uint64_t deadline, int *result, skua_fault *fault)
{
    uint64_t word = sk_join_look(&t->join);
    /* GIVEN: joined; a wheel may hold the memory for long after that. */
    if (!same_life(t, handle, word) || sk_join_kind(word) == SK_JOIN_DETACHED) return -ESRCH;
    if (sk_join_kind(word) == SK_JOIN_GIVEN) return -ESRCH;
    if (sk_join_kind(word) == SK_JOIN_ENDED) return take_result(t, word, result, fault);
    if (sk_join_kind(word) != SK_JOIN_OPEN) return -EBUSY;
    if (sk_state_marks(&t->state) & SK_EXPIRED) {
        if (!sk_join_move(&t->join, word, NULL, SK_JOIN_DETACHED)) return LOOK_AGAIN;
        give_result(result, -ETIMEDOUT);
        return 0;
    }
    if (deadline == 0) return -ETIMEDOUT;
    bool taken;
    int error = wait_for_end(w, t, word, deadline, &taken);
    if (taken) return taken_out(t, handle, result, fault);
    return error ? error : LOOK_AGAIN;
}

/* fault: NULL, or all zero: gets why the task gave up. */
static int join(skua_task handle, uint64_t timeout, int *result, skua_fault *fault)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_task *t = (sk_task *)handle.ref;
    if (!t) return -ESRCH;
    sk_local *local = sk_local_self();
    sk_worker *w = local ? local->worker : NULL;
    /* In a blocking call too, where the thread would wait for its own task. */
    sk_task *self = w ? w->task : local ? local->blocked_task : NULL;
    if (self == t && sk_load_rlx(&t->state.serial) == handle.serial) return -EDEADLK;
    uint64_t deadline = timeout == SKUA_FOREVER ? SK_NEVER : timeout ? sk_deadline_after(sk_clock_ns(), timeout) : 0;
    int found;
    while ((found = join_step(w, t, handle, deadline, result, fault)) == LOOK_AGAIN) w = sk_worker_self();
    return found;
}

int skua_join_for(skua_task handle, uint64_t timeout, int *result)
{
    return join(handle, timeout, result, NULL);
}

int skua_join(skua_task handle, int *result)
{
    return join(handle, SKUA_FOREVER, result, NULL);
}

int skua_join_fault(skua_task handle, uint64_t timeout, int *result, skua_fault *fault)
{
    if (!fault) return -EINVAL;
    *fault = (skua_fault){.file = NULL};
    return join(handle, timeout, result, fault);
}

int skua_detach(skua_task handle)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_task *t = (sk_task *)handle.ref;
    if (!t) return -ESRCH;
    for (;;) {
        uint64_t word = sk_join_look(&t->join);
        unsigned kind = sk_join_kind(word);
        if (!same_life(t, handle, word) || kind == SK_JOIN_DETACHED || kind == SK_JOIN_GIVEN) return -ESRCH;
        if (kind == SK_JOIN_TASK || kind == SK_JOIN_THREAD) return -EBUSY;
        if (!sk_join_move(&t->join, word, NULL, SK_JOIN_DETACHED)) continue;
        if (kind == SK_JOIN_ENDED) sk_task_release(t);
        return 0;
    }
}

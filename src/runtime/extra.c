/* extra.c: see extra.h. */
#include "runtime/extra.h"

#include <errno.h>

#include "mem/lazy_slab.h"
#include "runtime/giveup.h"
#include "runtime/sched.h"

static sk_lazy_slab extras = SK_LAZY_SLAB(sk_extra, context);

static int end(void *arg);

static void forget(sk_extra *extra)
{
    sk_task *t = NULL;
    (void)sk_own_task(&t);
    t->guarded = false;
    t->extra = NULL;
    if (!extra->lent) sk_lazy_slab_free(&extras, extra);
}

/* The task's last deferred call. It destroys one value at a time, and before that stands in the list again: what the
   destructor defers comes next, and then the rest, even if it has given up. */
static int end(void *arg)
{
    sk_extra *extra = (sk_extra *)arg;
    sk_task *t = NULL;
    sk_local_due due;
    sk_extra_end_sections(0);
    if (sk_unlikely(extra->context != NULL)) extra->leave_contexts(extra);
    if (!extra->next_local || !extra->next_local(extra, &due)) {
        forget(extra);
        return 0;
    }
    (void)sk_own_task(&t);
    sk_defer_last(t, &extra->last, end);
    due.destroy(due.value);
    return 0;
}

static void begin(sk_task *t, sk_extra *extra)
{
    *extra = (sk_extra){.nopark = 0};
    sk_defer_last(t, &extra->last, end);
    t->extra = extra;
}

static sk_extra *make(sk_task *t)
{
    sk_extra *extra = (sk_extra *)sk_lazy_slab_alloc(&extras);
    if (extra) begin(t, extra);
    return extra;
}

/* A task that has deferred nothing yet has not looked at its last line either. */
static void look_at_all_lines(sk_task *t)
{
    if (t->fiber == SK_FIBER_NONE) t->fiber = SK_FIBER_SPECIAL;
}

int sk_extra_get(sk_extra **out)
{
    sk_task *t;
    int error = sk_own_task(&t);
    if (error) return error;
    look_at_all_lines(t);
    *out = t->extra ? t->extra : make(t);
    return *out ? 0 : -ENOMEM;
}

void sk_extra_lend(sk_extra *extra)
{
    sk_task *t = NULL;
    (void)sk_own_task(&t);
    look_at_all_lines(t);
    sk_assert(!t->extra);
    begin(t, extra);
    extra->lent = true;
}

sk_extra *sk_extra_look(void)
{
    sk_task *t;
    if (sk_own_task(&t)) return NULL;
    return t->fiber == SK_FIBER_NONE ? NULL : t->extra;
}

void sk_extra_guard(void)
{
    sk_task *t;
    if (sk_own_task(&t) || t->fiber == SK_FIBER_NONE || !t->extra) return;
    t->guarded = t->extra->scope || t->extra->nopark;
}

int sk_extra_ended(const sk_extra *extra)
{
    /* [CX-A2] acquire; pairs with [CX-R1], as [CX-A1]. */
    uint32_t ended = extra->scope ? sk_load_acq(&extra->scope->ended) : 0;
    return ended ? (int)ended - 1 : 0;
}

#ifdef SK_DEBUG
static void check_nopark(const sk_extra *extra, const char *does)
{
    if (sk_likely(!extra->nopark)) return;
    sk_panic("a task %s in a section in which it must not: skua_nopark_begin at %s:%d", does, extra->nopark_file,
             extra->nopark_line);
}

void sk_extra_leaves(const sk_task *t, const char *does)
{
    if (t->guarded) check_nopark(t->extra, does);
}

uint32_t sk_extra_sections(void)
{
    const sk_extra *extra = sk_extra_look();
    return extra ? extra->nopark : 0;
}

void sk_extra_end_sections(uint32_t but)
{
    sk_extra *extra = sk_extra_look();
    if (!extra || extra->nopark <= but) return;
    extra->nopark = but;
    sk_extra_guard();
}
#endif

int sk_extra_may_park(const sk_extra *extra)
{
#ifdef SK_DEBUG
    check_nopark(extra, "parks");
#endif
    return sk_extra_ended(extra);
}

bool sk_task_interrupt(sk_task *t, sk_why why)
{
    /* [PK-A2] sequentially consistent; pairs with [TS-R2]: the scope has ended before this look, the task is PARKED
       before its look at the scope ([PK-A1]), so one of the two sees the other. */
    uint64_t s = sk_load_sc(&t->state.word);
    if (sk_phase_of(s) != SK_PARKED || (s & SK_SHIELDED)) return false;
    return sk_state_wake(&t->state, sk_generation_of(s), why);
}

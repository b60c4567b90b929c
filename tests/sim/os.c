/*
 * os.c: the system that the library sees: futexes, threads, the clock, read-copy
 * update, membarrier, thread-specific data.
 *
 * The functions of src/os/{futex,thread,membarrier,topology}.c and those of
 * liburcu are defined here instead; calls of the C library are wrapped by the
 * linker (tools/sim has the list).
 */
#include "sim/sim.h"

#include "base/fault.h"
#include "base/heap.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/membarrier.h"
#include "os/thread.h"
#include "os/topology.h"
#include "sim/scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* A system call: a full fence, in practice. */
static void system_call(sim_kind kind, const volatile void *word, const void *place)
{
    sim_point(kind, word, place);
    if (sim.me) sim_drain(sim.me);
}

/* ---- futex ---- */

int sk_futex_wait(sk_atomic(uint32_t) * word, uint32_t expected, uint64_t deadline_ns)
{
    system_call(SIM_WAIT, word, __builtin_return_address(0));
    int result;
    if (sim_strategy_spurious(&result)) return result;
    sim_check_word(word);
    if (*(const volatile uint32_t *)(uintptr_t)word != expected) return -EAGAIN;
    if (deadline_ns <= sim.now) return -ETIMEDOUT;
    sim.me->state = SIM_IN_FUTEX;
    sim.me->word = (const void *)word;
    sim.me->until = deadline_ns;
    return sim_block();
}

/* Which of the waiters, the kernel does not promise. */
int sk_futex_wake(sk_atomic(uint32_t) * word, uint32_t n)
{
    system_call(SIM_WAKE, word, __builtin_return_address(0));
    sim_strand *waiter[SIM_STRANDS];
    uint32_t waiters = 0, woken = 0;
    for (uint64_t left = sim.alive; left; left &= left - 1) {
        sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        if (s->state == SIM_IN_FUTEX && s->word == (const void *)word) waiter[waiters++] = s;
    }
    for (; waiters && woken < n; woken++) {
        uint32_t i = sim_below(waiters);
        sim_make_ready(waiter[i], 0);
        waiter[i] = waiter[--waiters];
    }
    sim_note(woken);
    return (int)woken;
}

/* ---- threads ---- */

typedef struct beginning {
    sk_thread_fn *fn;
    void *arg;
} beginning;

static void thread_body(void *arg)
{
    beginning b = *(beginning *)arg;
    sk_heap_free(arg);
    b.fn(b.arg);
}

static sim_strand *strand_of(pthread_t handle)
{
    return &sim.strand[(uintptr_t)handle - 1];
}

int sk_thread_start(sk_thread *thread, size_t stack_bytes, const char *name, sk_thread_fn *fn, void *arg)
{
    (void)stack_bytes;
    system_call(SIM_START, NULL, __builtin_return_address(0));
    if (sk_fault(SK_FAULT_THREAD)) return -EAGAIN;
    beginning *b = (beginning *)sk_heap_alloc(sizeof *b);
    if (!b) return -ENOMEM;
    *b = (beginning){fn, arg};
    sim_strand *s = sim_strand_new(name + 5, thread_body, b, true); /* without "skua-" */
    if (!s) {
        sk_heap_free(b);
        return -EAGAIN;
    }
    thread->handle = (pthread_t)(uintptr_t)(s->id + 1);
    return 0;
}

static void join(sim_strand *s)
{
    if (s->state == SIM_UNUSED || s->joiner >= 0) sim_fail("a thread is joined twice");
    s->joiner = sim.me->id;
    if (s->state != SIM_ENDED) {
        sim.me->state = SIM_JOINING;
        sim_block();
    }
    s->state = SIM_UNUSED;
    sim.unused |= UINT64_C(1) << s->id;
}

int sk_thread_join(sk_thread *thread)
{
    system_call(SIM_JOIN, NULL, __builtin_return_address(0));
    if (strand_of(thread->handle) == sim.me) return -EDEADLK;
    join(strand_of(thread->handle));
    return 0;
}

void sk_thread_detach(sk_thread *thread)
{
    sim_fail("thread %p detached: the library joins its threads", (void *)(uintptr_t)thread->handle);
}

void sk_thread_tighten_slack(void)
{
}

/* ---- membarrier ---- */

int sk_membarrier_works = 1;

bool sk_membarrier_init(void)
{
    return true;
}

void sk_membarrier_heavy(void)
{
    system_call(SIM_BARRIER, NULL, __builtin_return_address(0));
    sim_drain_all();
}

/* ---- liburcu ---- */

void urcu_memb_register_thread(void);
void urcu_memb_unregister_thread(void);
void urcu_memb_read_lock(void);
void urcu_memb_read_unlock(void);
void urcu_memb_synchronize_rcu(void);

void urcu_memb_register_thread(void)
{
    if (sim.me->reader) sim_fail("%s is registered twice", sim.me->name);
    sim.me->reader = true;
}

void urcu_memb_unregister_thread(void)
{
    if (!sim.me->reader) sim_fail("%s was never registered", sim.me->name);
    sim.me->reader = false;
}

void urcu_memb_read_lock(void)
{
    sim_point(SIM_ENTER, NULL, __builtin_return_address(0));
    if (!sim.me->reader) sim_fail("%s reads without being registered", sim.me->name);
    sim.me->depth++;
}

void urcu_memb_read_unlock(void)
{
    sim_point(SIM_LEAVE, NULL, __builtin_return_address(0));
    if (!sim.me->depth) sim_fail("%s leaves a section that it never entered", sim.me->name);
    if (--sim.me->depth) return;
    uint64_t bit = UINT64_C(1) << sim.me->id;
    for (uint64_t left = sim.alive; left; left &= left - 1) {
        sim_strand *s = &sim.strand[__builtin_ctzll(left)];
        if (s->state != SIM_IN_GRACE || !(s->grace & bit)) continue;
        s->grace &= ~bit;
        if (!s->grace) sim_make_ready(s, 0);
    }
}

void urcu_memb_synchronize_rcu(void)
{
    system_call(SIM_GRACE, NULL, __builtin_return_address(0));
    if (sim.me->depth) sim_fail("%s waits for a grace period in a section", sim.me->name);
    sim_drain_all(); /* liburcu uses membarrier */
    sim.me->grace = 0;
    for (uint64_t left = sim.alive; left; left &= left - 1)
        if (sim.strand[__builtin_ctzll(left)].depth) sim.me->grace |= left & -left;
    if (!sim.me->grace) return;
    sim.me->state = SIM_IN_GRACE;
    sim_block();
    sim_drain_all();
}

/* ---- calls of the C library ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    sim_point(SIM_CLOCK, NULL, __builtin_return_address(0));
    now->tv_sec = (time_t)(sim.now / SK_NS_PER_S);
    now->tv_nsec = (long)(sim.now % SK_NS_PER_S);
    return 0;
}

int __wrap_sched_yield(void)
{
    system_call(SIM_YIELD, NULL, __builtin_return_address(0));
    return 0;
}

int __real_pthread_once(pthread_once_t *once, void (*fn)(void));

int __wrap_pthread_once(pthread_once_t *once, void (*fn)(void))
{
    sim_point(SIM_ONCE, NULL, __builtin_return_address(0));
    bool looking = sim.looking;
    sim.looking = true; /* nobody else may come in between */
    int error = __real_pthread_once(once, fn);
    sim.looking = looking;
    return error;
}

static void (*key_end[SIM_KEYS])(void *);
static unsigned keys;

int __wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
    sim_point(SIM_KEY, NULL, __builtin_return_address(0));
    if (keys == SIM_KEYS) return EAGAIN;
    key_end[keys] = end;
    *key = keys++;
    return 0;
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    sim_point(SIM_KEY, NULL, __builtin_return_address(0));
    sim.me->keys[key] = (void *)(uintptr_t)value;
    return 0;
}

void sim_keys_end(sim_strand *s)
{
    for (unsigned i = 0; i < keys; i++) {
        void *value = s->keys[i];
        s->keys[i] = NULL;
        if (value && key_end[i]) key_end[i](value);
    }
}

/* Strands share one alternate stack, the simulator's. */
int __wrap_sigaltstack(const stack_t *stack, stack_t *before)
{
    (void)stack;
    if (before) *before = (stack_t){0};
    return 0;
}

int __wrap_sigaction(int signal, const struct sigaction *action, struct sigaction *before)
{
    (void)signal, (void)action;
    if (before) *before = (struct sigaction){.sa_handler = SIG_DFL};
    return 0;
}

/* ---- topology ---- */

unsigned sk_topology_processors(void)
{
    return 2;
}

/* ---- threads of the scenario ---- */

sim_thread sim_thread_start(const char *name, void (*fn)(void *), void *arg)
{
    sim_point(SIM_START, NULL, __builtin_return_address(0));
    sim_strand *s = sim_strand_new(name, fn, arg, false);
    if (!s) sim_fail("too many strands");
    return (sim_thread){s->id};
}

void sim_thread_wait(sim_thread thread)
{
    sim_point(SIM_JOIN, NULL, __builtin_return_address(0));
    join(&sim.strand[thread.id]);
}

void sim_nap(uint64_t ns)
{
    system_call(SIM_SLEEP, NULL, __builtin_return_address(0));
    sim.me->state = SIM_ASLEEP;
    sim.me->until = sim.now + ns;
    sim_block();
}

void sim_nap_beside(uint64_t ns)
{
    uint64_t due = SIM_NEVER;
    system_call(SIM_SLEEP, NULL, __builtin_return_address(0));
    for (uint64_t left = sim.alive & ~sim.ready; left; left &= left - 1)
        due = sk_min(due, sim.strand[__builtin_ctzll(left)].until);
    sim.me->state = SIM_ASLEEP;
    sim.me->until = (due == SIM_NEVER ? sim.now : due) + ns;
    sim_block();
}

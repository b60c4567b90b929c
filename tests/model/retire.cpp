/*
 * retire.cpp: Relacy models of workers that come and go, the real
 * src/runtime/machine.c, workers.c, monitor.c, idle.c and expiry.c over the real
 * worker.h, queues and timers (the wheel is that of stub_wheel.h).
 *
 * Threads of the model are the machine's: sk_machine_main is their body.  A
 * switch to a loop is a call of it (loop() below), which returns where the real
 * one would switch back to the thread's own stack.  liburcu is stood for by a
 * word for each thread that says whether it is in a section.
 */
#include "model/relacy.h"

#include "model/stub_world.h"
#include "model/stub_wheel.h"

#define SK_FIBER_FIBER_H
#define SK_FIBER_OVERFLOW_H
#define SK_OS_THREAD_H
#define SK_MEM_SLAB_H
#define SK_MEM_STACK_H
#define SK_BASE_HEAP_H
#define SK_RUNTIME_RCU_H
#define SK_RUNTIME_ADJUSTER_H
#define SK_RUNTIME_SHUTDOWN_H
#define _URCU_MEMB_H

#include "skua/runtime.h"
#undef SKUA_WORKERS_MAX
#define SKUA_WORKERS_MAX 64

void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* ---- memory, stacks, threads ---- */

/* The size stands in front. What has been freed is overwritten: who still reads it finds nonsense. */
static void *sk_heap_alloc(size_t size)
{
    size_t *memory = (size_t *)malloc(size + 16);
    memory[0] = size;
    return memory + 2;
}
static void *sk_heap_alloc_aligned(size_t, size_t size)
{
    return sk_heap_alloc(size);
}
static void sk_heap_free(void *memory)
{
    if (!memory) return;
    size_t *from = (size_t *)memory - 2;
    memset(memory, 0xdd, from[0]);
    free(from);
}

enum { SK_STACK_CLASSES = 0, SK_STACK_BATCH = 1 };
typedef struct sk_fiber {
    int unused;
} sk_fiber;
typedef struct sk_stack_cache {
    int unused;
} sk_stack_cache;
typedef struct sk_stack_numbers {
    uint64_t depot;
} sk_stack_numbers;
typedef struct sk_slab {
    int unused;
} sk_slab;
typedef struct sk_slab_cache {
    sk_slab *slab;
} sk_slab_cache;
typedef struct sk_thread {
    int unused;
} sk_thread;
typedef struct sk_overflow_thread {
    int unused;
} sk_overflow_thread;

static void sk_stack_stats(unsigned, sk_stack_numbers *)
{
}
static void sk_stack_trim(unsigned, uint64_t)
{
}
static void sk_stack_cache_flush(sk_stack_cache *)
{
}
static void sk_slab_cache_init(sk_slab_cache *, sk_slab *)
{
}
static void *sk_slab_alloc(sk_slab_cache *)
{
    return NULL;
}
static void sk_slab_free(sk_slab_cache *, void *)
{
}
static void sk_slab_cache_flush(sk_slab_cache *cache); /* the last plain fields that a leaving thread touches */
static void sk_fiber_adopt(sk_fiber *)
{
}
static void sk_fiber_put(sk_stack_cache *, sk_fiber *)
{
}
static sk_fiber some_stack;
static sk_fiber *sk_fiber_get(sk_stack_cache *, unsigned, void (*)(void *), void *)
{
    return &some_stack;
}
static void sk_fiber_switch(sk_fiber *from, sk_fiber *to);
static int sk_overflow_thread_init(sk_overflow_thread *)
{
    return 0;
}
static void sk_overflow_thread_fini(sk_overflow_thread *)
{
}
static int sk_thread_start(sk_thread *, size_t, const char *, void (*)(void *), void *)
{
    return -EAGAIN;
}
static int sk_thread_join(sk_thread *)
{
    return 0;
}
static void urcu_memb_register_thread()
{
}
static void urcu_memb_unregister_thread()
{
}
static void sk_rcu_enter();
static void sk_rcu_leave();
static void sk_rcu_wait();

#include "runtime/idle.h"
#include "runtime/sched.h"

static bool sk_adjust_run(skua_runtime *rt, uint64_t now);
static bool sk_runtime_enter(skua_runtime *)
{
    return true;
}
static void sk_runtime_exit(skua_runtime *)
{
}

#include "timer/timers.c"

uint64_t sk_deadlock_look(skua_runtime *)
{
    return SK_NEVER;
}
void sk_deadlock_up(skua_runtime *)
{
}

#include "runtime/idle.c"
#include "runtime/monitor.c"
#include "runtime/expiry.c"
#include "runtime/machine.c"
#include "runtime/workers.c"

/* ---- what is left out ---- */

sk_slab sk_tasks;
sk_worker *sk_arrive(void)
{
    return sk_worker_self();
}
void sk_loop(void *)
{
}
void sk_local_bind(sk_local *)
{
}
sk_local *sk_local_new(void)
{
    return NULL;
}
void sk_local_free(sk_local *)
{
}
bool sk_blocking_take(sk_worker *, uint64_t)
{
    return false;
}
void sk_wake_joiner(sk_worker *, uint64_t)
{
}
void sk_task_release(sk_task *)
{
}
void sk_announce_later(sk_worker *w, uint64_t)
{
    sk_notify(w->runtime); /* sched.c does it later */
}
void sk_push(sk_worker *w, sk_task *t)
{
    RL_ASSERT(sk_taskq_push(&w->queue, t) == 0);
}
sk_task *sk_take_next(sk_worker *)
{
    return NULL;
}

/* ---- the runtime of a model ---- */

enum { WORKERS = 2, TASKS = 3, THREADS = 4, NOBODY = -1 };

static struct retire *here;

struct retire {
    skua_runtime rt;
    sk_worker workers[WORKERS];
    sk_local locals[THREADS];
    sk_task tasks[TASKS];
    sk_atomic(uint32_t) section[THREADS];
    VAR_T(int) plain[WORKERS]; /* stands for a worker's plain fields */
    bool carried[WORKERS];
    int runs[TASKS], expected;
    bool deciding;         /* the adjuster has more to decide */
    int leavers;           /* so many workers must have retired at the end */
    int carriers[WORKERS]; /* how often it has been carried */

    void begin(int threads)
    {
        here = this;
        world.begin(threads, at_rest);
        world.patience = 8;
        expected = leavers = 0;
        deciding = false;
        init_runtime();
        for (int i = 0; i < WORKERS; i++) init_worker(i);
        for (int i = 0; i < THREADS; i++) init_thread(i);
        for (int i = 0; i < TASKS; i++) init_task(i);
        RL_ASSERT(publish_table(&rt) == 0);
    }
    void init_runtime()
    {
        sk_owner_init(&rt.owner, &rt, NULL);
        rt.spare_batch = NULL;
        rt.replaced = NULL;
        rt.threads = NULL;
        rt.stack_class = 0;
        sk_store_rlx(&rt.stopping, 0u);
        sk_store_rlx(&rt.table, (sk_table *)NULL);
        sk_store_rlx(&rt.workers_made, (uint32_t)WORKERS);
        sk_inject_init(&rt.inbox);
        sk_inject_init(&rt.spares);
        sk_inject_init(&rt.retired);
        sk_inject_init(&rt.owing);
        sk_store_rlx(&rt.searching, 0u);
        sk_store_rlx(&rt.last_idler, 0u);
        sk_store_rlx(&rt.idle[0], (uint64_t)0);
        sk_store_rlx(&rt.monitor_word, 0u);
        sk_store_rlx(&rt.monitor_deep, 0u);
        sk_store_rlx(&rt.monitor_napping, 0u);
        sk_store_rlx(&rt.thread_count, 0u);
        sk_store_rlx(&rt.visitors, 0u);
        sk_store_rlx(&rt.grown, (uint64_t)0);
        sk_store_rlx(&rt.shrunk, (uint64_t)0);
        sk_store_rlx(&rt.handoffs, (uint64_t)0);
    }
    void init_worker(int i)
    {
        sk_worker *w = &workers[i];
        w->runtime = &rt;
        w->index = (uint32_t)i;
        w->local = NULL;
        w->searching = false;
        w->left_loop = NULL;
        RL_ASSERT(sk_taskq_init(&w->queue, 1, retire_buffer, &rt) == 0);
        sk_claim_init(&w->next_claim);
        sk_timers_init(&w->timers, 0);
        sk_store_rlx(&w->runnext, (sk_task *)NULL);
        sk_store_rlx(&w->carry, (uint64_t)SK_CARRIED);
        sk_store_rlx(&w->lent_since, (uint64_t)0);
        sk_store_rlx(&w->doorbell, 0u);
        sk_store_rlx(&w->quiet_since, (uint64_t)0);
        sk_store_rlx(&w->poke, false);
        sk_store_rlx(&w->retire, false);
        sk_store_rlx(&w->robbing, false);
        sk_atomic(uint64_t) *count = reinterpret_cast<sk_atomic(uint64_t) *>(&w->count);
        for (size_t n = 0; n < sizeof w->count / sizeof *count; n++) sk_store_rlx(&count[n], (uint64_t)0);
        sk_store_rlx(&rt.workers[i], w);
        plain[i]($) = 0;
        carried[i] = false;
        carriers[i] = 0;
    }
    void init_thread(int i)
    {
        memset((void *)&locals[i].base, 0, sizeof locals[i].base);
        locals[i].worker = locals[i].lent = NULL;
        locals[i].runtime = &rt;
        locals[i].stranded = NULL;
        sk_store_rlx(&locals[i].word, 0u);
        sk_store_rlx(&locals[i].assigned, (sk_worker *)NULL);
        sk_store_rlx(&locals[i].leave, false);
        sk_store_rlx(&section[i], 0u);
    }
    /* Tasks that wait for a timer to start. */
    void init_task(int i)
    {
        sk_task *t = &tasks[i];
        t->fiber = NULL;
        t->timed = false;
        sk_store_rlx(&t->owner, &rt.owner);
        sk_store_rlx(&t->state.word, (uint64_t)0);
        sk_state_born(&t->state, SK_DELAYED);
        sk_slot_init(&t->sleep);
        t->sleep.node.mark($) = 0;
        runs[i] = 0;
    }
    /* The worker has a thread from the start on. */
    void has(int thread, int worker)
    {
        sk_recruit recruit = {&locals[thread], &some_stack};
        sk_recruit_assign(&recruit, &workers[worker]);
    }
    static void at_rest()
    {
        for (int i = 0; i < here->expected; i++) RL_ASSERT(here->runs[i] == 1); /* nothing was lost, or run twice */
        int left = 0;
        for (int i = 0; i < WORKERS; i++) {
            uint64_t carry = here->workers[i].carry.value_ & SK_CARRY;
            RL_ASSERT(here->carried[i] == (carry == SK_CARRIED));
            left += carry == SK_VACANT;
        }
        RL_ASSERT(left == here->leavers);
        const sk_table *table = here->rt.table.value_;
        RL_ASSERT((int)table->n == WORKERS - left); /* those that have something to steal, and no others */
        RL_ASSERT(here->rt.searching.value_ == 0);
        for (int i = 0; i < THREADS; i++) sk_store_rlx(&here->locals[i].leave, true);
    }
    void after()
    {
        for (int i = 0; i < WORKERS; i++) sk_taskq_fini(&workers[i].queue);
        sk_reclaim(&rt);
        sk_heap_free(rt.table.value_);
    }

    /* -- a worker: what a loop does, until it has to give the worker up -- */

    void run(sk_task *t)
    {
        int i = (int)(t - tasks);
        RL_ASSERT(i >= 0 && i < TASKS);
        RL_ASSERT(runs[i]++ == 0);
    }
    sk_task *find(sk_worker *w)
    {
        sk_timers_run(w, sk_clock_ns());
        if (sk_task *t = (sk_task *)sk_taskq_take(&w->queue)) return t;
        for (sk_inject_link *link = sk_inject_take(&rt.inbox), *next; link; link = next) {
            next = link->next;
            sk_push(w, sk_task_of_link(link));
        }
        return (sk_task *)sk_taskq_take(&w->queue);
    }
    void loop(sk_worker *w)
    {
        uint32_t i = w->index;
        RL_ASSERT(!carried[i]);
        carried[i] = true;
        carriers[i]++;
        plain[i]($) = (int)rl::thread_index();
        while (!world.over && !sk_load_rlx(&w->retire)) {
            sk_task *t = find(w);
            if (t) {
                sk_search_found(w);
                run(t);
            } else {
                sk_search_begin(w);
                sk_idle(w, sk_timers_next(&w->timers));
            }
        }
        plain[i]($) = (int)rl::thread_index();
        carried[i] = false;
        w->left_loop = w->fiber;
    }
    void machine(int thread)
    {
        sk_machine_main(&locals[thread]);
    }

    /* -- the controller -- */

    watch m;

    void control_begin()
    {
        memset((void *)&m, 0, sizeof m);
        m.rt = &rt;
        m.nap = NAP_LONG_NS;
        m.last_trim = sk_clock_ns();
    }
    void control()
    {
        while (!world.over) look(&m);
    }

    /* -- from outside: a timer for a worker that may be gone -- */

    void arm(int task, int worker, uint64_t expires)
    {
        sk_task *t = &tasks[task];
        sk_timers *timers = &workers[worker].timers;
        uint64_t tag = sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_DELAY);
        sk_arming arming = sk_timers_arm_slow(timers, &t->sleep, SK_SLOT_FREE, expires, tag);
        sk_timers *elsewhere = sk_timers_arm_end(&arming, &t->sleep);
        RL_ASSERT(elsewhere == timers);
        sk_timers_look_at(NULL, &rt, elsewhere);
    }
    /* Before the threads begin: armed in the worker's own wheel. */
    void armed(int task, int worker, uint64_t expires)
    {
        sk_task *t = &tasks[task];
        uint64_t tag = sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_DELAY);
        sk_arming arming = sk_timers_arm_begin(&workers[worker].timers, &t->sleep, expires, tag);
        RL_ASSERT(sk_timers_arm_end(&arming, &t->sleep) == NULL);
    }
};

sk_local *sk_local_self(void)
{
    return &here->locals[rl::ctx().threadx_->index_];
}
static void sk_fiber_switch(sk_fiber *from, sk_fiber *)
{
    RL_ASSERT(from == &sk_local_self()->base); /* the way back is the return of loop() */
    here->loop(sk_local_self()->worker);
}
void sk_ready(sk_worker *, sk_task *t)
{
    sk_inject_push(&here->rt.inbox, &t->link);
    sk_notify(&here->rt);
}

static void sk_slab_cache_flush(sk_slab_cache *cache)
{
    for (sk_worker &w : here->workers)
        if (cache == &w.tasks || cache == &w.jobs) here->plain[w.index]($) = (int)rl::thread_index();
}
static bool sk_adjust_run(skua_runtime *, uint64_t)
{
    return here->deciding;
}

/* ---- read-copy-update: a section is a word that is 1 ---- */

static void sk_rcu_enter()
{
    sk_store_rlx(&here->section[rl::thread_index()], 1u);
    sk_fence_sc();
}
static void sk_rcu_leave()
{
    sk_atomic(uint32_t) *mine = &here->section[rl::thread_index()];
    sk_store_rel(mine, 0u);
    sk_futex_wake(mine, 1);
}
static void sk_rcu_wait()
{
    sk_fence_sc();
    for (int i = 0; i < THREADS; i++)
        while (sk_load_acq(&here->section[i]) && !world.over) sk_futex_wait(&here->section[i], 1, SK_NEVER);
}

/* As rob in sched.c: looks through the table for a task to move to its own queue, and takes it from there. */
static sk_task *steal(sk_worker *w)
{
    bool won = false;
    sk_store_rlx(&w->robbing, true);
    sk_rcu_enter();
    const sk_table *table = sk_load_acq(&w->runtime->table);
    RL_ASSERT(table->n <= WORKERS); /* written, and not freed */
    for (uint32_t i = 0; i < table->n && !won; i++) {
        sk_worker *victim = table->worker[i];
        RL_ASSERT(victim == &here->workers[0] || victim == &here->workers[1]);
        if (victim != w) won = sk_taskq_try_move(&victim->queue, &w->queue, SK_LOOT) > 0;
    }
    sk_rcu_leave();
    sk_store_rlx(&w->robbing, false);
    sk_task *t = (sk_task *)sk_taskq_take(&w->queue);
    RL_ASSERT(won == (t != NULL)); /* nobody robs the thief here, and what he moved was one task */
    return t;
}

template <typename scenario, int threads> struct retire_model : rl::test_suite<scenario, threads>, retire {
    void thread(unsigned index)
    {
        static_cast<scenario *>(this)->act(index);
        world.leave();
    }
    void after()
    {
        retire::after();
    }
};

/* Its queue holds two tasks: they go to the inbox, and the other worker runs them. */
struct retire_tasks : retire_model<retire_tasks, 3> {
    void before()
    {
        begin(3);
        expected = 2;
        leavers = 1;
        has(0, 0);
        has(1, 1);
        sk_push(&workers[1], &tasks[0]);
        sk_push(&workers[1], &tasks[1]);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index < 2) return machine((int)index);
        RL_ASSERT(sk_shrink(&rt));
        control();
    }
};

/* Its wheel holds two timers, one of them due: they go to the first worker. */
struct retire_timers : retire_model<retire_timers, 3> {
    void before()
    {
        begin(3);
        expected = 2;
        leavers = 1;
        has(0, 0);
        has(1, 1);
        armed(0, 1, 5);
        armed(1, 1, world.clock + 30000);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index < 2) return machine((int)index);
        RL_ASSERT(sk_shrink(&rt));
        control();
    }
};

/* A timer is put into the inbox of its wheel while it retires: by it, by its heir or by the monitor, but it fires. */
struct retire_late_timer : retire_model<retire_late_timer, 4> {
    void before()
    {
        begin(4);
        expected = 1;
        leavers = 1;
        has(0, 0);
        has(1, 1);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index < 2) return machine((int)index);
        if (index == 3) return arm(0, 1, 5);
        RL_ASSERT(sk_shrink(&rt));
        control();
    }
};

/* The same without the first worker, which can help nobody here: only the retiring one and the monitor. */
struct retire_late_timer_alone : retire_model<retire_late_timer_alone, 3> {
    void before()
    {
        begin(3);
        leavers = 1;
        carried[0] = true;
        has(0, 1);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index == 0) return machine(0);
        if (index == 1) return arm(0, 1, 5);
        RL_ASSERT(sk_shrink(&rt));
        control();
        /* Its task is in the inbox, of which nobody takes here. */
        RL_ASSERT(sk_state_marks(&tasks[0].state) == 0 && sk_slot_state(tasks[0].sleep.word.value_) == SK_SLOT_FREE);
    }
};

/* It retires, and is carried again, by another thread: that one finds it as it was left. */
struct carried_again : retire_model<carried_again, 4> {
    void before()
    {
        begin(4);
        sk_inject_push(&rt.spares, &locals[3].spare_link);
        expected = 1;
        has(0, 0);
        has(1, 1);
        sk_push(&workers[1], &tasks[0]);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index != 2) return machine((int)index);
        RL_ASSERT(sk_shrink(&rt));
        deciding = true;
        while (!world.over && carry_of(&workers[1]) != SK_VACANT) look(&m);
        RL_ASSERT(world.over || sk_grow(&rt) == 0);
        deciding = false;
        control();
    }
    void after()
    {
        RL_ASSERT(carriers[1] == 2);
        retire::after();
    }
};

/* A spare thread goes to sleep while it is given a worker. */
struct recruit : retire_model<recruit, 2> {
    void before()
    {
        begin(2);
        carried[0] = true;
    }
    void act(unsigned index)
    {
        if (index == 0) {
            sk_worker *w = wait_for_worker(&locals[0]);
            if (w) carried[w->index] = true;
        } else {
            has(0, 1);
        }
    }
};

/* A spare thread goes to sleep while it is told to end. */
struct trim_spare : retire_model<trim_spare, 2> {
    bool ended;
    void before()
    {
        begin(2);
        carried[0] = carried[1] = true;
        ended = false;
        locals[0].next = NULL;
        rt.threads = &locals[0];
        sk_store_rlx(&rt.thread_count, 1u);
        sk_inject_push(&rt.spares, &locals[0].spare_link);
    }
    void act(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(wait_for_worker(&locals[0]) == NULL);
            ended = !world.over;
        } else {
            sk_trim_spares(&rt, 0);
        }
    }
    void after()
    {
        RL_ASSERT(ended && rt.threads == NULL);
        retire::after();
    }
};

/* A thief goes through the table while that is replaced and freed. */
struct table_against_thief : retire_model<table_against_thief, 3> {
    void before()
    {
        begin(3);
        carried[0] = true;
        leavers = 1;
        has(1, 1);
        sk_push(&workers[1], &tasks[0]);
        control_begin();
    }
    void act(unsigned index)
    {
        if (index == 1) return machine(1);
        if (index == 0) {
            for (int i = 0; i < 2; i++)
                if (sk_task *t = steal(&workers[0])) run(t);
            return;
        }
        RL_ASSERT(sk_shrink(&rt));
        control();
    }
};

/* The bound within which every schedule was explored, and how many those are. */
static const sk_model models[] = {
    SK_EXPLORE(retire_tasks, "retire-tasks", 0),
    SK_EXPLORE(retire_timers, "retire-timers", 0),
    SK_EXPLORE(retire_late_timer, "retire-late-timer", 0),
    SK_EXPLORE(retire_late_timer_alone, "retire-late-timer-alone", 0),
    SK_EXPLORE(carried_again, "carried-again", 0),
    SK_EXPLORE(recruit, "recruit", 4),       /*  6,400 */
    SK_EXPLORE(trim_spare, "trim-spare", 4), /* 58,240 */
    SK_EXPLORE(table_against_thief, "table-against-thief", 0),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

/*
 * regress.c: faults that were mended once, each brought about without chance: one side of the meeting is played by
 * hand, through the inner interface (runtime/sched.h). See byhand.c for others of this kind.
 */
#include "support/tasks.h"

#include "runtime/idle.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

static sk_worker *worker_of(skua_runtime *rt, uint32_t i)
{
    return sk_load_rlx(&rt->workers[i]);
}

static bool is_vacant(sk_worker *w)
{
    return (sk_load_acq(&w->carry) & SK_CARRY) == SK_VACANT;
}

static void count_in_use(void *object, void *ctx)
{
    sk_task *t = object;
    *(uint64_t *)ctx += sk_phase_of(sk_load_rlx(&t->state.word)) != SK_FREE;
}

/* Task objects of the whole process that are not free. */
static uint64_t tasks_in_use(void)
{
    uint64_t n = 0;
    sk_slab_each(&sk_tasks, count_in_use, &n);
    return n;
}

/* ---- joining ---- */

typedef struct family {
    sk_gate born, end_child, joined;
    skua_task child;
    int error, result;
} family;

static int wait_to_end(void *arg)
{
    family *f = arg;
    return sk_gate_await(&f->end_child, 1) ? 42 : -ETIME;
}

static int join_child(void *arg)
{
    family *f = arg;
    SK_EXPECT_EQ(skua_spawn(&f->child, wait_to_end, f), 0);
    sk_gate_add(&f->born);
    f->error = skua_join(f->child, &f->result);
    sk_gate_add(&f->joined);
    return 0;
}

/* Who ends a task may be stopped before it wakes the joiner, who has gone on by itself and joins another task by then:
   that join is woken for nothing. It must look again, and neither say -EBUSY (to itself) nor give up the handle. */
SK_TEST(regress, a_stale_wake_does_not_end_a_join)
{
    skua_runtime *rt = sk_runtime_of(2);
    family f = {.error = 1};
    skua_task parent = sk_spawn_on(rt, join_child, &f);
    SK_EXPECT(sk_gate_await(&f.born, 1));
    sk_task *p = parent.ref, *c = f.child.ref;
    for (int i = 0; i < 5; i++) {
        /* Parked and written down; woken by somebody who has the generation from somewhere. */
        SK_EVENTUALLY(sk_gate_now(&f.joined) || (sk_join_kind(sk_join_look(&c->join)) == SK_JOIN_TASK &&
                                                 sk_unpark(p, sk_generation_of(sk_load_rlx(&p->state.word)))));
    }
    SK_EXPECT_EQ(sk_gate_now(&f.joined), 0);
    sk_gate_add(&f.end_child);
    SK_EXPECT(sk_gate_await(&f.joined, 1));
    SK_EXPECT_EQ(f.error, 0);
    SK_EXPECT_EQ(f.result, 42);
    SK_EXPECT_EQ(skua_join(parent, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Two of a kind, one on each worker: the one on the first holds it, the other does its part there. */
typedef struct couple {
    skua_runtime *rt;
    sk_gate in, over, second_done;
    skua_fn *on_second; /* NULL: it returns at once */
    void *arg;
} couple;

static int be_one_of_two(void *arg)
{
    couple *c = arg;
    sk_gate_add(&c->in);
    if (!sk_gate_hold(&c->in, 2)) return -ETIME;
    if (sk_worker_self()->index == 0) return sk_gate_hold(&c->over, 1) ? 0 : -ETIME;
    int result = c->on_second ? c->on_second(c->arg) : 0;
    sk_gate_add(&c->second_done);
    return result;
}

static void begin_couple(couple *c, skua_task task[2])
{
    for (int i = 0; i < 2; i++) task[i] = sk_spawn_on(c->rt, be_one_of_two, c);
    SK_EXPECT(sk_gate_await(&c->in, 2));
}

static void end_couple(couple *c, const skua_task task[2])
{
    sk_gate_add(&c->over);
    for (int i = 0; i < 2; i++) {
        int result = -1;
        SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, 0);
    }
}

/* The wheel of a worker that does not come round keeps the memory of a task that has been joined. */
SK_TEST(regress, joined_is_joined_while_a_wheel_has_the_memory)
{
    couple c = {.rt = sk_runtime_of(2)};
    skua_task two[2], task;
    begin_couple(&c, two);
    SK_EXPECT(sk_gate_await(&c.second_done, 1));
    skua_task_options o = {.runtime = c.rt, .finish_within = SKUA_S(1000)}; /* from outside: on the first one's wheel */
    SK_EXPECT_EQ(skua_spawn_with(&task, &o, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join(task, NULL), 0);
    const sk_task *t = task.ref;
    SK_EXPECT_EQ(sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->state.word)), SK_ENDED); /* or this tests nothing */
    SK_EXPECT_EQ(skua_join(task, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_join_for(task, 0, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_detach(task), -ESRCH);
    end_couple(&c, two);
    SK_EXPECT_EQ(skua_runtime_release(c.rt), 0);
}

/* ---- retiring ---- */

enum { LEFT_QUEUED = 100, LEFT_TIMERS = 20 };

typedef struct estate {
    skua_runtime *rt;
    sk_gate queued, fired, next;
} estate;

/* Leaves as much as it can to whoever comes after its worker, which it makes retire. */
static int leave_an_estate(void *arg)
{
    estate *e = arg;
    sk_worker *w = sk_worker_self();
    void *args[LEFT_QUEUED];
    for (int i = 0; i < LEFT_QUEUED; i++) args[i] = &e->queued;
    if (skua_spawn_batch(NULL, LEFT_QUEUED, sk_open, args) != LEFT_QUEUED) return -EIO;
    for (int i = 0; i < LEFT_TIMERS; i++) {
        int error = skua_after(SKUA_MS(20 + 10 * i), sk_open, &e->fired);
        if (error) return error;
    }
    int error = skua_runtime_resize(e->rt, 1);
    for (uint64_t give_up = skua_now() + SKUA_S(20); !error && !sk_load_rlx(&w->retire);)
        if (skua_now() > give_up) return -ETIME;
    skua_task next; /* last: it stands in runnext when we return */
    if (!error) error = skua_spawn(&next, sk_open, &e->next);
    return error ? error : skua_detach(next);
}

SK_TEST(regress, who_retires_hands_over)
{
    estate e = {.rt = sk_runtime_of(2)};
    couple c = {.rt = e.rt, .on_second = leave_an_estate, .arg = &e};
    skua_task two[2];
    begin_couple(&c, two);
    sk_worker *second = worker_of(e.rt, 1);
    SK_EXPECT(sk_gate_await(&c.second_done, 1));
    SK_EVENTUALLY(is_vacant(second));
    /* The first worker is held, so that nobody has stolen: all this has been handed over. */
    SK_EXPECT_EQ(sk_taskq_size(&second->queue), 0);
    SK_EXPECT(!sk_load_rlx(&second->runnext));
    SK_EXPECT_EQ(sk_timers_next(&second->timers), UINT64_MAX);
    end_couple(&c, two);
    SK_EXPECT(sk_gate_await(&e.queued, LEFT_QUEUED));
    SK_EXPECT(sk_gate_await(&e.next, 1));
    SK_EXPECT(sk_gate_await(&e.fired, LEFT_TIMERS));
    SK_EXPECT_EQ(sk_stats_of(e.rt).workers, 1);
    SK_EXPECT_EQ(skua_runtime_release(e.rt), 0);
}

typedef struct lonely {
    sk_gate stop, yields;
} lonely;

static int yield_alone(void *arg)
{
    lonely *l = arg;
    while (!sk_gate_now(&l->stop)) {
        int error = skua_yield();
        if (error) return error;
        sk_gate_add(&l->yields);
    }
    return 0;
}

/* A yield with nobody to yield to is over at once; but it must let a worker go that is to retire. */
SK_TEST(regress, a_worker_retires_while_its_only_task_yields)
{
    lonely l = {0};
    couple c = {.rt = sk_runtime_of(2), .on_second = yield_alone, .arg = &l};
    skua_task two[2];
    begin_couple(&c, two);
    SK_EXPECT(sk_gate_await(&l.yields, 1000));
    SK_EXPECT_EQ(skua_runtime_resize(c.rt, 1), 0);
    SK_EVENTUALLY(is_vacant(worker_of(c.rt, 1)));
    sk_gate_add(&l.stop);
    end_couple(&c, two);
    SK_EXPECT_EQ(skua_runtime_release(c.rt), 0);
}

/* The same while the other worker sleeps: it must be woken for the task that it inherits. */
SK_TEST(regress, who_inherits_is_woken)
{
    lonely l = {0};
    couple c = {.rt = sk_runtime_of(2), .on_second = yield_alone, .arg = &l};
    skua_task two[2];
    begin_couple(&c, two);
    sk_gate_add(&c.over);
    SK_EVENTUALLY(sk_stats_of(c.rt).idle == 1);
    SK_EXPECT_EQ(skua_runtime_resize(c.rt, 1), 0);
    SK_EVENTUALLY(is_vacant(worker_of(c.rt, 1)));
    SK_EXPECT(sk_gate_await(&l.yields, sk_gate_now(&l.yields) + 1000));
    sk_gate_add(&l.stop);
    end_couple(&c, two);
    SK_EXPECT_EQ(skua_runtime_release(c.rt), 0);
}

/* ---- the end of a runtime ---- */

/* Timers that are stopped from outside lie in the inbox of a worker that sleeps, with the memory of their tasks. False:
   the worker was not asleep yet, and has swept its inbox once more. */
static bool release_with_stopped_timers(void)
{
    enum { TIMERS = 50 };
    skua_runtime *rt = sk_runtime_of(1);
    skua_task task[TIMERS];
    for (int i = 0; i < TIMERS; i++) {
        skua_task_options o = {.runtime = rt, .delay = SKUA_S(1000 + i)};
        SK_EXPECT_EQ(skua_spawn_with(&task[i], &o, sk_give_0, NULL), 0);
    }
    SK_EVENTUALLY(sk_stats_of(rt).idle == 1);
    for (int i = 0; i < TIMERS; i++) SK_EXPECT_EQ(skua_timer_stop((skua_timer){task[i]}), 0);
    for (int i = 0; i < TIMERS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    bool all_there = tasks_in_use() == TIMERS;
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(tasks_in_use(), 0);
    return all_there;
}

SK_TEST(regress, no_memory_is_left_in_the_wheels_of_a_released_runtime)
{
    for (int tries = 0; !release_with_stopped_timers(); tries++) SK_EXPECT(tries < 100);
}

typedef struct chores {
    sk_chore first, second;
    sk_task *second_task;
    sk_gate entered, ran;
} chores;

static void run_second(sk_chore *chore, sk_worker *w)
{
    (void)w;
    sk_gate_add(&sk_container_of(chore, chores, second)->ran);
}

/* Keeps the worker until the runtime has nothing left but chores, which it does not count. */
static void run_first(sk_chore *chore, sk_worker *w)
{
    chores *c = sk_container_of(chore, chores, first);
    sk_push(w, c->second_task);
    sk_gate_add(&c->entered);
    for (uint64_t give_up = skua_now() + SKUA_S(20); sk_load_rlx(&w->runtime->stopping) < SK_STOP_THREADS;)
        if (skua_now() > give_up) return;
}

/* A pool's pump that is left in a queue would keep the pool from being released for ever. */
SK_TEST(regress, a_chore_in_a_queue_is_done_before_the_threads_go)
{
    skua_runtime *rt = sk_runtime_of(1);
    chores c = {.first = {.run = run_first}, .second = {.run = run_second}};
    sk_task *first = sk_chore_new(&rt->owner, &c.first);
    c.second_task = sk_chore_new(&rt->owner, &c.second);
    SK_EXPECT(first && c.second_task);
    sk_ready(NULL, first);
    SK_EXPECT(sk_gate_await(&c.entered, 1));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_gate_now(&c.ran), 1);
    sk_chore_free(first);
    sk_chore_free(c.second_task);
}

/* ---- counting ---- */

typedef struct witness {
    sk_task_owner owner;
    sk_gate told;
    uint64_t done;
} witness;

static sk_task *note_end(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w, (void)t, (void)end, (void)result;
    witness *seen = sk_container_of(owner, witness, owner);
    seen->done = sk_stats_of(owner->runtime).done;
    sk_gate_add(&seen->told);
    return NULL;
}

/* Who has waited for a pool may release it and count: the runtime must have heard of the end before the pool does. */
SK_TEST(regress, an_end_is_counted_before_the_owner_is_told)
{
    skua_runtime *rt = sk_runtime_of(1);
    witness seen = {.owner = {.runtime = rt, .ended = note_end}};
    for (uint32_t i = 1; i <= 3; i++) {
        int error = 0;
        sk_task *t = sk_task_new(NULL, &seen.owner, sk_give_0, NULL, false, SK_ACTIVE, &error);
        SK_EXPECT(t != NULL);
        sk_ready(NULL, t);
        SK_EXPECT(sk_gate_await(&seen.told, i));
        SK_EXPECT_EQ(seen.done, i);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A submitter that is refused may have gone on on another worker meanwhile: nothing may be taken off a counter. */
static int withdraw_one(void *arg)
{
    sk_worker *w = sk_worker_self();
    uint64_t created = sk_load_rlx(&w->count.created);
    int error = 0;
    sk_task *t = sk_task_new(sk_local_self(), arg, sk_give_0, NULL, false, SK_ACTIVE, &error);
    if (!t) return error;
    sk_task_withdraw(t);
    return sk_load_rlx(&w->count.created) == created + 1 ? 0 : -EIO;
}

SK_TEST(regress, a_withdrawn_task_is_taken_off_no_counter)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(sk_run_on(rt, withdraw_one, &rt->owner), 0);
    SK_EVENTUALLY(sk_stats_of(rt).done == 3);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 3);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/*
 * byhand.c: paths of the runtime that are seldom taken, because two must meet at the right moment: one side is played
 * by hand, through the inner interface (runtime/sched.h), so that they meet each time.
 */
#include "support/tasks.h"

#include "os/clock.h"
#include "runtime/idle.h"
#include "runtime/machine.h"
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

/* ---- state words ---- */

SK_TEST(task_state, who_comes_late_changes_nothing)
{
    sk_task_state s = {0};
    uint64_t first = sk_state_born(&s, SK_DELAYED), generation = 0;
    SK_EXPECT(!sk_state_due(&s, first + 1)); /* the timer of another life */
    SK_EXPECT(!sk_state_undelay(&s, first + 1));
    SK_EXPECT_EQ(sk_state_hit(&s, first + 1, SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_STALE);
    SK_EXPECT(sk_state_due(&s, first) && !sk_state_due(&s, first) && !sk_state_undelay(&s, first));
    SK_EXPECT(sk_state_park(&s, &generation) == 0 && generation == first + 1);
    SK_EXPECT(!sk_state_wake(&s, first, SK_WHY_WAKE)); /* an earlier park */
    SK_EXPECT(sk_state_wake(&s, generation, SK_WHY_TIMEOUT) && !sk_state_wake(&s, generation, SK_WHY_WAKE));
    SK_EXPECT_EQ(sk_state_why(&s), SK_WHY_TIMEOUT);
    SK_EXPECT_EQ(sk_state_end(&s), 0);
    SK_EXPECT_EQ(sk_state_hit(&s, first, SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_ALREADY);
    sk_state_free(&s);
    SK_EXPECT_EQ(sk_state_hit(&s, first, SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_STALE);
    /* The memory is free, and its serial is that of no task, whoever may have guessed it. */
    SK_EXPECT_EQ(sk_state_hit(&s, sk_load_rlx(&s.serial), SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_STALE);
    SK_EXPECT(sk_state_born(&s, SK_ACTIVE) > first);
}

/* A claim that comes before the park: whoever is later, park or claim, finds out. */
SK_TEST(task_state, a_permit_stands_for_one_park)
{
    sk_task_state s = {0};
    uint64_t serial = sk_state_born(&s, SK_ACTIVE), generation = 0;
    SK_EXPECT_EQ(sk_state_grant(&s, serial), SK_GRANT_LATE); /* an earlier wait */
    SK_EXPECT_EQ(sk_state_grant(&s, serial + 1), SK_GRANT_PERMIT);
    SK_EXPECT_EQ(sk_state_grant(&s, serial + 1), SK_GRANT_LATE);
    SK_EXPECT_EQ(sk_state_hit(&s, serial, SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_MARKED);
    SK_EXPECT_EQ(sk_state_park(&s, &generation), SK_REFUSED_HAPPENED); /* it was first */
    SK_EXPECT(sk_state_skip(&s));
    SK_EXPECT_EQ(sk_state_grant(&s, serial + 1), SK_GRANT_LATE);
    SK_EXPECT_EQ(sk_state_park(&s, &generation), SK_REFUSED_MARKED);
    SK_EXPECT(!sk_state_skip(&s));
    SK_EXPECT_EQ(sk_state_grant(&s, serial + 2), SK_GRANT_LATE);
    (void)sk_state_decide(&s); /* takes the mark */
    SK_EXPECT_EQ(sk_state_park(&s, &generation), 0);
    SK_EXPECT_EQ(generation, serial + 3);
    SK_EXPECT_EQ(sk_state_grant(&s, serial + 2), SK_GRANT_LATE);
    SK_EXPECT_EQ(sk_state_grant(&s, generation), SK_GRANT_WOKEN);
    SK_EXPECT_EQ(sk_state_why(&s), SK_WHY_WAKE);
    SK_EXPECT_EQ(sk_state_grant(&s, generation), SK_GRANT_LATE);
    SK_EXPECT_EQ(sk_state_park(&s, &generation), 0);
    SK_EXPECT(sk_state_wake(&s, generation, SK_WHY_TIMEOUT));
    SK_EXPECT_EQ(sk_state_grant(&s, generation), SK_GRANT_LATE);
}

SK_TEST(task_state, marks_keep_a_task_from_starting_and_parking)
{
    static const unsigned marks[] = {SK_CANCEL, SK_EXPIRED};
    for (int i = 0; i < 2; i++) {
        sk_task_state s = {0};
        uint64_t serial = sk_state_born(&s, SK_ACTIVE), generation = 0;
        SK_EXPECT_EQ(sk_state_hit(&s, serial, marks[i], SK_WHY_CANCEL, 0), SK_HIT_MARKED);
        SK_EXPECT(!sk_state_start(&s) && sk_state_park(&s, &generation) == SK_REFUSED_MARKED);
        SK_EXPECT_EQ(sk_state_end_timed(&s), marks[i]);
        sk_state_free(&s);
        serial = sk_state_born(&s, SK_ACTIVE);
        SK_EXPECT(sk_state_start(&s));
        SK_EXPECT_EQ(sk_state_hit(&s, serial, marks[i], SK_WHY_EXPIRED, SK_STARTED), SK_HIT_ALREADY);
        SK_EXPECT_EQ(sk_state_marks(&s), 0);
    }
}

SK_TEST(task_join, an_end_that_finds_it_detached_frees)
{
    sk_join j;
    sk_join_born(&j, 7, true);
    uint64_t open = sk_join_look(&j);
    SK_EXPECT(sk_join_move(&j, open, NULL, SK_JOIN_DETACHED) && sk_join_is_detached(&j));
    SK_EXPECT(!sk_join_move(&j, open, NULL, SK_JOIN_DETACHED));
    SK_EXPECT_EQ(sk_join_kind(sk_join_end(&j)), SK_JOIN_DETACHED);
    sk_join_born(&j, 8, true);
    SK_EXPECT_EQ(sk_join_kind(sk_join_end(&j)), SK_JOIN_OPEN);
    SK_EXPECT_EQ(sk_join_kind(sk_join_look(&j)), SK_JOIN_ENDED);
}

/* ---- a chore is no task ---- */

typedef struct asker {
    sk_chore chore;
    skua_task busy;
    skua_pool *pool;
    skua_runtime *other;
    sk_gate done;
} asker;

/* What waits there waits as a thread; what needs a task says so. */
static void ask(sk_chore *chore, sk_worker *w)
{
    asker *a = sk_container_of(chore, asker, chore);
    SK_EXPECT(w != NULL && w->task == NULL);
    SK_EXPECT_EQ(skua_yield(), -EPERM);
    SK_EXPECT_EQ(skua_blocking_begin(), -EPERM);
    SK_EXPECT_EQ(skua_sleep(0), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_US(50)), 0);
    SK_EXPECT_EQ(skua_cancelled(), 0);
    SK_EXPECT(skua_runtime_current() == NULL && skua_self().ref == NULL);
    SK_EXPECT_EQ(skua_join_for(a->busy, SKUA_MS(1), NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_wait(a->pool, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_stop(a->other, SKUA_MS(3)), -ETIMEDOUT);
    sk_gate_add(&a->done);
}

SK_TEST(byhand, a_chore_is_no_task)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    sk_holder h = {0};
    asker a = {.chore = {.run = ask}, .busy = sk_hold_worker(other, &h), .other = other};
    SK_EXPECT_EQ(skua_pool_create(&a.pool, &(skua_pool_options){.runtime = other}), 0);
    SK_EXPECT_EQ(skua_pool_submit(a.pool, sk_give_0, NULL), 0);
    sk_task *t = sk_chore_new(&rt->owner, &a.chore);
    SK_EXPECT(t != NULL);
    sk_ready(NULL, t);
    SK_EXPECT(sk_gate_await(&a.done, 1));
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0); /* the chore is over: its worker does other things */
    sk_chore_free(t);
    sk_let_worker_go(&h, a.busy);
    SK_EXPECT_EQ(skua_pool_release(a.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- timers ---- */

/* A delayed task that its maker has not armed yet, as special as it must be for that. */
static sk_task *delayed_task(skua_runtime *rt, skua_fn *fn, void *arg)
{
    int error = 0;
    sk_task *t = sk_task_new(NULL, &rt->owner, fn, arg, false, SK_DELAYED, &error);
    SK_EXPECT(t != NULL && error == 0);
    t->fiber = SK_FIBER_SPECIAL;
    t->stack_class = (uint8_t)rt->stack_class;
    t->start_by = t->finish_by = 0;
    t->timed = false;
    return t;
}

static uint64_t delay_tag(sk_task *t)
{
    return sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_DELAY);
}

/* Somebody has read the home of a timer, its worker retires, and only then the timer comes into that one's inbox. */
SK_TEST(byhand, a_timer_left_with_a_retired_worker_fires)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate gate = 0;
    SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
    SK_EVENTUALLY(is_vacant(worker_of(rt, 1)));
    skua_sleep(SKUA_MS(5)); /* the monitor goes to its deep sleep */
    for (uint32_t i = 1; i <= 3; i++) {
        sk_timers *late = &worker_of(rt, 1)->timers;
        sk_task *t = delayed_task(rt, sk_open, &gate);
        uint64_t word = sk_slot_look(&t->sleep), due = skua_now() + SKUA_MS(2);
        sk_arming arming = sk_timers_arm_slow(late, &t->sleep, word, due, delay_tag(t));
        SK_EXPECT(sk_timers_arm_end(&arming, &t->sleep) == late);
        sk_timers_look_at(NULL, rt, late);
        SK_EXPECT(sk_gate_await(&gate, i));
        SK_EXPECT(skua_now() >= due);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct alarm_clock {
    uint64_t looked, due; /* ns: when the helper looked at the clock, and when the timer is due */
    sk_gate in, go, rung;
    bool early;
} alarm_clock;

static int ring(void *arg)
{
    alarm_clock *a = arg;
    a->early = skua_now() < a->due;
    sk_gate_add(&a->rung);
    return 0;
}

static int arm_after_a_look(void *arg)
{
    alarm_clock *a = arg;
    for (a->looked = skua_now(); skua_now() < a->looked + SKUA_MS(2);) sk_cpu_relax();
    a->due = skua_now() + SKUA_MS(1);
    SK_EXPECT_EQ(skua_after(SKUA_MS(1), ring, a), 0);
    sk_gate_add(&a->in);
    return sk_gate_hold(&a->go, 1) ? 0 : -ETIME;
}

/* Who helps with a wheel may have looked at the clock long before its owner arms a timer for a duration. */
SK_TEST(byhand, a_helper_with_an_old_clock_fires_no_timer_early)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        alarm_clock a = {0};
        skua_task t = sk_spawn_on(rt, arm_after_a_look, &a);
        SK_EXPECT(sk_gate_await(&a.in, 1));
        sk_timers_help(NULL, worker_of(rt, 0), a.looked);
        sk_gate_add(&a.go);
        SK_EXPECT(sk_gate_await(&a.rung, 1));
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT(!a.early);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct pair {
    sk_gate in, go, over, woke;
    uint64_t nap; /* ns */
    sk_atomic(uint64_t) slept;
} pair;

/* Two of these, one on each worker: the one on the second sleeps when told, the other holds the first. */
static int sleep_on_the_second(void *arg)
{
    pair *p = arg;
    sk_gate_add(&p->in);
    if (!sk_gate_hold(&p->go, 1)) return -ETIME;
    if (sk_worker_self()->index == 0) return sk_gate_hold(&p->over, 1) ? 0 : -ETIME;
    uint64_t from = skua_now();
    int error = skua_sleep(p->nap);
    sk_store_rlx(&p->slept, skua_now() - from);
    sk_gate_add(&p->woke);
    return error;
}

static bool is_armed(skua_task task)
{
    return sk_slot_state(sk_slot_look(&((sk_task *)task.ref)->sleep)) == SK_SLOT_ARMED;
}

/* Claims the wheel with the timer of one of the two in it, which cannot fire then. False: it has fired. */
static bool claim_before_it_fires(skua_runtime *rt, pair *p, const skua_task t[2], sk_claim *claim)
{
    SK_EVENTUALLY(sk_stats_of(rt).parked == 1 || sk_gate_now(&p->woke));
    while (!sk_claim_try(claim)) sk_cpu_relax();
    if (is_armed(t[0]) || is_armed(t[1])) return true;
    sk_claim_release(claim);
    return false;
}

/* False: on a busy machine the nap was over before we came. */
static bool retire_with_a_claimed_wheel(uint64_t nap)
{
    skua_runtime *rt = sk_runtime_of(2);
    pair p = {.nap = nap};
    skua_task t[2];
    for (int i = 0; i < 2; i++) t[i] = sk_spawn_on(rt, sleep_on_the_second, &p);
    SK_EXPECT(sk_gate_await(&p.in, 2));
    sk_gate_add(&p.go);
    sk_worker *second = worker_of(rt, 1);
    bool in_time = claim_before_it_fires(rt, &p, t, &second->timers.claim);
    if (in_time) {
        SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
        SK_EVENTUALLY(is_vacant(second));
        sk_claim_release(&second->timers.claim);
        SK_EVENTUALLY(!sk_inject_is_empty(&rt->inbox)); /* fired, although nobody carries its wheel */
    }
    sk_gate_add(&p.over);
    for (int i = 0; i < 2; i++) {
        int result = 1;
        SK_EXPECT_EQ(skua_join(t[i], &result), 0);
        SK_EXPECT_EQ(result, 0);
    }
    SK_EXPECT(sk_load_rlx(&p.slept) >= nap);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return in_time;
}

/* A worker that retires while somebody has its wheel cannot hand it over: the monitor serves it from then on. */
SK_TEST(byhand, a_wheel_that_is_claimed_is_left_to_the_monitor)
{
    uint64_t nap = SKUA_MS(60);
    for (int tries = 0; !retire_with_a_claimed_wheel(nap); tries++, nap += nap / 2) SK_EXPECT(tries < 10);
}

static bool make_known(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    (void)wait, (void)t, (void)generation;
    return true;
}

/* What arms a slot that is still in other hands may see it fire before its park: it must come again. */
static int fire_before_the_park(void *unused)
{
    (void)unused;
    sk_worker *w = sk_worker_self();
    sk_task *t = w->task;
    uint64_t next = sk_generation_of(sk_load_rlx(&t->state.word)) + 1, fired = sk_load_rlx(&w->count.timers_fired);
    sk_timers_arm(w, t, &t->sleep, skua_now(), sk_timer_tag(next, SK_TIMER_PARK));
    for (uint64_t give_up = skua_now() + SKUA_S(20); sk_load_rlx(&w->count.timers_fired) < fired + 3;) {
        if (skua_now() > give_up) return -ETIME;
        skua_yield();
    }
    sk_wait wait = {.publish = make_known};
    return sk_park(sk_worker_self(), &wait, SK_NEVER) == SK_WHY_TIMEOUT ? 0 : -EIO;
}

SK_TEST(byhand, a_timer_that_comes_before_its_park_comes_again)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(sk_run_on(rt, fire_before_the_park, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- parks that do not happen ---- */

static bool has_happened(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    (void)wait, (void)t, (void)generation;
    return false;
}

/* A cancel just before the park, when the waiter is known already. */
static bool cancel_it(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    (void)wait, (void)generation;
    SK_EXPECT_EQ(sk_state_hit(&t->state, sk_load_rlx(&t->state.serial), SK_CANCEL, SK_WHY_CANCEL, 0), SK_HIT_MARKED);
    return true;
}

/* The timer of such a park is stopped, and does not end a later one. */
static int park_in_vain(void *unused)
{
    (void)unused;
    sk_worker *w = sk_worker_self();
    sk_task *t = w->task;
    sk_wait happened = {.publish = has_happened}, cancelled = {.publish = cancel_it};
    uint64_t before = skua_now();
    for (int i = 0; i < 10; i++) {
        uint64_t generation = sk_generation_of(sk_load_rlx(&t->state.word));
        SK_EXPECT_EQ(sk_park(w, &happened, skua_now() + SKUA_MS(3)), SK_WHY_WAKE);
        SK_EXPECT(sk_generation_of(sk_load_rlx(&t->state.word)) > generation);
        SK_EXPECT_EQ(sk_slot_state(sk_slot_look(&t->sleep)), SK_SLOT_FREE);
        SK_EXPECT_EQ(sk_park(w, &happened, SK_NEVER), SK_WHY_WAKE);
    }
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(20)), 0);
    SK_EXPECT(skua_now() - before >= SKUA_MS(20));
    SK_EXPECT_EQ(sk_park(w, &cancelled, skua_now() + SKUA_S(1000)), SK_WHY_CANCEL);
    SK_EXPECT_EQ(sk_slot_state(sk_slot_look(&t->sleep)), SK_SLOT_FREE);
    return skua_cancelled();
}

SK_TEST(byhand, a_park_that_is_refused_leaves_no_timer)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(sk_run_on(rt, park_in_vain, NULL), -ECANCELED);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT(s.cancelled == 5 && s.parked == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A stopping runtime finds a delayed task whose maker has yet to arm it: not to be touched before that. */
SK_TEST(byhand, a_delayed_task_in_its_makers_hands_is_left_there)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate gate = 0;
    sk_task *t = delayed_task(rt, sk_open, &gate);
    uint64_t tag = delay_tag(t);
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_MS(5)), -ETIMEDOUT);
    SK_EXPECT(sk_phase_of(sk_load_acq(&t->state.word)) == SK_DELAYED);
    sk_task_start_in(NULL, t, SKUA_S(1000), tag);
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_S(30)), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).dropped, 1);
    SK_EXPECT_EQ(sk_gate_now(&gate), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A deadline that falls due when its task's memory serves another one. */
SK_TEST(byhand, a_deadline_that_comes_late_hits_nobody)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_holder h = {0};
    skua_task dead = sk_spawn_on(rt, sk_give_0, NULL), alive;
    SK_EXPECT_EQ(skua_join(dead, NULL), 0);
    alive = sk_hold_worker(rt, &h);
    sk_task_expire(NULL, (sk_task *)dead.ref, dead.serial, 0);
    sk_task_expire(NULL, (sk_task *)alive.ref, alive.serial - 1, 0);
    SK_EXPECT_EQ(sk_state_marks(&((sk_task *)alive.ref)->state), 0);
    sk_let_worker_go(&h, alive);
    SK_EXPECT_EQ(sk_stats_of(rt).done, 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- an end ---- */

static sk_atomic(uint64_t) detach_serial;
static sk_atomic(sk_task *) detach_task;
static sk_gate detached;

/* Told of the end before anybody looks at the join word for it. */
static sk_task *detach_at_the_end(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)owner, (void)w, (void)t, (void)end, (void)result;
    SK_EXPECT_EQ(skua_detach((skua_task){sk_load_acq(&detach_task), sk_load_rlx(&detach_serial)}), 0);
    sk_gate_add(&detached);
    return NULL;
}

SK_TEST(byhand, a_task_detached_while_it_ends_is_freed)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_task_owner owner = {.runtime = rt, .ended = detach_at_the_end};
    sk_slab_numbers before, after;
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    sk_slab_stats(&sk_tasks, &before);
    for (uint32_t i = 1; i <= 500; i++) {
        int error = 0;
        sk_task *t = sk_task_new(NULL, &owner, sk_give_0, NULL, true, SK_ACTIVE, &error);
        SK_EXPECT(t != NULL);
        sk_store_rlx(&detach_serial, sk_load_rlx(&t->state.serial));
        sk_store_rel(&detach_task, t);
        sk_ready(NULL, t);
        SK_EXPECT(sk_gate_await(&detached, i)); /* its end is counted before that */
    }
    sk_slab_stats(&sk_tasks, &after);
    SK_EXPECT(after.carved <= before.carved + 256); /* the same memory again and again */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- runnext ---- */

typedef struct nexts {
    sk_gate in, go, ran;
    skua_task child;
    uint32_t worker;  /* that ran it */
    bool stood_there; /* the child, when runnext was claimed */
} nexts;

static int spawn_at_a_claim(void *arg)
{
    nexts *n = arg;
    sk_worker *w = sk_worker_self();
    sk_gate_add(&n->in);
    if (!sk_gate_hold(&n->go, 1)) return -ETIME;
    SK_EXPECT_EQ(skua_spawn(&n->child, sk_open, &n->ran), 0);
    SK_EXPECT(sk_load_rlx(&w->runnext) == NULL); /* it went to the queue */
    return skua_join(n->child, NULL);
}

/* Whoever has a worker's runnext claimed is in nobody's way: the queue does as well. */
SK_TEST(byhand, a_claimed_runnext_is_done_without)
{
    skua_runtime *rt = sk_runtime_of(1);
    nexts n = {0};
    skua_task t = sk_spawn_on(rt, spawn_at_a_claim, &n);
    SK_EXPECT(sk_gate_await(&n.in, 1));
    sk_claim *claim = &worker_of(rt, 0)->next_claim;
    while (!sk_claim_try(claim)) sk_cpu_relax();
    sk_gate_add(&n.go);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&n.ran), 1);
    sk_claim_release(claim);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Claims its own worker's runnext with a child in it, before the monitor may have taken that out. */
static int spawn_and_claim(void *arg)
{
    nexts *n = arg;
    sk_worker *w = sk_worker_self();
    n->worker = w->index;
    SK_EXPECT_EQ(skua_spawn(&n->child, sk_open, &n->ran), 0);
    while (!sk_claim_try(&w->next_claim)) sk_cpu_relax();
    n->stood_there = sk_load_rlx(&w->runnext) != NULL;
    sk_gate_add(&n->in);
    return sk_gate_hold(&n->go, 1) ? 0 : -ETIME;
}

/* What stands in a runnext that is claimed, when the task before it has ended, waits for that, and is not lost. The
   claim is made on the last worker; where a task goes is not ours to choose, so we may have to try again. */
static bool end_with_a_full_runnext(uint32_t workers)
{
    enum { TRIES = 200 };
    skua_runtime *rt = sk_runtime_of(workers);
    bool last = false;
    for (int tries = 0; tries < TRIES && !last; tries++) {
        nexts n = {0};
        sk_holder first = {0};
        skua_task holder = {0};
        if (workers > 1) holder = sk_hold_worker(rt, &first);
        skua_task t = sk_spawn_on(rt, spawn_and_claim, &n);
        SK_EXPECT(sk_gate_await(&n.in, 1));
        sk_worker *w = worker_of(rt, n.worker);
        last = n.worker == workers - 1 && n.stood_there;
        if (workers > 1 && last) SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
        sk_gate_add(&n.go);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        if (last) skua_sleep(SKUA_MS(3));
        if (n.stood_there) SK_EXPECT_EQ(sk_gate_now(&n.ran), 0);
        sk_claim_release(&w->next_claim);
        if (workers > 1 && last) SK_EVENTUALLY(is_vacant(w));
        if (workers > 1) sk_let_worker_go(&first, holder);
        SK_EXPECT_EQ(skua_join(n.child, NULL), 0);
        SK_EXPECT_EQ(sk_gate_now(&n.ran), 1);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return last;
}

static void expect_full_runnexts(uint32_t workers)
{
    int seen = 0;
    for (int i = 0; i < 20; i++) seen += end_with_a_full_runnext(workers);
    SK_EXPECT(seen > 0);
}

SK_TEST(byhand, runnext_waits_for_a_claim_to_end)
{
    expect_full_runnexts(1);
}

SK_TEST(byhand, a_retiring_worker_waits_for_its_runnext)
{
    expect_full_runnexts(2);
}

/* ---- the end ---- */

typedef struct releaser {
    skua_runtime *rt;
    sk_gate done;
    int error;
} releaser;

static void *release_it(void *arg)
{
    releaser *r = arg;
    r->error = skua_runtime_release(r->rt);
    sk_gate_add(&r->done);
    return NULL;
}

/* Somebody outside is about to put its last word into a runtime that ends. */
SK_TEST(byhand, release_waits_for_its_visitors)
{
    releaser r = {.rt = sk_runtime_of(1)};
    pthread_t thread;
    SK_EXPECT_EQ(sk_run_on(r.rt, sk_give_0, NULL), 0);
    sk_visit(r.rt);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, release_it, &r), 0);
    skua_sleep(SKUA_MS(30));
    SK_EXPECT_EQ(sk_gate_now(&r.done), 0);
    sk_notify(r.rt); /* it is all there still */
    sk_visit_end(r.rt);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(r.error, 0);
}

/* A call that looks at the workers, and is stopped in the middle of it. */
SK_TEST(byhand, release_waits_for_calls_under_way)
{
    releaser r = {.rt = sk_runtime_of(1)};
    pthread_t thread;
    SK_EXPECT(sk_runtime_enter(r.rt));
    SK_EXPECT_EQ(pthread_create(&thread, NULL, release_it, &r), 0);
    skua_sleep(SKUA_MS(30));
    SK_EXPECT_EQ(sk_gate_now(&r.done), 0);
    SK_EXPECT_EQ(sk_workers_made(r.rt), 1); /* it is all there still */
    sk_runtime_exit(r.rt);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(r.error, 0);
    SK_EXPECT(!sk_runtime_enter(r.rt)); /* one that comes now leaves again */
}

/* Of those who release a runtime at once, one does. */
SK_TEST(byhand, two_release_one_frees)
{
    for (int i = 0; i < 50; i++) {
        skua_runtime *rt = sk_runtime_of(1);
        releaser r[2] = {{.rt = rt}, {.rt = rt}};
        pthread_t thread[2];
        sk_holder h = {0};
        skua_task t = sk_hold_worker(rt, &h);
        SK_EXPECT_EQ(skua_detach(t), 0);
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(pthread_create(&thread[k], NULL, release_it, &r[k]), 0);
        SK_EVENTUALLY(sk_load_rlx(&rt->stopping));
        sk_gate_add(&h.release);
        for (int k = 0; k < 2; k++) pthread_join(thread[k], NULL);
        SK_EXPECT((r[0].error == 0) + (r[1].error == 0) == 1);
        SK_EXPECT(r[0].error + r[1].error == -ESHUTDOWN);
    }
}

SK_TEST(byhand, the_first_worker_never_retires)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT(!sk_shrink(rt));
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 1);
    SK_EXPECT_EQ(sk_stats_of(rt).shrunk, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/*
 * job.cpp: Relacy models of jobs and futures: the real src/pool/job.c and
 * future.c in pools of stub_pools.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/job.cpp -o model-job
 *
 * What is tried: who waits for a future is woken, and sees what the task wrote; a
 * job is freed once, when nobody is left; its function is called once; a job that
 * is asked to end while it goes from one attempt to the next is not tried again
 * and again; a pool whose job backs off is not at rest.
 */
#define STUB_TASKS 6
#define STUB_POOLS 1
#define STUB_JOBS 2

#include "model/relacy.h"

#include "model/stub_pools.h"

static void *sk_heap_zalloc(size_t, size_t)
{
    RL_ASSERT(!"nobody asks");
    return NULL;
}

enum { RESULT = 7, DELAY = 5 };

/* ---- what all models share ---- */

/* A pool, and a job in it that has been submitted. */
struct job_model : pool_model {
    skua_future f;
    int tries, calls, last; /* attempts begun; how often a callback was called, and with what */
    VAR_T(int) news;
    bool pays; /* the job's task gives `news`, and returns RESULT; else it fails */

    static int attempt(void *self)
    {
        job_model *m = (job_model *)self;
        m->tries++;
        if (m->pays) m->news($) = 1;
        return m->pays ? (int)RESULT : -5;
    }
    static void called(void *self, void *given, int result)
    {
        job_model *m = (job_model *)self;
        m->calls++;
        m->last = result;
    }
    void begin(int threads)
    {
        pool_model::begin(threads, 1, 2);
        f.ref = NULL;
        tries = calls = last = 0;
        news($) = 0;
        pays = true;
    }
    void submit_future()
    {
        RL_ASSERT(skua_pool_submit_future(pool, &f, NULL, attempt, this) == 0);
    }
    /* Attempts that fail, with time between them; at the end `called`. */
    void submit_failing(uint32_t again, bool with_future)
    {
        skua_submit_options o = {};
        o.retry.times = again;
        o.retry.backoff = DELAY;
        o.ended.fn = called;
        o.ended.ctx = this;
        pays = false;
        if (with_future)
            RL_ASSERT(skua_pool_submit_future(pool, &f, &o, attempt, this) == 0);
        else
            RL_ASSERT(skua_pool_submit_with(pool, NULL, &o, attempt, this) == 0);
    }
    int wait(uint64_t timeout)
    {
        int result = 0, error = skua_future_wait(f, timeout, &result);
        RL_ASSERT(error || (result == RESULT && news($) == 1));
        waiting--;
        return error;
    }
    void release()
    {
        RL_ASSERT(skua_future_release(f) == 0);
    }
    /* Every job has been freed. */
    void end(bool released)
    {
        RL_ASSERT(jobs.slab.free == STUB_JOBS);
        for (int i = 0; i < STUB_JOBS; i++) {
            RL_ASSERT(sk_load_rlx(&job[i].first) == NULL);
            RL_ASSERT(sk_load_rlx(&job[i].others.threads) == 0);
        }
        RL_ASSERT(nodes.slab.free == 3);
        pool_model::end(released);
    }
};

/* ---- waiting ---- */

/* Foreign threads wait; one of them has `patience`, or for ever. */
template <int waiters, bool late> struct job_threads : rl::test_suite<job_threads<waiters, late>, waiters + 1> {
    job_model m;

    void before()
    {
        m.begin(waiters + 1);
        m.submit_future();
        m.waiting = waiters;
        if (late) world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index < waiters) {
            int error = m.wait(late && index == 0 ? 10 : SKUA_FOREVER);
            RL_ASSERT(error == 0 || (late && index == 0 && error == -ETIMEDOUT));
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.release();
        m.end(false);
    }
};

/* A task waits, as the first; with it a thread, or one who cancels it. */
enum { ALONE, WITH_THREAD, CANCELLED };
template <int how> struct job_task : rl::test_suite<job_task<how>, how == ALONE ? 3 : 4> {
    job_model m;

    void before()
    {
        m.begin(how == ALONE ? 3 : 4);
        m.submit_future();
        m.waiting = how == WITH_THREAD ? 2 : 1;
        m.s.run(STUB_TASKS - 1, false);
    }
    void thread(unsigned index)
    {
        sk_task *t = &m.s.tasks[STUB_TASKS - 1];
        if (index == 0) {
            sk_local_self()->worker = m.s.next_worker(t);
            int error = m.wait(SKUA_FOREVER);
            RL_ASSERT(error == 0 || (how == CANCELLED && error == -ECANCELED));
            stub_done(STUB_TASKS - 1);
        } else if (index == 1) {
            stub_loop(STUB_TASKS - 1);
        } else if (index == 2) {
            m.work();
        } else if (how == WITH_THREAD) {
            RL_ASSERT(m.wait(SKUA_FOREVER) == 0);
        } else {
            (void)skua_cancel((skua_task){t, 1});
        }
        world.leave();
    }
    void after()
    {
        m.release();
        m.end(false);
    }
};

/* A job's task waits for another job: it parks on its worker, the other one goes on. */
struct job_waits_for_job : rl::test_suite<job_waits_for_job, 2> {
    job_model m;
    int result;

    static int waits(void *self)
    {
        job_waits_for_job *j = (job_waits_for_job *)self;
        RL_ASSERT(j->m.wait(SKUA_FOREVER) == 0);
        return 1;
    }
    void before()
    {
        m.begin(2);
        RL_ASSERT(skua_pool_tune(m.pool, 2) == 0);
        m.steals = true;
        m.waiting = 1;
        RL_ASSERT(skua_pool_submit(m.pool, waits, this) == 0);
        m.submit_future();
    }
    void thread(unsigned)
    {
        m.work();
        world.leave();
    }
    void after()
    {
        m.release();
        m.end(false);
    }
};

/* ---- who frees it ---- */

/* The future is released while the job ends; and while one waits, who is told. */
template <bool waiter> struct job_release : rl::test_suite<job_release<waiter>, waiter ? 3 : 2> {
    job_model m;

    void before()
    {
        m.begin(waiter ? 3 : 2);
        m.submit_future();
        m.waiting = waiter;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else if (index == 1) {
            m.release();
        } else {
            int error = m.wait(SKUA_FOREVER);
            RL_ASSERT(error == 0 || error == -ESRCH);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.tries == 1);
        m.end(false);
    }
};

/* The memory of a released job serves another while one looks with the old future. */
struct job_stale : rl::test_suite<job_stale, 3> {
    job_model m;

    static int other(void *)
    {
        return 99;
    }
    void before()
    {
        m.begin(3);
        jobs.slab.free = 1; /* one place for both */
        m.submit_future();
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else if (index == 1) {
            m.release();
            skua_future second;
            if (jobs.slab.free > 0) {
                RL_ASSERT(skua_pool_submit_future(m.pool, &second, NULL, other, NULL) == 0);
                RL_ASSERT(skua_future_release(second) == 0);
            }
        } else {
            int result = RESULT, error = skua_future_try(m.f, &result);
            RL_ASSERT(error == 0 || error == -EAGAIN || error == -ESRCH);
            RL_ASSERT(result == RESULT);
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(jobs.slab.free == 1);
        jobs.slab.free = STUB_JOBS;
        m.end(false);
    }
};

/* ---- then ---- */

/* A function for the result comes while the job ends; with `two`, another one too: the second is refused, or called
   because the result is there. */
template <bool two> struct job_then : rl::test_suite<job_then<two>, two ? 3 : 2> {
    job_model m;
    int expected;

    static void here_is(void *self, void *given, int result)
    {
        job_model *m = (job_model *)self;
        RL_ASSERT(m->news($) == 1);
        job_model::called(self, given, result);
    }
    void before()
    {
        m.begin(two ? 3 : 2);
        m.submit_future();
        expected = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            int error = skua_future_then(m.f, here_is, &m, NULL);
            RL_ASSERT(error == 0 || (two && error == -EALREADY));
            expected += !error;
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(expected >= 1 && m.calls == expected && m.last == RESULT);
        m.release();
        m.end(false);
    }
};

/* ---- between two attempts ---- */

static void all_called()
{
    nobody_waits();
    RL_ASSERT(((job_model *)the_pool)->calls == 1);
}

/* A job that fails again and again is asked to end: by its future, or with all of its pool, or because that stops. At
   most the attempt that is on its way follows. */
enum { BY_FUTURE, BY_POOL, BY_STOP };
template <int how> struct job_cancel : rl::test_suite<job_cancel<how>, 2> {
    job_model m;
    int before_it;

    void before()
    {
        m.begin(2);
        m.submit_failing(4, how == BY_FUTURE);
        world.rest = all_called;
        m.waiting = 1;
        before_it = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            if (how == BY_FUTURE) {
                int error = skua_future_cancel(m.f);
                RL_ASSERT(error == 0);
            } else if (how == BY_POOL) {
                RL_ASSERT(skua_pool_cancel(m.pool) >= 0);
            } else {
                RL_ASSERT(skua_pool_stop_now(m.pool, SKUA_FOREVER) == 0);
                RL_ASSERT(m.calls == 1);
            }
            before_it = m.tries;
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.tries <= before_it + (how != BY_STOP) && m.tries <= 5);
        if (how == BY_FUTURE) m.release();
        m.end(false);
    }
};

/* The same later on: the canceller comes when time has passed. */
template <int how> struct job_cancel_late : rl::test_suite<job_cancel_late<how>, 2> {
    job_model m;
    sk_atomic(uint32_t) nobody;
    int before_it;

    void before()
    {
        m.begin(2);
        sk_store_rlx(&nobody, 0u);
        m.submit_failing(4, how == BY_FUTURE);
        world.rest = all_called;
        m.waiting = 1;
        before_it = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            sk_futex_wait(&nobody, 0, world.clock + DELAY);
            if (how == BY_FUTURE)
                RL_ASSERT(skua_future_cancel(m.f) == 0);
            else
                RL_ASSERT(skua_pool_cancel(m.pool) >= 0);
            before_it = m.tries;
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.tries <= before_it + 1 && m.tries <= 5);
        if (how == BY_FUTURE) m.release();
        m.end(false);
    }
};

/* A pool whose job backs off is not at rest: who waits, or releases it, comes back after the last attempt. */
template <bool release> struct job_rest : rl::test_suite<job_rest<release>, 2> {
    job_model m;

    void before()
    {
        m.begin(2);
        m.submit_failing(2, false);
        world.rest = all_called;
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            RL_ASSERT((release ? skua_pool_release(m.pool) : skua_pool_wait(m.pool, SKUA_FOREVER)) == 0);
            RL_ASSERT(m.calls == 1 && m.tries == 3);
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        m.end(release);
    }
};

/* The counters while a job backs off: one task, wherever it is. */
struct job_counts : rl::test_suite<job_counts, 2> {
    job_model m;

    void look()
    {
        skua_pool_counts c;
        RL_ASSERT(skua_pool_stats(m.pool, &c) == 0);
        RL_ASSERT(c.submitted == 1 && c.queued <= 1 && c.running <= 1 && c.failed <= 1);
        RL_ASSERT(c.submitted == c.queued + c.running + c.done + c.failed);
        RL_ASSERT(c.done == 0);
    }
    void before()
    {
        m.begin(2);
        m.submit_failing(1, false);
        world.rest = all_called;
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            for (int i = 0; i < 2; i++) look();
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        look();
        m.end(false);
    }
};

/* Asked to end before it starts, or while it does: the callback is made all the same, once. */
struct job_unstarted : rl::test_suite<job_unstarted, 2> {
    job_model m;

    void before()
    {
        m.begin(2);
        m.submit_failing(0, false);
        world.rest = all_called;
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            RL_ASSERT(skua_pool_cancel(m.pool) >= 0);
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.tries <= 1 && m.last == (m.tries ? -5 : -ECANCELED));
        m.end(false);
    }
};

/* ---- an attempt with a limit of its own ---- */

/* Its deadline comes while the function returns: the callback is told what the future, and the counters, say. */
struct job_run_within : rl::test_suite<job_run_within, 2> {
    job_model m;

    void before()
    {
        m.begin(2);
        skua_submit_options o = {};
        o.run_within = DELAY;
        o.ended.fn = job_model::called;
        o.ended.ctx = &m;
        RL_ASSERT(skua_pool_submit_future(m.pool, &m.f, &o, job_model::attempt, &m) == 0);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.work();
        else
            stub_serve(&m.s.workers[0], 2);
        world.leave();
    }
    void after()
    {
        int result = 0;
        RL_ASSERT(skua_future_try(m.f, &result) == 0);
        RL_ASSERT(m.calls == 1 && m.last == result && (result == RESULT || result == -ETIMEDOUT));
        RL_ASSERT(sk_load_rlx(&m.pool->ended[SK_LATE_END]) == (result == -ETIMEDOUT));
        m.release();
        m.end(false);
    }
};

typedef job_threads<1, false> job_thread;
typedef job_threads<2, false> job_two_threads;
typedef job_threads<2, true> job_late;
static const sk_model models[] = {
    SK_EXPLORE(job_thread, "job-thread", 2),
    SK_EXPLORE(job_two_threads, "job-threads", 1),
    SK_EXPLORE(job_late, "job-late", 1),
    SK_EXPLORE(job_task<ALONE>, "job-task", 1),
    SK_EXPLORE(job_task<WITH_THREAD>, "job-task-thread", 1),
    SK_EXPLORE(job_task<CANCELLED>, "job-task-cancel", 1),
    SK_EXPLORE(job_waits_for_job, "job-in-job", 1),
    SK_EXPLORE(job_release<false>, "job-release", 3),
    SK_EXPLORE(job_release<true>, "job-release-waiter", 1),
    SK_EXPLORE(job_stale, "job-stale", 1),
    SK_EXPLORE(job_then<false>, "job-then", 2),
    SK_EXPLORE(job_then<true>, "job-then-two", 1),
    SK_EXPLORE(job_cancel<BY_FUTURE>, "job-cancel", 2),
    SK_EXPLORE(job_cancel<BY_POOL>, "job-cancel-pool", 1),
    SK_EXPLORE(job_cancel<BY_STOP>, "job-stop", 1),
    SK_EXPLORE(job_cancel_late<BY_FUTURE>, "job-late-cancel", 2),
    SK_EXPLORE(job_cancel_late<BY_POOL>, "job-late-cancel-pool", 1),
    SK_EXPLORE(job_rest<false>, "job-rest", 1),
    SK_EXPLORE(job_rest<true>, "job-rest-release", 1),
    SK_EXPLORE(job_counts, "job-counts", 1),
    SK_EXPLORE(job_unstarted, "job-unstarted", 1),
    SK_EXPLORE(job_run_within, "job-run-within", 1),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

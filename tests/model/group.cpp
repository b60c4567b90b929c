/*
 * group.cpp: Relacy models of groups: the real src/pool/group.c over pools of
 * stub_pools.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/group.cpp -o model-group
 *
 * What is tried: of all that cancel a group, by a call or by an error, one sweeps;
 * no task that comes in beside a sweep is left out; no error falls between two
 * rounds; who learns of an error sees what its task wrote; release waits for calls
 * under way, and for groups below.
 */
#define STUB_TASKS 7
#define STUB_POOLS 2
#define STUB_JOBS 1
#define STUB_GROUPS 2

#include "model/relacy.h"

#include "model/stub_groups.h"

static void *sk_heap_zalloc(size_t n, size_t size)
{
    RL_ASSERT(size == sizeof(sk_group_slot));
    sk_group_slot *slots = stub_new<sk_group_slot>(n);
    for (size_t i = 0; i < n; i++) {
        sk_store_rlx(&slots[i].word, UINT64_C(0));
        sk_store_rlx(&slots[i].arg, (void *)NULL);
    }
    return slots;
}

/* ---- who cancels ---- */

/* Two tasks fail, of a group that fails fast: each error that happened is counted, one sweeps, wait says the first. */
struct group_fails : rl::test_suite<group_fails, 3> {
    group_model m;

    void before()
    {
        m.begin(3, 2, 2, true);
        m.steals = true;
        m.waiting = 1;
        RL_ASSERT(m.go(-5) == 0);
        RL_ASSERT(m.go(-6) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int error = m.wait();
            RL_ASSERT(error == -5 || error == -6);
            RL_ASSERT(m.ended == 2 && error == error_of(m.verdict()));
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.errors >= 1 && (m.verdict() & SK_VERDICT_COUNT) == (uint64_t)m.errors);
        RL_ASSERT(sk_load_rlx(&m.pool->sweeps) == 1 && sk_load_rlx(&m.pool->swept) == 1);
        m.end();
    }
};

/* Two cancel, or one does while a task fails: one of them does it, and says why. */
template <bool fails> struct group_cancels : rl::test_suite<group_cancels<fails>, 2> {
    group_model m;
    int done, cause;

    void before()
    {
        m.begin(2, 1, 2, true);
        done = cause = 0;
        m.waiting = fails ? 1 : 2;
        if (fails) RL_ASSERT(m.go(-5) == 0);
    }
    void cancel(int why)
    {
        int error = skua_group_cancel(m.group, why);
        RL_ASSERT(error == 0 || error == -EALREADY);
        if (!error) {
            done++;
            cause = why;
        }
        m.waiting--;
    }
    void thread(unsigned index)
    {
        if (fails && index == 0)
            m.work();
        else
            cancel(-7 - (int)index);
        world.leave();
    }
    void after()
    {
        int error = m.wait();
        RL_ASSERT(done == 1 || (fails && done == 0 && error == -5));
        RL_ASSERT(done == 0 || error == cause);
        RL_ASSERT(sk_load_rlx(&m.pool->sweeps) == 1);
        m.end();
    }
};

/* A task that comes in while its group, or the one above, is cancelled is refused, or asked to end. */
enum { FROM_THREAD, FROM_TASK, BELOW };
template <int how> struct group_late : rl::test_suite<group_late<how>, 2> {
    group_model m;

    void before()
    {
        m.begin(2, 0, 2, false);
        m.waiting = 2;
        world.rest = nobody_waits;
        if (how == FROM_TASK) m.s.run(STUB_TASKS - 1, false);
    }
    skua_group *entered()
    {
        if (how != BELOW) return m.group;
        skua_group_options options = {};
        options.parent = m.group;
        options.queue = 2;
        return m.create(options);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (how == FROM_TASK) sk_local_self()->worker = m.s.next_worker(&m.s.tasks[STUB_TASKS - 1]);
            int error = m.go_in(entered(), 0);
            RL_ASSERT(error == 0 || error == -ECANCELED);
        } else {
            RL_ASSERT(skua_group_cancel(m.group, 0) == 0);
        }
        m.waiting--;
        world.leave();
    }
    void after()
    {
        int found = 0;
        for (int i = 0; i < STUB_TASKS; i++) {
            if (m.s.tasks[i].fn != group_model::ends || sk_phase_of(sk_load_rlx(&m.s.tasks[i].state.word)) == SK_FREE)
                continue;
            RL_ASSERT(sk_state_marks(&m.s.tasks[i].state) & SK_CANCEL);
            found++;
        }
        RL_ASSERT(found == m.accepted);
        for (int i = 0; i < STUB_POOLS; i++)
            if (m.memory[i].backlog.levels) sk_backlog_fini(&m.memory[i].backlog);
    }
};

/* Who waits for room is refused when the group is cancelled. */
struct group_full : rl::test_suite<group_full, 2> {
    group_model m;

    void before()
    {
        m.begin(2, 1, 1, false);
        m.waiting = 2;
        world.rest = nobody_waits;
        while (skua_group_try_go(m.group, group_model::ends, NULL) == 0) m.accepted++;
    }
    void thread(unsigned index)
    {
        RL_ASSERT(index == 0 ? m.go(0) == -ECANCELED : skua_group_cancel(m.group, 0) == 0);
        m.waiting--;
        world.leave();
    }
    void after()
    {
        sk_backlog_fini(&m.pool->backlog);
    }
};

/* ---- rounds ---- */

/* One waits for a task that fails while another, which fails too, comes in: each error is in one round. */
struct group_rounds : rl::test_suite<group_rounds, 3> {
    group_model m;
    int first;

    void before()
    {
        m.begin(3, 1, 2, false);
        m.yields = false;
        m.waiting = 2;
        first = 0;
        RL_ASSERT(m.go(-5) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            first = m.wait();
            m.waiting--;
        } else if (index == 1) {
            RL_ASSERT(m.go(-6) == 0);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        uint64_t count = m.verdict() & SK_VERDICT_COUNT;
        bool again = (m.verdict() & SK_VERDICT_ROUND) != 0;
        int second = m.wait();
        RL_ASSERT(first == -5 && second == (again ? -6 : -5) && count == (again ? 1 : 2));
        m.end();
    }
};

/* A round that failed fast; then the next one, which knows nothing of it. */
struct group_again : rl::test_suite<group_again, 2> {
    group_model m;

    void before()
    {
        m.begin(2, 1, 2, true);
        m.yields = false;
        m.waiting = 1;
        RL_ASSERT(m.go(-5) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int error = m.go(0);
            RL_ASSERT(error == 0 || error == -ECANCELED);
            RL_ASSERT(m.wait() == -5);
            RL_ASSERT(m.ended == m.accepted);
            int ran = m.ran;
            RL_ASSERT(m.go(0) == 0);
            RL_ASSERT(m.wait() == 0);
            RL_ASSERT(m.ran == ran + 1);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* ---- who learns of an error ---- */

/* By cause, or by errors: what the task wrote, and its argument. */
template <bool all> struct group_cause : rl::test_suite<group_cause<all>, 2> {
    group_model m;
    VAR_T(int) news;

    static int pays(void *self)
    {
        ((group_cause *)self)->news($) = 1;
        return -5;
    }
    void before()
    {
        m.begin(2, 1, 2, false, 2);
        news($) = 0;
        m.waiting = 1;
        RL_ASSERT(skua_group_go(m.group, pays, this) == 0);
        m.accepted++;
    }
    void look()
    {
        skua_group_error e[2];
        int error = all ? skua_group_errors(m.group, e, 2) : skua_group_cause(m.group);
        if (!error) return;
        RL_ASSERT(error == (all ? 1 : -5) && news($) == 1);
        if (all) RL_ASSERT(e[0].error ? e[0].error == -5 && e[0].arg == this : e[0].arg == NULL);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.work();
        } else {
            look();
            look();
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* ---- the end ---- */

/* Release against a call that looks at the group's memory. */
struct group_release : rl::test_suite<group_release, 2> {
    group_model m;

    void before()
    {
        m.begin(2, 1, 2, false, 1);
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_group_release(m.group) == 0);
        } else {
            skua_group_error e[1];
            int error = skua_group_errors(m.group, e, 1);
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
        }
        m.waiting--;
        world.leave();
    }
    void after()
    {
        RL_ASSERT(groups.slab.free == STUB_GROUPS);
        m.end();
    }
};

/* A task of the group is under way while somebody releases it. */
struct group_ends : rl::test_suite<group_ends, 2> {
    group_model m;

    void before()
    {
        m.begin(2, 1, 2, true, 1);
        m.waiting = 1;
        RL_ASSERT(m.go(-5) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_group_release(m.group) == 0);
            RL_ASSERT(m.ended == 1);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(groups.slab.free == STUB_GROUPS);
        m.end();
    }
};

/* A group below comes while the one above is released: one of both is refused. */
struct group_below : rl::test_suite<group_below, 2> {
    group_model m;
    int created, released;

    void before()
    {
        m.begin(2, 1, 2, false);
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            released = skua_group_release(m.group);
            RL_ASSERT(released == 0 || released == -EBUSY);
        } else {
            skua_group *below;
            skua_group_options options = {};
            options.parent = m.group;
            options.queue = 2;
            created = skua_group_create(&below, &options);
            RL_ASSERT(created == 0 || created == -ESHUTDOWN);
        }
        m.waiting--;
        world.leave();
    }
    void after()
    {
        RL_ASSERT(released || created);
        RL_ASSERT(groups.slab.free == (released && !created ? 0 : 1 + (!released && created)));
        m.end();
    }
};

static const sk_model models[] = {
    SK_EXPLORE(group_fails, "group-fails", 0),
    SK_EXPLORE(group_cancels<false>, "group-cancels", 2),
    SK_EXPLORE(group_cancels<true>, "group-cancel-fails", 2),
    SK_EXPLORE(group_late<FROM_THREAD>, "group-late", 2),
    SK_EXPLORE(group_late<FROM_TASK>, "group-late-task", 2),
    SK_EXPLORE(group_late<BELOW>, "group-late-below", 1),
    SK_EXPLORE(group_full, "group-full", 2),
    SK_EXPLORE(group_rounds, "group-rounds", 0),
    SK_EXPLORE(group_again, "group-again", 1),
    SK_EXPLORE(group_cause<false>, "group-cause", 2),
    SK_EXPLORE(group_cause<true>, "group-errors", 2),
    SK_EXPLORE(group_release, "group-release", 2),
    SK_EXPLORE(group_ends, "group-ends", 1),
    SK_EXPLORE(group_below, "group-below", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

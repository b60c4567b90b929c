/*
 * state.cpp: Relacy models of the state word of a task (runtime/task_state.h).
 *
 *   g++ -DSK_MODEL -Isrc -Itests -O1 -w tests/model/state.cpp -o model-state
 *   ./model-state random 100000        every model, so many random schedules
 *   ./model-state bound 2 reuse -v     one model, all schedules of few context switches; retell a failure
 *
 * In each, `stack` stands for all that the task's runner writes without
 * atomics: whoever has the task in hand touches it, and Relacy reports two who
 * do so without an order between them.
 */
#include "model/relacy.h"

#include "runtime/task_state.h"

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* One task in one piece of memory. */
struct task_model {
    sk_task_state state;
    VAR_T(int) stack;
    sk_atomic(uint32_t) event; /* what the task waits for */
    uint64_t serial;           /* of its first life */
    int held;                  /* how many have it in hand: one at most */

    void init(unsigned phase)
    {
        sk_store_rlx(&state.word, UINT64_C(0));
        sk_store_rlx(&state.serial, UINT64_C(0));
        sk_store_rlx(&event, 0u);
        stack($) = 0;
        held = 1;
        serial = sk_state_born(&state, phase);
        if (phase == SK_DELAYED) held = 0;
    }
    /* The calling thread has got the task in hand. */
    void take()
    {
        RL_ASSERT(held++ == 0);
        stack($) = stack($) + 1;
    }
    void touch()
    {
        RL_ASSERT(held == 1);
        stack($) = stack($) + 1;
    }
    void let_go()
    {
        touch();
        held--;
    }
    bool marked()
    {
        return sk_state_marks(&state) != 0;
    }
    /* Runner: parks in `expected`; what follows may be done by others from then on. False: it is still ours. */
    bool park(uint64_t expected)
    {
        uint64_t generation;
        let_go();
        if (sk_state_park(&state, &generation)) {
            take();
            return false;
        }
        RL_ASSERT(generation == expected);
        return true;
    }
    bool wake(uint64_t generation, sk_why why)
    {
        if (!sk_state_wake(&state, generation, why)) return false;
        take();
        RL_ASSERT(sk_state_why(&state) == why);
        return true;
    }
    /* An event: written, then the waiter woken. */
    bool happen(uint64_t generation)
    {
        /* [TS-M1] sequentially consistent, as park.c asks of an event; pairs with [TS-M2]. */
        sk_store_sc(&event, 1u);
        return wake(generation, SK_WHY_WAKE);
    }
    /* A park of an event, as park.c does it. True: it goes on in this thread. */
    bool park_for_event(uint64_t generation)
    {
        if (!park(generation)) return true;
        /* [TS-M2] sequentially consistent, as park.c asks of the second look; pairs with [TS-M1]. */
        return sk_load_sc(&event) && wake(generation, SK_WHY_WAKE);
    }
    sk_hit hit(unsigned mark, sk_why why, unsigned unless)
    {
        sk_hit did = sk_state_hit(&state, serial, mark, why, unless);
        if (did == SK_HIT_WOKEN || did == SK_HIT_DELAYED) take();
        return did;
    }
    sk_hit cancel()
    {
        return hit(SK_CANCEL, SK_WHY_CANCEL, 0);
    }
};

/* A task parks for an event that comes at any moment: it goes on exactly once, in one hand. */
struct park_event : rl::test_suite<park_event, 2> {
    task_model t;
    int resumed;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            resumed += t.park_for_event(t.serial + 1);
        else
            resumed += t.happen(t.serial + 1);
    }
    void after()
    {
        RL_ASSERT(resumed == 1);
        RL_ASSERT(sk_phase_of(sk_load_rlx(&t.state.word)) == SK_ACTIVE);
    }
};

/* The same, and its timeout falls due: one of the two has woken it. */
struct wake_timeout : rl::test_suite<wake_timeout, 3> {
    task_model t;
    int resumed;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            resumed += t.park_for_event(t.serial + 1);
        else if (index == 1)
            resumed += t.happen(t.serial + 1);
        else
            resumed += t.wake(t.serial + 1, SK_WHY_TIMEOUT);
    }
    void after()
    {
        RL_ASSERT(resumed == 1);
    }
};

/* An event against a cancel: the park is refused, or one of them has woken it; and the mark stays. */
struct wake_cancel : rl::test_suite<wake_cancel, 3> {
    task_model t;
    int resumed;
    sk_hit did;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            resumed += t.park_for_event(t.serial + 1);
        } else if (index == 1) {
            resumed += t.happen(t.serial + 1);
        } else {
            did = t.cancel();
            RL_ASSERT(did == SK_HIT_MARKED || did == SK_HIT_WOKEN);
            resumed += did == SK_HIT_WOKEN;
        }
    }
    void after()
    {
        RL_ASSERT(resumed == 1);
        RL_ASSERT(sk_state_marks(&t.state) == SK_CANCEL);
    }
};

/* Nobody but cancellers: the task parks once more after each that it did not see, and does not sleep marked. Of two
   that cancel one is told that it was done already. */
struct cancel_park : rl::test_suite<cancel_park, 3> {
    task_model t;
    int resumed, hits;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = hits = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            resumed += !t.park(t.serial + 1);
        } else {
            sk_hit did = t.cancel();
            resumed += did == SK_HIT_WOKEN;
            hits += did != SK_HIT_ALREADY;
        }
    }
    void after()
    {
        RL_ASSERT(resumed == 1 && hits == 1);
    }
};

/* Cancel and expiry at once, on a task that parks: both marks stand, one of them has woken it at most. */
struct cancel_expire : rl::test_suite<cancel_expire, 3> {
    task_model t;
    int resumed;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            resumed += !t.park(t.serial + 1);
        else if (index == 1)
            resumed += t.cancel() == SK_HIT_WOKEN;
        else
            resumed += t.hit(SK_EXPIRED, SK_WHY_EXPIRED, 0) == SK_HIT_WOKEN;
    }
    void after()
    {
        RL_ASSERT(resumed == 1);
        RL_ASSERT(sk_state_marks(&t.state) == (SK_CANCEL | SK_EXPIRED));
    }
};

/* The first park's timeout comes when the task has been woken and sleeps again: the second park is not its. */
struct late_timeout : rl::test_suite<late_timeout, 3> {
    task_model t;
    int timeouts, wakes;

    void before()
    {
        t.init(SK_ACTIVE);
        timeouts = wakes = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            t.park(t.serial + 1);
        } else if (index == 1) {
            if (t.wake(t.serial + 1, SK_WHY_WAKE)) {
                wakes++;
                t.park(t.serial + 2);
            }
        } else if (t.wake(t.serial + 1, SK_WHY_TIMEOUT)) {
            timeouts++;
            RL_ASSERT(sk_generation_of(sk_load_rlx(&t.state.word)) == t.serial + 1);
        }
    }
    void after()
    {
        RL_ASSERT(timeouts + wakes <= 1);
        RL_ASSERT(!wakes || sk_phase_of(sk_load_rlx(&t.state.word)) == SK_PARKED);
    }
};

/* A park that did not happen, though its timer was armed: skipped, so that the timer does not end the next park. */
struct refused_skip : rl::test_suite<refused_skip, 3> {
    task_model t;
    int resumed;

    void before()
    {
        t.init(SK_ACTIVE);
        resumed = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(!sk_state_skip(&t.state)); /* its waiter's publication found that the event had happened */
            resumed += t.park_for_event(t.serial + 2);
        } else if (index == 1) {
            resumed += t.happen(t.serial + 2);
        } else {
            RL_ASSERT(!t.wake(t.serial + 1, SK_WHY_TIMEOUT));
        }
    }
    void after()
    {
        RL_ASSERT(resumed == 1);
    }
};

/* A skip changes a word that others change: a mark that comes at that moment is not lost. */
struct skip_cancel : rl::test_suite<skip_cancel, 2> {
    task_model t;

    void before()
    {
        t.init(SK_ACTIVE);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(!sk_state_skip(&t.state));
        else
            RL_ASSERT(t.cancel() == SK_HIT_MARKED);
    }
    void after()
    {
        uint64_t word = sk_load_rlx(&t.state.word);
        RL_ASSERT(sk_generation_of(word) == t.serial + 1 && t.marked());
    }
};

/*
 * ---- grants ----
 *
 * A sleeper's wait, which others may end before it has parked: by a grant, which is
 * a claim, or otherwise, and then it has been given up.
 */
struct sleeper_model {
    task_model t;
    VAR_T(int) news[2]; /* what each granter has done before */
    int claimed, given_up, granted;
    bool again; /* parks once more, for something that does not come */

    /* `sleeps_again`: only where no mark comes. */
    void init(bool sleeps_again)
    {
        t.init(SK_ACTIVE);
        news[0]($) = news[1]($) = 0;
        claimed = given_up = granted = 0;
        again = sleeps_again;
    }
    /* The wait is over, for whoever has the task in hand. */
    void over(bool was_claimed)
    {
        RL_ASSERT(sk_generation_of(sk_load_rlx(&t.state.word)) == t.serial + 1);
        claimed += was_claimed;
        given_up += !was_claimed;
        RL_ASSERT(!again || t.park(t.serial + 2));
    }
    /* It does not park, whatever the reason. `by`: who has granted it, if anybody. */
    void skip(int by)
    {
        t.touch();
        bool permit = sk_state_skip(&t.state);
        if (permit && by >= 0) RL_ASSERT(news[by]($) == 1);
        over(permit);
    }
    /* Parks, as a sleeper does. */
    void sleep(int by)
    {
        uint64_t generation;
        t.let_go();
        uint8_t refused = sk_state_park(&t.state, &generation);
        if (!refused) {
            RL_ASSERT(generation == t.serial + 1);
            return;
        }
        t.take();
        int before = claimed;
        skip(by);
        RL_ASSERT(refused == SK_REFUSED_MARKED ? t.marked() : claimed == before + 1);
    }
    void grant(int by)
    {
        news[by]($) = 1;
        sk_grant did = sk_state_grant(&t.state, t.serial + 1);
        granted += did != SK_GRANT_LATE;
        if (did != SK_GRANT_WOKEN) return;
        t.take();
        RL_ASSERT(sk_state_why(&t.state) == SK_WHY_WAKE);
        over(true);
    }
    void timeout()
    {
        if (t.wake(t.serial + 1, SK_WHY_TIMEOUT)) over(false);
    }
    void cancel()
    {
        if (t.cancel() == SK_HIT_WOKEN) over(false);
    }
    /* Claimed or given up, once, and told so; and nothing is left for a later park. */
    void end()
    {
        uint64_t word = sk_load_rlx(&t.state.word);
        RL_ASSERT(claimed + given_up == 1 && granted == claimed);
        RL_ASSERT(!(word & SK_PERMIT) && sk_generation_of(word) == t.serial + 1 + again);
        RL_ASSERT(sk_phase_of(word) == (again ? SK_PARKED : SK_ACTIVE));
        RL_ASSERT(t.held == !again);
    }
};

/* A park beside a grant: that wakes it, or keeps it from parking. */
struct grant_park : rl::test_suite<grant_park, 2> {
    sleeper_model m;

    void before()
    {
        m.init(true);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.sleep(0);
        else
            m.grant(0);
    }
    void after()
    {
        RL_ASSERT(m.claimed == 1);
        m.end();
    }
};

/* Beside a grant and a cancel: claimed, and marked; or given up. */
struct grant_cancel : rl::test_suite<grant_cancel, 3> {
    sleeper_model m;

    void before()
    {
        m.init(false);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.sleep(0);
        else if (index == 1)
            m.grant(0);
        else
            m.cancel();
    }
    void after()
    {
        m.end();
        RL_ASSERT(m.t.marked());
    }
};

/* Beside a grant and its deadline. */
struct grant_timeout : rl::test_suite<grant_timeout, 3> {
    sleeper_model m;

    void before()
    {
        m.init(true);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.sleep(0);
        else if (index == 1)
            m.grant(0);
        else
            m.timeout();
    }
    void after()
    {
        m.end();
    }
};

/* Two grants, from two queues: one is told that it was late. `refused`: the task does not come as far as its park. */
template <bool refused> struct two_grants : rl::test_suite<two_grants<refused>, 3> {
    sleeper_model m;

    void before()
    {
        m.init(true);
    }
    void thread(unsigned index)
    {
        if (index > 0)
            m.grant((int)index - 1);
        else if (refused)
            m.skip(-1);
        else
            m.sleep(-1);
    }
    void after()
    {
        RL_ASSERT(refused || m.claimed == 1);
        m.end();
    }
};

/* A park that was refused, beside the grant: it comes before the skip, and the wait has been claimed; or after it, and
   is late, also for the next park. */
struct grant_skip : rl::test_suite<grant_skip, 2> {
    sleeper_model m;

    void before()
    {
        m.init(true);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.skip(0);
        else
            m.grant(0);
    }
    void after()
    {
        m.end();
    }
};

/* The same, refused by a mark, which comes at that moment; and the timer that was armed for that park. */
struct grant_marked : rl::test_suite<grant_marked, 4> {
    sleeper_model m;

    void before()
    {
        m.init(false);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            m.sleep(0);
        else if (index == 1)
            m.grant(0);
        else if (index == 2)
            m.cancel();
        else
            m.timeout();
    }
    void after()
    {
        m.end();
    }
};

/* The end of a task, and another life in the same memory, against a cancel that was meant for the first one. */
struct stale_cancel : rl::test_suite<stale_cancel, 3> {
    task_model t;
    sk_hit did[2];

    void before()
    {
        t.init(SK_ACTIVE);
    }
    void thread(unsigned index)
    {
        if (index > 0) {
            did[index - 1] = t.cancel();
            return;
        }
        sk_state_end(&t.state);
        sk_state_free(&t.state);
        uint64_t serial = sk_state_born(&t.state, SK_ACTIVE);
        RL_ASSERT(serial > t.serial);
        RL_ASSERT(!t.marked());
    }
    void after()
    {
        RL_ASSERT(!t.marked()); /* the stranger is not cancelled */
        for (int i = 0; i < 2; i++) RL_ASSERT(did[i] != SK_HIT_WOKEN && did[i] != SK_HIT_DELAYED);
    }
};

/* The same, and the new life parks: nobody of the old one wakes it, by cancel, wake or timeout. */
struct stale_wake : rl::test_suite<stale_wake, 3> {
    task_model t;
    uint64_t serial;

    void before()
    {
        t.init(SK_ACTIVE);
        t.park(t.serial + 1);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (!t.wake(t.serial + 1, SK_WHY_WAKE)) return;
            sk_state_end(&t.state);
            sk_state_free(&t.state);
            serial = sk_state_born(&t.state, SK_ACTIVE);
            t.park(serial + 1);
        } else if (index == 1) {
            t.wake(t.serial + 1, SK_WHY_TIMEOUT);
        } else {
            t.cancel();
        }
    }
    void after()
    {
        uint64_t word = sk_load_rlx(&t.state.word);
        if (sk_load_rlx(&t.state.serial) != t.serial)
            RL_ASSERT(sk_phase_of(word) == SK_PARKED && sk_generation_of(word) == serial + 1 && !t.marked());
    }
};

/* A delayed life is found by one who cancels it, or stops its timer, and after it a second life of the same memory: who
   takes the task in hand sees it as its maker made it. */
template <bool stopped> struct delayed_seen : rl::test_suite<delayed_seen<stopped>, 2> {
    task_model t;
    uint64_t next;
    bool taken;

    void before()
    {
        t.init(SK_ACTIVE);
        next = t.serial + 2; /* one for the end of the first life, one for the birth of the second */
        taken = false;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            sk_state_end(&t.state);
            sk_state_free(&t.state);
            t.let_go();
            RL_ASSERT(sk_state_next_serial(&t.state) == next);
            RL_ASSERT(sk_state_born(&t.state, SK_DELAYED) == next);
        } else if (stopped) {
            taken = sk_state_undelay(&t.state, next);
            if (taken) t.take();
        } else {
            sk_hit did = sk_state_hit(&t.state, next, SK_CANCEL, SK_WHY_CANCEL, 0);
            taken = did == SK_HIT_DELAYED;
            /* ALREADY: the end of the first life, read beside the serial of the second; nothing was done then either.
             */
            RL_ASSERT(taken || did == SK_HIT_STALE || did == SK_HIT_ALREADY);
            if (taken) t.take();
        }
    }
    void after()
    {
        RL_ASSERT(sk_phase_of(sk_load_rlx(&t.state.word)) == (taken ? SK_ACTIVE : SK_DELAYED));
        RL_ASSERT(t.marked() == taken);
    }
};

/* A deadline passes at the very end: the ender learns of it, or who brings it finds the task ended. */
struct expire_end : rl::test_suite<expire_end, 2> {
    task_model t;
    unsigned seen;
    sk_hit did;

    void before()
    {
        t.init(SK_ACTIVE);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            seen = sk_state_end_timed(&t.state);
        else
            did = t.hit(SK_EXPIRED, SK_WHY_EXPIRED, 0);
    }
    void after()
    {
        RL_ASSERT(did == (seen & SK_EXPIRED ? SK_HIT_MARKED : SK_HIT_ALREADY));
    }
};

/* Start against the deadline for the start and a cancel: it starts, or carries a mark and does not. */
struct start_by : rl::test_suite<start_by, 3> {
    task_model t;
    bool started;
    sk_hit expired, cancelled;

    void before()
    {
        t.init(SK_ACTIVE);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            started = sk_state_start(&t.state);
        else if (index == 1)
            expired = t.hit(SK_EXPIRED, SK_WHY_EXPIRED, SK_STARTED);
        else
            cancelled = t.cancel();
    }
    void after()
    {
        RL_ASSERT(cancelled == SK_HIT_MARKED);
        RL_ASSERT(expired == SK_HIT_MARKED || expired == SK_HIT_ALREADY);
        RL_ASSERT(started || expired == SK_HIT_MARKED || t.marked());
        RL_ASSERT(!started || expired == SK_HIT_ALREADY); /* never both: started in time, and expired */
        RL_ASSERT(!(sk_load_rlx(&t.state.word) & SK_STARTED) == !started);
    }
};

/* A delayed task: its timer falls due, its timer is stopped, it is cancelled. One of them has it in hand; if the timer
   was first, the cancel marks a task that will end unstarted. */
struct delayed : rl::test_suite<delayed, 3> {
    task_model t;
    int took;
    sk_hit did;

    void before()
    {
        t.init(SK_DELAYED);
        took = 0;
    }
    void take()
    {
        took++;
        t.take();
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (sk_state_due(&t.state, t.serial)) take();
        } else if (index == 1) {
            if (sk_state_undelay(&t.state, t.serial)) take();
        } else {
            did = t.cancel();
            took += did == SK_HIT_DELAYED;
        }
    }
    void after()
    {
        RL_ASSERT(took == 1);
        RL_ASSERT(did == SK_HIT_DELAYED || did == SK_HIT_MARKED || did == SK_HIT_ALREADY);
        RL_ASSERT(did != SK_HIT_MARKED || t.marked());
    }
};

/* The timer's task runs, ends, and the memory serves another delayed life: who stops the old timer misses the new. */
struct delayed_reuse : rl::test_suite<delayed_reuse, 3> {
    task_model t;
    bool stopped;
    uint64_t next;

    void before()
    {
        t.init(SK_DELAYED);
        stopped = false;
        next = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (!sk_state_due(&t.state, t.serial)) return;
            t.take();
            sk_state_end(&t.state);
            t.let_go();
            sk_state_free(&t.state);
            next = sk_state_born(&t.state, SK_DELAYED);
        } else if (index == 1) {
            stopped = sk_state_undelay(&t.state, t.serial);
            if (stopped) t.take();
        } else {
            RL_ASSERT(!sk_state_due(&t.state, t.serial + 1)); /* no such life yet, or never with this number */
        }
    }
    void after()
    {
        RL_ASSERT(stopped == (next == 0));
        if (!next) return;
        uint64_t word = sk_load_rlx(&t.state.word);
        RL_ASSERT(sk_phase_of(word) == SK_DELAYED && !t.marked() && sk_load_rlx(&t.state.serial) == next);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(park_event, "park-event", 4),
    SK_EXPLORE(wake_timeout, "wake-timeout", 4),
    SK_EXPLORE(wake_cancel, "wake-cancel", 4),
    SK_EXPLORE(cancel_park, "cancel-park", 4),
    SK_EXPLORE(cancel_expire, "cancel-expire", 4),
    SK_EXPLORE(late_timeout, "late-timeout", 4),
    SK_EXPLORE(refused_skip, "refused-skip", 4),
    SK_EXPLORE(skip_cancel, "skip-cancel", 4),
    SK_EXPLORE(grant_park, "grant-park", 4),
    SK_EXPLORE(grant_cancel, "grant-cancel", 4),
    SK_EXPLORE(grant_timeout, "grant-timeout", 4),
    SK_EXPLORE(two_grants<false>, "grant-two", 4),
    SK_EXPLORE(two_grants<true>, "grant-two-skip", 4),
    SK_EXPLORE(grant_skip, "grant-skip", 4),
    SK_EXPLORE(grant_marked, "grant-marked", 3),
    SK_EXPLORE(stale_cancel, "stale-cancel", 4),
    SK_EXPLORE(stale_wake, "stale-wake", 4),
    SK_EXPLORE(delayed_seen<false>, "delayed-seen", 4),
    SK_EXPLORE(delayed_seen<true>, "delayed-seen-stop", 4),
    SK_EXPLORE(expire_end, "expire-end", 4),
    SK_EXPLORE(start_by, "start-by", 4),
    SK_EXPLORE(delayed, "delayed", 4),
    SK_EXPLORE(delayed_reuse, "delayed-reuse", 4),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

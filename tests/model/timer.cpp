/*
 * timer.cpp: Relacy models of claim.h, slot.h and timers.c, the real code over a wheel of two lines.
 *
 *   g++ -DSK_MODEL -Isrc -Itests -O2 tests/model/timer.cpp -o model-timer
 *   ./model-timer random 100000        every model, so many random schedules
 *   ./model-timer bound 2 claim -v     one model, all schedules of few context switches; retell a failure
 *
 * The wheel and each node carry a mark that every access writes (stub_wheel.h):
 * two accesses that nothing orders are a race, which Relacy reports.  The same
 * mark is written when the task's memory is freed, so a use after that is one as
 * well.
 * tests/mutants tries what these models find.
 */
#include "model/relacy.h"

#include "base/base.h"

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

#include "model/stub_wheel.h"

#include "timer/timers.c"

/* ---- the claim: an owner and two claimers, one counter that is not atomic ---- */

struct claim_model : rl::test_suite<claim_model, 3> {
    sk_claim c;
    VAR_T(int) data;
    int entered;

    void before()
    {
        sk_claim_init(&c);
        data($) = 0;
        entered = 0;
    }
    void use()
    {
        int d = data($);
        RL_ASSERT(d == entered); /* no update lost, none stale */
        data($) = d + 1;
        entered++;
    }
    void thread(unsigned index)
    {
        for (int i = 0; i < 2; i++) {
            if (index == 0 && sk_claim_enter(&c)) {
                use();
                sk_claim_leave(&c);
            }
            if (index != 0 && sk_claim_try(&c)) {
                use();
                sk_claim_release(&c);
            }
        }
    }
    void after()
    {
        RL_ASSERT(sk_claim_enter(&c)); /* nobody has left it locked */
        use();
        sk_claim_leave(&c);
    }
};

/*
 * ---- the slot: one task that has parked on worker A with a timer ----
 * A advances, a claimer serves A, and B wakes the task for another reason and
 * runs it: it cancels, and then (`ways`) ends, or sleeps again, or both.
 */
enum { TASK_PARKED, TASK_TAKEN, TASK_RUNNING, TASK_ENDED };
enum { WAY_END = 1, WAY_SLEEP = 2, WAY_SLEEP_AND_WAKE = 4 };

template <int way, bool armed_before> struct slot_model : rl::test_suite<slot_model<way, armed_before>, 3> {
    sk_timers a, b;
    sk_timer_slot slot;
    VAR_T(int) memory;          /* the rest of the task: its runner writes it, and so does free */
    rl::atomic<unsigned> state; /* generation * 4 + phase */
    int freed, timeouts, wakes;

    void before()
    {
        sk_timers_init(&a, 0);
        sk_timers_init(&b, 0);
        sk_slot_init(&slot);
        slot.node.mark($) = 0;
        memory($) = 0;
        sk_store_rlx(&state, 0u + TASK_RUNNING);
        freed = timeouts = wakes = 0;
        if (armed_before) park(&a, 1, 5);
    }
    void free_task()
    {
        RL_ASSERT(freed == 0);
        slot.node.mark($) = 2;
        memory($) = 2;
        freed++;
    }
    void park(sk_timers *t, unsigned generation, uint64_t expires)
    {
        sk_arming arming = sk_timers_arm_begin(t, &slot, expires, generation);
        sk_store_rel(&state, generation * 4 + TASK_PARKED);
        sk_timers_arm_end(&arming, &slot);
    }
    void end_task()
    {
        memory($) = 1;
        sk_store_rlx(&state, 400u + TASK_ENDED); /* the test's own word: it outlives the task */
        if (sk_slot_abandon(&slot)) free_task();
    }
    void on_fired(sk_timers *t, sk_timer_slot *s, uint64_t now)
    {
        unsigned tag = (unsigned)sk_slot_fired_tag(s), word = tag * 4 + TASK_PARKED;
        s->node.mark($) = 1;
        if (sk_cas_ar(&state, &word, tag * 4 + TASK_TAKEN)) {
            RL_ASSERT(now >= (tag == 1 ? 5 : 6)); /* for this park, not for the one before */
            RL_ASSERT(sk_slot_state(sk_load_rlx(&s->word)) == SK_SLOT_FIRING);
            timeouts++;
            sk_slot_settle(s);
            end_task();
            return;
        }
        if (word / 4 < tag && sk_timers_retry(t, s, now)) return;
        if (sk_timers_let_go(t, s) == SK_LET_GO_FREE_TASK) free_task();
    }
    void on_haul(sk_timers *t, sk_timer_haul *haul, uint64_t now)
    {
        while (sk_timer_slot *s = sk_haul_pop_fired(haul)) on_fired(t, s, now);
        while (sk_haul_pop_orphan(haul)) free_task();
    }
    bool wake()
    {
        unsigned word = sk_load_rlx(&state);
        return word % 4 == TASK_PARKED && sk_cas_ar(&state, &word, word / 4 * 4 + TASK_RUNNING);
    }
    void run_on_b()
    {
        if (!wake()) return;
        unsigned generation = sk_load_rlx(&state) / 4;
        wakes++;
        sk_timers_cancel(&b, &slot);
        if (way == WAY_END) return end_task();
        park(&b, generation + 1, 6);
        if (way != WAY_SLEEP_AND_WAKE || !wake()) return;
        wakes++;
        sk_timers_cancel(&b, &slot);
        end_task();
    }
    void thread(unsigned index)
    {
        sk_timer_haul haul;
        if (index == 0) {
            if (!armed_before) park(&a, 1, 5);
            if (sk_timers_advance(&a, 5, &haul)) on_haul(&a, &haul, 5);
        } else if (index == 1) {
            run_on_b();
        } else {
            if (!sk_claim_try(&a.claim)) return;
            sk_timers_serve(&a, 6, &haul);
            on_haul(&a, &haul, 6);
        }
    }
    /* What waits in an inbox to be armed must show in the time by which others judge. */
    void nobody_forgotten(sk_timers *t)
    {
        for (sk_timer_slot *s = sk_load_rlx(&t->inbox.head); s; s = sk_load_rlx(&s->link)) {
            uint64_t word = sk_load_rlx(&s->word);
            RL_ASSERT(sk_slot_state(word) != SK_SLOT_LATE || sk_timers_next(t) <= sk_slot_tick(word));
        }
    }
    void after()
    {
        nobody_forgotten(&a);
        nobody_forgotten(&b);
        for (int i = 0; i < 3; i++) {
            sk_timer_haul haul;
            RL_ASSERT(sk_timers_advance(&a, 9, &haul));
            on_haul(&a, &haul, 9);
            RL_ASSERT(sk_timers_advance(&b, 9, &haul));
            on_haul(&b, &haul, 9);
        }
        RL_ASSERT(freed == 1); /* the last sleep timed out, or the task was ended: its memory went once */
        RL_ASSERT(timeouts <= 1);
        RL_ASSERT(a.wheel.first == NULL && b.wheel.first == NULL);
        RL_ASSERT(sk_timers_next(&a) == UINT64_MAX && sk_timers_next(&b) == UINT64_MAX);
    }
};

typedef slot_model<WAY_END, true> slot_end;
typedef slot_model<WAY_SLEEP, true> slot_sleep;
typedef slot_model<WAY_SLEEP_AND_WAKE, true> slot_sleep_and_wake;
typedef slot_model<WAY_END, false> slot_park_and_end;
typedef slot_model<WAY_SLEEP, false> slot_park_and_sleep;

static const sk_model models[] = {
    SK_EXPLORE(claim_model, "claim", 2),
    SK_EXPLORE(slot_end, "slot-end", 3),
    SK_EXPLORE(slot_sleep, "slot-sleep", 2),
    SK_EXPLORE(slot_sleep_and_wake, "slot-sleep-and-wake", 2),
    SK_EXPLORE(slot_park_and_end, "slot-park-and-end", 2),
    SK_EXPLORE(slot_park_and_sleep, "slot-park-and-sleep", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

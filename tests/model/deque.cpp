/*
 * deque.cpp: Relacy models of the deques: two or three threads in the real headers.
 *
 *   g++ -DSK_MODEL -Isrc -Itests -O2 -fno-lifetime-dse tests/model/deque.cpp -o model-deque
 *   ./model-deque random 100000        every model, so many random schedules
 *   ./model-deque bound 2 taskq -v     one model, all schedules of few context switches; retell a failure
 *
 * (-fno-lifetime-dse: or the compiler drops Relacy's marks on freed memory.)
 * Items are cells that Relacy watches for races.  tests/mutants tries what these
 * models find.
 */
#define SK_BOUNDED_MIN_SLOTS 2u
#define SK_BOUNDED_LAG 2

#include "model/relacy.h"

#include "model/stub_world.h"

#include "deque/bounded.h"
#include "deque/inject.h"
#include "deque/jobring.h"
#include "deque/taskq.h"

[[noreturn]] void sk_panic(const char *, ...)
{
    abort();
}

/* Items that know who has had them. Plain ints: Relacy runs one thread at a time. */
template <int count> struct cells {
    VAR_T(int) value[count];
    int taken[count];

    void clear()
    {
        for (int i = 0; i < count; i++) taken[i] = 0;
    }
    void *fill(int i)
    {
        value[i]($) = i + 100;
        return &value[i];
    }
    int receive(void *item)
    {
        RL_ASSERT(item != NULL);
        int i = (int)(static_cast<VAR_T(int) *>(item) - value);
        RL_ASSERT(value[i]($) == i + 100);
        RL_ASSERT(taken[i]++ == 0);
        return i;
    }
    int total() const
    {
        int sum = 0;
        for (int i = 0; i < count; i++) sum += taken[i];
        return sum;
    }
};

/* The owner pushes four from one slot up, so it grows twice; two thieves take halves. */
struct taskq_model : rl::test_suite<taskq_model, 3> {
    sk_taskq q;
    cells<4> items;
    sk_taskq_buffer *retired;

    static void retire(void *ctx, sk_taskq_buffer *old)
    {
        taskq_model *self = static_cast<taskq_model *>(ctx); /* the grace period ends when the threads do */
        old->next = self->retired;
        self->retired = old;
    }
    void before()
    {
        retired = NULL;
        items.clear();
        RL_ASSERT(sk_taskq_init_at(&q, 0, retire, this, UINT64_MAX - 1) == 0);
    }
    void own()
    {
        int last = -1;
        for (int i = 0; i < 4; i++) {
            RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
            if (i == 0) continue;
            void *item = sk_taskq_take(&q);
            if (!item) continue;
            int got = items.receive(item);
            RL_ASSERT(got > last); /* first in, first out */
            last = got;
        }
    }
    void steal()
    {
        int last = -1;
        for (int round = 0; round < 2; round++) {
            void *loot[2];
            int n = sk_taskq_try_steal(&q, loot, 2);
            for (int i = 0; i < n; i++) {
                int got = items.receive(loot[i]);
                RL_ASSERT(got > last);
                last = got;
            }
        }
    }
    void thread(unsigned index)
    {
        index == 0 ? own() : steal();
    }
    void after()
    {
        RL_ASSERT(sk_taskq_check(&q));
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        RL_ASSERT(items.total() == 4);
        while (retired) {
            sk_taskq_buffer *old = retired;
            retired = old->next;
            sk_taskq_buffer_free(old);
        }
        sk_taskq_fini(&q);
    }
};

/* Slots used again and again, and a thief who may see top far ahead of the bottom that he sees. */
struct taskq_reuse_model : rl::test_suite<taskq_reuse_model, 2> {
    sk_taskq q;
    cells<6> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_taskq_init(&q, 1, NULL, NULL) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 6; i += 2) {
                RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
                RL_ASSERT(sk_taskq_push(&q, items.fill(i + 1)) == 0);
                while (void *item = sk_taskq_take(&q)) items.receive(item);
            }
        } else {
            void *loot[2];
            for (int round = 0; round < 4; round++) {
                uint32_t n = sk_taskq_steal(&q, loot, 2);
                for (uint32_t i = 0; i < n; i++) items.receive(loot[i]);
            }
        }
    }
    void after()
    {
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        RL_ASSERT(items.total() == 6);
        sk_taskq_fini(&q);
    }
};

/* From queue to queue: an owner, a thief that moves items to a queue of its own, and one that robs the thief. Both
   queues have two slots and wrap, so that a move writes where a slower thief may still look. */
struct taskq_move_model : rl::test_suite<taskq_move_model, 3> {
    sk_taskq q, own;
    cells<4> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_taskq_init_at(&q, 1, NULL, NULL, UINT64_MAX - 1) == 0);
        RL_ASSERT(sk_taskq_init_at(&own, 1, NULL, NULL, UINT64_MAX) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 4; i++) {
                RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
                void *item = i % 2 ? sk_taskq_take(&q) : NULL;
                if (item) items.receive(item);
            }
        } else if (index == 1) {
            for (int i = 0; i < 3; i++) {
                sk_taskq_try_move(&q, &own, 2);
                void *item = i ? sk_taskq_take(&own) : NULL;
                if (item) items.receive(item);
            }
        } else {
            void *loot[2];
            for (int i = 0; i < 2; i++) {
                uint32_t n = sk_taskq_steal(&own, loot, 2);
                for (uint32_t k = 0; k < n; k++) items.receive(loot[k]);
            }
        }
    }
    void after()
    {
        RL_ASSERT(sk_taskq_check(&q) && sk_taskq_check(&own));
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        while (void *item = sk_taskq_take(&own)) items.receive(item);
        RL_ASSERT(items.total() == 4);
        sk_taskq_fini(&q);
        sk_taskq_fini(&own);
    }
};

/* The same, small enough for every schedule of three switches: an owner and a thief who moves twice, so that the second
   move writes where the first one's loot lay. */
struct taskq_move_pair_model : rl::test_suite<taskq_move_pair_model, 2> {
    sk_taskq q, own;
    cells<2> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_taskq_init_at(&q, 1, NULL, NULL, UINT64_MAX) == 0);
        RL_ASSERT(sk_taskq_init_at(&own, 0, NULL, NULL, UINT64_MAX) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
            if (void *item = sk_taskq_take(&q)) items.receive(item);
        } else {
            for (int i = 0; i < 2; i++) {
                int moved = sk_taskq_try_move(&q, &own, 2);
                void *item = sk_taskq_take(&own);
                RL_ASSERT(moved <= 1 && (moved == 1) == (item != NULL)); /* there is room for one, and no other thief */
                if (item) items.receive(item);
            }
        }
    }
    void after()
    {
        RL_ASSERT(sk_taskq_check(&q) && sk_taskq_check(&own));
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        RL_ASSERT(items.total() == 2);
        sk_taskq_fini(&q);
        sk_taskq_fini(&own);
    }
};

/* A chain: what the first thief moves, a second moves on, while both the owner and the first take. */
struct taskq_move_chain_model : rl::test_suite<taskq_move_chain_model, 3> {
    sk_taskq q, own, third;
    cells<2> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_taskq_init_at(&q, 1, NULL, NULL, UINT64_MAX) == 0);
        RL_ASSERT(sk_taskq_init_at(&own, 1, NULL, NULL, UINT64_MAX) == 0);
        RL_ASSERT(sk_taskq_init(&third, 1, NULL, NULL) == 0);
    }
    void take(sk_taskq *from)
    {
        if (void *item = sk_taskq_take(from)) items.receive(item);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
            take(&q);
        } else if (index == 1) {
            sk_taskq_try_move(&q, &own, 2);
            take(&own);
        } else {
            sk_taskq_try_move(&own, &third, 2);
            take(&third);
        }
    }
    void after()
    {
        RL_ASSERT(sk_taskq_check(&q) && sk_taskq_check(&own) && sk_taskq_check(&third));
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        while (void *item = sk_taskq_take(&own)) items.receive(item);
        RL_ASSERT(sk_taskq_take(&third) == NULL); /* he moved one at most */
        RL_ASSERT(items.total() == 2);
        sk_taskq_fini(&q);
        sk_taskq_fini(&own);
        sk_taskq_fini(&third);
    }
};

/* Two items, where a missing fence shows: the owner pops both ends' worth while two thieves come for them. */
struct jobring_model : rl::test_suite<jobring_model, 3> {
    sk_jobring ring;
    cells<3> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_jobring_init_at(&ring, 1, UINT64_MAX) == 0);
    }
    void pop()
    {
        if (void *item = sk_jobring_pop(&ring)) items.receive(item);
    }
    void own()
    {
        RL_ASSERT(sk_jobring_push(&ring, items.fill(0)) == 0);
        RL_ASSERT(sk_jobring_push(&ring, items.fill(1)) == 0);
        pop();
        if (sk_jobring_push(&ring, items.fill(2)) != 0) items.receive(&items.value[2]); /* full: run it at once */
        pop();
        pop();
    }
    void steal()
    {
        for (int round = 0; round < 2; round++) {
            void *item = NULL;
            if (sk_jobring_try_steal(&ring, &item) == 1) items.receive(item);
        }
    }
    void thread(unsigned index)
    {
        index == 0 ? own() : steal();
    }
    static void take(void *ctx, void *item)
    {
        static_cast<jobring_model *>(ctx)->items.receive(item);
    }
    void after()
    {
        RL_ASSERT(sk_jobring_check(&ring));
        sk_jobring_drain(&ring, take, this);
        RL_ASSERT(items.total() == 3);
        sk_jobring_fini(&ring);
    }
};

/* A drain against a thief, and pushes into the slots it has freed. */
struct jobring_drain_model : rl::test_suite<jobring_drain_model, 2> {
    sk_jobring ring;
    cells<4> items;

    static void take(void *ctx, void *item)
    {
        static_cast<jobring_drain_model *>(ctx)->items.receive(item);
    }
    void before()
    {
        items.clear();
        RL_ASSERT(sk_jobring_init(&ring, 1) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 4; i += 2) {
                RL_ASSERT(sk_jobring_push(&ring, items.fill(i)) == 0);
                RL_ASSERT(sk_jobring_push(&ring, items.fill(i + 1)) == 0);
                sk_jobring_drain(&ring, take, this);
                RL_ASSERT(sk_jobring_size(&ring) == 0);
            }
        } else {
            for (int round = 0; round < 3; round++) {
                if (void *item = sk_jobring_steal(&ring)) items.receive(item);
            }
        }
    }
    void after()
    {
        RL_ASSERT(items.total() == 4);
        sk_jobring_fini(&ring);
    }
};

/* Two pushers, one of them with a chain of two, and a taker. */
struct inject_model : rl::test_suite<inject_model, 3> {
    struct letter {
        VAR_T(int) number;
        sk_inject_link link;
    };
    sk_inject inbox;
    letter letters[3];
    int firsts, batches, received, last;

    void before()
    {
        sk_inject_init(&inbox);
        firsts = batches = received = 0;
        last = -1;
    }
    void take()
    {
        sk_inject_link *chain = sk_inject_take(&inbox);
        if (chain) batches++;
        for (; chain; chain = chain->next) {
            int number =
                reinterpret_cast<letter *>(reinterpret_cast<char *>(chain) - offsetof(letter, link))->number($);
            RL_ASSERT(number == 2 || number == last + 1); /* 0 before 1 */
            if (number < 2) last = number;
            received++;
        }
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            letters[0].number($) = 0;
            letters[1].number($) = 1;
            letters[1].link.next = &letters[0].link;
            firsts += sk_inject_push_chain(&inbox, &letters[1].link, &letters[0].link);
        } else if (index == 1) {
            letters[2].number($) = 2;
            firsts += sk_inject_push(&inbox, &letters[2].link);
        } else {
            take();
            take();
        }
    }
    void after()
    {
        take();
        RL_ASSERT(received == 3);
        RL_ASSERT(firsts == batches);
    }
};

/* Two pushers and a popper in two slots: nothing lost, order kept, the bound kept at every moment. */
template <uint32_t bound> struct bounded_model : rl::test_suite<bounded_model<bound>, 3> {
    sk_bounded q;
    cells<6> items;
    bool queued[6];
    int pushed, popping;

    void before()
    {
        items.clear();
        memset(queued, 0, sizeof queued);
        pushed = popping = 0;
        RL_ASSERT(sk_bounded_init_at(&q, bound, SK_BOUNDED_LAPS) == 0);
    }
    void push(int from)
    {
        for (int i = from; i < from + 3; i++) {
            int error = sk_bounded_push(&q, items.fill(i));
            if (error) continue;
            queued[i] = true;
            pushed++;
            RL_ASSERT(pushed - popping <= (int)bound);
        }
    }
    void pop(int rounds, uint32_t max)
    {
        int last[2] = {-1, -1};
        while (rounds-- > 0) {
            void *out[2];
            popping += (int)max;
            uint32_t n = sk_bounded_pop_many(&q, out, max);
            for (uint32_t i = 0; i < n; i++) {
                int got = items.receive(out[i]);
                RL_ASSERT(got > last[got / 3]);
                last[got / 3] = got;
            }
            popping -= (int)(max - n);
        }
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            push(0);
        } else if (index == 1) {
            push(3);
            pop(1, 1);
        } else {
            pop(2, 2);
        }
    }
    void after()
    {
        RL_ASSERT(sk_bounded_check(&q));
        while (void *item = sk_bounded_pop(&q)) items.receive(item);
        for (int i = 0; i < 6; i++) RL_ASSERT(items.taken[i] == queued[i]);
        sk_bounded_fini(&q);
    }
};

/*
 * Each thread pushes before it pops, again and again, so a pop that returns
 * nothing would be a lie; and three items in a bound of three are never too many.
 */
struct bounded_honest_model : rl::test_suite<bounded_honest_model, 3> {
    sk_bounded q;
    cells<6> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_bounded_init_at(&q, 3, SK_BOUNDED_LAPS) == 0);
    }
    void thread(unsigned index)
    {
        for (int i = (int)index; i < 6; i += 3) {
            RL_ASSERT(sk_bounded_push(&q, items.fill(i)) == 0);
            items.receive(sk_bounded_pop(&q));
        }
    }
    void after()
    {
        RL_ASSERT(sk_bounded_pop(&q) == NULL);
        RL_ASSERT(sk_bounded_check(&q));
        sk_bounded_fini(&q);
    }
};

/* Told of an item through the queue itself: the second item is found, so the first was not reported missing. */
struct bounded_told_model : rl::test_suite<bounded_told_model, 3> {
    sk_bounded q;
    cells<2> items;
    sk_atomic(int) told;

    void before()
    {
        items.clear();
        sk_store_rlx(&told, 0);
        RL_ASSERT(sk_bounded_init(&q, 2) == 0);
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            RL_ASSERT(sk_bounded_push(&q, items.fill((int)index)) == 0);
            /* [BQ-M1] release; pairs with [BQ-M2] below. Without it there is nothing to be told. */
            if (index == 1) sk_store_rel(&told, 1);
            /* [BQ-M2] acquire; pairs with [BQ-M1] above. */
        } else if (sk_load_acq(&told)) {
            items.receive(sk_bounded_pop(&q)); /* whichever comes first: there is one */
        }
    }
    void after()
    {
        while (void *item = sk_bounded_pop(&q)) items.receive(item);
        RL_ASSERT(items.total() == 2);
        sk_bounded_fini(&q);
    }
};

/* Three pushers and a taker: nothing is lost, each pusher's own order is kept. */
struct inject_three_model : rl::test_suite<inject_three_model, 4> {
    struct letter {
        VAR_T(int) number;
        sk_inject_link link;
    };
    sk_inject inbox;
    letter letters[4];
    int firsts, batches, received;

    void before()
    {
        sk_inject_init(&inbox);
        firsts = batches = received = 0;
    }
    void take()
    {
        sk_inject_link *chain = sk_inject_take(&inbox), *next;
        if (chain) batches++;
        for (; chain; chain = next) {
            next = chain->next;
            letter *l = reinterpret_cast<letter *>(reinterpret_cast<char *>(chain) - offsetof(letter, link));
            RL_ASSERT(l->number($) == l - letters);
            l->number($) = -1; /* ours now */
            received++;
        }
    }
    void push(int i)
    {
        letters[i].number($) = i;
        firsts += sk_inject_push(&inbox, &letters[i].link);
    }
    void thread(unsigned index)
    {
        if (index == 3)
            take();
        else
            push((int)index);
        if (index == 0) push(3);
    }
    void after()
    {
        take();
        RL_ASSERT(received == 4);
        RL_ASSERT(firsts == batches);
    }
};

/*
 * One thread stops for good somewhere in a push or a pop, at any of its accesses.
 * The other goes on: its own items come out as if the first had finished, or not
 * begun; and no slot is lost over several laps.
 */
template <bool pops> struct bounded_frozen_model : rl::test_suite<bounded_frozen_model<pops>, 2> {
    sk_bounded q;
    cells<6> items;
    bool queued;

    static void at_rest()
    {
    }
    void before()
    {
        world.begin(2, at_rest);
        items.clear();
        RL_ASSERT(sk_bounded_init_at(&q, 2, SK_BOUNDED_LAPS) == 0);
        queued = false;
        if (pops) RL_ASSERT(sk_bounded_push(&q, items.fill(5)) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            sk_model_freeze(8);
            if (pops) {
                void *item = sk_bounded_pop(&q);
                if (item) items.receive(item);
            } else {
                queued = sk_bounded_push(&q, items.fill(5)) == 0;
            }
        } else {
            for (int i = 0; i < 5; i++) {
                RL_ASSERT(sk_bounded_push(&q, items.fill(i)) == 0); /* one besides, at most: never full */
                void *item = sk_bounded_pop(&q);
                RL_ASSERT(item != NULL); /* there is one of two */
                items.receive(item);
            }
        }
        world.leave();
    }
    void after()
    {
        sk_model_step = NULL;
        while (void *item = sk_bounded_pop(&q)) items.receive(item);
        RL_ASSERT(items.total() == 5 + (pops || queued));
        sk_bounded_fini(&q);
    }
};

/* The only pusher is told that there is room: so its next push succeeds, whatever poppers do. And the counts of what
   has been pushed and popped never say that more came out than went in. */
struct bounded_room_model : rl::test_suite<bounded_room_model, 3> {
    sk_bounded q;
    cells<5> items;
    int pushed;

    void before()
    {
        items.clear();
        pushed = 0;
        RL_ASSERT(sk_bounded_init_at(&q, 2, SK_BOUNDED_LAPS) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 4; i++) {
                if (sk_bounded_is_full_now(&q)) continue;
                RL_ASSERT(sk_bounded_push(&q, items.fill(pushed)) == 0);
                pushed++;
            }
        } else if (index == 1) {
            for (int i = 0; i < 2; i++)
                if (void *item = sk_bounded_pop(&q)) items.receive(item);
        } else {
            uint64_t popped = sk_bounded_popped(&q);
            uint64_t all = sk_bounded_pushed(&q);
            RL_ASSERT((int64_t)(all - popped) >= 0 && all - popped <= 4);
        }
    }
    void after()
    {
        while (void *item = sk_bounded_pop(&q)) items.receive(item);
        RL_ASSERT(items.total() == pushed);
        RL_ASSERT(sk_bounded_is_empty(&q));
        RL_ASSERT(sk_bounded_pushed(&q) == sk_bounded_popped(&q));
        sk_bounded_fini(&q);
    }
};

/* A ring of one slot, so that every push uses the slot again that a thief may still be reading; the index wraps. */
struct jobring_one_model : rl::test_suite<jobring_one_model, 2> {
    sk_jobring ring;
    cells<4> items;
    int pushed;

    void before()
    {
        items.clear();
        pushed = 0;
        RL_ASSERT(sk_jobring_init_at(&ring, 0, UINT64_MAX - 1) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 4; i++) {
                if (sk_jobring_push(&ring, items.fill(pushed)) == 0)
                    pushed++;
                else if (void *item = sk_jobring_pop(&ring))
                    items.receive(item);
            }
        } else {
            for (int i = 0; i < 3; i++)
                if (void *item = sk_jobring_steal(&ring)) items.receive(item);
        }
    }
    static void take(void *ctx, void *item)
    {
        static_cast<jobring_one_model *>(ctx)->items.receive(item);
    }
    void after()
    {
        RL_ASSERT(sk_jobring_check(&ring));
        sk_jobring_drain(&ring, take, this);
        RL_ASSERT(items.total() == pushed);
        sk_jobring_fini(&ring);
    }
};

/*
 * An outgrown buffer goes through a retire list and is freed when no thief can
 * hold it.  The section that a thief reads in is the model's own (that of the
 * runtime is liburcu's): a count that the controller waits for.
 */
struct taskq_retire_model : rl::test_suite<taskq_retire_model, 3> {
    sk_taskq q;
    cells<3> items;
    sk_inject retired;
    sk_atomic(uint32_t) reading;
    int freed;

    static void retire(void *ctx, sk_taskq_buffer *old)
    {
        sk_inject_push(&static_cast<taskq_retire_model *>(ctx)->retired, reinterpret_cast<sk_inject_link *>(old->room));
    }
    static sk_taskq_buffer *buffer_of(sk_inject_link *link)
    {
        return reinterpret_cast<sk_taskq_buffer *>(reinterpret_cast<char *>(link) - offsetof(sk_taskq_buffer, room));
    }
    void before()
    {
        items.clear();
        freed = 0;
        sk_inject_init(&retired);
        sk_store_rlx(&reading, 0u);
        RL_ASSERT(sk_taskq_init_at(&q, 0, retire, this, UINT64_MAX) == 0);
    }
    void reclaim()
    {
        sk_inject_link *link = sk_inject_take(&retired), *next;
        if (!link) return;
        sk_fence_sc();
        /* [DQ-M1] acquire; pairs with [DQ-M2]: the end of the section comes before the end of the grace period. */
        while (sk_load_acq(&reading)) rl::yield(1, $);
        for (; link; link = next) {
            next = link->next;
            sk_taskq_buffer_free(buffer_of(link));
            freed++;
        }
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 3; i++) RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
        } else if (index == 1) {
            void *loot[2];
            sk_store_rlx(&reading, 1u);
            sk_fence_sc();
            uint32_t n = sk_taskq_steal(&q, loot, 2);
            /* [DQ-M2] release; pairs with [DQ-M1]. */
            sk_store_rel(&reading, 0u);
            for (uint32_t i = 0; i < n; i++) items.receive(loot[i]);
        } else {
            reclaim();
        }
    }
    void after()
    {
        RL_ASSERT(sk_taskq_check(&q));
        while (void *item = sk_taskq_take(&q)) items.receive(item);
        RL_ASSERT(items.total() == 3);
        reclaim();
        sk_taskq_fini(&q);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(taskq_model, "taskq", 1),
    SK_EXPLORE(taskq_reuse_model, "taskq-reuse", 2),
    SK_EXPLORE(taskq_move_model, "taskq-move", 1),
    SK_EXPLORE(taskq_move_pair_model, "taskq-move-pair", 3),
    SK_EXPLORE(taskq_move_chain_model, "taskq-move-chain", 2),
    SK_EXPLORE(taskq_retire_model, "taskq-retire", 1),
    SK_EXPLORE(jobring_model, "jobring", 2),
    SK_EXPLORE(jobring_one_model, "jobring-one", 3),
    SK_EXPLORE(jobring_drain_model, "jobring-drain", 3),
    SK_EXPLORE(inject_model, "inject", 3),
    SK_EXPLORE(inject_three_model, "inject-three", 3),
    SK_EXPLORE(bounded_model<1>, "bounded-1", 0),
    SK_EXPLORE(bounded_model<2>, "bounded-2", 0),
    SK_EXPLORE(bounded_honest_model, "bounded-honest", 0),
    SK_EXPLORE(bounded_told_model, "bounded-told", 3),
    SK_EXPLORE(bounded_room_model, "bounded-room", 1),
    SK_EXPLORE(bounded_frozen_model<false>, "bounded-frozen-push", 2),
    SK_EXPLORE(bounded_frozen_model<true>, "bounded-frozen-pop", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

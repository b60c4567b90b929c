/*
 * newest.cpp: Relacy models of the newest item of the task queue, which the owner
 * takes: the real deque/taskq.h, with thieves that take two at a time at most.
 *
 *   g++ -DSK_MODEL -Isrc -Itests -O1 -w -fno-lifetime-dse tests/model/newest.cpp -o model-newest
 *
 * Items are cells that Relacy watches for races.
 */
#define SK_TASKQ_LOOT 2

#include "model/relacy.h"

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

/* The owner takes the newest item beside thieves, who may all see another top and bottom. `move`: into queues of their
   own. */
template <bool move> struct taskq_newest_model : rl::test_suite<taskq_newest_model<move>, 3> {
    sk_taskq q, own[2];
    cells<4> items;

    void before()
    {
        items.clear();
        RL_ASSERT(sk_taskq_init(&q, 2, NULL, NULL) == 0);
        for (int i = 0; i < 2; i++) RL_ASSERT(sk_taskq_init(&own[i], 1, NULL, NULL) == 0);
        for (int i = 0; i < 3; i++) RL_ASSERT(sk_taskq_push(&q, items.fill(i)) == 0);
    }
    void take_newest()
    {
        void *item = sk_taskq_take_newest(&q);
        if (item) RL_ASSERT(items.receive(item) == 2);
        RL_ASSERT(sk_taskq_push(&q, items.fill(3)) == 0);
        item = sk_taskq_take(&q);
        if (item) items.receive(item);
    }
    void steal()
    {
        void *loot[2];
        int n = sk_taskq_try_steal(&q, loot, 2);
        for (int i = 0; i < n; i++) items.receive(loot[i]);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            take_newest();
        else if (!move)
            steal();
        else
            sk_taskq_try_move(&q, &own[index - 1], 2);
    }
    void empty(sk_taskq *queue)
    {
        RL_ASSERT(sk_taskq_check(queue));
        while (void *item = sk_taskq_take(queue)) items.receive(item);
        sk_taskq_fini(queue);
    }
    void after()
    {
        empty(&q);
        for (int i = 0; i < 2; i++) empty(&own[i]);
        RL_ASSERT(items.total() == 4);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(taskq_newest_model<false>, "taskq-newest", 1),
    SK_EXPLORE(taskq_newest_model<true>, "taskq-newest-move", 0),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

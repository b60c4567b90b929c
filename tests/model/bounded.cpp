/*
 * bounded.cpp: Relacy model of the bounded queue (src/deque/bounded.h) as a pool looks at it: whether it is empty. The
 * other models of that queue are in deque.cpp.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/bounded.cpp -o model-bounded
 */
#include "model/relacy.h"

#include "deque/bounded.h"

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* One item more than is popped: it is never empty, whenever the first one goes. */
struct bounded_stays_model : rl::test_suite<bounded_stays_model, 3> {
    sk_bounded q;
    int items[3];

    void before()
    {
        RL_ASSERT(sk_bounded_init_at(&q, 3, SK_BOUNDED_LAPS) == 0);
        for (int &item : items) RL_ASSERT(sk_bounded_push(&q, &item) == 0);
    }
    void thread(unsigned index)
    {
        if (index < 2)
            RL_ASSERT(sk_bounded_pop(&q) != NULL);
        else
            RL_ASSERT(!sk_bounded_is_empty(&q));
    }
    void after()
    {
        RL_ASSERT(sk_bounded_pop(&q) == &items[2]);
        RL_ASSERT(sk_bounded_is_empty(&q));
        sk_bounded_fini(&q);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(bounded_stays_model, "bounded-stays", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

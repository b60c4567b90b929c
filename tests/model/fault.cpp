/*
 * fault.cpp: Relacy models of what a pool keeps of tasks that gave up: the real
 * src/pool/fault.c.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/fault.cpp -o model-fault
 *
 * What is tried: a reader gets the whole of one fault, or none; of several faults
 * one is kept until a wait gives it; one of several waits does.
 */
#define STUB_TASKS 2
#define STUB_POOLS 1
#define STUB_JOBS 1

#include "model/relacy.h"

/* For skua/fault.h: a message of a few letters, so that a record is one that schedules can be counted of. */
#define SKUA_FAULT_H
#include "skua/task.h"

typedef struct skua_deferred {
    struct skua_deferred *next;
    skua_fn *fn;
    void *arg;
} skua_deferred;
typedef struct skua_fault {
    skua_task task;
    const char *file;
    int line;
    char message[4];
} skua_fault;
typedef void skua_fault_handler(const skua_fault *fault, void *arg);

#include "model/stub_pools.h"

static void *sk_heap_zalloc(size_t, size_t)
{
    RL_ASSERT(!"nobody asks");
    return NULL;
}

struct fault_model : pool_model {
    int given; /* how often a wait was told */

    void begin(int threads)
    {
        begin_empty(threads);
        skua_pool_options options = {};
        options.limit = options.queue = 1;
        options.on_fault = SKUA_FAULT_WAIT;
        pool = create(options);
        world.rest = nobody_waits;
        given = 0;
    }
    static skua_fault fault(int n)
    {
        skua_fault f = {{(void *)(intptr_t)n, (uint64_t)n}, (const char *)(intptr_t)n, n, {(char)n, 1, 2, 3}};
        return f;
    }
    void keep(int n)
    {
        skua_fault f = fault(n);
        sk_pool_keep_fault(pool, &f);
    }
    void give()
    {
        given += sk_pool_give_fault(pool) == -EFAULT;
    }
    /* Which one is there; 0: none. */
    int look()
    {
        skua_fault found;
        int error = skua_pool_fault(pool, &found);
        RL_ASSERT(error == 0 || error == -ENODATA);
        if (error) return 0;
        skua_fault whole = fault(found.line);
        RL_ASSERT(memcmp(&found, &whole, sizeof whole) == 0);
        return found.line;
    }
    void end()
    {
        sk_backlog_fini(&pool->backlog);
    }
};

/* One is kept, and perhaps given, and the next one kept, while others look. */
template <int readers, bool before_it> struct fault_read : rl::test_suite<fault_read<readers, before_it>, readers + 1> {
    fault_model m;

    void before()
    {
        m.begin(readers + 1);
        if (before_it) m.keep(1);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (before_it) m.give();
            m.keep(2);
        } else {
            int found = m.look();
            RL_ASSERT(found == 0 || found == 2 || (before_it && found == 1));
            if (found == 2) RL_ASSERT(m.look() == 2);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.look() == 2 && m.given == before_it);
        m.give();
        RL_ASSERT(m.given == before_it + 1);
        m.end();
    }
};

/* Two give up: one of them is kept, whole, and stays. */
struct fault_first : rl::test_suite<fault_first, 3> {
    fault_model m;
    int seen;

    void before()
    {
        m.begin(3);
        seen = 0;
    }
    void thread(unsigned index)
    {
        if (index < 2)
            m.keep((int)index + 1);
        else
            seen = m.look();
        world.leave();
    }
    void after()
    {
        int found = m.look();
        RL_ASSERT((found == 1 || found == 2) && (seen == 0 || seen == found));
        m.end();
    }
};

/* Two waits come back: one gives it. If `again`, another task gives up meanwhile: no fault is given twice. */
template <bool again> struct fault_given : rl::test_suite<fault_given<again>, again ? 3 : 2> {
    fault_model m;

    void before()
    {
        m.begin(again ? 3 : 2);
        m.keep(1);
    }
    void thread(unsigned index)
    {
        if (index < 2)
            m.give();
        else
            m.keep(2);
        world.leave();
    }
    void after()
    {
        int found = m.look();
        m.give();
        RL_ASSERT(m.given == found);
        m.end();
    }
};

typedef fault_read<1, false> fault_read_first;
typedef fault_read<1, true> fault_read_next;
typedef fault_read<2, true> fault_read_two;
static const sk_model models[] = {
    SK_EXPLORE(fault_read_first, "fault-read", 3),    SK_EXPLORE(fault_read_next, "fault-read-next", 2),
    SK_EXPLORE(fault_read_two, "fault-read-two", 0),  SK_EXPLORE(fault_first, "fault-first", 2),
    SK_EXPLORE(fault_given<false>, "fault-given", 3), SK_EXPLORE(fault_given<true>, "fault-given-again", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

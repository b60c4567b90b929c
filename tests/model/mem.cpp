/*
 * mem.cpp: Relacy models of what memory is handed round by: the stack of ids with
 * its tag (mem/tagstack.h), and the slab (the real src/mem/slab.c, with chunks
 * of a few objects and magazines of two).
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/mem.cpp -o model-mem
 *
 * Each member carries a mark that its holder writes: two holders at once, or one
 * after the other without an order between them, are a race.
 */
#include <new>

/* Before Relacy, which makes a macro of new. */
template <typename T> static void construct(void *place)
{
    ::new (place) T;
}

#include "model/relacy.h"

#include "mem/tagstack.h"

#define _Static_assert static_assert
#include "mem/slab.c"
#undef _Static_assert

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* ---- the stack of ids ---- */

enum { IDS = 4 };

struct ids {
    sk_tagstack stack;
    sk_tagstack_link link[IDS];
    VAR_T(int) mark[IDS];
    int held[IDS];

    static sk_tagstack_link *link_of(void *ctx, uint32_t id)
    {
        RL_ASSERT(id < IDS);
        return &((ids *)ctx)->link[id];
    }
    /* Pushes ids 1 to n, so that n is on top. */
    void init(uint32_t n)
    {
        sk_store_rlx(&stack.head, UINT64_C(0));
        for (uint32_t i = 0; i < IDS; i++) {
            sk_store_rlx(&link[i], 0u);
            mark[i]($) = 0;
            held[i] = 1;
        }
        for (uint32_t i = 1; i <= n; i++) push(i);
    }
    void push(uint32_t id)
    {
        mark[id]($) = 1;
        held[id]--;
        sk_tagstack_push(&stack, id, &link[id]);
    }
    uint32_t pop()
    {
        uint32_t id = sk_tagstack_pop(&stack, link_of, this);
        if (!id) return 0;
        RL_ASSERT(held[id]++ == 0);
        mark[id]($) = 2;
        return id;
    }
    /* At rest: what is not held is in the stack, once. */
    void check(uint32_t n)
    {
        uint32_t free = 0;
        while (pop()) free++;
        for (uint32_t i = 1; i <= n; i++) RL_ASSERT(held[i] == 1);
        RL_ASSERT(free <= n);
    }
};

/* One pops while another pops two and puts the first back: the head has the same id again, and another below it. */
struct tag_aba : rl::test_suite<tag_aba, 2> {
    ids s;

    void before()
    {
        s.init(3);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            s.pop();
        } else {
            uint32_t first = s.pop(), second = s.pop();
            if (first) s.push(first);
            (void)second;
        }
    }
    void after()
    {
        s.check(3);
    }
};

/* Three who pop and push what they got, beside each other. */
struct tag_churn : rl::test_suite<tag_churn, 3> {
    ids s;

    void before()
    {
        s.init(2);
    }
    void thread(unsigned)
    {
        for (int i = 0; i < 2; i++)
            if (uint32_t id = s.pop()) s.push(id);
    }
    void after()
    {
        s.check(2);
    }
};

/* Handed on through an empty stack: the taker sees what the pusher wrote. */
struct tag_hand_on : rl::test_suite<tag_hand_on, 3> {
    ids s;

    void before()
    {
        s.init(0);
    }
    void thread(unsigned index)
    {
        if (index < 2)
            s.push(index + 1);
        else
            for (int i = 0; i < 2; i++) s.pop();
    }
    void after()
    {
        s.check(2);
    }
};

/* ---- the slab ---- */

enum { CHUNKS_HERE = 4, OBJECTS = 32 };

/* Memory from the kernel: zeroed, with its atomics made. */
static struct kernel {
    SK_ALIGNED(1024) char chunk[CHUNKS_HERE][CHUNK_BYTES];
    SK_ALIGNED(64) char table[SK_SLAB_CHUNKS * sizeof(sk_atomic(sk_slab_chunk *))];
    int chunks, magazines;
} kernel;

size_t sk_vm_page(void)
{
    return 64;
}
int sk_vm_reserve(void **out, size_t bytes, size_t align, unsigned)
{
    if (align != CHUNK_BYTES) {
        for (size_t i = 0; i < SK_SLAB_CHUNKS; i++) {
            sk_atomic(sk_slab_chunk *) *entry = (sk_atomic(sk_slab_chunk *) *)kernel.table + i;
            construct<sk_atomic(sk_slab_chunk *)>(entry);
            sk_store_rlx(entry, (sk_slab_chunk *)NULL);
        }
        *out = kernel.table;
        return 0;
    }
    RL_ASSERT(bytes == CHUNK_BYTES && kernel.chunks < CHUNKS_HERE);
    char *memory = kernel.chunk[kernel.chunks++];
    memset(memory, 0, CHUNK_BYTES);
    sk_slab_chunk *chunk = (sk_slab_chunk *)memory;
    construct<sk_atomic(uint32_t)>(&chunk->carved);
    sk_store_rlx(&chunk->carved, 0u);
    for (int i = 0; i < kernel.magazines; i++) {
        construct<sk_tagstack_link>(&chunk->magazines[i].next);
        sk_store_rlx(&chunk->magazines[i].next, 0u);
    }
    *out = memory;
    return 0;
}
void sk_vm_release(void *, size_t)
{
}

template <typename T> static void destroy(T *object)
{
    object->~T();
}

struct slab_world {
    sk_slab slab;
    sk_slab_cache cache[3];
    VAR_T(int) mark[OBJECTS];
    bool held[OBJECTS];

    void before()
    {
        kernel.chunks = 0;
        kernel.magazines = 0;
        RL_ASSERT(sk_slab_init(&slab, 64, 0) == 0);
        kernel.magazines = (int)slab.per_chunk;
        RL_ASSERT(slab.per_chunk >= 3 && slab.per_chunk * CHUNKS_HERE <= OBJECTS);
        for (int i = 0; i < 3; i++) sk_slab_cache_init(&cache[i], &slab);
        for (int i = 0; i < OBJECTS; i++) {
            mark[i]($) = 0;
            held[i] = false;
        }
    }
    int number_of(void *object)
    {
        size_t offset = (size_t)((char *)object - kernel.chunk[0]);
        return (int)(offset / CHUNK_BYTES * slab.per_chunk + (offset % CHUNK_BYTES - slab.first) / slab.object_size);
    }
    void *get(unsigned thread)
    {
        void *object = sk_slab_alloc(&cache[thread]);
        if (!object) return NULL;
        int i = number_of(object);
        RL_ASSERT(i >= 0 && i < OBJECTS && !held[i]);
        held[i] = true;
        mark[i]($) = (int)thread;
        return object;
    }
    void put(unsigned thread, void *object)
    {
        int i = number_of(object);
        mark[i]($) = -1;
        held[i] = false;
        sk_slab_free(&cache[thread], object);
    }
    void flush(unsigned thread)
    {
        sk_slab_cache_flush(&cache[thread]);
    }
    void after()
    {
        for (int i = 0; i < 3; i++) sk_slab_cache_flush(&cache[i]);
        RL_ASSERT(sk_slab_check(&slab));
        for (int i = 0; i < kernel.chunks; i++) {
            sk_slab_chunk *chunk = (sk_slab_chunk *)kernel.chunk[i];
            destroy(&chunk->carved);
            for (int k = 0; k < kernel.magazines; k++) destroy(&chunk->magazines[k].next);
        }
        for (size_t i = 0; i < SK_SLAB_CHUNKS; i++) destroy((sk_atomic(sk_slab_chunk *) *)kernel.table + i);
    }
};

/* All find no memory at first: one chunk is opened, and nobody gets what another has. */
template <int threads, int each> struct slab_open : rl::test_suite<slab_open<threads, each>, threads> {
    slab_world s;

    void before()
    {
        s.before();
    }
    void thread(unsigned index)
    {
        for (int i = 0; i < each; i++) RL_ASSERT(s.get(index) != NULL);
    }
    void after()
    {
        s.after();
    }
};

/* What one thread frees others get, through the depot: in whole magazines, each once, as it was left. */
struct slab_depot : rl::test_suite<slab_depot, 3> {
    slab_world s;
    void *object[4];

    void before()
    {
        s.before();
        for (int i = 0; i < 4; i++) object[i] = s.get(0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 4; i++) s.put(0, object[i]);
            s.flush(0);
            RL_ASSERT(s.get(0) != NULL);
        } else {
            RL_ASSERT(s.get(index) != NULL);
        }
    }
    void after()
    {
        s.after();
    }
};

/* An object is freed into another cache than it came from, while its first owner takes and gives on. */
struct slab_remote : rl::test_suite<slab_remote, 2> {
    slab_world s;
    sk_atomic(void *) handed;

    void before()
    {
        s.before();
        sk_store_rlx(&handed, (void *)NULL);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            /* [ME-M1] release; pairs with [ME-M2]: as a task is handed on. */
            sk_store_rel(&handed, s.get(0));
            void *own = s.get(0);
            s.put(0, own);
            s.flush(0);
        } else {
            /* [ME-M2] acquire; pairs with [ME-M1]. */
            void *object = sk_load_acq(&handed);
            if (object) s.put(1, object);
            s.flush(1);
            RL_ASSERT(s.get(1) != NULL);
            RL_ASSERT(s.get(1) != NULL);
        }
    }
    void after()
    {
        s.after();
    }
};

typedef slab_open<2, 3> slab_open_two;
typedef slab_open<3, 1> slab_open_three;

static const sk_model models[] = {
    SK_EXPLORE(tag_aba, "tag-aba", 4),
    SK_EXPLORE(tag_churn, "tag-churn", 3),
    SK_EXPLORE(tag_hand_on, "tag-hand-on", 3),
    SK_EXPLORE(slab_open_two, "slab-open", 2),
    SK_EXPLORE(slab_open_three, "slab-open-three", 2),
    SK_EXPLORE(slab_depot, "slab-depot", 2),
    SK_EXPLORE(slab_remote, "slab-remote", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}

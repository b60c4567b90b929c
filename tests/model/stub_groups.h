/*
 * stub_groups.h: groups in a model: the real src/pool/group.c over the pools of
 * stub_pools.h; for group.cpp and stream.cpp.
 *
 * Each end of a task of a group is told, and counted.  STUB_GROUPS says how many
 * groups there are.
 */
#ifndef SK_TEST_MODEL_STUB_GROUPS_H
#define SK_TEST_MODEL_STUB_GROUPS_H

#include "model/stub_pools.h"

#ifndef STUB_GROUPS
#define STUB_GROUPS 1
#endif

static void *sk_heap_zalloc(size_t n, size_t size);

#define cancel cancel_group
#include "pool/group.c"
#undef cancel

struct group_model : pool_model {
    skua_group *group; /* the first */
    skua_group places[STUB_GROUPS];
    int ended;  /* tasks: told by their group */
    int errors; /* of these: tasks that ran, and ended with one */

    static void told(void *self, void *, int)
    {
        ((group_model *)self)->ended++;
    }
    void begin_groups(int threads)
    {
        begin_empty(threads);
        ended = errors = 0;
        groups.slab.free = 0;
        for (int i = 0; i < STUB_GROUPS; i++) {
            sk_store_rlx(&places[i].state, (uint32_t)SK_GROUP_FREE);
            sk_store_rlx(&places[i].inside, 0u);
            groups.slab.place[groups.slab.free++] = &places[i];
        }
    }
    skua_group *create(const skua_group_options &options)
    {
        skua_group *made;
        RL_ASSERT(skua_group_create(&made, &options) == 0);
        made->ended = told;
        made->ended_ctx = (group_model *)this;
        return made;
    }
    void begin(int threads, uint32_t limit, uint32_t queue, bool fail_fast, uint32_t kept = 0)
    {
        begin_groups(threads);
        skua_group_options options = {};
        options.limit = limit;
        options.queue = queue;
        options.fail_fast = fail_fast;
        options.errors = kept;
        group = create(options);
        pool = group->pool;
        world.rest = all_ended;
    }
    /* At rest every accepted task has ended, so none is left in the queue beside a free slot. */
    static void all_ended()
    {
        group_model *m = (group_model *)the_pool;
        nobody_waits();
        RL_ASSERT(m->ended == m->accepted);
    }
    /* A task of the group; it returns its argument. */
    static int ends(void *result)
    {
        int error = body(result);
        ((group_model *)the_pool)->errors += error < 0;
        return error;
    }
    int go_in(skua_group *to, int result)
    {
        int error = skua_group_go(to, ends, (void *)(intptr_t)result);
        accepted += error == 0;
        return error;
    }
    int go(int result)
    {
        return go_in(group, result);
    }
    int wait()
    {
        int cause = 0, error = skua_group_wait(group, &cause);
        RL_ASSERT(error == cause);
        return error;
    }
    uint64_t verdict()
    {
        return sk_load_rlx(&group->verdict);
    }
    /* In after(). */
    void end()
    {
        RL_ASSERT(running == 0);
        for (int i = 0; i < STUB_POOLS; i++) {
            if (memory[i].backlog.levels == 0) continue;
            is_empty(&memory[i]);
            sk_backlog_fini(&memory[i].backlog);
        }
        for (int i = 0; i < STUB_GROUPS; i++)
            if (sk_load_rlx(&places[i].state) == SK_GROUP_OPEN) sk_heap_free(places[i].slots);
    }
};

#endif

/*
 * pond.c: what pond shows: tasks with results, groups that end with the first error, results in the order of
 * submission, and subpools.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { PAGES = 20 };

/* Where pond's tasks return any value, a task here writes it into the memory that it was given. */
typedef struct page {
    int number;
    char text[32];
} page;

static int render(void *arg)
{
    page *p = arg;
    int error = skua_sleep(SKUA_MS((uint64_t)(PAGES - p->number))); /* the last one is the first to be ready */
    snprintf(p->text, sizeof p->text, "page %d", p->number);
    return error;
}

static int render_badly(void *arg)
{
    const page *p = arg;
    if (p->number == 3) return -EIO;
    return skua_sleep(SKUA_S(3600)); /* returns -ECANCELED as soon as page 3 has failed */
}

/* pool.SubmitErr(...).Wait(): a task whose result is asked for. */
static int answer(void *arg)
{
    return *(int *)arg * 2;
}

static int ask(skua_pool *pool)
{
    skua_future future;
    int number = 21, result = 0;
    int error = skua_pool_submit_future(pool, &future, NULL, answer, &number);
    if (error < 0) return error;
    error = skua_future_wait(future, SKUA_FOREVER, &result); /* an error of the wait; one of the task is its result */
    skua_future_release(future);
    printf("future: %d\n", result);
    return error;
}

/* pool.NewGroup(): its tasks take places of the pool's limit. */
static int render_all(skua_pool *pool)
{
    page pages[PAGES] = {{0}};
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.pool = pool, .queue = PAGES});
    if (error < 0) return error;
    for (int i = 0; i < PAGES && error == 0; i++) {
        pages[i].number = i;
        error = skua_group_go(group, render, &pages[i]);
    }
    if (error == 0) error = skua_group_wait(group, NULL);
    if (error == 0) printf("group: %s, %s ... %s\n", pages[0].text, pages[1].text, pages[PAGES - 1].text);
    skua_group_release(group); /* waits in any case, so no task outlives the pages, which are on this stack */
    return error;
}

/* The first error ends the group; what has not started never will. */
static int render_until_an_error(skua_pool *pool)
{
    page pages[PAGES] = {{0}};
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.pool = pool, .queue = PAGES, .fail_fast = 1});
    if (error < 0) return error;
    for (int i = 0; i < PAGES; i++) {
        pages[i].number = i;
        if (skua_group_go(group, render_badly, &pages[i]) < 0) break; /* -ECANCELED: page 3 was quick */
    }
    error = skua_group_wait(group, NULL);
    printf("group with an error: %s\n", skua_strerror(error));
    skua_group_release(group);
    return error == -EIO ? 0 : error;
}

/* pool.NewSubpool(5): a part of the pool's limit, with a queue and counters of its own. */
static int use_a_subpool(skua_pool *pool)
{
    page pages[PAGES] = {{0}};
    skua_pool *sub;
    int error = skua_pool_create(&sub, &(skua_pool_options){.parent = pool, .limit = 5});
    if (error < 0) return error;
    for (int i = 0; i < PAGES && error == 0; i++) {
        pages[i].number = i;
        error = skua_pool_submit(sub, render, &pages[i]);
    }
    if (error == 0) error = skua_pool_stop(sub, SKUA_FOREVER); /* StopAndWait: the parent stays open */

    skua_pool_counts c;
    if (error == 0) error = skua_pool_stats(sub, &c);
    if (error == 0) printf("subpool: %d done, limit %d\n", (int)c.done, (int)c.limit);
    skua_pool_release(sub);
    return error;
}

int main(void)
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.limit = 10});
    if (error == 0) error = ask(pool);
    if (error == 0) error = render_all(pool);
    if (error == 0) error = render_until_an_error(pool);
    if (error == 0) error = use_a_subpool(pool);
    if (error == 0) error = skua_pool_release(pool);
    if (error < 0) fprintf(stderr, "pond: %s\n", skua_strerror(error));
    return error < 0;
}

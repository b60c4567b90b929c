/*
 * errgroup.c: a set of fetches with a limit, of which the first error ends the others.
 *
 * errgroup.WithContext gives a group and a context that each function has to be handed.  Here cancellation belongs to
 * the task: every call that parks (skua_sleep stands for a request over the net) returns -ECANCELED, at any depth, and
 * skua_cancelled() says the same to loops that compute.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

enum { PAGES = 50, BROKEN = 10, LIMIT = 8 };

typedef struct page {
    const char *name;
    uint64_t takes; /* ns */
    int error;      /* what the server says; 0: the page */
    char body[32];
} page;

static int fetch(void *arg)
{
    page *p = arg;
    int error = skua_sleep(p->takes);
    if (error < 0) return error;
    if (p->error < 0) return p->error;
    snprintf(p->body, sizeof p->body, "the page %s", p->name);
    return 0;
}

/* All of three: g.Go, g.Go, g.Go, g.Wait. */
static void fetch_three(skua_group *group)
{
    page pages[] = {{.name = "news", .takes = SKUA_MS(3)}, {.name = "mail", .takes = SKUA_MS(1)}, {.name = "maps"}};
    int refused = 0;
    for (int i = 0; i < 3 && refused == 0; i++) refused = skua_group_go(group, fetch, &pages[i]);
    int error = skua_group_wait(group, NULL);
    if (error == 0) error = refused;
    printf("three: %s: %s, %s, %s\n", skua_strerror(error), pages[0].body, pages[1].body, pages[2].body);
}

/* Many, one of which is missing. The pages after it would take an hour each. */
static void fetch_until_an_error(skua_group *group)
{
    static page pages[PAGES];
    int submitted = 0, refused = 0;
    for (int i = 0; i < PAGES; i++) {
        pages[i] = (page){.name = "x", .takes = i < BROKEN ? 0 : SKUA_S(3600)};
        if (i == BROKEN) pages[i] = (page){.name = "missing", .takes = SKUA_MS(5), .error = -ENOENT};
    }
    /* While LIMIT of them run the call waits, so this loop is never far ahead; it learns of the error by -ECANCELED. */
    while (submitted < PAGES && refused == 0) {
        refused = skua_group_go(group, fetch, &pages[submitted]);
        if (refused == 0) submitted++;
    }
    int cause;
    int error = skua_group_wait(group, &cause);
    printf("many: %s; the loop got: %s\n", skua_strerror(error), skua_strerror(refused));
    printf("not all were submitted: %s, cause kept: %s\n", submitted < PAGES ? "yes" : "no",
           cause == error ? "yes" : "no");
}

int main(void)
{
    skua_group *group;
    if (skua_group_create(&group, &(skua_group_options){.limit = LIMIT, .fail_fast = 1}) < 0) return 1;
    fetch_three(group);
    fetch_until_an_error(group);
    fetch_three(group); /* an errgroup serves once; a group can be used again: what was, is forgotten */
    return skua_group_release(group) < 0;
}

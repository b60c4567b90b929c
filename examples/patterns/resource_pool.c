/*
 * resource_pool.c: things that are dear to make (connections, buffers) are kept, and used again.
 *
 * Those that nobody uses lie in a buffered channel.  acquire takes one from there, or has the factory make one; release
 * puts it back, or ends it when there is no more room.  Closing the pool closes the channel.  What is out at that
 * moment comes back to a closed channel, the send says so, and it is ended: nothing is lost, and no lock is needed
 * around "is it closed?" and "put it back", as there is in Go, where that send would panic.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <skua/skua.h>

/* ---- the pool, of any resources ---- */

typedef struct resource_pool {
    skua_chan *idle; /* of void * */
    void *(*make)(void);
    void (*end)(void *resource);
} resource_pool;

static int pool_create(resource_pool *p, size_t room, void *(*make)(void), void (*end)(void *))
{
    *p = (resource_pool){.make = make, .end = end};
    return skua_chan_create(&p->idle, sizeof(void *), room);
}

/* 0; -EPIPE: the pool is closed; -ENOMEM: the factory has failed. */
static int pool_acquire(resource_pool *p, void **out)
{
    int error = skua_chan_try_recv(p->idle, out);
    if (error != -EAGAIN) return error;
    *out = p->make();
    return *out ? 0 : -ENOMEM;
}

static void pool_give_back(resource_pool *p, void *resource)
{
    if (skua_chan_try_send(p->idle, &resource) < 0) p->end(resource); /* full, or closed */
}

/* Ends what is in the pool. What is out is ended when it is given back; then the pool may be freed. */
static void pool_close(resource_pool *p)
{
    void *resource;
    skua_chan_close(p->idle);
    while (skua_chan_try_recv(p->idle, &resource) == 0) p->end(resource);
}

/* ---- connections ---- */

enum { ROOM = 2, QUERIES = 40 };

static atomic_int made, ended;

static void *connect_to_database(void)
{
    int *connection = malloc(sizeof *connection);
    if (connection) *connection = atomic_fetch_add(&made, 1) + 1;
    return connection;
}

static void disconnect(void *connection)
{
    atomic_fetch_add(&ended, 1);
    free(connection);
}

static int query(void *arg)
{
    resource_pool *p = arg;
    void *connection;
    int error = pool_acquire(p, &connection);
    if (error < 0) return error;
    error = skua_sleep(SKUA_US(200)); /* the query */
    pool_give_back(p, connection);
    return error;
}

static int there(void)
{
    return atomic_load(&made) - atomic_load(&ended);
}

/* Many at the same time; some connections are made for the rush, and do not stay. */
static int rush(resource_pool *p)
{
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.limit = 8, .fail_fast = 1});
    if (error < 0) return error;
    for (int i = 0; i < QUERIES && error == 0; i++) error = skua_group_go(group, query, p);
    int failed = skua_group_wait(group, NULL);
    skua_group_release(group);
    printf("rush: %s\n", there() <= ROOM ? "no more are kept than there is room for" : "?");
    return error < 0 ? error : failed;
}

/* Three are out, one of them for longer than the pool is open. */
static int close_early(resource_pool *p)
{
    void *c[3];
    int error = 0;
    for (int i = 0; i < 3 && error == 0; i++) error = pool_acquire(p, &c[i]);
    if (error < 0) return error;
    pool_give_back(p, c[0]);
    void *again;
    error = pool_acquire(p, &again);
    if (error < 0) return error;
    printf("given back and acquired: %s\n", again == c[0] ? "the same" : "another");
    pool_give_back(p, again);
    pool_give_back(p, c[1]);
    printf("two came back, %zu in the pool, %d there are\n", skua_chan_len(p->idle), there());
    pool_close(p);
    printf("closed: %d there is\n", there());
    pool_give_back(p, c[2]);
    printf("it came back: %d there are\n", there());
    printf("acquire: %s\n", pool_acquire(p, &again) == -EPIPE ? "the pool is closed" : "?");
    return 0;
}

int main(void)
{
    resource_pool pool;
    if (pool_create(&pool, ROOM, connect_to_database, disconnect) < 0) return 1;
    int error = rush(&pool);
    if (error == 0) error = close_early(&pool);
    pool_close(&pool); /* once more: no harm */
    printf("in the end %s\n", there() == 0 ? "all that were made have ended" : "some are left");
    skua_chan_release(pool.idle);
    if (error < 0) fprintf(stderr, "resource_pool: %s\n", skua_strerror(error));
    return error < 0;
}

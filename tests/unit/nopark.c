/* unit/nopark.c: what builds with debug_checks watch: sections in which a task must not park, and locks that wait for
   each other. In other builds the calls do nothing. */
#include "support/tasks.h"

#include "skua/cycle.h"
#include "skua/nopark.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- sections ---- */

static int nest(void *in_task)
{
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    SK_EXPECT_EQ(skua_nopark_end(), 0);
    SK_EXPECT_EQ(skua_nopark_end(), 0);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    SK_EXPECT_EQ(skua_yield(), in_task ? 0 : -EPERM);
#ifdef SK_DEBUG
    SK_EXPECT_EQ(skua_nopark_end(), in_task ? -EPERM : 0);
#else
    SK_EXPECT_EQ(skua_nopark_end(), 0);
#endif
    return 0;
}

/* What needs not park may be called inside. */
static int go_on_inside(void *arg)
{
    static skua_mutex m = SKUA_MUTEX_INIT;
    skua_chan *c = arg;
    int element = 0;
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
    SK_EXPECT_EQ(skua_chan_send(c, &element), 0);
    SK_EXPECT_EQ(skua_chan_recv(c, &element), 0);
    SK_EXPECT_EQ(skua_chan_try_recv(c, &element), -EAGAIN);
    return 0; /* the end ends the section */
}

SK_TEST(nopark, sections_nest)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_chan *c;
    SK_EXPECT_EQ(skua_chan_create(&c, sizeof(int), 1), 0);
    SK_EXPECT_EQ(nest(NULL), 0); /* a foreign thread */
    SK_EXPECT_EQ(sk_run_on(rt, nest, rt), 0);
    SK_EXPECT_EQ(sk_run_on(rt, go_on_inside, c), 0);
    SK_EXPECT_EQ(sk_run_on(rt, nest, rt), 0); /* the same memory */
    SK_EXPECT_EQ(skua_chan_release(c), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A task that ends in a section has ended it, for the destructors of its values. */
static sk_gate destroyed;

static void destroy_and_park(void *value)
{
    (void)value;
    SK_EXPECT_EQ(skua_sleep(1), 0);
    sk_gate_add(&destroyed);
    SK_EXPECT_EQ(skua_nopark_begin(), 0); /* nor does one disturb the next */
}

static int have_values(void *key)
{
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_local_set(((skua_local_key *)key)[i], key), 0);
    return skua_nopark_begin();
}

SK_TEST(nopark, an_end_ends_them_before_destructors)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_local_key key[2];
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_local_create(&key[i], destroy_and_park), 0);
    SK_EXPECT_EQ(sk_run_on(rt, have_values, key), 0);
    SK_EXPECT_EQ(sk_gate_now(&destroyed), 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A job that its submitter runs, and that ends in a section, by a fault or not: the submitter is in none. */
static int end_inside(void *gives_up)
{
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    if (gives_up) skua_panic_task("inside");
    return 0;
}

static int wait_for_gate(void *gate)
{
    return sk_gate_await(gate, 1) ? 0 : -ETIMEDOUT;
}

static int have_it_run_here(void *pool)
{
    (void)skua_pool_submit(pool, end_inside, NULL);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    (void)skua_pool_submit(pool, end_inside, pool);
    SK_EXPECT_EQ(skua_sleep(1), 0);
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    (void)skua_pool_submit(pool, end_inside, NULL);
    return skua_nopark_end();
}

SK_TEST(nopark, a_call_that_is_caught_ends_its_sections)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool;
    sk_gate go = 0;
    skua_pool_options o = {.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_RUN};
    SK_EXPECT_EQ(skua_pool_create(&pool, &o), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, wait_for_gate, &go), 0);
    SK_EXPECT_EQ(sk_run_on(rt, have_it_run_here, pool), 0);
    sk_gate_add(&go);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_DEBUG

static int park_inside(void *how)
{
    SK_EXPECT_EQ(skua_nopark_begin(), 0);
    SK_EXPECT_EQ(skua_nopark_begin_at("elsewhere.c", 1), 0);
    SK_EXPECT_EQ(skua_nopark_end(), 0);
    switch (*(const char *)how) {
    case 's':
        return skua_sleep(SKUA_US(1));
    case 'y':
        return skua_yield();
    default:
        return skua_blocking_begin();
    }
}

/* In a child, which is to die of it; what it says on stderr. */
static void die_of(const char *how, char *said, size_t room)
{
    int ends[2], status = 0;
    SK_EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    SK_EXPECT(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        skua_task t;
        if (skua_spawn(&t, park_inside, (void *)(uintptr_t)how) == 0) skua_join(t, NULL);
        _exit(99);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; used < room - 1 && (n = read(ends[0], said + used, room - 1 - used)) > 0;) used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    SK_EXPECT(!WIFEXITED(status) || WEXITSTATUS(status) != 99);
}

SK_TEST(nopark, a_park_inside_names_the_place)
{
    char said[8192];
    static const char *const how[] = {"sleeps", "yields", "blocks"};
    static const char *const word[] = {"a task parks in a section", "a task yields", "a task begins a blocking call"};
    for (int i = 0; i < 3; i++) {
        die_of(how[i], said, sizeof said);
        const char *line = strstr(said, word[i]);
        if (!line) fprintf(stderr, "%s: %s\n", how[i], said);
        SK_EXPECT(line != NULL);
        SK_EXPECT(strstr(line, "nopark.c:") != NULL);
        SK_EXPECT(strstr(line, "elsewhere.c") == NULL);
    }
}

#endif

/* ---- locks that wait for each other ---- */

typedef struct told {
    sk_gate times;
    size_t n;
    skua_cycle_link link[SKUA_CYCLE_MAX];
} told;

static told reports;

static void tell(const skua_cycle_link *link, size_t n, void *arg)
{
    told *t = arg;
    t->n = n;
    memcpy(t->link, link, n * sizeof *link);
    sk_gate_add(&t->times);
}

#ifdef SK_DEBUG
enum { LOOKS = 1 };
#else
enum { LOOKS = 0 };
#endif

/* Holds one mutex, waits until all do, and wants the next one's. */
enum { RING_MAX = 3 };

typedef struct ring {
    skua_mutex mutex[RING_MAX];
    uint32_t n;
    sk_gate place, holding;
} ring;

/* Until the others wait, too, however late they come: then it is told. Tried once more, it is not told again. */
static int want_until_told(skua_mutex *m)
{
    int error;
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    do error = skua_mutex_lock_for(m, SKUA_MS(20));
    while (LOOKS && error == -ETIMEDOUT && !sk_gate_now(&reports.times) && skua_now() < give_up);
    return error == -ETIMEDOUT ? skua_mutex_lock_for(m, SKUA_MS(1)) : error;
}

static int hold_and_want(void *arg)
{
    ring *r = arg;
    uint32_t mine = sk_add_ar(&r->place, 1u);
    SK_EXPECT_EQ(skua_mutex_lock(&r->mutex[mine]), 0);
    sk_gate_add(&r->holding);
    SK_EXPECT(sk_gate_await(&r->holding, r->n));
    skua_mutex *next = &r->mutex[(mine + 1) % r->n];
    int error = mine ? skua_mutex_lock(next) : want_until_told(next); /* who gives up, so that the others get on */
    if (!mine) SK_EXPECT_EQ(error, -ETIMEDOUT);
    if (mine) SK_EXPECT_EQ(error, 0);
    if (!error) SK_EXPECT_EQ(skua_mutex_unlock(next), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&r->mutex[mine]), 0);
    return 0;
}

static void *hold_and_want_as_thread(void *arg)
{
    hold_and_want(arg);
    return NULL;
}

static void go_round(skua_runtime *rt, uint32_t n)
{
    ring r = {.n = n};
    skua_task task[RING_MAX];
    pthread_t thread;
    reports = (told){.n = 0};
    SK_EXPECT_EQ(pthread_create(&thread, NULL, hold_and_want_as_thread, &r), 0); /* one of them is a thread */
    for (uint32_t i = 1; i < n; i++) task[i] = sk_spawn_on(rt, hold_and_want, &r);
    for (uint32_t i = 1; i < n; i++) SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
}

/* Every link wants what the next one holds, and each mutex of the ring occurs once. */
static void expect_report(uint32_t n)
{
    SK_EXPECT_EQ(sk_gate_now(&reports.times), 1);
    SK_EXPECT_EQ(reports.n, n);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++) {
            SK_EXPECT(reports.link[i].who != reports.link[k].who);
            SK_EXPECT(reports.link[i].wants != reports.link[k].wants);
        }
}

#ifdef SK_DEBUG

SK_TEST(cycle, two_and_three_wait_for_each_other)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), 0);
    go_round(rt, 2);
    expect_report(2);
    go_round(rt, 3);
    expect_report(3);
    SK_EXPECT_EQ(skua_on_lock_cycle(NULL, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(cycle, one_waits_for_itself)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    SK_EXPECT_EQ(skua_mutex_lock_for(&m, SKUA_MS(1)), -ETIMEDOUT);
    expect_report(1);
    SK_EXPECT(reports.link[0].wants == &m);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
}

/* The writer of a rwlock is who holds it, however it came to it; those who wait for the writer may read or write. */
typedef struct corner {
    skua_rwlock lock;
    skua_mutex mutex;
    bool reads;
    sk_gate holding;
} corner;

static int hold_the_mutex(void *arg)
{
    corner *c = arg;
    SK_EXPECT_EQ(skua_mutex_lock(&c->mutex), 0);
    sk_gate_add(&c->holding);
    SK_EXPECT(sk_gate_await(&c->holding, 2));
    int error = c->reads ? skua_rwlock_read_lock(&c->lock) : skua_rwlock_write_lock(&c->lock);
    SK_EXPECT_EQ(error, 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&c->mutex), 0);
    /* It has waited, and holds it now: that is known, too. */
    if (!c->reads) SK_EXPECT_EQ(skua_rwlock_read_lock_for(&c->lock, SKUA_MS(1)), -ETIMEDOUT);
    return c->reads ? skua_rwlock_read_unlock(&c->lock) : skua_rwlock_write_unlock(&c->lock);
}

static void go_round_corner(skua_runtime *rt, corner *c)
{
    reports = (told){.n = 0};
    skua_task task = sk_spawn_on(rt, hold_the_mutex, c);
    SK_EXPECT_EQ(skua_rwlock_write_lock(&c->lock), 0);
    sk_gate_add(&c->holding);
    SK_EXPECT(sk_gate_await(&c->holding, 2));
    for (int i = 0; i < 2000 && !sk_gate_now(&reports.times); i++) /* until the other one waits, too */
        SK_EXPECT_EQ(skua_mutex_lock_for(&c->mutex, SKUA_MS(5)), -ETIMEDOUT);
    expect_report(2);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&c->lock), 0);
    SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&reports.times), c->reads ? 1 : 2);
    if (!c->reads) SK_EXPECT_EQ(reports.n, 1);
}

SK_TEST(cycle, through_the_writer_of_a_rwlock)
{
    skua_runtime *rt = sk_runtime_of(1);
    corner writer = {.reads = false}, reader = {.reads = true};
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), 0);
    go_round_corner(rt, &writer);
    go_round_corner(rt, &reader);
    SK_EXPECT_EQ(skua_on_lock_cycle(NULL, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Nobody holds what readers hold, and who has left holds nothing. */
SK_TEST(cycle, none_through_the_readers_of_a_rwlock)
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), 0);
    reports = (told){.n = 0};
    SK_EXPECT_EQ(skua_rwlock_write_lock(&l), 0);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&l), 0);
    SK_EXPECT_EQ(skua_rwlock_read_lock(&l), 0);
    SK_EXPECT_EQ(skua_rwlock_write_lock_for(&l, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_rwlock_read_unlock(&l), 0);
    SK_EXPECT_EQ(sk_gate_now(&reports.times), 0);
    SK_EXPECT_EQ(skua_on_lock_cycle(NULL, NULL), 0);
}

/* Many who contend, always in the same order: no cycle. */
static int take_both(void *arg)
{
    ring *r = arg;
    for (int i = 0; i < 20; i++) {
        SK_EXPECT_EQ(skua_mutex_lock(&r->mutex[0]), 0);
        SK_EXPECT_EQ(skua_mutex_lock(&r->mutex[1]), 0);
        SK_EXPECT_EQ(skua_sleep(SKUA_US(5)), 0);
        SK_EXPECT_EQ(skua_mutex_unlock(&r->mutex[0]), 0);
        SK_EXPECT_EQ(skua_mutex_unlock(&r->mutex[1]), 0);
    }
    return 0;
}

SK_TEST(cycle, none_is_made_up)
{
    enum { TASKS = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    ring r = {.n = 2};
    skua_task task[TASKS];
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), 0);
    for (int i = 0; i < TASKS; i++) task[i] = sk_spawn_on(rt, take_both, &r);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&reports.times), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#else

SK_TEST(cycle, other_builds_do_not_look)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_on_lock_cycle(tell, &reports), -ENOSYS);
    go_round(rt, 2);
    SK_EXPECT_EQ(sk_gate_now(&reports.times), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    (void)expect_report;
}

#endif

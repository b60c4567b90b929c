/* scenarios_channels.c: channels, select, the locks of src/sync, contexts. */
#include "sim/scenarios.h"
#include "sim/works.h"

/* ---- what the scenarios share ---- */

enum { TASKS = 6 };

/* Tasks of one scenario, with deadlines by chance, and threads beside them. */
typedef struct crew {
    skua_runtime *rt;
    skua_task task[TASKS];
    uint32_t tasks;
    sim_thread thread[2];
    uint32_t threads;
} crew;

static sim_work *new_work(int (*body)(sim_work *w))
{
    sim_work *w = sim_work_new(NULL);
    w->body = body;
    w->gives_up = false;
    return w;
}

static void crew_task(crew *c, int (*body)(sim_work *w))
{
    sim_work *w = new_work(body);
    skua_task_options o = {.runtime = c->rt};
    if (sim_choose(0, 3) == 0) o.finish_within = SKUA_US(sim_choose(50, 800));
    if (sim_work_accepted(w, skua_spawn_with(&c->task[c->tasks], &o, sim_work_run, w), NULL)) c->tasks++;
}

static void run_work(void *work)
{
    sim_work_run(work);
}

static void crew_thread(crew *c, int (*body)(sim_work *w))
{
    sim_work *w = new_work(body);
    w->accepted = 1;
    c->thread[c->threads++] = sim_thread_start("crew", run_work, w);
}

/* Cancels some, now and then. */
static void crew_disturb(crew *c)
{
    for (uint32_t i = sim_choose(0, 4); i > 0; i--) {
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
        if (c->tasks && sim_choose(0, 1)) skua_cancel(c->task[sim_choose(0, c->tasks - 1)]);
    }
}

static void crew_end(crew *c)
{
    for (uint32_t i = 0; i < c->threads; i++) sim_thread_wait(c->thread[i]);
    for (uint32_t i = 0; i < c->tasks; i++) sim_expect_eq(skua_join(c->task[i], NULL), 0);
    sim_end_runtime(c->rt);
    sim_works_check();
}

static uint64_t some_time(void)
{
    return sim_choose(0, 3) ? SKUA_US(sim_choose(1, 300)) : SKUA_FOREVER;
}

/* ---- channels: whoever sends, receives, selects, closes ---- */

enum { CHANS = 2, SENDERS = 5, ITEMS = 64 };

/* An item: who sends it, and its number among his. */
typedef struct item {
    uint32_t sender, number;
} item;

static skua_chan *chan[CHANS];
static uint32_t senders;
static uint8_t sent[SENDERS][ITEMS], received[SENDERS][ITEMS];

typedef struct seen {
    uint32_t next[CHANS][SENDERS]; /* the least number that may still come */
} seen;

static void note_received(seen *s, int c, const item *i)
{
    if (i->sender >= senders || i->number >= ITEMS) sim_fail("an item that nobody sent: %u.%u", i->sender, i->number);
    if (received[i->sender][i->number]++) sim_fail("item %u.%u comes twice", i->sender, i->number);
    if (i->number < s->next[c][i->sender]) sim_fail("item %u.%u comes late", i->sender, i->number);
    s->next[c][i->sender] = i->number + 1;
}

/* 0: on *c. */
static int send_somehow(const item *i, int *c)
{
    *c = (int)sim_choose(0, CHANS - 1);
    switch (sim_choose(0, 4)) {
    case 0:
        return skua_chan_try_send(chan[*c], i);
    case 1:
        return skua_chan_send_for(chan[*c], i, some_time());
    case 2: {
        skua_case cases[] = {SKUA_CASE_SEND(chan[0], i), SKUA_CASE_SEND(chan[1], i)};
        *c = sim_choose(0, 1) ? skua_select_for(cases, CHANS, some_time()) : skua_select_try(cases, CHANS);
        return *c < 0 ? *c : cases[*c].result;
    }
    default:
        return skua_chan_send(chan[*c], i);
    }
}

static int receive_somehow(item *i, int *c)
{
    *c = (int)sim_choose(0, CHANS - 1);
    switch (sim_choose(0, 4)) {
    case 0:
        return skua_chan_try_recv(chan[*c], i);
    case 1:
        return skua_chan_recv_for(chan[*c], i, some_time());
    case 2: {
        item other[CHANS];
        skua_case cases[] = {SKUA_CASE_RECV(chan[0], &other[0]), SKUA_CASE_RECV(chan[1], &other[1])};
        *c = sim_choose(0, 1) ? skua_select_for(cases, CHANS, some_time()) : skua_select_try(cases, CHANS);
        if (*c < 0) return *c;
        *i = other[*c];
        return cases[*c].result;
    }
    default:
        return skua_chan_recv(chan[*c], i);
    }
}

static bool is_known(int error)
{
    return error == -EAGAIN || error == -EPIPE || sim_is_excused(error);
}

static int sends(sim_work *w)
{
    item i = {senders++, 0};
    for (uint32_t n = sim_choose(1, 6); n > 0; n--, i.number++) {
        int c, error = send_somehow(&i, &c);
        if (error)
            sim_expect(is_known(error));
        else
            sent[i.sender][i.number] = 1;
        if (error == -ECANCELED || error == -EPIPE) break;
    }
    (void)w;
    return 0;
}

static int receives(sim_work *w)
{
    seen s = {0};
    for (uint32_t n = sim_choose(1, 12); n > 0; n--) {
        item i;
        int c, error = receive_somehow(&i, &c);
        if (!error)
            note_received(&s, c, &i);
        else
            sim_expect(is_known(error));
        if (error == -ECANCELED) break;
    }
    (void)w;
    return 0;
}

/* What is left in the buffers. */
static void drain(void)
{
    item i;
    for (int c = 0; c < CHANS; c++) {
        seen s = {0};
        while (skua_chan_try_recv(chan[c], &i) == 0) note_received(&s, c, &i);
        sim_expect_eq(skua_chan_len(chan[c]), 0);
        sim_expect_eq(skua_chan_release(chan[c]), 0);
    }
}

void sim_channels(void)
{
    crew c = {.rt = sim_runtime(sim_choose(1, 3))};
    if (!c.rt) return;
    for (int i = 0; i < CHANS; i++) {
        int error = skua_chan_create(&chan[i], sizeof(item), sim_choose(0, 3));
        if (!error) continue;
        sim_expect(sim_is_excused(error));
        if (i) skua_chan_release(chan[0]);
        sim_end_runtime(c.rt);
        return;
    }
    for (uint32_t i = sim_choose(1, 3); i > 0; i--) {
        crew_task(&c, sends);
        crew_task(&c, receives);
    }
    if (sim_choose(0, 1)) crew_thread(&c, sends);
    if (sim_choose(0, 1)) crew_thread(&c, receives);
    crew_disturb(&c);
    skua_sleep(SKUA_US(sim_choose(1, 400)));
    for (int i = 0; i < CHANS; i++) sim_expect_eq(skua_chan_close(chan[i]), 0);
    crew_end(&c);
    drain();
    for (uint32_t s = 0; s < SENDERS; s++)
        for (uint32_t n = 0; n < ITEMS; n++)
            if (sent[s][n] != received[s][n])
                sim_fail("item %u.%u: sent %d, received %d", s, n, sent[s][n], received[s][n]);
}

/* ---- locks: semaphore, rwlock, condition over a mutex, barrier, once, wait group ---- */

enum { PERMITS = 3 };

static skua_semaphore semaphore = SKUA_SEMAPHORE_INIT(PERMITS, PERMITS);
static skua_rwlock rwlock = SKUA_RWLOCK_INIT;
static skua_mutex mutex = SKUA_MUTEX_INIT;
static skua_cond cond = SKUA_COND_INIT;
static skua_waitgroup group = SKUA_WAITGROUP_INIT;
static skua_barrier barrier = SKUA_BARRIER_INIT(2);
static skua_once once = SKUA_ONCE_INIT;
static uint32_t met, runs;
static uint32_t permits_out, readers, writers, tokens, tokens_given, tokens_taken;

static void stay_inside(const sim_work *w)
{
    int error = sim_choose(0, 1) ? skua_sleep(w->ns) : 0;
    sim_expect(error == 0 || sim_is_excused(error));
}

static void use_semaphore(const sim_work *w)
{
    uint32_t n = sim_choose(1, PERMITS);
    int error = sim_choose(0, 2) ? skua_semaphore_acquire_for(&semaphore, n, some_time())
                                 : skua_semaphore_try_acquire(&semaphore, n);
    if (error) {
        sim_expect(is_known(error));
        return;
    }
    permits_out += n;
    if (permits_out > PERMITS) sim_fail("%u permits are out", permits_out);
    stay_inside(w);
    permits_out -= n;
    sim_expect_eq(skua_semaphore_release(&semaphore, n), 0);
}

static void use_rwlock(const sim_work *w)
{
    bool writes = sim_choose(0, 2) == 0;
    int error =
        writes ? skua_rwlock_write_lock_for(&rwlock, some_time()) : skua_rwlock_read_lock_for(&rwlock, some_time());
    if (error) {
        sim_expect(is_known(error));
        return;
    }
    *(writes ? &writers : &readers) += 1;
    if (writers > 1 || (writers && readers)) sim_fail("%u writers and %u readers have the lock", writers, readers);
    stay_inside(w);
    *(writes ? &writers : &readers) -= 1;
    sim_expect_eq(writes ? skua_rwlock_write_unlock(&rwlock) : skua_rwlock_read_unlock(&rwlock), 0);
}

static bool lock_mutex(void)
{
    int error = skua_mutex_lock(&mutex);
    sim_expect(error == 0 || sim_is_excused(error));
    return error == 0;
}

static void give_token(void)
{
    if (!lock_mutex()) return;
    tokens++;
    tokens_given++;
    sim_expect_eq(skua_mutex_unlock(&mutex), 0);
    sim_expect_eq(sim_choose(0, 3) ? skua_cond_signal(&cond) : skua_cond_broadcast(&cond), 0);
}

/* With a time limit always: there may be fewer tokens than takers. */
static void take_token(void)
{
    int error = 0;
    if (!lock_mutex()) return;
    while (!tokens && !error) error = skua_cond_wait_for(&cond, &mutex, SKUA_US(sim_choose(1, 300)));
    sim_expect(error == 0 || is_known(error));
    if (tokens) {
        tokens--;
        tokens_taken++;
    }
    sim_expect_eq(skua_mutex_unlock(&mutex), 0);
}

static int uses_locks(sim_work *w)
{
    for (uint32_t n = sim_choose(1, 4); n > 0; n--) {
        switch (sim_choose(0, 3)) {
        case 0:
            use_semaphore(w);
            break;
        case 1:
            use_rwlock(w);
            break;
        case 2:
            give_token();
            break;
        default:
            take_token();
            break;
        }
    }
    return 0;
}

static int run_once(void *unused)
{
    (void)unused;
    runs++;
    if (sim_choose(0, 1)) (void)skua_sleep(SKUA_US(20));
    if (runs != 1) sim_fail("%u have run what is to run once", runs);
    return 7;
}

/* Two meet, unless one of them is late: then the other learns of it. */
static void meet(void)
{
    int error = skua_barrier_wait_for(&barrier, SKUA_US(sim_choose(1, 300)));
    if (error < 0)
        sim_expect(is_known(error));
    else
        met += error ? 1 : 100;
}

/* Those of a wait group cannot be refused: they are threads. */
static int counts_down(sim_work *w)
{
    uses_locks(w);
    meet();
    int result = skua_once_do(&once, run_once, NULL);
    if (result != 7) sim_expect(is_known(result));
    sim_expect_eq(skua_waitgroup_done(&group), 0);
    return 0;
}

void sim_locks(void)
{
    crew c = {.rt = sim_runtime(sim_choose(1, 3))};
    if (!c.rt) return;
    sim_expect_eq(skua_waitgroup_add(&group, 2), 0);
    for (int i = 0; i < 2; i++) crew_thread(&c, counts_down);
    for (uint32_t i = sim_choose(1, TASKS); i > 0; i--) crew_task(&c, uses_locks);
    crew_disturb(&c);
    int error;
    while ((error = skua_waitgroup_wait_for(&group, some_time())) != 0) sim_expect(is_known(error));
    crew_end(&c);
    sim_expect_eq(skua_semaphore_available(&semaphore), PERMITS);
    sim_expect_eq(skua_rwlock_write_trylock(&rwlock), 0);
    sim_expect_eq(skua_rwlock_write_unlock(&rwlock), 0);
    sim_expect_eq(tokens + tokens_taken, tokens_given);
    sim_expect(met == 101 || met == 0); /* the one who came last, and the other */
    sim_expect(runs <= 1);
}

/* ---- contexts: nobody sleeps on below one that has ended ---- */

static skua_context *contexts[3];
static skua_chan *never;

static void wait_below(skua_context *c)
{
    int element, error = skua_context_enter(c);
    if (error) {
        sim_expect(sim_is_excused(error));
        return;
    }
    for (uint32_t n = sim_choose(1, 3); n > 0; n--) {
        error = sim_choose(0, 1) ? skua_chan_recv(never, &element) : skua_sleep(SKUA_S(3600));
        sim_expect(sim_is_excused(error));
    }
    sim_expect_eq(skua_context_leave(c), 0);
    error = skua_sleep(SKUA_US(1)); /* outside it sleeps as ever */
    sim_expect(error == 0 || sim_is_excused(error));
}

static int waits_below(sim_work *w)
{
    (void)w;
    wait_below(contexts[sim_choose(0, 2)]);
    return 0;
}

static bool make_contexts(void)
{
    for (int i = 0; i < 3; i++) {
        int error = skua_context_create(&contexts[i], i ? contexts[sim_choose(0, (uint32_t)i - 1)] : NULL);
        if (!error) continue;
        sim_expect(sim_is_excused(error));
        while (i-- > 0) skua_context_release(contexts[i]);
        return false;
    }
    return true;
}

void sim_contexts(void)
{
    crew c = {.rt = sim_runtime(sim_choose(1, 3))};
    if (!c.rt) return;
    bool made = skua_chan_create(&never, sizeof(int), 0) == 0, below = made && make_contexts();
    if (below) {
        for (uint32_t i = sim_choose(1, 4); i > 0; i--) crew_task(&c, waits_below);
        if (sim_choose(0, 1)) (void)skua_context_cancel(contexts[sim_choose(1, 2)], 0);
        crew_disturb(&c);
        skua_sleep(SKUA_US(sim_choose(1, 300)));
        sim_expect_eq(skua_context_cancel(contexts[0], -EPIPE), 0);
        for (int i = 0; i < 3; i++) sim_expect(skua_context_error(contexts[i]) != 0);
    }
    crew_end(&c);
    for (int i = 0; below && i < 3; i++) sim_expect_eq(skua_context_release(contexts[i]), 0);
    if (made) sim_expect_eq(skua_chan_release(never), 0);
}

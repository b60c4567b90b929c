/*
 * Stress of channels and select: what everybody did and when is written down, and
 * then looked at: could one queue, working alone, have given these answers?
 *
 * Each call gets two stamps of one counter, before and after: it has taken effect
 * at some moment between them.  For a queue with distinct elements a history is
 * possible just when it shows none of a few patterns (Henzinger, Sezgin, Vafeiadis:
 * Aspect-oriented linearizability proofs), which `check` looks for one by one:
 *
 *   received, but not sent; or twice; or before its send began; sent, but never received
 *   overtaken       a was sent before b was begun, and b received before a was asked for
 *   "empty", "full" though something was in it, or room, all the while
 *   too many        more elements in it than its capacity
 *   after the end   a send, or a receive of something, that began after somebody knew better
 *
 * A call that was cancelled or late must have done nothing: its element is one of
 * those that were not sent.
 */
#include "support/channels.h"
#include "support/stress.h"

#include "skua/select.h"

#include <sched.h>

/* ---- what is written down ---- */

typedef enum outcome { SENT, RECEIVED, NO_ROOM, NOTHING, SEND_CLOSED, RECV_CLOSED, CLOSED } outcome;

typedef struct entry {
    uint64_t begin, end;
    uint32_t value; /* of SENT and RECEIVED */
    uint8_t channel;
    uint8_t how;
} entry;

/* What is sent: torn or mixed copies do not go together. */
typedef struct element {
    uint32_t value, inverse;
    uint64_t product;
} element;

enum { CHANNELS = 2, TASKS = 10, THREADS = 3, PARTIES = TASKS + THREADS, CALLS = 150 };

typedef struct world world;

typedef struct party {
    world *world;
    uint64_t seed;
    uint32_t number;
    uint32_t sends; /* of eight calls */
    bool is_task;
    uint32_t sent; /* values that it has used up */
    int entries;
    entry log[CALLS + 2];
} party;

struct world {
    sk_atomic(uint64_t) clock, at_work;
    skua_chan *c[CHANNELS];
    size_t capacity[CHANNELS];
    int entries;
    party *party; /* PARTIES, and one for the main thread */
    entry *all;
    bool hasty;          /* closes while they still send */
    skua_runtime *rt[2]; /* for the even and the odd tasks */
    uint32_t workers;
};

/* ---- the calls ---- */

static uint64_t stamp(world *w)
{
    return sk_add_sc(&w->clock, UINT64_C(1));
}

static element next_element(party *p)
{
    uint32_t value = p->number * CALLS + p->sent++;
    return (element){value, ~value, value * UINT64_C(0x9e3779b97f4a7c15)};
}

static uint32_t value_of(const element *e)
{
    SK_EXPECT_EQ(e->inverse, (uint32_t)~e->value);
    SK_EXPECT(e->product == e->value * UINT64_C(0x9e3779b97f4a7c15));
    return e->value;
}

/* One call of one party. */
typedef struct act {
    party *p;
    uint64_t begin;
    int chosen;
    bool sends[CHANNELS];
    element e[CHANNELS];
} act;

static void note(act *a, int channel, outcome how)
{
    party *p = a->p;
    SK_EXPECT(p->entries < CALLS + 2);
    uint32_t value = how == SENT || how == RECEIVED ? value_of(&a->e[channel]) : 0;
    p->log[p->entries++] = (entry){a->begin, stamp(p->world), value, (uint8_t)channel, (uint8_t)how};
}

/* Notes what came of it: a call that did nothing and waited is no entry. */
static void note_result(act *a, int channel, int result)
{
    bool sends = a->sends[channel];
    if (result == 0)
        note(a, channel, sends ? SENT : RECEIVED);
    else if (result == -EPIPE)
        note(a, channel, sends ? SEND_CLOSED : RECV_CLOSED);
    else if (result == -EAGAIN)
        note(a, channel, sends ? NO_ROOM : NOTHING);
    else
        SK_EXPECT(result == -ETIMEDOUT || result == -ECANCELED);
}

static uint64_t some_timeout(sk_rng *rng)
{
    static const uint64_t times[] = {SKUA_US(1), SKUA_US(20), SKUA_US(50), SKUA_MS(1), SKUA_FOREVER};
    return times[sk_rng_below(rng, sk_array_len(times))];
}

static int send_somehow(skua_chan *c, const element *e, sk_rng *rng)
{
    uint32_t dice = sk_rng_below(rng, 4);
    if (dice == 0) return skua_chan_try_send(c, e);
    return skua_chan_send_for(c, e, some_timeout(rng));
}

static int recv_somehow(skua_chan *c, element *e, sk_rng *rng)
{
    uint32_t dice = sk_rng_below(rng, 4);
    if (dice == 0) return skua_chan_try_recv(c, e);
    return skua_chan_recv_for(c, e, some_timeout(rng));
}

/* Which of the channels was acted on is in a->chosen. */
static int act_on_one(act *a, sk_rng *rng)
{
    int k = (int)sk_rng_below(rng, CHANNELS);
    skua_chan *c = a->p->world->c[k];
    a->chosen = k;
    a->begin = stamp(a->p->world);
    return a->sends[k] ? send_somehow(c, &a->e[k], rng) : recv_somehow(c, &a->e[k], rng);
}

/* A case for each channel, and (never ready) one more. A select that cannot proceed says nothing of a single channel.
 */
static int act_on_any(act *a, sk_rng *rng)
{
    skua_case cases[CHANNELS + 1] = {{.chan = NULL}};
    for (int k = 0; k < CHANNELS; k++)
        cases[k] = (skua_case){a->p->world->c[k], a->sends[k] ? SKUA_SEND : SKUA_RECV, &a->e[k], 1};
    bool tries = sk_rng_below(rng, 4) == 0;
    a->begin = stamp(a->p->world);
    a->chosen = tries ? skua_select_try(cases, CHANNELS + 1) : skua_select_for(cases, CHANNELS + 1, some_timeout(rng));
    if (a->chosen >= 0) return cases[a->chosen].result;
    int error = a->chosen == -EAGAIN ? -ETIMEDOUT : a->chosen;
    a->chosen = 0;
    return error;
}

/* Is everything closed that it could do? */
static bool act_once(party *p, sk_rng *rng)
{
    act a = {.p = p};
    for (int k = 0; k < CHANNELS; k++) {
        a.sends[k] = sk_rng_below(rng, 8) < p->sends;
        if (a.sends[k]) a.e[k] = next_element(p);
    }
    int result = sk_rng_below(rng, 2) ? act_on_one(&a, rng) : act_on_any(&a, rng);
    note_result(&a, a.chosen, result);
    return result == -EPIPE;
}

/* Keeps the worker, so that others are late, and are served when their time is over but before they have noticed. */
static void compute(uint64_t ns)
{
    for (uint64_t since = skua_now(); skua_now() - since < ns;) {
    }
}

static void dawdle(party *p, sk_rng *rng)
{
    uint32_t dice = sk_rng_below(rng, 64);
    if (dice > 56) compute(sk_rng_below(rng, 100000));
    if (dice == 0) skua_sleep(sk_rng_below(rng, 50000));
    if (dice == 1) usleep(sk_rng_below(rng, 50));
    if (dice == 2) sched_yield();
    if (dice < 12 && dice > 2 && p->is_task) skua_yield();
}

/* Now and then as a foreign thread does it. */
static bool act_anywhere(party *p, sk_rng *rng)
{
    bool blocks = p->is_task && sk_rng_below(rng, 32) == 0 && skua_blocking_begin() == 0;
    bool closed = act_once(p, rng);
    if (blocks) (void)skua_blocking_end();
    return closed;
}

static int take_part(void *arg)
{
    party *p = (party *)arg;
    sk_rng rng;
    int closed = 0;
    sk_rng_seed(&rng, p->seed);
    for (int i = 0; i < CALLS / 2 && closed < 4; i++) {
        closed += act_anywhere(p, &rng);
        dawdle(p, &rng);
        if (p->is_task && skua_cancelled()) break;
    }
    sk_sub_ar(&p->world->at_work, UINT64_C(1));
    return 0;
}

/* ---- what is looked for ---- */

enum { VALUES = (PARTIES + 1) * CALLS };
#define NEVER UINT64_MAX

/* One element's way, by its value. */
typedef struct way {
    uint64_t send_begin, send_end, recv_begin, recv_end;
} way;

typedef struct trial {
    world *w;
    int channel;
    const entry *all;
    int entries;
    way way[VALUES];
    way *sent[VALUES]; /* those that were, by send_end */
    int n;
    uint64_t known_closed; /* from this moment on somebody knows that it is closed */
} trial;

static __attribute__((noreturn)) void wrong(const trial *t, const char *what, uint64_t at)
{
    fprintf(stderr, "channel %d of capacity %zu, about stamp %lu: %s\n", t->channel, t->w->capacity[t->channel],
            (unsigned long)at, what);
    for (int i = 0; i < t->entries; i++) {
        static const char *const names[] = {"sent",         "received",     "no room", "nothing",
                                            "send: closed", "recv: closed", "closed"};
        const entry *e = &t->all[i];
        if (e->channel == t->channel && e->begin < at + 60 && e->end + 60 > at)
            fprintf(stderr, "  %6lu %6lu %s %u\n", (unsigned long)e->begin, (unsigned long)e->end, names[e->how],
                    e->value);
    }
    abort();
}

static void follow(trial *t)
{
    for (int i = 0; i < t->entries; i++) {
        const entry *e = &t->all[i];
        if (e->channel != t->channel || e->how != SENT) continue;
        way *v = &t->way[e->value];
        if (v->send_end) wrong(t, "sent twice", e->begin);
        *v = (way){e->begin, e->end, NEVER, NEVER};
        t->sent[t->n++] = v;
    }
    for (int i = 0; i < t->entries; i++) {
        const entry *e = &t->all[i];
        if (e->channel != t->channel || e->how != RECEIVED) continue;
        way *v = &t->way[e->value];
        if (!v->send_end) wrong(t, "received, but its send did not succeed", e->begin);
        if (v->recv_end != NEVER) wrong(t, "received twice", e->begin);
        if (e->end < v->send_begin) wrong(t, "received before it was sent", e->begin);
        v->recv_begin = e->begin;
        v->recv_end = e->end;
    }
    for (int i = 0; i < t->n; i++)
        if (t->sent[i]->recv_end == NEVER) wrong(t, "sent, but never received", t->sent[i]->send_begin);
}

static int by_send_end(const void *a, const void *b)
{
    const way *x = *(way *const *)a, *y = *(way *const *)b;
    return x->send_end < y->send_end ? -1 : x->send_end > y->send_end;
}

/* No element that was begun to be sent after another one was sent has been received before anybody asked for that. */
static void look_for_overtaking(trial *t)
{
    static uint64_t latest[VALUES + 1]; /* of the first i that were sent: when the last of them was asked for */
    for (int i = 0; i < t->n; i++)
        latest[i + 1] = t->sent[i]->recv_begin > latest[i] ? t->sent[i]->recv_begin : latest[i];
    for (int i = 0; i < t->n; i++) {
        int low = 0, high = t->n;
        while (low < high) {
            int middle = (low + high) / 2;
            if (t->sent[middle]->send_end < t->sent[i]->send_begin)
                low = middle + 1;
            else
                high = middle;
        }
        if (latest[low] > t->sent[i]->recv_end) wrong(t, "overtaken", t->sent[i]->recv_end);
    }
}

/* At the moment i, between the stamps i and i + 1: how many elements are in it for certain, and how many at most. */
typedef struct census {
    int32_t certain, possible;
} census;

static census *count(const trial *t, uint64_t stamps)
{
    census *at = (census *)calloc(stamps + 1, sizeof *at);
    SK_EXPECT(at != NULL);
    for (int i = 0; i < t->n; i++) {
        const way *v = t->sent[i];
        if (v->send_end < v->recv_begin) {
            at[v->send_end].certain++;
            at[v->recv_begin].certain--;
        }
        at[v->send_begin].possible++;
        at[v->recv_end].possible--;
    }
    for (uint64_t i = 1; i <= stamps; i++) {
        at[i].certain += at[i - 1].certain;
        at[i].possible += at[i - 1].possible;
    }
    return at;
}

/* "Nothing" and "no room" were true at some moment of the call. */
static bool was_possible(const trial *t, const census *at, const entry *e)
{
    int32_t capacity = (int32_t)t->w->capacity[t->channel];
    for (uint64_t i = e->begin; i < e->end; i++) {
        if (e->how == NOTHING && at[i].certain == 0) return true;
        if (e->how == NO_ROOM && at[i].possible >= capacity) return true;
    }
    return false;
}

static void look_at_numbers(trial *t, uint64_t stamps)
{
    census *at = count(t, stamps);
    int32_t capacity = (int32_t)t->w->capacity[t->channel];
    for (uint64_t i = 0; i < stamps; i++)
        if (at[i].certain > capacity) wrong(t, "more in it than it holds", i);
    for (int i = 0; i < t->entries; i++) {
        const entry *e = &t->all[i];
        if (e->channel != t->channel || (e->how != NOTHING && e->how != NO_ROOM)) continue;
        /* Without a buffer both are true whenever nobody waits on the other side, which nobody has written down. */
        if (capacity && !was_possible(t, at, e)) wrong(t, e->how == NOTHING ? "not empty" : "not full", e->begin);
    }
    free(at);
}

static void look_after_the_end(trial *t)
{
    uint64_t closing = NEVER, drained = NEVER;
    size_t left = 0; /* elements that were in it then */
    t->known_closed = NEVER;
    for (int i = 0; i < t->entries; i++) {
        const entry *e = &t->all[i];
        if (e->channel != t->channel) continue;
        if (e->how == CLOSED) closing = e->begin;
        if (e->how != CLOSED && e->how != SEND_CLOSED && e->how != RECV_CLOSED) continue;
        if (e->end < t->known_closed) t->known_closed = e->end;
        if (e->how == RECV_CLOSED && e->end < drained) drained = e->end;
    }
    if (t->known_closed < closing) wrong(t, "closed too early", t->known_closed);
    for (int i = 0; i < t->n; i++) {
        const way *v = t->sent[i];
        if (v->send_begin > t->known_closed) wrong(t, "sent after the end", v->send_begin);
        if (v->recv_begin > drained) wrong(t, "received after all was", v->recv_begin);
        left += v->recv_begin > t->known_closed;
    }
    if (left > t->w->capacity[t->channel]) wrong(t, "handed over after the end", t->known_closed);
}

static void check(world *w, int channel)
{
    static trial t;
    memset(&t, 0, sizeof t);
    t.w = w;
    t.channel = channel;
    t.all = w->all;
    t.entries = w->entries;
    follow(&t);
    qsort(t.sent, (size_t)t.n, sizeof *t.sent, by_send_end);
    look_for_overtaking(&t);
    look_at_numbers(&t, sk_load_acq(&w->clock) + 1);
    look_after_the_end(&t);
}

/* ---- a round ---- */

/* By the main thread, which is the last of the parties. */
static void close_channel(world *w, int k)
{
    act a = {.p = &w->party[PARTIES], .begin = stamp(w)};
    SK_EXPECT_EQ(skua_chan_close(w->c[k]), 0);
    note(&a, k, CLOSED);
}

static entry *drain(world *w, entry *to, int k)
{
    element e;
    for (;;) {
        uint64_t begin = stamp(w);
        int result = skua_chan_try_recv(w->c[k], &e);
        if (result == -EPIPE) break;
        SK_EXPECT_EQ(result, 0);
        *to++ = (entry){begin, stamp(w), value_of(&e), (uint8_t)k, RECEIVED};
    }
    uint64_t begin = stamp(w);
    *to++ = (entry){begin, stamp(w), 0, (uint8_t)k, RECV_CLOSED};
    return to;
}

static void begin_round(world *w, sk_rng *rng, skua_task *task, pthread_t *thread)
{
    sk_store_rel(&w->at_work, (uint64_t)PARTIES);
    uint32_t senders = 1 + sk_rng_below(rng, 3); /* of four: what is full in one round is empty in another */
    for (uint32_t i = 0; i <= PARTIES; i++) {
        party *p = &w->party[i];
        *p = (party){.world = w, .seed = sk_rng_next(rng), .number = i, .is_task = i < TASKS};
        p->sends = sk_rng_below(rng, 4) < senders ? 6 : 2;
        if (i < TASKS) {
            skua_task_options o = {.runtime = w->rt[i % 2], .finish_within = i % 5 == 1 ? SKUA_MS(1 + i) : 0};
            SK_EXPECT_EQ(skua_spawn_with(&task[i], &o, take_part, p), 0);
        } else if (i < PARTIES) {
            thread[i - TASKS] = sk_thread_of(take_part, p);
        }
    }
}

/* Some are cancelled, the workers become more and fewer, and at the end all is closed. */
static void disturb(world *w, sk_rng *rng, const skua_task *task)
{
    for (int i = 0; i < TASKS; i += 3) {
        usleep(sk_rng_below(rng, 600));
        int error = skua_cancel(task[i]);
        SK_EXPECT(error == 0 || error == -EALREADY);
        if (w->workers > 1) SK_EXPECT_EQ(skua_runtime_resize(w->rt[0], 1 + sk_rng_below(rng, w->workers)), 0);
    }
    /* The last ones may wait for each other until the close. */
    for (int i = 0; !w->hasty && sk_load_acq(&w->at_work) > 0 && i < 40; i++) usleep(100);
    for (int k = 0; k < CHANNELS; k++) close_channel(w, k);
}

static void gather(world *w)
{
    entry *to = w->all;
    for (int i = 0; i <= PARTIES; i++) {
        memcpy(to, w->party[i].log, (size_t)w->party[i].entries * sizeof *to);
        to += w->party[i].entries;
    }
    for (int k = 0; k < CHANNELS; k++) to = drain(w, to, k);
    w->entries = (int)(to - w->all);
}

static void round_of(world *w, sk_rng *rng)
{
    skua_task task[TASKS];
    pthread_t thread[THREADS];
    sk_store_rel(&w->clock, UINT64_C(1));
    w->hasty = sk_rng_below(rng, 2);
    for (int k = 0; k < CHANNELS; k++) w->c[k] = sk_chan_of(sizeof(element), w->capacity[k]);
    begin_round(w, rng, task, thread);
    disturb(w, rng, task);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 2; i++) settle(w->rt[i]);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    gather(w);
    for (int k = 0; k < CHANNELS; k++) {
        check(w, k);
        SK_EXPECT_EQ(sk_senders_in(w->c[k]) + sk_receivers_in(w->c[k]), 0);
        SK_EXPECT_EQ(skua_chan_release(w->c[k]), 0);
    }
}

static void histories(uint32_t workers, uint32_t others, uint64_t seed)
{
    static const size_t capacities[] = {0, 1, 3, 128};
    sk_rng rng;
    world w = {.party = (party *)calloc(PARTIES + 1, sizeof *w.party),
               .all = (entry *)calloc(VALUES * 2, sizeof *w.all)};
    SK_EXPECT(w.party && w.all);
    sk_rng_seed(&rng, seed);
    w.rt[0] = sk_runtime_of(workers);
    w.rt[1] = others ? sk_runtime_of(others) : w.rt[0];
    w.workers = workers;
    for (long i = 3 + sk_test_scaled(21); i > 0; i--) { /* at least one for each capacity */
        w.capacity[0] = capacities[i % 4];
        w.capacity[1] = capacities[sk_rng_below(&rng, 4)];
        round_of(&w, &rng);
    }
    if (others) release(w.rt[1]);
    release(w.rt[0]);
    free(w.all);
    free(w.party);
}

SK_TEST(stress_chan, histories_on_one_worker)
{
    histories(1, 0, 11);
}

SK_TEST(stress_chan, histories_on_two_workers)
{
    histories(2, 0, 12);
}

SK_TEST(stress_chan, histories_on_up_to_four_workers)
{
    histories(4, 0, 13);
}

SK_TEST(stress_chan, histories_on_two_runtimes)
{
    histories(2, 1, 14);
}

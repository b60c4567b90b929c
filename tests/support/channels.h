/*
 * channels.h: what the tests of channels and select share: channels of a given
 * kind, how many wait in them, and somebody, task or thread, who makes one call
 * that may wait.
 */
#ifndef SK_CHANNELS_H
#define SK_CHANNELS_H

#include "support/tasks.h"

#include "sync/chan.h"

#include <string.h>

static inline skua_chan *sk_chan_of(size_t size, size_t capacity)
{
    skua_chan *c = NULL;
    SK_EXPECT_EQ(skua_chan_create(&c, size, capacity), 0);
    SK_EXPECT(c != NULL);
    return c;
}

/* Of int, as most are here. */
static inline skua_chan *sk_ints(size_t capacity)
{
    return sk_chan_of(sizeof(int), capacity);
}

static inline skua_chan *sk_signals(size_t capacity)
{
    skua_chan *c = NULL;
    SK_EXPECT_EQ(skua_chan_create_signal(&c, capacity), 0);
    SK_EXPECT(c != NULL);
    return c;
}

static inline void sk_put_int(skua_chan *c, int value)
{
    SK_EXPECT_EQ(skua_chan_send(c, &value), 0);
}

static inline int sk_get_int(skua_chan *c)
{
    int value = -1;
    SK_EXPECT_EQ(skua_chan_recv(c, &value), 0);
    return value;
}

static inline size_t sk_waiting_in(skua_chan *c, const sk_waiters *queue)
{
    size_t n = 0;
    sk_lock_take(&c->lock);
    for (const sk_waiter *w = sk_waiters_first(queue); w; w = w->next) n++;
    sk_lock_drop(&c->lock);
    return n;
}

/* How many wait in it now, to send and to receive. A select counts once for each of its cases. */
static inline size_t sk_senders_in(skua_chan *c)
{
    return sk_waiting_in(c, &c->senders);
}

static inline size_t sk_receivers_in(skua_chan *c)
{
    return sk_waiting_in(c, &c->receivers);
}

/* Waits until all its tasks have ended: a join may say before that one is late. */
static inline void sk_runtime_rests(skua_runtime *rt)
{
    skua_stats s;
    SK_EVENTUALLY((s = sk_stats_of(rt), sk_ended(&s) == s.created));
}

/* ---- somebody who does something with a channel ---- */

typedef struct sk_party {
    skua_chan *c;
    uint64_t timeout;
    int value;  /* that it sends, or has received */
    int result; /* of its call; 1: it is still in it */
    sk_gate ended;
    bool is_task;
    skua_task task;
    pthread_t thread;
} sk_party;

static inline int sk_party_sends(void *arg)
{
    sk_party *p = (sk_party *)arg;
    p->result = p->timeout ? skua_chan_send_for(p->c, &p->value, p->timeout) : skua_chan_send(p->c, &p->value);
    sk_gate_add(&p->ended);
    return 0;
}

static inline int sk_party_receives(void *arg)
{
    sk_party *p = (sk_party *)arg;
    p->result = p->timeout ? skua_chan_recv_for(p->c, &p->value, p->timeout) : skua_chan_recv(p->c, &p->value);
    sk_gate_add(&p->ended);
    return 0;
}

typedef struct sk_call {
    skua_fn *fn;
    void *arg;
} sk_call;

static inline void *sk_call_as_thread(void *arg)
{
    sk_call call = *(sk_call *)arg;
    free(arg);
    (void)call.fn(call.arg);
    return NULL;
}

static inline pthread_t sk_thread_of(skua_fn *fn, void *arg)
{
    pthread_t thread;
    sk_call *call = (sk_call *)malloc(sizeof *call);
    SK_EXPECT(call != NULL);
    *call = (sk_call){fn, arg};
    SK_EXPECT_EQ(pthread_create(&thread, NULL, sk_call_as_thread, call), 0);
    return thread;
}

/* Starts it as a task of the runtime or (NULL) as a thread. */
static inline void sk_party_go(sk_party *p, skua_runtime *rt, skua_fn *fn)
{
    p->result = 1;
    p->is_task = rt != NULL;
    if (rt)
        p->task = sk_spawn_on(rt, fn, p);
    else
        p->thread = sk_thread_of(fn, p);
}

/* The same, and waits until it stands in the queue: who is started first is the first there. */
static inline void sk_party_waits_to_send(sk_party *p, skua_runtime *rt)
{
    size_t before = sk_senders_in(p->c);
    sk_party_go(p, rt, sk_party_sends);
    SK_EVENTUALLY(sk_senders_in(p->c) == before + 1);
}

static inline void sk_party_waits_to_receive(sk_party *p, skua_runtime *rt)
{
    size_t before = sk_receivers_in(p->c);
    sk_party_go(p, rt, sk_party_receives);
    SK_EVENTUALLY(sk_receivers_in(p->c) == before + 1);
}

/* Waits for its end. Returns the result of its call. */
static inline int sk_party_end(sk_party *p)
{
    if (p->is_task)
        SK_EXPECT_EQ(skua_join_for(p->task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    else
        SK_EXPECT_EQ(pthread_join(p->thread, NULL), 0);
    return p->result;
}

#endif

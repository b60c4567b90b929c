/* unit/signals.c: signals in channels: who gets which, what is dropped, masks, the thread's life, bad input. */
#include "support/child.h"
#include "support/tasks.h"

#include "base/fault.h"

#include <signal.h>
#include <unistd.h>

static void run(void *body)
{
    ((void (*)(void))body)();
}

/* A test in a child that has one thread only, as a test runner's process may not: its others would get the signals. */
#define ALONE(name)                                                                                                    \
    static void name(void);                                                                                            \
    SK_TEST(signals, name)                                                                                             \
    {                                                                                                                  \
        static char said[1024];                                                                                        \
        int status = sk_child(run, (void *)name, said, sizeof said);                                                   \
        fputs(said, stderr);                                                                                           \
        SK_EXPECT(sk_ended_with(status, 99));                                                                          \
    }                                                                                                                  \
    static void name(void)

static skua_chan *opened(const int *signals, size_t n)
{
    skua_chan *c = NULL;
    SK_EXPECT_EQ(skua_signals_open(&c, signals, n), 0);
    return c;
}

static skua_chan *opened_for(int number)
{
    return opened(&number, 1);
}

static int received(skua_chan *c)
{
    int number = 0;
    SK_EXPECT_EQ(skua_chan_recv_for(c, &number, SKUA_MS(SK_PATIENCE_MS)), 0);
    return number;
}

static void raise_here(int number)
{
    SK_EXPECT_EQ(kill(getpid(), number), 0);
}

static bool is_blocked(int number)
{
    sigset_t mask;
    SK_EXPECT_EQ(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    return sigismember(&mask, number) == 1;
}

/* ---- receiving ---- */

static int receive_three(void *arg)
{
    skua_chan *c = arg;
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(received(c), SIGINT);
    return 0;
}

/* Without a channel each of these would end the process. */
ALONE(come_to_tasks_and_threads)
{
    skua_chan *c = opened((int[]){SIGINT, SIGTERM, SIGHUP, SIGTERM}, 4);
    skua_task task;
    raise_here(SIGTERM);
    SK_EXPECT_EQ(received(c), SIGTERM);
    raise_here(SIGHUP);
    SK_EXPECT_EQ(received(c), SIGHUP);
    SK_EXPECT_EQ(skua_spawn(&task, receive_three, c), 0);
    for (int i = 0; i < 3; i++) {
        raise_here(SIGINT);
        skua_sleep(SKUA_MS(1)); /* or two are one: that is up to the kernel */
        if (i < 2) SK_EVENTUALLY(skua_chan_len(c) == 0);
    }
    for (int result = 1; skua_join_for(task, SKUA_MS(100), &result) == -ETIMEDOUT;) raise_here(SIGINT);
    SK_EXPECT_EQ(skua_signals_close(c), 0);
}

ALONE(go_to_all_channels_that_want_them)
{
    skua_chan *both = opened((int[]){SIGUSR1, SIGUSR2}, 2), *one = opened_for(SIGUSR1), *other = opened_for(SIGRTMIN);
    int number;
    raise_here(SIGUSR1);
    SK_EXPECT_EQ(received(both), SIGUSR1);
    SK_EXPECT_EQ(received(one), SIGUSR1);
    raise_here(SIGUSR2);
    SK_EXPECT_EQ(received(both), SIGUSR2);
    raise_here(SIGRTMIN);
    SK_EXPECT_EQ(received(other), SIGRTMIN);
    SK_EXPECT_EQ(skua_chan_try_recv(one, &number), -EAGAIN);
    SK_EXPECT_EQ(skua_chan_try_recv(other, &number), -EAGAIN);
    SK_EXPECT_EQ(skua_signals_close(both), 0);
    SK_EXPECT(is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
    raise_here(SIGUSR1);
    SK_EXPECT_EQ(received(one), SIGUSR1);
    SK_EXPECT_EQ(skua_signals_close(one), 0);
    SK_EXPECT_EQ(skua_signals_close(other), 0);
    SK_EXPECT(!is_blocked(SIGUSR1) && !is_blocked(SIGRTMIN));
}

/* Real-time signals queue in the kernel, so each one counts. */
ALONE(that_find_no_room_are_dropped)
{
    skua_chan *c = opened((int[]){SIGRTMIN, SIGRTMIN + 1}, 2), *last = opened_for(SIGRTMIN + 1);
    for (int i = 0; i < SKUA_SIGNALS_ROOM + 5; i++) raise_here(SIGRTMIN);
    raise_here(SIGRTMIN + 1); /* comes after the others */
    SK_EXPECT_EQ(received(last), SIGRTMIN + 1);
    SK_EXPECT_EQ(skua_chan_len(c), SKUA_SIGNALS_ROOM);
    for (int i = 0; i < SKUA_SIGNALS_ROOM; i++) SK_EXPECT_EQ(received(c), SIGRTMIN);
    SK_EXPECT_EQ(skua_chan_len(c), 0);
    SK_EXPECT_EQ(skua_signals_close(c), 0);
    SK_EXPECT_EQ(skua_signals_close(last), 0);
}

/* ---- opening and closing ---- */

static sk_gate handled;

static void handle(int number)
{
    (void)number;
    sk_gate_add(&handled);
}

ALONE(have_their_handlers_back_after_the_close)
{
    signal(SIGUSR1, handle);
    raise_here(SIGUSR1);
    SK_EXPECT(sk_gate_await(&handled, 1));
    for (uint32_t i = 1; i <= 3; i++) {
        skua_chan *c = opened_for(SIGUSR1);
        raise_here(SIGUSR1);
        SK_EXPECT_EQ(received(c), SIGUSR1);
        SK_EXPECT_EQ(sk_gate_now(&handled), i);
        SK_EXPECT_EQ(skua_signals_close(c), 0);
        raise_here(SIGUSR1);
        SK_EXPECT(sk_gate_await(&handled, i + 1));
    }
}

/* What was blocked before the open stays so. */
ALONE(leave_the_mask_as_it_was)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    SK_EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    skua_chan *c = opened((int[]){SIGUSR1, SIGUSR2}, 2);
    SK_EXPECT(is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
    SK_EXPECT_EQ(skua_signals_close(c), 0);
    SK_EXPECT(is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
}

static int receive_until_closed(void *arg)
{
    int number, result;
    while ((result = skua_chan_recv(arg, &number)) == 0) {
    }
    SK_EXPECT_EQ(skua_chan_release(arg), 0);
    return result;
}

ALONE(end_with_a_closed_channel)
{
    skua_chan *c = opened_for(SIGTERM);
    skua_task task;
    int result;
    SK_EXPECT_EQ(skua_chan_retain(c), 0);
    SK_EXPECT_EQ(skua_spawn(&task, receive_until_closed, c), 0);
    SK_EXPECT_EQ(skua_signals_close(c), 0);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, -EPIPE);
}

static int open_and_close(void *arg)
{
    (void)arg;
    for (long i = 0, n = sk_test_scaled(20); i < n; i++) {
        skua_chan *c = opened((int[]){SIGUSR1, SIGRTMIN + (int)(i % 3)}, 2);
        raise_here(SIGUSR1);
        SK_EXPECT_EQ(received(c), SIGUSR1);
        SK_EXPECT_EQ(skua_signals_close(c), 0);
    }
    return 0;
}

ALONE(open_and_close_beside_each_other)
{
    enum { TASKS = 3 };
    skua_chan *all = opened_for(SIGUSR1); /* blocks it here for good */
    skua_task task[TASKS];
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_spawn(&task[i], open_and_close, NULL), 0);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    SK_EXPECT_EQ(skua_signals_close(all), 0);
}

/* ---- what is refused ---- */

SK_TEST(signals, bad_input)
{
    const int unfit[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0, -1, 65, 1000, 32, 33};
    skua_chan *c = NULL, *plain;
    SK_EXPECT_EQ(skua_signals_open(NULL, (int[]){SIGINT}, 1), -EINVAL);
    SK_EXPECT_EQ(skua_signals_open(&c, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_signals_open(&c, (int[]){SIGINT}, 0), -EINVAL);
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        SK_EXPECT_EQ(skua_signals_open(&c, (int[]){SIGINT, unfit[i]}, 2), -EINVAL);
    SK_EXPECT(c == NULL && !is_blocked(SIGINT));
    SK_EXPECT_EQ(skua_signals_close(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_chan_create(&plain, sizeof(int), 1), 0);
    SK_EXPECT_EQ(skua_signals_close(plain), -EINVAL);
    SK_EXPECT_EQ(skua_chan_release(plain), 0);
}

#ifdef SK_FAULTS
/* Whatever is refused, nothing is left behind, and the next open succeeds. */
ALONE(that_cannot_be_had)
{
    static const struct {
        sk_fault_site site;
        int error;
    } cases[] = {{SK_FAULT_FILE, -EMFILE}, {SK_FAULT_THREAD, -EAGAIN}, {SK_FAULT_MALLOC, -ENOMEM}};
    SK_EXPECT_EQ(skua_signals_close(opened_for(SIGINT)), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        skua_chan *c = NULL;
        int error, refusals = 0;
        for (uint64_t nth = 1;; nth++) {
            sk_fault_arm(cases[i].site, nth, false);
            error = skua_signals_open(&c, (int[]){SIGINT}, 1);
            sk_fault_reset();
            if (!error) break;
            SK_EXPECT_EQ(error, cases[i].error);
            SK_EXPECT(!is_blocked(SIGINT));
            refusals++;
        }
        SK_EXPECT(refusals > 0);
        raise_here(SIGINT);
        SK_EXPECT_EQ(received(c), SIGINT);
        SK_EXPECT_EQ(skua_signals_close(c), 0);
    }
}
#endif

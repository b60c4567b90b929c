/*
 * generator.c: a task that makes one value after another, when they are asked for.
 *
 * fibonacci() returns the channel on which they come, as a generator in Go does.  It never ends by itself.  In Go it
 * has to be given a second channel, or a context, to be told to end, and is leaked when that is forgotten.  Here who
 * has heard enough closes the channel: the generator's send returns -EPIPE, and it goes.
 */
#include <errno.h>
#include <stdio.h>

#include <skua/skua.h>

static int generate(void *arg)
{
    skua_chan *out = arg;
    uint64_t a = 0, b = 1;
    while (skua_chan_send(out, &a) == 0) { /* waits until somebody takes it */
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    skua_chan_close(out); /* it is, but after another error: nobody is to wait for one that has gone */
    printf("the generator ends\n");
    return skua_chan_release(out);
}

/* The channel has two users, who release it each for himself: this one, and the task. */
static int fibonacci(skua_chan **out, skua_task *task)
{
    int error = skua_chan_create(out, sizeof(uint64_t), 0);
    if (error < 0) return error;
    skua_chan_retain(*out);
    error = skua_spawn(task, generate, *out);
    if (error == 0) return 0;
    skua_chan_release(*out);
    skua_chan_release(*out);
    return error;
}

int main(void)
{
    skua_chan *numbers;
    skua_task task;
    uint64_t number;
    int error = fibonacci(&numbers, &task);
    if (error < 0) return 1;
    for (int i = 0; i < 12 && error == 0; i++) {
        error = skua_chan_recv(numbers, &number);
        if (error == 0) printf("%llu\n", (unsigned long long)number);
    }
    skua_chan_close(numbers);
    skua_chan_release(numbers);
    int joined = skua_join(task, NULL);
    return error < 0 || joined < 0;
}

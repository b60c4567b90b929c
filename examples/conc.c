/*
 * conc.c: what conc shows: a stream whose callbacks run in order, map and for_each, and a wait group in which a task
 * panics, which the one who waits learns of.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <skua/skua.h>

enum { N = 8 };

/* ---- a stream ---- */

typedef struct block {
    int number;
    int square;
} block;

static int square(void *arg)
{
    block *b = arg;
    int error = skua_sleep(SKUA_MS((uint64_t)(N - b->number) * 2)); /* the first takes longest */
    b->square = b->number * b->number;
    return error;
}

/* Callbacks run one at a time, in the order in which the blocks were submitted: nothing here needs a lock. */
static int append(void *arg, int result)
{
    const block *b = arg;
    printf(" %d", b->square);
    return result;
}

static int stream_squares(void)
{
    block blocks[N];
    skua_stream *stream;
    int error = skua_stream_create(&stream, &(skua_stream_options){.limit = 4});
    if (error < 0) return error;
    printf("stream:");
    for (int i = 0; i < N && error == 0; i++) {
        blocks[i] = (block){.number = i};
        error = skua_stream_go(stream, square, append, &blocks[i]);
    }
    if (error == 0) error = skua_stream_wait(stream, NULL); /* the first error of a task or of a callback */
    skua_stream_release(stream);
    printf("\n");
    return error;
}

/* ---- loops ---- */

static int length(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(size_t *)out = strlen(*(const char *const *)in);
    return 0;
}

/* An item may fail; the others are looked at all the same (fail_fast would end them). */
static int add_even(void *ctx, size_t i)
{
    if (i % 2) return -EDOM;
    atomic_fetch_add((atomic_size_t *)ctx, i);
    return 0;
}

static int map_and_for_each(void)
{
    const char *words[] = {"structured", "concurrency", "in", "C"};
    size_t lengths[4];
    int error = skua_map(NULL, words, sizeof words[0], lengths, sizeof lengths[0], 4, length, NULL);
    if (error < 0) return error;
    printf("map: %zu %zu %zu %zu\n", lengths[0], lengths[1], lengths[2], lengths[3]);

    atomic_size_t sum = 0;
    int results[10], errors = 0;
    int first = skua_for_each(&(skua_loop_options){.limit = 4, .results = results}, 10, add_even, &sum);
    for (int i = 0; i < 10; i++) errors += results[i] < 0;
    printf("for_each: the sum is %zu, %d errors, all the same: %d\n", atomic_load(&sum), errors, first == -EDOM);
    return 0;
}

/* ---- a wait group ---- */

static int well(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static int badly(void *arg)
{
    skua_panic_task("task %d has met something that cannot be", *(int *)arg); /* from any depth; does not return */
}

/* conc's Wait panics when a task has panicked. Here who waits decides, and this one does so as well. */
static int wait_for_all(void *ran)
{
    int number = 7;
    skua_fault fault;
    skua_group *group;
    int error = skua_group_create(&group, NULL);
    if (error < 0) return error;
    for (int i = 0; i < N && error == 0; i++) error = skua_group_go(group, well, ran);
    if (error == 0) error = skua_group_go(group, badly, &number);
    if (error == 0) error = skua_group_wait(group, NULL);
    int gave_up = skua_group_fault(group, &fault) == 0;
    skua_group_release(group);
    if (gave_up) skua_fault_rethrow(&fault); /* the same message and place, now of this task */
    return error;
}

static int wait_for_a_fault(void)
{
    atomic_int ran = 0;
    int result;
    skua_task task;
    skua_fault fault;
    int error = skua_spawn(&task, wait_for_all, &ran);
    if (error == 0) error = skua_join_fault(task, SKUA_FOREVER, &result, &fault);
    if (error < 0) return error;
    printf("wait group: %d ran, %s\n", atomic_load(&ran), result == -EFAULT ? "one gave up" : "none gave up");
    if (!fault.file) return result;
    const char *slash = strrchr(fault.file, '/');
    printf("fault: %s (in %s)\n", fault.message, slash ? slash + 1 : fault.file);
    return 0;
}

int main(void)
{
    int error = stream_squares();
    if (error == 0) error = map_and_for_each();
    if (error == 0) error = wait_for_a_fault();
    if (error < 0) fprintf(stderr, "conc: %s\n", skua_strerror(error));
    return error < 0;
}

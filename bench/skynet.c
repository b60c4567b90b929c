/*
 * skynet: a tree of tasks with ten children each, down to n leaves; every leaf sends
 * its number, every other node the sum of what its children sent, through a channel
 * of their own.  (The "skynet 1M concurrency benchmark" of A. Temerev, as its Go version.)
 */
#include "in_task.h"
#include "measure.h"

#define CHILDREN 10

typedef struct node {
    skua_chan *to;        /* where its result goes */
    uint64_t first, size; /* its leaves */
} node;

static int grow(void *arg);

/* The children's nodes lie in this frame: each has been read when the last result is here. */
static int sum_of_children(const node *self, uint64_t *sum)
{
    node children[CHILDREN];
    skua_chan *results;
    uint64_t size = self->size / CHILDREN;
    int error = skua_chan_create(&results, sizeof(uint64_t), 0);
    if (error < 0) return error;
    for (uint64_t i = 0; i < CHILDREN && error == 0; i++) {
        children[i] = (node){results, self->first + i * size, size};
        error = skua_go(grow, &children[i]);
    }
    for (int i = 0; i < CHILDREN && error == 0; i++) {
        uint64_t result;
        error = skua_chan_recv(results, &result);
        if (error == 0) *sum += result;
    }
    skua_chan_release(results);
    return error;
}

static int grow(void *arg)
{
    node self = *(const node *)arg;
    uint64_t sum = self.first;
    if (self.size > 1) {
        sum = 0;
        int error = sum_of_children(&self, &sum);
        if (error < 0) skua_panic_task("skynet: %s", skua_strerror(error));
    }
    return skua_chan_send(self.to, &sum);
}

static int whole_tree(void *arg)
{
    bench_run *run = arg;
    node root = {NULL, 0, run->n};
    uint64_t sum = 0;
    int error = skua_chan_create(&root.to, sizeof(uint64_t), 0);
    if (error < 0) return error;
    measure_start(run);
    error = skua_go(grow, &root);
    if (error == 0) error = skua_chan_recv(root.to, &sum);
    measure_stop(run);
    return error < 0 ? error : expect_sum(sum, run->n);
}

int bench_skynet(bench_run *run)
{
    uint64_t leaves = 1;
    while (leaves * CHILDREN <= run->n) leaves *= CHILDREN;
    run->n = leaves;
    snprintf(run->params, sizeof run->params, "children=%d capacity=0", CHILDREN);
    return in_task(whole_tree, run);
}

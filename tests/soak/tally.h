/*
 * tally.h: what was run, summed up so that nothing can be lost, doubled or swapped unseen.
 *
 * Every task of the soak has an index of its own, and adds 1, its index and its
 * index squared to three sums (modulo 2^64) when it runs.  The closed forms
 * over the range of indices say what the sums must be.
 */
#ifndef SOAK_TALLY_H
#define SOAK_TALLY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tally {
    uint64_t count, sum, squares;
} tally;

/* Task `index` has run (or was found never to run, which its maker says for it). Any thread; never parks. */
void tally_add(uint64_t index);

/* All that has been added. Exact once every task has ended. */
tally tally_read(void);

/* What the indices first ... first + n - 1 come to. */
tally tally_of_range(uint64_t first, uint64_t n);

static inline bool tally_equal(tally a, tally b)
{
    return a.count == b.count && a.sum == b.sum && a.squares == b.squares;
}

#endif

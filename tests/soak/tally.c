/* tally.c: see tally.h. */
#include "tally.h"

#include <stdatomic.h>

enum { CELLS = 128 };

/* Each thread adds to a cell of its own as long as there are no more than CELLS; so the adds seldom meet. */
static struct {
    _Alignas(64) _Atomic uint64_t count;
    _Atomic uint64_t sum, squares;
} cells[CELLS];

static _Atomic unsigned threads_seen;

/* Never inlined: a task may go on on another thread, and must not keep this thread's cell. */
__attribute__((noinline)) static unsigned cell_of_thread(void)
{
    static _Thread_local unsigned cell; /* one more than the cell; 0: none yet */
    if (!cell) cell = 1 + atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) % CELLS;
    return cell - 1;
}

void tally_add(uint64_t index)
{
    unsigned i = cell_of_thread();
    atomic_fetch_add_explicit(&cells[i].count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[i].sum, index, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[i].squares, index * index, memory_order_relaxed);
}

tally tally_read(void)
{
    tally all = {0};
    for (int i = 0; i < CELLS; i++) {
        all.count += atomic_load_explicit(&cells[i].count, memory_order_relaxed);
        all.sum += atomic_load_explicit(&cells[i].sum, memory_order_relaxed);
        all.squares += atomic_load_explicit(&cells[i].squares, memory_order_relaxed);
    }
    return all;
}

/* Of the indices below n. 128 bits hold the products for any n below 2^41. */
static tally below(uint64_t n)
{
    unsigned __int128 wide = n;
    if (n == 0) return (tally){0};
    return (tally){n, (uint64_t)(wide * (wide - 1) / 2), (uint64_t)((wide - 1) * wide * (2 * wide - 1) / 6)};
}

tally tally_of_range(uint64_t first, uint64_t n)
{
    tally a = below(first), b = below(first + n);
    return (tally){b.count - a.count, b.sum - a.sum, b.squares - a.squares};
}

/*
 * sim.h: where the simulator of tests/sim takes hold of atomic.h.
 *
 * Only in builds with -DSK_SIM.  There the whole runtime runs on one OS thread,
 * and each of these calls is a point: before the operation the simulator may let
 * another simulated thread go on.  `size` is that of the word, 1 to 8 bytes;
 * `order` is a memory order as the compiler numbers them.  Everything else that
 * the simulator takes over (futex, clock, memory, threads, liburcu) it takes
 * over at link time; see tests/sim/README.md.
 */
#ifndef SK_BASE_SIM_H
#define SK_BASE_SIM_H

#include <stdbool.h>

enum { SK_SIM_XCHG, SK_SIM_ADD, SK_SIM_SUB, SK_SIM_OR, SK_SIM_AND };

void sk_sim_load(const volatile void *word, void *out, unsigned size, int order);
void sk_sim_store(volatile void *word, const void *value, unsigned size, int order);

/* *before gets the word as it was. */
void sk_sim_rmw(volatile void *word, int operation, const void *operand, void *before, unsigned size, int order);

/* False: the word was not *expected, which gets it as it was. */
bool sk_sim_cas(volatile void *word, void *expected, const void *wanted, unsigned size, int order);

void sk_sim_fence(int order);
void sk_sim_fence_light(void);

/* In a spin loop: lets others go first. */
void sk_sim_relax(void);

#endif

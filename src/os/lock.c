/* lock.c: see lock.h. */
#include "os/lock.h"

#include <sched.h>

#include "os/clock.h"
#include "os/futex.h"

enum {
    SPINS = 200,    /* looks: some microseconds, ten times what a holder needs */
    YIELDS = 20,    /* then for those of its own priority */
    NAP_NS = 50000, /* then for anybody */
};

static void nap(void)
{
    sk_atomic(uint32_t) nobody;
    sk_store_rlx(&nobody, 0u);
    sk_futex_wait(&nobody, 0, sk_clock_ns() + NAP_NS);
}

void sk_lock_give_way(unsigned tries)
{
    if (tries < SPINS)
        sk_cpu_relax();
    else if (tries < SPINS + YIELDS)
        sched_yield();
    else
        nap();
}

sk_noinline void sk_lock_take_slow(sk_lock *lock)
{
    for (unsigned tries = 0; !sk_lock_try(lock); tries++) sk_lock_give_way(tries);
}

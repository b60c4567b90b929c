/*
 * fault.c: the counters behind fault.h; empty unless built with -DSK_FAULTS.
 *
 * All accesses are relaxed: a counter publishes nothing, and the atomic add
 * alone makes sure that exactly one call is the nth.
 */
#include "base/fault.h"

#ifdef SK_FAULTS

#include "base/atomic.h"
#include "base/base.h"

typedef struct fault_counter {
    sk_atomic(uint64_t) calls; /* any thread adds */
    sk_atomic(uint64_t) nth;   /* W: the test; 0 when disarmed */
    sk_atomic(bool) forever;   /* W: the test */
} fault_counter;

static fault_counter counters[SK_FAULT_SITES];

bool sk_fault(sk_fault_site site)
{
    fault_counter *counter = &counters[site];
    uint64_t call = sk_add_rlx(&counter->calls, 1u) + 1;
    uint64_t nth = sk_load_rlx(&counter->nth);
    if (sk_likely(nth == 0)) return false;
    return sk_load_rlx(&counter->forever) ? call >= nth : call == nth;
}

void sk_fault_arm(sk_fault_site site, uint64_t nth, bool forever)
{
    sk_check(site < SK_FAULT_SITES);
    fault_counter *counter = &counters[site];
    sk_store_rlx(&counter->nth, 0u); /* first disarm, so that no thread sees the old nth beside the new count */
    sk_store_rlx(&counter->calls, 0u);
    sk_store_rlx(&counter->forever, forever);
    sk_store_rlx(&counter->nth, nth);
}

void sk_fault_reset(void)
{
    for (int site = 0; site < SK_FAULT_SITES; site++) sk_fault_arm((sk_fault_site)site, 0, false);
}

uint64_t sk_fault_count(sk_fault_site site)
{
    sk_check(site < SK_FAULT_SITES);
    return sk_load_rlx(&counters[site].calls);
}

#else

typedef int sk_fault_no_empty_unit; /* ISO C wants one declaration in a file */

#endif

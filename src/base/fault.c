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
static fault_counter any;                           /* over the sites of any_sites */
static sk_atomic(uint32_t) any_sites;               /* W: the test */
static sk_atomic(uint64_t) any_hits;                /* any thread adds */
static sk_atomic(uint64_t) granted[SK_FAULT_SITES]; /* any thread adds */

/* Counts a call; true when it is one that fails. */
static bool count(fault_counter *counter)
{
    uint64_t call = sk_add_rlx(&counter->calls, 1u) + 1;
    uint64_t nth = sk_load_rlx(&counter->nth);
    if (sk_likely(nth == 0)) return false;
    return sk_load_rlx(&counter->forever) ? call >= nth : call == nth;
}

bool sk_fault(sk_fault_site site)
{
    bool fails = count(&counters[site]);
    if ((sk_load_rlx(&any_sites) >> site & 1) && count(&any)) {
        sk_add_rlx(&any_hits, UINT64_C(1));
        fails = true;
    }
    if (!fails) sk_add_rlx(&granted[site], UINT64_C(1));
    return fails;
}

static void arm(fault_counter *counter, uint64_t nth, bool forever)
{
    sk_store_rlx(&counter->nth, 0u); /* first disarm, so that no thread sees the old nth beside the new count */
    sk_store_rlx(&counter->calls, 0u);
    sk_store_rlx(&counter->forever, forever);
    sk_store_rlx(&counter->nth, nth);
}

void sk_fault_arm(sk_fault_site site, uint64_t nth, bool forever)
{
    sk_check(site < SK_FAULT_SITES);
    arm(&counters[site], nth, forever);
}

void sk_fault_arm_any(uint32_t sites, uint64_t nth, bool forever)
{
    sk_store_rlx(&any_sites, 0u);
    arm(&any, nth, forever);
    sk_store_rlx(&any_hits, UINT64_C(0));
    sk_store_rlx(&any_sites, sites);
}

void sk_fault_reset(void)
{
    sk_fault_arm_any(0, 0, false);
    for (int site = 0; site < SK_FAULT_SITES; site++) sk_fault_arm((sk_fault_site)site, 0, false);
}

uint64_t sk_fault_count(sk_fault_site site)
{
    sk_check(site < SK_FAULT_SITES);
    return sk_load_rlx(&counters[site].calls);
}

uint64_t sk_fault_granted(sk_fault_site site)
{
    sk_check(site < SK_FAULT_SITES);
    return sk_load_rlx(&granted[site]);
}

uint64_t sk_fault_any_hits(void)
{
    return sk_load_rlx(&any_hits);
}

#else

typedef int sk_fault_no_empty_unit; /* ISO C wants one declaration in a file */

#endif

/*
 * ledger.h: what the library really asked of the machine, and what it has not given back.
 *
 * The copy of the library that these tests are linked with calls seen_NAME where
 * the library calls NAME (tools/test-faults renames the symbols); ledger.c counts
 * and passes on.  The tests' own calls are not counted.
 */
#ifndef SK_FAULTS_LEDGER_H
#define SK_FAULTS_LEDGER_H

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ledger {
    int64_t blocks;    /* of the heap: allocated and not freed */
    int64_t mapped;    /* bytes */
    int64_t threads;   /* started and neither joined nor detached */
    int64_t files;     /* open */
    int64_t altstacks; /* set and not switched off */
} ledger;

/* What is out now. Any thread. */
ledger ledger_now(void);

/* Calls of a site that have really been made. Compare with sk_fault_count when nothing was armed. */
uint64_t ledger_calls(sk_fault_site site);

#endif

/*
 * load.h: between load.c, which has the records, the bursts and the plain
 * tasks, and load_pools.c: what goes through pools.
 */
#ifndef FREEZE_LOAD_H
#define FREEZE_LOAD_H

#include "freeze.h"

enum { PLAIN, YIELDS, SLEEPS, SLEEPS_LONG, BLOCKS, COMPUTES, MIXED, GROWS, SUBMITS, FAILS };
enum { OPS_OF_FOREIGN = 24, OPS_OF_TASK = 5, FAMILY = 4, BATCH = 24, BIG_BATCH = 300 };

uint32_t fz_draw(uint32_t *seed, uint32_t below);
_Noreturn void fz_die(const char *call, int error);

/* A record of this kind; NULL: there is to be no more. */
fz_record *fz_new_record(int kind, uint32_t *seed);

/* Before it is submitted: it need not run. */
void fz_may_be_given_up(fz_record *r);

/* What a submission returned. */
void fz_accepted(fz_record *r, int error);

/* What it waits for now; NULL: nothing. who: or NULL. */
void fz_wait_for(fz_record *who, fz_record *whom);

/* ---- load_pools.c ---- */

void fz_open_pools(void);
void fz_close_pools(void);

/* One of the things that there are to be done with pools; self: who does it. */
void fz_do_pools(fz_record *self, uint32_t *seed);
void fz_promise(fz_record *self, uint32_t *seed);
void fz_retry(fz_record *self, uint32_t *seed);
void fz_in_group(fz_record *self, uint32_t *seed);

/* So many tasks into the pool; may_wait: for room. */
void fz_submit(fz_record *self, uint32_t *seed, uint32_t n, bool may_wait);

#endif

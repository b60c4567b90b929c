/*
 * round.h: one round of the soak: many loads at once on one runtime, and what must be true when they are over.
 */
#ifndef SOAK_ROUND_H
#define SOAK_ROUND_H

#include "load.h"
#include "tally.h"

/* One load of a mixture. */
typedef struct part {
    int kind;
    uint64_t n;  /* tasks; rounded up to whole units of the kind */
    bool thread; /* driven by a thread of the program, not by a task */
} part;

/* What all rounds have found so far. */
typedef struct findings {
    uint64_t tasks;         /* accepted and accounted for */
    uint64_t rounds;        /* mixtures run */
    uint64_t longest;       /* ns; the longest of them */
    uint64_t next;          /* the first index not given out */
    uint64_t stopped_tasks; /* of runtimes that were stopped in the middle */
    uint64_t dropped;       /* of these, ended without a start */
    /* all of these must stay 0 */
    uint64_t sums_wrong, states_wrong, loads_wrong, runtimes_wrong;
    uint64_t runtimes; /* created and released */
    tally due;         /* what tally_read must say */
} findings;

/* Runs the parts on rt, waits for their end, and checks sums, states and results. */
void round_run(findings *f, skua_runtime *rt, const part *parts, unsigned n);

/* A runtime that is made for the round, runs the parts, and is released. */
void round_on_new(findings *f, const skua_runtime_options *options, const part *parts, unsigned n);

/* A runtime that is stopped while most of its n tasks sleep or wait for their start. */
void round_stopped(findings *f, uint64_t n);

/* Waits until all tasks of rt have ended. The last snapshot. */
skua_stats round_settle(skua_runtime *rt);

/* Nothing moves any more: says where, prints the failure and ends the process. */
void round_stuck(skua_runtime *rt, const char *where) __attribute__((noreturn));

#endif

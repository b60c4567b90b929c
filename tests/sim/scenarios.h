/* scenarios.h: the scenarios, as scenarios.c lists them. */
#ifndef SK_TESTS_SIM_SCENARIOS_H
#define SK_TESTS_SIM_SCENARIOS_H

#include "sim/scenario.h"

/* Tasks. */
void sim_tree(void);
void sim_storm(void);
void sim_sparse(void);
void sim_sleeps(void);
void sim_yields(void);
void sim_cancel(void);
void sim_deadlines(void);
void sim_handles(void);
void sim_timers(void);
void sim_growth(void);
void sim_stacks(void);

/* Runtimes. */
void sim_blocking(void);
void sim_stall(void);
void sim_runnext(void);
void sim_deep(void);
void sim_resize(void);
void sim_race(void);
void sim_end(void);
void sim_two(void);
void sim_adjust(void);
void sim_default(void);

/* Pools. */
void sim_pool(void);
void sim_full(void);
void sim_poolend(void);
void sim_subpools(void);
void sim_policies(void);
void sim_retries(void);
void sim_futures(void);
void sim_groups(void);
void sim_streams(void);
void sim_loops(void);
void sim_mutexes(void);
void sim_lanes(void);
void sim_shards(void);
void sim_stored(void);
void sim_earliest(void);
void sim_straight(void);
void sim_progress(void);
void sim_measured(void);
void sim_givenup(void);
void sim_said(void);

/* What tasks wait on. */
void sim_channels(void);
void sim_locks(void);
void sim_contexts(void);

/* All together. */
void sim_mix(void);

#endif

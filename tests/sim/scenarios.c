/* scenarios.c: the list of scenarios. */
#include "sim/scenarios.h"

#include "base/base.h"

const sim_scenario sim_scenarios[] = {
    {"tree", sim_tree, SKUA_MS(100)},
    {"storm", sim_storm, SKUA_MS(100)},
    {"sparse", sim_sparse, SKUA_MS(100)},
    {"sleeps", sim_sleeps, SKUA_MS(100)},
    {"yields", sim_yields, SKUA_MS(100)},
    {"cancel", sim_cancel, SKUA_MS(100)},
    {"deadlines", sim_deadlines, SKUA_MS(100)},
    {"handles", sim_handles, SKUA_MS(100)},
    {"timers", sim_timers, SKUA_MS(100)},
    {"growth", sim_growth, SKUA_MS(100)},
    {"stacks", sim_stacks, SKUA_MS(100)},
    {"blocking", sim_blocking, SKUA_MS(100)},
    {"stall", sim_stall, SKUA_MS(100)},
    {"runnext", sim_runnext, SKUA_MS(100)},
    {"deep", sim_deep, SKUA_MS(150)},
    {"resize", sim_resize, SKUA_MS(100)},
    {"race", sim_race, SKUA_MS(100)},
    {"end", sim_end, SKUA_MS(100)},
    {"two", sim_two, SKUA_MS(100)},
    {"adjust", sim_adjust, SKUA_MS(100)},
    {"default", sim_default, SKUA_MS(100)},
    {"pool", sim_pool, SKUA_MS(100)},
    {"full", sim_full, SKUA_MS(100)},
    {"mix", sim_mix, SKUA_MS(100)},
    {"poolend", sim_poolend, SKUA_MS(100)},
};
const unsigned sim_scenario_count = sk_array_len(sim_scenarios);

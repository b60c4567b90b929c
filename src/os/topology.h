/*
 * topology.h: how many processors may this process use?
 *
 * The smallest of three limits, and never below 1:
 *   - the affinity mask (taskset, cpusets),
 *   - the CPU quota of the cgroup and of all those above it, v1 or v2, rounded
 *     up: 1.5 processors' worth of time is best used by two workers,
 *   - the environment variable SKUA_WORKERS.
 *
 * The parsers are pure functions on the text of the kernel's files.
 */
#ifndef SK_OS_TOPOLOGY_H
#define SK_OS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#define SK_NO_LIMIT 0u /* what the limit functions return when there is none */

/* The default number of workers. Reads files: call it once, not on a hot path. */
unsigned sk_topology_processors(void);

/* The parts of the above; each SK_NO_LIMIT when it says nothing. */
unsigned sk_topology_affinity(void);
unsigned sk_topology_quota(void);
unsigned sk_topology_environment(void);

/*
 * The smallest quota of `folder` and its parents, up to the one whose path has
 * `top` characters. Shortens `folder` in place. `v2`: cpu.max, else the two files of v1.
 */
unsigned sk_quota_upwards(char *folder, size_t top, bool v2);

/* ---- pure ---- */

/* Text of cpu.cfs_quota_us ("-1\n": none) and cpu.cfs_period_us. */
unsigned sk_parse_quota_v1(const char *quota, const char *period);

/* Text of cpu.max: "max 100000\n" or "150000 100000\n". */
unsigned sk_parse_quota_v2(const char *cpu_max);

/* Text of SKUA_WORKERS: a decimal number above 0, else no limit. */
unsigned sk_parse_workers(const char *value);

/*
 * From /proc/self/cgroup, the path of this process in the hierarchy of
 * `controller` ("cpu"), or in the unified one when `controller` is NULL.
 */
bool sk_parse_cgroup_path(const char *text, const char *controller, char *path, size_t size);

/*
 * From /proc/self/mountinfo, where that hierarchy is mounted, and which part of
 * it is (its root: not "/" in a container without a cgroup namespace).
 */
typedef struct sk_cgroup_mount {
    char root[256];
    char point[256];
} sk_cgroup_mount;
bool sk_parse_cgroup_mount(const char *text, const char *controller, sk_cgroup_mount *mount);

/* The folder to start from: the mount point and what of `path` lies below the mount's root. */
bool sk_cgroup_folder(const sk_cgroup_mount *mount, const char *path, char *folder, size_t size);

#endif

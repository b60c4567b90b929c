/* topology.c: reads what topology_parse.c understands. */
#include "os/topology.h"
#include "base/base.h"
#include "base/heap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AFFINITY_WORDS 128     /* 8192 processors: the most that Linux can be built for on x86-64 */
#define TEXT_BYTES (256 << 10) /* mountinfo on a machine with thousands of mounts; what lies beyond is not seen */
#define PATH_BYTES 1024

/* The whole file as a string; false when it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int file = sk_fault(SK_FAULT_FILE) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    size_t length = 0;
    while (length < size - 1) {
        ssize_t n = sk_fault(SK_FAULT_FILE) ? -1 : read(file, text + length, size - 1 - length);
        if (n <= 0) break;
        length += (size_t)n;
    }
    close(file);
    text[length] = 0;
    return length > 0;
}

static bool read_in(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_text(path, text, size);
}

/* The system call, not glibc's wrapper: that one fails on more processors than its set has room for. */
unsigned sk_topology_affinity(void)
{
    unsigned long mask[AFFINITY_WORDS] = {0};
    long bytes = sk_fault(SK_FAULT_AFFINITY) ? -1 : syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    unsigned processors = 0;
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof mask[0]; i++) {
        processors += (unsigned)__builtin_popcountl(mask[i]);
    }
    return processors;
}

static unsigned smaller_limit(unsigned a, unsigned b)
{
    if (a == SK_NO_LIMIT) return b;
    if (b == SK_NO_LIMIT) return a;
    return sk_min(a, b);
}

static unsigned quota_of_folder(const char *folder, bool v2)
{
    char first[64], second[64];
    if (v2) return read_in(folder, "cpu.max", first, sizeof first) ? sk_parse_quota_v2(first) : SK_NO_LIMIT;
    bool known = read_in(folder, "cpu.cfs_quota_us", first, sizeof first) &&
                 read_in(folder, "cpu.cfs_period_us", second, sizeof second);
    return known ? sk_parse_quota_v1(first, second) : SK_NO_LIMIT;
}

/*
 * A quota binds everything below it, so that the smallest on the way up counts.
 * A folder that cannot be read (the path is the host's, seen from a container)
 * is skipped: its parents may be readable.
 */
unsigned sk_quota_upwards(char *folder, size_t top, bool v2)
{
    unsigned limit = SK_NO_LIMIT;
    for (;;) {
        limit = smaller_limit(limit, quota_of_folder(folder, v2));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < top) return limit;
        *slash = 0;
    }
}

static unsigned quota_in_hierarchy(char *text, const char *controller)
{
    char path[PATH_BYTES], folder[PATH_BYTES];
    sk_cgroup_mount mount;
    if (!read_text("/proc/self/cgroup", text, TEXT_BYTES)) return SK_NO_LIMIT;
    if (!sk_parse_cgroup_path(text, controller, path, sizeof path)) return SK_NO_LIMIT;
    if (!read_text("/proc/self/mountinfo", text, TEXT_BYTES)) return SK_NO_LIMIT;
    if (!sk_parse_cgroup_mount(text, controller, &mount)) return SK_NO_LIMIT;
    if (!sk_cgroup_folder(&mount, path, folder, sizeof folder)) return SK_NO_LIMIT;
    return sk_quota_upwards(folder, strlen(mount.point), controller == NULL);
}

/* Both versions may be mounted at once; the cpu controller lives in one of them and the other says nothing. */
unsigned sk_topology_quota(void)
{
    char *text = sk_heap_alloc(TEXT_BYTES);
    if (!text) return SK_NO_LIMIT;
    unsigned limit = smaller_limit(quota_in_hierarchy(text, "cpu"), quota_in_hierarchy(text, NULL));
    sk_heap_free(text);
    return limit;
}

unsigned sk_topology_environment(void)
{
    return sk_parse_workers(getenv("SKUA_WORKERS"));
}

unsigned sk_topology_processors(void)
{
    unsigned limit = smaller_limit(sk_topology_affinity(), sk_topology_quota());
    limit = smaller_limit(limit, sk_topology_environment());
    return limit == SK_NO_LIMIT ? 1 : limit;
}

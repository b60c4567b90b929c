/* topology_parse.c: the kernel's texts about cgroups, as pure functions. */
#include "base/base.h"
#include "os/topology.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024

/* A decimal number above 0 that ends at white space or at the end; else 0. Moves *text behind it. */
static long long positive(const char **text)
{
    if (!*text) return 0;
    char *end;
    errno = 0;
    long long n = strtoll(*text, &end, 10);
    bool whole = end != *text && (*end == 0 || isspace((unsigned char)*end));
    *text = end;
    return whole && errno == 0 && n > 0 ? n : 0;
}

static unsigned round_up_quota(long long quota, long long period)
{
    if (quota == 0 || period == 0) return SK_NO_LIMIT;
    long long processors = (quota - 1) / period + 1;
    return processors < INT_MAX ? (unsigned)processors : SK_NO_LIMIT;
}

unsigned sk_parse_quota_v1(const char *quota, const char *period)
{
    return round_up_quota(positive(&quota), positive(&period));
}

unsigned sk_parse_quota_v2(const char *cpu_max)
{
    long long quota = positive(&cpu_max); /* "max" is not a number */
    return round_up_quota(quota, quota ? positive(&cpu_max) : 0);
}

unsigned sk_parse_workers(const char *value)
{
    if (!value || !isdigit((unsigned char)*value)) return SK_NO_LIMIT;
    long long n = positive(&value);
    while (isspace((unsigned char)*value)) value++;
    return *value == 0 && n < INT_MAX ? (unsigned)n : SK_NO_LIMIT;
}

/* Copies the line that starts at text; returns the start of the next, or NULL behind the last. */
static const char *next_line(const char *text, char *line, size_t size)
{
    size_t length = strcspn(text, "\n");
    size_t copied = sk_min(length, size - 1);
    memcpy(line, text, copied);
    line[copied] = 0;
    return text[length] ? text + length + 1 : NULL;
}

/* Is `word` one of the comma-separated words of `list`? */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == length && memcmp(list, word, n) == 0) return true;
        list += n + (list[n] == ',');
    }
    return false;
}

/* A line is `id:controllers:path`; the unified hierarchy is number 0 with no controllers. The path may hold colons. */
static char *cgroup_line_path(char *line, const char *controller)
{
    char *list = strchr(line, ':');
    char *path = list ? strchr(list + 1, ':') : NULL;
    if (!path) return NULL;
    *list++ = 0;
    *path++ = 0;
    bool wanted = controller ? list_has(list, controller) : strcmp(line, "0") == 0 && *list == 0;
    return wanted ? path : NULL;
}

bool sk_parse_cgroup_path(const char *text, const char *controller, char *path, size_t size)
{
    char line[LINE_BYTES];
    while (text && *text) {
        text = next_line(text, line, sizeof line);
        const char *found = cgroup_line_path(line, controller);
        if (found) return (size_t)snprintf(path, size, "%s", found) < size;
    }
    return false;
}

/* `id parent major:minor root point options optional... - type source super-options`; proc(5). */
static bool mount_line(const char *line, const char *controller, sk_cgroup_mount *mount)
{
    char type[32], options[256];
    const char *tail = strstr(line, " - ");
    if (!tail || sscanf(tail, " - %31s %*s %255s", type, options) != 2) return false;
    bool wanted =
        controller ? strcmp(type, "cgroup") == 0 && list_has(options, controller) : strcmp(type, "cgroup2") == 0;
    /* Blanks in these two would stand as \040; nobody mounts cgroups on such a path, and then there is no limit. */
    return wanted && sscanf(line, "%*s %*s %*s %255s %255s", mount->root, mount->point) == 2;
}

bool sk_parse_cgroup_mount(const char *text, const char *controller, sk_cgroup_mount *mount)
{
    char line[LINE_BYTES]; /* a longer line (an overlay's) is cut and then is no cgroup's */
    while (text && *text) {
        text = next_line(text, line, sizeof line);
        if (mount_line(line, controller, mount)) return true;
    }
    return false;
}

/*
 * A path outside of the mount's root (another cgroup namespace, a bind mount of
 * a part) has no folder of its own here; the mount point is the nearest one.
 */
bool sk_cgroup_folder(const sk_cgroup_mount *mount, const char *path, char *folder, size_t size)
{
    size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    bool below = strncmp(path, mount->root, root) == 0 && (path[root] == '/' || path[root] == 0);
    const char *rest = below && !strstr(path, "/..") ? path + root : "";
    if (strcmp(rest, "/") == 0) rest = "";
    int n = snprintf(folder, size, "%s%s", mount->point, rest);
    return n > 0 && (size_t)n < size;
}

/*
 * md5.c: the MD5 of every file below some folders, as md5sum(1) prints it, sorted by name.
 *
 * Two stages: this thread walks the folders and submits a task for each file; the tasks read and digest, as many at a
 * time as the pool's limit says.  The walk is never far ahead, since skua_group_go waits while the group is full.  One
 * word from anyone ends it all: the first error (with --stop), or an interrupt.  A bar shows how far it has come.
 *
 * Ends with 0; 1: some files could not be read; 2: it was called wrongly; 3: ended by an error; 130: interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/md5.h>
#include <skua/skua.h>

typedef struct file {
    struct file *next;
    int number, error;
    uint8_t digest[MD5_DIGEST_SIZE];
    char path[];
} file;

static struct {
    skua_pool *pool;
    skua_group *group; /* in the pool: what ends together */
    file *files;
    int count, unread, fail_at;
} the;

static void complain(const char *path, int error)
{
    fprintf(stderr, "md5: %s: %s\n", path, strerror(-error));
}

/* The thread blocks in a read: between begin and end the worker's other tasks go on on another one. */
static ssize_t read_some(int fd, void *buffer, size_t size)
{
    skua_blocking_begin();
    ssize_t n = read(fd, buffer, size);
    if (n < 0) n = -errno; /* before the end of the bracket: errno belongs to the thread, and the task may change it */
    skua_blocking_end();
    return n;
}

static int digest(void *arg)
{
    file *f = arg;
    struct md5_ctx ctx;
    uint8_t buffer[16384]; /* a task's stack has 64 KiB */
    ssize_t n = f->number == the.fail_at ? -EIO : 0;
    int fd = n < 0 ? -1 : open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && n == 0) n = -errno;

    md5_init(&ctx);
    while (fd >= 0 && (n = skua_cancelled()) == 0 && (n = read_some(fd, buffer, sizeof buffer)) > 0)
        md5_update(&ctx, (size_t)n, buffer);
    md5_digest(&ctx, sizeof f->digest, f->digest);
    if (fd >= 0) close(fd);
    f->error = (int)n;
    if (n < 0 && n != -ECANCELED) complain(f->path, (int)n);
    return (int)n;
}

/* Stage one. It ends early when the group has been cancelled (-ECANCELED), or with an error of its own. */
static void walk(char **folders)
{
    FTS *tree = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int error = tree ? 0 : -errno;
    FTSENT *entry;
    while (error == 0 && (entry = fts_read(tree))) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            complain(entry->fts_path, -entry->fts_errno);
            the.unread++;
        }
        if (entry->fts_info != FTS_F) continue;
        file *f = calloc(1, sizeof *f + entry->fts_pathlen + 1);
        if (!f) abort();
        memcpy(f->path, entry->fts_path, entry->fts_pathlen);
        f->number = ++the.count;
        f->next = the.files;
        the.files = f;
        error = skua_group_go(the.group, digest, f);
        if (error < 0) f->error = error; /* else it is the task's from now on */
    }
    if (error == 0) error = -errno; /* of fts_read, which sets errno to 0 at the end */
    if (tree) fts_close(tree);
    if (error < 0 && error != -ECANCELED) {
        complain(folders[0], error);
        the.unread++;
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(file *const *)a)->path, (*(file *const *)b)->path);
}

/* As md5sum does it: a backslash in front of the line when there is one in the name. */
static void print(const file *f)
{
    if (strpbrk(f->path, "\\\n\r")) putchar('\\');
    for (size_t i = 0; i < sizeof f->digest; i++) printf("%02x", f->digest[i]);
    printf("  ");
    for (const char *c = f->path; *c; c++) {
        const char as_it_is[] = {*c, '\0'};
        fputs(*c == '\\' ? "\\\\" : *c == '\n' ? "\\n" : *c == '\r' ? "\\r" : as_it_is, stdout);
    }
    putchar('\n');
}

static void print_all(void)
{
    file **sorted = calloc((size_t)the.count + 1, sizeof *sorted);
    int n = 0;
    if (!sorted) abort();
    for (file *f = the.files; f; f = f->next) sorted[n++] = f;
    qsort(sorted, (size_t)n, sizeof *sorted, by_path);
    for (int i = 0; i < n; i++) {
        if (sorted[i]->error == 0) print(sorted[i]);
        the.unread += sorted[i]->error < 0;
        free(sorted[i]);
    }
    free(sorted);
}

/* Called by a task of skua's, every now and then and a last time at the end. */
static void draw_bar(void *ctx, const skua_progress *p)
{
    static const char full[] = "##############################", none[] = "..............................";
    int width = (int)sizeof full - 1, n = p->total ? (int)(p->ended * (uint64_t)width / p->total) : width;
    (void)ctx;
    fprintf(stderr, "\r[%.*s%.*s] %llu/%llu, %.0f/s ", n, full, width - n, none, (unsigned long long)p->ended,
            (unsigned long long)p->total, p->rate);
    if (p->left != SKUA_FOREVER) fprintf(stderr, "%llu s left ", (unsigned long long)(p->left / SKUA_S(1)));
}

/* SIGINT is blocked in all threads but for this one, which may call anything: it is no signal handler. */
static void *await_interrupt(void *signals)
{
    int signal;
    sigwait(signals, &signal);
    skua_group_cancel(the.group, -EINTR);
    return NULL;
}

static int run(char **folders, int bar, int stop)
{
    static sigset_t signals;
    pthread_t watcher;
    skua_reporter reporter;
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (skua_pool_create(&the.pool, &(skua_pool_options){.limit = 20}) < 0) return 1;
    if (skua_group_create(&the.group, &(skua_group_options){.pool = the.pool, .fail_fast = stop}) < 0) return 1;
    if (pthread_create(&watcher, NULL, await_interrupt, &signals) != 0) return 1;
    pthread_detach(watcher); /* if it comes too late it cancels what was released: an error, and nothing more */

    if (bar) bar = skua_progress_start(&reporter, the.pool, SKUA_MS(200), draw_bar, NULL, NULL) == 0;
    walk(folders);
    skua_pool_expect(the.pool, (uint64_t)the.count);
    int error = skua_group_wait(the.group, NULL);
    if (bar) skua_progress_stop(&reporter);
    if (bar) fprintf(stderr, "\n");
    skua_group_release(the.group);
    skua_pool_release(the.pool);

    if (error == -EINTR || (error < 0 && stop)) {
        fprintf(stderr, "md5: ended early: %s\n", error == -EINTR ? "interrupted" : strerror(-error));
        return error == -EINTR ? 130 : 3;
    }
    print_all();
    return the.unread > 0;
}

int main(int argc, char **argv)
{
    int i = 1, bar = isatty(STDERR_FILENO), stop = 0;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--stop") == 0)
            stop = 1;
        else if (strcmp(argv[i], "--progress") == 0)
            bar = 1;
        else if (strcmp(argv[i], "--fail-at") == 0 && i + 1 < argc)
            the.fail_at = atoi(argv[++i]);
        else
            break;
    }
    if (i < argc && argv[i][0] != '-') return run(argv + i, bar, stop);
    fprintf(stderr, "usage: md5 [--progress] [--stop] [--fail-at N] FOLDER...\n");
    return 2;
}

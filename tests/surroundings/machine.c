/* machine.c: processors that come and go, quotas, priorities, limits. */
#include "surroundings.h"

#include "os/topology.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- affinity ---- */

static void pin(pid_t thread, const char *name, void *mask)
{
    (void)name;
    (void)sched_setaffinity(thread, sizeof(cpu_set_t), (const cpu_set_t *)mask); /* it may have ended meanwhile */
}

static int affinity(void)
{
    cpu_set_t all, one;
    SK_EXPECT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    load *l = load_begin(4);
    for (int i = 0; i < 200; i++) {
        int cpu = i % CPU_SETSIZE;
        while (!CPU_ISSET(cpu, &all)) cpu = (cpu + 1) % CPU_SETSIZE;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        for_each_thread(pin, &one);
        uint64_t before = load_done(l);
        while (load_done(l) < before + 50) usleep(200); /* it goes on: the case's time limit says if not */
        for_each_thread(pin, &all);
    }
    load_end(l);
    CPU_ZERO(&one); /* and what a new runtime makes of it */
    int first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_SET(first, &one);
    SK_EXPECT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, NULL), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return 0;
}

/* ---- quotas ---- */

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return false;
    bool ok = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    return close(file) == 0 && ok;
}

/* The other program: status = workers of a runtime by default, after a load under the quota. */
static int under_a_quota(void)
{
    if (!write_file(case_word, "cgroup.procs", "0")) return SKIP;
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, NULL), 0);
    skua_stats s = sk_stats_of(rt);
    load *l = load_on(rt);
    while (load_done(l) < 3000) usleep(500);
    load_end(l);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return (int)s.workers;
}

static int quota_v1(void)
{
    static const struct {
        const char *quota;
        unsigned workers;
    } quotas[] = {{"5000", 1}, {"50000", 1}, {"100000", 1}, {"150000", 2}, {"-1", 0}};
    char folder[200];
    unsigned most = sk_topology_affinity();
    snprintf(folder, sizeof folder, "/sys/fs/cgroup/cpu/skua-test-%d", (int)getpid());
    if (mkdir(folder, 0755)) {
        printf("        no cgroup v1 can be made here (%s)\n", strerror(errno));
        return SKIP;
    }
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        int status = SKIP;
        if (write_file(folder, "cpu.cfs_quota_us", quotas[i].quota))
            status = status_of_child(again("machine: under a quota", folder));
        unsigned want = quotas[i].workers && quotas[i].workers < most ? quotas[i].workers : most;
        if (status != (int)want) {
            rmdir(folder);
            if (status == SKIP) printf("        no quota can be set here\n");
            SK_EXPECT(status == SKIP);
            return SKIP;
        }
    }
    return rmdir(folder);
}

/* Where no cgroup v2 with the cpu controller is to be had: the kernel's files played by ours, in a mount namespace of
   our own, so that the whole way from /proc to cpu.max is gone. */
static int quota_v2(void)
{
    char folder[] = "/tmp/skua-cgroup-XXXXXX", text[500], inner[100];
    SK_EXPECT(mkdtemp(folder) != NULL);
    snprintf(inner, sizeof inner, "%s/a", folder);
    SK_EXPECT_EQ(mkdir(inner, 0755), 0);
    snprintf(text, sizeof text, "30 23 0:26 / %s rw,nosuid - cgroup2 cgroup2 rw\n", folder);
    SK_EXPECT(write_file(folder, "mountinfo", text) && write_file(folder, "cgroup", "0::/a\n"));
    int status = SKIP;
    pid_t child = fork();
    if (child == 0) {
        char from[150], to[60];
        bool ok = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        static const char *const files[] = {"cgroup", "mountinfo"};
        for (int i = 0; ok && i < 2; i++) {
            snprintf(from, sizeof from, "%s/%s", folder, files[i]);
            snprintf(to, sizeof to, "/proc/%d/%s", (int)getpid(), files[i]);
            ok = mount(from, to, NULL, MS_BIND, NULL) == 0;
        }
        if (!ok) _exit(SKIP);
        bool good = write_file(inner, "cpu.max", "150000 100000\n") && sk_topology_quota() == 2;
        good = good && write_file(inner, "cpu.max", "max 100000\n") && sk_topology_quota() == SK_NO_LIMIT;
        good = good && write_file(folder, "cpu.max", "20000 100000\n") && sk_topology_quota() == 1; /* the parent's */
        good = good && write_file(inner, "cpu.max", "nonsense\n") && sk_topology_quota() == 1;
        skua_runtime *rt = NULL;
        good = good && skua_runtime_create(&rt, NULL) == 0 && sk_stats_of(rt).workers == 1;
        good = good && skua_runtime_release(rt) == 0;
        _exit(good ? 0 : 1);
    }
    status = status_of_child(child);
    static const char *const made[] = {"a/cpu.max", "a", "cpu.max", "mountinfo", "cgroup", ""};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(text, sizeof text, "%s/%s", folder, made[i]);
        (void)remove(text);
    }
    if (status == SKIP) printf("        no mount namespace to be had here\n");
    return status;
}

/* A real one. */
static int quota_v2_real(void)
{
    char folder[200] = "", controllers[300] = "";
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (int i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/cgroup.controllers", roots[i]);
        FILE *f = fopen(folder, "r");
        if (!f) continue;
        if (!fgets(controllers, sizeof controllers, f)) controllers[0] = '\0';
        fclose(f);
        if (!strstr(controllers, "cpu ") && !strstr(controllers, "cpu\n")) continue;
        snprintf(folder, sizeof folder, "%s/skua-test-%d", roots[i], (int)getpid());
        if (mkdir(folder, 0755)) break;
        int status = write_file(folder, "cpu.max", "50000 100000")
                         ? status_of_child(again("machine: under a quota", folder))
                         : SKIP;
        rmdir(folder);
        if (status == SKIP) break;
        SK_EXPECT_EQ(status, 1);
        return 0;
    }
    printf("        no cgroup v2 with a cpu controller can be made here\n");
    return SKIP;
}

/* ---- more workers than processors ---- */

static int many_workers(void)
{
    load *l = load_begin(64), *other = load_begin(64);
    uint64_t end = skua_now() + SKUA_S(3);
    while (skua_now() < end) {
        uint64_t before = load_done(l), begin = skua_now();
        while (load_done(l) < before + 200) {
            SK_EXPECT(skua_now() - begin < SKUA_MS(SK_PATIENCE_MS));
            usleep(500);
        }
    }
    SK_EXPECT_EQ(sk_stats_of(load_runtime(l)).workers, 64);
    load_end(l);
    load_end(other);
    return 0;
}

/* ---- priorities ---- */

static pid_t hogs[8];
static int hog_count;

/* Other processes that take all processors, for at most 30 s. */
static void begin_hogs(void)
{
    hog_count = (int)sk_topology_affinity();
    if (hog_count > 8) hog_count = 8;
    for (int i = 0; i < hog_count; i++) {
        hogs[i] = fork();
        if (hogs[i] == 0) {
            alarm(30);
            for (volatile unsigned n = 0;; n++) {
            }
        }
    }
}

static void end_hogs(void)
{
    for (int i = 0; i < hog_count; i++) {
        kill(hogs[i], SIGKILL);
        status_of_child(hogs[i]);
    }
}

static void make_nice(pid_t thread, const char *name, void *ctx)
{
    (void)ctx;
    if (strncmp(name, "skua-", 5) == 0) SK_EXPECT(setpriority(PRIO_PROCESS, (id_t)thread, 19) == 0 || errno == ESRCH);
}

static void make_idle(pid_t thread, const char *name, void *ctx)
{
    struct sched_param none = {0};
    (void)ctx;
    if (strncmp(name, "skua-", 5) == 0) SK_EXPECT(sched_setscheduler(thread, SCHED_IDLE, &none) == 0 || errno == ESRCH);
}

static void make_every_other_idle(pid_t thread, const char *name, void *ctx)
{
    int *n = (int *)ctx;
    if (strncmp(name, "skua-", 5) == 0 && (*n)++ % 2) make_idle(thread, name, ctx);
}

/* They get next to nothing, but something; and when the others are gone all goes on. */
static int beside_hogs(void (*change)(pid_t, const char *, void *))
{
    int n = 0;
    load *l = load_begin(3);
    for_each_thread(change, &n);
    begin_hogs();
    uint64_t begin = skua_now(), before = load_done(l);
    while (skua_now() - begin < SKUA_S(2) || load_done(l) == before) usleep(1000); /* or the case's time is up */
    uint64_t done = load_done(l) - before;
    printf("        %lu tasks in %.1f s\n", (unsigned long)done, (double)(skua_now() - begin) / 1e9);
    end_hogs();
    load_end(l);
    return 0;
}

static int nice_workers(void)
{
    return beside_hogs(make_nice);
}

static int idle_workers(void)
{
    return beside_hogs(make_idle);
}

static int some_idle_workers(void)
{
    return beside_hogs(make_every_other_idle);
}

static int batch(void)
{
    struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &none)) return SKIP;
    load *l = load_begin(3);
    while (load_done(l) < 20000) usleep(500);
    load_end(l);
    return 0;
}

/* ---- limits ---- */

/* No new threads, then a few: an error, then fewer workers than asked for. */
static int few_processes(void)
{
    uid_t nobody_else = 20000 + (uid_t)getpid() % 40000; /* whose processes are only ours */
    if (getuid() == 0 && setresuid(nobody_else, nobody_else, nobody_else)) return SKIP;
    if (getuid() != nobody_else) {
        printf("        needs root, to count from a user of its own\n");
        return SKIP;
    }
    struct rlimit limit;
    SK_EXPECT_EQ(getrlimit(RLIMIT_NPROC, &limit), 0);
    for (rlim_t threads = 1; threads <= 7; threads++) { /* ours included */
        skua_runtime *rt = NULL;
        SK_EVENTUALLY(count_entries("/proc/self/task") == 1); /* joined ones count until the kernel has seen them off */
        limit.rlim_cur = threads;
        SK_EXPECT_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
        int error = skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 4});
        /* One for us, one for the monitor, which is started last and which there must be. */
        SK_EXPECT_EQ(error, threads >= 6 ? 0 : -EAGAIN);
        if (error) continue;
        limit.rlim_cur = threads + 1; /* the load has a thread of its own */
        SK_EXPECT_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
        load *l = load_on(rt);
        while (load_done(l) < 500) usleep(500);
        load_end(l);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
    return 0;
}

static int little_address_space(void)
{
    struct rlimit limit;
    int refused = 0, made = 0;
    SK_EXPECT_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    for (long mib = 1; mib <= 1024; mib += mib / 4 + 1) {
        pid_t child = fork();
        if (child == 0) {
            alarm(120);
            struct rlimit low = limit;
            low.rlim_cur = ((rlim_t)status_of("VmSize") << 10) + ((rlim_t)mib << 20);
            SK_EXPECT_EQ(setrlimit(RLIMIT_AS, &low), 0);
            skua_runtime *rt = NULL;
            int error = skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 4});
            SK_EXPECT(error == 0 || error == -ENOMEM || error == -EAGAIN);
            if (rt) {
                for (int i = 0; i < 300; i++) {
                    int result = -1, said = skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, sk_give_0, NULL);
                    skua_task task;
                    SK_EXPECT(said == 0 || said == -ENOMEM);
                    if (skua_spawn_with(&task, &(skua_task_options){.runtime = rt}, sk_give_0, NULL) == 0) {
                        said = skua_join(task, &result);
                        SK_EXPECT((said == 0 && result == 0) || said == -ENOMEM);
                        if (said) SK_EXPECT_EQ(skua_detach(task), 0);
                    }
                }
                SK_EXPECT_EQ(skua_runtime_release(rt), 0);
            }
            SK_EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0); /* and when there is room again */
            load *l = load_begin(2);
            while (load_done(l) < 200) usleep(200);
            load_end(l);
            _exit(error ? 1 : 0);
        }
        int status = status_of_child(child);
        SK_EXPECT(status == 0 || status == 1);
        *(status ? &refused : &made) += 1;
    }
    SK_EXPECT(refused > 0 && made > 0); /* else the limits were none */
    return 0;
}

static int no_files(void)
{
    struct rlimit none = {0, 0};
    SK_EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, NULL), 0);
    load *l = load_on(rt);
    while (load_done(l) < 1000) usleep(500);
    load_end(l);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return 0;
}

/* The other program, whose threads have stacks of the size that its limit says. */
static int with_such_stacks(void)
{
    skua_runtime *rt = NULL;
    int error = skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 8});
    if (error) return error == -EAGAIN || error == -ENOMEM ? 42 : 1;
    for (int i = 0; i < 500; i++) SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_resize(rt, 3), 0);
    for (int i = 0; i < 500; i++) SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return 42;
}

/* As after `ulimit -s 16`, but for the main thread, which the kernel and the loader leave too little of that. */
static int with_the_smallest_stacks(void)
{
    pthread_attr_t attr;
    SK_EXPECT_EQ(pthread_attr_init(&attr), 0);
    SK_EXPECT_EQ(pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
    SK_EXPECT_EQ(pthread_setattr_default_np(&attr), 0);
    return with_such_stacks();
}

static int thread_stacks(void)
{
    static const rlim_t sizes[] = {32 << 10, 64 << 10, 256 << 10, 1 << 30, RLIM_INFINITY};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rlimit before, limit;
        SK_EXPECT_EQ(getrlimit(RLIMIT_STACK, &before), 0);
        limit = (struct rlimit){sizes[i] < before.rlim_max ? sizes[i] : before.rlim_max, before.rlim_max};
        SK_EXPECT_EQ(setrlimit(RLIMIT_STACK, &limit), 0);
        int status = status_of_child(again("machine: with such stacks", NULL));
        SK_EXPECT_EQ(setrlimit(RLIMIT_STACK, &before), 0);
        if (status != 42)
            printf("        thread stacks of %lu KiB: status %d\n", (unsigned long)sizes[i] >> 10, status);
        SK_EXPECT_EQ(status, 42);
    }
    SK_EXPECT_EQ(status_of_child(again("machine: with the smallest stacks", NULL)), 42);
    return 0;
}

const surrounding of_machine[] = {
    {"affinity changed while running, 200 times", affinity},
    {"a quota of cgroup v1 (real)", quota_v1},
    {"a quota of cgroup v2 (real)", quota_v2_real},
    {"a quota of cgroup v2 (files of our own in the place of the kernel's)", quota_v2},
    {"two runtimes of 64 workers", many_workers},
    {"workers at nice 19 beside others that take all processors", nice_workers},
    {"SCHED_IDLE workers beside others that take all processors", idle_workers},
    {"every other worker SCHED_IDLE", some_idle_workers},
    {"SCHED_BATCH", batch},
    {"RLIMIT_NPROC", few_processes},
    {"RLIMIT_NOFILE 0", no_files},
    {"thread stacks, from 16 KiB to no limit", thread_stacks},
    {"RLIMIT_AS, from one MiB to a thousand", little_address_space},
    {NULL, NULL},
};

const surrounding of_machine_programs[] = {
    {"machine: under a quota", under_a_quota},
    {"machine: with such stacks", with_such_stacks},
    {"machine: with the smallest stacks", with_the_smallest_stacks},
    {NULL, NULL},
};

/* Tests of src/os without the virtual memory part: clock, futex, threads, limits, fences, fork, faults, heap. */
#include "base/atomic.h"
#include "base/base.h"
#include "os/clock.h"
#include "base/fault.h"
#include "os/fork.h"
#include "os/futex.h"
#include "base/heap.h"
#include "os/membarrier.h"
#include "os/thread.h"
#include "os/topology.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS 1000000ull
#define STACK (256u << 10)

static void nap_ms(unsigned ms)
{
    usleep(ms * 1000);
}

/* ---- clock ---- */

SK_TEST(os_clock, goes_forward_in_nanoseconds)
{
    uint64_t before = sk_clock_ns(), last = before;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = sk_clock_ns();
        SK_EXPECT(now >= last);
        last = now;
    }
    nap_ms(20);
    uint64_t slept = sk_clock_ns() - last;
    SK_EXPECT(slept >= 20 * MS && slept < 20000 * MS);
}

SK_TEST(os_clock, deadlines_stick_at_never)
{
    SK_EXPECT(sk_deadline_after(5, 7) == 12);
    SK_EXPECT(sk_deadline_after(5, SK_NEVER) == SK_NEVER);
    SK_EXPECT(sk_deadline_after(1, SK_NEVER - 1) == SK_NEVER);
    SK_EXPECT(sk_deadline_after(2, SK_NEVER - 1) == SK_NEVER);
    SK_EXPECT(sk_deadline_after(SK_NEVER, 0) == SK_NEVER);
}

/* ---- futex ---- */

SK_TEST(os_futex, another_value_does_not_sleep)
{
    sk_atomic(uint32_t) word = 7;
    SK_EXPECT_EQ(sk_futex_wait(&word, 8, SK_NEVER), -EAGAIN);
}

SK_TEST(os_futex, times_out_at_the_absolute_time)
{
    sk_atomic(uint32_t) word = 0;
    uint64_t start = sk_clock_ns(), deadline = start + 30 * MS;
    SK_EXPECT_EQ(sk_futex_wait(&word, 0, deadline), -ETIMEDOUT);
    uint64_t end = sk_clock_ns();
    SK_EXPECT(end >= deadline);
    SK_EXPECT(end < deadline + 10000 * MS);
    SK_EXPECT_EQ(sk_futex_wait(&word, 0, start), -ETIMEDOUT); /* passed already */
    SK_EXPECT_EQ(sk_futex_wait(&word, 0, 0), -ETIMEDOUT);
    SK_EXPECT(sk_clock_ns() < end + 10000 * MS);
}

SK_TEST(os_futex, wake_of_nobody_and_of_no_memory)
{
    sk_atomic(uint32_t) word = 0;
    SK_EXPECT_EQ(sk_futex_wake(&word, 1), 0);
    SK_EXPECT_EQ(sk_futex_wake(&word, UINT32_MAX), 0);
#ifndef SK_VALGRIND /* it reports such addresses, as it should */
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SK_EXPECT(page != MAP_FAILED);
    munmap(page, 4096);
    SK_EXPECT_EQ(sk_futex_wake(page, 1), 0);
    SK_EXPECT_EQ(sk_futex_wake((void *)(UINTPTR_MAX - 4095), 1), 0); /* not even an address */
#endif
}

typedef struct futex_room {
    sk_atomic(uint32_t) word;
    sk_atomic(uint32_t) left; /* waiters that have returned from a wake */
    sk_atomic(uint32_t) interrupted;
} futex_room;

static void wait_once(void *arg)
{
    futex_room *room = arg;
    while (sk_futex_wait(&room->word, 0, SK_NEVER) != 0 && sk_load_rlx(&room->word) == 0) {
    }
    sk_add_rlx(&room->left, 1u);
}

SK_TEST(os_futex, wakes_as_many_as_asked)
{
    futex_room room = {0};
    sk_thread threads[4];
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(sk_thread_start(&threads[i], STACK, "waiter", wait_once, &room), 0);
    nap_ms(100); /* now they sleep; on a machine that is slower than that the loops below make up for it */
    uint32_t woken = 0;
    while (woken < 2) woken += (uint32_t)sk_futex_wake(&room.word, 2 - woken);
    while (sk_load_rlx(&room.left) < 2) nap_ms(1);
    nap_ms(20);
    SK_EXPECT_EQ(sk_load_rlx(&room.left), 2); /* the others sleep on, or have yet to come to it */
    while (woken < 4) woken += (uint32_t)sk_futex_wake(&room.word, UINT32_MAX);
    SK_EXPECT_EQ(woken, 4);
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(sk_thread_join(&threads[i]), 0);
}

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

/* The caller's loop that futex.h asks for, with a deadline that signals must not push back. */
static void wait_through_signals(void *arg)
{
    futex_room *room = arg;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    uint64_t deadline = sk_clock_ns() + 150 * MS;
    int rc;
    while ((rc = sk_futex_wait(&room->word, 0, deadline)) == -EINTR) sk_add_rlx(&room->interrupted, 1u);
    SK_EXPECT_EQ(rc, -ETIMEDOUT);
    SK_EXPECT(sk_clock_ns() >= deadline);
    sk_store_rlx(&room->left, 1u);
}

/* False: the machine was too busy for a signal to meet the sleeper. */
static bool storm(void)
{
    futex_room room = {0};
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, STACK, "stormed", wait_through_signals, &room), 0);
    while (sk_load_rlx(&room.left) == 0) {
        pthread_kill(thread.handle, SIGUSR1);
        nap_ms(1);
    }
    SK_EXPECT_EQ(sk_thread_join(&thread), 0);
    return sk_load_rlx(&room.interrupted) > 0;
}

SK_TEST(os_futex, a_storm_of_signals_is_harmless)
{
    struct sigaction action = {.sa_handler = do_nothing};
    SK_EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    uint64_t start = sk_clock_ns();
    int tries = 1;
    while (!storm()) SK_EXPECT(tries++ < 20);
    SK_EXPECT(sk_clock_ns() - start < 60000 * MS); /* a relative time-out would start anew at each signal */
}

/* ---- threads ---- */

typedef struct thread_facts {
    sigset_t mask;
    int slack;
    char name[17];
    size_t stack;
    void *arg_seen;
    int self_join;
} thread_facts;

static void look_around(void *arg)
{
    thread_facts *facts = arg;
    facts->arg_seen = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &facts->mask);
    facts->slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_GET_NAME, facts->name, 0, 0, 0);
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstacksize(&attr, &facts->stack);
        pthread_attr_destroy(&attr);
    }
    sk_thread self = {pthread_self()};
    facts->self_join = sk_thread_join(&self);
}

SK_TEST(os_thread, starts_with_mask_slack_name_and_stack)
{
    thread_facts facts = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, 1u << 20, "a name far too long for Linux", look_around, &facts), 0);
    SK_EXPECT_EQ(sk_thread_join(&thread), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);

    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    static const int blocked[] = {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD, SIGPIPE, SIGPROF, SIGHUP};
    for (size_t i = 0; i < sk_array_len(open); i++) SK_EXPECT_EQ(sigismember(&facts.mask, open[i]), 0);
    for (size_t i = 0; i < sk_array_len(blocked); i++) SK_EXPECT_EQ(sigismember(&facts.mask, blocked[i]), 1);
    for (int s = 1; s < SIGRTMIN; s++) SK_EXPECT_EQ(sigismember(&after, s), sigismember(&before, s));
    SK_EXPECT(facts.arg_seen == &facts);
    SK_EXPECT_EQ(facts.slack, 1);
    SK_EXPECT(strcmp(facts.name, "a name far too ") == 0);
    SK_EXPECT(facts.stack >= 1u << 20);
    SK_EXPECT_EQ(facts.self_join, -EDEADLK);
}

SK_TEST(os_thread, small_and_default_stacks)
{
    static const size_t sizes[] = {0, 1, 4096, 65537};
    for (size_t i = 0; i < sk_array_len(sizes); i++) {
        thread_facts facts = {0};
        sk_thread thread;
        SK_EXPECT_EQ(sk_thread_start(&thread, sizes[i], NULL, look_around, &facts), 0);
        SK_EXPECT_EQ(sk_thread_join(&thread), 0);
        SK_EXPECT(facts.arg_seen == &facts && facts.stack >= sizes[i]);
        SK_EXPECT(strcmp(facts.name, "skua") == 0);
    }
}

SK_TEST(os_thread, an_impossible_stack_is_an_error)
{
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, SIZE_MAX, "huge", look_around, NULL), -ENOMEM);
}

static void say_done(void *arg)
{
    sk_atomic(uint32_t) *done = arg;
    sk_store_rel(done, 1u); /* [OS-R1] release; pairs with [OS-A1]. Without it the test could leave its frame early. */
}

SK_TEST(os_thread, detached_threads_end_alone)
{
    static sk_atomic(uint32_t) done;
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, STACK, "alone", say_done, (void *)&done), 0);
    sk_thread_detach(&thread);
    while (sk_load_acq(&done) == 0) nap_ms(1); /* [OS-A1] acquire; pairs with [OS-R1] in say_done, see there. */
}

SK_TEST(os_thread, the_caller_may_take_the_same_slack)
{
    sk_thread_tighten_slack();
    SK_EXPECT_EQ(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 1);
}

/* ---- number of processors ---- */

SK_TEST(os_topology, quotas_are_rounded_up)
{
    static const struct {
        const char *quota, *period;
        unsigned processors;
    } v1[] = {{"-1\n", "100000\n", 0},
              {"100000\n", "100000\n", 1},
              {"100001\n", "100000\n", 2},
              {"50000", "100000", 1},
              {"1000", "100000", 1},
              {"400000\n", "50000\n", 8},
              {"0\n", "100000\n", 0},
              {"1", "0", 0},
              {"", "", 0},
              {"150000", "-5", 0},
              {"abc\n", "100000\n", 0},
              {"12x", "5", 0},
              {"99999999999999999999999", "1", 0},
              {"9223372036854775807", "1", 0}};
    for (size_t i = 0; i < sk_array_len(v1); i++) {
        SK_EXPECT_EQ(sk_parse_quota_v1(v1[i].quota, v1[i].period), v1[i].processors);
    }
    SK_EXPECT_EQ(sk_parse_quota_v1(NULL, NULL), 0);

    static const struct {
        const char *text;
        unsigned processors;
    } v2[] = {{"max 100000\n", 0}, {"max\n", 0}, {"200000 100000\n", 2}, {"200001 100000\n", 3}, {"1000 100000\n", 1},
              {"150000", 0},       {"", 0},      {"100000 0\n", 0},      {"-1 100000\n", 0},     {"50000 100000 \n", 1},
              {"max max", 0}};
    for (size_t i = 0; i < sk_array_len(v2); i++) SK_EXPECT_EQ(sk_parse_quota_v2(v2[i].text), v2[i].processors);
}

SK_TEST(os_topology, workers_from_the_environment)
{
    static const struct {
        const char *text;
        unsigned workers;
    } rows[] = {{"1", 1},  {"64", 64}, {"007", 7}, {"0", 0},   {"-3", 0},          {"", 0},     {" 4", 0},
                {"4 ", 4}, {"4x", 0},  {"4 x", 0}, {"0x4", 0}, {"99999999999", 0}, {"four", 0}, {"+4", 0}};
    for (size_t i = 0; i < sk_array_len(rows); i++) SK_EXPECT_EQ(sk_parse_workers(rows[i].text), rows[i].workers);
    SK_EXPECT_EQ(sk_parse_workers(NULL), 0);
}

static const char cgroup_v1[] = "12:name=systemd:/init.scope\n"
                                "11:cpuset:/set\n"
                                "6:cp:/wrong\n"
                                "4:cpu,cpuacct:/docker/ab:cd\n"
                                "3:cpuacctx:/wrong\n"
                                "0::/user.slice/a.scope\n";

SK_TEST(os_topology, finds_the_cgroup)
{
    char path[64];
    SK_EXPECT(sk_parse_cgroup_path(cgroup_v1, "cpu", path, sizeof path) && strcmp(path, "/docker/ab:cd") == 0);
    SK_EXPECT(sk_parse_cgroup_path(cgroup_v1, "cpuset", path, sizeof path) && strcmp(path, "/set") == 0);
    SK_EXPECT(sk_parse_cgroup_path(cgroup_v1, NULL, path, sizeof path) && strcmp(path, "/user.slice/a.scope") == 0);
    SK_EXPECT(!sk_parse_cgroup_path(cgroup_v1, "io", path, sizeof path));
    SK_EXPECT(!sk_parse_cgroup_path("0::/\n", "cpu", path, sizeof path));
    SK_EXPECT(sk_parse_cgroup_path("0::/", NULL, path, sizeof path) && strcmp(path, "/") == 0);
    SK_EXPECT(!sk_parse_cgroup_path("", NULL, path, sizeof path));
    SK_EXPECT(!sk_parse_cgroup_path("\n:\nnonsense\n1:cpu\n", "cpu", path, sizeof path));
    SK_EXPECT(!sk_parse_cgroup_path(cgroup_v1, "cpu", path, 8)); /* no room: no answer rather than half a path */
    SK_EXPECT(!sk_parse_cgroup_path("1:cpu:/a", NULL, path, sizeof path));   /* the last line without its end */
    SK_EXPECT(!sk_parse_cgroup_path("0:cpu:/a\n", NULL, path, sizeof path)); /* numbered 0, but with a controller */
}

static const char mounts[] =
    "22 1 254:0 / / rw,relatime - ext4 /dev/root rw,cpu\n"
    "30 22 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 master:3 - cgroup2 cgroup2 rw,nsdelegate\n"
    "32 30 0:28 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 30 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";

SK_TEST(os_topology, finds_the_mount)
{
    sk_cgroup_mount mount;
    SK_EXPECT(sk_parse_cgroup_mount(mounts, "cpu", &mount));
    SK_EXPECT(strcmp(mount.root, "/docker/ab") == 0 && strcmp(mount.point, "/sys/fs/cgroup/cpu,cpuacct") == 0);
    SK_EXPECT(sk_parse_cgroup_mount(mounts, NULL, &mount));
    SK_EXPECT(strcmp(mount.root, "/") == 0 && strcmp(mount.point, "/sys/fs/cgroup/unified") == 0);
    SK_EXPECT(!sk_parse_cgroup_mount(mounts, "memory", &mount));
    SK_EXPECT(!sk_parse_cgroup_mount("", "cpu", &mount));
    SK_EXPECT(!sk_parse_cgroup_mount("1 2 - \n\n - cgroup\n", "cpu", &mount));
    SK_EXPECT(!sk_parse_cgroup_mount("22 1 254:0 / / rw - ext4 root rw", "cpu", &mount)); /* the last line, unended */
    SK_EXPECT(!sk_parse_cgroup_mount(" - cgroup2 none rw\n", NULL, &mount));              /* no mount point */
}

static void expect_folder(const char *root, const char *path, const char *want)
{
    sk_cgroup_mount mount = {.point = "/cg"};
    char folder[64];
    snprintf(mount.root, sizeof mount.root, "%s", root);
    SK_EXPECT(sk_cgroup_folder(&mount, path, folder, sizeof folder));
    if (strcmp(folder, want) != 0) fprintf(stderr, "folder of %s in %s: %s\n", path, root, folder);
    SK_EXPECT(strcmp(folder, want) == 0);
    SK_EXPECT(!sk_cgroup_folder(&mount, path, folder, 3));
}

SK_TEST(os_topology, joins_mount_and_cgroup)
{
    expect_folder("/", "/a/b", "/cg/a/b");
    expect_folder("/", "/", "/cg");
    expect_folder("/a", "/a/b", "/cg/b");
    expect_folder("/a/b", "/a/b", "/cg");
    expect_folder("/a", "/ab/c", "/cg"); /* a neighbour, not a child */
    expect_folder("/other", "/a/b", "/cg");
    expect_folder("/", "/../up", "/cg");
    sk_cgroup_mount nowhere = {.root = "/"};
    char folder[64];
    SK_EXPECT(!sk_cgroup_folder(&nowhere, "/", folder, sizeof folder));
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    SK_EXPECT(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static unsigned quota_below(const char *top, const char *rest, bool v2)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s%s", top, rest);
    return sk_quota_upwards(folder, strlen(top), v2);
}

/* A tree of files as the kernel would show it: outside / top / middle / leaf. */
SK_TEST(os_topology, the_smallest_quota_on_the_way_up_counts)
{
    char outside[] = "/tmp/skua-os-XXXXXX", top[64], middle[80], leaf[96], command[128];
    SK_EXPECT(mkdtemp(outside));
    snprintf(top, sizeof top, "%s/top", outside);
    snprintf(middle, sizeof middle, "%s/middle", top);
    snprintf(leaf, sizeof leaf, "%s/leaf", middle);
    SK_EXPECT(mkdir(top, 0700) == 0 && mkdir(middle, 0700) == 0 && mkdir(leaf, 0700) == 0);
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", true), 0);
    put(outside, "cpu.max", "100000 100000\n"); /* above the mount point: not ours */
    put(leaf, "cpu.max", "max 100000\n");
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", true), 0);
    put(middle, "cpu.max", "250000 100000\n");
    put(top, "cpu.max", "800000 100000\n");
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", true), 3);
    SK_EXPECT_EQ(quota_below(top, "", true), 8);
    SK_EXPECT_EQ(quota_below(top, "/not/there/here", true), 8); /* folders that are missing are passed over */
    put(leaf, "cpu.cfs_quota_us", "500000\n");
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", false), 0); /* half of the pair */
    put(leaf, "cpu.cfs_period_us", "100000\n");
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", false), 5);
    put(leaf, "cpu.max", "200000 100000                                                                    \n");
    SK_EXPECT_EQ(quota_below(top, "/middle/leaf", true), 2); /* longer than what is read of it */
    char relative[] = "nowhere";
    SK_EXPECT_EQ(sk_quota_upwards(relative, 0, true), 0); /* a path without a parent ends there */
    snprintf(command, sizeof command, "rm -r %s", outside);
    SK_EXPECT_EQ(system(command), 0);
}

SK_TEST(os_topology, the_least_limit_of_this_machine_wins)
{
    unsetenv("SKUA_WORKERS");
    unsigned all = sk_topology_processors(), mask = sk_topology_affinity(), quota = sk_topology_quota();
    SK_EXPECT(all >= 1 && all <= mask);
    SK_EXPECT(quota == SK_NO_LIMIT || all <= quota);
    SK_EXPECT_EQ(all, quota == SK_NO_LIMIT ? mask : sk_min(mask, quota));

    setenv("SKUA_WORKERS", "1", 1);
    SK_EXPECT_EQ(sk_topology_processors(), 1);
    setenv("SKUA_WORKERS", "100000", 1); /* a limit, not a wish */
    SK_EXPECT_EQ(sk_topology_processors(), all);
    setenv("SKUA_WORKERS", "nonsense", 1);
    SK_EXPECT_EQ(sk_topology_processors(), all);

    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
        SK_EXPECT_EQ(sk_topology_affinity(), 1);
        SK_EXPECT_EQ(sk_topology_processors(), 1);
    }
}

/* ---- the asymmetric fence ---- */

/*
 * Store buffering: each side writes its word and reads the other's; with the
 * fences never both read the old value.  Both leave a round through a meeting
 * point, so that they start the next one at the same time.
 */
typedef struct fence_game {
    SK_LINE_ALIGNED sk_atomic(uint32_t) light_word;
    SK_LINE_ALIGNED sk_atomic(uint32_t) heavy_word;
    SK_LINE_ALIGNED sk_atomic(uint32_t) arrived;
    SK_LINE_ALIGNED uint32_t light_saw;
    SK_LINE_ALIGNED uint32_t heavy_saw;
    long rounds;
} fence_game;

static void meet(fence_game *game, uint32_t target)
{
    /* [OS-M1] acquire-release; pairs with itself in the other thread. Without it a round could see words of another. */
    sk_add_ar(&game->arrived, 1u);
    /* [OS-M2] acquire; pairs with [OS-M1] of the other thread, see there. */
    for (unsigned spins = 0; sk_load_acq(&game->arrived) < target; spins++) {
        if (spins % 1024 == 1023) sched_yield(); /* on one processor the other must get its turn */
        sk_cpu_relax();
    }
}

static void light_player(void *arg)
{
    fence_game *game = arg;
    for (long i = 0; i < game->rounds; i++) {
        meet(game, (uint32_t)(4 * i + 2));
        sk_store_rlx(&game->light_word, (uint32_t)i + 1);
        /* [OS-L1] light fence; pairs with [OS-H1] in heavy_rounds. Without the pair both could read the old word. */
        sk_fence_light();
        game->light_saw = sk_load_rlx(&game->heavy_word);
        meet(game, (uint32_t)(4 * i + 4));
    }
}

static long heavy_rounds(fence_game *game)
{
    long broken = 0;
    for (long i = 0; i < game->rounds; i++) {
        uint32_t now = (uint32_t)i + 1;
        meet(game, (uint32_t)(4 * i + 2));
        sk_store_rlx(&game->heavy_word, now);
        sk_fence_heavy(); /* [OS-H1] heavy fence; pairs with [OS-L1] in light_player, see there. */
        game->heavy_saw = sk_load_rlx(&game->light_word);
        meet(game, (uint32_t)(4 * i + 4));
        broken += game->light_saw != now && game->heavy_saw != now;
    }
    return broken;
}

static void play_fences(void)
{
    static fence_game game;
    game.rounds = sk_test_scaled(200000);
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, STACK, "light", light_player, &game), 0);
    long broken = heavy_rounds(&game);
    SK_EXPECT_EQ(sk_thread_join(&thread), 0);
    SK_EXPECT_EQ(broken, 0);
}

SK_TEST(os_membarrier, light_and_heavy_never_both_miss)
{
    sk_membarrier_init();
    play_fences();
}

#if !defined(SK_TSAN)
/* As on a kernel without membarrier. */
SK_TEST(os_membarrier, the_fallback_never_misses_either)
{
    sk_membarrier_init();
    sk_membarrier_works = 0;
    play_fences();
}
#endif

SK_TEST(os_membarrier, registers_once_and_always_answers)
{
    bool works = sk_membarrier_init();
    SK_EXPECT_EQ(sk_membarrier_init(), works);
#if !defined(SK_TSAN)
    SK_EXPECT_EQ(sk_membarrier_works != 0, works);
#endif
    for (int i = 0; i < 100; i++) sk_membarrier_heavy();
}

/* ---- fork ---- */

SK_TEST(os_fork, only_the_child_knows)
{
    SK_EXPECT_EQ(sk_fork_watch(), 0);
    SK_EXPECT_EQ(sk_fork_watch(), 0);
    SK_EXPECT(!sk_forked());
    pid_t child = fork();
    SK_EXPECT(child >= 0);
    if (child == 0) _exit(sk_forked() ? 42 : 1); /* no expectations here: a child that aborts would hang the runner */
    int status = 0;
    SK_EXPECT_EQ(waitpid(child, &status, 0), child);
    SK_EXPECT(WIFEXITED(status));
    SK_EXPECT_EQ(WEXITSTATUS(status), 42);
    SK_EXPECT(!sk_forked());
}

/* ---- heap and faults ---- */

SK_TEST(os_heap, gives_aligned_zeroed_and_plain_memory)
{
    for (size_t align = 16; align <= 4096; align *= 2) {
        char *p = sk_heap_alloc_aligned(align, align + 1);
        SK_EXPECT(p && (uintptr_t)p % align == 0);
        memset(p, 1, align + 1);
        sk_heap_free(p);
    }
    char *zeroes = sk_heap_zalloc(100, 7);
    SK_EXPECT(zeroes);
    for (int i = 0; i < 700; i++) SK_EXPECT_EQ(zeroes[i], 0);
    sk_heap_free(zeroes);
    char *plain = sk_heap_alloc(10);
    SK_EXPECT(plain);
    plain[9] = 1;
    sk_heap_free(plain);
    sk_heap_free(NULL);
    SK_EXPECT(!sk_heap_alloc_aligned(64, SIZE_MAX - 3)); /* rounding up would wrap round to nothing */
}

#ifndef SK_FAULTS

SK_TEST(os_fault, nothing_fails_in_a_normal_build)
{
    for (int site = 0; site < SK_FAULT_SITES; site++) {
        for (int i = 0; i < 100; i++) SK_EXPECT(!sk_fault((sk_fault_site)site));
    }
}

#else

SK_TEST(os_fault, the_nth_call_fails)
{
    sk_fault_reset();
    for (int site = 0; site < SK_FAULT_SITES; site++) SK_EXPECT(!sk_fault((sk_fault_site)site));
    SK_EXPECT_EQ(sk_fault_count(SK_FAULT_MMAP), 1);
    sk_fault_arm(SK_FAULT_MMAP, 3, false);
    for (int call = 1; call <= 6; call++) SK_EXPECT_EQ(sk_fault(SK_FAULT_MMAP), call == 3);
    SK_EXPECT_EQ(sk_fault_count(SK_FAULT_MMAP), 6);
    SK_EXPECT(!sk_fault(SK_FAULT_MADVISE)); /* the others are untouched */
    sk_fault_arm(SK_FAULT_MMAP, 2, true);
    for (int call = 1; call <= 6; call++) SK_EXPECT_EQ(sk_fault(SK_FAULT_MMAP), call >= 2);
    sk_fault_reset();
    SK_EXPECT(!sk_fault(SK_FAULT_MMAP));
}

/* One count over several sites, beside their own. */
SK_TEST(os_fault, the_nth_call_of_any_site_fails)
{
    sk_fault_reset();
    sk_fault_arm_any(1u << SK_FAULT_MMAP | 1u << SK_FAULT_MALLOC, 3, false);
    SK_EXPECT(!sk_fault(SK_FAULT_MMAP) && !sk_fault(SK_FAULT_THREAD) && !sk_fault(SK_FAULT_MALLOC));
    SK_EXPECT_EQ(sk_fault_any_hits(), 0);
    SK_EXPECT(!sk_fault(SK_FAULT_THREAD) && sk_fault(SK_FAULT_MMAP) && !sk_fault(SK_FAULT_MMAP));
    SK_EXPECT_EQ(sk_fault_any_hits(), 1);
    sk_fault_arm_any(1u << SK_FAULT_MMAP, 2, true);
    for (int call = 1; call <= 4; call++) SK_EXPECT_EQ(sk_fault(SK_FAULT_MMAP), call >= 2);
    SK_EXPECT_EQ(sk_fault_any_hits(), 3);
    sk_fault_arm(SK_FAULT_MMAP, 1, false); /* each in its own way */
    SK_EXPECT(sk_fault(SK_FAULT_MMAP) && sk_fault(SK_FAULT_MMAP));
    sk_fault_reset();
    SK_EXPECT(!sk_fault(SK_FAULT_MMAP));
}

SK_TEST(os_fault, each_module_answers_with_its_error)
{
    sk_fault_reset();
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT(!sk_heap_alloc(1) && !sk_heap_zalloc(1, 1) && !sk_heap_alloc_aligned(64, 64));
    sk_thread thread;
    SK_EXPECT_EQ(sk_thread_start(&thread, STACK, "x", say_done, NULL), -ENOMEM);
    SK_EXPECT_EQ(sk_topology_quota(), SK_NO_LIMIT);
    SK_EXPECT(sk_topology_processors() >= 1);
    sk_fault_reset();
    sk_fault_arm(SK_FAULT_THREAD, 1, false);
    SK_EXPECT_EQ(sk_thread_start(&thread, STACK, "x", say_done, NULL), -EAGAIN);
    sk_atomic(uint32_t) word = 0;
    sk_fault_arm(SK_FAULT_FUTEX, 1, true);
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(sk_futex_wait(&word, 0, SK_NEVER), i % 2 ? 0 : -EINTR);
    sk_fault_reset();
    SK_EXPECT_EQ(sk_futex_wait(&word, 0, 1), -ETIMEDOUT);
}

#define FAULT_THREADS 4

static sk_atomic(uint32_t) faults_seen, fault_askers;
static long fault_calls; /* I: set before the threads start */

static void ask_often(void *arg)
{
    (void)arg;
    sk_add_rlx(&fault_askers, 1u);
    while (sk_load_rlx(&fault_askers) < FAULT_THREADS) sched_yield(); /* so that they really run side by side */
    for (long i = 0; i < fault_calls; i++) {
        if (sk_fault(SK_FAULT_MPROTECT)) sk_add_rlx(&faults_seen, 1u);
    }
}

SK_TEST(os_fault, exactly_one_thread_sees_the_nth)
{
    fault_calls = sk_test_scaled(3000000);
    sk_fault_arm(SK_FAULT_MPROTECT, FAULT_THREADS * (uint64_t)fault_calls / 2, false);
    sk_thread threads[FAULT_THREADS];
    for (int i = 0; i < FAULT_THREADS; i++) SK_EXPECT_EQ(sk_thread_start(&threads[i], STACK, "f", ask_often, NULL), 0);
    for (int i = 0; i < FAULT_THREADS; i++) SK_EXPECT_EQ(sk_thread_join(&threads[i]), 0);
    SK_EXPECT_EQ(sk_load_rlx(&faults_seen), 1);
    SK_EXPECT_EQ(sk_fault_count(SK_FAULT_MPROTECT), FAULT_THREADS * (uint64_t)fault_calls);
}

#endif

/* plain_main.c: runs the registered tests one after another, each in a forked child; `binary [FILTER]`: those that have
   it in their names, SUITE/NAME, or are in the files that begin so when it begins with tests/. */
#include "support/test.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static sk_test_case *cases;

void sk_test_register(sk_test_case *test)
{
    test->next = cases;
    cases = test;
}

#ifdef SK_VALGRIND
#include "os/fork.h"
#include "skua/skua.h"

/* Valgrind translates each piece of code when it first runs, and a child inherits what its parent has translated. So
   the parent of all tests lets a runtime and a pool live once, and the tests need not each begin with that. Not with
   SKUA_TEST_COLD, for tests that fork, or refuse what the first runtime asks for (tools/test.sh knows them). Weak: a
   program that is linked with no runtime does without. */
#define WEAK(name) extern __typeof__(name) name __attribute__((weak))
WEAK(skua_runtime_create);
WEAK(skua_runtime_release);
WEAK(skua_spawn_with);
WEAK(skua_join);
WEAK(skua_sleep);
WEAK(skua_pool_create);
WEAK(skua_pool_submit);
WEAK(skua_pool_wait);
WEAK(skua_pool_release);
WEAK(sk_os_forked);

static int nap(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_MS(2));
}

static void warm_up_pool(skua_runtime *rt)
{
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 1}), 0);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(pool, nap, NULL), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

static void warm_up(void)
{
    skua_runtime *rt;
    skua_task task;
    if (getenv("SKUA_TEST_COLD")) return;
    if (!skua_runtime_create || !skua_runtime_release || !skua_spawn_with || !skua_join || !skua_sleep) return;
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 2}), 0);
    SK_EXPECT_EQ(skua_spawn_with(&task, &(skua_task_options){.runtime = rt}, nap, NULL), 0);
    SK_EXPECT_EQ(skua_join(task, NULL), 0);
    if (skua_pool_create && skua_pool_submit && skua_pool_wait && skua_pool_release) warm_up_pool(rt);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* To the library its child is one that comes after nothing. */
static void begin_anew(void)
{
    if (&sk_os_forked) sk_store_rlx(&sk_os_forked, false);
}
#else
static void warm_up(void)
{
}
static void begin_anew(void)
{
}
#endif

static int run_in_child(const sk_test_case *test)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (pid == 0) {
        alarm(SK_TEST_TIMEOUT_S);
        begin_anew();
        test->run();
        fflush(NULL);
        exit(0); /* not _exit: the sanitizers report leaks in their exit handlers */
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFSIGNALED(status)) fprintf(stderr, "killed by %s\n", strsignal(WTERMSIG(status)));
    return -1;
}

static bool is_wanted(const sk_test_case *test, const char *filter)
{
    char full[256];
    if (!filter) return true;
    if (strncmp(filter, "tests/", 6) == 0) return strstr(test->file, filter) != NULL;
    snprintf(full, sizeof full, "%s/%s", test->suite, test->name);
    return strstr(full, filter) != NULL;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    warm_up();
    for (const sk_test_case *t = cases; t; t = t->next) {
        if (!is_wanted(t, argc > 1 ? argv[1] : NULL)) continue;
        bool ok = run_in_child(t) == 0;
        printf("%s %s/%s\n", ok ? "ok    " : "FAILED", t->suite, t->name);
        *(ok ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}

/* plain_main.c: runs the registered tests one after another, each in a forked child; `binary [FILTER]`. */
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

static int run_in_child(const sk_test_case *test)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (pid == 0) {
        alarm(SK_TEST_TIMEOUT_S);
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

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (const sk_test_case *t = cases; t; t = t->next) {
        char full[256];
        snprintf(full, sizeof full, "%s/%s", t->suite, t->name);
        if (argc > 1 && !strstr(full, argv[1])) continue;
        bool ok = run_in_child(t) == 0;
        printf("%s %s\n", ok ? "ok    " : "FAILED", full);
        *(ok ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}

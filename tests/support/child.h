/* child.h: runs a function in a forked child and says how the child ended, and what it wrote to stderr. */
#ifndef SK_CHILD_H
#define SK_CHILD_H

#include "support/test.h"

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * fn(arg) in a child, which ends with 99 if fn returns; its wait status.  What it writes to stderr comes back in
 * `said`, zero-terminated.  No expectations in fn: an abort there is an end like any other.
 */
static inline int sk_child(void (*fn)(void *arg), void *arg, char *said, size_t room)
{
    int ends[2], status = 0;
    SK_EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    SK_EXPECT(pid >= 0);
    if (pid == 0) {
        alarm(60);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        fn(arg);
        _exit(99);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; used < room - 1 && (n = read(ends[0], said + used, room - 1 - used)) > 0;) used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static inline bool sk_died_of(int status, int signal_number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == signal_number;
}

static inline bool sk_ended_with(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

#endif

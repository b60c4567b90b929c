/* main.c: runs the cases, each in a process of its own: `surroundings [FILTER]`, or `surroundings --case NAME`. */
#include "surroundings.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CASE_S = 300 };

const char *case_word;

int count_entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2;
}

int count_lines(const char *file)
{
    int n = 0;
    FILE *f = fopen(file, "r");
    if (!f) return -1;
    for (int c; (c = getc(f)) != EOF;) n += c == '\n';
    fclose(f);
    return n;
}

long status_of(const char *field)
{
    char line[256];
    long value = -1;
    size_t length = strlen(field);
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return -1;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, field, length) == 0 && line[length] == ':') value = atol(line + length + 1);
    fclose(f);
    return value;
}

void for_each_thread(void (*fn)(pid_t thread, const char *name, void *ctx), void *ctx)
{
    DIR *dir = opendir("/proc/self/task");
    SK_EXPECT(dir != NULL);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], name[32] = "";
        if (!isdigit((unsigned char)e->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        if (fgets(name, sizeof name, f)) name[strcspn(name, "\n")] = '\0';
        fclose(f);
        fn(atoi(e->d_name), name, ctx);
    }
    closedir(dir);
}

int status_of_child(pid_t pid)
{
    int status = 0;
    SK_EXPECT(pid > 0);
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

pid_t again(const char *name, const char *word)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0) return pid;
    execl("/proc/self/exe", "surroundings", "--case", name, word, (char *)NULL);
    _exit(126);
}

static const surrounding *const lists[] = {of_process, of_machine, of_counts, of_programs, of_machine_programs};
enum { CASES = 3 };

static int run_case(const char *name)
{
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
        for (const surrounding *s = lists[k]; s->name; s++)
            if (strcmp(s->name, name) == 0) return s->run();
    return 2;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;
    if (argc >= 3 && strcmp(argv[1], "--case") == 0) {
        case_word = argc > 3 ? argv[3] : NULL;
        alarm(CASE_S);
        return run_case(argv[2]);
    }
    for (size_t k = 0; k < CASES; k++) {
        for (const surrounding *s = lists[k]; s->name; s++) {
            if (argc > 1 && !strstr(s->name, argv[1])) continue;
            uint64_t begin = skua_now();
            int status = status_of_child(again(s->name, NULL));
            const char *word = status == 0 ? "ok     " : status == SKIP ? "skipped" : "FAILED ";
            printf("%s %5.1f s  %s", word, (double)(skua_now() - begin) / 1e9, s->name);
            if (status && status != SKIP) printf(" (%s%d)", status >= 1000 ? "signal " : "status ", status % 1000);
            putchar('\n');
            *(status == 0 ? &passed : status == SKIP ? &skipped : &failed) += 1;
        }
    }
    printf("%d passed, %d failed", passed, failed);
    if (skipped) printf(", %d skipped", skipped);
    putchar('\n');
    return failed || !passed;
}

/*
 * surroundings.h: cases about the process and the machine that a runtime lives in.
 *
 * Each case runs in a process of its own, freshly executed, with a time limit.
 * It returns 0, or SKIP with a reason on stdout when this machine cannot show it;
 * a broken expectation prints where and aborts.
 */
#ifndef SK_SURROUNDINGS_H
#define SK_SURROUNDINGS_H

#include "support/tasks.h"

#include <sys/types.h>

enum { SKIP = 77 };

typedef struct surrounding {
    const char *name;
    int (*run)(void);
} surrounding;

/* By file: ended by an entry without a name. */
extern const surrounding of_process[], of_machine[], of_counts[];
/* Not cases, but programs that cases start by `again`. */
extern const surrounding of_programs[], of_machine_programs[];

/* ---- a load that is accounted for (load.c) ---- */

typedef struct load load;

/* Keeps a runtime busy with all kinds of tasks, from a thread of its own, until load_end. */
load *load_begin(uint32_t workers);
/* The same on a runtime that is there already, which stays the caller's. */
load *load_on(skua_runtime *rt);
skua_runtime *load_runtime(load *l);
/* Tasks that have ended so far. */
uint64_t load_done(load *l);
/* Waits for all tasks, checks that none was lost, and releases the runtime when load_begin has made it. */
void load_end(load *l);

/* ---- what the kernel says of this process (main.c) ---- */

int count_entries(const char *folder);
int count_lines(const char *file);
/* A field of /proc/self/status in KiB or as a number: "VmRSS", "Threads". */
long status_of(const char *field);
/* Calls fn for each thread of this process. */
void for_each_thread(void (*fn)(pid_t thread, const char *name, void *ctx), void *ctx);
/* Waits for a child: its exit status, or 1000 + the signal that killed it. */
int status_of_child(pid_t pid);
/* Starts this program again with a case's name and one word, for what needs a fresh process; does not wait. */
pid_t again(const char *name, const char *word);
/* The word that `again` gave, or NULL. */
extern const char *case_word;

#endif

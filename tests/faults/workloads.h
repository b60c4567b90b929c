/* workloads.h: what the library is made to do while the machine fails. */
#ifndef SK_FAULTS_WORKLOADS_H
#define SK_FAULTS_WORKLOADS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One workload.  It copes with every documented error and aborts, saying where, on any other answer, when a task that
 * was accepted is lost or run twice, and when nothing moves for too long.  It leaves nothing behind: no runtime, no
 * thread.  Runs on a thread that skua does not know yet.
 */
typedef struct workload {
    const char *name;
    void (*run)(void);
    bool creates; /* it is about creating runtimes */
} workload;

extern const workload workloads[];
extern const int workload_count;

/* workloads_pools.c */
void work_jobs(void);
void work_groups(void);
void work_streams(void);
void work_mutexes(void);
void work_signals(void);
void work_pools_in_health(void);

/* Every futex wait returns at once, for good: nothing here may be late for that, but processor time is used. */
extern bool nobody_can_sleep;

/* From half of the cases that fail for good on: before a runtime is released the machine is well again, and everything
   must work on that runtime, too. `hits_before` are the faults up to then. */
extern bool heals;
extern uint64_t hits_before;

/* The same kind of things with a machine that is well: every call must succeed. */
void work_in_health(void);

#endif

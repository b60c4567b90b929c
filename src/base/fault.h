/*
 * fault.h: makes the machine fail on purpose.
 *
 * Every call of this library that the machine may refuse (memory, mappings,
 * threads) asks sk_fault(site) first and, on true, behaves as if the machine had
 * refused.  In normal builds sk_fault is the constant false and costs nothing;
 * with -DSK_FAULTS tests choose which call fails.
 */
#ifndef SK_BASE_FAULT_H
#define SK_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum sk_fault_site {
    SK_FAULT_MMAP,     /* mmap gives ENOMEM */
    SK_FAULT_MADVISE,  /* madvise gives EINVAL, as a kernel without the advice does */
    SK_FAULT_MPROTECT, /* mprotect gives ENOMEM, as when the mappings run out */
    SK_FAULT_MALLOC,   /* the heap is exhausted */
    SK_FAULT_THREAD,   /* pthread_create gives EAGAIN */
    SK_FAULT_FUTEX,    /* a futex wait returns at once: -EINTR, then 0, in turn */
    SK_FAULT_MUNMAP,   /* munmap gives ENOMEM, as when cutting a mapping in two would make too many */
    SK_FAULT_KEY,      /* no further thread-specific key (EAGAIN), or no memory for a thread's value */
    SK_FAULT_ATFORK,   /* pthread_atfork gives ENOMEM */
    SK_FAULT_SIGNAL,   /* sigaction and sigaltstack are refused */
    SK_FAULT_FILE,     /* a file of /proc or of the cgroups cannot be opened, or not be read */
    SK_FAULT_AFFINITY, /* sched_getaffinity is refused */
    SK_FAULT_BARRIER,  /* membarrier is not there (registration), or short of memory (use) */
    SK_FAULT_PRCTL,    /* prctl is refused: no name, no timer slack */
    SK_FAULT_SITES
} sk_fault_site;

#ifdef SK_FAULTS

/* True when this call is to fail. Any thread. */
bool sk_fault(sk_fault_site site);

/*
 * The nth call from now on fails (1: the next one), and all after it when
 * `forever`.  nth 0 disarms the site.  Also sets the site's count to zero.
 */
void sk_fault_arm(sk_fault_site site, uint64_t nth, bool forever);

/* The same over several sites at once (bit `site` of the set): the nth call of any of them. Besides sk_fault_arm. */
void sk_fault_arm_any(uint32_t sites, uint64_t nth, bool forever);

/* Disarms all sites and sets their counts to zero. */
void sk_fault_reset(void);

/* Calls of a site that were let through, since the start of the process. */
uint64_t sk_fault_granted(sk_fault_site site);

/* Calls that sk_fault_arm_any has made fail since it was last called. */
uint64_t sk_fault_any_hits(void);

/* Calls of a site since it was last armed or reset: a test learns how many places there are to fail. */
uint64_t sk_fault_count(sk_fault_site site);

#else

static inline bool sk_fault(sk_fault_site site)
{
    (void)site;
    return false;
}

#endif
#endif

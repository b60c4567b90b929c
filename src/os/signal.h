/* signal.h: receiving signals through a file descriptor, and a bell to end the wait for them. */
#ifndef SK_OS_SIGNAL_H
#define SK_OS_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

/* Bit number - 1: the signal with that number. Linux has 64. */
typedef uint64_t sk_signal_set;

static inline sk_signal_set sk_signal_bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

typedef struct sk_signal_files {
    int signals; /* signalfd; -1: none */
    int bell;    /* eventfd */
} sk_signal_files;

/* Both files, for these signals. 0; -EMFILE (of the process or of the system), -ENOMEM. */
int sk_signal_open(sk_signal_files *files, sk_signal_set set);

/* From now on for these. */
void sk_signal_change(const sk_signal_files *files, sk_signal_set set);

/* Waits for a signal: its number; 0: the bell has been rung. */
int sk_signal_wait(const sk_signal_files *files);

void sk_signal_ring(const sk_signal_files *files);

void sk_signal_close(sk_signal_files *files);

/* Whether it may be received like this: it is neither raised by instructions, nor reserved, nor beyond all blocking. */
bool sk_signal_is_fit(int number);

/* Blocks the set in the calling thread; returns those that were not blocked before. And the way back. */
sk_signal_set sk_signal_block(sk_signal_set set);
void sk_signal_unblock(sk_signal_set set);

#endif

/* threads.h: how many threads the process has. */
#ifndef SK_OS_THREADS_H
#define SK_OS_THREADS_H

/* All of them, whoever has started them; 0: the system does not say. Any thread; reads a file of /proc. */
unsigned sk_threads_of_process(void);

#endif

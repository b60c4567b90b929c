/*
 * live.c: which mutant is switched on in a program of the mutants lane (-DMUTANTS_LIVE).
 *
 * SK_MUTANT is its number; without it, or with 0, the program is as it should be. SK_MUTANT_REACHED names a file of
 * four bytes that gets a 1 once the code of the mutant has run: the runner tells by it a fault that a test did not
 * notice from one that it never met. A file, since the programs fork, and die in all ways.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned unseen;
unsigned sk_mutant, *sk_mutant_reached = &unseen;

__attribute__((constructor(101))) static void choose(void)
{
    const char *number = getenv("SK_MUTANT"), *path = getenv("SK_MUTANT_REACHED");
    if (number) sk_mutant = (unsigned)strtoul(number, NULL, 10);
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return;
    /* By number: in the simulator mmap is the simulator's. */
    long memory = syscall(SYS_mmap, NULL, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != -1) sk_mutant_reached = (unsigned *)memory;
}

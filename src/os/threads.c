/* threads.c: see threads.h. */
#include "os/threads.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

/* The file as a string; its first bytes, which come in one read. */
static bool read_status(char *text, size_t size)
{
    int file = sk_fault(SK_FAULT_FILE) ? -1 : open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t n = sk_fault(SK_FAULT_FILE) ? -1 : read(file, text, size - 1);
    close(file);
    text[n < 0 ? 0 : n] = 0;
    return n > 0;
}

unsigned sk_threads_of_process(void)
{
    char text[4096];
    if (!read_status(text, sizeof text)) return 0;
    const char *line = strstr(text, "\nThreads:");
    return line ? (unsigned)strtoul(line + strlen("\nThreads:"), NULL, 10) : 0;
}

/* system_none.c - a system of which nothing but POSIX is known. */
#define _GNU_SOURCE
#include <unistd.h>

#include "call.h"

void xvm_os_get_system(xvm_system_info *out)
{
    int saved = errno;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    out->processors = processors > 0 ? (unsigned)processors : 1;
    out->numa_nodes = 1;
    out->lowest_address = out->page_size;
    out->highest_address = UINTPTR_MAX >> (sizeof(void *) > 4 ? 17 : 0);
    out->address_bits = sizeof(void *) > 4 ? 47 : 32;
    errno = saved;
}

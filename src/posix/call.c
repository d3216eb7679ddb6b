/* call.c - one function for each system call: ask the watch, make it, tell the watch. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "call.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* What every wrapper ends with: errno and the answer are the same, and a success leaves errno alone. */
static int told(xvm_os_operation why, const char *call, const void *address, size_t size, int code,
                int injected)
{
    int saved = errno;

    xvm_os_made(why, call, address, size, code, injected);
    errno = code != 0 ? code : saved;
    return code;
}

int xvm_os_mmap(xvm_os_operation why, void *address, size_t size, int protection, int flags,
                void **mapped)
{
    int injected = xvm_os_refused(why, "mmap", size, ENOMEM);
    void *at;

    if (injected != 0)
        return told(why, "mmap", address, size, injected, 1);
    at = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (at == MAP_FAILED)
        return told(why, "mmap", address, size, errno, 0);
    *mapped = at;
    return told(why, "mmap", at, size, 0, 0);
}

int xvm_os_munmap(xvm_os_operation why, void *address, size_t size)
{
    int injected = xvm_os_refused(why, "munmap", size, ENOMEM);

    if (injected != 0)
        return told(why, "munmap", address, size, injected, 1);
    return told(why, "munmap", address, size, munmap(address, size) == 0 ? 0 : errno, 0);
}

int xvm_os_mprotect(xvm_os_operation why, void *address, size_t size, int protection)
{
    int injected = xvm_os_refused(why, "mprotect", size, ENOMEM);

    if (injected != 0)
        return told(why, "mprotect", address, size, injected, 1);
    return told(why, "mprotect", address, size,
                mprotect(address, size, protection) == 0 ? 0 : errno, 0);
}

int xvm_os_madvise(xvm_os_operation why, void *address, size_t size, int advice)
{
    int injected = xvm_os_refused(why, "madvise", size, ENOMEM);

    if (injected != 0)
        return told(why, "madvise", address, size, injected, 1);
    return told(why, "madvise", address, size, madvise(address, size, advice) == 0 ? 0 : errno, 0);
}

int xvm_os_mlock(xvm_os_operation why, void *address, size_t size)
{
    int injected = xvm_os_refused(why, "mlock", size, ENOMEM);

    if (injected != 0)
        return told(why, "mlock", address, size, injected, 1);
    return told(why, "mlock", address, size, mlock(address, size) == 0 ? 0 : errno, 0);
}

int xvm_os_munlock(xvm_os_operation why, void *address, size_t size)
{
    int injected = xvm_os_refused(why, "munlock", size, ENOMEM);

    if (injected != 0)
        return told(why, "munlock", address, size, injected, 1);
    return told(why, "munlock", address, size, munlock(address, size) == 0 ? 0 : errno, 0);
}

int xvm_os_mincore(const void *address, size_t size, unsigned char *vector)
{
    int injected = xvm_os_refused(XVM_OS_QUERY, "mincore", size, ENOMEM);
    void *at = (void *)(uintptr_t)address; /* mincore only looks */

    if (injected != 0)
        return told(XVM_OS_QUERY, "mincore", address, size, injected, 1);
    return told(XVM_OS_QUERY, "mincore", address, size, mincore(at, size, (void *)vector) == 0 ? 0 : errno,
                0);
}

/* call.h - the system calls of the POSIX backend, each past the watch. They answer 0 or an errno,
 * and set it.
 *
 * Inline, because what follows a system call is slow: the kernel leaves neither the caches nor the
 * predicted returns of its caller. Everything but the call itself is kept out of the way.
 */
#ifndef XVM_SRC_POSIX_CALL_H
#define XVM_SRC_POSIX_CALL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "os.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifdef MAP_POPULATE
#define XVM_OS_MAP_POPULATE MAP_POPULATE
#else
#define XVM_OS_MAP_POPULATE 0
#endif
#ifdef MAP_HUGETLB
#define XVM_OS_MAP_HUGE MAP_HUGETLB
#else
#define XVM_OS_MAP_HUGE 0
#endif

/* Tells the watch of a call, made or refused; errno is then the code, or untouched when that is
 * 0. */
int xvm_os_tell(xvm_os_operation why, const char *call, const void *address, size_t size, int code,
                int injected);

/* Is somebody watching, and refuses the call? Then *code is its answer. */
static inline int is_refused(xvm_os_operation why, const char *call, const void *address,
                             size_t size, int *code)
{
    if (__builtin_expect(!xvm_os_is_watched(), 1))
        return 0;
    *code = xvm_os_refused(why, call, size, ENOMEM);
    if (*code != 0)
        (void)xvm_os_tell(why, call, address, size, *code, 1);
    return *code != 0;
}

/* The answer of a call that has been made. */
static inline int told(xvm_os_operation why, const char *call, const void *address, size_t size,
                       int code)
{
    if (__builtin_expect(!xvm_os_is_watched(), 1))
        return code;
    return xvm_os_tell(why, call, address, size, code, 0);
}

/* mmap of private anonymous memory; *mapped is set on 0 only. */
static inline int xvm_os_mmap(xvm_os_operation why, void *address, size_t size, int protection,
                              int flags, void **mapped)
{
    int code;
    void *at;

    if (is_refused(why, "mmap", address, size, &code))
        return code;
    at = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (at == MAP_FAILED)
        return told(why, "mmap", address, size, errno);
    *mapped = at;
    return told(why, "mmap", at, size, 0);
}

static inline int xvm_os_munmap(xvm_os_operation why, void *address, size_t size)
{
    int code;

    if (is_refused(why, "munmap", address, size, &code))
        return code;
    return told(why, "munmap", address, size, munmap(address, size) == 0 ? 0 : errno);
}

static inline int xvm_os_mprotect(xvm_os_operation why, void *address, size_t size, int protection)
{
    int code;

    if (is_refused(why, "mprotect", address, size, &code))
        return code;
    return told(why, "mprotect", address, size,
                mprotect(address, size, protection) == 0 ? 0 : errno);
}

static inline int xvm_os_madvise(xvm_os_operation why, void *address, size_t size, int advice)
{
    int code;

    if (is_refused(why, "madvise", address, size, &code))
        return code;
    return told(why, "madvise", address, size, madvise(address, size, advice) == 0 ? 0 : errno);
}

static inline int xvm_os_mlock(xvm_os_operation why, void *address, size_t size)
{
    int code;

    if (is_refused(why, "mlock", address, size, &code))
        return code;
    return told(why, "mlock", address, size, mlock(address, size) == 0 ? 0 : errno);
}

static inline int xvm_os_munlock(xvm_os_operation why, void *address, size_t size)
{
    int code;

    if (is_refused(why, "munlock", address, size, &code))
        return code;
    return told(why, "munlock", address, size, munlock(address, size) == 0 ? 0 : errno);
}

static inline int xvm_os_mincore(const void *address, size_t size, unsigned char *vector)
{
    void *at = (void *)(uintptr_t)address; /* mincore only looks */
    int code;

    if (is_refused(XVM_OS_QUERY, "mincore", address, size, &code))
        return code;
    return told(XVM_OS_QUERY, "mincore", address, size,
                mincore(at, size, (void *)vector) == 0 ? 0 : errno);
}

/* What an errno of a call made for an operation means; it is not 0. */
xvm_os_answer xvm_os_classify(xvm_os_operation why, int code);

static inline xvm_os_answer answered(xvm_os_operation why, int code)
{
    if (__builtin_expect(code == 0, 1))
        return (xvm_os_answer){XVM_OK, 0};
    return xvm_os_classify(why, code);
}

/* How many bytes of whole pages are in memory, by mincore; 0 where it does not say. */
size_t xvm_os_ask_mincore(const void *address, size_t size);

/* How many mappings this process has, counted no further than limit, and how many it may have.
 * SIZE_MAX: the system does not tell. */
size_t xvm_os_count_mappings(size_t limit);
size_t xvm_os_mapping_limit(void);

/* The highest aligned place for size bytes that ends at or below *limit, in a hole of the process's
 * own map; *limit moves down to where that hole starts, for the next try. NULL when there is
 * none. */
void *xvm_os_find_hole(size_t size, size_t alignment, uintptr_t *limit);

#endif

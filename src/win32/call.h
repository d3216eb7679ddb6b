/* call.h - the system calls of the Windows backend, each past the watch. They answer 0 or a
 * GetLastError. */
#ifndef XVM_SRC_WIN32_CALL_H
#define XVM_SRC_WIN32_CALL_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include "os.h"

/* What every wrapper ends with: the last error and the answer are the same, and untouched by a
 * success. */
static inline int told(xvm_os_operation why, const char *call, const void *address, size_t size,
                       DWORD code, DWORD before, int injected)
{
    xvm_os_made(why, call, address, size, (int)code, injected);
    SetLastError(code != 0 ? code : before);
    return (int)code;
}

static inline DWORD refused(xvm_os_operation why, const char *call, size_t size, int usual_code)
{
    return (DWORD)xvm_os_refused(why, call, size, usual_code);
}

/* The code of a call that has just failed; never 0. */
static inline DWORD failure(void)
{
    DWORD code = GetLastError();

    return code != 0 ? code : ERROR_GEN_FAILURE;
}

/* A function that older systems lack: NULL. In kernelbase; kernel32 does not pass all of them on. */
FARPROC xvm_os_find_newer(const char *name);

/* *got is set on 0 only. */
int xvm_os_virtual_alloc(xvm_os_operation why, void *address, size_t size, DWORD type,
                         DWORD protection, void **got);
/* VirtualAllocExNuma; the first node is 0. */
int xvm_os_virtual_alloc_node(void *address, size_t size, DWORD type, unsigned node, void **got);
/* VirtualAlloc2 with an alignment; ERROR_CALL_NOT_IMPLEMENTED where the system has none. */
int xvm_os_virtual_alloc_aligned(size_t size, size_t alignment, DWORD type, void **got);
int xvm_os_virtual_free(xvm_os_operation why, void *address, size_t size, DWORD type);
int xvm_os_virtual_protect(xvm_os_operation why, void *address, size_t size, DWORD protection);
int xvm_os_virtual_lock(xvm_os_operation why, void *address, size_t size);
int xvm_os_virtual_unlock(xvm_os_operation why, void *address, size_t size);
/* How many of at most XVM_OS_SAMPLES pages are in memory. */
enum { XVM_OS_SAMPLES = 64 };
int xvm_os_query_working_set(const void *address, size_t size, size_t page, size_t *resident);

/* The addresses of pages that were written, and are not any more: at most *count, which is set. */
int xvm_os_get_write_watch(int renews, void *address, size_t size, void **pages, ULONG_PTR *count);
int xvm_os_reset_write_watch(void *address, size_t size);

/* The run of equal pages around an address; ERROR_INVALID_PARAMETER beyond the last one. */
int xvm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *found);

/* PrefetchVirtualMemory; ERROR_CALL_NOT_IMPLEMENTED where the system has none. */
int xvm_os_prefetch(void *address, size_t size);

/* NUMA nodes; at least 1. */
unsigned xvm_os_count_nodes(void);

/* What a GetLastError of a call made for an operation means. */
xvm_os_answer xvm_os_classify(xvm_os_operation why, int code);

#endif

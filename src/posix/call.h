/* call.h - the system calls of the POSIX backend, each past the watch. They answer 0 or an errno, and set it. */
#ifndef XVM_SRC_POSIX_CALL_H
#define XVM_SRC_POSIX_CALL_H

#include "os.h"

/* mmap of private anonymous memory; *mapped is set on 0 only. */
int xvm_os_mmap(xvm_os_operation why, void *address, size_t size, int protection, int flags,
                void **mapped);
int xvm_os_munmap(xvm_os_operation why, void *address, size_t size);
int xvm_os_mprotect(xvm_os_operation why, void *address, size_t size, int protection);
int xvm_os_madvise(xvm_os_operation why, void *address, size_t size, int advice);
int xvm_os_mlock(xvm_os_operation why, void *address, size_t size);
int xvm_os_munlock(xvm_os_operation why, void *address, size_t size);
int xvm_os_mincore(const void *address, size_t size, unsigned char *vector);
int xvm_os_name_range(void *address, size_t size, const char *name);

/* What an errno of a call made for an operation means. */
xvm_os_answer xvm_os_classify(xvm_os_operation why, int code, size_t size);

/* How many mappings this process has, counted no further than limit, and how many it may have.
 * SIZE_MAX: the system does not tell. */
size_t xvm_os_count_mappings(size_t limit);
size_t xvm_os_mapping_limit(void);

/* The highest aligned place for size bytes that ends at or below *limit, in a hole of the process's own map;
 * *limit moves down to where that hole starts, for the next try. NULL when there is none. */
void *xvm_os_find_hole(size_t size, size_t alignment, uintptr_t *limit);

#endif

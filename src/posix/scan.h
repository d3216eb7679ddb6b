/* scan.h - PAGEMAP_SCAN: runs of pages of which something is true, and perhaps is not any more (6.7). */
#ifndef XVM_SRC_POSIX_SCAN_H
#define XVM_SRC_POSIX_SCAN_H

#include <stdint.h>

#include "os.h"

/* The kernel's own layout and numbers, which older headers lack. */
typedef struct xvm_os_scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} xvm_os_scan;

typedef struct xvm_os_scanned {
    uint64_t start, end, categories;
} xvm_os_scanned;

enum { XVM_OS_WRITE_PROTECT = 1, XVM_OS_CHECK_ASYNC = 2 }; /* flags */
enum {
    XVM_OS_PAGE_WRITTEN = 2,
    XVM_OS_PAGE_PRESENT = 8,
    XVM_OS_PAGE_ZERO = 32,
    XVM_OS_PAGE_HUGE = 64
};

/* Asks the kernel about this process. 0 or an errno; *found, how many elements of vec it has filled, is set
 * on 0 only. */
int xvm_os_ask_scan(xvm_os_operation why, xvm_os_scan *question, long *found);

#endif

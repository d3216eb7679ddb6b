/* system.h - facts of the machine that every user of memory needs. */
#ifndef XVM_SYSTEM_H
#define XVM_SYSTEM_H

#include "xvm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The unit of commit, protect and lock.
 *
 * result     bytes, a power of two; asked of the system at run time; never 0. A region keeps the
 *            page size it was reserved with, even when xvm_test_page_size changes this one later
 * threads    any
 * linux      sysconf(_SC_PAGESIZE): 4, 16 or 64 KiB by processor and kernel
 * windows    GetSystemInfo, dwPageSize: 4 KiB on x86 and ARM64
 * since      0.1
 */
XVM_API size_t xvm_page_size(void);

/* The unit of reservation: the base of every region is a multiple of it.
 *
 * result     bytes, a power of two, a multiple of xvm_page_size()
 * threads    any
 * linux      the page size
 * windows    GetSystemInfo, dwAllocationGranularity: 64 KiB; the rest of a last, partly used unit
 *            is lost
 * since      0.1
 */
XVM_API size_t xvm_allocation_granularity(void);

#ifdef __cplusplus
}
#endif

#endif

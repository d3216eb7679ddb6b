/* watch.h - which pages of a region were written since the last look.
 *
 *     start          write  write                collect       write        collect
 *       |..............x......x....................|.............x............|
 *                                       these two --^               this one --^
 *
 * For incremental copies: snapshots, checkpoints, what is to be sent to another process, remembered sets
 * of a garbage collector. The pages are asked for, not announced; writers notice nothing, but that the
 * first write to a page after each look costs more.
 *
 * Rules:
 *   1  A write that happens beside a collect is in its report, and then the bytes are there for whoever
 *      reads the page after the collect; or it is in the next one. None is lost.
 *   2  A page counts as written, too, when it was decommitted, discarded, guarded, or moved to or from
 *      (xvm_move). When it is committed anew it is zero, and counts only once it is written. What was
 *      locked or prefaulted may count. So may what a failed call has undone.
 *   3  Not at once after start: then no page counts as written.
 *   4  Views (share.h) are not watched: a region that has some cannot be, and what is written to one
 *      that comes later is not reported.
 *   5  One watch for each region. The handle must stay where it is in memory while it is watched.
 */
#ifndef XVM_WATCH_H
#define XVM_WATCH_H

#include "xvm/region.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How writes are seen. */
typedef enum xvm_watch_method {
    XVM_WATCH_NONE = 0,
    XVM_WATCH_SYSTEM,    /* the system's own write watch: Windows, for XVM_RESERVE_WATCHED */
    XVM_WATCH_USERFAULT, /* Linux 6.7: userfaultfd, and a scan of the page tables */
    XVM_WATCH_SOFT_DIRTY, /* the older bits of Linux: XVM_E_UNSUPPORTED. What is written between the look at
                             them and their reset, which is the whole process's, would be lost */
    XVM_WATCH_PROTECT /* everywhere: pages are read-only, and a fault handler opens them. What the system
                             itself writes into them, as in read(), is refused (EFAULT) */
} xvm_watch_method;

/* What a look does with what it reports. */
typedef enum xvm_watch_reset {
    XVM_WATCH_KEEP = 0, /* nothing: the next look reports it again */
    XVM_WATCH_RESET     /* exactly the pages reported start anew */
} xvm_watch_reset;

/* Starts to watch a part of a region, by the best method that works and loses nothing.
 *
 * offset,size  rounded outward to pages; of any state
 * result       every write to the range is seen from now on; no page counts as written
 * errors       XVM_E_INVALID: range. XVM_E_EXISTS: the region is watched already. XVM_E_UNSUPPORTED: no
 *              method works for this region, as with views or explicit huge pages in it. XVM_E_COMMIT_LIMIT, XVM_E_ADDRESS_SPACE: no memory for one
 *              bit for each page. XVM_E_MAP_LIMIT. On error nothing changed
 * threads      any that write, and others on other regions; no other call on this region meanwhile
 * linux        userfaultfd for write protection (6.7), without a privilege; else pages are protected
 * windows      the write watch of a region made with XVM_RESERVE_WATCHED; else pages are protected
 * since        0.5
 */
XVM_API xvm_status xvm_watch_start(xvm_region *region, size_t offset, size_t size);

/* The same by one method.
 *
 * offset,size  rounded outward to pages; of any state
 * method       not XVM_WATCH_NONE
 * result       every write to the range is seen from now on, as far as the method sees it
 * errors       as xvm_watch_start; XVM_E_INVALID also for no such method, XVM_E_UNSUPPORTED when it does
 *              not work here, or not for this region
 * threads      as xvm_watch_start
 * linux        XVM_WATCH_USERFAULT, XVM_WATCH_PROTECT
 * windows      XVM_WATCH_SYSTEM, XVM_WATCH_PROTECT
 * since        0.5
 */
XVM_API xvm_status xvm_watch_start_by(xvm_region *region, size_t offset, size_t size,
                                      xvm_watch_method method);

/* Reports which pages were written since the start, or since they were reported with XVM_WATCH_RESET.
 *
 * reset            what to do with what is reported
 * ranges,capacity  to fill; at least 1
 * count            how many ranges were filled; cleared on failure
 * result           ranges of whole pages, as offsets in the region, ascending, none touching the next,
 *                  all in the watched part. *count == capacity: there may be more; with XVM_WATCH_RESET
 *                  the next call reports them
 * errors           XVM_E_INVALID: no ranges, no count, capacity 0, reset. XVM_E_NOT_FOUND: the region is
 *                  not watched. XVM_E_MAP_LIMIT, XVM_E_SYSTEM: the system refuses; what was written is
 *                  reported by a later call
 * threads          any that write, commit, decommit and so on; one that collects
 * linux            PAGEMAP_SCAN, which fetches and resets at once; mprotect. In a child made by fork the
 *                  first call reports all that is committed
 * windows          GetWriteWatch, which fetches and resets at once; VirtualProtect
 * since            0.5
 */
XVM_API xvm_status xvm_watch_collect(xvm_region *region, xvm_watch_reset reset, xvm_range *ranges,
                                     size_t capacity, size_t *count);

/* Ends a watch. xvm_release does it, too.
 *
 * result     writes cost what they cost before. A region that is not watched is XVM_OK
 * errors     XVM_E_INVALID: region. XVM_E_MAP_LIMIT, XVM_E_SYSTEM: the system refuses; the watch goes on
 * threads    any that write; no other call on this region meanwhile
 * linux      UFFDIO_UNREGISTER; mprotect
 * windows    VirtualProtect
 * since      0.5
 */
XVM_API xvm_status xvm_watch_stop(xvm_region *region);

/* What is known of a watch. */
typedef struct xvm_watch_info {
    xvm_watch_method method; /* XVM_WATCH_NONE: there is none, and all else is 0 */
    size_t offset, size;     /* of the watched part */
    int sees_system_writes; /* writes by the system on behalf of the program, as in read(), are seen; 0: they
                                are refused */
    uint64_t looks;          /* calls of xvm_watch_collect that succeeded */
    uint64_t pages_reported; /* by all of them */
    uint64_t faults_taken;   /* by the fault handler of XVM_WATCH_PROTECT */
    size_t bookkeeping;      /* bytes of memory that the watch itself takes */
} xvm_watch_info;

/* Looks at a watch.
 *
 * out        filled; all zero when the region is not watched
 * result     a look at one moment
 * threads    any, but not beside other calls on this watch, and xvm_release
 * since      0.5
 */
XVM_API void xvm_watch_look(const xvm_region *region, xvm_watch_info *out);

#ifdef __cplusplus
}
#endif

#endif

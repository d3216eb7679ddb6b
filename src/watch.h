/* watch.h - what other calls on regions tell the watch: a test of one pointer where nobody asks. */
#ifndef XVM_SRC_WATCH_H
#define XVM_SRC_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lock.h"
#include "pagemap.h"
#include "xvm/region.h"

static inline bool is_watched(const xvm_region *region)
{
    return LOAD_ACQUIRE(&region->own.watch) != NULL;
}

/* Pages [from, to) have lost their contents or may have: they count as written. No system call. */
void xvm_os_watch_lost(xvm_region *region, size_t from, size_t to);

/* Around what changes states and protections: a look does not close pages meanwhile. */
void xvm_os_watch_enter(const xvm_region *region);
void xvm_os_watch_leave(const xvm_region *region);

/* A commit is about to note pages [from, to), which are zero and open: they are armed. Where the system
 * refuses they count as written. */
void xvm_os_watch_fresh(xvm_region *region, size_t from, size_t to);

/* Committed pages have been discarded, or some of them: they count as written. */
void xvm_os_watch_discarded(xvm_region *region, size_t from, size_t to);

/* Before pages get marks: what the watch has closed is what its state says. */
xvm_os_answer xvm_os_watch_open(xvm_region *region, xvm_os_operation why, size_t from, size_t to);

/* A committed run gets the protection of a state, as far as the watch lets it. */
xvm_os_answer xvm_os_watch_protect(xvm_region *region, xvm_os_operation why, const xvm_os_run *run,
                                   unsigned state);

/* May a page be closed for writing whose state says otherwise? */
bool xvm_os_watch_closes(const xvm_region *region);

/* Around the release of a region's pages: no handler looks at them meanwhile. The second where it was
 * refused. */
void xvm_os_watch_pause(xvm_region *region);
void xvm_os_watch_return(xvm_region *region);

/* The watch ends with its region, whose pages are gone. */
xvm_os_answer xvm_os_watch_release(xvm_region *region);

#endif

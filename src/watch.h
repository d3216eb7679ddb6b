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

/* Pages [from, to), committed and without anything written that matters, are armed. Where the system
 * refuses they count as written. */
void xvm_os_watch_fresh(xvm_region *region, size_t from, size_t to);

/* The watch ends with its region, whose pages are gone already. */
xvm_os_answer xvm_os_watch_release(xvm_region *region);

#endif

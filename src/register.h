/* register.h - all regions of the process, found by address. */
#ifndef XVM_SRC_REGISTER_H
#define XVM_SRC_REGISTER_H

#include <stdbool.h>

#include "xvm/region.h"

/* A region exists from now on; sets own.entry, or leaves it NULL where there is no room: then the
 * region works, but is not found. */
void xvm_os_register(xvm_region *region);

/* It does not any more. Nothing of it is read after the return. */
void xvm_os_unregister(xvm_region *region);

/* What finds its pages has changed: own.simple. Under the region's lock. */
void xvm_os_register_simple(const xvm_region *region);

#endif

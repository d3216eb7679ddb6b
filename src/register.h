/* register.h - all regions of the process, found by address. */
#ifndef XVM_SRC_REGISTER_H
#define XVM_SRC_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "xvm/region.h"

/* A region exists from now on; sets own.entry, or leaves it NULL where there is no room: then the
 * region works, but is not found. Does nothing for a region without pages. */
void xvm_os_register(xvm_region *region);

/* It does not any more. Nothing of it is read after the return. */
void xvm_os_unregister(xvm_region *region);

/* What finds its pages has changed: own.simple. Under the region's lock. */
void xvm_os_register_simple(const xvm_region *region);

/* What is at an address: [from, to). */
typedef struct xvm_os_found {
    uintptr_t from, to;
    unsigned state;   /* of a region's equal pages, see pagemap.h */
    const char *name; /* of the region */
} xvm_os_found;

/* True: a region has the address, and from..to are the equal pages around it in that region. False:
 * none has it, and from..to are all addresses around it that none has, up to UINTPTR_MAX. */
bool xvm_os_register_find(uintptr_t address, xvm_os_found *out);

#endif

/* map_none.c - a system that does not show its mappings: they are not counted, and holes are
 * guessed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "pages.h"

size_t xvm_os_count_mappings(size_t limit)
{
    (void)limit;
    return 0;
}

size_t xvm_os_mapping_limit(void)
{
    return SIZE_MAX;
}

size_t xvm_os_find_protection(const void *address, size_t size, xvm_protection *protection)
{
    (void)address;
    (void)size;
    (void)protection;
    return 0;
}

/* One place after the other, from the top down; the exact reservation says which of them is
 * free. */
void *xvm_os_find_hole(size_t size, size_t alignment, uintptr_t *limit)
{
    *limit = *limit > size ? round_down(*limit - size, alignment) : 0;
    return (void *)*limit;
}

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    (void)address;
    (void)out;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    (void)visit;
    (void)context;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

size_t xvm_os_resident(const void *address, size_t size)
{
    return xvm_os_ask_mincore(address, size);
}

size_t xvm_os_huge(const void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

size_t xvm_os_resident_ahead(const void *address, size_t size, xvm_os_ahead *ahead)
{
    (void)ahead;
    return xvm_os_resident(address, size);
}

/* place_none.c - a system that does not show its mappings: they are not counted, and holes are
 * guessed. */
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

int xvm_os_name_range(void *address, size_t size, const char *name)
{
    (void)address;
    (void)size;
    (void)name;
    return ENOSYS;
}

/* early.c - blocks for what is taken while the heap is made: the C library's own, for a handler or a key.
 *
 *     | size | block .... | size | block .. | -->             |
 *
 * They are few and never taken again: a free does nothing, a realloc moves. All zero.
 */
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "process.h"

enum { GRAIN = 16 };

alignas(GRAIN) unsigned char xvm_malloc_early[XVM_MALLOC_EARLY];

/* Where a block of that alignment begins, with room for its size before it. */
static size_t place_after(size_t taken, size_t alignment)
{
    uintptr_t base = (uintptr_t)xvm_malloc_early, at = base + taken + GRAIN;

    return (size_t)(((at + alignment - 1) & ~(uintptr_t)(alignment - 1)) - base);
}

void *xvm_malloc_take_early(size_t size, size_t alignment)
{
    static size_t taken;
    size_t before = __atomic_load_n(&taken, __ATOMIC_RELAXED), at;

    do {
        at = place_after(before, alignment);
        if (at > XVM_MALLOC_EARLY || size > XVM_MALLOC_EARLY - at)
            return NULL;
    } while (!__atomic_compare_exchange_n(&taken, &before,
                                          (at + size + GRAIN - 1) & ~(size_t)(GRAIN - 1), false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    memcpy(xvm_malloc_early + at - sizeof size, &size, sizeof size);
    return xvm_malloc_early + at;
}

size_t xvm_malloc_size_early(const void *block)
{
    size_t size;

    memcpy(&size, (const unsigned char *)block - sizeof size, sizeof size);
    return size;
}

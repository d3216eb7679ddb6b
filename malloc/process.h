/* process.h - the one heap of the process, and what comes before it. */
#ifndef XVM_MALLOC_PROCESS_H
#define XVM_MALLOC_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "xvm/heap.h"

/* Set once, when it is whole; NULL until then. */
extern xvm_heap *xvm_malloc_heap;

/* Makes it, unless another thread does; NULL: this thread is in the middle of that, or there is no memory. */
xvm_heap *xvm_malloc_make_heap(void);

static inline xvm_heap *the_heap(void)
{
    xvm_heap *heap = __atomic_load_n(&xvm_malloc_heap, __ATOMIC_ACQUIRE);

    return __builtin_expect(heap != NULL, 1) ? heap : xvm_malloc_make_heap();
}

/* What the heap holds, to the standard error output. */
void xvm_malloc_report(void);

/* --- early.c: blocks while there is no heap ---------------------------------------------------- */

extern unsigned char xvm_malloc_early[];
enum { XVM_MALLOC_EARLY = 64 << 10 };

/* NULL: no room is left. */
void *xvm_malloc_take_early(size_t size, size_t alignment);

size_t xvm_malloc_size_early(const void *block);

static inline bool is_early(const void *block)
{
    return (size_t)((const unsigned char *)block - xvm_malloc_early) < XVM_MALLOC_EARLY;
}

#endif

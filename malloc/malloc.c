/* malloc.c - malloc and its relatives, as glibc has them, from one heap.
 *
 *     malloc --> the heap ----------------------------------> xvm_heap_alloc
 *                 not there: this thread is making it ------> an early block
 *
 *   1  What is refused says so as glibc does: NULL, and errno ENOMEM or EINVAL.
 *   2  What succeeds, and every free, leaves errno alone.
 *   3  What is no block ends the program: xvm_heap_free says so and stops.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"

#define EXPORT __attribute__((visibility("default")))

enum { GRAIN = 16 };

/* --- steps ------------------------------------------------------------------------------------ */

static __attribute__((noinline, cold)) void *refuse(int error)
{
    errno = error;
    return NULL;
}

static __attribute__((noinline, cold)) void *take_early(size_t size, size_t alignment)
{
    void *block = xvm_malloc_take_early(size, alignment);

    return block != NULL ? block : refuse(ENOMEM);
}

static bool is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* alignment is a power of two. */
static void *take_aligned(size_t size, size_t alignment)
{
    xvm_heap *heap = the_heap();
    int saved = errno;
    void *block;

    if (heap == NULL)
        return take_early(size, alignment > GRAIN ? alignment : GRAIN);
    block = xvm_heap_alloc_aligned(heap, size, alignment);
    if (block == NULL)
        return refuse(ENOMEM);
    errno = saved;
    return block;
}

static __attribute__((noinline, cold)) void *move_early(const void *old, size_t size)
{
    size_t before = xvm_malloc_size_early(old);
    void *moved = size != 0 ? malloc(size) : NULL;

    return moved != NULL ? memcpy(moved, old, before < size ? before : size) : NULL;
}

/* --- C ---------------------------------------------------------------------------------------- */

EXPORT void *malloc(size_t size)
{
    xvm_heap *heap = the_heap();
    void *block;

    if (__builtin_expect(heap == NULL, 0))
        return take_early(size, GRAIN);
    block = xvm_heap_alloc(heap, size);
    return __builtin_expect(block != NULL, 1) ? block : refuse(ENOMEM);
}

EXPORT void *calloc(size_t count, size_t size)
{
    xvm_heap *heap = the_heap();
    size_t whole;
    void *block;

    if (__builtin_mul_overflow(count, size, &whole))
        return refuse(ENOMEM);
    if (__builtin_expect(heap == NULL, 0))
        return take_early(whole, GRAIN);
    block = xvm_heap_alloc_zeroed(heap, 1, whole);
    return __builtin_expect(block != NULL, 1) ? block : refuse(ENOMEM);
}

EXPORT void free(void *block)
{
    if (__builtin_expect(block != NULL && !is_early(block), 1))
        xvm_heap_free(the_heap(), block);
}

EXPORT void *realloc(void *old, size_t size)
{
    void *block;

    if (old == NULL)
        return malloc(size);
    if (is_early(old))
        return move_early(old, size);
    if (size == 0) {
        xvm_heap_free(the_heap(), old);
        return NULL;
    }
    block = xvm_heap_realloc(the_heap(), old, size);
    return block != NULL ? block : refuse(ENOMEM);
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    size_t whole;

    return __builtin_mul_overflow(count, size, &whole) ? refuse(ENOMEM) : realloc(old, whole);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return is_power_of_two(alignment) ? take_aligned(size, alignment) : refuse(EINVAL);
}

/* Of C23: what the caller knows of the block need not be looked at, the heap knows it as well. */
EXPORT void free_sized(void *block, size_t size);
EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size);

void free_sized(void *block, size_t size)
{
    (void)size;
    free(block);
}

void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    free(block);
}

/* --- POSIX, and older than it ----------------------------------------------------------------- */

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    int saved = errno;
    void *block;

    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    block = take_aligned(size, alignment);
    errno = saved;
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

/* Any alignment, made a power of two. */
EXPORT void *memalign(size_t alignment, size_t size)
{
    size_t power = GRAIN;

    if (alignment > SIZE_MAX / 2 + 1)
        return refuse(EINVAL);
    while (power < alignment)
        power *= 2;
    return take_aligned(size, power);
}

static size_t page_size(void)
{
    return (size_t)getpagesize();
}

EXPORT void *valloc(size_t size)
{
    return take_aligned(size, page_size());
}

/* Whole pages. */
EXPORT void *pvalloc(size_t size)
{
    size_t page = page_size(), whole = (size + page - 1) & ~(page - 1);

    return whole < size ? refuse(ENOMEM) : take_aligned(whole, page);
}

EXPORT void cfree(void *block);

void cfree(void *block)
{
    free(block);
}

/* --- looking at it, of glibc ------------------------------------------------------------------ */

EXPORT size_t malloc_usable_size(void *block)
{
    if (block == NULL)
        return 0;
    return is_early(block) ? xvm_malloc_size_early(block) : xvm_heap_usable_size(the_heap(), block);
}

EXPORT int malloc_trim(size_t keep)
{
    xvm_heap *heap = the_heap();

    return heap != NULL && xvm_heap_trim(heap, keep) != 0;
}

/* How the heap works is decided when it is made: nothing can be set, and 0 says so. */
EXPORT int mallopt(int parameter, int value)
{
    (void)parameter;
    (void)value;
    return 0;
}

/* Of the fields those that this heap has as well. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 info;
    xvm_heap_stats s;

    memset(&info, 0, sizeof info);
    xvm_heap_get_stats(the_heap(), &s);
    info.arena = s.committed;
    info.uordblks = s.live_bytes;
    info.fordblks = s.committed - s.live_bytes;
    info.usmblks = s.committed_peak;
    return info;
}

static int fit(size_t value)
{
    return value < INT_MAX ? (int)value : INT_MAX;
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo info;

    memset(&info, 0, sizeof info);
    info.arena = fit(wide.arena);
    info.uordblks = fit(wide.uordblks);
    info.fordblks = fit(wide.fordblks);
    info.usmblks = fit(wide.usmblks);
    return info;
}

EXPORT int malloc_info(int options, FILE *file)
{
    xvm_heap_stats s;

    if (options != 0)
        return EINVAL;
    xvm_heap_get_stats(the_heap(), &s);
    (void)fprintf(file,
                  "<malloc version=\"xvm-1\">\n"
                  "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n"
                  "<aspace type=\"total\" size=\"%zu\"/>\n<live blocks=\"%zu\" size=\"%zu\"/>\n"
                  "</malloc>\n",
                  s.committed, s.committed_peak, s.reserved, s.live_blocks, s.live_bytes);
    return 0;
}

EXPORT void malloc_stats(void)
{
    xvm_malloc_report();
}

/* --- glibc's other names ---------------------------------------------------------------------- */

/* Programs that call these get the same blocks, or a free would not know them. */
#if __has_attribute(copy)
#define ALIAS(of) EXPORT __attribute__((alias(#of), copy(of)))
#else
#define ALIAS(of) EXPORT __attribute__((alias(#of)))
#endif

ALIAS(malloc) void *__libc_malloc(size_t size);
ALIAS(calloc) void *__libc_calloc(size_t count, size_t size);
ALIAS(realloc) void *__libc_realloc(void *old, size_t size);
ALIAS(free) void __libc_free(void *block);
ALIAS(memalign) void *__libc_memalign(size_t alignment, size_t size);
ALIAS(valloc) void *__libc_valloc(size_t size);
ALIAS(pvalloc) void *__libc_pvalloc(size_t size);
ALIAS(posix_memalign) int __posix_memalign(void **out, size_t alignment, size_t size);

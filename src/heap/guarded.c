/* guarded.c - heaps for finding bugs: each block has pages of its own, ends at a guard page, and is
 * inaccessible once it is freed, for as long as there is room for others.
 *
 *     | slack | block ........ | rest | guard page |      rest: less than 16 bytes, or than the alignment
 *       run of whole pages
 *
 *   1  A run is LIVE while its block is; RUN_ZERO beside it marks one in quarantine, all guards.
 *   2  Of the run's page_info prev is where the block begins in it, next its size; in quarantine next
 *      is the run that was freed after it, + 1.
 *   3  slack and rest hold a pattern that a free looks for.
 */
#include <string.h>

#include "heap.h"

enum { PATTERN = 0xd1, QUARANTINED = RUN_LIVE | RUN_ZERO };

/* Bytes that can be protected on their own. */
static size_t guard_size(const xvm_heap *heap)
{
    size_t page = xvm_commit_unit(heap->region);

    return page > PAGE ? page : PAGE;
}

static size_t bytes_of(const xvm_heap *heap, uint32_t start)
{
    return (size_t)pages_of(&heap->pages[start]) << PAGE_SHIFT;
}

/* Of a run, without its guard. */
static size_t usable_bytes(const xvm_heap *heap, uint32_t start)
{
    return bytes_of(heap, start) - guard_size(heap);
}

/* --- quarantine ------------------------------------------------------------------------------- */

/* The run that has been in it for longest becomes free; false: there is none. */
static bool release_oldest(xvm_heap *heap)
{
    uint32_t start = heap->oldest - 1;

    if (heap->oldest == 0)
        return false;
    heap->oldest = heap->pages[start].next;
    if (heap->oldest == 0)
        heap->newest = 0;
    xvm_os_heap_free_run(heap, start);
    return true;
}

static void quarantine(xvm_heap *heap, uint32_t start)
{
    page_info *run = &heap->pages[start];

    run->size_kind |= RUN_ZERO;
    run->next = 0;
    if (heap->newest != 0)
        heap->pages[heap->newest - 1].next = start + 1;
    else
        heap->oldest = start + 1;
    heap->newest = start + 1;
}

/* --- taking ----------------------------------------------------------------------------------- */

/* Pages for a block; what is in quarantine must make room when nothing else does. */
static bool take_pages(xvm_heap *heap, size_t size, size_t alignment, uint32_t *start)
{
    size_t unit = guard_size(heap), align = alignment > unit ? alignment : unit;
    size_t whole = round_up(round_up(size, alignment), unit) + unit;
    bool zero;

    STORE(&heap->refused_by_cap, true);
    if (size > UINT32_MAX || whole < size || whole >> PAGE_SHIFT > heap->end ||
        align >> PAGE_SHIFT > heap->end)
        return false;
    while (!xvm_os_heap_take_run(heap, (uint32_t)(whole >> PAGE_SHIFT),
                                 (uint32_t)(align >> PAGE_SHIFT), RUN_LIVE, start, &zero))
        if (!release_oldest(heap))
            return false;
    STORE(&heap->refused_by_cap, false);
    return true;
}

/* The pages become memory, the last one a guard. */
static bool open_pages(xvm_heap *heap, uint32_t start)
{
    size_t at = page_offset(heap, start), usable = usable_bytes(heap, start);

    return xvm_commit(heap->region, at, usable) == XVM_OK &&
           xvm_guard(heap->region, at + usable, guard_size(heap)) == XVM_OK;
}

static unsigned char *place_block(xvm_heap *heap, uint32_t start, size_t size, size_t alignment)
{
    page_info *run = &heap->pages[start];
    unsigned char *base = page_address(heap, start);
    size_t usable = usable_bytes(heap, start), at = round_down(usable - size, alignment);

    run->prev = (uint32_t)at;
    run->next = (uint32_t)size;
    memset(base, PATTERN, at);
    memset(base + at + size, PATTERN, usable - at - size);
    return base + at;
}

void *xvm_os_heap_take_guarded(xvm_heap *heap, size_t size, size_t alignment)
{
    unsigned char *block = NULL;
    uint32_t start;

    heap_lock(heap, &heap->lock);
    if (take_pages(heap, size, alignment, &start)) {
        if (open_pages(heap, start)) {
            block = place_block(heap, start, size, alignment);
            heap->large_allocs++;
            heap->large_pages += pages_of(&heap->pages[start]);
        } else {
            xvm_os_heap_free_run(heap, start);
        }
    }
    heap_unlock(heap, &heap->lock);
    return block;
}

/* --- finding ---------------------------------------------------------------------------------- */

xvm_misuse xvm_os_heap_find_guarded(const xvm_heap *heap, const void *address, uint32_t *start,
                                    size_t *size)
{
    size_t offset = (size_t)((const unsigned char *)address - heap->area);
    const page_info *run;
    uint32_t page;

    if (offset >= heap->area_size || offset >> PAGE_SHIFT >= heap->frontier)
        return XVM_MISUSE_FOREIGN;
    page = (uint32_t)(offset >> PAGE_SHIFT);
    while (page != 0 && kind_of(&heap->pages[page]) == RUN_INSIDE)
        page--;
    run = &heap->pages[page];
    if ((run->size_kind & QUARANTINED) != RUN_LIVE)
        return XVM_MISUSE_FREED;
    *start = page;
    *size = run->next;
    return offset - ((size_t)page << PAGE_SHIFT) == run->prev ? (xvm_misuse)0 : XVM_MISUSE_INTERIOR;
}

/* --- giving ----------------------------------------------------------------------------------- */

static bool is_pattern(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != PATTERN)
            return false;
    return true;
}

static bool is_intact(const xvm_heap *heap, uint32_t start)
{
    const page_info *run = &heap->pages[start];
    const unsigned char *base = page_address(heap, start);
    size_t end = (size_t)run->prev + run->next;

    return is_pattern(base, run->prev) && is_pattern(base + end, usable_bytes(heap, start) - end);
}

xvm_misuse xvm_os_heap_give_guarded(xvm_heap *heap, void *address)
{
    int error = xvm_os_get_error();
    xvm_misuse wrong;
    uint32_t start;
    size_t size;

    heap_lock(heap, &heap->lock);
    wrong = xvm_os_heap_find_guarded(heap, address, &start, &size);
    if (wrong == 0 && !is_intact(heap, start))
        wrong = XVM_MISUSE_OVERRUN;
    if (wrong == 0) {
        (void)xvm_guard(heap->region, page_offset(heap, start), usable_bytes(heap, start));
        heap->large_frees++;
        heap->large_pages -= pages_of(&heap->pages[start]);
        quarantine(heap, start);
        xvm_os_set_error(error);
    }
    heap_unlock(heap, &heap->lock);
    return wrong;
}

/* moved.c - large blocks that take their pages along instead of being copied.
 *
 *     | old run ..... | others | new run, RUN_MOVED ........ |     pages of old --> new; old reads zero
 *
 *   1  Pages that have moved go on being mappings of their own. A run they were moved into is RUN_MOVED
 *      for as long as it lives, and is given back and committed anew before any page of it is free:
 *      then it is one mapping with what is around it.
 *   2  There are at most MOST_MOVED such runs at a time: what mappings they cost is bounded.
 *   3  A run that memory is refused for then is bare: nobody's, until the next one is mended.
 *   4  Where what is committed must be in memory nothing moves: what stays behind is not.
 */
#include "heap.h"

enum { MOST_MOVED = 256, WORTH_IT = 1 << 20 /* as XVM_HAS_MOVE says */ };

static page_info *info(const xvm_heap *heap, uint32_t page)
{
    return &heap->pages[page];
}

static size_t bytes_of(const xvm_heap *heap, uint32_t start)
{
    return (size_t)pages_of(info(heap, start)) << PAGE_SHIFT;
}

/* --- moving ----------------------------------------------------------------------------------- */

static bool is_whole(const xvm_heap *heap, uint32_t start)
{
    return ((start | pages_of(info(heap, start))) & (give_back_unit(heap) - 1)) == 0;
}

static bool can_move(const xvm_heap *heap, uint32_t to, uint32_t from)
{
    unsigned resident = XVM_HEAP_LOCKED | XVM_HEAP_PREFAULT | XVM_HEAP_REALTIME;

    return (heap->flags & resident) == 0 && heap->largest_small != 0 &&
           bytes_of(heap, from) >= WORTH_IT && is_whole(heap, from) && is_whole(heap, to) &&
           (xvm_system()->features & XVM_HAS_MOVE) != 0;
}

/* A run becomes RUN_MOVED; false: there are too many. Such a heap is not worth keeping for another. */
static bool mark(xvm_heap *heap, uint32_t start)
{
    bool marked;

    heap_lock(heap, &heap->lock);
    marked = heap->moved_runs < MOST_MOVED;
    if (marked) {
        STORE(&info(heap, start)->size_kind, info(heap, start)->size_kind | RUN_MOVED);
        info(heap, start)->prev = 0;
        heap->moved_runs++;
        heap->seat->plain = false;
    }
    heap_unlock(heap, &heap->lock);
    return marked;
}

/* A refused move may have cost the new run its memory; with it a copy will do. */
moving xvm_os_heap_move_run(xvm_heap *heap, uint32_t to, uint32_t from)
{
    size_t size = bytes_of(heap, from), target = page_offset(heap, to);
    int error = xvm_os_get_error();

    if (!can_move(heap, to, from) || !mark(heap, to))
        return MOVE_BY_COPY;
    if (xvm_move(heap->region, target, page_offset(heap, from), size) == XVM_OK)
        return MOVE_DONE;
    if (xvm_commit(heap->region, target, bytes_of(heap, to)) != XVM_OK)
        return MOVE_REFUSED;
    xvm_os_set_error(error);
    return MOVE_BY_COPY;
}

/* --- mending ---------------------------------------------------------------------------------- */

void xvm_os_heap_drop_moved(xvm_heap *heap, uint32_t start)
{
    int error = xvm_os_get_error();

    if (!is_moved(info(heap, start)))
        return;
    (void)xvm_discard(heap->region, page_offset(heap, start), bytes_of(heap, start),
                      XVM_DISCARD_ZERO);
    xvm_os_set_error(error);
}

static bool renew(xvm_heap *heap, uint32_t start)
{
    size_t at = page_offset(heap, start), size = bytes_of(heap, start);
    int error = xvm_os_get_error();
    bool renewed;

    (void)xvm_decommit(heap->region, at, size);
    renewed = xvm_commit(heap->region, at, size) == XVM_OK;
    xvm_os_set_error(error);
    return renewed;
}

static void unmark(xvm_heap *heap, uint32_t start)
{
    info(heap, start)->size_kind &= ~(uint32_t)RUN_MOVED;
    heap->moved_runs--;
}

/* The first of those that are bare, once more. */
static void try_bare(xvm_heap *heap)
{
    uint32_t start = heap->bare - 1;

    if (heap->bare == 0 || !renew(heap, start))
        return;
    heap->bare = info(heap, start)->next;
    unmark(heap, start);
    xvm_os_heap_free_zero_run(heap, start);
}

void xvm_os_heap_free_moved_run(xvm_heap *heap, uint32_t start)
{
    if (renew(heap, start)) {
        unmark(heap, start);
        xvm_os_heap_free_zero_run(heap, start);
        try_bare(heap);
        return;
    }
    info(heap, start)->next = heap->bare;
    info(heap, start)->prev = BARE;
    heap->bare = start + 1;
}

/* All pages of a heap without blocks. */
void xvm_os_heap_forget_moved(xvm_heap *heap)
{
    size_t size = (size_t)heap->committed << PAGE_SHIFT;

    if (heap->moved_runs == 0)
        return;
    if (xvm_decommit(heap->region, page_offset(heap, 0), size) == XVM_OK) {
        heap->committed = 0;
        set_touched(heap, 0);
    } else {
        (void)xvm_commit(heap->region, page_offset(heap, 0), size);
    }
    heap->moved_runs = heap->bare = 0;
}

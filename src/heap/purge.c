/* purge.c - what is free goes back to the system: how much, when, and how.
 *
 *     | run | free, dirty | run | free, zero | slab | frontier ... touched ... committed ...
 *             discarded: keeps its charge             decommitted: gives it back, too
 *
 *   1  A heap keeps a part of the most that was in use, or what its options say.
 *   2  More than that goes back when it was more all the time for PURGE_DELAY: what a program takes again
 *      soon is not given back, however often that is. A heap that nobody called for so long was as its
 *      last call left it.
 *   3  It goes back at calls that take or free pages: there is no thread that does it.
 *   4  Before new pages become memory, those go that are free and did not fit.
 */
#include "heap.h"
#include "tell.h"

enum { NONE = 0 };
enum { PURGE_DELAY = 100 /* ms */ };
enum { KEPT_PART = 16, LEAST_KEPT = 1 << 20 };

/* --- giving back ------------------------------------------------------------------------------ */

/* Behind the frontier lie pages that were used: they go first, with the charge. */
static size_t purge_tail(xvm_heap *heap, size_t pages)
{
    uint32_t keep = (uint32_t)round_up(heap->frontier + pages, heap->commit_pages);
    size_t dirty = heap->touched > keep ? heap->touched - keep : 0;

    if (keep >= heap->committed ||
        xvm_decommit(heap->region, page_offset(heap, keep),
                     (size_t)(heap->committed - keep) << PAGE_SHIFT) != XVM_OK)
        return 0;
    if (heap->told && dirty != 0) /* whose memory is there next need not be told of us */
        xvm_os_tell_live(page_address(heap, keep), dirty << PAGE_SHIFT);
    heap->committed = keep;
    set_touched(heap, heap->touched < keep ? heap->touched : keep);
    return dirty;
}

/* A free run in the middle keeps its charge and gives back its whole units of commit. */
static size_t purge_run(xvm_heap *heap, uint32_t start)
{
    page_info *run = &heap->pages[start];
    uint32_t pages = pages_of(run), unit = give_back_unit(heap);
    size_t from = round_up(start, unit), to = round_down((size_t)start + pages, unit);
    size_t given = from < to ? to - from : 0;

    if (given != 0 && xvm_discard(heap->region, page_offset(heap, (uint32_t)from),
                                  given << PAGE_SHIFT, XVM_DISCARD_ZERO) != XVM_OK)
        return 0;
    run->size_kind |= RUN_ZERO;
    heap->dirty_pages -= pages;
    return given;
}

static size_t purge_list(xvm_heap *heap, uint32_t head, size_t keep)
{
    size_t given = 0;

    for (uint32_t at = head; at != NONE && heap->dirty_pages > keep; at = heap->pages[at - 1].next)
        if ((heap->pages[at - 1].size_kind & RUN_ZERO) == 0)
            given += purge_run(heap, at - 1);
    return given;
}

/* Runs in the middle, the largest first. Where what is committed must be in memory they stay: they are
 * committed. */
static size_t purge_runs(xvm_heap *heap, size_t keep)
{
    size_t given = 0;

    if ((heap->flags & (XVM_HEAP_LOCKED | XVM_HEAP_PREFAULT)) != 0)
        return 0;
    for (int group = BIN_GROUPS - 1; group >= 0 && heap->dirty_pages > keep; group--)
        for (int fine = BIN_FINE - 1; fine >= 0 && heap->dirty_pages > keep; fine--)
            given += purge_list(heap, heap->bins[group][fine], keep);
    return given;
}

size_t xvm_os_heap_purge(xvm_heap *heap, size_t keep)
{
    size_t behind = keep > heap->dirty_pages ? keep - heap->dirty_pages : 0, given = 0;
    int error = xvm_os_get_error();

    if ((heap->flags & (XVM_HEAP_REALTIME | XVM_HEAP_GUARDED)) != 0)
        return 0; /* nothing, or all of it as soon as it was free */
    if (heap->committed - heap->frontier > behind)
        given = purge_tail(heap, behind);
    given += purge_runs(heap, keep);
    xvm_os_set_error(error); /* what was refused is kept, and that is all */
    return given;
}

/* --- when ------------------------------------------------------------------------------------- */

static size_t pages_kept(const xvm_heap *heap)
{
    size_t part = heap->peak_pages / KEPT_PART, least = LEAST_KEPT / PAGE;

    if (heap->trim_threshold != 0)
        return heap->trim_threshold >> PAGE_SHIFT;
    return part > least ? part : least;
}

void xvm_os_heap_exchange(xvm_heap *heap)
{
    size_t keeps = pages_kept(heap);

    if (heap->trim_threshold != SIZE_MAX && heap->dirty_pages > keeps)
        (void)purge_runs(heap, keeps / 2);
}

static void watch_from(xvm_heap *heap, uint64_t now, size_t unused)
{
    heap->watch = (watch){.since = now, .seen = now, .least = unused, .last = unused};
}

/* Pages that nobody needed for as long as the delay; SIZE_MAX: it is not over. */
static size_t idle_pages(const watch *w, uint64_t now)
{
    if (now - w->seen >= PURGE_DELAY)
        return w->last;
    return now - w->since >= PURGE_DELAY ? w->least : SIZE_MAX;
}

static size_t unused_pages(const xvm_heap *heap)
{
    return heap->dirty_pages + (heap->touched - heap->frontier);
}

/* Gives back so many of the unused pages, but for some that are kept. */
static void give_idle(xvm_heap *heap, size_t unused, size_t idle, size_t keeps)
{
    size_t most = idle < unused ? idle : unused;

    if (most > keeps)
        (void)xvm_os_heap_purge(heap, unused - most + keeps / 2);
}

void xvm_os_heap_settle(xvm_heap *heap)
{
    size_t unused = unused_pages(heap), keeps = pages_kept(heap), idle;
    uint64_t now;
    watch *w = &heap->watch;

    if (unused <= keeps || heap->trim_threshold == SIZE_MAX) {
        w->since = 0; /* without a look at the clock */
        return;
    }
    now = clock_now();
    idle = w->since != 0 ? idle_pages(w, now) : SIZE_MAX;
    if (idle != SIZE_MAX)
        give_idle(heap, unused, idle, keeps);
    if (idle != SIZE_MAX || w->since == 0) {
        watch_from(heap, now, unused_pages(heap));
        return;
    }
    w->seen = now;
    w->last = unused;
    w->least = unused < w->least ? unused : w->least;
}

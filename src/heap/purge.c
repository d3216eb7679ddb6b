/* purge.c - what is free goes back to the system: how much, when, and how.
 *
 *     | run | free, dirty | run | free, zero | slab | frontier ... touched ... committed ...
 *             discarded: keeps its charge             decommitted: gives it back, too
 *
 *   1  A heap keeps a part of the most that was in use, or what its options say.
 *   2  More than that goes back, namely runs that have been free, and pages behind the frontier that nobody
 *      needed, for PURGE_DELAY: what a program takes again soon is not given back, however often that is.
 *   3  It goes back at calls that take or free pages: there is no thread that does it.
 *   4  Before a heap becomes larger than it ever was, what is free and did not fit goes. Not each time that
 *      it grows: the same pages would come and go.
 */
#include "heap.h"
#include "tell.h"

enum { NONE = 0 };
enum { PURGE_DELAY = 1000 /* ms */ };
enum { KEPT_PART = 16, LEAST_KEPT = 1 << 20 };

/* --- giving back ------------------------------------------------------------------------------ */

/* Nothing does, or all of it as soon as it was free. */
static bool gives_nothing(const xvm_heap *heap)
{
    return (heap->flags & (XVM_HEAP_REALTIME | XVM_HEAP_GUARDED)) != 0;
}

/* What is committed is at its most before some of it goes. */
static void note_peak(xvm_heap *heap)
{
    size_t tables = heap->unit_table.committed + heap->page_table.committed +
                    heap->state_table.committed + heap->lane_table.committed;
    size_t now = heap->state_table.offset + tables + ((size_t)heap->committed << PAGE_SHIFT);

    heap->committed_peak = now > heap->committed_peak ? now : heap->committed_peak;
}

/* Behind the frontier lie pages that were used: they go first, with the charge. */
static size_t purge_tail(xvm_heap *heap, size_t pages)
{
    uint32_t keep = (uint32_t)round_up(heap->frontier + pages, heap->commit_pages);
    size_t dirty = heap->touched > keep ? heap->touched - keep : 0;

    note_peak(heap);
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

    if (gives_nothing(heap))
        return 0;
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

    if (heap->trim_threshold != SIZE_MAX && !gives_nothing(heap) && heap->dirty_pages > keeps)
        (void)purge_runs(heap, keeps / 2);
}

/* Is the run one that has been free for long, and has memory? One of a single page does not say. */
static bool is_idle(const xvm_heap *heap, const page_info *run)
{
    return (run->size_kind & RUN_ZERO) == 0 && pages_of(run) > 1 &&
           heap->watch.now - run->start >= PURGE_DELAY;
}

static void purge_idle_list(xvm_heap *heap, uint32_t head, size_t keep)
{
    for (uint32_t at = head; at != NONE && heap->dirty_pages > keep; at = heap->pages[at - 1].next)
        if (is_idle(heap, &heap->pages[at - 1]))
            (void)purge_run(heap, at - 1);
}

/* Behind the frontier nobody was for long where it has not been; then runs, the largest first. */
static void purge_idle(xvm_heap *heap, size_t keep)
{
    uint32_t most = heap->watch.most > heap->frontier ? heap->watch.most : heap->frontier;

    (void)purge_tail(heap, most - heap->frontier);
    if ((heap->flags & (XVM_HEAP_LOCKED | XVM_HEAP_PREFAULT)) != 0)
        return;
    for (int group = BIN_GROUPS - 1; group >= 0 && heap->dirty_pages > keep; group--)
        for (int fine = BIN_FINE - 1; fine >= 0 && heap->dirty_pages > keep; fine--)
            purge_idle_list(heap, heap->bins[group][fine], keep);
}

static uint32_t clock_of_heap(void)
{
    return (uint32_t)clock_now() | 1; /* never 0 */
}

/* A heap that nobody called for long is as its last call left it. */
void xvm_os_heap_look_at_clock(xvm_heap *heap)
{
    watch *w = &heap->watch;
    uint32_t before = w->now;

    if (w->since == 0)
        return;
    w->now = clock_of_heap();
    if (w->now - before >= PURGE_DELAY)
        w->most = heap->frontier;
}

static void begin_watch(xvm_heap *heap)
{
    uint32_t now = clock_of_heap();

    heap->watch = (watch){.since = now, .now = now, .given = now, .most = heap->frontier};
}

static void give_idle(xvm_heap *heap, size_t keeps)
{
    int error = xvm_os_get_error();

    purge_idle(heap, keeps / 2);
    xvm_os_set_error(error);
    heap->watch.given = heap->watch.now;
    heap->watch.most = heap->frontier;
}

void xvm_os_heap_settle(xvm_heap *heap)
{
    size_t keeps = pages_kept(heap);
    watch *w = &heap->watch;

    if (heap->trim_threshold == SIZE_MAX || gives_nothing(heap))
        return;
    w->most = heap->frontier > w->most ? heap->frontier : w->most;
    if (heap->dirty_pages + (heap->touched - heap->frontier) <= keeps)
        w->since = 0; /* without a look at the clock */
    else if (w->since == 0)
        begin_watch(heap);
    else if (w->now - w->since >= PURGE_DELAY && w->now - w->given >= PURGE_DELAY)
        give_idle(heap, keeps);
}

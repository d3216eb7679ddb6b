/* runs.c - pages: runs of them, free ones in lists by size, the rest behind a frontier.
 *
 *     | live 3 | free 5 | slab 16 | live 1 | frontier ...... touched ...... committed ...... end
 *
 * Good fit in constant time: the first list of which every run is large enough (two-level bitmaps, as
 * in TLSF: Masmano and others, "TLSF: a new dynamic memory allocator for real-time systems", 2004).
 * The list below it is looked at first, for one that fits after all, and of a list's newest runs the
 * smallest is taken. What is taken is cut to size; what is freed is merged with its neighbours at once,
 * and into the frontier.
 */
#include "heap.h"

enum { NONE = 0, LOOKS = 8 /* runs of a list, at the most */ };

static page_info *info(const xvm_heap *heap, uint32_t page)
{
    return &heap->pages[page];
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The first page from page on whose address is a multiple of so many pages. */
static size_t aligned_page(const xvm_heap *heap, uint32_t page, uint32_t align)
{
    size_t first = (uintptr_t)heap->area >> PAGE_SHIFT;

    return round_up(first + page, align) - first;
}

/* --- lists of free runs ----------------------------------------------------------------------- */

typedef struct bin {
    unsigned group, fine;
} bin;

/* The list of runs of so many pages: one for each size below 8, then eight to each doubling. */
static bin bin_of(uint32_t pages)
{
    unsigned power = 31u - (unsigned)__builtin_clz(pages);

    if (pages < BIN_FINE)
        return (bin){0, pages};
    return (bin){power - 2, (pages >> (power - 3)) & (BIN_FINE - 1)};
}

static void link_run(xvm_heap *heap, uint32_t start, uint32_t pages, unsigned zero)
{
    bin b = bin_of(pages);
    uint32_t *head = &heap->bins[b.group][b.fine];
    page_info *run = info(heap, start);

    run->size_kind = pages << 3 | zero | RUN_FREE;
    run->prev = NONE;
    run->next = *head;
    if (*head != NONE)
        info(heap, *head - 1)->prev = start + 1;
    *head = start + 1;
    run->start = heap->watch.now;
    info(heap, start + pages - 1)->start = start;
    heap->bin_fine[b.group] |= 1u << b.fine;
    heap->bin_groups |= 1u << b.group;
    heap->free_pages += pages;
    heap->dirty_pages += zero ? 0 : pages;
}

static void unlink_run(xvm_heap *heap, uint32_t start)
{
    page_info *run = info(heap, start);
    uint32_t pages = pages_of(run);
    bin b = bin_of(pages);

    if (run->next != NONE)
        info(heap, run->next - 1)->prev = run->prev;
    if (run->prev != NONE)
        info(heap, run->prev - 1)->next = run->next;
    else
        heap->bins[b.group][b.fine] = run->next;
    if (heap->bins[b.group][b.fine] == NONE)
        heap->bin_fine[b.group] &= ~(1u << b.fine);
    if (heap->bin_fine[b.group] == 0)
        heap->bin_groups &= ~(1u << b.group);
    heap->free_pages -= pages;
    heap->dirty_pages -= run->size_kind & RUN_ZERO ? 0 : pages;
}

/* The first run of the first list, at or above b, that has any; + 1. */
static uint32_t first_from(const xvm_heap *heap, bin b)
{
    uint32_t fine = b.fine < BIN_FINE ? heap->bin_fine[b.group] >> b.fine << b.fine : 0;
    uint32_t groups;

    if (fine == 0) {
        groups = b.group + 1 < 32 ? heap->bin_groups >> (b.group + 1) << (b.group + 1) : 0;
        if (groups == 0)
            return NONE;
        b.group = (unsigned)__builtin_ctz(groups);
        fine = heap->bin_fine[b.group];
    }
    return heap->bins[b.group][__builtin_ctz(fine)];
}

/* The best of the newest runs of a list that hold so many pages; + 1. */
static uint32_t best_of(const xvm_heap *heap, uint32_t at, uint32_t pages)
{
    uint32_t best = NONE, least = UINT32_MAX;

    for (unsigned looked = 0; at != NONE && looked < LOOKS && least != pages; looked++) {
        uint32_t has = pages_of(info(heap, at - 1));

        if (has >= pages && has < least) {
            best = at;
            least = has;
        }
        at = info(heap, at - 1)->next;
    }
    return best;
}

/* A run that holds so many pages; + 1. */
static uint32_t find_run(const xvm_heap *heap, uint32_t pages)
{
    bin b = bin_of(pages);
    uint32_t best = best_of(heap, heap->bins[b.group][b.fine], pages);

    if (best != NONE)
        return best;
    b.fine++; /* perhaps past the last: then the next group */
    return best_of(heap, first_from(heap, b), pages);
}

/* --- the frontier ----------------------------------------------------------------------------- */

xvm_status xvm_os_heap_hold(xvm_heap *heap, size_t offset, size_t size)
{
    xvm_status status = xvm_commit(heap->region, offset, size);

    if (status != XVM_OK)
        return status;
    if ((heap->flags & (XVM_HEAP_LOCKED | XVM_HEAP_REALTIME)) != 0)
        status = xvm_lock(heap->region, offset, size);
    if (status == XVM_OK && (heap->flags & (XVM_HEAP_PREFAULT | XVM_HEAP_REALTIME)) != 0)
        status = xvm_prefault(heap->region, offset, size);
    if (status != XVM_OK)
        (void)xvm_decommit(heap->region, offset, size);
    return status;
}

static bool grow_table(xvm_heap *heap, table *t, size_t size)
{
    if (xvm_os_heap_hold(heap, t->offset + t->committed, size - t->committed) != XVM_OK)
        return false;
    t->committed = size;
    return true;
}

bool xvm_os_heap_need(xvm_heap *heap, table *t, size_t size)
{
    size_t step = t->committed / 2 > UNIT ? t->committed / 2 : UNIT;
    size_t far = t->committed + step > size ? t->committed + step : size;

    if (size <= t->committed)
        return true;
    STORE(&heap->refused_by_cap, size > t->size);
    if (size > t->size)
        return false;
    return grow_table(heap, t, far < t->size ? far : t->size) || grow_table(heap, t, size);
}

/* Memory for the pages below far, and what the flags ask for. */
static bool commit_pages(xvm_heap *heap, uint32_t far)
{
    size_t size = (size_t)(far - heap->committed) << PAGE_SHIFT;

    if (xvm_os_heap_hold(heap, page_offset(heap, heap->committed), size) != XVM_OK)
        return false;
    heap->committed = far;
    return true;
}

/* How far a growth goes that must reach a page. */
static uint32_t growth_to(const xvm_heap *heap, uint32_t page)
{
    size_t step = heap->grow_step, far;

    if (step == 0) {
        step = ((size_t)heap->committed << PAGE_SHIFT) / 8;
        step = step < UNIT ? UNIT : step > ((size_t)16 << 20) ? (size_t)16 << 20 : step;
    }
    far = heap->committed + (step >> PAGE_SHIFT);
    far = far > page ? far : page;
    far = round_up(far, heap->commit_pages);
    return far < heap->end ? (uint32_t)far : heap->end;
}

/* Tables and memory for the pages below one. */
static bool reach(xvm_heap *heap, uint32_t page)
{
    size_t units = ((size_t)page + UNIT_PAGES - 1) / UNIT_PAGES;
    uint32_t far = growth_to(heap, page);

    if (!xvm_os_heap_need(heap, &heap->page_table, (size_t)page * sizeof(page_info)) ||
        !xvm_os_heap_need(heap, &heap->unit_table, units * sizeof(unit_info)))
        return false;
    if (page <= heap->committed)
        return true;
    return commit_pages(heap, far) ||
           (far > page && commit_pages(heap, (uint32_t)smaller(heap->end, page)));
}

static void use_run(xvm_heap *heap, uint32_t start, uint32_t pages, unsigned kind)
{
    info(heap, start)->size_kind = pages << 3 | kind;
    info(heap, start + pages - 1)->start = start;
    if (pages > 1)
        info(heap, start + pages - 1)->size_kind = RUN_INSIDE;
}

/* Pages between two runs, which nobody wanted. */
static void leave_gap(xvm_heap *heap, uint32_t from, uint32_t to, bool zero)
{
    if (from != to)
        link_run(heap, from, to - from, zero ? RUN_ZERO : 0);
}

static bool take_from_frontier(xvm_heap *heap, uint32_t pages, uint32_t align, unsigned kind,
                               uint32_t *start, bool *zero)
{
    size_t at = aligned_page(heap, heap->frontier, align);
    uint32_t end;
    bool capped = at > heap->end || pages > heap->end - at;

    STORE(&heap->refused_by_cap, capped);
    if (capped)
        return false;
    end = (uint32_t)at + pages;
    if (end > heap->most_touched)
        xvm_os_heap_exchange(heap);
    if (!reach(heap, end))
        return false;
    *zero = at >= heap->touched;
    *start = (uint32_t)at;
    leave_gap(heap, heap->frontier, *start, heap->frontier >= heap->touched);
    use_run(heap, *start, pages, kind);
    STORE(&heap->frontier, end);
    if (end > heap->touched)
        set_touched(heap, end);
    return true;
}

/* --- taking and freeing ----------------------------------------------------------------------- */

/* Cuts what is wanted out of a free run; what is before and behind it stays free. */
static void cut(xvm_heap *heap, uint32_t run, uint32_t at, uint32_t pages, unsigned kind)
{
    uint32_t whole = pages_of(info(heap, run));
    bool zero = (info(heap, run)->size_kind & RUN_ZERO) != 0;

    unlink_run(heap, run);
    leave_gap(heap, run, at, zero);
    leave_gap(heap, at + pages, run + whole, zero);
    use_run(heap, at, pages, kind);
}

static bool fits(const xvm_heap *heap, uint32_t run, uint32_t pages, uint32_t align,
                 uint32_t *start)
{
    size_t before = aligned_page(heap, run, align) - run;

    *start = run + (uint32_t)before;
    return before <= pages_of(info(heap, run)) && pages <= pages_of(info(heap, run)) - before;
}

static void take_from_run(xvm_heap *heap, uint32_t run, uint32_t at, uint32_t pages, unsigned kind,
                          bool *zero)
{
    *zero = (info(heap, run)->size_kind & RUN_ZERO) != 0 && give_back_unit(heap) == 1;
    cut(heap, run, at, pages, kind);
}

static bool take_run(xvm_heap *heap, uint32_t pages, uint32_t align, unsigned kind, uint32_t *start,
                     bool *zero)
{
    uint32_t found = find_run(heap, pages);

    if (found != NONE && !fits(heap, found - 1, pages, align, start))
        found = pages + align < heap->end ? find_run(heap, pages + align - 1) : NONE;
    if (found == NONE || !fits(heap, found - 1, pages, align, start))
        return take_from_frontier(heap, pages, align, kind, start, zero);
    take_from_run(heap, found - 1, *start, pages, kind, zero);
    return true;
}

bool xvm_os_heap_take_run(xvm_heap *heap, uint32_t pages, uint32_t align, unsigned kind,
                          uint32_t *start, bool *zero)
{
    bool taken;

    xvm_os_heap_look_at_clock(heap);
    taken = take_run(heap, pages, align, kind, start, zero);
    xvm_os_heap_settle(heap);
    return taken;
}

/* Behind all others where memory is warm, else in a free run of twice the size, else behind all others. */
static bool take_roomy(xvm_heap *heap, uint32_t pages, uint32_t align, uint32_t *start, bool *zero)
{
    bool is_warm = pages <= heap->touched - heap->frontier;
    uint32_t found = is_warm || pages >= heap->end / 2 ? NONE : find_run(heap, 2 * pages);

    if (found == NONE || !fits(heap, found - 1, pages, align, start))
        return take_from_frontier(heap, pages, align, RUN_LIVE, start, zero);
    take_from_run(heap, found - 1, *start, pages, RUN_LIVE, zero);
    return true;
}

bool xvm_os_heap_take_roomy_run(xvm_heap *heap, uint32_t pages, uint32_t align, uint32_t *start,
                                bool *zero)
{
    bool taken;

    xvm_os_heap_look_at_clock(heap);
    taken = take_roomy(heap, pages, align, start, zero);
    xvm_os_heap_settle(heap);
    return taken;
}

/* A free run becomes a part of another; its pages. */
static uint32_t absorb(xvm_heap *heap, uint32_t start)
{
    uint32_t pages = pages_of(info(heap, start));

    unlink_run(heap, start);
    info(heap, start)->size_kind = RUN_INSIDE;
    return pages;
}

/* Free pages, merged with the free ones around them, and with the frontier. zero: RUN_ZERO or 0. */
static void add_free(xvm_heap *heap, uint32_t start, uint32_t pages, unsigned zero)
{
    uint32_t end = start + pages, before;

    info(heap, start)->size_kind = RUN_INSIDE;
    if (start != 0) {
        before = info(heap, start - 1)->start;
        if (kind_of(info(heap, before)) == RUN_FREE) {
            zero &= info(heap, before)->size_kind;
            (void)absorb(heap, before);
            start = before;
        }
    }
    if (end < heap->frontier && kind_of(info(heap, end)) == RUN_FREE) {
        zero &= info(heap, end)->size_kind;
        end += absorb(heap, end);
    }
    if (end == heap->frontier)
        STORE(&heap->frontier, start);
    else
        link_run(heap, start, end - start, zero);
}

void xvm_os_heap_free_run(xvm_heap *heap, uint32_t start)
{
    xvm_os_heap_look_at_clock(heap);
    add_free(heap, start, pages_of(info(heap, start)), 0);
    xvm_os_heap_settle(heap);
}

void xvm_os_heap_free_zero_run(xvm_heap *heap, uint32_t start)
{
    xvm_os_heap_look_at_clock(heap);
    add_free(heap, start, pages_of(info(heap, start)), RUN_ZERO);
    xvm_os_heap_settle(heap);
}

/* Pages at or behind the end of a run, as far as they are free: free ones, or the frontier. */
static uint32_t free_behind(const xvm_heap *heap, uint32_t end)
{
    if (end == heap->frontier)
        return heap->end - end;
    return kind_of(info(heap, end)) == RUN_FREE ? pages_of(info(heap, end)) : 0;
}

/* What is cut off becomes a run of its own, and free. */
static void shorten(xvm_heap *heap, uint32_t start, uint32_t pages, unsigned kind)
{
    uint32_t rest = pages_of(info(heap, start)) - pages, at = start + pages;

    use_run(heap, start, pages, kind);
    use_run(heap, at, rest, kind);
    if ((kind & RUN_MOVED) == 0) {
        add_free(heap, at, rest, 0);
        return;
    }
    heap->moved_runs++;
    xvm_os_heap_free_moved_run(heap, at);
}

bool xvm_os_heap_resize_run(xvm_heap *heap, uint32_t start, uint32_t pages)
{
    uint32_t now = pages_of(info(heap, start)), end = start + now, more, ignored;
    unsigned kind = RUN_LIVE | (info(heap, start)->size_kind & RUN_MOVED);
    bool zero;

    if (pages < now) {
        shorten(heap, start, pages, kind);
        return true;
    }
    more = pages - now;
    if (more > free_behind(heap, end))
        return false;
    if (end != heap->frontier)
        cut(heap, end, end, more, RUN_LIVE);
    else if (!take_from_frontier(heap, more, 1, RUN_LIVE, &ignored, &zero))
        return false;
    info(heap, end)->size_kind = RUN_INSIDE;
    use_run(heap, start, pages, kind);
    return true;
}

void xvm_os_heap_relink_run(xvm_heap *heap, uint32_t start)
{
    const page_info *run = info(heap, start);

    link_run(heap, start, pages_of(run), run->size_kind & RUN_ZERO);
}

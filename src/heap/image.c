/* image.c - a heap in a file, and back at the same addresses.
 *
 *     save   header | states | units | pages | lanes | runs that are live -->        as they are
 *     load   pages --> what is true of blocks --> all that follows from it, made anew --> check
 *
 *   1  True is what the runs, the units' classes and the blocks' states say. Lists, counts, magazines and
 *      pointers are made anew: those of the file are of another process, and nobody vouches for them.
 *   2  Nothing that was read is used before it is known to lie inside of the heap.
 *   3  What was cached by a thread is free: threads have other numbers.
 *   4  Pages that had moved are one mapping again; bare runs have memory.
 */
#include <string.h>

#include "heap.h"
#include "image.h"
#include "tell.h"
#include "xvm/system.h"

static const xvm_os_answer DONE = {XVM_OK, 0};

static xvm_status refuse(const xvm_heap_options *o, const char *call, xvm_os_answer answer,
                         xvm_os_cause cause)
{
    xvm_os_site site = {.call = call, .operation = XVM_OS_FILE, .name = o->name, .cause = cause};

    return xvm_os_fail_at(&site, answer);
}

void xvm_heap_set_root(xvm_heap *heap, void *root)
{
    if (heap != NULL)
        heap->root = root;
}

void *xvm_heap_root(const xvm_heap *heap)
{
    return heap != NULL ? heap->root : NULL;
}

/* --- saving ----------------------------------------------------------------------------------- */

/* Parts of the region that follow one another; what lies between them is not written. */
static xvm_os_answer write_part(xvm_os_image *image, const xvm_heap *heap, size_t offset,
                                size_t size)
{
    size_t unit = xvm_commit_unit(heap->region);

    return xvm_os_image_write(image, offset, round_up(size, unit), XVM_COMMITTED,
                              (unsigned char *)heap->region->base + offset);
}

/* Bytes of the region that are to be written, and those of which it is known that they need not be. */
typedef struct pen {
    xvm_os_image *image;
    const xvm_heap *heap;
    size_t from, to; /* pending */
} pen;

static xvm_os_answer write_pending(pen *p)
{
    unsigned char *base = p->heap->region->base;
    size_t from = p->from, size = p->to - p->from;

    p->from = p->to;
    return xvm_os_image_write(p->image, from, size, XVM_COMMITTED, base + from);
}

/* Bytes are wanted, from one offset to another: whole pages, outward. */
static xvm_os_answer want_bytes(pen *p, size_t from, size_t to)
{
    size_t page = p->image->about.page_size, first = round_down(from, page);
    xvm_os_answer answer = DONE;

    if (first > p->to) {
        answer = write_pending(p);
        if (answer.status == XVM_OK) /* committed, but whatever is there is not wanted */
            answer = xvm_os_image_write(p->image, p->to, first - p->to, XVM_COMMITTED, NULL);
        p->from = first;
    }
    p->to = round_up(to, page);
    return answer;
}

/* Runs that are free are committed, and that is all. */
static xvm_os_answer write_runs(xvm_os_image *image, const xvm_heap *heap)
{
    size_t start = page_offset(heap, 0), end = page_offset(heap, heap->committed);
    pen p = {image, heap, start, start};
    xvm_os_answer answer = DONE;

    for (uint32_t page = 0; page < heap->frontier && answer.status == XVM_OK;
         page += pages_of(&heap->pages[page]))
        if (kind_of(&heap->pages[page]) != RUN_FREE && !is_bare(&heap->pages[page]))
            answer = want_bytes(&p, page_offset(heap, page),
                                page_offset(heap, page) +
                                    ((size_t)pages_of(&heap->pages[page]) << PAGE_SHIFT));
    if (answer.status == XVM_OK)
        answer = write_pending(&p);
    return answer.status == XVM_OK && end > p.to
               ? xvm_os_image_write(image, p.to, end - p.to, XVM_COMMITTED, NULL)
               : answer;
}

/* Bytes of a run with guards that can be read; 0: it is none of a live block. */
static size_t readable_bytes(const xvm_heap *heap, uint32_t page)
{
    const page_info *run = &heap->pages[page];
    size_t unit = xvm_commit_unit(heap->region), guard = unit > PAGE ? unit : PAGE;

    if (kind_of(run) != RUN_LIVE || (run->size_kind & RUN_ZERO) != 0)
        return 0;
    return ((size_t)pages_of(run) << PAGE_SHIFT) - guard;
}

/* Guards, and what is in quarantine, are made anew. */
static xvm_os_answer write_guarded_runs(xvm_os_image *image, const xvm_heap *heap)
{
    xvm_os_answer answer = DONE;

    for (uint32_t page = 0; page < heap->frontier && answer.status == XVM_OK;
         page += pages_of(&heap->pages[page]))
        answer = xvm_os_image_write(image, page_offset(heap, page), readable_bytes(heap, page),
                                    XVM_COMMITTED, page_address(heap, page));
    return answer;
}

static xvm_os_answer write_heap(xvm_os_image *image, const xvm_heap *heap)
{
    const table *tables[] = {&heap->state_table, &heap->unit_table, &heap->page_table,
                             &heap->lane_table};
    xvm_os_answer answer = write_part(image, heap, 0, sizeof *heap);

    for (size_t i = 0; i < sizeof tables / sizeof *tables && answer.status == XVM_OK; i++)
        answer = write_part(image, heap, tables[i]->offset, tables[i]->committed);
    if (answer.status != XVM_OK)
        return answer;
    return (heap->flags & XVM_HEAP_GUARDED) != 0 ? write_guarded_runs(image, heap)
                                                 : write_runs(image, heap);
}

xvm_status xvm_heap_save(xvm_heap *heap, const char *path)
{
    xvm_heap_options about = {.name = heap != NULL ? heap->name : NULL};
    xvm_os_answer answer = {XVM_E_INVALID, 0};
    xvm_os_image image;

    if (heap == NULL || path == NULL)
        return refuse(&about, "heap_save", answer, XVM_OS_CAUSE_UNKNOWN);
    answer = xvm_os_image_begin(&image, path, heap->region);
    if (answer.status != XVM_OK)
        return refuse(&about, "heap_save", answer, XVM_OS_CAUSE_UNKNOWN);
    answer = write_heap(&image, heap);
    if (answer.status == XVM_OK)
        answer = xvm_os_image_finish(&image);
    else
        xvm_os_image_abandon(&image);
    return refuse(&about, "heap_save", answer, XVM_OS_CAUSE_UNKNOWN);
}

/* --- loading: what is true -------------------------------------------------------------------- */

/* What the blocks say while they are looked at. */
typedef struct found {
    uint32_t live[CLASSES];
    size_t runs, pages; /* large blocks */
} found;

/* What the header of the file says of the heap's memory. */
typedef struct claims {
    size_t states, units, pages, lanes; /* committed, of the tables */
    uint32_t committed;
} claims;

static claims claims_of(const xvm_heap *heap)
{
    return (claims){heap->state_table.committed, heap->unit_table.committed,
                    heap->page_table.committed, heap->lane_table.committed, heap->committed};
}

/* All numbers that the header has for the rest; the tables' places are known. */
static bool is_plausible(const xvm_heap *heap, const claims *c)
{
    size_t units = ((size_t)heap->touched + UNIT_PAGES - 1) / UNIT_PAGES;

    return heap->frontier <= heap->touched && heap->touched <= c->committed &&
           c->committed <= heap->end && c->states <= heap->state_table.size &&
           c->units <= heap->unit_table.size && c->pages <= heap->page_table.size &&
           c->lanes <= heap->lane_table.size && heap->state_lines != 0 &&
           (heap->state_lines == 1 || (size_t)heap->state_lines <= c->states >> LINE_SHIFT) &&
           units <= c->units / sizeof(unit_info) && heap->touched <= c->pages / sizeof(page_info) &&
           heap->lane_count <= LANES + 1 && heap->lane_count <= c->lanes / sizeof(lane);
}

/* The states of a slab's blocks; what was cached is free. False: no state is like that. */
static bool look_at_states(unsigned char *states, unsigned c, uint32_t *free_blocks)
{
    uint32_t blocks = blocks_of_class(c), lines = 1u << order_of_class(c);

    for (uint32_t i = 0; i < lines << LINE_SHIFT; i++) {
        unsigned mark = (i & ((1u << LINE_SHIFT) - 1)) == 0 ? CLAIMED : 0;
        unsigned state = states[i] ^ mark;

        if (state > CACHED)
            return false;
        if (state == CACHED || i >= blocks)
            states[i] = (unsigned char)(FREE | mark);
        *free_blocks += i < blocks && state != LIVE;
    }
    return true;
}

static void link_slab(xvm_heap *heap, unsigned c, uint32_t unit)
{
    size_class *class = &heap->classes[c];
    page_info *links = &heap->pages[(size_t)unit * UNIT_PAGES];

    links->prev = 0;
    links->next = class->slabs;
    if (class->slabs != 0)
        heap->pages[(size_t)(class->slabs - 1) * UNIT_PAGES].prev = unit + 1;
    class->slabs = unit + 1;
}

static bool look_at_slab(xvm_heap *heap, uint32_t page, found *f)
{
    uint32_t unit = page / UNIT_PAGES, free_blocks = 0;
    unit_info *u = &heap->units[unit];
    unsigned c = u->size_class - 1u;

    if ((heap->flags & XVM_HEAP_GUARDED) != 0 || page % UNIT_PAGES != 0 ||
        pages_of(&heap->pages[page]) != UNIT_PAGES || c >= CLASSES ||
        !xvm_os_heap_claim_lines(heap, order_of_class(c), u->states) ||
        !look_at_states(state_at(heap, u->states), c, &free_blocks))
        return false;
    u->reciprocal = UINT32_MAX / size_of_class(c) + 1;
    u->magazine = (uint16_t)(c * sizeof(magazine));
    u->free_blocks = (uint16_t)free_blocks;
    u->hint = 0;
    heap->classes[c].slab_count++;
    heap->classes[c].free_count += free_blocks;
    f->live[c] += blocks_of_class(c) - free_blocks;
    if (free_blocks != 0)
        link_slab(heap, c, unit);
    return true;
}

/* Where a block with guards lies in its run, which has a guard. */
static bool is_placed(const xvm_heap *heap, uint32_t page)
{
    const page_info *run = &heap->pages[page];
    size_t unit = xvm_commit_unit(heap->region), guard = unit > PAGE ? unit : PAGE;
    size_t size = (size_t)pages_of(run) << PAGE_SHIFT;

    return size > guard && ((page_offset(heap, page) | size) & (unit - 1)) == 0 &&
           run->prev <= size - guard && run->next <= size - guard - run->prev;
}

/* Runs that are nobody's any more are as live ones, until all are known. */
static bool is_nobodys(const xvm_heap *heap, const page_info *run)
{
    return (heap->flags & XVM_HEAP_GUARDED) != 0
               ? (run->size_kind & (KIND_MASK | RUN_ZERO)) == (RUN_LIVE | RUN_ZERO)
               : is_bare(run);
}

static bool look_at_live(xvm_heap *heap, uint32_t page, found *f)
{
    page_info *run = &heap->pages[page];

    if (is_nobodys(heap, run))
        return true;
    if ((heap->flags & XVM_HEAP_GUARDED) != 0) {
        if (!is_placed(heap, page))
            return false;
    } else {
        run->size_kind &= ~(uint32_t)RUN_MOVED;
    }
    f->runs++;
    f->pages += pages_of(run);
    return true;
}

static bool is_whole(const xvm_heap *heap, uint32_t page)
{
    uint32_t pages = pages_of(&heap->pages[page]);

    if (pages == 0 || pages > heap->frontier - page)
        return false;
    if (pages > 1 && heap->pages[page + pages - 1].start != page)
        return false;
    for (uint32_t i = 1; i < pages; i++)
        if (kind_of(&heap->pages[page + i]) != RUN_INSIDE)
            return false;
    return true;
}

static bool look_at_run(xvm_heap *heap, uint32_t page, bool was_free, found *f)
{
    uint32_t pages = pages_of(&heap->pages[page]);

    switch (kind_of(&heap->pages[page])) {
    case RUN_FREE:
        if (was_free || page + pages == heap->frontier)
            return false;
        xvm_os_heap_relink_run(heap, page);
        return true;
    case RUN_LIVE:
        heap->pages[page + pages - 1].start = page;
        return look_at_live(heap, page, f);
    case RUN_SLAB:
        return look_at_slab(heap, page, f);
    default:
        return false;
    }
}

/* All runs, and what follows from each. */
static bool look_at_runs(xvm_heap *heap, found *f)
{
    bool was_free = false;

    for (uint32_t page = 0; page < heap->frontier; page += pages_of(&heap->pages[page])) {
        if (!is_whole(heap, page) || !look_at_run(heap, page, was_free, f))
            return false;
        was_free = kind_of(&heap->pages[page]) == RUN_FREE;
    }
    return true;
}

/* --- loading: what follows from it ------------------------------------------------------------ */

/* Bytes of a part that nothing uses are zero, as far as it has memory. */
static xvm_status clear_rest(xvm_heap *heap, size_t from, size_t end)
{
    size_t unit = xvm_commit_unit(heap->region), whole = round_up(from, unit);
    unsigned resident = XVM_HEAP_LOCKED | XVM_HEAP_PREFAULT | XVM_HEAP_REALTIME;
    size_t to = round_up(end, unit),
           near = whole < to && (heap->flags & resident) == 0 ? whole : to;

    if (from < near)
        memset((unsigned char *)heap->region->base + from, 0, near - from);
    return near < to ? xvm_discard(heap->region, near, to - near, XVM_DISCARD_ZERO) : XVM_OK;
}

/* Units without a slab, for a free looks at them. */
static void clear_units(xvm_heap *heap)
{
    size_t units = heap->unit_table.committed / sizeof(unit_info);

    for (size_t unit = 0; unit < units; unit++)
        if (unit * UNIT_PAGES >= heap->frontier ||
            kind_of(&heap->pages[unit * UNIT_PAGES]) != RUN_SLAB)
            heap->units[unit] = (unit_info){0};
}

/* Nothing of the lists and counts of another process. */
static void forget_lists(xvm_heap *heap)
{
    memset(heap->classes, 0, sizeof heap->classes);
    memset(heap->bins, 0, sizeof heap->bins);
    memset(heap->bin_fine, 0, sizeof heap->bin_fine);
    heap->bin_groups = 0;
    heap->free_pages = heap->dirty_pages = 0;
    heap->lock = heap->shared_lock = 0;
    heap->watch = (watch){0};
    heap->oldest = heap->newest = heap->moved_runs = heap->bare = 0;
    heap->refused_by_cap = false;
}

/* Runs that are nobody's become free. What they are merged with may have begun before. */
static void free_nobodys(xvm_heap *heap)
{
    bool guarded = (heap->flags & XVM_HEAP_GUARDED) != 0;

    for (uint32_t page = 0, next; page < heap->frontier; page = next) {
        page_info *run = &heap->pages[page];

        next = page + (kind_of(run) == RUN_INSIDE ? 1 : pages_of(run));
        if (kind_of(run) != RUN_LIVE || !is_nobodys(heap, run))
            continue;
        run->size_kind &= ~(uint32_t)RUN_ZERO;
        if (guarded)
            xvm_os_heap_free_run(heap, page);
        else
            xvm_os_heap_free_zero_run(heap, page);
    }
}

static void count_found(xvm_heap *heap, const found *f)
{
    size_t used = (size_t)heap->frontier - heap->free_pages;

    heap->large_pages = f->pages;
    if (heap->large_allocs < f->runs)
        heap->large_allocs = f->runs;
    heap->large_frees = heap->large_allocs - f->runs;
    heap->peak_pages = used > heap->peak_pages ? used : heap->peak_pages;
    heap->most_touched = heap->most_touched > heap->touched ? heap->most_touched : heap->touched;
    set_touched(heap, heap->touched);
}

static bool rebuild(xvm_heap *heap)
{
    found f = {{0}, 0, 0};

    forget_lists(heap);
    if (!look_at_runs(heap, &f))
        return false;
    if (heap->state_lines != 1)
        xvm_os_heap_free_others(heap);
    clear_units(heap);
    xvm_os_heap_forget_lanes(heap, f.live);
    free_nobodys(heap);
    count_found(heap, &f);
    return true;
}

/* --- loading: memory -------------------------------------------------------------------------- */

static xvm_status hold(xvm_heap *heap, table *t, size_t committed)
{
    xvm_status status = committed == 0 ? XVM_OK : xvm_os_heap_hold(heap, t->offset, committed);

    if (status == XVM_OK)
        t->committed = committed;
    return status;
}

/* What is committed between two parts is not the heap's. */
static xvm_status drop_between(xvm_heap *heap, size_t from, size_t to)
{
    from = round_up(from, xvm_commit_unit(heap->region));
    return from < to ? xvm_decommit(heap->region, from, to - from) : XVM_OK;
}

/* Memory for exactly what the heap says that it has, but for blocks with guards. */
static xvm_status hold_all(xvm_heap *heap, const claims *c)
{
    table *tables[] = {&heap->state_table, &heap->unit_table, &heap->page_table, &heap->lane_table};
    size_t committed[] = {c->states, c->units, c->pages, c->lanes};
    xvm_status status = xvm_os_heap_hold(heap, 0, sizeof *heap);
    size_t end = sizeof *heap;

    for (size_t i = 0; i < 4 && status == XVM_OK; i++) {
        status = hold(heap, tables[i], committed[i]);
        if (status == XVM_OK)
            status = drop_between(heap, end, tables[i]->offset);
        end = tables[i]->offset + committed[i];
    }
    if (status == XVM_OK)
        status = drop_between(heap, end, page_offset(heap, 0));
    return status;
}

static xvm_status hold_blocks(xvm_heap *heap, const claims *c)
{
    size_t from = page_offset(heap, 0), size = (size_t)c->committed << PAGE_SHIFT;
    xvm_status status = size == 0 ? XVM_OK : xvm_os_heap_hold(heap, from, size);

    if (status == XVM_OK)
        status = drop_between(heap, from + size, heap->region->size);
    if (status == XVM_OK)
        status = clear_rest(heap, page_offset(heap, heap->touched), from + size);
    return status;
}

/* Each live block with its guard, and nothing else. */
static xvm_status hold_guarded(xvm_heap *heap)
{
    size_t end = page_offset(heap, 0);
    xvm_status status = XVM_OK;

    for (uint32_t page = 0; page < heap->frontier && status == XVM_OK;
         page += pages_of(&heap->pages[page])) {
        size_t at = page_offset(heap, page), size = readable_bytes(heap, page);

        if (size == 0)
            continue;
        status = drop_between(heap, end, at);
        if (status == XVM_OK)
            status = xvm_commit(heap->region, at, size);
        end = at + ((size_t)pages_of(&heap->pages[page]) << PAGE_SHIFT);
        if (status == XVM_OK)
            status = xvm_guard(heap->region, at + size, end - at - size);
    }
    return status == XVM_OK ? drop_between(heap, end, heap->region->size) : status;
}

/* Unused parts of the tables. */
static xvm_status clear_tables(xvm_heap *heap)
{
    const table *states = &heap->state_table, *lanes = &heap->lane_table;
    size_t used = (size_t)(heap->state_lines == 1 ? 0 : heap->state_lines) << LINE_SHIFT;
    xvm_status status = clear_rest(heap, states->offset + used, states->offset + states->committed);

    return status == XVM_OK ? clear_rest(heap, lanes->offset, lanes->offset + lanes->committed)
                            : status;
}

static int tell_live(void *block, size_t usable, void *context)
{
    (void)context;
    xvm_os_tell_live(block, usable);
    return 0;
}

static void tell_all(xvm_heap *heap)
{
    if (!heap->told)
        return;
    xvm_os_tell_dead(heap->area, (size_t)heap->touched << PAGE_SHIFT);
    (void)xvm_heap_walk(heap, tell_live, NULL);
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Is there a heap at the base, and may it be used as what it says it is? */
static bool is_heap(const xvm_heap *heap, const xvm_region *region)
{
    return heap->layout == HEAP_LAYOUT && xvm_os_heap_is_valid(heap->flags, region->size);
}

static void set_given(xvm_heap *heap, const xvm_heap_options *o)
{
    if (o->grow_step != 0)
        heap->grow_step = o->grow_step;
    if (o->trim_threshold != 0 && (heap->flags & XVM_HEAP_REALTIME) == 0)
        heap->trim_threshold = o->trim_threshold;
}

/* XVM_E_CORRUPT stands for all that is wrong with what was read. */
static xvm_status make_heap(xvm_heap *heap, heap_seat *seat, const xvm_heap_options *o)
{
    claims c = claims_of(heap);
    xvm_status status;

    if (!xvm_os_heap_set_up(heap, seat, &seat->own, heap->flags) || !is_plausible(heap, &c))
        return XVM_E_CORRUPT;
    status = hold_all(heap, &c);
    heap->committed = c.committed;
    if (status == XVM_OK && (heap->flags & XVM_HEAP_GUARDED) == 0)
        status = hold_blocks(heap, &c);
    if (status != XVM_OK)
        return status;
    if (!rebuild(heap))
        return XVM_E_CORRUPT;
    status = clear_tables(heap);
    if (status == XVM_OK && (heap->flags & XVM_HEAP_GUARDED) != 0)
        status = hold_guarded(heap);
    if (status != XVM_OK)
        return status;
    set_given(heap, o);
    status = xvm_heap_check(heap);
    if (status == XVM_OK)
        tell_all(heap);
    return status;
}

static xvm_os_answer read_runs(xvm_os_image *image, xvm_region *region)
{
    xvm_os_image_run run;
    xvm_os_answer answer;

    for (;;) {
        answer = xvm_os_image_next(image, &run);
        if (answer.status != XVM_OK || run.size == 0)
            return answer;
        if (run.state != XVM_COMMITTED)
            continue;
        answer.status = xvm_commit(region, run.offset, run.size);
        if (answer.status == XVM_OK && run.has_bytes)
            answer = xvm_os_image_read(image, (unsigned char *)region->base + run.offset, run.size);
        if (answer.status != XVM_OK)
            return answer;
    }
}

/* At the address that the image names, as it was there. */
static xvm_status reserve_for(const xvm_os_image *image, xvm_region *region,
                              const xvm_heap_options *o)
{
    const xvm_os_image_about *about = &image->about;
    bool huge = about->huge >= XVM_HUGE_TRANSPARENT;
    xvm_reserve_options wish = {.address = (const void *)about->base,
                                .huge = huge ? XVM_HUGE_TRANSPARENT : about->huge,
                                .budget = o->budget,
                                .name = o->name};
    xvm_status status;

    if (about->base % xvm_allocation_granularity() != 0)
        return refuse(o, "heap_load", (xvm_os_answer){XVM_E_CORRUPT, 0}, XVM_OS_CAUSE_IMAGE_PAGES);
    status = xvm_reserve(region, about->size, &wish);
    if (status == XVM_OK && (xvm_commit_unit(region) != about->unit || region->size != about->size))
        status =
            refuse(o, "heap_load", (xvm_os_answer){XVM_E_CORRUPT, 0}, XVM_OS_CAUSE_IMAGE_PAGES);
    return status;
}

/* A refusal of the region has been told; those of the file and of what it says have not. */
static xvm_status load_from(xvm_os_image *image, heap_seat *seat, const xvm_heap_options *o)
{
    xvm_status status = reserve_for(image, &seat->own, o);
    xvm_heap *heap = seat->own.base;
    xvm_os_answer answer;

    if (status != XVM_OK)
        return status;
    answer = read_runs(image, &seat->own);
    if (answer.status != XVM_OK)
        return answer.code != 0 || answer.status == XVM_E_CORRUPT
                   ? refuse(o, "heap_load", answer, image->cause)
                   : answer.status;
    answer.status = XVM_E_CORRUPT;
    if (seat->own.size < sizeof *heap)
        return refuse(o, "heap_load", answer, XVM_OS_CAUSE_IMAGE_EMPTY);
    status = xvm_commit(&seat->own, 0, sizeof *heap);
    if (status != XVM_OK)
        return status;
    if (!is_heap(heap, &seat->own))
        return refuse(o, "heap_load", answer,
                      heap->layout == 0 ? XVM_OS_CAUSE_IMAGE_EMPTY : XVM_OS_CAUSE_IMAGE_VERSION);
    status = make_heap(heap, seat, o);
    return status == XVM_E_CORRUPT ? refuse(o, "heap_load", answer, XVM_OS_CAUSE_IMAGE_DAMAGED)
                                   : status;
}

static xvm_status load(xvm_heap **heap, xvm_os_image *image, const xvm_heap_options *o)
{
    heap_seat *seat = xvm_os_heap_take_seat();
    xvm_status status;

    if (seat == NULL)
        return xvm_last_status();
    status = load_from(image, seat, o);
    if (status != XVM_OK) {
        (void)xvm_release(&seat->own);
        xvm_os_heap_give_seat(seat);
        return status;
    }
    *heap = seat->own.base;
    xvm_os_heap_enlist(*heap);
    return XVM_OK;
}

xvm_status xvm_heap_load(xvm_heap **heap, const char *path, const xvm_heap_options *options)
{
    static const xvm_heap_options none;
    const xvm_heap_options *o = options != NULL ? options : &none;
    xvm_os_answer answer = {XVM_E_INVALID, 0};
    xvm_os_image image;
    xvm_status status;

    if (heap != NULL)
        *heap = NULL;
    if (heap == NULL || path == NULL)
        return refuse(o, "heap_load", answer, XVM_OS_CAUSE_UNKNOWN);
    answer = xvm_os_image_open(&image, path);
    if (answer.status != XVM_OK)
        return refuse(o, "heap_load", answer, image.cause);
    status = load(heap, &image, o);
    xvm_os_image_close(&image);
    return status;
}

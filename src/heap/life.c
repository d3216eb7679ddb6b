/* life.c - how a heap begins and ends. The picture is in heap.h. */
#include <string.h>

#include "heap.h"
#include "image.h"
#include "tell.h"
#include "xvm/system.h"

enum {
    FLAGS = XVM_HEAP_SINGLE_THREAD | XVM_HEAP_LOCKED | XVM_HEAP_PREFAULT | XVM_HEAP_REALTIME |
            XVM_HEAP_ZERO_ON_FREE | XVM_HEAP_GUARDED | XVM_HEAP_HUGE | XVM_HEAP_IMAGE,
    LANE_PART = 16,       /* of a heap that lanes may take */
    REALTIME_AT_HAND = 32 /* blocks in a magazine: half of them are carved or returned at once */
};

static xvm_status refuse(const xvm_heap_options *o, xvm_status status)
{
    xvm_os_site site = {.call = "heap_create", .name = o->name, .size = o->max_size};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

/* --- layout ----------------------------------------------------------------------------------- */

/* The next part of the metadata, on whole units of commit. */
static table lay(size_t *at, size_t size, size_t unit)
{
    table t = {*at, round_up(size, unit), 0};

    *at += t.size;
    return t;
}

/* Lanes for all numbers that threads can have, or for some in a small heap. */
static size_t lane_space(size_t size)
{
    size_t all = (LANES + 1) * sizeof(lane), part = round_down(size / LANE_PART, GRAIN);

    return all < part ? all : part;
}

typedef struct layout {
    table header, units, pages, states, lanes;
    size_t area, area_size; /* from the base of the region */
} layout;

/* How a region of so many bytes is divided. States are a byte for each granule at the most, and those of
 * one more unit, the first line of which is nobody's: the metadata is larger than a unit, so that a
 * byte for each granule of the region has room for it. False: it is too small. */
static bool divide(const xvm_region *region, layout *out)
{
    size_t unit = xvm_commit_unit(region), at = 0, size = region->size, slack;
    uintptr_t base = (uintptr_t)region->base;

    out->header = lay(&at, sizeof(xvm_heap), unit);
    out->states = lay(&at, size >> GRAIN_SHIFT, unit);
    out->units = lay(&at, (size >> UNIT_SHIFT) * sizeof(unit_info), unit);
    out->pages = lay(&at, (size >> PAGE_SHIFT) * sizeof(page_info), unit);
    out->lanes = lay(&at, lane_space(size), unit);
    slack = round_up(base + at, unit > UNIT ? unit : UNIT) - base;
    out->area = slack;
    out->area_size = slack < size ? round_down(size - slack, UNIT) : 0;
    return out->area_size >= 4 * (size_t)UNIT;
}

static void set_stashes(xvm_heap *heap)
{
    entry *at = heap->stash_entries;

    for (unsigned c = 0; c < CLASSES; at += stash_size(c++))
        heap->stashes[c] = at;
}

static void set_places(xvm_heap *heap, const layout *l)
{
    unsigned char *base = heap->region->base;
    size_t unit = xvm_commit_unit(heap->region);

    heap->area = base + l->area;
    heap->area_size = l->area_size;
    heap->units = (unit_info *)(void *)(base + l->units.offset);
    heap->pages = (page_info *)(void *)(base + l->pages.offset);
    heap->unit_table = l->units;
    heap->page_table = l->pages;
    heap->state_table = l->states;
    heap->lane_table = l->lanes;
    heap->end = (uint32_t)(l->area_size >> PAGE_SHIFT);
    heap->commit_pages = (uint32_t)((unit > UNIT ? unit : UNIT) >> PAGE_SHIFT);
}

static uint64_t count_faults(void)
{
    xvm_limits now;

    if (xvm_get_limits(&now) != XVM_OK || now.minor_faults == UINT64_MAX)
        return UINT64_MAX;
    return now.minor_faults + (now.major_faults != UINT64_MAX ? now.major_faults : 0);
}

/* --- creating --------------------------------------------------------------------------------- */

static xvm_status hold_table(xvm_heap *heap, table *t, size_t size)
{
    xvm_status status = xvm_os_heap_hold(heap, t->offset, size);

    if (status == XVM_OK)
        t->committed = size;
    return status;
}

/* Memory for the first size bytes of blocks and all that describes them: once it is there, no operation
 * on them needs the system. */
static xvm_status provide(xvm_heap *heap, size_t size, bool all)
{
    size_t pages = size >> PAGE_SHIFT, lanes = all ? heap->lane_table.size : 0;
    xvm_status status = xvm_os_heap_hold(heap, page_offset(heap, 0), size);

    if (status == XVM_OK)
        status =
            hold_table(heap, &heap->unit_table, round_up(size, UNIT) / UNIT * sizeof(unit_info));
    if (status == XVM_OK)
        status = hold_table(heap, &heap->page_table, pages * sizeof(page_info));
    if (status == XVM_OK && all)
        status = hold_table(heap, &heap->state_table, (size + UNIT) >> GRAIN_SHIFT);
    if (status == XVM_OK && lanes != 0)
        status = hold_table(heap, &heap->lane_table, lanes);
    if (status == XVM_OK)
        heap->committed = (uint32_t)pages;
    return status;
}

static xvm_status furnish(xvm_heap *heap, const xvm_heap_options *o)
{
    size_t most = (size_t)heap->end << PAGE_SHIFT;
    size_t initial = round_up(o->initial_size, (size_t)heap->commit_pages << PAGE_SHIFT);

    if ((heap->flags & XVM_HEAP_REALTIME) != 0)
        return provide(heap, most, true);
    return initial == 0 ? XVM_OK : provide(heap, initial < most ? initial : most, false);
}

/* Those that can differ from one life of a heap to the next. */
static void set_options(xvm_heap *heap, const xvm_heap_options *o)
{
    heap->grow_step = o->grow_step;
    heap->trim_threshold = (o->flags & XVM_HEAP_REALTIME) != 0 ? SIZE_MAX : o->trim_threshold;
}

/* Which way its blocks are taken and freed. */
static void set_kind(xvm_heap *heap, unsigned flags)
{
    bool guarded = (flags & XVM_HEAP_GUARDED) != 0;

    heap->flags = flags;
    heap->told = xvm_os_tell_listens() && !guarded;
    heap->largest_small = heap->told || guarded ? 0 : LARGEST_SMALL;
    heap->lane_mask = flags & XVM_HEAP_SINGLE_THREAD ? 0 : ~0u;
    heap->most_at_hand = (flags & XVM_HEAP_REALTIME) != 0 ? REALTIME_AT_HAND : UINT32_MAX;
}

bool xvm_os_heap_set_up(xvm_heap *heap, heap_seat *seat, xvm_region *region, unsigned flags)
{
    layout l;

    if (!divide(region, &l))
        return false;
    heap->layout = HEAP_LAYOUT;
    heap->region = region;
    heap->seat = seat;
    heap->name = region->own.name;
    heap->faults_at_start = flags & XVM_HEAP_REALTIME ? count_faults() : UINT64_MAX;
    set_kind(heap, flags);
    set_places(heap, &l);
    set_stashes(heap);
    return true;
}

/* In a region in which nothing is committed yet. On failure nothing is committed again. */
static xvm_status begin(xvm_heap **out, heap_seat *seat, xvm_region *region,
                        const xvm_heap_options *o)
{
    xvm_heap *heap = region->base;
    xvm_status status;
    layout l;

    if (!divide(region, &l))
        return refuse(o, XVM_E_INVALID);
    status = xvm_commit(region, 0, sizeof *heap);
    if (status != XVM_OK)
        return status;
    (void)xvm_os_heap_set_up(heap, seat, region, o->flags);
    heap->state_lines = 1; /* the first one is nobody's */
    set_options(heap, o);
    status = xvm_os_heap_hold(heap, 0, sizeof *heap);
    if (status == XVM_OK)
        status = furnish(heap, o);
    if (status != XVM_OK) {
        (void)xvm_decommit(region, 0, region->size);
        return status;
    }
    if ((o->flags & XVM_HEAP_REALTIME) != 0)
        heap->faults_at_start = count_faults();
    xvm_os_heap_enlist(heap);
    *out = heap;
    return XVM_OK;
}

static size_t default_size(void)
{
    return sizeof(void *) > 4 ? (size_t)64 << 20 << 10 : (size_t)256 << 20;
}

bool xvm_os_heap_is_valid(unsigned flags, size_t size)
{
    bool guarded = (flags & XVM_HEAP_GUARDED) != 0; /* needs the system all the time */

    return (flags & ~(unsigned)FLAGS) == 0 &&
           !(guarded && (flags & (XVM_HEAP_REALTIME | XVM_HEAP_LOCKED | XVM_HEAP_HUGE)) != 0) &&
           (size - 1) >> GRAIN_SHIFT <= UINT32_MAX;
}

/* As most heaps are: what is left of one that was destroyed can serve for the next. */
static bool is_plain(const xvm_heap_options *o)
{
    return o->max_size == 0 && o->initial_size == 0 && o->budget == NULL && o->name == NULL &&
           (o->flags & ~(unsigned)XVM_HEAP_SINGLE_THREAD) == 0;
}

static xvm_heap *reuse(const xvm_heap_options *o)
{
    xvm_heap *heap = xvm_os_heap_reuse(o->flags);

    if (heap != NULL)
        set_options(heap, o);
    return heap;
}

/* At the first place where nothing is, of those where programs have nothing. */
static xvm_status reserve_quietly(xvm_region *region, size_t size, xvm_reserve_options wish)
{
    const uintptr_t *places;
    size_t count = xvm_os_image_places(&places);
    xvm_os_site site = {.call = "heap_create", .name = wish.name, .size = size};
    xvm_status status;

    for (size_t i = 0; i < count; i++) {
        wish.address = (const void *)places[i];
        status = xvm_reserve(region, size, &wish);
        if (status != XVM_E_ADDRESS_TAKEN && status != XVM_E_ADDRESS_SPACE)
            return status;
    }
    return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_ADDRESS_TAKEN, 0});
}

static xvm_status reserve(xvm_region *region, size_t size, const xvm_reserve_options *wish,
                          unsigned flags)
{
    int error = xvm_os_get_error();
    xvm_status status;

    if ((flags & XVM_HEAP_IMAGE) == 0)
        return xvm_reserve(region, size, wish);
    status = reserve_quietly(region, size, *wish);
    if (status == XVM_OK)
        xvm_os_set_error(error);
    return status;
}

xvm_status xvm_heap_create(xvm_heap **heap, const xvm_heap_options *options)
{
    static const xvm_heap_options none;
    const xvm_heap_options *o = options != NULL ? options : &none;
    size_t size = o->max_size != 0 ? o->max_size : default_size();
    xvm_reserve_options wish = {.huge = o->flags & XVM_HEAP_HUGE ? XVM_HUGE_TRANSPARENT
                                                                 : XVM_HUGE_DEFAULT,
                                .budget = o->budget,
                                .name = o->name};
    heap_seat *seat;
    xvm_status status;

    if (heap == NULL)
        return refuse(o, XVM_E_INVALID);
    *heap = is_plain(o) ? reuse(o) : NULL;
    if (*heap != NULL)
        return XVM_OK;
    if (!xvm_os_heap_is_valid(o->flags, size))
        return refuse(o, XVM_E_INVALID);
    if (o->max_size == 0)
        wish.min_size = size / 64;
    seat = xvm_os_heap_take_seat();
    if (seat == NULL)
        return xvm_last_status();
    status = reserve(&seat->own, size, &wish, o->flags);
    if (status == XVM_OK)
        status = begin(heap, seat, &seat->own, o);
    if (status != XVM_OK) {
        (void)xvm_release(&seat->own);
        xvm_os_heap_give_seat(seat);
        return status;
    }
    seat->plain = is_plain(o) && seat->own.size == size && !(*heap)->told;
    return XVM_OK;
}

xvm_status xvm_heap_create_in(xvm_heap **heap, xvm_region *region, const xvm_heap_options *options)
{
    static const xvm_heap_options none;
    const xvm_heap_options *o = options != NULL ? options : &none;
    heap_seat *seat;
    xvm_status status;
    xvm_usage use;

    if (heap == NULL)
        return refuse(o, XVM_E_INVALID);
    *heap = NULL;
    xvm_region_usage(region, &use);
    if (use.reserved == 0 || use.committed != 0 || !xvm_os_heap_is_valid(o->flags, use.reserved))
        return refuse(o, XVM_E_INVALID);
    seat = xvm_os_heap_take_seat();
    if (seat == NULL)
        return xvm_last_status();
    status = begin(heap, seat, region, o);
    if (status != XVM_OK)
        xvm_os_heap_give_seat(seat);
    return status;
}

xvm_region *xvm_heap_region(xvm_heap *heap)
{
    return heap != NULL ? heap->region : NULL;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* What comes to these addresses next is not ours. */
static void forget_told(const xvm_heap *heap)
{
    if (heap->told)
        xvm_os_tell_live(heap->area, (size_t)heap->touched << PAGE_SHIFT);
}

static void give_back(xvm_heap *heap)
{
    heap_seat *seat = heap->seat;

    if (heap->region == &seat->own)
        (void)xvm_release(&seat->own);
    else
        (void)xvm_decommit(heap->region, 0, heap->region->size);
    xvm_os_heap_give_seat(seat);
}

void xvm_heap_destroy(xvm_heap *heap)
{
    int error = xvm_os_get_error();

    if (heap == NULL || xvm_os_heap_retire(heap))
        return;
    forget_told(heap);
    give_back(heap);
    xvm_os_set_error(error);
}

/* --- emptying --------------------------------------------------------------------------------- */

static void empty_lane(lane *l)
{
    for (unsigned c = 0; c < CLASSES && l->heads[c].bottom != NULL; c++) {
        l->heads[c].top = l->heads[c].bottom;
    }
    memset(l->taken, 0, sizeof l->taken);
    memset(l->returned, 0, sizeof l->returned);
}

/* The lanes are emptied, not given up: their threads know them. */
static void forget_small(xvm_heap *heap)
{
    unsigned char *base = heap->region->base;
    lane *lanes = (lane *)(void *)(base + heap->lane_table.offset);

    for (uint32_t i = 0; i < heap->lane_count; i++)
        empty_lane(&lanes[i]);
    empty_lane(&heap->shared_lane);
    memset(heap->classes, 0, sizeof heap->classes);
    memset(base + heap->state_table.offset, 0, (size_t)heap->state_lines << LINE_SHIFT);
    memset(heap->chunks, 0, sizeof heap->chunks);
    heap->state_lines = 1;
}

static void forget_runs(xvm_heap *heap)
{
    size_t pages = heap->frontier;

    memset(heap->units, 0, round_up(pages, UNIT_PAGES) / UNIT_PAGES * sizeof(unit_info));
    memset(heap->pages, 0, pages * sizeof(page_info));
    memset(heap->bins, 0, sizeof heap->bins);
    memset(heap->bin_fine, 0, sizeof heap->bin_fine);
    heap->bin_groups = 0;
    heap->free_pages = heap->dirty_pages = heap->large_pages = heap->peak_pages = 0;
    heap->oldest = heap->newest = 0;
    STORE(&heap->frontier, 0u);
}

static void empty(xvm_heap *heap)
{
    if (heap->state_lines != 1)
        forget_small(heap);
    if (heap->frontier != 0)
        forget_runs(heap);
    xvm_os_heap_forget_moved(heap);
    heap->large_frees = heap->large_allocs;
}

static void forget_allocs(lane *l)
{
    for (unsigned c = 0; c < CLASSES; c++)
        l->heads[c].allocs = 0;
}

void xvm_os_heap_renew(xvm_heap *heap)
{
    lane *lanes = (lane *)(void *)((unsigned char *)heap->region->base + heap->lane_table.offset);
    bool used = heap->state_lines != 1;

    empty(heap);
    for (uint32_t i = 0; used && i < heap->lane_count; i++)
        forget_allocs(&lanes[i]);
    if (used)
        forget_allocs(&heap->shared_lane);
    heap->large_allocs = heap->large_frees = heap->failures = 0;
    heap->committed_peak = 0;
}

/* The blocks' bytes, once nobody has them. */
static void forget_contents(xvm_heap *heap, size_t pages)
{
    unsigned flags = heap->flags;

    if ((flags & XVM_HEAP_GUARDED) != 0)
        (void)xvm_guard(heap->region, page_offset(heap, 0), pages << PAGE_SHIFT);
    else if ((flags & XVM_HEAP_ZERO_ON_FREE) != 0)
        memset(heap->area, 0, (size_t)heap->touched << PAGE_SHIFT);
    if (heap->told)
        xvm_os_tell_dead(heap->area, (size_t)heap->touched << PAGE_SHIFT);
}

void xvm_heap_clear(xvm_heap *heap)
{
    size_t pages = heap->frontier;
    int error = xvm_os_get_error();

    forget_told(heap);
    empty(heap);
    if (heap->trim_threshold != SIZE_MAX)
        (void)xvm_os_heap_purge(heap, heap->trim_threshold >> PAGE_SHIFT);
    forget_contents(heap, pages);
    xvm_os_set_error(error);
}

/* --- giving back ------------------------------------------------------------------------------ */

size_t xvm_heap_trim(xvm_heap *heap, size_t keep)
{
    size_t pages;
    int error;

    if (heap == NULL)
        return xvm_os_heap_drop_spares();
    if ((heap->flags & (XVM_HEAP_REALTIME | XVM_HEAP_GUARDED)) != 0)
        return 0; /* nothing, or all of it as soon as it was free */
    error = xvm_os_get_error();
    (void)xvm_os_heap_gather(heap);
    heap_lock(heap, &heap->lock);
    pages = xvm_os_heap_purge(heap, keep >> PAGE_SHIFT);
    heap_unlock(heap, &heap->lock);
    xvm_os_set_error(error);
    return pages << PAGE_SHIFT;
}

/* region.c - reserve and release: where a region lies, and what it is made with.
 *
 *     reservation  | unused | pages of the region | gap | book: states of the pages | gap |
 *                  os_base  base                        level[2]      os_base + os_size -->
 *
 * The gaps are never committed: a page keeps an overrun out of the book, another keeps the mappings
 * of two regions apart. At an exact address there is room for nothing more, and explicit huge pages
 * are too dear for it: there the book gets its own reservation.
 *
 *   1  os_base <= base, base + size <= os_base + os_size, all of them whole pages.
 *   2  size is a multiple of the commit unit, and base with huge pages as well.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "lock.h"
#include "range.h"
#include "register.h"
#include "watch.h"

enum { CHUNKS = 32, SMALLEST_CHUNK = 2 << 20 }; /* of a sparse region: how many, and bytes */
enum { FLAGS = XVM_RESERVE_EXECUTABLE | XVM_RESERVE_WATCHED | XVM_RESERVE_NO_RETRY };

/* --- options ---------------------------------------------------------------------------------- */

/* One way to reserve: what the options ask for, or less of it. */
typedef struct plan {
    const xvm_reserve_options *o;
    size_t size, page, alignment, unit; /* bytes; unit: of commit */
    xvm_huge huge;                      /* with huge pages of this kind */
} plan;

static bool is_valid(const xvm_reserve_options *o, size_t size, size_t alignment)
{
    return size != 0 && is_power_of_two(alignment) && o->min_size <= size &&
           is_multiple(o->address, alignment) && (unsigned)o->commit_mode <= XVM_COMMIT_SPARSE &&
           (unsigned)o->huge <= XVM_HUGE_MUST_EXPLICIT && (unsigned)o->fork <= XVM_FORK_ZERO &&
           (unsigned)o->dump <= XVM_DUMP_NEVER && o->numa_node >= 0 &&
           (o->flags & ~(unsigned)FLAGS) == 0 &&
           (o->commit_mode != XVM_COMMIT_SPARSE || o->huge <= XVM_HUGE_NEVER);
}

/* The size of huge pages of a kind; 0: there are none. */
static size_t huge_size(xvm_huge huge)
{
    if (huge == XVM_HUGE_MUST_EXPLICIT)
        return xvm_system()->huge_page_size;
    return huge == XVM_HUGE_TRANSPARENT ? xvm_system()->thp_size : 0;
}

static plan make_plan(const xvm_reserve_options *o, size_t size, size_t alignment, xvm_huge huge)
{
    size_t page = xvm_page_size(), whole = huge_size(huge);
    size_t unit = whole > page ? whole : page;

    return (plan){.o = o,
                  .size = size,
                  .page = page,
                  .alignment = alignment > unit ? alignment : unit,
                  .unit = unit,
                  .huge = huge};
}

/* --- reserve ---------------------------------------------------------------------------------- */

/* What follows from the size of a region, in bytes but for pages. */
typedef struct layout {
    size_t pages, book, whole;
} layout;

/* Has the book a reservation of its own? */
static bool is_apart(const plan *p)
{
    return p->o->address != NULL || p->huge == XVM_HUGE_MUST_EXPLICIT;
}

/* Pages, a gap, the book, a gap; or the pages alone. False when that wraps. */
static bool measure(const plan *p, layout *out)
{
    size_t rounded = round_up(p->size, p->unit), unit = xvm_os_get_facts().large_unit;

    if (rounded < p->size)
        return false;
    out->pages = rounded / p->page;
    out->book = xvm_os_pagemap_size(out->pages, p->page);
    out->whole = rounded;
    if (out->book == 0 || !add_sizes(out->book, p->page, &out->book))
        return false;
    if (is_apart(p))
        return true;
    if (!add_sizes(rounded, p->page, &out->whole) || !add_sizes(out->whole, out->book, &out->whole))
        return false;
    if (unit != 0 && rounded >= unit)
        out->whole = round_up(out->whole, unit);
    return out->whole > rounded;
}

/* The book's own reservation: the next region may want to be behind the pages. */
static xvm_os_answer reserve_book(xvm_region *region, size_t size)
{
    xvm_os_request request = {.size = size, .alignment = xvm_allocation_granularity(), .aside = 1};
    xvm_os_place place;
    xvm_os_answer answer = xvm_os_reserve(&request, &place);

    if (answer.status == XVM_OK) {
        region->own.book = place.base;
        region->own.book_base = place.os_base;
        region->own.book_size = place.os_size;
    }
    return answer;
}

static bool is_sparse(const plan *p)
{
    return p->o->commit_mode == XVM_COMMIT_SPARSE && xvm_os_get_facts().counts_mappings;
}

static bool is_watched_by_system(const plan *p)
{
    return (p->o->flags & XVM_RESERVE_WATCHED) != 0 && p->huge != XVM_HUGE_MUST_EXPLICIT &&
           xvm_os_can_track(XVM_WATCH_SYSTEM);
}

/* Pages of one of CHUNKS chunks, as a shift. */
static unsigned chunk_shift_of(size_t pages, size_t page)
{
    unsigned shift = page < SMALLEST_CHUNK ? exponent(SMALLEST_CHUNK / page) : 0;

    while (((pages - 1) >> shift) >= CHUNKS)
        shift++;
    return shift;
}

/* The handle describes what was reserved. */
static void describe(xvm_region *region, const plan *p, const layout *sizes,
                     const xvm_os_place *place)
{
    region->base = place->base;
    region->size = sizes->pages * p->page;
    region->own.os_base = place->os_base;
    region->own.os_size = place->os_size;
    region->own.page_shift = (unsigned char)exponent(p->page);
    region->own.unit_shift = (unsigned char)exponent(p->unit);
    region->own.chunk_shift = (unsigned char)chunk_shift_of(sizes->pages, p->page);
    region->own.sparse = is_sparse(p);
    region->own.huge = (unsigned char)p->huge;
    region->own.flags = p->o->flags;
    if (!is_watched_by_system(p))
        region->own.flags &= ~(unsigned)XVM_RESERVE_WATCHED;
}

/* One try at one size. On failure the region is what has to be given back. */
static xvm_os_answer reserve_size(xvm_region *region, const plan *p)
{
    xvm_os_request request = {.alignment = p->alignment,
                              .address = p->o->address,
                              .below = p->o->below,
                              .sparse = is_sparse(p),
                              .watched = is_watched_by_system(p),
                              .pinned = p->huge == XVM_HUGE_MUST_EXPLICIT,
                              .node = (unsigned)p->o->numa_node};
    xvm_os_place place;
    xvm_os_answer answer;
    layout sizes;
    void *book;

    if (!measure(p, &sizes))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    request.size = sizes.whole;
    answer = xvm_os_reserve(&request, &place);
    if (answer.status != XVM_OK)
        return answer;
    describe(region, p, &sizes, &place);
    book = (unsigned char *)place.base + region->size + p->page;
    if (is_apart(p)) {
        answer = reserve_book(region, sizes.book);
        book = region->own.book;
    }
    if (answer.status == XVM_OK)
        xvm_os_pagemap_start(region, book, sizes.pages, p->page);
    return answer;
}

/* Down from size to min_size, where a smaller one may fit. */
static xvm_os_answer reserve_ladder(xvm_region *region, plan p)
{
    size_t smallest = p.o->min_size;

    for (;;) {
        xvm_os_answer answer = reserve_size(region, &p);
        bool smaller = answer.status == XVM_E_ADDRESS_SPACE || answer.status == XVM_E_LOCK_LIMIT;

        if (!smaller || smallest == 0 || p.size == smallest)
            return answer;
        p.size = p.size / 2 > smallest ? p.size / 2 : smallest;
    }
}

/* --- what a region is made with --------------------------------------------------------------- */

/* A policy that cannot be set now is set by each commit; one that the system does not have is
 * refused. */
static xvm_os_answer set_policies(xvm_region *region, const xvm_reserve_options *o)
{
    xvm_os_answer answer = DONE;

    region->own.fork = (unsigned char)o->fork;
    region->own.dump = (unsigned char)o->dump;
    region->own.node = (unsigned)o->numa_node;
    region->own.name = o->name;
    if (has_policies(region))
        answer = xvm_os_attach_policies(region, 0, region->own.pages);
    if (answer.status == XVM_E_UNSUPPORTED)
        return answer;
    region->own.renew = answer.status != XVM_OK;
    return DONE;
}

/* Would a policy refuse code later? A page is written to and made executable, in the eyes of the
 * system. */
static xvm_os_answer try_executable(const xvm_region *region)
{
    size_t page = page_size_of(region);
    unsigned char renew = 0;
    xvm_os_answer answer, closed;

    if (region->own.huge == XVM_HUGE_MUST_EXPLICIT)
        return DONE;
    answer = xvm_os_commit(XVM_OS_RESERVE, region->base, page);
    if (answer.status == XVM_OK)
        answer = xvm_os_protect(XVM_OS_RESERVE, region->base, page, XVM_READ_EXECUTE);
    closed = xvm_os_decommit(region->base, page, &renew);
    return answer.status != XVM_OK ? answer : closed;
}

/* Explicit huge pages are there already: all of them are noted as committed, and charged. */
static xvm_os_answer note_pinned(xvm_region *region, xvm_budget *budget)
{
    range all = {0, region->own.pages};
    xvm_os_answer answer = xvm_os_open_book(region, all);

    if (answer.status != XVM_OK)
        return answer;
    answer.status = xvm_os_budget_charge(budget, region->size);
    if (answer.status == XVM_OK)
        xvm_os_note(region, all, ANY, 0, XVM_READ_WRITE);
    return answer;
}

static xvm_os_answer finish(xvm_region *region, const xvm_reserve_options *o)
{
    xvm_os_answer answer = DONE;

    if (o->flags & XVM_RESERVE_EXECUTABLE)
        answer = try_executable(region);
    if (answer.status == XVM_OK)
        answer = set_policies(region, o);
    if (answer.status == XVM_OK && region->own.huge == XVM_HUGE_MUST_EXPLICIT)
        answer = note_pinned(region, o->budget);
    return answer;
}

/* --- release ---------------------------------------------------------------------------------- */

/* All that the handle holds, in an order in which each step can be the last. */
static xvm_os_answer give_back(xvm_region *region)
{
    size_t charge = region->own.committed << region->own.page_shift;
    xvm_os_answer answer;

    if (region->own.os_base != NULL) {
        xvm_os_watch_pause(region);
        answer = xvm_os_release(region->own.os_base, region->own.os_size);
        if (answer.status != XVM_OK) {
            xvm_os_watch_return(region);
            return answer;
        }
        region->own.os_base = region->base = NULL;
        region->size = region->own.committed = 0;
        if (region->own.budget != NULL)
            xvm_os_budget_return(region->own.budget, charge);
    }
    answer = xvm_os_watch_release(region);
    if (answer.status != XVM_OK)
        return answer;
    if (region->own.book_base != NULL) {
        answer = xvm_os_release(region->own.book_base, region->own.book_size);
        if (answer.status != XVM_OK)
            return answer;
    }
    *region = (xvm_region){0};
    return DONE;
}

static xvm_os_answer reserve_as(xvm_region *region, const plan *p)
{
    xvm_os_answer answer = DONE;

    if (!is_multiple(p->o->address, p->alignment))
        answer.status = XVM_E_INVALID;
    else if (p->huge == XVM_HUGE_MUST_EXPLICIT && huge_size(p->huge) == 0)
        answer.status = XVM_E_UNSUPPORTED;
    if (answer.status == XVM_OK)
        answer = reserve_ladder(region, *p);
    if (answer.status == XVM_OK)
        answer = finish(region, p->o);
    if (answer.status == XVM_OK) {
        region->own.budget = p->o->budget;
        xvm_os_register(region);
        return DONE;
    }
    region->base = NULL;
    region->size = 0;
    (void)give_back(region);
    return answer;
}

/* Explicit huge pages first, and others where those cannot be had. */
static xvm_os_answer reserve(xvm_region *region, size_t size, size_t alignment,
                             const xvm_reserve_options *o)
{
    bool tries = o->huge == XVM_HUGE_TRY_EXPLICIT;
    plan first = make_plan(o, size, alignment, tries ? XVM_HUGE_MUST_EXPLICIT : o->huge);
    plan second = make_plan(o, size, alignment, XVM_HUGE_TRANSPARENT);
    xvm_os_answer answer = reserve_as(region, &first);

    if (answer.status == XVM_OK || !tries || region->own.os_base != NULL)
        return answer;
    return reserve_as(region, &second);
}

/* What is not permitted: explicit huge pages, or else the code of XVM_RESERVE_EXECUTABLE. */
static xvm_os_operation refused_step(xvm_status status, const xvm_reserve_options *o)
{
    return status == XVM_E_PERMISSION && o->huge != XVM_HUGE_MUST_EXPLICIT ? XVM_OS_PROTECT
                                                                           : XVM_OS_RESERVE;
}

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_reserve(xvm_region *region, size_t size, const xvm_reserve_options *options)
{
    static const xvm_reserve_options none;
    const xvm_reserve_options *o = options != NULL ? options : &none;
    size_t granularity = xvm_allocation_granularity();
    size_t alignment = o->alignment > granularity ? o->alignment : granularity;
    xvm_os_site site = {.call = "reserve",
                        .operation = XVM_OS_RESERVE,
                        .name = o->name,
                        .size = size,
                        .address = o->address};
    xvm_os_answer answer = {XVM_E_INVALID, 0};

    if (region == NULL)
        return xvm_os_fail_at(&site, answer);
    *region = (xvm_region){0};
    if (is_valid(o, size, alignment))
        answer = reserve(region, size, alignment, o);
    site.operation = refused_step(answer.status, o);
    return xvm_os_fail_at(&site, answer);
}

xvm_status xvm_release(xvm_region *region)
{
    xvm_os_answer answer;

    if (region == NULL)
        return refuse(NULL, "release", XVM_OS_RELEASE, 0, XVM_E_INVALID);
    if (region->own.entry != NULL)
        xvm_os_unregister(region);
    answer = give_back(region);
    if (answer.status != XVM_OK && region->base != NULL)
        xvm_os_register(region);
    return answer_for(region, "release", XVM_OS_RELEASE, region->size, answer);
}

size_t xvm_commit_unit(const xvm_region *region)
{
    return region == NULL || region->base == NULL ? 0 : (size_t)1 << region->own.unit_shift;
}

xvm_huge xvm_region_huge(const xvm_region *region)
{
    return region == NULL ? XVM_HUGE_DEFAULT : (xvm_huge)region->own.huge;
}

void xvm_region_usage(const xvm_region *region, xvm_usage *out)
{
    xvm_os_run run;
    size_t at = 0;

    if (out == NULL)
        return;
    *out = (xvm_usage){0};
    if (region == NULL || region->base == NULL)
        return;
    out->reserved = region->size;
    out->committed = LOAD(&region->own.committed) << region->own.page_shift;
    out->locked = LOAD(&region->own.locked) << region->own.page_shift;
    out->guarded = LOAD(&region->own.guarded) << region->own.page_shift;
    while (next_run(region, &at, region->own.pages, COMMITTED, &run)) {
        void *start = address_of(region, run.from);
        size_t size = size_of(region, run.from, run.to);

        out->resident += xvm_os_resident(start, size);
        out->huge += region->own.huge > XVM_HUGE_NEVER ? xvm_os_huge(start, size) : 0;
    }
}

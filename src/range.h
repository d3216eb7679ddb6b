/* range.h - what all calls on regions share: ranges of pages, runs of equal ones, and the noting of what
 * became of them.
 *
 *     check the range --> look up what its pages are --> ask the system --> note the result
 *
 *   1  committed, locked and guarded are the numbers of pages with such a state; locked <= committed.
 *   2  States change after the last step that can fail, under the lock, never around a system call.
 *      What a failed call has to undo is what the unchanged states say.
 *   3  What a budget is charged for is what is committed: noting returns the charge of pages that are
 *      not committed any more, and tells how many became so.
 */
#ifndef XVM_SRC_RANGE_H
#define XVM_SRC_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "os.h"
#include "pagemap.h"
#include "pages.h"
#include "xvm/region.h"

/* Pages [from, to) of a region. */
typedef struct range {
    size_t from, to;
} range;

typedef enum rounding { OUTWARD, INWARD, WHOLE } rounding;

/* Which pages a step is about: those with (state & mask) == value, or all but those. */
typedef struct want {
    unsigned mask, value;
    bool other;
} want;

static const want ANY = {0, 0, false};
static const want UNCOMMITTED = {XVM_OS_STATE_PROTECTION, 0, false}; /* reserved, or a guard */
static const want COMMITTED = {XVM_OS_STATE_PROTECTION, 0, true};
static const want UNTOUCHED = {255, XVM_OS_STATE_RESERVED, false};
static const want USED = {255, XVM_OS_STATE_RESERVED, true}; /* committed, or a guard */
static const want INACCESSIBLE = {XVM_OS_STATE_PROTECTION, XVM_NO_ACCESS, false};
static const want LOCKED = {XVM_OS_STATE_LOCKED, XVM_OS_STATE_LOCKED, false};
static const want UNLOCKED = {XVM_OS_STATE_LOCKED, XVM_OS_STATE_LOCKED, true};
static const want GUARDED = {XVM_OS_STATE_GUARD, XVM_OS_STATE_GUARD, false};
static const want MARKED = {XVM_OS_STATE_MARKED, XVM_OS_STATE_MARKED, false};
static const want SHUT = {XVM_OS_STATE_SHUT, XVM_OS_STATE_SHUT, false};
static const want SPECIAL = {255, XVM_READ_WRITE, true}; /* all but plain memory, unlocked */
static const want UNGUARDED = {XVM_OS_STATE_GUARD, XVM_OS_STATE_GUARD, true};

static const xvm_os_answer DONE = {XVM_OK, 0};

/* --- arithmetic ------------------------------------------------------------------------------- */

static inline size_t page_size_of(const xvm_region *region)
{
    return (size_t)1 << region->own.page_shift;
}

static inline void *address_of(const xvm_region *region, size_t page)
{
    return (unsigned char *)region->base + (page << region->own.page_shift);
}

static inline size_t size_of(const xvm_region *region, size_t from, size_t to)
{
    return (to - from) << region->own.page_shift;
}

static inline bool is_empty(range r)
{
    return r.from == r.to;
}

/* The bytes of a range in units of so many, a power of two. False when they are not in the region; an
 * empty range has from == to. */
static inline bool find_units(const xvm_region *region, size_t offset, size_t size, rounding how,
                              unsigned unit_shift, range *out)
{
    size_t unit = (size_t)1 << unit_shift, end;

    *out = (range){0, 0};
    if (region == NULL || region->base == NULL)
        return false;
    if (size == 0)
        return true;
    if (offset > region->size || size > region->size - offset)
        return false;
    end = offset + size;
    if (how == WHOLE && ((offset | end) & (unit - 1)) != 0)
        return false;
    out->from = round_down(how == INWARD ? round_up(offset, unit) : offset, unit);
    out->to = round_down(how == INWARD ? end : round_up(end, unit), unit);
    out->from >>= region->own.page_shift;
    out->to >>= region->own.page_shift;
    if (out->from > out->to)
        out->to = out->from; /* less than a unit, rounded inward */
    return true;
}

/* In pages. */
static inline bool find_range(const xvm_region *region, size_t offset, size_t size, rounding how,
                              range *out)
{
    return find_units(region, offset, size, how, region != NULL ? region->own.page_shift : 0, out);
}

/* --- looking ---------------------------------------------------------------------------------- */

static inline bool is_wanted(want w, unsigned state)
{
    return ((state & w.mask) == w.value) != w.other;
}

static inline bool is_writable(unsigned state)
{
    unsigned protection = state & XVM_OS_STATE_PROTECTION;

    return protection == XVM_READ_WRITE || protection == XVM_READ_WRITE_EXECUTE;
}

/* The next run of wanted pages at or after *at, which moves behind it. */
static inline bool next_run(const xvm_region *region, size_t *at, size_t limit, want w,
                            xvm_os_run *run)
{
    while (*at < limit) {
        *run = xvm_os_pagemap_run(region, *at, limit);
        *at = run->to;
        if (is_wanted(w, run->state))
            return true;
    }
    return false;
}

/* What a look at a range finds: is there such a page, and the smallest range with all wanted ones. */
typedef struct survey {
    bool uncommitted, closed, read_only; /* read_only: one that cannot be written */
    bool locked;
    range wanted; /* empty: there are none */
} survey;

survey xvm_os_survey(const xvm_region *region, range r, want w);

/* --- noting ----------------------------------------------------------------------------------- */

/* Notes state = (state & keep) | set for the wanted pages of the range. The number of pages that were
 * not committed before, and are now; for those that are not any more the charge is returned. */
size_t xvm_os_note(xvm_region *region, range r, want w, unsigned keep, unsigned set);

/* Memory for the states of the range. */
xvm_os_answer xvm_os_open_book(xvm_region *region, range r);

/* Committed pages read as zero, and their memory goes back where it may. On failure some have their
 * bytes. */
xvm_os_answer xvm_os_zero_range(xvm_region *region, range r);

/* --- asking, and undoing ---------------------------------------------------------------------- */

/* The run gets the protection of the state. */
xvm_os_answer xvm_os_protect_run(const xvm_region *region, xvm_os_operation why,
                                 const xvm_os_run *run, unsigned state);

/* Gives every committed run, and what is beneath light guards, the protection that its state names,
 * after a call that may have changed some of them to another one. What is refused is noted as the
 * system says; other, where it does not say. */
xvm_os_answer xvm_os_restore_protection(xvm_region *region, xvm_os_operation why, range r,
                                        unsigned other);

/* Locks every run that its state calls locked, after a call that may have unlocked some of them. */
void xvm_os_restore_locks(xvm_region *region, range r);

static inline xvm_os_answer lock_run(const xvm_region *region, const xvm_os_run *run)
{
    return xvm_os_lock(address_of(region, run->from), size_of(region, run->from, run->to));
}

static inline xvm_os_answer unlock_run(const xvm_region *region, const xvm_os_run *run)
{
    return xvm_os_unlock(address_of(region, run->from), size_of(region, run->from, run->to));
}

static inline bool has_policies(const xvm_region *region)
{
    return (region->own.fork | region->own.dump | region->own.huge | region->own.node) != 0 ||
           region->own.name != NULL;
}

/* The region's policies for pages [from, to). */
xvm_os_answer xvm_os_attach_policies(const xvm_region *region, size_t from, size_t to);

/* --- answering -------------------------------------------------------------------------------- */

/* The answer of a public call about so many bytes of a region. */
static inline xvm_status answer_for(const xvm_region *region, const char *call,
                                    xvm_os_operation why, size_t size, xvm_os_answer answer)
{
    if (answer.status == XVM_OK)
        return XVM_OK;
    return xvm_os_fail_at(&(xvm_os_site){call, why, region != NULL ? region->own.name : NULL, size,
                                         NULL, false, XVM_OS_CAUSE_UNKNOWN},
                          answer);
}

/* The same for a refusal of ours. */
static inline xvm_status refuse(const xvm_region *region, const char *call, xvm_os_operation why,
                                size_t size, xvm_status status)
{
    return answer_for(region, call, why, size, (xvm_os_answer){status, 0});
}

#endif

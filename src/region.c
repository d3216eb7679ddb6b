/* region.c - check the range, look up what its pages are, ask the system, note the result.
 *
 *     reservation  | unused | pages of the region | gap | book: states of the pages | gap |
 *                  os_base  base                        level[2]      os_base + os_size -->
 *
 * The gaps are never committed: a page keeps an overrun out of the book, another keeps the mappings
 * of two regions apart. At an exact address there is room for nothing more, so the book gets its
 * own reservation.
 *
 *   1  os_base <= base, base + size <= os_base + os_size, all of them whole pages.
 *   2  committed and locked are the numbers of pages with such a state; locked <= committed.
 *   3  States change after the last step that can fail, under the lock, never around a system call.
 *      What a failed call has to undo is what the unchanged states say.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "failure.h"
#include "lock.h"
#include "os.h"
#include "pagemap.h"
#include "pages.h"
#include "xvm/region.h"

enum {
    ZERO_STEP = 1 << 20
}; /* bytes made resident at a time where discarding means zeroing first */

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
static const want RESERVED = {XVM_OS_STATE_PROTECTION, XVM_OS_STATE_RESERVED, false};
static const want COMMITTED = {XVM_OS_STATE_PROTECTION, XVM_OS_STATE_RESERVED, true};
static const want INACCESSIBLE = {XVM_OS_STATE_PROTECTION, XVM_NO_ACCESS, false};
static const want LOCKED = {XVM_OS_STATE_LOCKED, XVM_OS_STATE_LOCKED, false};
static const want UNLOCKED = {XVM_OS_STATE_LOCKED, XVM_OS_STATE_LOCKED, true};

static const xvm_os_answer DONE = {XVM_OK, 0};

/* --- ranges ----------------------------------------------------------------------------------- */

static size_t page_size_of(const xvm_region *region)
{
    return (size_t)1 << region->own.page_shift;
}

static void *address_of(const xvm_region *region, size_t page)
{
    return (unsigned char *)region->base + (page << region->own.page_shift);
}

static size_t size_of(const xvm_region *region, size_t from, size_t to)
{
    return (to - from) << region->own.page_shift;
}

/* False when the range is no range of the region. An empty one has from == to. */
static bool find_range(const xvm_region *region, size_t offset, size_t size, rounding how,
                       range *out)
{
    size_t page, end;

    *out = (range){0, 0};
    if (region == NULL || region->base == NULL)
        return false;
    if (size == 0)
        return true;
    if (offset > region->size || size > region->size - offset)
        return false;
    page = page_size_of(region);
    end = offset + size;
    if (how == WHOLE && ((offset | end) & (page - 1)) != 0)
        return false;
    out->from = (how == INWARD ? round_up(offset, page) : offset) >> region->own.page_shift;
    out->to = (how == INWARD ? end : round_up(end, page)) >> region->own.page_shift;
    if (out->from > out->to)
        out->to = out->from; /* less than a page, rounded inward */
    return true;
}

static bool is_wanted(want w, unsigned state)
{
    return ((state & w.mask) == w.value) != w.other;
}

/* The next run of wanted pages at or after *at, which moves behind it. */
static bool next_run(const xvm_region *region, size_t *at, size_t limit, want w, xvm_os_run *run)
{
    while (*at < limit) {
        *run = xvm_os_pagemap_run(region, *at, limit);
        *at = run->to;
        if (is_wanted(w, run->state))
            return true;
    }
    return false;
}

/* What a look at a range finds. */
typedef struct survey {
    bool reserved, closed,
        read_only; /* is there such a page? read_only: one that cannot be written */
    range wanted;  /* the smallest range with all wanted pages; empty: there are none */
} survey;

static bool is_writable(unsigned state)
{
    unsigned protection = state & XVM_OS_STATE_PROTECTION;

    return protection == XVM_READ_WRITE || protection == XVM_READ_WRITE_EXECUTE;
}

static survey look_at(const xvm_region *region, range r, want w)
{
    survey found = {false, false, false, {r.to, r.to}};
    xvm_os_run run;

    for (size_t at = r.from; at < r.to; at = run.to) {
        run = xvm_os_pagemap_run(region, at, r.to);
        found.reserved |= is_wanted(RESERVED, run.state);
        found.closed |= is_wanted(INACCESSIBLE, run.state);
        found.read_only |= !is_writable(run.state);
        if (!is_wanted(w, run.state))
            continue;
        found.wanted.from = run.from < found.wanted.from ? run.from : found.wanted.from;
        found.wanted.to = run.to;
    }
    if (found.wanted.from == r.to)
        found.wanted.to = r.to;
    return found;
}

static bool is_empty(range r)
{
    return r.from == r.to;
}

/* --- states ----------------------------------------------------------------------------------- */

static size_t pages_if(bool counted, const xvm_os_run *run)
{
    return counted ? run->to - run->from : 0;
}

/* Counts a run as what it is, or takes it out of the counts. */
static void count_run(xvm_region *region, const xvm_os_run *run, bool out)
{
    size_t committed = pages_if(is_wanted(COMMITTED, run->state), run);
    size_t locked = pages_if(is_wanted(LOCKED, run->state), run);

    STORE(&region->own.committed, region->own.committed + (out ? 0 - committed : committed));
    STORE(&region->own.locked, region->own.locked + (out ? 0 - locked : locked));
}

/* Notes state = (state & keep) | set for the wanted pages of the range, and what that does to the
 * counters. */
static void note(xvm_region *region, range r, want w, unsigned keep, unsigned set)
{
    xvm_os_run run;
    size_t at = r.from;

    spin_lock(&region->own.lock);
    while (next_run(region, &at, r.to, w, &run)) {
        count_run(region, &run, true);
        run.state = (run.state & keep) | set;
        count_run(region, &run, false);
        xvm_os_pagemap_set(region, run.from, run.to, run.state);
    }
    if (region->own.committed == 0)
        xvm_os_pagemap_restart(region);
    spin_unlock(&region->own.lock);
}

static void note_run(xvm_region *region, const xvm_os_run *run, unsigned keep, unsigned set)
{
    note(region, (range){run->from, run->to}, ANY, keep, set);
}

/* Memory for the states of the range. */
static xvm_os_answer open_book(xvm_region *region, range r)
{
    xvm_os_book_piece piece;

    while (xvm_os_pagemap_needs(region, r.from, r.to, &piece)) {
        unsigned char *book = (unsigned char *)(void *)region->own.level[2];
        xvm_os_answer answer = xvm_os_commit(XVM_OS_BOOKKEEPING, book + piece.offset, piece.size);

        if (answer.status != XVM_OK)
            return answer;
        spin_lock(&region->own.lock);
        xvm_os_pagemap_have(region, &piece);
        spin_unlock(&region->own.lock);
    }
    return DONE;
}

static xvm_os_answer protect_run(const xvm_region *region, xvm_os_operation why,
                                 const xvm_os_run *run, unsigned state)
{
    return xvm_os_protect(why, address_of(region, run->from), size_of(region, run->from, run->to),
                          (xvm_protection)(state & XVM_OS_STATE_PROTECTION));
}

/* Neither done nor undone: the run is what the system says it is; other, where it does not say. */
static void note_truth(xvm_region *region, const xvm_os_run *run, unsigned other)
{
    size_t size, at = run->from, step;

    for (; at < run->to; at += step) {
        xvm_protection found = (xvm_protection)other;

        size = xvm_os_find_protection(address_of(region, at), size_of(region, at, run->to), &found);
        step = size >> region->own.page_shift;
        step = step == 0 || step > run->to - at ? run->to - at : step;
        note(region, (range){at, at + step}, ANY, ~(unsigned)XVM_OS_STATE_PROTECTION,
             (unsigned)found);
    }
}

/* Gives every committed run the protection that its state names, after a call that may have changed
 * some of them to another one. Each is tried twice, as a refusal may pass. */
static xvm_os_answer restore_protection(xvm_region *region, xvm_os_operation why, range r,
                                        unsigned other)
{
    xvm_os_answer answer, worst = DONE;
    xvm_os_run run;
    size_t at = r.from;

    while (next_run(region, &at, r.to, COMMITTED, &run)) {
        answer = protect_run(region, why, &run, run.state);
        if (answer.status != XVM_OK)
            answer = protect_run(region, why, &run, run.state);
        if (answer.status == XVM_OK)
            continue;
        note_truth(region, &run, other);
        worst = answer;
    }
    return worst;
}

static xvm_os_answer lock_run(const xvm_region *region, size_t from, size_t to)
{
    return xvm_os_lock(address_of(region, from), size_of(region, from, to));
}

static xvm_os_answer unlock_run(const xvm_region *region, size_t from, size_t to)
{
    return xvm_os_unlock(address_of(region, from), size_of(region, from, to));
}

/* Pages without access cannot be locked while they have none. */
static xvm_os_answer lock_again(xvm_region *region, const xvm_os_run *run)
{
    xvm_os_answer answer;

    if (!is_wanted(INACCESSIBLE, run->state))
        return lock_run(region, run->from, run->to);
    answer = protect_run(region, XVM_OS_LOCK, run, XVM_READ);
    if (answer.status != XVM_OK)
        return answer;
    answer = lock_run(region, run->from, run->to);
    (void)restore_protection(region, XVM_OS_LOCK, (range){run->from, run->to}, XVM_READ);
    return answer;
}

/* Locks every run that its state calls locked, after a call that may have unlocked some of them. */
static void restore_locks(xvm_region *region, range r)
{
    xvm_os_run run;
    size_t at = r.from;

    while (next_run(region, &at, r.to, LOCKED, &run))
        if (lock_again(region, &run).status != XVM_OK)
            note_run(region, &run, ~(unsigned)XVM_OS_STATE_LOCKED, 0);
}

/* --- reserve and release ---------------------------------------------------------------------- */

static bool is_valid(const xvm_reserve_options *o, size_t size, size_t alignment)
{
    return is_power_of_two(alignment) && o->min_size <= size &&
           is_multiple(o->address, alignment) && (unsigned)o->commit_mode <= XVM_COMMIT_SPARSE &&
           (unsigned)o->huge <= XVM_HUGE_MUST_EXPLICIT && (unsigned)o->fork <= XVM_FORK_ZERO &&
           (unsigned)o->dump <= XVM_DUMP_NEVER && o->numa_node >= 0;
}

static bool is_supported(const xvm_reserve_options *o)
{
    return o->commit_mode == XVM_COMMIT_CHARGED && o->huge == XVM_HUGE_DEFAULT &&
           o->numa_node == 0 && o->flags == 0 && o->budget == NULL;
}

/* What follows from the size of a region, in bytes but for pages. */
typedef struct layout {
    size_t pages, book, whole;
} layout;

/* Pages, a gap, the book, a gap; an exact address has room for the pages alone. False when that
 * wraps. */
static bool measure(size_t size, bool exact, size_t page, layout *out)
{
    size_t rounded = round_up(size, page), unit = xvm_os_get_facts().large_unit;

    if (rounded < size)
        return false;
    out->pages = rounded / page;
    out->book = xvm_os_pagemap_size(out->pages, page);
    out->whole = rounded;
    if (out->book == 0 || !add_sizes(out->book, page, &out->book))
        return false;
    if (exact)
        return true;
    if (!add_sizes(rounded, page, &out->whole) || !add_sizes(out->whole, out->book, &out->whole))
        return false;
    if (unit != 0 && rounded >= unit)
        out->whole = round_up(out->whole, unit);
    return out->whole > rounded;
}

/* The book's own reservation, where it cannot lie behind the pages: the next region may want to be
 * there. */
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

/* One try at one size. On failure the region is what has to be given back. */
static xvm_os_answer reserve_size(xvm_region *region, size_t size, size_t alignment,
                                  const xvm_reserve_options *o)
{
    bool exact = o->address != NULL;
    size_t page = xvm_page_size();
    xvm_os_request request = {.alignment = alignment, .address = o->address, .below = o->below};
    xvm_os_place place;
    xvm_os_answer answer;
    void *book;
    layout sizes;

    if (!measure(size, exact, page, &sizes))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    request.size = sizes.whole;
    answer = xvm_os_reserve(&request, &place);
    if (answer.status != XVM_OK)
        return answer;
    region->base = place.base;
    region->size = sizes.pages * page;
    region->own.os_base = place.os_base;
    region->own.os_size = place.os_size;
    region->own.page_shift = (unsigned char)exponent(page);
    book = (unsigned char *)place.base + region->size + page;
    if (exact) {
        answer = reserve_book(region, sizes.book);
        book = region->own.book;
    }
    if (answer.status == XVM_OK)
        xvm_os_pagemap_start(region, book, sizes.pages, page);
    return answer;
}

/* Down from size to min_size, where a smaller one may fit. */
static xvm_os_answer reserve_ladder(xvm_region *region, size_t size, size_t alignment,
                                    const xvm_reserve_options *o)
{
    for (;;) {
        xvm_os_answer answer = reserve_size(region, size, alignment, o);
        bool smaller = answer.status == XVM_E_ADDRESS_SPACE || answer.status == XVM_E_LOCK_LIMIT;

        if (!smaller || o->min_size == 0 || size == o->min_size)
            return answer;
        size = size / 2 > o->min_size ? size / 2 : o->min_size;
    }
}

static bool has_policies(const xvm_region *region)
{
    return (region->own.fork | region->own.dump) != 0 || region->own.name != NULL;
}

static xvm_os_answer attach(const xvm_region *region, size_t from, size_t to)
{
    xvm_os_policy policy = {(xvm_fork)region->own.fork, (xvm_dump)region->own.dump,
                            (xvm_huge)region->own.huge, region->own.node, region->own.name};

    return xvm_os_attach(address_of(region, from), size_of(region, from, to), &policy);
}

/* A policy that cannot be set now is set by each commit; one that the system does not have is
 * refused. */
static xvm_os_answer set_policies(xvm_region *region, const xvm_reserve_options *o)
{
    xvm_os_answer answer = DONE;

    region->own.fork = (unsigned char)o->fork;
    region->own.dump = (unsigned char)o->dump;
    region->own.name = o->name;
    if (has_policies(region))
        answer = attach(region, 0, region->own.pages);
    if (answer.status == XVM_E_UNSUPPORTED)
        return answer;
    region->own.renew = answer.status != XVM_OK;
    return DONE;
}

/* All that the handle holds, in an order in which each step can be the last. */
static xvm_os_answer give_back(xvm_region *region)
{
    xvm_os_answer answer;

    if (region->own.os_base != NULL) {
        answer = xvm_os_release(region->own.os_base, region->own.os_size);
        if (answer.status != XVM_OK)
            return answer;
        region->own.os_base = region->base = NULL;
        region->size = 0;
    }
    if (region->own.book_base != NULL) {
        answer = xvm_os_release(region->own.book_base, region->own.book_size);
        if (answer.status != XVM_OK)
            return answer;
    }
    *region = (xvm_region){0};
    return DONE;
}

xvm_status xvm_reserve(xvm_region *region, size_t size, const xvm_reserve_options *options)
{
    static const xvm_reserve_options none;
    const xvm_reserve_options *o = options != NULL ? options : &none;
    size_t granularity = xvm_allocation_granularity();
    size_t alignment = o->alignment > granularity ? o->alignment : granularity;
    xvm_os_answer answer;

    if (region == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    *region = (xvm_region){0};
    if (size == 0 || !is_valid(o, size, alignment))
        return xvm_os_fail_with(XVM_E_INVALID);
    if (!is_supported(o))
        return xvm_os_fail_with(XVM_E_UNSUPPORTED);
    answer = reserve_ladder(region, size, alignment, o);
    if (answer.status == XVM_OK)
        answer = set_policies(region, o);
    if (answer.status != XVM_OK) {
        region->base = NULL;
        region->size = 0;
        (void)give_back(region);
    }
    return xvm_os_fail(answer);
}

xvm_status xvm_release(xvm_region *region)
{
    if (region == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    return xvm_os_fail(give_back(region));
}

/* --- commit and decommit ---------------------------------------------------------------------- */

static xvm_os_answer commit_run(const xvm_region *region, const xvm_os_run *run, size_t *reached)
{
    xvm_os_answer answer = xvm_os_commit(XVM_OS_COMMIT, address_of(region, run->from),
                                         size_of(region, run->from, run->to));

    *reached = run->from;
    if (answer.status != XVM_OK || !LOAD(&region->own.renew))
        return answer;
    *reached = run->to;
    return attach(region, run->from, run->to);
}

/* Reserved runs of the range that the system has committed go back. */
static void undo_commit(xvm_region *region, range r)
{
    xvm_os_run run;
    size_t at = r.from;

    while (next_run(region, &at, r.to, RESERVED, &run)) {
        xvm_os_answer answer = xvm_os_decommit(
            address_of(region, run.from), size_of(region, run.from, run.to), &region->own.renew);

        if (answer.status != XVM_OK)
            note_run(region, &run, 0, XVM_READ_WRITE);
    }
}

/* Every reserved run of the range, of which the first is known. */
static xvm_os_answer commit_runs(xvm_region *region, range r, xvm_os_run run)
{
    xvm_os_answer answer;
    size_t at = run.to, reached;

    do {
        answer = commit_run(region, &run, &reached);
        if (answer.status != XVM_OK) {
            undo_commit(region, (range){r.from, reached});
            return answer;
        }
    } while (next_run(region, &at, r.to, RESERVED, &run));
    note(region, r, RESERVED, 0, XVM_READ_WRITE);
    return DONE;
}

xvm_status xvm_commit(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_answer answer;
    xvm_os_run first;
    range r;

    if (!find_range(region, offset, size, OUTWARD, &r))
        return xvm_os_fail_with(XVM_E_INVALID);
    if (!next_run(region, &r.from, r.to, RESERVED, &first))
        return XVM_OK;
    r.from = first.from;
    answer = open_book(region, r);
    if (answer.status == XVM_OK)
        answer = commit_runs(region, r, first);
    return xvm_os_fail(answer);
}

static xvm_os_answer decommit_range(xvm_region *region, range r)
{
    unsigned char renew = region->own.renew;
    xvm_os_answer answer =
        xvm_os_decommit(address_of(region, r.from), size_of(region, r.from, r.to), &renew);

    if (answer.status != XVM_OK) {
        (void)restore_protection(region, XVM_OS_DECOMMIT, r, XVM_NO_ACCESS);
        restore_locks(region, r);
        return answer;
    }
    if (has_policies(region) && attach(region, r.from, r.to).status != XVM_OK)
        renew = 1;
    if (renew)
        STORE(&region->own.renew, (unsigned char)1);
    note(region, r, COMMITTED, 0, XVM_OS_STATE_RESERVED);
    return DONE;
}

xvm_status xvm_decommit(xvm_region *region, size_t offset, size_t size)
{
    range r;

    if (!find_range(region, offset, size, INWARD, &r))
        return xvm_os_fail_with(XVM_E_INVALID);
    r = look_at(region, r, COMMITTED).wanted;
    if (is_empty(r))
        return XVM_OK;
    return xvm_os_fail(decommit_range(region, r));
}

/* --- discard ---------------------------------------------------------------------------------- */

/* Writes zeros, and returns the memory where it may go. */
static xvm_os_answer zero_pages(const xvm_region *region, const xvm_os_run *run)
{
    unsigned char *at = address_of(region, run->from);
    size_t left = size_of(region, run->from, run->to), step;
    xvm_os_answer answer = DONE;

    for (; left != 0 && answer.status == XVM_OK; at += step, left -= step) {
        step = left < ZERO_STEP ? left : ZERO_STEP;
        memset(at, 0, step);
        if (is_wanted(UNLOCKED, run->state))
            answer = xvm_os_discard(at, step, XVM_DISCARD_ZERO);
    }
    return answer;
}

/* The same for pages that are not writable as they are. */
static xvm_os_answer zero_run(xvm_region *region, const xvm_os_run *run)
{
    xvm_os_answer answer, closed;

    if (is_writable(run->state))
        return zero_pages(region, run);
    answer = protect_run(region, XVM_OS_DISCARD, run, XVM_READ_WRITE);
    if (answer.status == XVM_OK)
        answer = zero_pages(region, run);
    closed =
        restore_protection(region, XVM_OS_DISCARD, (range){run->from, run->to}, XVM_READ_WRITE);
    return answer.status != XVM_OK ? answer : closed;
}

static xvm_os_answer discard_run(xvm_region *region, const xvm_os_run *run, xvm_discard_mode mode)
{
    bool locked = is_wanted(LOCKED, run->state);

    if (mode == XVM_DISCARD_ZERO && (locked || !xvm_os_get_facts().discard_zeroes))
        return zero_run(region, run);
    if (locked)
        return DONE; /* lazy: old bytes are fine, and nothing may leave memory */
    return xvm_os_discard(address_of(region, run->from), size_of(region, run->from, run->to), mode);
}

xvm_status xvm_discard(xvm_region *region, size_t offset, size_t size, xvm_discard_mode mode)
{
    xvm_os_answer answer = DONE;
    xvm_os_run run;
    range r;

    if (!find_range(region, offset, size, INWARD, &r) || (unsigned)mode > XVM_DISCARD_LAZY)
        return xvm_os_fail_with(XVM_E_INVALID);
    if (look_at(region, r, ANY).reserved)
        return xvm_os_fail_with(XVM_E_NOT_COMMITTED);
    for (size_t at = r.from; answer.status == XVM_OK && at < r.to; at = run.to) {
        run = xvm_os_pagemap_run(region, at, r.to);
        answer = discard_run(region, &run, mode);
    }
    return xvm_os_fail(answer);
}

/* --- protect ---------------------------------------------------------------------------------- */

xvm_status xvm_protect(xvm_region *region, size_t offset, size_t size, xvm_protection protection)
{
    want others = {XVM_OS_STATE_PROTECTION, (unsigned)protection, true};
    xvm_os_answer answer;
    survey found;
    range r;

    if (!find_range(region, offset, size, WHOLE, &r) || protection < XVM_NO_ACCESS ||
        protection > XVM_READ_WRITE_EXECUTE)
        return xvm_os_fail_with(XVM_E_INVALID);
    found = look_at(region, r, others);
    if (found.reserved)
        return xvm_os_fail_with(XVM_E_NOT_COMMITTED);
    if (is_empty(found.wanted))
        return XVM_OK;
    r = found.wanted;
    answer = xvm_os_protect(XVM_OS_PROTECT, address_of(region, r.from),
                            size_of(region, r.from, r.to), protection);
    if (answer.status == XVM_OK)
        note(region, r, others, ~(unsigned)XVM_OS_STATE_PROTECTION, (unsigned)protection);
    else
        (void)restore_protection(region, XVM_OS_PROTECT, r, (unsigned)protection);
    return xvm_os_fail(answer);
}

/* --- lock and unlock -------------------------------------------------------------------------- */

/* Runs that were not locked before are not afterwards. */
static void undo_lock(xvm_region *region, range r)
{
    xvm_os_run run;
    size_t at = r.from;

    while (next_run(region, &at, r.to, UNLOCKED, &run))
        if (unlock_run(region, run.from, run.to).status != XVM_OK)
            note_run(region, &run, ~0u, XVM_OS_STATE_LOCKED);
}

xvm_status xvm_lock(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_answer answer;
    survey found;
    range r;

    if (!find_range(region, offset, size, OUTWARD, &r))
        return xvm_os_fail_with(XVM_E_INVALID);
    found = look_at(region, r, UNLOCKED);
    if (found.reserved)
        return xvm_os_fail_with(XVM_E_NOT_COMMITTED);
    if (found.closed)
        return xvm_os_fail_with(XVM_E_PERMISSION);
    if (is_empty(found.wanted))
        return XVM_OK;
    r = found.wanted;
    answer = lock_run(region, r.from, r.to);
    if (answer.status == XVM_OK)
        note(region, r, UNLOCKED, ~0u, XVM_OS_STATE_LOCKED);
    else
        undo_lock(region, r);
    return xvm_os_fail(answer);
}

xvm_status xvm_unlock(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_run run;
    size_t at;
    range r;

    if (!find_range(region, offset, size, INWARD, &r))
        return xvm_os_fail_with(XVM_E_INVALID);
    for (at = r.from; next_run(region, &at, r.to, LOCKED, &run);) {
        xvm_os_answer answer = unlock_run(region, run.from, run.to);

        if (answer.status != XVM_OK) {
            restore_locks(region, (range){r.from, run.to});
            return xvm_os_fail(answer);
        }
    }
    note(region, r, LOCKED, ~(unsigned)XVM_OS_STATE_LOCKED, 0);
    return XVM_OK;
}

/* --- prefault and usage ----------------------------------------------------------------------- */

xvm_status xvm_prefault(xvm_region *region, size_t offset, size_t size)
{
    survey found;
    range r;

    if (!find_range(region, offset, size, OUTWARD, &r))
        return xvm_os_fail_with(XVM_E_INVALID);
    found = look_at(region, r, ANY);
    if (found.reserved)
        return xvm_os_fail_with(XVM_E_NOT_COMMITTED);
    if (found.read_only)
        return xvm_os_fail_with(XVM_E_PERMISSION);
    if (is_empty(r))
        return XVM_OK;
    return xvm_os_fail(xvm_os_prefault(address_of(region, r.from), size_of(region, r.from, r.to)));
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
    while (next_run(region, &at, region->own.pages, COMMITTED, &run))
        out->resident +=
            xvm_os_resident(address_of(region, run.from), size_of(region, run.from, run.to));
}

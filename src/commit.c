/* commit.c - memory for the pages of a region, and back: commit, decommit, guard, discard.
 *
 *                     | what the system has      | commit             | decommit
 *     reserved        | closed pages             | xvm_os_commit      | -
 *     guard           | closed pages             | xvm_os_commit      | xvm_os_decommit
 *     guard, marked   | open pages, marked       | xvm_os_unguard     | xvm_os_decommit
 *     sparse          | open chunks, pages marked| xvm_os_unguard     | xvm_os_guard
 *     sparse, coarse  | open chunks              | -                  | xvm_os_discard
 *     pinned          | huge pages, all there    | -                  | refused
 *
 * A sparse region is cut into at most 32 chunks, so that it is at most 64 mappings. The first commit
 * in a chunk opens all of it, with each page marked; from then on pages cost a mark, and no mapping.
 */
#include <string.h>

#include "budget.h"
#include "lock.h"
#include "range.h"
#include "watch.h"

enum { ZERO_STEP = 1 << 20 }; /* bytes made resident at a time where discarding is zeroing first */

static bool is_pinned(const xvm_region *region)
{
    return region->own.huge == XVM_HUGE_MUST_EXPLICIT;
}

static void *start_of(const xvm_region *region, const xvm_os_run *run)
{
    return address_of(region, run->from);
}

static size_t bytes_of(const xvm_region *region, const xvm_os_run *run)
{
    return size_of(region, run->from, run->to);
}

/* --- sparse regions --------------------------------------------------------------------------- */

static xvm_os_run chunk_at(const xvm_region *region, unsigned chunk)
{
    size_t from = (size_t)chunk << region->own.chunk_shift;
    size_t pages = (size_t)1 << region->own.chunk_shift, left = region->own.pages - from;

    return (xvm_os_run){from, from + (pages < left ? pages : left), XVM_READ_WRITE};
}

/* All pages of a chunk are opened and marked. They must not be decommitted after a refusal: what is
 * mapped anew would be charged. */
static xvm_os_answer open_chunk(const xvm_region *region, unsigned chunk)
{
    xvm_os_run run = chunk_at(region, chunk);
    xvm_os_answer answer =
        xvm_os_commit(XVM_OS_COMMIT, start_of(region, &run), bytes_of(region, &run));

    if (answer.status != XVM_OK || !xvm_os_has_light_guards())
        return answer;
    answer = xvm_os_guard(XVM_OS_COMMIT, start_of(region, &run), bytes_of(region, &run));
    if (answer.status != XVM_OK)
        (void)xvm_os_protect_run(region, XVM_OS_COMMIT, &run, XVM_NO_ACCESS);
    return answer;
}

/* One thread opens a chunk, others wait: marking it again would drop what they have there. */
static xvm_os_answer need_chunk(xvm_region *region, unsigned chunk)
{
    unsigned bit = 1u << chunk;
    xvm_os_answer answer = DONE;

    for (unsigned round = 0; (LOAD_ACQUIRE(&region->own.open) & bit) == 0; round++) {
        if ((ATOMIC_SET(&region->own.opening, bit) & bit) != 0) {
            xvm_os_pause(round);
            continue;
        }
        if ((LOAD_ACQUIRE(&region->own.open) & bit) == 0)
            answer = open_chunk(region, chunk);
        if (answer.status == XVM_OK)
            (void)ATOMIC_SET(&region->own.open, bit);
        (void)ATOMIC_CLEAR(&region->own.opening, bit);
        if (answer.status != XVM_OK)
            return answer;
    }
    return DONE;
}

static xvm_os_answer commit_sparse(xvm_region *region, const xvm_os_run *run)
{
    unsigned chunk = (unsigned)(run->from >> region->own.chunk_shift);
    unsigned last = (unsigned)((run->to - 1) >> region->own.chunk_shift);

    for (; chunk <= last; chunk++) {
        xvm_os_answer answer = need_chunk(region, chunk);

        if (answer.status != XVM_OK)
            return answer;
    }
    if (!xvm_os_has_light_guards())
        return DONE;
    return xvm_os_unguard(XVM_OS_COMMIT, start_of(region, run), bytes_of(region, run));
}

/* Committed pages, readable, writable, unlocked, are closed. */
static xvm_os_answer close_sparse(const xvm_region *region, xvm_os_operation why,
                                  const xvm_os_run *run)
{
    if (xvm_os_has_light_guards())
        return xvm_os_guard(why, start_of(region, run), bytes_of(region, run));
    return xvm_os_discard(start_of(region, run), bytes_of(region, run), XVM_DISCARD_ZERO);
}

/* A committed run that a step on the way to its end was refused for: as it was, but perhaps zero. */
static void reopen_sparse(xvm_region *region, xvm_os_operation why, const xvm_os_run *run)
{
    range r = {run->from, run->to};

    if (xvm_os_has_light_guards())
        (void)xvm_os_unguard(why, start_of(region, run), bytes_of(region, run));
    (void)xvm_os_restore_protection(region, why, r, XVM_READ_WRITE);
    xvm_os_restore_locks(region, r);
}

static xvm_os_answer shut_sparse_run(xvm_region *region, xvm_os_operation why,
                                     const xvm_os_run *run)
{
    xvm_os_answer answer = DONE;

    if (is_wanted(GUARDED, run->state))
        return DONE;
    if (is_wanted(LOCKED, run->state))
        answer = unlock_run(region, run);
    if (answer.status == XVM_OK)
        answer = xvm_os_watch_open(region, why, run->from, run->to);
    if (answer.status == XVM_OK && (run->state & XVM_OS_STATE_PROTECTION) != XVM_READ_WRITE)
        answer = xvm_os_protect_run(region, why, run, XVM_READ_WRITE);
    if (answer.status == XVM_OK)
        answer = close_sparse(region, why, run);
    if (answer.status != XVM_OK)
        reopen_sparse(region, why, run);
    return answer;
}

/* Each run is noted as soon as it is closed: what was refused is as it was, what is before it is
 * not. */
static xvm_os_answer shut_sparse(xvm_region *region, xvm_os_operation why, range r, unsigned state)
{
    xvm_os_run run;

    for (size_t at = r.from; next_run(region, &at, r.to, USED, &run);) {
        xvm_os_answer answer = shut_sparse_run(region, why, &run);

        if (answer.status != XVM_OK)
            return answer;
        xvm_os_note(region, (range){run.from, run.to}, ANY, 0, state);
    }
    return DONE;
}

/* --- commit ----------------------------------------------------------------------------------- */

/* Closed pages are opened first, marks go then, policies come last. *opened: something has to be
 * undone if the answer is a failure. */
static xvm_os_answer open_run(xvm_region *region, const xvm_os_run *run, bool *opened)
{
    bool marked = is_wanted(MARKED, run->state), closed = !marked || is_wanted(SHUT, run->state);
    bool renew = LOAD(&region->own.renew) != 0;
    xvm_os_answer answer = DONE;

    if (closed)
        answer = xvm_os_commit(XVM_OS_COMMIT, start_of(region, run), bytes_of(region, run));
    *opened = closed && answer.status == XVM_OK;
    if (answer.status == XVM_OK && (marked || renew) && xvm_os_has_light_guards())
        answer = xvm_os_unguard(XVM_OS_COMMIT, start_of(region, run), bytes_of(region, run));
    *opened |= answer.status == XVM_OK;
    if (answer.status == XVM_OK && renew && has_policies(region))
        answer = xvm_os_attach_policies(region, run->from, run->to);
    return answer;
}

/* On failure *reached is behind the run when it has to be undone. */
static xvm_os_answer commit_run(xvm_region *region, const xvm_os_run *run, size_t *reached)
{
    bool opened = false;
    xvm_os_answer answer =
        region->own.sparse ? commit_sparse(region, run) : open_run(region, run, &opened);

    *reached = opened ? run->to : run->from;
    return answer;
}

static xvm_os_answer uncommit_run(xvm_region *region, const xvm_os_run *run)
{
    if (region->own.sparse)
        return close_sparse(region, XVM_OS_COMMIT, run);
    if (is_wanted(MARKED, run->state) && !is_wanted(SHUT, run->state))
        return xvm_os_guard(XVM_OS_COMMIT, start_of(region, run), bytes_of(region, run));
    return xvm_os_decommit(start_of(region, run), bytes_of(region, run), &region->own.renew);
}

/* What a run is whose undoing was refused: committed. But marks are only perhaps gone, so such pages
 * stay what they were, and a mark that was closed beneath is open there now. */
static unsigned stuck_state(const xvm_region *region, unsigned state)
{
    if (is_wanted(MARKED, state))
        return XVM_OS_STATE_GUARD | XVM_OS_STATE_MARKED;
    return region->own.sparse ? state : XVM_READ_WRITE;
}

/* Uncommitted runs of the range that the system has committed go back. The number of pages that did
 * not. */
static size_t undo_commit(xvm_region *region, range r)
{
    size_t at = r.from, stuck = 0;
    xvm_os_run run;

    while (next_run(region, &at, r.to, UNCOMMITTED, &run))
        if (uncommit_run(region, &run).status != XVM_OK)
            stuck += xvm_os_note(region, (range){run.from, run.to}, ANY, 0,
                                 stuck_state(region, run.state));
        else if (is_wanted(SHUT, run.state))
            (void)xvm_os_note(region, (range){run.from, run.to}, ANY, 0, XVM_OS_STATE_GUARD);
    return stuck;
}

/* Every run that is about to be noted as committed. */
static void arm_runs(xvm_region *region, range r)
{
    size_t at = r.from;
    xvm_os_run run;

    while (is_watched(region) && next_run(region, &at, r.to, UNCOMMITTED, &run))
        xvm_os_watch_fresh(region, run.from, run.to);
}

/* Every uncommitted run of the range, of which the first is known. */
static xvm_os_answer commit_runs(xvm_region *region, range r, xvm_os_run run, size_t *pages)
{
    size_t at = run.to, reached;

    do {
        xvm_os_answer answer = commit_run(region, &run, &reached);

        if (answer.status != XVM_OK) {
            *pages = undo_commit(region, (range){r.from, reached});
            return answer;
        }
    } while (next_run(region, &at, r.to, UNCOMMITTED, &run));
    arm_runs(region, r);
    *pages = xvm_os_note(region, r, UNCOMMITTED, 0, XVM_READ_WRITE);
    return DONE;
}

/* *pages: those that are committed now and were not before. */
static xvm_os_answer try_commit(xvm_region *region, range r, xvm_os_run first, size_t *pages)
{
    xvm_os_answer answer = xvm_os_open_book(region, r);

    *pages = 0;
    if (answer.status != XVM_OK)
        return answer;
    xvm_os_watch_enter(region);
    answer = commit_runs(region, r, first, pages);
    xvm_os_watch_leave(region);
    return answer;
}

/* After callbacks have freed something, and then as often as retries were asked for. A refusal that
 * left pages committed is the last. */
static xvm_os_answer commit_again(xvm_region *region, range r, xvm_os_run first, size_t *pages,
                                  xvm_os_answer answer)
{
    bool retries = (region->own.flags & XVM_RESERVE_NO_RETRY) == 0;

    if (xvm_os_budget_press(region->own.budget, size_of(region, r.from, r.to)))
        answer = try_commit(region, r, first, pages);
    for (unsigned round = 0; retries && answer.status == XVM_E_COMMIT_LIMIT && *pages == 0 &&
                             xvm_os_commit_retry(round);
         round++)
        answer = try_commit(region, r, first, pages);
    return answer;
}

static xvm_os_answer commit_range(xvm_region *region, range r, xvm_os_run first, size_t *pages)
{
    xvm_os_answer answer = try_commit(region, r, first, pages);

    if (answer.status == XVM_E_COMMIT_LIMIT && *pages == 0)
        answer = commit_again(region, r, first, pages, answer);
    return answer;
}

static size_t count_uncommitted(const xvm_region *region, range r)
{
    size_t at = r.from, pages = 0;
    xvm_os_run run;

    while (next_run(region, &at, r.to, UNCOMMITTED, &run))
        pages += run.to - run.from;
    return pages;
}

/* What is charged first and not committed then goes back: all of it after a refusal, some of it when
 * another thread committed the same pages. */
static xvm_os_answer commit_charged(xvm_region *region, range r, xvm_os_run first)
{
    size_t charge = size_of(region, 0, count_uncommitted(region, r)), pages = 0;
    xvm_os_answer answer = {xvm_os_budget_charge(region->own.budget, charge), 0};

    if (answer.status != XVM_OK)
        return answer;
    answer = commit_range(region, r, first, &pages);
    xvm_os_budget_return(region->own.budget, charge - size_of(region, 0, pages));
    return answer;
}

xvm_status xvm_commit(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_answer answer;
    xvm_os_run first;
    size_t pages;
    range r;

    if (!find_units(region, offset, size, OUTWARD, region != NULL ? region->own.unit_shift : 0, &r))
        return refuse(region, "commit", XVM_OS_COMMIT, size, XVM_E_INVALID);
    if (!next_run(region, &r.from, r.to, UNCOMMITTED, &first))
        return XVM_OK;
    r.from = first.from;
    answer = region->own.budget != NULL ? commit_charged(region, r, first)
                                        : commit_range(region, r, first, &pages);
    return answer_for(region, "commit", XVM_OS_COMMIT, size_of(region, r.from, r.to), answer);
}

/* --- decommit and guard ----------------------------------------------------------------------- */

/* The range becomes closed pages of one state. */
static xvm_os_answer shut_range(xvm_region *region, range r, unsigned state)
{
    unsigned char renew = region->own.renew;
    xvm_os_answer answer =
        xvm_os_decommit(address_of(region, r.from), size_of(region, r.from, r.to), &renew);

    if (answer.status != XVM_OK) {
        (void)xvm_os_restore_protection(region, XVM_OS_DECOMMIT, r, XVM_NO_ACCESS);
        xvm_os_restore_locks(region, r);
        return answer;
    }
    if (has_policies(region) && xvm_os_attach_policies(region, r.from, r.to).status != XVM_OK)
        renew = 1;
    if (renew)
        STORE(&region->own.renew, (unsigned char)1);
    xvm_os_note(region, r, ANY, 0, state);
    return DONE;
}

xvm_status xvm_decommit(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_answer answer;
    range r;

    if (!find_units(region, offset, size, INWARD, region != NULL ? region->own.unit_shift : 0, &r))
        return refuse(region, "decommit", XVM_OS_DECOMMIT, size, XVM_E_INVALID);
    r = xvm_os_survey(region, r, USED).wanted;
    if (is_empty(r))
        return XVM_OK;
    if (is_pinned(region))
        return refuse(region, "decommit", XVM_OS_DECOMMIT, size, XVM_E_PINNED);
    xvm_os_watch_enter(region);
    answer = region->own.sparse ? shut_sparse(region, XVM_OS_DECOMMIT, r, XVM_OS_STATE_RESERVED)
                                : shut_range(region, r, XVM_OS_STATE_RESERVED);
    xvm_os_watch_leave(region);
    return answer_for(region, "decommit", XVM_OS_DECOMMIT, size, answer);
}

/* A run that is plain memory gets marks; other memory is given back. */
static xvm_os_answer guard_run(xvm_region *region, const xvm_os_run *run)
{
    range r = {run->from, run->to};
    xvm_os_answer answer;

    if (is_wanted(UNTOUCHED, run->state)) {
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_GUARD);
        return DONE;
    }
    if (run->state != XVM_READ_WRITE || !xvm_os_has_light_guards())
        return shut_range(region, r, XVM_OS_STATE_GUARD);
    answer = xvm_os_watch_open(region, XVM_OS_GUARD, run->from, run->to);
    if (answer.status != XVM_OK)
        return answer;
    answer = xvm_os_guard(XVM_OS_GUARD, start_of(region, run), bytes_of(region, run));
    if (answer.status == XVM_OK)
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_GUARD | XVM_OS_STATE_MARKED);
    else if (xvm_os_unguard(XVM_OS_GUARD, start_of(region, run), bytes_of(region, run)).status !=
             XVM_OK) /* which of them are guards by now nobody knows: the next commit opens them */
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_GUARD | XVM_OS_STATE_MARKED);
    return answer;
}

static xvm_os_answer guard_sparse_run(xvm_region *region, const xvm_os_run *run)
{
    range r = {run->from, run->to};
    xvm_os_answer answer = DONE;

    if (is_wanted(COMMITTED, run->state))
        answer = shut_sparse_run(region, XVM_OS_GUARD, run);
    if (answer.status == XVM_OK)
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_GUARD);
    return answer;
}

xvm_status xvm_guard(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_answer answer;
    xvm_os_run run;
    range r;

    if (!find_range(region, offset, size, WHOLE, &r))
        return refuse(region, "guard", XVM_OS_GUARD, size, XVM_E_INVALID);
    if (is_empty(xvm_os_survey(region, r, UNGUARDED).wanted))
        return XVM_OK;
    if (is_pinned(region))
        return refuse(region, "guard", XVM_OS_GUARD, size, XVM_E_PINNED);
    answer = xvm_os_open_book(region, r);
    xvm_os_watch_enter(region);
    for (size_t at = r.from;
         answer.status == XVM_OK && next_run(region, &at, r.to, UNGUARDED, &run);)
        answer = region->own.sparse ? guard_sparse_run(region, &run) : guard_run(region, &run);
    xvm_os_watch_leave(region);
    return answer_for(region, "guard", XVM_OS_GUARD, size, answer);
}

/* --- discard ---------------------------------------------------------------------------------- */

/* Writes zeros, and returns the memory where it may go. */
static xvm_os_answer zero_pages(const xvm_region *region, const xvm_os_run *run)
{
    unsigned char *at = start_of(region, run);
    size_t left = bytes_of(region, run), step;
    bool stays = is_wanted(LOCKED, run->state) || is_pinned(region);
    xvm_os_answer answer = DONE;

    for (; left != 0 && answer.status == XVM_OK; at += step, left -= step) {
        step = left < ZERO_STEP ? left : ZERO_STEP;
        memset(at, 0, step);
        if (!stays)
            answer = xvm_os_discard(at, step, XVM_DISCARD_ZERO);
    }
    return answer;
}

/* The same for pages that are not writable as they are. */
static xvm_os_answer zero_run(xvm_region *region, const xvm_os_run *run)
{
    range r = {run->from, run->to};
    xvm_os_answer answer, closed;

    if (is_writable(run->state))
        return zero_pages(region, run);
    answer = xvm_os_protect_run(region, XVM_OS_DISCARD, run, XVM_READ_WRITE);
    if (answer.status == XVM_OK)
        answer = zero_pages(region, run);
    closed = xvm_os_restore_protection(region, XVM_OS_DISCARD, r, XVM_READ_WRITE);
    return answer.status != XVM_OK ? answer : closed;
}

/* Runs to discard by one call, collected. */
typedef struct batch {
    xvm_region *region;
    xvm_discard_mode mode;
    size_t count;
    xvm_os_piece pieces[XVM_OS_PIECES];
} batch;

static xvm_os_answer flush(batch *b)
{
    xvm_os_answer answer = DONE;

    if (b->count != 0)
        answer = xvm_os_discard_pieces(b->pieces, b->count, b->mode);
    b->count = 0;
    return answer;
}

static xvm_os_answer discard_run(batch *b, const xvm_os_run *run)
{
    bool stays = is_wanted(LOCKED, run->state) || is_pinned(b->region);

    if (b->mode == XVM_DISCARD_ZERO && (stays || !xvm_os_get_facts().discard_zeroes))
        return zero_run(b->region, run);
    if (stays)
        return DONE; /* lazy: old bytes are fine, and nothing may leave memory */
    b->pieces[b->count++] = (xvm_os_piece){start_of(b->region, run), bytes_of(b->region, run)};
    return b->count == XVM_OS_PIECES ? flush(b) : DONE;
}

static xvm_os_answer discard_range(batch *b, range r)
{
    xvm_os_answer answer = DONE;
    xvm_os_run run;

    for (size_t at = r.from; answer.status == XVM_OK && at < r.to; at = run.to) {
        run = xvm_os_pagemap_run(b->region, at, r.to);
        answer = discard_run(b, &run);
    }
    return answer;
}

/* The range has been discarded, or a part of it. */
static void tell_watch(xvm_region *region, range r)
{
    if (!is_watched(region) || is_empty(r))
        return;
    xvm_os_watch_discarded(region, r.from, r.to);
}

xvm_os_answer xvm_os_zero_range(xvm_region *region, range r)
{
    xvm_os_answer answer;
    batch b;

    b.region = region;
    b.mode = XVM_DISCARD_ZERO;
    b.count = 0;
    answer = discard_range(&b, r);
    if (answer.status == XVM_OK)
        answer = flush(&b);
    tell_watch(region, r);
    return answer;
}

static bool find_discard(const xvm_region *region, const xvm_range *given, range *out)
{
    return find_units(region, given->offset, given->size, INWARD,
                      region != NULL ? region->own.unit_shift : 0, out);
}

static xvm_status check_ranges(const xvm_region *region, const xvm_range *ranges, size_t count,
                               xvm_discard_mode mode)
{
    xvm_status status = XVM_OK;
    range r;

    if ((unsigned)mode > XVM_DISCARD_LAZY || region == NULL || (ranges == NULL && count != 0))
        return XVM_E_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (!find_discard(region, &ranges[i], &r))
            return XVM_E_INVALID;
        if (xvm_os_survey(region, r, ANY).uncommitted)
            status = XVM_E_NOT_COMMITTED;
    }
    return status;
}

/* Whatever was refused on the way: all count as written. */
static void tell_watch_of_all(xvm_region *region, const xvm_range *ranges, size_t count)
{
    range r;

    for (size_t i = 0; is_watched(region) && i < count; i++)
        if (find_discard(region, &ranges[i], &r))
            tell_watch(region, r);
}

static xvm_os_answer discard_all(xvm_region *region, const xvm_range *ranges, size_t count,
                                 xvm_discard_mode mode)
{
    xvm_os_answer answer = {check_ranges(region, ranges, count, mode), 0}, last;
    batch b;
    range r;

    if (answer.status != XVM_OK)
        return answer;
    b.region = region;
    b.mode = mode;
    b.count = 0;
    for (size_t i = 0; answer.status == XVM_OK && i < count; i++)
        if (find_discard(region, &ranges[i], &r))
            answer = discard_range(&b, r);
    last = answer.status == XVM_OK ? flush(&b) : DONE;
    tell_watch_of_all(region, ranges, count);
    return answer.status != XVM_OK ? answer : last;
}

xvm_status xvm_discard(xvm_region *region, size_t offset, size_t size, xvm_discard_mode mode)
{
    xvm_range one = {offset, size};

    return answer_for(region, "discard", XVM_OS_DISCARD, size, discard_all(region, &one, 1, mode));
}

xvm_status xvm_discard_ranges(xvm_region *region, const xvm_range *ranges, size_t count,
                              xvm_discard_mode mode)
{
    return answer_for(region, "discard_ranges", XVM_OS_DISCARD, count,
                      discard_all(region, ranges, count, mode));
}

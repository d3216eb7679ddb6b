/* move.c - bytes go from pages to other pages: with the pages themselves where that pays, else by
 * copying.
 *
 *     from  | a b c d | . . . .         from  | 0 0 0 0 | 0 0 0 0
 *     to    | . . . . | e f g h   -->   to    | a b c d | e f g h
 *               moved    copied
 *
 *   1  Plain pages move: readable, writable, neither executable nor locked, in regions that are neither
 *      sparse nor of explicit huge pages nor watched.
 *   2  What the system has moved before it refuses more has moved; the rest is copied.
 *   3  It may have taken pages of the target away when it refuses. They are committed again; where that
 *      is refused, too, all bytes go back, and those pages are guards.
 */
#include <string.h>

#include "lock.h"
#include "range.h"
#include "watch.h"

/* --- checks ----------------------------------------------------------------------------------- */

static bool overlap(range a, range b)
{
    return a.from < b.to && b.from < a.to;
}

static xvm_status check_pages(const xvm_region *region, range to, range from)
{
    survey target = xvm_os_survey(region, to, ANY), source = xvm_os_survey(region, from, ANY);

    if (target.uncommitted || source.uncommitted)
        return XVM_E_NOT_COMMITTED;
    return target.read_only || source.read_only ? XVM_E_PERMISSION : XVM_OK;
}

static bool is_plain(const xvm_region *region, range r)
{
    return is_empty(xvm_os_survey(region, r, SPECIAL).wanted);
}

static bool can_move(const xvm_region *region, range to, range from)
{
    return size_of(region, to.from, to.to) >= xvm_os_move_least() && !region->own.sparse &&
           region->own.huge != XVM_HUGE_MUST_EXPLICIT && !is_watched(region) &&
           is_plain(region, to) && is_plain(region, from);
}

/* --- moving ----------------------------------------------------------------------------------- */

/* Pages that were taken away are memory again, with the policies of their region, or else guards. */
static xvm_os_answer reopen(xvm_region *region, range r)
{
    void *start = address_of(region, r.from);
    size_t size = size_of(region, r.from, r.to);
    unsigned char renew = 0;
    xvm_os_answer answer = xvm_os_commit(XVM_OS_MOVE, start, size);
    bool open = answer.status == XVM_OK;

    if (open && has_policies(region))
        answer = xvm_os_attach_policies(region, r.from, r.to);
    if (answer.status == XVM_OK)
        return DONE;
    if (xvm_os_decommit(start, size, &renew).status == XVM_OK || !open)
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_GUARD);
    if (renew)
        STORE(&region->own.renew, (unsigned char)1);
    return answer;
}

/* How many bytes from the start have moved. On failure none have. */
static xvm_os_answer move_pages(xvm_region *region, range to, range from, size_t *moved)
{
    unsigned char *target = address_of(region, to.from), *source = address_of(region, from.from);
    xvm_os_moved m = xvm_os_move(target, source, size_of(region, to.from, to.to));
    size_t first = to.from + (m.moved >> region->own.page_shift);
    xvm_os_answer answer = DONE;

    *moved = m.moved;
    if (m.closed != 0)
        answer = reopen(region, (range){first, first + (m.closed >> region->own.page_shift)});
    if (answer.status != XVM_OK)
        memcpy(source, target, m.moved);
    return answer;
}

/* A range of writable pages, from so many bytes on. Where it cannot be discarded it is written. */
static void make_zero(xvm_region *region, range r, size_t done)
{
    r.from += done >> region->own.page_shift;
    if (!is_empty(r) && xvm_os_zero_range(region, r).status != XVM_OK)
        memset(address_of(region, r.from), 0, size_of(region, r.from, r.to));
}

static xvm_os_answer move_range(xvm_region *region, range to, range from)
{
    unsigned char *target = address_of(region, to.from), *source = address_of(region, from.from);
    xvm_os_answer answer = DONE;
    size_t done = 0;

    if (can_move(region, to, from))
        answer = move_pages(region, to, from, &done);
    if (answer.status != XVM_OK)
        return answer;
    memcpy(target + done, source + done, size_of(region, to.from, to.to) - done);
    make_zero(region, from, done);
    xvm_os_watch_lost(region, to.from, to.to);
    return DONE;
}

xvm_status xvm_move(xvm_region *region, size_t to, size_t from, size_t size)
{
    xvm_status status = XVM_E_INVALID;
    range target, source;

    if (find_range(region, to, size, WHOLE, &target) &&
        find_range(region, from, size, WHOLE, &source) && !overlap(target, source))
        status = check_pages(region, target, source);
    if (status != XVM_OK)
        return refuse(region, "move", XVM_OS_MOVE, size, status);
    if (is_empty(target))
        return XVM_OK;
    return answer_for(region, "move", XVM_OS_MOVE, size, move_range(region, target, source));
}

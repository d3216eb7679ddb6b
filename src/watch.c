/* watch.c - which pages of a region were written since the last look.
 *
 *     the system's own notes --fetch, reset--> | 0 1 1 0 0 0 1 | one bit for each page --> ranges
 *     what we do to pages    ------------------^
 *
 *   1  A page whose bit is set counts as written. A look fetches what the system has noted into the bits
 *      first, and reports from the bits alone: what is not reported stays.
 *   2  What takes contents away sets bits after it has: a look in between would report too early.
 *   3  Where the system has forgotten that pages are watched, by fork, or because somebody mapped over
 *      them, all of them count as written, and are watched anew.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aside.h"
#include "lock.h"
#include "range.h"
#include "watch.h"
#include "watched.h"
#include "xvm/watch.h"

enum { STRETCH = 1 << 14, GAP = 256, PIECES = 256 }; /* pages; pages; of one fetch */

/* --- asking the system ------------------------------------------------------------------------ */

/* What has to be tracked together: a part of a chunk would cost a sparse region mappings. */
static range whole_chunks(const xvm_os_watched *w, range r)
{
    unsigned shift = w->region->own.chunk_shift;

    if (!w->region->own.sparse)
        return r;
    return cut(w, (r.from >> shift) << shift, (((r.to - 1) >> shift) + 1) << shift);
}

static xvm_os_answer track(const xvm_os_watched *w, range r)
{
    r = whole_chunks(w, r);
    return xvm_os_track(w->method, address_of(w->region, r.from), size_of(w->region, r.from, r.to));
}

static bool is_by_protection(const xvm_os_watched *w)
{
    return w->method == XVM_WATCH_PROTECT;
}

static xvm_os_answer arm(xvm_os_watched *w, range r)
{
    void *start = address_of(w->region, r.from);
    size_t size = size_of(w->region, r.from, r.to);
    xvm_os_answer answer = xvm_os_arm(w->method, start, size);

    if (answer.status == XVM_E_NOT_FOUND)
        answer = track(w, r);
    else
        return answer;
    return answer.status == XVM_OK ? xvm_os_arm(w->method, start, size) : answer;
}

/* Of a range those pages that are committed count as written: others may look so to the system. */
static void set_committed(xvm_os_watched *w, range r)
{
    xvm_os_run run;

    for (size_t at = r.from; next_run(w->region, &at, r.to, COMMITTED, &run);)
        set_bits(w, run.from, run.to);
}

/* A piece of memory that was written, in pages, rounded outward: a page may be several of the
 * system's. */
static void note_piece(xvm_os_watched *w, const xvm_os_piece *piece)
{
    const unsigned char *base = w->region->base;
    size_t offset = (size_t)((const unsigned char *)piece->address - base);
    unsigned shift = w->region->own.page_shift;

    set_committed(w, (range){offset >> shift, ((offset + piece->size - 1) >> shift) + 1});
}

static xvm_os_answer arm_committed(xvm_os_watched *w, range r)
{
    xvm_os_answer answer = DONE;
    xvm_os_run run;

    for (size_t at = r.from;
         answer.status == XVM_OK && next_run(w->region, &at, r.to, COMMITTED, &run);)
        answer = arm(w, (range){run.from, run.to});
    return answer;
}

/* Fetches into the bits what was written of tracked pages. */
static xvm_os_answer fetch_pages(xvm_os_watched *w, range r, bool renews)
{
    unsigned char *at = address_of(w->region, r.from), *end = address_of(w->region, r.to);
    xvm_os_answer answer = DONE;
    xvm_os_piece pieces[PIECES];
    size_t count;
    void *next;

    for (; at < end && answer.status == XVM_OK; at = next) {
        answer = xvm_os_take_written(w->method, renews, at, (size_t)(end - at), pieces, PIECES,
                                     &count, &next);
        for (size_t i = 0; answer.status == XVM_OK && i < count; i++)
            note_piece(w, &pieces[i]);
    }
    if (answer.status != XVM_E_NOT_FOUND)
        return answer;
    set_committed(w, r);
    return arm_committed(w, r);
}

/* In a sparse region marks between two runs cost less than another call. */
static size_t gap_of(const xvm_os_watched *w)
{
    return w->region->own.sparse ? GAP : 0;
}

/* The handler of faults sets bits by itself. */
static xvm_os_answer fetch(xvm_os_watched *w, range r, bool renews)
{
    range pending = {r.from, r.from};
    xvm_os_answer answer = DONE;
    xvm_os_run run;

    if (is_by_protection(w))
        return DONE;
    for (size_t at = r.from;
         answer.status == XVM_OK && next_run(w->region, &at, r.to, COMMITTED, &run);) {
        if (!is_empty(pending) && run.from - pending.to > gap_of(w)) {
            answer = fetch_pages(w, pending, renews);
            pending.from = run.from;
        }
        pending.from = is_empty(pending) ? run.from : pending.from;
        pending.to = run.to;
    }
    return answer.status == XVM_OK && !is_empty(pending) ? fetch_pages(w, pending, renews) : answer;
}

static xvm_os_answer arm_all(xvm_os_watched *w)
{
    return is_by_protection(w) ? xvm_os_fault_arm(w, w->r) : arm_committed(w, w->r);
}

/* --- what others tell ------------------------------------------------------------------------- */

void xvm_os_watch_lost(xvm_region *region, size_t from, size_t to)
{
    xvm_os_watched *w = watch_of(region);
    range r;

    if (w == NULL)
        return;
    r = cut(w, from, to);
    set_bits(w, r.from, r.to);
}

/* The pages that a commit is about to note. */
static xvm_os_answer arm_fresh(xvm_os_watched *w, range r)
{
    xvm_os_run run = {r.from, r.to, XVM_READ_WRITE};

    return is_by_protection(w) ? xvm_os_fault_protect(w, XVM_OS_WATCH, &run, run.state) : arm(w, r);
}

void xvm_os_watch_fresh(xvm_region *region, size_t from, size_t to)
{
    xvm_os_watched *w = watch_of(region);
    int saved = xvm_os_get_error();
    range r;

    if (w == NULL)
        return;
    r = cut(w, from, to);
    if (!is_empty(r) && arm_fresh(w, r).status != XVM_OK)
        set_bits(w, r.from, r.to);
    xvm_os_set_error(saved);
}

/* What reads a page that was discarded would be taken for a writer where it is not armed. */
void xvm_os_watch_discarded(xvm_region *region, size_t from, size_t to)
{
    xvm_os_watched *w = watch_of(region);
    int saved = xvm_os_get_error();
    range r;

    if (w == NULL)
        return;
    r = cut(w, from, to);
    set_bits(w, r.from, r.to);
    if (!is_empty(r) && !is_by_protection(w))
        (void)arm(w, r);
    xvm_os_set_error(saved);
}

void xvm_os_watch_enter(const xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);

    if (w != NULL && is_by_protection(w))
        xvm_os_fault_lock(w);
}

void xvm_os_watch_leave(const xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);

    if (w != NULL && is_by_protection(w))
        xvm_os_fault_unlock(w);
}

xvm_os_answer xvm_os_watch_open(xvm_region *region, xvm_os_operation why, size_t from, size_t to)
{
    xvm_os_watched *w = watch_of(region);

    return w != NULL && is_by_protection(w) ? xvm_os_fault_open(w, why, cut(w, from, to)) : DONE;
}

xvm_os_answer xvm_os_watch_protect(xvm_region *region, xvm_os_operation why, const xvm_os_run *run,
                                   unsigned state)
{
    xvm_os_watched *w = watch_of(region);

    if (w == NULL || !is_by_protection(w) || !is_writable(state))
        return xvm_os_protect_run(region, why, run, state);
    return xvm_os_fault_protect(w, why, run, state);
}

bool xvm_os_watch_closes(const xvm_region *region)
{
    const xvm_os_watched *w = watch_of(region);

    return w != NULL && is_by_protection(w);
}

/* --- starting and ending ---------------------------------------------------------------------- */

static xvm_os_answer make_record(xvm_region *region, range r, xvm_watch_method method,
                                 xvm_os_watched **out)
{
    size_t words = (r.to - r.from + XVM_OS_BITS - 1) / XVM_OS_BITS;
    xvm_os_place place;
    xvm_os_answer answer = take_aside(sizeof(xvm_os_watched) + words * sizeof(size_t), &place);

    if (answer.status != XVM_OK)
        return answer;
    *out = place.base;
    **out = (xvm_os_watched){.region = region,
                             .method = method,
                             .r = r,
                             .slot = SIZE_MAX,
                             .os_base = place.os_base,
                             .os_size = place.os_size};
    return DONE;
}

static xvm_os_answer begin(xvm_os_watched *w)
{
    xvm_os_answer answer = is_by_protection(w) ? xvm_os_fault_enter(w) : track(w, w->r);

    return answer.status == XVM_OK ? arm_all(w) : answer;
}

/* Pages are what their states say. On failure what was not refused counts as written. */
static xvm_os_answer end(xvm_os_watched *w)
{
    if (is_by_protection(w))
        return xvm_os_fault_open(w, XVM_OS_WATCH, w->r);
    return xvm_os_untrack(w->method, address_of(w->region, w->r.from),
                          size_of(w->region, w->r.from, w->r.to));
}

static xvm_os_answer stop(xvm_region *region)
{
    xvm_os_answer answer = end(watch_of(region));

    return answer.status == XVM_OK ? xvm_os_watch_release(region) : answer;
}

/* A start was refused. Pages that nobody asks about may stay tracked; closed they may not. */
static void give_up(xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);

    if (end(w).status == XVM_OK || !is_by_protection(w))
        (void)xvm_os_watch_release(region);
}

/* The system's own watch has to be asked for when a region is reserved. */
static bool works(const xvm_region *region, xvm_watch_method method)
{
    if (region->own.huge == XVM_HUGE_MUST_EXPLICIT || LOAD(&region->own.mapped) != 0)
        return false;
    if (method == XVM_WATCH_SYSTEM && (region->own.flags & XVM_RESERVE_WATCHED) == 0)
        return false;
    return method == XVM_WATCH_PROTECT || xvm_os_can_track(method);
}

static xvm_os_answer start(xvm_region *region, range r, xvm_watch_method method)
{
    xvm_os_answer answer;
    xvm_os_watched *w;

    if (!works(region, method))
        return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
    answer = make_record(region, r, method, &w);
    if (answer.status != XVM_OK)
        return answer;
    STORE_RELEASE(&region->own.watch, (void *)w);
    answer = begin(w);
    if (answer.status != XVM_OK)
        give_up(region);
    return answer;
}

/* --- release ---------------------------------------------------------------------------------- */

static bool has_slot(const xvm_os_watched *w)
{
    return w != NULL && w->slot != SIZE_MAX;
}

void xvm_os_watch_pause(xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);

    if (has_slot(w))
        xvm_os_fault_pause(w);
}

void xvm_os_watch_return(xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);

    if (has_slot(w))
        xvm_os_fault_return(w);
}

/* Refused, the watch goes on as long as there are pages. */
xvm_os_answer xvm_os_watch_release(xvm_region *region)
{
    xvm_os_watched *w = watch_of(region);
    size_t slot = has_slot(w) ? w->slot : SIZE_MAX;
    xvm_os_answer answer;

    if (w == NULL)
        return DONE;
    xvm_os_watch_pause(region);
    answer = xvm_os_release(w->os_base, w->os_size);
    if (answer.status == XVM_OK) {
        STORE(&region->own.watch, (void *)NULL);
        xvm_os_fault_leave(slot);
    } else if (region->base != NULL) {
        xvm_os_watch_return(region);
    }
    return answer;
}

/* --- looking ---------------------------------------------------------------------------------- */

typedef struct report {
    xvm_os_watched *watch;
    xvm_range *ranges;
    size_t capacity, count, pages;
    bool resets, is_full;
} report;

/* Adds pages to the last range or as a new one; false: there is no room. */
static bool add(report *out, size_t from, size_t to)
{
    const xvm_region *region = out->watch->region;
    size_t offset = size_of(region, 0, from);
    xvm_range *last = out->count != 0 ? &out->ranges[out->count - 1] : NULL;

    if (last != NULL && last->offset + last->size == offset)
        last->size += size_of(region, from, to);
    else if (out->count == out->capacity)
        return false;
    else
        out->ranges[out->count++] = (xvm_range){offset, size_of(region, from, to)};
    out->pages += to - from;
    return true;
}

/* Pages that have been reported start anew. What the system notes has been renewed by the fetch. */
static xvm_os_answer renew(xvm_os_watched *w, range r)
{
    clear_bits(w, r.from, r.to);
    return is_by_protection(w) ? xvm_os_fault_arm(w, r) : DONE;
}

static xvm_os_answer report_bits(report *out, range r)
{
    xvm_os_watched *w = out->watch;
    xvm_os_answer answer = DONE;
    range found;

    for (found.to = r.from; answer.status == XVM_OK;) {
        found.from = find_bit(w, found.to, r.to, true);
        found.to = find_bit(w, found.from, r.to, false);
        if (is_empty(found))
            break;
        out->is_full = !add(out, found.from, found.to);
        if (out->is_full)
            break;
        if (out->resets)
            answer = renew(w, found);
    }
    return answer;
}

/* What was reported and reset counts again. */
static void take_back(report *out)
{
    unsigned shift = out->watch->region->own.page_shift;

    for (size_t i = 0; out->resets && i < out->count; i++) {
        size_t from = out->ranges[i].offset >> shift;

        set_bits(out->watch, from, from + (out->ranges[i].size >> shift));
    }
    out->count = 0;
}

static xvm_os_answer look(report *out)
{
    xvm_os_watched *w = out->watch;
    int saved = xvm_os_get_error();
    xvm_os_answer answer = DONE;

    for (size_t at = w->r.from, end; at < w->r.to && !out->is_full; at = end) {
        end = w->r.to - at < STRETCH ? w->r.to : at + STRETCH;
        answer = fetch(w, (range){at, end}, out->resets);
        if (answer.status == XVM_OK)
            answer = report_bits(out, (range){at, end});
        if (answer.status != XVM_OK)
            break;
    }
    if (answer.status != XVM_OK)
        take_back(out);
    else
        xvm_os_set_error(saved); /* of pages that had to be tracked anew */
    return answer;
}

/* --- public calls ----------------------------------------------------------------------------- */

static xvm_status start_first(xvm_region *region, size_t offset, size_t size,
                              const xvm_watch_method *methods, size_t count)
{
    xvm_os_answer answer = {XVM_E_INVALID, 0};
    int saved = xvm_os_get_error();
    range r;

    if (find_range(region, offset, size, OUTWARD, &r) && !is_empty(r))
        answer.status = is_watched(region) ? XVM_E_EXISTS : XVM_E_UNSUPPORTED;
    for (size_t i = 0; answer.status == XVM_E_UNSUPPORTED && i < count; i++)
        answer = start(region, r, methods[i]);
    if (answer.status == XVM_OK)
        xvm_os_set_error(saved); /* of a method that was refused */
    return answer_for(region, "watch_start", XVM_OS_WATCH, size, answer);
}

xvm_status xvm_watch_start(xvm_region *region, size_t offset, size_t size)
{
    static const xvm_watch_method best[] = {XVM_WATCH_SYSTEM, XVM_WATCH_USERFAULT,
                                            XVM_WATCH_PROTECT};

    return start_first(region, offset, size, best, sizeof best / sizeof *best);
}

xvm_status xvm_watch_start_by(xvm_region *region, size_t offset, size_t size,
                              xvm_watch_method method)
{
    if (method <= XVM_WATCH_NONE || method > XVM_WATCH_PROTECT)
        return refuse(region, "watch_start", XVM_OS_WATCH, size, XVM_E_INVALID);
    return start_first(region, offset, size, &method, 1);
}

xvm_status xvm_watch_collect(xvm_region *region, xvm_watch_reset reset, xvm_range *ranges,
                             size_t capacity, size_t *count)
{
    report out = {.ranges = ranges, .capacity = capacity, .resets = reset == XVM_WATCH_RESET};
    xvm_os_answer answer = {XVM_E_INVALID, 0};

    if (count != NULL)
        *count = 0;
    if (region != NULL && count != NULL && ranges != NULL && capacity != 0 &&
        (unsigned)reset <= XVM_WATCH_RESET)
        answer.status = is_watched(region) ? XVM_OK : XVM_E_NOT_FOUND;
    if (answer.status == XVM_OK) {
        out.watch = region->own.watch;
        answer = look(&out);
    }
    if (answer.status != XVM_OK)
        return answer_for(region, "watch_collect", XVM_OS_WATCH, capacity, answer);
    *count = out.count;
    out.watch->looks++;
    out.watch->reported += out.pages;
    return XVM_OK;
}

xvm_status xvm_watch_stop(xvm_region *region)
{
    if (region == NULL)
        return refuse(NULL, "watch_stop", XVM_OS_WATCH, 0, XVM_E_INVALID);
    if (!is_watched(region))
        return XVM_OK;
    return answer_for(region, "watch_stop", XVM_OS_WATCH, 0, stop(region));
}

void xvm_watch_look(const xvm_region *region, xvm_watch_info *out)
{
    const xvm_os_watched *w;

    if (out == NULL)
        return;
    *out = (xvm_watch_info){0};
    if (region == NULL || !is_watched(region))
        return;
    w = region->own.watch;
    *out = (xvm_watch_info){.method = w->method,
                            .offset = size_of(region, 0, w->r.from),
                            .size = size_of(region, w->r.from, w->r.to),
                            .sees_system_writes = w->method != XVM_WATCH_PROTECT,
                            .looks = w->looks,
                            .pages_reported = w->reported,
                            .faults_taken = LOAD(&w->faults),
                            .bookkeeping = w->os_size};
}

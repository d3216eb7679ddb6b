/* query.c - what an address is, and the whole address space: what regions know of their pages, and
 * what the system says of the rest.
 *
 *     the system   |  mapping  |         |    mapping    |  mapping  |
 *     regions      |           |    | R | R |   W  | R | |           |
 *     spans        |  mapping  |free| R | R |   W  | R |m|  mapping  |  free  |
 *
 *   1  Within a region only the region counts: the system may have joined its pages with those of a
 *      neighbour, and cannot tell what is committed without access from what is reserved. But where
 *      one view ends and the next one begins, and what may be done with them, only the system knows.
 *   2  A walk takes the system's mappings in their order, and never goes back: each span begins
 *      where the one before ended, whatever other threads do meanwhile.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "os.h"
#include "pagemap.h"
#include "pages.h"
#include "register.h"
#include "xvm/region.h"
#include "xvm/system.h"

/* A span by its ends. */
static xvm_span span_between(uintptr_t from, uintptr_t to)
{
    return (xvm_span){
        .base = (void *)from, .size = to - from, .state = XVM_FREE, .protection = XVM_NO_ACCESS};
}

/* Of these the system is asked how much is in memory. */
static bool has_memory(xvm_state state)
{
    return state == XVM_COMMITTED || state == XVM_MAPPED;
}

static xvm_span span_of_region(const xvm_os_found *found)
{
    unsigned protection = found->state & XVM_OS_STATE_PROTECTION;
    xvm_span span = span_between(found->from, found->to);

    span.name = found->name;
    span.locked = (found->state & XVM_OS_STATE_LOCKED) != 0 ? span.size : 0;
    if (found->state == XVM_OS_STATE_MAPPED) {
        span.state = XVM_MAPPED;
    } else if ((found->state & XVM_OS_STATE_GUARD) != 0) {
        span.state = XVM_GUARD;
    } else if (protection == XVM_OS_STATE_RESERVED) {
        span.state = XVM_RESERVED;
    } else {
        span.state = XVM_COMMITTED;
        span.protection = (xvm_protection)protection;
    }
    return span;
}

static xvm_span span_of_system(uintptr_t from, uintptr_t to, const xvm_os_mapping *m)
{
    xvm_span span = span_between(from, to);

    span.state = m->state;
    if (has_memory(m->state))
        span.protection = m->protection;
    return span;
}

static uintptr_t earlier(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

static uintptr_t later(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

/* Behind the last address that a process may have; 0 where the system does not tell. */
static uintptr_t top(void)
{
    uintptr_t highest = xvm_system()->highest_address;
    uintptr_t end = round_up(highest, xvm_os_get_facts().page_size);

    return end < highest ? UINTPTR_MAX : end;
}

/* --- one address ------------------------------------------------------------------------------ */

/* The view around an address in pages that a region knows to be mapped. */
static xvm_os_answer ask_for_view(const void *address, const xvm_os_found *mapped, xvm_span *out)
{
    xvm_os_found view = *mapped;
    xvm_os_mapping m;
    xvm_os_answer answer = xvm_os_find_mapping(address, &m);

    if (answer.status != XVM_OK)
        return answer;
    view.from = later(m.base, mapped->from);
    view.to = earlier(m.base + m.size, mapped->to);
    *out = span_of_region(&view);
    out->protection = m.protection;
    return answer;
}

/* Outside of all regions, which begin and end where between does. */
static xvm_os_answer ask_system(const void *address, const xvm_os_found *between, xvm_span *out)
{
    uintptr_t end = top(), from, to;
    xvm_os_mapping m;
    xvm_os_answer answer = xvm_os_find_mapping(address, &m);

    if (answer.status != XVM_OK)
        return answer;
    from = later(m.base, between->from);
    to = earlier(m.base + m.size, between->to);
    if (m.state == XVM_FREE && end != 0) {
        if ((uintptr_t)address >= end)
            return (xvm_os_answer){XVM_E_INVALID, 0};
        to = earlier(to, end);
    }
    *out = span_of_system(from, to, &m);
    return answer;
}

xvm_status xvm_query(const void *address, xvm_span *out)
{
    xvm_os_site site = {.call = "query", .operation = XVM_OS_QUERY, .address = address};
    xvm_os_answer answer = {XVM_OK, 0};
    xvm_os_found found;

    if (out == NULL)
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_INVALID, 0});
    *out = (xvm_span){0};
    if (!xvm_os_register_find((uintptr_t)address, &found))
        answer = ask_system(address, &found, out);
    else if (found.state == XVM_OS_STATE_MAPPED)
        answer = ask_for_view(address, &found, out);
    else
        *out = span_of_region(&found);
    if (has_memory(out->state))
        out->resident = xvm_os_resident(out->base, out->size);
    return xvm_os_fail_at(&site, answer);
}

/* --- a run of a region ------------------------------------------------------------------------ */

xvm_status xvm_region_run(const xvm_region *region, size_t offset, xvm_run *out)
{
    xvm_os_site site = {.call = "region_run", .operation = XVM_OS_QUERY, .size = offset};
    xvm_os_found found;
    xvm_span span;
    xvm_os_run run;

    if (out != NULL)
        *out = (xvm_run){0};
    if (out == NULL || region == NULL || offset >= region->size)
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_INVALID, 0});
    run = xvm_os_pagemap_run(region, offset >> region->own.page_shift, region->own.pages);
    found = (xvm_os_found){.from = run.from << region->own.page_shift,
                           .to = run.to << region->own.page_shift,
                           .state = run.state};
    span = span_of_region(&found);
    *out = (xvm_run){found.from, span.size, span.state, span.protection, span.locked};
    return XVM_OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

typedef struct walk {
    xvm_span_visitor visit;
    void *context;
    uintptr_t at; /* everything below has been visited */
    bool is_over; /* visit has ended it */
    xvm_os_ahead ahead;
} walk;

/* All up to end: of regions what they know, in whole runs, even when the last of them goes on behind
 * end; of the rest, and of views, that it is m. */
static void cover(walk *w, uintptr_t end, const xvm_os_mapping *m)
{
    xvm_os_found found;
    xvm_span span;

    while (w->at < end && !w->is_over) {
        if (xvm_os_register_find(w->at, &found)) {
            found.from = w->at;
            if (found.state == XVM_OS_STATE_MAPPED)
                found.to = earlier(found.to, end);
            span = span_of_region(&found);
            if (span.state == XVM_MAPPED)
                span.protection = m->protection;
        } else {
            found.to = earlier(found.to, end);
            span = span_of_system(w->at, found.to, m);
        }
        if (has_memory(span.state))
            span.resident = xvm_os_resident_ahead(span.base, span.size, &w->ahead);
        w->at = found.to;
        w->is_over = w->visit(&span, w->context) != 0;
    }
}

static const xvm_os_mapping nothing = {0, 0, XVM_FREE, XVM_NO_ACCESS};

static int cover_mapping(const xvm_os_mapping *m, void *context)
{
    walk *w = context;

    cover(w, m->base, &nothing);
    cover(w, m->base + m->size, m);
    return w->is_over;
}

xvm_status xvm_walk(xvm_span_visitor visit, void *context)
{
    xvm_os_site site = {.call = "walk", .operation = XVM_OS_QUERY};
    walk w = {.visit = visit, .context = context};
    xvm_os_answer answer;

    if (visit == NULL)
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_INVALID, 0});
    answer = xvm_os_walk_mappings(cover_mapping, &w);
    if (answer.status == XVM_OK)
        cover(&w, top(), &nothing);
    return xvm_os_fail_at(&site, answer);
}

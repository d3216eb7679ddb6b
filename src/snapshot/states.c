/* states.c - which pages were committed, reserved or guards, and how they become so again. The picture is
 * in snapshot.h.
 *
 *     now     | committed | reserved | guard | reserved      |
 *     then    | committed     | reserved     | committed     |
 *     give                |###|              |###############|   first: it may be refused
 *     take away                   |## guard #|                   last: its bytes are lost
 */
#include <string.h>

#include "snapshot.h"

/* --- what there is ---------------------------------------------------------------------------- */

/* The run of the region that page is in, in pages of ours. */
static stretch run_at(const xvm_snapshots *s, uint32_t page, xvm_protection *protection)
{
    size_t at = s->offset + ((size_t)page << s->page_shift), end;
    xvm_run run;

    (void)xvm_region_run(s->region, at, &run);
    end = (run.offset + run.size - s->offset) >> s->page_shift;
    *protection = run.protection;
    return (stretch){end < s->pages ? (uint32_t)end : s->pages, (uint32_t)run.state};
}

/* All states move to the front; those that snapshots share stay shared. */
static void squeeze(xvm_snapshots *s)
{
    part states = {0, 0};
    size_t last = SIZE_MAX;

    spin_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++) {
        if (s->shots[i].states.from != last) {
            last = s->shots[i].states.from;
            states = (part){states.from + states.count, s->shots[i].states.count};
            memmove(stretches_of(s, states), stretches_of(s, s->shots[i].states),
                    states.count * sizeof(stretch));
        }
        s->shots[i].states = states;
    }
    s->stretch_end = states.from + states.count;
    spin_unlock(&s->lock);
}

static bool has_gaps(const xvm_snapshots *s)
{
    size_t used = 0;

    for (size_t i = 0; i < s->count; i++)
        if (i == 0 || s->shots[i].states.from != s->shots[i - 1].states.from)
            used += s->shots[i].states.count;
    return s->stretch_end > used + used / 4;
}

static xvm_status add(xvm_snapshots *s, part *states, stretch next)
{
    size_t end = states->from + states->count;
    xvm_status status;

    if (states->count != 0 && stretches_of(s, *states)[states->count - 1].state == next.state) {
        stretches_of(s, *states)[states->count - 1].end = next.end;
        return XVM_OK;
    }
    status = xvm_growth_reach(&s->stretches, (end + 1) * sizeof(stretch));
    if (status == XVM_OK)
        stretches_of(s, *states)[states->count++] = next;
    return status;
}

/* Tables for so many pages. */
static xvm_status extend(xvm_snapshots *s, uint32_t extent)
{
    size_t bits = ((size_t)extent / 64 + 1) * sizeof(uint64_t);
    xvm_status status = xvm_growth_reach(&s->table, extent * sizeof(uint32_t));

    if (status == XVM_OK)
        status = xvm_growth_reach(&s->wanted, extent * sizeof(uint32_t));
    if (status == XVM_OK)
        status = xvm_growth_reach(&s->ranges, extent * sizeof(entry));
    if (status == XVM_OK)
        status = xvm_growth_reach(&s->pending, bits);
    if (status == XVM_OK)
        status = xvm_growth_reach(&s->changed, bits);
    if (status != XVM_OK)
        return status;
    spin_lock(&s->lock);
    s->extent = extent;
    spin_unlock(&s->lock);
    return XVM_OK;
}

xvm_status xvm_os_snapshots_look(xvm_snapshots *s, part *states)
{
    xvm_status status = XVM_OK;
    xvm_protection protection;
    uint32_t extent = 0;
    stretch run = {0, 0};

    if (has_gaps(s))
        squeeze(s);
    *states = (part){s->stretch_end, 0};
    while (status == XVM_OK && run.end < s->pages) {
        run = run_at(s, run.end, &protection);
        if (run.state == XVM_COMMITTED)
            extent = run.end;
        status = add(s, states, run);
    }
    return status == XVM_OK && extent > s->extent ? extend(s, extent) : status;
}

/* --- what differs ----------------------------------------------------------------------------- */

bool xvm_os_snapshots_next_piece(const xvm_snapshots *s, part a, part b, piece *p)
{
    const stretch *first = stretches_of(s, a), *second = stretches_of(s, b);

    for (p->from = p->to; p->from < s->pages; p->from = p->to) {
        while (first[p->i].end <= p->from)
            p->i++;
        while (second[p->j].end <= p->from)
            p->j++;
        p->to = first[p->i].end < second[p->j].end ? first[p->i].end : second[p->j].end;
        p->a = (xvm_state)first[p->i].state;
        p->b = (xvm_state)second[p->j].state;
        if (p->a != p->b)
            return true;
    }
    return false;
}

void xvm_os_snapshots_mark_states(xvm_snapshots *s, part now, part then)
{
    piece p = {0};

    while (xvm_os_snapshots_next_piece(s, now, then, &p) && p.from < s->extent)
        if (p.b == XVM_COMMITTED)
            xvm_os_snapshots_set_bits(bits_of(&s->changed), p.from,
                                      p.to < s->extent ? p.to : s->extent);
}

bool xvm_os_snapshots_may(const xvm_snapshots *s, xvm_os_snapshots_access access, part states)
{
    const stretch *wanted = stretches_of(s, states);
    xvm_protection protection;
    bool closed;

    for (uint32_t at = 0, end; at < s->extent; at = end) {
        stretch run = run_at(s, at, &protection);

        while (wanted->end <= at)
            wanted++;
        end = run.end < wanted->end ? run.end : wanted->end;
        if (end > s->extent)
            end = s->extent;
        closed = access == XVM_OS_SNAPSHOTS_READ
                     ? protection == XVM_NO_ACCESS
                     : protection != XVM_READ_WRITE && protection != XVM_READ_WRITE_EXECUTE;
        if (closed && run.state == XVM_COMMITTED && wanted->state == XVM_COMMITTED &&
            next_bit(bits_of(&s->changed), at, end) != end)
            return false;
    }
    return true;
}

/* --- making it so ----------------------------------------------------------------------------- */

xvm_status xvm_os_snapshots_give(xvm_snapshots *s, part before, part states)
{
    piece p = {0};
    xvm_status status = XVM_OK;

    while (status == XVM_OK && xvm_os_snapshots_next_piece(s, before, states, &p))
        if (p.b == XVM_COMMITTED)
            status = xvm_commit(s->region, s->offset + (p.from << s->page_shift),
                                (p.to - p.from) << s->page_shift);
    if (status != XVM_OK)
        xvm_os_snapshots_take_away(s, before);
    return status;
}

/* What is not taken, because the system refuses or because it is a part of a huge page, is zero at
 * least. */
static void clear(xvm_snapshots *s, uint32_t from, uint32_t to)
{
    xvm_protection protection;
    size_t offset, size;

    for (stretch run = {from, 0}; run.end < to; from = run.end) {
        run = run_at(s, run.end, &protection);
        if (run.end > to)
            run.end = to;
        offset = s->offset + ((size_t)from << s->page_shift);
        size = (size_t)(run.end - from) << s->page_shift;
        if (run.state == XVM_COMMITTED &&
            (!s->discards || xvm_discard(s->region, offset, size, XVM_DISCARD_ZERO) != XVM_OK) &&
            (protection == XVM_READ_WRITE || protection == XVM_READ_WRITE_EXECUTE))
            memset((unsigned char *)s->region->base + offset, 0, size);
    }
}

static bool is_so(const xvm_snapshots *s, uint32_t from, uint32_t to, xvm_state state)
{
    xvm_protection protection;

    for (stretch run = {from, 0}; run.end < to;) {
        run = run_at(s, run.end, &protection);
        if (run.state != (uint32_t)state)
            return false;
    }
    return true;
}

static void take_stretch(xvm_snapshots *s, uint32_t from, uint32_t to, xvm_state state)
{
    size_t offset = s->offset + ((size_t)from << s->page_shift);
    size_t size = (size_t)(to - from) << s->page_shift;

    if (is_so(s, from, to, state))
        return;
    if (state == XVM_GUARD)
        (void)xvm_guard(s->region, offset, size);
    else
        (void)xvm_decommit(s->region, offset, size);
    clear(s, from, to);
}

void xvm_os_snapshots_take_away(xvm_snapshots *s, part states)
{
    const stretch *at = stretches_of(s, states);

    for (uint32_t from = 0; from < s->pages; from = (at++)->end)
        if (at->state != XVM_COMMITTED)
            take_stretch(s, from, at->end, (xvm_state)at->state);
}

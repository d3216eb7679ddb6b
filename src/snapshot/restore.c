/* restore.c - a region becomes what it was. The picture is in snapshot.h.
 *
 *     look, gather, compare --> may it be written? --> give pages --> copy --> take pages away --> forget
 *     every step that can fail                                  |
 */
#include <string.h>

#include "snapshot.h"
#include "tell.h"

enum { WORTH_DISCARDING = 16 }; /* pages of zeros in a row: fewer are written */

/* --- where bytes are -------------------------------------------------------------------------- */

/* The slot of each page that has changed, as of a snapshot. */
static void find_slots(xvm_snapshots *s, size_t index)
{
    const uint64_t *changed = bits_of(&s->changed);
    uint32_t *table = slots_of(&s->table), *wanted = slots_of(&s->wanted);

    for (size_t page = next_bit(changed, 0, s->extent); page < s->extent;
         page = next_bit(changed, page + 1, s->extent))
        wanted[page] = table[page];
    for (size_t k = s->count - 1; k-- > index;) {
        const entry *log = entries_of(s, s->shots[k].log);

        for (size_t i = 0; i < s->shots[k].log.count; i++)
            wanted[log[i].page] = log[i].slot;
    }
}

/* --- bytes ------------------------------------------------------------------------------------ */

static bool discard_zeros(xvm_snapshots *s, size_t from, size_t to)
{
    return to - from >= WORTH_DISCARDING && s->discards &&
           xvm_discard(s->region, s->offset + (from << s->page_shift), (to - from) << s->page_shift,
                       XVM_DISCARD_ZERO) == XVM_OK;
}

/* Writing zeros would give them memory. Written they are page by page: qemu 7.2 forgets bytes of a memset that
 * faults in its middle, where pages are watched by protection. */
static void write_zeros(xvm_snapshots *s, size_t from, size_t to)
{
    s->last += (to - from) << s->page_shift;
    if (discard_zeros(s, from, to))
        return;
    for (; from < to; from++)
        memset(page_at(s, from), 0, s->page_size);
}

static void copy_back(xvm_snapshots *s, size_t page, uint32_t slot)
{
    memcpy(page_at(s, page), slot_at(s, slot), s->page_size);
    s->last += s->page_size;
}

/* Pages that are to be committed, and were so before or not. */
static void write_stretch(xvm_snapshots *s, size_t from, size_t to, bool fresh)
{
    const uint64_t *changed = bits_of(&s->changed);
    const uint32_t *wanted = slots_of(&s->wanted);
    size_t end;

    for (size_t page = next_bit(changed, from, to); page < to; page = next_bit(changed, end, to)) {
        end = page + 1;
        if (wanted[page] != 0) {
            size_t next = next_bit(changed, end, to);

            if (next < to && wanted[next] != 0)
                read_ahead(slot_at(s, wanted[next]));
            copy_back(s, page, wanted[page]);
            continue;
        }
        while (end < to && has_bit(changed, end) && wanted[end] == 0)
            end++;
        if (!fresh)
            write_zeros(s, page, end);
    }
}

static void write_pages(xvm_snapshots *s, part before, part states)
{
    const stretch *was = stretches_of(s, before), *is = stretches_of(s, states);
    size_t end;

    for (size_t from = 0; from < s->extent; from = end) {
        while (was->end <= from)
            was++;
        while (is->end <= from)
            is++;
        end = was->end < is->end ? was->end : is->end;
        if (end > s->extent)
            end = s->extent;
        if (is->state == XVM_COMMITTED)
            write_stretch(s, from, end, was->state != XVM_COMMITTED);
    }
}

/* Code that was written is what runs. */
static void flush_code(xvm_snapshots *s)
{
    size_t end = s->offset + ((size_t)s->extent << s->page_shift);
    xvm_run run = {.offset = s->offset};

    for (size_t at = s->offset; at < end; at = run.offset + run.size)
        if (xvm_region_run(s->region, at, &run) == XVM_OK &&
            run.protection == XVM_READ_WRITE_EXECUTE)
            (void)xvm_flush_code(s->region, run.offset, run.size);
}

/* A tool that thinks of blocks which are not there any more, or of such as are there again. */
static void tell_live(const xvm_snapshots *s, part states)
{
    const stretch *at = stretches_of(s, states);

    for (size_t from = 0; s->listens && from < s->pages; from = (at++)->end)
        if (at->state == XVM_COMMITTED)
            xvm_os_tell_live(page_at(s, from), (at->end - from) << s->page_shift);
}

/* --- the calls -------------------------------------------------------------------------------- */

/* What was written here is no change. What else the watch tells stays pending; what it does not tell
 * now, it will. */
static void forget_changes(xvm_snapshots *s)
{
    size_t words = (size_t)s->extent / 64 + 1;

    memset(s->pending.base, 0, words * sizeof(uint64_t));
    if (xvm_os_snapshots_gather(s, XVM_WATCH_RESET) != XVM_OK)
        return;
    for (size_t i = 0; i < words; i++)
        bits_of(&s->pending)[i] &= ~bits_of(&s->changed)[i];
}

static xvm_status restore_at(xvm_snapshots *s, size_t index, const char *call)
{
    part before, states = s->shots[index].states;
    xvm_status status = xvm_os_snapshots_look(s, &before);

    if (status == XVM_OK)
        status = xvm_os_snapshots_gather(s, XVM_WATCH_KEEP);
    if (status != XVM_OK)
        return status;
    states = s->shots[index].states;
    xvm_os_snapshots_compare(s, index, before);
    if (!xvm_os_snapshots_may(s, XVM_OS_SNAPSHOTS_WRITE, states))
        return refuse(s, call, XVM_E_PERMISSION);
    status = xvm_os_snapshots_give(s, before, states);
    if (status != XVM_OK)
        return status;
    s->last = 0;
    tell_live(s, states);
    find_slots(s, index);
    write_pages(s, before, states);
    flush_code(s);
    xvm_os_snapshots_take_away(s, states);
    forget_changes(s);
    s->at = index;
    return XVM_OK;
}

static xvm_status restore(xvm_snapshots *s, uint64_t id, const char *call, size_t *index)
{
    if (s == NULL)
        return refuse(s, call, XVM_E_INVALID);
    xvm_os_snapshots_sweep(s);
    *index = xvm_os_snapshots_find(s, id);
    if (*index == s->count)
        return refuse(s, call, XVM_E_NOT_FOUND);
    return restore_at(s, *index, call);
}

xvm_status xvm_snapshots_restore(xvm_snapshots *s, uint64_t id)
{
    size_t index;

    return restore(s, id, "snapshots_restore", &index);
}

xvm_status xvm_snapshots_rewind(xvm_snapshots *s, uint64_t id)
{
    size_t index;
    xvm_status status = restore(s, id, "snapshots_rewind", &index);

    if (status != XVM_OK)
        return status;
    spin_lock(&s->lock);
    for (size_t i = s->count; --i > index;)
        if (!s->shots[i].dropped)
            xvm_os_snapshots_drop_at(s, i);
    spin_unlock(&s->lock);
    return XVM_OK;
}

/* take.c - a snapshot is taken: what may have been written is copied, and what was there before goes into
 * the log of the snapshot before. The picture is in snapshot.h.
 *
 *     the watch, pending, logs --> changed --> count --> room --> copy --> log, table
 *                                              every step that can fail |
 */
#include <string.h>

#include "snapshot.h"

/* What a take needs. */
typedef struct need {
    size_t slots, entries;
    size_t replaced; /* slots that are not needed any more when no snapshot is left */
    size_t drops;    /* so many oldest snapshots have to go */
    size_t more;     /* slots that are not there yet */
} need;

/* --- what has changed ------------------------------------------------------------------------- */

/* Pages of ours among those that the watch tells. */
static void add_ranges(xvm_snapshots *s, size_t count)
{
    const xvm_range *ranges = (const xvm_range *)(void *)s->ranges.base;
    uint64_t *pending = bits_of(&s->pending);
    size_t from, to;

    for (size_t i = 0; i < count; i++) {
        from = (ranges[i].offset - s->offset) >> s->page_shift;
        to = from + (ranges[i].size >> s->page_shift);
        if (from < s->extent)
            xvm_os_snapshots_set_bits(pending, from, to < s->extent ? to : s->extent);
    }
}

xvm_status xvm_os_snapshots_gather(xvm_snapshots *s, xvm_watch_reset reset)
{
    size_t capacity, count = 0;
    xvm_status status = xvm_growth_reach(&s->ranges, s->page_size);

    while (status == XVM_OK) {
        capacity = s->ranges.committed / sizeof(xvm_range);
        status = xvm_watch_collect(s->region, reset, (xvm_range *)(void *)s->ranges.base, capacity,
                                   &count);
        if (status == XVM_OK)
            add_ranges(s, count);
        if (status != XVM_OK || count < capacity)
            break;
        if (reset == XVM_WATCH_KEEP)
            status = xvm_growth_reach(&s->ranges, 2 * s->ranges.committed);
    }
    return status;
}

void xvm_os_snapshots_compare(xvm_snapshots *s, size_t index, part now)
{
    size_t from = s->at < index ? s->at : index, to = s->at < index ? index : s->at;

    memcpy(s->changed.base, s->pending.base, ((size_t)s->extent / 64 + 1) * sizeof(uint64_t));
    if (s->count == 0)
        return;
    xvm_os_snapshots_mark_logs(s, from, to);
    xvm_os_snapshots_mark_states(s, now, s->shots[index].states);
}

/* --- counting --------------------------------------------------------------------------------- */

static size_t end_of(const xvm_snapshots *s, const stretch *at)
{
    return at->end < s->extent ? at->end : s->extent;
}

/* Committed pages that have changed: all of them, or those that are not zero. */
static size_t count_copies(const xvm_snapshots *s, part now, bool exact)
{
    const stretch *at = stretches_of(s, now);
    const uint64_t *changed = bits_of(&s->changed);
    size_t count = 0, end;

    for (size_t from = 0; from < s->extent; from = (at++)->end) {
        end = end_of(s, at);
        if (at->state == XVM_COMMITTED)
            for (size_t page = next_bit(changed, from, end); page < end;
                 page = next_bit(changed, page + 1, end))
                count += !exact || !xvm_os_snapshots_is_zero(s, page);
    }
    return count;
}

static need count_need(const xvm_snapshots *s, part now)
{
    const uint64_t *changed = bits_of(&s->changed);
    need n = {.slots = count_copies(s, now, false)};

    for (size_t page = next_bit(changed, 0, s->extent); page < s->extent;
         page = next_bit(changed, page + 1, s->extent)) {
        n.entries++;
        n.replaced += slots_of(&s->table)[page] != 0;
    }
    return n;
}

/* --- room ------------------------------------------------------------------------------------- */

static size_t count_slots(const xvm_snapshots *s, part log)
{
    const entry *e = entries_of(s, log);
    size_t count = 0;

    for (size_t i = 0; i < log.count; i++)
        count += e[i].slot != 0;
    return count;
}

/* Which oldest snapshots have to go, and what has to be had besides. False: it cannot be. */
static bool plan(const xvm_snapshots *s, need *n)
{
    size_t entries = xvm_os_snapshots_entries(s) + n->entries, freed = 0;
    size_t free = s->free_count + (size_t)(s->slot_most - s->slot_end);
    size_t most = s->entries.reserved / sizeof(entry);

    if (s->count == 0)
        freed = n->replaced;
    for (n->drops = 0; n->drops < s->count && s->shots[n->drops].saving == 0; n->drops++) {
        if (free + freed >= n->slots && entries <= most && s->living - n->drops < s->most)
            break;
        freed += n->drops == s->count - 1 ? n->replaced : count_slots(s, s->shots[n->drops].log);
        entries -= s->shots[n->drops].log.count;
    }
    freed += s->free_count;
    n->more = n->slots > freed ? n->slots - freed : 0;
    return n->more <= (size_t)(s->slot_most - s->slot_end) &&
           (entries <= most || n->drops == s->count);
}

/* Oldest snapshots go; of too many, one that is being saved is only called dropped. */
static void carry_out(xvm_snapshots *s, const need *n)
{
    size_t oldest = 0;

    for (size_t i = 0; i < n->drops; i++)
        xvm_os_snapshots_drop_at(s, 0);
    while (s->living >= s->most && s->shots[oldest].dropped)
        oldest++;
    if (s->living >= s->most)
        xvm_os_snapshots_drop_at(s, oldest);
}

/* What replaced pages had, when no snapshot needs it. */
static void free_replaced(xvm_snapshots *s)
{
    const uint64_t *changed = bits_of(&s->changed);
    uint32_t *table = slots_of(&s->table);

    for (size_t page = next_bit(changed, 0, s->extent); page < s->extent;
         page = next_bit(changed, page + 1, s->extent)) {
        xvm_os_snapshots_free_slot(s, table[page]);
        table[page] = 0;
    }
}

/* Pages are not looked at where all of them can be copied without more memory, and without dropping
 * more than is too many. */
static bool is_easy(const xvm_snapshots *s, const need *n)
{
    return n->more == 0 && n->drops == (s->living >= s->most);
}

/* A save may begin at any time; then there is another plan. */
static xvm_status make_room(xvm_snapshots *s, part now, need *n)
{
    xvm_status status = XVM_OK;
    bool exact = false, possible, ready = false;

    while (status == XVM_OK && !ready) {
        spin_lock(&s->lock);
        possible = s->count < s->room && plan(s, n);
        ready = possible && xvm_os_snapshots_has_slots(s, n->more) && (exact || is_easy(s, n));
        if (ready)
            carry_out(s, n);
        spin_unlock(&s->lock);
        if (ready)
            break;
        if (!exact)
            n->slots = count_copies(s, now, true);
        else if (!possible)
            status = refuse(s, "snapshots_take", XVM_E_ADDRESS_SPACE);
        else
            status = xvm_os_snapshots_reach_slots(s, n->more);
        exact = true;
    }
    return status;
}

/* --- copying ---------------------------------------------------------------------------------- */

static void copy_stretch(xvm_snapshots *s, size_t from, size_t to, bool committed)
{
    const uint64_t *changed = bits_of(&s->changed);
    uint32_t *wanted = slots_of(&s->wanted);

    for (size_t page = next_bit(changed, from, to), next; page < to; page = next) {
        next = next_bit(changed, page + 1, to);
        if (committed && next < to)
            read_ahead(page_at(s, next));
        wanted[page] =
            committed && !xvm_os_snapshots_is_zero(s, page) ? xvm_os_snapshots_copy(s, page) : 0;
    }
}

static void copy_pages(xvm_snapshots *s, part now)
{
    const stretch *at = stretches_of(s, now);

    for (size_t page = 0; page < s->extent; page = (at++)->end)
        copy_stretch(s, page, end_of(s, at), at->state == XVM_COMMITTED);
    xvm_os_snapshots_copied();
}

/* The table is that of the new snapshot; what it had there, the one before had. */
static void write_log(xvm_snapshots *s, shot *before)
{
    const uint64_t *changed = bits_of(&s->changed);
    uint32_t *table = slots_of(&s->table), *wanted = slots_of(&s->wanted);
    entry *log = (entry *)(void *)s->entries.base + s->entry_end;
    size_t count = 0;

    for (size_t page = next_bit(changed, 0, s->extent); page < s->extent;
         page = next_bit(changed, page + 1, s->extent)) {
        if (before != NULL && wanted[page] != table[page])
            log[count++] = (entry){(uint32_t)page, table[page]};
        table[page] = wanted[page];
    }
    if (before != NULL)
        before->log = (part){s->entry_end, count};
    s->entry_end += count;
}

/* The states of the one before, where they are the same. */
static part share_states(xvm_snapshots *s, part now)
{
    part before = s->count != 0 ? s->shots[s->count - 1].states : (part){0, 0};

    if (before.count == now.count &&
        memcmp(stretches_of(s, before), stretches_of(s, now), now.count * sizeof(stretch)) == 0)
        return before;
    s->stretch_end = now.from + now.count;
    return now;
}

static uint64_t finish(xvm_snapshots *s, part now)
{
    spin_lock(&s->lock);
    write_log(s, s->count != 0 ? &s->shots[s->count - 1] : NULL);
    s->shots[s->count] = (shot){.id = s->next_id++, .states = share_states(s, now)};
    s->at = s->count++;
    s->living++;
    spin_unlock(&s->lock);
    memset(s->pending.base, 0, ((size_t)s->extent / 64 + 1) * sizeof(uint64_t));
    return s->shots[s->at].id;
}

/* --- the call --------------------------------------------------------------------------------- */

/* Every step that can fail. */
static xvm_status get_ready(xvm_snapshots *s, part *now)
{
    xvm_status status = xvm_os_snapshots_look(s, now);
    need n;

    if (status == XVM_OK)
        status = xvm_os_snapshots_gather(s, XVM_WATCH_RESET);
    if (status != XVM_OK)
        return status;
    xvm_os_snapshots_compare(s, s->count == 0 ? 0 : s->count - 1, *now);
    if (!xvm_os_snapshots_may(s, XVM_OS_SNAPSHOTS_READ, *now))
        return refuse(s, "snapshots_take", XVM_E_PERMISSION);
    n = count_need(s, *now);
    status = xvm_os_snapshots_reach_entries(s, n.entries);
    if (status == XVM_OK)
        status = make_room(s, *now, &n);
    if (status == XVM_OK)
        xvm_os_snapshots_provide_entries(s, n.entries);
    return status;
}

xvm_status xvm_snapshots_take(xvm_snapshots *s, uint64_t *id)
{
    xvm_status status;
    part now;

    if (id != NULL)
        *id = 0;
    if (s == NULL || id == NULL)
        return refuse(s, "snapshots_take", XVM_E_INVALID);
    xvm_os_snapshots_sweep(s);
    status = get_ready(s, &now);
    if (status != XVM_OK)
        return status;
    s->last = 0;
    if (s->count == 0)
        free_replaced(s);
    copy_pages(s, now);
    *id = finish(s, now);
    return XVM_OK;
}

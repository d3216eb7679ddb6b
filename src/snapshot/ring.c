/* ring.c - the logs of snapshots: looking up, dropping, squeezing. The picture is in snapshot.h.
 *
 *     drop 2     | log of 1 | log of 2 | log of 3 |       what both 1 and 2 have is 1's
 *                | log of 1 and 2  |   | log of 3 |       room that is squeezed out later
 */
#include <string.h>

#include "snapshot.h"

/* --- finding ---------------------------------------------------------------------------------- */

size_t xvm_os_snapshots_find(const xvm_snapshots *s, uint64_t id)
{
    size_t from = 0, to = s->count, middle;

    while (from < to) {
        middle = from + (to - from) / 2;
        if (s->shots[middle].id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from < s->count && s->shots[from].id == id && !s->shots[from].dropped ? from : s->count;
}

/* The first entry of a log with such a page or a later one. */
static size_t find_page(const entry *log, size_t count, size_t page)
{
    size_t from = 0, to = count, middle;

    while (from < to) {
        middle = from + (to - from) / 2;
        if (log[middle].page < page)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void xvm_os_snapshots_resolve(const xvm_snapshots *s, size_t index, size_t from, size_t to,
                              uint32_t *slots)
{
    for (size_t page = from; page < to; page++)
        slots[page - from] = page < s->extent ? slots_of(&s->table)[page] : 0;
    for (size_t k = s->count - 1; k-- > index;) {
        const entry *log = entries_of(s, s->shots[k].log);
        size_t count = s->shots[k].log.count;

        for (size_t i = find_page(log, count, from); i < count && log[i].page < to; i++)
            slots[log[i].page - from] = log[i].slot;
    }
}

void xvm_os_snapshots_mark_logs(xvm_snapshots *s, size_t from, size_t to)
{
    for (; from < to; from++) {
        const entry *log = entries_of(s, s->shots[from].log);

        for (size_t i = 0; i < s->shots[from].log.count; i++)
            set_bit(bits_of(&s->changed), log[i].page);
    }
}

/* --- room ------------------------------------------------------------------------------------- */

size_t xvm_os_snapshots_entries(const xvm_snapshots *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++)
        count += s->shots[i].log.count;
    return count;
}

/* All logs move to the front. */
static void squeeze(xvm_snapshots *s)
{
    part log = {0, 0};

    spin_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++) {
        log.count = s->shots[i].log.count;
        memmove(entries_of(s, log), entries_of(s, s->shots[i].log), log.count * sizeof(entry));
        s->shots[i].log = log;
        log.from += log.count;
    }
    s->entry_end = log.from;
    spin_unlock(&s->lock);
}

xvm_status xvm_os_snapshots_reach_entries(xvm_snapshots *s, size_t count)
{
    size_t used = xvm_os_snapshots_entries(s), wanted = (s->entry_end + count) * sizeof(entry);

    if (wanted <= s->entries.committed)
        return XVM_OK;
    if (s->entry_end - used > used / 4)
        squeeze(s);
    wanted = (s->entry_end + count) * sizeof(entry);
    return xvm_growth_reach(&s->entries,
                            wanted < s->entries.reserved ? wanted : s->entries.reserved);
}

void xvm_os_snapshots_provide_entries(xvm_snapshots *s, size_t count)
{
    if ((s->entry_end + count) * sizeof(entry) > s->entries.committed)
        squeeze(s);
}

/* --- dropping --------------------------------------------------------------------------------- */

/* The region is what it was at another snapshot, one log away. */
static void step_aside(xvm_snapshots *s, size_t log, size_t to)
{
    const entry *e = entries_of(s, s->shots[log].log);

    for (size_t i = 0; i < s->shots[log].log.count; i++)
        set_bit(bits_of(&s->pending), e[i].page);
    s->at = to;
}

/* The table becomes what it was at the one before. */
static void drop_newest(xvm_snapshots *s)
{
    part *log = &s->shots[s->count - 2].log;
    const entry *e = entries_of(s, *log);

    for (size_t i = 0; i < log->count; i++) {
        xvm_os_snapshots_free_slot(s, slots_of(&s->table)[e[i].page]);
        slots_of(&s->table)[e[i].page] = e[i].slot;
    }
    if (log->from + log->count == s->entry_end)
        s->entry_end = log->from;
    log->count = 0;
}

static void drop_oldest(xvm_snapshots *s)
{
    const entry *e = entries_of(s, s->shots[0].log);

    for (size_t i = 0; i < s->shots[0].log.count; i++)
        xvm_os_snapshots_free_slot(s, e[i].slot);
}

/* Two logs become one, which lies where they lay: what is written has been read. The first waits aside
 * meanwhile. */
static void merge(xvm_snapshots *s, shot *older, const shot *newer)
{
    entry *a = (entry *)(void *)s->ranges.base, *out = entries_of(s, older->log);
    entry *b = entries_of(s, newer->log), *a_end = a + older->log.count;
    entry *b_end = b + newer->log.count, *start = out;

    memcpy(a, out, older->log.count * sizeof *a);
    while (a < a_end && b < b_end) {
        if (a->page == b->page)
            xvm_os_snapshots_free_slot(s, b++->slot);
        else if (a->page < b->page)
            *out++ = *a++;
        else
            *out++ = *b++;
    }
    while (a < a_end)
        *out++ = *a++;
    while (b < b_end)
        *out++ = *b++;
    older->log.count = (size_t)(out - start);
}

static void remove_shot(xvm_snapshots *s, size_t index)
{
    s->count--;
    memmove(&s->shots[index], &s->shots[index + 1], (s->count - index) * sizeof(shot));
    if (s->at > index)
        s->at--;
}

/* One that nobody reads. */
static void drop_now(xvm_snapshots *s, size_t index)
{
    bool newest = index == s->count - 1;

    if (s->at == index && index != 0)
        step_aside(s, index - 1, index - 1);
    else if (s->at == index && !newest)
        step_aside(s, index, index + 1);
    if (s->count > 1 && newest)
        drop_newest(s);
    else if (s->count > 1 && index == 0)
        drop_oldest(s);
    else if (s->count > 1)
        merge(s, &s->shots[index - 1], &s->shots[index]);
    remove_shot(s, index);
}

void xvm_os_snapshots_drop_at(xvm_snapshots *s, size_t index)
{
    if (!s->shots[index].dropped)
        s->living--;
    s->shots[index].dropped = true;
    if (s->shots[index].saving == 0)
        drop_now(s, index);
}

void xvm_os_snapshots_sweep(xvm_snapshots *s)
{
    if (s->living == s->count)
        return;
    spin_lock(&s->lock);
    for (size_t i = s->count; i-- != 0;)
        if (s->shots[i].dropped && s->shots[i].saving == 0)
            drop_now(s, i);
    spin_unlock(&s->lock);
}

xvm_status xvm_snapshots_drop(xvm_snapshots *s, uint64_t id)
{
    size_t index;

    if (s == NULL)
        return refuse(s, "snapshots_drop", XVM_E_INVALID);
    xvm_os_snapshots_sweep(s);
    index = xvm_os_snapshots_find(s, id);
    if (index == s->count)
        return refuse(s, "snapshots_drop", XVM_E_NOT_FOUND);
    spin_lock(&s->lock);
    xvm_os_snapshots_drop_at(s, index);
    spin_unlock(&s->lock);
    return XVM_OK;
}

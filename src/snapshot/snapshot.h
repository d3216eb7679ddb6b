/* snapshot.h - what the files of snapshots share. What they promise is in xvm/snapshot.h.
 *
 *     entries | log of 1 | log of 2 | log of 3 |      page -> slot: what 1, 2, 3 had there and the
 *                                                     next one has not
 *     table   | page 0 | page 1 | ...                 slot of each page as of the newest, 4
 *     slots   | copy | copy | free | copy | ...       pages; slot 0 is a page of zeros
 *
 *   1  What page p was at snapshot k is in the first log among those of k, k+1, ... that has p, else in
 *      the table. The newest has no log. No slot is used twice.
 *   2  The region is what it was at snapshot `at`, but for pages that are pending, and those that the
 *      watch tells. Without snapshots the table is the base of the next, and the region differs from
 *      that in the same way.
 *   3  Logs are in the order of snapshots, in each the pages ascend; room between them is squeezed out
 *      when more is wanted.
 *   4  Tables reach as far as pages have ever been committed: the extent. Behind it every page is as if
 *      it had slot 0.
 *   5  Slots that belong to a snapshot are not written. A save reads them without a lock, and looks up
 *      where they are under it; whoever changes table, logs or states does it under the lock. A
 *      snapshot that is being saved is dropped when its save is done, by the owner's next call.
 *   6  An owner's call changes nothing before the last step that can fail; only what the watch has told
 *      and forgotten is pending then.
 */
#ifndef XVM_SRC_SNAPSHOT_SNAPSHOT_H
#define XVM_SRC_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "lock.h"
#include "pages.h"
#include "xvm/growth.h"
#include "xvm/snapshot.h"

typedef struct entry {
    uint32_t page, slot;
} entry;

/* Equal pages up to end. */
typedef struct stretch {
    uint32_t end, state; /* an xvm_state */
} stretch;

/* A part of the entries, or of the stretches. */
typedef struct part {
    size_t from, count;
} part;

typedef struct shot {
    uint64_t id;
    part log, states;
    unsigned saving; /* saves that read it */
    bool dropped;    /* and it goes when they are done */
} shot;

struct xvm_snapshots {
    xvm_region own;     /* this, and all tables */
    xvm_region *region; /* what is watched: pages of it, from offset on */
    size_t offset, page_size;
    uint32_t pages, extent;
    unsigned page_shift, lock;
    bool listens;  /* a tool does: pages may be poisoned */
    bool discards; /* single pages can be discarded */
    const char *name;
    uint64_t next_id;
    size_t count, room;            /* shots; how many fit */
    size_t living, most;           /* shots that are not dropped; the most of them */
    size_t at;                     /* index of a shot */
    size_t last;                   /* bytes copied */
    size_t entry_end, stretch_end; /* behind the last one in use */
    uint32_t slot_end,
        slot_most;               /* slots that have been used: 1 .. slot_end - 1; behind the last */
    uint32_t free_count;         /* of those */
    xvm_growth table, wanted;    /* uint32_t for each page: its slot; where a restore finds it */
    xvm_growth pending, changed; /* bits */
    xvm_growth ranges;           /* what the watch tells; scratch otherwise */
    xvm_growth entries, stretches;
    xvm_growth free;  /* uint32_t: slots */
    xvm_growth slots; /* in copies */
    xvm_region copies;
    shot shots[];
};

/* --- small things ----------------------------------------------------------------------------- */

static inline uint32_t *slots_of(const xvm_growth *g)
{
    return (uint32_t *)(void *)g->base;
}

static inline uint64_t *bits_of(const xvm_growth *g)
{
    return (uint64_t *)(void *)g->base;
}

static inline entry *entries_of(const xvm_snapshots *s, part log)
{
    return (entry *)(void *)s->entries.base + log.from;
}

static inline stretch *stretches_of(const xvm_snapshots *s, part states)
{
    return (stretch *)(void *)s->stretches.base + states.from;
}

/* Of the region, and of a slot that is not 0. */
static inline unsigned char *page_at(const xvm_snapshots *s, size_t page)
{
    return (unsigned char *)s->region->base + s->offset + (page << s->page_shift);
}

static inline unsigned char *slot_at(const xvm_snapshots *s, uint32_t slot)
{
    return s->slots.base + ((size_t)(slot - 1) << s->page_shift);
}

static inline void set_bit(uint64_t *bits, size_t i)
{
    bits[i >> 6] |= (uint64_t)1 << (i & 63);
}

static inline void clear_bit(uint64_t *bits, size_t i)
{
    bits[i >> 6] &= ~((uint64_t)1 << (i & 63));
}

static inline bool has_bit(const uint64_t *bits, size_t i)
{
    return (bits[i >> 6] >> (i & 63) & 1) != 0;
}

/* The first set bit in [from, to), or to. */
static inline size_t next_bit(const uint64_t *bits, size_t from, size_t to)
{
    uint64_t word;

    for (size_t i = from; i < to; i = (i | 63) + 1) {
        word = bits[i >> 6] >> (i & 63);
        if (word == 0)
            continue;
        i += (size_t)__builtin_ctzll(word);
        return i < to ? i : to;
    }
    return to;
}

/* The start of a page that is read next; the processor finds the rest of it by itself. */
enum { LINE = 64, LINES_AHEAD = 8 };

static inline void read_ahead(const unsigned char *page)
{
    for (size_t i = 0; i < LINES_AHEAD; i++)
        __builtin_prefetch(page + i * LINE);
}

/* The failure of a public call. */
static inline xvm_status refuse(const xvm_snapshots *s, const char *call, xvm_status status)
{
    xvm_os_site site = {.call = call, .own = true, .name = s != NULL ? s->name : NULL};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

/* --- store.c: copies, sets of pages ------------------------------------------------------------ */

/* Are all bytes of a page of the region zero? Whatever a tool thinks of them. */
bool xvm_os_snapshots_is_zero(const xvm_snapshots *s, size_t page);

/* A page of the region gets a slot with its bytes, which there is. */
uint32_t xvm_os_snapshots_copy(xvm_snapshots *s, size_t page);

/* Other threads may see the copies, once they are told of them. */
void xvm_os_snapshots_copied(void);

/* Slot 0 is fine. */
void xvm_os_snapshots_free_slot(xvm_snapshots *s, uint32_t slot);

/* Is there memory for so many slots that were never used? And: have it. */
bool xvm_os_snapshots_has_slots(const xvm_snapshots *s, size_t more);
xvm_status xvm_os_snapshots_reach_slots(xvm_snapshots *s, size_t more);

void xvm_os_snapshots_set_bits(uint64_t *bits, size_t from, size_t to);

/* --- ring.c: logs ------------------------------------------------------------------------------ */

/* The index of a snapshot, or count. */
size_t xvm_os_snapshots_find(const xvm_snapshots *s, uint64_t id);

/* How many entries all logs have. */
size_t xvm_os_snapshots_entries(const xvm_snapshots *s);

/* Memory for so many entries behind the last, or for all there can be; then they are squeezed where they
 * would not fit. */
xvm_status xvm_os_snapshots_reach_entries(xvm_snapshots *s, size_t count);
void xvm_os_snapshots_provide_entries(xvm_snapshots *s, size_t count);

/* Pages in the logs of [from, to) have changed. */
void xvm_os_snapshots_mark_logs(xvm_snapshots *s, size_t from, size_t to);

/* The slots of pages [from, to) as of a snapshot. Under the lock. */
void xvm_os_snapshots_resolve(const xvm_snapshots *s, size_t index, size_t from, size_t to,
                              uint32_t *slots);

/* Drops a snapshot; one that is being saved is dropped later. Under the lock. */
void xvm_os_snapshots_drop_at(xvm_snapshots *s, size_t index);

/* Later: at the start of each of the owner's calls. */
void xvm_os_snapshots_sweep(xvm_snapshots *s);

/* --- states.c: what pages are ------------------------------------------------------------------ */

/* What they are now: stretches behind the last in use. Tables reach as far as pages are committed. */
xvm_status xvm_os_snapshots_look(xvm_snapshots *s, part *states);

/* The next pages at or behind to that are a in one list and b in another. All zero at first. */
typedef struct piece {
    size_t from, to, i, j;
    xvm_state a, b;
} piece;

bool xvm_os_snapshots_next_piece(const xvm_snapshots *s, part a, part b, piece *p);

/* Pages that were committed then, and are not now, have changed. */
void xvm_os_snapshots_mark_states(xvm_snapshots *s, part now, part then);

typedef enum xvm_os_snapshots_access {
    XVM_OS_SNAPSHOTS_READ,
    XVM_OS_SNAPSHOTS_WRITE
} xvm_os_snapshots_access;

/* May all that have changed, are committed now and are to be in states, be read, or written? */
bool xvm_os_snapshots_may(const xvm_snapshots *s, xvm_os_snapshots_access access, part states);

/* What is to be committed, and was not before, gets committed. On failure all is as before. */
xvm_status xvm_os_snapshots_give(xvm_snapshots *s, part before, part states);

/* What is not to be committed is taken away. */
void xvm_os_snapshots_take_away(xvm_snapshots *s, part states);

/* --- take.c: what has changed ------------------------------------------------------------------ */

/* What the watch knows is pending from now on; it may forget it. */
xvm_status xvm_os_snapshots_gather(xvm_snapshots *s, xvm_watch_reset reset);

/* Pages that may differ from a snapshot have changed, and no others. */
void xvm_os_snapshots_compare(xvm_snapshots *s, size_t index, part now);

#endif

/* register.c - all regions of the process, found by address.
 *
 *     index     | 3 | 0 | 7 | 2 |           numbers of entries, sorted by base, the highest first
 *     entries   | region | region | - | region | ...       one for each region; the rest is free
 *
 * The highest comes first because systems hand out addresses from the top down: a new region is most
 * often the last one. Handles may be moved by their owners, so an entry points to no handle: it has
 * its own copy of what finds the state of a page.
 *
 *   1  Index and entries are two parts of one reservation, committed in growing steps, never given
 *      back. No room, or no memory: the region is not registered, and that is all.
 *   2  all.lock guards everything but the simple of entries, which is written under the lock of its
 *      region. No system call is made under it; one thread at a time grows the table.
 *   3  Books of regions are read under all.lock only. A region leaves the register before its book is
 *      unmapped, so a reader never sees it go.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lock.h"
#include "os.h"
#include "pagemap.h"
#include "pages.h"
#include "register.h"

enum {
    MOST = sizeof(void *) > 4 ? 1 << 18 : 1 << 14, /* regions */
    LEAST = 1 << 8,                                /* where so many cannot be reserved */
    SMALLER = 3,                                   /* and by which shift to try fewer */
    STEP = 1 << 16                                 /* bytes committed at first */
};

typedef struct entry {
    uintptr_t base;
    size_t size, pages, simple;
    size_t *level[3];
    const char *name;
    uint32_t page_shift;
    uint32_t next; /* of a free entry: 1 + the number of another one; 0: it is the last */
} entry;

typedef struct part {
    unsigned char *base;
    size_t size, ready; /* bytes reserved, committed */
} part;

static struct {
    unsigned lock, growing;
    size_t count; /* regions in the index */
    size_t used;  /* entries that have ever been taken */
    size_t ready; /* entries with memory, and with memory in the index */
    uint32_t free;
    uint32_t *index;
    entry *entries;
    part parts[2]; /* of the index, of the entries: for the thread that grows them */
} all;

/* --- room ------------------------------------------------------------------------------------- */

static bool has_room(void)
{
    return all.free != 0 || all.used < all.ready;
}

static size_t unit(void)
{
    return round_up(STEP, xvm_os_get_facts().page_size);
}

/* Two parts for so many regions, in one reservation. */
static bool reserve_parts(size_t most)
{
    size_t index = round_up(most * sizeof *all.index, unit());
    size_t entries = round_up(most * sizeof *all.entries, unit());
    xvm_os_request request = {
        .size = index + entries, .alignment = xvm_os_get_facts().granularity, .aside = 1};
    xvm_os_place place;

    if (xvm_os_reserve(&request, &place).status != XVM_OK)
        return false;
    all.parts[0] = (part){place.base, index, 0};
    all.parts[1] = (part){(unsigned char *)place.base + index, entries, 0};
    return true;
}

/* At least so many bytes of a part, twice as many as before. */
static bool commit_part(part *p, size_t need)
{
    size_t step = p->ready != 0 ? p->ready : unit();

    if (need <= p->ready)
        return true;
    step = step < p->size - p->ready ? step : p->size - p->ready;
    if (step == 0 || xvm_os_commit(XVM_OS_BOOKKEEPING, p->base + p->ready, step).status != XVM_OK)
        return false;
    p->ready += step;
    return true;
}

/* Room for one more than there are. */
static bool grow(size_t used)
{
    size_t most = MOST;

    while (all.parts[0].base == NULL && !reserve_parts(most)) {
        if (most <= LEAST)
            return false;
        most >>= SMALLER;
    }
    return commit_part(&all.parts[0], (used + 1) * sizeof *all.index) &&
           commit_part(&all.parts[1], (used + 1) * sizeof *all.entries);
}

static void use_parts(void)
{
    size_t index = all.parts[0].ready / sizeof *all.index;
    size_t entries = all.parts[1].ready / sizeof *all.entries;

    all.index = (uint32_t *)(void *)all.parts[0].base;
    all.entries = (entry *)(void *)all.parts[1].base;
    all.ready = index < entries ? index : entries;
}

/* With the lock, which is given up meanwhile. */
static bool make_room(void)
{
    unsigned round = 0;
    size_t used;
    int error;

    while (all.growing && !has_room()) {
        spin_unlock(&all.lock);
        xvm_os_pause(round++);
        spin_lock(&all.lock);
    }
    if (has_room())
        return true;
    used = all.used;
    all.growing = 1;
    spin_unlock(&all.lock);
    error = xvm_os_get_error();
    if (!grow(used))
        xvm_os_set_error(error); /* nobody hears of it */
    spin_lock(&all.lock);
    use_parts();
    all.growing = 0;
    return has_room();
}

/* --- the index -------------------------------------------------------------------------------- */

static entry *entry_at(size_t position)
{
    return &all.entries[all.index[position]];
}

/* The first position whose region begins at or below an address; count when none does. */
static size_t position_of(uintptr_t address)
{
    size_t low = 0, high = all.count;

    if (high == 0 || entry_at(high - 1)->base > address)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (entry_at(middle)->base > address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(size_t position, uint32_t number)
{
    uint32_t *at = &all.index[position];

    memmove(at + 1, at, (all.count - position) * sizeof *at);
    *at = number;
    all.count++;
}

static void take_out(size_t position)
{
    uint32_t *at = &all.index[position];

    all.count--;
    memmove(at, at + 1, (all.count - position) * sizeof *at);
}

/* --- entries ---------------------------------------------------------------------------------- */

static uint32_t take_entry(void)
{
    uint32_t number = all.free - 1;

    if (all.free == 0)
        return (uint32_t)all.used++;
    all.free = all.entries[number].next;
    return number;
}

static entry *enter(const xvm_region *region)
{
    uint32_t number = take_entry();
    entry *e = &all.entries[number];

    *e = (entry){.base = (uintptr_t)region->base,
                 .size = region->size,
                 .pages = region->own.pages,
                 .level = {region->own.level[0], region->own.level[1], region->own.level[2]},
                 .name = region->own.name,
                 .page_shift = region->own.page_shift};
    STORE_RELEASE(&e->simple, LOAD_ACQUIRE(&region->own.simple));
    insert(position_of(e->base), number);
    return e;
}

/* In the child of a fork there is no thread that could end what another one had begun. */
static void before_fork(void)
{
    spin_lock(&all.lock);
}

static void after_fork_in_parent(void)
{
    spin_unlock(&all.lock);
}

static void after_fork_in_child(void)
{
    all.growing = 0;
    spin_unlock(&all.lock);
}

static void watch_forks(void)
{
    static unsigned watching;

    if (LOAD(&watching) == 0 && SWAP_ACQUIRE(&watching, 1u) == 0)
        xvm_os_watch_forks(before_fork, after_fork_in_parent, after_fork_in_child);
}

void xvm_os_register(xvm_region *region)
{
    region->own.entry = NULL;
    if (region->base == NULL)
        return;
    watch_forks();
    spin_lock(&all.lock);
    if (has_room() || make_room())
        region->own.entry = enter(region);
    spin_unlock(&all.lock);
}

void xvm_os_unregister(xvm_region *region)
{
    entry *e = region->own.entry;

    if (e == NULL)
        return;
    region->own.entry = NULL;
    spin_lock(&all.lock);
    assert(entry_at(position_of(e->base)) == e);
    take_out(position_of(e->base));
    e->next = all.free;
    all.free = (uint32_t)(e - all.entries) + 1;
    spin_unlock(&all.lock);
}

void xvm_os_register_simple(const xvm_region *region)
{
    entry *e = region->own.entry;

    if (e != NULL)
        STORE_RELEASE(&e->simple, region->own.simple);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* As much of a handle as the page map looks at. */
static xvm_region handle_of(const entry *e)
{
    xvm_region r = {.base = (void *)e->base, .size = e->size};

    r.own.pages = e->pages;
    r.own.simple = LOAD_ACQUIRE(&e->simple);
    r.own.page_shift = (unsigned char)e->page_shift;
    for (int level = 0; level < 3; level++)
        r.own.level[level] = e->level[level];
    return r;
}

/* Guards are equal, whatever is beneath them. */
static bool is_equal(unsigned a, unsigned b)
{
    return a == b || (a & b & XVM_OS_STATE_GUARD) != 0;
}

static xvm_os_run equal_run(const xvm_region *r, size_t from, size_t limit)
{
    xvm_os_run run = xvm_os_pagemap_run(r, from, limit), next = run;

    while ((run.state & XVM_OS_STATE_GUARD) != 0 && run.to < limit) {
        next = xvm_os_pagemap_run(r, run.to, limit);
        if (!is_equal(next.state, run.state))
            break;
        run.to = next.to;
    }
    return run;
}

static bool is_uniform(const xvm_region *r, size_t from, size_t to, unsigned state)
{
    xvm_os_run run = equal_run(r, from, to);

    return is_equal(run.state, state) && run.to == to;
}

/* The first of the equal pages that end with this one: in steps that double as long as all pages of
 * a step are equal, and then in steps that halve. */
static size_t start_of_run(const xvm_region *r, size_t page, unsigned state)
{
    size_t start = page, step = 1;

    for (; step <= start && is_uniform(r, start - step, start, state); step *= 2)
        start -= step;
    for (; step != 0; step /= 2)
        if (step <= start && is_uniform(r, start - step, start, state))
            start -= step;
    return start;
}

static void look_at(const entry *e, uintptr_t address, xvm_os_found *out)
{
    size_t page = (size_t)(address - e->base) >> e->page_shift;
    xvm_region r = handle_of(e);
    xvm_os_run run = equal_run(&r, page, e->pages);

    out->from = e->base + (start_of_run(&r, page, run.state) << e->page_shift);
    out->to = e->base + (run.to << e->page_shift);
    out->state = run.state;
    out->name = e->name;
}

/* Between the region at a position, which ends below, and the one before it. */
static void look_between(size_t position, xvm_os_found *out)
{
    *out = (xvm_os_found){0, UINTPTR_MAX, XVM_OS_STATE_RESERVED, NULL};
    if (position < all.count)
        out->from = entry_at(position)->base + entry_at(position)->size;
    if (position > 0)
        out->to = entry_at(position - 1)->base;
}

bool xvm_os_register_find(uintptr_t address, xvm_os_found *out)
{
    size_t position;
    bool has;

    spin_lock(&all.lock);
    position = position_of(address);
    has = position < all.count && address - entry_at(position)->base < entry_at(position)->size;
    if (has)
        look_at(entry_at(position), address, out);
    else
        look_between(position, out);
    spin_unlock(&all.lock);
    return has;
}

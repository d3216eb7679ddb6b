/* life.c - how snapshots begin and end, and what is copied beforehand. The picture is in snapshot.h.
 *
 *     own      | header, shots | table | wanted | pending | changed | ranges | entries | stretches | free |
 *     slots    | copy | copy | copy | ...                 each reserved for the most, committed as needed
 */
#include <string.h>

#include "snapshot.h"
#include "tell.h"
#include "xvm/system.h"

enum {
    USUAL_COUNT = 64,
    MOST_COUNT = 65536,
    SAVED = 8,  /* shots that are dropped while they are saved have room besides */
    TABLES = 8, /* of growing size */
    PART = 256, /* memory for copies comes in such a part of the region's size, */
    LEAST = 64 << 10,
    MOST = 4 << 20 /* but in no less and no more */
};

/* --- layout ----------------------------------------------------------------------------------- */

/* What is asked for, completed. */
typedef struct plan {
    size_t offset, size, pages, page_size;
    size_t count, worst; /* snapshots; of which so many may differ in every page */
    size_t header, slots;
} plan;

static bool find_part(const xvm_region *region, const xvm_snapshots_options *o, plan *p)
{
    size_t unit;

    p->page_size = xvm_page_size();
    p->offset = o->offset;
    if (region == NULL || region->base == NULL || p->offset >= region->size)
        return false;
    p->size = o->size != 0 ? o->size : region->size - p->offset;
    p->pages = p->size / p->page_size;
    unit = xvm_commit_unit(region);
    return p->size <= region->size - p->offset && ((p->offset | p->size) & (unit - 1)) == 0 &&
           p->pages < (size_t)1 << 31;
}

/* Copies: the base, and all pages for each snapshot, or as many as there are addresses for. */
static size_t count_slots(const plan *p, size_t max_bytes)
{
    size_t most = max_bytes != 0 ? max_bytes / p->page_size : p->pages * (p->worst + 1);
    size_t all = SIZE_MAX / 4 / p->page_size;

    if (most > all)
        most = all;
    return most < UINT32_MAX - 1 ? most : UINT32_MAX - 1;
}

static bool make_plan(const xvm_region *region, const xvm_snapshots_options *o, plan *p)
{
    if (!find_part(region, o, p) || o->max_count > MOST_COUNT)
        return false;
    p->count = o->max_count != 0 ? o->max_count : USUAL_COUNT;
    p->worst = sizeof(void *) > 4 || p->count < SAVED ? p->count : SAVED;
    p->header = round_up(sizeof(xvm_snapshots) + (p->count + SAVED) * sizeof(shot), p->page_size);
    p->slots = count_slots(p, o->max_bytes);
    return p->slots != 0;
}

/* The tables in their order in the reservation; its size. */
static size_t lay_tables(const plan *p, size_t sizes[TABLES])
{
    size_t bits = (p->pages / 64 + 1) * sizeof(uint64_t), sum = p->header;
    size_t free_bits = (p->slots / 64 + 1) * sizeof(uint64_t);

    sizes[0] = sizes[1] = p->pages * sizeof(uint32_t);
    sizes[2] = sizes[3] = bits;
    sizes[4] = (p->pages + 2) * sizeof(xvm_range) + free_bits;
    sizes[5] = p->pages * p->worst * sizeof(entry);
    sizes[6] = (p->pages + 1) * (p->worst + 1) * sizeof(stretch);
    sizes[7] = p->slots * sizeof(uint32_t);
    for (unsigned i = 0; i < TABLES; i++)
        sum += round_up(sizes[i], p->page_size);
    return sum;
}

static xvm_status begin_tables(xvm_snapshots *s, const plan *p, const size_t sizes[TABLES])
{
    xvm_growth *tables[TABLES] = {&s->table,  &s->wanted,  &s->pending,   &s->changed,
                                  &s->ranges, &s->entries, &s->stretches, &s->free};
    xvm_growth_options o = {
        .step = p->page_size, .flags = XVM_GROWTH_KEEP, .region = &s->own, .offset = p->header};
    xvm_status status = XVM_OK;

    for (unsigned i = 0; i < TABLES && status == XVM_OK; i++) {
        status = xvm_growth_begin(tables[i], sizes[i], &o);
        o.offset += round_up(sizes[i], p->page_size);
    }
    return status;
}

static size_t step_of(const plan *p)
{
    size_t step = p->size / PART;

    return round_up(step < LEAST ? LEAST : step > MOST ? MOST : step, p->page_size);
}

/* As many copies as there are addresses for: the base at least. */
static xvm_status begin_slots(xvm_snapshots *s, const plan *p, const xvm_snapshots_options *o)
{
    size_t size = p->slots << s->page_shift, least = p->size < size ? p->size : size;
    xvm_reserve_options wish = {.min_size = least, .budget = o->budget, .name = o->name};
    xvm_growth_options grow = {.step = step_of(p), .flags = XVM_GROWTH_KEEP, .region = &s->copies};
    xvm_status status = xvm_reserve(&s->copies, size, &wish);

    if (status != XVM_OK)
        return status;
    size = s->copies.size < size ? s->copies.size : size;
    s->slot_end = 1;
    s->slot_most = (uint32_t)(size >> s->page_shift) + 1;
    return xvm_growth_begin(&s->slots, size, &grow);
}

/* --- begin and end ---------------------------------------------------------------------------- */

static void set_up(xvm_snapshots *s, xvm_region *region, const plan *p,
                   const xvm_snapshots_options *o)
{
    s->region = region;
    s->offset = p->offset;
    s->page_size = p->page_size;
    s->page_shift = exponent(p->page_size);
    s->pages = (uint32_t)p->pages;
    s->room = p->count + SAVED;
    s->most = p->count;
    s->next_id = 1;
    s->listens = xvm_os_tell_listens();
    s->discards = xvm_commit_unit(region) == p->page_size;
    s->name = o->name;
}

/* Everything there is differs from the base, in which nothing is. */
static xvm_status begin_base(xvm_snapshots *s)
{
    part now;
    xvm_status status = xvm_os_snapshots_look(s, &now);

    if (status == XVM_OK)
        status = xvm_growth_reach(&s->pending, sizeof(uint64_t));
    if (status == XVM_OK)
        status = xvm_growth_reach(&s->changed, sizeof(uint64_t));
    if (status == XVM_OK)
        xvm_os_snapshots_set_bits(bits_of(&s->pending), 0, s->extent);
    return status;
}

/* The watch last: what comes before it is in no snapshot, and all that there is differs anyway. */
static xvm_status begin(xvm_snapshots *s, const plan *p, const size_t sizes[TABLES],
                        const xvm_snapshots_options *o)
{
    xvm_status status = begin_tables(s, p, sizes);

    if (status == XVM_OK)
        status = begin_slots(s, p, o);
    if (status == XVM_OK)
        status = begin_base(s);
    if (status == XVM_OK)
        status = o->method == XVM_WATCH_NONE
                     ? xvm_watch_start(s->region, p->offset, p->size)
                     : xvm_watch_start_by(s->region, p->offset, p->size, o->method);
    return status;
}

static void give_back(xvm_snapshots *s)
{
    xvm_region own = s->own, copies = s->copies;

    (void)xvm_release(&copies);
    (void)xvm_release(&own);
}

static xvm_status create(xvm_snapshots **snapshots, xvm_region *region, const plan *p,
                         const xvm_snapshots_options *o)
{
    size_t sizes[TABLES], size = lay_tables(p, sizes);
    xvm_reserve_options wish = {.budget = o->budget, .name = o->name};
    xvm_region own;
    xvm_snapshots *s;
    xvm_status status = xvm_reserve(&own, size, &wish);

    if (status == XVM_OK)
        status = xvm_commit(&own, 0, p->header);
    if (status != XVM_OK) {
        (void)xvm_release(&own);
        return status;
    }
    s = own.base;
    s->own = own; /* the handle moves into the memory that it describes */
    set_up(s, region, p, o);
    status = begin(s, p, sizes, o);
    if (status == XVM_OK)
        *snapshots = s;
    else
        give_back(s);
    return status;
}

xvm_status xvm_snapshots_create(xvm_snapshots **snapshots, xvm_region *region,
                                const xvm_snapshots_options *options)
{
    static const xvm_snapshots_options none;
    const xvm_snapshots_options *o = options != NULL ? options : &none;
    plan p;

    if (snapshots != NULL)
        *snapshots = NULL;
    if (snapshots == NULL || !make_plan(region, o, &p))
        return refuse(NULL, "snapshots_create", XVM_E_INVALID);
    return create(snapshots, region, &p, o);
}

/* Saves end by themselves, and soon when nothing new can be asked for. */
static void wait_for_saves(xvm_snapshots *s)
{
    bool busy = true;

    for (unsigned round = 0; busy; round++) {
        busy = false;
        spin_lock(&s->lock);
        for (size_t i = 0; i < s->count; i++)
            busy |= s->shots[i].saving != 0;
        spin_unlock(&s->lock);
        if (busy)
            wait_a_little(round);
    }
}

void xvm_snapshots_destroy(xvm_snapshots *s)
{
    int error = xvm_os_get_error();

    if (s == NULL)
        return;
    wait_for_saves(s);
    (void)xvm_watch_stop(s->region);
    give_back(s);
    xvm_os_set_error(error);
}

/* --- beforehand ------------------------------------------------------------------------------- */

/* The base has a page as it is now; watched as it is, it will be copied again once it is written. */
static xvm_status prepare_page(xvm_snapshots *s, size_t page)
{
    uint32_t *slot = &slots_of(&s->table)[page];
    xvm_status status = XVM_OK;

    xvm_os_snapshots_free_slot(s, *slot);
    *slot = 0;
    if (!xvm_os_snapshots_is_zero(s, page)) {
        if (s->free_count == 0 && s->slot_end == s->slot_most)
            return refuse(s, "snapshots_prepare", XVM_E_ADDRESS_SPACE);
        if (s->free_count == 0)
            status = xvm_os_snapshots_reach_slots(s, 1);
        if (status == XVM_OK)
            *slot = xvm_os_snapshots_copy(s, page);
    }
    if (status == XVM_OK)
        clear_bit(bits_of(&s->pending), page);
    return status;
}

/* Pages [from, to) are committed. *size: what may still be looked at. */
static xvm_status prepare_stretch(xvm_snapshots *s, size_t from, size_t to, size_t *size,
                                  size_t *left)
{
    const uint64_t *pending = bits_of(&s->pending);
    xvm_status status = XVM_OK;

    for (size_t page = next_bit(pending, from, to); page < to;
         page = next_bit(pending, page + 1, to)) {
        if (status != XVM_OK || *size < s->page_size) {
            *left += s->page_size;
            continue;
        }
        *size -= s->page_size;
        status = prepare_page(s, page);
    }
    return status;
}

static xvm_status prepare(xvm_snapshots *s, size_t size, size_t *left)
{
    part now;
    xvm_status status = xvm_os_snapshots_look(s, &now);
    const stretch *at;

    if (status != XVM_OK)
        return status;
    memcpy(s->changed.base, s->pending.base, ((size_t)s->extent / 64 + 1) * sizeof(uint64_t));
    if (!xvm_os_snapshots_may(s, XVM_OS_SNAPSHOTS_READ, now))
        return refuse(s, "snapshots_prepare", XVM_E_PERMISSION);
    at = stretches_of(s, now);
    s->last = 0;
    for (size_t page = 0; status == XVM_OK && page < s->extent; page = (at++)->end)
        if (at->state == XVM_COMMITTED)
            status = prepare_stretch(s, page, at->end, &size, left);
    xvm_os_snapshots_copied();
    return status;
}

xvm_status xvm_snapshots_prepare(xvm_snapshots *s, size_t size, size_t *left)
{
    size_t pages = 0;
    xvm_status status;

    if (left != NULL)
        *left = 0;
    if (s == NULL || size < s->page_size)
        return refuse(s, "snapshots_prepare", XVM_E_INVALID);
    xvm_os_snapshots_sweep(s);
    if (s->count != 0)
        return XVM_OK;
    status = prepare(s, size, &pages);
    if (left != NULL && status == XVM_OK)
        *left = pages;
    return status;
}

/* --- looking ---------------------------------------------------------------------------------- */

static size_t count_committed(const xvm_snapshots *s)
{
    const xvm_growth *all[] = {&s->table,   &s->wanted,    &s->pending, &s->changed, &s->ranges,
                               &s->entries, &s->stretches, &s->free,    &s->slots};
    size_t sum = round_up(sizeof *s + s->room * sizeof(shot), s->page_size);

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sum += all[i]->committed;
    return sum;
}

static void find_ends(const xvm_snapshots *s, xvm_snapshots_use *out)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->shots[i].dropped) {
            out->newest = s->shots[i].id;
            if (out->oldest == 0)
                out->oldest = out->newest;
        }
    if (s->count != 0 && !s->shots[s->at].dropped)
        out->at = s->shots[s->at].id;
}

void xvm_snapshots_usage(const xvm_snapshots *s, xvm_snapshots_use *out)
{
    *out = (xvm_snapshots_use){0};
    if (s == NULL)
        return;
    out->count = s->living;
    out->bytes = (size_t)(s->slot_end - 1 - s->free_count) << s->page_shift;
    out->committed = count_committed(s);
    out->last = s->last;
    find_ends(s, out);
}

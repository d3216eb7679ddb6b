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
    SAVED = 8, /* shots that are dropped while they are saved have room besides */
    STEP = 256 << 10 /* of memory for copies: 64 KiB per ... */
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
    p->page_size = xvm_page_size();
    p->offset = o->offset;
    if (region == NULL || region->base == NULL || p->offset >= region->size)
        return false;
    p->size = o->size != 0 ? o->size : region->size - p->offset;
    p->pages = p->size / p->page_size;
    return p->size <= region->size - p->offset && ((p->offset | p->size) & (p->page_size - 1)) == 0 &&
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
    p->header = sizeof(xvm_snapshots) + (p->count + SAVED) * sizeof(shot);
    p->slots = count_slots(p, o->max_bytes);
    return p->slots != 0;
}

/* The tables, in their order in the reservation. */
static size_t table_sizes(const plan *p, size_t sizes[8])
{
    size_t bits = (p->pages / 64 + 1) * sizeof(uint64_t), sum = round_up(p->header, p->page_size);

    sizes[0] = sizes[1] = p->pages * sizeof(uint32_t);
    sizes[2] = sizes[3] = bits;
    sizes[4] = (p->pages + 2) * sizeof(xvm_range) + bits;
    sizes[5] = p->pages * p->worst * sizeof(entry);
    sizes[6] = (p->pages + 1) * (p->worst + 1) * sizeof(stretch);
    sizes[7] = p->slots * sizeof(uint32_t);
    for (unsigned i = 0; i < 8; i++)
        sum += round_up(sizes[i], p->page_size);
    return sum;
}

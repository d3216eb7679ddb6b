/* growth.c - commit at one end, in steps, and back with some reluctance. The picture and the rules are in
 * xvm/growth.h. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "pages.h"
#include "xvm/growth.h"

enum {
    SMALLEST_STEP = 64 << 10,
    LARGEST_STEP = 16 << 20,
    FRACTION = 8,   /* a step is that part of what is committed */
    KEPT = 1 << 20, /* bytes that are not worth giving back */
    SPARE = 4       /* times what is in use: more is too much */
};

static xvm_status refuse(size_t size, xvm_status status)
{
    xvm_os_site site = {.call = "growth", .own = true, .size = size};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

static xvm_region *region_of(xvm_growth *g)
{
    return g->own.shared != NULL ? g->own.shared : &g->own.region;
}

static size_t unit_of(xvm_growth *g)
{
    return xvm_commit_unit(region_of(g));
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* --- begin and end ---------------------------------------------------------------------------- */

/* A part of a region that its owner shares. */
static xvm_status begin_shared(xvm_growth *g, size_t size, const xvm_growth_options *o)
{
    xvm_region *region = o->region;
    size_t unit = xvm_commit_unit(region), whole = unit != 0 ? round_up(size, unit) : 0;

    if (whole < size || whole == 0 || o->offset % unit != 0 || o->offset > region->size ||
        whole > region->size - o->offset)
        return refuse(size, XVM_E_INVALID);
    g->own.shared = region;
    g->own.offset = o->offset;
    g->base = (unsigned char *)region->base + o->offset;
    g->reserved = whole;
    return XVM_OK;
}

static xvm_status begin_alone(xvm_growth *g, size_t size, const xvm_growth_options *o)
{
    xvm_reserve_options wish = {.huge = o->huge, .budget = o->budget, .name = o->name};
    xvm_status status = xvm_reserve(&g->own.region, size, &wish);

    g->base = (unsigned char *)g->own.region.base;
    g->reserved = g->own.region.size;
    return status;
}

xvm_status xvm_growth_begin(xvm_growth *growth, size_t size, const xvm_growth_options *options)
{
    static const xvm_growth_options none;
    const xvm_growth_options *o = options != NULL ? options : &none;
    xvm_status status;

    if (growth == NULL)
        return refuse(size, XVM_E_INVALID);
    *growth = (xvm_growth){.own = {.step = o->step, .flags = o->flags}};
    if (size == 0)
        return refuse(size, XVM_E_INVALID);
    status = o->region != NULL ? begin_shared(growth, size, o) : begin_alone(growth, size, o);
    if (status == XVM_OK && (o->flags & XVM_GROWTH_COMMIT) != 0)
        status = xvm_growth_reach(growth, growth->reserved);
    if (status != XVM_OK)
        xvm_growth_end(growth);
    return status;
}

void xvm_growth_end(xvm_growth *growth)
{
    if (growth == NULL)
        return;
    if (growth->own.shared != NULL)
        (void)xvm_decommit(growth->own.shared, growth->own.offset, growth->reserved);
    else
        (void)xvm_release(&growth->own.region);
    *growth = (xvm_growth){0};
}

/* --- growing ---------------------------------------------------------------------------------- */

/* Bytes [from, to) are committed, and what the flags ask for; or nothing changes. Pages that are
 * there already are left from an undoing that was refused, and may be closed. */
static xvm_status commit(xvm_growth *g, size_t from, size_t to)
{
    xvm_region *region = region_of(g);
    size_t at = g->own.offset + from, size = to - from;
    xvm_status status = xvm_commit(region, at, size);

    if (status != XVM_OK)
        return status;
    status = xvm_protect(region, at, size, XVM_READ_WRITE);
    if (status == XVM_OK && (g->own.flags & XVM_GROWTH_LOCKED) != 0)
        status = xvm_lock(region, at, size);
    if (status == XVM_OK && (g->own.flags & (XVM_GROWTH_PREFAULT | XVM_GROWTH_LOCKED)) != 0)
        status = xvm_prefault(region, at, size);
    if (status != XVM_OK)
        (void)xvm_decommit(region, at, size);
    return status;
}

/* How far a step goes that must reach size: at least the policy's way. */
static size_t step_to(const xvm_growth *g, size_t size)
{
    size_t step = g->own.step;

    if (step == 0)
        step = smaller(g->committed / FRACTION, LARGEST_STEP);
    if (step < SMALLEST_STEP && g->own.step == 0)
        step = SMALLEST_STEP;
    return step > g->reserved - g->committed ? g->reserved
           : g->committed + step > size      ? g->committed + step
                                             : size;
}

xvm_status xvm_growth_reach(xvm_growth *growth, size_t size)
{
    size_t unit, least, far;
    xvm_status status;

    if (growth == NULL)
        return refuse(size, XVM_E_INVALID);
    if (size <= growth->committed)
        return XVM_OK;
    if (size > growth->reserved)
        return refuse(size, XVM_E_ADDRESS_SPACE);
    unit = unit_of(growth);
    least = smaller(round_up(size, unit), growth->reserved);
    far = smaller(round_up(step_to(growth, size), unit), growth->reserved);
    status = commit(growth, growth->committed, far);
    if (status != XVM_OK && least < far) {
        far = least;
        status = commit(growth, growth->committed, far);
    }
    if (status == XVM_OK)
        growth->committed = far;
    return status;
}

/* --- giving back ------------------------------------------------------------------------------ */

/* Everything from keep on, a multiple of the unit. */
static size_t give_back(xvm_growth *g, size_t keep)
{
    size_t size = g->committed - keep;

    if (xvm_decommit(region_of(g), g->own.offset + keep, size) != XVM_OK)
        return 0;
    g->committed = keep;
    g->touched = smaller(g->touched, keep);
    return size;
}

size_t xvm_growth_floor(const xvm_growth *growth)
{
    if (growth->committed <= KEPT || (growth->own.flags & XVM_GROWTH_KEEP) != 0)
        return 0;
    return growth->committed / SPARE;
}

void xvm_growth_settle(xvm_growth *growth, size_t used)
{
    size_t keep;

    if (used >= xvm_growth_floor(growth))
        return;
    keep = round_up(growth->committed / 2, unit_of(growth));
    if (keep < growth->committed)
        (void)give_back(growth, keep);
}

size_t xvm_growth_trim(xvm_growth *growth, size_t used)
{
    size_t keep;

    if (growth->committed == 0)
        return 0;
    keep = round_up(used, unit_of(growth));
    return keep < growth->committed ? give_back(growth, keep) : 0;
}

/* pool.c - blocks of one size: making, growing, giving back, looking. The picture and the rules are
 * in xvm/pool.h; the calls of pools that threads share or tools watch are in pool_shared.c. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "failure.h"
#include "lock.h"
#include "pages.h"
#include "pool.h"
#include "tell.h"
#include "xvm/pool.h"

enum {
    USUAL_ALIGNMENT = 16,
    GENERATION_BITS = 8, /* at least */
    ALL_FLAGS = XVM_POOL_SHARED | XVM_POOL_REALTIME | XVM_POOL_HANDLES
};

static const uint32_t LIVE = UINT32_MAX; /* without handles */

static const xvm_pool_options no_options;

xvm_status xvm_os_pool_refuse(const char *call, const void *block, size_t size, xvm_status status)
{
    xvm_os_site site = {.call = call, .own = true, .address = block, .size = size};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

/* --- the shape of a pool ---------------------------------------------------------------------- */

/* Bits that hold any number up to count and one more value. */
static unsigned number_bits(size_t count)
{
    unsigned bits = 1;

    while (bits < 32 && count >= ((uint32_t)1 << bits) - 1)
        bits++;
    return bits;
}

static bool multiply(size_t a, size_t b, size_t *product)
{
    *product = a * b;
    return a == 0 || *product / a == b;
}

/* The inverse of an odd number modulo SIZE_MAX + 1: each round doubles the bits that are right, 3 at
 * first. */
static size_t invert(size_t odd)
{
    size_t inverse = odd;

    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

/* Bytes in front of the links, and with them. */
static size_t table_front(const xvm_pool *p)
{
    return is_closed(p) ? xvm_os_pool_shared_size() : 0;
}

static bool table_size(bool closed, size_t max_blocks, size_t *size)
{
    return multiply(max_blocks + 1, sizeof(uint32_t), size) &&
           add_sizes(*size, closed ? xvm_os_pool_shared_size() : 0, size);
}

/* What follows from the arguments, without any memory. */
typedef struct shape {
    size_t stride, blocks, table; /* bytes: of a block, of all, of the table */
    unsigned bits;
    bool closed, listens;
} shape;

/* Under a tool something that is nobody's lies behind each block. */
static bool find_stride(shape *s, size_t block_size, size_t alignment)
{
    size_t unit = s->listens && alignment < USUAL_ALIGNMENT ? USUAL_ALIGNMENT : alignment, wide;

    if (!add_sizes(block_size, s->listens ? XVM_OS_TELL_GAP : 0, &wide))
        return false;
    s->stride = round_up(wide, unit);
    return s->stride >= wide;
}

static xvm_status find_shape(shape *s, size_t block_size, size_t alignment, size_t max_blocks,
                             const xvm_pool_options *o)
{
    bool handles = (o->flags & XVM_POOL_HANDLES) != 0;

    if (block_size == 0 || max_blocks == 0 || !is_power_of_two(alignment) ||
        (o->flags & ~(unsigned)ALL_FLAGS) != 0)
        return XVM_E_INVALID;
    s->listens = xvm_os_tell_listens();
    s->closed = s->listens || (o->flags & XVM_POOL_SHARED) != 0;
    s->bits = max_blocks < UINT32_MAX ? number_bits(max_blocks) : 33;
    if (s->bits > (handles ? 32 - GENERATION_BITS : 32) || !find_stride(s, block_size, alignment) ||
        !multiply(s->stride, max_blocks, &s->blocks) ||
        !table_size(s->closed, max_blocks, &s->table))
        return XVM_E_ADDRESS_SPACE;
    return XVM_OK;
}

/* In a caller's region: where the table lies behind the blocks, and where both end. */
static bool find_parts(const shape *s, size_t unit, size_t *table, size_t *end)
{
    *table = round_up(s->blocks, unit);
    return *table >= s->blocks && add_sizes(*table, s->table, end) &&
           (*end = round_up(*end, unit)) > *table;
}

size_t xvm_pool_footprint(size_t block_size, size_t alignment, size_t max_blocks,
                          const xvm_pool_options *options)
{
    const xvm_pool_options *o = options != NULL ? options : &no_options;
    size_t unit = o->growth.region != NULL ? xvm_commit_unit(o->growth.region) : xvm_page_size();
    size_t table, end;
    shape s;

    if (unit == 0 || find_shape(&s, block_size, alignment != 0 ? alignment : USUAL_ALIGNMENT,
                                max_blocks, o) != XVM_OK)
        return 0;
    return find_parts(&s, unit, &table, &end) ? end : 0;
}

/* --- create and destroy ----------------------------------------------------------------------- */

/* What a pool asks its memory for. */
static xvm_growth_options growth_options(const xvm_pool_options *o)
{
    xvm_growth_options g = o->growth;

    if ((o->flags & XVM_POOL_REALTIME) != 0)
        g.flags |= XVM_GROWTH_COMMIT | XVM_GROWTH_LOCKED | XVM_GROWTH_PREFAULT | XVM_GROWTH_KEEP;
    return g;
}

static xvm_status begin_shared(xvm_pool *p, const shape *s, size_t alignment,
                               const xvm_pool_options *o)
{
    xvm_growth_options g = growth_options(o);
    size_t unit = xvm_commit_unit(g.region), table, end;
    xvm_status status;

    if (unit == 0 || !find_parts(s, unit, &table, &end) || g.offset > g.region->size ||
        end > g.region->size - g.offset ||
        !is_multiple((unsigned char *)g.region->base + g.offset, alignment))
        return xvm_os_pool_refuse("pool_create", NULL, s->blocks, XVM_E_INVALID);
    status = xvm_growth_begin(&p->own.blocks, s->blocks, &g);
    g.offset += table;
    return status != XVM_OK ? status : xvm_growth_begin(&p->own.table, s->table, &g);
}

static xvm_status begin_alone(xvm_pool *p, const shape *s, size_t alignment,
                              const xvm_pool_options *o)
{
    xvm_growth_options g = growth_options(o), table = g;
    xvm_reserve_options wish = {.huge = g.huge, .budget = g.budget, .name = g.name};
    xvm_status status;

    wish.alignment = alignment > xvm_allocation_granularity() ? alignment : 0;
    status = xvm_reserve(&p->own.region, s->blocks, &wish);
    if (status != XVM_OK)
        return status;
    g.region = &p->own.region;
    g.offset = 0;
    status = xvm_growth_begin(&p->own.blocks, s->blocks, &g);
    table.huge = XVM_HUGE_DEFAULT;
    table.step = 0;
    return status != XVM_OK ? status : xvm_growth_begin(&p->own.table, s->table, &table);
}

/* How many blocks what is committed is good for. */
static size_t ready_blocks(const xvm_pool *p)
{
    size_t front = table_front(p), committed = p->own.table.committed;
    size_t words = committed > front ? (committed - front) / sizeof(uint32_t) : 0;
    size_t blocks = p->own.blocks.committed / p->stride;

    if (words == 0)
        return 0;
    blocks = words - 1 < blocks ? words - 1 : blocks;
    return blocks < p->capacity ? blocks : p->capacity;
}

/* From the memory to the pool. */
static xvm_status set_up(xvm_pool *p, const shape *s)
{
    xvm_status status;

    p->base = p->own.blocks.base;
    p->stride = s->stride;
    p->shift = exponent(s->stride & (~s->stride + 1));
    p->inverse = invert(s->stride >> p->shift);
    p->own.numbers = s->bits < 32 ? ((uint32_t)1 << s->bits) - 1 : UINT32_MAX;
    p->mask = (p->own.flags & XVM_POOL_HANDLES) != 0 ? p->own.numbers : UINT32_MAX;
    p->step = p->mask + 1;
    p->own.shared = s->closed ? p->own.table.base : NULL;
    p->links = (uint32_t *)(void *)(p->own.table.base + table_front(p));
    status = xvm_growth_reach(&p->own.table, table_front(p));
    if (status != XVM_OK)
        return status;
    p->own.ready = ready_blocks(p);
    if (s->listens)
        xvm_os_tell_dead(p->base, p->own.blocks.committed);
    if (s->closed)
        xvm_os_pool_open_shared(p);
    return XVM_OK;
}

xvm_status xvm_pool_create(xvm_pool *pool, size_t block_size, size_t alignment, size_t max_blocks,
                           const xvm_pool_options *options)
{
    const xvm_pool_options *o = options != NULL ? options : &no_options;
    size_t aligned = alignment != 0 ? alignment : USUAL_ALIGNMENT;
    xvm_status status;
    shape s = {0};

    if (pool == NULL)
        return xvm_os_pool_refuse("pool_create", NULL, block_size, XVM_E_INVALID);
    *pool = (xvm_pool){0};
    status = find_shape(&s, block_size, aligned, max_blocks, o);
    if (status != XVM_OK)
        return xvm_os_pool_refuse("pool_create", NULL, block_size, status);
    pool->block_size = block_size;
    pool->capacity = max_blocks;
    pool->own.flags = o->flags;
    pool->own.listens = s.listens;
    status = o->growth.region != NULL ? begin_shared(pool, &s, aligned, o)
                                      : begin_alone(pool, &s, aligned, o);
    if (status == XVM_OK)
        status = set_up(pool, &s);
    if (status != XVM_OK)
        xvm_pool_destroy(pool);
    return status;
}

void xvm_pool_destroy(xvm_pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->own.listens && pool->own.blocks.committed != 0)
        xvm_os_tell_live(pool->own.blocks.base, pool->own.blocks.committed);
    if (pool->own.region.base != NULL)
        (void)xvm_release(&pool->own.region);
    else
        xvm_growth_end(&pool->own.blocks);
    xvm_growth_end(&pool->own.table);
    *pool = (xvm_pool){0};
}

/* --- getting ---------------------------------------------------------------------------------- */

xvm_status xvm_os_pool_grow(xvm_pool *pool)
{
    size_t want = LOAD(&pool->own.fresh) + 1, before = pool->own.blocks.committed;
    xvm_status status;

    if (pool->base == NULL)
        return xvm_os_pool_refuse("pool_get", NULL, 0, XVM_E_INVALID);
    if (want > pool->capacity)
        return xvm_os_pool_refuse("pool_get", NULL, pool->block_size, XVM_E_ADDRESS_SPACE);
    status = xvm_growth_reach(&pool->own.table, table_front(pool) + (want + 1) * sizeof(uint32_t));
    if (status == XVM_OK)
        status = xvm_growth_reach(&pool->own.blocks, want * pool->stride);
    if (status != XVM_OK)
        return status;
    if (pool->own.listens)
        xvm_os_tell_dead(pool->own.blocks.base + before, pool->own.blocks.committed - before);
    STORE_RELEASE(&pool->own.ready, ready_blocks(pool));
    return XVM_OK;
}

/* Fresh blocks behind all that was ever touched are zero. */
static bool is_dirty(const xvm_pool *p, uint32_t number)
{
    return (size_t)(number - 1) * p->stride < p->own.blocks.touched;
}

static uint32_t get_fresh(xvm_pool *p)
{
    uint32_t number;

    if (p->own.fresh == p->own.ready && xvm_os_pool_grow(p) != XVM_OK)
        return 0;
    number = (uint32_t)++p->own.fresh;
    p->open = p->own.fresh;
    p->links[number] = live_word(p, p->links[number] + p->step);
    p->live++;
    return number;
}

/* The number of a block that is out from now on, by whatever way; 0: refused. */
static uint32_t get_any(xvm_pool *p, bool *dirty)
{
    uint32_t number = p->head;

    *dirty = true;
    if (is_closed(p))
        return xvm_os_pool_shared_get(p, dirty);
    if (number != 0)
        return (uint32_t)xvm_pool_index(p, xvm_pool_get(p)) + 1;
    number = get_fresh(p);
    *dirty = number != 0 && is_dirty(p, number);
    return number;
}

static void *get_slowly(xvm_pool *pool)
{
    bool dirty;
    uint32_t number = get_any(pool, &dirty);
    unsigned char *block = number != 0 ? block_of(pool, number) : NULL;

    if (block != NULL && pool->own.listens)
        xvm_os_tell_fresh(block, pool->block_size);
    return block;
}

/* First where a shared pool is fast: in the lane of this thread. */
void *xvm_pool_get_more(xvm_pool *pool)
{
    lane *l = enter_own(pool);
    uint32_t number, *link;

    if (l == NULL)
        return get_slowly(pool);
    number = l->head;
    if (number == 0) {
        leave_own(l);
        return get_slowly(pool);
    }
    link = &pool->links[number];
    STORE(&l->head, LOAD(link));
    STORE(link, LIVE);
    l->count--;
    leave_own(l);
    return block_of(pool, number);
}

void *xvm_pool_get_zeroed(xvm_pool *pool)
{
    bool dirty;
    uint32_t number = get_any(pool, &dirty);
    unsigned char *block = number != 0 ? block_of(pool, number) : NULL;

    if (block != NULL && pool->own.listens)
        xvm_os_tell_live(block, pool->block_size);
    if (block != NULL && dirty)
        memset(block, 0, pool->block_size);
    return block;
}

/* --- putting ---------------------------------------------------------------------------------- */

static xvm_status put_slowly(xvm_pool *pool, void *block, size_t index)
{
    if (block == NULL || (is_closed(pool) && index < LOAD(&pool->own.fresh) &&
                          xvm_os_pool_shared_put(pool, (uint32_t)index + 1, 0)))
        return XVM_OK;
    return xvm_os_pool_refuse("pool_put", block, 0, XVM_E_INVALID);
}

/* The inline way has found no block that is out, or the pool is closed. First where a shared pool is
 * fast: in the lane of this thread. */
xvm_status xvm_pool_put_other(xvm_pool *pool, void *block, size_t index)
{
    lane *l = index < LOAD(&pool->own.fresh) ? enter_own(pool) : NULL;
    uint32_t *link;

    if (l == NULL)
        return put_slowly(pool, block, index);
    link = &pool->links[index + 1];
    if (LOAD(link) != LIVE || l->count >= 2 * BATCH) {
        leave_own(l);
        return put_slowly(pool, block, index);
    }
    STORE(link, l->head);
    STORE(&l->head, (uint32_t)index + 1);
    l->count++;
    leave_own(l);
    return XVM_OK;
}

/* --- all of it at once ------------------------------------------------------------------------ */

/* The state in which only the first fresh blocks have ever been out. */
static void forget_fresh(xvm_pool *p, size_t fresh)
{
    size_t used = p->own.fresh * p->stride;

    p->own.peak = p->own.fresh > p->own.peak ? p->own.fresh : p->own.peak;
    p->own.blocks.touched = used > p->own.blocks.touched ? used : p->own.blocks.touched;
    p->own.fresh = fresh;
    p->open = is_closed(p) ? 0 : fresh;
}

/* No word may look live while another thread takes its block as a fresh one. */
static void clear_words(xvm_pool *p)
{
    (void)xvm_os_pool_gather(p);
    for (size_t n = 1; n <= p->own.fresh; n++)
        p->links[n] = freed(p, p->links[n], 0);
}

void xvm_pool_clear(xvm_pool *pool)
{
    if (pool == NULL || pool->base == NULL)
        return;
    if (pool->own.listens)
        xvm_os_tell_dead(pool->base, pool->own.fresh * pool->stride);
    if (is_closed(pool))
        clear_words(pool);
    forget_fresh(pool, 0);
    pool->live = 0;
    pool->head = 0;
}

/* A list without the numbers above last, in the same order. */
static uint32_t drop_above(xvm_pool *p, uint32_t first, uint32_t last)
{
    uint32_t head = 0, tail = 0, next;

    for (uint32_t n = first; n != 0; n = next) {
        next = p->links[n] & p->mask;
        if (n > last)
            continue;
        if (tail == 0)
            head = n;
        else
            p->links[tail] = linked(p, p->links[tail], n);
        tail = n;
    }
    if (tail != 0)
        p->links[tail] = linked(p, p->links[tail], 0);
    return head;
}

/* Generations must outlive their blocks: with handles the table stays. */
static size_t give_back(xvm_pool *p)
{
    size_t used = p->own.fresh * p->stride, given;
    size_t words = table_front(p) + (p->own.fresh + 1) * sizeof(uint32_t);

    if (p->own.listens)
        xvm_os_tell_live(p->base + used, p->own.blocks.committed - used);
    given = xvm_growth_trim(&p->own.blocks, used);
    if (p->own.listens && p->own.blocks.committed > used)
        xvm_os_tell_dead(p->base + used, p->own.blocks.committed - used);
    if ((p->own.flags & XVM_POOL_HANDLES) == 0)
        given += xvm_growth_trim(&p->own.table, words);
    return given;
}

size_t xvm_pool_trim(xvm_pool *pool)
{
    uint32_t last, first;
    size_t given;

    if (pool == NULL || pool->base == NULL || (pool->own.flags & XVM_POOL_REALTIME) != 0)
        return 0;
    for (last = (uint32_t)pool->own.fresh; last > 0; last--)
        if (is_live(pool, pool->links[last]))
            break;
    first = is_closed(pool) ? xvm_os_pool_gather(pool) : pool->head;
    first = drop_above(pool, first, last);
    forget_fresh(pool, last);
    if (is_closed(pool))
        xvm_os_pool_scatter(pool, first);
    else
        pool->head = first;
    given = give_back(pool);
    pool->own.ready = ready_blocks(pool);
    return given;
}

/* --- looking ---------------------------------------------------------------------------------- */

static size_t count_live(const xvm_pool *p)
{
    size_t fresh = LOAD(&p->own.fresh), live = 0;

    for (size_t n = 1; n <= fresh; n++)
        live += is_live(p, LOAD(&p->links[n]));
    return live;
}

bool xvm_pool_is_live(const xvm_pool *pool, const void *block)
{
    size_t index = xvm_pool_index(pool, block);

    return index < LOAD(&pool->own.fresh) && is_live(pool, LOAD(&pool->links[index + 1]));
}

void xvm_pool_counts(const xvm_pool *pool, xvm_pool_count *out)
{
    size_t fresh = LOAD(&pool->own.fresh);

    out->live = is_closed(pool) ? count_live(pool) : pool->live;
    out->peak = fresh > pool->own.peak ? fresh : pool->own.peak;
    out->ready = LOAD(&pool->own.ready);
    out->capacity = pool->capacity;
}

/* Rule 5: as far as a look at one byte in many can tell. */
static bool is_zero_behind(const xvm_pool *p)
{
    enum { FAR_APART = 61, LOOKS = 1000 };
    size_t used = p->own.fresh * p->stride;
    size_t from = used > p->own.blocks.touched ? used : p->own.blocks.touched;

    for (size_t i = 0; i < LOOKS && from < p->own.blocks.committed; i++, from += FAR_APART)
        if (!p->own.listens && p->base[from] != 0)
            return false;
    return true;
}

xvm_status xvm_pool_check(const xvm_pool *pool)
{
    size_t listed, live;
    bool sound;

    if (pool == NULL)
        return xvm_os_pool_refuse("pool_check", NULL, 0, XVM_E_INVALID);
    if (pool->base == NULL)
        return XVM_OK;
    sound = pool->own.fresh <= pool->own.ready && pool->own.ready <= pool->capacity &&
            pool->own.ready <= ready_blocks(pool) &&
            pool->open == (is_closed(pool) ? 0 : pool->own.fresh);
    live = sound ? count_live(pool) : 0;
    listed = !sound            ? SIZE_MAX
             : is_closed(pool) ? xvm_os_pool_shared_listed(pool)
                               : length_of(pool, pool->head);
    sound = sound && listed <= pool->own.fresh && live + listed == pool->own.fresh &&
            (is_closed(pool) || live == pool->live) && is_zero_behind(pool);
    return sound ? XVM_OK : xvm_os_pool_refuse("pool_check", pool->base, 0, XVM_E_CORRUPT);
}

/* --- handles ---------------------------------------------------------------------------------- */

static bool has_handles(const xvm_pool *p)
{
    return (p->own.flags & XVM_POOL_HANDLES) != 0;
}

/* A word that is live has the generation; the handle has the number in place of LIVE. */
xvm_pool_handle xvm_pool_handle_of(const xvm_pool *pool, const void *block)
{
    size_t index = xvm_pool_index(pool, block);
    uint32_t word;

    if (!has_handles(pool) || index >= LOAD(&pool->own.fresh))
        return 0;
    word = LOAD(&pool->links[index + 1]);
    return is_live(pool, word) ? linked(pool, word, (uint32_t)index + 1) : 0;
}

xvm_pool_handle xvm_pool_get_handle(xvm_pool *pool)
{
    if (!has_handles(pool)) {
        (void)xvm_os_pool_refuse("pool_get_handle", NULL, 0, XVM_E_INVALID);
        return 0;
    }
    return xvm_pool_handle_of(pool, xvm_pool_get(pool));
}

void *xvm_pool_resolve_other(const xvm_pool *pool, xvm_pool_handle handle)
{
    uint32_t number = handle & pool->mask;

    if (!has_handles(pool) || number == 0 || number > LOAD(&pool->own.fresh))
        return NULL;
    return LOAD(&pool->links[number]) == live_word(pool, handle) ? block_of(pool, number) : NULL;
}

xvm_status xvm_pool_put_handle(xvm_pool *pool, xvm_pool_handle handle)
{
    void *block = xvm_pool_resolve(pool, handle);
    uint32_t number = handle & pool->mask;

    if (handle == 0)
        return XVM_OK;
    if (block != NULL && !is_closed(pool))
        return xvm_pool_put(pool, block);
    if (block != NULL && xvm_os_pool_shared_put(pool, number, live_word(pool, handle)))
        return XVM_OK; /* else another thread was faster */
    return xvm_os_pool_refuse("pool_put_handle", NULL, 0, XVM_E_INVALID);
}

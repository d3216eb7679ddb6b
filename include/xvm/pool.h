/* pool.h - blocks of one size, had and given back in any order, at once.
 *
 *     base                              fresh                 ready           capacity
 *     | out | free | out | free | free  | never out, committed | addresses only |   blocks
 *     links: one word of 32 bits for each block, in memory of its own:
 *     | LIVE | next  | LIVE | next | 0  | ...
 *
 *   1  fresh <= ready <= capacity, in blocks; ready blocks and their words are committed.
 *   2  Each block below fresh is either out: its word is LIVE; or free: its word is the number of
 *      the next free one, 0 at the end. Numbers count from 1.
 *   3  Each free block is in exactly one list, once. Lists are last in, first out.
 *   4  live + free = fresh.
 *   5  Bytes of fresh memory behind all that was ever out are zero.
 *
 * Nothing is kept in the blocks: a program that writes to a block it has given back damages no list,
 * and blocks may be as small as one byte. A put looks the block up: one that is no block of the pool,
 * lies inside of one or is free already is refused, and nothing changes. Two threads of a shared pool
 * that put the same block at the same moment, with nothing to order them, race as with two writes;
 * with XVM_POOL_HANDLES, XVM_POOL_REALTIME or fewer than 1024 blocks one of them is refused even then.
 */
#ifndef XVM_POOL_H
#define XVM_POOL_H

#include <stdbool.h>

#include "xvm/growth.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xvm_pool_flag {
    XVM_POOL_SHARED = 1, /* get, put and handles from any thread at any time; not in the child of a
                              fork during which another thread was in one of them */
    XVM_POOL_REALTIME = 2, /* all blocks are committed, resident and locked at creation; until
                              xvm_pool_destroy no call of the pool makes a system call. With
                              XVM_POOL_SHARED it is lock-free */
    XVM_POOL_HANDLES = 4   /* blocks have handles that go stale with them */
} xvm_pool_flag;

/* All zero is the default. */
typedef struct xvm_pool_options {
    unsigned flags;            /* of xvm_pool_flag */
    xvm_growth_options growth; /* steps, budget, name, huge pages; a part of a caller's region:
                                  xvm_pool_footprint says how much of it */
} xvm_pool_options;

/* A pool. It must not be copied or moved. block_size and capacity are for reading, the rest is for
 * the calls below. */
typedef struct xvm_pool {
    unsigned char *base; /* of the first block */
    uint32_t *links;     /* by number; links[0] is nobody's */
    size_t stride;       /* bytes from block to block */
    size_t inverse;      /* of the odd part of stride, modulo SIZE_MAX + 1 */
    unsigned shift;      /* the even part is 1 << shift */
    uint32_t mask;       /* bits of a word that hold a number; all set: LIVE */
    uint32_t step;       /* what a put adds to the other bits: a generation, or 0 */
    uint32_t head; /* number of the first free block; 0 when the way out of line must be gone */
    size_t open;   /* fresh, or 0 when the way out of line must be gone */
    size_t live;   /* blocks that are out, unless shared */
    size_t block_size, capacity;
    struct {
        size_t fresh, ready, peak;
        xvm_growth blocks, table;
        xvm_region region; /* of the blocks, when they are in none of the caller's */
        void *shared;      /* what threads share; in front of the links */
        void *lanes;       /* in it; NULL: has none */
        void *quick;       /* the same, unless there are handles */
        unsigned flags;
        uint32_t numbers; /* bits that hold any number */
        bool listens;     /* a tool does */
    } own;
} xvm_pool;

/* Begins with no block out.
 *
 * pool           to be filled; its old value is not looked at
 * block_size     bytes, not 0
 * alignment      of each block: a power of two; 0 = 16
 * max_blocks     not 0; at most 4,294,967,294, with XVM_POOL_HANDLES 16,777,214
 * options        NULL = all zero
 * result         nothing is committed, but for a shared pool a few pages, and with XVM_POOL_REALTIME
 *                all
 * errors         XVM_E_INVALID: an argument; a part of a region that is too small or not aligned.
 *                XVM_E_ADDRESS_SPACE: too many blocks, or no addresses for them. With
 *                XVM_POOL_REALTIME as xvm_commit, xvm_prefault and xvm_lock. On error *pool is all
 *                zero
 * threads        any
 * linux          two reservations, none in a caller's region
 * windows        the same
 * since          0.3
 */
XVM_API xvm_status xvm_pool_create(xvm_pool *pool, size_t block_size, size_t alignment,
                                   size_t max_blocks, const xvm_pool_options *options);

/* Gives all of it back; blocks that are out are gone.
 *
 * pool       NULL and all zero are fine
 * result     all zero
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_pool_destroy(xvm_pool *pool);

/* How much of a region a pool needs, that is to lie in options->growth.region.
 *
 * block_size,alignment,max_blocks,options  as for xvm_pool_create
 * result     bytes, a multiple of the region's commit unit; 0 when a pool cannot be made of that
 * threads    any
 * since      0.3
 */
XVM_API size_t xvm_pool_footprint(size_t block_size, size_t alignment, size_t max_blocks,
                                  const xvm_pool_options *options);

/* The ways of xvm_pool_get and xvm_pool_put that are not inline. Call those.
 *
 * index      of block
 * result     as those
 * errors     as those
 * threads    as those
 * linux      as those
 * windows    as those
 * since      0.3
 */
XVM_API void *xvm_pool_get_more(xvm_pool *pool);
XVM_API xvm_status xvm_pool_put_other(xvm_pool *pool, void *block, size_t index);

/* Gets a block.
 *
 * result     the block that was put last, else a fresh one; its contents are what they were, or
 *            zero. NULL: xvm_last_status() is XVM_E_ADDRESS_SPACE when all blocks are out, otherwise
 *            why a commit was refused
 * threads    one at a time; any with XVM_POOL_SHARED
 * since      0.3
 */
static inline void *xvm_pool_get(xvm_pool *pool)
{
    uint32_t number = pool->head, word;

    if (number == 0)
        return xvm_pool_get_more(pool);
    word = pool->links[number];
    pool->head = word & pool->mask;
    pool->links[number] = word | pool->mask;
    pool->live++;
    return pool->base + XVM_CAST(size_t, number - 1) * pool->stride;
}

/* Which block begins at an address: 0 for the first.
 *
 * block      any pointer
 * result     for the first byte of a block its index; for every other address a number that is at
 *            least the capacity
 * threads    any
 * since      0.3
 */
static inline size_t xvm_pool_index(const xvm_pool *pool, const void *block)
{
    enum { BITS = sizeof(size_t) * 8 };
    /* Division by multiplication: multiples of stride come out as their quotients, and all other
     * distances as something larger than SIZE_MAX / stride. */
    size_t product = (XVM_ADDRESS(block) - XVM_ADDRESS(pool->base)) * pool->inverse;

    return product >> pool->shift | product << ((BITS - pool->shift) & (BITS - 1));
}

/* Gives a block back.
 *
 * block      from xvm_pool_get of the same pool; NULL is fine
 * result     it is free, and the next one to be had
 * errors     XVM_E_INVALID: not the first byte of a block of this pool, or free already. On error
 *            nothing changed
 * threads    one at a time; any with XVM_POOL_SHARED
 * linux      no system call
 * windows    the same
 * since      0.3
 */
static inline xvm_status xvm_pool_put(xvm_pool *pool, void *block)
{
    size_t index = xvm_pool_index(pool, block);
    uint32_t *link, word;

    if (index >= pool->open)
        return xvm_pool_put_other(pool, block, index);
    link = &pool->links[index + 1];
    word = *link;
    if ((word & pool->mask) != pool->mask)
        return xvm_pool_put_other(pool, block, index);
    *link = ((word & ~pool->mask) + pool->step) | pool->head;
    pool->head = XVM_CAST(uint32_t, index + 1);
    pool->live--;
    return XVM_OK;
}

/* Gets a block of zeros. Fresh ones are zero already.
 *
 * result     block_size bytes that are zero; NULL as xvm_pool_get
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API void *xvm_pool_get_zeroed(xvm_pool *pool);

/* Does an address lie in the pool's blocks?
 *
 * address    any; also inside a block, and of blocks that are not out
 * result     true for each byte from the first block to the end of the last there can be
 * threads    any
 * since      0.3
 */
static inline bool xvm_pool_owns(const xvm_pool *pool, const void *address)
{
    return XVM_ADDRESS(address) - XVM_ADDRESS(pool->base) < pool->capacity * pool->stride;
}

/* Is it the first byte of a block that is out?
 *
 * block      any pointer
 * result     exact; in a shared pool what was true at some moment of the call
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API bool xvm_pool_is_live(const xvm_pool *pool, const void *block);

/* Takes all blocks back. Memory stays committed.
 *
 * pool       NULL and all zero are fine
 * result     no block is out; handles are stale
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_pool_clear(xvm_pool *pool);

/* Gives back the memory behind the last block that is out.
 *
 * pool       NULL and all zero are fine
 * result     bytes given back; 0 with XVM_POOL_REALTIME. Blocks that are out stay; handles that are
 *            stale stay so
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API size_t xvm_pool_trim(xvm_pool *pool);

/* Tests the rules above.
 *
 * result     XVM_OK
 * errors     XVM_E_CORRUPT: a rule is broken. XVM_E_INVALID: pool NULL
 * threads    not while another thread uses it
 * linux      no system call; looks at each block's word
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_pool_check(const xvm_pool *pool);

/* Blocks of a pool. */
typedef struct xvm_pool_count {
    size_t live;     /* out now */
    size_t peak;     /* most that were out at a time; of a shared pool: at most that many */
    size_t ready;    /* could be had without another commit, or are out */
    size_t capacity; /* max_blocks */
} xvm_pool_count;

/* Counts blocks.
 *
 * out        all zero for a pool that is
 * result     exact. A shared pool counts by looking at each word, and while other threads work it
 *            is as good as that can be
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API void xvm_pool_counts(const xvm_pool *pool, xvm_pool_count *out);

/* --- handles ---------------------------------------------------------------------------------- */

/* A block and its generation, of a pool with XVM_POOL_HANDLES; 0 = none. The low bits are as many as
 * max_blocks + 1 needs, the others count the puts of that block: with up to 4094 blocks there are
 * 1,048,576 generations, with up to 1,048,574 there are 4,096, and at least there are 256. After so
 * many puts of the same block an old handle would be taken for a new one. */
typedef uint32_t xvm_pool_handle;

/* Gets a block, and its handle. xvm_pool_resolve has the address.
 *
 * result     0 as xvm_pool_get, or with XVM_E_INVALID when the pool has no handles
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API xvm_pool_handle xvm_pool_get_handle(xvm_pool *pool);

/* The handle of a block that is out.
 *
 * block      any pointer
 * result     0 when it is no such block, or the pool has no handles
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API xvm_pool_handle xvm_pool_handle_of(const xvm_pool *pool, const void *block);

/* The block of a handle, where that is not inline. Call xvm_pool_resolve.
 *
 * result     as xvm_pool_resolve
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API void *xvm_pool_resolve_other(const xvm_pool *pool, xvm_pool_handle handle);

/* The block of a handle.
 *
 * handle     any number
 * result     NULL when the block has been put since, or the pool been cleared, also when the block
 *            is out again; NULL for 0 and for a number that is no handle
 * threads    as xvm_pool_get
 * since      0.3
 */
static inline void *xvm_pool_resolve(const xvm_pool *pool, xvm_pool_handle handle)
{
    size_t index = XVM_CAST(size_t, handle & pool->mask) - 1;

    if (index >= pool->open || pool->step == 0)
        return xvm_pool_resolve_other(pool, handle);
    return pool->links[index + 1] == (handle | pool->mask) ? pool->base + index * pool->stride
                                                           : NULL;
}

/* Gives the block of a handle back.
 *
 * handle     0 is fine
 * result     the handle is stale
 * errors     XVM_E_INVALID: stale, or no handle. On error nothing changed
 * threads    as xvm_pool_get
 * linux      no system call
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_pool_put_handle(xvm_pool *pool, xvm_pool_handle handle);

/* --- pools of several sizes ------------------------------------------------------------------- */

enum { XVM_POOL_SET_MOST = 16 };

/* One pool of a set. */
typedef struct xvm_pool_set_size {
    size_t block_size, alignment, max_blocks; /* as for xvm_pool_create */
} xvm_pool_set_size;

typedef struct xvm_pool_set_options {
    unsigned flags;        /* of xvm_pool_flag, for each pool */
    unsigned fall_through; /* not 0: when a pool has no block left, the next larger one is asked */
    xvm_growth_options growth; /* for each pool; in a caller's region one lies behind the other */
} xvm_pool_set_options;

/* Several pools, from small blocks to large ones. It must not be copied or moved. */
typedef struct xvm_pool_set {
    size_t count; /* for reading */
    unsigned fall_through;
    xvm_pool pools[XVM_POOL_SET_MOST]; /* for reading, and for calls on one of them */
} xvm_pool_set;

/* Begins with several pools.
 *
 * set          to be filled; its old value is not looked at
 * sizes,count  1 to XVM_POOL_SET_MOST, block sizes in rising order
 * options      NULL = all zero
 * result       as xvm_pool_create, for each of them
 * errors       XVM_E_INVALID: sizes NULL, their number or their order. As xvm_pool_create. On error
 *              *set is all zero
 * threads      any
 * linux        as xvm_pool_create
 * windows      the same
 * since        0.3
 */
XVM_API xvm_status xvm_pool_set_create(xvm_pool_set *set, const xvm_pool_set_size *sizes,
                                       size_t count, const xvm_pool_set_options *options);

/* Gives all pools back.
 *
 * set        NULL and all zero are fine
 * result     all zero
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_pool_set_destroy(xvm_pool_set *set);

/* Gets a block that is large enough, from the pool of the smallest such blocks.
 *
 * size       bytes; 0 is as 1
 * result     NULL: xvm_last_status() is XVM_E_ADDRESS_SPACE when no block is that large or all that
 *            may be taken are out, otherwise why a commit was refused
 * threads    as xvm_pool_get
 * since      0.3
 */
XVM_API void *xvm_pool_set_get(xvm_pool_set *set, size_t size);

/* Gives a block back to the pool that it is of.
 *
 * block      from xvm_pool_set_get of the same set; NULL is fine
 * result     it is free
 * errors     XVM_E_INVALID: as xvm_pool_put
 * threads    as xvm_pool_put
 * linux      no system call
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_pool_set_put(xvm_pool_set *set, void *block);

/* The pool whose block an address lies in.
 *
 * address    any
 * result     NULL when it lies in none
 * threads    any
 * since      0.3
 */
XVM_API xvm_pool *xvm_pool_set_find(xvm_pool_set *set, const void *address);

#ifdef __cplusplus
}
#endif

#endif

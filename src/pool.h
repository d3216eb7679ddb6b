/* pool.h - what the ways of a pool share: words, fresh blocks, the half that threads share.
 *
 * A pool is open when one thread at a time uses it and no tool listens: then it has one list, head,
 * and the inline functions do most of the work. A closed one has head and open at 0, so that every
 * call comes to src/pool_shared.c, whose lists are behind own.shared.
 */
#ifndef XVM_SRC_POOL_H
#define XVM_SRC_POOL_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "xvm/pool.h"

/* Why a public call on a pool fails. */
xvm_status xvm_os_pool_refuse(const char *call, const void *block, size_t size, xvm_status status);

/* More blocks are ready, at least one. */
xvm_status xvm_os_pool_grow(xvm_pool *pool);

/* --- the closed pool: src/pool_shared.c ------------------------------------------------------- */

size_t xvm_os_pool_shared_size(void);
/* own.shared is committed and zero. */
void xvm_os_pool_open_shared(xvm_pool *pool);
/* The number of a block that is out from now on; 0: refused. *dirty is false when it is known to be
 * zero. */
uint32_t xvm_os_pool_shared_get(xvm_pool *pool, bool *dirty);
/* false: the block of that number is not out, or not with that word. 0: with any. */
bool xvm_os_pool_shared_put(xvm_pool *pool, uint32_t number, uint32_t word);
/* While no other thread is at work: all lists become one, in the order of use. Its first number. */
uint32_t xvm_os_pool_gather(xvm_pool *pool);
void xvm_os_pool_scatter(xvm_pool *pool, uint32_t first);
/* How many blocks are in lists, or SIZE_MAX when one of them is broken. */
size_t xvm_os_pool_shared_listed(const xvm_pool *pool);

/* Lines that processors hand to each other; lanes of a pool; how many blocks come to
 * a lane or leave it at a time. */
enum { LINE = 64, LANES = 64, BATCH = 32 };

typedef struct lane {
    alignas(LINE) unsigned owner; /* a thread; NONE_YET; NOBODY: use the lock */
    unsigned active;              /* 1 while the owner is at work; written by the owner only */
    unsigned lock;
    uint32_t head, count;
    unsigned last, streak; /* under the lock: who came last, and how often in a row */
} lane;

/* --- words ------------------------------------------------------------------------------------ */

static inline bool is_closed(const xvm_pool *pool)
{
    return pool->own.shared != NULL;
}

static inline bool is_live(const xvm_pool *pool, uint32_t word)
{
    return (word & pool->mask) == pool->mask;
}

/* The same generation, out. */
static inline uint32_t live_word(const xvm_pool *pool, uint32_t word)
{
    return word | pool->mask;
}

/* The same generation, free, in front of next. */
static inline uint32_t linked(const xvm_pool *pool, uint32_t word, uint32_t next)
{
    return (word & ~pool->mask) | next;
}

/* The next generation, free, in front of next. */
static inline uint32_t freed(const xvm_pool *pool, uint32_t word, uint32_t next)
{
    return linked(pool, word + pool->step, next);
}

static inline unsigned char *block_of(const xvm_pool *pool, uint32_t number)
{
    return pool->base + (size_t)(number - 1) * pool->stride;
}

/* --- lanes ------------------------------------------------------------------------------------ */

static inline bool enter_as_owner(lane *l, unsigned me)
{
    if (LOAD(&l->owner) != me)
        return false;
    STORE(&l->active, 1u);
    COMPILER_FENCE();
    if (LOAD(&l->owner) == me)
        return true;
    STORE_RELEASE(&l->active, 0u);
    return false;
}

/* The quick way of a shared pool without handles, whose words are LIVE or a number: the lane of this
 * thread, for it alone until leave_own; NULL: not by this way. */
static inline lane *enter_own(const xvm_pool *pool)
{
    unsigned me = known_thread();
    lane *l = (lane *)pool->own.quick;

    if (l == NULL)
        return NULL;
    l += me % LANES;
    return enter_as_owner(l, me) ? l : NULL;
}

static inline void leave_own(lane *l)
{
    STORE_RELEASE(&l->active, 0u);
}

/* How many of the listed blocks there are when they begin with first and follow their words; SIZE_MAX
 * when a word leads to what is not free, or in a circle. */
static inline size_t length_of(const xvm_pool *pool, uint32_t first)
{
    size_t count = 0;

    for (uint32_t n = first; n != 0; n = LOAD(&pool->links[n]) & pool->mask)
        if (n > pool->own.fresh || is_live(pool, LOAD(&pool->links[n])) ||
            ++count > pool->own.fresh)
            return SIZE_MAX;
    return count;
}

#endif

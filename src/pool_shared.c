/* pool_shared.c - the pool that several threads use at once, or that a tool watches.
 *
 *     central     top: | use count | number | ----> free block ----> free block ----> 0
 *                                                                            lock-free, for all
 *     lanes       | owner | list of up to 2 * BATCH | owner | list ... |     one for each thread
 *
 *   1  central is a stack that any thread pushes to and pops from by one compare and swap. The use
 *      count above the number changes with each, so that a top which came back is not taken for the
 *      old one.
 *   2  A lane's list belongs to its owner, which says so in active before it looks whether it still
 *      is the owner. Who wants the list of another lane takes its lock, makes NOBODY the owner, has
 *      all threads pass a barrier, and waits until active is 0. From then on the lane is used under
 *      its lock, until one thread has come so often in a row that it becomes the owner.
 *   3  Lanes are filled from central, or with fresh blocks, and empty into it, BATCH at a time. When
 *      there is no block elsewhere, those in lanes are taken.
 *   4  Pools with few blocks, real-time pools (the barrier is a system call) and watched ones have no
 *      lanes.
 *   5  A block is put by a compare and swap of its word: of two that put it one is refused. The quick
 *      way of pools with lanes and without handles (xvm_pool_put_other) does without: it cost more
 *      than all the rest, and only matters when two threads put one block at the same moment.
 */
#include <limits.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "pool.h"
#include "tell.h"

enum {
    STREAK = 5000, /* uses in a row: worth more than a barrier in all threads */
    FEW = 1024     /* blocks: with fewer, lanes would hold too many of them */
};

/* Owners that are no thread. */
static const unsigned NOBODY = UINT_MAX, NONE_YET = UINT_MAX - 1;

typedef struct shared {
    alignas(LINE) uint64_t top;
    alignas(LINE) unsigned growing; /* a lock */
    bool has_owners;
    lane lanes[LANES];
} shared;

static shared *shared_of(const xvm_pool *p)
{
    return (shared *)p->own.shared;
}

static uint32_t word(const xvm_pool *p, uint32_t number)
{
    return LOAD(&p->links[number]);
}

static uint32_t next_of(const xvm_pool *p, uint32_t number)
{
    return word(p, number) & p->mask;
}

static void set_next(xvm_pool *p, uint32_t number, uint32_t next)
{
    STORE(&p->links[number], linked(p, word(p, number), next));
}

static void set_live(xvm_pool *p, uint32_t number)
{
    STORE(&p->links[number], live_word(p, word(p, number)));
}

/* --- central ---------------------------------------------------------------------------------- */

/* Blocks in a row, from first to last. */
typedef struct chain {
    uint32_t first, last, count;
} chain;

static uint64_t after(const xvm_pool *p, uint64_t top, uint32_t first)
{
    uint64_t numbers = p->own.numbers;

    return ((top & ~numbers) + numbers + 1) | first;
}

static void push(xvm_pool *p, chain c)
{
    uint64_t *top = &shared_of(p)->top, old = LOAD(top);

    do
        set_next(p, c.last, (uint32_t)(old & p->own.numbers));
    while (!COMPARE_SWAP_ORDERED(top, &old, after(p, old, c.first)));
}

/* Follows up to most words from first on, which other threads may be changing: false when one makes
 * no sense. *rest is what follows. */
static bool follow(const xvm_pool *p, uint32_t first, uint32_t most, chain *c, uint32_t *rest)
{
    *c = (chain){first, first, 1};
    for (;;) {
        *rest = next_of(p, c->last);
        if (*rest > LOAD(&p->own.fresh))
            return false;
        if (*rest == 0 || c->count == most)
            return true;
        c->last = *rest;
        c->count++;
    }
}

/* Takes up to most blocks; none: count is 0. If top is what it was all words were what they seemed
 * to be, as they change only between a pop and a push. */
static chain pop(xvm_pool *p, uint32_t most)
{
    uint64_t *top = &shared_of(p)->top, old = LOAD_ACQUIRE(top);

    while ((old & p->own.numbers) != 0) {
        uint32_t rest;
        chain c;

        if (!follow(p, (uint32_t)(old & p->own.numbers), most, &c, &rest))
            old = LOAD_ACQUIRE(top);
        else if (COMPARE_SWAP_ORDERED(top, &old, after(p, old, rest)))
            return c;
    }
    return (chain){0};
}

/* --- fresh blocks ----------------------------------------------------------------------------- */

/* Takes up to most of them: linked, and of the next generation. */
static chain take_fresh(xvm_pool *p, uint32_t most)
{
    size_t from = LOAD(&p->own.fresh), to;

    do {
        size_t ready = LOAD_ACQUIRE(&p->own.ready);

        to = from + most < ready ? from + most : ready;
        if (from >= to)
            return (chain){0};
    } while (!COMPARE_SWAP(&p->own.fresh, &from, to));
    for (size_t n = from + 1; n <= to; n++)
        STORE(&p->links[n], freed(p, LOAD(&p->links[n]), n < to ? (uint32_t)n + 1 : (uint32_t)0));
    return (chain){(uint32_t)from + 1, (uint32_t)to, (uint32_t)(to - from)};
}

static bool grow(xvm_pool *p)
{
    shared *s = shared_of(p);
    bool grown = true;

    if (LOAD(&p->own.fresh) >= p->capacity) /* refused without a wait */
        return xvm_os_pool_grow(p) == XVM_OK;
    spin_lock(&s->growing);
    if (LOAD(&p->own.fresh) >= LOAD(&p->own.ready))
        grown = xvm_os_pool_grow(p) == XVM_OK;
    spin_unlock(&s->growing);
    return grown;
}

/* --- lanes ------------------------------------------------------------------------------------ */

/* A lane that this thread may work on; how it must be left. */
typedef struct entry {
    lane *lane;
    bool locked;
} entry;

/* The lock, and nobody else at work or to come without it. false: the owner cannot be told. */
static bool lock_lane(lane *l)
{
    unsigned owner = NONE_YET;

    spin_lock(&l->lock);
    if (LOAD(&l->owner) == NOBODY)
        return true;
    if (COMPARE_SWAP(&l->owner, &owner, NOBODY) || owner == NOBODY)
        return true;
    STORE(&l->owner, NOBODY);
    if (!fence_all_threads()) {
        STORE(&l->owner, owner);
        spin_unlock(&l->lock);
        return false;
    }
    for (unsigned round = 0; LOAD_ACQUIRE(&l->active) != 0; round++)
        wait_a_little(round);
    return true;
}

/* Under the lock: a lane that only this thread seems to use is its own from the next time on. */
static void maybe_own(lane *l, unsigned me)
{
    l->streak = l->last == me ? l->streak + 1 : 0;
    l->last = me;
    if (l->streak < STREAK)
        return;
    l->streak = 0;
    STORE(&l->owner, me);
}

/* lane is NULL when this thread has to do without. */
static entry enter(xvm_pool *p)
{
    shared *s = shared_of(p);
    unsigned me = thread_number(), owner = NONE_YET;
    lane *l = &s->lanes[me % LANES];

    if (enter_as_owner(l, me))
        return (entry){l, false};
    if (me == 0)
        return (entry){NULL, false};
    if (s->has_owners && COMPARE_SWAP(&l->owner, &owner, me) && enter_as_owner(l, me))
        return (entry){l, false};
    if (!lock_lane(l))
        return (entry){NULL, false};
    if (s->has_owners)
        maybe_own(l, me);
    return (entry){l, true};
}

static void leave(entry e)
{
    COMPILER_FENCE();
    if (e.locked)
        spin_unlock(&e.lane->lock);
    else
        STORE_RELEASE(&e.lane->active, 0u);
}

/* An empty lane gets blocks, where there are any. */
static void fill(xvm_pool *p, lane *l)
{
    chain c = pop(p, BATCH);

    if (c.count == 0)
        c = take_fresh(p, BATCH);
    if (c.count == 0)
        return;
    set_next(p, c.last, 0);
    STORE(&l->head, c.first);
    l->count = c.count;
}

/* A full lane keeps the blocks that were put last. */
static void spill(xvm_pool *p, lane *l)
{
    chain kept, old;
    uint32_t rest, none;

    if (!follow(p, l->head, BATCH, &kept, &rest) || rest == 0 ||
        !follow(p, rest, 2 * BATCH, &old, &none))
        return;
    set_next(p, kept.last, 0);
    l->count = kept.count;
    push(p, old);
}

static uint32_t get_from_lane(xvm_pool *p)
{
    entry e = enter(p);
    uint32_t number;

    if (e.lane == NULL)
        return 0;
    if (e.lane->head == 0)
        fill(p, e.lane);
    number = e.lane->head;
    if (number != 0) {
        STORE(&e.lane->head, next_of(p, number));
        e.lane->count--;
        set_live(p, number);
    }
    leave(e);
    return number;
}

/* All blocks of one lane. */
static chain empty_lane(xvm_pool *p, lane *l)
{
    chain c = {0};
    uint32_t rest;

    if (LOAD(&l->head) != 0 && follow(p, LOAD(&l->head), UINT32_MAX, &c, &rest)) {
        STORE(&l->head, 0u);
        l->count = 0u;
    }
    return c;
}

/* What lies in the lanes of other threads comes to all. */
static bool empty_lanes(xvm_pool *p)
{
    shared *s = shared_of(p);
    bool found = false;

    for (lane *l = s->lanes; l < s->lanes + LANES; l++) {
        chain c;

        if (LOAD(&l->head) == 0 || !lock_lane(l))
            continue;
        c = empty_lane(p, l);
        spin_unlock(&l->lock);
        if (c.count != 0)
            push(p, c);
        found |= c.count != 0;
    }
    return found;
}

/* --- get and put ------------------------------------------------------------------------------ */

/* A block that no lane has; 0: there is none. */
static uint32_t get_central(xvm_pool *p, bool *dirty)
{
    chain c = pop(p, 1);

    if (c.count == 0) {
        c = take_fresh(p, 1);
        *dirty = (size_t)(c.first - 1) * p->stride < p->own.blocks.touched;
    }
    if (c.count != 0)
        set_live(p, c.first);
    return c.first;
}

/* Growing fails at the capacity, or refused by the system; then others' lanes are the last place to
 * look, and what came back meanwhile. */
uint32_t xvm_os_pool_shared_get(xvm_pool *pool, bool *dirty)
{
    bool has_lanes = pool->own.lanes != NULL;

    for (;;) {
        uint32_t number = has_lanes ? get_from_lane(pool) : 0;

        *dirty = true;
        if (number == 0)
            number = get_central(pool, dirty);
        if (number != 0)
            return number;
        if (has_lanes && LOAD(&pool->own.fresh) >= pool->capacity && empty_lanes(pool))
            continue;
        if (!grow(pool) && !(has_lanes && empty_lanes(pool)))
            return get_central(pool, dirty);
    }
}

/* The block is free and in no list, for this thread alone; false: it was not out, or not with that
 * word. */
static bool claim(xvm_pool *p, uint32_t number, uint32_t expected)
{
    uint32_t w = word(p, number);

    return is_live(p, w) && (expected == 0 || expected == w) &&
           COMPARE_SWAP(&p->links[number], &w, freed(p, w, 0));
}

bool xvm_os_pool_shared_put(xvm_pool *pool, uint32_t number, uint32_t expected)
{
    entry e = {NULL, false};

    if (!claim(pool, number, expected))
        return false;
    if (pool->own.listens)
        xvm_os_tell_dead(block_of(pool, number), pool->block_size);
    if (pool->own.lanes != NULL)
        e = enter(pool);
    if (e.lane == NULL) {
        push(pool, (chain){number, number, 1});
        return true;
    }
    set_next(pool, number, e.lane->head);
    STORE(&e.lane->head, number);
    e.lane->count++;
    if (e.lane->count > 2 * BATCH)
        spill(pool, e.lane);
    leave(e);
    return true;
}

/* --- while no other thread is at work --------------------------------------------------------- */

/* So much that the word of the first block begins a line: blocks that come to a lane together have
 * lines of their own. */
size_t xvm_os_pool_shared_size(void)
{
    return sizeof(shared) + LINE - sizeof(uint32_t);
}

void xvm_os_pool_open_shared(xvm_pool *pool)
{
    shared *s = shared_of(pool);

    if (pool->capacity < FEW || pool->own.listens || (pool->own.flags & XVM_POOL_REALTIME) != 0)
        return;
    for (size_t i = 0; i < LANES; i++)
        s->lanes[i].owner = NONE_YET;
    pool->own.lanes = s->lanes;
    pool->own.quick = pool->step == 0 ? s->lanes : NULL;
    s->has_owners = fence_all_threads();
}

uint32_t xvm_os_pool_gather(xvm_pool *pool)
{
    shared *s = shared_of(pool);
    uint32_t first;

    for (lane *l = s->lanes; l < s->lanes + LANES; l++) {
        chain c = empty_lane(pool, l);

        if (c.count != 0)
            push(pool, c);
    }
    first = (uint32_t)(s->top & pool->own.numbers);
    s->top = after(pool, s->top, 0);
    return first;
}

void xvm_os_pool_scatter(xvm_pool *pool, uint32_t first)
{
    shared *s = shared_of(pool);

    s->top = after(pool, s->top, first);
}

size_t xvm_os_pool_shared_listed(const xvm_pool *pool)
{
    const shared *s = shared_of(pool);
    size_t listed = length_of(pool, (uint32_t)(s->top & pool->own.numbers));

    for (const lane *l = s->lanes; l < s->lanes + LANES; l++) {
        size_t count = length_of(pool, l->head);

        if (listed == SIZE_MAX || count != l->count)
            return SIZE_MAX;
        listed += count;
    }
    return listed;
}

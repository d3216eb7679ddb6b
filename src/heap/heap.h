/* heap.h - the parts of a heap, and the rules between them.
 *
 *     region  | header | units | pages | states | lanes |  64 KiB-aligned: pages of blocks ........ |
 *             0                                            area        frontier     touched    end
 *
 *     pages   | slab of 16, class 3 | run of 5, live | run of 2, free | slab ... | frontier -->
 *     slab    | b0 | b1 | b2 | ... equal blocks, a byte of state for each, out of band
 *
 *     alloc   lane[thread].magazine[class]  --refill-->  class.stash  --carve-->  slabs  -->  runs
 *     free    lane[thread].magazine[class]  --flush-->   class.stash  --return--> slabs  -->  runs
 *
 * Everything is arithmetic on one base: unit = (address - area) >> 16 says which class a slab has and
 * where the states of its blocks are; the block's number is a multiplication away.
 *
 * Rules, which xvm_heap_check tests:
 *   1  Runs tile [0, frontier): each begins where the one before ended. No two free runs are
 *      neighbours, and none ends at the frontier.
 *   2  A free run is in the list of its size, once; a list that has runs has its bits, others have
 *      none.
 *      Pages inside of a run say so.
 *   3  A slab is a run of one unit, at a multiple of it. Its unit names its class.
 *   4  A block's state is FREE, LIVE or CACHED. The slab's count is the number of its FREE blocks;
 *      it is in its class's list exactly when that is not 0.
 *   5  A CACHED block is in exactly one magazine or stash; what is in them is CACHED.
 *   6  frontier <= touched <= committed <= end; what lies from touched on is zero.
 *   7  Lines of states, but for the first, are a slab's or in a free chunk.
 *
 * Locks: a class's lock for its stash and slabs, the heap's for runs and tables; taken in that order.
 * A lane is its thread's alone. Threads beyond the lanes share one, under a lock.
 */
#ifndef XVM_SRC_HEAP_HEAP_H
#define XVM_SRC_HEAP_HEAP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "lock.h"
#include "pages.h"
#include "xvm/heap.h"

enum {
    UNIT_SHIFT = 16,
    UNIT = 1 << UNIT_SHIFT,
    GRAIN_SHIFT = 4, /* blocks are multiples of 16 bytes */
    GRAIN = 1 << GRAIN_SHIFT,
    PAGE_SHIFT = 12, /* of the heap: what runs are made of, whatever the system's pages are */
    PAGE = 1 << PAGE_SHIFT,
    UNIT_PAGES = UNIT / PAGE,
    CLASSES = 72,
    LARGEST_SMALL = 32 << 10,
    STATE_SHIFT = 6, /* states of a slab come in lines of 64, */
    ORDERS = 7,      /* in chunks of 1, 2, 4 ... 64 of them */
    BIN_GROUPS = 26, /* of free runs: powers of two pages */
    BIN_FINE = 8,    /* and eight steps between two of them */
    STASH = 128
};
static_assert(LARGEST_SMALL <= UNIT / 2, "a slab holds two blocks at least");

/* A block's state. */
enum { FREE = 0, LIVE = 1, CACHED = 2 };

/* A block in a magazine: its granule, and its state's index, which is never 0. */
typedef uint64_t entry;

/* What a 64 KiB unit is; all zero: no slab. */
typedef struct unit_info {
    uint32_t states;     /* where they begin, in lines */
    uint16_t size_class; /* + 1; 0: no slab */
    uint16_t free_blocks;
    uint32_t next, prev; /* units of the class's list, + 1 */
    uint32_t hint;       /* no block below it is free */
} unit_info;

/* What a run is; at its first page, and where it begins at its last one. */
typedef struct page_info {
    uint32_t start;      /* at the last page: the first one */
    uint32_t size_kind;  /* at the first: pages << 3, RUN_ZERO, kind */
    uint32_t next, prev; /* free: the list; + 1 */
} page_info;

/* RUN_ZERO of a free run: it was given back. All of it is zero where a page is the unit of that. */
enum { RUN_INSIDE = 0, RUN_FREE = 1, RUN_LIVE = 2, RUN_SLAB = 3, KIND_MASK = 3, RUN_ZERO = 4 };

static inline unsigned kind_of(const page_info *p)
{
    return p->size_kind & KIND_MASK;
}

static inline uint32_t pages_of(const page_info *p)
{
    return p->size_kind >> 3;
}

/* Classes are 16 bytes apart up to 128, then eight to each doubling. */
static inline unsigned class_of(size_t size)
{
    size_t last = size - 1;
    unsigned power;

    if (size <= 128)
        return size == 0 ? 0 : (unsigned)(last >> GRAIN_SHIFT);
    power = 63u - (unsigned)__builtin_clzll(last);
    return 8 + (power - 7) * 8 + ((unsigned)(last >> (power - 3)) & 7);
}

static inline uint32_t size_of_class(unsigned c)
{
    return c < 8 ? (c + 1) << GRAIN_SHIFT : (9 + (c & 7)) << ((c >> 3) + 3);
}

/* How many blocks a magazine holds. */
static inline unsigned magazine_size(unsigned c)
{
    return c < 16 ? 64 : c < 32 ? 32 : c < 48 ? 16 : c < 56 ? 8 : 4;
}

enum { LANE_ENTRIES = 1856 + 16 * 4 + CLASSES, LANES = 256 };

/* The head of a magazine. Below the entries lies a 0, which is none: an empty one needs no other test. */
typedef struct magazine {
    entry *top;      /* the newest entry */
    entry *bottom;   /* the 0 below all of them */
    entry *limit;    /* top when it is full */
    uint64_t allocs; /* ever */
} magazine;

typedef struct lane {
    magazine heads[CLASSES];
    uint64_t taken[CLASSES], returned[CLASSES]; /* blocks from and to the class */
    entry entries[LANE_ENTRIES];
} lane;

/* What threads share of one class. */
typedef struct size_class {
    unsigned lock;
    uint32_t size, blocks; /* of a slab */
    uint32_t span;         /* bytes of a slab that are blocks */
    uint32_t reciprocal;   /* ceil(2^32 / size) */
    uint32_t order;        /* of the chunk of lines that has the states of a slab */
    uint32_t slabs;        /* list of those with free blocks; unit + 1 */
    uint32_t slab_count, free_count;
    uint32_t stashed;
    entry stash[STASH];
} size_class;

/* A part of the metadata that grows from one end. */
typedef struct table {
    size_t offset, size, committed; /* bytes, in the region */
} table;

struct xvm_heap {
    /* what the fast path reads */
    unsigned char *area; /* of blocks, a multiple of UNIT away from 0 */
    size_t area_size;
    unit_info *units;
    unsigned char *states;
    uint64_t reciprocals[CLASSES + 1]; /* of a class + 1; with the size: the low half */
    size_t largest_small; /* LARGEST_SMALL; 0 where every block is special: guarded, told */
    size_t quick_size;    /* of the area: bytes in which a free need not ask for more; 0: always */
    unsigned flags;
    unsigned lane_mask; /* 0: all threads use the first lane */
    struct lane
        *lanes[LANES + 1]; /* by the number of the thread; threads without one: the first, NULL */

    xvm_region own, *region;
    unsigned lock;
    page_info *pages;
    uint32_t frontier, touched, committed, end; /* pages of the area */
    uint32_t commit_pages;                      /* committed and given back together */
    uint32_t bins[BIN_GROUPS][BIN_FINE];        /* page + 1 */
    uint32_t bin_groups, bin_fine[BIN_GROUPS];  /* bits of those that are not empty */
    table unit_table, page_table, state_table, lane_table;
    uint32_t state_lines, lane_count; /* used */
    uint32_t chunks[ORDERS];          /* free ones below state_lines; line + 1 */
    size_t free_pages, dirty_pages;   /* of free runs */
    size_t grow_step, trim_threshold, peak_pages;
    unsigned frees_in_row;
    uint32_t oldest, newest; /* guarded: runs in quarantine, first page + 1 */
    bool told;               /* a tool listens to what is live */
    bool refused_by_cap;     /* the last refusal of pages was the cap's, not the system's */
    uint64_t large_allocs, large_frees, failures, faults_at_start;
    size_t large_pages; /* live */
    size_t committed_peak;
    const char *name;
    struct xvm_heap *next, *prev; /* of all heaps, for fork */
    unsigned shared_lock;         /* of the lane of threads without an index */
    size_class classes[CLASSES];
    lane shared_lane;
};

static inline unsigned char *page_address(const xvm_heap *heap, uint32_t page)
{
    return heap->area + ((size_t)page << PAGE_SHIFT);
}

/* Where the pages of the area are in the region. */
static inline size_t page_offset(const xvm_heap *heap, uint32_t page)
{
    return (size_t)(page_address(heap, page) - (unsigned char *)heap->region->base);
}

/* How many entries a magazine has. */
static inline size_t filled(const magazine *m)
{
    return (size_t)(LOAD(&m->top) - m->bottom);
}

static inline void heap_lock(xvm_heap *heap, unsigned *lock)
{
    if ((heap->flags & XVM_HEAP_SINGLE_THREAD) == 0)
        spin_lock(lock);
}

static inline void heap_unlock(xvm_heap *heap, unsigned *lock)
{
    if ((heap->flags & XVM_HEAP_SINGLE_THREAD) == 0)
        spin_unlock(lock);
}

/* --- runs.c: pages, under the heap's lock ----------------------------------------------------- */

/* A run of so many pages at a multiple of align pages away from 0; false: the cap or memory. *zero: all of it is
 * known to be zero. */
bool xvm_os_heap_take_run(xvm_heap *heap, uint32_t pages, uint32_t align, unsigned kind,
                          uint32_t *start, bool *zero);

/* A live run or a slab becomes free. */
void xvm_os_heap_free_run(xvm_heap *heap, uint32_t start);

/* A live run becomes smaller or larger in place; false: the next pages are not free. */
bool xvm_os_heap_resize_run(xvm_heap *heap, uint32_t start, uint32_t pages);

/* Gives back free pages but for so many, runs in the middle as wholes; the pages given back. */
size_t xvm_os_heap_purge(xvm_heap *heap, size_t keep);

/* Memory for a part of the region, and what the flags ask for; on failure it is given back. */
xvm_status xvm_os_heap_hold(xvm_heap *heap, size_t offset, size_t size);

/* So many bytes of a table can be used. */
bool xvm_os_heap_need(xvm_heap *heap, table *t, size_t size);

/* --- slabs.c: blocks of a class, under its lock ----------------------------------------------- */

/* Takes up to count blocks, as entries that are CACHED; 0: the cap or memory. */
unsigned xvm_os_heap_carve(xvm_heap *heap, unsigned c, entry *into, unsigned count);

/* Returns CACHED blocks to the stash, and to their slabs where it is full. */
void xvm_os_heap_return(xvm_heap *heap, unsigned c, const entry *from, unsigned count);

/* Returns CACHED blocks and the whole stash to their slabs, and every empty slab to the runs: there is
 * no other memory. How many blocks. */
unsigned xvm_os_heap_empty(xvm_heap *heap, unsigned c, const entry *from, unsigned count);

/* Lines in free chunks; what is no chunk counts as all there could be. */
size_t xvm_os_heap_free_lines(const xvm_heap *heap);

/* --- guarded.c: heaps that find bugs ---------------------------------------------------------- */

void *xvm_os_heap_take_guarded(xvm_heap *heap, size_t size, size_t alignment);

/* What is wrong with giving the block back; 0: nothing, it is given. */
xvm_misuse xvm_os_heap_give_guarded(xvm_heap *heap, void *address);

/* The run of a live block, and its size; or what is wrong with the address. Under the heap's lock. */
xvm_misuse xvm_os_heap_find_guarded(const xvm_heap *heap, const void *address, uint32_t *start,
                                    size_t *size);

/* --- misuse.c --------------------------------------------------------------------------------- */

void xvm_os_heap_misuse(const xvm_heap *heap, xvm_misuse misuse, const char *call,
                        const void *address);

#endif

/* heap.h - the parts of a heap, and the rules between them.
 *
 *     region  | header | states | units | pages | lanes |  64 KiB-aligned: pages of blocks ........ |
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
 *   7  moved_runs is the number of live runs that are RUN_MOVED, but for heaps with guards.
 *   8  Lines of states, but for the first, are a slab's or in a free chunk.
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
    LINE_SHIFT = 6, /* states of a slab come in lines of 64, */
    ORDERS = 7,     /* in chunks of 1, 2, 4 ... 64 of them */
    HINT_SHIFT = 4,
    BIN_GROUPS = 26, /* of free runs: powers of two pages */
    BIN_FINE = 8     /* and eight steps between two of them */
};
static_assert(LARGEST_SMALL <= UNIT / 2, "a slab holds two blocks at least");

/* A block's state. */
enum { FREE = 0, LIVE = 1, CACHED = 2 };

/* A block in a magazine. Its halves are written and read each on its own: where a block lies is known
 * long before where its state is, and the next alloc waits for nothing else. */
typedef struct entry {
    uint32_t granule; /* of the area: where it lies */
    uint32_t state;   /* where its state is: bytes from the heap, never 0 */
} entry;

/* What a 64 KiB unit is, as a free needs it; all zero: no slab. Its links are those of its first page. */
typedef struct unit_info {
    uint32_t states;     /* where they begin: bytes from the heap */
    uint32_t reciprocal; /* ceil(2^32 / size of a block) */
    uint16_t magazine;   /* where in a lane the head of its class is; bytes */
    uint16_t free_blocks;
    uint8_t size_class; /* + 1; 0: no slab */
    uint8_t hint;       /* no block below it is free: 16 blocks each */
} unit_info;

/* What a run is; at its first page, and where it begins at its last one. */
typedef struct page_info {
    uint32_t start;      /* at the last page: the first one; at the first of more: free since */
    uint32_t size_kind;  /* at the first: pages << 3, RUN_ZERO, kind */
    uint32_t next, prev; /* free: the list, pages + 1; a slab: its class's, units + 1 */
} page_info;

/* RUN_ZERO of a free run: it was given back. All of it is zero where a page is the unit of that. */
enum { RUN_INSIDE = 0, RUN_FREE = 1, RUN_LIVE = 2, RUN_SLAB = 3, KIND_MASK = 3, RUN_ZERO = 4 };

/* RUN_ZERO of a live run, but for heaps with guards: pages have moved into it. One whose prev is BARE is
 * nobody's: see moved.c. */
enum { RUN_MOVED = RUN_ZERO, BARE = 1 };

static inline unsigned kind_of(const page_info *p)
{
    return p->size_kind & KIND_MASK;
}

static inline uint32_t pages_of(const page_info *p)
{
    return p->size_kind >> 3;
}

static inline bool is_moved(const page_info *p)
{
    return (p->size_kind & (KIND_MASK | RUN_MOVED)) == (RUN_LIVE | RUN_MOVED);
}

static inline bool is_bare(const page_info *p)
{
    return is_moved(p) && p->prev == BARE;
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

/* How many blocks a slab has. */
static inline uint32_t blocks_of_class(unsigned c)
{
    return UNIT / size_of_class(c);
}

/* Bytes of a slab that are blocks. */
static inline uint32_t span_of_class(unsigned c)
{
    return blocks_of_class(c) * size_of_class(c);
}

/* Of the chunk of lines for the states of a slab. */
static inline unsigned order_of_class(unsigned c)
{
    uint32_t lines = (blocks_of_class(c) - 1) >> LINE_SHIFT;

    return lines == 0 ? 0 : 32u - (unsigned)__builtin_clz(lines);
}

/* How many blocks a magazine holds: 32 KiB of them, but for large ones. */
static inline unsigned magazine_size(unsigned c)
{
    return c < 48 ? 256u >> c / 8 : c < 64 ? 8 : 4;
}

enum { LANE_ENTRIES = 8 * (256 + 128 + 64 + 32 + 16 + 8 + 8 + 8 + 4) + CLASSES, LANES = 256 };

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

/* What threads share of one class. All zero: nothing yet. */
typedef struct size_class {
    unsigned lock;
    uint32_t slabs; /* list of those with free blocks; unit + 1 */
    uint32_t slab_count, free_count;
    uint32_t stashed; /* entries in its stash */
} size_class;

/* How many entries a stash holds: four magazines; of large blocks none, for each of them can keep a slab
 * from being empty. */
static inline unsigned stash_size(unsigned c)
{
    return c < 40 ? 4 * magazine_size(c) : 0;
}

enum { STASH_ENTRIES = 4 * 8 * (256 + 128 + 64 + 32 + 16) };

/* A part of the metadata that grows from one end. */
typedef struct table {
    size_t offset, size, committed; /* bytes, in the region */
} table;

/* What is watched while more pages are free than are kept. Times are milliseconds. */
typedef struct watch {
    uint32_t since; /* more are free; 0: they are not */
    uint32_t now;   /* at the last look */
    uint32_t given; /* the last time that some went back */
    uint32_t most;  /* the frontier, in all that time */
} watch;

/* What is of the process and not of the heap: it lies outside of the heap's memory, whose bytes may be set
 * back to what they were. */
typedef struct heap_seat {
    xvm_region own; /* all zero: the caller has it */
    struct xvm_heap *heap;
    struct heap_seat *next, *prev; /* of heaps in use; next: of free seats, too */
    bool plain;                    /* the heap may wait for the next one when it is destroyed */
} heap_seat;

/* Of two builds of the library with the same number one can use what is in the other's heaps. The first part
 * counts changes of what the fields mean. */
#define HEAP_LAYOUT                                                                                \
    ((uint32_t)(1u << 24) ^ (uint32_t)(sizeof(struct xvm_heap) * 33 + sizeof(lane) * 5 +           \
                                       sizeof(page_info) + sizeof(unit_info) + CLASSES))

struct xvm_heap {
    /* what the fast path reads */
    unsigned char *area; /* of blocks, a multiple of UNIT away from 0 */
    size_t area_size;
    unit_info *units;
    size_t largest_small; /* LARGEST_SMALL; 0 where every block is special: guarded, told */
    size_t quick_size;    /* of the area: bytes in which a free need not ask for more; 0: always */
    unsigned flags;
    unsigned lane_mask; /* 0: all threads use the first lane */
    struct lane
        *lanes[LANES + 1]; /* by the number of the thread; threads without one: the first, NULL */

    uint32_t layout;    /* HEAP_LAYOUT */
    xvm_region *region; /* the seat's own, or the caller's */
    struct heap_seat *seat;
    unsigned lock;
    page_info *pages;
    uint32_t frontier, touched, committed, end; /* pages of the area */
    uint32_t most_touched;                      /* ever */
    uint32_t commit_pages;                      /* committed and given back together */
    uint32_t bins[BIN_GROUPS][BIN_FINE];        /* page + 1 */
    uint32_t bin_groups, bin_fine[BIN_GROUPS];  /* bits of those that are not empty */
    table unit_table, page_table, state_table, lane_table;
    uint32_t state_lines, lane_count; /* used */
    unsigned most_at_hand;            /* blocks in a magazine */
    uint32_t chunks[ORDERS];          /* free ones below state_lines; line + 1 */
    size_t free_pages, dirty_pages;   /* of free runs */
    size_t grow_step, trim_threshold, peak_pages;
    watch watch;
    uint32_t oldest, newest;   /* guarded: runs in quarantine, first page + 1 */
    uint32_t moved_runs, bare; /* live runs that are RUN_MOVED; bare ones, first page + 1 */
    bool told;                 /* a tool listens to what is live */
    bool refused_by_cap;       /* the last refusal of pages was the cap's, not the system's */
    uint64_t large_allocs, large_frees, failures, faults_at_start;
    size_t large_pages; /* live */
    size_t committed_peak;
    const char *name;
    void *root;           /* the caller's */
    unsigned shared_lock; /* of the lane of threads without an index */
    size_class classes[CLASSES];
    entry *stashes[CLASSES];
    lane shared_lane;
    entry stash_entries[STASH_ENTRIES];
};

static inline unsigned char *page_address(const xvm_heap *heap, uint32_t page)
{
    return heap->area + ((size_t)page << PAGE_SHIFT);
}

/* States are within 4 GiB of the heap: one for 16 bytes of 64 GiB at the most, less what they need. */
static inline unsigned char *state_at(const xvm_heap *heap, uint32_t state)
{
    return (unsigned char *)(uintptr_t)heap + state;
}

/* Where the pages of the area are in the region. */
static inline size_t page_offset(const xvm_heap *heap, uint32_t page)
{
    return (size_t)(page_address(heap, page) - (unsigned char *)heap->region->base);
}

/* How many entries a magazine of this heap may hold. In real time what moves at once is little. */
static inline unsigned room_in_magazine(const xvm_heap *heap, unsigned c)
{
    return magazine_size(c) < heap->most_at_hand ? magazine_size(c) : heap->most_at_hand;
}

/* How many entries a magazine has. */
static inline size_t filled(const magazine *m)
{
    return (size_t)(LOAD(&m->top) - m->bottom);
}

/* What was used once, up to there; and what a free may take the quick way in. */
static inline void set_touched(xvm_heap *heap, uint32_t page)
{
    STORE(&heap->touched, page);
    heap->most_touched = page > heap->most_touched ? page : heap->most_touched;
    if ((heap->flags & XVM_HEAP_ZERO_ON_FREE) == 0 && heap->largest_small != 0)
        STORE(&heap->quick_size, (size_t)page << PAGE_SHIFT);
}

/* Pages of the heap in the smallest part of the region that can be given back. */
static inline uint32_t give_back_unit(const xvm_heap *heap)
{
    size_t unit = xvm_commit_unit(heap->region);

    return unit > PAGE ? (uint32_t)(unit >> PAGE_SHIFT) : 1;
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

/* The same where it can grow in place: live, with as many free pages behind it, or behind all others. */
bool xvm_os_heap_take_roomy_run(xvm_heap *heap, uint32_t pages, uint32_t align, uint32_t *start,
                                bool *zero);

/* A live run or a slab becomes free. */
void xvm_os_heap_free_run(xvm_heap *heap, uint32_t start);

/* The same for one that is not RUN_MOVED and of which all is zero and not in memory. */
void xvm_os_heap_free_zero_run(xvm_heap *heap, uint32_t start);

/* A live run becomes smaller or larger in place; false: the next pages are not free. */
bool xvm_os_heap_resize_run(xvm_heap *heap, uint32_t start, uint32_t pages);

/* Memory for a part of the region, and what the flags ask for; on failure it is given back. */
xvm_status xvm_os_heap_hold(xvm_heap *heap, size_t offset, size_t size);

/* So many bytes of a table can be used. */
bool xvm_os_heap_need(xvm_heap *heap, table *t, size_t size);

/* A free run, of which only what its own pages say is right, is in its list again. */
void xvm_os_heap_relink_run(xvm_heap *heap, uint32_t start);

/* --- moved.c: pages that move along ------------------------------------------------------------ */

/* How the bytes of a live run go to a new one, which is larger: by a copy, which is to be made; with their pages, and the
 * old run is zero; not at all, and the new run is only good for freeing. Under no lock. */
typedef enum moving { MOVE_BY_COPY, MOVE_DONE, MOVE_REFUSED } moving;
moving xvm_os_heap_move_run(xvm_heap *heap, uint32_t to, uint32_t from);

/* Before a run is freed, under no lock: if it is RUN_MOVED, its memory goes, which may take long. */
void xvm_os_heap_drop_moved(xvm_heap *heap, uint32_t start);

/* A run that is RUN_MOVED becomes free, or bare. Under the heap's lock. */
void xvm_os_heap_free_moved_run(xvm_heap *heap, uint32_t start);

/* The heap has no runs any more. */
void xvm_os_heap_forget_moved(xvm_heap *heap);

/* --- purge.c: what goes back, under the heap's lock --------------------------------------------- */

/* Gives back free pages but for so many, runs in the middle as wholes; the pages given back. */
size_t xvm_os_heap_purge(xvm_heap *heap, size_t keep);

/* Before and after every take and free of pages: what has been free for long goes back. */
void xvm_os_heap_look_at_clock(xvm_heap *heap);
void xvm_os_heap_settle(xvm_heap *heap);

/* Before a heap becomes larger than it ever was: those pages go back that are free and too small for what is wanted. Else a
 * heap of changing sizes would hold ever more than it needs. */
void xvm_os_heap_exchange(xvm_heap *heap);

/* --- lanes.c: what a thread has at hand -------------------------------------------------------- */

/* This thread's lane for a slow operation; or the shared one until leave_lane, when the thread has no
 * number or there is no memory for a lane. */
lane *xvm_os_heap_enter_lane(xvm_heap *heap, bool *shared);
void xvm_os_heap_leave_lane(xvm_heap *heap, bool shared);

/* Half of an empty magazine comes from the class; false: the cap or memory. */
bool xvm_os_heap_refill(xvm_heap *heap, lane *l, unsigned c);

/* The older half of a full magazine goes to the class. */
void xvm_os_heap_flush(xvm_heap *heap, lane *l, unsigned c);

/* What this thread, the classes and threads that have ended keep goes back to the slabs, and slabs
 * without blocks to the runs: few free blocks can keep many slabs from being empty. False: that was
 * nothing. The lanes of other threads are theirs. */
bool xvm_os_heap_gather(xvm_heap *heap);

/* There are no lanes any more, and what they have counted is the shared one's: so many blocks are live. */
void xvm_os_heap_forget_lanes(xvm_heap *heap, const uint32_t live[CLASSES]);

/* --- slabs.c: blocks of a class, under its lock ----------------------------------------------- */

/* Takes up to count blocks, as entries that are CACHED; 0: the cap or memory. */
unsigned xvm_os_heap_carve(xvm_heap *heap, unsigned c, entry *into, unsigned count);

/* Returns CACHED blocks to the stash, and to their slabs where it is full. */
void xvm_os_heap_return(xvm_heap *heap, unsigned c, const entry *from, unsigned count);

/* Returns CACHED blocks and the whole stash to their slabs, and every empty slab to the runs: there is
 * no other memory. How many blocks. */
unsigned xvm_os_heap_empty(xvm_heap *heap, unsigned c, const entry *from, unsigned count);

/* --- lines.c: where states lie, under the heap's lock ------------------------------------------ */

/* Where the states for a slab are: so many bytes from the heap, all of them FREE. */
bool xvm_os_heap_take_lines(xvm_heap *heap, unsigned order, uint32_t *states);

/* The states of a slab of which all blocks were FREE. */
void xvm_os_heap_give_lines(xvm_heap *heap, unsigned order, uint32_t states);

/* Lines in free chunks; what is no chunk counts as all there could be. */
size_t xvm_os_heap_free_lines(const xvm_heap *heap);

/* For a heap that was read from a file: all lines of all slabs are claimed, and then the others are free. False:
 * there are no such lines, or another slab has one of them. A line that is claimed has CLAIMED in its first
 * byte until then. */
enum { CLAIMED = 64 };
bool xvm_os_heap_claim_lines(xvm_heap *heap, unsigned order, uint32_t states);
void xvm_os_heap_free_others(xvm_heap *heap);

/* --- guarded.c: heaps that find bugs ---------------------------------------------------------- */

void *xvm_os_heap_take_guarded(xvm_heap *heap, size_t size, size_t alignment);

/* What is wrong with giving the block back; 0: nothing, it is given. */
xvm_misuse xvm_os_heap_give_guarded(xvm_heap *heap, void *address);

/* The run of a live block, and its size; or what is wrong with the address. Under the heap's lock. */
xvm_misuse xvm_os_heap_find_guarded(const xvm_heap *heap, const void *address, uint32_t *start,
                                    size_t *size);

/* --- life.c ----------------------------------------------------------------------------------- */

/* May a heap of so many bytes have these flags? */
bool xvm_os_heap_is_valid(unsigned flags, size_t size);

/* All that follows from the region and the flags, with tables that have nothing committed. False: the region
 * is too small. */
bool xvm_os_heap_set_up(xvm_heap *heap, heap_seat *seat, xvm_region *region, unsigned flags);

/* As good as new, but that its memory is warm. Under no lock: nobody else uses the heap. */
void xvm_os_heap_renew(xvm_heap *heap);

/* --- list.c ----------------------------------------------------------------------------------- */

/* A seat for a heap that is to be made, all zero; NULL: there is no room or no memory for it, and the thread's
 * failure says which. */
heap_seat *xvm_os_heap_take_seat(void);
void xvm_os_heap_give_seat(heap_seat *seat);

/* A new heap is in use; it has its seat. */
void xvm_os_heap_enlist(xvm_heap *heap);

/* A heap is not in use any more; true: it waits for the next one, with its seat, and is not to be touched. */
bool xvm_os_heap_retire(xvm_heap *heap);

/* A heap that waits, with these flags, in use again; NULL: there is none. */
xvm_heap *xvm_os_heap_reuse(unsigned flags);

/* Those that wait are given back; bytes that were committed. */
size_t xvm_os_heap_drop_spares(void);

/* --- misuse.c --------------------------------------------------------------------------------- */

void xvm_os_heap_misuse(const xvm_heap *heap, xvm_misuse misuse, const char *call,
                        const void *address);

#endif

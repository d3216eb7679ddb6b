/* blocks.c - taking and freeing: the path through a lane, and the way round it.
 *
 *     alloc: class --> this thread's lane --> its magazine: pop          no lock, no atomic, no search
 *     free:  unit --> class, block, state --> the magazine: push
 *
 * Everything else is out of the way: no lane yet, an empty or a full magazine, large blocks, misuse.
 */
#include <string.h>

#include "heap.h"
#include "tell.h"

enum {
    PURGE_AFTER = 16, /* frees of runs in a row, without a take */
    TABLED = 1024     /* sizes whose class is looked up */
};

/* class_of for sizes in granules. */
static const unsigned char classes_of_granules[TABLED / GRAIN + 1] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 16, 17, 17, 18,
    18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 24, 24, 25, 25, 25, 25, 26, 26, 26,
    26, 27, 27, 27, 27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31,
};

/* --- lanes ------------------------------------------------------------------------------------ */

/* Every magazine empty, each with its part of the entries. */
static void set_magazines(lane *l)
{
    entry *at = l->entries;

    for (unsigned c = 0; c < CLASSES; c++) {
        l->heads[c].top = l->heads[c].bottom = at;
        l->heads[c].limit = at + magazine_size(c);
        at = l->heads[c].limit + 1;
    }
}

/* A lane is made of the heap's own memory, all zero. */
static lane *make_lane(xvm_heap *heap)
{
    size_t at = heap->lane_count * sizeof(lane);
    lane *made = NULL;

    if (xvm_os_heap_need(heap, &heap->lane_table, at + sizeof(lane))) {
        made = (lane *)(void *)((unsigned char *)heap->region->base + heap->lane_table.offset + at);
        set_magazines(made);
        heap->lane_count++;
    }
    return made;
}

static lane *need_lane(xvm_heap *heap, lane **place)
{
    lane *found;

    heap_lock(heap, &heap->lock);
    found = *place;
    if (found == NULL) {
        found = make_lane(heap);
        STORE_RELEASE(place, found);
    }
    heap_unlock(heap, &heap->lock);
    return found;
}

/* The lane that threads without one share, under its lock. */
static lane *enter_shared_lane(xvm_heap *heap)
{
    heap_lock(heap, &heap->shared_lock);
    if (heap->shared_lane.heads[0].bottom == NULL)
        set_magazines(&heap->shared_lane);
    return &heap->shared_lane;
}

/* This thread's lane for a slow operation; or the shared one until leave_lane, when the thread has no
 * number or there is no memory for a lane. */
static lane *enter_lane(xvm_heap *heap, bool *shared)
{
    unsigned thread = known_thread();
    lane *mine = NULL;

    if (thread == 0 && heap->lane_mask != 0)
        thread = thread_number();
    if ((thread != 0 || heap->lane_mask == 0) && !heap->told)
        mine = need_lane(heap, &heap->lanes[thread & heap->lane_mask]);
    *shared = mine == NULL;
    return mine != NULL ? mine : enter_shared_lane(heap);
}

static void leave_lane(xvm_heap *heap, bool shared)
{
    if (shared)
        heap_unlock(heap, &heap->shared_lock);
}

/* The lane for a quick one; NULL: go slowly. */
static inline lane *quick_lane(const xvm_heap *heap)
{
    return heap->lanes[known_thread() & heap->lane_mask];
}

/* --- magazines -------------------------------------------------------------------------------- */

/* Half of a magazine comes from the class. */
static bool refill(xvm_heap *heap, lane *l, unsigned c)
{
    magazine *m = &l->heads[c];
    unsigned got;

    heap_lock(heap, &heap->classes[c].lock);
    got = xvm_os_heap_carve(heap, c, m->bottom + 1, magazine_size(c) / 2);
    heap_unlock(heap, &heap->classes[c].lock);
    STORE(&m->top, m->bottom + got);
    STORE(&l->taken[c], l->taken[c] + got);
    return got != 0;
}

/* The older half of a full magazine goes to the class. */
static void flush(xvm_heap *heap, lane *l, unsigned c)
{
    magazine *m = &l->heads[c];
    unsigned half = magazine_size(c) / 2;

    heap_lock(heap, &heap->classes[c].lock);
    xvm_os_heap_return(heap, c, m->bottom + 1, half);
    heap_unlock(heap, &heap->classes[c].lock);
    memmove(m->bottom + 1, m->bottom + 1 + half, (filled(m) - half) * sizeof(entry));
    STORE(&m->top, m->top - half);
    STORE(&l->returned[c], l->returned[c] + half);
}

/* The newest entry leaves its magazine; it is not 0. */
static inline void *pop(xvm_heap *heap, magazine *m, entry e)
{
    STORE(&m->top, m->top - 1);
    STORE(&m->allocs, m->allocs + 1);
    STORE(&heap->states[e >> 32], (unsigned char)LIVE);
    return heap->area + ((size_t)(uint32_t)e << GRAIN_SHIFT);
}

static inline void push(xvm_heap *heap, magazine *m, entry e)
{
    entry *top = m->top + 1;

    STORE(&heap->states[e >> 32], (unsigned char)CACHED);
    *top = e;
    STORE(&m->top, top);
}

/* --- refusals ------------------------------------------------------------------------------ */

static uint32_t pages_for(const xvm_heap *heap, size_t size)
{
    size_t most = (size_t)heap->end << PAGE_SHIFT;

    return size > most ? 0 : size == 0 ? 1 : (uint32_t)((size + PAGE - 1) >> PAGE_SHIFT);
}

static __attribute__((noinline)) void *refuse(xvm_heap *heap, size_t size, xvm_status status)
{
    xvm_os_site site = {.call = "heap allocation", .name = heap->name, .size = size};

    ATOMIC_ADD(&heap->failures, 1);
    (void)xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
    return NULL;
}

/* Memory was refused by the region, which has said why, or by the cap. */
static void *refuse_for(xvm_heap *heap, size_t size)
{
    if (LOAD(&heap->refused_by_cap))
        return refuse(heap, size, XVM_E_ADDRESS_SPACE);
    ATOMIC_ADD(&heap->failures, 1);
    return NULL;
}

/* What a take came to. One that was refused at first and had its block in the end was not refused. */
static void *answer(xvm_heap *heap, size_t size, void *block, int error)
{
    if (block == NULL)
        return refuse_for(heap, size);
    xvm_os_set_error(error);
    return block;
}

/* --- before a refusal ---------------------------------------------------------------------------- */

/* One class's magazine and stash go back to the slabs. */
static unsigned empty_class(xvm_heap *heap, lane *l, unsigned c)
{
    magazine *m = &l->heads[c];
    unsigned count = (unsigned)filled(m), got;

    heap_lock(heap, &heap->classes[c].lock);
    got = xvm_os_heap_empty(heap, c, m->bottom + 1, count);
    heap_unlock(heap, &heap->classes[c].lock);
    STORE(&m->top, m->bottom);
    STORE(&l->returned[c], l->returned[c] + count);
    return got;
}

/* Few free blocks can keep many slabs from being empty. Before memory is refused, what this thread and
 * the classes have goes back; false: that was nothing. Other threads' lanes are theirs. */
static bool gather(xvm_heap *heap)
{
    unsigned got = 0;
    bool shared;
    lane *l = enter_lane(heap, &shared);

    for (unsigned c = 0; c < CLASSES; c++)
        got += empty_class(heap, l, c);
    leave_lane(heap, shared);
    return got != 0;
}

/* --- taking runs ------------------------------------------------------------------------------ */

static void count_large(xvm_heap *heap, uint32_t pages)
{
    size_t used = (size_t)heap->frontier - heap->free_pages;

    heap->large_allocs++;
    heap->large_pages += pages;
    heap->frees_in_row = 0;
    heap->peak_pages = used > heap->peak_pages ? used : heap->peak_pages;
}

static void *take_pages(xvm_heap *heap, uint32_t pages, uint32_t align, bool *zero)
{
    uint32_t start;
    bool taken;

    heap_lock(heap, &heap->lock);
    taken = xvm_os_heap_take_run(heap, pages, align, RUN_LIVE, &start, zero);
    if (taken)
        count_large(heap, pages);
    heap_unlock(heap, &heap->lock);
    return taken ? page_address(heap, start) : NULL;
}

static void *take_large(xvm_heap *heap, size_t size, size_t alignment, bool *zero)
{
    size_t align = alignment > PAGE ? alignment >> PAGE_SHIFT : 1;
    uint32_t pages = pages_for(heap, size);
    void *block;

    STORE(&heap->refused_by_cap, pages == 0 || align > heap->end);
    if (pages == 0 || align > heap->end)
        return NULL;
    block = take_pages(heap, pages, (uint32_t)align, zero);
    if (block == NULL && gather(heap))
        block = take_pages(heap, pages, (uint32_t)align, zero);
    return block;
}

/* --- small blocks ----------------------------------------------------------------------------- */

/* A block by way of a lane that may have to be made or filled. */
static void *try_lane(xvm_heap *heap, unsigned c)
{
    bool shared;
    lane *l = enter_lane(heap, &shared);
    magazine *m = &l->heads[c];
    void *block = NULL;

    if (filled(m) != 0 || refill(heap, l, c))
        block = pop(heap, m, *m->top);
    leave_lane(heap, shared);
    return block;
}

static void *take_from_lane(xvm_heap *heap, unsigned c)
{
    void *block = try_lane(heap, c);

    return block == NULL && gather(heap) ? try_lane(heap, c) : block;
}

/* The class from which on every block of a slab is aligned; CLASSES: none is. */
static unsigned aligned_class(size_t size, size_t alignment)
{
    unsigned c = class_of(round_up(size != 0 ? size : 1, alignment));

    while (c < CLASSES && (size_of_class(c) & (alignment - 1)) != 0)
        c++;
    return c;
}

/* The class for an aligned block; CLASSES: it is to be a run. */
static unsigned class_for(size_t size, size_t alignment)
{
    bool fits =
        size <= LARGEST_SMALL && alignment <= PAGE && round_up(size, alignment) <= LARGEST_SMALL;

    return fits ? aligned_class(size, alignment) : CLASSES;
}

/* While a tool listens: a byte more than was asked for, so that one lies behind every block. */
static void *take_told(xvm_heap *heap, size_t size, size_t alignment, bool *zero)
{
    size_t room = size + 1 != 0 ? size + 1 : size;
    unsigned c = class_for(room, alignment);
    unsigned char *block =
        c < CLASSES ? take_from_lane(heap, c) : take_large(heap, room, alignment, zero);

    if (block == NULL)
        return NULL;
    if (*zero)
        xvm_os_tell_live(block, size);
    else
        xvm_os_tell_fresh(block, size);
    xvm_os_tell_dead(block + size, (c < CLASSES ? size_of_class(c) : round_up(room, PAGE)) - size);
    return block;
}

/* Of a heap with guards, or with a tool that listens. */
static void *take_special(xvm_heap *heap, size_t size, size_t alignment, bool *zero)
{
    size_t align = alignment > GRAIN ? alignment : GRAIN;
    int error = xvm_os_get_error();
    void *block = heap->told ? take_told(heap, size, align, zero)
                             : xvm_os_heap_take_guarded(heap, size, align);

    return answer(heap, size, block, error);
}

/* Heaps whose every block is special have largest_small 0: of theirs only size 0 comes here. */
static __attribute__((noinline)) void *take_small_slowly(xvm_heap *heap, unsigned c)
{
    int error = xvm_os_get_error();
    bool zero = false;

    if (heap->largest_small == 0)
        return take_special(heap, 0, GRAIN, &zero);
    return answer(heap, size_of_class(c), take_from_lane(heap, c), error);
}

static inline void *take_small(xvm_heap *heap, unsigned c)
{
    lane *l = quick_lane(heap);
    entry e;

    if (__builtin_expect(l == NULL, 0))
        return take_small_slowly(heap, c);
    e = *l->heads[c].top;
    if (__builtin_expect(e == 0, 0))
        return take_small_slowly(heap, c);
    return pop(heap, &l->heads[c], e);
}

/* A pointer to a block of a slab: which one it is. mark: what its unit says, the class + 1. */
typedef struct place {
    unsigned size_class;
    entry e;
    bool is_start;
} place;

static inline place place_in(const xvm_heap *heap, const unit_info *u, unsigned mark, size_t offset)
{
    uint64_t facts = heap->reciprocals[mark], in_unit = offset & (UNIT - 1);
    uint64_t block = in_unit * (facts >> 32) >> 32, size = (uint32_t)facts;

    return (place){mark - 1,
                   offset >> GRAIN_SHIFT | ((uint64_t)(u->states << STATE_SHIFT) + block) << 32,
                   block * size == in_unit};
}

static __attribute__((noinline)) void give_small_slowly(xvm_heap *heap, unsigned c, entry e)
{
    int error = xvm_os_get_error(); /* no lane of its own is no failure */
    bool shared;
    lane *l = enter_lane(heap, &shared);

    if (l->heads[c].top == l->heads[c].limit)
        flush(heap, l, c);
    push(heap, &l->heads[c], e);
    leave_lane(heap, shared);
    xvm_os_set_error(error);
}

static inline void give_small(xvm_heap *heap, unsigned c, entry e)
{
    lane *l = quick_lane(heap);

    if (__builtin_expect(l == NULL, 0) || __builtin_expect(l->heads[c].top == l->heads[c].limit, 0))
        give_small_slowly(heap, c, e);
    else
        push(heap, &l->heads[c], e);
}

/* --- large blocks ----------------------------------------------------------------------------- */

/* Free memory beyond the threshold goes back once a program frees and takes nothing: giving it back
 * between a free and a take of the same size would cost both of them more than the memory is worth. */
static void settle(xvm_heap *heap)
{
    size_t threshold = heap->trim_threshold >> PAGE_SHIFT;
    size_t unused = heap->dirty_pages + (heap->touched - heap->frontier);

    if (heap->trim_threshold == 0)
        threshold = heap->peak_pages / 32 > 256 ? heap->peak_pages / 32 : 256;
    if (heap->frees_in_row >= PURGE_AFTER && unused > threshold)
        (void)xvm_os_heap_purge(heap, threshold / 2);
}

static void give_large(xvm_heap *heap, uint32_t start)
{
    heap_lock(heap, &heap->lock);
    heap->large_frees++;
    heap->frees_in_row++;
    heap->large_pages -= pages_of(&heap->pages[start]);
    xvm_os_heap_free_run(heap, start);
    if (heap->trim_threshold != SIZE_MAX)
        settle(heap);
    heap_unlock(heap, &heap->lock);
}

/* --- what a pointer is ------------------------------------------------------------------------ */

typedef struct found {
    xvm_misuse wrong; /* 0: it is a live block */
    bool is_small;
    place small;
    uint32_t page; /* large: its first */
    size_t usable;
} found;

static xvm_misuse check_small(const xvm_heap *heap, const place *p)
{
    if (!p->is_start)
        return XVM_MISUSE_INTERIOR;
    return LOAD(&heap->states[p->e >> 32]) == LIVE ? (xvm_misuse)0 : XVM_MISUSE_FREED;
}

/* Does a page lie in a free run? It is looked for step by step: this ends the program. */
static bool is_free_page(const xvm_heap *heap, uint32_t page)
{
    if (page >= heap->frontier)
        return true;
    while (page != 0 && kind_of(&heap->pages[page]) == RUN_INSIDE)
        page--;
    return kind_of(&heap->pages[page]) == RUN_FREE;
}

/* A run's first page says what it is; a page inside of one, that it is inside. */
static void find_large(const xvm_heap *heap, size_t offset, found *b)
{
    const page_info *p;

    b->page = (uint32_t)(offset >> PAGE_SHIFT);
    b->wrong = XVM_MISUSE_FOREIGN;
    if (b->page >= LOAD(&heap->touched))
        return;
    p = &heap->pages[b->page];
    b->usable = (size_t)pages_of(p) << PAGE_SHIFT;
    if ((offset & (PAGE - 1)) == 0 && b->page < LOAD(&heap->frontier) &&
        (LOAD(&p->size_kind) & KIND_MASK) == RUN_LIVE)
        b->wrong = (xvm_misuse)0;
    else
        b->wrong = is_free_page(heap, b->page) ? XVM_MISUSE_FREED : XVM_MISUSE_INTERIOR;
}

static found find_guarded(const xvm_heap *heap, const void *address)
{
    xvm_heap *locked = (xvm_heap *)(uintptr_t)heap; /* looking takes the lock */
    found b = {.wrong = (xvm_misuse)0};

    heap_lock(locked, &locked->lock);
    b.wrong = xvm_os_heap_find_guarded(heap, address, &b.page, &b.usable);
    heap_unlock(locked, &locked->lock);
    return b;
}

static found find_block(const xvm_heap *heap, const void *address)
{
    size_t offset = (size_t)((const unsigned char *)address - heap->area);
    found b = {.wrong = XVM_MISUSE_FOREIGN};
    const unit_info *u;

    if ((heap->flags & XVM_HEAP_GUARDED) != 0)
        return find_guarded(heap, address);

    if (offset >= heap->area_size)
        return b;
    if (offset >> PAGE_SHIFT >= LOAD(&heap->touched))
        return b;
    u = &heap->units[offset >> UNIT_SHIFT];
    b.is_small = LOAD(&u->size_class) != 0;
    if (!b.is_small) {
        find_large(heap, offset, &b);
        return b;
    }
    b.small = place_in(heap, u, LOAD(&u->size_class), offset);
    b.wrong = (offset & (UNIT - 1)) < heap->classes[b.small.size_class].span
                  ? check_small(heap, &b.small)
                  : XVM_MISUSE_INTERIOR;
    b.usable = size_of_class(b.small.size_class);
    return b;
}

/* --- public calls ----------------------------------------------------------------------------- */

static void *take_other(xvm_heap *heap, size_t size, size_t alignment, bool *zero)
{
    int error = xvm_os_get_error();

    *zero = false;
    if (heap->largest_small == 0)
        return take_special(heap, size, alignment, zero);
    return answer(heap, size, take_large(heap, size, alignment, zero), error);
}

static __attribute__((noinline)) void *take_any(xvm_heap *heap, size_t size)
{
    bool zero = false;

    return take_other(heap, size, 1, &zero);
}

/* class_of, by a table where most sizes are. */
static inline unsigned quick_class(size_t size)
{
    return size <= TABLED ? classes_of_granules[(size + GRAIN - 1) >> GRAIN_SHIFT] : class_of(size);
}

void *xvm_heap_alloc(xvm_heap *heap, size_t size)
{
    if (__builtin_expect(size > heap->largest_small, 0))
        return take_any(heap, size);
    return take_small(heap, quick_class(size));
}

void *xvm_heap_alloc_zeroed(xvm_heap *heap, size_t count, size_t size)
{
    bool zero = false;
    size_t whole;
    void *block;

    if (__builtin_mul_overflow(count, size, &whole))
        return refuse(heap, SIZE_MAX, XVM_E_ADDRESS_SPACE);
    if (whole > heap->largest_small)
        block = take_other(heap, whole, 1, &zero);
    else
        block = xvm_heap_alloc(heap, whole);
    return block == NULL || zero ? block : memset(block, 0, whole);
}

void *xvm_heap_alloc_aligned(xvm_heap *heap, size_t size, size_t alignment)
{
    unsigned c = CLASSES;
    bool zero = false;

    if (!is_power_of_two(alignment) || alignment > heap->region->size)
        return refuse(heap, size, XVM_E_INVALID);
    if (alignment <= GRAIN)
        return xvm_heap_alloc(heap, size);
    if (heap->largest_small != 0)
        c = class_for(size, alignment);
    if (c < CLASSES)
        return xvm_heap_alloc(heap, size_of_class(c));
    return take_other(heap, size, alignment, &zero);
}

static void erase(const xvm_heap *heap, void *address, const found *b)
{
    if ((heap->flags & XVM_HEAP_ZERO_ON_FREE) != 0)
        memset(address, 0, b->usable);
}

static void free_guarded(xvm_heap *heap, void *address)
{
    xvm_misuse wrong = xvm_os_heap_give_guarded(heap, address);

    if (wrong != 0)
        xvm_os_heap_misuse(heap, wrong, "free", address);
}

static __attribute__((noinline)) void free_slowly(xvm_heap *heap, void *address)
{
    found b;

    if (address == NULL)
        return;
    if ((heap->flags & XVM_HEAP_GUARDED) != 0) {
        free_guarded(heap, address);
        return;
    }
    b = find_block(heap, address);
    if (b.wrong != 0) {
        xvm_os_heap_misuse(heap, b.wrong, "free", address);
        return;
    }
    if (heap->told)
        xvm_os_tell_live(address, b.usable);
    erase(heap, address, &b);
    if (heap->told)
        xvm_os_tell_dead(address, b.usable);
    if (b.is_small)
        give_small(heap, b.small.size_class, b.small.e);
    else
        give_large(heap, b.page);
}

void xvm_heap_free(xvm_heap *heap, void *address)
{
    size_t offset = (size_t)((unsigned char *)address - heap->area);
    const unit_info *u;
    unsigned mark;
    place p;

    if (__builtin_expect(offset >= LOAD(&heap->quick_size), 0)) {
        free_slowly(heap, address);
        return;
    }
    u = &heap->units[offset >> UNIT_SHIFT];
    mark = LOAD(&u->size_class);
    p = place_in(heap, u, mark, offset);
    if (__builtin_expect(mark == 0, 0) || __builtin_expect(!p.is_start, 0) ||
        __builtin_expect(LOAD(&heap->states[p.e >> 32]) != LIVE, 0))
        free_slowly(heap, address);
    else
        give_small(heap, p.size_class, p.e);
}

size_t xvm_heap_usable_size(const xvm_heap *heap, const void *address)
{
    found b;

    if (address == NULL)
        return 0;
    b = find_block(heap, address);
    if (b.wrong != 0) {
        xvm_os_heap_misuse(heap, b.wrong, "usable_size", address);
        return 0;
    }
    if (heap->told) /* who asks may use it */
        xvm_os_tell_live(address, b.usable);
    return b.usable;
}

bool xvm_heap_owns(const xvm_heap *heap, const void *address)
{
    size_t offset = (size_t)((const unsigned char *)address - heap->area);

    return offset >> PAGE_SHIFT < LOAD(&heap->touched);
}

/* --- realloc ---------------------------------------------------------------------------------- */

/* In place: the same class, or a run that the next pages let grow. */
static bool resize(xvm_heap *heap, const found *b, size_t size)
{
    uint32_t pages = pages_for(heap, size), before;
    int error = xvm_os_get_error();
    bool done;

    if (heap->largest_small == 0)
        return false; /* a move finds pointers that were kept */
    if (b->is_small)
        return size <= LARGEST_SMALL && class_of(size) == b->small.size_class;
    if (size <= LARGEST_SMALL || pages == 0)
        return false;
    heap_lock(heap, &heap->lock);
    before = pages_of(&heap->pages[b->page]);
    if (pages < before && (heap->flags & XVM_HEAP_ZERO_ON_FREE) != 0)
        memset(page_address(heap, b->page + pages), 0, (size_t)(before - pages) << PAGE_SHIFT);
    done = pages == before || xvm_os_heap_resize_run(heap, b->page, pages);
    if (done)
        heap->large_pages = heap->large_pages - before + pages;
    heap_unlock(heap, &heap->lock);
    xvm_os_set_error(error); /* a move may still do */
    return done;
}

void *xvm_heap_realloc(xvm_heap *heap, void *address, size_t size)
{
    found b;
    void *moved;

    if (address == NULL)
        return xvm_heap_alloc(heap, size);
    b = find_block(heap, address);
    if (b.wrong != 0) {
        xvm_os_heap_misuse(heap, b.wrong, "realloc", address);
        return NULL;
    }
    if (resize(heap, &b, size))
        return address;
    moved = xvm_heap_alloc(heap, size);
    if (moved == NULL)
        return NULL;
    if (heap->told)
        xvm_os_tell_live(address, b.usable);
    memcpy(moved, address, size < b.usable ? size : b.usable);
    xvm_heap_free(heap, address);
    return moved;
}

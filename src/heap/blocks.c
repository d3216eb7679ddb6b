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
    TABLED = 1024,                 /* sizes whose class is looked up */
    NEATLY_PLACED = 4 * UNIT_PAGES /* pages of a run that begins at a unit where it can */
};

/* Where in a lane the magazine for a size in granules is. */
#define AT(c) ((c) * sizeof(magazine))
static const uint16_t magazines_of_granules[TABLED / GRAIN + 1] = {
    AT(0),  AT(0),  AT(1),  AT(2),  AT(3),  AT(4),  AT(5),  AT(6),  AT(7),  AT(8),  AT(9),
    AT(10), AT(11), AT(12), AT(13), AT(14), AT(15), AT(16), AT(16), AT(17), AT(17), AT(18),
    AT(18), AT(19), AT(19), AT(20), AT(20), AT(21), AT(21), AT(22), AT(22), AT(23), AT(23),
    AT(24), AT(24), AT(24), AT(24), AT(25), AT(25), AT(25), AT(25), AT(26), AT(26), AT(26),
    AT(26), AT(27), AT(27), AT(27), AT(27), AT(28), AT(28), AT(28), AT(28), AT(29), AT(29),
    AT(29), AT(29), AT(30), AT(30), AT(30), AT(30), AT(31), AT(31), AT(31), AT(31)};

/* --- lanes ------------------------------------------------------------------------------------ */

/* The lane for a quick one; NULL: go slowly. */
static inline lane *quick_lane(const xvm_heap *heap)
{
    return heap->lanes[known_thread() & heap->lane_mask];
}

/* --- magazines -------------------------------------------------------------------------------- */

/* Of no lane: an address that is not used. */
static inline magazine *magazine_in(lane *l, size_t at)
{
    return (magazine *)((uintptr_t)l + at);
}

/* The newest entry leaves its magazine; state is of that entry, and not 0. */
static inline void *pop(xvm_heap *heap, magazine *m, uint32_t state)
{
    entry *top = m->top;
    size_t granule = LOAD(&top->granule);

    STORE(&m->top, top - 1);
    STORE(&m->allocs, m->allocs + 1);
    STORE(state_at(heap, state), (unsigned char)LIVE);
    return heap->area + (granule << GRAIN_SHIFT);
}

static inline void push(xvm_heap *heap, magazine *m, uint32_t granule, uint32_t state)
{
    entry *top = m->top + 1;

    STORE(state_at(heap, state), (unsigned char)CACHED);
    STORE(&top->granule, granule);
    STORE(&top->state, state);
    STORE(&m->top, top);
}

/* --- refusals ------------------------------------------------------------------------------ */

/* Sizes of large runs are sixteen to a doubling, so that they fit where others were, and begin where
 * memory is warm. */
static uint32_t rounded(uint32_t pages)
{
    unsigned power = 31u - (unsigned)__builtin_clz(pages | 1);

    return power < 5 ? pages : (uint32_t)round_up(pages, (size_t)1 << (power - 4));
}

/* 0: more than a heap has. */
static uint32_t pages_for(const xvm_heap *heap, size_t size)
{
    uint32_t pages, wide;

    if (size > (size_t)heap->end << PAGE_SHIFT)
        return 0;
    pages = size == 0 ? 1 : (uint32_t)((size + PAGE - 1) >> PAGE_SHIFT);
    wide = rounded(pages);
    return wide <= heap->end ? wide : pages;
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

/* --- taking runs ------------------------------------------------------------------------------ */

static void count_large(xvm_heap *heap, uint32_t pages)
{
    size_t used = (size_t)heap->frontier - heap->free_pages;

    heap->large_allocs++;
    heap->large_pages += pages;
    heap->peak_pages = used > heap->peak_pages ? used : heap->peak_pages;
}

/* What a large block is to be like. */
typedef struct wish {
    uint32_t pages, align;
    bool grows; /* it is likely to: it wants free pages behind it */
} wish;

static void *take_pages(xvm_heap *heap, const wish *w, bool *zero)
{
    uint32_t start;
    bool taken;

    heap_lock(heap, &heap->lock);
    taken = (w->grows && xvm_os_heap_take_roomy_run(heap, w->pages, w->align, &start, zero)) ||
            xvm_os_heap_take_run(heap, w->pages, w->align, RUN_LIVE, &start, zero);
    if (taken)
        count_large(heap, w->pages);
    heap_unlock(heap, &heap->lock);
    return taken ? page_address(heap, start) : NULL;
}

/* First where blocks of that size begin, which is where memory is warm; else anywhere. */
static void *try_large(xvm_heap *heap, wish *w, bool *zero)
{
    uint32_t align = w->align;
    void *block;

    w->align = align == 1 && w->pages >= NEATLY_PLACED ? UNIT_PAGES : align;
    block = take_pages(heap, w, zero);
    w->align = align;
    return block != NULL || w->pages < NEATLY_PLACED ? block : take_pages(heap, w, zero);
}

static void *take_large(xvm_heap *heap, size_t size, size_t alignment, bool grows, bool *zero)
{
    size_t align = alignment > PAGE ? alignment >> PAGE_SHIFT : 1;
    wish w = {.pages = pages_for(heap, size), .align = (uint32_t)align, .grows = grows};
    void *block;

    STORE(&heap->refused_by_cap, w.pages == 0 || align > heap->end);
    if (w.pages == 0 || align > heap->end)
        return NULL;
    block = try_large(heap, &w, zero);
    if (block == NULL && xvm_os_heap_gather(heap))
        block = try_large(heap, &w, zero);
    return block;
}

/* --- small blocks ----------------------------------------------------------------------------- */

/* A block by way of a lane that may have to be made or filled. */
static void *try_lane(xvm_heap *heap, unsigned c)
{
    bool shared;
    lane *l = xvm_os_heap_enter_lane(heap, &shared);
    magazine *m = &l->heads[c];
    void *block = NULL;

    if (filled(m) != 0 || xvm_os_heap_refill(heap, l, c))
        block = pop(heap, m, m->top->state);
    xvm_os_heap_leave_lane(heap, shared);
    return block;
}

static void *take_from_lane(xvm_heap *heap, unsigned c)
{
    void *block = try_lane(heap, c);

    return block == NULL && xvm_os_heap_gather(heap) ? try_lane(heap, c) : block;
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
        c < CLASSES ? take_from_lane(heap, c) : take_large(heap, room, alignment, false, zero);

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

/* Heaps whose every block is special have no lanes, and come here with all small sizes. */
static __attribute__((noinline)) void *take_small_slowly(xvm_heap *heap, size_t size)
{
    int error = xvm_os_get_error();
    bool zero = false;

    if (heap->largest_small == 0)
        return take_special(heap, size, GRAIN, &zero);
    return answer(heap, size, take_from_lane(heap, class_of(size)), error);
}

static inline void *take_small(xvm_heap *heap, size_t at, size_t size)
{
    lane *l = quick_lane(heap);
    magazine *m = magazine_in(l, at);
    uint32_t state;

    if (__builtin_expect(l == NULL, 0))
        return take_small_slowly(heap, size);
    state = LOAD(&m->top->state);
    if (__builtin_expect(state == 0, 0))
        return take_small_slowly(heap, size);
    return pop(heap, m, state);
}

/* A pointer to a block of a slab: which one it is. Where no slab is, none of it is a block's start. */
typedef struct place {
    size_t magazine; /* where in a lane; bytes */
    uint32_t granule, state;
    bool is_start;
} place;

static inline place place_in(const unit_info *u, size_t offset)
{
    uint32_t reciprocal = LOAD(&u->reciprocal);
    uint64_t product = (offset & (UNIT - 1)) * (uint64_t)reciprocal;

    return (place){LOAD(&u->magazine), (uint32_t)(offset >> GRAIN_SHIFT),
                   u->states + (uint32_t)(product >> 32), (uint32_t)product < reciprocal};
}

static __attribute__((noinline)) void give_small_slowly(xvm_heap *heap, size_t at, uint32_t granule,
                                                        uint32_t state)
{
    int error = xvm_os_get_error(); /* no lane of its own is no failure */
    bool shared;
    lane *l = xvm_os_heap_enter_lane(heap, &shared);
    magazine *m = magazine_in(l, at);

    if (m->top == m->limit)
        xvm_os_heap_flush(heap, l, (unsigned)(at / sizeof *m));
    push(heap, m, granule, state);
    xvm_os_heap_leave_lane(heap, shared);
    xvm_os_set_error(error);
}

static inline void give_small(xvm_heap *heap, const place *p)
{
    lane *l = quick_lane(heap);
    magazine *m = magazine_in(l, p->magazine);

    if (__builtin_expect(l == NULL, 0) || __builtin_expect(m->top == m->limit, 0))
        give_small_slowly(heap, p->magazine, p->granule, p->state);
    else
        push(heap, m, p->granule, p->state);
}

/* --- large blocks ----------------------------------------------------------------------------- */

/* zero: all of it is, and not in memory. */
static void give_large(xvm_heap *heap, uint32_t start, bool zero)
{
    if (!zero)
        xvm_os_heap_drop_moved(heap, start);
    heap_lock(heap, &heap->lock);
    heap->large_frees++;
    heap->large_pages -= pages_of(&heap->pages[start]);
    if (is_moved(&heap->pages[start]))
        xvm_os_heap_free_moved_run(heap, start);
    else if (zero)
        xvm_os_heap_free_zero_run(heap, start);
    else
        xvm_os_heap_free_run(heap, start);
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
    return LOAD(state_at(heap, p->state)) == LIVE ? (xvm_misuse)0 : XVM_MISUSE_FREED;
}

/* Does a page lie in a free run? It is looked for step by step: this ends the program. */
static bool is_free_page(const xvm_heap *heap, uint32_t page)
{
    if (page >= heap->frontier)
        return true;
    while (page != 0 && kind_of(&heap->pages[page]) == RUN_INSIDE)
        page--;
    return kind_of(&heap->pages[page]) == RUN_FREE || is_bare(&heap->pages[page]);
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
        (LOAD(&p->size_kind) & KIND_MASK) == RUN_LIVE && !is_bare(p))
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
    unsigned c;

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
    b.small = place_in(u, offset);
    c = LOAD(&u->size_class) - 1u;
    b.wrong = (offset & (UNIT - 1)) < span_of_class(c) ? check_small(heap, &b.small)
                                                       : XVM_MISUSE_INTERIOR;
    b.usable = size_of_class(c);
    return b;
}

/* --- public calls ----------------------------------------------------------------------------- */

static void *take_other(xvm_heap *heap, size_t size, size_t alignment, bool *zero)
{
    int error = xvm_os_get_error();

    *zero = false;
    if (heap->largest_small == 0)
        return take_special(heap, size, alignment, zero);
    return answer(heap, size, take_large(heap, size, alignment, false, zero), error);
}

static __attribute__((noinline)) void *take_any(xvm_heap *heap, size_t size)
{
    bool zero = false;

    return take_other(heap, size, 1, &zero);
}

void *xvm_heap_alloc(xvm_heap *heap, size_t size)
{
    if (__builtin_expect(size <= TABLED, 1))
        return take_small(heap, magazines_of_granules[(size + GRAIN - 1) >> GRAIN_SHIFT], size);
    if (size <= LARGEST_SMALL)
        return take_small(heap, class_of(size) * sizeof(magazine), size);
    return take_any(heap, size);
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
        give_small(heap, &b.small);
    else
        give_large(heap, b.page, false);
}

/* A live block whose magazine is full, or which no lane waits for. Looked up again: what the quick way
 * knows of it would have to be kept for this. */
static __attribute__((noinline)) void give_to_full(xvm_heap *heap, void *address)
{
    size_t offset = (size_t)((unsigned char *)address - heap->area);
    place p = place_in(&heap->units[offset >> UNIT_SHIFT], offset);

    give_small_slowly(heap, p.magazine, p.granule, p.state);
}

void xvm_heap_free(xvm_heap *heap, void *address)
{
    size_t offset = (size_t)((unsigned char *)address - heap->area);
    const unit_info *u;
    magazine *m;
    lane *l;
    place p;

    if (__builtin_expect(offset >= LOAD(&heap->quick_size), 0)) {
        free_slowly(heap, address);
        return;
    }
    u = &heap->units[offset >> UNIT_SHIFT];
    p = place_in(u, offset);
    l = quick_lane(heap);
    m = magazine_in(l, p.magazine);
    if (__builtin_expect(!p.is_start, 0) ||
        __builtin_expect(LOAD(state_at(heap, p.state)) != LIVE, 0))
        free_slowly(heap, address);
    else if (__builtin_expect(l == NULL, 0) || __builtin_expect(m->top == m->limit, 0))
        give_to_full(heap, address);
    else {
        __builtin_prefetch(address, 1); /* it is the next that is taken */
        push(heap, m, p.granule, p.state);
    }
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
        return size <= LARGEST_SMALL && class_of(size) * sizeof(magazine) == b->small.magazine;
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

/* What had to move because it grew will do so again. */
static void *take_grown(xvm_heap *heap, size_t size)
{
    int error = xvm_os_get_error();
    bool zero = false;

    if (heap->largest_small == 0 || size <= LARGEST_SMALL)
        return xvm_heap_alloc(heap, size);
    return answer(heap, size, take_large(heap, size, 1, true, &zero), error);
}

/* A block goes to a new place with its pages; *into is NULL where that was refused, and the old block is
 * as it was. False: it is to be copied. */
static bool move_large(xvm_heap *heap, const found *b, void **into)
{
    uint32_t to = (uint32_t)((size_t)((unsigned char *)*into - heap->area) >> PAGE_SHIFT);
    moving how = xvm_os_heap_move_run(heap, to, b->page);

    if (how == MOVE_DONE)
        give_large(heap, b->page, true);
    if (how != MOVE_REFUSED)
        return how == MOVE_DONE;
    give_large(heap, to, false);
    *into = refuse_for(heap, 0);
    return true;
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
    moved = size > b.usable ? take_grown(heap, size) : xvm_heap_alloc(heap, size);
    if (moved == NULL)
        return NULL;
    if (!b.is_small && size > b.usable && move_large(heap, &b, &moved))
        return moved;
    if (heap->told)
        xvm_os_tell_live(address, b.usable);
    memcpy(moved, address, size < b.usable ? size : b.usable);
    xvm_heap_free(heap, address);
    return moved;
}

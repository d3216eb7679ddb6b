/* slabs.c - blocks of one size: carved from slabs, kept in a stash, returned.
 *
 *     magazine <--> stash | e | e | e | e |   entries move by copying
 *                     |
 *     slabs with free blocks: 7 --> 12 --> 3   and their states, a byte for each block
 *
 *   1  Taking goes to the first slab of the list until it has no free block left; it leaves the list.
 *   2  A slab that gets its first free block back becomes the first of the list: the fullest are used
 *      first, so that the others become empty.
 *   3  A slab with all blocks free goes back to the runs when another one's worth of blocks is free; else
 *      only in a trim, or before memory is refused.
 */
#include <string.h>

#include "heap.h"

enum { NONE = 0 };

static const uint64_t ONES = UINT64_MAX / 255; /* a 1 in every byte */

static unsigned char *states_of(const xvm_heap *heap, const unit_info *u)
{
    return state_at(heap, u->states);
}

static unit_info *unit_at(const xvm_heap *heap, uint32_t unit)
{
    return &heap->units[unit];
}

/* --- the list --------------------------------------------------------------------------------- */

static page_info *links_of(const xvm_heap *heap, uint32_t unit)
{
    return &heap->pages[(size_t)unit * UNIT_PAGES];
}

static void link_slab(xvm_heap *heap, size_class *class, uint32_t unit)
{
    page_info *p = links_of(heap, unit);

    p->prev = NONE;
    p->next = class->slabs;
    if (class->slabs != NONE)
        links_of(heap, class->slabs - 1)->prev = unit + 1;
    class->slabs = unit + 1;
}

static void unlink_slab(xvm_heap *heap, size_class *class, uint32_t unit)
{
    page_info *p = links_of(heap, unit);

    if (p->next != NONE)
        links_of(heap, p->next - 1)->prev = p->prev;
    if (p->prev != NONE)
        links_of(heap, p->prev - 1)->next = p->next;
    else
        class->slabs = p->next;
}

/* --- slabs come and go ------------------------------------------------------------------------ */

/* The high half of a product with it is the quotient, the low half is below it when there is no
 * remainder: Lemire, Kaser, Kurz, "Faster remainder by direct computation", 2019. */
static uint32_t reciprocal_of_class(unsigned c)
{
    return UINT32_MAX / size_of_class(c) + 1;
}

/* A unit, and lines for its states; the unit first: where there is one, there are lines. */
static bool take_slab(xvm_heap *heap, unsigned c, uint32_t *page, uint32_t *states)
{
    bool zero;

    if (!xvm_os_heap_take_run(heap, UNIT_PAGES, UNIT_PAGES, RUN_SLAB, page, &zero))
        return false;
    if (xvm_os_heap_take_lines(heap, order_of_class(c), states))
        return true;
    xvm_os_heap_free_run(heap, *page);
    return false;
}

static bool add_slab(xvm_heap *heap, unsigned c)
{
    size_class *class = &heap->classes[c];
    uint32_t page, states = 0;
    bool taken;

    heap_lock(heap, &heap->lock);
    taken = take_slab(heap, c, &page, &states);
    heap_unlock(heap, &heap->lock);
    if (!taken)
        return false;
    *unit_at(heap, page / UNIT_PAGES) = (unit_info){.states = states,
                                                    .reciprocal = reciprocal_of_class(c),
                                                    .magazine = (uint16_t)(c * sizeof(magazine)),
                                                    .free_blocks = (uint16_t)blocks_of_class(c),
                                                    .size_class = (uint8_t)(c + 1)};
    class->slab_count++;
    class->free_count += blocks_of_class(c);
    link_slab(heap, class, page / UNIT_PAGES);
    return true;
}

static void drop_slab(xvm_heap *heap, unsigned c, uint32_t unit)
{
    size_class *class = &heap->classes[c];
    unit_info *u = unit_at(heap, unit);

    unlink_slab(heap, class, unit);
    class->slab_count--;
    class->free_count -= u->free_blocks;
    STORE(&u->size_class, (uint8_t)0);
    STORE(&u->reciprocal, 0u);
    heap_lock(heap, &heap->lock);
    xvm_os_heap_give_lines(heap, order_of_class(c), u->states);
    xvm_os_heap_free_run(heap, unit * UNIT_PAGES);
    heap_unlock(heap, &heap->lock);
}

/* --- carving ---------------------------------------------------------------------------------- */

/* The byte at the lowest address is the lowest of the word. */
static uint64_t in_memory_order(uint64_t word)
{
    static const uint16_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return first == 1 ? word : __builtin_bswap64(word);
}

/* A 1 in every byte of a word of states that is FREE. */
static uint64_t free_in(uint64_t word)
{
    return (~word & ~(word >> 1)) & ONES;
}

/* All eight blocks of a word of states become CACHED entries. */
static void carve_whole(uint64_t *word, entry first, uint32_t step, entry *into)
{
    STORE(word, CACHED * ONES);
    for (uint32_t i = 0; i < 8; i++)
        into[i] = (entry){first.granule + i * step, first.state + i};
}

/* The free blocks of one word of states, eight at the most, become CACHED entries. Byte by byte: the
 * others are changed meanwhile by the threads that have them. */
static unsigned carve_word(unsigned char *states, uint32_t block, entry first, uint32_t step,
                           entry *into, unsigned most)
{
    uint64_t *word = (uint64_t *)(void *)(states + block);
    uint64_t zero = free_in(in_memory_order(LOAD(word)));
    unsigned taken = 0;

    if (zero == ONES && most >= 8) {
        carve_whole(word, (entry){first.granule + block * step, first.state + block}, step, into);
        return 8;
    }
    for (; zero != 0 && taken < most; zero &= zero - 1) {
        uint32_t at = block + (uint32_t)__builtin_ctzll(zero) / 8;

        STORE(&states[at], (unsigned char)CACHED);
        into[taken++] = (entry){first.granule + at * step, first.state + at};
    }
    return taken;
}

/* States behind the last block are FREE as well: the slab's count keeps us from them. */
static unsigned carve_slab(xvm_heap *heap, unsigned c, uint32_t unit, entry *into, unsigned count)
{
    size_class *class = &heap->classes[c];
    unit_info *u = unit_at(heap, unit);
    unsigned char *states = states_of(heap, u);
    entry first = {unit << (UNIT_SHIFT - GRAIN_SHIFT), u->states};
    uint32_t step = size_of_class(c) >> GRAIN_SHIFT, block = (uint32_t)u->hint << HINT_SHIFT;
    unsigned most = count < u->free_blocks ? count : u->free_blocks, taken = 0;

    for (; taken < most; block += 8)
        taken += carve_word(states, block, first, step, into + taken, most - taken);
    u->hint = (uint8_t)((block - 8) >> HINT_SHIFT);
    u->free_blocks = (uint16_t)(u->free_blocks - taken);
    class->free_count -= taken;
    if (u->free_blocks == 0)
        unlink_slab(heap, class, unit);
    return taken;
}

unsigned xvm_os_heap_carve(xvm_heap *heap, unsigned c, entry *into, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned taken = class->stashed < count ? class->stashed : count;

    class->stashed -= taken;
    memcpy(into, heap->stashes[c] + class->stashed, taken * sizeof *into);
    while (taken < count) {
        if (class->slabs == NONE && (taken != 0 || !add_slab(heap, c)))
            break;
        taken += carve_slab(heap, c, class->slabs - 1, into + taken, count - taken);
    }
    return taken;
}

/* --- returning -------------------------------------------------------------------------------- */

static uint32_t unit_of(entry e)
{
    return e.granule >> (UNIT_SHIFT - GRAIN_SHIFT);
}

/* A slab has got blocks back: it may have to be listed, or to go. */
static void note_returned(xvm_heap *heap, unsigned c, uint32_t unit, unsigned blocks)
{
    size_class *class = &heap->classes[c];
    unit_info *u = unit_at(heap, unit);

    class->free_count += blocks;
    if (u->free_blocks == 0)
        link_slab(heap, class, unit);
    u->free_blocks = (uint16_t)(u->free_blocks + blocks);
    if (u->free_blocks == blocks_of_class(c) && class->free_count >= 2 * blocks_of_class(c))
        drop_slab(heap, c, unit);
}

/* The blocks at the start that are of one unit; how many. */
static unsigned return_to_unit(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    uint32_t unit = unit_of(from[0]), lowest = UINT32_MAX;
    unit_info *u = unit_at(heap, unit);
    unsigned i = 0;

    for (; i < count && unit_of(from[i]) == unit; i++) {
        STORE(state_at(heap, from[i].state), (unsigned char)FREE);
        lowest = from[i].state < lowest ? from[i].state : lowest;
    }
    lowest = (lowest - u->states) >> HINT_SHIFT;
    u->hint = lowest < u->hint ? (uint8_t)lowest : u->hint;
    note_returned(heap, c, unit, i);
    return i;
}

void xvm_os_heap_return(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned room = stash_size(c) - class->stashed, kept = count < room ? count : room;

    memcpy(heap->stashes[c] + class->stashed, from, kept * sizeof *from);
    class->stashed += kept;
    while (kept < count)
        kept += return_to_unit(heap, c, from + kept, count - kept);
}

/* Blocks back to their slabs. */
static void return_all(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    for (unsigned i = 0; i < count;)
        i += return_to_unit(heap, c, from + i, count - i);
}

static void drop_empty(xvm_heap *heap, unsigned c)
{
    uint32_t next;

    for (uint32_t at = heap->classes[c].slabs; at != NONE; at = next) {
        next = links_of(heap, at - 1)->next;
        if (unit_at(heap, at - 1)->free_blocks == blocks_of_class(c))
            drop_slab(heap, c, at - 1);
    }
}

unsigned xvm_os_heap_empty(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned stashed = class->stashed, slabs = class->slab_count;

    class->stashed = 0;
    return_all(heap, c, heap->stashes[c], stashed);
    return_all(heap, c, from, count);
    drop_empty(heap, c);
    return stashed + count + (slabs - class->slab_count);
}

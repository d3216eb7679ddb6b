/* slabs.c - blocks of one size: carved from slabs, kept in a stash, returned.
 *
 *     magazine <--> stash | e | e | e | e |   entries move by copying
 *                     |
 *     slabs with free blocks: 7 --> 12 --> 3   and their states, a byte for each block
 *
 *   1  Taking goes to the first slab of the list until it has no free block left; it leaves the list.
 *   2  A slab that gets its first free block back becomes the first of the list: the fullest are used
 *      first, so that the others become empty.
 *   3  A slab with all blocks free goes back to the runs, but for the last one of its class.
 */
#include <string.h>

#include "heap.h"

enum { NONE = 0 };

static const uint64_t ONES = UINT64_MAX / 255; /* a 1 in every byte */

static unsigned char *states_of(const xvm_heap *heap, const unit_info *u)
{
    return heap->states + ((size_t)u->states << STATE_SHIFT);
}

static unit_info *unit_at(const xvm_heap *heap, uint32_t unit)
{
    return &heap->units[unit];
}

/* --- the list --------------------------------------------------------------------------------- */

static void link_slab(xvm_heap *heap, size_class *class, uint32_t unit)
{
    unit_info *u = unit_at(heap, unit);

    u->prev = NONE;
    u->next = class->slabs;
    if (class->slabs != NONE)
        unit_at(heap, class->slabs - 1)->prev = unit + 1;
    class->slabs = unit + 1;
}

static void unlink_slab(xvm_heap *heap, size_class *class, uint32_t unit)
{
    unit_info *u = unit_at(heap, unit);

    if (u->next != NONE)
        unit_at(heap, u->next - 1)->prev = u->prev;
    if (u->prev != NONE)
        unit_at(heap, u->prev - 1)->next = u->next;
    else
        class->slabs = u->next;
}

/* --- slabs come and go ------------------------------------------------------------------------ */

/* Lines of states for a slab: of one that is gone, or new ones. They are zero: FREE. */
static bool take_states(xvm_heap *heap, size_class *class, uint32_t *line)
{
    size_t lines = heap->state_lines;

    if (class->spare_states != NONE) {
        uint32_t *next =
            (uint32_t *)(void *)(heap->states + ((size_t)(class->spare_states - 1) << STATE_SHIFT));

        *line = class->spare_states - 1;
        class->spare_states = *next;
        *next = 0;
        return true;
    }
    if (!xvm_os_heap_need(heap, &heap->state_table, (lines + class->lines) << STATE_SHIFT))
        return false;
    *line = (uint32_t)lines;
    heap->state_lines += class->lines;
    return true;
}

static void give_states(xvm_heap *heap, size_class *class, uint32_t line)
{
    memcpy(heap->states + ((size_t)line << STATE_SHIFT), &class->spare_states, sizeof(uint32_t));
    class->spare_states = line + 1;
}

static bool add_slab(xvm_heap *heap, unsigned c)
{
    size_class *class = &heap->classes[c];
    uint32_t page, line = 0;
    bool zero, taken;

    heap_lock(heap, &heap->lock);
    taken = take_states(heap, class, &line);
    if (taken && !xvm_os_heap_take_run(heap, UNIT_PAGES, UNIT_PAGES, RUN_SLAB, &page, &zero)) {
        give_states(heap, class, line);
        taken = false;
    }
    heap_unlock(heap, &heap->lock);
    if (!taken)
        return false;
    *unit_at(heap, page / UNIT_PAGES) = (unit_info){
        .states = line, .size_class = (uint16_t)(c + 1), .free_blocks = (uint16_t) class->blocks};
    class->slab_count++;
    class->free_count += class->blocks;
    link_slab(heap, class, page / UNIT_PAGES);
    return true;
}

static void drop_slab(xvm_heap *heap, size_class *class, uint32_t unit)
{
    unit_info *u = unit_at(heap, unit);

    unlink_slab(heap, class, unit);
    class->slab_count--;
    class->free_count -= class->blocks;
    STORE(&u->size_class, (uint16_t)0);
    heap_lock(heap, &heap->lock);
    give_states(heap, class, u->states);
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

/* The first free block at or after one; there is one. */
static uint32_t next_free(const unsigned char *states, uint32_t at)
{
    const uint64_t *words = (const uint64_t *)(const void *)states;
    uint64_t word, zero;

    for (;; at = (at | 7) + 1) {
        word = in_memory_order(LOAD(&words[at / 8]));
        zero = (word - ONES) & ~word & (ONES << 7); /* the top bit of every byte that is 0 */
        zero &= UINT64_MAX << (at & 7) * 8;
        if (zero != 0)
            return (at & ~7u) + (uint32_t)__builtin_ctzll(zero) / 8;
    }
}

static entry entry_of(const unit_info *u, uint32_t unit, uint32_t block, uint32_t size)
{
    uint64_t grain =
        ((uint64_t)unit << (UNIT_SHIFT - GRAIN_SHIFT)) + ((uint64_t)block * size >> GRAIN_SHIFT);

    return grain | ((uint64_t)(u->states << STATE_SHIFT) + block) << 32;
}

static unsigned carve_slab(xvm_heap *heap, size_class *class, uint32_t unit, entry *into,
                           unsigned count)
{
    unit_info *u = unit_at(heap, unit);
    unsigned char *states = states_of(heap, u);
    unsigned taken = 0;

    for (; taken < count && u->free_blocks != 0; taken++) {
        uint32_t block = next_free(states, u->hint);

        STORE(&states[block], (unsigned char)CACHED);
        u->hint = block + 1;
        u->free_blocks--;
        into[taken] = entry_of(u, unit, block, class->size);
    }
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
    memcpy(into, class->stash + class->stashed, taken * sizeof *into);
    while (taken < count) {
        if (class->slabs == NONE && (taken != 0 || !add_slab(heap, c)))
            break;
        taken += carve_slab(heap, class, class->slabs - 1, into + taken, count - taken);
    }
    return taken;
}

/* --- returning -------------------------------------------------------------------------------- */

static void return_block(xvm_heap *heap, size_class *class, entry e)
{
    uint32_t unit = (uint32_t)e >> (UNIT_SHIFT - GRAIN_SHIFT);
    unit_info *u = unit_at(heap, unit);
    uint32_t state = (uint32_t)(e >> 32), block = state - (u->states << STATE_SHIFT);

    STORE(&heap->states[state], (unsigned char)FREE);
    u->hint = block < u->hint ? block : u->hint;
    class->free_count++;
    if (u->free_blocks++ == 0)
        link_slab(heap, class, unit);
    if (u->free_blocks == class->blocks && class->slab_count > 1)
        drop_slab(heap, class, unit);
}

void xvm_os_heap_return(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned room = STASH - class->stashed, kept = count < room ? count : room;

    memcpy(class->stash + class->stashed, from, kept * sizeof *from);
    class->stashed += kept;
    for (unsigned i = kept; i < count; i++)
        return_block(heap, class, from[i]);
}

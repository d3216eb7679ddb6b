/* slabs.c - blocks of one size: carved from slabs, kept in a stash, returned.
 *
 *     magazine <--> stash | e | e | e | e |   entries move by copying
 *                     |
 *     slabs with free blocks: 7 --> 12 --> 3   and their states, a byte for each block
 *
 *   1  Taking goes to the first slab of the list until it has no free block left; it leaves the list.
 *   2  A slab that gets its first free block back becomes the first of the list: the fullest are used
 *      first, so that the others become empty.
 *   3  A slab with all blocks free goes back to the runs, but for the last one of its class; that one,
 *      too, before memory is refused.
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

/* --- lines of states -------------------------------------------------------------------------- */

/* Free lines are in chunks of a power of two of them, at a multiple of it, and two halves become one again
 * (buddies: Knowlton, "A fast storage allocator", 1965): what one class gave back serves every other. As
 * a chunk is never more than a unit's worth, there is one for each unit of the area, whatever the
 * slabs before were. */
typedef struct chunk {
    unsigned char mark, unused[3]; /* no state is that large; what is not free begins with one */
    uint32_t next, prev;           /* + 1 */
} chunk;

enum { MARK = 128 }; /* + the order */

static chunk *chunk_at(const xvm_heap *heap, uint32_t line)
{
    return (chunk *)(void *)(heap->states + ((size_t)line << STATE_SHIFT));
}

static void link_chunk(xvm_heap *heap, uint32_t line, unsigned order)
{
    uint32_t *head = &heap->chunks[order];

    *chunk_at(heap, line) = (chunk){.mark = (unsigned char)(MARK + order), .next = *head};
    if (*head != NONE)
        chunk_at(heap, *head - 1)->prev = line + 1;
    *head = line + 1;
}

/* All its bytes are zero then, which is FREE. */
static void unlink_chunk(xvm_heap *heap, uint32_t line, unsigned order)
{
    chunk *c = chunk_at(heap, line);

    if (c->next != NONE)
        chunk_at(heap, c->next - 1)->prev = c->prev;
    if (c->prev != NONE)
        chunk_at(heap, c->prev - 1)->next = c->next;
    else
        heap->chunks[order] = c->next;
    *c = (chunk){0};
}

/* Lines that no slab has had yet. Those before the first multiple are chunks as well. */
static bool take_new_lines(xvm_heap *heap, unsigned order, uint32_t *line)
{
    size_t at = round_up(heap->state_lines, (size_t)1 << order), end = at + ((size_t)1 << order);
    uint32_t gap = heap->state_lines;

    if (!xvm_os_heap_need(heap, &heap->state_table, end << STATE_SHIFT))
        return false;
    for (unsigned k; gap != at; gap += 1u << k) {
        k = (unsigned)__builtin_ctz(gap);
        link_chunk(heap, gap, k);
    }
    *line = (uint32_t)at;
    heap->state_lines = (uint32_t)end;
    return true;
}

/* The smallest chunk that is large enough; what is not wanted of it stays free. */
static bool take_lines(xvm_heap *heap, unsigned order, uint32_t *line)
{
    unsigned found = order;

    while (found < ORDERS && heap->chunks[found] == NONE)
        found++;
    if (found == ORDERS)
        return take_new_lines(heap, order, line);
    *line = heap->chunks[found] - 1;
    unlink_chunk(heap, *line, found);
    while (found-- > order)
        link_chunk(heap, *line + (1u << found), found);
    return true;
}

static bool is_chunk(const xvm_heap *heap, uint32_t line, unsigned order)
{
    return line + (1u << order) <= heap->state_lines && chunk_at(heap, line)->mark == MARK + order;
}

/* Lines of a slab of which all blocks were FREE. */
static void give_lines(xvm_heap *heap, uint32_t line, unsigned order)
{
    for (; order < ORDERS - 1 && is_chunk(heap, line ^ 1u << order, order); order++) {
        unlink_chunk(heap, line ^ 1u << order, order);
        line &= ~(1u << order);
    }
    link_chunk(heap, line, order);
}

size_t xvm_os_heap_free_lines(const xvm_heap *heap)
{
    size_t lines = 0;

    for (unsigned order = 0; order < ORDERS; order++)
        for (uint32_t at = heap->chunks[order]; at != NONE; at = chunk_at(heap, at - 1)->next) {
            if (lines > heap->state_lines || !is_chunk(heap, at - 1, order))
                return SIZE_MAX;
            lines += (size_t)1 << order;
        }
    return lines;
}

/* --- slabs come and go ------------------------------------------------------------------------ */

/* A unit, and lines for its states; the unit first: where there is one, there are lines. */
static bool take_slab(xvm_heap *heap, unsigned order, uint32_t *page, uint32_t *line)
{
    bool zero;

    if (!xvm_os_heap_take_run(heap, UNIT_PAGES, UNIT_PAGES, RUN_SLAB, page, &zero))
        return false;
    if (take_lines(heap, order, line))
        return true;
    xvm_os_heap_free_run(heap, *page);
    return false;
}

static bool add_slab(xvm_heap *heap, unsigned c)
{
    size_class *class = &heap->classes[c];
    uint32_t page, line = 0;
    bool taken;

    heap_lock(heap, &heap->lock);
    taken = take_slab(heap, class->order, &page, &line);
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
    give_lines(heap, u->states, class->order);
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

/* What the entries of a unit have in common. */
static entry first_entry(const unit_info *u, uint32_t unit)
{
    return (uint64_t)unit << (UNIT_SHIFT - GRAIN_SHIFT) | (uint64_t)(u->states << STATE_SHIFT)
                                                              << 32;
}

/* The free blocks of one word of states, eight at the most, become CACHED entries. Byte by byte: the
 * others are changed meanwhile by the threads that have them. */
static unsigned carve_word(unsigned char *states, uint32_t block, entry first, entry step,
                           entry *into, unsigned most)
{
    const uint64_t *word = (const uint64_t *)(const void *)(states + block);
    uint64_t zero = free_in(in_memory_order(LOAD(word)));
    unsigned taken = 0;

    for (; zero != 0 && taken < most; zero &= zero - 1) {
        uint32_t at = block + (uint32_t)__builtin_ctzll(zero) / 8;

        STORE(&states[at], (unsigned char)CACHED);
        into[taken++] = first + at * step;
    }
    return taken;
}

/* States behind the last block are FREE as well: the slab's count keeps us from them. */
static unsigned carve_slab(xvm_heap *heap, size_class *class, uint32_t unit, entry *into,
                           unsigned count)
{
    unit_info *u = unit_at(heap, unit);
    unsigned char *states = states_of(heap, u);
    entry first = first_entry(u, unit), step = (uint64_t)1 << 32 | class->size >> GRAIN_SHIFT;
    unsigned most = count < u->free_blocks ? count : u->free_blocks, taken = 0;
    uint32_t word = u->hint / 8;

    for (; taken < most; word++)
        taken += carve_word(states, word * 8, first, step, into + taken, most - taken);
    u->hint = (word - 1) * 8;
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
    memcpy(into, class->stash + class->stashed, taken * sizeof *into);
    while (taken < count) {
        if (class->slabs == NONE && (taken != 0 || !add_slab(heap, c)))
            break;
        taken += carve_slab(heap, class, class->slabs - 1, into + taken, count - taken);
    }
    return taken;
}

/* --- returning -------------------------------------------------------------------------------- */

static uint32_t unit_of(entry e)
{
    return (uint32_t)e >> (UNIT_SHIFT - GRAIN_SHIFT);
}

/* A slab has got blocks back: it may have to be listed, or to go. */
static void note_returned(xvm_heap *heap, size_class *class, uint32_t unit, unsigned blocks)
{
    unit_info *u = unit_at(heap, unit);

    class->free_count += blocks;
    if (u->free_blocks == 0)
        link_slab(heap, class, unit);
    u->free_blocks = (uint16_t)(u->free_blocks + blocks);
    if (u->free_blocks == class->blocks && class->slab_count > 1)
        drop_slab(heap, class, unit);
}

/* The blocks at the start that are of one unit; how many. */
static unsigned return_to_unit(xvm_heap *heap, size_class *class, const entry *from, unsigned count)
{
    uint32_t unit = unit_of(from[0]), lowest = UINT32_MAX;
    unit_info *u = unit_at(heap, unit);
    unsigned i = 0;

    for (; i < count && unit_of(from[i]) == unit; i++) {
        uint32_t state = (uint32_t)(from[i] >> 32);

        STORE(&heap->states[state], (unsigned char)FREE);
        lowest = state < lowest ? state : lowest;
    }
    lowest -= u->states << STATE_SHIFT;
    u->hint = lowest < u->hint ? lowest : u->hint;
    note_returned(heap, class, unit, i);
    return i;
}

void xvm_os_heap_return(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned room = STASH - class->stashed, kept = count < room ? count : room;

    memcpy(class->stash + class->stashed, from, kept * sizeof *from);
    class->stashed += kept;
    while (kept < count)
        kept += return_to_unit(heap, class, from + kept, count - kept);
}

/* Blocks back to their slabs. */
static void return_all(xvm_heap *heap, size_class *class, const entry *from, unsigned count)
{
    for (unsigned i = 0; i < count;)
        i += return_to_unit(heap, class, from + i, count - i);
}

unsigned xvm_os_heap_empty(xvm_heap *heap, unsigned c, const entry *from, unsigned count)
{
    size_class *class = &heap->classes[c];
    unsigned stashed = class->stashed, slabs = class->slab_count;

    class->stashed = 0;
    return_all(heap, class, class->stash, stashed);
    return_all(heap, class, from, count);
    if (class->slab_count == 1 && class->free_count == class->blocks)
        drop_slab(heap, class, class->slabs - 1);
    return stashed + count + (slabs - class->slab_count);
}

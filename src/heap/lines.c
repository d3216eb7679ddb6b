/* lines.c - lines of states: where the states of a slab lie.
 *
 *     | line 0 | slab, order 6 ...... | slab, order 0 | free, order 0 | free, order 1 | ... unused
 *       nobody's
 */
#include <string.h>

#include "heap.h"

enum { NONE = 0 };

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
    return (chunk *)(void *)((unsigned char *)heap->region->base + heap->state_table.offset +
                             ((size_t)line << LINE_SHIFT));
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

    if (!xvm_os_heap_need(heap, &heap->state_table, end << LINE_SHIFT))
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
    return line < heap->state_lines && (1u << order) <= heap->state_lines - line &&
           chunk_at(heap, line)->mark == MARK + order;
}

bool xvm_os_heap_take_lines(xvm_heap *heap, unsigned order, uint32_t *states)
{
    uint32_t line;

    if (!take_lines(heap, order, &line))
        return false;
    *states = (uint32_t)heap->state_table.offset + (line << LINE_SHIFT);
    return true;
}

void xvm_os_heap_give_lines(xvm_heap *heap, unsigned order, uint32_t states)
{
    uint32_t line = (states - (uint32_t)heap->state_table.offset) >> LINE_SHIFT;

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

/* --- lines of a heap that was read from a file --------------------------------------------------- */

static bool are_lines(const xvm_heap *heap, unsigned order, uint32_t states)
{
    size_t offset = states - heap->state_table.offset, count = (size_t)1 << order;

    return states >= heap->state_table.offset && (offset & ((count << LINE_SHIFT) - 1)) == 0 &&
           offset != 0 && (offset >> LINE_SHIFT) + count <= heap->state_lines;
}

bool xvm_os_heap_claim_lines(xvm_heap *heap, unsigned order, uint32_t states)
{
    unsigned char *first = state_at(heap, states);

    if (!are_lines(heap, order, states))
        return false;
    for (size_t i = 0; i < (size_t)1 << order; i++) {
        if ((first[i << LINE_SHIFT] & CLAIMED) != 0)
            return false;
        first[i << LINE_SHIFT] |= CLAIMED;
    }
    return true;
}

/* What is no slab's is zero before the first of it becomes a chunk, which looks around for others. */
void xvm_os_heap_free_others(xvm_heap *heap)
{
    unsigned char *first = (unsigned char *)chunk_at(heap, 0);
    uint32_t states = (uint32_t)heap->state_table.offset;

    memset(heap->chunks, 0, sizeof heap->chunks);
    for (size_t line = 0; line < heap->state_lines; line++)
        if ((first[line << LINE_SHIFT] & CLAIMED) == 0)
            memset(first + (line << LINE_SHIFT), 0, (size_t)1 << LINE_SHIFT);
    for (uint32_t line = 1; line < heap->state_lines; line++) {
        if ((first[(size_t)line << LINE_SHIFT] & CLAIMED) == 0)
            xvm_os_heap_give_lines(heap, 0, states + (line << LINE_SHIFT));
        first[(size_t)line << LINE_SHIFT] &= (unsigned char)~CLAIMED;
    }
}

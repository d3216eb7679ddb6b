/* lanes.c - what a thread has at hand: a magazine for each class, filled and emptied by halves.
 *
 *     thread 3 --> lanes[3] --> | magazine 0 | magazine 1 | ...      under no lock: nobody else looks
 *     no number, no memory  --> the shared lane                      under its lock
 *     thread 5 has ended    --> lanes[5] waits for the next thread 5, or for a trim
 */
#include <string.h>

#include "heap.h"

/* --- lanes ------------------------------------------------------------------------------------ */

/* Every magazine empty, each with its part of the entries. */
static void set_magazines(const xvm_heap *heap, lane *l)
{
    entry *at = l->entries;

    for (unsigned c = 0; c < CLASSES; c++) {
        l->heads[c].top = l->heads[c].bottom = at;
        l->heads[c].limit = at + room_in_magazine(heap, c);
        at += magazine_size(c) + 1;
    }
}

/* A lane is made of the heap's own memory, all zero. */
static lane *make_lane(xvm_heap *heap)
{
    size_t at = heap->lane_count * sizeof(lane);
    lane *made = NULL;

    if (xvm_os_heap_need(heap, &heap->lane_table, at + sizeof(lane))) {
        made = (lane *)(void *)((unsigned char *)heap->region->base + heap->lane_table.offset + at);
        set_magazines(heap, made);
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
        set_magazines(heap, &heap->shared_lane);
    return &heap->shared_lane;
}

lane *xvm_os_heap_enter_lane(xvm_heap *heap, bool *shared)
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

void xvm_os_heap_leave_lane(xvm_heap *heap, bool shared)
{
    if (shared)
        heap_unlock(heap, &heap->shared_lock);
}

/* --- magazines -------------------------------------------------------------------------------- */

bool xvm_os_heap_refill(xvm_heap *heap, lane *l, unsigned c)
{
    magazine *m = &l->heads[c];
    unsigned got;

    heap_lock(heap, &heap->classes[c].lock);
    got = xvm_os_heap_carve(heap, c, m->bottom + 1, room_in_magazine(heap, c) / 2);
    heap_unlock(heap, &heap->classes[c].lock);
    STORE(&m->top, m->bottom + got);
    STORE(&l->taken[c], l->taken[c] + got);
    return got != 0;
}

void xvm_os_heap_flush(xvm_heap *heap, lane *l, unsigned c)
{
    magazine *m = &l->heads[c];
    unsigned half = room_in_magazine(heap, c) / 2;

    heap_lock(heap, &heap->classes[c].lock);
    xvm_os_heap_return(heap, c, m->bottom + 1, half);
    heap_unlock(heap, &heap->classes[c].lock);
    memmove(m->bottom + 1, m->bottom + 1 + half, (filled(m) - half) * sizeof(entry));
    STORE(&m->top, m->top - half);
    STORE(&l->returned[c], l->returned[c] + half);
}

/* --- back to the slabs ------------------------------------------------------------------------ */

/* One class's magazine and stash. */
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

static unsigned empty_lane(xvm_heap *heap, lane *l)
{
    unsigned got = 0;

    for (unsigned c = 0; c < CLASSES; c++)
        got += empty_class(heap, l, c);
    return got;
}

/* A lane of a thread that has ended: nobody gets its number meanwhile. */
static unsigned empty_idle(xvm_heap *heap, unsigned number)
{
    lane *l = LOAD_ACQUIRE(&heap->lanes[number]);
    unsigned got = 0;

    if (l == NULL || !hold_thread_number(number))
        return 0;
    got = empty_lane(heap, l);
    free_thread_number(number);
    return got;
}

bool xvm_os_heap_gather(xvm_heap *heap)
{
    unsigned got;
    bool shared;
    lane *l = xvm_os_heap_enter_lane(heap, &shared);

    got = empty_lane(heap, l);
    xvm_os_heap_leave_lane(heap, shared);
    for (unsigned number = 1; number <= LANES && heap->lane_mask != 0; number++)
        got += empty_idle(heap, number);
    return got != 0;
}

/* --- a heap that was read from a file ------------------------------------------------------------ */

/* All lanes of the heap's memory that there are. */
static uint64_t allocs_of(const xvm_heap *heap, unsigned c)
{
    const unsigned char *base = heap->region->base;
    const lane *lanes = (const lane *)(const void *)(base + heap->lane_table.offset);
    uint64_t allocs = heap->shared_lane.heads[c].allocs;

    for (uint32_t i = 0; i < heap->lane_count; i++)
        allocs += lanes[i].heads[c].allocs;
    return allocs;
}

void xvm_os_heap_forget_lanes(xvm_heap *heap, const uint32_t live[CLASSES])
{
    for (unsigned c = 0; c < CLASSES; c++) {
        uint64_t allocs = allocs_of(heap, c);

        heap->shared_lane.heads[c].allocs = allocs > live[c] ? allocs : live[c];
        heap->shared_lane.taken[c] = live[c];
        heap->shared_lane.returned[c] = 0;
    }
    memset(heap->lanes, 0, sizeof heap->lanes);
    heap->lane_count = 0;
    set_magazines(heap, &heap->shared_lane);
}

/* list.c - the heaps of the process: those in use, and those that wait for the next.
 *
 *     seats | in use | free | in use | spare | in use | not yet used ....      a reservation of its own
 *
 *     in use  s <--> s <--> s           a fork takes the locks of all of them
 *     spare   h  h  .  .                destroyed, empty; the next plain heap is one of these
 *     free    s --> s
 *
 *   1  What waits is plain: of default size, without a budget, a name, or a kind of its own. It is as
 *      good as new but for memory that is warm, at most KEPT bytes of blocks.
 *   2  Its addresses are of no use to others meanwhile: nothing waits where they are few, 32 bits or a
 *      limit of the process.
 *   3  xvm_heap_trim(NULL, 0) lets all of them go.
 *   4  A seat never moves, for it is the region's handle. The memory of seats grows and stays.
 */
#include "heap.h"
#include "xvm/system.h"

enum { SPARES = 4, KEPT = 2 << 20, KEPT_LANES = 4 };
enum {
    MOST = sizeof(void *) > 4 ? 1 << 18 : 1 << 12, /* heaps, where there are addresses for them */
    LEAST = 64,
    STEP = 16 << 10 /* bytes of them that get memory together */
};

static const uint64_t PLENTY = (uint64_t)1 << 42; /* of addresses, for heaps of 64 GiB each */

static unsigned heaps_lock; /* for all that follows */
static heap_seat *heaps;    /* in use */
static xvm_heap *spares[SPARES];
static unsigned spare_count;
static xvm_region seats;
static size_t seats_used, seats_ready; /* ever; with memory */
static heap_seat *free_seats;

/* --- seats ------------------------------------------------------------------------------------ */

/* Memory for one more; under the lock, as forks must not meet it half done: it is rare. */
static xvm_status more_seats(void)
{
    xvm_reserve_options wish = {
        .min_size = LEAST * sizeof(heap_seat), .flags = XVM_RESERVE_NO_RETRY, .name = "xvm heaps"};
    size_t need = (seats_used + 1) * sizeof(heap_seat), end = round_up(need, STEP);
    xvm_status status = XVM_OK;

    if (seats.base == NULL)
        status = xvm_reserve(&seats, MOST * sizeof(heap_seat), &wish);
    if (status == XVM_OK && need > seats.size)
        status = xvm_os_fail_at(&(xvm_os_site){.call = "heap_create", .own = true},
                                (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0});
    if (status != XVM_OK)
        return status;
    end = end < seats.size ? end : seats.size;
    status = xvm_commit(&seats, 0, end);
    if (status == XVM_OK)
        seats_ready = end / sizeof(heap_seat);
    return status;
}

static heap_seat *seat_at(size_t number)
{
    return (heap_seat *)seats.base + number;
}

heap_seat *xvm_os_heap_take_seat(void)
{
    xvm_status status = XVM_OK;
    heap_seat *taken = NULL;

    spin_lock(&heaps_lock);
    if (free_seats == NULL && seats_used == seats_ready)
        status = more_seats();
    if (free_seats != NULL) {
        taken = free_seats;
        free_seats = taken->next;
    } else if (status == XVM_OK) {
        taken = seat_at(seats_used++);
    }
    spin_unlock(&heaps_lock);
    if (taken != NULL)
        *taken = (heap_seat){0};
    return taken;
}

void xvm_os_heap_give_seat(heap_seat *seat)
{
    spin_lock(&heaps_lock);
    seat->next = free_seats;
    free_seats = seat;
    spin_unlock(&heaps_lock);
}

/* --- fork ------------------------------------------------------------------------------------- */

/* A child of fork has one thread, and everything as it was at that moment: nobody may be in the middle
 * of something then. */
static void lock_heap(xvm_heap *heap)
{
    heap_lock(heap, &heap->shared_lock);
    for (unsigned c = 0; c < CLASSES; c++)
        heap_lock(heap, &heap->classes[c].lock);
    heap_lock(heap, &heap->lock);
}

static void unlock_heap(xvm_heap *heap)
{
    heap_unlock(heap, &heap->lock);
    for (unsigned c = CLASSES; c-- != 0;)
        heap_unlock(heap, &heap->classes[c].lock);
    heap_unlock(heap, &heap->shared_lock);
}

static void before_fork(void)
{
    spin_lock(&heaps_lock);
    for (heap_seat *s = heaps; s != NULL; s = s->next)
        lock_heap(s->heap);
}

static void after_fork(void)
{
    for (heap_seat *s = heaps; s != NULL; s = s->next)
        unlock_heap(s->heap);
    spin_unlock(&heaps_lock);
}

/* --- in use ----------------------------------------------------------------------------------- */

static void link_seat(heap_seat *seat)
{
    seat->prev = NULL;
    seat->next = heaps;
    if (heaps != NULL)
        heaps->prev = seat;
    heaps = seat;
}

static void unlink_seat(heap_seat *seat)
{
    if (seat->next != NULL)
        seat->next->prev = seat->prev;
    if (seat->prev != NULL)
        seat->prev->next = seat->next;
    else
        heaps = seat->next;
}

void xvm_os_heap_enlist(xvm_heap *heap)
{
    static bool asked;

    spin_lock(&heaps_lock);
    if (!asked)
        xvm_os_watch_forks(before_fork, after_fork, after_fork);
    asked = true;
    heap->seat->heap = heap;
    link_seat(heap->seat);
    spin_unlock(&heaps_lock);
}

/* --- spare ------------------------------------------------------------------------------------ */

/* Asked once: a system call each time would cost more than waiting saves. */
static bool addresses_are_plenty(void)
{
    static unsigned answer; /* 1: no, 2: yes */
    xvm_limits now;

    if (LOAD(&answer) == 0)
        STORE(&answer, sizeof(void *) > 4 && xvm_get_limits(&now) == XVM_OK &&
                               now.address_space_limit >= PLENTY
                           ? 2u
                           : 1u);
    return LOAD(&answer) == 2;
}

static bool may_wait(const xvm_heap *heap)
{
    return heap->seat->plain && (size_t)heap->committed << PAGE_SHIFT <= KEPT &&
           heap->lane_count <= KEPT_LANES && addresses_are_plenty();
}

bool xvm_os_heap_retire(xvm_heap *heap)
{
    bool waits = may_wait(heap);

    if (waits)
        xvm_os_heap_renew(heap);
    spin_lock(&heaps_lock);
    unlink_seat(heap->seat);
    waits = waits && spare_count < SPARES;
    if (waits) {
        spares[spare_count] = heap;
        STORE(&spare_count, spare_count + 1);
    }
    spin_unlock(&heaps_lock);
    return waits;
}

/* The newest spare heap with these flags goes into use; NULL: there is none. */
xvm_heap *xvm_os_heap_reuse(unsigned flags)
{
    xvm_heap *found = NULL;

    if (LOAD(&spare_count) == 0)
        return NULL;
    spin_lock(&heaps_lock);
    for (unsigned i = spare_count; i-- != 0 && found == NULL;)
        if (spares[i]->flags == flags) {
            found = spares[i];
            spares[i] = spares[spare_count - 1];
            STORE(&spare_count, spare_count - 1);
            link_seat(found->seat);
        }
    spin_unlock(&heaps_lock);
    return found;
}

static xvm_heap *take_spare(void)
{
    xvm_heap *taken = NULL;

    spin_lock(&heaps_lock);
    if (spare_count != 0) {
        STORE(&spare_count, spare_count - 1);
        taken = spares[spare_count];
    }
    spin_unlock(&heaps_lock);
    return taken;
}

size_t xvm_os_heap_drop_spares(void)
{
    size_t given = 0;

    for (xvm_heap *heap; (heap = take_spare()) != NULL;) {
        heap_seat *seat = heap->seat;
        xvm_usage use;

        xvm_region_usage(&seat->own, &use);
        if (xvm_release(&seat->own) == XVM_OK)
            given += use.committed;
        xvm_os_heap_give_seat(seat);
    }
    return given;
}

/* list.c - the heaps of the process: those in use, and those that wait for the next.
 *
 *     in use  h <--> h <--> h           a fork takes the locks of all of them
 *     spare   h  h  .  .                destroyed, empty; the next plain heap is one of these
 *
 *   1  What waits is plain: of default size, without a budget, a name, or a kind of its own. It is as
 *      good as new but for memory that is warm, at most KEPT bytes of blocks.
 *   2  Its addresses are of no use to others meanwhile: nothing waits where they are few, 32 bits or a
 *      limit of the process.
 *   3  xvm_heap_trim(NULL, 0) lets all of them go.
 */
#include "heap.h"
#include "xvm/system.h"

enum { SPARES = 4, KEPT = 2 << 20, KEPT_LANES = 4 };

static const uint64_t PLENTY = (uint64_t)1 << 42; /* of addresses, for heaps of 64 GiB each */

static unsigned heaps_lock;
static xvm_heap *heaps;
static xvm_heap *spares[SPARES];
static unsigned spare_count;

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
    for (xvm_heap *heap = heaps; heap != NULL; heap = heap->next)
        lock_heap(heap);
}

static void after_fork(void)
{
    for (xvm_heap *heap = heaps; heap != NULL; heap = heap->next)
        unlock_heap(heap);
    spin_unlock(&heaps_lock);
}

/* --- in use ----------------------------------------------------------------------------------- */

static void link_heap(xvm_heap *heap)
{
    heap->prev = NULL;
    heap->next = heaps;
    if (heaps != NULL)
        heaps->prev = heap;
    heaps = heap;
}

static void unlink_heap(xvm_heap *heap)
{
    if (heap->next != NULL)
        heap->next->prev = heap->prev;
    if (heap->prev != NULL)
        heap->prev->next = heap->next;
    else
        heaps = heap->next;
}

void xvm_os_heap_enlist(xvm_heap *heap)
{
    static bool asked;

    spin_lock(&heaps_lock);
    if (!asked)
        xvm_os_watch_forks(before_fork, after_fork, after_fork);
    asked = true;
    link_heap(heap);
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
    return heap->plain && (size_t)heap->committed << PAGE_SHIFT <= KEPT &&
           heap->lane_count <= KEPT_LANES && addresses_are_plenty();
}

bool xvm_os_heap_retire(xvm_heap *heap)
{
    bool waits = may_wait(heap);

    if (waits)
        xvm_os_heap_renew(heap);
    spin_lock(&heaps_lock);
    unlink_heap(heap);
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
            link_heap(found);
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
        xvm_region own = heap->own;
        xvm_usage use;

        xvm_region_usage(&own, &use);
        if (xvm_release(&own) == XVM_OK)
            given += use.committed;
    }
    return given;
}

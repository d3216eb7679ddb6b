/* test_thread_end.c - what a thread does in its last moments, when its number is another's already. */
#include <pthread.h>

#include "harness.h"
#include "os.h"
#include "xvm/heap.h"

enum { MANY = 3000, ROUNDS = 8, MiB = 1 << 20 }; /* the system has fewer rounds of destructors */

static pthread_key_t late; /* made after the library's own: its destructor comes later */
static xvm_heap *heap;
static void *kept; /* by one thread, for the last moments of the next */

/* In every round of destructors that there is, also in the last one, in which sanitizers end the thread for
 * themselves. */
static void use_late(void *round)
{
    void *block = xvm_heap_alloc(heap, 100);

    CHECK_EQUAL(xvm_os_thread_number(), 0);
    CHECK(block != NULL);
    xvm_heap_free(heap, kept);
    kept = block;
    if ((uintptr_t)round < (memory_is_emulated() ? 1 : ROUNDS))
        CHECK(pthread_setspecific(late, (void *)((uintptr_t)round + 1)) == 0);
}

static void use(void *context, int index)
{
    (void)context;
    (void)index;
    CHECK(xvm_os_thread_number() != 0);
    xvm_heap_free(heap, xvm_heap_alloc(heap, 100));
    CHECK(pthread_setspecific(late, (void *)1) == 0);
}

TEST(after_its_number_a_thread_shares_a_lane)
{
    xvm_heap_options options = {.max_size = 64 * MiB};
    xvm_heap_stats first, last;

    CHECK(xvm_os_thread_number() != 0);
    CHECK(pthread_key_create(&late, use_late) == 0);
    CHECK_EQUAL(xvm_heap_create(&heap, &options), XVM_OK);
    run_threads(1, use, NULL);
    xvm_heap_get_stats(heap, &first);
    for (int i = 1; i < MANY; i++)
        run_threads(1, use, NULL);
    xvm_heap_get_stats(heap, &last);
    CHECK_EQUAL(last.committed, first.committed); /* a number more would be a lane more */
    CHECK_EQUAL(last.live_blocks, 1);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

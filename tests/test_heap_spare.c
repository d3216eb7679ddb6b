/* test_heap_spare.c - what stays of a heap that was destroyed, and of a thread that has ended. */
#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, COUNT = 2000, SPARES = 4 };

static xvm_heap *make(const xvm_heap_options *options)
{
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, options), XVM_OK);
    return heap;
}

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

/* Do heaps wait here at all? Not under tools that listen, nor where addresses are few. */
static bool heaps_wait(void)
{
    xvm_heap *heap;

    (void)xvm_heap_trim(NULL, 0);
    xvm_heap_destroy(make(NULL));
    calls = 0;
    xvm_set_trace(count_call);
    heap = make(NULL);
    xvm_set_trace(NULL);
    xvm_heap_destroy(heap);
    return calls == 0;
}

/* Blocks of all sizes, some of them free, with contents. */
static void use(xvm_heap *heap)
{
    static void *blocks[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i % 400 == 0 ? 50 * KiB : i % 130;

        CHECK((blocks[i] = xvm_heap_alloc(heap, size)) != NULL);
        memset(blocks[i], 0xa5, size);
    }
    for (size_t i = 0; i < COUNT; i += 3)
        xvm_heap_free(heap, blocks[i]);
    CHECK(xvm_heap_alloc(heap, SIZE_MAX / 2) == NULL);
}

static void check_new(xvm_heap *heap)
{
    xvm_heap_stats s;
    unsigned char *block;

    xvm_heap_get_stats(heap, &s);
    CHECK(s.live_blocks == 0 && s.live_bytes == 0 && s.cached_bytes == 0);
    CHECK(s.allocs == 0 && s.frees == 0 && s.failures == 0);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    for (size_t size = 1; size < 600 * KiB; size = size * 3 + 1) {
        CHECK((block = xvm_heap_alloc_zeroed(heap, size, 1)) != NULL);
        for (size_t i = 0; i < size; i++)
            CHECK(block[i] == 0);
    }
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
}

TEST(a_heap_that_waited_is_as_good_as_new)
{
    if (!heaps_wait()) {
        CHECK(memory_is_emulated() || sizeof(void *) == 4);
        SKIP("heaps do not wait where tools listen or addresses are few");
    }
    for (int round = 0; round < 5; round++) {
        xvm_heap *heap = make(NULL);

        check_new(heap);
        use(heap);
        xvm_heap_destroy(heap);
    }
    CHECK(xvm_heap_trim(NULL, 0) > 0);
}

static int misuses;

static void see(xvm_misuse misuse, const xvm_heap *heap, const void *address, const char *message,
                void *context)
{
    (void)misuse;
    (void)heap;
    (void)address;
    (void)message;
    (void)context;
    misuses++;
}

TEST(blocks_of_the_life_before_are_none_of_the_next)
{
    void *small, *large;
    xvm_heap *heap;

    if (!heaps_wait()) {
        CHECK(memory_is_emulated() || sizeof(void *) == 4);
        SKIP("heaps do not wait where tools listen or addresses are few");
    }
    heap = make(NULL);
    small = xvm_heap_alloc(heap, 100);
    large = xvm_heap_alloc(heap, 100 * KiB);
    xvm_heap_destroy(heap);
    heap = make(NULL);
    xvm_set_misuse_hook(see, NULL);
    xvm_heap_free(heap, small);
    xvm_heap_free(heap, large);
    xvm_set_misuse_hook(NULL, NULL);
    CHECK_EQUAL(misuses, 2);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

TEST(few_and_small_heaps_wait)
{
    xvm_heap *heaps[SPARES + 2];
    size_t all;

    if (!heaps_wait()) {
        CHECK(memory_is_emulated() || sizeof(void *) == 4);
        SKIP("heaps do not wait where tools listen or addresses are few");
    }
    (void)xvm_heap_trim(NULL, 0);
    for (size_t i = 0; i < SPARES + 2; i++)
        use(heaps[i] = make(NULL));
    for (size_t i = 0; i < SPARES + 2; i++)
        xvm_heap_destroy(heaps[i]);
    all = xvm_heap_trim(NULL, 0);
    CHECK(all > 0 && all <= SPARES * (size_t)(3 * MiB));
    CHECK_EQUAL(xvm_heap_trim(NULL, 0), 0);
    CHECK(xvm_heap_alloc(heaps[0] = make(NULL), 4 * MiB) != NULL);
    xvm_heap_destroy(heaps[0]);
    CHECK_EQUAL(xvm_heap_trim(NULL, 0), 0);
}

/* A spare heap is not given to whom it does not suit. */
TEST(only_plain_heaps_come_from_spare_ones)
{
    xvm_budget b;
    xvm_heap_options others[] = {{.max_size = 64 * MiB},
                                 {.name = "mine"},
                                 {.budget = &b},
                                 {.initial_size = MiB},
                                 {.flags = XVM_HEAP_GUARDED, .max_size = 64 * MiB},
                                 {.flags = XVM_HEAP_SINGLE_THREAD}};

    if (!heaps_wait()) {
        CHECK(memory_is_emulated() || sizeof(void *) == 4);
        SKIP("heaps do not wait where tools listen or addresses are few");
    }
    CHECK(xvm_budget_init(&b, "b", NULL, 64 * MiB) == XVM_OK);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        calls = 0;
        xvm_set_trace(count_call);
        xvm_heap_destroy(make(&others[i]));
        xvm_set_trace(NULL);
        CHECK(calls != 0);
    }
    CHECK_EQUAL(b.used, 0);
}

static void churn(void *context, int index)
{
    uint64_t seed = (uint64_t)index + 3;

    (void)context;
    for (int i = 0; i < 300; i++) {
        xvm_heap *heap = make(NULL);

        for (int k = 0; k < 20; k++)
            CHECK(xvm_heap_alloc(heap, (size_t)(test_random(&seed) >> 30) % 40000) != NULL);
        if (i % 50 == 0)
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        if (i % 70 == 0)
            (void)xvm_heap_trim(NULL, 0);
        xvm_heap_destroy(heap);
    }
}

TEST(threads_make_and_destroy_heaps)
{
    run_threads(4, churn, NULL);
    (void)xvm_heap_trim(NULL, 0);
}

/* --- lanes of threads that have ended --------------------------------------------------------- */

static void leave_behind(void *context, int index)
{
    static void *blocks[4][COUNT];
    xvm_heap *heap = context;

    for (size_t i = 0; i < COUNT; i++)
        CHECK((blocks[index][i] = xvm_heap_alloc(heap, 16 + i % 1000)) != NULL);
    for (size_t i = 0; i < COUNT; i++)
        xvm_heap_free(heap, blocks[index][i]);
}

TEST(a_trim_takes_back_what_ended_threads_left)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB});
    xvm_heap_stats s;

    run_threads(4, leave_behind, heap);
    xvm_heap_get_stats(heap, &s);
    CHECK(s.cached_bytes > 0);
    (void)xvm_heap_trim(heap, 0);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_get_stats(heap, &s);
    CHECK_EQUAL(s.cached_bytes, 0);
    CHECK_EQUAL(s.largest_free, s.free_bytes); /* no slab is left */
    xvm_heap_destroy(heap);
}

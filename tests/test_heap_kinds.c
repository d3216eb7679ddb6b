/* test_heap_kinds.c - what a heap promises beside blocks: at its cap, by its flags and by its options. */
#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20 };

static xvm_heap *make(const xvm_heap_options *options)
{
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, options), XVM_OK);
    return heap;
}

static xvm_heap_stats stats_of(const xvm_heap *heap)
{
    xvm_heap_stats s;

    xvm_heap_get_stats(heap, &s);
    return s;
}

/* --- at the cap ------------------------------------------------------------------------------- */

enum { MOST = 600000 };

static void *blocks[MOST];

/* Blocks of a size until there is no more; how many. */
static size_t fill_up(xvm_heap *heap, size_t size)
{
    size_t count = 0;

    while (count < MOST && (blocks[count] = xvm_heap_alloc(heap, size)) != NULL)
        count++;
    return count;
}

static void free_in_disorder(xvm_heap *heap, size_t count, uint64_t *seed)
{
    for (; count != 0; count--) {
        size_t i = (size_t)(test_random(seed) >> 20) % count;

        xvm_heap_free(heap, blocks[i]);
        blocks[i] = blocks[count - 1];
    }
}

/* Whatever was in a heap before, all of it is there for every size: no class and no cache keeps any. */
static void fill_with_each(const xvm_heap_options *options)
{
    static const size_t sizes[] = {16, 48, 32, 80, 1000, 32 * KiB, 16, 5000, 256, 100000, 16};
    xvm_heap *heap = make(options);
    size_t least = options->max_size / 4 * (memory_is_emulated() ? 1 : 3); /* a tool wants gaps */
    uint64_t seed = 3;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count = fill_up(heap, sizes[i]);

        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(count * sizes[i] >= least);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        free_in_disorder(heap, count, &seed);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        CHECK_EQUAL(stats_of(heap).live_blocks, 0);
    }
    CHECK(xvm_heap_alloc(heap, options->max_size / 4 * 3) != NULL);
    xvm_heap_destroy(heap);
}

TEST(every_size_finds_what_others_left)
{
    fill_with_each(&(xvm_heap_options){.max_size = 8 * MiB});
    fill_with_each(&(xvm_heap_options){.max_size = 8 * MiB, .flags = XVM_HEAP_SINGLE_THREAD});
}

TEST(a_refused_shrink_leaves_the_block)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 8 * MiB});
    unsigned char *block = xvm_heap_alloc(heap, 1024);

    CHECK(block != NULL);
    memset(block, 7, 1024);
    (void)fill_up(heap, 100000); /* then there is no slab for another class */
    (void)fill_up(heap, 40000);
    CHECK(xvm_heap_realloc(heap, block, 100) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    CHECK(xvm_heap_usable_size(heap, block) >= 1024);
    for (size_t i = 0; i < 1024; i++)
        CHECK_EQUAL(block[i], 7);
    xvm_heap_free(heap, block);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

/* --- real time -------------------------------------------------------------------------------- */

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

/* Up to the last block, where every table is full. */
TEST(a_real_time_heap_is_filled_without_a_system_call)
{
    static const size_t sizes[] = {16, 32, 100000, 48, 16};
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 8 * MiB, .flags = XVM_HEAP_REALTIME});
    uint64_t seed = 5;

    calls = 0;
    xvm_set_trace(count_call);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        free_in_disorder(heap, fill_up(heap, sizes[i]), &seed);
    xvm_set_trace(NULL);
    CHECK_EQUAL(calls, 0);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

/* --- alignments ------------------------------------------------------------------------------- */

/* Small blocks between them, so that what is free does not begin where it is wanted. */
static void align_to(xvm_heap *heap, size_t alignment)
{
    static const size_t sizes[] = {1, 100, 40000, 300000};
    unsigned char *aligned[4], *between[4];

    for (size_t i = 0; i < 4; i++) {
        between[i] = xvm_heap_alloc(heap, 50000);
        aligned[i] = xvm_heap_alloc_aligned(heap, sizes[i], alignment);
        CHECK(between[i] != NULL && aligned[i] != NULL);
        CHECK((uintptr_t)aligned[i] % alignment == 0);
        memset(aligned[i], 1, sizes[i]);
    }
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    for (size_t i = 0; i < 4; i++) {
        xvm_heap_free(heap, aligned[i]);
        xvm_heap_free(heap, between[i]);
    }
    CHECK_EQUAL(stats_of(heap).live_blocks, 0);
}

static void align(const xvm_heap_options *options)
{
    xvm_heap *heap = make(options);

    for (size_t alignment = 1; alignment <= options->max_size / 16; alignment *= 2)
        align_to(heap, alignment);
    CHECK(xvm_heap_alloc_aligned(heap, 1, options->max_size * 2) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(xvm_heap_alloc_aligned(heap, options->max_size, MiB) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    xvm_heap_destroy(heap);
}

TEST(alignments_are_of_the_address)
{
    size_t size = memory_is_fake() ? (size_t)128 * MiB : (size_t)1024 * MiB;

    align(&(xvm_heap_options){.max_size = size});
    align(&(xvm_heap_options){.max_size = size, .flags = XVM_HEAP_SINGLE_THREAD});
    align(&(xvm_heap_options){.max_size = size, .flags = XVM_HEAP_GUARDED});
}

/* --- errno, GetLastError ---------------------------------------------------------------------- */

enum { CODE = 12345 };

static void expect_untouched(const char *what)
{
    if (get_last_error() != CODE)
        fprintf(stderr, "after %s\n", what);
    CHECK_EQUAL(get_last_error(), CODE);
}

/* Small ones, for which lanes and slabs are made, and large ones; each may be had or refused. */
static size_t take_some(xvm_heap *heap, size_t count)
{
    size_t had = 0;

    for (size_t i = 0; i < count; i++) {
        set_last_error(CODE);
        blocks[i] = xvm_heap_alloc(heap, i % 3 == 0 ? 200000 : i * 50);
        if (blocks[i] != NULL)
            expect_untouched("alloc");
        had += blocks[i] != NULL;
    }
    return had;
}

static void resize_some(xvm_heap *heap, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *moved;

        set_last_error(CODE);
        moved = xvm_heap_realloc(heap, blocks[i], i % 3 == 0 ? 500000 : i * 60 + 1);
        if (moved == NULL)
            continue;
        expect_untouched("realloc");
        blocks[i] = moved;
    }
}

/* What cannot fail, while the system refuses whatever it is asked. */
static void give_all(xvm_heap *heap, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        set_last_error(CODE);
        xvm_heap_free(heap, blocks[i]);
        expect_untouched("free");
    }
    set_last_error(CODE);
    (void)xvm_heap_trim(heap, 0);
    expect_untouched("trim");
    (void)xvm_heap_clear(heap);
    expect_untouched("clear");
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    expect_untouched("check");
}

static void refuse_inside(const char *script, unsigned flags, size_t *refused)
{
    xvm_region r;
    xvm_heap *heap;
    size_t count = 90;

    CHECK_EQUAL(xvm_reserve(&r, 64 * MiB, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &r, &(xvm_heap_options){.flags = flags}), XVM_OK);
    CHECK_EQUAL(take_some(heap, count), count);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    resize_some(heap, count);
    give_all(heap, count);
    (void)take_some(heap, count);
    set_last_error(CODE);
    xvm_heap_destroy(heap);
    expect_untouched("destroy");
    *refused += xvm_injected();
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(what_fails_inside_of_a_call_that_does_not_is_not_told)
{
    static const char *const scripts[] = {"",  "decommit", "discard",  "guard",
                                          "*", "commit@1", "commit%2", "decommit discard"};
    static const unsigned kinds[] = {0, XVM_HEAP_SINGLE_THREAD, XVM_HEAP_GUARDED};
    size_t refused = 0;

    for (size_t s = 0; s < sizeof scripts / sizeof *scripts; s++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            refuse_inside(scripts[s], kinds[k], &refused);
    CHECK(refused > 50);
}

TEST(a_refused_release_is_not_told)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 8 * MiB});

    CHECK_EQUAL(xvm_inject("release"), XVM_OK);
    set_last_error(CODE);
    xvm_heap_destroy(heap);
    expect_untouched("destroy");
    CHECK(xvm_injected() > 0);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
}

/* In place at the second try, or by a move to where memory is. */
TEST(a_realloc_that_was_refused_a_growth_is_not_told)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 16 * MiB});
    void *first = xvm_heap_alloc(heap, MiB), *last = xvm_heap_alloc(heap, 200000);

    CHECK_EQUAL(xvm_inject("commit@1"), XVM_OK);
    set_last_error(CODE);
    CHECK(xvm_heap_realloc(heap, last, 600000) == last);
    expect_untouched("realloc in place");
    CHECK_EQUAL(xvm_injected(), 1);
    xvm_heap_free(heap, first);
    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    CHECK(xvm_heap_realloc(heap, last, 900000) == first);
    expect_untouched("realloc by a move");
    CHECK(xvm_injected() != 0);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

enum { WITHOUT_LANE = 20 };

static void free_one(void *heap, int index)
{
    static int done;

    set_last_error(CODE);
    xvm_heap_free(heap, blocks[index]);
    expect_untouched("free");
    __atomic_fetch_add(&done, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) % WITHOUT_LANE != 0)
        ; /* a thread that has ended gives its lane to the next one */
}

/* A thread that has never been here, and cannot have a lane. */
TEST(a_free_without_a_lane_is_not_told)
{
    xvm_heap *heap;

    if (memory_is_fake())
        SKIP("its threads run one after the other");
    heap = make(&(xvm_heap_options){.max_size = 16 * MiB});
    for (int i = 0; i < WITHOUT_LANE; i++)
        CHECK((blocks[i] = xvm_heap_alloc(heap, 100)) != NULL);
    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    run_threads(WITHOUT_LANE, free_one, heap);
    CHECK(xvm_injected() > 0 || memory_is_emulated()); /* told heaps have no lanes */
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK_EQUAL(stats_of(heap).live_blocks, 0);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

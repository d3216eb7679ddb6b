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

    if (xvm_heap_realloc(heap, last, 200001) != last)
        SKIP("a tool listens: every block moves");
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

/* --- flags ------------------------------------------------------------------------------------ */

/* A heap in a region of ours shows what it does to it. */
typedef struct shown {
    xvm_region region;
    xvm_heap *heap;
} shown;

static xvm_status show(shown *s, size_t size, xvm_huge huge, const xvm_heap_options *options)
{
    xvm_status status;

    CHECK_EQUAL(xvm_reserve(&s->region, size, &(xvm_reserve_options){.huge = huge}), XVM_OK);
    status = xvm_heap_create_in(&s->heap, &s->region, options);
    if (status != XVM_OK)
        CHECK_EQUAL(xvm_release(&s->region), XVM_OK);
    return status;
}

static void end(shown *s)
{
    CHECK_EQUAL(xvm_heap_check(s->heap), XVM_OK);
    xvm_heap_destroy(s->heap);
    CHECK_EQUAL(xvm_release(&s->region), XVM_OK);
}

static xvm_usage usage_of(const shown *s)
{
    xvm_usage u;

    xvm_region_usage(&s->region, &u);
    return u;
}

/* Large and small blocks, in turn: every table grows. */
static void take_mixed(xvm_heap *heap, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = i % 4 == 0 ? 100000 : i % 1000 * 16;

        CHECK((blocks[i] = xvm_heap_alloc(heap, size)) != NULL);
        memset(blocks[i], 1, size);
    }
}

TEST(all_that_a_locked_heap_commits_is_locked)
{
    size_t before;
    shown s;

    if (show(&s, 64 * MiB, XVM_HUGE_DEFAULT,
             &(xvm_heap_options){.flags = XVM_HEAP_LOCKED, .initial_size = MiB}) != XVM_OK)
        SKIP("locking is not permitted here");
    before = usage_of(&s).locked;
    CHECK_EQUAL(before, usage_of(&s).committed);
    CHECK(before >= MiB);
    for (size_t count = 0; count < 800; count += 100) {
        xvm_usage u;

        take_mixed(s.heap, 100);
        u = usage_of(&s);
        CHECK_EQUAL(u.locked, u.committed);
    }
    CHECK(usage_of(&s).locked >= before + 16 * MiB);
    for (size_t i = 0; i < 100; i += 2)
        xvm_heap_free(s.heap, blocks[i]);
    (void)xvm_heap_trim(s.heap, 0);
    CHECK_EQUAL(usage_of(&s).locked, usage_of(&s).committed);
    end(&s);
}

static uint64_t faults(void)
{
    xvm_limits now;

    CHECK_EQUAL(xvm_get_limits(&now), XVM_OK);
    return now.minor_faults;
}

/* Faults while every byte of so many blocks is written. */
static uint64_t faults_of_touching(xvm_heap *heap, size_t count, size_t size)
{
    uint64_t before;

    for (size_t i = 0; i < count; i++)
        CHECK((blocks[i] = xvm_heap_alloc(heap, size)) != NULL);
    before = faults();
    for (size_t i = 0; i < count; i++)
        memset(blocks[i], 3, size);
    return faults() - before;
}

TEST(what_a_prefaulted_heap_commits_does_not_fault)
{
    enum { FEW = 30 }; /* of the look itself; the blocks have a thousand pages and more */
    xvm_heap *heap, *other;

    if (memory_is_emulated() || memory_is_fake() || faults() == UINT64_MAX)
        SKIP("faults are not told here, or others make them");
    heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = XVM_HEAP_PREFAULT});
    other = make(&(xvm_heap_options){.max_size = 64 * MiB});
    CHECK(faults_of_touching(other, 40, 200000) > FEW * 10);
    CHECK(faults_of_touching(heap, 5000, 1000) < FEW);
    CHECK(faults_of_touching(heap, 40, 200000) < FEW);
    for (size_t i = 0; i < 39; i++) /* a run in the middle, that a trim would give back */
        xvm_heap_free(heap, blocks[i]);
    (void)xvm_heap_trim(heap, 0);
    CHECK(faults_of_touching(heap, 39, 200000) < FEW);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(other);
}

static size_t whole_unit, broken_units;

static void look_at_units(const xvm_trace_call *call)
{
    bool counts = strcmp(call->operation, "commit") == 0 ||
                  strcmp(call->operation, "decommit") == 0 ||
                  strcmp(call->operation, "discard") == 0;

    broken_units += counts && call->size >= whole_unit && call->size % whole_unit != 0;
}

/* What a heap of whole units does with free runs between live blocks. */
static void give_units_back(shown *s)
{
    size_t before, given;

    for (size_t i = 0; i < 60; i++) {
        CHECK((blocks[i] = xvm_heap_alloc(s->heap, 700000)) != NULL);
        memset(blocks[i], (int)i, 700000);
    }
    CHECK_EQUAL(usage_of(s).committed % whole_unit, 0);
    before = usage_of(s).committed;
    for (size_t i = 0; i < 60; i++)
        if (i % 10 != 9)
            xvm_heap_free(s->heap, blocks[i]);
    given = xvm_heap_trim(s->heap, 0);
    CHECK(given >= 6 * whole_unit && given % whole_unit == 0);
    CHECK_EQUAL(xvm_heap_trim(s->heap, 0), 0);
    CHECK(usage_of(s).committed <= before);
    CHECK_EQUAL(usage_of(s).committed % whole_unit, 0);
    for (size_t i = 9; i < 60; i += 10)
        for (size_t k = 0; k < 700000; k += 997)
            CHECK_EQUAL(((unsigned char *)blocks[i])[k], i);
}

/* What was given back by whole units still has edges that were not. */
static void take_zeros(xvm_heap *heap)
{
    for (size_t i = 0; i < 50; i++) {
        unsigned char *block = xvm_heap_alloc_zeroed(heap, 1, 700000);

        CHECK(block != NULL);
        for (size_t k = 0; k < 700000; k++)
            CHECK(block[k] == 0);
    }
}

TEST(a_huge_heap_counts_in_whole_huge_pages)
{
    shown s;

    whole_unit = xvm_system()->thp_size;
    if (whole_unit == 0 || memory_is_fake() || memory_is_emulated())
        SKIP("no transparent huge pages here, or nobody tells of them");
    CHECK_EQUAL(show(&s, 256 * (size_t)MiB, XVM_HUGE_TRANSPARENT,
                     &(xvm_heap_options){.flags = XVM_HEAP_HUGE, .trim_threshold = SIZE_MAX}),
                XVM_OK);
    broken_units = 0;
    xvm_set_trace(look_at_units);
    give_units_back(&s);
    CHECK(usage_of(&s).huge > 0);
    take_zeros(s.heap);
    xvm_set_trace(NULL);
    CHECK_EQUAL(broken_units, 0);
    end(&s);
}

/* Bytes of a heap in memory that are not zero, from a block that is free to the end of its size. */
static size_t remains(const unsigned char *block, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += block[i] != 0;
    return count;
}

TEST(nothing_remains_in_a_heap_that_zeroes)
{
    xvm_heap *heap = make(&(xvm_heap_options){
        .max_size = 16 * MiB, .trim_threshold = SIZE_MAX, .flags = XVM_HEAP_ZERO_ON_FREE});
    unsigned char *small = xvm_heap_alloc(heap, 1000), *large = xvm_heap_alloc(heap, MiB);

    if (memory_is_emulated())
        SKIP("a tool lets nobody read what is free");
    memset(small, 5, 1000);
    memset(large, 5, MiB);
    CHECK(xvm_heap_realloc(heap, large, 128 * KiB) == large);
    CHECK_EQUAL(remains(large, MiB), 128 * KiB);
    xvm_heap_free(heap, large);
    CHECK_EQUAL(remains(large, MiB), 0);
    large = xvm_heap_alloc(heap, MiB);
    memset(large, 5, MiB);
    xvm_heap_clear(heap);
    CHECK_EQUAL(remains(small, 1000), 0);
    CHECK_EQUAL(remains(large, MiB), 0);
    xvm_heap_destroy(heap);
}

/* --- sizes and thresholds --------------------------------------------------------------------- */

TEST(a_heap_grows_by_its_step)
{
    static const size_t steps[] = {256 * KiB, MiB, 4 * MiB};

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .grow_step = steps[i]});
        size_t before = stats_of(heap).committed, grown;

        CHECK(xvm_heap_alloc(heap, 100) != NULL);
        grown = stats_of(heap).committed - before;
        CHECK(grown >= steps[i] && grown < steps[i] + MiB); /* and tables, and a lane */
        before += grown;
        for (size_t size = 0; size + 200000 < steps[i]; size += 100000)
            CHECK(xvm_heap_alloc(heap, 99000) != NULL);
        CHECK(stats_of(heap).committed - before < MiB);
        xvm_heap_destroy(heap);
    }
}

TEST(the_initial_size_is_there)
{
    xvm_heap *small = make(&(xvm_heap_options){.max_size = 64 * MiB});
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .initial_size = 8 * MiB});
    size_t committed = stats_of(heap).committed;

    CHECK(committed >= stats_of(small).committed + 8 * MiB);
    CHECK(committed < stats_of(small).committed + 9 * MiB);
    calls = 0;
    xvm_set_trace(count_call);
    for (int i = 0; i < 7; i++)
        CHECK(xvm_heap_alloc(heap, MiB) != NULL);
    xvm_set_trace(NULL);
    CHECK_EQUAL(calls, 0);
    CHECK_EQUAL(stats_of(heap).committed, committed);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(small);
}

enum { PIECES = 128, PIECE = 512 * KiB };

static void take_pieces(xvm_heap *heap)
{
    for (size_t i = 0; i < PIECES; i++) {
        CHECK((blocks[i] = xvm_heap_alloc(heap, PIECE)) != NULL);
        memset(blocks[i], 1, PIECE);
    }
}

static void free_pieces(xvm_heap *heap, size_t from)
{
    for (size_t i = from; i < PIECES; i++)
        xvm_heap_free(heap, blocks[i]);
}

static bool is_near(size_t a, size_t b)
{
    return a < b + MiB && b < a + MiB;
}

TEST(a_trim_keeps_what_it_is_told)
{
    enum { ALL = PIECES * PIECE };
    size_t before, kept, given;
    xvm_heap *heap;

    if (memory_is_emulated() || !residency_is_known())
        SKIP("what is resident is not told here, or a sanitizer's shadow is among it");
    heap = make(&(xvm_heap_options){.max_size = 128 * MiB, .trim_threshold = SIZE_MAX});
    before = resident_memory();
    take_pieces(heap);
    free_pieces(heap, 0); /* all of it is behind the frontier */
    CHECK(resident_memory() >= before + ALL);
    given = xvm_heap_trim(heap, 16 * MiB);
    kept = resident_memory() - before;
    CHECK(is_near(given, ALL - 16 * MiB) && is_near(kept, 16 * MiB));
    CHECK(is_near(xvm_heap_trim(heap, 0), 16 * MiB));
    CHECK(is_near(resident_memory(), before));
    CHECK_EQUAL(xvm_heap_trim(heap, 0), 0);
    take_pieces(heap);
    xvm_heap_free(heap, blocks[0]); /* between two blocks: it goes as one */
    for (size_t i = 2; i < PIECES - 1; i++)
        xvm_heap_free(heap, blocks[i]);
    given = xvm_heap_trim(heap, PIECE);
    CHECK(is_near(given, ALL - 3 * PIECE));
    CHECK(is_near(resident_memory(), before + 3 * PIECE));
    CHECK(is_near(xvm_heap_trim(heap, 0), PIECE));
    CHECK_EQUAL(xvm_heap_trim(heap, 0), 0);
    xvm_heap_destroy(heap);
}

TEST(a_trim_gives_the_charge_back)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .initial_size = 16 * MiB});
    size_t committed = stats_of(heap).committed;

    (void)xvm_heap_trim(heap, 4 * MiB);
    CHECK(is_near(stats_of(heap).committed, committed - 12 * MiB));
    (void)xvm_heap_trim(heap, 0);
    CHECK(is_near(stats_of(heap).committed, committed - 16 * MiB));
    CHECK(xvm_heap_alloc(heap, 5 * MiB) != NULL);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

/* --- clearing --------------------------------------------------------------------------------- */

static xvm_misuse seen;
static int times;

static void see(xvm_misuse misuse, const xvm_heap *heap, const void *address, const char *message,
                void *context)
{
    (void)heap;
    (void)address;
    (void)message;
    (void)context;
    seen = misuse;
    times++;
}

static void expect_misuse(xvm_heap *heap, void *address)
{
    times = 0;
    xvm_heap_free(heap, address);
    CHECK_EQUAL(times, 1);
    CHECK(seen >= XVM_MISUSE_FOREIGN && seen <= XVM_MISUSE_FREED);
    CHECK(xvm_heap_realloc(heap, address, 10) == NULL);
    CHECK_EQUAL(times, 2);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
}

enum { OLD = 300 };

static void *old[OLD];

static void take_old(xvm_heap *heap, size_t round)
{
    for (size_t i = 0; i < OLD; i++)
        CHECK((old[i] = xvm_heap_alloc(heap, i % 5 == 0 ? 40000 + i * 100 : (i + round) * 7)) !=
              NULL);
    for (size_t i = 0; i < OLD; i += 3)
        xvm_heap_free(heap, old[i]); /* free runs, full magazines */
}

/* Blocks of one size at the same addresses: none of the old ones begins where one of these does, but for
 * those that are left out. */
static void refill(xvm_heap *heap, size_t size, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        CHECK((blocks[k] = xvm_heap_alloc(heap, size)) != NULL);
        memset(blocks[k], 9, size);
        for (size_t i = 0; i < OLD; i++)
            old[i] = old[i] == blocks[k] ? NULL : old[i];
    }
    for (size_t i = 0; i < OLD; i++)
        if (old[i] != NULL)
            expect_misuse(heap, old[i]);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < size; i++)
            CHECK(((unsigned char *)blocks[k])[i] == 9);
}

static void clear_and_misuse(const xvm_heap_options *options)
{
    static const size_t sizes[] = {48, 3000, 100000, 16, 20000};
    xvm_heap *heap = make(options);

    xvm_set_misuse_hook(see, NULL);
    for (size_t round = 0; round < sizeof sizes / sizeof *sizes; round++) {
        take_old(heap, round);
        xvm_heap_clear(heap);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        CHECK_EQUAL(stats_of(heap).live_blocks, 0);
        for (size_t i = 0; i < OLD; i++)
            expect_misuse(heap, old[i]);
        refill(heap, sizes[round], 60);
        CHECK_EQUAL(stats_of(heap).live_blocks, 60);
        xvm_heap_clear(heap);
    }
    xvm_set_misuse_hook(NULL, NULL);
    xvm_heap_destroy(heap);
}

TEST(a_block_of_before_a_clear_is_none)
{
    size_t keep[] = {0, SIZE_MAX, 2 * MiB};

    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++) {
        clear_and_misuse(&(xvm_heap_options){.max_size = 64 * MiB, .trim_threshold = keep[i]});
        clear_and_misuse(&(xvm_heap_options){
            .max_size = 64 * MiB, .trim_threshold = keep[i], .flags = XVM_HEAP_SINGLE_THREAD});
    }
    clear_and_misuse(&(xvm_heap_options){.max_size = 64 * MiB, .flags = XVM_HEAP_GUARDED});
}

TEST(a_cleared_guarded_heap_cannot_be_read)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = XVM_HEAP_GUARDED});
    unsigned char *block = xvm_heap_alloc(heap, 1000);

    memset(block, 1, 1000);
    xvm_heap_clear(heap);
    CHECK(faults_on_read(block));
    CHECK(xvm_heap_alloc(heap, 1000) != NULL);
    xvm_heap_destroy(heap);
}

/* A cleared heap has as much as a new one, over and over: no table is left with what was. */
TEST(a_heap_is_cleared_and_filled_again)
{
    static const size_t sizes[] = {16, 1000, 48, 32 * KiB, 16, 100000, 256};
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 8 * MiB, .trim_threshold = SIZE_MAX});
    uint64_t seed = 4;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count = fill_up(heap, sizes[i]);

        CHECK(count * sizes[i] >= 8 * MiB / 4 * (size_t)(memory_is_emulated() ? 1 : 3));
        if (i % 2 == 0)
            free_in_disorder(heap, count / 2, &seed);
        xvm_heap_clear(heap);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        CHECK_EQUAL(stats_of(heap).live_blocks, 0);
    }
    xvm_heap_destroy(heap);
}

/* --- more threads than lanes, many heaps ------------------------------------------------------ */

enum { CROWD = 300, HEAPS = 64 };

static struct crowd {
    xvm_heap *heaps[HEAPS];
    size_t heap_count;
    int threads, arrived;
} crowd;

/* Everybody is there before anybody begins. */
static void use_with_others(void *context, int index)
{
    struct crowd *c = context;
    uint64_t seed = (uint64_t)index + 1;
    unsigned char *mine[50] = {0};

    __atomic_fetch_add(&c->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&c->arrived, __ATOMIC_ACQUIRE) < c->threads && !memory_is_fake())
        ;
    for (int i = 0; i < 3000; i++) {
        size_t k = (size_t)(test_random(&seed) >> 20) % 50;
        xvm_heap *heap = c->heaps[k % c->heap_count];

        if (mine[k] != NULL)
            CHECK_EQUAL(mine[k][0], index & 127);
        xvm_heap_free(heap, mine[k]);
        mine[k] = xvm_heap_alloc(heap, (size_t)(test_random(&seed) >> 20) % 3000 + 1);
        CHECK(mine[k] != NULL);
        mine[k][0] = (unsigned char)(index & 127);
    }
    for (size_t k = 0; k < 50; k++)
        xvm_heap_free(c->heaps[k % c->heap_count], mine[k]);
}

static void run_crowd(int threads, size_t heaps, size_t max_size)
{
    crowd = (struct crowd){.threads = threads, .heap_count = heaps};
    for (size_t i = 0; i < heaps; i++)
        crowd.heaps[i] = make(&(xvm_heap_options){.max_size = max_size});
    run_threads(threads, use_with_others, &crowd);
    for (size_t i = 0; i < heaps; i++) {
        CHECK_EQUAL(xvm_heap_check(crowd.heaps[i]), XVM_OK);
        CHECK_EQUAL(stats_of(crowd.heaps[i]).live_blocks, 0);
        xvm_heap_destroy(crowd.heaps[i]);
    }
}

TEST(more_threads_than_lanes)
{
    if (memory_is_emulated())
        SKIP("so many threads take too long here");
    run_crowd(CROWD, 1, memory_is_fake() ? (size_t)128 * MiB : (size_t)512 * MiB);
}

TEST(many_heaps_at_once)
{
    run_crowd(8, memory_is_fake() ? 8 : HEAPS, 16 * MiB);
}

/* The first thread asks for figures while the others take and free. */
static void ask_or_use(void *context, int index)
{
    xvm_heap *heap = context;
    void *mine[20] = {0};

    for (int i = 0; i < 3000; i++) {
        size_t k = (size_t)i % 20;

        if (index == 0) {
            CHECK(stats_of(heap).reserved != 0);
            continue;
        }
        xvm_heap_free(heap, mine[k]);
        mine[k] = xvm_heap_alloc(heap, 33000 + (size_t)(i * 7919 % 200000));
        CHECK(mine[k] != NULL);
    }
    for (size_t k = 0; k < 20; k++)
        xvm_heap_free(heap, mine[k]);
}

TEST(figures_may_be_asked_for_meanwhile)
{
    static const unsigned kinds[] = {0, XVM_HEAP_GUARDED};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = kinds[i]});

        run_threads(4, ask_or_use, heap);
        CHECK_EQUAL(stats_of(heap).live_blocks, 0);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        xvm_heap_destroy(heap);
    }
}

TEST(a_peak_is_remembered)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB});
    void *block = xvm_heap_alloc(heap, 8 * MiB);
    xvm_heap_stats full, trimmed;

    CHECK(block != NULL);
    xvm_heap_get_stats(heap, &full);
    xvm_heap_free(heap, block);
    CHECK(xvm_heap_trim(heap, 0) != 0 || memory_is_emulated());
    xvm_heap_get_stats(heap, &trimmed);
    CHECK(trimmed.committed < full.committed);
    CHECK(trimmed.committed_peak >=
          full.committed - MiB / 4); /* its own pages, as it counts them */
    CHECK(trimmed.committed_peak <= full.committed + MiB / 4);
    xvm_heap_destroy(heap);
}

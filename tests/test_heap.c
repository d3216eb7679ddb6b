/* test_heap.c - a heap against a plain model: every block has its own pattern, every rule is checked. */
#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, SLOTS = 4000, EMULATED = 40 /* times slower, at worst */ };

static xvm_heap *make(const xvm_heap_options *options)
{
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, options), XVM_OK);
    return heap;
}

/* The fake system has few addresses. */
static size_t room(size_t max_size)
{
    size_t most = (size_t)128 * MiB;

    return memory_is_fake() && (max_size == 0 || max_size > most) ? most : max_size;
}

/* --- the model -------------------------------------------------------------------------------- */

typedef struct slot {
    unsigned char *block;
    size_t size;
    unsigned char pattern;
} slot;

typedef struct model {
    xvm_heap *heap;
    slot slots[SLOTS];
    size_t count, live;
    uint64_t seed;
    size_t largest;
} model;

static size_t pick(model *m, size_t limit)
{
    return (size_t)(test_random(&m->seed) >> 20) % limit;
}

/* Small ones mostly, some of every size up to the largest. */
static size_t pick_size(model *m)
{
    size_t kind = pick(m, 100);

    if (kind < 2)
        return pick(m, 2);
    if (kind < 85)
        return pick(m, 1000);
    return kind < 97 ? pick(m, 40 * KiB) : pick(m, m->largest);
}

static void fill(slot *s, unsigned char pattern)
{
    s->pattern = pattern;
    memset(s->block, pattern, s->size);
}

static void check_slot(const slot *s)
{
    for (size_t i = 0; i < s->size; i += s->size / 7 + 1)
        CHECK(s->block[i] == s->pattern);
    CHECK(s->size == 0 || s->block[s->size - 1] == s->pattern);
}

static void take(model *m, slot *s)
{
    size_t size = pick_size(m), alignment = (size_t)1 << pick(m, 17), kind = pick(m, 4);
    unsigned char *block;

    if (kind == 0)
        block = xvm_heap_alloc_aligned(m->heap, size, alignment);
    else if (kind == 1)
        block = xvm_heap_alloc_zeroed(m->heap, 1, size);
    else
        block = xvm_heap_alloc(m->heap, size);
    if (block == NULL)
        return;
    CHECK((uintptr_t)block % 16 == 0 && (kind != 0 || (uintptr_t)block % alignment == 0));
    CHECK(xvm_heap_usable_size(m->heap, block) >= size);
    for (size_t i = 0; kind == 1 && i < size; i++)
        CHECK(block[i] == 0);
    *s = (slot){block, size, 0};
    fill(s, (unsigned char)pick(m, 256));
    m->live += 1;
}

static void resize(model *m, slot *s)
{
    size_t size = pick_size(m), kept = size < s->size ? size : s->size;
    unsigned char *block = xvm_heap_realloc(m->heap, s->block, size);

    if (block == NULL) {
        check_slot(s);
        return;
    }
    s->block = block;
    s->size = kept;
    check_slot(s);
    s->size = size;
    fill(s, (unsigned char)pick(m, 256));
}

static void drop(model *m, slot *s)
{
    check_slot(s);
    xvm_heap_free(m->heap, s->block);
    s->block = NULL;
    m->live--;
}

static int count_block(void *block, size_t usable, void *context)
{
    (void)block;
    (void)usable;
    ++*(size_t *)context;
    return 0;
}

static void check_all(model *m)
{
    xvm_heap_stats s;
    size_t walked = 0;

    CHECK_EQUAL(xvm_heap_check(m->heap), XVM_OK);
    xvm_heap_get_stats(m->heap, &s);
    CHECK_EQUAL(s.live_blocks, m->live);
    CHECK_EQUAL(xvm_heap_walk(m->heap, count_block, &walked), XVM_OK);
    CHECK_EQUAL(walked, m->live);
}

static void play(uint64_t seed, const xvm_heap_options *options, size_t steps, size_t largest)
{
    static model m;

    if (memory_is_emulated())
        steps /= EMULATED;
    m = (model){.heap = make(options), .count = SLOTS, .seed = seed, .largest = largest};
    printf("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < steps; i++) {
        slot *s = &m.slots[pick(&m, m.count)];

        if (s->block == NULL)
            take(&m, s);
        else if (pick(&m, 3) == 0)
            resize(&m, s);
        else
            drop(&m, s);
        if (i % (steps / 64) == 0)
            check_all(&m);
        if (i % (steps / 7) == steps / 14)
            (void)xvm_heap_trim(m.heap, pick(&m, 4 * MiB));
    }
    check_all(&m);
    for (size_t i = 0; i < m.count; i++)
        if (m.slots[i].block != NULL)
            drop(&m, &m.slots[i]);
    check_all(&m);
    xvm_heap_destroy(m.heap);
}

TEST(random_calls_agree_with_a_model)
{
    bool pretended = getenv("XVM_TEST_PAGES") != NULL; /* the same once more */

    play(1, &(xvm_heap_options){.max_size = room(0)}, pretended ? 1000000 : 10000000, MiB);
}

TEST(random_calls_at_the_cap)
{
    play(2, &(xvm_heap_options){.max_size = 16 * MiB}, 1000000, 2 * MiB);
}

TEST(random_calls_in_a_guarded_heap)
{
    play(3, &(xvm_heap_options){.max_size = room(1024 * (size_t)MiB), .flags = XVM_HEAP_GUARDED},
         100000, MiB);
}

TEST(random_calls_of_a_single_thread)
{
    play(4, &(xvm_heap_options){.max_size = room(256 * MiB), .flags = XVM_HEAP_SINGLE_THREAD},
         300000, MiB);
}

TEST(random_calls_with_zeroing)
{
    play(5, &(xvm_heap_options){.max_size = room(256 * MiB), .flags = XVM_HEAP_ZERO_ON_FREE},
         300000, MiB);
}

/* --- misuse ----------------------------------------------------------------------------------- */

static xvm_misuse seen;
static int times;

static void see(xvm_misuse misuse, const xvm_heap *heap, const void *address, const char *message,
                void *context)
{
    (void)heap;
    (void)address;
    CHECK(context == &times && strstr(message, "xvm: heap") == message);
    seen = misuse;
    times++;
}

/* Free, realloc and the question for the size: each says the same, and changes nothing. */
static void expect(xvm_heap *heap, void *address, xvm_misuse misuse)
{
    times = 0;
    xvm_heap_free(heap, address);
    CHECK(times == 1 && seen == misuse);
    CHECK(xvm_heap_realloc(heap, address, 100) == NULL);
    CHECK(times == 2 && seen == misuse);
    CHECK_EQUAL(xvm_heap_usable_size(heap, address), 0);
    CHECK(times == 3 && seen == misuse);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
}

static void misuse(const xvm_heap_options *options)
{
    static const size_t sizes[] = {0, 1, 16, 100, 1000, 5000, 30000, 40000, 300000, 2000000};
    xvm_heap *heap = make(options), *other = make(options);
    int local = 0;

    xvm_set_misuse_hook(see, &times);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = xvm_heap_alloc(heap, sizes[i]),
                      *kept = xvm_heap_alloc(heap, sizes[i]);
        unsigned char *foreign = xvm_heap_alloc(other, sizes[i]);

        CHECK(block != NULL && kept != NULL && foreign != NULL);
        expect(heap, foreign, XVM_MISUSE_FOREIGN);
        for (size_t at = 1; at < sizes[i]; at = at * 3 + 1)
            expect(heap, block + at, XVM_MISUSE_INTERIOR);
        xvm_heap_free(heap, block);
        CHECK_EQUAL(times, sizes[i] > 1 ? 3 : times);
        expect(heap, block, XVM_MISUSE_FREED);
        expect(heap, block, XVM_MISUSE_FREED);
        xvm_heap_free(heap, kept);
        xvm_heap_free(other, foreign);
    }
    expect(heap, &local, XVM_MISUSE_FOREIGN);
    expect(heap, heap, XVM_MISUSE_FOREIGN);
    expect(heap, (void *)(uintptr_t)expect, XVM_MISUSE_FOREIGN);
    expect(heap, (void *)(uintptr_t)16, XVM_MISUSE_FOREIGN);
    expect(heap, (void *)UINTPTR_MAX, XVM_MISUSE_FOREIGN);
    xvm_set_misuse_hook(NULL, NULL);
    xvm_heap_free(heap, NULL);
    CHECK_EQUAL(xvm_heap_usable_size(heap, NULL), 0);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(other);
}

TEST(misuse_is_named_and_harmless)
{
    misuse(&(xvm_heap_options){.max_size = 64 * MiB, .name = "misused"});
}

TEST(misuse_of_a_guarded_heap_is_named_and_harmless)
{
    misuse(&(xvm_heap_options){.max_size = 64 * MiB, .flags = XVM_HEAP_GUARDED});
}

TEST(an_overrun_in_a_guarded_heap_is_found)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = XVM_HEAP_GUARDED});

    xvm_set_misuse_hook(see, &times);
    for (size_t size = 0; size < 200; size++) {
        unsigned char *block = xvm_heap_alloc(heap, size);

        CHECK(block != NULL);
        for (size_t over = 0; over < 64; over++) {
            unsigned char *at = block + size + over;

            if ((uintptr_t)at % xvm_page_size() == 0) { /* the guard page begins */
                CHECK(faults_on_write(at));
                break;
            }
            *at ^= 1; /* within the last granule */
            times = 0;
            xvm_heap_free(heap, block);
            CHECK(times == 1 && seen == XVM_MISUSE_OVERRUN);
            *at ^= 1;
        }
        times = 0;
        xvm_heap_free(heap, block);
        CHECK_EQUAL(times, 0);
        CHECK(faults_on_read(block)); /* it is in quarantine */
    }
    xvm_set_misuse_hook(NULL, NULL);
    xvm_heap_destroy(heap);
}

/* --- limits ----------------------------------------------------------------------------------- */

TEST(sizes_that_cannot_be_had_are_refused)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 32 * MiB});
    void *block = xvm_heap_alloc(heap, 100);

    for (size_t k = 0; k < 100; k++) {
        CHECK(xvm_heap_alloc(heap, SIZE_MAX - k) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(xvm_heap_alloc_zeroed(heap, 1, SIZE_MAX - k) == NULL);
        CHECK(xvm_heap_alloc_zeroed(heap, SIZE_MAX / 2, 3 + k) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(xvm_heap_alloc_aligned(heap, SIZE_MAX - k, 64) == NULL);
        CHECK(xvm_heap_alloc_aligned(heap, k, SIZE_MAX / 2 + 1) == NULL);
        CHECK(xvm_heap_realloc(heap, block, SIZE_MAX - k) == NULL);
        CHECK(xvm_heap_alloc_aligned(heap, 1, 3 + 2 * k) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    }
    CHECK(xvm_heap_alloc_aligned(heap, 1, 0) == NULL);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_free(heap, block);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(NULL);
}

/* Beyond the units of 64 KiB the heap's own place decides. */
static void check_alignments(unsigned flags)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = flags});
    void *blocks[24], *other;

    for (unsigned round = 0, power; round < 2; round++) {
        for (power = 0; power < 23; power++) {
            size_t alignment = (size_t)1 << power;

            blocks[power] = xvm_heap_alloc_aligned(heap, 5 + 1000 * power, alignment);
            CHECK(blocks[power] != NULL && (uintptr_t)blocks[power] % alignment == 0);
        }
        while (power-- != 0) {
            other = xvm_heap_alloc_aligned(heap, 40000, (size_t)1 << power); /* from a gap */
            CHECK(other != NULL && (uintptr_t)other % ((size_t)1 << power) == 0);
            xvm_heap_free(heap, other);
            xvm_heap_free(heap, blocks[power]);
        }
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    }
    xvm_heap_destroy(heap);
}

TEST(any_alignment_is_kept)
{
    check_alignments(0);
    check_alignments(XVM_HEAP_GUARDED);
}

TEST(at_the_cap_a_heap_is_whole_and_frees_make_room)
{
    static void *blocks[200000];
    static const size_t sizes[] = {16, 24, 100, 700, 5000, 33000, 100000};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xvm_heap *heap = make(&(xvm_heap_options){.max_size = 8 * MiB});
        size_t count = 0, again = 0;
        xvm_heap_stats s;

        while (count < 200000 && (blocks[count] = xvm_heap_alloc(heap, sizes[i])) != NULL)
            count++;
        CHECK(count == 200000 || xvm_last_status() == XVM_E_ADDRESS_SPACE);
        CHECK(count * sizes[i] > 4 * MiB || count == 200000);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        for (size_t k = 0; k < count; k += 2)
            xvm_heap_free(heap, blocks[k]);
        for (size_t k = 0; k < count; k += 2)
            again += (blocks[k] = xvm_heap_alloc(heap, sizes[i])) != NULL;
        CHECK_EQUAL(again, (count + 1) / 2);
        xvm_heap_get_stats(heap, &s);
        CHECK_EQUAL(s.live_blocks, count);
        xvm_heap_clear(heap);
        xvm_heap_get_stats(heap, &s);
        CHECK_EQUAL(s.live_blocks, 0);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        CHECK(xvm_heap_alloc(heap, 3 * MiB) != NULL);
        xvm_heap_destroy(heap);
    }
}

TEST(a_budget_holds)
{
    xvm_budget b;
    xvm_heap *heap;
    size_t count = 0;

    CHECK(xvm_budget_init(&b, "heap", NULL, 8 * MiB) == XVM_OK);
    heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .budget = &b});
    while (xvm_heap_alloc(heap, 10000) != NULL)
        count++;
    CHECK_EQUAL(xvm_last_status(), XVM_E_BUDGET);
    CHECK(count > 400 && b.used <= b.limit);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    CHECK(xvm_budget_set_limit(&b, 16 * MiB) == XVM_OK);
    CHECK(xvm_heap_alloc(heap, 10000) != NULL);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(b.used, 0);
}

TEST(broken_options_are_refused)
{
    xvm_heap *heap = (xvm_heap *)(uintptr_t)&times;

    CHECK_EQUAL(xvm_heap_create(NULL, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_create(&heap, &(xvm_heap_options){.max_size = 1}), XVM_E_INVALID);
    CHECK(heap == NULL);
    CHECK_EQUAL(xvm_heap_create(&heap, &(xvm_heap_options){.flags = 1 << 20}), XVM_E_INVALID);
    CHECK_EQUAL(
        xvm_heap_create(&heap, &(xvm_heap_options){.flags = XVM_HEAP_GUARDED | XVM_HEAP_REALTIME}),
        XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_create_in(&heap, NULL, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_check(NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_walk(NULL, count_block, NULL), XVM_E_INVALID);
}

/* Every call of a heap's life refused in its turn: it works, or says no, and is whole. */
TEST(each_call_to_the_system_may_be_refused)
{
    xvm_heap_options kinds[] = {{.max_size = 16 * MiB},
                                {.max_size = 64 * MiB, .flags = XVM_HEAP_GUARDED},
                                {.max_size = 4 * MiB, .flags = XVM_HEAP_REALTIME},
                                {.max_size = 16 * MiB, .initial_size = MiB}};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int n = 1;; n++) {
            static void *blocks[300];
            size_t live = 0, refused;
            xvm_heap *heap;
            char script[32];

            snprintf(script, sizeof script, "*@%d", n);
            CHECK(xvm_inject(script) == XVM_OK);
            if (xvm_heap_create(&heap, &kinds[k]) == XVM_OK) {
                for (size_t i = 0; i < 300; i++)
                    blocks[i] = xvm_heap_alloc(heap, i % 50 == 0 ? 100000 : i * 7);
                for (size_t i = 0; i < 300; i += 2)
                    xvm_heap_free(heap, blocks[i]);
                (void)xvm_heap_trim(heap, 0);
                refused = xvm_injected();
                CHECK(xvm_inject(NULL) == XVM_OK);
                CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
                for (size_t i = 1; i < 300; i += 2)
                    live += blocks[i] != NULL;
                CHECK(live >= 100);
                CHECK(xvm_heap_alloc(heap, 5000) != NULL);
                xvm_heap_destroy(heap);
            } else {
                CHECK(heap == NULL);
                refused = 1;
                CHECK(xvm_inject(NULL) == XVM_OK);
            }
            if (refused == 0)
                break;
        }
}

/* --- kinds ------------------------------------------------------------------------------------ */

TEST(a_heap_in_a_region_of_the_callers)
{
    xvm_region r;
    xvm_heap *heap, *second;
    xvm_usage u;
    void *block;

    CHECK_EQUAL(xvm_reserve(&r, 32 * MiB, &(xvm_reserve_options){.name = "mine"}), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &r, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&second, &r, NULL), XVM_E_INVALID);
    block = xvm_heap_alloc(heap, 1000);
    CHECK(block != NULL && xvm_heap_owns(heap, block));
    CHECK((unsigned char *)block > (unsigned char *)r.base &&
          (unsigned char *)block < (unsigned char *)r.base + r.size);
    xvm_heap_destroy(heap);
    xvm_region_usage(&r, &u);
    CHECK_EQUAL(u.committed, 0);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &r, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
    CHECK(xvm_release(&r) == XVM_OK);
}

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

TEST(a_real_time_heap_makes_no_system_call)
{
    static void *blocks[2000];
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 16 * MiB, .flags = XVM_HEAP_REALTIME});
    uint64_t seed = 9;
    xvm_heap_stats s;

    calls = 0;
    xvm_set_trace(count_call);
    for (int i = 0; i < 200000; i++) {
        size_t k = (size_t)(test_random(&seed) >> 20) % 2000;

        xvm_heap_free(heap, blocks[k]);
        blocks[k] = xvm_heap_alloc(heap, (size_t)(test_random(&seed) >> 20) % 9000);
        CHECK(blocks[k] != NULL || i > 1000);
    }
    xvm_set_trace(NULL);
    CHECK_EQUAL(calls, 0);
    CHECK_EQUAL(xvm_heap_trim(heap, 0), 0);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_get_stats(heap, &s);
    printf("%llu faults\n", (unsigned long long)s.faults);
    xvm_heap_destroy(heap);
}

TEST(memory_comes_back_when_all_is_freed)
{
    enum { COUNT = 400 };
    static void *blocks[COUNT];
    size_t before, full;
    xvm_heap *heap;

    if (memory_is_emulated() || !residency_is_known())
        SKIP("what is resident is not told here, or a sanitizer's shadow is among it");
    heap = make(&(xvm_heap_options){.max_size = 512 * (size_t)MiB});
    before = resident_memory();
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = xvm_heap_alloc(heap, 500000);
        memset(blocks[i], 1, 500000);
    }
    full = resident_memory();
    CHECK(full >= before + 190 * MiB);
    for (size_t i = 0; i < COUNT; i++)
        xvm_heap_free(heap, blocks[(i * 7) % COUNT]);
    sleep_for(1200); /* the program goes on after the delay */
    xvm_heap_free(heap, xvm_heap_alloc(heap, 500000));
    CHECK(resident_memory() <= before + (full - before) / 20);
    xvm_heap_destroy(heap);
}

TEST(a_report_is_text_or_json)
{
    xvm_heap *heap = make(&(xvm_heap_options){.max_size = 32 * MiB, .name = "a \"name\""});
    static char text[20000], small[40];
    size_t length;

    CHECK(xvm_heap_alloc(heap, 100) != NULL && xvm_heap_alloc(heap, 100000) != NULL);
    length = xvm_heap_report(heap, XVM_FORMAT_TEXT, text, sizeof text);
    CHECK(length == strlen(text) && strstr(text, "live_blocks 2") != NULL);
    length = xvm_heap_report(heap, XVM_FORMAT_JSON, text, sizeof text);
    CHECK(length == strlen(text) && strstr(text, "\"live_blocks\":2") != NULL);
    CHECK(text[0] == '{' && text[length - 1] == '}');
    CHECK_EQUAL(xvm_heap_report(heap, XVM_FORMAT_JSON, small, sizeof small), length);
    CHECK(strlen(small) == sizeof small - 1 && memcmp(small, text, sizeof small - 1) == 0);
    CHECK_EQUAL(xvm_heap_report(heap, XVM_FORMAT_JSON, NULL, 0), length);
    CHECK_EQUAL(xvm_heap_report(NULL, XVM_FORMAT_JSON, text, sizeof text), 0);
    xvm_heap_destroy(heap);
}

TEST(a_cleared_heap_is_empty_and_serves_again)
{
    enum { COUNT = 100 };
    static void *blocks[COUNT];
    static const unsigned kinds[] = {0, XVM_HEAP_SINGLE_THREAD, XVM_HEAP_GUARDED, XVM_HEAP_PREFAULT,
                                     XVM_HEAP_HUGE};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        xvm_heap *heap = make(&(xvm_heap_options){.max_size = 64 * MiB, .flags = kinds[k]});

        for (int round = 0; round < 3; round++) {
            xvm_heap_stats s;
            size_t walked = 0;

            for (size_t i = 0; i < COUNT; i++)
                CHECK((blocks[i] = xvm_heap_alloc(heap, i * i * 50)) != NULL);
            for (size_t i = 0; i < COUNT; i += 2)
                xvm_heap_free(heap, blocks[i]);
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
            xvm_heap_clear(heap);
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
            xvm_heap_get_stats(heap, &s);
            CHECK(s.live_blocks == 0 && s.live_bytes == 0);
            CHECK_EQUAL(xvm_heap_walk(heap, count_block, &walked), XVM_OK);
            CHECK_EQUAL(walked, 0);
        }
        xvm_heap_destroy(heap);
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 20000, EXCHANGE = 512 };

/* Blocks lie in a common place: whoever comes by frees what is there and leaves another. */
static struct exchange {
    xvm_heap *heap;
    int rounds;
    void *places[EXCHANGE];
} common;

/* Guards are system calls: they are as many as there are blocks. */
static void set_common(size_t max_size, unsigned flags)
{
    common.heap = make(&(xvm_heap_options){.max_size = room(max_size), .flags = flags});
    common.rounds = memory_is_emulated() || flags == XVM_HEAP_GUARDED ? ROUNDS / 10 : ROUNDS;
}

static void trade(void *context, int index)
{
    struct exchange *all = context;
    uint64_t seed = (uint64_t)index * 77 + 5;

    for (int i = 0; i < all->rounds; i++) {
        size_t size = (size_t)(test_random(&seed) >> 30) % (i % 100 == 0 ? 200000 : 2000) + 8;
        size_t *block = xvm_heap_alloc(all->heap, size);

        CHECK(block != NULL);
        *block = size;
        memset(block + 1, (int)(size & 127), size - sizeof size > 64 ? 64 : 0);
        block = __atomic_exchange_n(&all->places[(size_t)(test_random(&seed) >> 30) % EXCHANGE],
                                    block, __ATOMIC_ACQ_REL);
        if (block == NULL)
            continue;
        CHECK(xvm_heap_usable_size(all->heap, block) >= *block);
        if (*block - sizeof size > 64)
            CHECK(((unsigned char *)(block + 1))[63] == (*block & 127));
        xvm_heap_free(all->heap, block);
    }
}

static void trade_in(unsigned flags, size_t max_size)
{
    set_common(max_size, flags);
    for (int round = 0; round < 3; round++) { /* threads end, and others get their lanes */
        run_threads(THREADS, trade, &common);
        CHECK_EQUAL(xvm_heap_check(common.heap), XVM_OK);
    }
    for (size_t i = 0; i < EXCHANGE; i++) {
        xvm_heap_free(common.heap, common.places[i]);
        common.places[i] = NULL;
    }
    CHECK_EQUAL(xvm_heap_check(common.heap), XVM_OK);
    xvm_heap_destroy(common.heap);
}

TEST(threads_free_what_others_took)
{
    trade_in(0, 512 * (size_t)MiB);
}

TEST(threads_free_what_others_took_in_a_guarded_heap)
{
    if (memory_is_emulated())
        SKIP("guards for each block take too long here");
    trade_in(XVM_HEAP_GUARDED, 1024 * (size_t)MiB);
}

/* The first thread looks at what the others change. */
static void look_or_trade(void *context, int index)
{
    struct exchange *all = context;
    char text[100];

    if (index != 0)
        trade(context, index);
    for (int i = 0; index == 0 && i < (memory_is_emulated() ? 30 : 1000); i++) {
        xvm_heap_stats s;

        xvm_heap_get_stats(all->heap, &s);
        CHECK(s.committed != 0 && s.largest_free <= s.reserved);
        CHECK(i % 10 != 0 || xvm_heap_report(all->heap, XVM_FORMAT_TEXT, text, sizeof text) > 100);
    }
}

static void look_at(unsigned flags)
{
    set_common(1024 * (size_t)MiB, flags);
    run_threads(THREADS, look_or_trade, &common);
    CHECK_EQUAL(xvm_heap_check(common.heap), XVM_OK);
    memset(common.places, 0, sizeof common.places);
    xvm_heap_destroy(common.heap);
}

TEST(threads_may_look_while_others_take_and_free)
{
    look_at(0);
    if (!memory_is_emulated())
        look_at(XVM_HEAP_GUARDED);
}

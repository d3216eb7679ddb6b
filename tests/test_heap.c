/* test_heap.c - a heap against a plain model: every block has its own pattern, every rule is checked. */
#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, SLOTS = 4000 };

static xvm_heap *make(const xvm_heap_options *options)
{
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, options), XVM_OK);
    return heap;
}

static size_t default_cap(void)
{
    return memory_is_fake() ? (size_t)128 * MiB : 0;
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
    play(1, &(xvm_heap_options){.max_size = default_cap()}, memory_is_emulated() ? 200000 : 2000000,
         MiB);
}

TEST(random_calls_at_the_cap)
{
    play(2, &(xvm_heap_options){.max_size = 16 * MiB}, memory_is_emulated() ? 100000 : 1000000,
         2 * MiB);
}

TEST(random_calls_in_a_guarded_heap)
{
    play(3, &(xvm_heap_options){.max_size = 1024 * (size_t)MiB, .flags = XVM_HEAP_GUARDED}, 100000,
         MiB);
}

TEST(random_calls_of_a_single_thread)
{
    play(4, &(xvm_heap_options){.max_size = 256 * MiB, .flags = XVM_HEAP_SINGLE_THREAD}, 300000,
         MiB);
}

TEST(random_calls_with_zeroing)
{
    play(5, &(xvm_heap_options){.max_size = 256 * MiB, .flags = XVM_HEAP_ZERO_ON_FREE}, 300000,
         MiB);
}

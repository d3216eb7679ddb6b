/* test_heap_move.c - large blocks that grow out of their places: they go there with their pages, or are
 * copied, and nobody can tell. */
#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, STEP = 4 * KiB, MOST = 8 };

typedef struct block {
    unsigned char *bytes;
    size_t size;
    unsigned seed;
} block;

/* The fake system has few addresses. */
static xvm_heap *make(unsigned flags, xvm_budget *budget)
{
    xvm_heap_options options = {.max_size = (size_t)192 * MiB, .flags = flags, .budget = budget};
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, &options), XVM_OK);
    return heap;
}

static unsigned char byte_at(const block *b, size_t at)
{
    return (unsigned char)((at / STEP * 7 + b->seed) % 251 + 1);
}

/* A byte in each step, and the last one. */
static void fill(block *b, size_t from)
{
    for (size_t at = (from + STEP - 1) / STEP * STEP; at < b->size; at += STEP)
        b->bytes[at] = byte_at(b, at);
    b->bytes[b->size - 1] = byte_at(b, b->size - 1);
}

static bool is_filled(const block *b, size_t size)
{
    for (size_t at = 0; at < size; at += STEP)
        if (b->bytes[at] != byte_at(b, at))
            return false;
    return size == 0 || size < b->size || b->bytes[size - 1] == byte_at(b, size - 1);
}

/* False: that was refused, and the block is as it was. */
static bool resize(xvm_heap *heap, block *b, size_t size)
{
    unsigned char *bytes = xvm_heap_realloc(heap, b->bytes, size);
    size_t kept = size < b->size ? size : b->size;

    if (bytes == NULL) {
        CHECK(is_filled(b, b->size));
        return false;
    }
    b->bytes = bytes;
    b->size = size > kept ? size : kept + 1; /* the last byte is another one now */
    CHECK(is_filled(b, kept / STEP * STEP));
    b->size = size;
    fill(b, kept / STEP * STEP);
    return true;
}

static void grow_in_turns(xvm_heap *heap, block *blocks, size_t count, size_t most)
{
    for (size_t size = 64 * KiB; size <= most; size = size * 13 / 10)
        for (size_t i = 0; i < count; i++) {
            CHECK(resize(heap, &blocks[i], size + i));
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        }
    for (size_t i = 0; i < count; i++)
        CHECK(is_filled(&blocks[i], blocks[i].size));
}

static void free_all(xvm_heap *heap, block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        xvm_heap_free(heap, blocks[i].bytes);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    }
}

static void grow_and_free(unsigned flags, size_t most)
{
    xvm_heap *heap = make(flags, NULL);

    for (int round = 0; round < 3; round++) {
        block blocks[3] = {{NULL, 0, 1}, {NULL, 0, 100}, {NULL, 0, 200}};

        grow_in_turns(heap, blocks, 3, most);
        free_all(heap, blocks, 3);
    }
    xvm_heap_destroy(heap);
}

TEST(blocks_that_grow_in_turns_keep_their_contents)
{
    grow_and_free(0, memory_is_fake() ? 6 * MiB : 16 * MiB);
}

TEST(so_they_do_in_every_kind_of_heap)
{
    static const unsigned kinds[] = {
        XVM_HEAP_GUARDED, XVM_HEAP_ZERO_ON_FREE, XVM_HEAP_SINGLE_THREAD,
        XVM_HEAP_HUGE,    XVM_HEAP_PREFAULT,     XVM_HEAP_SINGLE_THREAD | XVM_HEAP_ZERO_ON_FREE};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        grow_and_free(kinds[i], 4 * MiB);
}

TEST(what_moved_shrinks_and_grows_again)
{
    xvm_heap *heap = make(0, NULL);
    block blocks[2] = {{NULL, 0, 1}, {NULL, 0, 100}};

    grow_in_turns(heap, blocks, 2, 6 * MiB);
    for (size_t size = 5 * MiB; size > 64 * KiB; size = size * 2 / 3)
        for (size_t i = 0; i < 2; i++) {
            CHECK(resize(heap, &blocks[i], size));
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        }
    grow_in_turns(heap, blocks, 2, 6 * MiB);
    free_all(heap, blocks, 2);
    xvm_heap_destroy(heap);
}

/* What a block leaves behind is zero without being written, and must be. */
TEST(zeroed_blocks_are_zero_where_others_moved)
{
    xvm_heap *heap = make(0, NULL);

    for (int round = 0; round < 4; round++) {
        block blocks[2] = {{NULL, 0, 1}, {NULL, 0, 100}};
        unsigned char *zeroed;

        grow_in_turns(heap, blocks, 2, 4 * MiB);
        for (size_t size = 5 * MiB; size > 40 * KiB; size /= 2) {
            zeroed = xvm_heap_alloc_zeroed(heap, 1, size);
            CHECK(zeroed != NULL);
            for (size_t at = 0; at < size; at++)
                CHECK(zeroed[at] == 0);
            memset(zeroed, 9, size);
            xvm_heap_free(heap, zeroed);
        }
        free_all(heap, blocks, 2);
    }
    xvm_heap_destroy(heap);
}

static size_t live_bytes(const xvm_heap *heap)
{
    xvm_heap_stats s;

    xvm_heap_get_stats(heap, &s);
    return s.live_bytes;
}

TEST(a_cleared_heap_starts_anew)
{
    xvm_heap *heap = make(0, NULL);

    for (int round = 0; round < 3; round++) {
        block blocks[2] = {{NULL, 0, 1}, {NULL, 0, 100}};

        grow_in_turns(heap, blocks, 2, 4 * MiB);
        xvm_heap_clear(heap);
        CHECK_EQUAL(live_bytes(heap), 0);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    }
    xvm_heap_destroy(heap);
}

/* --- random sizes ----------------------------------------------------------------------------- */

static void step_at_random(xvm_heap *heap, block *b, uint64_t *seed)
{
    size_t size = STEP + (size_t)(test_random(seed) >> 20) %
                             ((test_random(seed) & 3) != 0 ? 2 * MiB : 6 * MiB);

    if (b->bytes != NULL && test_random(seed) % 4 == 0) {
        xvm_heap_free(heap, b->bytes);
        *b = (block){NULL, 0, b->seed + 1};
        return;
    }
    (void)resize(heap, b, size);
}

static void play(xvm_heap *heap, int steps, uint64_t seed)
{
    block blocks[MOST] = {{NULL, 0, 0}};

    for (int i = 0; i < steps; i++) {
        block *b = &blocks[test_random(&seed) % MOST];

        step_at_random(heap, b, &seed);
        CHECK(b->bytes == NULL || is_filled(b, b->size));
        if (i % 16 == 0)
            CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    }
    for (size_t i = 0; i < MOST; i++)
        CHECK(blocks[i].bytes == NULL || is_filled(&blocks[i], blocks[i].size));
    free_all(heap, blocks, MOST);
    CHECK_EQUAL(live_bytes(heap), 0);
}

TEST(large_blocks_of_random_sizes)
{
    xvm_heap *heap = make(0, NULL);

    for (uint64_t seed = 1; seed < 5; seed++)
        play(heap, 600, seed);
    xvm_heap_destroy(heap);
}

/* Everything may be refused, and what succeeds is right all the same. */
TEST(refused_calls_lose_no_block)
{
    static const char *const scripts[] = {
        "*%2",      "*%3",        "*%7",       "move",     "move%2",
        "commit%3", "decommit%2", "discard%2", "attach%2", "move%2,commit%2"};

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        xvm_heap *heap = make(0, NULL);

        CHECK(xvm_inject(scripts[i]) == XVM_OK);
        play(heap, 400, 77 + i);
        CHECK(xvm_inject(NULL) == XVM_OK);
        play(heap, 100, 5);
        xvm_heap_destroy(heap);
    }
}

static int is_other(void *found, size_t size, void *context)
{
    CHECK(found != context && size != 0);
    return 0;
}

/* At its limit a budget may be used up by others between giving back and having again. */
TEST(memory_that_cannot_be_had_again_is_waited_for)
{
    block blocks[2] = {{NULL, 0, 1}, {NULL, 0, 100}};
    xvm_budget budget;
    xvm_heap *heap;
    unsigned char *freed;

    CHECK(xvm_budget_init(&budget, "blocks", NULL, SIZE_MAX) == XVM_OK);
    heap = make(0, &budget);
    grow_in_turns(heap, blocks, 2, 4 * MiB);
    freed = blocks[0].bytes;
    CHECK(xvm_inject("commit") == XVM_OK);
    xvm_heap_free(heap, freed);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    CHECK(live_bytes(heap) < 6 * MiB);
    CHECK_EQUAL(xvm_heap_walk(heap, is_other, freed), XVM_OK);
    CHECK(is_filled(&blocks[1], blocks[1].size));
    xvm_heap_free(heap, blocks[1].bytes); /* both come back */
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    play(heap, 100, 6);
    xvm_heap_clear(heap);
    play(heap, 100, 7);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(budget.used, 0);
}

/* test_arena_model.c - random steps in an arena and in a model of it: where each block lies, what fits,
 * what a mark takes back. */
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20 };

/* Bytes that an arena leaves behind each block for a tool that listens: without one, none. */
static size_t tool_gap(void)
{
    unsigned char *first, *second;
    xvm_arena a;

    CHECK(xvm_arena_create(&a, MiB, NULL) == XVM_OK);
    first = xvm_arena_alloc(&a, 1, 1);
    second = xvm_arena_alloc(&a, 1, 1);
    CHECK(first != NULL && second > first);
    xvm_arena_destroy(&a);
    return (size_t)(second - first) - 1;
}

enum { BLOCKS = 3000, ENTRIES = 64, CHECK_EVERY = 1 << 15 };

typedef struct block {
    size_t begin, size; /* size as asked for, but at least 1 */
    unsigned char stamp;
} block;

typedef struct entry {
    xvm_arena_scope scope;
    size_t mark, floor;
    bool is_scope;
} entry;

typedef struct player {
    xvm_arena arena;
    size_t top, floor, reserved, gap;
    size_t count, depth;
    block blocks[BLOCKS];
    entry entries[ENTRIES];
    uint64_t seed, steps, handed_out, refused, extended;
} player;

static size_t below(player *p, size_t limit)
{
    return (size_t)(test_random(&p->seed) >> 11) % limit;
}

/* The ends of a block carry its stamp. */
static void stamp(player *p, const block *b)
{
    unsigned char *at = p->arena.memory.base + b->begin;
    size_t most = b->size < 300 ? b->size : 64;

    memset(at, b->stamp, most);
    memset(at + b->size - most, b->stamp, most);
}

static void check_stamp(player *p, const block *b)
{
    const unsigned char *at = p->arena.memory.base + b->begin;

    CHECK(at[0] == b->stamp && at[b->size - 1] == b->stamp);
}

static size_t end_with_gap(const player *p, size_t end)
{
    return p->reserved - end < p->gap ? p->reserved : end + p->gap;
}

/* Where a block would lie, by plain arithmetic in a wider type where there is one: false if nowhere. */
static bool place(const player *p, size_t size, size_t alignment, block *b)
{
    uint64_t address = (uint64_t)(uintptr_t)p->arena.memory.base + p->top, pad;
    size_t need = size != 0 ? size : 1;

    pad = address % alignment != 0 ? alignment - address % alignment : 0;
    if (pad > p->reserved - p->top || need > p->reserved - p->top - (size_t)pad)
        return false;
    *b = (block){.begin = p->top + (size_t)pad, .size = need};
    return true;
}

static void check_zeros(const unsigned char *at, size_t size)
{
    size_t stride = size < 2000 ? 1 : 61;

    for (size_t i = 0; i < size; i += stride)
        CHECK(at[i] == 0);
    CHECK(size == 0 || at[size - 1] == 0);
}

static void forget_cut_blocks(player *p)
{
    while (p->count > 0 && p->blocks[p->count - 1].begin + p->blocks[p->count - 1].size > p->top)
        p->count--;
}

static void play_clear(player *p)
{
    xvm_arena_clear(&p->arena);
    p->top = p->floor = p->count = p->depth = 0;
}

static void play_alloc(player *p, size_t size, size_t alignment)
{
    bool zeroed = below(p, 3) == 0, fits;
    unsigned char *got;
    block b;

    if (p->count == BLOCKS)
        play_clear(p);
    fits = place(p, size, alignment, &b);
    got = zeroed ? xvm_arena_alloc_zeroed(&p->arena, size, alignment)
                 : xvm_arena_alloc(&p->arena, size, alignment);
    CHECK((got != NULL) == fits);
    if (!fits) {
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        p->refused++;
        if (size <= 300 && below(p, 2) == 0) /* full */
            play_clear(p);
        return;
    }
    CHECK(got == p->arena.memory.base + b.begin);
    CHECK((uintptr_t)got % alignment == 0);
    if (zeroed)
        check_zeros(got, size);
    b.stamp = (unsigned char)(1 + below(p, 255));
    stamp(p, &b);
    p->blocks[p->count++] = b;
    p->top = end_with_gap(p, b.begin + b.size);
    p->handed_out++;
}

static size_t power(player *p, size_t most)
{
    return (size_t)1 << below(p, most);
}

/* Sizes at the edges: of all sizes, of half of them, of what is left. */
static size_t edge(player *p)
{
    size_t k = below(p, 70000), left = p->reserved - p->top;

    switch (below(p, 4)) {
    case 0:
        return SIZE_MAX - k;
    case 1:
        return SIZE_MAX / 2 - 35000 + k;
    case 2:
        return left + 40 - (k % 80 > left ? 0 : k % 80);
    default:
        return (size_t)0 - (uintptr_t)p->arena.memory.base - k;
    }
}

static void play_extend(player *p)
{
    size_t which, size, begin;
    bool last, fits, done;
    block *b;

    if (p->count == 0)
        return;
    which = below(p, 4) == 0 ? below(p, p->count) : p->count - 1;
    b = &p->blocks[which];
    begin = b->begin;
    last = which == p->count - 1 && end_with_gap(p, begin + b->size) == p->top && begin >= p->floor;
    size = below(p, 20) == 0 ? edge(p) : below(p, 2 * b->size + 100);
    fits = (size != 0 ? size : 1) <= p->reserved - begin;
    check_stamp(p, b);
    done = xvm_arena_extend(&p->arena, p->arena.memory.base + begin, b->size, size);
    CHECK(done == (last && fits));
    if (!done)
        return;
    CHECK(p->arena.memory.base[begin] == b->stamp);
    b->size = size != 0 ? size : 1;
    stamp(p, b);
    p->top = end_with_gap(p, begin + b->size);
    p->extended++;
}

static void play_mark(player *p, bool as_scope)
{
    entry e = {.mark = xvm_arena_mark(&p->arena), .floor = p->floor, .is_scope = as_scope};

    if (p->depth == ENTRIES)
        return;
    CHECK_EQUAL(e.mark, p->top);
    if (as_scope) {
        e.scope = xvm_arena_scope_begin(&p->arena);
        p->floor = p->top;
    }
    p->entries[p->depth++] = e;
}

static void play_rewind(player *p)
{
    entry *e;
    xvm_status status;
    bool is_void;

    if (p->depth == 0)
        return;
    p->depth -= below(p, 5) != 0 ? 1 : 1 + below(p, p->depth);
    e = &p->entries[p->depth];
    is_void = e->mark > p->top;
    if (p->count > 0)
        check_stamp(p, &p->blocks[below(p, p->count)]);
    status = e->is_scope ? xvm_arena_scope_end(&e->scope) : xvm_arena_rewind(&p->arena, e->mark);
    CHECK_EQUAL(status, is_void ? XVM_E_INVALID : XVM_OK);
    if (is_void)
        return;
    p->top = e->mark;
    p->floor = e->is_scope ? e->floor : p->floor > p->top ? p->top : p->floor;
    forget_cut_blocks(p);
}

static void play_broken(player *p)
{
    size_t alignment = 3 * power(p, 20);

    CHECK(xvm_arena_alloc(&p->arena, below(p, 100), alignment) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK_EQUAL(xvm_arena_rewind(&p->arena, p->top + 1 + below(p, 1000)), XVM_E_INVALID);
    CHECK(xvm_arena_alloc_array(&p->arena, SIZE_MAX / 3 + 1, 3 + below(p, 100), 1) == NULL);
}

static void play_step(player *p)
{
    size_t what = below(p, 1000);

    if (what < 600)
        play_alloc(p, below(p, 300), power(p, 7));
    else if (what < 610)
        play_alloc(p, below(p, 64 * KiB), power(p, 22));
    else if (what < 640)
        play_alloc(p, edge(p), power(p, below(p, 2) == 0 ? 22 : 8 * sizeof(size_t)));
    else if (what < 740)
        play_extend(p);
    else if (what < 860)
        play_mark(p, what % 2 == 0);
    else if (what < 996)
        play_rewind(p);
    else if (what < 998)
        play_broken(p);
    else if (below(p, 20) != 0)
        (void)xvm_arena_trim(&p->arena);
    else
        play_clear(p);
    CHECK_EQUAL(xvm_arena_used(&p->arena), p->top);
    CHECK(p->top <= p->arena.memory.committed && p->arena.memory.committed <= p->reserved);
    CHECK(p->arena.own.floor == p->floor);
    if (++p->steps % CHECK_EVERY == 0)
        CHECK_EQUAL(xvm_arena_check(&p->arena), XVM_OK);
}

static void play(player *p, uint64_t seed, uint64_t steps, size_t most)
{
    memset(p, 0, sizeof *p);
    p->gap = tool_gap();
    CHECK_EQUAL(xvm_arena_create(&p->arena, most, NULL), XVM_OK);
    p->reserved = p->arena.memory.reserved;
    p->seed = seed;
    while (p->steps < steps)
        play_step(p);
    CHECK_EQUAL(xvm_arena_check(&p->arena), XVM_OK);
    xvm_arena_destroy(&p->arena);
}

TEST(random_steps_agree_with_a_model)
{
    uint64_t steps = memory_is_emulated() ? 100000 : 6000000;
    static const size_t sizes[] = {200 * KiB, 6 * MiB};
    static player p;

    for (uint64_t seed = 1; seed <= 2; seed++) {
        play(&p, seed, steps, sizes[seed - 1]);
        printf("seed %d: %llu steps, %llu blocks, %llu refused, %llu extended\n", (int)seed,
               (unsigned long long)p.steps, (unsigned long long)p.handed_out,
               (unsigned long long)p.refused, (unsigned long long)p.extended);
        CHECK(p.handed_out > steps / 4 && p.refused > steps / 100 && p.extended > steps / 100);
    }
}

static void play_thread(void *context, int index)
{
    player *all = context;

    play(&all[index], (uint64_t)index + 100, 20000, MiB);
}

TEST(threads_with_an_arena_each)
{
    enum { THREADS = 4 };
    static player all[THREADS];

    run_threads(THREADS, play_thread, all);
}

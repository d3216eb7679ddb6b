/* fuzz_heap.c - bytes drive a heap, and a plain model says what it must do.
 *
 *     | flags | cap, sizes, threshold | op slot value value | op slot value value | ...
 *
 * Every block is filled with a pattern of its own and looked at before it goes. Misuse is met with a hook,
 * and must be named once and change nothing. libFuzzer calls LLVMFuzzerTestOneInput; elsewhere
 * fuzz_main.c does.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xvm/heap.h"
#include "xvm/xvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOTS = 256, KiB = 1 << 10, MiB = 1 << 20 };

typedef struct slot {
    unsigned char *block, *old; /* old: where the last one was, which was freed */
    size_t size;
    unsigned char pattern;
} slot;

static xvm_heap *heap;
static slot slots[SLOTS];
static size_t live;
static unsigned told, next_pattern;

#define EXPECT(c) expect((c), #c, __LINE__)

static void expect(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_heap.c:%d: %s\n", line, what);
    abort();
}

static void be_told(xvm_misuse misuse, const xvm_heap *of, const void *address, const char *message,
                    void *context)
{
    (void)context;
    EXPECT(misuse >= XVM_MISUSE_FOREIGN && misuse <= XVM_MISUSE_FREED);
    EXPECT(of == heap && message != NULL);
    (void)address;
    told++;
}

/* --- the model -------------------------------------------------------------------------------- */

static void fill(slot *s)
{
    s->pattern = (unsigned char)++next_pattern;
    memset(s->block, s->pattern, s->size);
}

/* Both ends, and some bytes between. */
static void look(const slot *s, size_t size)
{
    for (size_t i = 0; i < size; i += i < 64 || size - i <= 64 ? 1 : size - i > 500 ? 409 : 64)
        EXPECT(s->block[i] == s->pattern);
    EXPECT(size == 0 || s->block[size - 1] == s->pattern);
}

static void note(slot *s, void *block, size_t size, size_t alignment)
{
    EXPECT((uintptr_t)block % 16 == 0 && (uintptr_t)block % alignment == 0);
    EXPECT(xvm_heap_owns(heap, block));
    s->block = block;
    s->size = size;
    fill(s);
}

/* The whole of it is the caller's. */
static void grow_to_usable(slot *s)
{
    size_t usable = xvm_heap_usable_size(heap, s->block);

    EXPECT(usable >= s->size);
    s->size = usable;
    fill(s);
}

static void drop(slot *s)
{
    look(s, s->size);
    xvm_heap_free(heap, s->block);
    s->old = s->block;
    s->block = NULL;
    live--;
}

static slot *find(const void *block)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].block == block)
            return &slots[i];
    return NULL;
}

static int visit(void *block, size_t usable, void *context)
{
    const slot *s = find(block);

    EXPECT(s != NULL && usable >= s->size);
    ++*(size_t *)context;
    return 0;
}

static void check(void)
{
    xvm_heap_stats s;
    size_t walked = 0;

    EXPECT(xvm_heap_check(heap) == XVM_OK);
    EXPECT(xvm_heap_walk(heap, visit, &walked) == XVM_OK);
    xvm_heap_get_stats(heap, &s);
    EXPECT(walked == live && s.live_blocks == live);
    EXPECT(s.committed <= s.reserved && s.allocs - s.frees == s.live_blocks);
}

/* --- operations ------------------------------------------------------------------------------- */

typedef struct operation {
    unsigned kind, value;
    slot *s;
} operation;

/* Every size up to a MiB, and some that cannot be had. */
static size_t size_of(unsigned value)
{
    size_t size = (size_t)(value & 0x1fff) << (value >> 13);

    return value > 0xfff0 ? SIZE_MAX - (0xffff - value) : size;
}

static void take(operation op)
{
    size_t size = size_of(op.value);
    void *block = xvm_heap_alloc(heap, size);

    if (block == NULL)
        return;
    live++;
    note(op.s, block, size, 1);
}

static void take_zeroed(operation op)
{
    size_t size = size_of(op.value), count = op.value % 7 + 1;
    unsigned char *block = xvm_heap_alloc_zeroed(heap, count, size / count);

    if (block == NULL)
        return;
    live++;
    size = size / count * count;
    for (size_t i = 0; i < size; i++)
        EXPECT(block[i] == 0);
    note(op.s, block, size, 1);
}

static void take_aligned(operation op)
{
    size_t alignment = (size_t)1 << (op.value & 31 ? op.value & 31 : 4);
    size_t size = size_of(op.value >> 5 << 5);
    void *block = xvm_heap_alloc_aligned(heap, size, alignment);

    if (block == NULL)
        return;
    live++;
    note(op.s, block, size, alignment);
}

static void resize(operation op)
{
    size_t size = size_of(op.value), kept = size < op.s->size ? size : op.s->size;
    bool had = op.s->block != NULL;
    void *block = xvm_heap_realloc(heap, op.s->block, size);

    if (block == NULL) {
        if (had)
            look(op.s, op.s->size);
        return;
    }
    live += !had;
    op.s->block = block;
    look(op.s, had ? kept : 0);
    note(op.s, block, size, 1);
}

/* An address that is no block: it is named once, and nothing changes. */
static void misuse(void *address, bool by_realloc)
{
    if (address == NULL || find(address) != NULL)
        return;
    told = 0;
    if (by_realloc)
        EXPECT(xvm_heap_realloc(heap, address, 100) == NULL);
    else
        xvm_heap_free(heap, address);
    EXPECT(told == 1);
    EXPECT(xvm_heap_usable_size(heap, address) == 0);
    EXPECT(told == 2);
    check();
}

static void misuse_something(operation op)
{
    static unsigned char foreign;
    unsigned char *base = op.s->block != NULL ? op.s->block : op.s->old;
    size_t far = size_of(op.value & 0xdfff);

    switch (op.value % 5) {
    case 0:
        misuse(op.s->old, (op.value & 32) != 0);
        break;
    case 1: /* inside, or anywhere behind */
        misuse(base != NULL ? base + far : NULL, false);
        break;
    case 2: /* in front, perhaps of the area */
        misuse(base != NULL ? (void *)((uintptr_t)base - far) : NULL, true);
        break;
    case 3:
        misuse((unsigned char *)(void *)heap + far, false);
        break;
    default:
        misuse(&foreign, false);
    }
}

/* Not every failure of the system is tried with every input: a script is a value. */
static void let_fail(unsigned value)
{
    static const char *const scripts[] = {NULL,      NULL,      "commit@1", "commit%2", "decommit",
                                          "discard", "guard%3", "*%3",      "lock",     "prefault"};

    EXPECT(xvm_inject(scripts[value % (sizeof scripts / sizeof *scripts)]) == XVM_OK);
}

static void clear(void)
{
    xvm_heap_clear(heap);
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i].old = slots[i].block != NULL ? slots[i].block : slots[i].old;
        slots[i].block = NULL;
    }
    live = 0;
    check();
}

static void take_somehow(operation op)
{
    if (op.kind < 4)
        take(op);
    else if (op.kind < 6)
        take_zeroed(op);
    else
        take_aligned(op);
}

/* A slot in use is dropped or resized where a free one takes. */
static void do_operation(operation op)
{
    bool used = op.s->block != NULL;

    if (op.kind < 8 && used)
        drop(op.s);
    else if (op.kind < 8)
        take_somehow(op);
    else if (op.kind < 10)
        resize(op);
    else if (op.kind == 10 && used)
        grow_to_usable(op.s);
    else if (op.kind == 11)
        (void)xvm_heap_trim(heap, size_of(op.value));
    else if (op.kind == 12)
        misuse_something(op);
    else if (op.kind == 13)
        check();
    else if (op.kind == 14)
        let_fail(op.value);
    else if (op.kind == 15 && op.value % 8 == 0)
        clear();
}

/* --- an input --------------------------------------------------------------------------------- */

/* Four bytes: flags, cap, first size and step, threshold. */
static xvm_status begin(const uint8_t *data)
{
    static const size_t thresholds[] = {0, 1, 64 * KiB, SIZE_MAX};
    xvm_heap_options options = {.max_size = (size_t)(data[1] % 32 + 4) * 256 * KiB,
                                .initial_size = (size_t)(data[2] & 15) * 64 * KiB,
                                .grow_step = (size_t)(data[2] >> 4) * 16 * KiB,
                                .trim_threshold = thresholds[data[3] & 3],
                                .flags = data[0] & 127u,
                                .name = "fuzzed"};

    memset(slots, 0, sizeof slots);
    live = next_pattern = 0;
    return xvm_heap_create(&heap, &options);
}

static void end(void)
{
    EXPECT(xvm_inject(NULL) == XVM_OK);
    check();
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL)
            drop(&slots[i]);
    check();
    xvm_heap_destroy(heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || begin(data) != XVM_OK)
        return 0;
    xvm_set_misuse_hook(be_told, NULL);
    for (size_t i = 4; i + 4 <= size; i += 4)
        do_operation((operation){.kind = data[i] & 15,
                                 .s = &slots[data[i + 1] % SLOTS],
                                 .value = data[i + 2] | (unsigned)data[i + 3] << 8});
    end();
    return 0;
}

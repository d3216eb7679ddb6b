/* test_heap_rewind.c - the bytes of a heap put back to what they were: it is the heap of that moment.
 *
 * By hand, and without the help of a snapshot: a copy of every committed page, and that copy put back; what was
 * not committed then is given back, what was is committed again.
 */
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, SIZE = 64 * MiB, SLOTS = 2000, THREADS = 4 };

typedef struct slot {
    unsigned char *block;
    size_t size;
    unsigned char value;
} slot;

typedef struct world {
    xvm_region region;
    xvm_heap *heap;
    slot slots[THREADS][SLOTS];
    uint64_t seeds[THREADS];
} world;

static world now, then; /* what is, and what was: not of the heap, so put back by hand as well */

typedef struct sizes {
    int slots;      /* of each thread */
    size_t largest; /* bytes of large blocks; */
    unsigned often; /* one of so many is */
} sizes;

static const sizes usual = {SLOTS, 200 * KiB, 64};
static sizes use = {SLOTS, 200 * KiB, 64};

/* --- using the heap --------------------------------------------------------------------------- */

static size_t size_of(uint64_t random)
{
    return (size_t)(random % use.often == 0 ? random / 64 % use.largest : random / 64 % 600);
}

static bool is_filled(const slot *s)
{
    for (size_t i = 0; i < s->size; i++)
        if (s->block[i] != s->value)
            return false;
    return true;
}

static void fill(slot *s, void *block, size_t size, uint64_t random)
{
    CHECK(block != NULL);
    *s = (slot){block, size, (unsigned char)(random >> 20)};
    memset(block, s->value, size);
}

static void drop(slot *s)
{
    CHECK(is_filled(s));
    xvm_heap_free(now.heap, s->block);
    s->block = NULL;
}

static void change(slot *s, uint64_t random)
{
    size_t size = size_of(random);

    if (s->block == NULL)
        fill(s, xvm_heap_alloc(now.heap, size), size, random);
    else if (random >> 60 < 4)
        fill(s, xvm_heap_realloc(now.heap, s->block, size), size, random);
    else
        drop(s);
}

static void work(void *context, int thread)
{
    for (int i = *(const int *)context; i > 0; i--) {
        uint64_t random = test_random(&now.seeds[thread]);

        change(&now.slots[thread][random % (unsigned)use.slots], random >> 8);
    }
}

static void work_in_threads(int steps)
{
    run_threads(THREADS, work, &steps);
}

static void drop_all(void)
{
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < SLOTS; i++)
            if (now.slots[t][i].block != NULL)
                drop(&now.slots[t][i]);
}

static void check_all(void)
{
    xvm_heap_stats s;
    size_t live = 0;

    CHECK_EQUAL(xvm_heap_check(now.heap), XVM_OK);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < SLOTS; i++)
            if (now.slots[t][i].block != NULL) {
                CHECK(is_filled(&now.slots[t][i]));
                live++;
            }
    xvm_heap_get_stats(now.heap, &s);
    CHECK_EQUAL(s.live_blocks, live);
}

/* --- moments ---------------------------------------------------------------------------------- */

typedef struct span {
    size_t offset, size;
    unsigned char *copy;
} span;

enum { SPANS = 256 };
static span spans[SPANS]; /* committed at the moment */
static size_t span_count;

static void keep(const xvm_span *found)
{
    span *s = &spans[span_count++];

    CHECK(span_count < SPANS);
    s->offset = (size_t)((unsigned char *)found->base - (unsigned char *)now.region.base);
    s->size = found->size;
    s->copy = malloc(s->size);
    CHECK(s->copy != NULL);
    memcpy(s->copy, found->base, s->size);
}

static void take_moment(void)
{
    unsigned char *at = now.region.base, *end = at + now.region.size;
    xvm_span found;

    for (; at < end; at = (unsigned char *)found.base + found.size) {
        CHECK_EQUAL(xvm_query(at, &found), XVM_OK);
        if (found.state == XVM_COMMITTED)
            keep(&found);
    }
    then = now;
}

static void go_back(void)
{
    unsigned char *base = now.region.base;
    size_t at = 0;

    for (size_t i = 0; i < span_count; at = spans[i].offset + spans[i].size, i++) {
        CHECK_EQUAL(xvm_decommit(&now.region, at, spans[i].offset - at), XVM_OK);
        CHECK_EQUAL(xvm_commit(&now.region, spans[i].offset, spans[i].size), XVM_OK);
        memcpy(base + spans[i].offset, spans[i].copy, spans[i].size);
    }
    CHECK_EQUAL(xvm_decommit(&now.region, at, now.region.size - at), XVM_OK);
    memcpy(now.slots, then.slots, sizeof now.slots);
}

static void forget_moment(void)
{
    while (span_count != 0)
        free(spans[--span_count].copy);
}

/* A tool that listens knows of each byte whether it may be read, and nobody tells it. */
static bool a_tool_listens(void)
{
    void *block = xvm_heap_alloc(now.heap, 16);
    bool listens = xvm_heap_usable_size(now.heap, block) > 16;

    xvm_heap_free(now.heap, block);
    return listens;
}

static void begin(unsigned flags)
{
    xvm_heap_options options = {.flags = flags};

    CHECK_EQUAL(xvm_reserve(&now.region, SIZE, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&now.heap, &now.region, &options), XVM_OK);
    for (unsigned t = 0; t < THREADS; t++)
        now.seeds[t] = t + 1;
    if (a_tool_listens())
        SKIP("a tool listens to what is live");
}

static void end(void)
{
    drop_all();
    check_all();
    forget_moment();
    xvm_heap_destroy(now.heap);
    CHECK_EQUAL(xvm_release(&now.region), XVM_OK);
}

static void rewind_often(unsigned flags)
{
    begin(flags);
    work_in_threads(3 * use.slots);
    take_moment();
    for (int round = 0; round < 6; round++) {
        work_in_threads(2 * use.slots);
        if (round == 3) /* lanes that are given up, slabs, memory */
            (void)xvm_heap_trim(now.heap, 0);
        if (round == 4)
            drop_all();
        check_all();
        go_back();
        check_all();
    }
    work_in_threads(10 * use.slots);
    check_all();
    end();
}

/* --- cases ------------------------------------------------------------------------------------ */

TEST(a_heap_whose_bytes_are_put_back_is_as_it_was)
{
    rewind_often(0);
}

TEST(the_same_holds_for_kinds_of_heaps)
{
    rewind_often(XVM_HEAP_ZERO_ON_FREE);
    rewind_often(XVM_HEAP_PREFAULT);
    rewind_often(XVM_HEAP_REALTIME);
}

TEST(so_is_one_with_blocks_that_took_their_pages_along)
{
    use.slots = 4;
    use.largest = 3 * MiB;
    use.often = 2;
    rewind_often(0);
    use = usual;
}

TEST(a_heap_emptied_after_that_moment_has_its_blocks_again)
{
    begin(0);
    work_in_threads(SLOTS);
    take_moment();
    xvm_heap_clear(now.heap);
    memset(now.slots, 0, sizeof now.slots);
    work_in_threads(SLOTS);
    go_back();
    check_all();
    end();
}

TEST(other_heaps_come_and_go_meanwhile)
{
    xvm_heap_options options = {.max_size = 4 * MiB};
    xvm_heap *others[20], *later;

    for (size_t i = 0; i < 10; i++)
        CHECK_EQUAL(xvm_heap_create(&others[i], &options), XVM_OK);
    begin(0);
    work_in_threads(SLOTS);
    take_moment();
    for (size_t i = 10; i < 20; i++)
        CHECK_EQUAL(xvm_heap_create(&others[i], &options), XVM_OK);
    for (size_t i = 0; i < 20; i += 2)
        xvm_heap_destroy(others[i]);
    CHECK_EQUAL(xvm_heap_create(&later, &options), XVM_OK);
    go_back();
    check_all();
    end();
    for (size_t i = 1; i < 20; i += 2) {
        CHECK_EQUAL(xvm_heap_check(others[i]), XVM_OK);
        CHECK(xvm_heap_alloc(others[i], 100) != NULL);
        xvm_heap_destroy(others[i]);
    }
    xvm_heap_destroy(later);
}

TEST(the_region_of_a_heap_is_told)
{
    xvm_region region;
    xvm_heap *heap;
    xvm_usage usage;
    xvm_heap_stats s;

    CHECK(xvm_heap_region(NULL) == NULL);
    CHECK_EQUAL(xvm_heap_create(&heap, NULL), XVM_OK);
    xvm_region_usage(xvm_heap_region(heap), &usage);
    xvm_heap_get_stats(heap, &s);
    CHECK_EQUAL(usage.committed, s.committed);
    CHECK_EQUAL(xvm_heap_region(heap)->size, s.reserved);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(xvm_reserve(&region, 4 * MiB, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &region, NULL), XVM_OK);
    CHECK(xvm_heap_region(heap) == &region);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(xvm_release(&region), XVM_OK);
}

/* More than there was memory for at first, each with a seat of its own. */
TEST(many_heaps_have_their_seats)
{
    enum { HEAPS = 400 };
    static xvm_heap *heaps[HEAPS];
    xvm_heap_options options = {.max_size = MiB};

    for (size_t i = 0; i < HEAPS; i++)
        CHECK_EQUAL(xvm_heap_create(&heaps[i], &options), XVM_OK);
    for (size_t i = 0; i < HEAPS; i++)
        for (size_t j = i == 0 ? 1 : 0; j < 2 && i != 0; j++)
            CHECK(xvm_heap_region(heaps[i]) != xvm_heap_region(heaps[i - 1]));
    for (size_t i = 0; i < HEAPS; i += 3)
        xvm_heap_destroy(heaps[i]);
    for (size_t i = 0; i < HEAPS; i += 3)
        CHECK_EQUAL(xvm_heap_create(&heaps[i], &options), XVM_OK);
    for (size_t i = 0; i < HEAPS; i++) {
        CHECK(xvm_heap_alloc(heaps[i], 1000) != NULL);
        CHECK_EQUAL(xvm_heap_check(heaps[i]), XVM_OK);
        xvm_heap_destroy(heaps[i]);
    }
}

/* One try with the nth system call refused; false: there was no nth. */
static bool create_refused(int n)
{
    char script[32];
    xvm_heap *heap;
    bool refused;

    snprintf(script, sizeof script, "*@%d", n);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    (void)xvm_heap_create(&heap, NULL);
    refused = xvm_injected() != 0;
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK(heap != NULL || refused);
    if (heap != NULL)
        CHECK(xvm_heap_alloc(heap, 100) != NULL);
    xvm_heap_destroy(heap);
    (void)xvm_heap_trim(NULL, 0);
    return refused;
}

/* The first heaps of the process have no seats yet; what those take stays. */
TEST(a_heap_without_a_seat_is_refused)
{
    holdings before, after;
    int n = 1;

    (void)xvm_heap_trim(NULL, 0);
    while (create_refused(n))
        n++;
    CHECK(n > 1);
    look_at_process(&before);
    for (n = 1; create_refused(n);)
        n++;
    look_at_process(&after);
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator takes memory of its own meanwhile");
    CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.charge, before.charge);
}

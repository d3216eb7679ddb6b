/* heap.c - a heap beside the packaged allocators: the same sequence of sizes for each, in one run.
 *
 *     | heap | libc | mimalloc | ... | heap | libc | ...     rounds, in turns; medians count
 *
 *   1  Every side does what the others do: sizes and order come from the same seed.
 *   2  A word of each block is written, and read again before the block is freed: the sum must be the
 *      same for all sides. Every page is written where that is said.
 *   3  A ratio above 1 says how many times faster the heap is.
 *   4  What one thread does is measured in its processor time: others may run meanwhile.
 *
 * usage: xvm_bench_heap [--csv | --smoke | --svg=<file>] [row...]    rows by number, from 1; else all
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "peers.h"
#include "plot.h"
#include "sizes.h"
#include "xvm/xvm.h"

enum {
    ROUNDS = 7,
    MOST_SIDES = MOST_PEERS + 1,
    LIVE = 100000,
    MOST_LIVE = 10000000,
    SOME = 10000,
    WINDOW = 1000, /* blocks of the queue */
    SHARED = 4096,
    PAGE = 4096,
    MiB = 1 << 20
};

static xvm_heap *heap;
static void **blocks; /* for the most that are live at once */
static void *shared[SHARED];
static size_t scale = 1; /* of all counts; larger in a smoke test: fewer */

/* --- sizes ------------------------------------------------------------------------------------ */

static size_t tiny_size(uint32_t *state)
{
    return 16 + next_random(state) % 49;
}

static size_t small_size(uint32_t *state)
{
    return 8 + next_random(state) % 1017;
}

static size_t large_size(uint32_t *state)
{
    return MiB + next_random(state) % (63u * MiB);
}

/* --- clocks and sums -------------------------------------------------------------------------- */

static uint64_t started, elapsed;
static uint64_t sum; /* of the words that were read, in this run of a side */

static void start_clock(void)
{
    started = bare_spent();
}

static void stop_clock(void)
{
    elapsed = bare_spent() - started;
}

static void mark(void *block, size_t value)
{
    *(volatile uint32_t *)block = (uint32_t)value;
}

static void read_mark(const void *block)
{
    sum += *(const volatile uint32_t *)block;
}

/* --- workloads, once for each kind of side, so that all calls are as direct as they can be ----- */

#define WORKLOADS_OF(name, GET, PUT, RESIZE)                                                       \
    static size_t name##_pairs(const peer *p)                                                      \
    {                                                                                              \
        size_t count = 2000000 / scale;                                                            \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(32);                                                                 \
            mark(block, i);                                                                        \
            read_mark(block);                                                                      \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_many(const peer *p, bool last_first)                                      \
    {                                                                                              \
        size_t rounds = 100 / scale + 1;                                                           \
        (void)p;                                                                                   \
        for (size_t r = 0; r < rounds; r++) {                                                      \
            for (size_t i = 0; i < SOME; i++)                                                      \
                mark(blocks[i] = GET(32), i);                                                      \
            for (size_t i = 0; i < SOME; i++) {                                                    \
                void *block = blocks[last_first ? SOME - 1 - i : i];                               \
                read_mark(block);                                                                  \
                PUT(block);                                                                        \
            }                                                                                      \
        }                                                                                          \
        return rounds * SOME;                                                                      \
    }                                                                                              \
    static size_t name##_lifo(const peer *p)                                                       \
    {                                                                                              \
        return name##_many(p, true);                                                               \
    }                                                                                              \
    static size_t name##_fifo(const peer *p)                                                       \
    {                                                                                              \
        return name##_many(p, false);                                                              \
    }                                                                                              \
    static size_t name##_queue(const peer *p)                                                      \
    {                                                                                              \
        size_t count = 2000000 / scale;                                                            \
        (void)p;                                                                                   \
        for (size_t i = 0; i < WINDOW; i++)                                                        \
            mark(blocks[i] = GET(32), i);                                                          \
        start_clock();                                                                             \
        for (size_t i = 0, at = 0; i < count; i++) {                                               \
            read_mark(blocks[at]);                                                                 \
            PUT(blocks[at]);                                                                       \
            mark(blocks[at] = GET(32), i);                                                         \
            at = at + 1 < WINDOW ? at + 1 : 0;                                                     \
        }                                                                                          \
        stop_clock();                                                                              \
        for (size_t i = 0; i < WINDOW; i++)                                                        \
            PUT(blocks[i]);                                                                        \
        return count;                                                                              \
    }                                                                                              \
    static void name##_churn(const peer *p, size_t live, size_t count, uint32_t *state,            \
                             size_t (*size)(uint32_t *))                                           \
    {                                                                                              \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void **slot = &blocks[next_random(state) % live];                                      \
            read_mark(*slot);                                                                      \
            PUT(*slot);                                                                            \
            mark(*slot = GET(size(state)), i);                                                     \
        }                                                                                          \
    }                                                                                              \
    static size_t name##_replace(const peer *p, size_t live, size_t count,                         \
                                 size_t (*size)(uint32_t *))                                       \
    {                                                                                              \
        uint32_t state = 88172645u;                                                                \
        for (size_t i = 0; i < live; i++)                                                          \
            mark(blocks[i] = GET(size(&state)), i);                                                \
        name##_churn(p, live, count, &state, size); /* until it is as it goes on */                \
        start_clock();                                                                             \
        name##_churn(p, live, count, &state, size);                                                \
        stop_clock();                                                                              \
        for (size_t i = 0; i < live; i++)                                                          \
            PUT(blocks[i]);                                                                        \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_random(const peer *p)                                                     \
    {                                                                                              \
        return name##_replace(p, LIVE, 1000000 / scale, small_size);                               \
    }                                                                                              \
    static size_t name##_live_1000(const peer *p)                                                  \
    {                                                                                              \
        return name##_replace(p, 1000, 1000000 / scale, tiny_size);                                \
    }                                                                                              \
    static size_t name##_live_100000(const peer *p)                                                \
    {                                                                                              \
        return name##_replace(p, LIVE, 1000000 / scale, tiny_size);                                \
    }                                                                                              \
    static size_t name##_live_10000000(const peer *p)                                              \
    {                                                                                              \
        return name##_replace(p, MOST_LIVE / scale, 1000000 / scale, tiny_size);                   \
    }                                                                                              \
    static size_t name##_mix(const peer *p)                                                        \
    {                                                                                              \
        return name##_replace(p, LIVE / 2, 500000 / scale, mixed_size);                            \
    }                                                                                              \
    static size_t name##_grow(const peer *p, size_t tenths)                                        \
    {                                                                                              \
        size_t count = 3000 / scale + 1;                                                           \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(16);                                                                 \
            mark(block, i);                                                                        \
            for (size_t size = 16; size < MiB; size = size * tenths / 10)                          \
                block = RESIZE(block, size * tenths / 10);                                         \
            read_mark(block);                                                                      \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_grow_13(const peer *p)                                                    \
    {                                                                                              \
        return name##_grow(p, 13);                                                                 \
    }                                                                                              \
    static size_t name##_grow_20(const peer *p)                                                    \
    {                                                                                              \
        return name##_grow(p, 20);                                                                 \
    }                                                                                              \
    static size_t name##_large(const peer *p)                                                      \
    {                                                                                              \
        uint32_t state = 1234567u;                                                                 \
        size_t count = 3000 / scale + 1;                                                           \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(large_size(&state));                                                 \
            mark(block, i);                                                                        \
            read_mark(block);                                                                      \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_touched(const peer *p)                                                    \
    {                                                                                              \
        uint32_t state = 1234567u;                                                                 \
        size_t count = 30 / scale + 1;                                                             \
        unsigned char *first = GET(64 * MiB);                                                      \
        (void)p;                                                                                   \
        memset(first, 1, 64 * MiB); /* so that what can be kept is there */                        \
        PUT(first);                                                                                \
        start_clock();                                                                             \
        for (size_t i = 0; i < count; i++) {                                                       \
            size_t size = large_size(&state);                                                      \
            unsigned char *block = GET(size);                                                      \
            for (size_t at = 0; at + 4 <= size; at += PAGE)                                        \
                mark(block + at, i);                                                               \
            read_mark(block);                                                                      \
            PUT(block);                                                                            \
        }                                                                                          \
        stop_clock();                                                                              \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_turns(const peer *p)                                                      \
    {                                                                                              \
        size_t count = 3 / scale + 1, most = (scale == 1 ? 64 : 4) * (size_t)MiB;                  \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            unsigned char *two[2] = {GET(64 << 10), GET(64 << 10)};                                \
            size_t had = 0;                                                                        \
            for (size_t size = most / 64; size <= most; had = size, size = size / 10 * 13)         \
                for (int j = 0; j < 2; j++) {                                                      \
                    two[j] = RESIZE(two[j], size);                                                 \
                    for (size_t at = (had + PAGE - 1) / PAGE * PAGE; at + 4 <= size; at += PAGE)   \
                        mark(two[j] + at, at + i);                                                 \
                }                                                                                  \
            for (size_t at = 0; at + 4 <= had; at += PAGE)                                         \
                read_mark(two[at / PAGE % 2] + at);                                                \
            PUT(two[0]);                                                                           \
            PUT(two[1]);                                                                           \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static void name##_trade(const peer *p, int thread, size_t count)                              \
    {                                                                                              \
        uint32_t state = 97u + (uint32_t)thread;                                                   \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(small_size(&state));                                                 \
            mark(block, i);                                                                        \
            block = __atomic_exchange_n(&shared[next_random(&state) % SHARED], block,              \
                                        __ATOMIC_ACQ_REL);                                         \
            if (block != NULL)                                                                     \
                PUT(block);                                                                        \
        }                                                                                          \
    }                                                                                              \
    static void name##_clear(const peer *p)                                                        \
    {                                                                                              \
        (void)p;                                                                                   \
        for (size_t i = 0; i < SHARED; i++) {                                                      \
            if (shared[i] != NULL)                                                                 \
                PUT(shared[i]);                                                                    \
            shared[i] = NULL;                                                                      \
        }                                                                                          \
    }

#define HEAP_GET(size) xvm_heap_alloc(heap, (size))
#define HEAP_PUT(block) xvm_heap_free(heap, (block))
#define HEAP_RESIZE(block, size) xvm_heap_realloc(heap, (block), (size))
#define PEER_GET(size) p->get(size)
#define PEER_PUT(block) p->put(block)
#define PEER_RESIZE(block, size) p->resize((block), (size))

WORKLOADS_OF(of_heap, HEAP_GET, HEAP_PUT, HEAP_RESIZE)
WORKLOADS_OF(of_peer, PEER_GET, PEER_PUT, PEER_RESIZE)

/* --- two threads and more --------------------------------------------------------------------- */

/* The threads are there before the clock starts, and what is measured is time that passes. */
static void pass_together(int threads, void (*work)(void *, int), void *context)
{
    uint64_t from = bare_now();

    run_together(threads, work, context);
    elapsed = bare_now() - from;
}

/* They leave blocks in common places and free what they find there. */
typedef struct trade {
    const peer *p; /* NULL: the heap */
    size_t count;
} trade;

static void trade_one(void *context, int thread)
{
    trade *t = context;

    if (t->p == NULL)
        of_heap_trade(t->p, thread, t->count);
    else
        of_peer_trade(t->p, thread, t->count);
}

static size_t trade_all(const peer *p, int threads)
{
    trade t = {p, 1000000 / scale / (size_t)threads};

    pass_together(threads, trade_one, &t);
    if (p == NULL)
        of_heap_clear(p);
    else
        of_peer_clear(p);
    return t.count * (size_t)threads;
}

static size_t larson_2(const peer *p)
{
    return trade_all(p, 2);
}

static size_t larson_16(const peer *p)
{
    return trade_all(p, 16);
}

static size_t larson_64(const peer *p)
{
    return trade_all(p, 64);
}

/* One takes, the other frees: through a ring of places. They tell each other every few blocks, so that
 * what is measured is not the ring. */
enum { RING = 1024, TOLD_AFTER = 32 };

typedef struct ring {
    const peer *p; /* NULL: the heap */
    size_t count;
    void *places[RING];
    size_t head, apart[8], tail; /* a cache line each */
} ring;

/* Waits until the other one has come to a place. */
static void wait_until(const size_t *other, size_t place)
{
    while (__atomic_load_n(other, __ATOMIC_ACQUIRE) < place)
        give_way();
}

static void tell(size_t *mine, size_t done, size_t count)
{
    if (done % TOLD_AFTER == 0 || done == count)
        __atomic_store_n(mine, done, __ATOMIC_RELEASE);
}

static void produce(ring *r)
{
    for (size_t i = 0; i < r->count; i++) {
        void *block = r->p == NULL ? xvm_heap_alloc(heap, 64) : r->p->get(64);

        mark(block, i);
        if (i % TOLD_AFTER == 0 && i >= RING)
            wait_until(&r->tail, i + TOLD_AFTER - RING);
        r->places[i % RING] = block;
        tell(&r->head, i + 1, r->count);
    }
}

static void consume(ring *r)
{
    size_t last = r->count;

    for (size_t i = 0; i < r->count; i++) {
        if (i % TOLD_AFTER == 0)
            wait_until(&r->head, i + TOLD_AFTER < last ? i + TOLD_AFTER : last);
        read_mark(r->places[i % RING]);
        if (r->p == NULL)
            xvm_heap_free(heap, r->places[i % RING]);
        else
            r->p->put(r->places[i % RING]);
        tell(&r->tail, i + 1, r->count);
    }
}

static void pass_one(void *context, int thread)
{
    if (thread == 0)
        produce(context);
    else
        consume(context);
}

static size_t pass_all(const peer *p)
{
    static ring r;

    r = (ring){.p = p, .count = 1000000 / scale};
    pass_together(2, pass_one, &r);
    return r.count;
}

/* --- whole heaps ------------------------------------------------------------------------------ */

static void begin_heap(void)
{
    if (xvm_heap_create(&heap, NULL) != XVM_OK)
        exit(1);
}

/* A heap of its own for 10,000 blocks, gone in one piece. */
static size_t whole_heap(const peer *p)
{
    size_t rounds = 500 / scale + 1;
    xvm_heap *common = heap;

    (void)p;
    for (size_t r = 0; r < rounds; r++) {
        begin_heap();
        for (size_t i = 0; i < SOME; i++)
            mark(xvm_heap_alloc(heap, 16 + i % 100), i);
        xvm_heap_destroy(heap);
    }
    heap = common;
    return rounds * SOME;
}

/* Others, which have no heaps, free the blocks one by one. */
static size_t whole_peer(const peer *p)
{
    size_t rounds = 500 / scale + 1;

    for (size_t r = 0; r < rounds; r++) {
        if (p->begin != NULL)
            p->begin();
        for (size_t i = 0; i < SOME; i++)
            mark(blocks[i] = p->get(16 + i % 100), i);
        for (size_t i = 0; i < SOME && p->begin == NULL; i++)
            p->put(blocks[i]);
        if (p->begin != NULL)
            p->end();
    }
    return rounds * SOME;
}

static size_t empty_heap(const peer *p)
{
    size_t rounds = 20000 / scale + 1;
    xvm_heap *common = heap;

    (void)p;
    for (size_t r = 0; r < rounds; r++) {
        begin_heap();
        xvm_heap_destroy(heap);
    }
    heap = common;
    return rounds;
}

static size_t empty_peer(const peer *p)
{
    size_t rounds = 20000 / scale + 1;

    for (size_t r = 0; r < rounds; r++) {
        p->begin();
        p->end();
    }
    return rounds;
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Peers that are heaps of their own take part only where whole heaps are meant. */
enum { ALL = 0, WITH_HEAPS = 1, ONLY_HEAPS = 2 };

typedef struct workload {
    const char *name;
    size_t (*of_heap)(const peer *p), (*of_peer)(const peer *p);
    int sides;
} workload;

static const workload workloads[] = {
    {"32 bytes, one at a time", of_heap_pairs, of_peer_pairs, ALL},
    {"32 bytes, 10000, last first", of_heap_lifo, of_peer_lifo, ALL},
    {"32 bytes, 10000, first first", of_heap_fifo, of_peer_fifo, ALL},
    {"32 bytes, a queue of 1000", of_heap_queue, of_peer_queue, ALL},
    {"realloc to 1 MiB by 1.3", of_heap_grow_13, of_peer_grow_13, ALL},
    {"realloc to 1 MiB by 2", of_heap_grow_20, of_peer_grow_20, ALL},
    {"1..64 MiB, first bytes written", of_heap_large, of_peer_large, ALL},
    {"1..64 MiB, each page written", of_heap_touched, of_peer_touched, ALL},
    {"two blocks grow to 64 MiB in turns", of_heap_turns, of_peer_turns, ALL},
    {"10000 blocks, and all of them gone", whole_heap, whole_peer, WITH_HEAPS},
    {"a heap, empty, and gone", empty_heap, empty_peer, ONLY_HEAPS},
    {"one thread takes, the other frees", pass_all, pass_all, ALL},
    {"2 threads free what others took", larson_2, larson_2, ALL},
    {"16 threads free what others took", larson_16, larson_16, ALL},
    {"64 threads free what others took", larson_64, larson_64, ALL},
    {"8..1024 bytes, 100000 live, random", of_heap_random, of_peer_random, ALL},
    {"16..64 bytes, 1000 live, random", of_heap_live_1000, of_peer_live_1000, ALL},
    {"16..64 bytes, 100000 live, random", of_heap_live_100000, of_peer_live_100000, ALL},
    {"16..64 bytes, 10 million live, random", of_heap_live_10000000, of_peer_live_10000000, ALL},
    {"16 bytes..4 MiB, 50000 live, random", of_heap_mix, of_peer_mix, ALL},
};

enum { WORKLOADS = sizeof workloads / sizeof *workloads };

static bool takes_part(const workload *w, const peer *p)
{
    return w->sides == ALL ? p->begin == NULL : w->sides == WITH_HEAPS || p->begin != NULL;
}

/* Nanoseconds for one operation of a side; side 0 is the heap, which says what the sum must be. */
static double run_side(const workload *w, const peer *peers, size_t at)
{
    static uint64_t expected;
    size_t count;

    elapsed = sum = 0;
    start_clock();
    count = at == 0 ? w->of_heap(NULL) : w->of_peer(&peers[at - 1]);
    if (elapsed == 0) /* it did not say which part of it counts */
        stop_clock();
    if (at != 0 && sum != expected) {
        fprintf(stderr, "%s: %s read other words than the heap\n", w->name, peers[at - 1].name);
        exit(1);
    }
    expected = sum;
    return (double)elapsed / (double)count;
}

static void add_row(plot *figures, const workload *w, const peer *peers, size_t rounds)
{
    static double times[MOST_SIDES][ROUNDS], ratios[MOST_SIDES][ROUNDS];
    size_t row = figures->row_count++, sides = figures->column_count;

    for (size_t r = 0; r < rounds; r++)
        for (size_t i = 0; i < sides; i++)
            if (i == 0 || takes_part(w, &peers[i - 1]))
                times[i][r] = run_side(w, peers, i);
    for (size_t i = 0; i < sides; i++)
        for (size_t r = 0; r < rounds; r++)
            ratios[i][r] = times[i][r] / times[0][r];
    figures->rows[row] = w->name;
    for (size_t i = 0; i < sides; i++) {
        bool takes = i == 0 || takes_part(w, &peers[i - 1]);

        figures->values[row][i] = takes ? median(times[i], rounds) : -1;
        figures->ratios[row][i] = takes ? median(ratios[i], rounds) : -1;
    }
}

static bool is_wanted(size_t row, int argc, char **argv)
{
    bool any = false, named = false;

    for (int i = 1; i < argc; i++) {
        any |= argv[i][0] != '-';
        named |= argv[i][0] != '-' && (size_t)atoi(argv[i]) == row;
    }
    return !any || named;
}

static void reserve_blocks(void)
{
    static xvm_region places;

    if (xvm_reserve(&places, MOST_LIVE * sizeof *blocks, NULL) != XVM_OK ||
        xvm_commit(&places, 0, places.size) != XVM_OK)
        exit(1);
    blocks = places.base;
}

int main(int argc, char **argv)
{
    static plot figures = {.title = "ns for each, ratio to the heap", .columns = {"heap"}};
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    const char *picture = argc > 1 && strncmp(argv[1], "--svg=", 6) == 0 ? argv[1] + 6 : NULL;
    peer peers[MOST_PEERS];
    size_t count = find_peers(peers, argv);

    count += find_heaps(peers + count);
    scale = smoke ? 200 : 1;
    reserve_blocks();
    begin_heap();
    for (size_t i = 0; i < count; i++)
        figures.columns[i + 1] = peers[i].name;
    figures.column_count = count + 1;
    printf(csv ? "" : "%s\n", describe_machine());
    print_columns(&figures, csv);
    for (size_t i = 0; i < WORKLOADS; i++)
        if (is_wanted(i + 1, argc, argv)) {
            add_row(&figures, &workloads[i], peers, smoke ? 2 : ROUNDS);
            print_last_row(&figures, csv);
        }
    xvm_heap_destroy(heap);
    if (picture != NULL && !draw(&figures, picture, describe_machine())) {
        perror(picture);
        return 1;
    }
    return 0;
}

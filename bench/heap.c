/* heap.c - a heap beside the packaged allocators: the same sequence of sizes for each, in one run.
 *
 *     | heap | libc | mimalloc | ... | heap | libc | ...     rounds, in turns; medians count
 *
 *   1  Every side does what the others do: sizes and order come from the same seed.
 *   2  The first bytes of each block are written; large ones are written as a whole where that is said.
 *   3  A ratio above 1 says how many times faster the heap is.
 *
 * usage: xvm_bench_heap [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "peers.h"
#include "xvm/xvm.h"

enum { ROUNDS = 7, MOST_SIDES = MOST_PEERS + 1, LIVE = 100000, SOME = 10000, SHARED = 4096 };

static xvm_heap *heap;
static void *blocks[LIVE];
static size_t scale = 1; /* of all counts; larger in a smoke test: fewer */

/* --- sizes ------------------------------------------------------------------------------------ */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* What an engine takes: 90 % up to 256 bytes, 9 % to 32 KiB, 1 % to 4 MiB. */
static size_t mixed_size(uint32_t *state)
{
    uint32_t kind = next_random(state) % 100;

    if (kind < 90)
        return 16 + next_random(state) % 241;
    return kind < 99 ? next_random(state) % (32 << 10) : next_random(state) % (4 << 20);
}

static size_t small_size(uint32_t *state)
{
    return 8 + next_random(state) % 1017;
}

static size_t large_size(uint32_t *state)
{
    return (1 << 20) + next_random(state) % (63u << 20);
}

/* --- workloads, once for each kind of side, so that all calls are as direct as they can be ----- */

#define WRITE(block) (*(volatile uint32_t *)(block) = 1)

#define WORKLOADS_OF(name, GET, PUT)                                                               \
    static size_t name##_pairs(const peer *p)                                                      \
    {                                                                                              \
        size_t count = 2000000 / scale;                                                            \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(32);                                                                 \
            WRITE(block);                                                                          \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_many(const peer *p, bool last_first)                                      \
    {                                                                                              \
        size_t rounds = 100 / scale + 1;                                                           \
        (void)p;                                                                                   \
        for (size_t r = 0; r < rounds; r++) {                                                      \
            for (size_t i = 0; i < SOME; i++) {                                                    \
                blocks[i] = GET(32);                                                               \
                WRITE(blocks[i]);                                                                  \
            }                                                                                      \
            for (size_t i = 0; i < SOME; i++)                                                      \
                PUT(blocks[last_first ? SOME - 1 - i : i]);                                        \
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
    static size_t name##_replace(const peer *p, size_t live, size_t count,                         \
                                 size_t (*size)(uint32_t *))                                       \
    {                                                                                              \
        uint32_t state = 88172645u;                                                                \
        (void)p;                                                                                   \
        for (size_t i = 0; i < live; i++)                                                          \
            WRITE(blocks[i] = GET(size(&state)));                                                  \
        start_clock();                                                                             \
        for (size_t i = 0; i < count; i++) {                                                       \
            void **slot = &blocks[next_random(&state) % live];                                     \
            PUT(*slot);                                                                            \
            WRITE(*slot = GET(size(&state)));                                                      \
        }                                                                                          \
        stop_clock();                                                                              \
        for (size_t i = 0; i < live; i++)                                                          \
            PUT(blocks[i]);                                                                        \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_random(const peer *p)                                                     \
    {                                                                                              \
        return name##_replace(p, LIVE, 1000000 / scale, small_size);                               \
    }                                                                                              \
    static size_t name##_mix(const peer *p)                                                        \
    {                                                                                              \
        return name##_replace(p, LIVE / 2, 500000 / scale, mixed_size);                            \
    }                                                                                              \
    static size_t name##_large(const peer *p)                                                      \
    {                                                                                              \
        uint32_t state = 1234567u;                                                                 \
        size_t count = 3000 / scale + 1;                                                           \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(large_size(&state));                                                 \
            WRITE(block);                                                                          \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static size_t name##_touched(const peer *p)                                                    \
    {                                                                                              \
        uint32_t state = 1234567u;                                                                 \
        size_t count = 30 / scale + 1;                                                             \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            size_t size = large_size(&state);                                                      \
            unsigned char *block = GET(size);                                                      \
            for (size_t at = 0; at < size; at += 1 << 12)                                          \
                block[at] = 1;                                                                     \
            PUT(block);                                                                            \
        }                                                                                          \
        return count;                                                                              \
    }                                                                                              \
    static void name##_trade(const peer *p, int thread, size_t count)                              \
    {                                                                                              \
        uint32_t state = 97u + (uint32_t)thread;                                                   \
        (void)p;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            void *block = GET(small_size(&state));                                                 \
            WRITE(block);                                                                          \
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

static void *shared[SHARED];
static uint64_t started, elapsed;

static void start_clock(void)
{
    started = bare_now();
}

static void stop_clock(void)
{
    elapsed = bare_now() - started;
}

#define HEAP_GET(size) xvm_heap_alloc(heap, (size))
#define HEAP_PUT(block) xvm_heap_free(heap, (block))
#define PEER_GET(size) p->get(size)
#define PEER_PUT(block) p->put(block)

WORKLOADS_OF(of_heap, HEAP_GET, HEAP_PUT)
WORKLOADS_OF(of_peer, PEER_GET, PEER_PUT)

/* Two threads leave blocks in common places and free what they find there. */
typedef struct trade {
    const peer *p;
    bool is_heap;
    size_t count;
} trade;

static void trade_one(void *context, int thread)
{
    trade *t = context;

    if (t->is_heap)
        of_heap_trade(t->p, thread, t->count);
    else
        of_peer_trade(t->p, thread, t->count);
}

static size_t trade_all(const peer *p, bool is_heap)
{
    trade t = {p, is_heap, 500000 / scale};

    start_clock();
    run_together(2, trade_one, &t);
    stop_clock();
    if (is_heap)
        of_heap_clear(p);
    else
        of_peer_clear(p);
    return t.count;
}

static size_t of_heap_larson(const peer *p)
{
    return trade_all(p, true);
}

static size_t of_peer_larson(const peer *p)
{
    return trade_all(p, false);
}

/* One takes, the other frees: through a ring of places. */
enum { RING = 1024 };

typedef struct ring {
    const peer *p;
    bool is_heap;
    size_t count, head, tail;
    void *places[RING];
} ring;

static void produce(ring *r)
{
    for (size_t i = 0; i < r->count; i++) {
        void *block = r->is_heap ? xvm_heap_alloc(heap, 64) : r->p->get(64);

        WRITE(block);
        while (i - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == RING)
            give_way();
        r->places[i % RING] = block;
        __atomic_store_n(&r->head, i + 1, __ATOMIC_RELEASE);
    }
}

static void consume(ring *r)
{
    for (size_t i = 0; i < r->count; i++) {
        while (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == i)
            give_way();
        if (r->is_heap)
            xvm_heap_free(heap, r->places[i % RING]);
        else
            r->p->put(r->places[i % RING]);
        __atomic_store_n(&r->tail, i + 1, __ATOMIC_RELEASE);
    }
}

static void pass_one(void *context, int thread)
{
    if (thread == 0)
        produce(context);
    else
        consume(context);
}

static size_t pass_all(const peer *p, bool is_heap)
{
    static ring r;

    r = (ring){.p = p, .is_heap = is_heap, .count = 1000000 / scale};
    start_clock();
    run_together(2, pass_one, &r);
    stop_clock();
    return r.count;
}

static size_t of_heap_pass(const peer *p)
{
    return pass_all(p, true);
}

static size_t of_peer_pass(const peer *p)
{
    return pass_all(p, false);
}

/* A heap of its own for 10,000 blocks, gone in one piece; others free them one by one. */
static size_t of_heap_whole(const peer *p)
{
    size_t rounds = 50 / scale + 1;
    xvm_heap *common = heap;

    (void)p;
    for (size_t r = 0; r < rounds; r++) {
        if (xvm_heap_create(&heap, NULL) != XVM_OK)
            exit(1);
        for (size_t i = 0; i < SOME; i++)
            WRITE(xvm_heap_alloc(heap, 16 + i % 100));
        xvm_heap_destroy(heap);
    }
    heap = common;
    return rounds * SOME;
}

static size_t of_peer_whole(const peer *p)
{
    size_t rounds = 50 / scale + 1;

    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < SOME; i++)
            WRITE(blocks[i] = p->get(16 + i % 100));
        for (size_t i = 0; i < SOME; i++)
            p->put(blocks[i]);
    }
    return rounds * SOME;
}

/* --- measuring -------------------------------------------------------------------------------- */

typedef struct workload {
    const char *name;
    size_t (*of_heap)(const peer *p), (*of_peer)(const peer *p);
} workload;

static const workload workloads[] = {
    {"32 bytes, one at a time", of_heap_pairs, of_peer_pairs},
    {"32 bytes, 10000, last first", of_heap_lifo, of_peer_lifo},
    {"32 bytes, 10000, first first", of_heap_fifo, of_peer_fifo},
    {"8..1024 bytes, 100000 live, random", of_heap_random, of_peer_random},
    {"16 bytes..4 MiB, 50000 live, random", of_heap_mix, of_peer_mix},
    {"1..64 MiB, first bytes written", of_heap_large, of_peer_large},
    {"1..64 MiB, each page written", of_heap_touched, of_peer_touched},
    {"2 threads free what the other took", of_heap_larson, of_peer_larson},
    {"one thread takes, the other frees", of_heap_pass, of_peer_pass},
    {"10000 blocks, and all of them gone", of_heap_whole, of_peer_whole},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* Nanoseconds for one operation of a side; side 0 is the heap. */
static double run_side(const workload *w, const peer *peers, size_t at)
{
    size_t count;

    elapsed = 0;
    started = bare_now();
    count = at == 0 ? w->of_heap(NULL) : w->of_peer(&peers[at - 1]);
    if (elapsed == 0) /* it did not say which part of it counts */
        stop_clock();
    return (double)elapsed / (double)count;
}

static void measure(const workload *w, const peer *peers, size_t sides, size_t rounds, bool csv)
{
    static double times[MOST_SIDES][ROUNDS], ratios[MOST_SIDES][ROUNDS];

    for (size_t r = 0; r < rounds; r++)
        for (size_t i = 0; i < sides; i++)
            times[(i + r) % sides][r] = run_side(w, peers, (i + r) % sides);
    for (size_t i = 0; i < sides; i++)
        for (size_t r = 0; r < rounds; r++)
            ratios[i][r] = times[i][r] / times[0][r];
    printf(csv ? "%s" : "%-36s", w->name);
    for (size_t i = 0; i < sides; i++)
        printf(csv ? ",%.1f,%.3f" : " %9.1f %5.2f", median(times[i], rounds),
               median(ratios[i], rounds));
    printf("\n");
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    peer peers[MOST_PEERS];
    size_t count = find_peers(peers, argv);

    scale = smoke ? 200 : 1;
    if (xvm_heap_create(&heap, NULL) != XVM_OK)
        return 1;
    printf(csv ? "workload,heap" : "%-36s %15s", "ns for each, ratio to the heap", "heap");
    for (size_t i = 0; i < count; i++)
        printf(csv ? ",%s" : " %15s", peers[i].name);
    printf("\n");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        measure(&workloads[i], peers, count + 1, smoke ? 2 : ROUNDS, csv);
    xvm_heap_destroy(heap);
    return 0;
}

/* pool.c - a pool's get and put beside malloc and free of every allocator that is installed, in one
 * run, taking turns.
 *
 *     pair    get, put, get, put ...
 *     lifo    64 gets, 64 puts from the last to the first
 *     random  of 1024 blocks that are out one by chance is put, and one is had in its place
 *
 *   1  Every block is written to once.
 *   2  Times are for one get and one put, the median of the rounds; with two threads, of the slower
 *      one. Ratios are medians of the ratios in each round: above 1 the pool is faster.
 *   3  Beside the allocators stand a list through the blocks that checks nothing, which is what
 *      detection costs, and for two threads a pool without lanes.
 *
 * usage: xvm_bench_pool [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "peers.h"
#include "xvm/xvm.h"

enum {
    ROUNDS = 51,
    PAIRS = 20000,
    SMOKE_PAIRS = 640,
    DEEP = 64,
    SLOTS = 1024,
    MOST_THREADS = 2,
    MOST_SIDES = MOST_PEERS + 3
};

typedef enum pattern { PAIR, LIFO, RANDOM, PATTERNS } pattern;

static const char *const pattern_names[] = {"pair", "lifo", "random"};

/* A list through blocks of a region: no check, no growth. */
typedef struct bare_list {
    void *head;
} bare_list;

typedef struct side side;
struct side {
    const char *name;
    uint64_t (*run)(const side *s, pattern p, size_t pairs, void **slots); /* nanoseconds */
    peer peer;
    xvm_pool *pool;
    bare_list *list;
};

/* What a measurement is, for all its threads. */
typedef struct measure {
    side sides[MOST_SIDES];
    size_t count, size, pairs, rounds;
    pattern pattern;
    int threads, waiting, turn; /* the last two: a meeting of all threads */
    double times[MOST_THREADS][MOST_SIDES][ROUNDS];
} measure;

/* --- the patterns, once for each kind of side, so that inline functions are inline ------------- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

#define WRITE(block) (*(volatile uint32_t *)(block) = 1)

#define PATTERNS_OF(name, GET, PUT)                                                                \
    static uint64_t name##_pair(const side *s, size_t pairs)                                       \
    {                                                                                              \
        uint64_t start = bare_now();                                                               \
        for (size_t i = 0; i < pairs; i++) {                                                       \
            void *block = GET;                                                                     \
            WRITE(block);                                                                          \
            PUT;                                                                                   \
        }                                                                                          \
        return bare_now() - start;                                                                 \
    }                                                                                              \
    static uint64_t name##_lifo(const side *s, size_t pairs)                                       \
    {                                                                                              \
        void *blocks[DEEP];                                                                        \
        uint64_t start = bare_now();                                                               \
        for (size_t i = 0; i < pairs; i += DEEP) {                                                 \
            for (size_t k = 0; k < DEEP; k++) {                                                    \
                blocks[k] = GET;                                                                   \
                WRITE(blocks[k]);                                                                  \
            }                                                                                      \
            for (size_t k = DEEP; k > 0; k--) {                                                    \
                void *block = blocks[k - 1];                                                       \
                PUT;                                                                               \
            }                                                                                      \
        }                                                                                          \
        return bare_now() - start;                                                                 \
    }                                                                                              \
    static uint64_t name##_random(const side *s, size_t pairs, void **slots)                       \
    {                                                                                              \
        uint32_t state = 2463534242u;                                                              \
        uint64_t start, end;                                                                       \
        for (size_t k = 0; k < SLOTS; k++)                                                         \
            slots[k] = GET;                                                                        \
        start = bare_now();                                                                        \
        for (size_t i = 0; i < pairs; i++) {                                                       \
            void **slot = &slots[next_random(&state) % SLOTS];                                     \
            void *block = *slot;                                                                   \
            PUT;                                                                                   \
            *slot = GET;                                                                           \
            WRITE(*slot);                                                                          \
        }                                                                                          \
        end = bare_now();                                                                          \
        for (size_t k = 0; k < SLOTS; k++) {                                                       \
            void *block = slots[k];                                                                \
            PUT;                                                                                   \
        }                                                                                          \
        return end - start;                                                                        \
    }                                                                                              \
    static uint64_t name(const side *s, pattern p, size_t pairs, void **slots)                     \
    {                                                                                              \
        return p == PAIR   ? name##_pair(s, pairs)                                                 \
               : p == LIFO ? name##_lifo(s, pairs)                                                 \
                           : name##_random(s, pairs, slots);                                       \
    }

static size_t block_size;

static void *list_get(bare_list *l)
{
    void *block = l->head;

    l->head = *(void **)block;
    return block;
}

static void list_put(bare_list *l, void *block)
{
    *(void **)block = l->head;
    l->head = block;
}

PATTERNS_OF(run_peer, s->peer.get(block_size), s->peer.put(block))
PATTERNS_OF(run_pool, xvm_pool_get(s->pool), (void)xvm_pool_put(s->pool, block))
PATTERNS_OF(run_list, list_get(s->list), list_put(s->list, block))

/* --- measuring -------------------------------------------------------------------------------- */

static void meet(measure *m)
{
    int turn = __atomic_load_n(&m->turn, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&m->waiting, 1, __ATOMIC_ACQ_REL) == m->threads) {
        __atomic_store_n(&m->waiting, 0, __ATOMIC_RELAXED);
        __atomic_add_fetch(&m->turn, 1, __ATOMIC_RELEASE);
        return;
    }
    for (unsigned spins = 0; __atomic_load_n(&m->turn, __ATOMIC_ACQUIRE) == turn; spins++)
        if (spins % 1000 == 999)
            give_way();
}

/* One thread's half: all sides in each round, another one first each time. */
static void run_rounds(void *context, int thread)
{
    measure *m = context;
    void **slots = calloc(SLOTS, sizeof *slots);

    if (slots == NULL)
        exit(1);
    for (size_t round = 0; round < m->rounds; round++) {
        for (size_t i = 0; i < m->count; i++) {
            size_t at = (i + round) % m->count;
            uint64_t time;

            meet(m);
            time = m->sides[at].run(&m->sides[at], m->pattern, m->pairs, slots);
            m->times[thread][at][round] = (double)time / (double)m->pairs;
        }
    }
    free(slots);
}

/* The slower thread counts; side 0 is the pool. */
static void evaluate(measure *m, double *times, double *ratios)
{
    static double slower[MOST_SIDES][ROUNDS], ratio[ROUNDS];

    for (size_t i = 0; i < m->count; i++)
        for (size_t r = 0; r < m->rounds; r++) {
            slower[i][r] = m->times[0][i][r];
            if (m->threads > 1 && m->times[1][i][r] > slower[i][r])
                slower[i][r] = m->times[1][i][r];
        }
    for (size_t i = 0; i < m->count; i++) {
        for (size_t r = 0; r < m->rounds; r++)
            ratio[r] = slower[i][r] / slower[0][r];
        ratios[i] = median(ratio, m->rounds);
    }
    for (size_t i = 0; i < m->count; i++)
        times[i] = median(slower[i], m->rounds);
}

static void print(const measure *m, const double *times, const double *ratios, bool csv)
{
    const char *name = pattern_names[m->pattern];

    if (!csv)
        printf("%d  %-7s %5zu", m->threads, name, m->size);
    for (size_t i = 0; i < m->count; i++)
        if (csv)
            printf("%d,%s,%zu,%s,%.2f,%.3f\n", m->threads, name, m->size, m->sides[i].name,
                   times[i], ratios[i]);
        else
            printf("  %6.1f %5.2f", times[i], ratios[i]);
    if (!csv)
        printf("\n");
}

static void print_head(const measure *m, bool csv)
{
    if (csv) {
        printf("threads,pattern,bytes,side,ns,ratio\n");
        return;
    }
    printf("\n%-16s", "threads    bytes");
    for (size_t i = 0; i < m->count; i++)
        printf("  %12s", m->sides[i].name);
    printf("\n");
}

/* --- the sides -------------------------------------------------------------------------------- */

enum { BLOCKS = 8192 };

static void add_pool(measure *m, const char *name, xvm_pool *pool, unsigned flags)
{
    xvm_pool_options o = {.flags = flags};

    must(xvm_pool_create(pool, m->size, 16, BLOCKS, &o), "xvm_pool_create");
    m->sides[m->count++] = (side){.name = name, .run = run_pool, .pool = pool};
}

static void add_list(measure *m, xvm_region *region, bare_list *list)
{
    must(xvm_reserve(region, BLOCKS * m->size, NULL), "xvm_reserve");
    must(xvm_commit(region, 0, region->size), "xvm_commit");
    for (size_t i = BLOCKS; i > 0; i--)
        list_put(list, (unsigned char *)region->base + (i - 1) * m->size);
    m->sides[m->count++] = (side){.name = "bare list", .run = run_list, .list = list};
}

static void measure_size(int threads, size_t size, const peer *peers, size_t peer_count, bool csv,
                         bool smoke)
{
    static measure m;
    xvm_pool pool, other = {0};
    xvm_region region = {0};
    bare_list list = {0};

    m = (measure){.size = size, .threads = threads, .rounds = smoke ? 3 : ROUNDS};
    m.pairs = smoke ? SMOKE_PAIRS : PAIRS;
    block_size = size;
    add_pool(&m, "pool", &pool, threads > 1 ? XVM_POOL_SHARED : 0);
    for (size_t i = 0; i < peer_count; i++)
        m.sides[m.count++] = (side){.name = peers[i].name, .run = run_peer, .peer = peers[i]};
    if (threads > 1)
        add_pool(&m, "no lanes", &other, XVM_POOL_SHARED | XVM_POOL_REALTIME);
    else
        add_list(&m, &region, &list);
    if (size == 16)
        print_head(&m, csv);
    for (m.pattern = PAIR; m.pattern < PATTERNS; m.pattern++) {
        double times[MOST_SIDES], ratios[MOST_SIDES];

        run_together(threads, run_rounds, &m);
        evaluate(&m, times, ratios);
        print(&m, times, ratios, csv);
    }
    xvm_pool_destroy(&pool);
    xvm_pool_destroy(&other);
    (void)xvm_release(&region);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {16, 64, 256, 4 << 10};
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    peer peers[MOST_PEERS];
    size_t count = find_peers(peers, argv);

    for (int threads = 1; threads <= MOST_THREADS; threads++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            measure_size(threads, sizes[i], peers, count, csv, smoke);
    return 0;
}

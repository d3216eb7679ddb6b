/* heap_latency.c - the slowest calls of a real-time heap, beside other allocators.
 *
 *     replay 1   | op 1: 31 ns | op 2: 28 ns | op 3: 940 ns | ...
 *     replay 2   | op 1: 30 ns | op 2: 29 ns | op 3:  33 ns | ...      the same operations
 *     least          30            28               33                what the allocator itself needs
 *
 *   1  Each operation counts with the least time that it took in seven replays: what others did to the
 *      machine meanwhile is not in it, what the allocator always does at that point is.
 *   2  Memory is committed, touched and locked before; each replay begins with an empty heap.
 *   3  What reading the clock takes is subtracted.
 *
 * TLSF and o1heap take part where CMake was told of their sources: -DXVM_BENCH_TLSF=<folder>,
 * -DXVM_BENCH_O1HEAP=<folder>.
 *
 * usage: xvm_bench_heap_latency [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "peers.h"
#include "pools.h"
#include "sizes.h"
#include "xvm/xvm.h"

enum { REPLAYS = 7, LIVE = 10000, MOST = 400000, MiB = 1 << 20, POOL = 192 * MiB };

static xvm_heap *heap;
static xvm_region memory; /* of the others */
static void *blocks[LIVE];
static uint32_t takes[MOST], frees[MOST]; /* the least time of each */
static size_t count = MOST, take_count, free_count;
static uint32_t clock_cost;

static void begin_heap(void *unused, size_t size)
{
    (void)unused;
    (void)size;
    xvm_heap_clear(heap);
}

static void *get_heap(size_t size)
{
    return xvm_heap_alloc(heap, size);
}

static void put_heap(void *block)
{
    xvm_heap_free(heap, block);
}

/* 80 % up to 256 bytes, 15 % to 4 KiB, 5 % to 64 KiB. */
static size_t pick_size(uint32_t *state)
{
    uint32_t kind = next_random(state) % 100;

    if (kind < 80)
        return 16 + next_random(state) % 241;
    return 16 + next_random(state) % (kind < 95 ? 4 << 10 : 64 << 10);
}

static void note(uint32_t *least, size_t at, uint64_t from, uint64_t to)
{
    uint32_t time = (uint32_t)(to - from);

    time = time > clock_cost ? time - clock_cost : 0;
    least[at] = time < least[at] ? time : least[at];
}

static void take(const rt_pool *p, void **slot, uint32_t *state)
{
    size_t size = pick_size(state);
    uint64_t from = bare_now(), to;

    *slot = p->get(size);
    to = bare_now();
    if (*slot == NULL) {
        fprintf(stderr, "%s is full\n", p->name);
        exit(1);
    }
    *(volatile uint32_t *)*slot = 1;
    note(takes, take_count++, from, to);
}

static void drop(const rt_pool *p, void **slot)
{
    uint64_t from = bare_now(), to;

    p->put(*slot);
    to = bare_now();
    *slot = NULL;
    note(frees, free_count++, from, to);
}

/* Each slot in turn taken and freed, at random. */
static void replay(const rt_pool *p)
{
    uint32_t state = 362436069u;

    take_count = free_count = 0;
    if (p->begin != NULL)
        p->begin(memory.base, memory.size);
    for (size_t i = 0; i < count; i++) {
        void **slot = &blocks[next_random(&state) % LIVE];

        if (*slot == NULL)
            take(p, slot, &state);
        else
            drop(p, slot);
    }
    for (size_t i = 0; i < LIVE; i++)
        if (blocks[i] != NULL)
            p->put(blocks[i]);
    memset(blocks, 0, sizeof blocks);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_row(const char *name, const char *call, uint32_t *times, size_t n, bool csv)
{
    qsort(times, n, sizeof *times, compare);
    printf(csv ? "%s,%s,%u,%u,%u,%u,%u\n" : "%-12s %-6s %8u %8u %8u %8u %8u\n", name, call,
           times[n / 2], times[n - 1 - n / 100], times[n - 1 - n / 1000], times[n - 1 - n / 10000],
           times[n - 1]);
}

static void measure(const rt_pool *p, int replays, bool csv)
{
    memset(takes, 0xff, sizeof takes);
    memset(frees, 0xff, sizeof frees);
    for (int i = 0; i < replays; i++)
        replay(p);
    print_row(p->name, "take", takes, take_count, csv);
    print_row(p->name, "free", frees, free_count, csv);
}

static void read_clock_cost(void)
{
    clock_cost = UINT32_MAX;
    for (int i = 0; i < 10000; i++) {
        uint64_t from = bare_now(), cost = bare_now() - from;

        clock_cost = cost < clock_cost ? (uint32_t)cost : clock_cost;
    }
}

/* Locked where the process may. */
static bool prepare(void)
{
    xvm_heap_options real_time = {.max_size = POOL, .flags = XVM_HEAP_REALTIME};
    xvm_heap_options touched = {.max_size = POOL,
                                .initial_size = POOL / 2,
                                .trim_threshold = SIZE_MAX,
                                .flags = XVM_HEAP_PREFAULT};

    if (xvm_reserve(&memory, POOL, NULL) != XVM_OK || xvm_commit(&memory, 0, POOL) != XVM_OK ||
        xvm_prefault(&memory, 0, POOL) != XVM_OK)
        return false;
    if (xvm_heap_create(&heap, &real_time) == XVM_OK)
        return xvm_lock(&memory, 0, POOL) == XVM_OK;
    printf("memory is not locked: no permission\n");
    return xvm_heap_create(&heap, &touched) == XVM_OK;
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    rt_pool pools[MOST_PEERS + 3] = {{"heap", begin_heap, get_heap, put_heap}};
    peer peers[MOST_PEERS];
    size_t sides = 1, found = find_peers(peers, argv);

    if (!prepare())
        return 1;
    sides += find_tlsf(&pools[sides]);
    sides += find_o1heap(&pools[sides]);
    for (size_t i = 0; i < found; i++)
        pools[sides++] = (rt_pool){peers[i].name, NULL, peers[i].get, peers[i].put};
    count = smoke ? 20000 : MOST;
    read_clock_cost();
    printf(csv ? "side,call,p50,p99,p99.9,p99.99,max\n" : "%-12s %-6s %8s %8s %8s %8s %8s\n", "ns",
           "", "p50", "p99", "p99.9", "p99.99", "max");
    for (size_t i = 0; i < sides; i++)
        measure(&pools[i], smoke ? 2 : REPLAYS, csv);
    xvm_heap_destroy(heap);
    (void)xvm_release(&memory);
    return 0;
}

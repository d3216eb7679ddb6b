/* o1heap.c - o1heap by Pavel Kirienko, from the folder XVM_BENCH_O1HEAP. */
#include <o1heap.h>

#include "pools.h"

static O1HeapInstance *now;

static void begin(void *memory, size_t size)
{
    now = o1heapInit(memory, size);
}

static void *get(size_t size)
{
    return o1heapAllocate(now, size);
}

static void put(void *block)
{
    o1heapFree(now, block);
}

size_t find_o1heap(rt_pool *pool)
{
    *pool = (rt_pool){"o1heap", begin, get, put};
    return 1;
}

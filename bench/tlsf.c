/* tlsf.c - TLSF by Matthew Conte, from the folder XVM_BENCH_TLSF. */
#include <tlsf.h>

#include "pools.h"

static tlsf_t now;

static void begin(void *memory, size_t size)
{
    now = tlsf_create_with_pool(memory, size);
}

static void *get(size_t size)
{
    return tlsf_malloc(now, size);
}

static void put(void *block)
{
    tlsf_free(now, block);
}

size_t find_tlsf(rt_pool *pool)
{
    *pool = (rt_pool){"TLSF", begin, get, put};
    return 1;
}

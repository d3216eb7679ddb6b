/* pools.h - allocators for real time that are no packages: measured where their sources were given. */
#ifndef XVM_BENCH_POOLS_H
#define XVM_BENCH_POOLS_H

#include <stddef.h>

typedef struct rt_pool {
    const char *name;
    void (*begin)(void *memory, size_t size); /* anew, all of it free */
    void *(*get)(size_t size);
    void (*put)(void *block);
} rt_pool;

/* Fills one; 0: it is not there. */
size_t find_tlsf(rt_pool *pool);
size_t find_o1heap(rt_pool *pool);

#endif

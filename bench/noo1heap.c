/* noo1heap.c - without o1heap. */
#include "pools.h"

size_t find_o1heap(rt_pool *pool)
{
    (void)pool;
    return 0;
}

/* notlsf.c - without tlsf. */
#include "pools.h"

size_t find_tlsf(rt_pool *pool)
{
    (void)pool;
    return 0;
}

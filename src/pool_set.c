/* pool_set.c - pools of several sizes: the smallest that fits is asked first. */
#include <stdbool.h>
#include <stddef.h>

#include "pool.h"
#include "xvm/pool.h"

static bool are_rising(const xvm_pool_set_size *sizes, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (sizes[i].block_size <= sizes[i - 1].block_size)
            return false;
    return true;
}

static xvm_status create_next(xvm_pool_set *set, const xvm_pool_set_size *size, xvm_pool_options *o)
{
    xvm_pool *pool = &set->pools[set->count];
    xvm_status status =
        xvm_pool_create(pool, size->block_size, size->alignment, size->max_blocks, o);

    if (status != XVM_OK)
        return status;
    if (o->growth.region != NULL)
        o->growth.offset +=
            xvm_pool_footprint(size->block_size, size->alignment, size->max_blocks, o);
    set->count++;
    return XVM_OK;
}

xvm_status xvm_pool_set_create(xvm_pool_set *set, const xvm_pool_set_size *sizes, size_t count,
                               const xvm_pool_set_options *options)
{
    xvm_pool_options o = {0};
    xvm_status status = XVM_OK;

    if (set != NULL)
        *set = (xvm_pool_set){0};
    if (set == NULL || sizes == NULL || count == 0 || count > XVM_POOL_SET_MOST ||
        !are_rising(sizes, count))
        return xvm_os_pool_refuse("pool_set_create", NULL, count, XVM_E_INVALID);
    if (options != NULL) {
        o = (xvm_pool_options){options->flags, options->growth};
        set->fall_through = options->fall_through;
    }
    for (size_t i = 0; i < count && status == XVM_OK; i++)
        status = create_next(set, &sizes[i], &o);
    if (status != XVM_OK)
        xvm_pool_set_destroy(set);
    return status;
}

void xvm_pool_set_destroy(xvm_pool_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        xvm_pool_destroy(&set->pools[i]);
    *set = (xvm_pool_set){0};
}

void *xvm_pool_set_get(xvm_pool_set *set, size_t size)
{
    void *block = NULL;
    size_t i = 0;

    while (i < set->count && set->pools[i].block_size < size)
        i++;
    if (i == set->count)
        (void)xvm_os_pool_refuse("pool_set_get", NULL, size, XVM_E_ADDRESS_SPACE);
    for (; i < set->count && block == NULL; i++) {
        block = xvm_pool_get(&set->pools[i]);
        if (set->fall_through == 0)
            break;
    }
    return block;
}

xvm_pool *xvm_pool_set_find(xvm_pool_set *set, const void *address)
{
    for (size_t i = 0; i < set->count; i++)
        if (xvm_pool_owns(&set->pools[i], address))
            return &set->pools[i];
    return NULL;
}

xvm_status xvm_pool_set_put(xvm_pool_set *set, void *block)
{
    xvm_pool *pool = xvm_pool_set_find(set, block);

    if (block == NULL)
        return XVM_OK;
    if (pool == NULL)
        return xvm_os_pool_refuse("pool_set_put", block, 0, XVM_E_INVALID);
    return xvm_pool_put(pool, block);
}

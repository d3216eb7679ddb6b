/* pool.c - blocks of one size: got, put, put by mistake, by handle, of several sizes, as 32 bits. */
#include <stdio.h>
#include <xvm/xvm.h>

typedef struct particle {
    float x, y, speed;
    xvm_offset next;
} particle;

static int handles(void)
{
    xvm_pool_options options = {.flags = XVM_POOL_HANDLES};
    xvm_pool players;

    if (xvm_pool_create(&players, 64, 0, 1000, &options) != XVM_OK)
        return 1;
    xvm_pool_handle target = xvm_pool_get_handle(&players); /* 32 bits, for others to keep */
    xvm_pool_put_handle(&players, target);
    void *other = xvm_pool_get(&players); /* the same memory, another player */
    if (other != NULL && xvm_pool_resolve(&players, target) == NULL)
        puts("the target is gone");
    xvm_pool_destroy(&players);
    return 0;
}

static int several_sizes(void)
{
    static const xvm_pool_set_size sizes[] = {{32, 0, 1000}, {256, 0, 100}, {2048, 0, 10}};
    static xvm_pool_set set; /* 13 KiB: not for a small stack */

    if (xvm_pool_set_create(&set, sizes, 3, NULL) != XVM_OK)
        return 1;
    void *message = xvm_pool_set_get(&set, 100); /* one of the 256 */
    printf("%zu bytes for 100\n", xvm_pool_set_find(&set, message)->block_size);
    xvm_pool_set_put(&set, message);
    xvm_pool_set_destroy(&set);
    return 0;
}

int main(void)
{
    xvm_pool pool;

    if (xvm_pool_create(&pool, sizeof(particle), 0, 1000000, NULL) != XVM_OK)
        return 1; /* nothing is committed yet */
    particle *a = xvm_pool_get_zeroed(&pool), *b = xvm_pool_get(&pool);
    if (a == NULL || b == NULL)
        return 1;
    a->next = xvm_pack(pool.base, b, 4); /* half a pointer; holds when the pool is elsewhere */
    *b = (particle){1, 2, 3, 0};
    particle *next = xvm_unpack(pool.base, a->next, 4);
    printf("next is at %g, %g\n", next->x, next->y);

    xvm_pool_put(&pool, b);
    if (xvm_pool_put(&pool, b) == XVM_E_INVALID && xvm_pool_put(&pool, &pool) == XVM_E_INVALID)
        puts("put twice, and of something else: refused, nothing happened");
    xvm_pool_destroy(&pool);
    return handles() + several_sizes();
}

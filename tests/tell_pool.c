/* tell_pool.c - touches of blocks that are not out, which a tool that watches memory must report:
 * ExpectReport.cmake runs each case under it. Without a tool they do no harm. */
#include <stdio.h>
#include <string.h>

#include "xvm/xvm.h"

typedef struct tell_case {
    const char *name;
    void (*run)(xvm_pool *pool);
} tell_case;

enum { SIZE = 40, COUNT = 100 };

static int touch(volatile unsigned char *address)
{
    int byte;

    fputs("about to touch\n", stderr);
    fflush(stderr);
    byte = *address;
    if (byte != 0) /* Valgrind reports what depends on a byte that was never written */
        fputs("not zero\n", stderr);
    fputs("survived\n", stderr);
    return byte;
}

#define TELL(name) static void name(xvm_pool *pool)

TELL(after_put)
{
    unsigned char *block = xvm_pool_get_zeroed(pool);

    if (xvm_pool_put(pool, block) == XVM_OK)
        touch(block);
}

TELL(behind_the_end)
{
    unsigned char *block = xvm_pool_get_zeroed(pool);

    touch(block + SIZE);
}

TELL(before_the_beginning)
{
    unsigned char *first = xvm_pool_get_zeroed(pool), *block = xvm_pool_get_zeroed(pool);

    touch((block > first ? block : first) - 1);
}

TELL(after_clear)
{
    unsigned char *block = xvm_pool_get_zeroed(pool);

    xvm_pool_clear(pool);
    touch(block);
}

TELL(before_get)
{
    unsigned char *block = xvm_pool_get_zeroed(pool);

    touch(block + pool->stride);
}

TELL(after_trim)
{
    unsigned char *block = xvm_pool_get_zeroed(pool), *last = xvm_pool_get_zeroed(pool);

    if (xvm_pool_put(pool, last) == XVM_OK && xvm_pool_trim(pool) != SIZE_MAX && *block == 0)
        touch(last);
}

/* What must not be reported: everything that is allowed, and memory that came back. */
TELL(nothing)
{
    for (int round = 0; round < 3; round++) {
        unsigned char *blocks[COUNT];
        xvm_region r;

        for (int i = 0; i < COUNT; i++) {
            blocks[i] = i % 2 != 0 ? xvm_pool_get(pool) : xvm_pool_get_zeroed(pool);
            memset(blocks[i], i, SIZE);
        }
        for (int i = 0; i < COUNT; i++)
            if (blocks[i][SIZE - 1] != i || xvm_pool_put(pool, blocks[i]) != XVM_OK)
                return;
        if (round == 0)
            xvm_pool_clear(pool);
        if (round == 1)
            (void)xvm_pool_trim(pool);
        if (xvm_pool_check(pool) != XVM_OK)
            return;
        xvm_pool_destroy(pool);
        if (xvm_reserve(&r, (size_t)1 << 20, NULL) != XVM_OK || xvm_commit(&r, 0, r.size) != XVM_OK)
            return;
        memset(r.base, 1, r.size);
        if (xvm_release(&r) != XVM_OK || xvm_pool_create(pool, SIZE, 8, COUNT, NULL) != XVM_OK)
            return;
    }
    fputs("about to touch\nsurvived\n", stderr);
}

static const tell_case cases[] = {
    {"after_put", after_put},     {"behind_the_end", behind_the_end},
    {"after_clear", after_clear}, {"before_the_beginning", before_the_beginning},
    {"before_get", before_get},   {"after_trim", after_trim},
    {"nothing", nothing},
};

int main(int argc, char **argv)
{
    xvm_pool pool;

    if (argc < 2 || xvm_pool_create(&pool, SIZE, 8, COUNT, NULL) != XVM_OK)
        return 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            cases[i].run(&pool);
    xvm_pool_destroy(&pool);
    return 0;
}

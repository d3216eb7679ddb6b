/* crash.c - accesses that must end the program, without a handler in the way. ExpectCrash.cmake
 * runs each case and wants to see that the access was reached and not survived. */
#include <stdio.h>
#include <string.h>

#include "xvm/xvm.h"

typedef struct crash_case {
    const char *name;
    void (*run)(xvm_region *r);
} crash_case;

static void touch(volatile unsigned char *address)
{
    fputs("about to fault\n", stderr);
    fflush(stderr);
    *address = 1;
    fputs("survived\n", stderr);
}

#define CRASH(name) static void name(xvm_region *r)

CRASH(write_to_reserved)
{
    touch(r->base);
}

CRASH(write_to_decommitted)
{
    if (xvm_commit(r, 0, r->size) == XVM_OK && memset(r->base, 1, r->size) == r->base &&
        xvm_decommit(r, 0, r->size) == XVM_OK)
        touch(r->base);
}

CRASH(write_to_read_only)
{
    if (xvm_commit(r, 0, r->size) == XVM_OK && xvm_protect(r, 0, r->size, XVM_READ) == XVM_OK)
        touch(r->base);
}

CRASH(write_to_no_access)
{
    if (xvm_commit(r, 0, r->size) == XVM_OK && xvm_protect(r, 0, r->size, XVM_NO_ACCESS) == XVM_OK)
        touch(r->base);
}

CRASH(write_behind_the_end)
{
    if (xvm_commit(r, 0, r->size) == XVM_OK)
        touch((unsigned char *)r->base + r->size);
}

CRASH(write_after_release)
{
    unsigned char *base = r->base;

    if (xvm_commit(r, 0, r->size) == XVM_OK && xvm_release(r) == XVM_OK)
        touch(base);
}

CRASH(write_to_a_view_for_reading)
{
    xvm_map_options reading = {.protection = XVM_READ};
    xvm_region view = {0};
    xvm_share share;

    (void)r;
    if (xvm_share_create(&share, 1, NULL) == XVM_OK &&
        xvm_share_map(&share, 0, 0, &reading, &view, 0) == XVM_OK)
        touch(view.base);
}

CRASH(write_to_an_unmapped_view)
{
    xvm_region view = {0};
    unsigned char *base;
    xvm_share share;

    (void)r;
    if (xvm_share_create(&share, 1, NULL) != XVM_OK ||
        xvm_share_map(&share, 0, 0, NULL, &view, 0) != XVM_OK)
        return;
    base = view.base;
    if (xvm_share_unmap(&view, 0, view.size) == XVM_OK)
        touch(base);
}

static const crash_case cases[] = {
    {"write_to_a_view_for_reading", write_to_a_view_for_reading},
    {"write_to_an_unmapped_view", write_to_an_unmapped_view},
    {"write_to_reserved", write_to_reserved},
    {"write_to_decommitted", write_to_decommitted},
    {"write_to_read_only", write_to_read_only},
    {"write_to_no_access", write_to_no_access},
    {"write_behind_the_end", write_behind_the_end},
    {"write_after_release", write_after_release},
};

int main(int argc, char **argv)
{
    xvm_region r;

    if (argc < 2 || xvm_reserve(&r, 16 * xvm_page_size(), NULL) != XVM_OK)
        return 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            cases[i].run(&r);
    return 0;
}

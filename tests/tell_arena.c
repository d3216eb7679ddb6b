/* tell_arena.c - accesses to bytes that a structure has not handed out, or taken back: inside its committed
 * memory, so that no fault ends the program. Only a tool can: AddressSanitizer or Valgrind.
 *
 * usage: xvm_tell_arena <case>, by ExpectReport.cmake; "nothing" is all that must not be reported
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xvm/xvm.h"

enum { SIZE = 100 };

typedef struct tell_case {
    const char *name;
    void (*run)(xvm_arena *a);
} tell_case;

static void touch(volatile unsigned char *address)
{
    fputs("about to touch\n", stderr);
    fflush(stderr);
    *address = 1;
}

#define TELL(name) static void name(xvm_arena *a)

TELL(behind_a_block)
{
    unsigned char *block = xvm_arena_alloc(a, 6 * XVM_ARENA_ALIGNMENT, 0);

    (void)xvm_arena_alloc(a, SIZE, 0); /* without a gap it would begin where the first one ends */
    touch(block + 6 * XVM_ARENA_ALIGNMENT);
}

TELL(behind_an_odd_block)
{
    unsigned char *block = xvm_arena_alloc_zeroed(a, SIZE - 1, 8);

    touch(block + SIZE - 1);
}

TELL(after_rewind)
{
    size_t mark = xvm_arena_mark(a);
    unsigned char *block = xvm_arena_alloc(a, SIZE, 0);

    if (xvm_arena_rewind(a, mark) == XVM_OK)
        touch(block);
}

TELL(after_clear)
{
    unsigned char *block = xvm_arena_alloc(a, SIZE, 0);

    xvm_arena_clear(a);
    touch(block + SIZE - 1);
}

TELL(after_scope)
{
    unsigned char *block = NULL;

    XVM_ARENA_SCOPE(a)
    block = xvm_arena_alloc(a, SIZE, 0);
    touch(block);
}

TELL(after_shrinking)
{
    unsigned char *block = xvm_arena_alloc(a, SIZE, 0);

    if (xvm_arena_extend(a, block, SIZE, 10))
        touch(block + 10);
}

TELL(behind_an_extension)
{
    unsigned char *block = xvm_arena_alloc(a, SIZE, 0);

    if (xvm_arena_extend(a, block, SIZE, 2 * SIZE))
        touch(block + 2 * SIZE);
}

TELL(before_anything)
{
    unsigned char *block = xvm_arena_alloc(a, SIZE, 0);

    touch(block + 1000);
}

TELL(scratch_after_scope)
{
    xvm_arena_scope scope = xvm_scratch(&a, 1);
    unsigned char *block = xvm_arena_alloc(scope.arena, SIZE, 0);

    (void)xvm_arena_scope_end(&scope);
    touch(block);
}

/* What is right is not reported: all that is handed out, and memory that somebody else has next. */
static void use_rightly(xvm_arena *a)
{
    unsigned char *block;

    for (size_t size = 1; size < 5000; size += 17) {
        size_t mark = xvm_arena_mark(a);

        memset(xvm_arena_alloc(a, size, 0), 1, size);
        block = xvm_arena_alloc_zeroed(a, size, 1);
        if (block[size - 1] != 0 || block[0] != 0) {
            fputs("not zero\n", stderr);
            exit(1);
        }
        if (xvm_arena_extend(a, block, size, 2 * size))
            memset(block, 1, 2 * size);
        if (size % 2 == 0)
            (void)xvm_arena_rewind(a, mark);
        if (size % 5 == 0)
            (void)xvm_arena_trim(a);
    }
    xvm_arena_clear(a);
}

/* The addresses of an arena, and then its memory in a region of ours, without it. */
static void use_again(void)
{
    const void *address;
    xvm_region r;
    xvm_arena a;

    if (xvm_arena_create(&a, 1 << 20, NULL) != XVM_OK)
        return;
    (void)xvm_arena_alloc(&a, SIZE, 0);
    address = a.memory.base;
    xvm_arena_destroy(&a);
    if (xvm_reserve(&r, 1 << 20, &(xvm_reserve_options){.address = address}) != XVM_OK ||
        xvm_commit(&r, 0, r.size) != XVM_OK)
        return;
    memset(r.base, 1, r.size);
    if (xvm_decommit(&r, 0, r.size) == XVM_OK &&
        xvm_arena_create(&a, 1 << 19, &(xvm_arena_options){.growth = {.region = &r}}) == XVM_OK) {
        (void)xvm_arena_alloc(&a, 1 << 18, 0);
        xvm_arena_clear(&a);
        (void)xvm_arena_trim(&a);
        if (xvm_commit(&r, 0, r.size) == XVM_OK)
            memset(r.base, 1, r.size);
        xvm_arena_destroy(&a);
        if (xvm_commit(&r, 0, r.size) == XVM_OK)
            memset(r.base, 1, r.size);
    }
    (void)xvm_release(&r);
}

TELL(nothing)
{
    fputs("about to touch\n", stderr);
    use_rightly(a);
    use_again();
}

static const tell_case cases[] = {
    {"behind_a_block", behind_a_block},
    {"behind_an_odd_block", behind_an_odd_block},
    {"after_rewind", after_rewind},
    {"after_clear", after_clear},
    {"after_scope", after_scope},
    {"after_shrinking", after_shrinking},
    {"behind_an_extension", behind_an_extension},
    {"before_anything", before_anything},
    {"scratch_after_scope", scratch_after_scope},
    {"nothing", nothing},
};

int main(int argc, char **argv)
{
    xvm_arena a;

    if (xvm_arena_create(&a, 4 << 20, NULL) != XVM_OK)
        return 1;
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            cases[i].run(&a);
    xvm_arena_destroy(&a);
    return 0;
}

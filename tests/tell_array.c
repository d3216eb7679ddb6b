/* tell_array.c - accesses that a tool must report, AddressSanitizer or Valgrind: of elements of an
 * array that are not in use. ExpectReport.cmake runs each case and wants to see the report. With
 * "nothing" nothing wrong is done, and nothing may be reported. */
#include <stdio.h>
#include <string.h>

#include "xvm/xvm.h"

enum { COUNT = 100000 };

typedef XVM_ARRAY(int) ints;

typedef struct tell_case {
    const char *name;
    void (*run)(ints *a);
} tell_case;

static void touch(const volatile int *address)
{
    fputs("about to touch\n", stderr);
    fflush(stderr);
    if (*address != 0)
        fputs("not zero\n", stderr);
}

#define TELL(name) static void name(ints *a)

TELL(read_behind_the_last)
{
    touch(a->data + a->array.count);
}

TELL(read_after_pop)
{
    xvm_array_pop(&a->array, 10);
    touch(a->data + COUNT - 10);
}

TELL(read_after_remove)
{
    xvm_array_remove(&a->array, 0, 1);
    touch(a->data + COUNT - 1);
}

TELL(read_after_shortening)
{
    if (xvm_array_resize(&a->array, 7))
        touch(a->data + 7);
}

TELL(read_after_clear)
{
    xvm_array_clear(&a->array);
    touch(a->data);
}

TELL(read_behind_the_last_after_trim)
{
    xvm_array_pop(&a->array, COUNT - 1);
    xvm_array_trim(&a->array);
    touch(a->data + 1);
}

TELL(read_of_what_is_ensured)
{
    if (xvm_array_ensure(&a->array, 2 * COUNT))
        touch(a->data + COUNT + 1);
}

/* The same addresses once more, by others, after each way of giving them back. */
TELL(nothing)
{
    static xvm_region r;
    size_t size = a->array.growth.reserved;
    void *base = a->data;

    touch(a->data + COUNT - 1);
    xvm_array_pop(&a->array, 10);
    if (xvm_push(a, 0) == NULL || !xvm_array_resize(&a->array, COUNT))
        return;
    touch(a->data + COUNT - 1);
    if (xvm_insert(a, 5, NULL, 5) == NULL || xvm_array_check(&a->array) != XVM_OK)
        return;
    touch(xvm_last(a));
    xvm_array_remove(&a->array, 0, COUNT);
    xvm_array_trim(&a->array);
    if (xvm_array_prepare(&a->array, COUNT) == NULL)
        return;
    memset(a->data, 0, COUNT * sizeof *a->data);
    xvm_array_destroy(&a->array);
    if (xvm_reserve(&r, size, &(xvm_reserve_options){.address = base}) != XVM_OK ||
        xvm_commit(&r, 0, size) != XVM_OK)
        return;
    memset(r.base, 0, size);
    (void)xvm_release(&r);
    fputs("all in order\n", stderr);
}

static const tell_case cases[] = {
    {"read_behind_the_last", read_behind_the_last},
    {"read_after_pop", read_after_pop},
    {"read_after_remove", read_after_remove},
    {"read_after_shortening", read_after_shortening},
    {"read_after_clear", read_after_clear},
    {"read_behind_the_last_after_trim", read_behind_the_last_after_trim},
    {"read_of_what_is_ensured", read_of_what_is_ensured},
    {"nothing", nothing},
};

int main(int argc, char **argv)
{
    ints a;

    if (argc < 2 || xvm_array_make(&a, 4 * COUNT, NULL) != XVM_OK ||
        !xvm_array_resize(&a.array, COUNT))
        return 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            cases[i].run(&a);
    xvm_array_destroy(&a.array);
    return 0;
}

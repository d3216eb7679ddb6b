/* tell_heap.c - accesses to bytes of a heap that nobody has. Only a tool can see them: AddressSanitizer or
 * Valgrind. ExpectReport.cmake runs each case; "nothing" is what must not be reported. */
#include <stdio.h>
#include <string.h>

#include "xvm/xvm.h"

typedef struct tell_case {
    const char *name;
    void (*run)(xvm_heap *heap);
} tell_case;

static void touch(volatile unsigned char *address)
{
    fputs("about to touch\n", stderr);
    fflush(stderr);
    *address = 1;
}

#define TELL(name) static void name(xvm_heap *heap)

TELL(after_free)
{
    unsigned char *block = xvm_heap_alloc(heap, 100);

    xvm_heap_free(heap, block);
    touch(block);
}

TELL(large_after_free)
{
    unsigned char *block = xvm_heap_alloc(heap, 100000);

    xvm_heap_free(heap, block);
    touch(block + 5000);
}

TELL(behind_the_end)
{
    touch((unsigned char *)xvm_heap_alloc(heap, 96) + 96);
}

TELL(behind_a_large_end)
{
    touch((unsigned char *)xvm_heap_alloc(heap, 1 << 16) + (1 << 16));
}

TELL(after_realloc)
{
    unsigned char *block = xvm_heap_alloc(heap, 100);

    if (xvm_heap_realloc(heap, block, 101) != NULL)
        touch(block);
}

TELL(nothing)
{
    fputs("about to touch\n", stderr);
    for (size_t size = 0; size < 200000; size = size * 2 + 1) {
        unsigned char *block = xvm_heap_alloc_zeroed(heap, 1, size);

        memset(block, 1, size);
        block = xvm_heap_realloc(heap, block, size / 2 + 10);
        memset(block, 2, size / 2 + 10);
        memset(block, 3, xvm_heap_usable_size(heap, block));
        xvm_heap_free(heap, block);
    }
    xvm_heap_clear(heap);
}

static const tell_case cases[] = {
    {"after_free", after_free},         {"large_after_free", large_after_free},
    {"behind_the_end", behind_the_end}, {"behind_a_large_end", behind_a_large_end},
    {"after_realloc", after_realloc},   {"nothing", nothing},
};

int main(int argc, char **argv)
{
    xvm_heap *heap;

    if (argc < 2 || xvm_heap_create(&heap, &(xvm_heap_options){.max_size = 64 << 20}) != XVM_OK)
        return 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            cases[i].run(heap);
    xvm_heap_destroy(heap);
    return 0;
}

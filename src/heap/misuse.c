/* misuse.c - what is said of a program that frees what it must not, and how it ends. */
#include <string.h>

#include "heap.h"
#include "text.h"

static xvm_misuse_hook hook;
static void *hook_context;

void xvm_set_misuse_hook(xvm_misuse_hook fn, void *context)
{
    hook_context = context;
    STORE_RELEASE(&hook, fn);
}

static const char *text_of(xvm_misuse misuse)
{
    switch (misuse) {
    case XVM_MISUSE_FOREIGN:
        return "is no block of this heap";
    case XVM_MISUSE_INTERIOR:
        return "is inside of a block, not its start";
    case XVM_MISUSE_FREED:
        return "is free already";
    case XVM_MISUSE_OVERRUN:
        return "was written beyond its end";
    default:
        return "is described by broken tables";
    }
}

/* "xvm: heap 'name': free of 0x7f...: it is free already" */
static void describe(const xvm_heap *heap, xvm_misuse misuse, const char *call, const void *address,
                     text *t)
{
    put(t, "xvm: heap ");
    if (heap->name != NULL) {
        put_byte(t, '\'');
        put(t, heap->name);
        put_byte(t, '\'');
    } else {
        put_address(t, heap);
    }
    put(t, ": ");
    put(t, call);
    put(t, " of ");
    put_address(t, address);
    put(t, ": it ");
    put(t, text_of(misuse));
}

void xvm_os_heap_misuse(const xvm_heap *heap, xvm_misuse misuse, const char *call,
                        const void *address)
{
    xvm_misuse_hook fn = LOAD_ACQUIRE(&hook);
    char message[256];
    text t = text_start(message, sizeof message - 1);

    describe(heap, misuse, call, address, &t);
    if (fn != NULL) {
        fn(misuse, heap, address, message, hook_context);
        return;
    }
    put_byte(&t, '\n');
    xvm_os_stop(message, strlen(message));
}

/* guest.h - what the examples that run others' code on a heap ask in the end. */
#ifndef EXAMPLES_GUEST_H
#define EXAMPLES_GUEST_H

#include <stdbool.h>
#include <stdio.h>

#include "xvm/heap.h"

/* The guest was refused something, and has left nothing behind. */
static inline bool guest_left(const xvm_heap *heap)
{
    xvm_heap_stats s;

    xvm_heap_get_stats(heap, &s);
    printf("blocks left: %zu, refusals: %s\n", s.live_blocks, s.failures != 0 ? "some" : "none");
    return xvm_heap_check(heap) == XVM_OK && s.live_blocks == 0 && s.failures != 0;
}

#endif

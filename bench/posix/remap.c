/* remap.c - an array that grows by mremap: no copy, but it moves. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "array_peers.h"
#include "bare.h"

enum { FIRST = 64 << 10 };

static uint64_t *must(void *address)
{
    if (address != MAP_FAILED)
        return address;
    perror("mmap, mremap");
    exit(1);
}

uint64_t peer_remap(size_t count)
{
    uint64_t start = bare_spent(), spent;
    size_t size = FIRST;
    uint64_t *data =
        must(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

    for (size_t i = 0; i < count; i++) {
        if (i == size / sizeof *data) {
            data = must(mremap(data, size, 2 * size, MREMAP_MAYMOVE));
            size *= 2;
        }
        data[i] = i;
    }
    spent = bare_spent() - start;
    munmap(data, size);
    return spent;
}

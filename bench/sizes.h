/* sizes.h - a fixed sequence, and the sizes that an engine takes. */
#ifndef XVM_BENCH_SIZES_H
#define XVM_BENCH_SIZES_H

#include <stddef.h>
#include <stdint.h>

/* xorshift32; *state is not 0. */
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* 90 % up to 256 bytes, 9 % to 32 KiB, 1 % to 4 MiB. */
static inline size_t mixed_size(uint32_t *state)
{
    uint32_t kind = next_random(state) % 100;

    if (kind < 90)
        return 16 + next_random(state) % 241;
    return 8 + next_random(state) % (kind < 99 ? 32u << 10 : 4u << 20);
}

#endif

/* arena.c - blocks of 16 to 256 bytes: an arena, a bump pointer over a static buffer, and malloc and free
 * of several allocators, in one run.
 *
 *     | arena | buffer | malloc | mimalloc | ... | arena | ...     ratios of each round; their median counts
 *
 *   1  All take the same sizes in the same order, and give all of them back at the end of a round:
 *      free for each block, a rewind for all of them.
 *   2  Memory is warm: a round before those that count has touched it.
 *
 * usage: xvm_bench_arena [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "peers.h"
#include "xvm/xvm.h"

enum { BLOCKS = 8000, ROUNDS = 201, SMOKE_ROUNDS = 3, LEAST = 16, MOST = 256, ALIGNMENT = 16 };
enum { ARENA, BUFFER, FIRST_PEER, SIDES = FIRST_PEER + MOST_PEERS };

static unsigned short sizes[BLOCKS];
static void *volatile blocks[BLOCKS];
static xvm_arena arena;
static peer peers[MOST_PEERS];
static size_t peer_count;

/* --- the peer that does nothing but what it must ---------------------------------------------- */

static _Alignas(ALIGNMENT) unsigned char buffer[(size_t)BLOCKS * (MOST + ALIGNMENT)];
static size_t buffer_used;

static inline void *take_from_buffer(size_t size, size_t alignment)
{
    size_t begin = (buffer_used + alignment - 1) & ~(alignment - 1);

    if (begin + size > sizeof buffer)
        return NULL;
    buffer_used = begin + size;
    return buffer + begin;
}

/* --- what is measured ------------------------------------------------------------------------- */

/* The first word is what every user of a block writes. */
static inline void keep(size_t i, void *block, bool written)
{
    if (block == NULL)
        exit(1);
    if (written)
        *(uint64_t *)block = i;
    blocks[i] = block;
}

/* written is a constant where these are called. */
static inline void use_arena(bool written)
{
    size_t mark = xvm_arena_mark(&arena);

    for (size_t i = 0; i < BLOCKS; i++)
        keep(i, xvm_arena_alloc(&arena, sizes[i], ALIGNMENT), written);
    (void)xvm_arena_rewind(&arena, mark);
}

static inline void use_buffer(bool written)
{
    for (size_t i = 0; i < BLOCKS; i++)
        keep(i, take_from_buffer(sizes[i], ALIGNMENT), written);
    buffer_used = 0;
}

static inline void use_peer(const peer *p, bool written)
{
    for (size_t i = 0; i < BLOCKS; i++)
        keep(i, p->get(sizes[i]), written);
    for (size_t i = 0; i < BLOCKS; i++)
        p->put(blocks[i]);
}

static void run(size_t side, bool written)
{
    if (side == ARENA && written)
        use_arena(true);
    else if (side == ARENA)
        use_arena(false);
    else if (side == BUFFER && written)
        use_buffer(true);
    else if (side == BUFFER)
        use_buffer(false);
    else if (written)
        use_peer(&peers[side - FIRST_PEER], true);
    else
        use_peer(&peers[side - FIRST_PEER], false);
}

/* One block at a time: what an allocator that hands out the last freed block does best. */
static void run_pairs(size_t side, bool written)
{
    const peer *p = side >= FIRST_PEER ? &peers[side - FIRST_PEER] : NULL;

    for (size_t i = 0; i < BLOCKS; i++) {
        size_t mark = xvm_arena_mark(&arena);

        keep(i,
             p != NULL       ? p->get(sizes[i])
             : side == ARENA ? xvm_arena_alloc(&arena, sizes[i], ALIGNMENT)
                             : take_from_buffer(sizes[i], ALIGNMENT),
             written);
        if (p != NULL)
            p->put(blocks[i]);
        else if (side == ARENA)
            (void)xvm_arena_rewind(&arena, mark);
        else
            buffer_used = 0;
    }
}

/* --- measuring -------------------------------------------------------------------------------- */

static const char *name_of(size_t side)
{
    return side == ARENA    ? "xvm_arena"
           : side == BUFFER ? "static buffer"
                            : peers[side - FIRST_PEER].name;
}

static void measure(const char *what, void (*way)(size_t side, bool written), bool written,
                    size_t rounds, bool csv)
{
    static double times[SIDES][ROUNDS], ratios[SIDES][ROUNDS];

    for (size_t side = 0; side < FIRST_PEER + peer_count; side++)
        way(side, true);
    for (size_t i = 0; i < rounds; i++)
        for (size_t side = 0; side < FIRST_PEER + peer_count; side++) {
            uint64_t start = bare_now();

            way(side, written);
            times[side][i] = (double)(bare_now() - start) / BLOCKS;
            ratios[side][i] = times[side][i] / times[ARENA][i];
        }
    for (size_t side = 0; side < FIRST_PEER + peer_count; side++) {
        double ratio = median(ratios[side], rounds);

        printf(csv ? "%s,%s,%.2f,%.2f\n" : "%-34s %-24s %8.2f %8.2f\n", what, name_of(side),
               median(times[side], rounds), ratio);
    }
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    size_t rounds = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? SMOKE_ROUNDS : ROUNDS;
    uint32_t seed = 12345;

    peer_count = find_peers(peers, argv);
    for (size_t i = 0; i < BLOCKS; i++) {
        seed = seed * 1664525u + 1013904223u;
        sizes[i] = (unsigned short)(LEAST + (seed >> 16) % (MOST - LEAST + 1));
    }
    if (xvm_arena_create(&arena, 2 * sizeof buffer, NULL) != XVM_OK)
        return 1;
    puts(csv ? "what,allocator,ns per block,ratio to xvm_arena"
             : "for each block                     allocator                      ns  ratio to "
               "xvm_arena");
    measure("take all, give all back", run, false, rounds, csv);
    measure("the same, first word written", run, true, rounds, csv);
    measure("take one, give it back", run_pairs, false, rounds, csv);
    xvm_arena_destroy(&arena);
    return 0;
}

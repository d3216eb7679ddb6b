/* peers.h - the allocators that a benchmark compares with, all in one process, none of them in the place of
 * malloc. */
#ifndef XVM_BENCH_PEERS_H
#define XVM_BENCH_PEERS_H

#include <stddef.h>

enum { MOST_PEERS = 8 };

typedef struct peer {
    const char *name;
    void *(*take)(size_t size);
    void (*give)(void *block);
} peer;

/* The C library's first, then those that are there; says which are not. May start the program anew, with the
 * same arguments, in an environment that they need. */
size_t find_peers(peer *peers, char **argv);

#endif

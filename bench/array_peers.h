/* array_peers.h - other ways to grow an array to so many 8-byte elements, one push after the other.
 *
 * Each makes an empty array, pushes 0, 1, 2 ..., and answers how many nanoseconds that took; 0 where
 * there is no such thing. Taking it down is not counted. */
#ifndef XVM_BENCH_ARRAY_PEERS_H
#define XVM_BENCH_ARRAY_PEERS_H

#include <stddef.h>
#include <stdint.h>

uint64_t peer_vector(size_t count);              /* std::vector */
uint64_t peer_vector_reserved(size_t count);     /* std::vector after reserve */
uint64_t peer_deque(size_t count);               /* std::deque */
uint64_t peer_xvm_vector(size_t count);          /* xvm::vector */
uint64_t peer_xvm_vector_prefault(size_t count); /* xvm::vector, prefaulting steps */
uint64_t peer_realloc(size_t count);             /* realloc of twice the size */
uint64_t peer_remap(size_t count);               /* mremap of twice the size */

/* So many std::vectors at once, pushed to in turn until each has so many. */
uint64_t peer_many_vectors(size_t vectors, size_t count);

/* A push in nanoseconds, of so many into a vector that has room, cleared before each of so many times. */
double peer_push_vector(size_t count, int times);
double peer_push_xvm_vector(size_t count, int times);

#endif

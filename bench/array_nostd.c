/* array_nostd.c - stands in for array_std.cpp where there is no C++ compiler. */
#include "array_peers.h"

uint64_t peer_vector(size_t count)
{
    return count & 0;
}

uint64_t peer_vector_reserved(size_t count)
{
    return count & 0;
}

uint64_t peer_deque(size_t count)
{
    return count & 0;
}

uint64_t peer_xvm_vector(size_t count)
{
    return count & 0;
}

uint64_t peer_xvm_vector_prefault(size_t count)
{
    return count & 0;
}

double peer_push_vector(size_t count, int times)
{
    return (double)count * times * 0;
}

double peer_push_xvm_vector(size_t count, int times)
{
    return (double)count * times * 0;
}

uint64_t peer_many_vectors(size_t vectors, size_t count)
{
    return (vectors + count) & 0;
}

/* remap.c - Windows has no such call. */
#include "array_peers.h"

uint64_t peer_remap(size_t count)
{
    return count & 0;
}

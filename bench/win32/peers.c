/* peers.c - the C library's only: no package of another is at hand here. */
#include <stdlib.h>

#include "peers.h"

size_t find_peers(peer *peers, char **argv)
{
    (void)argv;
    peers[0] = (peer){"malloc of the C library", malloc, free};
    return 1;
}

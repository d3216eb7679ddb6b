/* peers.h - other allocators beside each other in one program, none of which replaces malloc; threads. */
#ifndef XVM_BENCH_PEERS_H
#define XVM_BENCH_PEERS_H

#include <stddef.h>

typedef struct peer {
    const char *name;
    void *(*get)(size_t size);
    void (*put)(void *block);
    void *(*resize)(void *block, size_t size);
    void (*trim)(void);  /* gives back what is free; NULL: cannot */
    void (*begin)(void); /* a heap of its own begins, which get takes from; NULL: it has none */
    void (*end)(void);   /* and is gone with all of its blocks */
} peer;

enum { MOST_PEERS = 8 };

/* Fills peers with the system's allocator and those that were found when this was built; their number.
 * Says which are missing. arguments: of main. */
size_t find_peers(peer *peers, char **arguments);

/* Adds those that have heaps; their number. After find_peers. */
size_t find_heaps(peer *peers);

/* Processor, how many, system; static. */
const char *describe_machine(void);

/* Runs work(context, i) for i in [0, count) at the same time and waits for all; count is 64 at most. */
void run_together(int count, void (*work)(void *context, int index), void *context);

void wait_for(unsigned milliseconds);

/* Lets another thread run. */
void give_way(void);

#endif

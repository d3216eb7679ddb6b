/* ring_bare.h - what ring.c needs of a system: a second thread, what programs pass bytes through
 * without a ring, and a ring made by bare calls. posix/ring_bare.c, win32/ring_bare.c. */
#ifndef XVM_BENCH_RING_BARE_H
#define XVM_BENCH_RING_BARE_H

#include <stddef.h>

/* Runs work(context) in another thread while this one runs beside(context). */
void bare_run_beside(void (*work)(void *context), void (*beside)(void *context), void *context);

/* Lets another thread of this processor go on. */
void bare_yield(void);

/* Two ends of a channel; 0: the system has none. All bytes, or the end of the benchmark. */
typedef struct bare_channel {
    void *in, *out;
} bare_channel;

int bare_open_pipe(bare_channel *channel);
int bare_open_sockets(bare_channel *channel);
void bare_close_channel(bare_channel *channel);
void bare_send(const bare_channel *channel, const void *bytes, size_t size);
void bare_receive(const bare_channel *channel, void *bytes, size_t size);

/* head + size bytes, of which the last size follow once more; all memory is there. */
void *bare_map_twice(size_t head, size_t size);
void bare_unmap_twice(void *base, size_t head, size_t size);

#endif

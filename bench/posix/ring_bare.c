/* ring_bare.c - threads, pipes and memory twice in a row, as Linux has them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring_bare.h"

static void must(int result, const char *call)
{
    if (result == 0)
        return;
    perror(call);
    exit(1);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct job {
    void (*work)(void *context);
    void *context;
} job;

static void *run(void *context)
{
    const job *j = context;

    j->work(j->context);
    return NULL;
}

void bare_run_beside(void (*work)(void *context), void (*beside)(void *context), void *context)
{
    job j = {work, context};
    pthread_t thread;

    must(pthread_create(&thread, NULL, run, &j), "pthread_create");
    beside(context);
    must(pthread_join(thread, NULL), "pthread_join");
}

void bare_yield(void)
{
    (void)sched_yield();
}

/* --- channels --------------------------------------------------------------------------------- */

static int end_of(void *end)
{
    return (int)(intptr_t)end;
}

static void keep(bare_channel *channel, const int ends[2])
{
    *channel = (bare_channel){(void *)(intptr_t)ends[1], (void *)(intptr_t)ends[0]};
}

int bare_open_pipe(bare_channel *channel)
{
    int ends[2];

    must(pipe(ends), "pipe");
    keep(channel, ends);
    return 1;
}

int bare_open_sockets(bare_channel *channel)
{
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
    keep(channel, ends);
    return 1;
}

void bare_close_channel(bare_channel *channel)
{
    (void)close(end_of(channel->in));
    (void)close(end_of(channel->out));
}

void bare_send(const bare_channel *channel, const void *bytes, size_t size)
{
    const char *at = bytes;

    for (ssize_t done; size != 0; at += done, size -= (size_t)done) {
        done = write(end_of(channel->in), at, size);
        must(done <= 0, "write");
    }
}

void bare_receive(const bare_channel *channel, void *bytes, size_t size)
{
    char *at = bytes;

    for (ssize_t done; size != 0; at += done, size -= (size_t)done) {
        done = read(end_of(channel->out), at, size);
        must(done <= 0, "read");
    }
}

/* --- a ring ----------------------------------------------------------------------------------- */

static void map_at(char *address, size_t size, int fd, size_t from)
{
    void *same =
        mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)from);

    must(same == MAP_FAILED, "mmap");
}

void *bare_map_twice(size_t head, size_t size)
{
    int fd = (int)syscall(SYS_memfd_create, "bench", 1);
    char *base;

    must(fd < 0, "memfd_create");
    must(fallocate(fd, 0, 0, (off_t)(head + size)), "fallocate");
    base = mmap(NULL, head + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(base == MAP_FAILED, "mmap");
    map_at(base, head + size, fd, 0);
    map_at(base + head + size, size, fd, head);
    must(close(fd), "close");
    return base;
}

void bare_unmap_twice(void *base, size_t head, size_t size)
{
    must(munmap(base, head + 2 * size), "munmap");
}

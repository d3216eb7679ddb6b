/* share.c - the Linux calls behind shares. A refused one ends the benchmark. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared.h"

static void must(int done, const char *call)
{
    if (done)
        return;
    perror(call);
    exit(1);
}

static intptr_t with_size(int fd, size_t size)
{
    must(fd >= 0 && fallocate(fd, 0, 0, (off_t)size) == 0, "create");
    return fd;
}

intptr_t bare_create_memory(size_t size)
{
    return with_size((int)syscall(SYS_memfd_create, "bench", 1), size);
}

intptr_t bare_create_name(const char *name, size_t size)
{
    return with_size(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600), size);
}

intptr_t bare_open_name(const char *name)
{
    int fd = shm_open(name, O_RDWR, 0600);

    must(fd >= 0, "shm_open");
    return fd;
}

void bare_close(intptr_t memory)
{
    must(close((int)memory) == 0, "close");
}

void bare_forget_name(const char *name)
{
    must(shm_unlink(name) == 0, "shm_unlink");
}

void *bare_map(intptr_t memory, size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)memory, 0);

    must(at != MAP_FAILED, "mmap");
    return at;
}

void bare_unmap(void *address, size_t size)
{
    must(munmap(address, size) == 0, "munmap");
}

int bare_map_over(intptr_t memory, void *address, size_t size)
{
    void *same =
        mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (int)memory, 0);

    must(same == address, "mmap");
    same = mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    must(same == address, "mmap");
    return 1;
}

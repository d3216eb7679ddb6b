/* bare.c - the Linux calls. A refused one ends the benchmark: its figures would mean nothing. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bare.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void must(int result, const char *call)
{
    if (result == 0)
        return;
    perror(call);
    exit(1);
}

uint64_t bare_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bare_spent(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

size_t bare_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *bare_reserve(size_t size)
{
    void *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(base == MAP_FAILED, "mmap");
    return base;
}

void bare_release(void *base, size_t size)
{
    must(munmap(base, size), "munmap");
}

void bare_commit(void *address, size_t size)
{
    must(mprotect(address, size, PROT_READ | PROT_WRITE), "mprotect");
}

void bare_decommit(void *address, size_t size)
{
    void *same = mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    must(same == MAP_FAILED, "mmap");
}

void bare_discard(void *address, size_t size)
{
    must(madvise(address, size, MADV_DONTNEED), "madvise");
}

void bare_protect_read(void *address, size_t size)
{
    must(mprotect(address, size, PROT_READ), "mprotect");
}

void bare_protect_write(void *address, size_t size)
{
    must(mprotect(address, size, PROT_READ | PROT_WRITE), "mprotect");
}

void bare_lock(void *address, size_t size)
{
    must(mlock(address, size), "mlock");
}

void bare_unlock(void *address, size_t size)
{
    must(munlock(address, size), "munlock");
}

void bare_prefault(void *address, size_t size)
{
    must(madvise(address, size, MADV_POPULATE_WRITE), "madvise");
}

int bare_query(const void *address)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long long from = 0, to = 0, at = (uintptr_t)address;
    char line[512], permissions[8];

    if (maps == NULL)
        return 0;
    while (to <= at && fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%llx-%llx %7s", &from, &to, permissions) != 3)
            break;
    fclose(maps);
    return from <= at && at < to;
}

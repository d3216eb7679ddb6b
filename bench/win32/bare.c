/* bare.c - the Windows calls. A refused one ends the benchmark: its figures would mean nothing. */
#include <stdio.h>
#include <stdlib.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "bare.h"

static void must(int done, const char *call)
{
    if (done)
        return;
    fprintf(stderr, "%s: error %lu\n", call, GetLastError());
    exit(1);
}

uint64_t bare_now(void)
{
    LARGE_INTEGER count, frequency;

    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)((double)count.QuadPart * 1e9 / (double)frequency.QuadPart);
}

/* Threads are charged in ticks of 15 ms: too coarse. */
uint64_t bare_spent(void)
{
    return bare_now();
}

size_t bare_page_size(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info.dwPageSize;
}

void *bare_reserve(size_t size)
{
    void *base = VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_READWRITE);

    must(base != NULL, "VirtualAlloc");
    return base;
}

void bare_release(void *base, size_t size)
{
    (void)size;
    must(VirtualFree(base, 0, MEM_RELEASE), "VirtualFree");
}

void bare_commit(void *address, size_t size)
{
    must(VirtualAlloc(address, size, MEM_COMMIT, PAGE_READWRITE) != NULL, "VirtualAlloc");
}

void bare_decommit(void *address, size_t size)
{
    must(VirtualFree(address, size, MEM_DECOMMIT), "VirtualFree");
}

/* What reads zero afterwards, as xvm_discard promises. */
void bare_discard(void *address, size_t size)
{
    ZeroMemory(address, size);
    must(VirtualAlloc(address, size, MEM_RESET, PAGE_READWRITE) != NULL, "VirtualAlloc");
    VirtualUnlock(address, size);
}

void bare_protect_read(void *address, size_t size)
{
    DWORD old;

    must(VirtualProtect(address, size, PAGE_READONLY, &old), "VirtualProtect");
}

void bare_protect_write(void *address, size_t size)
{
    DWORD old;

    must(VirtualProtect(address, size, PAGE_READWRITE, &old), "VirtualProtect");
}

void bare_lock(void *address, size_t size)
{
    must(VirtualLock(address, size), "VirtualLock");
}

void bare_unlock(void *address, size_t size)
{
    must(VirtualUnlock(address, size), "VirtualUnlock");
}

void bare_prefault(void *address, size_t size)
{
    volatile unsigned char *at = address;

    for (size_t i = 0; i < size; i += 1 << 12)
        at[i] = at[i];
}

int bare_query(const void *address)
{
    MEMORY_BASIC_INFORMATION found;

    return VirtualQuery(address, &found, sizeof found) != 0 && found.State != MEM_FREE;
}

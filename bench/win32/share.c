/* share.c - the Windows calls behind shares. A refused one ends the benchmark. */
#include <stdio.h>
#include <stdlib.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "shared.h"

static void must(int done, const char *call)
{
    if (done)
        return;
    fprintf(stderr, "%s: error %lu\n", call, GetLastError());
    exit(1);
}

intptr_t bare_create_name(const char *name, size_t size)
{
    HANDLE memory = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE,
                                       (DWORD)((uint64_t)size >> 32), (DWORD)size, name);

    must(memory != NULL, "CreateFileMapping");
    return (intptr_t)memory;
}

intptr_t bare_create_memory(size_t size)
{
    return bare_create_name(NULL, size);
}

intptr_t bare_open_name(const char *name)
{
    HANDLE memory = OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, name);

    must(memory != NULL, "OpenFileMapping");
    return (intptr_t)memory;
}

void bare_close(intptr_t memory)
{
    must(CloseHandle((HANDLE)memory), "CloseHandle");
}

void bare_forget_name(const char *name)
{
    (void)name;
}

void *bare_map(intptr_t memory, size_t size)
{
    void *at = MapViewOfFile((HANDLE)memory, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, size);

    must(at != NULL, "MapViewOfFile");
    return at;
}

void bare_unmap(void *address, size_t size)
{
    (void)size;
    must(UnmapViewOfFile(address), "UnmapViewOfFile");
}

int bare_map_over(intptr_t memory, void *address, size_t size)
{
    (void)memory;
    (void)address;
    (void)size;
    return 0;
}

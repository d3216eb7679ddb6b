/* ring_bare.c - threads, pipes and memory twice in a row, as Windows has them. */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>

#include "ring_bare.h"

static void must(int worked, const char *call)
{
    if (worked)
        return;
    fprintf(stderr, "%s: error %lu\n", call, GetLastError());
    exit(1);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct job {
    void (*work)(void *context);
    void *context;
} job;

static DWORD WINAPI run(LPVOID context)
{
    const job *j = context;

    j->work(j->context);
    return 0;
}

void bare_run_beside(void (*work)(void *context), void (*beside)(void *context), void *context)
{
    job j = {work, context};
    HANDLE thread = CreateThread(NULL, 0, run, &j, 0, NULL);

    must(thread != NULL, "CreateThread");
    beside(context);
    must(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0, "WaitForSingleObject");
    CloseHandle(thread);
}

void bare_yield(void)
{
    (void)SwitchToThread();
}

/* --- channels --------------------------------------------------------------------------------- */

int bare_open_pipe(bare_channel *channel)
{
    must(CreatePipe(&channel->out, &channel->in, NULL, 0), "CreatePipe");
    return 1;
}

int bare_open_sockets(bare_channel *channel)
{
    (void)channel;
    return 0;
}

void bare_close_channel(bare_channel *channel)
{
    CloseHandle(channel->in);
    CloseHandle(channel->out);
}

void bare_send(const bare_channel *channel, const void *bytes, size_t size)
{
    const char *at = bytes;

    for (DWORD done; size != 0; at += done, size -= done)
        must(WriteFile(channel->in, at, (DWORD)size, &done, NULL), "WriteFile");
}

void bare_receive(const bare_channel *channel, void *bytes, size_t size)
{
    char *at = bytes;

    for (DWORD done; size != 0; at += done, size -= done)
        must(ReadFile(channel->out, at, (DWORD)size, &done, NULL), "ReadFile");
}

/* --- a ring ----------------------------------------------------------------------------------- */

void *bare_map_twice(size_t head, size_t size)
{
    DWORD access = FILE_MAP_READ | FILE_MAP_WRITE;
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0,
                                        (DWORD)(head + size), NULL);
    char *base = VirtualAlloc(NULL, head + 2 * size, MEM_RESERVE, PAGE_NOACCESS);

    must(section != NULL && base != NULL, "CreateFileMapping, VirtualAlloc");
    must(VirtualFree(base, 0, MEM_RELEASE), "VirtualFree");
    must(MapViewOfFileEx(section, access, 0, 0, head + size, base) == base, "MapViewOfFileEx");
    must(MapViewOfFileEx(section, access, 0, (DWORD)head, size, base + head + size) != NULL,
         "MapViewOfFileEx");
    CloseHandle(section);
    return base;
}

void bare_unmap_twice(void *base, size_t head, size_t size)
{
    must(UnmapViewOfFile((char *)base + head + size), "UnmapViewOfFile");
    must(UnmapViewOfFile(base), "UnmapViewOfFile");
}

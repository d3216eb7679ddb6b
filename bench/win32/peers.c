/* peers.c - the C library's allocator, the system's process heap, and its private heaps. */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>

#include "peers.h"

static void *get_block(size_t size)
{
    return HeapAlloc(GetProcessHeap(), 0, size);
}

static void put_block(void *block)
{
    HeapFree(GetProcessHeap(), 0, block);
}

static void *resize_block(void *block, size_t size)
{
    return HeapReAlloc(GetProcessHeap(), 0, block, size);
}

size_t find_peers(peer *peers, char **arguments)
{
    (void)arguments;
    peers[0] = (peer){.name = "libc", .get = malloc, .put = free, .resize = realloc};
    peers[1] =
        (peer){.name = "HeapAlloc", .get = get_block, .put = put_block, .resize = resize_block};
    return 2;
}

static HANDLE own;

static void begin_own(void)
{
    own = HeapCreate(0, 0, 0);
}

static void *get_own(size_t size)
{
    return HeapAlloc(own, 0, size);
}

static void end_own(void)
{
    HeapDestroy(own);
}

size_t find_heaps(peer *peers)
{
    *peers = (peer){.name = "HeapCreate", .get = get_own, .begin = begin_own, .end = end_own};
    return 1;
}

const char *describe_machine(void)
{
    static char text[64];
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    snprintf(text, sizeof text, "%lu processors, Windows",
             (unsigned long)info.dwNumberOfProcessors);
    return text;
}

typedef struct worker {
    void (*work)(void *context, int index);
    void *context;
    int index;
} worker;

static DWORD WINAPI run_worker(LPVOID argument)
{
    worker *w = argument;

    w->work(w->context, w->index);
    return 0;
}

void run_together(int count, void (*work)(void *context, int index), void *context)
{
    HANDLE threads[64];
    worker workers[64];

    for (int i = 0; i < count; i++) {
        workers[i] = (worker){work, context, i};
        threads[i] = CreateThread(NULL, 0, run_worker, &workers[i], 0, NULL);
        if (threads[i] == NULL)
            exit(1);
    }
    for (int i = 0; i < count; i++) {
        WaitForSingleObject(threads[i], INFINITE);
        CloseHandle(threads[i]);
    }
}

void wait_for(unsigned milliseconds)
{
    Sleep(milliseconds);
}

void give_way(void)
{
    SwitchToThread();
}

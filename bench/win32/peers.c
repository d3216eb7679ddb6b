/* peers.c - the system's allocator is the only one here. */
#include <windows.h>

#include <stdlib.h>

#include "peers.h"

size_t find_peers(peer *peers, char **arguments)
{
    (void)arguments;
    peers[0] = (peer){"libc", malloc, free};
    return 1;
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
    HANDLE threads[16];
    worker workers[16];

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

void give_way(void)
{
    SwitchToThread();
}

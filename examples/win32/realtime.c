/* realtime.c - threads and clocks of Windows, which counts faults for processes only. */
#include <windows.h>

#include <stdlib.h>

#include "realtime.h"

static HANDLE thread;
static void (*thread_work)(void *context);

static DWORD WINAPI run(LPVOID context)
{
    thread_work(context);
    return 0;
}

void realtime_start(void (*work)(void *context), void *context)
{
    thread_work = work;
    thread = CreateThread(NULL, 0, run, context, 0, NULL);
    if (thread == NULL)
        exit(1);
}

void realtime_join(void)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

void realtime_sleep(unsigned microseconds)
{
    Sleep((microseconds + 999) / 1000);
}

double realtime_microseconds(void)
{
    LARGE_INTEGER count, rate;

    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&rate);
    return (double)count.QuadPart * 1e6 / (double)rate.QuadPart;
}

uint64_t realtime_faults(void)
{
    return 0;
}

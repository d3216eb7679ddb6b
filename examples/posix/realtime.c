/* realtime.c - threads, clocks and faults of POSIX; faults of one thread are Linux's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "realtime.h"

static pthread_t thread;
static void (*thread_work)(void *context);

static void *run(void *context)
{
    thread_work(context);
    return NULL;
}

void realtime_start(void (*work)(void *context), void *context)
{
    thread_work = work;
    if (pthread_create(&thread, NULL, run, context) != 0)
        exit(1);
}

void realtime_join(void)
{
    pthread_join(thread, NULL);
}

void realtime_sleep(unsigned microseconds)
{
    struct timespec time = {0, (long)microseconds * 1000};

    nanosleep(&time, NULL);
}

double realtime_microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

uint64_t realtime_faults(void)
{
#ifdef RUSAGE_THREAD
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) == 0)
        return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
#endif
    return 0;
}

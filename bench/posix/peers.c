/* peers.c - allocators by dlopen: local, so that no malloc of theirs is seen by anybody else, and bound
 * to themselves first. Where they are is told by CMake; "" for those that were not found. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

typedef struct library {
    const char *name, *path, *get, *put;
} library;

static const library libraries[] = {
    {"mimalloc", XVM_BENCH_MIMALLOC, "mi_malloc", "mi_free"},
    {"jemalloc", XVM_BENCH_JEMALLOC, "malloc", "free"},
    {"tcmalloc", XVM_BENCH_TCMALLOC, "malloc", "free"},
};

/* A function's address in the only way that C11 has. */
static void find_function(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);

    memcpy(function, &address, sizeof address);
}

static int open_peer(const library *l, peer *p)
{
    void *handle = l->path[0] != 0 ? dlopen(l->path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) : NULL;

    if (handle == NULL) {
        printf("%s: %s\n", l->name, l->path[0] != 0 ? dlerror() : "not installed");
        return 0;
    }
    p->name = l->name;
    find_function(handle, l->get, &p->get);
    find_function(handle, l->put, &p->put);
    return p->get != NULL && p->put != NULL;
}

/* Some keep more for each thread than a library that comes late may have, unless the loader was told
 * before the program began. */
static void begin_again(char **arguments)
{
    if (getenv("GLIBC_TUNABLES") != NULL)
        return;
    setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384", 1);
    execv("/proc/self/exe", arguments);
}

size_t find_peers(peer *peers, char **arguments)
{
    size_t count = 0;

    begin_again(arguments);

    peers[count++] = (peer){"libc", malloc, free};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        count += (size_t)open_peer(&libraries[i], &peers[count]);
    return count;
}

typedef struct worker {
    void (*work)(void *context, int index);
    void *context;
    int index;
} worker;

static void *run_worker(void *argument)
{
    worker *w = argument;

    w->work(w->context, w->index);
    return NULL;
}

void run_together(int count, void (*work)(void *context, int index), void *context)
{
    pthread_t threads[16];
    worker workers[16];

    for (int i = 0; i < count; i++) {
        workers[i] = (worker){work, context, i};
        if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

void give_way(void)
{
    sched_yield();
}

/* peers.c - allocators by dlopen: local, so that no malloc of theirs is seen by anybody else, and bound
 * to themselves first. Where they are is told by CMake; "" for those that were not found. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "peers.h"

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

typedef struct library {
    const char *name, *path, *get, *put, *resize;
} library;

static const library libraries[] = {
    {"mimalloc", XVM_BENCH_MIMALLOC, "mi_malloc", "mi_free", "mi_realloc"},
    {"jemalloc", XVM_BENCH_JEMALLOC, "malloc", "free", "realloc"},
    {"tcmalloc", XVM_BENCH_TCMALLOC, "malloc", "free", "realloc"},
};

/* A function's address in the only way that C11 has. */
static void find_function(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);

    memcpy(function, &address, sizeof address);
}

static void *open_library(const char *path)
{
    return path[0] != 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) : NULL;
}

static int open_peer(const library *l, peer *p)
{
    void *handle = open_library(l->path);

    *p = (peer){.name = l->name};
    if (handle == NULL) {
        printf("%s: %s\n", l->name, l->path[0] != 0 ? dlerror() : "not installed");
        return 0;
    }
    find_function(handle, l->get, &p->get);
    find_function(handle, l->put, &p->put);
    find_function(handle, l->resize, &p->resize);
    return p->get != NULL && p->put != NULL && p->resize != NULL;
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

static void trim_libc(void)
{
    static int (*trim)(size_t keep);

    if (trim == NULL)
        find_function(RTLD_DEFAULT, "malloc_trim", &trim);
    if (trim != NULL)
        (void)trim(0);
}

size_t find_peers(peer *peers, char **arguments)
{
    size_t count = 0;

    begin_again(arguments);

    peers[count++] =
        (peer){.name = "libc", .get = malloc, .put = free, .resize = realloc, .trim = trim_libc};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        count += (size_t)open_peer(&libraries[i], &peers[count]);
    return count;
}

/* mimalloc's first-class heaps. */
static struct {
    void *now;
    void *(*begin)(void);
    void *(*get)(void *heap, size_t size);
    void (*end)(void *heap);
} mi;

static void begin_mi(void)
{
    mi.now = mi.begin();
}

static void *get_mi(size_t size)
{
    return mi.get(mi.now, size);
}

static void end_mi(void)
{
    mi.end(mi.now);
}

size_t find_heaps(peer *peers)
{
    void *handle = open_library(XVM_BENCH_MIMALLOC);

    if (handle == NULL)
        return 0;
    find_function(handle, "mi_heap_new", &mi.begin);
    find_function(handle, "mi_heap_malloc", &mi.get);
    find_function(handle, "mi_heap_destroy", &mi.end);
    *peers = (peer){.name = "mi_heap", .get = get_mi, .begin = begin_mi, .end = end_mi};
    return mi.begin != NULL && mi.get != NULL && mi.end != NULL;
}

/* The value of a line "name : value". */
static void read_cpu(char *name, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256], *value;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "model name", 10) == 0 && (value = strchr(line, ':')) != NULL) {
            snprintf(name, size, "%.100s", value + 2);
            name[strcspn(name, "\n")] = 0;
            break;
        }
    if (file != NULL)
        fclose(file);
}

const char *describe_machine(void)
{
    static char text[256];
    char cpu[128] = "unknown processor";
    struct utsname system;

    read_cpu(cpu, sizeof cpu);
    if (uname(&system) != 0)
        return "unknown system";
    snprintf(text, sizeof text, "%s, %ld processors, %s %.60s", cpu, sysconf(_SC_NPROCESSORS_ONLN),
             system.sysname, system.release);
    return text;
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
    pthread_t threads[64];
    worker workers[64];

    for (int i = 0; i < count; i++) {
        workers[i] = (worker){work, context, i};
        if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

void wait_for(unsigned milliseconds)
{
    usleep(milliseconds * 1000);
}

void give_way(void)
{
    sched_yield();
}

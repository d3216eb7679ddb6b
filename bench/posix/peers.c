/* peers.c - packaged allocators as private shared objects: a deep bind keeps each to itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "peers.h"

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

/* Where CMake found them; "" is nowhere. */
static const struct {
    const char *name, *file, *take, *give;
} known[] = {
    {"mimalloc", XVM_BENCH_MIMALLOC, "mi_malloc", "mi_free"},
    {"jemalloc", XVM_BENCH_JEMALLOC, "malloc", "free"},
    {"tcmalloc", XVM_BENCH_TCMALLOC, "malloc", "free"},
};

static int load(const char *file, const char *take, const char *give, peer *out)
{
    void *object = *file != '\0' ? dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) : NULL;

    if (object == NULL)
        return 0;
    *(void **)&out->take = dlsym(object, take);
    *(void **)&out->give = dlsym(object, give);
    return out->take != NULL && out->give != NULL;
}

/* glibc keeps little room for the thread variables of what is loaded later; jemalloc wants more. */
static void ask_for_room(char **argv)
{
    if (*XVM_BENCH_JEMALLOC == '\0' || getenv("GLIBC_TUNABLES") != NULL)
        return;
    (void)setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384", 1);
    (void)execv("/proc/self/exe", argv);
}

size_t find_peers(peer *peers, char **argv)
{
    size_t count = 0;

    ask_for_room(argv);
    peers[count++] = (peer){"malloc of the C library", malloc, free};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (load(known[i].file, known[i].take, known[i].give, &peers[count]))
            peers[count++].name = known[i].name;
        else
            fprintf(stderr, "%s is left out: %s\n", known[i].name,
                    *known[i].file == '\0' ? "not installed (./setup bench)" : dlerror());
    return count;
}

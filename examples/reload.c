/* reload.c - a program that is replaced by its next version while its state goes on.
 *
 *     generation 0 | heap, state --> save | exits
 *     generation 1            load, same pointers --> goes on --> save | exits
 *     generation 2                                               load ...
 *
 * All of the state is in one heap: agents that know each other by pointers. Each generation is a new process; here
 * it is the same program, in real use a newer one. In the end the digest must be that of a program that was never
 * replaced.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

#include "reload.h"

enum { AGENTS = 2000, STEPS = 50, GENERATIONS = 4, PATH = 512 };

typedef struct agent {
    struct agent *friend, *next;
    char *diary; /* grows: a block of its own */
    size_t length;
    uint32_t mood;
} agent;

typedef struct world {
    agent *agents;
    uint32_t random, step;
} world;

static void fail(const char *what)
{
    char why[300];

    xvm_explain(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint32_t draw(world *w)
{
    return w->random = w->random * 1664525u + 1013904223u;
}

/* --- the state -------------------------------------------------------------------------------- */

static void *take(xvm_heap *heap, size_t size)
{
    void *block = xvm_heap_alloc_zeroed(heap, 1, size);

    if (block == NULL)
        fail("a block");
    return block;
}

static world *begin(xvm_heap *heap)
{
    world *w = take(heap, sizeof *w);

    w->random = 1;
    for (int i = 0; i < AGENTS; i++) {
        agent *a = take(heap, sizeof *a);

        a->next = w->agents;
        a->friend = i % 7 == 0 || w->agents == NULL ? a : w->agents->friend;
        w->agents = a;
    }
    xvm_heap_set_root(heap, w);
    return w;
}

static void live(xvm_heap *heap, world *w, agent *a)
{
    a->mood = a->mood * 31 + a->friend->mood + draw(w) % 100;
    if (a->mood % 5 != 0)
        return;
    a->diary = xvm_heap_realloc(heap, a->diary, a->length + 8);
    if (a->diary == NULL)
        fail("a diary");
    memset(a->diary + a->length, (int)(a->mood % 26) + 'a', 8);
    a->length += 8;
}

static void go_on(xvm_heap *heap, world *w)
{
    for (int i = 0; i < STEPS; i++, w->step++)
        for (agent *a = w->agents; a != NULL; a = a->next)
            live(heap, w, a);
}

static uint64_t digest_of(const world *w)
{
    uint64_t digest = w->step;

    for (const agent *a = w->agents; a != NULL; a = a->next) {
        digest = (digest ^ a->mood ^ a->friend->mood) * 0x100000001b3u;
        for (size_t i = 0; i < a->length; i++)
            digest = (digest ^ (unsigned char)a->diary[i]) * 0x100000001b3u;
    }
    return digest;
}

/* --- generations ------------------------------------------------------------------------------ */

static void tell(int generation, const xvm_heap *heap, const world *w)
{
    printf("generation %d: step %u, state at %p, digest %016llx\n", generation, w->step,
           xvm_heap_root(heap), (unsigned long long)digest_of(w));
    fflush(stdout);
}

/* The state as it was left, or a new one. */
static xvm_heap *find_state(const char *path, int generation)
{
    xvm_heap_options options = {.flags = XVM_HEAP_IMAGE, .name = "state"};
    xvm_heap *heap;

    if (generation == 0) {
        if (xvm_heap_create(&heap, &options) != XVM_OK)
            fail("a heap");
        (void)begin(heap);
    } else if (xvm_heap_load(&heap, path, &options) != XVM_OK) {
        fail("loading");
    }
    return heap;
}

/* Never replaced. */
static uint64_t expected(void)
{
    xvm_heap *heap;
    uint64_t digest;
    world *w;

    if (xvm_heap_create(&heap, NULL) != XVM_OK)
        fail("a heap");
    w = begin(heap);
    for (int i = 0; i < GENERATIONS; i++)
        go_on(heap, w);
    digest = digest_of(w);
    xvm_heap_destroy(heap);
    return digest;
}

/* The last one looks at the result. */
static int end(xvm_heap *heap)
{
    bool same = digest_of(xvm_heap_root(heap)) == expected();

    printf("%s\n", same ? "the same as without a reload" : "DIFFERENT from what it should be");
    xvm_heap_destroy(heap);
    return same ? 0 : 1;
}

/* One generation; the next is a new process where one can be started, else this one goes on. */
static int run(const char *program, const char *path, int generation)
{
    xvm_heap *heap = find_state(path, generation);
    char next[16];
    int code;

    go_on(heap, xvm_heap_root(heap));
    tell(generation, heap, xvm_heap_root(heap));
    if (generation + 1 == GENERATIONS)
        return end(heap);
    if (xvm_heap_save(heap, path) != XVM_OK)
        fail("saving");
    xvm_heap_destroy(heap);
    snprintf(next, sizeof next, "%d", generation + 1);
    code = reload_start(program, path, next);
    return code != -1 ? code : run(program, path, generation + 1);
}

int main(int argc, char **argv)
{
    char path[PATH];
    int code;

    if (argc == 3)
        return run(argv[0], argv[1], atoi(argv[2]));
    snprintf(path, sizeof path, "%s/xvm-reload-%u.heap", reload_folder(), reload_process());
    code = run(argv[0], path, 0);
    remove(path);
    return code;
}

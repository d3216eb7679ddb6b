/* heap_only.c - threads that do nothing but use a heap, between two lines that a tracer sees:
 *
 *     begin <scene> <base> <size>        of the heap's reservation
 *     end
 *
 * The scenes: heap, four threads; realtime, the same with a real-time heap; alone, one thread with such a
 * heap. They wait for each other by looking, not by asking the system.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xvm/xvm.h>

enum { THREADS = 4, PLACES = 400, STEPS = 20000, MiB = 1 << 20 };

typedef struct scene {
    xvm_region region;
    xvm_heap *heap;
    int threads;
    int ready, begun, done, left; /* threads; flag; threads; flag: they may end */
} scene;

static void stop(const char *why)
{
    fprintf(stderr, "heap_only: %s: %s\n", why, xvm_status_text(xvm_last_status()));
    exit(1);
}

static void wait_for(const int *number, int value)
{
    while (__atomic_load_n(number, __ATOMIC_ACQUIRE) != value)
        ;
}

static void announce(int *number)
{
    __atomic_fetch_add(number, 1, __ATOMIC_ACQ_REL);
}

/* --- the work --------------------------------------------------------------------------------- */

static size_t random_below(uint64_t *seed, size_t limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*seed >> 33) % limit;
}

static size_t random_size(uint64_t *seed)
{
    return random_below(seed, random_below(seed, 20) == 0 ? 300000 : 2000);
}

/* Every call of a heap's daily life. */
static void step(xvm_heap *heap, unsigned char **place, uint64_t *seed)
{
    size_t size = random_size(seed);
    void *moved;

    switch (random_below(seed, 6)) {
    case 0:
        moved = xvm_heap_realloc(heap, *place, size);
        *place = moved != NULL ? moved : *place;
        break;
    case 1:
        xvm_heap_free(heap, *place);
        *place = xvm_heap_alloc_aligned(heap, size, (size_t)64 << random_below(seed, 8));
        break;
    case 2:
        xvm_heap_free(heap, *place);
        *place = xvm_heap_alloc_zeroed(heap, 1, size);
        break;
    default:
        xvm_heap_free(heap, *place);
        *place = xvm_heap_alloc(heap, size);
    }
    if (*place != NULL)
        memset(*place, 1, xvm_heap_usable_size(heap, *place));
}

static void work(xvm_heap *heap, uint64_t seed)
{
    unsigned char *places[PLACES] = {0};

    for (int i = 0; i < STEPS; i++) {
        step(heap, &places[random_below(&seed, PLACES)], &seed);
        if (i % 5000 == 4999)
            (void)xvm_heap_trim(heap, MiB);
    }
    for (int i = 0; i < PLACES; i++)
        xvm_heap_free(heap, places[i]);
}

static void *run(void *context)
{
    scene *s = context;

    announce(&s->ready);
    wait_for(&s->begun, 1);
    work(s->heap, (uint64_t)(uintptr_t)&s);
    announce(&s->done);
    wait_for(&s->left, 1);
    return NULL;
}

/* --- the scene -------------------------------------------------------------------------------- */

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        stop("write");
}

/* Threads begin and end outside of it: their stacks are not the heap's. */
static void play(scene *s, const char *name)
{
    pthread_t threads[THREADS];
    char begin[200];

    snprintf(begin, sizeof begin, "begin %s %p %zu\n", name, s->region.own.os_base,
             s->region.own.os_size);
    for (int i = 0; i < s->threads; i++)
        if (pthread_create(&threads[i], NULL, run, s) != 0)
            stop("pthread_create");
    wait_for(&s->ready, s->threads);
    say(begin);
    announce(&s->begun);
    wait_for(&s->done, s->threads);
    (void)xvm_heap_trim(s->heap, 0);
    say("end\n");
    announce(&s->left);
    for (int i = 0; i < s->threads; i++)
        (void)pthread_join(threads[i], NULL);
}

static void play_in(const char *name, size_t size, unsigned flags, int threads)
{
    static scene s;

    s = (scene){.threads = threads};
    if (xvm_reserve(&s.region, size, NULL) != XVM_OK)
        stop("xvm_reserve");
    if (xvm_heap_create_in(&s.heap, &s.region, &(xvm_heap_options){.flags = flags}) == XVM_OK) {
        play(&s, name);
        xvm_heap_destroy(s.heap);
    } else {
        printf("no %s heap here: %s\n", name, xvm_status_text(xvm_last_status()));
    }
    if (xvm_release(&s.region) != XVM_OK)
        stop("xvm_release");
}

int main(void)
{
    play_in("heap", (size_t)1024 * MiB, 0, THREADS);
    play_in("realtime", (size_t)64 * MiB, XVM_HEAP_REALTIME, THREADS);
    play_in("alone", (size_t)64 * MiB, XVM_HEAP_REALTIME, 1);
    return 0;
}

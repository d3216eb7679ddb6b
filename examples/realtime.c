/* realtime.c - a 1 kHz control loop that takes and frees memory in every turn: no page fault, no system
 * call of the heap's, and the time of every operation in a histogram.
 *
 *     sleep until the next millisecond --> free some blocks, take others --> note how long each took
 *
 * usage: xvm_example_realtime [seconds]
 */
#include <stdio.h>
#include <stdlib.h>
#include <xvm/xvm.h>

#include "realtime.h"

enum { HERTZ = 1000, LIVE = 2000, TURN = 50, BUCKETS = 16 };

typedef struct loop {
    xvm_heap *heap;
    void *blocks[LIVE];
    unsigned seed;
    long turns;
    long histogram[BUCKETS]; /* operations below 2^i / 8 microseconds */
    double worst;
    uint64_t faults;
} loop;

static unsigned next(loop *l)
{
    l->seed = l->seed * 1664525u + 1013904223u;
    return l->seed >> 8;
}

/* Small ones mostly, some of 64 KiB. */
static size_t next_size(loop *l)
{
    return next(l) % 50 == 0 ? next(l) % (64 << 10) + 1 : next(l) % 500 + 1;
}

static void note(loop *l, double microseconds)
{
    int bucket = 0;

    while (bucket < BUCKETS - 1 && microseconds * 8 >= (double)(1L << bucket))
        bucket++;
    l->histogram[bucket]++;
    l->worst = microseconds > l->worst ? microseconds : l->worst;
}

/* Frees one block and takes another in its place. */
static void replace(loop *l)
{
    void **place = &l->blocks[next(l) % LIVE];
    size_t size = next_size(l);
    double start = realtime_microseconds(), between, end;

    xvm_heap_free(l->heap, *place);
    between = realtime_microseconds();
    *place = xvm_heap_alloc(l->heap, size);
    end = realtime_microseconds();
    note(l, between - start);
    note(l, end - between);
    if (*place == NULL)
        exit(1);
    *(volatile char *)*place = 1;
}

static void run(void *context)
{
    loop *l = context;
    double due = realtime_microseconds();
    uint64_t before;

    for (int i = 0; i < 10 * TURN; i++) /* once, for the code and the stack */
        replace(l);
    l->worst = 0;
    before = realtime_faults();
    for (long turn = 0; turn < l->turns; turn++) {
        due += 1e6 / HERTZ;
        if (due > realtime_microseconds())
            realtime_sleep((unsigned)(due - realtime_microseconds()));
        for (int i = 0; i < TURN; i++)
            replace(l);
    }
    l->faults = realtime_faults() - before;
}

static void print(const loop *l)
{
    printf("%ld turns of %d operations at %d Hz\n", l->turns, 2 * TURN, HERTZ);
    for (int i = 0; i < BUCKETS; i++)
        if (l->histogram[i] != 0)
            printf("  %s %8.3f us  %ld\n", i < BUCKETS - 1 ? "below" : "above",
                   (double)(1L << (i < BUCKETS - 1 ? i : i - 1)) / 8, l->histogram[i]);
    printf("the longest took %.1f us\nfaults of this thread: %llu\n", l->worst,
           (unsigned long long)l->faults);
}

int main(int argc, char **argv)
{
    static loop l;
    xvm_heap_options options = {.max_size = 32 << 20, .flags = XVM_HEAP_REALTIME, .name = "loop"};
    char why[300];

    if (xvm_heap_create(&l.heap, &options) != XVM_OK) {
        (void)xvm_explain(why, sizeof why); /* perhaps nothing may be locked here */
        printf("no real-time heap: %s\n", why);
        return 0;
    }
    l.seed = 1;
    l.turns = (long)((argc > 1 ? atof(argv[1]) : 3) * HERTZ);
    realtime_start(run, &l);
    realtime_join();
    print(&l);
    xvm_heap_destroy(l.heap);
    return 0;
}

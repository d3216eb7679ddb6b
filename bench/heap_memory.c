/* heap_memory.c - how much memory a heap takes for what it holds, beside the packaged allocators.
 *
 *     take 20000 blocks --> replace 200000 --> free 90 % --> go on --> free all --> go on --> trim
 *     resident:                      | peak             | -90 %             | at once | -100 % | trimmed
 *
 *   1  Sizes and order are the same for each side, and every byte is written.
 *   2  What a side takes is what is resident more than before it began: sides come one after another, and
 *      what one of them keeps is there before the next begins.
 *
 *   3  Going on: a second and a half passes, and blocks are taken and freed.
 *
 * usage: xvm_bench_heap_memory [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "peers.h"
#include "sizes.h"
#include "xvm/xvm.h"

enum { LIVE = 20000, MiB = 1 << 20, LATER = 1500 /* ms */ };

typedef struct slot {
    void *block;
    size_t size;
} slot;

typedef struct figures {
    size_t live, peak_live;                     /* bytes that were asked for */
    size_t peak, tenth, at_once, none, trimmed; /* resident */
} figures;

static xvm_heap *heap;
static slot slots[LIVE];
static size_t live_slots = LIVE, replaced = 200000;

static size_t resident(void)
{
    xvm_limits now;

    return xvm_get_limits(&now) == XVM_OK ? (size_t)now.process_resident : 0;
}

static void take(const peer *p, slot *s, uint32_t *state, figures *f)
{
    s->size = mixed_size(state);
    s->block = p != NULL ? p->get(s->size) : xvm_heap_alloc(heap, s->size);
    if (s->block == NULL)
        exit(1);
    memset(s->block, 1, s->size);
    f->live += s->size;
    f->peak_live = f->live > f->peak_live ? f->live : f->peak_live;
}

static void drop(const peer *p, slot *s, figures *f)
{
    if (s->block == NULL)
        return;
    if (p != NULL)
        p->put(s->block);
    else
        xvm_heap_free(heap, s->block);
    f->live -= s->size;
    s->block = NULL;
}

static void note_peak(figures *f)
{
    size_t now = resident();

    f->peak = now > f->peak ? now : f->peak;
}

static void fill_and_replace(const peer *p, uint32_t *state, figures *f)
{
    for (size_t i = 0; i < live_slots; i++)
        take(p, &slots[i], state, f);
    for (size_t i = 0; i < replaced; i++) {
        slot *s = &slots[next_random(state) % live_slots];

        drop(p, s, f);
        take(p, s, state, f);
        if (i % 500 == 0)
            note_peak(f);
    }
}

static void go_on(const peer *p, uint32_t *state, figures *f)
{
    slot s;

    wait_for(LATER);
    do {
        take(p, &s, state, f);
        drop(p, &s, f);
    } while (s.size < MiB);
}

static figures run_side(const peer *p)
{
    figures f = {0};
    uint32_t state = 2463534242u;
    size_t before = resident();

    fill_and_replace(p, &state, &f);
    for (size_t i = 0; i < live_slots; i++)
        if (next_random(&state) % 10 != 0)
            drop(p, &slots[i], &f);
    go_on(p, &state, &f);
    f.tenth = resident() - before;
    for (size_t i = 0; i < live_slots; i++)
        drop(p, &slots[i], &f);
    f.at_once = resident() - before;
    go_on(p, &state, &f);
    f.none = resident() - before;
    if (p == NULL)
        (void)xvm_heap_trim(heap, 0);
    else if (p->trim != NULL)
        p->trim();
    f.trimmed = resident() - before;
    f.peak -= before;
    return f;
}

static double part(size_t of, size_t all)
{
    return (double)(ptrdiff_t)of / (double)all;
}

static void print(const char *name, const figures *f, bool csv)
{
    printf(csv ? "%s,%.1f,%.3f,%.3f,%.3f,%.3f,%.3f\n"
               : "%-12s %10.1f %12.3f %12.3f %12.3f %12.3f %12.3f\n",
           name, (double)f->peak_live / MiB, part(f->peak, f->peak_live), part(f->tenth, f->peak),
           part(f->at_once, f->peak), part(f->none, f->peak), part(f->trimmed, f->peak));
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    peer peers[MOST_PEERS];
    size_t count = find_peers(peers, argv);

    if (argc > 1 && strcmp(argv[1], "--smoke") == 0) {
        live_slots /= 100;
        replaced /= 100;
    }
    if (xvm_heap_create(&heap, NULL) != XVM_OK)
        return 1;
    printf(csv ? "side,live MiB,peak/live,-90%%/peak,-100%% at once/peak,-100%%/peak,trimmed/peak\n"
               : "%-12s %10s %12s %12s %12s %12s %12s\n",
           "resident", "MiB live", "peak/live", "-90 %", "at once", "-100 %", "trimmed");
    for (size_t i = 0; i <= count; i++) {
        figures f = run_side(i == 0 ? NULL : &peers[i - 1]);

        print(i == 0 ? "heap" : peers[i - 1].name, &f, csv);
    }
    xvm_heap_destroy(heap);
    return 0;
}

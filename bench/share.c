/* share.c - what shares cost: xvm against the bare system calls, in one run.
 *
 *     view          map and unmap 64 KiB, on its own, and touched once
 *     in a region   the same over reserved pages, which are reserved again
 *     memory        create 64 KiB and close
 *     name          the same by name; open what another handle has
 *
 *   1  Times are medians of rounds, bare and xvm in turn.
 *   2  The bare side makes the calls that do the work, and none of those that keep promises: seals, locks
 *      of names.
 *
 * usage: xvm_bench_share [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "shared.h"
#include "xvm/xvm.h"

enum { ROUNDS = 101, SMOKE_ROUNDS = 3, CALLS = 200, VIEW = 64 << 10 };

static size_t rounds = ROUNDS;
static bool csv;
static xvm_share share;
static xvm_region region;
static intptr_t memory;
static unsigned char *place;
static char bare_names[2][40], names[2][40]; /* made here and now, and held */

/* --- what is measured ------------------------------------------------------------------------- */

static void view_bare(void)
{
    bare_unmap(bare_map(memory, VIEW), VIEW);
}

static void view_xvm(void)
{
    xvm_region view = {0};

    must(xvm_share_map(&share, 0, VIEW, NULL, &view, 0), "xvm_share_map");
    must(xvm_release(&view), "xvm_release");
}

static void touch_bare(void)
{
    void *view = bare_map(memory, VIEW);

    *(volatile char *)view = 1;
    bare_unmap(view, VIEW);
}

static void touch_xvm(void)
{
    xvm_region view = {0};

    must(xvm_share_map(&share, 0, VIEW, NULL, &view, 0), "xvm_share_map");
    *(volatile char *)view.base = 1;
    must(xvm_release(&view), "xvm_release");
}

static void over_bare(void)
{
    (void)bare_map_over(memory, place + VIEW, VIEW);
}

static void over_xvm(void)
{
    must(xvm_share_map(&share, 0, VIEW, NULL, &region, VIEW), "xvm_share_map");
    must(xvm_share_unmap(&region, VIEW, VIEW), "xvm_share_unmap");
}

static void memory_bare(void)
{
    bare_close(bare_create_memory(VIEW));
}

static void memory_xvm(void)
{
    xvm_share made;

    must(xvm_share_create(&made, VIEW, NULL), "xvm_share_create");
    xvm_share_close(&made);
}

static void name_bare(void)
{
    intptr_t made = bare_create_name(bare_names[0], VIEW);

    bare_forget_name(bare_names[0]);
    bare_close(made);
}

static void name_xvm(void)
{
    xvm_share made;

    must(xvm_share_create(&made, VIEW, &(xvm_share_options){.name = names[0]}), "xvm_share_create");
    xvm_share_close(&made);
}

static void open_bare(void)
{
    bare_close(bare_open_name(bare_names[1]));
}

static void open_xvm(void)
{
    xvm_share found;

    must(xvm_share_open(&found, names[1], XVM_SHARE_READ_WRITE), "xvm_share_open");
    xvm_share_close(&found);
}

/* --- measuring -------------------------------------------------------------------------------- */

static double time_of(void (*run)(void))
{
    uint64_t start = bare_now();

    for (int i = 0; i < CALLS; i++)
        run();
    return (double)(bare_now() - start) / CALLS;
}

/* Nanoseconds for one: medians. */
static void measure(const char *name, void (*bare)(void), void (*xvm)(void))
{
    double times[2][ROUNDS], a, b;

    for (size_t i = 0; i < rounds; i++) {
        times[0][i] = time_of(bare);
        times[1][i] = time_of(xvm);
    }
    a = median(times[0], rounds);
    b = median(times[1], rounds);
    printf(csv ? "%s,%.1f,%.1f,%.3f\n" : "%-32s %10.0f %10.0f %8.2f\n", name, a, b, b / a);
}

static void measure_names(void)
{
    xvm_share held;
    intptr_t bare = bare_create_name(bare_names[1], VIEW);

    must(xvm_share_create(&held, VIEW, &(xvm_share_options){.name = names[1]}), "xvm_share_create");
    measure("name: create + close", name_bare, name_xvm);
    measure("name: open + close", open_bare, open_xvm);
    bare_forget_name(bare_names[1]);
    bare_close(bare);
    xvm_share_close(&held);
}

static void choose_names(void)
{
    unsigned long long now = bare_now();

    for (int i = 0; i < 2; i++) {
        snprintf(bare_names[i], sizeof bare_names[i], "xvm-bench-%d-%llu", i, now);
        snprintf(names[i], sizeof names[i], "bench-%d-%llu", i, now);
    }
}

int main(int argc, char **argv)
{
    csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    if (argc > 1 && strcmp(argv[1], "--smoke") == 0)
        rounds = SMOKE_ROUNDS;
    printf(csv ? "call,bare ns,xvm ns,ratio\n"
               : "call                                bare ns     xvm ns    ratio\n");
    must(xvm_share_create(&share, VIEW, NULL), "xvm_share_create");
    must(xvm_reserve(&region, 4 * (size_t)VIEW, NULL), "xvm_reserve");
    choose_names();
    memory = bare_create_memory(VIEW);
    place = bare_reserve(4 * (size_t)VIEW);
    measure("view: map + unmap", view_bare, view_xvm);
    measure("view: map + touch + unmap", touch_bare, touch_xvm);
    if (bare_map_over(memory, place + VIEW, VIEW))
        measure("in a region: map + unmap", over_bare, over_xvm);
    measure("memory: create + close", memory_bare, memory_xvm);
    measure_names();
    must(xvm_release(&region), "xvm_release");
    xvm_share_close(&share);
    bare_close(memory);
    return 0;
}

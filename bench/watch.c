/* watch.c - what it costs to know which pages were written, by each method that works here, beside two ways
 * without a watch.
 *
 *     compare   a copy of all bytes is kept; each page is compared with it, and copied when it differs
 *     fork      a child keeps what was there; the first write to each page copies it
 *
 *   1  Times are medians of rounds, for GiB as if there were one. All ways are measured in one run, and take
 *      turns in each round.
 *   2  Pages are small ones. The written ones are spread evenly. What is said of writes is the time of a write of
 *      one byte to each of them, less that of the same writes beside comparing, where nobody watches.
 *   3  A look is all calls until nothing is left to report, with 1024 ranges for each.
 *
 * usage: xvm_bench_watch [--smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "freeze.h"
#include "xvm/xvm.h"

enum { SIZE = 256 << 20, SMOKE_SIZE = 4 << 20, ROUNDS = 9, SMOKE_ROUNDS = 2, RANGES = 1024 };
enum { SYSTEM, USERFAULT, SOFT_DIRTY, PROTECT, COMPARE, FORK, WAYS };
enum { NOTHING, ONE, TEN, ALL, SHARES };

static const char *const names[WAYS] = {"system",  "userfault", "soft-dirty",
                                        "protect", "compare",   "fork"};
static const unsigned percents[SHARES] = {0, 1, 10, 100};

static size_t size = SIZE, rounds = ROUNDS;

/* Nanoseconds of each round. */
typedef struct times {
    double arm[ROUNDS], write[SHARES][ROUNDS], look[SHARES][ROUNDS];
} times;

static times found[WAYS];
static bool works[WAYS];
static xvm_region region;
static unsigned char *copy;
static unsigned char value;

/* --- the ways --------------------------------------------------------------------------------- */

static size_t pages_of(int share)
{
    return size / bare_page_size() * percents[share] / 100;
}

static void write_pages(int share)
{
    size_t page = bare_page_size(), count = pages_of(share);
    size_t apart = count != 0 ? size / page / count * page : 0;

    value++;
    for (size_t i = 0; i < count; i++)
        *((volatile unsigned char *)region.base + i * apart) = value;
}

static void compare_all(void)
{
    size_t page = bare_page_size();
    const unsigned char *base = region.base;

    for (size_t at = 0; at < size; at += page)
        if (memcmp(base + at, copy + at, page) != 0)
            memcpy(copy + at, base + at, page);
}

static bool start(int way)
{
    if (way == COMPARE)
        memcpy(copy, region.base, size);
    else if (way == FORK)
        return bare_freeze();
    else
        return xvm_watch_start_by(&region, 0, size, (xvm_watch_method)(way + 1)) == XVM_OK;
    return true;
}

/* Writes again cost what they cost before. */
static void look(int way)
{
    static xvm_range ranges[RANGES];
    size_t count = RANGES;

    if (way == COMPARE) {
        compare_all();
    } else if (way == FORK) {
        bare_thaw();
        (void)bare_freeze();
    }
    while (way < COMPARE && count == RANGES)
        must(xvm_watch_collect(&region, XVM_WATCH_RESET, ranges, RANGES, &count),
             "xvm_watch_collect");
}

static void stop(int way)
{
    if (way == FORK)
        bare_thaw();
    else if (way < COMPARE)
        must(xvm_watch_stop(&region), "xvm_watch_stop");
}

/* --- measuring -------------------------------------------------------------------------------- */

static double since(uint64_t start_time)
{
    return (double)(bare_now() - start_time);
}

static void measure(int way, size_t round)
{
    times *t = &found[way];
    uint64_t now = bare_now();

    works[way] = start(way);
    t->arm[round] = since(now);
    if (!works[way])
        return;
    look(way); /* what only the first one costs */
    for (int share = 0; share < SHARES; share++) {
        now = bare_now();
        write_pages(share);
        t->write[share][round] = since(now);
        now = bare_now();
        look(way);
        t->look[share][round] = since(now);
    }
    stop(way);
}

static void measure_all(void)
{
    for (size_t round = 0; round < rounds; round++)
        for (int way = 0; way < WAYS; way++)
            measure(way, round);
}

/* --- telling ---------------------------------------------------------------------------------- */

static double ms_for_gib(double *values)
{
    return median(values, rounds) / 1e6 * (double)(1 << 30) / (double)size;
}

static double ns_for_page(times *t, int share)
{
    return (median(t->write[share], rounds) - median(found[COMPARE].write[share], rounds)) /
           (double)pages_of(share);
}

static void tell(int way)
{
    times *t = &found[way];

    printf("%-11s %9.2f", names[way], ms_for_gib(t->arm));
    for (int share = ONE; share < SHARES; share++)
        printf(" %7.0f", ns_for_page(t, share));
    for (int share = 0; share < SHARES; share++)
        printf(" %9.3f", ms_for_gib(t->look[share]));
    printf("\n");
}

int main(int count, char **arguments)
{
    xvm_reserve_options options = {.flags = XVM_RESERVE_WATCHED, .huge = XVM_HUGE_NEVER};

    if (count > 1 && strcmp(arguments[1], "--smoke") == 0) {
        size = SMOKE_SIZE;
        rounds = SMOKE_ROUNDS;
    }
    must(xvm_reserve(&region, size, &options), "xvm_reserve");
    must(xvm_commit(&region, 0, size), "xvm_commit");
    copy = malloc(size);
    if (copy == NULL)
        return 1;
    memset(region.base, 1, size);
    measure_all();
    printf("%u MiB, %u rounds    first write, ns for each page   look and reset, ms for a GiB\n",
           (unsigned)(size >> 20), (unsigned)rounds);
    printf("way           arm, ms     1 %%    10 %%   100 %%       0 %%       1 %%      10 %%"
           "     100 %%\n");
    for (int way = 0; way < WAYS; way++)
        if (works[way])
            tell(way);
    free(copy);
    must(xvm_release(&region), "xvm_release");
    return 0;
}

/* query.c - what it costs to ask: xvm against what a program would do itself, in one run, at few and
 * at many mappings.
 *
 *     bare    /proc/self/maps by fopen and sscanf up to the address; VirtualQuery
 *     xvm     an address of a region, an address of anything else, the walk over everything
 *
 *   1  Times are medians of rounds; both sides ask for the same addresses.
 *   2  Many mappings are a region whose pages are committed one by one, alternating.
 *
 * usage: xvm_bench_query [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum {
    ROUNDS = 101,
    SMOKE_ROUNDS = 3,
    MANY = 60000,
    SMOKE_MANY = 600,
    CALLS = 1000,
    SLOW_CALLS = 3
};

static size_t rounds = ROUNDS, many = MANY;
static bool csv;

/* --- what is measured ------------------------------------------------------------------------- */

/* The region whose pages are the mappings. */
static xvm_region field;

static size_t mappings; /* of field */

static int count_span(const xvm_span *span, void *context)
{
    (void)span;
    ++*(size_t *)context;
    return 0;
}

static const void *page_of(const xvm_region *r, size_t i)
{
    size_t pages = r->size / bare_page_size();

    return (unsigned char *)r->base + i * 7919 % pages * bare_page_size();
}

static void ask_bare(size_t calls)
{
    for (size_t i = 0; i < calls; i++)
        (void)bare_query(page_of(&field, i));
}

static void ask_region(size_t calls)
{
    xvm_span span;

    for (size_t i = 0; i < calls; i++)
        must(xvm_query(page_of(&field, i), &span), "xvm_query");
}

static void ask_stack(size_t calls)
{
    xvm_span span;

    for (size_t i = 0; i < calls; i++)
        must(xvm_query(&span, &span), "xvm_query");
}

static void ask_free(size_t calls)
{
    xvm_span span;

    for (size_t i = 0; i < calls; i++)
        must(xvm_query(NULL, &span), "xvm_query");
}

static void walk(size_t calls)
{
    size_t spans = 0;

    for (size_t i = 0; i < calls; i++)
        must(xvm_walk(count_span, &spans), "xvm_walk");
}

static void reserve_bare(size_t calls)
{
    for (size_t i = 0; i < calls; i++)
        bare_release(bare_reserve(1 << 16), 1 << 16);
}

static void reserve_xvm(size_t calls)
{
    xvm_region r;

    for (size_t i = 0; i < calls; i++) {
        must(xvm_reserve(&r, 1 << 16, NULL), "xvm_reserve");
        must(xvm_release(&r), "xvm_release");
    }
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Nanoseconds for one call: the median of the rounds. */
static double measure(void (*run)(size_t calls), size_t calls)
{
    double times[ROUNDS];

    run(1);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start = bare_now();

        run(calls);
        times[i] = (double)(bare_now() - start) / (double)calls;
    }
    return median(times, rounds);
}

static void print(const char *name, double bare, double xvm)
{
    if (csv)
        printf("%s,%zu,%.1f,%.1f,%.4f\n", name, mappings, bare, xvm, xvm / bare);
    else
        printf("%-28s %9zu %14.0f %12.0f %9.4f\n", name, mappings, bare, xvm, xvm / bare);
}

static void measure_all(void)
{
    double bare = measure(ask_bare, SLOW_CALLS);

    print("query, of a region", bare, measure(ask_region, CALLS));
    print("query, of the stack", bare, measure(ask_stack, CALLS));
    print("query, of a hole", bare, measure(ask_free, CALLS / 10));
    print("walk / one bare query", bare, measure(walk, 1));
    print("reserve + release", measure(reserve_bare, CALLS), measure(reserve_xvm, CALLS));
}

/* Fewer where the system has a lower limit. */
static void make_mappings(void)
{
    size_t page = bare_page_size();

    for (; mappings < many; mappings += 2)
        if (xvm_commit(&field, mappings * page, page) != XVM_OK)
            break;
}

/* Regions instead of mappings. */
static void measure_among_regions(void)
{
    size_t count = many / 3;
    xvm_region *regions = calloc(count, sizeof *regions);

    if (regions == NULL)
        exit(1);
    for (mappings = 0; mappings < count; mappings++)
        if (xvm_reserve(&regions[mappings], bare_page_size(), NULL) != XVM_OK)
            break;
    print("reserve + release, regions", measure(reserve_bare, CALLS), measure(reserve_xvm, CALLS));
    for (size_t i = 0; i < mappings; i++)
        must(xvm_release(&regions[i]), "xvm_release");
    free(regions);
}

int main(int argc, char **argv)
{
    csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    if (argc > 1 && strcmp(argv[1], "--smoke") == 0) {
        rounds = SMOKE_ROUNDS;
        many = SMOKE_MANY;
    }
    printf(csv ? "call,mappings,bare ns,xvm ns,ratio\n"
               : "call                          mappings        bare ns       xvm ns     ratio\n");
    must(xvm_reserve(&field, many * bare_page_size(), NULL), "xvm_reserve");
    measure_all();
    make_mappings();
    measure_all();
    must(xvm_release(&field), "xvm_release");
    measure_among_regions();
    return 0;
}

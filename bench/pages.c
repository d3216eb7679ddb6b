/* pages.c - one page here, one there: what sparse commits, guards, scattered discards and prefaulting
 * cost beside the usual way, in one run.
 *
 *     | usual | xvm | usual | xvm | ...     a ratio for each round; their median counts
 *
 * usage: xvm_bench_pages [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum { ROUNDS = 31, SMOKE_ROUNDS = 2, PAGES = 4000, STRIDE = 7 };

static size_t page;

/* One way to do a thing to PAGES pages, each STRIDE pages behind the one before. */
typedef struct way {
    void (*before)(xvm_region *r), (*run)(xvm_region *r);
    xvm_commit_mode mode;
} way;

static size_t offset(size_t i)
{
    return i * STRIDE * page;
}

static unsigned char *address(xvm_region *r, size_t i)
{
    return (unsigned char *)r->base + offset(i);
}

static void nothing(xvm_region *r)
{
    (void)r;
}

static void commit_all(xvm_region *r)
{
    must(xvm_commit(r, 0, r->size), "xvm_commit");
}

static void fill_all(xvm_region *r)
{
    commit_all(r);
    memset(r->base, 1, r->size);
}

/* --- ways ------------------------------------------------------------------------------------- */

static void commit_pages(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        must(xvm_commit(r, offset(i), page), "xvm_commit");
}

static void decommit_pages(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        must(xvm_decommit(r, offset(i), page), "xvm_decommit");
}

static void commit_bare(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        bare_commit(address(r, i), page);
}

static void decommit_bare(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        bare_decommit(address(r, i), page);
}

static void guard_pages(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        must(xvm_guard(r, offset(i), page), "xvm_guard");
}

static void close_pages(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        must(xvm_protect(r, offset(i), page, XVM_NO_ACCESS), "xvm_protect");
}

static void discard_pages(xvm_region *r)
{
    for (size_t i = 0; i < PAGES; i++)
        must(xvm_discard(r, offset(i), page, XVM_DISCARD_ZERO), "xvm_discard");
}

static void discard_together(xvm_region *r)
{
    static xvm_range ranges[PAGES];

    for (size_t i = 0; i < PAGES; i++)
        ranges[i] = (xvm_range){offset(i), page};
    must(xvm_discard_ranges(r, ranges, PAGES, XVM_DISCARD_ZERO), "xvm_discard_ranges");
}

static void write_all(xvm_region *r)
{
    memset(r->base, 2, r->size);
}

static void prefault_all(xvm_region *r)
{
    must(xvm_prefault(r, 0, r->size), "xvm_prefault");
}

/* --- measuring -------------------------------------------------------------------------------- */

static double run_way(const way *w)
{
    xvm_reserve_options options = {.commit_mode = w->mode};
    uint64_t start, end;
    xvm_region r;

    must(xvm_reserve(&r, PAGES * STRIDE * page, &options), "xvm_reserve");
    w->before(&r);
    start = bare_now();
    w->run(&r);
    end = bare_now();
    must(xvm_release(&r), "xvm_release");
    return (double)(end - start);
}

/* Per page of so many: nanoseconds of both, and the ratio. */
static void measure(const char *name, way usual, way ours, size_t pages, size_t rounds, bool csv)
{
    static double before[ROUNDS], after[ROUNDS], ratios[ROUNDS];
    double a, b;

    for (size_t i = 0; i < rounds; i++) {
        before[i] = run_way(&usual) / (double)pages;
        after[i] = run_way(&ours) / (double)pages;
        ratios[i] = after[i] / before[i];
    }
    a = median(before, rounds);
    b = median(after, rounds);
    printf(csv ? "%s,%.1f,%.1f,%.3f\n" : "%-44s %9.0f %9.0f %8.2f\n", name, a, b,
           median(ratios, rounds));
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    size_t rounds = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? SMOKE_ROUNDS : ROUNDS;
    size_t all = (size_t)PAGES * STRIDE;

    page = xvm_page_size();
    printf(csv ? "what,usual ns,xvm ns,ratio\n"
               : "ns for each page                              the usual       xvm    ratio\n");
    measure("commit: system call, sparse", (way){nothing, commit_bare, XVM_COMMIT_CHARGED},
            (way){nothing, commit_pages, XVM_COMMIT_SPARSE}, PAGES, rounds, csv);
    measure("commit: charged, sparse", (way){nothing, commit_pages, XVM_COMMIT_CHARGED},
            (way){nothing, commit_pages, XVM_COMMIT_SPARSE}, PAGES, rounds, csv);
    measure("decommit, untouched: system call, sparse",
            (way){commit_bare, decommit_bare, XVM_COMMIT_CHARGED},
            (way){commit_pages, decommit_pages, XVM_COMMIT_SPARSE}, PAGES, rounds, csv);
    measure("decommit, touched: charged, sparse",
            (way){fill_all, decommit_pages, XVM_COMMIT_CHARGED},
            (way){fill_all, decommit_pages, XVM_COMMIT_SPARSE}, PAGES, rounds, csv);
    measure("guard: protect, guard", (way){fill_all, close_pages, XVM_COMMIT_CHARGED},
            (way){fill_all, guard_pages, XVM_COMMIT_CHARGED}, PAGES, rounds, csv);
    measure("discard: one by one, together", (way){fill_all, discard_pages, XVM_COMMIT_CHARGED},
            (way){fill_all, discard_together, XVM_COMMIT_CHARGED}, PAGES, rounds, csv);
    measure("residence: memset, prefault", (way){commit_all, write_all, XVM_COMMIT_CHARGED},
            (way){commit_all, prefault_all, XVM_COMMIT_CHARGED}, all, rounds, csv);
    measure("residence: memset of resident, prefault",
            (way){fill_all, write_all, XVM_COMMIT_CHARGED},
            (way){commit_all, prefault_all, XVM_COMMIT_CHARGED}, all, rounds, csv);
    return 0;
}

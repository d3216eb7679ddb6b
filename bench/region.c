/* region.c - what xvm adds to each system call: both in one run, alternating, as a ratio.
 *
 *     | bare x calls | xvm x calls | bare | xvm | ...     a ratio for each round; their median counts
 *
 *   1  Both sides do the same to ranges of the same size and in the same state.
 *   2  Times are per call; a round is long enough for the clock, short enough for a shared machine.
 *
 * usage: xvm_bench_region [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum { MOST_ROUNDS = 301, MOST_CALLS = 256, SMOKE_ROUNDS = 3 };

typedef enum side { BARE, XVM } side;

/* Where one side works: calls ranges of size bytes, one behind the other. */
typedef struct field {
    side side;
    size_t size, calls;
    unsigned char *base;
    xvm_region region;
} field;

/* What is measured. before and after are not. */
typedef struct measure {
    const char *name;
    void (*before)(field *f), (*run)(field *f), (*after)(field *f);
    size_t size, calls;
} measure;

static void *range(field *f, size_t i)
{
    return f->base + i * f->size;
}

/* --- the calls, on both sides ----------------------------------------------------------------- */

#define ON_EACH(name, bare_call, xvm_call)                                                         \
    static void name(field *f)                                                                     \
    {                                                                                              \
        if (f->side == BARE)                                                                       \
            for (size_t i = 0; i < f->calls; i++)                                                  \
                bare_call;                                                                         \
        else                                                                                       \
            for (size_t i = 0; i < f->calls; i++)                                                  \
                must(xvm_call, #xvm_call);                                                         \
    }

ON_EACH(commit, bare_commit(range(f, i), f->size), xvm_commit(&f->region, i * f->size, f->size))
ON_EACH(decommit, bare_decommit(range(f, i), f->size),
        xvm_decommit(&f->region, i * f->size, f->size))
ON_EACH(discard, bare_discard(range(f, i), f->size),
        xvm_discard(&f->region, i * f->size, f->size, XVM_DISCARD_ZERO))
ON_EACH(protect_read, bare_protect_read(range(f, i), f->size),
        xvm_protect(&f->region, i * f->size, f->size, XVM_READ))
ON_EACH(protect_write, bare_protect_write(range(f, i), f->size),
        xvm_protect(&f->region, i * f->size, f->size, XVM_READ_WRITE))
ON_EACH(lock, bare_lock(range(f, i), f->size), xvm_lock(&f->region, i * f->size, f->size))
ON_EACH(unlock, bare_unlock(range(f, i), f->size), xvm_unlock(&f->region, i * f->size, f->size))
ON_EACH(prefault, bare_prefault(range(f, i), f->size),
        xvm_prefault(&f->region, i * f->size, f->size))

static void nothing(field *f)
{
    (void)f;
}

static void commit_all(field *f)
{
    if (f->side == BARE)
        bare_commit(f->base, f->size * f->calls);
    else
        must(xvm_commit(&f->region, 0, f->size * f->calls), "xvm_commit");
}

static void decommit_all(field *f)
{
    if (f->side == BARE)
        bare_decommit(f->base, f->size * f->calls);
    else
        must(xvm_decommit(&f->region, 0, f->size * f->calls), "xvm_decommit");
}

static void commit_and_touch(field *f)
{
    commit_all(f);
    memset(f->base, 1, f->size * f->calls);
}

static void commit_touch_lock(field *f)
{
    commit_and_touch(f);
    lock(f);
}

static void commit_touch_close(field *f)
{
    commit_and_touch(f);
    protect_read(f);
}

static void reserve_and_release(field *f)
{
    for (size_t i = 0; i < f->calls; i++) {
        if (f->side == BARE) {
            bare_release(bare_reserve(f->size), f->size);
        } else {
            xvm_region r;

            must(xvm_reserve(&r, f->size, NULL), "xvm_reserve");
            must(xvm_release(&r), "xvm_release");
        }
    }
}

/* --- measuring -------------------------------------------------------------------------------- */

static field open_field(side s, const measure *m)
{
    field f = {.side = s, .size = m->size, .calls = m->calls};

    if (m->run == reserve_and_release)
        return f;
    if (s == BARE) {
        f.base = bare_reserve(m->size * m->calls);
        return f;
    }
    must(xvm_reserve(&f.region, m->size * m->calls, NULL), "xvm_reserve");
    f.base = f.region.base;
    return f;
}

static void close_field(field *f)
{
    if (f->base == NULL)
        return;
    if (f->side == BARE)
        bare_release(f->base, f->size * f->calls);
    else
        must(xvm_release(&f->region), "xvm_release");
}

/* Nanoseconds for one call. */
static double run_round(const measure *m, field *f)
{
    uint64_t start, end;

    m->before(f);
    start = bare_now();
    m->run(f);
    end = bare_now();
    m->after(f);
    return (double)(end - start) / (double)f->calls;
}

static void print_size(size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; size >= 1024 && unit < 4; unit++)
        size /= 1024;
    printf("%5zu %-3s", size, units[unit]);
}

/* The sides take turns in going first, so that neither always finds the caches warm. */
static void measure_one(const measure *m, size_t rounds, bool csv)
{
    static double bare_times[MOST_ROUNDS], xvm_times[MOST_ROUNDS], ratios[MOST_ROUNDS];
    field bare = open_field(BARE, m), ours = open_field(XVM, m);
    double b, x, ratio;

    (void)run_round(m, &bare);
    (void)run_round(m, &ours);
    for (size_t i = 0; i < rounds; i++) {
        if (i % 2 == 0)
            bare_times[i] = run_round(m, &bare);
        xvm_times[i] = run_round(m, &ours);
        if (i % 2 != 0)
            bare_times[i] = run_round(m, &bare);
        ratios[i] = xvm_times[i] / bare_times[i];
    }
    close_field(&bare);
    close_field(&ours);
    b = median(bare_times, rounds);
    x = median(xvm_times, rounds);
    ratio = median(ratios, rounds);
    if (csv) {
        printf("%s,%zu,%.1f,%.1f,%.3f\n", m->name, m->size, b, x, ratio);
        return;
    }
    printf("%-28s ", m->name);
    print_size(m->size);
    printf(" %12.0f %12.0f %8.3f\n", b, x, ratio);
}

/* A commit of what is committed: no system call to divide by. */
static void measure_redundant_commit(size_t rounds, bool csv)
{
    enum { CALLS = 10000 };
    static double times[MOST_ROUNDS];
    size_t page = bare_page_size();
    xvm_region r;

    must(xvm_reserve(&r, 1024 * page, NULL), "xvm_reserve");
    must(xvm_commit(&r, 0, 600 * page), "xvm_commit");
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start = bare_now();

        for (size_t call = 0; call < CALLS; call++)
            must(xvm_commit(&r, (call & 511) * page, page), "xvm_commit");
        times[i] = (double)(bare_now() - start) / CALLS;
    }
    must(xvm_release(&r), "xvm_release");
    printf(csv ? "redundant commit,%zu,,%.1f,\n"
               : "redundant commit, %zu bytes: %.1f ns, no system call\n",
           page, median(times, rounds));
}

static size_t fit_calls(size_t size)
{
    size_t most = sizeof(void *) == 4 ? (size_t)128 << 20 : (size_t)256 << 20;
    size_t calls = size != 0 ? most / size : 1;

    return calls == 0 ? 1 : calls < MOST_CALLS ? calls : MOST_CALLS;
}

int main(int argc, char **argv)
{
    size_t page = bare_page_size(),
           large = sizeof(void *) == 4 ? 256u << 20 : (size_t)(64ull << 30);
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    size_t rounds = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? SMOKE_ROUNDS : MOST_ROUNDS;
    measure all[] = {
        {"reserve + release", nothing, reserve_and_release, nothing, 64 << 10, 0},
        {"reserve + release", nothing, reserve_and_release, nothing, large, 64},
        {"commit, frontier", nothing, commit, decommit_all, page, 0},
        {"commit, frontier", nothing, commit, decommit_all, 64 << 10, 0},
        {"commit, frontier", nothing, commit, decommit_all, 2 << 20, 0},
        {"decommit, untouched", commit_all, decommit, nothing, 64 << 10, 0},
        {"decommit, touched", commit_and_touch, decommit, nothing, page, 0},
        {"decommit, touched", commit_and_touch, decommit, nothing, 64 << 10, 0},
        {"discard, touched", commit_and_touch, discard, decommit_all, 64 << 10, 0},
        {"protect read, touched", commit_and_touch, protect_read, decommit_all, page, 0},
        {"protect read, touched", commit_and_touch, protect_read, decommit_all, 64 << 10, 0},
        {"protect write, touched", commit_touch_close, protect_write, decommit_all, 64 << 10, 0},
        {"lock, resident", commit_and_touch, lock, decommit_all, 4 * page, 0},
        {"unlock", commit_touch_lock, unlock, decommit_all, 4 * page, 0},
        {"prefault", commit_all, prefault, decommit_all, 64 << 10, 0},
    };

    printf(csv ? "call,bytes,bare ns,xvm ns,ratio\n"
               : "call                              size      bare ns       xvm ns    ratio\n");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].calls == 0)
            all[i].calls = fit_calls(all[i].size);
        measure_one(&all[i], rounds, csv);
    }
    measure_redundant_commit(rounds, csv);
    return 0;
}

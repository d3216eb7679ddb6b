/* snapshot.c - what snapshots cost beside a full copy of the same region, in one run, alternating.
 *
 *     | write 5 % | take | write 5 % | restore | full copy | ...      a time for each round; medians count
 *
 *   1  The full copy is a memcpy of the whole region to memory that is there. Both find the region as the
 *      other has left the caches.
 *   2  Pages are written at random places, eight bytes in each: what is copied are whole pages.
 *   3  A fork is what else takes a snapshot of a process: it is measured without the writes behind it,
 *      each of which costs a fault and a copy then.
 *
 * usage: xvm_bench_snapshot [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "freeze.h"
#include "peers.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20, MOST_ROUNDS = 201, DEEP = 8, PERCENT = 5 };

typedef struct bench {
    xvm_region region, buffer;
    xvm_snapshots *snapshots;
    size_t size, page, pages, dirty, rounds;
    uint64_t seed;
} bench;

/* --- the steps -------------------------------------------------------------------------------- */

/* 5 % of the pages, not one of them twice in a row. */
static double write_some(bench *b)
{
    size_t stride = b->pages / b->dirty;
    uint64_t start = bare_spent();

    for (size_t i = 0; i < b->dirty; i++) {
        b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
        *(uint64_t *)(void *)((unsigned char *)b->region.base +
                              (i * stride + (size_t)(b->seed >> 33) % stride) * b->page +
                              (size_t)(b->seed >> 20) % (b->page / 8) * 8) = b->seed;
    }
    return (double)(bare_spent() - start);
}

static uint64_t take(bench *b, double *time)
{
    uint64_t id, start = bare_spent();

    must(xvm_snapshots_take(b->snapshots, &id), "take");
    *time = (double)(bare_spent() - start);
    return id;
}

static double restore(bench *b, uint64_t id)
{
    uint64_t start = bare_spent();

    must(xvm_snapshots_restore(b->snapshots, id), "restore");
    return (double)(bare_spent() - start);
}

static double rewind_to(bench *b, uint64_t id)
{
    uint64_t start = bare_spent();

    must(xvm_snapshots_rewind(b->snapshots, id), "rewind");
    return (double)(bare_spent() - start);
}

static double copy_all(bench *b)
{
    uint64_t start = bare_spent();

    memcpy(b->buffer.base, b->region.base, b->size);
    return (double)(bare_spent() - start);
}

/* --- begin ------------------------------------------------------------------------------------ */

static void begin(bench *b, size_t size, const xvm_snapshots_options *options)
{
    b->size = size;
    b->page = xvm_page_size();
    b->pages = size / b->page;
    b->dirty = b->pages * PERCENT / 100;
    b->seed = 1;
    must(xvm_reserve(&b->region, size, &(xvm_reserve_options){.flags = XVM_RESERVE_WATCHED}),
         "reserve");
    must(xvm_reserve(&b->buffer, size, NULL), "reserve");
    must(xvm_commit(&b->region, 0, size), "commit");
    must(xvm_commit(&b->buffer, 0, size), "commit");
    for (size_t i = 0; i < size / 8; i++)
        ((uint64_t *)b->region.base)[i] = i * 0x9e3779b97f4a7c15u;
    (void)copy_all(b);
    must(xvm_snapshots_create(&b->snapshots, &b->region, options), "create");
}

static void end(bench *b)
{
    xvm_snapshots_destroy(b->snapshots);
    must(xvm_release(&b->buffer), "release");
    must(xvm_release(&b->region), "release");
}

/* --- what is measured ------------------------------------------------------------------------- */

static void row(bool csv, const char *what, double time, double full)
{
    printf(csv ? "%s,%.1f,%.2f\n" : "%-44s %10.1f us  %6.1f x\n", what, time / 1e3, full / time);
}

/* The first take copies all: at once, or piece by piece beforehand. */
static void measure_first(size_t size, bool csv)
{
    double first, prepared, longest = 0, piece, full;
    size_t left = size;
    bench b;

    begin(&b, size, NULL);
    full = copy_all(&b);
    (void)take(&b, &first);
    end(&b);
    begin(&b, size, NULL);
    while (left != 0) {
        uint64_t start = bare_spent();

        must(xvm_snapshots_prepare(b.snapshots, MiB, &left), "prepare");
        piece = (double)(bare_spent() - start);
        longest = piece > longest ? piece : longest;
    }
    (void)write_some(&b);
    (void)take(&b, &prepared);
    end(&b);
    row(csv, "first take", first, full);
    row(csv, "prepare, longest of 1 MiB", longest, full);
    row(csv, "first take after prepare, 5 % written", prepared, full);
}

static void measure_frames(size_t size, size_t rounds, bool csv)
{
    static double takes[MOST_ROUNDS], restores[MOST_ROUNDS], fulls[MOST_ROUNDS],
        watched[MOST_ROUNDS], rewinds[MOST_ROUNDS];
    xvm_snapshots_use use;
    double time, full;
    uint64_t id, ids[DEEP];
    bench b;

    begin(&b, size, &(xvm_snapshots_options){.max_count = 16});
    (void)take(&b, &time);
    for (size_t i = 0; i < rounds; i++) {
        watched[i] = write_some(&b) / (double)b.dirty;
        id = take(&b, &takes[i]);
        (void)write_some(&b);
        restores[i] = restore(&b, id);
        fulls[i] = copy_all(&b);
    }
    xvm_snapshots_usage(b.snapshots, &use);
    for (size_t i = 0; i < rounds; i++) {
        for (size_t k = 0; k < DEEP; k++) {
            (void)write_some(&b);
            ids[k] = take(&b, &time);
        }
        rewinds[i] = rewind_to(&b, ids[0]);
    }
    end(&b);
    full = median(fulls, rounds);
    row(csv, "full copy", full, full);
    row(csv, "take, 5 % written", median(takes, rounds), full);
    row(csv, "restore, 5 % written", median(restores, rounds), full);
    row(csv, "rewind by 8 snapshots", median(rewinds, rounds), full);
    printf(csv ? "first write,%.0f,\n" : "first write to a page: %.0f ns\n",
           median(watched, rounds));
    printf(csv ? "memory,%zu,%zu\n" : "16 snapshots: %zu KiB of copies, %zu KiB in all\n",
           use.bytes >> 10, use.committed >> 10);
}

static void measure_fork(size_t size, size_t rounds, bool csv)
{
    static double times[MOST_ROUNDS], fulls[MOST_ROUNDS], writes[MOST_ROUNDS];
    uint64_t start;
    double full;
    bench b;

    begin(&b, size, NULL);
    for (size_t i = 0; i < rounds; i++) {
        start = bare_spent();
        if (!bare_freeze()) {
            end(&b);
            return;
        }
        times[i] = (double)(bare_spent() - start);
        writes[i] = write_some(&b) / (double)b.dirty;
        bare_thaw();
        fulls[i] = copy_all(&b);
    }
    full = median(fulls, rounds);
    row(csv, "fork(2)", median(times, rounds), full);
    printf(csv ? "first write after a fork,%.0f,\n"
               : "first write to a page after a fork: %.0f ns\n",
           median(writes, rounds));
    end(&b);
}

/* --- beside a save ---------------------------------------------------------------------------- */

typedef struct pair {
    bench b;
    uint64_t newest; /* shared */
    int is_over, saves;
    double takes[MOST_ROUNDS], writes[MOST_ROUNDS];
    const char *path;
} pair;

/* One that is dropped before its save begins is none. */
static void save_all_the_time(pair *p)
{
    while (!__atomic_load_n(&p->is_over, __ATOMIC_ACQUIRE)) {
        uint64_t id = __atomic_load_n(&p->newest, __ATOMIC_ACQUIRE);
        xvm_status status = xvm_snapshots_save(p->b.snapshots, id, p->path);

        if (status != XVM_E_NOT_FOUND)
            must(status, "save");
        p->saves += status == XVM_OK;
    }
}

/* By the clock on the wall: waiting counts. */
static void live(pair *p)
{
    double spent;
    uint64_t id;

    for (size_t i = 0; i < p->b.rounds; i++) {
        uint64_t start = bare_now(), middle;

        (void)write_some(&p->b);
        middle = bare_now();
        id = take(&p->b, &spent);
        p->takes[i] = (double)(bare_now() - middle);
        p->writes[i] = (double)(middle - start) / (double)p->b.dirty;
        __atomic_store_n(&p->newest, id, __ATOMIC_RELEASE);
        wait_for(2);
    }
    __atomic_store_n(&p->is_over, 1, __ATOMIC_RELEASE);
}

static void save_or_live(void *context, int index)
{
    if (index == 0)
        live(context);
    else
        save_all_the_time(context);
}

static void stalls(const char *what, double *times, size_t count, double unit, bool csv)
{
    double middle = median(times, count);

    printf(csv ? "%s,%.1f,%.1f,%.1f\n" : "%-32s p50 %8.1f  p99 %8.1f  max %8.1f\n", what,
           middle / unit, times[count * 99 / 100] / unit, times[count - 1] / unit);
}

static void measure_stalls(size_t size, size_t rounds, bool csv)
{
    static pair p;
    double time;

    for (int saving = 0; saving < 2; saving++) {
        memset(&p, 0, sizeof p);
        p.path = "xvm-bench-snapshot.tmp";
        begin(&p.b, size, &(xvm_snapshots_options){.max_count = 8});
        for (size_t i = 0; i < 16; i++) { /* until nothing is copied to memory that is new */
            (void)write_some(&p.b);
            p.newest = take(&p.b, &time);
        }
        p.b.rounds = rounds;
        if (saving)
            run_together(2, save_or_live, &p);
        else
            live(&p);
        stalls(saving ? "take beside a save, us" : "take alone, us", p.takes, rounds, 1e3, csv);
        stalls(saving ? "first write beside a save, ns" : "first write alone, ns", p.writes, rounds,
               1, csv);
        end(&p.b);
    }
    printf(csv ? "saves,%d\n" : "%d saves meanwhile\n", p.saves);
    (void)remove(p.path);
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    size_t size = smoke ? 4 * MiB : 64 * (size_t)MiB, rounds = smoke ? 3 : MOST_ROUNDS;

    printf(csv ? "what,us,full copy / this\n" : "%zu MiB, %d %% of the pages written:\n",
           size / MiB, PERCENT);
    measure_frames(size, rounds, csv);
    measure_first(size, csv);
    measure_fork(size, rounds, csv);
    measure_stalls(size, smoke ? 3 : MOST_ROUNDS, csv);
    return 0;
}

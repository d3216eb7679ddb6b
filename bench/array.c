/* array.c - what it costs to fill an array by pushes, beside memory that was there before, and beside
 * containers that copy or move.
 *
 *     | warm | way | warm | next way | ...     all ways in turn, round after round; medians count
 *
 *   1  A sample is one array of 1 GiB, from nothing, 8 bytes at a time.
 *   2  Before each sample as much memory is touched and given back: a virtual machine's host takes
 *      free memory away, and gets it back slowly.
 *   3  Ratios are taken within a round, and times are those that the thread ran: other programs
 *      and the host are not in them.
 *   4  A store "in memory" goes through a structure whose count is in memory, as that of every array
 *      is that others may look at; "in a register" is a loop over plain memory.
 *
 * usage: xvm_bench_array [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array_peers.h"
#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum { ROUNDS = 5, SMOKE_ROUNDS = 2, ARRAYS = 100000, SMOKE_ARRAYS = 500, PART = 64 << 10 };

typedef XVM_ARRAY(uint64_t) words;

static bool csv, smoke;

static void must_push(const void *address)
{
    if (address == NULL)
        must(xvm_last_status(), "push");
}

/* --- memory that was there before ------------------------------------------------------------- */

/* The least that an array is. */
typedef struct raw {
    uint64_t *data;
    size_t count, capacity;
} raw;

static void fill_in_memory(raw *r, size_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (r->count == r->capacity)
            exit(1);
        r->data[r->count++] = i;
    }
}

static void fill_in_register(raw *r, size_t count)
{
    uint64_t *data = r->data;

    for (size_t i = 0; i < count; i++) {
        if (i == r->capacity)
            exit(1);
        data[i] = i;
    }
}

/* Called through these, so that a compiler cannot take the structure apart. */
static void (*volatile in_memory)(raw *r, size_t count) = fill_in_memory;
static void (*volatile in_register)(raw *r, size_t count) = fill_in_register;

/* Filled, with the time from its reservation on or from when it was ready. */
static uint64_t run_raw(size_t count, bool prefault, bool all, void (*fill)(raw *r, size_t count))
{
    uint64_t start = bare_spent(), spent;
    xvm_region r;
    raw array = {.capacity = count};

    must(xvm_reserve(&r, count * sizeof(uint64_t), NULL), "xvm_reserve");
    must(xvm_commit(&r, 0, r.size), "xvm_commit");
    if (prefault)
        must(xvm_prefault(&r, 0, r.size), "xvm_prefault");
    array.data = r.base;
    if (!all)
        start = bare_spent();
    fill(&array, count);
    spent = bare_spent() - start;
    must(xvm_release(&r), "xvm_release");
    return spent;
}

static uint64_t run_raw_ready(size_t count)
{
    return run_raw(count, true, false, in_memory);
}

static uint64_t run_raw_ready_register(size_t count)
{
    return run_raw(count, true, false, in_register);
}

static uint64_t run_raw_faulting(size_t count)
{
    return run_raw(count, false, true, in_memory);
}

static uint64_t run_raw_faulting_register(size_t count)
{
    return run_raw(count, false, true, in_register);
}

static uint64_t run_raw_prefault(size_t count)
{
    return run_raw(count, true, true, in_memory);
}

/* --- arrays ----------------------------------------------------------------------------------- */

static void fill_typed(words *w, size_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (xvm_push(w, i) == NULL)
            must_push(NULL);
}

static void fill_untyped(words *w, size_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (xvm_array_push(&w->array, &i) == NULL)
            must_push(NULL);
}

/* Room for some, written in a loop over plain memory, then counted. */
static void fill_prepared(words *w, size_t count)
{
    enum { ROOM = 512 };

    for (size_t i = 0; i < count; i += ROOM) {
        uint64_t *room = xvm_array_prepare(&w->array, ROOM);

        must_push(room);
        for (size_t at = 0; at < ROOM; at++)
            room[at] = i + at;
        (void)xvm_array_publish(&w->array, ROOM);
    }
}

static uint64_t run_array(size_t count, xvm_growth_options how, bool all,
                          void (*fill)(words *w, size_t count))
{
    uint64_t start = bare_spent(), spent;
    words w;

    must(xvm_array_make(&w, count, &(xvm_array_options){.growth = how}), "xvm_array_create");
    if (!all)
        start = bare_spent();
    fill(&w, count);
    spent = bare_spent() - start;
    xvm_array_destroy(&w.array);
    return spent;
}

static uint64_t run_array_ready(size_t count)
{
    xvm_growth_options how = {.flags = XVM_GROWTH_COMMIT | XVM_GROWTH_PREFAULT};

    return run_array(count, how, false, fill_typed);
}

static uint64_t run_array_ready_prepared(size_t count)
{
    xvm_growth_options how = {.flags = XVM_GROWTH_COMMIT | XVM_GROWTH_PREFAULT};

    return run_array(count, how, false, fill_prepared);
}

static uint64_t run_array_prepared(size_t count)
{
    return run_array(count, (xvm_growth_options){0}, true, fill_prepared);
}

static uint64_t run_array_typed(size_t count)
{
    return run_array(count, (xvm_growth_options){0}, true, fill_typed);
}

static uint64_t run_array_untyped(size_t count)
{
    return run_array(count, (xvm_growth_options){0}, true, fill_untyped);
}

static uint64_t run_array_prefault(size_t count)
{
    return run_array(count, (xvm_growth_options){.flags = XVM_GROWTH_PREFAULT}, true, fill_typed);
}

static uint64_t run_array_reserved(size_t count)
{
    return run_array(count, (xvm_growth_options){.flags = XVM_GROWTH_COMMIT}, true, fill_typed);
}

static uint64_t run_array_huge(size_t count)
{
    return run_array(count, (xvm_growth_options){.huge = XVM_HUGE_TRANSPARENT}, true, fill_typed);
}

uint64_t peer_realloc(size_t count)
{
    uint64_t start = bare_spent(), spent, *data = NULL;
    size_t capacity = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == capacity) {
            capacity = capacity != 0 ? 2 * capacity : 16;
            data = realloc(data, capacity * sizeof *data);
            if (data == NULL)
                exit(1);
        }
        data[i] = i;
    }
    spent = bare_spent() - start;
    free(data);
    return spent;
}

/* --- one large array -------------------------------------------------------------------------- */

enum { READY, READY_REGISTER, FAULTING, FAULTING_REGISTER, PREFAULT, VECTOR };

/* What is measured, and which other way it is compared with besides std::vector. */
static const struct way {
    const char *name;
    uint64_t (*run)(size_t count);
    int base;
    bool huge;
} ways[] = {
    [READY] = {"prefaulted before, in memory", run_raw_ready, READY, false},
    [READY_REGISTER] = {"prefaulted before, in a register", run_raw_ready_register, READY, false},
    [FAULTING] = {"committed, in memory", run_raw_faulting, FAULTING, false},
    [FAULTING_REGISTER] = {"committed, in a register", run_raw_faulting_register, FAULTING, false},
    [PREFAULT] = {"prefaulted, in memory", run_raw_prefault, PREFAULT, false},
    [VECTOR] = {"std::vector", peer_vector, FAULTING, false},
    {"std::vector, reserved", peer_vector_reserved, FAULTING, false},
    {"std::deque", peer_deque, FAULTING, false},
    {"realloc, doubling", peer_realloc, FAULTING, false},
    {"mremap, doubling", peer_remap, FAULTING, false},
    {"xvm, prefaulted before", run_array_ready, READY, false},
    {"xvm, the same, prepared", run_array_ready_prepared, READY_REGISTER, false},
    {"xvm", run_array_typed, FAULTING, false},
    {"xvm, xvm_array_push", run_array_untyped, FAULTING, false},
    {"xvm, prepared", run_array_prepared, FAULTING_REGISTER, false},
    {"xvm, committed at the start", run_array_reserved, FAULTING, false},
    {"xvm, prefaulting steps", run_array_prefault, PREFAULT, false},
    {"xvm, huge pages", run_array_huge, FAULTING, true},
    {"xvm::vector", peer_xvm_vector, FAULTING, false},
    {"xvm::vector, prefaulting steps", peer_xvm_vector_prefault, PREFAULT, false},
};

enum { WAYS = sizeof ways / sizeof *ways };

static void warm(size_t size, bool huge)
{
    xvm_reserve_options how = {.huge = huge ? XVM_HUGE_TRANSPARENT : XVM_HUGE_DEFAULT};
    xvm_region r;

    must(xvm_reserve(&r, size, &how), "xvm_reserve");
    must(xvm_commit(&r, 0, r.size), "xvm_commit");
    for (size_t at = 0; at < r.size; at += xvm_page_size())
        ((volatile unsigned char *)r.base)[at] = 1;
    must(xvm_release(&r), "xvm_release");
}

static void print_way(const struct way *w, double *times, double *to_base, double *to_vector,
                      size_t rounds, size_t count)
{
    double ms = median(times, rounds) / 1e6;

    if (times[0] == 0) {
        if (!csv)
            printf("%-34s not here\n", w->name);
        return;
    }
    printf(csv ? "%s,%.1f,%.2f,%.3f,%s,%.3f\n" : "%-34s %8.1f %8.2f %8.2f of %-32s %8.2f\n",
           w->name, ms, ms * 1e6 / (double)count, median(to_base, rounds), ways[w->base].name,
           median(to_vector, rounds));
}

static void measure_large(size_t count, size_t rounds)
{
    static double times[WAYS][ROUNDS], to_base[WAYS][ROUNDS], to_vector[WAYS][ROUNDS];

    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < WAYS; i++) {
            warm(count * sizeof(uint64_t), ways[i].huge);
            times[i][r] = (double)ways[i].run(count);
        }
        for (size_t i = 0; i < WAYS; i++) {
            to_base[i][r] = times[i][r] / times[ways[i].base][r];
            to_vector[i][r] = times[VECTOR][r] != 0 ? times[i][r] / times[VECTOR][r] : 0;
        }
    }
    printf(csv ? "way,ms,ns for each push,ratio,of,of std::vector\n"
               : "%5zu MiB by pushes of 8 bytes            ms  ns/push    ratio%*sof std::vector\n",
           count * sizeof(uint64_t) >> 20, 36, "");
    for (size_t i = 0; i < WAYS; i++)
        print_way(&ways[i], times[i], to_base[i], to_vector[i], rounds, count);
}

/* --- one push --------------------------------------------------------------------------------- */

enum { SMALL = 8 << 10, TIMES = 500, PUSH_ROUNDS = 101 };

static double time_raw(void (*fill)(raw *r, size_t count))
{
    static uint64_t data[SMALL];
    raw r = {data, 0, SMALL};
    uint64_t start = bare_spent();

    for (int i = 0; i < TIMES; i++) {
        r.count = 0;
        fill(&r, SMALL);
    }
    return (double)(bare_spent() - start) / TIMES / SMALL;
}

static double time_array(void (*fill)(words *w, size_t count))
{
    uint64_t start, spent;
    words w;

    must(xvm_array_make(&w, SMALL, NULL), "xvm_array_create");
    fill(&w, SMALL);
    start = bare_spent();
    for (int i = 0; i < TIMES; i++) {
        xvm_array_clear(&w.array);
        fill(&w, SMALL);
    }
    spent = bare_spent() - start;
    xvm_array_destroy(&w.array);
    return (double)spent / TIMES / SMALL;
}

enum { MEMORY, REGISTER, TYPED, UNTYPED, PREPARED, STD_VECTOR, XVM_VECTOR, PUSHES };

static void measure_push(size_t rounds)
{
    static const char *const names[PUSHES] = {
        "store, in memory",       "store, in a register", "xvm_push",   "xvm_array_push",
        "prepared and published", "std::vector",          "xvm::vector"};
    static double times[PUSHES][PUSH_ROUNDS], ratios[PUSHES][PUSH_ROUNDS];

    for (size_t i = 0; i < rounds; i++) {
        times[MEMORY][i] = time_raw(in_memory);
        times[TYPED][i] = time_array(fill_typed);
        times[UNTYPED][i] = time_array(fill_untyped);
        times[REGISTER][i] = time_raw(in_register);
        times[PREPARED][i] = time_array(fill_prepared);
        times[STD_VECTOR][i] = peer_push_vector(SMALL, TIMES);
        times[XVM_VECTOR][i] = peer_push_xvm_vector(SMALL, TIMES);
        for (int way = 0; way < PUSHES; way++)
            ratios[way][i] = times[way][i] / times[MEMORY][i];
    }
    printf(csv ? "push into 64 KiB,ns,ratio\n"
               : "\npush into 64 KiB, again and again    ns    ratio\n");
    for (int way = 0; way < PUSHES; way++)
        printf(csv ? "%s,%.3f,%.3f\n" : "%-32s %6.2f %8.2f\n", names[way],
               median(times[way], rounds), median(ratios[way], rounds));
}

/* --- system calls ----------------------------------------------------------------------------- */

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

static void measure_calls(size_t count)
{
    calls = 0;
    xvm_set_trace(count_call);
    (void)run_array_typed(count);
    xvm_set_trace(NULL);
    printf(csv ? "system calls of %zu MiB,%zu\n"
               : "system calls for %zu MiB, from the creation to the end: %zu\n",
           count * sizeof(uint64_t) >> 20, calls);
}

/* --- many arrays at once ---------------------------------------------------------------------- */

static void print_many(const char *name, uint64_t time, size_t arrays)
{
    if (time != 0)
        printf(csv ? "%s,%.3f,%zu\n" : "%-34s %8.2f us for each of %zu\n", name,
               (double)time / 1e3 / (double)arrays, arrays);
}

static void create_many(words *all, size_t arrays, xvm_region *r)
{
    for (size_t i = 0; i < arrays; i++) {
        xvm_array_options how = {.growth = {.region = r, .offset = i * PART, .step = 1}};

        must(xvm_array_make(&all[i], PART / sizeof(uint64_t), &how), "xvm_array_create");
    }
}

/* Pushed to in turn, so that all of them grow all the time. */
static void fill_many(words *all, size_t arrays, size_t count)
{
    for (uint64_t n = 0; n < count; n++)
        for (size_t i = 0; i < arrays; i++)
            must_push(xvm_push(&all[i], n));
}

/* In one sparse region. */
static void measure_many(size_t arrays)
{
    xvm_reserve_options sparse = {.commit_mode = XVM_COMMIT_SPARSE};
    size_t count = 2 * xvm_page_size() / sizeof(uint64_t);
    words *all = calloc(arrays, sizeof *all);
    uint64_t start, created, filled, vectors;
    xvm_region r;

    if (all == NULL)
        exit(1);
    vectors = peer_many_vectors(arrays, count);
    start = bare_spent();
    must(xvm_reserve(&r, arrays * PART, &sparse), "xvm_reserve");
    create_many(all, arrays, &r);
    created = bare_spent();
    fill_many(all, arrays, count);
    filled = bare_spent();
    for (size_t i = 0; i < arrays; i++)
        xvm_array_destroy(&all[i].array);
    must(xvm_release(&r), "xvm_release");
    if (!csv)
        printf(
            "\n%zu arrays in one sparse region, each pushed to in turn until it has two pages; a "
            "handle is %zu bytes\n",
            arrays, sizeof *all);
    print_many("creation", created - start, arrays);
    print_many("two commits, two faults, pushes", filled - created, arrays);
    print_many("destruction", bare_spent() - filled, arrays);
    print_many("the same with std::vector", vectors, arrays);
    free(all);
}

int main(int argc, char **argv)
{
    size_t size = sizeof(void *) == 4 ? (size_t)64 << 20 : (size_t)1 << 30;

    csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    if (smoke)
        size = (size_t)4 << 20;
    measure_large(size / sizeof(uint64_t), smoke ? SMOKE_ROUNDS : ROUNDS);
    measure_push(smoke ? SMOKE_ROUNDS : PUSH_ROUNDS);
    measure_calls(size / sizeof(uint64_t));
    measure_many(smoke || sizeof(void *) == 4 ? SMOKE_ARRAYS : ARRAYS);
    return 0;
}

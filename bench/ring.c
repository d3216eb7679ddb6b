/* ring.c - what it costs to pass messages through a ring, beside one that copies in two pieces at
 * its end, and beside what the system has for that.
 *
 *     a message is written --> passed --> all of it is read, and summed up
 *
 *     push, pop    written to a buffer, copied in, copied out, read there
 *     in place     written in the ring and read in the ring
 *     two copies   push and pop of the same ring with the same positions, which copy in two pieces
 *                  at the end and never touch its second half
 *
 *   1  Ways take turns, round after round; figures are medians, ratios are taken within a round.
 *      The least of all rounds is beside them: two threads need two processors that nobody else
 *      has.
 *   2  One thread: as many messages as the ring takes, then all of them out. Two threads: both at
 *      once, and a side that has to wait lets others run.
 *   3  Every message is summed up on both sides, and the sums must agree.
 *
 * usage: xvm_bench_ring [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "ring_bare.h"
#include "xvm/xvm.h"

enum { ROUNDS = 7, SIZE = 1 << 20, LARGEST = 64 << 10, MANY = 1000000, SPINS = 20 };
enum { MADE = 101, SMOKE_MADE = 3 };

static size_t rounds = ROUNDS, many = MANY;
static bool csv;

/* --- messages --------------------------------------------------------------------------------- */

static uint64_t word_at(const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Whole words; what is left of a message stays as it is. */
static uint64_t write_message(unsigned char *bytes, size_t size, uint64_t number)
{
    uint64_t sum = 0;

    for (size_t at = 0; at + 8 <= size; at += 8) {
        uint64_t word = number + at;

        memcpy(bytes + at, &word, sizeof word);
        sum += word;
    }
    return sum;
}

static uint64_t read_message(const unsigned char *bytes, size_t size)
{
    uint64_t sum = 0;

    for (size_t at = 0; at + 8 <= size; at += 8)
        sum += word_at(bytes + at);
    return sum;
}

/* --- ways ------------------------------------------------------------------------------------- */

/* One run of one way. */
typedef struct run {
    const struct way *way;
    xvm_ring ring;
    bare_channel channel;
    size_t size, count;
    uint64_t written, read; /* sums */
    unsigned char from[LARGEST], gap[128], to[LARGEST];
} run;

/* Each passes one message or says that it cannot now. take may take several: it says how many. */
typedef struct way {
    const char *name;
    bool (*give)(run *r, uint64_t number);
    size_t (*take)(run *r);
    int (*open)(bare_channel *channel); /* NULL: a ring */
} way;

static bool give_copy(run *r, uint64_t number)
{
    uint64_t sum = write_message(r->from, r->size, number);

    if (!xvm_ring_push(&r->ring, r->from, r->size))
        return false;
    r->written += sum;
    return true;
}

static size_t take_copy(run *r)
{
    if (xvm_ring_pop(&r->ring, r->to, r->size) != r->size)
        return 0;
    r->read += read_message(r->to, r->size);
    return 1;
}

static bool give_in_place(run *r, uint64_t number)
{
    unsigned char *room = xvm_ring_claim(&r->ring, r->size);

    if (room == NULL)
        return false;
    r->written += write_message(room, r->size, number);
    return xvm_ring_publish(&r->ring, r->size) == XVM_OK;
}

static size_t take_in_place(run *r)
{
    size_t available, size = r->size, count;
    const unsigned char *at = xvm_ring_peek(&r->ring, &available);

    count = available / size;
    for (size_t i = 0; i < count; i++)
        r->read += read_message(at + i * size, size);
    (void)xvm_ring_consume(&r->ring, count * size);
    return count;
}

/* How many bytes there are up to the end of the ring. */
static size_t to_end(const xvm_ring *ring, const void *address)
{
    return (size_t)((const unsigned char *)ring->data + ring->size -
                    (const unsigned char *)address);
}

static bool give_two_copies(run *r, uint64_t number)
{
    uint64_t sum = write_message(r->from, r->size, number);
    void *room = xvm_ring_claim(&r->ring, r->size);
    size_t first;

    if (room == NULL)
        return false;
    first = to_end(&r->ring, room);
    if (first >= r->size) {
        memcpy(room, r->from, r->size);
    } else {
        memcpy(room, r->from, first);
        memcpy(r->ring.data, r->from + first, r->size - first);
    }
    r->written += sum;
    return xvm_ring_publish(&r->ring, r->size) == XVM_OK;
}

/* As xvm_ring_pop, which looks at the other side only when it must. */
static size_t take_two_copies(run *r)
{
    const xvm_ring_side *side = &r->ring.own.consumer;
    const unsigned char *there;
    size_t first;

    if (side->ready < r->size && xvm_ring_available(&r->ring) < r->size)
        return 0;
    there = xvm_ring_at_(&r->ring, side->position);
    first = to_end(&r->ring, there);
    if (first >= r->size) {
        memcpy(r->to, there, r->size);
    } else {
        memcpy(r->to, there, first);
        memcpy(r->to + first, r->ring.data, r->size - first);
    }
    (void)xvm_ring_consume(&r->ring, r->size);
    r->read += read_message(r->to, r->size);
    return 1;
}

static bool give_to_channel(run *r, uint64_t number)
{
    r->written += write_message(r->from, r->size, number);
    bare_send(&r->channel, r->from, r->size);
    return true;
}

static size_t take_from_channel(run *r)
{
    bare_receive(&r->channel, r->to, r->size);
    r->read += read_message(r->to, r->size);
    return 1;
}

enum { TWO_COPIES, RINGS = 3 };

static const way ways[] = {
    [TWO_COPIES] = {"two copies at the end", give_two_copies, take_two_copies, NULL},
    {"xvm, push and pop", give_copy, take_copy, NULL},
    {"xvm, in place", give_in_place, take_in_place, NULL},
    {"pipe", give_to_channel, take_from_channel, bare_open_pipe},
    {"socketpair", give_to_channel, take_from_channel, bare_open_sockets},
};

enum { WAYS = sizeof ways / sizeof *ways };

/* --- runs ------------------------------------------------------------------------------------- */

static void wait(unsigned *idle)
{
    if (++*idle % SPINS == 0)
        bare_yield();
}

static void give_all(void *context)
{
    run *r = context;
    unsigned idle = 0;

    for (size_t n = 0; n < r->count;)
        if (r->way->give(r, n))
            n++;
        else
            wait(&idle);
}

static void take_all(void *context)
{
    run *r = context;
    unsigned idle = 0;

    for (size_t n = 0, taken; n < r->count; n += taken) {
        taken = r->way->take(r);
        if (taken == 0)
            wait(&idle);
    }
}

static void take_turns(run *r)
{
    for (size_t given = 0, taken = 0; taken < r->count;) {
        while (given < r->count && r->way->give(r, given))
            given++;
        while (taken < given)
            taken += r->way->take(r);
    }
}

/* Nanoseconds for a message; 0: not here. */
static double time_run(const way *w, size_t size, size_t count, bool together)
{
    static run r;
    uint64_t start, spent;

    r.way = w;
    r.size = size;
    r.count = count;
    r.written = r.read = 0;
    if (w->open != NULL && (!together || !w->open(&r.channel)))
        return 0;
    if (w->open == NULL)
        must(xvm_ring_create(&r.ring, SIZE), "xvm_ring_create");
    start = together ? bare_now() : bare_spent();
    if (together)
        bare_run_beside(give_all, take_all, &r);
    else
        take_turns(&r);
    spent = (together ? bare_now() : bare_spent()) - start;
    xvm_ring_destroy(&r.ring);
    if (w->open != NULL)
        bare_close_channel(&r.channel);
    if (r.written != r.read)
        fprintf(stderr, "%s: the sums differ\n", w->name), exit(1);
    return (double)spent / (double)count;
}

static void print_way(const way *w, double *times, double *ratios, size_t size)
{
    double ns = median(times, rounds);

    if (ns == 0)
        return;
    printf(csv ? "%zu,%s,%.1f,%.3f,%.2f,%.1f\n" : "%6zu  %-24s %10.1f %8.2f %8.2f %10.1f\n", size,
           w->name, ns, (double)size / ns, median(ratios, rounds), times[0]);
}

static void measure_size(size_t size, bool together)
{
    static double times[WAYS][ROUNDS], ratios[WAYS][ROUNDS];
    size_t count = size <= 128 ? many : many * 128 / size + 10;

    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < WAYS; i++)
            times[i][round] =
                time_run(&ways[i], size, i < RINGS ? count : count / 8 + 10, together);
        for (size_t i = 0; i < WAYS; i++)
            ratios[i][round] = times[i][round] / times[TWO_COPIES][round];
    }
    for (size_t i = 0; i < WAYS; i++)
        print_way(&ways[i], times[i], ratios[i], size);
}

static void measure(bool together)
{
    static const size_t sizes[] = {16, 100, 1000, LARGEST};

    printf(csv ? "bytes,%s,ns for each,GB/s,ratio,least ns\n"
               : "\n bytes  %-24s   ns each     GB/s    ratio      least\n",
           together ? "two threads" : "one thread");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        measure_size(sizes[i], together);
}

/* --- making one ------------------------------------------------------------------------------- */

static double time_made(size_t size)
{
    uint64_t start = bare_now();
    xvm_ring ring;

    must(xvm_ring_create(&ring, size), "xvm_ring_create");
    xvm_ring_destroy(&ring);
    return (double)(bare_now() - start);
}

static double time_bare(size_t size)
{
    size_t head = xvm_allocation_granularity();
    uint64_t start = bare_now();

    bare_unmap_twice(bare_map_twice(head, size), head, size);
    return (double)(bare_now() - start);
}

static void measure_making(size_t size, size_t times)
{
    static double made[MADE], bare[MADE], ratio[MADE];

    for (size_t i = 0; i < times; i++) {
        bare[i] = time_bare(size);
        made[i] = time_made(size);
        ratio[i] = made[i] / bare[i];
    }
    printf(csv ? "made and ended,%zu,%.2f,%.2f,%.2f\n"
               : "%5zu KiB made and ended: %8.2f us, bare calls %8.2f us, ratio %.2f\n",
           size >> 10, median(made, times) / 1e3, median(bare, times) / 1e3, median(ratio, times));
}

int main(int argc, char **argv)
{
    bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;

    csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    if (smoke) {
        rounds = 1;
        many = 20000;
    }
    measure(false);
    measure(true);
    printf(csv ? "" : "\n");
    measure_making(64 << 10, smoke ? SMOKE_MADE : MADE);
    measure_making(SIZE, smoke ? SMOKE_MADE : MADE);
    return 0;
}

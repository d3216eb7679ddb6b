/* ship.c - log lines for a second process, which is this program once more, through a ring that
 * both have.
 *
 *     producer ---| length | line | length | line | 0 | count | digest |---> consumer ---> a file
 *
 *   1  A record is published as a whole: whoever sees its length sees its line.
 *   2  The consumer believes nothing before it has copied and checked it.
 *   3  The last record tells how many lines there were, and their digest: the consumer's must
 *      agree.
 *   4  Neither waits for ever: a side that sees nothing change for a while takes the other one for
 *      dead.
 *
 * usage: xvm_example_ship [--lines n] [--drop] [--to file] [--die n]
 *   --drop   when the ring is full lines are lost, and counted; otherwise the producer waits
 *   --die    the consumer ends after so many lines, without a word
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

#include "ship.h"

enum { LINES = 200000, LONGEST = 400, RING = 256 << 10, PATIENCE = 3000, EAGER = 100 };

typedef struct record {
    uint32_t length; /* of the line behind it; 0: a summary is behind it */
} record;

typedef struct summary {
    uint64_t count, digest;
} summary;

typedef struct side {
    xvm_ring ring;
    summary lines;  /* so far */
    uint64_t since; /* the last time that something happened */
    unsigned idle;
} side;

static uint64_t digest(uint64_t so_far, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        so_far = (so_far ^ bytes[i]) * 0x100000001b3u; /* FNV-1a */
    return so_far;
}

static void count_line(side *s, const unsigned char *line, size_t length)
{
    s->lines.count++;
    s->lines.digest = digest(s->lines.digest, line, length);
}

static int fail(const char *what)
{
    char why[400];

    (void)xvm_explain(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

/* Waits a little; false when nothing has happened for too long. */
static bool wait(side *s)
{
    if (s->idle++ == 0)
        s->since = ship_clock();
    if (s->idle < EAGER)
        return true;
    ship_sleep(1);
    return ship_clock() - s->since < PATIENCE;
}

/* --- the producer ----------------------------------------------------------------------------- */

/* Room for a record. NULL: the ring is full; or, when it waits, nobody takes anything any more. */
static unsigned char *find_room(side *s, size_t size, bool waits)
{
    unsigned char *room;

    do
        room = xvm_ring_claim(&s->ring, sizeof(record) + size);
    while (room == NULL && waits && wait(s));
    if (room != NULL)
        s->idle = 0;
    return room;
}

static void publish(side *s, unsigned char *room, record r, size_t size)
{
    memcpy(room, &r, sizeof r);
    (void)xvm_ring_publish(&s->ring, sizeof r + size);
}

/* The line is written where the consumer reads it. */
static bool send_line(side *s, unsigned number, bool waits)
{
    static const char *const what[] = {"accepted", "read", "wrote", "closed"};
    unsigned char *room = find_room(s, LONGEST, waits), *line;
    int length;

    if (room == NULL)
        return false;
    line = room + sizeof(record);
    length = snprintf(
        (char *)line, LONGEST, "%08u worker-%u %s %u bytes %.*s\n", number, number * 7919u % 16,
        what[number % 4], number * 2654435761u >> 12, (int)(number * 31u % 97),
        "................................................................................"
        ".................");
    count_line(s, line, (size_t)length);
    publish(s, room, (record){(uint32_t)length}, (size_t)length);
    return true;
}

static bool send_summary(side *s)
{
    unsigned char *room = find_room(s, sizeof s->lines, true);

    if (room == NULL)
        return false;
    memcpy(room + sizeof(record), &s->lines, sizeof s->lines);
    publish(s, room, (record){0}, sizeof s->lines);
    return true;
}

/* The exit status of the consumer; 1 when it takes nothing any more. */
static int produce(side *s, unsigned lines, bool drops)
{
    unsigned dropped = 0, n = 0;

    for (; n < lines; n++)
        if (!send_line(s, n, !drops)) {
            if (!drops)
                break;
            dropped++;
        }
    if (n < lines || !send_summary(s)) {
        printf("nobody takes anything any more: %llu lines are sent, %zu bytes wait\n",
               (unsigned long long)s->lines.count, s->ring.size - xvm_ring_room(&s->ring));
        (void)ship_join();
        return 1;
    }
    printf("sent     %llu lines, digest %016llx; %u dropped\n", (unsigned long long)s->lines.count,
           (unsigned long long)s->lines.digest, dropped);
    fflush(stdout);
    return ship_join();
}

/* --- the consumer ----------------------------------------------------------------------------- */

typedef struct order {
    const char *name; /* of the share; NULL: this is the producer */
    const char *to;
    unsigned lines, die;
    bool drops;
} order;

/* One record of what there is: its size, or 0 when there is none that is whole and sound. */
static size_t take_record(side *s, const unsigned char *at, size_t available, FILE *to,
                          summary *told)
{
    record r;

    if (available < sizeof r)
        return 0;
    memcpy(&r, at, sizeof r);
    if (r.length == 0 && available == sizeof r + sizeof *told) {
        memcpy(told, at + sizeof r, sizeof *told);
        return available;
    }
    if (r.length == 0 || r.length > LONGEST || r.length > available - sizeof r)
        return 0;
    if (to != NULL)
        (void)fwrite(at + sizeof r, 1, r.length, to);
    count_line(s, at + sizeof r, r.length);
    return sizeof r + r.length;
}

/* All that there is; false when some of it is nonsense. */
static bool take_all(side *s, const order *o, FILE *to, summary *told, bool *ended)
{
    size_t available, at = 0;
    const unsigned char *there = xvm_ring_peek(&s->ring, &available);

    while (at < available) {
        size_t size = take_record(s, there + at, available - at, to, told);

        if (size == 0)
            return false;
        *ended = at + size == available && told->count != UINT64_MAX;
        at += size;
        if (o->die != 0 && s->lines.count == o->die)
            _Exit(9);
    }
    s->idle = at != 0 ? 0 : s->idle;
    return xvm_ring_consume(&s->ring, at) == XVM_OK;
}

static int consume(side *s, const order *o)
{
    FILE *to = o->to != NULL ? fopen(o->to, "wb") : NULL;
    summary told = {UINT64_MAX, 0};
    bool ended = false, sound = true;

    if (o->to != NULL && to == NULL) {
        fprintf(stderr, "%s cannot be written\n", o->to);
        return 1;
    }
    while (!ended && sound) {
        sound = take_all(s, o, to, &told, &ended);
        if (!ended && sound && xvm_ring_available(&s->ring) == 0 && !wait(s))
            break;
    }
    if (to != NULL)
        fclose(to);
    printf("received %llu lines, digest %016llx%s\n", (unsigned long long)s->lines.count,
           (unsigned long long)s->lines.digest,
           !sound  ? "; and then nonsense"
           : ended ? ""
                   : "; and then nothing any more");
    return ended && told.count == s->lines.count && told.digest == s->lines.digest ? 0 : 2;
}

static int be_consumer(side *s, const order *o)
{
    xvm_share share;
    xvm_status status;
    int result;

    if (xvm_share_open(&share, o->name, XVM_SHARE_READ_WRITE) != XVM_OK)
        return fail("no such share");
    status = xvm_ring_open(&s->ring, &share);
    xvm_share_close(&share);
    if (status != XVM_OK)
        return fail("no ring");
    result = consume(s, o);
    xvm_ring_destroy(&s->ring);
    return result;
}

/* --- both ------------------------------------------------------------------------------------- */

/* This program once more, with the name of the share. */
static bool start_consumer(const char *program, const char *name, const order *o)
{
    char die[16];
    const char *arguments[] = {program, "--from", name, "--die", die, o->to != NULL ? "--to" : NULL,
                               o->to,   NULL};

    snprintf(die, sizeof die, "%u", o->die);
    return ship_start(arguments) != 0;
}

static int be_producer(side *s, const char *program, const order *o)
{
    char name[XVM_SHARE_NAME];
    xvm_share_options options = {.name = name};
    xvm_share share;
    int result = 1;

    snprintf(name, sizeof name, "ship.%u", ship_process());
    if (xvm_share_create(&share, xvm_ring_footprint(RING), &options) != XVM_OK)
        return fail("no share");
    if (xvm_ring_open(&s->ring, &share) != XVM_OK)
        fail("no ring");
    else if (!start_consumer(program, name, o))
        fprintf(stderr, "%s cannot be started\n", program);
    else
        result = produce(s, o->lines, o->drops);
    xvm_ring_destroy(&s->ring);
    xvm_share_close(&share);
    return result;
}

int main(int argc, char **argv)
{
    static side s = {.lines = {0, 0xcbf29ce484222325u}};
    order o = {.lines = LINES};

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--drop") == 0)
            o.drops = true;
        else if (strcmp(argv[i], "--from") == 0)
            o.name = value;
        else if (strcmp(argv[i], "--to") == 0)
            o.to = value;
        else if (strcmp(argv[i], "--lines") == 0)
            o.lines = (unsigned)atoi(value);
        else if (strcmp(argv[i], "--die") == 0)
            o.die = (unsigned)atoi(value);
    }
    return o.name != NULL ? be_consumer(&s, &o) : be_producer(&s, argv[0], &o);
}

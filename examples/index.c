/* index.c - counts every word of every file below a folder, in memory that grows in place.
 *
 *     usage: index [--plain] [path]
 *
 *     buffer   | a piece of a file |
 *     buckets  | o | o | o | o |-> ............. one for each entry
 *                |       |
 *                v       v
 *     entries  | entry | entry | entry |-> ..... count, and the next entry of the same bucket
 *                |       |
 *                v       v
 *     words    | stdio | int | size_t |-> ...... the letters, each word once
 *
 *   1  Each line is an xvm_array: addresses for more than there will ever be, reserved once, which
 *      costs nothing. Memory is committed behind the last element, when it is needed (->). So
 *      nothing ever moves: what leads from one line to the next is a plain pointer, and the whole
 *      program does without malloc.
 *   2  A word is a run of ASCII letters, digits and underscores that does not start with a digit.
 *      Runs longer than 64 bytes are no words either, but data; they are counted apart.
 *   3  The word that is being read stands behind the last one in words. It stays there when it is
 *      new.
 *   4  The table grows by one bucket for each new word (linear hashing), and is never rehashed as a
 *      whole.
 *   5  All that differs between systems is in walk.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvm/xvm.h>

#include "walk.h"

enum {
    STEP = 256 << 10,   /* bytes committed at a time, and read at a time */
    SMALLEST = 1 << 20, /* bytes of addresses that are still worth a try */
    LONGEST = 64,       /* bytes of a word */
    TOP = 10            /* words shown */
};

/* --- types ------------------------------------------------------------------------------------ */

typedef struct entry {
    const char *word; /* not terminated */
    struct entry *next;
    uint64_t count;
    uint32_t hash, length;
} entry;

/* Letters, digits and underscores in a row, as they stand in the buffer. */
typedef struct run {
    const unsigned char *start;
    size_t length;
    uint32_t hash;
} run;

enum { BUFFER, BUCKETS, ENTRIES, WORDS, STORES };
static const char *const NAMES[STORES] = {"buffer", "buckets", "entries", "words"};
enum { BEFORE, FULL, AFTER, MOMENTS };

typedef struct catalog {
    XVM_ARRAY(unsigned char) buffer;
    XVM_ARRAY(entry *) buckets; /* a power of two */
    XVM_ARRAY(entry) entries;
    XVM_ARRAY(char) letters;   /* of the words */
    xvm_array *stores[STORES]; /* those four */
    bool belongs[256];         /* to a run */
    uint64_t files, skipped, bytes, words, too_long;
    double shown; /* when the progress line was last written */
    xvm_usage usage[MOMENTS][STORES];
} catalog;

/* How things are drawn. */
typedef struct look {
    const char *resident, *committed, *reserved, *bar; /* one column */
    const char *bold, *normal;
    const char *clear; /* the line, for what is rewritten in place; "" where nothing can be */
} look;

static const look PLAIN = {"#", "=", ".", "#", "", "", ""};
static const look COLOURS = {
    "\033[32m\xE2\x96\x88", /* green, full block */
    "\033[36m\xE2\x96\x93", /* cyan, dark shade */
    "\033[90m\xE2\x96\x91", /* grey, light shade */
    "\033[34m\xE2\x96\x88", /* blue, full block */
    "\033[1m",
    "\033[0m",
    "\r\033[K",
};
static const look *screen = &PLAIN; /* chosen once, by main */

/* --- numbers as text -------------------------------------------------------------------------- */

typedef struct text {
    char s[LONGEST + 32];
} text;

/* "0", "3.7 MiB", "256 KiB" */
static text in_units(uint64_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)size;
    int unit = 0, decimals;
    text t = {"0"};

    for (; value >= 1000; value /= 1024)
        unit++;
    decimals = value < 10 && value * 10 != (double)(int)value * 10;
    if (size != 0)
        (void)snprintf(t.s, sizeof t.s, "%.*f %s", decimals, value, units[unit]);
    return t;
}

/* "14,203,551" */
static text grouped(uint64_t count)
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), at = 0;
    text t;

    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            t.s[at++] = ',';
        t.s[at++] = digits[i];
    }
    t.s[at] = '\0';
    return t;
}

static text word_of(const entry *e)
{
    text t;

    (void)snprintf(t.s, sizeof t.s, "%.*s", (int)e->length, e->word);
    return t;
}

/* --- messages --------------------------------------------------------------------------------- */

/* In place of the progress line. */
static void say(const char *subject, const char *problem)
{
    (void)printf("%s", screen->clear);
    (void)fflush(stdout);
    (void)fprintf(stderr, "index: %s: %s\n", subject, problem);
}

/* What xvm refused, and why; false, for the caller to hand on. */
static bool refused(const char *verb, int store, uint64_t size, xvm_status status)
{
    char subject[160];

    (void)snprintf(subject, sizeof subject, "cannot %s %s for %s", verb, in_units(size).s,
                   NAMES[store]);
    say(subject, xvm_status_text(status));
    return false;
}

/* A file or folder that cannot be read is no reason to stop, and many are no reason for as many
 * messages. */
static void skip(catalog *c, const char *path, const char *problem)
{
    if (c->skipped++ == 0)
        say(path, problem);
}

/* Ten times a second, where it can be rewritten in place. */
static void show_progress(catalog *c)
{
    double now;

    if (screen->clear[0] == '\0')
        return;
    now = walk_seconds();
    if (now - c->shown < 0.1)
        return;
    c->shown = now;
    (void)printf("%sindexing: %s files, %s, %s words", screen->clear, grouped(c->files).s,
                 in_units(c->bytes).s, grouped(c->words).s);
    (void)fflush(stdout);
}

/* --- stores: reserved once, committed step by step -------------------------------------------- */

/* The size wanted, but no more than a sixteenth of all addresses: 256 MiB where a pointer has 32
 * bits; and half of it and half again where a limit (ulimit -v) leaves less room. */
static bool open_store(catalog *c, int store, xvm_array *array, size_t element_size,
                       uint64_t wanted)
{
    size_t most = SIZE_MAX / 16 + 1;
    size_t size = wanted < most ? (size_t)wanted : most;
    xvm_array_options options = {.growth = {.step = STEP, .name = NAMES[store]}};
    xvm_status status;

    c->stores[store] = array;
    do {
        status = xvm_array_create(array, element_size, size / element_size, &options);
        size /= 2;
    } while (status == XVM_E_ADDRESS_SPACE && size >= SMALLEST);
    return status == XVM_OK || refused("reserve", store, 2 * size, status);
}

/* What to say when an array could not grow. */
static bool could_not_grow(int store)
{
    if (xvm_last_status() != XVM_E_ADDRESS_SPACE)
        return refused("commit", store, STEP, xvm_last_status());
    say(NAMES[store], "the array is full, and there was no room for a larger one");
    return false;
}

/* Memory back, addresses kept. */
static bool empty_store(xvm_array *array, int store)
{
    xvm_array_clear(array);
    xvm_array_trim(array);
    return array->growth.committed == 0 ||
           refused("decommit", store, array->growth.committed, xvm_last_status());
}

static size_t commits; /* system calls that made memory of addresses */

static void count_commit(const xvm_trace_call *call)
{
    commits += strcmp(call->operation, "commit") == 0;
}

/* --- the table: at least one bucket for each entry -------------------------------------------- */

static entry **find_bucket(const catalog *c, uint32_t hash)
{
    return c->buckets.data + (hash & (xvm_count(&c->buckets) - 1));
}

/* A bucket shares its entries with the one half a table behind it. Both keep their order. */
static void split_bucket(entry **bucket, size_t half)
{
    entry **ends[2] = {bucket, bucket + half}; /* where the next entry of each goes */

    for (entry *e = *bucket; e != NULL; e = e->next) {
        entry ***end = &ends[(e->hash & half) != 0];

        **end = e;
        *end = &e->next;
    }
    *ends[0] = *ends[1] = NULL;
}

/* Twice as many buckets, where the table stands: nothing is copied, and there is no second
 * table. */
static bool double_table(catalog *c)
{
    size_t half = xvm_count(&c->buckets);

    if (!xvm_array_resize(&c->buckets.array, 2 * half))
        return could_not_grow(BUCKETS);
    for (size_t i = 0; i < half; i++)
        split_bucket(c->buckets.data + i, half);
    return true;
}

/* All buckets of the first step are empty: new elements are zero, and zero is NULL wherever xvm
 * runs. */
static bool start_table(catalog *c)
{
    return xvm_array_resize(&c->buckets.array, STEP / sizeof(entry *)) || could_not_grow(BUCKETS);
}

/* --- words ------------------------------------------------------------------------------------ */

/* An entry for a new word, to which *link leads from now on. */
static bool add_word(catalog *c, run r, entry **link)
{
    const char *word = xvm_append(&c->letters, (const char *)r.start, r.length);
    entry *e;

    if (word == NULL)
        return could_not_grow(WORDS);
    e = xvm_push(&c->entries,
                 (entry){.word = word, .count = 1, .hash = r.hash, .length = (uint32_t)r.length});
    if (e == NULL)
        return could_not_grow(ENTRIES);
    *link = e;
    return xvm_count(&c->entries) < xvm_count(&c->buckets) || double_table(c);
}

/* New words go to the end of their bucket: what is frequent was met early, and is found early. */
static bool count_word(catalog *c, run r)
{
    entry **link = find_bucket(c, r.hash), *e;

    c->words++;
    for (; (e = *link) != NULL; link = &e->next)
        if (e->hash == r.hash && e->length == r.length && memcmp(e->word, r.start, r.length) == 0) {
            e->count++;
            return true;
        }
    return add_word(c, r, link);
}

static bool count_run(catalog *c, run r)
{
    if (*r.start >= '0' && *r.start <= '9')
        return true;
    if (r.length <= LONGEST)
        return count_word(c, r);
    c->too_long++;
    return true;
}

/* Counts the words before end, where a byte stands that belongs to none. A run that reaches the end
 * may go on in the next piece: its start is the result, or end when there is none; NULL after a
 * failure. */
static const unsigned char *scan(catalog *c, const unsigned char *at, const unsigned char *end)
{
    for (;;) {
        run r = {0};

        while (at < end && !c->belongs[*at])
            at++;
        for (r.start = at; c->belongs[*at]; at++)
            r.hash = (r.hash ^ *at) * 16777619; /* FNV-1a */
        if (at == end)
            return r.start;
        r.length = (size_t)(at - r.start);
        if (!count_run(c, r))
            return NULL;
    }
}

/* Piece by piece. What is left of a piece comes before the next one; to see that a run is too long,
 * a byte more than the longest word is enough. The end of the file ends a run like any byte that
 * belongs to none. */
static bool read_file(catalog *c, FILE *file, const char *path)
{
    unsigned char *buffer = c->buffer.data;
    size_t left = 0, wanted, got;

    if (!xvm_array_resize(&c->buffer.array, STEP))
        return could_not_grow(BUFFER);
    (void)setvbuf(file, NULL, _IONBF, 0); /* our buffer is the only one */
    do {
        const unsigned char *start;
        unsigned char *end;

        wanted = STEP - 2 - left;
        got = fread(buffer + left, 1, wanted, file);
        end = buffer + left + got;
        if (got < wanted)
            *end++ = '\n';
        *end = '\n';
        start = scan(c, buffer, end);
        if (start == NULL)
            return false;
        left = (size_t)(end - start) <= LONGEST ? (size_t)(end - start) : LONGEST + 1;
        memmove(buffer, start, left);
        c->bytes += got;
        show_progress(c);
    } while (got == wanted);
    if (ferror(file))
        skip(c, path, strerror(errno));
    c->files++;
    return true;
}

/* A walk_visitor; 1 ends the walk. */
static int visit(const char *path, FILE *file, const char *problem, void *context)
{
    if (file != NULL)
        return read_file(context, file, path) ? 0 : 1;
    skip(context, path, problem);
    return 0;
}

/* --- what it prints --------------------------------------------------------------------------- */

static void print_bar(const char *column, int columns)
{
    for (int i = 0; i < columns; i++)
        (void)printf("%s", column);
}

static void print_totals(const catalog *c, double seconds)
{
    double rate = seconds > 0 ? (double)c->bytes / 1e6 / seconds : 0;
    size_t distinct = xvm_count(&c->entries);

    (void)printf("%s%s files, %s bytes: %s words, %s of them distinct\n", screen->clear,
                 grouped(c->files).s, grouped(c->bytes).s, grouped(c->words).s,
                 grouped(distinct).s);
    (void)printf("%.2f seconds, %.0f MB/s", seconds, rate);
    if (c->too_long != 0)
        (void)printf("; %s runs of more than %d bytes left out", grouped(c->too_long).s, LONGEST);
    if (c->skipped != 0)
        (void)printf("; %s files or folders not readable", grouped(c->skipped).s);
    (void)printf("\n\n");
}

/* The more frequent one first; the alphabet decides between equals. */
static bool is_before(const entry *a, const entry *b)
{
    uint32_t both = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->word, b->word, both);

    if (a->count != b->count)
        return a->count > b->count;
    return order != 0 ? order < 0 : a->length < b->length;
}

/* The most frequent entries in order; how many there are. */
static size_t find_top(const catalog *c, const entry *top[TOP])
{
    size_t found = 0;

    xvm_each(e, &c->entries)
    {
        size_t at = found;

        if (found == TOP && !is_before(e, top[TOP - 1]))
            continue;
        found += found < TOP;
        at = found - 1;
        for (; at > 0 && is_before(e, top[at - 1]); at--)
            top[at] = top[at - 1];
        top[at] = e;
    }
    return found;
}

static void print_top(const catalog *c)
{
    enum { WIDTH = 36 };
    const entry *top[TOP];
    size_t found = find_top(c, top);

    for (size_t i = 0; i < found; i++) {
        (void)printf("  %-24.24s %14s  ", word_of(top[i]).s, grouped(top[i]->count).s);
        print_bar(screen->bar, (int)(top[i]->count * WIDTH / top[0]->count));
        (void)printf("%s\n", screen->normal);
    }
    (void)printf("%s", found != 0 ? "\n" : "");
}

/* One column is 4 KiB, and every further one twice as much as all before it. */
static int columns_of(size_t size)
{
    int columns = 0;

    for (uint64_t edge = 4096; edge <= size; edge *= 2)
        columns++;
    return columns;
}

/* Resident memory is a part of what is committed, which is a part of what is reserved: one bar
 * shows all. */
static void print_usage(const char *name, const xvm_usage *u)
{
    int resident = columns_of(u->resident), committed = columns_of(u->committed);

    (void)printf("  %-10s%11s%11s%11s   ", name, in_units(u->reserved).s, in_units(u->committed).s,
                 in_units(u->resident).s);
    print_bar(screen->resident, resident);
    print_bar(screen->committed, committed - resident);
    print_bar(screen->reserved, columns_of(u->reserved) - committed);
    (void)printf("%s\n", screen->normal);
}

static void print_moments(const catalog *c)
{
    static const char *const titles[MOMENTS] = {
        "before: addresses only", "full: the index is in memory", "after: only addresses again"};

    (void)printf("  %-10s%11s%11s%11s   %s\n", "", "reserved", "committed", "resident",
                 "4K   128K 4M   128M 4G  64G");
    for (int m = 0; m < MOMENTS; m++) {
        (void)printf("%s%s%s\n", screen->bold, titles[m], screen->normal);
        for (int s = 0; s < STORES; s++)
            print_usage(NAMES[s], &c->usage[m][s]);
    }
}

/* The first entry was made first and has never been written to since, but for its count. */
static text first_word(const catalog *c)
{
    const entry *first = c->entries.data;
    text t = {"(there is none)"};

    if (c->words != 0)
        (void)snprintf(t.s, sizeof t.s, "%.*s at 0x%" PRIxPTR, (int)first->length, first->word,
                       (uintptr_t)first->word);
    return t;
}

static void print_closing(const catalog *c, const char *first)
{
    size_t size = 0;

    for (int s = 0; s < STORES; s++)
        size += c->usage[FULL][s].committed;
    (void)printf("\nNo address moved: %zu commits grew it all to %s, and the first word\n"
                 "is where it was put, %s. All memory is given back.\n",
                 commits, in_units(size).s, first);
}

/* --- one step after the other ----------------------------------------------------------------- */

/* The largest need first: under a limit each gets about half of what the ones before it have
 * left. */
static bool open_stores(catalog *c)
{
    const uint64_t gib = (uint64_t)1 << 30;

    return open_store(c, BUFFER, &c->buffer.array, 1, STEP) &&
           open_store(c, ENTRIES, &c->entries.array, sizeof(entry), 16 * gib) &&
           open_store(c, WORDS, &c->letters.array, 1, 64 * gib) &&
           open_store(c, BUCKETS, &c->buckets.array, sizeof(entry *), 4 * gib);
}

static void look_at_stores(catalog *c, int moment)
{
    for (int s = 0; s < STORES; s++)
        xvm_region_usage(&c->stores[s]->growth.own.region, &c->usage[moment][s]);
}

/* False as well when the path itself cannot be read. */
static bool index_files(catalog *c, const char *path)
{
    for (const char *s = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"; *s; s++)
        c->belongs[(unsigned char)*s] = true;
    return start_table(c) && walk(path, visit, c) == 0 && (c->files != 0 || c->skipped == 0);
}

static bool empty_stores(catalog *c)
{
    bool ok = true;

    for (int s = 0; s < STORES; s++)
        ok = empty_store(c->stores[s], s) && ok;
    return ok;
}

static void close_stores(catalog *c)
{
    for (int s = 0; s < STORES; s++)
        xvm_array_destroy(c->stores[s]);
}

static bool show(catalog *c, const char *path)
{
    double started;
    text first;

    xvm_set_trace(count_commit);
    if (!open_stores(c))
        return false;
    look_at_stores(c, BEFORE);
    started = walk_seconds();
    if (!index_files(c, path))
        return false;
    print_totals(c, walk_seconds() - started);
    look_at_stores(c, FULL);
    print_top(c);
    first = first_word(c);
    if (!empty_stores(c))
        return false;
    look_at_stores(c, AFTER);
    print_moments(c);
    print_closing(c, first.s);
    return true;
}

int main(int argc, char **argv)
{
    static catalog c;
    const char *path = NULL;
    bool plain = false, ok;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--plain") == 0) {
            plain = true;
        } else if (path == NULL && argv[i][0] != '-') {
            path = argv[i];
        } else {
            (void)fprintf(stderr, "usage: index [--plain] [path]\n");
            return EXIT_FAILURE;
        }
    }
    if (!plain && walk_terminal())
        screen = &COLOURS;
    ok = show(&c, path != NULL ? path : walk_default_path());
    close_stores(&c); /* also what is left after a failure */
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

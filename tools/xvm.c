/* xvm.c - the command-line tool: what the machine has, how close each limit is, what a refusal says.
 *
 *     physical memory  [######..............]   2.4 GiB of 7.7 GiB   5.3 GiB left
 *     name             bar, as wide as fits     used and limit       headroom
 *
 * Text for people, or one JSON object with --json. Exit status: 0; 1 when the system tells nothing;
 * 2 when the arguments are wrong.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"
#include "xvm/xvm.h"

#define UNKNOWN UINT64_MAX

enum { GO_ON = -1, FAILED = 1, MISUSED = 2 };
enum {
    COLUMNS = 80,
    NARROWEST = 60,
    WIDEST = 400,
    NAME = 18,
    BAR = 60,
    NARROWEST_BAR = 4,
    NUMBERS = 42
};

static struct {
    bool json, colours;
    size_t columns;
} style;

/* --- values ----------------------------------------------------------------------------------- */

typedef enum unit { BYTES, COUNT } unit;

/* "1.5 GiB"; a tenth is rounded down. */
static void format_bytes(char *out, size_t capacity, uint64_t value)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t whole, tenth;
    unsigned i = 0;

    while (i < 6 && value >> (10 * (i + 1)) != 0)
        i++;
    whole = value >> (10 * i);
    tenth = (value - (whole << (10 * i))) * 10 >> (10 * i);
    if (i != 0 && tenth != 0)
        snprintf(out, capacity, "%" PRIu64 ".%" PRIu64 " %s", whole, tenth, names[i]);
    else
        snprintf(out, capacity, "%" PRIu64 " %s", whole, names[i]);
}

static void format(char *out, size_t capacity, uint64_t value, unit u)
{
    if (value == UNKNOWN)
        snprintf(out, capacity, "unknown");
    else if (u == COUNT)
        snprintf(out, capacity, "%" PRIu64, value);
    else
        format_bytes(out, capacity, value);
}

static void print_string(const char *string)
{
    putchar('"');
    for (; *string != 0; string++)
        if ((unsigned char)*string < ' ')
            printf("\\u%04x", (unsigned)*string);
        else
            printf(*string == '"' || *string == '\\' ? "\\%c" : "%c", *string);
    putchar('"');
}

/* Before each member of a JSON object but the first. */
static void next_member(bool *first)
{
    printf(*first ? "\n  " : ",\n  ");
    *first = false;
}

/* A number of JSON; null where the system does not tell. */
static void print_member(bool *first, const char *name, uint64_t value)
{
    next_member(first);
    print_string(name);
    if (value == UNKNOWN)
        printf(": null");
    else
        printf(": %" PRIu64, value);
}

/* --- info ------------------------------------------------------------------------------------- */

static const struct {
    xvm_feature feature;
    const char *name, *meaning;
} features[] = {
    {XVM_HAS_LIGHT_GUARDS, "light_guards", "a guard page costs no mapping"},
    {XVM_HAS_FINE_SPARSE, "fine_sparse", "sparse regions fault on every uncommitted page"},
    {XVM_HAS_STRICT_COMMIT, "strict_commit", "all that is committed can be touched"},
    {XVM_HAS_TRANSPARENT_HUGE, "transparent_huge", "huge pages where they fit"},
    {XVM_HAS_EXPLICIT_HUGE, "explicit_huge", "huge pages from a pool, now"},
    {XVM_HAS_NUMA, "numa", "a node can be preferred"},
    {XVM_HAS_FORK, "fork", "fork policies have an effect"},
    {XVM_HAS_DUMP, "dump", "dump policies have an effect"},
    {XVM_HAS_NAMES, "names", "the system shows the names of regions"},
    {XVM_HAS_EXECUTE, "execute", "written pages may become executable"},
    {XVM_HAS_BATCH_DISCARD, "batch_discard", "many ranges are discarded by one call"},
    {XVM_HAS_FAULT_COUNTS, "fault_counts", "page faults are counted"},
    {XVM_HAS_CONTAINER, "container", "the limits of a container can be read"},
    {XVM_HAS_MOVE, "move", "large ranges move without a copy"},
    {XVM_HAS_WRITE_WATCH, "write_watch", "the system sees which pages are written"},
    {XVM_HAS_MAP_INTO, "map_into", "views may lie in part of a region"},
};
enum { FEATURES = sizeof features / sizeof *features };

typedef struct fact {
    const char *key, *name;
    uint64_t value;
    unit unit;
} fact;

static void print_facts(const fact *facts, size_t count)
{
    char text[64];

    for (size_t i = 0; i < count; i++) {
        format(text, sizeof text, facts[i].value, facts[i].unit);
        if (facts[i].unit == BYTES && facts[i].value == 0)
            strcpy(text, "none");
        printf("%-24s %s\n", facts[i].name, text);
    }
}

static void print_features(uint64_t has)
{
    printf("\nfeatures\n");
    for (size_t i = 0; i < FEATURES; i++)
        printf("  %-22s %-3s  %s\n", features[i].name,
               has & (uint64_t)features[i].feature ? "yes" : "no", features[i].meaning);
}

static void print_info_json(const fact *facts, size_t count, const xvm_system_info *s)
{
    bool first = true;

    printf("{");
    for (size_t i = 0; i < count; i++)
        print_member(&first, facts[i].key, facts[i].value);
    print_member(&first, "lowest_address", s->lowest_address);
    print_member(&first, "highest_address", s->highest_address);
    next_member(&first);
    printf("\"features\": {");
    for (size_t i = 0; i < FEATURES; i++)
        printf("%s\n    \"%s\": %s", i == 0 ? "" : ",", features[i].name,
               s->features & (uint64_t)features[i].feature ? "true" : "false");
    printf("\n  }\n}\n");
}

static int info(void)
{
    const xvm_system_info *s = xvm_system();
    const fact facts[] = {
        {"page_size", "page size", s->page_size, BYTES},
        {"allocation_granularity", "allocation granularity", s->allocation_granularity, BYTES},
        {"huge_page_size", "explicit huge pages", s->huge_page_size, BYTES},
        {"thp_size", "transparent huge pages", s->thp_size, BYTES},
        {"address_bits", "bits of an address", s->address_bits, COUNT},
        {"physical_memory", "physical memory", s->physical_memory, BYTES},
        {"processors", "processors", s->processors, COUNT},
        {"numa_nodes", "NUMA nodes", s->numa_nodes, COUNT},
    };
    size_t count = sizeof facts / sizeof *facts;

    if (style.json) {
        print_info_json(facts, count, s);
        return 0;
    }
    print_facts(facts, count);
    printf("%-24s 0x%" PRIxPTR " - 0x%" PRIxPTR "\n", "addresses", s->lowest_address,
           s->highest_address);
    print_features(s->features);
    return 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

/* A ceiling. */
typedef struct ceiling {
    const char *key, *name;
    uint64_t used, limit;
    unit unit;
} ceiling;

static uint64_t room_below(const ceiling *c)
{
    if (c->limit == UNKNOWN || c->used == UNKNOWN)
        return UNKNOWN;
    return c->used < c->limit ? c->limit - c->used : 0;
}

/* "[#####.....]": green, from three quarters on yellow, in the last tenth red. */
static void print_bar(double part, size_t width)
{
    const char *colour = part < 0.75 ? "\33[32m" : part < 0.9 ? "\33[33m" : "\33[31m";
    size_t full = (size_t)(part * (double)width + 0.5);

    printf("[%s", style.colours ? colour : "");
    for (size_t i = 0; i < width; i++) {
        if (i == full && style.colours)
            printf("\33[0m");
        putchar(i < full ? '#' : '.');
    }
    printf("%s]", style.colours && full >= width ? "\33[0m" : "");
}

/* As wide as the line leaves room for; blank where there is nothing to show. */
static void print_part(const ceiling *c, uint64_t room)
{
    size_t all = NAME + NUMBERS + 5;
    size_t width = style.columns > all ? style.columns - all : 0;

    width = width < BAR ? width : BAR;
    if (width < NARROWEST_BAR)
        return;
    if (room == UNKNOWN || c->limit == 0)
        printf("%*s", (int)width + 2, "");
    else
        print_bar((double)(c->limit - room) / (double)c->limit, width);
}

static void print_ceiling(const ceiling *c)
{
    uint64_t room = room_below(c);
    char used[32], limit[32], left[32];

    format(used, sizeof used, c->used, c->unit);
    format(limit, sizeof limit, c->limit, c->unit);
    format(left, sizeof left, room, c->unit);
    printf("%-*s ", NAME, c->name);
    print_part(c, room);
    if (room != UNKNOWN)
        printf(" %10s of %-10s %10s left\n", used, limit, left);
    else if (c->limit == UNKNOWN)
        printf(" %10s    no limit\n", used);
    else
        printf(" %10s of %s\n", used, limit);
}

static void print_limits(const ceiling *ceilings, size_t count, const xvm_limits *l)
{
    const fact facts[] = {
        {NULL, "resident", l->process_resident, BYTES},
        {NULL, "minor faults", l->minor_faults, COUNT},
        {NULL, "major faults", l->major_faults, COUNT},
        {NULL, "headroom", l->headroom, BYTES},
    };
    char text[64];

    for (size_t i = 0; i < count; i++)
        print_ceiling(&ceilings[i]);
    printf("\n");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        format(text, sizeof text, facts[i].value, facts[i].unit);
        printf("%-*s %s\n", NAME, facts[i].name, text);
    }
}

static void print_limits_json(const ceiling *ceilings, size_t count, const xvm_limits *l)
{
    bool first = true;

    printf("{");
    for (size_t i = 0; i < count; i++) {
        bool inner = true;

        next_member(&first);
        print_string(ceilings[i].key);
        printf(": {");
        print_member(&inner, "used", ceilings[i].used);
        print_member(&inner, "limit", ceilings[i].limit);
        print_member(&inner, "left", room_below(&ceilings[i]));
        printf("\n  }");
    }
    print_member(&first, "resident", l->process_resident);
    print_member(&first, "minor_faults", l->minor_faults);
    print_member(&first, "major_faults", l->major_faults);
    print_member(&first, "headroom", l->headroom);
    printf("\n}\n");
}

static int limits(void)
{
    xvm_limits l;
    uint64_t taken;

    if (xvm_get_limits(&l) != XVM_OK) {
        fprintf(stderr, "xvm: %s\n", xvm_status_text(xvm_last_status()));
        return FAILED;
    }
    taken = l.physical_total != UNKNOWN && l.physical_available <= l.physical_total
                ? l.physical_total - l.physical_available
                : UNKNOWN;
    const ceiling ceilings[] = {
        {"physical_memory", "physical memory", taken, l.physical_total, BYTES},
        {"commit", "commit, system", l.commit_used, l.commit_limit, BYTES},
        {"container", "container", l.container_used, l.container_limit, BYTES},
        {"address_space", "address space", l.process_reserved, l.address_space_limit, BYTES},
        {"data", "committed", l.process_committed, l.data_limit, BYTES},
        {"locked", "locked", l.lock_used, l.lock_limit, BYTES},
        {"mappings", "mappings", l.map_used, l.map_limit, COUNT},
    };
    size_t count = sizeof ceilings / sizeof *ceilings;

    if (style.json)
        print_limits_json(ceilings, count, &l);
    else
        print_limits(ceilings, count, &l);
    return 0;
}

/* --- explain-demo ----------------------------------------------------------------------------- */

static const size_t MiB = (size_t)1 << 20;

/* A region for a call that must fail: true when it did. */
static bool fails_in_region(xvm_status (*call)(xvm_region *r))
{
    xvm_reserve_options options = {.name = "demo"};
    xvm_status status;
    xvm_region r;

    if (xvm_reserve(&r, MiB, &options) != XVM_OK)
        return false;
    status = call(&r);
    (void)xvm_release(&r);
    return status != XVM_OK;
}

static xvm_status commit_outside(xvm_region *r)
{
    return xvm_commit(r, r->size, 1);
}

static xvm_status protect_reserved(xvm_region *r)
{
    return xvm_protect(r, 0, r->size, XVM_READ);
}

static xvm_status prefault_read_only(xvm_region *r)
{
    if (xvm_commit(r, 0, r->size) != XVM_OK || xvm_protect(r, 0, r->size, XVM_READ) != XVM_OK)
        return XVM_OK;
    return xvm_prefault(r, 0, r->size);
}

static xvm_status reserve_over(xvm_region *r)
{
    xvm_reserve_options here = {.name = "second", .address = r->base};
    xvm_region second;

    return xvm_reserve(&second, r->size, &here);
}

static bool outside(void)
{
    return fails_in_region(commit_outside);
}

static bool not_committed(void)
{
    return fails_in_region(protect_reserved);
}

static bool read_only(void)
{
    return fails_in_region(prefault_read_only);
}

static bool taken(void)
{
    return fails_in_region(reserve_over);
}

static bool too_large(void)
{
    xvm_reserve_options options = {.name = "universe"};
    xvm_region r;

    if (xvm_reserve(&r, SIZE_MAX / 2 + 1, &options) != XVM_OK)
        return true;
    (void)xvm_release(&r);
    return false;
}

static bool budget(void)
{
    xvm_budget level;
    xvm_reserve_options options = {.name = "textures", .budget = &level};
    xvm_status status = XVM_OK;
    xvm_region r;

    if (xvm_budget_init(&level, "level", NULL, 8 * MiB) != XVM_OK ||
        xvm_reserve(&r, 64 * MiB, &options) != XVM_OK)
        return false;
    for (size_t at = 0; at < r.size && status == XVM_OK; at += 3 * MiB)
        status = xvm_commit(&r, at, 3 * MiB);
    (void)xvm_release(&r);
    return status != XVM_OK;
}

/* Four times the machine, where there are as many addresses. No more: Wine pays for each address. */
static bool larger_than_memory(void)
{
    xvm_reserve_options options = {.name = "everything"};
    uint64_t wish = (uint64_t)1 << 40;
    xvm_status status;
    xvm_region r;
    xvm_limits l;

    if (xvm_get_limits(&l) == XVM_OK && l.physical_total < wish)
        wish = ((l.physical_total >> 30) + 1) << 32; /* whole GiB */
    if (sizeof(void *) == 4 || xvm_reserve(&r, (size_t)wish, &options) != XVM_OK)
        return false;
    status = xvm_commit(&r, 0, r.size);
    (void)xvm_release(&r);
    return status != XVM_OK;
}

static const provocation provocations[] = {
    {"a range outside the region", outside},
    {"pages that are not committed", not_committed},
    {"pages that are read-only", read_only},
    {"an address that is in use", taken},
    {"more addresses than there are", too_large},
    {"more than a budget", budget},
    {"a commit larger than the machine", larger_than_memory},
};

static void print_refusal(const provocation *p)
{
    char sentence[1024];

    (void)xvm_explain(sentence, sizeof sentence);
    printf("%s: %s\n    %s\n\n", p->title, xvm_status_name(xvm_last_status()), sentence);
}

static void print_refusal_json(const provocation *p, bool *first)
{
    char sentence[1024];

    (void)xvm_explain(sentence, sizeof sentence);
    next_member(first);
    printf("{\"title\": ");
    print_string(p->title);
    printf(", \"status\": \"%s\", \"system_error\": %d, \"sentence\": ",
           xvm_status_name(xvm_last_status()), xvm_system_error());
    print_string(sentence);
    printf("}");
}

/* Printed at once: the next one may not come back. */
static void run_all(const provocation *all, size_t count, bool *first)
{
    for (size_t i = 0; i < count; i++) {
        bool met = all[i].run();

        if (met && style.json)
            print_refusal_json(&all[i], first);
        else if (met)
            print_refusal(&all[i]);
        else if (!style.json)
            printf("%s: cannot be had here\n\n", all[i].title);
        fflush(stdout);
    }
}

static int explain_demo(void)
{
    bool first = true;

    if (style.json)
        printf("{\"refusals\": [");
    run_all(provocations, sizeof provocations / sizeof *provocations, &first);
    run_all(system_provocations, system_provocation_count, &first);
    if (style.json)
        printf("\n]}\n");
    return 0;
}

/* --- arguments -------------------------------------------------------------------------------- */

typedef struct command {
    const char *name, *meaning;
    int (*run)(void);
} command;

static const command commands[] = {
    {"info", "facts and features of this system", info},
    {"limits", "every ceiling, how much of it is used, and what is left", limits},
    {"explain-demo", "meets several limits in this process, and prints what xvm_explain says",
     explain_demo},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int help(void)
{
    printf("usage: xvm COMMAND [--json] [--width N]\n       xvm --help | --version\n\ncommands\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-14s %s\n", commands[i].name, commands[i].meaning);
    printf("\noptions\n"
           "  --json         one JSON object instead of text\n"
           "  --width N      the width of the bars, in columns of text\n"
           "  --help         this text\n"
           "  --version      the version of xvm\n");
    return 0;
}

static int version(void)
{
    printf("xvm %d.%d.%d\n", XVM_VERSION_MAJOR, XVM_VERSION_MINOR, XVM_VERSION_PATCH);
    return 0;
}

static int misused(const char *problem, const char *argument)
{
    fprintf(stderr, "xvm: %s '%s'; see xvm --help\n", problem, argument);
    return MISUSED;
}

static bool read_width(const char *text, size_t *width)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *width = value;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && value >= NARROWEST && value <= WIDEST;
}

static void look_around(void)
{
    const char *no_colour = getenv("NO_COLOR"), *columns = getenv("COLUMNS");
    terminal t = look_at_terminal();

    style.colours = t.colours && (no_colour == NULL || no_colour[0] == 0);
    if (columns != NULL && read_width(columns, &style.columns))
        return;
    style.columns = t.columns == 0 ? COLUMNS : t.columns < NARROWEST ? NARROWEST : t.columns;
}

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

/* GO_ON, or how to exit. */
static int read_option(const char *option, const char *value, bool *takes_value)
{
    if (strcmp(option, "--help") == 0)
        return help();
    if (strcmp(option, "--version") == 0)
        return version();
    if (strcmp(option, "--json") == 0) {
        style.json = true;
        return GO_ON;
    }
    if (strcmp(option, "--width") != 0)
        return misused("unknown option", option);
    *takes_value = true;
    if (value == NULL || !read_width(value, &style.columns))
        return misused("no width from 60 to 400:", value != NULL ? value : "");
    return GO_ON;
}

static int read_command(const char *name, const command **chosen)
{
    if (*chosen != NULL)
        return misused("one command at a time, not also", name);
    *chosen = find_command(name);
    return *chosen != NULL ? GO_ON : misused("unknown command", name);
}

int main(int count, char **arguments)
{
    const command *chosen = NULL;
    int result = GO_ON;

    look_around();
    for (int i = 1; i < count && result == GO_ON; i++) {
        bool takes_value = false;

        if (arguments[i][0] == '-')
            result = read_option(arguments[i], arguments[i + 1], &takes_value);
        else
            result = read_command(arguments[i], &chosen);
        i += takes_value;
    }
    if (result != GO_ON)
        return result;
    if (chosen == NULL) {
        fprintf(stderr, "xvm: no command; see xvm --help\n");
        return MISUSED;
    }
    return chosen->run();
}

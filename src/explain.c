/* explain.c - what was behind a failure, and a sentence about it.
 *
 *     commit of 64 MiB in region 'entities' refused: RLIMIT_DATA is 512 MiB, 480 MiB in use; raise it ...
 *     | subject, from the record ----------|         | limit, with its numbers ------------| | knob
 *
 *   1  The cause is looked for when a call fails, and kept: the sentence tells of that moment.
 *   2  A limit is named only where its numbers show that it refused. Otherwise the sentence is that
 *      of the status, with the system's code.
 *   3  What a system calls its limits and knobs is its own business: xvm_os_describe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "os.h"
#include "text.h"
#include "xvm/system.h"

#define UNKNOWN UINT64_MAX

/* Beside what was asked for a call takes pages for the states of pages and for alignment; a change
 * in the middle of a mapping takes two more, and what it had taken is given back before we look. */
enum { SLACK = 64 << 10, SPARE_MAPPINGS = 8 };

/* --- the cause -------------------------------------------------------------------------------- */

/* Notes a cause if its limit leaves less than size. */
static bool blame(xvm_os_failure *f, xvm_os_cause cause, uint64_t limit, uint64_t used,
                  uint64_t size)
{
    if (limit == UNKNOWN || used == UNKNOWN || (used < limit && size <= limit - used))
        return false;
    f->cause = cause;
    f->limit = limit;
    f->used = used;
    return true;
}

static uint64_t with_slack(uint64_t size)
{
    return size < UNKNOWN - SLACK ? size + SLACK : size;
}

/* Lock and prefault are refused by the library itself where a touch would end the process. */
static void find_commit_cause(xvm_os_failure *f, const xvm_limits *l)
{
    xvm_os_rules rules = xvm_os_get_rules();
    uint64_t size = with_slack(f->size);

    if (f->code == 0 && xvm_os_container(&f->limit, &f->used)) {
        f->cause = XVM_OS_CAUSE_CONTAINER;
        return;
    }
    if (blame(f, XVM_OS_CAUSE_DATA_LIMIT, l->data_limit, l->process_committed, size))
        return;
    if (rules.strict && blame(f, XVM_OS_CAUSE_COMMIT_LIMIT, l->commit_limit, l->commit_used, size))
        return;
    if (blame(f, XVM_OS_CAUSE_LARGER_THAN_MEMORY, rules.at_once, 0, f->size))
        f->used = UNKNOWN; /* it does not matter */
    else
        (void)blame(f, XVM_OS_CAUSE_CONTAINER, l->container_limit, l->container_used, size);
}

/* Locks are refused by the limit as far as it could be raised, mappings by the limit as it is. */
static void find_lock_cause(xvm_os_failure *f, const xvm_limits *l)
{
    uint64_t raised = xvm_os_get_rules().lockable;
    uint64_t limit = l->lock_limit > raised ? l->lock_limit : raised;

    if (f->operation == XVM_OS_RESERVE)
        (void)blame(f, XVM_OS_CAUSE_LOCKED_FUTURE, l->lock_limit, l->lock_used, f->size);
    else
        (void)blame(f, limit == 0 ? XVM_OS_CAUSE_LOCK_FORBIDDEN : XVM_OS_CAUSE_LOCK_LIMIT, limit,
                    l->lock_used, f->size);
}

/* The largest hole between mappings, as far as a process may have addresses. */
typedef struct holes {
    uint64_t behind, end; /* behind: the end of the mapping before */
    uint64_t largest;
} holes;

static void look_at_hole(holes *h, uint64_t from, uint64_t to)
{
    to = to < h->end ? to : h->end;
    if (to > from && to - from > h->largest)
        h->largest = to - from;
}

static int look_before(const xvm_os_mapping *mapping, void *context)
{
    holes *h = context;

    look_at_hole(h, h->behind, mapping->base);
    h->behind = (uint64_t)mapping->base + mapping->size;
    return 0;
}

static void find_hole_cause(xvm_os_failure *f, const xvm_system_info *machine)
{
    holes h = {machine->lowest_address, machine->highest_address, 0};

    if (xvm_os_walk_mappings(look_before, &h).status != XVM_OK)
        return;
    look_at_hole(&h, h.behind, h.end);
    if (blame(f, XVM_OS_CAUSE_NO_HOLE, h.largest, 0, f->size))
        f->used = UNKNOWN;
}

/* The facts are asked for anew, and not remembered by xvm_system: where a limit is reached trials may
 * fail that would not otherwise. */
static void find_address_cause(xvm_os_failure *f, const xvm_limits *l)
{
    xvm_system_info machine = {.page_size = xvm_os_get_facts().page_size};
    uint64_t end;

    xvm_os_get_system(&machine);
    end = (uint64_t)machine.highest_address + 1; /* 0: 64 bits, all of them */
    if (end > 1 && blame(f, XVM_OS_CAUSE_ADDRESS_BITS, end, 0, f->size))
        f->used = UNKNOWN;
    else if (!blame(f, XVM_OS_CAUSE_ADDRESS_SPACE_LIMIT, l->address_space_limit,
                    l->process_reserved, with_slack(f->size)))
        find_hole_cause(f, &machine);
}

/* What the status alone tells, with the operation. A reservation that was not even tried, and so has
 * no code, found no hole where one was asked for. */
static void find_policy_cause(xvm_os_failure *f)
{
    f->limit = f->used = UNKNOWN;
    if (f->status == XVM_E_ADDRESS_TAKEN)
        f->cause = XVM_OS_CAUSE_TAKEN;
    else if (f->status == XVM_E_ADDRESS_SPACE)
        f->cause = XVM_OS_CAUSE_NO_PLACE;
    else if (f->status == XVM_E_COMMIT_LIMIT)
        f->cause = XVM_OS_CAUSE_HUGE_POOL;
    else if (f->status == XVM_E_PERMISSION && f->code != 0 && f->operation == XVM_OS_PROTECT)
        f->cause = XVM_OS_CAUSE_EXECUTE_POLICY;
    else if (f->status == XVM_E_PERMISSION && f->code != 0 && f->operation == XVM_OS_RESERVE)
        f->cause = XVM_OS_CAUSE_HUGE_PRIVILEGE;
}

static void find_limit_cause(xvm_os_failure *f)
{
    xvm_limits l;

    if (xvm_os_get_limits(&l).status != XVM_OK)
        return;
    if (f->status == XVM_E_COMMIT_LIMIT)
        find_commit_cause(f, &l);
    else if (f->status == XVM_E_LOCK_LIMIT)
        find_lock_cause(f, &l);
    else if (f->status == XVM_E_ADDRESS_SPACE)
        find_address_cause(f, &l);
    else
        (void)blame(f, XVM_OS_CAUSE_MAPPINGS, l.map_limit, l.map_used, SPARE_MAPPINGS);
}

/* Only then are all limits worth reading. */
static bool may_be_a_limit(const xvm_os_failure *f)
{
    switch (f->status) {
    case XVM_E_COMMIT_LIMIT:
        return f->operation != XVM_OS_RESERVE;
    case XVM_E_ADDRESS_SPACE: /* a size that could not even be asked for has no code either */
        return f->code != 0 || f->size > SIZE_MAX / 2;
    case XVM_E_LOCK_LIMIT:
    case XVM_E_MAP_LIMIT:
        return true;
    default:
        return false;
    }
}

/* A call that does not say what it was about has no cause. */
void xvm_os_find_cause(xvm_os_failure *failure)
{
    failure->cause = XVM_OS_CAUSE_UNKNOWN;
    if (failure->call == NULL)
        return;
    if (may_be_a_limit(failure))
        find_limit_cause(failure);
    else
        find_policy_cause(failure);
}

/* --- the sentence ----------------------------------------------------------------------------- */

static void put_quoted(text *t, const char *name)
{
    put(t, " '");
    put(t, name);
    put(t, "'");
}

/* "commit of 64 MiB in region 'entities'" */
static void put_subject(text *t, const xvm_os_failure *f)
{
    put(t, f->call != NULL ? f->call : "a call");
    if (f->size != 0) {
        put(t, " of ");
        put_size(t, f->size);
    }
    if (f->address != NULL) {
        put(t, " at ");
        put_address(t, f->address);
    }
    if (f->region != NULL) {
        put(t, " in region");
        put_quoted(t, f->region);
    }
    put(t, " refused: ");
}

/* A text of status.h as the middle of a sentence. */
static void put_status(text *t, const xvm_os_failure *f)
{
    const char *sentence = xvm_status_text(f->status);

    put_byte(t, (char)(*sentence | ('a' - 'A')));
    for (sentence++; *sentence != 0; sentence++)
        if (*sentence != '.' || sentence[1] != 0)
            put_byte(t, *sentence);
    if (f->code != 0) {
        put(t, " (");
        put(t, xvm_os_code_word());
        put_byte(t, ' ');
        put_number(t, (uint64_t)(uint32_t)f->code);
        put_byte(t, ')');
    }
}

/* What helps where no limit is known. */
static const char *advice_for(xvm_status status)
{
    switch (status) {
    case XVM_E_INVALID:
        return "; compare its range and options with what the header says of it";
    case XVM_E_NOT_COMMITTED:
        return "; xvm_commit them first";
    case XVM_E_PINNED:
        return "; release the whole region, or reserve it without explicit huge pages";
    case XVM_E_UNSUPPORTED:
        return "; xvm_system()->features tells what it has";
    case XVM_E_ADDRESS_SPACE:
    case XVM_E_COMMIT_LIMIT:
    case XVM_E_LOCK_LIMIT:
    case XVM_E_MAP_LIMIT:
        return "; xvm_get_limits tells how close each limit is";
    default:
        return "";
    }
}

/* What the status and the operation tell. Without a code it was we who forbade it. */
static void put_reason(text *t, const xvm_os_failure *f)
{
    if (f->status == XVM_E_PERMISSION && f->code == 0 && f->operation == XVM_OS_ADVISE) {
        put(t, "a page is locked; xvm_unlock it first");
    } else if (f->status == XVM_E_PERMISSION && f->code == 0) {
        put(t, "the protection of a page forbids it; xvm_protect changes it");
    } else {
        put_status(t, f);
        put(t, advice_for(f->status));
    }
}

static bool is_budget(xvm_os_cause cause)
{
    return cause == XVM_OS_CAUSE_BUDGET || cause == XVM_OS_CAUSE_CONTAINER_BUDGET;
}

static void put_amount(text *t, const xvm_os_failure *f, uint64_t amount)
{
    if (f->cause == XVM_OS_CAUSE_MAPPINGS)
        put_number(t, amount);
    else
        put_size(t, amount);
}

/* " (47 bits)": of addresses below end. */
static void put_bits(text *t, uint64_t end)
{
    unsigned bits = 0;

    while (bits < 64 && (end - 1) >> bits != 0)
        bits++;
    put(t, " (");
    put_number(t, bits);
    put(t, " bits)");
}

/* "RLIMIT_DATA is 512 MiB, 480 MiB in use" */
static void put_limit(text *t, const xvm_os_failure *f, const char *limit)
{
    put(t, limit);
    if (is_budget(f->cause) && f->budget != NULL)
        put_quoted(t, f->budget);
    if (f->cause == XVM_OS_CAUSE_ADDRESS_BITS)
        put_bits(t, f->limit);
    if (f->limit != UNKNOWN) {
        put(t, " is ");
        put_amount(t, f, f->limit);
    }
    if (f->limit != UNKNOWN && f->used != UNKNOWN) {
        put(t, ", ");
        put_amount(t, f, f->used);
        put(t, " in use");
    }
    if (f->cause == XVM_OS_CAUSE_CONTAINER && f->code == 0) /* it was we who refused */
        put(t, " and a margin kept free");
}

/* A budget that refused on the way to a success has left its numbers with an older failure. */
static bool has_cause(const xvm_os_failure *f)
{
    return f->cause != XVM_OS_CAUSE_UNKNOWN && (!is_budget(f->cause) || f->status == XVM_E_BUDGET);
}

/* Our own words, or those of the system. */
static xvm_os_words words_for(xvm_os_cause cause)
{
    switch (cause) {
    case XVM_OS_CAUSE_CAPACITY:
        return (xvm_os_words){"it has no room left for that", "create it with a larger maximum"};
    case XVM_OS_CAUSE_IMAGE_STRANGE:
        return (xvm_os_words){"the file is no image", "give the path of one"};
    case XVM_OS_CAUSE_IMAGE_FOREIGN:
        return (xvm_os_words){"a program with other pointers or another order of bytes saved it",
                              "load it with a build like that one"};
    case XVM_OS_CAUSE_IMAGE_VERSION:
        return (xvm_os_words){"another version of the library saved it",
                              "load it with that one, or save it anew"};
    case XVM_OS_CAUSE_IMAGE_PAGES:
        return (xvm_os_words){"it was saved with pages of another size",
                              "load it on a system like that one"};
    case XVM_OS_CAUSE_IMAGE_DAMAGED:
        return (xvm_os_words){"the file is damaged", "nothing of it was kept; take a copy of it"};
    case XVM_OS_CAUSE_IMAGE_EMPTY:
        return (xvm_os_words){"there is no heap in the image", "give the path of one that has one"};
    default:
        return xvm_os_describe(cause);
    }
}

size_t xvm_explain(char *sentence, size_t capacity)
{
    const xvm_os_failure *f = xvm_os_thread_failure();
    text t = text_start(sentence, capacity);

    if (f->status == XVM_OK) {
        put(&t, "no call of this thread has failed");
        return t.length;
    }
    put_subject(&t, f);
    if (has_cause(f)) {
        xvm_os_words words = words_for(f->cause);

        put_limit(&t, f, words.limit);
        put(&t, "; ");
        put(&t, words.knob);
    } else {
        put_reason(&t, f);
    }
    return t.length;
}

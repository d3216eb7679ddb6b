/* os_fake.c - a third backend, in plain memory: page size and granularity are variables, every
 * precondition of os.h is checked, and what a refused call may leave half done is left half done.
 *
 *     slots: | reservation | reservation | free | ...      each with its memory and a fake_page for
 *     each page
 *
 *   1  A slot with memory has pages; no byte of a page that is not committed and accessible may be
 *      touched: under AddressSanitizer it is poisoned, otherwise filled with DEAD.
 *   2  A reservation has one base; release takes exactly it; no call crosses into another.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "os.h"
#include "os_fake.h"
#include "pages.h"
#include "tell.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#if defined(POISONS)
void __asan_poison_memory_region(void const volatile *address, size_t size);
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
#else
#define __asan_poison_memory_region(address, size) ((void)(address), (void)(size))
#define __asan_unpoison_memory_region(address, size) ((void)(address), (void)(size))
#endif

enum { SLOTS = 64, DEAD = 0xdd, LARGEST = 256 << 20, ADDRESSES = 1 << 30 };
enum { FAKE_NO_MEMORY = 12, FAKE_TAKEN = 17 }; /* the fake's own error codes */

typedef struct slot {
    unsigned char *memory; /* as malloc gave it */
    unsigned char *base;
    size_t size, page;
    fake_page *pages;
} slot;

size_t fake_page_size = 4 << 10, fake_granularity = 64 << 10;
bool fake_discard_zeroes = true, fake_light_guards = true, fake_counts_mappings = true;
bool fake_nothing_resident;
size_t fake_move_least = 4 << 10;
size_t fake_huge_page_size = 64 << 10;
uint64_t fake_container_limit, fake_container_used, fake_data_used, fake_slept;
uint64_t fake_data_limit = UINT64_MAX, fake_commit_at_once = UINT64_MAX;

static slot slots[SLOTS];
static xvm_os_failure failure;

/* The contract of os.h is broken: by the library, so the test fails here. */
static void demand(bool kept, const char *what)
{
    if (kept)
        return;
    fprintf(stderr, "os_fake: broken precondition: %s\n", what);
    abort();
}

/* --- slots ------------------------------------------------------------------------------------ */

static slot *slot_of(const void *address)
{
    uintptr_t at = (uintptr_t)address;

    for (int i = 0; i < SLOTS; i++)
        if (slots[i].memory != NULL && at >= (uintptr_t)slots[i].base &&
            at - (uintptr_t)slots[i].base < slots[i].size)
            return &slots[i];
    return NULL;
}

fake_page fake_page_at(const void *address)
{
    slot *s = slot_of(address);
    fake_page none = {FAKE_FREE, 0, 0, 0};

    return s != NULL ? s->pages[(size_t)((const unsigned char *)address - s->base) / s->page]
                     : none;
}

void fake_totals(size_t *reservations, size_t *reserved, size_t *committed, size_t *locked)
{
    *reservations = *reserved = *committed = *locked = 0;
    for (int i = 0; i < SLOTS; i++) {
        if (slots[i].memory == NULL)
            continue;
        ++*reservations;
        *reserved += slots[i].size;
        for (size_t p = 0; p < slots[i].size / slots[i].page; p++) {
            *committed += slots[i].pages[p].state == FAKE_COMMITTED ? slots[i].page : 0;
            *locked += slots[i].pages[p].locked ? slots[i].page : 0;
        }
    }
}

/* The pages of a range, which must be whole and lie in one reservation. */
static fake_page *pages_of(const void *address, size_t size, size_t *count, slot **where)
{
    slot *s = slot_of(address);
    size_t offset;

    demand(s != NULL, "the address is in no reservation");
    offset = (size_t)((const unsigned char *)address - s->base);
    demand(size != 0 && size <= s->size - offset, "the range is empty or leaves its reservation");
    demand(offset % s->page == 0 && size % s->page == 0, "the range is not of whole pages");
    *count = size / s->page;
    *where = s;
    return s->pages + offset / s->page;
}

/* Opens or closes one page for the program, as its state says. */
static void show(slot *s, const fake_page *page)
{
    unsigned char *at = s->base + (size_t)(page - s->pages) * s->page;

    if (page->state == FAKE_COMMITTED && page->protection != XVM_NO_ACCESS && !page->guard)
        __asan_unpoison_memory_region(at, s->page);
    else
        __asan_poison_memory_region(at, s->page);
}

static void fill(slot *s, const fake_page *page, int byte)
{
    unsigned char *at = s->base + (size_t)(page - s->pages) * s->page;

    __asan_unpoison_memory_region(at, s->page);
    memset(at, byte, s->page);
    show(s, page);
}

/* --- the interface ---------------------------------------------------------------------------- */

xvm_os_facts xvm_os_get_facts(void)
{
    return (xvm_os_facts){fake_page_size, fake_granularity, 0, fake_discard_zeroes,
                          fake_counts_mappings};
}

int xvm_os_has_light_guards(void)
{
    return fake_light_guards;
}

static xvm_os_answer answer(xvm_status status, int code)
{
    return (xvm_os_answer){status, code};
}

/* Asks the watch; a refusal is answered with the status given. */
static bool is_refused(xvm_os_operation why, const char *call, const void *address, size_t size,
                       xvm_status status, xvm_os_answer *refusal)
{
    int code = xvm_os_refused(why, call, size, FAKE_NO_MEMORY);

    xvm_os_made(why, call, address, size, code, code != 0);
    *refusal = answer(status, code);
    return code != 0;
}

static bool is_free(uintptr_t at, size_t size)
{
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].memory != NULL && at < (uintptr_t)slots[i].base + slots[i].size &&
            (uintptr_t)slots[i].base < at + size)
            return false;
    return true;
}

static bool start_slot(slot *s, unsigned char *memory, unsigned char *base, size_t size)
{
    fake_page reserved = {FAKE_RESERVED, 0, 0, 0};
    size_t count = size / fake_page_size;

    s->pages = malloc(count * sizeof *s->pages);
    if (s->pages == NULL)
        return false;
    s->memory = memory;
    s->base = base;
    s->size = size;
    s->page = fake_page_size;
    for (size_t i = 0; i < count; i++) {
        s->pages[i] = reserved;
        fill(s, &s->pages[i], DEAD);
    }
    return true;
}

/* Memory of malloc's is anywhere: an exact address or a limit for it cannot be had. */
xvm_os_answer xvm_os_reserve(const xvm_os_request *request, xvm_os_place *place)
{
    xvm_os_answer refusal;
    unsigned char *memory, *base;
    slot *s = slots;

    demand(is_power_of_two(request->alignment) && request->alignment >= fake_granularity,
           "the alignment is no power of two or below the granularity");
    demand(request->size != 0 && request->size % fake_page_size == 0,
           "the size is not of whole pages");
    if (is_refused(XVM_OS_RESERVE, "fake_reserve", NULL, request->size, XVM_E_ADDRESS_SPACE,
                   &refusal))
        return refusal;
    if (request->address != NULL)
        return is_free((uintptr_t)request->address, request->size)
                   ? answer(XVM_E_ADDRESS_SPACE, FAKE_NO_MEMORY)
                   : answer(XVM_E_ADDRESS_TAKEN, FAKE_TAKEN);
    if (request->pinned && fake_huge_page_size == 0)
        return answer(XVM_E_UNSUPPORTED, FAKE_NO_MEMORY);
    if (request->size > LARGEST || request->alignment > ADDRESSES || request->below != 0)
        return answer(XVM_E_ADDRESS_SPACE, FAKE_NO_MEMORY);
    while (s < slots + SLOTS && s->memory != NULL)
        s++;
    demand(s < slots + SLOTS, "more reservations than the fake has slots");
    memory = malloc(request->size + request->alignment);
    if (memory == NULL)
        return answer(XVM_E_ADDRESS_SPACE, FAKE_NO_MEMORY);
    base = memory + (round_up((uintptr_t)memory, request->alignment) - (uintptr_t)memory);
    if (!start_slot(s, memory, base, request->size)) {
        free(memory);
        return answer(XVM_E_ADDRESS_SPACE, FAKE_NO_MEMORY);
    }
    *place = (xvm_os_place){base, base, request->size};
    return request->pinned ? xvm_os_commit(XVM_OS_RESERVE, base, request->size) : answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_release(void *os_base, size_t os_size)
{
    slot *s = slot_of(os_base);
    xvm_os_answer refusal;

    demand(s != NULL && os_base == s->base && os_size == s->size,
           "a release is not of one reservation");
    if (is_refused(XVM_OS_RELEASE, "fake_release", os_base, os_size, XVM_E_MAP_LIMIT, &refusal))
        return refusal;
    __asan_unpoison_memory_region(s->base, s->size);
    free(s->pages);
    free(s->memory);
    *s = (slot){0};
    return answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_commit(xvm_os_operation why, void *address, size_t size)
{
    fake_page open = {FAKE_COMMITTED, XVM_READ_WRITE, 0, 0};
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_RESERVED || pages[i].protection == XVM_NO_ACCESS,
               "a page to commit is not closed");
    if (is_refused(why, "fake_commit", address, size, XVM_E_COMMIT_LIMIT, &refusal))
        return refusal;
    for (size_t i = 0; i < count; i++) {
        pages[i] = open;
        fill(s, &pages[i], 0);
    }
    return answer(XVM_OK, 0);
}

/* Refused: bytes are intact, but half of the pages are closed and unlocked. */
xvm_os_answer xvm_os_decommit(void *address, size_t size, unsigned char *renew)
{
    fake_page reserved = {FAKE_RESERVED, 0, 0, 0};
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);
    bool refused =
        is_refused(XVM_OS_DECOMMIT, "fake_decommit", address, size, XVM_E_MAP_LIMIT, &refusal);

    (void)renew;
    for (size_t i = 0; refused && i < (count + 1) / 2; i++) {
        pages[i].locked = 0;
        if (pages[i].state == FAKE_COMMITTED)
            pages[i].protection = XVM_NO_ACCESS;
        show(s, &pages[i]);
    }
    for (size_t i = 0; !refused && i < count; i++) {
        pages[i] = reserved;
        fill(s, &pages[i], DEAD);
    }
    return refused ? refusal : answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_discard(void *address, size_t size, xvm_discard_mode mode)
{
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED && !pages[i].locked && !pages[i].guard,
               "a page to discard is locked, a guard or reserved");
    if (is_refused(XVM_OS_DISCARD, "fake_discard", address, size, XVM_E_COMMIT_LIMIT, &refusal))
        return refusal;
    for (size_t i = 0; i < count && fake_discard_zeroes && mode == XVM_DISCARD_ZERO; i++)
        fill(s, &pages[i], 0);
    return answer(XVM_OK, 0);
}

/* Refused: the first half is changed. */
xvm_os_answer xvm_os_protect(xvm_os_operation why, void *address, size_t size,
                             xvm_protection protection)
{
    xvm_os_answer refusal;
    size_t count, changed;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    changed = is_refused(why, "fake_protect", address, size, XVM_E_MAP_LIMIT, &refusal) ? count / 2
                                                                                        : count;
    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED, "a page to protect is not committed");
    for (size_t i = 0; i < changed; i++) {
        pages[i].protection = (unsigned char)protection;
        show(s, &pages[i]);
    }
    return refusal.code != 0 ? refusal : answer(XVM_OK, 0);
}

size_t xvm_os_find_protection(const void *address, size_t size, xvm_protection *protection)
{
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    *protection = (xvm_protection)pages[0].protection;
    return s->page;
}

/* Refused: the first half is locked. */
xvm_os_answer xvm_os_lock(void *address, size_t size)
{
    xvm_os_answer refusal;
    size_t count, changed;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    changed = is_refused(XVM_OS_LOCK, "fake_lock", address, size, XVM_E_LOCK_LIMIT, &refusal)
                  ? count / 2
                  : count;
    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED, "a page to lock is not committed");
    for (size_t i = 0; i < changed; i++)
        pages[i].locked = 1;
    return refusal.code != 0 ? refusal : answer(XVM_OK, 0);
}

/* Refused: the first half is unlocked. */
xvm_os_answer xvm_os_unlock(void *address, size_t size)
{
    xvm_os_answer refusal;
    size_t count, changed;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    changed = is_refused(XVM_OS_UNLOCK, "fake_unlock", address, size, XVM_E_MAP_LIMIT, &refusal)
                  ? count / 2
                  : count;
    for (size_t i = 0; i < changed; i++)
        pages[i].locked = 0;
    return refusal.code != 0 ? refusal : answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_prefault(void *address, size_t size)
{
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED && (pages[i].protection == XVM_READ_WRITE ||
                                                    pages[i].protection == XVM_READ_WRITE_EXECUTE),
               "a page to prefault is not writable");
    if (is_refused(XVM_OS_PREFAULT, "fake_prefault", address, size, XVM_E_COMMIT_LIMIT, &refusal))
        return refusal;
    return answer(XVM_OK, 0);
}

/* Policies have no effect, but can be refused. */
xvm_os_answer xvm_os_attach(void *address, size_t size, const xvm_os_policy *policy)
{
    xvm_os_answer refusal;
    size_t count;
    slot *s;

    (void)policy;
    (void)pages_of(address, size, &count, &s);
    if (is_refused(XVM_OS_ATTACH, "fake_attach", address, size, XVM_E_MAP_LIMIT, &refusal))
        return refusal;
    return answer(XVM_OK, 0);
}

/* All committed memory is resident. */
size_t xvm_os_resident(const void *address, size_t size)
{
    size_t count;
    slot *s;

    (void)pages_of(address, size, &count, &s);
    return fake_nothing_resident ? 0 : size;
}

/* Refused: the first half are guards. */
xvm_os_answer xvm_os_guard(xvm_os_operation why, void *address, size_t size)
{
    xvm_os_answer refusal;
    size_t count, changed;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    demand(fake_light_guards, "a guard where there are none");
    changed =
        is_refused(why, "fake_guard", address, size, XVM_E_MAP_LIMIT, &refusal) ? count / 2 : count;
    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED && pages[i].protection == XVM_READ_WRITE,
               "a page to guard is not writable");
    for (size_t i = 0; i < changed; i++) {
        pages[i].guard = 1;
        pages[i].locked = 0;
        fill(s, &pages[i], DEAD);
    }
    return refusal.code != 0 ? refusal : answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_unguard(xvm_os_operation why, void *address, size_t size)
{
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED, "a page to unguard is not open");
    if (is_refused(why, "fake_unguard", address, size, XVM_E_COMMIT_LIMIT, &refusal))
        return refusal;
    for (size_t i = 0; i < count; i++) {
        if (pages[i].guard)
            fill(s, &pages[i], 0);
        pages[i].guard = 0;
        show(s, &pages[i]);
    }
    return answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_advise(void *address, size_t size, xvm_advice advice)
{
    xvm_os_answer refusal;
    size_t count;
    slot *s;
    fake_page *pages = pages_of(address, size, &count, &s);

    (void)advice;
    for (size_t i = 0; i < count; i++)
        demand(pages[i].state == FAKE_COMMITTED && !pages[i].guard, "advice for no memory");
    if (is_refused(XVM_OS_ADVISE, "fake_advise", address, size, XVM_E_COMMIT_LIMIT, &refusal))
        return refusal;
    return answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_discard_pieces(const xvm_os_piece *pieces, size_t count, xvm_discard_mode mode)
{
    xvm_os_answer one = {XVM_OK, 0};

    demand(count != 0 && count <= XVM_OS_PIECES, "no pieces, or too many");
    for (size_t i = 0; i < count && one.status == XVM_OK; i++)
        one = xvm_os_discard(pieces[i].address, pieces[i].size, mode);
    return one;
}

size_t xvm_os_move_least(void)
{
    return fake_move_least;
}

/* One page after the other; a refused one is reserved. */
static bool move_page(slot *s, fake_page *to, fake_page *from)
{
    fake_page reserved = {FAKE_RESERVED, 0, 0, 0};
    unsigned char *target = s->base + (size_t)(to - s->pages) * s->page;
    unsigned char *source = s->base + (size_t)(from - s->pages) * s->page;
    xvm_os_answer refusal;

    if (is_refused(XVM_OS_MOVE, "fake_move", source, s->page, XVM_E_COMMIT_LIMIT, &refusal)) {
        *to = reserved;
        fill(s, to, DEAD);
        return false;
    }
    memcpy(target, source, s->page);
    fill(s, from, 0);
    return true;
}

xvm_os_moved xvm_os_move(void *to, void *from, size_t size)
{
    xvm_os_moved m = {0, 0};
    size_t count, same;
    slot *s, *other;
    fake_page *target = pages_of(to, size, &count, &s),
              *source = pages_of(from, size, &same, &other);

    demand(s == other && (target + count <= source || source + count <= target),
           "a move from one reservation to another, or onto itself");
    for (size_t i = 0; i < count && m.closed == 0; i++) {
        demand(target[i].state == FAKE_COMMITTED && target[i].protection == XVM_READ_WRITE &&
                   !target[i].locked && !target[i].guard && source[i].state == FAKE_COMMITTED &&
                   source[i].protection == XVM_READ_WRITE && !source[i].locked && !source[i].guard,
               "a page to move is not plain");
        if (move_page(s, &target[i], &source[i]))
            m.moved += s->page;
        else
            m.closed = s->page;
    }
    return m;
}

void xvm_os_flush_code(void *address, size_t size)
{
    size_t count;
    slot *s;

    (void)pages_of(address, size, &count, &s);
}

size_t xvm_os_resident_ahead(const void *address, size_t size, xvm_os_ahead *ahead)
{
    (void)ahead;
    return xvm_os_resident(address, size);
}

size_t xvm_os_huge(const void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

/* --- writes that fault: none is caught ----------------------------------------------------- */

int xvm_os_open_faulted(void *address, size_t size, xvm_protection protection)
{
    (void)address;
    (void)size;
    (void)protection;
    return 0;
}

xvm_os_answer xvm_os_catch_writes(int (*handle)(const void *address))
{
    (void)handle;
    return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
}

/* --- limits and the map ----------------------------------------------------------------------- */

void xvm_os_get_system(xvm_system_info *out)
{
    out->huge_page_size = out->thp_size = fake_huge_page_size;
    out->processors = out->numa_nodes = 1;
    out->lowest_address = 1;
    out->highest_address = UINTPTR_MAX;
    out->address_bits = sizeof(void *) * 8;
    out->physical_memory = ADDRESSES;
}

xvm_os_answer xvm_os_get_limits(xvm_limits *out)
{
    size_t reservations, reserved, committed, locked;

    memset(out, 0xff, sizeof *out);
    fake_totals(&reservations, &reserved, &committed, &locked);
    out->process_reserved = reserved;
    out->process_committed = fake_data_used != 0 ? fake_data_used : committed;
    out->process_locked = locked;
    out->data_limit = fake_data_limit;
    out->headroom = ADDRESSES;
    (void)xvm_os_container(&out->container_limit, &out->container_used);
    return answer(XVM_OK, 0);
}

int xvm_os_container(uint64_t *limit, uint64_t *used)
{
    if (fake_container_limit == 0)
        return 0;
    *limit = fake_container_limit;
    *used = fake_container_used;
    return 1;
}

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    slot *s = slot_of(address);
    fake_page page = fake_page_at(address);

    if (s == NULL)
        return answer(XVM_E_SYSTEM, FAKE_NO_MEMORY);
    *out = (xvm_os_mapping){
        .base = (uintptr_t)s->base +
                (uintptr_t)((const unsigned char *)address - s->base) / s->page * s->page,
        .size = s->page,
        .state = page.state == FAKE_COMMITTED ? XVM_COMMITTED : XVM_RESERVED,
        .protection = page.protection != 0 ? (xvm_protection)page.protection : XVM_NO_ACCESS};
    return answer(XVM_OK, 0);
}

/* The slots are in no order: the lowest that was not seen comes next. */
xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    uintptr_t from = 0;

    for (;;) {
        const slot *next = NULL;
        xvm_os_mapping m;

        for (int i = 0; i < SLOTS; i++)
            if (slots[i].memory != NULL && (uintptr_t)slots[i].base >= from &&
                (next == NULL || slots[i].base < next->base))
                next = &slots[i];
        if (next == NULL)
            return answer(XVM_OK, 0);
        for (size_t at = 0; at < next->size; at += next->page)
            if (xvm_os_find_mapping(next->base + at, &m).status != XVM_OK || visit(&m, context))
                return answer(XVM_OK, 0);
        from = (uintptr_t)next->base + next->size;
    }
}

/* The words of Linux where a test looks for them, and a number for each other cause. */
xvm_os_words xvm_os_describe(xvm_os_cause cause)
{
    static char others[XVM_OS_CAUSE_EXECUTE_POLICY + 1][16];

    if (cause == XVM_OS_CAUSE_DATA_LIMIT)
        return (xvm_os_words){"RLIMIT_DATA", "raise it with ulimit -d"};
    if (cause == XVM_OS_CAUSE_BUDGET)
        return (xvm_os_words){"budget", "raise it with xvm_budget_set_limit"};
    if (cause == XVM_OS_CAUSE_CONTAINER_BUDGET)
        return (xvm_os_words){"budget", "raise what the container has"};
    snprintf(others[cause], sizeof others[cause], "limit %d", (int)cause);
    return (xvm_os_words){others[cause], "turn the knob"};
}

const char *xvm_os_code_word(void)
{
    return "code";
}

xvm_os_rules xvm_os_get_rules(void)
{
    return (xvm_os_rules){fake_commit_at_once, 0, 0};
}

xvm_os_failure *xvm_os_thread_failure(void)
{
    return &failure;
}

static size_t room[XVM_OS_THREAD_ROOM / sizeof(size_t)];
static void (*drop_room)(void *);

void *xvm_os_thread_room(void (*drop)(void *))
{
    drop_room = drop;
    return room;
}

void fake_end_thread(void)
{
    if (drop_room != NULL)
        drop_room(room);
    memset(room, 0, sizeof room);
    drop_room = NULL;
}

unsigned xvm_os_thread_number(void)
{
    return 1;
}

int xvm_os_hold_thread_number(unsigned number)
{
    return number != 1;
}

void xvm_os_free_thread_number(unsigned number)
{
    (void)number;
}

int xvm_os_fence_all_threads(void)
{
    return 0;
}

void xvm_os_pause(unsigned round)
{
    (void)round;
}

static int last_error;

int xvm_os_get_error(void)
{
    return last_error;
}

void xvm_os_set_error(int error)
{
    last_error = error;
}

void xvm_os_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before;
    (void)in_parent;
    (void)in_child;
}

uint64_t xvm_os_clock(void)
{
    return fake_slept + 1;
}

void xvm_os_sleep(unsigned milliseconds)
{
    fake_slept += milliseconds;
}

/* The fake poisons by itself: structures need not tell. */
bool xvm_os_tell_listens(void)
{
    return false;
}

void xvm_os_tell_live(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

void xvm_os_tell_fresh(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

void xvm_os_tell_dead(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

/* --- rings: memory cannot be there twice ------------------------------------------------------ */

xvm_os_answer xvm_os_map_twice(const xvm_os_share *share, xvm_os_twice *twice)
{
    (void)share;
    (void)twice;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_unmap_twice(xvm_os_twice *twice)
{
    (void)twice;
    return answer(XVM_E_UNSUPPORTED, 0);
}

void xvm_os_stop(const char *message, size_t size)
{
    fwrite(message, 1, size, stderr);
    abort();
}

/* --- shares: the memory of one place cannot be seen in another ---------------------------------- */

xvm_os_answer xvm_os_share_create(const char *name, uint64_t size, xvm_os_share *out)
{
    (void)name;
    (void)size;
    (void)out;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_share_open(const char *name, int writable, xvm_os_share *out)
{
    (void)name;
    (void)writable;
    (void)out;
    return answer(XVM_E_UNSUPPORTED, 0);
}

void xvm_os_share_close(const xvm_os_share *share, const char *name)
{
    (void)share;
    (void)name;
}

xvm_os_answer xvm_os_file_open(const char *path, xvm_file_mode mode, xvm_os_share *out)
{
    (void)path;
    (void)mode;
    (void)out;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_share_size(const xvm_os_share *share, uint64_t *size)
{
    *size = share->size;
    return answer(XVM_OK, 0);
}

xvm_os_answer xvm_os_share_resize(xvm_os_share *share, uint64_t size)
{
    (void)share;
    (void)size;
    return answer(XVM_E_UNSUPPORTED, 0);
}

int xvm_os_can_map_over(void)
{
    return 0;
}

xvm_os_answer xvm_os_map(const xvm_os_share *share, const xvm_os_view *view, void **at)
{
    (void)share;
    (void)view;
    (void)at;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_unmap(void *address, size_t size)
{
    (void)address;
    (void)size;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_unmap_over(void *address, size_t size)
{
    (void)address;
    (void)size;
    return answer(XVM_E_UNSUPPORTED, 0);
}

xvm_os_answer xvm_os_flush(const xvm_os_share *share, void *address, size_t size, int to_disk)
{
    (void)share;
    (void)address;
    (void)size;
    (void)to_disk;
    return answer(XVM_E_UNSUPPORTED, 0);
}

/* watch_fault.c - the watch by protection: pages that do not count as written are closed for writing,
 * whatever their states say, and a handler opens them at the first write.
 *
 *     writer    write --> fault    open the page, set its bit    write again
 *     look      clear the bit, close the page, report it
 *
 *   1  Closed is: the state says writable, and the bit is clear. It is written nowhere.
 *   2  The handler opens first and sets the bit then; a look clears the bit first and closes then. So
 *      there is never a page open with its bit clear, but inside of a look, which reports it. A page
 *      closed with its bit set costs a fault more.
 *   3  Under marks (see commit.c) pages are open. States and protections change together, under a lock of the
 *      watch, so that a look closes nothing that has become something else.
 *   4  The handler takes no lock and no memory. It finds a watch in a slot, and counts itself as a user of
 *      the slot while it looks at it; whoever takes the watch away waits for the users.
 *   5  Where the system refuses another mapping the handler opens all that is closed around the page,
 *      which needs none; all of that counts as written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "pages.h"
#include "range.h"
#include "watched.h"

enum { SLOTS = 1024 };

typedef struct slot {
    unsigned taken, users;
    uintptr_t from, to; /* addresses; a guess until watch has been looked at */
    xvm_os_watched *watch;
} slot;

static slot slots[SLOTS];
static size_t used; /* slots that have ever been taken */

/* --- the lock --------------------------------------------------------------------------------- */

void xvm_os_fault_lock(xvm_os_watched *w)
{
    for (unsigned round = 0; SWAP_ACQUIRE(&w->locked, 1u) != 0; round++)
        xvm_os_pause(round);
}

void xvm_os_fault_unlock(xvm_os_watched *w)
{
    STORE_RELEASE(&w->locked, 0u);
}

/* --- protections ------------------------------------------------------------------------------ */

static unsigned closed_for_writing(unsigned state)
{
    return (state & XVM_OS_STATE_PROTECTION) == XVM_READ_WRITE ? XVM_READ : XVM_READ_EXECUTE;
}

static xvm_os_answer close_run(const xvm_os_watched *w, const xvm_os_run *run)
{
    return xvm_os_protect_run(w->region, XVM_OS_WATCH, run, closed_for_writing(run->state));
}

xvm_os_answer xvm_os_fault_protect(xvm_os_watched *w, xvm_os_operation why, const xvm_os_run *run,
                                   unsigned state)
{
    xvm_os_answer answer = DONE;
    xvm_os_run part = *run;
    range r = cut(w, run->from, run->to);

    for (; part.from < run->to && answer.status == XVM_OK; part.from = part.to) {
        bool closed = part.from >= r.from && part.from < r.to &&
                      find_bit(w, part.from, part.from + 1, false) == part.from;

        if (part.from < r.from)
            part.to = is_empty(r) ? run->to : r.from;
        else
            part.to = part.from < r.to ? find_bit(w, part.from, r.to, closed) : run->to;
        answer =
            xvm_os_protect_run(w->region, why, &part, closed ? closed_for_writing(state) : state);
    }
    return answer;
}

static xvm_os_answer arm_runs(xvm_os_watched *w, range r)
{
    xvm_os_answer answer = DONE;
    xvm_os_run run, part;

    for (size_t at = r.from;
         answer.status == XVM_OK && next_run(w->region, &at, r.to, COMMITTED, &run);) {
        part = run;
        if (!is_writable(run.state))
            continue;
        for (; part.from < run.to && answer.status == XVM_OK; part.from = part.to) {
            part.from = find_bit(w, part.from, run.to, false);
            part.to = find_bit(w, part.from, run.to, true);
            if (part.from < part.to)
                answer = close_run(w, &part);
        }
    }
    return answer;
}

xvm_os_answer xvm_os_fault_arm(xvm_os_watched *w, range r)
{
    xvm_os_answer answer;

    xvm_os_fault_lock(w);
    answer = arm_runs(w, r);
    xvm_os_fault_unlock(w);
    return answer;
}

xvm_os_answer xvm_os_fault_open(xvm_os_watched *w, xvm_os_operation why, range r)
{
    xvm_os_answer answer = DONE;
    xvm_os_run run;

    for (size_t at = r.from;
         answer.status == XVM_OK && next_run(w->region, &at, r.to, COMMITTED, &run);) {
        if (!is_writable(run.state))
            continue;
        answer = xvm_os_protect_run(w->region, why, &run, run.state);
        if (answer.status == XVM_OK)
            set_bits(w, run.from, run.to);
    }
    return answer;
}

/* --- the handler ------------------------------------------------------------------------------ */

/* The bit of a page, in its word. */
IN_A_FAULT static size_t bit_of(const xvm_os_watched *w, size_t page)
{
    return (size_t)1 << (page - w->r.from) % XVM_OS_BITS;
}

IN_A_FAULT static size_t *word_of(xvm_os_watched *w, size_t page)
{
    return &w->bits[(page - w->r.from) / XVM_OS_BITS];
}

/* First open, then noted: rule 2. */
IN_A_FAULT static bool open_pages(xvm_os_watched *w, size_t from, size_t to, unsigned state)
{
    unsigned shift = w->region->own.page_shift;
    unsigned char *start = (unsigned char *)w->region->base + (from << shift);

    if (!xvm_os_open_faulted(start, (to - from) << shift,
                             (xvm_protection)(state & XVM_OS_STATE_PROTECTION)))
        return false;
    for (; from < to; from++)
        (void)ATOMIC_SET(word_of(w, from), bit_of(w, from));
    return true;
}

IN_A_FAULT static bool is_closed(xvm_os_watched *w, size_t page, unsigned state)
{
    return xvm_os_pagemap_state(w->region, page) == state &&
           (LOAD_ACQUIRE(word_of(w, page)) & bit_of(w, page)) == 0;
}

/* Rule 5. */
IN_A_FAULT static bool open_around(xvm_os_watched *w, size_t page, unsigned state)
{
    size_t from = page, to = page + 1;

    while (from > w->r.from && is_closed(w, from - 1, state))
        from--;
    while (to < w->r.to && is_closed(w, to, state))
        to++;
    return open_pages(w, from, to, state);
}

/* As a user of the slot of a watch. */
IN_A_FAULT static bool open_address(xvm_os_watched *w, uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)w->region->base;
    size_t page = (size_t)offset >> w->region->own.page_shift;
    unsigned state, protection;

    if (page < w->r.from || page >= w->r.to)
        return false;
    state = xvm_os_pagemap_state(w->region, page);
    protection = state & XVM_OS_STATE_PROTECTION;
    if (protection != XVM_READ_WRITE && protection != XVM_READ_WRITE_EXECUTE)
        return false;
    (void)ATOMIC_ADD(&w->faults, (size_t)1);
    return open_pages(w, page, page + 1, state) || open_around(w, page, state);
}

IN_A_FAULT static int on_write(const void *at)
{
    uintptr_t address = (uintptr_t)at;
    size_t count = LOAD_ACQUIRE(&used);
    bool opened = false;

    for (slot *s = slots; s < slots + count && !opened; s++) {
        xvm_os_watched *w;

        if (address < LOAD(&s->from) || address >= LOAD(&s->to))
            continue;
        (void)__atomic_add_fetch(&s->users, 1, __ATOMIC_SEQ_CST);
        w = __atomic_load_n(&s->watch, __ATOMIC_SEQ_CST);
        opened = w != NULL && open_address(w, address);
        (void)__atomic_sub_fetch(&s->users, 1, __ATOMIC_SEQ_CST);
    }
    return opened;
}

/* --- slots ------------------------------------------------------------------------------------ */

static void nothing(void)
{
}

/* None of the threads that were in the middle of a change is there, and zeros may be. */
static void renew_in_child(xvm_os_watched *w)
{
    xvm_os_run run;

    STORE(&w->locked, 0u);
    for (size_t at = w->r.from; w->region->own.fork != XVM_FORK_COPY &&
                                next_run(w->region, &at, w->r.to, COMMITTED, &run);)
        set_bits(w, run.from, run.to);
}

/* Nor is one in the handler. */
static void after_fork_in_child(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        STORE(&slots[i].users, 0u);
        if (slots[i].watch != NULL)
            renew_in_child(slots[i].watch);
    }
}

static xvm_os_answer need_handler(void)
{
    static unsigned watching;

    if (LOAD(&watching) == 0 && SWAP_ACQUIRE(&watching, 1u) == 0)
        xvm_os_watch_forks(nothing, nothing, after_fork_in_child);
    return xvm_os_catch_writes(on_write);
}

/* SIZE_MAX: all are taken. */
static size_t take_slot(void)
{
    size_t known, i = 0;

    while (i < SLOTS && SWAP_ACQUIRE(&slots[i].taken, 1u) != 0)
        i++;
    if (i == SLOTS)
        return SIZE_MAX;
    for (known = LOAD(&used); known <= i;)
        if (COMPARE_SWAP_RELEASE(&used, &known, i + 1))
            break;
    return i;
}

void xvm_os_fault_return(xvm_os_watched *w)
{
    slot *s = &slots[w->slot];
    uintptr_t base = (uintptr_t)w->region->base;

    STORE(&s->from, base + ((uintptr_t)w->r.from << w->region->own.page_shift));
    STORE(&s->to, base + ((uintptr_t)w->r.to << w->region->own.page_shift));
    __atomic_store_n(&s->watch, w, __ATOMIC_SEQ_CST);
}

void xvm_os_fault_pause(xvm_os_watched *w)
{
    slot *s = &slots[w->slot];

    STORE(&s->from, (uintptr_t)0);
    STORE(&s->to, (uintptr_t)0);
    __atomic_store_n(&s->watch, NULL, __ATOMIC_SEQ_CST);
    for (unsigned round = 0; __atomic_load_n(&s->users, __ATOMIC_SEQ_CST) != 0; round++)
        xvm_os_pause(round);
}

xvm_os_answer xvm_os_fault_enter(xvm_os_watched *w)
{
    xvm_os_answer answer = need_handler();

    if (answer.status != XVM_OK)
        return answer;
    w->slot = take_slot();
    if (w->slot == SIZE_MAX)
        return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
    xvm_os_fault_return(w);
    return DONE;
}

void xvm_os_fault_leave(size_t number)
{
    if (number != SIZE_MAX)
        STORE_RELEASE(&slots[number].taken, 0u);
}

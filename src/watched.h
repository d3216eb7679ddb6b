/* watched.h - what is known of a watched region: a bit for each page, set when it counts as written.
 *
 * Bits are set by any thread, in a fault handler too, at any time. Whoever takes one away has seen all
 * that was done before it was set.
 */
#ifndef XVM_SRC_WATCHED_H
#define XVM_SRC_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "range.h"
#include "xvm/watch.h"

enum { XVM_OS_BITS = 8 * sizeof(size_t) };

/* Lies at the start of its own reservation, the bits behind it. */
typedef struct xvm_os_watched {
    xvm_region *region;
    xvm_watch_method method;
    range r; /* pages watched */
    uint64_t looks, reported;
    size_t faults;   /* taken by the handler */
    unsigned locked; /* by protection: states and protections of pages are being changed together */
    size_t slot;     /* where the handler finds it; SIZE_MAX: it does not */
    void *os_base;
    size_t os_size;
    size_t bits[]; /* of page r.from and so on */
} xvm_os_watched;

static inline xvm_os_watched *watch_of(const xvm_region *region)
{
    return (xvm_os_watched *)LOAD_ACQUIRE(&region->own.watch);
}

/* The pages of a range that are watched. */
static inline range cut(const xvm_os_watched *w, size_t from, size_t to)
{
    from = from > w->r.from ? from : w->r.from;
    to = to < w->r.to ? to : w->r.to;
    return (range){from, to > from ? to : from};
}

/* The bits of [from, to) that are in the word of from; *next is the first page of the next word. */
static inline size_t mask_at(const xvm_os_watched *w, size_t from, size_t to, size_t *next)
{
    size_t bit = (from - w->r.from) % XVM_OS_BITS, left = to - from;
    size_t count = left < XVM_OS_BITS - bit ? left : XVM_OS_BITS - bit;

    *next = from + count;
    return (SIZE_MAX >> (XVM_OS_BITS - count)) << bit;
}

static inline size_t *word_at(xvm_os_watched *w, size_t page)
{
    return &w->bits[(page - w->r.from) / XVM_OS_BITS];
}

static inline void set_bits(xvm_os_watched *w, size_t from, size_t to)
{
    for (size_t next; from < to; from = next) {
        size_t mask = mask_at(w, from, to, &next);

        (void)ATOMIC_SET(word_at(w, from), mask);
    }
}

static inline void clear_bits(xvm_os_watched *w, size_t from, size_t to)
{
    for (size_t next; from < to; from = next) {
        size_t mask = mask_at(w, from, to, &next);

        (void)ATOMIC_CLEAR(word_at(w, from), mask);
    }
}

/* The first page of [from, to) whose bit is as wanted; to when there is none. */
static inline size_t find_bit(xvm_os_watched *w, size_t from, size_t to, bool wanted)
{
    for (size_t next; from < to; from = next) {
        size_t mask = mask_at(w, from, to, &next);
        size_t found = (LOAD_ACQUIRE(word_at(w, from)) ^ (wanted ? 0 : SIZE_MAX)) & mask;

        if (found != 0)
            return from + (size_t)__builtin_ctzll(found) - (from - w->r.from) % XVM_OS_BITS;
    }
    return to;
}

/* --- by protection (src/watch_fault.c) -------------------------------------------------------- */

/* The handler finds the watch from now on. XVM_E_UNSUPPORTED: there are too many, or there can be no
 * handler. */
xvm_os_answer xvm_os_fault_enter(xvm_os_watched *w);

/* It does not any more, and none is in the middle of that. The slot is kept for a return, which cannot
 * fail, until it is left; SIZE_MAX: there is none to leave. */
void xvm_os_fault_pause(xvm_os_watched *w);
void xvm_os_fault_return(xvm_os_watched *w);
void xvm_os_fault_leave(size_t number);

/* Held across system calls, and never while user's memory is touched. */
void xvm_os_fault_lock(xvm_os_watched *w);
void xvm_os_fault_unlock(xvm_os_watched *w);

/* Committed pages that can be written, and do not count as written, are closed for writing. */
xvm_os_answer xvm_os_fault_arm(xvm_os_watched *w, range r);

/* Pages become what their states say, and count as written. */
xvm_os_answer xvm_os_fault_open(xvm_os_watched *w, xvm_os_operation why, range r);

/* A run gets the protection of a state, but for what does not count as written, which stays closed for
 * writing. */
xvm_os_answer xvm_os_fault_protect(xvm_os_watched *w, xvm_os_operation why, const xvm_os_run *run,
                                   unsigned state);

#endif

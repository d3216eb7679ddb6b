/* range.c - looking at ranges of pages, noting what became of them, undoing. The rules are in range.h. */
#include "budget.h"
#include "lock.h"
#include "range.h"
#include "register.h"
#include "watch.h"

survey xvm_os_survey(const xvm_region *region, range r, want w)
{
    survey found = {.wanted = {r.to, r.to}};
    xvm_os_run run;

    for (size_t at = r.from; at < r.to; at = run.to) {
        run = xvm_os_pagemap_run(region, at, r.to);
        found.uncommitted |= is_wanted(UNCOMMITTED, run.state);
        found.closed |= is_wanted(INACCESSIBLE, run.state);
        found.locked |= is_wanted(LOCKED, run.state);
        found.read_only |= !is_writable(run.state);
        if (!is_wanted(w, run.state))
            continue;
        found.wanted.from = run.from < found.wanted.from ? run.from : found.wanted.from;
        found.wanted.to = run.to;
    }
    if (found.wanted.from == r.to)
        found.wanted.to = r.to;
    return found;
}

/* --- noting ----------------------------------------------------------------------------------- */

static void count(size_t *counter, bool counted, const xvm_os_run *run, bool out)
{
    size_t pages = run->to - run->from;

    if (counted)
        STORE(counter, *counter + (out ? 0 - pages : pages));
}

/* Counts a run as what it is, or takes it out of the counts. */
static void count_run(xvm_region *region, const xvm_os_run *run, bool out)
{
    count(&region->own.committed, is_wanted(COMMITTED, run->state), run, out);
    count(&region->own.locked, is_wanted(LOCKED, run->state), run, out);
    count(&region->own.guarded, is_wanted(GUARDED, run->state), run, out);
}

static void note_runs(xvm_region *region, range r, want w, unsigned keep, unsigned set)
{
    size_t at = r.from;
    xvm_os_run run;

    while (next_run(region, &at, r.to, w, &run)) {
        bool held = is_wanted(COMMITTED, run.state);

        count_run(region, &run, true);
        run.state = (run.state & keep) | set;
        count_run(region, &run, false);
        xvm_os_pagemap_set(region, run.from, run.to, run.state);
        if (held && is_wanted(UNCOMMITTED, run.state))
            xvm_os_watch_lost(region, run.from, run.to);
    }
    if (region->own.committed == 0 && region->own.guarded == 0)
        xvm_os_pagemap_restart(region);
    xvm_os_register_simple(region);
}

size_t xvm_os_note(xvm_region *region, range r, want w, unsigned keep, unsigned set)
{
    size_t before, after;

    spin_lock(&region->own.lock);
    before = region->own.committed;
    note_runs(region, r, w, keep, set);
    after = region->own.committed;
    spin_unlock(&region->own.lock);
    if (after < before && region->own.budget != NULL)
        xvm_os_budget_return(region->own.budget, (before - after) << region->own.page_shift);
    return after > before ? after - before : 0;
}

xvm_os_answer xvm_os_open_book(xvm_region *region, range r)
{
    xvm_os_book_piece piece;

    while (xvm_os_pagemap_needs(region, r.from, r.to, &piece)) {
        unsigned char *book = (unsigned char *)(void *)region->own.level[2];
        xvm_os_answer answer = xvm_os_commit(XVM_OS_BOOKKEEPING, book + piece.offset, piece.size);

        if (answer.status != XVM_OK)
            return answer;
        spin_lock(&region->own.lock);
        xvm_os_pagemap_have(region, &piece);
        spin_unlock(&region->own.lock);
    }
    return DONE;
}

/* --- undoing ---------------------------------------------------------------------------------- */

xvm_os_answer xvm_os_protect_run(const xvm_region *region, xvm_os_operation why,
                                 const xvm_os_run *run, unsigned state)
{
    return xvm_os_protect(why, address_of(region, run->from), size_of(region, run->from, run->to),
                          (xvm_protection)(state & XVM_OS_STATE_PROTECTION));
}

/* Neither done nor undone: the run is what the system says it is; other, where it does not say. Where a
 * watch closes pages that says nothing: the handler opens them, or what is still to be refused is
 * refused then. */
static void note_truth(xvm_region *region, const xvm_os_run *run, unsigned other)
{
    size_t size, at = run->from, step;

    if (xvm_os_watch_closes(region) && is_writable(run->state))
        return;
    for (; at < run->to; at += step) {
        xvm_protection found = (xvm_protection)other;

        size = xvm_os_find_protection(address_of(region, at), size_of(region, at, run->to), &found);
        step = size >> region->own.page_shift;
        step = step == 0 || step > run->to - at ? run->to - at : step;
        xvm_os_note(region, (range){at, at + step}, ANY, ~(unsigned)XVM_OS_STATE_PROTECTION,
                    (unsigned)found);
    }
}

/* A mark that could not be opened beneath is one all the same. */
static void note_refused(xvm_region *region, const xvm_os_run *run, unsigned other)
{
    if (is_wanted(GUARDED, run->state))
        xvm_os_note(region, (range){run->from, run->to}, ANY, ~0u, XVM_OS_STATE_SHUT);
    else
        note_truth(region, run, other);
}

/* What the state says of the pages themselves, also of those beneath a light guard. */
static unsigned protection_below(unsigned state)
{
    return is_wanted(MARKED, state) ? XVM_READ_WRITE : state;
}

/* What is beneath a mark is open, whatever a watch would close. */
static xvm_os_answer protect_as_noted(xvm_region *region, xvm_os_operation why,
                                      const xvm_os_run *run, unsigned state)
{
    return is_wanted(MARKED, run->state) ? xvm_os_protect_run(region, why, run, state)
                                         : xvm_os_watch_protect(region, why, run, state);
}

/* Each is tried twice, as a refusal may pass. */
xvm_os_answer xvm_os_restore_protection(xvm_region *region, xvm_os_operation why, range r,
                                        unsigned other)
{
    xvm_os_answer answer, worst = DONE;
    size_t at = r.from;
    xvm_os_run run;

    while (next_run(region, &at, r.to, USED, &run)) {
        unsigned state = protection_below(run.state);

        if ((state & XVM_OS_STATE_PROTECTION) == 0)
            continue; /* a guard that nothing can open */
        answer = protect_as_noted(region, why, &run, state);
        if (answer.status != XVM_OK)
            answer = protect_as_noted(region, why, &run, state);
        if (answer.status == XVM_OK) {
            xvm_os_note(region, (range){run.from, run.to}, SHUT, ~(unsigned)XVM_OS_STATE_SHUT, 0);
            continue;
        }
        note_refused(region, &run, other);
        worst = answer;
    }
    return worst;
}

/* Pages without access cannot be locked while they have none. */
static xvm_os_answer lock_again(xvm_region *region, const xvm_os_run *run)
{
    xvm_os_answer answer;

    if (!is_wanted(INACCESSIBLE, run->state))
        return lock_run(region, run);
    answer = xvm_os_protect_run(region, XVM_OS_LOCK, run, XVM_READ);
    if (answer.status != XVM_OK)
        return answer;
    answer = lock_run(region, run);
    (void)xvm_os_restore_protection(region, XVM_OS_LOCK, (range){run->from, run->to}, XVM_READ);
    return answer;
}

void xvm_os_restore_locks(xvm_region *region, range r)
{
    size_t at = r.from;
    xvm_os_run run;

    while (next_run(region, &at, r.to, LOCKED, &run))
        if (lock_again(region, &run).status != XVM_OK)
            xvm_os_note(region, (range){run.from, run.to}, ANY, ~(unsigned)XVM_OS_STATE_LOCKED, 0);
}

xvm_os_answer xvm_os_attach_policies(const xvm_region *region, size_t from, size_t to)
{
    xvm_os_policy policy = {.fork = (xvm_fork)region->own.fork,
                            .dump = (xvm_dump)region->own.dump,
                            .node = region->own.node,
                            .name = region->own.name};

    if (region->own.huge != XVM_HUGE_MUST_EXPLICIT) /* those are what they are */
        policy.huge = (xvm_huge)region->own.huge;
    return xvm_os_attach(address_of(region, from), size_of(region, from, to), &policy);
}

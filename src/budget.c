/* budget.c - a tree of byte counters that refuse. The picture and the rules are in xvm/budget.h.
 *
 * Counters are charged from the bottom up, without a lock; what a refusal above makes void is taken
 * back on the way down. The list of callbacks has a lock, which is not held while one of them runs:
 * a running one is counted instead, and removing it waits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "failure.h"
#include "lock.h"
#include "os.h"

enum { MARGIN = 32, MOST_TRIES = 1000, LONGEST_SLEEP = 10000 };

static unsigned retry_tries, retry_sleep;

/* --- counters --------------------------------------------------------------------------------- */

static void raise_peak(xvm_budget *b, size_t used)
{
    size_t peak = LOAD(&b->peak);

    while (peak < used && !COMPARE_SWAP(&b->peak, &peak, used))
        continue;
}

/* Bytes more than there is room for, and never 0 when a budget refuses. */
static size_t missing_in(size_t used, size_t size, size_t limit)
{
    size_t room = used < limit ? limit - used : 0;

    return size > room ? size - room : 1;
}

uint64_t xvm_os_container_room(void)
{
    uint64_t limit, used;

    if (!xvm_os_container(&limit, &used))
        return UINT64_MAX;
    used += limit / MARGIN;
    return used < limit ? limit - used : 0;
}

/* What a container has left for others than us may have become less than the limit says. */
static bool container_has(const xvm_budget *b, size_t size, size_t *missing)
{
    uint64_t room = b->own.container ? xvm_os_container_room() : UINT64_MAX;

    if (size <= room)
        return true;
    *missing = size - (size_t)room;
    return false;
}

/* One budget alone. *missing is set when it refuses. */
static bool charge_one(xvm_budget *b, size_t size, size_t *missing)
{
    size_t used = LOAD(&b->used), limit = LOAD(&b->limit);

    do {
        if (size > SIZE_MAX - used || used + size > limit) {
            *missing = missing_in(used, size, limit);
            return false;
        }
    } while (!COMPARE_SWAP(&b->used, &used, used + size));
    if (!container_has(b, size, missing)) {
        ATOMIC_SUB(&b->used, size);
        return false;
    }
    raise_peak(b, used + size);
    return true;
}

/* From one budget up to, but without, the other. */
static void return_until(xvm_budget *b, const xvm_budget *end, size_t size)
{
    for (; b != end; b = b->parent)
        ATOMIC_SUB(&b->used, size);
}

/* All of them, or none: then who refused. */
static xvm_budget *charge_all(xvm_budget *budget, size_t size, size_t *missing)
{
    for (xvm_budget *b = budget; b != NULL; b = b->parent)
        if (!charge_one(b, size, missing)) {
            return_until(budget, b, size);
            return b;
        }
    return NULL;
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* The first callback behind one that was called, or the first of all; counted as running. */
static xvm_pressure_callback *next_callback(xvm_budget *b, xvm_pressure_callback *behind)
{
    xvm_pressure_callback *next;

    spin_lock(&b->own.lock);
    next = behind == NULL ? b->own.callbacks : behind->own.next;
    if (next != NULL)
        next->own.running++;
    if (behind != NULL)
        STORE_RELEASE(&behind->own.running, behind->own.running - 1);
    spin_unlock(&b->own.lock);
    return next;
}

/* Calls all callbacks of one budget. One that is removed meanwhile keeps its place in the list until
 * it has ended. */
static bool call_all(xvm_budget *b, const xvm_pressure *what)
{
    bool any = false;

    for (xvm_pressure_callback *c = next_callback(b, NULL); c != NULL; c = next_callback(b, c)) {
        c->call(what, c->context);
        any = true;
    }
    return any;
}

/* Calls them unless this thread is in one of them already. */
static bool press(xvm_budget *b, xvm_pressure what)
{
    xvm_os_failure *thread = xvm_os_thread_failure();
    bool any;

    if (thread->pressing || LOAD(&b->own.callbacks) == NULL)
        return false;
    thread->pressing = 1;
    any = call_all(b, &what);
    thread->pressing = 0;
    return any;
}

/* After a charge was granted: whoever has just gone past its soft limit. */
static void press_softly(xvm_budget *budget, size_t size)
{
    for (xvm_budget *b = budget; b != NULL; b = b->parent) {
        size_t used = LOAD(&b->used), soft = LOAD(&b->soft_limit);

        if (used > soft && used - size <= soft)
            (void)press(b, (xvm_pressure){XVM_PRESSURE_SOFT, b, size, used - soft});
    }
}

/* The numbers behind a refusal. A budget with room enough was held against its container. */
static void note_refusal(const xvm_budget *b, size_t size)
{
    xvm_os_cause cause = b->own.container ? XVM_OS_CAUSE_CONTAINER_BUDGET : XVM_OS_CAUSE_BUDGET;
    uint64_t used = LOAD(&b->used), limit = LOAD(&b->limit);

    if (b->own.container && used <= limit && size <= limit - used &&
        xvm_os_container(&limit, &used))
        cause = XVM_OS_CAUSE_CONTAINER;
    xvm_os_note_budget(cause, b->name, limit, used);
}

/* --- what regions ask ------------------------------------------------------------------------- */

xvm_status xvm_os_budget_charge(xvm_budget *budget, size_t size)
{
    size_t missing = 0;
    xvm_budget *refuser = charge_all(budget, size, &missing);

    if (refuser != NULL &&
        press(refuser, (xvm_pressure){XVM_PRESSURE_LIMIT, refuser, size, missing}))
        refuser = charge_all(budget, size, &missing);
    if (refuser != NULL) {
        note_refusal(refuser, size);
        return XVM_E_BUDGET;
    }
    press_softly(budget, size);
    return XVM_OK;
}

void xvm_os_budget_return(xvm_budget *budget, size_t size)
{
    return_until(budget, NULL, size);
}

bool xvm_os_budget_press(xvm_budget *budget, size_t size)
{
    bool any = false;

    for (xvm_budget *b = budget; b != NULL; b = b->parent)
        any |= press(b, (xvm_pressure){XVM_PRESSURE_SYSTEM, budget, size, 0});
    return any;
}

bool xvm_os_commit_retry(unsigned round)
{
    if (round >= LOAD(&retry_tries))
        return false;
    xvm_os_sleep(LOAD(&retry_sleep));
    return true;
}

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_budget_init(xvm_budget *budget, const char *name, xvm_budget *parent, size_t limit)
{
    if (budget == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    *budget = (xvm_budget){.name = name, .parent = parent, .limit = limit, .soft_limit = SIZE_MAX};
    return XVM_OK;
}

xvm_status xvm_budget_init_container(xvm_budget *budget)
{
    uint64_t room = xvm_os_container_room();

    if (budget == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    (void)xvm_budget_init(budget, "container", NULL, room < SIZE_MAX ? (size_t)room : SIZE_MAX);
    budget->own.container = room != UINT64_MAX;
    return XVM_OK;
}

xvm_status xvm_budget_set_limit(xvm_budget *budget, size_t limit)
{
    if (budget == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    STORE(&budget->limit, limit);
    return XVM_OK;
}

xvm_status xvm_budget_set_soft_limit(xvm_budget *budget, size_t soft_limit)
{
    if (budget == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    STORE(&budget->soft_limit, soft_limit);
    return XVM_OK;
}

xvm_status xvm_budget_charge(xvm_budget *budget, size_t size)
{
    xvm_os_site site = {.call = "charge", .size = size};

    if (budget == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    return xvm_os_fail_at(&site, (xvm_os_answer){xvm_os_budget_charge(budget, size), 0});
}

xvm_status xvm_budget_return(xvm_budget *budget, size_t size)
{
    if (budget == NULL || size > LOAD(&budget->used))
        return xvm_os_fail_with(XVM_E_INVALID);
    xvm_os_budget_return(budget, size);
    return XVM_OK;
}

xvm_status xvm_budget_add_callback(xvm_budget *budget, xvm_pressure_callback *callback)
{
    xvm_pressure_callback **at;

    if (budget == NULL || callback == NULL || callback->call == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    spin_lock(&budget->own.lock);
    at = &budget->own.callbacks;
    while (*at != NULL && (*at)->priority >= callback->priority)
        at = &(*at)->own.next;
    callback->own.next = *at;
    callback->own.running = 0;
    STORE_RELEASE(at, callback);
    spin_unlock(&budget->own.lock);
    return XVM_OK;
}

/* Out of the list once nobody runs it: a running one is where its thread goes on from. */
static bool take_out(xvm_budget *budget, xvm_pressure_callback *callback, bool *found)
{
    xvm_pressure_callback **at = &budget->own.callbacks;

    while (*at != NULL && *at != callback)
        at = &(*at)->own.next;
    *found = *at != NULL;
    if (*found && callback->own.running != 0)
        return false;
    if (*found)
        STORE_RELEASE(at, callback->own.next);
    return true;
}

xvm_status xvm_budget_remove_callback(xvm_budget *budget, xvm_pressure_callback *callback)
{
    bool done = false, found = false;

    if (budget == NULL || callback == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    for (unsigned round = 0; !done; round++) {
        spin_lock(&budget->own.lock);
        done = take_out(budget, callback, &found);
        spin_unlock(&budget->own.lock);
        if (!done)
            xvm_os_pause(round);
    }
    return found ? XVM_OK : xvm_os_fail_with(XVM_E_NOT_FOUND);
}

xvm_status xvm_set_commit_retry(unsigned tries, unsigned milliseconds)
{
    if (tries > MOST_TRIES || milliseconds > LONGEST_SLEEP)
        return xvm_os_fail_with(XVM_E_INVALID);
    STORE(&retry_sleep, milliseconds);
    STORE(&retry_tries, tries);
    return XVM_OK;
}

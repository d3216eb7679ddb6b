/* access.c - what may be done with committed pages, and where they are: protect, lock, prefault, advise,
 * code. */
#include "budget.h"
#include "lock.h"
#include "range.h"
#include "watch.h"

enum { UNCHECKED = 1 << 20 }; /* bytes made resident between two looks at the container */

/* --- protect ---------------------------------------------------------------------------------- */

static bool is_executable(xvm_protection protection)
{
    return protection == XVM_READ_EXECUTE || protection == XVM_READ_WRITE_EXECUTE;
}

/* Explicit huge pages are protected as a whole. */
static bool splits_huge_page(const xvm_region *region, range r)
{
    size_t pages = (size_t)1 << (region->own.unit_shift - region->own.page_shift);

    return region->own.huge == XVM_HUGE_MUST_EXPLICIT && ((r.from | r.to) & (pages - 1)) != 0;
}

static xvm_os_answer protect_range(xvm_region *region, range r, xvm_protection protection)
{
    want others = {XVM_OS_STATE_PROTECTION, (unsigned)protection, true};
    xvm_os_run run = {r.from, r.to, (unsigned)protection};
    xvm_os_answer answer = xvm_os_watch_protect(region, XVM_OS_PROTECT, &run, run.state);

    if (answer.status != XVM_OK) {
        (void)xvm_os_restore_protection(region, XVM_OS_PROTECT, r, (unsigned)protection);
        return answer;
    }
    xvm_os_note(region, r, others, ~(unsigned)XVM_OS_STATE_PROTECTION, (unsigned)protection);
    if (is_executable(protection))
        xvm_os_flush_code(address_of(region, r.from), size_of(region, r.from, r.to));
    return DONE;
}

xvm_status xvm_protect(xvm_region *region, size_t offset, size_t size, xvm_protection protection)
{
    want others = {XVM_OS_STATE_PROTECTION, (unsigned)protection, true};
    xvm_os_answer answer;
    survey found;
    range r;

    if (!find_range(region, offset, size, WHOLE, &r) || protection < XVM_NO_ACCESS ||
        protection > XVM_READ_WRITE_EXECUTE)
        return refuse(region, "protect", XVM_OS_PROTECT, size, XVM_E_INVALID);
    found = xvm_os_survey(region, r, others);
    if (found.uncommitted)
        return refuse(region, "protect", XVM_OS_PROTECT, size, XVM_E_NOT_COMMITTED);
    if (is_empty(found.wanted))
        return XVM_OK;
    if (splits_huge_page(region, found.wanted))
        return refuse(region, "protect", XVM_OS_PROTECT, size, XVM_E_PINNED);
    xvm_os_watch_enter(region);
    answer = protect_range(region, found.wanted, protection);
    xvm_os_watch_leave(region);
    return answer_for(region, "protect", XVM_OS_PROTECT, size, answer);
}

/* Committed pages that can be touched, or why not. */
static xvm_status check_accessible(const survey *found)
{
    if (found->uncommitted)
        return XVM_E_NOT_COMMITTED;
    return found->closed ? XVM_E_PERMISSION : XVM_OK;
}

xvm_status xvm_flush_code(xvm_region *region, size_t offset, size_t size)
{
    xvm_status status = XVM_E_INVALID;
    survey found;
    range r;

    if (find_range(region, offset, size, OUTWARD, &r)) {
        found = xvm_os_survey(region, r, ANY);
        status = check_accessible(&found);
    }
    if (status != XVM_OK)
        return refuse(region, "flush_code", XVM_OS_PROTECT, size, status);
    if (size != 0)
        xvm_os_flush_code((unsigned char *)region->base + offset, size);
    return XVM_OK;
}

/* --- lock and unlock -------------------------------------------------------------------------- */

/* May so much become resident? Past the limit of a container the system does not refuse: it ends the
 * process. The look costs as much as a small call, so small ones are looked at together. */
static bool has_room(size_t size)
{
    static size_t unchecked;

    if (ATOMIC_ADD(&unchecked, size) < UNCHECKED)
        return true;
    STORE(&unchecked, (size_t)0);
    return size <= xvm_os_container_room();
}

static bool fits_container(const xvm_region *region, range r)
{
    size_t size = size_of(region, r.from, r.to);

    return has_room(size) ||
           size - xvm_os_resident(address_of(region, r.from), size) <= xvm_os_container_room();
}

/* Runs that were not locked before are not afterwards. */
static void undo_lock(xvm_region *region, range r)
{
    size_t at = r.from;
    xvm_os_run run;

    while (next_run(region, &at, r.to, UNLOCKED, &run))
        if (unlock_run(region, &run).status != XVM_OK)
            xvm_os_note(region, (range){run.from, run.to}, ANY, ~0u, XVM_OS_STATE_LOCKED);
}

static xvm_os_answer lock_range(xvm_region *region, range r)
{
    xvm_os_run run = {r.from, r.to, 0};
    xvm_os_answer answer;

    if (!fits_container(region, r))
        return (xvm_os_answer){XVM_E_COMMIT_LIMIT, 0};
    answer = lock_run(region, &run);
    if (answer.status == XVM_OK)
        xvm_os_note(region, r, UNLOCKED, ~0u, XVM_OS_STATE_LOCKED);
    else
        undo_lock(region, r);
    return answer;
}

xvm_status xvm_lock(xvm_region *region, size_t offset, size_t size)
{
    xvm_status status;
    survey found;
    range r;

    if (!find_range(region, offset, size, OUTWARD, &r))
        return refuse(region, "lock", XVM_OS_LOCK, size, XVM_E_INVALID);
    found = xvm_os_survey(region, r, UNLOCKED);
    status = check_accessible(&found);
    if (status != XVM_OK)
        return refuse(region, "lock", XVM_OS_LOCK, size, status);
    if (is_empty(found.wanted))
        return XVM_OK;
    return answer_for(region, "lock", XVM_OS_LOCK, size, lock_range(region, found.wanted));
}

xvm_status xvm_unlock(xvm_region *region, size_t offset, size_t size)
{
    xvm_os_run run;
    size_t at;
    range r;

    if (!find_range(region, offset, size, INWARD, &r))
        return refuse(region, "unlock", XVM_OS_UNLOCK, size, XVM_E_INVALID);
    for (at = r.from; next_run(region, &at, r.to, LOCKED, &run);) {
        xvm_os_answer answer = unlock_run(region, &run);

        if (answer.status != XVM_OK) {
            xvm_os_restore_locks(region, (range){r.from, run.to});
            return answer_for(region, "unlock", XVM_OS_UNLOCK, size, answer);
        }
    }
    xvm_os_note(region, r, LOCKED, ~(unsigned)XVM_OS_STATE_LOCKED, 0);
    return XVM_OK;
}

/* --- prefault and advise ---------------------------------------------------------------------- */

static xvm_os_answer prefault_range(const xvm_region *region, range r)
{
    if (!fits_container(region, r))
        return (xvm_os_answer){XVM_E_COMMIT_LIMIT, 0};
    return xvm_os_prefault(address_of(region, r.from), size_of(region, r.from, r.to));
}

xvm_status xvm_prefault(xvm_region *region, size_t offset, size_t size)
{
    survey found;
    range r;

    if (!find_range(region, offset, size, OUTWARD, &r))
        return refuse(region, "prefault", XVM_OS_PREFAULT, size, XVM_E_INVALID);
    found = xvm_os_survey(region, r, ANY);
    if (found.uncommitted)
        return refuse(region, "prefault", XVM_OS_PREFAULT, size, XVM_E_NOT_COMMITTED);
    if (is_empty(r))
        return XVM_OK;
    if (found.read_only)
        return refuse(region, "prefault", XVM_OS_PREFAULT, size, XVM_E_PERMISSION);
    return answer_for(region, "prefault", XVM_OS_PREFAULT, size, prefault_range(region, r));
}

static xvm_status check_advice(const survey *found, xvm_advice advice)
{
    if (found->uncommitted)
        return XVM_E_NOT_COMMITTED;
    if (found->locked && (advice == XVM_ADVICE_COLD || advice == XVM_ADVICE_PAGE_OUT))
        return XVM_E_PERMISSION;
    return XVM_OK;
}

xvm_status xvm_advise(xvm_region *region, size_t offset, size_t size, xvm_advice advice)
{
    xvm_status status = XVM_E_INVALID;
    survey found;
    range r;

    if (find_range(region, offset, size, OUTWARD, &r) && (unsigned)advice <= XVM_ADVICE_COLLAPSE) {
        found = xvm_os_survey(region, r, ANY);
        status = check_advice(&found, advice);
    }
    if (status != XVM_OK)
        return refuse(region, "advise", XVM_OS_ADVISE, size, status);
    if (is_empty(r))
        return XVM_OK;
    return answer_for(
        region, "advise", XVM_OS_ADVISE, size,
        xvm_os_advise(address_of(region, r.from), size_of(region, r.from, r.to), advice));
}

/* memory.c - regions by VirtualAlloc and its family.
 *
 *     reserve    VirtualAlloc(MEM_RESERVE)    64 KiB granularity; release wants the true base
 *     commit     VirtualAlloc(MEM_COMMIT)     of reserved pages only: others get a new protection
 *     decommit   VirtualFree(MEM_DECOMMIT)    never with size 0, which means the whole reservation
 *     discard    MEM_RESET, VirtualUnlock     which drops pages that are not locked from memory
 *     lock       VirtualLock; the working set grows when the quota refuses
 *     prefault   a write of nothing to each page
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "pages.h"

enum { LOCK_SLACK = 16 << 12 /* bytes: what the system keeps of a working set for itself */ };

/* --- reserve and release ---------------------------------------------------------------------- */

/* Each page remembers that it was written, from the reservation on. */
static DWORD type_of(const xvm_os_request *request)
{
    return request->watched ? MEM_RESERVE | MEM_WRITE_WATCH : MEM_RESERVE;
}

/* type: MEM_RESERVE, with MEM_TOP_DOWN or without. address 0 = anywhere. */
static xvm_os_answer reserve_at(uintptr_t address, size_t size, DWORD type, unsigned node,
                                xvm_os_place *place)
{
    void *got;
    int code = node == 0 ? xvm_os_virtual_alloc(XVM_OS_RESERVE, (void *)address, size, type,
                                                PAGE_READWRITE, &got)
                         : xvm_os_virtual_alloc_node((void *)address, size, type, node - 1, &got);

    if (code != 0)
        return xvm_os_classify(XVM_OS_RESERVE, code);
    *place = (xvm_os_place){got, got, size};
    return (xvm_os_answer){XVM_OK, 0};
}

/* A larger reservation, whose true base is kept: a reservation cannot be trimmed. */
static xvm_os_answer reserve_larger(const xvm_os_request *request, xvm_os_place *place)
{
    size_t whole, size = request->size, alignment = request->alignment;
    xvm_os_answer answer;

    if (!add_sizes(size, alignment - xvm_os_get_facts().granularity, &whole))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    answer = reserve_at(0, whole, type_of(request), request->node, place);
    if (answer.status == XVM_OK)
        place->base = (void *)round_up((uintptr_t)place->os_base, alignment);
    return answer;
}

/* The result is looked at: Wine 8 ignores parts of what VirtualAlloc2 is asked for. */
static xvm_os_answer reserve_aligned(const xvm_os_request *request, xvm_os_place *place)
{
    void *got;

    if (request->node == 0 && xvm_os_virtual_alloc_aligned(request->size, request->alignment,
                                                           type_of(request), &got) == 0) {
        *place = (xvm_os_place){got, got, request->size};
        if (is_multiple(got, request->alignment))
            return (xvm_os_answer){XVM_OK, 0};
        (void)xvm_os_virtual_free(XVM_OS_RESERVE, got, 0, MEM_RELEASE);
    }
    return reserve_larger(request, place);
}

static bool is_below(const xvm_os_request *request, uintptr_t address)
{
    return request->below == 0 ||
           (address < request->below && request->size <= request->below - address);
}

/* In the first free range that fits, from low to high. One that is taken meanwhile is left for the
 * next. */
static xvm_os_answer reserve_in_hole(const xvm_os_request *request, xvm_os_place *place)
{
    uintptr_t at = request->alignment, start;
    MEMORY_BASIC_INFORMATION found;

    while (is_below(request, at) && VirtualQuery((void *)at, &found, sizeof found) != 0) {
        uintptr_t end = (uintptr_t)found.BaseAddress + found.RegionSize;

        start = round_up(at, request->alignment);
        if (found.State == MEM_FREE && start >= at && start < end && request->size <= end - start &&
            is_below(request, start)) {
            xvm_os_answer answer =
                reserve_at(start, request->size, type_of(request), request->node, place);

            if (answer.status != XVM_E_ADDRESS_TAKEN)
                return answer;
        }
        at = end;
    }
    return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
}

/* Large pages are reserved and committed by one call. It chooses the address, or is told it exactly:
 * other wishes are looked at afterwards. */
static xvm_os_answer reserve_pinned(const xvm_os_request *request, xvm_os_place *place)
{
    xvm_os_answer answer =
        reserve_at((uintptr_t)request->address, request->size,
                   MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES, request->node, place);

    if (answer.code == ERROR_PRIVILEGE_NOT_HELD)
        return (xvm_os_answer){XVM_E_PERMISSION, answer.code};
    if (answer.code == ERROR_INVALID_PARAMETER)
        return (xvm_os_answer){XVM_E_UNSUPPORTED, answer.code};
    if (answer.status == XVM_E_ADDRESS_SPACE)
        answer.status = XVM_E_COMMIT_LIMIT;
    if (answer.status != XVM_OK)
        return answer;
    if (is_multiple(place->base, request->alignment) && is_below(request, (uintptr_t)place->base))
        return answer;
    (void)xvm_os_virtual_free(XVM_OS_RESERVE, place->base, 0, MEM_RELEASE);
    return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
}

xvm_os_answer xvm_os_reserve(const xvm_os_request *request, xvm_os_place *place)
{
    uintptr_t address = (uintptr_t)request->address;
    DWORD type = type_of(request) | (request->aside ? MEM_TOP_DOWN : 0);

    if (address != 0 && !is_below(request, address))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    if (request->node > xvm_os_count_nodes())
        return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
    if (request->pinned)
        return reserve_pinned(request, place);
    if (address != 0)
        return reserve_at(address, request->size, type_of(request), request->node, place);
    if (request->below != 0)
        return reserve_in_hole(request, place);
    if (request->alignment <= xvm_os_get_facts().granularity)
        return reserve_at(0, request->size, type, request->node, place);
    return reserve_aligned(request, place);
}

xvm_os_answer xvm_os_release(void *os_base, size_t os_size)
{
    int code = xvm_os_virtual_free(XVM_OS_RELEASE, os_base, 0, MEM_RELEASE);

    (void)os_size; /* Windows knows it, and wants 0 */
    return xvm_os_classify(XVM_OS_RELEASE, code);
}

/* --- commit and decommit ---------------------------------------------------------------------- */

xvm_os_answer xvm_os_commit(xvm_os_operation why, void *address, size_t size)
{
    void *same;

    return xvm_os_classify(
        why, xvm_os_virtual_alloc(why, address, size, MEM_COMMIT, PAGE_READWRITE, &same));
}

xvm_os_answer xvm_os_decommit(void *address, size_t size, unsigned char *renew)
{
    (void)renew; /* nothing is lost: Windows has none of these policies */
    return xvm_os_classify(XVM_OS_DECOMMIT,
                           xvm_os_virtual_free(XVM_OS_DECOMMIT, address, size, MEM_DECOMMIT));
}

/* The protection given to MEM_RESET is ignored but must be valid. Unlocking pages that are not
 * locked is answered with ERROR_NOT_LOCKED and drops them from the working set. */
xvm_os_answer xvm_os_discard(void *address, size_t size, xvm_discard_mode mode)
{
    DWORD before = GetLastError();
    void *same;
    int code =
        xvm_os_virtual_alloc(XVM_OS_DISCARD, address, size, MEM_RESET, PAGE_READWRITE, &same);

    if (code == 0 && mode == XVM_DISCARD_ZERO)
        (void)xvm_os_virtual_unlock(XVM_OS_DISCARD, address, size);
    if (code == 0)
        SetLastError(before);
    return xvm_os_classify(XVM_OS_DISCARD, code);
}

/* --- protect and lock ------------------------------------------------------------------------- */

xvm_os_answer xvm_os_protect(xvm_os_operation why, void *address, size_t size,
                             xvm_protection protection)
{
    static const DWORD flags[] = {
        [XVM_NO_ACCESS] = PAGE_NOACCESS,
        [XVM_READ] = PAGE_READONLY,
        [XVM_READ_WRITE] = PAGE_READWRITE,
        [XVM_READ_EXECUTE] = PAGE_EXECUTE_READ,
        [XVM_READ_WRITE_EXECUTE] = PAGE_EXECUTE_READWRITE,
    };

    return xvm_os_classify(why, xvm_os_virtual_protect(why, address, size, flags[protection]));
}

static xvm_protection protection_of(DWORD flags)
{
    switch (flags) {
    case PAGE_READONLY:
        return XVM_READ;
    case PAGE_READWRITE:
        return XVM_READ_WRITE;
    case PAGE_EXECUTE_READ:
        return XVM_READ_EXECUTE;
    case PAGE_EXECUTE_READWRITE:
        return XVM_READ_WRITE_EXECUTE;
    default:
        return XVM_NO_ACCESS;
    }
}

size_t xvm_os_find_protection(const void *address, size_t size, xvm_protection *protection)
{
    MEMORY_BASIC_INFORMATION found;
    size_t same;

    if (VirtualQuery(address, &found, sizeof found) == 0)
        return 0;
    *protection = protection_of(found.Protect);
    same = (size_t)((unsigned char *)found.BaseAddress + found.RegionSize -
                    (const unsigned char *)address);
    return same < size ? same : size;
}

/* A process may lock what its minimum working set holds. */
static bool grow_working_set(size_t size, SIZE_T before[2])
{
    return GetProcessWorkingSetSize(GetCurrentProcess(), &before[0], &before[1]) &&
           SetProcessWorkingSetSize(GetCurrentProcess(), before[0] + size + LOCK_SLACK,
                                    before[1] + size + LOCK_SLACK);
}

xvm_os_answer xvm_os_lock(void *address, size_t size)
{
    DWORD before = GetLastError();
    SIZE_T working_set[2];
    int code = xvm_os_virtual_lock(XVM_OS_LOCK, address, size);

    if ((code == ERROR_WORKING_SET_QUOTA || code == ERROR_NO_SYSTEM_RESOURCES) &&
        grow_working_set(size, working_set)) {
        code = xvm_os_virtual_lock(XVM_OS_LOCK, address, size);
        if (code != 0)
            SetProcessWorkingSetSize(GetCurrentProcess(), working_set[0], working_set[1]);
    }
    if (code == 0)
        SetLastError(before);
    return xvm_os_classify(XVM_OS_LOCK, code);
}

/* ERROR_NOT_LOCKED is as good as done. */
xvm_os_answer xvm_os_unlock(void *address, size_t size)
{
    DWORD before = GetLastError();
    int code = xvm_os_virtual_unlock(XVM_OS_UNLOCK, address, size);

    if (code == ERROR_NOT_LOCKED) {
        code = 0;
        SetLastError(before);
    }
    return xvm_os_classify(XVM_OS_UNLOCK, code);
}

/* --- prefault and residency ------------------------------------------------------------------- */

/* A write that changes nothing, safe beside other threads. No system call to trace, so the watch is
 * asked here. */
xvm_os_answer xvm_os_prefault(void *address, size_t size)
{
    int code = xvm_os_refused(XVM_OS_PREFAULT, "touch", size, ERROR_NOT_ENOUGH_MEMORY);
    size_t page = xvm_os_get_facts().page_size;

    for (size_t at = 0; code == 0 && at < size; at += page)
        (void)__atomic_fetch_or((unsigned char *)address + at, 0, __ATOMIC_RELAXED);
    xvm_os_made(XVM_OS_PREFAULT, "touch", address, size, code, code != 0);
    return xvm_os_classify(XVM_OS_PREFAULT, code);
}

size_t xvm_os_resident(const void *address, size_t size)
{
    const unsigned char *at = address;
    size_t page = xvm_os_get_facts().page_size, resident = 0, pages;
    DWORD before = GetLastError();

    for (size_t step; size != 0; at += step, size -= step) {
        step = size < XVM_OS_SAMPLES * page ? size : XVM_OS_SAMPLES * page;
        if (xvm_os_query_working_set(at, step, page, &pages) == 0)
            resident += pages * page;
    }
    SetLastError(before);
    return resident;
}

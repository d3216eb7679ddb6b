/* map.c - the map of the process, as Windows shows it: one VirtualQuery for each run. */
#include "call.h"

static xvm_state state_of(const MEMORY_BASIC_INFORMATION *found)
{
    if (found->State == MEM_FREE)
        return XVM_FREE;
    if (found->State == MEM_RESERVE)
        return XVM_RESERVED;
    if ((found->Protect & PAGE_GUARD) != 0)
        return XVM_GUARD;
    return found->Type == MEM_PRIVATE ? XVM_COMMITTED : XVM_MAPPED;
}

/* Pages that are copied when written can be written. */
static xvm_protection protection_of(const MEMORY_BASIC_INFORMATION *found)
{
    if (found->State != MEM_COMMIT || (found->Protect & PAGE_GUARD) != 0)
        return XVM_NO_ACCESS;
    switch (found->Protect & 0xff) { /* the bits above are no protection */
    case PAGE_READONLY:
        return XVM_READ;
    case PAGE_READWRITE:
    case PAGE_WRITECOPY:
        return XVM_READ_WRITE;
    case PAGE_EXECUTE:
    case PAGE_EXECUTE_READ:
        return XVM_READ_EXECUTE;
    case PAGE_EXECUTE_READWRITE:
    case PAGE_EXECUTE_WRITECOPY:
        return XVM_READ_WRITE_EXECUTE;
    default:
        return XVM_NO_ACCESS;
    }
}

static uintptr_t end_of(const MEMORY_BASIC_INFORMATION *found)
{
    return (uintptr_t)found->BaseAddress + found->RegionSize;
}

static xvm_os_answer answered(int code)
{
    if (code == 0)
        return (xvm_os_answer){XVM_OK, 0};
    return (xvm_os_answer){code == ERROR_INVALID_PARAMETER ? XVM_E_INVALID : XVM_E_SYSTEM, code};
}

static void describe(const MEMORY_BASIC_INFORMATION *found, uintptr_t start, xvm_os_mapping *out)
{
    *out = (xvm_os_mapping){.base = start,
                            .size = end_of(found) - start,
                            .state = state_of(found),
                            .protection = protection_of(found)};
}

/* --- one run ---------------------------------------------------------------------------------- */

/* A question is answered from the page of the address on: the runs before it in its reservation say
 * where its own begins. */
static int find_run_start(const MEMORY_BASIC_INFORMATION *at, uintptr_t *start)
{
    MEMORY_BASIC_INFORMATION found = *at;
    int code = 0;

    for (*start = (uintptr_t)at->AllocationBase; code == 0; *start = end_of(&found)) {
        code = xvm_os_virtual_query((const void *)*start, &found);
        if (code == 0 && end_of(&found) > (uintptr_t)at->BaseAddress)
            break;
    }
    return code;
}

/* Holes are in no reservation. All from high to the address is free; what is below low does not
 * matter. */
static int find_piece_start(const MEMORY_BASIC_INFORMATION *at, uintptr_t *start)
{
    uintptr_t page = xvm_os_get_facts().page_size, low = 0;
    MEMORY_BASIC_INFORMATION found;
    int code = 0;

    for (*start = (uintptr_t)at->BaseAddress; low < *start && code == 0;) {
        uintptr_t middle = (low + (*start - low) / 2) & ~(page - 1);

        code = xvm_os_virtual_query((const void *)middle, &found);
        if (code == 0 && end_of(&found) > (uintptr_t)at->BaseAddress)
            *start = middle;
        else if (code == 0)
            low = end_of(&found);
    }
    return code;
}

/* Wine shows a hole in pieces where its own limits lie in it. */
static int find_hole(MEMORY_BASIC_INFORMATION *found, uintptr_t *start)
{
    MEMORY_BASIC_INFORMATION next = *found;
    int code = find_piece_start(found, start);

    while (code == 0 && *start != 0) {
        code = xvm_os_virtual_query((const void *)(*start - 1), &next);
        if (code != 0 || next.State != MEM_FREE)
            break;
        code = find_piece_start(&next, start);
    }
    while (code == 0) {
        if (xvm_os_virtual_query((const void *)end_of(found), &next) != 0 || next.State != MEM_FREE)
            break; /* or the last address */
        found->RegionSize += next.RegionSize;
    }
    return code;
}

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    DWORD before = GetLastError();
    MEMORY_BASIC_INFORMATION found;
    uintptr_t start = 0;
    int code = xvm_os_virtual_query(address, &found);

    if (code == 0)
        code = found.State == MEM_FREE ? find_hole(&found, &start) : find_run_start(&found, &start);
    if (code != 0)
        return answered(code);
    describe(&found, start, out);
    SetLastError(before);
    return answered(0);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Behind the last address it ends by an invalid one. */
xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    DWORD before = GetLastError();
    MEMORY_BASIC_INFORMATION found;
    uintptr_t at = 0;
    xvm_os_mapping m;
    int code;

    for (;; at = m.base + m.size) {
        code = xvm_os_virtual_query((const void *)at, &found);
        if (code != 0 || end_of(&found) <= at)
            break;
        describe(&found, at, &m);
        if (m.state != XVM_FREE && visit(&m, context) != 0)
            break;
    }
    if (code != 0 && code != ERROR_INVALID_PARAMETER)
        return answered(code);
    SetLastError(before);
    return answered(0);
}

/* --- what is in memory ------------------------------------------------------------------------ */

size_t xvm_os_huge(const void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

size_t xvm_os_resident_ahead(const void *address, size_t size, xvm_os_ahead *ahead)
{
    (void)ahead;
    return xvm_os_resident(address, size);
}

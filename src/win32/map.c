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

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    MEMORY_BASIC_INFORMATION found;
    int code = xvm_os_virtual_query(address, &found);

    if (code != 0)
        return (xvm_os_answer){code == ERROR_INVALID_PARAMETER ? XVM_E_INVALID : XVM_E_SYSTEM,
                               code};
    *out = (xvm_os_mapping){.base = (uintptr_t)found.BaseAddress,
                            .size = found.RegionSize,
                            .state = state_of(&found),
                            .protection = protection_of(&found)};
    return (xvm_os_answer){XVM_OK, 0};
}

/* Behind the last address it ends by an invalid one. */
xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    DWORD before = GetLastError();
    xvm_os_mapping m = {.base = 0, .size = 0, .state = XVM_FREE, .protection = XVM_NO_ACCESS};
    xvm_os_answer answer;

    for (;;) {
        uintptr_t next = m.base + m.size;

        answer = xvm_os_find_mapping((const void *)next, &m);
        if (answer.status != XVM_OK || m.base + m.size <= next)
            break;
        if (m.state != XVM_FREE && visit(&m, context) != 0)
            break;
    }
    if (answer.status == XVM_E_INVALID)
        answer = (xvm_os_answer){XVM_OK, 0};
    if (answer.status == XVM_OK)
        SetLastError(before);
    return answer;
}

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

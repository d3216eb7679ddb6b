/* call.c - one function for each system call: ask the watch, make it, tell the watch.
 *
 * Calls newer than Windows 7 are looked up at run time: linking one keeps the program from starting
 * where it is missing, and a version number says nothing about it.
 */
#include <stddef.h>
#include <stdint.h>

#include "call.h"

int xvm_os_virtual_alloc(xvm_os_operation why, void *address, size_t size, DWORD type,
                         DWORD protection, void **got)
{
    DWORD before = GetLastError();
    DWORD injected = refused(why, "VirtualAlloc", size, ERROR_COMMITMENT_LIMIT);
    void *at;

    if (injected != 0)
        return told(why, "VirtualAlloc", address, size, injected, before, 1);
    at = VirtualAlloc(address, size, type, protection);
    if (at == NULL)
        return told(why, "VirtualAlloc", address, size, failure(), before, 0);
    *got = at;
    return told(why, "VirtualAlloc", at, size, 0, before, 0);
}

int xvm_os_virtual_alloc_node(void *address, size_t size, DWORD type, unsigned node, void **got)
{
    DWORD before = GetLastError();
    DWORD injected = refused(XVM_OS_RESERVE, "VirtualAllocExNuma", size, ERROR_NOT_ENOUGH_MEMORY);
    void *at;

    if (injected != 0)
        return told(XVM_OS_RESERVE, "VirtualAllocExNuma", address, size, injected, before, 1);
    at = VirtualAllocExNuma(GetCurrentProcess(), address, size, type, PAGE_READWRITE, node);
    if (at == NULL)
        return told(XVM_OS_RESERVE, "VirtualAllocExNuma", address, size, failure(), before, 0);
    *got = at;
    return told(XVM_OS_RESERVE, "VirtualAllocExNuma", at, size, 0, before, 0);
}

/* MEM_EXTENDED_PARAMETER and MEM_ADDRESS_REQUIREMENTS as documented, because older headers lack
 * them. */
typedef struct address_requirements {
    void *lowest, *highest;
    SIZE_T alignment;
} address_requirements;

typedef struct extended_parameter {
    DWORD64 type; /* the low eight bits: 1 = address requirements */
    union {
        DWORD64 number;
        void *pointer;
    } value;
} extended_parameter;

typedef void *(WINAPI *virtual_alloc2)(HANDLE, void *, SIZE_T, ULONG, ULONG, extended_parameter *,
                                       ULONG);
typedef BOOL(WINAPI *prefetch)(HANDLE, ULONG_PTR, void *, ULONG);

/* A function that older systems lack; the caller reads the member of its type. */
typedef union newer {
    FARPROC found;
    virtual_alloc2 virtual_alloc2;
    prefetch prefetch;
} newer;

FARPROC xvm_os_find_newer(const char *name)
{
    HMODULE module = GetModuleHandleA("kernelbase.dll");

    return module != NULL ? GetProcAddress(module, name) : NULL;
}

static newer find_newer(const char *name)
{
    return (newer){xvm_os_find_newer(name)};
}

int xvm_os_virtual_alloc_aligned(size_t size, size_t alignment, DWORD type, void **got)
{
    DWORD before = GetLastError();
    DWORD injected = refused(XVM_OS_RESERVE, "VirtualAlloc2", size, ERROR_NOT_ENOUGH_MEMORY);
    address_requirements wish = {NULL, NULL, alignment};
    extended_parameter parameter = {1, {0}};
    virtual_alloc2 call = find_newer("VirtualAlloc2").virtual_alloc2;
    void *at;

    if (injected != 0)
        return told(XVM_OS_RESERVE, "VirtualAlloc2", NULL, size, injected, before, 1);
    if (call == NULL)
        return ERROR_CALL_NOT_IMPLEMENTED;
    parameter.value.pointer = &wish;
    at = call(GetCurrentProcess(), NULL, size, type, PAGE_READWRITE, &parameter, 1);
    if (at == NULL)
        return told(XVM_OS_RESERVE, "VirtualAlloc2", NULL, size, failure(), before, 0);
    *got = at;
    return told(XVM_OS_RESERVE, "VirtualAlloc2", at, size, 0, before, 0);
}

int xvm_os_virtual_free(xvm_os_operation why, void *address, size_t size, DWORD type)
{
    DWORD before = GetLastError();
    DWORD code = refused(why, "VirtualFree", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected && !VirtualFree(address, size, type))
        code = failure();
    return told(why, "VirtualFree", address, size, code, before, injected);
}

int xvm_os_virtual_protect(xvm_os_operation why, void *address, size_t size, DWORD protection)
{
    DWORD before = GetLastError(), old;
    DWORD code = refused(why, "VirtualProtect", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected && !VirtualProtect(address, size, protection, &old))
        code = failure();
    return told(why, "VirtualProtect", address, size, code, before, injected);
}

int xvm_os_virtual_lock(xvm_os_operation why, void *address, size_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(why, "VirtualLock", size, ERROR_WORKING_SET_QUOTA);
    int injected = code != 0;

    if (!injected && !VirtualLock(address, size))
        code = failure();
    return told(why, "VirtualLock", address, size, code, before, injected);
}

int xvm_os_virtual_unlock(xvm_os_operation why, void *address, size_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(why, "VirtualUnlock", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected && !VirtualUnlock(address, size))
        code = failure();
    return told(why, "VirtualUnlock", address, size, code, before, injected);
}

int xvm_os_prefetch(void *address, size_t size)
{
    struct {
        void *address;
        SIZE_T size;
    } range = {address, size}; /* WIN32_MEMORY_RANGE_ENTRY */
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_ADVISE, "PrefetchVirtualMemory", size, ERROR_NOT_ENOUGH_MEMORY);
    prefetch call = find_newer("PrefetchVirtualMemory").prefetch;
    int injected = code != 0;

    if (!injected && call == NULL)
        return ERROR_CALL_NOT_IMPLEMENTED;
    if (!injected && !call(GetCurrentProcess(), 1, &range, 0))
        code = failure();
    return told(XVM_OS_ADVISE, "PrefetchVirtualMemory", address, size, code, before, injected);
}

/* PSAPI_WORKING_SET_EX_INFORMATION: an address, and flags of which bit 0 says that the page is in
 * memory. */
typedef struct page_sample {
    const void *address;
    ULONG_PTR flags;
} page_sample;

BOOL WINAPI K32QueryWorkingSetEx(HANDLE process, void *samples, DWORD size);

int xvm_os_query_working_set(const void *address, size_t size, size_t page, size_t *resident)
{
    page_sample samples[XVM_OS_SAMPLES];
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_QUERY, "QueryWorkingSetEx", size, ERROR_NOT_ENOUGH_MEMORY);
    size_t count = size / page < XVM_OS_SAMPLES ? size / page : XVM_OS_SAMPLES;
    int injected = code != 0;

    for (size_t i = 0; i < count; i++)
        samples[i] = (page_sample){(const unsigned char *)address + i * page, 0};
    if (!injected &&
        !K32QueryWorkingSetEx(GetCurrentProcess(), samples, (DWORD)(count * sizeof *samples)))
        code = failure();
    *resident = 0;
    for (size_t i = 0; code == 0 && i < count; i++)
        *resident += samples[i].flags & 1;
    return told(XVM_OS_QUERY, "QueryWorkingSetEx", address, size, code, before, injected);
}

int xvm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *found)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_QUERY, "VirtualQuery", 0, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected && VirtualQuery(address, found, sizeof *found) == 0)
        code = failure();
    return told(XVM_OS_QUERY, "VirtualQuery", address, 0, code, before, injected);
}

int xvm_os_get_write_watch(int renews, void *address, size_t size, void **pages, ULONG_PTR *count)
{
    DWORD before = GetLastError(), unit;
    DWORD code = refused(XVM_OS_WATCH, "GetWriteWatch", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected &&
        GetWriteWatch(renews ? WRITE_WATCH_FLAG_RESET : 0, address, size, pages, count, &unit) != 0)
        code = failure();
    return told(XVM_OS_WATCH, "GetWriteWatch", address, size, code, before, injected);
}

int xvm_os_reset_write_watch(void *address, size_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_WATCH, "ResetWriteWatch", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected && ResetWriteWatch(address, size) != 0)
        code = failure();
    return told(XVM_OS_WATCH, "ResetWriteWatch", address, size, code, before, injected);
}

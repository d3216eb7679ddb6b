/* info.c - facts of the machine. */
#include "call.h"

/* Discarded pages may keep their old bytes (MEM_RESET), so zeros are not promised. */
xvm_os_facts xvm_os_get_facts(void)
{
    static size_t page_size, granularity;
    size_t page = __atomic_load_n(&page_size, __ATOMIC_ACQUIRE);

    if (page == 0) {
        SYSTEM_INFO info;

        GetSystemInfo(&info);
        page = info.dwPageSize;
        __atomic_store_n(&granularity, (size_t)info.dwAllocationGranularity, __ATOMIC_RELAXED);
        __atomic_store_n(&page_size, page, __ATOMIC_RELEASE);
    }
    return (xvm_os_facts){.page_size = page,
                          .granularity = __atomic_load_n(&granularity, __ATOMIC_RELAXED),
                          .discard_zeroes = 0};
}

unsigned xvm_os_count_nodes(void)
{
    ULONG highest;

    return GetNumaHighestNodeNumber(&highest) ? (unsigned)highest + 1 : 1;
}

void xvm_os_flush_code(void *address, size_t size)
{
    FlushInstructionCache(GetCurrentProcess(), address, size);
}

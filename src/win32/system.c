/* system.c - what Windows says of the machine once, and what it can do: tried, where it can be.
 */
#include <string.h>

#include "call.h"

#include <psapi.h>

/* --- trials ----------------------------------------------------------------------------------- */

static int can_execute(size_t size)
{
    void *page = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    DWORD old;
    int works = page != NULL && VirtualProtect(page, size, PAGE_EXECUTE_READ, &old);

    if (page != NULL)
        (void)VirtualFree(page, 0, MEM_RELEASE);
    return works;
}

/* It takes the privilege and a free large page. */
static int has_explicit_huge(size_t size)
{
    void *page = NULL;

    if (size != 0)
        page = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES, PAGE_READWRITE);
    if (page != NULL)
        (void)VirtualFree(page, 0, MEM_RELEASE);
    return page != NULL;
}

static int can_prefer_node(size_t size)
{
    void *page =
        VirtualAllocExNuma(GetCurrentProcess(), NULL, size, MEM_RESERVE, PAGE_READWRITE, 0);

    if (page != NULL)
        (void)VirtualFree(page, 0, MEM_RELEASE);
    return page != NULL;
}

/* Is a limit that a job is given the one that it says it has? Wine accepts it and says 0. */
static int knows_jobs(size_t size)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit;
    HANDLE job = CreateJobObjectA(NULL, NULL);
    int works;

    memset(&limit, 0, sizeof limit);
    limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
    limit.ProcessMemoryLimit = size;
    works = job != NULL &&
            SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof limit);
    memset(&limit, 0, sizeof limit);
    works = works && QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limit,
                                               sizeof limit, NULL);
    if (job != NULL)
        (void)CloseHandle(job);
    return works && limit.ProcessMemoryLimit == size;
}

/* Commit charge that is counted is enforced; see limits.c for 0. */
static uint64_t try_counters(void)
{
    PROCESS_MEMORY_COUNTERS_EX counters = {.cb = sizeof counters};

    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), (PROCESS_MEMORY_COUNTERS *)&counters,
                                 sizeof counters))
        return 0;
    return (counters.PrivateUsage != 0 ? XVM_HAS_STRICT_COMMIT : 0u) |
           (counters.PageFaultCount != 0 ? XVM_HAS_FAULT_COUNTS : 0u);
}

static uint64_t try_all(const xvm_system_info *info)
{
    uint64_t features = try_counters();

    features |= can_execute(info->page_size) ? XVM_HAS_EXECUTE : 0;
    features |= can_prefer_node(info->allocation_granularity) ? XVM_HAS_NUMA : 0;
    features |= has_explicit_huge(info->huge_page_size) ? XVM_HAS_EXPLICIT_HUGE : 0;
    features |= knows_jobs((size_t)1 << 30) ? XVM_HAS_CONTAINER : 0;
    return features;
}

/* --- the interface ---------------------------------------------------------------------------- */

static void read_machine(xvm_system_info *out)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    DWORD processors = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    out->lowest_address = (uintptr_t)info.lpMinimumApplicationAddress;
    out->highest_address = (uintptr_t)info.lpMaximumApplicationAddress;
    out->address_bits = 64 - (unsigned)__builtin_clzll(out->highest_address);
    out->processors = processors != 0 ? processors : info.dwNumberOfProcessors;
    if (GlobalMemoryStatusEx(&status))
        out->physical_memory = status.ullTotalPhys;
}

void xvm_os_get_system(xvm_system_info *out)
{
    DWORD before = GetLastError();

    read_machine(out);
    out->numa_nodes = xvm_os_count_nodes();
    out->huge_page_size = GetLargePageMinimum();
    out->features = try_all(out);
    SetLastError(before);
}

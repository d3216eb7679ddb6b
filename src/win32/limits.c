/* limits.c - every limit that Windows tells.
 *
 *     GlobalMemoryStatusEx         the machine, and the address space of this process
 *     GetPerformanceInfo           commit charge and limit of the system
 *     QueryInformationJobObject    the container: the job this process is in, not those around it
 *     GetProcessMemoryInfo         commit charge, working set and faults of this process
 *     GetProcessWorkingSetSize     how much may be locked: about the minimum of the working set
 *
 * A process without any commit charge does not exist: where it is said to be 0, as by Wine, commit
 * charge is not counted, and what depends on it is not known.
 */
#include <string.h>

#include "call.h"

#include <psapi.h>

/* --- the process ------------------------------------------------------------------------------ */

static uint64_t unless_zero(uint64_t value)
{
    return value != 0 ? value : UINT64_MAX;
}

static uint64_t count_own_commit(void)
{
    PROCESS_MEMORY_COUNTERS_EX counters = {.cb = sizeof counters};

    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), (PROCESS_MEMORY_COUNTERS *)&counters,
                                 sizeof counters))
        return UINT64_MAX;
    return unless_zero(counters.PrivateUsage);
}

/* Faults are not told apart: major ones are among the minor ones. */
static void read_process(xvm_limits *out)
{
    PROCESS_MEMORY_COUNTERS_EX counters = {.cb = sizeof counters};
    SIZE_T least, most;

    if (K32GetProcessMemoryInfo(GetCurrentProcess(), (PROCESS_MEMORY_COUNTERS *)&counters,
                                sizeof counters)) {
        out->process_resident = counters.WorkingSetSize;
        out->process_committed = unless_zero(counters.PrivateUsage);
        out->minor_faults = unless_zero(counters.PageFaultCount);
    }
    if (GetProcessWorkingSetSize(GetCurrentProcess(), &least, &most))
        out->lock_limit = least;
}

/* --- the machine ------------------------------------------------------------------------------ */

/* After read_process. Wine takes the working set for what is reserved. */
static void read_machine(const MEMORYSTATUSEX *status, xvm_limits *out)
{
    out->physical_total = status->ullTotalPhys;
    out->physical_available = status->ullAvailPhys;
    out->headroom = status->ullAvailPageFile;
    out->address_space_limit = status->ullTotalVirtual;
    if (out->process_committed != UINT64_MAX)
        out->process_reserved = status->ullTotalVirtual - status->ullAvailVirtual;
}

static void read_commit(xvm_limits *out)
{
    PERFORMANCE_INFORMATION info = {.cb = sizeof info};

    if (!K32GetPerformanceInfo(&info, sizeof info))
        return;
    out->commit_limit = (uint64_t)info.CommitLimit * info.PageSize;
    out->commit_used = (uint64_t)info.CommitTotal * info.PageSize;
}

/* --- the job ---------------------------------------------------------------------------------- */

/* JobObjectMemoryUsageInformation, which headers lack and systems before Windows 10 do. */
enum { MEMORY_USAGE = 28 };
typedef struct memory_usage {
    ULONG64 now, peak;
} memory_usage;

/* What the whole job has committed; where that is not told, what we have. */
static uint64_t count_commit_of_job(void)
{
    memory_usage usage;

    if (QueryInformationJobObject(NULL, (JOBOBJECTINFOCLASS)MEMORY_USAGE, &usage, sizeof usage,
                                  NULL))
        return usage.now;
    return count_own_commit();
}

static uint64_t room_of(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* Use that is not known is none. */
static void offer(uint64_t limit, uint64_t used, int *found, uint64_t *best, uint64_t *best_used)
{
    used = used != UINT64_MAX ? used : 0;
    if (*found && room_of(limit, used) >= room_of(*best, *best_used))
        return;
    *found = 1;
    *best = limit;
    *best_used = used;
}

int xvm_os_container(uint64_t *limit, uint64_t *used)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job;
    DWORD before = GetLastError(), flags = 0;
    int found = 0;

    memset(&job, 0, sizeof job);
    if (QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL))
        flags = job.BasicLimitInformation.LimitFlags;
    if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
        offer(job.ProcessMemoryLimit, count_own_commit(), &found, limit, used);
    if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY)
        offer(job.JobMemoryLimit, count_commit_of_job(), &found, limit, used);
    SetLastError(before);
    return found;
}

/* --- the interface ---------------------------------------------------------------------------- */

xvm_os_answer xvm_os_get_limits(xvm_limits *out)
{
    DWORD before = GetLastError();
    MEMORYSTATUSEX status = {.dwLength = sizeof status};

    memset(out, 0xff, sizeof *out);
    if (!GlobalMemoryStatusEx(&status))
        return (xvm_os_answer){XVM_E_SYSTEM, (int)GetLastError()};
    read_process(out);
    read_machine(&status, out);
    read_commit(out);
    (void)xvm_os_container(&out->container_limit, &out->container_used);
    SetLastError(before);
    return (xvm_os_answer){XVM_OK, 0};
}

/* provoke.c - the limits of a Windows process, lowered by itself and met. Wine keeps to none of
 * them: there they cannot be had. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "../system.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20 };

/* A job that this process puts itself into, with room for bytes more. It cannot leave it: last. */
static bool meet_job_limit(void)
{
    xvm_reserve_options options = {.name = "entities"};
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    HANDLE job = CreateJobObjectA(NULL, NULL);
    xvm_status status = XVM_OK;
    xvm_region r;

    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
    limits.ProcessMemoryLimit = 128 * (size_t)MiB;
    if (job == NULL ||
        !SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits) ||
        !AssignProcessToJobObject(job, GetCurrentProcess()) ||
        xvm_reserve(&r, 256 * (size_t)MiB, &options) != XVM_OK)
        return false;
    for (size_t at = 0; at < r.size && status == XVM_OK; at += 8 * MiB)
        status = xvm_commit(&r, at, 8 * MiB);
    (void)xvm_release(&r);
    return status != XVM_OK;
}

const provocation system_provocations[] = {
    {"more than the job object allows", meet_job_limit},
};
const size_t system_provocation_count = sizeof system_provocations / sizeof *system_provocations;

/* cause.c - what Windows calls its limits, which knobs it has for them, and how it decides. */
#include "call.h"

xvm_os_words xvm_os_describe(xvm_os_cause cause)
{
    static const xvm_os_words words[] = {
        [XVM_OS_CAUSE_UNKNOWN] = {"a limit", "xvm_get_limits tells how close each one is"},
        [XVM_OS_CAUSE_ADDRESS_SPACE_LIMIT] = {"the address space limit", "ask for less"},
        [XVM_OS_CAUSE_DATA_LIMIT] = {"the memory limit of the process", "raise it in its job"},
        [XVM_OS_CAUSE_LARGER_THAN_MEMORY] = {"the sum of RAM and page files",
                                             "let the page file grow, or commit less"},
        [XVM_OS_CAUSE_COMMIT_LIMIT] = {"the commit limit of the system, RAM and page files,",
                                       "let the page file grow, and xvm_set_commit_retry wait for "
                                       "it"},
        [XVM_OS_CAUSE_CONTAINER] = {"the memory limit of the job object",
                                    "raise ProcessMemoryLimit or JobMemoryLimit, or --memory of "
                                    "docker"},
        [XVM_OS_CAUSE_BUDGET] = {"budget", "raise it with xvm_budget_set_limit"},
        [XVM_OS_CAUSE_CONTAINER_BUDGET] = {"budget", "that is what the job object had left: raise "
                                                     "ProcessMemoryLimit or JobMemoryLimit"},
        [XVM_OS_CAUSE_LOCK_LIMIT] = {"the minimum working set",
                                     "raise it with SetProcessWorkingSetSize, or the quota of the "
                                     "job"},
        [XVM_OS_CAUSE_LOCK_FORBIDDEN] = {"the minimum working set",
                                         "raise it with SetProcessWorkingSetSize"},
        [XVM_OS_CAUSE_LOCKED_FUTURE] = {"the limit for locked memory", "lock less"},
        [XVM_OS_CAUSE_MAPPINGS] = {"the limit for mappings",
                                   "commit neighbouring pages, or reserve with XVM_COMMIT_SPARSE"},
        [XVM_OS_CAUSE_ADDRESS_BITS] = {"the address space of a process", "ask for less"},
        [XVM_OS_CAUSE_NO_HOLE] = {"the largest hole in the address space",
                                  "ask for less, or set min_size"},
        [XVM_OS_CAUSE_NO_PLACE] = {"no hole of that size and alignment lies where it is wanted",
                                   "ask for less alignment, or for a higher upper bound (below)"},
        [XVM_OS_CAUSE_TAKEN] = {"something else is there",
                                "choose another address, or NULL for any"},
        [XVM_OS_CAUSE_HUGE_POOL] = {"there is no run of free memory for large pages",
                                    "reserve early, or with XVM_HUGE_TRY_EXPLICIT"},
        [XVM_OS_CAUSE_HUGE_PRIVILEGE] = {"large pages need the privilege SeLockMemoryPrivilege",
                                         "grant \"Lock pages in memory\" to the user, and enable "
                                         "it"},
        [XVM_OS_CAUSE_EXECUTE_POLICY] = {"a policy forbids executable pages",
                                         "see ProcessDynamicCodePolicy (Arbitrary Code Guard)"},
    };

    return words[cause];
}

const char *xvm_os_code_word(void)
{
    return "error";
}

/* Whatever is free, a commit larger than RAM and page files together is refused; Wine, too, does so,
 * and tells nothing else. */
xvm_os_rules xvm_os_get_rules(void)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    DWORD before = GetLastError();
    uint64_t most = GlobalMemoryStatusEx(&status) ? status.ullTotalPageFile : UINT64_MAX;

    SetLastError(before);
    return (xvm_os_rules){most, 1, 0};
}

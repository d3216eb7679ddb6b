/* cause_linux.c - what Linux calls its limits, which knobs it has for them, and how it decides. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "os.h"
#include "read.h"

enum { HEURISTIC = 0, STRICT = 2 }; /* vm.overcommit_memory */

xvm_os_words xvm_os_describe(xvm_os_cause cause)
{
    static const xvm_os_words words[] = {
        [XVM_OS_CAUSE_UNKNOWN] = {"a limit", "xvm_get_limits tells how close each one is"},
        [XVM_OS_CAUSE_ADDRESS_SPACE_LIMIT] = {"RLIMIT_AS", "raise it with ulimit -v"},
        [XVM_OS_CAUSE_DATA_LIMIT] = {"RLIMIT_DATA", "raise it with ulimit -d"},
        [XVM_OS_CAUSE_LARGER_THAN_MEMORY] = {"the sum of RAM and swap",
                                             "no single commit may be larger: commit in smaller "
                                             "pieces, or set vm.overcommit_memory=1"},
        [XVM_OS_CAUSE_COMMIT_LIMIT] = {"CommitLimit, which vm.overcommit_memory=2 enforces,",
                                       "raise vm.overcommit_ratio, or add swap"},
        [XVM_OS_CAUSE_CONTAINER] = {"the container's memory limit",
                                    "raise memory.max (cgroup v1: memory.limit_in_bytes), or "
                                    "--memory of docker"},
        [XVM_OS_CAUSE_BUDGET] = {"budget", "raise it with xvm_budget_set_limit"},
        [XVM_OS_CAUSE_CONTAINER_BUDGET] =
            {"budget", "that is what the container had left: raise memory.max "
                       "(cgroup v1: memory.limit_in_bytes), or --memory of docker"},
        [XVM_OS_CAUSE_LOCK_LIMIT] = {"RLIMIT_MEMLOCK", "raise it with ulimit -l"},
        [XVM_OS_CAUSE_LOCK_FORBIDDEN] = {"RLIMIT_MEMLOCK", "nothing can be locked without "
                                                           "CAP_IPC_LOCK: raise it with ulimit -l"},
        [XVM_OS_CAUSE_LOCKED_FUTURE] = {"mlockall(MCL_FUTURE) locks all that is mapped, and "
                                        "RLIMIT_MEMLOCK",
                                        "call munlockall, or raise it with ulimit -l"},
        [XVM_OS_CAUSE_MAPPINGS] = {"vm.max_map_count", "raise it with sysctl -w, or reserve with "
                                                       "XVM_COMMIT_SPARSE"},
        [XVM_OS_CAUSE_ADDRESS_BITS] = {"the address space of a process", "ask for less"},
        [XVM_OS_CAUSE_NO_HOLE] = {"the largest hole in the address space",
                                  "ask for less, or set min_size"},
        [XVM_OS_CAUSE_NO_PLACE] = {"no hole of that size and alignment lies where it is wanted",
                                   "ask for less alignment, or for a higher upper bound (below)"},
        [XVM_OS_CAUSE_TAKEN] = {"something else is there",
                                "choose another address, or NULL for any"},
        [XVM_OS_CAUSE_HUGE_POOL] = {"the pool has too few explicit huge pages that are free",
                                    "raise vm.nr_hugepages, or reserve with XVM_HUGE_TRY_EXPLICIT"},
        [XVM_OS_CAUSE_HUGE_PRIVILEGE] = {"explicit huge pages need a privilege",
                                         "join the group of vm.hugetlb_shm_group, or get "
                                         "CAP_IPC_LOCK"},
        [XVM_OS_CAUSE_EXECUTE_POLICY] = {"a policy keeps written pages from becoming executable",
                                         "see PR_SET_MDWE, MemoryDenyWriteExecute= of systemd, and "
                                         "execmem of SELinux"},
    };

    return words[cause];
}

const char *xvm_os_code_word(void)
{
    return "errno";
}

/* HEURISTIC where the kernel does not tell. */
static uint64_t overcommit_mode(void)
{
    uint64_t mode = HEURISTIC;
    xvm_os_reader r;
    int behind;

    if (xvm_os_read_start(&r, "/proc/sys/vm/overcommit_memory")) {
        mode = xvm_os_read_number(&r, 10, &behind);
        xvm_os_read_end(&r);
    }
    return mode;
}

static uint64_t hard_lock_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return 0;
    return limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
}

/* The heuristic compares each commit, alone, with all of RAM and swap. */
xvm_os_rules xvm_os_get_rules(void)
{
    int saved = errno;
    uint64_t mode = overcommit_mode();
    xvm_os_rules rules = {UINT64_MAX, mode == STRICT, hard_lock_limit()};
    struct sysinfo machine;

    if (mode == HEURISTIC && sysinfo(&machine) == 0)
        rules.at_once = ((uint64_t)machine.totalram + machine.totalswap) * machine.mem_unit;
    errno = saved;
    return rules;
}

/* cause_none.c - for systems of whose limits nothing is known but that POSIX has them. */
#include "os.h"

xvm_os_words xvm_os_describe(xvm_os_cause cause)
{
    switch (cause) {
    case XVM_OS_CAUSE_ADDRESS_SPACE_LIMIT:
        return (xvm_os_words){"RLIMIT_AS", "raise it with ulimit -v"};
    case XVM_OS_CAUSE_DATA_LIMIT:
        return (xvm_os_words){"RLIMIT_DATA", "raise it with ulimit -d"};
    case XVM_OS_CAUSE_BUDGET:
    case XVM_OS_CAUSE_CONTAINER_BUDGET:
        return (xvm_os_words){"budget", "raise it with xvm_budget_set_limit"};
    case XVM_OS_CAUSE_LOCK_LIMIT:
    case XVM_OS_CAUSE_LOCK_FORBIDDEN:
    case XVM_OS_CAUSE_LOCKED_FUTURE:
        return (xvm_os_words){"the limit for locked memory", "raise it with ulimit -l"};
    case XVM_OS_CAUSE_TAKEN:
        return (xvm_os_words){"something else is there", "choose another address, or NULL for any"};
    default:
        return (xvm_os_words){"a limit", "xvm_get_limits tells how close each one is"};
    }
}

const char *xvm_os_code_word(void)
{
    return "errno";
}

xvm_os_rules xvm_os_get_rules(void)
{
    return (xvm_os_rules){UINT64_MAX, 0, 0};
}

/* limits.c - every limit, and what it leaves.
 *
 *     headroom = the smallest of | container | data limit | commit limit, where strict | machine |
 *
 * UINT64_MAX is no limit, or one that is not known, and so is the room below it.
 */
#include "failure.h"

/* What is left below a limit; all of it when its use is not known. */
static uint64_t room(uint64_t limit, uint64_t used)
{
    if (limit == UINT64_MAX || used == UINT64_MAX)
        return limit;
    return used < limit ? limit - used : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t find_headroom(const xvm_limits *l)
{
    uint64_t least = l->headroom; /* what the machine has left */

    least = smaller(least, room(l->container_limit, l->container_used));
    least = smaller(least, room(l->data_limit, l->process_committed));
    if (xvm_system()->features & XVM_HAS_STRICT_COMMIT)
        least = smaller(least, room(l->commit_limit, l->commit_used));
    return least;
}

xvm_status xvm_get_limits(xvm_limits *out)
{
    xvm_os_answer answer;

    if (out == NULL)
        return xvm_os_fail_with(XVM_E_INVALID);
    answer = xvm_os_get_limits(out);
    if (answer.status != XVM_OK) {
        *out = (xvm_limits){0};
        return xvm_os_fail(answer);
    }
    out->headroom = find_headroom(out);
    return XVM_OK;
}

/* error.c - what an errno means. The kernel's ENOMEM has five causes; the operation and a look at
 * the limits tell them apart (mmap(2), mprotect(2), mlock(2), madvise(2)). */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

enum {
    SPARE_MAPPINGS = 3
}; /* a change in the middle of a mapping needs two more, and one is being made */

static int at_mapping_limit(void)
{
    size_t limit = xvm_os_mapping_limit();

    return limit != SIZE_MAX && xvm_os_count_mappings(limit) + SPARE_MAPPINGS >= limit;
}

/* What ENOMEM means when it is not the mapping limit. */
static xvm_status no_memory(xvm_os_operation why)
{
    switch (why) {
    case XVM_OS_RESERVE:
    case XVM_OS_MAP:
        return XVM_E_ADDRESS_SPACE;
    case XVM_OS_LOCK:
        return XVM_E_LOCK_LIMIT;
    case XVM_OS_RELEASE: /* these ask for no memory but the kernel's own */
    case XVM_OS_DECOMMIT:
    case XVM_OS_UNLOCK:
    case XVM_OS_ATTACH:
    case XVM_OS_GUARD:
        return XVM_E_MAP_LIMIT;
    default:
        return XVM_E_COMMIT_LIMIT;
    }
}

/* Files and shared memory. */
static xvm_status file_status(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return XVM_E_NOT_FOUND;
    case EEXIST:
        return XVM_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        return XVM_E_PERMISSION;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return XVM_E_DISK_FULL;
    case ENOMEM:
        return XVM_E_COMMIT_LIMIT;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return XVM_E_INVALID;
    default:
        return XVM_E_SYSTEM;
    }
}

static xvm_status status_of(xvm_os_operation why, int code)
{
    if (why == XVM_OS_FILE)
        return file_status(code);
    switch (code) {
    case ENOMEM:
        return at_mapping_limit() ? XVM_E_MAP_LIMIT : no_memory(why);
    case EBUSY:  /* madvise(COLLAPSE): no page to be had */
    case EAGAIN: /* mmap: MCL_FUTURE and over the limit; madvise: a split was refused */
        return why == XVM_OS_RESERVE || why == XVM_OS_MAP ? XVM_E_LOCK_LIMIT : no_memory(why);
    case EEXIST:
        return XVM_E_ADDRESS_TAKEN;
    case EPERM:
        return why == XVM_OS_LOCK ? XVM_E_LOCK_LIMIT : XVM_E_PERMISSION;
    case EACCES:
        return XVM_E_PERMISSION;
    case ENODEV: /* a file system that maps nothing */
        return XVM_E_UNSUPPORTED;
    case EINVAL:
    case ENOSYS:
        return why == XVM_OS_ATTACH || why == XVM_OS_ADVISE ? XVM_E_UNSUPPORTED : XVM_E_SYSTEM;
    default:
        return XVM_E_SYSTEM;
    }
}

xvm_os_answer xvm_os_classify(xvm_os_operation why, int code)
{
    return (xvm_os_answer){status_of(why, code), code};
}

/* error.c - what a GetLastError means. Groups, not single codes: Windows and Wine answer the same
 * refusal with different ones, and a code means one thing for a commit and another for a lock. */
#include "call.h"

/* The codes for "no more memory", of the page file, a quota or the kernel's pools. */
static int is_no_memory(int code)
{
    switch (code) {
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_COMMITMENT_MINIMUM:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_NOT_ENOUGH_QUOTA:
        return 1;
    default:
        return 0;
    }
}

static xvm_status reserve_status(int code)
{
    if (code == ERROR_INVALID_ADDRESS)
        return XVM_E_ADDRESS_TAKEN;
    if (is_no_memory(code) || code == ERROR_INVALID_PARAMETER) /* 87: larger than the user space */
        return XVM_E_ADDRESS_SPACE;
    return XVM_E_SYSTEM;
}

/* Files and shared memory. */
static xvm_status file_status(int code)
{
    switch (code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
    case ERROR_INVALID_DRIVE:
        return XVM_E_NOT_FOUND;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return XVM_E_EXISTS;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_WRITE_PROTECT:
    case ERROR_USER_MAPPED_FILE:
        return XVM_E_PERMISSION;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case ERROR_FILE_TOO_LARGE:
        return XVM_E_DISK_FULL;
    case ERROR_INVALID_NAME:
    case ERROR_NO_UNICODE_TRANSLATION:
    case ERROR_INSUFFICIENT_BUFFER:
    case ERROR_FILENAME_EXCED_RANGE:
        return XVM_E_INVALID;
    default:
        return is_no_memory(code) ? XVM_E_COMMIT_LIMIT : XVM_E_SYSTEM;
    }
}

static xvm_status map_status(int code)
{
    if (code == ERROR_INVALID_ADDRESS)
        return XVM_E_ADDRESS_TAKEN;
    if (code == ERROR_ACCESS_DENIED)
        return XVM_E_PERMISSION;
    if (code == ERROR_COMMITMENT_LIMIT)
        return XVM_E_COMMIT_LIMIT;
    return is_no_memory(code) ? XVM_E_ADDRESS_SPACE : XVM_E_SYSTEM;
}

/* Does an operation ask for memory? The others only give some back. */
static int asks_for_memory(xvm_os_operation why)
{
    return why == XVM_OS_COMMIT || why == XVM_OS_BOOKKEEPING || why == XVM_OS_PREFAULT ||
           why == XVM_OS_PROTECT || why == XVM_OS_DISCARD;
}

/* Wine answers a refused lock or commit with ERROR_ACCESS_DENIED. */
static xvm_status status_of(xvm_os_operation why, int code)
{
    if (why == XVM_OS_RESERVE)
        return reserve_status(code);
    if (why == XVM_OS_FILE)
        return file_status(code);
    if (why == XVM_OS_MAP)
        return map_status(code);
    if (code == ERROR_CALL_NOT_IMPLEMENTED)
        return XVM_E_UNSUPPORTED;
    if (why == XVM_OS_LOCK &&
        (code == ERROR_WORKING_SET_QUOTA || code == ERROR_ACCESS_DENIED || is_no_memory(code)))
        return XVM_E_LOCK_LIMIT;
    if (is_no_memory(code) && asks_for_memory(why))
        return XVM_E_COMMIT_LIMIT;
    if (code == ERROR_ACCESS_DENIED)
        return why == XVM_OS_COMMIT || why == XVM_OS_BOOKKEEPING ? XVM_E_COMMIT_LIMIT
                                                                 : XVM_E_PERMISSION;
    return XVM_E_SYSTEM;
}

xvm_os_answer xvm_os_classify(xvm_os_operation why, int code)
{
    if (code == 0)
        return (xvm_os_answer){XVM_OK, 0};
    return (xvm_os_answer){status_of(why, code), code};
}

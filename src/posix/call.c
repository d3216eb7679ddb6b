/* call.c - what happens around a system call while somebody watches. */
#define _GNU_SOURCE
#include "call.h"

int xvm_os_tell(xvm_os_operation why, const char *call, const void *address, size_t size, int code,
                int injected)
{
    int saved = errno;

    xvm_os_made(why, call, address, size, code, injected);
    errno = code != 0 ? code : saved;
    return code;
}

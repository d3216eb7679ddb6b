/* tell.c - no tool of mingw-w64 listens. */
#include <string.h>

#include "tell.h"

bool xvm_os_tell_listens(void)
{
    return false;
}

void xvm_os_tell_live(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

void xvm_os_tell_fresh(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

void xvm_os_tell_dead(const void *address, size_t size)
{
    (void)address;
    (void)size;
}

void xvm_os_tell_copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

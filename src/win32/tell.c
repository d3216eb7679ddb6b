/* tell.c - no tool of mingw-w64 listens. */
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

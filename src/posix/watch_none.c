/* watch_none.c - a system that does not note which pages are written; the fake one of the tests, too. */
#include <stddef.h>

#include "os.h"

static const xvm_os_answer LACKING = {XVM_E_UNSUPPORTED, 0};

int xvm_os_can_track(xvm_watch_method method)
{
    (void)method;
    return 0;
}

xvm_os_answer xvm_os_track(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    (void)address;
    (void)size;
    return LACKING;
}

xvm_os_answer xvm_os_untrack(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    (void)address;
    (void)size;
    return LACKING;
}

xvm_os_answer xvm_os_arm(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    (void)address;
    (void)size;
    return LACKING;
}

xvm_os_answer xvm_os_take_written(xvm_watch_method method, int renews, void *address, size_t size,
                                  xvm_os_piece *pieces, size_t capacity, size_t *count,
                                  void **reached)
{
    (void)method;
    (void)renews;
    (void)address;
    (void)size;
    (void)pieces;
    (void)capacity;
    (void)count;
    (void)reached;
    return LACKING;
}

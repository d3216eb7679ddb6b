/* fence_none.c - a system without a barrier in all threads. */
#include "os.h"

int xvm_os_fence_all_threads(void)
{
    return 0;
}

/* fence_linux.c - a barrier in all threads of the process: membarrier (4.14), which each process must
 * announce once. It survives fork, and if it does not it is announced again. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"

/* Numbers of the Linux interface. */
enum { PRIVATE_EXPEDITED = 1 << 3, REGISTER_PRIVATE_EXPEDITED = 1 << 4 };

int xvm_os_fence_all_threads(void)
{
    int saved = errno;
    long result = syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0);

    if (result != 0 && errno == EPERM &&
        syscall(SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
        result = syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0);
    errno = saved;
    return result == 0;
}

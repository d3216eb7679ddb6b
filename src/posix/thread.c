/* thread.c - what each thread remembers, and how it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "os.h"

enum { SPINS = 64, YIELDS = 128 }; /* rounds; then sleep */

/* Initial-exec: an address from the thread register, with no call that could allocate. */
static _Thread_local xvm_os_failure last __attribute__((tls_model("initial-exec")));

xvm_os_failure *xvm_os_thread_failure(void)
{
    return &last;
}

void xvm_os_pause(unsigned round)
{
    struct timespec nap = {0, 50000};

    if (round < SPINS)
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    else if (round < YIELDS)
        (void)sched_yield();
    else
        (void)nanosleep(&nap, NULL);
}

void xvm_os_sleep(unsigned milliseconds)
{
    struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

int xvm_os_get_error(void)
{
    return errno;
}

void xvm_os_set_error(int error)
{
    errno = error;
}

/* Refused only without memory: then a child of a fork in the middle of another thread's reserve may
 * wait for ever. */
void xvm_os_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    int saved = errno;

    (void)pthread_atfork(before, in_parent, in_child);
    errno = saved;
}

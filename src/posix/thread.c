/* thread.c - what each thread remembers, and how it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <time.h>

#include "os.h"
#include "thread_id.h"

enum { SPINS = 64, YIELDS = 128 }; /* rounds; then sleep */

/* Initial-exec: an address from the thread register, with no call that could allocate. */
static _Thread_local xvm_os_failure last __attribute__((tls_model("initial-exec")));

xvm_os_failure *xvm_os_thread_failure(void)
{
    return &last;
}

_Thread_local unsigned xvm_os_this_thread __attribute__((tls_model("initial-exec")));

/* Counted, and not used again: after four billion threads there are none left. */
unsigned xvm_os_thread_number(void)
{
    static unsigned given;
    unsigned before = __atomic_load_n(&given, __ATOMIC_RELAXED);

    while (xvm_os_this_thread == 0 && before < UINT_MAX - 3)
        if (__atomic_compare_exchange_n(&given, &before, before + 1, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            xvm_os_this_thread = before + 1;
    return xvm_os_this_thread;
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

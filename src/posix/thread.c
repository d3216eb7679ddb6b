/* thread.c - what each thread remembers, and how it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
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

static _Thread_local struct {
    size_t bytes[XVM_OS_THREAD_ROOM / sizeof(size_t)];
    void (*drop)(void *); /* NULL: the end of the thread is not waited for */
} room;

/* Called at the end of a thread, before its variables go. A destructor of another key may use the room after
 * this one, which is then called once more. */
static void drop_room(void *unused)
{
    void (*drop)(void *) = room.drop;

    (void)unused;
    room.drop = NULL;
    drop(room.bytes);
    memset(room.bytes, 0, sizeof room.bytes);
}

/* The key whose destructor it is. Two threads may come first at once: one key wins, the other goes back. */
static bool get_key(pthread_key_t *key)
{
    static size_t known; /* key + 1 */
    size_t none = 0, now = __atomic_load_n(&known, __ATOMIC_ACQUIRE);

    if (now == 0 && pthread_key_create(key, drop_room) != 0)
        return false;
    if (now == 0 && __atomic_compare_exchange_n(&known, &none, (size_t)*key + 1, 0,
                                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return true;
    if (now == 0)
        (void)pthread_key_delete(*key);
    *key = (pthread_key_t)((now == 0 ? none : now) - 1);
    return true;
}

void *xvm_os_thread_room(void (*drop)(void *))
{
    pthread_key_t key;

    if (room.drop != NULL)
        return room.bytes;
    if (!get_key(&key) || pthread_setspecific(key, &room) != 0)
        return NULL;
    room.drop = drop;
    return room.bytes;
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

/* thread.c - what each thread remembers, and how it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
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

/* --- numbers ---------------------------------------------------------------------------------- */

enum { NUMBERS = 256, WORD = 64 };

static uint64_t taken[NUMBERS / WORD]; /* bits; the first is of number 1 */
static pthread_key_t at_end;           /* its value is the number */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

_Thread_local unsigned xvm_os_this_thread __attribute__((tls_model("initial-exec")));
static _Thread_local bool has_ended __attribute__((tls_model("initial-exec")));

int xvm_os_hold_thread_number(unsigned number)
{
    uint64_t bit = (uint64_t)1 << (number - 1) % WORD;

    return (__atomic_fetch_or(&taken[(number - 1) / WORD], bit, __ATOMIC_ACQUIRE) & bit) == 0;
}

void xvm_os_free_thread_number(unsigned number)
{
    uint64_t bit = (uint64_t)1 << (number - 1) % WORD;

    (void)__atomic_fetch_and(&taken[(number - 1) / WORD], ~bit, __ATOMIC_RELEASE);
}

static void give_number(uintptr_t number)
{
    xvm_os_this_thread = 0;
    xvm_os_free_thread_number((unsigned)number);
}

/* Destructors of other keys, and the C library itself, may allocate and free after this. A number that
 * was taken then might be nobody's to give back. */
static void end_thread(void *value)
{
    has_ended = true;
    give_number((uintptr_t)value);
}

static void make_key(void)
{
    has_key = pthread_key_create(&at_end, end_thread) == 0;
}

/* The lowest bit of a word that is free, taken; WORD: none is. */
static unsigned take_bit(uint64_t *word)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

    while (now != UINT64_MAX) {
        unsigned bit = (unsigned)__builtin_ctzll(~now);

        if (__atomic_compare_exchange_n(word, &now, now | (uint64_t)1 << bit, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return bit;
    }
    return WORD;
}

/* Given back when the thread ends: without that being watched for there is none. */
unsigned xvm_os_thread_number(void)
{
    unsigned bit = WORD, from = 0;
    uintptr_t number;

    if (xvm_os_this_thread != 0 || has_ended)
        return xvm_os_this_thread;
    (void)pthread_once(&once, make_key);
    while (has_key && from < NUMBERS && (bit = take_bit(&taken[from / WORD])) == WORD)
        from += WORD;
    if (!has_key || bit == WORD)
        return 0;
    number = from + bit + 1;
    xvm_os_this_thread = (unsigned)number;
    if (pthread_setspecific(at_end, (void *)number) != 0)
        give_number(number);
    return xvm_os_this_thread;
}

void xvm_os_pause(unsigned round)
{
    struct timespec nap = {0, 50000};
    int error = errno;

    if (round < SPINS)
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    else if (round < YIELDS)
        (void)sched_yield();
    else if (nanosleep(&nap, NULL) != 0)
        errno = error; /* a signal came: one waits again */
}

void xvm_os_sleep(unsigned milliseconds)
{
    struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

#ifdef CLOCK_MONOTONIC_COARSE
enum { CLOCK = CLOCK_MONOTONIC_COARSE };
#else
enum { CLOCK = CLOCK_MONOTONIC };
#endif

uint64_t xvm_os_clock(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
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

void xvm_os_stop(const char *message, size_t size)
{
    while (size != 0) {
        ssize_t written = write(STDERR_FILENO, message, size);

        if (written <= 0)
            break;
        message += written;
        size -= (size_t)written;
    }
    abort();
}

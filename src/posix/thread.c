/* thread.c - what each thread remembers, and how it waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "thread_number.h"

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

/* --- numbers of threads ----------------------------------------------------------------------- */

enum { INDICES = 256, WORD = 64 };

static uint64_t taken[INDICES / WORD]; /* bits */
static pthread_key_t at_end;           /* its value is the number + 1 */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int has_key;
_Thread_local unsigned xvm_os_thread_mine __attribute__((tls_model("initial-exec")));

static void give_index(void *value)
{
    unsigned index = (unsigned)(uintptr_t)value - 1;

    (void)__atomic_fetch_and(&taken[index / WORD], ~((uint64_t)1 << index % WORD),
                             __ATOMIC_RELEASE);
    xvm_os_thread_mine = 0;
}

static void make_key(void)
{
    has_key = pthread_key_create(&at_end, give_index) == 0;
}

/* The lowest number that is free in one word; WORD: none is. */
static unsigned take_bit(uint64_t *word)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

    while (now != UINT64_MAX) {
        unsigned bit = (unsigned)__builtin_ctzll(~now);

        if (__atomic_compare_exchange_n(word, &now, now | (uint64_t)1 << bit, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return bit;
    }
    return WORD;
}

unsigned xvm_os_thread_enroll(void)
{
    unsigned index = 0, bit = WORD;

    (void)pthread_once(&once, make_key);
    if (!has_key)
        return 0;
    for (; index < INDICES && (bit = take_bit(&taken[index / WORD])) == WORD;)
        index += WORD;
    if (bit == WORD)
        return 0;
    index += bit;
    if (pthread_setspecific(at_end, (void *)(uintptr_t)(index + 1)) != 0) {
        give_index((void *)(uintptr_t)(index + 1));
        return 0;
    }
    xvm_os_thread_mine = index + 1;
    return index + 1;
}

int xvm_os_thread_at_fork(void (*before)(void), void (*after)(void))
{
    return pthread_atfork(before, after, after) == 0;
}

void xvm_os_thread_stop(const char *message, size_t size)
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

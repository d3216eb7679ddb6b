/* lock.h - words shared between threads, and the short lock for book-keeping.
 *
 * The public headers must compile as C++, so shared words are plain there and atomic only by these
 * accessors.
 */
#ifndef XVM_SRC_LOCK_H
#define XVM_SRC_LOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "os.h"

/* Gives this thread a number, 1 and up, that no other running thread has; it is given back when the
 * thread ends. thread_number() of thread_number.h tells it from now on. 0: there are no more. */
unsigned xvm_os_thread_enroll(void);

/* Calls before in the thread that forks, ahead of that, and after in both processes; 0: it will not.
 * Where there is no fork neither is ever called. */
int xvm_os_thread_at_fork(void (*before)(void), void (*after)(void));

/* Writes a message to the standard error output and ends the process abnormally. */
void xvm_os_thread_stop(const char *message, size_t size);

#define LOAD(word) __atomic_load_n((word), __ATOMIC_RELAXED)
#define LOAD_ACQUIRE(word) __atomic_load_n((word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n((word), (value), __ATOMIC_RELAXED)
#define STORE_RELEASE(word, value) __atomic_store_n((word), (value), __ATOMIC_RELEASE)
#define ATOMIC_ADD(word, value) __atomic_add_fetch((word), (value), __ATOMIC_RELAXED)
#define ATOMIC_SUB(word, value) __atomic_sub_fetch((word), (value), __ATOMIC_RELAXED)
/* Sets or clears bits; the answer is what the word was before. */
#define ATOMIC_SET(word, bits) __atomic_fetch_or((word), (bits), __ATOMIC_ACQ_REL)
#define ATOMIC_CLEAR(word, bits) __atomic_fetch_and((word), ~(bits), __ATOMIC_ACQ_REL)
/* *word = value if it is *expected; otherwise that is what it was, and the answer is false. */
#define COMPARE_SWAP(word, expected, value)                                                        \
    __atomic_compare_exchange_n((word), (expected), (value), false, __ATOMIC_RELAXED,              \
                                __ATOMIC_RELAXED)
#define COMPARE_SWAP_ACQUIRE(word, expected, value)                                                \
    __atomic_compare_exchange_n((word), (expected), (value), false, __ATOMIC_ACQUIRE,              \
                                __ATOMIC_RELAXED)
#define COMPARE_SWAP_RELEASE(word, expected, value)                                                \
    __atomic_compare_exchange_n((word), (expected), (value), false, __ATOMIC_RELEASE,              \
                                __ATOMIC_RELAXED)
#define SWAP_ACQUIRE(word, value) __atomic_exchange_n((word), (value), __ATOMIC_ACQUIRE)

/* Takes a lock that is held for tens of instructions, never across a system call. A holder that was
 * preempted is waited for in xvm_os_pause, which sleeps in the end, so that a thread of lower
 * priority can finish. */
static inline void spin_lock(unsigned *lock)
{
    for (unsigned round = 0; SWAP_ACQUIRE(lock, 1u) != 0; round++)
        while (LOAD(lock) != 0)
            xvm_os_pause(round++);
}

static inline void spin_unlock(unsigned *lock)
{
    STORE_RELEASE(lock, 0u);
}

#endif

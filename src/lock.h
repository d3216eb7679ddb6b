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
#include "thread_id.h" /* of the system; in the tests of the fake one */

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
/* The same for words that other memory is handed over with. */
#define COMPARE_SWAP_ORDERED(word, expected, value)                                                \
    __atomic_compare_exchange_n((word), (expected), (value), false, __ATOMIC_ACQ_REL,              \
                                __ATOMIC_ACQUIRE)
/* Memory accesses of this thread before and after stay in that order as the compiler makes them. */
#define COMPILER_FENCE() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define SWAP_ACQUIRE(word, value) __atomic_exchange_n((word), (value), __ATOMIC_ACQUIRE)

/* Of a function that runs while an access has faulted. ThreadSanitizer makes atomic accesses itself, under
 * locks of its own: it must not be asked for more of them meanwhile. */
#if defined(__SANITIZE_THREAD__)
#define IN_A_FAULT __attribute__((no_sanitize_thread))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IN_A_FAULT __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#if !defined(IN_A_FAULT)
#define IN_A_FAULT
#endif

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

/* Milliseconds, coarse and cheap. */
static inline uint64_t clock_now(void)
{
    return xvm_os_clock();
}

/* Waits for another thread, longer with each round. */
static inline void wait_a_little(unsigned round)
{
    xvm_os_pause(round);
}

/* A number that no other living thread has; 0: it has none. */
static inline unsigned thread_number(void)
{
    return xvm_os_thread_number();
}

/* The same, or 0 when it is not known at once. */
static inline unsigned known_thread(void)
{
    return xvm_os_known_thread();
}

/* Nobody has that number, and nobody gets it until it is free again; false: a living thread has it. */
static inline bool hold_thread_number(unsigned number)
{
    return xvm_os_hold_thread_number(number) != 0;
}

static inline void free_thread_number(unsigned number)
{
    xvm_os_free_thread_number(number);
}

/* Every thread of the process has passed a full memory barrier meanwhile, so that threads which only
 * fence their compiler are ordered with this one. Microseconds; false: the system cannot. */
static inline bool fence_all_threads(void)
{
    return xvm_os_fence_all_threads() != 0;
}

#endif

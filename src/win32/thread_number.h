/* thread_number.h - this thread's number, inline. Thread-local variables of mingw are emulated by a call
 * and a lock; a slot of the thread block is one load (TlsSlots: documented by its use in every
 * TlsGetValue since NT; 64 of them are in the block itself). */
#ifndef XVM_SRC_WIN32_THREAD_NUMBER_H
#define XVM_SRC_WIN32_THREAD_NUMBER_H

#include <stdint.h>

/* Where in the thread block; 0: there is no slot, or not yet. */
extern unsigned long xvm_os_thread_slot;

/* 1 and up; 0: it has none yet. */
static inline unsigned thread_number(void)
{
    unsigned long slot = __atomic_load_n(&xvm_os_thread_slot, __ATOMIC_RELAXED);
    uintptr_t value;

    if (slot == 0)
        return 0;
#ifdef __x86_64__
    __asm__("movq %%gs:(%1), %0" : "=r"(value) : "r"((uintptr_t)slot));
#else
    __asm__("movl %%fs:(%1), %0" : "=r"(value) : "r"((uintptr_t)slot));
#endif
    return (unsigned)value;
}

#endif

/* thread_id.h - which thread this is. Thread-local variables of mingw are emulated by a call and a lock; a
 * slot of the thread block is one load. Where TlsGetValue finds the first 64 of them has been the same
 * since NT. */
#ifndef XVM_WIN32_THREAD_ID_H
#define XVM_WIN32_THREAD_ID_H

#include <stdint.h>

/* Offset of our slot in the thread block; 0: there is none, or not yet. */
extern unsigned long xvm_os_thread_slot;

/* 0: has not asked for its number yet. */
static inline unsigned xvm_os_known_thread(void)
{
    unsigned long slot = __atomic_load_n(&xvm_os_thread_slot, __ATOMIC_RELAXED);
    uintptr_t value = 0;

#ifdef __x86_64__
    if (slot != 0)
        __asm__("movq %%gs:(%1), %0" : "=r"(value) : "r"((uintptr_t)slot));
#else
    if (slot != 0)
        __asm__("movl %%fs:(%1), %0" : "=r"(value) : "r"((uintptr_t)slot));
#endif
    return (unsigned)value;
}

#endif

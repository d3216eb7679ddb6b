/* thread_number.h - this thread's number, inline: one load from the thread register. */
#ifndef XVM_SRC_POSIX_THREAD_NUMBER_H
#define XVM_SRC_POSIX_THREAD_NUMBER_H

/* 1 and up; 0: it has none yet. Initial-exec: an offset known when the program starts, no call. */
extern _Thread_local unsigned xvm_os_thread_mine __attribute__((tls_model("initial-exec")));

static inline unsigned thread_number(void)
{
    return xvm_os_thread_mine;
}

#endif

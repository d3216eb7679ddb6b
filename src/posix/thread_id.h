/* thread_id.h - which thread this is, in an instruction or two. */
#ifndef XVM_POSIX_THREAD_ID_H
#define XVM_POSIX_THREAD_ID_H

/* 0: has not asked for its number yet. Initial-exec: no call. */
extern _Thread_local unsigned xvm_os_this_thread __attribute__((tls_model("initial-exec")));

static inline unsigned xvm_os_known_thread(void)
{
    return xvm_os_this_thread;
}

#endif

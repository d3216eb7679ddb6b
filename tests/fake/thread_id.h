/* thread_id.h - which thread this is: lanes have no owners
 * here. */
#ifndef XVM_FAKE_THREAD_ID_H
#define XVM_FAKE_THREAD_ID_H

static inline unsigned xvm_os_known_thread(void)
{
    return 0;
}

#endif

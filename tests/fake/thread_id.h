/* thread_id.h - which thread this is. Lanes have no owners on the fake system, so nobody needs to know
 * it fast. */
#ifndef XVM_FAKE_THREAD_ID_H
#define XVM_FAKE_THREAD_ID_H

static inline unsigned xvm_os_known_thread(void)
{
    return 0;
}

#endif

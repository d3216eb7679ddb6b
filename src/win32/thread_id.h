/* thread_id.h - which thread this is. Lanes have no owners here (xvm_os_fence_all_threads), so nobody
 * needs to know it fast. */
#ifndef XVM_WIN32_THREAD_ID_H
#define XVM_WIN32_THREAD_ID_H

static inline unsigned xvm_os_known_thread(void)
{
    return 0;
}

#endif

/* thread_number.h - the fake has one thread. */
#ifndef XVM_TESTS_FAKE_THREAD_NUMBER_H
#define XVM_TESTS_FAKE_THREAD_NUMBER_H

static inline unsigned thread_number(void)
{
    return 1;
}

#endif

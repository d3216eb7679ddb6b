/* again.h - a test program that starts itself: tests/posix and tests/win32. */
#ifndef XVM_TESTS_AGAIN_H
#define XVM_TESTS_AGAIN_H

/* The variable that tells a case that it runs in a process started by another one. */
#define AGAIN "XVM_TEST_AGAIN"

/* Runs one case of this program in a new process, with that variable set; its exit code, or -1: nothing can be
 * started here. */
int run_again(const char *test, const char *value);

unsigned process_id(void);

/* Where files are quick; NULL: no such place is known. */
const char *folder_in_memory(void);

#endif

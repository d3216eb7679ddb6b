/* process.h - a second process beside a test: tests/posix/process.c, tests/win32/process.c. */
#ifndef XVM_TESTS_PROCESS_H
#define XVM_TESTS_PROCESS_H

#include <stdint.h>

/* Runs work(argument), up to 63 characters, in another process, which begins with the case of this name. A
 * handle of it.
 *
 *     if (process_began(work)) return;     the first line of the case: in the other process it is all
 */
intptr_t process_start(const char *name, void (*work)(const char *argument), const char *argument);

/* True in a process that was started and whose work is done. */
int process_began(void (*work)(const char *argument));

/* Waits until it has ended; its exit status, or -1 when it was ended. */
int process_wait(intptr_t process);

/* Ends it. */
void process_kill(intptr_t process);

/* A number that no other living process has. */
unsigned process_number(void);

#endif

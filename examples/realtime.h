/* realtime.h - what audio.c and realtime.c need of a system that neither C nor xvm has: posix/realtime.c and
 * win32/realtime.c. */
#ifndef REALTIME_H
#define REALTIME_H

#include <stdint.h>

/* Runs work(context) in another thread; one at a time. */
void realtime_start(void (*work)(void *context), void *context);

/* Waits until it is done. */
void realtime_join(void);

void realtime_sleep(unsigned microseconds);

/* Since some moment; never goes back. */
double realtime_microseconds(void);

/* Page faults of this thread so far; always 0 where the system does not count them for a thread. */
uint64_t realtime_faults(void);

#endif

/* ship.h - what ship.c needs of a system that neither C nor xvm has: posix/ship.c and 
 * win32/ship.c. */
#ifndef SHIP_H
#define SHIP_H

#include <stdint.h>

/* Starts a program, with arguments up to a NULL, of which the first is its path, and none has
 * blanks or quotes; 0 when it cannot. */
int ship_start(const char *const *arguments);

/* Waits until it ends: its exit status; -1 when it was ended. */
int ship_join(void);

/* A number that no other running process has. */
unsigned ship_process(void);

void ship_sleep(unsigned milliseconds);

/* Milliseconds since some moment. */
uint64_t ship_clock(void);

#endif

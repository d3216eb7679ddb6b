/* tell.h - what a structure hands out and takes back, told to the tools that watch memory: AddressSanitizer
 * when the program was built with it, Valgrind when it runs under it.
 *
 * A structure whose fast path is inline keeps that path shut while a tool listens, so that every byte
 * that is handed out passes through a call that tells.
 */
#ifndef XVM_SRC_TELL_H
#define XVM_SRC_TELL_H

#include <stdbool.h>
#include <stddef.h>

enum { XVM_OS_TELL_GAP = 16 }; /* bytes between two blocks that tell a tool one from the other */

/* Is there a tool? The same throughout the life of a process. */
bool xvm_os_tell_listens(void);

/* May be read and written; contents are defined. */
void xvm_os_tell_live(const void *address, size_t size);

/* May be read and written; what was there before is undefined. */
void xvm_os_tell_fresh(const void *address, size_t size);

/* Must not be touched by the program. */
void xvm_os_tell_dead(const void *address, size_t size);

/* Copies bytes whatever was told of them; size is a multiple of 8, as are the addresses. What is copied counts as
 * live. */
void xvm_os_tell_copy(void *to, const void *from, size_t size);

#endif

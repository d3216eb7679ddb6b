/* read.h - small text files of the kernel, read through one buffer on the stack: no heap, and lines may
 * arrive in pieces. */
#ifndef XVM_SRC_POSIX_READ_H
#define XVM_SRC_POSIX_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XVM_OS_READ_BUFFER = 8192 };

typedef struct xvm_os_reader {
    int file;
    char bytes[XVM_OS_READ_BUFFER];
    size_t next, end;
} xvm_os_reader;

/* A descriptor for reading, closed on exec, above the standard three even when those are closed: they
 * are the program's. -1: it cannot be opened. */
int xvm_os_open_file(const char *path);

/* False when the file cannot be opened; then there is nothing to end. */
bool xvm_os_read_start(xvm_os_reader *r, const char *path);
void xvm_os_read_end(xvm_os_reader *r);

/* The next byte, and those behind it, of the file; -1 at the end. */
int xvm_os_read_more(xvm_os_reader *r);

/* The next byte; -1 at the end. Inline, because a map may have megabytes. */
static inline int xvm_os_read_byte(xvm_os_reader *r)
{
    return r->next < r->end ? (unsigned char)r->bytes[r->next++] : xvm_os_read_more(r);
}

/* Behind the next end of a line, or at the end. */
void xvm_os_read_line_end(xvm_os_reader *r);

/* A number to the base 10 or 16, and the byte behind it, which is not a digit. */
uint64_t xvm_os_read_number(xvm_os_reader *r, unsigned base, int *behind);

#endif

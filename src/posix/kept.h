/* kept.h - small files of the kernel that stay open, and their lines.
 *
 * A kept file costs one fstat and one pread at each look. It is opened anew when its number has
 * become another file's: a program may close every descriptor it finds, and open its own.
 */
#ifndef XVM_SRC_POSIX_KEPT_H
#define XVM_SRC_POSIX_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* All zero: not open. */
typedef struct xvm_os_file {
    int number;
    bool open;
    dev_t device; /* with inode: what number must still be */
    ino_t inode;
} xvm_os_file;

/* The file is open; false when it cannot be opened. */
bool xvm_os_file_need(xvm_os_file *file, const char *path);

/* Lines are passed through a buffer; one that does not fit is left out. */
enum { XVM_OS_LINE = 8192 };

typedef struct xvm_os_lines {
    int file;
    off_t offset;     /* of text[0] in the file */
    size_t next, end; /* text[next] is the first byte not passed yet, text[end] the end */
    bool ended;       /* there is nothing in the file behind text[end] */
    char text[XVM_OS_LINE + 1];
} xvm_os_lines;

/* The lines of a file from the first; false when it cannot be opened. It stays open. */
bool xvm_os_lines_start(xvm_os_lines *l, xvm_os_file *file, const char *path);

/* The next line, without its end, to be changed at will until the next call; NULL behind the last
 * one. */
char *xvm_os_lines_next(xvm_os_lines *l);

/* Closes the file if it is open and still ours. */
void xvm_os_file_close(xvm_os_file *file);

/* What follows key and blanks in a line that starts with key; NULL when it does not. */
const char *xvm_os_after_key(const char *line, const char *key);

/* The decimal number that text starts with, and what is behind it. UINT64_MAX when it is larger.
 * NULL: there is no number. */
const char *xvm_os_parse_number(const char *text, uint64_t *value);

#endif

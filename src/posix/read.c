/* read.c - the kernel's text files, byte by byte. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "read.h"

enum { FIRST_OF_OURS = 3 };

int xvm_os_open_file(const char *path)
{
    int file, higher;

    do
        file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (file < 0 && errno == EINTR);
    if (file < 0 || file >= FIRST_OF_OURS)
        return file;
    higher = fcntl(file, F_DUPFD_CLOEXEC, FIRST_OF_OURS);
    (void)close(file);
    return higher;
}

bool xvm_os_read_start(xvm_os_reader *r, const char *path)
{
    r->next = r->end = 0;
    r->file = xvm_os_open_file(path);
    return r->file >= 0;
}

void xvm_os_read_end(xvm_os_reader *r)
{
    (void)close(r->file);
}

int xvm_os_read_more(xvm_os_reader *r)
{
    ssize_t got;

    do
        got = read(r->file, r->bytes, sizeof r->bytes);
    while (got < 0 && errno == EINTR);
    r->next = 0;
    r->end = got > 0 ? (size_t)got : 0;
    return r->next < r->end ? (unsigned char)r->bytes[r->next++] : -1;
}

void xvm_os_read_line_end(xvm_os_reader *r)
{
    const char *found;

    while ((found = memchr(r->bytes + r->next, '\n', r->end - r->next)) == NULL) {
        if (xvm_os_read_more(r) < 0)
            return;
        r->next = 0;
    }
    r->next = (size_t)(found - r->bytes) + 1;
}

static unsigned digit(int byte)
{
    if (byte >= '0' && byte <= '9')
        return (unsigned)(byte - '0');
    if (byte >= 'a' && byte <= 'f')
        return (unsigned)(byte - 'a' + 10);
    return 255;
}

uint64_t xvm_os_read_number(xvm_os_reader *r, unsigned base, int *behind)
{
    uint64_t value = 0;
    unsigned next;

    while ((next = digit(*behind = xvm_os_read_byte(r))) < base)
        value = value * base + next;
    return value;
}

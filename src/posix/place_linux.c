/* place_linux.c - the process's map as Linux shows it: holes, the number of mappings, and names.
 *
 * A line of /proc/self/maps begins with "start-end rwx"; no more of it is used. The file is read
 * through one buffer on the stack, without a heap, so lines may arrive in pieces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "call.h"
#include "pages.h"

#ifndef PR_SET_VMA /* 5.17, with CONFIG_ANON_VMA_NAME; EINVAL elsewhere */
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { BUFFER = 8192 };

typedef struct reader {
    int file;
    char bytes[BUFFER];
    size_t next, end;
} reader;

static bool start_reading(reader *r, const char *path)
{
    r->next = r->end = 0;
    do
        r->file = open(path, O_RDONLY | O_CLOEXEC);
    while (r->file < 0 && errno == EINTR);
    return r->file >= 0;
}

/* The next byte; -1 at the end. */
static int next_byte(reader *r)
{
    ssize_t got = 0;

    if (r->next == r->end) {
        do
            got = read(r->file, r->bytes, sizeof r->bytes);
        while (got < 0 && errno == EINTR);
        r->next = 0;
        r->end = got > 0 ? (size_t)got : 0;
    }
    return r->next < r->end ? (unsigned char)r->bytes[r->next++] : -1;
}

static int digit(int byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return 255;
}

/* A number to the given base and the byte behind it, which is not a digit. */
static uintptr_t next_number(reader *r, int base, int *behind)
{
    uintptr_t value = 0;

    while (digit(*behind = next_byte(r)) < base)
        value = value * (uintptr_t)base + (uintptr_t)digit(*behind);
    return value;
}

/* A line: its range, and which of r, w and x it has. */
typedef struct mapping {
    uintptr_t start, end;
    bool reads, writes, executes;
} mapping;

static bool next_mapping(reader *r, mapping *m)
{
    int byte;

    m->start = next_number(r, 16, &byte);
    if (byte != '-')
        return false;
    m->end = next_number(r, 16, &byte);
    m->reads = next_byte(r) == 'r';
    m->writes = next_byte(r) == 'w';
    m->executes = next_byte(r) == 'x';
    while (byte != '\n' && byte >= 0)
        byte = next_byte(r);
    return true;
}

size_t xvm_os_count_mappings(size_t limit)
{
    reader r;
    mapping m;
    size_t count = 0;

    if (!start_reading(&r, "/proc/self/maps"))
        return 0;
    while (count < limit && next_mapping(&r, &m))
        count++;
    (void)close(r.file);
    return count;
}

static xvm_protection protection_of(const mapping *m)
{
    if (!m->reads)
        return XVM_NO_ACCESS;
    if (m->executes)
        return m->writes ? XVM_READ_WRITE_EXECUTE : XVM_READ_EXECUTE;
    return m->writes ? XVM_READ_WRITE : XVM_READ;
}

size_t xvm_os_find_protection(const void *address, size_t size, xvm_protection *protection)
{
    uintptr_t at = (uintptr_t)address;
    size_t found = 0;
    mapping m;
    reader r;

    if (!start_reading(&r, "/proc/self/maps"))
        return 0;
    while (found == 0 && next_mapping(&r, &m))
        if (m.start <= at && at < m.end) {
            *protection = protection_of(&m);
            found = m.end - at < size ? m.end - at : size;
        }
    (void)close(r.file);
    return found;
}

size_t xvm_os_mapping_limit(void)
{
    reader r;
    size_t limit;
    int behind;

    if (!start_reading(&r, "/proc/sys/vm/max_map_count"))
        return SIZE_MAX;
    limit = next_number(&r, 10, &behind);
    (void)close(r.file);
    return limit != 0 ? limit : SIZE_MAX;
}

/* The highest aligned place for size bytes in [low, high); 0 when there is none. */
static uintptr_t place_in(uintptr_t low, uintptr_t high, size_t size, size_t alignment)
{
    uintptr_t place;

    if (high < low || high - low < size)
        return 0;
    place = round_down(high - size, alignment);
    return place >= low ? place : 0;
}

/* The kernel hands out nothing below vm.mmap_min_addr (64 KiB by default), and never page 0. */
static uintptr_t lowest(size_t alignment)
{
    uintptr_t floor = 1u << 16;

    return floor > alignment ? floor : alignment;
}

void *xvm_os_find_hole(size_t size, size_t alignment, uintptr_t *limit)
{
    uintptr_t low = lowest(alignment), high = *limit, best = 0, hole = 0, place;
    bool more = true;
    mapping m;
    reader r;

    if (!start_reading(&r, "/proc/self/maps"))
        return NULL;
    while (more && low < high) {
        more = next_mapping(&r, &m); /* behind the last one there is a hole too */
        place = place_in(low, more && m.start < high ? m.start : high, size, alignment);
        if (place != 0) {
            best = place;
            hole = low;
        }
        low = more && m.end > low ? m.end : low;
    }
    (void)close(r.file);
    *limit = hole;
    return (void *)best;
}

int xvm_os_name_range(void *address, size_t size, const char *name)
{
    int injected = xvm_os_refused(XVM_OS_ATTACH, "prctl", size, EINVAL);
    int code = injected;

    if (injected == 0 && prctl(PR_SET_VMA, (unsigned long)PR_SET_VMA_ANON_NAME, (uintptr_t)address,
                               size, (uintptr_t)name) != 0)
        code = errno;
    xvm_os_made(XVM_OS_ATTACH, "prctl", address, size, code, injected != 0);
    return code;
}

/* map_linux.c - the process's map as Linux shows it: holes, the number of mappings, protections.
 *
 * A line of /proc/self/maps begins with "start-end rwx"; no more of it is used.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "pages.h"
#include "read.h"

/* A line: its range, and which of r, w and x it has. */
typedef struct mapping {
    uintptr_t start, end;
    bool reads, writes, executes;
} mapping;

static bool next_mapping(xvm_os_reader *r, mapping *m)
{
    int byte;

    m->start = (uintptr_t)xvm_os_read_number(r, 16, &byte);
    if (byte != '-')
        return false;
    m->end = (uintptr_t)xvm_os_read_number(r, 16, &byte);
    m->reads = xvm_os_read_byte(r) == 'r';
    m->writes = xvm_os_read_byte(r) == 'w';
    m->executes = xvm_os_read_byte(r) == 'x';
    while (byte != '\n' && byte >= 0)
        byte = xvm_os_read_byte(r);
    return true;
}

size_t xvm_os_count_mappings(size_t limit)
{
    xvm_os_reader r;
    mapping m;
    size_t count = 0;

    if (!xvm_os_read_start(&r, "/proc/self/maps"))
        return 0;
    while (count < limit && next_mapping(&r, &m))
        count++;
    xvm_os_read_end(&r);
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
    xvm_os_reader r;

    if (!xvm_os_read_start(&r, "/proc/self/maps"))
        return 0;
    while (found == 0 && next_mapping(&r, &m))
        if (m.start <= at && at < m.end) {
            *protection = protection_of(&m);
            found = m.end - at < size ? m.end - at : size;
        }
    xvm_os_read_end(&r);
    return found;
}

size_t xvm_os_mapping_limit(void)
{
    xvm_os_reader r;
    size_t limit;
    int behind;

    if (!xvm_os_read_start(&r, "/proc/sys/vm/max_map_count"))
        return SIZE_MAX;
    limit = (size_t)xvm_os_read_number(&r, 10, &behind);
    xvm_os_read_end(&r);
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
    xvm_os_reader r;

    if (!xvm_os_read_start(&r, "/proc/self/maps"))
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
    xvm_os_read_end(&r);
    *limit = hole;
    return (void *)best;
}

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    (void)address;
    (void)out;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    (void)visit;
    (void)context;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

size_t xvm_os_huge(const void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

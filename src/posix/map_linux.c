/* map_linux.c - the process's map as Linux shows it: mappings, holes, what is in memory.
 *
 *     /proc/self/maps       a line for each mapping: "start-end rwxp offset device inode path"
 *       PROCMAP_QUERY       the mapping at or above one address, without the others (6.11)
 *     /proc/self/pagemap
 *       PAGEMAP_SCAN        runs of pages that are in memory; skips empty tables (6.7)
 *
 * Both files are opened once and kept. A program may close descriptors that are not its own, and a
 * child made by fork inherits its parent's, which show the parent: before each use the descriptor
 * is compared with what was opened, and by whom. A thread that finds it in use opens its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "kept.h"
#include "lock.h"
#include "pages.h"
#include "read.h"
#include "scan.h"

/* --- the text --------------------------------------------------------------------------------- */

/* A line: its range, which of r, w, x and s it has, and whether it is of a file. */
typedef struct mapping {
    uintptr_t start, end;
    bool reads, writes, executes, is_shared, has_file;
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
    m->is_shared = xvm_os_read_byte(r) == 's';
    (void)xvm_os_read_byte(r);
    for (int field = 0; field < 3; field++) /* the offset, and the device's two numbers */
        (void)xvm_os_read_number(r, 16, &byte);
    m->has_file = xvm_os_read_number(r, 10, &byte) != 0;
    if (byte != '\n')
        xvm_os_read_line_end(r);
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

/* What a processor makes of it: one that executes or writes can read. */
static xvm_protection protection_of(const mapping *m)
{
    if (m->executes)
        return m->writes ? XVM_READ_WRITE_EXECUTE : XVM_READ_EXECUTE;
    if (m->writes)
        return XVM_READ_WRITE;
    return m->reads ? XVM_READ : XVM_NO_ACCESS;
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

/* --- descriptors that are kept ---------------------------------------------------------------- */

/* busy: a thread uses it, or has been in the middle of that when this process was forked. */
typedef struct kept {
    const char *path;
    unsigned busy;
    int owner; /* the process that opened it: an inherited one shows the parent */
    xvm_os_file file;
} kept;

static kept maps = {.path = "/proc/self/maps"};
static kept pagemap = {.path = "/proc/self/pagemap"};

/* A descriptor until give_back; -1: there is none. */
static int borrow(kept *k, bool *is_kept)
{
    *is_kept = SWAP_ACQUIRE(&k->busy, 1u) == 0;
    if (!*is_kept)
        return xvm_os_open_file(k->path);
    if (k->owner != getpid()) {
        xvm_os_file_close(&k->file);
        k->owner = getpid();
    }
    return xvm_os_file_need(&k->file, k->path) ? k->file.number : -1;
}

static void give_back(kept *k, int file, bool is_kept)
{
    if (is_kept)
        STORE_RELEASE(&k->busy, 0u);
    else if (file >= 0)
        (void)close(file);
}

/* 0 or an errno; *result is set on 0 only. By syscall, because libraries do not agree on the type of
 * a request. */
static int ask(xvm_os_operation why, int file, unsigned long request, uintptr_t address,
               void *argument, long *result)
{
    const void *at = (const void *)address;
    long got;
    int code;

    if (is_refused(why, "ioctl", at, 0, &code))
        return code;
    got = syscall(SYS_ioctl, (long)file, (long)request, argument);
    if (got < 0)
        return told(why, "ioctl", at, 0, errno);
    *result = got;
    return told(why, "ioctl", at, 0, 0);
}

/* --- one mapping ------------------------------------------------------------------------------ */

/* The kernel's own layout and numbers, which older headers lack. */
typedef struct procmap_query {
    uint64_t size, query_flags, query_addr;                                   /* asked */
    uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode; /* answered */
    uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    uint64_t vma_name_addr, build_id_addr;
} procmap_query;

enum { VMA_READABLE = 1, VMA_WRITABLE = 2, VMA_EXECUTABLE = 4, VMA_SHARED = 8, OR_NEXT = 16 };

/* No process has an address behind it: above is the kernel. */
static uintptr_t top(void)
{
    return sizeof(void *) > 4 ? UINTPTR_MAX / 2 + 1
                              : round_down(UINTPTR_MAX, xvm_os_get_facts().page_size);
}

static void describe(const mapping *m, xvm_os_mapping *out)
{
    out->base = m->start;
    out->size = m->end - m->start;
    out->protection = protection_of(m);
    if (m->is_shared || m->has_file)
        out->state = XVM_MAPPED;
    else
        out->state = out->protection == XVM_NO_ACCESS ? XVM_RESERVED : XVM_COMMITTED;
}

static void describe_hole(uintptr_t from, uintptr_t to, xvm_os_mapping *out)
{
    *out = (xvm_os_mapping){from, to - from, XVM_FREE, XVM_NO_ACCESS};
}

/* The mapping that has an address, or the first one above; start == end == top(): none. 0 or an
 * errno. */
static int query_next(int file, uintptr_t address, mapping *m)
{
    procmap_query q = {.size = sizeof q, .query_flags = OR_NEXT, .query_addr = address};
    long none;
    int code = ask(XVM_OS_QUERY, file, _IOWR('f', 17, procmap_query), address, &q, &none);

    *m = (mapping){.start = top(), .end = top()};
    if (code != 0)
        return code == ENOENT ? 0 : code;
    *m = (mapping){.start = (uintptr_t)q.vma_start,
                   .end = (uintptr_t)q.vma_end,
                   .reads = (q.vma_flags & VMA_READABLE) != 0,
                   .writes = (q.vma_flags & VMA_WRITABLE) != 0,
                   .executes = (q.vma_flags & VMA_EXECUTABLE) != 0,
                   .is_shared = (q.vma_flags & VMA_SHARED) != 0,
                   .has_file = q.inode != 0};
    return 0;
}

/* Where the hole around an address starts. Nothing is mapped from high to the address; below low
 * does not matter. */
static int query_hole_start(int file, uintptr_t address, uintptr_t *start)
{
    size_t page = xvm_os_get_facts().page_size;
    uintptr_t low = 0, high = round_down(address, page);
    int code = 0;
    mapping m;

    while (low < high && code == 0) {
        uintptr_t middle = round_down(low + (high - low) / 2, page);

        code = query_next(file, middle, &m);
        if (m.start > address)
            high = middle;
        else
            low = m.end;
    }
    *start = high;
    return code;
}

static int find_by_query(int file, uintptr_t address, xvm_os_mapping *out)
{
    uintptr_t start;
    mapping m;
    int code = query_next(file, address, &m);

    if (code != 0)
        return code;
    if (m.start <= address) {
        describe(&m, out);
        return 0;
    }
    code = query_hole_start(file, address, &start);
    describe_hole(start, m.start, out);
    return code;
}

/* The same from the text. 0 or an errno. */
static int find_in_text(uintptr_t address, xvm_os_mapping *out)
{
    uintptr_t before = 0;
    int code;
    mapping m;
    xvm_os_reader r;

    if (is_refused(XVM_OS_QUERY, "read", (const void *)address, 0, &code))
        return code;
    if (!xvm_os_read_start(&r, maps.path))
        return told(XVM_OS_QUERY, "read", (const void *)address, 0, errno);
    m.end = 0;
    do {
        before = m.end;
        if (!next_mapping(&r, &m) || m.start >= top())
            m.start = m.end = top();
    } while (m.end <= address);
    xvm_os_read_end(&r);
    if (m.start <= address)
        describe(&m, out);
    else
        describe_hole(before, m.start, out);
    return told(XVM_OS_QUERY, "read", (const void *)address, 0, 0);
}

static bool is_lacking(int code)
{
    return code == ENOTTY || code == ENOSYS || code == EINVAL;
}

/* Any refusal is answered by the text; one that stands for a kernel without it is remembered. */
xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    static unsigned lacks_query;
    uintptr_t at = (uintptr_t)address;
    int saved = errno, code = ENOTTY, file;
    bool is_kept;

    if (at >= top())
        return (xvm_os_answer){XVM_E_INVALID, 0};
    if (!LOAD(&lacks_query)) {
        file = borrow(&maps, &is_kept);
        if (file >= 0)
            code = find_by_query(file, at, out);
        give_back(&maps, file, is_kept);
        if (file >= 0 && is_lacking(code))
            STORE(&lacks_query, 1u);
    }
    if (code != 0)
        code = find_in_text(at, out);
    if (code != 0)
        return (xvm_os_answer){XVM_E_SYSTEM, code};
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

/* --- all of them ------------------------------------------------------------------------------ */

/* What the kernel shows of itself at the end is no mapping of the process. */
xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    int saved = errno, code;
    xvm_os_mapping shown;
    mapping m;
    xvm_os_reader r;

    if (is_refused(XVM_OS_QUERY, "read", NULL, 0, &code))
        return (xvm_os_answer){XVM_E_SYSTEM, code};
    if (!xvm_os_read_start(&r, maps.path))
        return (xvm_os_answer){XVM_E_SYSTEM, told(XVM_OS_QUERY, "read", NULL, 0, errno)};
    while (next_mapping(&r, &m) && m.start < top()) {
        describe(&m, &shown);
        if (visit(&shown, context) != 0)
            break;
    }
    xvm_os_read_end(&r);
    (void)told(XVM_OS_QUERY, "read", NULL, 0, 0);
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

/* --- what is in memory ------------------------------------------------------------------------ */

enum { RUNS = XVM_OS_RUNS_AHEAD, AHEAD = 256 << 20 };

/* Runs of pages in memory between from and reached, that are not the common one of zeros, which
 * costs none. */
typedef struct stretch {
    uintptr_t from, reached;
    size_t count;
    xvm_os_scanned runs[RUNS];
} stretch;

int xvm_os_ask_scan(xvm_os_operation why, xvm_os_scan *question, long *found)
{
    bool is_kept;
    int file = borrow(&pagemap, &is_kept), code = EBADF;

    if (file >= 0)
        code = ask(why, file, _IOWR('f', 16, xvm_os_scan), (uintptr_t)question->start, question,
                   found);
    give_back(&pagemap, file, is_kept);
    return code;
}

static int scan(uintptr_t from, uintptr_t to, stretch *out)
{
    xvm_os_scan q = {.size = sizeof q,
                     .start = from,
                     .end = to,
                     .vec = (uintptr_t)out->runs,
                     .vec_len = RUNS,
                     .category_mask = XVM_OS_PAGE_PRESENT | XVM_OS_PAGE_ZERO,
                     .category_inverted = XVM_OS_PAGE_ZERO,
                     .return_mask = XVM_OS_PAGE_PRESENT | XVM_OS_PAGE_HUGE};
    long found = 0;
    int code = xvm_os_ask_scan(XVM_OS_QUERY, &q, &found);

    out->from = from;
    out->count = (size_t)found;
    out->reached = q.walk_end > from ? (uintptr_t)q.walk_end : to;
    return code;
}

/* As much as one question answers. False: the kernel cannot, or does not want to. */
static bool look(uintptr_t from, uintptr_t to, stretch *out)
{
    static unsigned lacks_scan;
    int saved = errno, code;

    if (LOAD(&lacks_scan))
        return false;
    code = scan(from, to, out);
    if (is_lacking(code))
        STORE(&lacks_scan, 1u);
    errno = saved;
    return code == 0;
}

/* Bytes in memory, of them in huge pages. */
typedef struct presence {
    size_t resident, huge;
} presence;

static bool count(uintptr_t from, uintptr_t to, presence *out)
{
    stretch found;

    for (*out = (presence){0, 0}; from < to; from = found.reached) {
        if (!look(from, to, &found))
            return false;
        for (size_t i = 0; i < found.count; i++) {
            size_t size = (size_t)(found.runs[i].end - found.runs[i].start);

            out->resident += size;
            out->huge += (found.runs[i].categories & XVM_OS_PAGE_HUGE) != 0 ? size : 0;
        }
    }
    return true;
}

size_t xvm_os_resident(const void *address, size_t size)
{
    presence found;

    return count((uintptr_t)address, (uintptr_t)address + size, &found)
               ? found.resident
               : xvm_os_ask_mincore(address, size);
}

size_t xvm_os_huge(const void *address, size_t size)
{
    presence found;

    return count((uintptr_t)address, (uintptr_t)address + size, &found) ? found.huge : 0;
}

/* The runs found last time may reach further than what was asked. */
static void look_ahead(uintptr_t from, size_t size, xvm_os_ahead *ahead)
{
    uintptr_t end = top() - from - size > AHEAD ? from + size + AHEAD : top();
    stretch found;

    *ahead = (xvm_os_ahead){.from = from, .to = from};
    if (!look(from, end, &found))
        return;
    ahead->to = found.reached;
    ahead->count = found.count;
    for (size_t i = 0; i < found.count; i++) {
        ahead->runs[i].from = (uintptr_t)found.runs[i].start;
        ahead->runs[i].to = (uintptr_t)found.runs[i].end;
    }
}

size_t xvm_os_resident_ahead(const void *address, size_t size, xvm_os_ahead *ahead)
{
    uintptr_t from = (uintptr_t)address, to = from + size;
    size_t resident = 0;

    if (from < ahead->from || to > ahead->to)
        look_ahead(from, size, ahead);
    if (to > ahead->to)
        return xvm_os_resident(address, size); /* more runs than fit */
    while (ahead->next < ahead->count && ahead->runs[ahead->next].to <= from)
        ahead->next++;
    for (size_t i = ahead->next; i < ahead->count && ahead->runs[i].from < to; i++) {
        uintptr_t start = ahead->runs[i].from > from ? ahead->runs[i].from : from;

        resident += (ahead->runs[i].to < to ? ahead->runs[i].to : to) - start;
    }
    return resident;
}

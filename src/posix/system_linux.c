/* system_linux.c - what Linux says of the machine once, and what it can do: tried, on a scratch
 * page. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "call.h"
#include "cgroup.h"
#include "pages.h"

/* Numbers of the Linux interface that headers of 6.1 and musl lack. */
enum { PREFERRED = 1, THIS_PROCESS = -10000 };
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* --- files ------------------------------------------------------------------------------------ */

/* The first line of a file into text; "" when there is none. */
static void read_line(const char *path, char *text, size_t capacity)
{
    xvm_os_file file = {0};
    xvm_os_lines lines;
    const char *line = NULL;

    text[0] = '\0';
    if (xvm_os_lines_start(&lines, &file, path))
        line = xvm_os_lines_next(&lines);
    if (line != NULL && strlen(line) < capacity)
        memcpy(text, line, strlen(line) + 1);
    xvm_os_file_close(&file);
}

/* A file that holds a number; 0 when there is none. */
static uint64_t read_number(const char *path)
{
    char text[64];
    uint64_t value;

    read_line(path, text, sizeof text);
    return xvm_os_parse_number(text, &value) != NULL ? value : 0;
}

static size_t read_huge_page_size(void)
{
    xvm_os_file file = {0};
    xvm_os_lines lines;
    uint64_t kilobytes = 0;
    const char *line, *text = NULL;

    if (!xvm_os_lines_start(&lines, &file, "/proc/meminfo"))
        return 0;
    while (text == NULL && (line = xvm_os_lines_next(&lines)) != NULL)
        text = xvm_os_after_key(line, "Hugepagesize:");
    if (text != NULL)
        (void)xvm_os_parse_number(text, &kilobytes);
    xvm_os_file_close(&file);
    return (size_t)kilobytes << 10;
}

/* "0" or "0-3,8": the highest node decides, because nodes are asked for by their number. */
static unsigned count_nodes(void)
{
    char list[256];
    const char *at = list;
    uint64_t node = 0;

    read_line("/sys/devices/system/node/online", list, sizeof list);
    while ((at = xvm_os_parse_number(at, &node)) != NULL && *at != '\0')
        at++;
    return (unsigned)node + 1;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* The name of the program lies at the top of the first thread's stack, which lies near the top of
 * the user space: within a power of two where there are more than 32 bits, within a GiB else. The
 * page below that end is never given away. */
static void find_addresses(xvm_system_info *out)
{
    uintptr_t top = (uintptr_t)getauxval(AT_EXECFN), page = out->page_size;
    const uint64_t step = (uint64_t)1 << 30;
    uint64_t end = step, lowest = read_number("/proc/sys/vm/mmap_min_addr");

    while (end < top)
        end += sizeof top > 4 ? end : step;
    out->highest_address = (uintptr_t)(end - page - 1);
    out->address_bits = 64 - (unsigned)__builtin_clzll(out->highest_address);
    out->lowest_address = lowest > page ? round_up((size_t)lowest, page) : page;
}

/* --- trials ----------------------------------------------------------------------------------- */

/* A feature and its trial, with a writable page that holds no value. */
typedef struct trial {
    xvm_feature feature;
    bool (*works)(void *page, size_t size);
} trial;

static bool can_set_fork(void *page, size_t size)
{
    return madvise(page, size, MADV_DONTFORK) == 0 && madvise(page, size, MADV_DOFORK) == 0;
}

static bool can_set_dump(void *page, size_t size)
{
    return madvise(page, size, MADV_DONTDUMP) == 0 && madvise(page, size, MADV_DODUMP) == 0;
}

static bool can_name(void *page, size_t size)
{
    return prctl(PR_SET_VMA, (unsigned long)PR_SET_VMA_ANON_NAME, (uintptr_t)page, size,
                 (uintptr_t) "xvm") == 0;
}

static bool can_prefer_node(void *page, size_t size)
{
    unsigned long nodes = 1;

    return syscall(SYS_mbind, page, size, PREFERRED, &nodes, 8 * sizeof nodes, 0) == 0;
}

/* Believed when the byte is gone: emulators accept advice and do nothing. */
static bool can_discard_many(void *page, size_t size)
{
    struct iovec piece = {page, size};
    volatile unsigned char *byte = page;

    *byte = 1;
    return syscall(SYS_process_madvise, THIS_PROCESS, &piece, 1, MADV_DONTNEED, 0) == (long)size &&
           *byte == 0;
}

static bool can_execute(void *page, size_t size)
{
    return mprotect(page, size, PROT_READ | PROT_EXEC) == 0 &&
           mprotect(page, size, PROT_READ | PROT_WRITE) == 0;
}

static bool can_count_faults(void *page, size_t size)
{
    struct rusage use;

    (void)page;
    (void)size;
    return getrusage(RUSAGE_SELF, &use) == 0 && use.ru_minflt > 0;
}

/* "always [madvise] never" */
static bool has_transparent_huge(void *page, size_t size)
{
    char modes[64];

    (void)page;
    (void)size;
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", modes, sizeof modes);
    return modes[0] != '\0' && strstr(modes, "[never]") == NULL;
}

static bool has_strict_commit(void *page, size_t size)
{
    (void)page;
    (void)size;
    return read_number("/proc/sys/vm/overcommit_memory") == 2;
}

static bool knows_container(void *page, size_t size)
{
    (void)page;
    (void)size;
    return xvm_os_container_is_known();
}

static uint64_t try_all(size_t size)
{
    static const trial trials[] = {{XVM_HAS_FORK, can_set_fork},
                                   {XVM_HAS_DUMP, can_set_dump},
                                   {XVM_HAS_NAMES, can_name},
                                   {XVM_HAS_NUMA, can_prefer_node},
                                   {XVM_HAS_BATCH_DISCARD, can_discard_many},
                                   {XVM_HAS_EXECUTE, can_execute},
                                   {XVM_HAS_FAULT_COUNTS, can_count_faults},
                                   {XVM_HAS_TRANSPARENT_HUGE, has_transparent_huge},
                                   {XVM_HAS_STRICT_COMMIT, has_strict_commit},
                                   {XVM_HAS_CONTAINER, knows_container}};
    uint64_t features = 0;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return 0;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        features |= trials[i].works(page, size) ? (uint64_t)trials[i].feature : 0;
    (void)munmap(page, size);
    return features;
}

/* The pool promises the page at mmap, before it is touched. */
static uint64_t try_explicit_huge(size_t size)
{
    void *page = MAP_FAILED;

    if (size != 0)
        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
                    -1, 0);
    if (page == MAP_FAILED)
        return 0;
    (void)munmap(page, size);
    return XVM_HAS_EXPLICIT_HUGE;
}

/* --- the interface ---------------------------------------------------------------------------- */

void xvm_os_get_system(xvm_system_info *out)
{
    int saved = errno;
    long pages = sysconf(_SC_PHYS_PAGES), processors = sysconf(_SC_NPROCESSORS_ONLN);

    out->huge_page_size = read_huge_page_size();
    out->thp_size = (size_t)read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    find_addresses(out);
    out->physical_memory = pages > 0 ? (uint64_t)pages * out->page_size : 0;
    out->processors = processors > 0 ? (unsigned)processors : 1;
    out->numa_nodes = count_nodes();
    out->features = try_all(out->page_size) | try_explicit_huge(out->huge_page_size);
    errno = saved;
}

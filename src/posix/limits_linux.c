/* limits_linux.c - every limit that Linux tells.
 *
 *     /proc/meminfo        the machine: memory, commit charge, swap
 *     /proc/self/status    this process: VmSize, VmLck, VmRSS, VmData
 *     control groups       the container (cgroup_linux.c)
 *     getrlimit, getrusage, /proc/sys/vm/max_map_count, /proc/self/maps
 *
 *   1  One thread at a time uses the files that stay open. Who finds them in use opens its own for
 *      this one look: nobody waits, so a thread that is stopped, cancelled or interrupted by a
 *      signal in the middle of a look costs the others time and nothing else.
 *   2  holder is the process that uses them. After a fork it may be the parent: then its thread is
 *      not here, and the files are ours.
 *   3  They belong to one process: /proc/self of the parent is not that of the child.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "call.h"
#include "cgroup.h"
#include "lock.h"

typedef struct files {
    pid_t process; /* that opened them */
    xvm_os_file machine, status, map, map_limit;
    xvm_os_groups groups;
} files;

static files kept;
static pid_t holder; /* 0: nobody */

/* --- whose files ------------------------------------------------------------------------------ */

static void forget(files *f)
{
    xvm_os_file_close(&f->machine);
    xvm_os_file_close(&f->status);
    xvm_os_file_close(&f->map);
    xvm_os_file_close(&f->map_limit);
    xvm_os_groups_forget(&f->groups);
}

/* The files that stay open, or else own, with none open yet. */
static files *take(files *own)
{
    pid_t found = LOAD(&holder), self = getpid();

    if (found == self || !COMPARE_SWAP_ACQUIRE(&holder, &found, self)) {
        memset(own, 0, sizeof *own);
        return own;
    }
    if (kept.process != self)
        forget(&kept);
    kept.process = self;
    return &kept;
}

static void give_back(files *f)
{
    if (f == &kept)
        STORE_RELEASE(&holder, 0);
    else
        forget(f);
}

/* --- files of fields -------------------------------------------------------------------------- */

/* "key   number kB" */
typedef struct field {
    const char *key;
    uint64_t *bytes;
} field;

static bool read_field(const char *line, const field *f)
{
    const char *text = xvm_os_after_key(line, f->key);
    uint64_t kilobytes;

    if (text == NULL || xvm_os_parse_number(text, &kilobytes) == NULL)
        return false;
    *f->bytes = kilobytes <= UINT64_MAX >> 10 ? kilobytes << 10 : UINT64_MAX;
    return true;
}

/* False when none of the fields is there; those that are missing are left alone. */
static bool read_fields(xvm_os_file *file, const char *path, const field *fields, unsigned count)
{
    xvm_os_lines lines;
    unsigned found = 0;
    const char *line;

    if (!xvm_os_lines_start(&lines, file, path))
        return false;
    while (found < count && (line = xvm_os_lines_next(&lines)) != NULL)
        for (unsigned i = 0; i < count; i++)
            found += read_field(line, &fields[i]);
    return found != 0;
}

static bool read_machine(files *f, xvm_limits *out)
{
    uint64_t swap = 0;
    const field fields[] = {{"MemTotal:", &out->physical_total},
                            {"MemAvailable:", &out->physical_available},
                            {"SwapFree:", &swap},
                            {"CommitLimit:", &out->commit_limit},
                            {"Committed_AS:", &out->commit_used}};
    bool read = read_fields(&f->machine, "/proc/meminfo", fields, sizeof fields / sizeof *fields);

    if (out->physical_available < UINT64_MAX - swap)
        out->headroom = out->physical_available + swap;
    return read;
}

static bool read_process(files *f, xvm_limits *out)
{
    const field fields[] = {{"VmSize:", &out->process_reserved},
                            {"VmLck:", &out->process_locked},
                            {"VmRSS:", &out->process_resident},
                            {"VmData:", &out->process_committed}};
    bool read =
        read_fields(&f->status, "/proc/self/status", fields, sizeof fields / sizeof *fields);

    out->lock_used = out->process_locked;
    return read;
}

/* --- limits and counts of the process --------------------------------------------------------- */

static uint64_t limit_of(rlim_t soft)
{
    return soft == RLIM_INFINITY ? UINT64_MAX : soft;
}

/* A macro, because the type of the first argument differs between C libraries. */
#define READ_LIMIT(which, out)                                                                     \
    do {                                                                                           \
        struct rlimit limit_;                                                                      \
        if (getrlimit(which, &limit_) == 0)                                                        \
            *(out) = limit_of(limit_.rlim_cur);                                                    \
    } while (0)

static void read_resource_limits(xvm_limits *out)
{
    READ_LIMIT(RLIMIT_AS, &out->address_space_limit);
    READ_LIMIT(RLIMIT_DATA, &out->data_limit);
    READ_LIMIT(RLIMIT_MEMLOCK, &out->lock_limit);
}

static void read_faults(xvm_limits *out)
{
    struct rusage use;

    if (getrusage(RUSAGE_SELF, &use) != 0)
        return;
    out->minor_faults = (uint64_t)use.ru_minflt;
    out->major_faults = (uint64_t)use.ru_majflt;
}

/* The number of mappings is the number of lines. An emulator hands out a copy of the file, which
 * lies elsewhere and grows old: that does not stay open. */
static void count_mappings(files *f, xvm_limits *out)
{
    xvm_os_lines lines;

    if (!xvm_os_lines_start(&lines, &f->map, "/proc/self/maps"))
        return;
    out->map_used = 0;
    while (xvm_os_lines_next(&lines) != NULL)
        out->map_used++;
    if (f->map.device != f->status.device)
        xvm_os_file_close(&f->map);
}

static void read_map_limit(files *f, xvm_limits *out)
{
    xvm_os_lines lines;
    uint64_t limit;
    const char *line;

    if (!xvm_os_lines_start(&lines, &f->map_limit, "/proc/sys/vm/max_map_count"))
        return;
    line = xvm_os_lines_next(&lines);
    if (line != NULL && xvm_os_parse_number(line, &limit) != NULL)
        out->map_limit = limit;
}

/* --- the interface ---------------------------------------------------------------------------- */

static uint64_t memory_of_machine(void)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

xvm_os_answer xvm_os_get_limits(xvm_limits *out)
{
    int saved = errno;
    bool told;
    files own, *f = take(&own);

    memset(out, 0xff, sizeof *out);
    told = read_machine(f, out);
    told |= read_process(f, out);
    count_mappings(f, out);
    read_map_limit(f, out);
    (void)xvm_os_groups_look(&f->groups, "", out->physical_total, &out->container_limit,
                             &out->container_used);
    give_back(f);
    if (!told)
        return xvm_os_classify(XVM_OS_QUERY, errno != 0 ? errno : ENOENT);
    read_resource_limits(out);
    read_faults(out);
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

int xvm_os_container(uint64_t *limit, uint64_t *used)
{
    int saved = errno;
    files own, *f = take(&own);
    bool limited = xvm_os_groups_look(&f->groups, "", memory_of_machine(), limit, used);

    give_back(f);
    errno = saved;
    return limited;
}

/* Asked once: a fact is not worth a descriptor for the rest of the process. */
bool xvm_os_container_is_known(void)
{
    uint64_t limit, used;
    xvm_os_groups groups = {0};
    bool known = xvm_os_groups_look(&groups, "", UINT64_MAX, &limit, &used) ||
                 xvm_os_groups_are_known(&groups);

    xvm_os_groups_forget(&groups);
    return known;
}

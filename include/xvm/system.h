/* system.h - facts and limits of the machine and of this process.
 *
 *     page size, features      what there is: xvm_page_size, xvm_system
 *     limits, use, headroom    how much of it may still be had: xvm_get_limits
 */
#ifndef XVM_SYSTEM_H
#define XVM_SYSTEM_H

#include "xvm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The unit of commit, protect and lock.
 *
 * result     bytes, a power of two; asked of the system at run time; never 0. A region keeps the
 *            page size it was reserved with, even when xvm_test_page_size changes this one later
 * threads    any
 * linux      sysconf(_SC_PAGESIZE): 4, 16 or 64 KiB by processor and kernel
 * windows    GetSystemInfo, dwPageSize: 4 KiB on x86 and ARM64
 * since      0.1
 */
XVM_API size_t xvm_page_size(void);

/* The unit of reservation: the base of every region is a multiple of it.
 *
 * result     bytes, a power of two, a multiple of xvm_page_size()
 * threads    any
 * linux      the page size
 * windows    GetSystemInfo, dwAllocationGranularity: 64 KiB; the rest of a last, partly used unit
 *            is lost
 * since      0.1
 */
XVM_API size_t xvm_allocation_granularity(void);

/* What this system can do. Each was tried, or asked for where trying would cost memory; none is
 * derived from a version number. */
typedef enum xvm_feature {
    XVM_HAS_LIGHT_GUARDS = 1 << 0,     /* xvm_guard costs no mapping */
    XVM_HAS_FINE_SPARSE = 1 << 1,      /* XVM_COMMIT_SPARSE: uncommitted pages always fault */
    XVM_HAS_STRICT_COMMIT = 1 << 2,    /* all that is committed can be touched: no overcommit */
    XVM_HAS_TRANSPARENT_HUGE = 1 << 3, /* XVM_HUGE_TRANSPARENT has an effect */
    XVM_HAS_EXPLICIT_HUGE = 1 << 4,    /* XVM_HUGE_MUST_EXPLICIT could succeed at the first call */
    XVM_HAS_NUMA = 1 << 5,             /* a node can be preferred */
    XVM_HAS_FORK = 1 << 6,             /* fork policies have an effect */
    XVM_HAS_DUMP = 1 << 7,             /* dump policies have an effect */
    XVM_HAS_NAMES = 1 << 8,            /* the system shows the names of regions */
    XVM_HAS_EXECUTE = 1 << 9,          /* written pages may be made executable */
    XVM_HAS_BATCH_DISCARD = 1 << 10,   /* xvm_discard_ranges is one system call for many ranges */
    XVM_HAS_FAULT_COUNTS = 1 << 11,    /* minor_faults and major_faults are known */
    XVM_HAS_CONTAINER = 1 << 12,       /* the container's limits, if any, can be read */
    XVM_HAS_MOVE = 1 << 13,            /* xvm_move of 1 MiB and more is faster than a copy */
    XVM_HAS_WRITE_WATCH = 1 << 14, /* the system sees by itself which pages are written; without it
                                          xvm_watch_start protects them */
    XVM_HAS_MAP_INTO = 1 << 15     /* views of shares may lie in part of a reserved region */
} xvm_feature;

/* Facts of the machine, asked for once. Page size and granularity are the real ones, whatever
 * xvm_test_page_size pretends. */
typedef struct xvm_system_info {
    size_t page_size, allocation_granularity;
    size_t huge_page_size; /* of explicit huge pages; 0 = the system has none */
    size_t thp_size;       /* of transparent huge pages; 0 = the system has none */
    uintptr_t lowest_address, highest_address; /* of what a process may reserve; the last byte */
    unsigned address_bits;                     /* of highest_address */
    uint64_t physical_memory;
    unsigned processors, numa_nodes; /* the highest node and one */
    uint64_t features;               /* of xvm_feature */
} xvm_system_info;

/* The facts.
 *
 * result     static data, never NULL; the same at every call
 * threads    any
 * linux      sysconf, /proc/meminfo, /sys/kernel/mm, /sys/devices/system/node; features by trying.
 *            The highest address follows from where the first stack ends: what is above 47 bits on
 *            request only is not counted
 * windows    GetSystemInfo, GlobalMemoryStatusEx, GetLargePageMinimum, GetNumaHighestNodeNumber.
 *            XVM_HAS_STRICT_COMMIT where commit charge is counted, which it is not under Wine
 * since      0.2
 */
XVM_API const xvm_system_info *xvm_system(void);

/* Every ceiling, and how far below it we are. Bytes, but for mappings and faults. UINT64_MAX: there
 * is no limit, or the system does not tell. */
typedef struct xvm_limits {
    uint64_t physical_total, physical_available;
    uint64_t commit_limit, commit_used;       /* system wide */
    uint64_t container_limit, container_used; /* the ancestor with the least room left */
    uint64_t address_space_limit, data_limit; /* of this process: RLIMIT_AS, RLIMIT_DATA */
    uint64_t lock_limit, lock_used;
    uint64_t map_limit, map_used; /* mappings */
    uint64_t process_reserved, process_committed, process_resident, process_locked;
    uint64_t minor_faults, major_faults;
    uint64_t headroom; /* how much may still be committed and touched: the smallest of all room */
} xvm_limits;

/* Reads every limit and its use.
 *
 * out        filled; on failure all zero
 * result     a look at one moment. headroom is the smallest of: what the container has left,
 *            counting what it can drop; data_limit less what is committed; the commit limit less
 *            its use where the system enforces it; the physical memory available, with swap
 * errors     XVM_E_INVALID: out NULL. XVM_E_SYSTEM: the system tells nothing
 * threads    any
 * linux      /proc/meminfo, /proc/self/status, getrlimit (soft limits), getrusage, cgroup v2 or v1
 *            with all ancestors (memory.max, memory.high; limit_in_bytes). A limit above the
 *            physical memory is none; one whose use cannot be read has container_used 0. Page cache
 *            that is inactive counts as room. lock_limit is what xvm_lock starts from: it raises it
 *            as far as the hard limit, and a process with CAP_IPC_LOCK has none. Descriptors are
 *            kept open, closed on exec, opened anew after fork and after the program has closed
 *            them. Mappings are counted by reading /proc/self/maps: the only part whose cost grows,
 *            by half a microsecond for each
 * windows    GlobalMemoryStatusEx, GetPerformanceInfo, QueryInformationJobObject (the job the
 *            process is in, not those around it), GetProcessMemoryInfo, GetProcessWorkingSetSize
 *            (the minimum: xvm_lock raises it). minor_faults counts all faults; major_faults and
 *            what is locked are unknown, and so is process_reserved where commit charge is not
 *            counted: a walk over all regions would cost more than all else. data_limit and
 *            mappings have no limit. Under Wine job limits, faults, commit charge and reservations
 *            of the process are unknown
 * since      0.2
 */
XVM_API xvm_status xvm_get_limits(xvm_limits *out);

#ifdef __cplusplus
}
#endif

#endif

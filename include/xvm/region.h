/* region.h - the floor: reserve address space, commit memory into it, give it back.
 *
 *     base                                                        base + size
 *     | committed | reserved | committed, read | committed, locked | reserved |
 *
 * A region is one reservation: a value handle with no heap behind it, one owner, never copied, all
 * zero when it holds nothing. Different threads may work on different pages of one region at the
 * same time.
 *
 * Rules for every call that takes a range (offset and size, in bytes from the base):
 *   1  The range is checked before the first system call: outside the region, or wrapping, is
 *      XVM_E_INVALID.
 *   2  Size 0 is XVM_OK and does nothing.
 *   3  Calls that give (commit, lock, prefault) round outward to pages; calls that take (decommit,
 *      discard, unlock) round inward; protect needs whole pages.
 *   4  Pages that are as asked already are left alone: a call that changes nothing makes no system
 *      call.
 *   5  A failed call leaves every page as it was: what was half done is undone. Where the system
 *      refuses the undoing as well, the region goes on knowing what is true.
 *   6  XVM_E_SYSTEM, in every call, is a refusal that has no cause listed there; xvm_system_error()
 *      has the code.
 */
#ifndef XVM_REGION_H
#define XVM_REGION_H

#include "xvm/status.h"
#include "xvm/system.h"

#ifdef __cplusplus
extern "C" {
#endif

struct xvm_budget;

/* What may be done with a committed page. */
typedef enum xvm_protection {
    XVM_NO_ACCESS = 1, /* every touch faults; the bytes stay */
    XVM_READ,
    XVM_READ_WRITE,
    XVM_READ_EXECUTE,
    XVM_READ_WRITE_EXECUTE
} xvm_protection;

/* Who answers for committed memory. */
typedef enum xvm_commit_mode {
    XVM_COMMIT_CHARGED = 0, /* the system: charged against its limits, returned by decommit */
    XVM_COMMIT_SPARSE       /* for random page-by-page commit in huge regions */
} xvm_commit_mode;

typedef enum xvm_huge {
    XVM_HUGE_DEFAULT = 0, /* as the system does for any memory */
    XVM_HUGE_NEVER,
    XVM_HUGE_TRANSPARENT,
    XVM_HUGE_TRY_EXPLICIT,
    XVM_HUGE_MUST_EXPLICIT
} xvm_huge;

/* What a child process made by fork finds. Windows has no fork: there it is ignored. */
typedef enum xvm_fork {
    XVM_FORK_COPY = 0, /* the contents, as usual */
    XVM_FORK_NONE,     /* no memory at all: a touch faults; the child may only release the region */
    XVM_FORK_ZERO      /* zeros */
} xvm_fork;

/* Whether the contents go into a core dump. */
typedef enum xvm_dump { XVM_DUMP_DEFAULT = 0, XVM_DUMP_NEVER } xvm_dump;

/* How to reserve; all zero is the default. */
typedef struct xvm_reserve_options {
    size_t alignment;    /* of the base: a power of two, 4 GiB and beyond; 0 = granularity */
    size_t min_size;     /* not 0: when refused, halve the size down to this before giving up */
    const void *address; /* exactly here or not at all: a multiple of alignment; NULL = anywhere */
    uintptr_t below;     /* the whole region ends at or below this address; 0 = anywhere */
    xvm_commit_mode commit_mode; /* XVM_COMMIT_SPARSE: XVM_E_UNSUPPORTED in this version */
    xvm_huge huge;               /* others than default: XVM_E_UNSUPPORTED in this version */
    xvm_fork fork;
    xvm_dump dump;
    int numa_node;             /* 1-based; others than 0 = any: XVM_E_UNSUPPORTED in this version */
    unsigned flags;            /* none in this version */
    struct xvm_budget *budget; /* others than NULL: XVM_E_UNSUPPORTED in this version */
    const char *name; /* static string: in the system's maps where the kernel can show it */
} xvm_reserve_options;

/* A region. base and size are for reading; own is the library's. */
typedef struct xvm_region {
    void *base;  /* aligned as asked; NULL: holds nothing */
    size_t size; /* a multiple of the page size */
    struct {
        size_t pages, simple, booked; /* states: what is known of each page, see src/pagemap.h */
        size_t committed, locked;     /* pages */
        unsigned lock;                /* held for book-keeping, never during a system call */
        unsigned char page_shift, has_head, fork, dump;
        unsigned char renew; /* a decommit lost policies: commits apply them again */
        size_t *level[3], *present;
        const char *name;
        void *os_base;  /* the whole reservation as the system knows it */
        size_t os_size; /*   (base .. base + size is a part of it) */
        void *book;     /* a reservation for the states alone; NULL: they are behind the pages */
        void *book_base;
        size_t book_size;
    } own;
} xvm_region;

/* Reserves address space; no memory, no charge.
 *
 * region     the handle to fill; its old value is not looked at
 * size       bytes, rounded up to pages; 0 is XVM_E_INVALID
 * options    NULL = all zero
 * result     base and size are set, every page is reserved: a touch faults. With min_size, size may
 *            be smaller
 * errors     XVM_E_INVALID: size 0, alignment no power of two, address no multiple of the alignment
 *            and of the granularity, min_size above size, an enum out of range.
 *            XVM_E_ADDRESS_SPACE: no such hole, or RLIMIT_AS. XVM_E_ADDRESS_TAKEN: address is in
 *            use, nothing there was touched. XVM_E_LOCK_LIMIT: mlockall(MCL_FUTURE) and
 *            RLIMIT_MEMLOCK. XVM_E_MAP_LIMIT: too many mappings. XVM_E_UNSUPPORTED: an option of a
 *            later version. On error *region holds nothing: all zero, or, when giving back what was
 *            half reserved was refused as well, what a later xvm_release gives back
 * threads    any
 * linux      mmap(PROT_NONE) without MAP_NORESERVE, so that a commit is charged; one never
 *            committed page behind the region keeps it apart from its neighbours, but not behind an
 *            exact address
 * windows    VirtualAlloc(MEM_RESERVE); VirtualAlloc2 for alignments above 64 KiB where it works,
 *            else a larger reservation whose true base is kept
 * since      0.1
 */
XVM_API xvm_status xvm_reserve(xvm_region *region, size_t size, const xvm_reserve_options *options);

/* Gives the whole reservation back, committed, locked or not.
 *
 * region     a handle all zero is XVM_OK
 * result     the handle is all zero; the addresses may be used again at once
 * errors     XVM_E_INVALID: region NULL. XVM_E_MAP_LIMIT: the mapping limit is reached and the
 *            system would have to split a mapping; the region is whole and can be released later
 * threads    not while another thread uses the region
 * linux      munmap of the whole range
 * windows    VirtualFree(base, 0, MEM_RELEASE)
 * since      0.1
 */
XVM_API xvm_status xvm_release(xvm_region *region);

/* Makes pages usable: readable, writable, zero at first.
 *
 * offset,size  rounded outward to pages
 * result       the whole range is committed; pages that were committed keep their bytes and their
 *              protection
 * errors       XVM_E_INVALID: range. XVM_E_COMMIT_LIMIT: the system refuses the charge.
 *              XVM_E_MAP_LIMIT: too many separate runs. On error the pages that were reserved are
 *              reserved again
 * threads      any, on different pages
 * linux        mprotect(READ|WRITE) for each run of reserved pages: charged against the overcommit
 *              limit and RLIMIT_DATA; resident from the first touch on
 * windows      VirtualAlloc(MEM_COMMIT) for each run: charged against the page file and the job
 *              limit
 * since        0.1
 */
XVM_API xvm_status xvm_commit(xvm_region *region, size_t offset, size_t size);

/* Gives memory back and keeps the addresses.
 *
 * offset,size  rounded inward to pages
 * result       the range is reserved: a touch faults, memory and charge are returned, locks
 *              dropped; the next commit finds zeros. Policies of the region (fork, dump, name) hold
 *              for that commit too
 * errors       XVM_E_INVALID: range. XVM_E_MAP_LIMIT: the mapping limit is reached and the kernel
 *              has no other way either. On error the bytes are intact
 * threads      any, on different pages
 * linux        mmap(MAP_FIXED, PROT_NONE) over the own range: the only call that returns the charge
 *              of touched pages. At the mapping limit mprotect(NONE) and MADV_DONTNEED, or
 *              MADV_GUARD_INSTALL: the memory is returned, the charge only with the next decommit
 *              or release
 * windows      VirtualFree(MEM_DECOMMIT)
 * since        0.1
 */
XVM_API xvm_status xvm_decommit(xvm_region *region, size_t offset, size_t size);

/* How to discard. */
typedef enum xvm_discard_mode {
    XVM_DISCARD_ZERO = 0, /* the range reads zero now, and its memory is returned now */
    XVM_DISCARD_LAZY      /* old bytes or zeros until written; memory returned when wanted */
} xvm_discard_mode;

/* Drops contents and keeps pages committed, so that the next touch cannot be refused.
 *
 * offset,size  rounded inward to pages; all of them committed
 * result       contents are gone as the mode says; protection and locks stay. Locked pages stay
 *              resident: they are zeroed in place (XVM_DISCARD_ZERO) or left as they are
 *              (XVM_DISCARD_LAZY)
 * errors       XVM_E_INVALID: range or mode. XVM_E_NOT_COMMITTED. XVM_E_MAP_LIMIT: a locked page
 *              that cannot be written had to be opened at the mapping limit. On error protection
 *              and accounting are as before; pages before the refused one may have been discarded
 * threads      any, on different pages
 * linux        MADV_DONTNEED; MADV_FREE for lazy
 * windows      zeroed, then MEM_RESET and out of the working set; MEM_RESET alone for lazy. The
 *              charge stays on both systems
 * since        0.1
 */
XVM_API xvm_status xvm_discard(xvm_region *region, size_t offset, size_t size,
                               xvm_discard_mode mode);

/* Changes what may be done with committed pages.
 *
 * offset,size  whole pages
 * protection   XVM_NO_ACCESS keeps the bytes: it is no decommit
 * result       the whole range has the protection; bytes and locks stay
 * errors       XVM_E_INVALID: range not of whole pages, or no protection. XVM_E_NOT_COMMITTED.
 *              XVM_E_MAP_LIMIT. XVM_E_PERMISSION: a policy forbids it (W^X). On error all pages
 *              keep theirs
 * threads      any, on different pages
 * linux        mprotect
 * windows      VirtualProtect
 * since        0.1
 */
XVM_API xvm_status xvm_protect(xvm_region *region, size_t offset, size_t size,
                               xvm_protection protection);

/* Keeps pages in memory.
 *
 * offset,size  rounded outward to pages; all of them committed and not XVM_NO_ACCESS
 * result       the range is resident until unlock, decommit or release. Locks do not nest: one
 *              unlock ends them
 * errors       XVM_E_INVALID: range. XVM_E_NOT_COMMITTED. XVM_E_PERMISSION: a page is
 *              XVM_NO_ACCESS. XVM_E_LOCK_LIMIT: the limit, after raising it as far as this process
 *              may. XVM_E_MAP_LIMIT. On error nothing more is locked than before
 * threads      any, on different pages
 * linux        mlock; the soft RLIMIT_MEMLOCK is raised to the hard one when that helps. Not
 *              inherited by fork
 * windows      VirtualLock; the working set is grown by the size when the quota refuses
 * since        0.1
 */
XVM_API xvm_status xvm_lock(xvm_region *region, size_t offset, size_t size);

/* Ends locks.
 *
 * offset,size  rounded inward to pages; pages that are not locked are left alone
 * result       no page of the range is locked; contents stay
 * errors       XVM_E_INVALID: range. XVM_E_MAP_LIMIT: what was locked is locked again
 * threads      any, on different pages
 * linux        munlock
 * windows      VirtualUnlock for each locked run
 * since        0.1
 */
XVM_API xvm_status xvm_unlock(xvm_region *region, size_t offset, size_t size);

/* Makes pages resident now, so that no later write to them faults.
 *
 * offset,size  rounded outward to pages; all of them committed and writable
 * result       every page has memory behind it; contents stay. Without a lock the system may take
 *              it away again
 * errors       XVM_E_INVALID: range. XVM_E_NOT_COMMITTED. XVM_E_PERMISSION: a page is not writable.
 *              XVM_E_COMMIT_LIMIT: no memory; pages may have become resident
 * threads      any, on different pages
 * linux        MADV_POPULATE_WRITE in steps of 2 MiB, or a write of nothing to each page where it
 *              is missing
 * windows      a write of nothing to each page
 * since        0.1
 */
XVM_API xvm_status xvm_prefault(xvm_region *region, size_t offset, size_t size);

/* What a region holds, in bytes. */
typedef struct xvm_usage {
    size_t reserved, committed, locked; /* own counters, exact */
    size_t guarded;                     /* 0 in this version */
    size_t resident;                    /* asked of the system */
    size_t huge;                        /* 0 in this version */
} xvm_usage;

/* Tells what a region holds.
 *
 * out        all zero for a region that holds nothing
 * result     reserved, committed and locked are exact; resident is what the system had in memory
 *            while it was asked, page by page
 * threads    any
 * linux      mincore over the committed runs
 * windows    QueryWorkingSetEx over the committed runs
 * since      0.1
 */
XVM_API void xvm_region_usage(const xvm_region *region, xvm_usage *out);

#ifdef __cplusplus
}
#endif

#endif

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
 *   3  Calls that give (commit, lock, prefault, advise) round outward to pages; calls that take
 *      (decommit, discard, unlock) round inward; protect and guard need whole pages. In regions with
 *      huge pages commit, decommit and discard count in huge pages: see xvm_commit_unit.
 *   4  Pages that are as asked already are left alone: a call that changes nothing makes no system
 *      call.
 *   5  A failed call leaves every page as it was: what was half done is undone. Where the system
 *      refuses the undoing as well, the region goes on knowing what is true.
 *   6  Pages of a view (share.h) are neither reserved nor committed. Calls that need committed pages
 *      answer XVM_E_NOT_COMMITTED for them, and commit, decommit and guard XVM_E_ADDRESS_TAKEN, before
 *      anything is touched: only xvm_share_unmap and xvm_release end a view.
 *   7  XVM_E_SYSTEM, in every call, is a refusal that has no cause listed there; xvm_system_error()
 *      has the code.
 */
#ifndef XVM_REGION_H
#define XVM_REGION_H

#include "xvm/status.h"
#include "xvm/system.h"

#ifdef __cplusplus
extern "C" {
#endif

struct xvm_budget; /* budget.h */

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
    XVM_COMMIT_CHARGED = 0, /* the system: charged against its limits, returned by decommit. Each
                               separate run of committed pages may cost a mapping */
    XVM_COMMIT_SPARSE       /* for random page-by-page commit in huge regions: at most 64 mappings,
                               whatever is committed. Linux: not charged by the system, but by the
                               budget; where it has no light guards (XVM_HAS_FINE_SPARSE) an
                               uncommitted page may be readable while its neighbours are committed.
                               Windows: the same as XVM_COMMIT_CHARGED */
} xvm_commit_mode;

/* Large pages cost fewer misses and faults, and are had and given back as a whole. */
typedef enum xvm_huge {
    XVM_HUGE_DEFAULT = 0,  /* as the system does for any memory */
    XVM_HUGE_NEVER,        /* none */
    XVM_HUGE_TRANSPARENT,  /* wherever the system can, in whole slots; else small ones */
    XVM_HUGE_TRY_EXPLICIT, /* from the system's pool, else XVM_HUGE_TRANSPARENT: xvm_region_huge */
    XVM_HUGE_MUST_EXPLICIT /* from the system's pool, or the reservation is refused. All of the
                              region is committed from the start, resident, and cannot be given back
                              piece by piece: XVM_E_PINNED */
} xvm_huge;

/* What a child process made by fork finds. Windows has no fork: there it is ignored. */
typedef enum xvm_fork {
    XVM_FORK_COPY = 0, /* the contents, as usual */
    XVM_FORK_NONE,     /* no memory at all: a touch faults; the child may only release the region */
    XVM_FORK_ZERO      /* zeros */
} xvm_fork;

/* Whether the contents go into a core dump. */
typedef enum xvm_dump { XVM_DUMP_DEFAULT = 0, XVM_DUMP_NEVER } xvm_dump;

/* Flags of a reservation. */
typedef enum xvm_reserve_flag {
    XVM_RESERVE_EXECUTABLE = 1, /* for code: refused now, and not at the first protect, where a
                                   policy forbids to make written pages executable */
    XVM_RESERVE_WATCHED = 2, /* Windows: its own write watch for xvm_watch_start; elsewhere it makes
                                   no difference */
    XVM_RESERVE_NO_RETRY = 4 /* xvm_set_commit_retry does not hold: a commit never sleeps */
} xvm_reserve_flag;

/* How to reserve; all zero is the default. */
typedef struct xvm_reserve_options {
    size_t alignment;    /* of the base: a power of two, 4 GiB and beyond; 0 = granularity */
    size_t min_size;     /* not 0: when refused, halve the size down to this before giving up */
    const void *address; /* exactly here or not at all: a multiple of alignment; NULL = anywhere */
    uintptr_t below;     /* the whole region ends at or below this address; 0 = anywhere */
    xvm_commit_mode commit_mode;
    xvm_huge huge; /* not together with XVM_COMMIT_SPARSE, but for default and never */
    xvm_fork fork;
    xvm_dump dump;
    int numa_node;             /* preferred node, 1-based; 0 = any */
    unsigned flags;            /* of xvm_reserve_flag */
    struct xvm_budget *budget; /* charged for every committed byte; NULL = none */
    const char *name;          /* static string: in explanations, in xvm_query, and in the system's
                                  own maps where the kernel can show it */
} xvm_reserve_options;

/* A region. base and size are for reading; own is the library's. */
typedef struct xvm_region {
    void *base;  /* aligned as asked; NULL: holds nothing */
    size_t size; /* a multiple of the page size */
    struct {
        size_t pages, simple, booked; /* states: what is known of each page, see src/pagemap.h */
        size_t committed, locked, guarded, mapped; /* pages */
        unsigned lock;          /* held for book-keeping, never during a system call */
        unsigned open, opening; /* sparse: chunks that can be committed into, bits */
        unsigned node, flags;
        unsigned char page_shift, unit_shift, chunk_shift, has_head;
        unsigned char fork, dump, huge, sparse;
        unsigned char renew; /* a decommit lost policies: commits apply them again */
        size_t *level[3], *present;
        struct xvm_budget *budget;
        const char *name;
        void *entry;    /* in the register of regions; NULL: not there */
        void *os_base;  /* the whole reservation as the system knows it */
        size_t os_size; /*   (base .. base + size is a part of it) */
        void *book;     /* a reservation for the states alone; NULL: they are behind the pages */
        void *book_base;
        size_t book_size;
        void *watch; /* which pages were written, see src/watch.c; NULL: nobody asks */
    } own;
} xvm_region;

/* Reserves address space; no memory, no charge.
 *
 * region     the handle to fill; its old value is not looked at
 * size       bytes, rounded up to pages, with huge pages to whole ones; 0 is XVM_E_INVALID
 * options    NULL = all zero
 * result     base and size are set, every page is reserved: a touch faults. With min_size, size may
 *            be smaller. With explicit huge pages every page is committed
 * errors     XVM_E_INVALID: size 0, alignment no power of two, address no multiple of the alignment
 *            and of the granularity, min_size above size, an enum, a flag or a node out of range.
 *            XVM_E_ADDRESS_SPACE: no such hole, or RLIMIT_AS. XVM_E_ADDRESS_TAKEN: address is in
 *            use, nothing there was touched. XVM_E_LOCK_LIMIT: mlockall(MCL_FUTURE) and
 *            RLIMIT_MEMLOCK. XVM_E_MAP_LIMIT: too many mappings. XVM_E_COMMIT_LIMIT: the pool of
 *            explicit huge pages is too small. XVM_E_BUDGET: no room for explicit huge pages.
 *            XVM_E_PERMISSION: no privilege for explicit huge pages, or a policy against executable
 *            memory. XVM_E_UNSUPPORTED: this system has no such page, node or policy. On error *region holds nothing: all zero, or, when giving
 *            back what was half reserved was refused as well, what a later xvm_release gives back
 * threads    any
 * linux      mmap(PROT_NONE) without MAP_NORESERVE, so that a commit is charged; one never
 *            committed page behind the region keeps it apart from its neighbours, but not behind an
 *            exact address. Sparse: with MAP_NORESERVE. Huge pages: MADV_HUGEPAGE, MAP_HUGETLB.
 *            Nodes: mbind(MPOL_PREFERRED)
 * windows    VirtualAlloc(MEM_RESERVE); VirtualAlloc2 for alignments above 64 KiB where it works,
 *            else a larger reservation whose true base is kept. Explicit huge pages:
 *            MEM_LARGE_PAGES, with the privilege to lock pages. Nodes: VirtualAllocExNuma
 * since      0.1
 */
XVM_API xvm_status xvm_reserve(xvm_region *region, size_t size, const xvm_reserve_options *options);

/* Gives the whole reservation back, committed, locked or not.
 *
 * region     a handle all zero is XVM_OK
 * result     the handle is all zero; the addresses may be used again at once. Views in it are
 *            unmapped, a watch ends
 * errors     XVM_E_INVALID: region NULL. XVM_E_MAP_LIMIT: the mapping limit is reached and the
 *            system would have to split a mapping; the region is whole and can be released later
 * threads    not while another thread uses the region
 * linux      munmap of the whole range
 * windows    VirtualFree(base, 0, MEM_RELEASE); UnmapViewOfFile for a region that is a view
 * since      0.1
 */
XVM_API xvm_status xvm_release(xvm_region *region);

/* Makes pages usable: readable, writable, zero at first.
 *
 * offset,size  rounded outward to commit units
 * result       the whole range is committed; pages that were committed keep their bytes and their
 *              protection; guards in it are gone
 * errors       XVM_E_INVALID: range. XVM_E_ADDRESS_TAKEN: a page is mapped. XVM_E_BUDGET: a budget
 *              refuses. XVM_E_COMMIT_LIMIT: the system refuses the charge. XVM_E_MAP_LIMIT: too
 *              many separate runs. The pressure callbacks of the budget have been called, and all
 *              has been tried once more. On error the pages that were reserved are reserved again
 * threads      any, on different pages
 * linux        mprotect(READ|WRITE) for each run of reserved pages: charged against the overcommit
 *              limit and RLIMIT_DATA; resident from the first touch on. Sparse, and over guards:
 *              MADV_GUARD_REMOVE, without a charge
 * windows      VirtualAlloc(MEM_COMMIT) for each run: charged against the page file and the job
 *              limit
 * since        0.1
 */
XVM_API xvm_status xvm_commit(xvm_region *region, size_t offset, size_t size);

/* Gives memory back and keeps the addresses.
 *
 * offset,size  rounded inward to commit units
 * result       the range is reserved: a touch faults, memory and charge are returned, locks
 *              dropped, guards gone; the next commit finds zeros. Policies of the region (fork,
 *              dump, huge pages, node, name) hold for that commit too
 * errors       XVM_E_INVALID: range. XVM_E_ADDRESS_TAKEN: a page is mapped. XVM_E_MAP_LIMIT: the
 *              mapping limit is reached and the kernel has no other way either. XVM_E_PINNED: explicit huge pages. On error the bytes are
 *              intact, but for those of a range larger than 2 MiB, of which some may be zero. In a
 *              sparse region pages before the refused ones are reserved already
 * threads      any, on different pages
 * linux        mmap(MAP_FIXED, PROT_NONE) over the own range: the only call that returns the charge
 *              of touched pages. Of more than 2 MiB the bytes are dropped by MADV_DONTNEED first, so
 *              that no other thread waits long. At the mapping limit mprotect(NONE) and
 *              MADV_DONTNEED, or MADV_GUARD_INSTALL: the memory is returned, the charge only with
 *              the next decommit or release. Sparse: MADV_GUARD_INSTALL
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
 * offset,size  rounded inward to commit units; all of them committed
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

/* A range of a region, in bytes. */
typedef struct xvm_range {
    size_t offset, size;
} xvm_range;

/* Discards many scattered ranges, as xvm_discard does each of them, for the price of a few system
 * calls.
 *
 * ranges,count  in any order; each as for xvm_discard; all are checked before the first is discarded
 * result        contents of all are gone as the mode says
 * errors        as xvm_discard; XVM_E_INVALID also when ranges is NULL and count is not 0
 * threads       any, on different pages
 * linux         process_madvise of this process for up to 1024 pages or runs at a time (6.13), else
 *               one madvise for each
 * windows       one call for each
 * since         0.2
 */
XVM_API xvm_status xvm_discard_ranges(xvm_region *region, const xvm_range *ranges, size_t count,
                                      xvm_discard_mode mode);

/* Moves the bytes of pages to other pages of the same region.
 *
 * to,from,size  whole pages, not overlapping; all of both committed, readable and writable
 * result        to has the bytes that from had; from reads as zero. Both stay committed, with their
 *               protection and locks. Advice given to from may go with the bytes. Where pages were
 *               moved instead of bytes, from has no memory until it is written
 * errors        XVM_E_INVALID: a range, or they overlap. XVM_E_NOT_COMMITTED: a page is reserved, a
 *               guard or mapped. XVM_E_PERMISSION: a page is not readable and writable. XVM_E_COMMIT_LIMIT,
 *               XVM_E_MAP_LIMIT: the system took pages of to away and refused to give them back: those
 *               are guards now. On error from has its bytes; those of to may be lost
 * threads       any, on different pages
 * linux         mremap(MREMAP_DONTUNMAP) (5.7) for 1 MiB and more: for some ten microseconds,
 *               whatever the size. Bytes are copied where pages are locked or executable, in sparse
 *               and watched regions, with explicit huge pages, when from has been put together by many moves,
 *               after mlockall, and when the kernel refuses. Pages that were moved stay mappings of
 *               their own: up to two more for each move, and as many as from was made of, until both
 *               ranges are decommitted and committed again
 * windows       copied, and from discarded
 * since         0.4
 */
XVM_API xvm_status xvm_move(xvm_region *region, size_t to, size_t from, size_t size);

/* Makes pages that nobody may touch: between buffers, behind stacks.
 *
 * offset,size  whole pages, of any state but mapped
 * result       a touch faults; contents are lost, locks dropped. The pages are neither reserved nor
 *              committed: lock, protect and prefault refuse them, commit makes them usable again,
 *              zero, and decommit makes them reserved
 * errors       XVM_E_INVALID: range not of whole pages. XVM_E_ADDRESS_TAKEN: a page is mapped.
 *              XVM_E_MAP_LIMIT: where a guard costs mappings. XVM_E_PINNED: explicit huge pages. On error pages before the refused one
 *              may be guarded, the others are as before
 * threads      any, on different pages
 * linux        MADV_GUARD_INSTALL (6.13): no mapping, and the charge stays with the pages around
 *              it; else as decommit, which costs two mappings
 * windows      VirtualFree(MEM_DECOMMIT)
 * since        0.2
 */
XVM_API xvm_status xvm_guard(xvm_region *region, size_t offset, size_t size);

/* Changes what may be done with committed pages.
 *
 * offset,size  whole pages
 * protection   XVM_NO_ACCESS keeps the bytes: it is no decommit
 * result       the whole range has the protection; bytes and locks stay
 * errors       XVM_E_INVALID: range not of whole pages, or no protection. XVM_E_NOT_COMMITTED.
 *              XVM_E_MAP_LIMIT. XVM_E_PERMISSION: a policy forbids it (W^X). XVM_E_PINNED: a part
 *              of an explicit huge page. On error all pages keep theirs
 * threads      any, on different pages
 * linux        mprotect; pages that become executable are flushed from the instruction cache first
 * windows      VirtualProtect; FlushInstructionCache
 * since        0.1
 */
XVM_API xvm_status xvm_protect(xvm_region *region, size_t offset, size_t size,
                               xvm_protection protection);

/* Makes code that was written to pages that stay executable (XVM_READ_WRITE_EXECUTE) what the
 * processor runs. A change to XVM_READ_EXECUTE by xvm_protect does it by itself.
 *
 * offset,size  bytes, of committed pages that can be read
 * result       instructions fetched from the range from now on are those written to it; other
 *              threads may need a barrier of their own
 * errors       XVM_E_INVALID: range. XVM_E_NOT_COMMITTED. XVM_E_PERMISSION: a page is XVM_NO_ACCESS
 * threads      any
 * linux        the compiler's __builtin___clear_cache: nothing on x86, cache maintenance on ARM
 * windows      FlushInstructionCache
 * since        0.2
 */
XVM_API xvm_status xvm_flush_code(xvm_region *region, size_t offset, size_t size);

/* Keeps pages in memory.
 *
 * offset,size  rounded outward to pages; all of them committed and not XVM_NO_ACCESS
 * result       the range is resident until unlock, decommit or release. Locks do not nest: one
 *              unlock ends them
 * errors       XVM_E_INVALID: range. XVM_E_NOT_COMMITTED. XVM_E_PERMISSION: a page is
 *              XVM_NO_ACCESS. XVM_E_LOCK_LIMIT: the limit, after raising it as far as this process
 *              may. XVM_E_MAP_LIMIT. XVM_E_COMMIT_LIMIT: the container has not that much left.
 *              On error nothing more is locked than before
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
 *              XVM_E_COMMIT_LIMIT: no memory, and pages may have become resident; or the container
 *              has less left than is missing: then no page was touched, as the touch would have
 *              ended the process
 * threads      any, on different pages
 * linux        MADV_POPULATE_WRITE in steps of 256 KiB, so that other threads can commit meanwhile,
 *              or a write of nothing to each page where it is missing
 * windows      a write of nothing to each page
 * since        0.1
 */
XVM_API xvm_status xvm_prefault(xvm_region *region, size_t offset, size_t size);

/* What is going to happen to pages. */
typedef enum xvm_advice {
    XVM_ADVICE_NORMAL = 0,
    XVM_ADVICE_SEQUENTIAL, /* read from low to high */
    XVM_ADVICE_RANDOM,     /* read in no order */
    XVM_ADVICE_WILL_NEED,  /* soon */
    XVM_ADVICE_COLD,       /* not soon: the first to go when memory is short */
    XVM_ADVICE_PAGE_OUT,   /* not for long: to the swap now */
    XVM_ADVICE_HUGE,       /* transparent huge pages from now on */
    XVM_ADVICE_NO_HUGE,    /* none from now on */
    XVM_ADVICE_COLLAPSE    /* make huge pages of small ones now */
} xvm_advice;

/* Tells the system what is going to happen. Contents, states and protections stay.
 *
 * offset,size  rounded outward to pages; all of them committed, and for XVM_ADVICE_COLD and
 *              XVM_ADVICE_PAGE_OUT not locked
 * result       the system knows; it may do nothing. XVM_ADVICE_HUGE and _NO_HUGE last until the
 *              pages are decommitted
 * errors       XVM_E_INVALID: range or advice. XVM_E_NOT_COMMITTED. XVM_E_PERMISSION: a page is
 *              locked. XVM_E_UNSUPPORTED: this system knows no such advice. XVM_E_MAP_LIMIT.
 *              XVM_E_COMMIT_LIMIT: no huge page could be had
 * threads      any, on different pages
 * linux        madvise
 * windows      PrefetchVirtualMemory for XVM_ADVICE_WILL_NEED; VirtualUnlock of what is not locked,
 *              which takes it from the working set, for _COLD and _PAGE_OUT; others are unsupported
 * since        0.2
 */
XVM_API xvm_status xvm_advise(xvm_region *region, size_t offset, size_t size, xvm_advice advice);

/* The unit in which a region is committed, decommitted and discarded.
 *
 * result     bytes: the page size, or that of its huge pages; 0 for a region that holds nothing
 * threads    any
 * since      0.2
 */
XVM_API size_t xvm_commit_unit(const xvm_region *region);

/* Which huge pages a region has.
 *
 * result     XVM_HUGE_DEFAULT, _NEVER, _TRANSPARENT, or _MUST_EXPLICIT: where
 *            XVM_HUGE_TRY_EXPLICIT was asked for it is one of the last two
 * threads    any
 * since      0.2
 */
XVM_API xvm_huge xvm_region_huge(const xvm_region *region);

/* What a region holds, in bytes. */
typedef struct xvm_usage {
    size_t reserved, committed, locked, guarded; /* own counters, exact */
    size_t resident;                             /* asked of the system */
    size_t huge;   /* of it in huge pages; 0 where the system does not tell */
    size_t mapped; /* of views of shares; an own counter, exact */
} xvm_usage;

/* Tells what a region holds.
 *
 * out        all zero for a region that holds nothing
 * result     reserved, committed, locked, guarded and mapped are exact; resident and huge are what the
 *            system had in memory while it was asked, page by page
 * threads    any
 * linux      PAGEMAP_SCAN (6.7) over the committed runs, which leaves out the common page of zeros;
 *            else mincore, which counts it and knows no huge pages
 * windows    QueryWorkingSetEx over the committed runs
 * since      0.1
 */
XVM_API void xvm_region_usage(const xvm_region *region, xvm_usage *out);

/* What an address is. */
typedef enum xvm_state {
    XVM_FREE = 0,  /* nobody has it */
    XVM_RESERVED,  /* a touch faults; no memory is promised */
    XVM_COMMITTED, /* private memory */
    XVM_MAPPED,    /* a file, or shared memory: a view of share.h, or any other */
    XVM_GUARD      /* a guard in memory that is committed around it */
} xvm_state;

/* Equal pages in a row. */
typedef struct xvm_span {
    void *base;
    size_t size;
    xvm_state state;
    xvm_protection protection; /* XVM_NO_ACCESS but for committed and mapped ones */
    size_t resident;           /* bytes in memory */
    size_t locked;             /* bytes; of regions: others the system does not show */
    const char *name;          /* of a region: the static string of its options; otherwise NULL */
} xvm_span;

/* Equal pages of a region in a row. */
typedef struct xvm_run {
    size_t offset, size;       /* bytes, whole pages */
    xvm_state state;           /* XVM_RESERVED, XVM_COMMITTED or XVM_GUARD */
    xvm_protection protection; /* XVM_NO_ACCESS but for committed ones */
    size_t locked;             /* bytes: 0 or size */
} xvm_run;

/* Looks pages of a region up, without a system call: run by run from 0 to the size, all of them.
 *
 * offset     bytes; rounded down to pages
 * out        the run that begins with the page at offset and goes as far as the region knows its
 *            pages to be equal; the next one may be equal, too. Cleared on failure
 * result     what the region knows; right for pages that no other thread changes meanwhile
 * errors     XVM_E_INVALID: region or out NULL, a region that holds nothing, an offset beyond it
 * threads    any
 * linux      nothing is asked: the region's own map of its pages, in constant time
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_region_run(const xvm_region *region, size_t offset, xvm_run *out);

/* Looks an address up: of a region, of any library, of anything in this process.
 *
 * address    any, also one that nobody has
 * out        the run of equal pages around it; cleared on failure
 * result     for a page of a region, what the region knows; for others, what the system says, up to
 *            the next region. It may have changed by the time it is read. Of more than 262144
 *            regions (16384 on 32 bit) the later ones are the system's, without a name
 * errors     XVM_E_INVALID: out NULL, or an address beyond those of a process. XVM_E_SYSTEM: the
 *            system does not tell
 * threads    any
 * linux      PROCMAP_QUERY (6.11) or /proc/self/maps, and PAGEMAP_SCAN (6.7) or mincore for what is
 *            resident, without a heap; a region's state needs no system call. Pages without access
 *            that are no region's are reserved. Two descriptors are kept open, from the first call
 *            that needs them on
 * windows    VirtualQuery, QueryWorkingSetEx. Committed pages with PAGE_GUARD are guards
 * since      0.2
 */
XVM_API xvm_status xvm_query(const void *address, xvm_span *out);

/* Looks at one span of a walk; not 0 ends the walk. It may call xvm, but what it changes may be
 * seen or not. */
typedef int (*xvm_span_visitor)(const xvm_span *span, void *context);

/* Looks at the whole address space of this process, from low to high.
 *
 * visit      called for each span, free ones too: each begins where the one before ended
 * context    given to visit
 * result     XVM_OK, also when visit ended it. What other threads change meanwhile is seen as it
 *            was or as it is
 * errors     XVM_E_INVALID: visit NULL. XVM_E_SYSTEM: the system does not tell
 * threads    any
 * linux      /proc/self/maps read piece by piece, without a heap; PAGEMAP_SCAN (6.7) or mincore for
 *            what is resident
 * windows    VirtualQuery from one region to the next, QueryWorkingSetEx
 * since      0.2
 */
XVM_API xvm_status xvm_walk(xvm_span_visitor visit, void *context);

#ifdef __cplusplus
}
#endif

#endif

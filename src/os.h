/* os.h - what a system must provide. src/posix, src/win32 and tests/fake each provide all of it.
 *
 * Shared preconditions, guaranteed by the callers: ranges are not empty, do not wrap, are whole
 * pages (of the region, so multiples of the real page) and lie in one reservation made by
 * xvm_os_reserve; enums are in range.
 *
 * A backend never calls upward, prints or allocates, and keeps no state beyond cached facts. It
 * answers with a status, classified by operation and code, and the system's own code. errno and
 * GetLastError are as before after every call that succeeds. Each system call goes past
 * xvm_os_watch first, which may refuse it.
 */
#ifndef XVM_SRC_OS_H
#define XVM_SRC_OS_H

#include <stddef.h>
#include <stdint.h>

#include "xvm/region.h"
#include "xvm/watch.h"

/* What a system call is made for. */
typedef enum xvm_os_operation {
    XVM_OS_RESERVE,
    XVM_OS_RELEASE,
    XVM_OS_COMMIT,
    XVM_OS_DECOMMIT,
    XVM_OS_DISCARD,
    XVM_OS_PROTECT,
    XVM_OS_LOCK,
    XVM_OS_UNLOCK,
    XVM_OS_PREFAULT,
    XVM_OS_GUARD,
    XVM_OS_ADVISE,
    XVM_OS_ATTACH,
    XVM_OS_BOOKKEEPING,
    XVM_OS_QUERY,
    XVM_OS_MOVE,
    XVM_OS_MAP,   /* files and shared memory into the address space, and out of it */
    XVM_OS_FILE,  /* files and shared memory themselves */
    XVM_OS_WATCH, /* which pages are written */
    XVM_OS_OPERATIONS
} xvm_os_operation;

typedef struct xvm_os_answer {
    xvm_status status;
    int code; /* errno, GetLastError; 0 when status is XVM_OK */
} xvm_os_answer;

/* --- facts ------------------------------------------------------------------------------------ */

typedef struct xvm_os_facts {
    size_t page_size, granularity; /* powers of two */
    size_t large_unit; /* reservations of this size and more had better be multiples of it; 0: no */
    int discard_zeroes;  /* xvm_os_discard of XVM_DISCARD_ZERO leaves zeros, not old bytes */
    int counts_mappings; /* separate runs of committed pages use up mappings */
} xvm_os_facts;

xvm_os_facts xvm_os_get_facts(void);

/* Does xvm_os_guard work? Tried once, and remembered. */
int xvm_os_has_light_guards(void);

/* All of *out but page_size and allocation_granularity, and but XVM_HAS_LIGHT_GUARDS and
 * XVM_HAS_MOVE and XVM_HAS_WRITE_WATCH. */
void xvm_os_get_system(xvm_system_info *out);

/* All of *out. headroom is what the machine has left, whatever the limits of this process are. */
xvm_os_answer xvm_os_get_limits(xvm_limits *out);

/* What the ancestor with the least room left allows, and what of it is in use and cannot be dropped.
 * 0: there is no limit, or the system does not tell; then neither is set. */
int xvm_os_container(uint64_t *limit, uint64_t *used);

/* --- reservations ----------------------------------------------------------------------------- */

typedef struct xvm_os_request {
    size_t size, alignment; /* whole pages; a power of two, at least the granularity */
    const void *address;    /* exactly here; aligned; NULL = anywhere */
    uintptr_t below;        /* address + size must not exceed it; 0 = anywhere */
    int aside;              /* far from where a program would ask for exact addresses */
    int sparse;             /* never charged by the system, where it can leave that out */
    int watched;            /* for XVM_WATCH_SYSTEM, where xvm_os_can_track says so */
    int pinned;             /* of explicit huge pages: all committed, read-write, resident */
    unsigned node;          /* 1-based; 0 = any */
} xvm_os_request;

typedef struct xvm_os_place {
    void *base;    /* size bytes from here, aligned as asked */
    void *os_base; /* what xvm_os_release wants back */
    size_t os_size;
} xvm_os_place;

/* Reserved pages fault; *place is set on XVM_OK only. */
xvm_os_answer xvm_os_reserve(const xvm_os_request *request, xvm_os_place *place);
xvm_os_answer xvm_os_release(void *os_base, size_t os_size);

/* Addresses, multiples of 64 KiB and far from one another, where programs have nothing; static data. */
size_t xvm_os_quiet_places(const uintptr_t **places);

/* --- pages ------------------------------------------------------------------------------------ */

/* Reserved pages, or such as were protected with XVM_NO_ACCESS and never touched, become committed:
 * readable, writable, zero. All or nothing. */
xvm_os_answer xvm_os_commit(xvm_os_operation why, void *address, size_t size);

/* Any pages become reserved. On failure bytes are intact, but pages may have lost protection and
 * locks. *renew is set to 1 when xvm_os_unguard and xvm_os_attach must follow the next commit of
 * them, and is left alone otherwise. */
xvm_os_answer xvm_os_decommit(void *address, size_t size, unsigned char *renew);

/* Committed, unlocked pages lose their contents; they keep their protection. */
xvm_os_answer xvm_os_discard(void *address, size_t size, xvm_discard_mode mode);

/* Committed pages; on failure some may have been changed. */
xvm_os_answer xvm_os_protect(xvm_os_operation why, void *address, size_t size,
                             xvm_protection protection);

/* The protection that the system has for the page at address, and how many bytes from there on
 * share it. 0: it does not say, and *protection is left alone. */
size_t xvm_os_find_protection(const void *address, size_t size, xvm_protection *protection);

/* Committed, accessible pages; on failure some may have been locked. Raises limits where the
 * process may. */
xvm_os_answer xvm_os_lock(void *address, size_t size);
/* Locked pages; on failure some may have been unlocked. */
xvm_os_answer xvm_os_unlock(void *address, size_t size);

/* Committed, writable pages. */
xvm_os_answer xvm_os_prefault(void *address, size_t size);

/* What holds for all pages of a region. */
typedef struct xvm_os_policy {
    xvm_fork fork;
    xvm_dump dump;
    xvm_huge huge; /* default, never or transparent */
    unsigned node; /* 1-based; 0 = any */
    const char *name;
} xvm_os_policy;

/* Applies the policies of a region to a part of it. Where a system has no such policy it is done, but
 * for a node that there is not. */
xvm_os_answer xvm_os_attach(void *address, size_t size, const xvm_os_policy *policy);

/* Light guards, where xvm_os_has_light_guards: readable and writable pages fault from now on, are not
 * locked any more, and their memory is returned; the system goes on knowing them as what they were. On failure
 * some may have become guards, or zero. */
xvm_os_answer xvm_os_guard(xvm_os_operation why, void *address, size_t size);
/* Pages under light guards are as they were, zero. All or nothing. */
xvm_os_answer xvm_os_unguard(xvm_os_operation why, void *address, size_t size);

/* Committed pages; those to come, and those to go, are not locked. */
xvm_os_answer xvm_os_advise(void *address, size_t size, xvm_advice advice);

typedef struct xvm_os_piece {
    void *address;
    size_t size;
} xvm_os_piece;

/* Committed, unlocked pages lose their contents, as by xvm_os_discard of each piece. */
enum { XVM_OS_PIECES = 256 };
xvm_os_answer xvm_os_discard_pieces(const xvm_os_piece *pieces, size_t count,
                                    xvm_discard_mode mode);

/* From how many bytes on xvm_os_move is faster than a copy; SIZE_MAX: it does not work. Tried once, and
 * remembered. */
size_t xvm_os_move_least(void);

/* How far a move came: so many of the first bytes have moved; of those of to behind them so many are
 * reserved pages now, or none at all, which a decommit mends; the others are as they were. */
typedef struct xvm_os_moved {
    size_t moved, closed;
} xvm_os_moved;

/* Committed, read-write, unlocked pages that do not overlap, where xvm_os_move_least is not SIZE_MAX:
 * to has the bytes of from, and from is zero, without a copy. */
xvm_os_moved xvm_os_move(void *to, void *from, size_t size);

/* What was written there is what the processor runs. */
void xvm_os_flush_code(void *address, size_t size);

/* How many bytes of committed pages are in memory, and how many of them in huge pages: 0 where the
 * system does not tell. */
size_t xvm_os_resident(const void *address, size_t size);
size_t xvm_os_huge(const void *address, size_t size);

/* What is in memory in [from, to): for questions in the order of addresses, of which each next one
 * may be answered by what the one before has found. All zero at first. */
enum { XVM_OS_RUNS_AHEAD = 64 };
typedef struct xvm_os_ahead {
    uintptr_t from, to;
    size_t count, next; /* runs; the first that may still matter */
    struct {
        uintptr_t from, to;
    } runs[XVM_OS_RUNS_AHEAD];
} xvm_os_ahead;

/* As xvm_os_resident; somewhat old, where ahead knows it. */
size_t xvm_os_resident_ahead(const void *address, size_t size, xvm_os_ahead *ahead);

/* --- plain files, read and written ------------------------------------------------------------- */

typedef struct xvm_os_plain_file {
    intptr_t handle;
} xvm_os_plain_file;

enum { XVM_OS_PATH_BYTES = 4 << 10 }; /* of a path, with its end */

/* Paths are UTF-8. A file for writing must not be there yet; one for reading is no folder or device. */
xvm_os_answer xvm_os_plain_create(const char *path, xvm_os_plain_file *file);
xvm_os_answer xvm_os_plain_open(const char *path, xvm_os_plain_file *file, uint64_t *size);
void xvm_os_plain_close(xvm_os_plain_file file);

/* All of it, or a failure; XVM_E_CORRUPT: the file ends before. */
xvm_os_answer xvm_os_plain_write(xvm_os_plain_file file, uint64_t at, const void *bytes,
                                 size_t size);
xvm_os_answer xvm_os_plain_read(xvm_os_plain_file file, uint64_t at, void *into, size_t size);

/* What was written is on the disk. */
xvm_os_answer xvm_os_plain_sync(xvm_os_plain_file file);

/* A closed file takes the place of another, or one where none was, at once. */
xvm_os_answer xvm_os_plain_replace(const char *from, const char *to);
void xvm_os_plain_remove(const char *path);

/* --- the map of the process ------------------------------------------------------------------- */

/* What the system knows of equal pages in a row; free ones, too. */
typedef struct xvm_os_mapping {
    uintptr_t base;
    size_t size;
    xvm_state state; /* XVM_GUARD of the system's own only */
    xvm_protection protection;
} xvm_os_mapping;

/* The run of equal pages around an address. The answer is XVM_E_INVALID beyond the addresses that a
 * process can have. */
xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out);

/* Every mapping from low to high, free ones left out; visit ends it by an answer that is not 0. */
xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context);

/* --- which pages were written ------------------------------------------------------------------ */

/* Does the system see writes by itself in this way? Tried once, and remembered. Never for
 * XVM_WATCH_PROTECT, which needs nothing but xvm_os_catch_writes. */
int xvm_os_can_track(xvm_watch_method method);

/* Pages of any state: writes to them can be seen from now on, once they are committed and armed. They
 * stay seen until xvm_os_decommit. */
xvm_os_answer xvm_os_track(xvm_watch_method method, void *address, size_t size);

/* Writes to them are not seen any more. */
xvm_os_answer xvm_os_untrack(xvm_watch_method method, void *address, size_t size);

/* Committed, tracked pages: none of them counts as written. XVM_E_NOT_FOUND: the system does not track
 * all of them any more, and some may be armed. */
xvm_os_answer xvm_os_arm(xvm_watch_method method, void *address, size_t size);

/* What was written of committed, tracked pages since they were armed: fetched, and with renews armed again,
 * in one step; without it the next call tells the same. At most so many pieces, ascending; *reached is behind
 * the last byte looked at. XVM_E_NOT_FOUND:
 * the system does not track all of them any more, and what was written is lost. On other failures
 * nothing is. */
xvm_os_answer xvm_os_take_written(xvm_watch_method method, int renews, void *address, size_t size,
                                  xvm_os_piece *pieces, size_t capacity, size_t *count,
                                  void **reached);

/* handle is called from now on, with the address, on the thread itself, for each write that the
 * protection of a page refuses. It takes no lock that the thread may have. 1: the write is tried again.
 * 0: it is none of ours, and goes where it would have gone without us. For as long as the process lives; the
 * same handle at every call. */
xvm_os_answer xvm_os_catch_writes(int (*handle)(const void *address));

/* Committed pages are opened by that handle; 1: they are. */
int xvm_os_open_faulted(void *address, size_t size, xvm_protection protection);

/* --- threads ---------------------------------------------------------------------------------- */

/* What refused. */
typedef enum xvm_os_cause {
    XVM_OS_CAUSE_UNKNOWN = 0, /* the status says all that is known */
    XVM_OS_CAUSE_ADDRESS_SPACE_LIMIT,
    XVM_OS_CAUSE_DATA_LIMIT,
    XVM_OS_CAUSE_LARGER_THAN_MEMORY,
    XVM_OS_CAUSE_COMMIT_LIMIT,
    XVM_OS_CAUSE_CONTAINER,
    XVM_OS_CAUSE_BUDGET,
    XVM_OS_CAUSE_CONTAINER_BUDGET, /* made from a container */
    XVM_OS_CAUSE_LOCK_LIMIT,
    XVM_OS_CAUSE_LOCK_FORBIDDEN, /* a limit of 0 */
    XVM_OS_CAUSE_LOCKED_FUTURE,  /* mlockall(MCL_FUTURE) */
    XVM_OS_CAUSE_MAPPINGS,
    XVM_OS_CAUSE_ADDRESS_BITS,
    XVM_OS_CAUSE_NO_HOLE,  /* none is as large */
    XVM_OS_CAUSE_NO_PLACE, /* none where it was asked for */
    XVM_OS_CAUSE_TAKEN,
    XVM_OS_CAUSE_HUGE_POOL,
    XVM_OS_CAUSE_HUGE_PRIVILEGE,
    XVM_OS_CAUSE_EXECUTE_POLICY,
    XVM_OS_CAUSE_CAPACITY,      /* of a structure of ours */
    XVM_OS_CAUSE_IMAGE_STRANGE, /* the file is no image */
    XVM_OS_CAUSE_IMAGE_FOREIGN, /* of a system with other words or pointers */
    XVM_OS_CAUSE_IMAGE_VERSION, /* of another version of the library */
    XVM_OS_CAUSE_IMAGE_PAGES,   /* of another page size */
    XVM_OS_CAUSE_IMAGE_DAMAGED,
    XVM_OS_CAUSE_IMAGE_EMPTY /* it is one of something else */
} xvm_os_cause;

/* How a system calls what is behind a cause, and what can be done about it. A limit that has numbers
 * is a name, for "NAME is 512 MiB"; another is a whole clause. Static strings, never NULL. */
typedef struct xvm_os_words {
    const char *limit, *knob;
} xvm_os_words;

xvm_os_words xvm_os_describe(xvm_os_cause cause);

/* What the system calls its codes: "errno", "error". */
const char *xvm_os_code_word(void);

/* How the system decides, beside what xvm_limits tells. */
typedef struct xvm_os_rules {
    uint64_t at_once;  /* a commit of more is refused, whatever is free; UINT64_MAX: none is */
    int strict;        /* the commit limit of xvm_limits is enforced */
    uint64_t lockable; /* xvm_os_lock raises the lock limit up to this; 0: not at all */
} xvm_os_rules;

xvm_os_rules xvm_os_get_rules(void);

/* This thread's last failure; never NULL. */
typedef struct xvm_os_failure {
    xvm_status status;
    int code;
    xvm_os_operation operation;
    const char *call;     /* the public call, without its prefix: "commit"; static; NULL: unknown */
    const char *region;   /* name of the region; static; NULL: it has none */
    const char *budget;   /* name of the budget that refused; static */
    uint64_t size;        /* bytes asked for */
    const void *address;  /* asked for; NULL: none */
    xvm_os_cause cause;   /* what follows is known if this is */
    uint64_t limit, used; /* of the cause, in bytes or mappings, at that moment */
    unsigned pressing;    /* this thread is in a pressure callback; no failure changes it */
} xvm_os_failure;

xvm_os_failure *xvm_os_thread_failure(void);

/* Room of this thread for what one user of it keeps there: zero at first, aligned as a pointer. drop, always the
 * same, is called with it in the thread's last moments; the room is zero again after that. NULL: there is
 * no memory for it. */
enum { XVM_OS_THREAD_ROOM = 1024 };
void *xvm_os_thread_room(void (*drop)(void *room));

/* Asleep. */
void xvm_os_sleep(unsigned milliseconds);

/* Milliseconds that have passed since some time before, in steps of twenty at the most; never 0. A few
 * nanoseconds, no system call. */
uint64_t xvm_os_clock(void);

/* Writes a message to the standard error output and ends the process abnormally. */
void xvm_os_stop(const char *message, size_t size);

/* errno, GetLastError: for what fails and need not be told. */
int xvm_os_get_error(void);
void xvm_os_set_error(int error);

/* Calls before each fork of this process, and after it in both, for as long as it lives. Where
 * nothing forks, never. */
void xvm_os_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* A small number, 1 and up, that no other living thread of this process has, given back when the thread
 * ends; 0: they have run out, or this thread has given its own back. */
unsigned xvm_os_thread_number(void);

/* Takes a number, of which the caller knows that it was given once, when no living thread has it; 0: one
 * has. Until it is free again nobody else gets it. */
int xvm_os_hold_thread_number(unsigned number);
void xvm_os_free_thread_number(unsigned number);

/* Every running thread of this process passes a full memory barrier between begin and end of the
 * call. 0: this system has no such thing, or does not let this process. */
int xvm_os_fence_all_threads(void);

/* Waits a little, longer with each round: first for another processor, then for the scheduler, then
 * asleep. */
void xvm_os_pause(unsigned round);

/* --- the watch: failures on demand and the trace (src/inject.c) ------------------------------- */

/* Backends ask before every call, and make none when the answer is not 0 but that code; they tell
 * after it. */
typedef struct xvm_os_watch {
    int (*before)(xvm_os_operation why, const char *call, size_t size, int usual_code);
    void (*after)(xvm_os_operation why, const char *call, const void *address, size_t size,
                  int code, int injected);
} xvm_os_watch;

/* NULL while nobody looks; otherwise static data. */
extern const xvm_os_watch *xvm_os_watching;

static inline int xvm_os_is_watched(void)
{
    return __atomic_load_n(&xvm_os_watching, __ATOMIC_RELAXED) != NULL;
}

/* 0, or the code that a call must fail with instead of being made. */
static inline int xvm_os_refused(xvm_os_operation why, const char *call, size_t size,
                                 int usual_code)
{
    const xvm_os_watch *watch = __atomic_load_n(&xvm_os_watching, __ATOMIC_ACQUIRE);

    return watch == NULL ? 0 : watch->before(why, call, size, usual_code);
}

/* A call has been made, or refused by the watch. code: 0 or why it failed. */
static inline void xvm_os_made(xvm_os_operation why, const char *call, const void *address,
                               size_t size, int code, int injected)
{
    const xvm_os_watch *watch = __atomic_load_n(&xvm_os_watching, __ATOMIC_ACQUIRE);

    if (watch != NULL)
        watch->after(why, call, address, size, code, injected);
}

#endif

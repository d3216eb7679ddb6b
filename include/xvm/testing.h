/* testing.h - failures on demand, other page sizes, and a look at every system call: for our tests
 * and yours.
 *
 * It is part of every build: the cost is one load and one branch for each system call while nothing
 * is asked for.
 */
#ifndef XVM_TESTING_H
#define XVM_TESTING_H

#include "xvm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes chosen system calls of the library fail.
 *
 * script     rules separated by commas or spaces; NULL or "" ends all of them. A rule is WHAT WHEN
 *            CODE:
 *              WHAT  an operation (reserve release commit decommit discard protect lock unlock
 *                    prefault guard advise attach bookkeeping query move map file
 *                    watch), a system call (mmap, mprotect, VirtualAlloc ...), or *
 *              WHEN  @3   the third one; @3+ the third and all after it; %2 every second one;
 *                    >1g  those of more than 1 GiB (k m g t); nothing: every one
 *              CODE  =12  the system's code to fail with; nothing: the usual one for that call
 *            "commit@3" fails the third commit, "lock%2" every second lock, "reserve>1g=12" large
 *            reservations. Counting starts when the script is set. A rule counts system calls: a
 *            commit that finds its pages committed makes none. An operation that has another way to
 *            reach its end takes it.
 * result     XVM_OK; the rules hold for all threads at once. The environment variable XVM_INJECT,
 *            read at the library's first system call, is such a script too
 * errors     XVM_E_INVALID when the script cannot be read or has more than 16 rules; the rules
 *            before stay
 * threads    any
 * linux      the system is not asked at all: errno is set and the call reported as failed
 * windows    the same with GetLastError
 * since      0.1
 */
XVM_API xvm_status xvm_inject(const char *script);

/* How many system calls have been made to fail since xvm_inject was last called.
 *
 * result     a count; a loop over n of "commit@n" is done when it stays 0
 * threads    any
 * since      0.1
 */
XVM_API size_t xvm_injected(void);

/* Pretends another page size and allocation granularity for all regions reserved from now on.
 *
 * page         bytes, a power of two from the real page size to 256 KiB; 0 for the real one
 * granularity  bytes, a power of two, a multiple of page and of the real granularity; 0 for the
 *              smallest that fits
 * result       XVM_OK; regions that exist keep the page size they were reserved with
 * errors       XVM_E_INVALID for any other value; nothing changes
 * threads      any
 * linux        every call is made with whole pretended pages
 * windows      the same
 * since        0.1
 */
XVM_API xvm_status xvm_test_page_size(size_t page, size_t granularity);

/* One system call of the library, as a trace sees it. */
typedef struct xvm_trace_call {
    const char *operation; /* what it was for: "commit", "decommit", "bookkeeping" ...; static */
    const char *name;      /* the call itself: "mprotect", "VirtualAlloc" ...; static */
    const void *address;   /* NULL where the call chooses or has none */
    size_t size;           /* bytes; 0 where it has none */
    int error;             /* 0, or the system's code: errno, GetLastError */
    int injected;          /* 1 when xvm_inject made it fail and the system was not asked */
} xvm_trace_call;

typedef void (*xvm_trace)(const xvm_trace_call *call);

/* Lets a function see every system call that the library makes about memory, after it was made.
 *
 * trace      called in the thread that made the call; it must not call xvm; NULL ends it
 * result     errno and GetLastError are restored after it
 * threads    any; a call already under way in another thread may still reach the old function
 * since      0.1
 */
XVM_API void xvm_set_trace(xvm_trace trace);

#ifdef __cplusplus
}
#endif

#endif

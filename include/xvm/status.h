/* status.h - what a call answers, and what was behind the last refusal.
 *
 * Two call shapes only:
 *   calls that can fail for several reasons return an xvm_status; results come last, cleared on
 *   failure; allocation calls return a pointer or NULL, and NULL means only "limit or memory".
 *
 * A failed call leaves everything as it was. errno and GetLastError survive every successful call.
 */
#ifndef XVM_STATUS_H
#define XVM_STATUS_H

#include "xvm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every status: name, value, text. The enum, the names and the texts are made from this one table.
 * Values are never reused. Failures are negative. */
#define XVM_STATUS_MAP(X)                                                                          \
    X(XVM_OK, 0, "Done.")                                                                          \
    X(XVM_E_INVALID, -1, "An argument is broken; nothing was touched.")                            \
    X(XVM_E_ADDRESS_SPACE, -2,                                                                     \
      "No free address range of that size and alignment, or the address space limit is reached.")  \
    X(XVM_E_ADDRESS_TAKEN, -3, "The exact address asked for is in use.")                           \
    X(XVM_E_COMMIT_LIMIT, -4,                                                                      \
      "The system refuses more memory: overcommit, data limit, container, job or page file.")      \
    X(XVM_E_BUDGET, -5, "An xvm_budget refuses more memory.")                                      \
    X(XVM_E_LOCK_LIMIT, -6, "The limit for locked memory is reached.")                             \
    X(XVM_E_MAP_LIMIT, -7, "The process has as many mappings as the system allows.")               \
    X(XVM_E_NOT_COMMITTED, -8, "The call needs committed pages.")                                  \
    X(XVM_E_PERMISSION, -9, "A privilege, a policy or the protection of a page forbids it.")       \
    X(XVM_E_PINNED, -10, "Explicit huge pages cannot be decommitted or split.")                    \
    X(XVM_E_UNSUPPORTED, -11, "This system does not have it.")                                     \
    X(XVM_E_NOT_FOUND, -12, "Nothing has that name.")                                              \
    X(XVM_E_EXISTS, -13, "Something has that name already.")                                       \
    X(XVM_E_CORRUPT, -14, "A check found a broken structure, or an image does not fit.")           \
    X(XVM_E_SYSTEM, -15,                                                                           \
      "The system refused for another reason; xvm_system_error() has its code.")                   \
    X(XVM_E_DISK_FULL, -16,                                                                        \
      "No room on the disk or in shared memory, or the file may not become that large.")

typedef enum xvm_status {
#define XVM_STATUS_ENUM(name, value, text) name = value,
    XVM_STATUS_MAP(XVM_STATUS_ENUM)
#undef XVM_STATUS_ENUM
} xvm_status;

/* The name of a status, such as "XVM_E_COMMIT_LIMIT".
 *
 * status     any value; one that is no status gives "XVM_E_UNKNOWN"
 * result     a static string, never NULL
 * threads    any
 * since      0.1
 */
XVM_API const char *xvm_status_name(xvm_status status);

/* What a status means, in one sentence.
 *
 * status     any value; one that is no status gives a sentence that says so
 * result     a static string, never NULL
 * threads    any
 * since      0.1
 */
XVM_API const char *xvm_status_text(xvm_status status);

/* The status of this thread's last failing call.
 *
 * result     XVM_OK when no call of this thread has failed yet; a successful call does not change
 *            it
 * threads    any; each thread has its own
 * since      0.1
 */
XVM_API xvm_status xvm_last_status(void);

/* The system's own code behind the last failing call of this thread.
 *
 * result     errno on POSIX, GetLastError on Windows; 0 when the system was not asked, as for a
 *            broken argument
 * threads    any; each thread has its own
 * since      0.1
 */
XVM_API int xvm_system_error(void);

/* The last failure of this thread in one sentence: the operation, its size, the region, the limit
 * that refused with its value and its use, and the knob that raises it. For example
 * "commit of 64 MiB in region 'entities' refused: RLIMIT_DATA is 512 MiB, 480 MiB in use; raise it
 * with ulimit -d".
 *
 * text,capacity  where to put it; always ends with a zero byte, cut where it does not fit; may be
 *                NULL, 0
 * result         the length of the whole sentence without its zero byte; "no call of this thread
 *                has failed" when that is so. Limits and their use are those of the moment of the
 *                failure
 * threads        any; each thread has its own
 * since          0.2
 */
XVM_API size_t xvm_explain(char *text, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif

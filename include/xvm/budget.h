/* budget.h - a limit of one's own: a tree of byte counters that refuse before the system must.
 *
 *     container 240 MiB ---- game 200 MiB ---- level 120 MiB   <- regions charge here
 *                                         `--- audio  16 MiB
 *
 * A region reserved with options.budget charges every byte that it commits to that budget and to
 * all above it, before the system is asked, and returns it with decommit or release. Where one of
 * them has too little room the commit is XVM_E_BUDGET.
 *
 *   1  used is the sum of what is committed under a budget, and of what xvm_budget_charge took.
 *   2  used <= peak. used <= limit, unless the limit was lowered below what was used already.
 *   3  A budget outlives its children, its regions and its callbacks. It owns no memory: nothing
 *      ends it.
 */
#ifndef XVM_BUDGET_H
#define XVM_BUDGET_H

#include "xvm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xvm_budget xvm_budget;

/* Why a callback is called. */
typedef enum xvm_pressure_reason {
    XVM_PRESSURE_SOFT = 1, /* a charge went past the soft limit; it was granted */
    XVM_PRESSURE_LIMIT,    /* a charge was refused here; it is tried once more afterwards */
    XVM_PRESSURE_SYSTEM    /* the system refused a commit; it is tried once more afterwards */
} xvm_pressure_reason;

/* What a callback is told. */
typedef struct xvm_pressure {
    xvm_pressure_reason reason;
    xvm_budget *budget; /* the one with too little room; for XVM_PRESSURE_SYSTEM the region's own */
    size_t wanted;      /* bytes asked for */
    size_t missing;     /* bytes that would have to be free for it to fit; 0 when not known */
} xvm_pressure;

/* Frees what can be done without. It may commit, decommit, release, discard, in any region and
 * budget; while it runs, refusals in its thread call no callbacks. */
typedef void (*xvm_pressure_fn)(const xvm_pressure *pressure, void *context);

/* A callback, owned by the caller, in one budget at a time. The first three are for the caller to
 * set, own is the library's. */
typedef struct xvm_pressure_callback {
    xvm_pressure_fn call;
    void *context;
    int priority; /* higher ones are called first; equal ones in the order they were added */
    struct {
        struct xvm_pressure_callback *next;
        unsigned running; /* threads that are in it */
    } own;
} xvm_pressure_callback;

/* A budget. All is for reading; change it by the calls below. Counters are read while other threads
 * change them: each is right by itself at some moment. */
struct xvm_budget {
    const char *name; /* static string, in explanations */
    xvm_budget *parent;
    size_t limit, soft_limit; /* bytes; SIZE_MAX = none */
    size_t used, peak;        /* bytes */
    struct {
        xvm_pressure_callback *callbacks; /* by priority */
        unsigned lock;                    /* for the list */
        unsigned container;               /* the container's room is looked at, too */
    } own;
};

/* Makes a budget.
 *
 * budget     to be filled; its old value is not looked at
 * name       static string, or NULL
 * parent     charged for whatever this one is charged for; NULL = none
 * limit      bytes; SIZE_MAX = none of its own
 * result     nothing is used; there is no soft limit
 * errors     XVM_E_INVALID: budget NULL
 * threads    any; not while another thread uses it
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_init(xvm_budget *budget, const char *name, xvm_budget *parent,
                                   size_t limit);

/* Makes a root budget from the container: what its tightest ancestor has left now, less a margin of
 * 1/32 for page tables, stacks and whatever else the process needs.
 *
 * budget     to be filled; its name is "container"
 * result     its limit is that room, SIZE_MAX where there is no container limit. Each charge is
 *            also held against the room that the container has left then: when other processes of
 *            the container have grown, it refuses earlier
 * errors     XVM_E_INVALID: budget NULL
 * threads    any; not while another thread uses it
 * linux      cgroup v2 or v1, as xvm_get_limits
 * windows    the memory limits of the job object
 * since      0.2
 */
XVM_API xvm_status xvm_budget_init_container(xvm_budget *budget);

/* Changes the limit.
 *
 * limit      bytes; SIZE_MAX = none. Below what is used it is lawful: nothing is taken away, but
 *            nothing is granted either until enough has been returned
 * errors     XVM_E_INVALID: budget NULL
 * result     holds for the next charge
 * threads    any
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_set_limit(xvm_budget *budget, size_t limit);

/* Changes the soft limit: a charge that goes past it is granted, and the callbacks are called.
 *
 * soft_limit bytes; SIZE_MAX = none
 * errors     XVM_E_INVALID: budget NULL
 * result     holds for the next charge
 * threads    any
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_set_soft_limit(xvm_budget *budget, size_t soft_limit);

/* Charges memory that no region commits: of another allocator, of a graphics card.
 *
 * size       bytes; 0 is XVM_OK
 * result     used is larger by size here and in all budgets above
 * errors     XVM_E_INVALID: budget NULL. XVM_E_BUDGET: one of them has too little room, after its
 *            callbacks have been called and the charge was tried once more. On error nothing is
 *            charged
 * threads    any
 * linux      no system call, but for container budgets
 * windows    the same
 * since      0.2
 */
XVM_API xvm_status xvm_budget_charge(xvm_budget *budget, size_t size);

/* Returns what xvm_budget_charge took.
 *
 * size       bytes, at most what was charged
 * result     used is smaller by size here and in all budgets above
 * errors     XVM_E_INVALID: budget NULL, or size above what is used; nothing is changed
 * threads    any
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_return(xvm_budget *budget, size_t size);

/* Adds a callback: called when a charge to this budget, or to one below it, is refused here, goes
 * past the soft limit here, or is refused by the system. Once for each refusal.
 *
 * callback   call, context and priority set; the library keeps it until it is removed
 * errors     XVM_E_INVALID: an argument or call is NULL
 * result     holds for the next refusal
 * threads    any
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_add_callback(xvm_budget *budget, xvm_pressure_callback *callback);

/* Removes a callback.
 *
 * callback   one that is in the budget
 * result     it runs in no other thread any more, and is the caller's again
 * errors     XVM_E_INVALID: an argument is NULL. XVM_E_NOT_FOUND: not in this budget
 * threads    any; not from within a callback: it would wait for itself
 * linux      no system call
 * windows    no system call
 * since      0.2
 */
XVM_API xvm_status xvm_budget_remove_callback(xvm_budget *budget, xvm_pressure_callback *callback);

/* Lets commits that the system refuses be tried again, for limits that move: a page file that
 * Windows is still growing.
 *
 * tries         how often at the most, after the first; 0 = never, the default
 * milliseconds  asleep before each
 * result        holds for all regions reserved without XVM_RESERVE_NO_RETRY
 * errors        XVM_E_INVALID: more than 1000 tries, or more than 10 seconds before each
 * threads       any
 * linux         a refusal by RLIMIT_DATA or strict overcommit is tried again, too
 * windows       ERROR_COMMITMENT_LIMIT and its kin
 * since         0.2
 */
XVM_API xvm_status xvm_set_commit_retry(unsigned tries, unsigned milliseconds);

#ifdef __cplusplus
}
#endif

#endif

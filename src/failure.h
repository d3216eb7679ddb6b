/* failure.h - how a public call answers, so that the thread remembers its last failure and can
 * explain it. */
#ifndef XVM_SRC_FAILURE_H
#define XVM_SRC_FAILURE_H

#include <stdbool.h>

#include "os.h"

/* What a call was about. Zero where it does not matter. */
typedef struct xvm_os_site {
    const char *call; /* the public call without its prefix: "commit"; static */
    xvm_os_operation operation;
    const char *name; /* of the region; static; NULL: it has none */
    uint64_t size;
    const void *address;
    bool own;           /* the structure refuses by itself: for want of room it is its capacity */
    xvm_os_cause cause; /* known already; XVM_OS_CAUSE_UNKNOWN: it is to be found */
} xvm_os_site;

/* The status of an answer; remembered, with what the site says and why, when it is a failure. */
xvm_status xvm_os_fail_at(const xvm_os_site *site, xvm_os_answer answer);

/* The same without a site. */
xvm_status xvm_os_fail(xvm_os_answer answer);

/* The same for a failure that the system was not asked about. */
xvm_status xvm_os_fail_with(xvm_status status);

/* A refusal by a budget, noted where it happens: xvm_os_fail_at leaves its cause and numbers alone. */
void xvm_os_note_budget(xvm_os_cause cause, const char *budget, uint64_t limit, uint64_t used);

/* Finds out which limit refused: cause, limit and used, from the rest of the record and from what the
 * limits are now (src/explain.c). */
void xvm_os_find_cause(xvm_os_failure *failure);

#endif

/* failure.h - how a public call answers, so that the thread remembers its last failure. */
#ifndef XVM_SRC_FAILURE_H
#define XVM_SRC_FAILURE_H

#include "os.h"

/* The status of an answer; remembered when it is a failure. */
xvm_status xvm_os_fail(xvm_os_answer answer);

/* The same for a failure that the system was not asked about. */
xvm_status xvm_os_fail_with(xvm_status status);

#endif

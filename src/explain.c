/* explain.c - the last failure in a sentence. */
#include "failure.h"

void xvm_os_find_cause(xvm_os_failure *failure)
{
    failure->cause = XVM_OS_CAUSE_UNKNOWN;
}

size_t xvm_explain(char *text, size_t capacity)
{
    if (capacity != 0)
        text[0] = 0;
    return 0;
}

/* limits.c - every limit, and what it leaves. */
#include "failure.h"

xvm_status xvm_get_limits(xvm_limits *out)
{
    if (out != NULL)
        *out = (xvm_limits){0};
    return xvm_os_fail_with(XVM_E_UNSUPPORTED);
}

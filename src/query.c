/* query.c - what an address is, and the whole address space. */
#include "failure.h"

xvm_status xvm_query(const void *address, xvm_span *out)
{
    (void)address;
    if (out != NULL)
        *out = (xvm_span){0};
    return xvm_os_fail_with(XVM_E_UNSUPPORTED);
}

xvm_status xvm_walk(xvm_span_visitor visit, void *context)
{
    (void)visit;
    (void)context;
    return xvm_os_fail_with(XVM_E_UNSUPPORTED);
}

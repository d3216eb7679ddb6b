/* policy_none.c - a system without guards, policies and advice of its own: what must hold is refused,
 * what may is left out. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>

#include "call.h"

int xvm_os_has_light_guards(void)
{
    return 0;
}

xvm_os_answer xvm_os_guard(xvm_os_operation why, void *address, size_t size)
{
    (void)address;
    (void)size;
    return xvm_os_classify(why, ENOSYS);
}

xvm_os_answer xvm_os_unguard(xvm_os_operation why, void *address, size_t size)
{
    return xvm_os_guard(why, address, size);
}

xvm_os_answer xvm_os_attach(void *address, size_t size, const xvm_os_policy *policy)
{
    (void)address;
    (void)size;
    if (policy->fork != XVM_FORK_COPY || policy->dump != XVM_DUMP_DEFAULT || policy->node != 0)
        return xvm_os_classify(XVM_OS_ATTACH, ENOSYS);
    return (xvm_os_answer){XVM_OK, 0};
}

xvm_os_answer xvm_os_advise(void *address, size_t size, xvm_advice advice)
{
    (void)address;
    (void)size;
    (void)advice;
    return xvm_os_classify(XVM_OS_ADVISE, ENOSYS);
}

xvm_os_answer xvm_os_discard_pieces(const xvm_os_piece *pieces, size_t count, xvm_discard_mode mode)
{
    xvm_os_answer answer = {XVM_OK, 0};

    for (size_t i = 0; i < count && answer.status == XVM_OK; i++)
        answer = xvm_os_discard(pieces[i].address, pieces[i].size, mode);
    return answer;
}

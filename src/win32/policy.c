/* policy.c - what pages are told beyond their protection. Windows has no fork, no per-range dumps, no
 * names for ranges and no transparent huge pages; a node is asked for when memory is reserved, and a
 * guard that stays is a decommitted page. */
#include "call.h"

int xvm_os_has_light_guards(void)
{
    return 0;
}

xvm_os_answer xvm_os_guard(xvm_os_operation why, void *address, size_t size)
{
    (void)address;
    (void)size;
    return xvm_os_classify(why, ERROR_CALL_NOT_IMPLEMENTED);
}

xvm_os_answer xvm_os_unguard(xvm_os_operation why, void *address, size_t size)
{
    return xvm_os_guard(why, address, size);
}

xvm_os_answer xvm_os_attach(void *address, size_t size, const xvm_os_policy *policy)
{
    (void)address;
    (void)size;
    (void)policy;
    return (xvm_os_answer){XVM_OK, 0};
}

/* Unlocking pages that are not locked is answered with ERROR_NOT_LOCKED and drops them from the
 * working set. */
static int trim(void *address, size_t size)
{
    int code = xvm_os_virtual_unlock(XVM_OS_ADVISE, address, size);

    return code == ERROR_NOT_LOCKED ? 0 : code;
}

xvm_os_answer xvm_os_advise(void *address, size_t size, xvm_advice advice)
{
    DWORD before = GetLastError();
    int code = ERROR_CALL_NOT_IMPLEMENTED;

    if (advice == XVM_ADVICE_NORMAL)
        code = 0;
    else if (advice == XVM_ADVICE_WILL_NEED)
        code = xvm_os_prefetch(address, size);
    else if (advice == XVM_ADVICE_COLD || advice == XVM_ADVICE_PAGE_OUT)
        code = trim(address, size);
    if (code == 0)
        SetLastError(before);
    return xvm_os_classify(XVM_OS_ADVISE, code);
}

size_t xvm_os_move_least(void)
{
    return SIZE_MAX;
}

xvm_os_moved xvm_os_move(void *to, void *from, size_t size)
{
    (void)to;
    (void)from;
    (void)size;
    return (xvm_os_moved){0, 0};
}

xvm_os_answer xvm_os_discard_pieces(const xvm_os_piece *pieces, size_t count, xvm_discard_mode mode)
{
    xvm_os_answer answer = {XVM_OK, 0};

    for (size_t i = 0; i < count && answer.status == XVM_OK; i++)
        answer = xvm_os_discard(pieces[i].address, pieces[i].size, mode);
    return answer;
}

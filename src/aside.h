/* aside.h - memory that the library needs for itself: a reservation of its own, all committed, far from where
 * a program would ask for exact addresses. */
#ifndef XVM_SRC_ASIDE_H
#define XVM_SRC_ASIDE_H

#include "os.h"
#include "pages.h"

/* So many bytes, zero. *place is set on XVM_OK only. */
static inline xvm_os_answer take_aside(size_t size, xvm_os_place *place)
{
    xvm_os_facts facts = xvm_os_get_facts();
    xvm_os_request request = {
        .size = round_up(size, facts.page_size), .alignment = facts.granularity, .aside = 1};
    xvm_os_answer answer = xvm_os_reserve(&request, place);

    if (answer.status != XVM_OK)
        return answer;
    answer = xvm_os_commit(XVM_OS_BOOKKEEPING, place->base, request.size);
    if (answer.status != XVM_OK)
        (void)xvm_os_release(place->os_base, place->os_size);
    return answer;
}

#endif

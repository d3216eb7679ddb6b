/* system.c - the page facts, real or pretended. */
#include "failure.h"
#include "lock.h"
#include "pagemap.h"
#include "pages.h"
#include "xvm/system.h"
#include "xvm/testing.h"

static size_t pretended_page, pretended_granularity; /* 0 = the real one */

size_t xvm_page_size(void)
{
    size_t page = LOAD(&pretended_page);

    return page != 0 ? page : xvm_os_get_facts().page_size;
}

size_t xvm_allocation_granularity(void)
{
    size_t granularity = LOAD(&pretended_granularity);

    return granularity != 0 ? granularity : xvm_os_get_facts().granularity;
}

xvm_status xvm_test_page_size(size_t page, size_t granularity)
{
    xvm_os_facts real = xvm_os_get_facts();

    page = page != 0 ? page : real.page_size;
    if (granularity == 0)
        granularity = page > real.granularity ? page : real.granularity;
    if (!is_power_of_two(page) || page < real.page_size || page > XVM_OS_LARGEST_PAGE)
        return xvm_os_fail_with(XVM_E_INVALID);
    if (!is_power_of_two(granularity) || granularity < page || granularity < real.granularity)
        return xvm_os_fail_with(XVM_E_INVALID);
    STORE(&pretended_page, page);
    STORE(&pretended_granularity, granularity);
    return XVM_OK;
}

const xvm_system_info *xvm_system(void)
{
    static xvm_system_info info;

    info.page_size = xvm_os_get_facts().page_size;
    info.allocation_granularity = xvm_os_get_facts().granularity;
    xvm_os_get_system(&info);
    if (xvm_os_has_light_guards())
        info.features |= XVM_HAS_LIGHT_GUARDS;
    return &info;
}

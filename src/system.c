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

/* --- the facts -------------------------------------------------------------------------------- */

static xvm_system_info collect(void)
{
    xvm_os_facts facts = xvm_os_get_facts();
    xvm_system_info info = {.page_size = facts.page_size,
                            .allocation_granularity = facts.granularity};

    xvm_os_get_system(&info);
    if (xvm_os_has_light_guards())
        info.features |= XVM_HAS_LIGHT_GUARDS | XVM_HAS_FINE_SPARSE;
    if (xvm_os_move_least() != SIZE_MAX)
        info.features |= XVM_HAS_MOVE;
    if (xvm_os_can_track(XVM_WATCH_SYSTEM) || xvm_os_can_track(XVM_WATCH_USERFAULT))
        info.features |= XVM_HAS_WRITE_WATCH;
    if (!facts.counts_mappings)
        info.features |= XVM_HAS_FINE_SPARSE;
    return info;
}

/* The first call collects. When several are first, each has a place of its own, and the first that
 * is ready counts for all: so few have to wait for a thread that a fork may have left behind. */
const xvm_system_info *xvm_system(void)
{
    static xvm_system_info places[8];
    static unsigned taken;
    static const xvm_system_info *ready;
    const xvm_system_info *found = LOAD_ACQUIRE(&ready);
    unsigned mine;

    if (found != NULL)
        return found;
    mine = ATOMIC_ADD(&taken, 1u) - 1;
    if (mine < sizeof places / sizeof *places) {
        places[mine] = collect();
        (void)COMPARE_SWAP_RELEASE(&ready, &found, (const xvm_system_info *)&places[mine]);
    }
    for (unsigned round = 0; (found = LOAD_ACQUIRE(&ready)) == NULL; round++)
        xvm_os_pause(round);
    return found;
}

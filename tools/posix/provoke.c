/* provoke.c - the limits of a POSIX process, lowered by itself and met.
 *
 * Soft limits go back to what they were; privileges that are dropped, and the locks of all that is
 * to come, do not: those are last.
 */
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../system.h"
#include "xvm/xvm.h"

enum { NOBODY = 65534, MiB = 1 << 20, MOST_PAGES = 200000 };

/* Another soft limit; what it was. A macro, because the type of the first argument differs between C
 * libraries. */
#define lower(which, soft, old)                                                                    \
    (getrlimit(which, old) == 0 &&                                                                 \
     setrlimit(which, &(struct rlimit){(rlim_t)(soft), (old)->rlim_max}) == 0)

static bool is_known(uint64_t value)
{
    return value != UINT64_MAX;
}

/* Room for bytes more than the process has now. */
static bool meet_data_limit(void)
{
    xvm_reserve_options options = {.name = "entities"};
    xvm_status status = XVM_OK;
    struct rlimit old;
    xvm_region r;
    xvm_limits now;

    if (xvm_get_limits(&now) != XVM_OK || !is_known(now.process_committed) ||
        xvm_reserve(&r, 256 * (size_t)MiB, &options) != XVM_OK)
        return false;
    if (lower(RLIMIT_DATA, now.process_committed + 60 * MiB, &old)) {
        for (size_t at = 0; at < r.size && status == XVM_OK; at += 8 * MiB)
            status = xvm_commit(&r, at, 8 * MiB);
        (void)setrlimit(RLIMIT_DATA, &old);
    }
    (void)xvm_release(&r);
    return status != XVM_OK;
}

static bool meet_address_limit(void)
{
    xvm_reserve_options options = {.name = "index"};
    xvm_status status;
    struct rlimit old;
    xvm_region r;
    xvm_limits now;

    if (xvm_get_limits(&now) != XVM_OK || !is_known(now.process_reserved) ||
        !lower(RLIMIT_AS, now.process_reserved + 256 * MiB, &old))
        return false;
    status = xvm_reserve(&r, 512 * (size_t)MiB, &options);
    (void)setrlimit(RLIMIT_AS, &old);
    if (status == XVM_OK)
        (void)xvm_release(&r);
    return status != XVM_OK;
}

/* Every second page: each is a mapping of its own. */
static bool meet_mapping_limit(void)
{
    xvm_reserve_options options = {.name = "sparse"};
    size_t page = xvm_page_size();
    xvm_status status = XVM_OK;
    xvm_region r;
    bool met;

    if (xvm_reserve(&r, MOST_PAGES * page, &options) != XVM_OK)
        return false;
    for (size_t i = 0; i + 1 < MOST_PAGES && status == XVM_OK; i += 2)
        status = xvm_commit(&r, i * page, page);
    met = status != XVM_OK;
    (void)xvm_release(&r);
    return met;
}

static bool lock_under(rlim_t limit, size_t size)
{
    xvm_reserve_options options = {.name = "keys"};
    struct rlimit none = {limit, limit};
    xvm_status status;
    xvm_region r;

    if (xvm_reserve(&r, size, &options) != XVM_OK)
        return false;
    if (geteuid() == 0 && setuid(NOBODY) != 0) /* root locks what it likes */
        return false;
    status = setrlimit(RLIMIT_MEMLOCK, &none) == 0 ? xvm_commit(&r, 0, size) : XVM_E_SYSTEM;
    if (status == XVM_OK) {
        status = xvm_lock(&r, 0, size);
        (void)xvm_release(&r);
        return status != XVM_OK;
    }
    (void)xvm_release(&r);
    return false;
}

static bool meet_lock_limit(void)
{
    return lock_under(8 * MiB, 16 * (size_t)MiB);
}

static bool meet_locked_future(void)
{
    xvm_reserve_options options = {.name = "late"};
    xvm_status status;
    xvm_region r;

    if (mlockall(MCL_FUTURE) != 0)
        return false;
    status = xvm_reserve(&r, 64 * (size_t)MiB, &options);
    (void)munlockall();
    if (status == XVM_OK)
        (void)xvm_release(&r);
    return status != XVM_OK;
}

static bool meet_no_lock_at_all(void)
{
    return lock_under(0, MiB);
}

const provocation system_provocations[] = {
    {"more than ulimit -d", meet_data_limit},
    {"more than ulimit -v", meet_address_limit},
    {"more mappings than vm.max_map_count", meet_mapping_limit},
    {"more locked than ulimit -l", meet_lock_limit},
    {"a reservation after mlockall(MCL_FUTURE)", meet_locked_future},
    {"a lock under ulimit -l 0", meet_no_lock_at_all},
};
const size_t system_provocation_count = sizeof system_provocations / sizeof *system_provocations;

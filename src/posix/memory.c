/* memory.c - regions by mmap, mprotect, madvise and mlock.
 *
 *     reserve    mmap(PROT_NONE)              free; MAP_NORESERVE would leave commits uncharged
 *     commit     mprotect(READ|WRITE)         charged now; mmap(MAP_FIXED) could lose the range
 *     decommit   mmap(MAP_FIXED, PROT_NONE)   the only call that returns the charge of touched pages
 *     discard    madvise(DONTNEED), madvise(FREE)
 *     lock       mlock; on failure munlock, because a refused mlock leaves pages marked
 *     prefault   madvise(POPULATE_WRITE)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "call.h"
#include "pages.h"

/* Numbers of the Linux interface that headers of 6.1 and musl lack; elsewhere the call answers
 * EINVAL. */
enum { POPULATE_WRITE = 23, DONTNEED_LOCKED = 24 };
enum { PREFAULT_STEP = 256 << 10, LARGE_DECOMMIT = 2 << 20, HOLE_TRIES = 64 };

/* mincore answers a byte for each page, emulators one for each page of the machine below, of 4 KiB
 * or more. */
enum { RESIDENT_BYTES = 8 << 10, RESIDENT_STEP = RESIDENT_BYTES << 12, PAGE_BYTES = 512 };

#ifndef MAP_FIXED_NOREPLACE /* then the address is a hint, and the result is compared anyway */
#define MAP_FIXED_NOREPLACE 0
#endif

/* --- reserve and release ---------------------------------------------------------------------- */

static xvm_os_answer keep(void *base, size_t size, xvm_os_place *place)
{
    *place = (xvm_os_place){base, base, size};
    return (xvm_os_answer){XVM_OK, 0};
}

/* What has this flag when it is mapped is never charged, whatever it becomes. */
static int charge_flag(const xvm_os_request *request)
{
    return request->sparse ? MAP_NORESERVE : 0;
}

/* At this address or nowhere. Kernels before 4.17 and emulators take it for a hint: the result is
 * compared. */
static xvm_os_answer reserve_at(uintptr_t address, const xvm_os_request *request,
                                xvm_os_place *place)
{
    void *wish = (void *)address, *got = NULL;
    size_t size = request->size;
    int code = xvm_os_mmap(XVM_OS_RESERVE, wish, size, PROT_NONE,
                           MAP_FIXED_NOREPLACE | charge_flag(request), &got);

    if (code == 0 && got == wish)
        return keep(got, size, place);
    if (code == 0) {
        (void)xvm_os_munmap(XVM_OS_RESERVE, got, size);
        code = EEXIST;
    }
    if (code == EPERM || code == EINVAL) /* below vm.mmap_min_addr: nobody may have it */
        return (xvm_os_answer){XVM_E_ADDRESS_TAKEN, code};
    return answered(XVM_OS_RESERVE, code);
}

/* Gives the edges of a larger mapping back. An edge that the system does not take stays part of the
 * place. */
static void trim(xvm_os_place *place, size_t size)
{
    unsigned char *start = place->os_base, *base = place->base;
    unsigned char *end = start + place->os_size;

    if (base > start && xvm_os_munmap(XVM_OS_RESERVE, start, (size_t)(base - start)) == 0)
        place->os_base = base;
    if (base + size < end &&
        xvm_os_munmap(XVM_OS_RESERVE, base + size, (size_t)(end - base) - size) == 0)
        end = base + size;
    place->os_size = (size_t)(end - (unsigned char *)place->os_base);
}

static xvm_os_answer reserve_aligned(const xvm_os_request *request, xvm_os_place *place)
{
    size_t page = xvm_os_get_facts().page_size, alignment = request->alignment;
    size_t size = request->size, whole = size;
    int saved = errno, code;
    void *got = NULL;

    if (alignment > page && !add_sizes(size, alignment - page, &whole))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    code = xvm_os_mmap(XVM_OS_RESERVE, NULL, whole, PROT_NONE, charge_flag(request), &got);
    if (code != 0)
        return answered(XVM_OS_RESERVE, code);
    *place = (xvm_os_place){(void *)round_up((uintptr_t)got, alignment), got, whole};
    trim(place, size);
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

static bool is_below(const xvm_os_request *request, uintptr_t address)
{
    return request->below == 0 ||
           (address < request->below && request->size <= request->below - address);
}

/* In the highest hole of the process's map that takes it. A hole may be taken meanwhile, or lie
 * above what a process may have: then the next one. */
static xvm_os_answer reserve_in_hole(const xvm_os_request *request, xvm_os_place *place)
{
    xvm_os_answer answer = {XVM_E_ADDRESS_SPACE, 0};
    uintptr_t limit = request->below;
    int saved = errno;

    for (int tries = 0; tries < HOLE_TRIES; tries++) {
        void *hole = xvm_os_find_hole(request->size, request->alignment, &limit);

        if (hole == NULL)
            break;
        answer = reserve_at((uintptr_t)hole, request, place);
        if (answer.status != XVM_E_ADDRESS_TAKEN && answer.status != XVM_E_ADDRESS_SPACE)
            break;
    }
    if (answer.status == XVM_OK)
        errno = saved;
    else if (answer.status == XVM_E_ADDRESS_TAKEN)
        answer.status = XVM_E_ADDRESS_SPACE;
    return answer;
}

static xvm_os_answer find_place(const xvm_os_request *request, xvm_os_place *place)
{
    uintptr_t address = (uintptr_t)request->address;

    if (address != 0 && !is_below(request, address))
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, 0};
    if (address != 0)
        return reserve_at(address, request, place);
    if (request->below != 0)
        return reserve_in_hole(request, place);
    return reserve_aligned(request, place);
}

/* Huge pages of the pool over a place that is ours. Populated, so that what the pool lacks is an error
 * here and not a signal later. */
static xvm_os_answer pin(const xvm_os_request *request, xvm_os_place *place)
{
    void *same = NULL;
    int code = xvm_os_mmap(XVM_OS_RESERVE, place->base, request->size, PROT_READ | PROT_WRITE,
                           MAP_FIXED | XVM_OS_MAP_HUGE | XVM_OS_MAP_POPULATE, &same);

    if (code == 0)
        return (xvm_os_answer){XVM_OK, 0};
    (void)xvm_os_munmap(XVM_OS_RESERVE, place->os_base, place->os_size);
    if (code == ENOMEM)
        return (xvm_os_answer){XVM_E_COMMIT_LIMIT, code};
    return (xvm_os_answer){code == EPERM ? XVM_E_PERMISSION : XVM_E_UNSUPPORTED, code};
}

/* Sparse pages are never locked by mlockall(MCL_FUTURE): it would make all of them resident. */
xvm_os_answer xvm_os_reserve(const xvm_os_request *request, xvm_os_place *place)
{
    xvm_os_answer answer = find_place(request, place);
    int saved = errno;

    if (answer.status == XVM_OK && request->pinned)
        return pin(request, place);
    if (answer.status == XVM_OK && request->sparse) {
        (void)xvm_os_munlock(XVM_OS_RESERVE, place->os_base, place->os_size);
        errno = saved;
    }
    return answer;
}

xvm_os_answer xvm_os_release(void *os_base, size_t os_size)
{
    return answered(XVM_OS_RELEASE, xvm_os_munmap(XVM_OS_RELEASE, os_base, os_size));
}

/* --- commit and decommit ---------------------------------------------------------------------- */

xvm_os_answer xvm_os_commit(xvm_os_operation why, void *address, size_t size)
{
    return answered(why, xvm_os_mprotect(why, address, size, PROT_READ | PROT_WRITE));
}

/* The bytes go. Locks go first: DONTNEED stops at a locked page, half done. */
static int drop(void *address, size_t size)
{
    int locked = xvm_os_munlock(XVM_OS_DECOMMIT, address, size);

    return xvm_os_madvise(XVM_OS_DECOMMIT, address, size,
                          locked == 0 ? MADV_DONTNEED : DONTNEED_LOCKED);
}

/* Light guards, which are refused on locked pages. The next commit must remove them. */
static bool mark_pages(void *address, size_t size, unsigned char *renew)
{
    (void)xvm_os_munlock(XVM_OS_DECOMMIT, address, size);
    if (xvm_os_guard(XVM_OS_DECOMMIT, address, size).status != XVM_OK)
        return false;
    *renew = 1;
    return true;
}

/* Light guards that were there are no part of closed pages. */
static bool unmark_pages(void *address, size_t size)
{
    return !xvm_os_has_light_guards() ||
           xvm_os_unguard(XVM_OS_DECOMMIT, address, size).status == XVM_OK;
}

/* At the mapping limit mmap is refused whatever it would do. Closing whole mappings needs no new one;
 * guards close a part of one. The kernel keeps the charge until the range is mapped anew. */
static int close_pages(void *address, size_t size, unsigned char *renew)
{
    int code = xvm_os_mprotect(XVM_OS_DECOMMIT, address, size, PROT_NONE);

    if (code == 0)
        code = drop(address, size);
    else if (xvm_os_has_light_guards())
        return mark_pages(address, size, renew) ? 0 : code;
    if (code == 0 && !unmark_pages(address, size))
        *renew = 1;
    return code;
}

/* Of a large range the bytes go first: mmap would keep all other threads from committing meanwhile.
 * Locked ranges refuse that, and wait. */
xvm_os_answer xvm_os_decommit(void *address, size_t size, unsigned char *renew)
{
    int saved = errno, code;
    void *same = NULL;

    if (size > LARGE_DECOMMIT)
        (void)xvm_os_madvise(XVM_OS_DECOMMIT, address, size, MADV_DONTNEED);
    code = xvm_os_mmap(XVM_OS_DECOMMIT, address, size, PROT_NONE, MAP_FIXED, &same);
    if (code != 0)
        code = close_pages(address, size, renew);
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_DECOMMIT, code);
}

xvm_os_answer xvm_os_discard(void *address, size_t size, xvm_discard_mode mode)
{
    int saved = errno;
    int code = EINVAL;

    if (mode == XVM_DISCARD_LAZY)
        code = xvm_os_madvise(XVM_OS_DISCARD, address, size, MADV_FREE);
    if (code != 0) /* zero now is a lawful answer to lazy */
        code = xvm_os_madvise(XVM_OS_DISCARD, address, size, MADV_DONTNEED);
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_DISCARD, code);
}

/* --- protect and lock ------------------------------------------------------------------------- */

xvm_os_answer xvm_os_protect(xvm_os_operation why, void *address, size_t size,
                             xvm_protection protection)
{
    static const int flags[] = {
        [XVM_NO_ACCESS] = PROT_NONE,
        [XVM_READ] = PROT_READ,
        [XVM_READ_WRITE] = PROT_READ | PROT_WRITE,
        [XVM_READ_EXECUTE] = PROT_READ | PROT_EXEC,
        [XVM_READ_WRITE_EXECUTE] = PROT_READ | PROT_WRITE | PROT_EXEC,
    };

    return answered(why, xvm_os_mprotect(why, address, size, flags[protection]));
}

/* Raises the soft limit for locked memory to the hard one; false when it is there already. */
static bool raise_lock_limit(struct rlimit *before)
{
    struct rlimit wish;

    if (getrlimit(RLIMIT_MEMLOCK, before) != 0 || before->rlim_cur == before->rlim_max)
        return false;
    wish = (struct rlimit){before->rlim_max, before->rlim_max};
    return setrlimit(RLIMIT_MEMLOCK, &wish) == 0;
}

xvm_os_answer xvm_os_lock(void *address, size_t size)
{
    struct rlimit before;
    int saved = errno;
    int code = xvm_os_mlock(XVM_OS_LOCK, address, size);

    if ((code == ENOMEM || code == EPERM) && raise_lock_limit(&before)) {
        code = xvm_os_mlock(XVM_OS_LOCK, address, size);
        if (code != 0)
            (void)setrlimit(RLIMIT_MEMLOCK, &before);
    }
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_LOCK, code);
}

xvm_os_answer xvm_os_unlock(void *address, size_t size)
{
    return answered(XVM_OS_UNLOCK, xvm_os_munlock(XVM_OS_UNLOCK, address, size));
}

/* --- prefault and residency ------------------------------------------------------------------- */

/* A write that changes nothing, safe beside other threads. A read would only map the common zero
 * page. */
static void touch(unsigned char *address, size_t size)
{
    size_t page = xvm_os_get_facts().page_size;

    for (size_t at = 0; at < size; at += page)
        (void)__atomic_fetch_or(address + at, 0, __ATOMIC_RELAXED);
}

/* In steps, because other threads cannot commit while the kernel works on one. */
static int populate(unsigned char *address, size_t size)
{
    int code = 0;

    for (size_t at = 0, step; at < size && code == 0; at += step) {
        step = size - at < PREFAULT_STEP ? size - at : PREFAULT_STEP;
        code = xvm_os_madvise(XVM_OS_PREFAULT, address + at, step, POPULATE_WRITE);
    }
    return code;
}

/* How many pages are in memory; 0 when the system does not say. */
static size_t count_resident(const void *address, size_t size, unsigned char *vector)
{
    size_t pages = size / xvm_os_get_facts().page_size, resident = 0;

    if (xvm_os_mincore(address, size, vector) != 0)
        return 0;
    for (size_t i = 0; i < pages; i++)
        resident += vector[i] & 1;
    return resident;
}

/* Kernels before 5.14 refuse the advice, and emulators accept it and do nothing: then pages are
 * touched. */
xvm_os_answer xvm_os_prefault(void *address, size_t size)
{
    size_t page = xvm_os_get_facts().page_size;
    unsigned char vector[PAGE_BYTES];
    int saved = errno;
    int code = populate(address, size);

    if (code == EINVAL || code == ENOSYS ||
        (code == 0 && count_resident(address, page, vector) == 0)) {
        touch(address, size);
        code = 0;
    }
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_PREFAULT, code);
}

size_t xvm_os_ask_mincore(const void *address, size_t size)
{
    size_t page = xvm_os_get_facts().page_size, resident = 0;
    unsigned char vector[RESIDENT_BYTES];
    int saved = errno;

    for (size_t at = 0, step; at < size; at += step) {
        step = size - at < RESIDENT_STEP ? size - at : RESIDENT_STEP;
        resident += page * count_resident((const unsigned char *)address + at, step, vector);
    }
    errno = saved;
    return resident;
}

/* policy_linux.c - what pages are told beyond their protection: guards, policies of a region, advice,
 * many discards at once.
 *
 *     guard      madvise(GUARD_INSTALL): a mark in the page table, no mapping    6.13
 *     fork       madvise(DONTFORK, WIPEONFORK)
 *     dump       madvise(DONTDUMP)
 *     huge       madvise(HUGEPAGE, NOHUGEPAGE)
 *     node       mbind(MPOL_PREFERRED)
 *     name       prctl(PR_SET_VMA_ANON_NAME)
 *     pieces     process_madvise of this process                                 6.13
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "call.h"

/* Numbers of the Linux interface that headers of 6.1 and musl lack. */
enum {
    GUARD_INSTALL = 102,
    GUARD_REMOVE = 103,
    COLD = 20,
    PAGE_OUT = 21,
    COLLAPSE = 25,
    PREFERRED = 1,         /* MPOL_PREFERRED */
    THIS_PROCESS = -10000, /* PIDFD_SELF_THREAD_GROUP, 6.14 */
    NODES = 1024
};
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PR_SET_VMA /* 5.17, with CONFIG_ANON_VMA_NAME; EINVAL elsewhere */
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* --- guards ----------------------------------------------------------------------------------- */

/* Does a touch fault? The kernel tells when it is to read a byte from there. */
static bool is_closed(const int channel[2], const void *address)
{
    return write(channel[1], address, 1) < 0 && errno == EFAULT;
}

/* 1: guards work. 0: they do not. -1: that could not be found out now. Emulators accept the advice
 * and do nothing, so the result is looked at. */
static int try_guard(unsigned char *page, size_t size)
{
    int channel[2], works;

    if (madvise(page, size, GUARD_INSTALL) != 0)
        return errno == EINVAL || errno == ENOSYS ? 0 : -1;
    if (pipe(channel) != 0)
        return -1;
    works = is_closed(channel, page);
    (void)close(channel[0]);
    (void)close(channel[1]);
    return works;
}

int xvm_os_has_light_guards(void)
{
    static int known; /* 0: not yet; 1: no; 2: yes */
    size_t size = xvm_os_get_facts().page_size;
    int saved = errno, works = -1, found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    void *page;

    if (found != 0)
        return found - 1;
    page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        works = try_guard(page, size);
        (void)munmap(page, size);
    }
    if (works >= 0)
        __atomic_store_n(&known, works + 1, __ATOMIC_RELAXED);
    errno = saved;
    return works > 0;
}

/* Refused on locked pages: a lock that nobody knows of is left from an undoing that was refused. */
xvm_os_answer xvm_os_guard(xvm_os_operation why, void *address, size_t size)
{
    int saved = errno;
    int code = xvm_os_madvise(why, address, size, GUARD_INSTALL);

    if (code == EINVAL && xvm_os_munlock(why, address, size) == 0)
        code = xvm_os_madvise(why, address, size, GUARD_INSTALL);
    if (code == 0)
        errno = saved;
    return answered(why, code);
}

xvm_os_answer xvm_os_unguard(xvm_os_operation why, void *address, size_t size)
{
    return answered(why, xvm_os_madvise(why, address, size, GUARD_REMOVE));
}

/* --- policies --------------------------------------------------------------------------------- */

static int advise(void *address, size_t size, int advice)
{
    return xvm_os_madvise(XVM_OS_ATTACH, address, size, advice);
}

static int name_range(void *address, size_t size, const char *name)
{
    int code;

    if (is_refused(XVM_OS_ATTACH, "prctl", address, size, &code))
        return code;
    code = prctl(PR_SET_VMA, (unsigned long)PR_SET_VMA_ANON_NAME, (uintptr_t)address, size,
                 (uintptr_t)name);
    return told(XVM_OS_ATTACH, "prctl", address, size, code == 0 ? 0 : errno);
}

/* The node where pages are had as long as it has any. */
static int prefer_node(void *address, size_t size, unsigned node)
{
    enum { BITS = 8 * sizeof(unsigned long) };
    unsigned long nodes[NODES / BITS] = {0};
    int code;

    if (node > NODES)
        return EINVAL;
    nodes[(node - 1) / BITS] = 1ul << ((node - 1) % BITS);
    if (is_refused(XVM_OS_ATTACH, "mbind", address, size, &code))
        return code;
    code = (int)syscall(SYS_mbind, address, size, PREFERRED, nodes, (unsigned long)NODES, 0);
    return told(XVM_OS_ATTACH, "mbind", address, size, code == 0 ? 0 : errno);
}

/* Fork and dump policies and nodes must hold; huge pages and names need a kernel that has them. */
xvm_os_answer xvm_os_attach(void *address, size_t size, const xvm_os_policy *policy)
{
    int saved = errno, code = 0;

    if (policy->fork != XVM_FORK_COPY)
        code =
            advise(address, size, policy->fork == XVM_FORK_NONE ? MADV_DONTFORK : MADV_WIPEONFORK);
    if (code == 0 && policy->dump == XVM_DUMP_NEVER)
        code = advise(address, size, MADV_DONTDUMP);
    if (code == 0 && policy->node != 0)
        code = prefer_node(address, size, policy->node);
    if (code == 0 && policy->huge != XVM_HUGE_DEFAULT)
        (void)advise(address, size,
                     policy->huge == XVM_HUGE_NEVER ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    if (code == 0 && policy->name != NULL)
        (void)name_range(address, size, policy->name);
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_ATTACH, code);
}

/* --- advice ----------------------------------------------------------------------------------- */

xvm_os_answer xvm_os_advise(void *address, size_t size, xvm_advice advice)
{
    static const int advices[] = {
        [XVM_ADVICE_NORMAL] = MADV_NORMAL, [XVM_ADVICE_SEQUENTIAL] = MADV_SEQUENTIAL,
        [XVM_ADVICE_RANDOM] = MADV_RANDOM, [XVM_ADVICE_WILL_NEED] = MADV_WILLNEED,
        [XVM_ADVICE_COLD] = COLD,          [XVM_ADVICE_PAGE_OUT] = PAGE_OUT,
        [XVM_ADVICE_HUGE] = MADV_HUGEPAGE, [XVM_ADVICE_NO_HUGE] = MADV_NOHUGEPAGE,
        [XVM_ADVICE_COLLAPSE] = COLLAPSE,
    };

    return answered(XVM_OS_ADVISE, xvm_os_madvise(XVM_OS_ADVISE, address, size, advices[advice]));
}

/* --- many discards ---------------------------------------------------------------------------- */

/* All pieces by one call; an errno when the kernel cannot, or stopped on the way. */
static int discard_at_once(const xvm_os_piece *pieces, size_t count, int advice)
{
    struct iovec vector[XVM_OS_PIECES];
    size_t all = 0;
    long done;
    int code;

    for (size_t i = 0; i < count; i++) {
        vector[i] = (struct iovec){pieces[i].address, pieces[i].size};
        all += pieces[i].size;
    }
    if (is_refused(XVM_OS_DISCARD, "process_madvise", pieces[0].address, all, &code))
        return code;
    done = syscall(SYS_process_madvise, THIS_PROCESS, vector, count, advice, 0);
    code = done < 0 ? errno : (size_t)done < all ? EINTR : 0;
    return told(XVM_OS_DISCARD, "process_madvise", pieces[0].address, all, code);
}

xvm_os_answer xvm_os_discard_pieces(const xvm_os_piece *pieces, size_t count, xvm_discard_mode mode)
{
    int saved = errno;
    xvm_os_answer answer = {XVM_OK, 0};

    if (count > 1 &&
        discard_at_once(pieces, count, mode == XVM_DISCARD_LAZY ? MADV_FREE : MADV_DONTNEED) == 0) {
        errno = saved;
        return answer;
    }
    for (size_t i = 0; i < count && answer.status == XVM_OK; i++)
        answer = xvm_os_discard(pieces[i].address, pieces[i].size, mode);
    if (answer.status == XVM_OK)
        errno = saved;
    return answer;
}

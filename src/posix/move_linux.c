/* move_linux.c - pages get another address, and nothing is copied: mremap(MREMAP_DONTUNMAP), 5.7.
 *
 *     from  | piece | piece        | piece |      a piece lies in one mapping of the kernel's
 *     to    | moved | taken away   | as it was    where the second call was refused
 *
 *   1  A call moves one piece. Kernels before 6.17 refuse more, and later ones may stop between two.
 *   2  The kernel unmaps the target before its last checks. What could refuse the move then is asked
 *      for before; what was taken away nevertheless is reserved again at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "call.h"

/* Below, a copy is as fast where memory is warm. Each piece is a mapping that moves along with all
 * later moves: of many of them a copy makes one. */
enum { LEAST = 1 << 20, MOST_PIECES = 16 };

/* Numbers of the Linux interface that headers of musl lack. */
enum { FIXED_NOREPLACE = 0x100000, DONT_UNMAP = 4, COLD = 20 };
enum { TO_THERE = MREMAP_MAYMOVE | MREMAP_FIXED | DONT_UNMAP };

/* --- the trial -------------------------------------------------------------------------------- */

/* Are the pages left behind like others? qemu-user takes them for unmapped, and does nothing. */
static bool can_be_discarded(volatile unsigned char *page, size_t size)
{
    page[0] = 1;
    return madvise((void *)(uintptr_t)page, size, MADV_DONTNEED) == 0 && page[0] == 0;
}

/* Two pages, of which the first takes the place of the second. Believed when the byte is there, and
 * here no more. 1: that works. 0: it does not. -1: that could not be found out now. */
static int try_move(volatile unsigned char *pages, size_t size)
{
    void *there = (void *)(uintptr_t)(pages + size);

    pages[0] = 1;
    if (mremap((void *)(uintptr_t)pages, size, size, TO_THERE, there) == MAP_FAILED)
        return errno == ENOMEM ? -1 : 0;
    return pages[0] == 0 && pages[size] == 1 && can_be_discarded(pages, size);
}

size_t xvm_os_move_least(void)
{
    static int known; /* 0: not yet; 1: does not work; 2: works */
    int saved = errno, works = -1, found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    size_t size = xvm_os_get_facts().page_size;
    void *pages;

    if (found != 0)
        return found == 2 ? LEAST : SIZE_MAX;
    pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED) {
        works = try_move(pages, size);
        (void)munmap(pages, 2 * size);
    }
    if (works >= 0)
        __atomic_store_n(&known, works + 1, __ATOMIC_RELAXED);
    errno = saved;
    return works > 0 ? LEAST : SIZE_MAX;
}

/* --- pieces ----------------------------------------------------------------------------------- */

typedef struct pieces {
    size_t count;
    size_t ends[MOST_PIECES]; /* bytes from the start */
} pieces;

/* What mlockall has locked, and no region knows of, would not be afterwards. The advice is refused for
 * such pages; for one page of others it is a hint that does no harm. */
static bool is_locked(uintptr_t address)
{
    size_t page = xvm_os_get_facts().page_size;

    return xvm_os_madvise(XVM_OS_MOVE, (void *)address, page, COLD) != 0;
}

/* False: the range has too many, or locked ones, or the kernel does not tell. */
static bool find_pieces(uintptr_t from, size_t size, pieces *p)
{
    size_t end = 0;

    for (p->count = 0; end < size; p->ends[p->count++] = end) {
        xvm_os_mapping m;

        if (p->count == MOST_PIECES ||
            xvm_os_find_mapping((const void *)(from + end), &m).status != XVM_OK ||
            m.state != XVM_COMMITTED || is_locked(from + end))
            return false;
        end = m.base + m.size - from < size ? m.base + m.size - from : size;
    }
    return true;
}

/* --- moving ----------------------------------------------------------------------------------- */

/* Would the limits of this process, and the commit limit, let so much be mapped once more? 0 or an
 * errno. */
static int ask_limits(size_t size)
{
    void *other = NULL;
    int code = xvm_os_mmap(XVM_OS_MOVE, NULL, size, PROT_READ | PROT_WRITE, 0, &other);

    return code == 0 ? xvm_os_munmap(XVM_OS_MOVE, other, size) : code;
}

static int move_piece(void *to, void *from, size_t size)
{
    int code;

    if (is_refused(XVM_OS_MOVE, "mremap", from, size, &code))
        return code;
    return told(XVM_OS_MOVE, "mremap", from, size,
                mremap(from, size, size, TO_THERE, to) == MAP_FAILED ? errno : 0);
}

/* A move was refused. Is the target still there? What is missing is reserved again, before another
 * thread is given its addresses. */
static bool is_taken_away(void *to, size_t size)
{
    void *same;

    return xvm_os_mmap(XVM_OS_MOVE, to, size, PROT_NONE, FIXED_NOREPLACE, &same) != EEXIST;
}

/* Until one is refused. */
static void move_pieces(unsigned char *to, unsigned char *from, const pieces *p, xvm_os_moved *out)
{
    for (size_t i = 0; i < p->count; i++) {
        size_t size = p->ends[i] - out->moved;

        if (move_piece(to + out->moved, from + out->moved, size) != 0) {
            out->closed = is_taken_away(to + out->moved, size) ? size : 0;
            return;
        }
        out->moved = p->ends[i];
    }
}

xvm_os_moved xvm_os_move(void *to, void *from, size_t size)
{
    xvm_os_moved out = {0, 0};
    int saved = errno;
    pieces p;

    if (!is_locked((uintptr_t)to) && find_pieces((uintptr_t)from, size, &p) &&
        ask_limits(size) == 0)
        move_pieces(to, from, &p, &out);
    errno = saved;
    return out;
}

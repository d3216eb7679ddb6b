/* watch_linux.c - which pages were written, as Linux notes it: userfaultfd for write protection that the
 * kernel itself ends at the first write, and PAGEMAP_SCAN, which reads and renews it (6.7).
 *
 *     track   UFFDIO_REGISTER        a mark of the mapping; mmap over it takes it away, fork leaves it out
 *     arm     UFFDIO_WRITEPROTECT    a mark of each page, of those without memory, too
 *     take    PAGEMAP_SCAN           pages that have lost it, and get it again
 *
 * One descriptor does for all regions of a process: a mapping can have one only. It is opened once and
 * kept, and must not be closed: that would end all watches. Should the program do so nevertheless, or
 * in a child made by fork, whose inherited one is its parent's, it is opened anew, and everything counts as
 * written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "lock.h"
#include "read.h"
#include "scan.h"

/* The kernel's own layout and numbers, which older headers lack. */
typedef struct uffd_api {
    uint64_t api, features, ioctls;
} uffd_api;

typedef struct uffd_range {
    uint64_t start, size, mode, answer; /* answer: of a registration */
} uffd_range;

typedef struct uffd_protection {
    uint64_t start, size, mode;
} uffd_protection;

enum { API = 0xaa, USER_MODE_ONLY = 1, MODE_WRITES = 2, PROTECT = 1 };
enum { FLAG_WRITES = 1, UNPOPULATED = 1 << 13, ASYNC = 1 << 15 };
enum { FEATURES = FLAG_WRITES | UNPOPULATED | ASYNC };
#define START _IOWR(API, 0x3f, uffd_api)
#define REGISTER _IOWR(API, 0x00, uffd_range)
#define UNREGISTER _IOR(API, 0x01, uint64_t[2])
#define WRITE_PROTECT _IOWR(API, 0x06, uffd_protection)

enum { MOST = 256 }; /* pieces of one scan */

/* --- the descriptor --------------------------------------------------------------------------- */

/* Of the process that owner is; opening is the process of which a thread opens it. */
static struct {
    int number, owner, opening;
    dev_t device;
    ino_t inode;
} kept;

/* By syscall, because libraries do not agree on the type of a request. */
static int request(int file, unsigned long what, void *argument)
{
    return syscall(SYS_ioctl, (long)file, what, argument) < 0 ? errno : 0;
}

/* A new descriptor, or -1, and why. */
static int open_one(int *code)
{
    uffd_api api = {API, FEATURES, 0};
    int file = -1;

    *code = ENOSYS;
#ifdef SYS_userfaultfd
    file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
    *code = file < 0 ? errno : request(file, START, &api);
#endif
    if (file >= 0 && *code == 0 && (api.features & FEATURES) == FEATURES)
        return file;
    if (file >= 0)
        (void)close(file);
    *code = *code != 0 ? *code : EINVAL;
    return -1;
}

static bool is_ours(void)
{
    struct stat now;

    return fstat(kept.number, &now) == 0 && now.st_dev == kept.device && now.st_ino == kept.inode;
}

/* By one thread at a time. */
static int renew(void)
{
    struct stat now;
    int code, file;

    if (kept.owner != 0 && kept.owner != getpid() && is_ours())
        (void)close(kept.number);
    file = open_one(&code);
    if (file < 0)
        return code;
    if (fstat(file, &now) != 0) {
        code = errno;
        (void)close(file);
        return code;
    }
    kept.number = file;
    kept.device = now.st_dev;
    kept.inode = now.st_ino;
    STORE_RELEASE(&kept.owner, (int)getpid());
    return 0;
}

/* Others wait; but for a thread that a fork has left behind nobody does. */
static int need_descriptor(void)
{
    int self = getpid(), found = 0, code = 0;

    for (unsigned round = 0; LOAD_ACQUIRE(&kept.owner) != self || !is_ours(); round++) {
        if (!COMPARE_SWAP_ACQUIRE(&kept.opening, &found, self) && found == self) {
            found = 0;
            xvm_os_pause(round);
            continue;
        }
        if (found != 0 && !COMPARE_SWAP_ACQUIRE(&kept.opening, &found, self))
            continue;
        if (LOAD_ACQUIRE(&kept.owner) != self || !is_ours())
            code = renew();
        STORE_RELEASE(&kept.opening, 0);
        return code;
    }
    return 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

static int ask(unsigned long what, const char *call, uintptr_t address, size_t size, void *argument)
{
    const void *at = (const void *)address;
    int code;

    if (is_refused(XVM_OS_WATCH, call, at, size, &code))
        return code;
    code = need_descriptor();
    if (code == 0)
        code = request(kept.number, what, argument);
    return told(XVM_OS_WATCH, call, at, size, code);
}

/* The answer of a call that may have set errno, and has not failed. */
static xvm_os_answer answered_watch(int code, int saved)
{
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_WATCH, code);
}

xvm_os_answer xvm_os_track(xvm_watch_method method, void *address, size_t size)
{
    uintptr_t start = (uintptr_t)address;
    uffd_range r = {start, size, MODE_WRITES, 0};
    int saved = errno, code = ask(REGISTER, "uffd_register", start, size, &r);

    (void)method;
    if (code == EBUSY ||
        code == EINVAL) /* a descriptor of the program's has them; or they are a file's */
        return (xvm_os_answer){XVM_E_UNSUPPORTED, code};
    return answered_watch(code, saved);
}

xvm_os_answer xvm_os_untrack(xvm_watch_method method, void *address, size_t size)
{
    uintptr_t start = (uintptr_t)address;
    uint64_t r[2] = {start, size};
    int saved = errno;

    (void)method;
    return answered_watch(ask(UNREGISTER, "uffd_unregister", start, size, r), saved);
}

xvm_os_answer xvm_os_arm(xvm_watch_method method, void *address, size_t size)
{
    uintptr_t start = (uintptr_t)address;
    uffd_protection p = {start, size, PROTECT};
    int saved = errno, code = ask(WRITE_PROTECT, "uffd_writeprotect", start, size, &p);

    (void)method;
    if (code == ENOENT)
        return (xvm_os_answer){XVM_E_NOT_FOUND, code};
    return answered_watch(code, saved);
}

xvm_os_answer xvm_os_take_written(xvm_watch_method method, int renews, void *address, size_t size,
                                  xvm_os_piece *pieces, size_t capacity, size_t *count,
                                  void **reached)
{
    xvm_os_scanned found[MOST];
    size_t pages =
        size / xvm_os_get_facts().page_size; /* the kernel has memory for what is asked */
    size_t most = capacity < MOST ? capacity : MOST;
    uintptr_t start = (uintptr_t)address;
    xvm_os_scan q = {.size = sizeof q,
                     .flags = (renews ? XVM_OS_WRITE_PROTECT : 0) | XVM_OS_CHECK_ASYNC,
                     .start = start,
                     .end = start + size,
                     .vec = (uintptr_t)found,
                     .vec_len = pages < most ? pages : most,
                     .category_mask = XVM_OS_PAGE_WRITTEN,
                     .return_mask = XVM_OS_PAGE_WRITTEN};
    int saved = errno, code;
    long filled = 0;

    (void)method;
    code = xvm_os_ask_scan(XVM_OS_WATCH, &q, &filled);
    *count = (size_t)filled;
    for (size_t i = 0; i < *count; i++)
        pieces[i] = (xvm_os_piece){(void *)(uintptr_t)found[i].start,
                                   (size_t)(found[i].end - found[i].start)};
    *reached = (void *)(q.walk_end > start ? (uintptr_t)q.walk_end : start + size);
    if (code == EPERM)
        return (xvm_os_answer){XVM_E_NOT_FOUND, code};
    return answered_watch(code, saved);
}

/* --- the trial -------------------------------------------------------------------------------- */

/* How many pages have been written, without the watch of calls; -1: the kernel does not tell. */
static long count_written(int file, uintptr_t start, size_t size)
{
    xvm_os_scanned found[2];
    xvm_os_scan q = {.size = sizeof q,
                     .flags = XVM_OS_WRITE_PROTECT | XVM_OS_CHECK_ASYNC,
                     .start = start,
                     .end = start + size,
                     .vec = (uintptr_t)found,
                     .vec_len = 2,
                     .category_mask = XVM_OS_PAGE_WRITTEN,
                     .return_mask = XVM_OS_PAGE_WRITTEN};
    long runs = syscall(SYS_ioctl, (long)file, (unsigned long)_IOWR('f', 16, xvm_os_scan), &q);

    return runs == 1 ? (long)((found[0].end - found[0].start)) : runs;
}

/* The middle one of three pages is written, and believed when it is the one. */
static bool try_pages(int file, int pagemap, volatile unsigned char *pages, size_t size)
{
    uintptr_t start = (uintptr_t)pages;
    uffd_range r = {start, 3 * size, MODE_WRITES, 0};
    uffd_protection p = {start, 3 * size, PROTECT};

    if (request(file, REGISTER, &r) != 0 || request(file, WRITE_PROTECT, &p) != 0 ||
        count_written(pagemap, start, 3 * size) != 0)
        return false;
    pages[size] = 1;
    return count_written(pagemap, start, 3 * size) == (long)size &&
           count_written(pagemap, start, 3 * size) == 0;
}

/* 1: it works. 0: it does not. -1: that could not be found out now. */
static int try_userfault(void)
{
    size_t size = xvm_os_get_facts().page_size;
    int code, works = -1, file = open_one(&code), pagemap;
    void *pages;

    if (file < 0)
        return code == EMFILE || code == ENFILE || code == ENOMEM ? -1 : 0;
    pagemap = xvm_os_open_file("/proc/self/pagemap");
    pages = mmap(NULL, 3 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED && pagemap >= 0)
        works = try_pages(file, pagemap, pages, size);
    if (pages != MAP_FAILED)
        (void)munmap(pages, 3 * size);
    if (pagemap >= 0)
        (void)close(pagemap);
    (void)close(file);
    return works;
}

int xvm_os_can_track(xvm_watch_method method)
{
    static int known; /* 0: not yet; 1: no; 2: yes */
    int saved = errno, works, found = LOAD(&known);

    if (method != XVM_WATCH_USERFAULT)
        return 0;
    if (found != 0)
        return found - 1;
    works = try_userfault();
    if (works >= 0)
        STORE(&known, works + 1);
    errno = saved;
    return works > 0;
}

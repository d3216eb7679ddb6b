/* share.c - shares by descriptors, views by mmap.
 *
 *     create   unnamed: room for all of it, its size, seals
 *     name     a file whose holders have a shared flock: what can be locked alone is nobody's
 *
 *              open ---> lock alone? --yes--> left behind: unlink, as if it had not been there
 *                              |
 *                              no ----------> lock with others, and look whether the name is still
 *                                             that of this file: it is ours as well
 *
 *   1  Who has a file locked alone, and the name is that file's, is the only one who unlinks it.
 *   2  flock drops the old lock before it has the new one, so the name is looked at after each.
 *   3  A named file has its size when it is ready, and is empty before: a process that was killed while
 *      it made one has made none.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "shared.h"

#ifndef MAP_FIXED_NOREPLACE /* then the address is a hint, and the result is compared anyway */
#define MAP_FIXED_NOREPLACE 0
#endif

/* --- calls ------------------------------------------------------------------------------------ */

/* close keeps errno as it was. */
static void drop(int fd)
{
    int saved = errno;

    (void)close(fd);
    errno = saved;
}

static int look(int fd, struct stat *found)
{
    int code;

    if (is_refused(XVM_OS_FILE, "fstat", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "fstat", NULL, 0, fstat(fd, found) == 0 ? 0 : errno);
}

static int lock(int fd, int how)
{
    int code;

    if (is_refused(XVM_OS_FILE, "flock", NULL, 0, &code))
        return code;
    do {
        code = flock(fd, how) == 0 ? 0 : errno;
    } while (code == EINTR);
    return told(XVM_OS_FILE, "flock", NULL, 0, code);
}

static int set_size(int fd, uint64_t size)
{
    int code;

    if (is_refused(XVM_OS_FILE, "ftruncate", NULL, (size_t)size, &code))
        return code;
    do {
        code = ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
    } while (code == EINTR);
    return told(XVM_OS_FILE, "ftruncate", NULL, (size_t)size, code);
}

/* Past RLIMIT_FSIZE a signal would end the process. */
static int check_size(uint64_t size)
{
    struct rlimit limit;

    if (size > INT64_MAX || (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                             limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur))
        return EFBIG;
    return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Empty memory gets its size when all of it is there. */
static int fill(int fd, uint64_t size)
{
    int code = check_size(size);

    if (code == 0)
        code = xvm_os_allocate(fd, 0, size, 1);
    if (code == 0 || code == EOPNOTSUPP)
        code = set_size(fd, size);
    return code;
}

static int create_memory(uint64_t size, int *out)
{
    int fd = -1, code = xvm_os_open_memory(&fd);

    if (code == 0)
        code = fill(fd, size);
    if (code == 0)
        code = xvm_os_seal_memory(fd);
    if (code == 0)
        *out = fd;
    else if (fd >= 0)
        drop(fd);
    return code;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Is the name that of this file? */
static bool is_current(int fd, const char *name, struct stat *found)
{
    struct stat named;

    return look(fd, found) == 0 && xvm_os_stat_name(name, &named) == 0 &&
           named.st_dev == found->st_dev && named.st_ino == found->st_ino;
}

/* Of a file that is locked alone. */
static int unlink_current(int fd, const char *name)
{
    struct stat found;

    return is_current(fd, name, &found) ? xvm_os_unlink_name(name) : 0;
}

/* The last holder takes the name along. */
static void leave(int fd, const char *name)
{
    int saved = errno;

    if (lock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlink_current(fd, name);
    (void)close(fd);
    errno = saved;
}

/* What others have, as one of them. EAGAIN: it was not theirs any more; look again. */
static int join_holders(int fd, const char *name, uint64_t *size)
{
    struct stat found;
    int code = lock(fd, LOCK_SH);

    if (code != 0)
        return code;
    if (!is_current(fd, name, &found) || found.st_size == 0)
        return EAGAIN;
    *size = (uint64_t)found.st_size;
    return 0;
}

/* Names of other users are left alone, whatever this one may do. */
static int open_own(const char *name, int flags, int *fd)
{
    int code = xvm_os_open_name(name, flags, fd);
    struct stat found;

    if (code != 0)
        return code;
    code = look(*fd, &found);
    if (code == 0 && (!S_ISREG(found.st_mode) || found.st_uid != geteuid()))
        code = EACCES;
    if (code != 0)
        drop(*fd);
    return code;
}

/* A file that was opened by name. */
static int join_file(int fd, const char *name, uint64_t *size)
{
    int code = lock(fd, LOCK_EX | LOCK_NB);

    if (code == EWOULDBLOCK)
        return join_holders(fd, name, size);
    if (code != 0)
        return code;
    code = unlink_current(fd, name);
    return code == 0 || code == ENOENT ? EAGAIN : code;
}

/* Becomes a holder; ENOENT: there is none. */
static int join(const char *name, int flags, uint64_t *size, int *out)
{
    int fd, code;

    do {
        code = open_own(name, flags, &fd);
        if (code != 0)
            return code;
        code = join_file(fd, name, size);
        if (code != 0)
            leave(fd, name);
    } while (code == EAGAIN);
    if (code == 0)
        *out = fd;
    return code;
}

/* A new file; EAGAIN: somebody took it for left behind before it was locked. */
static int make_file(int fd, const char *name, uint64_t size)
{
    struct stat found;
    int code = lock(fd, LOCK_EX);

    if (code == 0)
        code = is_current(fd, name, &found) ? fill(fd, size) : EAGAIN;
    if (code == 0)
        code = lock(fd, LOCK_SH);
    if (code == 0 && !is_current(fd, name, &found))
        code = EAGAIN;
    return code;
}

/* Once; EAGAIN: again. */
static int try_name(const char *name, uint64_t size, int *out)
{
    uint64_t found;
    int fd = -1, code = join(name, O_RDWR, &found, &fd);

    if (code == 0) {
        leave(fd, name);
        return EEXIST;
    }
    if (code != ENOENT)
        return code;
    code = xvm_os_open_name(name, O_RDWR | O_CREAT | O_EXCL, &fd);
    if (code != 0)
        return code == EEXIST ? EAGAIN : code;
    code = make_file(fd, name, size);
    if (code == 0)
        *out = fd;
    else
        leave(fd, name);
    return code;
}

static int create_name(const char *name, uint64_t size, int *out)
{
    int code;

    do {
        code = try_name(name, size, out);
    } while (code == EAGAIN);
    return code;
}

/* --- shares ----------------------------------------------------------------------------------- */

static xvm_os_answer keep(int code, int saved, int fd, xvm_os_share share, xvm_os_share *out)
{
    if (code != 0)
        return answered(XVM_OS_FILE, code);
    share.handle = fd;
    share.owner = (unsigned)getpid();
    *out = share;
    errno = saved;
    return answered(XVM_OS_FILE, 0);
}

xvm_os_answer xvm_os_share_create(const char *name, uint64_t size, xvm_os_share *out)
{
    xvm_os_share share = {
        .size = size, .kind = name != NULL ? XVM_OS_NAMED : XVM_OS_MEMORY, .writable = 1};
    int saved = errno, fd = -1;
    int code = name != NULL ? create_name(name, size, &fd) : create_memory(size, &fd);

    if (code == ENOENT) /* the place for names itself */
        return (xvm_os_answer){XVM_E_UNSUPPORTED, code};
    return keep(code, saved, fd, share, out);
}

xvm_os_answer xvm_os_share_open(const char *name, int writable, xvm_os_share *out)
{
    xvm_os_share share = {.kind = XVM_OS_NAMED, .writable = writable};
    int saved = errno, fd = -1;
    int code = join(name, writable ? O_RDWR : O_RDONLY, &share.size, &fd);

    return keep(code, saved, fd, share, out);
}

/* Handles that a fork has copied neither keep a name nor free it: lock and file are one for both. */
void xvm_os_share_close(const xvm_os_share *share, const char *name)
{
    int fd = (int)share->handle;

    if (share->kind == XVM_OS_NAMED && share->owner == (unsigned)getpid())
        leave(fd, name);
    else
        drop(fd);
}

/* --- files ------------------------------------------------------------------------------------ */

static int open_path(const char *path, int flags, int *fd)
{
    int code, opened;

    if (is_refused(XVM_OS_FILE, "open", NULL, 0, &code))
        return code;
    opened = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (opened >= 0)
        *fd = opened;
    return told(XVM_OS_FILE, "open", NULL, 0, opened >= 0 ? 0 : errno);
}

/* One that exists, or else a new one. */
static int open_or_create(const char *path, int *fd, bool *created)
{
    int code;

    do {
        *created = false;
        code = open_path(path, O_RDWR, fd);
        if (code != ENOENT)
            return code;
        code = open_path(path, O_RDWR | O_CREAT | O_EXCL, fd);
        *created = code == 0;
    } while (code == EEXIST);
    return code;
}

static int open_file(const char *path, xvm_file_mode mode, int *fd, bool *created)
{
    int code;

    if (mode == XVM_FILE_READ || mode == XVM_FILE_READ_WRITE)
        return open_path(path, mode == XVM_FILE_READ ? O_RDONLY : O_RDWR, fd);
    if (mode != XVM_FILE_CREATE)
        return open_or_create(path, fd, created);
    code = open_path(path, O_RDWR | O_CREAT | O_EXCL, fd);
    *created = code == 0;
    return code;
}

/* Its size, for the mode. */
static int settle_file(int fd, xvm_file_mode mode, uint64_t *size)
{
    struct stat found;
    int code = look(fd, &found);

    if (code != 0)
        return code;
    if (!S_ISREG(found.st_mode))
        return EISDIR;
    *size = mode == XVM_FILE_TRUNCATE ? 0 : (uint64_t)found.st_size;
    return (uint64_t)found.st_size != *size ? set_size(fd, 0) : 0;
}

xvm_os_answer xvm_os_file_open(const char *path, xvm_file_mode mode, xvm_os_share *out)
{
    xvm_os_share share = {.kind = XVM_OS_FILED, .writable = mode != XVM_FILE_READ};
    int saved = errno, fd = -1;
    bool created = false;
    int code = open_file(path, mode, &fd, &created);

    if (code != 0)
        return answered(XVM_OS_FILE, code);
    code = settle_file(fd, mode, &share.size);
    if (code != 0 && created)
        (void)unlink(path);
    if (code != 0)
        drop(fd);
    return keep(code, saved, fd, share, out);
}

xvm_os_answer xvm_os_share_size(const xvm_os_share *share, uint64_t *size)
{
    struct stat found;
    int code = look((int)share->handle, &found);

    if (code == 0)
        *size = (uint64_t)found.st_size;
    return answered(XVM_OS_FILE, code);
}

/* Where room cannot be had without writing. */
static int write_zeros(int fd, uint64_t from, uint64_t to)
{
    static const char zeros[16 << 10];
    int code = 0;

    while (from < to && code == 0) {
        size_t step = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        ssize_t done;

        if (is_refused(XVM_OS_FILE, "pwrite", NULL, step, &code))
            return code;
        done = pwrite(fd, zeros, step, (off_t)from);
        from += done > 0 ? (uint64_t)done : 0;
        code = done >= 0 || errno == EINTR ? 0 : errno;
        code = told(XVM_OS_FILE, "pwrite", NULL, step, code);
    }
    return code;
}

/* The new part has room on the disk, and then it is part of the file. */
static int grow(int fd, uint64_t from, uint64_t to)
{
    int code = check_size(to);

    if (code == 0)
        code = xvm_os_allocate(fd, from, to, 0);
    if (code == EOPNOTSUPP)
        code = write_zeros(fd, from, to);
    return code;
}

xvm_os_answer xvm_os_share_resize(xvm_os_share *share, uint64_t size)
{
    int fd = (int)share->handle, saved = errno, code;
    struct stat found;

    if (size <= share->size) {
        code = set_size(fd, size);
    } else {
        code = grow(fd, share->size, size);
        if (code != 0 && set_size(fd, share->size) != 0 && look(fd, &found) == 0)
            share->size = (uint64_t)found.st_size;
    }
    if (code != 0)
        return answered(XVM_OS_FILE, code);
    share->size = size;
    errno = saved;
    return answered(XVM_OS_FILE, 0);
}

/* --- views ------------------------------------------------------------------------------------ */

static int map(const xvm_os_share *share, const xvm_os_view *view, int flags, void **at)
{
    int protection = view->writable ? PROT_READ | PROT_WRITE : PROT_READ, code;
    void *got;

    if (is_refused(XVM_OS_MAP, "mmap", view->address, view->size, &code))
        return code;
    got = mmap(view->address, view->size, protection,
               (view->copied ? MAP_PRIVATE : MAP_SHARED) | flags, (int)share->handle,
               (off_t)view->from);
    if (got == MAP_FAILED)
        return told(XVM_OS_MAP, "mmap", view->address, view->size, errno);
    *at = got;
    return told(XVM_OS_MAP, "mmap", got, view->size, 0);
}

/* Is the place of a refused view still there? What the kernel has unmapped is reserved again; where
 * nothing is missing this is refused. */
static void mend(const xvm_os_view *view)
{
    void *got = NULL;

    if (xvm_os_mmap(XVM_OS_MAP, view->address, view->size, PROT_NONE, MAP_FIXED_NOREPLACE, &got) ==
            0 &&
        got != view->address)
        (void)xvm_os_munmap(XVM_OS_MAP, got, view->size);
}

/* Kernels before 4.17 take the address for a hint. */
static int map_at(const xvm_os_share *share, const xvm_os_view *view, void **at)
{
    void *got = NULL;
    int code = map(share, view, MAP_FIXED_NOREPLACE, &got);

    if (code == 0 && got != view->address) {
        (void)xvm_os_munmap(XVM_OS_MAP, got, view->size);
        code = EEXIST;
    }
    if (code == 0)
        *at = got;
    return code;
}

int xvm_os_can_map_over(void)
{
    return 1;
}

xvm_os_answer xvm_os_map(const xvm_os_share *share, const xvm_os_view *view, void **at)
{
    int code;

    if (view->over) {
        code = map(share, view, MAP_FIXED, at);
        if (code != 0) {
            mend(view);
            errno = code;
        }
    } else {
        code = view->address != NULL ? map_at(share, view, at) : map(share, view, 0, at);
    }
    return answered(XVM_OS_MAP, code);
}

xvm_os_answer xvm_os_unmap(void *address, size_t size)
{
    return answered(XVM_OS_RELEASE, xvm_os_munmap(XVM_OS_MAP, address, size));
}

/* By one call: no moment in which the addresses are nobody's. */
xvm_os_answer xvm_os_unmap_over(void *address, size_t size)
{
    void *same = NULL;

    return answered(XVM_OS_DECOMMIT,
                    xvm_os_mmap(XVM_OS_MAP, address, size, PROT_NONE, MAP_FIXED, &same));
}

/* Others read what was written at once: only the disk has to be waited for. */
xvm_os_answer xvm_os_flush(const xvm_os_share *share, void *address, size_t size, int to_disk)
{
    int code;

    (void)share;
    if (is_refused(XVM_OS_FILE, "msync", address, size, &code))
        return answered(XVM_OS_FILE, code);
    code = msync(address, size, to_disk ? MS_SYNC : MS_ASYNC) == 0 ? 0 : errno;
    return answered(XVM_OS_FILE, told(XVM_OS_FILE, "msync", address, size, code));
}

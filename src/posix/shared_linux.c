/* shared_linux.c - memory behind descriptors, as Linux has it.
 *
 *     without a name   memfd_create (3.17), else a file in /dev/shm whose name goes at once
 *     with a name      a file in /dev/shm, one folder for all users: the name has the user in it
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "shared.h"

/* Numbers of the Linux interface that old headers lack. */
enum { CLOSE_ON_EXEC = 1, ALLOW_SEALING = 2, NO_EXECUTE = 8 }; /* the last one: 6.3 */
enum { ADD_SEALS = 1033, SEAL_SEALS = 1, SEAL_SHRINK = 2, SEAL_GROW = 4 };
enum { KEEP_SIZE = 1, STEP = 64 << 20, PATH = 128 };

/* A file of /dev/shm; names are checked, and fit. */
static const char *path_of(const char *name, char path[PATH])
{
    (void)snprintf(path, PATH, "/dev/shm/xvm.%lu.%s", (unsigned long)geteuid(), name);
    return path;
}

int xvm_os_open_name(const char *name, int flags, int *fd)
{
    char path[PATH];
    int code, opened;

    if (is_refused(XVM_OS_FILE, "open", NULL, 0, &code))
        return code;
    opened = open(path_of(name, path), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (opened >= 0)
        *fd = opened;
    return told(XVM_OS_FILE, "open", NULL, 0, opened >= 0 ? 0 : errno);
}

int xvm_os_stat_name(const char *name, struct stat *found)
{
    char path[PATH];
    int code;

    if (is_refused(XVM_OS_FILE, "stat", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "stat", NULL, 0, lstat(path_of(name, path), found) == 0 ? 0 : errno);
}

int xvm_os_unlink_name(const char *name)
{
    char path[PATH];
    int code;

    if (is_refused(XVM_OS_FILE, "unlink", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "unlink", NULL, 0, unlink(path_of(name, path)) == 0 ? 0 : errno);
}

/* Before 3.17: a name that nobody else has, for a moment. */
static int open_nameless(int *fd)
{
    static unsigned counter;
    char name[PATH / 2];
    int code;

    (void)snprintf(name, sizeof name, "%ld.%u~", (long)getpid(),
                   __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
    code = xvm_os_open_name(name, O_RDWR | O_CREAT | O_EXCL, fd);
    if (code == 0)
        (void)xvm_os_unlink_name(name);
    return code;
}

static int make_memory(unsigned flags, int *fd)
{
    int code, made;

    if (is_refused(XVM_OS_FILE, "memfd_create", NULL, 0, &code))
        return code;
#ifdef SYS_memfd_create
    made = (int)syscall(SYS_memfd_create, "xvm", flags);
#else
    (void)flags;
    made = -1;
    errno = ENOSYS;
#endif
    if (made >= 0)
        *fd = made;
    return told(XVM_OS_FILE, "memfd_create", NULL, 0, made >= 0 ? 0 : errno);
}

int xvm_os_open_memory(int *fd)
{
    int code = make_memory(CLOSE_ON_EXEC | ALLOW_SEALING | NO_EXECUTE, fd);

    if (code == EINVAL)
        code = make_memory(CLOSE_ON_EXEC | ALLOW_SEALING, fd);
    return code == ENOSYS ? open_nameless(fd) : code;
}

int xvm_os_seal_memory(int fd)
{
    int code;

    if (is_refused(XVM_OS_FILE, "fcntl", NULL, 0, &code))
        return code;
    code = fcntl(fd, ADD_SEALS, SEAL_SHRINK | SEAL_GROW | SEAL_SEALS) == 0 ? 0 : errno;
    if (code == EINVAL || code == EPERM || code == ENOSYS) /* no memfd */
        code = 0;
    return told(XVM_OS_FILE, "fcntl", NULL, 0, code);
}

static int allocate_step(int fd, uint64_t from, uint64_t size, int mode)
{
    int code;

    do {
        if (is_refused(XVM_OS_FILE, "fallocate", NULL, (size_t)size, &code))
            return code;
        code = fallocate(fd, mode, (off_t)from, (off_t)size) == 0 ? 0 : errno;
        code = told(XVM_OS_FILE, "fallocate", NULL, (size_t)size, code);
    } while (code == EINTR);
    return code;
}

/* In steps, because a signal undoes the one that it interrupts. */
int xvm_os_allocate(int fd, uint64_t from, uint64_t to, int kept)
{
    int code = 0;

    for (uint64_t step; from < to && code == 0; from += step) {
        step = to - from < STEP ? to - from : STEP;
        code = allocate_step(fd, from, step, kept ? KEEP_SIZE : 0);
    }
    return code == ENOSYS ? EOPNOTSUPP : code;
}

/* shared_none.c - memory behind descriptors, by what POSIX itself has. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "call.h"
#include "shared.h"

enum { PATH = 128 };

static const char *path_of(const char *name, char path[PATH])
{
    (void)snprintf(path, PATH, "/xvm.%lu.%s", (unsigned long)geteuid(), name);
    return path;
}

int xvm_os_open_name(const char *name, int flags, int *fd)
{
    char path[PATH];
    int code, opened;

    if (is_refused(XVM_OS_FILE, "shm_open", NULL, 0, &code))
        return code;
    opened = shm_open(path_of(name, path), flags, 0600);
    if (opened >= 0)
        *fd = opened;
    return told(XVM_OS_FILE, "shm_open", NULL, 0, opened >= 0 ? 0 : errno);
}

int xvm_os_stat_name(const char *name, struct stat *found)
{
    int fd = -1, code = xvm_os_open_name(name, O_RDONLY, &fd);

    if (code == 0)
        code = fstat(fd, found) == 0 ? 0 : errno;
    if (fd >= 0)
        (void)close(fd);
    return code;
}

int xvm_os_unlink_name(const char *name)
{
    char path[PATH];
    int code;

    if (is_refused(XVM_OS_FILE, "shm_unlink", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "shm_unlink", NULL, 0,
                shm_unlink(path_of(name, path)) == 0 ? 0 : errno);
}

/* A name that nobody else has, for a moment. */
int xvm_os_open_memory(int *fd)
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

int xvm_os_seal_memory(int fd)
{
    (void)fd;
    return 0;
}

int xvm_os_allocate(int fd, uint64_t from, uint64_t to, int kept)
{
    (void)fd;
    (void)from;
    (void)to;
    (void)kept;
    return EOPNOTSUPP;
}

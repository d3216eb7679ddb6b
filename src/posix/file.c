/* file.c - plain files: read and written at a place, and put in the place of others. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"

enum {
    FIRST_OF_OURS = 3, /* those below are the program's, even when they are closed */
    MOST_AT_ONCE = 1 << 30
};

/* --- calls ------------------------------------------------------------------------------------ */

static int keep_off_standard(int fd, int *out)
{
    int higher, code;

    *out = fd;
    if (fd >= FIRST_OF_OURS)
        return 0;
    higher = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OF_OURS);
    code = higher < 0 ? errno : 0;
    (void)close(fd);
    *out = higher;
    return code;
}

static int open_file(const char *path, int flags, int *out)
{
    int code, fd;

    if (is_refused(XVM_OS_FILE, "open", NULL, 0, &code))
        return code;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    while (fd < 0 && errno == EINTR);
    code = fd < 0 ? errno : keep_off_standard(fd, out);
    return told(XVM_OS_FILE, "open", NULL, 0, code);
}

static int look_at(int fd, struct stat *found)
{
    int code;

    if (is_refused(XVM_OS_FILE, "fstat", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "fstat", NULL, 0, fstat(fd, found) == 0 ? 0 : errno);
}

static int write_some(int fd, uint64_t at, const void *bytes, size_t size, size_t *done)
{
    ssize_t wrote;
    int code;

    if (is_refused(XVM_OS_FILE, "pwrite", NULL, size, &code))
        return code;
    do
        wrote = pwrite(fd, bytes, size, (off_t)at);
    while (wrote < 0 && errno == EINTR);
    *done = wrote > 0 ? (size_t)wrote : 0;
    code = wrote < 0 ? errno : wrote == 0 ? ENOSPC : 0;
    return told(XVM_OS_FILE, "pwrite", NULL, size, code);
}

static int read_some(int fd, uint64_t at, void *into, size_t size, size_t *done)
{
    ssize_t got;
    int code;

    if (is_refused(XVM_OS_FILE, "pread", NULL, size, &code))
        return code;
    do
        got = pread(fd, into, size, (off_t)at);
    while (got < 0 && errno == EINTR);
    *done = got > 0 ? (size_t)got : 0;
    return told(XVM_OS_FILE, "pread", NULL, size, got < 0 ? errno : 0);
}

static int sync_file(int fd)
{
    int code;

    if (is_refused(XVM_OS_FILE, "fsync", NULL, 0, &code))
        return code;
    do
        code = fsync(fd) == 0 ? 0 : errno;
    while (code == EINTR);
    return told(XVM_OS_FILE, "fsync", NULL, 0, code);
}

static int rename_file(const char *from, const char *to)
{
    int code;

    if (is_refused(XVM_OS_FILE, "rename", NULL, 0, &code))
        return code;
    return told(XVM_OS_FILE, "rename", NULL, 0, rename(from, to) == 0 ? 0 : errno);
}

/* --- files ------------------------------------------------------------------------------------ */

xvm_os_answer xvm_os_plain_create(const char *path, xvm_os_plain_file *file)
{
    int saved = errno, fd = -1, code = open_file(path, O_RDWR | O_CREAT | O_EXCL, &fd);

    if (code != 0)
        return xvm_os_classify(XVM_OS_FILE, code);
    file->handle = fd;
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

/* What is no file, or one that cannot be read from a place. */
static int kind_of(int fd, uint64_t *size)
{
    struct stat found;
    int code = look_at(fd, &found);

    if (code != 0)
        return code;
    *size = (uint64_t)found.st_size;
    return S_ISREG(found.st_mode) ? 0 : EISDIR;
}

xvm_os_answer xvm_os_plain_open(const char *path, xvm_os_plain_file *file, uint64_t *size)
{
    int saved = errno, fd = -1, code = open_file(path, O_RDONLY, &fd);

    if (code != 0)
        return xvm_os_classify(XVM_OS_FILE, code);
    code = kind_of(fd, size);
    if (code != 0) {
        (void)close(fd);
        errno = code;
        return xvm_os_classify(XVM_OS_FILE, code);
    }
    file->handle = fd;
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

void xvm_os_plain_close(xvm_os_plain_file file)
{
    int saved = errno;

    (void)close((int)file.handle);
    errno = saved;
}

xvm_os_answer xvm_os_plain_write(xvm_os_plain_file file, uint64_t at, const void *bytes,
                                 size_t size)
{
    const unsigned char *from = bytes;
    int saved = errno, code = 0;

    for (size_t done; code == 0 && size != 0; from += done, at += done, size -= done) {
        size_t step = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;

        code = write_some((int)file.handle, at, from, step, &done);
        if (code != 0)
            return xvm_os_classify(XVM_OS_FILE, code);
    }
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

xvm_os_answer xvm_os_plain_read(xvm_os_plain_file file, uint64_t at, void *into, size_t size)
{
    unsigned char *to = into;
    int saved = errno;

    for (size_t done; size != 0; to += done, at += done, size -= done) {
        size_t step = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;
        int code = read_some((int)file.handle, at, to, step, &done);

        if (code != 0)
            return xvm_os_classify(XVM_OS_FILE, code);
        if (done == 0)
            return (xvm_os_answer){XVM_E_CORRUPT, 0};
    }
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

xvm_os_answer xvm_os_plain_sync(xvm_os_plain_file file)
{
    int saved = errno, code = sync_file((int)file.handle);

    if (code != 0)
        return xvm_os_classify(XVM_OS_FILE, code);
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

/* The folder that a path is in. False: its name is too long for us. */
static bool name_folder(const char *path, char folder[XVM_OS_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);

    if (length >= XVM_OS_PATH_BYTES)
        return false;
    memcpy(folder, slash == NULL ? "." : path, length);
    folder[length] = '\0';
    return true;
}

/* A name lasts when its folder is on the disk. What is refused here leaves the old file or the new one
 * there after a loss of power, each of them whole. */
static void sync_folder(const char *path)
{
    char folder[XVM_OS_PATH_BYTES];
    int fd = -1;

    if (!name_folder(path, folder) || open_file(folder, O_RDONLY, &fd) != 0)
        return;
    (void)sync_file(fd);
    (void)close(fd);
}

/* A name that is something else than a file is left alone: it might be a device. */
static int check_place(const char *path)
{
    struct stat found;

    if (lstat(path, &found) != 0)
        return errno == ENOENT ? 0 : errno;
    return S_ISREG(found.st_mode) || S_ISLNK(found.st_mode) ? 0 : EISDIR;
}

xvm_os_answer xvm_os_plain_replace(const char *from, const char *to)
{
    int saved = errno, code = check_place(to);

    if (code == 0)
        code = rename_file(from, to);
    if (code != 0) {
        errno = code;
        return xvm_os_classify(XVM_OS_FILE, code);
    }
    sync_folder(to);
    errno = saved;
    return (xvm_os_answer){XVM_OK, 0};
}

void xvm_os_plain_remove(const char *path)
{
    int saved = errno;

    (void)unlink(path);
    errno = saved;
}

/* file.c - plain files: read and written at a place, and put in the place of others. */
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "path.h"

enum { MOST_AT_ONCE = 1 << 30 };

static const xvm_os_answer DONE = {XVM_OK, 0};

/* --- calls ------------------------------------------------------------------------------------ */

/* A handle that children do not have. */
static int open_file(const char *path, DWORD access, DWORD share, DWORD how, HANDLE *out)
{
    DWORD before = GetLastError(), code = refused(XVM_OS_FILE, "CreateFile", 0, ERROR_DISK_FULL);
    WCHAR wide[XVM_OS_PATH];
    int injected = code != 0;

    if (!injected && !xvm_os_wide_path(path, wide))
        code = failure();
    if (code == 0) {
        *out = CreateFileW(wide, access, share, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
        code = *out == INVALID_HANDLE_VALUE ? failure() : 0;
    }
    return told(XVM_OS_FILE, "CreateFile", NULL, 0, code, before, injected);
}

static int find_size(HANDLE handle, uint64_t *size)
{
    DWORD before = GetLastError(),
          code = refused(XVM_OS_FILE, "GetFileSizeEx", 0, ERROR_NOT_ENOUGH_MEMORY);
    LARGE_INTEGER found = {.QuadPart = 0};
    int injected = code != 0;

    if (!injected && GetFileType(handle) != FILE_TYPE_DISK)
        code = ERROR_INVALID_NAME;
    if (code == 0 && !GetFileSizeEx(handle, &found))
        code = failure();
    *size = (uint64_t)found.QuadPart;
    return told(XVM_OS_FILE, "GetFileSizeEx", NULL, 0, code, before, injected);
}

static OVERLAPPED place_of(uint64_t at)
{
    OVERLAPPED place = {0};

    place.Offset = (DWORD)at;
    place.OffsetHigh = (DWORD)(at >> 32);
    return place;
}

static int write_some(HANDLE handle, uint64_t at, const void *bytes, DWORD size, DWORD *done)
{
    DWORD before = GetLastError(), code = refused(XVM_OS_FILE, "WriteFile", size, ERROR_DISK_FULL);
    OVERLAPPED place = place_of(at);
    int injected = code != 0;

    *done = 0;
    if (!injected && !WriteFile(handle, bytes, size, done, &place))
        code = failure();
    else if (!injected && *done == 0)
        code = ERROR_DISK_FULL;
    return told(XVM_OS_FILE, "WriteFile", NULL, size, code, before, injected);
}

/* Nothing is read at the end. */
static int read_some(HANDLE handle, uint64_t at, void *into, DWORD size, DWORD *done)
{
    DWORD before = GetLastError(),
          code = refused(XVM_OS_FILE, "ReadFile", size, ERROR_NOT_ENOUGH_MEMORY);
    OVERLAPPED place = place_of(at);
    int injected = code != 0;

    *done = 0;
    if (!injected && !ReadFile(handle, into, size, done, &place))
        code = failure();
    if (!injected && code == ERROR_HANDLE_EOF)
        code = 0;
    return told(XVM_OS_FILE, "ReadFile", NULL, size, code, before, injected);
}

static int sync_file(HANDLE handle)
{
    DWORD before = GetLastError(),
          code = refused(XVM_OS_FILE, "FlushFileBuffers", 0, ERROR_DISK_FULL);
    int injected = code != 0;

    if (!injected && !FlushFileBuffers(handle))
        code = failure();
    return told(XVM_OS_FILE, "FlushFileBuffers", NULL, 0, code, before, injected);
}

static int move_file(const WCHAR *from, const WCHAR *to)
{
    DWORD before = GetLastError(), code = refused(XVM_OS_FILE, "MoveFileEx", 0, ERROR_DISK_FULL);
    int injected = code != 0;

    if (!injected && !MoveFileExW(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        code = failure();
    return told(XVM_OS_FILE, "MoveFileEx", NULL, 0, code, before, injected);
}

/* --- files ------------------------------------------------------------------------------------ */

static HANDLE handle_of(xvm_os_plain_file file)
{
    return (HANDLE)file.handle;
}

xvm_os_answer xvm_os_plain_create(const char *path, xvm_os_plain_file *file)
{
    HANDLE handle = NULL;
    int code = open_file(path, GENERIC_WRITE, 0, CREATE_NEW, &handle);

    if (code == 0)
        file->handle = (intptr_t)handle;
    return xvm_os_classify(XVM_OS_FILE, code);
}

xvm_os_answer xvm_os_plain_open(const char *path, xvm_os_plain_file *file, uint64_t *size)
{
    HANDLE handle = NULL;
    int code =
        open_file(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, OPEN_EXISTING, &handle);

    if (code != 0)
        return xvm_os_classify(XVM_OS_FILE, code);
    code = find_size(handle, size);
    file->handle = (intptr_t)handle;
    if (code != 0)
        xvm_os_plain_close(*file);
    return xvm_os_classify(XVM_OS_FILE, code);
}

void xvm_os_plain_close(xvm_os_plain_file file)
{
    DWORD before = GetLastError();

    (void)CloseHandle(handle_of(file));
    SetLastError(before);
}

xvm_os_answer xvm_os_plain_write(xvm_os_plain_file file, uint64_t at, const void *bytes,
                                 size_t size)
{
    const unsigned char *from = bytes;

    for (DWORD done; size != 0; from += done, at += done, size -= done) {
        DWORD step = size < MOST_AT_ONCE ? (DWORD)size : MOST_AT_ONCE;
        int code = write_some(handle_of(file), at, from, step, &done);

        if (code != 0)
            return xvm_os_classify(XVM_OS_FILE, code);
    }
    return DONE;
}

xvm_os_answer xvm_os_plain_read(xvm_os_plain_file file, uint64_t at, void *into, size_t size)
{
    unsigned char *to = into;

    for (DWORD done; size != 0; to += done, at += done, size -= done) {
        DWORD step = size < MOST_AT_ONCE ? (DWORD)size : MOST_AT_ONCE;
        int code = read_some(handle_of(file), at, to, step, &done);

        if (code != 0)
            return xvm_os_classify(XVM_OS_FILE, code);
        if (done == 0)
            return (xvm_os_answer){XVM_E_CORRUPT, 0};
    }
    return DONE;
}

xvm_os_answer xvm_os_plain_sync(xvm_os_plain_file file)
{
    return xvm_os_classify(XVM_OS_FILE, sync_file(handle_of(file)));
}

xvm_os_answer xvm_os_plain_replace(const char *from, const char *to)
{
    WCHAR wide_from[XVM_OS_PATH], wide_to[XVM_OS_PATH];

    if (!xvm_os_wide_path(from, wide_from) || !xvm_os_wide_path(to, wide_to))
        return xvm_os_classify(XVM_OS_FILE, (int)failure());
    return xvm_os_classify(XVM_OS_FILE, move_file(wide_from, wide_to));
}

void xvm_os_plain_remove(const char *path)
{
    DWORD before = GetLastError();
    WCHAR wide[XVM_OS_PATH];

    if (xvm_os_wide_path(path, wide))
        (void)DeleteFileW(wide);
    SetLastError(before);
}

/* share.c - shares by sections and files, views by MapViewOfFile.
 *
 *     memory   the handle is a section of the page file, which has its size for ever
 *     file     the handle is the file; each view has a section of its own, which goes at once: a file
 *              cannot become smaller while there is a section of it
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "path.h"

enum { NAME = 96, READ_WRITE = FILE_MAP_READ | FILE_MAP_WRITE };

/* --- calls ------------------------------------------------------------------------------------ */

static DWORD failure_of(bool worked)
{
    return worked ? 0 : failure();
}

/* A section of a file, or of the page file. One that was there already is an error. */
static int create_section(HANDLE file, DWORD protection, uint64_t size, const WCHAR *name,
                          HANDLE *out)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "CreateFileMapping", (size_t)size, ERROR_COMMITMENT_LIMIT);
    HANDLE made;

    if (code != 0)
        return told(XVM_OS_FILE, "CreateFileMapping", NULL, (size_t)size, code, before, 1);
    SetLastError(0);
    made = CreateFileMappingW(file, NULL, protection, (DWORD)(size >> 32), (DWORD)size, name);
    code = made == NULL ? failure_of(false) : GetLastError();
    if (made != NULL && code != ERROR_ALREADY_EXISTS)
        code = 0;
    if (made != NULL && code != 0)
        (void)CloseHandle(made);
    if (code == 0)
        *out = made;
    return told(XVM_OS_FILE, "CreateFileMapping", NULL, (size_t)size, code, before, 0);
}

static int open_section(const WCHAR *name, DWORD access, HANDLE *out)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "OpenFileMapping", 0, ERROR_NOT_ENOUGH_MEMORY);
    HANDLE found;

    if (code != 0)
        return told(XVM_OS_FILE, "OpenFileMapping", NULL, 0, code, before, 1);
    found = OpenFileMappingW(access, FALSE, name);
    if (found != NULL)
        *out = found;
    return told(XVM_OS_FILE, "OpenFileMapping", NULL, 0, failure_of(found != NULL), before, 0);
}

/* SECTION_BASIC_INFORMATION, and the call that fills it. */
typedef struct section_information {
    void *base;
    ULONG attributes;
    LARGE_INTEGER size;
} section_information;

typedef LONG(NTAPI *query_section)(HANDLE, int, void *, SIZE_T, SIZE_T *);

static int find_section_size(HANDLE section, uint64_t *size)
{
    union {
        FARPROC found;
        query_section call;
    } query = {GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtQuerySection")};
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "NtQuerySection", 0, ERROR_NOT_ENOUGH_MEMORY);
    section_information found = {NULL, 0, {.QuadPart = 0}};
    int injected = code != 0;

    if (!injected &&
        (query.found == NULL || query.call(section, 0, &found, sizeof found, NULL) < 0))
        code = ERROR_CALL_NOT_IMPLEMENTED;
    if (code == 0)
        *size = (uint64_t)found.size.QuadPart;
    return told(XVM_OS_FILE, "NtQuerySection", NULL, 0, code, before, injected);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* Names are ASCII, and fit. */
static const WCHAR *wide_name(const char *name, WCHAR wide[NAME])
{
    static const char place[] = "Local\\xvm.";
    size_t at = 0;

    if (name == NULL)
        return NULL;
    for (; place[at] != '\0'; at++)
        wide[at] = (WCHAR)place[at];
    while (*name != '\0')
        wide[at++] = (WCHAR)*name++;
    wide[at] = 0;
    return wide;
}

static xvm_os_answer keep(int code, HANDLE handle, xvm_os_share share, xvm_os_share *out)
{
    if (code == 0) {
        share.handle = (intptr_t)handle;
        share.owner = (unsigned)GetCurrentProcessId();
        *out = share;
    }
    return xvm_os_classify(XVM_OS_FILE, code);
}

xvm_os_answer xvm_os_share_create(const char *name, uint64_t size, xvm_os_share *out)
{
    xvm_os_share share = {
        .size = size, .kind = name != NULL ? XVM_OS_NAMED : XVM_OS_MEMORY, .writable = 1};
    HANDLE section = NULL;
    WCHAR wide[NAME];
    int code =
        create_section(INVALID_HANDLE_VALUE, PAGE_READWRITE, size, wide_name(name, wide), &section);

    return keep(code, section, share, out);
}

xvm_os_answer xvm_os_share_open(const char *name, int writable, xvm_os_share *out)
{
    xvm_os_share share = {.kind = XVM_OS_NAMED, .writable = writable};
    HANDLE section = NULL;
    WCHAR wide[NAME];
    int code = open_section(wide_name(name, wide),
                            (writable ? READ_WRITE : FILE_MAP_READ) | SECTION_QUERY, &section);

    if (code == 0) {
        code = find_section_size(section, &share.size);
        if (code != 0)
            (void)CloseHandle(section);
    }
    return keep(code, section, share, out);
}

void xvm_os_share_close(const xvm_os_share *share, const char *name)
{
    DWORD before = GetLastError();

    (void)name; /* the system forgets it with the last handle */
    (void)CloseHandle((HANDLE)share->handle);
    SetLastError(before);
}

/* --- files ------------------------------------------------------------------------------------ */

static int open_file(const char *path, DWORD access, DWORD how, HANDLE *out)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "CreateFile", 0, ERROR_NOT_ENOUGH_MEMORY);
    WCHAR wide[XVM_OS_PATH];
    HANDLE file = INVALID_HANDLE_VALUE;
    int injected = code != 0;

    if (!injected && xvm_os_wide_path(path, wide))
        file = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                           NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
    if (!injected)
        code = failure_of(file != INVALID_HANDLE_VALUE);
    if (code == 0)
        *out = file;
    return told(XVM_OS_FILE, "CreateFile", NULL, 0, code, before, injected);
}

static int find_size(HANDLE file, uint64_t *size)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "GetFileSizeEx", 0, ERROR_NOT_ENOUGH_MEMORY);
    LARGE_INTEGER found = {.QuadPart = 0};
    int injected = code != 0;

    if (!injected)
        code = failure_of(GetFileSizeEx(file, &found));
    if (code == 0)
        *size = (uint64_t)found.QuadPart;
    return told(XVM_OS_FILE, "GetFileSizeEx", NULL, 0, code, before, injected);
}

static int set_size(HANDLE file, uint64_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "SetEndOfFile", (size_t)size, ERROR_DISK_FULL);
    LARGE_INTEGER end = {.QuadPart = (LONGLONG)size};
    int injected = code != 0;

    if (!injected)
        code = failure_of(SetFilePointerEx(file, end, NULL, FILE_BEGIN) && SetEndOfFile(file));
    return told(XVM_OS_FILE, "SetEndOfFile", NULL, (size_t)size, code, before, injected);
}

/* A new file that is refused after all goes again. */
static void forget_file(const char *path)
{
    WCHAR wide[XVM_OS_PATH];

    if (xvm_os_wide_path(path, wide))
        (void)DeleteFileW(wide);
}

/* One that exists, or else a new one. */
static int open_or_create(const char *path, DWORD access, HANDLE *file, bool *created)
{
    int code;

    do {
        *created = false;
        code = open_file(path, access, OPEN_EXISTING, file);
        if (code != ERROR_FILE_NOT_FOUND)
            return code;
        code = open_file(path, access, CREATE_NEW, file);
        *created = code == 0;
    } while (code == ERROR_FILE_EXISTS);
    return code;
}

static int open_as(const char *path, xvm_file_mode mode, HANDLE *file, bool *created)
{
    DWORD access = mode == XVM_FILE_READ ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE;
    int code;

    if (mode == XVM_FILE_READ || mode == XVM_FILE_READ_WRITE)
        return open_file(path, access, OPEN_EXISTING, file);
    if (mode != XVM_FILE_CREATE)
        return open_or_create(path, access, file, created);
    code = open_file(path, access, CREATE_NEW, file);
    *created = code == 0;
    return code;
}

/* Its size, for the mode. */
static int settle_file(HANDLE file, xvm_file_mode mode, uint64_t *size)
{
    int code = GetFileType(file) == FILE_TYPE_DISK ? find_size(file, size) : ERROR_INVALID_NAME;

    if (code != 0 || mode != XVM_FILE_TRUNCATE || *size == 0)
        return code;
    *size = 0;
    return set_size(file, 0);
}

/* A folder is refused as what may not be opened. */
static bool is_folder(const char *path)
{
    WCHAR wide[XVM_OS_PATH];
    DWORD found = xvm_os_wide_path(path, wide) ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;

    return found != INVALID_FILE_ATTRIBUTES && (found & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

xvm_os_answer xvm_os_file_open(const char *path, xvm_file_mode mode, xvm_os_share *out)
{
    xvm_os_share share = {.kind = XVM_OS_FILED, .writable = mode != XVM_FILE_READ};
    DWORD before = GetLastError();
    HANDLE file = NULL;
    bool created = false;
    int code = open_as(path, mode, &file, &created);

    if (code == ERROR_ACCESS_DENIED && is_folder(path))
        return (xvm_os_answer){XVM_E_INVALID, code};
    if (code != 0)
        return xvm_os_classify(XVM_OS_FILE, code);
    code = settle_file(file, mode, &share.size);
    if (code != 0)
        (void)CloseHandle(file);
    if (code != 0 && created)
        forget_file(path);
    SetLastError(code != 0 ? (DWORD)code : before);
    return keep(code, file, share, out);
}

xvm_os_answer xvm_os_share_size(const xvm_os_share *share, uint64_t *size)
{
    return xvm_os_classify(XVM_OS_FILE, find_size((HANDLE)share->handle, size));
}

/* NTFS has room for the new size before it is one. */
xvm_os_answer xvm_os_share_resize(xvm_os_share *share, uint64_t size)
{
    int code = set_size((HANDLE)share->handle, size);

    if (code == 0)
        share->size = size;
    return xvm_os_classify(XVM_OS_FILE, code);
}

/* --- views ------------------------------------------------------------------------------------ */

/* Views that may be written need a section that may be, others none of a file that is to be read
 * only. Copied pages need neither. */
static int map_section(HANDLE section, const xvm_os_view *view, void **at)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_MAP, "MapViewOfFileEx", view->size, ERROR_NOT_ENOUGH_MEMORY);
    DWORD writing = view->copied ? FILE_MAP_COPY : READ_WRITE;
    DWORD access = view->writable ? writing : FILE_MAP_READ;
    size_t size = view->reach;
    void *got = NULL;
    int injected = code != 0;

    if (!injected) {
        got = MapViewOfFileEx(section, access, (DWORD)(view->from >> 32), (DWORD)view->from, size,
                              view->address);
        code = failure_of(got != NULL);
    }
    if (code == 0)
        *at = got;
    return told(XVM_OS_MAP, "MapViewOfFileEx", code == 0 ? got : view->address, view->size, code,
                before, injected);
}

/* Of a file the section is for this view alone. */
static int map(const xvm_os_share *share, const xvm_os_view *view, void **at)
{
    HANDLE section = (HANDLE)share->handle;
    int code = 0;

    if (share->kind == XVM_OS_FILED)
        code = create_section((HANDLE)share->handle,
                              share->writable ? PAGE_READWRITE : PAGE_READONLY, 0, NULL, &section);
    if (code != 0)
        return code;
    code = map_section(section, view, at);
    if (share->kind == XVM_OS_FILED)
        (void)CloseHandle(section);
    return code;
}

int xvm_os_can_map_over(void)
{
    return 0;
}

xvm_os_answer xvm_os_map(const xvm_os_share *share, const xvm_os_view *view, void **at)
{
    if (view->over)
        return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
    return xvm_os_classify(XVM_OS_MAP, map(share, view, at));
}

xvm_os_answer xvm_os_unmap(void *address, size_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_MAP, "UnmapViewOfFile", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected)
        code = failure_of(UnmapViewOfFile(address));
    return xvm_os_classify(
        XVM_OS_MAP, told(XVM_OS_MAP, "UnmapViewOfFile", address, size, code, before, injected));
}

xvm_os_answer xvm_os_unmap_over(void *address, size_t size)
{
    (void)address;
    (void)size;
    return (xvm_os_answer){XVM_E_UNSUPPORTED, 0};
}

static int flush_view(void *address, size_t size)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "FlushViewOfFile", size, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected)
        code = failure_of(FlushViewOfFile(address, size));
    return told(XVM_OS_FILE, "FlushViewOfFile", address, size, code, before, injected);
}

static int flush_file(HANDLE file)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_FILE, "FlushFileBuffers", 0, ERROR_NOT_ENOUGH_MEMORY);
    int injected = code != 0;

    if (!injected)
        code = failure_of(FlushFileBuffers(file));
    return told(XVM_OS_FILE, "FlushFileBuffers", NULL, 0, code, before, injected);
}

/* To the file, and from its cache to the disk. Memory has no disk. */
xvm_os_answer xvm_os_flush(const xvm_os_share *share, void *address, size_t size, int to_disk)
{
    int code = share->kind == XVM_OS_FILED ? flush_view(address, size) : 0;

    if (code == 0 && to_disk && share->kind == XVM_OS_FILED && share->writable)
        code = flush_file((HANDLE)share->handle);
    return xvm_os_classify(XVM_OS_FILE, code);
}

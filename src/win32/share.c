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
    DWORD code = worked ? 0 : GetLastError();

    return worked || code != 0 ? code : ERROR_GEN_FAILURE;
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

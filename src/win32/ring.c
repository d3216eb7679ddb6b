/* ring.c - the same memory twice in a row, by views of a section.
 *
 *     placeholders   | placeholder of ours        |   VirtualAlloc2
 *                    | one           | another    |   VirtualFree, which splits it
 *                    | view          | view       |   MapViewOfFile3: nobody comes in between
 *
 *     without        | reservation                |   VirtualAlloc, which finds the place
 *                    | free                       |   VirtualFree: whoever is faster has it
 *                    | view          | view       |   MapViewOfFileEx there, or at the next place
 *
 *   1  Whether there are placeholders is tried each time, from beginning to end: Wine 8 knows the
 *      names, refuses the first step, and would do something else at the last one.
 *   2  A next place is no earlier one again: each is one unit further in what is found.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

/* Numbers that headers of mingw-w64 lack. */
enum { RESERVE_PLACEHOLDER = 0x40000, REPLACE_PLACEHOLDER = 0x4000, PRESERVE_PLACEHOLDER = 2 };
enum { TRIES = 16, READ_WRITE = FILE_MAP_READ | FILE_MAP_WRITE };

/* --- calls ------------------------------------------------------------------------------------ */

/* The last parameters are none. */
typedef void *(WINAPI *virtual_alloc2)(HANDLE, void *, SIZE_T, ULONG, ULONG, void *, ULONG);
typedef void *(WINAPI *map_view_of_file3)(HANDLE, HANDLE, void *, ULONG64, SIZE_T, ULONG, ULONG,
                                          void *, ULONG);

typedef union newer {
    FARPROC found;
    virtual_alloc2 virtual_alloc2;
    map_view_of_file3 map_view_of_file3;
} newer;

static newer find_newer(const char *name)
{
    return (newer){xvm_os_find_newer(name)};
}

static int reserve_placeholder(size_t size, void **got)
{
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_MAP, "VirtualAlloc2", size, ERROR_NOT_ENOUGH_MEMORY);
    virtual_alloc2 call = find_newer("VirtualAlloc2").virtual_alloc2;
    void *at;

    if (code != 0)
        return told(XVM_OS_MAP, "VirtualAlloc2", NULL, size, code, before, 1);
    if (call == NULL)
        return ERROR_CALL_NOT_IMPLEMENTED;
    at = call(GetCurrentProcess(), NULL, size, MEM_RESERVE | RESERVE_PLACEHOLDER, PAGE_NOACCESS,
              NULL, 0);
    if (at == NULL)
        return told(XVM_OS_MAP, "VirtualAlloc2", NULL, size, failure(), before, 0);
    *got = at;
    return told(XVM_OS_MAP, "VirtualAlloc2", at, size, 0, before, 0);
}

static int unmap(void *address, size_t size)
{
    return xvm_os_unmap(address, size).code;
}

/* Bytes of a share, and where they are to be. */
typedef struct part {
    HANDLE section;
    void *address;
    size_t from, size;
} part;

static void *map_view(const part *p, bool placeholder)
{
    uint64_t from = p->from;
    map_view_of_file3 call;

    if (!placeholder)
        return MapViewOfFileEx(p->section, READ_WRITE, (DWORD)(from >> 32), (DWORD)from, p->size,
                               p->address);
    call = find_newer("MapViewOfFile3").map_view_of_file3;
    if (call != NULL)
        return call(p->section, GetCurrentProcess(), p->address, from, p->size, REPLACE_PLACEHOLDER,
                    PAGE_READWRITE, NULL, 0);
    SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
    return NULL;
}

/* *view is set on 0 only. */
static int map_part(const part *p, bool placeholder, void **view)
{
    const char *name = placeholder ? "MapViewOfFile3" : "MapViewOfFileEx";
    DWORD before = GetLastError();
    DWORD code = refused(XVM_OS_MAP, name, p->size, ERROR_NOT_ENOUGH_MEMORY);
    void *at;

    if (code != 0)
        return told(XVM_OS_MAP, name, p->address, p->size, code, before, 1);
    at = map_view(p, placeholder);
    code = at == NULL ? failure() : 0;
    (void)told(XVM_OS_MAP, name, p->address, p->size, code, before, 0);
    if (code == 0 && at != p->address) {
        (void)unmap(at, p->size);
        return ERROR_INVALID_ADDRESS;
    }
    if (code == 0)
        *view = at;
    return (int)code;
}

/* --- both views ------------------------------------------------------------------------------- */

static size_t once(const xvm_os_twice *twice)
{
    return twice->head + twice->size;
}

/* From the last to the first. */
static int unmap_both(xvm_os_twice *twice)
{
    int code = twice->second != NULL ? unmap(twice->second, twice->size) : 0;

    if (code != 0)
        return code;
    twice->second = NULL;
    code = twice->first != NULL ? unmap(twice->first, once(twice)) : 0;
    if (code == 0)
        twice->first = NULL;
    return code;
}

/* Both parts of a share, as they are to lie from a place on. */
static void cut(const xvm_os_share *share, void *place, const xvm_os_twice *twice, part parts[2])
{
    HANDLE section = (HANDLE)share->handle;

    parts[0] = (part){section, place, 0, once(twice)};
    parts[1] = (part){section, (unsigned char *)place + once(twice), twice->head, twice->size};
}

/* --- by placeholders -------------------------------------------------------------------------- */

static void free_place(void *address)
{
    (void)xvm_os_virtual_free(XVM_OS_MAP, address, 0, MEM_RELEASE);
}

/* What has become a view is unmapped, what is still a placeholder is freed: the other way round it
 * might be what another thread has got there meanwhile. */
static int replace_both(const part parts[2], xvm_os_twice *twice)
{
    int code = map_part(&parts[0], true, &twice->first);

    if (code != 0)
        free_place(parts[0].address);
    else
        code = map_part(&parts[1], true, &twice->second);
    if (code != 0) {
        free_place(parts[1].address);
        (void)unmap_both(twice);
    }
    return code;
}

static int map_placeholders(const xvm_os_share *share, xvm_os_twice *twice)
{
    part parts[2];
    void *place;
    int code = reserve_placeholder(once(twice) + twice->size, &place);

    if (code != 0)
        return code;
    code = xvm_os_virtual_free(XVM_OS_MAP, place, once(twice), MEM_RELEASE | PRESERVE_PLACEHOLDER);
    if (code != 0) {
        free_place(place);
        return code;
    }
    cut(share, place, twice, parts);
    return replace_both(parts, twice);
}

/* --- without ---------------------------------------------------------------------------------- */

/* A place that is free now. What does not want to be freed is asked once more, before it is
 * lost. */
static int find_place(size_t size, size_t skip, unsigned char **place)
{
    void *got;
    int code =
        xvm_os_virtual_alloc(XVM_OS_RESERVE, NULL, size + skip, MEM_RESERVE, PAGE_READWRITE, &got);

    if (code != 0)
        return code;
    code = xvm_os_virtual_free(XVM_OS_RESERVE, got, 0, MEM_RELEASE);
    if (code != 0)
        free_place(got);
    *place = (unsigned char *)got + skip;
    return code;
}

static int map_there(const part parts[2], xvm_os_twice *twice)
{
    int code = map_part(&parts[0], false, &twice->first);

    if (code == 0)
        code = map_part(&parts[1], false, &twice->second);
    if (code != 0)
        (void)unmap_both(twice);
    return code;
}

static xvm_os_answer map_somewhere(const xvm_os_share *share, xvm_os_twice *twice)
{
    size_t size = once(twice) + twice->size, unit = xvm_os_get_facts().granularity;
    int code = ERROR_INVALID_ADDRESS;
    unsigned char *place;
    part parts[2];

    for (unsigned i = 0; i < TRIES && code == ERROR_INVALID_ADDRESS && twice->first == NULL; i++) {
        code = find_place(size, i * unit, &place);
        if (code != 0)
            return xvm_os_classify(XVM_OS_RESERVE, code);
        cut(share, place, twice, parts);
        code = map_there(parts, twice);
    }
    if (code == ERROR_INVALID_ADDRESS) /* others were always faster */
        return (xvm_os_answer){XVM_E_ADDRESS_SPACE, code};
    return xvm_os_classify(XVM_OS_MAP, code);
}

/* --- the backend ------------------------------------------------------------------------------ */

xvm_os_answer xvm_os_map_twice(const xvm_os_share *share, xvm_os_twice *twice)
{
    DWORD before = GetLastError();
    int code = map_placeholders(share, twice);
    xvm_os_answer answer = xvm_os_classify(XVM_OS_MAP, code);

    if (code != 0 && twice->first == NULL)
        answer = map_somewhere(share, twice);
    if (answer.status == XVM_OK)
        SetLastError(before);
    return answer;
}

xvm_os_answer xvm_os_unmap_twice(xvm_os_twice *twice)
{
    return xvm_os_classify(XVM_OS_MAP, unmap_both(twice));
}

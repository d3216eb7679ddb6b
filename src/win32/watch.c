/* watch.c - which pages were written, by the write watch of reservations made with MEM_WRITE_WATCH.
 *
 *     track   nothing: a reservation is watched from the start, whatever becomes of its pages
 *     arm     ResetWriteWatch
 *     take    GetWriteWatch(RESET)   resets exactly what it tells
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "lock.h"

enum { MOST = 256 }; /* pages told by one call */

static const xvm_os_answer DONE = {XVM_OK, 0};

/* --- the trial -------------------------------------------------------------------------------- */

/* The second of two pages is written, and believed when it is the one. */
static bool try_pages(volatile unsigned char *pages, size_t size)
{
    ULONG_PTR count = 2;
    void *written[2];
    DWORD unit;

    pages[size] = 1;
    return GetWriteWatch(WRITE_WATCH_FLAG_RESET, (void *)(uintptr_t)pages, 2 * size, written,
                         &count, &unit) == 0 &&
           count == 1 && written[0] == (void *)(uintptr_t)(pages + size);
}

int xvm_os_can_track(xvm_watch_method method)
{
    static int known; /* 0: not yet; 1: no; 2: yes */
    size_t size = xvm_os_get_facts().page_size;
    int found = LOAD(&known);
    DWORD before = GetLastError();
    void *pages;

    if (method != XVM_WATCH_SYSTEM)
        return 0;
    if (found != 0)
        return found - 1;
    pages =
        VirtualAlloc(NULL, 2 * size, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE);
    found = pages != NULL && try_pages(pages, size);
    if (pages != NULL)
        (void)VirtualFree(pages, 0, MEM_RELEASE);
    STORE(&known, found + 1);
    SetLastError(before);
    return found;
}

/* --- the interface ---------------------------------------------------------------------------- */

xvm_os_answer xvm_os_track(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    (void)address;
    (void)size;
    return DONE;
}

xvm_os_answer xvm_os_untrack(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    (void)address;
    (void)size;
    return DONE;
}

xvm_os_answer xvm_os_arm(xvm_watch_method method, void *address, size_t size)
{
    (void)method;
    return xvm_os_classify(XVM_OS_WATCH, xvm_os_reset_write_watch(address, size));
}

/* Pages side by side are one piece. */
static size_t make_pieces(void *const *pages, size_t count, size_t size, xvm_os_piece *pieces)
{
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned char *end = made != 0 ? (unsigned char *)pieces[made - 1].address : NULL;

        if (made != 0 && end + pieces[made - 1].size == pages[i])
            pieces[made - 1].size += size;
        else
            pieces[made++] = (xvm_os_piece){pages[i], size};
    }
    return made;
}

xvm_os_answer xvm_os_take_written(xvm_watch_method method, int renews, void *address, size_t size,
                                  xvm_os_piece *pieces, size_t capacity, size_t *count,
                                  void **reached)
{
    size_t page = xvm_os_get_facts().page_size;
    ULONG_PTR most = capacity < MOST ? capacity : MOST, found = most;
    void *pages[MOST];
    int code = xvm_os_get_write_watch(renews, address, size, pages, &found);

    (void)method;
    *count = code == 0 ? make_pieces(pages, (size_t)found, page, pieces) : 0;
    *reached = (unsigned char *)address + size;
    if (code == 0 && found == most) /* there may be more behind the last one */
        *reached = (unsigned char *)pages[found - 1] + page;
    return xvm_os_classify(XVM_OS_WATCH, code);
}

/* ring.c - the same memory twice in a row, by mmap.
 *
 *     | reserved                                    |   a mapping of ours: nobody comes in between
 *     | head + size bytes of the share | reserved    |   MAP_FIXED over a part of it
 *     | head + size bytes of the share | size of them|   MAP_FIXED over the rest
 *
 *   1  first is the address of all of it, and second is set with it.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "call.h"

static size_t all_of(const xvm_os_twice *twice)
{
    return twice->head + 2 * twice->size;
}

/* Over a part of a mapping of ours. */
static int map_over(const xvm_os_share *share, void *address, size_t from, size_t size)
{
    int code;
    void *at;

    if (is_refused(XVM_OS_MAP, "mmap", address, size, &code))
        return code;
    at = mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (int)share->handle,
              (off_t)from);
    return told(XVM_OS_MAP, "mmap", address, size, at == MAP_FAILED ? errno : 0);
}

xvm_os_answer xvm_os_map_twice(const xvm_os_share *share, xvm_os_twice *twice)
{
    size_t once = twice->head + twice->size;
    int code =
        xvm_os_mmap(XVM_OS_MAP, NULL, all_of(twice), PROT_NONE, MAP_NORESERVE, &twice->first);

    if (code != 0)
        return answered(XVM_OS_MAP, code);
    twice->second = (unsigned char *)twice->first + once;
    code = map_over(share, twice->first, 0, once);
    if (code == 0)
        code = map_over(share, twice->second, twice->head, twice->size);
    if (code != 0)
        (void)xvm_os_unmap_twice(twice);
    return answered(XVM_OS_MAP, code);
}

xvm_os_answer xvm_os_unmap_twice(xvm_os_twice *twice)
{
    int code = xvm_os_munmap(XVM_OS_MAP, twice->first, all_of(twice));

    if (code == 0)
        twice->first = twice->second = NULL;
    return answered(XVM_OS_MAP, code);
}

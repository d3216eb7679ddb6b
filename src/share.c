/* share.c - shared memory and files, and their views in regions. The picture and the rules are in
 * xvm/share.h.
 *
 *     reserved pages --map--> mapped --unmap--> reserved        a part of a region
 *     nothing        --map--> a region     --> nothing          a view of its own
 */
#include <stdbool.h>
#include <string.h>

#include "range.h"
#include "xvm/share.h"

/* --- shares ----------------------------------------------------------------------------------- */

static xvm_status answer(const char *call, xvm_os_operation why, uint64_t size,
                         xvm_os_answer answer)
{
    return xvm_os_fail_at(&(xvm_os_site){.call = call, .operation = why, .size = size}, answer);
}

static xvm_status invalid(const char *call, uint64_t size)
{
    return answer(call, XVM_OS_FILE, size, (xvm_os_answer){XVM_E_INVALID, 0});
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool is_name(const char *name)
{
    size_t length = 0;

    while (length <= XVM_SHARE_NAME && is_name_character(name[length]))
        length++;
    return length != 0 && length <= XVM_SHARE_NAME && name[length] == '\0';
}

/* What the backend knows of a handle, and back. */
static xvm_os_share system_share(const xvm_share *share)
{
    return (xvm_os_share){share->own.handle, share->size, (xvm_os_share_kind)share->own.kind,
                          share->own.owner, share->own.writable};
}

static void keep(xvm_share *share, const xvm_os_share *found, const char *name)
{
    share->size = found->size;
    share->own.handle = found->handle;
    share->own.kind = found->kind;
    share->own.owner = found->owner;
    share->own.writable = (unsigned char)found->writable;
    if (name != NULL)
        memcpy(share->own.name, name, strlen(name));
}

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_share_create(xvm_share *share, uint64_t size, const xvm_share_options *options)
{
    static const xvm_share_options none;
    const xvm_share_options *o = options != NULL ? options : &none;
    uint64_t unit = xvm_page_size(), whole = (size + (unit - 1)) & ~(unit - 1);
    xvm_os_answer found;
    xvm_os_share made;

    if (share == NULL)
        return invalid("share_create", size);
    memset(share, 0, sizeof *share);
    if (whole < size || size == 0 || o->flags != 0 || (o->name != NULL && !is_name(o->name)))
        return invalid("share_create", size);
    found = xvm_os_share_create(o->name, whole, &made);
    if (found.status == XVM_OK)
        keep(share, &made, o->name);
    return answer("share_create", XVM_OS_FILE, whole, found);
}

xvm_status xvm_share_open(xvm_share *share, const char *name, xvm_share_access access)
{
    xvm_os_answer found;
    xvm_os_share made;

    if (share == NULL)
        return invalid("share_open", 0);
    memset(share, 0, sizeof *share);
    if (name == NULL || !is_name(name) || (unsigned)access > XVM_SHARE_READ_WRITE)
        return invalid("share_open", 0);
    found = xvm_os_share_open(name, access == XVM_SHARE_READ_WRITE, &made);
    if (found.status == XVM_OK)
        keep(share, &made, name);
    return answer("share_open", XVM_OS_FILE, 0, found);
}

void xvm_share_close(xvm_share *share)
{
    xvm_os_share held;

    if (share == NULL || share->own.kind == XVM_OS_NO_SHARE)
        return;
    held = system_share(share);
    xvm_os_share_close(&held, share->own.name);
    memset(share, 0, sizeof *share);
}

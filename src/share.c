/* share.c - shared memory and files, and their views in regions. The picture and the rules are in
 * xvm/share.h.
 *
 *     reserved pages --map--> mapped --unmap--> reserved        a part of a region
 *     nothing        --map--> a region     --> nothing          a view of its own
 */
#include <stdbool.h>
#include <string.h>

#include "budget.h"
#include "lock.h"
#include "range.h"
#include "register.h"
#include "xvm/share.h"

enum { UNCHECKED = 1 << 20 }; /* bytes of memory that are asked for without a look at the limits */

/* --- shares ----------------------------------------------------------------------------------- */

static xvm_status fail(const char *call, xvm_os_operation why, uint64_t size, xvm_os_answer answer)
{
    return xvm_os_fail_at(&(xvm_os_site){.call = call, .operation = why, .size = size}, answer);
}

static xvm_status invalid(const char *call, uint64_t size)
{
    return fail(call, XVM_OS_FILE, size, (xvm_os_answer){XVM_E_INVALID, 0});
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

static bool is_open(const xvm_share *share)
{
    return share != NULL && share->own.kind != XVM_OS_NO_SHARE;
}

/* What the backend knows of a handle, and back. */
static xvm_os_share system_share(const xvm_share *share)
{
    return (xvm_os_share){share->own.handle, share->size, (xvm_os_share_kind)share->own.kind,
                          share->own.owner, share->own.writable};
}

static xvm_status keep(const char *call, xvm_share *share, const xvm_os_share *found,
                       const char *name, xvm_os_answer answer)
{
    if (answer.status != XVM_OK)
        return fail(call, XVM_OS_FILE, found->size, answer);
    share->size = found->size;
    share->own.handle = found->handle;
    share->own.kind = found->kind;
    share->own.owner = found->owner;
    share->own.writable = (unsigned char)found->writable;
    if (name != NULL)
        memcpy(share->own.name, name, strlen(name));
    return XVM_OK;
}

/* Memory becomes resident at once: where there is not that much the system would end processes,
 * instead of refusing. */
static bool fits_memory(uint64_t size)
{
    xvm_limits l;

    if (size < UNCHECKED || xvm_os_get_limits(&l).status != XVM_OK)
        return true;
    return size <= l.headroom && size <= xvm_os_container_room();
}

xvm_status xvm_share_create(xvm_share *share, uint64_t size, const xvm_share_options *options)
{
    static const xvm_share_options none;
    const xvm_share_options *o = options != NULL ? options : &none;
    uint64_t unit = xvm_page_size(), whole = (size + (unit - 1)) & ~(unit - 1);
    xvm_os_answer answer = {XVM_E_COMMIT_LIMIT, 0};
    xvm_os_share made = {.size = whole};

    if (share == NULL)
        return invalid("share_create", size);
    memset(share, 0, sizeof *share);
    if (whole < size || size == 0 || o->flags != 0 || (o->name != NULL && !is_name(o->name)))
        return invalid("share_create", size);
    if (fits_memory(whole))
        answer = xvm_os_share_create(o->name, whole, &made);
    return keep("share_create", share, &made, o->name, answer);
}

xvm_status xvm_share_open(xvm_share *share, const char *name, xvm_share_access access)
{
    xvm_os_share found = {.size = 0};
    xvm_os_answer answer;

    if (share == NULL)
        return invalid("share_open", 0);
    memset(share, 0, sizeof *share);
    if (name == NULL || !is_name(name) || (unsigned)access > XVM_SHARE_READ_WRITE)
        return invalid("share_open", 0);
    answer = xvm_os_share_open(name, access == XVM_SHARE_READ_WRITE, &found);
    return keep("share_open", share, &found, name, answer);
}

xvm_status xvm_file_open(xvm_share *share, const char *path, xvm_file_mode mode)
{
    xvm_os_share found = {.size = 0};
    xvm_os_answer answer;

    if (share == NULL)
        return invalid("file_open", 0);
    memset(share, 0, sizeof *share);
    if (path == NULL || (unsigned)mode > XVM_FILE_TRUNCATE)
        return invalid("file_open", 0);
    answer = xvm_os_file_open(path, mode, &found);
    return keep("file_open", share, &found, NULL, answer);
}

static xvm_os_answer resize(xvm_share *share, uint64_t size)
{
    xvm_os_share held = system_share(share);
    xvm_os_answer answer = {XVM_E_UNSUPPORTED, 0};

    if (held.kind != XVM_OS_FILED)
        return answer;
    answer.status = XVM_E_PERMISSION;
    if (!held.writable)
        return answer;
    answer = xvm_os_share_resize(&held, size);
    share->size = held.size;
    return answer;
}

xvm_status xvm_share_resize(xvm_share *share, uint64_t size)
{
    if (!is_open(share))
        return invalid("share_resize", size);
    return fail("share_resize", XVM_OS_FILE, size, resize(share, size));
}

void xvm_share_close(xvm_share *share)
{
    xvm_os_share held;

    if (!is_open(share))
        return;
    held = system_share(share);
    xvm_os_share_close(&held, share->own.name);
    memset(share, 0, sizeof *share);
}

/* --- map -------------------------------------------------------------------------------------- */

/* The view that options ask for, as far as the share allows it. */
static xvm_status plan_access(const xvm_share *share, const xvm_map_options *o, xvm_os_view *view)
{
    bool is_private = (o->flags & XVM_MAP_PRIVATE) != 0, may_write = is_private;

    may_write |= share->own.writable != 0;
    view->writable = o->protection == 0 ? may_write : o->protection == XVM_READ_WRITE;
    view->copied = is_private;
    if ((o->flags & ~(unsigned)XVM_MAP_PRIVATE) != 0 ||
        (o->protection != 0 && o->protection != XVM_READ && o->protection != XVM_READ_WRITE))
        return XVM_E_INVALID;
    return view->writable && !may_write ? XVM_E_PERMISSION : XVM_OK;
}

/* Which bytes, when so many are in the share. */
static xvm_status plan_bytes(uint64_t in_share, uint64_t from, size_t size, xvm_os_view *view)
{
    size_t page = xvm_page_size();
    uint64_t left = from < in_share ? in_share - from : 0;

    if (from % xvm_allocation_granularity() != 0 || left == 0)
        return XVM_E_INVALID;
    if (size == 0 && left > SIZE_MAX - page)
        return XVM_E_ADDRESS_SPACE;
    view->from = from;
    view->reach = size == 0 || size > left ? (size_t)left : size;
    view->size = round_up(size == 0 ? view->reach : size, page);
    return view->size != 0 && view->size <= round_up(view->reach, page) ? XVM_OK : XVM_E_INVALID;
}

/* A file may have become longer or shorter since. */
static xvm_os_answer look_at_size(xvm_share *share, const xvm_os_share *held)
{
    return held->kind == XVM_OS_FILED ? xvm_os_share_size(held, &share->size) : DONE;
}

/* The handle describes a view that is all of it. */
static void describe(xvm_region *region, void *base, size_t size, const char *name)
{
    memset(region, 0, sizeof *region);
    region->base = region->own.os_base = base;
    region->size = region->own.os_size = size;
    region->own.page_shift = region->own.unit_shift = (unsigned char)exponent(xvm_page_size());
    region->own.pages = region->own.mapped = size >> region->own.page_shift;
    region->own.simple = XVM_OS_ALL_MAPPED;
    region->own.name = name;
    xvm_os_register(region);
}

static bool holds_nothing(const xvm_region *region)
{
    return region->base == NULL && region->own.os_base == NULL && region->own.book_base == NULL;
}

static xvm_os_answer map_alone(const xvm_os_share *held, const xvm_os_view *view,
                               xvm_region *region, const char *name)
{
    void *base = NULL;
    xvm_os_answer answer = xvm_os_map(held, view, &base);

    if (answer.status == XVM_OK)
        describe(region, base, view->size, name);
    return answer;
}

/* Which pages of a region, and whether they can become a view. */
static xvm_status check_place(const xvm_region *region, size_t offset, size_t size, range *out)
{
    if (offset % xvm_allocation_granularity() != 0 || !find_range(region, offset, size, WHOLE, out))
        return XVM_E_INVALID;
    if (region->own.huge == XVM_HUGE_MUST_EXPLICIT)
        return XVM_E_PINNED;
    if (!xvm_os_can_map_over() || region->own.sparse)
        return XVM_E_UNSUPPORTED;
    return is_empty(xvm_os_survey(region, *out, USED).wanted) ? XVM_OK : XVM_E_ADDRESS_TAKEN;
}

/* What the system refuses here is no want of addresses; and what it has taken away meanwhile has no
 * policies any more. */
static xvm_os_answer map_over(const xvm_os_share *held, xvm_os_view *view, xvm_region *region,
                              range r)
{
    xvm_os_answer answer = xvm_os_open_book(region, r);
    void *same;

    if (answer.status != XVM_OK)
        return answer;
    view->address = address_of(region, r.from);
    view->over = 1;
    answer = xvm_os_map(held, view, &same);
    if (answer.status == XVM_OK) {
        xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_MAPPED);
        return answer;
    }
    STORE(&region->own.renew, (unsigned char)1);
    if (answer.status == XVM_E_ADDRESS_SPACE)
        answer.status = XVM_E_COMMIT_LIMIT;
    return answer;
}

static xvm_os_answer map(xvm_share *share, xvm_os_view *view, uint64_t from, size_t size,
                         xvm_region *region, size_t offset, const char *name)
{
    xvm_os_share held = system_share(share);
    xvm_os_answer answer = look_at_size(share, &held);
    range r;

    if (answer.status == XVM_OK)
        answer.status = plan_bytes(share->size, from, size, view);
    if (answer.status == XVM_OK && !holds_nothing(region))
        answer.status = check_place(region, offset, view->size, &r);
    if (answer.status != XVM_OK)
        return answer;
    return holds_nothing(region) ? map_alone(&held, view, region, name)
                                 : map_over(&held, view, region, r);
}

xvm_status xvm_share_map(xvm_share *share, uint64_t from, size_t size,
                         const xvm_map_options *options, xvm_region *region, size_t offset)
{
    static const xvm_map_options none;
    const xvm_map_options *o = options != NULL ? options : &none;
    xvm_os_answer answer = {XVM_E_INVALID, 0};
    xvm_os_view view = {0};

    if (is_open(share) && region != NULL && (offset == 0 || !holds_nothing(region)))
        answer.status = plan_access(share, o, &view);
    if (answer.status == XVM_OK)
        answer = map(share, &view, from, size, region, offset, o->name);
    return answer_for(region, "share_map", XVM_OS_MAP, view.size != 0 ? view.size : size, answer);
}

/* --- unmap and flush -------------------------------------------------------------------------- */

static bool is_mapped(const xvm_region *region, range r)
{
    xvm_os_run run;
    size_t at = r.from;

    while (at < r.to) {
        run = xvm_os_pagemap_run(region, at, r.to);
        if (!is_wanted(MAPPED, run.state))
            return false;
        at = run.to;
    }
    return true;
}

/* Pages of views become reserved ones, with the policies of the region. */
static xvm_os_answer unmap_over(xvm_region *region, range r)
{
    xvm_os_answer answer =
        xvm_os_unmap_over(address_of(region, r.from), size_of(region, r.from, r.to));

    if (answer.status != XVM_OK)
        return answer;
    if (has_policies(region) && xvm_os_attach_policies(region, r.from, r.to).status != XVM_OK)
        STORE(&region->own.renew, (unsigned char)1);
    xvm_os_note(region, r, ANY, 0, XVM_OS_STATE_RESERVED);
    return DONE;
}

xvm_status xvm_share_unmap(xvm_region *region, size_t offset, size_t size)
{
    range r;

    if (!find_range(region, offset, size, WHOLE, &r) || !is_mapped(region, r))
        return refuse(region, "share_unmap", XVM_OS_MAP, size, XVM_E_INVALID);
    if (is_empty(r))
        return XVM_OK;
    if (LOAD(&region->own.simple) != XVM_OS_ALL_MAPPED)
        return answer_for(region, "share_unmap", XVM_OS_MAP, size, unmap_over(region, r));
    if (size != region->size)
        return refuse(region, "share_unmap", XVM_OS_MAP, size, XVM_E_INVALID);
    return xvm_release(region);
}

xvm_status xvm_share_flush(xvm_share *share, xvm_region *region, size_t offset, size_t size,
                           xvm_flush how)
{
    xvm_os_share held;
    range r;

    if (!is_open(share) || (unsigned)how > XVM_FLUSH_DISK ||
        !find_range(region, offset, size, OUTWARD, &r) || !is_mapped(region, r))
        return refuse(region, "share_flush", XVM_OS_FILE, size, XVM_E_INVALID);
    if (is_empty(r))
        return XVM_OK;
    held = system_share(share);
    return answer_for(region, "share_flush", XVM_OS_FILE, size,
                      xvm_os_flush(&held, address_of(region, r.from), size_of(region, r.from, r.to),
                                   how == XVM_FLUSH_DISK));
}

/* array.c - elements in a row, in memory that grows at one end. The picture and the rules are in
 * xvm/array.h. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "failure.h"
#include "lock.h"
#include "tell.h"
#include "xvm/array.h"

static xvm_status refuse(size_t size, xvm_status status)
{
    xvm_os_site site = {.call = "array", .own = true, .size = size};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* So many elements in bytes; max_count of them do not wrap. */
static size_t bytes(const xvm_array *a, size_t count)
{
    return count * a->element_size;
}

static unsigned char *address(const xvm_array *a, size_t index)
{
    return a->growth.base + bytes(a, index);
}

static bool exists(const xvm_array *a)
{
    return a != NULL && a->data != NULL;
}

static size_t fitting(const xvm_array *a)
{
    return smaller(a->growth.committed / a->element_size, a->max_count);
}

/* The least count at which xvm_growth_settle gives nothing back, or one less. */
static size_t lowest(const xvm_array *a)
{
    return xvm_growth_floor(&a->growth) / a->element_size;
}

/* What the inline calls compare with, after what is committed has changed. */
static void follow(xvm_array *a)
{
    a->capacity = fitting(a);
    a->own.open = a->own.tells ? 0 : a->capacity;
    a->own.low = a->own.tells ? SIZE_MAX : lowest(a);
}

/* Bytes [from, to) of what is committed belong to nobody; where a tool listens. */
static void tell_dead(const xvm_array *a, size_t from, size_t to)
{
    if (a->own.tells && from < to)
        xvm_os_tell_dead(a->growth.base + from, to - from);
}

static void tell_live(const xvm_array *a, size_t from, size_t to)
{
    if (a->own.tells && from < to)
        xvm_os_tell_live(a->growth.base + from, to - from);
}

static void tell_fresh(const xvm_array *a, size_t from, size_t to)
{
    if (a->own.tells && from < to)
        xvm_os_tell_fresh(a->growth.base + from, to - from);
}

/* Commits until so many elements fit behind the last one. */
static bool make_room(xvm_array *a, size_t count)
{
    size_t before;

    if (!exists(a))
        return refuse(0, XVM_E_INVALID) == XVM_OK;
    if (count > a->max_count - a->count)
        return refuse(bytes(a, a->max_count), XVM_E_ADDRESS_SPACE) == XVM_OK;
    if (count <= a->capacity - a->count)
        return true;
    before = a->growth.committed;
    if (xvm_growth_reach(&a->growth, bytes(a, a->count + count)) != XVM_OK)
        return false;
    tell_dead(a, before, a->growth.committed);
    follow(a);
    return true;
}

/* Bytes [from, to) behind the elements become zero: those that were never used are so already. */
static void clean(xvm_array *a, size_t from, size_t to)
{
    size_t end = smaller(a->growth.touched, to);

    tell_live(a, from, to);
    if (from < end)
        memset(a->growth.base + from, 0, end - from);
}

/* What lies behind the elements after this may be anything up to there. */
static void touch(xvm_array *a, size_t end)
{
    a->growth.touched = larger(a->growth.touched, end);
}

/* Everything that a trim, or with reluctance a settling, gives back must be live before: a tool
 * remembers addresses, not who had them. */
static void give_back(xvm_array *a, bool all)
{
    size_t used = bytes(a, a->count);

    if (!all && used >= xvm_growth_floor(&a->growth))
        return;
    tell_live(a, used, a->growth.committed);
    if (all)
        (void)xvm_growth_trim(&a->growth, used);
    else
        xvm_growth_settle(&a->growth, used);
    tell_dead(a, used, a->growth.committed);
    follow(a);
}

/* Elements from count on are not in use any more. */
static void shorten(xvm_array *a, size_t count)
{
    size_t end = bytes(a, a->count);

    touch(a, end);
    STORE_RELEASE(&a->count, count);
    tell_dead(a, bytes(a, count), end);
    give_back(a, false);
}

/* Copies into a gap of so many bytes what was at elements before the gap was opened by moving up all
 * from there to the end: elements may lie among what was moved. */
static void fill_gap(unsigned char *gap, size_t size, const unsigned char *elements,
                     const unsigned char *end)
{
    uintptr_t at = (uintptr_t)gap, from = (uintptr_t)elements;
    size_t before = from < at ? smaller(at - from, size) : 0; /* bytes that did not move */

    if (from >= at + (uintptr_t)(end - gap) || (from < at && before == size)) {
        memcpy(gap, elements, size);
        return;
    }
    memcpy(gap, elements, before);
    memcpy(gap + before, elements + before + size, size - before);
}

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_array_create(xvm_array *array, size_t element_size, size_t max_count,
                            const xvm_array_options *options)
{
    xvm_status status = XVM_OK;

    if (array == NULL || element_size == 0 || max_count == 0)
        status = XVM_E_INVALID;
    else if (max_count > SIZE_MAX / element_size)
        status = XVM_E_ADDRESS_SPACE;
    if (array != NULL)
        *array = (xvm_array){0};
    if (status != XVM_OK)
        return refuse(element_size, status);
    status = xvm_growth_begin(&array->growth, element_size * max_count,
                              options != NULL ? &options->growth : NULL);
    if (status != XVM_OK)
        return status;
    array->data = array->growth.base;
    array->element_size = element_size;
    array->max_count = max_count;
    array->own.tells = xvm_os_tell_listens();
    tell_dead(array, 0, array->growth.committed);
    follow(array);
    return XVM_OK;
}

void xvm_array_destroy(xvm_array *array)
{
    if (array == NULL)
        return;
    tell_live(array, 0, array->growth.committed);
    xvm_growth_end(&array->growth);
    *array = (xvm_array){0};
}

void *xvm_array_append(xvm_array *array, const void *elements, size_t count)
{
    size_t from, to;

    if (!make_room(array, count))
        return NULL;
    from = bytes(array, array->count);
    to = from + bytes(array, count);
    if (elements == NULL) {
        clean(array, from, to);
    } else {
        tell_fresh(array, from, to);
        memcpy(array->growth.base + from, elements, to - from);
    }
    STORE_RELEASE(&array->count, array->count + count);
    return array->growth.base + from;
}

void *xvm_array_insert(xvm_array *array, size_t index, const void *elements, size_t count)
{
    unsigned char *gap, *end;
    size_t size;

    if (exists(array) && index > array->count) {
        (void)refuse(index, XVM_E_INVALID);
        return NULL;
    }
    if (!make_room(array, count))
        return NULL;
    gap = address(array, index);
    end = address(array, array->count);
    size = bytes(array, count);
    tell_fresh(array, bytes(array, array->count), bytes(array, array->count + count));
    memmove(gap + size, gap, (size_t)(end - gap));
    if (elements == NULL)
        memset(gap, 0, size);
    else
        fill_gap(gap, size, elements, end);
    STORE_RELEASE(&array->count, array->count + count);
    return gap;
}

void xvm_array_remove(xvm_array *array, size_t index, size_t count)
{
    if (!exists(array) || index > array->count || count > array->count - index) {
        (void)refuse(index, XVM_E_INVALID);
        return;
    }
    memmove(address(array, index), address(array, index + count),
            bytes(array, array->count - index - count));
    shorten(array, array->count - count);
}

bool xvm_array_resize(xvm_array *array, size_t count)
{
    if (!exists(array))
        return refuse(0, XVM_E_INVALID) == XVM_OK;
    if (count > array->count)
        return xvm_array_append(array, NULL, count - array->count) != NULL;
    shorten(array, count);
    return true;
}

bool xvm_array_ensure(xvm_array *array, size_t capacity)
{
    return make_room(array, exists(array) && capacity > array->count ? capacity - array->count : 0);
}

void *xvm_array_prepare(xvm_array *array, size_t count)
{
    size_t from, to;

    if (!make_room(array, count))
        return NULL;
    from = bytes(array, array->count);
    to = from + bytes(array, count);
    tell_fresh(array, from, to);
    touch(array, to);
    return array->growth.base + from;
}

void xvm_array_clear(xvm_array *array)
{
    if (exists(array))
        shorten(array, 0);
}

void xvm_array_trim(xvm_array *array)
{
    if (exists(array))
        give_back(array, true);
}

/* --- the rules -------------------------------------------------------------------------------- */

static bool is_zero(const unsigned char *at, const unsigned char *end)
{
    for (; at < end; at++)
        if (*at != 0)
            return false;
    return true;
}

/* Rule 4. What a tool watches may be read only while it is live. */
static bool rest_is_zero(const xvm_array *a)
{
    const xvm_growth *g = &a->growth;
    size_t used = bytes(a, a->count), from = larger(used, g->touched);
    bool zero;

    tell_live(a, from, g->committed);
    zero = is_zero(g->base + from, g->base + g->committed);
    tell_dead(a, from, g->committed);
    return zero;
}

static bool rules_hold(const xvm_array *a)
{
    const xvm_growth *g = &a->growth;

    return a->data == g->base && a->element_size != 0 && a->count <= a->capacity &&
           a->capacity == fitting(a) && g->touched <= g->committed && g->committed <= g->reserved &&
           a->max_count <= g->reserved / a->element_size &&
           a->own.open == (a->own.tells ? 0 : a->capacity) &&
           a->own.low == (a->own.tells ? SIZE_MAX : lowest(a)) && rest_is_zero(a);
}

xvm_status xvm_array_check(const xvm_array *array)
{
    static const xvm_array none;

    if (array == NULL)
        return refuse(0, XVM_E_INVALID);
    if (memcmp(array, &none, sizeof none) == 0 || (array->data != NULL && rules_hold(array)))
        return XVM_OK;
    return refuse(0, XVM_E_CORRUPT);
}

/* array.h - an array that grows and never moves.
 *
 *     data        count              capacity                      max_count
 *     | elements | room, committed   | addresses only ........... |
 *     | were in use once | zero      |
 *                        growth.touched, or count when that is more
 *
 *   1  data is growth.base, from the creation to the end: pointers to elements stay valid for as long
 *      as the elements are in use.
 *   2  count <= capacity <= max_count; capacity is what fits into what is committed, and max_count
 *      of it at most.
 *   3  growth.touched <= growth.committed <= growth.reserved, and max_count elements fit there.
 *   4  Committed bytes behind the elements, and from growth.touched on, are zero.
 *   5  The inline calls stay below own.open and above own.low: capacity and what xvm_growth_floor
 *      says; or, where a tool listens (AddressSanitizer, Valgrind), nothing is left to them.
 *
 * One thread changes an array. While it only adds at the end (push, append, resize upward, prepare
 * and publish), others may read: an element was written before the count that includes it, so
 * whoever has seen that count by xvm_array_count, xvm_array_at or xvm_each may read below it. While
 * others read, nothing is popped, removed, inserted, cleared or trimmed.
 *
 * Typed, with no cast anywhere:
 *
 *     XVM_ARRAY(float) heights = {0};
 *     if (xvm_array_make(&heights, 1000000, NULL) == XVM_OK && xvm_push(&heights, 1.5f) != NULL)
 *         heights.data[0] += 1;
 *     xvm_array_destroy(&heights.array);
 */
#ifndef XVM_ARRAY_H
#define XVM_ARRAY_H

#include <stdbool.h>
#include <string.h>

#include "xvm/growth.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How to grow; all zero is the default. */
typedef struct xvm_array_options {
    xvm_growth_options growth; /* steps, flags, huge pages, budget, name, or a shared region */
} xvm_array_options;

/* An array. All is for reading but own; change it by the calls below. All zero: none. */
typedef struct xvm_array {
    void *data;      /* element 0, on a whole page */
    size_t count;    /* elements in use */
    size_t capacity; /* elements that fit without a system call */
    size_t element_size, max_count;
    struct {
        size_t open;  /* inline pushes may make count so much */
        size_t low;   /* inline pops may make count so little */
        size_t tells; /* 1: a tool listens */
    } own;
    xvm_growth growth;
} xvm_array;

/* Makes an array: addresses for so many elements, no memory yet.
 *
 * array         the handle to fill; its old value is not looked at
 * element_size  bytes; 0 is XVM_E_INVALID. Elements lie side by side, the first on a whole page
 * max_count     elements; 0 is XVM_E_INVALID. Addresses are free: ask for more than there will ever
 *               be
 * options       NULL = all zero
 * result        an empty array; nothing is committed, but with XVM_GROWTH_COMMIT
 * errors        XVM_E_INVALID: an argument, or as xvm_growth_begin. XVM_E_ADDRESS_SPACE: the size
 *               wraps, or there is no such hole. As xvm_growth_begin. On error *array is all zero
 * threads       any
 * linux         one reservation; none in a shared region
 * windows       the same
 * since         0.3
 */
XVM_API xvm_status xvm_array_create(xvm_array *array, size_t element_size, size_t max_count,
                                    const xvm_array_options *options);

/* Ends it: memory and addresses are given back.
 *
 * array      NULL and all zero are fine
 * result     all zero; errno and GetLastError are as they were
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_array_destroy(xvm_array *array);

/* Adds elements at the end.
 *
 * elements   to be copied; NULL: the new ones are zero. They may be of this very array
 * count      elements; 0 is fine
 * result     the address of the first new one; or NULL, and nothing changed: XVM_E_ADDRESS_SPACE when
 *            there would be more than max_count, XVM_E_INVALID for no array, and as xvm_growth_reach
 * threads    one; others may read what they have seen counted
 * since      0.3
 */
XVM_API void *xvm_array_append(xvm_array *array, const void *elements, size_t count);

/* Adds elements before one that is there; those from it on move up.
 *
 * index      of the first new one: count at most
 * elements   to be copied; NULL: the new ones are zero. They may be of this very array: what counts
 *            is what they were before the call
 * count      elements; 0 is fine
 * result     the address of the first new one; or NULL, and nothing changed: XVM_E_INVALID for an
 *            index beyond the end, otherwise as xvm_array_append
 * threads    one, and no readers
 * since      0.3
 */
XVM_API void *xvm_array_insert(xvm_array *array, size_t index, const void *elements, size_t count);

/* Takes elements out; those behind them move down. Memory is given back with reluctance:
 * xvm_growth_settle.
 *
 * index,count  all of them in use; otherwise nothing changes, and xvm_last_status() is XVM_E_INVALID
 * result       count is smaller
 * threads      one, and no readers
 * since        0.3
 */
XVM_API void xvm_array_remove(xvm_array *array, size_t index, size_t count);

/* Makes it so many elements long. What is taken off is as popped.
 *
 * count      elements
 * result     true, and new ones are zero; or false, and nothing changed: as xvm_array_append
 * threads    one; others may read while it becomes longer
 * since      0.3
 */
XVM_API bool xvm_array_resize(xvm_array *array, size_t count);

/* Commits memory beforehand, so that adding cannot be refused up to there.
 *
 * capacity   elements
 * result     true, and capacity is so much at least; or false, and nothing changed: as
 *            xvm_array_append
 * threads    one; others may read
 * since      0.3
 */
XVM_API bool xvm_array_ensure(xvm_array *array, size_t capacity);

/* Makes room behind the last element for what is going to be written there and then counted by
 * xvm_array_publish: reading a file into an array needs no other buffer.
 *
 * count      elements
 * result     the address of the room, whose contents are anything; or NULL, and nothing changed: as
 *            xvm_array_append. It is room until the next call that changes the array
 * threads    one; others may read
 * since      0.3
 */
XVM_API void *xvm_array_prepare(xvm_array *array, size_t count);

/* Takes all elements out, and gives memory back with reluctance: xvm_growth_settle.
 *
 * array      NULL and all zero are fine
 * result     count is 0
 * threads    one, and no readers
 * since      0.3
 */
XVM_API void xvm_array_clear(xvm_array *array);

/* Gives back all memory behind the elements.
 *
 * array      NULL and all zero are fine
 * result     the bytes given back are the system's again; elements and addresses stay
 * threads    one, and no readers
 * since      0.3
 */
XVM_API void xvm_array_trim(xvm_array *array);

/* Tests the rules at the top of this file. It reads all that is committed.
 *
 * array      all zero is XVM_OK
 * result     XVM_OK
 * errors     XVM_E_INVALID: array NULL. XVM_E_CORRUPT: a rule is broken
 * threads    one; others may read
 * linux      no system call
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_array_check(const xvm_array *array);

/* What nearly always holds: what follows it stands in one row. */
#define XVM_ARRAY_USUAL_(condition) __builtin_expect((condition), 1)

/* Nothing is known against reading 8 bytes there: else compilers warn of what never happens. */
#define XVM_ARRAY_SEEN_(element) (__builtin_object_size(element, 0) >= sizeof(uint64_t))

/* How many elements there are, as a reader may see it.
 *
 * result     elements; all of them have been written
 * threads    any
 * since      0.3
 */
static inline size_t xvm_array_count(const xvm_array *array)
{
    return __atomic_load_n(&array->count, __ATOMIC_ACQUIRE);
}

/* The address of an element.
 *
 * result     NULL when there is none of that index; it is no failure, and xvm_last_status() stays
 * threads    any
 * since      0.3
 */
static inline void *xvm_array_at(const xvm_array *array, size_t index)
{
    return index < xvm_array_count(array) ? array->growth.base + index * array->element_size : NULL;
}

/* Counts elements that were written behind the last one.
 *
 * count      not more than xvm_array_prepare made room for
 * result     the index of the first of them
 * threads    one; others may read
 * since      0.3
 */
static inline size_t xvm_array_publish(xvm_array *array, size_t count)
{
    size_t first = array->count;

    __atomic_store_n(&array->count, first + count, __ATOMIC_RELEASE);
    return first;
}

/* Counts one element more; for xvm_push. The element is stored by the first argument, and the count
 * is read by the last one, so that it is read once: the store may seem to change it.
 *
 * result     the index of the element
 * threads    one; others may read
 * since      0.3
 */
static inline size_t xvm_array_count_one_(int stored, xvm_array *array, size_t count)
{
    (void)stored;
    __atomic_store_n(&array->count, count + 1, __ATOMIC_RELEASE);
    return count;
}

/* Adds one element at the end.
 *
 * element    to be copied; NULL: the new one is zero. It may be one of this very array
 * result     the address of the new one; or NULL, and nothing changed: as xvm_array_append
 * threads    one; others may read what they have seen counted
 * since      0.3
 */
static inline void *xvm_array_push(xvm_array *array, const void *element)
{
    size_t count, size;
    unsigned char *at;

    if (!XVM_ARRAY_USUAL_(array != NULL && array->count < array->own.open))
        return xvm_array_append(array, element, 1);
    count = array->count;
    size = array->element_size;
    if (XVM_ARRAY_USUAL_(element != NULL && size == sizeof(uint64_t) && XVM_ARRAY_SEEN_(element))) {
        at = array->growth.base + count * sizeof(uint64_t);
        memcpy(at, element, sizeof(uint64_t)); /* a store; of any other size it is a call */
    } else {
        at = array->growth.base + count * size;
        if (element != NULL)
            memcpy(at, element, size);
        else if (count * size < array->growth.touched)
            memset(at, 0, size);
    }
    __atomic_store_n(&array->count, count + 1, __ATOMIC_RELEASE);
    return at;
}

/* Takes elements off the end, and gives memory back with reluctance: xvm_growth_settle.
 *
 * count      elements; when there are less nothing changes, and xvm_last_status() is XVM_E_INVALID
 * result     count is smaller; the bytes must not be read any more
 * threads    one, and no readers
 * since      0.3
 */
static inline void xvm_array_pop(xvm_array *array, size_t count)
{
    size_t end;

    if (!XVM_ARRAY_USUAL_(array != NULL && count <= array->count &&
                          array->count - count >= array->own.low)) {
        xvm_array_remove(array, array != NULL ? array->count - count : 0, count);
        return;
    }
    end = array->count * array->element_size;
    if (array->growth.touched < end)
        array->growth.touched = end;
    __atomic_store_n(&array->count, array->count - count, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#endif

/* --- typed ------------------------------------------------------------------------------------
 *
 * XVM_ARRAY(T) is a type: a typedef, a variable or a member can have it. Two of them are two types,
 * so a typedef is what functions take. Its data is a T *, its array an xvm_array for all the calls
 * above. The calls below take a pointer to it as their first argument, evaluate it more than once,
 * and no other argument twice.
 */
#define XVM_ARRAY(T)                                                                               \
    union {                                                                                        \
        xvm_array array;                                                                           \
        T *data;                                                                                   \
    }

#ifdef __cplusplus
#define XVM_ARRAY_CAST_(a, address) static_cast<__typeof__(*(a)->data) *>(address)
#else
#define XVM_ARRAY_CAST_(a, address) ((__typeof__(*(a)->data) *)(address))
#endif

/* A T * or const T *, or NULL: the compiler refuses another. */
#define XVM_ARRAY_SAME_(a, elements) (1 ? (elements) : &(a)->data[0])

/* As xvm_array_create, with the size of a T. */
#define xvm_array_make(a, max_count, options)                                                      \
    xvm_array_create(&(a)->array, sizeof *(a)->data, (max_count), (options))

/* Adds a value; T *: where it is, or NULL. The value must not itself change the array. */
#define xvm_push(a, ...)                                                                           \
    (XVM_ARRAY_USUAL_((a)->array.count < (a)->array.own.open) ||                                   \
             xvm_array_prepare(&(a)->array, 1) != NULL                                             \
         ? (a)->data + xvm_array_count_one_(((a)->data[(a)->array.count] = (__VA_ARGS__), 0),      \
                                            &(a)->array, (a)->array.count)                         \
         : NULL)

/* Adds elements, a const T * or NULL for zeros, at the end or before an index; T *: the first. */
#define xvm_append(a, elements, count)                                                             \
    XVM_ARRAY_CAST_(a, xvm_array_append(&(a)->array, XVM_ARRAY_SAME_(a, elements), (count)))
#define xvm_insert(a, index, elements, count)                                                      \
    XVM_ARRAY_CAST_(a,                                                                             \
                    xvm_array_insert(&(a)->array, (index), XVM_ARRAY_SAME_(a, elements), (count)))

/* Moves the last element to *out, a T *; false when there is none. */
#define xvm_pop(a, out)                                                                            \
    ((a)->array.count != 0 ? (*XVM_ARRAY_SAME_(a, out) = (a)->data[(a)->array.count - 1],          \
                              xvm_array_pop(&(a)->array, 1), true)                                 \
                           : false)

/* The last element, one by its index; T *, NULL when there is none. */
#define xvm_last(a) ((a)->array.count != 0 ? (a)->data + ((a)->array.count - 1) : NULL)
#define xvm_at(a, index) XVM_ARRAY_CAST_(a, xvm_array_at(&(a)->array, (index)))

/* How many there are. */
#define xvm_count(a) xvm_array_count(&(a)->array)

/* for each element, item is a T *: xvm_each(e, &entities) e->age++; Those that are added meanwhile
 * are not visited; none may be taken out. */
#define xvm_each(item, a)                                                                          \
    for (__typeof__(*(a)->data) *item = (a)->data,                                                 \
                                *item##_end = item != NULL ? item + xvm_count(a) : item;           \
         item != item##_end; item++)

#endif

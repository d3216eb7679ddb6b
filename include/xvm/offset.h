/* offset.h - pointers of 32 bits into one region, array, arena or pool.
 *
 *     base
 *     | 1 | 2 | 3 | 4 | ...        numbers of units of 1 << shift bytes; 0 = NULL
 *
 *   1  A number is 1 more than the distance from base in units, so base itself has one.
 *   2  With a shift of 3 the numbers reach 32 GiB, with 4 they reach 64 GiB (less one unit).
 *   3  They stay right when base moves: after another run, or in another process.
 */
#ifndef XVM_OFFSET_H
#define XVM_OFFSET_H

#include "xvm/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t xvm_offset; /* 0 = NULL */

/* Bytes from base that numbers can reach.
 *
 * shift      0 to 31: objects are multiples of 1 << shift bytes from base
 * result     32 GiB less 8 bytes for 3; SIZE_MAX when all addresses can be reached
 * threads    any
 * since      0.3
 */
static inline size_t xvm_pack_reach(unsigned shift)
{
    uint64_t reach = XVM_CAST(uint64_t, UINT32_MAX) << (shift & 31);

    return reach > SIZE_MAX ? SIZE_MAX : XVM_CAST(size_t, reach);
}

/* Makes 32 bits of a pointer.
 *
 * base       of the region, array, arena or pool
 * pointer    NULL, or a multiple of 1 << shift bytes above base
 * shift      0 to 31
 * result     0 for NULL, and for a pointer that has no number: below base, no multiple, too far
 * threads    any
 * since      0.3
 */
static inline xvm_offset xvm_pack(const void *base, const void *pointer, unsigned shift)
{
    uintptr_t distance = XVM_ADDRESS(pointer) - XVM_ADDRESS(base);
    uintptr_t units = distance >> (shift & 31);

    if (XVM_ADDRESS(pointer) < XVM_ADDRESS(base) || units << (shift & 31) != distance ||
        units >= UINT32_MAX || pointer == NULL)
        return 0;
    return XVM_CAST(xvm_offset, units + 1);
}

/* Makes a pointer of 32 bits.
 *
 * base       as given to xvm_pack, or where the same memory is now
 * offset     a result of xvm_pack
 * shift      as given to xvm_pack
 * result     NULL for 0, and for a number that lies beyond all addresses
 * threads    any
 * since      0.3
 */
static inline void *xvm_unpack(const void *base, xvm_offset offset, unsigned shift)
{
    uint64_t distance = (XVM_CAST(uint64_t, offset) - 1) << (shift & 31);

    if (offset == 0 || distance > UINTPTR_MAX - XVM_ADDRESS(base))
        return NULL;
    return XVM_POINTER(void *, XVM_ADDRESS(base) + XVM_CAST(uintptr_t, distance));
}

/* The same, when the memory has an end: a number from a file or a message.
 *
 * size       bytes of the memory from base on
 * result     NULL for 0, and for a number that lies behind the end
 * threads    any
 * since      0.3
 */
static inline void *xvm_unpack_within(const void *base, size_t size, xvm_offset offset,
                                      unsigned shift)
{
    uint64_t distance = (XVM_CAST(uint64_t, offset) - 1) << (shift & 31);

    return offset == 0 || distance >= size ? NULL : xvm_unpack(base, offset, shift);
}

#ifdef __cplusplus
}
#endif

#endif

/* growth.h - memory that grows at one end and never moves: what arrays, arenas and pools stand on.
 *
 *     base           touched                committed                  reserved
 *     | was handed out | committed, all zero | addresses only ........ |
 *
 *   1  touched <= committed <= reserved; committed is a multiple of the commit unit, or reserved.
 *   2  Bytes from touched on are zero.
 *   3  base never changes. A refused growth changes nothing.
 *
 * It lies in a region of its own, or in a part of one that the caller owns: 100,000 of them fit into
 * one region with XVM_COMMIT_SPARSE without a mapping more.
 */
#ifndef XVM_GROWTH_H
#define XVM_GROWTH_H

#include <stdbool.h>

#include "xvm/region.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xvm_growth_flag {
    XVM_GROWTH_PREFAULT = 1, /* no write to what was committed faults: prefault each step */
    XVM_GROWTH_LOCKED = 2,   /* and it stays in memory: lock each step */
    XVM_GROWTH_KEEP = 4,     /* never give anything back before the end, but by a trim */
    XVM_GROWTH_COMMIT = 8    /* commit all of it at the start, with what the other flags ask for */
} xvm_growth_flag;

/* How to grow; all zero is the default. */
typedef struct xvm_growth_options {
    size_t step; /* least bytes for each commit; 0 = an eighth of what is committed, between 64 KiB
                    and 16 MiB */
    unsigned flags;            /* of xvm_growth_flag */
    xvm_huge huge;             /* of a region of its own */
    struct xvm_budget *budget; /* of a region of its own */
    const char *name;          /* static string; of a region of its own */
    xvm_region *region; /* lie in a part of this one instead; it must outlive it. NULL = own */
    size_t offset;      /* where in it: a multiple of its commit unit */
} xvm_growth_options;

/* The memory. All is for reading; change it by the calls below. */
typedef struct xvm_growth {
    unsigned char *base;
    size_t touched, committed, reserved; /* bytes */
    struct {
        xvm_region region;  /* of its own */
        xvm_region *shared; /* or a part of this one, from offset on */
        size_t offset, step;
        unsigned flags;
    } own;
} xvm_growth;

/* Begins with addresses for so many bytes.
 *
 * growth     to be filled; its old value is not looked at
 * size       bytes, rounded up to commit units; 0 is XVM_E_INVALID
 * options    NULL = all zero
 * result     reserved is size or a little more; nothing is committed, but with XVM_GROWTH_COMMIT
 * errors     XVM_E_INVALID: an argument; offset no multiple of the commit unit, or the part not in
 *            the region. As xvm_reserve; with XVM_GROWTH_COMMIT as xvm_commit, xvm_prefault and
 *            xvm_lock. On error *growth is all zero
 * threads    any
 * linux      one reservation, none in a shared region
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_growth_begin(xvm_growth *growth, size_t size,
                                    const xvm_growth_options *options);

/* Ends: all memory and addresses of its own are given back; a part of a shared region is decommitted.
 *
 * growth     NULL and all zero are fine
 * result     all zero
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_growth_end(xvm_growth *growth);

/* Commits until so many bytes are committed, in steps.
 *
 * size       bytes from base
 * result     committed >= size, and touched is unchanged; more than asked for may have been committed
 * errors     XVM_E_INVALID: growth NULL. XVM_E_ADDRESS_SPACE: more than reserved. As xvm_commit,
 *            xvm_prefault and xvm_lock; a step that is refused is tried again with just what is
 *            needed. On error nothing changed
 * threads    one at a time
 * linux      one mprotect for each step
 * windows    one VirtualAlloc for each step
 * since      0.3
 */
XVM_API xvm_status xvm_growth_reach(xvm_growth *growth, size_t size);

/* Tells that only so many bytes are in use, and gives memory back when much more is committed: more
 * than four times as much, and more than 1 MiB. Half of it stays, so that going up and down by a
 * little costs nothing.
 *
 * used       bytes from base
 * result     committed may be smaller; nothing in use is lost
 * threads    one at a time
 * since      0.3
 */
XVM_API void xvm_growth_settle(xvm_growth *growth, size_t used);

/* How little must be in use for xvm_growth_settle to give something back: a caller that compares
 * first saves the call.
 *
 * result     bytes; it gives back when less than that is in use. 0: never
 * threads    one at a time
 * since      0.3
 */
XVM_API size_t xvm_growth_floor(const xvm_growth *growth);

/* Gives back all that is not in use.
 *
 * used       bytes from base
 * result     the bytes given back: whole commit units behind those in use
 * threads    one at a time
 * since      0.3
 */
XVM_API size_t xvm_growth_trim(xvm_growth *growth, size_t used);

#ifdef __cplusplus
}
#endif

#endif

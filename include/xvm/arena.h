/* arena.h - memory given back all at once: blocks are handed out one behind the other, and a mark
 * takes back everything behind it.
 *
 *     base          mark               top                     end                 reserved
 *     | block block | block .. block . | committed, to hand out | addresses only ........ |
 *                     <--- rewind ----
 *
 *   1  used <= committed <= reserved: top lies between base and the end of what is committed.
 *   2  The inline path ends at end: the end of what is committed, or top while a tool listens
 *      (AddressSanitizer, Valgrind), which is then told of every block.
 *   3  Committed bytes from clean and from top on are zero, from the higher of the two: fresh zeros
 *      need no memset. clean follows top only when that goes down. While a tool listens it is the
 *      last address there is.
 *   4  floor <= used: what lies below belongs to the time before the innermost scope.
 *   5  base never changes. A refused call changes nothing.
 *
 * A block needs no header and no free. It keeps its address until it is taken back.
 */
#ifndef XVM_ARENA_H
#define XVM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xvm/growth.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { XVM_ARENA_ALIGNMENT = 16 }; /* where none is asked for */

/* All zero is the default. */
typedef struct xvm_arena_options {
    xvm_growth_options growth; /* steps, budget, name, a part of a region of yours ... */
} xvm_arena_options;

/* An arena. All is for reading; change it by the calls below. It is not copied. */
typedef struct xvm_arena {
    unsigned char *top;   /* the next byte to hand out */
    unsigned char *end;   /* the first byte that the inline path must not hand out */
    unsigned char *clean; /* the first byte that is zero for certain */
    xvm_growth memory;
    struct {
        size_t floor; /* bytes */
        size_t peak;  /* bytes that have been in use lately: rewinds lower it by and by */
        size_t gap;   /* bytes behind the last block that are there for a tool */
    } own;
} xvm_arena;

/* --- begin and end ---------------------------------------------------------------------------- */

/* Makes an arena.
 *
 * arena      to be filled; its old value is not looked at
 * max_size   bytes that it can have, padding included, rounded up to pages; 0 is XVM_E_INVALID
 * options    NULL = all zero
 * result     nothing is committed, but with XVM_GROWTH_COMMIT
 * errors     XVM_E_INVALID: an argument. As xvm_growth_begin. On error *arena is all zero
 * threads    any
 * linux      one reservation, none in a shared region
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_arena_create(xvm_arena *arena, size_t max_size,
                                    const xvm_arena_options *options);

/* Gives everything back.
 *
 * arena      NULL and all zero are fine
 * result     all zero; no block is there any more
 * threads    not while another thread uses it
 * since      0.3
 */
XVM_API void xvm_arena_destroy(xvm_arena *arena);

/* --- blocks ----------------------------------------------------------------------------------- */

/* What the calls below do when their inline part cannot: commits more, tells tools. No need to call
 * it.
 *
 * arena, size, alignment  as of xvm_arena_alloc
 * result                  as of xvm_arena_alloc
 * threads                 one at a time
 * since                   0.3
 */
XVM_API void *xvm_arena_grow(xvm_arena *arena, size_t size, size_t alignment);

/* The same for zeros: clears a new block as far as its bytes were handed out before.
 *
 * block, size  the last block, of so many bytes
 * result       the block, all zero
 * threads      one at a time
 * since        0.3
 */
XVM_API void *xvm_arena_wipe(xvm_arena *arena, void *block, size_t size);

/* Hands out a block.
 *
 * arena      not NULL
 * size       bytes; 0 is taken for 1, so that every block has an address of its own
 * alignment  a power of two, also beyond the page size; 0 = 16
 * result     the block; what is in it is undefined. NULL: limit or memory (XVM_E_ADDRESS_SPACE: more
 *            than max_size), or XVM_E_INVALID: an alignment that is no power of two; nothing changed
 * threads    one at a time
 * since      0.3
 */
static inline void *xvm_arena_alloc(xvm_arena *arena, size_t size, size_t alignment)
{
    size_t mask = (alignment != 0 ? alignment : XVM_CAST(size_t, XVM_ARENA_ALIGNMENT)) - 1;
    uintptr_t top = XVM_ADDRESS(arena->top), begin = (top + mask) & ~mask;
    size_t room = XVM_CAST(size_t, arena->end - arena->top);
    unsigned char *block;

    /* The first test is for 0, too. begin - top is at most half of all addresses, and right even if
     * begin wraps: the sum in the last test does not wrap. */
    if (size - 1 >= SIZE_MAX / 2 || (mask & (mask + 1)) != 0 || begin - top + size > room)
        return xvm_arena_grow(arena, size, alignment);
    block = XVM_POINTER(unsigned char *, begin);
    arena->top = block + size;
    return block;
}

/* Hands out a block of zeros. Fresh memory is zero and is not written.
 *
 * arena, size, alignment  as of xvm_arena_alloc
 * result                  as of xvm_arena_alloc, but all bytes are zero
 * threads                 one at a time
 * since                   0.3
 */
static inline void *xvm_arena_alloc_zeroed(xvm_arena *arena, size_t size, size_t alignment)
{
    unsigned char *block = XVM_CAST(unsigned char *, xvm_arena_alloc(arena, size, alignment));

    return block == NULL || block >= arena->clean ? block : xvm_arena_wipe(arena, block, size);
}

/* Hands out an array of zeros.
 *
 * count, size, alignment  elements, bytes of each, as of xvm_arena_alloc
 * result                  as of xvm_arena_alloc_zeroed; NULL with XVM_E_ADDRESS_SPACE when count
 *                         times size is no size
 * threads                 one at a time
 * since                   0.3
 */
static inline void *xvm_arena_alloc_array(xvm_arena *arena, size_t count, size_t size,
                                          size_t alignment)
{
    bool fits = size == 0 || count <= SIZE_MAX / size;

    return xvm_arena_alloc_zeroed(arena, fits ? count * size : SIZE_MAX, alignment);
}

/* Typed: T *one = xvm_new(arena, T), *many = xvm_new_array(arena, T, count); zeros, or NULL. */
#ifdef __cplusplus
#define XVM_ALIGN_OF(T) alignof(T)
#else
#define XVM_ALIGN_OF(T) _Alignof(T)
#endif
#define xvm_new(arena, T) XVM_CAST(T *, xvm_arena_alloc_zeroed((arena), sizeof(T), XVM_ALIGN_OF(T)))
#define xvm_new_array(arena, T, count)                                                             \
    XVM_CAST(T *, xvm_arena_alloc_array((arena), (count), sizeof(T), XVM_ALIGN_OF(T)))

/* Gives the last block another size without moving it.
 *
 * block      the one that was handed out, or extended, last
 * old_size   the size it has
 * new_size   bytes; less is fine
 * result     true: it has that size; bytes that are new are undefined. false: it is not the last
 *            block, or older than the innermost scope, which would cut it at its end; or limit or
 *            memory (xvm_last_status). Then nothing changed
 * threads    one at a time
 * since      0.3
 */
XVM_API bool xvm_arena_extend(xvm_arena *arena, void *block, size_t old_size, size_t new_size);

/* Copies bytes, or a string with its end, into a block of its own.
 *
 * bytes      where size bytes are; may lie in the arena; NULL is fine when size is 0
 * text       a string
 * length     characters of text to be copied; a '\0' is put behind them
 * result     the copy; NULL as of xvm_arena_alloc. Strings are not aligned
 * threads    one at a time
 * since      0.3
 */
XVM_API void *xvm_arena_copy(xvm_arena *arena, const void *bytes, size_t size, size_t alignment);
XVM_API char *xvm_arena_copy_string(xvm_arena *arena, const char *text);
XVM_API char *xvm_arena_copy_text(xvm_arena *arena, const char *text, size_t length);

/* --- taking back ------------------------------------------------------------------------------ */

/* Bytes in use, padding included; and a mark for xvm_arena_rewind.
 *
 * result     bytes from base to top
 * threads    one at a time
 * since      0.3
 */
static inline size_t xvm_arena_used(const xvm_arena *arena)
{
    return XVM_CAST(size_t, arena->top - arena->memory.base);
}

/* Remembers how much is in use. Marks nest: those behind one that was rewound to are void.
 *
 * result     for xvm_arena_rewind
 * threads    one at a time
 * since      0.3
 */
static inline size_t xvm_arena_mark(const xvm_arena *arena)
{
    return xvm_arena_used(arena);
}

/* Takes back every block that was handed out since the mark. A block that was extended since is cut.
 *
 * mark       of this arena
 * result     as much is in use as then. Memory is given back in the end when much less is in use than
 *            is committed, but not while what was taken back is soon wanted again: see xvm_arena_trim
 * errors     XVM_E_INVALID: arena NULL, or a mark above what is in use, so void; nothing changed
 * threads    one at a time
 * linux      seldom a call: at most one for each eight times as many bytes taken back
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_arena_rewind(xvm_arena *arena, size_t mark);

/* Takes back everything, as a rewind to the start.
 *
 * arena      NULL and all zero are fine
 * result     nothing is in use; open scopes are void
 * threads    one at a time
 * since      0.3
 */
XVM_API void xvm_arena_clear(xvm_arena *arena);

/* Gives all memory that is not in use back to the system, now.
 *
 * arena      NULL and all zero are fine
 * result     the bytes given back: whole pages above those in use
 * threads    one at a time
 * since      0.3
 */
XVM_API size_t xvm_arena_trim(xvm_arena *arena);

/* --- scopes ----------------------------------------------------------------------------------- */

/* A time after which everything handed out in it is taken back. */
typedef struct xvm_arena_scope {
    xvm_arena *arena; /* NULL: none, or ended */
    size_t mark, floor;
} xvm_arena_scope;

/* Begins a scope. Scopes nest.
 *
 * arena      NULL gives a scope without an arena, which may be ended
 * result     for xvm_arena_scope_end
 * threads    one at a time
 * since      0.3
 */
XVM_API xvm_arena_scope xvm_arena_scope_begin(xvm_arena *arena);

/* Ends a scope: a rewind to where it began.
 *
 * scope      NULL, all zero, or ended already is XVM_OK
 * result     *scope is ended, also on error
 * errors     XVM_E_INVALID: the arena was rewound to before it began; nothing changed
 * threads    one at a time
 * linux      as xvm_arena_rewind
 * windows    the same
 * since      0.3
 */
XVM_API xvm_status xvm_arena_scope_end(xvm_arena_scope *scope);

/* A scope around a block: XVM_ARENA_SCOPE(arena) { ... }. Leave it at its end or by continue; break,
 * return and goto leave it open, which an outer scope or a rewind makes good. */
#define XVM_ARENA_SCOPE(arena_) XVM_OWN_SCOPE((arena_), __LINE__)
#define XVM_OWN_SCOPE(arena_, line) XVM_OWN_SCOPE_AT(arena_, line)
#define XVM_OWN_SCOPE_AT(arena_, line)                                                             \
    for (xvm_arena_scope xvm_scope_##line = xvm_arena_scope_begin(arena_);                         \
         xvm_scope_##line.arena != NULL; (void)xvm_arena_scope_end(&xvm_scope_##line))

/* A scope in one of two arenas that this thread has for passing needs. They are made at the first
 * use and given back when the thread ends.
 *
 * conflicts  arenas in which something is built that must outlive the scope; NULL when count is 0
 * count      of conflicts; two of a thread's own are one too many
 * result     scope.arena is none of conflicts; end it with xvm_arena_scope_end. NULL: limit or
 *            memory, or XVM_E_INVALID: no arena is left, or conflicts NULL
 * threads    any; the scope is for this one
 * since      0.3
 */
XVM_API xvm_arena_scope xvm_scratch(xvm_arena *const *conflicts, size_t count);

/* --- looking ---------------------------------------------------------------------------------- */

/* Tests the rules at the top of this file. It reads all that is committed above top.
 *
 * arena      all zero is fine
 * result     XVM_OK: they hold
 * errors     XVM_E_INVALID: arena NULL. XVM_E_CORRUPT: a rule is broken, by a write behind a block or
 *            to the arena itself
 * threads    one at a time
 * linux      no call
 * windows    no call
 * since      0.3
 */
XVM_API xvm_status xvm_arena_check(const xvm_arena *arena);

#ifdef __cplusplus
}
#endif

#endif

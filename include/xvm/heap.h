/* heap.h - a private heap: fast, shared by threads, and gone in one piece.
 *
 *     | header | tables | lanes | states | blocks --->                                     max |
 *       out of band, never beside a user's bytes   64 KiB slabs and runs of pages, one frontier
 *
 * One heap is one region, metadata included: creating reserves, growing commits, trimming gives back,
 * destroying is one release. A pointer leads to its metadata by arithmetic alone; nothing of the heap
 * lies in or between the blocks, so no overrun of a block can reach it.
 *
 * What is broken stops the program: freeing what is not a block of this heap, a part of one, or one
 * that is free already, writes one line to the standard error output and ends the process, and never
 * corrupts the heap. xvm_set_misuse_hook replaces that.
 */
#ifndef XVM_HEAP_H
#define XVM_HEAP_H

#include <stdbool.h>

#include "xvm/region.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xvm_heap xvm_heap;

typedef enum xvm_heap_flag {
    XVM_HEAP_SINGLE_THREAD = 1, /* one thread at a time uses it: no locks are taken */
    XVM_HEAP_LOCKED = 2,        /* what is committed stays in memory */
    XVM_HEAP_PREFAULT = 4,      /* no touch of what is committed faults */
    XVM_HEAP_REALTIME = 8,      /* all of max_size is committed, prefaulted and locked at creation,
                                   and nothing is given back: no operation makes a system call,
                                   but to yield to a thread that is in the middle of another */
    XVM_HEAP_ZERO_ON_FREE = 16, /* blocks are zeroed when they are freed */
    XVM_HEAP_GUARDED = 32,      /* for finding bugs: each block ends at a guard page, freed blocks
                                   are inaccessible for as long as possible */
    XVM_HEAP_HUGE = 64,         /* transparent huge pages */
    XVM_HEAP_IMAGE = 128        /* at an address where the next process is likely to have nothing
                                   either: for xvm_heap_save and xvm_heap_load */
} xvm_heap_flag;

/* How to make a heap; all zero is the default.
 *
 * Of trim_threshold bytes that are free nothing is given back. Of more, at the next call that takes
 * or frees pages, what has been free for a second; and what did not fit, before the heap becomes
 * larger than it ever was.
 */
typedef struct xvm_heap_options {
    size_t max_size;       /* of all, metadata included: the hard cap; at most 64 GiB; 0 = 64 GiB,
                              where addresses are 32 bits 256 MiB */
    size_t initial_size;   /* committed at creation, for blocks */
    size_t grow_step;      /* least commit for each growth; 0 = an eighth, 64 KiB to 16 MiB */
    size_t trim_threshold; /* 0 = a sixteenth of the most that was in use, at least 1 MiB;
                              SIZE_MAX = nothing is given back */
    unsigned flags;        /* of xvm_heap_flag */
    struct xvm_budget *budget; /* charged for what is committed */
    const char *name;          /* static string: in messages, in the map */
} xvm_heap_options;

/* Makes a heap in a region of its own.
 *
 * heap       set to the heap; NULL on failure
 * options    NULL = all zero
 * result     an empty heap
 * errors     XVM_E_INVALID: heap NULL, max_size too small for its own tables or above 64 GiB, an
 *            unknown flag. As xvm_reserve, xvm_commit, xvm_lock
 * threads    any
 * linux      one reservation, one commit; nothing where a destroyed heap waited for this
 * windows    the same
 * since      0.4
 */
XVM_API xvm_status xvm_heap_create(xvm_heap **heap, const xvm_heap_options *options);

/* Makes a heap in a region of the caller's, all of which it takes.
 *
 * region     reserved, nothing committed in it; it must outlive the heap and be left alone. Its size
 *            is the cap: max_size is not looked at; budget and name are those of the region
 * result     an empty heap
 * errors     as xvm_heap_create; XVM_E_INVALID also when something is committed in the region
 * threads    any
 * linux      one commit
 * windows    the same
 * since      0.4
 */
XVM_API xvm_status xvm_heap_create_in(xvm_heap **heap, xvm_region *region,
                                      const xvm_heap_options *options);

/* The region that a heap lies in, with all that describes it.
 *
 * result     to look at, to watch, and for snapshots of the heap; its pages are the heap's to commit and
 *            give back. NULL for NULL. Bytes of the heap that are put back to what they were at an
 *            earlier moment, all of them and while no thread uses it, are the heap of that moment
 * threads    any
 * since      0.5
 */
XVM_API xvm_region *xvm_heap_region(xvm_heap *heap);

/* Keeps a pointer with a heap, for whoever loads it: to the block from which all others are reached.
 *
 * heap,root  whatever pointer; NULL at first
 * result     xvm_heap_root answers it from now on
 * threads    one at a time
 * since      0.5
 */
XVM_API void xvm_heap_set_root(xvm_heap *heap, void *root);

/* The pointer that xvm_heap_set_root was given, perhaps in the process that saved the heap.
 *
 * result     NULL when there was none, and for NULL
 * threads    any, but while it is set
 * since      0.5
 */
XVM_API void *xvm_heap_root(const xvm_heap *heap);

/* Saves a heap to a file, blocks and all that describes them, for xvm_heap_load.
 *
 * path       UTF-8; a file that is there is replaced by the whole new one in the last step, a link by a file
 * result     the file is on the disk; of pages that are free or zero it has no bytes. The heap is as it was
 * errors     XVM_E_INVALID: heap or path NULL, a path that is empty or too long, or that of a folder or a device.
 *            XVM_E_NOT_FOUND: no such folder. XVM_E_PERMISSION. XVM_E_DISK_FULL. XVM_E_COMMIT_LIMIT,
 *            XVM_E_ADDRESS_SPACE: no memory for a buffer. On error the file that was there is whole, and nothing
 *            else is left
 * threads    not while another thread uses the heap
 * linux      a file of its own beside the path: written, fsync, rename, fsync of the folder
 * windows    the same by FlushFileBuffers and MoveFileEx, which is refused while another process has
 *            the old file open
 * since      0.5
 */
XVM_API xvm_status xvm_heap_save(xvm_heap *heap, const char *path);

/* Makes a heap of a file, at the address that it had when it was saved: pointers into it are right.
 *
 * heap       set to the heap; NULL on failure
 * path       UTF-8; of a file by xvm_heap_save, by this version of the library for a processor of this kind
 * options    NULL = all zero. budget and name are those of the call; grow_step and trim_threshold those
 *            of the file where they are 0; flags and sizes are not looked at, but are those of the file
 * result     every block of the saved heap with its bytes, and its root. It may be used as any heap, and saved
 *            again; the file is not needed any more
 * errors     XVM_E_INVALID: heap or path NULL, or no file. XVM_E_NOT_FOUND. XVM_E_PERMISSION.
 *            XVM_E_ADDRESS_TAKEN: something is where the heap was. XVM_E_CORRUPT: the file is damaged, no heap, or
 *            does not fit this program: xvm_explain tells. As xvm_reserve, xvm_commit, xvm_lock. On error nothing
 *            is mapped
 * threads    any
 * linux      one reservation at an exact address; the pages are read, not mapped
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_heap_load(xvm_heap **heap, const char *path,
                                 const xvm_heap_options *options);

/* Ends a heap, with all its blocks.
 *
 * heap       NULL is fine
 * result     its memory is given back; a region of the caller's is decommitted. A heap that was made
 *            with nothing but the default, and that has not become large, may wait for the next such
 *            one instead, empty, with its addresses and at most 2 MiB for blocks: creating that one
 *            takes no system call. There are four such heaps at the most, none where addresses are
 *            few, and xvm_heap_trim(NULL, 0) gives them back. errno and GetLastError are as before
 * threads    not while another thread uses it
 * since      0.4
 */
XVM_API void xvm_heap_destroy(xvm_heap *heap);

/* Takes a block.
 *
 * size       bytes; 0 gives a block of its own all the same
 * result     at least size bytes, a multiple of 16 away from 0, contents undefined; NULL: the cap,
 *            the budget or memory, xvm_last_status() says which
 * threads    any
 * since      0.4
 */
XVM_API void *xvm_heap_alloc(xvm_heap *heap, size_t size);

/* Takes a block of zeros.
 *
 * count,size their product is the size; NULL with XVM_E_ADDRESS_SPACE when that overflows
 * result     as xvm_heap_alloc; pages that are known to be zero are not written
 * threads    any
 * since      0.4
 */
XVM_API void *xvm_heap_alloc_zeroed(xvm_heap *heap, size_t count, size_t size);

/* Takes an aligned block.
 *
 * alignment  a power of two, up to the heap's size; NULL with XVM_E_INVALID otherwise
 * result     as xvm_heap_alloc, a multiple of alignment away from 0
 * threads    any
 * since      0.4
 */
XVM_API void *xvm_heap_alloc_aligned(xvm_heap *heap, size_t size, size_t alignment);

/* Changes the size of a block, in place or by moving it.
 *
 * block      NULL allocates
 * size       bytes; 0 gives a small block, not NULL
 * result     the block, with as many of its bytes as fit; NULL: as xvm_heap_alloc, and the old block
 *            is untouched. A block of 1 MiB and more that must move takes its pages along, as by
 *            xvm_move, where the system has XVM_HAS_MOVE and the kind of heap allows it
 * threads    any; one at a time for one block
 * since      0.4
 */
XVM_API void *xvm_heap_realloc(xvm_heap *heap, void *block, size_t size);

/* Gives a block back.
 *
 * block      NULL is fine
 * result     the memory may be used again. errno and GetLastError are as before
 * threads    any, whichever took it
 * since      0.4
 */
XVM_API void xvm_heap_free(xvm_heap *heap, void *block);

/* How many bytes of a block may be used.
 *
 * result     at least what was asked for; 0 for NULL
 * threads    any
 * since      0.4
 */
XVM_API size_t xvm_heap_usable_size(const xvm_heap *heap, const void *block);

/* Does an address lie where this heap's blocks are?
 *
 * result     true for every byte of every block, also of free ones
 * threads    any
 * since      0.4
 */
XVM_API bool xvm_heap_owns(const xvm_heap *heap, const void *address);

/* Frees all blocks at once.
 *
 * result     the heap is empty; what it may keep is kept
 * threads    not while another thread uses it
 * since      0.4
 */
XVM_API void xvm_heap_clear(xvm_heap *heap);

/* Gives back what is free, but for so many bytes.
 *
 * heap       NULL: all that destroyed heaps left for the next ones
 * keep       bytes; what is free between two blocks is given back as a whole or not at all
 * result     bytes given back to the system; 0 for a real-time heap
 * threads    any; what other living threads have in their lanes stays there
 * since      0.4
 */
XVM_API size_t xvm_heap_trim(xvm_heap *heap, size_t keep);

/* What a heap holds. */
typedef struct xvm_heap_stats {
    size_t reserved, committed, committed_peak; /* bytes, metadata included */
    size_t live_bytes, live_blocks;             /* usable bytes of blocks that are taken */
    size_t cached_bytes;                        /* free, in lanes */
    size_t free_bytes, largest_free;            /* free, committed or not yet used */
    double
        fragmentation; /* 1 - largest_free / free_bytes of what was used once; 0 when nothing is */
    uint64_t allocs, frees, failures;
    uint64_t faults; /* of the process since creation; UINT64_MAX = unknown */
} xvm_heap_stats;

/* Tells what a heap holds.
 *
 * out        filled; all zero for NULL
 * result     exact when no other thread uses the heap meanwhile, otherwise near
 * threads    any
 * since      0.4
 */
XVM_API void xvm_heap_get_stats(const xvm_heap *heap, xvm_heap_stats *out);

typedef enum xvm_format { XVM_FORMAT_TEXT = 0, XVM_FORMAT_JSON } xvm_format;

/* The same as text, with a line for each size class.
 *
 * text,capacity  where to put it; always ends with a zero byte, cut where it does not fit; may be
 *                NULL, 0
 * result         the length of the whole text
 * threads        any
 * since          0.4
 */
XVM_API size_t xvm_heap_report(const xvm_heap *heap, xvm_format format, char *text,
                               size_t capacity);

/* What was done wrong. */
typedef enum xvm_misuse {
    XVM_MISUSE_FOREIGN = 1, /* not of this heap */
    XVM_MISUSE_INTERIOR,    /* not the start of a block */
    XVM_MISUSE_FREED,       /* free already */
    XVM_MISUSE_OVERRUN,     /* written beyond the end of the block (XVM_HEAP_GUARDED) */
    XVM_MISUSE_CORRUPT      /* the heap's own tables */
} xvm_misuse;

/* Is told of misuse; the call that met it then returns and has changed nothing. */
typedef void (*xvm_misuse_hook)(xvm_misuse misuse, const xvm_heap *heap, const void *address,
                                const char *message, void *context);

/* Replaces "message and stop".
 *
 * hook       NULL restores it
 * result     holds for all heaps
 * threads    any; not while a misuse is being reported
 * since      0.4
 */
XVM_API void xvm_set_misuse_hook(xvm_misuse_hook hook, void *context);

/* Checks every rule of the heap's structure.
 *
 * result     XVM_OK
 * errors     XVM_E_INVALID: heap NULL. XVM_E_CORRUPT: a rule is broken
 * threads    not while another thread uses it
 * linux      no system call
 * windows    no system call
 * since      0.4
 */
XVM_API xvm_status xvm_heap_check(const xvm_heap *heap);

/* Looks at one live block; not 0 ends the walk. It must not use the heap. */
typedef int (*xvm_block_visitor)(void *block, size_t usable, void *context);

/* Visits every live block.
 *
 * visit,context  called for each, in no order
 * result         XVM_OK, also when visit ended it
 * errors         XVM_E_INVALID: heap or visit NULL
 * threads        not while another thread uses it
 * linux          no system call
 * windows        no system call
 * since          0.4
 */
XVM_API xvm_status xvm_heap_walk(xvm_heap *heap, xvm_block_visitor visit, void *context);

#ifdef __cplusplus
}
#endif

#endif

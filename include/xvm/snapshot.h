/* snapshot.h - a region as it was: a ring of snapshots, each of which copies only the pages that were
 * written since the one before.
 *
 *     region     |  a  b  c  d  ..|      live: written, grown, given back as ever
 *                      ^ restore | take
 *     snapshots  | 1 | 2 | 3 | 4 |       oldest .. newest; when full the oldest goes first
 *     copies     | base: every page as of 4 | b as of 1 | b, d as of 2 | ...
 *
 *   1  A snapshot is the bytes of every committed page, and which pages were committed, reserved or
 *      guards. Protections, locks and policies are not part of it.
 *   2  Zero pages cost nothing; any other page is held once for each content that a snapshot needs.
 *   3  Restoring keeps newer snapshots, so that it can be undone; xvm_snapshots_rewind drops them.
 *   4  What describes the memory has to lie in it, or be restored with it: an xvm_arena or
 *      xvm_array in a part of the region is itself a variable in that region. A heap made by
 *      xvm_heap_create_in has everything inside.
 *   5  Pages are watched as by watch.h: the region can have no other watch meanwhile.
 *
 * Taking, restoring and dropping are for one thread at a time, while no other writes to the region.
 * Saving to a file works beside all of them.
 */
#ifndef XVM_SNAPSHOT_H
#define XVM_SNAPSHOT_H

#include <stdint.h>

#include "xvm/region.h"
#include "xvm/watch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xvm_snapshots xvm_snapshots;

/* All zero is the default. */
typedef struct xvm_snapshots_options {
    size_t offset, size;       /* the part of the region; size 0 = all behind offset. Whole units of
                              commit */
    size_t max_count;          /* of snapshots; 0 = 64; at most 65536 */
    size_t max_bytes;          /* for copies of pages; 0 = what max_count snapshots can need */
    xvm_watch_method method;   /* how written pages are found; 0 = the best there is */
    struct xvm_budget *budget; /* charged for copies and tables */
    const char *name;          /* static string: in explanations, in the map */
} xvm_snapshots_options;

/* What snapshots hold. */
typedef struct xvm_snapshots_use {
    size_t count;            /* of snapshots */
    uint64_t oldest, newest; /* 0: there is none */
    uint64_t at;             /* the one that the region was last taken as or restored to; 0: none */
    size_t bytes;            /* copies of pages: of the base, and of what differs from it */
    size_t committed;        /* all memory, tables and free room included */
    size_t last;             /* bytes copied by the last take, prepare or restore */
} xvm_snapshots_use;

/* --- begin and end ---------------------------------------------------------------------------- */

/* Begins to watch a region, for snapshots of it.
 *
 * snapshots  set to the handle; NULL on failure
 * region     it must outlive the snapshots, and the handle stay where it is
 * options    NULL = all zero
 * result     no snapshot; what is written from now on is known
 * errors     XVM_E_INVALID: an argument, a part that is not in the region or not of whole units,
 *            more than 2^31 pages. As xvm_watch_start: XVM_E_EXISTS when the region is watched
 *            already, XVM_E_UNSUPPORTED. As xvm_reserve and xvm_commit, for the tables
 * threads    any
 * linux      two reservations: tables, 16 bytes for each page as far as pages are committed, and
 *            copies; and what xvm_watch_start does
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_create(xvm_snapshots **snapshots, xvm_region *region,
                                        const xvm_snapshots_options *options);

/* Ends all snapshots, and the watch. The region stays as it is.
 *
 * snapshots  NULL is fine
 * result     all memory is given back. A save that is under way is waited for. errno and
 *            GetLastError are as before
 * threads    not while another thread uses them, but for saves
 * since      0.5
 */
XVM_API void xvm_snapshots_destroy(xvm_snapshots *snapshots);

/* --- take and restore ------------------------------------------------------------------------- */

/* Copies a part of what the first take would have to copy, so that the take does not stall.
 *
 * size       bytes to copy at the most, at least a page
 * left       bytes that are still to be copied: 0 when all is prepared. Pages that are written
 *            meanwhile are copied again by the take. NULL is fine
 * result     so much less to do for xvm_snapshots_take; nothing where there are snapshots
 * errors     XVM_E_PERMISSION: a page is XVM_NO_ACCESS. XVM_E_ADDRESS_SPACE: max_bytes. As
 *            xvm_commit. On error what was copied stays copied, and the rest is left
 * threads    one at a time, while no other writes to the region
 * linux      nothing is asked but for memory
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_prepare(xvm_snapshots *snapshots, size_t size, size_t *left);

/* Takes a snapshot: copies the pages that have been written since the one before. The first copies
 * all that are not zero.
 *
 * id         the snapshot's number, from 1 up, never used again; 0 on failure
 * result     the newest snapshot. Above max_count, and where max_bytes is not enough, the oldest
 *            ones are dropped first
 * errors     XVM_E_INVALID: an argument. XVM_E_PERMISSION: a page to be copied is XVM_NO_ACCESS.
 *            XVM_E_ADDRESS_SPACE: max_bytes is too little for this one alone, or for it beside
 *            what is being saved. As xvm_watch_collect and xvm_commit. On error no snapshot was
 *            dropped, and what was written is still known
 * threads    one at a time, while no other writes to the region
 * linux      what xvm_watch_collect does; a commit when the copies grow
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_take(xvm_snapshots *snapshots, uint64_t *id);

/* Makes the region what it was when a snapshot was taken. Newer snapshots stay.
 *
 * id         of a snapshot, older or newer than what the region is now
 * result     bytes and states are those of the snapshot: only pages that differ are written. Pages
 *            that were committed before and now keep their protection, others are readable and
 *            writable. Pages that were not committed are taken away; where the system refuses that
 *            they stay committed, and zero. Under AddressSanitizer and Valgrind all committed pages
 *            are live
 * errors     XVM_E_NOT_FOUND: no such snapshot. XVM_E_PERMISSION: a page that must be written is not
 *            writable. XVM_E_PINNED: as xvm_decommit. As xvm_watch_collect and xvm_commit. On error
 *            the region is as before
 * threads    one at a time, while no other uses the region
 * linux      a commit, decommit or guard for each run of pages that were something else
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_restore(xvm_snapshots *snapshots, uint64_t id);

/* Restores a snapshot and drops all newer ones: for going back and on another way.
 *
 * id         as for xvm_snapshots_restore
 * result     as xvm_snapshots_restore; the snapshot is the newest
 * errors     as xvm_snapshots_restore. On error no snapshot was dropped either
 * threads    as xvm_snapshots_restore
 * linux      as xvm_snapshots_restore
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_rewind(xvm_snapshots *snapshots, uint64_t id);

/* Forgets a snapshot. The region stays as it is.
 *
 * id         of any snapshot
 * result     copies that only this one needed are free for the next; xvm_snapshots_trim gives them
 *            back. One that is being saved goes when the save is done
 * errors     XVM_E_NOT_FOUND: no such snapshot. XVM_E_INVALID: snapshots NULL
 * threads    one at a time
 * linux      nothing is asked
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_drop(xvm_snapshots *snapshots, uint64_t id);

/* --- a file ----------------------------------------------------------------------------------- */

/* Writes a snapshot to a file, while the region goes on.
 *
 * id         of any snapshot; it may be dropped meanwhile, and goes when the file is written
 * path       UTF-8; what is there is replaced in the last step, and whole until then
 * result     the file is on the disk: an image of the region as it was, bytes and states. Where that is a
 *            heap made by xvm_heap_create_in, xvm_heap_load makes a heap of it
 * errors     XVM_E_INVALID: an argument, no path of a file. XVM_E_NOT_FOUND: no such snapshot, or no
 *            such folder. XVM_E_PERMISSION. XVM_E_SYSTEM: no room on the disk, and others. On error
 *            there is no new file, and the old one is whole
 * threads    any, beside the owner's calls and other saves, but not beside xvm_snapshots_destroy before it has
 *            begun. The owner waits for some microseconds at the most
 * linux      open, pwrite, fsync, rename
 * windows    CreateFile, WriteFile, FlushFileBuffers, MoveFileEx
 * since      0.5
 */
XVM_API xvm_status xvm_snapshots_save(xvm_snapshots *snapshots, uint64_t id, const char *path);

/* --- looking ---------------------------------------------------------------------------------- */

/* Gives back the memory of free copies; with no snapshot left that of the base, too.
 *
 * result     bytes given back
 * threads    one at a time
 * since      0.5
 */
XVM_API size_t xvm_snapshots_trim(xvm_snapshots *snapshots);

/* Tells what snapshots hold.
 *
 * out        all zero for NULL
 * result     exact
 * threads    one at a time
 * since      0.5
 */
XVM_API void xvm_snapshots_usage(const xvm_snapshots *snapshots, xvm_snapshots_use *out);

#ifdef __cplusplus
}
#endif

#endif

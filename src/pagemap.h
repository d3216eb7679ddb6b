/* pagemap.h - what a region knows of each of its pages: one byte, found in constant time, whatever
 * the size.
 *
 * Most regions grow at one end. As long as pages [0, simple) are read-write and the rest is
 * reserved, that one number says all. With anything else simple becomes XVM_OS_IN_BOOK, and the
 * states are in the book:
 *
 *     level 2   one for 512 x 512 pages   | R | * | R |          R  all below are reserved
 *     level 1   one for 512 pages             | R | * | W |      *  MIXED: look one level down
 *     level 0   one for a page                    | W W R W |    W  committed, read-write
 *
 * Rules, which xvm_os_pagemap_check tests:
 *   1  A state is 0 (reserved), or a protection from 1 to 5 with or without XVM_OS_STATE_LOCKED, or
 *      XVM_OS_STATE_GUARD, alone, with XVM_OS_STATE_MARKED, or with that and XVM_OS_STATE_SHUT.
 *   2  Above level 0 a state stands for all pages below it, or is MIXED. Below a state that is not
 *      MIXED nothing is looked at.
 *   3  States that are all equal below an entry are one state in that entry.
 *   4  No entry is MIXED whose level 0 part has no memory.
 *   5  As long as simple is a number, all entries of the book are reserved.
 *
 * The states live in a book: reserved address space behind the pages, committed piece by piece.
 * Level 0 gets memory for a whole level 2 entry at a time, before the first page there is
 * committed, so that no call that gives memory back needs any. For 4 KiB pages that is 256 KiB,
 * mostly untouched, for each GiB in use. Pages [0, booked) have it.
 *
 * Threads: changes are made under the region's lock. Looking takes none. It is right for pages that
 * no other thread changes meanwhile: what others do can only replace one description of these pages
 * by another.
 */
#ifndef XVM_SRC_PAGEMAP_H
#define XVM_SRC_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xvm/region.h"

enum {
    XVM_OS_STATE_RESERVED = 0,
    XVM_OS_STATE_PROTECTION = 7, /* mask: an xvm_protection, 0 = reserved */
    XVM_OS_STATE_LOCKED = 8,
    XVM_OS_STATE_GUARD = 16, /* neither reserved nor committed */
    XVM_OS_STATE_MARKED =
        32,                 /* a light guard; without it the page is closed, as reserved ones are */
    XVM_OS_STATE_SHUT = 64, /* and closed beneath the mark: to open it again was refused */
    XVM_OS_STATE_MIXED = 255
};

#define XVM_OS_IN_BOOK SIZE_MAX

/* Equal pages in a row: [from, to), in pages. */
typedef struct xvm_os_run {
    size_t from, to;
    unsigned state;
} xvm_os_run;

/* A part of the book, in bytes from its start. */
typedef struct xvm_os_book_piece {
    size_t offset, size;
} xvm_os_book_piece;

/* Bytes of book for so many pages; memory comes in whole pages. 0: more pages than can be
 * described. */
size_t xvm_os_pagemap_size(size_t pages, size_t page_size);

/* Lays the levels out in a book at address. Touches no memory: every page is reserved. */
void xvm_os_pagemap_start(xvm_region *region, void *address, size_t pages, size_t page_size);

/* The largest page that the book's parts are whole pages of. */
#define XVM_OS_LARGEST_PAGE ((size_t)1 << 18)

/* The first piece of the book that needs memory before pages [from, to) may change; false when none
 * does. */
bool xvm_os_pagemap_needs(const xvm_region *region, size_t from, size_t to,
                          xvm_os_book_piece *piece);

/* That piece has zero-filled memory now. */
void xvm_os_pagemap_have(xvm_region *region, const xvm_os_book_piece *piece);

/* The run that starts at page from and ends at or before page limit; from < limit. */
xvm_os_run xvm_os_pagemap_run(const xvm_region *region, size_t from, size_t limit);

/* The state of a page; while an access to it has faulted, too. */
unsigned xvm_os_pagemap_state(const xvm_region *region, size_t page);

/* Gives pages [from, to) one state. Under the lock; the book has what xvm_os_pagemap_needs
 * named. */
void xvm_os_pagemap_set(xvm_region *region, size_t from, size_t to, unsigned state);

/* All pages are reserved again: one number says so. Under the lock. */
void xvm_os_pagemap_restart(xvm_region *region);

/* Every rule above; the number of the broken one, 0 when none is. For tests. */
int xvm_os_pagemap_check(const xvm_region *region);

#endif

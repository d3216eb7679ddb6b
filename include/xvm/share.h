/* share.h - shared memory and files, and their views: in a region of their own, or in part of a
 * reserved one.
 *
 *     share   |  bytes of a file, or memory that processes share  |
 *                     ^             ^
 *                     | map         | map
 *     region  |  R  | view |   R  | view | committed |  R  |
 *
 *   1  A share is a value handle: one owner, never copied, all zero when it holds nothing. Its size is
 *      what it has.
 *   2  Views do not need the handle: they stay when it is closed, until they are unmapped or their
 *      region is released.
 *   3  A view begins at a multiple of xvm_allocation_granularity() in the share and in the region, and
 *      does not reach behind the share: only the rest of the last page is there as well, zero.
 *   4  Pages of a view are mapped: neither reserved nor committed. No budget is charged for them, and
 *      no policy of the region (fork, dump, huge pages, node) holds for them: what is shared is shared
 *      with a child, too.
 *   5  Of memory, all is there when the share is: no later touch is refused. Of a file, a touch faults
 *      where somebody has cut it short (SIGBUS; EXCEPTION_IN_PAGE_ERROR), or where the disk cannot be
 *      read.
 */
#ifndef XVM_SHARE_H
#define XVM_SHARE_H

#include "xvm/region.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The longest name of shared memory, in characters. */
#define XVM_SHARE_NAME 63

/* What a share may be used for. */
typedef enum xvm_share_access { XVM_SHARE_READ = 0, XVM_SHARE_READ_WRITE } xvm_share_access;

/* How to create shared memory; all zero is the default. */
typedef struct xvm_share_options {
    const char
        *name;      /* to be opened by; 1 to 63 letters, digits, '.', '_', '-'; NULL = anonymous */
    unsigned flags; /* 0 */
} xvm_share_options;

/* How to open a file. */
typedef enum xvm_file_mode {
    XVM_FILE_READ = 0,       /* one that exists, to be read */
    XVM_FILE_READ_WRITE,     /* one that exists */
    XVM_FILE_CREATE,         /* a new one: XVM_E_EXISTS when there is one */
    XVM_FILE_OPEN_OR_CREATE, /* one that exists, or a new one */
    XVM_FILE_TRUNCATE        /* the same, empty in any case */
} xvm_file_mode;

/* A share. size is for reading; own is the library's. */
typedef struct xvm_share {
    uint64_t size; /* bytes */
    struct {
        intptr_t handle; /* of the system */
        unsigned kind;   /* 0: holds nothing */
        unsigned owner;  /* process that has opened it */
        unsigned char writable;
        char name[XVM_SHARE_NAME + 1];
    } own;
} xvm_share;

/* Creates memory that several views, and several processes, can have.
 *
 * share      the handle to fill; its old value is not looked at
 * size       bytes, rounded up to pages; 0 is XVM_E_INVALID. It stays as it is
 * options    NULL = all zero. A name is one for all processes of this user in this session, and lasts
 *            as long as any of them has a handle to it
 * result     zero-filled memory, all of it charged to the system and there
 * errors     XVM_E_INVALID: size 0, a broken name or flag. XVM_E_EXISTS: a living process has a handle
 *            of that name. XVM_E_COMMIT_LIMIT: not that much memory is left in the machine or in its
 *            container. XVM_E_DISK_FULL: the memory that the system shares by name is full, or
 *            RLIMIT_FSIZE. XVM_E_PERMISSION: another user has the name. XVM_E_UNSUPPORTED: the system
 *            has no place for names
 * threads    any
 * linux      memfd_create, fallocate, and seals so that nobody can change its size; named: a file in
 *            /dev/shm, mode 0600, whose holders have a shared flock. What processes that were killed
 *            have left behind is nobody's, and is replaced
 * windows    CreateFileMapping of the page file; named: in the namespace Local
 * since      0.5
 */
XVM_API xvm_status xvm_share_create(xvm_share *share, uint64_t size,
                                    const xvm_share_options *options);

/* Opens memory that another handle has created by name, in this process or in another one.
 *
 * share      the handle to fill; its old value is not looked at
 * name       as it was created
 * access     XVM_SHARE_READ: views can be read, and written only where they are private
 * result     the same memory; size is that of its creation
 * errors     XVM_E_INVALID: a broken name or access. XVM_E_NOT_FOUND: no living process has a handle
 *            of that name. XVM_E_PERMISSION: it is another user's
 * threads    any
 * linux      open in /dev/shm, flock
 * windows    OpenFileMapping, NtQuerySection
 * since      0.5
 */
XVM_API xvm_status xvm_share_open(xvm_share *share, const char *name, xvm_share_access access);

/* Opens a file.
 *
 * share      the handle to fill; its old value is not looked at
 * path       UTF-8
 * mode       what may be there before, and what may be done with it
 * result     size is that of the file, which may be larger than memory, or empty
 * errors     XVM_E_INVALID: path NULL, no UTF-8 (Windows) or too long, a broken mode; a folder, or
 *            anything else that is no regular file. XVM_E_NOT_FOUND: there is no such file, or no such
 *            folder for it. XVM_E_EXISTS: XVM_FILE_CREATE, and there is one. XVM_E_PERMISSION.
 *            XVM_E_DISK_FULL: no room for its name. On error a new file is gone again, and an old one
 *            has its bytes
 * threads    any
 * linux      open, closed on exec; fstat
 * windows    CreateFileW, shared with whoever wants to read, write or delete it
 * since      0.5
 */
XVM_API xvm_status xvm_file_open(xvm_share *share, const char *path, xvm_file_mode mode);

/* Makes a file longer or shorter.
 *
 * share      a file that was opened to be written. Memory has the size that it was created with
 * size       bytes
 * result     share->size is size. What is new reads as zero, and has room on the disk, so that no
 *            later touch of it is refused. Views stay as they are: a longer file has none of what is
 *            new yet, and a touch of what a shorter one has lost is a fault
 * errors     XVM_E_INVALID: share holds nothing. XVM_E_UNSUPPORTED: it is memory.
 *            XVM_E_PERMISSION: it was opened to be read; Windows: it would become shorter while
 *            somebody has a view of it. XVM_E_DISK_FULL: no room on the disk, a quota, RLIMIT_FSIZE.
 *            On error the file is as long as it was
 * threads    one per object
 * linux      fallocate in steps of 64 MiB, or zeros written where the file system has no such call;
 *            ftruncate
 * windows    SetEndOfFile
 * since      0.5
 */
XVM_API xvm_status xvm_share_resize(xvm_share *share, uint64_t size);

/* Flags of a view. */
typedef enum xvm_map_flag {
    XVM_MAP_PRIVATE = 1 /* pages are copied when they are written, and never reach the share. Until
                           then what others write may be seen, or not */
} xvm_map_flag;

/* How to map; all zero is the default. */
typedef struct xvm_map_options {
    xvm_protection protection; /* XVM_READ or XVM_READ_WRITE; 0 = the latter where the share may be
                                  written or the view is private, else the former */
    unsigned flags;            /* of xvm_map_flag */
    const char *name; /* of a region that is a view; static string, as in xvm_reserve_options */
} xvm_map_options;

/* Maps a part of a share.
 *
 * share      what to map. The size of a file is asked for again, and noted in the handle
 * from       bytes, a multiple of xvm_allocation_granularity(), below the size of the share
 * size       bytes, rounded up to pages; 0 = to the end of the share
 * options    NULL = all zero
 * region     all zero: becomes a region that is this view alone. Its xvm_release unmaps it, and so
 *            does xvm_share_unmap of all of it. Otherwise a region with reserved pages at offset
 * offset     bytes, a multiple of xvm_allocation_granularity(); 0 when region is all zero
 * result     the pages are mapped, and show the bytes of the share. The addresses of a region are its
 *            own all the time: no other thread can get them in between
 * errors     XVM_E_INVALID: share or region NULL, share holds nothing, an option, an unaligned or
 *            wrapping range, one that reaches behind the share or the region. XVM_E_PERMISSION: the
 *            share was opened to be read. XVM_E_ADDRESS_TAKEN: a page of the region is not reserved.
 *            XVM_E_ADDRESS_SPACE: no hole of that size. XVM_E_MAP_LIMIT. XVM_E_LOCK_LIMIT:
 *            mlockall(MCL_FUTURE). XVM_E_COMMIT_LIMIT: no memory for the states of the region's pages,
 *            or for copies. XVM_E_PINNED: a region of explicit huge pages. XVM_E_UNSUPPORTED: into a
 *            region where the system cannot (XVM_HAS_MAP_INTO), into a sparse region, or a file that
 *            cannot be mapped. On error share and region are as they were, but for share->size, which
 *            is what a file has
 * threads    any, on different pages of a region; one for each handle of a file, whose size is noted
 * linux      mmap; into a region with MAP_FIXED over its own pages
 * windows    MapViewOfFileEx. Not into regions: that needs placeholders, which are not used yet
 * since      0.5
 */
XVM_API xvm_status xvm_share_map(xvm_share *share, uint64_t from, size_t size,
                                 const xvm_map_options *options, xvm_region *region, size_t offset);

/* Unmaps views.
 *
 * region     all of a region that is a view: it is released, and all zero
 * offset,size  whole pages, all of them mapped. Linux: also parts of views, or several
 * result     the pages are reserved, with the policies of the region; what was written is in the
 *            share, but for private views. Neighbours are left alone, and no other thread can get the
 *            addresses in between
 * errors     XVM_E_INVALID: a range outside, not of whole pages, not mapped, or of a part of a region
 *            that is a view. XVM_E_MAP_LIMIT: the mapping limit is reached. On error all is as it was
 * threads    any, on different pages
 * linux      mmap(MAP_FIXED, PROT_NONE) over the own range; munmap of a region that is a view
 * windows    UnmapViewOfFile
 * since      0.5
 */
XVM_API xvm_status xvm_share_unmap(xvm_region *region, size_t offset, size_t size);

/* How far xvm_share_flush goes. */
typedef enum xvm_flush {
    XVM_FLUSH_CACHE = 0, /* whoever reads the file sees what was written */
    XVM_FLUSH_DISK       /* and it is there after a loss of power */
} xvm_flush;

/* Brings what was written to views into the file.
 *
 * share      of which they are views
 * offset,size  of the region; rounded outward to pages, all of them mapped
 * result     as how says, of what was written before the call. Nothing to do for memory, and for
 *            private views, which never reach the file
 * errors     XVM_E_INVALID: a range, how, or share holds nothing. XVM_E_DISK_FULL: a file with holes,
 *            and no room for what was written there. XVM_E_SYSTEM: the disk cannot be written. On
 *            error some of it may have been written
 * threads    any
 * linux      msync: MS_ASYNC, which has nothing to do, or MS_SYNC
 * windows    FlushViewOfFile; and FlushFileBuffers
 * since      0.5
 */
XVM_API xvm_status xvm_share_flush(xvm_share *share, xvm_region *region, size_t offset, size_t size,
                                   xvm_flush how);

/* Closes a handle.
 *
 * share      NULL and a handle all zero are fine
 * result     the handle is all zero; views stay. The name is free with the last handle to it. A child
 *            process made by fork has views as well, but its copies of handles are for closing only:
 *            they neither keep the name nor free it
 * threads    not while another thread uses the share
 * since      0.5
 */
XVM_API void xvm_share_close(xvm_share *share);

#ifdef __cplusplus
}
#endif

#include "xvm/ring.h" /* rings over shares */

#endif

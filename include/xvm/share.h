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

#endif

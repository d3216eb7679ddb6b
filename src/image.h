/* image.h - the pages of a region in a file, written in one pass and read in one pass.
 *
 *     | header | run | bytes | run | run | bytes | run | bytes |
 *                      of the pages of the run before; a run of zeros or of guards has none
 *
 *   1  A run is equal pages in a row; runs ascend. Pages in no run are reserved. Pages of zeros have no
 *      bytes in the file, whoever wrote them.
 *   2  An image is written beside its place and takes it in the last step: whatever fails before, the
 *      file that was there is whole. Whoever loses power finds the old one or the new one.
 *   3  Who reads an image trusts nothing of it: every number is checked before it is used, and the
 *      checksum at the end. It finds damage, and is no protection against intent: what the pages mean is
 *      the reader's to check.
 */
#ifndef XVM_SRC_IMAGE_H
#define XVM_SRC_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "os.h"
#include "xvm/region.h"

/* What an image says of its region. */
typedef struct xvm_os_image_about {
    uintptr_t base;
    size_t size, page_size, unit; /* bytes; unit: of commit */
    xvm_huge huge;
} xvm_os_image_about;

/* Of an image that is being written or read; its owner may look at about and cause. */
typedef struct xvm_os_image {
    xvm_os_image_about about;
    xvm_os_cause cause; /* why it does not fit, when the status is XVM_E_CORRUPT */
    xvm_os_plain_file file;
    unsigned char *buffer;   /* memory of its own, for runs and bytes, and for two paths */
    const char *path, *temp; /* written: its place, and the file beside it */
    void *os_base;
    size_t os_size;
    size_t filled, open; /* of the buffer; where in it the last run is */
    size_t end;          /* of the last run, in the region */
    uint64_t at, length; /* in the file: behind what was written or read; its length */
    uint64_t left;       /* read: bytes of the last run */
    uint64_t sum[4];     /* of all behind the header, as it was met; */
    uint64_t sum_told;   /* as the header says */
} xvm_os_image;

/* One run; its bytes follow in the file, or it has none. */
typedef struct xvm_os_image_run {
    size_t offset, size;
    xvm_state state; /* XVM_COMMITTED or XVM_GUARD */
    int has_bytes;
} xvm_os_image_run;

/* Addresses at which programs of this system have nothing, whatever it does to keep addresses from being
 * known: so many of them, the best first. */
size_t xvm_os_image_places(const uintptr_t **places);

/* --- writing ---------------------------------------------------------------------------------- */

/* path is UTF-8. Only on XVM_OK there is something to finish or to abandon. */
xvm_os_answer xvm_os_image_begin(xvm_os_image *image, const char *path, const xvm_region *region);

/* The next pages: whole ones, behind those before. state is XVM_COMMITTED or XVM_GUARD; bytes is not looked at
 * for guards, and NULL where all are zero. They may lie anywhere. A tool that watches memory is not
 * asked: bytes may be dead. After a failure the image can only be abandoned. */
xvm_os_answer xvm_os_image_write(xvm_os_image *image, size_t offset, size_t size, xvm_state state,
                                 const void *bytes);

/* All pages have been written: the file is at its place, on the disk. On failure the image is abandoned. */
xvm_os_answer xvm_os_image_finish(xvm_os_image *image);

/* Nothing is left of it. */
void xvm_os_image_abandon(xvm_os_image *image);

/* --- reading ---------------------------------------------------------------------------------- */

/* about is set. Only on XVM_OK there is something to close. */
xvm_os_answer xvm_os_image_open(xvm_os_image *image, const char *path);

/* The next run, of which all bytes must be read before the next; size 0: there is none, and all checksums are
 * right. */
xvm_os_answer xvm_os_image_next(xvm_os_image *image, xvm_os_image_run *run);

/* So many of the next bytes of the last run, whole pages. */
xvm_os_answer xvm_os_image_read(xvm_os_image *image, void *into, size_t size);

void xvm_os_image_close(xvm_os_image *image);

#endif

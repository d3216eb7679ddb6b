/* fuzz_image.c - bytes change an image of a small heap, and nothing that loads may break.
 *
 *     | at at at value | at at at value | ...     each changes one byte of the image; then the checksums are
 *                                                 made right again, so that nothing but the rules is left
 *
 * What is refused leaves nothing. What is loaded is a heap: it passes its check, is walked, and can be used.
 * libFuzzer calls LLVMFuzzerTestOneInput; elsewhere fuzz_main.c does.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "image.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 20, PATH = 512, BLOCKS = 60 };

static unsigned char image[MOST], changed[MOST];
static size_t image_size;
static char path[PATH], other[PATH + 8];

#define EXPECT(c) expect((c), #c, __LINE__)

static void expect(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_image.c:%d: %s\n", line, what);
    abort();
}

static void write_file(const char *name, const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(name, "wb");

    EXPECT(f != NULL && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static size_t read_file(const char *name)
{
    FILE *f = fopen(name, "rb");
    size_t size;

    EXPECT(f != NULL);
    size = fread(image, 1, MOST, f);
    EXPECT(fclose(f) == 0 && size < MOST);
    return size;
}

static void fill(xvm_heap *heap)
{
    static void *blocks[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = xvm_heap_alloc(heap, i % 9 == 0 ? 40000 : i * 13);
    for (size_t i = 0; i < BLOCKS; i += 3)
        xvm_heap_free(heap, blocks[i]);
    xvm_heap_set_root(heap, blocks[1]);
}

/* The image that is changed, once. */
static void make_image(void)
{
    xvm_heap_options options = {.max_size = 2 << 20, .flags = XVM_HEAP_IMAGE};
    const char *folder = folder_in_memory() != NULL ? folder_in_memory() : getenv("TEMP");
    xvm_heap *heap;

    snprintf(path, sizeof path, "%s/xvm-fuzz-%u", folder != NULL ? folder : "/tmp", process_id());
    snprintf(other, sizeof other, "%s-b", path);
    EXPECT(xvm_heap_create(&heap, &options) == XVM_OK);
    fill(heap);
    EXPECT(xvm_heap_save(heap, path) == XVM_OK);
    xvm_heap_destroy(heap);
    image_size = read_file(path);
    remove(path);
}

/* --- with the right checksums ----------------------------------------------------------------- */

/* The runs of a changed image, written anew by the library itself: what it refuses to read stays out. */
static bool seal(void)
{
    xvm_region region = {0};
    xvm_os_image in, out;
    xvm_os_image_run run = {.size = 1};
    size_t at = 128;

    write_file(other, image, image_size);
    if (xvm_os_image_open(&in, other).status != XVM_OK)
        return false;
    region.base = (void *)in.about.base;
    region.size = in.about.size;
    while (((size_t)1 << region.own.page_shift) < in.about.page_size)
        region.own.page_shift++;
    while (((size_t)1 << region.own.unit_shift) < in.about.unit)
        region.own.unit_shift++;
    EXPECT(xvm_os_image_begin(&out, path, &region).status == XVM_OK);
    while (run.size != 0) {
        static unsigned char skipped[MOST];

        EXPECT(xvm_os_image_next(&in, &run).status == XVM_OK);
        at += run.size != 0 ? 32 : 0;
        if (run.size != 0)
            EXPECT(xvm_os_image_write(&out, run.offset, run.size, run.state,
                                      run.has_bytes ? changed + at : NULL)
                       .status == XVM_OK);
        if (run.has_bytes)
            EXPECT(xvm_os_image_read(&in, skipped, run.size).status == XVM_OK);
        at += run.has_bytes ? run.size : 0;
    }
    xvm_os_image_close(&in);
    EXPECT(xvm_os_image_finish(&out).status == XVM_OK);
    return true;
}

/* --- an input --------------------------------------------------------------------------------- */

static int touch(void *block, size_t usable, void *context)
{
    const volatile unsigned char *bytes = block;

    *(size_t *)context += usable;
    (void)bytes[0];
    (void)bytes[usable - 1];
    return 0;
}

static void try_load(void)
{
    xvm_heap *heap;
    size_t bytes = 0;

    if (xvm_heap_load(&heap, path, NULL) != XVM_OK) {
        EXPECT(heap == NULL);
        return;
    }
    EXPECT(xvm_heap_check(heap) == XVM_OK);
    EXPECT(xvm_heap_walk(heap, touch, &bytes) == XVM_OK);
    fill(heap);
    EXPECT(xvm_heap_check(heap) == XVM_OK);
    xvm_heap_destroy(heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (image_size == 0)
        make_image();
    memcpy(changed, image, image_size);
    for (size_t i = 0; i + 4 <= size && i < 64; i += 4)
        changed[((size_t)data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) %
                image_size] = data[i + 3];
    write_file(path, changed, image_size);
    try_load(); /* as it is: but for changes that change nothing it is refused */
    if (seal())
        try_load();
    remove(path);
    remove(other);
    return 0;
}

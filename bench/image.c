/* image.c - a heap of many small blocks saved and loaded, beside a file of the same bytes, and beside building the
 * same anew.
 *
 *     | save | fwrite | load | fread | rebuild | save | fwrite ...      rounds, in turns; medians count
 *
 *   1  fwrite and fread move as many bytes as the image has. Only the save waits for the disk.
 *   2  Rebuilding takes as many blocks of the same sizes from malloc, and writes them.
 *
 * usage: xvm_bench_image [--smoke]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum { ROUNDS = 5, MiB = 1 << 20, PATH = 512 };
typedef enum what { SAVE, WRITE, LOAD, READ, REBUILD, WHATS } what;

static const char *const names[WHATS] = {"xvm_heap_save, with fsync", "fwrite of as many bytes",
                                         "xvm_heap_load, checked", "fread of as many bytes",
                                         "malloc and write all blocks"};
static double times[WHATS][ROUNDS];
static char path[PATH], raw[PATH + 8];

static size_t size_of(size_t i)
{
    return 16 + i * 40503u % 240;
}

static void stop(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static size_t fill_heap(xvm_heap *heap, size_t bytes)
{
    size_t count = 0;

    for (size_t done = 0; done < bytes; done += size_of(count++)) {
        void *block = xvm_heap_alloc(heap, size_of(count));

        if (block == NULL)
            stop("no memory");
        memset(block, (int)(count % 255 + 1), size_of(count));
    }
    return count;
}

static void rebuild(size_t count, void **blocks)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size_of(i));
        if (blocks[i] == NULL)
            stop("no memory");
        memset(blocks[i], (int)(i % 255 + 1), size_of(i));
    }
}

static size_t length_of(const char *name)
{
    FILE *f = fopen(name, "rb");
    long length;

    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        stop("no file");
    length = ftell(f);
    fclose(f);
    return (size_t)length;
}

static void write_raw(const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(raw, "wb");

    if (f == NULL || fwrite(bytes, 1, size, f) != size || fclose(f) != 0)
        stop("the file cannot be written");
}

static void read_raw(unsigned char *bytes, size_t size)
{
    FILE *f = fopen(raw, "rb");

    if (f == NULL || fread(bytes, 1, size, f) != size || fclose(f) != 0)
        stop("the file cannot be read");
}

static void note(what w, int round, uint64_t start)
{
    times[w][round] = (double)(bare_now() - start) / 1e6;
}

/* One round; the heap goes and comes. */
static void run(xvm_heap **heap, int round, size_t count)
{
    void **blocks = malloc(count * sizeof *blocks);
    unsigned char *bytes;
    uint64_t start = bare_now();
    size_t size;

    if (blocks == NULL || xvm_heap_save(*heap, path) != XVM_OK)
        stop("the heap cannot be saved");
    note(SAVE, round, start);
    size = length_of(path);
    bytes = calloc(1, size);
    if (bytes == NULL)
        stop("no memory");
    start = bare_now();
    write_raw(bytes, size);
    note(WRITE, round, start);
    xvm_heap_destroy(*heap);
    start = bare_now();
    if (xvm_heap_load(heap, path, NULL) != XVM_OK)
        stop("the heap cannot be loaded");
    note(LOAD, round, start);
    free(bytes);
    bytes = malloc(size);
    start = bare_now();
    read_raw(bytes, size);
    note(READ, round, start);
    free(bytes);
    start = bare_now();
    rebuild(count, blocks);
    note(REBUILD, round, start);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
}

static double median_of(what w)
{
    return median(times[w], ROUNDS);
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? 2 * MiB : (size_t)64 * MiB;
    xvm_heap_options options = {.flags = XVM_HEAP_IMAGE};
    const char *folder = getenv("TMPDIR");
    xvm_heap *heap;
    size_t count;

    folder = folder != NULL ? folder : getenv("TEMP");
    snprintf(path, sizeof path, "%s/xvm-bench-%llx", folder != NULL ? folder : "/tmp",
             (unsigned long long)bare_now());
    snprintf(raw, sizeof raw, "%s-raw", path);
    if (xvm_heap_create(&heap, &options) != XVM_OK)
        stop("no heap");
    count = fill_heap(heap, bytes);
    for (int round = 0; round < ROUNDS; round++)
        run(&heap, round, count);
    printf("%zu blocks, %zu MiB, a file of %.1f MiB\n", count, bytes / MiB,
           (double)length_of(path) / MiB);
    for (what w = SAVE; w < WHATS; w++)
        printf("%-32s %8.1f ms\n", names[w], median_of(w));
    printf("save / fwrite %.2f, load / fread %.2f, rebuild / load %.2f\n",
           median_of(SAVE) / median_of(WRITE), median_of(LOAD) / median_of(READ),
           median_of(REBUILD) / median_of(LOAD));
    xvm_heap_destroy(heap);
    remove(path);
    remove(raw);
    return 0;
}

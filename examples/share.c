/* share.c - a log that grows in place: a file with its views in a row in one reserved region, and a second
 * handle that reads what the first has written.
 *
 *     region  |  view of the first part  |  view of the next part  |  reserved  ...  |
 *
 * usage: xvm_example_share [file]
 */
#include <stdio.h>
#include <string.h>
#include <xvm/xvm.h>

enum { PARTS = 16 };

static int fail(const char *what)
{
    char why[256];

    xvm_explain(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

/* The file becomes one part longer, and so does what is seen of it. Where views cannot lie in a region,
 * each of them is one. */
static xvm_status grow(xvm_share *file, xvm_region *region, xvm_region *part)
{
    size_t step = xvm_allocation_granularity(), offset = (size_t)file->size;
    xvm_status status = xvm_share_resize(file, file->size + step);

    if (status == XVM_OK)
        status = xvm_share_map(file, offset, step, NULL, region, offset);
    if (status == XVM_E_UNSUPPORTED)
        status = xvm_share_map(file, offset, step, NULL, part, 0);
    return status;
}

static int write_log(const char *path, xvm_region *region, xvm_region *parts)
{
    size_t step = xvm_allocation_granularity();
    xvm_share file;

    if (xvm_file_open(&file, path, XVM_FILE_TRUNCATE) != XVM_OK)
        return fail("open");
    for (size_t i = 0; i < PARTS; i++) {
        char *at = (char *)region->base + i * step;

        if (grow(&file, region, &parts[i]) != XVM_OK)
            return fail("grow");
        if (parts[i].base != NULL)
            at = parts[i].base;
        memset(at, (int)('a' + i), step);
        if (xvm_share_flush(&file, parts[i].base != NULL ? &parts[i] : region,
                            parts[i].base != NULL ? 0 : i * step, step, XVM_FLUSH_CACHE) != XVM_OK)
            return fail("flush");
    }
    xvm_share_close(&file); /* the views stay */
    return 0;
}

static int read_log(const char *path)
{
    size_t step = xvm_allocation_granularity();
    xvm_region view = {0};
    xvm_share file;

    if (xvm_file_open(&file, path, XVM_FILE_READ) != XVM_OK)
        return fail("open");
    if (xvm_share_map(&file, 0, 0, NULL, &view, 0) != XVM_OK) /* all of it */
        return fail("map");
    for (size_t i = 0; i < view.size; i += step)
        putchar(((char *)view.base)[i]);
    printf(": %zu bytes\n", view.size);
    xvm_share_close(&file);
    return xvm_release(&view) == XVM_OK ? 0 : fail("release");
}

/* Memory that other processes can have by its name, while any has a handle. */
static int share_memory(void)
{
    xvm_share_options options = {.name = "xvm-example"};
    xvm_share mine, theirs;
    xvm_region here = {0}, there = {0};

    if (xvm_share_create(&mine, 1 << 20, &options) != XVM_OK)
        return xvm_last_status() == XVM_E_EXISTS ? 0 : fail("create");    /* another one runs */
    if (xvm_share_open(&theirs, "xvm-example", XVM_SHARE_READ) != XVM_OK) /* in any process */
        return fail("open");
    if (xvm_share_map(&mine, 0, 0, NULL, &here, 0) != XVM_OK ||
        xvm_share_map(&theirs, 0, 0, NULL, &there, 0) != XVM_OK)
        return fail("map");
    strcpy(here.base, "hello");
    printf("%s\n", (char *)there.base);
    xvm_share_close(&mine);
    xvm_share_close(&theirs);
    return xvm_release(&here) == XVM_OK && xvm_release(&there) == XVM_OK ? 0 : fail("release");
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "xvm-example-share.log";
    xvm_region region, parts[PARTS] = {{0}};
    int failed;

    if (xvm_reserve(&region, PARTS * xvm_allocation_granularity(), NULL) != XVM_OK)
        return fail("reserve");
    failed = write_log(path, &region, parts) || read_log(path) || share_memory();
    for (size_t i = 0; i < PARTS; i++)
        xvm_release(&parts[i]);
    xvm_release(&region); /* with the views in it */
    remove(path);
    return failed;
}

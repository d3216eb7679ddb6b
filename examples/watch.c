/* watch.c - a copy of a table that is kept up to date: only pages that were written are copied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

enum { SIZE = 64 << 20, RANGES = 64 };

/* Brings the copy up to date. The number of bytes copied. */
static size_t update(unsigned char *copy, xvm_region *table)
{
    xvm_range ranges[RANGES];
    size_t count, copied = 0;

    do {
        if (xvm_watch_collect(table, XVM_WATCH_RESET, ranges, RANGES, &count) != XVM_OK)
            return 0;
        for (size_t i = 0; i < count; i++) {
            size_t at = ranges[i].offset;

            memcpy(copy + at, (unsigned char *)table->base + at, ranges[i].size);
            copied += ranges[i].size;
        }
    } while (count == RANGES); /* there may be more */
    return copied;
}

int main(void)
{
    xvm_reserve_options options = {.flags = XVM_RESERVE_WATCHED}; /* matters on Windows */
    unsigned char *copy = calloc(1, SIZE);
    xvm_region table;

    if (copy == NULL || xvm_reserve(&table, SIZE, &options) != XVM_OK)
        return 1;
    if (xvm_commit(&table, 0, SIZE) != XVM_OK || xvm_watch_start(&table, 0, SIZE) != XVM_OK)
        return 1;
    for (unsigned round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 10; i++)
            ((unsigned char *)table.base)[i * 1000003 * round % SIZE] = (unsigned char)round;
        printf("round %u: %zu KiB copied\n", round, update(copy, &table) >> 10);
    }
    printf("equal: %s\n", memcmp(copy, table.base, SIZE) == 0 ? "yes" : "no");
    free(copy);
    return xvm_release(&table) == XVM_OK ? 0 : 1; /* ends the watch, too */
}

/* plot.h - rows of figures for several sides: as a table, as CSV, as a picture. */
#ifndef XVM_BENCH_PLOT_H
#define XVM_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>

enum { MOST_ROWS = 32, MOST_COLUMNS = 10 };

typedef struct plot {
    const char *title, *columns[MOST_COLUMNS], *rows[MOST_ROWS];
    double values[MOST_ROWS][MOST_COLUMNS]; /* nanoseconds; below 0: takes no part */
    double ratios[MOST_ROWS][MOST_COLUMNS]; /* to the first column */
    size_t row_count, column_count;
} plot;

/* The names of the columns, and the last row; a line each. */
void print_columns(const plot *p, bool csv);
void print_last_row(const plot *p, bool csv);

/* Draws ratios as bars; false: the file cannot be written. */
bool draw(const plot *p, const char *path, const char *machine);

#endif

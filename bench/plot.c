/* plot.c - figures as a table, as CSV, and as bars in an SVG file.
 *
 *     row 1   heap     |=======|            1 wide: as fast as the heap
 *             libc     |==============|     2 wide: takes twice as long
 *             ...
 */
#include "plot.h"

#include <stdio.h>

enum { LEFT = 330, UNIT = 150, BAR = 11, GAP = 14, TOP = 60, MOST = 4 /* units of a bar */ };

static const char *const colours[MOST_COLUMNS] = {"#c2410c", "#64748b", "#2563eb", "#16a34a",
                                                  "#9333ea", "#0891b2", "#ca8a04", "#be185d",
                                                  "#4d7c0f", "#1e293b"};

void print_columns(const plot *p, bool csv)
{
    printf(csv ? "%s" : "%-36s", p->title);
    for (size_t i = 0; i < p->column_count; i++)
        printf(csv ? ",%s,ratio" : " %17s", p->columns[i]);
    printf("\n");
}

void print_last_row(const plot *p, bool csv)
{
    size_t row = p->row_count - 1;

    printf(csv ? "%s" : "%-36s", p->rows[row]);
    for (size_t i = 0; i < p->column_count; i++)
        if (p->values[row][i] < 0)
            printf(csv ? ",," : "%18s", "-");
        else
            printf(csv ? ",%.1f,%.3f" : " %11.1f %5.2f", p->values[row][i], p->ratios[row][i]);
    printf("\n");
    fflush(stdout);
}

/* --- the picture ------------------------------------------------------------------------------ */

static void draw_text(FILE *file, int x, int y, const char *anchor, const char *text)
{
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text != 0; text++)
        if (*text == '<' || *text == '&')
            fprintf(file, "&#%d;", *text);
        else
            fputc(*text, file);
    fprintf(file, "</text>\n");
}

static void draw_bar(FILE *file, const plot *p, size_t row, size_t column, int y)
{
    double ratio = p->ratios[row][column];
    int width = (int)((ratio < MOST ? ratio : MOST) * UNIT);
    char text[64];

    fprintf(file, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", LEFT, y,
            width > 0 ? width : 1, BAR - 2, colours[column]);
    snprintf(text, sizeof text, "%s %.2f (%.4g ns)", p->columns[column], ratio,
             p->values[row][column]);
    draw_text(file, LEFT + width + 4, y + BAR - 3, "start", text);
}

static int draw_row(FILE *file, const plot *p, size_t row, int y)
{
    draw_text(file, LEFT - 8, y + BAR - 2, "end", p->rows[row]);
    for (size_t i = 0; i < p->column_count; i++)
        if (p->values[row][i] >= 0) {
            draw_bar(file, p, row, i, y);
            y += BAR;
        }
    return y + GAP;
}

static int height_of(const plot *p)
{
    int height = TOP;

    for (size_t row = 0; row < p->row_count; row++) {
        for (size_t i = 0; i < p->column_count; i++)
            height += p->values[row][i] >= 0 ? BAR : 0;
        height += GAP;
    }
    return height;
}

bool draw(const plot *p, const char *path, const char *machine)
{
    FILE *file = fopen(path, "w");
    int y = TOP;
    bool done;

    if (file == NULL)
        return false;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"10\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            LEFT + MOST * UNIT + 200, height_of(p));
    draw_text(file, 10, 20, "start", p->title);
    draw_text(file, 10, 36, "start", machine);
    for (size_t row = 0; row < p->row_count; row++)
        y = draw_row(file, p, row, y);
    fprintf(file, "<path d=\"M%d %dV%d\" stroke=\"black\" stroke-dasharray=\"2\"/>\n</svg>\n",
            LEFT + UNIT, TOP - 6, y);
    done = ferror(file) == 0;
    return fclose(file) == 0 && done;
}

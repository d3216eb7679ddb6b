/* kept_linux.c - small files of the kernel that stay open, and their lines.
 *
 *     text:  | passed lines | next line | ... | cut off line |     read on with the cut off
 *            0              next                             end   line moved to the front
 *
 *   1  offset is where text[0] lies in the file; text[end] is a zero byte.
 *   2  A descriptor is used and closed only while device and inode are those it was opened with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept.h"
#include "read.h"

/* --- files ------------------------------------------------------------------------------------ */

static bool is_ours(const xvm_os_file *file)
{
    struct stat now;

    return file->open && fstat(file->number, &now) == 0 && now.st_dev == file->device &&
           now.st_ino == file->inode;
}

static bool open_file(xvm_os_file *file, const char *path)
{
    struct stat now;
    int number;

    file->open = false;
    number = xvm_os_open_file(path);
    if (number < 0)
        return false;
    if (fstat(number, &now) != 0) {
        (void)close(number);
        return false;
    }
    *file = (xvm_os_file){number, true, now.st_dev, now.st_ino};
    return true;
}

bool xvm_os_file_need(xvm_os_file *file, const char *path)
{
    return is_ours(file) || open_file(file, path);
}

void xvm_os_file_close(xvm_os_file *file)
{
    if (is_ours(file))
        (void)close(file->number);
    file->open = false;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Moves what was not passed yet to the front and reads on behind it. */
static void fill(xvm_os_lines *l)
{
    size_t rest = l->end - l->next;
    ssize_t got;

    memmove(l->text, l->text + l->next, rest);
    l->offset += (off_t)l->next;
    l->next = 0;
    do
        got = pread(l->file, l->text + rest, XVM_OS_LINE - rest, l->offset + (off_t)rest);
    while (got < 0 && errno == EINTR);
    l->end = rest + (got > 0 ? (size_t)got : 0);
    l->ended = got <= 0;
    l->text[l->end] = '\0';
}

bool xvm_os_lines_start(xvm_os_lines *l, xvm_os_file *file, const char *path)
{
    if (!xvm_os_file_need(file, path))
        return false;
    l->file = file->number;
    l->offset = 0;
    l->next = l->end = 0;
    l->ended = false;
    l->text[0] = '\0';
    return true;
}

/* The end of the line that starts at next, after reading as much as that takes; NULL when there is
 * no line, or none that fits. */
static char *find_end(xvm_os_lines *l)
{
    char *end = memchr(l->text + l->next, '\n', l->end - l->next);

    while (end == NULL && !l->ended && l->end - l->next < XVM_OS_LINE) {
        fill(l);
        end = memchr(l->text + l->next, '\n', l->end - l->next);
    }
    if (end == NULL && l->ended && l->next < l->end)
        end = l->text + l->end; /* the last line, without its end */
    return end;
}

/* Passes a line that does not fit. */
static void skip_line(xvm_os_lines *l)
{
    char *end = NULL;

    while (end == NULL && !l->ended) {
        l->next = l->end;
        fill(l);
        end = memchr(l->text, '\n', l->end);
    }
    l->next = end != NULL ? (size_t)(end - l->text) + 1 : l->end;
}

char *xvm_os_lines_next(xvm_os_lines *l)
{
    char *line, *end = find_end(l);

    while (end == NULL && !l->ended) {
        skip_line(l);
        end = find_end(l);
    }
    if (end == NULL)
        return NULL;
    line = l->text + l->next;
    *end = '\0';
    l->next = (size_t)(end - l->text);
    l->next += l->next < l->end; /* behind the last line there is nothing to pass */
    return line;
}

/* --- words ------------------------------------------------------------------------------------ */

const char *xvm_os_after_key(const char *line, const char *key)
{
    while (*key != '\0' && *line == *key) {
        line++;
        key++;
    }
    if (*key != '\0')
        return NULL;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

const char *xvm_os_parse_number(const char *text, uint64_t *value)
{
    const char *at = text;

    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');

        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    return at != text ? at : NULL;
}

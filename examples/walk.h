/* walk.h - what index.c needs of a system that neither C nor xvm has: posix/walk.c and
 * win32/walk.c. */
#ifndef WALK_H
#define WALK_H

#include <stdio.h>

/* What a walk has come to; valid during the call. A result that is not 0 ends the walk.
 *
 * path       UTF-8 on Windows, the system's bytes elsewhere
 * file       a regular file, open for reading; the walk closes it. NULL: it or a folder cannot be
 *            read
 * problem    the system's words for why file is NULL
 * context    as given to walk
 */
typedef int (*walk_visitor)(const char *path, FILE *file, const char *problem, void *context);

/* Visits every regular file at or below a path, in the order of the system.
 *
 * path       as main received it; it may be a link. Links below it are not followed, so no file
 *            comes twice
 * result     0, or what the visitor ended it with
 */
int walk(const char *path, walk_visitor visit, void *context);

/* A folder with many files of text that every machine of this system has. */
const char *walk_default_path(void);

/* 1 when stdout is a terminal, made ready for UTF-8 and colours; 0 when it is not, or has none. */
int walk_terminal(void);

/* Seconds since some moment; never goes back. */
double walk_seconds(void);

#endif

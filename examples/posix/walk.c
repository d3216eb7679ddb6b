/* walk.c - the files below a path by opendir, readdir and lstat. One buffer holds the path, and
 * grows and shrinks:
 *
 *     "/usr/include" -> "/usr/include/sys" -> "/usr/include/sys/mman.h" -> "/usr/include/sys" ->
 *     ...
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../walk.h"

#ifndef PATH_MAX /* POSIX leaves it out where paths have no limit */
#define PATH_MAX 4096
#endif

typedef struct walker {
    walk_visitor visit;
    void *context;
    char path[PATH_MAX];
} walker;

static int tell_problem(const walker *w)
{
    return w->visit(w->path, NULL, strerror(errno), w->context);
}

static int visit_file(const walker *w)
{
    FILE *file = fopen(w->path, "rb");
    int result;

    if (file == NULL)
        return tell_problem(w);
    result = w->visit(w->path, file, NULL, w->context);
    (void)fclose(file);
    return result;
}

/* The path gets a name; 0 when it becomes too long. */
static int append(walker *w, size_t length, const char *name)
{
    const char *slash = length == 0 || w->path[length - 1] == '/' ? "" : "/";
    int added = snprintf(w->path + length, sizeof w->path - length, "%s%s", slash, name);

    errno = ENAMETOOLONG;
    return added >= 0 && (size_t)added < sizeof w->path - length;
}

static int is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* All names in the folder at the path. It calls itself for each folder in it. */
static int visit_folder(walker *w)
{
    size_t length = strlen(w->path);
    DIR *folder = opendir(w->path);
    const struct dirent *entry;
    struct stat status;
    int result = 0;

    if (folder == NULL)
        return tell_problem(w);
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (is_self_or_parent(entry->d_name))
            continue;
        if (!append(w, length, entry->d_name) || lstat(w->path, &status) != 0)
            result = tell_problem(w);
        else if (S_ISDIR(status.st_mode))
            result = visit_folder(w);
        else if (S_ISREG(status.st_mode)) /* no links, no pipes, no devices */
            result = visit_file(w);
        w->path[length] = '\0';
    }
    (void)closedir(folder);
    return result;
}

int walk(const char *path, walk_visitor visit, void *context)
{
    walker w = {.visit = visit, .context = context};
    struct stat status;

    if (!append(&w, 0, path) || stat(w.path, &status) != 0)
        return visit(path, NULL, strerror(errno), context);
    if (S_ISDIR(status.st_mode))
        return visit_folder(&w);
    if (S_ISREG(status.st_mode))
        return visit_file(&w);
    return visit(path, NULL, "Neither a file nor a folder", context);
}

const char *walk_default_path(void)
{
    return "/usr/include";
}

int walk_terminal(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDOUT_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
}

double walk_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* walk.c - the files below a path by FindFirstFileW. One buffer holds the path, and grows and
 * shrinks:
 *
 *     "\\?\C:\src" -> "\\?\C:\src\lib" -> "\\?\C:\src\lib\main.c" -> "\\?\C:\src\lib" -> ...
 *
 * The prefix "\\?\" lifts the limit of 260 characters; it takes full paths only, and nobody is
 * shown it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>

#include "../walk.h"

enum {
    PREFIX = 4,
    LONGEST = 32767,
    TEXT = 3 * LONGEST
}; /* UTF-8: at most three bytes for a wchar_t */

typedef struct walker {
    walk_visitor visit;
    void *context;
    wchar_t path[LONGEST];
    char text[TEXT]; /* the path as the visitor gets it */
} walker;

static const char *to_text(walker *w)
{
    int hidden = wcsncmp(w->path, L"\\\\?\\", PREFIX) == 0 ? PREFIX : 0;

    if (WideCharToMultiByte(CP_UTF8, 0, w->path + hidden, -1, w->text, TEXT, NULL, NULL) == 0)
        w->text[0] = '\0';
    return w->text;
}

static int tell_problem(walker *w, DWORD code)
{
    wchar_t wide[256] = L"unknown error";
    char problem[3 * 256] = "";

    (void)FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                             FORMAT_MESSAGE_MAX_WIDTH_MASK,
                         NULL, code, 0, wide, 256, NULL);
    (void)WideCharToMultiByte(CP_UTF8, 0, wide, -1, problem, sizeof problem, NULL, NULL);
    return w->visit(to_text(w), NULL, problem, w->context);
}

static int visit_file(walker *w)
{
    FILE *file = _wfopen(w->path, L"rb");
    int result;

    if (file == NULL)
        return w->visit(to_text(w), NULL, strerror(errno), w->context);
    result = w->visit(to_text(w), file, NULL, w->context);
    (void)fclose(file);
    return result;
}

/* The path gets a name; 0 when it becomes too long. */
static int append(walker *w, size_t length, const wchar_t *name)
{
    const wchar_t *slash = length > 0 && w->path[length - 1] == L'\\' ? L"" : L"\\";

    if (length + wcslen(slash) + wcslen(name) >= LONGEST)
        return 0;
    wcscpy(w->path + length, slash);
    wcscat(w->path, name);
    return 1;
}

static int is_self_or_parent(const wchar_t *name)
{
    return wcscmp(name, L".") == 0 || wcscmp(name, L"..") == 0;
}

/* Symbolic links and junctions; other reparse points, such as files kept in a cloud, are files. */
static int is_link(const WIN32_FIND_DATAW *found)
{
    return (found->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
           IsReparseTagNameSurrogate(found->dwReserved0);
}

/* All names in the folder at the path. It calls itself for each folder in it. */
static int visit_folder(walker *w)
{
    size_t length = wcslen(w->path);
    WIN32_FIND_DATAW found;
    HANDLE search = INVALID_HANDLE_VALUE;
    int result = 0;

    if (append(w, length, L"*"))
        search = FindFirstFileW(w->path, &found);
    w->path[length] = L'\0';
    if (search == INVALID_HANDLE_VALUE)
        return tell_problem(w, GetLastError());
    do {
        if (is_self_or_parent(found.cFileName) || is_link(&found))
            continue;
        if (!append(w, length, found.cFileName))
            result = tell_problem(w, ERROR_FILENAME_EXCED_RANGE);
        else if ((found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0)
            result = visit_folder(w);
        else
            result = visit_file(w);
        w->path[length] = L'\0';
    } while (result == 0 && FindNextFileW(search, &found));
    (void)FindClose(search);
    return result;
}

/* The path as the system knows it in full; 0 when it cannot be one. */
static int start_at(walker *w, const char *path)
{
    wchar_t given[LONGEST];
    DWORD length;

    if (MultiByteToWideChar(CP_ACP, 0, path, -1, given, LONGEST) == 0)
        return 0;
    length = GetFullPathNameW(given, LONGEST - PREFIX, w->path + PREFIX, NULL);
    if (length == 0 || length >= LONGEST - PREFIX)
        return 0;
    if (w->path[PREFIX + 1] == L':')
        wmemcpy(w->path, L"\\\\?\\", PREFIX);
    else /* a path of a network or a device: it has no place for the prefix */
        wmemmove(w->path, w->path + PREFIX, length + 1);
    return 1;
}

int walk(const char *path, walk_visitor visit, void *context)
{
    static walker w; /* 160 KiB: too much for a stack */
    DWORD attributes = INVALID_FILE_ATTRIBUTES;

    w.visit = visit;
    w.context = context;
    if (start_at(&w, path))
        attributes = GetFileAttributesW(w.path);
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return tell_problem(&w, GetLastError());
    return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? visit_folder(&w) : visit_file(&w);
}

const char *walk_default_path(void)
{
    return ".";
}

int walk_terminal(void)
{
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD mode;

    return GetConsoleMode(out, &mode) && SetConsoleOutputCP(CP_UTF8) &&
           SetConsoleMode(out, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

double walk_seconds(void)
{
    LARGE_INTEGER now, rate;

    (void)QueryPerformanceCounter(&now);
    (void)QueryPerformanceFrequency(&rate);
    return (double)now.QuadPart / (double)rate.QuadPart;
}

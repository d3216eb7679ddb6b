/* cgroup_linux.c - the container around this process: its control groups, and the tightest of them.
 *
 *     /proc/self/cgroup       4:memory:/pod/box       version 1: the line that names "memory"
 *                             0::/pod/box             version 2: otherwise this one
 *     /proc/self/mountinfo    ... /pod /sys/fs/cgroup/memory ... - cgroup cgroup rw,memory
 *                             its root (/pod) is what lies at the mount point
 *
 *     /sys/fs/cgroup/memory        the ancestor /pod            path[0 .. top)
 *     /sys/fs/cgroup/memory/box    the group of this process    path[0 .. length)
 *
 *                 limit                      use                    of that, droppable (memory.stat)
 *     version 1   memory.limit_in_bytes      memory.usage_in_bytes  total_inactive_file
 *     version 2   memory.max, memory.high    memory.current         inactive_file
 *
 *   1  A limit that is no number ("max", empty, negative), is not below 2^62 or is above the memory
 *      of the machine is none. Version 1 says 2^63 less a page for none.
 *   2  A limit whose use cannot be read counts with all of its room: it is still a limit.
 *   3  Ancestors outside the mount, or outside our namespace of groups, are not in sight: they do
 *      not count. A group that is not below the mount's root is not in sight itself.
 *   4  Where the group is, is found out again when /proc/self/cgroup names another one.
 */
#define _GNU_SOURCE
#include <string.h>

#include "cgroup.h"

enum { LIMIT, HIGH, USAGE, STATISTICS };
enum { NAME = 32 }; /* of a file in a group's folder, with a slash before it */
static const uint64_t NO_LIMIT = (uint64_t)1 << 62;

/* What one version calls its files; NULL: it has no such file. */
typedef struct naming {
    const char *files[XVM_OS_GROUP_FILES], *droppable;
} naming;

static const naming namings[] = {
    {{NULL, NULL, NULL, NULL}, NULL},
    {{"/memory.limit_in_bytes", NULL, "/memory.usage_in_bytes", "/memory.stat"},
     "total_inactive_file "},
    {{"/memory.max", "/memory.high", "/memory.current", "/memory.stat"}, "inactive_file "},
};

/* --- texts ------------------------------------------------------------------------------------ */

/* to += from; false when it does not fit. */
static bool append(char *to, size_t capacity, const char *from)
{
    size_t length = strlen(to), more = strlen(from);

    if (more >= capacity - length)
        return false;
    memcpy(to + length, from, more + 1);
    return true;
}

/* to = one + two. */
static bool join(char *to, size_t capacity, const char *one, const char *two)
{
    to[0] = '\0';
    return append(to, capacity, one) && append(to, capacity, two);
}

/* Is word one of those that commas separate? */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    while (list != NULL) {
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
        list = strchr(list, ',');
        list = list != NULL ? list + 1 : NULL;
    }
    return false;
}

/* Cuts off and answers the text before the next separator, and moves *text behind it; NULL at the
 * end. */
static char *cut(char **text, char separator)
{
    char *start = *text, *end = start != NULL ? strchr(start, separator) : NULL;

    *text = end != NULL ? end + 1 : NULL;
    if (end != NULL)
        *end = '\0';
    return start;
}

/* In mountinfo a blank is \040. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' &&
            from[3] != '\0') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* --- where the group is ----------------------------------------------------------------------- */

/* What mountinfo says of one mount. */
typedef struct mount {
    char *root, *point, *kind, *options;
} mount;

/* "36 35 98:0 /root /point rw,noatime master:1 - kind source options" */
static bool parse_mount(char *line, mount *m)
{
    char *word = NULL;

    for (int i = 0; i < 3; i++)
        (void)cut(&line, ' ');
    m->root = cut(&line, ' ');
    m->point = cut(&line, ' ');
    do
        word = cut(&line, ' ');
    while (word != NULL && strcmp(word, "-") != 0);
    m->kind = cut(&line, ' ');
    (void)cut(&line, ' ');
    m->options = cut(&line, ' ');
    if (m->options == NULL)
        return false;
    unescape(m->root);
    unescape(m->point);
    return true;
}

static bool is_of_version(const mount *m, int version)
{
    if (version == 2)
        return strcmp(m->kind, "cgroup2") == 0;
    return strcmp(m->kind, "cgroup") == 0 && has_word(m->options, "memory");
}

/* Does the path go up somewhere? Then only the kernel knows where it leads. */
static bool goes_up(const char *path)
{
    for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 1, "/.."))
        if (at[3] == '/' || at[3] == '\0')
            return true;
    return false;
}

/* The way from the root of a mount to the group: "" or "/..."; NULL when it does not lead there. */
static const char *way_below(const char *group, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const char *way = group + length;

    if (strncmp(group, root, length) != 0 || (*way != '/' && *way != '\0') || goes_up(way))
        return NULL;
    return strcmp(way, "/") == 0 ? "" : way;
}

static bool set_path(xvm_os_groups *g, const char *root, const mount *m, const char *way)
{
    if (!join(g->path, sizeof g->path, root, m->point))
        return false;
    g->top = strlen(g->path);
    if (!append(g->path, sizeof g->path, way))
        return false;
    g->length = strlen(g->path);
    return true;
}

/* Sets the path by the first mount that shows the group. */
static bool find_mount(xvm_os_groups *g, const char *root, int version)
{
    char path[XVM_OS_GROUP_PATH];
    xvm_os_file file = {0};
    xvm_os_lines lines;
    const char *way;
    bool found = false;
    char *line;
    mount m;

    if (!join(path, sizeof path, root, "/proc/self/mountinfo") ||
        !xvm_os_lines_start(&lines, &file, path))
        return false;
    while (!found && (line = xvm_os_lines_next(&lines)) != NULL) {
        if (!parse_mount(line, &m) || !is_of_version(&m, version))
            continue;
        way = way_below(g->group, m.root);
        found = way != NULL && set_path(g, root, &m, way);
    }
    xvm_os_file_close(&file);
    return found;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Starts with a file of the group whose folder ends at length. */
static bool start_file(xvm_os_groups *g, size_t length, xvm_os_file *file, const char *name,
                       xvm_os_lines *lines)
{
    char path[XVM_OS_GROUP_PATH + NAME];

    memcpy(path, g->path, length);
    path[length] = '\0';
    return append(path, sizeof path, name) && xvm_os_lines_start(lines, file, path);
}

/* A file that holds a number and nothing else. */
static bool read_number(xvm_os_groups *g, size_t length, xvm_os_file *file, const char *name,
                        uint64_t *value)
{
    xvm_os_lines lines;
    const char *line, *end;

    if (name == NULL || !start_file(g, length, file, name, &lines))
        return false;
    line = xvm_os_lines_next(&lines);
    end = line != NULL ? xvm_os_parse_number(line, value) : NULL;
    return end != NULL && *end == '\0';
}

static uint64_t read_statistic(xvm_os_groups *g, size_t length, xvm_os_file *file,
                               const naming *names)
{
    xvm_os_lines lines;
    const char *line, *text = NULL;
    uint64_t value = 0;

    if (!start_file(g, length, file, names->files[STATISTICS], &lines))
        return 0;
    while (text == NULL && (line = xvm_os_lines_next(&lines)) != NULL)
        text = xvm_os_after_key(line, names->droppable);
    return text != NULL && xvm_os_parse_number(text, &value) != NULL ? value : 0;
}

/* Does an ancestor count what its descendants use? In version 1 it may not. */
static bool counts_descendants(xvm_os_groups *g, size_t length)
{
    xvm_os_file file = {0};
    uint64_t value = 1;
    bool known = read_number(g, length, &file, "/memory.use_hierarchy", &value);

    xvm_os_file_close(&file);
    return !known || value != 0;
}

/* --- levels ----------------------------------------------------------------------------------- */

/* The length of the path of the next ancestor. */
static size_t parent_of(const xvm_os_groups *g, size_t length)
{
    while (length > g->top && g->path[length - 1] != '/')
        length--;
    while (length > g->top && g->path[length - 1] == '/')
        length--;
    return length;
}

/* Moves top down to the outermost ancestor that counts what we use. */
static void find_top(xvm_os_groups *g)
{
    size_t counting = g->length, at = g->length;

    while (at > g->top) {
        at = parent_of(g, at);
        if (!counts_descendants(g, at))
            break;
        counting = at;
    }
    g->top = counting;
}

typedef struct level {
    uint64_t limit, used;
} level;

static uint64_t room_of(const level *l)
{
    return l->limit > l->used ? l->limit - l->used : 0;
}

static void lower(uint64_t *limit, uint64_t value)
{
    if (value < *limit)
        *limit = value;
}

/* False: this level has no limit. */
static bool look_at_level(xvm_os_groups *g, size_t length, xvm_os_file *files, uint64_t memory,
                          level *l)
{
    const naming *names = &namings[g->version];
    uint64_t value, droppable;

    *l = (level){NO_LIMIT, 0};
    if (read_number(g, length, &files[LIMIT], names->files[LIMIT], &value))
        lower(&l->limit, value);
    if (read_number(g, length, &files[HIGH], names->files[HIGH], &value))
        lower(&l->limit, value);
    if (l->limit == NO_LIMIT || l->limit > memory)
        return false;
    if (read_number(g, length, &files[USAGE], names->files[USAGE], &value)) {
        droppable = read_statistic(g, length, &files[STATISTICS], names);
        l->used = value > droppable ? value - droppable : 0;
    }
    return true;
}

/* A level whose files do not stay open. */
static bool look_at_far_level(xvm_os_groups *g, size_t length, uint64_t memory, level *l)
{
    xvm_os_file files[XVM_OS_GROUP_FILES] = {{0}};
    bool limited = look_at_level(g, length, files, memory, l);

    for (int i = 0; i < XVM_OS_GROUP_FILES; i++)
        xvm_os_file_close(&files[i]);
    return limited;
}

/* From the group of this process outwards. */
static bool find_tightest(xvm_os_groups *g, uint64_t memory, level *tightest)
{
    bool found = false, more = true, limited;
    size_t length = g->length;
    level l;

    for (unsigned i = 0; more; i++) {
        limited = i < XVM_OS_GROUP_LEVELS ? look_at_level(g, length, g->files[i], memory, &l)
                                          : look_at_far_level(g, length, memory, &l);
        if (limited && (!found || room_of(&l) < room_of(tightest)))
            *tightest = l;
        found |= limited;
        more = length > g->top;
        length = parent_of(g, length);
    }
    return found;
}

/* --- the group -------------------------------------------------------------------------------- */

static void close_levels(xvm_os_groups *g)
{
    for (int i = 0; i < XVM_OS_GROUP_LEVELS; i++)
        for (int k = 0; k < XVM_OS_GROUP_FILES; k++)
            xvm_os_file_close(&g->files[i][k]);
}

/* The group has another name than before. */
static void settle(xvm_os_groups *g, const char *root, int version, const char *group)
{
    close_levels(g);
    g->version = 0;
    if (!join(g->group, sizeof g->group, group, "") || !find_mount(g, root, version))
        return;
    g->version = version;
    if (version == 1)
        find_top(g);
}

/* The version whose line names the group that has the memory controller, and that name. 0: none. */
static int read_group(xvm_os_lines *lines, char *group, size_t capacity)
{
    char *line, *number, *controllers;
    int version = 0;

    while (version != 1 && (line = xvm_os_lines_next(lines)) != NULL) {
        number = cut(&line, ':');
        controllers = cut(&line, ':');
        if (line == NULL)
            continue;
        if (has_word(controllers, "memory"))
            version = 1;
        else if (strcmp(number, "0") == 0 && *controllers == '\0')
            version = 2;
        else
            continue;
        if (!join(group, capacity, line, ""))
            return 0;
    }
    return version;
}

bool xvm_os_groups_look(xvm_os_groups *g, const char *root, uint64_t memory, uint64_t *limit,
                        uint64_t *used)
{
    char path[XVM_OS_GROUP_PATH], group[XVM_OS_GROUP_PATH];
    xvm_os_lines lines;
    level tightest = {0, 0};
    int version;

    if (!join(path, sizeof path, root, "/proc/self/cgroup") ||
        !xvm_os_lines_start(&lines, &g->self, path))
        return false;
    version = read_group(&lines, group, sizeof group);
    if (version == 0)
        return false;
    if (strcmp(group, g->group) != 0)
        settle(g, root, version, group);
    if (g->version == 0 || !find_tightest(g, memory, &tightest))
        return false;
    *limit = tightest.limit;
    *used = tightest.used;
    return true;
}

static bool has_limit_file(xvm_os_groups *g, size_t length)
{
    xvm_os_file file = {0};
    xvm_os_lines lines;
    bool opened = start_file(g, length, &file, namings[g->version].files[LIMIT], &lines);

    xvm_os_file_close(&file);
    return opened;
}

/* The outermost group of all has no limit, and in version 2 no file for it. */
bool xvm_os_groups_are_known(xvm_os_groups *g)
{
    size_t length = g->length;

    if (g->version == 0)
        return false;
    while (!has_limit_file(g, length)) {
        if (length == g->top)
            return g->version == 2 && g->length == g->top;
        length = parent_of(g, length);
    }
    return true;
}

void xvm_os_groups_forget(xvm_os_groups *g)
{
    close_levels(g);
    xvm_os_file_close(&g->self);
    g->version = 0;
    g->group[0] = '\0';
}

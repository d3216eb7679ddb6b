/* limits.c - the limits of Linux in the usual way: every file opened and scanned by stdio. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "bare.h"

const char *const bare_way_to_limits = "the same files by fopen and fscanf";

static volatile unsigned long long sink; /* so that nothing is left out */

/* "key: number kB" in each line that has it. */
static void scan_fields(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned long long value;
    char line[256], key[64];

    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%63s %llu", key, &value) == 2)
            sink += value;
    fclose(file);
}

static void scan_number(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned long long value;

    if (file == NULL)
        return;
    if (fscanf(file, "%llu", &value) == 1)
        sink += value;
    fclose(file);
}

static void count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];

    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        sink++;
    fclose(file);
}

/* The limit of a group and of all around it. */
static void scan_groups(const char *mount, char *group, const char *name)
{
    char path[1024], *slash = group;

    while (slash != NULL) {
        snprintf(path, sizeof path, "%s%s/%s", mount, group, name);
        scan_number(path);
        slash = strrchr(group, '/');
        if (slash != NULL)
            *slash = '\0';
    }
}

static void scan_container(void)
{
    FILE *file = fopen("/proc/self/cgroup", "r");
    char line[512], *group;

    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        group = strstr(line, ":memory:");
        if (group != NULL)
            scan_groups("/sys/fs/cgroup/memory", group + 8, "memory.limit_in_bytes");
        else if (strncmp(line, "0::", 3) == 0)
            scan_groups("/sys/fs/cgroup", line + 3, "memory.max");
    }
    fclose(file);
}

void bare_look_at_limits(void)
{
    struct rlimit limit;
    struct rusage use;

    scan_fields("/proc/meminfo");
    scan_fields("/proc/self/status");
    scan_number("/proc/sys/vm/max_map_count");
    count_lines("/proc/self/maps");
    scan_container();
    if (getrlimit(RLIMIT_AS, &limit) == 0 && getrlimit(RLIMIT_DATA, &limit) == 0 &&
        getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && getrusage(RUSAGE_SELF, &use) == 0)
        sink += (unsigned long long)use.ru_minflt;
}

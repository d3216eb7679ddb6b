/* cgroup.h - the container around this process: its control groups, and the tightest of them. */
#ifndef XVM_SRC_POSIX_CGROUP_H
#define XVM_SRC_POSIX_CGROUP_H

#include "kept.h"

enum {
    XVM_OS_GROUP_PATH = 4 << 10, /* PATH_MAX, which the kernel does not exceed either */
    XVM_OS_GROUP_LEVELS = 8,     /* whose files stay open; those further out are opened each time */
    XVM_OS_GROUP_FILES = 4       /* limit, high, usage, statistics */
};

/* What is remembered between two looks. All zero: nothing. */
typedef struct xvm_os_groups {
    int version;                   /* 1 or 2; 0: the group is not in sight */
    char group[XVM_OS_GROUP_PATH]; /* as /proc/self/cgroup names it; what follows depends on it */
    char path[XVM_OS_GROUP_PATH];  /* its folder */
    size_t top, length;            /* of path; the folder of the outermost ancestor ends at top */
    xvm_os_file self;              /* /proc/self/cgroup */
    xvm_os_file files[XVM_OS_GROUP_LEVELS][XVM_OS_GROUP_FILES];
} xvm_os_groups;

/* What the ancestor with the least room left allows, and what of it is in use and cannot be
 * dropped. False: there is no limit, or it cannot be read. root is put before every path: "" but in tests.
 * memory: a limit of more than this is none. */
bool xvm_os_groups_look(xvm_os_groups *g, const char *root, uint64_t memory, uint64_t *limit,
                        uint64_t *used);

/* After a look: can the limits be read, if there are any? */
bool xvm_os_groups_are_known(xvm_os_groups *g);

/* Closes all files and forgets all. */
void xvm_os_groups_forget(xvm_os_groups *g);

/* The same of this process (limits_linux.c). */
bool xvm_os_container_is_known(void);

#endif

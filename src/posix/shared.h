/* shared.h - what share.c asks of one POSIX system and another: descriptors of memory, and the place
 * where names of it are. They answer 0 or an errno. */
#ifndef XVM_SRC_POSIX_SHARED_H
#define XVM_SRC_POSIX_SHARED_H

#include <stdint.h>
#include <sys/stat.h>

/* Memory without a name, empty; *fd is set on 0 only. */
int xvm_os_open_memory(int *fd);

/* Nobody can change its size any more, where the system has that. */
int xvm_os_seal_memory(int fd);

/* Memory by name, of this user; flags as for open. */
int xvm_os_open_name(const char *name, int flags, int *fd);
int xvm_os_stat_name(const char *name, struct stat *found);
int xvm_os_unlink_name(const char *name);

/* Bytes [from, to) of a file have room on the disk. kept: its size stays; otherwise the file is so
 * large afterwards. EOPNOTSUPP: that cannot be had. */
int xvm_os_allocate(int fd, uint64_t from, uint64_t to, int kept);

#endif

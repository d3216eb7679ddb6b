/* info.c - facts of the machine. */
#define _GNU_SOURCE
#include <unistd.h>

#include "os.h"

/* Linux aligns a mapping to 2 MiB by itself when its size is a multiple of that (6.7), which is
 * what huge pages need and what saves a step in the page tables. Where addresses are scarce they
 * are not rounded up. */
enum { LARGE_UNIT = sizeof(void *) > 4 ? 2 << 20 : 0 };

/* sysconf is a look into the auxiliary vector; it opens no file for the page size. */
xvm_os_facts xvm_os_get_facts(void)
{
    static size_t page_size;
    size_t page = __atomic_load_n(&page_size, __ATOMIC_RELAXED);

    if (page == 0) {
        page = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&page_size, page, __ATOMIC_RELAXED);
    }
    return (xvm_os_facts){.page_size = page,
                          .granularity = page,
                          .large_unit = LARGE_UNIT,
                          .discard_zeroes = 1,
                          .counts_mappings = 1};
}

void xvm_os_flush_code(void *address, size_t size)
{
    __builtin___clear_cache((char *)address, (char *)address + size);
}

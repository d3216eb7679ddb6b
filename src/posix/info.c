/* info.c - facts of the machine. */
#define _GNU_SOURCE
#include <unistd.h>

#include "os.h"

/* sysconf is a look into the auxiliary vector; it opens no file for the page size. */
xvm_os_facts xvm_os_get_facts(void)
{
    static size_t page_size;
    size_t page = __atomic_load_n(&page_size, __ATOMIC_RELAXED);

    if (page == 0) {
        page = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&page_size, page, __ATOMIC_RELAXED);
    }
    return (xvm_os_facts){.page_size = page, .granularity = page, .discard_zeroes = 1};
}

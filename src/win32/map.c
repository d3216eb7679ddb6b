/* map.c - the map of the process, as Windows shows it. */
#include "call.h"

xvm_os_answer xvm_os_find_mapping(const void *address, xvm_os_mapping *out)
{
    (void)address;
    (void)out;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

xvm_os_answer xvm_os_walk_mappings(int (*visit)(const xvm_os_mapping *mapping, void *context),
                                   void *context)
{
    (void)visit;
    (void)context;
    return (xvm_os_answer){XVM_E_SYSTEM, 0};
}

size_t xvm_os_huge(const void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

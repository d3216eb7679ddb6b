/* tell.c - AddressSanitizer by its functions, which are there when the program was built with it;
 * Valgrind by its client requests, which cost a few instructions elsewhere. */
#include <stddef.h>

#include "tell.h"

#ifdef XVM_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_DEFINED(address, size) ((void)(address), (void)(size))
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) ((void)(address), (void)(size))
#define VALGRIND_MAKE_MEM_NOACCESS(address, size) ((void)(address), (void)(size))
#endif

void __asan_poison_memory_region(void const volatile *address, size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(void const volatile *address, size_t size) __attribute__((weak));

static bool has_sanitizer(void)
{
    return __asan_poison_memory_region != NULL && __asan_unpoison_memory_region != NULL;
}

bool xvm_os_tell_listens(void)
{
    return has_sanitizer() || RUNNING_ON_VALGRIND != 0;
}

void xvm_os_tell_live(const void *address, size_t size)
{
    if (has_sanitizer())
        __asan_unpoison_memory_region(address, size);
    (void)VALGRIND_MAKE_MEM_DEFINED(address, size);
}

void xvm_os_tell_fresh(const void *address, size_t size)
{
    if (has_sanitizer())
        __asan_unpoison_memory_region(address, size);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(address, size);
}

void xvm_os_tell_dead(const void *address, size_t size)
{
    if (has_sanitizer())
        __asan_poison_memory_region(address, size);
    (void)VALGRIND_MAKE_MEM_NOACCESS(address, size);
}

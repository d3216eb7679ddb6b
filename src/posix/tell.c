/* tell.c - AddressSanitizer by its functions, which are there when the program was built with it;
 * Valgrind by its client requests, which cost a few instructions elsewhere. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tell.h"

#ifdef XVM_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_DEFINED(address, size) ((void)(address), (void)(size))
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) ((void)(address), (void)(size))
#define VALGRIND_MAKE_MEM_NOACCESS(address, size) ((void)(address), (void)(size))
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
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

/* No call that the sanitizer has an eye on. */
__attribute__((no_sanitize("address"))) static void copy_unseen(void *to, const void *from,
                                                                size_t size)
{
    const volatile uint64_t *source = from;
    uint64_t *target = to;

    for (size_t i = 0; i < size / sizeof *target; i++)
        target[i] = source[i];
}

void xvm_os_tell_copy(void *to, const void *from, size_t size)
{
    if (!xvm_os_tell_listens()) {
        memcpy(to, from, size);
        return;
    }
    VALGRIND_DISABLE_ERROR_REPORTING;
    copy_unseen(to, from, size);
    VALGRIND_ENABLE_ERROR_REPORTING;
    (void)VALGRIND_MAKE_MEM_DEFINED(to, size);
}

/* new.c - operator new and delete of C++, by their mangled names, so that no C++ library is needed.
 *
 *     new --> malloc --> no memory: std::get_new_handler(), and once more; no handler: std::bad_alloc
 *
 * A C++ program brings the functions for that with its library: they are found when they are needed.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static_assert(sizeof(size_t) == sizeof(unsigned long), "the names below say m, unsigned long");

/* --- what the C++ library has ----------------------------------------------------------------- */

typedef void (*new_handler)(void);
typedef new_handler (*getter)(void);
typedef void (*thrower)(void);

__attribute__((weak)) new_handler linked_getter(void) __asm__("_ZSt15get_new_handlerv");
__attribute__((weak)) void linked_thrower(void) __asm__("_ZSt17__throw_bad_allocv");

/* The same of a library that was loaded later, for a part of the program. */
static void *find_loaded(const char *name)
{
    void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);

    return library != NULL ? dlsym(library, name) : NULL;
}

static new_handler find_handler(void)
{
    getter get = linked_getter;
    void *found = get == NULL ? find_loaded("_ZSt15get_new_handlerv") : NULL;

    if (found != NULL)
        memcpy(&get, &found, sizeof get); /* C has no cast from an object to a function */
    return get != NULL ? get() : NULL;
}

/* Without a C++ library nobody could catch it. */
static _Noreturn void throw_bad_alloc(void)
{
    static const char message[] = "xvm: malloc: operator new has no memory\n";
    thrower throw = linked_thrower;
    void *found = throw == NULL ? find_loaded("_ZSt17__throw_bad_allocv") : NULL;

    if (found != NULL)
        memcpy(&throw, &found, sizeof throw);
    if (throw != NULL)
        throw();
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    abort();
}

/* --- new -------------------------------------------------------------------------------------- */

/* alignment 0: as malloc has it. NULL: there is no memory, and no handler that might get some. */
static void *try_new(size_t size, size_t alignment)
{
    void *block;

    while ((block = alignment == 0 ? malloc(size) : aligned_alloc(alignment, size)) == NULL) {
        new_handler handler = find_handler();

        if (handler == NULL)
            return NULL;
        handler();
    }
    return block;
}

static void *need_new(size_t size, size_t alignment)
{
    void *block = try_new(size, alignment);

    if (block == NULL)
        throw_bad_alloc();
    return block;
}

EXPORT void *new_plain(size_t size) __asm__("_Znwm");
EXPORT void *new_nothrow(size_t size) __asm__("_ZnwmRKSt9nothrow_t");
EXPORT void *new_aligned(size_t size, size_t alignment) __asm__("_ZnwmSt11align_val_t");
EXPORT void *new_aligned_nothrow(size_t size,
                                 size_t alignment) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");

void *new_plain(size_t size)
{
    return need_new(size, 0);
}

void *new_nothrow(size_t size)
{
    return try_new(size, 0);
}

void *new_aligned(size_t size, size_t alignment)
{
    return need_new(size, alignment);
}

void *new_aligned_nothrow(size_t size, size_t alignment)
{
    return try_new(size, alignment);
}

/* --- delete ----------------------------------------------------------------------------------- */

EXPORT void delete_plain(void *block) __asm__("_ZdlPv");

void delete_plain(void *block)
{
    free(block);
}

/* --- the other forms -------------------------------------------------------------------------- */

/* Arrays are blocks like others; the sizes and alignments that a delete is told, the heap knows. */
#define ALIAS(of) EXPORT __attribute__((alias(of)))

ALIAS("_Znwm") void *new_array(size_t size) __asm__("_Znam");
ALIAS("_ZnwmRKSt9nothrow_t") void *new_array_nothrow(size_t size) __asm__("_ZnamRKSt9nothrow_t");
ALIAS("_ZnwmSt11align_val_t")
void *new_array_aligned(size_t size, size_t alignment) __asm__("_ZnamSt11align_val_t");
ALIAS("_ZnwmSt11align_val_tRKSt9nothrow_t")
void *new_array_aligned_nothrow(size_t size,
                                size_t alignment) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");

#define DELETE(name, mangled) ALIAS("_ZdlPv") void name(void *block) __asm__(mangled)

DELETE(delete_nothrow, "_ZdlPvRKSt9nothrow_t");
DELETE(delete_sized, "_ZdlPvm");
DELETE(delete_aligned, "_ZdlPvSt11align_val_t");
DELETE(delete_sized_aligned, "_ZdlPvmSt11align_val_t");
DELETE(delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t");
DELETE(delete_array, "_ZdaPv");
DELETE(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t");
DELETE(delete_array_sized, "_ZdaPvm");
DELETE(delete_array_aligned, "_ZdaPvSt11align_val_t");
DELETE(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t");
DELETE(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t");

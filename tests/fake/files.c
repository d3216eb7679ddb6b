/* files.c - the fake system has no disk. */
#include <string.h>

#include "os.h"
#include "tell.h"

static const xvm_os_answer none = {XVM_E_UNSUPPORTED, 0};

xvm_os_answer xvm_os_plain_create(const char *path, xvm_os_plain_file *file)
{
    (void)path;
    (void)file;
    return none;
}

xvm_os_answer xvm_os_plain_open(const char *path, xvm_os_plain_file *file, uint64_t *size)
{
    (void)path;
    (void)file;
    (void)size;
    return none;
}

void xvm_os_plain_close(xvm_os_plain_file file)
{
    (void)file;
}

xvm_os_answer xvm_os_plain_write(xvm_os_plain_file file, uint64_t at, const void *bytes,
                                 size_t size)
{
    (void)file;
    (void)at;
    (void)bytes;
    (void)size;
    return none;
}

xvm_os_answer xvm_os_plain_read(xvm_os_plain_file file, uint64_t at, void *into, size_t size)
{
    (void)file;
    (void)at;
    (void)into;
    (void)size;
    return none;
}

xvm_os_answer xvm_os_plain_sync(xvm_os_plain_file file)
{
    (void)file;
    return none;
}

xvm_os_answer xvm_os_plain_replace(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return none;
}

void xvm_os_plain_remove(const char *path)
{
    (void)path;
}

void xvm_os_tell_copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

size_t xvm_os_quiet_places(const uintptr_t **places)
{
    (void)places;
    return 0;
}

/* path.c - names of files as Windows wants them. */
#include "path.h"

bool xvm_os_wide_path(const char *path, WCHAR wide[XVM_OS_PATH])
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, XVM_OS_PATH) != 0;
}

/* path.h - names of files as Windows wants them. */
#ifndef XVM_SRC_WIN32_PATH_H
#define XVM_SRC_WIN32_PATH_H

#include <stdbool.h>

#include "call.h"

enum { XVM_OS_PATH = 1024 }; /* UTF-16 units, with the end */

/* A path in UTF-8 as UTF-16. False, with GetLastError set, when it is no UTF-8 or too long. */
bool xvm_os_wide_path(const char *path, WCHAR wide[XVM_OS_PATH]);

#endif

/* limits.c - the one call that most programs make for the limits of Windows. */
#include <stdio.h>
#include <stdlib.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "bare.h"

const char *const bare_way_to_limits = "GlobalMemoryStatusEx alone";

void bare_look_at_limits(void)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};

    if (!GlobalMemoryStatusEx(&status)) {
        fprintf(stderr, "GlobalMemoryStatusEx: error %lu\n", GetLastError());
        exit(1);
    }
}

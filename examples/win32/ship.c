/* ship.c - a second process by CreateProcess, which wants its arguments in one line. */
#include <windows.h>

#include <stdio.h>

#include "ship.h"

enum { LINE = 2048 };

static HANDLE process;

/* The path of this very program is better than how it was called. */
static int write_line(char line[LINE], const char *const *arguments)
{
    char path[LINE / 2];
    int at;

    if (GetModuleFileNameA(NULL, path, sizeof path) == 0)
        return 0;
    at = snprintf(line, LINE, "\"%s\"", path);
    for (int i = 1; arguments[i] != NULL && at > 0 && at < LINE; i++)
        at += snprintf(line + at, (size_t)(LINE - at), " %s", arguments[i]);
    return at > 0 && at < LINE;
}

int ship_start(const char *const *arguments)
{
    STARTUPINFOA how = {.cb = sizeof how};
    PROCESS_INFORMATION started;
    char line[LINE];

    if (!write_line(line, arguments) ||
        !CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &how, &started))
        return 0;
    CloseHandle(started.hThread);
    process = started.hProcess;
    return 1;
}

int ship_join(void)
{
    DWORD status = 0;

    WaitForSingleObject(process, INFINITE);
    GetExitCodeProcess(process, &status);
    CloseHandle(process);
    return (int)status;
}

unsigned ship_process(void)
{
    return (unsigned)GetCurrentProcessId();
}

void ship_sleep(unsigned milliseconds)
{
    Sleep(milliseconds);
}

uint64_t ship_clock(void)
{
    return GetTickCount64();
}

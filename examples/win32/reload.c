/* reload.c - a program started anew by CreateProcess. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include "reload.h"

int reload_start(const char *program, const char *first, const char *second)
{
    char self[MAX_PATH], line[4 * MAX_PATH];
    STARTUPINFOA how = {.cb = sizeof how};
    PROCESS_INFORMATION child;
    DWORD code = 1;

    (void)program;
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(line, sizeof line, "\"%s\" \"%s\" %s", self, first, second);
    if (!CreateProcessA(self, line, NULL, NULL, TRUE, 0, NULL, NULL, &how, &child))
        return -1;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    return (int)code;
}

const char *reload_folder(void)
{
    const char *folder = getenv("TEMP");

    return folder != NULL ? folder : ".";
}

unsigned reload_process(void)
{
    return GetCurrentProcessId();
}

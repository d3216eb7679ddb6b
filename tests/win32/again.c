/* again.c - a test program that starts itself, by CreateProcess. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include "again.h"

int run_again(const char *test, const char *value)
{
    char program[MAX_PATH], line[2 * MAX_PATH];
    STARTUPINFOA how = {.cb = sizeof how};
    PROCESS_INFORMATION child;
    DWORD code = 255;

    GetModuleFileNameA(NULL, program, sizeof program);
    snprintf(line, sizeof line, "\"%s\" %s", program, test);
    SetEnvironmentVariableA(AGAIN, value);
    if (!CreateProcessA(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &how, &child))
        return -1;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    SetEnvironmentVariableA(AGAIN, NULL);
    return (int)code;
}

unsigned process_id(void)
{
    return GetCurrentProcessId();
}

const char *folder_in_memory(void)
{
    return NULL;
}

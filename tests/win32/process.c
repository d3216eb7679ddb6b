/* process.c - a second process is this program once more, which finds its argument in the environment. */
#include <windows.h>

#include "harness.h"
#include "process.h"

enum { LINE = 1024, ARGUMENT = 64 };

static const char variable[] = "XVM_TEST_PROCESS";

intptr_t process_start(const char *name, void (*work)(const char *argument), const char *argument)
{
    STARTUPINFOA how = {.cb = sizeof how};
    PROCESS_INFORMATION started;
    char program[LINE / 2], line[LINE];

    (void)work; /* its own copy of it: process_began */
    CHECK(GetModuleFileNameA(NULL, program, sizeof program) != 0);
    (void)snprintf(line, sizeof line, "\"%s\" %s", program, name);
    CHECK(SetEnvironmentVariableA(variable, argument));
    CHECK(CreateProcessA(program, line, NULL, NULL, FALSE, 0, NULL, NULL, &how, &started));
    CHECK(SetEnvironmentVariableA(variable, NULL));
    CloseHandle(started.hThread);
    return (intptr_t)started.hProcess;
}

int process_began(void (*work)(const char *argument))
{
    char argument[ARGUMENT];

    if (GetEnvironmentVariableA(variable, argument, sizeof argument) == 0)
        return 0;
    work(argument);
    return 1;
}

int process_wait(intptr_t process)
{
    DWORD status;

    CHECK(WaitForSingleObject((HANDLE)process, INFINITE) == WAIT_OBJECT_0);
    CHECK(GetExitCodeProcess((HANDLE)process, &status));
    CloseHandle((HANDLE)process);
    return status < 256 ? (int)status : -1;
}

void process_kill(intptr_t process)
{
    CHECK(TerminateProcess((HANDLE)process, 1000));
}

unsigned process_number(void)
{
    return (unsigned)GetCurrentProcessId();
}

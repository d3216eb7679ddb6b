/* process.c - a second process by fork: emulators of another processor cannot start a program. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "process.h"

intptr_t process_start(const char *name, void (*work)(const char *argument), const char *argument)
{
    pid_t child = fork();

    (void)name;
    CHECK(child >= 0);
    if (child > 0)
        return child;
    work(argument);
    _exit(0);
}

int process_began(void (*work)(const char *argument))
{
    (void)work;
    return 0;
}

int process_wait(intptr_t process)
{
    int status;

    CHECK(waitpid((pid_t)process, &status, 0) == (pid_t)process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void process_kill(intptr_t process)
{
    CHECK(kill((pid_t)process, SIGKILL) == 0);
}

unsigned process_number(void)
{
    return (unsigned)getpid();
}

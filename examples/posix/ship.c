/* ship.c - a second process by posix_spawn. */
#define _POSIX_C_SOURCE 200809L
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ship.h"

extern char **environ;

static pid_t process;

int ship_start(const char *const *arguments)
{
    char *copies[16] = {NULL};

    for (int i = 0; i < 15 && arguments[i] != NULL; i++)
        copies[i] = (char *)(uintptr_t)arguments[i]; /* it only reads them */
    return posix_spawnp(&process, arguments[0], NULL, NULL, copies, environ) == 0;
}

int ship_join(void)
{
    int status;

    if (waitpid(process, &status, 0) != process || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

unsigned ship_process(void)
{
    return (unsigned)getpid();
}

void ship_sleep(unsigned milliseconds)
{
    struct timespec time = {0, (long)milliseconds * 1000000};

    nanosleep(&time, NULL);
}

uint64_t ship_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

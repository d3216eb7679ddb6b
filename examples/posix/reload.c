/* reload.c - a program started anew by fork and exec. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reload.h"

enum { CANNOT = 126 };

int reload_start(const char *program, const char *first, const char *second)
{
    pid_t child = fork();
    int state;

    if (child == 0) {
        (void)execl(program, program, first, second, (char *)NULL);
        _exit(CANNOT);
    }
    if (child < 0 || waitpid(child, &state, 0) != child || !WIFEXITED(state))
        return 1;
    return WEXITSTATUS(state) == CANNOT ? -1 : WEXITSTATUS(state);
}

const char *reload_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder != NULL ? folder : "/tmp";
}

unsigned reload_process(void)
{
    return (unsigned)getpid();
}

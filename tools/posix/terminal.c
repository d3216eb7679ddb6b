/* terminal.c - what POSIX knows of standard output. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../system.h"

terminal look_at_terminal(void)
{
    const char *kind = getenv("TERM");
    terminal t = {.is_one = isatty(STDOUT_FILENO) == 1};
    struct winsize size;

    t.colours = t.is_one && kind != NULL && strcmp(kind, "dumb") != 0;
    if (t.is_one && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        t.columns = size.ws_col;
    return t;
}

/* terminal.c - what Windows knows of standard output. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "../system.h"

enum { ESCAPES = 4 }; /* ENABLE_VIRTUAL_TERMINAL_PROCESSING, which old headers lack */

terminal look_at_terminal(void)
{
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    CONSOLE_SCREEN_BUFFER_INFO size;
    terminal t = {0};
    DWORD mode;

    t.is_one = GetConsoleMode(out, &mode) != 0;
    t.colours = t.is_one && SetConsoleMode(out, mode | ESCAPES) != 0;
    if (t.is_one && GetConsoleScreenBufferInfo(out, &size))
        t.columns = (size_t)(size.srWindow.Right - size.srWindow.Left + 1);
    return t;
}

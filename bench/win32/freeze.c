/* freeze.c - Windows has no fork. */
#include "../freeze.h"

bool bare_freeze(void)
{
    return false;
}

void bare_thaw(void)
{
}

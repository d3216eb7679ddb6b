/* forks.c - Windows has no fork. */
#include "../forks.h"

int can_fork(void)
{
    return 0;
}

double time_of_fork(double (*work)(void *context), void *context, double *work_time)
{
    *work_time = work(context);
    return 0;
}

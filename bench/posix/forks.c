/* forks.c - fork(2). The child waits until the parent has worked. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bare.h"
#include "../forks.h"

int can_fork(void)
{
    return 1;
}

/* Ends when the other end of the pipe is closed. */
static void wait_and_leave(const int ends[2])
{
    char byte;

    close(ends[1]);
    while (read(ends[0], &byte, 1) > 0)
        continue;
    _exit(0);
}

double time_of_fork(double (*work)(void *context), void *context, double *work_time)
{
    int ends[2];
    uint64_t start;
    double time;
    pid_t child;

    if (pipe(ends) != 0)
        exit(1);
    start = bare_now();
    child = fork();
    if (child == 0)
        wait_and_leave(ends);
    time = (double)(bare_now() - start);
    *work_time = work(context);
    close(ends[0]);
    close(ends[1]);
    if (child < 0 || waitpid(child, NULL, 0) != child)
        exit(1);
    return time;
}

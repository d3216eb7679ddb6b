/* forks.h - the other way to a snapshot of a process. */
#ifndef XVM_BENCH_FORKS_H
#define XVM_BENCH_FORKS_H

/* Is there one? */
int can_fork(void);

/* Nanoseconds until the parent goes on; then until it has done its work, while the child is there. */
double time_of_fork(double (*work)(void *context), void *context, double *work_time);

#endif

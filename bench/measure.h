/* measure.h - what every benchmark needs: a call that must work, and the middle of several times. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "xvm/xvm.h"

static inline void must(xvm_status status, const char *call)
{
    char why[400];

    if (status == XVM_OK)
        return;
    (void)xvm_explain(why, sizeof why);
    fprintf(stderr, "%s: %s\n", call, why);
    exit(1);
}

static inline int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of values that it sorts. */
static inline double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_values);
    return values[count / 2];
}

#endif

/* limits.c - what it costs to know every limit: xvm_get_limits, beside the same numbers read in the
 * usual way, in one run, alternating, as a ratio.
 *
 * usage: xvm_bench_limits [--csv | --smoke]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "measure.h"
#include "xvm/xvm.h"

enum { MOST_ROUNDS = 101, SMOKE_ROUNDS = 3, CALLS = 100 };

static void look(void)
{
    xvm_limits limits;

    if (xvm_get_limits(&limits) != XVM_OK) {
        fprintf(stderr, "xvm_get_limits: %s\n", xvm_status_text(xvm_last_status()));
        exit(1);
    }
}

/* Nanoseconds for one call. */
static double run_round(void (*call)(void))
{
    uint64_t start = bare_now();

    for (int i = 0; i < CALLS; i++)
        call();
    return (double)(bare_now() - start) / CALLS;
}

int main(int argc, char **argv)
{
    static double usual[MOST_ROUNDS], ours[MOST_ROUNDS], ratios[MOST_ROUNDS];
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    size_t rounds = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? SMOKE_ROUNDS : MOST_ROUNDS;
    double a, b, ratio;

    look(); /* opens what stays open */
    for (size_t i = 0; i < rounds; i++) {
        usual[i] = run_round(bare_look_at_limits);
        ours[i] = run_round(look);
        ratios[i] = ours[i] / usual[i];
    }
    a = median(usual, rounds);
    b = median(ours, rounds);
    ratio = median(ratios, rounds);
    if (csv)
        printf("call,usual_ns,xvm_ns,ratio\nget_limits,%.0f,%.0f,%.3f\n", a, b, ratio);
    else
        printf("xvm_get_limits: %.0f ns; %s: %.0f ns; ratio %.3f\n", b, bare_way_to_limits, a,
               ratio);
    return 0;
}

/* freeze.h - another process that keeps what this one's memory holds now: what snapshots without a watch are
 * made of, where a system can. */
#ifndef XVM_BENCH_FREEZE_H
#define XVM_BENCH_FREEZE_H

#include <stdbool.h>

/* False: the system cannot. */
bool bare_freeze(void);
void bare_thaw(void);

#endif

/* os_fake.h - the knobs of the fake backend. */
#ifndef XVM_TESTS_FAKE_H
#define XVM_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Facts of the fake machine; change them while nothing is reserved. */
extern size_t fake_page_size, fake_granularity;
extern bool fake_discard_zeroes;  /* false: discarded bytes stay, as MEM_RESET may leave them */
extern bool fake_light_guards;    /* false: as kernels before 6.13 */
extern bool fake_counts_mappings; /* false: as Windows */
extern size_t fake_move_least;    /* SIZE_MAX: pages do not move */
extern bool fake_nothing_resident;
extern size_t fake_huge_page_size;                         /* 0: none */
extern uint64_t fake_container_limit, fake_container_used; /* 0: no limit */
extern uint64_t fake_data_used;                            /* 0: what is committed */
extern uint64_t fake_data_limit, fake_commit_at_once;      /* UINT64_MAX: none */
extern uint64_t fake_slept;                                /* milliseconds */

enum { FAKE_FREE, FAKE_RESERVED, FAKE_COMMITTED };

typedef struct fake_page {
    unsigned char state, protection, locked, guard;
} fake_page;

/* What the fake knows of the page at an address; free pages for all addresses that it does not
 * know. */
fake_page fake_page_at(const void *address);

/* The one thread of the fake ends, and another begins. */
void fake_end_thread(void);

/* Reservations, committed and locked bytes of the fake process. */
void fake_totals(size_t *reservations, size_t *reserved, size_t *committed, size_t *locked);

#endif

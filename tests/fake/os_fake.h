/* os_fake.h - the knobs of the fake backend. */
#ifndef XVM_TESTS_FAKE_H
#define XVM_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>

/* Facts of the fake machine; change them while nothing is reserved. */
extern size_t fake_page_size, fake_granularity;
extern bool fake_discard_zeroes; /* false: discarded bytes stay, as MEM_RESET may leave them */

enum { FAKE_FREE, FAKE_RESERVED, FAKE_COMMITTED };

typedef struct fake_page {
    unsigned char state, protection, locked;
} fake_page;

/* What the fake knows of the page at an address; free pages for all addresses that it does not
 * know. */
fake_page fake_page_at(const void *address);

/* Reservations, committed and locked bytes of the fake process. */
void fake_totals(size_t *reservations, size_t *reserved, size_t *committed, size_t *locked);

#endif

/* place.c - addresses where programs have nothing, however the kernel chooses its own.
 *
 *     64 bit | program, not PIE | LOW .......... | HIGH 0 | HIGH 1 | ... | PIE, heap ... libraries, stack |
 *              0x400000           64 GiB apart     0x2000 0000 0000, a TiB apart        0x5555..  0x7fff..
 *     32 bit | program | 0x20000000 | 0x30000000 | PIE 0x56.. | 0x60000000 ... | libraries, stack |
 *
 * Each was free in 100 of 100 runs: natively, with musl, with AddressSanitizer (HIGH) and ThreadSanitizer (LOW),
 * on 32 bits, and under qemu. Where addresses have 39 bits, only LOW are there.
 */
#include <stddef.h>
#include <stdint.h>

#include "os.h"

#define HIGH(i) ((uintptr_t)(0x200000000000ull + ((uint64_t)(i) << 40)))
#define LOW(i) ((uintptr_t)((uint64_t)(i) << 36))

static const uintptr_t wide[] = {HIGH(0),  HIGH(1),  HIGH(2),  HIGH(3),  HIGH(4),  HIGH(5),
                                 HIGH(6),  HIGH(7),  HIGH(8),  HIGH(9),  HIGH(10), HIGH(11),
                                 HIGH(12), HIGH(13), HIGH(14), HIGH(15), LOW(1),   LOW(2),
                                 LOW(3),   LOW(4),   LOW(5),   LOW(6),   LOW(7)};
static const uintptr_t narrow[] = {0x20000000, 0x30000000, 0x60000000,
                                   0x70000000, 0x80000000, 0x90000000};

enum { ALL = sizeof wide / sizeof *wide, FIRST_LOW = 16, NARROW = sizeof narrow / sizeof *narrow };

/* There when the program was built with ThreadSanitizer, which ends a program that maps anything at
 * other addresses than its own. */
void __tsan_init(void) __attribute__((weak));

size_t xvm_os_quiet_places(const uintptr_t **places)
{
    size_t first = __tsan_init != NULL ? FIRST_LOW : 0;

    if (sizeof(void *) == 4) {
        *places = narrow;
        return NARROW;
    }
    *places = wide + first;
    return ALL - first;
}

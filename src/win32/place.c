/* place.c - addresses where programs have nothing, however the system chooses its own.
 *
 *     64 bit | program's memory, up to 3 TiB | 4, 5, 6 TiB | ..8 TiB: the end before Windows 8.1 | HIGH | DLLs |
 *     32 bit | program, memory | 0x20000000 | 0x30000000 | 0x40000000 | 0x50000000 | DLLs |
 *
 * Each was free in 100 of 100 runs under Wine.
 */
#include <stddef.h>
#include <stdint.h>

#include "os.h"

#define TIB(i) ((uintptr_t)((uint64_t)(i) << 40))

static const uintptr_t wide[] = {TIB(32), TIB(33), TIB(34), TIB(35), TIB(36), TIB(37), TIB(38),
                                 TIB(39), TIB(40), TIB(41), TIB(42), TIB(43), TIB(44), TIB(45),
                                 TIB(46), TIB(47), TIB(4),  TIB(5),  TIB(6)};
static const uintptr_t narrow[] = {0x20000000, 0x30000000, 0x40000000, 0x50000000};

enum { WIDE = sizeof wide / sizeof *wide, NARROW = sizeof narrow / sizeof *narrow };

size_t xvm_os_quiet_places(const uintptr_t **places)
{
    *places = sizeof(void *) == 4 ? narrow : wide;
    return sizeof(void *) == 4 ? NARROW : WIDE;
}

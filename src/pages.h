/* pages.h - rounding and overflow: the one home of address arithmetic. */
#ifndef XVM_SRC_PAGES_H
#define XVM_SRC_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* value down to a multiple of unit, a power of two. */
static inline size_t round_down(size_t value, size_t unit)
{
    return value & ~(unit - 1);
}

/* value up to a multiple of unit, a power of two; wraps to 0 near SIZE_MAX. */
static inline size_t round_up(size_t value, size_t unit)
{
    return (value + (unit - 1)) & ~(unit - 1);
}

/* *sum = a + b; false when that wraps. */
static inline bool add_sizes(size_t a, size_t b, size_t *sum)
{
    *sum = a + b;
    return *sum >= a;
}

static inline bool is_multiple(const void *address, size_t unit)
{
    return ((uintptr_t)address & (unit - 1)) == 0;
}

/* The exponent of a power of two. */
static inline unsigned exponent(size_t power)
{
    return (unsigned)__builtin_ctzll(power);
}

#endif

/* text.h - sentences put together in a buffer of fixed size: no heap, no stdio, no locale.
 *
 *     | c o m m i t   o f   6 4   M i B \0 |  <- capacity
 *     length counts on behind the end, so that a caller learns how much room the whole needs
 *
 *   1  What fits is there, the rest is cut off; a capacity that is not 0 ends with a zero byte.
 */
#ifndef XVM_SRC_TEXT_H
#define XVM_SRC_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct text {
    char *at;
    size_t capacity, length;
} text;

/* at may be NULL: then nothing is written, and only counted. */
static inline text text_start(char *at, size_t capacity)
{
    text t = {at, at != NULL ? capacity : 0, 0};

    if (t.capacity != 0)
        at[0] = 0;
    return t;
}

static inline void put_byte(text *t, char byte)
{
    if (t->capacity != 0 && t->length < t->capacity - 1) {
        t->at[t->length] = byte;
        t->at[t->length + 1] = 0;
    }
    t->length++;
}

static inline void put(text *t, const char *string)
{
    for (; *string != 0; string++)
        put_byte(t, *string);
}

static inline void put_digits(text *t, uint64_t value, unsigned base)
{
    char digits[20];
    size_t count = 0;

    do
        digits[count++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (count != 0)
        put_byte(t, digits[--count]);
}

static inline void put_number(text *t, uint64_t value)
{
    put_digits(t, value, 10);
}

static inline void put_address(text *t, const void *address)
{
    put(t, "0x");
    put_digits(t, (uintptr_t)address, 16);
}

/* The exponent, in tens, of the largest unit in which a size is a short number of halves; else of the
 * largest unit of all. */
static inline unsigned unit_of(uint64_t size)
{
    enum { LONGEST = 10000 };
    unsigned most = 0, i;

    while (most < 6 && size >> (10 * (most + 1)) != 0)
        most++;
    for (i = most; i > 0 && size >> (10 * i) < LONGEST; i--)
        if (size % (1ull << (10 * i - 1)) == 0)
            return i;
    return size < LONGEST ? 0 : most;
}

/* "64 MiB", "1.5 GiB", "100 bytes"; a tenth is rounded down. */
static inline void put_size(text *t, uint64_t size)
{
    static const char *const names[] = {" bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    unsigned unit = unit_of(size);
    uint64_t rest = size % (1ull << (10 * unit)); /* its tenfold cannot wrap */
    uint64_t tenths = unit == 0 ? 0 : rest * 10 >> (10 * unit);

    put_number(t, size >> (10 * unit));
    if (tenths != 0) {
        put_byte(t, '.');
        put_number(t, tenths);
    }
    put(t, size == 1 ? " byte" : names[unit]);
}

#endif

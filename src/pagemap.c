/* pagemap.c - one state for each page, in three levels. The picture and the rules are in pagemap.h.
 *
 *     | level 2 | present | level 1 | ... | level 0: part of entry 0 | part of entry 1 | ... |
 *     | head: whole pages --------------- | whole pages each ------------------------------- |
 *
 * States are lanes of a word, counted from the lowest bit, so that the byte order of the machine
 * does not matter; words are read and written whole, so that a reader without the lock never sees
 * half of one.
 */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "pagemap.h"
#include "pages.h"

enum {
    LEVELS = 3,
    FAN = 9,               /* 512 entries below one */
    WORD = sizeof(size_t), /* bytes of a word, and lanes in it */
    WHOLE_SHIFT = 2 * FAN  /* pages below a level 2 entry */
};
static_assert(CHAR_BIT == 8, "a lane is a byte of eight bits");
static_assert((1 << FAN) % WORD == 0, "the lanes below one entry fill whole words");

static_assert(XVM_OS_LARGEST_PAGE == (size_t)1 << WHOLE_SHIFT, "a part is a byte for each page");

static const size_t ONES = SIZE_MAX / 255; /* a 1 in every lane */

/* How many pages one entry of a level stands for, as a shift. */
static unsigned shift_of(int level)
{
    return (unsigned)level * FAN;
}

static size_t entries(size_t pages, int level)
{
    return ((pages - 1) >> shift_of(level)) + 1;
}

static size_t bytes_of(size_t pages, int level)
{
    return round_up(entries(pages, level), WORD);
}

/* Level 2, the presence of its parts, level 1. */
static size_t head_size(size_t pages, size_t page_size)
{
    return round_up(2 * bytes_of(pages, 2) + bytes_of(pages, 1), page_size);
}

size_t xvm_os_pagemap_size(size_t pages, size_t page_size)
{
    if (pages == 0 || pages > SIZE_MAX / 4)
        return 0;
    return head_size(pages, page_size) + round_up(bytes_of(pages, 0), page_size);
}

void xvm_os_pagemap_start(xvm_region *region, void *address, size_t pages, size_t page_size)
{
    unsigned char *book = address;

    region->own.pages = pages;
    region->own.level[2] = (size_t *)(void *)book;
    region->own.present = (size_t *)(void *)(book + bytes_of(pages, 2));
    region->own.level[1] = (size_t *)(void *)(book + 2 * bytes_of(pages, 2));
    region->own.level[0] = (size_t *)(void *)(book + head_size(pages, page_size));
    region->own.simple = region->own.booked = 0;
}

/* --- lanes ------------------------------------------------------------------------------------ */

static unsigned lane(const size_t *words, size_t index)
{
    return (unsigned)(LOAD_ACQUIRE(&words[index / WORD]) >> (index % WORD * 8)) & 255u;
}

/* What was stored before is seen by whoever sees this. */
static void set_lane(size_t *words, size_t index, unsigned state)
{
    size_t *word = &words[index / WORD];
    unsigned shift = (unsigned)(index % WORD * 8);

    STORE_RELEASE(word, (*word & ~((size_t)255 << shift)) | ((size_t)state << shift));
}

/* The lanes [from, to) of one word as a mask. */
static size_t lanes(size_t from, size_t to)
{
    size_t upto = to == WORD ? SIZE_MAX : ((size_t)1 << (to * 8)) - 1;

    return upto & ~(((size_t)1 << (from * 8)) - 1);
}

static size_t earlier(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The first lane in [from, to) that is not state; to when all are. */
static size_t first_other(const size_t *words, size_t from, size_t to, unsigned state)
{
    size_t pattern = ONES * state, at = from - from % WORD;
    size_t other = (LOAD(&words[from / WORD]) ^ pattern) & ~(((size_t)1 << (from % WORD * 8)) - 1);

    while (other == 0) {
        at += WORD;
        if (at >= to)
            return to;
        other = LOAD(&words[at / WORD]) ^ pattern;
    }
    return earlier(to, at + (size_t)__builtin_ctzll(other) / 8);
}

/* --- memory of the book ----------------------------------------------------------------------- */

static size_t book_offset(const xvm_region *region, const void *address)
{
    return (size_t)((const unsigned char *)address - (unsigned char *)(void *)region->own.level[2]);
}

/* The level 0 part of one level 2 entry: whole pages up to XVM_OS_LARGEST_PAGE, or the end. */
static xvm_os_book_piece part(const xvm_region *region, size_t entry)
{
    size_t size = (size_t)1 << WHOLE_SHIFT;
    size_t all = round_up(bytes_of(region->own.pages, 0), (size_t)1 << region->own.page_shift);
    size_t start = entry << WHOLE_SHIFT;
    xvm_os_book_piece piece = {book_offset(region, region->own.level[0]) + start,
                               all - start < size ? all - start : size};

    return piece;
}

bool xvm_os_pagemap_needs(const xvm_region *region, size_t from, size_t to,
                          xvm_os_book_piece *piece)
{
    size_t first = from >> WHOLE_SHIFT, last = (to - 1) >> WHOLE_SHIFT;

    if (to <= LOAD_ACQUIRE(&region->own.booked))
        return false;
    if (LOAD_ACQUIRE(&region->own.has_head) == 0) {
        *piece = part(region, 0); /* the head, and what follows it */
        piece->size += piece->offset;
        piece->offset = 0;
        return true;
    }
    first = first_other(region->own.present, first, last + 1, 1);
    if (first > last)
        return false;
    *piece = part(region, first);
    return true;
}

void xvm_os_pagemap_have(xvm_region *region, const xvm_os_book_piece *piece)
{
    size_t bottom = book_offset(region, region->own.level[0]);
    size_t start = piece->offset < bottom ? 0 : piece->offset - bottom;
    size_t all = entries(region->own.pages, 2), booked;

    set_lane(region->own.present, start >> WHOLE_SHIFT, 1);
    booked = first_other(region->own.present, 0, all, 1);
    STORE_RELEASE(&region->own.has_head, (unsigned char)1);
    STORE_RELEASE(&region->own.booked, booked == all ? region->own.pages : booked << WHOLE_SHIFT);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The state of a page, and the highest level that has it. */
static unsigned state_of(const xvm_region *region, size_t page, int *level)
{
    unsigned state = XVM_OS_STATE_MIXED;

    for (*level = LEVELS; state == XVM_OS_STATE_MIXED && *level > 0;) {
        --*level;
        state = lane(region->own.level[*level], page >> shift_of(*level));
    }
    return state;
}

IN_A_FAULT unsigned xvm_os_pagemap_state(const xvm_region *region, size_t page)
{
    size_t simple = LOAD_ACQUIRE(&region->own.simple), index;
    unsigned state = XVM_OS_STATE_MIXED;

    if (simple == XVM_OS_ALL_MAPPED)
        return XVM_OS_STATE_MAPPED;
    if (simple != XVM_OS_IN_BOOK)
        return page < simple ? XVM_READ_WRITE : XVM_OS_STATE_RESERVED;
    for (int level = LEVELS - 1; level >= 0 && state == XVM_OS_STATE_MIXED; level--) {
        index = page >> ((unsigned)level * FAN);
        state = (LOAD_ACQUIRE(&region->own.level[level][index / WORD]) >> (index % WORD * 8)) & 255;
    }
    return state;
}

/* The end of the entry that a page is in. */
static size_t entry_end(size_t page, int level)
{
    return ((page >> shift_of(level)) + 1) << shift_of(level);
}

/* How far the pages from at on are equal, among the entries of one level below one entry of the
 * next. */
static size_t equal_until(const xvm_region *region, size_t at, size_t limit, int level,
                          unsigned state)
{
    unsigned shift = shift_of(level);
    size_t end = level == LEVELS - 1 ? limit : earlier(limit, entry_end(at, level + 1));
    size_t other =
        first_other(region->own.level[level], at >> shift, ((end - 1) >> shift) + 1, state);

    return earlier(end, other << shift);
}

xvm_os_run xvm_os_pagemap_run(const xvm_region *region, size_t from, size_t limit)
{
    size_t simple = LOAD_ACQUIRE(&region->own.simple);
    xvm_os_run run = {from, limit, XVM_OS_STATE_RESERVED};
    int level;

    if (from >= simple)
        return run;
    if (simple < XVM_OS_ALL_MAPPED)
        return (xvm_os_run){from, earlier(limit, simple), XVM_READ_WRITE};
    if (simple == XVM_OS_ALL_MAPPED)
        return (xvm_os_run){from, limit, XVM_OS_STATE_MAPPED};
    run.state = state_of(region, from, &level);
    run.to = from;
    do {
        size_t until = equal_until(region, run.to, limit, level, run.state);

        if (until <= run.to) /* another thread has just changed the page: it is what it was */
            return (xvm_os_run){from, run.to > from ? run.to : from + 1, run.state};
        run.to = until;
    } while (run.to < limit && state_of(region, run.to, &level) == run.state);
    return run;
}

/* --- changing --------------------------------------------------------------------------------- */

static void fill(size_t *words, size_t from, size_t to, unsigned state)
{
    for (size_t at = from / WORD; at < (to + WORD - 1) / WORD; at++)
        STORE(&words[at], ONES * state);
}

static void set_lanes(size_t *words, size_t from, size_t to, unsigned state)
{
    for (size_t at = from, end; at < to; at = end) {
        size_t mask, *word = &words[at / WORD];

        end = earlier(to, round_down(at, WORD) + WORD);
        mask = lanes(at % WORD, at % WORD + (end - at));
        STORE(word, (*word & ~mask) | (ONES * state & mask));
    }
}

/* [from, to) of a level: the entries below one entry of the level above, as far as the region
 * goes. */
static void below(const xvm_region *region, int level, size_t index, size_t *from, size_t *to)
{
    *from = index << FAN;
    *to = earlier((index + 1) << FAN, entries(region->own.pages, level));
}

/* An entry becomes MIXED: what it stood for is written below it first. */
static void open_entry(xvm_region *region, int level, size_t index)
{
    unsigned state = lane(region->own.level[level], index);
    size_t from, to;

    if (state == XVM_OS_STATE_MIXED)
        return;
    below(region, level - 1, index, &from, &to);
    fill(region->own.level[level - 1], from, to, state);
    set_lane(region->own.level[level], index, XVM_OS_STATE_MIXED);
}

/* A MIXED entry below which something became state is one state when all below it are. */
static void close_entry(xvm_region *region, int level, size_t index, unsigned state)
{
    const size_t *words = region->own.level[level - 1];
    size_t from, to;

    below(region, level - 1, index, &from, &to);
    if (lane(words, from) == state && lane(words, to - 1) == state && /* most often it ends here */
        first_other(words, from, to, state) == to)
        set_lane(region->own.level[level], index, state);
}

static void set_level(xvm_region *region, int level, size_t from, size_t to, unsigned state);

/* Pages in one entry, but not all of it. */
static void set_part(xvm_region *region, int level, size_t from, size_t to, unsigned state)
{
    size_t index = from >> shift_of(level);

    open_entry(region, level, index);
    set_level(region, level - 1, from, to, state);
    close_entry(region, level, index, state);
}

/* A part of an entry at the start, whole entries, a part of one at the end: each may be missing. */
static void set_level(xvm_region *region, int level, size_t from, size_t to, unsigned state)
{
    size_t first = from >> shift_of(level), end = to >> shift_of(level);

    if (from != first << shift_of(level)) {
        set_part(region, level, from, earlier(to, entry_end(from, level)), state);
        first++;
    }
    if (to == region->own.pages)
        end = entries(to, level);
    if (first < end)
        set_lanes(region->own.level[level], first, end, state);
    else
        end = first;
    if (end << shift_of(level) < to)
        set_part(region, level, end << shift_of(level), to, state);
}

/* Can one number go on saying all? */
static bool set_simply(xvm_region *region, size_t from, size_t to, unsigned state)
{
    size_t simple = region->own.simple;

    if (state == XVM_READ_WRITE && from <= simple)
        simple = to > simple ? to : simple;
    else if (state == XVM_OS_STATE_RESERVED && to >= simple)
        simple = earlier(from, simple);
    else
        return false;
    STORE_RELEASE(&region->own.simple, simple);
    return true;
}

/* The most frequent change: some pages of a chunk of 512 that is MIXED and stays so. */
static bool set_in_chunk(xvm_region *region, size_t from, size_t to, unsigned state)
{
    size_t chunk = from >> FAN, first = chunk << FAN, last = first + ((size_t)1 << FAN) - 1;
    const size_t *pages = region->own.level[0];

    if (to - 1 > last || last >= region->own.pages ||
        lane(region->own.level[2], from >> WHOLE_SHIFT) != XVM_OS_STATE_MIXED ||
        lane(region->own.level[1], chunk) != XVM_OS_STATE_MIXED)
        return false;
    if ((first == from || lane(pages, first) == state) &&
        (last == to - 1 || lane(pages, last) == state))
        return false; /* it may become one state */
    set_lanes(region->own.level[0], from, to, state);
    return true;
}

void xvm_os_pagemap_set(xvm_region *region, size_t from, size_t to, unsigned state)
{
    size_t simple = region->own.simple;

    assert(from < to && to <= region->own.pages && simple != XVM_OS_ALL_MAPPED);
    if (simple != XVM_OS_IN_BOOK) {
        if (set_simply(region, from, to, state))
            return;
        if (simple != 0)
            set_level(region, LEVELS - 1, 0, simple, XVM_READ_WRITE);
    }
    if (!set_in_chunk(region, from, to, state))
        set_level(region, LEVELS - 1, from, to, state);
    STORE_RELEASE(&region->own.simple, XVM_OS_IN_BOOK);
}

void xvm_os_pagemap_restart(xvm_region *region)
{
    STORE_RELEASE(&region->own.simple, (size_t)0);
}

/* --- checking --------------------------------------------------------------------------------- */

static bool is_state(unsigned state)
{
    unsigned protection = state & XVM_OS_STATE_PROTECTION;

    return state == XVM_OS_STATE_RESERVED || state == XVM_OS_STATE_GUARD ||
           state == XVM_OS_STATE_MAPPED || state == (XVM_OS_STATE_GUARD | XVM_OS_STATE_MARKED) ||
           state == (XVM_OS_STATE_GUARD | XVM_OS_STATE_MARKED | XVM_OS_STATE_SHUT) ||
           ((state & ~(unsigned)(XVM_OS_STATE_PROTECTION | XVM_OS_STATE_LOCKED)) == 0 &&
            protection >= XVM_NO_ACCESS && protection <= XVM_READ_WRITE_EXECUTE);
}

/* The number of the rule that an entry or something below it breaks. */
static int check_entry(const xvm_region *region, int level, size_t index)
{
    unsigned state = lane(region->own.level[level], index);
    size_t from, to, other;
    int broken = 0;

    if (level == 0 || state != XVM_OS_STATE_MIXED)
        return is_state(state) ? 0 : level == 0 ? 1 : 2;
    if (level == 2 && lane(region->own.present, index) != 1)
        return 4;
    below(region, level - 1, index, &from, &to);
    other = first_other(region->own.level[level - 1], from, to,
                        lane(region->own.level[level - 1], from));
    if (other == to && lane(region->own.level[level - 1], from) != XVM_OS_STATE_MIXED)
        return 3;
    for (size_t at = from; at < to && broken == 0; at++)
        broken = check_entry(region, level - 1, at);
    return broken;
}

int xvm_os_pagemap_check(const xvm_region *region)
{
    size_t all = entries(region->own.pages, 2);
    int broken = 0;

    if (region->own.has_head == 0)
        return region->own.simple == 0 || region->own.simple == XVM_OS_ALL_MAPPED ? 0 : 4;
    if (region->own.simple != XVM_OS_IN_BOOK)
        return first_other(region->own.level[2], 0, all, XVM_OS_STATE_RESERVED) == all ? 0 : 5;
    for (size_t at = 0; at < all && broken == 0; at++)
        broken = check_entry(region, 2, at);
    return broken;
}

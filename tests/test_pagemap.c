/* test_pagemap.c - the states of pages against a plain array, and every rule of the structure after
 * each step. */
#include "harness.h"
#include "pagemap.h"
#include "xvm/region.h"

enum { PAGE = 4 << 10 };

/* A region whose book is zeroed memory of malloc's: no system in it. */
static xvm_region start(size_t pages)
{
    xvm_region r = {0};
    size_t size = xvm_os_pagemap_size(pages, PAGE);
    void *book = calloc(1, size);

    CHECK(size != 0 && size % PAGE == 0 && book != NULL);
    r.own.page_shift = 12;
    xvm_os_pagemap_start(&r, book, pages, PAGE);
    return r;
}

static void stop(xvm_region *r)
{
    free(r->own.level[2]);
}

static void open_book(xvm_region *r, size_t from, size_t to)
{
    xvm_os_book_piece piece;

    for (int i = 0; xvm_os_pagemap_needs(r, from, to, &piece); i++) {
        CHECK(i < 100 && piece.offset % PAGE == 0 && piece.size % PAGE == 0 && piece.size != 0);
        CHECK(piece.offset + piece.size <= xvm_os_pagemap_size(r->own.pages, PAGE));
        xvm_os_pagemap_have(r, &piece);
    }
}

static void set(xvm_region *r, size_t from, size_t to, unsigned state)
{
    open_book(r, from, to);
    xvm_os_pagemap_set(r, from, to, state);
    CHECK_EQUAL(xvm_os_pagemap_check(r), 0);
}

static void check_run(const xvm_region *r, size_t from, size_t limit, size_t to, unsigned state)
{
    xvm_os_run run = xvm_os_pagemap_run(r, from, limit);

    CHECK_EQUAL(run.from, from);
    CHECK_EQUAL(run.to, to);
    CHECK_EQUAL(run.state, state);
}

TEST(at_first_all_pages_are_reserved_and_no_memory_is_looked_at)
{
    xvm_region r = {0};

    xvm_os_pagemap_start(&r, (void *)(uintptr_t)(1 << 20), 1000, PAGE); /* would fault */
    check_run(&r, 0, 1000, 1000, XVM_OS_STATE_RESERVED);
    check_run(&r, 999, 1000, 1000, XVM_OS_STATE_RESERVED);
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 0);
}

TEST(the_book_is_a_small_part_of_the_region)
{
    size_t sizes[] = {1, 511, 512, 513, (size_t)1 << 18, ((size_t)1 << 18) + 1, (size_t)1 << 24};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(xvm_os_pagemap_size(sizes[i], PAGE) <= sizes[i] + sizes[i] / 256 + 3 * PAGE);
    CHECK_EQUAL(xvm_os_pagemap_size(0, PAGE), 0);
    CHECK_EQUAL(xvm_os_pagemap_size(SIZE_MAX, PAGE), 0);
}

TEST(growth_at_one_end_needs_no_book)
{
    xvm_region r = start(5000);

    set(&r, 0, 10, XVM_READ_WRITE);
    set(&r, 10, 700, XVM_READ_WRITE);
    set(&r, 5, 20, XVM_READ_WRITE);
    CHECK_EQUAL(r.own.simple, 700);
    check_run(&r, 0, 5000, 700, XVM_READ_WRITE);
    check_run(&r, 0, 600, 600, XVM_READ_WRITE);
    check_run(&r, 700, 5000, 5000, XVM_OS_STATE_RESERVED);
    set(&r, 300, 5000, XVM_OS_STATE_RESERVED);
    CHECK_EQUAL(r.own.simple, 300);
    set(&r, 100, 200, XVM_OS_STATE_RESERVED);
    CHECK_EQUAL(r.own.simple, XVM_OS_IN_BOOK);
    check_run(&r, 0, 5000, 100, XVM_READ_WRITE);
    check_run(&r, 100, 5000, 200, XVM_OS_STATE_RESERVED);
    check_run(&r, 200, 5000, 300, XVM_READ_WRITE);
    check_run(&r, 300, 5000, 5000, XVM_OS_STATE_RESERVED);
    set(&r, 0, 5000, XVM_OS_STATE_RESERVED);
    xvm_os_pagemap_restart(&r);
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 0);
    set(&r, 0, 1, XVM_READ_WRITE);
    CHECK_EQUAL(r.own.simple, 1);
    stop(&r);
}

TEST(one_page_in_the_middle)
{
    xvm_region r = start(5000);

    set(&r, 2600, 2601, XVM_READ_WRITE);
    check_run(&r, 0, 5000, 2600, XVM_OS_STATE_RESERVED);
    check_run(&r, 2600, 5000, 2601, XVM_READ_WRITE);
    check_run(&r, 2601, 5000, 5000, XVM_OS_STATE_RESERVED);
    check_run(&r, 2601, 2700, 2700, XVM_OS_STATE_RESERVED);
    set(&r, 2600, 2601, XVM_READ_WRITE | XVM_OS_STATE_LOCKED);
    check_run(&r, 2600, 5000, 2601, XVM_READ_WRITE | XVM_OS_STATE_LOCKED);
    set(&r, 0, 5000, XVM_OS_STATE_RESERVED);
    check_run(&r, 0, 5000, 5000, XVM_OS_STATE_RESERVED);
    stop(&r);
}

TEST(equal_pages_close_into_one_entry)
{
    xvm_region r = start((size_t)1 << 19);

    set(&r, 600, 601, XVM_READ); /* not simple any more */
    set(&r, 600, 601, XVM_OS_STATE_RESERVED);
    for (size_t i = 0; i < 512; i++)
        set(&r, i, i + 1, XVM_READ_WRITE);
    check_run(&r, 0, (size_t)1 << 19, 512, XVM_READ_WRITE);
    CHECK_EQUAL(r.own.level[1][0] & 255, XVM_READ_WRITE);
    set(&r, 512, (size_t)1 << 19, XVM_READ_WRITE);
    check_run(&r, 0, (size_t)1 << 19, (size_t)1 << 19, XVM_READ_WRITE);
    CHECK_EQUAL(r.own.simple, XVM_OS_IN_BOOK);
    CHECK_EQUAL(r.own.level[2][0] & 0xffff, XVM_READ_WRITE * 0x101);
    stop(&r);
}

/* Levels that end in the middle of an entry and of a word. */
TEST(odd_sizes_end_where_they_end)
{
    size_t sizes[] = {
        1, 2, 7, 8, 9, 511, 512, 513, 1023, 1025, ((size_t)1 << 18) - 1, ((size_t)1 << 18) + 1};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        xvm_region r = start(n);

        set(&r, n - 1, n, XVM_READ);
        check_run(&r, n - 1, n, n, XVM_READ);
        if (n > 1)
            check_run(&r, 0, n, n - 1, XVM_OS_STATE_RESERVED);
        set(&r, 0, n, XVM_READ_WRITE);
        check_run(&r, 0, n, n, XVM_READ_WRITE);
        stop(&r);
    }
}

/* Ranges of all lengths, near the borders of entries more often than elsewhere. */
static void random_range(uint64_t *seed, size_t pages, size_t *from, size_t *to)
{
    unsigned shift = (unsigned)(test_random(seed) >> 32) % 20;
    size_t length = 1 + (size_t)(test_random(seed) >> 16) % ((size_t)1 << shift);

    *from = (size_t)(test_random(seed) >> 16) % pages;
    if (test_random(seed) % 2 != 0)
        *from = *from / 512 * 512;
    *to = *from + length < pages ? *from + length : pages;
    if (test_random(seed) % 4 == 0 && *to / 512 * 512 > *from)
        *to = *to / 512 * 512;
}

static void compare(const xvm_region *r, const unsigned char *model, size_t pages)
{
    xvm_os_run run;

    for (size_t at = 0; at < pages; at = run.to) {
        run = xvm_os_pagemap_run(r, at, pages);
        CHECK(run.to > at && run.to <= pages);
        for (size_t i = at; i < run.to; i++)
            CHECK_EQUAL(model[i], run.state);
        if (run.to < pages)
            CHECK(model[run.to] != run.state);
    }
}

static void play(uint64_t seed, size_t pages, int steps)
{
    static const unsigned states[] = {XVM_OS_STATE_RESERVED, XVM_READ_WRITE, XVM_READ_WRITE,
                                      XVM_READ | XVM_OS_STATE_LOCKED, XVM_OS_STATE_MAPPED};
    unsigned char *model = calloc(1, pages);
    xvm_region r = start(pages);
    size_t from, to;

    CHECK(model != NULL);
    printf("seed %llu, %zu pages\n", (unsigned long long)seed, pages);
    for (int i = 0; i < steps; i++) {
        unsigned state = states[test_random(&seed) % 5];

        random_range(&seed, pages, &from, &to);
        set(&r, from, to, state);
        memset(model + from, (int)state, to - from);
        if (i % 16 == 0)
            compare(&r, model, pages);
    }
    compare(&r, model, pages);
    free(model);
    stop(&r);
}

TEST(random_changes_match_a_plain_array)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        play(seed * 7919, 300, 2000);
        play(seed * 104729, 3 * 512 + 77, 2000);
        play(seed * 1299709, ((size_t)1 << 19) + 4321, 150);
    }
}

TEST(mapped_pages_are_a_state_like_others)
{
    xvm_region r = start(1024);

    set(&r, 0, 600, XVM_READ_WRITE);
    set(&r, 700, 800, XVM_OS_STATE_MAPPED);
    check_run(&r, 0, 1024, 600, XVM_READ_WRITE);
    check_run(&r, 600, 1024, 700, XVM_OS_STATE_RESERVED);
    check_run(&r, 700, 1024, 800, XVM_OS_STATE_MAPPED);
    set(&r, 0, 1024, XVM_OS_STATE_MAPPED);
    check_run(&r, 3, 1024, 1024, XVM_OS_STATE_MAPPED);
    set(&r, 0, 1024, XVM_OS_STATE_RESERVED);
    check_run(&r, 0, 1024, 1024, XVM_OS_STATE_RESERVED);
    stop(&r);
}

TEST(a_region_that_is_a_view_needs_no_book)
{
    xvm_region r = {.own = {.pages = 1000, .simple = XVM_OS_ALL_MAPPED}};

    check_run(&r, 0, 1000, 1000, XVM_OS_STATE_MAPPED);
    check_run(&r, 999, 1000, 1000, XVM_OS_STATE_MAPPED);
    check_run(&r, 5, 7, 7, XVM_OS_STATE_MAPPED);
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 0);
}

/* The check finds each rule broken: it is the tests' own measure. */
TEST(the_check_sees_what_it_should)
{
    xvm_region r = start(1024);

    set(&r, 5, 6, XVM_READ_WRITE);
    r.own.level[0][0] |= 0x60; /* no state */
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 1);
    r.own.level[0][0] &= ~(size_t)0x60;
    r.own.level[0][0] |= XVM_OS_STATE_MAPPED | XVM_READ; /* mapped pages have no protection here */
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 1);
    r.own.level[0][0] &= ~(size_t)255;
    r.own.level[1][0] = (r.own.level[1][0] & 255) | 0x6000; /* the second entry: no state */
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 2);
    r.own.level[1][0] |= 0xff00; /* MIXED over equal pages */
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 3);
    r.own.level[1][0] &= 255;
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 0);
    r.own.simple = 0; /* but page 5 is in the book */
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 5);
    r.own.simple = XVM_OS_IN_BOOK;
    r.own.present[0] = 0;
    CHECK_EQUAL(xvm_os_pagemap_check(&r), 4);
    stop(&r);
}

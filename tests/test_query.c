/* test_query.c - what an address is: of a region, of anything else, and of the whole process. */
#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 16 };

static size_t page; /* set by reserve */

static xvm_region reserve_named(size_t pages, const char *name)
{
    xvm_reserve_options options = {.name = name};
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, pages * page, &options), XVM_OK);
    return r;
}

static unsigned char *at(const xvm_region *r, size_t i)
{
    return (unsigned char *)r->base + i * page;
}

static xvm_span query(const void *address)
{
    xvm_span span;

    CHECK_EQUAL(xvm_query(address, &span), XVM_OK);
    CHECK((uintptr_t)span.base <= (uintptr_t)address);
    CHECK((uintptr_t)address - (uintptr_t)span.base < span.size);
    return span;
}

/* Each page of [from, to), asked at its first and at its last byte, is in that run. */
static void check_run(const xvm_region *r, size_t from, size_t to, xvm_state state,
                      xvm_protection protection)
{
    for (size_t i = from; i < to; i++)
        for (size_t byte = 0; byte < page; byte += page - 1) {
            xvm_span span = query(at(r, i) + byte);

            CHECK_EQUAL((unsigned char *)span.base - at(r, 0), (long long)(from * page));
            CHECK_EQUAL(span.size, (to - from) * page);
            CHECK_EQUAL(span.state, state);
            CHECK_EQUAL(span.protection, protection);
            CHECK(span.name == NULL || strcmp(span.name, "asked") == 0);
        }
}

/* The system's own answers: the fake has none, and some emulators show a map without most of it. */
static void need_the_map(void)
{
    if (memory_is_fake() || shown_truth() == 0)
        SKIP("this system does not show what is no region");
}

/* --- pages of a region ------------------------------------------------------------------------ */

TEST(reserved_pages_are_reserved)
{
    xvm_region r = reserve_named(PAGES, "asked");
    xvm_span span = query(at(&r, 3) + 5);

    check_run(&r, 0, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK_EQUAL(span.resident, 0);
    CHECK_EQUAL(span.locked, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(runs_end_where_pages_differ)
{
    xvm_region r = reserve_named(PAGES, "asked");

    CHECK(xvm_commit(&r, 0, 4 * page) == XVM_OK); /* one number says it */
    check_run(&r, 0, 4, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 4, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_commit(&r, 7 * page, 2 * page) == XVM_OK); /* now the book does */
    check_run(&r, 0, 4, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 4, 7, XVM_RESERVED, XVM_NO_ACCESS);
    check_run(&r, 7, 9, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 9, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_decommit(&r, 0, 8 * page) == XVM_OK);
    check_run(&r, 0, 8, XVM_RESERVED, XVM_NO_ACCESS);
    check_run(&r, 8, 9, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    check_run(&r, 0, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(each_protection_is_told)
{
    xvm_region r = reserve_named(PAGES, "asked");

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    for (int p = XVM_NO_ACCESS; p <= XVM_READ_WRITE_EXECUTE; p++) {
        CHECK(xvm_protect(&r, 2 * page, 3 * page, (xvm_protection)p) == XVM_OK);
        check_run(&r, 2, p == XVM_READ_WRITE ? 2 : 5, XVM_COMMITTED, (xvm_protection)p);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(guards_are_guards)
{
    xvm_region r = reserve_named(PAGES, "asked");

    CHECK(xvm_commit(&r, 0, 6 * page) == XVM_OK);
    CHECK(xvm_guard(&r, 2 * page, 2 * page) == XVM_OK);
    check_run(&r, 0, 2, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 2, 4, XVM_GUARD, XVM_NO_ACCESS);
    check_run(&r, 4, 6, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_guard(&r, 5 * page, 3 * page) == XVM_OK); /* of committed and of reserved ones */
    check_run(&r, 5, 8, XVM_GUARD, XVM_NO_ACCESS);
    check_run(&r, 8, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_commit(&r, 5 * page, page) == XVM_OK);
    check_run(&r, 4, 6, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_decommit(&r, 6 * page, 2 * page) == XVM_OK);
    check_run(&r, 6, PAGES, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(sparse_regions_know_their_pages)
{
    xvm_reserve_options sparse = {.commit_mode = XVM_COMMIT_SPARSE, .name = "asked"};
    xvm_region r;

    if (memory_is_fake())
        SKIP("the fake has none");
    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, PAGES * page, &sparse), XVM_OK);
    CHECK(xvm_commit(&r, 3 * page, 2 * page) == XVM_OK);
    CHECK(xvm_commit(&r, 9 * page, page) == XVM_OK);
    check_run(&r, 0, 3, XVM_RESERVED, XVM_NO_ACCESS);
    check_run(&r, 3, 5, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 5, 9, XVM_RESERVED, XVM_NO_ACCESS);
    check_run(&r, 9, 10, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(the_first_and_the_last_page_have_their_runs)
{
    xvm_region r = reserve_named(PAGES, "asked");

    CHECK(xvm_commit(&r, (PAGES - 1) * page, page) == XVM_OK);
    check_run(&r, PAGES - 1, PAGES, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 0, PAGES - 1, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_commit(&r, 0, page) == XVM_OK);
    check_run(&r, 0, 1, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&r, 1, PAGES - 1, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Long runs of every length between single pages. */
TEST(runs_of_any_length_have_their_start)
{
    enum { MANY = 3000 };
    xvm_region r = reserve_named(MANY, "asked");
    size_t start = 0, length = 1;

    for (; start + length < MANY; start += length + 1, length += length / 3 + 1)
        CHECK(xvm_commit(&r, (start + length) * page, page) == XVM_OK);
    for (start = 0, length = 1; start + length < MANY;
         start += length + 1, length += length / 3 + 1)
        for (size_t i = start; i < start + length; i += length / 7 + 1) {
            xvm_span span = query(at(&r, i));

            CHECK(span.base == at(&r, start));
            CHECK_EQUAL(span.size, length * page);
        }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_large_region_is_asked_at_once)
{
    size_t gib = (size_t)1 << 30, middle;
    xvm_region r;
    xvm_span span;

    if (sizeof(void *) < 8 || memory_is_fake())
        SKIP("no room for a large region");
    page = xvm_page_size();
    CHECK(xvm_reserve(&r, 16 * gib, NULL) == XVM_OK);
    middle = r.size / page / 2 + 12345;
    CHECK(xvm_commit(&r, 77 * page, page) == XVM_OK);
    CHECK(xvm_commit(&r, middle * page, page) == XVM_OK);
    span = query(at(&r, middle - 1));
    CHECK(span.base == at(&r, 78) && span.size == (middle - 78) * page);
    span = query(at(&r, middle + 1));
    CHECK(span.base == at(&r, middle + 1));
    CHECK_EQUAL(span.size, r.size - (middle + 1) * page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(the_name_is_that_of_the_options)
{
    static const char name[] = "a name";
    xvm_region r = reserve_named(PAGES, name), none = reserve_named(PAGES, NULL);

    CHECK(query(r.base).name == name);
    CHECK(query(none.base).name == NULL);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_release(&none) == XVM_OK);
}

TEST(locked_bytes_are_exact)
{
    xvm_region r = reserve_named(PAGES, "asked");
    xvm_span span;

    CHECK(xvm_commit(&r, 0, 8 * page) == XVM_OK);
    if (xvm_lock(&r, 2 * page, 2 * page) != XVM_OK)
        SKIP("not even two pages may be locked");
    check_run(&r, 2, 4, XVM_COMMITTED, XVM_READ_WRITE);
    span = query(at(&r, 2));
    CHECK_EQUAL(span.locked, 2 * page);
    CHECK_EQUAL(query(at(&r, 4)).locked, 0);
    CHECK(xvm_unlock(&r, 2 * page, page) == XVM_OK);
    CHECK_EQUAL(query(at(&r, 2)).locked, 0);
    CHECK_EQUAL(query(at(&r, 3)).locked, page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(resident_follows_use)
{
    xvm_region r = reserve_named(PAGES, "asked");

    if (!residency_is_known())
        SKIP("the system does not tell");
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(query(r.base).resident, 0);
    memset(at(&r, 3), 1, 4 * page);
    CHECK_EQUAL(query(r.base).resident, 4 * page);
    CHECK(xvm_protect(&r, 4 * page, page, XVM_NO_ACCESS) == XVM_OK);
    CHECK(query(at(&r, 4)).resident == page || query(at(&r, 4)).resident == 0); /* on Windows */
    CHECK(xvm_decommit(&r, 5 * page, page) == XVM_OK);
    CHECK_EQUAL(query(at(&r, 5)).resident, 0);
    CHECK(xvm_commit(&r, 5 * page, page) == XVM_OK);
    CHECK_EQUAL(query(at(&r, 5)).resident, page); /* page 6 */
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(query(r.base).resident, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Run by run, every page once; the runs that are expected. */
static void check_runs(const xvm_region *r, const xvm_run *expected, size_t count)
{
    size_t offset = 0;
    xvm_run run;

    for (size_t i = 0; i < count; i++, offset += run.size) {
        CHECK_EQUAL(xvm_region_run(r, offset + page - 1, &run), XVM_OK);
        CHECK_EQUAL(run.offset, offset);
        CHECK_EQUAL(run.size, expected[i].size);
        CHECK_EQUAL(run.state, expected[i].state);
        CHECK_EQUAL(run.protection, expected[i].protection);
        CHECK_EQUAL(run.locked, expected[i].locked);
    }
    CHECK_EQUAL(offset, r->size);
}

TEST(a_region_tells_its_runs_without_the_system)
{
    xvm_region r = reserve_named(PAGES, "asked");
    size_t p = page;

    check_runs(&r, &(xvm_run){0, r.size, XVM_RESERVED, XVM_NO_ACCESS, 0}, 1);
    CHECK(xvm_commit(&r, 0, 8 * p) == XVM_OK);
    CHECK(xvm_guard(&r, 3 * p, p) == XVM_OK);
    CHECK(xvm_protect(&r, 4 * p, 2 * p, XVM_READ) == XVM_OK);
    CHECK(xvm_lock(&r, 7 * p, p) == XVM_OK);
    CHECK(xvm_inject("*@1+") == XVM_OK); /* nothing is asked */
    check_runs(&r,
               (xvm_run[]){{0, 3 * p, XVM_COMMITTED, XVM_READ_WRITE, 0},
                           {0, p, XVM_GUARD, XVM_NO_ACCESS, 0},
                           {0, 2 * p, XVM_COMMITTED, XVM_READ, 0},
                           {0, p, XVM_COMMITTED, XVM_READ_WRITE, 0},
                           {0, p, XVM_COMMITTED, XVM_READ_WRITE, p},
                           {0, r.size - 8 * p, XVM_RESERVED, XVM_NO_ACCESS, 0}},
               6);
    CHECK_EQUAL(xvm_injected(), 0);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_run_outside_of_a_region_is_invalid)
{
    xvm_region r = reserve_named(PAGES, "asked"), none = {0};
    xvm_run run = {.size = 1};

    CHECK_EQUAL(xvm_region_run(&r, r.size, &run), XVM_E_INVALID);
    CHECK_EQUAL(run.size, 0);
    CHECK_EQUAL(xvm_region_run(&r, SIZE_MAX, &run), XVM_E_INVALID);
    CHECK_EQUAL(xvm_region_run(NULL, 0, &run), XVM_E_INVALID);
    CHECK_EQUAL(xvm_region_run(&none, 0, &run), XVM_E_INVALID);
    CHECK_EQUAL(xvm_region_run(&r, 0, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- the register ----------------------------------------------------------------------------- */

TEST(a_released_region_is_not_found)
{
    xvm_region r = reserve_named(PAGES, "asked");
    unsigned char *old = r.base;
    xvm_span span;

    CHECK(xvm_release(&r) == XVM_OK);
    if (xvm_query(old, &span) == XVM_OK) { /* the fake does not know it */
        CHECK(span.name == NULL);
        CHECK(shown_truth() == 0 || span.state == XVM_FREE);
    }
}

TEST(addresses_used_again_are_the_new_regions)
{
    xvm_region r = reserve_named(PAGES, "old");
    xvm_reserve_options here = {.address = r.base, .name = "new"};

    if (memory_is_fake())
        SKIP("no exact addresses");
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_reserve(&r, PAGES * page, &here) == XVM_OK);
    CHECK(strcmp(query(at(&r, 5)).name, "new") == 0);
    CHECK_EQUAL(query(at(&r, 5)).state, XVM_RESERVED);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Two regions without a gap: the system may show one mapping. */
TEST(neighbours_are_told_apart)
{
    size_t unit = xvm_allocation_granularity();
    xvm_region room, a, b;
    xvm_reserve_options first = {.name = "first"}, second = {.name = "second"};

    if (memory_is_fake())
        SKIP("no exact addresses");
    page = xvm_page_size();
    CHECK(xvm_reserve(&room, 4 * unit, NULL) == XVM_OK);
    first.address = room.base;
    second.address = (unsigned char *)room.base + unit;
    CHECK(xvm_release(&room) == XVM_OK);
    CHECK(xvm_reserve(&a, unit, &first) == XVM_OK);
    CHECK(xvm_reserve(&b, unit, &second) == XVM_OK);
    CHECK(query((unsigned char *)b.base - 1).base == a.base);
    CHECK(query((unsigned char *)b.base - 1).name == first.name);
    CHECK_EQUAL(query(a.base).size, unit);
    CHECK(query(b.base).base == b.base);
    CHECK(query(b.base).name == second.name);
    CHECK(xvm_commit(&a, 0, unit) == XVM_OK && xvm_commit(&b, 0, unit) == XVM_OK);
    CHECK_EQUAL(query(a.base).size, unit);
    CHECK_EQUAL(query(b.base).size, unit);
    CHECK(xvm_release(&b) == XVM_OK);
    CHECK(query((unsigned char *)a.base + unit - 1).name == first.name);
    CHECK(xvm_release(&a) == XVM_OK);
}

/* What is behind the pages of a region is the system's, but does not reach into them. */
TEST(what_is_beside_a_region_is_not_its_own)
{
    xvm_region r = reserve_named(PAGES, "asked");
    unsigned char *end = at(&r, PAGES);
    xvm_span span;

    if (xvm_query(end, &span) == XVM_OK) {
        CHECK((unsigned char *)span.base >= end);
        CHECK(span.name == NULL);
    }
    if (xvm_query((unsigned char *)r.base - 1, &span) == XVM_OK)
        CHECK((unsigned char *)span.base + span.size <= (unsigned char *)r.base ||
              span.name == NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_handle_may_move)
{
    xvm_region r = reserve_named(PAGES, "asked"), moved = r;

    memset(&r, 0xee, sizeof r);
    CHECK(xvm_commit(&moved, 0, page) == XVM_OK);
    CHECK(xvm_commit(&moved, 3 * page, 2 * page) == XVM_OK);
    check_run(&moved, 0, 1, XVM_COMMITTED, XVM_READ_WRITE);
    check_run(&moved, 1, 3, XVM_RESERVED, XVM_NO_ACCESS);
    check_run(&moved, 3, 5, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(query(moved.base).name != NULL);
    CHECK(xvm_release(&moved) == XVM_OK);
}

TEST(a_failed_reserve_is_not_found)
{
    xvm_region r = reserve_named(PAGES, "old"), other;
    xvm_reserve_options here = {.address = r.base, .name = "new"};

    CHECK(xvm_reserve(&other, PAGES * page, &here) != XVM_OK);
    CHECK(other.own.entry == NULL);
    CHECK(strcmp(query(r.base).name, "old") == 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_failed_release_stays_found)
{
    xvm_region r = reserve_named(PAGES, "asked");

    CHECK(xvm_commit(&r, 2 * page, page) == XVM_OK);
    CHECK(xvm_inject("release@1") == XVM_OK);
    CHECK(xvm_release(&r) != XVM_OK);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(query(r.base).name != NULL);
    check_run(&r, 2, 3, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_commit(&r, 4 * page, page) == XVM_OK);
    check_run(&r, 4, 5, XVM_COMMITTED, XVM_READ_WRITE);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* More regions than there is room for, while the register gets no more. */
TEST(a_region_that_is_not_registered_works)
{
    enum { MANY = 2000, SAMPLE = 100 };
    static xvm_region regions[MANY];
    xvm_reserve_options options = {.name = "many"};
    size_t count = memory_is_fake() ? 20 : MANY, found = 0;
    xvm_region r;

    page = xvm_page_size();
    set_last_error(17);
    CHECK(xvm_inject("bookkeeping@1+") == XVM_OK);
    for (size_t i = 0; i < count; i++)
        CHECK(xvm_reserve(&regions[i], page, &options) == XVM_OK);
    CHECK_EQUAL(get_last_error(), 17);
    CHECK(xvm_inject(NULL) == XVM_OK);
    for (size_t i = 0; i < count; i++) {
        found += regions[i].own.entry != NULL;
        CHECK(xvm_commit(&regions[i], 0, page) == XVM_OK);
        *(unsigned char *)regions[i].base = 1;
        if (i % SAMPLE != 0)
            continue; /* what is not registered is asked of the whole map */
        CHECK_EQUAL(query(regions[i].base).state, XVM_COMMITTED);
        CHECK((query(regions[i].base).name != NULL) == (regions[i].own.entry != NULL));
    }
    CHECK(memory_is_fake() || found < count);
    r = reserve_named(1, "one more");
    CHECK(query(r.base).name != NULL);
    CHECK(xvm_release(&r) == XVM_OK);
    for (size_t i = 0; i < count; i++)
        CHECK(xvm_release(&regions[i]) == XVM_OK);
}

/* Regions in every order of bases: released from the middle, from both ends, and taken again. */
TEST(regions_come_and_go_in_any_order)
{
    enum { SOME = 40 };
    int rounds = memory_is_fake() ? 300 : 2000;
    static xvm_region regions[SOME];
    static char names[SOME];
    uint64_t seed = 4711;

    for (int round = 0; round < rounds; round++) {
        size_t i = (size_t)(test_random(&seed) % SOME), j = (size_t)(test_random(&seed) % SOME);

        if (regions[i].base != NULL)
            CHECK(xvm_release(&regions[i]) == XVM_OK);
        else
            regions[i] = reserve_named(1 + (size_t)(test_random(&seed) % 9), &names[i]);
        if (regions[j].base != NULL)
            CHECK(query((unsigned char *)regions[j].base + regions[j].size - 1).name == &names[j]);
    }
    for (size_t i = 0; i < SOME; i++)
        CHECK(xvm_release(&regions[i]) == XVM_OK);
}

/* --- anything else ---------------------------------------------------------------------------- */

TEST(the_stack_is_committed)
{
    volatile unsigned char here = 1;
    xvm_span span;

    need_the_map();
    span = query((const void *)(uintptr_t)&here);
    CHECK_EQUAL(span.state, XVM_COMMITTED);
    CHECK_EQUAL(span.protection, XVM_READ_WRITE);
    CHECK(span.name == NULL);
    CHECK(!residency_is_known() || (span.resident > 0 && span.resident <= span.size));
}

TEST(code_is_mapped_and_executable)
{
    xvm_span span;

    need_the_map();
    span = query((const void *)(uintptr_t)need_the_map);
    CHECK_EQUAL(span.state, XVM_MAPPED);
    if ((shown_truth() & TRUTH_EXECUTE) != 0)
        CHECK_EQUAL(span.protection, XVM_READ_EXECUTE);
}

TEST(a_literal_is_mapped)
{
    static const char literal[] = "a literal";
    xvm_span span;

    need_the_map();
    span = query(literal);
    CHECK_EQUAL(span.state, XVM_MAPPED);
    CHECK(span.protection != XVM_NO_ACCESS);
}

TEST(null_is_free)
{
    xvm_span span;

    need_the_map();
    span = query(NULL);
    CHECK(span.base == NULL);
    CHECK_EQUAL(span.state, XVM_FREE);
    CHECK_EQUAL(span.protection, XVM_NO_ACCESS);
}

/* The hole ends where something begins, and begins where something ends. */
TEST(a_free_address_has_its_hole)
{
    xvm_region r = reserve_named(64 * 16, "asked");
    unsigned char *old = r.base;
    xvm_span span, above, below;

    need_the_map();
    CHECK(xvm_release(&r) == XVM_OK);
    span = query(old + 5 * page);
    CHECK_EQUAL(span.state, XVM_FREE);
    CHECK((unsigned char *)span.base <= old);
    CHECK((unsigned char *)span.base + span.size >= old + 64 * 16 * page);
    if (xvm_query((unsigned char *)span.base + span.size, &above) == XVM_OK)
        CHECK(above.state != XVM_FREE); /* else it goes up to the last address */
    below = query((unsigned char *)span.base - 1);
    CHECK(below.state != XVM_FREE);
}

TEST(no_process_has_the_last_address)
{
    xvm_span span;

    need_the_map();
    memset(&span, 0xee, sizeof span);
    CHECK_EQUAL(xvm_query((const void *)UINTPTR_MAX, &span), XVM_E_INVALID);
    CHECK(span.base == NULL && span.size == 0 && span.name == NULL && span.state == XVM_FREE);
}

static int count_spans(const xvm_span *span, void *context)
{
    (void)span;
    ++*(int *)context;
    return 0;
}

TEST(broken_arguments_are_refused)
{
    CHECK_EQUAL(xvm_query(NULL, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_walk(NULL, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
}

TEST(the_last_error_survives)
{
    xvm_region r = reserve_named(PAGES, "asked");
    int spans = 0;

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    set_last_error(17);
    (void)query(r.base);
    CHECK_EQUAL(get_last_error(), 17);
    CHECK(xvm_walk(count_spans, &spans) == XVM_OK);
    CHECK(spans > 0);
    CHECK_EQUAL(get_last_error(), 17);
    if (!memory_is_fake()) {
        (void)query((const void *)(uintptr_t)query);
        (void)query(NULL);
        CHECK_EQUAL(get_last_error(), 17);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_system_that_refuses_is_an_error)
{
    xvm_span span;

    need_the_map();
    CHECK(xvm_inject("query") == XVM_OK);
    CHECK_EQUAL(xvm_query((const void *)(uintptr_t)query, &span), XVM_E_SYSTEM);
    CHECK(span.base == NULL && span.size == 0);
    CHECK_EQUAL(xvm_walk(count_spans, NULL), XVM_E_SYSTEM);
    CHECK(xvm_inject(NULL) == XVM_OK);
}

/* --- the walk --------------------------------------------------------------------------------- */

typedef struct tour {
    uintptr_t at;
    size_t spans;
} tour;

static int check_order(const xvm_span *span, void *context)
{
    tour *t = context;

    CHECK((uintptr_t)span->base == t->at);
    CHECK(span->size != 0);
    CHECK((uintptr_t)span->base + span->size > (uintptr_t)span->base);
    CHECK(span->resident <= span->size && span->locked <= span->size);
    CHECK(span->protection >= XVM_NO_ACCESS && span->protection <= XVM_READ_WRITE_EXECUTE);
    CHECK(span->protection == XVM_NO_ACCESS || span->state == XVM_COMMITTED ||
          span->state == XVM_MAPPED);
    t->at += span->size;
    t->spans++;
    return 0;
}

TEST(a_walk_leaves_nothing_out)
{
    xvm_region r = reserve_named(PAGES, "asked");
    uintptr_t highest = xvm_system()->highest_address;
    tour t = {0, 0};

    CHECK(xvm_walk(check_order, &t) == XVM_OK);
    CHECK(t.spans > 2);
    CHECK(t.at > (uintptr_t)at(&r, PAGES - 1));
    CHECK(t.at - 1 >= highest || highest == UINTPTR_MAX);
    CHECK(xvm_release(&r) == XVM_OK);
}

static int end_at_second(const xvm_span *span, void *context)
{
    (void)span;
    return ++*(int *)context == 2;
}

TEST(a_visitor_may_end_the_walk)
{
    xvm_region r = reserve_named(PAGES, "asked");
    int spans = 0;

    CHECK(xvm_commit(&r, page, page) == XVM_OK);
    CHECK_EQUAL(xvm_walk(end_at_second, &spans), XVM_OK);
    CHECK_EQUAL(spans, 2);
    CHECK(xvm_release(&r) == XVM_OK);
}

typedef struct busy {
    tour t;
    xvm_region *r;
    size_t next;
} busy;

/* Commits a page of the region, and reserves and releases another, at each span. */
static int work_meanwhile(const xvm_span *span, void *context)
{
    busy *b = context;
    xvm_region other = reserve_named(3, "another");

    CHECK(xvm_commit(b->r, b->next++ % PAGES * page, page) == XVM_OK);
    if (b->next % PAGES == 0)
        CHECK(xvm_decommit(b->r, 0, b->r->size) == XVM_OK);
    (void)query(other.base);
    CHECK(xvm_release(&other) == XVM_OK);
    return check_order(span, &b->t);
}

TEST(a_visitor_may_call_xvm)
{
    xvm_region r = reserve_named(PAGES, "asked");
    busy b = {.r = &r};

    for (int i = 0; i < (memory_is_fake() ? 2 : 20); i++) {
        b.t = (tour){0, 0};
        CHECK(xvm_walk(work_meanwhile, &b) == XVM_OK);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- a model ---------------------------------------------------------------------------------- */

enum { REGIONS = 50, MOST = 64, ROUNDS = 1000, LOCKED = 8, GUARD = 16 };

typedef struct modelled {
    xvm_region r;
    char name;
    size_t pages, cursor;      /* cursor: in a walk, how many have been seen */
    unsigned char state[MOST]; /* 0, GUARD, or a protection, perhaps LOCKED */
} modelled;

typedef struct world {
    modelled regions[REGIONS];
    uint64_t seed;
    tour t;
} world;

static size_t pick(world *w, size_t below)
{
    return (size_t)(test_random(&w->seed) >> 20) % below;
}

static void begin(world *w, modelled *m)
{
    m->pages = 1 + pick(w, MOST);
    m->r = reserve_named(m->pages, &m->name);
    memset(m->state, 0, sizeof m->state);
}

static bool are_all(const modelled *m, size_t from, size_t to, int low)
{
    for (size_t i = from; i < to; i++)
        if (m->state[i] == GUARD || (m->state[i] & ~LOCKED) < low)
            return false;
    return true;
}

static void change(world *w, modelled *m)
{
    size_t from = pick(w, m->pages), to = from + 1 + pick(w, m->pages - from);
    size_t offset = from * page, size = (to - from) * page;
    int what = (int)pick(w, 7), protection = XVM_NO_ACCESS + (int)pick(w, 5);

    if (what <= 1) {
        CHECK(xvm_commit(&m->r, offset, size) == XVM_OK);
        for (size_t i = from; i < to; i++)
            if (m->state[i] == 0 || m->state[i] == GUARD)
                m->state[i] = XVM_READ_WRITE;
    } else if (what == 2) {
        CHECK(xvm_decommit(&m->r, offset, size) == XVM_OK);
        memset(m->state + from, 0, to - from);
    } else if (what == 3 && are_all(m, from, to, XVM_NO_ACCESS)) {
        CHECK(xvm_protect(&m->r, offset, size, (xvm_protection)protection) == XVM_OK);
        for (size_t i = from; i < to; i++)
            m->state[i] = (unsigned char)((m->state[i] & LOCKED) | protection);
    } else if (what == 4 && to - from <= 4 && are_all(m, from, to, XVM_READ)) {
        if (xvm_lock(&m->r, offset, size) == XVM_OK)
            for (size_t i = from; i < to; i++)
                m->state[i] |= LOCKED;
    } else if (what == 5) {
        CHECK(xvm_unlock(&m->r, offset, size) == XVM_OK);
        for (size_t i = from; i < to; i++)
            m->state[i] &= (unsigned char)~LOCKED;
    } else if (what == 6) {
        CHECK(xvm_guard(&m->r, offset, size) == XVM_OK);
        memset(m->state + from, GUARD, to - from);
    }
}

/* The span is the run of the model's that starts at its base. */
static void compare(const modelled *m, const xvm_span *span)
{
    size_t from = (size_t)((unsigned char *)span->base - (unsigned char *)m->r.base) / page, to;
    unsigned state = m->state[from];

    CHECK(from == 0 || m->state[from - 1] != state);
    for (to = from; to < m->pages && m->state[to] == state; to++)
        continue;
    CHECK_EQUAL(span->size, (to - from) * page);
    CHECK_EQUAL(span->state, state == 0       ? XVM_RESERVED
                             : state == GUARD ? XVM_GUARD
                                              : XVM_COMMITTED);
    CHECK_EQUAL(span->protection,
                span->state == XVM_COMMITTED ? state & ~(unsigned)LOCKED : XVM_NO_ACCESS);
    CHECK_EQUAL(span->locked, (state & LOCKED) != 0 ? span->size : 0);
    CHECK(span->name == &m->name);
}

static int compare_next(const xvm_span *span, void *context)
{
    world *w = context;

    for (size_t i = 0; i < REGIONS; i++) {
        modelled *m = &w->regions[i];

        if (span->name != &m->name)
            continue;
        CHECK(span->base == at(&m->r, m->cursor));
        compare(m, span);
        m->cursor += span->size / page;
    }
    return check_order(span, &w->t);
}

static void compare_walk(world *w)
{
    w->t = (tour){0, 0};
    for (size_t i = 0; i < REGIONS; i++)
        w->regions[i].cursor = 0;
    CHECK(xvm_walk(compare_next, w) == XVM_OK);
    for (size_t i = 0; i < REGIONS; i++)
        CHECK_EQUAL(w->regions[i].cursor, w->regions[i].pages);
}

static void play(world *w, uint64_t seed)
{
    printf("seed %llu\n", (unsigned long long)seed);
    w->seed = seed;
    for (size_t i = 0; i < REGIONS; i++)
        begin(w, &w->regions[i]);
    for (int round = 0; round < ROUNDS; round++) {
        modelled *m = &w->regions[pick(w, REGIONS)];
        xvm_span span;

        if (pick(w, 20) == 0) {
            CHECK(xvm_release(&m->r) == XVM_OK);
            begin(w, m);
        }
        change(w, m);
        span = query(at(&m->r, pick(w, m->pages)));
        compare(m, &span);
        if (round % 50 == 0)
            compare_walk(w);
    }
    compare_walk(w);
    for (size_t i = 0; i < REGIONS; i++)
        CHECK(xvm_release(&w->regions[i].r) == XVM_OK);
}

TEST(spans_are_what_a_model_says)
{
    static world w;

    for (uint64_t seed = 1; seed <= 4; seed++)
        play(&w, seed * 7919);
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 8, TURNS = 300 };

static uintptr_t places[THREADS]; /* where the regions are, or have been */

/* The fake has one thread, and fills what it reserves. */
static int turns(void)
{
    return memory_is_fake() ? 10 : TURNS;
}

static void come_and_go(int index)
{
    uint64_t seed = (uint64_t)index + 99;

    for (int turn = 0; turn < turns(); turn++) {
        size_t pages = 1 + (size_t)(test_random(&seed) % 700);
        xvm_region r = {0};

        CHECK(xvm_reserve(&r, pages * xvm_page_size(), &(xvm_reserve_options){.name = "thread"}) ==
              XVM_OK);
        __atomic_store_n(&places[index], (uintptr_t)r.base, __ATOMIC_RELAXED);
        for (int i = 0; i < 5; i++) {
            size_t offset = (size_t)(test_random(&seed) % r.size);

            CHECK(xvm_commit(&r, offset, 1) == XVM_OK);
            if (i == 3)
                CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
        }
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

static void look_around(int index)
{
    uint64_t seed = (uint64_t)index + 77;

    for (int turn = 0; turn < turns(); turn++) {
        tour t = {0, 0};
        xvm_span span;

        for (int i = 0; i < 30; i++) {
            uintptr_t place =
                __atomic_load_n(&places[test_random(&seed) % THREADS], __ATOMIC_RELAXED);
            uintptr_t address = place + (size_t)(test_random(&seed) % 100000);

            if (place != 0 && xvm_query((const void *)address, &span) == XVM_OK)
                CHECK(address - (uintptr_t)span.base < span.size);
            else
                CHECK(place == 0 || memory_is_fake());
        }
        if (turn % 10 == 0)
            CHECK(xvm_walk(check_order, &t) == XVM_OK);
    }
}

static void work(void *context, int index)
{
    (void)context;
    if (index % 2 == 0)
        come_and_go(index);
    else
        look_around(index);
}

TEST(regions_come_and_go_while_others_look)
{
    run_threads(THREADS, work, NULL);
}

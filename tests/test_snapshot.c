/* test_snapshot.c - snapshots of a region: bytes and states as they were, and what a refusal leaves. */
#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 96 };

static size_t page;

typedef struct field {
    xvm_region region;
    xvm_snapshots *snapshots;
} field;

static unsigned char *at(const field *f, size_t i)
{
    return (unsigned char *)f->region.base + i * page;
}

static void begin_with(field *f, size_t pages, const xvm_reserve_options *reserve,
                       const xvm_snapshots_options *options)
{
    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&f->region, pages * page, reserve), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_create(&f->snapshots, &f->region, options), XVM_OK);
}

static xvm_watch_method method; /* of the cases below; none: the best */

static void begin(field *f)
{
    begin_with(f, PAGES, NULL, &(xvm_snapshots_options){.method = method});
}

/* Pages are opened by a fault handler, which the system must not refuse for ever. */
static bool is_by_protection(const field *f)
{
    xvm_watch_info info;

    xvm_watch_look(&f->region, &info);
    return info.method == XVM_WATCH_PROTECT;
}

static void end(field *f)
{
    xvm_snapshots_destroy(f->snapshots);
    CHECK_EQUAL(xvm_release(&f->region), XVM_OK);
}

static uint64_t take(field *f)
{
    uint64_t id;

    CHECK_EQUAL(xvm_snapshots_take(f->snapshots, &id), XVM_OK);
    CHECK(id != 0);
    return id;
}

static xvm_snapshots_use use_of(const field *f)
{
    xvm_snapshots_use use;

    xvm_snapshots_usage(f->snapshots, &use);
    return use;
}

static void fill(field *f, size_t i, int value)
{
    memset(at(f, i), value, page);
}

static bool is_filled(const field *f, size_t i, int value)
{
    for (size_t k = 0; k < page; k++)
        if (at(f, i)[k] != (unsigned char)value)
            return false;
    return true;
}

static xvm_run run_at(const field *f, size_t i)
{
    xvm_run run;

    CHECK_EQUAL(xvm_region_run(&f->region, i * page, &run), XVM_OK);
    return run;
}

/* --- one thing at a time ---------------------------------------------------------------------- */

TEST(bytes_come_back)
{
    field f;
    uint64_t first, second;

    begin(&f);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 8 * page), XVM_OK);
    fill(&f, 1, 11);
    fill(&f, 2, 12);
    first = take(&f);
    fill(&f, 2, 22);
    fill(&f, 5, 25);
    second = take(&f);
    fill(&f, 1, 31);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, first), XVM_OK);
    CHECK(is_filled(&f, 0, 0) && is_filled(&f, 1, 11) && is_filled(&f, 2, 12) &&
          is_filled(&f, 5, 0));
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, second), XVM_OK);
    CHECK(is_filled(&f, 1, 11) && is_filled(&f, 2, 22) && is_filled(&f, 5, 25));
    CHECK_EQUAL(use_of(&f).at, second);
    CHECK_EQUAL(use_of(&f).count, 2);
    CHECK_EQUAL(use_of(&f).bytes, 4 * page); /* 11, 12, 22, 25 */
    end(&f);
}

TEST(states_come_back)
{
    field f;
    uint64_t id;

    begin(&f);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 8 * page), XVM_OK);
    CHECK_EQUAL(xvm_guard(&f.region, 3 * page, page), XVM_OK);
    fill(&f, 1, 1);
    fill(&f, 6, 6);
    id = take(&f);
    CHECK_EQUAL(xvm_decommit(&f.region, 6 * page, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&f.region, 3 * page, page), XVM_OK);
    fill(&f, 3, 3);
    CHECK_EQUAL(xvm_commit(&f.region, 20 * page, 2 * page), XVM_OK);
    fill(&f, 20, 20);
    CHECK_EQUAL(xvm_guard(&f.region, page, page), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK_EQUAL(run_at(&f, 3).state, XVM_GUARD);
    CHECK_EQUAL(run_at(&f, 20).state, XVM_RESERVED);
    CHECK(faults_on_read(at(&f, 3)) && faults_on_read(at(&f, 20)));
    CHECK(is_filled(&f, 1, 1) && is_filled(&f, 6, 6) && is_filled(&f, 7, 0));
    CHECK_EQUAL(xvm_commit(&f.region, 20 * page, page), XVM_OK);
    CHECK(is_filled(&f, 20, 0));
    end(&f);
}

TEST(a_part_of_a_region_leaves_the_rest_alone)
{
    field f;
    uint64_t id;

    page = xvm_page_size();
    begin_with(&f, PAGES, NULL, &(xvm_snapshots_options){.offset = 8 * page, .size = 8 * page});
    CHECK_EQUAL(xvm_commit(&f.region, 0, 32 * page), XVM_OK);
    fill(&f, 7, 7);
    fill(&f, 8, 8);
    fill(&f, 15, 15);
    fill(&f, 16, 16);
    id = take(&f);
    for (size_t i = 7; i < 17; i++)
        fill(&f, i, 99);
    CHECK_EQUAL(xvm_decommit(&f.region, 20 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK(is_filled(&f, 7, 99) && is_filled(&f, 8, 8) && is_filled(&f, 9, 0));
    CHECK(is_filled(&f, 15, 15) && is_filled(&f, 16, 99));
    CHECK_EQUAL(run_at(&f, 20).state, XVM_RESERVED);
    end(&f);
}

TEST(what_is_there_before_is_in_the_first_snapshot)
{
    field f;
    uint64_t id;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&f.region, PAGES * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 4 * page), XVM_OK);
    fill(&f, 1, 1);
    CHECK_EQUAL(xvm_snapshots_create(&f.snapshots, &f.region, NULL), XVM_OK);
    fill(&f, 2, 2);
    id = take(&f);
    fill(&f, 1, 3);
    fill(&f, 2, 3);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK(is_filled(&f, 1, 1) && is_filled(&f, 2, 2));
    end(&f);
}

TEST(prepared_pages_are_not_copied_again)
{
    field f;
    uint64_t id;
    size_t left = 1;

    begin(&f);
    CHECK_EQUAL(xvm_commit(&f.region, 0, PAGES * page), XVM_OK);
    xvm_snapshots_destroy(f.snapshots);
    for (size_t i = 0; i < PAGES; i += 2)
        fill(&f, i, 5);
    CHECK_EQUAL(xvm_snapshots_create(&f.snapshots, &f.region, NULL), XVM_OK);
    for (unsigned calls = 0; left != 0; calls++) {
        CHECK_EQUAL(xvm_snapshots_prepare(f.snapshots, 10 * page, &left), XVM_OK);
        CHECK_EQUAL(left, calls < 9 ? (PAGES - 10 * (calls + 1)) * page : 0);
    }
    fill(&f, 3, 9);
    fill(&f, 4, 9);
    id = take(&f);
    CHECK_EQUAL(use_of(&f).last, 2 * page);
    for (size_t i = 0; i < PAGES; i++)
        fill(&f, i, 77);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        CHECK(is_filled(&f, i, i == 3 || i == 4 ? 9 : i % 2 == 0 ? 5 : 0));
    CHECK_EQUAL(xvm_snapshots_prepare(f.snapshots, page, &left), XVM_OK);
    CHECK_EQUAL(left, 0);
    end(&f);
}

/* Five snapshots, each with a value of its own in page 0, and the same page written in each in 1 .. 5. */
static void take_five(field *f, uint64_t ids[5])
{
    begin(f);
    CHECK_EQUAL(xvm_commit(&f->region, 0, 16 * page), XVM_OK);
    for (size_t i = 0; i < 5; i++) {
        fill(f, 0, (int)(i + 1));
        fill(f, i + 1, 40 + (int)i);
        ids[i] = take(f);
    }
}

static void check_nth(field *f, const uint64_t *ids, size_t n)
{
    CHECK_EQUAL(xvm_snapshots_restore(f->snapshots, ids[n]), XVM_OK);
    CHECK(is_filled(f, 0, (int)n + 1));
    for (size_t i = 0; i < 5; i++)
        CHECK(is_filled(f, i + 1, i <= n ? 40 + (int)i : 0));
}

TEST(any_snapshot_can_be_dropped)
{
    uint64_t ids[5];
    field f;

    for (size_t gone = 0; gone < 5; gone++)
        for (size_t here = 0; here < 5; here++) {
            take_five(&f, ids);
            check_nth(&f, ids, here);
            CHECK_EQUAL(xvm_snapshots_drop(f.snapshots, ids[gone]), XVM_OK);
            CHECK_EQUAL(xvm_snapshots_drop(f.snapshots, ids[gone]), XVM_E_NOT_FOUND);
            CHECK(is_filled(&f, 0, (int)here + 1)); /* the region stays */
            for (size_t i = 0; i < 5; i++)
                if (i != gone)
                    check_nth(&f, ids, i);
            end(&f);
        }
}

TEST(a_take_after_a_restore_is_what_was_restored)
{
    uint64_t ids[5], again;
    field f;

    take_five(&f, ids);
    check_nth(&f, ids, 1);
    fill(&f, 9, 9);
    again = take(&f);
    check_nth(&f, ids, 4);
    CHECK(is_filled(&f, 9, 0));
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, again), XVM_OK);
    CHECK(is_filled(&f, 0, 2) && is_filled(&f, 3, 0) && is_filled(&f, 9, 9));
    check_nth(&f, ids, 0);
    end(&f);
}

TEST(a_rewind_forgets_what_came_after)
{
    uint64_t ids[5];
    field f;

    take_five(&f, ids);
    CHECK_EQUAL(xvm_snapshots_rewind(f.snapshots, ids[2]), XVM_OK);
    CHECK(is_filled(&f, 0, 3) && is_filled(&f, 4, 0));
    CHECK_EQUAL(use_of(&f).newest, ids[2]);
    CHECK_EQUAL(use_of(&f).count, 3);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[3]), XVM_E_NOT_FOUND);
    check_nth(&f, ids, 0);
    check_nth(&f, ids, 2);
    CHECK(take(&f) > ids[4]); /* no number is used twice */
    end(&f);
}

TEST(what_a_restore_writes_is_no_change)
{
    uint64_t ids[5];
    field f;

    take_five(&f, ids);
    for (size_t i = 0; i < 5; i++) {
        fill(&f, 7, 7);
        CHECK_EQUAL(xvm_decommit(&f.region, 3 * page, page), XVM_OK);
        check_nth(&f, ids, i % 2 != 0 ? 4 : i);
    }
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[4]), XVM_OK);
    (void)take(&f);
    CHECK_EQUAL(use_of(&f).last, 0);
    end(&f);
}

/* --- limits ----------------------------------------------------------------------------------- */

TEST(above_the_count_the_oldest_goes)
{
    uint64_t ids[6];
    field f;

    begin_with(&f, PAGES, NULL, &(xvm_snapshots_options){.max_count = 3});
    CHECK_EQUAL(xvm_commit(&f.region, 0, 16 * page), XVM_OK);
    for (size_t i = 0; i < 6; i++) {
        fill(&f, i, (int)i + 1);
        ids[i] = take(&f);
        CHECK_EQUAL(use_of(&f).count, i < 3 ? i + 1 : 3);
        CHECK_EQUAL(use_of(&f).oldest, ids[i < 3 ? 0 : i - 2]);
    }
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[2]), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[3]), XVM_OK);
    CHECK(is_filled(&f, 3, 4) && is_filled(&f, 4, 0));
    end(&f);
}

TEST(above_the_bytes_the_oldest_go)
{
    uint64_t ids[4], id = 1;
    field f;

    page = xvm_page_size();
    begin_with(&f, PAGES, NULL, &(xvm_snapshots_options){.max_bytes = 10 * page});
    CHECK_EQUAL(xvm_commit(&f.region, 0, 16 * page), XVM_OK);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++)
            fill(&f, k, (int)(10 * i + k + 1));
        ids[i] = take(&f);
        CHECK(use_of(&f).bytes <= 10 * page);
    }
    CHECK_EQUAL(use_of(&f).count, 2);
    CHECK_EQUAL(use_of(&f).oldest, ids[2]);
    for (size_t k = 0; k < 11; k++) /* more than all that there may be */
        fill(&f, k, 100);
    CHECK_EQUAL(xvm_snapshots_take(f.snapshots, &id), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(id, 0);
    CHECK_EQUAL(use_of(&f).count, 2);
    CHECK(is_filled(&f, 10, 100));
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[2]), XVM_OK);
    CHECK(is_filled(&f, 0, 21) && is_filled(&f, 3, 24) && is_filled(&f, 10, 0));
    for (size_t k = 0; k < 10; k++) /* just all of it */
        fill(&f, k, 100);
    id = take(&f);
    CHECK_EQUAL(use_of(&f).count, 1);
    fill(&f, 0, 1);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK(is_filled(&f, 0, 100) && is_filled(&f, 9, 100));
    end(&f);
}

/* 4 MiB of pages, eight snapshots with 5 % of other pages: what is held is the base, what was written, and one
 * hundredth. */
TEST(memory_is_the_base_and_what_was_written)
{
    enum { MANY = 8192 };
    size_t written = MANY;
    field f;

    begin_with(&f, MANY, NULL, &(xvm_snapshots_options){.max_count = 8});
    CHECK_EQUAL(xvm_commit(&f.region, 0, MANY * page), XVM_OK);
    for (size_t i = 0; i < MANY; i++)
        at(&f, i)[i % page] = 1;
    (void)take(&f);
    for (unsigned round = 0; round < 40; round++) {
        for (size_t i = round; i < MANY; i += 20)
            at(&f, i)[7]++;
        (void)take(&f);
        if (round < 7)
            written += MANY / 20 + 1;
        CHECK(use_of(&f).bytes <= written * page);
        CHECK(use_of(&f).committed <= written * page + written * page / 100);
    }
    end(&f);
}

TEST(zero_pages_cost_nothing)
{
    field f;

    begin(&f);
    CHECK_EQUAL(xvm_commit(&f.region, 0, PAGES * page), XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        fill(&f, i, 0);
    (void)take(&f);
    CHECK_EQUAL(use_of(&f).bytes, 0);
    CHECK(use_of(&f).committed < PAGES / 4 * page);
    end(&f);
}

TEST(zero_pages_drop_nobody)
{
    field f;

    if (!zeroing_goes_on_after_faults())
        SKIP("this emulator leaves out bytes of a zeroing store that faults (DC ZVA)");
    page = xvm_page_size();
    begin_with(&f, PAGES, NULL, &(xvm_snapshots_options){.max_bytes = 10 * page});
    CHECK_EQUAL(xvm_commit(&f.region, 0, 32 * page), XVM_OK);
    for (size_t i = 0; i < 8; i++)
        fill(&f, i, 1);
    (void)take(&f);
    fill(&f, 0, 2);
    (void)take(&f);
    for (size_t i = 8; i < 10; i++) /* as copies they would need one slot more than is free */
        fill(&f, i, 0);
    (void)take(&f);
    CHECK_EQUAL(use_of(&f).count, 3);
    CHECK_EQUAL(use_of(&f).bytes, 9 * page);
    end(&f);
}

TEST(trimmed_memory_is_given_back)
{
    uint64_t ids[5];
    xvm_snapshots_use before;
    field f;

    take_five(&f, ids);
    before = use_of(&f);
    for (size_t i = 0; i < 5; i++)
        if (i != 1)
            CHECK_EQUAL(xvm_snapshots_drop(f.snapshots, ids[i]), XVM_OK);
    (void)xvm_snapshots_trim(f.snapshots);
    CHECK(use_of(&f).bytes < before.bytes);
    check_nth(&f, ids, 1);
    CHECK_EQUAL(xvm_snapshots_drop(f.snapshots, ids[1]), XVM_OK);
    (void)xvm_snapshots_trim(f.snapshots);
    CHECK_EQUAL(use_of(&f).bytes, 0);
    ids[0] = take(&f);
    fill(&f, 0, 99);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[0]), XVM_OK);
    CHECK(is_filled(&f, 0, 2));
    CHECK_EQUAL(xvm_snapshots_trim(NULL), 0);
    end(&f);
}

TEST(a_budget_is_charged_and_has_it_back)
{
    xvm_budget budget;
    uint64_t id;
    field f;

    CHECK_EQUAL(xvm_budget_init(&budget, "snapshots", NULL, SIZE_MAX), XVM_OK);
    begin_with(&f, PAGES, NULL, &(xvm_snapshots_options){.budget = &budget});
    CHECK_EQUAL(xvm_commit(&f.region, 0, PAGES * page), XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        fill(&f, i, 1);
    id = take(&f);
    CHECK_EQUAL(budget.used, use_of(&f).committed);
    xvm_budget_set_limit(&budget, budget.used);
    for (size_t i = 0; i < PAGES; i++)
        fill(&f, i, 2);
    CHECK_EQUAL(xvm_snapshots_take(f.snapshots, &id), XVM_E_BUDGET);
    CHECK_EQUAL(use_of(&f).count, 1);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, use_of(&f).oldest), XVM_OK);
    CHECK(is_filled(&f, 0, 1) && is_filled(&f, PAGES - 1, 1));
    end(&f);
    CHECK_EQUAL(budget.used, 0);
}

/* --- refusals --------------------------------------------------------------------------------- */

TEST(broken_arguments_are_invalid)
{
    xvm_snapshots *s = (xvm_snapshots *)8;
    xvm_snapshots_use use;
    xvm_region none = {0};
    uint64_t id = 9;
    field f;

    begin(&f);
    CHECK_EQUAL(xvm_snapshots_create(NULL, &f.region, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_create(&s, NULL, NULL), XVM_E_INVALID);
    CHECK(s == NULL);
    CHECK_EQUAL(xvm_snapshots_create(&s, &none, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_create(&s, &f.region, NULL), XVM_E_EXISTS);
    CHECK_EQUAL(
        xvm_snapshots_create(&s, &f.region, &(xvm_snapshots_options){.offset = f.region.size}),
        XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_create(&s, &f.region, &(xvm_snapshots_options){.offset = 1}),
                XVM_E_INVALID);
    CHECK_EQUAL(
        xvm_snapshots_create(&s, &f.region, &(xvm_snapshots_options){.size = f.region.size + page}),
        XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_create(&s, &f.region, &(xvm_snapshots_options){.max_bytes = 1}),
                XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_create(&s, &f.region, &(xvm_snapshots_options){.max_count = 65537}),
                XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_take(NULL, &id), XVM_E_INVALID);
    CHECK_EQUAL(id, 0);
    CHECK_EQUAL(xvm_snapshots_take(f.snapshots, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_restore(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, 0), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_snapshots_rewind(f.snapshots, 1), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_last_status(), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_snapshots_drop(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_prepare(f.snapshots, page - 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_prepare(NULL, page, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_snapshots_save(f.snapshots, 1, NULL), XVM_E_INVALID);
    xvm_snapshots_usage(NULL, &use);
    CHECK_EQUAL(use.committed, 0);
    xvm_snapshots_destroy(NULL);
    end(&f);
}

TEST(closed_pages_are_refused_and_nothing_is_changed)
{
    uint64_t ids[5], id;
    field f;

    take_five(&f, ids);
    fill(&f, 2, 99);
    fill(&f, 3, 98);
    CHECK_EQUAL(xvm_protect(&f.region, 2 * page, page, XVM_NO_ACCESS), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_take(f.snapshots, &id), XVM_E_PERMISSION);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[4]), XVM_E_PERMISSION);
    CHECK_EQUAL(xvm_protect(&f.region, 2 * page, page, XVM_READ), XVM_OK);
    CHECK(is_filled(&f, 2, 99) && is_filled(&f, 3, 98));
    CHECK_EQUAL(xvm_snapshots_rewind(f.snapshots, ids[4]), XVM_E_PERMISSION);
    CHECK_EQUAL(use_of(&f).count, 5);
    id = take(&f); /* to read it is enough */
    CHECK_EQUAL(xvm_protect(&f.region, 2 * page, page, XVM_READ_WRITE), XVM_OK);
    check_nth(&f, ids, 4);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK(is_filled(&f, 2, 99) && is_filled(&f, 3, 98));
    end(&f);
}

TEST(protections_stay_as_they_are)
{
    uint64_t ids[5];
    field f;

    take_five(&f, ids);
    CHECK_EQUAL(xvm_protect(&f.region, 8 * page, 2 * page, XVM_READ), XVM_OK);
    CHECK_EQUAL(xvm_protect(&f.region, 10 * page, page, XVM_NO_ACCESS), XVM_OK);
    fill(&f, 0, 7);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[4]), XVM_OK);
    CHECK_EQUAL(run_at(&f, 8).protection, XVM_READ);
    CHECK_EQUAL(run_at(&f, 10).protection, XVM_NO_ACCESS);
    CHECK(faults_on_write(at(&f, 8)));
    fill(&f, 0, 8);
    end(&f);
}

TEST(the_last_error_survives)
{
    uint64_t ids[5];
    field f;

    set_last_error(77);
    take_five(&f, ids);
    CHECK_EQUAL(xvm_decommit(&f.region, 3 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_rewind(f.snapshots, ids[2]), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_drop(f.snapshots, ids[0]), XVM_OK);
    (void)xvm_snapshots_trim(f.snapshots);
    CHECK_EQUAL(get_last_error(), 77);
    end(&f);
    CHECK_EQUAL(get_last_error(), 77);
}

/* --- every system call refused once ------------------------------------------------------------ */

/* The live region of take_five with other pages and states, as bytes and as a row of states. */
static void disturb(field *f)
{
    fill(f, 0, 90);
    fill(f, 12, 91);
    CHECK_EQUAL(xvm_decommit(&f->region, 2 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_guard(&f->region, 4 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&f->region, 30 * page, 2 * page), XVM_OK);
    fill(f, 31, 92);
}

static void check_disturbed(const field *f)
{
    CHECK(is_filled(f, 0, 90) && is_filled(f, 12, 91) && is_filled(f, 31, 92));
    CHECK(is_filled(f, 1, 40) && is_filled(f, 3, 42) && is_filled(f, 30, 0));
    CHECK_EQUAL(run_at(f, 30).state, XVM_COMMITTED);
}

/* What was given and could not be taken away again is zero. */
static void check_undone(const field *f, bool once)
{
    CHECK(run_at(f, 2).state == XVM_RESERVED || (!once && is_filled(f, 2, 0)));
    CHECK(run_at(f, 4).state == XVM_GUARD || (!once && is_filled(f, 4, 0)));
}

/* False: the script refused nothing. */
static bool take_against(const char *script)
{
    xvm_snapshots_use before, after;
    uint64_t ids[5], id;
    size_t refused;
    xvm_status status;
    field f;

    take_five(&f, ids);
    disturb(&f);
    before = use_of(&f);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    status = xvm_snapshots_take(f.snapshots, &id);
    refused = xvm_injected();
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    check_disturbed(&f);
    check_undone(&f, true);
    after = use_of(&f);
    if (status != XVM_OK) {
        CHECK_EQUAL(id, 0);
        CHECK(after.count == before.count && after.bytes == before.bytes && after.at == before.at);
        id = take(&f);
    }
    for (size_t i = 0; i < 5; i++)
        check_nth(&f, ids, i);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    check_disturbed(&f);
    end(&f);
    return refused != 0;
}

static bool go_back_against(const char *script, bool rewinds)
{
    uint64_t ids[5], id;
    size_t refused;
    xvm_status status;
    field f;

    take_five(&f, ids);
    disturb(&f);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    status = rewinds ? xvm_snapshots_rewind(f.snapshots, ids[3])
                     : xvm_snapshots_restore(f.snapshots, ids[3]);
    refused = xvm_injected();
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    if (status != XVM_OK) {
        check_disturbed(&f);
        check_undone(&f, refused == 1);
        CHECK_EQUAL(use_of(&f).count, 5);
        id = take(&f);
        CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
        check_disturbed(&f);
        CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, ids[3]), XVM_OK);
    }
    CHECK(is_filled(&f, 0, 4) && is_filled(&f, 4, 43) && is_filled(&f, 12, 0));
    CHECK(run_at(&f, 30).state == XVM_RESERVED || is_filled(&f, 31, 0));
    for (size_t i = 0; i < (status == XVM_OK && rewinds ? 4 : 5); i++)
        check_nth(&f, ids, i);
    end(&f);
    return refused != 0;
}

static bool restore_against(const char *script)
{
    return go_back_against(script, false);
}

static bool rewind_against(const char *script)
{
    return go_back_against(script, true);
}

static bool begin_against(const char *script)
{
    holdings before, after;
    size_t refused, left;
    uint64_t id;
    field f = {0};
    xvm_status status;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&f.region, PAGES * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 16 * page), XVM_OK);
    for (size_t i = 0; i < 16; i++)
        fill(&f, i, 1);
    look_at_process(&before);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    status = xvm_snapshots_create(&f.snapshots, &f.region, NULL);
    if (status == XVM_OK)
        status = xvm_snapshots_prepare(f.snapshots, 9 * page, &left);
    refused = xvm_injected();
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    if (f.snapshots == NULL) {
        look_at_process(&after);
        if (refused == 1)
            CHECK(after.addresses == before.addresses || memory_is_emulated());
        else /* a watch whose end was refused goes on */
            CHECK_EQUAL(xvm_watch_stop(&f.region), XVM_OK);
        CHECK_EQUAL(xvm_snapshots_create(&f.snapshots, &f.region, NULL), XVM_OK);
    }
    id = take(&f);
    fill(&f, 3, 3);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
    CHECK(is_filled(&f, 3, 1));
    end(&f);
    return refused != 0;
}

static void refuse_each(bool (*against)(const char *script), const char *kind)
{
    char script[32];
    bool refused = true;

    for (unsigned n = 1; refused; n++) {
        snprintf(script, sizeof script, kind, n);
        refused = against(script);
    }
}

TEST(a_refused_call_changes_nothing)
{
    static const char *const kinds[] = {"*@%u", "*@%u+"};
    field f;
    bool closes;

    (void)begin_against("*@99999"); /* what is made only once in a process is made now */
    begin(&f);
    closes = is_by_protection(&f);
    end(&f);
    for (unsigned kind = 0; kind < 2; kind++) {
        refuse_each(begin_against, kinds[kind]);
        refuse_each(take_against, kinds[kind]);
        if (kind != 0 && closes)
            continue;
        refuse_each(restore_against, kinds[kind]);
        refuse_each(rewind_against, kinds[kind]);
    }
}

TEST(a_refused_call_changes_nothing_by_protection)
{
    method = XVM_WATCH_PROTECT;
    refuse_each(take_against, "*@%u");
    refuse_each(restore_against, "*@%u");
    refuse_each(rewind_against, "*@%u");
    method = XVM_WATCH_NONE;
}

TEST(snapshots_by_protection)
{
    uint64_t ids[5];
    field f;

    method = XVM_WATCH_PROTECT;
    take_five(&f, ids);
    for (size_t i = 0; i < 25; i++)
        check_nth(&f, ids, i * 3 % 5);
    end(&f);
    method = XVM_WATCH_NONE;
}

/* --- what lives in a region -------------------------------------------------------------------- */

typedef struct node {
    struct node *next;
    unsigned value;
} node;

static node *push(xvm_heap *heap, node *list, unsigned value)
{
    node *n = xvm_heap_alloc(heap, sizeof *n + value % 700);

    CHECK(n != NULL);
    n->next = list;
    n->value = value;
    return n;
}

static unsigned sum_of(const node *list)
{
    unsigned sum = 0;

    for (; list != NULL; list = list->next)
        sum = sum * 31 + list->value;
    return sum;
}

TEST(a_heap_is_rewound_with_its_pointers)
{
    enum { MiB = 1 << 20 };
    node *list = NULL, *old;
    xvm_heap *heap, *other;
    unsigned sum;
    uint64_t id;
    field f;

    begin_with(&f, 64 * (size_t)MiB / xvm_page_size(), NULL, NULL);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &f.region, NULL), XVM_OK);
    for (unsigned i = 0; i < 3000; i++)
        list = push(heap, list, i);
    old = list;
    sum = sum_of(list);
    id = take(&f);
    CHECK_EQUAL(xvm_heap_create(&other, NULL), XVM_OK); /* its neighbour in the process's list */
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3000; i++)
            list = push(heap, list, i * round);
        for (unsigned i = 0; i < 4000; i++) {
            node *next = list->next;

            xvm_heap_free(heap, list);
            list = next;
        }
        if (round == 2)
            xvm_heap_destroy(other);
        CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        list = old;
        CHECK_EQUAL(sum_of(list), sum);
    }
    for (; list != NULL; list = old) {
        old = list->next;
        xvm_heap_free(heap, list);
    }
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_snapshots_destroy(f.snapshots);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(xvm_release(&f.region), XVM_OK);
}

/* The arena itself lies at the start of the region, its blocks behind it. */
typedef struct world {
    xvm_arena arena;
    unsigned *last;
    unsigned count;
} world;

static void grow_world(world *w, unsigned count)
{
    while (count-- != 0) {
        w->last = xvm_arena_alloc(&w->arena, 1000, 0);
        CHECK(w->last != NULL);
        *w->last = w->count++;
    }
}

TEST(an_arena_is_rewound_with_its_handle)
{
    xvm_arena_options options = {0};
    uint64_t id;
    world *w;
    field f;

    begin_with(&f, 4096, NULL, NULL);
    CHECK_EQUAL(xvm_commit(&f.region, 0, sizeof *w), XVM_OK);
    w = f.region.base;
    options.growth = (xvm_growth_options){.region = &f.region, .offset = page};
    CHECK_EQUAL(xvm_arena_create(&w->arena, 1000 * page, &options), XVM_OK);
    grow_world(w, 100);
    id = take(&f);
    for (unsigned round = 0; round < 4; round++) {
        grow_world(w, 700);
        CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, id), XVM_OK);
        CHECK_EQUAL(w->count, 100);
        CHECK_EQUAL(*w->last, 99);
    }
    grow_world(w, 900);
    CHECK_EQUAL(*w->last, 999);
    end(&f);
}

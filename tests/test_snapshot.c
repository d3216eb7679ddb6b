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

static void begin(field *f)
{
    begin_with(f, PAGES, NULL, NULL);
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

/* test_guard.c - guards, and regions that are committed page by page. */
#include "harness.h"
#include "xvm/xvm.h"

static size_t page;

static xvm_region reserve_pages(size_t pages, const xvm_reserve_options *options)
{
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, pages * page, options), XVM_OK);
    return r;
}

/* All committed, each byte the number of its page + 1. */
static xvm_region fill_pages(size_t pages, const xvm_reserve_options *options)
{
    xvm_region r = reserve_pages(pages, options);

    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    for (size_t i = 0; i < pages; i++)
        memset((unsigned char *)r.base + i * page, (int)i + 1, page);
    return r;
}

static unsigned char *page_at(const xvm_region *r, size_t i)
{
    return (unsigned char *)r->base + i * page;
}

static bool is_all(const xvm_region *r, size_t i, int value)
{
    for (size_t at = 0; at < page; at++)
        if (page_at(r, i)[at] != value)
            return false;
    return true;
}

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

/* Both ways to commit, as far as the system tells them apart. */
static const xvm_reserve_options modes[] = {
    {.commit_mode = XVM_COMMIT_CHARGED},
    {.commit_mode = XVM_COMMIT_SPARSE},
    {.name = "guarded", .dump = XVM_DUMP_NEVER},
};
enum { MODES = sizeof modes / sizeof *modes };

/* Where a sparse region is coarse a touch of what is not committed may go unnoticed. */
static bool shows_touch(const xvm_reserve_options *options)
{
    return options->commit_mode == XVM_COMMIT_CHARGED ||
           (xvm_system()->features & XVM_HAS_FINE_SPARSE) != 0;
}

/* --- guards ----------------------------------------------------------------------------------- */

TEST(a_guard_faults_and_its_neighbours_do_not)
{
    for (int m = 0; m < MODES; m++) {
        xvm_region r = fill_pages(9, &modes[m]);

        CHECK_EQUAL(xvm_guard(&r, 3 * page, 2 * page), XVM_OK);
        if (shows_touch(&modes[m]))
            for (size_t i = 3; i < 5; i++)
                CHECK(faults_on_read(page_at(&r, i)) && faults_on_write(page_at(&r, i)));
        CHECK(is_all(&r, 2, 3) && is_all(&r, 5, 6));
        CHECK_EQUAL(usage_of(&r).guarded, 2 * page);
        CHECK_EQUAL(usage_of(&r).committed, 7 * page);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(what_was_guarded_is_zero_when_it_is_committed_again)
{
    for (int m = 0; m < MODES; m++) {
        xvm_region r = fill_pages(9, &modes[m]);

        CHECK_EQUAL(xvm_guard(&r, 3 * page, 3 * page), XVM_OK);
        CHECK_EQUAL(xvm_commit(&r, 4 * page, 1), XVM_OK);
        CHECK(is_all(&r, 4, 0));
        memset(page_at(&r, 4), 7, page);
        CHECK(!shows_touch(&modes[m]) || faults_on_read(page_at(&r, 3)));
        CHECK_EQUAL(usage_of(&r).guarded, 2 * page);
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        CHECK(is_all(&r, 3, 0) && is_all(&r, 4, 7) && is_all(&r, 5, 0) && is_all(&r, 6, 7));
        CHECK_EQUAL(usage_of(&r).guarded, 0);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(a_decommit_ends_guards)
{
    for (int m = 0; m < MODES; m++) {
        xvm_region r = fill_pages(9, &modes[m]);

        CHECK_EQUAL(xvm_guard(&r, 3 * page, 3 * page), XVM_OK);
        CHECK_EQUAL(xvm_decommit(&r, 4 * page, page), XVM_OK);
        CHECK_EQUAL(usage_of(&r).guarded, 2 * page);
        CHECK(!shows_touch(&modes[m]) || faults_on_read(page_at(&r, 4)));
        CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
        CHECK_EQUAL(usage_of(&r).guarded, 0);
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        for (size_t i = 0; i < 9; i++)
            CHECK(is_all(&r, i, 0));
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(guards_may_be_put_anywhere)
{
    for (int m = 0; m < MODES; m++) {
        xvm_region r = reserve_pages(9, &modes[m]);

        CHECK_EQUAL(xvm_guard(&r, page, page),
                    XVM_OK); /* reserved, and nothing else is there yet */
        CHECK_EQUAL(xvm_commit(&r, 3 * page, 5 * page), XVM_OK);
        memset(page_at(&r, 3), 1, 5 * page);
        CHECK_EQUAL(xvm_protect(&r, 4 * page, page, XVM_READ), XVM_OK);
        CHECK_EQUAL(xvm_lock(&r, 5 * page, page), XVM_OK);
        CHECK_EQUAL(xvm_protect(&r, 6 * page, page, XVM_NO_ACCESS), XVM_OK);
        CHECK_EQUAL(xvm_guard(&r, 0, 7 * page), XVM_OK);
        for (size_t i = 0; i < 7; i++)
            CHECK(!shows_touch(&modes[m]) || faults_on_read(page_at(&r, i)));
        CHECK(is_all(&r, 7, 1));
        CHECK_EQUAL(usage_of(&r).guarded, 7 * page);
        CHECK_EQUAL(usage_of(&r).locked, 0);
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        memset(r.base, 2, r.size); /* all of it is plain memory again */
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

TEST(a_guard_is_no_committed_page)
{
    for (int m = 0; m < MODES; m++) {
        xvm_region r = fill_pages(9, &modes[m]);
        xvm_range range = {2 * page, 3 * page};

        CHECK_EQUAL(xvm_guard(&r, 3 * page, page), XVM_OK);
        calls = 0;
        xvm_set_trace(count_call);
        CHECK_EQUAL(xvm_guard(&r, 3 * page, page), XVM_OK); /* it is one already */
        CHECK_EQUAL(xvm_protect(&r, 2 * page, 3 * page, XVM_READ), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_lock(&r, 2 * page, 3 * page), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_prefault(&r, 2 * page, 3 * page), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_discard(&r, 2 * page, 3 * page, XVM_DISCARD_ZERO), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_discard_ranges(&r, &range, 1, XVM_DISCARD_LAZY), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_advise(&r, 2 * page, 3 * page, XVM_ADVICE_COLD), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(xvm_flush_code(&r, 3 * page, 1), XVM_E_NOT_COMMITTED);
        CHECK_EQUAL(calls, 0);
        xvm_set_trace(NULL);
        CHECK(is_all(&r, 2, 3) && is_all(&r, 4, 5));
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(guards_are_whole_pages)
{
    xvm_region r = fill_pages(4, NULL);

    CHECK_EQUAL(xvm_guard(&r, 1, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_guard(&r, 0, page + 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_guard(&r, 3 * page, 2 * page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_guard(&r, page, SIZE_MAX - page + 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_guard(NULL, 0, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_guard(&r, 2 * page, 0), XVM_OK);
    CHECK_EQUAL(usage_of(&r).guarded, 0);
    CHECK(is_all(&r, 0, 1));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_refused_guard_leaves_the_others_as_they_were)
{
    for (int m = 0; m < MODES; m++)
        for (int n = 1;; n++) {
            xvm_region r = fill_pages(9, &modes[m]);
            char script[32];
            size_t refused;
            xvm_status status;

            CHECK_EQUAL(xvm_protect(&r, 5 * page, page, XVM_READ), XVM_OK);
            snprintf(script, sizeof script, "*@%d", n);
            CHECK(xvm_inject(script) == XVM_OK);
            status = xvm_guard(&r, 2 * page, 6 * page);
            refused = xvm_injected();
            CHECK(xvm_inject(NULL) == XVM_OK);
            CHECK(status != XVM_OK || usage_of(&r).guarded == 6 * page);
            CHECK_EQUAL(usage_of(&r).guarded + usage_of(&r).committed, r.size);
            CHECK(is_all(&r, 1, 2) && is_all(&r, 8, 9));
            CHECK_EQUAL(xvm_guard(&r, 2 * page, 6 * page), XVM_OK);
            CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
            memset(r.base, 3, r.size);
            CHECK(xvm_release(&r) == XVM_OK);
            if (refused == 0)
                break;
        }
}

/* --- sparse regions --------------------------------------------------------------------------- */

static const xvm_reserve_options sparse = {.commit_mode = XVM_COMMIT_SPARSE};

TEST(a_sparse_region_promises_what_others_do)
{
    xvm_region r = reserve_pages(3000, &sparse);

    for (size_t i = 0; i < 3000; i += 3) {
        CHECK_EQUAL(xvm_commit(&r, i * page, page), XVM_OK);
        CHECK(is_all(&r, i, 0));
        memset(page_at(&r, i), 1, page);
    }
    CHECK_EQUAL(usage_of(&r).committed, 1000 * page);
    for (size_t i = 0; i < 3000; i += 300) {
        CHECK(!shows_touch(&sparse) || faults_on_read(page_at(&r, i + 1)));
        CHECK(is_all(&r, i, 1));
        CHECK_EQUAL(xvm_decommit(&r, i * page, page), XVM_OK);
        CHECK(!shows_touch(&sparse) || faults_on_write(page_at(&r, i)));
        CHECK_EQUAL(xvm_commit(&r, i * page, page), XVM_OK);
        CHECK(is_all(&r, i, 0));
    }
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(sparse_pages_can_be_locked_and_protected)
{
    xvm_region r = reserve_pages(12, &sparse);

    CHECK_EQUAL(xvm_commit(&r, 0, 8 * page), XVM_OK);
    memset(r.base, 1, 8 * page);
    CHECK_EQUAL(xvm_lock(&r, page, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_protect(&r, 2 * page, 2 * page, XVM_READ), XVM_OK);
    CHECK(faults_on_write(page_at(&r, 2)));
    CHECK_EQUAL(xvm_decommit(&r, 0, 4 * page), XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(!shows_touch(&sparse) || faults_on_read(page_at(&r, 2)));
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK(is_all(&r, 2, 0) && is_all(&r, 3, 0) && is_all(&r, 4, 1));
    memset(r.base, 5, r.size);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* A refused step: the pages before it are reserved, the others have what they had or zeros. */
TEST(a_refused_sparse_decommit_is_known_to_the_page)
{
    for (int n = 1;; n++) {
        xvm_region r = fill_pages(6, &sparse);
        size_t refused, committed = 0;
        char script[32];
        xvm_status status;

        CHECK_EQUAL(xvm_lock(&r, page, page), XVM_OK);
        CHECK_EQUAL(xvm_protect(&r, 3 * page, page, XVM_READ), XVM_OK);
        snprintf(script, sizeof script, "*@%d", n);
        CHECK(xvm_inject(script) == XVM_OK);
        status = xvm_decommit(&r, 0, r.size);
        refused = xvm_injected();
        CHECK(xvm_inject(NULL) == XVM_OK);
        for (size_t i = 0; i < 6; i++)
            committed += xvm_protect(&r, i * page, page, XVM_READ_WRITE) == XVM_OK ? page : 0;
        CHECK_EQUAL(usage_of(&r).committed, committed);
        CHECK((status == XVM_OK) == (committed == 0));
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        memset(r.base, 1, r.size);
        CHECK(xvm_release(&r) == XVM_OK);
        if (refused == 0)
            break;
    }
}

enum { THREADS = 8, TURNS = 300 };

/* All threads open the same chunk at the start; none may lose what another has in it. */
static void commit_in_turn(void *context, int index)
{
    xvm_region *r = context;

    for (size_t i = (size_t)index; i < THREADS * TURNS; i += THREADS) {
        CHECK_EQUAL(xvm_commit(r, i * page, page), XVM_OK);
        memset(page_at(r, i), index + 1, page);
    }
    for (size_t i = (size_t)index; i < THREADS * TURNS; i += THREADS)
        CHECK(is_all(r, i, index + 1));
}

TEST(threads_open_the_same_chunk_once)
{
    for (int round = 0; round < 20; round++) {
        xvm_region r = reserve_pages(THREADS * TURNS, &sparse);

        run_threads(THREADS, commit_in_turn, &r);
        CHECK_EQUAL(usage_of(&r).committed, r.size);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

/* --- many discards ---------------------------------------------------------------------------- */

TEST(scattered_ranges_are_discarded_together)
{
    enum { COUNT = 700 }; /* more than one batch */
    xvm_region r = reserve_pages(2 * COUNT, NULL);
    static xvm_range ranges[COUNT];

    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    memset(r.base, 1, r.size);
    CHECK_EQUAL(xvm_lock(&r, 4 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_protect(&r, 6 * page, page, XVM_READ), XVM_OK);
    for (size_t i = 0; i < COUNT; i++)
        ranges[i] = (xvm_range){(COUNT - 1 - i) * 2 * page, page};
    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, COUNT, XVM_DISCARD_ZERO), XVM_OK);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(is_all(&r, 2 * i, 0) && is_all(&r, 2 * i + 1, 1));
    CHECK_EQUAL(usage_of(&r).locked, page);
    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, COUNT, XVM_DISCARD_LAZY), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(one_bad_range_of_many_discards_nothing)
{
    xvm_region r = fill_pages(8, NULL);
    xvm_range ranges[3] = {{0, page}, {2 * page, page}, {7 * page, 2 * page}};

    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, 3, XVM_DISCARD_ZERO), XVM_E_INVALID);
    CHECK_EQUAL(xvm_discard_ranges(&r, NULL, 3, XVM_DISCARD_ZERO), XVM_E_INVALID);
    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, 2, (xvm_discard_mode)2), XVM_E_INVALID);
    CHECK_EQUAL(xvm_discard_ranges(NULL, ranges, 2, XVM_DISCARD_ZERO), XVM_E_INVALID);
    CHECK_EQUAL(xvm_discard_ranges(&r, NULL, 0, XVM_DISCARD_ZERO), XVM_OK);
    CHECK_EQUAL(xvm_decommit(&r, 7 * page, page), XVM_OK);
    ranges[2].size = page;
    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, 3, XVM_DISCARD_ZERO), XVM_E_NOT_COMMITTED);
    CHECK(is_all(&r, 0, 1) && is_all(&r, 2, 3));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* A kernel without the one call takes them one by one. */
TEST(discards_are_done_one_by_one_where_they_must)
{
    xvm_region r = fill_pages(8, NULL);
    xvm_range ranges[3] = {{0, page}, {2 * page, page}, {4 * page, page}};

    CHECK(xvm_inject("process_madvise") == XVM_OK);
    CHECK_EQUAL(xvm_discard_ranges(&r, ranges, 3, XVM_DISCARD_ZERO), XVM_OK);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(is_all(&r, 0, 0) && is_all(&r, 1, 2) && is_all(&r, 2, 0) && is_all(&r, 4, 0));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* test_region.c - every promise of region.h, on whatever pages there are. */
#include "harness.h"
#include "xvm/xvm.h"

static size_t page; /* set by reserve */

static xvm_region reserve_with(size_t size, const xvm_reserve_options *options)
{
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, size, options), XVM_OK);
    return r;
}

/* A region of so many pages. */
static xvm_region reserve_pages(size_t pages)
{
    return reserve_with(pages * xvm_page_size(), NULL);
}

static unsigned char *at(const xvm_region *r, size_t offset)
{
    return (unsigned char *)r->base + offset;
}

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

static bool is_all(const unsigned char *bytes, size_t size, int value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static bool is_zero_handle(const xvm_region *r)
{
    static const xvm_region zero;

    return memcmp(r, &zero, sizeof zero) == 0;
}

/* How many system calls the library has made since the count was last set. */
static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

/* --- reserve and release ---------------------------------------------------------------------- */

TEST(page_size_and_granularity_are_powers_of_two)
{
    size_t p = xvm_page_size(), g = xvm_allocation_granularity();

    CHECK(p != 0 && (p & (p - 1)) == 0);
    CHECK(g >= p && (g & (g - 1)) == 0);
}

TEST(reserve_gives_whole_inaccessible_pages)
{
    size_t p = xvm_page_size();
    size_t sizes[] = {1, p - 1, p, p + 1, 17 * p, 1000 * p + 1};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xvm_region r = reserve_with(sizes[i], NULL);

        CHECK_EQUAL(r.size, (sizes[i] + p - 1) / p * p);
        CHECK((uintptr_t)r.base % xvm_allocation_granularity() == 0);
        CHECK(faults_on_read(r.base) && faults_on_read(at(&r, r.size - 1)));
        CHECK_EQUAL(usage_of(&r).reserved, r.size);
        CHECK_EQUAL(usage_of(&r).committed, 0);
        CHECK(xvm_release(&r) == XVM_OK);
        CHECK(is_zero_handle(&r));
    }
}

TEST(reserve_of_nothing_is_invalid)
{
    xvm_region r;

    memset(&r, 0x55, sizeof r);
    CHECK(xvm_reserve(&r, 0, NULL) == XVM_E_INVALID);
    CHECK(is_zero_handle(&r));
    CHECK(xvm_reserve(NULL, 1, NULL) == XVM_E_INVALID);
    CHECK(xvm_release(NULL) == XVM_E_INVALID);
}

TEST(broken_options_are_invalid_and_later_ones_unsupported)
{
    size_t p = xvm_page_size(), g = xvm_allocation_granularity();
    xvm_reserve_options invalid[] = {
        {.alignment = 3 * g},
        {.alignment = SIZE_MAX},
        {.min_size = 2 * p},
        {.address = (void *)(16 * g + 1)},
        {.address = (void *)(16 * g), .alignment = 64 * g},
        {.commit_mode = (xvm_commit_mode)2},
        {.huge = (xvm_huge)5},
        {.fork = (xvm_fork)3},
        {.dump = (xvm_dump)2},
        {.numa_node = -1},
        {.fork = (xvm_fork)-1},
        {.flags = 8},
        {.commit_mode = XVM_COMMIT_SPARSE, .huge = XVM_HUGE_TRANSPARENT},
    };
    xvm_region r;

    calls = 0;
    xvm_set_trace(count_call);
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        CHECK_EQUAL(xvm_reserve(&r, p, &invalid[i]), XVM_E_INVALID);
    CHECK_EQUAL(calls, 0);
    xvm_set_trace(NULL);
    CHECK(is_zero_handle(&r));
}

TEST(alignment_is_kept_up_to_4_gib)
{
    size_t largest = memory_is_fake()      ? (size_t)1 << 22
                     : sizeof(void *) == 4 ? (size_t)1 << 28
                                           : SIZE_MAX / 4;

    page = xvm_page_size();
    for (unsigned shift = 0; shift <= 32; shift++) {
        size_t alignment = shift < sizeof(size_t) * 8 ? (size_t)1 << shift : 0;
        xvm_region r;

        if (alignment == 0 || alignment > largest)
            break;
        r = reserve_with(3 * page, &(xvm_reserve_options){.alignment = alignment});
        CHECK((uintptr_t)r.base % alignment == 0);
        CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
        memset(r.base, 1, r.size);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(what_no_address_space_holds_is_refused)
{
    size_t p = xvm_page_size();
    size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - p, SIZE_MAX - 2 * p,
                      SIZE_MAX - (SIZE_MAX >> 6)};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xvm_region r;

        memset(&r, 0x55, sizeof r);
        CHECK_EQUAL(xvm_reserve(&r, sizes[i], NULL), XVM_E_ADDRESS_SPACE);
        CHECK(is_zero_handle(&r));
        CHECK(xvm_last_status() == XVM_E_ADDRESS_SPACE);
        if (sizeof(void *) == 8)
            CHECK_EQUAL(xvm_reserve(&r, p, &(xvm_reserve_options){.alignment = SIZE_MAX / 2 + 1}),
                        XVM_E_ADDRESS_SPACE);
    }
}

TEST(the_ladder_finds_what_fits)
{
    size_t least = 4 * xvm_page_size();
    xvm_region r;

    CHECK(xvm_inject("reserve>1m") == XVM_OK);
    r = reserve_with((size_t)1 << 30, &(xvm_reserve_options){.min_size = least});
    CHECK(xvm_injected() >= 10);
    CHECK(r.size >= least && r.size <= (size_t)1 << 20);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_reserve(&r, (size_t)1 << 30, &(xvm_reserve_options){.min_size = (size_t)2 << 20}) ==
          XVM_E_ADDRESS_SPACE);
    CHECK(xvm_inject(NULL) == XVM_OK);
    if (sizeof(void *) == 4)
        r = reserve_with(SIZE_MAX, &(xvm_reserve_options){.min_size = least});
    else if (memory_is_fake() || memory_is_emulated())
        return;
    else
        r = reserve_with(SIZE_MAX, &(xvm_reserve_options){.min_size = (size_t)(1ull << 40)});
    CHECK(r.size < SIZE_MAX - (SIZE_MAX >> 6) && r.size >= least);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_large_region_is_usable_at_both_ends)
{
    size_t size = sizeof(void *) == 4 ? (size_t)256 << 20 : (size_t)(64ull << 30);
    xvm_region r;

    if (memory_is_fake())
        SKIP("the fake has no large reservations");
    r = reserve_with(size, NULL);
    CHECK(xvm_commit(&r, 0, 1) == XVM_OK);
    CHECK(xvm_commit(&r, r.size - 1, 1) == XVM_OK);
    CHECK(xvm_commit(&r, r.size / 2 + 12345, 1) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 3 * page);
    *at(&r, 0) = *at(&r, r.size - 1) = *at(&r, r.size / 2 + 12345) = 7;
    CHECK(faults_on_read(at(&r, page)) && faults_on_read(at(&r, r.size - page - 1)));
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 0);
    CHECK(faults_on_read(at(&r, r.size - 1)));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(an_exact_address_is_exact)
{
    xvm_region r, again;
    void *where;

    if (memory_is_fake())
        SKIP("malloc has no exact addresses");
    r = reserve_pages(100);
    where = r.base;
    CHECK(xvm_release(&r) == XVM_OK);
    again = reserve_with(50 * page, &(xvm_reserve_options){.address = where});
    CHECK(again.base == where && again.size == 50 * page);
    CHECK(xvm_commit(&again, 0, again.size) == XVM_OK);
    memset(again.base, 3, again.size);
    CHECK(xvm_lock(&again, page, page) == XVM_OK);
    CHECK(xvm_decommit(&again, 0, 10 * page) == XVM_OK);
    CHECK_EQUAL(usage_of(&again).committed, 40 * page);
    CHECK(xvm_release(&again) == XVM_OK);
    CHECK(is_zero_handle(&again));
}

TEST(a_taken_address_is_refused_and_untouched)
{
    xvm_region r = reserve_pages(8), other;
    size_t g = xvm_allocation_granularity();
    size_t offsets[] = {0, g};

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 9, r.size);
    for (size_t i = 0; i < 2; i++) {
        if (offsets[i] >= r.size)
            continue;
        CHECK_EQUAL(
            xvm_reserve(&other, 4 * page, &(xvm_reserve_options){.address = at(&r, offsets[i])}),
            XVM_E_ADDRESS_TAKEN);
        CHECK(is_zero_handle(&other));
        CHECK(is_all(r.base, r.size, 9));
    }
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(xvm_reserve(&other, page, &(xvm_reserve_options){.address = r.base}),
                XVM_E_ADDRESS_TAKEN);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_region_below_an_address_ends_there)
{
    uintptr_t limits[] = {(uintptr_t)1 << 31, (uintptr_t)1 << 30, (uintptr_t)1 << 29};

    if (memory_is_fake())
        SKIP("malloc places nothing on request");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        xvm_reserve_options o = {.below = limits[i], .alignment = (size_t)1 << 20};
        xvm_region r = reserve_with(1 << 20, &o);

        CHECK((uintptr_t)r.base + r.size <= limits[i]);
        CHECK((uintptr_t)r.base % o.alignment == 0);
        CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
        memset(r.base, 1, r.size);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(below_what_cannot_hold_it_is_refused)
{
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 1 << 20, &(xvm_reserve_options){.below = 1 << 17}),
                XVM_E_ADDRESS_SPACE);
    CHECK(is_zero_handle(&r));
}

TEST(a_released_handle_is_no_region)
{
    xvm_region r = reserve_pages(1);

    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) == XVM_E_INVALID);
    CHECK(xvm_decommit(&r, 0, 0) == XVM_E_INVALID);
    CHECK_EQUAL(usage_of(&r).reserved, 0);
    xvm_region_usage(NULL, NULL);
}

/* --- commit ----------------------------------------------------------------------------------- */

TEST(committed_pages_are_zero_and_writable)
{
    xvm_region r = reserve_pages(5);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(is_all(r.base, r.size, 0));
    memset(r.base, 1, r.size);
    CHECK(is_all(r.base, r.size, 1));
    CHECK_EQUAL(usage_of(&r).committed, 5 * page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(commit_rounds_outward)
{
    xvm_region r = reserve_pages(5);

    CHECK(xvm_commit(&r, 2 * page - 1, 2) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 2 * page);
    CHECK(faults_on_read(at(&r, page - 1)) && faults_on_read(at(&r, 3 * page)));
    CHECK(!faults_on_write(at(&r, page)) && !faults_on_write(at(&r, 3 * page - 1)));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(commit_over_committed_pages_keeps_bytes_and_protection)
{
    xvm_region r = reserve_pages(6);

    CHECK(xvm_commit(&r, page, 2 * page) == XVM_OK);
    memset(at(&r, page), 5, 2 * page);
    CHECK(xvm_protect(&r, page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_protect(&r, 2 * page, page, XVM_NO_ACCESS) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, r.size);
    CHECK(is_all(at(&r, page), page, 5) && faults_on_write(at(&r, page)));
    CHECK(faults_on_read(at(&r, 2 * page)));
    CHECK(xvm_protect(&r, 2 * page, page, XVM_READ_WRITE) == XVM_OK);
    CHECK(is_all(at(&r, 2 * page), page, 5));
    CHECK(is_all(at(&r, 3 * page), 3 * page, 0) && is_all(r.base, page, 0));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- decommit --------------------------------------------------------------------------------- */

TEST(decommit_forgets)
{
    xvm_region r = reserve_pages(6);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_decommit(&r, page, 3 * page) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 3 * page);
    for (size_t i = 0; i < 6; i++) {
        CHECK(faults_on_read(at(&r, i * page)) == (i >= 1 && i < 4));
        CHECK(faults_on_write(at(&r, i * page + page - 1)) == (i >= 1 && i < 4));
    }
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(is_all(r.base, page, 5) && is_all(at(&r, page), 3 * page, 0));
    CHECK(is_all(at(&r, 4 * page), 2 * page, 5));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(decommit_rounds_inward)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_decommit(&r, 1, page) == XVM_OK);
    CHECK(xvm_decommit(&r, page - 1, page) == XVM_OK);
    CHECK(xvm_decommit(&r, 1, 2 * page - 2) == XVM_OK);
    CHECK(is_all(r.base, r.size, 5) && usage_of(&r).committed == r.size);
    CHECK(xvm_decommit(&r, page - 1, page + 2) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 3 * page);
    CHECK(faults_on_read(at(&r, page)) && is_all(r.base, page, 5) &&
          is_all(at(&r, 2 * page), page, 5));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(decommit_takes_any_mix)
{
    xvm_region r = reserve_pages(8);

    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_commit(&r, page, page) == XVM_OK);
    CHECK(xvm_commit(&r, 4 * page, 2 * page) == XVM_OK);
    CHECK(xvm_protect(&r, 4 * page, page, XVM_NO_ACCESS) == XVM_OK);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 0);
    for (size_t i = 0; i < 8; i++)
        CHECK(faults_on_read(at(&r, i * page)));
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(is_all(r.base, r.size, 0));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(decommit_drops_protection_and_locks)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_lock(&r, page, 2 * page) == XVM_OK);
    CHECK(xvm_protect(&r, page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_decommit(&r, 0, 2 * page) == XVM_OK); /* the first of them locked by half */
    CHECK_EQUAL(usage_of(&r).locked, page);
    CHECK_EQUAL(usage_of(&r).committed, 2 * page);
    CHECK(xvm_decommit(&r, 2 * page, 2 * page) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(is_all(r.base, r.size, 0));
    memset(r.base, 1, r.size);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(xvm_lock(&r, page, page) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(policies_and_names_are_accepted)
{
    xvm_reserve_options o = {.fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "test region"};
    xvm_region r = reserve_with(4 * xvm_page_size(), &o);

    for (int i = 0; i < 3; i++) {
        CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
        CHECK(is_all(r.base, r.size, 0));
        memset(r.base, 5, r.size);
        CHECK(xvm_decommit(&r, page, 2 * page) == XVM_OK);
        CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- discard ---------------------------------------------------------------------------------- */

TEST(discard_zero_reads_zero)
{
    xvm_region r = reserve_pages(6);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_discard(&r, page - 1, 3 * page, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(is_all(r.base, page, 5) && is_all(at(&r, page), 2 * page, 0));
    CHECK(is_all(at(&r, 3 * page), 3 * page, 5));
    memset(at(&r, page), 6, 2 * page);
    CHECK(is_all(at(&r, page), 2 * page, 6));
    CHECK_EQUAL(usage_of(&r).committed, r.size);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(discard_lazy_keeps_old_bytes_or_zeros)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_discard(&r, 0, r.size, XVM_DISCARD_LAZY) == XVM_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(is_all(at(&r, i * page), page, 5) || is_all(at(&r, i * page), page, 0));
    memset(r.base, 6, r.size);
    CHECK(is_all(r.base, r.size, 6));
    CHECK_EQUAL(usage_of(&r).committed, r.size);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(discard_keeps_protection_and_locks)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    CHECK(xvm_lock(&r, page, 2 * page) == XVM_OK);
    CHECK(xvm_protect(&r, 2 * page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_protect(&r, 3 * page, page, XVM_NO_ACCESS) == XVM_OK);
    CHECK(xvm_discard(&r, 0, r.size, XVM_DISCARD_LAZY) == XVM_OK);
    CHECK(is_all(at(&r, page), 2 * page, 5)); /* locked: left alone */
    CHECK(xvm_discard(&r, 0, r.size, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(is_all(r.base, 3 * page, 0));
    CHECK(faults_on_write(at(&r, 2 * page)) && faults_on_read(at(&r, 3 * page)));
    CHECK(xvm_protect(&r, 3 * page, page, XVM_READ) == XVM_OK);
    CHECK(is_all(at(&r, 3 * page), page, 0));
    CHECK_EQUAL(usage_of(&r).locked, 2 * page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(discard_needs_committed_pages_and_a_mode)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, page, page) == XVM_OK);
    memset(at(&r, page), 5, page);
    CHECK(xvm_discard(&r, 0, 2 * page, XVM_DISCARD_ZERO) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_discard(&r, page, 2 * page, XVM_DISCARD_LAZY) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_discard(&r, page, page, (xvm_discard_mode)2) == XVM_E_INVALID);
    CHECK(xvm_discard(&r, page, page, (xvm_discard_mode)-1) == XVM_E_INVALID);
    CHECK(is_all(at(&r, page), page, 5));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- protect ---------------------------------------------------------------------------------- */

TEST(protection_is_what_a_touch_finds)
{
    static const struct {
        xvm_protection protection;
        bool reads, writes;
        int truth;
    } rows[] = {
        {XVM_NO_ACCESS, false, false, TRUTH_NONE},
        {XVM_READ, true, false, TRUTH_READ},
        {XVM_READ_WRITE, true, true, TRUTH_READ | TRUTH_WRITE},
        {XVM_READ_EXECUTE, true, false, TRUTH_READ | TRUTH_EXECUTE},
        {XVM_READ_WRITE_EXECUTE, true, true, TRUTH_READ | TRUTH_WRITE | TRUTH_EXECUTE},
    };
    xvm_region r = reserve_pages(3);
    unsigned char truth[3];

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 5, r.size);
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        size_t row = i % (sizeof rows / sizeof *rows);

        CHECK_EQUAL(xvm_protect(&r, page, page, rows[row].protection), XVM_OK);
        CHECK(faults_on_read(at(&r, page)) == !rows[row].reads);
        CHECK(faults_on_write(at(&r, 2 * page - 1)) == !rows[row].writes);
        CHECK(!faults_on_write(at(&r, page - 1)) && !faults_on_write(at(&r, 2 * page)));
        look_at_pages(r.base, 3, page, truth);
        CHECK_EQUAL(truth[1] & shown_truth(), rows[row].truth & shown_truth());
        CHECK_EQUAL(truth[0] & shown_truth(), (TRUTH_READ | TRUTH_WRITE) & shown_truth());
        CHECK_EQUAL(truth[2] & shown_truth(), truth[0] & shown_truth());
    }
    CHECK(xvm_protect(&r, 0, r.size, XVM_READ) == XVM_OK);
    CHECK(is_all(r.base, r.size, 5));
    CHECK_EQUAL(usage_of(&r).committed, r.size);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(protect_needs_whole_committed_pages)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, 2 * page) == XVM_OK);
    CHECK(xvm_protect(&r, 1, page, XVM_READ) == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, page - 1, XVM_READ) == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, page, (xvm_protection)0) == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, page, (xvm_protection)6) == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, page, (xvm_protection)-1) == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, 3 * page, XVM_READ) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_protect(&r, 2 * page, page, XVM_READ) == XVM_E_NOT_COMMITTED);
    CHECK(!faults_on_write(r.base) && !faults_on_write(at(&r, page)));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- lock, prefault, usage -------------------------------------------------------------------- */

TEST(lock_rounds_outward_and_unlock_inward)
{
    xvm_region r = reserve_pages(5);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_lock(&r, 2 * page - 1, 2) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 2 * page);
    CHECK(xvm_lock(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_lock(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, r.size);
    CHECK(memory_is_emulated() ||
          usage_of(&r).resident == r.size); /* sanitizers make mlock do nothing */
    CHECK(xvm_unlock(&r, 1, 2 * page - 2) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, r.size);
    CHECK(xvm_unlock(&r, 1, 2 * page - 1) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 4 * page);
    CHECK(xvm_unlock(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_unlock(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(lock_needs_committed_accessible_pages)
{
    xvm_region r = reserve_pages(4);

    CHECK(xvm_commit(&r, 0, 3 * page) == XVM_OK);
    CHECK(xvm_protect(&r, 2 * page, page, XVM_NO_ACCESS) == XVM_OK);
    CHECK(xvm_lock(&r, 3 * page, 1) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_lock(&r, 0, r.size) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_lock(&r, 0, 3 * page) == XVM_E_PERMISSION);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(xvm_unlock(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_protect(&r, page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_lock(&r, page, page) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(prefault_makes_pages_resident)
{
    xvm_region r = reserve_pages(64);

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    *at(&r, page) = 5;
    CHECK(xvm_prefault(&r, 1, r.size - 2) == XVM_OK);
    CHECK(!residency_is_known() || usage_of(&r).resident == r.size);
    CHECK(*at(&r, page) == 5 && is_all(at(&r, 2 * page), 62 * page, 0));
    CHECK(xvm_protect(&r, page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_prefault(&r, 0, r.size) == XVM_E_PERMISSION);
    CHECK(xvm_decommit(&r, page, page) == XVM_OK);
    CHECK(xvm_prefault(&r, 0, r.size) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(residency_follows_use)
{
    xvm_region r = reserve_pages(32);

    if (!residency_is_known())
        SKIP("all memory of the fake is resident, and qemu does not tell");
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).resident, 0);
    memset(at(&r, 4 * page), 1, 8 * page);
    CHECK_EQUAL(usage_of(&r).resident, 8 * page);
    CHECK(xvm_discard(&r, 4 * page, 2 * page, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).resident, 6 * page);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).resident, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- ranges, no-ops, neighbours --------------------------------------------------------------- */

typedef xvm_status (*range_call)(xvm_region *r, size_t offset, size_t size);

static xvm_status discard_zero(xvm_region *r, size_t offset, size_t size)
{
    return xvm_discard(r, offset, size, XVM_DISCARD_ZERO);
}

static xvm_status protect_read(xvm_region *r, size_t offset, size_t size)
{
    return xvm_protect(r, offset, size, XVM_READ);
}

static const range_call range_calls[] = {xvm_commit, xvm_decommit, discard_zero, protect_read,
                                         xvm_lock,   xvm_unlock,   xvm_prefault};
enum { RANGE_CALLS = sizeof range_calls / sizeof *range_calls };

TEST(a_range_outside_the_region_is_invalid)
{
    xvm_region r = reserve_pages(4);
    size_t wild[] = {1,
                     page - 1,
                     page,
                     r.size - 1,
                     r.size,
                     r.size + 1,
                     SIZE_MAX / 2,
                     SIZE_MAX - page,
                     SIZE_MAX - 1,
                     SIZE_MAX};
    size_t tried = 0;

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    calls = 0;
    xvm_set_trace(count_call);
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
        for (size_t j = 0; j < sizeof wild / sizeof *wild; j++)
            for (size_t k = 0; k < RANGE_CALLS; k++) {
                if (wild[i] <= r.size && wild[j] <= r.size - wild[i])
                    continue;
                CHECK_EQUAL(range_calls[k](&r, wild[i], wild[j]), XVM_E_INVALID);
                CHECK_EQUAL(range_calls[k](NULL, wild[i], wild[j]), XVM_E_INVALID);
                tried++;
            }
    CHECK(tried > 400);
    CHECK_EQUAL(calls, 0);
    xvm_set_trace(NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(size_zero_is_done_at_once)
{
    xvm_region r = reserve_pages(4);
    size_t offsets[] = {0, 1, page, r.size, r.size + 1, SIZE_MAX};

    calls = 0;
    xvm_set_trace(count_call);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        for (size_t k = 0; k < RANGE_CALLS; k++)
            CHECK_EQUAL(range_calls[k](&r, offsets[i], 0), XVM_OK);
    CHECK_EQUAL(calls, 0);
    xvm_set_trace(NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(what_changes_nothing_makes_no_system_call)
{
    xvm_region r = reserve_pages(2000);

    CHECK(xvm_commit(&r, 0, 1000 * page) == XVM_OK);
    CHECK(xvm_protect(&r, 10 * page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_lock(&r, 0, 4 * page) == XVM_OK);
    calls = 0;
    xvm_set_trace(count_call);
    CHECK(xvm_commit(&r, 0, 1000 * page) == XVM_OK);
    CHECK(xvm_commit(&r, 5, 1) == XVM_OK);
    CHECK(xvm_decommit(&r, 1000 * page, 1000 * page) == XVM_OK);
    CHECK(xvm_decommit(&r, 1, page) == XVM_OK);
    CHECK(xvm_protect(&r, 0, 10 * page, XVM_READ_WRITE) == XVM_OK);
    CHECK(xvm_protect(&r, 10 * page, page, XVM_READ) == XVM_OK);
    CHECK(xvm_lock(&r, 0, 3 * page) == XVM_OK);
    CHECK(xvm_unlock(&r, 4 * page, 100 * page) == XVM_OK);
    CHECK_EQUAL(calls, 0);
    CHECK(xvm_commit(&r, 999 * page, 2 * page) == XVM_OK);
    CHECK_EQUAL(calls, 1); /* the one page that was missing */
    xvm_set_trace(NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Two regions back to back: everything done to the last page of one leaves the first of the other
 * alone. */
TEST(the_end_of_one_region_is_not_the_next)
{
    size_t g = xvm_allocation_granularity();
    xvm_region whole, low, high;
    unsigned char *base;

    if (memory_is_fake())
        SKIP("malloc has no exact addresses");
    whole = reserve_with(16 * g, NULL);
    base = whole.base;
    CHECK(xvm_release(&whole) == XVM_OK);
    low = reserve_with(8 * g, &(xvm_reserve_options){.address = base});
    high = reserve_with(8 * g, &(xvm_reserve_options){.address = base + 8 * g});
    CHECK(xvm_commit(&low, 0, low.size) == XVM_OK);
    CHECK(xvm_commit(&high, 0, high.size) == XVM_OK);
    memset(base, 5, 16 * g);
    CHECK(xvm_commit(&low, low.size - 1, 2) == XVM_E_INVALID);
    CHECK(xvm_lock(&low, low.size - page, page) == XVM_OK);
    CHECK(xvm_discard(&low, low.size - page, page, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(xvm_protect(&low, low.size - page, page, XVM_READ) == XVM_OK);
    CHECK(!faults_on_write(high.base));
    CHECK(xvm_decommit(&low, 0, low.size) == XVM_OK);
    CHECK(faults_on_read(base + low.size - 1) && is_all(high.base, high.size, 5));
    CHECK_EQUAL(usage_of(&high).committed, high.size);
    CHECK_EQUAL(usage_of(&high).locked, 0);
    CHECK(xvm_release(&low) == XVM_OK);
    CHECK(is_all(high.base, high.size, 5) && !faults_on_write(high.base));
    CHECK(xvm_release(&high) == XVM_OK);
}

TEST(regions_side_by_side_do_not_disturb_each_other)
{
    xvm_region r[8];

    for (size_t i = 0; i < 8; i++) {
        r[i] = reserve_pages(4);
        CHECK(xvm_commit(&r[i], 0, r[i].size) == XVM_OK);
        memset(r[i].base, (int)i + 1, r[i].size);
    }
    for (size_t i = 1; i < 8; i += 2) {
        CHECK(xvm_decommit(&r[i], 0, r[i].size) == XVM_OK);
        CHECK(xvm_release(&r[i]) == XVM_OK);
    }
    for (size_t i = 0; i < 8; i += 2) {
        CHECK(is_all(r[i].base, r[i].size, (int)i + 1));
        CHECK(xvm_release(&r[i]) == XVM_OK);
    }
}

TEST(success_leaves_the_last_error_alone)
{
    xvm_region r;
    xvm_usage u;

    page = xvm_page_size();
    set_last_error(77);
    CHECK(xvm_reserve(&r, 64 * page,
                      &(xvm_reserve_options){.name = "errno", .dump = XVM_DUMP_NEVER}) == XVM_OK);
    CHECK_EQUAL(get_last_error(), 77);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_protect(&r, 0, page, XVM_READ) == XVM_OK);
    CHECK(xvm_lock(&r, 0, 2 * page) == XVM_OK);
    CHECK(xvm_unlock(&r, 0, 2 * page) == XVM_OK);
    CHECK_EQUAL(get_last_error(), 77);
    CHECK(xvm_prefault(&r, page, page) == XVM_OK);
    CHECK(xvm_discard(&r, 0, page, XVM_DISCARD_LAZY) == XVM_OK);
    CHECK(xvm_discard(&r, 0, page, XVM_DISCARD_ZERO) == XVM_OK);
    xvm_region_usage(&r, &u);
    CHECK_EQUAL(get_last_error(), 77);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(get_last_error(), 77);
}

/* A page size set for tests holds for regions reserved afterwards, and no longer. */
TEST(a_region_keeps_its_page_size)
{
    size_t p = xvm_page_size(), g = xvm_allocation_granularity();
    xvm_region small = reserve_pages(8), large;

    if (p > (size_t)64 << 10)
        SKIP("no larger page can be pretended");
    CHECK(xvm_test_page_size(4 * p, 4 * g) == XVM_OK);
    CHECK(xvm_page_size() == 4 * p && xvm_allocation_granularity() == 4 * g);
    large = reserve_pages(2);
    CHECK_EQUAL(large.size, 8 * p);
    CHECK((uintptr_t)large.base % (4 * g) == 0);
    CHECK(xvm_commit(&large, 0, 1) == XVM_OK && xvm_commit(&small, 0, 1) == XVM_OK);
    CHECK_EQUAL(usage_of(&large).committed, 4 * p);
    CHECK_EQUAL(usage_of(&small).committed, p);
    CHECK(xvm_protect(&large, 0, p, XVM_READ) == XVM_E_INVALID);
    CHECK(!faults_on_write(at(&large, 4 * p - 1)) && faults_on_read(at(&large, 4 * p)));
    CHECK(xvm_release(&large) == XVM_OK && xvm_release(&small) == XVM_OK);
    CHECK(xvm_test_page_size(p, g) == XVM_OK);
}

TEST(a_page_size_that_cannot_be_is_invalid)
{
    size_t before = xvm_page_size(), granularity = xvm_allocation_granularity(), p, g;

    CHECK(xvm_test_page_size(0, 0) == XVM_OK); /* the real ones */
    p = xvm_page_size();
    g = xvm_allocation_granularity();
    {
        size_t broken[][2] = {{p / 2, 0},     {3 * p, 0},           {p, g / 2}, {p, 3 * g},
                              {8 * g, 4 * g}, {(size_t)1 << 19, 0}, {1, 1}};

        for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
            CHECK_EQUAL(xvm_test_page_size(broken[i][0], broken[i][1]), XVM_E_INVALID);
    }
    CHECK(xvm_page_size() == p && xvm_allocation_granularity() == g);
    CHECK(xvm_test_page_size(before, granularity) == XVM_OK);
}

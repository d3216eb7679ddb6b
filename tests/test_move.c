/* test_move.c - the bytes of pages in other pages: moved or copied, and which of it cannot be told. */
#include "harness.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20, AREA = 2 * MiB }; /* two areas of a region, each with room for a large move */

static size_t page;
static const size_t there = AREA;

static xvm_region reserve_with(const xvm_reserve_options *options)
{
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, 4 * (size_t)AREA, options), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * (size_t)AREA), XVM_OK);
    return r;
}

static unsigned char *at(const xvm_region *r, size_t offset)
{
    return (unsigned char *)r->base + offset;
}

/* Every page has a value of its own. */
static void fill(const xvm_region *r, size_t offset, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i += page)
        memset(at(r, offset + i), (int)((seed + i / page) % 255 + 1), page);
}

static bool is_filled(const xvm_region *r, size_t offset, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (at(r, offset)[i] != (unsigned char)((seed + i / page) % 255 + 1))
            return false;
    return true;
}

static bool is_zero(const xvm_region *r, size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at(r, offset)[i] != 0)
            return false;
    return true;
}

/* The pages that are in neither range. */
static bool others_are_filled(const xvm_region *r, size_t to, size_t from, size_t size,
                              unsigned seed)
{
    for (size_t i = 0; i < 2 * (size_t)AREA; i += page)
        if ((i < to || i >= to + size) && (i < from || i >= from + size) &&
            !is_filled(r, i, page, (unsigned)(seed + i / page)))
            return false;
    return true;
}

/* One move, and all that it promises. */
static void move_and_look(xvm_region *r, size_t to, size_t from, size_t size, unsigned seed)
{
    xvm_usage before, after;

    fill(r, 0, 2 * (size_t)AREA, 7);
    fill(r, from, size, seed);
    xvm_region_usage(r, &before);
    CHECK_EQUAL(xvm_move(r, to, from, size), XVM_OK);
    xvm_region_usage(r, &after);
    CHECK(is_filled(r, to, size, seed) && is_zero(r, from, size));
    CHECK_EQUAL(after.committed, before.committed);
    CHECK_EQUAL(after.locked, before.locked);
    CHECK_EQUAL(after.guarded, before.guarded);
    CHECK(others_are_filled(r, to, from, size, 7));
    fill(r, from, size, seed + 1); /* both can be written */
    CHECK(is_filled(r, to, size, seed));
    fill(r, to, size, seed + 2);
    CHECK(is_filled(r, from, size, seed + 1));
}

static void move_all_sizes(const xvm_reserve_options *options)
{
    size_t p = xvm_page_size();
    size_t sizes[] = {p, 3 * p, MiB - p, MiB, MiB + p, AREA - p, AREA};
    xvm_region r = reserve_with(options);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        move_and_look(&r, there, 0, sizes[i], 11);
        move_and_look(&r, 0, there, sizes[i], 23);
        move_and_look(&r, sizes[i], 0, sizes[i], 31); /* side by side */
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(bytes_move_and_zeros_stay)
{
    move_all_sizes(NULL);
}

TEST(every_kind_of_region_moves)
{
    static const xvm_reserve_options kinds[] = {
        {.commit_mode = XVM_COMMIT_SPARSE},
        {.huge = XVM_HUGE_TRANSPARENT},
        {.huge = XVM_HUGE_NEVER},
        {.fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "moves"},
        {.fork = XVM_FORK_NONE},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        move_all_sizes(&kinds[i]);
}

TEST(explicit_huge_pages_move)
{
    xvm_reserve_options options = {.huge = XVM_HUGE_MUST_EXPLICIT};
    xvm_region r;

    if (xvm_reserve(&r, 4 * (size_t)AREA, &options) != XVM_OK)
        SKIP("there are no explicit huge pages");
    page = xvm_page_size();
    move_and_look(&r, there, 0, page, 3);
    move_and_look(&r, there, 0, AREA, 5);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(what_was_never_written_moves_as_zeros)
{
    xvm_region r = reserve_with(NULL);

    fill(&r, there, AREA, 1);
    CHECK_EQUAL(xvm_move(&r, there, 0, AREA), XVM_OK);
    CHECK(is_zero(&r, 0, 2 * (size_t)AREA));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(moving_nothing_does_nothing)
{
    xvm_region r = reserve_with(NULL);

    CHECK_EQUAL(xvm_move(&r, 0, 0, 0), XVM_OK);
    CHECK_EQUAL(xvm_move(&r, 1, 3, 0), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void check_refused(xvm_region *r, size_t to, size_t from, size_t size, xvm_status why)
{
    xvm_usage before, after;

    xvm_region_usage(r, &before);
    CHECK_EQUAL(xvm_move(r, to, from, size), why);
    xvm_region_usage(r, &after);
    CHECK_EQUAL(xvm_last_status(), why);
    CHECK_EQUAL(after.committed, before.committed);
    CHECK_EQUAL(after.locked, before.locked);
    CHECK_EQUAL(after.guarded, before.guarded);
}

TEST(broken_ranges_are_invalid)
{
    xvm_region r = reserve_with(NULL);
    static xvm_region none;

    fill(&r, 0, 2 * (size_t)AREA, 9);
    check_refused(&r, 1, there, page, XVM_E_INVALID);
    check_refused(&r, 0, there + 1, page, XVM_E_INVALID);
    check_refused(&r, 0, there, page - 1, XVM_E_INVALID);
    check_refused(&r, r.size, 0, page, XVM_E_INVALID);
    check_refused(&r, 0, r.size, page, XVM_E_INVALID);
    check_refused(&r, 0, there, SIZE_MAX - page + 1, XVM_E_INVALID);
    check_refused(&r, 0, 0, page, XVM_E_INVALID);
    check_refused(&r, 0, page, 2 * page, XVM_E_INVALID);
    check_refused(&r, AREA - page, 0, AREA, XVM_E_INVALID);
    CHECK(is_filled(&r, 0, 2 * (size_t)AREA, 9));
    CHECK_EQUAL(xvm_move(NULL, 0, page, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_move(&none, 0, page, page), XVM_E_INVALID);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* The page in the middle of either range, of both sizes, is made something else by spoil. */
static void refuse_spoiled(xvm_status (*spoil)(xvm_region *r, size_t offset), xvm_status why)
{
    size_t p = xvm_page_size(), sizes[] = {4 * p, AREA};

    for (size_t i = 0; i < 4; i++) {
        xvm_region r = reserve_with(NULL);
        size_t size = sizes[i / 2], middle = size / 2 / page * page + (i % 2 == 0 ? 0 : there);

        fill(&r, 0, 2 * (size_t)AREA, 9);
        CHECK_EQUAL(spoil(&r, middle), XVM_OK);
        check_refused(&r, there, 0, size, why);
        check_refused(&r, 0, there, size, why);
        CHECK(is_filled(&r, 0, page, 9) &&
              is_filled(&r, there, page, (unsigned)(9 + there / page)));
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

static xvm_status spoil_by_decommit(xvm_region *r, size_t offset)
{
    return xvm_decommit(r, offset, page);
}

static xvm_status spoil_by_guard(xvm_region *r, size_t offset)
{
    return xvm_guard(r, offset, page);
}

static xvm_status spoil_by_closing(xvm_region *r, size_t offset)
{
    return xvm_protect(r, offset, page, XVM_NO_ACCESS);
}

static xvm_status spoil_by_read_only(xvm_region *r, size_t offset)
{
    return xvm_protect(r, offset, page, XVM_READ);
}

TEST(all_pages_must_be_committed_and_writable)
{
    refuse_spoiled(spoil_by_decommit, XVM_E_NOT_COMMITTED);
    refuse_spoiled(spoil_by_guard, XVM_E_NOT_COMMITTED);
    refuse_spoiled(spoil_by_closing, XVM_E_PERMISSION);
    refuse_spoiled(spoil_by_read_only, XVM_E_PERMISSION);
}

/* --- what stays ------------------------------------------------------------------------------- */

TEST(locked_pages_stay_locked)
{
    xvm_region r = reserve_with(NULL);
    xvm_usage u;

    for (size_t offset = 0; offset <= there; offset += there) {
        CHECK_EQUAL(xvm_lock(&r, offset + page, page), XVM_OK);
        move_and_look(&r, there, 0, 3 * page, 4);
        move_and_look(&r, there, 0, AREA, 4);
        xvm_region_usage(&r, &u);
        CHECK_EQUAL(u.locked, page);
        CHECK_EQUAL(xvm_unlock(&r, 0, r.size), XVM_OK);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(executable_pages_stay_executable)
{
    unsigned char truth[2];
    xvm_region r = reserve_with(NULL);

    if (xvm_protect(&r, page, page, XVM_READ_WRITE_EXECUTE) != XVM_OK)
        SKIP("no page may be writable and executable");
    move_and_look(&r, there, 0, AREA, 4);
    look_at_pages(at(&r, page), 1, page, truth);
    look_at_pages(at(&r, there + page), 1, page, truth + 1);
    CHECK_EQUAL(truth[0] & shown_truth(), 7 & shown_truth());
    CHECK_EQUAL(truth[1] & shown_truth(), 3 & shown_truth());
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_budget_does_not_notice)
{
    xvm_budget budget;
    xvm_region r;

    CHECK(xvm_budget_init(&budget, "moves", NULL, SIZE_MAX) == XVM_OK);
    r = reserve_with(&(xvm_reserve_options){.budget = &budget});
    move_and_look(&r, there, 0, AREA, 4);
    CHECK_EQUAL(budget.used, 2 * (size_t)AREA);
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(budget.used, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(back_and_forth_a_thousand_times)
{
    xvm_region r = reserve_with(NULL);

    fill(&r, 0, AREA, 1);
    for (unsigned i = 0; i < 500; i++) {
        CHECK_EQUAL(xvm_move(&r, there, 0, AREA), XVM_OK);
        CHECK_EQUAL(xvm_move(&r, 0, there, AREA), XVM_OK);
    }
    CHECK(is_filled(&r, 0, AREA, 1) && is_zero(&r, there, AREA));
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Parts of ranges that have moved before, and ranges made of many of them. */
TEST(random_moves_keep_every_page)
{
    enum { UNITS = 16, STEPS = 400 };
    size_t unit = MiB / 2, to, from, count;
    unsigned char expected[UNITS];
    uint64_t seed = 12;
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, UNITS * unit, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    for (size_t i = 0; i < UNITS; i++)
        memset(at(&r, i * unit), expected[i] = (unsigned char)(i + 1), unit);
    for (unsigned step = 0; step < STEPS; step++) {
        count = 1 + test_random(&seed) % (UNITS / 2);
        to = (size_t)(test_random(&seed) >> 20) % (UNITS - count + 1);
        from = (size_t)(test_random(&seed) >> 20) % (UNITS - count + 1);
        if (to < from + count && from < to + count) {
            CHECK_EQUAL(xvm_move(&r, to * unit, from * unit, count * unit), XVM_E_INVALID);
            continue;
        }
        CHECK_EQUAL(xvm_move(&r, to * unit, from * unit, count * unit), XVM_OK);
        memcpy(expected + to, expected + from, count);
        memset(expected + from, 0, count);
        for (size_t i = 0; i < UNITS; i++)
            CHECK(at(&r, i * unit)[0] == expected[i] && at(&r, (i + 1) * unit)[-1] == expected[i]);
        memset(at(&r, from * unit), expected[from] = (unsigned char)(step % 255 + 1), unit);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- refused system calls --------------------------------------------------------------------- */

static const xvm_reserve_options policies = {
    .fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "moves"};

/* One move while a script holds; how many calls were refused. Whatever was refused, no byte is lost. */
static size_t move_against(const char *script, size_t size, const xvm_reserve_options *options)
{
    xvm_region r = reserve_with(options);
    size_t refused;
    xvm_status status;
    xvm_usage u;

    fill(&r, 0, size, 5);
    CHECK(xvm_inject(script) == XVM_OK);
    status = xvm_move(&r, there, 0, size);
    refused = xvm_injected();
    CHECK(xvm_inject(NULL) == XVM_OK);
    xvm_region_usage(&r, &u);
    if (status == XVM_OK) {
        CHECK(is_filled(&r, there, size, 5) && is_zero(&r, 0, size));
        CHECK_EQUAL(u.committed, 2 * (size_t)AREA);
    } else {
        CHECK(is_filled(&r, 0, size, 5));
        CHECK_EQUAL(u.committed + u.guarded, 2 * (size_t)AREA);
    }
    CHECK_EQUAL(xvm_decommit(&r, there, AREA), XVM_OK); /* mends what was taken away */
    CHECK_EQUAL(xvm_commit(&r, there, AREA), XVM_OK);
    CHECK(is_zero(&r, there, AREA));
    CHECK(xvm_release(&r) == XVM_OK);
    return status == XVM_OK || refused > 1 ? refused : SIZE_MAX;
}

/* The fake system is asked for each page, and moves few of them as well. */
static size_t large(size_t size)
{
    return memory_is_fake() ? 8 * xvm_page_size() : size;
}

TEST(one_refused_call_is_no_refused_move)
{
    char script[32];
    size_t refused;

    for (unsigned kind = 0; kind < 4; kind++)
        for (unsigned n = 1;; n++) {
            snprintf(script, sizeof script, "*@%u", n);
            refused = move_against(script, kind % 2 == 0 ? large(AREA) : 3 * xvm_page_size(),
                                   kind < 2 ? NULL : &policies);
            CHECK(refused != SIZE_MAX);
            if (refused == 0)
                break;
        }
    CHECK(move_against("move", large(AREA), NULL) != 0 ||
          (xvm_system()->features & XVM_HAS_MOVE) == 0);
    CHECK_EQUAL(move_against("mremap", AREA, NULL) != 0,
                xvm_system()->features & XVM_HAS_MOVE && !memory_is_fake());
}

TEST(refused_calls_lose_no_byte)
{
    char script[64];

    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned n = 1;; n++) {
            snprintf(script, sizeof script, "*@%u+", n);
            if (move_against(script, large(AREA), kind == 0 ? NULL : &policies) == 0)
                break;
        }
        for (unsigned n = 1; n < 12; n++)
            for (unsigned m = n + 1; m < 16; m++) {
                snprintf(script, sizeof script, "*@%u,*@%u", n, m);
                (void)move_against(script, large(3 * (size_t)MiB / 2),
                                   kind == 0 ? NULL : &policies);
            }
    }
}

/* test_growth.c - memory that grows at one end: steps, refusals, giving back. */
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20 };

static size_t calls;

static void count_commit(const xvm_trace_call *call)
{
    calls += strcmp(call->operation, "commit") == 0;
}

static void check(const xvm_growth *g)
{
    CHECK(g->touched <= g->committed && g->committed <= g->reserved);
    for (size_t at = g->touched; at < g->committed; at += 997)
        CHECK(g->base[at] == 0);
}

TEST(growth_is_geometric_and_never_moves)
{
    size_t most = 256 * MiB, at = 0;
    xvm_growth g;
    void *base;

    if (memory_is_fake())
        most = 16 * MiB;
    CHECK_EQUAL(xvm_growth_begin(&g, most, NULL), XVM_OK);
    base = g.base;
    calls = 0;
    xvm_set_trace(count_commit);
    for (; at < most; at += 8) {
        CHECK(at < g.committed || xvm_growth_reach(&g, at + 8) == XVM_OK);
        if (at % (64 * KiB) == 0)
            g.base[at] = 1;
    }
    xvm_set_trace(NULL);
    printf("%zu commits for %zu MiB\n", calls, most / MiB);
    CHECK(calls < 80);
    CHECK(g.base == base && g.committed == g.reserved);
    CHECK_EQUAL(xvm_growth_reach(&g, g.reserved + 1), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    xvm_growth_end(&g);
    CHECK(g.base == NULL && g.reserved == 0);
    xvm_growth_end(&g);
    xvm_growth_end(NULL);
}

TEST(a_refused_step_is_tried_smaller)
{
    xvm_budget b;
    xvm_growth g;

    CHECK_EQUAL(xvm_budget_init(&b, "steps", NULL, 3 * MiB), XVM_OK);
    CHECK_EQUAL(xvm_growth_begin(&g, 8 * MiB, &(xvm_growth_options){.budget = &b, .step = 2 * MiB}),
                XVM_OK);
    CHECK_EQUAL(xvm_growth_reach(&g, 1), XVM_OK);
    CHECK_EQUAL(g.committed, 2 * MiB);
    CHECK_EQUAL(xvm_growth_reach(&g, 3 * MiB), XVM_OK); /* two more would be too much */
    CHECK_EQUAL(g.committed, 3 * MiB);
    CHECK_EQUAL(xvm_growth_reach(&g, 3 * MiB + 1), XVM_E_BUDGET);
    CHECK_EQUAL(g.committed, 3 * MiB);
    check(&g);
    xvm_growth_end(&g);
    CHECK_EQUAL(b.used, 0);
}

TEST(memory_is_given_back_with_reluctance)
{
    xvm_growth g;

    CHECK_EQUAL(xvm_growth_begin(&g, 64 * MiB, NULL), XVM_OK);
    CHECK_EQUAL(xvm_growth_reach(&g, 16 * MiB), XVM_OK);
    memset(g.base, 1, 16 * MiB);
    g.touched = 16 * MiB;
    xvm_growth_settle(&g, 5 * MiB);
    CHECK(g.committed >= 16 * MiB); /* less than four times what is in use */
    xvm_growth_settle(&g, 2 * MiB);
    CHECK(g.committed >= 8 * MiB && g.committed < 16 * MiB);
    CHECK(g.base[2 * MiB - 1] == 1);
    check(&g);
    CHECK_EQUAL(xvm_growth_reach(&g, 16 * MiB), XVM_OK);
    CHECK(g.base[12 * MiB] == 0);
    CHECK(xvm_growth_trim(&g, 3 * MiB + 1) >= 12 * MiB);
    CHECK(g.committed >= 3 * MiB + 1 && g.committed <= 3 * MiB + xvm_page_size());
    CHECK_EQUAL(xvm_growth_trim(&g, 3 * MiB + 1), 0);
    check(&g);
    CHECK(xvm_growth_trim(&g, 0) > 0);
    CHECK_EQUAL(g.committed, 0);
    xvm_growth_end(&g);
    CHECK_EQUAL(xvm_growth_begin(&g, 64 * MiB, &(xvm_growth_options){.flags = XVM_GROWTH_KEEP}),
                XVM_OK);
    CHECK_EQUAL(xvm_growth_reach(&g, 16 * MiB), XVM_OK);
    xvm_growth_settle(&g, 0);
    CHECK(g.committed >= 16 * MiB);
    xvm_growth_end(&g);
}

TEST(all_of_it_may_be_had_at_the_start)
{
    unsigned all = XVM_GROWTH_COMMIT | XVM_GROWTH_LOCKED | XVM_GROWTH_PREFAULT | XVM_GROWTH_KEEP;
    xvm_growth g;

    CHECK_EQUAL(xvm_growth_begin(&g, 48 * KiB, &(xvm_growth_options){.flags = all}), XVM_OK);
    CHECK_EQUAL(g.committed, g.reserved);
    memset(g.base, 1, g.committed);
    xvm_growth_end(&g);
    CHECK(xvm_inject("lock") == XVM_OK);
    CHECK_EQUAL(xvm_growth_begin(&g, 48 * KiB, &(xvm_growth_options){.flags = all}),
                XVM_E_LOCK_LIMIT);
    CHECK(g.base == NULL && g.reserved == 0 && g.own.region.base == NULL);
    CHECK(xvm_inject(NULL) == XVM_OK);
}

TEST(many_share_one_region)
{
    enum { COUNT = 200 };
    size_t part = 64 * KiB > xvm_page_size() ? 64 * KiB : xvm_page_size();
    static xvm_growth all[COUNT];
    xvm_region r;
    xvm_usage u;

    CHECK_EQUAL(
        xvm_reserve(&r, COUNT * part, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
        XVM_OK);
    for (size_t i = 0; i < COUNT; i++) {
        xvm_growth_options o = {.region = &r, .offset = i * part, .step = 1};

        CHECK_EQUAL(xvm_growth_begin(&all[i], part, &o), XVM_OK);
        CHECK_EQUAL(xvm_growth_reach(&all[i], 100), XVM_OK);
        memset(all[i].base, (int)i, 100);
        CHECK_EQUAL(xvm_growth_reach(&all[i], part + 1), XVM_E_ADDRESS_SPACE);
    }
    for (size_t i = 0; i < COUNT; i++)
        CHECK(all[i].base[99] == (unsigned char)i);
    for (size_t i = 0; i < COUNT; i++)
        xvm_growth_end(&all[i]);
    xvm_region_usage(&r, &u);
    CHECK_EQUAL(u.committed, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(broken_arguments_are_refused)
{
    size_t page = xvm_page_size();
    xvm_growth g;
    xvm_region r;

    CHECK_EQUAL(xvm_growth_begin(NULL, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_growth_begin(&g, 0, NULL), XVM_E_INVALID);
    CHECK(xvm_growth_begin(&g, SIZE_MAX, NULL) != XVM_OK);
    CHECK(xvm_growth_begin(&g, SIZE_MAX - page, NULL) != XVM_OK);
    CHECK_EQUAL(xvm_growth_reach(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_reserve(&r, 8 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_growth_begin(&g, page, &(xvm_growth_options){.region = &r, .offset = 1}),
                XVM_E_INVALID);
    CHECK_EQUAL(xvm_growth_begin(&g, page, &(xvm_growth_options){.region = &r, .offset = 8 * page}),
                XVM_E_INVALID);
    CHECK_EQUAL(
        xvm_growth_begin(&g, 2 * page, &(xvm_growth_options){.region = &r, .offset = 7 * page}),
        XVM_E_INVALID);
    CHECK_EQUAL(xvm_growth_begin(&g, SIZE_MAX, &(xvm_growth_options){.region = &r}), XVM_E_INVALID);
    CHECK(g.base == NULL && g.own.shared == NULL);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_growth_begin(&g, page, &(xvm_growth_options){.region = &r}), XVM_E_INVALID);
}

/* Each call of a step refused in its turn: nothing has changed, and the next try succeeds. */
TEST(a_refused_growth_changes_nothing)
{
    xvm_growth_options o = {.flags = XVM_GROWTH_LOCKED, .step = 64 * KiB};

    for (int n = 1;; n++) {
        char script[32];
        xvm_status status;
        size_t refused, before;
        xvm_growth g;

        CHECK_EQUAL(xvm_growth_begin(&g, MiB, &o), XVM_OK);
        CHECK_EQUAL(xvm_growth_reach(&g, 1), XVM_OK);
        before = g.committed;
        snprintf(script, sizeof script, "*@%d+", n);
        CHECK(xvm_inject(script) == XVM_OK);
        status = xvm_growth_reach(&g, before + 1);
        refused = xvm_injected();
        CHECK(xvm_inject(NULL) == XVM_OK);
        CHECK(status == XVM_OK || g.committed == before);
        CHECK_EQUAL(xvm_growth_reach(&g, before + 1), XVM_OK);
        check(&g);
        xvm_growth_end(&g);
        if (refused == 0)
            break;
    }
}

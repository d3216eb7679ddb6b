/* test_budget.c - budgets: what they count, when they refuse, whom they call. */
#include "harness.h"
#include "xvm/xvm.h"

static size_t page;

static xvm_region reserve_in(xvm_budget *budget, size_t pages)
{
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(
        xvm_reserve(&r, pages * page, &(xvm_reserve_options){.budget = budget, .name = "taxed"}),
        XVM_OK);
    return r;
}

static xvm_budget make(const char *name, xvm_budget *parent, size_t limit)
{
    xvm_budget b;

    CHECK_EQUAL(xvm_budget_init(&b, name, parent, limit), XVM_OK);
    return b;
}

/* --- counting --------------------------------------------------------------------------------- */

TEST(used_is_what_is_committed)
{
    xvm_budget root = make("root", NULL, SIZE_MAX), leaf = make("leaf", &root, SIZE_MAX);
    xvm_region a = reserve_in(&leaf, 20), b = reserve_in(&root, 20);

    CHECK_EQUAL(xvm_commit(&a, 3 * page, 4 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&a, 0, 5 * page), XVM_OK); /* two of them again */
    CHECK_EQUAL(xvm_commit(&b, 0, 10 * page), XVM_OK);
    CHECK_EQUAL(leaf.used, 7 * page);
    CHECK_EQUAL(root.used, 17 * page);
    CHECK_EQUAL(xvm_decommit(&a, 2 * page, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_guard(&a, 0, page), XVM_OK);
    CHECK_EQUAL(leaf.used, 4 * page);
    CHECK_EQUAL(xvm_discard(&a, 4 * page, page, XVM_DISCARD_ZERO), XVM_OK);
    CHECK_EQUAL(xvm_protect(&a, 4 * page, page, XVM_NO_ACCESS), XVM_OK);
    CHECK_EQUAL(leaf.used, 4 * page);
    CHECK_EQUAL(leaf.peak, 7 * page);
    CHECK_EQUAL(root.peak, 17 * page);
    CHECK(xvm_release(&a) == XVM_OK);
    CHECK_EQUAL(leaf.used, 0);
    CHECK_EQUAL(root.used, 10 * page);
    CHECK(xvm_release(&b) == XVM_OK);
    CHECK_EQUAL(root.used, 0);
}

TEST(memory_of_others_can_be_charged)
{
    xvm_budget root = make("root", NULL, 1000), leaf = make("leaf", &root, 600);

    CHECK_EQUAL(xvm_budget_charge(&leaf, 600), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 1), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_budget_charge(&root, 401), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_budget_charge(&root, SIZE_MAX), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_budget_charge(&root, 400), XVM_OK);
    CHECK_EQUAL(root.used, 1000);
    CHECK_EQUAL(xvm_budget_return(&leaf, 601), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_return(&leaf, 600), XVM_OK);
    CHECK_EQUAL(xvm_budget_return(&root, 400), XVM_OK);
    CHECK_EQUAL(root.used, 0);
    CHECK_EQUAL(xvm_budget_charge(&root, 0), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_return(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_init(NULL, NULL, NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_set_limit(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_set_soft_limit(NULL, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_init_container(NULL), XVM_E_INVALID);
}

/* --- refusing --------------------------------------------------------------------------------- */

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

TEST(a_refusal_makes_no_system_call_and_changes_nothing)
{
    size_t p = xvm_page_size();
    xvm_budget root = make("root", NULL, 8 * p), leaf = make("leaf", &root, SIZE_MAX);
    xvm_region r = reserve_in(&leaf, 20);

    CHECK_EQUAL(xvm_commit(&r, 2 * page, 4 * page), XVM_OK);
    memset((unsigned char *)r.base + 2 * page, 1, 4 * page);
    calls = 0;
    xvm_set_trace(count_call);
    CHECK_EQUAL(xvm_commit(&r, 0, 9 * page), XVM_E_BUDGET); /* five more */
    CHECK_EQUAL(xvm_last_status(), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_system_error(), 0);
    CHECK_EQUAL(calls, 0);
    xvm_set_trace(NULL);
    CHECK_EQUAL(leaf.used, 4 * page);
    CHECK_EQUAL(root.used, 4 * page);
    CHECK(faults_on_read(r.base));
    CHECK_EQUAL(xvm_commit(&r, 0, 8 * page), XVM_OK); /* four */
    CHECK_EQUAL(xvm_commit(&r, 0, 8 * page), XVM_OK); /* none */
    CHECK_EQUAL(xvm_commit(&r, 8 * page, 1), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_decommit(&r, 0, page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 8 * page, 1), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(root.used, 0);
}

TEST(a_limit_may_move)
{
    size_t p = xvm_page_size();
    xvm_budget b = make("moving", NULL, 4 * p);
    xvm_region r = reserve_in(&b, 20);

    CHECK_EQUAL(xvm_commit(&r, 0, 4 * page), XVM_OK);
    CHECK_EQUAL(xvm_budget_set_limit(&b, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 4 * page, page), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_decommit(&r, 0, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 4 * page, page), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_budget_set_limit(&b, 5 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 4 * page, 3 * page), XVM_OK);
    CHECK_EQUAL(b.used, b.limit);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* What the system refuses is not charged, whatever was refused on the way. */
TEST(a_commit_that_the_system_refuses_costs_nothing)
{
    xvm_budget b = make("refused", NULL, SIZE_MAX);
    static const char *const scripts[] = {"commit", "bookkeeping", "*", "commit@2", "*@2"};

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        xvm_region r = reserve_in(&b, 20);
        xvm_usage u;

        CHECK(xvm_inject(scripts[i]) == XVM_OK);
        CHECK(xvm_commit(&r, 2 * page, page) != XVM_OK || i > 2);
        CHECK(xvm_commit(&r, 0, 9 * page) != XVM_OK || i > 2);
        CHECK(xvm_inject(NULL) == XVM_OK);
        xvm_region_usage(&r, &u);
        CHECK_EQUAL(b.used, u.committed);
        CHECK(xvm_release(&r) == XVM_OK);
        CHECK_EQUAL(b.used, 0);
    }
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* What a callback does and has seen. */
typedef struct cache {
    xvm_region *region; /* to decommit; NULL: nothing */
    int number, called;
    xvm_pressure seen;
} cache;

static int order[16], ordered;

static void drop(const xvm_pressure *pressure, void *context)
{
    cache *c = context;

    c->called++;
    c->seen = *pressure;
    order[ordered++ % 16] = c->number;
    if (c->region != NULL)
        CHECK_EQUAL(xvm_decommit(c->region, 0, c->region->size), XVM_OK);
}

TEST(a_callback_may_make_room)
{
    size_t p = xvm_page_size();
    xvm_budget b = make("small", NULL, 10 * p);
    xvm_region kept = reserve_in(&b, 20), cached = reserve_in(&b, 20);
    cache c = {.region = &cached};
    xvm_pressure_callback callback = {.call = drop, .context = &c};

    CHECK_EQUAL(xvm_commit(&cached, 0, 6 * page), XVM_OK);
    CHECK_EQUAL(xvm_budget_add_callback(&b, &callback), XVM_OK);
    CHECK_EQUAL(xvm_commit(&kept, 0, 8 * page), XVM_OK);
    CHECK_EQUAL(c.called, 1);
    CHECK(c.seen.reason == XVM_PRESSURE_LIMIT && c.seen.budget == &b);
    CHECK_EQUAL(c.seen.wanted, 8 * page);
    CHECK_EQUAL(c.seen.missing, 4 * page);
    CHECK_EQUAL(b.used, 8 * page);
    CHECK_EQUAL(xvm_commit(&kept, 0, 11 * page), XVM_E_BUDGET); /* nothing left to drop */
    CHECK_EQUAL(c.called, 2);
    CHECK_EQUAL(xvm_budget_remove_callback(&b, &callback), XVM_OK);
    CHECK_EQUAL(xvm_budget_remove_callback(&b, &callback), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_commit(&kept, 0, 11 * page), XVM_E_BUDGET);
    CHECK_EQUAL(c.called, 2);
    CHECK(xvm_release(&kept) == XVM_OK && xvm_release(&cached) == XVM_OK);
}

TEST(callbacks_are_called_by_priority_once_for_each_refusal)
{
    xvm_budget root = make("root", NULL, 100), leaf = make("leaf", &root, SIZE_MAX);
    static const int priorities[5] = {3, 9, 3, -2, 9};
    static const int expected[5] = {1, 4, 0, 2, 3};
    xvm_pressure_callback callbacks[5];
    cache caches[5];

    for (int i = 0; i < 5; i++) {
        caches[i] = (cache){.number = i};
        callbacks[i] =
            (xvm_pressure_callback){.call = drop, .context = &caches[i], .priority = priorities[i]};
        CHECK_EQUAL(xvm_budget_add_callback(&root, &callbacks[i]), XVM_OK);
    }
    CHECK_EQUAL(xvm_budget_charge(&leaf, 101), XVM_E_BUDGET);
    CHECK_EQUAL(ordered, 5);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(order[i], expected[i]);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 100), XVM_OK);
    CHECK_EQUAL(ordered, 5);
    CHECK_EQUAL(xvm_budget_add_callback(&root, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_add_callback(&root, &(xvm_pressure_callback){0}), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_remove_callback(NULL, &callbacks[0]), XVM_E_INVALID);
    CHECK_EQUAL(xvm_budget_remove_callback(&leaf, &callbacks[0]), XVM_E_NOT_FOUND);
}

TEST(going_past_a_soft_limit_is_told_once)
{
    xvm_budget root = make("root", NULL, SIZE_MAX), leaf = make("leaf", &root, SIZE_MAX);
    cache c = {.number = 1};
    xvm_pressure_callback callback = {.call = drop, .context = &c};

    CHECK_EQUAL(xvm_budget_add_callback(&root, &callback), XVM_OK);
    CHECK_EQUAL(xvm_budget_set_soft_limit(&root, 100), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 100), XVM_OK);
    CHECK_EQUAL(c.called, 0);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 30), XVM_OK);
    CHECK_EQUAL(c.called, 1);
    CHECK(c.seen.reason == XVM_PRESSURE_SOFT && c.seen.budget == &root && c.seen.missing == 30);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 30), XVM_OK); /* it knows already */
    CHECK_EQUAL(c.called, 1);
    CHECK_EQUAL(xvm_budget_return(&leaf, 60), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 1), XVM_OK);
    CHECK_EQUAL(c.called, 2);
}

TEST(callbacks_hear_of_the_system_too)
{
    xvm_budget root = make("root", NULL, SIZE_MAX), leaf = make("leaf", &root, SIZE_MAX);
    cache above = {.number = 1}, here = {.number = 2};
    xvm_pressure_callback a = {.call = drop, .context = &above};
    xvm_pressure_callback h = {.call = drop, .context = &here};
    xvm_region r = reserve_in(&leaf, 20);

    CHECK_EQUAL(xvm_budget_add_callback(&root, &a), XVM_OK);
    CHECK_EQUAL(xvm_budget_add_callback(&leaf, &h), XVM_OK);
    CHECK(xvm_inject("commit@1") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 5 * page), XVM_OK); /* the second try is granted */
    CHECK(xvm_injected() == 1 && above.called == 1 && here.called == 1);
    CHECK(here.seen.reason == XVM_PRESSURE_SYSTEM && here.seen.wanted == 5 * page);
    CHECK(xvm_inject("commit") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 5 * page, page), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_injected(), 2);
    CHECK_EQUAL(here.called, 2);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(leaf.used, 5 * page);
    CHECK(xvm_release(&r) == XVM_OK);
}

static void commit_more(const xvm_pressure *pressure, void *context)
{
    cache *c = context;

    c->called++;
    CHECK_EQUAL(xvm_budget_charge(pressure->budget, 1000), XVM_E_BUDGET);
}

TEST(a_refusal_within_a_callback_calls_none)
{
    xvm_budget b = make("deep", NULL, 10);
    cache c = {.number = 1};
    xvm_pressure_callback callback = {.call = commit_more, .context = &c};

    CHECK_EQUAL(xvm_budget_add_callback(&b, &callback), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&b, 11), XVM_E_BUDGET);
    CHECK_EQUAL(c.called, 1);
    CHECK_EQUAL(xvm_budget_charge(&b, 11), XVM_E_BUDGET);
    CHECK_EQUAL(c.called, 2);
}

/* --- retries ---------------------------------------------------------------------------------- */

TEST(a_refused_commit_is_tried_again_when_that_was_asked_for)
{
    xvm_budget b = make("patient", NULL, SIZE_MAX);
    xvm_region r = reserve_in(&b, 20), hasty;

    CHECK_EQUAL(xvm_set_commit_retry(1001, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_set_commit_retry(1, 10001), XVM_E_INVALID);
    CHECK_EQUAL(xvm_set_commit_retry(3, 1), XVM_OK);
    CHECK(xvm_inject("commit@1,commit@2,commit@3") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_OK);
    CHECK_EQUAL(xvm_injected(), 3);
    CHECK(xvm_inject("commit") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, page, page), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_injected(), 4);
    CHECK_EQUAL(xvm_reserve(&hasty, 1, &(xvm_reserve_options){.flags = XVM_RESERVE_NO_RETRY}),
                XVM_OK);
    CHECK(xvm_inject("commit") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&hasty, 0, 1), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_injected(), 1);
    CHECK_EQUAL(xvm_set_commit_retry(0, 0), XVM_OK);
    CHECK(xvm_inject("commit") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, page, page), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_injected(), 1);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(b.used, page);
    CHECK(xvm_release(&r) == XVM_OK && xvm_release(&hasty) == XVM_OK);
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 4000 };

typedef struct crowd {
    xvm_budget root, leaves[2];
    size_t page;
} crowd;

/* Its own region, its own seed; whatever is refused is refused as a whole. */
static void commit_and_decommit(void *context, int index)
{
    crowd *all = context;
    xvm_budget *leaf = &all->leaves[index % 2];
    uint64_t seed = (uint64_t)index * 31 + 7;
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 16 * all->page, &(xvm_reserve_options){.budget = leaf}), XVM_OK);
    for (int i = 0; i < ROUNDS; i++) {
        size_t from = (size_t)(test_random(&seed) >> 20) % 16;
        size_t pages = (size_t)(test_random(&seed) >> 20) % (16 - from) + 1;
        xvm_status status = XVM_OK;

        if (test_random(&seed) >> 63)
            status = xvm_commit(&r, from * all->page, pages * all->page);
        else
            CHECK_EQUAL(xvm_decommit(&r, from * all->page, pages * all->page), XVM_OK);
        CHECK(status == XVM_OK || status == XVM_E_BUDGET);
        CHECK(__atomic_load_n(&all->root.used, __ATOMIC_RELAXED) <= all->root.limit);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

static void look_only(const xvm_pressure *pressure, void *context)
{
    (void)context;
    CHECK(pressure->wanted != 0);
}

static void come_and_go(xvm_budget *root)
{
    xvm_pressure_callback callback = {.call = look_only};

    for (int i = 0; i < ROUNDS / 4; i++) {
        CHECK_EQUAL(xvm_budget_add_callback(root, &callback), XVM_OK);
        CHECK_EQUAL(xvm_budget_remove_callback(root, &callback), XVM_OK);
    }
}

static void work(void *context, int index)
{
    crowd *all = context;

    if (index == 0)
        come_and_go(&all->leaves[0]);
    else
        commit_and_decommit(context, index);
}

TEST(threads_share_a_budget)
{
    static crowd all;
    xvm_pressure_callback callback = {.call = look_only};

    all.page = xvm_page_size();
    all.root = make("root", NULL, 50 * all.page);
    all.leaves[0] = make("even", &all.root, 30 * all.page);
    all.leaves[1] = make("odd", &all.root, SIZE_MAX);
    CHECK_EQUAL(xvm_budget_add_callback(&all.root, &callback), XVM_OK);
    run_threads(memory_is_fake() ? 1 : THREADS, work, &all);
    CHECK_EQUAL(all.root.used, 0);
    CHECK_EQUAL(all.leaves[0].used, 0);
    CHECK(all.root.peak <= all.root.limit && all.leaves[0].peak <= all.leaves[0].limit);
}

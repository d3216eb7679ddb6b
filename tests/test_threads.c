/* test_threads.c - many threads on one region, on one address, and on pages that they share by
 * rounding. */
#include "harness.h"
#include "model.h"
#include "xvm/xvm.h"

enum { THREADS = 8, STEPS = 20000, MODEL_COUNT = 37, RACE_ROUNDS = 500 };

/* --- disjoint pages of one region ------------------------------------------------------------- */

typedef struct shared {
    xvm_region *region;
    model models[THREADS];
} shared;

static void play_part(void *context, int index)
{
    shared *all = context;
    model *m = &all->models[index];

    *m = (model){.region = all->region,
                 .first = (size_t)index * MODEL_COUNT,
                 .count = MODEL_COUNT,
                 .page = xvm_page_size(),
                 .seed = (uint64_t)index * 7919 + 3,
                 .marks = (xvm_system()->features & XVM_HAS_LIGHT_GUARDS) != 0};
    while (m->steps < STEPS)
        model_step(m);
}

/* The parts are neighbours in one word of states, and in one kernel mapping. */
TEST(threads_on_different_pages_of_one_region)
{
    size_t committed = 0, locked = 0;
    static shared all;
    xvm_region r;
    xvm_usage u;

    CHECK(xvm_reserve(&r, THREADS * MODEL_COUNT * xvm_page_size(), NULL) == XVM_OK);
    all.region = &r;
    run_threads(THREADS, play_part, &all);
    for (int i = 0; i < THREADS; i++) {
        model_count(&all.models[i], &committed, &locked);
        model_check_truth(&all.models[i]);
    }
    xvm_region_usage(&r, &u);
    CHECK_EQUAL(u.committed, committed);
    CHECK_EQUAL(u.locked, locked);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- pages shared by rounding ----------------------------------------------------------------- */

typedef struct slices {
    xvm_region region;
    size_t slice, count;
} slices;

/* Takes every THREADS-th slice; a page belongs to several. */
static void commit_slices(void *context, int index)
{
    slices *all = context;

    for (size_t i = (size_t)index; i < all->count; i += THREADS) {
        unsigned char *at = (unsigned char *)all->region.base + i * all->slice;

        CHECK_EQUAL(xvm_commit(&all->region, i * all->slice, all->slice), XVM_OK);
        memset(at, index + 1, all->slice);
    }
}

static void share_pages(void)
{
    slices all = {.slice = xvm_page_size() / 4, .count = 4000};
    xvm_usage u;

    CHECK(xvm_reserve(&all.region, all.slice * all.count, NULL) == XVM_OK);
    run_threads(THREADS, commit_slices, &all);
    xvm_region_usage(&all.region, &u);
    CHECK_EQUAL(u.committed, all.region.size);
    for (size_t i = 0; i < all.count; i++)
        CHECK_EQUAL(((unsigned char *)all.region.base)[i * all.slice], i % THREADS + 1);
    CHECK(xvm_release(&all.region) == XVM_OK);
}

TEST(commits_that_share_pages_are_counted_once)
{
    for (int round = 0; round < 20; round++) /* what one thread looks at another changes */
        share_pages();
}

/* --- one address ------------------------------------------------------------------------------ */

typedef struct race {
    void *address;
    xvm_region won[THREADS];
    bool has_won[THREADS];
} race;

static void reserve_there(void *context, int index)
{
    race *r = context;
    xvm_status status = xvm_reserve(&r->won[index], xvm_allocation_granularity(),
                                    &(xvm_reserve_options){.address = r->address});

    CHECK(status == XVM_OK || status == XVM_E_ADDRESS_TAKEN);
    r->has_won[index] = status == XVM_OK;
    if (status != XVM_OK)
        return;
    CHECK(xvm_commit(&r->won[index], 0, 1) == XVM_OK);
    *(volatile unsigned char *)r->won[index].base = (unsigned char)(index + 1);
}

TEST(one_thread_gets_an_exact_address)
{
    size_t size =
        sizeof(void *) == 8 ? (size_t)1 << 30 : (size_t)1 << 28; /* stacks will take its edges */
    xvm_region first;
    int won = 0;
    race r;

    if (memory_is_fake())
        SKIP("malloc has no exact addresses");
    CHECK(xvm_reserve(&first, size, NULL) == XVM_OK);
    r.address = (unsigned char *)first.base + size / 2;
    CHECK(xvm_release(&first) == XVM_OK);
    for (int round = 0; round < RACE_ROUNDS; round++) {
        int winners = 0;

        run_threads(THREADS, reserve_there, &r);
        for (int i = 0; i < THREADS; i++) {
            winners += r.has_won[i];
            if (!r.has_won[i])
                continue;
            CHECK_EQUAL(*(unsigned char *)r.won[i].base, i + 1);
            CHECK(xvm_release(&r.won[i]) == XVM_OK);
        }
        CHECK(winners <= 1); /* 0: something else of the process took the address */
        won += winners;
    }
    CHECK(won > RACE_ROUNDS / 2);
}

/* --- regions of many threads ------------------------------------------------------------------ */

static void churn(void *context, int index)
{
    size_t page = xvm_page_size();
    xvm_region r;

    (void)context;
    for (int i = 0; i < 2000; i++) {
        xvm_reserve_options o = {.alignment = i % 3 == 0 ? 64 * page : 0};

        CHECK_EQUAL(xvm_reserve(&r, 16 * page, &o), XVM_OK);
        CHECK(xvm_commit(&r, 3 * page, 5 * page) == XVM_OK);
        memset((unsigned char *)r.base + 3 * page, index + 1, 5 * page);
        CHECK(xvm_decommit(&r, 4 * page, page) == XVM_OK);
        CHECK(((unsigned char *)r.base)[3 * page] == index + 1);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(threads_with_regions_of_their_own)
{
    run_threads(THREADS, churn, NULL);
}

static void fail_differently(void *context, int index)
{
    xvm_region r;

    (void)context;
    CHECK(xvm_last_status() == XVM_OK);
    for (int i = 0; i < 1000; i++) {
        if (index % 2 == 0) {
            CHECK(xvm_reserve(&r, 0, NULL) == XVM_E_INVALID);
            CHECK(xvm_last_status() == XVM_E_INVALID);
        } else {
            CHECK(xvm_reserve(&r, SIZE_MAX, NULL) == XVM_E_ADDRESS_SPACE);
            CHECK(xvm_last_status() == XVM_E_ADDRESS_SPACE);
        }
    }
}

TEST(each_thread_has_its_own_last_failure)
{
    if (memory_is_fake())
        SKIP("the fake has one thread");
    run_threads(THREADS, fail_differently, NULL);
    CHECK(xvm_last_status() == XVM_OK);
}

/* test_model.c - a million random calls for each seed, against a plain array and the system's own
 * table. */
#include "harness.h"
#include "model.h"
#include "xvm/xvm.h"

enum { STEPS = 1000000, LOOK = 64 };

static void check_usage(const model *m)
{
    size_t committed = 0, locked = 0;
    xvm_usage u;

    model_count(m, &committed, &locked);
    xvm_region_usage(m->region, &u);
    CHECK_EQUAL(u.committed, committed);
    CHECK_EQUAL(u.locked, locked);
    CHECK(u.resident <= u.committed);
}

/* The seed is printed first: a failure is played again by putting it here. */
static void play(uint64_t seed)
{
    model m = {.count = MODEL_PAGES, .page = xvm_page_size(), .seed = seed, .may_fault = true};
    xvm_region r;

    printf("seed %llu\n", (unsigned long long)seed);
    CHECK(xvm_reserve(&r, MODEL_PAGES * m.page, NULL) == XVM_OK);
    m.region = &r;
    while (m.steps < STEPS) {
        model_step(&m);
        if (m.steps % LOOK == 0) {
            check_usage(&m);
            model_check_truth(&m);
        }
    }
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_million_random_calls_seed_1)
{
    play(1);
}

TEST(a_million_random_calls_seed_20260)
{
    play(20260);
}

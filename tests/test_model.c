/* test_model.c - a million random calls for each seed (fewer where they are slow), against a plain array and the system's own
 * table. */
#include "harness.h"
#include "model.h"
#include "xvm/xvm.h"

enum { STEPS = 1000000, EMULATED_STEPS = 100000, LOOK = 64 };

static void check_usage(const model *m)
{
    size_t committed = 0, locked = 0;
    xvm_usage u;

    model_count(m, &committed, &locked);
    xvm_region_usage(m->region, &u);
    CHECK_EQUAL(u.committed, committed);
    CHECK_EQUAL(u.locked, locked);
    CHECK_EQUAL(u.guarded, model_count_guards(m));
    CHECK_EQUAL(m->budget->used, committed);
    CHECK(u.resident <= u.committed);
}

/* The seed is printed first: a failure is played again by putting it here. */
static void play(uint64_t seed, xvm_commit_mode mode, bool light)
{
    model m = {.count = MODEL_PAGES, .page = xvm_page_size(), .seed = seed, .may_fault = true};
    xvm_budget budget;
    xvm_region r;

    printf("seed %llu\n", (unsigned long long)seed);
    CHECK(xvm_budget_init(&budget, "model", NULL, SIZE_MAX) == XVM_OK);
    CHECK(xvm_reserve(&r, MODEL_PAGES * m.page,
                      &(xvm_reserve_options){.commit_mode = mode, .budget = &budget}) == XVM_OK);
    m.region = &r;
    m.budget = &budget;
    m.marks = light || r.own.sparse;
    m.coarse = r.own.sparse && !light;
    while (m.steps < (memory_is_emulated() ? EMULATED_STEPS : STEPS)) {
        model_step(&m);
        if (m.steps % LOOK == 0) {
            check_usage(&m);
            model_check_truth(&m);
        }
    }
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(budget.used, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

static bool has_light_guards(void)
{
    return (xvm_system()->features & XVM_HAS_LIGHT_GUARDS) != 0;
}

TEST(a_million_random_calls_seed_1)
{
    play(1, XVM_COMMIT_CHARGED, has_light_guards());
}

TEST(a_million_random_calls_seed_20260)
{
    play(20260, XVM_COMMIT_CHARGED, has_light_guards());
}

TEST(a_million_random_calls_in_a_sparse_region)
{
    play(77, XVM_COMMIT_SPARSE, has_light_guards());
}

TEST(a_million_random_calls_without_light_guards)
{
    if (!has_no_light_guards())
        SKIP("this system has light guards, and cannot be without");
    play(4, XVM_COMMIT_CHARGED, false);
    play(5, XVM_COMMIT_SPARSE, false);
}

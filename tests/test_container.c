/* test_container.c - what a container has left is looked at before anything is touched: a machine is
 * pretended that is in one. */
#include "harness.h"
#include "os_fake.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20 };

static xvm_region commit_in(xvm_budget *budget, size_t size)
{
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, size, &(xvm_reserve_options){.budget = budget}), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, size), XVM_OK);
    return r;
}

TEST(a_container_budget_is_what_is_left_less_a_margin)
{
    xvm_budget b;

    CHECK_EQUAL(xvm_budget_init_container(&b), XVM_OK);
    CHECK_EQUAL(b.limit, SIZE_MAX); /* there is no container */
    fake_container_limit = 64 * MiB;
    fake_container_used = 10 * MiB;
    CHECK_EQUAL(xvm_budget_init_container(&b), XVM_OK);
    CHECK_EQUAL(b.limit, 52 * MiB);
    CHECK(strcmp(b.name, "container") == 0);
    CHECK_EQUAL(xvm_budget_charge(&b, 52 * MiB), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&b, 1), XVM_E_BUDGET);
    CHECK_EQUAL(xvm_budget_return(&b, 52 * MiB), XVM_OK);
    fake_container_used = 63 * MiB;
    CHECK_EQUAL(xvm_budget_init_container(&b), XVM_OK);
    CHECK_EQUAL(b.limit, 0);
}

TEST(what_others_take_from_a_container_is_seen)
{
    xvm_budget b, leaf;

    fake_container_limit = 64 * MiB;
    CHECK_EQUAL(xvm_budget_init_container(&b), XVM_OK);
    CHECK_EQUAL(xvm_budget_init(&leaf, "leaf", &b, SIZE_MAX), XVM_OK);
    CHECK_EQUAL(xvm_budget_charge(&leaf, 10 * MiB), XVM_OK);
    fake_container_used = 61 * MiB;
    CHECK_EQUAL(xvm_budget_charge(&leaf, 2 * MiB), XVM_E_BUDGET);
    CHECK_EQUAL(leaf.used, 10 * MiB);
    CHECK_EQUAL(b.used, 10 * MiB);
    CHECK_EQUAL(xvm_budget_charge(&leaf, MiB), XVM_OK);
}

static size_t touches;

static void count_touch(const xvm_trace_call *call)
{
    touches += strcmp(call->operation, "prefault") == 0 || strcmp(call->operation, "lock") == 0;
}

/* All memory of the fake is resident, so what is missing is none; unless the call is larger than
 * what there is. */
TEST(prefault_and_lock_look_before_they_touch)
{
    xvm_region r = commit_in(NULL, 8 * MiB);

    fake_container_limit = 64 * MiB;
    fake_container_used = 60 * MiB;
    fake_nothing_resident = true;
    xvm_set_trace(count_touch);
    CHECK_EQUAL(xvm_prefault(&r, 0, 4 * MiB), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_lock(&r, 0, 4 * MiB), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(touches, 0);
    CHECK_EQUAL(xvm_prefault(&r, 0, MiB), XVM_OK);
    CHECK_EQUAL(xvm_lock(&r, 0, MiB), XVM_OK);
    fake_nothing_resident = false; /* what is there already needs no room */
    CHECK_EQUAL(xvm_prefault(&r, 0, 8 * MiB), XVM_OK);
    xvm_set_trace(NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

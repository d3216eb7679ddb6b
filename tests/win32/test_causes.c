/* test_causes.c - the causes behind refusals of a Windows process, each met for real, and the knob that
 * its sentence names. Wine has fewer of them. */
#include "harness.h"
#include "xvm/xvm.h"

static const size_t MiB = (size_t)1 << 20;

static const char *sentence(void)
{
    static char text[1024];

    CHECK(xvm_explain(text, sizeof text) < sizeof text);
    return text;
}

static void says(const char *part)
{
    if (strstr(sentence(), part) == NULL) {
        fprintf(stderr, "\"%s\" is not in: %s\n", part, sentence());
        exit(1);
    }
}

TEST(an_address_that_is_taken)
{
    xvm_region r, second;

    CHECK(xvm_reserve(&r, MiB, NULL) == XVM_OK);
    CHECK_EQUAL(xvm_reserve(&second, MiB, &(xvm_reserve_options){.address = r.base}),
                XVM_E_ADDRESS_TAKEN);
    says("reserve of 1 MiB at 0x");
    says("NULL");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_size_beyond_all_addresses)
{
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, (size_t)1 << (sizeof(size_t) * 8 - 1), NULL), XVM_E_ADDRESS_SPACE);
    says("refused: ");
    if (xvm_system()->address_bits == 0)
        SKIP("the system does not tell how many addresses there are");
    says(" bits) is ");
}

TEST(no_hole_where_one_is_wanted)
{
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 16 * MiB, &(xvm_reserve_options){.below = 8 * MiB}),
                XVM_E_ADDRESS_SPACE);
    says("no hole");
    says("below");
}

TEST(a_commit_larger_than_the_machine)
{
    xvm_region r;

    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
    CHECK(xvm_reserve(&r, (size_t)(256ull << 30), NULL) == XVM_OK);
    if (xvm_commit(&r, 0, r.size) == XVM_OK)
        SKIP("this machine has as much");
    says("commit of 256 GiB refused: ");
    says("page file");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(more_than_a_budget)
{
    xvm_budget level;
    xvm_region r;

    CHECK(xvm_budget_init(&level, "level", NULL, MiB) == XVM_OK);
    CHECK(xvm_reserve(&r, 4 * MiB, &(xvm_reserve_options){.budget = &level}) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * MiB), XVM_E_BUDGET);
    says("budget 'level' is 1 MiB, 0 bytes in use; raise it with xvm_budget_set_limit");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(large_pages_need_a_privilege)
{
    xvm_region r;
    xvm_status status =
        xvm_reserve(&r, 2 * MiB, &(xvm_reserve_options){.huge = XVM_HUGE_MUST_EXPLICIT});

    if (status == XVM_E_PERMISSION)
        says("SeLockMemoryPrivilege");
    else if (status != XVM_OK)
        says("reserve of 2 MiB");
    CHECK(xvm_release(&r) == XVM_OK);
}

/* A code whose limit is not known is told as the system's. */
TEST(a_failure_without_a_limit_is_told_without_one)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, MiB, NULL) == XVM_OK);
    CHECK(xvm_inject("commit=1455") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, MiB), XVM_E_COMMIT_LIMIT);
    CHECK(xvm_inject(NULL) == XVM_OK);
    says("(error 1455)");
    CHECK(xvm_release(&r) == XVM_OK);
}

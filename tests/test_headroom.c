/* test_headroom.c - what limits leave, of a system whose limits are chosen by the test. */
#include "harness.h"
#include "os_fake.h"
#include "xvm/xvm.h"

enum { MIB = 1 << 20 };

static uint64_t headroom_in(uint64_t limit, uint64_t used)
{
    xvm_limits l;

    fake_container_limit = limit;
    fake_container_used = used;
    CHECK_EQUAL(xvm_get_limits(&l), XVM_OK);
    CHECK_EQUAL(l.container_limit, limit);
    CHECK_EQUAL(l.container_used, used);
    fake_container_limit = fake_container_used = 0;
    return l.headroom;
}

TEST(the_machine_alone_leaves_what_it_has)
{
    xvm_limits l;

    CHECK_EQUAL(xvm_get_limits(&l), XVM_OK);
    CHECK(l.container_limit == UINT64_MAX && l.container_used == UINT64_MAX);
    CHECK(l.headroom != 0 && l.headroom != UINT64_MAX);
    CHECK_EQUAL(l.headroom, xvm_system()->physical_memory);
}

TEST(a_container_leaves_its_limit_less_its_use)
{
    CHECK_EQUAL(headroom_in(256 * MIB, 100 * MIB), 156 * MIB);
    CHECK_EQUAL(headroom_in(256 * MIB, 0), 256 * MIB);
}

TEST(a_container_over_its_limit_leaves_nothing)
{
    CHECK_EQUAL(headroom_in(256 * MIB, 256 * MIB), 0);
    CHECK_EQUAL(headroom_in(256 * MIB, 300 * MIB), 0);
}

TEST(a_container_larger_than_the_machine_leaves_what_the_machine_has)
{
    CHECK_EQUAL(headroom_in((uint64_t)1 << 60, 100 * MIB), xvm_system()->physical_memory);
}

TEST(use_that_is_not_known_is_none)
{
    CHECK_EQUAL(headroom_in(256 * MIB, UINT64_MAX), 256 * MIB);
}

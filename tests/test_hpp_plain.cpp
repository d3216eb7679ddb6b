/* test_hpp_plain.cpp - xvm.hpp without exceptions and without RTTI: what does not throw is enough. */
#include "harness.h"
#include "xvm/xvm.hpp"

#if defined __cpp_exceptions || defined __cpp_rtti
#error "this file is for -fno-exceptions -fno-rtti"
#endif

TEST(a_vector_ends_at_its_limit)
{
    xvm::vector<int> v(xvm::at_most(3));

    for (int i = 0; i < 3; i++)
        CHECK(v.try_push_back(i) == &v.back());
    CHECK(v.try_push_back(3) == nullptr && v.try_emplace_back(3) == nullptr);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    CHECK(!v.try_resize(4) && !v.try_reserve(4) && v.size() == 3 && v[2] == 2);
    CHECK(v.try_resize(1) && v.try_reserve(3));
    v.insert(v.begin(), {7, 8});
    CHECK(v.size() == 3 && v[0] == 7 && v[2] == 0);
}

TEST(a_refused_commit_is_an_answer)
{
    xvm::vector<double> v;

    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    CHECK(v.try_push_back(1.5) == nullptr && v.empty());
    CHECK_EQUAL(xvm_last_status(), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_inject(nullptr), XVM_OK);
    CHECK(*v.try_push_back(1.5) == 1.5);
}

TEST(owners_are_made_without_exceptions)
{
    xvm::region r;
    xvm::heap h;
    xvm::arena a;
    xvm::pool p;

    CHECK_EQUAL(r.reserve(0), XVM_E_INVALID);
    CHECK_EQUAL(r.reserve(1 << 20), XVM_OK);
    CHECK_EQUAL(r.commit(0, 1), XVM_OK);
    CHECK_EQUAL(h.create(), XVM_OK);
    CHECK_EQUAL(a.create(1 << 20), XVM_OK);
    CHECK_EQUAL(p.create(16, 0, 10), XVM_OK);
    int *made = xvm::try_make<int>(h, 5);
    CHECK(*made == 5 && *xvm::try_make<int>(a, 6) == 6 && *xvm::make<int>(p, 7) == 7);
    xvm::destroy(h, made);
    CHECK_EQUAL(h.stats().live_blocks, 0);
}

#ifdef __cpp_lib_memory_resource
TEST(resources_need_no_rtti)
{
    xvm::heap h(16 << 20);
    xvm::resource one(h);
    xvm::resource other(h);
    std::pmr::vector<int> v(100, 1, &one);

    CHECK(one == one && one != other && h.owns(v.data()));
}
#endif

/* test_huge.c - regions with huge pages, as far as the system has them. */
#include "harness.h"
#include "xvm/xvm.h"

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

static unsigned char *at(const xvm_region *r, size_t offset)
{
    return (unsigned char *)r->base + offset;
}

TEST(without_huge_pages_the_unit_is_a_page)
{
    xvm_huge kinds[] = {XVM_HUGE_DEFAULT, XVM_HUGE_NEVER};

    for (int i = 0; i < 2; i++) {
        xvm_region r;

        CHECK_EQUAL(xvm_reserve(&r, 1 << 22, &(xvm_reserve_options){.huge = kinds[i]}), XVM_OK);
        CHECK_EQUAL(xvm_commit_unit(&r), xvm_page_size());
        CHECK_EQUAL(xvm_region_huge(&r), kinds[i]);
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        memset(r.base, 1, r.size);
        CHECK(xvm_release(&r) == XVM_OK);
        CHECK_EQUAL(xvm_commit_unit(&r), 0);
        CHECK_EQUAL(xvm_region_huge(&r), XVM_HUGE_DEFAULT);
    }
    CHECK_EQUAL(xvm_commit_unit(NULL), 0);
}

/* Whole slots: a commit rounds outward to them, a decommit and a discard inward. */
static void use_slots(xvm_region *r, size_t unit)
{
    size_t page = xvm_page_size();

    CHECK_EQUAL(xvm_commit(r, unit + 1, 1), XVM_OK);
    CHECK_EQUAL(usage_of(r).committed, unit);
    memset(at(r, unit), 7, unit);
    CHECK(faults_on_read(at(r, unit - 1)) && faults_on_read(at(r, 2 * unit)));
    if (unit > page) {
        CHECK_EQUAL(xvm_decommit(r, unit, unit - page), XVM_OK);
        CHECK_EQUAL(xvm_discard(r, unit + page, unit - page, XVM_DISCARD_ZERO), XVM_OK);
        CHECK(at(r, unit)[0] == 7 && at(r, 2 * unit - 1)[0] == 7);
    }
    CHECK_EQUAL(xvm_discard(r, unit, unit, XVM_DISCARD_ZERO), XVM_OK);
    CHECK(at(r, unit)[0] == 0 && at(r, 2 * unit - 1)[0] == 0);
    CHECK_EQUAL(xvm_protect(r, unit, page, XVM_READ), XVM_OK);
    CHECK(faults_on_write(at(r, unit)));
    CHECK_EQUAL(xvm_decommit(r, 0, r->size), XVM_OK);
    CHECK_EQUAL(usage_of(r).committed, 0);
    CHECK(faults_on_read(at(r, unit)));
    CHECK_EQUAL(xvm_commit(r, 0, r->size), XVM_OK);
    memset(r->base, 1, r->size);
    CHECK(xvm_release(r) == XVM_OK);
}

TEST(transparent_huge_pages_come_in_whole_slots)
{
    size_t page = xvm_page_size(), thp = xvm_system()->thp_size, unit = thp > page ? thp : page;
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 3 * unit + 1, &(xvm_reserve_options){.huge = XVM_HUGE_TRANSPARENT}),
                XVM_OK);
    CHECK_EQUAL(xvm_commit_unit(&r), unit);
    CHECK_EQUAL(r.size, 4 * unit);
    CHECK((uintptr_t)r.base % unit == 0);
    CHECK_EQUAL(xvm_region_huge(&r), XVM_HUGE_TRANSPARENT);
    use_slots(&r, unit);
}

static void use_pinned(xvm_region *r, size_t unit)
{
    size_t page = xvm_page_size();

    CHECK_EQUAL(usage_of(r).committed, r->size);
    CHECK_EQUAL(at(r, 0)[0] | at(r, r->size - 1)[0], 0);
    memset(r->base, 5, r->size);
    CHECK_EQUAL(xvm_commit(r, 0, r->size), XVM_OK);
    CHECK_EQUAL(xvm_decommit(r, 0, r->size), XVM_E_PINNED);
    CHECK_EQUAL(xvm_decommit(r, 0, unit), XVM_E_PINNED);
    CHECK_EQUAL(xvm_guard(r, 0, unit), XVM_E_PINNED);
    CHECK(unit == page || xvm_protect(r, 0, page, XVM_READ) == XVM_E_PINNED);
    CHECK_EQUAL(xvm_protect(r, 0, unit, XVM_READ), XVM_OK);
    CHECK(faults_on_write(r->base));
    CHECK_EQUAL(xvm_discard(r, 0, unit, XVM_DISCARD_ZERO), XVM_OK);
    CHECK(at(r, 0)[0] == 0 && at(r, unit - 1)[0] == 0);
    CHECK(faults_on_write(r->base));
    CHECK_EQUAL(xvm_discard(r, 0, r->size, XVM_DISCARD_LAZY), XVM_OK);
    CHECK_EQUAL(usage_of(r).committed, r->size);
}

/* Where the pool is empty, the privilege is missing or there are none: a clear refusal. */
TEST(explicit_huge_pages_are_had_or_refused)
{
    size_t unit = xvm_system()->huge_page_size;
    xvm_budget b;
    xvm_region r;
    xvm_status status;

    CHECK(xvm_budget_init(&b, "huge", NULL, SIZE_MAX) == XVM_OK);
    status =
        xvm_reserve(&r, 3, &(xvm_reserve_options){.huge = XVM_HUGE_MUST_EXPLICIT, .budget = &b});
    if (status != XVM_OK) {
        CHECK(status == XVM_E_COMMIT_LIMIT || status == XVM_E_PERMISSION ||
              status == XVM_E_UNSUPPORTED);
        CHECK(r.base == NULL && b.used == 0);
        SKIP("no explicit huge pages to be had here");
    }
    CHECK_EQUAL(xvm_region_huge(&r), XVM_HUGE_MUST_EXPLICIT);
    CHECK_EQUAL(xvm_commit_unit(&r), unit);
    CHECK_EQUAL(r.size, unit);
    CHECK_EQUAL(b.used, unit);
    use_pinned(&r, unit);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(b.used, 0);
}

TEST(explicit_huge_pages_may_be_tried)
{
    size_t page = xvm_page_size();
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, page, &(xvm_reserve_options){.huge = XVM_HUGE_TRY_EXPLICIT}),
                XVM_OK);
    CHECK(xvm_region_huge(&r) == XVM_HUGE_MUST_EXPLICIT ||
          xvm_region_huge(&r) == XVM_HUGE_TRANSPARENT);
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_OK);
    memset(r.base, 1, page);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(an_exact_address_is_a_multiple_of_the_huge_page)
{
    size_t thp = xvm_system()->thp_size, granularity = xvm_allocation_granularity();
    xvm_reserve_options o = {.huge = XVM_HUGE_TRANSPARENT};
    xvm_region r;

    if (memory_is_fake())
        SKIP("the fake has no exact addresses");
    if (thp <= granularity)
        SKIP("no huge pages here");
    CHECK_EQUAL(xvm_reserve(&r, 4 * thp, &o), XVM_OK);
    o.address = (unsigned char *)r.base + granularity;
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_reserve(&r, thp, &o), XVM_E_INVALID);
    o.address = (const unsigned char *)o.address - granularity + thp;
    CHECK_EQUAL(xvm_reserve(&r, thp, &o), XVM_OK);
    CHECK(r.base == o.address);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_node_is_preferred_or_refused)
{
    unsigned nodes = xvm_system()->numa_nodes;
    xvm_region r;
    xvm_status status = xvm_reserve(&r, 1 << 20, &(xvm_reserve_options){.numa_node = 1});

    CHECK(status == XVM_OK || status == XVM_E_UNSUPPORTED);
    if (status == XVM_OK) {
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        memset(r.base, 1, r.size);
        CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        CHECK(xvm_release(&r) == XVM_OK);
    }
    if (memory_is_fake())
        SKIP("the fake prefers every node");
    CHECK_EQUAL(xvm_reserve(&r, 1 << 20, &(xvm_reserve_options){.numa_node = (int)nodes + 60}),
                XVM_E_UNSUPPORTED);
}

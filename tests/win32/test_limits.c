/* test_limits.c - the limits of a Windows process. Those that Wine does not have are met where it
 * has another.
 *
 * The cases that a limit of the launching shell decides take it from there: CTest starts them a
 * second time under prlimit.
 */
#include "harness.h"
#include "xvm/xvm.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static const size_t MiB = (size_t)1 << 20;

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

/* The state that the system has for a page. */
static DWORD state_of(const void *address)
{
    MEMORY_BASIC_INFORMATION found;

    CHECK(VirtualQuery(address, &found, sizeof found) != 0);
    return found.State;
}

TEST(reserving_64_gib_costs_little)
{
    size_t before = resident_memory();
    xvm_region r;

    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
    CHECK(xvm_reserve(&r, (size_t)(64ull << 30), NULL) == XVM_OK);
    CHECK(state_of(r.base) == MEM_RESERVE);
    /* Wine keeps a byte of its own for each page: 16 MiB. */
    CHECK(resident_memory() <= before + (memory_is_emulated() ? 20 * MiB : 64 << 10));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(decommitted_memory_comes_back)
{
    size_t size = 256 * MiB, before;
    xvm_region r;

    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) == XVM_OK);
    before = resident_memory();
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    memset(r.base, 1, size);
    CHECK(resident_memory() >= before + size - MiB);
    CHECK(xvm_decommit(&r, 0, size) == XVM_OK);
    CHECK(resident_memory() <= before + 2 * MiB);
    CHECK(state_of(r.base) == MEM_RESERVE && faults_on_read(r.base));
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    for (size_t at = 0; at < size; at += xvm_page_size())
        CHECK(((unsigned char *)r.base)[at] == 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(discard_returns_memory_and_keeps_pages_committed)
{
    size_t size = 64 * MiB, before;
    xvm_region r;

    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    before = resident_memory();
    memset(r.base, 1, size);
    CHECK(xvm_discard(&r, 0, size, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(resident_memory() <= before + 2 * MiB);
    CHECK(state_of(r.base) == MEM_COMMIT);
    for (size_t at = 0; at < size; at += xvm_page_size())
        CHECK(((unsigned char *)r.base)[at] == 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_commit_larger_than_the_machine_is_refused)
{
    xvm_region r;

    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
    CHECK(xvm_reserve(&r, (size_t)(256ull << 30), NULL) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_E_COMMIT_LIMIT);
    CHECK(xvm_system_error() != 0 && usage_of(&r).committed == 0);
    CHECK(state_of(r.base) == MEM_RESERVE && faults_on_read(r.base));
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    memset(r.base, 1, MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Meets the limit under `prlimit --data`: without it, committing all of this just works. */
TEST(a_refused_commit_leaves_the_region_usable)
{
    size_t at = 0, granted;
    xvm_region r;

    CHECK(xvm_reserve(&r, 512 * MiB, NULL) == XVM_OK);
    while (at < r.size && xvm_commit(&r, at, MiB) == XVM_OK)
        at += MiB;
    granted = at;
    printf("granted %zu MiB\n", granted / MiB);
    if (granted == r.size)
        SKIP("no data limit: run it under prlimit --data");
    CHECK(granted > 8 * MiB);
    CHECK_EQUAL(xvm_last_status(), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(usage_of(&r).committed, granted);
    memset(r.base, 1, granted);
    CHECK(faults_on_read((unsigned char *)r.base + granted));
    CHECK(xvm_decommit(&r, 0, granted / 2) == XVM_OK);
    CHECK(xvm_commit(&r, granted, granted / 4) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(usage_of(&r).committed,
                granted - granted / 2 + granted / 4 / xvm_page_size() * xvm_page_size());
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Meets the limit under `prlimit --memlock` without the capability to lock more. */
TEST(a_refused_lock_locks_nothing)
{
    xvm_region r;
    xvm_status status;

    CHECK(xvm_reserve(&r, 64 * MiB, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_lock(&r, 0, 32 << 10) == XVM_OK);
    status = xvm_lock(&r, 0, r.size);
    if (status == XVM_OK)
        SKIP("no lock limit: run it under prlimit --memlock without CAP_IPC_LOCK");
    CHECK_EQUAL(status, XVM_E_LOCK_LIMIT);
    CHECK_EQUAL(usage_of(&r).locked, 32 << 10);
    CHECK(xvm_decommit(&r, 0, 32 << 10) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK(xvm_lock(&r, MiB, 32 << 10) == XVM_OK); /* what the decommit gave back */
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Windows has no limit of mappings; under Wine the one of Linux shows as a refused commit. */
TEST(alternating_commits_end_in_order_or_not_at_all)
{
    size_t page = xvm_page_size(), i = 0;
    xvm_region r;

    CHECK(xvm_reserve(&r, 80000 * page, NULL) == XVM_OK);
    while (i < 80000 && xvm_commit(&r, i * page, page) == XVM_OK)
        i += 2;
    printf("%zu separate commits\n", i / 2);
    CHECK(i > 40000);
    CHECK(i == 80000 || xvm_last_status() == XVM_E_COMMIT_LIMIT);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1000 * page) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(an_exhausted_address_space_comes_back)
{
    enum { MOST = 4096 };
    static xvm_region all[MOST];
    size_t count = 0;
    xvm_status status;

    if (sizeof(void *) == 8)
        SKIP("64 bits of addresses do not run out");
    do
        status = xvm_reserve(&all[count++], 16 * MiB, NULL);
    while (status == XVM_OK && count < MOST);
    CHECK_EQUAL(status, XVM_E_ADDRESS_SPACE);
    CHECK(count > 32);
    CHECK(xvm_release(&all[0]) == XVM_OK);
    CHECK(xvm_reserve(&all[0], 16 * MiB, NULL) == XVM_OK);
    for (size_t i = 0; i + 1 < count; i++)
        CHECK(xvm_release(&all[i]) == XVM_OK);
}

TEST(the_lock_quota_grows_with_the_working_set)
{
    xvm_region r;

    if (memory_is_emulated())
        SKIP("Wine has no lock quota and ignores working-set sizes");
    CHECK(xvm_reserve(&r, 16 * MiB, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_lock(&r, 0, 8 * MiB) == XVM_OK); /* the default quota is about 200 KiB */
    CHECK(xvm_release(&r) == XVM_OK);
}

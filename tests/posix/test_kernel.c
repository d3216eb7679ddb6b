/* test_kernel.c - what the promises about guards, sparse and huge pages cost, in the kernel's own
 * account. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

static const size_t MiB = (size_t)1 << 20;

static void needs_a_real_kernel(void)
{
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator stands between the kernel and the process");
}

static void needs_64_bit(void)
{
    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
}

static void needs_feature(xvm_feature feature, const char *why)
{
    if ((xvm_system()->features & feature) == 0)
        SKIP(why);
}

static size_t count_mappings(void)
{
    holdings now;

    look_at_process(&now);
    return now.mappings;
}

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

/* --- guards ----------------------------------------------------------------------------------- */

TEST(ten_thousand_guards_add_no_mapping)
{
    size_t page = xvm_page_size(), before;
    xvm_region r;

    needs_a_real_kernel();
    needs_feature(XVM_HAS_LIGHT_GUARDS, "this kernel has no light guards");
    CHECK_EQUAL(xvm_reserve(&r, 30000 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    memset(r.base, 1, r.size);
    before = count_mappings();
    for (size_t i = 0; i < 10000; i++)
        CHECK_EQUAL(xvm_guard(&r, 3 * i * page, page), XVM_OK);
    CHECK(count_mappings() <= before + 1);
    for (size_t i = 0; i < 10000; i += 99) {
        CHECK(faults_on_read((unsigned char *)r.base + 3 * i * page));
        CHECK(((unsigned char *)r.base)[(3 * i + 1) * page] == 1);
    }
    CHECK_EQUAL(usage_of(&r).guarded, 10000 * page);
    CHECK_EQUAL(usage_of(&r).resident, 20000 * page); /* their memory is given back */
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- sparse regions --------------------------------------------------------------------------- */

enum { SLOTS = 1 << 20, STEPS = 1000000 };

/* Which pages are committed, one bit each, of 64 GiB. */
static unsigned char committed[((size_t)1 << 24) / 8];

static bool flip(size_t i)
{
    committed[i / 8] ^= (unsigned char)(1 << i % 8);
    return (committed[i / 8] >> i % 8 & 1) != 0;
}

TEST(a_million_random_commits_in_64_gib_add_64_mappings)
{
    size_t page = xvm_page_size(), size, before, now, count = 0;
    static size_t touched[SLOTS];
    uint64_t seed = 41;
    xvm_region r;

    needs_a_real_kernel();
    needs_64_bit();
    size = (size_t)(64ull << 30);
    before = count_mappings();
    CHECK_EQUAL(xvm_reserve(&r, size, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
                XVM_OK);
    for (size_t i = 0; i < STEPS; i++) {
        /* a page anew, or one that was looked at before */
        size_t at = i % 3 == 2 ? touched[(size_t)test_random(&seed) % count]
                               : (size_t)(test_random(&seed) % (size / page));
        volatile unsigned char *bytes = (unsigned char *)r.base + at * page;

        touched[count++ % SLOTS] = at;
        if (flip(at)) {
            CHECK_EQUAL(xvm_commit(&r, at * page, page), XVM_OK);
            CHECK(bytes[0] == 0 && bytes[page - 1] == 0);
            bytes[0] = bytes[page - 1] = 1;
        } else {
            CHECK_EQUAL(xvm_decommit(&r, at * page, page), XVM_OK);
            if (i % 1000 < 3 && (xvm_system()->features & XVM_HAS_FINE_SPARSE) != 0)
                CHECK(faults_on_read(bytes));
        }
    }
    now = count_mappings();
    printf("%zu mappings more, %zu MiB committed\n", now - before, usage_of(&r).committed / MiB);
    CHECK(now <= before + 64);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Does the kernel's account of the mapping around an address have the flag? */
static bool has_flag(const void *address, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    unsigned long long from = 0, to = 0;
    bool inside = false, found = false;
    char line[512];

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            inside = from <= (uintptr_t)address && (uintptr_t)address < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(file);
    return found;
}

TEST(sparse_memory_comes_back_and_is_not_charged)
{
    size_t page = xvm_page_size(), before;
    xvm_region r;

    needs_a_real_kernel();
    needs_64_bit();
    CHECK_EQUAL(
        xvm_reserve(&r, 1024 * MiB, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
        XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_OK);
    before = resident_memory();
    for (size_t at = 0; at < 256 * MiB; at += 2 * page) {
        CHECK_EQUAL(xvm_commit(&r, at, page), XVM_OK);
        memset((unsigned char *)r.base + at, 1, page);
    }
    CHECK(resident_memory() >= before + 127 * MiB);
    CHECK(!has_flag(r.base, " ac")); /* accountable */
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK(resident_memory() <= before + 2 * MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- huge pages ------------------------------------------------------------------------------- */

TEST(transparent_huge_pages_are_used)
{
    xvm_region r;

    needs_a_real_kernel();
    needs_feature(XVM_HAS_TRANSPARENT_HUGE, "this kernel has no transparent huge pages");
    CHECK_EQUAL(xvm_reserve(&r, 64 * MiB, &(xvm_reserve_options){.huge = XVM_HUGE_TRANSPARENT}),
                XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 32 * MiB), XVM_OK);
    memset(r.base, 1, 32 * MiB);
    CHECK_EQUAL(usage_of(&r).resident, 32 * MiB);
    if (usage_of(&r).huge == 0)
        SKIP("the kernel has no huge page free, or does not tell");
    CHECK(usage_of(&r).huge >= 16 * MiB);
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 32 * MiB), XVM_OK);
    memset(r.base, 1, 32 * MiB);
    CHECK(usage_of(&r).huge >= 16 * MiB); /* the policy has survived */
    CHECK(xvm_release(&r) == XVM_OK);
}

static const char pool_file[] = "/proc/sys/vm/nr_hugepages";

static long read_pool(void)
{
    FILE *file = fopen(pool_file, "r");
    long pages = -1;

    if (file != NULL && fscanf(file, "%ld", &pages) != 1)
        pages = -1;
    if (file != NULL)
        fclose(file);
    return pages;
}

static bool write_pool(long pages)
{
    FILE *file = fopen(pool_file, "w");
    bool written = file != NULL && fprintf(file, "%ld\n", pages) > 0;

    return file != NULL && fclose(file) == 0 && written && read_pool() == pages;
}

static void use_pool(size_t unit)
{
    xvm_region r, more;

    CHECK_EQUAL(xvm_reserve(&r, 4 * unit, &(xvm_reserve_options){.huge = XVM_HUGE_MUST_EXPLICIT}),
                XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 4 * unit);
    memset(r.base, 1, r.size);
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_E_PINNED);
    CHECK_EQUAL(xvm_protect(&r, unit, xvm_page_size(), XVM_READ), XVM_E_PINNED);
    CHECK_EQUAL(xvm_protect(&r, unit, unit, XVM_READ), XVM_OK);
    CHECK(faults_on_write((unsigned char *)r.base + unit));
    CHECK_EQUAL(xvm_reserve(&more, unit, &(xvm_reserve_options){.huge = XVM_HUGE_MUST_EXPLICIT}),
                XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_reserve(&more, unit, &(xvm_reserve_options){.huge = XVM_HUGE_TRY_EXPLICIT}),
                XVM_OK);
    CHECK_EQUAL(xvm_region_huge(&more), XVM_HUGE_TRANSPARENT);
    CHECK(xvm_release(&more) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(explicit_huge_pages_come_from_the_pool)
{
    long pool = read_pool();
    int child, status = 0;

    needs_a_real_kernel();
    if (pool != 0 || !write_pool(4))
        SKIP("the pool of huge pages is not empty, or not ours to fill");
    child = fork(); /* whatever happens, the pool is emptied again */
    if (child == 0) {
        use_pool(xvm_system()->huge_page_size);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(write_pool(0));
    CHECK_EQUAL(status, 0);
}

/* --- policies --------------------------------------------------------------------------------- */

TEST(a_policy_against_code_is_met_when_reserving)
{
    enum { SET_MDWE = 65, REFUSE_EXEC_GAIN = 1 }; /* prctl(2), since Linux 6.3 */
    size_t page = xvm_page_size();
    xvm_region r;

    needs_a_real_kernel();
    if (prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
        SKIP("this kernel cannot forbid it");
    CHECK_EQUAL(xvm_reserve(&r, page, &(xvm_reserve_options){.flags = XVM_RESERVE_EXECUTABLE}),
                XVM_E_PERMISSION);
    CHECK_EQUAL(xvm_reserve(&r, page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_OK);
    memset(r.base, 1, page);
    CHECK_EQUAL(xvm_protect(&r, 0, page, XVM_READ_EXECUTE), XVM_E_PERMISSION);
    memset(r.base, 2, page);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* A reservation of locked memory to come would make every page of a chunk resident. */
TEST(sparse_regions_are_left_out_of_mlockall)
{
    size_t page = xvm_page_size(), before;
    xvm_region r;

    needs_a_real_kernel();
    needs_feature(XVM_HAS_LIGHT_GUARDS, "this kernel has no light guards");
    if (mlockall(MCL_FUTURE) != 0)
        SKIP("mlockall is not permitted");
    CHECK_EQUAL(
        xvm_reserve(&r, 512 * MiB, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
        XVM_OK);
    before = resident_memory();
    CHECK_EQUAL(xvm_commit(&r, 100 * page, page), XVM_OK);
    memset((unsigned char *)r.base + 100 * page, 1, page);
    CHECK(resident_memory() <= before + 4 * MiB);
    CHECK(faults_on_read((unsigned char *)r.base + 99 * page));
    CHECK_EQUAL(xvm_decommit(&r, 100 * page, page), XVM_OK);
    CHECK(faults_on_read((unsigned char *)r.base + 100 * page));
    CHECK(xvm_release(&r) == XVM_OK);
}

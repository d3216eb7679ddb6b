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

/* --- moves ------------------------------------------------------------------------------------ */

static void needs_moves(void)
{
    needs_a_real_kernel();
    needs_feature(XVM_HAS_MOVE, "this kernel moves no pages");
}

/* Two committed areas of so many bytes, the first with memory. */
static xvm_region reserve_areas(size_t size, const xvm_reserve_options *options)
{
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 2 * size, options), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * size), XVM_OK);
    memset(r.base, 1, size);
    return r;
}

static size_t moving_calls, discarding_calls;

static void count_moves(const xvm_trace_call *call)
{
    moving_calls += strcmp(call->name, "mremap") == 0 && call->error == 0;
    discarding_calls += strcmp(call->operation, "discard") == 0;
}

TEST(a_move_takes_the_memory_along)
{
    size_t size = 64 * MiB, before;
    xvm_region r;

    needs_moves();
    r = reserve_areas(size, NULL);
    before = resident_memory();
    xvm_set_trace(count_moves);
    CHECK_EQUAL(xvm_move(&r, size, 0, size), XVM_OK);
    xvm_set_trace(NULL);
    CHECK_EQUAL(moving_calls, 1);
    CHECK_EQUAL(discarding_calls, 0);
    CHECK(resident_memory() <= before + MiB);
    CHECK_EQUAL(usage_of(&r).resident, size);
    CHECK_EQUAL(xvm_move(&r, 0, size, size), XVM_OK);
    CHECK(resident_memory() <= before + MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_thousand_moves_leave_few_mappings)
{
    size_t size = 4 * MiB, before;
    xvm_region r;

    needs_moves();
    r = reserve_areas(2 * size, NULL);
    before = count_mappings();
    for (size_t i = 0; i < 1000; i++) {
        size_t to = i % 2 == 0 ? 2 * size : 0;

        CHECK_EQUAL(xvm_move(&r, to + i % 7 * (MiB / 4), 2 * size - to + i % 5 * (MiB / 4), size),
                    XVM_OK);
        CHECK(count_mappings() <= before + 100);
    }
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK(count_mappings() <= before + 1);
    CHECK(xvm_release(&r) == XVM_OK);
}

static int child_reads(const unsigned char *from, const unsigned char *to)
{
    int status = -1, child = fork();

    if (child == 0)
        _exit(from[0] | to[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(policies_hold_where_pages_have_moved)
{
    size_t size = 4 * MiB;
    unsigned char *base;
    xvm_region r;

    needs_moves();
    r = reserve_areas(size, &(xvm_reserve_options){.fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER});
    base = r.base;
    CHECK_EQUAL(xvm_move(&r, size, 0, size), XVM_OK);
    base[0] = 2;
    CHECK_EQUAL(child_reads(base, base + size), 0);
    CHECK(has_flag(base, " dd") && has_flag(base + size, " dd"));
    CHECK(has_flag(base, " ac") && has_flag(base + size, " ac"));
    CHECK(xvm_release(&r) == XVM_OK);
    r = reserve_areas(size, NULL);
    base = r.base;
    CHECK_EQUAL(xvm_move(&r, size, 0, size), XVM_OK);
    base[0] = 2;
    CHECK_EQUAL(child_reads(base, base + size), 3);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(what_mlockall_has_locked_stays_locked)
{
    size_t size = 4 * MiB, before;
    unsigned char *base;
    xvm_region r;

    needs_moves();
    r = reserve_areas(size, NULL);
    base = r.base;
    if (mlockall(MCL_CURRENT) != 0)
        SKIP("mlockall is not permitted");
    before = locked_memory();
    CHECK_EQUAL(xvm_move(&r, size, 0, size), XVM_OK);
    CHECK(base[size] == 1 && base[2 * size - 1] == 1 && base[0] == 0 && base[size - 1] == 0);
    CHECK(has_flag(base, " lo") && has_flag(base + size, " lo"));
    CHECK(locked_memory() >= before);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Of addresses, or of writable memory. By name, because libraries do not agree on the type of one. */
static void swap_limit(bool data, struct rlimit *limit)
{
    struct rlimit before;

    CHECK((data ? getrlimit(RLIMIT_DATA, &before) : getrlimit(RLIMIT_AS, &before)) == 0);
    limit->rlim_max = before.rlim_max;
    CHECK((data ? setrlimit(RLIMIT_DATA, limit) : setrlimit(RLIMIT_AS, limit)) == 0);
    *limit = before;
}

/* Below what is used the kernel would refuse when the target is gone already. */
TEST(under_limits_below_what_is_used_bytes_are_copied)
{
    size_t size = 4 * MiB;

    needs_moves();
    for (int data = 0; data < 2; data++) {
        xvm_region r = reserve_areas(size, NULL);
        unsigned char *base = r.base;
        struct rlimit limit = {.rlim_cur = size};

        swap_limit(data, &limit);
        CHECK_EQUAL(xvm_move(&r, size, 0, size), XVM_OK);
        swap_limit(data, &limit);
        CHECK(base[size] == 1 && base[2 * size - 1] == 1 && base[0] == 0 && base[size - 1] == 0);
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

/* --- heaps ------------------------------------------------------------------------------------ */

TEST(blocks_that_grow_in_turns_are_in_memory_once)
{
    unsigned char *blocks[2] = {NULL, NULL};
    size_t had = 0, before, most = 0, page = xvm_page_size();
    xvm_heap *heap;

    needs_moves();
    CHECK_EQUAL(xvm_heap_create(&heap, NULL), XVM_OK);
    before = resident_memory();
    for (size_t size = MiB; size <= 64 * MiB; had = size, size *= 2)
        for (size_t i = 0; i < 2; i++) {
            blocks[i] = xvm_heap_realloc(heap, blocks[i], size);
            CHECK(blocks[i] != NULL && (had == 0 || blocks[i][0] == i + 1));
            most = resident_memory() > most ? resident_memory() : most;
            for (size_t at = had; at < size; at += page)
                blocks[i][at] = (unsigned char)(i + 1);
        }
    for (size_t at = 0; at < had; at += page)
        CHECK(blocks[0][at] == 1 && blocks[1][at] == 2);
    most = resident_memory() > most ? resident_memory() : most;
    CHECK(most <= before + 2 * had + 4 * MiB);
    xvm_heap_destroy(heap);
}

TEST(ten_thousand_blocks_that_outgrow_their_places_leave_few_mappings)
{
    enum { BLOCKS = 40, REALLOCS = 10000 };
    unsigned char *blocks[BLOCKS] = {NULL};
    size_t largest = (sizeof(void *) == 4 ? 3 : 12) * (size_t)MiB; /* all fit into a heap */
    size_t sizes[BLOCKS] = {0}, before, most = 0;
    xvm_heap *heap;

    needs_moves();
    CHECK_EQUAL(xvm_heap_create(&heap, NULL), XVM_OK);
    before = count_mappings();
    for (size_t n = 0; n < REALLOCS; n++) {
        size_t i = n % BLOCKS;

        sizes[i] = sizes[i] == 0 || sizes[i] > largest ? MiB : sizes[i] + MiB / 4;
        if (sizes[i] == MiB) {
            xvm_heap_free(heap, blocks[i]);
            blocks[i] = NULL;
        }
        blocks[i] = xvm_heap_realloc(heap, blocks[i], sizes[i]);
        CHECK(blocks[i] != NULL);
        blocks[i][0] = (unsigned char)i;
        most = n % 100 == 0 && count_mappings() > most ? count_mappings() : most;
    }
    printf("%zu mappings more at the most\n", most - before);
    CHECK(most <= before + 20 * BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(blocks[i][0] == i);
        xvm_heap_free(heap, blocks[i]);
    }
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    printf("%zu are left\n", count_mappings() - before);
    CHECK(count_mappings() <= before + BLOCKS); /* of ten thousand; some do not become one again */
    xvm_heap_destroy(heap);
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

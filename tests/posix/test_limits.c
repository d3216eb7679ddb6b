/* test_limits.c - the limits of a Linux process, met for real, and what the kernel itself says of
 * our mappings.
 *
 * Each case may spoil its process: it lowers limits, drops privileges, forks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { NOBODY = 65534 };
static const size_t MiB = (size_t)1 << 20;

static void needs_a_real_kernel(void)
{
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator stands between the limits and the process");
}

static void needs_64_bit(void)
{
    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
}

/* A macro, because the type of the first argument differs between C libraries. */
#define set_limit(which, soft, hard)                                                               \
    do {                                                                                           \
        struct rlimit limit_ = {(rlim_t)(soft), (rlim_t)(hard)};                                   \
        CHECK(setrlimit(which, &limit_) == 0);                                                     \
    } while (0)

/* Without the capability to lock as much as one likes. */
static void drop_privileges(void)
{
    if (geteuid() == 0)
        CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static xvm_usage usage_of(const xvm_region *r)
{
    xvm_usage u;

    xvm_region_usage(r, &u);
    return u;
}

/* --- what smaps says -------------------------------------------------------------------------- */

/* Sums over the mappings that lie in [base, base + size). */
typedef struct smaps {
    size_t resident, charged, locked, without; /* bytes; without: in mappings that lack the flag */
} smaps;

static void add_mapping(smaps *sum, const char *flags, const char *flag, size_t size)
{
    sum->charged += strstr(flags, " ac") != NULL ? size : 0;
    sum->without += strstr(flags, flag) == NULL ? size : 0;
}

static smaps look_at_smaps(const void *base, size_t size, const char *flag)
{
    uintptr_t first = (uintptr_t)base;
    unsigned long long from = 0, to = 0, start, end, kilobytes;
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512], permissions[8];
    smaps sum = {0};
    bool inside = false;

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%llx-%llx %7s", &start, &end, permissions) == 3) {
            from = start;
            to = end;
            inside = from >= first && to <= first + size;
        }
        if (!inside)
            continue;
        if (sscanf(line, "Rss: %llu kB", &kilobytes) == 1)
            sum.resident += (size_t)kilobytes << 10;
        if (sscanf(line, "Locked: %llu kB", &kilobytes) == 1)
            sum.locked += (size_t)kilobytes << 10;
        if (strncmp(line, "VmFlags:", 8) == 0)
            add_mapping(&sum, line, flag, (size_t)(to - from));
    }
    fclose(file);
    return sum;
}

/* --- cost ------------------------------------------------------------------------------------- */

static void reserve_for_free(size_t size)
{
    size_t before = resident_memory();
    xvm_region r;
    smaps s;

    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(resident_memory() <= before + (64 << 10));
    s = look_at_smaps(r.base, r.own.os_size, " ac");
    CHECK_EQUAL(s.charged, 0);
    CHECK_EQUAL(s.resident, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(reserving_64_gib_and_16_tib_costs_nothing)
{
    xvm_region r;

    needs_a_real_kernel();
    needs_64_bit();
    CHECK(xvm_reserve(&r, MiB, NULL) == XVM_OK); /* once, for the code and the reading itself */
    CHECK(xvm_release(&r) == XVM_OK);
    (void)look_at_smaps(&r, sizeof r, " ac");
    reserve_for_free((size_t)(64ull << 30));
    reserve_for_free((size_t)(16ull << 40));
}

TEST(a_gigabyte_comes_back)
{
    size_t size = 1024 * MiB, before;
    xvm_region r;
    smaps s;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) == XVM_OK);
    before = resident_memory();
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    CHECK(look_at_smaps(r.base, size, " ac").charged == size);
    memset(r.base, 1, size);
    CHECK(resident_memory() >= before + size - MiB);
    CHECK_EQUAL(usage_of(&r).resident, size);
    CHECK(xvm_decommit(&r, 0, size) == XVM_OK);
    CHECK(resident_memory() <= before + 2 * MiB);
    s = look_at_smaps(r.base, size, " ac");
    CHECK_EQUAL(s.charged, 0);
    CHECK_EQUAL(s.resident, 0);
    for (size_t at = 0; at < size; at += 64 * MiB)
        CHECK(faults_on_read((unsigned char *)r.base + at));
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    for (size_t at = 0; at < size; at += xvm_page_size())
        CHECK(((unsigned char *)r.base)[at] == 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(discard_returns_memory_and_keeps_the_charge)
{
    size_t size = 64 * MiB, before;
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    before = resident_memory();
    memset(r.base, 1, size);
    CHECK(xvm_discard(&r, 0, size, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(resident_memory() <= before + 2 * MiB);
    CHECK_EQUAL(look_at_smaps(r.base, size, " ac").charged, size);
    set_limit(RLIMIT_DATA, 0, 0); /* nothing more is granted, but this is granted already */
    memset(r.base, 2, size);
    CHECK(xvm_release(&r) == XVM_OK);
}

static long count_faults(void)
{
    struct rusage use;

    CHECK(getrusage(RUSAGE_SELF, &use) == 0);
    return use.ru_minflt + use.ru_majflt;
}

TEST(no_write_faults_after_prefault)
{
    size_t size = 16 * MiB;
    xvm_region r;
    long before;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    for (size_t at = 0; at < size / 2; at += xvm_page_size()) /* read first: the common zero page */
        CHECK(((volatile unsigned char *)r.base)[at] == 0);
    CHECK(xvm_prefault(&r, 0, size) == XVM_OK);
    before = count_faults();
    memset(r.base, 1, size);
    CHECK(count_faults() - before <= 2);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- commit limits ---------------------------------------------------------------------------- */

/* Commits step by step until refused; the bytes that were granted. */
static size_t commit_until_refused(xvm_region *r, size_t step, xvm_status expected)
{
    size_t at = 0;
    xvm_status status = XVM_OK;

    for (; at < r->size && status == XVM_OK; at += step)
        status = xvm_commit(r, at, step);
    CHECK_EQUAL(status, expected);
    CHECK_EQUAL(usage_of(r).committed, at - step);
    return at - step;
}

TEST(ulimit_d_is_the_commit_limit)
{
    struct rlimit old;
    holdings now;
    size_t granted, again;
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 512 * MiB, NULL) == XVM_OK);
    CHECK(getrlimit(RLIMIT_DATA, &old) == 0);
    look_at_process(&now);
    set_limit(RLIMIT_DATA, now.charge + 64 * MiB, old.rlim_max);
    granted = commit_until_refused(&r, MiB, XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_system_error(), ENOMEM);
    CHECK(granted >= 32 * MiB && granted <= 64 * MiB);
    memset(r.base, 1, granted);
    CHECK(faults_on_read((unsigned char *)r.base + granted));
    CHECK(xvm_decommit(&r, 0, granted / 2) == XVM_OK);
    CHECK(xvm_commit(&r, granted, granted / 4) == XVM_OK);
    CHECK(xvm_commit(&r, 0, granted) == XVM_E_COMMIT_LIMIT);
    CHECK(faults_on_read(r.base) && ((unsigned char *)r.base)[granted - 1] == 1);
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    again = commit_until_refused(&r, MiB, XVM_E_COMMIT_LIMIT);
    CHECK(again + 2 * MiB >= granted);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_commit_larger_than_the_machine_is_refused)
{
    xvm_region r;

    needs_a_real_kernel();
    needs_64_bit();
    CHECK(xvm_reserve(&r, (size_t)(32ull << 40), NULL) == XVM_OK);
    if (xvm_commit(&r, 0, (size_t)(16ull << 40)) == XVM_OK)
        SKIP("vm.overcommit_memory is 1: nothing is ever refused");
    CHECK_EQUAL(xvm_last_status(), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(usage_of(&r).committed, 0);
    CHECK(faults_on_read(r.base));
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    memset(r.base, 1, MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- address space ---------------------------------------------------------------------------- */

TEST(ulimit_v_is_met_by_the_ladder)
{
    xvm_region r;

    needs_a_real_kernel();
    set_limit(RLIMIT_AS, 1024 * MiB, 1024 * MiB);
    CHECK_EQUAL(xvm_reserve(&r, 2048 * MiB, NULL), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_reserve(&r, 2048 * MiB, &(xvm_reserve_options){.min_size = 1500 * MiB}),
                XVM_E_ADDRESS_SPACE);
    CHECK(xvm_reserve(&r, 2048 * MiB, &(xvm_reserve_options){.min_size = MiB}) == XVM_OK);
    CHECK(r.size >= 256 * MiB && r.size < 1024 * MiB);
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    memset(r.base, 1, MiB);
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

TEST(a_live_page_of_somebody_else_is_not_reserved_over)
{
    size_t page = xvm_page_size();
    unsigned char *live =
        mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    xvm_region r;

    CHECK(live != MAP_FAILED);
    memset(live, 7, 3 * page);
    for (size_t i = 0; i < 3; i++)
        CHECK_EQUAL(xvm_reserve(&r, page, &(xvm_reserve_options){.address = live + i * page}),
                    XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_reserve(&r, 9 * page, &(xvm_reserve_options){.address = live - 8 * page}),
                XVM_E_ADDRESS_TAKEN); /* only its last page is taken */
    CHECK(live[0] == 7 && live[3 * page - 1] == 7);
    CHECK(munmap(live, 3 * page) == 0);
}

/* --- locks ------------------------------------------------------------------------------------ */

TEST(the_lock_limit_is_met_and_nothing_stays_locked)
{
    size_t page = xvm_page_size(), before;
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 4 * MiB, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 2 * MiB) == XVM_OK);
    set_limit(RLIMIT_MEMLOCK, MiB, MiB);
    drop_privileges();
    CHECK(xvm_lock(&r, 0, 16 * page) == XVM_OK);
    before = locked_memory();
    CHECK_EQUAL(before, 16 * page);
    CHECK_EQUAL(xvm_lock(&r, 0, 2 * MiB), XVM_E_LOCK_LIMIT);
    CHECK_EQUAL(locked_memory(), before);
    CHECK_EQUAL(usage_of(&r).locked, 16 * page);
    CHECK_EQUAL(xvm_lock(&r, 2 * MiB - page, 2 * page), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(locked_memory(), before);
    CHECK(xvm_lock(&r, 0, MiB) == XVM_OK);
    CHECK_EQUAL(locked_memory(), MiB);
    CHECK(xvm_decommit(&r, 0, MiB / 2) == XVM_OK);
    CHECK_EQUAL(locked_memory(), MiB / 2);
    CHECK(xvm_commit(&r, 0, MiB / 2) == XVM_OK);
    memset(r.base, 1, MiB / 2);
    CHECK_EQUAL(locked_memory(), MiB / 2);
    CHECK(xvm_lock(&r, MiB, MiB / 2) == XVM_OK); /* what the decommit gave back */
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(locked_memory(), 0);
}

TEST(the_soft_lock_limit_is_raised)
{
    struct rlimit limit;
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 4 * MiB, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    set_limit(RLIMIT_MEMLOCK, 64 << 10, 2 * MiB);
    drop_privileges();
    CHECK_EQUAL(xvm_lock(&r, 0, 3 * MiB), XVM_E_LOCK_LIMIT);
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == 64 << 10);
    CHECK(xvm_lock(&r, 0, MiB) == XVM_OK);
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == 2 * MiB);
    CHECK_EQUAL(locked_memory(), MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_lock_limit_of_zero_is_a_lock_limit)
{
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, MiB, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    set_limit(RLIMIT_MEMLOCK, 0, 0);
    drop_privileges();
    CHECK_EQUAL(xvm_lock(&r, 0, 1), XVM_E_LOCK_LIMIT);
    CHECK_EQUAL(xvm_system_error(), EPERM);
    CHECK_EQUAL(locked_memory(), 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(mlockall_of_the_future_refuses_reservations)
{
    xvm_region r;

    needs_a_real_kernel();
    set_limit(RLIMIT_MEMLOCK, 4 * MiB, 4 * MiB);
    drop_privileges();
    CHECK(mlockall(MCL_FUTURE) == 0);
    CHECK_EQUAL(xvm_reserve(&r, 64 * MiB, NULL), XVM_E_LOCK_LIMIT);
    CHECK_EQUAL(xvm_system_error(), EAGAIN);
    CHECK(r.base == NULL);
    CHECK(munlockall() == 0);
    CHECK(xvm_reserve(&r, 64 * MiB, NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- mappings --------------------------------------------------------------------------------- */

/* Commits and writes every second page until the kernel has no more mappings. The page that was
 * refused. */
static size_t use_all_mappings(xvm_region *r)
{
    size_t page = xvm_page_size(), i = 0;
    xvm_status status;

    for (; (status = xvm_commit(r, i * page, page)) == XVM_OK; i += 2) {
        ((unsigned char *)r->base)[i * page] = 7;
        if ((i + 3) * page > r->size)
            SKIP("vm.max_map_count is too large to be met here");
    }
    CHECK_EQUAL(status, XVM_E_MAP_LIMIT);
    return i;
}

TEST(at_the_mapping_limit_memory_can_still_be_given_back)
{
    size_t page = xvm_page_size(), last;
    unsigned char *base;
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 400000 * page, NULL) == XVM_OK);
    base = r.base;
    CHECK(xvm_commit(&r, 100000 * page, 10 * page) == XVM_OK);
    memset(base + 100000 * page, 7, 10 * page);
    last = use_all_mappings(&r);
    CHECK(last > 20000);
    CHECK_EQUAL(usage_of(&r).committed, (last / 2 + 10) * page);
    CHECK(faults_on_read(base + last * page));
    CHECK(xvm_decommit(&r, 1000 * page, page) == XVM_OK); /* a whole mapping */
    CHECK(faults_on_read(base + 1000 * page) && base[1002 * page] == 7);
    CHECK(xvm_decommit(&r, 100003 * page, 4 * page) == XVM_OK); /* the middle of one */
    CHECK(faults_on_read(base + 100003 * page) && faults_on_write(base + 100006 * page));
    CHECK(base[100002 * page] == 7 && base[100007 * page] == 7);
    CHECK(xvm_commit(&r, 100003 * page, 4 * page) == XVM_OK);
    CHECK(base[100003 * page] == 0 && base[100006 * page] == 0);
    base[100003 * page] = 1;
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(usage_of(&r).committed, 0);
    CHECK(faults_on_read(base) && faults_on_read(base + 100000 * page));
    CHECK(xvm_commit(&r, 0, 200000 * page) == XVM_OK);
    CHECK(base[0] == 0 && base[1000 * page] == 0 && base[100003 * page] == 0);
    base[100003 * page] = 1;
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(at_the_mapping_limit_a_refused_call_changes_nothing)
{
    size_t page = xvm_page_size(), locked;
    unsigned char *base;
    xvm_region r, other;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 400000 * page, NULL) == XVM_OK);
    base = r.base;
    CHECK(xvm_commit(&r, 300000 * page, 10 * page) == XVM_OK);
    memset(base + 300000 * page, 7, 10 * page);
    (void)use_all_mappings(&r);
    locked = locked_memory();
    CHECK_EQUAL(xvm_protect(&r, 300004 * page, page, XVM_READ), XVM_E_MAP_LIMIT);
    CHECK(!faults_on_write(base + 300004 * page));
    CHECK_EQUAL(xvm_lock(&r, 300004 * page, page), XVM_E_MAP_LIMIT);
    CHECK_EQUAL(locked_memory(), locked);
    CHECK_EQUAL(usage_of(&r).locked, 0);
    CHECK_EQUAL(xvm_commit(&r, 350000 * page, page), XVM_E_MAP_LIMIT);
    CHECK(xvm_discard(&r, 300004 * page, page, XVM_DISCARD_ZERO) == XVM_OK);
    CHECK(base[300004 * page] == 0 && base[300003 * page] == 7);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_reserve(&other, page, NULL) == XVM_OK);
    CHECK(xvm_release(&other) == XVM_OK);
}

/* No mapping of the kernel spans two regions, so that releasing one never has to split
 * another's. */
TEST(regions_never_share_a_kernel_mapping)
{
    enum { REGIONS = 24 };
    size_t page = xvm_page_size();
    unsigned long long from, to;
    xvm_region r[REGIONS];
    char line[512], permissions[8];
    FILE *maps;

    for (size_t i = 0; i < REGIONS; i++) {
        CHECK(xvm_reserve(&r[i], 8 * page, NULL) == XVM_OK);
        CHECK(xvm_commit(&r[i], 0, r[i].size) == XVM_OK);
        memset(r[i].base, 1, r[i].size);
    }
    maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        int owners = 0;

        CHECK(sscanf(line, "%llx-%llx %7s", &from, &to, permissions) == 3);
        for (size_t i = 0; i < REGIONS; i++)
            owners += (uintptr_t)r[i].base < to && (uintptr_t)r[i].base + r[i].size > from;
        CHECK(owners <= 1);
    }
    fclose(maps);
    for (size_t i = 0; i < REGIONS; i++)
        CHECK(xvm_release(&r[i]) == XVM_OK);
}

/* --- fork and dump ---------------------------------------------------------------------------- */

/* What a child finds in the first byte: its value, or 256 when a look faults. */
static int byte_in_child(const xvm_region *r)
{
    int status, answer[2];
    pid_t child;

    CHECK(pipe(answer) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int found = faults_on_read(r->base) ? 256 : *(unsigned char *)r->base;

        _exit(write(answer[1], &found, sizeof found) == (ssize_t)sizeof found ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(read(answer[0], &status, sizeof status) == (ssize_t)sizeof status);
    close(answer[0]);
    close(answer[1]);
    return status;
}

TEST(fork_finds_what_the_policy_says_before_and_after_a_decommit)
{
    static const int expected[] = {[XVM_FORK_COPY] = 7, [XVM_FORK_NONE] = 256, [XVM_FORK_ZERO] = 0};

    needs_a_real_kernel();
    for (int policy = XVM_FORK_COPY; policy <= XVM_FORK_ZERO; policy++) {
        xvm_reserve_options o = {.fork = (xvm_fork)policy};
        xvm_region r;

        CHECK(xvm_reserve(&r, 16 * xvm_page_size(), &o) == XVM_OK);
        for (int round = 0; round < 2; round++) {
            CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
            memset(r.base, 7, r.size);
            CHECK_EQUAL(byte_in_child(&r), expected[policy]);
            CHECK(*(unsigned char *)r.base == 7);
            CHECK(xvm_decommit(&r, 0, r.size / 2) == XVM_OK);
        }
        CHECK(xvm_release(&r) == XVM_OK);
    }
}

TEST(a_child_may_release_what_it_did_not_inherit)
{
    xvm_region r;
    int status;
    pid_t child;

    CHECK(xvm_reserve(&r, 16 * xvm_page_size(), &(xvm_reserve_options){.fork = XVM_FORK_NONE}) ==
          XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(xvm_release(&r) == XVM_OK ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    *(unsigned char *)r.base = 1;
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(no_dump_survives_decommit)
{
    size_t page = xvm_page_size();
    xvm_region r;

    needs_a_real_kernel();
    CHECK(xvm_reserve(&r, 16 * page, &(xvm_reserve_options){.dump = XVM_DUMP_NEVER}) == XVM_OK);
    CHECK_EQUAL(look_at_smaps(r.base, r.size, " dd").without, 0);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    memset(r.base, 1, r.size);
    CHECK(xvm_decommit(&r, 4 * page, 4 * page) == XVM_OK);
    CHECK_EQUAL(look_at_smaps(r.base, r.size, " dd").without, 0);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(look_at_smaps(r.base, r.size, " dd").without, 0);
    CHECK(xvm_inject("attach@1+") == XVM_OK); /* the policy cannot be set again: commit sets it */
    CHECK(xvm_decommit(&r, 0, r.size) == XVM_OK);
    CHECK(xvm_commit(&r, 0, page) != XVM_OK);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(faults_on_read(r.base));
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    CHECK_EQUAL(look_at_smaps(r.base, r.size, " dd").without, 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* test_system_linux.c - limits against what Linux says elsewhere: the same files by stdio, the
 * limits of the process, a real control group; and what a program may do to our descriptors.
 *
 * Each case may spoil its process: it lowers limits, forks, closes descriptors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { MOST_DESCRIPTORS = 64 };
static const uint64_t MiB = (uint64_t)1 << 20;

static xvm_limits look(void)
{
    xvm_limits l;

    CHECK_EQUAL(xvm_get_limits(&l), XVM_OK);
    return l;
}

static void needs_a_real_kernel(void)
{
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator stands between the limits and the process");
}

/* The number behind a key in a file, in its unit. */
static uint64_t number_in(const char *path, const char *key)
{
    FILE *file = fopen(path, "r");
    unsigned long long value = 0;
    char line[512];
    bool found = false;

    CHECK(file != NULL);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found =
            strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%llu", &value) == 1;
    fclose(file);
    CHECK(found);
    return value;
}

static bool is_near(uint64_t a, uint64_t b, uint64_t slack)
{
    return a <= b + slack && b <= a + slack;
}

/* Does work in a child, which must end well. */
static void in_a_child(void (*work)(void))
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        work();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- the same numbers elsewhere --------------------------------------------------------------- */

TEST(the_machine_is_that_of_meminfo)
{
    xvm_limits l = look();
    uint64_t available = number_in("/proc/meminfo", "MemAvailable:") << 10;
    uint64_t swap = number_in("/proc/meminfo", "SwapFree:") << 10;
    struct sysinfo info;

    CHECK_EQUAL(l.physical_total, number_in("/proc/meminfo", "MemTotal:") << 10);
    CHECK_EQUAL(l.commit_limit, number_in("/proc/meminfo", "CommitLimit:") << 10);
    CHECK(is_near(l.physical_available, available, 2048 * MiB));
    CHECK(is_near(l.commit_used, number_in("/proc/meminfo", "Committed_AS:") << 10, 2048 * MiB));
    CHECK(l.headroom <= l.physical_available + swap + MiB);
    CHECK(sysinfo(&info) == 0);
    CHECK(memory_is_emulated() || (uint64_t)info.totalram * info.mem_unit == l.physical_total);
}

TEST(the_process_is_that_of_status)
{
    xvm_limits l;

    (void)look(); /* opens what stays open */
    (void)number_in("/proc/self/status", "VmSize:");
    l = look();
    CHECK(is_near(l.process_reserved, number_in("/proc/self/status", "VmSize:") << 10, MiB));
    CHECK(is_near(l.process_committed, number_in("/proc/self/status", "VmData:") << 10, MiB));
    CHECK(is_near(l.process_resident, number_in("/proc/self/status", "VmRSS:") << 10, MiB));
    CHECK_EQUAL(l.process_locked, number_in("/proc/self/status", "VmLck:") << 10);
    CHECK_EQUAL(l.map_limit, number_in("/proc/sys/vm/max_map_count", ""));
}

TEST(mappings_are_those_of_maps)
{
    holdings h;

    look_at_process(&h);
    CHECK(is_near(look().map_used, h.mappings, 3));
}

TEST(faults_are_those_of_getrusage)
{
    struct rusage before, after;
    xvm_limits l;

    CHECK(getrusage(RUSAGE_SELF, &before) == 0);
    l = look();
    CHECK(getrusage(RUSAGE_SELF, &after) == 0);
    CHECK(l.minor_faults >= (uint64_t)before.ru_minflt);
    CHECK(l.minor_faults <= (uint64_t)after.ru_minflt);
    CHECK(l.major_faults >= (uint64_t)before.ru_majflt);
    CHECK(l.major_faults <= (uint64_t)after.ru_majflt);
}

TEST(limits_of_the_process_are_seen_when_they_change)
{
    struct rlimit limit;

    needs_a_real_kernel();
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(limit.rlim_cur != RLIM_INFINITY || look().address_space_limit == UINT64_MAX);
    limit.rlim_cur = 1u << 30;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK_EQUAL(look().address_space_limit, 1u << 30);
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    limit.rlim_cur = 3u << 16;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    CHECK_EQUAL(look().lock_limit, 3u << 16);
}

TEST(headroom_is_what_the_data_limit_leaves)
{
    struct rlimit limit;
    xvm_limits l = look();
    xvm_region r;

    needs_a_real_kernel();
    CHECK(getrlimit(RLIMIT_DATA, &limit) == 0);
    limit.rlim_cur = (rlim_t)(l.process_committed + 64 * MiB);
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    l = look();
    CHECK_EQUAL(l.data_limit, limit.rlim_cur);
    CHECK_EQUAL(l.headroom, l.data_limit - l.process_committed);
    CHECK(xvm_reserve(&r, (size_t)(128 * MiB), NULL) == XVM_OK);
    l = look();
    CHECK_EQUAL(xvm_commit(&r, 0, (size_t)(l.headroom + MiB)), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_commit(&r, 0, (size_t)(l.headroom - MiB)), XVM_OK); /* and its bookkeeping */
    CHECK(look().headroom <= MiB);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(facts_are_those_of_the_kernel_s_files)
{
    const xvm_system_info *s = xvm_system();
    uint64_t strict = number_in("/proc/sys/vm/overcommit_memory", "") == 2;

    CHECK_EQUAL(s->processors, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_EQUAL((s->features & XVM_HAS_STRICT_COMMIT) != 0, strict);
    CHECK((s->features & XVM_HAS_FORK) && (s->features & XVM_HAS_DUMP));
    CHECK(s->features & XVM_HAS_FAULT_COUNTS);
    if (s->huge_page_size != 0)
        CHECK_EQUAL(s->huge_page_size, number_in("/proc/meminfo", "Hugepagesize:") << 10);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static uint64_t reserved_of_parent;

/* A child that has 64 MiB more than its parent sees its own numbers. */
static void see_own_numbers(void)
{
    size_t size = (size_t)(64 * MiB);
    void *more;
    holdings h;

    more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(more != MAP_FAILED);
    memset(more, 1, size);
    look_at_process(&h);
    CHECK(look().process_reserved + MiB >= reserved_of_parent + size);
    CHECK(look().process_resident >= size);
    CHECK(is_near(look().map_used, h.mappings, 3));
    CHECK(look().minor_faults != 0);
}

static void see_own_numbers_and_those_of_a_child(void)
{
    see_own_numbers();
    reserved_of_parent = look().process_reserved;
    in_a_child(see_own_numbers);
}

TEST(a_forked_child_sees_itself)
{
    reserved_of_parent = look().process_reserved;
    in_a_child(see_own_numbers_and_those_of_a_child);
    CHECK(is_near(look().process_reserved, reserved_of_parent, 4 * MiB));
}

static holdings holdings_of_parent;

static void hold_no_more(void)
{
    holdings h;

    for (int i = 0; i < 10; i++)
        (void)look();
    look_at_process(&h);
    CHECK(h.handles <= holdings_of_parent.handles);
}

TEST(a_forked_child_closes_what_its_parent_opened)
{
    (void)look();
    look_at_process(&holdings_of_parent);
    in_a_child(hold_no_more);
}

/* A program that only has regions and heaps finds its descriptors as they would be without. */
TEST(a_heap_costs_no_descriptor)
{
    xvm_heap *heap;
    holdings before, after;

    look_at_process(&before);
    CHECK_EQUAL(xvm_heap_create(&heap, NULL), XVM_OK);
    CHECK(xvm_heap_alloc(heap, 100) != NULL && xvm_heap_alloc(heap, 1000000) != NULL);
    look_at_process(&after);
    CHECK_EQUAL(after.handles, before.handles);
    xvm_heap_destroy(heap);
}

static void close_all(void)
{
    for (int i = 3; i < MOST_DESCRIPTORS; i++)
        (void)close(i);
}

TEST(it_works_after_all_descriptors_were_closed)
{
    xvm_limits before = look(), after;

    close_all();
    after = look();
    CHECK_EQUAL(before.physical_total, after.physical_total);
    CHECK(is_near(before.process_reserved, after.process_reserved, 4 * MiB));
    CHECK_EQUAL(before.map_limit, after.map_limit);
    CHECK_EQUAL(before.container_limit, after.container_limit);
}

/* Every number is now a file of the program, which says other things. */
TEST(it_leaves_files_alone_that_have_our_numbers_now)
{
    char text[] = "MemTotal: 5 kB\nVmSize: 7 kB\n9:memory:/no\n", back[sizeof text];
    char path[] = "/tmp/xvm_system_XXXXXX";
    xvm_limits before = look(), after;
    int file;

    close_all();
    file = mkstemp(path);
    CHECK(file == 3 && unlink(path) == 0);
    CHECK(write(file, text, sizeof text) == (ssize_t)sizeof text);
    for (int i = 4; i < MOST_DESCRIPTORS; i++)
        CHECK(dup2(file, i) == i);
    after = look();
    CHECK_EQUAL(before.physical_total, after.physical_total);
    CHECK(is_near(before.process_reserved, after.process_reserved, 4 * MiB));
    CHECK(is_near(before.map_used, after.map_used, 8));
    CHECK_EQUAL(before.map_limit, after.map_limit);
    CHECK_EQUAL(before.container_limit, after.container_limit);
    for (int i = 3; i < MOST_DESCRIPTORS; i++)
        CHECK(pread(i, back, sizeof back, 0) == (ssize_t)sizeof back &&
              memcmp(text, back, sizeof back) == 0);
}

TEST(descriptors_are_closed_on_exec)
{
    bool inherited[MOST_DESCRIPTORS];
    int opened = 0;

    for (int i = 3; i < MOST_DESCRIPTORS; i++)
        inherited[i] = fcntl(i, F_GETFD) >= 0;
    (void)look();
    for (int i = 3; i < MOST_DESCRIPTORS; i++)
        if (!inherited[i] && fcntl(i, F_GETFD) >= 0) {
            CHECK(fcntl(i, F_GETFD) & FD_CLOEXEC);
            opened++;
        }
    CHECK(opened > 2);
}

TEST(without_descriptors_what_is_known_is_told_and_the_rest_cleared)
{
    struct rlimit old;
    xvm_limits l;
    xvm_status status;

    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, old.rlim_max}) == 0);
    memset(&l, 7, sizeof l);
    status = xvm_get_limits(&l);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0); /* a sanitizer opens files at the end */
    if (status == XVM_OK)
        SKIP("an emulator has descriptors of its own");
    CHECK_EQUAL(status, XVM_E_SYSTEM);
    CHECK_EQUAL(xvm_system_error(), EMFILE);
    CHECK_EQUAL(l.physical_total, 0);
    CHECK_EQUAL(l.headroom, 0);
}

TEST(what_stays_open_needs_no_new_descriptor)
{
    struct rlimit none = {0, 0};
    xvm_limits before = look(), after;

    needs_a_real_kernel();
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    after = look();
    CHECK_EQUAL(before.physical_total, after.physical_total);
    CHECK_EQUAL(before.map_limit, after.map_limit);
}

/* --- a real control group --------------------------------------------------------------------- */

static char group[256];

static bool write_group_file(const char *name, const char *text)
{
    char path[320];
    int file;
    bool written;

    snprintf(path, sizeof path, "%s/%s", group, name);
    file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    written = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    close(file);
    return written;
}

/* A group of 256 MiB below the root of either version, or a reason why there is none. */
static void make_group(void)
{
    snprintf(group, sizeof group, "/sys/fs/cgroup/memory/xvm_test_%d", (int)getpid());
    if (mkdir(group, 0755) == 0) {
        if (write_group_file("memory.limit_in_bytes", "268435456"))
            return;
        (void)rmdir(group);
    }
    snprintf(group, sizeof group, "/sys/fs/cgroup/xvm_test_%d", (int)getpid());
    if (mkdir(group, 0755) == 0) {
        if (write_group_file("memory.max", "268435456"))
            return;
        (void)rmdir(group);
    }
    SKIP("no control group with a memory limit may be made here");
}

/* Moved after a first look, so that the group changes under a process that has files open. */
static void live_in_the_group(void)
{
    size_t size = (size_t)(128 * MiB);
    unsigned char *memory;
    uint64_t room;
    char pid[32];

    (void)look();
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    CHECK(write_group_file("cgroup.procs", pid));
    CHECK_EQUAL(look().container_limit, 256 * MiB);
    room = look().headroom;
    CHECK(room <= 256 * MiB && room >= 200 * MiB);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 1, size);
    CHECK(look().container_used >= size);
    CHECK(is_near(look().headroom + size, room, 16 * MiB));
    CHECK(xvm_system()->features & XVM_HAS_CONTAINER);
}

TEST(a_process_in_a_group_of_256_mib_knows_it)
{
    pid_t child;
    int status;

    needs_a_real_kernel();
    make_group();
    child = fork();
    if (child == 0) {
        live_in_the_group();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    for (int i = 0; i < 100 && rmdir(group) != 0; i++)
        usleep(10000); /* until the kernel has seen the child off */
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

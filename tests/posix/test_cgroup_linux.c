/* test_cgroup_linux.c - control groups as they are met in the wild, each a small tree of files in
 * tests/cgroup/: what would lie at / on such a machine.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "harness.h"

enum { MIB = 1 << 20 };
static const uint64_t MEMORY = (uint64_t)16 << 30; /* of the machine that is pretended */

/* --- one tree for each case ------------------------------------------------------------------- */

/* Twice with what stays open, because the second look goes another way. */
static bool look(const char *tree, uint64_t *limit, uint64_t *used)
{
    static xvm_os_groups groups;
    char root[256];
    uint64_t again[2] = {7, 7};
    bool found;

    snprintf(root, sizeof root, "tests/cgroup/%s", tree);
    *limit = *used = 7;
    found = xvm_os_groups_look(&groups, root, MEMORY, limit, used);
    CHECK(found == xvm_os_groups_look(&groups, root, MEMORY, &again[0], &again[1]));
    CHECK(again[0] == *limit && again[1] == *used);
    xvm_os_groups_forget(&groups);
    return found;
}

static void expect(const char *tree, uint64_t limit_in_mib, uint64_t used_in_mib)
{
    uint64_t limit, used;

    CHECK(look(tree, &limit, &used));
    CHECK_EQUAL(limit, limit_in_mib * MIB);
    CHECK_EQUAL(used, used_in_mib * MIB);
}

/* Then neither number is set. */
static void expect_none(const char *tree)
{
    uint64_t limit, used;

    CHECK(!look(tree, &limit, &used));
    CHECK(limit == 7 && used == 7);
}

TEST(a_group_of_version_2)
{
    expect("v2_plain", 512, 200);
}

TEST(max_is_no_limit)
{
    expect_none("v2_max");
}

TEST(the_ancestor_with_less_room_counts_not_the_lower_limit)
{
    expect("v2_ancestor_with_less_room", 4096, 3846);
}

TEST(the_outermost_ancestor_counts)
{
    expect("v2_outermost_tightest", 256, 64);
}

TEST(high_below_max_is_the_limit)
{
    expect("v2_high", 512, 100);
}

TEST(a_namespace_shows_its_root_as_the_mount)
{
    expect("v2_namespaced", 256, 15);
}

TEST(a_limit_of_nothing_is_a_limit)
{
    expect("v2_zero", 0, 15);
}

TEST(more_levels_than_files_stay_open)
{
    expect("v2_deep", 128, 20);
}

TEST(a_group_of_version_1)
{
    expect("v1_plain", 512, 200);
}

TEST(the_largest_numbers_of_version_1_are_no_limit)
{
    expect_none("v1_sentinel");
}

TEST(an_ancestor_that_counts_descendants)
{
    expect("v1_ancestor_tighter", 512, 150);
}

TEST(an_ancestor_that_does_not_count_descendants)
{
    expect("v1_flat", 1024, 90);
}

TEST(a_limit_above_the_memory_is_none_its_ancestor_is_one)
{
    expect("above_memory", 2048, 100);
}

TEST(a_limit_above_the_memory_is_none)
{
    expect_none("above_memory_alone");
}

TEST(version_1_has_the_memory_and_version_2_has_not)
{
    expect("hybrid", 512, 200);
}

TEST(no_version_has_the_memory)
{
    expect_none("hybrid_without_memory");
}

TEST(a_limit_without_use_counts_in_full)
{
    expect("missing_files", 512, 0);
}

TEST(no_mount_shows_the_group)
{
    expect_none("missing_mounts");
}

TEST(what_cannot_be_read_is_not_there)
{
    expect("unreadable", 512, 0);
}

TEST(what_is_no_number_is_no_limit)
{
    expect_none("garbage");
}

TEST(use_that_is_no_number_is_not_known)
{
    expect("garbage_in_use", 512, 0);
}

TEST(the_mount_starts_below_the_root)
{
    expect("mount_root", 128, 10);
}

TEST(a_mount_that_starts_elsewhere_shows_nothing)
{
    expect_none("mount_root_elsewhere");
}

TEST(the_second_mount_shows_the_group_and_has_a_blank)
{
    expect("two_mounts", 256, 6);
}

TEST(a_group_beside_the_namespace_that_the_mount_shows)
{
    expect("sibling_namespace", 256, 16);
}

TEST(a_group_beside_the_namespace_out_of_sight)
{
    expect_none("sibling_out_of_sight");
}

TEST(a_path_longer_than_any_is_not_followed)
{
    expect_none("long_path");
}

TEST(a_line_longer_than_the_buffer_is_passed)
{
    expect_none("long_line");
}

TEST(a_path_too_long_with_its_mount_is_not_followed)
{
    expect_none("just_too_long");
}

TEST(what_can_be_dropped_is_no_use)
{
    expect("cache_v1", 512, 1);
}

TEST(more_to_drop_than_in_use)
{
    expect("cache_beyond_use", 512, 0);
}

TEST(the_largest_numbers_are_no_limit_when_the_memory_is_not_known)
{
    static xvm_os_groups groups;
    uint64_t limit, used;

    CHECK(!xvm_os_groups_look(&groups, "tests/cgroup/v1_sentinel", UINT64_MAX, &limit, &used));
    xvm_os_groups_forget(&groups);
    CHECK(!xvm_os_groups_look(&groups, "tests/cgroup/garbage", UINT64_MAX, &limit, &used));
    xvm_os_groups_forget(&groups);
}

TEST(limits_are_known_where_their_files_are)
{
    static xvm_os_groups groups;
    uint64_t limit, used;

    CHECK(!xvm_os_groups_look(&groups, "tests/cgroup/v2_max", MEMORY, &limit, &used));
    CHECK(xvm_os_groups_are_known(&groups));
    xvm_os_groups_forget(&groups);
    CHECK(
        !xvm_os_groups_look(&groups, "tests/cgroup/hybrid_without_memory", MEMORY, &limit, &used));
    CHECK(!xvm_os_groups_are_known(&groups));
    xvm_os_groups_forget(&groups);
}

TEST(nothing_is_there_at_all)
{
    expect_none("no such tree");
}

/* --- what changes between two looks ----------------------------------------------------------- */

static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Two groups, and this process in the first. */
static void make_tree(void)
{
    strcpy(folder, "/tmp/xvm_cgroup_XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    write_file("proc/self/mountinfo", "30 23 0:26 / /groups rw - cgroup2 cgroup2 rw\n");
    write_file("proc/self/cgroup", "0::/one\n");
    write_file("groups/one/memory.max", "1000\n");
    write_file("groups/one/memory.current", "10\n");
    write_file("groups/two/memory.max", "2000\n");
    write_file("groups/two/memory.current", "20\n");
}

static void remove_tree(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
}

static void expect_in(xvm_os_groups *g, uint64_t expected_limit, uint64_t expected_used)
{
    uint64_t limit, used;

    CHECK(xvm_os_groups_look(g, folder, MEMORY, &limit, &used));
    CHECK_EQUAL(limit, expected_limit);
    CHECK_EQUAL(used, expected_used);
}

TEST(limits_and_use_are_read_at_each_look)
{
    static xvm_os_groups groups;

    make_tree();
    expect_in(&groups, 1000, 10);
    write_file("groups/one/memory.max", "900\n");
    write_file("groups/one/memory.current", "30\n");
    expect_in(&groups, 900, 30);
    CHECK(xvm_os_groups_are_known(&groups));
    xvm_os_groups_forget(&groups);
    remove_tree();
}

TEST(a_process_that_moved_is_found_again)
{
    static xvm_os_groups groups;

    make_tree();
    expect_in(&groups, 1000, 10);
    write_file("proc/self/cgroup", "0::/two\n");
    expect_in(&groups, 2000, 20);
    write_file("proc/self/cgroup", "0::/one\n");
    expect_in(&groups, 1000, 10);
    xvm_os_groups_forget(&groups);
    remove_tree();
}

/* Somebody closed the descriptor of the limit and opened a file of his own, which has its number
 * now. */
static int take_number(xvm_os_groups *g)
{
    int file = g->files[0][0].number, other;
    char path[128];

    write_file("other", "5\n");
    snprintf(path, sizeof path, "%s/other", folder);
    CHECK(close(file) == 0);
    other = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_EQUAL(other, file); /* the lowest that is free */
    return other;
}

TEST(a_descriptor_that_became_another_file_is_not_read)
{
    static xvm_os_groups groups;
    char byte;
    int file;

    make_tree();
    expect_in(&groups, 1000, 10);
    file = take_number(&groups);
    expect_in(&groups, 1000, 10);
    CHECK(groups.files[0][0].number != file);
    xvm_os_groups_forget(&groups);
    CHECK(read(file, &byte, 1) == 1 && byte == '5');
    remove_tree();
}

TEST(a_descriptor_that_became_another_file_is_not_closed)
{
    static xvm_os_groups groups;
    char byte;
    int file;

    make_tree();
    expect_in(&groups, 1000, 10);
    file = take_number(&groups);
    xvm_os_groups_forget(&groups);
    CHECK(read(file, &byte, 1) == 1 && byte == '5');
    remove_tree();
}

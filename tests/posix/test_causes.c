/* test_causes.c - the causes behind refusals of a Linux process, each met for real, and the knob
 * that its sentence names.
 *
 * Each is met in a child process, because it lowers limits and drops privileges.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { NOBODY = 65534, SENTENCE = 1024, SET_MDWE = 65, CANNOT = 77 };
static const size_t MiB = (size_t)1 << 20;

/* A macro, because the type of the first argument differs between C libraries. */
#define set_limit(which, limit)                                                                    \
    CHECK(setrlimit(which, &(struct rlimit){(rlim_t)(limit), (rlim_t)(limit)}) == 0)

static void drop_privileges(void)
{
    if (geteuid() == 0)
        CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static xvm_region reserve(size_t size, const xvm_reserve_options *options)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, size, options) == XVM_OK);
    return r;
}

static xvm_region committed(size_t size, const char *name)
{
    xvm_region r = reserve(size, &(xvm_reserve_options){.name = name});

    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    return r;
}

/* --- the causes: each answers the status of the call that was refused ------------------------- */

static xvm_status meet_data_limit(void)
{
    xvm_region r = reserve(256 * MiB, &(xvm_reserve_options){.name = "entities"});
    xvm_limits now;

    CHECK(xvm_get_limits(&now) == XVM_OK);
    set_limit(RLIMIT_DATA, now.process_committed + 60 * MiB);
    CHECK(xvm_commit(&r, 0, 32 * MiB) == XVM_OK);
    return xvm_commit(&r, 32 * MiB, 32 * MiB);
}

/* There is room for the page, but not for what is noted about it. */
static xvm_status meet_data_limit_by_book_keeping(void)
{
    size_t page = xvm_page_size();
    xvm_region r = reserve(1024 * page, NULL);
    xvm_limits now;

    CHECK(xvm_get_limits(&now) == XVM_OK);
    set_limit(RLIMIT_DATA, now.process_committed + page);
    return xvm_commit(&r, 512 * page, 1);
}

static xvm_status meet_address_limit(void)
{
    xvm_region r;
    xvm_limits now;

    CHECK(xvm_get_limits(&now) == XVM_OK);
    set_limit(RLIMIT_AS, now.process_reserved + 64 * MiB);
    return xvm_reserve(&r, 512 * MiB, &(xvm_reserve_options){.name = "index"});
}

static xvm_status commit_more_than_memory(void)
{
    xvm_region r = reserve((size_t)(16ull << 40), NULL);

    return xvm_commit(&r, 0, r.size);
}

static xvm_status meet_lock_limit(void)
{
    xvm_region r = committed(4 * MiB, "keys");

    /* the soft limit is no limit for us */
    CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){64 << 10, (rlim_t)(2 * MiB)}) == 0);
    drop_privileges();
    return xvm_lock(&r, 0, 4 * MiB);
}

static xvm_status lock_without_any_right(void)
{
    xvm_region r = committed(MiB, "keys");

    set_limit(RLIMIT_MEMLOCK, 0);
    drop_privileges();
    return xvm_lock(&r, 0, 1);
}

static xvm_status reserve_while_all_is_locked(void)
{
    xvm_region r;

    set_limit(RLIMIT_MEMLOCK, 4 * MiB);
    drop_privileges();
    CHECK(mlockall(MCL_FUTURE) == 0);
    return xvm_reserve(&r, 64 * MiB, NULL);
}

static xvm_status use_all_mappings(void)
{
    size_t page = xvm_page_size(), i = 0;
    xvm_region r = reserve(400000 * page, &(xvm_reserve_options){.name = "pages"});
    xvm_status status = XVM_OK;

    for (; status == XVM_OK && i < 400000; i += 2)
        status = xvm_commit(&r, i * page, page);
    return status;
}

static xvm_status reserve_over_another(void)
{
    xvm_region r = reserve(MiB, NULL), second;

    return xvm_reserve(&second, MiB, &(xvm_reserve_options){.address = r.base});
}

static xvm_status reserve_more_than_there_is(void)
{
    xvm_region r;

    return xvm_reserve(&r, (size_t)1 << (sizeof(size_t) * 8 - 1), NULL);
}

static int look_no_further(const xvm_span *span, void *context)
{
    (void)span;
    (void)context;
    return 1;
}

/* A static program may lie at an end of the addresses, so something is put in the middle. Where the map
 * cannot be read nothing is known of holes. */
static xvm_status reserve_more_than_a_hole(void)
{
    xvm_reserve_options middle = {.address =
                                      (void *)((uintptr_t)1 << (sizeof(void *) > 4 ? 46 : 30))};
    xvm_region r;

    (void)xvm_reserve(&r, 1 * MiB, &middle);
    if (xvm_walk(look_no_further, NULL) != XVM_OK)
        exit(CANNOT);
    return xvm_reserve(&r, (size_t)(127ull << 40), NULL);
}

static xvm_status reserve_below_everything(void)
{
    xvm_region r;

    return xvm_reserve(&r, 16 * MiB, &(xvm_reserve_options){.below = 8 * MiB});
}

static xvm_status exceed_a_budget(void)
{
    static xvm_budget level;
    xvm_region r;

    CHECK(xvm_budget_init(&level, "level", NULL, MiB) == XVM_OK);
    r = reserve(4 * MiB, &(xvm_reserve_options){.budget = &level});
    return xvm_commit(&r, 0, 2 * MiB);
}

static xvm_status forbid_code(void)
{
    xvm_region r = committed(MiB, "jit");

    if (prctl(SET_MDWE, 1ul, 0ul, 0ul, 0ul) != 0)
        exit(CANNOT);
    return xvm_protect(&r, 0, MiB, XVM_READ_EXECUTE);
}

static xvm_status empty_pool_of_huge_pages(void)
{
    xvm_region r;

    if (xvm_system()->huge_page_size == 0 || xvm_system()->features & XVM_HAS_EXPLICIT_HUGE)
        exit(CANNOT);
    return xvm_reserve(&r, 2 * MiB, &(xvm_reserve_options){.huge = XVM_HUGE_MUST_EXPLICIT});
}

static xvm_status reserve_nothing(void)
{
    xvm_region r;

    return xvm_reserve(&r, 0, NULL);
}

static xvm_status protect_what_is_reserved(void)
{
    xvm_region r = reserve(MiB, NULL);

    return xvm_protect(&r, 0, MiB, XVM_READ);
}

static xvm_status prefault_read_only_pages(void)
{
    xvm_region r = committed(MiB, NULL);

    CHECK(xvm_protect(&r, 0, MiB, XVM_READ) == XVM_OK);
    return xvm_prefault(&r, 0, MiB);
}

static xvm_status ask_for_what_there_is_not(void)
{
    xvm_region r;

    return xvm_reserve(&r, MiB, &(xvm_reserve_options){.numa_node = 1 << 14});
}

/* --- containers ------------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);

    if (file >= 0)
        close(file);
    return written;
}

static char group[128];

static void leave_group(void)
{
    (void)write_file("/sys/fs/cgroup/memory/cgroup.procs", "0");
    (void)write_file("/sys/fs/cgroup/cgroup.procs", "0");
    (void)rmdir(group);
}

/* Into a control group of 64 MiB of its own. */
static void enter_group(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    static const char *const files[] = {"memory.limit_in_bytes", "memory.max"};
    char path[256], limit[32];

    snprintf(limit, sizeof limit, "%zu", 64 * MiB);
    for (int i = 0; i < 2; i++) {
        snprintf(group, sizeof group, "%s/xvm-explain-%ld", roots[i], (long)getpid());
        if (mkdir(group, 0755) != 0)
            continue;
        atexit(leave_group);
        snprintf(path, sizeof path, "%s/%s", group, files[i]);
        if (!write_file(path, limit))
            exit(CANNOT);
        snprintf(path, sizeof path, "%s/cgroup.procs", group);
        if (!write_file(path, "0"))
            exit(CANNOT);
        return;
    }
    exit(CANNOT);
}

static xvm_status prefault_more_than_the_container(void)
{
    xvm_region r = committed(256 * MiB, "frames");

    enter_group();
    return xvm_prefault(&r, 0, r.size);
}

static xvm_status exceed_the_budget_of_the_container(void)
{
    static xvm_budget container;
    xvm_region r;

    enter_group();
    CHECK(xvm_budget_init_container(&container) == XVM_OK);
    r = reserve(256 * MiB, &(xvm_reserve_options){.budget = &container});
    return xvm_commit(&r, 0, r.size);
}

/* --- what is said ----------------------------------------------------------------------------- */

typedef struct cause {
    const char *name;
    xvm_status (*meet)(void);
    xvm_status status;
    const char *said[3]; /* in the sentence; the last one is the knob */
    bool wide;           /* needs 64 bits of addresses */
} cause;

static const cause causes[] = {
    {"data limit",
     meet_data_limit,
     XVM_E_COMMIT_LIMIT,
     {"commit of 32 MiB in region 'entities' refused: RLIMIT_DATA is ", " in use", "ulimit -d"},
     false},
    {"address limit",
     meet_address_limit,
     XVM_E_ADDRESS_SPACE,
     {"reserve of 512 MiB in region 'index' refused: RLIMIT_AS is ", " in use", "ulimit -v"},
     false},
    {"larger than memory",
     commit_more_than_memory,
     XVM_E_COMMIT_LIMIT,
     {"commit of 16 TiB", "RAM and swap is ", "vm.overcommit_memory"},
     true},
    {"lock limit",
     meet_lock_limit,
     XVM_E_LOCK_LIMIT,
     {"lock of 4 MiB in region 'keys' refused: ", "RLIMIT_MEMLOCK is 2 MiB, 0 bytes in use",
      "ulimit -l"},
     false},
    {"lock forbidden",
     lock_without_any_right,
     XVM_E_LOCK_LIMIT,
     {"lock of 1 byte", "RLIMIT_MEMLOCK is 0 bytes", "CAP_IPC_LOCK"},
     false},
    {"locked future",
     reserve_while_all_is_locked,
     XVM_E_LOCK_LIMIT,
     {"reserve of 64 MiB", "RLIMIT_MEMLOCK is 4 MiB", "munlockall"},
     false},
    {"mappings",
     use_all_mappings,
     XVM_E_MAP_LIMIT,
     {"in region 'pages'", "vm.max_map_count is ", "XVM_COMMIT_SPARSE"},
     false},
    {"address taken",
     reserve_over_another,
     XVM_E_ADDRESS_TAKEN,
     {"reserve of 1 MiB at 0x", "something else is there", "NULL"},
     false},
    {"address bits",
     reserve_more_than_there_is,
     XVM_E_ADDRESS_SPACE,
     {"reserve of ", " bits) is ", "ask for less"},
     true},
    {"no hole",
     reserve_more_than_a_hole,
     XVM_E_ADDRESS_SPACE,
     {"reserve of 127 TiB", "largest hole in the address space is ", "min_size"},
     true},
    {"no place",
     reserve_below_everything,
     XVM_E_ADDRESS_SPACE,
     {"reserve of 16 MiB", "no hole of that size", "below"},
     false},
    {"budget",
     exceed_a_budget,
     XVM_E_BUDGET,
     {"commit of 2 MiB refused: ", "budget 'level' is 1 MiB, 0 bytes in use",
      "xvm_budget_set_limit"},
     false},
    {"execute policy",
     forbid_code,
     XVM_E_PERMISSION,
     {"protect of 1 MiB in region 'jit' refused: ", "executable", "PR_SET_MDWE"},
     false},
    {"huge pool",
     empty_pool_of_huge_pages,
     XVM_E_COMMIT_LIMIT,
     {"reserve of 2 MiB", "pool", "vm.nr_hugepages"},
     false},
    {"container",
     prefault_more_than_the_container,
     XVM_E_COMMIT_LIMIT,
     {"prefault of 256 MiB in region 'frames' refused: ", "container's memory limit is 64 MiB",
      "memory.max"},
     false},
    {"budget of the container",
     exceed_the_budget_of_the_container,
     XVM_E_BUDGET,
     {"commit of 256 MiB", "budget 'container' is ", "what the container had left"},
     false},
    {"broken argument", reserve_nothing, XVM_E_INVALID, {"reserve refused: ", "", "header"}, false},
    {"not committed",
     protect_what_is_reserved,
     XVM_E_NOT_COMMITTED,
     {"protect of 1 MiB", "committed", "xvm_commit"},
     false},
    {"protection",
     prefault_read_only_pages,
     XVM_E_PERMISSION,
     {"prefault of 1 MiB", "protection of a page", "xvm_protect"},
     false},
    {"unsupported",
     ask_for_what_there_is_not,
     XVM_E_UNSUPPORTED,
     {"reserve of 1 MiB", "does not have it", "features"},
     false},
};
enum { CAUSES = sizeof causes / sizeof *causes };

/* In the child. */
static void tell(const cause *c, int channel)
{
    char sentence[SENTENCE];
    size_t length;

    CHECK_EQUAL(c->meet(), c->status);
    CHECK_EQUAL(xvm_last_status(), c->status);
    length = xvm_explain(sentence, sizeof sentence);
    CHECK(length < sizeof sentence);
    CHECK(write(channel, sentence, length + 1) == (ssize_t)length + 1);
    exit(0);
}

/* The sentence that a child gets; false when the cause cannot be had here. */
static bool hear(const cause *c, char *sentence)
{
    int channel[2], status;
    pid_t child;

    if (c->wide && sizeof(void *) == 4)
        return false;
    CHECK(pipe(channel) == 0);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        tell(c, channel[1]);
    close(channel[1]);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    sentence[0] = 0;
    if (WEXITSTATUS(status) != CANNOT) {
        CHECK_EQUAL(WEXITSTATUS(status), 0);
        CHECK(read(channel[0], sentence, SENTENCE) > 0);
    }
    close(channel[0]);
    return sentence[0] != 0;
}

static void needs_a_real_kernel(void)
{
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator stands between the limits and the process");
}

static void check_cause(const char *name)
{
    char sentence[SENTENCE];
    const cause *c = causes;

    needs_a_real_kernel();
    while (strcmp(c->name, name) != 0)
        c++;
    if (!hear(c, sentence))
        SKIP("this cause cannot be had here");
    printf("%s\n", sentence);
    for (int i = 0; i < 3; i++)
        CHECK(strstr(sentence, c->said[i]) != NULL);
}

TEST(more_than_ulimit_d)
{
    check_cause("data limit");
}

TEST(more_than_ulimit_v)
{
    check_cause("address limit");
}

TEST(a_commit_larger_than_the_machine)
{
    check_cause("larger than memory");
}

TEST(more_locked_than_ulimit_l)
{
    check_cause("lock limit");
}

TEST(nothing_may_be_locked)
{
    check_cause("lock forbidden");
}

TEST(all_that_is_mapped_is_locked)
{
    check_cause("locked future");
}

TEST(more_mappings_than_there_may_be)
{
    check_cause("mappings");
}

TEST(an_address_that_is_taken)
{
    check_cause("address taken");
}

TEST(a_size_beyond_all_addresses)
{
    check_cause("address bits");
}

TEST(a_size_larger_than_every_hole)
{
    check_cause("no hole");
}

TEST(no_hole_where_one_is_wanted)
{
    check_cause("no place");
}

TEST(more_than_a_budget)
{
    check_cause("budget");
}

TEST(code_is_forbidden)
{
    check_cause("execute policy");
}

TEST(no_huge_pages_in_the_pool)
{
    check_cause("huge pool");
}

TEST(more_than_the_container_has)
{
    check_cause("container");
}

TEST(more_than_the_budget_of_the_container)
{
    check_cause("budget of the container");
}

TEST(what_book_keeping_takes_counts_too)
{
    static const cause last = {"",
                               meet_data_limit_by_book_keeping,
                               XVM_E_COMMIT_LIMIT,
                               {"RLIMIT_DATA is ", " in use", "ulimit -d"},
                               false};
    char sentence[SENTENCE];

    needs_a_real_kernel();
    CHECK(hear(&last, sentence));
    CHECK(strstr(sentence, last.said[0]) != NULL && strstr(sentence, last.said[2]) != NULL);
}

/* A reservation for code is refused by what a protect would be refused by. */
static xvm_status reserve_for_code(void)
{
    xvm_region r;

    if (prctl(SET_MDWE, 1ul, 0ul, 0ul, 0ul) != 0)
        exit(CANNOT);
    return xvm_reserve(&r, MiB, &(xvm_reserve_options){.flags = XVM_RESERVE_EXECUTABLE});
}

TEST(a_reservation_for_code_names_the_step_that_was_refused)
{
    static const cause policy = {"", reserve_for_code, XVM_E_PERMISSION, {"", "", ""}, false};
    char sentence[SENTENCE];

    needs_a_real_kernel();
    if (!hear(&policy, sentence))
        SKIP("this kernel has no such policy");
    CHECK(strstr(sentence, "reserve of 1 MiB") != NULL && strstr(sentence, "PR_SET_MDWE") != NULL);
}

/* What follows "refused: ". */
TEST(every_cause_has_a_sentence_of_its_own)
{
    static char sentences[CAUSES][SENTENCE];
    const char *reasons[CAUSES];
    size_t count = 0;

    needs_a_real_kernel();
    for (size_t i = 0; i < CAUSES; i++)
        if (hear(&causes[i], sentences[count])) {
            reasons[count] = strstr(sentences[count], "refused: ");
            CHECK(reasons[count] != NULL);
            count++;
        }
    printf("%zu causes\n", count);
    CHECK(count >= 12);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(reasons[i], reasons[k]) != 0);
}

/* The code of the system survives the search for its cause, and so does errno. */
TEST(the_search_leaves_the_code_alone)
{
    xvm_region r;

    needs_a_real_kernel();
    if (sizeof(void *) == 4)
        SKIP("the address space is too small");
    r = reserve((size_t)(16ull << 40), NULL);
    errno = 0;
    if (xvm_commit(&r, 0, r.size) == XVM_OK)
        SKIP("vm.overcommit_memory is 1: nothing is ever refused");
    CHECK_EQUAL(errno, ENOMEM);
    CHECK_EQUAL(xvm_system_error(), ENOMEM);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* test_share_linux.c - what only Linux shows of shares: killed processes, full disks, limits, files cut
 * short, forks. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20 };

static char path[200], name[64], shown[200]; /* shown: the name in /dev/shm */
static size_t page;

static void begin(void)
{
    page = xvm_page_size();
    snprintf(path, sizeof path, "/tmp/xvm-share-linux-%u", process_number());
    snprintf(name, sizeof name, "linux.%u", process_number());
    snprintf(shown, sizeof shown, "/dev/shm/xvm.%u.%s", (unsigned)geteuid(), name);
    (void)unlink(path);
    (void)unlink(shown);
}

static unsigned char *at(const xvm_region *r, size_t offset)
{
    return (unsigned char *)r->base + offset;
}

static int wait_for(pid_t child)
{
    int status;

    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static xvm_status create_named(xvm_share *s, size_t size)
{
    return xvm_share_create(s, size, &(xvm_share_options){.name = name});
}

/* --- names and processes ---------------------------------------------------------------------- */

/* A child that has the name, and waits to be killed. */
static pid_t hold_elsewhere(void)
{
    int ready[2];
    char byte;
    pid_t child;

    CHECK(pipe(ready) == 0);
    child = fork();
    if (child == 0) {
        xvm_share s;

        if (create_named(&s, 3 * page) == XVM_OK)
            (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    CHECK_EQUAL(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

TEST(a_killed_process_leaves_a_name_that_is_free)
{
    pid_t child;
    xvm_share s;

    begin();
    for (int i = 0; i < 2; i++) { /* the next one creates it, or looks for it */
        child = hold_elsewhere();
        CHECK_EQUAL(create_named(&s, page), XVM_E_EXISTS);
        CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ), XVM_OK);
        CHECK_EQUAL(s.size, 3 * page);
        xvm_share_close(&s);
        CHECK(access(shown, F_OK) == 0);
        kill(child, SIGKILL);
        (void)wait_for(child);
        CHECK(access(shown, F_OK) == 0); /* nobody was there to unlink it */
        if (i == 0)
            CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ_WRITE), XVM_E_NOT_FOUND);
        else
            CHECK_EQUAL(create_named(&s, page), XVM_OK);
        CHECK_EQUAL(s.size, i == 0 ? 0 : page);
        xvm_share_close(&s);
        CHECK(access(shown, F_OK) != 0);
    }
}

TEST(who_joined_a_killed_process_keeps_the_name)
{
    xvm_share s, t;
    pid_t child;

    begin();
    child = hold_elsewhere();
    CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ_WRITE), XVM_OK);
    kill(child, SIGKILL);
    (void)wait_for(child);
    CHECK_EQUAL(create_named(&t, page), XVM_E_EXISTS);
    CHECK_EQUAL(xvm_share_open(&t, name, XVM_SHARE_READ_WRITE), XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(create_named(&s, page), XVM_E_EXISTS);
    xvm_share_close(&t);
    CHECK(access(shown, F_OK) != 0);
}

/* A process that was killed while it made it: the file is empty, and nobody has it locked. */
TEST(half_made_memory_is_nobodys)
{
    xvm_share s;
    int fd;

    begin();
    fd = open(shown, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ), XVM_E_NOT_FOUND);
    fd = open(shown, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_EQUAL(create_named(&s, page), XVM_OK);
    xvm_share_close(&s);
}

/* The same while another process waits for it. */
TEST(who_waited_for_half_made_memory_finds_none)
{
    pid_t child;
    xvm_share s;
    int fd;

    begin();
    fd = open(shown, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(flock(fd, LOCK_EX) == 0);
    child = fork();
    if (child == 0) {
        close(fd);
        _exit(xvm_share_open(&s, name, XVM_SHARE_READ) == XVM_E_NOT_FOUND ? 0 : 1);
    }
    sleep_for(50);
    CHECK(close(fd) == 0);
    CHECK_EQUAL(wait_for(child), 0);
    CHECK(access(shown, F_OK) != 0);
}

/* A lock that is exchanged for another one is lost for a moment. What somebody can do then is done here. */
static void take_the_name_away(const xvm_trace_call *call)
{
    if (strcmp(call->name, "ftruncate") == 0 && unlink(shown) == 0)
        xvm_set_trace(NULL);
}

TEST(a_name_that_was_lost_while_it_was_made_is_made_again)
{
    xvm_share s, t;

    begin();
    xvm_set_trace(take_the_name_away);
    CHECK_EQUAL(create_named(&s, page), XVM_OK);
    xvm_set_trace(NULL);
    CHECK_EQUAL(xvm_share_open(&t, name, XVM_SHARE_READ), XVM_OK);
    xvm_share_close(&s);
    xvm_share_close(&t);
    CHECK(access(shown, F_OK) != 0);
}

TEST(names_of_other_users_are_left_alone)
{
    xvm_share s;

    begin();
    if (geteuid() != 0)
        SKIP("only root can make a file that is another user's");
    CHECK(close(open(shown, O_RDWR | O_CREAT, 0666)) == 0);
    CHECK(chown(shown, 12345, 12345) == 0);
    CHECK_EQUAL(create_named(&s, page), XVM_E_PERMISSION);
    CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ), XVM_E_PERMISSION);
    CHECK(unlink(shown) == 0 && symlink("/etc/passwd", shown) == 0);
    CHECK(create_named(&s, page) != XVM_OK);
    CHECK(unlink(shown) == 0);
}

TEST(a_fork_copies_views_and_no_names)
{
    xvm_region r = {0};
    xvm_share s;
    pid_t child;

    begin();
    CHECK_EQUAL(create_named(&s, page), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK);
    child = fork();
    if (child == 0) {
        *at(&r, 0) = 5;
        xvm_share_close(&s);
        _exit(xvm_release(&r) == XVM_OK ? 0 : 1);
    }
    CHECK_EQUAL(wait_for(child), 0);
    CHECK_EQUAL(*at(&r, 0), 5);
    CHECK_EQUAL(access(shown, F_OK), 0); /* the copy was closed */
    xvm_share_close(&s);
    CHECK(access(shown, F_OK) != 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

static int look_in_child(const xvm_region *r, size_t offset)
{
    pid_t child = fork();

    if (child == 0)
        _exit(*at(r, offset));
    return WEXITSTATUS(wait_for(child));
}

/* What is shared is shared with a child; pages that were views have the region's policies again. */
TEST(policies_hold_around_views_and_after_them)
{
    xvm_reserve_options options = {.fork = XVM_FORK_ZERO};
    xvm_region r;
    xvm_share s;

    begin();
    if ((xvm_system()->features & XVM_HAS_FORK) == 0 || memory_is_emulated())
        SKIP("fork has no policies here, or an emulator takes them and does nothing");
    CHECK_EQUAL(xvm_share_create(&s, 2 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_reserve(&r, 8 * page, &options), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 2 * page), XVM_OK);
    *at(&r, 2 * page) = 7;
    CHECK_EQUAL(look_in_child(&r, 2 * page), 7);
    CHECK_EQUAL(xvm_share_unmap(&r, 2 * page, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    *at(&r, 2 * page) = 7;
    CHECK_EQUAL(look_in_child(&r, 2 * page), 0);
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_inject("attach"), XVM_OK); /* then the next commit does it */
    CHECK_EQUAL(xvm_share_unmap(&r, 2 * page, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 2 * page, 2 * page), XVM_OK);
    *at(&r, 2 * page) = 7;
    CHECK_EQUAL(look_in_child(&r, 2 * page), 0);
    CHECK(xvm_release(&r) == XVM_OK);
    options.fork = XVM_FORK_NONE;
    CHECK_EQUAL(xvm_reserve(&r, 8 * page, &options), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 2 * page), XVM_OK);
    CHECK_EQUAL(look_in_child(&r, 2 * page), 7);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

/* --- many processes for one name -------------------------------------------------------------- */

enum { RACERS = 4, RACES = 2000 };

/* Each process notes which memory it has while it has one. */
typedef struct race {
    uint64_t holds[RACERS];
    unsigned created, opened, broken;
} race;

/* Two that have memory of one name at one time have the same. */
static void hold_name(race *c, int index, const xvm_share *s)
{
    struct stat found;

    CHECK(fstat((int)s->own.handle, &found) == 0 && s->size == page);
    __atomic_store_n(&c->holds[index], (uint64_t)found.st_ino, __ATOMIC_SEQ_CST);
    for (int i = 0; i < RACERS; i++) {
        uint64_t other = __atomic_load_n(&c->holds[i], __ATOMIC_SEQ_CST);

        if (other != 0 && other != (uint64_t)found.st_ino)
            __atomic_fetch_add(&c->broken, 1, __ATOMIC_RELAXED);
    }
    if (found.st_ino % 8 == 0)
        usleep(20);
    __atomic_store_n(&c->holds[index], 0, __ATOMIC_SEQ_CST);
}

static void race_once(race *c, int index, bool creates)
{
    xvm_share s;
    xvm_status status =
        creates ? create_named(&s, page) : xvm_share_open(&s, name, XVM_SHARE_READ_WRITE);

    if (status != XVM_OK && status != (creates ? XVM_E_EXISTS : XVM_E_NOT_FOUND))
        __atomic_fetch_add(&c->broken, 1, __ATOMIC_RELAXED);
    if (status != XVM_OK)
        return;
    __atomic_fetch_add(creates ? &c->created : &c->opened, 1, __ATOMIC_RELAXED);
    hold_name(c, index, &s);
    xvm_share_close(&s);
}

TEST(many_processes_agree_on_one_name)
{
    pid_t children[RACERS];
    xvm_region shared = {0};
    xvm_share s;
    race *c;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &shared, 0), XVM_OK);
    c = shared.base;
    for (int i = 0; i < RACERS; i++) {
        children[i] = fork();
        for (int n = 0; children[i] == 0 && n < RACES; n++) {
            race_once(c, i, (n * 7 + i) % 3 == 0);
            usleep((unsigned)((n * 13 + i * 5) % 60)); /* so that the name is often free */
        }
        if (children[i] == 0)
            _exit(0);
    }
    for (int i = 0; i < RACERS; i++)
        CHECK_EQUAL(wait_for(children[i]), 0);
    printf("%u created, %u opened\n", c->created, c->opened);
    CHECK_EQUAL(c->broken, 0);
    CHECK(c->created > 0 && c->opened > 0);
    CHECK(access(shown, F_OK) != 0);
    CHECK(xvm_release(&shared) == XVM_OK);
    xvm_share_close(&s);
}

/* Processes die in the middle of it all. */
TEST(killed_processes_never_block_a_name)
{
    uint64_t seed = 3;
    xvm_share s;

    begin();
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();

        while (child == 0)
            if (create_named(&s, page) == XVM_OK)
                xvm_share_close(&s);
        usleep((unsigned)((test_random(&seed) >> 40) % 2000));
        kill(child, SIGKILL);
        (void)wait_for(child);
        CHECK_EQUAL(create_named(&s, page), XVM_OK);
        xvm_share_close(&s);
    }
    CHECK(access(shown, F_OK) != 0);
}

/* --- memory ----------------------------------------------------------------------------------- */

TEST(nobody_changes_the_size_of_memory)
{
    struct stat found;
    xvm_share s;
    int fd;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, 4 * page, NULL), XVM_OK);
    fd = (int)s.own.handle;
    CHECK(fstat(fd, &found) == 0 && (size_t)found.st_blocks * 512 >= 4 * page); /* it is there */
    if (fcntl(fd, 1034) == -1)                                                  /* F_GET_SEALS */
        SKIP("this system has no seals");
    CHECK(ftruncate(fd, 0) != 0 && ftruncate(fd, (off_t)(8 * page)) != 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    xvm_share_close(&s);
}

/* --- files ------------------------------------------------------------------------------------ */

TEST(a_file_may_be_larger_than_memory)
{
    const uint64_t size = (uint64_t)64 << 30;
    xvm_region r = {0};
    char bytes[6] = "";
    xvm_share s;
    int fd;

    begin();
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    if (ftruncate(fd, (off_t)size) != 0)
        SKIP("the file system has no file of 64 GiB");
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_READ_WRITE), XVM_OK);
    CHECK(s.size == size);
    CHECK_EQUAL(xvm_share_map(&s, size - MiB, 0, NULL, &r, 0), XVM_OK);
    CHECK_EQUAL(r.size, MiB);
    memcpy(at(&r, MiB - 5), "world", 5);
    CHECK_EQUAL(pread(fd, bytes, 5, (off_t)size - 5), 5);
    CHECK(strcmp(bytes, "world") == 0);
    CHECK(xvm_release(&r) == XVM_OK);
    if (sizeof(void *) == 4) /* to the end is more than there are addresses */
        CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_E_ADDRESS_SPACE);
    xvm_share_close(&s);
    CHECK(close(fd) == 0 && unlink(path) == 0);
}

static void check_size(const char *file, off_t size)
{
    struct stat found;

    CHECK(stat(file, &found) == 0);
    CHECK_EQUAL(found.st_size, size);
}

TEST(a_full_disk_is_an_error_and_no_signal)
{
    char folder[300], file[400], text[300];
    xvm_region r = {0};
    xvm_share s;

    begin();
    snprintf(folder, sizeof folder, "%s.d", path);
    CHECK(mkdir(folder, 0700) == 0 || errno == EEXIST);
    if (mount("xvm", folder, "tmpfs", 0, "size=1m") != 0)
        SKIP("no file system may be mounted");
    snprintf(file, sizeof file, "%s/full", folder);
    CHECK_EQUAL(xvm_file_open(&s, file, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, MiB / 2), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 2 * (uint64_t)MiB), XVM_E_DISK_FULL);
    xvm_explain(text, sizeof text);
    puts(text);
    CHECK_EQUAL(s.size, MiB / 2);
    check_size(file, MiB / 2);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK);
    memset(r.base, 1, r.size); /* all of it has room */
    CHECK_EQUAL(xvm_share_resize(&s, MiB), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    CHECK(umount(folder) == 0 && rmdir(folder) == 0);
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = size;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The signal of that limit would end us. */
TEST(a_limit_for_files_is_an_error_and_no_signal)
{
    xvm_share s, t;

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 4 * page), XVM_OK);
    limit_files(8 * page);
    CHECK_EQUAL(xvm_share_resize(&s, 8 * page + 1), XVM_E_DISK_FULL);
    CHECK_EQUAL(s.size, 4 * page);
    check_size(path, (off_t)(4 * page));
    CHECK_EQUAL(xvm_share_create(&t, 9 * page, NULL), XVM_E_DISK_FULL);
    CHECK_EQUAL(create_named(&t, 9 * page), XVM_E_DISK_FULL);
    CHECK(access(shown, F_OK) != 0);
    CHECK_EQUAL(xvm_share_resize(&s, 8 * page), XVM_OK);
    limit_files(RLIM_INFINITY);
    xvm_share_close(&s);
    CHECK(unlink(path) == 0);
}

/* Growing by more than a step, of which a later one is refused: the file is as long as it was. */
TEST(growth_that_fails_on_the_way_is_undone)
{
    char script[40];
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 100), XVM_OK);
    for (int n = 1; n <= 3; n++) {
        snprintf(script, sizeof script, "fallocate@%d=28", n); /* ENOSPC */
        CHECK_EQUAL(xvm_inject(script), XVM_OK);
        CHECK_EQUAL(xvm_share_resize(&s, 130 * (uint64_t)MiB), XVM_E_DISK_FULL);
        CHECK_EQUAL(s.size, 100);
        check_size(path, 100);
    }
    CHECK_EQUAL(xvm_inject("fallocate@2=28,ftruncate@1=5"), XVM_OK); /* and so is the undoing */
    CHECK_EQUAL(xvm_share_resize(&s, 130 * (uint64_t)MiB), XVM_E_DISK_FULL);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    check_size(path, (off_t)s.size);
    CHECK(s.size > 100);
    CHECK_EQUAL(xvm_inject("fallocate=95"), XVM_OK); /* EOPNOTSUPP: zeros are written */
    CHECK_EQUAL(xvm_share_resize(&s, 50), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 100000), XVM_OK);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    check_size(path, 100000);
    xvm_share_close(&s);
    CHECK(unlink(path) == 0);
}

TEST(a_full_place_for_names_is_told)
{
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_inject("fallocate@1=28"), XVM_OK); /* ENOSPC */
    CHECK_EQUAL(create_named(&s, 2 * page), XVM_E_DISK_FULL);
    CHECK_EQUAL(xvm_inject("open=2"), XVM_OK); /* ENOENT: there is no /dev/shm */
    CHECK_EQUAL(create_named(&s, 2 * page), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_inject("memfd_create=38"), XVM_OK); /* ENOSYS: a kernel before 3.17 */
    CHECK_EQUAL(xvm_share_create(&s, 2 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    xvm_share_close(&s);
    CHECK(access(shown, F_OK) != 0);
}

static void touch_what_was_cut(void)
{
    xvm_region r = {0};
    xvm_share s;

    if (xvm_file_open(&s, path, XVM_FILE_READ_WRITE) != XVM_OK ||
        xvm_share_map(&s, 0, 0, NULL, &r, 0) != XVM_OK || truncate(path, (off_t)page) != 0)
        _exit(1);
    signal(SIGBUS, SIG_DFL);
    *at(&r, 0) = 1;
    *at(&r, page) = 1;
    _exit(2);
}

TEST(a_file_cut_short_faults_as_documented)
{
    xvm_share s;
    pid_t child;
    int status;

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 4 * page), XVM_OK);
    xvm_share_close(&s);
    child = fork();
    if (child == 0)
        touch_what_was_cut();
    status = wait_for(child);
    if (!memory_is_emulated()) /* sanitizers end by their own report */
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) > 2);
    CHECK(unlink(path) == 0);
}

TEST(what_is_no_regular_file_is_refused)
{
    xvm_share s;

    begin();
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_READ), XVM_E_INVALID); /* and does not wait */
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_TRUNCATE), XVM_E_INVALID);
    CHECK(unlink(path) == 0);
    CHECK_EQUAL(xvm_file_open(&s, "/dev/null", XVM_FILE_READ), XVM_E_INVALID);
}

static int open_as_nobody(void)
{
    xvm_share s;

    if (geteuid() == 0 && setuid(65534) != 0)
        return 9;
    if (xvm_file_open(&s, path, XVM_FILE_READ_WRITE) != XVM_E_PERMISSION)
        return 1;
    if (xvm_file_open(&s, path, XVM_FILE_TRUNCATE) != XVM_E_PERMISSION)
        return 2;
    return xvm_file_open(&s, "/xvm-share", XVM_FILE_CREATE) == XVM_E_PERMISSION ? 0 : 3;
}

TEST(what_may_not_be_opened_is_told)
{
    pid_t child;

    begin();
    CHECK(close(open(path, O_RDWR | O_CREAT, 0444)) == 0);
    child = fork();
    if (child == 0)
        _exit(open_as_nobody());
    CHECK_EQUAL(wait_for(child), 0);
    CHECK(unlink(path) == 0);
}

/* --- holes ------------------------------------------------------------------------------------ */

/* A kernel may have unmapped the old pages when it refuses the new ones. Such a refusal cannot be made
 * here, so what follows it is made to find a hole. */
TEST(a_refused_view_leaves_no_hole)
{
    unsigned char truth[8];
    xvm_region r;
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, 2 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_reserve(&r, 8 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK); /* the book */
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 2 * page), XVM_OK);
    CHECK(munmap(at(&r, 2 * page), 2 * page) == 0);
    CHECK_EQUAL(xvm_inject("map@1"), XVM_OK);
    CHECK(xvm_share_map(&s, 0, 0, NULL, &r, 2 * page) != XVM_OK);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    look_at_pages(r.base, 8, page, truth);
    for (int i = 0; i < 8; i++)
        if (shown_truth() != 0)
            CHECK_EQUAL(truth[i], TRUTH_NONE);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

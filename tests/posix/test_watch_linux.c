/* test_watch_linux.c - the watch beside what a Linux program does: fork, system calls, handlers of its own,
 * the mapping limit, descriptors closed behind our back. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 64 };

static size_t page;

static unsigned char *at(const xvm_region *r, size_t index)
{
    return (unsigned char *)r->base + index * page;
}

/* A write that is made here, and not when the compiler thinks best. */
static void put(const xvm_region *r, size_t index, unsigned char value)
{
    *(volatile unsigned char *)at(r, index) = value;
}

static bool start(xvm_region *r, size_t pages, xvm_watch_method method)
{
    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(r, pages * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(r, 0, r->size), XVM_OK);
    memset(r->base, 1, PAGES / 2 * page);
    if (xvm_watch_start_by(r, 0, r->size, method) == XVM_OK)
        return true;
    CHECK_EQUAL(xvm_release(r), XVM_OK);
    return false;
}

/* How many pages are reported and reset; the first of them. */
static size_t collect(xvm_region *r, size_t *first)
{
    static xvm_range ranges[1 << 16];
    size_t count, pages = 0;

    CHECK_EQUAL(
        xvm_watch_collect(r, XVM_WATCH_RESET, ranges, sizeof ranges / sizeof *ranges, &count),
        XVM_OK);
    for (size_t i = 0; i < count; i++)
        pages += ranges[i].size / page;
    *first = count != 0 ? ranges[0].offset / page : SIZE_MAX;
    return pages;
}

/* --- fork ------------------------------------------------------------------------------------- */

static int wait_for(pid_t child)
{
    int status;

    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

/* The first look of a child tells at least what its parent's would have told, and from then on all is exact. */
static void look_in_child(xvm_region *r, xvm_watch_method method)
{
    size_t first, pages;

    alarm(20);
    at(r, 9)[0] = 3;
    pages = collect(r, &first);
    CHECK(pages == (method == XVM_WATCH_PROTECT ? 2 : PAGES));
    CHECK(first == (method == XVM_WATCH_PROTECT ? 5 : 0));
    CHECK_EQUAL(collect(r, &first), 0);
    at(r, 11)[0] = 4;
    CHECK_EQUAL(xvm_decommit(r, 20 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_commit(r, 20 * page, page), XVM_OK);
    CHECK_EQUAL(collect(r, &first), 2);
    CHECK_EQUAL(first, 11);
    CHECK_EQUAL(xvm_watch_stop(r), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(r, 0, r->size, method), XVM_OK);
    at(r, 12)[0] = 4;
    CHECK_EQUAL(collect(r, &first), 1);
    CHECK_EQUAL(xvm_release(r), XVM_OK);
    _exit(0);
}

static void fork_by(xvm_watch_method method)
{
    xvm_region r;
    size_t first;
    pid_t child;

    if (!start(&r, PAGES, method))
        SKIP("the method does not work here");
    CHECK_EQUAL(collect(&r, &first), 0);
    at(&r, 5)[0] = 2;
    child = fork();
    if (child == 0)
        look_in_child(&r, method);
    CHECK_EQUAL(wait_for(child), 0);
    at(&r, 6)[0] = 2; /* copied by the kernel, as the child had it, too */
    CHECK_EQUAL(collect(&r, &first), 2);
    CHECK_EQUAL(first, 5);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(a_child_starts_anew_and_its_parent_goes_on_by_userfault)
{
    fork_by(XVM_WATCH_USERFAULT);
}

TEST(a_child_starts_anew_and_its_parent_goes_on_by_protect)
{
    fork_by(XVM_WATCH_PROTECT);
}

/* --- system calls ----------------------------------------------------------------------------- */

static ssize_t read_into(void *to)
{
    int channel[2];
    ssize_t got;

    CHECK(pipe(channel) == 0 && write(channel[1], "xy", 2) == 2);
    got = read(channel[0], to, 2);
    close(channel[0]);
    close(channel[1]);
    return got;
}

TEST(what_a_system_call_writes_is_seen_by_userfault)
{
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_USERFAULT))
        SKIP("the method does not work here");
    CHECK_EQUAL(read_into(at(&r, 8) - 1), 2);
    CHECK_EQUAL(collect(&r, &first), 2);
    CHECK_EQUAL(first, 7);
    CHECK_EQUAL(read_into(at(&r, 50)), 2); /* without memory until now */
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(first, 50);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(what_a_system_call_would_write_is_refused_by_protect)
{
    xvm_watch_info info;
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_PROTECT))
        SKIP("the method does not work here");
    xvm_watch_look(&r, &info);
    CHECK_EQUAL(info.sees_system_writes, 0);
    CHECK_EQUAL(read_into(at(&r, 8)), -1);
    CHECK_EQUAL(errno, EFAULT);
    put(&r, 8, at(&r, 8)[0]); /* what the documentation advises */
    CHECK_EQUAL(read_into(at(&r, 8)), 2);
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* --- handlers --------------------------------------------------------------------------------- */

static sigjmp_buf landing;
static volatile int faults;

static void land(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    faults++;
    siglongjmp(landing, 1);
}

static struct sigaction replaced;

/* As a runtime that comes later does: what it does not know goes to whom it has replaced. */
static void pass_to_replaced(int number, siginfo_t *info, void *context)
{
    faults++;
    replaced.sa_sigaction(number, info, context);
}

static void set_handler(void (*handler)(int, siginfo_t *, void *), struct sigaction *old)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGSEGV, &action, old) == 0);
}

TEST(faults_of_others_go_to_the_handler_that_was_there)
{
    volatile unsigned char *closed =
        mmap(NULL, xvm_page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    xvm_region r;
    size_t first;

    CHECK(closed != MAP_FAILED);
    set_handler(land, NULL);
    if (!start(&r, PAGES, XVM_WATCH_PROTECT))
        SKIP("the method does not work here");
    for (int i = 0; i < 3; i++) {
        put(&r, 3, 1);
        if (sigsetjmp(landing, 1) == 0)
            closed[0] = 1;
        CHECK_EQUAL(faults, 3 * i + 1);
        if (sigsetjmp(landing, 1) ==
            0) /* a read of a page that the watch knows, but has no access */
            CHECK(xvm_protect(&r, 9 * page, page, XVM_NO_ACCESS) == XVM_OK && at(&r, 9)[0] == 77);
        CHECK_EQUAL(faults, 3 * i + 2);
        CHECK(xvm_protect(&r, 9 * page, page, XVM_READ) == XVM_OK); /* the program forbids it */
        if (sigsetjmp(landing, 1) == 0)
            put(&r, 9, 7);
        CHECK_EQUAL(faults, 3 * i + 3);
        CHECK_EQUAL(collect(&r, &first), 1);
    }
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(a_handler_that_comes_later_may_pass_faults_on)
{
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_PROTECT))
        SKIP("the method does not work here");
    set_handler(pass_to_replaced, &replaced);
    put(&r, 3, 2);
    put(&r, 4, 2);
    CHECK_EQUAL(faults, 2);
    CHECK_EQUAL(collect(&r, &first), 2);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

static void run_page(xvm_region *r)
{
    void (*code)(void);
    void *address = at(r, 3);

    memcpy(&code, &address, sizeof code);
    code();
}

static void write_to_null(xvm_region *r)
{
    volatile unsigned char *none = (unsigned char *)r->base - r->size;

    *(none - (uintptr_t)none + 8) = 1;
}

static void raise_it(xvm_region *r)
{
    (void)r;
    raise(SIGSEGV);
}

static void raise_other(xvm_region *r)
{
    (void)r;
    raise(SIGBUS);
}

/* With nobody else there the program ends as it would without us. */
static int end_of(void (*fault)(xvm_region *r), xvm_region *r)
{
    pid_t child = fork();

    if (child == 0) {
        alarm(20);
        fault(r);
        _exit(0);
    }
    return wait_for(child);
}

TEST(faults_of_others_end_the_program_as_ever)
{
    xvm_region r;

    if (memory_is_emulated())
        SKIP("sanitizers and emulators end it in their own ways");
    if (!start(&r, PAGES, XVM_WATCH_PROTECT))
        SKIP("the method does not work here");
    CHECK(WTERMSIG(end_of(write_to_null, &r)) == SIGSEGV);
    CHECK(WTERMSIG(end_of(run_page, &r)) == SIGSEGV);
    CHECK(WTERMSIG(end_of(raise_it, &r)) == SIGSEGV);
    CHECK(WTERMSIG(end_of(raise_other, &r)) == SIGBUS);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(a_handler_that_cannot_be_had_is_no_watch)
{
    static const char *const scripts[] = {"sigaction@1", "sigaction@2"};
    struct sigaction now;
    xvm_region r;

    set_handler(land, NULL);
    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, PAGES * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(xvm_inject(scripts[i]) == XVM_OK);
        CHECK(xvm_watch_start_by(&r, 0, r.size, XVM_WATCH_PROTECT) != XVM_OK);
        CHECK_EQUAL(xvm_injected(), 1);
        CHECK(xvm_inject(NULL) == XVM_OK);
        CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == land);
        put(&r, 3, 1);
        CHECK_EQUAL(faults, 0);
    }
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, XVM_WATCH_PROTECT), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(there_are_many_watches_and_then_no_more)
{
    enum { MANY = 1024 };
    static xvm_region r[MANY + 1];
    size_t first;

    for (size_t i = 0; i < MANY; i++)
        CHECK(start(&r[i], PAGES, XVM_WATCH_PROTECT));
    CHECK(!start(&r[MANY], PAGES, XVM_WATCH_PROTECT));
    CHECK_EQUAL(xvm_last_status(), XVM_E_UNSUPPORTED);
    for (size_t i = 0; i < MANY; i += 100) {
        put(&r[i], i % PAGES, 1);
        CHECK_EQUAL(collect(&r[i], &first), 1);
        CHECK_EQUAL(first, i % PAGES);
    }
    CHECK_EQUAL(xvm_watch_stop(&r[500]), XVM_OK);
    CHECK(start(&r[MANY], PAGES, XVM_WATCH_PROTECT));
    for (size_t i = 0; i <= MANY; i++)
        CHECK_EQUAL(xvm_release(&r[i]), XVM_OK);
}

/* --- limits and interference ------------------------------------------------------------------ */

/* Every second page is written until the kernel has no more mappings: then the rest is opened at once. */
TEST(at_the_mapping_limit_the_handler_opens_more)
{
    enum { MANY = 200000 };
    static unsigned char expected[MANY];
    size_t first, last = 0, pages;
    xvm_region r;

    if (memory_is_emulated())
        SKIP("the limit of the process cannot be met here");
    if (!start(&r, MANY, XVM_WATCH_PROTECT))
        SKIP("the method does not work here");
    for (size_t i = 1; i < MANY; i += 2)
        at(&r, i)[7] = expected[i] = (unsigned char)(i % 255 + 1);
    for (size_t i = PAGES; i < MANY; i++) {
        CHECK_EQUAL(at(&r, i)[7], expected[i]);
        last = expected[i] != 0 ? i : last;
    }
    pages = collect(&r, &first);
    CHECK_EQUAL(last, MANY - 1);
    CHECK(pages > MANY / 2 && first == 1);
    at(&r, 4)[0] = 1;
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(first, 4);
    CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(closed_descriptors_lose_no_write)
{
    xvm_region r[2];
    size_t first;

    if (!start(&r[0], PAGES, XVM_WATCH_USERFAULT) || !start(&r[1], PAGES, XVM_WATCH_USERFAULT))
        SKIP("the method does not work here");
    at(&r[0], 5)[0] = 2;
    for (int i = 3; i < 64; i++)
        close(i);
    at(&r[1], 6)[0] = 2;
    CHECK_EQUAL(xvm_decommit(&r[0], 30 * page, page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r[0], 30 * page, page), XVM_OK);
    CHECK_EQUAL(collect(&r[0], &first), PAGES);
    CHECK_EQUAL(collect(&r[1], &first), PAGES);
    at(&r[0], 7)[0] = at(&r[1], 7)[0] = 2;
    CHECK_EQUAL(collect(&r[0], &first), 1);
    CHECK_EQUAL(collect(&r[1], &first), 1);
    CHECK_EQUAL(xvm_release(&r[0]), XVM_OK);
    CHECK_EQUAL(xvm_release(&r[1]), XVM_OK);
}

TEST(what_somebody_mapped_over_counts_as_written)
{
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_USERFAULT))
        SKIP("the method does not work here");
    at(&r, 2)[0] = 2;
    CHECK(mmap(at(&r, 9), page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) == at(&r, 9));
    errno = 77;
    CHECK_EQUAL(collect(&r, &first), PAGES);
    CHECK_EQUAL(errno, 77);
    at(&r, 9)[0] = 2;
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(first, 9);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* A large page that is written to is cut up; what of it counts is what was written. */
TEST(large_pages_are_seen_page_by_page)
{
    size_t size = xvm_system()->thp_size, first;
    xvm_reserve_options o = {.huge = XVM_HUGE_TRANSPARENT};
    xvm_region r;

    page = xvm_page_size();
    if (size == 0 || xvm_reserve(&r, 4 * size, &o) != XVM_OK)
        SKIP("there are no large pages");
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    memset(r.base, 1, r.size);
    if (xvm_watch_start_by(&r, 0, r.size, XVM_WATCH_USERFAULT) != XVM_OK)
        SKIP("the method does not work here");
    at(&r, 700)[0] = 2;
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(first, 700);
    CHECK_EQUAL(xvm_discard(&r, 0, 2 * size, XVM_DISCARD_ZERO), XVM_OK);
    CHECK_EQUAL(collect(&r, &first), 2 * size / page);
    CHECK_EQUAL(at(&r, 3)[0], 0);
    CHECK_EQUAL(collect(&r, &first), 0);
    memset(r.base, 3, size);
    (void)xvm_advise(&r, 0, size, XVM_ADVICE_COLLAPSE);
    CHECK_EQUAL(collect(&r, &first), size / page);
    CHECK_EQUAL(collect(&r, &first), 0);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* A mapping has one descriptor: pages that the program watches itself are protected. */
TEST(pages_that_the_program_watches_itself_are_left_to_it)
{
#ifdef SYS_userfaultfd
    struct {
        uint64_t api, features, ioctls;
    } api = {0xaa, 1, 0};
    struct {
        uint64_t start, size, mode, answer;
    } range = {0, 0, 2, 0};
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
    xvm_watch_info info;
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_USERFAULT))
        SKIP("the method does not work here");
    CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    range.start = (uintptr_t)at(&r, 8);
    range.size = page;
    CHECK(file >= 0 && syscall(SYS_ioctl, file, _IOWR(0xaa, 0x3f, api), &api) == 0);
    CHECK(syscall(SYS_ioctl, file, _IOWR(0xaa, 0x00, range), &range) == 0);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, XVM_WATCH_USERFAULT), XVM_E_UNSUPPORTED);
    errno = 77;
    CHECK_EQUAL(xvm_watch_start(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(errno, 77);
    xvm_watch_look(&r, &info);
    CHECK_EQUAL(info.method, XVM_WATCH_PROTECT);
    put(&r, 3, 2);
    put(&r, 8, 2);
    CHECK_EQUAL(collect(&r, &first), 2);
    close(file);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
#else
    SKIP("the headers know no userfaultfd");
#endif
}

/* Marks that a scan has passed over are closed as before. */
TEST(guards_stay_guards)
{
    xvm_region r;
    size_t first;

    if (!start(&r, PAGES, XVM_WATCH_USERFAULT))
        SKIP("the method does not work here");
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
    CHECK_EQUAL(
        xvm_reserve(&r, PAGES * page, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
        XVM_OK);
    for (size_t i = 0; i < PAGES; i += 2)
        CHECK_EQUAL(xvm_commit(&r, i * page, page), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, XVM_WATCH_USERFAULT), XVM_OK);
    put(&r, 4, 1);
    CHECK_EQUAL(collect(&r, &first), 1);
    for (size_t i = 1; i < PAGES && (xvm_system()->features & XVM_HAS_FINE_SPARSE) != 0; i += 2)
        CHECK(faults_on_read(at(&r, i)) && faults_on_write(at(&r, i)));
    CHECK_EQUAL(collect(&r, &first), 0);
    CHECK_EQUAL(xvm_commit(&r, 5 * page, page), XVM_OK);
    CHECK_EQUAL(at(&r, 5)[0], 0);
    CHECK_EQUAL(collect(&r, &first), 0);
    put(&r, 5, 1);
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* test_watch_windows.c - the watch beside what a Windows program does: system calls, handlers of its own,
 * reservations of every kind. */
#include "harness.h"
#include "xvm/xvm.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

enum { PAGES = 64 };

static size_t page;

static unsigned char *at(const xvm_region *r, size_t index)
{
    return (unsigned char *)r->base + index * page;
}

static void put(const xvm_region *r, size_t index, unsigned char value)
{
    *(volatile unsigned char *)at(r, index) = value;
}

static void start(xvm_region *r, const xvm_reserve_options *options, xvm_watch_method method)
{
    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(r, PAGES * page, options), XVM_OK);
    CHECK_EQUAL(xvm_commit(r, 0, r->size), XVM_OK);
    memset(r->base, 1, PAGES / 2 * page);
    CHECK_EQUAL(xvm_watch_start_by(r, 0, r->size, method), XVM_OK);
}

static size_t collect(xvm_region *r, size_t *first)
{
    xvm_range ranges[PAGES];
    size_t count, pages = 0;

    CHECK_EQUAL(xvm_watch_collect(r, XVM_WATCH_RESET, ranges, PAGES, &count), XVM_OK);
    for (size_t i = 0; i < count; i++)
        pages += ranges[i].size / page;
    *first = count != 0 ? ranges[0].offset / page : SIZE_MAX;
    return pages;
}

TEST(only_watched_reservations_have_the_systems_watch)
{
    xvm_watch_info info;
    xvm_region r;

    page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, page, XVM_WATCH_SYSTEM), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_watch_start(&r, 0, page), XVM_OK);
    xvm_watch_look(&r, &info);
    CHECK_EQUAL(info.method, XVM_WATCH_PROTECT);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* Each is reserved by another call. */
TEST(every_kind_of_reservation_can_be_watched)
{
    xvm_reserve_options kinds[] = {
        {.alignment = 0},
        {.alignment = (size_t)1 << 20},
        {.below = (uintptr_t)1 << 31},
        {.numa_node = 1},
        {.numa_node = 1, .alignment = (size_t)1 << 20},
        {.commit_mode = XVM_COMMIT_SPARSE},
        {.huge = XVM_HUGE_TRY_EXPLICIT},
    };
    xvm_region r;
    size_t first;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kinds[i].flags = XVM_RESERVE_WATCHED;
        start(&r, &kinds[i], XVM_WATCH_SYSTEM);
        put(&r, 7, 2);
        put(&r, 40, 2);
        CHECK_EQUAL(collect(&r, &first), 2);
        CHECK_EQUAL(first, 7);
        CHECK_EQUAL(xvm_release(&r), XVM_OK);
    }
}

static BOOL read_into(void *to)
{
    char folder[MAX_PATH], path[MAX_PATH];
    DWORD done = 0;
    HANDLE file;
    BOOL got;

    CHECK(GetTempPathA(MAX_PATH, folder) != 0 && GetTempFileNameA(folder, "xvm", 0, path) != 0);
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS,
                       FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    CHECK(file != INVALID_HANDLE_VALUE && WriteFile(file, "xy", 2, &done, NULL));
    CHECK(SetFilePointer(file, 0, NULL, FILE_BEGIN) == 0);
    got = ReadFile(file, to, 2, &done, NULL);
    CHECK(!got || done == 2);
    CloseHandle(file);
    return got;
}

TEST(what_a_system_call_writes_is_seen_by_the_system)
{
    xvm_reserve_options o = {.flags = XVM_RESERVE_WATCHED};
    xvm_region r;
    size_t first;

    start(&r, &o, XVM_WATCH_SYSTEM);
    CHECK(read_into(at(&r, 8) - 1));
    CHECK_EQUAL(collect(&r, &first), 2);
    CHECK_EQUAL(first, 7);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(what_a_system_call_would_write_is_refused_by_protect)
{
    xvm_region r;
    size_t first;

    start(&r, NULL, XVM_WATCH_PROTECT);
    CHECK(!read_into(at(&r, 8)));
    put(&r, 8, 1);
    CHECK(read_into(at(&r, 8)));
    CHECK_EQUAL(collect(&r, &first), 1);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

/* Faults that are not ours go on, with handlers before and after ours. */
TEST(faults_of_others_go_on)
{
    xvm_region r;
    size_t first;

    start(&r, NULL, XVM_WATCH_PROTECT);
    for (size_t i = 0; i < 3; i++) {
        put(&r, 3, 1);
        CHECK_EQUAL(xvm_protect(&r, 9 * page, page, XVM_NO_ACCESS), XVM_OK);
        CHECK(faults_on_read(at(&r, 9)) && faults_on_write(at(&r, 9)));
        CHECK_EQUAL(xvm_protect(&r, 9 * page, page, XVM_READ), XVM_OK);
        CHECK(!faults_on_read(at(&r, 9)) && faults_on_write(at(&r, 9)));
        CHECK(faults_on_write(NULL));
        CHECK_EQUAL(collect(&r, &first), 1);
    }
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

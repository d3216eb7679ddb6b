/* test_share_windows.c - what only Windows shows of shares: its own names for files and memory, files that
 * cannot become shorter. */
#include "harness.h"
#include "xvm/xvm.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static WCHAR wide[MAX_PATH];
static char path[3 * MAX_PATH];
static size_t unit;

/* A file that is not there, with letters that no code page has together. */
static void begin(void)
{
    DWORD length = GetTempPathW(MAX_PATH - 40, wide);

    CHECK(length != 0 && length < MAX_PATH - 40);
    swprintf(wide + length, 40, L"xvm-\x00e4\x20ac\x0436-%u", process_number());
    CHECK(WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, sizeof path, NULL, NULL) != 0);
    (void)DeleteFileW(wide);
    unit = xvm_allocation_granularity();
}

TEST(a_path_in_utf8_is_the_one_that_windows_has)
{
    xvm_share s;
    HANDLE file;

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 1234), XVM_OK);
    file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
                       0, NULL);
    CHECK(file != INVALID_HANDLE_VALUE);
    CHECK_EQUAL(GetFileSize(file, NULL), 1234);
    CHECK(CloseHandle(file));
    xvm_share_close(&s);
    CHECK_EQUAL(xvm_file_open(&s, "\xff\xfe", XVM_FILE_CREATE), XVM_E_INVALID);
    CHECK_EQUAL(xvm_file_open(&s, "a<b", XVM_FILE_READ), XVM_E_INVALID);
    CHECK(DeleteFileW(wide));
}

TEST(a_file_with_a_view_becomes_no_shorter)
{
    xvm_region r = {0};
    xvm_share s;
    xvm_status status;

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 3 * unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK);
    status = xvm_share_resize(&s, unit);
    CHECK_EQUAL(status, XVM_E_PERMISSION);
    CHECK_EQUAL(s.size, 3 * unit);
    CHECK_EQUAL(xvm_share_resize(&s, 5 * unit), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, unit), XVM_OK);
    xvm_share_close(&s);
    CHECK(DeleteFileW(wide));
}

TEST(memory_by_name_is_an_object_of_windows)
{
    xvm_share s;
    HANDLE other;
    char name[64], object[80];

    begin();
    snprintf(name, sizeof name, "windows.%u", process_number());
    snprintf(object, sizeof object, "Local\\xvm.%s", name);
    CHECK_EQUAL(xvm_share_create(&s, unit, &(xvm_share_options){.name = name}), XVM_OK);
    other = OpenFileMappingA(FILE_MAP_READ, FALSE, object);
    CHECK(other != NULL);
    xvm_share_close(&s);
    CHECK_EQUAL(xvm_share_create(&s, unit, &(xvm_share_options){.name = name}), XVM_E_EXISTS);
    CHECK(CloseHandle(other));
    CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ), XVM_E_NOT_FOUND);
}

TEST(the_end_of_a_large_file_is_mapped)
{
    const uint64_t size = (uint64_t)64 << 30;
    xvm_region r = {0};
    xvm_share s;

    begin();
    if (!memory_is_emulated())
        SKIP("this would need 64 GiB of disk"); /* Wine's files have holes */
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, size), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, size - unit, 0, NULL, &r, 0), XVM_OK);
    CHECK_EQUAL(r.size, unit);
    memset(r.base, 1, unit);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    CHECK(DeleteFileW(wide));
}

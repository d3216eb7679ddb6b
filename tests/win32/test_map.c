/* test_map.c - the map of a Windows process: what was made without xvm. */
#include "harness.h"
#include "xvm/xvm.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static xvm_span query(const void *address)
{
    xvm_span span;

    CHECK_EQUAL(xvm_query(address, &span), XVM_OK);
    CHECK((uintptr_t)address - (uintptr_t)span.base < span.size);
    return span;
}

static const struct {
    DWORD type, protect;
    xvm_state state;
    xvm_protection protection;
} kinds[] = {
    {MEM_RESERVE, PAGE_READWRITE, XVM_RESERVED, XVM_NO_ACCESS},
    {MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS, XVM_COMMITTED, XVM_NO_ACCESS},
    {MEM_RESERVE | MEM_COMMIT, PAGE_READONLY, XVM_COMMITTED, XVM_READ},
    {MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, XVM_COMMITTED, XVM_READ_WRITE},
    {MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READ, XVM_COMMITTED, XVM_READ_EXECUTE},
    {MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE, XVM_COMMITTED, XVM_READ_WRITE_EXECUTE},
    {MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD, XVM_GUARD, XVM_NO_ACCESS},
};

TEST(private_memory_of_others)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        void *m = VirtualAlloc(NULL, 3 * info.dwPageSize, kinds[i].type, kinds[i].protect);
        xvm_span span;

        CHECK(m != NULL);
        span = query((char *)m + info.dwPageSize);
        CHECK(span.base <= m);
        CHECK_EQUAL(span.state, kinds[i].state);
        CHECK_EQUAL(span.protection, kinds[i].protection);
        CHECK(span.name == NULL);
        CHECK(VirtualFree(m, 0, MEM_RELEASE));
        CHECK_EQUAL(query(m).state, XVM_FREE);
    }
}

TEST(shared_memory_is_mapped)
{
    HANDLE section =
        CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 1 << 16, NULL);
    void *m = section != NULL ? MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0) : NULL;

    CHECK(m != NULL);
    CHECK_EQUAL(query(m).state, XVM_MAPPED);
    CHECK_EQUAL(query(m).protection, XVM_READ_WRITE);
    CHECK(UnmapViewOfFile(m));
    CloseHandle(section);
}

TEST(a_library_is_mapped)
{
    xvm_span span = query((const void *)GetModuleHandleA("kernel32.dll"));

    CHECK_EQUAL(span.state, XVM_MAPPED);
    CHECK_EQUAL(span.protection, XVM_READ);
}

static int add_used(const xvm_span *span, void *context)
{
    if (span->state != XVM_FREE)
        *(size_t *)context += span->size;
    return 0;
}

TEST(the_walk_has_every_byte_of_the_map)
{
    holdings before, after;
    size_t walked = 0;

    for (int tries = 0; tries < 5; tries++) { /* the system may map memory meanwhile */
        look_at_process(&before);
        walked = 0;
        CHECK(xvm_walk(add_used, &walked) == XVM_OK);
        look_at_process(&after);
        if (before.addresses == after.addresses)
            break;
    }
    CHECK_EQUAL(walked, after.addresses);
}

TEST(no_address_is_above_the_maximum)
{
    SYSTEM_INFO info;
    xvm_span span;

    GetSystemInfo(&info);
    CHECK_EQUAL(xvm_query((char *)info.lpMaximumApplicationAddress + (1 << 20), &span),
                XVM_E_INVALID);
}

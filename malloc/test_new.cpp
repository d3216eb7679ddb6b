/* test_new.cpp - operator new and delete, under the preload. */
#include <cstdint>
#include <map>
#include <new>
#include <string>
#include <vector>

extern "C" {
#include <dlfcn.h>

#include "harness.h"
}

static volatile std::size_t huge = static_cast<std::size_t>(1) << 60;

struct alignas(256) wide {
    char bytes[256];
};

TEST(new_is_ours)
{
    Dl_info info;

    CHECK(dladdr(dlsym(RTLD_DEFAULT, "_Znwm"), &info) != 0);
    CHECK(strstr(info.dli_fname, "libxvm-malloc.so") != nullptr);
}

TEST(every_form_of_new_and_delete)
{
    const std::align_val_t by{128};
    void *p;

    ::operator delete(::operator new(10));
    ::operator delete[](::operator new[](10));
    ::operator delete (::operator new(10), std::size_t{10});
    ::operator delete[](::operator new[](10), std::size_t{10});
    ::operator delete(::operator new(10, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](10, std::nothrow), std::nothrow);
    p = ::operator new(10, by);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 128 == 0);
    ::operator delete(p, by);
    p = ::operator new[](10, by);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 128 == 0);
    ::operator delete[](p, by);
    p = ::operator new(10, by, std::nothrow);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 128 == 0);
    ::operator delete(p, by, std::nothrow);
    p = ::operator new[](10, by, std::nothrow);
    ::operator delete[](p, by, std::nothrow);
    ::operator delete (::operator new(10, by), std::size_t{10}, by);
    ::operator delete[](::operator new[](10, by), std::size_t{10}, by);
    ::operator delete(nullptr);
}

TEST(objects)
{
    std::vector<wide> many(100);
    std::map<int, std::string> texts;

    CHECK(reinterpret_cast<std::uintptr_t>(many.data()) % alignof(wide) == 0);
    for (int i = 0; i < 10000; i++)
        texts[i * 7919 % 10007] = std::string(static_cast<std::size_t>(i % 100), 'x');
    CHECK(texts.size() == 10000 && texts[7919].size() == 1);
    delete new wide;
    delete[] new wide[3];
}

static int caught(void *(*take)(std::size_t))
{
    try {
        return take(huge) == nullptr ? 0 : 2;
    } catch (const std::bad_alloc &) {
        return 1;
    }
}

TEST(too_much_is_bad_alloc)
{
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new(n); }), 1);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new[](n); }), 1);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new (n, std::align_val_t{64}); }), 1);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new[](n, std::align_val_t{64}); }), 1);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new(n, std::nothrow); }), 0);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new[](n, std::nothrow); }), 0);
    CHECK_EQUAL(caught([](std::size_t n) {
                    return ::operator new (n, std::align_val_t{64}, std::nothrow);
                }),
                0);
}

static int calls;

static void third_time_gives_up()
{
    if (++calls == 3)
        std::set_new_handler(nullptr);
}

TEST(the_new_handler_is_asked_again_and_again)
{
    std::set_new_handler(third_time_gives_up);
    CHECK_EQUAL(caught([](std::size_t n) { return ::operator new(n); }), 1);
    CHECK_EQUAL(calls, 3);
}

static void *kept;

static void give_it_up()
{
    ::operator delete(kept);
    std::set_new_handler(nullptr);
}

/* XVM_MALLOC=max=64M */
TEST(the_new_handler_may_make_room)
{
    const std::size_t most = std::size_t{40} << 20;

    kept = ::operator new(most);
    std::set_new_handler(give_it_up);
    ::operator delete(::operator new(most));
    CHECK(std::get_new_handler() == nullptr);
}

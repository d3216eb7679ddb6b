/* module.cpp - a part in C++ of a program in C. */
#include <new>

extern "C" int catch_bad_alloc();

static volatile std::size_t huge = static_cast<std::size_t>(1) << 60;

extern "C" int catch_bad_alloc()
{
    try {
        return ::operator new(huge) == nullptr;
    } catch (const std::bad_alloc &) {
        return 1;
    }
}

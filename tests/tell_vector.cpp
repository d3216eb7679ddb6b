/* tell_vector.cpp - accesses that a tool must report, AddressSanitizer or Valgrind: of elements of an
 * xvm::vector that are not in use. As tell_array.c. */
#include <cstdio>
#include <cstring>
#include <string>

#include "xvm/xvm.hpp"

enum { COUNT = 10000 };

using ints = xvm::vector<int>;

static void touch(const volatile int *address)
{
    std::fputs("about to touch\n", stderr);
    std::fflush(stderr);
    if (*address != 0)
        std::fputs("not zero\n", stderr);
}

#define TELL(name) static void name(ints &v)

TELL(read_of_what_is_reserved)
{
    v.reserve(2 * COUNT);
    touch(v.data() + COUNT);
}

TELL(read_after_pop_back)
{
    const int *last = &v.back();

    v.pop_back();
    touch(last);
}

TELL(read_after_erase)
{
    v.erase(v.begin());
    touch(v.end());
}

TELL(read_after_clear)
{
    v.clear();
    touch(v.data());
}

/* All that is allowed, with elements that have memory of their own. */
TELL(nothing)
{
    xvm::vector<std::string> texts;

    touch(&v.back());
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            texts.insert(texts.begin() + (i < 100 ? i / 2 : i), std::string(50, 'x'));
        texts.insert(texts.begin() + 5, 200, texts[7]);
        texts.insert(texts.end() - 5, {"a", "b", "c", "d", "e", "f", "g"});
        texts.erase(texts.begin(), texts.begin() + 300);
        texts.resize(COUNT);
        texts.assign(100, "y");
        texts.trim();
    }
    if (texts.size() == 100 && texts.back() == "y")
        std::fputs("all in order\n", stderr);
}

static const struct {
    const char *name;
    void (*run)(ints &v);
} cases[] = {
    {"read_of_what_is_reserved", read_of_what_is_reserved},
    {"read_after_pop_back", read_after_pop_back},
    {"read_after_erase", read_after_erase},
    {"read_after_clear", read_after_clear},
    {"nothing", nothing},
};

int main(int argc, char **argv)
{
    ints v(COUNT, 0);

    if (argc < 2)
        return 1;
    for (const auto &c : cases)
        if (std::strcmp(argv[1], c.name) == 0)
            c.run(v);
    return 0;
}

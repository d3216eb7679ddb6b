// array_std.cpp - the containers of the C++ library, beside which arrays are measured.
#include <deque>
#include <memory>
#include <vector>

extern "C" {
#include "array_peers.h"
#include "bare.h"
}

template <typename Container> static uint64_t push_all(Container &c, size_t count, uint64_t start)
{
    for (uint64_t i = 0; i < count; i++)
        c.push_back(i);
    return bare_spent() - start;
}

extern "C" uint64_t peer_vector(size_t count)
{
    uint64_t start = bare_spent();
    std::vector<uint64_t> v;

    return push_all(v, count, start);
}

extern "C" uint64_t peer_vector_reserved(size_t count)
{
    uint64_t start = bare_spent();
    std::vector<uint64_t> v;

    v.reserve(count);
    return push_all(v, count, start);
}

extern "C" uint64_t peer_deque(size_t count)
{
    uint64_t start = bare_spent();
    std::deque<uint64_t> d;

    return push_all(d, count, start);
}

extern "C" uint64_t peer_many_vectors(size_t vectors, size_t count)
{
    uint64_t start = bare_spent();
    auto all = std::make_unique<std::vector<uint64_t>[]>(vectors);

    for (uint64_t n = 0; n < count; n++)
        for (size_t i = 0; i < vectors; i++)
            all[i].push_back(n);
    return bare_spent() - start;
}

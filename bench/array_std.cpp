/* array_std.cpp - xvm::vector, and the containers of the C++ library beside which it and arrays are
 * measured. */
#include <deque>
#include <memory>
#include <vector>

#include "xvm/xvm.hpp"

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

extern "C" uint64_t peer_xvm_vector(size_t count)
{
    uint64_t start = bare_spent();
    xvm::vector<uint64_t> v(xvm::at_most(count));

    return push_all(v, count, start);
}

extern "C" uint64_t peer_xvm_vector_prefault(size_t count)
{
    uint64_t start = bare_spent();
    xvm::limit most = xvm::at_most(count);

    most.growth.flags |= XVM_GROWTH_PREFAULT;
    xvm::vector<uint64_t> v(most);
    return push_all(v, count, start);
}

template <typename Container> static double push_often(size_t count, int times)
{
    Container c;
    uint64_t spent = 0;

    push_all(c, count, 0);
    for (int i = 0; i < times; i++) {
        uint64_t start = bare_spent();

        c.clear();
        spent += push_all(c, count, start);
    }
    return static_cast<double>(spent) / times / static_cast<double>(count);
}

extern "C" double peer_push_vector(size_t count, int times)
{
    return push_often<std::vector<uint64_t>>(count, times);
}

extern "C" double peer_push_xvm_vector(size_t count, int times)
{
    return push_often<xvm::vector<uint64_t>>(count, times);
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

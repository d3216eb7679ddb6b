/* hpp_forms.cpp - all of xvm.hpp, compiled in each C++ there is: every member of a vector of each kind
 * of element, and what the standard asks of iterators, containers and allocators. */
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "xvm/xvm.hpp"

struct alignas(64) wide {
    int value = 0;

    friend bool operator<(const wide &a, const wide &b) { return a.value < b.value; }
};

template class xvm::vector<int>;
template class xvm::vector<bool>;
template class xvm::vector<char *>;
template class xvm::vector<std::string>;
template class xvm::vector<wide>;
template class xvm::vector<xvm::vector<int>>;
template class xvm::allocator<int>;
template class xvm::allocator<std::string, xvm_arena>;
template class xvm::allocator<wide, xvm_pool>;
#ifdef __cpp_lib_memory_resource
template class xvm::resource<xvm_heap>;
template class xvm::resource<xvm_arena>;
template class xvm::resource<xvm_pool>;
#endif

/* What moves, and what must not. */
template <class T>
constexpr bool moves = std::is_nothrow_move_constructible_v<T>
    &&std::is_nothrow_move_assignable_v<T> &&std::is_nothrow_swappable_v<T>;
template <class T>
constexpr bool stays = !std::is_move_constructible_v<T> && !std::is_move_assignable_v<T>;
template <class T>
constexpr bool copies = std::is_copy_constructible_v<T> &&std::is_copy_assignable_v<T>;

static_assert(moves<xvm::region> && !copies<xvm::region>, "");
static_assert(moves<xvm::heap> && !copies<xvm::heap>, "");
static_assert(stays<xvm::arena> && stays<xvm::pool> && stays<xvm::arena_scope>, "");
static_assert(moves<xvm::vector<int>> && copies<xvm::vector<std::string>>, "");
static_assert(moves<xvm::vector<std::unique_ptr<int>>>, "");
static_assert(moves<xvm::allocator<int>> && copies<xvm::allocator<int>>, "");
static_assert(std::is_nothrow_default_constructible_v<xvm::vector<int>>, "");
static_assert(std::is_nothrow_default_constructible_v<xvm::region>, "");
static_assert(std::is_base_of_v<std::bad_alloc, xvm::error>, "");
static_assert(!std::is_convertible_v<size_t, xvm::vector<int>>, "");

using numbers = xvm::vector<int>;

static_assert(noexcept(std::declval<numbers &>().try_push_back(1)), "");
static_assert(noexcept(std::declval<numbers &>().try_resize(1)), "");
static_assert(std::is_same_v<decltype(xvm::vector{1, 2, 3}), numbers>, "");
static_assert(
    std::is_same_v<decltype(xvm::vector(std::declval<int *>(), std::declval<int *>())), numbers>,
    "");
static_assert(std::is_same_v<std::allocator_traits<xvm::allocator<int>>::rebind_alloc<char>,
                             xvm::allocator<char>>,
              "");
static_assert(
    std::is_same_v<std::allocator_traits<xvm::allocator<int, xvm_arena>>::rebind_alloc<char>,
                   xvm::allocator<char, xvm_arena>>,
    "");

#if __cplusplus >= 202002L
#include <compare>
#include <iterator>
#include <span>
#if __has_include(<ranges>) && (!defined __clang__ || __clang_major__ > 15)
#include <algorithm>
#include <ranges>

static_assert(std::contiguous_iterator<numbers::iterator>);
static_assert(std::contiguous_iterator<numbers::const_iterator>);
static_assert(std::ranges::contiguous_range<numbers> && std::ranges::common_range<numbers>);
static_assert(std::ranges::sized_range<numbers>);

/* From views, with ends of another type, that can be read once. */
numbers squares(const numbers &from);

numbers squares(const numbers &from)
{
    numbers all(xvm::from_range, from | std::views::transform([](int n) { return n * n; }));

    all.append_range(std::views::iota(1) | std::views::take_while([](int n) { return n < 10; }));
    all.insert_range(all.begin(), std::views::iota(1, 5));
    all.assign_range(from | std::views::filter([](int n) { return n > 0; }));
    std::ranges::sort(all);
    return all;
}
#endif

static_assert(std::is_same_v<decltype(numbers() <=> numbers()), std::strong_ordering>);
static_assert(
    std::is_same_v<decltype(xvm::vector<wide>() <=> xvm::vector<wide>()), std::weak_ordering>);
static_assert(std::is_same_v<decltype(std::span(std::declval<numbers &>())), std::span<int>>);
#endif

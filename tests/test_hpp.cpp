/* test_hpp.cpp - owners of handles, and allocators for containers, of xvm.hpp. */
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness.h"
#include "xvm/xvm.hpp"

namespace
{
enum { KiB = 1 << 10, MiB = 1 << 20 };

/* That an action throws an xvm::error with this status, that it is a std::bad_alloc, and that it has a
 * sentence. */
void refuses(xvm_status status, const std::function<void()> &act)
{
    bool thrown = false;

    try {
        act();
    } catch (const std::bad_alloc &e) {
        thrown = e.what()[0] != '\0';
    }
    CHECK(thrown);
    try {
        act();
    } catch (const xvm::error &e) {
        CHECK_EQUAL(e.status(), status);
    }
}
} // namespace

/* --- region ----------------------------------------------------------------------------------- */

TEST(a_region_ends_by_itself)
{
    xvm_reserve_options named = {};
    void *base = nullptr;
    xvm_span span;

    named.name = "ends";
    {
        xvm::region r(16 * MiB, named);

        base = r.base();
        CHECK_EQUAL(r.commit(0, MiB), XVM_OK);
        CHECK(r && r.size() == 16 * MiB && xvm_query(base, &span) == XVM_OK);
        CHECK(span.name == named.name);
    }
    CHECK(xvm_query(base, &span) != XVM_OK || span.name == nullptr);
}

TEST(a_region_moves_and_its_pages_stay)
{
    size_t page = xvm_page_size();
    xvm_reserve_options named = {};
    xvm_span span;

    named.name = "moved";
    xvm::region a(MiB, named);
    auto *bytes = static_cast<unsigned char *>(a.base());
    CHECK_EQUAL(a.commit(0, page), XVM_OK);
    bytes[5] = 7;
    xvm::region b(std::move(a)), c;
    CHECK(!a && a.size() == 0 && b.base() == bytes);
    c = std::move(b);
    swap(b, c);
    CHECK(!c && b.base() == bytes && bytes[5] == 7);
    CHECK_EQUAL(xvm_query(bytes, &span), XVM_OK);
    CHECK(span.state == XVM_COMMITTED && span.size == page && strcmp(span.name, "moved") == 0);
    CHECK_EQUAL(b.commit(page, page), XVM_OK);
    CHECK_EQUAL(xvm_query(bytes, &span), XVM_OK);
    CHECK_EQUAL(span.size, 2 * page);
    c = xvm::region(b.detach());
    CHECK(!b && c.base() == bytes);
    CHECK_EQUAL(c.release(), XVM_OK);
    CHECK(!c && c.release() == XVM_OK);
    CHECK(xvm_query(bytes, &span) != XVM_OK || span.name == nullptr);
}

TEST(a_region_has_the_calls_of_c)
{
    size_t page = xvm_page_size();
    xvm::region r;
    xvm_range range = {0, page};

    CHECK_EQUAL(r.commit(0, 1), XVM_E_INVALID);
    CHECK_EQUAL(r.reserve(64 * page), XVM_OK);
    CHECK_EQUAL(r.commit_unit(), page);
    CHECK(r.huge() == XVM_HUGE_DEFAULT && r.get()->base == r.base());
    CHECK_EQUAL(r.commit(0, 8 * page), XVM_OK);
    CHECK_EQUAL(r.prefault(0, page), XVM_OK);
    CHECK_EQUAL(r.protect(page, page, XVM_READ), XVM_OK);
    CHECK_EQUAL(r.guard(7 * page, page), XVM_OK);
    CHECK_EQUAL(r.move(3 * page, 2 * page, page), XVM_OK);
    CHECK_EQUAL(r.discard(0, page), XVM_OK);
    CHECK_EQUAL(r.discard_ranges(&range, 1, XVM_DISCARD_LAZY), XVM_OK);
    CHECK_EQUAL(r.flush_code(0, page), XVM_OK);
    CHECK_EQUAL(r.advise(0, page, XVM_ADVICE_NORMAL), XVM_OK);
    if (r.lock(0, page) == XVM_OK) {
        CHECK_EQUAL(r.usage().locked, page);
        CHECK_EQUAL(r.unlock(0, page), XVM_OK);
    }
    CHECK_EQUAL(r.usage().committed, 7 * page);
    CHECK_EQUAL(r.decommit(0, 64 * page), XVM_OK);
    CHECK(r.usage().committed == 0 && r.usage().reserved == 64 * page);
    CHECK_EQUAL(r.reserve(page), XVM_OK); /* another one instead */
    CHECK_EQUAL(r.size(), page);
}

TEST(a_refused_region_throws_what_it_knows)
{
    xvm_reserve_options odd = {};

    odd.alignment = 3 * xvm_allocation_granularity();
    refuses(XVM_E_INVALID, [] { xvm::region none(0); });
    refuses(XVM_E_INVALID, [&] { xvm::region none(MiB, odd); });
    refuses(XVM_E_ADDRESS_SPACE, [] { xvm::region none(SIZE_MAX - MiB); });
    try {
        xvm::region none(SIZE_MAX - MiB);
        CHECK(false);
    } catch (const xvm::error &e) {
        char why[400];

        (void)xvm_explain(why, sizeof why);
        CHECK(strncmp(why, e.what(), 100) == 0);
    }
}

TEST(an_error_speaks_without_a_failure_too)
{
    xvm::error e(XVM_E_PINNED), copy(e);

    CHECK(strcmp(copy.what(), xvm_status_text(XVM_E_PINNED)) == 0);
    CHECK_EQUAL(copy.status(), XVM_E_PINNED);
}

/* --- heap, arena, pool ------------------------------------------------------------------------ */

TEST(a_heap_moves_and_ends_by_itself)
{
    xvm::heap none, a(16 * MiB), b(std::move(a));
    void *block = b.alloc(100);

    CHECK(!none && !a && b && block != nullptr && b.owns(block));
    a = std::move(b);
    swap(a, none);
    CHECK(none.owns(block) && none.usable_size(block) >= 100 && none.stats().live_blocks == 1);
    block = none.realloc(block, 200000);
    CHECK(block != nullptr && none.alloc_zeroed(10, 10) != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(none.alloc_aligned(10, 256)) % 256 == 0);
    CHECK(none.alloc(32 * MiB) == nullptr && none.report(XVM_FORMAT_TEXT, nullptr, 0) > 0);
    none.free(block);
    CHECK_EQUAL(none.check(), XVM_OK);
    none.clear();
    CHECK_EQUAL(none.stats().live_blocks, 0);
    (void)none.trim();
    none.reset();
    CHECK(!none && none.trim() == 0);
    CHECK_EQUAL(none.create(), XVM_OK);
    refuses(XVM_E_INVALID, [] { xvm::heap small(1); });
}

TEST(a_heap_lies_in_a_region)
{
    xvm::region r(16 * MiB);
    {
        xvm::heap h(r);
        auto *block = static_cast<char *>(h.alloc(1000));

        CHECK(block > r.base() && block < static_cast<char *>(r.base()) + r.size());
        CHECK(r.usage().committed != 0);
    }
    CHECK_EQUAL(r.usage().committed, 0);
    xvm::heap again;
    CHECK_EQUAL(again.create(r), XVM_OK);
}

TEST(an_arena_and_its_scopes_end_by_themselves)
{
    xvm::arena none, a(MiB);
    size_t mark, used;

    CHECK(!none && a && none.create(MiB) == XVM_OK && none);
    CHECK(a.alloc(10) != nullptr && a.alloc_zeroed(10, 64) != nullptr);
    used = a.used();
    for (int i = 0; i < 3; i++) {
        xvm::arena_scope scope(a);

        CHECK(scope.get() == a.get() && a.alloc(1000) != nullptr);
        if (i == 1)
            continue; /* however it is left */
        xvm::arena_scope inner(scope.get());
        CHECK(a.copy_text("text", 4) != nullptr);
    }
    CHECK_EQUAL(a.used(), used);
    mark = a.mark();
    void *last = a.alloc(100);
    CHECK(a.extend(last, 100, 200) && a.rewind(mark) == XVM_OK && a.used() == used);
    CHECK(a.alloc(2 * MiB) == nullptr && a.check() == XVM_OK);
    a.clear();
    (void)a.trim();
    CHECK_EQUAL(a.used(), 0);
    refuses(XVM_E_INVALID, [] { xvm::arena empty(0); });
}

TEST(scratch_arenas_are_not_those_in_conflict)
{
    xvm::scratch a;
    xvm::scratch b({a.get()});

    CHECK(a.get() != nullptr && b.get() != nullptr && a.get() != b.get());
    CHECK(xvm_arena_alloc(b.get(), 100, 0) != nullptr);
}

TEST(a_pool_ends_by_itself)
{
    xvm_pool_options handles = {};

    handles.flags = XVM_POOL_HANDLES;
    xvm::pool none, p(24, 8, 100, handles);
    void *a = p.get_block(), *b = p.get_zeroed();
    xvm_pool_handle h = p.handle_of(a), other = p.get_handle();

    CHECK(!none && p && a != nullptr && b != nullptr && p.resolve(h) == a);
    CHECK(p.index(a) == 0 && p.owns(b) && p.is_live(b) && p.counts().live == 3);
    CHECK(p.put(a) == XVM_OK && p.put(a) == XVM_E_INVALID && p.resolve(h) == nullptr);
    CHECK_EQUAL(p.put_handle(other), XVM_OK);
    CHECK_EQUAL(p.check(), XVM_OK);
    p.clear();
    (void)p.trim();
    CHECK(p.counts().live == 0 && none.create(8, 0, 10) == XVM_OK);
    refuses(XVM_E_INVALID, [] { xvm::pool empty(0, 0, 0); });
}

/* --- objects in blocks ------------------------------------------------------------------------ */

namespace
{
struct thing {
    static int live;

    explicit thing(int v) : value(v)
    {
        if (v < 0)
            throw v;
        live++;
    }

    ~thing() { live--; }

    alignas(64) int value;
};

int thing::live;

template <class Owner> void make_things(Owner &from)
{
    thing *a = xvm::make<thing>(from, 5), *b = xvm::try_make<thing>(from.get(), 6);

    CHECK(a->value == 5 && b->value == 6 && thing::live == 2);
    CHECK(reinterpret_cast<uintptr_t>(b) % alignof(thing) == 0);
    try {
        (void)xvm::make<thing>(from, -1);
        CHECK(false);
    } catch (int) {
        CHECK_EQUAL(thing::live, 2);
    }
    xvm::destroy(from, a);
    xvm::destroy(from.get(), b);
    xvm::destroy(from, static_cast<thing *>(nullptr));
    CHECK_EQUAL(thing::live, 0);
}
} // namespace

TEST(objects_are_made_in_blocks)
{
    xvm::heap h(16 * MiB);
    xvm::arena a(MiB);
    xvm::pool p(sizeof(thing), alignof(thing), 3), small(8, 8, 10);

    make_things(h);
    make_things(a);
    make_things(p);
    CHECK(h.stats().live_blocks == 0 && p.counts().live == 0);
    CHECK(xvm::try_make<thing>(small, 1) == nullptr);
    refuses(XVM_E_ADDRESS_SPACE, [&] { (void)xvm::make<thing>(small, 1); });
    CHECK_EQUAL(small.counts().live, 0);
}

/* --- the allocator ---------------------------------------------------------------------------- */

namespace
{
template <class T> using on_heap = xvm::allocator<T>;
template <class T> using on_arena = xvm::allocator<T, xvm_arena>;
template <class T> using on_pool = xvm::allocator<T, xvm_pool>;

using text = std::basic_string<char, std::char_traits<char>, on_heap<char>>;

template <class Map> void fill_and_look(Map &map)
{
    for (int i = 0; i < 1000; i++)
        map[i] = 2 * i;
    for (int i = 0; i < 1000; i += 2)
        map.erase(i);
    CHECK_EQUAL(map.size(), 500);
    for (int i = 1; i < 1000; i += 2)
        CHECK(map.at(i) == 2 * i);
}
} // namespace

TEST(containers_live_in_a_heap)
{
    xvm::heap h(64 * MiB);
    {
        std::vector<int, on_heap<int>> v(h);
        std::map<int, int, std::less<>, on_heap<std::pair<const int, int>>> map(h);
        std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
                           on_heap<std::pair<const int, int>>>
            hashed(0, std::hash<int>(), std::equal_to<>(), h);
        std::deque<text, on_heap<text>> texts(h);
        std::shared_ptr<int> shared = std::allocate_shared<int>(on_heap<int>(h), 5);

        for (int i = 0; i < 10000; i++)
            v.push_back(i);
        texts.emplace_back("a string that is too long for being stored in place", h);
        fill_and_look(map);
        fill_and_look(hashed);
        CHECK(v[9999] == 9999 && h.owns(v.data()) && h.owns(&map.begin()->first));
        CHECK(h.owns(texts[0].data()) && h.owns(shared.get()));
        auto copy = map;
        CHECK(copy == map && copy.get_allocator() == map.get_allocator());
    }
    CHECK(h.stats().live_blocks == 0 && h.check() == XVM_OK);
}

TEST(containers_live_in_an_arena_and_in_a_pool)
{
    xvm::arena a(16 * MiB);
    xvm::pool p(128, 0, 1100);
    {
        std::vector<int, on_arena<int>> v(a);
        std::map<int, int, std::less<>, on_pool<std::pair<const int, int>>> map(p);
        std::list<std::string, on_pool<std::string>> list(p);

        for (int i = 0; i < 10000; i++)
            v.push_back(i);
        fill_and_look(map);
        list.push_back("a");
        list.emplace_front("b");
        CHECK(v[9999] == 9999 && p.counts().live >= 502);
        refuses(XVM_E_ADDRESS_SPACE, [&] { (void)on_pool<int>(p).allocate(1000); });
    }
    CHECK_EQUAL(p.counts().live, 0);
    CHECK(a.used() >= 40000);
    a.clear();
}

TEST(allocators_are_equal_over_one_source_and_go_along)
{
    xvm::heap a(16 * MiB), b(16 * MiB);
    std::vector<int, on_heap<int>> in_a(100, 1, a), in_b(100, 2, b);
    const int *data = in_a.data();

    CHECK(on_heap<int>(a) == on_heap<char>(a) && on_heap<int>(a) != on_heap<int>(b));
    CHECK(on_heap<int>(a.get()) == on_heap<int>(on_heap<double>(a)));
    in_b = std::move(in_a);
    CHECK(in_b.data() == data && in_b.get_allocator().source() == a.get());
    std::vector<int, on_heap<int>> other(10, 3, b);
    in_b.swap(other);
    CHECK(other.data() == data && in_b.get_allocator().source() == b.get());
    in_b = other;
    CHECK(in_b.get_allocator().source() == b.get() && in_b == other);
}

TEST(a_full_heap_is_a_bad_alloc_and_no_more)
{
    xvm::heap h(4 * MiB);
    std::vector<int, on_heap<int>> v(h);
    size_t size = 0;

    refuses(XVM_E_ADDRESS_SPACE, [&] {
        for (;;)
            v.push_back(1);
    });
    size = v.size();
    CHECK(size > 100000 && v.back() == 1);
    refuses(XVM_E_ADDRESS_SPACE, [&] { (void)on_heap<int>(h).allocate(SIZE_MAX); });
    v = std::vector<int, on_heap<int>>(h);
    v.resize(size);
    CHECK_EQUAL(h.check(), XVM_OK);
}

TEST(a_heap_aligns_for_its_containers)
{
    struct alignas(128) wide {
        char byte;
    };
    xvm::heap h(16 * MiB);
    std::vector<wide, on_heap<wide>> v(5, wide{1}, h);

    CHECK(reinterpret_cast<uintptr_t>(v.data()) % 128 == 0);
}

/* --- std::pmr --------------------------------------------------------------------------------- */

#ifdef __cpp_lib_memory_resource
namespace
{
void use(std::pmr::memory_resource *resource)
{
    std::pmr::vector<std::pmr::string> texts(resource);
    std::pmr::unordered_map<int, int> hashed(resource);
    std::pmr::map<int, int> map(resource);

    for (int i = 0; i < 1000; i++)
        texts.emplace_back("a string that is too long for being stored in place");
    fill_and_look(hashed);
    fill_and_look(map);
    CHECK(texts[999] == texts[0]);
}
} // namespace

TEST(polymorphic_containers_live_in_a_heap_and_in_an_arena)
{
    xvm::heap h(64 * MiB);
    xvm::arena a(64 * MiB);
    xvm::resource on_h(h);
    xvm::resource on_a(a);

    use(&on_h);
    CHECK(h.stats().live_blocks == 0 && h.stats().allocs > 3000);
    use(&on_a);
    CHECK(a.used() > 100000);
}

TEST(a_pool_asks_upstream_for_what_it_has_not)
{
    xvm::heap h(64 * MiB);
    xvm::pool p(64, 64, 5000);
    xvm::resource on_h(h);
    xvm::resource on_p(p, &on_h);

    use(&on_p);
    CHECK(p.counts().live == 0 && p.counts().peak >= 1000 && h.stats().live_blocks == 0);
    CHECK(h.stats().allocs > 10);
    void *wide = on_p.allocate(64, 1024);
    CHECK(h.owns(wide) && !p.owns(wide));
    on_p.deallocate(wide, 64, 1024);
    CHECK_EQUAL(h.stats().live_blocks, 0);
}

TEST(what_a_resource_has_not_is_a_bad_alloc)
{
    xvm::heap h(4 * MiB);
    xvm::pool p(64, 0, 2);
    xvm::arena a(64 * KiB);
    xvm::resource on_h(h);
    xvm::resource on_p(p);
    xvm::resource on_a(a);

    refuses(XVM_E_ADDRESS_SPACE, [&] { (void)on_h.allocate(8 * MiB); });
    refuses(XVM_E_ADDRESS_SPACE, [&] { (void)on_p.allocate(65); });
    refuses(XVM_E_ADDRESS_SPACE, [&] {
        for (;;)
            (void)on_p.allocate(64);
    });
    refuses(XVM_E_ADDRESS_SPACE, [&] { (void)on_a.allocate(MiB); });
}

TEST(resources_are_equal_over_one_source)
{
    xvm::heap a(16 * MiB), b(16 * MiB);
    xvm::resource first(a);
    xvm::resource same(a.get());
    xvm::resource other(b);

    CHECK(first == first && first == same && first != other);
    CHECK(first != *std::pmr::new_delete_resource());
}
#endif

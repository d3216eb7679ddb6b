/* test_vector.cpp - xvm::vector beside std::vector: random calls, exceptions, refusals, addresses. */
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "harness.h"
#include "xvm/xvm.hpp"

namespace
{

/* --- elements --------------------------------------------------------------------------------- */

/* How many there are, and that each is where it was made. */
class counted
{
  public:
    static long live;

    counted() : counted(0) {}

    explicit counted(int value) : self_(this), value_(value) { live++; }

    counted(const counted &other) : counted(other.value()) {}

    counted(counted &&other) noexcept : self_(this), value_(other.value())
    {
        live++;
        other.value_ = -1;
    }

    counted &operator=(const counted &other)
    {
        CHECK(self_ == this);
        value_ = other.value();
        return *this;
    }

    counted &operator=(counted &&other) noexcept
    {
        int value = other.value();

        CHECK(self_ == this);
        other.value_ = -1;
        value_ = value;
        return *this;
    }

    ~counted()
    {
        CHECK(self_ == this);
        self_ = nullptr;
        live--;
    }

    int value() const
    {
        CHECK(self_ == this);
        return value_;
    }

    friend bool operator==(const counted &a, const counted &b) { return a.value() == b.value(); }

    friend bool operator<(const counted &a, const counted &b) { return a.value() < b.value(); }

  private:
    const counted *self_;
    int value_;
};

long counted::live;

using only_moved = std::unique_ptr<int>;

template <class T> T make(int number);

template <> int make<int>(int number)
{
    return number;
}

template <> std::string make<std::string>(int number)
{
    return std::string(number % 3 == 0 ? 30 : 3, '.') + std::to_string(number);
}

template <> counted make<counted>(int number)
{
    return counted(number);
}

template <> only_moved make<only_moved>(int number)
{
    return std::make_unique<int>(number);
}

template <class T> bool is_same(const T &a, const T &b)
{
    return a == b;
}

template <> bool is_same(const only_moved &a, const only_moved &b)
{
    return (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b);
}

/* Can be read once only. */
template <class T> class once
{
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T *;
    using reference = const T &;

    explicit once(const T *at) : at_(at) {}

    const T &operator*() const { return *at_; }

    once &operator++()
    {
        ++at_;
        return *this;
    }

    once operator++(int) { return once(at_++); }

    friend bool operator==(const once &a, const once &b) { return a.at_ == b.at_; }

    friend bool operator!=(const once &a, const once &b) { return a.at_ != b.at_; }

  private:
    const T *at_;
};

/* --- random calls ----------------------------------------------------------------------------- */

enum { CALLS = 100000, USUAL = 40, LOOK = 16, MOST = 5000 };

/* The same done to both, and what both answer compared. */
template <class T> class twins
{
  public:
    explicit twins(uint64_t seed) : state_(seed) {}

    void run()
    {
        for (int i = 0; i < CALLS; i++) {
            const T *before = ours_.data();

            stays_ = true;
            step(below(std::is_copy_constructible_v<T> ? 32 : 16));
            CHECK(!stays_ || before == nullptr || before == ours_.data());
            CHECK_EQUAL(ours_.size(), theirs_.size());
            CHECK(ours_.empty() == theirs_.empty() && ours_.capacity() >= ours_.size());
            if (i % LOOK == 0)
                compare();
        }
        compare();
    }

  private:
    size_t below(size_t limit) { return static_cast<size_t>(test_random(&state_) >> 33) % limit; }

    int number() { return static_cast<int>(below(100)); }

    size_t index() /* of an element, or the end */ { return below(theirs_.size() + 1); }

    size_t few() /* sizes swing around the usual one */
    {
        return below(theirs_.size() > USUAL ? 2 : 12);
    }

    std::vector<T> some(size_t count)
    {
        std::vector<T> values;
        uint64_t from = test_random(&state_);

        for (size_t i = 0; i < count; i++)
            values.push_back(make<T>(static_cast<int>((from + i) % 100)));
        return values;
    }

    void compare() const
    {
        CHECK_EQUAL(ours_.size(), theirs_.size());
        for (size_t i = 0; i < theirs_.size(); i++)
            CHECK(is_same(ours_[i], theirs_[i]));
    }

    void same(typename xvm::vector<T>::iterator a, typename std::vector<T>::iterator b)
    {
        CHECK_EQUAL(a - ours_.begin(), b - theirs_.begin());
    }

    void step(size_t what)
    {
        if (what < 16)
            step_with_moves(what);
        else if constexpr (std::is_copy_constructible_v<T>)
            step_with_copies(what);
    }

    void step_with_moves(size_t what)
    {
        size_t at = index(), end = at + below(theirs_.size() - at + 1), n = few();
        int value = number();

        switch (what) {
        case 0:
            ours_.push_back(make<T>(value));
            theirs_.push_back(make<T>(value));
            break;
        case 1:
            CHECK(is_same(ours_.emplace_back(make<T>(value)), make<T>(value)));
            theirs_.emplace_back(make<T>(value));
            break;
        case 2:
            if (theirs_.empty())
                break;
            ours_.pop_back();
            theirs_.pop_back();
            break;
        case 3:
            same(ours_.insert(ours_.begin() + at, make<T>(value)),
                 theirs_.insert(where(at), make<T>(value)));
            break;
        case 4:
            same(ours_.emplace(ours_.cbegin() + at, make<T>(value)),
                 theirs_.emplace(where(at), make<T>(value)));
            break;
        case 5:
            if (at == theirs_.size())
                break;
            same(ours_.erase(ours_.begin() + at), theirs_.erase(where(at)));
            break;
        case 6:
            if (end - at > 2 * USUAL / 4)
                end = at + USUAL / 4;
            same(ours_.erase(ours_.begin() + at, ours_.begin() + end),
                 theirs_.erase(where(at), where(end)));
            break;
        case 7:
            ours_.resize(theirs_.size() + n);
            theirs_.resize(theirs_.size() + n);
            break;
        case 8:
            ours_.resize(theirs_.size() - (end - at) / 4);
            theirs_.resize(theirs_.size() - (end - at) / 4);
            break;
        case 9:
            insert_moved(at, n);
            break;
        case 10:
            if (below(50) == 0) {
                ours_.clear();
                theirs_.clear();
            }
            break;
        case 11:
            ours_.reserve(below(3000));
            break;
        case 12:
            ours_.trim();
            break;
        case 13:
            stays_ = false;
            swap_with_others();
            break;
        case 14:
            stays_ = false;
            move_around();
            break;
        default:
            if (T *added = ours_.try_push_back(make<T>(value))) {
                CHECK(added == &ours_.back());
                theirs_.push_back(make<T>(value));
            }
        }
    }

    typename std::vector<T>::iterator where(size_t at)
    {
        return theirs_.begin() + static_cast<std::ptrdiff_t>(at);
    }

    void insert_moved(size_t at, size_t n)
    {
        uint64_t state = state_;
        std::vector<T> a = some(n), b;

        state_ = state;
        b = some(n);
        same(ours_.insert(ours_.begin() + at, std::make_move_iterator(a.begin()),
                          std::make_move_iterator(a.end())),
             theirs_.insert(where(at), std::make_move_iterator(b.begin()),
                            std::make_move_iterator(b.end())));
    }

    void swap_with_others()
    {
        if (below(2) == 0)
            ours_.swap(our_other_);
        else
            swap(ours_, our_other_);
        std::swap(theirs_, their_other_);
    }

    void move_around()
    {
        xvm::vector<T> ours(std::move(ours_));
        std::vector<T> theirs(std::move(theirs_));

        CHECK(ours_.empty() && ours_.data() == nullptr && ours_.capacity() == 0);
        our_other_ = std::move(ours);
        their_other_ = std::move(theirs);
        theirs_.clear();
        CHECK_EQUAL(our_other_.size(), their_other_.size());
    }

    void step_with_copies(size_t what)
    {
        size_t at = index(), n = few();
        T value = make<T>(number());

        switch (what) {
        case 16:
            ours_.push_back(value);
            theirs_.push_back(value);
            break;
        case 17:
            same(ours_.insert(ours_.begin() + at, value), theirs_.insert(where(at), value));
            break;
        case 18:
            same(ours_.insert(ours_.begin() + at, n, value), theirs_.insert(where(at), n, value));
            break;
        case 19:
            insert_listed(at, n);
            break;
        case 20:
            insert_once(at, n);
            break;
        case 21:
            same(ours_.insert(ours_.begin() + at, {value, make<T>(7), value}),
                 theirs_.insert(where(at), {value, make<T>(7), value}));
            break;
        case 22:
            ours_.resize(theirs_.size() + n, value);
            theirs_.resize(theirs_.size() + n, value);
            break;
        case 23:
            if (below(10) == 0)
                assign(value);
            break;
        case 24:
            stays_ = false;
            copy_around();
            break;
        case 25:
        case 26:
            if (!theirs_.empty())
                take_own(at, below(theirs_.size()), n);
            break;
        case 27:
            CHECK_EQUAL(erase(ours_, value), erase_from(theirs_, value));
            break;
        case 28:
            kept_ = some(n);
            ours_.append_range(kept_);
            theirs_.insert(theirs_.end(), kept_.begin(), kept_.end());
            break;
        case 29:
            kept_ = some(n);
            same(ours_.insert_range(ours_.begin() + at, kept_),
                 theirs_.insert(where(at), kept_.begin(), kept_.end()));
            break;
        case 30:
            CHECK((ours_ < our_other_) == (theirs_ < their_other_));
            CHECK((ours_ == our_other_) == (theirs_ == their_other_));
            CHECK((ours_ >= our_other_) == (theirs_ >= their_other_));
            break;
        default:
            if (!theirs_.empty()) {
                CHECK(ours_.at(at % theirs_.size()) == theirs_.at(at % theirs_.size()));
                CHECK(ours_.front() == theirs_.front() && ours_.back() == theirs_.back());
                CHECK(*ours_.rbegin() == *theirs_.rbegin());
                CHECK(std::equal(ours_.rbegin(), ours_.rend(), theirs_.rbegin()));
            }
        }
    }

    void insert_listed(size_t at, size_t n)
    {
        std::vector<T> values = some(n);
        std::list<T> list(values.begin(), values.end());

        same(ours_.insert(ours_.begin() + at, list.begin(), list.end()),
             theirs_.insert(where(at), list.begin(), list.end()));
    }

    void insert_once(size_t at, size_t n)
    {
        std::vector<T> values = some(n);
        once<T> first(values.data()), last(values.data() + n);

        same(ours_.insert(ours_.begin() + at, first, last),
             theirs_.insert(where(at), values.begin(), values.end()));
    }

    void assign(const T &value)
    {
        size_t n = below(USUAL);
        std::vector<T> values = some(n);

        switch (below(5)) {
        case 0:
            ours_.assign(n, value);
            theirs_.assign(n, value);
            break;
        case 1:
            ours_.assign(values.begin(), values.end());
            theirs_ = values;
            break;
        case 2:
            ours_ = {value, value};
            theirs_ = {value, value};
            break;
        case 3:
            ours_.assign_range(values);
            theirs_ = values;
            break;
        default:
            ours_.assign(once<T>(values.data()), once<T>(values.data() + n));
            theirs_ = values;
        }
    }

    void copy_around()
    {
        xvm::vector<T> copy(ours_);

        our_other_ = copy;
        their_other_ = theirs_;
        CHECK(copy == ours_ && our_other_ == ours_);
        ours_ = std::move(copy);
    }

    /* Elements of the same vector as arguments. */
    void take_own(size_t at, size_t from, size_t n)
    {
        switch (below(5)) {
        case 0:
            ours_.push_back(ours_[from]);
            theirs_.push_back(theirs_[from]);
            break;
        case 1:
            ours_.insert(ours_.begin() + at, ours_[from]);
            theirs_.insert(where(at), theirs_[from]);
            break;
        case 2:
            ours_.insert(ours_.begin() + at, n, ours_[from]);
            theirs_.insert(where(at), n, T(theirs_[from]));
            break;
        case 3:
            ours_.resize(theirs_.size() + n, ours_[from]);
            theirs_.resize(theirs_.size() + n, T(theirs_[from]));
            break;
        default:
            ours_.emplace(ours_.begin() + at, ours_[from]);
            theirs_.emplace(where(at), theirs_[from]);
        }
    }

    static size_t erase_from(std::vector<T> &v, const T &value)
    {
        auto rest = std::remove(v.begin(), v.end(), value);
        auto count = static_cast<size_t>(v.end() - rest);

        v.erase(rest, v.end());
        return count;
    }

    uint64_t state_;
    bool stays_ = true;
    /* Many are made: emulators pay for addresses, too. */
    xvm::vector<T> ours_ = xvm::vector<T>(xvm::at_most(MOST));
    xvm::vector<T> our_other_ = xvm::vector<T>(xvm::at_most(MOST));
    std::vector<T> theirs_, their_other_, kept_;
};

} // namespace

TEST(a_vector_of_int_is_as_the_standard_one)
{
    twins<int>(1).run();
}

TEST(a_vector_of_strings_is_as_the_standard_one)
{
    twins<std::string>(2).run();
}

TEST(a_vector_of_what_counts_itself_is_as_the_standard_one)
{
    twins<counted>(3).run();
    CHECK_EQUAL(counted::live, 0);
}

TEST(a_vector_of_what_only_moves_is_as_the_standard_one)
{
    twins<only_moved>(4).run();
}

/* --- making ----------------------------------------------------------------------------------- */

TEST(it_is_made_in_all_ways_of_the_standard)
{
    std::vector<int> from = {3, 1, 2};
    xvm::vector<int> none, zeros(3), nines(2, 9), listed = {1, 2, 3}, copied(listed);
    xvm::vector<int> ranged(from.begin(), from.end()),
        input(once<int>(from.data()), once<int>(from.data() + 3));
    xvm::vector<int> whole(xvm::from_range, from), limited({1, 2}, xvm::at_most(5));
    xvm::vector deduced(from.begin(), from.end());

    CHECK(none.empty() && none.data() == nullptr && none.begin() == none.end());
    CHECK(zeros.size() == 3 && zeros[0] == 0 && zeros[2] == 0);
    CHECK(nines.size() == 2 && nines[1] == 9);
    CHECK(listed == copied && copied.data() != listed.data());
    CHECK(ranged == input && ranged == whole && ranged == deduced && ranged[0] == 3);
    CHECK(limited.max_size() == 5 && limited.size() == 2);
    CHECK(ranged != listed && listed < ranged && ranged > listed && listed <= copied);
}

namespace
{
const char *const our_name = "vectors of this test";

int count_ours(const xvm_span *span, void *context)
{
    *static_cast<int *>(context) += span->name == our_name;
    return 0;
}

/* Runs of equal pages of regions with that name. */
int spans()
{
    int count = 0;

    CHECK_EQUAL(xvm_walk(count_ours, &count), XVM_OK);
    return count;
}

xvm::limit named()
{
    xvm::limit most = xvm::at_most(1000);

    most.growth.name = our_name;
    return most;
}
} // namespace

TEST(nothing_is_reserved_before_the_first_element)
{
    std::vector<xvm::vector<int>> many(100, xvm::vector<int>(named()));

    CHECK(spans() == 0 && many[99].max_size() == 1000 && many[99].capacity() == 0);
    many[99].push_back(1);
    CHECK(spans() != 0);
}

TEST(the_end_gives_everything_back)
{
    {
        xvm::vector<xvm::vector<int>> a(100, xvm::vector<int>({1, 2, 3}, named()), named());
        xvm::vector<xvm::vector<int>> b(a), c(std::move(a));

        CHECK(spans() >= 200);
        b = std::move(c);
        c = b;
        b.erase(b.begin(), b.begin() + 50);
    }
    CHECK_EQUAL(spans(), 0);
}

/* --- addresses -------------------------------------------------------------------------------- */

TEST(no_element_moves_while_it_grows)
{
    enum { COUNT = 300000 };
    xvm::vector<counted> v;
    std::vector<const counted *> seen;

    for (int i = 0; i < COUNT; i++) {
        seen.push_back(&v.emplace_back(i));
        CHECK(seen.front() == v.data());
    }
    for (int i = 0; i < COUNT; i++)
        CHECK(seen[static_cast<size_t>(i)]->value() == i);
    v.reserve(2 * COUNT);
    v.trim();
    CHECK(seen.front() == v.data() && v.size() == COUNT);
    xvm::vector<counted> other(std::move(v));
    CHECK(seen.front() == other.data() && other[COUNT - 1].value() == COUNT - 1);
}

TEST(what_cannot_be_moved_can_be_added)
{
    struct fixed {
        explicit fixed(int v) : value(v) {}
        fixed(const fixed &) = delete;
        fixed &operator=(const fixed &) = delete;
        int value;
    };
    xvm::vector<fixed> v;

    for (int i = 0; i < 10000; i++)
        CHECK(v.emplace_back(i).value == i);
    CHECK(v.try_emplace_back(1) == &v.back());
    v.pop_back();
    v.clear();
    CHECK(v.empty());
}

namespace
{
template <size_t ALIGNMENT> struct alignas(ALIGNMENT) wide {
    char byte = 1;
};

template <size_t ALIGNMENT> void check_alignment()
{
    xvm::vector<wide<ALIGNMENT>> v(3);

    v.emplace_back();
    v.insert(v.begin(), wide<ALIGNMENT>());
    for (auto &element : v)
        CHECK(reinterpret_cast<uintptr_t>(&element) % ALIGNMENT == 0 && element.byte == 1);
    CHECK_EQUAL(v.size(), 5);
}
} // namespace

TEST(elements_are_aligned)
{
    check_alignment<1>();
    check_alignment<32>();
    check_alignment<64>();
    check_alignment<1024>();
    xvm::vector<wide<size_t(1) << 20>> v;
    CHECK(!v.try_resize(1) && v.empty());
    try {
        v.resize(1);
        CHECK(false);
    } catch (const xvm::error &e) {
        CHECK_EQUAL(e.status(), XVM_E_UNSUPPORTED);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

TEST(memory_stays_until_a_trim)
{
    enum { COUNT = 1 << 20 };
    xvm::vector<int> v(COUNT, 1);
    size_t before = v.capacity();

    v.clear();
    CHECK(v.capacity() == before);
    v.push_back(1);
    v.shrink_to_fit();
    CHECK(v.capacity() >= 1 && v.capacity() < COUNT / 8 && v[0] == 1);
    v.reserve(COUNT);
    v.pop_back();
    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    for (int i = 0; i < COUNT; i++)
        v.push_back(i);
    xvm_inject(nullptr);
    CHECK(v.size() == COUNT && v.back() == COUNT - 1);
}

TEST(memory_goes_by_itself_where_that_is_asked_for)
{
    enum { COUNT = 1 << 20 };
    xvm::vector<int> v(xvm::at_most(COUNT, {}));
    size_t before;

    v.resize(COUNT);
    before = v.capacity();
    v.clear();
    CHECK(v.capacity() < before);
}

TEST(new_values_are_values_where_old_ones_were)
{
    xvm::vector<int> v(1000, 7);
    xvm::vector<double *> p(10, nullptr);

    v.resize(10);
    v.resize(2000);
    for (size_t i = 0; i < v.size(); i++)
        CHECK_EQUAL(v[i], i < 10 ? 7 : 0);
    CHECK_EQUAL(xvm_array_check(v.array()), XVM_OK);
    p.resize(20);
    CHECK(p.back() == nullptr);
}

namespace
{
struct half { /* written when its constructor throws */
    int value = 0;

    half() noexcept = default;

    explicit half(int v) : value(v) { throw v; }
};
} // namespace

template <> inline constexpr bool xvm::zero_is_value<half> = true;

TEST(what_was_half_made_leaves_no_trace)
{
    xvm::vector<half> v(10);

    for (int i = 1; i < 5; i++) {
        try {
            v.emplace_back(i);
            CHECK(false);
        } catch (int) {
            CHECK_EQUAL(v.size(), 10);
        }
    }
    v.resize(20);
    for (const half &h : v)
        CHECK_EQUAL(h.value, 0);
    CHECK_EQUAL(xvm_array_check(v.array()), XVM_OK);
}

TEST(two_lie_in_one_region_and_their_copies_elsewhere)
{
    xvm::region r(1 << 20);
    xvm_growth_options part = {};
    size_t half_size = r.size() / 2;

    part.region = r.get();
    part.flags = XVM_GROWTH_KEEP;
    xvm::vector<int> a(xvm::at_most(2000, part));
    part.offset = half_size;
    xvm::vector<int> b(xvm::at_most(0, part));
    CHECK_EQUAL(b.max_size(), half_size / sizeof(int));
    a.assign(1000, 1);
    b.assign(1000, 2);
    CHECK(a.data() == r.base());
    CHECK(static_cast<void *>(b.data()) == static_cast<char *>(r.base()) + half_size);
    xvm::vector<int> copy(a), moved(std::move(a));
    CHECK(moved.data() == r.base());
    a.push_back(5); /* not where the moved ones are */
    copy.push_back(6);
    CHECK(moved[0] == 1 && b[0] == 2 && a[0] == 5);
    CHECK(a.data() != r.base() && copy.data() != r.base());
}

/* --- limits ----------------------------------------------------------------------------------- */

namespace
{
/* What an action throws, and that nothing changed. */
template <class Error, class T> void refuses(xvm::vector<T> &v, const std::function<void()> &act)
{
    std::vector<T> before(v.begin(), v.end());
    bool thrown = false;

    try {
        act();
    } catch (const Error &) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK(before.size() == v.size() && std::equal(v.begin(), v.end(), before.begin()));
}
} // namespace

TEST(beyond_its_limit_nothing_changes)
{
    xvm::vector<std::string> v({"a", "b", "c"}, xvm::at_most(4));
    const std::vector<std::string> two = {"x", "y"}, five(5, "z");

    refuses<std::length_error>(v, [&] { v.resize(5); });
    refuses<std::length_error>(v, [&] { v.resize(5, "z"); });
    refuses<std::length_error>(v, [&] { v.reserve(5); });
    refuses<std::length_error>(v, [&] { v.assign(5, "z"); });
    refuses<std::length_error>(v, [&] { v.assign(five.begin(), five.end()); });
    refuses<std::length_error>(v, [&] { v.insert(v.begin(), 2, "z"); });
    refuses<std::length_error>(v, [&] { v.insert(v.begin() + 1, two.begin(), two.end()); });
    refuses<std::length_error>(v, [&] { v.append_range(two); });
    refuses<std::length_error>(v, [&] { v.insert(v.end(), SIZE_MAX, "z"); });
    refuses<std::length_error>(v, [&] {
        v.insert(v.end(), once<std::string>(two.data()), once<std::string>(two.data() + 2));
    });
    refuses<std::out_of_range>(v, [&] { (void)v.at(3); });
    v.push_back("d");
    refuses<std::length_error>(v, [&] { v.push_back("e"); });
    refuses<std::length_error>(v, [&] { v.emplace(v.begin(), "e"); });
    CHECK(v.try_push_back("e") == nullptr && !v.try_reserve(5) && !v.try_resize(5));
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    CHECK(v.size() == 4 && v.try_resize(4) && v.try_reserve(4));
    refuses<xvm::error>(v, [] { xvm::vector<int> huge(1, xvm::at_most(SIZE_MAX)); });
}

TEST(a_refused_commit_changes_nothing)
{
    xvm::vector<std::string> v;

    v.resize(10, "a string");
    v.trim();
    while (v.size() < v.capacity())
        v.push_back("b");
    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    refuses<std::bad_alloc>(v, [&] { v.push_back("c"); });
    refuses<xvm::error>(v, [&] { v.insert(v.begin(), "c"); });
    refuses<xvm::error>(v, [&] { v.insert(v.begin(), 3, "c"); });
    refuses<xvm::error>(v, [&] { v.resize(v.size() + 1); });
    refuses<xvm::error>(v, [&] { v.append_range(std::vector<std::string>(9)); });
    CHECK(v.try_emplace_back() == nullptr && !v.try_reserve(v.size() + 1));
    CHECK_EQUAL(xvm_last_status(), XVM_E_COMMIT_LIMIT);
    try {
        v.push_back("c");
        CHECK(false);
    } catch (const xvm::error &e) {
        CHECK_EQUAL(e.status(), XVM_E_COMMIT_LIMIT);
        CHECK(strstr(e.what(), "commit") != nullptr);
    }
    xvm_inject(nullptr);
    v.push_back("c");
    CHECK(v.back() == "c");
}

TEST(a_refused_reservation_is_no_vector)
{
    CHECK_EQUAL(xvm_inject("reserve"), XVM_OK);
    xvm::vector<int> v;
    CHECK(v.try_push_back(1) == nullptr && v.empty() && v.data() == nullptr);
    try {
        xvm::vector<int> full(5);
        CHECK(false);
    } catch (const xvm::error &e) {
        CHECK(e.status() != XVM_OK && e.what()[0] != '\0');
    }
    xvm_inject(nullptr);
    v.push_back(1);
    CHECK_EQUAL(v[0], 1);
}

TEST(where_addresses_are_few_it_asks_for_fewer)
{
    size_t usual = xvm::vector<int>().max_size(), fewer = usual / 64;
    xvm::vector<int> v, exact(xvm::at_most(usual));

    CHECK_EQUAL(xvm_inject(sizeof(void *) > 4 ? "reserve>8g" : "reserve>8m"), XVM_OK);
    v.push_back(1);
    CHECK(v.max_size() == fewer && exact.try_push_back(1) == nullptr);
    CHECK_EQUAL(xvm_inject(nullptr), XVM_OK);
    CHECK(exact.try_push_back(1) != nullptr);
    CHECK_EQUAL(exact.max_size(), usual);
}

/* --- exceptions of elements ------------------------------------------------------------------- */

namespace
{
/* Throws when it is made, copied, moved or assigned for the n-th time from now. */
class bomb
{
  public:
    static int fuse;

    bomb() : bomb(0) {}

    explicit bomb(int value) : counted_(value) { burn(); }

    bomb(const bomb &other) : counted_(other.counted_) { burn(); }

    bomb &operator=(const bomb &other)
    {
        burn();
        counted_ = other.counted_;
        return *this;
    }

    int value() const { return counted_.value(); }

  private:
    static void burn()
    {
        if (fuse != 0 && --fuse == 0)
            throw 5;
    }

    counted counted_;
};

int bomb::fuse;

using bombs = xvm::vector<bomb>;

const xvm::limit few = xvm::at_most(MOST); /* many are made: emulators pay for addresses, too */

/* Lets the action fail at each step it has, on ten elements. */
void explode(bool strong, const std::function<void(bombs &)> &act)
{
    bool thrown = true;

    for (int n = 1; thrown; n++) {
        bombs v(few);
        long before;

        for (int i = 0; i < 10; i++)
            v.emplace_back(i);
        before = counted::live - 10;
        thrown = false;
        bomb::fuse = n;
        try {
            act(v);
        } catch (int) {
            thrown = true;
        }
        bomb::fuse = 0;
        CHECK_EQUAL(counted::live - before, v.size());
        for (size_t i = 0; i < v.size(); i++)
            CHECK(v[i].value() >= -1 &&
                  (!strong || !thrown || v[i].value() == static_cast<int>(i)));
        CHECK(!strong || !thrown || v.size() == 10);
        CHECK(n < 100);
    }
}
} // namespace

TEST(what_is_added_at_the_end_is_there_or_not)
{
    const std::vector<bomb> three(3, bomb(20));
    const bomb one(21);
    const bomb *from = three.data();

    explode(true, [&](bombs &v) { v.push_back(one); });
    explode(true, [&](bombs &v) { v.emplace_back(21); });
    explode(true, [&](bombs &v) { (void)v.try_push_back(one); });
    explode(true, [&](bombs &v) { v.insert(v.end(), one); });
    explode(true, [&](bombs &v) { v.resize(20); });
    explode(true, [&](bombs &v) { v.resize(20, one); });
    explode(true, [&](bombs &v) { v.append_range(three); });
    explode(true, [&](bombs &v) { v.insert(v.end(), three.begin(), three.end()); });
    explode(true, [&](bombs &v) { v.insert(v.end(), once<bomb>(from), once<bomb>(from + 3)); });
    explode(true, [&](bombs &v) { v.insert(v.end(), 3, one); });
    explode(true, [&](bombs &v) { v.reserve(1000); });
}

TEST(after_an_exception_all_elements_are_whole)
{
    const std::vector<bomb> three(3, bomb(20)), many(30, bomb(20));
    const bomb one(21);
    const bomb *from = three.data();

    explode(false, [&](bombs &v) { v.insert(v.begin() + 4, one); });
    explode(false, [&](bombs &v) { v.emplace(v.begin(), 21); });
    explode(false, [&](bombs &v) { v.insert(v.begin() + 2, three.begin(), three.end()); });
    explode(false, [&](bombs &v) { v.insert(v.begin() + 8, three.begin(), three.end()); });
    explode(false, [&](bombs &v) { v.insert(v.begin() + 2, many.begin(), many.end()); });
    explode(false, [&](bombs &v) { v.insert(v.begin() + 2, 3, one); });
    explode(false, [&](bombs &v) { v.insert(v.begin() + 2, 30, one); });
    explode(false, [&](bombs &v) { v.insert(v.begin(), once<bomb>(from), once<bomb>(from + 3)); });
    explode(false, [&](bombs &v) { v.erase(v.begin() + 2, v.begin() + 5); });
    explode(false, [&](bombs &v) { v.assign(5, one); });
    explode(false, [&](bombs &v) { v.assign(many.begin(), many.end()); });
    explode(false, [&](bombs &v) { v.assign_range(three); });
    explode(false, [&](bombs &v) { v.assign(once<bomb>(from), once<bomb>(from + 3)); });
}

TEST(a_constructor_that_throws_leaves_nothing)
{
    const std::vector<bomb> many(30, bomb(20));

    explode(true, [&](bombs &v) { bombs copy(v); });
    explode(true, [&](bombs &) { bombs made(many.begin(), many.end(), few); });
    explode(true, [&](bombs &) { bombs made(5, few); });
    explode(true, [&](bombs &) { bombs made(5, many[0], few); });
    explode(true, [&](bombs &) {
        bombs made(once<bomb>(many.data()), once<bomb>(many.data() + 9), few);
    });
}

/* --- threads ---------------------------------------------------------------------------------- */

namespace
{
enum { PUSHES = 100000, READERS = 3 };

/* Worker 0 adds, the others read what they see. */
void add_or_read(void *context, int index)
{
    auto &v = *static_cast<xvm::vector<uint64_t> *>(context);

    if (index == 0) {
        for (uint64_t i = v.size(); i < PUSHES; i++)
            v.push_back(i);
        return;
    }
    for (size_t seen = 0, last = 0; seen < PUSHES; last = seen) {
        seen = v.published_size();
        CHECK(seen >= last);
        for (size_t i = last; i < seen; i++)
            CHECK(v.data()[i] == i);
    }
}
} // namespace

TEST(others_read_while_one_adds)
{
    xvm::vector<uint64_t> v;

    v.reserve(1);
    run_threads(1 + READERS, add_or_read, &v);
    CHECK_EQUAL(v.size(), PUSHES);
}

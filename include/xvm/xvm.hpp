/* xvm.hpp - xvm for C++17 and later: what ends by itself, a vector that never moves, allocators.
 *
 *     region, heap, arena, pool     owners of the handles of C, with their calls as members
 *     vector<T>                     std::vector's interface; elements stay where they are
 *     resource, allocator<T>        for std::pmr and for other containers, over heap, arena and pool
 *
 * It is one header over the C library and adds no object file. Nothing in it is needed to use xvm
 * from C++: every other header is C++, too.
 *
 *   1  What fails in a constructor, and in a call that std::vector also has, throws: xvm::error,
 *      which is a std::bad_alloc with a status and a sentence that names the limit; and what std
 *      says (std::length_error beyond max_size, std::out_of_range).
 *   2  Nothing else throws: members that C has as calls return what they return there. So for each
 *      way that throws there is one that does not: create, reserve, try_...
 *   3  Without exceptions (-fno-exceptions) rule 1 ends the program, as it does in the standard
 *      containers; rule 2 is the way then. Without RTTI all of it works as well.
 *   4  An owner that holds nothing is all zero; destructors accept that. A region, a heap and a
 *      vector can be moved; what is inside keeps its address. An arena and a pool cannot: others
 *      have their addresses.
 *
 * threads    as the calls of C that a member stands for
 * since      0.5
 */
#ifndef XVM_HPP
#define XVM_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_three_way_comparison
#include <compare>
#endif
#ifdef __cpp_lib_containers_ranges
#include <ranges>
#endif

#include "xvm/xvm.h"

namespace xvm
{

using std::ptrdiff_t;
using std::size_t;

/* --- failures --------------------------------------------------------------------------------- */

/* What is thrown where memory, addresses or another thing of the system is refused. It needs no
 * memory of its own. */
class error : public std::bad_alloc
{
  public:
    /* what() is xvm_explain's sentence when this was the last failure of the thread. */
    explicit error(xvm_status status) noexcept : status_(status)
    {
        if (status == xvm_last_status())
            (void)xvm_explain(why_, sizeof why_);
    }

    const char *what() const noexcept override
    {
        return why_[0] != '\0' ? why_ : xvm_status_text(status_);
    }

    xvm_status status() const noexcept { return status_; }

  private:
    xvm_status status_;
    char why_[240] = {};
};

namespace detail
{

[[noreturn]] inline void fail(xvm_status status)
{
#ifdef __cpp_exceptions
    throw error(status);
#else
    (void)status;
    std::abort();
#endif
}

[[noreturn]] inline void fail_length()
{
#ifdef __cpp_exceptions
    throw std::length_error("xvm::vector: more than max_size()");
#else
    std::abort();
#endif
}

[[noreturn]] inline void fail_index()
{
#ifdef __cpp_exceptions
    throw std::out_of_range("xvm::vector::at: no such element");
#else
    std::abort();
#endif
}

inline void must(xvm_status status)
{
    if (status != XVM_OK)
        fail(status);
}

} // namespace detail

/* --- region ----------------------------------------------------------------------------------- */

/* A reservation; its calls are those of region.h.
 *
 * A region may be moved, also while other threads use its pages: its addresses stay. Not while an
 * array, an arena, a heap or a pool lies in it, nor while it is watched or has snapshots: those know
 * where the handle is. */
class region
{
  public:
    region() noexcept = default; /* holds nothing */

    /* Throws where xvm_reserve fails. */
    explicit region(size_t size, const xvm_reserve_options &options = {})
    {
        detail::must(xvm_reserve(&handle_, size, &options));
    }

    /* From now on the owner of a handle of C. */
    explicit region(const xvm_region &handle) noexcept : handle_(handle) {}

    region(region &&other) noexcept : handle_(other.detach()) {}

    region &operator=(region &&other) noexcept
    {
        region old(std::move(other));

        swap(old);
        return *this;
    }

    ~region() { (void)xvm_release(&handle_); }

    /* Without exceptions; what it held is released before, and kept where that is refused. */
    xvm_status reserve(size_t size, const xvm_reserve_options &options = {}) noexcept
    {
        xvm_status status = release();

        return status == XVM_OK ? xvm_reserve(&handle_, size, &options) : status;
    }

    xvm_status release() noexcept { return xvm_release(&handle_); }

    /* Gives the handle away: the caller releases it. */
    [[nodiscard]] xvm_region detach() noexcept { return std::exchange(handle_, xvm_region()); }

    void swap(region &other) noexcept { std::swap(handle_, other.handle_); }

    explicit operator bool() const noexcept { return handle_.base != nullptr; }

    xvm_region *get() noexcept { return &handle_; }

    const xvm_region *get() const noexcept { return &handle_; }

    void *base() const noexcept { return handle_.base; }

    size_t size() const noexcept { return handle_.size; }

    [[nodiscard]] xvm_status commit(size_t offset, size_t size) noexcept
    {
        return xvm_commit(&handle_, offset, size);
    }

    xvm_status decommit(size_t offset, size_t size) noexcept
    {
        return xvm_decommit(&handle_, offset, size);
    }

    xvm_status discard(size_t offset, size_t size,
                       xvm_discard_mode mode = XVM_DISCARD_ZERO) noexcept
    {
        return xvm_discard(&handle_, offset, size, mode);
    }

    xvm_status discard_ranges(const xvm_range *ranges, size_t count,
                              xvm_discard_mode mode = XVM_DISCARD_ZERO) noexcept
    {
        return xvm_discard_ranges(&handle_, ranges, count, mode);
    }

    [[nodiscard]] xvm_status move(size_t to, size_t from, size_t size) noexcept
    {
        return xvm_move(&handle_, to, from, size);
    }

    [[nodiscard]] xvm_status guard(size_t offset, size_t size) noexcept
    {
        return xvm_guard(&handle_, offset, size);
    }

    [[nodiscard]] xvm_status protect(size_t offset, size_t size, xvm_protection protection) noexcept
    {
        return xvm_protect(&handle_, offset, size, protection);
    }

    xvm_status flush_code(size_t offset, size_t size) noexcept
    {
        return xvm_flush_code(&handle_, offset, size);
    }

    [[nodiscard]] xvm_status lock(size_t offset, size_t size) noexcept
    {
        return xvm_lock(&handle_, offset, size);
    }

    xvm_status unlock(size_t offset, size_t size) noexcept
    {
        return xvm_unlock(&handle_, offset, size);
    }

    [[nodiscard]] xvm_status prefault(size_t offset, size_t size) noexcept
    {
        return xvm_prefault(&handle_, offset, size);
    }

    xvm_status advise(size_t offset, size_t size, xvm_advice advice) noexcept
    {
        return xvm_advise(&handle_, offset, size, advice);
    }

    size_t commit_unit() const noexcept { return xvm_commit_unit(&handle_); }

    xvm_huge huge() const noexcept { return xvm_region_huge(&handle_); }

    xvm_usage usage() const noexcept
    {
        xvm_usage u;

        xvm_region_usage(&handle_, &u);
        return u;
    }

  private:
    xvm_region handle_ = {};
};

inline void swap(region &a, region &b) noexcept
{
    a.swap(b);
}

/* --- heap ------------------------------------------------------------------------------------- */

/* A heap; its calls are those of heap.h. */
class heap
{
  public:
    heap() noexcept = default; /* holds nothing */

    /* With this cap for all of it, 0 the default one. Throws where xvm_heap_create fails. */
    explicit heap(size_t max_size)
    {
        xvm_heap_options options = {};

        options.max_size = max_size;
        detail::must(create(options));
    }

    explicit heap(const xvm_heap_options &options) { detail::must(create(options)); }

    /* All of a region, that must stay where it is and outlive the heap. */
    explicit heap(region &in, const xvm_heap_options &options = {})
    {
        detail::must(create(in, options));
    }

    heap(heap &&other) noexcept : heap_(std::exchange(other.heap_, nullptr)) {}

    heap &operator=(heap &&other) noexcept
    {
        heap old(std::move(other));

        swap(old);
        return *this;
    }

    ~heap() { xvm_heap_destroy(heap_); }

    /* Without exceptions; the heap that it held is gone in any case. */
    xvm_status create(const xvm_heap_options &options = {}) noexcept
    {
        reset();
        return xvm_heap_create(&heap_, &options);
    }

    xvm_status create(region &in, const xvm_heap_options &options = {}) noexcept
    {
        reset();
        return xvm_heap_create_in(&heap_, in.get(), &options);
    }

    void reset() noexcept { xvm_heap_destroy(std::exchange(heap_, nullptr)); }

    void swap(heap &other) noexcept { std::swap(heap_, other.heap_); }

    explicit operator bool() const noexcept { return heap_ != nullptr; }

    xvm_heap *get() const noexcept { return heap_; }

    [[nodiscard]] void *alloc(size_t size) noexcept { return xvm_heap_alloc(heap_, size); }

    [[nodiscard]] void *alloc_zeroed(size_t count, size_t size) noexcept
    {
        return xvm_heap_alloc_zeroed(heap_, count, size);
    }

    [[nodiscard]] void *alloc_aligned(size_t size, size_t alignment) noexcept
    {
        return xvm_heap_alloc_aligned(heap_, size, alignment);
    }

    [[nodiscard]] void *realloc(void *block, size_t size) noexcept
    {
        return xvm_heap_realloc(heap_, block, size);
    }

    void free(void *block) noexcept { xvm_heap_free(heap_, block); }

    size_t usable_size(const void *block) const noexcept
    {
        return xvm_heap_usable_size(heap_, block);
    }

    bool owns(const void *address) const noexcept { return xvm_heap_owns(heap_, address); }

    void clear() noexcept { xvm_heap_clear(heap_); }

    size_t trim(size_t keep = 0) noexcept
    {
        return heap_ != nullptr ? xvm_heap_trim(heap_, keep) : 0;
    }

    xvm_heap_stats stats() const noexcept
    {
        xvm_heap_stats s;

        xvm_heap_get_stats(heap_, &s);
        return s;
    }

    size_t report(xvm_format format, char *text, size_t capacity) const noexcept
    {
        return xvm_heap_report(heap_, format, text, capacity);
    }

    xvm_status check() const noexcept { return xvm_heap_check(heap_); }

    xvm_status walk(xvm_block_visitor visit, void *context) noexcept
    {
        return xvm_heap_walk(heap_, visit, context);
    }

  private:
    xvm_heap *heap_ = nullptr;
};

inline void swap(heap &a, heap &b) noexcept
{
    a.swap(b);
}

/* --- arena ------------------------------------------------------------------------------------ */

/* An arena; its calls are those of arena.h. It stays where it is. */
class arena
{
  public:
    arena() noexcept = default; /* holds nothing */

    /* Throws where xvm_arena_create fails. */
    explicit arena(size_t max_size, const xvm_arena_options &options = {})
    {
        detail::must(xvm_arena_create(&arena_, max_size, &options));
    }

    arena(const arena &) = delete;
    arena &operator=(const arena &) = delete;

    ~arena() { reset(); }

    /* Without exceptions; what it held is gone in any case. */
    xvm_status create(size_t max_size, const xvm_arena_options &options = {}) noexcept
    {
        reset();
        return xvm_arena_create(&arena_, max_size, &options);
    }

    void reset() noexcept { xvm_arena_destroy(&arena_); }

    explicit operator bool() const noexcept { return arena_.memory.base != nullptr; }

    xvm_arena *get() noexcept { return &arena_; }

    [[nodiscard]] void *alloc(size_t size, size_t alignment = 0) noexcept
    {
        return xvm_arena_alloc(&arena_, size, alignment);
    }

    [[nodiscard]] void *alloc_zeroed(size_t size, size_t alignment = 0) noexcept
    {
        return xvm_arena_alloc_zeroed(&arena_, size, alignment);
    }

    bool extend(void *block, size_t old_size, size_t new_size) noexcept
    {
        return xvm_arena_extend(&arena_, block, old_size, new_size);
    }

    char *copy_text(const char *text, size_t length) noexcept
    {
        return xvm_arena_copy_text(&arena_, text, length);
    }

    size_t used() const noexcept { return xvm_arena_used(&arena_); }

    size_t mark() const noexcept { return xvm_arena_mark(&arena_); }

    xvm_status rewind(size_t mark) noexcept { return xvm_arena_rewind(&arena_, mark); }

    void clear() noexcept { xvm_arena_clear(&arena_); }

    size_t trim() noexcept { return xvm_arena_trim(&arena_); }

    xvm_status check() const noexcept { return xvm_arena_check(&arena_); }

  private:
    xvm_arena arena_ = {};
};

/* What is handed out while it lives is taken back when it ends, however it is left. */
class arena_scope
{
  public:
    explicit arena_scope(xvm_arena *in) noexcept : scope_(xvm_arena_scope_begin(in)) {}

    explicit arena_scope(arena &in) noexcept : arena_scope(in.get()) {}

    arena_scope(const arena_scope &) = delete;
    arena_scope &operator=(const arena_scope &) = delete;

    ~arena_scope() { (void)xvm_arena_scope_end(&scope_); }

    xvm_arena *get() const noexcept { return scope_.arena; }

  protected:
    explicit arena_scope(xvm_arena_scope scope) noexcept : scope_(scope) {}

  private:
    xvm_arena_scope scope_;
};

/* A scope in an arena of this thread that is none of those given: xvm_scratch. get() is NULL where
 * that fails. */
class scratch : public arena_scope
{
  public:
    explicit scratch(std::initializer_list<xvm_arena *> conflicts = {}) noexcept
        : arena_scope(
              xvm_scratch(conflicts.size() != 0 ? conflicts.begin() : nullptr, conflicts.size()))
    {
    }
};

/* --- pool ------------------------------------------------------------------------------------- */

/* A pool; its calls are those of pool.h. It stays where it is. */
class pool
{
  public:
    pool() noexcept = default; /* holds nothing */

    /* Throws where xvm_pool_create fails. */
    pool(size_t block_size, size_t alignment, size_t max_blocks,
         const xvm_pool_options &options = {})
    {
        detail::must(xvm_pool_create(&pool_, block_size, alignment, max_blocks, &options));
    }

    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;

    ~pool() { reset(); }

    /* Without exceptions; what it held is gone in any case. */
    xvm_status create(size_t block_size, size_t alignment, size_t max_blocks,
                      const xvm_pool_options &options = {}) noexcept
    {
        reset();
        return xvm_pool_create(&pool_, block_size, alignment, max_blocks, &options);
    }

    void reset() noexcept { xvm_pool_destroy(&pool_); }

    explicit operator bool() const noexcept { return pool_.base != nullptr; }

    xvm_pool *get() noexcept { return &pool_; }

    /* Named as in C, get_block being xvm_pool_get: get() is the handle in all owners. */
    [[nodiscard]] void *get_block() noexcept { return xvm_pool_get(&pool_); }

    [[nodiscard]] void *get_zeroed() noexcept { return xvm_pool_get_zeroed(&pool_); }

    xvm_status put(void *block) noexcept { return xvm_pool_put(&pool_, block); }

    size_t index(const void *block) const noexcept { return xvm_pool_index(&pool_, block); }

    bool owns(const void *address) const noexcept { return xvm_pool_owns(&pool_, address); }

    bool is_live(const void *block) const noexcept { return xvm_pool_is_live(&pool_, block); }

    void clear() noexcept { xvm_pool_clear(&pool_); }

    size_t trim() noexcept { return xvm_pool_trim(&pool_); }

    xvm_status check() const noexcept { return xvm_pool_check(&pool_); }

    xvm_pool_count counts() const noexcept
    {
        xvm_pool_count c;

        xvm_pool_counts(&pool_, &c);
        return c;
    }

    [[nodiscard]] xvm_pool_handle get_handle() noexcept { return xvm_pool_get_handle(&pool_); }

    xvm_pool_handle handle_of(const void *block) const noexcept
    {
        return xvm_pool_handle_of(&pool_, block);
    }

    void *resolve(xvm_pool_handle handle) const noexcept
    {
        return xvm_pool_resolve(&pool_, handle);
    }

    xvm_status put_handle(xvm_pool_handle handle) noexcept
    {
        return xvm_pool_put_handle(&pool_, handle);
    }

  private:
    xvm_pool pool_ = {};
};

/* --- blocks of all three ---------------------------------------------------------------------- */

namespace detail
{

enum { USUAL_ALIGNMENT = 16 }; /* of every block of a heap */

/* Could a source ever hand out such a block? Only a pool could not. */
inline bool fits(const void *, size_t, size_t) noexcept
{
    return true;
}

inline bool fits(const xvm_pool *from, size_t size, size_t alignment) noexcept
{
    return size <= from->block_size &&
           ((from->stride | XVM_ADDRESS(from->base)) & (alignment - 1)) == 0;
}

inline void *take(xvm_heap *from, size_t size, size_t alignment) noexcept
{
    return alignment <= USUAL_ALIGNMENT ? xvm_heap_alloc(from, size)
                                        : xvm_heap_alloc_aligned(from, size, alignment);
}

inline void *take(xvm_arena *from, size_t size, size_t alignment) noexcept
{
    return xvm_arena_alloc(from, size, alignment);
}

inline void *take(xvm_pool *from, size_t size, size_t alignment) noexcept
{
    return fits(from, size, alignment) ? xvm_pool_get(from) : nullptr;
}

inline void give(xvm_heap *to, void *block) noexcept
{
    xvm_heap_free(to, block);
}

/* A mark that was made since must stay good: blocks go back with a rewind, not one by one. */
inline void give(xvm_arena *, void *) noexcept
{
}

inline void give(xvm_pool *to, void *block) noexcept
{
    (void)xvm_pool_put(to, block);
}

/* Why take gave nothing. */
inline xvm_status refusal(const void *, size_t, size_t) noexcept
{
    return xvm_last_status();
}

inline xvm_status refusal(const xvm_pool *from, size_t size, size_t alignment) noexcept
{
    return fits(from, size, alignment) ? xvm_last_status() : XVM_E_ADDRESS_SPACE;
}

/* The handle of C behind an owner, or given as it is. */
template <class Handle> Handle *raw(Handle *from) noexcept
{
    return from;
}

template <class Owner> auto raw(Owner &from) noexcept -> decltype(from.get())
{
    return from.get();
}

template <class From>
using source = std::remove_pointer_t<decltype(detail::raw(std::declval<From &>()))>;

/* Gives a block back unless it is kept: for what is built in it and may throw. */
template <class Source> class held
{
  public:
    held(Source *from, void *block) noexcept : from_(from), block_(block) {}

    held(const held &) = delete;
    held &operator=(const held &) = delete;

    ~held()
    {
        if (block_ != nullptr)
            give(from_, block_);
    }

    void keep() noexcept { block_ = nullptr; }

  private:
    Source *from_;
    void *block_;
};

} // namespace detail

/* A new T in a block of a heap, an arena or a pool, owner or handle of C; NULL when the block is
 * refused. What T's constructor throws goes through, and the block back. */
template <class T, class From, class... Args>
[[nodiscard]] T *try_make(From &&from,
                          Args &&...args) noexcept(std::is_nothrow_constructible_v<T, Args...>)
{
    auto *source = detail::raw(from);
    void *block = detail::take(source, sizeof(T), alignof(T));
    detail::held<std::remove_pointer_t<decltype(source)>> back(source, block);
    T *made = nullptr;

    if (block != nullptr)
        made = ::new (block) T(std::forward<Args>(args)...);
    back.keep();
    return made;
}

/* The same; throws when the block is refused. */
template <class T, class From, class... Args> [[nodiscard]] T *make(From &&from, Args &&...args)
{
    T *made = try_make<T>(from, std::forward<Args>(args)...);

    if (made == nullptr)
        detail::fail(detail::refusal(detail::raw(from), sizeof(T), alignof(T)));
    return made;
}

/* Ends a T and gives its block back; NULL is fine. In an arena only the former. */
template <class From, class T> void destroy(From &&from, T *made) noexcept
{
    if (made == nullptr)
        return;
    made->~T();
    detail::give(detail::raw(from), made);
}

/* --- allocators for containers ---------------------------------------------------------------- */

/* What containers of the standard library, and others, take as their allocator. It is a pointer: the
 * heap, arena or pool must outlive the container. Two are equal when they are over the same one; a
 * container that is moved or swapped takes its own along.
 *
 *     xvm::heap heap(64 << 20);
 *     std::vector<int, xvm::allocator<int>> numbers(heap);
 *     std::map<int, int, std::less<>, xvm::allocator<std::pair<const int, int>>> map(heap);
 *     std::vector<int, xvm::allocator<int, xvm_arena>> for_this_frame(arena);
 *
 * Threads as those of the source: a heap any, an arena one. A pool serves containers with nodes that
 * fit into its blocks (std::list, std::set, std::map). */
template <class T, class Source = xvm_heap> class allocator
{
  public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::false_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    allocator(Source *source) noexcept : source_(source) {}

    template <class Owner, class = std::enable_if_t<std::is_same_v<detail::source<Owner>, Source> &&
                                                    !std::is_pointer_v<Owner>>>
    allocator(Owner &owner) noexcept : source_(owner.get())
    {
    }

    template <class U>
    allocator(const allocator<U, Source> &other) noexcept : source_(other.source())
    {
    }

    [[nodiscard]] T *allocate(size_t count)
    {
        void *block = nullptr;

        if (count > SIZE_MAX / sizeof(T))
            detail::fail(XVM_E_ADDRESS_SPACE);
        block = detail::take(source_, count * sizeof(T), alignof(T));
        if (block == nullptr)
            detail::fail(detail::refusal(source_, count * sizeof(T), alignof(T)));
        return static_cast<T *>(block);
    }

    void deallocate(T *block, size_t) noexcept { detail::give(source_, block); }

    Source *source() const noexcept { return source_; }

  private:
    Source *source_;
};

template <class T, class U, class Source>
bool operator==(const allocator<T, Source> &a, const allocator<U, Source> &b) noexcept
{
    return a.source() == b.source();
}

template <class T, class U, class Source>
bool operator!=(const allocator<T, Source> &a, const allocator<U, Source> &b) noexcept
{
    return a.source() != b.source();
}

#ifdef __cpp_lib_memory_resource
/* The same for containers of std::pmr.
 *
 *     xvm::resource resource(heap);
 *     std::pmr::unordered_map<int, std::pmr::string> names(&resource);
 *
 * A pool has blocks of one size: what no block is large enough for is asked of upstream, which
 * refuses when there is none. That all blocks are out is a refusal. */
template <class Source> class resource final : public std::pmr::memory_resource
{
  public:
    explicit resource(Source *source, std::pmr::memory_resource *upstream = nullptr) noexcept
        : source_(source), upstream_(upstream)
    {
    }

    template <class Owner, class = std::enable_if_t<std::is_same_v<detail::source<Owner>, Source> &&
                                                    !std::is_pointer_v<Owner>>>
    explicit resource(Owner &owner, std::pmr::memory_resource *upstream = nullptr) noexcept
        : resource(owner.get(), upstream)
    {
    }

    resource(const resource &) = delete;
    resource &operator=(const resource &) = delete;

    Source *source() const noexcept { return source_; }

  private:
    bool goes_up(size_t size, size_t alignment) const noexcept
    {
        return upstream_ != nullptr && !detail::fits(source_, size, alignment);
    }

    void *do_allocate(size_t size, size_t alignment) override
    {
        void *block = nullptr;

        if (goes_up(size, alignment))
            return upstream_->allocate(size, alignment);
        block = detail::take(source_, size, alignment);
        if (block == nullptr)
            detail::fail(detail::refusal(source_, size, alignment));
        return block;
    }

    void do_deallocate(void *block, size_t size, size_t alignment) override
    {
        if (goes_up(size, alignment))
            upstream_->deallocate(block, size, alignment);
        else
            detail::give(source_, block);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        if (this == &other)
            return true;
#ifdef __cpp_rtti
        const resource *same = dynamic_cast<const resource *>(&other);

        return same != nullptr && same->source_ == source_ && same->upstream_ == upstream_;
#else
        return false;
#endif
    }

    Source *source_;
    std::pmr::memory_resource *upstream_;
};

template <class Owner, class = std::enable_if_t<!std::is_pointer_v<Owner>>>
resource(Owner &) -> resource<detail::source<Owner>>;
template <class Owner, class = std::enable_if_t<!std::is_pointer_v<Owner>>>
resource(Owner &, std::pmr::memory_resource *) -> resource<detail::source<Owner>>;
#endif

/* --- vector ----------------------------------------------------------------------------------- */

/* How far a vector can grow, and how: what a container has its allocator for.
 *
 * count    elements at most; 0 = as many as 16 GiB hold, where addresses are 32 bits 16 MiB, or a
 *          64th of that where the system has no such hole; in a part of a region what is left of it
 * growth   steps, budget, name, huge pages, or a part of a region. Without XVM_GROWTH_KEEP memory
 *          goes back with reluctance as elements are taken out, and with it what reserve promised */
struct limit {
    size_t count = 0;
    xvm_growth_options growth = keeping();

    static xvm_growth_options keeping() noexcept
    {
        xvm_growth_options growth = {};

        growth.flags = XVM_GROWTH_KEEP;
        return growth;
    }
};

/* xvm::vector<float> heights(xvm::at_most(1000000)); */
inline limit at_most(size_t count) noexcept
{
    limit most;

    most.count = count;
    return most;
}

inline limit at_most(size_t count, const xvm_growth_options &growth) noexcept
{
    limit most;

    most.count = count;
    most.growth = growth;
    return most;
}

/* Is a T() all zero bytes? Then new ones need not be written: fresh memory is zero. Specialise it for
 * types of your own. */
template <class T>
inline constexpr bool zero_is_value = std::is_scalar_v<T> && !std::is_member_pointer_v<T>;

#ifdef __cpp_lib_containers_ranges
using std::from_range;
using std::from_range_t;
#else
struct from_range_t {
    explicit from_range_t() = default;
};
inline constexpr from_range_t from_range = from_range_t();
#endif

namespace detail
{

template <class It> using category = typename std::iterator_traits<It>::iterator_category;

template <class It>
using if_input = std::enable_if_t<std::is_convertible_v<category<It>, std::input_iterator_tag>>;

template <class It, class = void> inline constexpr bool is_forward = false;
template <class It>
inline constexpr bool is_forward<It, std::void_t<category<It>>> =
    std::is_convertible_v<category<It>, std::forward_iterator_tag>;

/* The same value so many times. */
template <class T> class repeated
{
  public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = ptrdiff_t;
    using pointer = const T *;
    using reference = const T &;

    repeated() noexcept = default;

    repeated(const T *value, size_t index) noexcept : value_(value), index_(index) {}

    const T &operator*() const noexcept { return *value_; }

    const T *operator->() const noexcept { return value_; }

    repeated &operator++() noexcept
    {
        ++index_;
        return *this;
    }

    repeated operator++(int) noexcept
    {
        repeated old = *this;

        ++index_;
        return old;
    }

    friend bool operator==(const repeated &a, const repeated &b) noexcept
    {
        return a.index_ == b.index_;
    }

    friend bool operator!=(const repeated &a, const repeated &b) noexcept
    {
        return a.index_ != b.index_;
    }

  private:
    const T *value_ = nullptr;
    size_t index_ = 0;
};

/* a < b, a > b or neither, for elements that may have no <=>. */
#ifdef __cpp_lib_three_way_comparison
struct three_way {
    template <class T> constexpr auto operator()(const T &a, const T &b) const
    {
        if constexpr (std::three_way_comparable<T>)
            return a <=> b;
        else
            return a < b   ? std::weak_ordering::less
                   : b < a ? std::weak_ordering::greater
                           : std::weak_ordering::equivalent;
    }
};
#endif

} // namespace detail

/* std::vector's interface over an xvm_array: no element ever moves because of growth.
 *
 *     data        size               capacity                      max_size
 *     | elements | room, committed   | addresses only ........... |
 *
 *   1  Pointers, references and iterators to an element hold until it is taken out, or moved by an
 *      insert or an erase before it; end() changes with the size. data() is NULL until there was
 *      the first element or reserve, and then the same until the end; a vector that is moved or
 *      swapped takes its elements along, where they are.
 *   2  Growth never copies and never needs the old and the new memory at a time: there is no
 *      reallocation, so elements need no move constructor to be added at the end.
 *   3  Guarantees after an exception are those of std::vector; what is added at the end, by any call,
 *      is there as a whole or not at all. Values given may be elements of the same vector.
 *   4  One thread changes it. While it only adds at the end, others may read elements below
 *      published_size(); they begin when there has been an element, or a reserve.
 *
 * The maximum is the limit that a constructor takes last, where std::vector has its allocator. A copy
 * has the same limit, in a region of its own. T's alignment may be up to the page size. */
template <class T> class vector
{
    static_assert(std::is_same_v<T, std::remove_cv_t<T>>, "elements are no const or volatile type");

  public:
    using value_type = T;
    using size_type = size_t;
    using difference_type = ptrdiff_t;
    using reference = T &;
    using const_reference = const T &;
    using pointer = T *;
    using const_pointer = const T *;
    using iterator = T *;
    using const_iterator = const T *;
    using reverse_iterator = std::reverse_iterator<iterator>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    /* --- making and ending: nothing is reserved before the first element --- */

    vector() noexcept = default;

    explicit vector(const limit &most) noexcept : limit_(most) {}

    explicit vector(size_t count, const limit &most = limit()) : vector(most) { resize(count); }

    vector(size_t count, const T &value, const limit &most = limit()) : vector(most)
    {
        append_copies(count, value);
    }

    template <class It, class = detail::if_input<It>>
    vector(It first, It last, const limit &most = limit()) : vector(most)
    {
        append(first, last);
    }

    vector(std::initializer_list<T> values, const limit &most = limit()) : vector(most)
    {
        append(values.begin(), values.end());
    }

    template <class Range>
    vector(from_range_t, Range &&range, const limit &most = limit()) : vector(most)
    {
        append_range(std::forward<Range>(range));
    }

    vector(const vector &other) : vector(other.limit_elsewhere())
    {
        append(other.begin(), other.end());
    }

    vector(const vector &other, const limit &most) : vector(most)
    {
        append(other.begin(), other.end());
    }

    vector(vector &&other) noexcept : array_(other.array_), limit_(other.limit_)
    {
        other.array_ = xvm_array();
        other.limit_ = other.limit_elsewhere(); /* its place is taken */
    }

    ~vector()
    {
        std::destroy(begin(), end());
        xvm_array_destroy(&array_);
    }

    /* Keeps its own limit, and where it lies. */
    vector &operator=(const vector &other)
    {
        if (this != &other)
            assign(other.begin(), other.end());
        return *this;
    }

    vector &operator=(vector &&other) noexcept
    {
        vector old(std::move(other));

        swap(old);
        return *this;
    }

    vector &operator=(std::initializer_list<T> values)
    {
        assign(values.begin(), values.end());
        return *this;
    }

    void swap(vector &other) noexcept
    {
        std::swap(array_, other.array_);
        std::swap(limit_, other.limit_);
    }

    /* --- looking --- */

    T *data() noexcept { return static_cast<T *>(array_.data); }

    const T *data() const noexcept { return static_cast<const T *>(array_.data); }

    size_t size() const noexcept { return array_.count; }

    /* For threads that read while another one adds at the end: all below has been written. */
    size_t published_size() const noexcept { return xvm_array_count(&array_); }

    [[nodiscard]] bool empty() const noexcept { return array_.count == 0; }

    size_t capacity() const noexcept { return array_.capacity; }

    size_t max_size() const noexcept
    {
        return array_.data != nullptr ? array_.max_count
               : limit_.count != 0    ? limit_.count
                                      : usual();
    }

    T &operator[](size_t index) noexcept { return data()[index]; }

    const T &operator[](size_t index) const noexcept { return data()[index]; }

    T &at(size_t index)
    {
        if (index >= size())
            detail::fail_index();
        return data()[index];
    }

    const T &at(size_t index) const
    {
        if (index >= size())
            detail::fail_index();
        return data()[index];
    }

    T &front() noexcept { return data()[0]; }

    const T &front() const noexcept { return data()[0]; }

    T &back() noexcept { return data()[size() - 1]; }

    const T &back() const noexcept { return data()[size() - 1]; }

    iterator begin() noexcept { return data(); }

    const_iterator begin() const noexcept { return data(); }

    const_iterator cbegin() const noexcept { return data(); }

    iterator end() noexcept { return data() + size(); }

    const_iterator end() const noexcept { return data() + size(); }

    const_iterator cend() const noexcept { return data() + size(); }

    reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }

    const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }

    const_reverse_iterator crbegin() const noexcept { return const_reverse_iterator(end()); }

    reverse_iterator rend() noexcept { return reverse_iterator(begin()); }

    const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

    const_reverse_iterator crend() const noexcept { return const_reverse_iterator(begin()); }

    /* --- without exceptions: false or NULL, nothing changed, and xvm_last_status() says why.
     *     What T's constructors throw goes through --- */

    /* After it nothing is refused up to that size. */
    [[nodiscard]] bool try_reserve(size_t count) noexcept
    {
        return count <= capacity() || (has_begun() && xvm_array_ensure(&array_, count));
    }

    template <class... Args>
    T *try_emplace_back(Args &&...args) noexcept(std::is_nothrow_constructible_v<T, Args...>)
    {
        size_t count = array_.count;
        T *at = room_for_one(is_plain<Args...>);

        if (at != nullptr)
            store(at, count, std::forward<Args>(args)...);
        return at;
    }

    T *try_push_back(const T &value) noexcept(std::is_nothrow_copy_constructible_v<T>)
    {
        return try_emplace_back(value);
    }

    T *try_push_back(T &&value) noexcept(std::is_nothrow_move_constructible_v<T>)
    {
        return try_emplace_back(std::move(value));
    }

    [[nodiscard]] bool try_resize(size_t count) noexcept(std::is_nothrow_default_constructible_v<T>)
    {
        if (count > size())
            return append_values(count - size());
        shorten(count);
        return true;
    }

    /* --- room --- */

    void reserve(size_t count)
    {
        if (!try_reserve(count))
            refuse(count);
    }

    /* Gives back all memory behind the elements. */
    void trim() noexcept { xvm_array_trim(&array_); }

    void shrink_to_fit() noexcept { trim(); }

    void resize(size_t count)
    {
        if (!try_resize(count))
            refuse(count);
    }

    void resize(size_t count, const T &value)
    {
        if (count > size())
            append_copies(count - size(), value);
        else
            shorten(count);
    }

    /* Keeps what is committed, as std::vector does; see limit::growth. */
    void clear() noexcept { shorten(0); }

    /* --- at the end --- */

    template <class... Args> T &emplace_back(Args &&...args)
    {
        size_t count = array_.count;
        T *at = room_for_one(is_plain<Args...>);

        if (!XVM_ARRAY_USUAL_(at != nullptr))
            refuse(count + 1);
        return store(at, count, std::forward<Args>(args)...);
    }

    void push_back(const T &value) { emplace_back(value); }

    void push_back(T &&value) { emplace_back(std::move(value)); }

    void pop_back() noexcept
    {
        std::destroy_at(data() + size() - 1);
        xvm_array_pop(&array_, 1);
    }

    template <class Range> void append_range(Range &&range)
    {
        using std::begin;
        using std::end;

        append(begin(range), end(range));
    }

    /* --- anywhere --- */

    template <class... Args> iterator emplace(const_iterator where, Args &&...args)
    {
        size_t index = index_of(where);

        if (index == size())
            return std::addressof(emplace_back(std::forward<Args>(args)...));
        return insert_one(index, T(std::forward<Args>(args)...)); /* it may be made of what moves */
    }

    iterator insert(const_iterator where, const T &value) { return emplace(where, value); }

    iterator insert(const_iterator where, T &&value) { return emplace(where, std::move(value)); }

    iterator insert(const_iterator where, size_t count, const T &value)
    {
        size_t index = index_of(where);
        T copy(value); /* it may be one of those that move */

        insert_all(index, detail::repeated<T>(std::addressof(copy), 0),
                   detail::repeated<T>(std::addressof(copy), count), count);
        return begin() + index;
    }

    template <class It, class = detail::if_input<It>>
    iterator insert(const_iterator where, It first, It last)
    {
        size_t index = index_of(where);

        if constexpr (detail::is_forward<It>)
            insert_all(index, first, last, static_cast<size_t>(std::distance(first, last)));
        else
            insert_each(index, first, last);
        return begin() + index;
    }

    iterator insert(const_iterator where, std::initializer_list<T> values)
    {
        return insert(where, values.begin(), values.end());
    }

    template <class Range> iterator insert_range(const_iterator where, Range &&range)
    {
        using std::begin;
        using std::end;
        size_t index = index_of(where);

        insert_from(index, begin(range), end(range));
        return data() + index;
    }

    iterator erase(const_iterator where) { return erase(where, where + 1); }

    iterator erase(const_iterator first, const_iterator last)
    {
        T *gap = begin() + index_of(first), *rest = begin() + index_of(last);

        if (gap != rest)
            shorten(static_cast<size_t>(std::move(rest, end(), gap) - data()));
        return gap;
    }

    /* --- all of it --- */

    template <class It, class = detail::if_input<It>> void assign(It first, It last)
    {
        if constexpr (detail::is_forward<It>)
            need(static_cast<size_t>(std::distance(first, last)));
        T *at = begin();

        for (; at != end() && first != last; ++at, ++first)
            *at = *first;
        shorten(static_cast<size_t>(at - begin()));
        append(first, last);
    }

    void assign(size_t count, const T &value)
    {
        T copy(value);
        size_t kept = count < size() ? count : size();

        need(count);
        std::fill_n(begin(), kept, copy);
        shorten(kept);
        append_copies(count - kept, copy);
    }

    void assign(std::initializer_list<T> values) { assign(values.begin(), values.end()); }

    template <class Range> void assign_range(Range &&range)
    {
        using std::begin;
        using std::end;
        auto first = begin(range);
        auto last = end(range);
        T *at = data();

        for (; at != data() + size() && first != last; ++at, ++first)
            *at = *first;
        shorten(static_cast<size_t>(at - data()));
        append(std::move(first), last);
    }

    /* --- below --- */

    limit get_limit() const noexcept { return limit_; }

    /* The array of C that it is made of; its calls that copy or take out elements are for types that
     * memcpy may copy. */
    xvm_array *array() noexcept { return &array_; }

    const xvm_array *array() const noexcept { return &array_; }

  private:
    static constexpr size_t USUAL = sizeof(void *) > 4 ? static_cast<size_t>(UINT64_C(1) << 34)
                                                       : static_cast<size_t>(1) << 24;
    enum {
        FEWER = 6,
        LEAST = 1 << 16
    }; /* where there is no such hole: by which shift, and bytes */

    /* Nothing is left half written behind the elements. */
    template <class... Args>
    static constexpr bool is_plain = std::is_nothrow_constructible_v<T, Args...>;

    /* Where no limit was given: all of a region's part, or what is enough for nearly everything. */
    size_t usual() const noexcept
    {
        const xvm_growth_options &g = limit_.growth;
        size_t size = g.region == nullptr         ? USUAL
                      : g.offset < g.region->size ? g.region->size - g.offset
                                                  : 0;

        return size >= sizeof(T) ? size / sizeof(T) : 1;
    }

    limit limit_elsewhere() const noexcept
    {
        limit most = limit_;

        most.growth.region = nullptr;
        most.growth.offset = 0;
        return most;
    }

    size_t index_of(const_iterator where) const noexcept
    {
        return static_cast<size_t>(where - begin());
    }

    /* Addresses, before the first element. */
    xvm_status start() noexcept
    {
        xvm_array_options options = {};
        size_t count = max_size();
        xvm_status status = XVM_E_UNSUPPORTED;

        if (alignof(T) > xvm_page_size())
            return status;
        options.growth = limit_.growth;
        for (;; count >>= FEWER) {
            status = xvm_array_create(&array_, sizeof(T), count, &options);
            if (status != XVM_E_ADDRESS_SPACE || limit_.count != 0 ||
                (count >> FEWER) * sizeof(T) < LEAST)
                return status;
        }
    }

    bool has_begun() noexcept { return array_.data != nullptr || start() == XVM_OK; }

    /* So many did not fit. */
    [[noreturn]] void refuse(size_t count) const
    {
        if (count > max_size())
            detail::fail_length();
        detail::fail(alignof(T) > xvm_page_size() ? XVM_E_UNSUPPORTED : xvm_last_status());
    }

    /* Room for so many more, which is not 0; or NULL. */
    __attribute__((noinline)) T *more_room(size_t count) noexcept
    {
        return has_begun() ? static_cast<T *>(xvm_array_prepare(&array_, count)) : nullptr;
    }

    /* What may be left half written counts as touched: see rule 4 of array.h. */
    T *room_for_one(bool plain) noexcept
    {
        size_t end = (array_.count + 1) * sizeof(T);

        if (!XVM_ARRAY_USUAL_(array_.count < array_.own.open))
            return more_room(1);
        if (!plain && array_.growth.touched < end)
            array_.growth.touched = end;
        return data() + array_.count;
    }

    T *room(size_t count)
    {
        T *at = more_room(count);

        if (at == nullptr)
            refuse(count <= SIZE_MAX - size() ? size() + count : SIZE_MAX);
        return at;
    }

    /* That so many fit in all. */
    void need(size_t count)
    {
        if (count > size())
            (void)room(count - size());
    }

    /* The count was read before: what is stored may seem to change it. */
    template <class... Args> T &store(T *at, size_t count, Args &&...args)
    {
        T *made = ::new (static_cast<void *>(at)) T(std::forward<Args>(args)...);

        __atomic_store_n(&array_.count, count + 1, __ATOMIC_RELEASE);
        return *made;
    }

    void shorten(size_t count) noexcept
    {
        size_t gone = size() - count;

        if (gone == 0)
            return;
        std::destroy(begin() + count, end());
        xvm_array_pop(&array_, gone);
    }

    /* New T(), not 0 of them. */
    bool append_values(size_t count) noexcept(std::is_nothrow_default_constructible_v<T>)
    {
        if constexpr (zero_is_value<T>) {
            return has_begun() && xvm_array_append(&array_, nullptr, count) != nullptr;
        } else {
            T *at = more_room(count);

            if (at == nullptr)
                return false;
            std::uninitialized_value_construct_n(at, count);
            (void)xvm_array_publish(&array_, count);
            return true;
        }
    }

    void append_copies(size_t count, const T &value)
    {
        if (count == 0)
            return;
        std::uninitialized_fill_n(room(count), count, value);
        (void)xvm_array_publish(&array_, count);
    }

    template <class It> void append_counted(It first, size_t count)
    {
        if (count == 0)
            return;
        std::uninitialized_copy_n(first, count, room(count));
        (void)xvm_array_publish(&array_, count);
    }

    /* Takes off what was added when not all could be. */
    class attempt
    {
      public:
        explicit attempt(vector *at) noexcept : at_(at), count_(at->size()) {}

        attempt(const attempt &) = delete;
        attempt &operator=(const attempt &) = delete;

        ~attempt()
        {
            if (at_ != nullptr)
                at_->shorten(count_);
        }

        void keep() noexcept { at_ = nullptr; }

      private:
        vector *at_;
        size_t count_;
    };

    template <class It, class End> void append(It first, End last)
    {
        if constexpr (std::is_same_v<It, End> && detail::is_forward<It>) {
            append_counted(first, static_cast<size_t>(std::distance(first, last)));
        } else {
            attempt all(this);

            for (; first != last; ++first)
                emplace_back(*first);
            all.keep();
        }
    }

    /* Before one that is there. */
    iterator insert_one(size_t index, T &&value)
    {
        T *at = begin() + index, *old_end = end();

        emplace_back(std::move(*(old_end - 1)));
        std::move_backward(at, old_end - 1, old_end);
        *at = std::move(value);
        return at;
    }

    /* Each step leaves as many elements as are counted:
     *     | before | rest .......... |                 | before | new ..... | rest .... |      */
    template <class It> void insert_all(size_t index, It first, It last, size_t count)
    {
        size_t rest = size() - index;

        if (rest == 0) {
            append_counted(first, count);
        } else if (count != 0) {
            T *old_end = room(count), *at = begin() + index;

            if (count < rest)
                insert_few(at, old_end, first, last, count);
            else
                insert_many(at, old_end, first, last, rest);
        }
    }

    template <class It> void insert_few(T *at, T *old_end, It first, It last, size_t count)
    {
        std::uninitialized_move(old_end - count, old_end, old_end);
        (void)xvm_array_publish(&array_, count);
        std::move_backward(at, old_end - count, old_end);
        std::copy(first, last, at);
    }

    template <class It> void insert_many(T *at, T *old_end, It first, It last, size_t rest)
    {
        It middle = std::next(first, static_cast<ptrdiff_t>(rest));
        T *moved = std::uninitialized_copy(middle, last, old_end);

        (void)xvm_array_publish(&array_, static_cast<size_t>(moved - old_end));
        std::uninitialized_move(at, old_end, moved);
        (void)xvm_array_publish(&array_, rest);
        std::copy(first, middle, at);
    }

    /* Of what can be read once only: to the end, and then to its place. */
    template <class It, class End> void insert_each(size_t index, It first, End last)
    {
        size_t old_size = size();

        append(std::move(first), last);
        std::rotate(begin() + index, begin() + old_size, end());
    }

    template <class It, class End> void insert_from(size_t index, It first, End last)
    {
        if constexpr (std::is_same_v<It, End> && detail::is_forward<It>)
            insert_all(index, first, last, static_cast<size_t>(std::distance(first, last)));
        else
            insert_each(index, std::move(first), last);
    }

    xvm_array array_ = {};
    limit limit_;
};

template <class It, class = detail::if_input<It>>
vector(It, It, limit = limit()) -> vector<typename std::iterator_traits<It>::value_type>;

template <class T> void swap(vector<T> &a, vector<T> &b) noexcept
{
    a.swap(b);
}

template <class T> bool operator==(const vector<T> &a, const vector<T> &b)
{
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

#ifdef __cpp_lib_three_way_comparison
template <class T> auto operator<=>(const vector<T> &a, const vector<T> &b)
{
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end(),
                                                  detail::three_way());
}
#else
template <class T> bool operator!=(const vector<T> &a, const vector<T> &b)
{
    return !(a == b);
}

template <class T> bool operator<(const vector<T> &a, const vector<T> &b)
{
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

template <class T> bool operator>(const vector<T> &a, const vector<T> &b)
{
    return b < a;
}

template <class T> bool operator<=(const vector<T> &a, const vector<T> &b)
{
    return !(b < a);
}

template <class T> bool operator>=(const vector<T> &a, const vector<T> &b)
{
    return !(a < b);
}
#endif

/* Takes out all that are equal to a value, or that a predicate picks; how many those were. */
template <class T, class Predicate> size_t erase_if(vector<T> &from, Predicate picks)
{
    auto rest = std::remove_if(from.begin(), from.end(), picks);
    size_t count = static_cast<size_t>(from.end() - rest);

    from.erase(rest, from.end());
    return count;
}

template <class T, class U> size_t erase(vector<T> &from, const U &value)
{
    return xvm::erase_if(from, [&value](const T &element) { return element == value; });
}

} // namespace xvm

#endif

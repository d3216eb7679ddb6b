/* cpp.cpp - a small game in C++: entities that never move, names in a heap with a cap, a list for each
 * frame in an arena. docs/cpp.md quotes it.
 */
#include <cstdio>
#include <map>
#include <string>
#include <vector>
#include <xvm/xvm.hpp>

/* --- a vector --------------------------------------------------------------------------------- */

struct entity {
    float x, y;
    const entity *target; /* a pointer into the vector: it stays good */
};

static bool use_vector()
{
    xvm::vector<entity> entities(xvm::at_most(1000000)); /* addresses, no memory */
    const entity *first = &entities.emplace_back(entity{0, 0, nullptr});

    for (int i = 1; i < 100000; i++)
        entities.push_back({static_cast<float>(i), 0, first});
    std::printf("%zu entities, the first is where it was: %s\n", entities.size(),
                entities.back().target == entities.data() ? "yes" : "no");
    entities.erase(entities.begin() + 1, entities.end());
    entities.trim(); /* memory back, addresses kept */
    return first == &entities.front();
}

/* --- what can fail ---------------------------------------------------------------------------- */

static bool use_limits()
{
    bool refused = false;
    xvm::vector<int> few(xvm::at_most(3));

    while (few.try_push_back(1) != nullptr) {
        /* until there is no room: no exception */
    }
    std::printf("%zu fitted: %s\n", few.size(), xvm_status_text(xvm_last_status()));
    try {
        xvm::region too_much(SIZE_MAX - (1 << 20));
    } catch (const xvm::error &e) { /* a std::bad_alloc */
        std::printf("%s: %s\n", xvm_status_name(e.status()), e.what());
        refused = true;
    }
    return refused && few.size() == 3;
}

/* --- a heap ----------------------------------------------------------------------------------- */

template <class T> using in_heap = xvm::allocator<T>;
using text = std::basic_string<char, std::char_traits<char>, in_heap<char>>;

static bool use_heap()
{
    xvm::heap heap(4 << 20); /* no more than 4 MiB, whatever happens */
    std::map<int, text, std::less<>, in_heap<std::pair<const int, text>>> names(heap);

    try {
        for (int i = 0;; i++)
            names.emplace(i, text("somebody with quite a long name", heap));
    } catch (const std::bad_alloc &) {
        std::printf("%s\n", names.size() > 1000 ? "the heap is full, the rest of the program is not"
                                                : "what a small heap");
    }
    names.clear();
    return heap.stats().live_blocks == 0;
}

/* --- an arena, a pool, std::pmr --------------------------------------------------------------- */

static bool use_resources()
{
    xvm::arena arena(64 << 20);
    xvm::pool pool(128, 16, 1000);
    xvm::resource frame_memory(arena);
    xvm::resource nodes(pool);
    std::pmr::map<int, int> scores(&nodes);
    int visible = 0;

    for (int frame = 0; frame < 100; frame++) {
        xvm::arena_scope scope(arena); /* all of the frame goes at its end */
        std::pmr::vector<int> seen(&frame_memory);

        for (int i = 0; i < 1000; i++)
            seen.push_back(i);
        visible += static_cast<int>(seen.size());
        scores[frame] = visible;
    }
    std::printf("%d seen, %zu scores, %zu bytes of the arena in use\n", visible, scores.size(),
                arena.used());
    return arena.used() == 0 && pool.counts().live == scores.size();
}

/* --- a region --------------------------------------------------------------------------------- */

static bool use_region()
{
    xvm_reserve_options options = {};

    options.name = "level";
    xvm::region level(256 << 20, options); /* released at the end, however that is reached */
    if (level.commit(0, 1 << 20) != XVM_OK)
        return false;
    static_cast<char *>(level.base())[0] = 'x';

    xvm::region kept = std::move(level); /* the handle moves, the pages do not */
    return !level && static_cast<char *>(kept.base())[0] == 'x';
}

int main()
{
    return use_vector() && use_limits() && use_heap() && use_resources() && use_region() ? 0 : 1;
}

/* scratch.c - two arenas of each thread, for what is needed only in passing.
 *
 *     thread: | arena | arena |      a function that returns something in one of them uses the other
 *
 *   1  An arena is made when it is first wanted, and given back when its thread ends.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "os.h"
#include "xvm/arena.h"

enum {
    ARENAS = 2,
    MOST = sizeof(void *) > 4 ? 1 << 30 : 16 << 20, /* bytes of addresses for one */
    LEAST = 1 << 20
};

typedef struct scratch {
    xvm_arena arenas[ARENAS];
} scratch;

static_assert(sizeof(scratch) <= XVM_OS_THREAD_ROOM, "two arenas are what the room is for");

static void drop(void *room)
{
    scratch *s = room;

    for (size_t i = 0; i < ARENAS; i++)
        xvm_arena_destroy(&s->arenas[i]);
}

static bool is_among(const xvm_arena *arena, xvm_arena *const *conflicts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (conflicts[i] == arena)
            return true;
    return false;
}

/* Where addresses are scarce it is a smaller one. */
static xvm_status make(xvm_arena *arena)
{
    xvm_arena_options options = {.growth = {.name = "scratch"}};
    xvm_status status = XVM_E_ADDRESS_SPACE;

    for (size_t size = MOST; size >= LEAST && status == XVM_E_ADDRESS_SPACE; size /= 2)
        status = xvm_arena_create(arena, size, &options);
    return status;
}

static xvm_arena_scope refuse(xvm_status status)
{
    xvm_os_site site = {.call = "scratch", .own = true};

    (void)xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
    return (xvm_arena_scope){0};
}

xvm_arena_scope xvm_scratch(xvm_arena *const *conflicts, size_t count)
{
    scratch *s;

    if (conflicts == NULL && count != 0)
        return refuse(XVM_E_INVALID);
    s = xvm_os_thread_room(drop);
    if (s == NULL)
        return refuse(XVM_E_COMMIT_LIMIT);
    for (size_t i = 0; i < ARENAS; i++) {
        xvm_arena *arena = &s->arenas[i];

        if (is_among(arena, conflicts, count))
            continue;
        if (arena->memory.base == NULL && make(arena) != XVM_OK)
            return (xvm_arena_scope){0};
        return xvm_arena_scope_begin(arena);
    }
    return refuse(XVM_E_INVALID);
}

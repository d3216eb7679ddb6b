/* lua.c - Lua on a heap of its own, with a cap: a script that wants everything gets "not enough memory",
 * and it and the program go on.
 *
 *     lua_State --> on_heap --> xvm_heap_realloc, xvm_heap_free      one region of 16 MiB, gone in one piece
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include "guest.h"
#include <xvm/xvm.h>

enum { CAP = 16 << 20 };

/* What lua_newstate wants. Lua relies on it that a block can always become smaller: where the smaller one
 * cannot be had, the old one is untouched, and it is large enough. */
static void *on_heap(void *heap, void *block, size_t old_size, size_t size)
{
    void *moved;

    if (size == 0) {
        xvm_heap_free(heap, block);
        return NULL;
    }
    moved = xvm_heap_realloc(heap, block, size);
    return moved == NULL && block != NULL && size <= old_size ? block : moved;
}

/* --- scripts ---------------------------------------------------------------------------------- */

static const char closures[] = "local function counter()\n"
                               "  local n = 0\n"
                               "  return function() n = n + 1; return n end\n"
                               "end\n"
                               "local all = {}\n"
                               "for i = 1, 5000 do all[i] = counter() end\n"
                               "local sum = 0\n"
                               "for round = 1, 3 do\n"
                               "  for i = 1, #all do sum = sum + all[i]() end\n"
                               "end\n"
                               "return 'closures: ' .. sum\n";

static const char tables[] = "local t = {}\n"
                             "for i = 1, 20000 do t['key' .. i] = {i, i * i} end\n"
                             "for i = 1, 20000, 2 do t['key' .. i] = nil end\n"
                             "local count, sum = 0, 0\n"
                             "for _, v in pairs(t) do count, sum = count + 1, sum + v[1] end\n"
                             "local sorted = {}\n"
                             "for i = 1, 20000 do sorted[i] = i * 7919 % 20011 end\n"
                             "table.sort(sorted)\n"
                             "for i = 2, #sorted do assert(sorted[i - 1] <= sorted[i]) end\n"
                             "return 'tables: ' .. count .. ' ' .. sum\n";

static const char strings[] = "local parts = {}\n"
                              "for i = 1, 3000 do parts[i] = ('%05d'):format(i) end\n"
                              "local text = table.concat(parts, ',')\n"
                              "local grown = ''\n"
                              "for i = 1, 1000 do grown = grown .. i .. ' ' end\n"
                              "local count = select(2, text:gsub('%d+', '%0%0'))\n"
                              "return 'strings: ' .. #text .. ' ' .. #grown .. ' ' .. count\n";

static const char coroutines[] = "local function numbers(n)\n"
                                 "  return coroutine.wrap(function()\n"
                                 "    for i = 1, n do coroutine.yield(i) end\n"
                                 "  end)\n"
                                 "end\n"
                                 "local sum = 0\n"
                                 "for i = 1, 300 do for n in numbers(i) do sum = sum + n end end\n"
                                 "return 'coroutines: ' .. sum\n";

/* Small blocks, one that doubles, and one that could never be had. */
static const char greedy[] =
    "local function refused(eat)\n"
    "  local ok, why = pcall(eat)\n"
    "  assert(not ok and why == 'not enough memory', why)\n"
    "  collectgarbage()\n"
    "end\n"
    "refused(function() local t = {} for i = 1, 1 << 30 do t[i] = {i} end end)\n"
    "refused(function() local s = 'x' while true do s = s .. s end end)\n"
    "refused(function() return ('x'):rep(1 << 30) end)\n"
    "refused(coroutine.wrap(function()\n"
    "  local t = {}\n"
    "  for i = 1, 1 << 30 do t[i] = coroutine.create(print) end\n"
    "end))\n"
    "return 'refused: not enough memory, four times'\n";

/* --- running ---------------------------------------------------------------------------------- */

/* Prints what a script returns, or why it failed. */
static bool run(lua_State *lua, const char *script)
{
    bool done = luaL_dostring(lua, script) == LUA_OK;
    const char *text = lua_tostring(lua, -1);

    puts(text != NULL ? text : "no result");
    lua_settop(lua, 0);
    return done;
}

/* After a script that took all there is, the others find as much as before. */
static bool run_all(lua_State *lua)
{
    static const char *const scripts[] = {closures, tables, strings, coroutines, greedy,
                                          closures, tables, strings, coroutines, greedy};

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!run(lua, scripts[i]))
            return false;
    return true;
}

static int open_libraries(lua_State *lua)
{
    luaL_openlibs(lua);
    return 0;
}

/* Opening takes memory as well: in a protected call there is a message where there is none. */
static bool use_state(lua_State *lua)
{
    lua_pushcfunction(lua, open_libraries);
    return lua_pcall(lua, 0, 0, 0) == LUA_OK && run_all(lua);
}

int main(void)
{
    xvm_heap_options options = {.max_size = CAP, .flags = XVM_HEAP_SINGLE_THREAD, .name = "lua"};
    bool done = false;
    lua_State *lua;
    xvm_heap *heap;

    if (xvm_heap_create(&heap, &options) != XVM_OK)
        return 1;
    lua = lua_newstate(on_heap, heap);
    if (lua != NULL) {
        done = use_state(lua);
        lua_close(lua);
    }
    done = guest_left(heap) && done;
    xvm_heap_destroy(heap);
    return done ? 0 : 1;
}

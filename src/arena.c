/* arena.c - what the inline half of an arena leaves over: growing, taking back, telling tools. The picture
 * and the rules are in xvm/arena.h.
 *
 * touched of the memory below is brought up to date when top goes down: until then everything below
 * top has been handed out anyway.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "failure.h"
#include "pages.h"
#include "tell.h"
#include "xvm/arena.h"

enum { MEMORY = 8 }; /* the peak sinks by one byte for so many that are taken back */

static xvm_status refuse(const char *call, size_t size, xvm_status status)
{
    xvm_os_site site = {.call = call, .own = true, .size = size};

    return xvm_os_fail_at(&site, (xvm_os_answer){status, 0});
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* As it was when the arena was made: rule 3. */
static bool listens(const xvm_arena *a)
{
    return a->clean == (unsigned char *)UINTPTR_MAX;
}

/* The gap behind a block that ends there. */
static size_t gap_at(const xvm_arena *a, size_t end)
{
    return listens(a) ? smaller(XVM_OS_TELL_GAP, a->memory.reserved - end) : 0;
}

static void set_top(xvm_arena *a, size_t used, size_t gap)
{
    a->top = a->memory.base + used;
    a->own.gap = gap;
    if (listens(a))
        a->end = a->top;
}

/* After a change of what is committed or touched: what the inline paths compare with. */
static void set_limits(xvm_arena *a)
{
    if (listens(a))
        return;
    a->end = a->memory.base + a->memory.committed;
    a->clean = a->memory.base + a->memory.touched;
}

/* Bytes up to there have been handed out. */
static void note_touched(xvm_arena *a, size_t used)
{
    if (used <= a->memory.touched)
        return;
    a->memory.touched = used;
    set_limits(a);
}

/* Commits up to there. What is new is dead until it is handed out. */
static xvm_status reach(xvm_arena *a, size_t size)
{
    size_t before = a->memory.committed;
    xvm_status status = xvm_growth_reach(&a->memory, size);

    if (a->memory.committed == before)
        return status;
    set_limits(a);
    if (listens(a))
        xvm_os_tell_dead(a->memory.base + before, a->memory.committed - before);
    return status;
}

/* Memory may have been given back: a later user of it shall hear nothing of us. */
static void note_given_back(xvm_arena *a, size_t before)
{
    if (a->memory.committed == before)
        return;
    set_limits(a);
    if (listens(a))
        xvm_os_tell_live(a->memory.base + a->memory.committed, before - a->memory.committed);
}

/* --- begin and end ---------------------------------------------------------------------------- */

xvm_status xvm_arena_create(xvm_arena *arena, size_t max_size, const xvm_arena_options *options)
{
    xvm_status status;

    if (arena == NULL)
        return refuse("arena_create", max_size, XVM_E_INVALID);
    *arena = (xvm_arena){0};
    status = xvm_growth_begin(&arena->memory, max_size, options != NULL ? &options->growth : NULL);
    if (status != XVM_OK)
        return status;
    if (xvm_os_tell_listens()) {
        arena->clean = (unsigned char *)UINTPTR_MAX;
        xvm_os_tell_dead(arena->memory.base, arena->memory.committed);
    }
    set_limits(arena);
    set_top(arena, 0, 0);
    return XVM_OK;
}

void xvm_arena_destroy(xvm_arena *arena)
{
    if (arena == NULL)
        return;
    if (listens(arena))
        xvm_os_tell_live(arena->memory.base, arena->memory.committed);
    xvm_growth_end(&arena->memory);
    *arena = (xvm_arena){0};
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Where a block that begins at begin ends, and that there is memory for it and its gap. */
static xvm_status make_room(xvm_arena *a, size_t begin, size_t size, size_t *end)
{
    if (!add_sizes(begin, size, end) || *end > a->memory.reserved)
        return refuse("arena_alloc", size, XVM_E_ADDRESS_SPACE);
    return reach(a, *end + gap_at(a, *end));
}

void *xvm_arena_grow(xvm_arena *arena, size_t size, size_t alignment)
{
    size_t unit = alignment != 0 ? alignment : XVM_ARENA_ALIGNMENT, need = size != 0 ? size : 1;
    size_t pad = round_up((uintptr_t)arena->top, unit) - (uintptr_t)arena->top;
    size_t begin, end;

    if (!is_power_of_two(unit)) {
        (void)refuse("arena_alloc", size, XVM_E_INVALID);
        return NULL;
    }
    begin = xvm_arena_used(arena) + pad; /* both are less than half of all addresses, or pad is */
    if (begin < pad || make_room(arena, begin, need, &end) != XVM_OK)
        return NULL;
    set_top(arena, end + gap_at(arena, end), gap_at(arena, end));
    if (listens(arena))
        xvm_os_tell_fresh(arena->memory.base + begin, need);
    return arena->memory.base + begin;
}

void *xvm_arena_wipe(xvm_arena *arena, void *block, size_t size)
{
    unsigned char *dirty_end = arena->memory.base + arena->memory.touched, *at = block;

    if (at < dirty_end)
        memset(at, 0, smaller(size, (size_t)(dirty_end - at)));
    if (listens(arena))
        xvm_os_tell_live(block, size);
    return block;
}

/* Is the block, of so many bytes, the last one, and may it change? */
static bool is_last(const xvm_arena *a, const void *block, size_t size)
{
    uintptr_t at = (uintptr_t)block, base = (uintptr_t)a->memory.base, top = (uintptr_t)a->top;

    return at >= base && at < top && at - base >= a->own.floor && top - at - a->own.gap == size;
}

/* Bytes [from, to) are no block's any more. */
static void take_bytes(xvm_arena *a, size_t from, size_t to)
{
    note_touched(a, to);
    if (listens(a))
        xvm_os_tell_dead(a->memory.base + from, to - from);
}

bool xvm_arena_extend(xvm_arena *arena, void *block, size_t old_size, size_t new_size)
{
    size_t old = old_size != 0 ? old_size : 1, need = new_size != 0 ? new_size : 1;
    size_t begin, end, used;

    if (arena == NULL || !is_last(arena, block, old))
        return false;
    begin = (size_t)((unsigned char *)block - arena->memory.base);
    used = xvm_arena_used(arena);
    if (make_room(arena, begin, need, &end) != XVM_OK)
        return false;
    if (need > old && listens(arena))
        xvm_os_tell_fresh((unsigned char *)block + old, need - old);
    if (need < old)
        take_bytes(arena, end, used);
    set_top(arena, end + gap_at(arena, end), gap_at(arena, end));
    return true;
}

void *xvm_arena_copy(xvm_arena *arena, const void *bytes, size_t size, size_t alignment)
{
    void *copy = xvm_arena_alloc(arena, size, alignment);

    if (copy != NULL && size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *xvm_arena_copy_text(xvm_arena *arena, const char *text, size_t length)
{
    size_t size = length < SIZE_MAX ? length + 1 : SIZE_MAX;
    char *copy = xvm_arena_alloc(arena, size, 1);

    if (copy == NULL)
        return NULL;
    if (length != 0)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xvm_arena_copy_string(xvm_arena *arena, const char *text)
{
    return xvm_arena_copy_text(arena, text, strlen(text));
}

/* --- taking back ------------------------------------------------------------------------------ */

/* What was taken back is soon wanted again, if it is wanted as often as now: memory goes only when
 * many times as much has been taken back since it was last in use. */
static void settle(xvm_arena *a, size_t used, size_t freed)
{
    size_t before = a->memory.committed;

    a->own.peak = larger(a->own.peak - smaller(a->own.peak, freed / MEMORY), used);
    xvm_growth_settle(&a->memory, a->own.peak);
    note_given_back(a, before);
}

static void take_back(xvm_arena *a, size_t mark)
{
    size_t used = xvm_arena_used(a);

    if (mark == used)
        return;
    take_bytes(a, mark, used);
    settle(a, used, used - mark);
    a->own.floor = smaller(a->own.floor, mark);
    set_top(a, mark, mark != 0 && listens(a) ? XVM_OS_TELL_GAP : 0);
}

xvm_status xvm_arena_rewind(xvm_arena *arena, size_t mark)
{
    if (arena == NULL || mark > xvm_arena_used(arena))
        return refuse("arena_rewind", mark, XVM_E_INVALID);
    take_back(arena, mark);
    return XVM_OK;
}

void xvm_arena_clear(xvm_arena *arena)
{
    if (arena != NULL)
        take_back(arena, 0);
}

size_t xvm_arena_trim(xvm_arena *arena)
{
    size_t used, before, given;

    if (arena == NULL || arena->memory.base == NULL)
        return 0;
    used = xvm_arena_used(arena);
    before = arena->memory.committed;
    note_touched(arena, used);
    given = xvm_growth_trim(&arena->memory, used);
    note_given_back(arena, before);
    arena->own.peak = used;
    return given;
}

/* --- scopes ----------------------------------------------------------------------------------- */

xvm_arena_scope xvm_arena_scope_begin(xvm_arena *arena)
{
    xvm_arena_scope scope = {0};

    if (arena == NULL)
        return scope;
    scope = (xvm_arena_scope){arena, xvm_arena_used(arena), arena->own.floor};
    arena->own.floor = scope.mark;
    return scope;
}

xvm_status xvm_arena_scope_end(xvm_arena_scope *scope)
{
    xvm_arena_scope was = {0};

    if (scope == NULL || scope->arena == NULL)
        return XVM_OK;
    was = *scope;
    *scope = (xvm_arena_scope){0};
    if (was.mark > xvm_arena_used(was.arena))
        return refuse("arena_scope_end", was.mark, XVM_E_INVALID);
    take_back(was.arena, was.mark);
    was.arena->own.floor = was.floor;
    return XVM_OK;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Rule 3. A tool does not let us look. */
static bool is_clean(const xvm_arena *a)
{
    const xvm_growth *m = &a->memory;

    if (listens(a) || xvm_os_tell_listens())
        return listens(a) == xvm_os_tell_listens();
    if (a->clean != m->base + m->touched)
        return false;
    for (size_t at = larger(m->touched, xvm_arena_used(a)); at < m->committed; at++)
        if (m->base[at] != 0)
            return false;
    return true;
}

xvm_status xvm_arena_check(const xvm_arena *arena)
{
    const xvm_growth *m = arena != NULL ? &arena->memory : NULL;
    size_t used;

    if (arena == NULL)
        return refuse("arena_check", 0, XVM_E_INVALID);
    used = (uintptr_t)arena->top - (uintptr_t)m->base; /* wraps when top is below */
    if (m->base == NULL && used == 0 && arena->end == NULL && m->reserved == 0)
        return XVM_OK;
    if (used > m->committed || m->committed > m->reserved || m->touched > m->committed ||
        arena->own.floor > used || arena->own.gap > used ||
        arena->end != (listens(arena) ? arena->top : m->base + m->committed) || !is_clean(arena))
        return refuse("arena_check", used, XVM_E_CORRUPT);
    return XVM_OK;
}

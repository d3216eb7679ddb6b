/* look.c - what a heap holds: figures, reports, every block, every rule. */
#include <string.h>

#include "heap.h"
#include "text.h"

/* --- figures ---------------------------------------------------------------------------------- */

/* Of one class. */
typedef struct class_figures {
    uint64_t allocs, live;
    size_t cached, free, slabs;
} class_figures;

static void add_lane(class_figures *f, const lane *l, unsigned c)
{
    size_t count;

    if (l == NULL)
        return;
    count = filled(&l->heads[c]);
    f->allocs += LOAD(&l->heads[c].allocs);
    f->live += LOAD(&l->taken[c]) - LOAD(&l->returned[c]) - count;
    f->cached += count;
}

static void add_shared_lane(class_figures *f, xvm_heap *heap, unsigned c)
{
    heap_lock(heap, &heap->shared_lock);
    if (heap->shared_lane.heads[c].bottom != NULL)
        add_lane(f, &heap->shared_lane, c);
    heap_unlock(heap, &heap->shared_lock);
}

static void add_class(class_figures *f, xvm_heap *heap, unsigned c)
{
    size_class *class = &heap->classes[c];

    heap_lock(heap, &class->lock);
    f->cached += class->stashed;
    f->free = class->free_count;
    f->slabs = class->slab_count;
    heap_unlock(heap, &class->lock);
}

/* Looking takes locks, for what is read moves meanwhile. */
static xvm_heap *lockable(const xvm_heap *heap)
{
    return (xvm_heap *)(uintptr_t)heap;
}

/* What went into lanes, came back and is still there: the rest is live. */
static class_figures figures_of(const xvm_heap *heap, unsigned c)
{
    class_figures f = {0};

    for (unsigned i = 0; i <= LANES; i++)
        add_lane(&f, LOAD_ACQUIRE(&heap->lanes[i]), c);
    add_shared_lane(&f, lockable(heap), c);
    add_class(&f, lockable(heap), c);
    return f;
}

static uint32_t largest_in(const xvm_heap *heap, uint32_t head)
{
    uint32_t largest = 0;

    for (; head != 0; head = heap->pages[head - 1].next)
        if (pages_of(&heap->pages[head - 1]) > largest)
            largest = pages_of(&heap->pages[head - 1]);
    return largest;
}

static uint32_t largest_run(const xvm_heap *heap)
{
    unsigned group;

    if (heap->bin_groups == 0)
        return 0;
    group = 31u - (unsigned)__builtin_clz(heap->bin_groups);
    return largest_in(heap,
                      heap->bins[group][31u - (unsigned)__builtin_clz(heap->bin_fine[group])]);
}

/* Free pages within what was used once; the rest of the heap is whole anyway. */
static void add_free(const xvm_heap *heap, xvm_heap_stats *out)
{
    size_t largest = (size_t)largest_run(heap) << PAGE_SHIFT;
    size_t used = heap->free_pages << PAGE_SHIFT;
    size_t rest = (size_t)(heap->end - heap->frontier) << PAGE_SHIFT;

    out->free_bytes += used + rest;
    out->largest_free = largest > rest ? largest : rest;
    out->fragmentation = used == 0 ? 0 : 1 - (double)largest / (double)used;
}

/* Under the heap's lock: in the middle of a change the lists of free runs lead anywhere. */
static void add_runs(xvm_heap *heap, xvm_heap_stats *out)
{
    heap_lock(heap, &heap->lock);
    out->allocs += heap->large_allocs;
    out->live_blocks += (size_t)(heap->large_allocs - heap->large_frees);
    out->live_bytes += heap->large_pages << PAGE_SHIFT;
    if (heap->committed_peak > out->committed_peak)
        out->committed_peak = heap->committed_peak;
    add_free(heap, out);
    heap_unlock(heap, &heap->lock);
}

static void add_classes(const xvm_heap *heap, xvm_heap_stats *out)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        class_figures f = figures_of(heap, c);
        size_t size = size_of_class(c);

        out->allocs += f.allocs;
        out->live_blocks += (size_t)f.live;
        out->live_bytes += (size_t)f.live * size;
        out->cached_bytes += f.cached * size;
        out->free_bytes += f.free * size;
    }
}

static uint64_t faults_since(const xvm_heap *heap)
{
    xvm_limits now;

    if (heap->faults_at_start == UINT64_MAX || xvm_get_limits(&now) != XVM_OK)
        return UINT64_MAX;
    return now.minor_faults + (now.major_faults != UINT64_MAX ? now.major_faults : 0) -
           heap->faults_at_start;
}

void xvm_heap_get_stats(const xvm_heap *heap, xvm_heap_stats *out)
{
    xvm_usage use;

    if (out == NULL)
        return;
    *out = (xvm_heap_stats){0};
    if (heap == NULL)
        return;
    xvm_region_usage(heap->region, &use);
    out->reserved = use.reserved;
    out->committed = out->committed_peak = use.committed;
    add_classes(heap, out);
    add_runs(lockable(heap), out);
    out->frees = out->allocs - out->live_blocks;
    out->failures = LOAD(&heap->failures);
    out->faults = faults_since(heap);
}

/* --- every block ------------------------------------------------------------------------------ */

static int visit_slab(const xvm_heap *heap, uint32_t unit, xvm_block_visitor visit, void *context)
{
    const unit_info *u = &heap->units[unit];
    unsigned c = u->size_class - 1u;
    uint32_t size = size_of_class(c), blocks = blocks_of_class(c);
    const unsigned char *states = state_at(heap, u->states);
    unsigned char *base = heap->area + ((size_t)unit << UNIT_SHIFT);
    int stop = 0;

    for (uint32_t i = 0; i < blocks && stop == 0; i++)
        if (states[i] == LIVE)
            stop = visit(base + (size_t)i * size, size, context);
    return stop;
}

/* A run in quarantine is no block any more, and a bare one neither. */
static int visit_run(const xvm_heap *heap, uint32_t page, xvm_block_visitor visit, void *context)
{
    const page_info *run = &heap->pages[page];
    unsigned char *base = page_address(heap, page);

    if ((heap->flags & XVM_HEAP_GUARDED) == 0)
        return is_bare(run) ? 0 : visit(base, (size_t)pages_of(run) << PAGE_SHIFT, context);
    return run->size_kind & RUN_ZERO ? 0 : visit(base + run->prev, run->next, context);
}

xvm_status xvm_heap_walk(xvm_heap *heap, xvm_block_visitor visit, void *context)
{
    xvm_os_site site = {.call = "heap_walk"};
    int stop = 0;

    if (heap == NULL || visit == NULL)
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_INVALID, 0});
    for (uint32_t page = 0, pages; page < heap->frontier && stop == 0; page += pages) {
        const page_info *run = &heap->pages[page];

        pages = pages_of(run);
        if (kind_of(run) == RUN_SLAB)
            stop = visit_slab(heap, page / UNIT_PAGES, visit, context);
        else if (kind_of(run) == RUN_LIVE)
            stop = visit_run(heap, page, visit, context);
    }
    return XVM_OK;
}

/* --- every rule ------------------------------------------------------------------------------- */

/* What a check has counted so far. */
typedef struct counts {
    uint32_t free_runs, slabs[CLASSES], free_blocks[CLASSES];
    size_t cached[CLASSES], free_pages, dirty_pages, moved_runs;
} counts;

static bool is_inside(const xvm_heap *heap, uint32_t from, uint32_t to)
{
    for (; from < to; from++)
        if (kind_of(&heap->pages[from]) != RUN_INSIDE)
            return false;
    return true;
}

static bool check_slab(const xvm_heap *heap, uint32_t page, counts *n)
{
    const unit_info *u = &heap->units[page / UNIT_PAGES];
    unsigned c = u->size_class - 1u;
    const unsigned char *states = state_at(heap, u->states);
    uint32_t free_blocks = 0;

    if (page % UNIT_PAGES != 0 || pages_of(&heap->pages[page]) != UNIT_PAGES || c >= CLASSES)
        return false;
    for (uint32_t i = 0; i < blocks_of_class(c); i++) {
        if (states[i] > CACHED || (states[i] == FREE && i >> HINT_SHIFT < u->hint))
            return false;
        free_blocks += states[i] == FREE;
        n->cached[c] += states[i] == CACHED;
    }
    n->slabs[c]++;
    n->free_blocks[c] += free_blocks;
    return free_blocks == u->free_blocks;
}

/* Rules 1, 3 and 7. */
static bool check_runs(const xvm_heap *heap, counts *n)
{
    bool was_free = false;
    uint32_t page = 0, pages;

    for (; page < heap->frontier; page += pages) {
        const page_info *run = &heap->pages[page];
        bool is_free = kind_of(run) == RUN_FREE;

        pages = pages_of(run);
        if (pages == 0 || kind_of(run) == RUN_INSIDE || pages > heap->frontier - page ||
            heap->pages[page + pages - 1].start != page || (is_free && was_free) ||
            !is_inside(heap, page + 1, page + pages))
            return false;
        if (kind_of(run) == RUN_SLAB
                ? !check_slab(heap, page, n)
                : (page % UNIT_PAGES == 0 && heap->units[page / UNIT_PAGES].size_class != 0))
            return false;
        n->free_runs += is_free;
        n->free_pages += is_free ? pages : 0;
        n->dirty_pages += is_free && (run->size_kind & RUN_ZERO) == 0 ? pages : 0;
        n->moved_runs += is_moved(run) && (heap->flags & XVM_HEAP_GUARDED) == 0;
        was_free = is_free;
    }
    return page == heap->frontier && !was_free && n->free_pages == heap->free_pages &&
           n->dirty_pages == heap->dirty_pages && n->moved_runs == heap->moved_runs;
}

static bool is_of_list(uint32_t pages, unsigned group, unsigned fine)
{
    unsigned power = 31u - (unsigned)__builtin_clz(pages);

    if (pages < BIN_FINE)
        return group == 0 && fine == pages;
    return group == power - 2 && fine == ((pages >> (power - 3)) & (BIN_FINE - 1));
}

static bool check_list(const xvm_heap *heap, unsigned group, unsigned fine, uint32_t *runs)
{
    uint32_t before = 0, at = heap->bins[group][fine];

    if ((at != 0) != ((heap->bin_fine[group] >> fine & 1) != 0))
        return false;
    for (; at != 0; at = heap->pages[at - 1].next) {
        const page_info *run = &heap->pages[at - 1];

        if (at > heap->frontier || kind_of(run) != RUN_FREE || run->prev != before ||
            !is_of_list(pages_of(run), group, fine) || ++*runs > heap->frontier)
            return false;
        before = at;
    }
    return true;
}

/* Rule 2. */
static bool check_lists(const xvm_heap *heap, const counts *n)
{
    uint32_t runs = 0;

    for (unsigned group = 0; group < BIN_GROUPS; group++) {
        if ((heap->bin_fine[group] != 0) != ((heap->bin_groups >> group & 1) != 0))
            return false;
        for (unsigned fine = 0; fine < BIN_FINE; fine++)
            if (!check_list(heap, group, fine, &runs))
                return false;
    }
    return runs == n->free_runs;
}

/* Rule 4, but for the states. */
static bool check_class(const xvm_heap *heap, unsigned c, const counts *n)
{
    const size_class *class = &heap->classes[c];
    uint32_t free_blocks = 0, before = 0, slabs = 0;

    for (uint32_t at = class->slabs, next; at != 0; at = next) {
        const unit_info *u = &heap->units[at - 1];
        const page_info *links = &heap->pages[(size_t)(at - 1) * UNIT_PAGES];

        next = links->next;
        if (u->size_class != c + 1 || u->free_blocks == 0 || links->prev != before ||
            ++slabs > class->slab_count)
            return false;
        free_blocks += u->free_blocks;
        before = at;
    }
    return free_blocks == n->free_blocks[c] && class->free_count == free_blocks &&
           class->slab_count == n->slabs[c];
}

/* The entries of a magazine or a stash: CACHED blocks of that class. Each is marked while it is
 * counted, so that one that is there twice is found. */
static bool count_entries(const xvm_heap *heap, unsigned c, const entry *entries, size_t count,
                          size_t *cached)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t unit = entries[i].granule >> (UNIT_SHIFT - GRAIN_SHIFT);

        if (unit >= heap->frontier || heap->units[unit].size_class != c + 1 ||
            *state_at(heap, entries[i].state) != CACHED)
            return false;
        for (size_t other = 0; other < i; other++)
            if (entries[other].state == entries[i].state)
                return false;
    }
    *cached += count;
    return true;
}

static bool check_lane(const xvm_heap *heap, const lane *l, unsigned c, size_t *cached)
{
    if (l == NULL)
        return true;
    return l->heads[c].bottom->state == 0 && filled(&l->heads[c]) <= magazine_size(c) &&
           count_entries(heap, c, l->heads[c].bottom + 1, filled(&l->heads[c]), cached);
}

/* Rule 5: as many as there are CACHED blocks, and none twice in one place. */
static bool check_cached(const xvm_heap *heap, unsigned c, const counts *n)
{
    const size_class *class = &heap->classes[c];
    size_t cached = 0;

    if (class->stashed > stash_size(c) ||
        !count_entries(heap, c, heap->stashes[c], class->stashed, &cached) ||
        (heap->shared_lane.heads[c].bottom != NULL &&
         !check_lane(heap, &heap->shared_lane, c, &cached)))
        return false;
    for (unsigned i = 0; i <= LANES; i++)
        if (!check_lane(heap, heap->lanes[i], c, &cached))
            return false;
    return cached == n->cached[c];
}

/* Rule 8. */
static bool check_lines(const xvm_heap *heap)
{
    size_t lines = 1;

    for (unsigned c = 0; c < CLASSES; c++)
        lines += (size_t)heap->classes[c].slab_count << order_of_class(c);
    return xvm_os_heap_free_lines(heap) == heap->state_lines - lines;
}

static bool is_sound(const xvm_heap *heap)
{
    counts n = {0};

    if (heap->frontier > heap->touched || heap->touched > heap->committed ||
        heap->committed > heap->end || !check_runs(heap, &n) || !check_lists(heap, &n) ||
        !check_lines(heap))
        return false;
    for (unsigned c = 0; c < CLASSES; c++)
        if (!check_class(heap, c, &n) || !check_cached(heap, c, &n))
            return false;
    return true;
}

xvm_status xvm_heap_check(const xvm_heap *heap)
{
    xvm_os_site site = {.call = "heap_check"};

    if (heap == NULL)
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_INVALID, 0});
    if (!is_sound(heap))
        return xvm_os_fail_at(&site, (xvm_os_answer){XVM_E_CORRUPT, 0});
    return XVM_OK;
}

/* --- report ----------------------------------------------------------------------------------- */

typedef struct field {
    const char *name;
    uint64_t value;
} field;

static void put_fields(text *t, const field *fields, size_t count, bool json)
{
    for (size_t i = 0; i < count; i++) {
        put(t, json ? (i == 0 ? "\"" : ",\"") : (i == 0 ? "" : ", "));
        put(t, fields[i].name);
        put(t, json ? "\":" : " ");
        put_number(t, fields[i].value);
    }
}

static void put_class(text *t, const xvm_heap *heap, unsigned c, bool json, bool *first)
{
    class_figures f = figures_of(heap, c);
    field fields[] = {{"size", size_of_class(c)}, {"live", f.live},   {"cached", f.cached},
                      {"free", f.free},           {"slabs", f.slabs}, {"allocs", f.allocs}};

    if (f.slabs == 0 && f.allocs == 0)
        return;
    put(t, json ? (*first ? "{" : ",{") : "  ");
    put_fields(t, fields, sizeof fields / sizeof *fields, json);
    put(t, json ? "}" : "\n");
    *first = false;
}

static void put_totals(text *t, const xvm_heap_stats *s, bool json)
{
    field fields[] = {{"reserved", s->reserved},
                      {"committed", s->committed},
                      {"live_bytes", s->live_bytes},
                      {"live_blocks", s->live_blocks},
                      {"cached_bytes", s->cached_bytes},
                      {"free_bytes", s->free_bytes},
                      {"largest_free", s->largest_free},
                      {"fragmentation_percent", (uint64_t)(s->fragmentation * 100)},
                      {"allocs", s->allocs},
                      {"frees", s->frees},
                      {"failures", s->failures}};

    put_fields(t, fields, sizeof fields / sizeof *fields, json);
}

/* A name is the caller's: what JSON would stumble over is left out. */
static void put_name(text *t, const char *name)
{
    for (; name != NULL && *name != 0; name++)
        if ((unsigned char)*name >= ' ' && *name != '"' && *name != '\\')
            put_byte(t, *name);
}

size_t xvm_heap_report(const xvm_heap *heap, xvm_format format, char *buffer, size_t capacity)
{
    text t = text_start(buffer, capacity);
    bool json = format == XVM_FORMAT_JSON, first = true;
    xvm_heap_stats s;

    if (heap == NULL)
        return 0;
    xvm_heap_get_stats(heap, &s);
    put(&t, json ? "{\"name\":\"" : "heap ");
    put_name(&t, heap->name);
    put(&t, json ? "\"," : ": ");
    put_totals(&t, &s, json);
    put(&t, json ? ",\"classes\":[" : "\n");
    for (unsigned c = 0; c < CLASSES; c++)
        put_class(&t, heap, c, json, &first);
    put(&t, json ? "]}" : "");
    return t.length;
}

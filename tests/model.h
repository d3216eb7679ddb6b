/* model.h - a region against a plain array of what each page must be: the oracle of the random
 * tests.
 *
 * The model covers pages [first, first + count) of a region; each step is one call with random
 * arguments, its status predicted, its effect noted, and one page then touched.
 */
#ifndef XVM_TESTS_MODEL_H
#define XVM_TESTS_MODEL_H

#include "harness.h"
#include "xvm/budget.h"
#include "xvm/region.h"

enum { MODEL_PAGES = 64 };

typedef struct model_page {
    unsigned char protection; /* 0 = reserved, or a guard */
    bool guard;
    bool locked, maybe_zero; /* maybe_zero: lazily discarded since it was written */
    unsigned char byte;      /* all bytes of the page, or zero */
} model_page;

typedef struct model {
    xvm_region *region;
    const xvm_budget *budget;
    size_t first, count, page;
    uint64_t seed;
    model_page pages[MODEL_PAGES];
    size_t steps;
    bool may_fault; /* fault probes are for one thread only */
    bool marks;  /* the system's table does not show which pages are closed: sparse, light guards */
    bool coarse; /* and a touch does not show it either */
} model;

typedef struct model_range {
    size_t offset, size; /* in the region */
    size_t from, to;     /* pages of the model, rounded as the call rounds */
} model_range;

static inline size_t model_pick(model *m, size_t limit)
{
    return (size_t)(test_random(&m->seed) >> 24) % limit;
}

/* A range of bytes in the model's part of the region; short ones more often. */
static inline model_range model_pick_range(model *m, int rounding)
{
    size_t all = m->count * m->page, start, end;
    model_range r;

    r.size = model_pick(m, model_pick(m, 4) == 0 ? all : 6 * m->page) + 1;
    r.offset = model_pick(m, all);
    if (rounding == 0 || model_pick(m, 2) == 0) {
        r.offset = r.offset / m->page * m->page;
        r.size = (r.size + m->page - 1) / m->page * m->page;
    }
    if (r.size > all - r.offset)
        r.size = all - r.offset;
    start = r.offset;
    end = r.offset + r.size;
    r.from = (rounding < 0 ? start + m->page - 1 : start) / m->page;
    r.to = (rounding < 0 ? end : end + m->page - 1) / m->page;
    r.to = r.to < r.from ? r.from : r.to;
    r.offset += m->first * m->page;
    return r;
}

static inline bool model_any(const model *m, model_range r, bool (*is)(const model_page *p))
{
    for (size_t i = r.from; i < r.to; i++)
        if (is(&m->pages[i]))
            return true;
    return false;
}

static inline bool model_is_reserved(const model_page *p)
{
    return p->protection == 0;
}

static inline bool model_is_closed(const model_page *p)
{
    return p->protection == XVM_NO_ACCESS;
}

static inline bool model_is_readonly(const model_page *p)
{
    return p->protection != XVM_READ_WRITE && p->protection != XVM_READ_WRITE_EXECUTE;
}

static inline unsigned char *model_address(const model *m, size_t i)
{
    return (unsigned char *)m->region->base + (m->first + i) * m->page;
}

/* --- one step for each call ------------------------------------------------------------------- */

static inline void model_commit(model *m)
{
    model_range r = model_pick_range(m, 1);

    CHECK_EQUAL(xvm_commit(m->region, r.offset, r.size), XVM_OK);
    for (size_t i = r.from; i < r.to; i++)
        if (m->pages[i].protection == 0)
            m->pages[i] = (model_page){.protection = XVM_READ_WRITE};
}

static inline void model_decommit(model *m)
{
    model_range r = model_pick_range(m, -1);

    CHECK_EQUAL(xvm_decommit(m->region, r.offset, r.size), XVM_OK);
    for (size_t i = r.from; i < r.to; i++)
        m->pages[i] = (model_page){0};
}

static inline void model_discard(model *m)
{
    model_range r = model_pick_range(m, -1);
    bool lazy = model_pick(m, 2) == 0;
    xvm_status expected = model_any(m, r, model_is_reserved) ? XVM_E_NOT_COMMITTED : XVM_OK;

    CHECK_EQUAL(
        xvm_discard(m->region, r.offset, r.size, lazy ? XVM_DISCARD_LAZY : XVM_DISCARD_ZERO),
        expected);
    for (size_t i = r.from; expected == XVM_OK && i < r.to; i++) {
        if (!lazy)
            m->pages[i].byte = 0;
        m->pages[i].maybe_zero = lazy && (m->pages[i].maybe_zero || !m->pages[i].locked);
    }
}

static inline void model_protect(model *m)
{
    model_range r = model_pick_range(m, 0);
    xvm_protection protection = (xvm_protection)(XVM_NO_ACCESS + model_pick(m, 5));
    xvm_status expected = model_any(m, r, model_is_reserved) ? XVM_E_NOT_COMMITTED : XVM_OK;

    CHECK_EQUAL(xvm_protect(m->region, r.offset, r.size, protection), expected);
    for (size_t i = r.from; expected == XVM_OK && i < r.to; i++)
        m->pages[i].protection = (unsigned char)protection;
}

static inline void model_lock(model *m)
{
    model_range r = model_pick_range(m, 1);
    xvm_status expected = model_any(m, r, model_is_reserved) ? XVM_E_NOT_COMMITTED
                          : model_any(m, r, model_is_closed) ? XVM_E_PERMISSION
                                                             : XVM_OK;

    CHECK_EQUAL(xvm_lock(m->region, r.offset, r.size), expected);
    for (size_t i = r.from; expected == XVM_OK && i < r.to; i++)
        m->pages[i].locked = true;
}

static inline void model_unlock(model *m)
{
    model_range r = model_pick_range(m, -1);

    CHECK_EQUAL(xvm_unlock(m->region, r.offset, r.size), XVM_OK);
    for (size_t i = r.from; i < r.to; i++)
        m->pages[i].locked = false;
}

static inline void model_guard(model *m)
{
    model_range r = model_pick_range(m, 0);

    CHECK_EQUAL(xvm_guard(m->region, r.offset, r.size), XVM_OK);
    for (size_t i = r.from; i < r.to; i++)
        m->pages[i] = (model_page){.guard = true};
}

/* Two ranges at once, in any order. */
static inline void model_discard_ranges(model *m)
{
    model_range a = model_pick_range(m, -1), b = model_pick_range(m, -1);
    xvm_range both[2] = {{a.offset, a.size}, {b.offset, b.size}};
    bool refused = model_any(m, a, model_is_reserved) || model_any(m, b, model_is_reserved);

    CHECK_EQUAL(xvm_discard_ranges(m->region, both, 2, XVM_DISCARD_ZERO),
                refused ? XVM_E_NOT_COMMITTED : XVM_OK);
    for (size_t i = 0; !refused && i < m->count; i++)
        if ((i >= a.from && i < a.to) || (i >= b.from && i < b.to)) {
            m->pages[i].byte = 0;
            m->pages[i].maybe_zero = false;
        }
}

static inline void model_move(model *m)
{
    model_range to = model_pick_range(m, 0), from = model_pick_range(m, 0);
    size_t count = to.to - to.from < from.to - from.from ? to.to - to.from : from.to - from.from;
    xvm_status expected = XVM_OK;

    to.to = to.from + count;
    from.to = from.from + count;
    if (to.from < from.to && from.from < to.to)
        expected = XVM_E_INVALID;
    else if (model_any(m, to, model_is_reserved) || model_any(m, from, model_is_reserved))
        expected = XVM_E_NOT_COMMITTED;
    else if (model_any(m, to, model_is_readonly) || model_any(m, from, model_is_readonly))
        expected = XVM_E_PERMISSION;
    CHECK_EQUAL(xvm_move(m->region, to.offset, from.offset, count * m->page), expected);
    for (size_t i = 0; expected == XVM_OK && i < count; i++) {
        m->pages[to.from + i].byte = m->pages[from.from + i].byte;
        m->pages[to.from + i].maybe_zero = m->pages[from.from + i].maybe_zero;
        m->pages[from.from + i].byte = 0;
        m->pages[from.from + i].maybe_zero = false;
    }
}

static inline void model_prefault(model *m)
{
    model_range r = model_pick_range(m, 1);
    xvm_status expected = model_any(m, r, model_is_reserved)   ? XVM_E_NOT_COMMITTED
                          : model_any(m, r, model_is_readonly) ? XVM_E_PERMISSION
                                                               : XVM_OK;

    CHECK_EQUAL(xvm_prefault(m->region, r.offset, r.size), expected);
}

/* A range that leaves the region is refused, whatever the call. */
static inline void model_broken(model *m)
{
    size_t outside = m->region->size - model_pick(m, 3) * m->page;
    size_t size = m->region->size - outside + 1 + model_pick(m, m->page);

    size = model_pick(m, 4) == 0 ? SIZE_MAX - model_pick(m, outside) : size;
    CHECK_EQUAL(xvm_commit(m->region, outside, size), XVM_E_INVALID);
    CHECK_EQUAL(xvm_decommit(m->region, outside, size), XVM_E_INVALID);
    CHECK_EQUAL(xvm_protect(m->region, outside, size, XVM_READ), XVM_E_INVALID);
    CHECK_EQUAL(xvm_lock(m->region, outside, size), XVM_E_INVALID);
}

/* --- looking ---------------------------------------------------------------------------------- */

static inline void model_check_bytes(const model *m, size_t i)
{
    const model_page *p = &m->pages[i];
    const unsigned char *at = model_address(m, i);
    unsigned char first = at[0], last = at[m->page - 1];

    CHECK(first == p->byte || (p->maybe_zero && first == 0));
    CHECK(last == p->byte || (p->maybe_zero && last == 0));
}

/* One page: its bytes when it can be read, a new value when it can be written, a fault now and then
 * if not. */
static inline void model_touch(model *m)
{
    size_t i = model_pick(m, m->count);
    model_page *p = &m->pages[i];

    if (p->protection == 0 || p->protection == XVM_NO_ACCESS) {
        if (m->may_fault && m->steps % 16 == 0 && !(m->coarse && p->protection == 0))
            CHECK(faults_on_read(model_address(m, i)) && faults_on_write(model_address(m, i)));
        return;
    }
    model_check_bytes(m, i);
    if (model_is_readonly(p)) {
        if (m->may_fault && m->steps % 16 == 0)
            CHECK(faults_on_write(model_address(m, i)));
        return;
    }
    p->byte = (unsigned char)(1 + model_pick(m, 255));
    p->maybe_zero = false;
    memset(model_address(m, i), p->byte, m->page);
}

/* Every page against the system's own table. */
static inline void model_check_truth(const model *m)
{
    static const unsigned char expected[] = {
        [0] = TRUTH_NONE,
        [XVM_NO_ACCESS] = TRUTH_NONE,
        [XVM_READ] = TRUTH_READ,
        [XVM_READ_WRITE] = TRUTH_READ | TRUTH_WRITE,
        [XVM_READ_EXECUTE] = TRUTH_READ | TRUTH_EXECUTE,
        [XVM_READ_WRITE_EXECUTE] = TRUTH_READ | TRUTH_WRITE | TRUTH_EXECUTE,
    };
    unsigned char truth[MODEL_PAGES];

    look_at_pages(model_address(m, 0), m->count, m->page, truth);
    for (size_t i = 0; i < m->count; i++)
        if (m->pages[i].protection != 0 || !m->marks)
            CHECK_EQUAL(truth[i] & shown_truth(), expected[m->pages[i].protection] & shown_truth());
}

static inline size_t model_count_guards(const model *m)
{
    size_t guarded = 0;

    for (size_t i = 0; i < m->count; i++)
        guarded += m->pages[i].guard ? m->page : 0;
    return guarded;
}

static inline void model_count(const model *m, size_t *committed, size_t *locked)
{
    for (size_t i = 0; i < m->count; i++) {
        *committed += m->pages[i].protection != 0 ? m->page : 0;
        *locked += m->pages[i].locked ? m->page : 0;
    }
}

static inline void model_step(model *m)
{
    static void (*const calls[])(model * m) = {
        model_commit, model_commit,  model_commit,   model_commit, model_decommit,
        model_guard,  model_discard, model_protect,  model_lock,   model_discard_ranges,
        model_unlock, model_protect, model_prefault, model_move,   model_broken};

    m->steps++;
    calls[model_pick(m, sizeof calls / sizeof *calls)](m);
    model_touch(m);
}

#endif

/* test_watch.c - which pages were written: by every method that works here, against what a model expects and
 * against a copy of all bytes that is kept up to date with the reported pages alone. */
#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 96, FIRST = 8, LAST = 88, ALL = PAGES }; /* pages FIRST to LAST are watched */

static const char *const names[] = {"none", "system", "userfault", "soft-dirty", "protect"};

static size_t page;

static unsigned char *at(const xvm_region *r, size_t index)
{
    return (unsigned char *)r->base + index * page;
}

static xvm_region reserve_pages(size_t pages, xvm_commit_mode mode)
{
    xvm_reserve_options o = {.flags = XVM_RESERVE_WATCHED, .commit_mode = mode, .name = "watched"};
    xvm_region r;

    if (page != xvm_page_size())
        page = xvm_page_size();
    CHECK_EQUAL(xvm_reserve(&r, pages * page, &o), XVM_OK);
    return r;
}

static bool works(xvm_watch_method method)
{
    xvm_region r = reserve_pages(1, XVM_COMMIT_CHARGED);
    xvm_status status = xvm_watch_start_by(&r, 0, r.size, method);

    CHECK(status == XVM_OK || status == XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
    return status == XVM_OK;
}

static void with_each_method(void (*check)(xvm_watch_method method))
{
    unsigned tried = 0;

    for (int m = XVM_WATCH_SYSTEM; m <= XVM_WATCH_PROTECT; m++)
        if (works((xvm_watch_method)m)) {
            fprintf(stderr, "by %s\n", names[m]);
            check((xvm_watch_method)m);
            tried++;
        }
    if (tried == 0)
        SKIP("no method works here");
}

/* Cases that write many zeros over pages that a handler opens. */
static void needs_zeroing_that_goes_on(void)
{
    if (!zeroing_goes_on_after_faults())
        SKIP("this emulator leaves out bytes of a zeroing store that faults (DC ZVA)");
}

/* All that is reported, by calls for so many ranges each; one byte for each page. Checks what every report
 * promises. */
static size_t collect(xvm_region *r, xvm_watch_reset reset, size_t capacity, unsigned char *seen)
{
    xvm_range ranges[ALL];
    size_t count, all = 0, end;

    memset(seen, 0, r->size / page);
    do {
        CHECK_EQUAL(xvm_watch_collect(r, reset, ranges, capacity, &count), XVM_OK);
        CHECK(count <= capacity);
        end = 0;
        for (size_t i = 0; i < count; i++) {
            CHECK(ranges[i].size != 0 && ranges[i].offset % page == 0 &&
                  ranges[i].size % page == 0);
            CHECK(i == 0 || ranges[i].offset > end);
            end = ranges[i].offset + ranges[i].size;
            CHECK(end <= r->size);
            memset(seen + ranges[i].offset / page, 1, ranges[i].size / page);
            all += ranges[i].size / page;
        }
    } while (count == capacity && reset == XVM_WATCH_RESET);
    return all;
}

static void check_seen(const unsigned char *seen, const unsigned char *must,
                       const unsigned char *may)
{
    for (size_t i = 0; i < PAGES; i++) {
        if (must[i] && !seen[i])
            fprintf(stderr, "page %u was written and is not reported\n", (unsigned)i);
        if (seen[i] && !must[i] && !may[i])
            fprintf(stderr, "page %u is reported and was not written\n", (unsigned)i);
        CHECK(seen[i] >= must[i] && seen[i] <= (must[i] | may[i]));
    }
}

/* --- one after the other ---------------------------------------------------------------------- */

static void check_simple(xvm_watch_method method)
{
    xvm_region r = reserve_pages(PAGES, XVM_COMMIT_CHARGED);
    unsigned char seen[PAGES];
    xvm_watch_info info;

    CHECK_EQUAL(xvm_commit(&r, 0, 32 * page), XVM_OK);
    memset(r.base, 1, 32 * page);
    set_last_error(77);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    CHECK_EQUAL(get_last_error(), 77);
    CHECK_EQUAL(xvm_watch_start(&r, 0, r.size), XVM_E_EXISTS);
    set_last_error(77);
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 8, seen), 0);
    memset(at(&r, 3), 2, 2 * page);
    at(&r, 31)[0] = 2;
    CHECK_EQUAL(collect(&r, XVM_WATCH_KEEP, 8, seen), 3);
    CHECK_EQUAL(collect(&r, XVM_WATCH_KEEP, 8, seen), 3);
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 8, seen), 3);
    CHECK(seen[3] && seen[4] && seen[31]);
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 8, seen), 0);
    CHECK_EQUAL(xvm_decommit(&r, 4 * page, 4 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 5 * page, 40 * page), XVM_OK);
    at(&r, 5)[0] = 2;
    at(&r, 44)[0] = 2;
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 8, seen), 5);
    CHECK(seen[4] && seen[5] && seen[6] && seen[7] && seen[44]);
    xvm_watch_look(&r, &info);
    CHECK_EQUAL(info.method, method);
    CHECK_EQUAL(info.offset, 0);
    CHECK_EQUAL(info.size, r.size);
    CHECK_EQUAL(info.sees_system_writes, method != XVM_WATCH_PROTECT);
    CHECK_EQUAL(info.looks, 6);
    CHECK_EQUAL(info.pages_reported, 3 * 3 + 5);
    CHECK_EQUAL(info.faults_taken != 0, method == XVM_WATCH_PROTECT);
    CHECK(info.bookkeeping >= PAGES / 8);
    CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    CHECK_EQUAL(get_last_error(), 77); /* writes, looks, commits and the end left it alone */
    xvm_watch_look(&r, &info);
    CHECK_EQUAL(info.method, XVM_WATCH_NONE);
    memset(at(&r, 10), 3, 20 * page); /* nobody minds */
    CHECK_EQUAL(xvm_watch_start_by(&r, page, page, method), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(what_is_written_is_reported)
{
    with_each_method(check_simple);
}

TEST(the_best_method_is_found)
{
    xvm_region r = reserve_pages(1, XVM_COMMIT_CHARGED);
    xvm_watch_info info;

    if (xvm_watch_start(&r, 0, 1) == XVM_E_UNSUPPORTED)
        SKIP("no method works here");
    xvm_watch_look(&r, &info);
    CHECK(info.method == XVM_WATCH_PROTECT || (xvm_system()->features & XVM_HAS_WRITE_WATCH) != 0);
    CHECK(info.method != XVM_WATCH_PROTECT || (xvm_system()->features & XVM_HAS_WRITE_WATCH) == 0);
    CHECK(info.method != XVM_WATCH_SOFT_DIRTY);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(regions_with_views_cannot_be_watched)
{
    size_t size = xvm_allocation_granularity();
    xvm_region view = {0};
    xvm_share share;
    xvm_status status = xvm_share_create(&share, size, NULL);

    if (status == XVM_E_UNSUPPORTED)
        SKIP("no shares here");
    CHECK_EQUAL(status, XVM_OK);
    CHECK_EQUAL(xvm_share_map(&share, 0, size, NULL, &view, 0), XVM_OK);
    CHECK_EQUAL(xvm_watch_start(&view, 0, size), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_release(&view), XVM_OK);
    xvm_share_close(&share);
}

TEST(broken_arguments_are_invalid)
{
    xvm_region r = reserve_pages(4, XVM_COMMIT_CHARGED);
    static xvm_region none;
    xvm_watch_info info;
    xvm_range ranges[1];
    size_t count = 7;

    CHECK_EQUAL(xvm_watch_start(NULL, 0, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start(&none, 0, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start(&r, 0, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start(&r, r.size, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start(&r, 1, SIZE_MAX), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, page, XVM_WATCH_NONE), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, page, (xvm_watch_method)5), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, 1, &count), XVM_E_NOT_FOUND);
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(xvm_watch_collect(NULL, XVM_WATCH_RESET, ranges, 1, &count), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_collect(&r, (xvm_watch_reset)2, ranges, 1, &count), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, NULL, 1, &count), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, 0, &count), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_stop(NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_watch_stop(&none), XVM_OK);
    xvm_watch_look(NULL, &info);
    CHECK_EQUAL(info.method, XVM_WATCH_NONE);
    xvm_watch_look(&r, NULL);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

static void check_capacity(xvm_watch_method method)
{
    xvm_region r = reserve_pages(PAGES, XVM_COMMIT_CHARGED);
    unsigned char seen[PAGES], must[PAGES] = {0}, none[PAGES] = {0};
    xvm_range ranges[3];
    size_t count;

    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    for (size_t i = 0; i < PAGES; i += 2)
        at(&r, i)[page - 1] = must[i] = 1;
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, 3, &count), XVM_OK);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(ranges[2].offset, 4 * page);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_KEEP, ranges, 3, &count), XVM_OK);
    CHECK_EQUAL(ranges[0].offset, 6 * page);
    at(&r, 2)[0] = 1; /* before what comes next */
    must[0] = must[4] = 0;
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 2, seen), PAGES / 2 - 2);
    check_seen(seen, must, none);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(what_does_not_fit_comes_with_the_next_call)
{
    with_each_method(check_capacity);
}

static void check_two(xvm_watch_method method)
{
    xvm_region r[2] = {reserve_pages(PAGES, XVM_COMMIT_CHARGED),
                       reserve_pages(PAGES, XVM_COMMIT_CHARGED)};
    unsigned char seen[PAGES];

    for (size_t i = 0; i < 2; i++) {
        CHECK_EQUAL(xvm_commit(&r[i], 0, r[i].size), XVM_OK);
        CHECK_EQUAL(xvm_watch_start_by(&r[i], 0, r[i].size, method), XVM_OK);
    }
    at(&r[0], 5)[0] = at(&r[1], 6)[0] = 1;
    CHECK_EQUAL(collect(&r[0], XVM_WATCH_RESET, 4, seen), 1);
    CHECK(seen[5]);
    CHECK_EQUAL(xvm_watch_stop(&r[0]), XVM_OK);
    CHECK_EQUAL(collect(&r[1], XVM_WATCH_RESET, 4, seen), 1);
    CHECK(seen[6]);
    CHECK_EQUAL(xvm_release(&r[0]), XVM_OK);
    at(&r[1], 7)[0] = 1;
    CHECK_EQUAL(collect(&r[1], XVM_WATCH_RESET, 4, seen), 1);
    CHECK(seen[7]);
    CHECK_EQUAL(xvm_release(&r[1]), XVM_OK);
}

TEST(two_regions_are_watched)
{
    with_each_method(check_two);
}

/* --- against a model -------------------------------------------------------------------------- */

typedef struct model {
    xvm_region r;
    unsigned char state[PAGES]; /* an xvm_protection, 0: reserved, 9: a guard */
    unsigned char must[PAGES], may[PAGES], stale[PAGES], locked[PAGES];
    unsigned char *copy; /* brought up to date with what is reported alone */
    uint64_t seed;
} model;

enum { GUARD = 9 };

static size_t pick(model *m, size_t limit)
{
    return (size_t)(test_random(&m->seed) >> 20) % limit;
}

static bool is_watched(size_t i)
{
    return i >= FIRST && i < LAST;
}

static bool is_committed(const model *m, size_t i)
{
    return m->state[i] != 0 && m->state[i] != GUARD;
}

static void count_range(model *m, unsigned char *which, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (is_watched(i) && is_committed(m, i))
            which[i] = 1;
}

static bool are_all(const model *m, size_t from, size_t to, bool writable)
{
    for (size_t i = from; i < to; i++)
        if (!is_committed(m, i) || (writable && m->state[i] != XVM_READ_WRITE))
            return false;
    return true;
}

static void set_states(model *m, size_t from, size_t to, unsigned char state)
{
    memset(m->state + from, state, to - from);
    if (state == 0 || state == GUARD)
        memset(m->locked + from, 0, to - from);
}

static void write_some(model *m, size_t from, size_t to)
{
    size_t start = from * page + pick(m, page), end = to * page - pick(m, page);

    if (!are_all(m, from, to, true) || start >= end)
        return;
    memset((unsigned char *)m->r.base + start, (int)(1 + pick(m, 255)), end - start);
    count_range(m, m->must, start / page, (end - 1) / page + 1);
}

static void read_some(model *m, size_t from, size_t to)
{
    volatile unsigned char sink = 0;

    for (size_t i = from; i < to; i++)
        if (is_committed(m, i) && m->state[i] != XVM_NO_ACCESS)
            sink = (unsigned char)(sink + at(&m->r, i)[pick(m, page)]);
}

static void protect_some(model *m, size_t from, size_t to)
{
    static const unsigned char kinds[] = {XVM_NO_ACCESS, XVM_READ, XVM_READ_WRITE, XVM_READ_WRITE};
    unsigned char kind = kinds[pick(m, 4)];

    if (!are_all(m, from, to, false))
        return;
    CHECK_EQUAL(xvm_protect(&m->r, from * page, (to - from) * page, (xvm_protection)kind), XVM_OK);
    set_states(m, from, to, kind);
    for (size_t i = from; i < to; i++) /* to be made writable touches a locked page */
        m->may[i] |= m->locked[i] && is_watched(i);
}

static void move_some(model *m, size_t from, size_t to)
{
    size_t count = to - from, target = pick(m, PAGES - count + 1);

    if (!are_all(m, from, to, true) || !are_all(m, target, target + count, true) ||
        (target < to && from < target + count))
        return;
    CHECK_EQUAL(xvm_move(&m->r, target * page, from * page, count * page), XVM_OK);
    count_range(m, m->must, from, to);
    count_range(m, m->must, target, target + count);
}

static void commit_some(model *m, size_t from, size_t to)
{
    CHECK_EQUAL(xvm_commit(&m->r, from * page, (to - from) * page), XVM_OK);
    for (size_t i = from; i < to; i++)
        if (!is_committed(m, i))
            m->state[i] = XVM_READ_WRITE;
}

/* Gives pages up in one of three ways. */
static void give_up_some(model *m, size_t from, size_t to, size_t how)
{
    size_t offset = from * page, size = (to - from) * page;

    if (how == 0) {
        CHECK_EQUAL(xvm_decommit(&m->r, offset, size), XVM_OK);
        count_range(m, m->must, from, to);
        set_states(m, from, to, 0);
    } else if (how == 1) {
        CHECK_EQUAL(xvm_guard(&m->r, offset, size), XVM_OK);
        count_range(m, m->must, from, to);
        set_states(m, from, to, GUARD);
    } else if (are_all(m, from, to, false)) {
        CHECK_EQUAL(xvm_discard(&m->r, offset, size, XVM_DISCARD_ZERO), XVM_OK);
        count_range(m, m->must, from, to);
    }
}

/* What may count, and need not. */
static void hold_some(model *m, size_t from, size_t to)
{
    size_t offset = from * page, size = (to - from) * page;

    if (!are_all(m, from, to, true))
        return;
    if (pick(m, 2) == 0)
        CHECK_EQUAL(xvm_prefault(&m->r, offset, size), XVM_OK);
    else if (xvm_lock(&m->r, offset, size) == XVM_OK)
        memset(m->locked + from, 1, to - from);
    if (pick(m, 2) == 0) {
        CHECK_EQUAL(xvm_unlock(&m->r, offset, size), XVM_OK);
        memset(m->locked + from, 0, to - from);
    }
    count_range(m, m->may, from, to);
}

static void act(model *m)
{
    size_t from = pick(m, PAGES), to = from + 1 + pick(m, PAGES - from < 12 ? PAGES - from : 12);
    size_t what = pick(m, 24);

    if (what < 10)
        write_some(m, from, to);
    else if (what < 13)
        read_some(m, from, to);
    else if (what < 16)
        commit_some(m, from, to);
    else if (what < 19)
        give_up_some(m, from, to, what - 16);
    else if (what < 21)
        protect_some(m, from, to);
    else if (what < 23)
        move_some(m, from, to);
    else
        hold_some(m, from, to);
}

static bool is_readable(const model *m, size_t i)
{
    return is_committed(m, i) && m->state[i] != XVM_NO_ACCESS;
}

/* The reported pages are copied. What is not there will be zero when it is; what cannot be read now is not
 * compared until it is reported again. */
static void copy_seen(model *m, const unsigned char *seen)
{
    for (size_t i = FIRST; i < LAST; i++) {
        if (!seen[i])
            continue;
        m->stale[i] = is_committed(m, i) && !is_readable(m, i);
        if (is_readable(m, i))
            memcpy(m->copy + i * page, at(&m->r, i), page);
        else
            memset(m->copy + i * page, 0, page);
    }
}

static void look_and_compare(model *m)
{
    unsigned char seen[PAGES], kept[PAGES];

    collect(&m->r, XVM_WATCH_KEEP, PAGES, kept);
    check_seen(kept, m->must, m->may);
    collect(&m->r, XVM_WATCH_RESET, 1 + pick(m, 12), seen);
    check_seen(seen, m->must, m->may);
    CHECK(memcmp(kept, seen, PAGES) == 0);
    copy_seen(m, seen);
    memset(m->must, 0, PAGES);
    memset(m->may, 0, PAGES);
    for (size_t i = FIRST; i < LAST; i++)
        if (is_readable(m, i) && !m->stale[i])
            CHECK(memcmp(m->copy + i * page, at(&m->r, i), page) == 0);
}

static void run_model(xvm_watch_method method, xvm_commit_mode mode, uint64_t seed, size_t rounds)
{
    static model m;

    m = (model){.r = reserve_pages(PAGES, mode), .seed = seed};
    m.copy = calloc(PAGES, page);
    CHECK(m.copy != NULL);
    commit_some(&m, 0, PAGES / 2);
    memset(m.r.base, 7, PAGES / 2 * page);
    memset(m.copy, 7, PAGES / 2 * page);
    CHECK_EQUAL(xvm_watch_start_by(&m.r, FIRST * page, (LAST - FIRST) * page, method), XVM_OK);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t steps = 1 + pick(&m, 12); steps > 0; steps--)
            act(&m);
        look_and_compare(&m);
    }
    CHECK_EQUAL(xvm_watch_stop(&m.r), XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        if (m.state[i] == XVM_READ_WRITE)
            at(&m.r, i)[0] = 1;
    CHECK_EQUAL(xvm_release(&m.r), XVM_OK);
    free(m.copy);
}

static void check_model(xvm_watch_method method)
{
    run_model(method, XVM_COMMIT_CHARGED, 1, 1000);
}

TEST(a_thousand_rounds_of_everything_report_what_a_model_expects)
{
    needs_zeroing_that_goes_on();
    with_each_method(check_model);
}

static void check_sparse_model(xvm_watch_method method)
{
    run_model(method, XVM_COMMIT_SPARSE, 2, 300);
}

TEST(sparse_regions_report_what_a_model_expects)
{
    with_each_method(check_sparse_model);
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { WRITERS = 3, SHARE = 64 };

typedef struct race {
    xvm_region r;
    size_t copy[WRITERS * SHARE];
    unsigned running;
    xvm_watch_method method;
    size_t share; /* pages that each thread writes */
} race;

static size_t *counter(const xvm_region *r, size_t i)
{
    return (size_t *)(void *)(at(r, i) + 8 * (i % 64));
}

static void collect_and_copy(race *c)
{
    xvm_range ranges[5];
    size_t count;

    do {
        CHECK_EQUAL(xvm_watch_collect(&c->r, XVM_WATCH_RESET, ranges, 5, &count), XVM_OK);
        for (size_t i = 0; i < count; i++)
            for (size_t p = ranges[i].offset; p < ranges[i].offset + ranges[i].size; p += page)
                c->copy[p / page] = __atomic_load_n(counter(&c->r, p / page), __ATOMIC_RELAXED);
    } while (count == 5);
}

/* Thread 0 collects, the others write: each to pages of its own. */
static void take_part(void *context, int index)
{
    race *c = context;
    uint64_t seed = (uint64_t)index;

    if (index == 0) {
        while (__atomic_load_n(&c->running, __ATOMIC_ACQUIRE) != 0)
            collect_and_copy(c);
        return;
    }
    for (size_t i = 0; i < 20000; i++) {
        size_t p = (size_t)(index - 1) * SHARE + (size_t)(test_random(&seed) >> 30) % c->share;

        __atomic_add_fetch(counter(&c->r, p), 1, __ATOMIC_RELAXED);
    }
    __atomic_sub_fetch(&c->running, 1, __ATOMIC_RELEASE);
}

static void run_race(xvm_watch_method method, size_t share)
{
    static race c;
    size_t lost = 0;

    memset(&c, 0, sizeof c);
    c.r = reserve_pages(WRITERS * SHARE, XVM_COMMIT_CHARGED);
    c.running = WRITERS;
    c.share = share;
    CHECK_EQUAL(xvm_commit(&c.r, 0, c.r.size), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&c.r, 0, c.r.size, method), XVM_OK);
    run_threads(WRITERS + 1, take_part, &c);
    collect_and_copy(&c);
    for (size_t i = 0; i < WRITERS * SHARE; i++)
        lost += *counter(&c.r, i) != c.copy[i];
    CHECK_EQUAL(lost, 0);
    CHECK_EQUAL(xvm_release(&c.r), XVM_OK);
}

static void check_race(xvm_watch_method method)
{
    for (size_t share = 1; share <= SHARE; share *= 4)
        run_race(method, share);
}

TEST(no_write_beside_a_collect_is_lost)
{
    if (memory_is_fake())
        SKIP("it has one thread");
    with_each_method(check_race);
}

/* --- beside calls on other pages -------------------------------------------------------------- */

typedef struct crowd {
    xvm_region r;
    unsigned looks, running;              /* looks that have ended */
    unsigned due[WRITERS * SHARE];        /* the look that has to tell it at the latest */
    unsigned told[WRITERS * SHARE];       /* the last one that has */
    unsigned char state[WRITERS * SHARE]; /* 0: reserved, 1: writable, 2: read only */
} crowd;

static void tell(crowd *c)
{
    unsigned number = c->looks + 1;
    xvm_range ranges[7];
    size_t count;

    do {
        CHECK_EQUAL(xvm_watch_collect(&c->r, XVM_WATCH_RESET, ranges, 7, &count), XVM_OK);
        for (size_t i = 0; i < count; i++)
            for (size_t p = 0; p < ranges[i].size / page; p++)
                c->told[ranges[i].offset / page + p] = number;
    } while (count == 7);
    __atomic_store_n(&c->looks, number, __ATOMIC_SEQ_CST);
}

/* One page of the thread's own becomes something else, or is written. */
static void change(crowd *c, size_t p, unsigned what)
{
    size_t offset = p * page;
    unsigned due = __atomic_load_n(&c->looks, __ATOMIC_SEQ_CST) + 1;
    unsigned char was = c->state[p];

    if (what == 0 && was != 0)
        CHECK_EQUAL(xvm_decommit(&c->r, offset, page), XVM_OK);
    else if (what == 1 && was != 0)
        CHECK_EQUAL(xvm_guard(&c->r, offset, page), XVM_OK);
    else if (what == 2 && was != 0)
        CHECK_EQUAL(xvm_discard(&c->r, offset, page, XVM_DISCARD_ZERO), XVM_OK);
    else if (what == 3 && was == 1)
        CHECK_EQUAL(xvm_protect(&c->r, offset, page, XVM_READ), XVM_OK);
    else if (what == 4 && was == 2)
        CHECK_EQUAL(xvm_protect(&c->r, offset, page, XVM_READ_WRITE), XVM_OK);
    else if (what == 5 && was == 0)
        CHECK_EQUAL(xvm_commit(&c->r, offset, page), XVM_OK);
    else if (what > 5 && was == 1)
        *(volatile unsigned char *)at(&c->r, p) = (unsigned char)(due + what);
    else
        return;
    c->state[p] = (unsigned char)(what < 2 ? 0 : what == 3 ? 2 : what > 3 ? 1 : was);
    if (what < 3 || what > 5)
        c->due[p] = due;
}

static void join_crowd(void *context, int index)
{
    crowd *c = context;
    uint64_t seed = (uint64_t)index;

    while (index == 0 && __atomic_load_n(&c->running, __ATOMIC_SEQ_CST) != 0)
        tell(c);
    for (unsigned i = 0; index != 0 && i < 4000; i++) {
        uint64_t random = test_random(&seed) >> 20;

        change(c, (size_t)(index - 1) * SHARE + (size_t)(random % SHARE),
               (unsigned)(random / SHARE % 10));
    }
    if (index != 0)
        __atomic_sub_fetch(&c->running, 1, __ATOMIC_SEQ_CST);
}

static void mingle(xvm_watch_method method, xvm_commit_mode mode)
{
    static crowd c;

    memset(&c, 0, sizeof c);
    c.r = reserve_pages(WRITERS * SHARE, mode);
    c.running = WRITERS;
    CHECK_EQUAL(xvm_watch_start_by(&c.r, 0, c.r.size, method), XVM_OK);
    run_threads(WRITERS + 1, join_crowd, &c);
    tell(&c);
    for (size_t i = 0; i < WRITERS * SHARE; i++) {
        CHECK(c.told[i] >= c.due[i]);
        if (c.state[i] == 0 && mode == XVM_COMMIT_CHARGED)
            CHECK(faults_on_read(at(&c.r, i)));
    }
    CHECK_EQUAL(xvm_watch_stop(&c.r), XVM_OK);
    CHECK_EQUAL(xvm_commit(&c.r, 0, c.r.size), XVM_OK);
    CHECK_EQUAL(xvm_protect(&c.r, 0, c.r.size, XVM_READ_WRITE), XVM_OK);
    memset(c.r.base, 1, c.r.size);
    CHECK_EQUAL(xvm_release(&c.r), XVM_OK);
}

static void check_crowd(xvm_watch_method method)
{
    mingle(method, XVM_COMMIT_CHARGED);
    mingle(method, XVM_COMMIT_SPARSE);
}

TEST(calls_on_pages_beside_a_collect_are_told)
{
    if (memory_is_fake())
        SKIP("it has one thread");
    with_each_method(check_crowd);
}

/* Thread 0 starts and stops watches, and a thread of the others always is in a handler. */
static void write_beside_starts(void *context, int index)
{
    race *c = context;

    for (size_t i = 0; index == 0 && i < 200; i++) {
        xvm_region r = reserve_pages(8, XVM_COMMIT_CHARGED);
        unsigned char seen[8];

        CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
        CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, c->method), XVM_OK);
        at(&r, i % 8)[0] = 1;
        CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 8, seen), 1);
        at(&r, i % 8)[0] = 1;
        CHECK_EQUAL(i % 2 == 0 ? xvm_watch_stop(&r) : XVM_OK, XVM_OK);
        CHECK_EQUAL(xvm_release(&r), XVM_OK);
    }
    if (index == 0)
        __atomic_store_n(&c->running, 0, __ATOMIC_RELEASE);
    if (index == 1)
        while (__atomic_load_n(&c->running, __ATOMIC_ACQUIRE) != 0)
            collect_and_copy(c);
    for (size_t i = 0; index > 1 && __atomic_load_n(&c->running, __ATOMIC_ACQUIRE) != 0; i++)
        __atomic_add_fetch(counter(&c->r, i % SHARE + (size_t)(index - 2) * SHARE), 1,
                           __ATOMIC_RELAXED);
}

static void check_starts(xvm_watch_method method)
{
    static race c;

    memset(&c, 0, sizeof c);
    c.r = reserve_pages(WRITERS * SHARE, XVM_COMMIT_CHARGED);
    c.running = 1;
    c.method = method;
    CHECK_EQUAL(xvm_commit(&c.r, 0, c.r.size), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&c.r, 0, c.r.size, method), XVM_OK);
    run_threads(WRITERS + 2, write_beside_starts, &c);
    collect_and_copy(&c);
    for (size_t i = 0; i < WRITERS * SHARE; i++)
        CHECK_EQUAL(*counter(&c.r, i), c.copy[i]);
    CHECK_EQUAL(xvm_release(&c.r), XVM_OK);
}

TEST(watches_start_and_stop_beside_writers)
{
    if (memory_is_fake())
        SKIP("it has one thread");
    with_each_method(check_starts);
}

/* --- refused calls ---------------------------------------------------------------------------- */

typedef xvm_status (*action)(xvm_region *r, xvm_watch_method method);

static xvm_status step_start(xvm_region *r, xvm_watch_method method)
{
    return xvm_watch_start_by(r, 0, r->size, method);
}

static xvm_status step_stop(xvm_region *r, xvm_watch_method method)
{
    (void)method;
    return xvm_watch_stop(r);
}

static xvm_status step_keep(xvm_region *r, xvm_watch_method method)
{
    xvm_range ranges[PAGES];
    size_t count = 1;
    xvm_status status = xvm_watch_collect(r, XVM_WATCH_KEEP, ranges, PAGES, &count);

    (void)method;
    CHECK(status == XVM_OK || count == 0);
    return status;
}

/* What a look that succeeds has reported is written again, so that all of it must come. */
static xvm_status step_collect(xvm_region *r, xvm_watch_method method)
{
    xvm_range ranges[PAGES];
    size_t count = 1;
    xvm_status status = xvm_watch_collect(r, XVM_WATCH_RESET, ranges, PAGES, &count);

    (void)method;
    CHECK(status == XVM_OK || count == 0);
    for (size_t i = 0; i < count; i++)
        memset((unsigned char *)r->base + ranges[i].offset, 9, ranges[i].size);
    return status;
}

static xvm_status step_commit(xvm_region *r, xvm_watch_method method)
{
    (void)method;
    return xvm_commit(r, 0, r->size);
}

static xvm_status step_discard(xvm_region *r, xvm_watch_method method)
{
    (void)method;
    return xvm_discard(r, 0, 8 * page, XVM_DISCARD_ZERO);
}

static xvm_status step_protect(xvm_region *r, xvm_watch_method method)
{
    xvm_status status = xvm_protect(r, 4 * page, 20 * page, XVM_READ);

    (void)method;
    return status == XVM_OK ? xvm_protect(r, 4 * page, 20 * page, XVM_READ_WRITE) : status;
}

static xvm_status step_guard(xvm_region *r, xvm_watch_method method)
{
    xvm_status status = xvm_guard(r, 24 * page, 4 * page);

    (void)method;
    return status == XVM_OK ? xvm_commit(r, 24 * page, 4 * page) : status;
}

static xvm_status step_decommit(xvm_region *r, xvm_watch_method method)
{
    xvm_status status = xvm_decommit(r, 24 * page, 8 * page);

    (void)method;
    return status == XVM_OK ? xvm_commit(r, 24 * page, 8 * page) : status;
}

static xvm_status step_move(xvm_region *r, xvm_watch_method method)
{
    (void)method;
    return xvm_move(r, 0, 12 * page, 8 * page);
}

static xvm_status step_lock(xvm_region *r, xvm_watch_method method)
{
    (void)method;
    if (xvm_lock(r, 0, 8 * page) != XVM_OK)
        return XVM_OK;
    return xvm_unlock(r, 0, 8 * page);
}

/* One step with one call refused; how many were. Afterwards all that is committed can be written, and all that
 * was written is reported. */
static size_t step_against(action take, const char *script, xvm_watch_method method,
                           xvm_commit_mode mode)
{
    xvm_region r = reserve_pages(PAGES, mode);
    unsigned char seen[PAGES], must[PAGES] = {0}, all[PAGES];
    xvm_watch_info info;
    xvm_usage usage;
    size_t refused;

    memset(all, 1, PAGES);
    CHECK_EQUAL(xvm_commit(&r, 0, PAGES / 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    for (size_t i = 0; i < PAGES / 2; i += 3)
        at(&r, i)[1] = must[i] = 1;
    if (take == step_start)
        CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    CHECK(xvm_inject(script) == XVM_OK);
    (void)take(&r, method);
    refused = xvm_injected();
    CHECK(xvm_inject(NULL) == XVM_OK);
    xvm_watch_look(&r, &info);
    if (info.method != method) {
        CHECK(take == step_start || take == step_stop);
        memset(must, 0, PAGES);
        CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    } else if (take == step_start) {
        memset(must, 0, PAGES);
    }
    xvm_region_usage(&r, &usage);
    CHECK(usage.committed >= PAGES / 2 * page || take == step_guard || take == step_decommit);
    CHECK_EQUAL(xvm_commit(&r, 24 * page, 8 * page), XVM_OK);
    CHECK_EQUAL(xvm_protect(&r, 0, PAGES / 2 * page, XVM_READ_WRITE), XVM_OK);
    for (size_t i = 0; i < PAGES / 2; i += 5)
        at(&r, i)[1] = must[i] = 1;
    collect(&r, XVM_WATCH_RESET, 4, seen);
    check_seen(seen, must, all);
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 4, seen), 0);
    at(&r, 7)[0] = 1;
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 4, seen), 1);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
    return refused;
}

static void check_refusals(xvm_watch_method method)
{
    static const action steps[] = {step_start,    step_stop,    step_keep,  step_collect,
                                   step_commit,   step_discard, step_guard, step_protect,
                                   step_decommit, step_move,    step_lock};
    char script[32];
    holdings before, after;

    xvm_limits limits;

    CHECK_EQUAL(xvm_get_limits(&limits), XVM_OK); /* descriptors stay open */
    (void)step_against(step_collect, NULL, method, XVM_COMMIT_CHARGED);
    look_at_process(&before);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (unsigned mode = 0; mode < 2; mode++)
            for (unsigned n = 1;; n++) {
                snprintf(script, sizeof script, "*@%u", n);
                if (step_against(steps[i], script, method, (xvm_commit_mode)mode) == 0)
                    break;
            }
    look_at_process(&after);
    if (!memory_is_emulated()) /* sanitizers take addresses, too */
        CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.handles, before.handles);
}

TEST(a_refused_call_loses_no_write)
{
    needs_zeroing_that_goes_on();
    with_each_method(check_refusals);
}

static void check_release(xvm_watch_method method)
{
    xvm_region r = reserve_pages(PAGES, XVM_COMMIT_CHARGED);
    unsigned char seen[PAGES];

    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    CHECK(xvm_inject("release@1") == XVM_OK);
    CHECK(xvm_release(&r) != XVM_OK);
    at(&r, 9)[0] = 1;
    CHECK_EQUAL(collect(&r, XVM_WATCH_RESET, 4, seen), 1);
    CHECK(xvm_inject("release@2") == XVM_OK);
    CHECK(xvm_release(&r) != XVM_OK);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(a_refused_release_goes_on_watching)
{
    with_each_method(check_release);
}

/* --- large, and in use ------------------------------------------------------------------------ */

static void check_large(xvm_watch_method method)
{
    enum { PLACES = 8 };
    xvm_reserve_options o = {.commit_mode = XVM_COMMIT_SPARSE, .flags = XVM_RESERVE_WATCHED};
    size_t size = (size_t)1 << (sizeof size > 4 ? 36 : 28), apart = size / PLACES, count;
    xvm_range ranges[PLACES];
    xvm_region r;

    page = xvm_page_size();
    if (memory_is_emulated() || xvm_reserve(&r, size, &o) != XVM_OK)
        return;
    CHECK_EQUAL(xvm_watch_start_by(&r, 0, r.size, method), XVM_OK);
    for (size_t i = 0; i < PLACES; i++)
        CHECK_EQUAL(xvm_commit(&r, i * apart + i * page, 3 * page), XVM_OK);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, PLACES, &count), XVM_OK);
    CHECK_EQUAL(count, 0);
    for (size_t i = 0; i < PLACES; i += 3)
        ((unsigned char *)r.base)[i * apart + i * page + page] = 1;
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, ranges, PLACES, &count), XVM_OK);
    CHECK_EQUAL(count, 3);
    for (size_t i = 0; i < count; i++)
        CHECK_EQUAL(ranges[i].offset, 3 * i * (apart + page) + page);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

TEST(few_pages_of_64_gib_are_found)
{
    with_each_method(check_large);
}

enum { BLOCKS = 400, HEAP = 8 << 20 };

typedef struct heap_model {
    xvm_region r;
    xvm_heap *heap;
    unsigned char *blocks[BLOCKS];
    unsigned char *copy;
    uint64_t seed;
} heap_model;

static void use_heap(heap_model *m, size_t round)
{
    for (size_t k = 0; k < 100; k++) {
        size_t i = (size_t)(test_random(&m->seed) >> 30) % BLOCKS;
        size_t size = (size_t)(test_random(&m->seed) >> 30) % (k % 50 == 0 ? 100000 : 2000);

        xvm_heap_free(m->heap, m->blocks[i]);
        m->blocks[i] = xvm_heap_alloc(m->heap, size);
        if (m->blocks[i] != NULL)
            memset(m->blocks[i], (int)(round + k), size);
    }
    if (round % 5 == 4)
        xvm_heap_trim(m->heap, 0);
}

/* Does something for each run of equal pages in a range of the region; with NULL where they cannot be
 * read. */
static void for_each_span(heap_model *m, xvm_range range,
                          void (*look)(unsigned char *copy, const unsigned char *bytes,
                                       size_t size))
{
    size_t end = range.offset + range.size, step;
    xvm_span span;

    for (size_t p = range.offset; p < end; p += step) {
        unsigned char *bytes = (unsigned char *)m->r.base + p;

        CHECK_EQUAL(xvm_query(bytes, &span), XVM_OK);
        step = (size_t)((unsigned char *)span.base + span.size - bytes);
        step = step < end - p ? step : end - p;
        look(m->copy + p,
             span.state == XVM_COMMITTED && span.protection != XVM_NO_ACCESS ? bytes : NULL, step);
    }
}

/* A tool that watches the heap knows that its blocks are not ours to read. */
#define UNWATCHED __attribute__((no_sanitize_address))

UNWATCHED static void copy_span(unsigned char *copy, const unsigned char *bytes, size_t size)
{
    const volatile size_t *from = (const volatile size_t *)(const void *)bytes;
    size_t *to = (size_t *)(void *)copy;

    for (size_t i = 0; i < size / sizeof *to; i++)
        to[i] = bytes != NULL ? from[i] : 0;
}

UNWATCHED static void compare_span(unsigned char *copy, const unsigned char *bytes, size_t size)
{
    const volatile size_t *is = (const volatile size_t *)(const void *)bytes;
    const size_t *was = (const size_t *)(void *)copy;

    for (size_t i = 0; bytes != NULL && i < size / sizeof *was; i++)
        CHECK(is[i] == was[i]);
}

/* A heap works on, and what its region holds is what the reported pages hold. */
static void check_heap(xvm_watch_method method)
{
    static heap_model m;
    xvm_reserve_options o = {.flags = XVM_RESERVE_WATCHED};
    xvm_range ranges[16];
    size_t count;

    m = (heap_model){.copy = calloc(1, HEAP), .seed = 5};
    CHECK(m.copy != NULL);
    CHECK_EQUAL(xvm_reserve(&m.r, HEAP, &o), XVM_OK);
    CHECK_EQUAL(xvm_watch_start_by(&m.r, 0, m.r.size, method), XVM_OK);
    CHECK_EQUAL(xvm_heap_create_in(&m.heap, &m.r, NULL), XVM_OK);
    for (size_t round = 0; round < (memory_is_emulated() ? 10 : 40); round++) {
        use_heap(&m, round);
        do {
            CHECK_EQUAL(xvm_watch_collect(&m.r, XVM_WATCH_RESET, ranges, 16, &count), XVM_OK);
            for (size_t i = 0; i < count; i++)
                for_each_span(&m, ranges[i], copy_span);
        } while (count == 16);
        for_each_span(&m, (xvm_range){0, m.r.size}, compare_span);
    }
    CHECK_EQUAL(xvm_heap_check(m.heap), XVM_OK);
    xvm_heap_destroy(m.heap);
    CHECK_EQUAL(xvm_release(&m.r), XVM_OK);
    free(m.copy);
}

TEST(a_heap_in_a_watched_region_works_on)
{
    needs_zeroing_that_goes_on();
    with_each_method(check_heap);
}

/* test_snapshot_model.c - random writes, commits, decommits, snapshots, restores and drops, beside plain
 * copies of everything: after each restore every byte and every state is that of the copy. */
#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 40, KEPT = 7, ROUNDS = 10000 };

/* A plain copy. */
typedef struct copy {
    uint64_t id; /* 0: none */
    unsigned char states[PAGES];
    unsigned char *bytes;
} copy;

typedef struct model {
    xvm_region region;
    xvm_snapshots *snapshots;
    copy copies[KEPT];
    uint64_t seed;
    size_t page;
} model;

static size_t pick(model *m, size_t below)
{
    return (size_t)(test_random(&m->seed) >> 11) % below;
}

static unsigned char *at(const model *m, size_t i)
{
    return (unsigned char *)m->region.base + i * m->page;
}

static void look_at_states(const model *m, unsigned char *states)
{
    xvm_run run;

    for (size_t i = 0; i < PAGES; i++) {
        CHECK_EQUAL(xvm_region_run(&m->region, i * m->page, &run), XVM_OK);
        states[i] = (unsigned char)run.state;
    }
}

/* --- what changes ----------------------------------------------------------------------------- */

static bool is_committed(const model *m, size_t i)
{
    xvm_run run;

    return xvm_region_run(&m->region, i * m->page, &run) == XVM_OK && run.state == XVM_COMMITTED;
}

static void write_some(model *m)
{
    for (size_t count = pick(m, 12); count != 0; count--) {
        size_t i = pick(m, PAGES), from = pick(m, m->page - 64);

        if (is_committed(m, i))
            memset(at(m, i) + from, (int)pick(m, 4), 1 + pick(m, 64)); /* often zeros */
    }
}

static void change_states(model *m)
{
    size_t from = pick(m, PAGES), count = 1 + pick(m, PAGES - from), i = pick(m, 6);
    size_t offset = from * m->page, size = (count < 9 ? count : 9) * m->page;

    if (i < 2) {
        CHECK_EQUAL(xvm_commit(&m->region, offset, size), XVM_OK);
    } else if (i == 2) {
        CHECK_EQUAL(xvm_decommit(&m->region, offset, size), XVM_OK);
    } else if (i == 3) {
        CHECK_EQUAL(xvm_guard(&m->region, offset, size), XVM_OK);
    } else if (i == 4) {
        (void)xvm_discard(&m->region, offset, size, XVM_DISCARD_ZERO);
    } else {
        CHECK_EQUAL(xvm_decommit(&m->region, offset, size), XVM_OK);
        CHECK_EQUAL(xvm_commit(&m->region, offset, size), XVM_OK);
    }
}

/* --- snapshots -------------------------------------------------------------------------------- */

static copy *find_copy(model *m, uint64_t id)
{
    for (size_t i = 0; i < KEPT; i++)
        if (m->copies[i].id == id)
            return &m->copies[i];
    return NULL;
}

/* One of the snapshots there are; NULL: none. */
static copy *pick_copy(model *m)
{
    size_t first = pick(m, KEPT);

    for (size_t i = 0; i < KEPT; i++)
        if (m->copies[(first + i) % KEPT].id != 0)
            return &m->copies[(first + i) % KEPT];
    return NULL;
}

static void take(model *m)
{
    xvm_snapshots_use use;
    uint64_t id;
    copy *c;

    CHECK_EQUAL(xvm_snapshots_take(m->snapshots, &id), XVM_OK);
    xvm_snapshots_usage(m->snapshots, &use);
    for (size_t i = 0; i < KEPT; i++)
        if (m->copies[i].id < use.oldest)
            m->copies[i].id = 0;
    c = find_copy(m, 0);
    CHECK(c != NULL);
    c->id = id;
    look_at_states(m, c->states);
    for (size_t i = 0; i < PAGES; i++)
        if (c->states[i] == XVM_COMMITTED)
            memcpy(c->bytes + i * m->page, at(m, i), m->page);
}

static void check_copy(const model *m, const copy *c)
{
    unsigned char states[PAGES];

    look_at_states(m, states);
    CHECK(memcmp(states, c->states, sizeof states) == 0);
    for (size_t i = 0; i < PAGES; i++)
        if (states[i] == XVM_COMMITTED)
            CHECK(memcmp(c->bytes + i * m->page, at(m, i), m->page) == 0);
}

static void restore(model *m)
{
    copy *c = pick_copy(m);

    if (c == NULL)
        return;
    CHECK_EQUAL(xvm_snapshots_restore(m->snapshots, c->id), XVM_OK);
    check_copy(m, c);
}

static void rewind_to(model *m)
{
    copy *c = pick_copy(m);

    if (c == NULL)
        return;
    CHECK_EQUAL(xvm_snapshots_rewind(m->snapshots, c->id), XVM_OK);
    check_copy(m, c);
    for (size_t i = 0; i < KEPT; i++)
        if (m->copies[i].id > c->id)
            m->copies[i].id = 0;
}

static void drop(model *m)
{
    copy *c = pick_copy(m);

    if (c == NULL)
        return;
    CHECK_EQUAL(xvm_snapshots_drop(m->snapshots, c->id), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_restore(m->snapshots, c->id), XVM_E_NOT_FOUND);
    c->id = 0;
}

static void prepare(model *m)
{
    size_t left;

    CHECK_EQUAL(xvm_snapshots_prepare(m->snapshots, m->page * (1 + pick(m, 9)), &left), XVM_OK);
}

static void step(model *m)
{
    size_t what = pick(m, 32);

    write_some(m);
    if (what < 8)
        change_states(m);
    else if (what < 18)
        take(m);
    else if (what < 25)
        restore(m);
    else if (what < 27)
        rewind_to(m);
    else if (what < 29)
        drop(m);
    else if (what == 29)
        prepare(m);
    else if (what == 30)
        (void)xvm_snapshots_trim(m->snapshots);
}

/* What all of them need, and nothing else, is held: never more than all copies have. */
static void check_use(const model *m)
{
    xvm_snapshots_use use;
    size_t count = 0;

    xvm_snapshots_usage(m->snapshots, &use);
    for (size_t i = 0; i < KEPT; i++)
        count += m->copies[i].id != 0;
    CHECK_EQUAL(use.count, count);
    CHECK(use.bytes <= (count + 1) * PAGES * m->page);
    CHECK(use.bytes <= use.committed);
}

static void run(uint64_t seed, unsigned rounds, const xvm_reserve_options *reserve,
                const xvm_snapshots_options *options)
{
    model m = {.seed = seed, .page = xvm_page_size()};
    xvm_snapshots_options o = *options;

    if (o.max_bytes != 0)
        o.max_bytes *= m.page;
    CHECK_EQUAL(xvm_reserve(&m.region, PAGES * m.page, reserve), XVM_OK);
    for (size_t i = 0; i < KEPT; i++) {
        m.copies[i].bytes = malloc(PAGES * m.page);
        CHECK(m.copies[i].bytes != NULL);
    }
    if (xvm_snapshots_create(&m.snapshots, &m.region, &o) != XVM_OK)
        SKIP("no such watch here");
    for (unsigned i = 0; i < rounds; i++) {
        step(&m);
        check_use(&m);
    }
    xvm_snapshots_destroy(m.snapshots);
    for (size_t i = 0; i < KEPT; i++)
        free(m.copies[i].bytes);
    CHECK_EQUAL(xvm_release(&m.region), XVM_OK);
}

TEST(ten_thousand_rounds_are_what_plain_copies_are)
{
    run(1, ROUNDS, NULL, &(xvm_snapshots_options){.max_count = KEPT});
}

TEST(rounds_by_protection_are_what_plain_copies_are)
{
    run(2, ROUNDS / 4, NULL,
        &(xvm_snapshots_options){.max_count = KEPT, .method = XVM_WATCH_PROTECT});
}

TEST(rounds_under_a_cap_are_what_plain_copies_are)
{
    run(3, ROUNDS / 4, NULL, &(xvm_snapshots_options){.max_count = KEPT, .max_bytes = PAGES + 9});
}

TEST(rounds_in_a_sparse_region_are_what_plain_copies_are)
{
    run(4, ROUNDS / 4, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE},
        &(xvm_snapshots_options){.max_count = KEPT});
}

TEST(rounds_with_one_snapshot_are_what_plain_copies_are)
{
    run(5, ROUNDS / 4, NULL, &(xvm_snapshots_options){.max_count = 1});
}

/* What is committed there is a huge page at least. */
TEST(rounds_with_huge_pages_are_what_plain_copies_are)
{
    run(6, ROUNDS / 20, &(xvm_reserve_options){.huge = XVM_HUGE_TRANSPARENT},
        &(xvm_snapshots_options){.max_count = KEPT});
}

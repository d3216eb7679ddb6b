/* test_pool.c - blocks of one size: what get and put promise, refusals, growth, handles, sets, threads.
 */
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, SHARED = XVM_POOL_SHARED, HANDLES = XVM_POOL_HANDLES };

static size_t calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    calls++;
}

static void create(xvm_pool *p, size_t size, size_t alignment, size_t most, unsigned flags)
{
    xvm_pool_options o = {.flags = flags};

    CHECK_EQUAL(xvm_pool_create(p, size, alignment, most, &o), XVM_OK);
}

static void check(xvm_pool *p, size_t live)
{
    xvm_pool_count c;

    CHECK_EQUAL(xvm_pool_check(p), XVM_OK);
    xvm_pool_counts(p, &c);
    CHECK_EQUAL(c.live, live);
    CHECK(c.live <= c.peak && c.peak <= c.capacity && c.live <= c.ready && c.ready <= c.capacity);
}

/* Every kind of pool, for what holds for all. */
static const unsigned kinds[] = {0, SHARED, HANDLES, SHARED | HANDLES};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* --- get and put ------------------------------------------------------------------------------ */

TEST(blocks_are_apart_and_aligned)
{
    static const size_t shapes[][2] = {{1, 1},    {2, 1},   {3, 1},      {7, 4},     {8, 8},
                                       {12, 4},   {24, 8},  {16, 0},     {100, 64},  {96, 32},
                                       {1000, 1}, {64, 64}, {4097, 512}, {40, 65536}};
    enum { COUNT = 50 };

    for (size_t i = 0; i < KINDS * (sizeof shapes / sizeof *shapes); i++) {
        size_t size = shapes[i / KINDS][0], alignment = shapes[i / KINDS][1];
        unsigned char *blocks[COUNT];
        xvm_pool p;

        create(&p, size, alignment, COUNT, kinds[i % KINDS]);
        for (size_t k = 0; k < COUNT; k++) {
            blocks[k] = xvm_pool_get(&p);
            CHECK(blocks[k] != NULL);
            CHECK((uintptr_t)blocks[k] % (alignment != 0 ? alignment : 16) == 0);
            CHECK_EQUAL(xvm_pool_index(&p, blocks[k]), k);
            memset(blocks[k], (int)k + 1, size);
        }
        CHECK(xvm_pool_get(&p) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        for (size_t k = 0; k < COUNT; k++)
            for (size_t at = 0; at<size; at += size> 1 ? size - 1 : 1)
                CHECK_EQUAL(blocks[k][at], k + 1);
        check(&p, COUNT);
        for (size_t k = 0; k < COUNT; k++)
            CHECK_EQUAL(xvm_pool_put(&p, blocks[k]), XVM_OK);
        check(&p, 0);
        for (size_t k = COUNT; k > 0; k--)
            CHECK(xvm_pool_get(&p) == blocks[k - 1]); /* last in, first out */
        xvm_pool_destroy(&p);
    }
}

TEST(a_put_that_is_none_is_refused)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        unsigned char *a, *b, *c, on_stack;
        xvm_pool p, other;
        xvm_pool_count before, after;

        create(&p, 48, 16, 2000, kinds[kind]);
        create(&other, 48, 16, 2000, kinds[kind]);
        a = xvm_pool_get(&p);
        b = xvm_pool_get(&p);
        c = xvm_pool_get(&other);
        CHECK_EQUAL(xvm_pool_put(&p, a), XVM_OK);
        xvm_pool_counts(&p, &before);
        CHECK_EQUAL(xvm_pool_put(&p, a), XVM_E_INVALID); /* free already */
        CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
        for (size_t at = 1; at < 48; at++)
            CHECK_EQUAL(xvm_pool_put(&p, b + at), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, c), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, &on_stack), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, p.base - p.stride), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, p.base + 100 * p.stride), XVM_E_INVALID); /* never out */
        CHECK_EQUAL(xvm_pool_put(&p, p.base + 5000 * p.stride), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, (void *)1), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, (void *)UINTPTR_MAX), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put(&p, NULL), XVM_OK);
        xvm_pool_counts(&p, &after);
        CHECK(memcmp(&before, &after, sizeof before) == 0);
        check(&p, 1);
        CHECK(xvm_pool_get(&p) == a && xvm_pool_get(&p) != a);
        check(&p, 3);
        xvm_pool_destroy(&other);
        xvm_pool_destroy(&p);
    }
}

/* Every byte of a pool, for strides odd, even and powers of two: just the first of each block is one. */
TEST(an_index_is_exact)
{
    static const size_t sizes[] = {1, 3, 5, 6, 7, 16, 24, 48, 100, 640, 1000};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xvm_pool p;

        create(&p, sizes[i], 1, 300, 0);
        for (size_t at = 0; at < 310 * p.stride; at++) {
            size_t index = xvm_pool_index(&p, p.base + at);

            CHECK(at % p.stride != 0 || index == at / p.stride);
            CHECK(at % p.stride == 0 || index >= SIZE_MAX / p.stride);
        }
        for (size_t at = 1; at < 1000; at++)
            CHECK(xvm_pool_index(&p, (void *)((uintptr_t)p.base - at)) >= 300);
        xvm_pool_destroy(&p);
    }
}

TEST(ownership_is_told)
{
    unsigned char *block, on_stack;
    xvm_pool p;

    create(&p, 32, 0, 10, 0);
    block = xvm_pool_get(&p);
    CHECK(xvm_pool_owns(&p, block) && xvm_pool_owns(&p, block + 31));
    CHECK(xvm_pool_owns(&p, p.base + 10 * p.stride - 1) && !xvm_pool_owns(&p, &on_stack));
    CHECK(!xvm_pool_owns(&p, p.base + 10 * p.stride) && !xvm_pool_owns(&p, p.base - 1));
    CHECK(!xvm_pool_owns(&p, NULL));
    CHECK(xvm_pool_is_live(&p, block) && !xvm_pool_is_live(&p, block + 1));
    CHECK(!xvm_pool_is_live(&p, block + p.stride) && !xvm_pool_is_live(&p, &on_stack));
    CHECK(xvm_pool_put(&p, block) == XVM_OK && !xvm_pool_is_live(&p, block));
    xvm_pool_destroy(&p);
    CHECK(!xvm_pool_owns(&p, block) && !xvm_pool_owns(&p, NULL));
}

TEST(zeroed_blocks_are_zero)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        unsigned char *blocks[64];
        xvm_pool p;

        create(&p, 1000, 8, 2000, kinds[kind]);
        for (int round = 0; round < 4; round++) {
            size_t count = round == 1 ? 40 : 64;

            for (size_t i = 0; i < count; i++) {
                blocks[i] = xvm_pool_get_zeroed(&p);
                CHECK(blocks[i] != NULL);
                for (size_t at = 0; at < 1000; at++)
                    CHECK(blocks[i][at] == 0);
                memset(blocks[i], 0xee, 1000);
            }
            check(&p, count);
            if (round == 0) {
                for (size_t i = 0; i < count; i++)
                    CHECK_EQUAL(xvm_pool_put(&p, blocks[i]), XVM_OK);
            } else {
                xvm_pool_clear(&p);
            }
            if (round == 2)
                (void)xvm_pool_trim(&p);
            check(&p, 0);
        }
        xvm_pool_destroy(&p);
    }
}

/* --- growth and giving back ------------------------------------------------------------------- */

TEST(memory_comes_with_the_blocks_and_goes)
{
    enum { COUNT = 20000, SIZE = 256 };
    static void *blocks[COUNT];

    for (size_t kind = 0; kind < KINDS; kind++) {
        xvm_budget b;
        xvm_pool p;
        xvm_pool_options o = {.flags = kinds[kind], .growth = {.budget = &b}};
        size_t given;

        CHECK_EQUAL(xvm_budget_init(&b, "pool", NULL, SIZE_MAX), XVM_OK);
        CHECK_EQUAL(xvm_pool_create(&p, SIZE, 0, COUNT, &o), XVM_OK);
        CHECK(b.used <= 64 * KiB + 4 * xvm_page_size());
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = xvm_pool_get(&p);
            memset(blocks[i], 1, SIZE);
        }
        CHECK(b.used >= (uint64_t)COUNT * SIZE);
        for (size_t i = 100; i < COUNT; i++)
            CHECK_EQUAL(xvm_pool_put(&p, blocks[i]), XVM_OK);
        CHECK_EQUAL(xvm_pool_put(&p, blocks[50]), XVM_OK);
        check(&p, 99);
        given = xvm_pool_trim(&p);
        CHECK(given >= (size_t)(COUNT - 100) * SIZE - 2 * xvm_page_size());
        CHECK(b.used <= 100 * 300 + 256 * KiB + 4 * xvm_page_size());
        check(&p, 99);
        CHECK_EQUAL(xvm_pool_trim(&p), 0);
        CHECK_EQUAL(xvm_pool_put(&p, blocks[200]), XVM_E_INVALID);
        CHECK(xvm_pool_get(&p) == blocks[50]);
        for (size_t i = 100; i < COUNT; i++)
            CHECK(xvm_pool_get_zeroed(&p) != NULL);
        check(&p, COUNT);
        CHECK(xvm_pool_get(&p) == NULL);
        xvm_pool_destroy(&p);
        CHECK_EQUAL(b.used, 0);
    }
}

/* Each call of a growth refused in its turn: NULL, nothing has changed, and the next try succeeds. */
TEST(a_refused_growth_changes_nothing)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (int n = 1;; n++) {
            xvm_pool_options o = {.flags = kinds[kind], .growth = {.step = 1}};
            char script[32];
            size_t refused, live = 0;
            xvm_pool p;
            void *block;

            CHECK_EQUAL(xvm_pool_create(&p, 3000, 8, 3000, &o), XVM_OK);
            snprintf(script, sizeof script, "*@%d+", n);
            CHECK(xvm_inject(script) == XVM_OK);
            while (live < 40 && (block = xvm_pool_get(&p)) != NULL)
                live++;
            refused = xvm_injected();
            CHECK(xvm_inject(NULL) == XVM_OK);
            CHECK(live == 40 || xvm_last_status() == XVM_E_COMMIT_LIMIT);
            check(&p, live);
            CHECK(xvm_pool_get(&p) != NULL && xvm_pool_get_zeroed(&p) != NULL);
            check(&p, live + 2);
            xvm_pool_destroy(&p);
            if (refused == 0)
                break;
        }
    }
}

TEST(a_refused_creation_leaves_nothing)
{
    unsigned flags[] = {0, SHARED, XVM_POOL_REALTIME | SHARED};

    for (size_t i = 0; i < 3; i++) {
        for (int n = 1;; n++) {
            xvm_pool_options o = {.flags = flags[i]};
            static const xvm_pool zero;
            char script[32];
            xvm_status status;
            size_t refused;
            xvm_pool p;

            snprintf(script, sizeof script, "*@%d+", n);
            CHECK(xvm_inject(script) == XVM_OK);
            status = xvm_pool_create(&p, 64, 64, 1500, &o);
            refused = xvm_injected();
            CHECK(xvm_inject(NULL) == XVM_OK);
            CHECK(status == XVM_OK || memcmp(&p, &zero, sizeof p) == 0);
            CHECK(status != XVM_OK || refused == 0 || xvm_pool_check(&p) == XVM_OK);
            xvm_pool_destroy(&p);
            if (refused == 0)
                break;
        }
    }
}

TEST(broken_arguments_are_refused)
{
    static const xvm_pool zero;
    xvm_pool p;

    CHECK_EQUAL(xvm_pool_create(NULL, 1, 1, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_create(&p, 0, 1, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_create(&p, 1, 3, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_create(&p, 1, 1, 0, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_create(&p, 1, 1, 1, &(xvm_pool_options){.flags = 64}), XVM_E_INVALID);
    for (size_t k = 0; k < 64; k++) {
        CHECK_EQUAL(xvm_pool_create(&p, SIZE_MAX - k, 16, 1, NULL), XVM_E_ADDRESS_SPACE);
        CHECK_EQUAL(xvm_pool_create(&p, 16, 16, SIZE_MAX - k, NULL), XVM_E_ADDRESS_SPACE);
        CHECK_EQUAL(xvm_pool_create(&p, SIZE_MAX / 2 - k, 1, 3, NULL), XVM_E_ADDRESS_SPACE);
        CHECK_EQUAL(xvm_pool_footprint(SIZE_MAX - k, 16, 1, NULL), 0);
    }
    CHECK_EQUAL(xvm_pool_create(&p, 16, SIZE_MAX / 2 + 1, 1, NULL), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_pool_create(&p, 16, 0, 16777215, &(xvm_pool_options){.flags = HANDLES}),
                XVM_E_ADDRESS_SPACE);
    CHECK(memcmp(&p, &zero, sizeof p) == 0);
    CHECK(xvm_pool_get(&p) == NULL && xvm_last_status() == XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_put(&p, &p), XVM_E_INVALID);
    CHECK(xvm_pool_trim(&p) == 0 && xvm_pool_trim(NULL) == 0);
    CHECK(xvm_pool_check(&p) == XVM_OK && xvm_pool_check(NULL) == XVM_E_INVALID);
    xvm_pool_clear(&p);
    xvm_pool_clear(NULL);
    set_last_error(77);
    xvm_pool_destroy(&p);
    xvm_pool_destroy(NULL);
    create(&p, 16, 16, 5000, SHARED);
    CHECK(xvm_pool_put(&p, xvm_pool_get(&p)) == XVM_OK);
    xvm_pool_destroy(&p);
    CHECK_EQUAL(get_last_error(), 77);
}

TEST(pools_lie_in_a_region_of_the_caller)
{
    xvm_region r;
    xvm_usage u;
    xvm_pool a, b;
    size_t first, second;
    xvm_pool_options o = {.growth = {.region = &r}};

    CHECK_EQUAL(xvm_reserve(&r, 8 * MiB, NULL), XVM_OK);
    first = xvm_pool_footprint(40, 8, 1000, &o);
    CHECK(first >= 44 * 1000 && first % xvm_commit_unit(&r) == 0);
    CHECK_EQUAL(xvm_pool_create(&a, 40, 8, 1000, &o), XVM_OK);
    o.growth.offset = first;
    o.flags = SHARED;
    second = xvm_pool_footprint(100, 0, 2000, &o);
    CHECK_EQUAL(xvm_pool_create(&b, 100, 0, 2000, &o), XVM_OK);
    for (size_t i = 0; i < 1000; i++) {
        memset(xvm_pool_get(&a), 1, 40);
        memset(xvm_pool_get(&b), 2, 100);
    }
    CHECK(a.base == r.base && b.base == (unsigned char *)r.base + first);
    check(&a, 1000);
    check(&b, 1000);
    xvm_pool_destroy(&a);
    check(&b, 1000);
    xvm_pool_destroy(&b);
    xvm_region_usage(&r, &u);
    CHECK_EQUAL(u.committed, 0);
    o.growth.offset = r.size - second + xvm_commit_unit(&r);
    CHECK_EQUAL(xvm_pool_create(&b, 100, 0, 2000, &o), XVM_E_INVALID);
    o.growth.offset = 1;
    CHECK_EQUAL(xvm_pool_create(&b, 100, 0, 2000, &o), XVM_E_INVALID);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_pool_create(&b, 100, 0, 2000, &o), XVM_E_INVALID);
}

TEST(a_real_time_pool_makes_no_system_call)
{
    for (unsigned more = 0; more < 2; more++) {
        enum { COUNT = 300 };
        void *blocks[COUNT];
        xvm_pool p;

        create(&p, 128, 0, COUNT, XVM_POOL_REALTIME | (more != 0 ? (unsigned)SHARED : 0u));
        calls = 0;
        xvm_set_trace(count_call);
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < COUNT; i++) {
                blocks[i] = round == 1 ? xvm_pool_get_zeroed(&p) : xvm_pool_get(&p);
                CHECK(blocks[i] != NULL);
                memset(blocks[i], 1, 128);
            }
            CHECK(xvm_pool_get(&p) == NULL);
            for (size_t i = 0; round != 1 && i < COUNT; i++)
                CHECK_EQUAL(xvm_pool_put(&p, blocks[i]), XVM_OK);
            CHECK_EQUAL(xvm_pool_put(&p, &p), XVM_E_INVALID);
            CHECK_EQUAL(xvm_pool_trim(&p), 0);
            if (round == 1)
                xvm_pool_clear(&p);
            check(&p, 0);
        }
        xvm_set_trace(NULL);
        CHECK_EQUAL(calls, 0);
        xvm_pool_destroy(&p);
    }
}

/* --- rules ------------------------------------------------------------------------------------ */

/* Each rule broken by hand is found. */
TEST(a_check_finds_broken_rules)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        void *blocks[8];
        uint32_t *links, saved;
        xvm_pool p;

        create(&p, 32, 0, 100, kinds[kind]);
        for (size_t i = 0; i < 8; i++)
            blocks[i] = xvm_pool_get(&p);
        for (size_t i = 0; i < 4; i++)
            CHECK_EQUAL(xvm_pool_put(&p, blocks[i]), XVM_OK);
        check(&p, 4);
        links = p.links;
        saved = links[2];
        links[2] = (saved & ~p.mask) | 3; /* 3 leads to 2: a circle */
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        CHECK_EQUAL(xvm_last_status(), XVM_E_CORRUPT);
        links[2] = (saved & ~p.mask) | 6; /* which is out */
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        links[2] = saved & ~p.mask; /* 1 is lost */
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        links[2] = (saved & ~p.mask) | 50; /* never out */
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        links[2] = saved | p.mask; /* out, and in the list */
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        links[2] = saved;
        CHECK_EQUAL(xvm_pool_check(&p), XVM_OK);
        p.own.fresh++;
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        p.own.fresh--;
        p.own.ready = p.capacity + 1;
        CHECK_EQUAL(xvm_pool_check(&p), XVM_E_CORRUPT);
        xvm_pool_destroy(&p);
    }
}

/* --- handles ---------------------------------------------------------------------------------- */

TEST(handles_go_stale)
{
    for (unsigned more = 0; more < 2; more++) {
        xvm_pool_handle a, b, old[100];
        xvm_pool p;
        void *block;

        create(&p, 24, 8, 100, HANDLES | (more != 0 ? (unsigned)SHARED : 0u));
        a = xvm_pool_get_handle(&p);
        b = xvm_pool_get_handle(&p);
        CHECK(a != 0 && b != 0 && a != b);
        block = xvm_pool_resolve(&p, a);
        CHECK(block != NULL && xvm_pool_resolve(&p, b) != NULL && block == p.base);
        CHECK_EQUAL(xvm_pool_handle_of(&p, block), a);
        CHECK_EQUAL(xvm_pool_handle_of(&p, p.base + 1), 0);
        CHECK_EQUAL(xvm_pool_handle_of(&p, p.base + 2 * p.stride), 0);
        CHECK_EQUAL(xvm_pool_put_handle(&p, a), XVM_OK);
        CHECK(xvm_pool_resolve(&p, a) == NULL && xvm_pool_handle_of(&p, block) == 0);
        CHECK_EQUAL(xvm_pool_put_handle(&p, a), XVM_E_INVALID);
        CHECK(xvm_pool_get(&p) == block); /* out again, with another handle */
        CHECK(xvm_pool_resolve(&p, a) == NULL && xvm_pool_handle_of(&p, block) != a);
        CHECK_EQUAL(xvm_pool_put_handle(&p, a), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_put_handle(&p, 0), XVM_OK);
        CHECK_EQUAL(xvm_pool_put_handle(&p, UINT32_MAX), XVM_E_INVALID);
        for (uint32_t number = 0; number <= p.mask; number++)
            CHECK(number == (b & p.mask) || xvm_pool_resolve(&p, (b & ~p.mask) | number) == NULL);
        check(&p, 2);
        xvm_pool_clear(&p);
        CHECK(xvm_pool_resolve(&p, b) == NULL);
        for (size_t i = 0; i < 100; i++) {
            old[i] = xvm_pool_get_handle(&p);
            CHECK(old[i] != 0 && old[i] != a && old[i] != b);
        }
        CHECK_EQUAL(xvm_pool_get_handle(&p), 0);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(xvm_pool_resolve(&p, a) == NULL && xvm_pool_resolve(&p, b) == NULL);
        xvm_pool_clear(&p);
        (void)xvm_pool_trim(&p);
        for (size_t i = 0; i < 100; i++)
            CHECK(xvm_pool_get(&p) != NULL);
        for (size_t i = 0; i < 100; i++)
            CHECK(xvm_pool_resolve(&p, old[i]) == NULL);
        xvm_pool_destroy(&p);
    }
}

TEST(handles_stay_stale_when_memory_is_given_back)
{
    enum { COUNT = 60000 };
    static xvm_pool_handle handles[COUNT];
    xvm_pool p;

    create(&p, 8, 8, COUNT, HANDLES);
    for (size_t i = 0; i < COUNT; i++)
        CHECK((handles[i] = xvm_pool_get_handle(&p)) != 0);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_EQUAL(xvm_pool_put_handle(&p, handles[i]), XVM_OK);
    CHECK(xvm_pool_trim(&p) > 0);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(xvm_pool_get(&p) != NULL);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(xvm_pool_resolve(&p, handles[i]) == NULL);
    check(&p, COUNT);
    xvm_pool_destroy(&p);
}

/* With 200 blocks a number has 8 bits, and a generation 24. */
TEST(generations_wrap_where_they_should)
{
    enum { GENERATIONS = 1 << 24 };
    xvm_pool_handle first, h;
    xvm_pool p;

    create(&p, 8, 8, 200, HANDLES);
    first = xvm_pool_get_handle(&p);
    for (uint32_t i = 1; i < (memory_is_emulated() ? 5000 : GENERATIONS); i++) {
        void *block = p.base;

        CHECK(xvm_pool_put(&p, block) == XVM_OK && xvm_pool_get(&p) == block);
        CHECK(xvm_pool_resolve(&p, first) == NULL);
    }
    CHECK(xvm_pool_put(&p, p.base) == XVM_OK);
    h = xvm_pool_get_handle(&p);
    CHECK(h != 0 && (memory_is_emulated() || h == first));
    check(&p, 1);
    xvm_pool_destroy(&p);
}

TEST(pools_without_handles_say_so)
{
    xvm_pool p;
    void *block;

    create(&p, 8, 8, 200, 0);
    block = xvm_pool_get(&p);
    CHECK_EQUAL(xvm_pool_get_handle(&p), 0);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(xvm_pool_handle_of(&p, block) == 0 && xvm_pool_resolve(&p, 1) == NULL);
    CHECK_EQUAL(xvm_pool_put_handle(&p, 1), XVM_E_INVALID);
    check(&p, 1);
    xvm_pool_destroy(&p);
}

/* --- sets ------------------------------------------------------------------------------------- */

static const xvm_pool_set_size sizes[] = {{16, 0, 4}, {64, 0, 4}, {256, 0, 4}};

TEST(a_set_picks_the_pool)
{
    xvm_pool_set set;
    xvm_region r;
    xvm_pool_set_options o = {.growth = {.region = &r}};

    CHECK_EQUAL(xvm_reserve(&r, 2 * MiB, NULL), XVM_OK);
    for (int in_region = 0; in_region < 2; in_region++) {
        unsigned char *small, *middle, *large;

        CHECK_EQUAL(xvm_pool_set_create(&set, sizes, 3, in_region ? &o : NULL), XVM_OK);
        small = xvm_pool_set_get(&set, 0);
        CHECK(xvm_pool_set_find(&set, small) == &set.pools[0]);
        CHECK(xvm_pool_set_find(&set, xvm_pool_set_get(&set, 16)) == &set.pools[0]);
        middle = xvm_pool_set_get(&set, 17);
        large = xvm_pool_set_get(&set, 256);
        CHECK(xvm_pool_set_find(&set, middle + 63) == &set.pools[1]);
        CHECK(xvm_pool_set_find(&set, large) == &set.pools[2]);
        CHECK(xvm_pool_set_find(&set, &set) == NULL && xvm_pool_set_find(&set, NULL) == NULL);
        CHECK(xvm_pool_set_get(&set, 257) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(xvm_pool_set_get(&set, SIZE_MAX) == NULL);
        CHECK_EQUAL(xvm_pool_set_put(&set, middle + 1), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_set_put(&set, &set), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_set_put(&set, middle), XVM_OK);
        CHECK_EQUAL(xvm_pool_set_put(&set, middle), XVM_E_INVALID);
        CHECK_EQUAL(xvm_pool_set_put(&set, NULL), XVM_OK);
        CHECK(xvm_pool_set_get(&set, 40) == middle);
        for (int i = 0; i < 3; i++)
            CHECK(xvm_pool_set_get(&set, 64) != NULL);
        CHECK(xvm_pool_set_get(&set, 64) == NULL); /* no falling through */
        xvm_pool_set_destroy(&set);
        CHECK_EQUAL(set.count, 0);
    }
    xvm_pool_set_destroy(NULL);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_set_may_fall_through)
{
    xvm_pool_set set;
    xvm_pool_set_options o = {.fall_through = 1};
    void *blocks[12];

    CHECK_EQUAL(xvm_pool_set_create(&set, sizes, 3, &o), XVM_OK);
    for (size_t i = 0; i < 12; i++) {
        blocks[i] = xvm_pool_set_get(&set, 10);
        CHECK(xvm_pool_set_find(&set, blocks[i]) == &set.pools[i / 4]);
    }
    CHECK(xvm_pool_set_get(&set, 10) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    for (size_t i = 0; i < 12; i++)
        CHECK_EQUAL(xvm_pool_set_put(&set, blocks[i]), XVM_OK);
    for (size_t i = 0; i < 3; i++)
        check(&set.pools[i], 0);
    xvm_pool_set_destroy(&set);
}

TEST(broken_sets_are_refused)
{
    static const xvm_pool_set_size falling[] = {{64, 0, 4}, {16, 0, 4}},
                                   bad[] = {{8, 0, 4}, {16, 3, 4}};
    static const xvm_pool_set zero;
    static xvm_pool_set set;

    CHECK_EQUAL(xvm_pool_set_create(NULL, sizes, 3, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_set_create(&set, NULL, 3, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_set_create(&set, sizes, 0, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_set_create(&set, sizes, XVM_POOL_SET_MOST + 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_set_create(&set, falling, 2, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_pool_set_create(&set, bad, 2, NULL), XVM_E_INVALID);
    CHECK(memcmp(&set, &zero, sizeof set) == 0);
    CHECK(xvm_pool_set_get(&set, 1) == NULL);
}

/* --- offsets ---------------------------------------------------------------------------------- */

TEST(offsets_go_round)
{
    xvm_pool p;

    create(&p, 48, 16, 2000, 0);
    for (size_t i = 0; i < 2000; i++) {
        unsigned char *block = xvm_pool_get(&p);

        for (unsigned shift = 0; shift <= 4; shift++) {
            xvm_offset o = xvm_pack(p.base, block, shift);

            CHECK(o != 0 && xvm_unpack(p.base, o, shift) == block);
            CHECK(xvm_unpack_within(p.base, 2000 * p.stride, o, shift) == block);
            CHECK(shift == 0 || xvm_pack(p.base, block + 1, shift) == 0);
        }
    }
    CHECK(xvm_pack(p.base, NULL, 3) == 0 && xvm_pack(NULL, NULL, 3) == 0);
    CHECK(xvm_unpack(p.base, 0, 3) == NULL && xvm_unpack_within(p.base, 100, 0, 3) == NULL);
    CHECK(xvm_pack(p.base, p.base - 16, 4) == 0);
    CHECK(xvm_unpack_within(p.base, 100, xvm_pack(p.base, p.base + 100, 0), 0) == NULL);
    xvm_pool_destroy(&p);
}

TEST(offsets_have_an_end)
{
    unsigned char *base = (unsigned char *)(uintptr_t)(64 * KiB);

    for (unsigned shift = 0; shift <= 4; shift++) {
        uint64_t reach = (uint64_t)UINT32_MAX << shift, unit = (uint64_t)1 << shift;

        CHECK(xvm_pack_reach(shift) == (reach < SIZE_MAX ? reach : SIZE_MAX));
        if (reach > SIZE_MAX / 2)
            continue;
        CHECK(xvm_pack(base, base + (size_t)reach, shift) == 0);
        CHECK(xvm_pack(base, base + (size_t)(reach + unit), shift) == 0);
        CHECK(xvm_pack(base, base + (size_t)(reach - unit), shift) == UINT32_MAX);
        CHECK(xvm_unpack(base, UINT32_MAX, shift) == base + (size_t)(reach - unit));
    }
    CHECK(xvm_unpack((void *)(UINTPTR_MAX - 100), 14, 3) == NULL);
    CHECK(xvm_unpack((void *)(UINTPTR_MAX - 100), 13, 3) != NULL);
    CHECK(sizeof(void *) > 4 || xvm_unpack(base, UINT32_MAX, 4) == NULL);
}

/* --- against a model -------------------------------------------------------------------------- */

enum { MODEL_BLOCKS = 1500 };

/* Which blocks are out, and what is in them. */
typedef struct model {
    xvm_pool pool;
    unsigned char *out[MODEL_BLOCKS]; /* in no order */
    xvm_pool_handle handles[MODEL_BLOCKS], stale[64];
    unsigned char stamp[MODEL_BLOCKS]; /* by index */
    bool is_out[MODEL_BLOCKS];         /* by index */
    size_t count, capacity, steps;
    uint64_t seed;
    bool handled;
} model;

static unsigned char *model_block(const model *m, size_t index)
{
    return m->pool.base + index * m->pool.stride;
}

static void model_get(model *m)
{
    bool zeroed = test_random(&m->seed) % 4 == 0;
    unsigned char *block = zeroed ? xvm_pool_get_zeroed(&m->pool) : xvm_pool_get(&m->pool);
    size_t index;

    if (m->count == m->capacity) {
        CHECK(block == NULL && xvm_last_status() == XVM_E_ADDRESS_SPACE);
        return;
    }
    CHECK(block != NULL);
    index = xvm_pool_index(&m->pool, block);
    CHECK(index < m->capacity && !m->is_out[index]);
    for (size_t at = 0; zeroed && at < m->pool.block_size; at++)
        CHECK(block[at] == 0);
    m->is_out[index] = true;
    m->stamp[index] = (unsigned char)test_random(&m->seed);
    memset(block, m->stamp[index], m->pool.block_size);
    m->handles[m->count] = xvm_pool_handle_of(&m->pool, block);
    CHECK((m->handles[m->count] != 0) == m->handled);
    m->out[m->count++] = block;
}

static void model_put(model *m)
{
    size_t at, index;
    unsigned char *block;

    if (m->count == 0)
        return;
    at = (size_t)test_random(&m->seed) % m->count;
    block = m->out[at];
    index = xvm_pool_index(&m->pool, block);
    CHECK(block[0] == m->stamp[index] && block[m->pool.block_size - 1] == m->stamp[index]);
    m->stale[test_random(&m->seed) % 64] = m->handles[at];
    if (m->handled && test_random(&m->seed) % 2 == 0) {
        CHECK(xvm_pool_resolve(&m->pool, m->handles[at]) == block);
        CHECK_EQUAL(xvm_pool_put_handle(&m->pool, m->handles[at]), XVM_OK);
    } else {
        CHECK_EQUAL(xvm_pool_put(&m->pool, block), XVM_OK);
    }
    m->is_out[index] = false;
    m->out[at] = m->out[--m->count];
    m->handles[at] = m->handles[m->count];
}

/* A pointer by chance: it may be put when it is the first byte of a block that is out. */
static void model_put_wrong(model *m)
{
    uint64_t r = test_random(&m->seed);
    size_t index = (size_t)(r >> 8) % (m->capacity + 8);
    size_t inside = (size_t)(r >> 40) % 4 == 0 ? (size_t)(r >> 44) % m->pool.stride : 0;
    unsigned char *wrong = model_block(m, index) + inside;

    if (r % 16 == 0)
        wrong = (unsigned char *)(uintptr_t)(SIZE_MAX - (size_t)(r >> 50));
    else if (index < m->capacity && inside == 0 && m->is_out[index])
        return;
    CHECK_EQUAL(xvm_pool_put(&m->pool, wrong), XVM_E_INVALID);
    CHECK(!xvm_pool_is_live(&m->pool, wrong));
    if (m->handled && m->stale[r % 64] != 0) {
        CHECK(xvm_pool_resolve(&m->pool, m->stale[r % 64]) == NULL);
        CHECK_EQUAL(xvm_pool_put_handle(&m->pool, m->stale[r % 64]), XVM_E_INVALID);
    }
}

static void model_clear(model *m)
{
    xvm_pool_clear(&m->pool);
    memset(m->is_out, 0, sizeof m->is_out);
    for (size_t i = 0; i < m->count && i < 64; i++)
        m->stale[i] = m->handles[i];
    m->count = 0;
}

/* Sizes and counts for which there is no memory are refused, whatever they are. */
static void model_too_much(model *m)
{
    size_t k = (size_t)test_random(&m->seed) % 70000;
    size_t alignment = (size_t)1 << test_random(&m->seed) % (sizeof(size_t) * 8);
    xvm_pool p;
    xvm_status status = xvm_pool_create(&p, SIZE_MAX - k, alignment, 1, NULL);

    CHECK(status == XVM_E_ADDRESS_SPACE && p.base == NULL);
    status = xvm_pool_create(&p, 16 + k, alignment, SIZE_MAX - k, NULL);
    CHECK(status == XVM_E_ADDRESS_SPACE && p.base == NULL);
}

static void model_step(model *m, bool growing)
{
    uint64_t what = test_random(&m->seed) % 100000;

    if (what < 5)
        model_clear(m);
    else if (what < 15)
        (void)xvm_pool_trim(&m->pool);
    else if (what < 60)
        check(&m->pool, m->count);
    else if (what < 1000)
        model_too_much(m);
    else if (what < 15000)
        model_put_wrong(m);
    else if (what % 100 < (growing ? 60u : 45u))
        model_get(m);
    else
        model_put(m);
}

static void run_model(unsigned flags, uint64_t seed, size_t steps)
{
    static model m;
    static const size_t block_sizes[] = {1, 7, 16, 24, 40, 64, 96, 100, 256};
    size_t size, alignment;

    m = (model){.seed = seed, .handled = (flags & HANDLES) != 0};
    size = block_sizes[test_random(&m.seed) % (sizeof block_sizes / sizeof *block_sizes)];
    alignment = (size_t)1 << test_random(&m.seed) % 8;
    m.capacity = 1 + (size_t)test_random(&m.seed) % MODEL_BLOCKS;
    printf("seed %llu: %zu blocks of %zu, alignment %zu, flags %u, %zu steps\n",
           (unsigned long long)seed, m.capacity, size, alignment, flags, steps);
    create(&m.pool, size, alignment, m.capacity, flags);
    for (size_t i = 0; i < steps; i++)
        model_step(&m, i / 5000 % 2 == 0);
    check(&m.pool, m.count);
    xvm_pool_destroy(&m.pool);
}

static void run_models(unsigned flags, uint64_t seed)
{
    size_t rounds = memory_is_emulated() ? 4 : 20, steps = memory_is_emulated() ? 10000 : 150000;

    for (uint64_t i = 0; i < rounds; i++)
        run_model(flags, seed + i, steps);
}

TEST(model_of_plain_pools)
{
    run_models(0, 1000);
}

TEST(model_of_shared_pools)
{
    run_models(SHARED, 2000);
}

TEST(model_of_handles)
{
    run_models(HANDLES, 3000);
}

TEST(model_of_shared_handles)
{
    run_models(SHARED | HANDLES, 4000);
}

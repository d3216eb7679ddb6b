/* test_pool_threads.c - pools that threads share: nobody gets a block twice, none is lost. */
#include "harness.h"
#include "xvm/xvm.h"

enum { THREADS = 4, MOST_HELD = 400, MAILBOXES = 64 };

typedef struct shared_run {
    xvm_pool pool;
    uint32_t mailboxes[MAILBOXES]; /* indexes + 1 of blocks on their way to another thread */
    size_t steps, most_held;
    bool handles;
} shared_run;

/* What each owner writes, and must find again. */
typedef struct content {
    uint64_t owner, serial;
} content;

static uint32_t swap(uint32_t *word, uint32_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL);
}

static void put(shared_run *run, content *block)
{
    *block = (content){0, 0};
    if (run->handles)
        CHECK_EQUAL(xvm_pool_put_handle(&run->pool, xvm_pool_handle_of(&run->pool, block)), XVM_OK);
    else
        CHECK_EQUAL(xvm_pool_put(&run->pool, block), XVM_OK);
}

/* Gets, puts its own in any order, and sends blocks to others, who put them. */
static void work(void *context, int index)
{
    shared_run *run = context;
    uint64_t seed = 77 + (uint64_t)index;
    content *held[MOST_HELD];
    uint64_t serials[MOST_HELD];
    size_t count = 0;

    for (size_t i = 0; i < run->steps; i++) {
        uint64_t r = test_random(&seed);

        if (r % 2 == 0 && count < run->most_held) {
            content *block = xvm_pool_get(&run->pool);

            if (block == NULL)
                continue;
            serials[count] = r;
            *block = (content){(uint64_t)index + 1, r};
            held[count++] = block;
        } else if (count > 0) {
            size_t at = (size_t)(r >> 8) % count;
            content *block = held[at];

            CHECK(block->owner == (uint64_t)index + 1 && block->serial == serials[at]);
            held[at] = held[--count];
            serials[at] = serials[count];
            if (r % 5 == 0) {
                uint32_t mine = (uint32_t)xvm_pool_index(&run->pool, block) + 1;
                uint32_t other = swap(&run->mailboxes[(r >> 32) % MAILBOXES], mine);

                if (other != 0)
                    put(run, (content *)(void *)(run->pool.base +
                                                 (size_t)(other - 1) * run->pool.stride));
            } else {
                put(run, block);
            }
        }
    }
    while (count > 0)
        put(run, held[--count]);
}

static void run_shared(size_t capacity, size_t most_held, unsigned flags)
{
    static shared_run run;
    xvm_pool_options o = {.flags = XVM_POOL_SHARED | flags};
    xvm_pool_count c;

    run = (shared_run){.steps = memory_is_emulated() ? 20000 : 400000};
    run.most_held = most_held;
    run.handles = (flags & XVM_POOL_HANDLES) != 0;
    CHECK_EQUAL(xvm_pool_create(&run.pool, sizeof(content), 16, capacity, &o), XVM_OK);
    for (int round = 0; round < 3; round++) {
        run_threads(THREADS, work, &run);
        CHECK_EQUAL(xvm_pool_check(&run.pool), XVM_OK);
        for (size_t i = 0; i < MAILBOXES; i++)
            if (run.mailboxes[i] != 0)
                put(&run,
                    (content *)(void *)(run.pool.base + (size_t)(swap(&run.mailboxes[i], 0) - 1) *
                                                            run.pool.stride));
        xvm_pool_counts(&run.pool, &c);
        CHECK_EQUAL(c.live, 0);
        CHECK_EQUAL(xvm_pool_check(&run.pool), XVM_OK);
        if (round == 1)
            (void)xvm_pool_trim(&run.pool);
    }
    for (size_t i = 0; i < capacity; i++) /* each of them, whatever lane it is in */
        CHECK(xvm_pool_get(&run.pool) != NULL);
    CHECK(xvm_pool_get(&run.pool) == NULL);
    CHECK_EQUAL(xvm_pool_check(&run.pool), XVM_OK);
    xvm_pool_destroy(&run.pool);
}

TEST(threads_share_many_blocks)
{
    run_shared(100000, 200, 0);
}

/* There are too few: lanes are taken away from their owners all the time. */
TEST(threads_share_scarce_blocks)
{
    run_shared(1024, MOST_HELD, 0);
}

TEST(threads_share_few_blocks)
{
    run_shared(100, 200, 0);
}

TEST(threads_share_handles)
{
    run_shared(2000, 200, XVM_POOL_HANDLES);
}

TEST(threads_share_real_time_blocks)
{
    run_shared(600, 200, XVM_POOL_REALTIME);
}

/* --- two that put the same block -------------------------------------------------------------- */

typedef struct race {
    xvm_pool pool;
    void *block;
    xvm_pool_handle handle;
    int ready, turn;
    int accepted;
    size_t rounds;
} race;

static void race_to_put(void *context, int index)
{
    race *r = context;

    for (size_t i = 0; i < r->rounds; i++) {
        xvm_status status;

        if (index == 0) {
            r->block = xvm_pool_get(&r->pool);
            r->handle = xvm_pool_handle_of(&r->pool, r->block);
            __atomic_store_n(&r->accepted, 0, __ATOMIC_RELAXED);
        }
        __atomic_add_fetch(&r->ready, 1, __ATOMIC_ACQ_REL);
        while (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) < (int)(4 * i + 2))
            continue;
        /* Thread 0 has got the block before it said that it is ready. */
        status = i % 2 != 0 ? xvm_pool_put_handle(&r->pool, r->handle)
                            : xvm_pool_put(&r->pool, r->block);
        __atomic_add_fetch(&r->accepted, status == XVM_OK, __ATOMIC_ACQ_REL);
        __atomic_add_fetch(&r->ready, 1, __ATOMIC_ACQ_REL);
        while (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) < (int)(4 * i + 4))
            continue;
        CHECK_EQUAL(__atomic_load_n(&r->accepted, __ATOMIC_ACQUIRE), 1);
        __atomic_add_fetch(&r->turn, 1, __ATOMIC_ACQ_REL);
        while (__atomic_load_n(&r->turn, __ATOMIC_ACQUIRE) < (int)(2 * i + 2))
            continue;
    }
}

TEST(of_two_that_put_a_block_one_is_refused)
{
    static race r;
    xvm_pool_options o = {.flags = XVM_POOL_SHARED | XVM_POOL_HANDLES};

    r = (race){.rounds = memory_is_emulated() ? 500 : 5000};
    CHECK_EQUAL(xvm_pool_create(&r.pool, 64, 0, 5000, &o), XVM_OK);
    run_threads(2, race_to_put, &r);
    CHECK_EQUAL(xvm_pool_check(&r.pool), XVM_OK);
    xvm_pool_destroy(&r.pool);
}

/* --- many threads, one after the other -------------------------------------------------------- */

static void use_a_little(void *context, int index)
{
    xvm_pool *pool = context;

    for (int i = 0; i < 50; i++) {
        void *blocks[8];

        for (int k = 0; k < 8; k++)
            CHECK((blocks[k] = xvm_pool_get(pool)) != NULL);
        for (int k = 0; k < 8; k++)
            CHECK_EQUAL(xvm_pool_put(pool, blocks[(k + index) % 8]), XVM_OK);
    }
}

TEST(threads_that_end_leave_nothing_behind)
{
    xvm_pool_options o = {.flags = XVM_POOL_SHARED};
    xvm_pool pool;

    CHECK_EQUAL(xvm_pool_create(&pool, 64, 0, 1024, &o), XVM_OK);
    for (int round = 0; round < 60; round++)
        run_threads(4, use_a_little, &pool); /* more than there are lanes */
    CHECK_EQUAL(xvm_pool_check(&pool), XVM_OK);
    for (int i = 0; i < 1024; i++)
        CHECK(xvm_pool_get(&pool) != NULL);
    CHECK(xvm_pool_get(&pool) == NULL);
    xvm_pool_destroy(&pool);
}

static void get_all(void *context, int index)
{
    xvm_pool *pool = context;

    (void)index;
    for (int i = 0; i < 3000; i++) {
        void *block = xvm_pool_get(pool);

        CHECK(block != NULL || xvm_last_status() == XVM_E_ADDRESS_SPACE);
    }
}

TEST(threads_get_each_block_once)
{
    for (int round = 0; round < 20; round++) {
        xvm_pool_options o = {.flags = XVM_POOL_SHARED};
        xvm_pool_count c;
        xvm_pool pool;

        CHECK_EQUAL(xvm_pool_create(&pool, 1000, 8, 10000, &o), XVM_OK);
        run_threads(4, get_all, &pool);
        xvm_pool_counts(&pool, &c);
        CHECK_EQUAL(c.live, 10000);
        CHECK_EQUAL(xvm_pool_check(&pool), XVM_OK);
        xvm_pool_destroy(&pool);
    }
}

/* --- a lane is taken from its owner at work --------------------------------------------------- */

typedef struct theft {
    xvm_pool pool;
    int done;
    size_t rounds;
} theft;

static content *get_mine(theft *t, uint64_t owner)
{
    content *block = xvm_pool_get(&t->pool);

    if (block == NULL)
        return NULL;
    CHECK_EQUAL(__atomic_load_n(&block->owner, __ATOMIC_RELAXED), 0);
    __atomic_store_n(&block->owner, owner, __ATOMIC_RELAXED);
    return block;
}

static void put_mine(theft *t, content *block, uint64_t owner)
{
    CHECK_EQUAL(__atomic_load_n(&block->owner, __ATOMIC_RELAXED), owner);
    __atomic_store_n(&block->owner, 0, __ATOMIC_RELAXED);
    CHECK_EQUAL(xvm_pool_put(&t->pool, block), XVM_OK);
}

static void take_all(theft *t)
{
    static content *blocks[1025];
    size_t count = 0;

    while ((blocks[count] = get_mine(t, 2)) != NULL)
        count++;
    while (count > 0)
        put_mine(t, blocks[--count], 2);
}

/* Thread 0 gets and puts all the time, thread 1 takes everything that there is. */
static void use_or_take(void *context, int index)
{
    theft *t = context;

    for (size_t i = 0; index != 0 && i < t->rounds; i++)
        take_all(t);
    while (index == 0 && !__atomic_load_n(&t->done, __ATOMIC_RELAXED)) {
        content *blocks[8];

        for (int i = 0; i < 8; i++)
            blocks[i] = get_mine(t, 1);
        for (int i = 0; i < 8; i++)
            if (blocks[i] != NULL)
                put_mine(t, blocks[i], 1);
    }
    __atomic_store_n(&t->done, 1, __ATOMIC_RELAXED);
}

TEST(lanes_are_taken_from_owners_at_work)
{
    xvm_pool_options o = {.flags = XVM_POOL_SHARED};
    static theft t;

    t = (theft){.rounds = memory_is_emulated() ? 500 : 20000};
    CHECK_EQUAL(xvm_pool_create(&t.pool, sizeof(content), 16, 1024, &o), XVM_OK);
    run_threads(2, use_or_take, &t);
    CHECK_EQUAL(xvm_pool_check(&t.pool), XVM_OK);
    take_all(&t);
    xvm_pool_destroy(&t.pool);
}

/* --- blocks in the lane of another thread ----------------------------------------------------- */

enum { IN_LANE = 40 };

/* Takes all that is ready, or so many, and puts a few back. */
static void leave_some(void *context, int index)
{
    enum { COUNT = 1024 };
    xvm_pool *pool = context;
    static void *blocks[COUNT];

    (void)index;
    for (int i = 0; i < COUNT; i++)
        CHECK((blocks[i] = xvm_pool_get(pool)) != NULL);
    for (int i = 0; i < IN_LANE; i++)
        CHECK_EQUAL(xvm_pool_put(pool, blocks[i]), XVM_OK);
}

/* They are had without a failure that anybody could see. */
TEST(the_last_blocks_are_found)
{
    xvm_pool_options o = {.flags = XVM_POOL_SHARED};
    xvm_pool pool;

    CHECK_EQUAL(xvm_pool_create(&pool, 64, 0, 1024, &o), XVM_OK);
    run_threads(1, leave_some, &pool);
    CHECK_EQUAL(xvm_pool_put(&pool, &pool), XVM_E_INVALID);
    for (int i = 0; i < IN_LANE; i++)
        CHECK(xvm_pool_get(&pool) != NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID); /* as before */
    CHECK(xvm_pool_get(&pool) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_pool_check(&pool), XVM_OK);
    xvm_pool_destroy(&pool);
}

TEST(the_last_blocks_are_found_when_no_more_can_be_committed)
{
    xvm_pool_options o = {.flags = XVM_POOL_SHARED};
    xvm_pool_count c;
    xvm_pool pool;

    CHECK_EQUAL(xvm_pool_create(&pool, 64, 0, 100000, &o), XVM_OK);
    run_threads(1, leave_some, &pool);
    CHECK_EQUAL(xvm_inject("commit"), XVM_OK);
    while (xvm_pool_get(&pool) != NULL)
        continue;
    CHECK_EQUAL(xvm_last_status(), XVM_E_COMMIT_LIMIT);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    xvm_pool_counts(&pool, &c);
    CHECK(c.live == c.ready && c.ready < c.capacity);
    CHECK(xvm_pool_get(&pool) != NULL);
    CHECK_EQUAL(xvm_pool_check(&pool), XVM_OK);
    xvm_pool_destroy(&pool);
}

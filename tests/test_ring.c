/* test_ring.c - memory that is there twice, and the queue in it: against a plain one, between
 * threads, beside an end that breaks the rules. */
#include "harness.h"
#include "xvm/xvm.h"

static xvm_ring make(size_t size)
{
    xvm_ring ring;

    CHECK_EQUAL(xvm_ring_create(&ring, size), XVM_OK);
    CHECK(ring.data != NULL && ring.size >= size);
    CHECK_EQUAL(ring.size % xvm_allocation_granularity(), 0);
    return ring;
}

static unsigned char *bytes_of(const xvm_ring *ring)
{
    return ring->data;
}

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *at = memory;

    for (size_t i = 0; i < size; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* The n-th byte of a sequence that no step of a ring repeats. */
static unsigned char byte_at(uint64_t n)
{
    return (unsigned char)((n * 0x9e3779b97f4a7c15u) >> 56);
}

static void fill(unsigned char *bytes, uint64_t first, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(first + i);
}

static bool is_filled(const unsigned char *bytes, uint64_t first, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_at(first + i))
            return false;
    return true;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void write_and_look(const xvm_ring *ring)
{
    volatile unsigned char *first = ring->data, *second = first + ring->size;

    for (size_t i = 0; i < ring->size; i++)
        first[i] = byte_at(i);
    for (size_t i = 0; i < ring->size; i++)
        CHECK_EQUAL(second[i], byte_at(i));
    for (size_t i = 0; i < ring->size; i++)
        second[i] = byte_at(i + 1);
    for (size_t i = 0; i < ring->size; i++)
        CHECK_EQUAL(first[i], byte_at(i + 1));
}

TEST(the_second_half_is_the_first)
{
    size_t unit = xvm_allocation_granularity();
    size_t sizes[] = {1, unit, unit + 1, 3 * unit, (size_t)1 << 20};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xvm_ring ring = make(sizes[i]);

        CHECK_EQUAL(ring.size, (sizes[i] + unit - 1) / unit * unit);
        CHECK(is_zero(ring.data, 2 * ring.size));
        write_and_look(&ring);
        xvm_ring_destroy(&ring);
        CHECK(is_zero(&ring, sizeof ring));
    }
}

TEST(a_ring_is_mapped_memory)
{
    xvm_ring ring = make((size_t)1 << 20);
    xvm_span span;

    for (size_t at = 0; at < 2 * ring.size; at += ring.size / 2) {
        CHECK_EQUAL(xvm_query(bytes_of(&ring) + at, &span), XVM_OK);
        CHECK_EQUAL(span.state, XVM_MAPPED);
        CHECK_EQUAL(span.protection, XVM_READ_WRITE);
    }
    xvm_ring_destroy(&ring);
}

/* The looking itself may need one mapping, or have one that is joined with a neighbour. */
TEST(a_ring_costs_two_mappings_and_no_handle)
{
    holdings before, after;
    xvm_ring ring;

    if (memory_is_emulated())
        SKIP("what a process holds cannot be seen here");
    ring = make((size_t)8 << 20); /* once: the look at the limits keeps what it has opened */
    xvm_ring_destroy(&ring);
    look_at_process(&before);
    look_at_process(&before);
    ring = make((size_t)8 << 20);
    look_at_process(&after);
    CHECK_EQUAL(after.handles, before.handles);
    CHECK(after.mappings <= before.mappings + 3);
    xvm_ring_destroy(&ring);
    look_at_process(&after);
    CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.mappings, before.mappings);
}

static void check_refused(xvm_ring *ring, size_t size, xvm_status why)
{
    memset(ring, 7, sizeof *ring);
    CHECK_EQUAL(xvm_ring_create(ring, size), why);
    CHECK_EQUAL(xvm_last_status(), why);
    CHECK(is_zero(ring, sizeof *ring));
}

TEST(broken_sizes_are_refused)
{
    size_t unit = xvm_allocation_granularity();
    xvm_ring ring;

    CHECK_EQUAL(xvm_ring_create(NULL, 1), XVM_E_INVALID);
    check_refused(&ring, 0, XVM_E_INVALID);
    check_refused(&ring, SIZE_MAX, XVM_E_ADDRESS_SPACE);
    check_refused(&ring, SIZE_MAX / 2, XVM_E_ADDRESS_SPACE);
    check_refused(&ring, SIZE_MAX / 2 - unit, XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_ring_footprint(0), 0);
    CHECK_EQUAL(xvm_ring_footprint(SIZE_MAX), 0);
    CHECK_EQUAL(xvm_ring_footprint(SIZE_MAX / 2), 0);
    CHECK_EQUAL(xvm_ring_footprint(1), 2 * unit);
    CHECK_EQUAL(xvm_ring_footprint(unit + 1), 3 * unit);
}

TEST(more_than_there_is_memory_is_refused)
{
    xvm_limits limits;
    xvm_ring ring;
    char why[400];

    CHECK_EQUAL(xvm_get_limits(&limits), XVM_OK);
    if (memory_is_emulated() || sizeof(size_t) < sizeof(uint64_t))
        SKIP("no limit of memory can be reached here");
    memset(&ring, 7, sizeof ring);
    CHECK(xvm_ring_create(&ring, (size_t)limits.physical_total * 2) == XVM_E_COMMIT_LIMIT);
    CHECK(is_zero(&ring, sizeof ring));
    CHECK(xvm_explain(why, sizeof why) != 0);
    printf("%s\n", why);
}

TEST(no_ring_is_harmless)
{
    static xvm_ring none;
    size_t available = 7;
    char byte = 0;

    xvm_ring_destroy(NULL);
    xvm_ring_destroy(&none);
    CHECK_EQUAL(xvm_ring_room(&none), 0);
    CHECK_EQUAL(xvm_ring_available(&none), 0);
    CHECK(xvm_ring_claim(&none, 1) == NULL);
    CHECK(!xvm_ring_push(&none, &byte, 1));
    CHECK(xvm_ring_peek(&none, &available) == NULL && available == 0);
    CHECK_EQUAL(xvm_ring_pop(&none, &byte, 1), 0);
    CHECK_EQUAL(xvm_ring_publish(&none, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_consume(&none, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_publish(&none, 0), XVM_OK);
    CHECK_EQUAL(xvm_ring_consume(&none, 0), XVM_OK);
    CHECK_EQUAL(xvm_ring_check(&none), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_check(NULL), XVM_E_INVALID);
    CHECK(is_zero(&none, sizeof none));
}

TEST(success_leaves_the_error_alone)
{
    xvm_ring ring;

    set_last_error(77);
    CHECK_EQUAL(xvm_ring_create(&ring, 1), XVM_OK);
    CHECK_EQUAL(get_last_error(), 77);
    xvm_ring_destroy(&ring);
    CHECK_EQUAL(get_last_error(), 77);
}

/* --- the queue -------------------------------------------------------------------------------- */

/* The whole ring at once, from wherever its positions are. */
static void fill_and_empty(xvm_ring *ring, uint64_t n)
{
    size_t available;
    unsigned char *room = xvm_ring_claim(ring, ring->size);
    const unsigned char *there;

    CHECK(room >= bytes_of(ring) && room < bytes_of(ring) + ring->size);
    fill(room, n, ring->size);
    CHECK_EQUAL(xvm_ring_publish(ring, ring->size), XVM_OK);
    CHECK_EQUAL(xvm_ring_room(ring), 0);
    CHECK(xvm_ring_claim(ring, 1) == NULL);
    there = xvm_ring_peek(ring, &available);
    CHECK_EQUAL(available, ring->size);
    CHECK(there == room && is_filled(there, n, available));
    CHECK_EQUAL(xvm_ring_consume(ring, available), XVM_OK);
    CHECK(xvm_ring_peek(ring, &available) == NULL && available == 0);
}

/* Each offset near the ends, and others between: more than there is time for have 64 KiB. */
TEST(nothing_splits_at_any_offset)
{
    xvm_ring ring = make(1);
    size_t step = ring.size < 10000 ? 1 : ring.size / 500, at = 0;
    unsigned char byte;

    while (at < 2 * ring.size + 3) {
        size_t left = ring.size - at % ring.size, near = left < 20 || left > ring.size - 20;

        fill_and_empty(&ring, at);
        for (size_t i = 0; i < (near ? 1 : step) && (i == 0 || near || left - i > 20); i++, at++) {
            byte = byte_at(at);
            CHECK(xvm_ring_push(&ring, &byte, 1));
            CHECK_EQUAL(xvm_ring_pop(&ring, &byte, 1), 1);
            CHECK_EQUAL(byte, byte_at(at));
        }
    }
    xvm_ring_destroy(&ring);
}

TEST(more_than_the_ring_is_never_had)
{
    xvm_ring ring = make(1);
    volatile size_t most = SIZE_MAX; /* the compiler sees that nobody has so many bytes */
    unsigned char byte = 0;

    CHECK(xvm_ring_claim(&ring, ring.size + 1) == NULL);
    CHECK(xvm_ring_claim(&ring, most) == NULL);
    CHECK(!xvm_ring_push(&ring, &byte, most));
    CHECK_EQUAL(xvm_ring_room(&ring), ring.size);
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_OK);
    xvm_ring_destroy(&ring);
}

TEST(misuse_changes_nothing)
{
    xvm_ring ring = make(1);
    size_t available;
    unsigned char byte = 5;

    CHECK_EQUAL(xvm_ring_publish(&ring, 1), XVM_E_INVALID); /* nothing is claimed */
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(xvm_ring_claim(&ring, 100) != NULL);
    CHECK_EQUAL(xvm_ring_publish(&ring, 101), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_publish(&ring, SIZE_MAX), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_consume(&ring, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_available(&ring), 0);
    CHECK_EQUAL(xvm_ring_publish(&ring, 60), XVM_OK);
    CHECK_EQUAL(xvm_ring_publish(&ring, 41), XVM_E_INVALID); /* 40 are left */
    CHECK_EQUAL(xvm_ring_publish(&ring, 40), XVM_OK);
    CHECK_EQUAL(xvm_ring_publish(&ring, 1), XVM_E_INVALID);
    CHECK(xvm_ring_push(&ring, &byte, 1));
    CHECK_EQUAL(xvm_ring_publish(&ring, 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_consume(&ring, 1), XVM_E_INVALID); /* nobody has looked yet */
    CHECK(xvm_ring_peek(&ring, &available) != NULL && available == 101);
    CHECK_EQUAL(xvm_ring_consume(&ring, 102), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_consume(&ring, SIZE_MAX), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_consume(&ring, 100), XVM_OK);
    CHECK_EQUAL(xvm_ring_pop(&ring, &byte, 1), 1);
    CHECK_EQUAL(byte, 5);
    CHECK_EQUAL(xvm_ring_consume(&ring, 1), XVM_E_INVALID);
    xvm_ring_destroy(&ring);
}

/* A claim that is not published has changed nothing, and another takes its place. */
TEST(a_claim_can_be_given_up)
{
    xvm_ring ring = make(1);
    unsigned char *room = xvm_ring_claim(&ring, 10), bytes[3];

    room[0] = 1;
    CHECK(xvm_ring_claim(&ring, 20) == room);
    CHECK(xvm_ring_claim(&ring, 3) == room);
    CHECK(xvm_ring_claim(&ring, ring.size + 1) == NULL); /* nor does a refused one */
    memcpy(room, "abc", 3);
    CHECK_EQUAL(xvm_ring_publish(&ring, 3), XVM_OK);
    CHECK_EQUAL(xvm_ring_pop(&ring, bytes, 3), 3);
    CHECK(memcmp(bytes, "abc", 3) == 0);
    xvm_ring_destroy(&ring);
}

/* --- a plain queue beside it ------------------------------------------------------------------ */

/* The bytes first .. last - 1 of the sequence are there. */
typedef struct model {
    uint64_t first, last;
    size_t claimed;
    unsigned char *room;
} model;

static size_t some(uint64_t *seed, size_t most)
{
    uint64_t random = test_random(seed) >> 11;

    return (size_t)(random % 4 == 0 ? random / 4 % (most + 1) : random / 4 % (most / 16 + 2));
}

static void try_claim(xvm_ring *ring, model *m, uint64_t *seed)
{
    size_t size = some(seed, ring->size), left = ring->size - (size_t)(m->last - m->first);
    unsigned char *room = xvm_ring_claim(ring, size);

    CHECK_EQUAL(room != NULL, size <= left);
    if (room == NULL)
        return;
    CHECK(room == bytes_of(ring) + m->last % ring->size);
    fill(room, m->last, size);
    m->claimed = size;
}

static void try_publish(xvm_ring *ring, model *m, uint64_t *seed)
{
    size_t size = some(seed, m->claimed + 1);

    if (xvm_ring_publish(ring, size) == XVM_OK) {
        CHECK(size <= m->claimed);
        m->last += size;
        m->claimed -= size;
    } else {
        CHECK(size > m->claimed);
    }
}

static void try_push(xvm_ring *ring, model *m, uint64_t *seed, unsigned char *bytes)
{
    size_t size = some(seed, ring->size), left = ring->size - (size_t)(m->last - m->first);

    fill(bytes, m->last, size);
    if (xvm_ring_push(ring, bytes, size)) {
        CHECK(size <= left);
        m->last += size;
        m->claimed = 0;
    } else {
        CHECK(size > left);
    }
}

static void try_peek(xvm_ring *ring, model *m, uint64_t *seed)
{
    size_t available, size;
    const unsigned char *there = xvm_ring_peek(ring, &available);

    CHECK_EQUAL(available, m->last - m->first);
    CHECK_EQUAL(there != NULL, available != 0);
    if (there == NULL)
        return;
    CHECK(is_filled(there, m->first, available));
    size = some(seed, available + 1);
    CHECK_EQUAL(xvm_ring_consume(ring, size), size <= available ? XVM_OK : XVM_E_INVALID);
    m->first += size <= available ? size : 0;
}

static void try_pop(xvm_ring *ring, model *m, uint64_t *seed, unsigned char *bytes)
{
    size_t size = some(seed, ring->size + 100), there = (size_t)(m->last - m->first);
    size_t got = xvm_ring_pop(ring, bytes, size);

    CHECK_EQUAL(got, size < there ? size : there);
    CHECK(is_filled(bytes, m->first, got));
    m->first += got;
}

static void try_anything(xvm_ring *ring, model *m, uint64_t *seed, unsigned char *bytes)
{
    switch ((test_random(seed) >> 40) % 6) {
    case 0:
        try_claim(ring, m, seed);
        break;
    case 1:
        try_publish(ring, m, seed);
        break;
    case 2:
        try_push(ring, m, seed, bytes);
        break;
    case 3:
        try_peek(ring, m, seed);
        break;
    case 4:
        try_pop(ring, m, seed, bytes);
        break;
    default:
        CHECK_EQUAL(xvm_ring_available(ring), m->last - m->first);
        CHECK_EQUAL(xvm_ring_room(ring), ring->size - (size_t)(m->last - m->first));
        CHECK_EQUAL(xvm_ring_check(ring), XVM_OK);
    }
}

TEST(random_steps_agree_with_a_plain_queue)
{
    enum { STEPS = 20000 };

    for (uint64_t round = 1; round <= 3; round++) {
        xvm_ring ring = make(round == 2 ? 2 * xvm_allocation_granularity() + 1 : 1);
        unsigned char *bytes = malloc(ring.size + 100);
        uint64_t seed = round;
        model m = {0};

        CHECK(bytes != NULL);
        for (unsigned step = 0; step < STEPS && m.last < 100 * ring.size; step++)
            try_anything(&ring, &m, &seed, bytes);
        CHECK(m.first > 4 * ring.size);
        free(bytes);
        xvm_ring_destroy(&ring);
    }
}

/* --- two threads ------------------------------------------------------------------------------ */

typedef struct passage {
    xvm_ring *from, *to; /* the handles of both sides */
    uint64_t total;
    bool copies; /* by push and pop */
} passage;

/* Lets the other one work when there is nothing to do; it may have ended. */
static void wait(unsigned *idle)
{
    CHECK(*idle < 60000);
    if (++*idle > 100)
        sleep_for(1);
}

static void produce(const passage *p)
{
    static unsigned char bytes[4000];
    unsigned idle = 0;
    uint64_t seed = 3;

    for (uint64_t n = 0; n < p->total;) {
        size_t size = 1 + some(&seed, sizeof bytes - 1);
        unsigned char *room = bytes;

        size = size < p->total - n ? size : (size_t)(p->total - n);
        if (!p->copies)
            room = xvm_ring_claim(p->from, size);
        if (room != NULL)
            fill(room, n, size);
        if (p->copies ? !xvm_ring_push(p->from, room, size)
                      : room == NULL || xvm_ring_publish(p->from, size) != XVM_OK) {
            wait(&idle);
            continue;
        }
        n += size;
        idle = 0;
    }
}

static void consume(const passage *p)
{
    static unsigned char bytes[3000];
    unsigned idle = 0;
    uint64_t seed = 5;

    for (uint64_t n = 0; n < p->total;) {
        size_t size = 1 + some(&seed, sizeof bytes - 1), there;
        const unsigned char *at = bytes;

        size =
            size < p->total - n ? size : (size_t)(p->total - n); /* what is behind is not its own */
        if (p->copies)
            there = xvm_ring_pop(p->to, bytes, size);
        else
            at = xvm_ring_peek(p->to, &there);
        size = size < there ? size : there;
        if (there == 0) {
            wait(&idle);
            continue;
        }
        CHECK(is_filled(at, n, size));
        if (!p->copies)
            CHECK_EQUAL(xvm_ring_consume(p->to, size), XVM_OK);
        n += size;
        idle = 0;
    }
}

static void run_side(void *context, int index)
{
    if (index == 0)
        produce(context);
    else
        consume(context);
}

enum { PASSED = 2 << 20 };

TEST(two_threads_pass_copies)
{
    xvm_ring ring = make(1);
    passage p = {&ring, &ring, PASSED, true};

    run_threads(2, run_side, &p);
    CHECK_EQUAL(xvm_ring_available(&ring), 0);
    xvm_ring_destroy(&ring);
}

TEST(two_threads_pass_views)
{
    xvm_ring ring = make(1);
    passage p = {&ring, &ring, PASSED, false};

    run_threads(2, run_side, &p);
    CHECK_EQUAL(xvm_ring_room(&ring), ring.size);
    xvm_ring_destroy(&ring);
}

/* --- rings over shares ------------------------------------------------------------------------ */

/* Memory for a ring of so many units. */
static xvm_share make_share(size_t units)
{
    size_t unit = xvm_allocation_granularity();
    xvm_share share;

    CHECK_EQUAL(xvm_share_create(&share, xvm_ring_footprint(units * unit), NULL), XVM_OK);
    return share;
}

static xvm_ring open_ring(xvm_share *share)
{
    xvm_ring ring;

    CHECK_EQUAL(xvm_ring_open(&ring, share), XVM_OK);
    return ring;
}

TEST(two_handles_of_a_share_are_one_ring)
{
    xvm_share share = make_share(3);
    xvm_ring producer = open_ring(&share), consumer = open_ring(&share);
    passage p = {&producer, &consumer, PASSED, true};

    CHECK_EQUAL(producer.size, 3 * xvm_allocation_granularity());
    CHECK(producer.size == consumer.size && producer.data != consumer.data);
    xvm_share_close(&share); /* what is mapped needs it no more */
    run_threads(2, run_side, &p);
    p.copies = false;
    run_threads(2, run_side, &p);
    CHECK_EQUAL(xvm_ring_check(&consumer), XVM_OK);
    xvm_ring_destroy(&producer);
    xvm_ring_destroy(&consumer);
}

/* Sides end and others take their places, of which each finds what the one before has left. */
TEST(a_new_side_goes_on_where_the_old_one_was)
{
    xvm_share share = make_share(1);
    unsigned char bytes[1000];
    uint64_t first = 0, last = 0;

    for (unsigned round = 0; round < 200; round++) {
        xvm_ring producer = open_ring(&share), consumer = open_ring(&share);

        for (; last - first < producer.size - 300; last += 300) {
            fill(bytes, last, 300);
            CHECK(xvm_ring_push(&producer, bytes, 300));
        }
        xvm_ring_destroy(&producer);
        CHECK_EQUAL(xvm_ring_available(&consumer), last - first);
        for (unsigned i = 0; i < round % 7; i++, first += 501) {
            CHECK_EQUAL(xvm_ring_pop(&consumer, bytes, 501), 501);
            CHECK(is_filled(bytes, first, 501));
        }
        xvm_ring_destroy(&consumer);
    }
    xvm_share_close(&share);
}

/* A share whose control block a test writes by hand, as another process might. */
static xvm_ring_control *look_into(xvm_ring *ring)
{
    return ring->own.control;
}

TEST(positions_go_around)
{
    xvm_share share = make_share(1);
    xvm_ring owner = open_ring(&share);
    xvm_ring_control *control = look_into(&owner);
    size_t starts[] = {owner.size - 1, owner.size, 2 * owner.size - 1};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        xvm_ring ring;

        control->written = control->read = starts[i];
        ring = open_ring(&share);
        for (uint64_t n = 0; n < 5; n++)
            fill_and_empty(&ring, n);
        CHECK_EQUAL(control->written, (starts[i] + 5 * ring.size) % (2 * ring.size));
        CHECK_EQUAL(control->read, control->written);
        xvm_ring_destroy(&ring);
    }
    xvm_ring_destroy(&owner);
    xvm_share_close(&share);
}

static void check_corrupt(xvm_share *share)
{
    xvm_ring ring;

    memset(&ring, 7, sizeof ring);
    CHECK_EQUAL(xvm_ring_open(&ring, share), XVM_E_CORRUPT);
    CHECK_EQUAL(xvm_last_status(), XVM_E_CORRUPT);
    CHECK(is_zero(&ring, sizeof ring));
}

TEST(what_is_no_ring_is_corrupt)
{
    xvm_share share = make_share(2);
    xvm_ring good = open_ring(&share);
    xvm_ring_control *control = look_into(&good);
    uint32_t *words[] = {&control->magic, &control->version, &control->unit, &control->units};
    size_t bad[][2] = {{2 * good.size, 2 * good.size}, /* written, read */
                       {SIZE_MAX, 0},
                       {0, SIZE_MAX},
                       {good.size + 1, 0},
                       {0, 1}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        *words[i] ^= 4;
        check_corrupt(&share);
        CHECK_EQUAL(xvm_ring_check(&good), XVM_E_CORRUPT);
        *words[i] ^= 4;
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        control->written = bad[i][0];
        control->read = bad[i][1];
        check_corrupt(&share);
        CHECK_EQUAL(xvm_ring_check(&good), XVM_E_CORRUPT);
    }
    control->written = control->read = 0;
    CHECK_EQUAL(xvm_ring_check(&good), XVM_OK);
    xvm_ring_destroy(&good);
    xvm_share_close(&share);
}

TEST(what_is_no_ring_is_left_alone)
{
    xvm_share share = make_share(2);
    xvm_ring owner = open_ring(&share), ring;
    xvm_ring_control *control = look_into(&owner);

    for (size_t i = 0; i < sizeof *control; i++) {
        memset(control, 0, sizeof *control);
        ((unsigned char *)control)[i] = 255;
        if (xvm_ring_open(&ring, &share) == XVM_OK) { /* it is in a gap, or a small position */
            xvm_ring_destroy(&ring);
            continue;
        }
        CHECK_EQUAL(xvm_last_status(), XVM_E_CORRUPT);
        CHECK_EQUAL(((unsigned char *)control)[i], 255);
        ((unsigned char *)control)[i] = 0;
        CHECK(is_zero(control, sizeof *control));
    }
    xvm_ring_destroy(&owner);
    xvm_share_close(&share);
}

TEST(a_share_that_does_not_fit_is_refused)
{
    size_t unit = xvm_allocation_granularity(), sizes[] = {1, unit, unit + xvm_page_size()};
    static xvm_share none;
    xvm_share share;
    xvm_ring ring;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_EQUAL(xvm_share_create(&share, sizes[i], NULL), XVM_OK);
        memset(&ring, 7, sizeof ring);
        if ((share.size - unit) % unit == 0 && share.size > unit)
            CHECK_EQUAL(xvm_ring_open(&ring, &share), XVM_OK);
        else
            CHECK_EQUAL(xvm_ring_open(&ring, &share), XVM_E_INVALID);
        xvm_ring_destroy(&ring);
        xvm_share_close(&share);
    }
    CHECK_EQUAL(xvm_ring_open(&ring, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_open(&ring, &none), XVM_E_INVALID);
    CHECK_EQUAL(xvm_ring_open(NULL, &none), XVM_E_INVALID);
}

TEST(a_share_to_be_read_is_refused)
{
    xvm_share_options options = {.name = "test-ring.read"};
    xvm_share share, reader;
    xvm_ring ring;

    CHECK_EQUAL(xvm_share_create(&share, xvm_ring_footprint(1), &options), XVM_OK);
    CHECK_EQUAL(xvm_share_open(&reader, options.name, XVM_SHARE_READ), XVM_OK);
    CHECK_EQUAL(xvm_ring_open(&ring, &reader), XVM_E_PERMISSION);
    CHECK(is_zero(&ring, sizeof ring));
    xvm_share_close(&reader);
    xvm_share_close(&share);
}

/* --- an end that breaks the rules ------------------------------------------------------------- */

static void check_inside(const xvm_ring *ring, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    CHECK(size <= ring->size);
    CHECK(at == NULL || (at >= bytes_of(ring) && at < bytes_of(ring) + ring->size));
}

/* Whatever the other side writes, what a side gets lies in the ring. */
TEST(a_hostile_side_leads_nobody_out_of_the_ring)
{
    xvm_share share = make_share(1);
    xvm_ring ring = open_ring(&share);
    xvm_ring_control *control = look_into(&ring);
    unsigned char *bytes = malloc(ring.size);
    uint64_t seed = 9;

    CHECK(bytes != NULL);
    for (unsigned round = 0; round < 100000; round++) {
        uint64_t random = test_random(&seed);
        size_t any = (size_t)(random >> 20) >> (random % 50), available;
        const void *there;

        control->written = any;
        control->read = random % 3 == 0 ? any + (size_t)(random % 7) : (size_t)test_random(&seed);
        there = xvm_ring_peek(&ring, &available);
        check_inside(&ring, there, available);
        (void)xvm_ring_consume(&ring, available / 2);
        CHECK(xvm_ring_pop(&ring, bytes, ring.size) <= ring.size);
        CHECK(xvm_ring_room(&ring) <= ring.size);
        check_inside(&ring, xvm_ring_claim(&ring, some(&seed, ring.size)), 0);
        (void)xvm_ring_publish(&ring, some(&seed, ring.size));
        CHECK(ring.own.producer.position < 2 * ring.size);
        CHECK(ring.own.consumer.position < 2 * ring.size);
    }
    free(bytes);
    xvm_ring_destroy(&ring);
    xvm_share_close(&share);
}

/* What cannot be is not believed, and what was seen before still holds. */
TEST(a_wrong_position_is_not_believed)
{
    xvm_share share = make_share(1);
    xvm_ring ring = open_ring(&share);
    xvm_ring_control *control = look_into(&ring);
    unsigned char byte = 1;
    size_t available, good;

    CHECK(xvm_ring_push(&ring, &byte, 1));
    CHECK(xvm_ring_peek(&ring, &available) != NULL && available == 1);
    good = control->written;
    control->written = ring.size + 1;
    CHECK(xvm_ring_peek(&ring, &available) != NULL && available == 1);
    CHECK_EQUAL(xvm_last_status(), XVM_E_CORRUPT);
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_E_CORRUPT);
    control->written = good;
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_OK);
    control->read = good + 1; /* more than was ever published */
    CHECK_EQUAL(xvm_ring_room(&ring), ring.size - 1);
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_E_CORRUPT);
    control->read = 0;
    control->written = 0; /* less than there was */
    CHECK(xvm_ring_peek(&ring, &available) != NULL && available == 1);
    control->written = good;
    CHECK_EQUAL(xvm_ring_pop(&ring, &byte, 1), 1);
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_OK);
    xvm_ring_destroy(&ring);
    xvm_share_close(&share);
}

/* --- refused system calls --------------------------------------------------------------------- */

/* A creation and an end while a script holds; the share is there before. How many calls were
 * refused. */
static size_t make_against(const char *script, xvm_share *share, bool once)
{
    size_t refused;
    xvm_status status;
    xvm_ring ring;

    memset(&ring, 7, sizeof ring);
    CHECK(xvm_inject(script) == XVM_OK);
    set_last_error(77);
    status = share != NULL ? xvm_ring_open(&ring, share) : xvm_ring_create(&ring, 1);
    if (status == XVM_OK) {
        CHECK_EQUAL(get_last_error(), 77);
        fill_and_empty(&ring, 1);
    } else {
        CHECK(ring.data == NULL && ring.size == 0);
        CHECK(!once || is_zero(&ring, sizeof ring)); /* what was half made could be given back */
        CHECK_EQUAL(xvm_last_status(), status);
    }
    xvm_ring_destroy(&ring);
    refused = xvm_injected();
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(ring.data == NULL && ring.size == 0);
    xvm_ring_destroy(&ring); /* what was left */
    CHECK(is_zero(&ring, sizeof ring));
    CHECK(status == XVM_OK || refused != 0);
    return refused;
}

static void refuse_each(const char *pattern, xvm_share *share)
{
    char script[64];
    unsigned n = 1;

    do
        snprintf(script, sizeof script, pattern, n++);
    while (make_against(script, share, strchr(pattern, '+') == NULL) != 0);
    CHECK(n > 4);
}

static void check_nothing_is_left(const char *pattern, xvm_share *share)
{
    holdings before, after;

    refuse_each(pattern, share);
    look_at_process(&before);
    look_at_process(&before);
    refuse_each(pattern, share);
    look_at_process(&after);
    CHECK_EQUAL(after.handles, before.handles);
    if (memory_is_emulated() && shown_truth() != 0 && after.addresses != before.addresses)
        return; /* sanitizers and emulators map memory of their own meanwhile */
    CHECK_EQUAL(after.mappings, before.mappings);
    CHECK_EQUAL(after.addresses, before.addresses);
}

TEST(each_refused_call_leaves_nothing_behind)
{
    xvm_share share = make_share(1);

    check_nothing_is_left("*@%u", NULL);
    check_nothing_is_left("*@%u", &share);
    xvm_share_close(&share);
}

TEST(all_refused_calls_leave_what_can_be_given_back)
{
    xvm_share share = make_share(1);

    check_nothing_is_left("*@%u+", NULL);
    check_nothing_is_left("*@%u+", &share);
    xvm_share_close(&share);
}

/* --- beside other threads --------------------------------------------------------------------- */

enum { MADE = 200 };

/* One makes rings, others take and free addresses as fast as they can. */
static void make_or_take(void *context, int index)
{
    int *making = context;

    for (unsigned i = 0; index == 0 && i < MADE; i++) {
        xvm_ring ring = make(1 + (i % 3) * xvm_allocation_granularity());

        fill_and_empty(&ring, i);
        xvm_ring_destroy(&ring);
    }
    if (index == 0)
        __atomic_store_n(making, 0, __ATOMIC_RELEASE);
    while (index != 0 && __atomic_load_n(making, __ATOMIC_ACQUIRE)) {
        xvm_region region;

        CHECK_EQUAL(xvm_reserve(&region, xvm_allocation_granularity() * (size_t)index, NULL),
                    XVM_OK);
        CHECK_EQUAL(xvm_commit(&region, 0, region.size), XVM_OK);
        memset(region.base, 1, region.size);
        CHECK_EQUAL(xvm_release(&region), XVM_OK);
    }
}

TEST(rings_are_made_beside_other_threads)
{
    int making = 1;

    run_threads(3, make_or_take, &making);
}

/* --- two processes ---------------------------------------------------------------------------- */

typedef struct pair {
    char name[XVM_SHARE_NAME];
    xvm_share share;
    xvm_ring ring;
    const char *other; /* what runs in the other process */
    int status;        /* how that ends */
} pair;

static void begin_pair(pair *p, const char *other)
{
    xvm_share_options options = {.name = p->name};

    snprintf(p->name, sizeof p->name, "test-ring.%u", process_number());
    CHECK_EQUAL(xvm_share_create(&p->share, xvm_ring_footprint(64 << 10), &options), XVM_OK);
    p->ring = open_ring(&p->share);
    p->other = other;
}

static void end_pair(pair *p)
{
    xvm_ring_destroy(&p->ring);
    xvm_share_close(&p->share);
}

static xvm_ring join_pair(void)
{
    xvm_share share;
    xvm_ring ring;

    CHECK_EQUAL(xvm_share_open(&share, test_argument(), XVM_SHARE_READ_WRITE), XVM_OK);
    ring = open_ring(&share);
    xvm_share_close(&share);
    return ring;
}

/* All there is, by copies and then by views. */
ELSEWHERE(take_all)
{
    xvm_ring ring = join_pair();
    passage p = {NULL, &ring, PASSED, true};

    consume(&p);
    p.copies = false;
    consume(&p);
    CHECK_EQUAL(xvm_ring_check(&ring), XVM_OK);
    xvm_ring_destroy(&ring);
}

static void produce_beside(void *context, int index)
{
    pair *it = context;
    passage p = {&it->ring, NULL, PASSED, true};

    if (index == 1) {
        it->status = run_elsewhere(it->other, it->name);
        return;
    }
    produce(&p);
    p.copies = false;
    produce(&p);
}

TEST(two_processes_pass_a_sequence)
{
    pair p;

    begin_pair(&p, "take_all");
    run_threads(2, produce_beside, &p);
    CHECK_EQUAL(p.status, 0);
    CHECK_EQUAL(xvm_ring_room(&p.ring), p.ring.size);
    end_pair(&p);
}

/* Takes some, looks at more, and ends in the middle of that. */
ELSEWHERE(take_some)
{
    xvm_ring ring = join_pair();
    unsigned char bytes[1000];
    size_t available;

    CHECK_EQUAL(xvm_ring_pop(&ring, bytes, sizeof bytes), sizeof bytes);
    CHECK(is_filled(bytes, 0, sizeof bytes));
    CHECK(xvm_ring_peek(&ring, &available) != NULL && available == 2000);
    _Exit(3);
}

TEST(a_consumer_that_ended_early_loses_nothing)
{
    unsigned char bytes[3000];
    xvm_ring next;
    pair p;

    begin_pair(&p, "take_some");
    fill(bytes, 0, sizeof bytes);
    CHECK(xvm_ring_push(&p.ring, bytes, sizeof bytes));
    CHECK_EQUAL(run_elsewhere(p.other, p.name), 3);
    CHECK_EQUAL(xvm_ring_room(&p.ring), p.ring.size - 2000);
    next = open_ring(&p.share);
    CHECK_EQUAL(xvm_ring_pop(&next, bytes, sizeof bytes), 2000);
    CHECK(is_filled(bytes, 1000, 2000));
    xvm_ring_destroy(&next);
    end_pair(&p);
}

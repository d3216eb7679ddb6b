/* test_array.c - arrays that grow in place: contents, refusals, zeros, readers, giving back; and
 * millions of random calls against a plain array. */
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, READERS = 7 };

typedef struct point {
    int x, y;
    double weight;
} point;

typedef XVM_ARRAY(point) points;

static void check(const xvm_array *a)
{
    CHECK_EQUAL(xvm_array_check(a), XVM_OK);
}

/* --- contents --------------------------------------------------------------------------------- */

TEST(pushed_elements_stay_where_they_are)
{
    size_t most = memory_is_fake() ? MiB : 8 * MiB;
    uint64_t *first;
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, sizeof(uint64_t), most, NULL), XVM_OK);
    CHECK(a.count == 0 && a.capacity == 0 && a.element_size == 8 && a.max_count == most);
    CHECK_EQUAL(a.growth.committed, 0);
    for (uint64_t i = 0; i < most; i++) {
        uint64_t *at = xvm_array_push(&a, &i);

        CHECK(at == (uint64_t *)a.data + i && a.count == i + 1 && a.capacity > i);
    }
    first = a.data;
    for (size_t i = 0; i < most; i++)
        CHECK(first[i] == i);
    CHECK(xvm_array_push(&a, first) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    CHECK(a.count == most && a.data == first && a.capacity == most);
    check(&a);
    xvm_array_destroy(&a);
    CHECK(a.data == NULL && a.count == 0 && a.growth.base == NULL);
}

TEST(a_page_is_committed_by_the_first_push)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 24, 1000, NULL), XVM_OK);
    CHECK(xvm_array_push(&a, NULL) == a.data && a.growth.committed != 0);
    CHECK(a.capacity <= 1000 && a.capacity <= a.growth.committed / 24);
    xvm_array_destroy(&a);
}

TEST(insert_and_remove_move_the_rest)
{
    static const char expected[] = "0123456789";
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 1, 100, NULL), XVM_OK);
    CHECK(xvm_array_append(&a, "0189", 4) == a.data);
    CHECK(xvm_array_insert(&a, 2, "234567", 6) == (char *)a.data + 2);
    CHECK(a.count == 10 && memcmp(a.data, expected, 10) == 0);
    CHECK(xvm_array_insert(&a, 10, "x", 1) != NULL && xvm_array_insert(&a, 0, "y", 1) == a.data);
    xvm_array_remove(&a, 0, 1);
    xvm_array_remove(&a, 10, 1);
    CHECK(a.count == 10 && memcmp(a.data, expected, 10) == 0);
    xvm_array_remove(&a, 3, 4);
    CHECK(a.count == 6 && memcmp(a.data, "012789", 6) == 0);
    CHECK(xvm_array_insert(&a, 3, NULL, 2) == (char *)a.data + 3);
    CHECK(a.count == 8 && memcmp(a.data, "012\0\000789", 8) == 0);
    CHECK(xvm_array_insert(&a, 9, "z", 1) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    check(&a);
    xvm_array_destroy(&a);
}

TEST(elements_may_come_from_the_same_array)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 1, 100, NULL), XVM_OK);
    CHECK(xvm_array_append(&a, "abcdef", 6) != NULL);
    CHECK(xvm_array_push(&a, xvm_array_at(&a, 2)) != NULL);
    CHECK(xvm_array_append(&a, a.data, a.count) != NULL);
    CHECK(a.count == 14 && memcmp(a.data, "abcdefcabcdefc", 14) == 0);
    CHECK(xvm_array_resize(&a, 6));
    CHECK(xvm_array_insert(&a, 1, (char *)a.data + 3, 3) != NULL); /* from what moves */
    CHECK(memcmp(a.data, "adefbcdef", 9) == 0);
    CHECK(xvm_array_insert(&a, 5, (char *)a.data + 3, 4) != NULL); /* from both sides */
    CHECK(memcmp(a.data, "adefbfbcdcdef", 13) == 0);
    CHECK(xvm_array_insert(&a, 12, a.data, 3) != NULL); /* from what stays */
    CHECK(a.count == 16 && memcmp(a.data, "adefbfbcdcdeadef", 16) == 0);
    xvm_array_destroy(&a);
}

TEST(zero_elements_are_no_failure)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 8, 2, NULL), XVM_OK);
    CHECK(xvm_array_append(&a, NULL, 0) == a.data);
    CHECK(xvm_array_append(&a, &a, 0) == a.data);
    CHECK(xvm_array_insert(&a, 0, NULL, 0) == a.data);
    CHECK(xvm_array_prepare(&a, 0) == a.data);
    CHECK(xvm_array_ensure(&a, 0) && xvm_array_resize(&a, 0));
    xvm_array_remove(&a, 0, 0);
    xvm_array_pop(&a, 0);
    CHECK_EQUAL(a.growth.committed, 0);
    check(&a);
    xvm_array_destroy(&a);
}

TEST(at_is_checked)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 8, 10, NULL), XVM_OK);
    CHECK(xvm_array_at(&a, 0) == NULL);
    CHECK(xvm_array_resize(&a, 3));
    CHECK(xvm_array_at(&a, 2) == (char *)a.data + 16);
    CHECK(xvm_array_at(&a, 3) == NULL && xvm_array_at(&a, SIZE_MAX) == NULL);
    xvm_array_destroy(&a);
}

TEST(what_was_prepared_counts_when_published)
{
    xvm_array a;
    char *room;

    CHECK_EQUAL(xvm_array_create(&a, 1, 1000, NULL), XVM_OK);
    room = xvm_array_prepare(&a, 100);
    CHECK(room == a.data && a.count == 0);
    memset(room, 'p', 100);
    CHECK_EQUAL(xvm_array_publish(&a, 30), 0);
    CHECK(a.count == 30 && room[29] == 'p');
    check(&a);
    CHECK(xvm_array_resize(&a, 100) && room[30] == 0 && room[99] == 0 && room[29] == 'p');
    CHECK(xvm_array_prepare(&a, 901) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    xvm_array_destroy(&a);
}

/* --- zeros ------------------------------------------------------------------------------------ */

static void check_zero(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        CHECK_EQUAL(at[i], 0);
}

TEST(new_elements_are_zero_however_they_come)
{
    unsigned char ones[24];
    xvm_array a;

    memset(ones, 0xff, sizeof ones);
    CHECK_EQUAL(xvm_array_create(&a, sizeof ones, 10000, NULL), XVM_OK);
    for (int i = 0; i < 1000; i++)
        CHECK(xvm_array_push(&a, ones) != NULL);
    xvm_array_pop(&a, 400);
    check(&a);
    check_zero(xvm_array_push(&a, NULL), sizeof ones);
    check_zero(xvm_array_append(&a, NULL, 100), 100 * sizeof ones);
    check_zero(xvm_array_insert(&a, 3, NULL, 2), 2 * sizeof ones);
    CHECK(a.count == 703 && xvm_array_resize(&a, 2000));
    check_zero(xvm_array_at(&a, 703), 1297 * sizeof ones);
    CHECK(((unsigned char *)xvm_array_at(&a, 601))[0] == 0xff);
    check_zero(xvm_array_at(&a, 602), 101 * sizeof ones);
    xvm_array_remove(&a, 0, 1500);
    check(&a);
    CHECK(xvm_array_resize(&a, 5000));
    check_zero(xvm_array_at(&a, 500), 4500 * sizeof ones);
    xvm_array_clear(&a);
    CHECK(xvm_array_resize(&a, 5000));
    check_zero(a.data, 5000 * sizeof ones);
    xvm_array_destroy(&a);
}

/* A memset of what is zero already would make it resident. */
TEST(fresh_memory_is_not_written_to_make_it_zero)
{
    xvm_usage u;
    xvm_array a;

    if (!residency_is_known() || memory_is_fake())
        SKIP("this system does not tell what is resident");
    CHECK_EQUAL(xvm_array_create(&a, 8, 4 * MiB, NULL), XVM_OK);
    CHECK(xvm_array_resize(&a, 4 * MiB));
    xvm_region_usage(&a.growth.own.region, &u);
    CHECK(u.committed >= 32 * MiB && u.resident < MiB);
    xvm_array_destroy(&a);
}

/* --- refusals --------------------------------------------------------------------------------- */

TEST(broken_arguments_are_refused)
{
    xvm_array a, none = {0};

    CHECK_EQUAL(xvm_array_create(NULL, 1, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_array_create(&a, 0, 1, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_array_create(&a, 1, 0, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_array_create(&a, SIZE_MAX, 2, NULL), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(xvm_array_create(&a, 8, SIZE_MAX / 8 + 1, NULL), XVM_E_ADDRESS_SPACE);
    CHECK(xvm_array_create(&a, 8, SIZE_MAX / 8, NULL) != XVM_OK);
    CHECK(memcmp(&a, &none, sizeof a) == 0);
    CHECK(xvm_array_push(NULL, NULL) == NULL && xvm_array_append(NULL, NULL, 1) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(xvm_array_push(&none, NULL) == NULL && xvm_array_insert(&none, 0, NULL, 1) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
    CHECK(!xvm_array_resize(NULL, 1) && !xvm_array_ensure(&none, 1) && !xvm_array_resize(&none, 0));
    CHECK(xvm_array_prepare(&none, 1) == NULL && xvm_array_at(&none, 0) == NULL);
    xvm_array_pop(NULL, 0);
    xvm_array_pop(&none, 1);
    xvm_array_remove(&none, 0, 0);
    xvm_array_clear(&none);
    xvm_array_clear(NULL);
    xvm_array_trim(&none);
    xvm_array_trim(NULL);
    CHECK_EQUAL(xvm_array_check(NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_array_check(&none), XVM_OK);
    xvm_array_destroy(NULL);
    xvm_array_destroy(&none);
}

TEST(more_than_there_are_cannot_be_taken)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 4, 10, NULL), XVM_OK);
    CHECK(xvm_array_resize(&a, 5));
    (void)xvm_array_check(NULL);
    for (size_t k = 0; k < 20; k++) {
        xvm_array_pop(&a, SIZE_MAX - k);
        CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
        xvm_array_remove(&a, SIZE_MAX - k, k + 1);
        xvm_array_remove(&a, k + 1, SIZE_MAX - k);
        xvm_array_remove(&a, 5, k + 1);
    }
    xvm_array_pop(&a, 6);
    CHECK_EQUAL(a.count, 5);
    xvm_array_pop(&a, 5);
    CHECK_EQUAL(a.count, 0);
    xvm_array_destroy(&a);
}

TEST(sizes_near_the_largest_number_are_refused)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 24, 1000, NULL), XVM_OK);
    CHECK(xvm_array_resize(&a, 3));
    for (size_t k = 0; k < 100; k++) {
        CHECK(xvm_array_append(&a, NULL, SIZE_MAX - k) == NULL);
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
        CHECK(xvm_array_append(&a, NULL, SIZE_MAX / 24 + k) == NULL);
        CHECK(xvm_array_insert(&a, k % 4, NULL, SIZE_MAX - k) == NULL);
        CHECK(!xvm_array_resize(&a, SIZE_MAX - k) && !xvm_array_ensure(&a, SIZE_MAX - k));
        CHECK(xvm_array_prepare(&a, SIZE_MAX - k) == NULL);
    }
    CHECK(!xvm_array_resize(&a, 1001) && !xvm_array_ensure(&a, 1001) && a.count == 3);
    CHECK(xvm_array_ensure(&a, 1000) && a.capacity == 1000);
    check(&a);
    xvm_array_destroy(&a);
}

/* Pushes until it is full, each system call from the n-th on refused once: every push that fails
 * changes nothing, and the same push succeeds when the system does. */
TEST(a_refused_growth_changes_nothing)
{
    const xvm_array_options o = {.growth = {.flags = XVM_GROWTH_PREFAULT, .step = 64 * KiB}};

    for (int n = 1;; n++) {
        char script[32];
        size_t refused, failures = 0;
        xvm_array a;

        CHECK_EQUAL(xvm_array_create(&a, 8, 60000, &o), XVM_OK);
        snprintf(script, sizeof script, "*@%d+", n);
        CHECK(xvm_inject(script) == XVM_OK);
        for (uint64_t i = 0; i < a.max_count; i++) {
            xvm_array before = a;

            if (xvm_array_push(&a, &i) != NULL)
                continue;
            CHECK(memcmp(&before, &a, sizeof a) == 0 || a.growth.own.region.own.locked == 0);
            CHECK(before.count == a.count && before.capacity == a.capacity);
            CHECK(!xvm_array_resize(&a, a.count + 1) && !xvm_array_ensure(&a, a.capacity + 1));
            CHECK(xvm_array_insert(&a, 0, NULL, 1) == NULL && before.count == a.count);
            refused = xvm_injected();
            CHECK(refused != 0 && failures++ == 0);
            CHECK(xvm_inject(NULL) == XVM_OK);
            check(&a);
            CHECK(xvm_array_push(&a, &i) != NULL);
        }
        CHECK(xvm_inject(NULL) == XVM_OK);
        for (uint64_t i = 0; i < a.max_count; i++)
            CHECK(((uint64_t *)a.data)[i] == i);
        check(&a);
        xvm_array_destroy(&a);
        if (failures == 0)
            break;
    }
}

TEST(a_refused_creation_leaves_nothing)
{
    const xvm_array_options o = {.growth = {.flags = XVM_GROWTH_COMMIT | XVM_GROWTH_PREFAULT}};
    const xvm_array none = {0};

    for (int n = 1;; n++) {
        char script[32];
        xvm_status status;
        size_t refused;
        xvm_array a;

        snprintf(script, sizeof script, "*@%d", n);
        CHECK(xvm_inject(script) == XVM_OK);
        memset(&a, 0x55, sizeof a);
        status = xvm_array_create(&a, 8, 10000, &o);
        refused = xvm_injected();
        CHECK(xvm_inject(NULL) == XVM_OK);
        CHECK(status == XVM_OK ? a.capacity == 10000 : memcmp(&a, &none, sizeof a) == 0);
        xvm_array_destroy(&a);
        if (refused == 0)
            break;
    }
}

TEST(a_budget_is_asked_and_paid_back)
{
    xvm_array_options o = {0};
    xvm_budget b;
    xvm_array a;

    CHECK_EQUAL(xvm_budget_init(&b, "arrays", NULL, 512 * KiB), XVM_OK);
    o.growth.budget = &b;
    CHECK_EQUAL(xvm_array_create(&a, 8, MiB, &o), XVM_OK);
    while (xvm_array_push(&a, NULL) != NULL)
        ;
    CHECK_EQUAL(xvm_last_status(), XVM_E_BUDGET);
    CHECK_EQUAL(a.count, 512 * KiB / 8);
    xvm_array_clear(&a);
    xvm_array_trim(&a);
    CHECK_EQUAL(b.used, 0);
    CHECK(xvm_array_push(&a, NULL) != NULL && b.used != 0);
    xvm_array_destroy(&a);
    CHECK_EQUAL(b.used, 0);
}

TEST(errno_survives)
{
    xvm_array a;

    set_last_error(77);
    CHECK_EQUAL(xvm_array_create(&a, 8, 100000, NULL), XVM_OK);
    CHECK(xvm_array_resize(&a, 50000));
    xvm_array_clear(&a);
    xvm_array_trim(&a);
    xvm_array_destroy(&a);
    xvm_array_destroy(&a);
    xvm_array_destroy(NULL);
    CHECK_EQUAL(get_last_error(), 77);
}

/* --- giving back ------------------------------------------------------------------------------ */

static void fill(xvm_array *a, size_t count)
{
    CHECK(xvm_array_resize(a, count));
    memset(a->data, 0xee, count * a->element_size);
}

TEST(memory_is_given_back_with_reluctance)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 16, 2 * MiB, NULL), XVM_OK);
    fill(&a, MiB); /* 16 MiB */
    xvm_array_pop(&a, MiB / 2);
    CHECK(a.growth.committed >= 16 * MiB);
    while (a.count > MiB / 8) /* one by one, inline, down to an eighth */
        xvm_array_pop(&a, 1);
    CHECK(a.growth.committed >= 4 * MiB && a.growth.committed < 16 * MiB);
    check(&a);
    CHECK(xvm_array_resize(&a, MiB));
    check_zero(xvm_array_at(&a, MiB / 8), 16 * (MiB - MiB / 8));
    CHECK(((unsigned char *)xvm_array_at(&a, MiB / 8 - 1))[15] == 0xee);
    xvm_array_remove(&a, 0, MiB - 10);
    CHECK(a.growth.committed < 16 * MiB);
    check(&a);
    xvm_array_trim(&a);
    CHECK(a.count == 10 && a.growth.committed <= 2 * xvm_commit_unit(&a.growth.own.region));
    check(&a);
    fill(&a, MiB);
    xvm_array_clear(&a);
    CHECK(a.count == 0 && a.growth.committed < 16 * MiB && a.growth.committed >= 4 * MiB);
    xvm_array_trim(&a);
    CHECK(a.growth.committed == 0 && a.capacity == 0);
    check(&a);
    CHECK(xvm_array_push(&a, NULL) == a.data);
    xvm_array_destroy(&a);
}

static size_t system_calls;

static void count_call(const xvm_trace_call *call)
{
    (void)call;
    system_calls++;
}

TEST(up_and_down_at_a_boundary_costs_nothing)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 16, 2 * MiB, NULL), XVM_OK);
    fill(&a, MiB / 2);
    xvm_array_pop(&a, MiB / 2 - MiB / 8); /* one more would give something back */
    system_calls = 0;
    xvm_set_trace(count_call);
    for (int i = 0; i < 10000; i++) {
        xvm_array_pop(&a, 1);
        CHECK(xvm_array_push(&a, NULL) != NULL);
    }
    xvm_set_trace(NULL);
    printf("%zu system calls\n", system_calls);
    CHECK(system_calls <= 4);
    xvm_array_destroy(&a);
}

TEST(what_is_kept_is_given_back_by_a_trim_only)
{
    const xvm_array_options o = {.growth = {.flags = XVM_GROWTH_KEEP}};
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 16, MiB, &o), XVM_OK);
    fill(&a, MiB);
    xvm_array_pop(&a, MiB);
    CHECK_EQUAL(a.growth.committed, 16 * MiB);
    xvm_array_trim(&a);
    CHECK_EQUAL(a.growth.committed, 0);
    check(&a);
    xvm_array_destroy(&a);
}

TEST(growth_needs_few_system_calls)
{
    size_t most = memory_is_fake() ? 16 * MiB : 128 * MiB;
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 64, most / 64, NULL), XVM_OK);
    system_calls = 0;
    xvm_set_trace(count_call);
    while (a.count < a.max_count)
        CHECK(xvm_array_push(&a, NULL) != NULL);
    xvm_set_trace(NULL);
    printf("%zu system calls\n", system_calls);
    CHECK(system_calls < 80);
    xvm_array_destroy(&a);
}

TEST(many_arrays_share_one_region)
{
    enum { COUNT = 300 };
    static xvm_array all[COUNT];
    size_t part = 64 * KiB > xvm_page_size() ? 64 * KiB : xvm_page_size();
    xvm_region r;

    CHECK_EQUAL(
        xvm_reserve(&r, COUNT * part, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE}),
        XVM_OK);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_EQUAL(xvm_array_create(&all[i], 4, part / 4,
                                     &(xvm_array_options){.growth =
                                                              {
                                                                  .region = &r,
                                                                  .offset = i * part,
                                                                  .step = 1,
                                                              }}),
                    XVM_OK);
    for (uint32_t n = 0; n < 3000; n++)
        for (size_t i = n % 7; i < COUNT; i += 7)
            CHECK(xvm_array_push(&all[i], &n) != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(((uint32_t *)all[i].data)[1] == i % 7 + 7);
        CHECK(all[i].growth.committed < part || part == xvm_page_size());
        check(&all[i]);
        xvm_array_destroy(&all[i]);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_check_finds_what_is_broken)
{
    xvm_array a;

    CHECK_EQUAL(xvm_array_create(&a, 8, 1000, NULL), XVM_OK);
    CHECK(xvm_array_resize(&a, 10));
    check(&a);
    a.count = a.capacity + 1;
    CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    CHECK_EQUAL(xvm_last_status(), XVM_E_CORRUPT);
    a.count = 10;
    a.capacity--;
    CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    a.capacity++;
    a.data = (char *)a.data + 8;
    CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    a.data = a.growth.base;
    a.own.open++;
    CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    a.own.open--;
    a.growth.touched = a.growth.committed + 1;
    CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    a.growth.touched = 0;
    check(&a);
    if (a.own.tells == 0) {
        a.growth.base[a.growth.committed - 1] = 1;
        CHECK_EQUAL(xvm_array_check(&a), XVM_E_CORRUPT);
    }
    xvm_array_destroy(&a);
}

/* --- typed ------------------------------------------------------------------------------------ */

TEST(typed_arrays_need_no_casts)
{
    static const point two[2] = {{1, 2, 3}, {4, 5, 6}};
    points p;
    point *at, last;
    int sum = 0;

    CHECK_EQUAL(xvm_array_make(&p, 1000, NULL), XVM_OK);
    CHECK(xvm_last(&p) == NULL && !xvm_pop(&p, &last));
    at = xvm_push(&p, (point){7, 8, 9});
    CHECK(at == p.data && at->y == 8);
    at = xvm_append(&p, two, 2);
    CHECK(at == p.data + 1 && at[1].weight == 6);
    at = xvm_insert(&p, 1, NULL, 1);
    CHECK(at == p.data + 1 && at->x == 0 && xvm_count(&p) == 4);
    xvm_each(e, &p) sum += e->x;
    CHECK_EQUAL(sum, 12);
    CHECK(xvm_last(&p)->x == 4 && xvm_at(&p, 2)->y == 2 && xvm_at(&p, 4) == NULL);
    CHECK(xvm_pop(&p, &last) && last.x == 4 && p.array.count == 3);
    for (int i = 0; p.array.count < 1000; i++)
        CHECK(xvm_push(&p, (point){i, i, i}) != NULL);
    CHECK(xvm_push(&p, last) == NULL);
    CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_SPACE);
    xvm_array_pop(&p.array, 500);
    CHECK_EQUAL(xvm_push(&p, two[1])->x, 4);
    check(&p.array);
    xvm_array_destroy(&p.array);
    xvm_each(e, &p) CHECK(e == NULL);
}

TEST(arrays_of_pointers_are_typed_too)
{
    XVM_ARRAY(const char *) names;
    size_t letters = 0;

    CHECK_EQUAL(xvm_array_make(&names, 10, NULL), XVM_OK);
    CHECK(xvm_push(&names, "one") != NULL && xvm_push(&names, "three") != NULL);
    xvm_each(name, &names) letters += strlen(*name);
    CHECK_EQUAL(letters, 8);
    xvm_array_destroy(&names.array);
}

/* --- readers ---------------------------------------------------------------------------------- */

typedef struct meeting {
    xvm_array array;
    size_t most;
} meeting;

/* Element i is i and its square: whoever sees it counted sees all of it. */
static void write_all(meeting *m)
{
    for (uint64_t i = 0; i < m->most; i++) {
        uint64_t pair[2] = {i, i * i};

        if (i % 64 == 63)
            CHECK(xvm_array_append(&m->array, pair, 1) != NULL);
        else
            CHECK(xvm_array_push(&m->array, pair) != NULL);
    }
}

static void read_all(meeting *m, uint64_t seed)
{
    size_t count = 0, seen = 0;

    while (seen < m->most) {
        count = xvm_array_count(&m->array);
        CHECK(count >= seen);
        for (size_t i = seen; i < count; i++) {
            const uint64_t *pair = xvm_array_at(&m->array, i);

            CHECK(pair[0] == i && pair[1] == (uint64_t)i * i);
        }
        seen = count;
        if (seen != 0) {
            size_t i = (size_t)(test_random(&seed) % seen);

            CHECK(((const uint64_t(*)[2])m->array.data)[i][1] == (uint64_t)i * i);
        }
    }
}

static void meet(void *context, int index)
{
    if (index == 0)
        write_all(context);
    else
        read_all(context, (uint64_t)index);
}

TEST(seven_threads_read_while_one_pushes)
{
    meeting m = {.most = memory_is_emulated() ? 50000 : 500000};

    CHECK_EQUAL(xvm_array_create(&m.array, 16, m.most, NULL), XVM_OK);
    run_threads(READERS + 1, meet, &m);
    CHECK_EQUAL(m.array.count, m.most);
    check(&m.array);
    xvm_array_destroy(&m.array);
}

/* --- random calls ----------------------------------------------------------------------------- */

enum { STEPS = 3000000, FEW_STEPS = 100000, USUAL = 300, BATCH = 40 };

/* The array, and what it must be. */
typedef struct model {
    xvm_array array;
    unsigned char *bytes;
    size_t count, size, most;
    uint64_t seed;
    unsigned char batch[BATCH * 128];
} model;

static size_t draw(model *m, size_t limit)
{
    return (size_t)(test_random(&m->seed) % limit);
}

static unsigned char *element(model *m, size_t index)
{
    return m->bytes + index * m->size;
}

static void compare(model *m)
{
    CHECK_EQUAL(m->array.count, m->count);
    CHECK(memcmp(m->array.data, m->bytes, m->count * m->size) == 0);
}

static const void *draw_batch(model *m)
{
    memset(m->batch, (int)draw(m, 256), sizeof m->batch);
    m->batch[draw(m, sizeof m->batch)] ^= 1;
    return m->batch;
}

static void open_model(model *m, size_t index, size_t count)
{
    memmove(element(m, index + count), element(m, index), (m->count - index) * m->size);
    m->count += count;
}

static void close_model(model *m, size_t index, size_t count)
{
    memmove(element(m, index), element(m, index + count), (m->count - index - count) * m->size);
    m->count -= count;
}

static void set_model(model *m, size_t index, const void *elements, size_t count)
{
    if (elements != NULL)
        memcpy(element(m, index), elements, count * m->size);
    else
        memset(element(m, index), 0, count * m->size);
}

static void push_one(model *m)
{
    const void *e = draw(m, 4) == 0 ? NULL : draw_batch(m);
    unsigned char *at = xvm_array_push(&m->array, e);

    CHECK(at != NULL);
    set_model(m, m->count++, e, 1);
    CHECK(memcmp(at, element(m, m->count - 1), m->size) == 0);
}

static void append_some(model *m)
{
    const void *e = draw(m, 4) == 0 ? NULL : draw_batch(m);
    size_t count = draw(m, BATCH);
    unsigned char *at = xvm_array_append(&m->array, e, count);

    CHECK(at == (unsigned char *)m->array.data + m->count * m->size);
    set_model(m, m->count, e, count);
    m->count += count;
    CHECK(memcmp(at, element(m, m->count - count), count * m->size) == 0);
}

/* From a random place of the array itself. */
static void insert_own(model *m)
{
    size_t count = draw(m, BATCH), from, index = draw(m, m->count + 1);

    count = count < m->count ? count : m->count;
    from = draw(m, m->count - count + 1);
    memcpy(m->batch, element(m, from), count * m->size);
    CHECK(xvm_array_insert(&m->array, index, (char *)m->array.data + from * m->size, count) !=
          NULL);
    open_model(m, index, count);
    set_model(m, index, m->batch, count);
}

static void insert_some(model *m)
{
    const void *e = draw(m, 4) == 0 ? NULL : draw_batch(m);
    size_t count = draw(m, BATCH), index = draw(m, m->count + 1);

    CHECK(xvm_array_insert(&m->array, index, e, count) != NULL);
    open_model(m, index, count);
    set_model(m, index, e, count);
}

static void remove_some(model *m)
{
    size_t index = draw(m, m->count + 1), count = draw(m, BATCH);

    count = count < m->count - index ? count : m->count - index;
    xvm_array_remove(&m->array, index, count);
    close_model(m, index, count);
}

static void pop_some(model *m)
{
    size_t count = draw(m, BATCH);

    count = count < m->count ? count : m->count;
    xvm_array_pop(&m->array, count);
    m->count -= count;
}

static void resize_to(model *m, size_t count)
{
    CHECK(xvm_array_resize(&m->array, count));
    if (count > m->count)
        set_model(m, m->count, NULL, count - m->count);
    m->count = count;
}

/* All of the room is written, a part of it counts. */
static void prepare_some(model *m)
{
    size_t count = draw(m, BATCH), kept = draw(m, count + 1);
    void *at = xvm_array_prepare(&m->array, count);

    CHECK(at != NULL);
    memcpy(at, draw_batch(m), count * m->size);
    set_model(m, m->count, m->batch, kept);
    CHECK_EQUAL(xvm_array_publish(&m->array, kept), m->count);
    m->count += kept;
}

/* Up to more than 1 MiB, so that going down gives memory back. */
static void go_up_and_down(model *m)
{
    size_t high = draw(m, m->most - BATCH) + 1;

    resize_to(m, high);
    memset(m->array.data, 0x77, high * m->size);
    memset(m->bytes, 0x77, high * m->size);
    while (m->count > USUAL) {
        size_t count = draw(m, m->count) + 1;

        if (draw(m, 2) == 0) {
            xvm_array_pop(&m->array, count);
            m->count -= count;
        } else {
            resize_to(m, m->count - count);
        }
    }
}

static void give_back_all(model *m)
{
    if (draw(m, 2) == 0) {
        xvm_array_clear(&m->array);
        m->count = 0;
    }
    if (draw(m, 2) == 0)
        xvm_array_trim(&m->array);
}

static void ask_too_much(model *m)
{
    size_t k = draw(m, 3 * BATCH), index = draw(m, m->count + 1);

    CHECK(xvm_array_append(&m->array, NULL, SIZE_MAX - k) == NULL);
    CHECK(xvm_array_append(&m->array, m->batch, m->most - m->count + 1 + k) == NULL);
    CHECK(xvm_array_insert(&m->array, index, m->batch, SIZE_MAX / m->size - k) == NULL);
    CHECK(xvm_array_insert(&m->array, m->count + 1 + k, m->batch, 1) == NULL);
    CHECK(xvm_array_insert(&m->array, SIZE_MAX - k, NULL, SIZE_MAX - k) == NULL);
    CHECK(!xvm_array_resize(&m->array, SIZE_MAX - k));
    CHECK(!xvm_array_ensure(&m->array, m->most + 1 + k));
    CHECK(xvm_array_prepare(&m->array, SIZE_MAX - k) == NULL);
    CHECK(xvm_array_at(&m->array, m->count + k) == NULL);
    xvm_array_remove(&m->array, index, SIZE_MAX - k);
    xvm_array_remove(&m->array, SIZE_MAX - k, SIZE_MAX - k);
    xvm_array_pop(&m->array, m->count + 1 + k);
    CHECK_EQUAL(m->array.count, m->count);
}

/* A refused commit: nothing happens, or what was asked for, without one. */
static void be_refused(model *m)
{
    size_t count = draw(m, m->most - m->count) + 1;

    CHECK(xvm_inject("commit") == XVM_OK);
    if (xvm_array_append(&m->array, NULL, count) != NULL) {
        set_model(m, m->count, NULL, count);
        m->count += count;
    }
    CHECK(xvm_inject(NULL) == XVM_OK);
    if (m->count > USUAL)
        resize_to(m, draw(m, USUAL));
}

static void step(model *m)
{
    switch (draw(m, 20)) {
    case 0:
    case 1:
    case 2:
        insert_some(m);
        break;
    case 3:
        insert_own(m);
        break;
    case 4:
    case 5:
    case 6:
        remove_some(m);
        break;
    case 7:
    case 8:
        append_some(m);
        break;
    case 9:
    case 10:
        pop_some(m);
        break;
    case 11:
        resize_to(m, draw(m, USUAL));
        break;
    case 12:
        prepare_some(m);
        break;
    case 13:
        CHECK(xvm_array_ensure(&m->array, draw(m, 2 * USUAL)));
        break;
    case 14:
        draw(m, 200) == 0 ? be_refused(m) : ask_too_much(m);
        break;
    case 15:
        draw(m, 50) == 0 ? give_back_all(m) : push_one(m);
        break;
    case 16:
        draw(m, 1000) == 0 ? go_up_and_down(m) : push_one(m);
        break;
    default:
        push_one(m);
    }
    if (m->count > 2 * USUAL)
        remove_some(m);
}

/* The seed is printed first: a failure is played again by putting it here. */
static void play(uint64_t seed, size_t size)
{
    size_t steps = memory_is_emulated() || memory_is_fake() ? FEW_STEPS : STEPS;
    model *m = calloc(1, sizeof *m);

    CHECK(m != NULL);
    printf("seed %llu, elements of %zu bytes\n", (unsigned long long)seed, size);
    m->seed = seed;
    m->size = size;
    m->most = 3 * MiB / size + 8 * USUAL;
    m->bytes = malloc((m->most + BATCH) * size);
    CHECK(m->bytes != NULL);
    CHECK_EQUAL(xvm_array_create(&m->array, size, m->most, NULL), XVM_OK);
    for (size_t i = 0; i < steps; i++) {
        step(m);
        CHECK_EQUAL(m->array.count, m->count);
        if (i % 128 == 0)
            compare(m);
        if (i % 2048 == 0)
            check(&m->array);
    }
    compare(m);
    check(&m->array);
    xvm_array_destroy(&m->array);
    free(m->bytes);
    free(m);
}

TEST(three_million_random_calls_with_bytes)
{
    play(1, 1);
}

TEST(three_million_random_calls_with_words)
{
    play(20262, 8);
}

TEST(three_million_random_calls_with_odd_sizes)
{
    play(33, 3);
}

TEST(three_million_random_calls_with_structures)
{
    play(4711, 104);
}

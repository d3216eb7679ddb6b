/* test_snapshot_save.c - snapshots in files: what is in them, and what their owner does meanwhile. */
#include "again.h"
#include "harness.h"
#include "image.h"
#include "xvm/xvm.h"

enum { PAGES = 600, PATH = 256 };

static size_t page;

typedef struct field {
    xvm_region region;
    xvm_snapshots *snapshots;
    char path[PATH];
} field;

static unsigned char *at(const field *f, size_t i)
{
    return (unsigned char *)f->region.base + i * page;
}

static void begin_with(field *f, const char *name, size_t size,
                       const xvm_snapshots_options *options)
{
    const char *folder = getenv("TMPDIR");

    folder = folder != NULL ? folder : getenv("TEMP");
    CHECK_EQUAL(xvm_reserve(&f->region, size, NULL), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_create(&f->snapshots, &f->region, options), XVM_OK);
    snprintf(f->path, sizeof f->path, "%s/xvm-snapshot-%u-%s", folder != NULL ? folder : "/tmp",
             process_id(), name);
}

static void begin(field *f, const char *name, const xvm_snapshots_options *options)
{
    page = xvm_page_size();
    begin_with(f, name, PAGES * page, options);
}

static void end(field *f)
{
    xvm_snapshots_destroy(f->snapshots);
    CHECK_EQUAL(xvm_release(&f->region), XVM_OK);
    (void)remove(f->path);
}

static uint64_t take(field *f)
{
    uint64_t id;

    CHECK_EQUAL(xvm_snapshots_take(f->snapshots, &id), XVM_OK);
    return id;
}

/* --- what is in a file ------------------------------------------------------------------------- */

/* A plain copy of bytes and states. */
typedef struct copy {
    unsigned char states[PAGES];
    unsigned char *bytes;
} copy;

static copy make_copy(const field *f)
{
    copy c = {.bytes = calloc(PAGES, page)};
    xvm_run run;

    CHECK(c.bytes != NULL);
    for (size_t i = 0; i < PAGES; i++) {
        CHECK_EQUAL(xvm_region_run(&f->region, i * page, &run), XVM_OK);
        c.states[i] = (unsigned char)run.state;
        if (run.state == XVM_COMMITTED)
            memcpy(c.bytes + i * page, at(f, i), page);
    }
    return c;
}

static copy read_copy(const field *f)
{
    copy c = {.bytes = calloc(PAGES, page)};
    xvm_os_image image;
    xvm_os_image_run run;

    CHECK(c.bytes != NULL);
    memset(c.states, XVM_RESERVED, sizeof c.states);
    CHECK_EQUAL(xvm_os_image_open(&image, f->path).status, XVM_OK);
    CHECK(image.about.base == (uintptr_t)f->region.base && image.about.size == f->region.size);
    for (;;) {
        CHECK_EQUAL(xvm_os_image_next(&image, &run).status, XVM_OK);
        if (run.size == 0)
            break;
        memset(c.states + run.offset / page, (int)run.state, run.size / page);
        if (run.has_bytes)
            CHECK_EQUAL(xvm_os_image_read(&image, c.bytes + run.offset, run.size).status, XVM_OK);
    }
    xvm_os_image_close(&image);
    return c;
}

static void check_file(const field *f, copy *expected)
{
    copy found = read_copy(f);

    CHECK(memcmp(found.states, expected->states, sizeof found.states) == 0);
    CHECK(memcmp(found.bytes, expected->bytes, PAGES * page) == 0);
    free(found.bytes);
    free(expected->bytes);
}

static void write_some(field *f, uint64_t *seed)
{
    for (size_t count = 40; count != 0; count--) {
        size_t i = (size_t)(test_random(seed) >> 11) % PAGES;
        xvm_run run;

        CHECK_EQUAL(xvm_region_run(&f->region, i * page, &run), XVM_OK);
        if (run.state == XVM_COMMITTED)
            memset(at(f, i) + (test_random(seed) >> 40) % (page - 100), (int)(count % 3), 100);
    }
}

static void change_states(field *f, uint64_t *seed)
{
    size_t from = (size_t)(test_random(seed) >> 11) % (PAGES - 20);

    CHECK_EQUAL(xvm_decommit(&f->region, from * page, 7 * page), XVM_OK);
    CHECK_EQUAL(xvm_guard(&f->region, (from + 3) * page, page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&f->region, (from + 9) * page, 5 * page), XVM_OK);
}

TEST(a_file_is_the_snapshot)
{
    uint64_t seed = 5, ids[4];
    copy copies[4];
    field f;

    begin(&f, "plain", NULL);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 500 * page), XVM_OK);
    for (size_t i = 0; i < 4; i++) {
        write_some(&f, &seed);
        change_states(&f, &seed);
        ids[i] = take(&f);
        copies[i] = make_copy(&f);
    }
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQUAL(xvm_snapshots_save(f.snapshots, ids[i], f.path), XVM_OK);
        check_file(&f, &copies[i]);
    }
    CHECK_EQUAL(xvm_snapshots_save(f.snapshots, 99, f.path), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_snapshots_save(f.snapshots, ids[0], "/no such folder/file"), XVM_E_NOT_FOUND);
    end(&f);
}

/* --- meanwhile --------------------------------------------------------------------------------- */

typedef struct race {
    field f;
    uint64_t id;
    int is_over;
    xvm_status status;
    size_t rounds;
} race;

/* The owner writes, takes, restores and drops, also the one that is being saved. */
static void go_on(race *r)
{
    uint64_t seed = 9, ids[3] = {0, 0, 0};

    sleep_for(1); /* else it is dropped, as a rule, before the save begins */

    for (size_t i = 0; !__atomic_load_n(&r->is_over, __ATOMIC_ACQUIRE); i++) {
        write_some(&r->f, &seed);
        change_states(&r->f, &seed);
        ids[i % 3] = take(&r->f);
        if (i == 1)
            CHECK_EQUAL(xvm_snapshots_drop(r->f.snapshots, r->id), XVM_OK);
        if (i % 4 == 3 && i % 5 != 0) /* the one before was not dropped */
            CHECK_EQUAL(xvm_snapshots_restore(r->f.snapshots, ids[(i + 2) % 3]), XVM_OK);
        if (i % 5 == 4)
            CHECK_EQUAL(xvm_snapshots_rewind(r->f.snapshots, ids[(i + 2) % 3]), XVM_OK);
        r->rounds = i + 1;
    }
}

/* Nothing is held for a save that is done. */
static void drop_all(field *f)
{
    xvm_snapshots_use use;

    for (xvm_snapshots_usage(f->snapshots, &use); use.newest != 0;
         xvm_snapshots_usage(f->snapshots, &use))
        CHECK_EQUAL(xvm_snapshots_drop(f->snapshots, use.newest), XVM_OK);
    (void)xvm_snapshots_trim(f->snapshots);
    xvm_snapshots_usage(f->snapshots, &use);
    CHECK_EQUAL(use.bytes, 0);
}

static void save_or_go_on(void *context, int index)
{
    race *r = context;

    if (index == 0) {
        r->status = xvm_snapshots_save(r->f.snapshots, r->id, r->f.path);
        __atomic_store_n(&r->is_over, 1, __ATOMIC_RELEASE);
    } else {
        go_on(r);
    }
}

TEST(a_file_is_the_snapshot_while_the_owner_goes_on)
{
    uint64_t seed = 5;
    unsigned saved = 0;
    copy c;
    race r;

    for (unsigned round = 0; round < 12; round++) {
        r = (race){.id = 0};
        begin(&r.f, "race", &(xvm_snapshots_options){.max_count = 5});
        CHECK_EQUAL(xvm_commit(&r.f.region, 0, 500 * page), XVM_OK);
        for (size_t i = 0; i < 3; i++) {
            write_some(&r.f, &seed);
            r.id = take(&r.f);
        }
        for (size_t i = 0; i < PAGES / 2; i++)
            at(&r.f, i)[page / 2] = (unsigned char)(i + round);
        r.id = take(&r.f);
        c = make_copy(&r.f);
        run_threads(2, save_or_go_on, &r);
        CHECK(r.status == XVM_OK || (r.status == XVM_E_NOT_FOUND && r.rounds > 1));
        if (r.status == XVM_OK)
            check_file(&r.f, &c);
        else
            free(c.bytes);
        saved += r.status == XVM_OK;
        CHECK(r.rounds < 2 || xvm_snapshots_restore(r.f.snapshots, r.id) == XVM_E_NOT_FOUND);
        drop_all(&r.f);
        end(&r.f);
    }
    CHECK(saved != 0);
}

static void save_one_of_two(void *context, int index)
{
    race *r = context;
    char path[PATH + 8];

    snprintf(path, sizeof path, "%s-%d", r->f.path, index);
    CHECK_EQUAL(xvm_snapshots_save(r->f.snapshots, r->id, path), XVM_OK);
    CHECK(remove(path) == 0);
}

TEST(several_save_the_same_snapshot)
{
    race r = {.id = 0};

    begin(&r.f, "several", NULL);
    CHECK_EQUAL(xvm_commit(&r.f.region, 0, 500 * page), XVM_OK);
    memset(at(&r.f, 0), 3, 400 * page);
    r.id = take(&r.f);
    run_threads(3, save_one_of_two, &r);
    CHECK_EQUAL(xvm_snapshots_drop(r.f.snapshots, r.id), XVM_OK);
    end(&r.f);
}

/* --- refusals --------------------------------------------------------------------------------- */

TEST(a_refused_save_leaves_the_old_file)
{
    uint64_t first, second;
    char script[32];
    size_t refused = 1;
    xvm_status status;
    copy old;
    field f;

    begin(&f, "refused", NULL);
    CHECK_EQUAL(xvm_commit(&f.region, 0, 500 * page), XVM_OK);
    memset(at(&f, 0), 3, 400 * page);
    first = take(&f);
    at(&f, 3)[3] = 7;
    second = take(&f);
    CHECK_EQUAL(xvm_snapshots_restore(f.snapshots, first), XVM_OK);
    CHECK_EQUAL(xvm_snapshots_save(f.snapshots, first, f.path), XVM_OK);
    for (unsigned n = 1; refused != 0; n++) {
        snprintf(script, sizeof script, "*@%u", n);
        CHECK_EQUAL(xvm_inject(script), XVM_OK);
        status = xvm_snapshots_save(f.snapshots, second, f.path);
        refused = xvm_injected();
        CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
        if (status == XVM_OK)
            CHECK_EQUAL(xvm_snapshots_save(f.snapshots, first, f.path), XVM_OK);
        old = make_copy(&f);
        check_file(&f, &old);
    }
    end(&f);
}

/* --- a heap ----------------------------------------------------------------------------------- */

typedef struct node {
    struct node *next;
    unsigned value;
} node;

static void push(xvm_heap *heap, unsigned count)
{
    while (count-- != 0) {
        node *n = xvm_heap_alloc(heap, sizeof *n + count % 900);

        CHECK(n != NULL);
        *n = (node){xvm_heap_root(heap), count};
        xvm_heap_set_root(heap, n);
    }
}

static unsigned sum_of(const node *list)
{
    unsigned sum = 0;

    for (; list != NULL; list = list->next)
        sum = sum * 31 + list->value;
    return sum;
}

TEST(a_heap_is_loaded_as_it_was)
{
    xvm_heap *heap;
    unsigned sum;
    uint64_t id;
    field f;

    page = xvm_page_size();
    begin_with(&f, "heap", (size_t)64 << 20, NULL);
    CHECK_EQUAL(xvm_heap_create_in(&heap, &f.region, NULL), XVM_OK);
    push(heap, 4000);
    id = take(&f);
    sum = sum_of(xvm_heap_root(heap));
    push(heap, 4000);
    CHECK_EQUAL(xvm_snapshots_save(f.snapshots, id, f.path), XVM_OK);
    xvm_snapshots_destroy(f.snapshots);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(xvm_release(&f.region), XVM_OK);
    CHECK_EQUAL(xvm_heap_load(&heap, f.path, NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    CHECK_EQUAL(sum_of(xvm_heap_root(heap)), sum);
    push(heap, 1000);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
    (void)remove(f.path);
}

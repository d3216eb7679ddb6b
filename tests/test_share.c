/* test_share.c - shared memory and files: who sees what, what stays, and what is refused. */
#include "harness.h"
#include "xvm/xvm.h"

enum { MiB = 1 << 20 };

static size_t page, unit; /* unit: the granularity */
static char path[300], name[64];

/* --- tools ------------------------------------------------------------------------------------ */

static void measure(void)
{
    page = xvm_page_size();
    unit = xvm_allocation_granularity();
}

static void begin(void)
{
    const char *folder = getenv("TMPDIR");

    measure();
    folder = folder != NULL ? folder : getenv("TEMP");
    snprintf(path, sizeof path, "%s/xvm-share-%u", folder != NULL ? folder : "/tmp",
             process_number());
    snprintf(name, sizeof name, "test.%u", process_number());
    remove_file(path);
}

static bool maps_into(void)
{
    return (xvm_system()->features & XVM_HAS_MAP_INTO) != 0;
}

static xvm_share small_memory(void)
{
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, 1, NULL), XVM_OK);
    return s;
}

static xvm_share memory(size_t units)
{
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, units * unit, NULL), XVM_OK);
    CHECK_EQUAL(s.size, units * unit);
    return s;
}

static xvm_share named(size_t units)
{
    xvm_share_options options = {.name = name};
    xvm_share s;

    begin();
    CHECK_EQUAL(xvm_share_create(&s, units * unit, &options), XVM_OK);
    return s;
}

static xvm_share file(xvm_file_mode mode, uint64_t size)
{
    xvm_share s;

    CHECK_EQUAL(xvm_file_open(&s, path, mode), XVM_OK);
    if (size != s.size)
        CHECK_EQUAL(xvm_share_resize(&s, size), XVM_OK);
    CHECK_EQUAL(s.size, size);
    return s;
}

static xvm_region map_all(xvm_share *s)
{
    xvm_region r = {0};

    CHECK_EQUAL(xvm_share_map(s, 0, 0, NULL, &r, 0), XVM_OK);
    CHECK(r.base != NULL && r.size >= s->size && r.size < s->size + page);
    return r;
}

static unsigned char *at(const xvm_region *r, size_t offset)
{
    return (unsigned char *)r->base + offset;
}

static bool holds_nothing(const void *handle, size_t size)
{
    const unsigned char *bytes = handle;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool is_filled(const unsigned char *from, size_t size, unsigned char byte)
{
    for (size_t i = 0; i < size; i++)
        if (from[i] != byte)
            return false;
    return true;
}

static void check_span(const xvm_region *r, size_t offset, xvm_state state,
                       xvm_protection protection)
{
    xvm_span span;

    CHECK_EQUAL(xvm_query(at(r, offset), &span), XVM_OK);
    CHECK_EQUAL(span.state, state);
    CHECK_EQUAL(span.protection, protection);
    CHECK(span.name == r->own.name);
}

static void check_same(const holdings *before)
{
    holdings after;

    look_at_process(&after);
    CHECK_EQUAL(after.handles, before->handles);
    if (memory_is_emulated()) /* a sanitizer maps for itself, Wine shows its own */
        return;
    CHECK_EQUAL(after.addresses, before->addresses);
    CHECK_EQUAL(after.mappings, before->mappings);
}

/* What follows is looked at when everything that is made once has been made. */
static void warm_up(void)
{
    xvm_share s = small_memory();
    xvm_region r = map_all(&s), other;
    xvm_span span;

    CHECK_EQUAL(xvm_query(r.base, &span), XVM_OK);
    CHECK_EQUAL(xvm_reserve(&other, MiB, NULL), XVM_OK);
    CHECK_EQUAL(xvm_release(&other), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 1, page, NULL, &other, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(xvm_share_create(&s, 2 * (size_t)MiB, NULL), XVM_OK);
    xvm_share_close(&s);
}

/* --- memory ----------------------------------------------------------------------------------- */

TEST(two_views_show_the_same_bytes)
{
    xvm_share s = memory(3);
    xvm_region a = map_all(&s), b = {0};

    CHECK(is_filled(at(&a, 0), a.size, 0));
    CHECK_EQUAL(xvm_share_map(&s, unit, unit, NULL, &b, 0), XVM_OK);
    CHECK(a.base != b.base && b.size == unit);
    memset(at(&a, unit), 7, unit);
    CHECK(is_filled(at(&b, 0), unit, 7));
    memset(at(&b, 0), 8, unit);
    CHECK(is_filled(at(&a, unit), unit, 8));
    CHECK(is_filled(at(&a, 0), unit, 0) && is_filled(at(&a, 2 * unit), unit, 0));
    CHECK(xvm_release(&a) == XVM_OK && xvm_release(&b) == XVM_OK);
    xvm_share_close(&s);
}

TEST(views_stay_when_the_handle_is_closed)
{
    xvm_share s = memory(2);
    xvm_region a = map_all(&s), b = map_all(&s);

    memset(a.base, 3, a.size);
    xvm_share_close(&s);
    CHECK(holds_nothing(&s, sizeof s));
    memset(at(&a, unit), 4, unit);
    CHECK(is_filled(at(&b, 0), unit, 3) && is_filled(at(&b, unit), unit, 4));
    CHECK(xvm_release(&a) == XVM_OK);
    CHECK(is_filled(at(&b, unit), unit, 4));
    CHECK(xvm_release(&b) == XVM_OK);
    xvm_share_close(&s);
    xvm_share_close(NULL);
}

TEST(a_view_is_a_region)
{
    xvm_share s = memory(4);
    xvm_map_options options = {.protection = XVM_READ, .name = "a view"};
    xvm_region r = {0};
    xvm_usage u;
    void *base;

    CHECK_EQUAL(xvm_share_map(&s, 0, 2 * unit, &options, &r, 0), XVM_OK);
    base = r.base;
    xvm_region_usage(&r, &u);
    CHECK(u.reserved == 2 * unit && u.mapped == 2 * unit && u.committed == 0 && u.guarded == 0);
    check_span(&r, 0, XVM_MAPPED, XVM_READ);
    check_span(&r, 2 * unit - 1, XVM_MAPPED, XVM_READ);
    CHECK(faults_on_write(at(&r, unit)) && !faults_on_read(at(&r, unit)));
    CHECK_EQUAL(xvm_commit_unit(&r), page);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 0), XVM_OK);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 2 * unit), XVM_OK);
    CHECK(holds_nothing(&r, sizeof r));
    CHECK(faults_on_read(base));
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 2 * unit), XVM_E_INVALID);
    xvm_share_close(&s);
}

TEST(broken_arguments_are_invalid)
{
    static const xvm_share_options flags = {.flags = 1};
    xvm_map_options bad = {.flags = 2};
    xvm_share s, none = {0};
    xvm_region r = {0}, held;

    begin();
    CHECK_EQUAL(xvm_share_create(NULL, page, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_create(&s, 0, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_create(&s, UINT64_MAX, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_create(&s, page, &flags), XVM_E_INVALID);
    CHECK(holds_nothing(&s, sizeof s));
    CHECK_EQUAL(xvm_file_open(&s, NULL, XVM_FILE_READ), XVM_E_INVALID);
    CHECK_EQUAL(xvm_file_open(&s, path, (xvm_file_mode)5), XVM_E_INVALID);
    CHECK_EQUAL(xvm_file_open(NULL, path, XVM_FILE_READ), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_resize(&none, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&none, 0, 0, NULL, &r, 0), XVM_E_INVALID);
    s = memory(4);
    held = map_all(&s);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, NULL, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 1, page, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, page, NULL, &r, unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 4 * unit, 0, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 4 * unit, page, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 3 * unit, unit + 1, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, SIZE_MAX, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, page, &bad, &r, 0), XVM_E_INVALID);
    bad = (xvm_map_options){.protection = XVM_READ_EXECUTE};
    CHECK_EQUAL(xvm_share_map(&s, 0, page, &bad, &r, 0), XVM_E_INVALID);
    CHECK(holds_nothing(&r, sizeof r));
    CHECK_EQUAL(xvm_share_flush(&none, &held, 0, page, XVM_FLUSH_CACHE), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_flush(&s, &held, 0, page, (xvm_flush)2), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_flush(&s, &held, 0, held.size + 1, XVM_FLUSH_CACHE), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_flush(&s, &held, 1, page, XVM_FLUSH_DISK), XVM_OK);
    CHECK_EQUAL(xvm_share_flush(&s, &held, 1, 0, XVM_FLUSH_DISK), XVM_OK);
    CHECK_EQUAL(xvm_share_unmap(NULL, 0, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_unmap(&held, 1, page), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_unmap(&held, 0, held.size + page), XVM_E_INVALID);
    CHECK(xvm_release(&held) == XVM_OK);
    xvm_share_close(&s);
}

TEST(memory_keeps_its_size)
{
    xvm_share s = small_memory();

    CHECK_EQUAL(s.size, page);
    CHECK_EQUAL(xvm_share_resize(&s, 2 * page), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_share_resize(&s, 0), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(s.size, page);
    xvm_share_close(&s);
}

/* It would be resident at once. */
TEST(more_than_there_is_is_refused)
{
    xvm_share s;
    char text[300];

    begin();
    CHECK_EQUAL(xvm_share_create(&s, (uint64_t)1 << 50, NULL), XVM_E_COMMIT_LIMIT);
    CHECK(holds_nothing(&s, sizeof s));
    xvm_explain(text, sizeof text);
    puts(text);
    CHECK(strncmp(text, "share_create of 1 PiB refused: ", 31) == 0 ||
          strncmp(text, "share_create of 1024 TiB refused: ", 34) == 0);
}

TEST(errors_survive_success)
{
    xvm_share s, t;
    xvm_region r = {0};
    xvm_share_options options = {.name = name};

    begin();
    set_last_error(77);
    CHECK_EQUAL(xvm_share_create(&s, 2 * unit, &options), XVM_OK);
    CHECK_EQUAL(xvm_share_open(&t, name, XVM_SHARE_READ_WRITE), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, unit, XVM_FLUSH_DISK), XVM_OK);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, r.size), XVM_OK);
    xvm_share_close(&t);
    xvm_share_close(&s);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_OPEN_OR_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 3 * unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, unit, unit, NULL, &r, 0), XVM_OK);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, unit, XVM_FLUSH_DISK), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 1), XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(get_last_error(), 77);
    remove_file(path);
}

/* --- names ------------------------------------------------------------------------------------ */

TEST(a_name_is_one_while_it_is_held)
{
    xvm_share s = named(3), t, u;
    xvm_region a = map_all(&s), b;

    CHECK_EQUAL(xvm_share_create(&u, unit, &(xvm_share_options){.name = name}), XVM_E_EXISTS);
    CHECK(holds_nothing(&u, sizeof u));
    CHECK_EQUAL(xvm_share_open(&t, name, XVM_SHARE_READ_WRITE), XVM_OK);
    CHECK_EQUAL(t.size, s.size);
    b = map_all(&t);
    memset(b.base, 9, b.size);
    CHECK(is_filled(a.base, a.size, 9));
    xvm_share_close(&s); /* the second handle keeps it */
    CHECK_EQUAL(xvm_share_create(&u, unit, &(xvm_share_options){.name = name}), XVM_E_EXISTS);
    CHECK_EQUAL(xvm_share_open(&u, name, XVM_SHARE_READ), XVM_OK);
    xvm_share_close(&t);
    xvm_share_close(&u);
    CHECK(xvm_release(&a) == XVM_OK && xvm_release(&b) == XVM_OK);
    CHECK_EQUAL(xvm_share_open(&u, name, XVM_SHARE_READ), XVM_E_NOT_FOUND);
    CHECK(holds_nothing(&u, sizeof u));
    s = named(1);
    CHECK_EQUAL(s.size, unit);
    xvm_share_close(&s);
}

TEST(names_are_looked_at)
{
    static const char *const broken[] = {
        "",
        "a/b",
        "a\\b",
        "a b",
        "\xc3\xa4",
        "a:",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const fine[] = {
        "a", "...", "A-b_c.9", "012345678901234567890123456789012345678901234567890123456789012"};
    xvm_share s;

    begin();
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        xvm_share_options options = {.name = broken[i]};

        CHECK_EQUAL(xvm_share_create(&s, page, &options), XVM_E_INVALID);
        CHECK_EQUAL(xvm_share_open(&s, broken[i], XVM_SHARE_READ), XVM_E_INVALID);
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        xvm_share_options options = {.name = fine[i]};
        xvm_status status = xvm_share_create(&s, page, &options);

        CHECK(status == XVM_OK || status == XVM_E_EXISTS); /* of another test at this moment */
        xvm_share_close(&s);
    }
    CHECK_EQUAL(xvm_share_open(&s, NULL, XVM_SHARE_READ), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_open(&s, name, (xvm_share_access)2), XVM_E_INVALID);
}

TEST(what_was_opened_to_be_read_is_not_written)
{
    xvm_share s = named(2), t;
    xvm_map_options writing = {.protection = XVM_READ_WRITE}, copying = {.flags = XVM_MAP_PRIVATE};
    xvm_region a = map_all(&s), b, c = {0};
    char text[300];

    memset(a.base, 5, a.size);
    CHECK_EQUAL(xvm_share_open(&t, name, XVM_SHARE_READ), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&t, 0, 0, &writing, &c, 0), XVM_E_PERMISSION);
    xvm_explain(text, sizeof text);
    puts(text);
    CHECK(strstr(text, "the share is for reading") != NULL);
    CHECK(holds_nothing(&c, sizeof c));
    b = map_all(&t);
    check_span(&b, 0, XVM_MAPPED, XVM_READ);
    CHECK(faults_on_write(b.base));
    CHECK_EQUAL(xvm_share_map(&t, 0, 0, &copying, &c, 0), XVM_OK);
    memset(c.base, 6, c.size);
    CHECK(is_filled(a.base, a.size, 5) && is_filled(b.base, b.size, 5));
    CHECK(xvm_release(&a) == XVM_OK && xvm_release(&b) == XVM_OK && xvm_release(&c) == XVM_OK);
    xvm_share_close(&t);
    xvm_share_close(&s);
}

ELSEWHERE(answer_in_memory)
{
    xvm_share s;
    xvm_region r;

    measure();
    CHECK_EQUAL(xvm_share_open(&s, test_argument(), XVM_SHARE_READ_WRITE), XVM_OK);
    r = map_all(&s);
    CHECK(r.size == 2 * unit && is_filled(r.base, unit, 1) && is_filled(at(&r, unit), unit, 0));
    memset(at(&r, unit), 2, unit);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

ELSEWHERE(find_no_memory)
{
    xvm_share s;

    CHECK_EQUAL(xvm_share_open(&s, test_argument(), XVM_SHARE_READ), XVM_E_NOT_FOUND);
}

/* Ends without closing: the system does. */
ELSEWHERE(leave_memory_behind)
{
    xvm_share s;

    measure();
    CHECK_EQUAL(xvm_share_create(&s, page, &(xvm_share_options){.name = test_argument()}), XVM_OK);
}

TEST(two_processes_share_memory)
{
    xvm_share s = named(2);
    xvm_region r = map_all(&s);

    memset(r.base, 1, unit);
    CHECK_EQUAL(run_elsewhere("answer_in_memory", name), 0);
    CHECK(is_filled(at(&r, unit), unit, 2));
    xvm_share_close(&s);
    CHECK_EQUAL(run_elsewhere("find_no_memory", name), 0);
    CHECK(is_filled(at(&r, unit), unit, 2));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_process_that_ends_leaves_no_name)
{
    xvm_share s;

    begin();
    CHECK_EQUAL(run_elsewhere("leave_memory_behind", name), 0);
    CHECK_EQUAL(xvm_share_open(&s, name, XVM_SHARE_READ), XVM_E_NOT_FOUND);
    CHECK_EQUAL(run_elsewhere("leave_memory_behind", name), 0);
    s = named(2);
    CHECK_EQUAL(s.size, 2 * unit);
    xvm_share_close(&s);
}

/* --- files ------------------------------------------------------------------------------------ */

static void write_file(const char *bytes)
{
    FILE *f = fopen(path, "wb");

    CHECK(f != NULL && fputs(bytes, f) >= 0 && fclose(f) == 0);
}

/* By the system's own means; -1: there is none. */
static long read_file(char *bytes, size_t size)
{
    FILE *f = fopen(path, "rb");
    long got;

    if (f == NULL)
        return -1;
    memset(bytes, 0, size);
    got = (long)fread(bytes, 1, size, f);
    fclose(f);
    return got;
}

TEST(modes_say_what_may_be_there)
{
    xvm_share s;
    char bytes[100];

    begin();
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_READ), XVM_E_NOT_FOUND);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_READ_WRITE), XVM_E_NOT_FOUND);
    CHECK(holds_nothing(&s, sizeof s));
    CHECK_EQUAL(read_file(bytes, 100), -1);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_OK);
    CHECK(s.size == 0 && read_file(bytes, 100) == 0);
    xvm_share_close(&s);
    write_file("hello");
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_CREATE), XVM_E_EXISTS);
    s = file(XVM_FILE_READ, 5);
    CHECK_EQUAL(xvm_share_resize(&s, 6), XVM_E_PERMISSION);
    xvm_share_close(&s);
    s = file(XVM_FILE_READ_WRITE, 5);
    xvm_share_close(&s);
    s = file(XVM_FILE_OPEN_OR_CREATE, 5);
    xvm_share_close(&s);
    CHECK_EQUAL(read_file(bytes, 100), 5);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_TRUNCATE), XVM_OK);
    CHECK(s.size == 0 && read_file(bytes, 100) == 0);
    xvm_share_close(&s);
    remove_file(path);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_TRUNCATE), XVM_OK);
    xvm_share_close(&s);
    remove_file(path);
    CHECK_EQUAL(xvm_file_open(&s, path, XVM_FILE_OPEN_OR_CREATE), XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(read_file(bytes, 100), 0);
    remove_file(path);
}

TEST(what_is_no_file_is_refused)
{
    xvm_share s;
    char inside[400], text[300];

    begin();
    snprintf(inside, sizeof inside, "%s/none/file", path);
    for (int mode = XVM_FILE_READ; mode <= XVM_FILE_TRUNCATE; mode++) {
        xvm_status status = xvm_file_open(&s, ".", (xvm_file_mode)mode);

        CHECK(status == XVM_E_INVALID || (mode == XVM_FILE_CREATE && status == XVM_E_EXISTS));
        CHECK_EQUAL(xvm_file_open(&s, inside, (xvm_file_mode)mode), XVM_E_NOT_FOUND);
    }
    CHECK_EQUAL(xvm_file_open(&s, "", XVM_FILE_READ), XVM_E_NOT_FOUND);
    xvm_explain(text, sizeof text);
    puts(text);
}

TEST(an_empty_file_has_nothing_to_map)
{
    xvm_region r = {0};
    xvm_share s;

    begin();
    s = file(XVM_FILE_CREATE, 0);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, page, NULL, &r, 0), XVM_E_INVALID);
    CHECK(holds_nothing(&r, sizeof r));
    xvm_share_close(&s);
    remove_file(path);
}

TEST(paths_are_utf8)
{
    xvm_share s, t;
    xvm_region r;
    char strange[400];

    begin();
    snprintf(strange, sizeof strange, "%s-\xc3\xa4\xe2\x82\xac\xd0\xb6", path);
    remove_file(strange);
    CHECK_EQUAL(xvm_file_open(&s, strange, XVM_FILE_CREATE), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 10), XVM_OK);
    r = map_all(&s);
    memcpy(r.base, "Hello", 5);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(xvm_file_open(&t, strange, XVM_FILE_READ), XVM_OK);
    r = map_all(&t);
    CHECK(memcmp(r.base, "Hello", 5) == 0);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&t);
    remove_file(strange);
    CHECK_EQUAL(xvm_file_open(&t, strange, XVM_FILE_READ), XVM_E_NOT_FOUND);
}

TEST(what_is_flushed_can_be_read)
{
    char bytes[100];
    xvm_region r;
    xvm_share s;

    begin();
    s = file(XVM_FILE_CREATE, 50);
    r = map_all(&s);
    CHECK(is_filled(r.base, xvm_system()->page_size, 0)); /* the rest of the last page, too */
    memset(r.base, 'x', 50);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, 50, XVM_FLUSH_CACHE), XVM_OK);
    CHECK(read_file(bytes, 100) == 50 && is_filled((unsigned char *)bytes, 50, 'x'));
    memset(r.base, 'y', 50);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, r.size, XVM_FLUSH_DISK), XVM_OK);
    CHECK(read_file(bytes, 100) == 50 && is_filled((unsigned char *)bytes, 50, 'y'));
    memset(at(&r, 50), 'z', 10); /* behind the end: never in the file */
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, r.size, XVM_FLUSH_DISK), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    CHECK_EQUAL(read_file(bytes, 100), 50);
    remove_file(path);
}

TEST(private_pages_are_copies)
{
    xvm_map_options copying = {.flags = XVM_MAP_PRIVATE},
                    reading = {.flags = XVM_MAP_PRIVATE, .protection = XVM_READ};
    xvm_region a = {0}, b = {0}, c = {0};
    char bytes[10];
    xvm_share s;

    begin();
    write_file("original");
    s = file(XVM_FILE_READ, 8);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, &copying, &a, 0), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, &copying, &b, 0), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, &reading, &c, 0), XVM_OK);
    check_span(&a, 0, XVM_MAPPED, XVM_READ_WRITE);
    check_span(&c, 0, XVM_MAPPED, XVM_READ);
    memcpy(a.base, "changed!", 8);
    CHECK_EQUAL(xvm_share_flush(&s, &a, 0, 8, XVM_FLUSH_DISK), XVM_OK);
    CHECK(memcmp(b.base, "original", 8) == 0 && memcmp(c.base, "original", 8) == 0);
    CHECK(read_file(bytes, 10) == 8 && memcmp(bytes, "original", 8) == 0);
    CHECK(xvm_release(&a) == XVM_OK && xvm_release(&b) == XVM_OK && xvm_release(&c) == XVM_OK);
    xvm_share_close(&s);
    remove_file(path);
}

TEST(files_grow_and_shrink)
{
    xvm_region r;
    xvm_share s;
    char bytes[100];

    begin();
    write_file("12345");
    s = file(XVM_FILE_READ_WRITE, 5);
    CHECK_EQUAL(xvm_share_resize(&s, 5), XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 3 * (uint64_t)unit + 7), XVM_OK);
    r = map_all(&s);
    CHECK(memcmp(r.base, "12345", 5) == 0 && is_filled(at(&r, 5), 3 * unit + 2, 0));
    memset(at(&r, 3 * unit), 'e', 7);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 3), XVM_OK);
    CHECK_EQUAL(s.size, 3);
    CHECK(read_file(bytes, 100) == 3 && memcmp(bytes, "123", 3) == 0);
    CHECK_EQUAL(xvm_share_resize(&s, 3 * (uint64_t)unit + 7), XVM_OK);
    r = map_all(&s);
    CHECK(is_filled(at(&r, 3), 3 * unit + 4, 0)); /* what was cut off is not back */
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_share_resize(&s, 0), XVM_OK);
    xvm_share_close(&s);
    remove_file(path);
}

/* Somebody else's change of the file is an error where it can be one. */
TEST(the_size_of_a_file_is_asked_for_again)
{
    xvm_region r = {0};
    xvm_share s, t;

    begin();
    s = file(XVM_FILE_CREATE, 4 * unit);
    t = file(XVM_FILE_READ_WRITE, 4 * unit);
    CHECK_EQUAL(xvm_share_resize(&t, unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, unit, unit, NULL, &r, 0), XVM_E_INVALID);
    CHECK_EQUAL(s.size, unit);
    CHECK_EQUAL(xvm_share_resize(&t, 6 * unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 5 * unit, unit, NULL, &r, 0), XVM_OK);
    CHECK_EQUAL(s.size, 6 * unit);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    xvm_share_close(&t);
    remove_file(path);
}

/* --- in regions ------------------------------------------------------------------------------- */

static xvm_region reserve(size_t units, const xvm_reserve_options *options)
{
    xvm_region r;

    begin();
    CHECK_EQUAL(xvm_reserve(&r, units * unit, options), XVM_OK);
    if (!maps_into())
        SKIP("views cannot lie in reserved regions here");
    return r;
}

TEST(where_views_cannot_lie_in_regions_it_is_told)
{
    xvm_share s = memory(1);
    xvm_region r;

    if (maps_into())
        SKIP("they can here");
    CHECK_EQUAL(xvm_reserve(&r, 4 * unit, NULL), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, unit), XVM_E_UNSUPPORTED);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

TEST(neighbours_of_a_view_are_left_alone)
{
    xvm_region r = reserve(8, &(xvm_reserve_options){.name = "house"});
    xvm_share s = memory(2);
    xvm_region other = map_all(&s);
    xvm_usage u;

    CHECK_EQUAL(xvm_commit(&r, unit, unit), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 4 * unit, unit), XVM_OK);
    memset(at(&r, unit), 1, unit);
    memset(at(&r, 4 * unit), 4, unit);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 2 * unit), XVM_OK);
    memset(at(&r, 2 * unit), 2, 2 * unit);
    CHECK(is_filled(other.base, 2 * unit, 2));
    xvm_region_usage(&r, &u);
    CHECK(u.committed == 2 * unit && u.mapped == 2 * unit && u.reserved == 8 * unit);
    check_span(&r, 2 * unit, XVM_MAPPED, XVM_READ_WRITE);
    check_span(&r, 0, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK_EQUAL(xvm_share_unmap(&r, 2 * unit, 2 * unit), XVM_OK);
    CHECK(is_filled(at(&r, unit), unit, 1) && is_filled(at(&r, 4 * unit), unit, 4));
    CHECK(faults_on_read(at(&r, 2 * unit)) && faults_on_read(at(&r, 4 * unit - 1)));
    check_span(&r, 2 * unit, XVM_RESERVED, XVM_NO_ACCESS);
    CHECK(is_filled(other.base, 2 * unit, 2));
    xvm_region_usage(&r, &u);
    CHECK(u.committed == 2 * unit && u.mapped == 0);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size), XVM_OK);
    CHECK(is_filled(at(&r, 2 * unit), 2 * unit, 0)); /* not what the view had */
    CHECK(xvm_release(&r) == XVM_OK && xvm_release(&other) == XVM_OK);
    xvm_share_close(&s);
}

static void check_refused(xvm_region *r, size_t offset, size_t size)
{
    xvm_usage before, after;
    xvm_range range = {offset, size};

    xvm_region_usage(r, &before);
    CHECK_EQUAL(xvm_commit(r, offset, size), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_decommit(r, offset, size), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_guard(r, offset, size), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_discard(r, offset, size, XVM_DISCARD_ZERO), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_discard(r, offset, size, XVM_DISCARD_LAZY), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_discard_ranges(r, &range, 1, XVM_DISCARD_ZERO), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_protect(r, offset, size, XVM_READ), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_protect(r, offset, size, XVM_NO_ACCESS), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_lock(r, offset, size), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_unlock(r, offset, size), XVM_OK);
    CHECK_EQUAL(xvm_prefault(r, offset, size), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_advise(r, offset, size, XVM_ADVICE_RANDOM), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_flush_code(r, offset, size), XVM_E_NOT_COMMITTED);
    xvm_region_usage(r, &after);
    CHECK(after.committed == before.committed && after.mapped == before.mapped &&
          after.guarded == before.guarded && after.locked == before.locked);
}

TEST(all_other_calls_refuse_views)
{
    xvm_share s = memory(2);
    xvm_region r = map_all(&s);
    char text[300];

    memset(r.base, 1, r.size);
    check_refused(&r, 0, r.size);
    check_refused(&r, unit, page);
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_E_ADDRESS_TAKEN);
    xvm_explain(text, sizeof text);
    puts(text);
    CHECK(strstr(text, "a page is mapped; xvm_share_unmap it first") != NULL);
    CHECK_EQUAL(xvm_move(&r, 0, unit, page), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_share_map(&s, 0, unit, NULL, &r, unit),
                maps_into() ? XVM_E_ADDRESS_TAKEN : XVM_E_UNSUPPORTED);
    CHECK(is_filled(r.base, r.size, 1));
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

TEST(calls_over_a_view_and_its_neighbours_are_refused)
{
    xvm_region r = reserve(8, NULL);
    xvm_share s = memory(2);

    CHECK_EQUAL(xvm_commit(&r, 0, 3 * unit), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 5 * unit, 3 * unit), XVM_OK);
    memset(r.base, 3, 3 * unit);
    memset(at(&r, 5 * unit), 5, 3 * unit);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 3 * unit), XVM_OK);
    memset(at(&r, 3 * unit), 4, 2 * unit);
    check_refused(&r, 0, r.size);
    check_refused(&r, unit, 2 * unit + page);
    check_refused(&r, 5 * unit - page, 2 * page);
    CHECK_EQUAL(xvm_move(&r, 0, 3 * unit, unit), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_move(&r, 3 * unit, 0, unit), XVM_E_NOT_COMMITTED);
    CHECK(is_filled(r.base, 3 * unit, 3) && is_filled(at(&r, 5 * unit), 3 * unit, 5));
    CHECK(is_filled(at(&r, 3 * unit), 2 * unit, 4));
    CHECK_EQUAL(xvm_share_unmap(&r, 2 * unit, 2 * unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_unmap(&r, 4 * unit, 2 * unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 2 * unit, 2 * unit, XVM_FLUSH_CACHE), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_flush(&s, &r, 3 * unit, 2 * unit, XVM_FLUSH_CACHE), XVM_OK);
    CHECK_EQUAL(xvm_decommit(&r, 0, 3 * unit), XVM_OK); /* beside it all is as ever */
    CHECK_EQUAL(xvm_guard(&r, 5 * unit, unit), XVM_OK);
    CHECK_EQUAL(xvm_protect(&r, 6 * unit, unit, XVM_READ), XVM_OK);
    CHECK(is_filled(at(&r, 3 * unit), 2 * unit, 4));
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

TEST(only_reserved_pages_become_a_view)
{
    xvm_region r = reserve(8, NULL);
    xvm_share s = memory(2);

    CHECK_EQUAL(xvm_commit(&r, 2 * unit, page), XVM_OK);
    CHECK_EQUAL(xvm_guard(&r, 5 * unit, page), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, unit), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 2 * unit), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 4 * unit), XVM_E_ADDRESS_TAKEN);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 7 * unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 8 * unit), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, page / 2), XVM_E_INVALID);
    CHECK_EQUAL(xvm_share_map(&s, 0, unit, NULL, &r, unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, unit, unit, NULL, &r, 6 * unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, unit, NULL, &r, 6 * unit), XVM_E_ADDRESS_TAKEN);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

TEST(special_regions_answer_for_views)
{
    xvm_region r = reserve(8, &(xvm_reserve_options){.commit_mode = XVM_COMMIT_SPARSE});
    xvm_reserve_options pinned = {.huge = XVM_HUGE_MUST_EXPLICIT};
    xvm_share s = memory(1);

    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, unit), XVM_E_UNSUPPORTED);
    CHECK(xvm_release(&r) == XVM_OK);
    if (xvm_reserve(&r, 8 * unit, &pinned) == XVM_OK) {
        CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_E_PINNED);
        CHECK(xvm_release(&r) == XVM_OK);
    }
    xvm_share_close(&s);
}

TEST(a_growing_file_has_views_in_a_row)
{
    xvm_region r = reserve(64, NULL);
    xvm_share s = file(XVM_FILE_CREATE, unit);

    for (size_t i = 0; i < 16; i++) {
        CHECK_EQUAL(xvm_share_map(&s, i * unit, unit, NULL, &r, i * unit), XVM_OK);
        memset(at(&r, i * unit), (int)i + 1, unit);
        CHECK_EQUAL(xvm_share_resize(&s, s.size + unit), XVM_OK);
    }
    for (size_t i = 0; i < 16; i++)
        CHECK(is_filled(at(&r, i * unit), unit, (unsigned char)(i + 1)));
    CHECK_EQUAL(xvm_share_flush(&s, &r, 0, 16 * unit, XVM_FLUSH_DISK), XVM_OK);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 16 * unit), XVM_OK);
    xvm_share_close(&s);
    s = file(XVM_FILE_READ, 17 * unit);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 8 * unit), XVM_OK);
    for (size_t i = 0; i < 16; i++)
        CHECK(is_filled(at(&r, (i + 8) * unit), unit, (unsigned char)(i + 1)));
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
    remove_file(path);
}

TEST(queries_and_walks_see_each_view)
{
    static const xvm_map_options reading = {.protection = XVM_READ};
    xvm_region r = reserve(8, &(xvm_reserve_options){.name = "views"});
    xvm_share s = memory(4);
    xvm_span span;

    CHECK_EQUAL(xvm_share_map(&s, 2 * unit, unit, NULL, &r, unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 2 * unit, &reading, &r, 2 * unit), XVM_OK);
    CHECK_EQUAL(xvm_query(at(&r, unit), &span), XVM_OK);
    CHECK(span.base == at(&r, unit) && span.size == unit && span.state == XVM_MAPPED);
    CHECK(span.protection == XVM_READ_WRITE && strcmp(span.name, "views") == 0);
    CHECK_EQUAL(xvm_query(at(&r, 4 * unit - 1), &span), XVM_OK);
    CHECK(span.base == at(&r, 2 * unit) && span.size == 2 * unit && span.state == XVM_MAPPED);
    CHECK(span.protection == XVM_READ && span.locked == 0);
    CHECK_EQUAL(xvm_query(r.base, &span), XVM_OK);
    CHECK(span.state == XVM_RESERVED && span.size == unit);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

typedef struct seen {
    uintptr_t from, to;
    unsigned char states[16];
    size_t count;
} seen;

static int note_span(const xvm_span *span, void *context)
{
    seen *w = context;
    uintptr_t base = (uintptr_t)span->base;

    if (base >= w->from && base < w->to && w->count < 16)
        w->states[w->count++] =
            (unsigned char)((unsigned)span->state * 10 + (unsigned)span->protection);
    return 0;
}

TEST(a_walk_shows_views_between_other_pages)
{
    static const unsigned char expected[] = {
        XVM_RESERVED * 10 + XVM_NO_ACCESS, XVM_MAPPED * 10 + XVM_READ_WRITE,
        XVM_MAPPED * 10 + XVM_READ,        XVM_COMMITTED * 10 + XVM_READ_WRITE,
        XVM_MAPPED * 10 + XVM_READ_WRITE,  XVM_RESERVED * 10 + XVM_NO_ACCESS};
    static const xvm_map_options reading = {.protection = XVM_READ};
    xvm_region r = reserve(8, NULL);
    xvm_share s = memory(4);
    seen w = {(uintptr_t)r.base, (uintptr_t)r.base + r.size, {0}, 0};

    CHECK_EQUAL(xvm_share_map(&s, 2 * unit, unit, NULL, &r, unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 2 * unit, &reading, &r, 2 * unit), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 4 * unit, unit), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, unit, NULL, &r, 5 * unit), XVM_OK);
    CHECK_EQUAL(xvm_walk(note_span, &w), XVM_OK);
    CHECK_EQUAL(w.count, sizeof expected);
    CHECK(memcmp(w.states, expected, sizeof expected) == 0);
    CHECK(xvm_release(&r) == XVM_OK);
    xvm_share_close(&s);
}

TEST(policies_and_budgets_hold_around_views)
{
    xvm_reserve_options options = {
        .fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "policies"};
    xvm_region r = reserve(8, NULL);
    xvm_budget budget;
    xvm_share s = memory(4);

    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(xvm_budget_init(&budget, "shares", NULL, 2 * unit) == XVM_OK);
    options.budget = &budget;
    CHECK_EQUAL(xvm_reserve(&r, 8 * unit, &options), XVM_OK);
    CHECK_EQUAL(xvm_share_map(&s, 0, 0, NULL, &r, 0), XVM_OK);
    memset(r.base, 1, 4 * unit);
    CHECK_EQUAL(budget.used, 0);
    CHECK_EQUAL(xvm_commit(&r, 4 * unit, 2 * unit), XVM_OK);
    CHECK_EQUAL(budget.used, 2 * unit);
    CHECK_EQUAL(xvm_share_unmap(&r, 0, 4 * unit), XVM_OK);
    CHECK_EQUAL(budget.used, 2 * unit);
    CHECK_EQUAL(xvm_decommit(&r, 0, r.size), XVM_OK);
    CHECK_EQUAL(budget.used, 0);
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * unit), XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(budget.used, 0);
    xvm_share_close(&s);
}

TEST(views_cost_no_more_than_themselves)
{
    holdings before;
    xvm_region r = reserve(32, NULL);
    xvm_share s = memory(32);

    CHECK_EQUAL(xvm_share_map(&s, 0, unit, NULL, &r, 0), XVM_OK); /* the book */
    CHECK_EQUAL(xvm_share_unmap(&r, 0, unit), XVM_OK);
    look_at_process(&before);
    for (size_t i = 0; i < 32; i++)
        CHECK_EQUAL(xvm_share_map(&s, i * unit, unit, NULL, &r, i * unit), XVM_OK);
    for (size_t i = 0; i < 32; i += 2)
        CHECK_EQUAL(xvm_share_unmap(&r, i * unit, unit), XVM_OK);
    for (size_t i = 1; i < 32; i += 2)
        CHECK_EQUAL(xvm_share_unmap(&r, i * unit, unit), XVM_OK);
    check_same(&before);
    for (size_t i = 0; i < 32; i += 2)
        CHECK_EQUAL(xvm_share_map(&s, i * unit, unit, NULL, &r, i * unit), XVM_OK);
    xvm_share_close(&s);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- failures --------------------------------------------------------------------------------- */

/* Everything that a share does, undone again. 0, or the step that was refused. */
static int do_all(void)
{
    xvm_share_options options = {.name = name};
    xvm_share s = {0}, t = {0}, f = {0};
    xvm_region r = {0}, q = {0};
    int step = 0;
    bool into = maps_into();

    if (xvm_share_create(&s, 3 * unit, NULL) != XVM_OK)
        step = 1;
    if (step == 0 && xvm_share_map(&s, unit, unit, NULL, &r, 0) != XVM_OK)
        step = 2;
    if (step == 0 && xvm_share_unmap(&r, 0, unit) != XVM_OK)
        step = 3;
    if (step == 3) {
        memset(r.base, 1, unit); /* it is still there */
        CHECK_EQUAL(xvm_release(&r), XVM_OK);
    }
    xvm_share_close(&s);
    if (step == 0 && xvm_share_create(&s, unit, &options) != XVM_OK)
        step = 4;
    if (step == 0 && xvm_share_open(&t, name, XVM_SHARE_READ) != XVM_OK)
        step = 5;
    xvm_share_close(&t);
    if (step == 0 && xvm_file_open(&f, path, XVM_FILE_CREATE) != XVM_OK)
        step = 6;
    if (step == 0 && xvm_share_resize(&f, 2 * unit) != XVM_OK)
        step = 7;
    if (step == 7)
        CHECK_EQUAL(f.size, 0);
    if (step == 0 && xvm_reserve(&q, 8 * unit, &(xvm_reserve_options){.name = "all"}) != XVM_OK)
        step = 8;
    if (into && step == 0 && xvm_share_map(&f, 0, 0, NULL, &q, unit) != XVM_OK)
        step = 9;
    if (step == 9) { /* its pages are reserved, and no hole */
        check_span(&q, unit, XVM_RESERVED, XVM_NO_ACCESS);
        CHECK(faults_on_read(at(&q, unit)));
        CHECK_EQUAL(xvm_commit(&q, unit, 2 * unit), XVM_OK);
    }
    if (into && step == 0 && xvm_share_flush(&f, &q, unit, 2 * unit, XVM_FLUSH_DISK) != XVM_OK)
        step = 10;
    if (into && step == 0 && xvm_share_unmap(&q, unit, 2 * unit) != XVM_OK)
        step = 11;
    if (step == 11) {
        memset(at(&q, unit), 7, 2 * unit);
        check_span(&q, unit, XVM_MAPPED, XVM_READ_WRITE);
    }
    if (step == 0 && xvm_commit(&q, 0, q.size) != XVM_OK)
        step = 12;
    xvm_share_close(&f);
    xvm_share_close(&s);
    if (q.base != NULL && xvm_release(&q) != XVM_OK) {
        step = step == 0 ? 13 : step;
        CHECK_EQUAL(xvm_release(&q), XVM_OK);
    }
    return step;
}

/* A new file that was refused is gone, a name is free, and nothing is held. */
static void fail_each(const char *what)
{
    holdings before;
    char script[32], bytes[4];
    size_t failures = 0;
    int step, refused = 0;

    warm_up();
    CHECK_EQUAL(do_all(), 0);
    remove_file(path);
    look_at_process(&before);
    for (unsigned n = 1; n < 200; n++) {
        snprintf(script, sizeof script, "%s@%u", what, n);
        CHECK_EQUAL(xvm_inject(script), XVM_OK);
        step = do_all();
        failures = xvm_injected();
        CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
        if (step != 0 && step <= 6)
            CHECK_EQUAL(read_file(bytes, 4), -1);
        remove_file(path);
        CHECK_EQUAL(do_all(), 0);
        remove_file(path);
        check_same(&before);
        refused += step != 0;
        if (failures == 0)
            break;
    }
    CHECK(failures == 0 && refused > 5);
    printf("%d refusals of %s\n", refused, what);
}

TEST(every_call_fails_once)
{
    fail_each("*");
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct crowd {
    xvm_region region;
    xvm_share share;
    int mapping, intruders;
} crowd;

enum { MAPPERS = 4, PART = 8, ROUNDS = 400 };

static void map_and_unmap(crowd *c, int index)
{
    size_t first = (size_t)index * PART * unit;
    uint64_t seed = (uint64_t)index + 5;

    for (int i = 0; i < ROUNDS; i++) {
        size_t offset = first + (size_t)(test_random(&seed) >> 30) % PART * unit;
        unsigned char mark = (unsigned char)(index + 1);

        CHECK_EQUAL(
            xvm_share_map(&c->share, (uint64_t)index * unit, unit, NULL, &c->region, offset),
            XVM_OK);
        at(&c->region, offset)[0] = mark;
        CHECK_EQUAL(at(&c->region, offset)[0], mark);
        CHECK_EQUAL(xvm_share_unmap(&c->region, offset, unit), XVM_OK);
    }
    __atomic_sub_fetch(&c->mapping, 1, __ATOMIC_ACQ_REL);
}

/* Takes whatever is free, and looks where it is. */
static void take_holes(crowd *c)
{
    uintptr_t from = (uintptr_t)c->region.base, to = from + c->region.size;
    xvm_region taken[4];

    while (__atomic_load_n(&c->mapping, __ATOMIC_ACQUIRE) != 0) {
        for (int i = 0; i < 4; i++) {
            CHECK_EQUAL(xvm_reserve(&taken[i], unit, NULL), XVM_OK);
            if ((uintptr_t)taken[i].base >= from && (uintptr_t)taken[i].base < to)
                __atomic_add_fetch(&c->intruders, 1, __ATOMIC_RELAXED);
        }
        for (int i = 0; i < 4; i++)
            CHECK_EQUAL(xvm_release(&taken[i]), XVM_OK);
        if (xvm_reserve(&taken[0], unit, &(xvm_reserve_options){.address = (void *)from}) == XVM_OK)
            __atomic_add_fetch(&c->intruders, 1, __ATOMIC_RELAXED);
    }
}

static void work_in_crowd(void *context, int index)
{
    crowd *c = context;

    if (index < MAPPERS)
        map_and_unmap(c, index);
    else
        take_holes(c);
}

TEST(nobody_gets_the_addresses_of_a_view)
{
    static crowd c;

    c.region = reserve(MAPPERS * PART, NULL);
    c.share = memory(MAPPERS);
    c.mapping = MAPPERS;
    run_threads(MAPPERS + 2, work_in_crowd, &c);
    CHECK_EQUAL(c.intruders, 0);
    CHECK_EQUAL(xvm_commit(&c.region, 0, c.region.size), XVM_OK);
    CHECK(is_filled(c.region.base, c.region.size, 0));
    CHECK(xvm_release(&c.region) == XVM_OK);
    xvm_share_close(&c.share);
}

/* --- the model -------------------------------------------------------------------------------- */

enum { UNITS = 24, STEPS = 20000 };

typedef struct model_unit {
    unsigned char state, protection, byte; /* byte: of committed and private ones */
    bool copied;
    int of; /* unit of the share */
} model_unit;

typedef struct share_model {
    xvm_region region;
    xvm_share share;
    uint64_t seed;
    model_unit units[UNITS];
    unsigned char bytes[UNITS]; /* of the share */
} share_model;

static size_t pick(share_model *m, size_t limit)
{
    return (size_t)(test_random(&m->seed) >> 24) % limit;
}

static bool has_state(const share_model *m, size_t from, size_t count, unsigned state)
{
    for (size_t i = from; i < from + count; i++)
        if (m->units[i].state == state)
            return true;
    return false;
}

static bool is_only(const share_model *m, size_t from, size_t count, unsigned state)
{
    for (size_t i = from; i < from + count; i++)
        if (m->units[i].state != state)
            return false;
    return true;
}

static void set_units(share_model *m, size_t from, size_t count, model_unit u)
{
    for (size_t i = from; i < from + count; i++) {
        m->units[i] = u;
        u.of++;
    }
}

static void model_map(share_model *m, size_t from, size_t count)
{
    size_t of = pick(m, UNITS - count + 1), way = pick(m, 4);
    xvm_map_options options = {.protection = way == 0 ? XVM_READ : XVM_READ_WRITE,
                               .flags = way == 1 ? XVM_MAP_PRIVATE : 0};
    xvm_status status =
        xvm_share_map(&m->share, of * unit, count * unit, &options, &m->region, from * unit);

    if (!is_only(m, from, count, XVM_RESERVED)) {
        CHECK_EQUAL(status, XVM_E_ADDRESS_TAKEN);
        return;
    }
    CHECK_EQUAL(status, XVM_OK);
    set_units(m, from, count,
              (model_unit){XVM_MAPPED, (unsigned char)options.protection, 0, false, (int)of});
    for (size_t i = from; way == 1 && i < from + count; i++) { /* written at once: later is open */
        m->units[i].copied = true;
        m->units[i].byte = (unsigned char)pick(m, 256);
        memset(at(&m->region, i * unit), m->units[i].byte, unit);
    }
}

static void model_unmap(share_model *m, size_t from, size_t count)
{
    bool may = is_only(m, from, count, XVM_MAPPED);

    CHECK_EQUAL(xvm_share_unmap(&m->region, from * unit, count * unit),
                may ? XVM_OK : XVM_E_INVALID);
    if (may)
        set_units(m, from, count, (model_unit){XVM_RESERVED, XVM_NO_ACCESS, 0, false, 0});
}

static void model_call(share_model *m, size_t from, size_t count, size_t which)
{
    static const unsigned char states[] = {XVM_COMMITTED, XVM_RESERVED, XVM_GUARD};
    xvm_status (*const calls[])(xvm_region *, size_t, size_t) = {xvm_commit, xvm_decommit,
                                                                 xvm_guard};
    bool taken = has_state(m, from, count, XVM_MAPPED);
    model_unit u = {states[which], XVM_NO_ACCESS, 0, false, 0};

    CHECK_EQUAL(calls[which](&m->region, from * unit, count * unit),
                taken ? XVM_E_ADDRESS_TAKEN : XVM_OK);
    if (which == 0)
        u.protection = XVM_READ_WRITE;
    for (size_t i = from; !taken && i < from + count; i++)
        if (which != 0 || m->units[i].state != XVM_COMMITTED)
            m->units[i] = u;
}

static void model_protect(share_model *m, size_t from, size_t count)
{
    xvm_protection protection = pick(m, 2) == 0 ? XVM_READ : XVM_READ_WRITE;
    bool may = is_only(m, from, count, XVM_COMMITTED);

    CHECK_EQUAL(xvm_protect(&m->region, from * unit, count * unit, protection),
                may ? XVM_OK : XVM_E_NOT_COMMITTED);
    for (size_t i = from; may && i < from + count; i++)
        m->units[i].protection = (unsigned char)protection;
}

static void model_look(share_model *m, size_t i)
{
    model_unit *u = &m->units[i];
    unsigned char *byte = u->state == XVM_MAPPED && !u->copied ? &m->bytes[u->of] : &u->byte;
    unsigned char *first = at(&m->region, i * unit);

    check_span(&m->region, i * unit, (xvm_state)u->state, (xvm_protection)u->protection);
    if (u->protection == XVM_NO_ACCESS)
        return;
    CHECK(first[0] == *byte && first[unit - 1] == *byte);
    if (u->protection != XVM_READ_WRITE)
        return;
    *byte = (unsigned char)pick(m, 256);
    memset(first, *byte, unit);
}

static void model_count(share_model *m)
{
    size_t mapped = 0, committed = 0;
    xvm_usage used;

    for (size_t i = 0; i < UNITS; i++) {
        mapped += m->units[i].state == XVM_MAPPED ? unit : 0;
        committed += m->units[i].state == XVM_COMMITTED ? unit : 0;
    }
    xvm_region_usage(&m->region, &used);
    CHECK_EQUAL(used.mapped, mapped);
    CHECK_EQUAL(used.committed, committed);
}

static void model_step(share_model *m)
{
    size_t from = pick(m, UNITS), count = 1 + pick(m, 4), way = pick(m, 10);

    count = count > UNITS - from ? UNITS - from : count;
    if (way < 3)
        model_map(m, from, count);
    else if (way < 6)
        model_unmap(m, from, count);
    else if (way < 9)
        model_call(m, from, count, way - 6);
    else
        model_protect(m, from, count);
    model_look(m, pick(m, UNITS));
    model_count(m);
}

static void play(uint64_t seed)
{
    static share_model m;
    int steps = memory_is_emulated() ? STEPS / 10 : STEPS;

    printf("seed %u\n", (unsigned)seed);
    m.region = reserve(UNITS, &(xvm_reserve_options){.name = "model"});
    m.share = memory(UNITS);
    m.seed = seed;
    memset(m.bytes, 0, sizeof m.bytes);
    for (size_t i = 0; i < UNITS; i++)
        m.units[i] = (model_unit){XVM_RESERVED, XVM_NO_ACCESS, 0, false, 0};
    for (int i = 0; i < steps; i++) {
        model_step(&m);
        if (i % 100 == 0)
            for (size_t u = 0; u < UNITS; u++)
                model_look(&m, u);
    }
    CHECK(xvm_release(&m.region) == XVM_OK);
    xvm_share_close(&m.share);
}

TEST(random_calls_keep_to_the_model)
{
    play(31);
    play(20261);
    play(5);
}

/* test_image.c - heaps in files: saved, loaded in this process and in others, damaged, refused. */
#include "again.h"
#include "harness.h"
#include "xvm/xvm.h"

enum { KiB = 1 << 10, MiB = 1 << 20, NODES = 3000, STRINGS = 200, LARGE = 12, PATH = 512 };

/* --- what is in the heap ---------------------------------------------------------------------- */

typedef struct node {
    struct node *left, *right;
    char *text;
    uint32_t key;
} node;

typedef struct link {
    struct link *next;
    size_t size;
    unsigned char bytes[];
} link;

typedef struct root {
    node *tree;
    link *list;
    char *strings[STRINGS];
    size_t nodes;
} root;

static void *take(xvm_heap *heap, size_t size)
{
    void *block = xvm_heap_alloc(heap, size);

    CHECK(block != NULL);
    return block;
}

static char *make_text(xvm_heap *heap, uint64_t random)
{
    size_t length = (size_t)(random % 90);
    char *text = take(heap, length + 1);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (int)((random >> 7) * (i + 1) % 26));
    text[length] = 0;
    return text;
}

static void plant(xvm_heap *heap, root *r, uint64_t random)
{
    uint32_t key = (uint32_t)(random >> 20);
    node **at = &r->tree;

    while (*at != NULL)
        at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = take(heap, sizeof **at);
    **at = (node){.key = key, .text = make_text(heap, random)};
    r->nodes++;
}

static void append(xvm_heap *heap, root *r, size_t size, uint64_t random)
{
    link *l = take(heap, sizeof *l + size);

    l->next = r->list;
    l->size = size;
    memset(l->bytes, (int)(random >> 30), size);
    r->list = l;
}

static root *build(xvm_heap *heap, size_t nodes, uint64_t seed)
{
    root *r = xvm_heap_alloc_zeroed(heap, 1, sizeof *r);

    CHECK(r != NULL);
    for (size_t i = 0; i < nodes; i++)
        plant(heap, r, test_random(&seed));
    for (size_t i = 0; i < STRINGS && nodes > STRINGS; i++)
        r->strings[i] = make_text(heap, test_random(&seed));
    for (size_t i = 0; i < LARGE && nodes > STRINGS; i++)
        append(heap, r, (size_t)(test_random(&seed) >> 20) % (200 * KiB), test_random(&seed));
    for (size_t i = 0; i < nodes; i++) /* and holes */
        xvm_heap_free(heap, take(heap, (size_t)(test_random(&seed) >> 20) % 2000));
    xvm_heap_set_root(heap, r);
    return r;
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
    return (digest ^ value) * 0x100000001b3u + (digest >> 40);
}

static uint64_t mix_bytes(uint64_t digest, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        digest = mix(digest, ((const unsigned char *)bytes)[i]);
    return digest;
}

static uint64_t mix_tree(uint64_t digest, const node *n)
{
    if (n == NULL)
        return mix(digest, 1);
    digest = mix(mix_bytes(digest, n->text, strlen(n->text)), n->key);
    return mix_tree(mix_tree(mix(digest, (uintptr_t)n), n->left), n->right);
}

/* Of all that is reached from the root, and of where it lies. */
static uint64_t digest_of(const xvm_heap *heap)
{
    const root *r = xvm_heap_root(heap);
    uint64_t digest = mix_tree(7, r->tree);

    for (const link *l = r->list; l != NULL; l = l->next)
        digest = mix(mix_bytes(digest, l->bytes, l->size), (uintptr_t)l);
    for (size_t i = 0; i < STRINGS; i++)
        if (r->strings[i] != NULL)
            digest = mix_bytes(digest, r->strings[i], strlen(r->strings[i]));
    return digest;
}

/* What is loaded can be used as any heap. */
static void use(xvm_heap *heap, uint64_t seed)
{
    static void *blocks[500];

    for (size_t i = 0; i < 500; i++) {
        size_t size = (size_t)(test_random(&seed) >> 20) % (i % 50 == 0 ? 300 * KiB : 700);

        blocks[i] = xvm_heap_alloc_zeroed(heap, 1, size);
        CHECK(blocks[i] != NULL);
        for (size_t k = 0; k < size; k++)
            CHECK(((unsigned char *)blocks[i])[k] == 0);
        memset(blocks[i], 0xa5, size);
    }
    for (size_t i = 0; i < 500; i += 2)
        CHECK((blocks[i] = xvm_heap_realloc(heap, blocks[i], 1000 + 40 * i)) != NULL);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    for (size_t i = 0; i < 500; i++)
        xvm_heap_free(heap, blocks[i]);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
}

/* --- files ------------------------------------------------------------------------------------ */

/* In memory, where files can be there: some cases write a file ten thousand times. */
static const char *folder(void)
{
    const char *found = getenv("TMPDIR");

    found = found != NULL ? found : getenv("TEMP");
    if (found != NULL)
        return found;
    return folder_in_memory() != NULL ? folder_in_memory() : "/tmp";
}

static const char *path_of(const char *name)
{
    static char path[PATH];

    snprintf(path, sizeof path, "%s/xvm-image-%u-%s", folder(), process_id(), name);
    return path;
}

static size_t read_file(const char *path, unsigned char *into, size_t most)
{
    FILE *f = fopen(path, "rb");
    size_t size;

    CHECK(f != NULL);
    size = fread(into, 1, most, f);
    fclose(f);
    return size;
}

static void write_file(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");

    CHECK(f != NULL && fwrite(bytes, 1, size, f) == size);
    CHECK(fclose(f) == 0);
}

/* Closed again each time: Windows lets nobody else open it meanwhile. */
static void write_byte(const char *path, size_t at, unsigned char byte)
{
    FILE *f = fopen(path, "r+b");

    CHECK(f != NULL && fseek(f, (long)at, SEEK_SET) == 0 && fputc(byte, f) == byte);
    CHECK(fclose(f) == 0);
}

static bool is_file(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f != NULL)
        fclose(f);
    return f != NULL;
}

/* --- heaps ------------------------------------------------------------------------------------ */

static xvm_heap *make(unsigned flags, size_t max_size)
{
    xvm_heap_options options = {.flags = flags | XVM_HEAP_IMAGE, .max_size = max_size};
    xvm_heap *heap;

    CHECK_EQUAL(xvm_heap_create(&heap, &options), XVM_OK);
    return heap;
}

static xvm_heap *load(const char *path)
{
    xvm_heap *heap;
    xvm_status status = xvm_heap_load(&heap, path, NULL);
    char why[300];

    xvm_explain(why, sizeof why);
    if (status != XVM_OK)
        fprintf(stderr, "%s\n", why);
    CHECK_EQUAL(status, XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    return heap;
}

static void check_equal_stats(const xvm_heap_stats *a, const xvm_heap_stats *b)
{
    CHECK_EQUAL(a->live_blocks, b->live_blocks);
    CHECK_EQUAL(a->live_bytes, b->live_bytes);
    CHECK_EQUAL(a->reserved, b->reserved);
    CHECK_EQUAL(a->allocs, b->allocs);
}

static void save_and_load(unsigned flags)
{
    const char *path = path_of("kind");
    size_t size = flags & XVM_HEAP_REALTIME  ? 16 * MiB
                  : flags & XVM_HEAP_GUARDED ? 256 * MiB
                                             : 64 * MiB;
    xvm_heap *heap = make(flags, size);
    xvm_heap_stats before, after;
    uint64_t digest;

    (void)build(heap, flags & XVM_HEAP_GUARDED ? 300 : NODES, 5);
    digest = digest_of(heap);
    for (int round = 0; round < 3; round++) {
        CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
        CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
        xvm_heap_get_stats(heap, &before);
        xvm_heap_destroy(heap);
        heap = load(path);
        xvm_heap_get_stats(heap, &after);
        check_equal_stats(&before, &after);
        CHECK(digest_of(heap) == digest);
        use(heap, 3);
        CHECK(digest_of(heap) == digest);
    }
    xvm_heap_destroy(heap);
    remove(path);
}

/* Sanitizers take memory of their own meanwhile. */
static void check_kept(const holdings *before)
{
    holdings after;

    look_at_process(&after);
    CHECK_EQUAL(after.handles, before->handles);
    if (!memory_is_emulated())
        CHECK_EQUAL(after.addresses, before->addresses);
}

/* --- cases ------------------------------------------------------------------------------------ */

TEST(a_saved_heap_is_itself_again)
{
    save_and_load(0);
}

TEST(so_is_every_kind_of_heap)
{
    static const unsigned kinds[] = {
        XVM_HEAP_SINGLE_THREAD, XVM_HEAP_PREFAULT, XVM_HEAP_ZERO_ON_FREE, XVM_HEAP_GUARDED,
        XVM_HEAP_HUGE,          XVM_HEAP_LOCKED,   XVM_HEAP_REALTIME};
    xvm_limits limits;

    CHECK_EQUAL(xvm_get_limits(&limits), XVM_OK);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((kinds[i] & (XVM_HEAP_LOCKED | XVM_HEAP_REALTIME)) == 0 ||
            limits.lock_limit >= 200 * (uint64_t)MiB)
            save_and_load(kinds[i]);
}

/* The value is the path, and the digest behind a space. */
static void be_the_next(const char *value)
{
    const char *digest = strrchr(value, ' ');
    char path[PATH];
    xvm_heap *heap;

    CHECK(digest != NULL);
    snprintf(path, sizeof path, "%.*s", (int)(digest - value), value);
    heap = load(path);
    CHECK(digest_of(heap) == strtoull(digest + 1, NULL, 16));
    use(heap, process_id() + 1);
    append(heap, xvm_heap_root(heap), 0, 0); /* of which no byte is in the digest but the address */
    ((root *)xvm_heap_root(heap))->list = ((root *)xvm_heap_root(heap))->list->next;
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
}

TEST(a_hundred_processes_have_the_same_pointers)
{
    const char *value = getenv(AGAIN), *path = path_of("next");
    int runs = memory_is_emulated() ? 10 : 100, code = 0;
    char next[PATH + 32];
    xvm_heap *heap;

    if (value != NULL) {
        be_the_next(value);
        return;
    }
    heap = make(0, 0);
    (void)build(heap, 500, 11);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    snprintf(next, sizeof next, "%s %llx", path, (unsigned long long)digest_of(heap));
    xvm_heap_destroy(heap);
    for (int i = 0; i < runs && code == 0; i++)
        code = run_again("a_hundred_processes_have_the_same_pointers", next);
    remove(path);
    if (code == -1)
        SKIP("this program cannot start itself");
    CHECK_EQUAL(code, 0);
}

TEST(heaps_for_images_have_quiet_places)
{
    xvm_heap *heaps[3];
    void *bases[3];

    for (size_t i = 0; i < 3; i++) {
        heaps[i] = make(0, MiB);
        bases[i] = xvm_heap_region(heaps[i])->base;
        CHECK(i == 0 || bases[i] != bases[i - 1]);
    }
    xvm_heap_destroy(heaps[1]);
    heaps[1] = make(0, MiB);
    CHECK(xvm_heap_region(heaps[1])->base == bases[1]);
    for (size_t i = 0; i < 3; i++)
        xvm_heap_destroy(heaps[i]);
}

TEST(any_heap_can_be_saved)
{
    xvm_heap_options options = {.max_size = 4 * MiB};
    const char *path = path_of("any");
    xvm_heap *heap;
    uint64_t digest;

    CHECK_EQUAL(xvm_heap_create(&heap, &options), XVM_OK);
    (void)build(heap, 100, 3);
    digest = digest_of(heap);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    if (xvm_heap_load(&heap, path, NULL) == XVM_OK) { /* nothing has come there meanwhile */
        CHECK(digest_of(heap) == digest);
        xvm_heap_destroy(heap);
    } else {
        CHECK_EQUAL(xvm_last_status(), XVM_E_ADDRESS_TAKEN);
    }
    remove(path);
}

TEST(an_empty_heap_is_saved_too)
{
    const char *path = path_of("empty");
    xvm_heap *heap = make(0, 0);

    CHECK(xvm_heap_root(heap) == NULL && xvm_heap_root(NULL) == NULL);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    heap = load(path);
    CHECK(xvm_heap_root(heap) == NULL);
    use(heap, 9);
    xvm_heap_destroy(heap);
    remove(path);
}

/* 64 GiB of addresses, some MiB in use, and as much that was used once. */
TEST(a_file_has_what_is_in_use)
{
    const char *path = path_of("small");
    static unsigned char bytes[16 * MiB];
    xvm_heap *heap = make(0, 0);
    void *blocks[10];
    size_t size;

    for (size_t i = 0; i < 10; i++)
        memset(blocks[i] = take(heap, MiB), 0x5a, MiB);
    for (size_t i = 0; i < 10; i += 2)
        xvm_heap_free(heap, blocks[i]);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    size = read_file(path, bytes, sizeof bytes);
    CHECK(size >= 5 * MiB && size < 5 * MiB + 512 * KiB);
    xvm_heap_destroy(heap);
    heap = load(path);
    use(heap, 1);
    xvm_heap_destroy(heap);
    remove(path);
}

static void use_in_thread(void *heap, int index)
{
    void *blocks[300];

    for (size_t i = 0; i < 300; i++)
        blocks[i] = take(heap, 16 + (i + (size_t)index) % 400);
    for (size_t i = 0; i < 300; i++)
        xvm_heap_free(heap, blocks[i]);
}

TEST(what_threads_had_at_hand_is_free)
{
    const char *path = path_of("threads");
    xvm_heap *heap = make(0, 16 * MiB);
    xvm_heap_stats s;
    uint64_t digest;

    (void)build(heap, 300, 2);
    digest = digest_of(heap);
    run_threads(4, use_in_thread, heap);
    xvm_heap_get_stats(heap, &s);
    CHECK(s.cached_bytes > 0 || memory_is_emulated());
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    heap = load(path);
    xvm_heap_get_stats(heap, &s);
    CHECK_EQUAL(s.cached_bytes, 0);
    run_threads(4, use_in_thread, heap);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    CHECK(digest_of(heap) == digest);
    xvm_heap_destroy(heap);
    remove(path);
}

/* --- options and refusals --------------------------------------------------------------------- */

TEST(a_budget_and_a_name_are_those_of_the_call)
{
    const char *path = path_of("budget");
    xvm_heap *heap = make(0, 16 * MiB);
    xvm_budget budget;
    xvm_heap_options options = {.budget = &budget, .name = "reloaded"};
    char report[4 * KiB];

    (void)build(heap, 300, 2);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    xvm_budget_init(&budget, "for images", NULL, 64 * MiB);
    CHECK_EQUAL(xvm_heap_load(&heap, path, &options), XVM_OK);
    CHECK_EQUAL(budget.used, xvm_heap_region(heap)->own.committed * xvm_page_size());
    xvm_heap_report(heap, XVM_FORMAT_TEXT, report, sizeof report);
    CHECK(strstr(report, "reloaded") != NULL);
    xvm_heap_destroy(heap);
    CHECK_EQUAL(budget.used, 0);
    CHECK_EQUAL(xvm_budget_set_limit(&budget, 64 * KiB), XVM_OK);
    CHECK_EQUAL(xvm_heap_load(&heap, path, &options), XVM_E_BUDGET);
    CHECK(heap == NULL);
    CHECK_EQUAL(budget.used, 0);
    remove(path);
}

static void check_refused(const char *path, xvm_status status, const char *why)
{
    holdings before;
    xvm_heap *heap = (xvm_heap *)(uintptr_t)1;
    char sentence[300];

    look_at_process(&before);
    CHECK_EQUAL(xvm_heap_load(&heap, path, NULL), status);
    CHECK(heap == NULL);
    CHECK_EQUAL(xvm_last_status(), status);
    xvm_explain(sentence, sizeof sentence);
    if (strstr(sentence, why) == NULL)
        fprintf(stderr, "%s\n", sentence);
    CHECK(strstr(sentence, why) != NULL);
    check_kept(&before);
}

TEST(what_is_no_image_is_refused)
{
    static const unsigned char text[] = "This is a text, and long enough to be a header of an "
                                        "image if one does not look at what it says. This is a "
                                        "text, and long enough to be one, but it is none.";
    const char *path = path_of("none");

    check_refused(path, XVM_E_NOT_FOUND, "heap_load refused: nothing has that name");
    write_file(path, text, sizeof text);
    check_refused(path, XVM_E_CORRUPT, "heap_load refused: the file is no image");
    write_file(path, text, 1);
    check_refused(path, XVM_E_CORRUPT, "the file is no image");
    write_file(path, text, 0);
    check_refused(path, XVM_E_CORRUPT, "the file is no image");
    remove(path);
    CHECK_EQUAL(xvm_heap_load(NULL, path, NULL), XVM_E_INVALID);
    check_refused(NULL, XVM_E_INVALID, "heap_load");
}

TEST(a_taken_base_is_refused)
{
    const char *path = path_of("taken");
    xvm_heap *heap = make(0, 16 * MiB), *other;
    uint64_t digest;

    (void)build(heap, 200, 2);
    digest = digest_of(heap);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    check_refused(path, XVM_E_ADDRESS_TAKEN, "something else is there");
    CHECK(digest_of(heap) == digest);
    xvm_heap_destroy(heap);
    heap = load(path);
    CHECK(digest_of(heap) == digest);
    other = make(0, MiB);
    xvm_heap_destroy(heap);
    heap = load(path);
    xvm_heap_destroy(other);
    xvm_heap_destroy(heap);
    remove(path);
}

TEST(pages_of_another_size_are_refused)
{
    const char *path = path_of("pages");
    xvm_heap *heap = make(0, 16 * MiB);
    size_t page = xvm_page_size(), other = page == 16 * KiB ? 64 * KiB : 16 * KiB;

    (void)build(heap, 200, 2);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    if (xvm_test_page_size(other, 64 * KiB) != XVM_OK)
        SKIP("no other page size can be pretended");
    check_refused(path, XVM_E_CORRUPT, "saved with pages of another size");
    heap = make(0, 16 * MiB); /* and other pages by themselves */
    (void)build(heap, 200, 2);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(load(path));
    CHECK_EQUAL(xvm_test_page_size(page, 0), XVM_OK);
    remove(path);
}

TEST(paths_that_cannot_be_are_refused)
{
    static char path[9000];
    xvm_heap *heap = make(0, MiB);

    CHECK_EQUAL(xvm_heap_save(heap, ""), XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_save(heap, NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_heap_save(NULL, "x"), XVM_E_INVALID);
    memset(path, 'a', sizeof path - 1);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_E_INVALID);
    snprintf(path, sizeof path, "%s/x", path_of("no-such-folder"));
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_E_NOT_FOUND);
    xvm_heap_destroy(heap);
}

/* In UTF-8, whatever the system's own names are. */
TEST(names_of_files_are_utf_8)
{
    const char *path = path_of("\xc3\xa4\xe2\x82\xac.heap");
    xvm_heap *heap = make(0, MiB);

    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    heap = load(path);
    CHECK_EQUAL(xvm_heap_save(heap, path_of("plain")), XVM_OK);
    xvm_heap_destroy(heap);
    remove(path_of("plain"));
    remove(path_of("\xc3\xa4\xe2\x82\xac.heap"));
}

/* --- damage ----------------------------------------------------------------------------------- */

static unsigned char image[2 * MiB];

/* A small heap in a file, and in image; its size. */
static size_t save_small(const char *path)
{
    xvm_heap *heap = make(0, MiB);
    size_t size;

    (void)build(heap, 10, 4);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    size = read_file(path, image, sizeof image);
    CHECK(size < sizeof image);
    return size;
}

/* Each byte of the header and of the first run, and then some thousand all over the file; fewer where each try
 * takes long. */
TEST(no_byte_can_be_changed)
{
    const char *path = path_of("bytes");
    size_t size = save_small(path), step = size / (memory_is_emulated() ? 200 : 4000) + 1;
    holdings before;
    xvm_heap *heap;

    look_at_process(&before);
    for (size_t i = 0; i < size; i += i < 160 ? 1 : step) {
        write_byte(path, i, image[i] ^ (unsigned char)(1 + i % 255));
        CHECK_EQUAL(xvm_heap_load(&heap, path, NULL), XVM_E_CORRUPT);
        CHECK(heap == NULL);
        write_byte(path, i, image[i]);
    }
    check_kept(&before);
    xvm_heap_destroy(load(path));
    remove(path);
}

TEST(no_end_can_be_missing)
{
    const char *path = path_of("cut");
    size_t size = save_small(path), step = size / (memory_is_emulated() ? 100 : 2000) + 1;
    xvm_heap *heap;

    for (size_t i = 0; i < size; i += i < 160 ? 1 : step) {
        write_file(path, image, i);
        CHECK_EQUAL(xvm_heap_load(&heap, path, NULL), XVM_E_CORRUPT);
        CHECK(heap == NULL);
    }
    for (size_t more = 1; more < 100; more += 31) { /* nor anything behind it */
        write_file(path, image, size + more);
        CHECK_EQUAL(xvm_heap_load(&heap, path, NULL), XVM_E_CORRUPT);
    }
    write_file(path, image, size);
    xvm_heap_destroy(load(path));
    remove(path);
}

/* --- refused calls ---------------------------------------------------------------------------- */

/* The nth call refused; false: there was no nth. A file that was there is whole. */
static bool save_refused(xvm_heap *heap, const char *path, const char *what, int n, size_t size)
{
    static unsigned char now[2 * MiB];
    char script[32];
    xvm_status status;
    bool refused;

    write_file(path, image, size);
    snprintf(script, sizeof script, "%s@%d", what, n);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    status = xvm_heap_save(heap, path);
    refused = xvm_injected() != 0;
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    CHECK(status == XVM_OK || refused);
    if (status != XVM_OK)
        CHECK(read_file(path, now, sizeof now) == size && memcmp(now, image, size) == 0);
    return refused;
}

TEST(a_refused_save_leaves_the_old_file)
{
    static const char *const what[] = {"reserve", "bookkeeping", "file"};
    const char *path = path_of("refused");
    xvm_heap *heap = make(0, 16 * MiB);
    holdings before;
    size_t size;

    (void)build(heap, 300, 2);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    size = read_file(path, image, sizeof image);
    CHECK(xvm_heap_alloc(heap, 1000) != NULL);
    for (int n = 1; save_refused(heap, path, "*", n, size);)
        n++;
    look_at_process(&before);
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        for (int n = 1; save_refused(heap, path, what[i], n, size);)
            n++;
    check_kept(&before);
    xvm_heap_destroy(heap);
    xvm_heap_destroy(load(path));
    remove(path);
}

TEST(a_full_disk_is_told)
{
    const char *path = path_of("full");
    xvm_heap *heap = make(0, 16 * MiB);

    (void)build(heap, 300, 2);
    remove(path); /* of a process with the same number, which was killed */
    CHECK_EQUAL(xvm_inject("pwrite@1=28, WriteFile@1=112"), XVM_OK);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_E_DISK_FULL);
    CHECK_EQUAL(xvm_injected(), 1);
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK(!is_file(path));
    xvm_heap_destroy(heap);
}

/* The nth call refused; false: there was no nth. */
static bool load_refused(const char *path, const char *what, int n, uint64_t digest)
{
    char script[32];
    xvm_heap *heap;
    bool refused;

    snprintf(script, sizeof script, "%s@%d", what, n);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    (void)xvm_heap_load(&heap, path, NULL);
    refused = xvm_injected() != 0;
    CHECK_EQUAL(xvm_inject(NULL), XVM_OK);
    CHECK(heap != NULL || refused);
    CHECK(heap == NULL || digest_of(heap) == digest);
    xvm_heap_destroy(heap);
    return refused;
}

/* What is kept of the first of all failures is there already. */
TEST(a_refused_load_leaves_nothing)
{
    static const char *const what[] = {"reserve", "bookkeeping", "commit", "file", "discard"};
    const char *path = path_of("unloaded");
    xvm_heap *heap = make(0, 16 * MiB);
    holdings before;
    uint64_t digest;

    (void)build(heap, 300, 2);
    digest = digest_of(heap);
    CHECK_EQUAL(xvm_heap_save(heap, path), XVM_OK);
    xvm_heap_destroy(heap);
    for (int n = 1; load_refused(path, "*", n, digest);)
        n++;
    look_at_process(&before);
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        for (int n = 1; load_refused(path, what[i], n, digest);)
            n++;
    check_kept(&before);
    remove(path);
}

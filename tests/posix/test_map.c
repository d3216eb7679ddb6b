/* test_map.c - the map of a POSIX process: mappings of others, text and question, descriptors,
 * children. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

static size_t page;

static unsigned char *map(size_t pages, int protection, int flags)
{
    void *got;

    page = xvm_page_size();
    got = mmap(NULL, pages * page, protection, MAP_ANONYMOUS | flags, -1, 0);
    CHECK(got != MAP_FAILED);
    return got;
}

/* Readable and writable, between two pages that no neighbour can join. */
static unsigned char *map_apart(size_t pages)
{
    unsigned char *all = map(pages + 2, PROT_NONE, MAP_PRIVATE);

    CHECK(mprotect(all + page, pages * page, PROT_READ | PROT_WRITE) == 0);
    return all + page;
}

static void unmap(void *address, size_t pages)
{
    CHECK(munmap(address, pages * page) == 0);
}

static xvm_span query(const void *address)
{
    xvm_span span;

    CHECK_EQUAL(xvm_query(address, &span), XVM_OK);
    CHECK((uintptr_t)address - (uintptr_t)span.base < span.size);
    return span;
}

static xvm_state state_of(const void *address)
{
    return query(address).state;
}

static void need_the_map(void)
{
    if (shown_truth() == 0)
        SKIP("the emulator shows a map without most of it");
}

/* --- mappings of others ----------------------------------------------------------------------- */

static const struct {
    int flags, protection;
    xvm_state state;
    xvm_protection shown;
} kinds[] = {
    {PROT_NONE, XVM_NO_ACCESS, XVM_RESERVED, XVM_NO_ACCESS},
    {PROT_READ, XVM_READ, XVM_COMMITTED, XVM_READ},
    {PROT_WRITE, XVM_READ_WRITE, XVM_COMMITTED, XVM_READ_WRITE},
    {PROT_READ | PROT_WRITE, XVM_READ_WRITE, XVM_COMMITTED, XVM_READ_WRITE},
    {PROT_EXEC, XVM_READ_EXECUTE, XVM_COMMITTED, XVM_READ_EXECUTE},
    {PROT_READ | PROT_EXEC, XVM_READ_EXECUTE, XVM_COMMITTED, XVM_READ_EXECUTE},
    {PROT_READ | PROT_WRITE | PROT_EXEC, XVM_READ_WRITE_EXECUTE, XVM_COMMITTED,
     XVM_READ_WRITE_EXECUTE},
};

TEST(private_memory_of_others)
{
    need_the_map();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        unsigned char *m = map(4, kinds[i].flags, MAP_PRIVATE);

        if ((shown_truth() & TRUTH_EXECUTE) != 0 || (kinds[i].flags & PROT_EXEC) == 0) {
            CHECK_EQUAL(state_of(m + page), kinds[i].state);
            CHECK_EQUAL(query(m + page).protection, kinds[i].shown);
        }
        unmap(m, 4);
    }
}

TEST(shared_memory_is_mapped)
{
    unsigned char *m = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);

    need_the_map();
    CHECK_EQUAL(state_of(m), XVM_MAPPED);
    CHECK_EQUAL(query(m).protection, XVM_READ_WRITE);
    if (residency_is_known()) {
        m[0] = m[2 * page] = 1;
        CHECK_EQUAL(query(m).resident, 2 * page);
    }
    unmap(m, 4);
}

TEST(a_file_is_mapped)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *m = mmap(NULL, xvm_page_size(), PROT_READ, MAP_PRIVATE, file, 0);

    need_the_map();
    CHECK(m != MAP_FAILED);
    CHECK_EQUAL(state_of(m), XVM_MAPPED);
    CHECK_EQUAL(query(m).protection, XVM_READ);
    close(file);
    page = xvm_page_size();
    unmap(m, 1);
}

/* The common page of zeros is read, but costs nothing; mincore counts it. */
TEST(zeros_that_were_only_read_are_not_resident)
{
    volatile unsigned char *m = map_apart(4);
    size_t resident;

    if (!residency_is_known())
        SKIP("the system does not tell");
    CHECK_EQUAL(m[0] + m[page], 0);
    m[2 * page] = 1;
    CHECK(xvm_inject("mincore") == XVM_OK); /* it would answer where the scan does not */
    resident = query((void *)(uintptr_t)m).resident;
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(resident == page || resident == 0);
    unmap((void *)(uintptr_t)(m - page), 6);
}

/* --- all of them ------------------------------------------------------------------------------ */

static int add_used(const xvm_span *span, void *context)
{
    if (span->state != XVM_FREE)
        *(unsigned long long *)context += span->size;
    return 0;
}

/* Bytes of all mappings in the text, without what the kernel shows of itself. Without a heap, which
 * might grow. */
static unsigned long long sum_of_text(void)
{
    static char text[1 << 18];
    unsigned long long sum = 0, from, to;
    size_t size = 0;
    ssize_t got;
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    CHECK(file >= 0);
    while ((got = read(file, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)got;
    close(file);
    text[size] = '\0';
    for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        CHECK(sscanf(line, "%llx-%llx", &from, &to) == 2);
        if (sizeof(void *) == 4 || from < 1ull << 63)
            sum += to - from;
    }
    return sum;
}

TEST(the_walk_has_every_byte_of_the_text)
{
    xvm_region r;
    unsigned long long walked = 0, text;

    need_the_map();
    CHECK(xvm_reserve(&r, 100 * xvm_page_size(), NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 7 * xvm_page_size(), 1) == XVM_OK);
    for (int tries = 0; tries < 5; tries++) { /* a sanitizer may map memory meanwhile */
        text = sum_of_text();
        walked = 0;
        CHECK(xvm_walk(add_used, &walked) == XVM_OK);
        if (text == sum_of_text())
            break;
    }
    CHECK_EQUAL(walked, text);
    CHECK(xvm_release(&r) == XVM_OK);
}

typedef struct field {
    unsigned char *from, *to;
    size_t spans;
} field;

static int count_within(const xvm_span *span, void *context)
{
    field *f = context;
    unsigned char *base = span->base;

    if (base >= f->from && base < f->to) {
        CHECK_EQUAL(span->state, f->spans % 2 == 0 ? XVM_COMMITTED : XVM_RESERVED);
        f->spans++;
    }
    return 0;
}

TEST(many_mappings_are_counted)
{
    enum { MANY = 60000 };
    unsigned char *m;
    field f = {NULL, NULL, 0};

    if (memory_is_emulated())
        SKIP("not so many mappings");
    m = map(MANY, PROT_NONE, MAP_PRIVATE);
    for (size_t i = 0; i < MANY; i += 2)
        if (mprotect(m + i * page, page, PROT_READ | PROT_WRITE) != 0)
            SKIP("the system has a lower limit");
    f = (field){m, m + MANY * page, 0};
    CHECK(xvm_walk(count_within, &f) == XVM_OK);
    CHECK_EQUAL(f.spans, MANY);
    CHECK_EQUAL(query(m + 30001 * page).size, page);
    unmap(m, MANY);
}

TEST(a_region_of_many_mappings_is_counted)
{
    enum { MANY = 60000 };
    field f;
    xvm_region r;

    if (memory_is_emulated())
        SKIP("not so many mappings");
    page = xvm_page_size();
    CHECK(xvm_reserve(&r, MANY * page, NULL) == XVM_OK);
    for (size_t i = 0; i < MANY; i += 2)
        if (xvm_commit(&r, i * page, page) != XVM_OK)
            SKIP("the system has a lower limit");
    f = (field){r.base, (unsigned char *)r.base + r.size, 0};
    CHECK(xvm_walk(count_within, &f) == XVM_OK);
    CHECK_EQUAL(f.spans, MANY);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- text and question ------------------------------------------------------------------------ */

enum { SPANS = 2048 };

typedef struct edges {
    uintptr_t base[SPANS];
    size_t size[SPANS], count;
} edges;

static int note_edge(const xvm_span *span, void *context)
{
    edges *e = context;

    e->base[e->count] = (uintptr_t)span->base;
    e->size[e->count] = span->size;
    return ++e->count == SPANS;
}

/* At an edge of a span, a byte beside it, or anywhere in it. */
static uintptr_t pick(const edges *e, uint64_t *seed)
{
    size_t i = (size_t)(test_random(seed) % e->count);
    uint64_t within = test_random(seed);

    switch (test_random(seed) % 4) {
    case 0:
        return e->base[i];
    case 1:
        return e->base[i] + e->size[i] - 1;
    case 2:
        return e->base[i] - (e->base[i] != 0);
    default:
        return e->base[i] + (uintptr_t)(within % e->size[i]);
    }
}

TEST(the_text_and_the_question_agree)
{
    static edges e;
    unsigned char *m = map(64, PROT_NONE, MAP_PRIVATE);
    uint64_t seed = 20;

    for (size_t i = 0; i < 64; i += 4) {
        CHECK(mprotect(m + i * page, page, PROT_READ) == 0);
        CHECK(munmap(m + (i + 2) * page, page) == 0);
    }
    CHECK(xvm_walk(note_edge, &e) == XVM_OK);
    for (int i = 0; i < 1000; i++) {
        const void *address = (const void *)pick(&e, &seed);
        xvm_span asked = query(address), read;

        if (asked.state != XVM_FREE && asked.size / 1024 / 1024 > 1024 * 1024)
            continue; /* a sanitizer's: mincore would take its time */
        CHECK(xvm_inject("ioctl") == XVM_OK);
        read = query(address);
        CHECK(xvm_inject(NULL) == XVM_OK);
        if (asked.base != read.base || asked.size != read.size || asked.state != read.state ||
            asked.protection != read.protection) {
            fprintf(stderr, "%p: %p+%zx %d %d, in the text %p+%zx %d %d\n", address, asked.base,
                    asked.size, asked.state, asked.protection, read.base, read.size, read.state,
                    read.protection);
            CHECK(memory_is_emulated()); /* a sanitizer may map memory meanwhile */
        }
    }
    unmap(m, 64);
}

TEST(mincore_answers_where_the_scan_does_not)
{
    unsigned char *m = map_apart(2048);

    if (!residency_is_known())
        SKIP("the system does not tell");
    CHECK(madvise(m, 2048 * page, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
    for (size_t i = 3; i < 2048; i += 100)
        m[i * page] = 1;
    CHECK(xvm_inject("ioctl") == XVM_OK);
    CHECK_EQUAL(query(m + 5 * page).resident, 21 * page);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(query(m + 5 * page).resident, 21 * page);
    unmap(m - page, 2050);
}

typedef struct sums {
    size_t walked, asked;
    unsigned char *from, *to;
} sums;

static int add_resident(const xvm_span *span, void *context)
{
    sums *s = context;
    unsigned char *base = span->base;

    if (base >= s->from && base < s->to) {
        s->walked += span->resident;
        s->asked += query(base).resident;
        CHECK_EQUAL(query(base).resident, span->resident);
    }
    return 0;
}

/* A walk asks for many spans at once. */
TEST(a_walk_counts_as_single_questions_do)
{
    enum { MANY = 3000 };
    uint64_t seed = 5;
    xvm_region r;
    sums s;

    if (!residency_is_known())
        SKIP("the system does not tell");
    page = xvm_page_size();
    CHECK(xvm_reserve(&r, MANY * page, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    for (size_t i = 0; i < 700; i++) {
        size_t at = (size_t)(test_random(&seed) % (MANY - 5)) * page;

        CHECK(xvm_decommit(&r, at, page) == XVM_OK);
        at = (size_t)(test_random(&seed) % (MANY - 5)) * page;
        CHECK(xvm_commit(&r, at, 5 * page) == XVM_OK);
        memset((unsigned char *)r.base + at, 1, 4 * page);
    }
    s = (sums){0, 0, r.base, (unsigned char *)r.base + r.size};
    CHECK(xvm_walk(add_resident, &s) == XVM_OK);
    CHECK(s.walked > 0);
    CHECK_EQUAL(s.walked, s.asked);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* More runs than one answer holds. */
TEST(scattered_pages_are_all_counted)
{
    unsigned char *m = map_apart(2048);

    if (!residency_is_known())
        SKIP("the system does not tell");
    CHECK(madvise(m, 2048 * page, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
    for (size_t i = 0; i < 2048; i += 2)
        m[i * page] = 1;
    CHECK_EQUAL(query(m).resident, 1024 * page);
    unmap(m - page, 2050);
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* Does the kernel answer for one address, without the text? */
static bool can_ask(void)
{
    xvm_status status;
    xvm_span span;

    CHECK(xvm_inject("read") == XVM_OK);
    status = xvm_query(&page, &span);
    CHECK(xvm_inject(NULL) == XVM_OK);
    return status == XVM_OK;
}

/* What a program does that closes all it does not know: and what it opens then gets these numbers. */
TEST(descriptors_of_others_are_left_alone)
{
    enum { MANY = 40 };
    struct stat null, now;
    unsigned char *m = map(4, PROT_READ, MAP_PRIVATE);
    bool asks = can_ask();

    need_the_map();
    CHECK_EQUAL(state_of(m), XVM_COMMITTED);
    for (int i = 3; i < MANY; i++)
        close(i);
    CHECK(can_ask() == asks);
    CHECK_EQUAL(state_of(m), XVM_COMMITTED);
    for (int i = 3; i < MANY; i++)
        close(i);
    CHECK_EQUAL(open("/dev/null", O_RDWR), 3);
    for (int i = 4; i < MANY; i++)
        CHECK_EQUAL(dup2(3, i), i);
    CHECK(fstat(3, &null) == 0);
    CHECK(can_ask() == asks);
    CHECK_EQUAL(state_of(m), XVM_COMMITTED);
    CHECK_EQUAL(state_of(m + page), XVM_COMMITTED);
    for (int i = 3; i < MANY; i++)
        CHECK(fstat(i, &now) == 0 && now.st_ino == null.st_ino && now.st_dev == null.st_dev);
    unmap(m, 4);
}

TEST(standard_descriptors_are_not_taken)
{
    struct stat now;
    xvm_span span;

    close(0);
    CHECK(xvm_query(&span, &span) == XVM_OK || shown_truth() == 0);
    CHECK(fstat(0, &now) != 0);
    CHECK_EQUAL(open("/dev/null", O_RDONLY), 0);
}

TEST(the_first_of_many_questions_keeps_no_more_descriptors)
{
    holdings before, after;

    need_the_map();
    for (int i = 0; i < 3; i++)
        (void)query(&page);
    look_at_process(&before);
    for (int i = 0; i < 300; i++)
        (void)query(&page);
    look_at_process(&after);
    CHECK_EQUAL(after.handles, before.handles);
}

/* --- children --------------------------------------------------------------------------------- */

static void wait_for(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The child sees its own map: what it has mapped, and not what its parent unmaps. */
TEST(a_child_sees_its_own_map)
{
    unsigned char *m = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    pid_t child;

    need_the_map();
    m[0] = 1;
    CHECK_EQUAL(state_of(m), XVM_COMMITTED);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unsigned char *own = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);

        unmap(m, 8);
        own[0] = own[page] = 1;
        CHECK_EQUAL(state_of(m), XVM_FREE);
        CHECK_EQUAL(state_of(own), XVM_COMMITTED);
        if (residency_is_known())
            CHECK(query(own).resident >= 2 * page);
        _exit(0);
    }
    wait_for(child);
    CHECK_EQUAL(state_of(m), XVM_COMMITTED);
    unmap(m, 8);
}

TEST(a_child_knows_its_regions)
{
    xvm_reserve_options options = {.name = "before"};
    xvm_region r, own;
    pid_t child;

    page = xvm_page_size();
    CHECK(xvm_reserve(&r, 8 * page, &options) == XVM_OK);
    CHECK(xvm_commit(&r, 2 * page, page) == XVM_OK);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        options.name = "after";
        CHECK(xvm_reserve(&own, 8 * page, &options) == XVM_OK);
        CHECK(strcmp(query(own.base).name, "after") == 0);
        CHECK(strcmp(query(r.base).name, "before") == 0);
        CHECK_EQUAL(query((unsigned char *)r.base + 2 * page).state, XVM_COMMITTED);
        CHECK(xvm_release(&r) == XVM_OK && xvm_release(&own) == XVM_OK);
        _exit(0);
    }
    wait_for(child);
    CHECK(strcmp(query(r.base).name, "before") == 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

static void use_a_region(void)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, xvm_page_size(), NULL) == XVM_OK);
    (void)query(r.base);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Some thread is always in the middle of something when the process is forked. */
static void fork_or_work(void *context, int index)
{
    (void)context;
    for (int i = 0; i < (index == 0 ? 300 : 30000); i++) {
        pid_t child = index == 0 ? fork() : -1;

        if (child == 0) {
            alarm(20);
            use_a_region();
            _exit(0);
        }
        if (child > 0)
            wait_for(child);
        else
            use_a_region();
    }
}

TEST(a_fork_in_the_middle_leaves_a_child_that_works)
{
    if (memory_is_emulated())
        SKIP("neither sanitizers nor emulators fork a process with threads");
    run_threads(4, fork_or_work, NULL);
}

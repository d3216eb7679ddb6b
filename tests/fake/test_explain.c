/* test_explain.c - exact sentences, with the numbers of a fake machine. */
#include "harness.h"
#include "os_fake.h"
#include "xvm/xvm.h"

static const size_t MiB = (size_t)1 << 20;

/* The whole sentence. */
static const char *sentence(void)
{
    static char text[1024];
    size_t length = xvm_explain(text, sizeof text);

    CHECK(length < sizeof text);
    CHECK_EQUAL(strlen(text), length);
    return text;
}

/* With what was said, where it is not as expected. */
static void says(const char *part)
{
    if (strstr(sentence(), part) == NULL) {
        fprintf(stderr, "\"%s\" is not in: %s\n", part, sentence());
        exit(1);
    }
}

static void is(const char *whole)
{
    if (strcmp(sentence(), whole) != 0) {
        fprintf(stderr, "expected: %s\n   found: %s\n", whole, sentence());
        exit(1);
    }
}

static xvm_region reserve_named(size_t size, const char *name)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, size, &(xvm_reserve_options){.name = name}) == XVM_OK);
    return r;
}

TEST(the_sentence_of_the_header)
{
    xvm_region r = reserve_named(64 * MiB, "entities");

    fake_data_limit = 512 * MiB;
    fake_data_used = 480 * MiB;
    CHECK(xvm_inject("commit=12") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 64 * MiB), XVM_E_COMMIT_LIMIT);
    is("commit of 64 MiB in region 'entities' refused: RLIMIT_DATA is 512 MiB, 480 MiB in use; "
       "raise it with ulimit -d");
    CHECK_EQUAL(xvm_commit(&r, 0, 16 * MiB), XVM_E_COMMIT_LIMIT); /* there is room for that */
    says("(code 12)");
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_full_container_refuses_before_a_touch)
{
    xvm_region r = reserve_named(64 * MiB, "frames");

    CHECK(xvm_commit(&r, 0, r.size) == XVM_OK);
    fake_nothing_resident = true;
    fake_container_limit = 256 * MiB;
    fake_container_used = 255 * MiB;
    CHECK_EQUAL(xvm_lock(&r, 0, r.size), XVM_E_COMMIT_LIMIT);
    says("lock of 64 MiB in region 'frames' refused: ");
    says(" is 256 MiB, 255 MiB in use and a margin kept free; ");
    fake_container_used = 200 * MiB;
    CHECK_EQUAL(xvm_lock(&r, 0, 50 * MiB), XVM_E_COMMIT_LIMIT); /* the margin is 8 MiB */
    says(" is 256 MiB, 200 MiB in use and a margin kept free; ");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_container_budget_tells_which_of_the_two_refuses)
{
    xvm_budget container;
    xvm_region r;

    fake_container_limit = 64 * MiB;
    fake_container_used = 30 * MiB;
    CHECK(xvm_budget_init_container(&container) == XVM_OK);
    CHECK(xvm_reserve(&r, 64 * MiB,
                      &(xvm_reserve_options){.budget = &container, .name = "cache"}) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 33 * MiB), XVM_E_BUDGET);
    says("budget 'container' is 32 MiB, 0 bytes in use; raise what the container has");
    fake_container_used = 61 * MiB; /* somebody else's */
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * MiB), XVM_E_BUDGET);
    says(" is 64 MiB, 61 MiB in use and a margin kept free; ");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_commit_larger_than_the_machine)
{
    xvm_region r = reserve_named(16 * MiB, "huge");

    fake_commit_at_once = 8 * MiB;
    CHECK(xvm_inject("commit=12") == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 9 * MiB), XVM_E_COMMIT_LIMIT);
    says(" is 8 MiB; ");
    CHECK_EQUAL(xvm_commit(&r, 0, 8 * MiB), XVM_E_COMMIT_LIMIT);
    says("(code 12)");
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

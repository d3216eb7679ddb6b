/* test_explain.c - sentences about failures: their form, their end where room ends, and when they
 * change. What real limits say is in tests/posix/test_explain.c. */
#include "harness.h"
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

/* --- form ------------------------------------------------------------------------------------- */

TEST(nothing_has_failed_at_first)
{
    xvm_region r = reserve_named(MiB, NULL);

    is("no call of this thread has failed");
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    is("no call of this thread has failed");
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(room_that_ends_cuts_the_sentence)
{
    char whole[1024], text[1024];
    size_t length;
    xvm_region r = reserve_named(MiB, "cut");

    CHECK(xvm_commit(&r, MiB, MiB) == XVM_E_INVALID);
    length = xvm_explain(whole, sizeof whole);
    CHECK(length > 40 && length < sizeof whole && strlen(whole) == length);
    CHECK_EQUAL(xvm_explain(NULL, 0), length);
    CHECK_EQUAL(xvm_explain(NULL, 10), length);
    for (size_t capacity = 0; capacity <= length + 1; capacity++) {
        memset(text, '#', sizeof text);
        CHECK_EQUAL(xvm_explain(text, capacity), length);
        if (capacity != 0) {
            size_t fits = capacity - 1 < length ? capacity - 1 : length;

            CHECK(memcmp(text, whole, fits) == 0 && text[fits] == 0);
        }
        for (size_t i = capacity; i < sizeof text; i++)
            CHECK(text[i] == '#');
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_sentence_names_call_size_and_region)
{
    xvm_region r = reserve_named(2 * MiB, "entities"), nameless = reserve_named(MiB, NULL);

    CHECK(xvm_commit(&r, MiB, 2 * MiB) == XVM_E_INVALID);
    says("commit of 2 MiB in region 'entities' refused: an argument is broken");
    CHECK(xvm_protect(&r, 0, 64 << 10, XVM_READ) == XVM_E_NOT_COMMITTED);
    says("protect of 64 KiB in region 'entities' refused: ");
    says("xvm_commit");
    CHECK(xvm_decommit(&r, MiB, 3 * MiB / 2) == XVM_E_INVALID);
    says("decommit of 1.5 MiB in region 'entities' refused: ");
    CHECK(xvm_commit(&nameless, MiB, 100) == XVM_E_INVALID);
    says("commit of 100 bytes refused: ");
    CHECK(xvm_commit(NULL, 0, 1) == XVM_E_INVALID);
    says("commit of 1 byte refused: ");
    CHECK(xvm_commit(&nameless, MiB, (size_t)1025 << 20) == XVM_E_INVALID);
    says("commit of 1025 MiB refused: ");
    CHECK(xvm_commit(&nameless, MiB, ((size_t)3 << 30) + 100000) == XVM_E_INVALID);
    says("commit of 3 GiB refused: ");
    CHECK(xvm_release(&r) == XVM_OK && xvm_release(&nameless) == XVM_OK);
}

/* The causes that need no limit of a system. */
TEST(each_cause_has_its_sentence)
{
    enum { CAUSES = 6 };
    static char seen[CAUSES][1024];
    size_t count = 0;
    xvm_region r = reserve_named(MiB, "one"), pinned;

#define SEE(call, status, knob)                                                                    \
    CHECK_EQUAL(call, status);                                                                     \
    says(knob);                                                                                    \
    strcpy(seen[count++], strstr(sentence(), "refused"));
    SEE(xvm_commit(&r, 1, MiB), XVM_E_INVALID, "header");
    SEE(xvm_lock(&r, 0, MiB), XVM_E_NOT_COMMITTED, "xvm_commit");
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    CHECK(xvm_protect(&r, 0, MiB, XVM_READ) == XVM_OK);
    SEE(xvm_prefault(&r, 0, MiB), XVM_E_PERMISSION, "xvm_protect");
    CHECK(xvm_protect(&r, 0, MiB, XVM_READ_WRITE) == XVM_OK);
    if (xvm_lock(&r, 0, 1) == XVM_OK) {
        SEE(xvm_advise(&r, 0, 1, XVM_ADVICE_COLD), XVM_E_PERMISSION, "xvm_unlock");
    }
    SEE(xvm_watch_start_by(&r, 0, MiB, XVM_WATCH_SYSTEM), XVM_E_UNSUPPORTED, "features");
    SEE(xvm_reserve(&pinned, MiB, &(xvm_reserve_options){.address = r.base}), XVM_E_ADDRESS_TAKEN,
        "");
    says("at 0x");
    CHECK(count >= CAUSES - 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(seen[i], seen[k]) != 0);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- budgets ---------------------------------------------------------------------------------- */

TEST(a_budget_tells_its_name_and_numbers)
{
    xvm_budget game, level;
    xvm_region r;

    CHECK(xvm_budget_init(&game, "game", NULL, 4 * MiB) == XVM_OK);
    CHECK(xvm_budget_init(&level, "level", &game, 3 * MiB) == XVM_OK);
    CHECK(xvm_reserve(&r, 16 * MiB, &(xvm_reserve_options){.budget = &level, .name = "textures"}) ==
          XVM_OK);
    CHECK(xvm_commit(&r, 0, 2 * MiB) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 2 * MiB, 2 * MiB), XVM_E_BUDGET);
    is("commit of 2 MiB in region 'textures' refused: budget 'level' is 3 MiB, 2 MiB in use; raise "
       "it with xvm_budget_set_limit");
    CHECK(xvm_budget_charge(&game, 3 * MiB / 2) == XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 2 * MiB, MiB), XVM_E_BUDGET);
    is("commit of 1 MiB in region 'textures' refused: budget 'game' is 4 MiB, 3.5 MiB in use; "
       "raise "
       "it with xvm_budget_set_limit");
    CHECK_EQUAL(xvm_budget_charge(&game, MiB), XVM_E_BUDGET);
    is("charge of 1 MiB refused: budget 'game' is 4 MiB, 3.5 MiB in use; raise it with "
       "xvm_budget_set_limit");
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- when it changes -------------------------------------------------------------------------- */

TEST(a_success_changes_nothing)
{
    char before[1024];
    xvm_region r = reserve_named(MiB, "kept");

    CHECK(xvm_commit(&r, MiB, MiB) == XVM_E_INVALID);
    strcpy(before, sentence());
    CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    CHECK(xvm_decommit(&r, 0, MiB) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK); /* the name is static: it outlives the region */
    is(before);
}

TEST(explaining_keeps_the_last_error)
{
    xvm_region r = reserve_named(MiB, "error");
    char text[256];

    CHECK(xvm_inject("commit=12") == XVM_OK);
    CHECK(xvm_commit(&r, 0, MiB) != XVM_OK);
    set_last_error(77);
    CHECK(xvm_explain(text, sizeof text) != 0);
    CHECK(xvm_explain(NULL, 0) != 0);
    CHECK_EQUAL(get_last_error(), 77);
    CHECK_EQUAL(xvm_system_error(), 12);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* An order that no limit is behind: the status, and the code. */
TEST(a_failure_without_a_limit_is_told_without_one)
{
    static const char *const orders[] = {"reserve=12", "commit=12", "lock=12"};
    xvm_region r = reserve_named(MiB, "plain"), other;

    if (memory_is_emulated() && !memory_is_fake())
        SKIP("codes mean something else there");
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        CHECK(xvm_inject(orders[i]) == XVM_OK);
        if (i == 0)
            CHECK(xvm_reserve(&other, MiB, NULL) == XVM_E_ADDRESS_SPACE);
        else if (i == 1)
            CHECK(xvm_commit(&r, 0, MiB) == XVM_E_COMMIT_LIMIT);
        else
            CHECK(xvm_lock(&r, 0, MiB) == XVM_E_LOCK_LIMIT);
        CHECK(xvm_inject(NULL) == XVM_OK);
        says(" 12); xvm_get_limits");
        CHECK(strstr(sentence(), "in use") == NULL && strstr(sentence(), "RLIMIT") == NULL);
        if (i == 1)
            CHECK(xvm_commit(&r, 0, MiB) == XVM_OK);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

static void fail_in_thread(void *context, int index)
{
    static const size_t sizes[] = {100, 12 << 10, 64 << 20, 3 << 20};
    static const char *const parts[] = {"of 100 bytes", "of 12 KiB", "of 64 MiB", "of 3 MiB"};
    xvm_region *r = context;

    for (int i = 0; i < 200; i++) {
        char text[256];

        CHECK(xvm_commit(r, MiB, sizes[index]) == XVM_E_INVALID);
        CHECK(xvm_explain(text, sizeof text) != 0 && strstr(text, parts[index]) != NULL);
    }
}

TEST(each_thread_has_its_own)
{
    xvm_region r = reserve_named(MiB, "shared");

    if (!memory_is_fake()) {
        run_threads(4, fail_in_thread, &r);
        is("no call of this thread has failed");
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_structure_that_is_full_says_so)
{
    xvm_growth g;
    char text[200];

    CHECK_EQUAL(xvm_growth_begin(&g, 1 << 20, NULL), XVM_OK);
    CHECK_EQUAL(xvm_growth_reach(&g, 1 << 30), XVM_E_ADDRESS_SPACE);
    CHECK(xvm_explain(text, sizeof text) < sizeof text);
    CHECK(strcmp(text, "growth of 1 GiB refused: it has no room left for that; create it with a "
                       "larger maximum") == 0);
    xvm_growth_end(&g);
}

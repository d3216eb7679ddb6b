/* test_access.c - code that is written and run, and advice. */
#include "harness.h"
#include "xvm/xvm.h"

/* --- code ------------------------------------------------------------------------------------- */

/* A function that returns a number: the machine's own bytes for it; 0: of a processor that the test
 * does not know. */
static size_t write_code(unsigned char *into, unsigned char number)
{
#if defined(__x86_64__) || defined(__i386__)
    unsigned char code[] = {0xb8, number, 0, 0, 0, 0xc3}; /* mov eax, number; ret */
#elif defined(__aarch64__)
    unsigned char code[] = {(unsigned char)(number << 5),
                            (unsigned char)(number >> 3),
                            0x80,
                            0x52,
                            0xc0,
                            0x03,
                            0x5f,
                            0xd6}; /* mov w0, number; ret */
#else
    unsigned char code[1] = {number};
    return 0;
#endif
    memcpy(into, code, sizeof code);
    return sizeof code;
}

static int run_code(const unsigned char *at)
{
    int (*function)(void);

    memcpy(&function, &at, sizeof function);
    return function();
}

static void needs_code(void)
{
    unsigned char scratch[16];

    if (memory_is_fake())
        SKIP("the fake's memory is no code");
    if (write_code(scratch, 1) == 0)
        SKIP("a processor that the test does not know");
}

TEST(written_code_runs_after_protect)
{
    size_t page = xvm_page_size();
    xvm_region r;

    needs_code();
    CHECK_EQUAL(xvm_reserve(&r, 4 * page, &(xvm_reserve_options){.flags = XVM_RESERVE_EXECUTABLE}),
                XVM_OK);
    CHECK(faults_on_read(r.base)); /* trying has left nothing committed */
    CHECK_EQUAL(xvm_commit(&r, 0, page), XVM_OK);
    for (unsigned char number = 1; number < 100; number += 7) {
        (void)write_code(r.base, number);
        CHECK_EQUAL(xvm_protect(&r, 0, page, XVM_READ_EXECUTE), XVM_OK);
        CHECK_EQUAL(run_code(r.base), number);
        CHECK(faults_on_write(r.base));
        CHECK_EQUAL(xvm_protect(&r, 0, page, XVM_READ_WRITE), XVM_OK);
    }
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(code_written_in_place_runs_after_a_flush)
{
    size_t page = xvm_page_size();
    xvm_region r;

    needs_code();
    CHECK_EQUAL(xvm_reserve(&r, 4 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 2 * page), XVM_OK);
    CHECK_EQUAL(xvm_protect(&r, 0, page, XVM_READ_WRITE_EXECUTE), XVM_OK);
    for (unsigned char number = 1; number < 100; number += 7) {
        size_t size = write_code(r.base, number);

        CHECK_EQUAL(xvm_flush_code(&r, 0, size), XVM_OK);
        CHECK_EQUAL(run_code(r.base), number);
    }
    CHECK_EQUAL(xvm_flush_code(&r, 0, 0), XVM_OK);
    CHECK_EQUAL(xvm_flush_code(&r, page, page + 1), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_flush_code(&r, 0, 4 * page + 1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_protect(&r, page, page, XVM_NO_ACCESS), XVM_OK);
    CHECK_EQUAL(xvm_flush_code(&r, page, 1), XVM_E_PERMISSION);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(a_refused_trial_of_code_leaves_nothing)
{
    static const xvm_region zero;

    for (int n = 1;; n++) {
        xvm_reserve_options o = {.flags = XVM_RESERVE_EXECUTABLE};
        char script[32];
        xvm_region r;
        xvm_status status;
        size_t refused;

        snprintf(script, sizeof script, "*@%d", n);
        CHECK(xvm_inject(script) == XVM_OK);
        status = xvm_reserve(&r, xvm_page_size(), &o);
        refused = xvm_injected();
        CHECK(xvm_inject(NULL) == XVM_OK);
        CHECK(status == XVM_OK || memcmp(&r, &zero, sizeof r) == 0);
        CHECK(xvm_release(&r) == XVM_OK);
        if (refused == 0)
            break;
    }
}

/* --- advice ----------------------------------------------------------------------------------- */

TEST(advice_changes_nothing_that_can_be_seen)
{
    size_t page = xvm_page_size();
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 1 << 22, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, r.size / 2), XVM_OK);
    memset(r.base, 9, r.size / 2);
    for (int advice = 0; advice <= XVM_ADVICE_COLLAPSE; advice++) {
        xvm_status status = xvm_advise(&r, 1, r.size / 2 - page, (xvm_advice)advice);

        CHECK(status == XVM_OK || status == XVM_E_UNSUPPORTED || status == XVM_E_COMMIT_LIMIT);
        for (size_t at = 0; at < r.size / 2; at += page)
            CHECK(((unsigned char *)r.base)[at] == 9);
    }
    CHECK_EQUAL(xvm_advise(&r, 0, page, XVM_ADVICE_NORMAL), XVM_OK);
    CHECK_EQUAL(xvm_advise(&r, 0, page, (xvm_advice)9), XVM_E_INVALID);
    CHECK_EQUAL(xvm_advise(&r, 0, page, (xvm_advice)-1), XVM_E_INVALID);
    CHECK_EQUAL(xvm_advise(&r, 0, r.size + 1, XVM_ADVICE_COLD), XVM_E_INVALID);
    CHECK_EQUAL(xvm_advise(&r, 0, r.size, XVM_ADVICE_COLD), XVM_E_NOT_COMMITTED);
    CHECK_EQUAL(xvm_advise(&r, 0, 0, XVM_ADVICE_COLD), XVM_OK);
    CHECK_EQUAL(xvm_lock(&r, page, page), XVM_OK);
    CHECK_EQUAL(xvm_advise(&r, 0, 3 * page, XVM_ADVICE_COLD), XVM_E_PERMISSION);
    CHECK_EQUAL(xvm_advise(&r, 0, 3 * page, XVM_ADVICE_PAGE_OUT), XVM_E_PERMISSION);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* test_watch.c - which pages were written: every method that works here, against a comparison of bytes. */
#include "harness.h"
#include "xvm/xvm.h"

TEST(what_is_written_is_reported)
{
    size_t page = xvm_page_size(), count;
    xvm_range found[8];
    xvm_region r;

    CHECK_EQUAL(xvm_reserve(&r, 64 * page, NULL), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 0, 32 * page), XVM_OK);
    memset(r.base, 1, 32 * page);
    if (xvm_watch_start(&r, 0, r.size) == XVM_E_UNSUPPORTED)
        SKIP("no method works here");
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, found, 8, &count), XVM_OK);
    CHECK_EQUAL(count, 0);
    memset((char *)r.base + 3 * page, 2, 2 * page);
    ((char *)r.base)[31 * page] = 2;
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_KEEP, found, 8, &count), XVM_OK);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, found, 8, &count), XVM_OK);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(found[0].offset, 3 * page);
    CHECK_EQUAL(found[0].size, 2 * page);
    CHECK_EQUAL(found[1].offset, 31 * page);
    CHECK_EQUAL(found[1].size, page);
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, found, 8, &count), XVM_OK);
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(xvm_decommit(&r, 4 * page, 4 * page), XVM_OK);
    CHECK_EQUAL(xvm_commit(&r, 5 * page, 40 * page), XVM_OK);
    ((char *)r.base)[5 * page] = 2;
    ((char *)r.base)[44 * page] = 2;
    CHECK_EQUAL(xvm_watch_collect(&r, XVM_WATCH_RESET, found, 8, &count), XVM_OK);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(found[0].offset, 4 * page);
    CHECK_EQUAL(found[0].size, 4 * page);
    CHECK_EQUAL(found[1].offset, 44 * page);
    CHECK_EQUAL(xvm_watch_stop(&r), XVM_OK);
    CHECK_EQUAL(xvm_release(&r), XVM_OK);
}

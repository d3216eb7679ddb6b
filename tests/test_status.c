/* test_status.c - names, texts, and what a thread remembers. */
#include "harness.h"
#include "xvm/region.h"

TEST(every_status_has_its_name_and_a_text)
{
#define ROW(name, value, text)                                                                     \
    CHECK(strcmp(xvm_status_name(name), #name) == 0);                                              \
    CHECK(strcmp(xvm_status_text(name), text) == 0);                                               \
    CHECK(name == (value));
    XVM_STATUS_MAP(ROW)
#undef ROW
    CHECK(XVM_OK == 0 && XVM_E_SYSTEM == -15 && XVM_E_DISK_FULL == -16);
}

TEST(a_number_that_is_no_status_has_them_too)
{
    int strange[] = {1, -17, 1000, -1000};

    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        CHECK(strcmp(xvm_status_name((xvm_status)strange[i]), "XVM_E_UNKNOWN") == 0);
        CHECK(strlen(xvm_status_text((xvm_status)strange[i])) > 0);
    }
}

TEST(nothing_has_failed_at_first)
{
    CHECK(xvm_last_status() == XVM_OK);
    CHECK(xvm_system_error() == 0);
}

TEST(the_last_failure_is_kept_until_the_next)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, 0, NULL) == XVM_E_INVALID);
    CHECK(xvm_last_status() == XVM_E_INVALID && xvm_system_error() == 0);
    CHECK(xvm_reserve(&r, 1, NULL) == XVM_OK);
    CHECK(xvm_last_status() == XVM_E_INVALID);
    CHECK(xvm_protect(&r, 0, r.size, XVM_READ) == XVM_E_NOT_COMMITTED);
    CHECK(xvm_last_status() == XVM_E_NOT_COMMITTED);
    CHECK(xvm_release(&r) == XVM_OK);
}

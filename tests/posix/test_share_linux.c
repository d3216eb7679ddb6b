/* test_share_linux.c */
#include "harness.h"
#include "xvm/xvm.h"
TEST(nothing_yet)
{
}

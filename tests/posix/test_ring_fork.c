/* test_ring_fork.c - what a child of fork has of a ring. */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/xvm.h"

static int wait_for(pid_t child)
{
    int status;

    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_child_has_no_ring_of_one_process)
{
    xvm_ring ring;
    pid_t child;

    if (memory_is_emulated())
        SKIP("emulators do not keep memory from children");
    CHECK_EQUAL(xvm_ring_create(&ring, 1), XVM_OK);
    child = fork();
    if (child == 0)
        _exit(faults_on_read(ring.data) && faults_on_read(ring.own.control) ? 0 : 1);
    CHECK_EQUAL(wait_for(child), 0);
    CHECK(xvm_ring_push(&ring, "still here", 10));
    xvm_ring_destroy(&ring);
}

/* Of an anonymous share, which has no other way to get into another process. */
TEST(a_child_may_be_the_other_side_of_a_shared_ring)
{
    enum { WORDS = 100000 };
    xvm_share share;
    xvm_ring ring;
    pid_t child;

    CHECK_EQUAL(xvm_share_create(&share, xvm_ring_footprint(1), NULL), XVM_OK);
    CHECK_EQUAL(xvm_ring_open(&ring, &share), XVM_OK);
    child = fork();
    if (child == 0) {
        for (unsigned i = 0; i < WORDS;)
            i += xvm_ring_push(&ring, &i, sizeof i) ? 1 : 0;
        _exit(0);
    }
    for (unsigned i = 0, word; i < WORDS;)
        if (xvm_ring_available(&ring) >= sizeof word) {
            CHECK_EQUAL(xvm_ring_pop(&ring, &word, sizeof word), sizeof word);
            CHECK_EQUAL(word, i);
            i++;
        }
    CHECK_EQUAL(wait_for(child), 0);
    xvm_ring_destroy(&ring);
    xvm_share_close(&share);
}

/* test_heap_fork.c - a child of fork has a heap that is whole, whatever its parent's threads were in the
 * middle of. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/heap.h"
#include "xvm/xvm.h"

enum { THREADS = 4, FORKS = 30, MiB = 1 << 20 };

static xvm_heap *heap;
static int forking;

/* Exit status 0: this process, which has one thread, can go on using the heap. */
static void live_on(void)
{
    alarm(20);
    for (size_t size = 1; size < 200000; size *= 2) {
        void *block = xvm_heap_alloc(heap, size);

        if (block == NULL)
            _exit(1);
        xvm_heap_free(heap, block);
    }
    _exit(0);
}

static void fork_often(void)
{
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            live_on();
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    __atomic_store_n(&forking, 0, __ATOMIC_RELEASE);
}

static void use(void *context, int index)
{
    uint64_t seed = (uint64_t)index + 1;
    void *blocks[100] = {0};

    (void)context;
    if (index == 0)
        fork_often();
    while (__atomic_load_n(&forking, __ATOMIC_ACQUIRE)) {
        void **place = &blocks[(size_t)(test_random(&seed) >> 30) % 100];

        xvm_heap_free(heap, *place);
        *place = xvm_heap_alloc(heap, (size_t)(test_random(&seed) >> 30) % 60000);
    }
    for (int i = 0; i < 100; i++)
        xvm_heap_free(heap, blocks[i]);
}

TEST(a_forked_child_has_a_whole_heap)
{
    xvm_heap_options options = {.max_size = 64 * MiB};

    if (memory_is_emulated())
        SKIP("neither sanitizers nor emulators fork a process with threads");
    CHECK_EQUAL(xvm_heap_create(&heap, &options), XVM_OK);
    forking = 1;
    run_threads(THREADS, use, NULL);
    CHECK_EQUAL(xvm_heap_check(heap), XVM_OK);
    xvm_heap_destroy(heap);
}

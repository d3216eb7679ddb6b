/* test_malloc.c - what malloc and its relatives promise, under the preload. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { GRAIN = 16, MiB = 1 << 20 };

/* Weak: this glibc may be too old, or too new, to have them. */
__attribute__((weak)) void cfree(void *block);
__attribute__((weak)) void free_sized(void *block, size_t size);
__attribute__((weak)) void free_aligned_sized(void *block, size_t alignment, size_t size);
void *__libc_malloc(size_t size);

/* Not known to the compiler, which would leave out calls whose result it knows. */
static volatile size_t huge = SIZE_MAX / 2, zero = 0;

/* The library that a name of this program leads to. */
static void comes_from_us(const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);
    Dl_info info;

    if (address == NULL || dladdr(address, &info) == 0 ||
        strstr(info.dli_fname, "libxvm-malloc.so") == NULL) {
        fprintf(stderr, "%s is not ours\n", name);
        exit(1);
    }
}

/* Without it every case would try glibc. */
__attribute__((constructor)) static void must_be_loaded(void)
{
    comes_from_us("malloc");
}

/* The same pointer, of which the compiler knows nothing. */
static void *hide(void *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

static bool is_aligned(const void *block, size_t alignment)
{
    return ((uintptr_t)block & (alignment - 1)) == 0;
}

static bool is_zero(const unsigned char *block, size_t size)
{
    while (size != 0 && *block == 0)
        block++, size--;
    return size == 0;
}

static void fill(void *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)block)[i] = (unsigned char)(i * 7 + 1);
}

static bool is_filled(const void *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)block)[i] != (unsigned char)(i * 7 + 1))
            return false;
    return true;
}

/* --- one call at a time ----------------------------------------------------------------------- */

TEST(every_name_is_ours)
{
    static const char *const names[] = {
        "malloc",      "calloc",     "realloc",       "reallocarray",      "free",
        "cfree",       "free_sized", "aligned_alloc", "memalign",          "posix_memalign",
        "valloc",      "pvalloc",    "malloc_trim",   "mallopt",           "malloc_usable_size",
        "mallinfo",    "mallinfo2",  "malloc_info",   "malloc_stats",      "__libc_malloc",
        "__libc_free", "_Znwm",      "_ZdlPv",        "free_aligned_sized"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        comes_from_us(names[i]);
}

TEST(malloc_aligns_and_keeps_errno)
{
    for (size_t size = 0; size < 200000; size = size < 200 ? size + 1 : size * 5 / 4) {
        void *block;

        errno = 7;
        block = malloc(size);
        CHECK(block != NULL && is_aligned(block, GRAIN));
        CHECK(malloc_usable_size(block) >= size);
        fill(block, size);
        CHECK(is_filled(block, size));
        free(block);
        CHECK_EQUAL(errno, 7);
    }
}

TEST(blocks_of_size_0_are_blocks)
{
    void *a = malloc(zero), *b = malloc(zero), *c = calloc(zero, 5);

    CHECK(a != NULL && b != NULL && c != NULL && a != b && b != c);
    free(a);
    free(b);
    free(c);
    free(NULL);
}

TEST(what_cannot_be_had_is_enomem)
{
    void *block = malloc(10);

    errno = 0;
    CHECK(malloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(huge, 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(huge, 1) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(block, huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(block, huge, 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(aligned_alloc(64, huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(memalign(64, huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(valloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(SIZE_MAX - zero) == NULL && errno == ENOMEM);
    free(block); /* it is as it was */
}

TEST(calloc_is_zero_after_use)
{
    for (int round = 0; round < 3; round++)
        for (size_t size = 1; size < 3 * MiB; size *= 3) {
            unsigned char *block = calloc(size, 1);

            CHECK(block != NULL && is_zero(block, size));
            memset(block, 0xff, size);
            free(block);
        }
}

TEST(realloc_keeps_contents)
{
    unsigned char *block = NULL;
    size_t before = 0;

    for (size_t size = 1; size < 3 * MiB; size = size * 3 / 2 + 1) {
        block = realloc(block, size);
        CHECK(block != NULL && is_aligned(block, GRAIN) && is_filled(block, before));
        fill(block, size);
        before = size;
    }
    for (size_t size = before; size > 1; size = size * 2 / 3) {
        block = reallocarray(block, size, 1);
        CHECK(block != NULL && is_filled(block, size));
    }
    CHECK(realloc(block, zero) == NULL); /* as glibc: that was a free */
    block = realloc(NULL, zero);
    CHECK(block != NULL);
    free(block);
}

TEST(alignments_are_kept_and_wrong_ones_refused)
{
    for (size_t alignment = sizeof(void *); alignment <= 4 * MiB; alignment *= 2)
        for (size_t size = 0; size < 100000; size = size * 3 + 1) {
            void *a = NULL, *b = aligned_alloc(alignment, size), *c = memalign(alignment, size);

            errno = 7;
            CHECK_EQUAL(posix_memalign(&a, alignment, size), 0);
            CHECK_EQUAL(errno, 7);
            CHECK(a != NULL && is_aligned(a, alignment));
            CHECK(b != NULL && is_aligned(b, alignment) && c != NULL && is_aligned(c, alignment));
            CHECK(malloc_usable_size(a) >= size && malloc_usable_size(b) >= size);
            memset(a, 1, size);
            memset(b, 2, size);
            memset(c, 3, size);
            free(a);
            free_aligned_sized(b, alignment, size);
            cfree(c);
        }
}

TEST(wrong_alignments_are_einval)
{
    volatile size_t odd = 24, most = SIZE_MAX / 2 + 2;
    void *block = &block;

    errno = 7;
    CHECK_EQUAL(posix_memalign(&block, odd, 8), EINVAL);
    CHECK_EQUAL(posix_memalign(&block, 4, 8), EINVAL);
    CHECK_EQUAL(posix_memalign(&block, zero, 8), EINVAL);
    CHECK_EQUAL(posix_memalign(&block, 64, huge), ENOMEM);
    CHECK(errno == 7 && block == &block);
    CHECK(aligned_alloc(odd, 8) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(memalign(most, 8) == NULL && errno == EINVAL);
    block = memalign(odd, 8); /* as glibc: the next power of two */
    CHECK(block != NULL && is_aligned(block, 32));
    free(block);
}

TEST(whole_pages)
{
    size_t page = (size_t)getpagesize();
    void *a = valloc(100), *b = pvalloc(page + 1);

    CHECK(a != NULL && is_aligned(a, page) && b != NULL && is_aligned(b, page));
    CHECK(malloc_usable_size(b) >= 2 * page);
    memset(b, 1, 2 * page);
    free(a);
    free_sized(b, 2 * page);
    a = __libc_malloc(100); /* a name that few programs use: the same blocks */
    free(a);
}

/* The one that glibc advises against. */
static struct mallinfo old_info(void)
{
    struct mallinfo (*get)(void);
    void *found = dlsym(RTLD_DEFAULT, "mallinfo");

    CHECK(found != NULL);
    memcpy(&get, &found, sizeof get);
    return get();
}

TEST(figures)
{
    void *block = hide(malloc(5 * MiB)); /* the compiler might take it later */
    struct mallinfo2 info = mallinfo2();
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    CHECK(info.uordblks >= 5 * MiB && info.arena >= info.uordblks);
    CHECK(info.arena - info.uordblks == info.fordblks);
    CHECK(old_info().uordblks >= 5 * MiB);
    CHECK_EQUAL(mallopt(M_MMAP_THRESHOLD, 1), 0);
    CHECK_EQUAL(malloc_info(1, file), EINVAL);
    CHECK_EQUAL(malloc_info(0, file), 0);
    CHECK(fclose(file) == 0 && strncmp(text, "<malloc", 7) == 0 &&
          strstr(text, "</malloc>") != NULL);
    free(text);
    CHECK_EQUAL(malloc_usable_size(NULL), 0);
    memset(block, 1, 5 * MiB);
    free(block);
    CHECK_EQUAL(malloc_trim(0), 1);
    CHECK_EQUAL(malloc_trim(0), 0); /* nothing is left */
}

/* --- before there is a heap ------------------------------------------------------------------- */

static struct {
    void *plain, *zeroed, *grown, *aligned;
    size_t usable;
    int calls;
} early;

/* The heap asks for this while it is made, in the place of glibc: which may allocate here, as this does. */
int __register_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void),
                      void *module);

int __register_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void),
                      void *module)
{
    int (*next)(void (*)(void), void (*)(void), void (*)(void), void *);
    void *found = dlsym(RTLD_NEXT, "__register_atfork");

    if (early.calls++ == 0) {
        early.plain = malloc(100);
        early.zeroed = calloc(10, 10);
        early.grown = realloc(malloc(10), 2000);
        early.aligned = aligned_alloc(512, 30);
        early.usable = malloc_usable_size(early.plain);
        free(malloc(7));
        fill(early.plain, 100);
        fill(early.grown, 2000);
    }
    memcpy(&next, &found, sizeof next);
    return next(before, in_parent, in_child, module);
}

TEST(what_is_taken_while_the_heap_is_made_is_good_for_ever)
{
    void *other = malloc(100);
    ptrdiff_t apart = (char *)other - (char *)early.plain;

    CHECK(early.calls >= 1 && early.plain != NULL && early.usable == 100);
    CHECK(apart > 16 * MiB || apart < -16 * MiB); /* it is no block of the heap */
    CHECK(is_aligned(early.plain, GRAIN) && is_aligned(early.aligned, 512));
    CHECK(is_zero(early.zeroed, 100) && is_filled(early.plain, 100));
    CHECK(malloc_usable_size(early.grown) >= 2000 && is_filled(early.grown, 2000));
    early.plain = realloc(early.plain, 5000);
    CHECK(early.plain != NULL && is_filled(early.plain, 100));
    CHECK(realloc(early.zeroed, zero) == NULL);
    free(early.plain);
    free(early.grown);
    free(early.aligned);
    free(other);
}

/* --- threads and processes -------------------------------------------------------------------- */

enum { THREADS = 8, PLACES = 256, STEPS = 20000 };

static void *places[PLACES];
static int running;

static void trade(void *context, int index)
{
    uint64_t seed = (uint64_t)index + 1;

    (void)context;
    for (int i = 0; i < STEPS; i++) {
        size_t size = (size_t)(test_random(&seed) >> 30) % (i % 50 == 0 ? 100000 : 1000) + 8;
        size_t *block = malloc(size);

        CHECK(block != NULL);
        *block = size;
        block = __atomic_exchange_n(&places[(test_random(&seed) >> 30) % PLACES], block,
                                    __ATOMIC_ACQ_REL);
        CHECK(block == NULL || malloc_usable_size(block) >= *block);
        block = realloc(block, block != NULL ? *block + 100 : 1);
        free(block);
    }
}

TEST(threads_free_what_others_took)
{
    run_threads(THREADS, trade, NULL);
    run_threads(THREADS, trade, NULL);
}

/* All of it works in a child: blocks, threads, and one more child. */
static void work_on(void)
{
    alarm(30);
    for (size_t size = 1; size < 200000; size *= 2)
        free(realloc(malloc(size), size * 2));
    run_threads(1, trade, NULL);
}

static void live_on(void)
{
    int status = 1;
    pid_t child;

    work_on();
    child = fork();
    if (child == 0) {
        work_on();
        _exit(0);
    }
    _exit(child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : 1);
}

static void fork_or_trade(void *context, int index)
{
    if (index != 0) {
        while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
            trade(context, index);
        return;
    }
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            live_on();
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
}

TEST(a_child_of_a_program_with_threads_lives_on)
{
    running = 1;
    run_threads(3, fork_or_trade, NULL);
}

/* Handlers of the program take and free blocks as well: while nobody else can, before and after. */
static void take_and_free(void)
{
    free(malloc(100000));
    free(malloc(10));
}

TEST(handlers_of_forks_may_allocate)
{
    CHECK(pthread_atfork(take_and_free, take_and_free, take_and_free) == 0);
    running = 1;
    run_threads(3, fork_or_trade, NULL);
}

static pthread_key_t key;

static void take_late(void *block)
{
    free(block);
    CHECK(pthread_setspecific(key, malloc(50)) == 0); /* once more, until the system has enough */
}

static void keep(void *context, int index)
{
    (void)context;
    (void)index;
    CHECK(pthread_setspecific(key, malloc(20)) == 0);
}

TEST(thousands_of_threads_end_with_late_frees)
{
    struct mallinfo2 first, last;

    for (int i = 0; i < 40; i++) /* beyond the first 32 keys a thread allocates room for them */
        CHECK(pthread_key_create(&key, take_late) == 0);
    for (int i = 0; i < 30; i++)
        run_threads(1, keep, NULL);
    first = mallinfo2();
    for (int i = 0; i < 3000; i++)
        run_threads(1, keep, NULL);
    last = mallinfo2();
    CHECK(last.arena < first.arena + MiB);
}

/* --- refusals --------------------------------------------------------------------------------- */

/* It ends by SIGABRT, having said what. */
static void must_stop(void (*wrong)(void *block), void *block, const char *what)
{
    int ends[2], status;
    char text[500] = "";
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(ends[1], STDERR_FILENO);
        wrong(block);
        _exit(0);
    }
    close(ends[1]);
    for (size_t at = 0; at < sizeof text - 1;) {
        ssize_t got = read(ends[0], text + at, sizeof text - 1 - at);

        if (got <= 0)
            break;
        at += (size_t)got;
    }
    close(ends[0]);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (strstr(text, what) == NULL) {
        fprintf(stderr, "it said: %s\n", text);
        exit(1);
    }
}

static void free_it(void *block)
{
    free(block);
}

static void free_twice(void *block)
{
    void *again = hide(block);

    free(block);
    free(again);
}

static void grow_it(void *block)
{
    (void)!realloc(block, 1000);
}

TEST(what_is_no_block_stops_the_program)
{
    char local[64] = "";
    char *block = malloc(100);

    must_stop(free_it, local, "heap 'malloc': free of");
    must_stop(free_it, local, "is no block of this heap");
    must_stop(free_it, block + 16, "is inside of a block");
    must_stop(free_twice, block, "is free already");
    must_stop(grow_it, local, "heap 'malloc': realloc of");
    free(block);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* Every block of 1 MiB that there is, and one again after all of them were freed. */
static size_t take_all(size_t most)
{
    void **blocks = malloc(most * sizeof *blocks);
    size_t count = 0;

    CHECK(blocks != NULL);
    while (count < most && (blocks[count] = malloc(MiB)) != NULL)
        memset(blocks[count++], 1, MiB);
    CHECK(count == most || errno == ENOMEM);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
    blocks = malloc(MiB);
    CHECK(blocks != NULL);
    free(blocks);
    return count;
}

/* XVM_MALLOC=max=64M */
TEST(at_the_cap)
{
    size_t count = take_all(100);

    CHECK(count >= 40 && count < 64);
}

TEST(under_rlimit_data)
{
    struct rlimit limit = {200 * MiB, 200 * MiB};
    size_t count;

    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    count = take_all(300);
    CHECK(count >= 100 && count < 200);
}

/* Run with little: half of the addresses are the heap's, threads and files get theirs. */
TEST(under_rlimit_as)
{
    struct rlimit limit;
    void *other;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY);
    other = mmap(NULL, limit.rlim_cur / 3, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED);
    CHECK(take_all(100) >= 40);
    run_threads(4, trade, NULL);
}

/* --- modes ------------------------------------------------------------------------------------ */

/* XVM_MALLOC=guarded */
TEST(guards_are_there)
{
    unsigned char *block = malloc(32), *later = hide(block);

    block[31] = 1;
    CHECK(faults_on_write(block + 32));
    CHECK(!faults_on_read(block));
    free(block);
    CHECK(faults_on_read(later));
}

/* XVM_MALLOC=zero */
TEST(freed_blocks_are_zero)
{
    unsigned char *block = malloc(4000), *later = hide(block);

    memset(hide(block), 0xff, 4000);
    free(block);
    CHECK(is_zero(later, 4000));
}

/* --- C++ that comes later --------------------------------------------------------------------- */

/* A program in C loads a part in C++: its std::bad_alloc is found there. */
TEST(a_loaded_part_in_cpp_gets_bad_alloc)
{
    const char *path = getenv("XVM_TEST_MODULE");
    void *module = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*run)(void);
    void *found;

    if (path == NULL)
        SKIP("no C++ compiler here");
    CHECK(module != NULL && (found = dlsym(module, "catch_bad_alloc")) != NULL);
    memcpy(&run, &found, sizeof run);
    CHECK_EQUAL(run(), 1);
}

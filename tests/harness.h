/* harness.h - the tests' own tools: cases, checks, and what each system lets a test see.
 *
 *     TEST(decommit_forgets) { CHECK(xvm_decommit(&r, 0, page) == XVM_OK); }
 *
 * One CTest entry and one process for each case: `program case`. Without an argument a program runs
 * all of its cases in one process. A crash loses one case. For C and for C++.
 */
#ifndef XVM_TESTS_HARNESS_H
#define XVM_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define TEST_NUMBER(value) (static_cast<long long>(value))
extern "C" {
#else
#define TEST_NUMBER(value) ((long long)(value))
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
    bool elsewhere; /* by run_elsewhere only */
} test_case;

void test_register(test_case *c);
int test_run(const char *name, const char *argument);
void test_skip(const char *why);

#define TEST(n) TEST_CASE(n, false)

/* What another process does for a test. */
#define ELSEWHERE(n) TEST_CASE(n, true)

#define TEST_CASE(n, elsewhere)                                                                    \
    static void n(void);                                                                           \
    static test_case n##_case = {#n, n, NULL, elsewhere};                                          \
    __attribute__((constructor)) static void n##_register(void)                                    \
    {                                                                                              \
        test_register(&n##_case);                                                                  \
    }                                                                                              \
    static void n(void)

/* A failed check ends the program. Everything in it is evaluated, in every build. */
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c)) {                                                                                \
            fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #c);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Two numbers, and both of them in the message. */
#define CHECK_EQUAL(a, b)                                                                          \
    do {                                                                                           \
        long long a_ = TEST_NUMBER(a), b_ = TEST_NUMBER(b);                                        \
        if (a_ != b_) {                                                                            \
            fprintf(stderr, "%s:%d: %s is %lld, %s is %lld\n", __FILE__, __LINE__, #a, a_, #b,     \
                    b_);                                                                           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Ends the case: it cannot be tried here, and why. */
#define SKIP(why) test_skip(why)

/* A fixed sequence for a seed (xorshift64*). */
uint64_t test_random(uint64_t *state);

/* --- what a system provides: tests/posix, tests/win32, tests/fake ----------------------------- */

/* Does reading or writing the byte at address fault? */
bool faults_on_read(const volatile void *address);
bool faults_on_write(volatile void *address);

/* Runs work(context, i) for i in [0, count), each in its own thread, and waits for all. */
void sleep_for(unsigned milliseconds);
void run_threads(int count, void (*work)(void *context, int index), void *context);

/* Runs ELSEWHERE(name) of this program in another process, and waits for it: its exit status. */
int run_elsewhere(const char *name, const char *argument);

/* The argument, there; NULL here. */
const char *test_argument(void);

/* Another one for each process that is running, and a file that goes, with a path in UTF-8. */
unsigned process_number(void);
void remove_file(const char *path);

/* errno, GetLastError. */
void set_last_error(int code);
int get_last_error(void);

/* What the system itself says of each page: */
enum { TRUTH_NONE = 0, TRUTH_READ = 1, TRUTH_WRITE = 2, TRUTH_EXECUTE = 4, TRUTH_FREE = 8 };
/* The bits among them that this system shows: an emulator may leave one out. */
int shown_truth(void);
void look_at_pages(const void *base, size_t pages, size_t page_size, unsigned char *truth);

/* What a process holds. A number that the system cannot tell is 0 before and after. */
typedef struct holdings {
    size_t mappings;  /* of the address space */
    size_t addresses; /* bytes that are not free */
    size_t charge;    /* bytes of private writable memory */
    size_t locked;    /* bytes */
    size_t handles;   /* descriptors, handles */
} holdings;

void look_at_process(holdings *out);

/* Memory of this process that is resident, and that is locked, in bytes; Windows does not tell the latter: 0. */
size_t resident_memory(void);
size_t locked_memory(void);

/* Another page size from now on: the fake's own, or xvm_test_page_size. */
void pretend_page_size(size_t page, size_t granularity);

/* True where memory is a model of it and large reservations are refused. */
bool memory_is_fake(void);

/* True where there are none, or where they could be left out from now on. */
bool has_no_light_guards(void);

/* False where a store of many zeros that faults in its middle may go on at the wrong place when the fault
 * has been handled: under qemu, whose DC ZVA leaves out bytes then. */
bool zeroing_goes_on_after_faults(void);

/* True where the system tells which pages are resident. */
bool residency_is_known(void);

/* True where the real limits of a Linux process cannot be had: under an emulator, Wine or a
 * sanitizer. */
bool memory_is_emulated(void);

#ifdef __cplusplus
}
#endif

#endif

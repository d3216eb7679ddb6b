/* harness.c - runs one case, or all of them. */
#include <setjmp.h>

#include "harness.h"

enum { SKIPPED = 77, UNKNOWN = 2 };

static test_case *cases, **end = &cases;
static jmp_buf after_skip;
static bool one_case;
static const char *the_argument;

void test_register(test_case *c)
{
    *end = c;
    end = &c->next;
}

void test_skip(const char *why)
{
    printf("SKIP: %s\n", why);
    if (one_case)
        exit(SKIPPED);
    longjmp(after_skip, 1);
}

uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* XVM_TEST_PAGES=16384:65536 pretends these for the whole run. */
static void choose_pages(void)
{
    const char *wish = getenv("XVM_TEST_PAGES");
    unsigned long page, granularity;

    if (wish == NULL)
        return;
    CHECK(sscanf(wish, "%lu:%lu", &page, &granularity) == 2);
    pretend_page_size(page, granularity);
    printf("pages of %lu bytes, granularity %lu\n", page, granularity);
}

static void run(test_case *c)
{
    printf("%s\n", c->name);
    if (setjmp(after_skip) == 0)
        c->run();
}

const char *test_argument(void)
{
    return the_argument;
}

/* All cases, or one. */
int test_run(const char *name, const char *argument)
{
    int ran = 0;

    the_argument = argument;
    one_case = name != NULL;
    for (test_case *c = cases; c != NULL; c = c->next)
        if (name == NULL ? !c->elsewhere : strcmp(name, c->name) == 0) {
            run(c);
            ran++;
        }
    if (ran == 0)
        fprintf(stderr, "no such case\n");
    return ran != 0 ? 0 : UNKNOWN;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    choose_pages();
    if (argc < 2 || strcmp(argv[1], "--list") != 0)
        return test_run(argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
    for (test_case *c = cases; c != NULL; c = c->next)
        puts(c->name);
    return 0;
}

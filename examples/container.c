/* container.c - a gigabyte in a container that has less: ended by the kernel, or told in time.
 *
 *     naive    commits and touches 1 MiB at a time: past the limit of the container the kernel ends
 *              it with signal 9, exit status 137
 *     budget   charges a budget made from the container: the commit is refused, and says why
 *
 * usage: xvm_example_container naive | budget [MiB]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

enum { MiB = 1 << 20, WISH = 1024 };

static int tell(size_t done)
{
    char why[256];

    xvm_explain(why, sizeof why);
    printf("after %u MiB: %s\n", (unsigned)(done / MiB), why);
    return xvm_last_status() == XVM_E_BUDGET ? 0 : 1;
}

static int fill(xvm_region *region)
{
    for (size_t at = 0; at < region->size; at += MiB) {
        if (xvm_commit(region, at, MiB) != XVM_OK)
            return tell(at);
        memset((char *)region->base + at, 1, MiB); /* now the container pays */
    }
    printf("all %u MiB\n", (unsigned)(region->size / MiB));
    return 0;
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "";
    size_t wish = count > 2 ? strtoul(arguments[2], NULL, 10) : WISH;
    xvm_reserve_options options = {.name = "cache"};
    xvm_budget container;
    xvm_region region;
    int result;

    if (strcmp(how, "naive") != 0 && strcmp(how, "budget") != 0) {
        fprintf(stderr, "usage: %s naive | budget [MiB]\n", arguments[0]);
        return 2;
    }
    if (strcmp(how, "budget") == 0) {
        xvm_budget_init_container(&container);
        options.budget = &container;
    }
    if (xvm_reserve(&region, wish * MiB, &options) != XVM_OK)
        return tell(0);
    result = fill(&region);
    xvm_release(&region);
    return result;
}

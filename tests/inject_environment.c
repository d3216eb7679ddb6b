/* inject_environment.c - started with XVM_INJECT=commit@2: the second commit fails, and no
 * other. */
#include <stdio.h>

#include "xvm/xvm.h"

int main(void)
{
    size_t page = xvm_page_size();
    xvm_region r;
    int answers[3];

    if (xvm_reserve(&r, 16 * page, NULL) != XVM_OK)
        return 1;
    for (size_t i = 0; i < 3; i++)
        answers[i] = xvm_commit(&r, 2 * i * page, page);
    printf("%d %d %d\n", answers[0], answers[1], answers[2]);
    return answers[0] == XVM_OK && answers[1] == XVM_E_COMMIT_LIMIT && answers[2] == XVM_OK ? 0 : 1;
}

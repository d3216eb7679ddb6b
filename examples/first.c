/* first.c - the smallest use: an array that may grow to 64 GiB and never moves. */
#include <stdio.h>
#include <xvm/xvm.h>

int main(void)
{
    xvm_region region;
    size_t size = sizeof(void *) > 4 ? (size_t)64 << 20 << 10 : (size_t)64 << 20;

    if (xvm_reserve(&region, size, NULL) != XVM_OK) /* addresses only: costs nothing */
        return 1;
    int *numbers = region.base;
    for (size_t i = 0; i < 1000000; i++) {
        if (xvm_commit(&region, i * sizeof *numbers, sizeof *numbers) != XVM_OK) /* memory */
            return 1;
        numbers[i] = (int)i; /* &numbers[0] is what it was at the start */
    }
    printf("%d numbers at %p\n", numbers[999999] + 1, (void *)numbers);
    xvm_decommit(&region, 0, region.size); /* memory back, addresses kept */
    return xvm_release(&region) == XVM_OK ? 0 : 1;
}

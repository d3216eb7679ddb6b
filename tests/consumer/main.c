/* A program of a user's own: 1 MiB of addresses, memory for all of it, and both given back. */
#include <stdio.h>
#include <string.h>

#include <xvm/xvm.h>

int main(void)
{
    xvm_region region;
    size_t size = (size_t)1 << 20;
    xvm_status status = xvm_reserve(&region, size, NULL);

    if (status == XVM_OK)
        status = xvm_commit(&region, 0, size);
    if (status == XVM_OK) {
        memset(region.base, 1, size);
        status = xvm_release(&region);
    }
    printf("consumer: %d-bit: %s\n", (int)(8 * sizeof size), xvm_status_name(status));
    return status == XVM_OK ? 0 : 1;
}

/* The same in C++: a heap whose blocks a destructor frees. */
#include <cstdio>
#include <cstring>
#include <memory>

#include <xvm/xvm.h>

namespace
{
struct heap_deleter {
    void operator()(xvm_heap *heap) const { xvm_heap_destroy(heap); }
};
} // namespace

int main()
{
    xvm_heap *made = nullptr;
    xvm_status status = xvm_heap_create(&made, nullptr);
    std::unique_ptr<xvm_heap, heap_deleter> heap(made);

    if (status == XVM_OK) {
        void *block = xvm_heap_alloc(heap.get(), 1000);
        if (block == nullptr)
            return 1;
        std::memset(block, 1, 1000);
        xvm_heap_free(heap.get(), block);
    }
    std::printf("consumer: C++%ld: %s\n", __cplusplus / 100 % 100, xvm_status_name(status));
    return status == XVM_OK ? 0 : 1;
}

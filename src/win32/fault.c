/* fault.c - writes that the protection of a page refuses, by a vectored exception handler. Those that are none
 * of ours go on to the next one. It stays for good. */
#include "call.h"
#include "lock.h"

static int (*handler)(const void *address);

static LONG CALLBACK on_fault(EXCEPTION_POINTERS *fault)
{
    const EXCEPTION_RECORD *record = fault->ExceptionRecord;

    if (record->ExceptionCode == EXCEPTION_ACCESS_VIOLATION && record->NumberParameters >= 2 &&
        record->ExceptionInformation[0] == 1 &&
        handler((const void *)record->ExceptionInformation[1]) != 0)
        return EXCEPTION_CONTINUE_EXECUTION;
    return EXCEPTION_CONTINUE_SEARCH;
}

xvm_os_answer xvm_os_catch_writes(int (*handle)(const void *address))
{
    static unsigned busy;
    static void *registered;
    int code = 0;

    for (unsigned round = 0; SWAP_ACQUIRE(&busy, 1u) != 0; round++)
        xvm_os_pause(round);
    STORE_RELEASE(&handler, handle);
    if (registered == NULL) {
        code =
            xvm_os_refused(XVM_OS_WATCH, "AddVectoredExceptionHandler", 0, ERROR_NOT_ENOUGH_MEMORY);
        if (code == 0)
            registered = AddVectoredExceptionHandler(1, on_fault);
        if (code == 0 && registered == NULL)
            code = ERROR_NOT_ENOUGH_MEMORY;
        xvm_os_made(XVM_OS_WATCH, "AddVectoredExceptionHandler", NULL, 0, code, code != 0);
    }
    STORE_RELEASE(&busy, 0u);
    return xvm_os_classify(XVM_OS_WATCH, code);
}

int xvm_os_open_faulted(void *address, size_t size, xvm_protection protection)
{
    return xvm_os_protect(XVM_OS_WATCH, address, size, protection).status == XVM_OK;
}

/* thread.c - what each thread remembers, and how it waits.
 *
 * Thread-local variables of mingw are emulated with malloc, so the record lives in a fiber-local
 * slot, whose callback frees it with its thread. It is made at a thread's first failure.
 */
#include "call.h"

enum { SPINS = 64, YIELDS = 128 }; /* rounds; then sleep */

static void WINAPI drop_record(void *record)
{
    HeapFree(GetProcessHeap(), 0, record);
}

/* The slot for the records. Two threads may come first at once: one slot wins, the other goes
 * back. */
static DWORD slot(void)
{
    static DWORD known; /* slot + 1 */
    DWORD mine, none = 0, now = __atomic_load_n(&known, __ATOMIC_ACQUIRE);

    if (now != 0)
        return now - 1;
    mine = FlsAlloc(drop_record);
    if (mine == FLS_OUT_OF_INDEXES)
        return FLS_OUT_OF_INDEXES;
    if (__atomic_compare_exchange_n(&known, &none, mine + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    FlsFree(mine);
    return none - 1;
}

/* Where there is neither a slot nor memory for a record, threads share this one rather than
 * none. */
static xvm_os_failure *make_record(DWORD at)
{
    static xvm_os_failure shared;
    xvm_os_failure *record = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *record);

    if (record != NULL && FlsSetValue(at, record))
        return record;
    if (record != NULL)
        HeapFree(GetProcessHeap(), 0, record);
    return &shared;
}

xvm_os_failure *xvm_os_thread_failure(void)
{
    DWORD before = GetLastError(), at = slot();
    xvm_os_failure *record = at != FLS_OUT_OF_INDEXES ? FlsGetValue(at) : NULL;

    if (record == NULL)
        record = make_record(at);
    SetLastError(before); /* the calls above change it even when they succeed */
    return record;
}

unsigned xvm_os_thread_number(void)
{
    return (unsigned)GetCurrentThreadId();
}

/* FlushProcessWriteBuffers would be it, but Wine's does nothing in some versions. */
int xvm_os_fence_all_threads(void)
{
    return 0;
}

void xvm_os_pause(unsigned round)
{
    if (round < SPINS)
        YieldProcessor();
    else if (round < YIELDS)
        SwitchToThread();
    else
        Sleep(1);
}

void xvm_os_sleep(unsigned milliseconds)
{
    Sleep(milliseconds);
}

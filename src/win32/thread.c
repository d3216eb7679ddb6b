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

/* A slot with such a callback; known is slot + 1. Two threads may come first at once: one slot wins,
 * the other goes back. */
static DWORD slot(DWORD *known, PFLS_CALLBACK_FUNCTION drop)
{
    DWORD mine, none = 0, now = __atomic_load_n(known, __ATOMIC_ACQUIRE);

    if (now != 0)
        return now - 1;
    mine = FlsAlloc(drop);
    if (mine == FLS_OUT_OF_INDEXES)
        return FLS_OUT_OF_INDEXES;
    if (__atomic_compare_exchange_n(known, &none, mine + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
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
    static DWORD known;
    DWORD before = GetLastError(), at = slot(&known, drop_record);
    xvm_os_failure *record = at != FLS_OUT_OF_INDEXES ? FlsGetValue(at) : NULL;

    if (record == NULL)
        record = make_record(at);
    SetLastError(before); /* the calls above change it even when they succeed */
    return record;
}

/* The room, and before it what is called at its end. */
typedef struct room {
    void (*drop)(void *);
    size_t bytes[XVM_OS_THREAD_ROOM / sizeof(size_t)];
} room;

static void WINAPI drop_room(void *data)
{
    room *r = data;

    r->drop(r->bytes);
    HeapFree(GetProcessHeap(), 0, r);
}

static room *make_room(DWORD at, void (*drop)(void *))
{
    room *r = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *r);

    if (r == NULL)
        return NULL;
    r->drop = drop;
    if (FlsSetValue(at, r))
        return r;
    HeapFree(GetProcessHeap(), 0, r);
    return NULL;
}

void *xvm_os_thread_room(void (*drop)(void *))
{
    static DWORD known;
    DWORD before = GetLastError(), at = slot(&known, drop_room);
    room *r = at != FLS_OUT_OF_INDEXES ? FlsGetValue(at) : NULL;

    if (r == NULL && at != FLS_OUT_OF_INDEXES)
        r = make_room(at, drop);
    SetLastError(before);
    return r != NULL ? r->bytes : NULL;
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

int xvm_os_get_error(void)
{
    return (int)GetLastError();
}

void xvm_os_set_error(int error)
{
    SetLastError((DWORD)error);
}

void xvm_os_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before;
    (void)in_parent;
    (void)in_child;
}

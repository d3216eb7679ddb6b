/* thread.c - what each thread remembers, and how it waits.
 *
 * Thread-local variables of mingw are emulated with malloc, so the record lives in a fiber-local
 * slot, whose callback frees it with its thread. It is made at a thread's first failure.
 */
#include <stdint.h>

#include "call.h"
#include "lock.h"

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

/* --- numbers ---------------------------------------------------------------------------------- */

enum { NUMBERS = 256, WORD_BITS = 64 };
enum { SLOTS = sizeof(void *) == 8 ? 0x1480 : 0xe10, SLOTS_IN_BLOCK = 64 }; /* of a thread block */

static uint64_t taken[NUMBERS / WORD_BITS]; /* bits; the first is of number 1 */
static DWORD tls = TLS_OUT_OF_INDEXES, fls = FLS_OUT_OF_INDEXES; /* their values: the number */
static DWORD ended = TLS_OUT_OF_INDEXES; /* its value: 1 once the thread has given it back */
static INIT_ONCE once = INIT_ONCE_STATIC_INIT;

unsigned long xvm_os_thread_slot;

int xvm_os_hold_thread_number(unsigned number)
{
    uint64_t bit = (uint64_t)1 << (number - 1) % WORD_BITS;

    return (__atomic_fetch_or(&taken[(number - 1) / WORD_BITS], bit, __ATOMIC_ACQUIRE) & bit) == 0;
}

void xvm_os_free_thread_number(unsigned number)
{
    uint64_t bit = (uint64_t)1 << (number - 1) % WORD_BITS;

    (void)__atomic_fetch_and(&taken[(number - 1) / WORD_BITS], ~bit, __ATOMIC_RELEASE);
}

/* Callbacks of other slots may allocate and free after this one: no longer by the number, which is
 * another thread's now, and without a new one, which might be nobody's to give back. A fiber's slot may
 * be told of by another thread. */
static void WINAPI give_number(void *value)
{
    if (value == NULL)
        return;
    if (TlsGetValue(tls) == value) {
        TlsSetValue(ended, (void *)1);
        TlsSetValue(tls, NULL);
    }
    xvm_os_free_thread_number((unsigned)(uintptr_t)value);
}

/* Fiber-local slots are told when a thread ends, thread-local ones are quick to read. */
static BOOL CALLBACK make_slots(PINIT_ONCE which, void *parameter, void **context)
{
    (void)which;
    (void)parameter;
    (void)context;
    tls = TlsAlloc();
    ended = TlsAlloc();
    fls = FlsAlloc(give_number);
    if (tls < SLOTS_IN_BLOCK && ended != TLS_OUT_OF_INDEXES && fls != FLS_OUT_OF_INDEXES)
        __atomic_store_n(&xvm_os_thread_slot, SLOTS + tls * sizeof(void *), __ATOMIC_RELEASE);
    return TRUE;
}

/* The lowest bit of a word that is free, taken; WORD_BITS: none is. */
static unsigned take_bit(uint64_t *word)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

    while (now != UINT64_MAX) {
        unsigned bit = (unsigned)__builtin_ctzll(~now);

        if (__atomic_compare_exchange_n(word, &now, now | (uint64_t)1 << bit, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return bit;
    }
    return WORD_BITS;
}

static unsigned take_number(void)
{
    unsigned bit = WORD_BITS, from = 0;

    InitOnceExecuteOnce(&once, make_slots, NULL, NULL);
    if (xvm_os_thread_slot != 0 && TlsGetValue(ended) != NULL)
        return 0;
    while (xvm_os_thread_slot != 0 && from < NUMBERS &&
           (bit = take_bit(&taken[from / WORD_BITS])) == WORD_BITS)
        from += WORD_BITS;
    if (bit == WORD_BITS)
        return 0;
    FlsSetValue(fls, (void *)(uintptr_t)(from + bit + 1));
    TlsSetValue(tls, (void *)(uintptr_t)(from + bit + 1));
    return from + bit + 1;
}

unsigned xvm_os_thread_number(void)
{
    DWORD before = GetLastError();
    unsigned number = xvm_os_known_thread();

    if (number == 0)
        number = take_number();
    SetLastError(before);
    return number;
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

uint64_t xvm_os_clock(void)
{
    return GetTickCount64() + 1;
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

void xvm_os_stop(const char *message, size_t size)
{
    DWORD written;

    WriteFile(GetStdHandle(STD_ERROR_HANDLE), message, (DWORD)size, &written, NULL);
    TerminateProcess(GetCurrentProcess(), 3); /* as abort does, without its dialog */
}

/* thread.c - what each thread remembers, and how it waits.
 *
 * Thread-local variables of mingw are emulated with malloc, so the record lives in a fiber-local
 * slot, whose callback frees it with its thread. It is made at a thread's first failure.
 */
#include <stdint.h>

#include "call.h"
#include "lock.h"
#include "thread_number.h"

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

/* --- numbers of threads ----------------------------------------------------------------------- */

enum { INDICES = 256, WORD = 64 };
enum { SLOTS = sizeof(void *) == 8 ? 0x1480 : 0xe10, SLOTS_IN_BLOCK = 64 }; /* of a thread block */

static uint64_t taken[INDICES / WORD];                           /* bits */
static DWORD tls = TLS_OUT_OF_INDEXES, fls = FLS_OUT_OF_INDEXES; /* values: the number + 1 */
unsigned long xvm_os_thread_slot;
static INIT_ONCE once = INIT_ONCE_STATIC_INIT;

static void WINAPI give_index(void *value)
{
    unsigned index = (unsigned)(uintptr_t)value - 1;

    if (value != NULL)
        (void)__atomic_fetch_and(&taken[index / WORD], ~((uint64_t)1 << index % WORD),
                                 __ATOMIC_RELEASE);
}

/* Fiber-local slots are told when a thread ends, thread-local ones are quick to read. */
static BOOL CALLBACK make_slots(PINIT_ONCE which, void *parameter, void **context)
{
    (void)which;
    (void)parameter;
    (void)context;
    tls = TlsAlloc();
    fls = FlsAlloc(give_index);
    if (tls < SLOTS_IN_BLOCK && fls != FLS_OUT_OF_INDEXES)
        __atomic_store_n(&xvm_os_thread_slot, SLOTS + tls * sizeof(void *), __ATOMIC_RELEASE);
    return TRUE;
}

/* The lowest number that is free in one word; WORD: none is. */
static unsigned take_bit(uint64_t *word)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

    while (now != UINT64_MAX) {
        unsigned bit = (unsigned)__builtin_ctzll(~now);

        if (__atomic_compare_exchange_n(word, &now, now | (uint64_t)1 << bit, 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return bit;
    }
    return WORD;
}

unsigned xvm_os_thread_enroll(void)
{
    DWORD before = GetLastError();
    unsigned index = 0, bit = WORD;

    InitOnceExecuteOnce(&once, make_slots, NULL, NULL);
    if (xvm_os_thread_slot == 0)
        return 0;
    for (; index < INDICES && (bit = take_bit(&taken[index / WORD])) == WORD;)
        index += WORD;
    if (bit == WORD)
        return 0;
    index += bit;
    FlsSetValue(fls, (void *)(uintptr_t)(index + 1));
    TlsSetValue(tls, (void *)(uintptr_t)(index + 1));
    SetLastError(before);
    return index + 1;
}

int xvm_os_thread_at_fork(void (*before)(void), void (*after)(void))
{
    (void)before;
    (void)after;
    return 1;
}

void xvm_os_thread_stop(const char *message, size_t size)
{
    DWORD written;

    WriteFile(GetStdHandle(STD_ERROR_HANDLE), message, (DWORD)size, &written, NULL);
    TerminateProcess(GetCurrentProcess(), 3); /* as abort does, without its dialog */
}

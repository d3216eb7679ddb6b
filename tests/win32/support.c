/* support.c - what a test can see on Windows: faults by a vectored handler, the rest from
 * VirtualQuery. */
#include "harness.h"
#include "xvm/system.h"
#include "xvm/testing.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* --- faults ----------------------------------------------------------------------------------- */

static void *landing[5];
static volatile bool armed;

static LONG CALLBACK on_fault(EXCEPTION_POINTERS *what)
{
    if (!armed || what->ExceptionRecord->ExceptionCode != EXCEPTION_ACCESS_VIOLATION)
        return EXCEPTION_CONTINUE_SEARCH;
    armed = false;
    __builtin_longjmp(landing, 1);
}

/* Tries one access with the handler in place. Not for two threads. */
static __attribute__((noinline)) bool try_access(volatile unsigned char *address, bool write)
{
    static volatile bool faulted;
    void *handler = AddVectoredExceptionHandler(1, on_fault);

    faulted = true;
    if (__builtin_setjmp(landing) == 0) {
        armed = true;
        if (write)
            *address = *address;
        else
            (void)*address;
        armed = false;
        faulted = false;
    }
    RemoveVectoredExceptionHandler(handler);
    return faulted;
}

bool faults_on_read(const volatile void *address)
{
    return try_access((volatile unsigned char *)(uintptr_t)address, false);
}

bool faults_on_write(volatile void *address)
{
    return try_access(address, true);
}

/* --- threads and errors ----------------------------------------------------------------------- */

typedef struct worker {
    HANDLE thread;
    void (*work)(void *context, int index);
    void *context;
    int index;
} worker;

static DWORD WINAPI run_worker(void *argument)
{
    worker *w = argument;

    w->work(w->context, w->index);
    return 0;
}

void run_threads(int count, void (*work)(void *context, int index), void *context)
{
    static worker workers[300];

    CHECK(count <= 300);
    for (int i = 0; i < count; i++) {
        workers[i] = (worker){.work = work, .context = context, .index = i};
        workers[i].thread = CreateThread(NULL, 0, run_worker, &workers[i], 0, NULL);
        CHECK(workers[i].thread != NULL);
    }
    for (int i = 0; i < count; i++) {
        CHECK(WaitForSingleObject(workers[i].thread, INFINITE) == WAIT_OBJECT_0);
        CloseHandle(workers[i].thread);
    }
}

int run_elsewhere(const char *name, const char *argument)
{
    STARTUPINFOA start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    char self[MAX_PATH], command[2 * MAX_PATH];
    DWORD status;

    CHECK(GetModuleFileNameA(NULL, self, sizeof self) != 0);
    snprintf(command, sizeof command, "\"%s\" %s %s", self, name, argument);
    CHECK(CreateProcessA(self, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process));
    CHECK(WaitForSingleObject(process.hProcess, INFINITE) == WAIT_OBJECT_0);
    CHECK(GetExitCodeProcess(process.hProcess, &status));
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return (int)status;
}

unsigned process_number(void)
{
    return (unsigned)GetCurrentProcessId();
}

void remove_file(const char *path)
{
    WCHAR wide[MAX_PATH];

    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, MAX_PATH) != 0)
        (void)DeleteFileW(wide);
}

void set_last_error(int code)
{
    SetLastError((DWORD)code);
}

int get_last_error(void)
{
    return (int)GetLastError();
}

/* --- the truth -------------------------------------------------------------------------------- */

static unsigned char truth_of(const MEMORY_BASIC_INFORMATION *found)
{
    if (found->State == MEM_FREE)
        return TRUTH_FREE;
    if (found->State == MEM_RESERVE)
        return TRUTH_NONE;
    switch (found->Protect) {
    case PAGE_READONLY:
        return TRUTH_READ;
    case PAGE_READWRITE:
        return TRUTH_READ | TRUTH_WRITE;
    case PAGE_EXECUTE_READ:
        return TRUTH_READ | TRUTH_EXECUTE;
    case PAGE_EXECUTE_READWRITE:
        return TRUTH_READ | TRUTH_WRITE | TRUTH_EXECUTE;
    default:
        return TRUTH_NONE;
    }
}

void look_at_pages(const void *base, size_t pages, size_t page_size, unsigned char *truth)
{
    const unsigned char *at = base, *end = at + pages * page_size;

    while (at < end) {
        MEMORY_BASIC_INFORMATION found;
        const unsigned char *until;

        CHECK(VirtualQuery(at, &found, sizeof found) != 0);
        until = (unsigned char *)found.BaseAddress + found.RegionSize;
        for (; at < until && at < end; at += page_size)
            *truth++ = truth_of(&found);
    }
}

typedef struct memory_counters {
    DWORD size, faults;
    SIZE_T peak_working_set, working_set, rest[7];
} memory_counters;

BOOL WINAPI K32GetProcessMemoryInfo(HANDLE process, void *counters, DWORD size);

size_t resident_memory(void)
{
    memory_counters counters = {.size = sizeof counters};

    CHECK(K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters));
    return counters.working_set;
}

size_t locked_memory(void)
{
    return 0;
}

void look_at_process(holdings *out)
{
    MEMORY_BASIC_INFORMATION found;
    unsigned char *at = NULL;
    DWORD handles = 0;

    *out = (holdings){0};
    for (; VirtualQuery(at, &found, sizeof found) != 0;
         at = (unsigned char *)found.BaseAddress + found.RegionSize) {
        if (found.State == MEM_FREE)
            continue;
        out->mappings++;
        out->addresses += found.RegionSize;
        if (found.State == MEM_COMMIT && found.Type == MEM_PRIVATE)
            out->charge += found.RegionSize;
    }
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &handles));
    out->handles = handles;
}

/* --- the machine ------------------------------------------------------------------------------ */

void pretend_page_size(size_t page, size_t granularity)
{
    CHECK(xvm_test_page_size(page, granularity) == XVM_OK);
}

bool memory_is_fake(void)
{
    return false;
}

int shown_truth(void)
{
    return ~0;
}

bool residency_is_known(void)
{
    return true;
}

/* Wine says so in its ntdll. */
bool memory_is_emulated(void)
{
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;
}

bool zeroing_goes_on_after_faults(void)
{
    return true;
}

bool has_no_light_guards(void)
{
    return (xvm_system()->features & XVM_HAS_LIGHT_GUARDS) == 0;
}

void sleep_for(unsigned milliseconds)
{
    Sleep(milliseconds);
}

/* support.c - what a test can see on POSIX: faults by signal, the rest from /proc. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "xvm/system.h"
#include "xvm/testing.h"

/* --- faults ----------------------------------------------------------------------------------- */

static _Thread_local sigjmp_buf landing;

static void on_fault(int signal_number)
{
    siglongjmp(landing, signal_number);
}

/* Tries one access with the fault signals caught. Signal actions are the process's: not for two
 * threads. */
static bool try_access(volatile unsigned char *address, bool write)
{
    struct sigaction action, old_segv, old_bus;
    volatile bool faulted = false;
    unsigned char byte = 0;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_fault;
    sigaction(SIGSEGV, &action, &old_segv);
    sigaction(SIGBUS, &action, &old_bus);
    if (sigsetjmp(landing, 1) != 0)
        faulted = true;
    else if (write)
        *address = *address;
    else
        byte = *address;
    (void)byte;
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
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
    pthread_t thread;
    void (*work)(void *context, int index);
    void *context;
    int index;
} worker;

static void *run_worker(void *argument)
{
    worker *w = argument;

    w->work(w->context, w->index);
    return NULL;
}

void run_threads(int count, void (*work)(void *context, int index), void *context)
{
    static worker workers[300];

    CHECK(count <= 300);
    for (int i = 0; i < count; i++) {
        workers[i] = (worker){.work = work, .context = context, .index = i};
        CHECK(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0);
    }
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
}

int run_elsewhere(const char *name, const char *argument)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        exit(test_run(name, argument));
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

unsigned process_number(void)
{
    return (unsigned)getpid();
}

void remove_file(const char *path)
{
    (void)unlink(path);
}

void set_last_error(int code)
{
    errno = code;
}

int get_last_error(void)
{
    return errno;
}

/* --- the truth -------------------------------------------------------------------------------- */

static unsigned char truth_of(const char *permissions)
{
    return (unsigned char)((permissions[0] == 'r' ? TRUTH_READ : 0) |
                           (permissions[1] == 'w' ? TRUTH_WRITE : 0) |
                           (permissions[2] == 'x' ? TRUTH_EXECUTE : 0));
}

/* One pass through the map; the mappings are in order. */
void look_at_pages(const void *base, size_t pages, size_t page_size, unsigned char *truth)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    uintptr_t first = (uintptr_t)base;
    unsigned long long from, to;
    char permissions[8], line[512];

    CHECK(maps != NULL);
    memset(truth, TRUTH_FREE, pages);
    while (fgets(line, sizeof line, maps) != NULL) {
        CHECK(sscanf(line, "%llx-%llx %7s", &from, &to, permissions) == 3);
        for (size_t i = 0; i < pages; i++)
            if (first + i * page_size >= from && first + i * page_size < to)
                truth[i] = truth_of(permissions);
    }
    fclose(maps);
}

/* Without stdio: it must work when the heap can have no more. */
static size_t status_field(const char *name)
{
    static char text[8192];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(file, text, sizeof text - 1);
    unsigned long long kilobytes = 0;
    const char *found;

    CHECK(file >= 0 && size > 0);
    close(file);
    text[size] = '\0';
    found = strstr(text, name);
    if (found != NULL)
        CHECK(sscanf(found + strlen(name), ": %llu", &kilobytes) == 1);
    return (size_t)kilobytes << 10;
}

size_t resident_memory(void)
{
    return status_field("VmRSS");
}

size_t locked_memory(void)
{
    return status_field("VmLck");
}

static size_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

void look_at_process(holdings *out)
{
    unsigned long long from, to;
    char permissions[8], line[512];
    FILE *maps;

    *out = (holdings){0};
    out->locked = locked_memory();
    out->handles = count_descriptors();
    maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        CHECK(sscanf(line, "%llx-%llx %7s", &from, &to, permissions) == 3);
        out->mappings++;
        out->addresses += (size_t)(to - from);
        out->charge += strcmp(permissions, "rw-p") == 0 ? (size_t)(to - from) : 0;
    }
    fclose(maps);
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

/* CTest says so when it starts us in an emulator of another processor. */
static bool is_another_processor(void)
{
    return getenv("XVM_TEST_EMULATED") != NULL;
}

/* qemu leaves the execute bit out of the maps it shows, and whole mappings when its pages are not the machine's. */
int shown_truth(void)
{
    if (!is_another_processor())
        return ~0;
    return sysconf(_SC_PAGESIZE) == 1 << 12 ? ~TRUTH_EXECUTE : 0;
}

bool residency_is_known(void)
{
    return !is_another_processor();
}

/* Sanitizers say it at compile time. */
bool memory_is_emulated(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return is_another_processor();
}

/* Of 4096 calls of memset over two pages that a handler opened, qemu 7.2 left out bytes in 3583; in which
 * depends on what it has translated before. */
bool zeroing_goes_on_after_faults(void)
{
    return !is_another_processor();
}

bool has_no_light_guards(void)
{
    return (xvm_system()->features & XVM_HAS_LIGHT_GUARDS) == 0;
}

void sleep_for(unsigned milliseconds)
{
    usleep(milliseconds * 1000);
}

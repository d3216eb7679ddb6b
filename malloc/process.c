/* process.c - the one heap of the process: made by the first who needs it, as XVM_MALLOC says.
 *
 *     XVM_MALLOC="guarded max=2G report"      words, with spaces or commas between them
 *
 *   1  Made once. Threads that come meanwhile wait; the thread that makes it, and takes blocks while it
 *      does, gets early ones.
 *   2  Nothing here needs the C library to be set up: it may come before that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "process.h"

enum { REPORT = 16 << 10, MiB = 1 << 20, LEAST = 16 * MiB, FIRST_GUESS = 512 * MiB };

xvm_heap *xvm_malloc_heap;
static bool report_at_exit;

/* --- messages --------------------------------------------------------------------------------- */

/* "xvm: malloc: <what>'<word>'", without a buffer; what cannot be written is lost. */
static void say(const char *what, const char *word, size_t size)
{
    static const char start[] = "xvm: malloc: ", end[] = "'\n";
    struct iovec parts[] = {{(void *)(uintptr_t)start, sizeof start - 1},
                            {(void *)(uintptr_t)what, strlen(what)},
                            {(void *)(uintptr_t)word, size},
                            {(void *)(uintptr_t)end, sizeof end - 1}};

    (void)!writev(STDERR_FILENO, parts, sizeof parts / sizeof *parts);
}

void xvm_malloc_report(void)
{
    static char text[REPORT];
    size_t length, from = 0;

    length = xvm_heap_report(xvm_malloc_heap, XVM_FORMAT_TEXT, text, sizeof text);
    length = length < sizeof text ? length : sizeof text - 1;
    while (from < length) {
        ssize_t written = write(STDERR_FILENO, text + from, length - from);

        if (written <= 0)
            break;
        from += (size_t)written;
    }
}

/* --- wishes ----------------------------------------------------------------------------------- */

/* One word of XVM_MALLOC. */
typedef struct word {
    const char *text;
    size_t size;
} word;

static bool is(const word *w, const char *name)
{
    return strlen(name) == w->size && memcmp(name, w->text, w->size) == 0;
}

static unsigned shift_of(char unit)
{
    return unit == 'K' || unit == 'k'   ? 10
           : unit == 'M' || unit == 'm' ? 20
           : unit == 'G' || unit == 'g' ? 30
                                        : 0;
}

/* "512M" and the like; 0: it is none. */
static size_t parse_size(const char *text, size_t size)
{
    unsigned shift = size > 1 ? shift_of(text[size - 1]) : 0;
    size_t value = 0;

    size -= shift != 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || value > SIZE_MAX / 16)
            return 0;
        value = value * 10 + (size_t)(text[i] - '0');
    }
    return value > SIZE_MAX >> shift ? 0 : value << shift;
}

static bool is_max(const word *w, size_t *size)
{
    static const char key[] = "max=";
    size_t at = sizeof key - 1;

    if (w->size <= at || memcmp(w->text, key, at) != 0)
        return false;
    *size = parse_size(w->text + at, w->size - at);
    return *size != 0;
}

static void obey(const word *w, xvm_heap_options *o)
{
    if (is(w, "guarded"))
        o->flags |= XVM_HEAP_GUARDED;
    else if (is(w, "zero"))
        o->flags |= XVM_HEAP_ZERO_ON_FREE;
    else if (is(w, "huge"))
        o->flags |= XVM_HEAP_HUGE;
    else if (is(w, "report"))
        report_at_exit = true;
    else if (!is_max(w, &o->max_size))
        say("XVM_MALLOC has an unknown word: '", w->text, w->size);
}

static bool is_between(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\n';
}

static void obey_all(const char *text, xvm_heap_options *o)
{
    while (*text != '\0') {
        word w = {text, 0};

        while (text[w.size] != '\0' && !is_between(text[w.size]))
            w.size++;
        if (w.size != 0)
            obey(&w, o);
        text += w.size + (text[w.size] != '\0');
    }
}

/* getenv, for which it may be too early. A program with more rights than its user does not listen. */
static const char *find_wishes(void)
{
    static const char key[] = "XVM_MALLOC=";

    if (environ == NULL || getauxval(AT_SECURE) != 0)
        return "";
    for (char **at = environ; *at != NULL; at++)
        if (strncmp(*at, key, sizeof key - 1) == 0)
            return *at + sizeof key - 1;
    return "";
}

/* --- making ----------------------------------------------------------------------------------- */

/* Half of what addresses the process may have, the rest is for its stacks and files; 0: as many as
 * it likes. */
static size_t limited_size(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur / 2 < (size_t)64 << 30 ? (size_t)limit.rlim_cur / 2 : 0;
}

/* Of the size that is wished for, or as large as can be had. */
static xvm_heap *create(const xvm_heap_options *wish)
{
    xvm_heap_options o = *wish;
    xvm_heap *made = NULL;
    xvm_status status;

    if (wish->max_size == 0)
        o.max_size = limited_size();
    status = xvm_heap_create(&made, &o);
    if (wish->max_size != 0)
        return made;
    if (o.max_size == 0)
        o.max_size = 2 * (size_t)FIRST_GUESS;
    while (status != XVM_OK && (o.max_size /= 2) >= LEAST)
        status = xvm_heap_create(&made, &o);
    return made;
}

/* A wish that cannot be granted is no reason to have no memory at all. */
static xvm_heap *make(void)
{
    static const char name[] = "malloc";
    xvm_heap_options o = {.name = name}, plain = {.name = name};
    const char *wishes = find_wishes();
    xvm_heap *made;

    obey_all(wishes, &o);
    made = create(&o);
    if (made == NULL && (o.max_size != 0 || o.flags != 0)) {
        say("cannot do as XVM_MALLOC says: '", wishes, strlen(wishes));
        made = create(&plain);
    }
    return made;
}

xvm_heap *xvm_malloc_make_heap(void)
{
    static _Thread_local bool making __attribute__((tls_model("initial-exec")));
    static unsigned lock;
    int saved = errno;

    if (making)
        return NULL;
    making = true;
    while (__atomic_exchange_n(&lock, 1u, __ATOMIC_ACQUIRE) != 0)
        (void)sched_yield();
    if (xvm_malloc_heap == NULL)
        __atomic_store_n(&xvm_malloc_heap, make(), __ATOMIC_RELEASE);
    __atomic_store_n(&lock, 0u, __ATOMIC_RELEASE);
    making = false;
    errno = saved;
    return xvm_malloc_heap;
}

/* --- the process ------------------------------------------------------------------------------ */

/* Before the program has threads, and before others ask to be told of forks: what they do then may
 * allocate, so that they must come before the heap is locked and after it is open again. */
__attribute__((constructor)) static void begin(void)
{
    (void)the_heap();
}

__attribute__((destructor)) static void end(void)
{
    if (report_at_exit)
        xvm_malloc_report();
}

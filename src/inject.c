/* inject.c - failures on demand, and the trace: the one watch that backends ask before and tell
 * after each call.
 *
 *     xvm_os_watching --> at_start --> reads XVM_INJECT at the first call, then
 *                     --> watch    --> while there are rules or a trace
 *                     --> NULL     --> one load and one branch
 *
 *   1  Rules [0, rule_count) are valid; they are replaced all at once, under the lock.
 *   2  A rule counts the calls it matches; the first rule that fires decides the code.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "lock.h"
#include "os.h"
#include "xvm/testing.h"

enum { RULES = 16, NAME = 32 };

typedef enum when { EVERY, NTH, FROM_NTH, EACH_NTH, LARGER } when;

typedef struct rule {
    char what[NAME]; /* an operation, a call, or "*" */
    when when;
    uint64_t number; /* n, or bytes */
    int code;        /* 0 = the usual one */
    uint64_t seen;   /* calls that matched */
} rule;

static const char *const operation_names[XVM_OS_OPERATIONS] = {
    [XVM_OS_RESERVE] = "reserve",
    [XVM_OS_RELEASE] = "release",
    [XVM_OS_COMMIT] = "commit",
    [XVM_OS_DECOMMIT] = "decommit",
    [XVM_OS_DISCARD] = "discard",
    [XVM_OS_PROTECT] = "protect",
    [XVM_OS_LOCK] = "lock",
    [XVM_OS_UNLOCK] = "unlock",
    [XVM_OS_PREFAULT] = "prefault",
    [XVM_OS_GUARD] = "guard",
    [XVM_OS_ADVISE] = "advise",
    [XVM_OS_ATTACH] = "attach",
    [XVM_OS_BOOKKEEPING] = "bookkeeping",
    [XVM_OS_QUERY] = "query",
    [XVM_OS_MOVE] = "move",
    [XVM_OS_MAP] = "map",
    [XVM_OS_FILE] = "file",
    [XVM_OS_WATCH] = "watch",
};

static unsigned lock;
static rule rules[RULES];
static size_t rule_count, injected_count;
static xvm_trace trace;
static bool environment_is_read;

/* --- reading a script ------------------------------------------------------------------------- */

static bool is_separator(char c)
{
    return c == ',' || c == ' ';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' ||
           c == '_';
}

/* A decimal number at *at, which moves behind it; false when there is none or it is too large. */
static bool read_number(const char **at, uint64_t *number)
{
    const char *start = *at;

    for (*number = 0; **at >= '0' && **at <= '9'; ++*at) {
        if (*number > (UINT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(**at - '0');
    }
    return *at != start;
}

/* A number of bytes: with k, m, g or t behind it. */
static bool read_bytes(const char **at, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    const char *unit;
    unsigned shift = 0;

    if (!read_number(at, bytes))
        return false;
    unit = **at != '\0' ? strchr(units, **at) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        ++*at;
    }
    if (*bytes > UINT64_MAX >> shift)
        return false;
    *bytes <<= shift;
    return true;
}

static bool read_when(const char **at, rule *r)
{
    char sign = **at;

    if (sign != '@' && sign != '%' && sign != '>')
        return true; /* every one */
    ++*at;
    if (sign == '>') {
        r->when = LARGER;
        return read_bytes(at, &r->number);
    }
    r->when = sign == '@' ? NTH : EACH_NTH;
    if (!read_number(at, &r->number) || r->number == 0)
        return false;
    if (sign == '@' && **at == '+') {
        r->when = FROM_NTH;
        ++*at;
    }
    return true;
}

static bool read_code(const char **at, rule *r)
{
    uint64_t code;

    if (**at != '=')
        return true;
    ++*at;
    if (!read_number(at, &code) || code == 0 || code > INT32_MAX)
        return false;
    r->code = (int)code;
    return true;
}

static bool read_rule(const char **at, rule *r)
{
    size_t length = 0;

    *r = (rule){.when = EVERY};
    for (; is_name(**at); ++*at) {
        if (length + 1 == NAME)
            return false;
        r->what[length++] = **at;
    }
    return length != 0 && read_when(at, r) && read_code(at, r) &&
           (**at == '\0' || is_separator(**at));
}

static bool read_script(const char *at, rule *into, size_t *count)
{
    for (*count = 0;; ++*count) {
        while (is_separator(*at))
            at++;
        if (*at == '\0')
            return true;
        if (*count == RULES || !read_rule(&at, &into[*count]))
            return false;
    }
}

/* --- the watch -------------------------------------------------------------------------------- */

static bool matches(const rule *r, xvm_os_operation why, const char *call)
{
    return strcmp(r->what, "*") == 0 || strcmp(r->what, operation_names[why]) == 0 ||
           strcmp(r->what, call) == 0;
}

/* A call has matched: is it this rule's turn? */
static bool fires(rule *r, size_t size)
{
    r->seen++;
    switch (r->when) {
    case NTH:
        return r->seen == r->number;
    case FROM_NTH:
        return r->seen >= r->number;
    case EACH_NTH:
        return r->seen % r->number == 0;
    case LARGER:
        return size > r->number;
    default:
        return true;
    }
}

static int before_call(xvm_os_operation why, const char *call, size_t size, int usual_code)
{
    int code = 0;

    spin_lock(&lock);
    for (size_t i = 0; i < rule_count; i++)
        if (matches(&rules[i], why, call) && fires(&rules[i], size) && code == 0)
            code = rules[i].code != 0 ? rules[i].code : usual_code;
    injected_count += code != 0;
    spin_unlock(&lock);
    return code;
}

static void after_call(xvm_os_operation why, const char *call, const void *address, size_t size,
                       int code, int injected)
{
    xvm_trace look = LOAD_ACQUIRE(&trace);
    xvm_trace_call seen = {operation_names[why], call, address, size, code, injected};

    if (look != NULL)
        look(&seen);
}

static const xvm_os_watch watch = {before_call, after_call};

/* Under the lock: is there anything to watch for? */
static void choose_watch(void)
{
    bool looking = rule_count != 0 || LOAD(&trace) != NULL;

    STORE_RELEASE(&xvm_os_watching, looking ? &watch : NULL);
}

/* The rules of the environment hold unless a script was set before. An unreadable one is none. */
static void read_environment(void)
{
    const char *script = getenv("XVM_INJECT");

    spin_lock(&lock);
    if (!environment_is_read) {
        environment_is_read = true;
        if (script != NULL && !read_script(script, rules, &rule_count))
            rule_count = 0;
        choose_watch();
    }
    spin_unlock(&lock);
}

static int before_first_call(xvm_os_operation why, const char *call, size_t size, int usual_code)
{
    read_environment();
    return xvm_os_refused(why, call, size, usual_code);
}

static const xvm_os_watch at_start = {before_first_call, after_call};

const xvm_os_watch *xvm_os_watching = &at_start;

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_inject(const char *script)
{
    rule fresh[RULES];
    size_t count = 0;

    if (!read_script(script != NULL ? script : "", fresh, &count))
        return xvm_os_fail_with(XVM_E_INVALID);
    spin_lock(&lock);
    environment_is_read = true;
    memcpy(rules, fresh, count * sizeof *rules);
    rule_count = count;
    injected_count = 0;
    choose_watch();
    spin_unlock(&lock);
    return XVM_OK;
}

size_t xvm_injected(void)
{
    size_t count;

    spin_lock(&lock);
    count = injected_count;
    spin_unlock(&lock);
    return count;
}

/* The environment is read first, so that setting a trace does not end its rules. */
void xvm_set_trace(xvm_trace fn)
{
    read_environment();
    spin_lock(&lock);
    STORE_RELEASE(&trace, fn);
    choose_watch();
    spin_unlock(&lock);
}

/* status.c - names and texts of the statuses, and each thread's last failure. */
#include "failure.h"

const char *xvm_status_name(xvm_status status)
{
    switch (status) {
#define NAME(name, value, text)                                                                    \
    case name:                                                                                     \
        return #name;
        XVM_STATUS_MAP(NAME)
#undef NAME
    }
    return "XVM_E_UNKNOWN";
}

const char *xvm_status_text(xvm_status status)
{
    switch (status) {
#define TEXT(name, value, text)                                                                    \
    case name:                                                                                     \
        return text;
        XVM_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "That is no status of xvm.";
}

xvm_status xvm_last_status(void)
{
    return xvm_os_thread_failure()->status;
}

int xvm_system_error(void)
{
    return xvm_os_thread_failure()->code;
}

static void set_cause(xvm_os_failure *last, xvm_os_cause cause)
{
    last->cause = cause;
    last->limit = last->used = UINT64_MAX;
}

static xvm_os_cause own_cause(xvm_status status)
{
    return status == XVM_E_ADDRESS_SPACE ? XVM_OS_CAUSE_CAPACITY : XVM_OS_CAUSE_UNKNOWN;
}

xvm_status xvm_os_fail_at(const xvm_os_site *site, xvm_os_answer answer)
{
    xvm_os_failure *last;

    if (answer.status == XVM_OK)
        return XVM_OK;
    last = xvm_os_thread_failure();
    last->status = answer.status;
    last->code = answer.code;
    last->call = site->call;
    last->operation = site->operation;
    last->region = site->name;
    last->size = site->size;
    last->address = site->address;
    if (site->cause != XVM_OS_CAUSE_UNKNOWN)
        set_cause(last, site->cause);
    else if (site->own)
        set_cause(last, own_cause(answer.status));
    else if (answer.status != XVM_E_BUDGET)
        xvm_os_find_cause(last);
    return answer.status;
}

xvm_status xvm_os_fail(xvm_os_answer answer)
{
    static const xvm_os_site nowhere;

    return xvm_os_fail_at(&nowhere, answer);
}

xvm_status xvm_os_fail_with(xvm_status status)
{
    return xvm_os_fail((xvm_os_answer){status, 0});
}

void xvm_os_note_budget(xvm_os_cause cause, const char *budget, uint64_t limit, uint64_t used)
{
    xvm_os_failure *last = xvm_os_thread_failure();

    last->cause = cause;
    last->budget = budget;
    last->limit = limit;
    last->used = used;
}

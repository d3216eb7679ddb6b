/* support.c - what a test can see of the fake: everything, without faulting. */
#include "harness.h"
#include "os_fake.h"
#include "xvm/region.h"

bool faults_on_read(const volatile void *address)
{
    fake_page page = fake_page_at((const void *)(uintptr_t)address);

    return page.state != FAKE_COMMITTED || page.guard || page.protection == XVM_NO_ACCESS;
}

bool faults_on_write(volatile void *address)
{
    fake_page page = fake_page_at((const void *)(uintptr_t)address);

    return page.state != FAKE_COMMITTED || page.guard ||
           (page.protection != XVM_READ_WRITE && page.protection != XVM_READ_WRITE_EXECUTE);
}

/* The fake has one thread: one after the other. */
void run_threads(int count, void (*work)(void *context, int index), void *context)
{
    for (int i = 0; i < count; i++) {
        fake_end_thread();
        work(context, i);
    }
    fake_end_thread();
}

int run_elsewhere(const char *name, const char *argument)
{
    return test_run(name, argument);
}

unsigned process_number(void)
{
    return 1;
}

void remove_file(const char *path)
{
    (void)remove(path);
}

static int last_error;

void set_last_error(int code)
{
    last_error = code;
}

int get_last_error(void)
{
    return last_error;
}

static unsigned char truth_of(fake_page page)
{
    static const unsigned char truths[] = {
        [XVM_NO_ACCESS] = TRUTH_NONE,
        [XVM_READ] = TRUTH_READ,
        [XVM_READ_WRITE] = TRUTH_READ | TRUTH_WRITE,
        [XVM_READ_EXECUTE] = TRUTH_READ | TRUTH_EXECUTE,
        [XVM_READ_WRITE_EXECUTE] = TRUTH_READ | TRUTH_WRITE | TRUTH_EXECUTE,
    };

    if (page.state == FAKE_COMMITTED)
        return truths[page.protection];
    return page.state == FAKE_RESERVED ? TRUTH_NONE : TRUTH_FREE;
}

void look_at_pages(const void *base, size_t pages, size_t page_size, unsigned char *truth)
{
    for (size_t i = 0; i < pages; i++)
        truth[i] = truth_of(fake_page_at((const unsigned char *)base + i * page_size));
}

void look_at_process(holdings *out)
{
    *out = (holdings){0};
    fake_totals(&out->mappings, &out->addresses, &out->charge, &out->locked);
}

size_t resident_memory(void)
{
    holdings now;

    look_at_process(&now);
    return now.charge;
}

size_t locked_memory(void)
{
    holdings now;

    look_at_process(&now);
    return now.locked;
}

void pretend_page_size(size_t page, size_t granularity)
{
    fake_page_size = page;
    fake_granularity = granularity;
}

bool memory_is_fake(void)
{
    return true;
}

int shown_truth(void)
{
    return ~0;
}

bool residency_is_known(void)
{
    return false; /* all committed memory of the fake is resident */
}

bool memory_is_emulated(void)
{
    return true;
}

bool zeroing_goes_on_after_faults(void)
{
    return true;
}

bool has_no_light_guards(void)
{
    fake_light_guards = false;
    return true;
}

void sleep_for(unsigned milliseconds)
{
    fake_slept += milliseconds;
}

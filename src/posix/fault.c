/* fault.c - writes that the protection of a page refuses, by SIGSEGV and SIGBUS.
 *
 * The handler is chained: what is none of ours goes to the one before, with its mask, or to the default
 * action, which then finds the program at the instruction that faults. It stays for good: who came after it may
 * call it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "call.h"
#include "lock.h"

static struct sigaction before[2]; /* of SIGSEGV, of SIGBUS */
static int (*handler)(const void *address);

/* --- what has faulted ------------------------------------------------------------------------- */

/* Not a read, and not an instruction that may not be executed, which would be tried again for ever. Some
 * processors do not say. */
IN_A_FAULT static bool is_write(const siginfo_t *info, const void *context)
{
#if defined(__linux__) && (defined(__x86_64__) || defined(__i386__))
    (void)info;
    return (((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__linux__) && defined(__aarch64__)
    return (uintptr_t)info->si_addr != ((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)info;
    (void)context;
    return true;
#endif
}

/* --- what is none of ours --------------------------------------------------------------------- */

static const struct sigaction *action_before(int number)
{
    return &before[number == SIGSEGV ? 0 : 1];
}

/* With the default action the fault repeats itself and ends the program there; a signal that somebody has sent
 * does not. */
static void take_default(int number, const siginfo_t *info)
{
    struct sigaction usual;

    memset(&usual, 0, sizeof usual);
    usual.sa_handler = SIG_DFL;
    (void)sigaction(number, &usual, NULL);
    if (info->si_code <= 0)
        (void)raise(number);
}

static void call_before(const struct sigaction *action, int number, siginfo_t *info, void *context)
{
    sigset_t mask = action->sa_mask, saved;

    if ((action->sa_flags & SA_NODEFER) == 0)
        (void)sigaddset(&mask, number);
    (void)sigprocmask(SIG_BLOCK, &mask, &saved);
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, info, context);
    else
        action->sa_handler(number);
    (void)sigprocmask(SIG_SETMASK, &saved, NULL);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *action = action_before(number);
    bool is_plain = (action->sa_flags & SA_SIGINFO) == 0;

    if (is_plain && action->sa_handler == SIG_IGN && info->si_code <= 0)
        return; /* a fault cannot be ignored */
    if (is_plain && (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN))
        take_default(number, info);
    else
        call_before(action, number, info, context);
}

IN_A_FAULT static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    bool handled =
        info->si_code > 0 && is_write(info, context) && LOAD_ACQUIRE(&handler)(info->si_addr) != 0;

    errno = saved;
    if (!handled)
        pass_on(number, info, context);
}

/* --- the interface ---------------------------------------------------------------------------- */

static int install(int number, struct sigaction *old)
{
    struct sigaction ours;
    int code;

    if (is_refused(XVM_OS_WATCH, "sigaction", NULL, 0, &code))
        return code;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    (void)sigemptyset(&ours.sa_mask);
    code = sigaction(number, NULL, old); /* known before the first fault may want it */
    if (code == 0)
        code = sigaction(number, &ours, old);
    return told(XVM_OS_WATCH, "sigaction", NULL, 0, code == 0 ? 0 : errno);
}

static int install_all(void)
{
    int code = install(SIGSEGV, &before[0]);

    if (code == 0) {
        code = install(SIGBUS, &before[1]);
        if (code != 0)
            (void)sigaction(SIGSEGV, &before[0], NULL);
    }
    return code;
}

xvm_os_answer xvm_os_catch_writes(int (*handle)(const void *address))
{
    static unsigned busy, ready;
    int saved = errno, code = 0;

    for (unsigned round = 0; SWAP_ACQUIRE(&busy, 1u) != 0; round++)
        xvm_os_pause(round);
    STORE_RELEASE(&handler, handle);
    if (!ready)
        code = install_all();
    ready = code == 0;
    STORE_RELEASE(&busy, 0u);
    if (code == 0)
        errno = saved;
    return answered(XVM_OS_WATCH, code);
}

IN_A_FAULT int xvm_os_open_faulted(void *address, size_t size, xvm_protection protection)
{
    int access = PROT_READ | PROT_WRITE;

    if (protection == XVM_READ_WRITE_EXECUTE)
        access |= PROT_EXEC;
    if (LOAD(&xvm_os_watching) != NULL)
        return xvm_os_mprotect(XVM_OS_WATCH, address, size, access) == 0;
    return mprotect(address, size, access) == 0;
}

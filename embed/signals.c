/* signals.c: which signals a zygote and its workers react to, and how. */
#include "gowsgi.h"

#include <signal.h>
#include <string.h>

/* Signals meant for the front. A service manager or a careless pkill sends
 * them to the whole process group; here they must not end anything. A handler
 * that does nothing is used, not SIG_IGN: programs that the application
 * starts would inherit an ignored signal, a handler they do not. */
static const int for_the_front[] = {
    SIGHUP, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH,
};

static void
leave_it_to_the_front(int Py_UNUSED(number))
{
}

static void
dispose(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL); /* SIGKILL, SIGSTOP: refused, fine */
}

/*
 * gw_signals_host: the dispositions of an ordinary CPython process.
 *
 * GIL      not needed
 * Called once, in the zygote before CPython starts, so that its signal module
 * sees them. Workers inherit them together with what was installed since: by
 * PYTHONFAULTHANDLER, by a preloaded application. SIGPIPE and SIGXFSZ are
 * ignored as CPython does; SIGINT is left to CPython's own default handler.
 * The Go runtime's handlers are gone after this, and its alternate stack with
 * them; what Go still does in the zygote needs neither.
 */
void
gw_signals_host(void)
{
    size_t count = sizeof(for_the_front) / sizeof(for_the_front[0]);
    stack_t off = {.ss_flags = SS_DISABLE};

    for (int number = 1; number < NSIG; number++)
        dispose(number, SIG_DFL);
    for (size_t i = 0; i < count; i++)
        dispose(for_the_front[i], leave_it_to_the_front);
    gw_stacks_await();
    dispose(SIGPIPE, SIG_IGN);
    dispose(SIGXFSZ, SIG_IGN);
    sigaltstack(&off, NULL);
    gw_signals_unblock();
}

/* gw_signals_unblock: let every signal through. GIL: not needed. */
void
gw_signals_unblock(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * gw_signals_forked: a process forked by the application is no part of the
 * pool: what is left to the front in a worker ends it, as in any process.
 * multiprocessing's terminate() relies on SIGTERM doing so.
 *
 * GIL      not needed
 * Signals the application has a handler for are left alone.
 */
void
gw_signals_forked(void)
{
    size_t count = sizeof(for_the_front) / sizeof(for_the_front[0]);
    struct sigaction now;

    for (size_t i = 0; i < count; i++) {
        if (sigaction(for_the_front[i], NULL, &now) == 0 &&
            now.sa_handler == leave_it_to_the_front)
            dispose(for_the_front[i], SIG_DFL);
    }
    gw_stacks_forget();
}

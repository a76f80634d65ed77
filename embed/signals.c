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
 * Called in the zygote before CPython starts, so that its signal module sees
 * them, and again by each worker. SIGPIPE and SIGXFSZ are ignored as CPython
 * does; SIGINT is left to CPython's own default handler. The Go runtime's
 * handlers are gone after this: nothing in Go runs in the zygote afterwards
 * but its blocked main goroutine.
 */
void
gw_signals_host(void)
{
    size_t count = sizeof(for_the_front) / sizeof(for_the_front[0]);
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        dispose(number, SIG_DFL);
    for (size_t i = 0; i < count; i++)
        dispose(for_the_front[i], leave_it_to_the_front);
    dispose(SIGPIPE, SIG_IGN);
    dispose(SIGXFSZ, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

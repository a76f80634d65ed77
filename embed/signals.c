/* signals.c: which signals a zygote and its workers react to, and how. */
#include "gowsgi.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Signals meant for the front. A service manager or a careless pkill sends
 * them to the whole process group; here they must not end anything. A handler
 * is used, not SIG_IGN: programs that the application starts would inherit an
 * ignored signal, a handler they do not. */
static const int for_the_front[] = {
    SIGHUP, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH,
};

static void leave_it_to_the_front(int number);

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

/* The process that is a zygote or a worker. */
static pid_t host;

/*
 * The handler. A child of the host has it, too, for a moment: until
 * gw_signals_forked, or until exec where CPython does not say that it forks
 * (the programs subprocess and multiprocessing start). In a child it does what
 * SIG_DFL does, or terminate() right after start() would come to nothing.
 * Blocked while it runs, the signal arrives once more when it returns.
 */
static void
leave_it_to_the_front(int number)
{
    int saved = errno;

    if (getpid() != host) {
        dispose(number, SIG_DFL);
        kill(getpid(), number);
    }
    errno = saved;
}

/*
 * gw_signals_own: this process is the one to leave its signals to the front.
 * In a worker: while signals are still blocked. GIL: not needed.
 */
void
gw_signals_own(void)
{
    host = getpid();
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

    gw_signals_own();
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

/*
 * Let Python see SIG_DFL for one signal, as in any process of its own, where
 * our handler is and stays. It cannot know that handler, would show None, and
 * what an application saves as None it cannot put back. Returns 0, or -1.
 */
static int
show_default(PyObject *module, PyObject *standard, int number)
{
    struct sigaction now;
    PyObject *old;

    if (sigaction(number, NULL, &now) < 0 ||
        now.sa_handler != leave_it_to_the_front)
        return 0; /* a site module has put its own there */
    old = PyObject_CallMethod(module, "signal", "iO", number, standard);
    dispose(number, leave_it_to_the_front);
    if (old == NULL)
        return -1;
    Py_DECREF(old);
    return 0;
}

/*
 * gw_signals_shown: tell Python's signal module what it is to make of the
 * signals that are left to the front.
 *
 * GIL      held, by the main thread, CPython just having been started
 * returns  0, or -1 with an exception set
 */
int
gw_signals_shown(void)
{
    size_t count = sizeof(for_the_front) / sizeof(for_the_front[0]);
    PyObject *module = PyImport_ImportModule("_signal");
    PyObject *standard = NULL;
    int ok = module != NULL;

    if (ok)
        standard = PyObject_GetAttrString(module, "SIG_DFL");
    ok = standard != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = show_default(module, standard, for_the_front[i]) == 0;
    Py_XDECREF(standard);
    Py_XDECREF(module);
    return ok ? 0 : -1;
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

/*
 * stacks.c: the stacks of all Python threads, on a signal, whatever they do.
 *
 * CPython's faulthandler can write them without the GIL; host.py registers it
 * for GW_STACKS_SIGNAL. What is here puts a line before them that says whose
 * they are and why. Nothing here needs the GIL or touches a Python object.
 */
#include "gowsgi.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control.h"

/* faulthandler's handler; NULL until host.py has registered it. */
static void (*dump)(int);

/* "gowsgi: worker 3 (pid 17): the stacks of all Python threads"; made ahead,
 * because a signal handler may not format. */
static char whose[96];
static size_t whose_length;

static const char *
reason(const siginfo_t *info)
{
    switch (info->si_code == SI_QUEUE ? info->si_value.sival_int
                                      : GW_WHY_ASKED) {
    case GW_WHY_REQUEST:
        return ", because a request has run out of time:\n";
    case GW_WHY_START:
        return ", because its start takes too long:\n";
    case GW_WHY_LEAVE:
        return ", because its end takes too long:\n";
    default:
        return ", as asked by signal:\n";
    }
}

static void
write_stacks(int number, siginfo_t *info, void *Py_UNUSED(context))
{
    const char *why = reason(info);
    struct iovec line[2] = {{whose, whose_length}, {(void *)why, strlen(why)}};
    int error = errno;

    if (dump == NULL)
        return; /* CPython is not up: there are no stacks yet */
    if (writev(STDERR_FILENO, line, 2) >= 0)
        dump(number);
    errno = error;
}

/* Take the signal; whoever has it now is replaced. */
static void
listen(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = write_stacks;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(GW_STACKS_SIGNAL, &action, NULL);
}

/* gw_stacks_await: the signal does no harm from here on. Before CPython
 * starts. */
void
gw_stacks_await(void)
{
    listen();
}

/*
 * gw_stacks_ready: faulthandler has been registered for the signal; put the
 * line before what it writes. Workers inherit it from the zygote.
 */
void
gw_stacks_ready(void)
{
    struct sigaction theirs;

    if (sigaction(GW_STACKS_SIGNAL, NULL, &theirs) < 0 ||
        (theirs.sa_flags & SA_SIGINFO))
        return;
    dump = theirs.sa_handler;
    listen();
}

/* gw_stacks_name: who this process is: "zygote", "worker 3". */
void
gw_stacks_name(const char *who)
{
    int n = snprintf(whose, sizeof(whose),
                     "gowsgi: %s (pid %ld): the stacks of all Python threads",
                     who, (long)getpid());

    whose_length =
        n < 0 ? 0 : (n < (int)sizeof(whose) ? (size_t)n : sizeof(whose) - 1);
}

/* gw_stacks_forget: in a process the application forked, the signal is any
 * process's own again, unless the application has a handler for it. */
void
gw_stacks_forget(void)
{
    struct sigaction now;

    if (sigaction(GW_STACKS_SIGNAL, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == write_stacks)
        signal(GW_STACKS_SIGNAL, SIG_DFL);
}

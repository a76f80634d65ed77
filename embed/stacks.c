/*
 * stacks.c: the stacks of all Python threads, on a signal, whatever they do.
 *
 * CPython's faulthandler can write them without the GIL; host.py registers it
 * for GW_STACKS_SIGNAL. What is here puts a line before them that says whose
 * they are and why, and keeps the worker safe. Nothing here needs the GIL or
 * touches a Python object.
 *
 * Reading the frames of threads that run meanwhile crashes now and then. So a
 * copy of the process reads them, in which nothing runs: if that was taken in
 * a bad moment it crashes alone, and another one is taken a bit later. Not
 * from the same call of the handler: the thread that it interrupts may be the
 * one with the half-made frame, and it has to go on first.
 */
#include "gowsgi.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define ATTEMPTS 7             /* copies taken before giving up */
#define FIRST_PAUSE_NS 1000000 /* before the second; doubled for each */
#define COPY_SECONDS 10u /* a copy that takes longer is caught in nonsense */

/* faulthandler's handler; NULL until host.py has registered it. */
static void (*dump)(int);

/* "gowsgi: worker 3 (pid 17): the stacks of all Python threads"; made ahead,
 * because a signal handler may not format. */
static char whose[96];
static size_t whose_length;

/* The dump that is under way: copies that failed, why it was asked for, and
 * the timer that sends the signal again, in the process `timer_owner`. */
static volatile sig_atomic_t failures;
static volatile sig_atomic_t asked_why;
static int timer;
static pid_t timer_owner;

static const char *
reason(int why)
{
    switch (why) {
    case GW_WHY_REQUEST:
        return ", because a request has run out of time:\n";
    case GW_WHY_START:
        return ", because its start takes too long:\n";
    case GW_WHY_LEAVE:
        return ", because its end takes too long:\n";
    case GW_WHY_AFTER:
        return ", because after_response has run out of time:\n";
    default:
        return ", as asked by signal:\n";
    }
}

/* In the copy: write the stacks and end; if it goes wrong, end silently. */
static _Noreturn void
dump_and_exit(int number)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT,
                                 SIGILL,  SIGFPE, SIGALRM};
    sigset_t none;

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        signal(deadly[i], SIG_DFL);
    sigemptyset(&none); /* the application may block SIGALRM */
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core file */
    alarm(COPY_SECONDS);
    dump(number);
    _exit(0);
}

/*
 * Take a copy of this process and let it write the stacks. Without a signal at
 * its end (clone(2)), so that the application never hears of it. Returns 1
 * when it succeeded, 0 when it was taken in a bad moment, -1 when the kernel
 * has no room for it.
 */
static int
dump_from_copy(int number)
{
    /* fork() would take locks that the interrupted code may hold */
    pid_t copy = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0), got;
    int status;

    if (copy == 0)
        dump_and_exit(number);
    if (copy < 0)
        return -1;
    do
        got = waitpid(copy, &status, __WALL);
    while (got < 0 && errno == EINTR);
    return got == copy && WIFEXITED(status);
}

static void
say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody is left to tell */
}

/* Have the signal sent again after a pause. Raw system calls: the library's
 * timers are not for signal handlers. Returns -1 when the kernel refuses. */
static int
ask_again(void)
{
    struct sigevent event;
    struct itimerspec once;

    if (timer_owner != getpid()) {
        memset(&event, 0, sizeof(event));
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = GW_STACKS_SIGNAL;
        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
            return -1;
        timer_owner = getpid();
    }
    memset(&once, 0, sizeof(once));
    once.it_value.tv_nsec = (long)FIRST_PAUSE_NS << failures;
    return (int)syscall(SYS_timer_settime, timer, 0, &once, NULL);
}

/* Write the stacks; if that fails, later once more. */
static void
dump_safely(int number)
{
    int done = dump_from_copy(number);

    if (done > 0)
        return;
    if (done < 0) {
        say("gowsgi: no room for a process that could write them\n");
        return;
    }
    say("gowsgi: they could not be read to the end\n");
    if (++failures < ATTEMPTS && ask_again() < 0)
        say("gowsgi: no timer to try again\n");
}

static void
write_stacks(int number, siginfo_t *info, void *Py_UNUSED(context))
{
    int error = errno;

    if (info->si_code != SI_TIMER) { /* not our own: a dump begins */
        failures = 0;
        asked_why = info->si_code == SI_QUEUE ? info->si_value.sival_int
                                              : GW_WHY_ASKED;
    }
    /* without a handler CPython is not up: there are no stacks yet */
    if (dump != NULL) {
        const char *why = reason(asked_why);
        struct iovec line[2] = {{whose, whose_length},
                                {(void *)why, strlen(why)}};
        if (writev(STDERR_FILENO, line, 2) >= 0)
            dump_safely(number);
    }
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

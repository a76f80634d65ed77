/*
 * zygote.c: the loop that forks workers on command and reaps them.
 *
 * The control socket is a SOCK_SEQPACKET pair to the front: one message, one
 * struct. The same structs are drawn in embed/control.go.
 */
#include "gowsgi.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"

/* A forked worker, until it is reaped. */
struct child {
    uint32_t id;
    pid_t pid;
    int pidfd;
};

/* Children by position; poll looks at control first, then at each pidfd. */
static struct child *children;
static struct pollfd *polled;
static size_t child_count, child_room;

static int
children_reserve(void)
{
    size_t more = child_room == 0 ? 16 : child_room * 2;
    void *grown;

    if (child_count < child_room)
        return 0;
    grown = PyMem_RawRealloc(children, more * sizeof(*children));
    if (grown == NULL)
        return -1;
    children = grown;
    grown = PyMem_RawRealloc(polled, (more + 1) * sizeof(*polled));
    if (grown == NULL)
        return -1;
    polled = grown;
    child_room = more;
    return 0;
}

/* Tell the front. It being gone is found out by the next receive. */
static void
report(int control, struct gw_report *message)
{
    while (send(control, message, sizeof(*message), MSG_NOSIGNAL) < 0 &&
           errno == EINTR)
        continue;
}

static void
report_fork_failure(int control, uint32_t id, int error)
{
    struct gw_report message = {
        .kind = GW_FORK_FAILED, .worker = id, .status = error};

    report(control, &message);
}

static void
close_all(const int *fds)
{
    for (size_t i = 0; i < GW_ORDER_FDS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* In the child: nothing of the zygote's own, its control among it, or of its
 * other children. */
static void
forget_siblings(void)
{
    gw_descriptors_drop();
    for (size_t i = 0; i < child_count; i++)
        close(children[i].pidfd);
}

/*
 * Fork one worker. GIL: held (PyOS_BeforeFork wants it). Signals stay blocked
 * from before the fork until the child has its own dispositions.
 */
static void
fork_worker(int control, const struct gw_order *order, const int *fds)
{
    struct gw_report message = {.kind = GW_FORKED, .worker = order->worker};
    pid_t zygote = getpid(), pid;
    sigset_t all, before;
    int pidfd, error;

    if (children_reserve() < 0) {
        report_fork_failure(control, order->worker, ENOMEM);
        return;
    }
    for (size_t i = 0; i < GW_ORDER_FDS; i++) {
        if (fds[i] < 0) { /* this process cannot have more descriptors */
            report_fork_failure(control, order->worker, EMFILE);
            return;
        }
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    PyOS_BeforeFork();
    pid = fork();
    error = errno;
    if (pid == 0) {
        forget_siblings();
        gw_worker_main(order->worker, zygote, fds);
    }
    PyOS_AfterFork_Parent();
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        report_fork_failure(control, order->worker, error);
        return;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        error = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        report_fork_failure(control, order->worker, error);
        return;
    }
    children[child_count++] =
        (struct child){.id = order->worker, .pid = pid, .pidfd = pidfd};
    message.pid = pid;
    report(control, &message);
}

/* Ask for stacks, with the reason as the signal's value; without one where
 * the kernel has no room left for values (RLIMIT_SIGPENDING). */
static void
ask_for_stacks(int pidfd, int32_t why)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_signo = GW_STACKS_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = why;
    if (syscall(SYS_pidfd_send_signal, pidfd, GW_STACKS_SIGNAL, &info, 0) < 0)
        syscall(SYS_pidfd_send_signal, pidfd, GW_STACKS_SIGNAL, NULL, 0);
}

static void
signal_worker(const struct gw_order *order)
{
    for (size_t i = 0; i < child_count; i++) {
        if (children[i].id != order->worker)
            continue;
        if (order->signal == GW_STACKS_SIGNAL)
            ask_for_stacks(children[i].pidfd, order->why);
        else
            syscall(SYS_pidfd_send_signal, children[i].pidfd, order->signal,
                    NULL, 0);
    }
}

/*
 * Reap child `i`, which has ended, and tell the front how. A preloaded
 * application that ignores SIGCHLD or waits for any child leaves nothing to
 * reap: the child is gone all the same, with a status nobody knows.
 */
static void
reap(int control, size_t i)
{
    struct gw_report message = {
        .kind = GW_EXITED, .worker = children[i].id, .pid = children[i].pid};
    struct rusage usage;
    int status = 0;
    pid_t got;

    memset(&usage, 0, sizeof(usage));
    got = wait4(children[i].pid, &status, WNOHANG, &usage);
    if (got == 0 || (got < 0 && errno != ECHILD))
        return;
    if (WIFSIGNALED(status))
        message.signal = WTERMSIG(status);
    else
        message.status = WEXITSTATUS(status);
    message.max_rss_kib = (uint64_t)usage.ru_maxrss;
    close(children[i].pidfd);
    children[i] = children[--child_count];
    report(control, &message);
}

/*
 * Receive one order and its descriptors. Returns 1; 0 when the front is gone;
 * -1 to be tried again.
 */
static int
receive(int control, struct gw_order *order, int *fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * GW_ORDER_FDS)];
    } ancillary;
    struct iovec part = {.iov_base = order, .iov_len = sizeof(*order)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &ancillary,
                             .msg_controllen = sizeof(ancillary)};
    ssize_t n = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;

    for (size_t i = 0; i < GW_ORDER_FDS; i++)
        fds[i] = -1;
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? -1 : 0;
    if (n == 0)
        return 0;
    c = CMSG_FIRSTHDR(&message);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (n == (ssize_t)sizeof(*order))
        return 1;
    close_all(fds);
    return -1;
}

/* GIL: held. Returns 0 to go on, 1 when the front is gone. */
static int
obey(int control)
{
    struct gw_order order;
    int fds[GW_ORDER_FDS];
    int got = receive(control, &order, fds);

    if (got <= 0)
        return got == 0;
    if (order.kind == GW_FORK)
        fork_worker(control, &order, fds);
    else if (order.kind == GW_SIGNAL)
        signal_worker(&order);
    close_all(fds);
    return 0;
}

/* Sleep until there is an order or a child has ended. */
static void
wait_for_news(int control)
{
    polled[0] = (struct pollfd){.fd = control, .events = POLLIN};
    for (size_t i = 0; i < child_count; i++)
        polled[i + 1] =
            (struct pollfd){.fd = children[i].pidfd, .events = POLLIN};
    Py_BEGIN_ALLOW_THREADS
    if (poll(polled, child_count + 1, -1) < 0)
        polled[0].revents = 0;
    Py_END_ALLOW_THREADS
}

/*
 * gw_zygote_loop: tell the front that CPython runs, then obey it until it is
 * gone.
 *
 * GIL      held; released while there is nothing to do, so that threads an
 *          application started while it was preloaded go on
 * control  the zygote's end of the control socket; borrowed
 * returns  0 when the front has closed its end; -1 when there is no memory
 *          to start with. Workers end with this process (PR_SET_PDEATHSIG).
 */
int
gw_zygote_loop(int control)
{
    struct gw_report booted = {.kind = GW_BOOTED, .pid = getpid()};

    if (children_reserve() < 0)
        return -1;
    report(control, &booted);
    for (;;) {
        wait_for_news(control);
        /* backwards: reaping moves the last child into the gap */
        for (size_t i = child_count; i > 0; i--) {
            if (polled[i].revents != 0)
                reap(control, i - 1);
        }
        if (polled[0].revents != 0 && obey(control))
            return 0;
    }
}

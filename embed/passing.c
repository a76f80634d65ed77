/*
 * passing.c: descriptors that the front passes to a worker that runs.
 *
 * A thread asks for what it needs and waits for the answer, which the front
 * gives at once. One thread at a time does, so each answer is for who waits.
 * Nothing here needs the GIL or touches a Python object.
 */
#include "gowsgi.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

/* Send the question. Returns 0, or -1 with errno. */
static int
ask(const struct gw_passing *question)
{
    ssize_t n;

    do
        n = send(gw_worker.passing, question, sizeof(*question), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Wait for the answer. Returns a descriptor, or -1 with errno. */
static int
receive(void)
{
    struct gw_passing answer;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct iovec part = {.iov_base = &answer, .iov_len = sizeof(answer)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &ancillary,
                             .msg_controllen = sizeof(ancillary)};
    ssize_t n;
    struct cmsghdr *c;
    int fd = -1;

    do
        n = recvmsg(gw_worker.passing, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;
    c = CMSG_FIRSTHDR(&message);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (fd < 0)
        errno = ECONNRESET;
    return fd;
}

/*
 * gw_reply_file_pass: have the front send a file as the body of a response.
 *
 * GIL      not needed, and never waited with
 * fd       borrowed: the front gets a descriptor of its own
 * returns  0; -1 with errno when it cannot be passed now
 */
int
gw_reply_file_pass(uint32_t slot, uint32_t ticket, int fd)
{
    struct gw_passing passing = {GW_REPLY_FILE, slot, ticket};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct iovec part = {.iov_base = &passing, .iov_len = sizeof(passing)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &ancillary,
                             .msg_controllen = sizeof(ancillary)};
    struct cmsghdr *c;
    ssize_t n;

    memset(&ancillary, 0, sizeof(ancillary));
    c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    do
        n = sendmsg(gw_worker.passing, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/*
 * gw_body_file_ask: the file that holds the body of a request.
 *
 * GIL      released by the caller
 * returns  a descriptor, the caller's to close; -1 with errno: ECONNRESET
 *          when the front has none for this ticket any more
 */
int
gw_body_file_ask(uint32_t slot, uint32_t ticket)
{
    struct gw_passing question = {GW_ASK_BODY, slot, ticket};
    int fd = -1, error;

    pthread_mutex_lock(&asking);
    if (ask(&question) == 0)
        fd = receive();
    error = errno;
    pthread_mutex_unlock(&asking);
    errno = error;
    return fd;
}

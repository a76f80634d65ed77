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

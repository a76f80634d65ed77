/* descriptors.c: what is the zygote's own among the open descriptors. */
#include "gowsgi.h"

#include <fcntl.h>
#include <unistd.h>

/* Before CPython starts there are a handful, and the lowest numbers are given
 * out first: control socket, epoll and eventfd of the Go runtime. */
#define FIRST 3
#define MOST 64

static char own[MOST];

/*
 * gw_descriptors_mark: what is open now, standard streams apart, is the
 * zygote's. Before CPython starts: what is opened later belongs to the
 * application, and workers inherit it as from any preloading server.
 *
 * GIL      not needed
 */
void
gw_descriptors_mark(void)
{
    for (int fd = FIRST; fd < MOST; fd++)
        own[fd] = fcntl(fd, F_GETFD) >= 0;
}

/*
 * gw_descriptors_drop: close them, in a process that is not the zygote. A
 * second call does nothing: the numbers may be others' by then.
 *
 * GIL      not needed
 */
void
gw_descriptors_drop(void)
{
    for (int fd = FIRST; fd < MOST; fd++) {
        if (own[fd])
            close(fd);
        own[fd] = 0;
    }
}

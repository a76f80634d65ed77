/*
 * control.h: messages on the control socket, one struct each. Drawn in Go in
 * embed/channel/control.go; a test in embed compares the two.
 */
#ifndef GOWSGI_CONTROL_H
#define GOWSGI_CONTROL_H

#include <stdint.h>

/* Descriptors that come with GW_FORK: segment, bell, standard error, and the
 * socket for struct gw_passing. */
#define GW_ORDER_FDS 4

enum gw_order_kind { GW_FORK = 1, GW_SIGNAL = 2 };

/*
 * The signal that makes a worker, or the zygote, write the stacks of all its
 * Python threads to standard error: SIGRTMAX - 6. A realtime signal, because
 * every other has a meaning that an application may want; and from the middle
 * of the upper half, because programs that use some count from SIGRTMIN up
 * while debuggers and the like take the last ones.
 */
#define GW_STACKS_SIGNAL 58

/* Why stacks are asked for; travels as the signal's value. */
enum gw_why {
    GW_WHY_ASKED = 0,   /* also when the signal is sent by hand */
    GW_WHY_REQUEST = 1, /* a request has run out of time */
    GW_WHY_START = 2,   /* the start takes too long */
    GW_WHY_LEAVE = 3,   /* the end takes too long */
    GW_WHY_AFTER = 4,   /* after_response has run out of time */
};

struct gw_order {
    uint32_t kind; /* enum gw_order_kind */
    uint32_t worker;
    int32_t signal; /* for GW_SIGNAL */
    int32_t why;    /* enum gw_why, with GW_STACKS_SIGNAL */
};

enum gw_report_kind {
    GW_BOOTED = 1, /* CPython runs and, with preload, the application is in */
    GW_FORKED = 2,
    GW_FORK_FAILED = 3, /* status: errno */
    GW_EXITED = 4,      /* status or signal, max_rss_kib */
};

struct gw_report {
    uint32_t kind; /* enum gw_report_kind */
    uint32_t worker;
    int32_t pid;
    int32_t status;
    int32_t signal;
    uint32_t reserved;
    uint64_t max_rss_kib;
};

#endif

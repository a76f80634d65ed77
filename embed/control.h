/*
 * control.h: messages on the control socket, one struct each. Drawn in Go in
 * embed/channel/control.go; a test in embed compares the two.
 */
#ifndef GOWSGI_CONTROL_H
#define GOWSGI_CONTROL_H

#include <stdint.h>

/* Descriptors that come with GW_FORK: segment, bell, standard error. */
#define GW_ORDER_FDS 3

enum gw_order_kind { GW_FORK = 1, GW_SIGNAL = 2 };

struct gw_order {
    uint32_t kind; /* enum gw_order_kind */
    uint32_t worker;
    int32_t signal; /* for GW_SIGNAL */
    uint32_t reserved;
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

/*
 * gowsgi.h: what the C files of embed share.
 *
 * Conventions. A function that takes or returns PyObject says new, borrowed
 * or stolen. "GIL: held" means the caller is attached; "released inside" that
 * the function lets other threads run while it waits. NULL or -1 means a
 * Python exception is set, unless stated otherwise.
 */
#ifndef GOWSGI_H
#define GOWSGI_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "channel.h"

/* How long a thread looks for work before it sleeps: what the front and a
 * client on the same machine need to send the next request. */
#define GW_SPIN_NS 150000
#define GW_GLANCE_PART 15 /* of that, while there are many clients */

/* What short reads of a body file are read ahead with. */
#define GW_BODY_WINDOW (64 * 1024)

/* Exit codes of zygote and worker that the front turns into words. */
#define GW_EXIT_IMPORT 3      /* the application could not be imported */
#define GW_EXIT_APPLICATION 4 /* not found in its module, or not callable */
#define GW_EXIT_INTERPRETER 6 /* CPython could not be started */
#define GW_EXIT_CHANNEL 70    /* the shared memory is not what it should be */

/* One well-known environ key and the value it had last. */
struct gw_key {
    PyObject *name;  /* owned, interned str */
    PyObject *value; /* owned, or NULL: reused while the bytes are equal */
    char *bytes;     /* owned copy of the value's bytes, for the comparison */
    uint32_t length;
};

/* This process as a worker. Filled once, before the first exchange. */
struct gw_worker {
    struct gw_segment *segment; /* mapped, never unmapped: process lifetime */
    int bell;                   /* eventfd towards the front */
    int passing;                /* socket that descriptors come by */
    uint32_t id;
    int forked;            /* 1 in a process forked by the application */
    int born;              /* 1 while a fork of the zygote becomes a worker */
    long spin;             /* looks that make up GW_SPIN_NS; 0: never spin */
    uint32_t spinning;     /* 1 while a thread spins: one is enough */
    PyObject *host;        /* owned: the module made from host.py */
    PyObject *application; /* owned */
    PyObject *environ;     /* owned dict: the constant part of every environ */
    PyObject *describe;    /* owned callable: exception -> str */
    PyObject *wrapper;     /* owned: the type wsgi.file_wrapper */
    PyObject *locate; /* owned callable: wrapper -> (fd, offset) or None */
};
extern struct gw_worker gw_worker;

/* One exchange being served, in the memory of the thread that serves it. */
struct gw_exchange {
    struct gw_slot *slot;
    uint32_t index;
    uint64_t word; /* state word as RUNNING, for compare-and-swap */
    unsigned char *environ;
    unsigned char *body;
    unsigned char *reply;
    char *fault;
    /* packed status and headers; buffer owned by the thread, reused */
    char *head;
    size_t head_length;
    size_t head_capacity;
    int head_set;     /* start_response has been called */
    int head_sent;    /* published: too late to change */
    int dropped;      /* the front has aborted the exchange */
    int writing;      /* a thread is inside gw_reply_write, maybe waiting */
    Py_ssize_t items; /* len(iterable), or -1 while it is not known */
    uint64_t written; /* bytes put into the reply ring, head included */
    PyObject *after;  /* owned list of (function, args, kwargs), or NULL */
};

/* A request body in a file; used by one thread at a time. */
struct gw_body_file {
    int fd; /* ours */
    int64_t length;
    int64_t position; /* of the next read, 0 to length */
    int64_t from;     /* where in the file the window lies */
    size_t held;      /* bytes in the window */
    char window[GW_BODY_WINDOW];
};

/* What this thread serves; NULL outside a request. */
extern _Thread_local struct gw_exchange *gw_current;

/* wait.c: no function needs the GIL and none touches Python */
void gw_futex_wait(uint32_t *word, uint32_t seen, long timeout_ms);
void gw_futex_wake(uint32_t *word, int count);
void gw_pause(void);
long gw_spin_limit(long nanoseconds);

/* channel.c: no function needs the GIL and none touches Python */
int gw_segment_attach(int fd, struct gw_segment **segment, char *why,
                      size_t why_size);
int gw_slot_take(uint32_t owner, struct gw_exchange *exchange);
int gw_slot_any_ready(void);
void gw_slot_finish(struct gw_exchange *exchange, uint32_t outcome);
int gw_slot_aborted(struct gw_exchange *exchange);
void gw_slot_answered(struct gw_exchange *exchange, uint32_t outcome);
int gw_slot_sent(struct gw_exchange *exchange);
void gw_slot_tell(struct gw_exchange *exchange, uint32_t waits);
uint32_t gw_slot_doze(struct gw_exchange *exchange);
void gw_slot_sleep(struct gw_slot *slot, uint32_t nudge);
void gw_slot_wake(struct gw_exchange *exchange);
void gw_slot_nudge(struct gw_exchange *exchange);
void gw_bell_ring(uint32_t index);

/* passing.c: no function needs the GIL and none touches Python */
int gw_reply_file_pass(uint32_t slot, uint32_t ticket, int fd);
int gw_body_file_ask(uint32_t slot, uint32_t ticket);

/* bodyfile.c: no function needs the GIL */
struct gw_body_file *gw_body_file_new(int fd, int64_t length);
void gw_body_file_free(struct gw_body_file *file);
size_t gw_body_file_held(const struct gw_body_file *file, int64_t at);
int gw_body_file_fetch(struct gw_body_file *file, char *to, size_t size,
                       int64_t at);
int gw_body_file_fill(struct gw_body_file *file, int64_t at);

/* environ.c */
int gw_environ_keys(PyObject *names);
PyObject *gw_environ_build(struct gw_exchange *exchange);
PyObject *gw_environ_request_id(struct gw_exchange *exchange);

/* input.c */
int gw_input_ready(void);
PyObject *gw_input_new(struct gw_exchange *exchange);
void gw_input_expire(PyObject *input);

/* respond.c */
int gw_respond_ready(void);
PyObject *gw_start_response_new(struct gw_exchange *exchange);
void gw_start_response_expire(PyObject *start_response);
struct gw_exchange **gw_start_response_live(PyObject *start_response);
int gw_reply_write(struct gw_exchange *exchange, const char *data,
                   size_t length, struct gw_exchange **live);
void gw_reply_single(struct gw_exchange *exchange, const char *data,
                     size_t length);
void gw_reply_bare(struct gw_exchange *exchange);
void gw_reply_file(struct gw_exchange *exchange, int64_t offset);
PyObject *gw_early_hints(PyObject *headers);

/* descriptors.c */
void gw_descriptors_mark(void);
void gw_descriptors_drop(void);

/* exchange.c */
int gw_exchange_ready(void);
int gw_exchange_after(PyObject *call);
void gw_exchange_serve(struct gw_exchange *exchange);
void gw_leave_if_forked(void);
PyObject *gw_exchange_loop(uint32_t owner);

/* worker.c */
void gw_host_set(PyObject *host);
int PySignal_SetWakeupFd(int fd);
int gw_module_register(void);
_Noreturn void gw_worker_main(uint32_t id, pid_t zygote, const int *fds);

/* signals.c */
void gw_signals_host(void);
int gw_signals_shown(void);
void gw_signals_unblock(void);
void gw_signals_forked(void);
void gw_signals_own(void);

/* stacks.c: no function needs the GIL */
void gw_stacks_await(void);
void gw_stacks_ready(void);
void gw_stacks_name(const char *who);
void gw_stacks_forget(void);

/* boot.c, called from Go */
int gw_boot(const char *program, int argc, char *const *argv, char *why,
            size_t why_size);

/* title.c */
void gw_title_room(char *room, size_t size);
void gw_title_set(const char *title);

/* settle.c, called from Go */
size_t gw_settle(void);

/* zygote.c, called from Go */
int gw_zygote_loop(int control);

#endif

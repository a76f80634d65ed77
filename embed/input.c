/*
 * input.c: wsgi.input, the request body as a file-like object.
 *
 * Bytes come straight from the slot's body ring. A read that finds the ring
 * empty waits with the GIL released until the front has written more, ended
 * the body, or given the exchange up. Copying is done with the GIL held and
 * only after the object has been found still valid: a thread that waited past
 * the end of the exchange must not touch the slot's next request.
 *
 * Source: PEP 3333 §Input and Error Streams.
 */
#include "gowsgi.h"

#include <errno.h>
#include <string.h>

/* First allocation of a read whose end is not known; doubled while it grows.
 * A client can therefore not make us reserve what it only announces. */
#define GW_FIRST_READ (64 * 1024)

typedef struct {
    PyObject_HEAD struct gw_exchange
        *exchange; /* NULL once the exchange is over */
    int reading;   /* a thread is inside a read */
} Input;

static PyTypeObject *input_type;

/* The exchange, or NULL with an exception: over, or in use elsewhere. */
static struct gw_exchange *
input_begin(Input *self)
{
    if (self->exchange == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "wsgi.input is used after its request ended");
        return NULL;
    }
    if (self->reading) {
        PyErr_SetString(PyExc_RuntimeError,
                        "wsgi.input is being read by another thread");
        return NULL;
    }
    self->reading = 1;
    return self->exchange;
}

static uint64_t
available(struct gw_exchange *exchange)
{
    return __atomic_load_n(&exchange->slot->body_written, __ATOMIC_SEQ_CST) -
           exchange->slot->body_consumed;
}

static int
nothing_yet(struct gw_exchange *exchange)
{
    return available(exchange) == 0 &&
           __atomic_load_n(&exchange->slot->body_state, __ATOMIC_SEQ_CST) ==
               GW_BODY_MORE &&
           !gw_slot_aborted(exchange);
}

/*
 * Wait for body bytes. GIL: held, released inside.
 * Returns how many can be read now, 0 at the end of the body, -1 with an
 * exception: OSError when the client is gone, ValueError when the exchange
 * ended meanwhile, or whatever a signal handler raised.
 */
static int64_t
input_wait(Input *self)
{
    struct gw_exchange *exchange = self->exchange;
    struct gw_slot *slot = exchange->slot;
    uint64_t ready;

    while (nothing_yet(exchange)) {
        uint32_t nudge = gw_slot_doze(exchange);
        int raised;
        __atomic_store_n(&exchange->slot->body_wanted, 1, __ATOMIC_SEQ_CST);
        gw_slot_tell(exchange, GW_WAIT_REPLY | GW_WAIT_ROOM);
        if (nothing_yet(exchange)) {
            Py_BEGIN_ALLOW_THREADS
            gw_slot_sleep(slot, nudge);
            Py_END_ALLOW_THREADS
        }
        /* first, for it may run Python code, and other threads with it */
        raised = PyErr_CheckSignals() < 0;
        if (self->exchange != NULL)
            gw_slot_wake(exchange);
        else if (!raised)
            PyErr_SetString(PyExc_ValueError,
                            "the request ended while wsgi.input was read");
        if (raised || self->exchange == NULL)
            return -1;
    }
    ready = available(exchange);
    if (ready > 0)
        return (int64_t)ready;
    if (__atomic_load_n(&exchange->slot->body_state, __ATOMIC_SEQ_CST) ==
        GW_BODY_END)
        return 0;
    errno = ECONNRESET;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/*
 * Copy up to `size` bytes that are there into `to` and give their room back.
 * A front that waits for room is woken once half of the ring is free: waking
 * it for every piece would cost a switch per piece. A reader that finds less
 * goes on to the end of what is there, so it does not wait for a front that
 * waits for it.
 */
static size_t
input_take(struct gw_exchange *exchange, char *to, size_t size)
{
    uint32_t capacity = gw_worker.segment->body_bytes;
    uint64_t from = exchange->slot->body_consumed;
    uint64_t ready = available(exchange);
    size_t n = ready < size ? (size_t)ready : size;
    size_t at = (size_t)(from & (capacity - 1));
    size_t first = n < capacity - at ? n : capacity - at;

    memcpy(to, exchange->body + at, first);
    memcpy(to + first, exchange->body, n - first);
    __atomic_store_n(&exchange->slot->body_consumed, from + n,
                     __ATOMIC_SEQ_CST);
    if (ready - n <= capacity / 2)
        gw_slot_tell(exchange, GW_WAIT_ROOM);
    return n;
}

/* Offset just past the first newline among the next `ready` bytes, or 0. */
static size_t
find_newline(struct gw_exchange *exchange, size_t ready)
{
    uint32_t capacity = gw_worker.segment->body_bytes;
    size_t at = (size_t)(exchange->slot->body_consumed & (capacity - 1));
    size_t first = ready < capacity - at ? ready : capacity - at;
    const unsigned char *hit = memchr(exchange->body + at, '\n', first);

    if (hit != NULL)
        return (size_t)(hit - (exchange->body + at)) + 1;
    hit = memchr(exchange->body, '\n', ready - first);
    return hit == NULL ? 0 : first + (size_t)(hit - exchange->body) + 1;
}

/* How much to allocate for a read of at most `limit` bytes. */
static size_t
first_size(struct gw_exchange *exchange, size_t limit)
{
    uint64_t ready = available(exchange);
    size_t size = ready > GW_FIRST_READ ? (size_t)ready : GW_FIRST_READ;

    if (__atomic_load_n(&exchange->slot->body_state, __ATOMIC_SEQ_CST) ==
        GW_BODY_END)
        size = (size_t)ready;
    return size < limit ? size : limit;
}

/*
 * Read up to `limit` bytes, or to the end of the body, or, with `line`, up to
 * and including a newline. New bytes, or NULL.
 */
static PyObject *
input_collect(Input *self, size_t limit, int line)
{
    struct gw_exchange *exchange = input_begin(self);
    PyObject *result;
    size_t size, used = 0;

    if (exchange == NULL)
        return NULL;
    size = first_size(exchange, limit);
    result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    while (result != NULL && used < limit) {
        int64_t ready = input_wait(self);
        size_t want, newline = 0;
        if (ready <= 0) {
            if (ready < 0)
                Py_CLEAR(result);
            break;
        }
        want = (size_t)ready < limit - used ? (size_t)ready : limit - used;
        if (line && (newline = find_newline(exchange, want)) != 0)
            want = newline;
        if (want > size - used) {
            size = size * 2 > used + want ? size * 2 : used + want;
            if (size > limit)
                size = limit;
            if (_PyBytes_Resize(&result, (Py_ssize_t)size) < 0)
                break;
        }
        used += input_take(exchange, PyBytes_AS_STRING(result) + used, want);
        if (newline != 0)
            break;
    }
    self->reading = 0;
    if (result != NULL && used != size)
        _PyBytes_Resize(&result, (Py_ssize_t)used);
    return result;
}

/* The optional size argument: None and negative numbers mean no limit. */
static int
size_argument(PyObject *const *args, Py_ssize_t nargs, size_t *limit)
{
    Py_ssize_t size;

    *limit = PY_SSIZE_T_MAX;
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "expected at most 1 argument, got %zd",
                     nargs);
        return -1;
    }
    if (nargs == 0 || args[0] == Py_None)
        return 0;
    size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred())
        return -1;
    if (size >= 0)
        *limit = (size_t)size;
    return 0;
}

static PyObject *
input_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    size_t limit;

    if (size_argument(args, nargs, &limit) < 0)
        return NULL;
    return input_collect((Input *)self, limit, 0);
}

static PyObject *
input_readline(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    size_t limit;

    if (size_argument(args, nargs, &limit) < 0)
        return NULL;
    return input_collect((Input *)self, limit, 1);
}

static PyObject *
input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    size_t hint, total = 0;
    PyObject *lines;

    if (size_argument(args, nargs, &hint) < 0)
        return NULL;
    lines = PyList_New(0);
    while (lines != NULL && (hint == 0 || total < hint)) {
        PyObject *line = input_collect((Input *)self, PY_SSIZE_T_MAX, 1);
        Py_ssize_t length = line == NULL ? 0 : PyBytes_GET_SIZE(line);
        if (line == NULL || (length > 0 && PyList_Append(lines, line) < 0))
            Py_CLEAR(lines);
        Py_XDECREF(line);
        if (length == 0)
            break;
        total += (size_t)length;
    }
    return lines;
}

/* readinto(buffer): fill it as far as the body reaches, like a buffered file.
 */
static PyObject *
input_readinto(PyObject *op, PyObject *target)
{
    Input *self = (Input *)op;
    struct gw_exchange *exchange;
    Py_buffer view;
    size_t used = 0;
    int64_t ready = 0;

    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0)
        return NULL;
    exchange = input_begin(self);
    if (exchange == NULL) {
        PyBuffer_Release(&view);
        return NULL;
    }
    while (used < (size_t)view.len && (ready = input_wait(self)) > 0)
        used += input_take(exchange, (char *)view.buf + used,
                           (size_t)view.len - used);
    self->reading = 0;
    PyBuffer_Release(&view);
    if (ready < 0)
        return NULL;
    return PyLong_FromSize_t(used);
}

static PyObject *
input_next(PyObject *self)
{
    PyObject *line = input_collect((Input *)self, PY_SSIZE_T_MAX, 1);

    if (line != NULL && PyBytes_GET_SIZE(line) == 0)
        Py_CLEAR(line);
    return line;
}

static PyObject *
input_self(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

static PyObject *
input_true(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_TRUE;
}

static PyObject *
input_false(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_FALSE;
}

static PyObject *
input_none(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

static PyObject *
input_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Input *)self)->exchange == NULL);
}

static void
input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_Free(self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef input_methods[] = {
    {"read", FAST(input_read), METH_FASTCALL,
     "read(size=-1) -> bytes: size bytes, fewer only at the end of the body"},
    {"readline", FAST(input_readline), METH_FASTCALL,
     "readline(size=-1) -> bytes: one line, at most size bytes of it"},
    {"readlines", FAST(input_readlines), METH_FASTCALL,
     "readlines(hint=-1) -> list of lines, until hint bytes are exceeded"},
    {"readinto", input_readinto, METH_O,
     "readinto(buffer) -> int: bytes stored, fewer only at the end"},
    {"readable", input_true, METH_NOARGS, "readable() -> True"},
    {"writable", input_false, METH_NOARGS, "writable() -> False"},
    {"seekable", input_false, METH_NOARGS, "seekable() -> False"},
    {"close", input_none, METH_NOARGS,
     "close(): does nothing, the body belongs to the server"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef input_getset[] = {
    {"closed", input_closed, NULL, "True once the request has ended", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot input_slots[] = {
    {Py_tp_doc, "The request body of one WSGI exchange (wsgi.input)."},
    {Py_tp_methods, input_methods},
    {Py_tp_getset, input_getset},
    {Py_tp_iter, input_self},
    {Py_tp_iternext, input_next},
    {Py_tp_dealloc, input_dealloc},
    {0, NULL},
};

static PyType_Spec input_spec = {
    .name = "_gowsgi.Input",
    .basicsize = sizeof(Input),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = input_slots,
};

/* gw_input_ready: create the type. GIL: held. Returns 0 or -1. */
int
gw_input_ready(void)
{
    input_type = (PyTypeObject *)PyType_FromSpec(&input_spec);
    if (input_type == NULL)
        return -1;
    input_type->tp_new = NULL; /* made here only, never by calling the type */
    return 0;
}

/*
 * gw_input_new: wsgi.input for `exchange`. GIL: held. New reference or NULL.
 * The caller calls gw_input_expire before the exchange's slot is given up.
 */
PyObject *
gw_input_new(struct gw_exchange *exchange)
{
    Input *self = PyObject_New(Input, input_type);

    if (self == NULL)
        return NULL;
    self->exchange = exchange;
    self->reading = 0;
    return (PyObject *)self;
}

/*
 * gw_input_expire: later reads raise ValueError, and a read that another
 * thread is in the middle of is woken to find that out. GIL: held. Borrows.
 */
void
gw_input_expire(PyObject *op)
{
    Input *self = (Input *)op;

    if (self->reading && self->exchange != NULL)
        gw_slot_nudge(self->exchange);
    self->exchange = NULL;
}

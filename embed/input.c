/*
 * input.c: wsgi.input, the request body as a file-like object.
 *
 * A body that was complete before the call is seekable: it lies in the slot's
 * body ring as a whole, or in a file that is asked for with the first use. Of
 * any other, bytes come through the ring. A read that finds the ring
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
#include <unistd.h>

/* First allocation of a read whose end is not known; doubled while it grows.
 * A client can therefore not make us reserve what it only announces. */
#define GW_FIRST_READ (64 * 1024)

typedef struct {
    PyObject_HEAD struct gw_exchange
        *exchange; /* NULL once the exchange is over */
    int reading;   /* a thread is inside a read */
    int whole;     /* all of the body is in the ring, from its start */
    struct gw_body_file *file; /* owned; NULL before it is asked for */
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

/* The end of what input_begin began. An exchange that is over by now has left
 * the file to us: it was in use. */
static void
input_end(Input *self)
{
    self->reading = 0;
    if (self->exchange == NULL) {
        gw_body_file_free(self->file);
        self->file = NULL;
    }
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
ring_collect(Input *self, size_t limit, int line)
{
    struct gw_exchange *exchange = self->exchange;
    PyObject *result;
    size_t size, used = 0;

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
    if (result != NULL && used != size)
        _PyBytes_Resize(&result, (Py_ssize_t)used);
    return result;
}

/*
 * Whether a read may go on after the GIL was released. 0, or -1 with an
 * exception: ValueError when the exchange ended meanwhile, or whatever a
 * signal handler raised.
 */
static int
file_still_mine(Input *self)
{
    /* first, for it may run Python code, and other threads with it */
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (self->exchange != NULL)
        return 0;
    PyErr_SetString(PyExc_ValueError,
                    "the request ended while wsgi.input was read");
    return -1;
}

/* The file, asked for if it was not yet; NULL with an exception. GIL: held,
 * released inside. */
static struct gw_body_file *
file_open(Input *self)
{
    struct gw_exchange *exchange = self->exchange;
    uint32_t index = exchange->index,
             ticket = (uint32_t)(exchange->word >> 32);
    int64_t length = exchange->slot->body_length;
    int fd;

    if (self->file != NULL)
        return self->file;
    if (gw_worker.forked) {
        PyErr_SetString(PyExc_RuntimeError,
                        "wsgi.input can only be read by a forked process when "
                        "its parent has begun to");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    fd = gw_body_file_ask(index, ticket);
    Py_END_ALLOW_THREADS
    if (fd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    self->file = gw_body_file_new(fd, length);
    if (self->file == NULL)
        PyErr_NoMemory();
    else if (file_still_mine(self) < 0)
        return NULL; /* input_end frees it, or the next use has it */
    return self->file;
}

/* Bytes of a body file are read this many at once: then the front sees that
 * something is done, and signals are looked for. */
#define GW_FILE_PIECE ((size_t)16 << 20)

/* Fetch `size` bytes from `at` on; `to` NULL: into the window, as many as it
 * holds. 0, or -1 with an exception. GIL: held, released inside. */
static int
file_fetch(Input *self, char *to, size_t size, int64_t at)
{
    struct gw_body_file *file = self->file;
    int failed;

    Py_BEGIN_ALLOW_THREADS
    failed = to == NULL ? gw_body_file_fill(file, at)
                        : gw_body_file_fetch(file, to, size, at);
    Py_END_ALLOW_THREADS
    if (failed < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if (file_still_mine(self) < 0)
        return -1;
    __atomic_add_fetch(&self->exchange->slot->body_consumed,
                       to == NULL ? file->held : size, __ATOMIC_SEQ_CST);
    return 0;
}

/* Read the next `size` bytes, which the body has, into `to`. 0, or -1 with an
 * exception; the position has moved then only if all were read. */
static int
file_pull(Input *self, char *to, size_t size)
{
    struct gw_body_file *file = self->file;
    int64_t at = file->position;

    while (size > 0) {
        size_t n = gw_body_file_held(file, at);
        if (n == 0 && size >= GW_BODY_WINDOW) {
            n = size < GW_FILE_PIECE ? size : GW_FILE_PIECE;
            if (file_fetch(self, to, n, at) < 0)
                return -1;
        }
        else {
            if (n == 0 && file_fetch(self, NULL, 0, at) < 0)
                return -1;
            n = gw_body_file_held(file, at);
            n = n < size ? n : size;
            memcpy(to, file->window + (at - file->from), n);
        }
        to += n;
        at += (int64_t)n;
        size -= n;
    }
    file->position = at;
    return 0;
}

/* How many of `limit` bytes there are from the position on. */
static size_t
file_left(const struct gw_body_file *file, size_t limit)
{
    int64_t left = file->length - file->position;

    return (uint64_t)left < limit ? (size_t)left : limit;
}

/* The rest of the body, but at most `limit` bytes. New bytes, or NULL. */
static PyObject *
file_read(Input *self, size_t limit)
{
    size_t size = file_left(self->file, limit);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);

    if (result != NULL && file_pull(self, PyBytes_AS_STRING(result), size) < 0)
        Py_CLEAR(result);
    return result;
}

/* One line, but at most `limit` bytes of it. New bytes, or NULL. */
static PyObject *
file_line(Input *self, size_t limit)
{
    struct gw_body_file *file = self->file;
    size_t left = file_left(file, limit), used = 0;
    int64_t at = file->position;
    PyObject *line = PyBytes_FromStringAndSize(NULL, 0);
    const char *newline = NULL;

    while (line != NULL && used < left && newline == NULL) {
        size_t n = gw_body_file_held(file, at);
        const char *from;
        if (n == 0) {
            if (file_fetch(self, NULL, 0, at) < 0) {
                Py_CLEAR(line);
                break;
            }
            n = gw_body_file_held(file, at);
        }
        n = n < left - used ? n : left - used;
        from = file->window + (at - file->from);
        newline = memchr(from, '\n', n);
        if (newline != NULL)
            n = (size_t)(newline - from) + 1;
        if (_PyBytes_Resize(&line, (Py_ssize_t)(used + n)) < 0)
            break;
        memcpy(PyBytes_AS_STRING(line) + used, from, n);
        used += n;
        at += (int64_t)n;
    }
    if (line != NULL)
        file->position = at;
    return line;
}

/* Read up to `limit` bytes, or a line of at most so many. New bytes, or NULL.
 */
static PyObject *
input_get(Input *self, size_t limit, int line)
{
    struct gw_exchange *exchange = input_begin(self);
    PyObject *result = NULL;

    if (exchange == NULL)
        return NULL;
    if (!exchange->slot->body_file)
        result = ring_collect(self, limit, line);
    else if (file_open(self) != NULL)
        result = line ? file_line(self, limit) : file_read(self, limit);
    input_end(self);
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
    return input_get((Input *)self, limit, 0);
}

static PyObject *
input_readline(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    size_t limit;

    if (size_argument(args, nargs, &limit) < 0)
        return NULL;
    return input_get((Input *)self, limit, 1);
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
        PyObject *line = input_get((Input *)self, PY_SSIZE_T_MAX, 1);
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

/* Fill `to` from the ring as far as the body reaches. How much that is, or -1
 * with an exception. */
static Py_ssize_t
ring_fill(Input *self, char *to, size_t size)
{
    size_t used = 0;
    int64_t ready = 0;

    while (used < size && (ready = input_wait(self)) > 0)
        used += input_take(self->exchange, to + used, size - used);
    return ready < 0 ? -1 : (Py_ssize_t)used;
}

/* The same from the file. */
static Py_ssize_t
file_into(Input *self, char *to, size_t size)
{
    if (file_open(self) == NULL)
        return -1;
    size = file_left(self->file, size);
    return file_pull(self, to, size) < 0 ? -1 : (Py_ssize_t)size;
}

/* readinto(buffer): fill it as far as the body reaches, like a buffered file.
 */
static PyObject *
input_readinto(PyObject *op, PyObject *target)
{
    Input *self = (Input *)op;
    struct gw_exchange *exchange;
    Py_buffer view;
    Py_ssize_t used;

    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0)
        return NULL;
    exchange = input_begin(self);
    if (exchange == NULL) {
        PyBuffer_Release(&view);
        return NULL;
    }
    used = (exchange->slot->body_file ? file_into : ring_fill)(
        self, view.buf, (size_t)view.len);
    input_end(self);
    PyBuffer_Release(&view);
    return used < 0 ? NULL : PyLong_FromSsize_t(used);
}

/* Raise io.UnsupportedOperation, as files do. Always NULL. */
static PyObject *
unsupported(const char *why)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *type = NULL;

    if (io != NULL)
        type = PyObject_GetAttrString(io, "UnsupportedOperation");
    if (type != NULL)
        PyErr_SetString(type, why);
    Py_XDECREF(type);
    Py_XDECREF(io);
    return NULL;
}

/* Where `offset` from `whence` is in a body of `length` bytes, of which
 * `position` is the next: no further than its end. -1 with an exception. */
static int64_t
seek_target(int64_t offset, int whence, int64_t position, int64_t length)
{
    int64_t base = whence == 0 ? 0 : whence == 1 ? position : length;

    if (whence < 0 || whence > 2) {
        PyErr_Format(PyExc_ValueError, "whence must be 0, 1 or 2, not %d",
                     whence);
        return -1;
    }
    if (offset < -base) {
        PyErr_SetString(PyExc_ValueError,
                        "a position before the start of the body");
        return -1;
    }
    return offset > length - base ? length : base + offset;
}

static int64_t
ring_seek(Input *self, int64_t offset, int whence)
{
    struct gw_slot *slot = self->exchange->slot;
    int64_t target;

    if (!self->whole) {
        unsupported("this request's body is not buffered");
        return -1;
    }
    target = seek_target(offset, whence, (int64_t)slot->body_consumed,
                         (int64_t)slot->body_written);
    if (target >= 0)
        __atomic_store_n(&slot->body_consumed, (uint64_t)target,
                         __ATOMIC_SEQ_CST);
    return target;
}

static int64_t
file_seek(Input *self, int64_t offset, int whence)
{
    struct gw_body_file *file = file_open(self);
    int64_t target;

    if (file == NULL)
        return -1;
    target = seek_target(offset, whence, file->position, file->length);
    if (target >= 0)
        file->position = target;
    return target;
}

static PyObject *
input_seek(PyObject *op, PyObject *args)
{
    Input *self = (Input *)op;
    struct gw_exchange *exchange;
    long long offset;
    int whence = 0;
    int64_t position;

    if (!PyArg_ParseTuple(args, "L|i:seek", &offset, &whence) ||
        (exchange = input_begin(self)) == NULL)
        return NULL;
    position = (exchange->slot->body_file ? file_seek
                                          : ring_seek)(self, offset, whence);
    input_end(self);
    return position < 0 ? NULL : PyLong_FromLongLong(position);
}

static PyObject *
input_tell(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Input *self = (Input *)op;
    struct gw_exchange *exchange = input_begin(self);
    uint64_t position;

    if (exchange == NULL)
        return NULL;
    if (!exchange->slot->body_file)
        position = exchange->slot->body_consumed;
    else
        position = self->file == NULL ? 0 : (uint64_t)self->file->position;
    input_end(self);
    return PyLong_FromUnsignedLongLong(position);
}

static PyObject *
input_seekable(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Input *self = (Input *)op;

    if (input_begin(self) == NULL)
        return NULL;
    self->reading = 0;
    return PyBool_FromLong(self->whole || self->exchange->slot->body_file);
}

/* fileno(): the file of a body that lies in one, at the position of the next
 * read. What is read through it does not move that. */
static PyObject *
input_fileno(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Input *self = (Input *)op;
    struct gw_exchange *exchange = input_begin(self);
    PyObject *result = NULL;

    if (exchange == NULL)
        return NULL;
    if (!exchange->slot->body_file)
        unsupported("this request's body does not lie in a file");
    else if (file_open(self) != NULL) {
        lseek(self->file->fd, self->file->position, SEEK_SET);
        result = PyLong_FromLong(self->file->fd);
    }
    input_end(self);
    return result;
}

static PyObject *
input_next(PyObject *self)
{
    PyObject *line = input_get((Input *)self, PY_SSIZE_T_MAX, 1);

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

    gw_body_file_free(((Input *)self)->file);
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
    {"seekable", input_seekable, METH_NOARGS,
     "seekable() -> bool: whether all of the body is here"},
    {"seek", input_seek, METH_VARARGS,
     "seek(offset, whence=0) -> int: the new position, the end at most"},
    {"tell", input_tell, METH_NOARGS, "tell() -> int: bytes read so far"},
    {"fileno", input_fileno, METH_NOARGS,
     "fileno() -> int: the file that a large body lies in"},
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
    self->file = NULL;
    /* what the front has brought to its end by now it will not touch again */
    self->whole = __atomic_load_n(&exchange->slot->body_state,
                                  __ATOMIC_SEQ_CST) == GW_BODY_END &&
                  !exchange->slot->body_file;
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
    if (!self->reading)
        input_end(self);
}

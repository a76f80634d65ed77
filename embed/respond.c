/*
 * respond.c: start_response, the write callable, and the reply ring.
 *
 * Status and headers are checked when start_response is called, so that an
 * application sees its mistake where it made it, and kept packed until the
 * first non-empty block (PEP 3333 §The start_response() Callable). Packed:
 *
 *     u32 n, n bytes                     status, "200 OK"
 *     { u16 n, n bytes, u32 m, m bytes } name and value of each header
 *
 * The reply ring begins with that head; body bytes follow it. Before the head
 * there may be early hints: for each a u32 with its size, and headers packed
 * like those of the head.
 */
#include "gowsgi.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

typedef struct {
    PyObject_HEAD struct gw_exchange
        *exchange; /* NULL once the exchange is over */
} StartResponse;

typedef struct {
    PyObject_HEAD StartResponse
        *owner; /* owned: knows whether the exchange still runs */
} Write;

static PyTypeObject *start_response_type;
static PyTypeObject *write_type;

/* --- the reply ring ---------------------------------------------------- */

/* Room left in the ring, in bytes. */
static size_t
room(struct gw_exchange *exchange)
{
    uint64_t consumed =
        __atomic_load_n(&exchange->slot->reply_consumed, __ATOMIC_SEQ_CST);

    return (size_t)(gw_worker.segment->reply_bytes -
                    (exchange->written - consumed));
}

/* Copy bytes behind what is written; the caller has checked the room. */
static void
append(struct gw_exchange *exchange, const char *data, size_t length)
{
    uint32_t capacity = gw_worker.segment->reply_bytes;
    size_t at = (size_t)(exchange->written & (capacity - 1));
    size_t first = length < capacity - at ? length : capacity - at;

    memcpy(exchange->reply + at, data, first);
    memcpy(exchange->reply, data + first, length - first);
    exchange->written += length;
}

/* Make what is written visible to the front. */
static void
publish(struct gw_exchange *exchange)
{
    __atomic_store_n(&exchange->slot->reply_written, exchange->written,
                     __ATOMIC_SEQ_CST);
}

/* Put the packed head into the ring, which head_reserve has left room for;
 * `length` is the body length the gateway may declare when the application did
 * not, or -1. */
static void
put_head(struct gw_exchange *exchange, int64_t length)
{
    exchange->slot->head_length = (uint32_t)exchange->head_length;
    exchange->slot->reply_length = length;
    append(exchange, exchange->head, exchange->head_length);
    exchange->head_sent = 1;
}

/*
 * gw_reply_single: head and the only block at once; both fit in the ring.
 *
 * GIL      held
 * The front is not told: the caller finishes the slot right away, and that
 * tells it.
 */
void
gw_reply_single(struct gw_exchange *exchange, const char *data, size_t length)
{
    put_head(exchange, (int64_t)length);
    append(exchange, data, length);
    publish(exchange);
}

/* RUNNING -> ANSWERING, unless the front has aborted the exchange. */
static void
announce(struct gw_exchange *exchange)
{
    uint64_t *state = &gw_worker.segment->state[exchange->index];
    uint64_t running = exchange->word;
    uint64_t answering = (running & ~(uint64_t)0xff) | GW_ANSWERING;

    if (__atomic_compare_exchange_n(state, &running, answering, 0,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        exchange->word = answering;
}

/* gw_reply_bare: a head and no body, told to the front at once. GIL: held. */
void
gw_reply_bare(struct gw_exchange *exchange)
{
    put_head(exchange, 0);
    publish(exchange);
    announce(exchange);
    gw_slot_tell(exchange, GW_WAIT_REPLY);
}

/* gw_reply_file: a head whose body is the file that has been passed. GIL:
 * held.
 */
void
gw_reply_file(struct gw_exchange *exchange, int64_t offset)
{
    exchange->slot->reply_offset = offset;
    exchange->slot->reply_file = 1;
    put_head(exchange, -1);
    publish(exchange);
    announce(exchange);
    gw_slot_tell(exchange, GW_WAIT_REPLY);
}

/*
 * Sleep until the ring has room. GIL: held, released inside. *live is the
 * caller's proof that the exchange still runs: cleared when it ends while we
 * sleep. Returns 0, or -1 with an exception.
 */
static int
wait_for_room(struct gw_exchange *exchange, struct gw_exchange **live)
{
    struct gw_slot *slot = exchange->slot;

    while (room(exchange) == 0 && !gw_slot_aborted(exchange)) {
        uint32_t nudge = gw_slot_doze(exchange);
        int raised;
        if (room(exchange) == 0 && !gw_slot_aborted(exchange)) {
            Py_BEGIN_ALLOW_THREADS
            gw_slot_sleep(slot, nudge);
            Py_END_ALLOW_THREADS
        }
        /* first, for it may run Python code, and other threads with it */
        raised = PyErr_CheckSignals() < 0;
        if (*live != NULL)
            gw_slot_wake(exchange);
        else if (!raised)
            PyErr_SetString(PyExc_ValueError,
                            "the request ended while write() waited");
        if (raised || *live == NULL)
            return -1;
    }
    return 0;
}

/*
 * gw_reply_write: hand one block to the front, whole, before returning.
 *
 * PEP 3333 §Buffering and Streaming: a block is never held back. It is
 * visible to the front when this returns, and the front goes on sending it
 * while the application makes the next one. Only a full ring makes us wait.
 *
 * GIL      held; released while the ring is full
 * data     borrowed, kept alive by the caller
 * live     the caller's pointer to this exchange, cleared if it expires
 * returns  0; 0 with exchange->dropped set when the front wants no more;
 *          -1 with an exception set
 */
int
gw_reply_write(struct gw_exchange *exchange, const char *data, size_t length,
               struct gw_exchange **live)
{
    int first = !exchange->head_sent;

    if (exchange->writing) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread is writing to this response");
        return -1;
    }
    if (first)
        put_head(exchange, exchange->items == 1 ? (int64_t)length : -1);
    exchange->writing = 1;
    do {
        size_t n = room(exchange);
        if (n > length)
            n = length;
        append(exchange, data, n);
        publish(exchange);
        if (first)
            announce(exchange);
        first = 0;
        gw_slot_tell(exchange, GW_WAIT_REPLY);
        data += n;
        length -= n;
        if (gw_slot_aborted(exchange)) {
            exchange->dropped = 1;
            break;
        }
        if (length > 0 && wait_for_room(exchange, live) < 0) {
            if (*live != NULL)
                exchange->writing = 0;
            return -1;
        }
    } while (length > 0);
    exchange->writing = 0;
    return 0;
}

/* --- checking and packing status and headers ---------------------------- */

/* Make room for `more` bytes of head. Returns 0, or -1 with an exception. */
static int
head_reserve(struct gw_exchange *exchange, size_t more)
{
    size_t need = exchange->head_length + more;
    size_t capacity = exchange->head_capacity;
    char *grown;

    /* hints may be in the ring, and still have to be read */
    if (need > gw_worker.segment->reply_bytes - exchange->written) {
        PyErr_Format(PyExc_ValueError,
                     "response headers are larger than %u bytes",
                     (unsigned int)gw_worker.segment->reply_bytes);
        return -1;
    }
    if (need <= capacity)
        return 0;
    while (capacity < need)
        capacity = capacity == 0 ? 1024 : capacity * 2;
    grown = PyMem_RawRealloc(exchange->head, capacity);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    exchange->head = grown;
    exchange->head_capacity = capacity;
    return 0;
}

static void
head_put(struct gw_exchange *exchange, const void *data, size_t length)
{
    memcpy(exchange->head + exchange->head_length, data, length);
    exchange->head_length += length;
}

/* Control characters end a header early or smuggle in another one. */
static int
has_control(const Py_UCS1 *text, Py_ssize_t length, int tab_allowed)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        if (text[i] < 0x20 ? !(tab_allowed && text[i] == '\t')
                           : text[i] == 0x7f)
            return 1;
    }
    return 0;
}

/* A native string (PEP 3333 §Unicode Issues) as latin-1. Borrowed, or NULL. */
static const Py_UCS1 *
native(PyObject *text, const char *what, Py_ssize_t *length)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.200s", what,
                     Py_TYPE(text)->tp_name);
        return NULL;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0)
        return NULL;
#endif
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        PyErr_Format(PyExc_ValueError, "%s %R has characters outside latin-1",
                     what, text);
        return NULL;
    }
    *length = PyUnicode_GET_LENGTH(text);
    return PyUnicode_1BYTE_DATA(text);
}

/* "200 OK": three digits, 100 to 999, a space, a reason. Packs it. */
static int
pack_status(struct gw_exchange *exchange, PyObject *status)
{
    Py_ssize_t length;
    uint32_t n;
    const Py_UCS1 *s = native(status, "status", &length);

    if (s == NULL)
        return -1;
    if (length < 4 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' ||
        s[2] < '0' || s[2] > '9' || s[3] != ' ') {
        PyErr_Format(PyExc_ValueError,
                     "status %R is not of the form \"200 OK\"", status);
        return -1;
    }
    if (s[0] == '1') {
        PyErr_Format(PyExc_ValueError,
                     "status %R is informational, not a final answer", status);
        return -1;
    }
    if (has_control(s, length, 0)) {
        PyErr_Format(PyExc_ValueError, "status %R has control characters",
                     status);
        return -1;
    }
    n = (uint32_t)length;
    if (head_reserve(exchange, sizeof(n) + (size_t)length) < 0)
        return -1;
    head_put(exchange, &n, sizeof(n));
    head_put(exchange, s, (size_t)length);
    return 0;
}

/* RFC 9110 §5.6.2: the characters of a token. */
static int
is_token(const Py_UCS1 *text, Py_ssize_t length)
{
    if (length == 0)
        return 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS1 c = text[i];
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            continue;
        if (c >= '0' && c <= '9')
            continue;
        if (c == 0 || c > 0x7e || strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return 0;
    }
    return 1;
}

/* wsgiref.util.is_hop_by_hop's list: RFC 2616 §13.5.1, as the PEP means it. */
static int
is_hop_by_hop(const Py_UCS1 *name, Py_ssize_t length)
{
    static const char *const hops[] = {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "proxy-connection",
    };

    for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++) {
        if ((size_t)length == strlen(hops[i]) &&
            strncasecmp((const char *)name, hops[i], (size_t)length) == 0)
            return 1;
    }
    return 0;
}

/* One (name, value) of the header list. Packs it. */
static int
pack_header(struct gw_exchange *exchange, PyObject *header)
{
    Py_ssize_t name_length, value_length;
    const Py_UCS1 *name, *value;
    uint16_t n;
    uint32_t v;

    if (!PyTuple_Check(header) || PyTuple_GET_SIZE(header) != 2) {
        PyErr_Format(PyExc_TypeError, "header %R is not a (name, value) tuple",
                     header);
        return -1;
    }
    name = native(PyTuple_GET_ITEM(header, 0), "header name", &name_length);
    if (name == NULL)
        return -1;
    value = native(PyTuple_GET_ITEM(header, 1), "header value", &value_length);
    if (value == NULL)
        return -1;
    if (name_length > UINT16_MAX || !is_token(name, name_length)) {
        PyErr_Format(PyExc_ValueError, "header name %R is not a token",
                     PyTuple_GET_ITEM(header, 0));
        return -1;
    }
    if (has_control(value, value_length, 1)) {
        PyErr_Format(PyExc_ValueError,
                     "value %R of header %R has control characters",
                     PyTuple_GET_ITEM(header, 1), PyTuple_GET_ITEM(header, 0));
        return -1;
    }
    if (is_hop_by_hop(name, name_length)) {
        PyErr_Format(PyExc_ValueError,
                     "header %R is hop-by-hop: it belongs to the server",
                     PyTuple_GET_ITEM(header, 0));
        return -1;
    }
    n = (uint16_t)name_length;
    v = (uint32_t)value_length;
    if (head_reserve(exchange,
                     sizeof(n) + sizeof(v) + n + (size_t)value_length) < 0)
        return -1;
    head_put(exchange, &n, sizeof(n));
    head_put(exchange, name, n);
    head_put(exchange, &v, sizeof(v));
    head_put(exchange, value, v);
    return 0;
}

/* Check and pack a list of headers. */
static int
pack_headers(struct gw_exchange *exchange, PyObject *headers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        /* owned: checking calls repr on failure, which may run Python */
        PyObject *header = PyList_GET_ITEM(headers, i);
        int packed;
        Py_INCREF(header);
        packed = pack_header(exchange, header);
        Py_DECREF(header);
        if (packed < 0)
            return -1;
    }
    return 0;
}

static int
check_list(PyObject *headers)
{
    if (PyList_Check(headers))
        return 0;
    PyErr_Format(PyExc_TypeError, "headers must be a list, not %.200s",
                 Py_TYPE(headers)->tp_name);
    return -1;
}

/* Check and pack status and headers. On failure nothing is set. */
static int
pack_head(struct gw_exchange *exchange, PyObject *status, PyObject *headers)
{
    exchange->head_set = 0;
    exchange->head_length = 0;
    if (check_list(headers) < 0 || pack_status(exchange, status) < 0 ||
        pack_headers(exchange, headers) < 0)
        return -1;
    exchange->head_set = 1;
    return 0;
}

/* --- early hints --------------------------------------------------------- */

/* All hints of a request together, so that there is room for the head. */
#define GW_HINTS_PART 4

/* Put the packed headers into the ring as a hint. Returns 0, or -1. */
static int
publish_hint(struct gw_exchange *exchange)
{
    uint32_t n = (uint32_t)exchange->head_length;
    uint32_t most = gw_worker.segment->reply_bytes / GW_HINTS_PART;

    if (exchange->written + sizeof(n) + n > most) {
        PyErr_Format(PyExc_ValueError,
                     "the early hints of a request are larger than %u bytes",
                     (unsigned int)most);
        return -1;
    }
    append(exchange, (const char *)&n, sizeof(n));
    append(exchange, exchange->head, n);
    __atomic_store_n(&exchange->slot->hinted, exchange->written,
                     __ATOMIC_SEQ_CST);
    gw_slot_tell(exchange, GW_WAIT_REPLY);
    return 0;
}

/*
 * gw_early_hints: 103 Early Hints (RFC 8297) for the request of this thread.
 *
 * GIL      held
 * headers  borrowed: a list as for start_response, checked the same; an empty
 *          one sends nothing
 * returns  None (new); NULL with RuntimeError outside a request, or when its
 *          response has begun; with TypeError or ValueError for bad headers
 */
PyObject *
gw_early_hints(PyObject *headers)
{
    struct gw_exchange *exchange = gw_current;
    int done;

    if (exchange == NULL || gw_worker.forked) {
        PyErr_SetString(PyExc_RuntimeError,
                        "early_hints is called outside a request: this "
                        "thread runs none");
        return NULL;
    }
    if (exchange->head_set || exchange->slot->answered) {
        PyErr_SetString(PyExc_RuntimeError,
                        "early_hints is called after start_response");
        return NULL;
    }
    if (check_list(headers) < 0)
        return NULL;
    exchange->head_length = 0;
    done =
        PyList_GET_SIZE(headers) == 0 ||
        (pack_headers(exchange, headers) == 0 && publish_hint(exchange) == 0);
    if (!exchange->head_set) /* by a __repr__ that an error message called */
        exchange->head_length = 0;
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

/* --- start_response ------------------------------------------------------ */

/* exc_info has to look like sys.exc_info(), at whatever time it comes. */
static int
check_exc_info(PyObject *exc_info)
{
    if (PyTuple_Check(exc_info) && PyTuple_GET_SIZE(exc_info) == 3)
        return 0;
    PyErr_SetString(PyExc_TypeError,
                    "exc_info must be a tuple as sys.exc_info() gives");
    return -1;
}

/*
 * exc_info given after the head is out: raise it again (PEP 3333 §Error
 * Handling). Always returns NULL with an exception set.
 */
static PyObject *
reraise(PyObject *exc_info)
{
    PyObject *type, *value, *traceback;

    type = PyTuple_GET_ITEM(exc_info, 0);
    value = PyTuple_GET_ITEM(exc_info, 1);
    traceback = PyTuple_GET_ITEM(exc_info, 2);
    if (!PyExceptionClass_Check(type) || !PyExceptionInstance_Check(value)) {
        PyErr_SetString(PyExc_TypeError,
                        "exc_info must hold an exception and its type");
        return NULL;
    }
    Py_INCREF(type);
    Py_INCREF(value);
    if (traceback == Py_None)
        traceback = NULL;
    Py_XINCREF(traceback);
    PyErr_Restore(type, value, traceback); /* steals all three */
    return NULL;
}

static int
parse_arguments(PyObject *args, PyObject *kwargs, PyObject **status,
                PyObject **headers, PyObject **exc_info)
{
    static char *names[] = {"status", "headers", "exc_info", NULL};

    *exc_info = Py_None;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:start_response",
                                       names, status, headers, exc_info)
               ? 0
               : -1;
}

/*
 * start_response(status, headers, exc_info=None) -> write
 *
 * A second call is an error unless exc_info says that an error is being
 * reported; that one replaces the head while it is not sent, and raises the
 * application's exception again when it is.
 * Source: PEP 3333 §The start_response() Callable, §Error Handling.
 */
static PyObject *
start_response_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    StartResponse *self = (StartResponse *)op;
    PyObject *status, *headers, *exc_info;
    Write *write;

    if (parse_arguments(args, kwargs, &status, &headers, &exc_info) < 0)
        return NULL;
    if (self->exchange == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "start_response is called after its request ended");
        return NULL;
    }
    if (exc_info != Py_None && check_exc_info(exc_info) < 0)
        return NULL;
    if (exc_info != Py_None && self->exchange->head_sent)
        return reraise(exc_info);
    if (exc_info == Py_None && self->exchange->head_set) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response is called twice without exc_info");
        return NULL;
    }
    if (pack_head(self->exchange, status, headers) < 0)
        return NULL;
    write = PyObject_New(Write, write_type);
    if (write == NULL)
        return NULL;
    Py_INCREF(self);
    write->owner = self;
    return (PyObject *)write;
}

static void
start_response_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_Free(self);
    Py_DECREF(type);
}

/* --- write --------------------------------------------------------------- */

/* write(block): PEP 3333 §The write() Callable. */
static PyObject *
write_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    Write *self = (Write *)op;
    struct gw_exchange *exchange = self->owner->exchange;
    PyObject *block;

    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) ||
        PyTuple_GET_SIZE(args) != 1) {
        PyErr_SetString(PyExc_TypeError,
                        "write() takes exactly one bytes argument");
        return NULL;
    }
    block = PyTuple_GET_ITEM(args, 0); /* borrowed, args keeps it alive */
    if (!PyBytes_Check(block)) {
        PyErr_Format(PyExc_TypeError, "write() needs bytes, not %.200s",
                     Py_TYPE(block)->tp_name);
        return NULL;
    }
    if (exchange == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "write is called after its request ended");
        return NULL;
    }
    if (exchange->dropped) {
        errno = EPIPE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (!exchange->head_set) {
        PyErr_SetString(PyExc_AssertionError,
                        "write is called after start_response has failed");
        return NULL;
    }
    if (PyBytes_GET_SIZE(block) > 0 &&
        gw_reply_write(exchange, PyBytes_AS_STRING(block),
                       (size_t)PyBytes_GET_SIZE(block),
                       &self->owner->exchange) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static void
write_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF(((Write *)self)->owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* --- types --------------------------------------------------------------- */

static PyType_Slot start_response_slots[] = {
    {Py_tp_doc, "start_response(status, headers, exc_info=None) -> write"},
    {Py_tp_call, start_response_call},
    {Py_tp_dealloc, start_response_dealloc},
    {0, NULL},
};

static PyType_Spec start_response_spec = {
    .name = "_gowsgi.StartResponse",
    .basicsize = sizeof(StartResponse),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = start_response_slots,
};

static PyType_Slot write_slots[] = {
    {Py_tp_doc, "write(block): send one bytes block to the client"},
    {Py_tp_call, write_call},
    {Py_tp_dealloc, write_dealloc},
    {0, NULL},
};

static PyType_Spec write_spec = {
    .name = "_gowsgi.Write",
    .basicsize = sizeof(Write),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = write_slots,
};

/* gw_respond_ready: create the types. GIL: held. Returns 0 or -1. */
int
gw_respond_ready(void)
{
    start_response_type =
        (PyTypeObject *)PyType_FromSpec(&start_response_spec);
    write_type = (PyTypeObject *)PyType_FromSpec(&write_spec);
    if (start_response_type == NULL || write_type == NULL)
        return -1;
    /* made here only: one made by calling its type would have no exchange */
    start_response_type->tp_new = NULL;
    write_type->tp_new = NULL;
    return 0;
}

/*
 * gw_start_response_new: the callable for one exchange. GIL: held. New
 * reference or NULL. The caller expires it before giving the slot up.
 */
PyObject *
gw_start_response_new(struct gw_exchange *exchange)
{
    StartResponse *self = PyObject_New(StartResponse, start_response_type);

    if (self == NULL)
        return NULL;
    self->exchange = exchange;
    return (PyObject *)self;
}

/*
 * gw_start_response_expire: later calls of it and of its write raise; a write
 * that another thread is in the middle of is woken. GIL: held. Borrows.
 */
void
gw_start_response_expire(PyObject *op)
{
    StartResponse *self = (StartResponse *)op;

    if (self->exchange != NULL && self->exchange->writing)
        gw_slot_nudge(self->exchange);
    self->exchange = NULL;
}

/* gw_start_response_live: where gw_reply_write learns that it expired. */
struct gw_exchange **
gw_start_response_live(PyObject *op)
{
    return &((StartResponse *)op)->exchange;
}

/*
 * exchange.c: one request as one WSGI call, in the order of PEP 3333
 * §Specification Details: environ, call, iterate, close.
 */
#include "gowsgi.h"

#include <string.h>
#include <unistd.h>

/* The Python objects of one exchange; all owned, all may be NULL. */
struct call {
    struct gw_exchange *exchange;
    PyObject *input;
    PyObject *start_response;
    PyObject *iterable;
};

_Thread_local struct gw_exchange *gw_current;

static PyObject *name_close;      /* interned "close" */
static PyObject *name_wsgi_input; /* interned "wsgi.input" */

/*
 * gw_leave_if_forked: end a process that the application forked and that came
 * back here instead of leaving by os._exit: it must not answer the parent's
 * request a second time, nor take the next one. An exception that brought it
 * here, which may be set, decides how it ends: sys.exit(3) ends it with 3.
 *
 * GIL      held
 * returns  only in worker and zygote themselves, with nothing touched
 */
void
gw_leave_if_forked(void)
{
    PyObject *type, *value, *traceback, *code;

    if (!gw_worker.forked)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL && value != NULL)
        PyException_SetTraceback(value, traceback);
    code = PyObject_CallMethod(gw_worker.host, "end_child", "O",
                               value != NULL ? value : Py_None);
    _exit(code != NULL && PyLong_Check(code) ? (int)PyLong_AsLong(code) : 1);
}

/* Call application(environ, start_response). Returns 0, or -1. */
static int
call_application(struct call *call)
{
    PyObject *environ = gw_environ_build(call->exchange);
    int ok;

    if (environ == NULL)
        return -1;
    call->input = gw_input_new(call->exchange);
    call->start_response = gw_start_response_new(call->exchange);
    ok = call->input != NULL && call->start_response != NULL &&
         PyDict_SetItem(environ, name_wsgi_input, call->input) == 0;
    if (ok)
        call->iterable = PyObject_CallFunctionObjArgs(
            gw_worker.application, environ, call->start_response, NULL);
    gw_leave_if_forked();
    Py_DECREF(environ);
    return call->iterable != NULL ? 0 : -1;
}

/* Whether len() is worth asking: a TypeError for each generator is not. */
static int
has_length(PyTypeObject *type)
{
    return (type->tp_as_sequence != NULL &&
            type->tp_as_sequence->sq_length != NULL) ||
           (type->tp_as_mapping != NULL &&
            type->tp_as_mapping->mp_length != NULL);
}

/*
 * How many items the iterable says it has, or -1 when it does not say.
 * A len() that fails is as good as none.
 */
static Py_ssize_t
declared_items(PyObject *iterable)
{
    Py_ssize_t n;

    if (PyList_CheckExact(iterable))
        return PyList_GET_SIZE(iterable);
    if (PyTuple_CheckExact(iterable))
        return PyTuple_GET_SIZE(iterable);
    if (!has_length(Py_TYPE(iterable)))
        return -1;
    n = PyObject_Size(iterable);
    if (n < 0)
        PyErr_Clear();
    return n;
}

/* PEP 3333: blocks are bytes; the error names what came instead. */
static int
check_block(PyObject *block)
{
    if (PyBytes_Check(block))
        return 0;
    PyErr_Format(PyExc_TypeError,
                 "the application's iterable must give bytes, not %.200s",
                 Py_TYPE(block)->tp_name);
    return -1;
}

/* The body may begin only after start_response. */
static int
check_started(struct gw_exchange *exchange)
{
    if (exchange->head_set)
        return 0;
    PyErr_SetString(PyExc_AssertionError,
                    "the application gave a block before it called "
                    "start_response");
    return -1;
}

/* Send one non-empty block. Returns 0, or -1. */
static int
send_block(struct call *call, PyObject *block)
{
    struct gw_exchange *exchange = call->exchange;

    if (check_started(exchange) < 0)
        return -1;
    return gw_reply_write(exchange, PyBytes_AS_STRING(block),
                          (size_t)PyBytes_GET_SIZE(block),
                          gw_start_response_live(call->start_response));
}

/*
 * Iterate to the end, or until the front wants no more.
 *
 * A generator calls start_response on its first step only, so nothing about
 * status or headers is looked at before a block is there.
 */
static int
send_blocks(struct call *call)
{
    PyObject *iterator = PyObject_GetIter(call->iterable);
    PyObject *block;
    int sent = 0;

    if (iterator == NULL)
        return -1;
    while (sent == 0 && !call->exchange->dropped &&
           (block = PyIter_Next(iterator)) != NULL) {
        gw_leave_if_forked();
        sent = check_block(block);
        if (sent == 0 && PyBytes_GET_SIZE(block) > 0)
            sent = send_block(call, block);
        else if (sent == 0 && gw_slot_aborted(call->exchange))
            call->exchange->dropped = 1;
        Py_DECREF(block);
    }
    gw_leave_if_forked();
    Py_DECREF(iterator);
    return sent < 0 || PyErr_Occurred() ? -1 : 0;
}

/*
 * The usual answer: a list with one block. Head, block and length go out in
 * one publication and nothing is waited for; there is no close() to call.
 * Returns 1 when it was such an answer and is sent, 0 when not, -1.
 */
static int
send_single(struct call *call)
{
    struct gw_exchange *exchange = call->exchange;
    PyObject *block;

    if (!PyList_CheckExact(call->iterable) ||
        PyList_GET_SIZE(call->iterable) != 1 || exchange->head_sent)
        return 0;
    block = PyList_GET_ITEM(call->iterable, 0);
    if (check_block(block) < 0 || check_started(exchange) < 0)
        return -1;
    if (exchange->head_length + (size_t)PyBytes_GET_SIZE(block) >
        gw_worker.segment->reply_bytes - exchange->written)
        return 0;
    gw_reply_single(exchange, PyBytes_AS_STRING(block),
                    (size_t)PyBytes_GET_SIZE(block));
    return 1;
}

/* Whether the iterable is a wsgi.file_wrapper, of that very type. */
static int
is_wrapper(PyObject *iterable)
{
    return (PyObject *)Py_TYPE(iterable) == gw_worker.wrapper;
}

/*
 * Have the front send what is left of a real file: PEP 3333 §Optional
 * Platform-Specific File Handling. host.py knows which files are real. This
 * thread is then free while the client reads, which a function that waits for
 * the client would undo: with one of those, blocks are sent as ever.
 * Returns 1 when the file is on its way, 0 when it has to be iterated, -1.
 */
static int
send_file(struct call *call)
{
    struct gw_exchange *exchange = call->exchange;
    PyObject *place;
    long long offset;
    int fd;

    if (!is_wrapper(call->iterable) || !exchange->head_set ||
        exchange->head_sent || exchange->after != NULL)
        return 0;
    place = PyObject_CallFunctionObjArgs(gw_worker.locate, call->iterable,
                                         NULL); /* (fd, offset) or None */
    gw_leave_if_forked();
    if (place == NULL)
        return -1;
    if (place == Py_None) {
        Py_DECREF(place);
        return 0;
    }
    if (!PyArg_ParseTuple(place, "iL", &fd, &offset)) {
        Py_DECREF(place);
        return -1;
    }
    Py_DECREF(place);
    if (exchange->head_sent || exchange->after != NULL ||
        gw_reply_file_pass(exchange->index, (uint32_t)(exchange->word >> 32),
                           fd) < 0)
        return 0; /* the front may be short of descriptors */
    gw_reply_file(exchange, (int64_t)offset);
    return 1;
}

/*
 * Everything between the call and close(). PEP 3333 §Handling the
 * Content-Length Header: with one item the length is known from that item.
 */
static int
send_body(struct call *call)
{
    struct gw_exchange *exchange = call->exchange;
    int single = send_single(call);

    if (single == 0)
        single = send_file(call);
    if (single != 0)
        return single < 0 ? -1 : 0;
    exchange->items = declared_items(call->iterable);
    if (send_blocks(call) < 0)
        return -1;
    if (exchange->writing && !gw_slot_aborted(exchange)) {
        /* half a block must not pass for a whole answer */
        PyErr_SetString(PyExc_RuntimeError,
                        "the application ended while another thread of it "
                        "was inside write()");
        return -1;
    }
    if (exchange->head_sent || exchange->dropped)
        return 0;
    if (check_started(exchange) < 0)
        return -1;
    gw_reply_bare(exchange);
    return 0;
}

/* close(), exactly once, whatever happened before (PEP 3333 §Specification
 * Details). Must not be entered with an exception set. */
static int
close_iterable(PyObject *iterable)
{
    PyObject *close, *closed;

    if (PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable))
        return 0;
    close = PyObject_GetAttr(iterable, name_close);
    if (close == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    closed = PyObject_CallNoArgs(close);
    gw_leave_if_forked();
    Py_DECREF(close);
    Py_XDECREF(closed);
    return closed == NULL ? -1 : 0;
}

/* Add a UTF-8 text to the fault area. Of one that does not fit the end is
 * kept, from a whole character on: a traceback names the exception last. */
static void
store_fault(struct gw_exchange *exchange, const char *text, size_t length)
{
    uint32_t *stored = &exchange->slot->fault_length;
    uint32_t room = gw_worker.segment->fault_bytes - *stored;

    if (length > room) {
        text += length - room;
        length = room;
        while (length > 0 && ((unsigned char)*text & 0xc0) == 0x80)
            text++, length--;
    }
    memcpy(exchange->fault + *stored, text, length);
    *stored += (uint32_t)length;
}

/*
 * Turn the exception that is set into a traceback for the front, and clear
 * it. SystemExit and KeyboardInterrupt are the application's failure like any
 * other: neither ends the worker.
 */
static void
report_exception(struct gw_exchange *exchange)
{
    static const char unprintable[] =
        "the exception could not be turned into text";
    PyObject *type, *value, *traceback, *text = NULL;
    const char *utf8 = NULL;
    Py_ssize_t length = 0;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL && value != NULL)
        PyException_SetTraceback(value, traceback);
    if (value != NULL)
        text = PyObject_CallFunctionObjArgs(gw_worker.describe, value, NULL);
    if (text != NULL)
        utf8 = PyUnicode_AsUTF8AndSize(text, &length);
    if (utf8 == NULL) {
        PyErr_Clear();
        utf8 = unprintable;
        length = sizeof(unprintable) - 1;
    }
    store_fault(exchange, utf8, (size_t)length);
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Failures of a signal handler that ran outside the application. GIL: held. */
static void
report_signal_failure(void)
{
    PyErr_WriteUnraisable(gw_worker.application);
}

/*
 * gw_exchange_after: run something after the response that this thread gives.
 *
 * GIL      held
 * call     borrowed tuple: function, tuple of arguments, dict of named ones
 * returns  0; -1 with RuntimeError outside a request
 */
int
gw_exchange_after(PyObject *call)
{
    struct gw_exchange *exchange = gw_current;

    if (exchange == NULL || gw_worker.forked) {
        PyErr_SetString(PyExc_RuntimeError,
                        "after_response is called outside a request: this "
                        "thread runs none");
        return -1;
    }
    if (exchange->after == NULL)
        exchange->after = PyList_New(0);
    if (exchange->after == NULL)
        return -1;
    return PyList_Append(exchange->after, call);
}

/* Sleep until the client has everything, or is gone. GIL: released inside. */
static void
wait_until_sent(struct gw_exchange *exchange)
{
    while (!gw_slot_sent(exchange)) {
        uint32_t nudge = gw_slot_doze(exchange);
        if (!gw_slot_sent(exchange)) {
            Py_BEGIN_ALLOW_THREADS
            gw_slot_sleep(exchange->slot, nudge);
            Py_END_ALLOW_THREADS
        }
        gw_slot_wake(exchange);
        if (PyErr_CheckSignals() < 0)
            report_signal_failure();
        gw_leave_if_forked(); /* by a signal handler */
    }
}

/*
 * Run the functions of the list, in order; one that fails stops no other. A
 * function may add more: the list is looked at anew.
 */
static void
run_listed(struct gw_exchange *exchange)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(exchange->after); i++) {
        PyObject *call = PyList_GET_ITEM(exchange->after, i); /* borrowed */
        PyObject *result =
            PyObject_Call(PyTuple_GET_ITEM(call, 0), PyTuple_GET_ITEM(call, 1),
                          PyTuple_GET_ITEM(call, 2));
        gw_leave_if_forked();
        if (result == NULL)
            report_exception(exchange);
        Py_XDECREF(result);
    }
    Py_CLEAR(exchange->after);
    gw_leave_if_forked(); /* by the last breath of an argument */
}

/*
 * Run what the application wants run after the response. Objects that go with
 * the list may add to it again, to a new one then.
 */
static void
run_after(struct gw_exchange *exchange, uint32_t outcome)
{
    if (outcome == GW_DROPPED)
        exchange->slot->fault_length = 0; /* of no interest to the front */
    gw_slot_answered(exchange, outcome);
    wait_until_sent(exchange);
    while (exchange->after != NULL)
        run_listed(exchange);
}

/*
 * gw_exchange_serve: run one opened exchange to its end.
 *
 * GIL      held; released while it waits for body bytes or for room
 * returns  nothing: every failure becomes this exchange's outcome. No
 *          exception is left set, and the slot is the front's again.
 */
void
gw_exchange_serve(struct gw_exchange *exchange)
{
    struct call call = {exchange, NULL, NULL, NULL};
    uint32_t outcome = GW_COMPLETE;

    exchange->slot->fault_length = 0;
    exchange->slot->head_length = 0;
    gw_current = exchange;
    if (call_application(&call) < 0 || send_body(&call) < 0) {
        /* the client went first and the application noticed: not its fault */
        outcome = exchange->dropped ? GW_DROPPED : GW_RAISED;
        report_exception(exchange);
    }
    if (call.iterable != NULL && close_iterable(call.iterable) < 0) {
        /* the answer is complete all the same; of two failures the first is
         * the request's, and this one goes to the log by itself */
        if (outcome == GW_COMPLETE)
            report_exception(exchange);
        else
            PyErr_WriteUnraisable(call.iterable);
    }
    if (exchange->dropped && outcome == GW_COMPLETE)
        outcome = GW_DROPPED;
    if (call.input != NULL)
        gw_input_expire(call.input);
    if (call.start_response != NULL)
        gw_start_response_expire(call.start_response);
    if (exchange->after != NULL)
        run_after(exchange, outcome);
    gw_current = NULL;
    gw_slot_finish(exchange, outcome);
    Py_XDECREF(call.iterable);
    Py_XDECREF(call.input);
    Py_XDECREF(call.start_response);
}

/* Whether the front has told this worker to leave. */
static int
told_to_leave(void)
{
    return __atomic_load_n(&gw_worker.segment->order, __ATOMIC_SEQ_CST) ==
           GW_LEAVE;
}

/* How spinning went of late, for one thread: above 0, spin. */
#define LUCK_MOST 8
#define LUCK_LEAST (-32)

/*
 * Look for work without sleeping. Worth it when requests follow each other
 * closely, a waste when they do not, so it goes by how it went of late; and
 * one thread that looks is enough. Returns 1 if there is something.
 */
static int
spin_for_work(int *luck)
{
    int found = 0;

    if (*luck <= 0) {
        if (--*luck < LUCK_LEAST)
            *luck = 1;
        return 0;
    }
    if (__atomic_exchange_n(&gw_worker.spinning, 1, __ATOMIC_ACQUIRE))
        return 0;
    for (long i = 0; i < gw_worker.spin && !found; i++) {
        gw_pause();
        found = gw_slot_any_ready() || told_to_leave();
    }
    __atomic_store_n(&gw_worker.spinning, 0, __ATOMIC_RELEASE);
    if (!found)
        --*luck;
    else if (*luck < LUCK_MOST)
        ++*luck;
    return found;
}

/* A short look, about as long as the front takes to bring the next of many
 * requests: a sleep and a wake-up would cost both sides more. */
static int
glance_for_work(void)
{
    for (long i = 0; i < gw_worker.spin / GW_GLANCE_PART; i++) {
        gw_pause();
        if (gw_slot_any_ready())
            return 1;
    }
    return 0;
}

/*
 * Sleep until there may be a request or an order, after a long look if the
 * last request came `alone` and a short one if not: among many requests the
 * processor is better used by the front and its clients. GIL: released by the
 * caller. sleepers is raised before the last look at the slots, and the front
 * looks at sleepers after it has made a slot READY.
 */
static void
wait_for_work(int alone, int *luck)
{
    struct gw_segment *s = gw_worker.segment;
    uint32_t seen;

    if (alone ? spin_for_work(luck) : glance_for_work())
        return;
    seen = __atomic_load_n(&s->kick, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&s->sleepers, 1, __ATOMIC_SEQ_CST);
    if (!gw_slot_any_ready() && !told_to_leave())
        gw_futex_wait(&s->kick, seen, -1);
    __atomic_sub_fetch(&s->sleepers, 1, __ATOMIC_SEQ_CST);
}

/*
 * gw_exchange_loop: serve requests on this thread until told to leave.
 *
 * GIL      held; released while there is nothing to do
 * owner    number of the thread, from 0
 * returns  None (new), or NULL when there is no memory to begin with
 */
PyObject *
gw_exchange_loop(uint32_t owner)
{
    struct gw_exchange *exchange = PyMem_RawCalloc(1, sizeof(*exchange));
    int luck = LUCK_MOST, alone = 0, failed;

    if (exchange == NULL)
        return PyErr_NoMemory();
    for (;;) {
        if (gw_slot_take(owner, exchange)) {
            alone = exchange->slot->alone != 0;
            gw_exchange_serve(exchange);
            continue;
        }
        if (told_to_leave())
            break;
        Py_BEGIN_ALLOW_THREADS
        wait_for_work(alone, &luck);
        Py_END_ALLOW_THREADS
        failed = PyErr_CheckSignals() < 0;
        gw_leave_if_forked(); /* by a signal handler */
        if (failed)
            report_signal_failure();
    }
    PyMem_RawFree(exchange->head);
    PyMem_RawFree(exchange);
    Py_RETURN_NONE;
}

/* gw_exchange_ready: intern the names used above. GIL: held. 0 or -1. */
int
gw_exchange_ready(void)
{
    name_close = PyUnicode_InternFromString("close");
    name_wsgi_input = PyUnicode_InternFromString("wsgi.input");
    return name_close == NULL || name_wsgi_input == NULL ? -1 : 0;
}

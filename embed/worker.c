/*
 * worker.c: a worker from its fork to its _exit, and the module through which
 * host.py reaches the C side.
 */
#include "gowsgi.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control.h"

struct gw_worker gw_worker;

/* _gowsgi.configure(keys): keys is a tuple of str. */
static PyObject *
module_configure(PyObject *Py_UNUSED(module), PyObject *names)
{
    if (gw_environ_keys(names) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _gowsgi.serve(owner): serve requests on this thread until told to leave. */
static PyObject *
module_serve(PyObject *Py_UNUSED(module), PyObject *owner)
{
    long number = PyLong_AsLong(owner);

    if (number == -1 && PyErr_Occurred())
        return NULL;
    return gw_exchange_loop((uint32_t)number);
}

/* _gowsgi.wait(): sleep until told to leave; signal handlers run meanwhile. */
static PyObject *
module_wait(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    uint32_t *order = &gw_worker.segment->order;
    int failed;

    while (__atomic_load_n(order, __ATOMIC_SEQ_CST) == GW_SERVE) {
        Py_BEGIN_ALLOW_THREADS
        gw_futex_wait(order, GW_SERVE, -1);
        Py_END_ALLOW_THREADS
        failed = PyErr_CheckSignals() < 0;
        gw_leave_if_forked(); /* by a signal handler */
        if (failed)
            PyErr_WriteUnraisable(gw_worker.application);
    }
    Py_RETURN_NONE;
}

/*
 * _gowsgi.forked(): called in the child of each fork that Python knows of, and
 * says whether it is the application's and not a worker. Nothing of the
 * zygote's stays open in one forked while preloading: with the control socket
 * the front would not see the zygote's end.
 */
static PyObject *
module_forked(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (gw_worker.born)
        Py_RETURN_FALSE;
    gw_worker.forked = 1;
    gw_descriptors_drop();
    gw_signals_forked();
    Py_RETURN_TRUE;
}

/* _gowsgi.after((function, args, kwargs)): see gw_exchange_after. */
static PyObject *
module_after(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *positional, *named;

    if (!PyArg_ParseTuple(args, "OO!O!:after", &function, &PyTuple_Type,
                          &positional, &PyDict_Type, &named) ||
        gw_exchange_after(args) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _gowsgi.request_id(): of the request this thread runs, or None. */
static PyObject *
module_request_id(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (gw_current == NULL || gw_worker.forked)
        Py_RETURN_NONE;
    return gw_environ_request_id(gw_current);
}

/* _gowsgi.early_hints(headers): see gw_early_hints. */
static PyObject *
module_early_hints(PyObject *Py_UNUSED(module), PyObject *headers)
{
    return gw_early_hints(headers);
}

/* _gowsgi.worker_id(): the number of this worker; None in a process that is
 * none. */
static PyObject *
module_worker_id(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (gw_worker.id == 0 || gw_worker.forked)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(gw_worker.id);
}

/* _gowsgi.stacks_ready(): faulthandler has the signal; see stacks.c. */
static PyObject *
module_stacks_ready(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    gw_stacks_name("zygote");
    gw_stacks_ready();
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"configure", module_configure, METH_O,
     "configure(keys): learn the well-known environ keys, a tuple of str"},
    {"serve", module_serve, METH_O,
     "serve(owner): serve requests on this thread until told to leave"},
    {"forked", module_forked, METH_NOARGS,
     "forked(): note that this process was forked; whether by the application"},
    {"after", module_after, METH_VARARGS,
     "after(function, args, kwargs): call it after this thread's response"},
    {"early_hints", module_early_hints, METH_O,
     "early_hints(headers): send 103 Early Hints before the response, which\n"
     "start_response must not have begun; headers is a list like its own"},
    {"request_id", module_request_id, METH_NOARGS,
     "request_id() -> str, or None outside a request"},
    {"worker_id", module_worker_id, METH_NOARGS,
     "worker_id() -> int, or None in a process that is no worker"},
    {"stacks_ready", module_stacks_ready, METH_NOARGS,
     "stacks_ready(): faulthandler has been registered for STACKS_SIGNAL"},
    {"wait", module_wait, METH_NOARGS, "wait(): sleep until told to leave"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_gowsgi",
    .m_doc = "The C side of a gowsgi worker; used by its host module only.",
    .m_size = -1,
    .m_methods = module_methods,
};

static PyObject *
module_init(void)
{
    PyObject *module;

    if (gw_input_ready() < 0 || gw_respond_ready() < 0 ||
        gw_exchange_ready() < 0)
        return NULL;
    module = PyModule_Create(&module_definition);
    if (module != NULL &&
        PyModule_AddIntConstant(module, "STACKS_SIGNAL", GW_STACKS_SIGNAL) < 0)
        Py_CLEAR(module);
    return module;
}

/* gw_module_register: make _gowsgi importable. Before CPython starts. */
int
gw_module_register(void)
{
    return PyImport_AppendInittab("_gowsgi", module_init);
}

/* gw_host_set: the module workers call; takes the reference over. */
void
gw_host_set(PyObject *host)
{
    gw_worker.host = host;
}

/* cpy3 links against this name, which CPython has long renamed. Not called. */
__attribute__((weak)) int
PySignal_SetWakeupFd(int Py_UNUSED(fd))
{
    return -1;
}

/* Leave at once: no atexit, no Go, nothing of the zygote's is undone twice. */
static _Noreturn void
leave(int code)
{
    _exit(code);
}

/*
 * Call a function of host.py that answers with an object, or leave: host.py
 * reports what went wrong and raises SystemExit with the code. New reference.
 */
static PyObject *
host_call(const char *name, PyObject *argument)
{
    PyObject *method = PyObject_GetAttrString(gw_worker.host, name);
    PyObject *result = NULL;

    if (method != NULL)
        result = argument == NULL
                     ? PyObject_CallNoArgs(method)
                     : PyObject_CallFunctionObjArgs(method, argument, NULL);
    Py_XDECREF(method);
    if (result == NULL) {
        int code = 1;
        if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
            PyObject *type, *value, *traceback, *number;
            PyErr_Fetch(&type, &value, &traceback);
            PyErr_NormalizeException(&type, &value, &traceback);
            number = PyObject_GetAttrString(value, "code");
            if (number != NULL && PyLong_Check(number))
                code = (int)PyLong_AsLong(number);
        }
        else {
            PyErr_Print();
        }
        leave(code);
    }
    return result;
}

/* Something that host.py defines, or leave. New reference. */
static PyObject *
host_get(const char *name)
{
    PyObject *found = PyObject_GetAttrString(gw_worker.host, name);

    if (found == NULL) {
        PyErr_Print();
        leave(1);
    }
    return found;
}

/* The zygote dies, so do we; set before anything else can take time. */
static void
tie_to_zygote(pid_t zygote)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != zygote)
        leave(0);
}

/*
 * Let whoever is at work finish: a worker that is woken for a request does not
 * take the processor from the front, which is about to bring the next one, or
 * from another worker (sched(7), SCHED_BATCH). Its share stays the same. What
 * the application starts inherits it. Refused, nothing is lost but speed.
 */
static void
yield_to_others(void)
{
    struct sched_param none = {0};

    sched_setscheduler(0, SCHED_BATCH, &none);
}

/*
 * Make `fd` standard error, and blocking: Go makes its pipes non-blocking, and
 * Python's text streams lose what such a pipe does not take at once.
 */
static void
take_stderr(int fd)
{
    dup2(fd, STDERR_FILENO);
    close(fd);
    fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) & ~O_NONBLOCK);
}

static void
tell_status(uint32_t status)
{
    __atomic_store_n(&gw_worker.segment->status, status, __ATOMIC_SEQ_CST);
    gw_bell_ring(0);
}

/*
 * gw_worker_main: the life of a worker; entered right after fork, in the
 * child, with all signals blocked and the GIL held.
 *
 * zygote   pid of the process that forked us
 * fds      descriptors, ours to keep: shared memory, eventfd, the pipe that
 *          becomes standard error, and the socket of passing.c
 * returns  never. It leaves with 0 when told to, GW_EXIT_* when the
 *          application cannot be served.
 */
_Noreturn void
gw_worker_main(uint32_t id, pid_t zygote, const int *fds)
{
    int segment = fds[0];
    char why[200], who[32];
    PyObject *number, *entered;

    tie_to_zygote(zygote);
    yield_to_others();
    take_stderr(fds[2]);
    gw_worker.id = id; /* first: fork hooks of the application may ask */
    snprintf(who, sizeof(who), "worker %u", id);
    gw_stacks_name(who);
    gw_signals_own();
    gw_signals_unblock();
    gw_worker.born = 1;
    PyOS_AfterFork_Child();
    gw_worker.born = 0;
    if (gw_segment_attach(segment, &gw_worker.segment, why, sizeof(why)) < 0) {
        fprintf(stderr, "gowsgi: worker %u: %s [GW101]\n", id, why);
        leave(GW_EXIT_CHANNEL);
    }
    close(segment);
    gw_worker.bell = fds[1];
    gw_worker.passing = fds[3];
    gw_worker.spin = gw_spin_limit(GW_SPIN_NS);

    number = PyLong_FromUnsignedLong(id);
    entered = host_call("enter", number); /* (application, environ, title) */
    Py_DECREF(number);
    gw_worker.application = PyTuple_GetItem(entered, 0); /* kept by entered, */
    gw_worker.environ = PyTuple_GetItem(entered, 1);     /* which is never */
    gw_worker.describe = PyTuple_GetItem(entered, 2);    /* released */
    gw_title_set(PyUnicode_AsUTF8(PyTuple_GetItem(entered, 3)));
    gw_worker.wrapper = host_get("FileWrapper");
    gw_worker.locate = host_get("locate");

    tell_status(GW_SERVING);
    number = PyLong_FromUnsignedLong(gw_worker.segment->threads);
    Py_DECREF(host_call("serve", number));
    Py_DECREF(number);
    tell_status(GW_LEAVING);
    Py_DECREF(host_call("leave", NULL));
    leave(0);
}

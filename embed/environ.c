/*
 * environ.c: from a packed environ to the dict the application gets.
 *
 * The packed form is described in environ/pack.go: a sequence of
 *
 *     u16 key            number of a well-known key, or 0
 *     [u16 n, n bytes]   the key itself, only when the number is 0
 *     u32 n, n bytes     the value, one byte per character
 *
 * Keep-alive clients send the same Host, User-Agent and so on with every
 * request, so each well-known key remembers its last short value and hands
 * the same str out again: a memcmp instead of an allocation.
 */
#include "gowsgi.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packed environ is little endian and read by memcpy"
#endif

/* Longer values are not worth comparing, and not worth keeping alive. */
#define GW_REMEMBERED_VALUE 256

static struct gw_key *keys;
static uint32_t key_count;
static uint32_t request_id_key; /* the number of "gowsgi.request_id" */

/*
 * gw_environ_keys: learn the well-known keys; number i+1 is names[i].
 *
 * GIL      held
 * names    borrowed tuple of str, interned here
 * returns  0, or -1 with an exception set. Called once, before any fork.
 *          The table is never freed: process lifetime.
 */
int
gw_environ_keys(PyObject *names)
{
    Py_ssize_t n = PyTuple_Size(names);

    if (n < 0)
        return -1;
    keys = PyMem_Calloc((size_t)n, sizeof(*keys));
    if (keys == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name = PyTuple_GetItem(names, i); /* borrowed */
        if (!PyUnicode_Check(name)) {
            PyErr_SetString(PyExc_TypeError, "environ keys must be str");
            return -1;
        }
        Py_INCREF(name);
        PyUnicode_InternInPlace(&name);
        keys[i].name = name;
        if (PyUnicode_CompareWithASCIIString(name, "gowsgi.request_id") == 0)
            request_id_key = (uint32_t)i + 1;
    }
    key_count = (uint32_t)n;
    return 0;
}

/* Remember `value` (borrowed) as the last one of `key`. Failure is harmless.
 */
static void
remember(struct gw_key *key, PyObject *value, const char *bytes,
         uint32_t length)
{
    if (length > GW_REMEMBERED_VALUE)
        return;
    if (key->bytes == NULL) {
        key->bytes = PyMem_Malloc(GW_REMEMBERED_VALUE);
        if (key->bytes == NULL)
            return;
    }
    memcpy(key->bytes, bytes, length);
    key->length = length;
    Py_INCREF(value);
    Py_XSETREF(key->value, value);
}

/* The value of a well-known key. New reference, or NULL. */
static PyObject *
known_value(struct gw_key *key, const char *bytes, uint32_t length)
{
    PyObject *value;

    if (key->value != NULL && key->length == length &&
        memcmp(key->bytes, bytes, length) == 0) {
        Py_INCREF(key->value);
        return key->value;
    }
    value = PyUnicode_DecodeLatin1(bytes, length, NULL);
    if (value != NULL)
        remember(key, value, bytes, length);
    return value;
}

/* A reader over the packed bytes. */
struct reader {
    const unsigned char *at;
    const unsigned char *end;
};

static int
read_number(struct reader *r, void *number, size_t size)
{
    if ((size_t)(r->end - r->at) < size)
        return -1;
    memcpy(number, r->at, size);
    r->at += size;
    return 0;
}

static const char *
read_bytes(struct reader *r, size_t length)
{
    const char *bytes = (const char *)r->at;

    if ((size_t)(r->end - r->at) < length)
        return NULL;
    r->at += length;
    return bytes;
}

/* One entry, where it lies. */
struct entry {
    uint16_t number;      /* of a well-known key, or 0 */
    uint16_t name_length; /* with number 0 */
    uint32_t length;
    const char *name; /* with number 0 */
    const char *bytes;
};

/* The next entry of `r`. Returns 0, or -1 with an exception. */
static int
read_entry(struct reader *r, struct entry *e)
{
    if (read_number(r, &e->number, sizeof(e->number)) < 0 ||
        e->number > key_count)
        goto damaged;
    if (e->number == 0) {
        if (read_number(r, &e->name_length, sizeof(e->name_length)) < 0 ||
            (e->name = read_bytes(r, e->name_length)) == NULL)
            goto damaged;
    }
    if (read_number(r, &e->length, sizeof(e->length)) < 0 ||
        (e->bytes = read_bytes(r, e->length)) == NULL)
        goto damaged;
    return 0;

damaged:
    PyErr_SetString(PyExc_SystemError, "gowsgi: packed environ is damaged");
    return -1;
}

/* Store the next entry of `r` in `environ`. Returns 0, or -1. */
static int
store_entry(struct reader *r, PyObject *environ)
{
    struct entry e;
    PyObject *key, *value;
    int stored;

    if (read_entry(r, &e) < 0)
        return -1;
    if (e.number != 0) {
        struct gw_key *known = &keys[e.number - 1];
        key = known->name;
        Py_INCREF(key);
        value = known_value(known, e.bytes, e.length);
    }
    else {
        key = PyUnicode_DecodeLatin1(e.name, e.name_length, NULL);
        value = PyUnicode_DecodeLatin1(e.bytes, e.length, NULL);
    }
    stored = key == NULL || value == NULL
                 ? -1
                 : PyDict_SetItem(environ, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return stored;
}

/* A reader over the environ of an exchange. Returns 0, or -1. */
static int
open_reader(struct gw_exchange *exchange, struct reader *r)
{
    uint32_t length = exchange->slot->environ_length;

    if (length > gw_worker.segment->environ_bytes) {
        PyErr_SetString(PyExc_SystemError,
                        "gowsgi: packed environ is longer than its area");
        return -1;
    }
    r->at = exchange->environ;
    r->end = exchange->environ + length;
    return 0;
}

/*
 * gw_environ_build: the environ of this exchange, without wsgi.input.
 *
 * GIL      held
 * returns  new dict, the caller's own: the application may change it
 * source   PEP 3333 §environ Variables, §Unicode Issues (latin-1)
 */
PyObject *
gw_environ_build(struct gw_exchange *exchange)
{
    struct reader r;
    PyObject *environ;

    if (open_reader(exchange, &r) < 0)
        return NULL;
    environ = PyDict_Copy(gw_worker.environ);
    if (environ == NULL)
        return NULL;
    while (r.at < r.end) {
        if (store_entry(&r, environ) < 0) {
            Py_DECREF(environ);
            return NULL;
        }
    }
    return environ;
}

/*
 * gw_environ_request_id: the request's id, looked up in the packed environ:
 * rarely asked for, so serving a request does nothing for it.
 *
 * GIL      held
 * returns  new str, or None when the request has no id; NULL on an error
 */
PyObject *
gw_environ_request_id(struct gw_exchange *exchange)
{
    struct reader r;
    struct entry e;

    if (open_reader(exchange, &r) < 0)
        return NULL;
    while (r.at < r.end) {
        if (read_entry(&r, &e) < 0)
            return NULL;
        if (e.number != 0 && e.number == request_id_key)
            return PyUnicode_DecodeLatin1(e.bytes, e.length, NULL);
    }
    Py_RETURN_NONE;
}

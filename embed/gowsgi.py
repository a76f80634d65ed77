"""What an application can ask of the gowsgi worker that runs it.

The module exists in gowsgi's processes only: ``import gowsgi`` fails anywhere
else. ``docs/python-module.md`` has a recipe for code that runs elsewhere, too.

``worker_id``
    The number of this worker, an int; numbers are not used again. None while
    the application is preloaded, and in processes that the application starts.
``request_id``
    The id of the request that this thread runs, a str, as in the error log and
    in ``environ["gowsgi.request_id"]``; None outside a request.

Both are looked up each time: write ``gowsgi.request_id``, for
``from gowsgi import request_id`` takes what it is at that moment and keeps it.
"""

import _gowsgi
import _gowsgi_host

__all__ = ["after_response", "atshutdown", "postfork"]

_values = {"request_id": _gowsgi.request_id, "worker_id": _gowsgi.worker_id}


def postfork(function):
    """Run ``function()`` in each worker, once, before its first request.

    A decorator; it returns the function. What was registered while the
    application was preloaded runs right after the fork: the place to open what
    processes must not share, such as connections and random generators. In a
    worker that imports the application itself it runs after that import, and in
    one that serves already at once. Functions run in the order they were
    registered. One that raises keeps the worker from starting; the traceback is
    in the error log.
    """
    _gowsgi_host.postfork(function)
    return function


def atshutdown(function):
    """Run ``function()`` when this worker ends in an orderly way, once.

    A decorator; it returns the function. It runs on the main thread when the
    last request is through, before Python waits for threads and before atexit
    functions: it can tell a thread to end. The last one registered runs first.
    What one raises is in the error log and stops no other. A worker that is
    killed or crashes runs none. All of the end together is bounded by
    --graceful-timeout.
    """
    _gowsgi_host.atshutdown(function)
    return function


def after_response(function, /, *args, **kwargs):
    """Call ``function(*args, **kwargs)`` after this request's response.

    It runs on the thread that serves the request, when the client has the whole
    response or has gone, and after ``close()`` of the iterable: the client does
    not wait for it, but the thread takes no other request meanwhile. Several
    run in the order they were given. What one raises is in the error log, with
    the request, and stops no other. It runs whatever the response was, a failure
    too. Its time is limited by --after-response-timeout.

    Raises RuntimeError outside a request.
    """
    if not callable(function):
        raise TypeError(
            f"after_response needs a callable, not {type(function).__name__}"
        )
    _gowsgi.after(function, args, kwargs)


def __getattr__(name):
    if name in _values:
        return _values[name]()
    raise AttributeError(f"module 'gowsgi' has no attribute {name!r}")


def __dir__():
    return sorted(list(globals()) + list(_values))

"""Uses the module gowsgi, and what docs/python-module.md has where there is none.

/ids      JSON: ``worker_id``, ``request_id`` and ``environ``, the id in the environ
/answer   answers "whole\\n" and runs functions after that, which leave marks:
          "first", then "last", each with the request's id. Options:
          ``kind=``  list (the default), generator, write, empty, raise, endless
          ``mark=``  a file for the marks
          ``gate=``  a FIFO: a function between the two opens it for reading, which
                     takes until somebody opens it for writing
          ``fails=1``  a function between the two raises
          ``stuck=1``  one sleeps for ten minutes
"""

import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import field

try:
    import gowsgi
except ImportError:  # another server, a shell, a test
    import atexit

    class gowsgi:
        worker_id = request_id = None

        @staticmethod
        def postfork(function):
            function()
            return function

        atshutdown = staticmethod(atexit.register)

        @staticmethod
        def after_response(function, /, *args, **kwargs):
            function(*args, **kwargs)


PLAIN = [("Content-Type", "text/plain")]


def ids(environ, start_response):
    return answers.as_json(
        start_response,
        {
            "worker_id": gowsgi.worker_id,
            "request_id": gowsgi.request_id,
            "environ": environ.get("gowsgi.request_id"),
        },
    )


def pass_gate(path):
    with open(path, "rb"):
        pass


def fail():
    raise RuntimeError("afterwards fails as asked")


def endless():
    while True:
        yield b"x" * 65536


def register(environ):
    """Has functions run after the response, as the query asks."""
    mark = marker(environ)
    gowsgi.after_response(lambda: mark(f"first {gowsgi.request_id}"))
    gate = field(environ, "gate")
    if gate:
        gowsgi.after_response(pass_gate, gate)
    if field(environ, "fails"):
        gowsgi.after_response(fail)
    if field(environ, "stuck"):
        gowsgi.after_response(time.sleep, 600)
    gowsgi.after_response(lambda: mark(f"last {gowsgi.request_id}"))


def answer(environ, start_response):
    kind = field(environ, "kind")
    register(environ)
    if kind == "raise":
        raise RuntimeError("afterwards raises as asked")
    write = start_response("200 OK", PLAIN[:])
    if kind == "generator":
        return (block for block in (b"who", b"le\n"))
    if kind == "write":
        write(b"who")
        return [b"le\n"]
    if kind == "empty":
        return []
    if kind == "endless":
        return endless()
    return [b"whole\n"]


VARIANTS = {"/ids": ids, "/answer": answer}


def application(environ, start_response):
    """Hands the call to the variant that the path names."""
    return VARIANTS[environ["PATH_INFO"]](environ, start_response)

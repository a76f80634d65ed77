"""Exceptions of every kind, at every moment.

``what=KIND`` (default error) names the exception, the path the moment:

/app      in the call of the application, nothing started: 500
/started  in the call, after start_response: 500
/written  in the call, after write(b"sent\\n"): aborted after ``sent\\n``
/first    in the first step of the iteration: 500
/after    after the block ``sent\\n``: aborted after it
/late     after the whole body that Content-Length promised (5 bytes): the client has a
          complete response; the traceback is logged

KIND: error (RuntimeError), key (KeyError), exit (sys.exit(3)), exit-text
(sys.exit("text")), interrupt (KeyboardInterrupt), generator-exit, stop (StopIteration;
out of an iterator it is no failure but the end of the body), memory (MemoryError from
an allocation that cannot succeed), recursion (a real RecursionError), base (a subclass
of BaseException only), unprintable (its __str__ raises), surrogate (a text that UTF-8
cannot hold), chain (raise … from …), group (ExceptionGroup, from Python 3.11; before,
error), huge (a text of 1 MiB).

None of them ends the worker, the server, or the log.
"""

import sys

from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]


class OnlyBase(BaseException):
    """Escapes every ``except Exception``."""


class Unprintable(Exception):
    """Cannot be shown."""

    def __str__(self):
        raise RuntimeError("has no text")

    __repr__ = __str__


def deep(level=0):
    """Calls itself until Python refuses."""
    return deep(level + 1) + 1


def chain():
    try:
        raise KeyError("inner")
    except KeyError as inner:
        raise RuntimeError("outer") from inner


def group():
    errors = [ValueError("one"), TypeError("two")]
    if sys.version_info < (3, 11):
        raise RuntimeError(f"no groups before Python 3.11: {errors}")
    raise ExceptionGroup("two at once", errors)  # noqa: F821, builtin since 3.11


def raiser(make):
    """Returns a function that raises what make() gives."""

    def raises():
        raise make()

    return raises


KINDS = {
    "error": raiser(lambda: RuntimeError("raising as asked")),
    "key": raiser(lambda: KeyError("raising as asked")),
    "exit": lambda: sys.exit(3),
    "exit-text": lambda: sys.exit("leaving as asked"),
    "interrupt": raiser(KeyboardInterrupt),
    "generator-exit": raiser(GeneratorExit),
    "stop": raiser(StopIteration),
    "memory": lambda: bytearray(sys.maxsize),
    "recursion": deep,
    "base": raiser(lambda: OnlyBase("raising as asked")),
    "unprintable": raiser(Unprintable),
    "surrogate": raiser(lambda: RuntimeError("\ud800 é € \x00")),
    "chain": chain,
    "group": group,
    "huge": raiser(lambda: RuntimeError("h" * (1 << 20))),
}


def fail(environ):
    """Raises the kind that the query names; it never returns."""
    KINDS[field(environ, "what", "error")]()


def app(environ, start_response):
    fail(environ)


def started(environ, start_response):
    start_response("200 OK", PLAIN[:])
    fail(environ)


def written(environ, start_response):
    start_response("200 OK", PLAIN[:])(b"sent\n")
    fail(environ)


class Steps:
    """An iterator, not a generator, so that StopIteration passes as it is."""

    def __init__(self, environ, blocks):
        self.environ = environ
        self.blocks = list(blocks)

    def __iter__(self):
        return self

    def __next__(self):
        if self.blocks:
            return self.blocks.pop(0)
        fail(self.environ)


def first(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return Steps(environ, [])


def after(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return Steps(environ, [b"sent\n"])


def late(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return Steps(environ, [b"sent\n"])


application = by_path(
    {
        "/app": app,
        "/started": started,
        "/written": written,
        "/first": first,
        "/after": after,
        "/late": late,
    }
)

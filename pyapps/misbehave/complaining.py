"""Writes to wsgi.errors, sys.stderr, sys.stdout and logging.

``id=WORD`` in the query is put into every line, so that a test finds its own. All
answer ``ok\\n`` unless said otherwise; every line is in the error log once, in order,
and lines of different workers are never mixed.

/write        two write() calls that make one line: ``WORD one two``
/writelines   ``WORD one`` and ``WORD two`` from a generator
/print        print(…, file=wsgi.errors): ``WORD printed``
/flush        write, flush: the line is in the log before the answer is sent
/partial      ``WORD no line feed`` without one: in the log when the request has ended
/blank        two line feeds only
/non-ascii    ``WORD é € 漢 😀`` as UTF-8
/surrogate    a lone surrogate: escaped, no exception
/control      ``WORD \\r\\x1b[31mred``: must not forge a line
/bytes        write(b"…"): raises TypeError, caught; answers ``refused TypeError\\n``
/long         one line of ``size`` characters (default 1 MiB): whole, or cut with a note
/many         ``count`` lines (default 10000) ``WORD 0``, ``WORD 1`` …
/close        wsgi.errors.close(), if there is one, then write (a ValueError is right):
              the next request can write
/in-close     write in close() of the iterable: ``WORD closing``
/stderr       print to sys.stderr: ``WORD stderr``
/stderr-raw   os.write(2, …): ``WORD raw stderr``
/stdout       print to sys.stdout, not flushed: ``WORD stdout``; never in the response
/stdout-raw   os.write(1, …): ``WORD raw stdout``
/logging      logging.getLogger("complaining").error: ``WORD logged``
/warnings     warnings.warn: ``WORD warned``
/no-stderr    sys.stderr is None while it raises: 500, the traceback is logged anyway
/attributes   JSON: for write, writelines, flush, fileno, isatty, encoding, errors
              whether wsgi.errors has it
"""

import logging
import os
import sys
import warnings

from misbehave import answers
from misbehave.variants import by_path, field

ATTRIBUTES = (
    "write",
    "writelines",
    "flush",
    "fileno",
    "isatty",
    "encoding",
    "errors",
)


def complains(complain):
    """Returns an application that calls complain(errors, word) and answers ok."""

    def variant(environ, start_response):
        complain(environ["wsgi.errors"], field(environ, "id", "word"))
        return answers.text(start_response, "ok\n")

    return variant


def write(errors, word):
    errors.write(f"{word} one")
    errors.write(" two\n")


def writelines(errors, word):
    errors.writelines(f"{word} {number}\n" for number in ("one", "two"))


def flush(errors, word):
    errors.write(f"{word} flushed\n")
    errors.flush()


def many(environ, start_response):
    word = field(environ, "id", "word")
    for number in range(int(field(environ, "count", "10000"))):
        environ["wsgi.errors"].write(f"{word} {number}\n")
    return answers.text(start_response, "ok\n")


def long(environ, start_response):
    size = int(field(environ, "size", 1 << 20))
    environ["wsgi.errors"].write(field(environ, "id", "word").ljust(size, "x") + "\n")
    return answers.text(start_response, "ok\n")


def as_bytes(environ, start_response):
    try:
        environ["wsgi.errors"].write(b"bytes\n")
    except Exception as error:
        return answers.text(start_response, f"refused {type(error).__name__}\n")
    return answers.text(start_response, "taken\n")


def close(errors, word):
    if hasattr(errors, "close"):
        errors.close()
    try:
        errors.write(f"{word} after close\n")
    except ValueError:
        pass  # what Python's own files do


class ComplainsInClose:
    """An iterable of one block whose close() writes a line."""

    def __init__(self, environ):
        self.errors = environ["wsgi.errors"]
        self.word = field(environ, "id", "word")

    def __iter__(self):
        return iter([b"ok\n"])

    def close(self):
        self.errors.write(f"{self.word} closing\n")


def in_close(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ComplainsInClose(environ)


def raw(descriptor, name):
    """Returns a complaint that goes past Python's own streams."""

    def complain(errors, word):
        os.write(descriptor, f"{word} raw {name}\n".encode())

    return complain


def warn(errors, word):
    warnings.warn(f"{word} warned")


class RestoresStderr:
    """An iterable that raises without sys.stderr and puts it back when closed."""

    def __init__(self):
        self.stderr = sys.stderr

    def __iter__(self):
        sys.stderr = None
        raise RuntimeError("complaining without stderr, as asked")

    def close(self):
        sys.stderr = self.stderr


def no_stderr(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return RestoresStderr()


def attributes(environ, start_response):
    errors = environ["wsgi.errors"]
    told = {name: hasattr(errors, name) for name in ATTRIBUTES}
    return answers.as_json(start_response, told)


application = by_path(
    {
        "/write": complains(write),
        "/writelines": complains(writelines),
        "/print": complains(lambda errors, word: print(word, "printed", file=errors)),
        "/flush": complains(flush),
        "/partial": complains(
            lambda errors, word: errors.write(word + " no line feed")
        ),
        "/blank": complains(lambda errors, word: errors.write("\n\n")),
        "/non-ascii": complains(lambda errors, word: errors.write(word + " é € 漢 😀\n")),
        "/surrogate": complains(lambda errors, word: errors.write(word + " \ud800\n")),
        "/control": complains(
            lambda errors, word: errors.write(word + " \r\x1b[31mred\n")
        ),
        "/bytes": as_bytes,
        "/long": long,
        "/many": many,
        "/close": complains(close),
        "/in-close": in_close,
        "/stderr": complains(
            lambda errors, word: print(word, "stderr", file=sys.stderr)
        ),
        "/stderr-raw": complains(raw(2, "stderr")),
        "/stdout": complains(lambda errors, word: print(word, "stdout")),
        "/stdout-raw": complains(raw(1, "stdout")),
        "/logging": complains(
            lambda errors, word: logging.getLogger("complaining").error(
                "%s logged", word
            )
        ),
        "/warnings": complains(warn),
        "/no-stderr": no_stderr,
        "/attributes": attributes,
    }
)
